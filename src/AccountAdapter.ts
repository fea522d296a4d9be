/**
 * The account half of an exchange, as data. Like the public half it opens nothing, times nothing and retries nothing: it
 * says how requests are signed and spelled, how frames and answers read, and what the limits are.
 */
import type { Duration, Scope } from "effect"
import { Context, Effect } from "effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { Algorithm, Signer } from "./connection/Auth.ts"
import type { Endpoint, OutFrame } from "./connection/Connection.ts"
import type {
  AccountEvent,
  Balance,
  Fill,
  FundingPayment,
  MarginMode,
  Order,
  Position,
  PositionMode,
  Side,
  TimeInForce
} from "./domain/Account.ts"
import type * as Decimal from "./domain/Decimal.ts"
import type { Instrument, InstrumentOf, TradingPair } from "./domain/Instrument.ts"
import type { PrivateTag } from "./domain/PrivateChannel.ts"
import type { ExchangeError } from "./ExchangeError.ts"
import type { Answer, Heartbeat, Refusal, Stamp } from "./ExchangeProtocol.ts"
import type { Ability, Rejection } from "./OrderEntry.ts"
import type { Use } from "./RateLimits.ts"

// ---- commands -------------------------------------------------------------------------------------------------------

/** An order whose numbers are on the instrument's steps and within its limits, as plain text. */
export interface PreparedOrder {
  readonly instrument: Instrument
  readonly side: Side
  readonly type: "limit" | "market"
  readonly timeInForce: TimeInForce
  readonly price: string | null
  /** Base or contracts, without sign. */
  readonly quantity: string | null
  /** Quote to spend. */
  readonly quoteQuantity: string | null
  readonly reduceOnly: boolean
  readonly trigger: {
    readonly kind: "stop" | "takeProfit"
    readonly price: string
    readonly by: "last" | "mark" | "index"
  } | null
  /** Ours, without the exchange's prefix. */
  readonly clientOrderId: string
}

export type SymbolRef =
  & ({ readonly symbol: string; readonly orderId: string } | {
    readonly symbol: string
    readonly clientOrderId: string
  })
  & {
    /** Whether it is an order that waits for its price, where those are kept apart; undefined: not known. */
    readonly trigger?: boolean | undefined
  }

/** Everything that `OrderEntry` can ask of an exchange. */
export type Command =
  | { readonly _tag: "Place"; readonly order: PreparedOrder }
  | { readonly _tag: "PlaceAll"; readonly orders: ReadonlyArray<PreparedOrder> }
  | { readonly _tag: "Cancel"; readonly ref: SymbolRef }
  | { readonly _tag: "CancelAll"; readonly symbol: string | null }
  | {
    readonly _tag: "Amend"
    readonly ref: SymbolRef
    readonly side: Side
    readonly price: string | null
    /** Whole quantity, filled part included, without sign. */
    readonly quantity: string | null
  }
  | { readonly _tag: "Get"; readonly ref: SymbolRef }
  | { readonly _tag: "OpenOrders"; readonly symbol: string | null }
  | { readonly _tag: "CancelAllAfter"; readonly afterMs: number | null; readonly symbol: string | null }
  | { readonly _tag: "Leverage"; readonly symbol: string }
  | { readonly _tag: "SetLeverage"; readonly symbol: string; readonly leverage: string }
  | { readonly _tag: "SetMarginMode"; readonly symbol: string; readonly mode: MarginMode }

/** What a command's answer holds. */
export type Reply =
  | { readonly _tag: "Order"; readonly order: Order }
  /** `unsettled`: cancelled too, and the exchange has not said what became of them; to be looked up. */
  | {
    readonly _tag: "Orders"
    readonly orders: ReadonlyArray<Order>
    readonly unsettled?: ReadonlyArray<SymbolRef> | undefined
  }
  /** One for each order of a `PlaceAll`, in its order. */
  | { readonly _tag: "Placed"; readonly results: ReadonlyArray<Order | Rejection> }
  /** `Get`: there is no such order. */
  | { readonly _tag: "Nothing" }
  | { readonly _tag: "Leverage"; readonly leverage: Decimal.Decimal; readonly mode: MarginMode }
  | { readonly _tag: "Done" }

