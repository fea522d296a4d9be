/**
 * Our MEXC decoder reads what the encoder that ccxt ships writes, compiled from MEXC's published schema. That schema is
 * older than ours: deals have no `tradeId`, tickers no `version`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import compiled from "../../node_modules/ccxt/js/src/protobuf/mexc/compiled.cjs"
import type { BookTicker, BookUpdate, Kline, Ticker, Trade } from "../../src/domain/Market.ts"
import type { ExactText } from "../../src/domain/Numeric.ts"
import {
  canonical,
  channelOf,
  decode,
  eventsOf,
  exactly,
  levelsOf,
  receivedAt,
  sideOf,
  tagsOf,
  tradeOf
} from "../exchanges/MexcFrames.ts"

/** pbjs writes no types for what it exports. */
interface MessageType {
  readonly fromObject: (fields: object) => object
  readonly verify: (message: object) => string | null
  readonly encode: (message: object) => { readonly finish: () => Uint8Array }
}

const { PushDataV3ApiWrapper } = compiled as unknown as { readonly PushDataV3ApiWrapper: MessageType }

const encode = (fields: object): Uint8Array => {
  const message = PushDataV3ApiWrapper.fromObject(fields)
  assert.isNull(PushDataV3ApiWrapper.verify(message))
  return Uint8Array.from(PushDataV3ApiWrapper.encode(message).finish())
}

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum, maximum }))))

/** A decimal above zero, often with more digits than a double holds. */
const decimal = Arbitrary.map(
  Arbitrary.all([int(0, 2 ** 40), int(1, 2 ** 50), int(0, 16)]),
  ([whole, fraction, zeros]) => `${whole}.${"0".repeat(zeros)}${fraction}`
)

const level = Arbitrary.all({ price: decimal, quantity: decimal })
const levels = Arbitrary.array(level, { maxLength: 12 })
const version = int(1, Number.MAX_SAFE_INTEGER - 1_000)
const envelope = {
  symbol: Arbitrary.schema(Schema.Literals(["BTCUSDT", "1000PEPEUSDT", "龙虾USDT"])),
  sendTime: int(1, Number.MAX_SAFE_INTEGER)
}

interface Level {
  readonly price: string
  readonly quantity: string
}

const sizes = ({ price, quantity }: Level) => ({ price: canonical(price), size: canonical(quantity) })
const rows = (side: ReadonlyArray<Level>) =>
  side.map(({ price, quantity }) => [canonical(price), canonical(quantity)] as const)

/** The events of a frame, read without the generic decoder's help. */
const read = <Event>(message: object): ReadonlyArray<Event> => {
  const calls = decode(encode(message))
  assert.isTrue(tagsOf(calls).every((tag) => tag === "event"), JSON.stringify(calls))
  return eventsOf(calls) as ReadonlyArray<Event>
}

/** The exact decimals of fields. */
const decimalsOf = <Event extends { readonly exact: ExactText | null }>(
  event: Event,
  fields: ReadonlyArray<keyof Event & string>
): ReadonlyArray<string> => fields.map((field) => exactly(event, field, event[field] as number))

/** What a mini ticker says of a day: `volume` is in quote, `quantity` in base. */
const day = Arbitrary.all({
  price: decimal,
  rate: decimal,
  zonedRate: decimal,
  high: decimal,
  low: decimal,
  volume: decimal,
  quantity: decimal
})
const dayFields = ["lastPrice", "highPrice", "lowPrice", "change", "quoteVolume", "baseVolume"] as const
const dayOf = ({ high, low, price, quantity, volume, zonedRate }: Readonly<Record<string, string>>) =>
  [price!, high!, low!, zonedRate!, volume!, quantity!].map(canonical)

