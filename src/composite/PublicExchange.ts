/**
 * An exchange's market as one thing: what it lists, books in step, best prices, tickers and funding of the pairs that are
 * followed, over REST and the WebSocket. Stands on the services only, so it is the same for every exchange, a test double
 * and the simulator.
 */
import { Context } from "effect"
import type { Effect, Scope, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { ExchangeId, Instrument, TradingPair } from "../domain/Instrument.ts"
import type { BookTicker, FuturesTicker, Ticker } from "../domain/Market.ts"
import type { ClockReading } from "../ExchangeClock.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { Subscribed } from "../PublicWebsocket.ts"
import type { LiveBook } from "./OrderBooks.ts"

/** Best bid and ask of a pair, from its book while that is in sync, else from the best ticker. */
export interface BestPrice {
  readonly pair: TradingPair
  /** Quote. */
  readonly bidPrice: number
  /** Base (spot) or contracts (swap). */
  readonly bidQuantity: number
  /** Quote. */
  readonly askPrice: number
  /** Base (spot) or contracts (swap). */
  readonly askQuantity: number
  readonly source: "book" | "bookTicker"
  /** The exchange's time, ms; null when it sends none. */
  readonly exchangeTime: number | null
  /** When the bytes were read from the socket, ms with fractions. */
  readonly receivedAt: number
}

/** Funding of a perpetual: who is long pays `rate` of the position's value at `nextAt` to who is short. */
export interface Funding {
  readonly pair: TradingPair
  /** A fraction of the position's value, for one interval; negative: shorts pay. */
  readonly rate: number
  /** The rate that is expected for the interval after this one; null where the exchange tells none. */
  readonly nextRate: number | null
  /** ms. */
  readonly nextAt: number | null
  /** From one payment to the next, ms. */
  readonly interval: number | null
  /** Quote. */
  readonly markPrice: number | null
  /** Quote. */
  readonly indexPrice: number | null
  readonly receivedAt: number
}

/** `starting`: not all of it has been there yet. `degraded`: it works, but not for every pair. `down`: no data at all. */
export type HealthState = "starting" | "healthy" | "degraded" | "down" | "closed"

export interface PublicHealth {
  readonly exchange: ExchangeId
  readonly state: HealthState
  /** What is wrong, in words; empty when healthy. */
  readonly problems: ReadonlyArray<string>
  readonly isConnected: boolean
  readonly pairs: number
  readonly booksSynced: number
  /** Pairs whose book is not in sync now. */
  readonly stale: ReadonlyArray<TradingPair>
  /** Pairs that the exchange refuses, and why. */
  readonly refused: ReadonlyMap<TradingPair, ExchangeError>
  /** Of the youngest data of any pair, ms; null before the first. */
  readonly lastDataAt: number | null
  /** When the instruments were last read, ms; null before the first time. */
  readonly instrumentsAt: number | null
  /** Our clock minus the exchange's; null while it has not been measured. */
  readonly clock: ClockReading | null
}

/** The instruments of an exchange, read once and again at intervals; a failed refresh keeps what is known. */
export interface Instruments {
  /** Every instrument listed, by pair. */
  readonly all: Effect.Effect<ReadonlyMap<TradingPair, Instrument>, ExchangeError>
  /** Fails with `UnknownPair` for what is not listed. */
  readonly get: (pair: TradingPair) => Effect.Effect<Instrument, ExchangeError>
  /** Reads them anew now. */
  readonly refresh: Effect.Effect<ReadonlyMap<TradingPair, Instrument>, ExchangeError>
  /** What was listed, delisted or changed by a refresh, as it is noticed. */
  readonly changes: Stream.Stream<InstrumentChange>
}

export interface InstrumentChange {
  readonly _tag: "Listed" | "Delisted" | "Changed"
  readonly instrument: Instrument
}

/** Called synchronously in the turn that changed the book: see `OrderBooks.onUpdate`. */
export type BookConsumer = (live: LiveBook) => void

export class PublicExchange extends Context.Service<PublicExchange, {
  readonly exchange: ExchangeId
  /** Follows these pairs: their books, best prices and tickers, and funding where the exchange has perpetuals. */
  readonly initialize: (pairs: NonEmptyReadonlyArray<TradingPair>) => Effect.Effect<Subscribed, ExchangeError>
  /** Follows further pairs. A pair that is followed already is no error. */
  readonly add: (pairs: NonEmptyReadonlyArray<TradingPair>) => Effect.Effect<Subscribed, ExchangeError>
  /** No longer follows these. A pair that is not followed is no error. */
  readonly remove: (pairs: NonEmptyReadonlyArray<TradingPair>) => Effect.Effect<void, ExchangeError>
  /** Followed now. */
  readonly pairs: () => ReadonlyArray<TradingPair>
  readonly instruments: Instruments
  /** The book as it is, at the cost of a look-up; undefined when the pair is not followed. */
  readonly book: (pair: TradingPair) => LiveBook | undefined
  /** Waits until the pair's book is in sync. */
  readonly awaitBook: (pair: TradingPair) => Effect.Effect<LiveBook, ExchangeError>
  /** Calls `consumer` with every change of every followed book, those added later too, until the scope closes. */
  readonly onBook: (consumer: BookConsumer) => Effect.Effect<void, never, Scope.Scope>
  /** Null while there is none. */
  readonly bestPrice: (pair: TradingPair) => BestPrice | null
  /** Null while none has come. */
  readonly bookTicker: (pair: TradingPair) => BookTicker | null
  /** Last 24 hours; null while none has come, and on swaps, see `futuresTicker`. */
  readonly ticker: (pair: TradingPair) => Ticker | null
  /** Null while none has come, and on spot. */
  readonly futuresTicker: (pair: TradingPair) => FuturesTicker | null
  /** Fails with `UnsupportedChannel` on a spot exchange; null while none has come. */
  readonly funding: (pair: TradingPair) => Effect.Effect<Funding | null, ExchangeError>
  /** How far our clock is from the exchange's; null while it has not been measured. */
  readonly clock: () => ClockReading | null
  /** Reads instruments and clock anew and compares every book with a snapshot, within the exchange's limits. */
  readonly refresh: Effect.Effect<void, ExchangeError>
  readonly health: Effect.Effect<PublicHealth>
  /** Every change of `health.state`, beginning with the present one. */
  readonly healthChanges: Stream.Stream<PublicHealth>
  readonly close: Effect.Effect<void>
}>()("effect-exchange/PublicExchange") {}
