import { assert, describe, it } from "@effect/vitest"
import * as Routes from "../../src/arbitrage/Routes.ts"
import * as Instrument from "../../src/domain/Instrument.ts"

const spot = (exchange: string, base: string, quote = "USDT", facts: Partial<Instrument.Instrument> = {}) =>
  Instrument.spot({ exchange, symbol: base + quote, base, quote, priceStep: 0.01, quantityStep: 0.001, ...facts })

const swap = (exchange: string, base: string, settle = "USDT", quote = "USDT") =>
  spot(exchange, base, quote, {
    pair: Instrument.pairOf(base, quote, settle),
    kind: "swap",
    settle,
    contractSize: 0.0001,
    quantityStep: 1,
    minQuantity: 1
  })

const fees = { a: 0.001, b: 0.002, f: 0.0005 }

const ids = (...args: Parameters<typeof Routes.between>): ReadonlyArray<string> =>
  Routes.between(...args).map(({ id }) => id)

describe("Routes.between", () => {
  it("joins markets of one base that are counted in the same money", () => {
    const found = Routes.between(
      [[spot("a", "BTC"), spot("a", "ETH"), spot("a", "BTC", "USDC")], [spot("b", "BTC")], [swap("f", "BTC")]],
      fees
    )
    assert.deepStrictEqual(found.map(({ id }) => id), ["BTC/USDT a b", "BTC/USDT a f", "BTC/USDT b f"])
    assert.deepStrictEqual(found[1], {
      id: "BTC/USDT a f",
      first: {
        exchange: "a",
        pair: "BTC/USDT",
        kind: "spot",
        contractSize: 1,
        quantityStep: 0.001,
        minQuantity: null,
        minNotional: null,
        takerFee: 0.001
      },
      second: {
        exchange: "f",
        pair: "BTC/USDT:USDT",
        kind: "swap",
        contractSize: 0.0001,
        quantityStep: 1,
        minQuantity: 1,
        minNotional: null,
        takerFee: 0.0005
      }
    })
  })

  it("leaves out contracts whose profit is in something else", () => {
    assert.deepStrictEqual(ids([[spot("a", "BTC", "USD")], [swap("f", "BTC", "BTC", "USD")]], fees), [])
    assert.deepStrictEqual(ids([[spot("a", "BTC", "USD")], [swap("f", "BTC", "USD", "USD")]], fees), ["BTC/USD a f"])
  })

  it("leaves out what does not trade now", () => {
    assert.deepStrictEqual(ids([[spot("a", "BTC")], [spot("b", "BTC", "USDT", { status: "paused" })]], fees), [])
  })

  it("leaves out exchanges whose fee is not known, and takes fees by instrument", () => {
    assert.deepStrictEqual(ids([[spot("a", "BTC")], [spot("c", "BTC")]], fees), [])
    const [route] = Routes.between(
      [[spot("a", "BTC")], [spot("c", "BTC")]],
      ({ exchange }) => exchange === "a" ? 0.1 : 0
    )
    assert.deepStrictEqual([route?.first.takerFee, route?.second.takerFee], [0.1, 0])
  })

  it("keeps what the filter wants", () => {
    const all = [[spot("a", "BTC"), spot("a", "ETH")], [spot("b", "BTC"), spot("b", "ETH")]]
    assert.deepStrictEqual(ids(all, fees, (_, { base }) => base === "ETH"), ["ETH/USDT a b"])
    assert.deepStrictEqual(ids(all, fees, ({ second }) => second.exchange === "a"), [])
  })

  it("joins spot and perpetual of one exchange, each with its own name", () => {
    assert.deepStrictEqual(ids([[spot("a", "BTC"), swap("a", "BTC")]], fees), ["BTC/USDT a/spot a/swap"])
  })
})
