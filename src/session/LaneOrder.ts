/** What tells copies of one event on several connections from each other, for each channel. Pure. */
import type { PublicChannel } from "../domain/Channel.ts"
import type { BookTicker, BookUpdate, Kline, Liquidation, MarketEvent } from "../domain/Market.ts"
import * as Sequence from "../domain/Sequence.ts"
import type { BookRecipe } from "../ExchangeAdapter.ts"
import type { Lane } from "./Lane.ts"

/**
 * Where an event stands to what was passed on. `old`: passed, or overtaken. `next`: it goes on with nothing between.
 * `newer`: it comes later; only a joined lane knows that nothing is between. `ahead`: something between is missing.
 * `keyless`: nothing tells its copies from others.
 */
export type Standing = "old" | "next" | "newer" | "ahead" | "keyless"

export interface Order {
  readonly standing: (lane: Lane, event: MarketEvent) => Standing
  /** Called once for each event that a lane brings, before all else. */
  readonly arrived: (lane: Lane, event: MarketEvent) => void
  /** It is passed on now; what is passed in its place when it overlaps what was. */
  readonly passed: (event: MarketEvent) => MarketEvent
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
  /** Whether something with this key was passed. */
  readonly isKnown: (key: unknown) => boolean
  /** Whether the book is in step; `last` is then its version. */
  readonly book: () => { readonly live: boolean; readonly last: Sequence.Sequence } | null
}

const ignore = (): void => {}

// ---- by version -----------------------------------------------------------------------------------------------------

/** Best prices carry the version of the book they belong to; without one they are known by time and content. */
const byVersion = (): Order => {
  const plain = byTime(false)
  let last: Sequence.Sequence | null = null
  const versionOf = (event: MarketEvent): Sequence.Sequence | null => (event as BookTicker).version
  return {
    standing: (lane, event) => {
      const version = versionOf(event)
      if (version === null) return plain.standing(lane, event)
      return last !== null && version <= last ? "old" : "newer"
    },
    arrived: ignore,
    passed: (event) => {
      const version = versionOf(event)
      if (version === null) return plain.passed(event)
      last = version
      return event
    },
    keyOf: (event) => versionOf(event) ?? plain.keyOf(event),
    reset: () => {
      last = null
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
  passed: (event) => event,
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
  /** What grows while the time stands still. */
  readonly rank: number
  readonly content: string
}

/** Window and volume: both only grow. */
const klineRank = ({ baseVolume, contractVolume, quoteVolume }: Kline): number =>
  baseVolume ?? quoteVolume ?? contractVolume ?? 0

const latestOf = (event: MarketEvent): Latest => ({
  time: event._tag === "Kline" ? event.openTime : event.exchangeTime,
  rank: event._tag === "Kline" ? klineRank(event) : 0,
  content: contentOf(event)
})

const isOlder = (a: Latest, b: Latest, furthest: number): boolean => {
  if (a.time === null || b.time === null) return false
  const behind = b.time - a.time
  return behind === 0 ? a.rank < b.rank : behind > 0 && behind < furthest
}

/** The newest of each symbol: what is older than it, or says the same, is old. */
const byTime = (needsLapse: boolean, furthest = furthestBack): Order => {
  const latest = new Map<string, Latest>()
  return {
    standing: (_, event) => {
      const known = latest.get(event.symbol)
      if (known === undefined) return "newer"
      const found = latestOf(event)
      return found.content === known.content || isOlder(found, known, furthest) ? "old" : "newer"
    },
    arrived: ignore,
    passed: (event) => {
      latest.set(event.symbol, latestOf(event))
      return event
    },
    keyOf: contentOf,
    reset: () => latest.clear(),
    needsLog: false,
    needsLapse
  }
}

// ---- by the chain of a book -----------------------------------------------------------------------------------------

/**
 * The chain of versions. An update that begins before what was passed and ends behind it may be cut where books are
 * joined to fetched snapshots: its quantities are absolute, and it holds every level that changed in its range. Where the
 * exchange shows a window of the book (`InStream`) it may lack a level that left the window and came back.
 */
const byChain = (recipe: BookRecipe, { book }: Known): Order => {
  let chain: Sequence.Sequence | null = null
  const opening = book()
  if (opening?.live === true) chain = opening.last

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
    if (Sequence.equals(update.firstVersion, following)) return "next"
    return update.firstVersion < following && recipe.snapshot === "Fetch" ? "next" : "ahead"
  }

  return {
    standing: (lane, event) => {
      const update = event as BookUpdate
      if (update.kind === "snapshot") return snapshotStanding(update)
      return isWaiting() ? "next" : deltaStanding(lane, update, chain)
    },
    arrived: ignore,
    passed: (event) => {
      const update = event as BookUpdate
      const last = chain
      // Passed for nothing but the count: it waits for no snapshot.
      if (update.kind === "delta" && isWaiting()) return update
      chain = update.version
      if (update.kind === "snapshot" || last === null) return update
      const following = Sequence.next(last)
      return update.firstVersion < following ? { ...update, firstVersion: following } : update
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
