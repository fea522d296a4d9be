/** The scanner against the generic decoder and against the values a frame was made of. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import type { MarketEvent } from "../../src/domain/Market.ts"
import * as Numeric from "../../src/domain/Numeric.ts"
import * as Sequence from "../../src/domain/Sequence.ts"
import type { Codec, ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import { gateFutures } from "../../src/exchanges/gate/GateFutures.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { bytesOf, contractSize, decode, eventsOf, isFallback, pairOf, receivedAt, topicTable } from "./GateHarness.ts"

const int = (minimum: number, maximum: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** Plain decimals of every form: whole, with leading zeros behind the point, and longer than a number holds. */
const decimalText = Arbitrary.map(
  Arbitrary.all([int(0, 999_999_999), int(0, 999_999_999), int(0, 12), int(0, 4)]),
  ([whole, fraction, zeros, form]) =>
    [
      `${whole}`,
      `${whole}.${fraction}`,
      `0.${"0".repeat(zeros)}${fraction}`,
      `${whole}.${"0".repeat(zeros + 1)}`,
      `${whole}${fraction}.${fraction}${whole}`
    ][form]!
)

const positiveText = Arbitrary.map(decimalText, (text) => Number(text) > 0 ? text : `${text}1`.replace(/^0*1$/, "1"))

/** Ids up to far above 2^53. */
const id = Arbitrary.map(
  Arbitrary.all([int(0, 2 ** 31), int(0, 2 ** 31), int(0, 3)]),
  ([high, low, words]) => (BigInt(high) << BigInt(words * 13)) + BigInt(low)
)

const level = Arbitrary.all([positiveText, decimalText])
const levels = Arbitrary.array(level, { maxLength: 12 })
const pairName = Arbitrary.map(
  int(0, 5),
  (index) => ["BTC_USDT", "币安人生_USDT", "A_B", "龙虾_ETH", "X9_Y", "PEPE_TRY"][index]!
)
/** In which order members stand: as many numbers as the largest object has members. */
const order = Arbitrary.array(int(0, 1000), { minLength: 14, maxLength: 14 })

type Member = readonly [key: string, raw: string]

const object = (members: ReadonlyArray<Member>, ranks: ReadonlyArray<number>): string => {
  const sorted = members
    .map((member, index) => ({ member, rank: ranks[index]! }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ member: [key, raw] }) => `"${key}":${raw}`)
  return `{${sorted.join(",")}}`
}

const text = (value: string): string => JSON.stringify(value)

/** A frame, whether the scanner should know its layout, and its events. */
interface Made {
  readonly frame: string
  readonly usual: boolean
  readonly events: ReadonlyArray<Record<string, unknown>>
}

const exactOf = (fields: ReadonlyArray<readonly [string, string]>): Record<string, string> | null => {
  const long = fields.filter(([, value]) => Numeric.significantDigits(value) > 15)
  return long.length === 0 ? null : Object.fromEntries(long)
}

const base = (adapter: ExchangeAdapter, symbol: string): Record<string, unknown> => ({
  symbol,
  pair: pairOf(adapter, symbol),
  receivedAt,
  contractSize: adapter.kind === "spot" ? 1 : contractSize
})

/** Without the key `name`. */
const without = (record: Record<string, unknown>, name: string): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).filter(([key]) => key !== name))

const envelope = (
  channel: string,
  result: string,
  ranks: ReadonlyArray<number>,
  extras: number,
  event = "update"
): Pick<Made, "frame" | "usual"> => {
  const members: Array<Member> = [["channel", text(channel)], ["result", result], ["event", text(event)]]
  if (extras & 1) members.push(["time", "1780000000"], ["time_ms", "1780000000321"])
  if (extras & 2) members.push(["conn_id", "\"\""])
  if (extras & 4) members.push(["error", "null"], ["more", "true"])
  if (extras & 8) members.splice(2, 1)
  return { frame: object(members, ranks), usual: ranks[0]! <= ranks[1]! }
}

/** 0 stands for none. */
const time = int(1, 2_000_000_000_000)

/** A side of a ticker: empty, or a price with its quantity. */
const tickerSide = Arbitrary.map(
  Arbitrary.all([positiveText, decimalText, int(0, 3)]),
  ([price, quantity, empty]): readonly [price: string, quantity: string] => empty === 0 ? ["", ""] : [price, quantity]
)

