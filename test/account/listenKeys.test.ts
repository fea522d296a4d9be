/** A key in the stream's URL: kept alive, replaced before its end, and never left dead under an open socket. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import type { AccountCalls } from "../../src/AccountAdapter.ts"
import { mexcSpotAccount } from "../../src/exchanges/mexc/MexcAccount.ts"
import type { PrivateWebsocket } from "../../src/PrivateWebsocket.ts"
import { Bank, failed, fill, open } from "./Bank.ts"

const listen = Effect.fnUntraced(function*(websocket: PrivateWebsocket["Service"]) {
  const told: Array<string> = []
  yield* websocket.handle({
    onFill: ({ origin, tradeId }) => void told.push(`${tradeId}${origin === "Reconciled" ? "R" : ""}`),
    onGap: ({ cause }) => void told.push(cause)
  })
  yield* websocket.initialize(["Fills"])
  return told
})

/** So often others come first. */
const giveWay = (times: number): Effect.Effect<void> =>
  times === 0 ? Effect.void : Effect.andThen(Effect.yieldNow, giveWay(times - 1))

describe("a listen key", () => {
  it.effect("is deleted at whatever step its connection is given up", () =>
    Effect.gen(function*() {
      for (let step = 0; step < 40; step++) {
        const alive = new Set<string>()
        const listenKeys = {
          make: Effect.sync(() => {
            alive.add("key")
            return "key"
          }),
          renew: () => Effect.void,
          remove: (key: string) => Effect.sync(() => void alive.delete(key))
        }
        const endpoint = mexcSpotAccount.stream.endpoint("ws://x", { listenKeys } as unknown as AccountCalls)
        const fiber = yield* Effect.forkChild(Effect.provideService(
          Effect.scoped(Effect.andThen(endpoint, Effect.never)),
          Scheduler.MaxOpsBeforeYield,
          3
        ))
        yield* giveWay(step)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(alive.size, 0, `step ${step}`)
      }
    }))

  it.effect("is renewed, and replaced with its socket before its end: nothing is missed and nothing comes twice", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank, {
        heartbeat: { interval: "10 minutes" },
        reconcile: { interval: "30 minutes" }
      })
      const told = yield* listen(websocket)
      const expected: Array<string> = []
      let most = 0
      for (let minute = 0; minute < 48 * 60; minute += 19) {
        yield* TestClock.adjust("19 minutes")
        const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        bank.happen(fill(minute, now))
        expected.push(String(minute))
        most = Math.max(most, bank.aliveKeys.length)
        assert.isAtMost(bank.live.length, 2)
      }
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(told, expected)
      assert.lengthOf(bank.live, 1)
      assert.strictEqual(bank.keys.size, 3)
      assert.isAtMost(most, 2)
      yield* websocket.close
      assert.deepStrictEqual(bank.aliveKeys, [])
    }))

  it.effect("that cannot be renewed gives way to a new one and a new socket, without a break", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      bank.refuse.set("renew", failed("retryable", 503))
      yield* TestClock.adjust("30 minutes")
      bank.refuse.clear()
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual([...bank.keys], [["key0", false], ["key1", true]])
      assert.deepStrictEqual(bank.live.map(({ key }) => key), ["key1"])
      bank.happen(fill(1, 1_900_000))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(told, ["1"])
    }))

  it.effect("that was revoked is found by its renewal, and what its socket kept back is recovered", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank, { reconcile: { interval: null } })
      const told = yield* listen(websocket)
      yield* TestClock.adjust("10 minutes")
      bank.keys.set("key0", false)
      bank.happen(fill(1, 600_000))
      yield* TestClock.adjust("19 minutes")
      assert.deepStrictEqual(told, [])
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(told, ["Silent", "1R"])
      assert.deepStrictEqual(bank.aliveKeys, ["key1"])
      assert.deepStrictEqual(bank.live.map(({ key }) => key), ["key1"])
    }))

  it.effect("that is dead under an open socket is found by a reading long before its renewal", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      yield* TestClock.adjust("10 minutes")
      bank.keys.set("key0", false)
      bank.happen(fill(1, 600_000))
      yield* TestClock.adjust("30 seconds")
      bank.happen(fill(2, 630_000))
      yield* TestClock.adjust("2 minutes")
      assert.includeMembers(told, ["Silent", "1R", "2R"])
      assert.deepStrictEqual(bank.aliveKeys, ["key1"])
      bank.happen(fill(3, 750_000))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(told.at(-1), "3")
      assert.lengthOf(told, 4)
    }))

  it.effect("that could not be deleted while the exchange was away is deleted behind the next one, or is known to have ended", () =>
    Effect.gen(function*() {
      const alive = new Set<string>()
      let made = 0
      let answer: "yes" | "no" | "none" = "yes"
      const listenKeys = {
        make: Effect.sync(() => {
          const key = `key${++made}`
          alive.add(key)
          return key
        }),
        renew: () => Effect.void,
        remove: (key: string) =>
          Effect.suspend(() => {
            if (answer === "none") return Effect.never
            if (answer === "no") return Effect.fail(failed("unavailable", 503))
            return alive.delete(key) ? Effect.void : Effect.fail(failed("item", 400))
          })
      }
      const endpoint = mexcSpotAccount.stream.endpoint("ws://x", { listenKeys } as unknown as AccountCalls)
      const life = Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(endpoint, Effect.never)))
        yield* TestClock.adjust("1 second")
        const ending = yield* Effect.forkChild(Fiber.interrupt(fiber))
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(ending)
      })
      for (answer of ["no", "none", "no"] as const) yield* life
      assert.deepStrictEqual([...alive], ["key1", "key2", "key3"])
      // It has ended by itself meanwhile.
      alive.delete("key2")
      answer = "yes"
      yield* life
      assert.deepStrictEqual([...alive], [])
    }))

  it.effect("that cannot be made while the exchange is away is asked for again, and its socket waits", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      bank.refuse.set("key", failed("unavailable", 503))
      bank.drop()
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(bank.dials, 1)
      bank.refuse.clear()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(told, ["Reconnected"])
      assert.isTrue(yield* websocket.isAuthenticated)
      assert.deepStrictEqual(bank.aliveKeys, ["key1"])
    }))

  it.effect("an exchange that announces its end is left for another connection first", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      bank.announceClosing()
      yield* TestClock.adjust("1 second")
      assert.lengthOf(bank.live, 2)
      bank.happen(fill(1, 1_000))
      yield* TestClock.adjust("5 seconds")
      assert.lengthOf(bank.live, 1)
      assert.deepStrictEqual(told, ["1"])
    }))

  it.effect("frames that cannot be read may have held anything: they are a gap, and the account is read", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      yield* TestClock.adjust("1 second")
      bank.occur(fill(1, 1_000))
      bank.garble()
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(told, ["Unreadable", "1R"])
    }))
})

