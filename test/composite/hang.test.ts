/** Exchanges that take connections and answer none, for a time and again and again, under a virtual clock. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as World from "../../scripts/prove/IslandWorld.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"

const assets = ["BTC"]
const pairs = { rate: 4, tradeRate: 0.1, tickMillis: 500 } as const

/** Looks so often, ms. */
const look = 100

/** From the exchanges' return until all of them may be traded, ms, of one hang after another. */
const hangs = (seed: number, durations: ReadonlyArray<number>) =>
  World.run(
    seed,
    World.layerServer(seed, assets, pairs),
    3_600_000,
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const watches = yield* World.watchAll(assets)
      return yield* Effect.forEach(durations, (millis) =>
        Effect.gen(function*() {
          yield* Effect.sleep("1 minute")
          yield* Effect.orDie(simulator.inject(`half-open@0ms:${millis}ms`))
          yield* Effect.sleep(millis)
          assert.isFalse(watches.some(({ mayTrade }) => mayTrade))
          let after = 0
          for (; !watches.every(({ mayTrade }) => mayTrade); after += look) yield* Effect.sleep(look)
          return after
        }))
    }).pipe(Effect.provide(World.layerMarkets(assets)))
  )

describe("behind a hang", () => {
  it.live("all exchanges may be traded within 3 s, however often it happens", () =>
    Effect.gen(function*() {
      const found = yield* hangs(1, Array.from({ length: 8 }, () => 20_000))
      assert.isAtMost(Math.max(...found), 3_000, found.join())
    }))

  it.live("of a minute and a half, within 6 s", () =>
    Effect.gen(function*() {
      const found = yield* Effect.forEach([1, 2, 3], (seed) => hangs(seed, [90_000]))
      assert.isAtMost(Math.max(...found.flat()), 6_000, found.join())
    }))
})
