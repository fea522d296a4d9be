import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import type {
  BookTicker,
  BookUpdate,
  Kline,
  KlineInterval,
  MarketEvent,
  Ticker,
  Trade
} from "../../src/domain/Market.ts"
import * as Numeric from "../../src/domain/Numeric.ts"
import type * as Sequence from "../../src/domain/Sequence.ts"
import * as MexcSchema from "../../src/exchanges/mexc/MexcSchema.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import * as MexcWire from "../../src/exchanges/mexc/MexcWire.ts"
import type { AggreTag } from "./MexcFrames.ts"
import {
  bytesOf,
  channelOf,
  concat,
  decode,
  encode,
  eventsOf,
  field,
  makeSubject,
  pairOfSymbol,
  receivedAt,
  RecordingSink,
  tagsOf,
  varint,
  varintField
} from "./MexcFrames.ts"

// ---- random messages ------------------------------------------------------------------------------------------------

const int = (minimum: number, maximum: number) => Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum, maximum })))

/** A plain decimal, often padded with zeros, sometimes with more digits than a double holds. */
const decimal = Arbitrary.map(
  Arbitrary.schema(Schema.Tuple([int(0, 2 ** 40), int(0, 2 ** 50), int(0, 20), int(0, 3)])),
  ([whole, fraction, decimals, zeros]) =>
    decimals === 0 ? String(whole) : `${whole}.${"0".repeat(zeros)}${String(fraction).slice(0, decimals)}`
)

const positive = Arbitrary.map(decimal, (text) => (Number(text) > 0 ? text : `1${text}`))

const time = Arbitrary.schema(int(1, Number.MAX_SAFE_INTEGER))

const version = Arbitrary.map(
  Arbitrary.schema(Schema.Tuple([int(0, Number.MAX_SAFE_INTEGER), int(0, 9)])),
  ([high, low]) => `${high}${low}`.replace(/^0+(?=\d)/, "")
)

const symbol = Arbitrary.schema(Schema.Literals(["BTCUSDT", "1000PEPEUSDT", "龙虾USDT", "XUSDC", "ABC"]))

const wrapper = { symbol, sendTime: time, named: Arbitrary.schema(Schema.Boolean) }

/** Text that UTF-8 can carry, of every length modulo eight. */
const words = Arbitrary.map(
  Arbitrary.schema(Schema.Tuple([Schema.String, int(0, 45)])),
  ([text, length]) => "7302924254314373X0_".repeat(3).slice(0, length) + Buffer.from(text).toString()
)

const level = Arbitrary.all({ price: positive, quantity: decimal })

const tickerBody = Arbitrary.all({
  bidPrice: positive,
  bidQuantity: decimal,
  askPrice: positive,
  askQuantity: decimal,
  version,
  lastOrderCreateTime: time
})

const depthBody = Arbitrary.map(
  Arbitrary.all({
    asks: Arbitrary.array(level, { maxLength: 12 }),
    bids: Arbitrary.array(level, { maxLength: 12 }),
    eventType: words,
    versions: Arbitrary.all([version, version])
  }),
  ({ versions, ...body }) => {
    const [fromVersion, toVersion] = versions.toSorted((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1))
    return { ...body, fromVersion, toVersion }
  }
)

const dealsBody = Arbitrary.all({
  deals: Arbitrary.array(
    Arbitrary.all({
      price: positive,
      quantity: positive,
      tradeType: Arbitrary.schema(Schema.Literals([1, 2])),
      time,
      tradeId: words
    }),
    { minLength: 1, maxLength: 12 }
  ),
  eventType: words
})

const limitBody = Arbitrary.all({
  asks: Arbitrary.array(level, { maxLength: 12 }),
  bids: Arbitrary.array(level, { maxLength: 12 }),
  eventType: words,
  version,
  lastOrderCreateTime: time
})

const quote = Arbitrary.all({ bidPrice: positive, bidQuantity: decimal, askPrice: positive, askQuantity: decimal })

const batchBody = Arbitrary.all({
  items: Arbitrary.array(quote, { minLength: 1, maxLength: 6 }),
  version,
  lastOrderCreateTime: time
})

const signed = Arbitrary.map(
  Arbitrary.all([decimal, Arbitrary.schema(Schema.Boolean)]),
  ([text, negative]) => (negative ? `-${text}` : text)
)

const tickerFields = {
  price: positive,
  rate: signed,
  zonedRate: signed,
  high: positive,
  low: positive,
  volume: decimal,
  quantity: decimal,
  lastCloseRate: signed
}

const miniTickerBody = Arbitrary.all(tickerFields)

const miniTickersBody = Arbitrary.all({
  items: Arbitrary.array(Arbitrary.all({ symbol, ...tickerFields }), { minLength: 1, maxLength: 6 })
})

const intervals: Readonly<Record<string, KlineInterval>> = { Min1: "1m", Min60: "1h", Hour8: "8h", Month1: "1M" }

const klineBody = Arbitrary.map(
  Arbitrary.all({
    interval: Arbitrary.schema(Schema.Literals(["Min1", "Min60", "Hour8", "Month1"])),
    windowStart: Arbitrary.schema(int(1, 2 ** 40)),
    seconds: Arbitrary.schema(int(1, 2_678_400)),
    openingPrice: positive,
    closingPrice: positive,
    highestPrice: positive,
    lowestPrice: positive,
    volume: decimal,
    amount: decimal
  }),
  ({ seconds, ...body }) => ({ ...body, windowEnd: body.windowStart + seconds })
)

interface Wrapper {
  readonly symbol: string
  readonly sendTime: number
  readonly named: boolean
}

const messageOf = (channel: string, name: string, { symbol: wireSymbol, sendTime, named }: Wrapper, body: object) => ({
  channel,
  ...(named ? { symbol: wireSymbol } : {}),
  sendTime,
  [name]: body
})

const message = (tag: AggreTag, name: string, about: Wrapper, body: object) =>
  messageOf(channelOf(tag, about.symbol), name, about, body)

// ---- what protobufjs makes of them ----------------------------------------------------------------------------------

interface Decoded {
  readonly channel: string
  readonly sendTime?: string
  readonly createTime?: string
  readonly publicAggreBookTicker?: Readonly<Record<string, string>>
  readonly publicAggreDepths?: {
    readonly asks: ReadonlyArray<Readonly<Record<string, string>>>
    readonly bids: ReadonlyArray<Readonly<Record<string, string>>>
    readonly fromVersion: string
    readonly toVersion: string
  }
  readonly publicAggreDeals?: { readonly deals: ReadonlyArray<Fields> }
  readonly publicLimitDepths?: {
    readonly asks: ReadonlyArray<Fields>
    readonly bids: ReadonlyArray<Fields>
    readonly version: string
  }
  readonly publicSpotKline?: Fields
  readonly publicMiniTicker?: Fields
  readonly publicMiniTickers?: { readonly items: ReadonlyArray<Fields> }
  readonly publicBookTickerBatch?: { readonly items: ReadonlyArray<Fields>; readonly version: string }
}

type Fields = Readonly<Record<string, string>>

/** The whole frame by the library alone. */
const generic = (frame: Uint8Array): Decoded => {
  const type = MexcSchema.wrapper()
  return type.toObject(type.decode(frame), { longs: String, defaults: false, arrays: true }) as Decoded
}

const digitsOf = (text: string): number => {
  const digits = text.replace("-", "").replace(".", "").replace(/^0+/, "")
  return (text.includes(".") ? digits.replace(/0+$/, "") : digits).length
}

const exactOf = (fields: Readonly<Record<string, string>>): Readonly<Record<string, string>> | null => {
  const long = Object.entries(fields).filter(([, text]) => digitsOf(text) > 15)
  return long.length === 0 ? null : Object.fromEntries(long)
}

const about = ({ channel }: Decoded) => {
  const [, , first = "", last = first] = channel.split("@")
  const symbolOf = channel.includes(".aggre.") ? last : first
  return { pair: pairOfSymbol(symbolOf), symbol: symbolOf, receivedAt }
}

const versionOf = (text: string): Sequence.Sequence => {
  const value = BigInt(text)
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
}

const timeOf = ({ sendTime, createTime }: Decoded): number => Number(sendTime ?? createTime)

