/** What `gateio-api` reads from our simulated Gate is what the simulator knows to be true. It keeps no books itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { RestClient } from "gateio-api"
import type { WsKey } from "gateio-api"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import { dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import * as Judges from "./Judges.ts"

interface Product {
  readonly id: "gate-spot" | "gate-futures"
  readonly pairs: ReadonlyArray<TradingPair>
  readonly wsKey: WsKey
  /** What its channels begin with. */
  readonly area: string
}

const spot: Product = {
  id: "gate-spot",
  pairs: ["BTC/USDT", "ETH/USDT", "DOGE/USDT"],
  wsKey: "spotV4",
  area: "spot"
}

/** Contracts that trade in whole numbers and in fractions. */
const futures: Product = {
  id: "gate-futures",
  pairs: ["BTC/USDT:USDT", "ETH/USDT:USDT", "DOGE/USDT:USDT"],
  wsKey: "perpFuturesUSDTV4",
  area: "futures"
}

const names = ["BTC_USDT", "ETH_USDT", "DOGE_USDT"]

const simulate = ({ pairs }: Product) =>
  Simulator.make({ dialects, pairs, seed: 7, rate: 100, limits: "off", autoRun: false })

/** The same number with and without zeros behind it. */
const numbers = (texts: ReadonlyArray<string | number>): ReadonlyArray<number> => texts.map(Number)

type Rows = ReadonlyArray<readonly [price: string, quantity: string]>

/** What it emits is the frame, parsed. */
interface Push<Result> {
  readonly channel: string
  readonly result: Result
}

interface Trade {
  readonly id: number
  readonly price: string
  /** Spot. */
  readonly side: string
  readonly amount: string
}

interface ContractTrade {
  readonly id: number
  readonly price: string
  /** Below zero where the taker sold. */
  readonly size: string
}

interface Ticker {
  readonly s: string
  readonly u: number
  readonly b: string
  /** A text on spot and with the header, a whole number otherwise. */
  readonly B: string | number
  readonly a: string
  readonly A: string | number
}

interface Update {
  readonly full?: boolean
  readonly U: number
  readonly u: number
  readonly b?: Rows
  readonly a?: Rows
}

interface Response {
  readonly error?: { readonly code: number; readonly message: string }
  readonly result: { readonly status: string }
}

/** A client subscribed to one topic, and what it emits. */
const dial = Effect.fnUntraced(function*<Result>(product: Product, topic: string, payload: ReadonlyArray<string>) {
  const simulator = yield* simulate(product)
  yield* simulator.inject("reject:ETH/USDT,topic=spot.trades*")
  const client = yield* Judges.gateioApi(simulator.urls[product.id]!, {
    pingInterval: 20,
    wsOptions: { headers: { "X-Gate-Size-Decimal": "1" } }
  })
  const updates: Array<Result> = []
  const responses: Array<Response> = []
  client.on("update", (update: Push<Result>) => updates.push(update.result))
  client.on("response", (response: Response) => responses.push(response))
  client.subscribe([{ topic: `${product.area}.${topic}`, payload }], product.wsKey)
  return { simulator, updates, responses }
})

