import { assert, describe, it } from "@effect/vitest"
import * as Channel from "../../src/domain/Channel.ts"
import type { BookUpdate } from "../../src/domain/Market.ts"
import type { Topic } from "../../src/ExchangeAdapter.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import { Counters } from "../../src/session/Counters.ts"
import type { Subscriber, TopicOwner } from "../../src/session/Topics.ts"
import { TopicState } from "../../src/session/Topics.ts"

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
  exact: null
})

/** Takes everything at once. */
const quick: Subscriber = {
  push: (route) => void route.state.delivered++,
  gap: () => {},
  fail: () => {}
}

const makeState = () => {
  const counters = new Counters()
  const owner: TopicOwner = { counters, now: () => 1, requestSnapshot: () => {} }
  const topic: Topic = { key: "depth", channel: "Book", symbol: "BTCUSDT", pair, slot: null }
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