const quoteOf = (decoded: Decoded, fields: Fields, text: string): BookTicker => {
  const { bidPrice = "", bidQuantity = "", askPrice = "", askQuantity = "" } = fields
  return {
    _tag: "BookTicker",
    ...about(decoded),
    bidPrice: Number(bidPrice),
    bidQuantity: Number(bidQuantity),
    askPrice: Number(askPrice),
    askQuantity: Number(askQuantity),
    version: versionOf(text),
    exchangeTime: timeOf(decoded),
    contractSize: 1,
    exact: exactOf({ bidPrice, bidQuantity, askPrice, askQuantity })
  }
}

const tickerOf = (decoded: Decoded): BookTicker =>
  quoteOf(decoded, decoded.publicAggreBookTicker!, decoded.publicAggreBookTicker!["version"]!)

const batchOf = (decoded: Decoded): ReadonlyArray<BookTicker> => {
  const { items, version: text } = decoded.publicBookTickerBatch!
  return items.map((item) => quoteOf(decoded, item, text))
}

const miniTickerOf = (decoded: Decoded, fields: Fields, symbolOf: string): Ticker => {
  const { high = "", low = "", price = "", quantity = "", volume = "", zonedRate = "" } = fields
  return {
    _tag: "Ticker",
    symbol: symbolOf,
    pair: pairOfSymbol(symbolOf),
    receivedAt,
    lastPrice: Number(price),
    bidPrice: null,
    askPrice: null,
    highPrice: Number(high),
    lowPrice: Number(low),
    change: Number(zonedRate) + 0,
    baseVolume: Number(quantity),
    quoteVolume: Number(volume),
    exchangeTime: timeOf(decoded),
    exact: exactOf({
      lastPrice: price,
      highPrice: high,
      lowPrice: low,
      change: zonedRate,
      baseVolume: quantity,
      quoteVolume: volume
    })
  }
}

const klineOf = (decoded: Decoded): Kline => {
  const { amount = "", closingPrice = "", highestPrice = "", interval = "", lowestPrice = "", openingPrice = "" } =
    decoded.publicSpotKline!
  const { volume = "", windowEnd, windowStart } = decoded.publicSpotKline!
  return {
    _tag: "Kline",
    ...about(decoded),
    interval: intervals[interval]!,
    price: "last",
    openTime: Number(windowStart) * 1000,
    closeTime: Number(windowEnd) * 1000,
    open: Number(openingPrice),
    high: Number(highestPrice),
    low: Number(lowestPrice),
    close: Number(closingPrice),
    baseVolume: Number(volume),
    quoteVolume: Number(amount),
    contractVolume: null,
    closed: null,
    exchangeTime: timeOf(decoded),
    exact: exactOf({
      open: openingPrice,
      high: highestPrice,
      low: lowestPrice,
      close: closingPrice,
      baseVolume: volume,
      quoteVolume: amount
    })
  }
}

const flatOf = (levels: ReadonlyArray<Readonly<Record<string, string>>>): ReadonlyArray<string> =>
  levels.flatMap(({ price = "", quantity = "" }) => [price, quantity])

const updateOf = (decoded: Decoded): BookUpdate => {
  const limited = decoded.publicLimitDepths
  const { asks, bids, fromVersion, toVersion } = limited === undefined
    ? decoded.publicAggreDepths!
    : { ...limited, fromVersion: limited.version, toVersion: limited.version }
  const named = (side: string, flat: ReadonlyArray<string>) => flat.map((text, i) => [`${side}[${i}]`, text] as const)
  return {
    _tag: "BookUpdate",
    kind: limited === undefined ? "delta" : "snapshot",
    ...about(decoded),
    bids: flatOf(bids).map(Number),
    asks: flatOf(asks).map(Number),
    firstVersion: versionOf(fromVersion),
    version: versionOf(toVersion),
    exchangeTime: timeOf(decoded),
    contractSize: 1,
    exact: exactOf(Object.fromEntries([...named("asks", flatOf(asks)), ...named("bids", flatOf(bids))]))
  }
}

const tradesOf = (decoded: Decoded): ReadonlyArray<Trade> =>
  decoded.publicAggreDeals!.deals.map(({ price = "", quantity = "", tradeType, time: millis, tradeId }) => ({
    _tag: "Trade",
    ...about(decoded),
    id: tradeId === undefined || tradeId === "" ? null : tradeId,
    price: Number(price),
    quantity: Number(quantity),
    side: Number(tradeType) === 1 ? "buy" : "sell",
    exchangeTime: Number(millis),
    contractSize: 1,
    exact: exactOf({ price, quantity })
  }))

const expectedEvents = (frame: Uint8Array): ReadonlyArray<MarketEvent> => {
  const decoded = generic(frame)
  const { publicMiniTicker, publicMiniTickers } = decoded
  if (decoded.publicAggreBookTicker !== undefined) return [tickerOf(decoded)]
  if (decoded.publicBookTickerBatch !== undefined) return batchOf(decoded)
  if (decoded.publicSpotKline !== undefined) return [klineOf(decoded)]
  if (publicMiniTicker !== undefined) return [miniTickerOf(decoded, publicMiniTicker, about(decoded).symbol)]
  if (publicMiniTickers !== undefined) {
    return publicMiniTickers.items.map((item) => miniTickerOf(decoded, item, item["symbol"]!))
  }
  return decoded.publicAggreDeals === undefined ? [updateOf(decoded)] : tradesOf(decoded)
}

// ---- frames ---------------------------------------------------------------------------------------------------------

const tickerFrame = Arbitrary.map(
  Arbitrary.all({ ...wrapper, body: tickerBody }),
  ({ body, ...rest }) => encode(message("BookTicker", "publicAggreBookTicker", rest, body))
)
const depthFrame = Arbitrary.map(
  Arbitrary.all({ ...wrapper, body: depthBody }),
  ({ body, ...rest }) => encode(message("Book", "publicAggreDepths", rest, body))
)
const dealsFrame = Arbitrary.map(
  Arbitrary.all({ ...wrapper, body: dealsBody }),
  ({ body, ...rest }) => encode(message("Trades", "publicAggreDeals", rest, body))
)
const limitFrame = Arbitrary.map(
  Arbitrary.all({ ...wrapper, body: limitBody }),
  ({ body, ...rest }) =>
    encode(messageOf(`spot@public.limit.depth.v3.api.pb@${rest.symbol}@20`, "publicLimitDepths", rest, body))
)
const batchFrame = Arbitrary.map(
  Arbitrary.all({ ...wrapper, body: batchBody }),
  ({ body, ...rest }) =>
    encode(messageOf(`spot@public.bookTicker.batch.v3.api.pb@${rest.symbol}`, "publicBookTickerBatch", rest, body))
)
const klineFrame = Arbitrary.map(
  Arbitrary.all({ ...wrapper, body: klineBody }),
  ({ body, ...rest }) =>
    encode(messageOf(`spot@public.kline.v3.api.pb@${rest.symbol}@${body.interval}`, "publicSpotKline", rest, body))
)
const miniTickerFrame = Arbitrary.map(
  Arbitrary.all({ ...wrapper, body: miniTickerBody }),
  ({ body, ...rest }) => {
    const named = rest.named ? { symbol: rest.symbol } : {}
    const channel = `spot@public.miniTicker.v3.api.pb@${rest.symbol}@UTC+8`
    return encode(messageOf(channel, "publicMiniTicker", rest, { ...named, ...body }))
  }
)
const miniTickersFrame = Arbitrary.map(
  Arbitrary.all({ ...wrapper, body: miniTickersBody }),
  ({ body, ...rest }) => encode(messageOf("spot@public.miniTickers.v3.api.pb@24H", "publicMiniTickers", rest, body))
)
const kind = Arbitrary.schema(Schema.Literals([0, 1, 2, 3, 4, 5, 6, 7]))
const anyFrame = Arbitrary.map(
  Arbitrary.all([
    kind,
    tickerFrame,
    depthFrame,
    dealsFrame,
    limitFrame,
    batchFrame,
    klineFrame,
    miniTickerFrame,
    miniTickersFrame
  ]),
  ([index, ...frames]) => frames[index]!
)

/** The fields of a message, each with its tag. */
const fieldsOf = (frame: Uint8Array): ReadonlyArray<Uint8Array> => {
  const walker = new MexcWire.Walker()
  const fields: Array<Uint8Array> = []
  for (let position = 0; position < frame.length;) {
    const next = walker.step(frame, position, frame.length, MexcWire.wrapperLayout)
    assert.isAbove(next, position)
    fields.push(frame.slice(position, next))
    position = next
  }
  return fields
}

