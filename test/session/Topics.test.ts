import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { BookUpdate } from "../../src/domain/Market.ts"
import type { Topic } from "../../src/ExchangeAdapter.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import * as Test from "../../src/PublicWebsocketTest.ts"
import { Counters } from "../../src/session/Counters.ts"
import { holdMillis } from "../../src/session/Lanes.ts"
import { SilenceWatch } from "../../src/session/SilenceWatch.ts"
import { BufferSubscriber, Wakeups } from "../../src/session/Subscriber.ts"
import type { Subscriber, TopicOwner } from "../../src/session/Topics.ts"
import { settleMillis, TopicState } from "../../src/session/Topics.ts"

const pair = "BTC/USDT"

const update = (kind: BookUpdate["kind"], firstVersion: number, version: number): BookUpdate => ({
  _tag: "BookUpdate",
  kind,
  pair,
  symbol: "BTCUSDT",
  bids: [],
  asks: [],
  firstVersion,
  version,
  exchangeTime: null,
  receivedAt: 1,
  contractSize: 1,
  exact: null
})

/** Takes everything at once. */
const quick: Subscriber = {
  push: () => {},
  gap: () => {},
  fail: () => {}
}

const makeState = () => {
  const counters = new Counters()
  const owner: TopicOwner = { counters, now: () => 1, monotonic: () => 1, requestSnapshot: () => {} }
  const topic: Topic = { key: "depth", channel: "Book", symbol: "BTCUSDT", pair, contractSize: 1, slot: null }
  const channel = Channel.book(pair)
  return { counters, state: new TopicState(topic, channel, mexcSpot.book(channel), owner) }
}

describe("a book's ledger when its last subscriber leaves", () => {
  it("counts the updates that waited for the first snapshot", () => {
    const { counters, state } = makeState()
    const route = state.add(quick)
    for (let version = 1; version <= 3; version++) state.onEvent(update("delta", version, version))
    state.remove(route)
    const { delivered, received, stale } = state.performance()
    assert.deepStrictEqual({ delivered, received, stale }, { delivered: 0, received: 3, stale: 3 })
    assert.strictEqual(counters.stale, 3)
  })

  it("counts the updates that waited for the snapshot behind a hole", () => {
    const { state } = makeState()
    const route = state.add(quick)
    state.snapshot(update("snapshot", 10, 10))
    state.onEvent(update("delta", 11, 11))
    state.onEvent(update("delta", 13, 13))
    state.onEvent(update("delta", 14, 14))
    state.remove(route)
    const { delivered, received, reconciled, stale } = state.performance()
    assert.deepStrictEqual({ delivered, received, reconciled, stale }, {
      delivered: 2,
      received: 3,
      reconciled: 1,
      stale: 2
    })
  })
})

