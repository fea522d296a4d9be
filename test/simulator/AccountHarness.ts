/** Accounts over a book of three levels a side. */
import { assert } from "@effect/vitest"
import type { WorldAccountEvent, WorldOrder, WorldPlace } from "../../src/AccountWorld.ts"
import type { MarketSource } from "../../src/simulator/Accounts.ts"
import { Accounts } from "../../src/simulator/Accounts.ts"
import { Ladder } from "../../src/simulator/Ladder.ts"
import { SimulatedBook } from "../../src/simulator/SimulatedBook.ts"

export const pair = "BTC/USDT"

/** Prices have one decimal, quantities two: bids 99.9, 99.8, 99.7 and asks 100.1, 100.2, 100.3, each of 1. */
const bookOf = (): SimulatedBook =>
  new SimulatedBook(
    { priceDecimals: 1, quantityDecimals: 2, version: 1, time: 0, history: 4096 },
    new Ladder([997, 998, 999], [100, 100, 100]),
    new Ladder([-1003, -1002, -1001], [100, 100, 100])
  )

const spotSource = (book: SimulatedBook, prints: Array<string> = []): MarketSource => ({
  pair,
  base: "BTC",
  quote: "USDT",
  priceDecimals: 1,
  quantityDecimals: 2,
  minQuantity: "0.01",
  minNotional: "1",
  contractSize: null,
  book,
  print: (side, price, quantity) => prints.push(`${side} ${quantity} @ ${price}`),
  markPrice: () => "100"
})

const key = { apiKey: "k", secret: "s", permissions: new Set(["read", "trade"] as const), addresses: null }

export const make = (overrides: Partial<MarketSource> = {}) => {
  const book = bookOf()
  const prints: Array<string> = []
  let now = 1_000
  const accounts = new Accounts({
    markets: [{ ...spotSource(book, prints), ...overrides }],
    seeds: [
      { userId: "1", keys: [key], balances: { BTC: "10", USDT: "10000" } },
      { userId: "2", keys: [{ ...key, apiKey: "k2" }], balances: { BTC: "10", USDT: "10000" } }
    ],
    fees: { maker: "0.001", taker: "0.002" },
    now: () => now
  })
  const [one, two] = accounts.all as [(typeof accounts.all)[0], (typeof accounts.all)[0]]
  const events: Array<WorldAccountEvent> = []
  one.watch((event) => events.push(event))
  return { accounts, book, prints, one, two, events, pass: (millis: number) => now += millis }
}

export const order = (fields: Partial<WorldPlace> = {}): WorldPlace => ({
  pair,
  side: "buy",
  type: "limit",
  timeInForce: "gtc",
  price: "99",
  quantity: "1",
  quoteQuantity: null,
  clientOrderId: null,
  reduceOnly: false,
  trigger: null,
  ...fields
})

export const placed = (result: WorldOrder | string): WorldOrder => {
  assert.isObject(result)
  return result as WorldOrder
}

export const balanceOf = (account: ReturnType<typeof make>["one"], asset: string) => {
  const { available, locked } = account.balances().find((balance) => balance.asset === asset)!
  return [available, locked]
}
