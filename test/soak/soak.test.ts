/** The parts of `npm run soak` that judge: each can say that something is wrong. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"

import * as Child from "../../scripts/prove/Child.ts"
import * as Virtual from "../../scripts/prove/Virtual.ts"
import { Client, TradeWatch } from "../../scripts/soak/Client.ts"
import * as FaultPlan from "../../scripts/soak/FaultPlan.ts"
import { Memory, slopeOf } from "../../scripts/soak/Memory.ts"
import type { Report } from "../../scripts/soak/Report.ts"
import { markdown } from "../../scripts/soak/Report.ts"
import type { Book, Truth } from "../../scripts/soak/Truth.ts"
import type { LiveBook } from "../../src/composite/OrderBooks.ts"
import type { Trade } from "../../src/domain/Market.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import * as Faults from "../../src/simulator/Faults.ts"

const trade = (id: string | null) => ({ _tag: "Trade", id }) as unknown as Trade

describe("trades", () => {
  it("that are missing are told apart by whether a gap says so", () => {
    const watch = new TradeWatch()
    for (const id of ["5", "6", "9"]) watch.onTrade(trade(id))
    assert.deepStrictEqual([watch.undeclared, watch.declared, watch.repeated], [2, 0, 0])
    watch.onGap()
    watch.onTrade(trade("20X0_20X0"))
    watch.onTrade(trade("21X0_21X0"))
    watch.onTrade(trade("24X0_24X0"))
    assert.deepStrictEqual([watch.undeclared, watch.declared, watch.repeated], [4, 10, 0])
    watch.onTrade(trade("24"))
    watch.onTrade(trade("3"))
    watch.onTrade(trade(null))
    assert.deepStrictEqual([watch.undeclared, watch.declared, watch.repeated, watch.received], [4, 10, 2, 9])
  })
})

describe("a client", () => {
  const truth = (book: Book | null): Truth =>
    ({
      book: (_: string, __: string, version: number) => Effect.succeed(book === null ? null : { ...book, version })
    }) as unknown as Truth

  const synced = (version: number, bids: ReadonlyArray<number>, asks: ReadonlyArray<number>) =>
    ({ _tag: "Synced", book: { version, top: () => ({ bids, asks }) } }) as unknown as LiveBook

  const clientOf = (live: LiveBook, performance: object = {}) =>
    new Client(
      { exchange: "gate-spot", performance: Effect.succeed(performance) } as never,
      { get: () => live } as never,
      ["BTC/USDT"]
    )

  const level = (price: string, quantity: string) => ({ price, quantity })
  const book: Book = { version: 0, bids: [level("2", "1.50")], asks: [level("3", "1")] }

  const compared = (live: LiveBook, found: Book | null) => clientOf(live).compare(truth(found), 0)

  it.effect("finds a book that is not the simulator's", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* compared(synced(7, [2, 1.5], [3, 1]), book), { compared: 1, stale: [], wrong: [] })
      const wrong = (live: LiveBook, found: Book | null) => Effect.map(compared(live, found), (result) => result.wrong)
      assert.deepStrictEqual(yield* wrong(synced(7, [2, 1.5], [3, 2]), book), [
        "gate-spot BTC/USDT at version 7: asks[0] is 2 in place of 1"
      ])
      assert.deepStrictEqual(yield* wrong(synced(7, [], [3, 1]), book), [
        "gate-spot BTC/USDT at version 7: bids[0] is undefined in place of 2"
      ])
      assert.deepStrictEqual(yield* wrong(synced(7, [2, 1.5, 1, 1], [3, 1]), book), [
        "gate-spot BTC/USDT at version 7: 2 bids in place of 1"
      ])
      assert.deepStrictEqual(yield* wrong(synced(7, [2, 1.5], [3, 1]), null), [
        "gate-spot BTC/USDT: the simulator never had or no longer holds version 7"
      ])
      const stale = { _tag: "Stale", cause: "Sequence" } as LiveBook
      assert.deepStrictEqual(yield* compared(stale, book), {
        compared: 0,
        stale: ["gate-spot BTC/USDT: Sequence"],
        wrong: []
      })
    }))

  it.effect("finds events that are not accounted for, and those that nobody sent", () =>
    Effect.gen(function*() {
      const topic = {
        topic: "t",
        received: 10,
        reconciled: 1,
        delivered: 8,
        conflated: 1,
        dropped: 1,
        stale: 1,
        abandoned: 0,
        unrouted: 0,
        duplicates: 0
      }
      const ledger = (change: object, sent: number) =>
        clientOf(synced(1, [], []), { topics: [{ ...topic, ...change }] }).ledger({ t: { sent: { events: sent } } })
      assert.deepStrictEqual(yield* ledger({}, 12), { topics: 1, sent: 12, received: 10, wrong: [] })
      assert.deepStrictEqual((yield* ledger({ delivered: 7 }, 12)).wrong, ["t: 1 events unaccounted for"])
      assert.deepStrictEqual((yield* ledger({ delivered: 7, duplicates: 1 }, 12)).wrong, [])
      assert.deepStrictEqual((yield* ledger({}, 9)).wrong, ["t: 10 received, 9 sent"])
    }))
})

describe("memory", () => {
  const hour = 3_600_000
  const samples = (heapOf: (i: number) => number) =>
    Array.from({ length: 61 }, (_, i) => ({ at: (i / 60) * hour, rss: 7, heap: heapOf(i) }))

  it("that grows has a slope with its error", () => {
    const growing = slopeOf(samples((i) => 1_000 + 10 * i), "heap")!
    assert.closeTo(growing.perHour, 600, 1e-6)
    assert.closeTo(growing.error, 0, 1e-6)
    const flat = slopeOf(samples((i) => 1_000 + (i % 2 === 0 ? 50 : -50)), "heap")!
    assert.isBelow(Math.abs(flat.perHour), flat.error)
    // The textbook's standard error of a slope: 50 around the line, 61 points over an hour.
    const spread = samples(() => 0).reduce((sum, { at }) => sum + (at / hour - 0.5) ** 2, 0)
    assert.closeTo(flat.error, 1.96 * Math.sqrt((61 * 50 ** 2) / 59 / spread), 0.2)
    assert.isNull(slopeOf(samples(() => 1).slice(0, 2), "rss"))
  })

  it("of a long run is kept in few samples, over the whole time", () => {
    const memory = new Memory()
    for (let at = 0; at < 10_000; at++) memory.add({ at, rss: 1, heap: 1 })
    assert.isAtMost(memory.samples.length, 2_001)
    assert.isAbove(memory.samples.length, 900)
    assert.strictEqual(memory.samples[0]!.at, 0)
    assert.isAbove(memory.samples.at(-1)!.at, 9_900)
    assert.isTrue(memory.settled(5_000).every(({ at }) => at >= 5_000))
    memory.take(10_008)
    assert.isAbove(memory.samples.at(-1)!.rss, 0)
  })
})

describe("faults", () => {
  it.effect("are all readable by the simulator, on one exchange, and drawn from the seed", () =>
    Effect.gen(function*() {
      const plan = FaultPlan.names
      const drawn = (seed: number) =>
        Effect.map(
          Virtual.draws(seed, "soak faults"),
          (draws) => Array.from({ length: 300 }, () => FaultPlan.next(plan, ["gate-a", "b-spot"], draws))
        )
      const faults = yield* drawn(1)
      assert.deepStrictEqual(faults, yield* drawn(1))
      assert.notDeepEqual(faults, yield* drawn(2))
      assert.sameMembers([...new Set(faults.map(({ kind }) => kind))], [...FaultPlan.names])
      for (const { exchange, faults: texts } of faults) {
        for (const text of texts) {
          const parsed = Faults.parse(text)
          assert.isTrue(Result.isSuccess(parsed) && parsed.success.exchange === exchange, text)
        }
      }
      assert.isFalse(faults.some(({ exchange, kind }) => kind === "server errors" && exchange === "b-spot"))
      const ofProgram = yield* Effect.map(
        Virtual.draws(1, "soak faults"),
        (draws) => Array.from({ length: 2_000 }, () => FaultPlan.next(FaultPlan.programNames, Exchanges.ids, draws))
      )
      assert.sameMembers([...new Set(ofProgram.map(({ kind }) => kind))], [...FaultPlan.programNames])
      for (const text of new Set(ofProgram.flatMap(({ faults }) => faults))) {
        assert.isTrue(Result.isSuccess(Faults.parse(text)), text)
      }
      assert.deepStrictEqual(FaultPlan.read("all"), Result.succeed(FaultPlan.names))
      assert.deepStrictEqual(FaultPlan.read("none"), Result.succeed([]))
      assert.deepStrictEqual(FaultPlan.read("drop  gap:3"), Result.succeed(["drop", "gap:3"]))
      const message = (text: string) =>
        Result.match(FaultPlan.read(text), { onFailure: (said) => said, onSuccess: () => "" })
      assert.match(message("drop bogus"), /^bogus: /)
      assert.match(message("drop,on=kraken"), /^drop,on=kraken: an exchange out of /)
    }))
})

describe("the report", () => {
  it("tells the true duration and every mismatch", () => {
    const memory = { first: 2 ** 20, last: 2 ** 21, least: 2 ** 20, most: 2 ** 21, slope: null }
    const report: Report = {
      began: "2026-01-01T00:00:00.000Z",
      tookMs: 3_723_000,
      askedMs: 86_400_000,
      endedBy: "signal",
      seed: 3,
      revision: "abc",
      machine: "2 x CPU",
      node: "24",
      collected: true,
      exchanges: [],
      faults: { drop: 2, gap: 1 },
      rounds: 7,
      memory: {
        heap: memory,
        rss: { ...memory, slope: { perHour: -(2 ** 20), error: 2 ** 19, samples: 9 } },
        warmUpMs: 60_000
      },
      simulator: { ticks: 5, skippedTicks: 1 },
      mismatches: ["one", "two"]
    }
    const text = markdown(report)
    assert.include(text, "# Soak of 1 h 2 min 3 s")
    assert.include(text, "ended by a signal (asked for: 24 h)")
    assert.include(text, "**2 mismatches** in 7 rounds")
    assert.include(text, "- one\n- two")
    assert.include(text, "Faults injected: 3 (drop 2, gap 1)")
    assert.include(text, "| RSS | 1.0 | 2.0 | 1.0 | 2.0 | -1.0 ± 0.5 (9 samples) |")
    assert.include(markdown({ ...report, mismatches: [] }), "**Nothing was wrong**")
  })
})

describe("npm run soak", () => {
  const soak = (...parameters: ReadonlyArray<string>) =>
    Child.node(["--expose-gc", "-r", "./scripts/node-version.cjs", "scripts/soak/main.ts", ...parameters])

  it.live("ends with 1 and says so when trades come twice", () =>
    Effect.gen(function*() {
      const { code, errors, lines } = yield* soak(
        "--duration=3s",
        "--pairs=2",
        "--exchanges=gate-spot",
        "--faults=duplicate:100%,topic=*trades*"
      )
      const text = lines.map((line) => line.text).join("\n")
      assert.strictEqual(code, 1, text + errors)
      assert.match(text, /\n- gate-spot: \d+ trades came twice or behind a later one/)
      assert.match(errors, /\d+ mismatch(es)?\s*$/)
    }))
})
