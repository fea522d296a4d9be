/** One pair that `PublicExchange` follows: what is known of it beside its book, and whether the exchange has taken it. */
import { Deferred, Effect } from "effect"
import type { Scope } from "effect"
import type { PublicTag } from "../domain/Channel.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type { BookTicker, FuturesTicker, Ticker } from "../domain/Market.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { FeedHandlers } from "../PublicWebsocket.ts"

/** The newest value of one channel. Every break empties it, so that it never shows what the exchange may have replaced. */
export class Newest<E> {
  value: E | null = null
  /** The last one, whatever has broken since. */
  last: E | null = null

  /** The handlers of one subscription; `end` is done when that brings nothing any more. */
  subscribe(end: Deferred.Deferred<ExchangeError>): FeedHandlers<E> {
    return {
      onEvent: (event) => {
        this.value = event
        this.last = event
      },
      onGap: () => {
        this.value = null
      },
      onEnd: (error) => {
        this.value = null
        Deferred.doneUnsafe(end, Effect.succeed(error))
      }
    }
  }
}

export class FollowedPair {
  readonly pair: TradingPair
  readonly bookTicker = new Newest<BookTicker>()
  readonly ticker = new Newest<Ticker>()
  readonly futuresTicker = new Newest<FuturesTicker>()
  /** Whoever asked for it: a call that fails gives its claim back. */
  claims = 0
  /** Whether its book is in sync. */
  isSynced = false
  wasSynced = false
  /** Everything that is subscribed for it. */
  scope: Scope.Closeable
  /** Done with null when the exchange has taken every channel, else with the first refusal. */
  answer = Deferred.makeUnsafe<ExchangeError | null>()
  /** Refused for good; what was subscribed has been given up. */
  refused: ExchangeError | null = null
  readonly #pending = new Set<PublicTag>()
  readonly #failing = new Map<PublicTag, ExchangeError>()

  constructor(pair: TradingPair, scope: Scope.Closeable) {
    this.pair = pair
    this.scope = scope
  }

  /** Asked for: for the first time, or again behind a refusal. */
  begin(scope: Scope.Closeable, channels: Iterable<PublicTag>): void {
    this.scope = scope
    this.refused = null
    this.isSynced = false
    this.#failing.clear()
    this.#pending.clear()
    for (const channel of channels) this.#pending.add(channel)
    if (Deferred.isDoneUnsafe(this.answer)) this.answer = Deferred.makeUnsafe()
  }

  /** The exchange has taken a channel. */
  accept(channel: PublicTag): void {
    this.#failing.delete(channel)
    if (this.#pending.delete(channel) && this.#pending.size === 0) this.#settle(null)
  }

  /** A channel works again. */
  recover(channel: PublicTag): void {
    this.#failing.delete(channel)
  }

  /** A channel failed with what may pass: it is tried again. */
  fail(channel: PublicTag, error: ExchangeError): void {
    this.#failing.set(channel, error)
    this.#settle(error)
  }

  /** The exchange refuses the pair for good, or nobody follows it any more. */
  refuse(error: ExchangeError): void {
    this.refused = error
    this.isSynced = false
    for (const newest of [this.bookTicker, this.ticker, this.futuresTicker]) newest.value = null
    this.#settle(error)
  }

  /** Why something of it is missing, for good or for now; null when nothing is. */
  get error(): ExchangeError | null {
    return this.refused ?? this.#failing.values().next().value ?? null
  }

  /** Of the last ticker of any kind, ms; null before the first. */
  get tickerAt(): number | null {
    const times = [this.bookTicker.last, this.ticker.last, this.futuresTicker.last].flatMap((event) =>
      event === null ? [] : [event.receivedAt]
    )
    return times.length === 0 ? null : Math.max(...times)
  }

  #settle(error: ExchangeError | null): void {
    Deferred.doneUnsafe(this.answer, Effect.succeed(error))
  }
}
