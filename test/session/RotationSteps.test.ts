/** The replacement of a connection by itself, step by step: when topics go over, and when the old one is closed. */
import { assert, describe, it } from "@effect/vitest"
import * as Channel from "../../src/domain/Channel.ts"
import type { Topic } from "../../src/ExchangeAdapter.ts"
import * as Test from "../../src/PublicWebsocketTest.ts"
import { Booking } from "../../src/session/Booking.ts"
import { Counters } from "../../src/session/Counters.ts"
import type { Link } from "../../src/session/Link.ts"
import * as Rotation from "../../src/session/Rotation.ts"
import { settleMillis, TopicState } from "../../src/session/Topics.ts"

const pair = "BTC/USDT"

/** What rotation sees of a connection. */
const makeLink = (id: number, group = 0) => {
  const wanted: Array<Topic> = []
  const subscriptions = {
    wanted,
    retain: (topic: Topic) => void wanted.push(topic),
    release: (key: string) => void wanted.splice(wanted.findIndex((topic) => topic.key === key), 1)
  }
  return { id, group, leaving: false, subscriptions, changed: () => {} } as unknown as Link
}

const make = (keys: ReadonlyArray<string> = ["one"]) => {
  const clock = { now: 1_000 }
  const told: Array<string> = []
  const closed: Array<number> = []
  const shut = new Set<Link>()
  const [old, heir, other] = [makeLink(1), makeLink(2), makeLink(3)]
  const bookings = keys.map((key) => {
    const topic: Topic = { key, channel: "Trades", symbol: "BTCUSDT", pair, contractSize: 1, slot: null }
    const state = new TopicState(topic, Channel.trades(pair), null, {
      counters: new Counters(),
      now: () => clock.now,
      monotonic: () => clock.now,
      requestSnapshot: () => {}
    })
    state.add({
      push: (_, event) => void told.push(event._tag === "Trade" ? event.id ?? "-" : event._tag),
      gap: (_, { cause }) => void told.push(cause),
      fail: () => {}
    })
    const booking = new Booking(state)
    booking.place(old)
    state.confirmed(old.id, clock.now)
    state.onEvent(Test.trade(pair, { id: "1" }))
    return booking
  })
  const replaced: Array<number> = []
  const rotation = Rotation.make({
    now: () => clock.now,
    monotonic: () => clock.now,
    bookingOf: (key) => bookings.find((booking) => booking.key === key),
    replace: (link) => {
      replaced.push(link.id)
      return heir
    },
    linkFor: () => other,
    isOpen: (link) => !shut.has(link),
    close: (link) => {
      closed.push(link.id)
      shut.add(link)
    }
  })
  /** The connection brings a trade of every topic. */
  const bring = (link: Link, id: string | null) => {
    for (const { state } of bookings) state.onLane(link.id, Test.trade(pair, { id }))
  }
  const confirm = (link: Link) => {
    for (const { state } of bookings) state.confirmed(link.id, clock.now)
  }
  const carriers = () => bookings.map(({ placements }) => placements.map(({ link }) => link.id))
  told.length = 0
  return { bookings, bring, carriers, clock, closed, confirm, heir, old, other, replaced, rotation, shut, told }
}

describe("a connection that is to be replaced", () => {
  it("leaves once, and its topics are carried by both", () => {
    const { carriers, closed, heir, old, replaced, rotation } = make(["one", "two"])
    rotation.begin(old)
    rotation.begin(old)
    assert.isTrue(old.leaving)
    assert.isFalse(heir.leaving)
    assert.deepStrictEqual(replaced, [1])
    assert.deepStrictEqual(carriers(), [[1, 2], [1, 2]])
    assert.deepStrictEqual(closed, [])
  })

  it("is closed at once when it carries nothing, and left alone when it is no longer open", () => {
    const { closed, old, replaced, rotation, shut } = make([])
    shut.add(old)
    rotation.begin(old)
    assert.isFalse(old.leaving)
    shut.delete(old)
    rotation.begin(old)
    assert.deepStrictEqual([old.leaving, closed, replaced], [true, [1], []])
  })

  it("carries what it wants and is not booked on it for nobody", () => {
    const { bookings, closed, old, replaced, rotation } = make()
    // Off its wire soon, and wanted by nobody there, or anywhere.
    bookings[0]!.forget(old)
    old.subscriptions.retain({ ...bookings[0]!.state.topic, key: "of before" })
    rotation.begin(old)
    assert.deepStrictEqual([closed, replaced], [[1], []])
  })
})

