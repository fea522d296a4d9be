/** Any course of an account's doings in a market that lives: what must hold of money, orders and fills at every moment. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, BigDecimal, Effect, Random, Schema } from "effect"
import type { WorldAccount, WorldAccountEvent, WorldFill, WorldOrder, WorldPlace } from "../../src/AccountWorld.ts"
import { isRefusal } from "../../src/AccountWorld.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { ExchangeDialect } from "../../src/ExchangeDialect.ts"
import { Engine } from "../../src/simulator/Engine.ts"
import { factsOf } from "../../src/simulator/PairFacts.ts"
import * as Publish from "../../src/simulator/Publish.ts"
import { toy } from "./ToyDialect.ts"

const { multiply, subtract, sum, sumAll } = BigDecimal

const spot = "DOGE/USDT"
const swap = "DOGE/USDT:USDT"

const toySwap: ExchangeDialect = { ...toy, id: "toy-swap", kind: "swap", fees: { maker: "-0.0001", taker: "0.0005" } }

const draws = (name: string) => Effect.runSync(Random.withSeed(Effect.service(Random.Random), name))

const seed = (userId: string) => ({
  userId,
  keys: [],
  balances: { USDT: "20000", DOGE: "50000" }
})

const start = (name: string): Engine =>
  new Engine({
    dialects: [toy, toySwap],
    pairs: [spot],
    draws: (purpose) => draws(`${name} ${purpose}`),
    limits: "off",
    bookPhases: "shared",
    rate: 400,
    tradeRate: 200,
    levels: 20,
    history: 1_024,
    version: 1,
    tickMillis: 10,
    epoch: 1_700_000_000_000,
    clock: undefined,
    accounts: { toy: [seed("1"), seed("2")], "toy-swap": [seed("1"), seed("2")] }
  })

const below = (limit: number) =>
  Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: limit - 1 }))))

const step = Arbitrary.map(
  Arbitrary.all([below(14), below(2), below(2), below(2), below(21), below(6), below(64)]),
  ([action, where, who, side, distance, size, kind]) => ({ action, where, who, side, distance, size, kind })
)
type Step = typeof step extends Arbitrary.Arbitrary<infer A> ? A : never

/** What was told of one account, beside what can be asked. */
interface Watched {
  readonly engine: Engine
  readonly exchange: string
  readonly pair: TradingPair
  readonly account: WorldAccount
  readonly events: Array<WorldAccountEvent>
}

const sizes = ["1", "7", "60", "500", "4000", "30000"]
const tifs = ["gtc", "ioc", "fok", "postOnly"] as const

const priceNear = ({ engine, exchange, pair }: Watched, distance: number): string => {
  const { book } = engine.market(exchange, pair)!
  const { price: first, priceDecimals } = factsOf(pair)
  const [bid] = book.at(book.version, 1)!.bids
  // Orders may have bought or sold a side of the book out.
  const price = sum(Decimal.of(bid?.price ?? String(first)), BigDecimal.make(BigInt(distance - 10), priceDecimals))
  return Decimal.toText(price)
}

/** Of some bits: reduce-only, behind a trigger, and market or limit, by quantity or by an amount to spend. */
const requestOf = (watched: Watched, step: Step): WorldPlace => {
  const { distance, kind, side } = step
  const rule = side === 0 ? "atOrAbove" : "atOrBelow"
  return {
    pair: watched.pair,
    side: side === 0 ? "buy" : "sell",
    clientOrderId: null,
    reduceOnly: watched.pair === swap && (kind & 8) === 0,
    trigger: (kind & 7) === 5 ? { price: priceNear(watched, distance), rule } : null,
    ...((kind & 3) === 0 ? marketOf(watched, step) : limitOf(watched, step))
  }
}

type Terms = Pick<WorldPlace, "type" | "timeInForce" | "price" | "quantity" | "quoteQuantity">

const limitOf = (watched: Watched, { distance, kind, size }: Step): Terms => ({
  type: "limit",
  timeInForce: tifs[kind >> 4]!,
  price: priceNear(watched, distance),
  quantity: sizes[size]!,
  quoteQuantity: null
})

