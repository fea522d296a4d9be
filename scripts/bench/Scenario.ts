/**
 * What is sent, deterministically: 100 markets, 20 variants of a frame each, made by the simulator's dialects so that the
 * bytes are those of the exchange. Versions of books are placeholders that the server overwrites.
 */
import { noAccounts } from "../../src/AccountWorld.ts"
import type { ChannelChoice } from "../../src/domain/Channel.ts"
import { forPair } from "../../src/domain/Channel.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { ExchangeAdapter, Request, Topic } from "../../src/ExchangeAdapter.ts"
import type {
  ExchangeDialect,
  Watch,
  World,
  WorldBook,
  WorldDelta,
  WorldLevel,
  WorldMarket,
  WorldTicker
} from "../../src/ExchangeDialect.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateSpot, mexcSpot } from "../../src/exchanges/index.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"

/** The exchange's pace for requests, dials and REST is lifted: the server is ours and setting up is not measured. */
const unpaced = (adapter: ExchangeAdapter): ExchangeAdapter => ({
  ...adapter,
  limits: {
    ...adapter.limits,
    requestsPerSecond: 10_000,
    dialsPerSecond: 1_000,
    restPerSecond: 10_000,
    restConcurrency: 16
  }
})

export interface Case {
  readonly id: string
  readonly title: string
  readonly adapter: ExchangeAdapter
  readonly dialect: ExchangeDialect
  readonly choice: ChannelChoice
  readonly isBook: boolean
  /** Frames of one timed run. */
  readonly frames: number
  /** The least that `raw ws + codec` should reach of counting bytes. */
  readonly floorOfLimit: number | null
}

const mexc = { adapter: unpaced(mexcSpot), dialect: mexcSpotDialect }
const gate = { adapter: unpaced(gateSpot), dialect: gateSpotDialect }

export const cases: ReadonlyArray<Case> = [
  {
    id: "mexc-ticker",
    title: "MEXC aggre.bookTicker (protobuf)",
    ...mexc,
    choice: "BookTicker",
    isBook: false,
    frames: 1_000_000,
    floorOfLimit: 0.58
  },
  {
    id: "mexc-depth",
    title: "MEXC aggre.depth, 20 levels (protobuf)",
    ...mexc,
    choice: "Book",
    isBook: true,
    frames: 400_000,
    floorOfLimit: 0.3
  },
  {
    id: "gate-ticker",
    title: "Gate spot.book_ticker (JSON)",
    ...gate,
    choice: "BookTicker",
    isBook: false,
    frames: 1_000_000,
    floorOfLimit: 0.67
  },
  {
    id: "gate-obu",
    title: "Gate spot.obu, 20 levels (JSON)",
    ...gate,
    choice: "Book",
    isBook: true,
    frames: 400_000,
    floorOfLimit: null
  },
  {
    id: "gate-update",
    title: "Gate spot.order_book_update, 20 levels (JSON)",
    ...gate,
    choice: { _tag: "Book", source: "order_book_update" },
    isBook: true,
    frames: 400_000,
    floorOfLimit: 0.38
  }
]

export const symbolCount = 100
export const variantCount = 20
/** Frames in one pass over all markets and variants. */
export const passFrames = symbolCount * variantCount

const names = ["BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "DOT", "PEPE"]

/** `BTC/USDT`, …, `BTC1/USDT`, …: names of three to five letters and digits. */
export const pairs: ReadonlyArray<TradingPair> = Array.from(
  { length: symbolCount },
  (_, i): TradingPair => `${names[i % 10]}${i < 10 ? "" : Math.floor(i / 10)}/USDT`
)

/** mulberry32: the same numbers on every machine. */
export const random = (seed: number): () => number => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296
  }
}

// ---- markets --------------------------------------------------------------------------------------------------------

/** Price levels a side on which everything happens. */
const gridLevels = 100
const changedLevels = 10
/** Levels are changed near the top, further down ever less often. */
const meanDepth = 12
const deletes = 0.35

interface Grid {
  readonly decimals: number
  /** Mid price in steps. */
  readonly mid: number
}

const gridOf = (index: number): Grid => {
  const decimals = index % 5
  return { decimals, mid: 6_712_300 + index * 137 }
}

