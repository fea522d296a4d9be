/** What a careful user would write without this library: `JSON.parse` or protobufjs, and objects of the same shape. */
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { BookTicker, BookUpdate, FuturesTicker, MarketEvent, Ticker, Trade } from "../../src/domain/Market.ts"
import type { ExchangeName } from "./Protocol.ts"

/** Null for frames without data. */
export type Decode = (frame: Buffer, receivedAt: number) => MarketEvent | null

const fraction = (percent: string): number => 0 + Number(`${percent}e-2`)

// ---- Gate -----------------------------------------------------------------------------------------------------------

type Row = readonly [string, string] | { readonly p: string; readonly s: string | number }
type Rows = ReadonlyArray<Row>

const flat = (rows: Rows | undefined): ReadonlyArray<number> => {
  const levels: Array<number> = []
  for (const row of rows ?? []) {
    if ("p" in row) levels.push(Number(row.p), Number(row.s))
    else levels.push(Number(row[0]), Number(row[1]))
  }
  return levels
}

/** The fields of all results; which are there, the channel says. */
export interface GateResult {
  readonly t: number
  readonly s: string
  readonly u: number
  readonly U: number
  readonly full?: boolean
  readonly b: string & Rows
  readonly B: string
  readonly a: string & Rows
  readonly A: string
  readonly id: number
  readonly price: string
  readonly amount: string
  readonly side: "buy" | "sell"
  readonly size: string | number
  readonly contract: string
  readonly currency_pair: string
  readonly create_time_ms: string | number
  readonly [field: string]: unknown
}

export interface GateFrame {
  readonly channel: string
  readonly event: string
  readonly time_ms: number
  readonly result: GateResult
}

interface Product {
  readonly pairOf: (name: string) => TradingPair
  readonly contractSize: number
}

const spot: Product = {
  pairOf: (name) => {
    const [base = "", quote = ""] = name.split("_")
    return `${base}/${quote}`
  },
  contractSize: 1
}

/** Of every contract of the benchmark. */
export const contractSize = 0.0001

const futures: Product = {
  pairOf: (name) => {
    const [base = "", quote = ""] = name.split("_")
    return `${base}/${quote}:${quote}`
  },
  contractSize
}

/** From a frame that has been parsed, which is what `gateio-api` hands over. */
export const gateEvent = (frame: GateFrame, receivedAt: number): MarketEvent | null => {
  const { channel, event } = frame
  if (event !== "update") return null
  const product = channel.startsWith("futures.") ? futures : spot
  switch (channel.slice(channel.indexOf(".") + 1)) {
    case "book_ticker":
      return gateTicker(frame.result, product, receivedAt)
    case "obu":
    case "order_book_update":
      return gateBook(channel, frame.result, product, receivedAt)
    case "trades":
      return product === spot ? spotTrade(frame.result, receivedAt) : futuresTrade(frame.result, receivedAt)
    case "tickers":
      return product === spot ? spotDay(frame, receivedAt) : futuresDay(frame, receivedAt)
    default:
      return null
  }
}

const gateTicker = (result: GateResult, product: Product, receivedAt: number): BookTicker => ({
  _tag: "BookTicker",
  pair: product.pairOf(result.s),
  symbol: result.s,
  bidPrice: Number(result.b),
  bidQuantity: Number(result.B),
  askPrice: Number(result.a),
  askQuantity: Number(result.A),
  version: result.u,
  exchangeTime: result.t,
  receivedAt,
  contractSize: product.contractSize,
  exact: null
})

const gateBook = (channel: string, result: GateResult, product: Product, receivedAt: number): BookUpdate => {
  const symbol = channel.endsWith(".obu") ? result.s.split(".")[1]! : result.s
  return {
    _tag: "BookUpdate",
    kind: result.full === true ? "snapshot" : "delta",
    pair: product.pairOf(symbol),
    symbol,
    bids: flat(result.b),
    asks: flat(result.a),
    firstVersion: result.U ?? result.u,
    version: result.u,
    exchangeTime: result.t,
    receivedAt,
    contractSize: product.contractSize,
    exact: null
  }
}