/** Order entry over the exchange's own socket (Gate). Pure; whoever runs it owns the connection. */
export interface OrderSocket {
  /** Commands that go over it; the others go over REST. */
  readonly commands: ReadonlySet<Command["_tag"]>
  /** Those of them that go over REST all the same. */
  readonly excepts?: ((command: Command) => boolean) | undefined
  readonly endpoint: (url: string) => Endpoint
  readonly login: (signer: Signer, stamp: Stamp) => Effect.Effect<{ readonly frame: OutFrame; readonly id: string }>
  readonly request: (command: Command, stamp: Stamp) => { readonly frame: OutFrame; readonly id: string }
  /** Reads one frame. Never throws. */
  readonly decode: (frame: Uint8Array, instrumentOf: InstrumentOf, sink: OrderSink) => void
}

export interface OrderSink {
  /** The exchange has the request; what became of it follows. */
  readonly received: (id: string) => void
  readonly answered: (id: string, reply: Reply) => void
  readonly refused: (id: string, rejection: Rejection) => void
  /** The exchange failed on the way, or its answer cannot be read: what became of the request is unknown. */
  readonly lost: (id: string, detail: string) => void
  readonly loggedIn: (id: string) => void
  readonly loginRefused: (id: string, rejection: Rejection) => void
  readonly pong: () => void
  readonly closing: (detail: string) => void
  readonly ignored: (detail: string) => void
  readonly failed: (detail: string) => void
}

export interface OrderProtocol<out Can extends Ability = Ability> {
  readonly abilities: ReadonlySet<Can>
  /** Null: everything goes over REST (MEXC). */
  readonly socket: OrderSocket | null
  readonly clientOrderIds: {
    /** An id from a part that is unique, valid by the exchange's rules. */
    readonly make: (unique: string) => string
    /** Why an id is not valid; null when it is. */
    readonly problem: (id: string) => string | null
  }
  /** Why the exchange has no such order, beside what `abilities` say; null when it has. */
  readonly unsupported?: ((order: PreparedOrder) => string | null) | undefined
  /**
   * When the exchange can no longer take a command, counted from its sending, the error of our clock included: what it
   * does not know then, it will never know. The session's default when left out.
   */
  readonly expiry?: Duration.Input | undefined
  /** Most orders in one `PlaceAll`. */
  readonly batchSize: number
  /** Whether all orders of a `PlaceAll` have to be of one symbol (MEXC); not so when left out. */
  readonly batchOfOneSymbol?: boolean | undefined
  /** Shortest time of `cancelAllAfter`; 1 ms when left out. */
  readonly leastCancelAllAfter?: Duration.Input | undefined
  /** What a command uses of the exchange's limits for this account. */
  readonly uses: (command: Command) => ReadonlyArray<Use>
}

// ---- REST -----------------------------------------------------------------------------------------------------------

export interface AccountRestOptions {
  readonly client: HttpClient.HttpClient
  /** Without trailing slash. */
  readonly url: string
  readonly signer: Signer
  /** The exchange's clock, ms: what signatures carry. Fails when it is not known well enough. */
  readonly now: Effect.Effect<number, ExchangeError>
  readonly instrumentOf: InstrumentOf
}

/** Is told of what cannot be read, which is left out then. Without it one thing that cannot be read fails the reading. */
export type OnUnreadable = (error: ExchangeError) => void

/**
 * What a call runs before each request behind its first: the next page of a list, or the same of another list. Whoever
 * calls has it wait there for its turn within the limits, and gives it as long again as one request may take; a call that
 * does not run it has to be done in the time of one request.
 */
export const NextPage = Context.Reference<Effect.Effect<void, ExchangeError>>(
  "effect-exchange/AccountAdapter/NextPage",
  { defaultValue: () => Effect.void }
)

/**
 * Signed REST calls of one account. Lists come whole, by way of `NextPage`. A request that the exchange refused fails with `RequestFailed` and a status below
 * 500; one whose answer was lost has status null, 408, 499 or 5xx, so that whoever wrote knows that the outcome is unknown.
 */
export interface AccountCalls {
  readonly userId: Effect.Effect<string, ExchangeError>
  readonly balances: Effect.Effect<ReadonlyArray<Balance>, ExchangeError>
  readonly positions: Effect.Effect<ReadonlyArray<Position>, ExchangeError>
  /** Left out where there are none, or the exchange does not tell it. */
  readonly positionMode?: Effect.Effect<PositionMode, ExchangeError> | undefined
  readonly openOrders: (
    symbol: string | null,
    onUnreadable?: OnUnreadable
  ) => Effect.Effect<ReadonlyArray<Order>, ExchangeError>
  /** Oldest first. `since` in ms. */
  readonly fills: (
    query: {
      readonly symbol: string | null
      readonly since: number | null
      readonly onUnreadable?: OnUnreadable | undefined
    }
  ) => Effect.Effect<ReadonlyArray<Fill>, ExchangeError>
  /** Those of the last so many ms, in any order; left out where the exchange has no history of them. */
  readonly funding?: ((withinMs: number) => Effect.Effect<ReadonlyArray<FundingPayment>, ExchangeError>) | undefined
  readonly run: (command: Command) => Effect.Effect<Reply, ExchangeError>
  /** Has the exchange check an order without taking it; left out where it has no such call. */
  readonly test?: ((order: PreparedOrder) => Effect.Effect<void, ExchangeError>) | undefined
  /** A key for the private stream's URL, where the exchange wants one (MEXC). */
  readonly listenKeys?: {
    readonly make: Effect.Effect<string, ExchangeError>
    readonly renew: (key: string) => Effect.Effect<void, ExchangeError>
    readonly remove: (key: string) => Effect.Effect<void, ExchangeError>
  } | undefined
}