const numberOf = (value: string): number | null => value === "" ? null : Number(value)

/** A size on the wire: text with the decimal header, a whole number without. */
const sizeOf = (adapter: ExchangeAdapter, size: string): string =>
  adapter.kind === "swap" && /^(0|[1-9]\d*)$/.test(size) ? size : text(size)

const madeTicker = (adapter: ExchangeAdapter, channel: string): Arbitrary.Arbitrary<Made> =>
  Arbitrary.map(
    Arbitrary.all([pairName, id, time, tickerSide, tickerSide, order, order, int(0, 15)]),
    ([symbol, version, t, [b, B], [a, A], ranks, outer, flags]) => {
      const result = object([
        ["t", `${t}`],
        ["u", `${version}`],
        ["s", text(symbol)],
        ["b", text(b)],
        ["B", sizeOf(adapter, B)],
        ["a", text(a)],
        ["A", sizeOf(adapter, A)]
      ], ranks)
      return {
        ...envelope(channel, result, outer, flags),
        events: [{
          _tag: "BookTicker",
          ...base(adapter, symbol),
          bidPrice: numberOf(b),
          bidQuantity: numberOf(B),
          askPrice: numberOf(a),
          askQuantity: numberOf(A),
          version: Sequence.fromBigInt(version),
          exchangeTime: t,
          exact: exactOf([["bidPrice", b], ["bidQuantity", B], ["askPrice", a], ["askQuantity", A]])
        }]
      }
    }
  )

const madeTrade: Arbitrary.Arbitrary<Made> = Arbitrary.map(
  Arbitrary.all([pairName, id, time, int(0, 9999), positiveText, positiveText, order, order, int(0, 31)]),
  ([symbol, tradeId, t, fraction, price, amount, ranks, outer, flags]) => {
    const side = flags & 16 ? "buy" : "sell"
    const result = object([
      ["id", `${tradeId}`],
      ["id_market", "917144"],
      ["create_time", `${Math.floor(t / 1000)}`],
      ["create_time_ms", text(`${t}.${fraction}`)],
      ["side", text(side)],
      ["currency_pair", text(symbol)],
      ["amount", text(amount)],
      ["price", text(price)],
      ["range", "\"1-2\""]
    ], ranks)
    return {
      ...envelope("spot.trades", result, outer, flags),
      events: [{
        _tag: "Trade",
        ...base(gateSpot, symbol),
        id: tradeId.toString(),
        price: Number(price),
        quantity: Number(amount),
        side,
        exchangeTime: Number(`${t}.${fraction}`),
        exact: exactOf([["price", price], ["quantity", amount]])
      }]
    }
  }
)

/** Several trades in one frame; `create_time_ms` is a number, the size's sign the side. */
const madeTrades: Arbitrary.Arbitrary<Made> = Arbitrary.map(
  Arbitrary.all([
    Arbitrary.array(Arbitrary.all([pairName, id, time, positiveText, positiveText, order, int(0, 3)]), {
      minLength: 1,
      maxLength: 4
    }),
    order,
    int(0, 31)
  ]),
  ([trades, outer, flags]) => {
    const objects = trades.map(([symbol, tradeId, t, price, size, ranks, form]) => {
      const digits = sizeOf(gateFutures, size)
      const signed = digits.startsWith("\"") ? `"-${digits.slice(1)}` : `-${digits}`
      return object([
        ["size", form & 1 ? digits : signed],
        ["id", `${tradeId}`],
        ["create_time", `${Math.floor(t / 1000)}`],
        ["create_time_ms", `${t}`],
        ["price", text(price)],
        ["contract", text(symbol)],
        ...(form & 2 ? [["is_internal", "true"]] as const : [])
      ], ranks)
    })
    // A single one may stand for its list.
    const result = objects.length === 1 && flags & 16 ? objects[0]! : `[${objects.join(",")}]`
    return {
      ...envelope("futures.trades", result, outer, flags),
      events: trades.map(([symbol, tradeId, t, price, size, , form]) => ({
        _tag: "Trade",
        ...base(gateFutures, symbol),
        id: tradeId.toString(),
        price: Number(price),
        quantity: Number(size),
        side: form & 1 ? "buy" : "sell",
        exchangeTime: t,
        exact: exactOf([["price", price], ["quantity", size]])
      }))
    }
  }
)