const shuffled = <A>(values: ReadonlyArray<A>, seed: number): ReadonlyArray<A> => {
  const rest = [...values]
  const out: Array<A> = []
  for (let state = seed; rest.length > 0; state = Math.imul(state, 48271) >>> 1) {
    out.push(...rest.splice(state % rest.length, 1))
  }
  return out
}

const seed = int(1, 2 ** 30)

/** A whole ticker frame, and its fields one by one for frames in other layouts. */
const plainTicker = {
  channel: field(1, channelOf("BookTicker", "BTCUSDT")),
  symbol: field(3, "BTCUSDT"),
  sendTime: varintField(6, 1_790_000_000_000),
  bid: concat([field(1, "100.5"), field(2, "2")]),
  ask: concat([field(3, "101"), field(4, "3")]),
  version: field(5, "77")
}
const head = concat([plainTicker.channel, plainTicker.symbol, plainTicker.sendTime])
const plainBody = concat([plainTicker.bid, plainTicker.ask, plainTicker.version])
const plainEvent: BookTicker = {
  _tag: "BookTicker",
  pair: "BTC/USDT",
  symbol: "BTCUSDT",
  bidPrice: 100.5,
  bidQuantity: 2,
  askPrice: 101,
  askQuantity: 3,
  version: 77,
  exchangeTime: 1_790_000_000_000,
  receivedAt,
  contractSize: 1,
  exact: null
}
const ticker = (...body: ReadonlyArray<Uint8Array>) => concat([head, field(315, concat(body))])

const depthHead = concat([
  field(1, channelOf("Book", "BTCUSDT")),
  field(3, "BTCUSDT"),
  varintField(6, 1_790_000_000_000)
])
const depth = (...body: ReadonlyArray<Uint8Array>) => concat([depthHead, field(313, concat(body))])
const versions = concat([field(4, "5"), field(5, "6")])

const dealsHead = concat([field(1, channelOf("Trades", "BTCUSDT")), field(3, "BTCUSDT")])
const deals = (...body: ReadonlyArray<Uint8Array>) => concat([dealsHead, field(314, concat(body))])
const deal = (price: string, quantity: string, type: number | bigint, millis: number | bigint = 1) =>
  field(1, concat([field(1, price), field(2, quantity), varintField(3, type), varintField(4, millis)]))

const limitHead = concat([
  field(1, "spot@public.limit.depth.v3.api.pb@BTCUSDT@5"),
  field(3, "BTCUSDT"),
  varintField(6, 1_790_000_000_000)
])
const limited = (...body: ReadonlyArray<Uint8Array>) => concat([limitHead, field(303, concat(body))])

const batchHead = concat([field(1, "spot@public.bookTicker.batch.v3.api.pb@BTCUSDT"), field(3, "BTCUSDT")])
const batch = (...body: ReadonlyArray<Uint8Array>) => concat([batchHead, field(311, concat(body))])
const plainQuote = field(1, concat([plainTicker.bid, plainTicker.ask]))

const candleHead = concat([field(1, "spot@public.kline.v3.api.pb@BTCUSDT@Min1"), field(3, "BTCUSDT")])

/** A candle's body by field number; the plain one where a field is not given, without it where it is null. */
const candleBody = (fields: Readonly<Record<number, string | number | bigint | null>> = {}): Uint8Array => {
  const plain = { 1: "Min1", 2: 60, 3: "1", 4: "2", 5: "3", 6: "0.5", 7: "10", 8: "20", 9: 120 }
  return concat(
    Object.entries({ ...plain, ...fields }).flatMap(([number, value]) => {
      if (value === null) return []
      return [typeof value === "string" ? field(Number(number), value) : varintField(Number(number), value)]
    })
  )
}
const candle = (fields?: Readonly<Record<number, string | number | bigint | null>>) =>
  concat([candleHead, field(308, candleBody(fields))])

const miniHead = concat([field(1, "spot@public.miniTicker.v3.api.pb@BTCUSDT@24H"), field(3, "BTCUSDT")])
const mini = (fields: Readonly<Record<number, string>> = {}): Uint8Array =>
  concat(Object.entries({ 1: "BTCUSDT", 2: "5", ...fields }).map(([number, text]) => field(Number(number), text)))
const miniTicker = (fields?: Readonly<Record<number, string>>) => concat([miniHead, field(309, mini(fields))])

const everyHead = concat([field(1, "spot@public.miniTickers.v3.api.pb@24H")])
const miniTickers = (...items: ReadonlyArray<Uint8Array>) =>
  concat([everyHead, field(310, concat(items.map((item) => field(1, item))))])

const group = (number: number, content: Uint8Array) => concat([varint(number * 8 + 3), content, varint(number * 8 + 4)])

const failsWith = (frame: Uint8Array, detail: RegExp): void => {
  const calls = decode(frame)
  const last = calls.at(-1)!
  assert(last._tag === "failed", JSON.stringify(tagsOf(calls)))
  assert.match(last.detail, detail)
  assert.deepStrictEqual(eventsOf(calls), [])
}

// ---- tests ----------------------------------------------------------------------------------------------------------

