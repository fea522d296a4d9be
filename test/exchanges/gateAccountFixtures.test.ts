/** Captured, documented and constructed private messages of Gate spot and Gate futures, with what they must decode to. */
import { assert, describe, it } from "@effect/vitest"
import { BigDecimal, Effect, Result } from "effect"
import type { Command, OrderSocket } from "../../src/AccountAdapter.ts"
import type {
  AccountEvent,
  AutoDeleverage,
  Balance,
  Fill,
  Order,
  OrderStatus,
  Position,
  PositionClose
} from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import * as GateRow from "../../src/exchanges/gate/GateRow.ts"
import * as GateTriggers from "../../src/exchanges/gate/GateTriggers.ts"
import type { Answered, Subject } from "./GateAccountHarness.ts"
import { answered, callsOf, futures, instrumentOf, now, pushed, spot } from "./GateAccountHarness.ts"
import { receivedAt } from "./GateHarness.ts"
import { hasShared, requireShared, shared } from "./SharedFixtures.ts"

interface Symbol {
  readonly raw: string
  readonly base: string
  readonly quote: string
}

type Facts = Readonly<Record<string, unknown>> & { readonly symbol?: Symbol }

interface Case {
  readonly id: string
  readonly direction: "in" | "out" | "rest"
  readonly raw: string
  readonly expect: Facts & {
    readonly kind: string
    readonly channel?: string
    readonly requestId?: string
    readonly orders?: ReadonlyArray<Facts>
    readonly trades?: ReadonlyArray<Facts>
    readonly balances?: ReadonlyArray<Facts>
    readonly positions?: ReadonlyArray<Facts>
    readonly closes?: ReadonlyArray<Facts>
    readonly events?: ReadonlyArray<Facts>
    readonly label?: string
    readonly message?: string
  }
}

// ---- how ours reads as theirs ----

const text = (value: Decimal.Decimal | null): string | null => value === null ? null : Decimal.toText(value)

/** Only MEXC has a word of its own for what was cancelled after a part was filled. */
const statuses: Readonly<Record<OrderStatus, string>> = {
  new: "open",
  partiallyFilled: "partially_filled",
  filled: "filled",
  canceled: "cancelled",
  partiallyCanceled: "cancelled",
  rejected: "rejected"
}

const remaining = ({ filledQuantity, quantity }: Order): string | null =>
  quantity === null ? null : text(BigDecimal.normalize(BigDecimal.subtract(quantity, filledQuantity)))

/** On the wire with the prefix, and other texts are no ids of ours. */
const textFact = (clientOrderId: string | null, expected: unknown): unknown =>
  clientOrderId === null ? (String(expected).startsWith("t-") ? null : expected) : `t-${clientOrderId}`

type Read<A> = Readonly<Record<string, (value: A, expected: unknown) => unknown>>

const orderFacts: Read<Order> = {
  id: ({ orderId }) => orderId,
  text: ({ clientOrderId }, expected) => textFact(clientOrderId, expected),
  side: ({ side }) => side,
  type: ({ type }) => type,
  tif: ({ timeInForce }) => timeInForce === "postOnly" ? "poc" : timeInForce,
  price: ({ price }) => text(price),
  size: ({ quantity, quoteQuantity }) => text(quantity ?? quoteQuantity),
  sizeUnit: ({ quantity, reduceOnly }, expected) =>
    quantity === null ? "quote" : expected === "contracts" ? (reduceOnly === undefined ? null : "contracts") : "base",
  // What is left of a quote amount is not said again.
  remaining: (order, expected) => order.quantity === null ? text(Decimal.of(String(expected))) : remaining(order),
  filled: ({ filledQuantity }) => text(filledQuantity),
  filledQuote: ({ filledQuote }) => text(filledQuote),
  avgPrice: ({ averagePrice }) => text(averagePrice),
  status: ({ status }) => statuses[status],
  finishAs: ({ finishedAs, status }) => finishedAs ?? (statuses[status] === "open" ? "open" : null),
  reduceOnly: ({ reduceOnly }) => reduceOnly,
  createdMs: ({ createdAt }) => createdAt,
  updatedMs: ({ updatedAt }) => updatedAt,
  finishedMs: ({ updatedAt }) => updatedAt
}

const fillFacts: Read<Fill> = {
  id: ({ tradeId }) => tradeId,
  orderId: ({ orderId }) => orderId,
  text: ({ clientOrderId }, expected) => textFact(clientOrderId, expected),
  side: ({ side }) => side,
  price: ({ price }) => text(price),
  size: ({ quantity }) => text(quantity),
  role: ({ liquidity }) => liquidity,
  fee: ({ fee }) => text(fee),
  feeCurrency: ({ feeAsset }) => feeAsset,
  tsMs: ({ exchangeTime }) => exchangeTime
}

