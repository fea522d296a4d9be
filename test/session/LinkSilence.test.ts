/** A connection that brings nothing at all, before and after its topics' own pace is known. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Random } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { LinkSilence } from "../../src/session/LinkSilence.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import type * as Exchange from "../suites/Exchange.ts"
import { subjects } from "../suites/Subjects.ts"
import { over, still } from "./Memory.ts"

describe("the silence of a connection", () => {
  /** Looked at every 250 ms, data comes at these times, ms. */
  const looked = (
    silence: LinkSilence,
    times: ReadonlyArray<number>,
    from: number,
    to: number,
    excusedAt = 0
  ): void => {
    for (let at = from; at <= to; at += 250) {
      silence.look(times.findLast((time) => time <= at) ?? 0, excusedAt, at)
    }
  }
  const steady = (from: number, to: number, every = 50): ReadonlyArray<number> =>
    Array.from({ length: Math.floor((to - from) / every) }, (_, index) => from + index * every)

  it("is learned within seconds", () => {
    const silence = new LinkSilence()
    assert.strictEqual(silence.bound, Number.POSITIVE_INFINITY)
    looked(silence, steady(1_000, 20_000), 1_000, 6_000)
    assert.isBelow(silence.bound, 5_500)
    looked(silence, steady(1_000, 40_000), 6_250, 40_000)
    assert.isBelow(silence.bound, 1_600)
  })

  const paced = (): LinkSilence => {
    const silence = new LinkSilence()
    looked(silence, steady(1_000, 31_000), 1_000, 31_000)
    return silence
  }
  const before = paced().bound

  const learned = (): LinkSilence => {
    const silence = paced()
    silence.alarmed(36_000, 5_000)
    return silence
  }

  it("may last as long again behind an alarm, and twice as long behind each further one, until data comes", () => {
    const silence = learned()
    assert.strictEqual(silence.bound, 5_000)
    // Whatever has left meanwhile.
    silence.restart()
    assert.strictEqual(silence.bound, 5_000)
    silence.alarmed(41_000, 5_000)
    assert.strictEqual(silence.bound, 10_000)
    for (let i = 0; i < 20; i++) silence.alarmed(60_000, 10_000)
    assert.strictEqual(silence.bound, 600_000)
    silence.look(700_000, 0, 700_100)
    assert.strictEqual(silence.bound, Number.POSITIVE_INFINITY)
  })

  it("counts its alarms until data comes, and learns from one that was false", () => {
    const silence = learned()
    assert.strictEqual(silence.alarms, 1)
    silence.look(50_000, 0, 50_100)
    assert.strictEqual(silence.alarms, 0)
    silence.judged("unknown")
    silence.judged("whole")
    assert.strictEqual(silence.bound, before)
    silence.look(50_000, 0, 52_250)
    assert.closeTo(silence.bound, 3 * 19_000, 300)
  })

  it("learns nothing where any of its topics has missed something, and little where none can tell", () => {
    const missed = learned()
    missed.look(50_000, 0, 50_100)
    missed.judged("missed")
    missed.judged("whole")
    missed.look(50_000, 0, 52_250)
    assert.strictEqual(missed.bound, before)
    const unknown = learned()
    unknown.look(50_000, 0, 50_100)
    unknown.look(50_000, 0, 52_250)
    assert.isBelow(unknown.bound, 3 * before)
  })

  it("begins anew when a topic leaves, and makes nothing of the time in which nobody read", () => {
    const silence = new LinkSilence()
    looked(silence, steady(1_000, 31_000), 1_000, 31_000)
    const before = silence.bound
    looked(silence, steady(60_000, 70_000), 60_000, 70_000, 59_000)
    assert.isBelow(silence.bound, before + 200)
    silence.restart()
    assert.strictEqual(silence.bound, Number.POSITIVE_INFINITY)
  })

  it("makes nothing of a clock that is set", () => {
    const silence = learned()
    const hour = 3_600_000
    silence.clockSet({ by: -hour, since: 36_100, at: 36_200 })
    assert.strictEqual(silence.alarmedAt, 36_000 - hour)
    looked(silence, steady(37_000 - hour, 60_000 - hour), 37_000 - hour, 60_000 - hour)
    assert.isBelow(silence.bound, 3 * before)
    assert.strictEqual(silence.alarms, 0)
  })
})

const millis = Clock.currentTimeMillis

const [btc, eth, sol] = ["BTC/USDT", "ETH/USDT", "SOL/USDT"] as const

