/** The parts of `npm run soak` that judge: each can say that something is wrong. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"

import * as Program from "../../scripts/prove/cases/Program.ts"
import * as Child from "../../scripts/prove/Child.ts"
import type { ProgramFound } from "../../scripts/prove/ProgramRun.ts"
import * as Proof from "../../scripts/prove/Proof.ts"
import * as Virtual from "../../scripts/prove/Virtual.ts"
import { Client, TradeWatch } from "../../scripts/soak/Client.ts"
import * as FaultPlan from "../../scripts/soak/FaultPlan.ts"
import * as Soaked from "../../scripts/soak/Memory.ts"
import type { Sample } from "../../scripts/soak/Memory.ts"
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
  const mebibyte = 2 ** 20
  const took = 600_000
  /** Of a run of ten minutes, every 5 s. */
  const samples = (heapOf: (second: number) => number): ReadonlyArray<Sample> =>
    Array.from({ length: 120 }, (_, i) => ({
      at: 5_000 * (i + 1),
      rss: 7,
      heap: 200 * mebibyte + heapOf(5 * (i + 1)),
      code: 9
    }))

  /** Between 0 and 1, the same each time. */
  const noise = (second: number): number => (second * 7_919 % 101) / 101

  it("that grows has a rise with its error", () => {
    const growing = Soaked.trendOf(samples((second) => 1_000 * second), "heap", took)!
    assert.strictEqual(growing.over, 400_000)
    assert.closeTo(growing.rise, 400_000, 1)
    assert.closeTo(growing.error, 0, 1)
    assert.strictEqual(Soaked.slopeText({ rise: 3 * mebibyte, error: mebibyte, over: 1_800_000 }), "6.0 ± 2.0")
    // The textbook's interval of a slope, with Student's t of eight degrees of freedom: ten floors, of which one is off.
    const uneven = Soaked.trendOf(samples((second) => second < 240 ? -90 : 0), "heap", took)!
    const slope = (90 * 4.5) / 82.5
    const rest = 90 ** 2 * 0.9 - slope ** 2 * 82.5
    assert.closeTo(uneven.rise, 10 * slope, 1e-6)
    assert.closeTo(uneven.error, 10 * 2.306 * Math.sqrt(rest / 8 / 82.5), 1e-6)
    assert.isNull(Soaked.trendOf(samples(() => 1).slice(0, 60), "rss", took))
  })

  it("that moves without growing is flat, also where it is held for a while", () => {
    const isFlat = (heapOf: (second: number) => number) => Soaked.judge(samples(heapOf), took).isFlat
    assert.isTrue(isFlat((second) => 2 * mebibyte * noise(second)))
    assert.isTrue(isFlat((second) => mebibyte * noise(second) + (second % 100 < 25 ? 15 * mebibyte : 0)))
    // Before the warm-up has ended.
    assert.isTrue(isFlat((second) => Math.min(second, 200) * mebibyte))
  })

  it("that leaks is not flat", () => {
    const { found, isFlat } = Soaked.judge(samples((second) => second * 12_000 + mebibyte * noise(second)), took)
    assert.isFalse(isFlat)
    assert.match(found, /^it grows: 4\.\d ± 0\.\d MiB in 400 s, 4\d\.\d ± \d\.\d MiB an hour$/)
    // So much of it as would be little in each sample.
    assert.isFalse(Soaked.judge(samples((second) => second * 12_000 + 8 * mebibyte * noise(second)), took).isFlat)
  })

  it("of which nothing can be told is not flat", () => {
    const { found, isFlat } = Soaked.judge(samples((second) => second % 160 < 80 ? 8 * mebibyte : 0), took)
    assert.isFalse(isFlat)
    assert.match(found, /^it cannot be told: /)
  })

  it("of a run that is too short, or of too few samples, is not judged", () => {
    assert.deepStrictEqual(Soaked.judge(samples(() => 0), 440_000), {
      isFlat: null,
      found: "293 s behind the warm-up are too short, 300 s are needed"
    })
    assert.deepStrictEqual(Soaked.judge([], took), {
      isFlat: null,
      found: "a tenth of the time behind the warm-up has fewer than 3 samples"
    })
    assert.isNull(Soaked.judge(samples(() => 0).filter(({ at }) => at < 285_000 || at > 330_000), took).isFlat)
  })

  it("is judged in a proof, and neither kept nor broken when it cannot be", () => {
    const found = { took, wrongBooks: [], notReady: [], staleBooks: [], last: { compared: 3, books: 3 }, exchanges: [] }
    const judged = (all: ReadonlyArray<Sample>) => {
      const said: Array<string> = []
      const settings = { seed: 1, quick: false, scale: 1, part: null }
      const { findings, proof } = Proof.make(settings, (line) => void said.push(line))
      const rest = { carried: [], cash: { program: "0", exchanges: "0" }, tooMuch: [], wrongAccounts: [], failures: [] }
      const one = { ...found, ...rest, samples: all, kills: [], killed: null, openOrders: 0 } as unknown as ProgramFound
      Program.judge(proof, one)
      return { said, finding: findings.find(({ promise }) => promise === Soaked.promise) }
    }
    assert.isTrue(judged(samples(() => 0)).finding?.holds)
    assert.isFalse(judged(samples((second) => second * mebibyte)).finding?.holds)
    const { finding, said } = judged([])
    assert.isUndefined(finding)
    assert.isTrue(said.some((line) => line.startsWith(`  not judged: ${Soaked.promise}: `)))
  })

  it("of a long run is kept in few samples, over the whole time", () => {
    const memory = new Soaked.Memory()
    for (let at = 0; at < 10_000; at++) memory.add({ at, rss: 1, heap: 1, code: 1 })
    assert.isAtMost(memory.samples.length, 2_001)
    assert.isAbove(memory.samples.length, 900)
    assert.strictEqual(memory.samples[0]!.at, 0)
    assert.isAbove(memory.samples.at(-1)!.at, 9_900)
    memory.take(10_008)
    const { code, heap, rss } = memory.samples.at(-1)!
    assert.isAbove(rss, 0)
    // Neither is part of the other.
    assert.isAbove(code, 2 ** 20)
    assert.closeTo(code + heap, process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers, 64 * 2 ** 20)
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
    const memory = { first: 2 ** 20, last: 2 ** 21, least: 2 ** 20, most: 2 ** 21, trend: null }
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
        code: memory,
        rss: { ...memory, trend: { rise: -(2 ** 20), error: 2 ** 19, over: 3_600_000 } },
        warmUpMs: 60_000,
        judgement: { isFlat: null, found: "too short" }
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
    assert.include(text, "| RSS | 1.0 | 2.0 | 1.0 | 2.0 | -1.0 ± 0.5 |")
    assert.include(text, `\nNot judged: ${Soaked.promise}: too short.\n`)
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
