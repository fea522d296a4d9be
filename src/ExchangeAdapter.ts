/**
 * What an exchange is, as data. An adapter opens nothing, times nothing and retries nothing: it says where to connect,
 * how requests read, how frames decode, how books join, and what the limits are.
 */
import type { Duration, Effect } from "effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { AccountAdapter } from "./AccountAdapter.ts"
import type { Endpoint, OutFrame } from "./connection/Connection.ts"
import type { PublicChannel, PublicTag } from "./domain/Channel.ts"
import type { ExchangeId, Instrument, InstrumentOf, TradingPair } from "./domain/Instrument.ts"
import type { BookUpdate, MarketEvent } from "./domain/Market.ts"
import type { PrivateTag } from "./domain/PrivateChannel.ts"
import * as Sequence from "./domain/Sequence.ts"
import type { ExchangeError } from "./ExchangeError.ts"
import type { Answer, Heartbeat, Refusal, Stamp } from "./ExchangeProtocol.ts"
import type { Ability } from "./OrderEntry.ts"

export type { Answer, Heartbeat, Refusal, Stamp } from "./ExchangeProtocol.ts"

/**
 * One stream on the wire, such as Gate's `spot.book_ticker` of `BTC_USDT`. The codec hands the same object to the
 * session with every event of the topic, so that routing costs no lookup; `slot` is the session's own.
 */
export interface Topic {
  /** Canonical key: equal for the request, its acknowledgement and its data. */
  readonly key: string
  readonly channel: PublicTag
  /** The exchange's name of the instrument. */
  readonly symbol: string
  /** Null while no instrument is known for the symbol; the session sets it when the topic is subscribed. */
  pair: TradingPair | null
  /** Base units in one contract: 1 on spot; null while no instrument is known for a swap. The session sets it. */
  contractSize: number | null
  /** Belongs to whoever made the topic table. */
  slot: unknown
}

/** One frame to send and what it asks for. */
export interface Request {
  readonly frame: OutFrame
  readonly id: number
  readonly topics: ReadonlyArray<Topic>
}

/** Receives what a frame holds. Called synchronously, in the order of the wire; every frame leads to at least one call. */
export interface Sink {
  /** One domain event of a topic. A frame with several trades calls it several times. */
  readonly event: (topic: Topic, event: MarketEvent) => void
  readonly acknowledged: (answer: Answer) => void
  readonly rejected: (answer: Answer, refusal: Refusal) => void
  readonly pong: () => void
  /** A frame to send back at once, to a ping in the exchange's own protocol. Left out by sinks that have no connection. */
  readonly reply?: ((frame: OutFrame) => void) | undefined
  /** The exchange announces that it will close the connection. */
  readonly closing: (detail: string) => void
  /** A well-formed frame that means nothing to us: an unknown body, a retired channel, a wrapper without body. */
  readonly ignored: (detail: string) => void
  /** A frame that cannot be read. Nothing of it is delivered. */
  readonly failed: (detail: string) => void
  /** The fast path met a layout it does not know and the generic decoder read the frame instead. Counted, never silent. */
  readonly fallback: () => void
}

/** What a codec needs. */
export interface CodecContext {
  /** Finds or makes the topic of a key. Called once for each new key: the codec keeps the result by its bytes. */
  readonly topicOf: (key: string, channel: PublicTag, symbol: string) => Topic
  /** What is known of a symbol, for topics of every pair, whose events name other symbols than the topic does. */
  readonly instrumentOf?: InstrumentOf | undefined
}

/** Made anew for every connection: no state leaks from one to the next. */
export interface Codec {
  /**
   * Decodes one frame into the sink. Never throws. `receivedAt` goes into the events.
   * `frame` may be a view of a larger buffer: nothing may keep it.
   */
  readonly decode: (frame: Uint8Array, receivedAt: number, sink: Sink) => void
  /**
   * The same for the frame in `bytes[start, end)`, without a view of it: what lies before and behind belongs to other
   * frames. A codec that has this is spared a tenth of what a small frame costs (2026-11-26).
   */
  readonly decodeIn?:
    | ((bytes: Uint8Array, start: number, end: number, receivedAt: number, sink: Sink) => void)
    | undefined
}

/** How a book is joined and followed: the exchange's numbered steps as pure functions. */
export interface BookRecipe {
  /**
   * `InStream`: the exchange pushes a snapshot when a subscription begins. `Fetch`: a REST snapshot is joined to the
   * deltas. `EveryUpdate`: the exchange pushes nothing but snapshots, so whoever needs one waits for the next.
   */
  readonly snapshot: "InStream" | "Fetch" | "EveryUpdate"
  /** First delta behind a fetched snapshot. `stale`: drop it. `gap`: the snapshot is too old, fetch another. */
  readonly joins: (snapshotVersion: Sequence.Sequence, update: BookUpdate) => "apply" | "stale" | "gap"
  /** Every later delta. */
  readonly follows: (lastVersion: Sequence.Sequence, update: BookUpdate) => "apply" | "stale" | "gap"
}

export interface Limits {
  readonly topicsPerConnection: number
  /**
   * The detail of a refusal with which the exchange turns a topic down that is beyond its limit of a connection, where it
   * refuses other topics in the same words (MEXC: `Blocked!`). Such a topic is tried once more on another connection.
   * Left out where a refusal is always about the topic.
   */
  readonly fullRefusal?: string | undefined
  readonly topicsPerRequest: number
  /** Largest request in bytes. */
  readonly requestBytes: number
  /** Client to server messages. */
  readonly requestsPerSecond: number
  /** New connections. */
  readonly dialsPerSecond: number
  /** REST requests per second that leave headroom below the documented limit. */
  readonly restPerSecond: number
  /**
   * So many books may be asked for together, where nothing was for as long as they would take; one when left out. Other requests are evenly spaced: many programs behind
   * one address begin with them.
   */
  readonly restBurst?: number | undefined
  /** How many REST requests may run at once. */
  readonly restConcurrency: number
  /** The exchange ends a connection at this age at the latest; null where it names none. */
  readonly connectionAge: Duration.Input | null
}