type LevelTexts = ReadonlyArray<readonly [price: string, quantity: string]>

/** What an event holds of a side. */
const flatSide = (name: string, list: LevelTexts) => ({
  levels: list.flatMap(([price, quantity]) => [Number(price), Number(quantity)]),
  texts: list.flatMap(([price, quantity], index) =>
    [[`${name}[${2 * index}]`, price], [`${name}[${2 * index + 1}]`, quantity]] as const
  )
})

/** How a book stream looks on the wire. */
interface BookForm {
  readonly channel: string
  readonly before: string
  readonly behind: string
  readonly labels: ReadonlyArray<Member>
}

const form = (channel: string, labels: ReadonlyArray<Member> = [], before = "", behind = ""): BookForm => ({
  channel,
  before,
  behind,
  labels
})

const spotForms = [
  form("spot.obu", [], "ob.", ".50"),
  form("spot.order_book_update", [["l", "\"20\""], ["e", "\"depthUpdate\""]]),
  form("spot.order_book_update", [["l", "\"100\""], ["E", "1780000000"]]),
  form("spot.order_book_update")
]

const futuresForms = [
  form("futures.obu", [], "ob.", ".400"),
  form("futures.order_book_update", [["l", "\"20\""]]),
  form("futures.order_book_update", [["l", "\"50\""]]),
  form("futures.order_book_update")
]

/** A side on the wire: pairs of text, or objects in the delta and whole books of futures. */
const wireSide = (adapter: ExchangeAdapter, channel: string, list: LevelTexts): string =>
  adapter.kind === "spot" || channel === "futures.obu"
    ? JSON.stringify(list)
    : `[${list.map(([price, size]) => `{"p":${text(price)},"s":${sizeOf(adapter, size)}}`).join(",")}]`

const madeBook = (adapter: ExchangeAdapter, forms: ReadonlyArray<BookForm>): Arbitrary.Arbitrary<Made> =>
  Arbitrary.map(
    Arbitrary.all([pairName, id, id, time, levels, levels, order, order, int(0, 63), int(0, 3)]),
    ([symbol, from, span, t, bids, asks, ranks, outer, flags, which]) => {
      const { before, behind, channel, labels } = forms[which]!
      const full = (flags & 16) > 0
      // A side may be left out.
      const sides: Record<string, LevelTexts> = flags & 32 ? { a: asks } : { a: asks, b: bids }
      const members: Array<Member> = [
        ["t", `${t}`],
        ["s", text(`${before}${symbol}${behind}`)],
        ["U", `${from}`],
        ["u", `${from + span}`],
        ...Object.entries(sides).map(([key, list]) => [key, wireSide(adapter, channel, list)] as const),
        ...(full ? [["full", "true"]] as const : []),
        ...labels
      ]
      const [bid, ask] = [flatSide("bids", sides.b ?? []), flatSide("asks", asks)]
      return {
        ...envelope(channel, object(members, ranks), outer, flags),
        events: [{
          _tag: "BookUpdate",
          ...base(adapter, symbol),
          kind: full ? "snapshot" : "delta",
          bids: bid.levels,
          asks: ask.levels,
          firstVersion: Sequence.fromBigInt(from),
          version: Sequence.fromBigInt(from + span),
          exchangeTime: t,
          exact: exactOf([...bid.texts, ...ask.texts])
        }]
      }
    }
  )

const madeWhole = (adapter: ExchangeAdapter): Arbitrary.Arbitrary<Made> =>
  Arbitrary.map(
    Arbitrary.all([pairName, id, time, levels, levels, order, order, int(0, 63)]),
    ([symbol, version, t, bids, asks, ranks, outer, flags]) => {
      const isSpot = adapter.kind === "spot"
      const channel = isSpot ? "spot.order_book" : "futures.order_book"
      const members: Array<Member> = [
        ["t", `${t}`],
        [isSpot ? "s" : "contract", text(symbol)],
        [isSpot ? "lastUpdateId" : "id", `${version}`],
        ["bids", wireSide(adapter, channel, bids)],
        ["asks", wireSide(adapter, channel, asks)],
        ...(flags & 16 ? [["l", "\"20\""]] as const : [])
      ]
      const [bid, ask] = [flatSide("bids", bids), flatSide("asks", asks)]
      return {
        ...envelope(channel, object(members, ranks), outer, flags, isSpot ? "update" : "all"),
        events: [{
          _tag: "BookUpdate",
          ...base(adapter, symbol),
          kind: "snapshot",
          bids: bid.levels,
          asks: ask.levels,
          firstVersion: Sequence.fromBigInt(version),
          version: Sequence.fromBigInt(version),
          exchangeTime: t,
          exact: exactOf([...bid.texts, ...ask.texts])
        }]
      }
    }
  )

