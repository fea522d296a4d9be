/** What tells copies of one event on several connections from each other, for each channel. Pure. */
import type { PublicChannel } from "../domain/Channel.ts"
import type { BookTicker, BookUpdate, Kline, Liquidation, MarketEvent } from "../domain/Market.ts"
import * as Sequence from "../domain/Sequence.ts"
import type { BookRecipe } from "../ExchangeAdapter.ts"
import type { Lane } from "./Lane.ts"
import { LaneBooks } from "./LaneBook.ts"

/**
 * Where an event stands to what was passed on. `old`: passed, or overtaken. `next`: it goes on with nothing between.
 * `newer`: it comes later; only a joined lane knows that nothing is between. `ahead`: something between is missing.
 * `across`: it begins before the end of what was passed, and something whole can be passed in its place. `keyless`:
 * nothing tells its copies from others.
 */
export type Standing = "old" | "next" | "newer" | "ahead" | "across" | "keyless"

export interface Order {
  readonly standing: (lane: Lane, event: MarketEvent) => Standing
  /** Called once for each event that a lane brings, before all else. */
  readonly arrived: (lane: Lane, event: MarketEvent) => void
  /** It is dealt with without being passed on: it is old. */
  readonly dropped: (lane: Lane, event: MarketEvent) => void
  /** It is passed on now, as the lane brought it; what is passed in its place when it overlaps what was. */
  readonly passed: (lane: Lane, event: MarketEvent) => MarketEvent
  /** Equal for the copies of one event. */
  readonly keyOf: (event: MarketEvent) => unknown
  readonly reset: () => void
  /** What was passed is known by its keys alone. */
  readonly needsLog: boolean
  /** A lane that is taken at its word may lack something that nobody would notice. */
  readonly needsLapse: boolean
}

/** What an order asks of what it orders. */
export interface Known {
  readonly lanes: () => ReadonlyArray<Lane>
  /** Whether something with this key was passed. */
  readonly isKnown: (key: unknown) => boolean
  /** Whether the book is in step; `last` is then its version. */
  readonly book: () => { readonly live: boolean; readonly last: Sequence.Sequence } | null
}

const ignore = (): void => {}

// ---- by content -----------------------------------------------------------------------------------------------------

/** Passed events that are remembered while nothing but their content tells them apart. */
const runLimit = 256

interface Item<A> {
  readonly content: A
  /** ms */
  readonly receivedAt: number
}

/** Where a lane stands in a run. */
interface Place {
  /** Number of the item that it brought last. */
  at: number
  event: MarketEvent
}

/**
 * What was passed while nothing but the content told it apart, in order. Each lane is followed through it, since the same
 * content may come again and is then something new: a price that goes back. What a lane lacks it steps over.
 */
class Run<A> {
  readonly #items: Array<Item<A>> = []
  /** Number of the first item; they are counted through all runs. */
  #first = 0
  readonly #isSame: (a: A, b: A) => boolean

  constructor(isSame: (a: A, b: A) => boolean) {
    this.#isSame = isSame
  }

  /** Whether the lane brings what was passed, or says again what it or the last one said. */
  isKnown(lane: Lane, event: MarketEvent, content: A): boolean {
    const place = this.#places(lane).get(this)
    if (place !== undefined && this.#stands(place, event, content)) return true
    const items = this.#items
    for (let i = this.#entry(lane, place); i < items.length; i++) {
      if (!this.#isSame(items[i]!.content, content)) continue
      this.#put(lane, event, this.#first + i)
      return true
    }
    const last = items.at(-1)
    return last !== undefined && this.#isSame(last.content, content)
  }

  /** Asked again of what was found before, or said twice by the lane itself. */
  #stands(place: Place, event: MarketEvent, content: A): boolean {
    const own = this.#items[place.at - this.#first]
    return place.event === event || (own !== undefined && this.#isSame(own.content, content))
  }

  /** Index of the first item that the lane may bring: what came before it was confirmed it brings not. */
  #entry(lane: Lane, place: Place | undefined): number {
    if (place !== undefined) return Math.max(0, place.at + 1 - this.#first)
    const index = this.#items.findIndex(({ receivedAt }) => receivedAt >= lane.confirmedAt)
    return index < 0 ? this.#items.length : index
  }

  /** `isNext`: it is known by more than its content from all before, which none can bring any more. */
  pass(lane: Lane, event: MarketEvent, content: A, isNext: boolean): void {
    if (isNext) this.#drop(this.#items.length)
    this.#items.push({ content, receivedAt: event.receivedAt })
    this.#put(lane, event, this.#first + this.#items.length - 1)
    if (this.#items.length > runLimit) this.#drop(runLimit / 2)
  }

  #drop(count: number): void {
    this.#first += count
    this.#items.splice(0, count)
  }

  #put(lane: Lane, event: MarketEvent, at: number): void {
    const places = this.#places(lane)
    const place = places.get(this)
    if (place === undefined) {
      places.set(this, { at, event })
    } else {
      place.at = at
      place.event = event
    }
  }

  #places(lane: Lane): Map<unknown, Place> {
    lane.memory ??= new Map<unknown, Place>()
    return lane.memory as Map<unknown, Place>
  }
}

