/** Pairs added, removed, refused and given up in every order: exactly what is followed stays subscribed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import { TestClock } from "effect/testing"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import { btc, eth, passing, refusal, sol, withMarket } from "./PublicWorld.ts"

const pairs = [btc, eth, sol] as const
const channels = ["Book", "BookTicker"] as const

const among = <const A extends string>(...values: ReadonlyArray<A>) =>
  Arbitrary.schema(Schema.Literals(values as unknown as readonly [A, ...ReadonlyArray<A>]))

/** What happens to one pair on one channel. */
const steps = Arbitrary.array(
  Arbitrary.all({
    kind: among(
      "add",
      "remove",
      "interrupt",
      "refuse",
      "pass",
      "hang",
      "sync",
      "gap",
      "end",
      "endForGood",
      "refresh",
      "wait"
    ),
    pair: among(...pairs),
    channel: among(...channels)
  }),
  { maxLength: 40 }
)

describe("PublicExchange", () => {
  it.effect.prop(
    "keeps subscribed what it follows and nothing else, whatever comes between",
    [steps],
    ([script]) =>
      withMarket(({ market, world }) =>
        Effect.gen(function*() {
          const calls: Array<Fiber.Fiber<unknown, unknown>> = []
          const wanted = new Set<TradingPair>([btc])
          yield* market.initialize([btc])
          const heard = new Map<TradingPair, string>()
          yield* market.onBook((live) => void heard.set(live.pair, live._tag === "Synced" ? "Synced" : live.cause))
          const subscribed = (channel: typeof channels[number], pair: TradingPair) =>
            world.feeds.has(`${channel} ${pair}`)
          for (const { channel, kind, pair } of script) {
            switch (kind) {
              case "add":
                calls.push(yield* Effect.forkChild(Effect.exit(market.add([pair])), { startImmediately: true }))
                wanted.add(pair)
                break
              case "remove":
                yield* market.remove([pair])
                wanted.delete(pair)
                break
              case "interrupt":
                yield* Effect.forEach(calls.splice(0), Fiber.interrupt)
                break
              case "refuse":
                world.answer(channel, pair, Effect.fail(refusal(pair)))
                break
              case "pass":
                world.answer(channel, pair, Effect.fail(passing(pair)), Effect.fail(passing(pair)))
                break
              case "hang":
                world.answer(channel, pair, Effect.never)
                break
              case "sync":
                if (subscribed("Book", pair)) world.sync(pair)
                break
              case "gap":
                if (subscribed(channel, pair)) world.gap(channel, pair)
                break
              case "end":
                if (subscribed(channel, pair)) world.end(channel, pair, passing(pair))
                break
              case "endForGood":
                if (subscribed(channel, pair)) world.end(channel, pair, refusal(pair))
                break
              case "refresh":
                yield* market.instruments.refresh
                break
              case "wait":
                yield* TestClock.adjust(700)
            }
          }
          yield* TestClock.adjust("2 minutes")
          const { refused } = yield* market.health
          const followed = market.pairs()
          for (const pair of followed) assert.isTrue(wanted.has(pair), `${pair} is followed, and nobody wants it`)
          // What was refused for now has been taken by then; a book says why it was not in sync until it is again.
          const expected = followed.filter((pair) => refused.get(pair)?.isTransient !== false).flatMap((pair) =>
            channels.map((channel) => `${channel} ${pair}`)
          )
          assert.deepStrictEqual([...world.feeds.keys()].sort(), expected.sort())
          for (const pair of pairs) if (!followed.includes(pair)) assert.include(["Closed", undefined], heard.get(pair))
          yield* market.close
          assert.deepStrictEqual([...world.feeds.keys()], [])
          yield* Effect.forEach(calls, Fiber.await)
        }), { healthInterval: "1 minute" }),
    { arbitrary: { runs: 60 } }
  )
})
