/**
 * What is sent, deterministically: 100 or 1,000 markets, 20 variants of a frame each, made by the simulator's dialects so that the
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
  WorldStatistics,
  WorldSwap,
  WorldTicker,
  WorldTrade
} from "../../src/ExchangeDialect.ts"
import { gateFuturesDialect, gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateFutures, gateSpot, mexcSpot } from "../../src/exchanges/index.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import type { ExchangeName } from "./Protocol.ts"
import { firstVersion, variantCount } from "./Protocol.ts"
import { random } from "./Random.ts"

/** The exchange's pace for requests, dials and REST is lifted: the server is ours and setting up is not measured. */
export const unpaced = {
  requestsPerSecond: 10_000,
  dialsPerSecond: 1_000,
  restPerSecond: 10_000,
  restConcurrency: 16
}

export interface Case {
  readonly id: string
  readonly title: string
  readonly exchange: ExchangeName
  readonly choices: ReadonlyArray<ChannelChoice>
  readonly pairCount: number
  readonly isBook: boolean
  /** Price levels a side on which everything happens. */
  readonly levels: number
  /** Frames of one timed run. */
  readonly frames: number
}

const exchanges: Readonly<
  Record<ExchangeName, { readonly adapter: ExchangeAdapter; readonly dialect: ExchangeDialect }>
> = {
  "mexc-spot": { adapter: mexcSpot, dialect: mexcSpotDialect },
  "gate-spot": { adapter: gateSpot, dialect: gateSpotDialect },
  "gate-futures": { adapter: gateFutures, dialect: gateFuturesDialect }
}

export const adapterOf = ({ exchange }: Case): ExchangeAdapter => exchanges[exchange].adapter
export const dialectOf = ({ exchange }: Case): ExchangeDialect => exchanges[exchange].dialect

const update = { _tag: "Book", source: "order_book_update" } as const

type Row = readonly [id: string, title: string, exchange: ExchangeName, choice: ChannelChoice, frames: number]

const rows: ReadonlyArray<Row> = [
  ["mexc-ticker", "MEXC aggre.bookTicker (protobuf)", "mexc-spot", "BookTicker", 4_500_000],
  ["mexc-depth", "MEXC aggre.depth, 20 levels (protobuf)", "mexc-spot", "Book", 1_200_000],
  ["gate-ticker", "Gate spot.book_ticker (JSON)", "gate-spot", "BookTicker", 4_500_000],
  ["gate-update", "Gate spot.order_book_update, 20 levels (JSON)", "gate-spot", update, 1_200_000],
  ["gate-obu", "Gate spot.obu, 20 levels (JSON)", "gate-spot", "Book", 1_200_000],
  ["futures-ticker", "Gate futures.book_ticker (JSON)", "gate-futures", "BookTicker", 4_500_000],
  ["futures-update", "Gate futures.order_book_update, 20 levels (JSON)", "gate-futures", update, 1_200_000],
  ["mexc-trades", "MEXC aggre.deals (protobuf)", "mexc-spot", "Trades", 4_500_000],
  ["gate-trades", "Gate spot.trades (JSON)", "gate-spot", "Trades", 3_000_000],
  ["futures-trades", "Gate futures.trades (JSON)", "gate-futures", "Trades", 3_000_000],
  ["mexc-tickers", "MEXC miniTicker (protobuf)", "mexc-spot", "Ticker", 1_600_000],
  ["gate-tickers", "Gate spot.tickers (JSON)", "gate-spot", "Ticker", 1_600_000],
  ["futures-tickers", "Gate futures.tickers (JSON)", "gate-futures", "FuturesTicker", 800_000]
]

const caseOf = ([id, title, exchange, choice, frames]: Row, pairCount: number): Case => ({
  id: pairCount === 100 ? id : `${id}-${pairCount}`,
  title: `${title}, ${pairCount} pairs`,
  exchange,
  choices: [choice],
  pairCount,
  isBook: typeof choice !== "string" || choice === "Book",
  levels: 100,
  frames
})

