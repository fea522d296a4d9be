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

const kinds = [
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
] as const
type Kind = (typeof kinds)[number]
type Tag = (typeof channels)[number]

/** What happens to one pair on one channel. */
const steps = Arbitrary.array(
  Arbitrary.all({
    kind: among(...kinds),
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
          const subscribed = (channel: Tag, pair: TradingPair) => world.feeds.has(`${channel} ${pair}`)
          const take: Readonly<Record<Kind, (pair: TradingPair, channel: Tag) => Effect.Effect<unknown, unknown>>> = {
            add: (pair) =>
              Effect.map(Effect.forkChild(Effect.exit(market.add([pair])), { startImmediately: true }), (call) => {
                calls.push(call)
                wanted.add(pair)
              }),
            remove: (pair) => Effect.map(market.remove([pair]), () => wanted.delete(pair)),
            interrupt: () => Effect.forEach(calls.splice(0), Fiber.interrupt),
            refuse: (pair, channel) => Effect.sync(() => world.answer(channel, pair, Effect.fail(refusal(pair)))),
            pass: (pair, channel) =>
              Effect.sync(() => world.answer(channel, pair, Effect.fail(passing(pair)), Effect.fail(passing(pair)))),
            hang: (pair, channel) => Effect.sync(() => world.answer(channel, pair, Effect.never)),
            sync: (pair) => Effect.sync(() => subscribed("Book", pair) && world.sync(pair)),
            gap: (pair, channel) => Effect.sync(() => subscribed(channel, pair) && world.gap(channel, pair)),
            end: (pair, channel) =>
              Effect.sync(() => subscribed(channel, pair) && world.end(channel, pair, passing(pair))),
            endForGood: (pair, channel) =>
              Effect.sync(() => subscribed(channel, pair) && world.end(channel, pair, refusal(pair))),
            refresh: () => market.instruments.refresh,
            wait: () => TestClock.adjust(700)
          }
          for (const { channel, kind, pair } of script) yield* Effect.orDie(take[kind](pair, channel))
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