/** A bound on silence that is learned for each topic from what comes on it. */
export interface LearnedSilence {
  /** Nothing shorter is silence, however often something comes. */
  readonly floor: Duration.Input
  /** Whatever is longer is silence. */
  readonly ceiling: Duration.Input
  /** The bound before anything came; then at most `factor` times that until enough did. Default: the ceiling. */
  readonly initial?: Duration.Input | undefined
  /** So many times the longest gap of late is silence. Default 3. */
  readonly factor?: number | undefined
}

export type SilenceBound = Duration.Input | LearnedSilence

/** How long a confirmed topic may be silent before it is subscribed anew; null or left out where silence is normal. */
export type SilenceBounds = Readonly<Partial<Record<PublicTag, SilenceBound | null>>>

/** A topic's name, or why there is none. */
export type TopicName =
  | { readonly _tag: "Topic"; readonly key: string }
  | { readonly _tag: "Unsupported"; readonly detail: string }

/** REST calls of one exchange over an injected client. */
export interface Rest {
  readonly instruments: Effect.Effect<ReadonlyArray<Instrument>, ExchangeError>
  /** The exchange's clock, ms. */
  readonly serverTime: Effect.Effect<number, ExchangeError>
  /** What was traded within 24 hours, in quote, by symbol: the order in which pairs matter. Left out where unknown. */
  readonly turnovers?: Effect.Effect<ReadonlyMap<string, number>, ExchangeError> | undefined
  /** A whole book fit to join the channel's deltas. `attempt` counts from 0: ask for less depth when it rises. */
  readonly book: (symbol: string, channel: BookRequest, attempt: number) => Effect.Effect<BookUpdate, ExchangeError>
}

export type BookRequest = Extract<PublicChannel, { readonly _tag: "Book" }>

export interface RestOptions {
  readonly client: HttpClient.HttpClient
  /** Without trailing slash. */
  readonly url: string
  readonly instrumentOf: InstrumentOf
}

/** One row of the coverage table in the documentation. */
export interface Coverage {
  readonly channel: PublicTag
  readonly wire: string
  readonly note: string
  /** The exchange's document that says so. */
  readonly source: string
}

export interface Addresses {
  readonly websocket: string
  /** Without trailing slash. */
  readonly rest: string
}

export interface ExchangeAdapter<
  out Id extends ExchangeId = ExchangeId,
  out Tags extends PublicTag = PublicTag,
  out PrivateTags extends PrivateTag = PrivateTag,
  out Can extends Ability = Ability,
  out Kind extends Instrument["kind"] = Instrument["kind"]
> {
  readonly id: Id
  /** For people: "MEXC spot". */
  readonly name: string
  /** On `swap` quantities are contracts, and the session reads the instruments for the size of one. */
  readonly kind: Kind
  readonly channels: ReadonlySet<Tags>
  readonly coverage: ReadonlyArray<Coverage>
  /** The live addresses, and those of the exchange's test net where it has one. */
  readonly urls: Addresses & { readonly testnet?: Addresses | undefined }
  readonly endpoint: (url: string) => Endpoint
  /** The exchange's name for a pair; null when a pair of this kind cannot be written (a swap on a spot market). */
  readonly symbol: (pair: TradingPair) => string | null
  readonly topic: (channel: PublicChannel, symbol: string) => TopicName
  /** Frames that ask for these topics, each within the limits. */
  readonly subscribe: (topics: ReadonlyArray<Topic>, stamp: Stamp) => ReadonlyArray<Request>
  /**
   * How a request with several topics is refused. `whole`: one bad topic refuses all of them, so the session halves the
   * list until the bad one stands alone. `each`: the answer names the bad ones and the others are accepted.
   */
  readonly listRefusal: "whole" | "each"
  readonly unsubscribe: (topics: ReadonlyArray<Topic>, stamp: Stamp) => ReadonlyArray<Request>
  readonly makeCodec: (context: CodecContext) => Codec
  readonly book: (channel: BookRequest) => BookRecipe
  readonly heartbeat: Heartbeat
  readonly silence: SilenceBounds
  readonly limits: Limits
  readonly makeRest: (options: RestOptions) => Rest
  /** Private stream and order entry; left out by an exchange of market data only. */
  readonly account?: AccountAdapter<PrivateTags, Can> | undefined
}

/** Keeps the literal id, tags, abilities and kind of an adapter and checks it at the field. */
export const make = <
  const Id extends ExchangeId,
  const Tags extends PublicTag,
  const PrivateTags extends PrivateTag = never,
  const Can extends Ability = never,
  const Kind extends Instrument["kind"] = Instrument["kind"]
>(
  adapter: ExchangeAdapter<Id, Tags, PrivateTags, Can, Kind>
): ExchangeAdapter<Id, Tags, PrivateTags, Can, Kind> => adapter

export const named = (key: string): TopicName => ({ _tag: "Topic", key })

/** `detail` says what is on offer instead. */
export const unsupported = (detail: string): TopicName => ({ _tag: "Unsupported", detail })

/** Where a delta has to begin right behind the last update: what ends before is stale, all else is a gap. */
export const followsExactly: BookRecipe["follows"] = (lastVersion, update) => {
  if (Sequence.equals(update.firstVersion, Sequence.next(lastVersion))) return "apply"
  return update.version <= lastVersion ? "stale" : "gap"
}
