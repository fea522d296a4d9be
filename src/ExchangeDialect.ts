/**
 * What an exchange's server does, as data, for the simulator: the server's half of the protocol. A dialect reads the
 * exchange's documents on its own and imports nothing of its adapter, so that two readings meet on the wire.
 */
import { DateTime } from "effect"
import type { AccountWorld } from "./AccountWorld.ts"
import type { ExchangeId, TradingPair } from "./domain/Instrument.ts"
import type { KlinePrice } from "./domain/Market.ts"

/** Decimal text, as a server keeps it. */
export interface WorldLevel {
  readonly price: string
  /** "0" removes the level in a delta. */
  readonly quantity: string
}

export interface WorldTrade {
  readonly id: number
  readonly price: string
  /** Base (spot) or contracts (swap), like every quantity of a market. */
  readonly quantity: string
  /** The taker's side. */
  readonly side: "buy" | "sell"
  /** ms. */
  readonly time: number
}

/** A book, best level first on both sides. */
export interface WorldBook {
  readonly version: number
  readonly bids: ReadonlyArray<WorldLevel>
  readonly asks: ReadonlyArray<WorldLevel>
  /** Time of the last change, ms. */
  readonly time: number
}

/** What changed from `firstVersion` to `version`, one entry a level, quantities absolute. */
export interface WorldDelta {
  readonly firstVersion: number
  readonly version: number
  readonly bids: ReadonlyArray<WorldLevel>
  readonly asks: ReadonlyArray<WorldLevel>
  readonly time: number
}

export interface WorldTicker {
  readonly version: number
  readonly bid: WorldLevel | null
  readonly ask: WorldLevel | null
  readonly time: number
}

/** What was traded from a moment on, such as the last 24 hours. Prices are in quote. */
export interface WorldStatistics {
  readonly open: string
  readonly high: string
  readonly low: string
  readonly last: string
  /** Base (spot) or contracts (swap). */
  readonly quantity: string
  /** The same in base. */
  readonly baseVolume: string
  /** In quote. */
  readonly quoteVolume: string
  /** Of the market's last step, ms. */
  readonly time: number
}

/** Length of a candle: ms, aligned to the epoch; weeks begin on Monday and months on their first day, UTC. */
export type WorldInterval = number | "week" | "month"

/** One candle as far as it is known. A window without trades stands at the price before it. */
export interface WorldKline {
  /** ms. */
  readonly openTime: number
  /** End of the window, not part of it, ms. */
  readonly closeTime: number
  readonly open: string
  readonly high: string
  readonly low: string
  readonly close: string
  /** Base (spot) or contracts (swap); "0" for candles of mark and index price. */
  readonly quantity: string
  readonly baseVolume: string
  readonly quoteVolume: string
  readonly closed: boolean
}

/** A position that was liquidated. */
export interface WorldLiquidation {
  readonly id: number
  readonly price: string
  /** Contracts. */
  readonly quantity: string
  /** Of the order that closes the position: `sell` closes a long one. */
  readonly side: "buy" | "sell"
  /** ms. */
  readonly time: number
}

/** What is counted of a swap in one interval. */
export interface WorldContractStats {
  /** Beginning of the interval, ms. */
  readonly time: number
  readonly markPrice: string
  /** Contracts. */
  readonly openInterest: string
  /** In quote. */
  readonly openInterestValue: string
  /** Longs to shorts: by taker volume, by accounts, by the largest accounts and by their size. */
  readonly takerRatio: number
  readonly accountRatio: number
  readonly topAccountRatio: number
  readonly topSizeRatio: number
  /** Contracts. */
  readonly longLiquidations: string
  readonly shortLiquidations: string
}

/** What moves of a swap beside its book. */
export interface WorldSwapState {
  readonly markPrice: string
  readonly indexPrice: string
  /** Fraction of a position's value. */
  readonly fundingRate: string
  /** ms. */
  readonly nextFundingTime: number
  /** Contracts. */
  readonly openInterest: string
}

/** A perpetual's terms. Its quantities are in contracts. */
export interface WorldSwap {
  /** Base units in one contract, decimal text. */
  readonly contractSize: string
  /** Whether fractions of a contract trade. */
  readonly decimal: boolean
  /** Decimals of mark and index price. */
  readonly markDecimals: number
  /** ms. */
  readonly fundingInterval: number
  readonly state: () => WorldSwapState
}

export interface WorldMarket {
  readonly pair: TradingPair
  readonly base: string
  readonly quote: string
  readonly priceDecimals: number
  readonly quantityDecimals: number
  /** Base (spot) or contracts (swap). */
  readonly minQuantity: string
  /** Quote. */
  readonly minNotional: string
  /** Null on spot. */
  readonly swap: WorldSwap | null
  /** The book as the exchange's REST cache gives it: now, unless a stale-snapshot fault is on. */
  readonly book: (limit: number) => WorldBook
  readonly ticker: () => WorldTicker
  /** Since a moment (ms, to the minute), or of the last 24 hours. */
  readonly statistics: (since?: number) => WorldStatistics
}