/** Those that also run with 1,000 pairs. */
const wide = new Set(["mexc-ticker", "mexc-depth", "gate-ticker", "gate-update", "futures-ticker", "futures-update"])

/** Best prices of 160 pairs: two for each of 80 sockets. */
const spread = rows.filter(([, , , choice]) => choice === "BookTicker").map((row) => caseOf(row, 160))

export const cases: ReadonlyArray<Case> = [
  ...rows.map((row) => caseOf(row, 100)),
  ...rows.filter(([id]) => wide.has(id)).map((row) => caseOf(row, 1_000)),
  ...spread,
  {
    id: "gate-fanout",
    title: "Gate spot.book_ticker and spot.trades (JSON), 1000 pairs",
    exchange: "gate-spot",
    choices: ["BookTicker", "Trades"],
    pairCount: 1_000,
    isBook: false,
    levels: 100,
    frames: 800_000
  },
  {
    id: "mexc-deep",
    title: "MEXC aggre.depth (protobuf), 1000 pairs, books of 1000 levels a side",
    exchange: "mexc-spot",
    choices: [{ _tag: "Book", depth: 1_000 }],
    pairCount: 1_000,
    isBook: true,
    levels: 1_000,
    frames: 200_000
  }
]

export const caseById = (id: string): Case => {
  const found = cases.find((each) => each.id === id)
  if (found === undefined) throw new Error(`no case ${id}; there are ${cases.map((each) => each.id).join(", ")}`)
  return found
}

/** Frames in one pass over all topics and variants. */
export const passFramesOf = ({ choices, pairCount }: Case): number => pairCount * choices.length * variantCount