/** A field that may be empty. */
const maybe = Arbitrary.map(
  Arbitrary.all([decimalText, int(0, 3)]),
  ([value, empty]) => empty === 0 ? "" : value
)

const signedText = Arbitrary.map(
  Arbitrary.all([decimalText, int(0, 1)]),
  ([value, sign]) => sign === 0 ? value : `-${value}`
)

/** A price of a day, where 0 stands for none. */
const priceOf = (value: string): number | null => numberOf(value) || null

/** Zero has no sign. */
const signedOf = (value: string): number => 0 + Number(value)

const percentOf = (value: string): number => 0 + Number(`${value}e-2`)

const signedExact = (fields: ReadonlyArray<readonly [string, string]>): Record<string, string> | null => {
  const long = fields.filter(([, value]) => Numeric.significantDigits(value.replace("-", "")) > 15)
  return long.length === 0 ? null : Object.fromEntries(long)
}

const madeDay: Arbitrary.Arbitrary<Made> = Arbitrary.map(
  Arbitrary.all([
    pairName,
    Arbitrary.all([decimalText, maybe, maybe, maybe, maybe]),
    signedText,
    order,
    order,
    int(0, 15)
  ]),
  ([symbol, [last, bid, ask, high, volume], change, ranks, outer, flags]) => {
    const result = object([
      ["currency_pair", text(symbol)],
      ["last", text(last)],
      ["lowest_ask", text(ask)],
      ["highest_bid", text(bid)],
      ["change_percentage", text(change)],
      ["base_volume", text(volume)],
      ["high_24h", text(high)]
    ], ranks)
    return {
      ...envelope("spot.tickers", result, outer, flags),
      events: [{
        _tag: "Ticker",
        ...without(base(gateSpot, symbol), "contractSize"),
        lastPrice: Number(last),
        bidPrice: priceOf(bid),
        askPrice: priceOf(ask),
        highPrice: numberOf(high),
        lowPrice: null,
        change: percentOf(change),
        baseVolume: numberOf(volume),
        quoteVolume: null,
        exchangeTime: flags & 1 ? 1_780_000_000_321 : null,
        exact: exactOf([
          ["lastPrice", last],
          ["bidPrice", bid],
          ["askPrice", ask],
          ["highPrice", high],
          ["baseVolume", volume]
        ])
      }]
    }
  }
)

const madeFuturesDay: Arbitrary.Arbitrary<Made> = Arbitrary.map(
  Arbitrary.all([
    Arbitrary.array(
      Arbitrary.all([
        pairName,
        Arbitrary.all([decimalText, maybe, maybe, maybe]),
        signedText,
        signedText,
        int(1, 2_000_000_000),
        order,
        int(0, 3)
      ]),
      { minLength: 1, maxLength: 3 }
    ),
    order,
    int(0, 15)
  ]),
  ([days, outer, flags]) => {
    const result = days.map(([symbol, [last, mark, size, volume], change, rate, next, ranks, form]) =>
      object([
        ["contract", text(symbol)],
        ["last", text(last)],
        ["change_percentage", text(change)],
        ["mark_price", text(mark)],
        ["funding_rate", text(rate)],
        ["funding_next_apply", `${next}`],
        ["funding_interval", "28800"],
        ["total_size", sizeOf(gateFutures, size)],
        ["volume_24h", sizeOf(gateFutures, volume)],
        ["price_type", "\"last\""],
        ...(form & 1 ? [["t", `${next}123`]] as const : [])
      ], ranks)
    ).join(",")
    return {
      ...envelope("futures.tickers", `[${result}]`, outer, flags),
      events: days.map(([symbol, [last, mark, size, volume], change, rate, next, , form]) => ({
        _tag: "FuturesTicker",
        ...base(gateFutures, symbol),
        lastPrice: Number(last),
        markPrice: numberOf(mark),
        indexPrice: null,
        fundingRate: signedOf(rate),
        nextFundingTime: next * 1000,
        fundingInterval: 28_800_000,
        openInterest: numberOf(size),
        highPrice: null,
        lowPrice: null,
        change: percentOf(change),
        contractVolume: numberOf(volume),
        baseVolume: null,
        quoteVolume: null,
        exchangeTime: form & 1 ? Number(`${next}123`) : flags & 1 ? 1_780_000_000_321 : null,
        exact: signedExact([
          ["lastPrice", last],
          ["markPrice", mark],
          ["fundingRate", rate],
          ["openInterest", size],
          ["contractVolume", volume]
        ])
      }))
    }
  }
)