describe("MEXC decoder, layouts", () => {
  it("reads the frame that the cases below vary", () => {
    assert.deepStrictEqual(eventsOf(decode(ticker(plainBody))), [plainEvent])
  })

  it("normalises groups, padded encodings and double bodies, and counts each", () => {
    const bodyTag = varint(315 * 8 + 2)
    const odd: Readonly<Record<string, Uint8Array>> = {
      group: concat([head, group(9, field(1, "x")), field(315, plainBody)]),
      "group in the body": ticker(plainBody, group(9, new Uint8Array(0))),
      "group with a known number inside": concat([head, group(9, varintField(6, 5)), field(315, plainBody)]),
      "padded tag": concat([
        varint(10, 2),
        field(1, channelOf("BookTicker", "BTCUSDT")).slice(1),
        plainTicker.symbol,
        plainTicker.sendTime,
        field(315, plainBody)
      ]),
      "long tag": concat([head, varintField(5000, 1), field(315, plainBody)]),
      "padded length": concat([head, bodyTag, varint(plainBody.length, 3), plainBody]),
      "padded length of five bytes": concat([head, bodyTag, varint(plainBody.length, 5), plainBody]),
      "padded time": concat([
        plainTicker.channel,
        plainTicker.symbol,
        varint(6 * 8),
        varint(1_790_000_000_000, 10),
        field(315, plainBody)
      ]),
      "body in two parts": concat([
        head,
        field(315, plainTicker.bid),
        field(315, concat([plainTicker.ask, plainTicker.version]))
      ]),
      "another body first": concat([head, field(301, "deals"), field(315, plainBody)]),
      "unknown fields below": concat([
        head,
        group(9, new Uint8Array(0)),
        field(315, concat([plainBody, field(50, "x")]))
      ])
    }
    for (const [name, frame] of Object.entries(odd)) {
      const calls = decode(frame)
      assert.deepStrictEqual(tagsOf(calls), ["fallback", "event"], name)
      assert.deepStrictEqual(eventsOf(calls), [plainEvent], name)
    }
  })

  it("takes the last of two bodies of different kinds", () => {
    const calls = decode(concat([head, field(315, plainBody), field(301, "deals")]))
    assert.deepStrictEqual(tagsOf(calls), ["fallback", "ignored"])
    failsWith(concat([head, field(315, plainBody), field(314, deal("1", "1", 1))]), /body is a publicAggreDeals/)
  })

  it("refuses a known field of another wire type, also where protobuf would drop it as unknown", () => {
    failsWith(ticker(plainBody, varintField(1, 600)), /field 1 has wire type 0/)
    failsWith(
      concat([head, group(9, new Uint8Array(0)), field(315, concat([plainBody, varintField(1, 600)]))]),
      /field 1 has another wire type/
    )
    failsWith(
      concat([head, group(9, new Uint8Array(0)), varintField(1, 1), field(315, plainBody)]),
      /field 1 has another wire type/
    )
    failsWith(depth(versions, varintField(1, 1)), /field 1 has wire type 0/)
    failsWith(depth(versions, varintField(2, 1)), /field 2 has wire type 0/)
    failsWith(deals(varintField(1, 1)), /field 1 has wire type 0/)
    failsWith(concat([head, varintField(315, 1)]), /field 315 has wire type 0/)
    failsWith(concat([plainTicker.channel, field(6, "1"), field(315, plainBody)]), /field 6 has wire type 2/)
    const levels = concat([field(1, concat([group(9, new Uint8Array(0)), field(1, "1"), varintField(2, 5)])), versions])
    failsWith(depth(levels), /field 2 has another wire type/)
  })

  it("refuses what is no protobuf", () => {
    failsWith(concat([head, Uint8Array.of(0x02, 0x00)]), /number 0/)
    failsWith(concat([head, Uint8Array.of(0x00, 0x00)]), /number 0/)
    failsWith(concat([head, Uint8Array.of(0x01, 0, 0, 0, 0, 0, 0, 0, 0)]), /number 0/)
    failsWith(concat([head, Uint8Array.of(0x4e, 0x00)]), /wire type 6/)
    failsWith(concat([head, Uint8Array.of(0x4c)]), /wire type 4/)
    failsWith(concat([head, Uint8Array.of(0xca)]), /cut off/)
    failsWith(concat([head, Uint8Array.of(0xca, 0x13)]), /cut off/)
    failsWith(concat([head, Uint8Array.of(0xca, 0x13, 0x80)]), /a length is cut off/)
    failsWith(concat([head, Uint8Array.of(0xca, 0x13, 0x05, 1)]), /field 313 runs beyond/)
    failsWith(concat([head, Uint8Array.of(0x49, 1, 2)]), /field 9 runs beyond/)
    failsWith(concat([head, group(9, new Uint8Array(0)), Uint8Array.of(0x02, 0x00)]), /tag|illegal|invalid/i)
    failsWith(
      concat([head, Uint8Array.of(0x30, ...new Array<number>(10).fill(0xff), 1)]),
      /field 6 holds no whole varint/
    )
    failsWith(concat([head, group(9, Uint8Array.of(0x4b))]), /index out of range|group/i)
  })

  it("refuses nested fields that overrun their message", () => {
    failsWith(ticker(plainTicker.bid, Uint8Array.of(0x1a, 50, 1)), /field 3 runs beyond/)
    failsWith(depth(versions, Uint8Array.of(0x0a, 20, 0x0a, 1, 49)), /field 1 runs beyond/)
    failsWith(depth(versions, field(1, Uint8Array.of(0x0a, 9, 49))), /field 1 runs beyond/)
    failsWith(deals(field(1, concat([field(1, "1"), Uint8Array.of(0x12, 3, 49)]))), /field 2 runs beyond/)
    failsWith(deals(Uint8Array.of(0x0a)), /cut off/)
  })

  it("reads levels in every layout", () => {
    const frame = depth(
      field(1, concat([field(1, "3"), field(2, "1")])),
      field(1, concat([field(2, "2"), field(1, "4")])),
      field(1, concat([field(1, "5"), field(9, "x"), field(2, "3")])),
      field(1, concat([field(1, `6.${"0".repeat(130)}`), field(2, "4")])),
      field(1, concat([field(1, "7"), field(2, `5.${"0".repeat(130)}`)])),
      versions
    )
    const calls = decode(frame)
    assert.deepStrictEqual(tagsOf(calls), ["event"])
    const [update] = eventsOf(calls) as ReadonlyArray<BookUpdate>
    assert.deepStrictEqual(update?.asks, [3, 1, 4, 2, 5, 3, 6, 4, 7, 5])
    assert.deepStrictEqual([update?.firstVersion, update?.version], [5, 6])
  })
})

describe("MEXC decoder, values", () => {
  it("refuses prices and quantities that are no plain decimals", () => {
    for (
      const text of ["NaN", "Infinity", "-1", "0x1F", "1E-7", "1.", ".5", "1.2.3", "1,5", " 1", "+1", "9".repeat(400)]
    ) {
      failsWith(ticker(field(1, text), field(2, "1"), plainTicker.ask), /bidPrice is no plain decimal/)
      failsWith(ticker(plainTicker.bid, field(3, "1"), field(4, text)), /askQuantity is no plain decimal/)
      failsWith(depth(field(2, concat([field(1, "1"), field(2, text)])), versions), /bids\[0\] is no level/)
      failsWith(deals(deal(text, "1", 1)), /price is no plain decimal/)
    }
  })

  it("takes a side without price and quantity for empty, and half a side for damage", () => {
    const side = (price: string, quantity: string) =>
      eventsOf(decode(ticker(field(1, price), field(2, quantity), plainTicker.ask, plainTicker.version)))[0]
    for (const [price, quantity] of [["", ""], ["0", "0"], ["0.00", "0.000"], ["", "0"]] as const) {
      assert.deepStrictEqual(side(price, quantity), { ...plainEvent, bidPrice: null, bidQuantity: null })
    }
    assert.deepStrictEqual(side("100.5", "0"), { ...plainEvent, bidQuantity: 0 })
    failsWith(ticker(field(1, "100.5"), plainTicker.ask), /half a side/)
    failsWith(ticker(field(2, "2"), plainTicker.ask), /half a side/)
    failsWith(ticker(field(1, "0"), field(2, "2"), plainTicker.ask), /half a side/)
  })

  it("refuses levels without a positive price or without quantity", () => {
    for (const [price, quantity] of [["0", "1"], ["", "1"], ["1", ""], ["0.000", "0"]] as const) {
      failsWith(depth(field(1, concat([field(1, price), field(2, quantity)])), versions), /asks\[0\] is no level/)
    }
    failsWith(depth(field(1, new Uint8Array(0)), versions), /asks\[0\] is no level/)
  })

  it("refuses deals without price, quantity or side, and the whole frame with them", () => {
    failsWith(deals(deal("1", "1", 1), deal("0", "1", 1)), /deal 1 has price 0/)
    failsWith(deals(deal("1", "0", 1)), /quantity 0/)
    failsWith(deals(deal("1", "1", 0)), /type 0/)
    failsWith(deals(deal("1", "1", 3)), /type 3/)
    failsWith(deals(field(1, new Uint8Array(0))), /price -1/)
    failsWith(deals(deal("1", "1", -1n)), /integer/)
    failsWith(
      deals(field(1, concat([field(1, "1"), field(2, "1"), varintField(3, 1), field(5, Uint8Array.of(0xff))]))),
      /id is no UTF-8/
    )
  })

  it("starts afresh after a frame that failed half way", () => {
    const { codec } = makeSubject()
    const sink = new RecordingSink()
    decode(deals(deal("1.00000000000000001", "1", 1), deal("x", "1", 1)), sink, codec)
    decode(deals(deal("2", "1", 2)), sink, codec)
    assert.deepStrictEqual(tagsOf(sink.calls), ["failed", "event"])
    const [trade] = eventsOf(sink.calls) as ReadonlyArray<Trade>
    assert.deepStrictEqual([trade?.price, trade?.exact], [2, null])
  })

  it("needs versions that are numbers in order, on books", () => {
    const bid = field(2, concat([field(1, "1"), field(2, "1")]))
    failsWith(depth(bid), /versions null to null/)
    failsWith(depth(bid, field(4, "1")), /versions 1 to null/)
    failsWith(depth(bid, field(4, ""), field(5, "2")), /versions null to 2/)
    failsWith(depth(bid, field(4, "abc"), field(5, "2")), /version is no number/)
    failsWith(depth(bid, field(4, "-1"), field(5, "2")), /version is no number/)
    failsWith(depth(bid, field(4, "20"), field(5, "10")), /versions 20 to 10/)
    failsWith(depth(bid, field(4, "18446744073709551617"), field(5, "9007199254740993")), /versions/)
    failsWith(ticker(plainBody, field(5, "7x")), /version is no number/)
    assert.strictEqual((eventsOf(decode(ticker(plainTicker.bid, plainTicker.ask)))[0] as BookTicker).version, null)
  })

  it("takes the time of sending, else of making, and none beyond what a number holds", () => {
    const at = (...fields: ReadonlyArray<Uint8Array>) =>
      eventsOf(decode(concat([plainTicker.channel, plainTicker.symbol, ...fields, field(315, plainBody)])))[0]
        ?.exchangeTime
    assert.strictEqual(at(varintField(5, 3), varintField(6, 4)), 4)
    assert.strictEqual(at(varintField(5, 3)), 3)
    assert.strictEqual(at(varintField(5, 3), varintField(6, 0)), 3)
    assert.isNull(at())
    assert.strictEqual(at(varintField(6, Number.MAX_SAFE_INTEGER)), Number.MAX_SAFE_INTEGER)
    for (const beyond of [2n ** 53n, 2n ** 56n - 1n, 2n ** 63n - 1n, -1n]) {
      failsWith(concat([plainTicker.channel, varintField(6, beyond), field(315, plainBody)]), /integer/)
      failsWith(concat([plainTicker.channel, varintField(5, beyond), field(315, plainBody)]), /integer/)
      failsWith(deals(deal("1", "1", 1, beyond)), /integer/)
    }
  })

  it.prop(
    "keeps every decimal: its number, and its text where the number is not enough",
    { text: positive },
    ({ text }) => {
      const [event] = eventsOf(decode(ticker(field(1, text), field(2, text), plainTicker.ask)))
      const found = event as BookTicker
      assert.strictEqual(found.bidPrice, Number(text))
      const kept = found.exact?.["bidPrice"] ?? Numeric.toDecimal(found.bidPrice!)
      assert.strictEqual(Number(kept), Number(text))
      const digits = (value: string) => value.includes(".") ? value.replace(/\.?0+$/, "") : value
      assert.strictEqual(digits(kept).replace(/^0+(?=\d)/, ""), digits(text).replace(/^0+(?=\d)/, ""))
    }
  )
})

