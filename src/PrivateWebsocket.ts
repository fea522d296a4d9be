/**
 * One account's events. Knows no symbols and nothing of market data. Which exchange, account, test double or simulator:
 * the Layer decides.
 */
import { Context, Effect, Stream } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type {
  AccountEvent,
  AutoDeleverage,
  Balance,
  Fill,
  LeverageChange,
  OrderUpdate,
  Position,
  PositionClose
} from "./domain/Account.ts"
import type { ConnectionStatus } from "./domain/Feed.ts"
import type { ExchangeId, TradingPair } from "./domain/Instrument.ts"
import type { AccountEventOf, PrivateTag } from "./domain/PrivateChannel.ts"
import type { ExchangeError } from "./ExchangeError.ts"

export interface AccountData<A> {
  readonly _tag: "Data"
  readonly value: A
  /** When the bytes were read from the socket, or the REST answer came, ms with fractions. */
  readonly receivedAt: number
}

/**
 * The stream was broken here. What was missed follows as events marked `Reconciled`, in order, then the stream goes on.
 * `recovered: false`: the exchange could not tell what was missed for `pairs` (none named: for all).
 */
export interface AccountGap {
  readonly _tag: "Gap"
  readonly cause: "Reconnected" | "Silent" | "Overflow" | "Unreadable"
  readonly channel: PrivateTag
  /** ms. */
  readonly at: number
  readonly lost?: number | undefined
}

export type AccountFeed<A> = AccountData<A> | AccountGap

/** Synchronous consumers, called in the socket's own turn. Keep them short; one that throws is counted and logged. */
export interface PrivateWebsocketHandlers {
  readonly onOrder?: ((order: OrderUpdate) => void) | undefined
  readonly onFill?: ((fill: Fill) => void) | undefined
  readonly onBalance?: ((balance: Balance) => void) | undefined
  readonly onPosition?: ((position: Position) => void) | undefined
  readonly onLeverage?: ((change: LeverageChange) => void) | undefined
  readonly onAutoDeleverage?: ((event: AutoDeleverage) => void) | undefined
  readonly onPositionClose?: ((event: PositionClose) => void) | undefined
  readonly onGap?: ((gap: AccountGap) => void) | undefined
  readonly onStatus?: ((status: ConnectionStatus) => void) | undefined
}

/** Handlers of a channel. */
type EventHandler = Exclude<keyof PrivateWebsocketHandlers, "onGap" | "onStatus">

const channelOf: Readonly<Record<EventHandler, PrivateTag>> = {
  onOrder: "Orders",
  onFill: "Fills",
  onBalance: "Balances",
  onPosition: "Positions",
  onLeverage: "Positions",
  onAutoDeleverage: "AutoDeleverages",
  onPositionClose: "PositionCloses"
}

/** Channels of the handlers. */
export const channelsOf = (handlers: PrivateWebsocketHandlers): ReadonlyArray<PrivateTag> => [
  ...new Set(
    Object.entries(channelOf).flatMap(([name, tag]) => handlers[name as EventHandler] === undefined ? [] : [tag])
  )
]

/** Those of the handlers that these channels have: for a program that runs on accounts of any kind. */
export const handlersFor = (
  channels: ReadonlySet<PrivateTag>,
  handlers: PrivateWebsocketHandlers
): PrivateWebsocketHandlers =>
  Object.fromEntries(
    Object.entries(handlers).filter(([name]) => !(name in channelOf) || channels.has(channelOf[name as EventHandler]))
  )

/** What reconciliation covers: fills of these pairs are looked up where the exchange asks for a pair. */
export interface ReconcileCoverage {
  /** Null: everything, without naming pairs. */
  readonly pairs: ReadonlyArray<TradingPair> | null
  /** ms; null before the first one has ended well. */
  readonly lastAt: number | null
  readonly runs: number
  readonly failures: number
  /** Events that only reconciliation brought. */
  readonly recovered: number
}

export interface PrivatePerformance {
  readonly exchange: ExchangeId
  readonly account: string
  readonly frames: number
  readonly events: number
  readonly delivered: number
  /** Pushed twice, delivered once. */
  readonly duplicates: number
  readonly gaps: number
  readonly reconnects: number
  readonly decodeFailures: number
  readonly handlerFailures: number
  readonly errors: Readonly<Record<string, number>>
  readonly reconciliation: ReconcileCoverage
}

export class PrivateWebsocket extends Context.Service<PrivateWebsocket, {
  readonly exchange: ExchangeId
  /** Name of the account in this program; never a key. */
  readonly account: string
  readonly channels: ReadonlySet<PrivateTag>
  /** Opens the session on these channels (all of the exchange's when left out); returns once the exchange has accepted. */
  readonly initialize: (channels?: NonEmptyReadonlyArray<PrivateTag>) => Effect.Effect<void, ExchangeError>
  /** The session's events, from the moment the stream is run. */
  readonly events: Stream.Stream<AccountFeed<AccountEvent>, ExchangeError>
  /**
   * Calls the handlers with the session's events until the scope closes. Fails with `UnsupportedChannel` when the account
   * lacks the channel of one, as positions on spot: see `handlersFor`.
   */
  readonly handle: (handlers: PrivateWebsocketHandlers) => Effect.Effect<void, ExchangeError, Scope.Scope>
  readonly close: Effect.Effect<void>
  readonly isConnected: Effect.Effect<boolean>
  /** Whether the exchange has accepted our key on the connection of now. */
  readonly isAuthenticated: Effect.Effect<boolean>
  readonly status: Stream.Stream<ConnectionStatus>
  readonly performance: Effect.Effect<PrivatePerformance>
  /** Compares with the exchange now; what was missed is delivered as `Reconciled`. */
  readonly reconcile: Effect.Effect<void, ExchangeError>
  /** One channel, needing no session: scoped, reference-counted, acknowledged. */
  readonly feed: <const Tag extends PrivateTag>(
    channel: Tag
  ) => Effect.Effect<Stream.Stream<AccountFeed<AccountEventOf<Tag>>, ExchangeError>, ExchangeError, Scope.Scope>
}>()("effect-exchange/PrivateWebsocket") {}

/** One channel as a stream that subscribes when it is run. */
export const stream = <const Tag extends PrivateTag>(
  channel: Tag
): Stream.Stream<AccountFeed<AccountEventOf<Tag>>, ExchangeError, PrivateWebsocket> =>
  Stream.unwrap(Effect.flatMap(PrivateWebsocket, (websocket) => websocket.feed(channel)))