// ---- by version -----------------------------------------------------------------------------------------------------

const isSameQuote = (a: BookTicker, b: BookTicker): boolean =>
  a.bidPrice === b.bidPrice && a.bidQuantity === b.bidQuantity && a.askPrice === b.askPrice &&
  a.askQuantity === b.askQuantity

/**
 * Best prices carry the version of the book they belong to; several of one version, which come in one frame, are known by
 * their content. Without a version they are known by time and content.
 */
const byVersion = (): Order => {
  const plain = byTime(false)
  let last: Sequence.Sequence | null = null
  let run = new Run(isSameQuote)
  const versionOf = (event: MarketEvent): Sequence.Sequence | null => (event as BookTicker).version
  return {
    standing: (lane, event) => {
      const version = versionOf(event)
      if (version === null) return plain.standing(lane, event)
      if (last === null || version > last) return "newer"
      return version < last || run.isKnown(lane, event, event as BookTicker) ? "old" : "newer"
    },
    arrived: ignore,
    dropped: ignore,
    passed: (lane, event) => {
      const version = versionOf(event)
      if (version === null) return plain.passed(lane, event)
      run.pass(lane, event, event as BookTicker, last === null || version !== last)
      last = version
      return event
    },
    keyOf: (event) => versionOf(event) ?? plain.keyOf(event),
    reset: () => {
      last = null
      run = new Run(isSameQuote)
      plain.reset()
    },
    needsLog: false,
    needsLapse: false
  }
}

// ---- by id ----------------------------------------------------------------------------------------------------------

/** Trades by their ids, which need not be numbers and need not be without holes. */
const byId = ({ isKnown }: Known, keyOf: (event: MarketEvent) => string | null): Order => ({
  standing: (_, event) => {
    const key = keyOf(event)
    if (key === null) return "keyless"
    return isKnown(key) ? "old" : "newer"
  },
  arrived: ignore,
  dropped: ignore,
  passed: (_, event) => event,
  keyOf,
  reset: () => {},
  needsLog: true,
  needsLapse: true
})

const tradeId = (event: MarketEvent): string | null => event._tag === "Trade" ? event.id : null

/** Liquidations of one moment on one lane, so that two that look the same are two. */
interface Moment {
  readonly time: number
  readonly counts: Map<string, number>
}

/** Liquidations have no ids: they are told apart by time and content, and by which of those that look the same it is. */
const byLiquidation = (known: Known): Order => {
  const keys = new WeakMap<MarketEvent, string>()
  const keyOf = (event: MarketEvent): string | null => keys.get(event) ?? null

  const note = (lane: Lane, event: Liquidation, time: number): void => {
    let moment = lane.memory as Moment | null
    if (moment?.time !== time) lane.memory = moment = { time, counts: new Map() }
    const content = `${event.symbol} ${time} ${event.side} ${event.price} ${event.quantity}`
    const count = (moment.counts.get(content) ?? 0) + 1
    moment.counts.set(content, count)
    keys.set(event, `${content} ${count}`)
  }

  return {
    ...byId(known, keyOf),
    arrived: (lane, event) => {
      if (event.exchangeTime !== null) note(lane, event as Liquidation, event.exchangeTime)
    }
  }
}

// ---- by time and content --------------------------------------------------------------------------------------------

/** What lies further back than this is a clock that was put right, ms. */
const furthestBack = 60_000

/** Everything but the times of sending and receiving. */
const contentOf = (event: MarketEvent): string => JSON.stringify({ ...event, exchangeTime: null, receivedAt: 0 })

interface Latest {
  readonly time: number | null
  /** What only grows while the time stands still. */
  readonly rank: number
}

/** The volume, which stands still in candles of mark and index prices. */
const klineRank = ({ baseVolume, contractVolume, quoteVolume }: Kline): number =>
  baseVolume ?? quoteVolume ?? contractVolume ?? 0

const latestOf = (event: MarketEvent): Latest => ({
  time: event._tag === "Kline" ? event.openTime : event.exchangeTime,
  rank: event._tag === "Kline" ? klineRank(event) : 0
})

const isOlder = (a: Latest, b: Latest, furthest: number): boolean => {
  if (a.time === null || b.time === null) return false
  const behind = b.time - a.time
  return behind === 0 ? a.rank < b.rank : behind > 0 && behind < furthest
}

/** Whether nothing but their content tells which of the two is the newer one. */
const isLevel = (a: Latest, b: Latest): boolean =>
  a.time === null || b.time === null || (a.time === b.time && a.rank === b.rank)

const isSameText = (a: string, b: string): boolean => a === b