const marketOf = ({ pair }: Watched, { kind, side, size }: Step): Terms => {
  const spends = side === 0 && pair === spot && (kind & 4) === 0
  return {
    type: "market",
    timeInForce: "ioc",
    price: null,
    quantity: spends ? null : sizes[size]!,
    quoteQuantity: spends ? sizes[size]! : null
  }
}

type Act = (watched: Watched, step: Step) => void

const someOpen = ({ account }: Watched, { distance }: Step): WorldOrder | undefined => {
  const open = account.orders({ open: true })
  return open[distance % Math.max(1, open.length)]
}

const place: Act = (watched, step) => void watched.account.place(requestOf(watched, step))

const cancel: Act = (watched, step) => {
  const order = someOpen(watched, step)
  if (order !== undefined) assert.isFalse(isRefusal(watched.account.cancel({ id: order.id })))
}

const amend: Act = (watched, step) => {
  const order = someOpen(watched, step)
  if (order === undefined) return
  watched.account.amend(
    { id: order.id },
    step.kind < 32 ? { price: priceNear(watched, step.distance) } : { quantity: sizes[step.size] }
  )
}

const pass: Act = ({ engine }, { size }) => {
  for (let i = 0; i <= 2 * size; i++) engine.tick()
}

const publish = ({ engine, exchange, pair }: Watched, change: Publish.Change): void => {
  const market = engine.market(exchange, pair)!
  const fund = (rate: string | undefined) => engine.exchanges.get(exchange)!.world.payFunding(pair, rate)
  Publish.publish({ market, time: engine.time, fund }, change)
}

const print: Act = (watched, step) =>
  publish(watched, {
    _tag: "Trade",
    side: step.side === 0 ? "buy" : "sell",
    price: priceNear(watched, step.distance),
    quantity: sizes[step.size]!
  })

const fund: Act = (watched, { kind }) => publish(watched, { _tag: "Funding", rate: `0.000${kind % 10}` })

const relever: Act = ({ account, pair }, { size }) => {
  if (pair === swap) account.setLeverage(pair, String(size))
}

const acts: ReadonlyArray<Act> = [
  place,
  place,
  place,
  place,
  place,
  place,
  cancel,
  amend,
  pass,
  pass,
  pass,
  print,
  fund,
  relever
]

const numbers = (texts: ReadonlyArray<string>): Decimal.Decimal => sumAll(texts.map(Decimal.of))

const signed = ({ side }: Pick<WorldFill, "side">, value: Decimal.Decimal): Decimal.Decimal =>
  side === "buy" ? value : BigDecimal.negate(value)

const fundedOf = ({ events }: Watched): Decimal.Decimal =>
  numbers(
    events.flatMap((event) =>
      event._tag === "Balance" && event.balance.cause === "funding" ? [event.balance.change] : []
    )
  )

const totalOf = ({ account }: Watched, asset: string): Decimal.Decimal => {
  const { available, locked } = account.balances().find((balance) => balance.asset === asset)!
  return numbers([available, locked])
}

const equal = (actual: Decimal.Decimal, expected: Decimal.Decimal, what: string): void =>
  assert.strictEqual(Decimal.toText(actual), Decimal.toText(expected), what)

/** What came in, less fees, plus what was bought for what was paid. */
const moneyHolds = (watched: Watched): void => {
  const { account, pair } = watched
  const fills = account.fills({})
  const { base, quote, swap: terms } = factsOf(pair)
  const contract = terms === null ? BigDecimal.fromBigInt(1n) : Decimal.of(terms.contractSize)
  const size = sumAll(fills.map((fill) => signed(fill, Decimal.of(fill.quantity))))
  const paid = sumAll(
    fills.map((fill) => signed(fill, multiply(multiply(Decimal.of(fill.price), Decimal.of(fill.quantity)), contract)))
  )
  const feesIn = (asset: string) => numbers(fills.filter(({ feeAsset }) => feeAsset === asset).map(({ fee }) => fee))
  const kept = subtract(subtract(sum(Decimal.of("20000"), fundedOf(watched)), feesIn(quote)), paid)
  if (terms === null) {
    for (const { available, locked } of account.balances()) {
      assert.isFalse([available, locked].some((text) => text.startsWith("-")), `${available} and ${locked}`)
    }
    equal(totalOf(watched, quote), kept, "quote")
    equal(totalOf(watched, base), subtract(sum(Decimal.of("50000"), size), feesIn(base)), "base")
    return
  }
  const [position] = account.positions()
  if (position === undefined) return
  equal(Decimal.of(position.size), size, "size")
  // Whatever the price is said to be: what is held and what the position is worth at it.
  const worth = multiply(
    multiply(size, Decimal.of(watched.engine.market(watched.exchange, pair)!.swapState().markPrice)),
    contract
  )
  const off = BigDecimal.abs(subtract(
    sum(totalOf(watched, quote), Decimal.of(position.unrealisedPnl)),
    sum(kept, worth)
  ))
  // Costs of a part of a position are cut behind 12 decimals.
  assert.isTrue(BigDecimal.isLessThan(off, Decimal.of("0.0000001")), `${Decimal.toText(off)} of the quote`)
}

