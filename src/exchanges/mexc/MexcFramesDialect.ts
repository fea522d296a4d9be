/**
 * MEXC's protobuf frames, the server's half: `PushDataV3ApiWrapper` with its fields in the wire's order 1, 3, 4, 5, 6, body,
 * written from the official `.proto` files (2026-06-17).
 */
import type { WorldBook, WorldDelta, WorldKline, WorldLevel, WorldTicker, WorldTrade } from "../../ExchangeDialect.ts"
import { trimmed } from "../../ExchangeDialect.ts"

const textEncoder = new TextEncoder()

// The body under construction, shared by all encoders: they are synchronous and copy it out at the end.
let scratch = new Uint8Array(4096)
let written = 0

const reserve = (size: number): void => {
  if (written + size <= scratch.length) return
  const grown = new Uint8Array(Math.max(scratch.length * 2, written + size))
  grown.set(scratch.subarray(0, written))
  scratch = grown
}

const putVarint = (target: Uint8Array, at: number, value: number): number => {
  let rest = value
  while (rest > 127) {
    target[at++] = (rest % 128) | 128
    rest = Math.floor(rest / 128)
  }
  target[at++] = rest
  return at
}

const sizeOfVarint = (value: number): number => {
  let size = 1
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) size++
  return size
}

/** proto3: a default value is not on the wire. Safe integers only. */
const writeInteger = (tag: number, value: number): void => {
  const whole = Math.floor(value)
  if (whole <= 0) return
  reserve(9)
  scratch[written++] = tag
  written = putVarint(scratch, written, whole)
}

/** Single-byte characters, never empty: decimals, ids, channel names without their symbol. */
const writeText = (tag: number, text: string): void => {
  reserve(text.length + 6)
  scratch[written++] = tag
  written = putVarint(scratch, written, text.length)
  for (let i = 0; i < text.length; i++) scratch[written++] = text.charCodeAt(i)
}

/** Begins a nested message behind one byte for its length; `finish` fills that in, and makes room when it needs more. */
const begin = (tag: number): number => {
  reserve(2)
  scratch[written++] = tag
  return written++
}

const finish = (mark: number): void => {
  const size = written - mark - 1
  const extra = sizeOfVarint(size) - 1
  if (extra > 0) {
    reserve(extra)
    scratch.copyWithin(mark + 1 + extra, mark + 1, written)
    written += extra
  }
  putVarint(scratch, mark, size)
}

// Pushed decimals come without padding zeros (`375.8`, `0`), unlike those of REST.

const writeLevel = (tag: number, level: WorldLevel): void => {
  const mark = begin(tag)
  writeText(0x0a, trimmed(level.price))
  writeText(0x12, trimmed(level.quantity))
  finish(mark)
}

/** A side without orders is absent. */
const writeBest = (ticker: WorldTicker): void => {
  if (ticker.bid !== null) {
    writeText(0x0a, trimmed(ticker.bid.price))
    writeText(0x12, trimmed(ticker.bid.quantity))
  }
  if (ticker.ask !== null) {
    writeText(0x1a, trimmed(ticker.ask.price))
    writeText(0x22, trimmed(ticker.ask.quantity))
  }
}

/** PublicAggreBookTickerV3Api. */
const writeTicker = (ticker: WorldTicker): void => {
  writeBest(ticker)
  writeText(0x2a, String(ticker.version))
  writeInteger(0x30, ticker.time)
}

/**
 * PublicAggreDealsV3Api. The live `tradeId` joins two ids, `730292425431437318X0_730292425431437319X0`; ours repeats
 * the trade's own.
 */
const writeDeals = (trades: ReadonlyArray<WorldTrade>, eventType: string): void => {
  for (const trade of trades) {
    const mark = begin(0x0a)
    writeText(0x0a, trimmed(trade.price))
    writeText(0x12, trimmed(trade.quantity))
    writeInteger(0x18, trade.side === "buy" ? 1 : 2)
    writeInteger(0x20, trade.time)
    writeText(0x2a, `${trade.id}X0_${trade.id}X0`)
    finish(mark)
  }
  writeText(0x12, eventType)
}

