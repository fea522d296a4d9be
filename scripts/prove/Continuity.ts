/** Judges streams that must not break: every trade once, every book the exchange's, nothing twice, no gap. */
import { Effect, Stream } from "effect"
import type { Scope } from "effect"
import { OrderBook } from "../../src/composite/OrderBook.ts"
import type { Connection, Dial } from "../../src/connection/Connection.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { Feed } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { BookUpdate, MarketEvent } from "../../src/domain/Market.ts"
import type { ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import type { TopicPerformance } from "../../src/PublicWebsocket.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { SimulatorService } from "../../src/simulator/Simulator.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"

/** In minus out: 0 when every event is accounted for. */
export const imbalance = (topic: TopicPerformance): number =>
  topic.received + topic.reconciled -
  (topic.delivered + topic.conflated + topic.dropped + topic.stale + topic.abandoned + topic.unrouted +
    topic.duplicates)

export interface Tally {
  data: number
  gaps: number
  /** Trades that came twice or out of turn, best prices that went back. */
  repeated: number
  /** Trades that never came. */
  missing: number
  /** Book states that were compared with the exchange's. */
  books: number
  wrongBooks: number
}

const emptyTally = (): Tally => ({ data: 0, gaps: 0, repeated: 0, missing: 0, books: 0, wrongBooks: 0 })

const same = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean =>
  a.length === b.length && a.every((value, index) => value === b[index])

/** Watches one topic. */
class Watcher {
  readonly tally: Tally
  readonly #exchange: string
  readonly #pair: TradingPair
  readonly #simulator: SimulatorService
  readonly #book: OrderBook
  #reach = 0
  #trade: number | null = null
  #version = 0

  constructor(tally: Tally, exchange: string, pair: TradingPair, simulator: SimulatorService) {
    this.tally = tally
    this.#exchange = exchange
    this.#pair = pair
    this.#simulator = simulator
    this.#book = new OrderBook(pair)
  }

  take(item: Feed<MarketEvent>): void {
    if (item._tag === "Gap") {
      this.tally.gaps++
      this.#trade = null
      return
    }
    const { value } = item
    this.tally.data++
    if (value._tag === "Trade") this.#onTrade(parseInt(value.id ?? "", 10))
    else if (value._tag === "BookTicker") this.#onVersion(Number(value.version))
    else if (value._tag === "BookUpdate") this.#onBook(value)
  }

  #onTrade(id: number): void {
    if (this.#trade !== null && id <= this.#trade) this.tally.repeated++
    else if (this.#trade !== null) this.tally.missing += id - this.#trade - 1
    this.#trade = id
  }

  #onVersion(version: number): void {
    if (version < this.#version) this.tally.repeated++
    this.#version = version
  }

  #onBook(update: BookUpdate): void {
    if (update.kind === "snapshot") this.#reach = Math.min(20, update.bids.length / 2, update.asks.length / 2)
    if (this.#book.apply(update) !== "Applied") {
      this.tally.wrongBooks++
      return
    }
    const truth = this.#simulator.truth(this.#exchange, this.#pair, Number(update.version), this.#reach)
    const top = this.#book.view?.top(this.#reach)
    if (truth === undefined || top === undefined) return
    this.tally.books++
    const flat = (levels: typeof truth.bids) =>
      levels.flatMap(({ price, quantity }) => [Number(price), Number(quantity)])
    if (!same(top.bids, flat(truth.bids)) || !same(top.asks, flat(truth.asks))) this.tally.wrongBooks++
  }
}

/** Reads every channel of the pairs that the exchange has for one pair. */
export const watch = Effect.fnUntraced(function*(
  adapter: ExchangeAdapter,
  pairs: ReadonlyArray<TradingPair>
): Effect.fn.Return<Tally, ExchangeError.ExchangeError, PublicWebsocket | Simulator | Scope.Scope> {
  const websocket = yield* PublicWebsocket
  const simulator = yield* Simulator
  const tally = emptyTally()
  for (const pair of pairs) {
    for (const tag of adapter.channels) {
      const stream = yield* websocket.feed(Channel.forPair(tag, pair), { bufferSize: 1_000_000 })
      const watcher = new Watcher(tally, adapter.id, pair, simulator)
      yield* Effect.forkScoped(
        Stream.runForEach(
          stream as Stream.Stream<Feed<MarketEvent>, ExchangeError.ExchangeError>,
          (item) => Effect.sync(() => watcher.take(item))
        )
      )
    }
  }
  return tally
})

/** The open sockets, to be ended one by one. */
export const makeSockets = () => {
  const open: Array<Connection> = []
  let dialled = 0
  const through = (dial: Dial): Dial =>
    Effect.gen(function*() {
      const connection = yield* dial
      dialled++
      open.push(connection)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          open.splice(open.indexOf(connection), 1)
        })
      )
      return connection
    })
  const end = (index: number): Effect.Effect<void> => {
    const detail = "ended by the proof"
    const reason = ExchangeError.make("proof", new ExchangeError.Disconnected({ code: 1006, detail }))
    return open[index]?.abort(reason) ?? Effect.void
  }
  return { through, end, open, dialled: () => dialled }
}
