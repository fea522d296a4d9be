/**
 * The services as the front door gives them: typed by what one exchange has, so that asking for the rest does not compile.
 * Types alone; through the general tags the same is a typed error.
 */
import type { Effect, Scope, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { PrivateExchange } from "./composite/PrivateExchange.ts"
import type { PublicExchange } from "./composite/PublicExchange.ts"
import type { ChannelChoice, EventOf, PublicChannel, PublicEvents, PublicTag } from "./domain/Channel.ts"
import type { Feed } from "./domain/Feed.ts"
import type { Instrument, TradingPair } from "./domain/Instrument.ts"
import type { AccountEventOf, PrivateTag } from "./domain/PrivateChannel.ts"
import type { ExchangeError } from "./ExchangeError.ts"
import type { Ability, Amendment, OrderEntry, OrderRef, OrderRequest, Placed } from "./OrderEntry.ts"
import type { AccountFeed, PrivateWebsocket, PrivateWebsocketHandlers } from "./PrivateWebsocket.ts"
import type { FeedHandlers, FeedOptions, PublicWebsocket, PublicWebsocketHandlers } from "./PublicWebsocket.ts"

type Kind = Instrument["kind"]

/**
 * The pairs among `P` that a market of this kind can have: `BTC/USDT` on spot, `BTC/USDT:USDT` on swap. A pair that only the
 * run knows may be either, so it fits both and is checked then.
 */
export type PairOf<K extends Kind, P extends TradingPair> = P extends "*/*" ? P
  : TradingPair extends P ? P
  : Kind extends K ? P
  : P extends `${string}:${string}` ? K extends "swap" ? P : never
  : K extends "spot" ? P
  : never

/** What takes a pair, or a list of them, and nothing else of interest. */
interface OfPair<K extends Kind, A, Rest extends ReadonlyArray<unknown> = []> {
  <const P extends TradingPair>(pair: P & PairOf<K, P>, ...rest: Rest): A
}

interface OfPairs<K extends Kind, A> {
  <const P extends TradingPair>(pairs: NonEmptyReadonlyArray<P & PairOf<K, P>>): A
}

type ResultOf<F> = F extends (...args: never) => infer A ? A : never

/** What a function takes behind its pair. */
type RestOf<F> = F extends (pair: TradingPair, ...rest: infer Rest) => unknown ? Rest : never

// ---- market ---------------------------------------------------------------------------------------------------------

type ChannelOf<Tags extends PublicTag> = Extract<PublicChannel, { readonly _tag: Tags }>

interface OfKind<K extends Kind, C extends PublicChannel> {
  readonly pair: PairOf<K, C["pair"]>
}

interface HandlerNames {
  readonly BookTicker: "onBookTicker"
  readonly Trades: "onTrade"
  readonly Book: "onBook"
  readonly Ticker: "onTicker"
  readonly Kline: "onKline"
  readonly FuturesTicker: "onFuturesTicker"
  readonly Liquidations: "onLiquidation"
  readonly ContractStats: "onContractStats"
}

type PublicService = PublicWebsocket["Service"]

/** `PublicWebsocket` with the channels, the handlers and the kind of pairs that the exchange has. */
export type Narrowed<Tags extends PublicTag, K extends Kind = Kind> =
  & Omit<
    PublicService,
    | "channels"
    | "events"
    | "feed"
    | "handle"
    | "handleFeed"
    | "initialize"
    | "reportMissed"
    | "subscribe"
    | "unsubscribe"
  >
  & {
    readonly channels: ReadonlySet<Tags>
    readonly initialize: <const P extends TradingPair>(
      pairs: NonEmptyReadonlyArray<P & PairOf<K, P>>,
      channels: NonEmptyReadonlyArray<ChannelChoice<Tags>>
    ) => ResultOf<PublicService["initialize"]>
    readonly subscribe: OfPairs<K, ResultOf<PublicService["subscribe"]>>
    readonly unsubscribe: OfPairs<K, ResultOf<PublicService["unsubscribe"]>>
    readonly events: Stream.Stream<Feed<PublicEvents[Tags]>, ExchangeError>
    readonly handle: (
      handlers: Pick<PublicWebsocketHandlers, HandlerNames[Tags] | "onGap" | "onStatus">
    ) => ResultOf<PublicService["handle"]>
    readonly feed: <const C extends ChannelOf<Tags>>(
      channel: C & OfKind<K, C>,
      options?: FeedOptions
    ) => Effect.Effect<Stream.Stream<Feed<EventOf<C>>, ExchangeError>, ExchangeError, Scope.Scope>
    readonly handleFeed: <const C extends ChannelOf<Tags>>(
      channel: C & OfKind<K, C>,
      handlers: FeedHandlers<EventOf<C>>
    ) => Effect.Effect<void, ExchangeError, Scope.Scope>
    readonly reportMissed: <const C extends ChannelOf<Tags>>(channel: C & OfKind<K, C>) => boolean
  }

type MarketService = PublicExchange["Service"]

interface TickerNames {
  readonly BookTicker: "bookTicker"
  readonly Ticker: "ticker"
  readonly FuturesTicker: "funding" | "futuresTicker"
}

type BookNames =
  | "accepted"
  | "awaitSynced"
  | "bookStatus"
  | "changes"
  | "contradict"
  | "get"
  | "observe"
  | "onUpdate"
  | "track"
  | "untrack"

/** A service whose methods of these names take a pair first. */
type OfKindOnly<K extends Kind, S, Names extends keyof S> =
  & Omit<S, Names>
  & { readonly [Name in Names]: OfPair<K, ResultOf<S[Name]>, RestOf<S[Name]>> }

/** `PublicExchange` without what the exchange has no channel for, and with its kind of pairs. */
export type NarrowedPublicExchange<Tags extends PublicTag, K extends Kind = Kind> =
  & Omit<
    MarketService,
    | "add"
    | "audit"
    | "awaitBook"
    | "bestPrice"
    | "book"
    | "books"
    | "initialize"
    | "instruments"
    | "remove"
    | TickerNames[keyof TickerNames]
  >
  & {
    readonly audit: OfKindOnly<K, MarketService["audit"], "audit">
    readonly books: OfKindOnly<K, MarketService["books"], BookNames>
    readonly instruments: OfKindOnly<K, MarketService["instruments"], "current" | "get">
  }
  & {
    readonly [Name in "add" | "initialize" | "remove"]: OfPairs<K, ResultOf<MarketService[Name]>>
  }
  & {
    readonly [Name in "awaitBook" | "bestPrice" | "book" | TickerNames[Extract<Tags, keyof TickerNames>]]: OfPair<
      K,
      ResultOf<MarketService[Name]>
    >
  }

// ---- account --------------------------------------------------------------------------------------------------------

interface AccountHandlerNames {
  readonly Orders: "onOrder"
  readonly Fills: "onFill"
  readonly Balances: "onBalance"
  readonly Positions: "onLeverage" | "onPosition"
  readonly AutoDeleverages: "onAutoDeleverage"
  readonly PositionCloses: "onPositionClose"
}

type PrivateService = PrivateWebsocket["Service"]

/** `PrivateWebsocket` with the channels and the handlers that the account has. */
export type NarrowedPrivate<Tags extends PrivateTag> =
  & Omit<PrivateService, "channels" | "events" | "feed" | "handle" | "initialize">
  & {
    readonly channels: ReadonlySet<Tags>
    readonly initialize: (channels?: NonEmptyReadonlyArray<Tags>) => ResultOf<PrivateService["initialize"]>
    readonly events: Stream.Stream<AccountFeed<AccountEventOf<Tags>>, ExchangeError>
    readonly handle: (
      handlers: Pick<PrivateWebsocketHandlers, AccountHandlerNames[Tags] | "onGap" | "onStatus">
    ) => ResultOf<PrivateService["handle"]>
    readonly feed: <const Tag extends Tags>(
      channel: Tag
    ) => Effect.Effect<Stream.Stream<AccountFeed<AccountEventOf<Tag>>, ExchangeError>, ExchangeError, Scope.Scope>
  }

// ---- orders ---------------------------------------------------------------------------------------------------------

/** Fields of an order that not every exchange has. */
type Special = "quoteQuantity" | "reduceOnly" | "trigger"

/** An order that uses only what the exchange has. */
export type OrderOf<Can extends Ability> =
  & Omit<OrderRequest, Special>
  & Pick<OrderRequest, Extract<Can, Special>>
  & { readonly [K in Exclude<Special, Can>]?: undefined }

interface HasPair<K extends Kind, P extends TradingPair> {
  readonly pair: P & PairOf<K, P>
}

type Entry = OrderEntry["Service"]

/** What each ability adds to order entry. */
interface Added<K extends Kind> {
  readonly amend: {
    readonly amend: <const P extends TradingPair>(
      order: OrderRef & HasPair<K, P>,
      amendment: Amendment
    ) => ResultOf<Entry["amend"]>
  }
  readonly cancelAllAfter: {
    readonly cancelAllAfter: <const P extends TradingPair>(
      afterMs: number | null,
      pair?: P & PairOf<K, P>
    ) => ResultOf<Entry["cancelAllAfter"]>
  }
  readonly leverage: {
    readonly leverage: OfPair<K, ResultOf<Entry["leverage"]>>
    readonly setLeverage: <const P extends TradingPair>(
      pair: P & PairOf<K, P>,
      leverage: Parameters<Entry["setLeverage"]>[1]
    ) => ResultOf<Entry["setLeverage"]>
  }
  readonly marginMode: {
    readonly setMarginMode: <const P extends TradingPair>(
      pair: P & PairOf<K, P>,
      mode: Parameters<Entry["setMarginMode"]>[1]
    ) => ResultOf<Entry["setMarginMode"]>
  }
}

type Both<U> = (U extends unknown ? (_: U) => void : never) extends (_: infer A) => void ? A : never

type AddedBy<Can extends Ability, K extends Kind> = Both<
  | {}
  | { readonly [A in Extract<Can, keyof Added<K>>]: Added<K>[A] }[Extract<Can, keyof Added<K>>]
>

/** `OrderEntry` with only those commands, fields of orders and kinds of pairs that the exchange has. */
export type NarrowedOrders<Can extends Ability, K extends Kind = Kind> =
  & Pick<Entry, "exchange" | "isReady" | "makeClientOrderId">
  & AddedBy<Can, K>
  & {
    readonly abilities: ReadonlySet<Can>
    readonly place: <const P extends TradingPair>(
      order: OrderOf<Can> & HasPair<K, P>
    ) => Effect.Effect<Placed, ExchangeError>
    readonly placeAll: <const P extends TradingPair>(
      orders: NonEmptyReadonlyArray<OrderOf<Can> & HasPair<K, P>>
    ) => Effect.Effect<ReadonlyArray<Placed>, ExchangeError>
    readonly cancel: <const P extends TradingPair>(order: OrderRef & HasPair<K, P>) => ResultOf<Entry["cancel"]>
    readonly get: <const P extends TradingPair>(order: OrderRef & HasPair<K, P>) => ResultOf<Entry["get"]>
    readonly cancelAll: <const P extends TradingPair>(pair?: P & PairOf<K, P>) => ResultOf<Entry["cancelAll"]>
    readonly openOrders: <const P extends TradingPair>(pair?: P & PairOf<K, P>) => ResultOf<Entry["openOrders"]>
  }

/** `PrivateExchange` without positions where there are none, and with the orders that the exchange has. */
export type NarrowedPrivateExchange<Tags extends PrivateTag, Can extends Ability, K extends Kind = Kind> =
  & Omit<
    PrivateExchange["Service"],
    "add" | "onEvent" | "orders" | "positions" | "heldPositions" | "funding" | "positionMode"
  >
  & Pick<
    PrivateExchange["Service"],
    "Positions" extends Tags ? "positions" | "heldPositions" | "funding" | "positionMode" : never
  >
  & {
    readonly onEvent: (
      consumer: (event: AccountEventOf<Tags>) => void
    ) => ResultOf<PrivateExchange["Service"]["onEvent"]>
    readonly orders: NarrowedOrders<Can, K>
    readonly add: <const P extends TradingPair>(
      pairs: ReadonlyArray<P & PairOf<K, P>>
    ) => ResultOf<PrivateExchange["Service"]["add"]>
  }