/**
 * What a connection can watch in the world. `everyMillis` aggregates, 0 tells at once; the listener is called only when
 * there is news. A version that advances is news for `Depth` even where no level of the window changed: an empty delta.
 * `Kline` and `ContractStats` tell every interval, `Kline` the finished candle once before the next one.
 */
export type Watch =
  | {
    readonly _tag: "Ticker"
    readonly pair: TradingPair
    readonly everyMillis: number
    /** Called each interval, also when nothing changed. */
    readonly repeat?: boolean | undefined
    readonly listener: (ticker: WorldTicker) => void
  }
  | {
    readonly _tag: "Trades"
    readonly pair: TradingPair
    readonly everyMillis: number
    readonly listener: (trades: ReadonlyArray<WorldTrade>) => void
  }
  | {
    readonly _tag: "Depth"
    readonly pair: TradingPair
    readonly everyMillis: number
    /** Only the best `window` levels a side: a level that leaves the window comes as "0". Whole book when undefined. */
    readonly window?: number | undefined
    readonly listener: (delta: WorldDelta) => void
  }
  | {
    readonly _tag: "Book"
    readonly pair: TradingPair
    readonly everyMillis: number
    /** Best levels a side. */
    readonly levels: number
    readonly listener: (book: WorldBook) => void
  }
  | {
    readonly _tag: "Statistics"
    readonly pair: TradingPair
    readonly everyMillis: number
    readonly listener: (statistics: WorldStatistics) => void
  }
  | {
    readonly _tag: "Kline"
    readonly pair: TradingPair
    readonly everyMillis: number
    readonly interval: WorldInterval
    readonly price: KlinePrice
    readonly listener: (kline: WorldKline) => void
  }
  | {
    readonly _tag: "Liquidations"
    readonly pair: TradingPair
    readonly everyMillis: number
    readonly listener: (liquidations: ReadonlyArray<WorldLiquidation>) => void
  }
  | {
    readonly _tag: "ContractStats"
    readonly pair: TradingPair
    readonly everyMillis: number
    readonly interval: WorldInterval
    readonly listener: (stats: WorldContractStats) => void
  }

/** One simulated exchange: its markets and its accounts. */
export interface World {
  /** ms. */
  readonly now: () => number
  readonly markets: ReadonlyMap<TradingPair, WorldMarket>
  /**
   * Starts at the state of the call: for `Depth`, returns the book (within the window) that the first delta follows.
   */
  readonly watch: (watch: Watch) => { readonly book: WorldBook; readonly stop: () => void }
  readonly accounts: AccountWorld
  /** The reason when a fault says that this topic must be refused, else null. */
  readonly refuses: (topic: string) => string | null
}

/** What a frame is about, so that faults and counts can be by topic. */
export type About =
  | { readonly _tag: "Data"; readonly topic: string; readonly events: number }
  | { readonly _tag: "Control"; readonly kind: "ack" | "reject" | "pong" | "notice" | "error" }

/** The client's end of a connection, as a dialect sees it. */
export interface Peer {
  /** Of the handshake, names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Of the handshake's URL. */
  readonly query: ReadonlyMap<string, string>
  /** The client's IP address. */
  readonly address: string
  readonly send: (frame: string | Uint8Array, about: About) => void
  /** 1006 drops the socket without a close frame. */
  readonly close: (code: number, reason: string) => void
  /** Runs once after so many ms of the simulator's clock, unless the connection ends before; returns how to cancel. */
  readonly after: (millis: number, run: () => void) => () => void
}

export interface DialectConnection {
  /** Text frames come as strings, binary ones as bytes. */
  readonly onFrame: (frame: string | Uint8Array) => void
  readonly onClose: () => void
  /** Wire topics subscribed now, in the dialect's spelling; the tests compare them with the wanted set. */
  readonly topics: () => ReadonlySet<string>
  /** Something happens unasked; false, or absent, where this exchange has no such thing. */
  readonly notify?: ((kind: DialectNotice) => void | boolean) | undefined
}

/**
 * `upgrade`: the server will close the connection soon and asks to reconnect. `expireKeys`: what the connection was let
 * in by, such as a listen key, is no longer valid from now on; the dialect does what its exchange then does.
 */
export type DialectNotice = "upgrade" | "expireKeys"