describe("MEXC decoder, whole books", () => {
  it("takes each for a snapshot, also without levels", () => {
    const [event] = eventsOf(decode(limited(field(4, "7")))) as ReadonlyArray<BookUpdate>
    assert.deepInclude(event, { kind: "snapshot", bids: [], asks: [], firstVersion: 7, version: 7 })
  })

  it("needs a version and levels that are right", () => {
    failsWith(limited(), /a book without a version/)
    failsWith(limited(field(4, "")), /a book without a version/)
    failsWith(limited(field(4, "7x")), /version is no number/)
    failsWith(limited(field(4, "7"), field(1, concat([field(1, "0"), field(2, "1")]))), /asks\[0\] is no level/)
    failsWith(limited(varintField(4, 7)), /field 4 has wire type 0/)
    failsWith(limited(varintField(1, 7)), /field 1 has wire type 0/)
  })

  it("takes the symbol that stands before the depth", () => {
    failsWith(
      concat([field(1, "spot@public.limit.depth.v3.api.pb@BTCUSDT@5"), field(3, "5"), field(303, versions)]),
      /symbol/
    )
  })
})

describe("MEXC decoder, batches", () => {
  it("delivers every item, and none where one is damaged", () => {
    const events = eventsOf(decode(batch(plainQuote, field(1, plainTicker.ask), field(2, "9"))))
    assert.deepStrictEqual(events.map((event) => (event as BookTicker).bidPrice), [100.5, null])
    assert.deepStrictEqual(events.map((event) => (event as BookTicker).version), [9, 9])
    failsWith(batch(plainQuote, field(1, field(1, "x"))), /bidPrice is no plain decimal/)
    failsWith(batch(plainQuote, field(1, field(1, "1"))), /half a side/)
    failsWith(batch(plainQuote, field(2, "x")), /version is no number/)
    failsWith(batch(plainQuote, varintField(1, 1)), /field 1 has wire type 0/)
    failsWith(batch(field(1, Uint8Array.of(0x0a, 9, 49))), /field 1 runs beyond/)
  })

  it("says so when there is nothing in it", () => {
    assert.deepStrictEqual(decode(batch(field(2, "9"))), [{ _tag: "ignored", detail: "a batch without a ticker" }])
  })

  it("starts afresh after a batch that failed half way", () => {
    const { codec } = makeSubject()
    const sink = new RecordingSink()
    decode(batch(plainQuote, field(1, field(1, "x"))), sink, codec)
    decode(batch(plainQuote), sink, codec)
    assert.deepStrictEqual(tagsOf(sink.calls), ["failed", "event"])
  })
})

