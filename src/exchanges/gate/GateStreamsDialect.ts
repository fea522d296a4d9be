/**
 * What Gate's spot and futures sockets have in common, the server's half: frames, and the streams that differ between
 * them in little more than their results. Topics are `channel|item`, and `channel|a|b` where the payload says more than a
 * name, as in `spot.order_book_update|BTC_USDT|100ms`.
 */
import type { WorldAccount, WorldKey } from "../../AccountWorld.ts"
import type { KlinePrice } from "../../domain/Market.ts"
import type {
  About,
  World,
  WorldBook,
  WorldDelta,
  WorldKline,
  WorldLevel,
  WorldMarket,
  WorldStatistics
} from "../../ExchangeDialect.ts"
import { marketsBy, trimmed } from "../../ExchangeDialect.ts"

/** Whose stream it is, once a key has been checked. */
export interface Session {
  readonly key: WorldKey
  readonly account: WorldAccount
}

export const nameOf = (market: WorldMarket): string => `${market.base}_${market.quote}`

export const marketsOf = marketsBy(nameOf)

// ---- frames, keys in the order of captured ones ---------------------------------------------------------------------

export const seconds = (millis: number): number => Math.floor(millis / 1_000)

/** `time` and `time_ms`, as every frame but those of `spot.obu` begins. */
export const stamp = (now: number): string => `{"time":${seconds(now)},"time_ms":${Math.floor(now)}`

export const pushOf = (now: number, channel: string, result: string, event = "update"): string =>
  `${stamp(now)},"channel":"${channel}","event":"${event}","result":${result}}`

export const data = (topic: string, events = 1): About => ({ _tag: "Data", topic, events })

type Levels = ReadonlyArray<WorldLevel>

const listOf = (texts: ReadonlyArray<string>): string => `[${texts.join(",")}]`

const pair = (level: WorldLevel): string => `["${level.price}","${level.quantity}"]`

/** Best level first, as snapshots come. */
export const sorted = (levels: Levels, text: (level: WorldLevel) => string = pair): string => listOf(levels.map(text))

/** Deltas come in no order (measured): here backwards. */
export const unsorted = (levels: Levels, text: (level: WorldLevel) => string = pair): string =>
  listOf(levels.toReversed().map(text))

/**
 * A number of contracts: text for a client that sent `X-Gate-Size-Decimal: 1`, for others a whole number, rounded
 * towards zero.
 */
export const sizeOf = (quantity: string, decimal: boolean): string =>
  decimal ? `"${trimmed(quantity)}"` : String(Math.trunc(Number(quantity)))

/** In per cent, of the last price against the first one. */
export const changeOf = ({ last, open }: WorldStatistics): string =>
  String(Number(((Number(last) / Number(open) - 1) * 100).toFixed(4)))

// ---- streams --------------------------------------------------------------------------------------------------------

/** Where a stream's frames go. */
export interface Outlet {
  readonly world: World
  readonly send: (frame: string, about: About) => void
  /** The client asked for decimal sizes. */
  readonly decimal: boolean
}

export interface Stream {
  readonly topic: string
  readonly open: (outlet: Outlet) => Opened
}

export interface Opened {
  readonly stop: () => void
  /** The frame that the stream begins with, made now. */
  readonly first?: string | undefined
  /**
   * Whether `first` comes, and when, varies on the wire; every second stream takes the other way. `around`: before the
   * ack or after it. `sometimes`: after it or not at all. `after`: always after it.
   */
  readonly rule?: "around" | "sometimes" | "after" | undefined
}

/** Documented codes: 1 malformed, 2 invalid argument, 3 server side, 4 authentication. */
export interface Refusal {
  readonly code: 1 | 2 | 3 | 4
  readonly message: string
}

export type Markets = ReadonlyMap<string, WorldMarket>

/** What a payload asks for; a list with one bad item fails as a whole. */
export type Channel = (payload: ReadonlyArray<string>, markets: Markets) => ReadonlyArray<Stream> | Refusal

/** What a payload asks for of an account; some channels have none. */
export type PrivateChannel = (
  payload: ReadonlyArray<string> | null,
  markets: Markets,
  session: Session
) => ReadonlyArray<Stream> | Refusal

export const invalidArgument: Refusal = { code: 2, message: "Invalid argument provided" }

/** How a channel names a pair that it does not know. */
export type Unknown = (name: string) => Refusal

export const unknownPair: Unknown = (name) => ({ code: 2, message: `unknown currency pair: ${name}` })

