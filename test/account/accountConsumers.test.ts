import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import { BufferConsumer, HandlerConsumer } from "../../src/account/AccountConsumers.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { AccountGap } from "../../src/PrivateWebsocket.ts"
import { balance, fill, order, position } from "./Bank.ts"

const gap: AccountGap = { _tag: "Gap", cause: "Reconnected", channel: "Fills", at: 5 }

const buffer = (capacity: number, dropped: Array<AccountGap> = []) =>
  new BufferConsumer({
    exchange: "toy",
    capacity,
    wants: (channel) => channel !== "PositionCloses",
    now: () => 7,
    onDelivered: () => {},
    onDropped: (found) => void dropped.push(found)
  })

const ended = Exit.fail(Cause.Done())

const words = (consumer: BufferConsumer) =>
  Effect.map(Stream.runCollect(consumer.stream), (items) =>
    items.map((item) => {
      if (item._tag === "Gap") return `gap ${item.channel} ${item.cause} ${item.lost ?? ""}`.trim()
      const event = item.value
      if (event._tag === "Fill") return `fill ${event.tradeId}`
      if (event._tag === "OrderUpdate") return `order ${event.orderId} ${event.status}`
      return event._tag === "Balance" ? `${event.asset} ${Decimal.toText(event.available!)}` : event._tag
    }))

describe("a buffer of account events", () => {
  it.effect("gives what came before and what comes, in order, to its end", () =>
    Effect.gen(function*() {
      const consumer = buffer(10)
      consumer.event("Fills", fill(1, 0))
      consumer.event("PositionCloses", fill(9, 0))
      const reading = yield* Effect.forkChild(words(consumer), { startImmediately: true })
      consumer.gap(gap)
      consumer.flush()
      consumer.event("Fills", fill(2, 0))
      consumer.end(ended)
      consumer.end(ended)
      consumer.event("Fills", fill(3, 0))
      consumer.gap(gap)
      assert.deepStrictEqual(yield* Fiber.join(reading), ["fill 1", "gap Fills Reconnected", "fill 2"])
    }))

  it.effect("that is full keeps the newest state of each thing, and every fill", () =>
    Effect.gen(function*() {
      const dropped: Array<AccountGap> = []
      const consumer = buffer(5, dropped)
      consumer.event("Fills", fill(1, 0))
      for (const status of ["new", "partiallyFilled", "filled"] as const) {
        consumer.event("Orders", order("a", { status }))
      }
      consumer.event("Balances", balance("USDT", "1"))
      consumer.event("Balances", balance("USDT", "2"))
      consumer.event("Positions", position("1", null))
      consumer.gap(gap)
      consumer.end(ended)
      assert.deepStrictEqual(yield* words(consumer), [
        "fill 1",
        "order a filled",
        "USDT 2",
        "Position",
        "gap Fills Reconnected"
      ])
      assert.deepStrictEqual(dropped, [])
    }))

  it.effect("that is full of fills drops the older half, and says how many of what", () =>
    Effect.gen(function*() {
      const dropped: Array<AccountGap> = []
      const consumer = buffer(4, dropped)
      consumer.gap({ ...gap, lost: 3 })
      for (let i = 1; i <= 4; i++) consumer.event("Fills", fill(i, 0))
      consumer.end(ended)
      assert.deepStrictEqual(yield* words(consumer), ["gap Fills Overflow 4", "fill 2", "fill 3", "fill 4"])
      assert.deepStrictEqual(dropped.map(({ at, lost }) => [at, lost]), [[7, 4]])
    }))

  it.effect("runs once, and a reader that leaves does not hold up the others", () =>
    Effect.gen(function*() {
      const consumer = buffer(4)
      const reading = yield* Effect.forkChild(Stream.runDrain(consumer.stream), { startImmediately: true })
      yield* Fiber.interrupt(reading)
      consumer.event("Fills", fill(1, 0))
      consumer.flush()
      const error = yield* Effect.flip(Stream.runDrain(consumer.stream))
      assert.include(error.message, "runs once")
    }))
})

describe("handlers of account events", () => {
  it.effect("each get their kind; one that throws or rejects is told, and the others go on", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const failures: Array<unknown> = []
      const tell = ({ _tag }: { readonly _tag: string }): void => void told.push(_tag)
      const consumer = new HandlerConsumer({
        onOrder: () => {
          throw new Error("order")
        },
        onFill: (() => Promise.reject(new Error("fill"))) as () => void,
        onBalance: tell,
        onPosition: tell,
        onLeverage: tell,
        onAutoDeleverage: tell,
        onPositionClose: tell,
        onGap: () => {
          throw new Error("gap")
        }
      }, {
        wants: (channel) => channel !== "AutoDeleverages",
        onDelivered: () => {},
        onFailure: (error) => void failures.push(error)
      })
      consumer.event("Orders", order("a"))
      consumer.event("Fills", fill(1, 0))
      consumer.event("Balances", balance("USDT", "1"))
      consumer.event("Positions", position("1", null))
      consumer.event("AutoDeleverages", fill(1, 0))
      consumer.gap(gap)
      consumer.gap({ ...gap, channel: "AutoDeleverages" })
      consumer.flush()
      consumer.end()
      yield* Effect.promise(() => Promise.resolve())
      assert.deepStrictEqual(told, ["Balance", "Position"])
      assert.deepStrictEqual(failures.map((error) => (error as Error).message).sort(), ["fill", "gap", "order"])
    }))
})