describe("MEXC decoder, candles", () => {
  const klineIn = (fields?: Readonly<Record<number, string | number | bigint | null>>) =>
    eventsOf(decode(candle(fields)))[0] as Kline

  it("turns seconds into milliseconds", () => {
    assert.deepInclude(klineIn(), { openTime: 60_000, closeTime: 120_000, interval: "1m" })
    assert.isNull(klineIn({ 9: null }).closeTime)
    assert.isNull(klineIn({ 9: 0 }).closeTime)
  })

  it("keeps the order open, close, high, low apart", () => {
    assert.deepInclude(klineIn(), { open: 1, close: 2, high: 3, low: 0.5, baseVolume: 10, quoteVolume: 20 })
  })

  it("refuses windows that are none", () => {
    failsWith(candle({ 2: null }), /a candle from 0 to 120000 ms/)
    failsWith(candle({ 9: 60 }), /a candle from 60000 to 60000 ms/)
    failsWith(candle({ 9: 59 }), /a candle from 60000 to 59000 ms/)
    failsWith(candle({ 2: 2n ** 53n - 2n }), /a time is 9007199254740990 s/)
    failsWith(candle({ 2: -1n }), /integer/)
  })

  it("refuses another interval than the channel's", () => {
    failsWith(candle({ 1: "Min5" }), /the interval is not the channel's/)
    // Empty is absent in proto3, so the library reads both alike.
    for (const none of ["", null]) assert.strictEqual(klineIn({ 1: none }).interval, "1m")
  })

  it("refuses some prices without the others, and numbers that are none", () => {
    for (const number of [3, 4, 5, 6]) {
      failsWith(candle({ [number]: null }), /half its prices/)
      failsWith(candle({ [number]: "0" }), /half its prices/)
      failsWith(candle({ [number]: "-1" }), /no plain decimal/)
    }
    failsWith(candle({ 7: "x" }), /baseVolume is no plain decimal/)
    failsWith(candle({ 8: "x" }), /quoteVolume is no plain decimal/)
  })

  it("ignores a candle of a market that was never traded", () => {
    for (const price of [null, "", "0"]) {
      const calls = decode(candle({ 3: price, 4: price, 5: price, 6: price }))
      assert.deepStrictEqual(calls, [{ _tag: "ignored", detail: "a candle without prices" }])
    }
  })
})

describe("MEXC decoder, tickers of the day", () => {
  const tickerIn = (fields?: Readonly<Record<number, string>>) => eventsOf(decode(miniTicker(fields)))[0] as Ticker

  it("takes the change of the channel's zone, signed", () => {
    assert.strictEqual(tickerIn({ 3: "0.5", 4: "-0.25" }).change, -0.25)
    assert.isNull(tickerIn({ 3: "0.5" }).change)
    assert.isNull(tickerIn({ 4: "" }).change)
    assert.isTrue(Object.is(tickerIn({ 4: "-0" }).change, 0))
    for (const text of ["+1", "-", "--1", "1E-7", "-0x1", "NaN"]) {
      failsWith(miniTicker({ 4: text }), /change is no plain decimal/)
    }
  })

  it("takes volume for quote and quantity for base", () => {
    assert.deepInclude(tickerIn({ 7: "100", 8: "20" }), { quoteVolume: 100, baseVolume: 20 })
    assert.deepInclude(tickerIn({ 7: "0" }), { quoteVolume: 0, baseVolume: null })
  })

  it("has no extremes where there are none", () => {
    assert.deepInclude(tickerIn({ 5: "0", 6: "" }), { highPrice: null, lowPrice: null })
    failsWith(miniTicker({ 5: "x" }), /highPrice is no plain decimal/)
    failsWith(miniTicker({ 6: "x" }), /lowPrice is no plain decimal/)
  })

  it("refuses another symbol than the channel's", () => {
    failsWith(miniTicker({ 1: "ETHUSDT" }), /the symbol is not the channel's/)
    const unnamed = concat([miniHead, field(309, field(2, "5"))])
    assert.strictEqual(eventsOf(decode(unnamed))[0]?.symbol, "BTCUSDT")
  })

  it("reads tickers of every pair, with the pairs that are known", () => {
    const frame = miniTickers(mini(), mini({ 1: "WHO" }), mini({ 1: "龙虾USDT" }))
    const named = eventsOf(decode(frame)).map(({ pair, symbol }) => [pair, symbol])
    assert.deepStrictEqual(named, [["BTC/USDT", "BTCUSDT"], [null, "WHO"], ["龙虾/USDT", "龙虾USDT"]])
    const events: Array<MarketEvent> = []
    const codec = mexcSpot.makeCodec({ topicOf: makeSubject().topicOf })
    const sink = new RecordingSink()
    codec.decode(frame, receivedAt, sink)
    for (const event of eventsOf(sink.calls)) events.push(event)
    assert.deepStrictEqual(events.map(({ pair }) => pair), [null, null, null])
  })

  it("refuses tickers of every pair as a whole where one is damaged, and leaves out what was never traded", () => {
    failsWith(miniTickers(mini(), field(2, "5")), /a ticker without a readable symbol/)
    failsWith(miniTickers(mini(), mini({ 1: "" })), /a ticker without a readable symbol/)
    failsWith(miniTickers(mini(), concat([field(1, Uint8Array.of(0xff)), field(2, "5")])), /without a readable symbol/)
    failsWith(miniTickers(mini(), mini({ 2: "x" })), /lastPrice is no plain decimal/)
    const events = eventsOf(decode(miniTickers(mini({ 2: "0" }), mini({ 1: "ETHUSDT" }), mini({ 2: "" }))))
    assert.deepStrictEqual(events.map(({ symbol: name }) => name), ["ETHUSDT"])
    assert.deepStrictEqual(tagsOf(decode(miniTickers(mini({ 2: "0" })))), ["ignored"])
  })

  it("forgets what the item before had", () => {
    const [, second] = eventsOf(decode(miniTickers(mini({ 4: "1", 5: "9", 7: "3" }), mini()))) as ReadonlyArray<Ticker>
    assert.deepInclude(second, { change: null, highPrice: null, quoteVolume: null, exact: null })
  })

  it("starts afresh after tickers that failed half way", () => {
    const { codec } = makeSubject()
    const sink = new RecordingSink()
    decode(miniTickers(mini(), mini({ 2: "x" })), sink, codec)
    decode(miniTickers(mini({ 1: "ETHUSDT" })), sink, codec)
    assert.deepStrictEqual(tagsOf(sink.calls), ["failed", "event"])
  })
})

describe("MEXC decoder, channels", () => {
  const retired = concat([field(1, "spot@public.increase.depth.v3.api.pb@BTCUSDT"), field(3, "BTCUSDT")])

  it("ignores bodies and channels that are not read, and says which", () => {
    assert.deepStrictEqual(decode(concat([retired, field(302, "x")])), [{
      _tag: "ignored",
      detail: "a publicIncreaseDepths frame"
    }])
    assert.deepStrictEqual(tagsOf(decode(concat([retired, field(315, plainBody)]))), ["ignored"])
    assert.deepStrictEqual(tagsOf(decode(concat([retired, field(316, plainBody)]))), ["ignored"])
    assert.deepStrictEqual(tagsOf(decode(head)), ["ignored"])
    assert.deepStrictEqual(tagsOf(decode(new Uint8Array(0))), ["ignored"])
    assert.deepStrictEqual(tagsOf(decode(deals(field(2, "type")))), ["ignored"])
    assert.deepStrictEqual(tagsOf(decode(plainTicker.channel)), ["ignored"])
    for (const tag of [303, 308, 309, 310, 311, 313, 314, 315]) {
      assert.deepStrictEqual(tagsOf(decode(concat([retired, field(tag, "")]))), ["ignored"])
    }
  })

  it("ignores data without a channel, which could be anybody's", () => {
    assert.deepStrictEqual(tagsOf(decode(concat([plainTicker.symbol, field(315, plainBody)]))), ["ignored"])
    assert.deepStrictEqual(tagsOf(decode(concat([field(1, ""), field(315, plainBody)]))), ["ignored"])
  })

  it("takes the symbol from the channel, and refuses another one beside it", () => {
    assert.deepStrictEqual(
      eventsOf(decode(concat([plainTicker.channel, plainTicker.sendTime, field(315, plainBody)]))),
      [plainEvent]
    )
    for (const other of ["ETHUSDT", "BTCUSD", "XBTCUSDT", ""]) {
      failsWith(concat([plainTicker.channel, field(3, other), field(315, plainBody)]), /symbol is not the channel's/)
    }
  })

  it("ignores channels whose name is nearly one of ours", () => {
    const names = [
      "spot@public.kline.v3.api.pb@BTCUSDT",
      "spot@public.kline.v3.api.pb@BTCUSDT@Min3",
      "spot@public.kline.v3.api.pb@BTCUSDT@Min1@x",
      "spot@public.toString.v3.api.pb@BTCUSDT",
      "spot@public.miniTickers.v3.api.pb@24H@BTCUSDT",
      "spot@public.bookTicker.batch.v3.api.pb@BTCUSDT@10ms",
      "spot@public.limit.depth.v3.api.pb@BTCUSDT",
      "spot@private.kline.v3.api.pb@BTCUSDT@Min1"
    ]
    for (const name of names) {
      const calls = decode(concat([field(1, name), field(315, plainBody)]))
      assert.deepStrictEqual(calls, [{ _tag: "ignored", detail: "data of a channel that is not read" }], name)
    }
  })

  it("refuses a body that is not the channel's", () => {
    failsWith(concat([candleHead, field(315, plainBody)]), /Min1: the body is a publicAggreBookTicker/)
    failsWith(concat([limitHead, field(313, versions)]), /BTCUSDT@5: the body is a publicAggreDepths/)
    failsWith(concat([depthHead, field(303, field(4, "1"))]), /the body is a publicLimitDepths/)
    failsWith(concat([head, field(311, plainQuote)]), /the body is a publicBookTickerBatch/)
    failsWith(concat([miniHead, field(310, field(1, mini()))]), /the body is a publicMiniTickers/)
    failsWith(concat([dealsHead, field(315, plainBody)]), /BTCUSDT: the body is a publicAggreBookTicker/)
    failsWith(concat([head, field(313, versions)]), /the body is a publicAggreDepths/)
    failsWith(concat([head, field(314, deal("1", "1", 1))]), /the body is a publicAggreDeals/)
  })

  it("refuses a channel that is no UTF-8", () => {
    failsWith(
      concat([field(1, Uint8Array.of(0xff, 0xfe)), field(315, plainBody)]),
      /without a readable channel: the channel is no UTF-8/
    )
  })

  it("asks for each topic once, and again only past its bound", () => {
    const { codec, asked, topics } = makeSubject()
    const symbols = Array.from({ length: 4200 }, (_, i) => `${i % 7 === 0 ? "龙" : "T"}${i}USDT`)
    const frames = symbols.map((name) =>
      concat([field(1, channelOf("Trades", name)), field(3, name), field(314, deal("1", "1", 1))])
    )
    for (let pass = 0; pass < 2; pass++) {
      const sink = new RecordingSink()
      for (const frame of frames) codec.decode(frame, receivedAt, sink)
      assert.deepStrictEqual(eventsOf(sink.calls).map((event) => event.symbol), symbols)
      for (const call of sink.calls) {
        assert(call._tag === "event")
        assert.strictEqual(call.topic, topics.get(channelOf("Trades", call.event.symbol)))
      }
    }
    assert.strictEqual(new Set(asked).size, 4200)
    assert.strictEqual(asked.length, 4200 + (4200 - 4096))
  })

  it("tells channels apart that differ in one byte anywhere", () => {
    const { codec } = makeSubject()
    const sink = new RecordingSink()
    const keys = ["10ms", "100ms"].flatMap((speed) =>
      (["BookTicker", "Trades", "Book"] as const).map((tag) => [tag, speed] as const)
    )
    const bodies = {
      BookTicker: field(315, plainBody),
      Trades: field(314, deal("1", "1", 1)),
      Book: field(313, versions)
    }
    for (const [tag, speed] of [...keys, ...keys]) {
      codec.decode(concat([field(1, channelOf(tag, "BTCUSDT", speed)), bodies[tag]]), receivedAt, sink)
    }
    const found = sink.calls.map((call) => (call._tag === "event" ? call.topic.key : call._tag))
    assert.deepStrictEqual(found, [...keys, ...keys].map(([tag, speed]) => channelOf(tag, "BTCUSDT", speed)))
  })
})

describe("MEXC text frames", () => {
  const outcome = (text: string | Uint8Array) => decode(text)

  it("refuses what is no control frame", () => {
    const cases: Readonly<Record<string, RegExp>> = {
      hello: /no JSON object: hello/,
      "[1,2]": /no JSON object/,
      "{": /no JSON object/,
      "{\"id\":1,\"code\":0.5,\"msg\":\"x\"}": /unknown form/,
      "{\"id\":{},\"code\":0,\"msg\":\"x\"}": /unknown form/,
      "{\"id\":1,\"code\":0,\"msg\":{\"a\":1}}": /unknown form/
    }
    for (const [text, detail] of Object.entries(cases)) {
      const [call] = outcome(text)
      assert(call?._tag === "failed", text)
      assert.match(call.detail, detail)
    }
    assert.deepStrictEqual(outcome(Uint8Array.of(0x7b, 0xff, 0x7d)), [{
      _tag: "failed",
      detail: "a text frame is no UTF-8"
    }])
  })

  it("ignores JSON that says nothing", () => {
    for (
      const text of [
        "{}",
        "{\"c\":\"spot@public.deals.v3.api@X\",\"d\":{}}",
        "{\"id\":9,\"code\":0,\"msg\":\"\"}",
        "{\"id\":1,\"msg\":null}"
      ]
    ) {
      assert.deepStrictEqual(tagsOf(outcome(text)), ["ignored"], text)
    }
  })

  it("reads JSON behind white space, and answers without an id", () => {
    assert.deepStrictEqual(tagsOf(outcome(" \n{\"id\":\"0\",\"code\":\"0\",\"msg\":\"pong\"}")), ["pong"])
    const [call] = outcome("{\"code\":700002,\"msg\":\"Signature for this request is not valid.\"}")
    assert(call?._tag === "rejected")
    assert.deepStrictEqual(call.answer, { action: "unknown", requestId: null, topics: null })
    assert.strictEqual(call.refusal.class, "auth")
  })

  it("believes the list of params, not the code", () => {
    const param = channelOf("Book", "BTCUSDT")
    const [accepted] = outcome(JSON.stringify({ id: 1, code: 30, msg: param }))
    assert(accepted?._tag === "acknowledged")
    assert.deepStrictEqual(accepted.answer.topics, [param])
    const [refused] = outcome(
      JSON.stringify({ id: "abc", code: 0, msg: `Not Unsubscribed successfully! [${param}]. Reason: gone` })
    )
    assert(refused?._tag === "rejected")
    assert.deepStrictEqual(refused.answer, { action: "unknown", requestId: "abc", topics: [param] })
    assert.strictEqual(refused.refusal.detail, "gone")
  })

  it("gives the whole text where no reason stands in it", () => {
    const msg = `Not Subscribed successfully! [${channelOf("Book", "A")}].`
    const [call] = outcome(JSON.stringify({ id: 1, code: 0, msg }))
    assert(call?._tag === "rejected")
    assert.strictEqual(call.refusal.detail, msg)
  })

  it("keeps a PING visible where nothing can be sent", () => {
    const sink = new RecordingSink(false)
    assert.deepStrictEqual(tagsOf(decode("{\"method\":\"PING\"}", sink)), ["ignored"])
  })

  it("does not search long binary frames for words", () => {
    const [call] = outcome(bytesOf("l".repeat(5000)))
    assert(call?._tag === "failed")
    assert.include(call.detail, "without a readable channel")
  })
})

describe("MEXC generic decoder", () => {
  it("writes a frame in the normal layout, without what it does not know", () => {
    const odd = concat([
      field(315, concat([plainTicker.version, field(77, "x"), plainTicker.ask, plainTicker.bid])),
      group(30, field(1, "y")),
      head
    ])
    const normal = MexcSchema.normalise(odd)
    assert(normal._tag === "Frame")
    assert.deepStrictEqual(Uint8Array.from(normal.frame), ticker(plainBody))
  })

  it("says why a frame cannot be read", () => {
    const cut = MexcSchema.normalise(Uint8Array.of(0x0a, 0x05))
    assert(cut._tag === "Unreadable")
    assert.match(cut.detail, /out of range/)
  })

  it("leaves texts as they are: damage in one that is read fails, in one that is not it costs nothing", () => {
    const damaged = field(1, Uint8Array.of(0xff))
    assert.deepStrictEqual(MexcSchema.normalise(damaged), { _tag: "Frame", frame: Buffer.from(damaged) })
    const event = field(3, Uint8Array.of(0xff))
    const level = field(1, concat([field(1, "1"), field(2, "2")]))
    const plain = depth(level, event, versions)
    const odd = concat([plain, group(30, field(1, "y"))])
    assert.deepStrictEqual(tagsOf(decode(plain)), ["event"])
    assert.deepStrictEqual(tagsOf(decode(odd)), ["fallback", "event"])
    assert.deepStrictEqual(eventsOf(decode(odd)), eventsOf(decode(plain)))
  })

  it("takes an empty symbol of a ticker for an absent one, as the library does", () => {
    const named = (symbol: string) =>
      concat([
        field(1, "spot@public.miniTicker.v3.api.pb@MXUSDT@24H"),
        field(309, concat([field(1, symbol), field(2, "2")]))
      ])
    assert.deepStrictEqual(tagsOf(decode(named(""))), ["event"])
    assert.deepStrictEqual(eventsOf(decode(named(""))), eventsOf(decode(named("MXUSDT"))))
    assert.deepStrictEqual(tagsOf(decode(named("BTCUSDT"))), ["failed"])
  })

  it("refuses an unknown integer of more than ten bytes, whichever way the frame takes", () => {
    const long = concat([varint(7 * 8), Uint8Array.of(...new Array<number>(10).fill(255), 1)])
    const frame = concat([head, long, field(315, plainBody)])
    failsWith(frame, /no whole varint/)
    failsWith(concat([group(20, new Uint8Array(0)), frame]), /no whole varint/)
  })
})

describe("MEXC decoder, edges", () => {
  const one = field(1, concat([field(1, "1"), field(2, "0")]))
  const only = (frame: Uint8Array): MarketEvent => {
    const calls = decode(frame)
    assert.strictEqual(eventsOf(calls).length, 1, JSON.stringify(tagsOf(calls)))
    return eventsOf(calls)[0]!
  }
  /** An int64 in nine bytes, which is left to the generic decoder. */
  const padded = (number: number, value: number) => concat([varint(number * 8), varint(value, 9)])

  it("takes a delta of a single version, and a level of quantity 0, which removes it", () => {
    const update = only(depth(one, field(4, "6"), field(5, "6"))) as BookUpdate
    assert.deepStrictEqual([update.firstVersion, update.version, update.asks], [6, 6, [1, 0]])
    failsWith(depth(one, field(4, "6")), /versions 6 to null/)
    failsWith(depth(one, field(5, "6")), /versions null to 6/)
    failsWith(depth(one, field(4, "x"), field(5, "6")), /a version is no number/)
    failsWith(depth(one, field(4, "5"), field(5, "x")), /a version is no number/)
  })

  it("gives what surprises anywhere in a frame to the generic decoder, and no event of before", () => {
    const late = 1_790_000_000_000
    const odd = [
      concat([field(1, channelOf("Book", "BTCUSDT")), padded(6, late), field(313, concat([one, versions]))]),
      concat([
        field(1, "spot@public.limit.depth.v3.api.pb@BTCUSDT@5"),
        padded(6, late),
        field(303, concat([one, field(4, "6")]))
      ]),
      concat([field(1, "spot@public.bookTicker.batch.v3.api.pb@BTCUSDT"), padded(6, late), field(311, plainQuote)]),
      concat([field(1, "spot@public.miniTicker.v3.api.pb@BTCUSDT@24H"), padded(6, late), field(309, mini())]),
      concat([field(1, "spot@public.miniTickers.v3.api.pb@24H"), padded(6, late), field(310, field(1, mini()))])
    ]
    for (const frame of odd) {
      const calls = decode(frame)
      assert.deepStrictEqual(tagsOf(calls), ["fallback", "event"])
      assert.strictEqual(eventsOf(calls)[0]!.exchangeTime, late)
    }
    const beyond = 2n ** 60n
    for (
      const frame of [
        concat([field(1, channelOf("Book", "BTCUSDT")), varintField(6, beyond), field(313, concat([one, versions]))]),
        concat([
          field(1, "spot@public.limit.depth.v3.api.pb@BTCUSDT@5"),
          varintField(6, beyond),
          field(303, concat([one, field(4, "6")]))
        ]),
        concat([
          field(1, "spot@public.miniTickers.v3.api.pb@24H"),
          varintField(6, beyond),
          field(310, field(1, mini()))
        ])
      ]
    ) failsWith(frame, /integer/)
  })

  it("needs the version of a whole book", () => {
    failsWith(limited(one), /version/)
    failsWith(limited(one, field(4, "x")), /a version is no number/)
  })

  it("has no time and no id of a trade where there is none", () => {
    const bare = field(1, concat([field(1, "1"), field(2, "2"), varintField(3, 1)]))
    const trade = only(deals(bare)) as Trade
    assert.deepStrictEqual([trade.exchangeTime, trade.id], [null, null])
    const empty = only(
      deals(field(1, concat([field(1, "1"), field(2, "2"), varintField(3, 1), field(5, "")])))
    ) as Trade
    assert.isNull(empty.id)
    assert.strictEqual(
      (only(deals(field(1, concat([field(1, "1"), field(2, "2"), varintField(3, 1), field(5, "7X")])))) as Trade).id,
      "7X"
    )
  })

  it("takes one price alone, whichever it is, for a damaged candle", () => {
    for (const number of [3, 4, 5, 6]) {
      const none = { 3: "0", 4: "0", 5: "0", 6: "0" }
      failsWith(candle({ ...none, [number]: "1" }), /half its prices/)
    }
  })

  it("reads times up to the last second that a number of milliseconds can say", () => {
    const last = Math.floor(Number.MAX_SAFE_INTEGER / 1_000)
    const kline = only(candle({ 2: last - 60, 9: last })) as Kline
    assert.strictEqual(kline.closeTime, last * 1_000)
    failsWith(candle({ 2: last - 60, 9: last + 1 }), /a time is/)
  })

  it("says what is ignored, and why", () => {
    const cases: ReadonlyArray<readonly [Uint8Array, string]> = [
      [new Uint8Array(0), "an empty frame"],
      [miniTicker({ 2: "0" }), "a ticker without a price"],
      [miniTickers(mini({ 2: "0" })), "tickers without a price"],
      [deals(), "a deals frame without a deal"],
      [field(315, plainBody), "data without a channel"],
      [concat([field(1, ""), field(315, plainBody)]), "data without a channel"],
      [head, "a frame without a body that is known"]
    ]
    for (const [frame, detail] of cases) assert.deepStrictEqual(decode(frame), [{ _tag: "ignored", detail }])
  })

  it("takes a low of 0 for none, as the high", () => {
    const { highPrice, lowPrice } = only(miniTicker({ 5: "0", 6: "0" })) as Ticker
    assert.deepStrictEqual([highPrice, lowPrice], [null, null])
  })

  it("refuses tickers of every pair whose items are none", () => {
    failsWith(
      concat([everyHead, field(310, concat([field(1, mini()), Uint8Array.of(0x0a, 0x05, 0x01)]))]),
      /cut off|beyond/
    )
    failsWith(miniTickers(mini({ 1: "" })), /without a readable symbol/)
  })
})

// Random frames last: what one of the cases above shows is shown sooner and in fewer words.
describe("MEXC decoder against protobufjs", () => {
  it.prop("reads every random message as the library does, without its help", { frame: anyFrame }, ({ frame }) => {
    const calls = decode(frame)
    assert.notInclude(tagsOf(calls), "fallback")
    assert.deepStrictEqual(eventsOf(calls), expectedEvents(frame))
  }, { arbitrary: { runs: 1200 } })

  it.prop(
    "reads fields in any order, with unknown ones between",
    { frame: anyFrame, seed },
    ({ frame, seed: order }) => {
      const unknown = [field(20, "new"), varintField(7, order), field(399, concat([varintField(1, 1)]))]
      const fixed = [concat([varint(8 * 8 + 1), new Uint8Array(8)]), concat([varint(9 * 8 + 5), new Uint8Array(4)])]
      const mixed = concat(shuffled([...fieldsOf(frame), ...unknown, ...fixed], order))
      const calls = decode(mixed)
      assert.notInclude(tagsOf(calls), "fallback")
      assert.deepStrictEqual(eventsOf(calls), expectedEvents(frame))
    }
  )

  it.prop(
    "gives the generic decoder what it cannot walk, with the same events",
    { frame: anyFrame, seed },
    ({ frame, seed: order }) => {
      const odd = shuffled([...fieldsOf(frame), group(20, group(21, varintField(1, order)))], order)
      const calls = decode(concat(odd))
      assert.strictEqual(calls[0]?._tag, "fallback")
      assert.deepStrictEqual(eventsOf(calls), expectedEvents(frame))
    }
  )

  it.prop("merges a body that comes in two parts", { frame: depthFrame, second: depthFrame }, ({ frame, second }) => {
    const body = fieldsOf(second).at(-1)!
    const twice = concat([frame, body])
    const calls = decode(twice)
    const expected = updateOf(generic(twice))
    assert.strictEqual(calls[0]?._tag, "fallback")
    if (expected.firstVersion <= expected.version) assert.deepStrictEqual(eventsOf(calls), [expected])
    else assert.strictEqual(calls.at(-1)?._tag, "failed")
  })

  it.prop("keeps the last of several scalars", { frame: tickerFrame, second: tickerFrame }, ({ frame, second }) => {
    const bodyOf = (whole: Uint8Array) => {
      const walker = new MexcWire.Walker()
      const last = fieldsOf(whole).at(-1)!
      walker.step(last, 0, last.length, MexcWire.wrapperLayout)
      return last.slice(walker.starts[MexcWire.bodySlot], walker.ends[MexcWire.bodySlot])
    }
    const both = concat([...fieldsOf(frame).slice(0, -1), field(315, concat([bodyOf(frame), bodyOf(second)]))])
    const calls = decode(both)
    assert.deepStrictEqual(tagsOf(calls), ["event"])
    assert.deepStrictEqual(eventsOf(calls), [tickerOf(generic(both))])
  })
})

describe("MEXC decoder on damaged frames", () => {
  const check = (frame: Uint8Array): void => {
    const tags = tagsOf(decode(frame))
    assert.isNotEmpty(tags)
    if (tags.includes("failed")) assert.notInclude(tags, "event")
  }

  it.prop(
    "never throws and always says something, whichever bytes change",
    { frame: anyFrame, seed },
    ({ frame, seed: start }) => {
      let state = start
      const next = (below: number): number => {
        state = (Math.imul(state, 1103515245) + 12345) >>> 1
        return state % below
      }
      for (let round = 0; round < 20; round++) {
        const damaged = frame.slice()
        for (let change = next(4); change >= 0; change--) damaged[next(damaged.length)] = next(256)
        check(damaged)
        check(damaged.slice(0, next(damaged.length + 1)))
        check(concat([damaged.slice(next(damaged.length)), damaged]))
        // As by a connection that has met the channel.
        const { codec } = makeSubject()
        decode(frame, undefined, codec)
        assert.deepStrictEqual(decode(damaged, undefined, codec), decode(damaged))
      }
    },
    { arbitrary: { runs: 300 } }
  )

  it.prop("never throws on random bytes", { bytes: Schema.Array(int(0, 255)) }, ({ bytes }) => {
    check(Uint8Array.from(bytes))
    check(concat([head, Uint8Array.from(bytes)]))
    check(ticker(Uint8Array.from(bytes)))
    check(depth(versions, Uint8Array.from(bytes)))
    check(deals(Uint8Array.from(bytes)))
    check(limited(field(4, "1"), Uint8Array.from(bytes)))
    check(batch(plainQuote, Uint8Array.from(bytes)))
    check(concat([candleHead, field(308, concat([candleBody(), Uint8Array.from(bytes)]))]))
    check(concat([miniHead, field(309, concat([mini(), Uint8Array.from(bytes)]))]))
    check(miniTickers(mini(), Uint8Array.from(bytes)))
  }, { arbitrary: { runs: 300 } })

  it.prop("delivers nothing of a frame that is cut off", { frame: anyFrame }, ({ frame }) => {
    for (let length = 0; length < frame.length; length++) {
      const calls = decode(frame.slice(0, length))
      assert.isNotEmpty(calls)
      assert.deepStrictEqual(eventsOf(calls), [])
      // Nor with the rest of it as what follows in the socket's memory.
      const split = decode(frame.slice(0, length), new RecordingSink(), makeSubject().codec, frame.slice(length))
      assert.deepStrictEqual(split, calls)
    }
  }, { arbitrary: { runs: 60 } })
})