const ordersHold = ({ account, pair }: Watched): void => {
  for (const order of [...account.orders({ open: true }), ...account.orders({ open: false })]) {
    const fills = account.fills({ orderId: order.id })
    equal(Decimal.of(order.filled), numbers(fills.map(({ quantity }) => quantity)), "filled")
    equal(Decimal.of(order.fee), numbers(fills.map(({ fee }) => fee)), "fee")
    if (order.quantity !== null) {
      equal(Decimal.of(order.left), subtract(Decimal.of(order.quantity), Decimal.of(order.filled)), "left")
    }
    if (order.finish === "filled" && order.quantity !== null) assert.strictEqual(order.left, "0")
  }
  const reducing = account.orders({ open: true }).filter(({ reduceOnly, waiting }) => reduceOnly && !waiting)
  const size = Decimal.of(account.positions().find((position) => position.pair === pair)?.size ?? "0")
  for (const { side } of reducing) {
    assert.isTrue(side === "buy" ? BigDecimal.isNegative(size) : BigDecimal.isPositive(size), "reduces something")
  }
}

const toldHolds = ({ account, events }: Watched): void => {
  const fills = account.fills({})
  for (let i = 1; i < fills.length; i++) {
    const [before, next] = [fills[i - 1]!, fills[i]!]
    // Both sides of a trade with oneself are of one trade, the resting one first.
    const isWithItself = before.liquidity === "maker" && next.liquidity === "taker" && before.side !== next.side
    assert.isAtLeast(next.id, before.id + (isWithItself ? 0 : 1))
  }
  const told = events.flatMap((event) => event._tag === "Fill" ? [event.fill] : [])
  assert.deepStrictEqual(told, fills)
  const last = new Map(
    events.flatMap((event) => event._tag === "Order" ? [[event.order.id, event.order] as const] : [])
  )
  for (const order of account.orders({ open: true })) {
    const { filled, left, price, quantity } = last.get(order.id)!
    assert.deepStrictEqual([filled, left, price, quantity], [order.filled, order.left, order.price, order.quantity])
  }
  for (const { asset, available, locked } of account.balances()) {
    const heard = events.findLast((event) => event._tag === "Balance" && event.balance.asset === asset)
    if (heard?._tag !== "Balance") continue
    assert.deepStrictEqual([heard.balance.available, heard.balance.locked], [available, locked])
  }
}

describe("any course of orders in a market that lives", () => {
  it.prop(
    "changes money by fees, fundings and trades alone; orders, fills and what was told agree",
    [Arbitrary.array(step, { minLength: 100, maxLength: 160 }), below(1_000)],
    ([steps, name]) => {
      const engine = start(String(name))
      const watched = [["toy", spot], ["toy-swap", swap]].flatMap(([exchange, pair]) =>
        engine.accounts(exchange!)!.all.map((account): Watched => {
          const events: Array<WorldAccountEvent> = []
          account.watch((event) => events.push(event))
          return { engine, exchange: exchange!, pair: pair as TradingPair, account, events }
        })
      )
      for (const next of steps) acts[next.action]!(watched[2 * next.where + next.who]!, next)
      for (const each of watched) {
        moneyHolds(each)
        ordersHold(each)
        toldHolds(each)
        each.account.cancelAll()
        const margin = numbers(each.account.positions().map((position) => position.margin))
        equal(numbers(each.account.balances().map(({ locked }) => locked)), margin, "locked")
      }
    },
    { arbitrary: { runs: 40 } }
  )
})