const priceAt = (grid: Grid, side: "bid" | "ask", level: number): string =>
  ((grid.mid + (side === "bid" ? -1 - level : level)) / 10 ** grid.decimals).toFixed(grid.decimals)

/** Four to eight significant digits. */
const quantity = (draw: () => number): string => (0.01 + draw() * 40).toFixed(2 + Math.floor(draw() * 4))

const wholeSide = (grid: Grid, side: "bid" | "ask", limit: number): ReadonlyArray<WorldLevel> =>
  Array.from({ length: Math.min(limit, gridLevels) }, (_, level) => ({
    price: priceAt(grid, side, level),
    quantity: ((1 + level) * 1.25).toFixed(2)
  }))

const changes = (grid: Grid, side: "bid" | "ask", draw: () => number): ReadonlyArray<WorldLevel> => {
  const levels = new Set<number>()
  while (levels.size < changedLevels) {
    levels.add(Math.min(gridLevels - 1, Math.floor(-Math.log(1 - draw()) * meanDepth)))
  }
  return [...levels].map((level) => ({
    price: priceAt(grid, side, level),
    quantity: draw() < deletes ? "0" : quantity(draw)
  }))
}

export const firstVersion = 41_000_000_000
/** Versions that one book update covers. */
export const versionStep = 3

/** What a version field holds in the templates; eleven digits as on the wire of today. */
const placeholders = { first: 11_111_111_111, last: 22_222_222_222 } as const
export const versionDigits = 11

/** In latency runs the ticker's version carries the time it was due, in µs of the machine's monotonic clock. */
export const stampBase = 10_000_000_000_000
const stampPlaceholder = 33_333_333_333_333
export const stampDigits = 14

const time = 1_795_000_000_123

/** The markets of a case as a dialect's world. `versionOf` says where each book stands. */
export const makeWorld = (
  versionOf: (pair: TradingPair) => number,
  hooks: {
    readonly onWatch?: (watch: Watch) => void
    readonly onBook?: (pair: TradingPair) => void
  } = {}
): World => {
  const book = (index: number, limit: number): WorldBook => ({
    version: versionOf(pairs[index]!),
    bids: wholeSide(gridOf(index), "bid", limit),
    asks: wholeSide(gridOf(index), "ask", limit),
    time
  })
  const markets = new Map(pairs.map((pair, index): [TradingPair, WorldMarket] => [pair, {
    pair,
    base: pair.slice(0, pair.indexOf("/")),
    quote: "USDT",
    priceDecimals: gridOf(index).decimals,
    quantityDecimals: 6,
    minQuantity: "0.000001",
    minNotional: "1",
    swap: null,
    book: (limit) => {
      hooks.onBook?.(pair)
      return book(index, limit)
    },
    ticker: () => tickerOf(index, 0, firstVersion),
    // The session asks which pairs are traded most; here all are alike.
    statistics: () => {
      const price = priceAt(gridOf(index), "bid", 0)
      return {
        open: price,
        high: price,
        low: price,
        last: price,
        quantity: "1",
        baseVolume: "1",
        quoteVolume: price,
        time
      }
    }
  }]))
  return {
    now: () => time,
    markets,
    watch: (watch) => {
      hooks.onWatch?.(watch)
      return { book: book(pairs.indexOf(watch.pair), gridLevels), stop: () => {} }
    },
    accounts: noAccounts,
    refuses: () => null
  }
}

const tickerOf = (index: number, variant: number, version: number): WorldTicker => {
  const grid = gridOf(index)
  const draw = random(index * 1_000 + variant)
  const level = (side: "bid" | "ask"): WorldLevel => ({
    price: priceAt(grid, side, Math.floor(draw() * 3)),
    quantity: quantity(draw)
  })
  return { version, bid: level("bid"), ask: level("ask"), time: time + variant }
}

const deltaOf = (index: number, variant: number): WorldDelta => {
  const grid = gridOf(index)
  const draw = random(index * 1_000 + variant)
  return {
    firstVersion: placeholders.first,
    version: placeholders.last,
    bids: changes(grid, "bid", draw),
    asks: changes(grid, "ask", draw),
    time: time + variant
  }
}

