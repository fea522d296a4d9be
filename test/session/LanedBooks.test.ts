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
  readonly connection: number
  on: boolean
  /** The version that was sent last. */
  sent: number
  readonly queue: Array<BookUpdate>
}

const first = 1_000_000

/** An exchange with one book, in which each version sets one level's quantity to its own number. */
class Play {
  readonly state: TopicState
  readonly counters = new Counters()
  readonly wakeups = new Wakeups()
  readonly subscriber: BufferSubscriber
  readonly copies: ReadonlyArray<Copy>
  readonly items: Array<Feed<MarketEvent>> = []
  readonly #touched: Array<number> = []
  readonly #recipe: BookRecipe
  readonly #draw: (below: number) => number
  #wanted = false
  now = 1

  constructor(recipe: BookRecipe, draw: (below: number) => number, copies: number) {
    this.#recipe = recipe
    this.#draw = draw
    const topic: Topic = { key: "depth", channel: "Book", symbol: "BTCUSDT", pair, contractSize: 1, slot: null }
    this.state = new TopicState(topic, Channel.book(pair), recipe, {
      counters: this.counters,
      now: () => this.now,
      requestSnapshot: () => {
        this.#wanted = true
      }
    })
    this.subscriber = new BufferSubscriber({
      exchange: "x",
      bufferSize: 2 + draw(20),
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
    for (const copy of this.copies) this.state.place(copy.connection, copy.connection - 1)
  }

  get version(): number {
    return first + this.#touched.length
  }

  /** Flat bids at a version. */
  truth(version: number): ReadonlyArray<number> {
    const book = new Map<number, number>()
    for (let i = 0; i < version - first; i++) book.set(this.#touched[i]!, first + i + 1)
    return [...book].sort(([a], [b]) => b - a).flat()
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

  #delta(from: number, to: number): BookUpdate {
    const touched = new Map<number, number>()
    for (let version = from; version <= to; version++) {
      const price = this.#touched[version - first - 1]!
      touched.delete(price)
      touched.set(price, version)
    }
    // Absolute: as the levels are at the end.
    const bids = [...touched.keys()].flatMap((price) => [price, touched.get(price)!])
    return this.#update("delta", from, to, bids)
  }

  #snapshot(version: number): BookUpdate {
    return this.#update("snapshot", version, version, this.truth(version))
  }

  /** The market moves; each copy is told, some of them later together with what follows. */
  market(): void {
    this.now += 5
    for (let i = this.#draw(3); i >= 0; i--) this.#touched.push(1 + this.#draw(levels))
    // Where books are windows, all connections are told at the same moments.
    const all = this.#recipe.snapshot === "InStream"
    const told = this.#draw(3) > 0
    for (const copy of this.copies) {
      if (!copy.on || (all ? !told : this.#draw(3) === 0) || copy.sent === this.version) continue
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

  house(): void {
    this.now += 300
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
      for (let i = 0; i < update.bids.length; i += 2) book!.set(update.bids[i]!, update.bids[i + 1]!)
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
  }
})