export interface DialectRequest {
  readonly method: string
  /** Without query, below the exchange's REST base. */
  readonly path: string
  readonly query: ReadonlyMap<string, string>
  /** The query as it came, without `?`: what is signed. */
  readonly search: string
  /** The client's IP address. */
  readonly address: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface DialectResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface DialectOptions {
  /** `real`: the exchange's documented limits are enforced. `off`: none are. */
  readonly limits: "real" | "off"
}

export interface ExchangeDialect {
  readonly id: ExchangeId
  /** What it trades: its world holds markets of this kind only. */
  readonly kind: "spot" | "swap"
  /** Of every account, fractions of a fill's value; a negative one is a rebate. Default 0.1 % and 0.1 %. */
  readonly fees?: { readonly maker: string; readonly taker: string } | undefined
  /** Path of the WebSocket, as the live URL has it. */
  readonly websocketPath: string
  /** Path of the REST base, as the live URL has it; empty when there is none. */
  readonly restPath: string
  readonly connect: (world: World, peer: Peer, options: DialectOptions) => DialectConnection
  readonly onHttp: (request: DialectRequest, world: World, options: DialectOptions) => DialectResponse
}

// What every dialect needs, so that none writes it again.

const dayMillis = 86_400_000

/** 1970-01-05 was a Monday. */
const firstMonday = 4 * dayMillis

/** The window of a candle that a moment (ms) lies in. */
export const windowOf = (
  interval: WorldInterval,
  time: number
): { readonly openTime: number; readonly closeTime: number } => {
  if (interval === "month") {
    const first = DateTime.startOf(DateTime.makeUnsafe(time), "month")
    return {
      openTime: DateTime.toEpochMillis(first),
      closeTime: DateTime.toEpochMillis(DateTime.add(first, { months: 1 }))
    }
  }
  const millis = interval === "week" ? 7 * dayMillis : interval
  const offset = interval === "week" ? firstMonday : 0
  const openTime = Math.floor((time - offset) / millis) * millis + offset
  return { openTime, closeTime: openTime + millis }
}

/** The JSON object in a text frame; null when the frame holds anything else. */
export const jsonObject = (frame: string | Uint8Array): Readonly<Record<string, unknown>> | null => {
  if (typeof frame !== "string") return null
  try {
    const value: unknown = JSON.parse(frame)
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as Readonly<Record<string, unknown>>
      : null
  } catch {
    return null
  }
}

/** The texts of a non-empty list of texts; null when it is anything else. */
export const textList = (value: unknown): ReadonlyArray<string> | null =>
  Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === "string") ? value : null

/** A decimal without padding zeros: `375.80` is `375.8`. */
export const trimmed = (text: string): string => {
  if (text.charCodeAt(text.length - 1) !== 48 || !text.includes(".")) return text
  let end = text.length
  while (text.charCodeAt(end - 1) === 48) end--
  return text.slice(0, text.charCodeAt(end - 1) === 46 ? end - 1 : end)
}

/**
 * Runs `expire` when the moment `dueAt` (ms, `Infinity` for never) has come. Postponing costs nothing; call the returned
 * function when the moment may have come nearer.
 */
export const watchdog = (peer: Peer, now: () => number, dueAt: () => number, expire: () => void): () => void => {
  let cancel = (): void => {}
  const arm = (): void => {
    cancel()
    const due = dueAt()
    cancel = Number.isFinite(due) ? peer.after(Math.max(0, due - now()), check) : () => {}
  }
  const check = (): void => (dueAt() <= now() ? expire() : arm())
  arm()
  return arm
}

/** Runs again and again, for the first time after so many ms of the simulator's clock; returns how to stop. */
export const repeating = (peer: Peer, millis: number, run: () => void): () => void => {
  let cancel = (): void => {}
  const again = (): void => {
    cancel = peer.after(millis, () => {
      again()
      run()
    })
  }
  again()
  return () => cancel()
}

export interface Quota {
  readonly allowed: boolean
  /** What may still be spent in this window. */
  readonly remaining: number
  /** When the window ends, ms. */
  readonly resetAt: number
}

/** Spends from `limit` per `millis` and key, in windows aligned to the clock; a refused spending costs nothing. */
export const quotas = (limit: number, millis: number): (key: string, now: number, cost: number) => Quota => {
  const windows = new Map<string, { readonly window: number; used: number }>()
  return (key, now, cost) => {
    const window = Math.floor(now / millis)
    let entry = windows.get(key)
    if (entry === undefined || entry.window !== window) windows.set(key, entry = { window, used: 0 })
    const allowed = entry.used + cost <= limit
    if (allowed) entry.used += cost
    return { allowed, remaining: limit - entry.used, resetAt: (window + 1) * millis }
  }
}

/** One value per world, made on first use: what a server remembers between requests. */
export const perWorld = <A>(make: (world: World) => A): (world: World) => A => {
  const values = new WeakMap<World, A>()
  return (world) => {
    const known = values.get(world)
    if (known !== undefined) return known
    const value = make(world)
    values.set(world, value)
    return value
  }
}

/** A world's markets by the exchange's own names. */
export const marketsBy = (
  nameOf: (market: WorldMarket) => string
): (world: World) => ReadonlyMap<string, WorldMarket> => {
  const indices = perWorld(() => new Map<string, WorldMarket>())
  return (world) => {
    const index = indices(world)
    if (index.size !== world.markets.size) {
      index.clear()
      for (const market of world.markets.values()) index.set(nameOf(market), market)
    }
    return index
  }
}