// ---- private stream -------------------------------------------------------------------------------------------------

/** Where the private stream connects, acquired in the connection's scope. */
export interface PrivateEndpoint extends Endpoint {
  /** Runs beside the connection, and its failure ends it: keeps a listen key alive. */
  readonly lease?: Effect.Effect<never, ExchangeError> | undefined
  /** Replace the connection, make before break, at this age. */
  readonly rotateAfter?: Duration.Input | undefined
}

/** One private topic on the wire. */
export interface PrivateTopic {
  readonly key: string
  readonly channel: PrivateTag
}

export interface PrivateRequest {
  readonly frame: OutFrame
  readonly id: number
  readonly topics: ReadonlyArray<PrivateTopic>
}

/** Receives what a private frame holds; as `Sink` of the public half. */
export interface PrivateSink {
  readonly event: (channel: PrivateTag, event: AccountEvent) => void
  readonly acknowledged: (answer: Answer) => void
  readonly rejected: (answer: Answer, refusal: Refusal) => void
  readonly pong: () => void
  readonly closing: (detail: string) => void
  readonly ignored: (detail: string) => void
  readonly failed: (detail: string) => void
}

export interface PrivateCodec {
  readonly decode: (frame: Uint8Array, receivedAt: number, sink: PrivateSink) => void
}

export interface PrivateStream {
  readonly endpoint: (url: string, calls: AccountCalls) => Effect.Effect<PrivateEndpoint, ExchangeError, Scope.Scope>
  /** Whether topics name the user, so that the id has to be read first. */
  readonly needsUserId: boolean
  /** Wire topics of a channel. */
  readonly topics: (channel: PrivateTag, userId: string) => ReadonlyArray<PrivateTopic>
  readonly subscribe: (
    topics: ReadonlyArray<PrivateTopic>,
    stamp: Stamp,
    signer: Signer
  ) => Effect.Effect<ReadonlyArray<PrivateRequest>>
  readonly unsubscribe: PrivateStream["subscribe"]
  readonly makeCodec: (instrumentOf: InstrumentOf) => PrivateCodec
  readonly heartbeat: Heartbeat
}

// ---- all together ---------------------------------------------------------------------------------------------------

export interface AccountCoverage {
  readonly channel: PrivateTag | "OrderEntry"
  readonly wire: string
  readonly note: string
  readonly source: string
}

/** The signed readings that are no commands. */
export type AccountRead =
  | "balances"
  | "fills"
  | "funding"
  | "listenKey"
  | "openOrders"
  | "positionMode"
  | "positions"
  | "userId"

export interface AccountAdapter<out Tags extends PrivateTag = PrivateTag, out Can extends Ability = Ability> {
  readonly algorithm: Algorithm
  readonly channels: ReadonlySet<Tags>
  readonly coverage: ReadonlyArray<AccountCoverage>
  readonly makeCalls: (options: AccountRestOptions) => AccountCalls
  /** What a reading uses of the exchange's limits for this account; nothing when left out. */
  readonly uses?: ((read: AccountRead) => ReadonlyArray<Use>) | undefined
  /** Whether a refusal says that the stamp of the request was off, so that the exchange's clock has to be measured anew. */
  readonly isStampOff?: ((code: string, detail: string) => boolean) | undefined
  /** Whether "too many requests" is said of the address or the user, so that everything has to wait (MEXC); else the endpoint. */
  readonly throttlesAll?: boolean | undefined
  /** Whether fills and open orders are looked up by pair only, so that what is not named is not covered (MEXC). */
  readonly needsPair: boolean
  readonly stream: PrivateStream
  readonly orders: OrderProtocol<Can>
}

/** Pair of a symbol, where it is known. */
export const pairOf = (instrumentOf: InstrumentOf, symbol: string): TradingPair | null =>
  instrumentOf(symbol)?.pair ?? null