/** The newest of a symbol. */
interface Newest {
  latest: Latest
  content: string
  readonly run: Run<string>
}

/** What is older than the newest of its symbol, or says the same, is old; what is as old is known by its content. */
const byTime = (needsLapse: boolean, furthest = furthestBack): Order => {
  const newest = new Map<string, Newest>()
  return {
    standing: (lane, event) => {
      const known = newest.get(event.symbol)
      if (known === undefined) return "newer"
      const found = latestOf(event)
      if (isOlder(found, known.latest, furthest)) return "old"
      const content = contentOf(event)
      const isKnown = isLevel(found, known.latest) && known.run.isKnown(lane, event, content)
      return isKnown || content === known.content ? "old" : "newer"
    },
    arrived: ignore,
    dropped: ignore,
    passed: (lane, event) => {
      const latest = latestOf(event)
      const content = contentOf(event)
      const known = newest.get(event.symbol) ?? { latest, content, run: new Run(isSameText) }
      known.run.pass(lane, event, content, !isLevel(latest, known.latest))
      known.latest = latest
      known.content = content
      newest.set(event.symbol, known)
      return event
    },
    keyOf: contentOf,
    reset: () => newest.clear(),
    needsLog: false,
    needsLapse
  }
}

// ---- by the chain of a book -----------------------------------------------------------------------------------------

/**
 * The chain of versions. An update that begins before what was passed and ends behind it may be cut where books are
 * joined to fetched snapshots: its quantities are absolute, and it holds every level that changed in its range. Where the
 * exchange shows a window of the book (`InStream`) it may lack a level that left the window and came back: in its place
 * the whole book is passed, as its connection has it.
 */
const byChain = (recipe: BookRecipe, { book, lanes }: Known): Order => {
  const copies = recipe.snapshot === "InStream" ? new LaneBooks(recipe, lanes) : null
  let chain: Sequence.Sequence | null = null
  const opening = book()
  if (opening?.live === true) chain = opening.last
  copies?.begin(chain)

  /** A book with snapshots of its own has no chain while it waits for one. */
  const isWaiting = (): boolean => recipe.snapshot !== "Fetch" && book()?.live !== true

  const snapshotStanding = (update: BookUpdate): Standing => {
    if (chain === null || isWaiting()) return "next"
    return update.version <= chain ? "old" : "newer"
  }

  const deltaStanding = (lane: Lane, update: BookUpdate, last: Sequence.Sequence | null): Standing => {
    if (last === null) return lane.joined ? "next" : "newer"
    if (update.version <= last) return "old"
    const following = Sequence.next(last)
    if (Sequence.equals(update.firstVersion, following)) return copies?.isLedByOther(lane, last) ? "ahead" : "next"
    return update.firstVersion < following ? acrossStanding(lane) : "ahead"
  }

  const acrossStanding = (lane: Lane): Standing => {
    if (recipe.snapshot === "Fetch") return "next"
    return copies?.has(lane) === true ? "across" : "ahead"
  }

  /** What is passed of an update that begins before the end of what was. Uncut it shows as a hole. */
  const behind = (lane: Lane, update: BookUpdate, following: Sequence.Sequence): BookUpdate => {
    if (copies !== null) return copies.whole(lane, update) ?? update
    return { ...update, firstVersion: following }
  }

  return {
    standing: (lane, event) => {
      const update = event as BookUpdate
      if (update.kind === "snapshot") return snapshotStanding(update)
      return isWaiting() ? "next" : deltaStanding(lane, update, chain)
    },
    arrived: ignore,
    dropped: (lane, event) => copies?.keep(lane, event as BookUpdate),
    passed: (lane, event) => {
      const update = event as BookUpdate
      const last = chain
      copies?.keep(lane, update)
      // Passed for nothing but the count: it waits for no snapshot.
      if (update.kind === "delta" && isWaiting()) return update
      chain = update.version
      if (update.kind === "snapshot" || last === null) return update
      const following = Sequence.next(last)
      return update.firstVersion < following ? behind(lane, update, following) : update
    },
    keyOf: (event) => (event as BookUpdate).version,
    reset: () => {
      chain = null
    },
    needsLog: false,
    needsLapse: false
  }
}

/** How a channel's events are told apart. */
export const orderOf = (channel: PublicChannel, recipe: BookRecipe | null, known: Known): Order => {
  switch (channel._tag) {
    case "Book":
      return recipe === null ? byTime(true) : byChain(recipe, known)
    case "BookTicker":
      return byVersion()
    case "Trades":
      return byId(known, tradeId)
    case "Liquidations":
      return byLiquidation(known)
    case "Ticker":
    case "FuturesTicker":
      return byTime(false)
    case "Kline":
      // Candles of an hour follow each other by an hour.
      return byTime(true, Number.POSITIVE_INFINITY)
    case "ContractStats":
      return byTime(true, Number.POSITIVE_INFINITY)
  }
}
