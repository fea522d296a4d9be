/**
 * Books over several connections, whole topics: random losses, returns, holes, repetitions, slow subscribers. What is
 * shown is the exchange's book at that version, every break is told, and every event is accounted for.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { Feed } from "../../src/domain/Feed.ts"
import type { BookUpdate, MarketEvent } from "../../src/domain/Market.ts"
import type { BookRecipe, Topic } from "../../src/ExchangeAdapter.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import { Counters } from "../../src/session/Counters.ts"
import { holdMillis } from "../../src/session/Lanes.ts"
import { BufferSubscriber, Wakeups } from "../../src/session/Subscriber.ts"
import { TopicState } from "../../src/session/Topics.ts"

const pair = "BTC/USDT"
const levels = 6

/** Levels that are shown where books are windows. */
const width = 3

/** Mulberry32. */
const makeDraw = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

interface Copy {
  connection: number
  on: boolean
  /** The version that was sent last. */
  sent: number
  readonly queue: Array<BookUpdate>
}

const first = 1_000_000

const levelsOf = (flat: ReadonlyArray<number>): Map<number, number> => {
  const levels = new Map<number, number>()
  for (let i = 0; i < flat.length; i += 2) levels.set(flat[i]!, flat[i + 1]!)
  return levels
}

/** One level's change. */
interface Touch {
  readonly price: number
  readonly isGone: boolean
}

/** An exchange with one book, in which each version sets one level's quantity to its own number, or removes it. */
class Play {
  readonly state: TopicState
  readonly counters = new Counters()
  readonly wakeups = new Wakeups()
  readonly subscriber: BufferSubscriber
  readonly copies: ReadonlyArray<Copy>
  readonly items: Array<Feed<MarketEvent>> = []
  readonly #touched: Array<Touch> = []
  readonly #window: number
  readonly #book = new Map<number, number>()
  readonly #truths: Array<ReadonlyArray<number>> = [[]]
  readonly #recipe: BookRecipe
  readonly #draw: (below: number) => number
  #wanted = false
  #connections: number
  now = 1

  constructor(
    recipe: BookRecipe,
    draw: (below: number) => number,
    copies: number,
    bufferSize = 2 + draw(20)
  ) {
    this.#recipe = recipe
    this.#draw = draw
    this.#window = recipe.snapshot === "InStream" ? width : levels
    const topic: Topic = { key: "depth", channel: "Book", symbol: "BTCUSDT", pair, contractSize: 1, slot: null }
    this.state = new TopicState(topic, Channel.book(pair), recipe, {
      counters: this.counters,
      now: () => this.now,
      monotonic: () => this.now,
      requestSnapshot: () => {
        this.#wanted = true
      }
    })
    this.subscriber = new BufferSubscriber({
      exchange: "x",
      bufferSize,
      block: false,
      wakeups: this.wakeups,
      counters: this.counters,
      onTopicFailure: "end"
    })
    this.copies = Array.from({ length: copies }, (_, index) => ({
      connection: index + 1,
      on: false,
      sent: 0,
      queue: []
    }))
    this.#connections = copies
    for (const copy of this.copies) this.state.place(copy.connection, copy.connection - 1)
  }

  get version(): number {
    return first + this.#touched.length
  }

  /** Flat bids at a version. */
  truth(version: number): ReadonlyArray<number> {
    return this.#truths[version - first]!
  }