const balanceFacts: Read<Balance> = {
  currency: ({ asset }) => asset,
  total: ({ total }) => text(total),
  available: ({ available }) => text(available),
  locked: ({ locked }) => text(locked),
  change: ({ change }) => text(change),
  reason: ({ cause }) => cause,
  tsMs: ({ exchangeTime }) => exchangeTime
}

const modes = { net: "single", long: "dual_long", short: "dual_short" } as const

const sideFact = ({ side, size }: Position): string => {
  if (side !== "net") return side
  if (BigDecimal.isZero(size)) return "flat"
  return BigDecimal.isNegative(size) ? "short" : "long"
}

const zeroed = (value: Decimal.Decimal | null): string => text(value) ?? "0"

const positionFacts: Read<Position> = {
  mode: ({ side }) => modes[side],
  size: ({ size }) => text(size),
  side: sideFact,
  entryPrice: ({ entryPrice }) => zeroed(entryPrice),
  leverage: ({ leverage }) => zeroed(leverage),
  marginMode: ({ marginMode }) => marginMode,
  liqPrice: ({ liquidationPrice }) => zeroed(liquidationPrice),
  margin: ({ margin }) => text(margin),
  realisedPnl: ({ realisedPnl }) => text(realisedPnl),
  unrealisedPnl: ({ unrealisedPnl }) => text(unrealisedPnl),
  tsMs: ({ exchangeTime }) => exchangeTime
}

const deleverageFacts: Read<AutoDeleverage> = {
  entryPrice: ({ entryPrice }) => text(entryPrice),
  fillPrice: ({ price }) => text(price),
  positionSize: ({ positionSize }) => text(positionSize),
  tradeSize: ({ quantity }) => text(quantity),
  tsMs: ({ exchangeTime }) => exchangeTime
}

const closeFacts: Read<PositionClose> = {
  side: ({ side }) => side,
  pnl: ({ pnl }) => text(pnl),
  tsMs: ({ exchangeTime }) => exchangeTime
}

const signedSize = ({ quantity, side }: Order): string => `${side === "sell" ? "-" : ""}${text(quantity)}`

const triggerFacts: Read<Order> = {
  id: ({ orderId }) => orderId,
  size: signedSize,
  price: ({ price }) => zeroed(price),
  triggerPrice: ({ triggerPrice }) => text(triggerPrice),
  triggerRule: ({ side, type }) => (side === "buy") === (type === "stop") ? ">=" : "<=",
  status: ({ status }) => status === "new" ? "open" : "finished",
  reduceOnly: ({ reduceOnly }) => reduceOnly,
  createdMs: ({ createdAt }) => createdAt
}

/** What the library does not say of an order, a fill or a position; fees of an order are those of its fills. */
const unasserted = new Set([
  "symbol",
  "event",
  "fee of an order",
  "account",
  "close",
  "idMarket",
  "lockedChange",
  "markPrice"
])

const wanted = (fact: unknown): unknown =>
  typeof fact === "string" && /^-?\d+(\.\d+)?$/.test(fact) ? Decimal.toText(Decimal.of(fact)) : fact

interface Named {
  readonly symbol?: string
  readonly pair?: string | null
}

const check = <A extends object>(
  subject: Subject,
  facts: Read<A>,
  found: ReadonlyArray<A>,
  expected: ReadonlyArray<Facts>,
  left: ReadonlyArray<string> = []
): void => {
  assert.strictEqual(found.length, expected.length)
  for (const [index, theirs] of expected.entries()) {
    const value = found[index]!
    if (theirs.symbol !== undefined) {
      const { pair, symbol }: Named = value
      assert.strictEqual(symbol, theirs.symbol.raw)
      assert.strictEqual(pair, instrumentOf(subject.kind)(theirs.symbol.raw).pair)
    }
    for (const [name, fact] of Object.entries(theirs)) {
      if (unasserted.has(name) || left.includes(name)) continue
      const read = facts[name]
      assert(read !== undefined, `nothing to compare ${name} with`)
      assert.deepStrictEqual(read(value, fact), wanted(fact), name)
    }
  }
}

const orderLeft = ["fee", "feeCurrency"]

const checkOrders = (subject: Subject, orders: ReadonlyArray<Order>, expected: ReadonlyArray<Facts>): void =>
  check(subject, orderFacts, orders, expected, orderLeft)