const names = ["BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "DOT", "PEPE"]

const isSwap = ({ exchange }: Case): boolean => exchange === "gate-futures"

/** `BTC/USDT`, …, `BTC1/USDT`, …: names of three to six letters and digits; swaps end in `:USDT`. */
export const pairsOf = (of: Case): ReadonlyArray<TradingPair> =>
  Array.from({ length: of.pairCount }, (_, i): TradingPair => {
    const pair: TradingPair = `${names[i % 10]}${i < 10 ? "" : Math.floor(i / 10)}/USDT`
    return isSwap(of) ? `${pair}:USDT` : pair
  })

// ---- markets --------------------------------------------------------------------------------------------------------

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

/** Four to eight significant digits; whole contracts. */
const quantity = (of: Case, draw: () => number): string =>
  isSwap(of) ? String(1 + Math.floor(draw() * 40_000)) : (0.01 + draw() * 40).toFixed(2 + Math.floor(draw() * 4))

const wholeSide = (of: Case, grid: Grid, side: "bid" | "ask", limit: number): ReadonlyArray<WorldLevel> =>
  Array.from({ length: Math.min(limit, of.levels) }, (_, level) => ({
    price: priceAt(grid, side, level),
    quantity: isSwap(of) ? String((1 + level) * 125) : ((1 + level) * 1.25).toFixed(2)
  }))

const changes = (of: Case, grid: Grid, side: "bid" | "ask", draw: () => number): ReadonlyArray<WorldLevel> => {
  const levels = new Set<number>()
  while (levels.size < changedLevels) {
    levels.add(Math.min(of.levels - 1, Math.floor(-Math.log(1 - draw()) * meanDepth)))
  }
  return [...levels].map((level) => ({
    price: priceAt(grid, side, level),
    quantity: draw() < deletes ? "0" : quantity(of, draw)
  }))
}

/** What a version field holds in the templates; eleven digits as on the wire of today. */
const placeholders = { first: 11_111_111_111, last: 22_222_222_222 } as const
export const versionDigits = 11

const stampPlaceholder = 33_333_333_333_333
export const stampDigits = 14

const time = 1_795_000_000_123

export const contractSize = 0.0001

const swapOf = (index: number): WorldSwap => {
  const grid = gridOf(index)
  return {
    contractSize: String(contractSize),
    decimal: true,
    markDecimals: grid.decimals,
    fundingInterval: 28_800_000,
    state: () => ({
      markPrice: priceAt(grid, "bid", 1),
      indexPrice: priceAt(grid, "ask", 1),
      fundingRate: "0.000112",
      nextFundingTime: 1_795_010_400_000,
      openInterest: String(1_000_000 + index)
    })
  }
}

const statisticsOf = (index: number, variant: number): WorldStatistics => {
  const grid = gridOf(index)
  const draw = random(index * 1_000 + variant)
  return {
    open: priceAt(grid, "ask", Math.floor(draw() * 90)),
    high: priceAt(grid, "ask", 95),
    low: priceAt(grid, "bid", 95),
    last: priceAt(grid, "bid", Math.floor(draw() * 90)),
    quantity: String(1_000_000 + Math.floor(draw() * 1_000_000)),
    baseVolume: (1_000 + draw() * 1_000).toFixed(3),
    quoteVolume: (1_000_000 + draw() * 1_000_000).toFixed(2),
    time: time + variant
  }
}

/** The markets of a case as a dialect's world. `versionOf` says where each book stands. */
export const makeWorld = (
  of: Case,
  versionOf: (pair: TradingPair) => number,
  hooks: {
    readonly onWatch?: (watch: Watch) => void
    readonly onBook?: (pair: TradingPair) => void
    /** Which of the variants the day's statistics are of. */
    readonly variant?: () => number
  } = {}
): World => {
  const pairs = pairsOf(of)
  const indices = new Map(pairs.map((pair, index) => [pair, index]))
  const book = (index: number, limit: number): WorldBook => ({
    version: versionOf(pairs[index]!),
    bids: wholeSide(of, gridOf(index), "bid", limit),
    asks: wholeSide(of, gridOf(index), "ask", limit),
    time
  })
  const markets = new Map(pairs.map((pair, index): [TradingPair, WorldMarket] => [pair, {
    pair,
    base: pair.slice(0, pair.indexOf("/")),
    quote: "USDT",
    priceDecimals: gridOf(index).decimals,
    quantityDecimals: 6,
    minQuantity: isSwap(of) ? "1" : "0.000001",
    minNotional: "1",
    swap: isSwap(of) ? swapOf(index) : null,
    book: (limit) => {
      hooks.onBook?.(pair)
      return book(index, limit)
    },
    ticker: () => tickerOf(of, index, 0, firstVersion),
    statistics: () => statisticsOf(index, hooks.variant?.() ?? 0)
  }]))
  return {
    now: () => time,
    markets,
    watch: (watch) => {
      hooks.onWatch?.(watch)
      return { book: book(indices.get(watch.pair)!, of.levels), stop: () => {} }
    },
    accounts: noAccounts,
    refuses: () => null
  }
}

const tickerOf = (of: Case, index: number, variant: number, version: number): WorldTicker => {
  const grid = gridOf(index)
  const draw = random(index * 1_000 + variant)
  const level = (side: "bid" | "ask"): WorldLevel => ({
    price: priceAt(grid, side, Math.floor(draw() * 3)),
    quantity: quantity(of, draw)
  })
  return { version, bid: level("bid"), ask: level("ask"), time: time + variant }
}

const deltaOf = (of: Case, index: number, variant: number): WorldDelta => {
  const grid = gridOf(index)
  const draw = random(index * 1_000 + variant)
  return {
    firstVersion: placeholders.first,
    version: placeholders.last,
    bids: changes(of, grid, "bid", draw),
    asks: changes(of, grid, "ask", draw),
    time: time + variant
  }
}

/** One for each frame, so that frames and events count the same. */
const tradeOf = (of: Case, index: number, variant: number): WorldTrade => {
  const draw = random(index * 1_000 + variant)
  return {
    id: firstVersion + index * 1_000 + variant,
    price: priceAt(gridOf(index), "bid", Math.floor(draw() * 3)),
    quantity: quantity(of, draw),
    side: draw() < 0.5 ? "buy" : "sell",
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

export interface Framed {
  readonly frame: Buffer
  readonly payloadStart: number
}

/** A frame of RFC 6455 from the server: final, not masked. `head` is its first byte. */
export const framed = (
  payload: string | Uint8Array,
  head = typeof payload === "string" ? 0x81 : 0x82
): Framed => {
  const body = Buffer.from(payload)
  const payloadStart = body.length < 126 ? 2 : 4
  const frame = Buffer.alloc(payloadStart + body.length)
  frame[0] = head
  if (payloadStart === 2) {
    frame[1] = body.length
  } else {
    frame[1] = 126
    frame.writeUInt16BE(body.length, 2)
  }
  body.copy(frame, payloadStart)
  return { frame, payloadStart }
}

/** The topics of a case, as the session names them, pair by pair. */
export const topicsOf = (of: Case): ReadonlyArray<Topic> => {
  const adapter = adapterOf(of)
  return pairsOf(of).flatMap((pair) =>
    of.choices.map((choice) => {
      const symbol = adapter.symbol(pair)!
      const channel = forPair(choice, pair)
      const name = adapter.topic(channel, symbol)
      if (name._tag === "Unsupported") throw new Error(name.detail)
      const size = isSwap(of) ? contractSize : 1
      return { key: name.key, channel: channel._tag, symbol, pair, contractSize: size, slot: null }
    })
  )
}

/** What subscribes these topics. */
export const subscriptions = (of: Case, topics: ReadonlyArray<Topic>): ReadonlyArray<Request> => {
  let id = 0
  return adapterOf(of).subscribe(topics, { nowMillis: time, nextId: () => ++id })
}

/** Sends one variant to whoever watches. */
const tell = (of: Case, index: number, variant: number, watch: Watch, stamped: boolean): void => {
  if (watch._tag === "Ticker") {
    watch.listener(tickerOf(of, index, variant, stamped ? stampPlaceholder : firstVersion + variant))
  } else if (watch._tag === "Depth") {
    watch.listener(deltaOf(of, index, variant))
  } else if (watch._tag === "Trades") {
    watch.listener([tradeOf(of, index, variant)])
  } else if (watch._tag === "Statistics") {
    watch.listener(statisticsOf(index, variant))
  }
}

/** All frames of a case: for each topic, by its key, its variants. */
export const templates = (of: Case, stamped = false): ReadonlyMap<string, ReadonlyArray<Template>> => {
  const result = new Map<string, ReadonlyArray<Template>>()
  const watched: Array<Watch> = []
  let sent: Array<Template> = []
  let variant = 0
  const world = makeWorld(of, () => firstVersion, {
    onWatch: (watch) => watched.push(watch),
    variant: () => variant
  })
  const last = String(stamped ? stampPlaceholder : placeholders.last)
  const connection = dialectOf(of).connect(world, {
    headers: headersOf(of),
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
  const indices = new Map(pairsOf(of).map((pair, index) => [pair, index]))
  for (const topic of topicsOf(of)) {
    for (const request of subscriptions(of, [topic])) connection.onFrame(request.frame)
    sent = []
    for (variant = 0; variant < variantCount; variant++) {
      tell(of, indices.get(topic.pair!)!, variant, watched.at(-1)!, stamped)
    }
    result.set(topic.key, sent)
    sent = []
  }
  return result
}

/** Of the handshake, names in lower case as the server reads them. */
export const headersOf = (of: Case): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(adapterOf(of).endpoint("ws://localhost").headers ?? {}).map(([name, value]) => [
      name.toLowerCase(),
      value
    ])
  )

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