const makers: ReadonlyArray<readonly [name: string, adapter: ExchangeAdapter, made: Arbitrary.Arbitrary<Made>]> = [
  ["spot.book_ticker", gateSpot, madeTicker(gateSpot, "spot.book_ticker")],
  ["spot.trades", gateSpot, madeTrade],
  ["spot.obu and update", gateSpot, madeBook(gateSpot, spotForms)],
  ["spot.order_book", gateSpot, madeWhole(gateSpot)],
  ["spot.tickers", gateSpot, madeDay],
  ["futures.book_ticker", gateFutures, madeTicker(gateFutures, "futures.book_ticker")],
  ["futures.trades", gateFutures, madeTrades],
  ["futures.obu and update", gateFutures, madeBook(gateFutures, futuresForms)],
  ["futures.order_book", gateFutures, madeWhole(gateFutures)],
  ["futures.tickers", gateFutures, madeFuturesDay]
]

const codecOf = (adapter: ExchangeAdapter): Codec => adapter.makeCodec(topicTable(adapter))

describe("valid frames with members in any order", () => {
  for (const [name, adapter, made] of makers) {
    it.prop(
      `${name}: both decoders yield the values that the frame was made of`,
      [made],
      ([{ frame, usual, events }]) => {
        const fast = decode(frame, codecOf(adapter))
        const generic = decode(` ${frame}`, codecOf(adapter))
        assert.deepStrictEqual(eventsOf(fast), events as unknown as ReadonlyArray<MarketEvent>)
        assert.deepStrictEqual(eventsOf(generic), events as unknown as ReadonlyArray<MarketEvent>)
        // Only `channel` behind `result` is left to the generic decoder.
        assert.strictEqual(isFallback(fast), !usual)
        assert.isTrue(isFallback(generic))
      },
      { arbitrary: { runs: 400 } }
    )
  }
})

// ---- Layouts that were met before ----

/** The same layout with other numbers of other lengths; names like `volume_24h` stay. */
const renumbered = (frame: string, draws: ReadonlyArray<number>): string => {
  let next = 0
  return frame.replaceAll(/(?<![A-Za-z_\d])\d+/g, (digits) => {
    const draw = draws[next++ % draws.length]!
    const length = draw % 5 === 0 ? 1 + (draw % 23) : digits.length
    return String(draw).repeat(8).slice(0, length).replace(/^0+(?=\d)/, "7")
  })
}

describe("a layout that was met before", () => {
  const draws = Arbitrary.array(int(0, 999_999_999), { minLength: 7, maxLength: 7 })
  for (const [name, adapter, made] of makers) {
    it.prop(
      `${name}: is read as if it were new`,
      [made, made, draws],
      ([one, other, numbers]) => {
        const codec = codecOf(adapter)
        for (const frame of [one.frame, other.frame, one.frame, other.frame]) {
          const varied = renumbered(frame, numbers)
          assert.deepStrictEqual(decode(frame, codec), decode(frame, codecOf(adapter)))
          assert.deepStrictEqual(decode(varied, codec), decode(varied, codecOf(adapter)), varied)
        }
      },
      { arbitrary: { runs: 40 } }
    )
  }

  it("also where there are more layouts than are kept", () => {
    const codec = codecOf(gateSpot)
    const frames = Array.from(
      { length: 9 },
      (_, i) =>
        `{"channel":"spot.book_ticker","event":"update",${
          `"x${i}":1,`.repeat(1)
        }"result":{"t":1,"u":${i},"s":"A_B","b":"1","B":"2","a":"3","A":"4"}}`
    )
    for (let round = 0; round < 40; round++) {
      for (const frame of frames) {
        assert.deepStrictEqual(decode(frame, codec), decode(frame, codecOf(gateSpot)))
      }
    }
  })
})

