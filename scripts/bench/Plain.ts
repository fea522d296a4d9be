/** What a careful user would write without this library: `JSON.parse` or protobufjs, and objects of the same shape. */
import type { BookTicker, BookUpdate, MarketEvent } from "../../src/domain/Market.ts"
import * as MexcSchema from "../../src/exchanges/mexc/MexcSchema.ts"

type Rows = ReadonlyArray<readonly [string, string]>

const flat = (rows: Rows | undefined): ReadonlyArray<number> => {
  const levels: Array<number> = []
  for (const [price, quantity] of rows ?? []) levels.push(Number(price), Number(quantity))
  return levels
}

interface GateFrame {
  readonly channel: string
  readonly event: string
  readonly result: {
    readonly t: number
    readonly s: string
    readonly u: number
    readonly U: number
    readonly full?: boolean
    readonly b: string & Rows
    readonly B: string
    readonly a: string & Rows
    readonly A: string
  }
}

const pairOf = (name: string): `${string}/${string}` => {
  const [base = "", quote = ""] = name.split("_")
  return `${base}/${quote}`
}

/** Null for frames without data. */
export const gate = (frame: Buffer, receivedAt: number): MarketEvent | null => {
  const { channel, event, result } = JSON.parse(frame.toString()) as GateFrame
  if (event !== "update") return null
  return channel === "spot.book_ticker" ? gateTicker(result, receivedAt) : gateBook(channel, result, receivedAt)
}

const gateTicker = (result: GateFrame["result"], receivedAt: number): BookTicker => ({
  _tag: "BookTicker",
  pair: pairOf(result.s),
  symbol: result.s,
  bidPrice: Number(result.b),
  bidQuantity: Number(result.B),
  askPrice: Number(result.a),
  askQuantity: Number(result.A),
  version: result.u,
  exchangeTime: result.t,
  receivedAt,
  contractSize: 1,
  exact: null
})

const gateBook = (channel: string, result: GateFrame["result"], receivedAt: number): BookUpdate => {
  const symbol = channel === "spot.obu" ? result.s.split(".")[1]! : result.s
  return {
    _tag: "BookUpdate",
    kind: result.full === true ? "snapshot" : "delta",
    pair: pairOf(symbol),
    symbol,
    bids: flat(result.b),
    asks: flat(result.a),
    firstVersion: result.U ?? result.u,
    version: result.u,
    exchangeTime: result.t,
    receivedAt,
    contractSize: 1,
    exact: null
  }
}

interface MexcLevel {
  readonly price: string
  readonly quantity: string
}

interface MexcFrame {
  readonly symbol: string
  readonly sendTime: number | { readonly toNumber: () => number }
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
}

const flatLevels = (levels: ReadonlyArray<MexcLevel>): ReadonlyArray<number> => {
  const result: Array<number> = []
  for (const { price, quantity } of levels) result.push(Number(price), Number(quantity))
  return result
}

const millis = (time: MexcFrame["sendTime"]): number => typeof time === "number" ? time : time.toNumber()

const mexcPair = (symbol: string): `${string}/${string}` => `${symbol.slice(0, -4)}/${symbol.slice(-4)}`

/** Null for frames without data. */
export const mexc = (frame: Buffer, receivedAt: number): MarketEvent | null => {
  if (frame[0] === 123) return null
  const { publicAggreBookTicker: ticker, publicAggreDepths: depths, sendTime, symbol } = MexcSchema.wrapper()
    .decode(frame) as unknown as MexcFrame
  if (ticker !== null && ticker !== undefined) {
    return {
      _tag: "BookTicker",
      pair: mexcPair(symbol),
      symbol,
      bidPrice: Number(ticker.bidPrice),
      bidQuantity: Number(ticker.bidQuantity),
      askPrice: Number(ticker.askPrice),
      askQuantity: Number(ticker.askQuantity),
      version: Number(ticker.version),
      exchangeTime: millis(sendTime),
      receivedAt,
      contractSize: 1,
      exact: null
    }
  }
  if (depths === null || depths === undefined) return null
  return {
    _tag: "BookUpdate",
    kind: "delta",
    pair: mexcPair(symbol),
    symbol,
    bids: flatLevels(depths.bids),
    asks: flatLevels(depths.asks),
    firstVersion: Number(depths.fromVersion),
    version: Number(depths.toVersion),
    exchangeTime: millis(sendTime),
    receivedAt,
    contractSize: 1,
    exact: null
  }
}

export const decoderOf = (exchange: string): typeof gate => exchange === "mexc-spot" ? mexc : gate