export const pairList =
  (unknown: Unknown, streamOf: (market: WorldMarket) => Stream): Channel => (payload, markets) => {
    const streams: Array<Stream> = []
    for (const name of payload) {
      const market = markets.get(name)
      if (market === undefined) return unknown(name)
      streams.push(streamOf(market))
    }
    return streams
  }

// ---- obu ------------------------------------------------------------------------------------------------------------

/** Interval by number of levels. */
const obuIntervals: ReadonlyMap<string, number> = new Map([["50", 20], ["400", 100]])

/** `ob.BTC_USDT.50` */
const obuPattern = /^ob\.(.+)\.([^.]+)$/u

const obuSnapshot = (name: string, book: WorldBook): string =>
  `{"t":${Math.floor(book.time)},"full":true,"s":${name},"u":${book.version}`
  + `,"b":${sorted(book.bids)},"a":${sorted(book.asks)}}`

/** A side without changes is left out; both are when only the id advances. */
const obuDelta = (name: string, delta: WorldDelta): string => {
  const bids = delta.bids.length === 0 ? "" : `,"b":${unsorted(delta.bids)}`
  const asks = delta.asks.length === 0 ? "" : `,"a":${unsorted(delta.asks)}`
  return `{"t":${Math.floor(delta.time)},"s":${name},"u":${delta.version},"U":${delta.firstVersion}${bids}${asks}}`
}

type ObuPush = (now: number, result: string) => string

const obuStream = (
  topic: string,
  market: WorldMarket,
  item: string,
  level: number,
  everyMillis: number,
  push: ObuPush
): Stream => {
  const name = JSON.stringify(item)
  const about = data(topic)
  return {
    topic,
    open: ({ send, world }) => {
      const listener = (delta: WorldDelta): void => send(push(world.now(), obuDelta(name, delta)), about)
      const { book, stop } = world.watch({ _tag: "Depth", pair: market.pair, everyMillis, window: level, listener })
      return { stop, first: push(world.now(), obuSnapshot(name, book)), rule: "around" }
    }
  }
}

/** Measured on futures: a stream for an unknown pair or level is acked and stays silent; nothing says that spot differs. */
const silentStream = (topic: string): Stream => ({ topic, open: () => ({ stop: () => {} }) })

/** Sizes are exact texts, whatever the header (measured on futures). */
export const obuChannel = (channel: string, push: ObuPush): Channel => (payload, markets) => {
  const streams: Array<Stream> = []
  for (const item of payload) {
    const [, name = "", level = ""] = obuPattern.exec(item) ?? []
    if (name === "") return invalidArgument
    const topic = `${channel}|${item}`
    const market = markets.get(name)
    const everyMillis = obuIntervals.get(level)
    streams.push(
      market === undefined || everyMillis === undefined
        ? silentStream(topic)
        : obuStream(topic, market, item, Number(level), everyMillis, push)
    )
  }
  return streams
}

// ---- order_book_update ----------------------------------------------------------------------------------------------

export interface Update {
  /** A whole book. */
  readonly full: boolean
  readonly level: string
  readonly firstVersion: number
  readonly version: number
  readonly time: number
  readonly bids: string
  readonly asks: string
}

export interface UpdateChannel {
  readonly channel: string
  readonly unknown: Unknown
  /** Levels on offer by interval, that of a request without one first. */
  readonly feeds: ReadonlyMap<string, ReadonlyArray<string>>
  /** What of the payload makes the topic. */
  readonly item: (interval: string, level: string) => string
  readonly level: (level: WorldLevel, decimal: boolean) => string
  readonly result: (name: string, update: Update) => string
}

const updateStream = (
  { channel, level: text, result }: UpdateChannel,
  topic: string,
  market: WorldMarket,
  everyMillis: number,
  level: string
): Stream => {
  const name = JSON.stringify(nameOf(market))
  const about = data(topic)
  return {
    topic,
    open: ({ decimal, send, world }) => {
      const levelText = (level: WorldLevel): string => text(level, decimal)
      const push = (update: Omit<Update, "level">): string =>
        pushOf(world.now(), channel, result(name, { ...update, level }))
      const listener = (delta: WorldDelta): void => {
        const bids = unsorted(delta.bids, levelText)
        send(push({ ...delta, full: false, bids, asks: unsorted(delta.asks, levelText) }), about)
      }
      const window = Number(level)
      const { book, stop } = world.watch({ _tag: "Depth", pair: market.pair, everyMillis, window, listener })
      const sides = { bids: sorted(book.bids, levelText), asks: sorted(book.asks, levelText) }
      return { stop, first: push({ ...book, ...sides, full: true, firstVersion: book.version }), rule: "sometimes" }
    }
  }
}