describe("frames by ccxt's encoder", () => {
  it.prop("aggre.bookTicker", { bid: level, ask: level, ...envelope }, ({ ask, bid, sendTime, symbol }) => {
    const body = { bidPrice: bid.price, bidQuantity: bid.quantity, askPrice: ask.price, askQuantity: ask.quantity }
    const channel = channelOf("BookTicker", symbol)
    const [event, ...others] = read<BookTicker>({ channel, symbol, sendTime, publicAggreBookTicker: body })
    assert.strictEqual(others.length, 0)
    assert.deepStrictEqual([sideOf(event!, "bid"), sideOf(event!, "ask")], [sizes(bid), sizes(ask)])
    assert.deepInclude(event!, { _tag: "BookTicker", symbol, exchangeTime: sendTime, receivedAt, version: null })
  })

  it.prop(
    "aggre.deals",
    {
      deals: Arbitrary.array(
        Arbitrary.all({
          price: decimal,
          quantity: decimal,
          tradeType: int(1, 2),
          time: int(1, Number.MAX_SAFE_INTEGER)
        }),
        { minLength: 1, maxLength: 12 }
      ),
      ...envelope
    },
    ({ deals, sendTime, symbol }) => {
      const channel = channelOf("Trades", symbol)
      const eventType = "spot@public.aggre.deals.v3.api.pb@100ms"
      const trades = read<Trade>({ channel, symbol, sendTime, publicAggreDeals: { deals, eventType } })
      const expected = deals.map((deal) => ({
        ...sizes(deal),
        side: deal.tradeType === 1 ? "buy" : "sell",
        tsMs: deal.time,
        id: null
      }))
      assert.deepStrictEqual<unknown>(trades.map(tradeOf), expected)
    }
  )

  it.prop(
    "aggre.depth",
    { asks: levels, bids: levels, from: version, count: int(0, 1_000), ...envelope },
    ({ asks, bids, count, from, sendTime, symbol }) => {
      const publicAggreDepths = {
        asks,
        bids,
        eventType: "spot@public.aggre.depth.v3.api.pb@100ms",
        fromVersion: String(from),
        toVersion: String(from + count)
      }
      const [event, ...others] = read<BookUpdate>({
        channel: channelOf("Book", symbol),
        symbol,
        sendTime,
        publicAggreDepths
      })
      assert.strictEqual(others.length, 0)
      assert.deepStrictEqual([levelsOf(event!, "asks"), levelsOf(event!, "bids")], [rows(asks), rows(bids)])
      assert.deepInclude(event!, { kind: "delta", firstVersion: from, version: from + count, exchangeTime: sendTime })
    }
  )

  it.prop(
    "limit.depth",
    { asks: levels, bids: levels, version, ...envelope },
    ({ asks, bids, sendTime, symbol, version }) => {
      const eventType = "spot@public.limit.depth.v3.api.pb"
      const [event, ...others] = read<BookUpdate>({
        channel: `${eventType}@${symbol}@20`,
        symbol,
        sendTime,
        publicLimitDepths: { asks, bids, eventType, version: String(version) }
      })
      assert.strictEqual(others.length, 0)
      assert.deepStrictEqual([levelsOf(event!, "asks"), levelsOf(event!, "bids")], [rows(asks), rows(bids)])
      assert.deepInclude(event!, { kind: "snapshot", firstVersion: version, version, exchangeTime: sendTime })
    }
  )

  it.prop(
    "bookTicker.batch",
    {
      quotes: Arbitrary.array(Arbitrary.all({ bid: level, ask: level }), { minLength: 1, maxLength: 5 }),
      ...envelope
    },
    ({ quotes, sendTime, symbol }) => {
      const items = quotes.map(({ ask, bid }) => ({
        bidPrice: bid.price,
        bidQuantity: bid.quantity,
        askPrice: ask.price,
        askQuantity: ask.quantity
      }))
      const channel = `spot@public.bookTicker.batch.v3.api.pb@${symbol}`
      const events = read<BookTicker>({ channel, symbol, sendTime, publicBookTickerBatch: { items } })
      assert.deepStrictEqual(
        events.map((event) => ({ bid: sideOf(event, "bid"), ask: sideOf(event, "ask") })),
        quotes.map(({ ask, bid }) => ({ bid: sizes(bid), ask: sizes(ask) }))
      )
    }
  )

  it.prop(
    "kline",
    { start: int(1, 2 ** 33), prices: Arbitrary.all([decimal, decimal, decimal, decimal]), traded: level, ...envelope },
    ({ prices: [openingPrice, highestPrice, lowestPrice, closingPrice], sendTime, start, symbol, traded }) => {
      const [event, ...others] = read<Kline>({
        channel: `spot@public.kline.v3.api.pb@${symbol}@Min1`,
        symbol,
        sendTime,
        publicSpotKline: {
          interval: "Min1",
          windowStart: start,
          openingPrice,
          closingPrice,
          highestPrice,
          lowestPrice,
          volume: traded.quantity,
          amount: traded.price,
          windowEnd: start + 60
        }
      })
      assert.strictEqual(others.length, 0)
      assert.deepStrictEqual(decimalsOf(event!, ["open", "high", "low", "close", "baseVolume", "quoteVolume"]), [
        ...[openingPrice, highestPrice, lowestPrice, closingPrice].map(canonical),
        canonical(traded.quantity),
        canonical(traded.price)
      ])
      assert.deepInclude(event!, { interval: "1m", openTime: start * 1_000, closeTime: (start + 60) * 1_000 })
    }
  )

  it.prop("miniTicker", { day, ...envelope }, ({ day, sendTime, symbol }) => {
    const channel = `spot@public.miniTicker.v3.api.pb@${symbol}@24H`
    const publicMiniTicker = { symbol, ...day }
    const [event, ...others] = read<Ticker>({ channel, symbol, sendTime, publicMiniTicker })
    assert.strictEqual(others.length, 0)
    assert.deepStrictEqual(decimalsOf(event!, dayFields), dayOf(day))
    assert.deepInclude(event!, { symbol, exchangeTime: sendTime })
  })

  it.prop(
    "miniTickers",
    { days: Arbitrary.array(day, { minLength: 1, maxLength: 5 }), ...envelope },
    ({ days, sendTime }) => {
      const items = days.map((day, index) => ({ symbol: `COIN${index}USDT`, ...day }))
      const channel = "spot@public.miniTickers.v3.api.pb@24H"
      const events = read<Ticker>({ channel, sendTime, publicMiniTickers: { items } })
      assert.deepStrictEqual(events.map(({ symbol }) => symbol), items.map(({ symbol }) => symbol))
      assert.deepStrictEqual(events.map((event) => decimalsOf(event, dayFields)), days.map(dayOf))
    }
  )
})
