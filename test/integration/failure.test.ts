/** Everything fails at once, over real ports: all connections of all exchanges, again and again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Gap } from "../../src/domain/Feed.ts"
import type { WebsocketOptions } from "../../src/ExchangeFactory.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as World from "./World.ts"

interface Watched {
  readonly client: World.Client
  readonly judge: World.Judge
  readonly gaps: Array<Gap>
  /** Topics that brought data since their last gap. */
  readonly alive: Set<string>
}

const tags = ["BookTicker", "Trades", "Book"] as const
const topics = tags.length * 2

const quick = { heartbeat: { interval: "300 millis", timeout: "300 millis" } } as const
/** Only where silence is meant: a busy machine is silent too. */
const watchful = { ...quick, silence: { BookTicker: "500 millis", Book: "500 millis" } } as const

const watched = Effect.fnUntraced(function*(client: World.Client) {
  const one: Watched = { client, judge: new World.Judge(yield* Simulator, client.id), gaps: [], alive: new Set() }
  const { alive, gaps, judge } = one
  yield* client.websocket.handle({
    onBookTicker: ({ symbol }) => void alive.add(`BookTicker ${symbol}`),
    onTrade: ({ symbol }) => void alive.add(`Trades ${symbol}`),
    onBook: (update) => {
      alive.add(`Book ${update.symbol}`)
      judge.apply(update)
    },
    onGap: (gap) => {
      gaps.push(gap)
      alive.delete(`${gap.channel} ${gap.symbol}`)
    }
  })
  yield* client.websocket.initialize([client.pair("BTC"), client.pair("ETH")], tags)
  return one
})

const causesOf = ({ gaps }: Watched): ReadonlyArray<string> => [...new Set(gaps.map(({ cause }) => cause))].sort()

/** Opens all exchanges, lets `fail` run, and waits until every topic of every exchange delivers again. */
const through = <E, R>(
  fail: (all: ReadonlyArray<Watched>) => Effect.Effect<void, E, R>,
  options: WebsocketOptions = quick
) =>
  Effect.gen(function*() {
    const simulator = yield* Simulator
    const all = yield* Effect.forEach(yield* World.clients(options), watched, { concurrency: "unbounded" })
    const isWhole = () => all.every(({ alive }) => alive.size === topics)
    // Says who is waited for, should it ever be for ever.
    const inTime = <A, E2, R2>(effect: Effect.Effect<A, E2, R2>) =>
      Effect.timeoutOrElse(effect, {
        duration: "80 seconds",
        orElse: () =>
          Effect.die(
            new Error(
              all.map(({ alive, client, gaps }) =>
                `${client.id}: alive ${[...alive].join(", ")}; gaps ${
                  gaps.map(({ cause, channel, symbol }) => `${channel} ${symbol} ${cause}`).join(", ")
                }`
              ).join("\n")
            )
          )
      })
    yield* World.until(isWhole)
    yield* inTime(Effect.andThen(fail(all), World.until(isWhole)))
    const compared = all.map(({ judge }) => judge.compared)
    yield* World.until(() => all.every(({ judge }, index) => judge.compared > compared[index]! + 3))
    for (const { client, judge } of all) {
      assert.strictEqual(judge.wrong, 0, client.id)
      assert.strictEqual(simulator.topics(client.id).size, topics, client.id)
    }
    return all
  })

const hasGap = (all: ReadonlyArray<Watched>) => () => all.every(({ gaps }) => gaps.length >= topics)

describe("failures of everything at once, over ports", () => {
  it.live("all connections drop, three times in a row", () =>
    World.overPorts(Effect.gen(function*() {
      const simulator = yield* Simulator
      const all = yield* through((those) =>
        Effect.gen(function*() {
          for (let i = 1; i <= 3; i++) {
            yield* simulator.inject("drop")
            yield* World.until(() => those.every(({ alive, gaps }) => gaps.length >= i && alive.size > 0))
          }
        })
      )
      for (const one of all) assert.deepStrictEqual(causesOf(one), ["Reconnected"])
    })))

  it.live("all exchanges refuse connections for a while behind a drop", () =>
    World.overPorts(Effect.gen(function*() {
      const simulator = yield* Simulator
      const all = yield* through((those) =>
        Effect.gen(function*() {
          yield* simulator.inject("refuse:reset@0s:600ms")
          yield* simulator.inject("drop:1001")
          yield* World.until(hasGap(those))
        })
      )
      for (const { client } of all) {
        assert.isAtLeast((yield* client.websocket.performance).errors["ConnectFailed"] ?? 0, 1, client.id)
      }
    })))

  it.live("all peers are gone and the sockets stay open", () =>
    World.overPorts(Effect.gen(function*() {
      const simulator = yield* Simulator
      const all = yield* through((those) => Effect.andThen(simulator.inject("half-open"), World.until(hasGap(those))))
      for (const { client } of all) {
        assert.isAtLeast((yield* client.websocket.performance).errors["Silent"] ?? 0, 1, client.id)
      }
    })))

  it.live("all topics fall silent while the connections live", () =>
    World.overPorts(Effect.gen(function*() {
      const simulator = yield* Simulator
      const all = yield* through(
        (those) =>
          Effect.andThen(
            simulator.inject("silence@0s:900ms"),
            World.until(() => those.every(({ gaps }) => gaps.some(({ cause }) => cause === "Silent")))
          ),
        watchful
      )
      for (const one of all) assert.include(causesOf(one), "Silent")
    })))

  it.live("frames are lost, doubled, reordered and cut everywhere while snapshots fail and connections drop", () =>
    World.overPorts(Effect.gen(function*() {
      const simulator = yield* Simulator
      yield* through((those) =>
        Effect.gen(function*() {
          for (const fault of ["gap:5%", "duplicate:5%", "reorder:3%", "corrupt:2%", "http-error:503,share=30%"]) {
            yield* simulator.inject(`${fault}@0s:1500ms`)
          }
          yield* Effect.sleep(500)
          yield* simulator.inject("drop")
          yield* World.until(hasGap(those))
          yield* World.until(() => simulator.counts().faults.every(({ active }) => !active))
        })
      )
    })))
})