  #touch(touch: Touch): void {
    this.#touched.push(touch)
    if (touch.isGone) this.#book.delete(touch.price)
    else this.#book.set(touch.price, this.version)
    this.#truths.push([...this.#book].sort(([a], [b]) => b - a).slice(0, this.#window).flat())
  }

  #update(kind: BookUpdate["kind"], from: number, to: number, bids: ReadonlyArray<number>): BookUpdate {
    return {
      _tag: "BookUpdate",
      kind,
      pair,
      symbol: "BTCUSDT",
      bids,
      asks: [],
      firstVersion: from,
      version: to,
      exchangeTime: null,
      receivedAt: this.now,
      contractSize: 1,
      exact: null
    }
  }

  /** Absolute: as the levels are at the end. Of a window no word of a level that left it and came back as it was. */
  #delta(from: number, to: number): BookUpdate {
    const before = levelsOf(this.truth(from - 1))
    const after = levelsOf(this.truth(to))
    const touched = this.#recipe.snapshot === "Fetch"
      ? this.#touched.slice(from - first - 1, to - first).map(({ price }) => price)
      : [...before.keys(), ...after.keys()].filter((price) => before.get(price) !== after.get(price))
    return this.#update("delta", from, to, [...new Set(touched)].flatMap((price) => [price, after.get(price) ?? 0]))
  }

  #snapshot(version: number): BookUpdate {
    return this.#update("snapshot", version, version, this.truth(version))
  }

  /** The market moves; each copy is told, some of them later together with what follows. */
  market(): void {
    this.now += 5
    for (let i = this.#draw(3); i >= 0; i--) {
      this.#touch({ price: 1 + this.#draw(levels), isGone: this.#draw(3) === 0 })
    }
    for (const copy of this.copies) {
      if (!copy.on || this.#draw(3) === 0 || copy.sent === this.version) continue
      copy.queue.push(this.#delta(copy.sent + 1, this.version))
      copy.sent = this.version
    }
  }

  /** Every copy is told everything. */
  flush(): void {
    for (const copy of this.copies) {
      if (!copy.on || copy.sent === this.version) continue
      copy.queue.push(this.#delta(copy.sent + 1, this.version))
      copy.sent = this.version
    }
  }

  deliver(copy: Copy, count: number): void {
    for (const update of copy.queue.splice(0, count)) {
      const event = { ...update, receivedAt: this.now }
      if (this.state.only === copy.connection) this.state.onEvent(event)
      else this.state.onLane(copy.connection, event)
    }
    this.wakeups.flush()
  }

  subscribe(copy: Copy): void {
    if (copy.on) return
    copy.on = true
    copy.sent = this.version
    if (this.#recipe.snapshot === "InStream") copy.queue.push(this.#snapshot(this.version))
    this.state.confirmed(copy.connection, this.now)
    this.state.begun = true
    if (this.state.needsSnapshot) this.#wanted = true
  }

  lose(copy: Copy): void {
    if (!copy.on) return
    copy.on = false
    copy.queue.length = 0
    if (!this.state.lost(copy.connection, this.now)) this.state.interrupt("Reconnected")
  }

  /** Its connection is gone for good. */
  leave(copy: Copy): void {
    this.lose(copy)
    this.state.unplace(copy.connection)
  }

  /** On a new connection. */
  come(copy: Copy): void {
    copy.connection = ++this.#connections
    this.state.place(copy.connection, 0)
    this.subscribe(copy)
  }

  /** As the session does: by a request, or by subscribing anew. */
  answer(): void {
    if (!this.#wanted || !this.state.needsSnapshot) return
    const confirmed = this.copies.filter(({ on }) => on)
    if (confirmed.length === 0) return
    this.#wanted = false
    if (this.#recipe.snapshot === "Fetch") {
      this.state.snapshot(this.#snapshot(Math.max(first, this.version - this.#draw(4))))
      if (this.state.needsSnapshot) this.#wanted = true
      return
    }
    const copy = confirmed[this.#draw(confirmed.length)]!
    this.deliver(copy, Number.POSITIVE_INFINITY)
    copy.on = false
    this.state.lost(copy.connection, this.now)
    this.subscribe(copy)
  }

  damage(copy: Copy): void {
    const at = this.#draw(Math.max(1, copy.queue.length))
    if (this.#draw(2) === 0) copy.queue.splice(at, 1)
    else if (copy.queue[at] !== undefined) copy.queue.splice(at, 0, copy.queue[at])
  }

  pull(): void {
    if (this.subscriber.size > 0) this.items.push(...Effect.runSync(this.subscriber.pull))
  }

  house(millis = 300): void {
    this.now += millis
    this.state.watchLanes(this.now, () => this.now)
    if (this.state.heldAt !== 0) this.state.release()
  }

  settle(): void {
    for (let i = 0; i < 12; i++) {
      for (const copy of this.copies) this.deliver(copy, Number.POSITIVE_INFINITY)
      this.answer()
      this.pull()
      this.house()
    }
    this.now += holdMillis
  }

  /** Walks through what came as a consumer would. */
  check(label: string): number {
    let book: Map<number, number> | null = null
    let version = 0
    let compared = 0
    for (const item of this.items) {
      if (item._tag === "Gap") {
        book = null
        continue
      }
      const update = item.value as BookUpdate
      if (update.kind === "snapshot") book = new Map()
      assert.isNotNull(book, `${label}: a delta ${update.version} without a snapshot`)
      const joins = update.kind === "snapshot" || Number(update.firstVersion) <= version + 1
      assert.isTrue(joins, `${label}: a hole before ${update.firstVersion} behind ${version}`)
      for (const [price, quantity] of levelsOf(update.bids)) {
        if (quantity === 0) book!.delete(price)
        else book!.set(price, quantity)
      }
      version = Number(update.version)
      const shown = [...book!].sort(([a], [b]) => b - a).flat()
      assert.deepStrictEqual(shown, this.truth(version), `${label}: the book at ${version}`)
      compared++
    }
    return compared
  }
}

interface Deed {
  /** Of 40. */
  readonly below: number
  readonly run: (game: Play, copy: Copy, draw: (below: number) => number) => void
}

const deeds: ReadonlyArray<Deed> = [
  { below: 14, run: (game) => game.market() },
  { below: 26, run: (game, copy, draw) => game.deliver(copy, 1 + draw(4)) },
  { below: 28, run: (game, copy) => game.lose(copy) },
  { below: 31, run: (game, copy) => game.subscribe(copy) },
  { below: 32, run: (game, copy) => game.damage(copy) },
  { below: 34, run: (game) => game.answer() },
  { below: 38, run: (game) => game.pull() },
  { below: 40, run: (game) => game.house() }
]

const play = (recipe: BookRecipe, seed: number, copies: number, steps = 160): void => {
  const draw = makeDraw(seed)
  const game = new Play(recipe, draw, copies)
  const route = game.state.add(game.subscriber)
  for (const copy of game.copies) game.subscribe(copy)
  for (let i = 0; i < steps; i++) {
    const copy = game.copies[draw(copies)]!
    const roll = draw(40)
    deeds.find(({ below }) => roll < below)!.run(game, copy, draw)
  }
  for (const copy of game.copies) game.subscribe(copy)
  game.settle()
  const label = `seed ${seed}, ${copies} copies`
  const before = game.items.length
  for (let i = 0; i < 10; i++) {
    game.market()
    game.flush()
    game.settle()
  }
  assert.isAbove(game.items.length, before, `${label}: brings nothing any more`)
  game.check(label)
  game.state.remove(route)
  game.subscriber.leave()
  const topic = game.state.performance()
  const { abandoned, conflated, delivered, dropped, duplicates, received, reconciled, stale, unrouted } = topic
  const left = received + reconciled -
    (delivered + conflated + dropped + stale + abandoned + unrouted + duplicates)
  assert.strictEqual(left, 0, `${label}: events unaccounted for ${JSON.stringify(topic)}`)
}

/**
 * Each copy is cut at moments of its own; one of the two is lost again and again, each time when it is in step, and comes
 * back on the same connection or, when the other has been alone for a while, on a new one.
 */
const lose = (recipe: BookRecipe, seed: number): ReadonlyArray<Feed<MarketEvent>> => {
  const draw = makeDraw(seed)
  const game = new Play(recipe, draw, 2, 1_000)
  game.state.add(game.subscriber)
  for (const copy of game.copies) game.subscribe(copy)
  const go = (steps: number): void => {
    for (let i = 0; i < steps; i++) {
      game.market()
      for (const copy of game.copies) game.deliver(copy, draw(4))
      game.answer()
      game.pull()
      // Never so slow that what waits for the other is taken at its word.
      if (draw(8) === 0) game.house(20)
    }
  }
  for (let round = 0; round < 8; round++) {
    go(40)
    const index = draw(2)
    const copy = game.copies[index]!
    if (!game.state.isJoined(game.copies[1 - index]!.connection)) continue
    if (draw(2) === 0) {
      game.lose(copy)
      game.subscribe(copy)
    } else {
      game.leave(copy)
      // Sometimes so short that the other is still listened to as one of two.
      go(draw(3))
      game.come(copy)
    }
  }
  game.settle()
  assert.isAbove(game.check(`seed ${seed}`), 100)
  return game.items
}

const recipes = {
  "MEXC depth": mexcSpot.book(Channel.book(pair)),
  "Gate order_book_update": gateSpot.book(Channel.book(pair, { source: "order_book_update" })),
  "Gate obu": gateSpot.book(Channel.book(pair))
}

describe("a book over several connections", () => {
  for (const [name, recipe] of Object.entries(recipes)) {
    for (const copies of [1, 2, 3]) {
      it.prop(`is the exchange's, whatever happens to ${copies} of them: ${name}`, { seed: Schema.Int }, ({ seed }) => {
        play(recipe, seed, copies)
      })
    }
    it.prop(`is not broken by the loss of one that cuts otherwise: ${name}`, { seed: Schema.Int }, ({ seed }) => {
      const gaps = lose(recipe, seed).filter(({ _tag }) => _tag === "Gap")
      assert.deepStrictEqual(gaps, [], `seed ${seed}`)
    }, { arbitrary: { runs: 40 } })
  }
})
