/**
 * Market data of one exchange. Knows nothing of accounts. Which exchange, a test double, a recording or the simulator:
 * the Layer decides.
 */
import { Context, Effect, Stream } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { ChannelChoice, EventOf, PublicChannel, PublicTag } from "./domain/Channel.ts"
import type { ConnectionStatus, Feed, Gap } from "./domain/Feed.ts"
import type { ExchangeId, TradingPair } from "./domain/Instrument.ts"
import type {
  BookTicker,
  BookUpdate,
  ContractStats,
  FuturesTicker,
  Kline,
  Liquidation,
  MarketEvent,
  Ticker,
  Trade
} from "./domain/Market.ts"
import type { ExchangeError } from "./ExchangeError.ts"

/** Which pairs the exchange took, and why it refused the others. */
export interface Subscribed {
  readonly accepted: ReadonlyArray<TradingPair>
  readonly rejected: ReadonlyMap<TradingPair, ExchangeError>
}

/**
 * Synchronous consumers, called in the socket's own turn: the shortest way from the wire. Keep them short. One that
 * throws is counted and logged, and the others go on.
 */
export interface PublicWebsocketHandlers {
  readonly onBookTicker?: ((ticker: BookTicker) => void) | undefined
  readonly onTrade?: ((trade: Trade) => void) | undefined
  readonly onBook?: ((update: BookUpdate) => void) | undefined
  readonly onTicker?: ((ticker: Ticker) => void) | undefined
  readonly onKline?: ((kline: Kline) => void) | undefined
  readonly onFuturesTicker?: ((ticker: FuturesTicker) => void) | undefined
  readonly onLiquidation?: ((liquidation: Liquidation) => void) | undefined
  readonly onContractStats?: ((stats: ContractStats) => void) | undefined
  readonly onGap?: ((gap: Gap) => void) | undefined
  readonly onStatus?: ((status: ConnectionStatus) => void) | undefined
}

/** Handlers of a channel. */
type EventHandler = Exclude<keyof PublicWebsocketHandlers, "onGap" | "onStatus">

const channelOf: Readonly<Record<EventHandler, PublicTag>> = {
  onBookTicker: "BookTicker",
  onTrade: "Trades",
  onBook: "Book",
  onTicker: "Ticker",
  onKline: "Kline",
  onFuturesTicker: "FuturesTicker",
  onLiquidation: "Liquidations",
  onContractStats: "ContractStats"
}

/** Channels of the handlers. */
export const channelsOf = (handlers: PublicWebsocketHandlers): ReadonlyArray<PublicTag> =>
  Object.entries(channelOf).flatMap(([name, tag]) => handlers[name as EventHandler] === undefined ? [] : [tag])

/** Those of the handlers that these channels have: for a program that runs on exchanges of any kind. */
export const handlersFor = (
  channels: ReadonlySet<PublicTag>,
  handlers: PublicWebsocketHandlers
): PublicWebsocketHandlers =>
  Object.fromEntries(
    Object.entries(handlers).filter(([name]) => !(name in channelOf) || channels.has(channelOf[name as EventHandler]))
  )

/**
 * Who takes one channel in the socket's own turn. What is thrown is counted and logged. Gaps come as they do in the
 * stream of a feed; nothing can overflow, since nothing is held.
 */
export interface FeedHandlers<E> {
  readonly onEvent: (event: E) => void
  readonly onGap: (gap: Gap) => void
  /**
   * All that was read together has been handed over, of a large batch each part of it: called once behind events, not
   * behind gaps.
   */
  readonly onTurn?: (() => void) | undefined
  /** Nothing comes any more: where the stream of a feed would fail or end. Not called when the own scope closes. */
  readonly onEnd?: ((error: ExchangeError) => void) | undefined
}

export interface FeedOptions {
  /** Events held for this subscriber. Default 1024. */
  readonly bufferSize?: number | undefined
  /**
   * When the buffer is full. `auto`: the channel's own way (state channels keep the newest, books start again from a
   * snapshot, events report a gap with the number lost). `block`: the socket is not read until there is room, which
   * delays every subscriber of this connection. Should the connection end meanwhile, what was read of it comes behind the
   * buffer's bound, and what the next ones read before there is room is dropped behind their `Reconnected`. Default `auto`.
   */
  readonly overflow?: "auto" | "block" | undefined
}