// ---- Damage ----

type Damage = readonly [place: number, byte: number, kind: number]

/** Replaces, removes or inserts a byte, repeats a stretch, or swaps two. */
const damaged = (frame: Uint8Array, damage: ReadonlyArray<Damage>): Uint8Array => {
  let bytes = [...frame]
  for (const [place, byte, kind] of damage) {
    const at = place % Math.max(1, bytes.length)
    if (kind === 0) bytes[at] = byte
    else if (kind === 1) bytes.splice(at, 1)
    else if (kind === 2) bytes.splice(at, 0, byte)
    else if (kind === 3) bytes = [...bytes.slice(0, at), ...bytes.slice(at >> 1)]
    else [bytes[at], bytes[0]] = [bytes[0]!, bytes[at]!]
  }
  return Uint8Array.from(bytes)
}

/** What JSON is written with, more often than chance would have it. */
const byte = Arbitrary.map(
  Arbitrary.all([int(0, 2), int(0, 255), int(0, 15)]),
  ([choice, any, index]) => choice === 0 ? any : "{}[],:\"\\ 019.-eu".charCodeAt(index)
)

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const parses = (frame: Uint8Array): boolean => {
  try {
    JSON.parse(strict.decode(frame))
    return true
  } catch {
    return false
  }
}

const check = (frame: Uint8Array, codec: Codec): void => {
  const calls = decode(frame, codec)
  assert.isAbove(calls.length, 0)
  const events = eventsOf(calls)
  if (events.length === 0) return
  assert.isTrue(parses(frame), "data from a frame that JSON.parse refuses")
  if (isFallback(calls)) return
  const spaced = new Uint8Array(frame.length + 1)
  spaced[0] = 0x20
  spaced.set(frame, 1)
  assert.deepStrictEqual(eventsOf(decode(spaced, codec)), events)
}

describe("damaged frames", () => {
  const damage = Arbitrary.array(Arbitrary.all([int(0, 4000), byte, int(0, 4)]), { minLength: 1, maxLength: 3 })
  for (const [name, adapter, made] of makers) {
    it.prop(
      `${name}: never throw, always say something, and are data only where JSON.parse agrees`,
      [made, damage],
      ([{ frame }, list]) => check(damaged(bytesOf(frame), list), codecOf(adapter)),
      { arbitrary: { runs: 400 } }
    )
  }

  const small = [
    `{"time":1,"channel":"spot.book_ticker","event":"update","result":{"t":1,"u":7,"s":"A_B","b":"1","B":"2","a":"","A":""}}`,
    `{"channel":"spot.trades","event":"update","result":{"id":5,"create_time_ms":"1.5","side":"buy","currency_pair":"A_B","amount":"0.5","price":"9"}}`,
    `{"channel":"spot.obu","result":{"t":1,"full":true,"s":"ob.A_B.50","u":6,"b":[["1","2"]],"a":[]},"event":"update"}`,
    `{"channel":"spot.order_book_update","event":"update","result":{"t":1,"l":"100","s":"A_B","U":2,"u":5,"b":null,"a":[["1","0"]]}}`,
    `{"channel":"futures.trades","event":"update","result":[{"size":-3,"id":5,"create_time_ms":1,"price":"9","contract":"A_B"},{"size":"1.5","id":6,"create_time_ms":2,"price":"9","contract":"A_B"}]}`,
    `{"channel":"futures.order_book_update","event":"update","result":{"t":1,"U":2,"u":5,"s":"A_B","a":[{"p":"1","s":2}],"b":[{"p":"3","s":"0.5"}],"l":"50"}}`,
    `{"time_ms":5,"channel":"futures.tickers","event":"update","result":[{"contract":"A_B","last":"7","change_percentage":"-1","funding_rate":"-0.1","total_size":3}]}`
  ]
  for (const frame of small) {
    it(`every byte at every place of ${frame.slice(0, 60)}…`, () => {
      const bytes = bytesOf(frame).slice()
      const codec = codecOf(frame.includes("spot.") ? gateSpot : gateFutures)
      for (let place = 0; place < bytes.length; place++) {
        const kept = bytes[place]!
        for (let value = 0; value < 256; value++) {
          bytes[place] = value
          check(bytes, codec)
        }
        bytes[place] = kept
      }
    })
  }
})
