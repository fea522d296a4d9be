/** Lives of orders in any order, twice and late, against what they must come to. */
import { assert, describe, it } from "@effect/vitest"
import { BigDecimal, Schema } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import type { TrackedOrder, TrackerOptions } from "../../src/composite/OrderTracker.ts"
import { OrderTracker } from "../../src/composite/OrderTracker.ts"
import type { Fill, Order } from "../../src/domain/Account.ts"
import { isFinal } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import * as PrivateWebsocketTest from "../../src/PrivateWebsocketTest.ts"

const pair = "BTC/USDT"
const number = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))
const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

const rejection = { code: "X", detail: "no", class: "item" } as const

const track = (options: Partial<TrackerOptions> = {}) => {
  const changes: Array<TrackedOrder> = []
  const tracker = new OrderTracker({
    exchange: "test",
    account: "main",
    historySize: 100,
    contractSizeOf: () => Decimal.of("1"),
    onChange: (order) => changes.push(order),
    ...options
  })
  return { tracker, changes }
}

/** One order's life as the exchange sees it. */
const Life = Schema.Struct({
  /** Sent by this program. */
  ours: upTo(1),
  /** Of one that was sent: answered, refused, or either behind a lost answer. */
  answer: upTo(3),
  fills: upTo(4),
  /** Open, cancelled, filled. */
  end: upTo(2),
  /** Which events leave our id out, in bits. */
  unnamed: number,
  /** Shuffles the events. */
  order: number,
  /** Which come twice, in bits. */
  twice: number
})
type Life = typeof Life.Type

/** Where an event goes; anything that scatters. */
const placeOf = ({ order }: Life, event: number): number => ((order + 1) * (event * 7919 + 104_729)) % 1_000_003

const bit = (bits: number, index: number): boolean => (bits >> (index % 20)) % 2 === 1

interface Step {
  readonly place: number
  readonly take: (tracker: OrderTracker) => void
}

const quantity = Decimal.of("4")

const descriptionsOf = (life: Life, index: number, clientOrderId: string | null): ReadonlyArray<Order> => {
  const base = { orderId: `o${index}`, clientOrderId, quantity, createdAt: 1 }
  const parts = Array.from({ length: life.fills + 1 }, (_, part): Order =>
    PrivateWebsocketTest.order(pair, {
      ...base,
      filledQuantity: BigDecimal.fromBigInt(BigInt(part)),
      status: part === 0 ? "new" : "partiallyFilled",
      updatedAt: part + 1
    }))
  const last = parts.at(-1)!
  if (life.end === 0) return parts
  const status = life.end === 2 ? "filled" : life.fills === 0 ? "canceled" : "partiallyCanceled"
  return [...parts, { ...last, status, updatedAt: 100 }]
}

const fillsOf = (life: Life, index: number, clientOrderId: string | null): ReadonlyArray<Fill> =>
  Array.from({ length: life.fills }, (_, part) =>
    PrivateWebsocketTest.fill(pair, {
      orderId: `o${index}`,
      clientOrderId,
      tradeId: `${index}${part}`,
      exchangeTime: part
    }))

const isRefused = ({ answer, ours }: Life): boolean => ours === 1 && answer % 2 === 1

const namedOf = (life: Life, index: number, event: number): string | null =>
  bit(life.unnamed, event) ? null : `c${index}`

/** What it comes to, said plainly. */
const endOf = (life: Life, index: number) => {
  if (isRefused(life)) return { key: `c${index}`, state: "rejected", filled: "0", quote: "0", fills: 0 }
  const descriptions = descriptionsOf(life, index, null)
  const names = [
    ...descriptions.map((_, event) => namedOf(life, index, event)),
    ...fillsOf(life, index, null).map((_, event) => namedOf(life, index, 10 + event))
  ]
  const { status } = descriptions.at(-1)!
  return {
    // By our id as soon as one event has it.
    key: life.ours === 1 ? `c${index}` : names.find((name) => name !== null) ?? `#o${index}`,
    state: isFinal(status) ? status : "Open",
    filled: String(life.fills),
    quote: String(life.fills * 100),
    fills: life.fills
  }
}

/** Everything that is told of it, in the order in which it happened. */
const eventsOf = (life: Life, index: number): ReadonlyArray<Step["take"]> => {
  const id = `c${index}`
  const answers: Array<Step["take"]> = life.ours === 0 ? [] : [
    life.answer < 2 ? () => {} : (tracker) => tracker.lost(id, 0),
    isRefused(life)
      ? (tracker) => tracker.rejected(id, rejection, 0)
      : (tracker) => tracker.told(descriptionsOf(life, index, id)[0]!, 0, "answer")
  ]
  if (isRefused(life)) return answers
  const told = descriptionsOf(life, index, null).map((order, event): Step["take"] => {
    const named = { ...order, clientOrderId: namedOf(life, index, event) }
    return (tracker) => tracker.told(named, 0, "stream")
  })
  const filled = fillsOf(life, index, null).map((fill, event): Step["take"] => {
    const named = { ...fill, clientOrderId: namedOf(life, index, 10 + event) }
    return (tracker) => tracker.filled(named, 0)
  })
  return [...answers, ...told, ...filled]
}