/** What has been counted since the Layer was built. The same numbers are exported as metrics. */
export interface Performance {
  readonly exchange: ExchangeId
  /** Frames read. */
  readonly frames: number
  /** Bytes read. */
  readonly bytes: number
  /** Events decoded. */
  readonly events: number
  /** Events handed to subscribers, one for each subscriber. */
  readonly delivered: number
  /** Replaced by a newer value before a slow subscriber took them. */
  readonly conflated: number
  /** Dropped for a slow subscriber, each declared in a Gap. */
  readonly dropped: number
  readonly gaps: number
  /** Book updates that the snapshot already held, or that the wire repeated. */
  readonly stale: number
  /** Came by a second connection too, while a connection is replaced or where feeds are redundant. */
  readonly duplicates: number
  readonly decodeFailures: number
  readonly decoderFallbacks: number
  readonly handlerFailures: number
  readonly ignored: number
  readonly reconnects: number
  /** Topics subscribed anew because nothing had come for longer than the bound. */
  readonly silences: number
  /** Of them, those behind which the exchange's own numbers went on: nothing had been missed. */
  readonly falseAlarms: number
  readonly errors: Readonly<Record<string, number>>
  readonly subscriptions: {
    readonly requested: number
    readonly confirmed: number
    readonly rejected: number
    readonly timedOut: number
  }
  /** From the socket read to the hand-over, ms, over the last 1024 batches. */
  readonly processing: Percentiles
  /** From the exchange's time to the hand-over, ms, over the last 1024 batches; includes the difference of the clocks. */
  readonly age: Percentiles
  /** Heap used by the process, bytes. */
  readonly heapBytes: number
  readonly connections: number
  readonly connected: number
  readonly sockets: ReadonlyArray<SocketPerformance>
  readonly progress: Progress
  /** What redundant sockets gained, one entry for each that carries every topic; empty where there is one. */
  readonly lanes: ReadonlyArray<LanePerformance>
  readonly topics: ReadonlyArray<TopicPerformance>
}

/** One of the redundant sockets (or of the sets of sockets) that carry every topic. */
export interface LanePerformance {
  /** From 0, as the URLs are listed. */
  readonly lane: number
  /** Events that came by it first, while another carried the topic too. */
  readonly won: number
  /** Of these, those that no other has brought: lost there, or on their way. */
  readonly alone: number
  /** By how much it was earlier, ms, over its last 1024 wins that another has brought too. */
  readonly headStart: Percentiles
}

/** One socket and what it carries. */
export interface SocketPerformance {
  /** Its number, as in `ConnectionStatus`. */
  readonly connection: number
  /** Topics that are wanted on it or not yet off its wire. */
  readonly topics: number
  /** Topics that the exchange has accepted. */
  readonly confirmed: number
  readonly connected: boolean
  /** Since it was opened, ms; null while it is not open. */
  readonly age: number | null
}

/** How far what is wanted has come: `confirmed + rejected` of `wanted`, `booksSynced` of `books`. */
export interface Progress {
  /** Topics that somebody holds. */
  readonly wanted: number
  /** Accepted by the exchange and on the wire. */
  readonly confirmed: number
  /** Refused, for good or until they are tried again. */
  readonly rejected: number
  /** Of the wanted topics, those of books with a subscriber. */
  readonly books: number
  /** Books in step with the exchange. */
  readonly booksSynced: number
  readonly sockets: number
}

/**
 * One topic's ledger. With one subscriber `received + reconciled = delivered + conflated + dropped + stale + abandoned
 * + unrouted + duplicates`, once its buffer is empty, no book waits for a snapshot and no connection for another.
 */
export interface TopicPerformance {
  readonly topic: string
  readonly channel: PublicTag
  readonly pair: TradingPair | null
  readonly symbol: string
  readonly subscribers: number
  /** Events that came in the stream. */
  readonly received: number
  /** Snapshots that were fetched for a subscriber, and updates that were shown to one a second time. */
  readonly reconciled: number
  readonly delivered: number
  readonly conflated: number
  readonly dropped: number
  /** Book updates: duplicates, and those that came before the snapshot they would have followed. */
  readonly stale: number
  /** Held for a subscriber that left. */
  readonly abandoned: number
  /** Came while nobody was subscribed: between the last holder's end and the exchange's answer. */
  readonly unrouted: number
  /** Came by a second connection too. */
  readonly duplicates: number
  readonly gaps: number
  /** ms since the epoch; null before the first event. */
  readonly lastEventAt: number | null
}