/** PublicAggreDepthsV3Api. */
const writeDepth = (delta: WorldDelta, eventType: string): void => {
  for (const level of delta.asks) writeLevel(0x0a, level)
  for (const level of delta.bids) writeLevel(0x12, level)
  writeText(0x1a, eventType)
  writeText(0x22, String(delta.firstVersion))
  writeText(0x2a, String(delta.version))
  writeInteger(0x30, delta.time)
}

/** Field numbers of the bodies. */
const bodies = {
  limitDepth: 303,
  privateOrders: 304,
  privateDeals: 306,
  privateAccount: 307,
  kline: 308,
  miniTicker: 309,
  miniTickers: 310,
  bookTickerBatch: 311,
  depth: 313,
  deals: 314,
  bookTicker: 315
} as const

/** Any characters; an empty text is not on the wire. Fields from 16 on have tags of two bytes. */
const writeField = (field: number, text: string | null): void => {
  if (text === null || text === "") return
  const bytes = textEncoder.encode(text)
  reserve(bytes.length + 8)
  written = putVarint(scratch, written, field * 8 + 2)
  written = putVarint(scratch, written, bytes.length)
  scratch.set(bytes, written)
  written += bytes.length
}

/** As `writeInteger`, of any field. */
const writeNumber = (field: number, value: number): void => {
  const whole = Math.floor(value)
  if (whole <= 0) return
  reserve(11)
  written = putVarint(scratch, written, field * 8)
  written = putVarint(scratch, written, whole)
}

/** One stream's frames. */
export interface Envelope {
  /** The fields before the time. */
  readonly head: Uint8Array
  /** Field 5 (`createTime`) or 6 (`sendTime`); of public frames none is known to have both. */
  readonly timeField: 5 | 6
}

/** Wraps the finished body. The frame is the receiver's to keep. */
const wrap = ({ head, timeField }: Envelope, time: number, field: number): Uint8Array => {
  const sent = Math.floor(time)
  const tag = field * 8 + 2
  const size = head.length + (sent > 0 ? 1 + sizeOfVarint(sent) : 0) + 2 + sizeOfVarint(written) + written
  const frame = new Uint8Array(size)
  frame.set(head)
  let at = head.length
  if (sent > 0) {
    frame[at++] = timeField * 8
    at = putVarint(frame, at, sent)
  }
  at = putVarint(frame, at, tag)
  at = putVarint(frame, at, written)
  frame.set(scratch.subarray(0, written), at)
  return frame
}