/** In any order and twice, but for what this program itself does: it sends first, and hears of a loss before its end. */
const stepsOf = (life: Life, index: number): ReadonlyArray<Step> => {
  const steps = eventsOf(life, index).flatMap((take, event): ReadonlyArray<Step> => [
    { place: placeOf(life, event), take },
    ...(bit(life.twice, event) ? [{ place: placeOf(life, 40 + event), take }] : [])
  ])
  if (life.ours === 0) return steps
  const sent: Step = { place: -1, take: (tracker) => void tracker.sent(`c${index}`, pair, 0) }
  const lost: ReadonlyArray<Step> = life.answer < 2 ? [] : [
    { place: -0.5, take: (tracker) => tracker.lost(`c${index}`, 0) }
  ]
  return [sent, ...lost, ...steps]
}

const nameOf = ({ order, fills, key }: TrackedOrder): string => order?.orderId ?? fills[0]?.orderId ?? key

const seen = (orders: ReadonlyArray<TrackedOrder>) =>
  new Map(orders.map((tracked) => [nameOf(tracked), {
    key: tracked.key,
    state: tracked.state._tag === "Final" ? tracked.state.status : tracked.state._tag,
    filled: Decimal.toText(tracked.filledQuantity),
    quote: Decimal.toText(tracked.filledQuote),
    fills: tracked.fills.length
  }]))

const lives = Arbitrary.array(Arbitrary.schema(Life), { minLength: 1, maxLength: 5 })

const play = (all: ReadonlyArray<Life>) => {
  const { changes, tracker } = track()
  const steps = all.flatMap(stepsOf).toSorted((a, b) => a.place - b.place)
  for (const { take } of steps) take(tracker)
  return { changes, tracker }
}

const checkEnd = (tracker: OrderTracker, life: Life, index: number): void => {
  const all = seen([...tracker.open(), ...tracker.history()])
  assert.deepStrictEqual(all.get(`o${index}`) ?? all.get(`c${index}`), endOf(life, index))
}