describe("reconciliation", () => {
  it.effect("needs pairs where the exchange does, and says which it covers; one that is refused keeps none back", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank, { needsPair: true, reconcilePairs: ["BTC/USDT"] })
      const told = yield* listen(websocket)
      yield* TestClock.adjust("10 seconds")
      bank.happen(fill(1, 10_000, { symbol: "ETHUSDT" }))
      yield* Effect.forkChild(websocket.reconcile)
      yield* TestClock.adjust("10 seconds")
      const { reconciliation } = yield* websocket.performance
      assert.deepStrictEqual(reconciliation.pairs, ["BTC/USDT"])
      assert.includeMembers([...bank.reads], ["fills BTCUSDT", "fills ETHUSDT"])
      bank.refuse.set("fills", failed("item"))
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual((yield* websocket.performance).reconciliation.pairs, [])
      bank.happen(fill(2, 0))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(told, ["1", "2"])
      const reads = bank.reads.length
      yield* TestClock.adjust("5 minutes")
      assert.lengthOf(bank.reads, reads)
      bank.refuse.clear()
      yield* TestClock.adjust("10 minutes")
      assert.isAbove(bank.reads.length, reads)
      assert.deepStrictEqual((yield* websocket.performance).reconciliation.pairs, ["BTC/USDT"])
    }))

  it.effect("fills wait for those that were missed, but not for ever", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      const websocket = yield* open(bank)
      const told = yield* listen(websocket)
      yield* TestClock.adjust("10 seconds")
      bank.refuse.set("fills", failed("retryable", 503))
      bank.drop()
      bank.occur(fill(1, 10_000))
      yield* TestClock.adjust("1 second")
      bank.happen(fill(2, 11_000))
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(told, ["Reconnected"])
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(told, ["Reconnected", "2"])
      bank.refuse.clear()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(told, ["Reconnected", "2", "1R"])
    }))

  it.effect("can be asked for, and fills before the start are events only as far as they are wanted", () =>
    Effect.gen(function*() {
      const bank = new Bank()
      yield* TestClock.adjust("1 hour")
      bank.occur(fill(1, 600_000))
      bank.occur(fill(2, 3_500_000))
      const websocket = yield* open(bank, { reconcile: { lookback: "10 minutes" } })
      assert.strictEqual((yield* Effect.flip(websocket.reconcile)).reason._tag, "InvalidUse")
      const told = yield* listen(websocket)
      yield* websocket.reconcile
      assert.deepStrictEqual(told, ["2R"])
      bank.refuse.set("fills", failed("auth", 403))
      assert.strictEqual((yield* Effect.flip(websocket.reconcile)).reason._tag, "RequestFailed")
      assert.strictEqual((yield* websocket.performance).reconciliation.failures, 1)
    }))
})