describe("a book's ledger with one subscriber that overflows", () => {
  const overflowing = (recipe: ReturnType<typeof mexcSpot.book>, seed: number) => {
    let draws = seed
    const draw = (count: number): number => {
      draws = (Math.imul(draws, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((draws / 2 ** 32) * count)
    }
    const counters = new Counters()
    const wakeups = new Wakeups()
    const owner: TopicOwner = { counters, now: () => 1, monotonic: () => 1, requestSnapshot: () => {} }
    const topic: Topic = { key: "depth", channel: "Book", symbol: "BTCUSDT", pair, contractSize: 1, slot: null }
    const state = new TopicState(topic, Channel.book(pair), recipe, owner)
    const bufferSize = 1 + draw(4)
    const subscriber = new BufferSubscriber({
      exchange: "x",
      bufferSize,
      block: false,
      wakeups,
      counters,
      onTopicFailure: "end"
    })
    const route = state.add(subscriber)
    let version = 100
    const take = () => {
      if (subscriber.size > 0) Effect.runSync(subscriber.pull)
    }
    const snapshot = () => {
      const lag = draw(4)
      if (recipe.snapshot === "InStream") state.onEvent(update("snapshot", version, version))
      else state.snapshot(update("snapshot", version - lag, version - lag))
    }
    const next = (step: number) => {
      version += step
      state.onEvent(update("delta", version, version))
    }
    const steps: ReadonlyArray<() => void> = [
      () => next(1),
      () => next(1),
      () => next(1),
      () => next(0),
      () => next(2),
      snapshot,
      snapshot,
      () => state.release(),
      take,
      () => state.interrupt("Reconnected")
    ]
    const path: Array<number> = []
    for (let i = 0; i < 24; i++) {
      path.push(draw(steps.length))
      steps[path.at(-1)!]!()
    }
    state.remove(route)
    subscriber.leave()
    const { abandoned, conflated, delivered, dropped, duplicates, received, reconciled, stale, unrouted } = state
      .performance()
    const left = received + reconciled - (delivered + conflated + dropped + stale + abandoned + unrouted + duplicates)
    assert.strictEqual(left, 0, `buffer of ${bufferSize}, steps ${path.join()}`)
  }

  const recipes = {
    "MEXC depth": mexcSpot.book(Channel.book(pair)),
    "Gate order_book_update": gateSpot.book(Channel.book(pair, { source: "order_book_update" })),
    "Gate obu": gateSpot.book(Channel.book(pair))
  }
  for (const [name, recipe] of Object.entries(recipes)) {
    it(`is exact whatever snapshots, holes, duplicates and breaks meet: ${name}`, () => {
      for (let seed = 1; seed <= 4_000; seed++) overflowing(recipe, seed)
    })
  }
})

describe("a book's subscriber that leaves where it is told, and another that comes there", () => {
  /** Of one book, each takes so many items and leaves for the next. */
  const changing = (recipe: ReturnType<typeof mexcSpot.book>, seed: number, isOverlapping: boolean) => {
    let draws = seed
    const draw = (count: number): number => {
      draws = (Math.imul(draws, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((draws / 2 ** 32) * count)
    }
    const owner: TopicOwner = { counters: new Counters(), now: () => 1, monotonic: () => 1, requestSnapshot: () => {} }
    const topic: Topic = { key: "depth", channel: "Book", symbol: "BTCUSDT", pair, contractSize: 1, slot: null }
    const state = new TopicState(topic, Channel.book(pair), recipe, owner)
    const path: Array<number> = []
    const at = () => `steps ${path.join()} of seed ${seed}`
    const come = (): void => {
      let left = draw(5)
      let last: number | null = null
      const item = (next: number | null): void => {
        last = next
        if (left-- > 0) return
        if (isOverlapping) come()
        state.remove(route)
        if (!isOverlapping && draw(4) > 0) come()
      }
      const route = state.add({
        push: (_, event) => {
          const { firstVersion, kind, version } = event as BookUpdate
          if (kind === "delta") assert.isTrue(last !== null && Number(firstVersion) <= last + 1, `${version}, ${at()}`)
          item(Number(version))
        },
        gap: () => item(null),
        fail: () => {}
      })
    }
    come()
    let version = 100
    const next = (step: number) => {
      version += step
      state.onEvent(update("delta", version, version))
    }
    const snapshot = () => {
      if (recipe.snapshot === "InStream") state.onEvent(update("snapshot", version, version))
      else state.snapshot(update("snapshot", version - draw(4), version))
    }
    const steps: ReadonlyArray<() => void> = [
      () => next(1),
      () => next(1),
      () => next(1),
      () => next(2),
      snapshot,
      snapshot,
      () => state.release(),
      () => state.interrupt("Reconnected")
    ]
    for (let i = 0; i < 24; i++) {
      path.push(draw(steps.length))
      steps[path.at(-1)!]!()
    }
    for (const route of state.routes) state.remove(route)
    if (isOverlapping) return
    const { delivered, received, reconciled, stale, unrouted } = state.performance()
    assert.strictEqual(received + reconciled - (delivered + stale + unrouted), 0, at())
  }

  const recipes = {
    "MEXC depth": mexcSpot.book(Channel.book(pair)),
    "Gate order_book_update": gateSpot.book(Channel.book(pair, { source: "order_book_update" })),
    "Gate obu": gateSpot.book(Channel.book(pair))
  }
  for (const [name, recipe] of Object.entries(recipes)) {
    it(`each begins with a snapshot, and the ledger is exact: ${name}`, () => {
      for (let seed = 1; seed <= 4_000; seed++) changing(recipe, seed, false)
    })

    it(`each begins with a snapshot, where the next comes before the first goes: ${name}`, () => {
      for (let seed = 1; seed <= 4_000; seed++) changing(recipe, seed, true)
    })
  }
})

/** Trades over several connections that are confirmed at once, and what subscribers were told. */
const makeTrades = (connections: ReadonlyArray<number>) => {
  const told: Array<string> = []
  const owner: TopicOwner = {
    counters: new Counters(),
    now: () => 5_000,
    monotonic: () => 5_000,
    requestSnapshot: () => {}
  }
  const topic: Topic = { key: "deals", channel: "Trades", symbol: "BTCUSDT", pair, contractSize: 1, slot: null }
  const state = new TopicState(topic, Channel.trades(pair), null, owner)
  state.add({
    push: (_, event) => void told.push(event._tag === "Trade" ? event.id! : event._tag),
    gap: (_, { cause }) => void told.push(cause),
    fail: () => {}
  })
  const bring = (id: number) => {
    for (const connection of connections) state.onLane(connection, Test.trade(pair, { id: String(id) }))
  }
  for (const connection of connections) state.place(connection, connection - 1)
  for (const connection of connections) state.confirmed(connection, 0)
  bring(1)
  return { bring, state, told }
}

describe("a frame that could not be read, of a topic that several connections bring", () => {
  const at = 10_000

  it("is declared when none of them could read it, each time", () => {
    const { bring, state, told } = makeTrades([1, 2])
    state.unreadable(1, at)
    assert.deepStrictEqual(told, ["1"])
    state.unreadable(2, at + 5)
    bring(3)
    state.unreadable(2, at + 50)
    state.unreadable(1, at + 51)
    bring(5)
    assert.deepStrictEqual(told, ["1", "Unreadable", "3", "Unreadable", "5"])
  })

  it("is declared when two read on and lost one each, as both may be the same one", () => {
    const { state, told } = makeTrades([1, 2, 3])
    state.unreadable(1, at)
    state.unreadable(3, at + 5)
    state.watchLanes(at + 500, () => at + 500)
    state.unreadable(1, at + 510)
    assert.deepStrictEqual(told, ["1"])
    state.unreadable(2, at + 520)
    assert.deepStrictEqual(told, ["1", "Unreadable"])
  })

  it("is not declared when another has read on for long enough since", () => {
    const { state, told } = makeTrades([1, 2])
    state.unreadable(1, at)
    state.watchLanes(at + settleMillis, () => at + settleMillis)
    state.unreadable(2, at + settleMillis + 1)
    assert.deepStrictEqual(told, ["1"])
  })

  it("is still in doubt while the other is silent", () => {
    const { state, told } = makeTrades([1, 2])
    state.unreadable(1, at)
    state.watchLanes(at + 60_000, (connection) => connection === 1 ? at + 60_000 : at)
    state.unreadable(2, at + 60_000)
    assert.deepStrictEqual(told, ["1", "Unreadable"])
  })

  it("is declared when the one that was to bring it ends before it had the time, and not behind that", () => {
    for (const [heardAt, expected] of [[at + 1_999, ["1", "Unreadable"]], [at + settleMillis, ["1"]]] as const) {
      const { state, told } = makeTrades([1, 2])
      state.unreadable(1, at)
      assert.isTrue(state.lost(2, heardAt))
      assert.deepStrictEqual<ReadonlyArray<string>>(told, expected)
    }
  })

  it("is not to be brought by one that came in later", () => {
    const { bring, state, told } = makeTrades([1, 2])
    state.unreadable(1, at)
    state.place(3, 0)
    state.confirmed(3, at)
    bring(2)
    state.onLane(3, Test.trade(pair, { id: "2" }))
    assert.isTrue(state.isJoined(3))
    state.unreadable(2, at + 5)
    assert.deepStrictEqual(told, ["1", "2", "Unreadable"])
  })

  it("is declared once when a break is", () => {
    const { state, told } = makeTrades([1, 2])
    state.unreadable(1, at)
    assert.isTrue(state.lost(1, at))
    assert.isFalse(state.lost(2, at))
    state.interrupt("Reconnected")
    assert.deepStrictEqual(told, ["1", "Reconnected"])
  })
})

describe("a connection that brings nothing of a topic", () => {
  it("is joined once another was read on for long enough behind its confirmation, not before", () => {
    const { state } = makeTrades([1])
    state.place(2, 1)
    state.confirmed(2, 10_000)
    const joinedWhen = (heardAt: number) => {
      state.watchLanes(20_000, () => heardAt)
      return state.isJoined(2)
    }
    assert.isFalse(joinedWhen(10_000 + settleMillis - 1))
    assert.isTrue(joinedWhen(10_000 + settleMillis))
  })

  it("is taken at its word a second after it was placed beside another, not at the first look", () => {
    const { state, told } = makeTrades([1])
    state.place(2, 1)
    state.confirmed(2, 5_000)
    state.onLane(2, Test.trade(pair, { id: "9" }))
    state.watchLanes(5_000 + holdMillis - 1, () => 5_000)
    assert.deepStrictEqual(told, [])
    state.watchLanes(5_000 + holdMillis, () => 5_000)
    assert.deepStrictEqual(told, ["Reconnected", "9"])
  })

  it("waits for what was on its way for two seconds", () => {
    assert.strictEqual(settleMillis, 2_000)
    assert.strictEqual(holdMillis, 1_000)
  })
})

describe("the watch for silence", () => {
  it("is told of what does not come together, and of the first event behind a break or a clock that was set back", () => {
    const { state } = makeState()
    const told: Array<number> = []
    state.watch = new SilenceWatch(1_000, null, () => {})
    state.watch.arrived = ({ receivedAt }) => void told.push(receivedAt)
    state.add(quick)
    const at = (receivedAt: number) => state.onEvent({ ...update("delta", 1, 1), receivedAt })
    for (const receivedAt of [100, 100.5, 109.9, 110, 119, 121]) at(receivedAt)
    assert.deepStrictEqual(told.splice(0), [100, 110, 121])
    state.interrupt("Silent")
    at(122)
    at(60)
    at(61)
    assert.deepStrictEqual(told, [122, 60])
  })
})