/** A fee of 0 beside one in GT is told as the one in GT. */
const isPaidInGt = ({ raw }: Case): boolean => /"gt_fee":\s*"0*\.?0*[1-9]/.test(raw)

const checkFills = (subject: Subject, fixture: Case, fills: ReadonlyArray<Fill>): void => {
  check(subject, fillFacts, fills, fixture.expect.trades!, isPaidInGt(fixture) ? ["fee", "feeCurrency"] : [])
  if (isPaidInGt(fixture)) assert.strictEqual(fills[0]!.feeAsset, "GT")
}

// ---- pushes ----

const eventsOf = <Tag extends AccountEvent["_tag"]>(
  subject: Subject,
  { raw }: Case,
  tag: Tag
): ReadonlyArray<Extract<AccountEvent, { readonly _tag: Tag }>> =>
  pushed(subject, raw).flatMap((call) => {
    if (call.call === "ignored") return []
    assert(call.call === "event", JSON.stringify(call))
    assert.strictEqual(call.event._tag, tag)
    assert.strictEqual(call.event.receivedAt, receivedAt)
    assert.strictEqual(call.event.origin, "Stream")
    return [call.event as Extract<AccountEvent, { readonly _tag: Tag }>]
  })

const orders = (subject: Subject, fixture: Case): void =>
  checkOrders(subject, eventsOf(subject, fixture, "OrderUpdate"), fixture.expect.orders!)

const fills = (subject: Subject, fixture: Case): void =>
  checkFills(subject, fixture, eventsOf(subject, fixture, "Fill"))

const balances = (subject: Subject, fixture: Case): void =>
  check(subject, balanceFacts, eventsOf(subject, fixture, "Balance"), fixture.expect.balances!)

const triggers = (subject: Subject, fixture: Case): void => {
  const expected = fixture.expect.orders!
  // One that has fired is told as the order that it became.
  if (expected[0]!["status"] === "finished") {
    assert.deepStrictEqual(pushed(subject, fixture.raw).map(({ call }) => call), ["ignored"])
  }
  const rows: unknown = JSON.parse(fixture.raw).result
  const found = GateRow.readAll(GateRow.rowsOf(rows), (row) => GateTriggers.read(row, instrumentOf(subject.kind)))
  assert(Result.isSuccess(found))
  check(subject, triggerFacts, found.success, expected, ["expirationSec", "close", "orderType"])
}

const positions = (subject: Subject, fixture: Case): void =>
  check(subject, positionFacts, eventsOf(subject, fixture, "Position"), fixture.expect.positions!)

const deleverages = (subject: Subject, fixture: Case): void =>
  check(subject, deleverageFacts, eventsOf(subject, fixture, "AutoDeleverage"), fixture.expect.events!)

const closes = (subject: Subject, fixture: Case): void =>
  check(subject, closeFacts, eventsOf(subject, fixture, "PositionClose"), fixture.expect.closes!)

const pushes: ReadonlyArray<readonly [Subject, stream: string, (subject: Subject, fixture: Case) => void]> = [
  [spot, "orders", orders],
  [spot, "orders_v2", orders],
  [spot, "usertrades", fills],
  [spot, "usertrades_v2", fills],
  [spot, "balances", balances],
  [futures, "orders", orders],
  [futures, "autoorders", triggers],
  [futures, "usertrades", fills],
  [futures, "balances", balances],
  [futures, "positions", positions],
  [futures, "auto_deleverages", deleverages],
  [futures, "position_closes", closes]
]

if (!hasShared) {
  describe("shared fixtures of Gate's private channels", () => {
    it("are here when they are required", (context) => {
      assert.isFalse(requireShared, "REQUIRE_FIXTURES=1 and no ../shared/fixtures")
      context.skip("no ../shared/fixtures")
    })
  })
}

describe.runIf(hasShared)("private pushes", () => {
  for (const [subject, stream, compare] of pushes) {
    for (const fixture of shared<Case>(`${subject.files}.${subject.prefix}.${stream}.jsonl`)) {
      it(fixture.id, () => compare(subject, fixture))
    }
  }
})

// ---- WebSocket API ----

const placed = (subject: Subject, symbol: string, price: string, quantity: string): Command => ({
  _tag: "Place",
  order: {
    instrument: instrumentOf(subject.kind)(symbol),
    side: "buy",
    type: "limit",
    timeInForce: "gtc",
    price,
    quantity,
    quoteQuantity: null,
    reduceOnly: false,
    trigger: null,
    clientOrderId: "my-custom-id"
  }
})