const pairOn = ({ adapter }: Exchange.Subject, pair: TradingPair): TradingPair =>
  adapter.kind === "spot" ? pair : `${pair}:USDT` as TradingPair

describe("an exchange that falls silent soon after a start", () => {
  for (const subject of subjects) {
    const pairs = [btc, eth, sol].map((pair) => pairOn(subject, pair)) as [TradingPair, TradingPair, TradingPair]

    /** Starts, falls silent behind so many ms for so many, and goes on; what was told, ms from the last data. */
    const silenced = (behind: number, lasts: number) =>
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const clock = yield* Clock.Clock
        const told: Array<readonly [pair: TradingPair | null, cause: string, at: number]> = []
        const back = new Map<TradingPair, number>()
        let dataAt = 0
        yield* websocket.handle({
          onBook: ({ kind, pair, receivedAt }) => {
            if (kind === "delta") dataAt = receivedAt
            back.set(pair!, clock.currentTimeMillisUnsafe())
          },
          onGap: ({ cause, channel, pair }) => {
            if (channel === "Book") told.push([pair, cause, clock.currentTimeMillisUnsafe()])
          }
        })
        yield* websocket.initialize(pairs, ["BookTicker", "Book"])
        yield* Effect.sleep(behind)
        yield* Effect.orDie(simulator.inject({ _tag: "Silence", durationMillis: lasts }))
        const last = dataAt
        const begins = yield* millis
        yield* Effect.sleep(lasts + 3_000)
        const performance = yield* websocket.performance
        return {
          told: told.map(([pair, cause, at]) => [pair, cause, at - last] as const),
          back: [...back.values()].map((at) => at - begins),
          performance
        }
      })

    for (const behind of [4_000, 8_000]) {
      it.effect(`MUST be told of all its books within seconds, and come back by itself: ${subject.adapter.id}, after ${behind} ms`, () =>
        over(
          subject,
          Effect.gen(function*() {
            const { back, performance, told } = yield* silenced(behind, 30_000)
            for (const pair of pairs) {
              const first = told.find((gap) => gap[0] === pair)
              assert.strictEqual(first?.[1], "Silent")
              assert.isAtMost(first![2], behind < 5_000 ? 8_500 : 6_000)
            }
            // The second time it is dialled anew, and again only behind twice as long.
            assert.strictEqual(performance.reconnects, 2)
            assert.strictEqual(performance.falseAlarms, 0)
            for (const at of back) assert.isAtLeast(at, 30_000)
          }),
          { rate: 8 }
        ))
    }
  }
})

describe("a connection whose only pair is quiet", () => {
  for (const subject of subjects) {
    it.effect(`MUST not be taken for silent again and again: ${subject.adapter.id}`, () =>
      over(
        subject,
        Effect.gen(function*() {
          const websocket = yield* PublicWebsocket
          const simulator = yield* Simulator
          const pair = pairOn(subject, btc)
          yield* websocket.initialize([pair], ["Book"])
          for (let i = 0; i < 80; i++) {
            const level = { _tag: "Level", side: "bid", price: "1000", quantity: `${1 + i}` } as const
            yield* Effect.orDie(simulator.publish(subject.adapter.id, pair, level))
            // Some come at once, most after seconds, and some after half a minute.
            const draw = yield* Random.next
            yield* Effect.sleep(100 + 30_000 * draw ** 4)
          }
          const { reconnects, silences } = yield* websocket.performance
          assert.isAtMost(silences, 2)
          assert.strictEqual(reconnects, 0)
        }).pipe(Random.withSeed(3)),
        still
      ))
  }

  it.effect("MUST not be judged by those that have left", () =>
    over(
      subjects[0]!,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const { id } = subjects[0]!.adapter
        yield* websocket.initialize([btc, eth], ["Book"])
        for (let i = 0; i < 200; i++) {
          const level = { _tag: "Level", side: "bid", price: "1000", quantity: `0.${100 + i}` } as const
          yield* Effect.orDie(simulator.publish(id, eth, level))
          if (i % 50 === 0) yield* Effect.orDie(simulator.publish(id, btc, level))
          yield* Effect.sleep(200)
        }
        yield* websocket.unsubscribe([eth])
        yield* Effect.sleep("40 seconds")
        const { silences } = yield* websocket.performance
        assert.strictEqual(silences, 0)
      }),
      still
    ))
})