const spotTrade = (result: GateResult, receivedAt: number): Trade => ({
  _tag: "Trade",
  pair: spot.pairOf(result.currency_pair),
  symbol: result.currency_pair,
  id: String(result.id),
  price: Number(result.price),
  quantity: Number(result.amount),
  side: result.side,
  exchangeTime: Number(result.create_time_ms),
  receivedAt,
  contractSize: 1,
  exact: null
})

/** One trade a frame here. */
const futuresTrade = (results: GateResult, receivedAt: number): Trade => {
  const [result] = results as unknown as ReadonlyArray<GateResult>
  const { contract, create_time_ms: time, id, price, size } = result!
  const signed = Number(size)
  return {
    _tag: "Trade",
    pair: futures.pairOf(contract),
    symbol: contract,
    id: String(id),
    price: Number(price),
    quantity: Math.abs(signed),
    side: signed < 0 ? "sell" : "buy",
    exchangeTime: Number(time),
    receivedAt,
    contractSize,
    exact: null
  }
}

const spotDay = ({ result, time_ms: exchangeTime }: GateFrame, receivedAt: number): Ticker => ({
  _tag: "Ticker",
  pair: spot.pairOf(result.currency_pair),
  symbol: result.currency_pair,
  lastPrice: Number(result["last"]),
  bidPrice: Number(result["highest_bid"]),
  askPrice: Number(result["lowest_ask"]),
  highPrice: Number(result["high_24h"]),
  lowPrice: Number(result["low_24h"]),
  change: fraction(String(result["change_percentage"])),
  baseVolume: Number(result["base_volume"]),
  quoteVolume: Number(result["quote_volume"]),
  exchangeTime,
  receivedAt,
  exact: null
})

const futuresDay = (frame: GateFrame, receivedAt: number): FuturesTicker => {
  const [result] = frame.result as unknown as ReadonlyArray<GateResult>
  const number = (field: string): number => Number(result![field])
  return {
    _tag: "FuturesTicker",
    pair: futures.pairOf(result!.contract),
    symbol: result!.contract,
    lastPrice: number("last"),
    markPrice: number("mark_price"),
    indexPrice: number("index_price"),
    fundingRate: number("funding_rate"),
    nextFundingTime: number("funding_next_apply") * 1000,
    fundingInterval: number("funding_interval") * 1000,
    openInterest: number("total_size"),
    highPrice: number("high_24h"),
    lowPrice: number("low_24h"),
    change: fraction(String(result!["change_percentage"])),
    contractVolume: number("volume_24h"),
    baseVolume: number("volume_24h_base"),
    quoteVolume: number("volume_24h_quote"),
    exchangeTime: result!.t,
    receivedAt,
    contractSize,
    exact: null
  }
}

const gate: Decode = (frame, receivedAt) => gateEvent(JSON.parse(frame.toString()) as GateFrame, receivedAt)

// ---- MEXC -----------------------------------------------------------------------------------------------------------

interface MexcLevel {
  readonly price: string
  readonly quantity: string
}

interface MexcFrame {
  readonly symbol: string
  readonly sendTime: Long
  readonly createTime: Long | null
  readonly publicAggreBookTicker?: {
    readonly bidPrice: string
    readonly bidQuantity: string
    readonly askPrice: string
    readonly askQuantity: string
    readonly version: string
  } | null
  readonly publicAggreDepths?: {
    readonly bids: ReadonlyArray<MexcLevel>
    readonly asks: ReadonlyArray<MexcLevel>
    readonly fromVersion: string
    readonly toVersion: string
  } | null
  readonly publicAggreDeals?: {
    readonly deals: ReadonlyArray<
      MexcLevel & { readonly tradeType: number; readonly time: Long; readonly tradeId: string }
    >
  } | null
  readonly publicMiniTicker?: {
    readonly price: string
    readonly zonedRate: string
    readonly high: string
    readonly low: string
    readonly volume: string
    readonly quantity: string
  } | null
}

type Long = number | { readonly toNumber: () => number }

const flatLevels = (levels: ReadonlyArray<MexcLevel>): ReadonlyArray<number> => {
  const result: Array<number> = []
  for (const { price, quantity } of levels) result.push(Number(price), Number(quantity))
  return result
}