export interface Percentiles {
  readonly count: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

export class PublicWebsocket extends Context.Service<PublicWebsocket, {
  readonly exchange: ExchangeId
  readonly channels: ReadonlySet<PublicTag>
  /**
   * Opens the session: subscribes every channel of every pair and returns once the exchange has answered. Fails only
   * when all pairs were refused, or with `InvalidUse` when a session is open already.
   */
  readonly initialize: (
    pairs: NonEmptyReadonlyArray<TradingPair>,
    channels: NonEmptyReadonlyArray<ChannelChoice>
  ) => Effect.Effect<Subscribed, ExchangeError>
  /** Adds pairs to the session, on its channels. */
  readonly subscribe: (pairs: NonEmptyReadonlyArray<TradingPair>) => Effect.Effect<Subscribed, ExchangeError>
  /** Takes pairs out of the session. A pair that is not in it is no error. */
  readonly unsubscribe: (pairs: NonEmptyReadonlyArray<TradingPair>) => Effect.Effect<void, ExchangeError>
  /** The session's events, from the moment the stream is run. Ends when the session is closed. */
  readonly events: Stream.Stream<Feed<MarketEvent>, ExchangeError>
  /**
   * Calls the handlers with the session's events until the scope closes. Fails with `UnsupportedChannel` when the exchange
   * lacks the channel of one, which would never be called: see `handlersFor`.
   */
  readonly handle: (handlers: PublicWebsocketHandlers) => Effect.Effect<void, ExchangeError, Scope.Scope>
  /**
   * Ends everything: the streams of the session and of all feeds end behind what they hold, everything is unsubscribed,
   * and later calls fail with `Closed`. When the Layer's scope closes, streams that are still read fail with `Closed`.
   */
  readonly close: Effect.Effect<void>
  /** Whether every socket that is needed is open. */
  readonly isConnected: Effect.Effect<boolean>
  /** Every change of every socket, beginning with the present state. */
  readonly status: Stream.Stream<ConnectionStatus>
  readonly performance: Effect.Effect<Performance>
  /**
   * One channel of one pair, needing no session. Returns once the exchange has accepted; the scope owns the
   * subscription, and the last holder's end unsubscribes. After a reconnect, a hole or an overflow the stream goes on
   * behind a `Gap`; it fails only when trying again cannot help. The stream runs once: a second run fails with
   * `InvalidUse`, for what the first had taken would be missing. Ask for a feed for each run.
   */
  readonly feed: <const C extends PublicChannel>(
    channel: C,
    options?: FeedOptions
  ) => Effect.Effect<Stream.Stream<Feed<EventOf<C>>, ExchangeError>, ExchangeError, Scope.Scope>
  /** The same for a synchronous consumer: returns once the exchange has accepted, calls until the scope closes. */
  readonly handleFeed: <const C extends PublicChannel>(
    channel: C,
    handlers: FeedHandlers<EventOf<C>>
  ) => Effect.Effect<void, ExchangeError, Scope.Scope>
  /**
   * The exchange is known to have gone on, and nothing of that has come on this channel: as a snapshot over REST shows. It is
   * taken for silent at once, with a `Gap` to all who follow it, and its book is shown again when its stream brings something,
   * not by a snapshot that no stream keeps up to date. A connection that has brought nothing else either is taken for silent as a
   * whole. False, and nothing is done, where the channel is not subscribed here. Not to be called in a socket's turn.
   */
  readonly reportMissed: (channel: PublicChannel) => boolean
}>()("effect-exchange/PublicWebsocket") {}

/** One channel of one pair as a stream that subscribes when it is run. */
export const stream = <const C extends PublicChannel>(
  channel: C,
  options?: FeedOptions
): Stream.Stream<Feed<EventOf<C>>, ExchangeError, PublicWebsocket> =>
  Stream.unwrap(Effect.flatMap(PublicWebsocket, (websocket) => websocket.feed(channel, options)))