describe("a topic of a connection that leaves", () => {
  it("goes over when the new one brings what was delivered, and the old one is closed when all have", () => {
    const { bookings, bring, carriers, closed, confirm, heir, old, rotation, told } = make(["one", "two"])
    rotation.begin(old)
    confirm(heir)
    rotation.watch(old)
    assert.deepStrictEqual(closed, [])
    bring(old, "2")
    bookings[0]!.state.onLane(heir.id, Test.trade(pair, { id: "2" }))
    rotation.watch(old)
    assert.deepStrictEqual([closed, carriers()], [[], [[1, 2], [1, 2]]])
    bookings[1]!.state.onLane(heir.id, Test.trade(pair, { id: "2" }))
    rotation.watch(old)
    assert.deepStrictEqual([closed, carriers()], [[1], [[2], [2]]])
    rotation.watch(old)
    assert.deepStrictEqual(closed, [1])
    bring(heir, "3")
    assert.deepStrictEqual(told, ["2", "2", "3", "3"])
  })

  it("goes over after thirty seconds with the gap told, not before, and not to a connection without it", () => {
    const { bring, carriers, clock, closed, confirm, heir, old, rotation, told } = make()
    rotation.begin(old)
    clock.now += 100_000
    rotation.watch(old)
    assert.deepStrictEqual(closed, [])
    confirm(heir)
    bring(heir, "9")
    clock.now += 29_999
    rotation.watch(old)
    assert.deepStrictEqual([closed, told], [[], []])
    clock.now++
    rotation.watch(old)
    assert.deepStrictEqual([closed, told, carriers()], [[1], ["Rotated", "9"], [[2]]])
  })

  it("goes over after two seconds where nothing tells its events apart, also behind one that cannot yet", () => {
    const { bookings, bring, clock, closed, heir, old, rotation, told } = make(["one", "two", "three"])
    rotation.begin(old)
    for (const { state } of bookings.slice(1)) state.confirmed(heir.id, clock.now)
    bring(old, null)
    bring(heir, null)
    clock.now += settleMillis - 1
    rotation.watch(old)
    assert.deepStrictEqual([closed, told], [[], ["-", "-", "-"]])
    clock.now++
    rotation.watch(old)
    assert.deepStrictEqual([closed, told], [[], ["-", "-", "-", "Rotated", "Rotated"]])
  })

  it("is put on another connection when the new one has failed, and not before it may be", () => {
    const { bookings, carriers, clock, closed, heir, old, rotation } = make()
    const [booking] = bookings
    rotation.begin(old)
    booking!.forget(heir)
    booking!.replaceAt = clock.now + 1
    rotation.watch(old)
    assert.deepStrictEqual(carriers(), [[1]])
    clock.now++
    rotation.watch(old)
    assert.deepStrictEqual([carriers(), closed], [[[1, 3]], []])
    rotation.watch(old)
    assert.deepStrictEqual(carriers(), [[1, 3]])
  })

  it("is taken over by one of the same set that does not leave itself", () => {
    const { bookings, carriers, heir, old, rotation } = make()
    const elsewhere = makeLink(4, 1)
    bookings[0]!.place(elsewhere)
    rotation.begin(old)
    heir.leaving = true
    rotation.watch(old)
    assert.deepStrictEqual(carriers(), [[1, 4, 2, 3]])
  })

  it("stays while its connection does not leave, or is closed", () => {
    const { carriers, closed, old, rotation, shut } = make()
    rotation.watch(old)
    shut.add(old)
    old.leaving = true
    rotation.watch(old)
    assert.deepStrictEqual([carriers(), closed], [[[1]], []])
  })
})

describe("a connection that is not needed any more", () => {
  it("leaves its topics to others that have room, and is closed when they have them", () => {
    const { bookings, carriers, closed, old, other, replaced, rotation, shut } = make(["one", "two"])
    shut.add(old)
    rotation.retire(old)
    assert.isFalse(old.leaving)
    shut.delete(old)
    rotation.retire(old)
    rotation.retire(old)
    assert.deepStrictEqual([old.leaving, replaced, carriers()], [true, [], [[1, 3], [1, 3]]])
    for (const { state } of bookings) state.confirmed(other.id, 1_000)
    rotation.watch(old)
    assert.deepStrictEqual(closed, [])
    for (const { state } of bookings) state.join(other.id)
    rotation.watch(old)
    assert.deepStrictEqual([closed, carriers()], [[1], [[3], [3]]])
  })
})

describe("a connection that ends before it is replaced", () => {
  it("hands all over at once, to the new one or to another", () => {
    const { bookings, carriers, clock, closed, heir, old, rotation } = make(["one", "two"])
    rotation.begin(old)
    bookings[1]!.forget(heir)
    bookings[1]!.replaceAt = clock.now + 60_000
    rotation.ended(old)
    assert.deepStrictEqual([carriers(), closed], [[[2], [3]], [1]])
  })
})