// ---- templates ------------------------------------------------------------------------------------------------------

/** One WebSocket frame, ready for the socket, and where its versions stand. */
export interface Template {
  readonly frame: Buffer
  readonly payloadStart: number
  /** Offsets of digits to overwrite; -1 for none. */
  readonly firstVersionAt: number
  readonly versionAt: number
}

/** A frame of RFC 6455 from the server: final, not masked. */
const framed = (payload: string | Uint8Array): { readonly frame: Buffer; readonly payloadStart: number } => {
  const body = Buffer.from(payload)
  const payloadStart = body.length < 126 ? 2 : 4
  const frame = Buffer.alloc(payloadStart + body.length)
  frame[0] = typeof payload === "string" ? 0x81 : 0x82
  if (payloadStart === 2) {
    frame[1] = body.length
  } else {
    frame[1] = 126
    frame.writeUInt16BE(body.length, 2)
  }
  body.copy(frame, payloadStart)
  return { frame, payloadStart }
}

/** The topics of a case, as the session names them. */
export const topicsOf = ({ adapter, choice }: Case): ReadonlyArray<Topic> =>
  pairs.map((pair) => {
    const symbol = adapter.symbol(pair)!
    const channel = forPair(choice, pair)
    const name = adapter.topic(channel, symbol)
    if (name._tag === "Unsupported") throw new Error(name.detail)
    return { key: name.key, channel: channel._tag, symbol, pair, contractSize: 1, slot: null }
  })

/** What subscribes these topics. */
export const subscriptions = ({ adapter }: Case, topics: ReadonlyArray<Topic>): ReadonlyArray<Request> => {
  let id = 0
  return adapter.subscribe(topics, { nowMillis: time, nextId: () => ++id })
}

const variantsOf = (index: number, watch: Watch, stamped: boolean): ReadonlyArray<() => void> =>
  Array.from({ length: variantCount }, (_, variant) => () => {
    if (watch._tag === "Ticker") {
      watch.listener(tickerOf(index, variant, stamped ? stampPlaceholder : firstVersion + variant))
    } else if (watch._tag === "Depth") {
      watch.listener(deltaOf(index, variant))
    }
  })

/** All frames of a case: for each topic, by its key, its variants. */
export const templates = (of: Case, stamped = false): ReadonlyMap<string, ReadonlyArray<Template>> => {
  const result = new Map<string, ReadonlyArray<Template>>()
  const watched: Array<Watch> = []
  let sent: Array<Template> = []
  const world = makeWorld(() => firstVersion, { onWatch: (watch) => watched.push(watch) })
  const last = String(stamped ? stampPlaceholder : placeholders.last)
  const connection = of.dialect.connect(world, {
    headers: {},
    query: new Map(),
    address: "127.0.0.1",
    send: (payload) => {
      const { frame, payloadStart } = framed(payload)
      sent.push({
        frame,
        payloadStart,
        firstVersionAt: frame.indexOf(String(placeholders.first)),
        versionAt: frame.indexOf(last)
      })
    },
    close: () => {},
    after: () => () => {}
  }, { limits: "off" })
  topicsOf(of).forEach((topic, index) => {
    for (const request of subscriptions(of, [topic])) connection.onFrame(request.frame)
    sent = []
    for (const send of variantsOf(index, watched.at(-1)!, stamped)) send()
    result.set(topic.key, sent)
    sent = []
  })
  return result
}

/** Writes a positive whole number of exactly `digits` digits. */
export const writeDigits = (target: Uint8Array, at: number, digits: number, value: number): void => {
  let high = Math.floor(value / 10_000_000)
  let low = value - high * 10_000_000
  const middle = at + digits - 7
  for (let i = at + digits - 1; i >= middle; i--) {
    const rest = (low / 10) | 0
    target[i] = 48 + low - rest * 10
    low = rest
  }
  for (let i = middle - 1; i >= at; i--) {
    const rest = (high / 10) | 0
    target[i] = 48 + high - rest * 10
    high = rest
  }
}

export const payloadOf = ({ frame, payloadStart }: Template): Buffer => frame.subarray(payloadStart)