describe("OrderTracker", () => {
  it.prop("a life ends in the same state whatever comes first, twice or late", [lives], ([all]) => {
    const { tracker } = play(all)
    assert.lengthOf([...tracker.open(), ...tracker.history()], all.length)
    for (const [index, life] of all.entries()) checkEnd(tracker, life, index)
    assert.strictEqual(tracker.unknown(), 0)
  }, { arbitrary: { runs: 200 } })

  it.prop("what is filled never falls, nothing leaves Final, and Unknown ends by knowledge", [lives], ([all]) => {
    const { changes } = play(all)
    const before = new Map<string, TrackedOrder>()
    for (const next of changes) {
      const last = before.get(next.key)
      before.set(next.key, next)
      if (last === undefined) continue
      assert.isTrue(BigDecimal.isGreaterThanOrEqualTo(next.filledQuantity, last.filledQuantity))
      assert.isAtLeast(next.fills.length, last.fills.length)
      if (last.state._tag === "Final") assert.deepStrictEqual(next.state, last.state)
      if (last.state._tag !== "Unknown" || next.state._tag === "Unknown") continue
      const isKnown = next.order !== null || next.fills.length > 0 ||
        (next.state._tag === "Final" && next.state.rejection !== null)
      assert.isTrue(isKnown, JSON.stringify(next.state))
      assert.notStrictEqual(next.state._tag, "Sending")
    }
  }, { arbitrary: { runs: 200 } })

  const order = PrivateWebsocketTest.order
  const fill = PrivateWebsocketTest.fill
  const one = Decimal.of("1")
  const stateOf = (tracker: OrderTracker, key: string) => tracker.get(key)?.state._tag

  it("a cancel shows while it is under way, and not on an order that is not in force", () => {
    const { changes, tracker } = track()
    tracker.sent("a", pair, 1)
    const ended = tracker.canceling({ pair, clientOrderId: "a" }, 2)
    assert.strictEqual(stateOf(tracker, "a"), "Sending")
    tracker.told(order(pair, { clientOrderId: "a" }), 3, "answer")
    assert.strictEqual(stateOf(tracker, "a"), "Canceling")
    const all = tracker.cancelingAll(pair, 4)
    ended(5)
    ended(5)
    assert.strictEqual(stateOf(tracker, "a"), "Canceling")
    all(6)
    assert.deepStrictEqual(tracker.get("a")?.state, { _tag: "Open", at: 6 })
    tracker.canceling({ pair, orderId: "no-such" }, 7)(8)
    const late = tracker.canceling({ pair, orderId: "1" }, 9)
    tracker.told(order(pair, { clientOrderId: "a", status: "canceled" }), 10, "stream")
    late(11)
    assert.deepInclude(tracker.get("#1")?.state, { _tag: "Final", status: "canceled", at: 10 })
    assert.deepStrictEqual(
      changes.map(({ state }) => state._tag),
      ["Sending", "Canceling", "Open", "Canceling", "Final"]
    )
  })

  it("an end with more filled corrects one with less; nothing else does", () => {
    const { tracker } = track()
    tracker.told(order(pair, { status: "canceled" }), 1, "stream")
    tracker.filled(fill(pair, { quantity: Decimal.of("0.4") }), 2)
    assert.deepInclude(tracker.get("#1")?.state, { _tag: "Final", status: "canceled" })
    tracker.told(order(pair, { status: "partiallyFilled", filledQuantity: one }), 3, "stream")
    assert.deepInclude(tracker.get("#1")?.state, { _tag: "Final", status: "canceled" })
    tracker.told(order(pair, { status: "filled", filledQuantity: one }), 4, "stream")
    assert.deepInclude(tracker.get("#1")?.state, { _tag: "Final", status: "filled" })
    tracker.told(order(pair, { status: "canceled", filledQuantity: one, updatedAt: 99 }), 5, "stream")
    assert.deepInclude(tracker.get("#1")?.state, { _tag: "Final", status: "filled" })
    assert.strictEqual(Decimal.toText(tracker.get("#1")!.filledQuantity), "1")
  })

  it("an order that was refused and is in force all the same is another one, and is told of", () => {
    const contradictions: Array<Order | Fill> = []
    const { tracker } = track({ onContradiction: (told) => contradictions.push(told) })
    tracker.sent("a", pair, 1)
    tracker.rejected("a", rejection, 2)
    tracker.rejected("a", rejection, 2)
    // How a refused order is described adds nothing.
    tracker.told(order(pair, { orderId: "1", clientOrderId: "a", status: "canceled" }), 3, "stream")
    assert.deepInclude(tracker.get("a")?.state, { _tag: "Final", status: "rejected" })
    assert.lengthOf(contradictions, 0)
    tracker.sent("b", pair, 1)
    tracker.rejected("b", rejection, 2)
    tracker.told(order(pair, { orderId: "2", clientOrderId: "b" }), 3, "stream")
    assert.lengthOf(contradictions, 1)
    assert.deepInclude(tracker.get("b")?.state, { _tag: "Final", status: "rejected" })
    assert.strictEqual(stateOf(tracker, "#2"), "Open")
    assert.deepStrictEqual(tracker.open().map(({ key }) => key), ["#2"])
  })

  it("an id that was refused may be taken again; one that is in use is not begun anew", () => {
    const { tracker } = track()
    assert.isTrue(tracker.sent("a", pair, 1))
    assert.isFalse(tracker.sent("a", pair, 1))
    tracker.rejected("a", rejection, 2)
    assert.isTrue(tracker.sent("a", pair, 3))
    assert.strictEqual(stateOf(tracker, "a"), "Sending")
    assert.lengthOf(tracker.history(), 1)
    tracker.lost("no-such", 4)
    tracker.rejected("no-such", rejection, 4)
    tracker.told(order(pair, { clientOrderId: "a" }), 5, "stream")
    tracker.rejected("a", rejection, 6)
    assert.strictEqual(stateOf(tracker, "a"), "Open")
  })

  it("two orders of one id are two: of a trigger order and what it became, and of two pairs", () => {
    const { tracker } = track()
    tracker.sent("a", pair, 1)
    tracker.told(order(pair, { orderId: "1", clientOrderId: "a", triggerPrice: one, updatedAt: null }), 2, "answer")
    tracker.told(order(pair, { orderId: "7", clientOrderId: "a" }), 3, "stream")
    tracker.told(order("ETH/USDT", { orderId: "8", clientOrderId: "a" }), 4, "stream")
    assert.deepStrictEqual(tracker.open().map(({ key, pair }) => [key, pair]), [
      ["a", pair],
      ["#7", pair],
      ["#8", "ETH/USDT"]
    ])
    // What was told without an id turns out to be of one that is taken.
    tracker.told(order(pair, { orderId: "9", clientOrderId: null }), 5, "stream")
    tracker.told(order(pair, { orderId: "9", clientOrderId: "a", filledQuantity: one }), 6, "stream")
    assert.strictEqual(tracker.get("#9")?.key, "#9")
  })

  it("a machine's clock that is set neither ends an order nor keeps it from being asked for", () => {
    let elapsed = 0
    const { tracker } = track({ elapsed: () => elapsed })
    const hour = 3_600_000
    tracker.filled(fill(pair, { orderId: "5", tradeId: "a" }), 10 * hour)
    elapsed = 1_000
    // Forward: it is not due yet. Back: it is due when it is.
    assert.lengthOf(tracker.toAsk(11 * hour, "due"), 0)
    elapsed = 2_000
    assert.lengthOf(tracker.toAsk(9 * hour, "due"), 1)
    tracker.missing("#5", 9 * hour)
    elapsed = 3_000
    tracker.missing("#5", 11 * hour)
    assert.strictEqual(stateOf(tracker, "#5"), "Unknown")
    elapsed = 7_000
    tracker.missing("#5", 8 * hour)
    // What is told stays wall time.
    assert.deepInclude(tracker.get("#5")?.state, { _tag: "Final", at: 8 * hour })
  })

  it("what only fills have told of is in doubt until it is asked for", () => {
    const { tracker } = track()
    tracker.filled(fill(pair, { orderId: "5", tradeId: "b", exchangeTime: 2 }), 1_000)
    tracker.filled(fill(pair, { orderId: "5", tradeId: "a", exchangeTime: 1 }), 1_000)
    tracker.filled(fill(pair, { orderId: "6", tradeId: "11", exchangeTime: 1 }), 1_000)
    tracker.filled(fill(pair, { orderId: "6", tradeId: "9", exchangeTime: 1 }), 1_000)
    assert.deepStrictEqual(tracker.get("#5")?.fills.map(({ tradeId }) => tradeId), ["a", "b"])
    assert.deepStrictEqual(tracker.get("#6")?.fills.map(({ tradeId }) => tradeId), ["9", "11"])
    assert.strictEqual(tracker.unknown(), 2)
    assert.lengthOf(tracker.toAsk(1_500, "due"), 0)
    assert.lengthOf(tracker.toAsk(3_000, "due"), 2)
    // Less and less often.
    assert.lengthOf(tracker.toAsk(5_000, "due"), 0)
    assert.lengthOf(tracker.toAsk(7_000, "due"), 2)
    tracker.told(order(pair, { orderId: "5", status: "filled", filledQuantity: Decimal.of("2") }), 8_000, "answer")
    tracker.missing("#6", 1_000)
    // Told again since: it was a copy that lags.
    tracker.filled(fill(pair, { orderId: "6", tradeId: "9", exchangeTime: 1 }), 1_500)
    tracker.missing("#6", 3_000)
    tracker.missing("#6", 7_999)
    assert.strictEqual(stateOf(tracker, "#6"), "Unknown")
    tracker.missing("#6", 8_000)
    tracker.missing("#6", 9_000)
    tracker.missing("no-such", 9_000)
    assert.deepInclude(tracker.get("#5")?.state, { _tag: "Final", status: "filled" })
    assert.deepStrictEqual(tracker.get("#6")?.state, {
      _tag: "Final",
      at: 8_000,
      status: "partiallyCanceled",
      rejection: null
    })
    tracker.told(order(pair, { orderId: "7" }), 9_000, "answer")
    assert.lengthOf(tracker.toAsk(9_000, "all"), 1)
    tracker.missing("#7", 9_001)
    tracker.missing("#7", 15_000)
    assert.deepInclude(tracker.get("#7")?.state, { _tag: "Final", status: "canceled" })
    tracker.told(order(pair, { orderId: "8" }), 9_000, "stream")
    assert.lengthOf(tracker.toAsk(9_000, "all"), 0)
  })

  it("history is bounded, and what was forgotten does not come back", () => {
    const { tracker } = track({ historySize: 3 })
    tracker.sent("refused", pair, 0)
    tracker.rejected("refused", rejection, 0)
    for (let i = 0; i < 100; i++) {
      tracker.told(order(pair, { orderId: String(i), clientOrderId: `c${i}`, status: "canceled" }), i, "stream")
    }
    assert.deepStrictEqual(tracker.history().map(({ key }) => key), ["c99", "c98", "c97"])
    assert.isUndefined(tracker.get("c96"))
    assert.isUndefined(tracker.get("#96"))
    assert.isUndefined(tracker.get("refused"))
    tracker.told(order(pair, { orderId: "90", status: "canceled" }), 0, "stream")
    tracker.filled(fill(pair, { orderId: "90" }), 0)
    assert.lengthOf(tracker.history(), 3)
    assert.lengthOf(tracker.open(), 0)
  })

  it("values fills of contracts with their contract size", () => {
    const { tracker } = track({ contractSizeOf: () => Decimal.of("0.0001") })
    tracker.filled(fill("BTC/USDT:USDT", { quantity: Decimal.of("3"), price: Decimal.of("60000") }), 0)
    assert.strictEqual(Decimal.toText(tracker.get("#1")!.filledQuote), "18")
  })
})
