/** A topic on connections that are lists of what was done with them. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit } from "effect"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { Booking } from "../../src/session/Booking.ts"
import type { Link } from "../../src/session/Link.ts"
import type { Phase } from "../../src/session/Subscriptions.ts"
import type { TopicState } from "../../src/session/Topics.ts"

const start = () => {
  const log: Array<string> = []
  const state = {
    topic: { key: "depth|BTCUSDT" },
    failed: false,
    place: (id: number, group: number) => log.push(`placed on ${id} of group ${group}`),
    unplace: (id: number) => log.push(`off ${id}`)
  }
  const link = (id: number, phase?: Phase) => {
    const of = {
      id,
      group: id % 2,
      connected: true,
      phase: phase as Phase | undefined,
      asked: [] as Array<string>,
      changed: () => log.push(`changed ${id}`),
      subscriptions: {
        phase: (key: string) => {
          of.asked.push(key)
          return of.phase
        },
        retain: (topic: { readonly key: string }) => log.push(`retain ${topic.key} on ${id}`)
      },
      release: (key: string) => log.push(`release ${key} on ${id}`)
    }
    return of
  }
  const as = (of: ReturnType<typeof link>) => of as unknown as Link
  const booking = new Booking(state as unknown as TopicState)
  return { as, booking, link, log, state }
}

describe("Booking", () => {
  it("begins with nobody, nowhere", () => {
    const { booking } = start()
    const { holders, key, live, placements, refusedBeside, replaceAt } = booking
    assert.deepStrictEqual({ holders, key, live, placements, refusedBeside, replaceAt }, {
      holders: 0,
      key: "depth|BTCUSDT",
      live: false,
      placements: [],
      refusedBeside: 0,
      replaceAt: 0
    })
    assert.isFalse(booking.isConfirmed)
    assert.isFalse(booking.isRefused, "nobody has refused it")
    assert.isTrue(booking.isHopeless, "there is nowhere to ask")
    assert.strictEqual(booking.standing, "Waiting")
  })

  it("is placed on a connection: known there, wanted there, told", () => {
    const { as, booking, link, log } = start()
    const [one, two] = [link(1), link(2)]
    booking.place(as(one))
    booking.place(as(two))
    assert.deepStrictEqual(log, [
      "placed on 1 of group 1",
      "retain depth|BTCUSDT on 1",
      "changed 1",
      "placed on 2 of group 0",
      "retain depth|BTCUSDT on 2",
      "changed 2"
    ])
    assert.deepStrictEqual(booking.on(as(two)), { link: as(two), retryAt: 0, refusals: 0, silences: 0 })
    assert.isUndefined(booking.on(as(link(3))))
    assert.deepStrictEqual(booking.placements.map((placement) => booking.phase(placement)), [undefined, undefined])
    assert.deepStrictEqual([one.asked, two.asked], [["depth|BTCUSDT"], ["depth|BTCUSDT"]])
  })

  it("forgets one connection and keeps the others; of one that it is not on there is nothing to forget", () => {
    const { as, booking, link, log } = start()
    const [one, two] = [link(1), link(2)]
    booking.place(as(one))
    booking.place(as(two))
    log.length = 0
    booking.forget(as(link(3)))
    assert.deepStrictEqual([log, booking.placements.length], [[], 2])
    booking.forget(as(one))
    assert.deepStrictEqual(log, ["off 1"])
    assert.deepStrictEqual(booking.placements.map((placement) => placement.link.id), [2])
    booking.withdraw(as(two))
    assert.deepStrictEqual(log, ["off 1", "off 2", "release depth|BTCUSDT on 2"])
    assert.deepStrictEqual(booking.placements, [])
  })

  type Row = readonly [
    phases: ReadonlyArray<Phase | undefined>,
    confirmed: boolean,
    refused: boolean,
    standing: Booking["standing"]
  ]
  const rows: ReadonlyArray<Row> = [
    [["Subscribing"], false, false, "Waiting"],
    [[undefined], false, false, "Waiting"],
    [["Confirmed"], true, false, "Confirmed"],
    [["Refused"], false, true, "Rejected"],
    [["Refused", "Refused"], false, true, "Rejected"],
    [["Refused", "Confirmed"], true, false, "Confirmed"],
    [["Confirmed", "Refused"], true, false, "Confirmed"],
    [["Subscribing", "Confirmed"], true, false, "Confirmed"],
    [["Subscribing", "Refused"], false, false, "Waiting"]
  ]
  for (const [phases, confirmed, refused, standing] of rows) {
    it(`on connections where it is ${phases.join(" and ")}: ${standing}`, () => {
      const { as, booking, link, state } = start()
      phases.forEach((phase, index) => booking.place(as(link(index, phase))))
      assert.deepStrictEqual([booking.isConfirmed, booking.isRefused, booking.standing], [confirmed, refused, standing])
      state.failed = true
      assert.strictEqual(booking.standing, "Rejected")
    })
  }

  it("is hopeless when every connection has refused it or is not open", () => {
    const { as, booking, link } = start()
    const [one, two] = [link(1, "Refused"), link(2, "Subscribing")]
    booking.place(as(one))
    booking.place(as(two))
    assert.isFalse(booking.isHopeless)
    two.connected = false
    assert.isTrue(booking.isHopeless)
    one.phase = "Subscribing"
    assert.isFalse(booking.isHopeless)
    one.connected = false
    assert.isTrue(booking.isHopeless)
  })

  it.effect("tells everybody who waits, once, and nobody who has gone", () =>
    Effect.gen(function*() {
      const { booking } = start()
      const error = ExchangeError.make("toy", new ExchangeError.UnknownPair({ symbol: "BTCUSDT", detail: "gone" }))
      const waiters = Array.from({ length: 3 }, () => Deferred.makeUnsafe<void, ExchangeError.ExchangeError>())
      const [first, second, third] = waiters as [typeof waiters[0], typeof waiters[0], typeof waiters[0]]
      booking.wait(first)
      const leave = booking.wait(second)
      booking.wait(third)
      leave()
      booking.resolve(Exit.fail(error))
      assert.strictEqual(yield* Effect.flip(Deferred.await(first)), error)
      assert.strictEqual(yield* Effect.flip(Deferred.await(third)), error)
      assert.isFalse(Deferred.isDoneUnsafe(second))
      const fourth = Deferred.makeUnsafe<void, ExchangeError.ExchangeError>()
      booking.wait(fourth)
      booking.resolve(Exit.void)
      yield* Deferred.await(fourth)
      assert.isFalse(Deferred.isDoneUnsafe(second))
    }))
})