/** The command that a sample asks for. */
const sampled: Readonly<Record<string, (subject: Subject) => Command>> = {
  "gateio-spot.api/place-request": (subject) => placed(subject, "GT_USDT", "1", "1"),
  "gateio-spot.api/cancel-request": () => ({ _tag: "Cancel", ref: { symbol: "GT_USDT", orderId: "1700664330" } }),
  "gateio-futures.api/batch-request": (subject) => {
    const place = placed(subject, "BTC_USDT", "31403.18", "10")
    return { _tag: "PlaceAll", orders: place._tag === "Place" ? [place.order] : [] }
  },
  "gateio-futures.api/cancel-request": () => ({ _tag: "Cancel", ref: { symbol: "BTC_USDT", orderId: "74046514" } })
}

/** Equal decimals are equal, and what the sample leaves to its default may be said. */
const parameters = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(parameters)
  if (typeof value !== "object" || value === null) return wanted(String(value))
  const { account: _account, time_in_force: _default, ...rest } = value as Record<string, unknown>
  return Object.fromEntries(Object.entries(rest).map(([name, field]) => [name, wanted(String(field))]))
}

const checkRequest = (subject: Subject, fixture: Case): void => {
  const sample = JSON.parse(fixture.raw)
  const socket: OrderSocket = subject.account.orders.socket!
  const { frame, id } = socket.request(sampled[fixture.id]!(subject), { nowMillis: now, nextId: () => 7 })
  const ours = JSON.parse(String(frame))
  assert.deepStrictEqual([ours.channel, ours.event], [sample.channel, sample.event])
  assert.strictEqual(ours.payload.req_id, id)
  assert.deepStrictEqual(parameters(ours.payload.req_param), parameters(sample.payload.req_param))
}

const ordersOf = (call: Answered): ReadonlyArray<Order> => {
  assert(call.call === "answered", JSON.stringify(call))
  const { reply } = call
  if (reply._tag === "Order") return [reply.order]
  if (reply._tag === "Orders") return reply.orders
  assert(reply._tag === "Placed")
  return reply.results.map((result) => {
    assert("orderId" in result)
    return result
  })
}

const checkAnswer = (subject: Subject, { expect, raw }: Case): void => {
  const [call, ...more] = answered(subject, raw)
  assert(call !== undefined && more.length === 0)
  if (expect.kind === "api_ack") return assert.deepStrictEqual(call, { call: "received", id: expect.requestId! })
  if (expect.kind === "api_error") {
    assert(call.call === "refused")
    assert.strictEqual(call.id, expect.requestId)
    return assert.deepInclude(call.rejection, { code: expect.label!, detail: expect.message! })
  }
  assert(call.call === "answered", JSON.stringify(call))
  assert.strictEqual(call.id, expect.requestId)
  checkOrders(subject, ordersOf(call), expect.orders!)
}

describe.runIf(hasShared)("WebSocket API", () => {
  for (const subject of [spot, futures]) {
    for (const fixture of shared<Case>(`${subject.files}.api.jsonl`)) {
      it(fixture.id, () => fixture.direction === "out" ? checkRequest(subject, fixture) : checkAnswer(subject, fixture))
    }
  }
})

// ---- REST ----

const checkRest = Effect.fnUntraced(function*(subject: Subject, fixture: Case) {
  const { expect, raw } = fixture
  const { calls } = yield* callsOf(subject, () => ({ body: raw }))
  if (expect.kind === "orders") {
    const reply = yield* calls.run({ _tag: "Get", ref: { symbol: "BTC_USDT", orderId: "1" } })
    assert(reply._tag === "Order")
    return checkOrders(subject, [reply.order], expect.orders!)
  }
  if (expect.kind === "user_trades") {
    const found = yield* calls.fills({ symbol: "BTC_USDT", since: null })
    // Gate's newest come first, ours last.
    return checkFills(subject, fixture, [...found].reverse())
  }
  if (expect.kind === "positions") {
    return check(subject, positionFacts, yield* calls.positions, expect.positions!)
  }
  check(subject, balanceFacts, yield* calls.balances, expect.balances!, ["unrealisedPnl"])
})

describe.runIf(hasShared)("REST bodies of accounts", () => {
  for (const subject of [spot, futures]) {
    for (const fixture of shared<Case>(`${subject.files}.rest.jsonl`)) {
      if (!["orders", "user_trades", "positions", "balances"].includes(fixture.expect.kind)) continue
      it.effect(fixture.id, () => checkRest(subject, fixture))
    }
  }
})