/** Names may be non-ASCII; one that is left out is not on the wire. */
const textFields = (fields: ReadonlyArray<readonly [field: number, text: string | undefined]>): Uint8Array => {
  const parts = fields.flatMap(([field, text]) => {
    if (text === undefined) return []
    const bytes = textEncoder.encode(text)
    const head = new Uint8Array(1 + sizeOfVarint(bytes.length))
    head[0] = field * 8 + 2
    putVarint(head, 1, bytes.length)
    return [head, bytes]
  })
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

/** Frames of a topic, with the time they were sent. `symbol` is absent where a frame holds several. */
export const envelope = (topic: string, symbol?: string): Envelope => ({
  head: textFields([[1, topic], [3, symbol]]),
  timeField: 6
})

/** As captured: klines have the symbol's id and the time they were made. */
export const klineEnvelope = (topic: string, symbol: string, symbolId: string): Envelope => ({
  head: textFields([[1, topic], [3, symbol], [4, symbolId]]),
  timeField: 5
})

/** What a mini ticker says, decimals as texts. */
export interface MiniTicker {
  readonly symbol: string
  readonly price: string
  /** Since midnight at UTC+8. */
  readonly rate: string
  /** Since midnight in the topic's zone, or in 24 hours. */
  readonly zonedRate: string
  readonly high: string
  readonly low: string
  /** In quote, despite its name. */
  readonly volume: string
  /** In base. */
  readonly quantity: string
}

/** The fields of the last close are sent, and documented by name only; here they repeat the others. */
const writeMiniTicker = ({ high, low, price, quantity, rate, symbol, volume, zonedRate }: MiniTicker): void => {
  const bytes = textEncoder.encode(symbol)
  reserve(bytes.length + 6)
  scratch[written++] = 0x0a
  written = putVarint(scratch, written, bytes.length)
  scratch.set(bytes, written)
  written += bytes.length
  const fields = [price, rate, zonedRate, high, low, volume, quantity, rate, zonedRate, high, low]
  fields.forEach((text, index) => writeText((index + 2) * 8 + 2, trimmed(text)))
}

/** PublicBookTickerBatchV3Api: all have the version and the time of the last one. Never of none. */
const writeBatch = (tickers: ReadonlyArray<WorldTicker>): void => {
  for (const ticker of tickers) {
    const mark = begin(0x0a)
    writeBest(ticker)
    finish(mark)
  }
  const { time, version } = tickers.at(-1)!
  writeText(0x12, String(version))
  writeInteger(0x18, time)
}

/** PublicLimitDepthsV3Api. */
const writeBook = (book: WorldBook, eventType: string): void => {
  for (const level of book.asks) writeLevel(0x0a, level)
  for (const level of book.bids) writeLevel(0x12, level)
  writeText(0x1a, eventType)
  writeText(0x22, String(book.version))
  writeInteger(0x28, book.time)
}

/** PublicSpotKlineV3Api: open, close, high, low, in this order; windows in s. */
const writeKline = (kline: WorldKline, interval: string): void => {
  writeText(0x0a, interval)
  writeInteger(0x10, kline.openTime / 1_000)
  writeText(0x1a, trimmed(kline.open))
  writeText(0x22, trimmed(kline.close))
  writeText(0x2a, trimmed(kline.high))
  writeText(0x32, trimmed(kline.low))
  writeText(0x3a, trimmed(kline.baseVolume))
  writeText(0x42, trimmed(kline.quoteVolume))
  writeInteger(0x48, kline.closeTime / 1_000)
}

/** An order as it is pushed, decimals as texts. */
export interface PushedOrder {
  readonly id: string
  readonly clientId: string | null
  readonly price: string
  /** Base. */
  readonly quantity: string
  /** Quote. */
  readonly amount: string
  /** Null while nothing is filled: not on the wire then. */
  readonly avgPrice: string | null
  /** 1 LIMIT, 2 POST_ONLY, 3 IOC, 4 FOK, 5 MARKET. */
  readonly orderType: number
  readonly side: "buy" | "sell"
  /** Of the last fill. */
  readonly isMaker: boolean
  readonly remainAmount: string
  readonly remainQuantity: string
  readonly lastDealQuantity: string | null
  readonly cumulativeQuantity: string
  readonly cumulativeAmount: string
  /** 1 not traded, 2 fully, 3 partially, 4 cancelled, 5 partially cancelled. */
  readonly status: number
  readonly createTime: number
}

const decimal = (text: string | null): string | null => text === null ? null : trimmed(text)

/** PrivateOrdersV3Api. */
const writeOrder = (order: PushedOrder): void => {
  writeField(1, order.id)
  writeField(2, order.clientId)
  writeField(3, trimmed(order.price))
  writeField(4, trimmed(order.quantity))
  writeField(5, trimmed(order.amount))
  writeField(6, decimal(order.avgPrice))
  writeNumber(7, order.orderType)
  writeNumber(8, order.side === "buy" ? 1 : 2)
  writeNumber(9, order.isMaker ? 1 : 0)
  writeField(10, trimmed(order.remainAmount))
  writeField(11, trimmed(order.remainQuantity))
  writeField(12, decimal(order.lastDealQuantity))
  writeField(13, trimmed(order.cumulativeQuantity))
  writeField(14, trimmed(order.cumulativeAmount))
  writeNumber(15, order.status)
  writeNumber(16, order.createTime)
}

export interface PushedDeal {
  readonly price: string
  /** Base. */
  readonly quantity: string
  /** Quote. */
  readonly amount: string
  readonly side: "buy" | "sell"
  readonly isMaker: boolean
  readonly isSelfTrade: boolean
  readonly tradeId: string
  readonly clientOrderId: string | null
  readonly orderId: string
  readonly feeAmount: string
  readonly feeCurrency: string
  readonly time: number
}

/** PrivateDealsV3Api. */
const writeDeal = (deal: PushedDeal): void => {
  writeField(1, trimmed(deal.price))
  writeField(2, trimmed(deal.quantity))
  writeField(3, trimmed(deal.amount))
  writeNumber(4, deal.side === "buy" ? 1 : 2)
  writeNumber(5, deal.isMaker ? 1 : 0)
  writeNumber(6, deal.isSelfTrade ? 1 : 0)
  writeField(7, deal.tradeId)
  writeField(8, deal.clientOrderId)
  writeField(9, deal.orderId)
  writeField(10, trimmed(deal.feeAmount))
  writeField(11, deal.feeCurrency)
  writeNumber(12, deal.time)
}

export interface PushedBalance {
  readonly asset: string
  readonly coinId: string
  /** Available, not all of it. */
  readonly balance: string
  readonly balanceChange: string
  readonly frozen: string
  readonly frozenChange: string
  readonly type: string
  readonly time: number
}

/** PrivateAccountV3Api. */
const writeBalance = (balance: PushedBalance): void => {
  writeField(1, balance.asset)
  writeField(2, balance.coinId)
  writeField(3, trimmed(balance.balance))
  writeField(4, trimmed(balance.balanceChange))
  writeField(5, trimmed(balance.frozen))
  writeField(6, trimmed(balance.frozenChange))
  writeField(7, balance.type)
  writeNumber(8, balance.time)
}

const framed = (of: Envelope, time: number, field: number, write: () => void): Uint8Array => {
  written = 0
  write()
  return wrap(of, time, field)
}

export const bookTickerFrame = (of: Envelope, time: number, ticker: WorldTicker): Uint8Array =>
  framed(of, time, bodies.bookTicker, () => writeTicker(ticker))

export const batchFrame = (of: Envelope, time: number, tickers: ReadonlyArray<WorldTicker>): Uint8Array =>
  framed(of, time, bodies.bookTickerBatch, () => writeBatch(tickers))

export const dealsFrame = (
  of: Envelope,
  time: number,
  trades: ReadonlyArray<WorldTrade>,
  eventType: string
): Uint8Array => framed(of, time, bodies.deals, () => writeDeals(trades, eventType))

export const depthFrame = (of: Envelope, time: number, delta: WorldDelta, eventType: string): Uint8Array =>
  framed(of, time, bodies.depth, () => writeDepth(delta, eventType))

export const limitDepthFrame = (of: Envelope, time: number, book: WorldBook, eventType: string): Uint8Array =>
  framed(of, time, bodies.limitDepth, () => writeBook(book, eventType))

export const klineFrame = (of: Envelope, time: number, kline: WorldKline, interval: string): Uint8Array =>
  framed(of, time, bodies.kline, () => writeKline(kline, interval))

export const miniTickerFrame = (of: Envelope, time: number, ticker: MiniTicker): Uint8Array =>
  framed(of, time, bodies.miniTicker, () => writeMiniTicker(ticker))

export const miniTickersFrame = (of: Envelope, time: number, tickers: ReadonlyArray<MiniTicker>): Uint8Array =>
  framed(of, time, bodies.miniTickers, () => {
    for (const ticker of tickers) {
      const mark = begin(0x0a)
      writeMiniTicker(ticker)
      finish(mark)
    }
  })

export const orderFrame = (of: Envelope, time: number, order: PushedOrder): Uint8Array =>
  framed(of, time, bodies.privateOrders, () => writeOrder(order))

export const dealFrame = (of: Envelope, time: number, deal: PushedDeal): Uint8Array =>
  framed(of, time, bodies.privateDeals, () => writeDeal(deal))

/** As captured: the wrapper has no symbol, and the time it was made beside the time it was sent. */
export const balanceFrame = (topic: string, time: number, balance: PushedBalance): Uint8Array => {
  const made = Math.floor(balance.time)
  const createTime = new Uint8Array(1 + sizeOfVarint(made))
  createTime[0] = 5 * 8
  putVarint(createTime, 1, made)
  const channel = textFields([[1, topic]])
  const head = new Uint8Array(channel.length + createTime.length)
  head.set(channel)
  head.set(createTime, channel.length)
  return framed({ head, timeField: 6 }, time, bodies.privateAccount, () => writeBalance(balance))
}