describe("a stream that the exchange has gone on without", () => {
  // Where snapshots are pushed there is none of a silent stream.
  const fetching = subjects.filter(({ adapter }) => adapter.book({ _tag: "Book", pair: btc }).snapshot === "Fetch")
  for (const subject of fetching) {
    const pairs = [pairOn(subject, btc), pairOn(subject, eth)] as [TradingPair, TradingPair]

    /** Silent from the start, so that nothing is learned: for so many topics, for so long, reported behind so many ms. */
    const reported = (topic: string, lasts: number, behind: number) =>
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const clock = yield* Clock.Clock
        const told: Array<readonly [pair: TradingPair | null, what: string, at: number]> = []
        const tell = (pair: TradingPair | null, what: string) =>
          void told.push([pair, what, clock.currentTimeMillisUnsafe()])
        yield* websocket.handle({
          onBook: ({ kind, pair }) => tell(pair, kind),
          onGap: ({ cause, pair }) => tell(pair, cause)
        })
        yield* Effect.orDie(simulator.inject({ _tag: "Silence", topic, durationMillis: lasts }))
        const begins = yield* millis
        yield* websocket.initialize(pairs, ["Book"])
        yield* Effect.sleep(behind)
        const isTaken = websocket.reportMissed(Channel.book(pairs[0]))
        const reportedAt = yield* millis
        yield* Effect.sleep(lasts + 2_000 - behind)
        const of = (pair: TradingPair) => told.filter((one) => one[0] === pair && one[2] >= reportedAt)
        return { begins, isTaken, of }
      })

    it.effect(`MUST not be shown by a snapshot, and MUST be back by itself: ${subject.adapter.id}`, () =>
      over(
        subject,
        Effect.gen(function*() {
          const { begins, isTaken, of } = yield* reported("*BTC*", 30_000, 8_000)
          assert.isTrue(isTaken)
          const [gap, ...next] = of(pairs[0])
          assert.strictEqual(gap?.[1], "Silent")
          const back = next.find(([, what]) => what === "snapshot" || what === "delta")
          assert.strictEqual(back?.[1], "snapshot")
          assert.isAtLeast(back![2] - begins, 30_000)
          assert.isTrue(of(pairs[1]).every(([, what]) => what === "delta"), "the other one goes on")
        }),
        { rate: 10 }
      ))
  }

  it.effect("MUST tell of the whole connection where that has brought nothing either", () =>
    over(
      subjects[0]!,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const told: Array<readonly [pair: TradingPair | null, cause: string]> = []
        yield* websocket.handle({ onGap: ({ cause, pair }) => void told.push([pair, cause]) })
        yield* Effect.orDie(simulator.inject({ _tag: "Silence", durationMillis: 60_000 }))
        yield* websocket.initialize([btc, eth, sol], ["Book"])
        yield* Effect.sleep("4 seconds")
        const level = { _tag: "Level", side: "bid", price: "1000", quantity: "1" } as const
        yield* Effect.orDie(simulator.publish(subjects[0]!.adapter.id, eth, level))
        yield* Effect.sleep("4 seconds")
        assert.deepStrictEqual(told, [])
        assert.isTrue(websocket.reportMissed(Channel.book(eth)))
        assert.deepStrictEqual([...told].sort(), [[btc, "Silent"], [eth, "Silent"], [sol, "Silent"]])
        const { silences } = yield* websocket.performance
        assert.strictEqual(silences, 3)
      }),
      still
    ))

  it.effect("MUST not be known where nobody is subscribed", () =>
    over(
      subjects[0]!,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        assert.isFalse(websocket.reportMissed(Channel.book(btc)))
        assert.isFalse(websocket.reportMissed(Channel.book("BTC/USDT:USDT")))
      }),
      still
    ))

  it.effect("MUST not be shown by a snapshot where its silence is never judged either", () =>
    over(
      subjects[0]!,
      Effect.gen(function*() {
        const websocket = yield* PublicWebsocket
        const simulator = yield* Simulator
        const told: Array<string> = []
        yield* websocket.handle({
          onBook: ({ kind }) => void told.push(kind),
          onGap: ({ cause }) => void told.push(cause)
        })
        yield* websocket.initialize([btc], ["Book"])
        yield* Effect.sleep("5 seconds")
        yield* Effect.orDie(simulator.inject({ _tag: "Silence", durationMillis: 600_000 }))
        yield* Effect.sleep("20 seconds")
        websocket.reportMissed(Channel.book(btc))
        yield* Effect.sleep("60 seconds")
        assert.strictEqual(told.at(-1), "Silent")
        assert.strictEqual(told.filter((what) => what === "Silent").length, 1)
      }),
      { rate: 10 },
      { silence: { Book: null }, staleAfter: null }
    ))
})