describe("gateio-api", () => {
  it.live("reads pairs, currencies and books over REST", () =>
    Effect.gen(function*() {
      const simulator = yield* simulate(spot)
      const rest = new RestClient({ baseUrl: simulator.urls[spot.id]!.rest })
      const listed = yield* Effect.promise(() => rest.getSpotCurrencyPairs())
      assert.deepStrictEqual(listed.map(({ id }) => id), names)
      const currencies = yield* Effect.promise(() => rest.getSpotCurrencies())
      assert.deepStrictEqual(currencies.map(({ currency }) => currency), ["BTC", "USDT", "ETH", "DOGE"])
      const query = { currency_pair: "ETH_USDT", limit: 20, with_id: true }
      const { asks, bids, id: version } = yield* Effect.promise(() => rest.getSpotOrderBook(query))
      const truth = simulator.book(spot.id, "ETH/USDT", 20)!
      assert.strictEqual(version, truth.version)
      assert.deepStrictEqual<unknown>({ bids: bids.map(numbers), asks: asks.map(numbers) }, Judges.levelsOf(truth))
    }).pipe(Effect.scoped))

  it.live("receives every trade of spot", () =>
    Effect.gen(function*() {
      const { simulator, updates } = yield* dial<Trade>(spot, "trades", ["BTC_USDT"])
      yield* Judges.passUntil(simulator, () => updates.length >= 100)
      const seen = updates.map(({ amount, id, price, side }) => [id, side, price, amount])
      const truth = simulator.trades(spot.id, "BTC/USDT").map((trade) => [
        trade.id,
        trade.side,
        trade.price,
        trade.quantity
      ])
      const first = truth.findIndex(([id]) => id === seen[0]![0])
      assert.deepStrictEqual(seen, truth.slice(first, first + seen.length))
    }).pipe(Effect.scoped))

  it.live("receives every trade of a contract", () =>
    Effect.gen(function*() {
      const { simulator, updates } = yield* dial<ReadonlyArray<ContractTrade>>(futures, "trades", ["DOGE_USDT"])
      yield* Judges.passUntil(simulator, () => updates.length >= 50)
      const seen = updates.flat().map(({ id, price, size }) => numbers([id, price, size]))
      const truth = simulator.trades(futures.id, "DOGE/USDT:USDT").map(({ id, price, quantity, side }) =>
        numbers([id, price, side === "buy" ? quantity : `-${quantity}`])
      )
      const first = truth.findIndex(([id]) => id === seen[0]![0])
      assert.deepStrictEqual(seen, truth.slice(first, first + seen.length))
    }).pipe(Effect.scoped))

  for (const product of [spot, futures]) {
    const { id, pairs } = product

    it.live(`${id}: reads best bid and ask at their update id`, () =>
      Effect.gen(function*() {
        const { simulator, updates } = yield* dial<Ticker>(product, "book_ticker", names)
        yield* Judges.passUntil(simulator, () => updates.length >= 100)
        for (const { A, B, a, b, s, u } of updates) {
          const { asks: [ask], bids: [bid] } = Judges.levelsOf(simulator.truth(id, pairs[names.indexOf(s)]!, u, 1)!)
          assert.deepStrictEqual<unknown>([numbers([b, B]), numbers([a, A])], [bid, ask])
        }
      }).pipe(Effect.scoped))

    it.live(`${id}: receives chains of book updates that add up to the truth`, () =>
      Effect.gen(function*() {
        const { simulator, updates } = yield* dial<Update>(product, "obu", ["ob.DOGE_USDT.50"])
        yield* Judges.passUntil(simulator, () => updates.length >= 100)
        const truth = simulator.book(id, pairs[2]!, 50)!
        yield* Judges.settled(() => updates.at(-1)!.u === truth.version)
        const sides = { b: new Map<number, number>(), a: new Map<number, number>() }
        let last = 0
        for (const update of updates) {
          if (update.full !== true) assert.strictEqual(update.U, last + 1)
          for (const name of ["a", "b"] as const) {
            for (const [price, quantity] of update[name] ?? []) {
              if (+quantity === 0) sides[name].delete(+price)
              else sides[name].set(+price, +quantity)
            }
          }
          last = update.u
        }
        const sorted = (side: ReadonlyMap<number, number>, sign: 1 | -1) => [...side].sort(([a], [b]) => sign * (a - b))
        assert.deepStrictEqual<unknown>({ bids: sorted(sides.b, -1), asks: sorted(sides.a, 1) }, Judges.levelsOf(truth))
      }).pipe(Effect.scoped))
  }

  it.live("is answered when it pings, and when a subscription is refused", () =>
    Effect.gen(function*() {
      const { responses, simulator } = yield* dial<Trade>(spot, "trades", ["ETH_USDT"])
      yield* Judges.settled(() => responses.length > 0)
      assert.deepInclude(responses[0]!.error, { code: 2, message: "refused by a fault" })
      assert.strictEqual(responses[0]!.result.status, "fail")
      yield* Judges.settled(() => simulator.counts().exchanges[spot.id]!.control.pong > 1)
    }).pipe(Effect.scoped))
})