const numberOf = (value: Long): number => typeof value === "number" ? value : value.toNumber()

/** The one that is there. */
const timeOf = ({ createTime, sendTime }: MexcFrame): number =>
  numberOf(sendTime) === 0 && createTime !== null ? numberOf(createTime) : numberOf(sendTime)

const mexcPair = (symbol: string): TradingPair => `${symbol.slice(0, -4)}/${symbol.slice(-4)}`

const isThere = <A>(value: A | null | undefined): value is A => value !== null && value !== undefined

const mexcTicker = (
  { symbol, ...frame }: MexcFrame,
  ticker: NonNullable<MexcFrame["publicAggreBookTicker"]>,
  receivedAt: number
): BookTicker => ({
  _tag: "BookTicker",
  pair: mexcPair(symbol),
  symbol,
  bidPrice: Number(ticker.bidPrice),
  bidQuantity: Number(ticker.bidQuantity),
  askPrice: Number(ticker.askPrice),
  askQuantity: Number(ticker.askQuantity),
  version: Number(ticker.version),
  exchangeTime: numberOf(frame.sendTime),
  receivedAt,
  contractSize: 1,
  exact: null
})

const mexcBook = (
  { sendTime, symbol }: MexcFrame,
  depths: NonNullable<MexcFrame["publicAggreDepths"]>,
  receivedAt: number
): BookUpdate => ({
  _tag: "BookUpdate",
  kind: "delta",
  pair: mexcPair(symbol),
  symbol,
  bids: flatLevels(depths.bids),
  asks: flatLevels(depths.asks),
  firstVersion: Number(depths.fromVersion),
  version: Number(depths.toVersion),
  exchangeTime: numberOf(sendTime),
  receivedAt,
  contractSize: 1,
  exact: null
})

/** One trade a frame here. */
const mexcTrade = (
  { symbol }: MexcFrame,
  { deals }: NonNullable<MexcFrame["publicAggreDeals"]>,
  receivedAt: number
): Trade | null => {
  const [deal] = deals
  return deal === undefined ? null : {
    _tag: "Trade",
    pair: mexcPair(symbol),
    symbol,
    id: deal.tradeId,
    price: Number(deal.price),
    quantity: Number(deal.quantity),
    side: deal.tradeType === 1 ? "buy" : "sell",
    exchangeTime: numberOf(deal.time),
    receivedAt,
    contractSize: 1,
    exact: null
  }
}

const mexcDay = (
  frame: MexcFrame,
  ticker: NonNullable<MexcFrame["publicMiniTicker"]>,
  receivedAt: number
): Ticker => ({
  _tag: "Ticker",
  pair: mexcPair(frame.symbol),
  symbol: frame.symbol,
  lastPrice: Number(ticker.price),
  bidPrice: null,
  askPrice: null,
  highPrice: Number(ticker.high),
  lowPrice: Number(ticker.low),
  change: 0 + Number(ticker.zonedRate),
  baseVolume: Number(ticker.quantity),
  quoteVolume: Number(ticker.volume),
  exchangeTime: timeOf(frame),
  receivedAt,
  exact: null
})

const mexcEvent = (frame: MexcFrame, receivedAt: number): MarketEvent | null => {
  const { publicAggreBookTicker: ticker, publicAggreDeals: deals, publicAggreDepths: depths, publicMiniTicker: day } =
    frame
  if (isThere(ticker)) return mexcTicker(frame, ticker, receivedAt)
  if (isThere(depths)) return mexcBook(frame, depths, receivedAt)
  if (isThere(deals)) return mexcTrade(frame, deals, receivedAt)
  return isThere(day) ? mexcDay(frame, day, receivedAt) : null
}

/** The decoder of an exchange; the schema of protobuf is loaded for MEXC only. */
export const decoderOf = async (exchange: ExchangeName): Promise<Decode> => {
  if (exchange !== "mexc-spot") return gate
  const { wrapper } = await import("../../src/exchanges/mexc/MexcSchema.ts")
  const type = wrapper()
  return (frame, receivedAt) =>
    frame[0] === 123 ? null : mexcEvent(type.decode(frame) as unknown as MexcFrame, receivedAt)
}
