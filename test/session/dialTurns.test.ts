/** How often an exchange is dialled behind a hang, by many connections at once. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Stream } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { ExchangeDialect } from "../../src/ExchangeDialect.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import { over, pairs } from "./Memory.ts"

describe("behind a hang", () => {
  it.effect("MUST dial no more often than the exchange allows, also who had waited for a sign of its life", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const dials: Array<number> = []
      const dialect: ExchangeDialect = {
        ...gateSpotDialect,
        connect: (world, peer, options) => {
          dials.push(clock.currentTimeMillisUnsafe())
          return gateSpotDialect.connect(world, peer, options)
        }
      }
      const adapter = { ...gateSpot, limits: { ...gateSpot.limits, topicsPerConnection: 1 } }
      const all = pairs(12)
      yield* over(
        { adapter, dialect },
        Effect.gen(function*() {
          const simulator = yield* Simulator
          const websocket = yield* PublicWebsocket
          yield* Effect.forEach(
            all,
            (pair) => Effect.forkScoped(Effect.flatMap(websocket.feed(Channel.bookTicker(pair)), Stream.runDrain))
          )
          yield* Effect.sleep("10 seconds")
          yield* Effect.orDie(simulator.inject("half-open@0ms:20000ms"))
          yield* Effect.sleep("1 minute")
        }),
        { pairs: all, rate: 4, tradeRate: 0 }
      )
      const gaps = dials.slice(1).map((at, index) => at - dials[index]!)
      assert.isAtLeast(Math.min(...gaps), 1_000 / gateSpot.limits.dialsPerSecond - 1, gaps.join())
    }))
})