export const updateChannel = (of: UpdateChannel): Channel => (payload, markets) => {
  const [name = "", interval = "", asked] = payload
  const market = markets.get(name)
  if (market === undefined) return of.unknown(name)
  const levels = of.feeds.get(interval)
  if (levels === undefined) return { code: 2, message: `incorrect update interval specified: ${interval}` }
  const level = asked ?? levels[0]!
  if (!levels.includes(level)) return { code: 2, message: `provided level not supported: ${level}` }
  const topic = `${of.channel}|${name}|${of.item(interval, level)}`
  return [updateStream(of, topic, market, Number.parseInt(interval), level)]
}

// ---- order_book -----------------------------------------------------------------------------------------------------

export interface BookChannel {
  readonly channel: string
  readonly event: "update" | "all"
  readonly unknown: Unknown
  readonly levels: ReadonlyArray<string>
  /** ms by what the payload calls it. */
  readonly intervals: ReadonlyMap<string, number>
  readonly result: (name: string, level: string, book: WorldBook, decimal: boolean) => string
}

export const bookChannel = (of: BookChannel): Channel => (payload, markets) => {
  const [name = "", level = "", interval = ""] = payload
  const market = markets.get(name)
  const everyMillis = of.intervals.get(interval)
  if (market === undefined) return of.unknown(name)
  if (!of.levels.includes(level)) return { code: 2, message: `provided level not supported: ${level}` }
  if (everyMillis === undefined) return { code: 2, message: `incorrect update interval specified: ${interval}` }
  const topic = `${of.channel}|${payload.join("|")}`
  const about = data(topic)
  const symbol = JSON.stringify(name)
  const { pair } = market
  const open: Stream["open"] = ({ decimal, send, world }) => {
    const listener = (book: WorldBook): void =>
      send(pushOf(world.now(), of.channel, of.result(symbol, level, book, decimal), of.event), about)
    return world.watch({ _tag: "Book", pair, everyMillis, levels: Number(level), listener })
  }
  return [{ topic, open }]
}

// ---- candlesticks ---------------------------------------------------------------------------------------------------

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** By Gate's names. Those of seven and thirty days are aligned to the epoch (a captured `7d` begins on a Thursday). */
const intervalMillis: Readonly<Record<string, number>> = {
  "10s": 10_000,
  "30s": 30_000,
  "1m": minute,
  "3m": 3 * minute,
  "5m": 5 * minute,
  "15m": 15 * minute,
  "30m": 30 * minute,
  "1h": hour,
  "2h": 2 * hour,
  "4h": 4 * hour,
  "6h": 6 * hour,
  "8h": 8 * hour,
  "12h": 12 * hour,
  "1d": day,
  "3d": 3 * day,
  "7d": 7 * day,
  "30d": 30 * day
}

/** ms of an interval that is among those on offer. */
export const millisOf = (interval: string, offered: ReadonlyArray<string>): number | undefined =>
  offered.includes(interval) ? intervalMillis[interval] : undefined

export const unknownInterval = (interval: string): Refusal => ({ code: 2, message: `unknown interval ${interval}` })

export interface CandleChannel {
  readonly channel: string
  readonly unknown: Unknown
  readonly intervals: ReadonlyArray<string>
  /** What is drawn, and of which pair. */
  readonly drawn: (name: string) => readonly [price: KlinePrice, name: string]
  readonly result: (title: string, kline: WorldKline, decimal: boolean) => string
}

/** Documented: the closing frame may be missing. Here it is, of one window in four. */
const isLost = ({ closeTime, closed, openTime }: WorldKline): boolean =>
  closed && (openTime / (closeTime - openTime)) % 4 === 3

export const candleChannel = (of: CandleChannel): Channel => (payload, markets) => {
  const [interval = "", asked = ""] = payload
  const [price, name] = of.drawn(asked)
  const millis = millisOf(interval, of.intervals)
  const market = markets.get(name)
  if (millis === undefined) return unknownInterval(interval)
  if (market === undefined) return of.unknown(name)
  const topic = `${of.channel}|${payload.join("|")}`
  const about = data(topic)
  const title = JSON.stringify(`${interval}_${asked}`)
  const { pair } = market
  const open: Stream["open"] = ({ decimal, send, world }) => {
    const listener = (kline: WorldKline): void => {
      if (isLost(kline)) return
      send(pushOf(world.now(), of.channel, of.result(title, kline, decimal)), about)
    }
    // Documented on spot: every 2 s. Futures name no pace; it is the same here.
    return world.watch({ _tag: "Kline", pair, everyMillis: 2_000, interval: millis, price, listener })
  }
  return [{ topic, open }]
}
