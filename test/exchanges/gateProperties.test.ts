/** The scanner against the generic decoder and against the values a frame was made of. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import type { MarketEvent } from "../../src/domain/Market.ts"
import * as Numeric from "../../src/domain/Numeric.ts"
import * as Sequence from "../../src/domain/Sequence.ts"
import type { Codec } from "../../src/ExchangeAdapter.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { bytesOf, decode, eventsOf, isFallback, receivedAt, topicTable } from "./GateHarness.ts"

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

/** A frame, whether the scanner should know its layout, and its event with the exact texts taken out. */
interface Made {
  readonly frame: string
  readonly usual: boolean
  readonly event: Record<string, unknown>
}

const exactOf = (fields: ReadonlyArray<readonly [string, string]>): Record<string, string> | null => {
  const long = fields.filter(([, value]) => Numeric.significantDigits(value) > 15)
  return long.length === 0 ? null : Object.fromEntries(long)
}

const base = (symbol: string): Record<string, unknown> => ({
  symbol,
  pair: symbol.replace("_", "/"),
  receivedAt,
  contractSize: 1
})

const envelope = (
  channel: string,
  result: string,
  ranks: ReadonlyArray<number>,
  extras: number
): Pick<Made, "frame" | "usual"> => {
  const members: Array<Member> = [["channel", text(channel)], ["result", result], ["event", "\"update\""]]
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

const madeTicker: Arbitrary.Arbitrary<Made> = Arbitrary.map(
  Arbitrary.all([pairName, id, time, tickerSide, tickerSide, order, order, int(0, 15)]),
  ([symbol, version, t, [b, B], [a, A], ranks, outer, flags]) => {
    const result = object([
      ["t", `${t}`],
      ["u", `${version}`],
      ["s", text(symbol)],
      ["b", text(b)],
      ["B", text(B)],
      ["a", text(a)],
      ["A", text(A)]
    ], ranks)
    return {
      ...envelope("spot.book_ticker", result, outer, flags),
      event: {
        _tag: "BookTicker",
        ...base(symbol),
        bidPrice: numberOf(b),
        bidQuantity: numberOf(B),
        askPrice: numberOf(a),
        askQuantity: numberOf(A),
        version: Sequence.fromBigInt(version),
        exchangeTime: t,
        exact: exactOf([["bidPrice", b], ["bidQuantity", B], ["askPrice", a], ["askQuantity", A]])
      }
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
      event: {
        _tag: "Trade",
        ...base(symbol),
        id: tradeId.toString(),
        price: Number(price),
        quantity: Number(amount),
        side,
        exchangeTime: Number(`${t}.${fraction}`),
        exact: exactOf([["price", price], ["quantity", amount]])
      }
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

const bookForms = [
  ["spot.obu", "ob.", ".50", []],
  ["spot.order_book_update", "", "", [["l", "\"20\""], ["e", "\"depthUpdate\""]]],
  ["spot.order_book_update", "", "", [["l", "\"100\""], ["E", "1780000000"]]],
  ["spot.order_book_update", "", "", []]
] as const

const madeBook: Arbitrary.Arbitrary<Made> = Arbitrary.map(
  Arbitrary.all([pairName, id, id, time, levels, levels, order, order, int(0, 63), int(0, 3)]),
  ([symbol, from, span, t, bids, asks, ranks, outer, flags, form]) => {
    const [channel, prefix, suffix, labels] = bookForms[form]!
    const full = (flags & 16) > 0
    // A side may be left out.
    const sides: Record<string, LevelTexts> = flags & 32 ? { a: asks } : { a: asks, b: bids }
    const members: Array<Member> = [
      ["t", `${t}`],
      ["s", text(`${prefix}${symbol}${suffix}`)],
      ["U", `${from}`],
      ["u", `${from + span}`],
      ...Object.entries(sides).map(([key, list]) => [key, JSON.stringify(list)] as const),
      ...(full ? [["full", "true"]] as const : []),
      ...labels
    ]
    const [bid, ask] = [flatSide("bids", sides.b ?? []), flatSide("asks", asks)]
    const frame = envelope(channel, object(members, ranks), outer, flags)
    return {
      frame: frame.frame,
      usual: frame.usual,
      event: {
        _tag: "BookUpdate",
        ...base(symbol),
        kind: full ? "snapshot" : "delta",
        bids: bid.levels,
        asks: ask.levels,
        firstVersion: Sequence.fromBigInt(from),
        version: Sequence.fromBigInt(from + span),
        exchangeTime: t,
        exact: exactOf([...bid.texts, ...ask.texts])
      }
    }
  }
)

const makers = [["spot.book_ticker", madeTicker], ["spot.trades", madeTrade], [
  "spot.obu and update",
  madeBook
]] as const

describe("valid frames with members in any order", () => {
  for (const [name, made] of makers) {
    it.prop(
      `${name}: both decoders yield the values that the frame was made of`,
      [made],
      ([{ frame, usual, event }]) => {
        const fast = decode(frame)
        const generic = decode(` ${frame}`)
        assert.deepStrictEqual(eventsOf(fast), [event as unknown as MarketEvent])
        assert.deepStrictEqual(eventsOf(generic), [event as unknown as MarketEvent])
        // Only `channel` behind `result` is left to the generic decoder.
        assert.strictEqual(isFallback(fast), !usual)
        assert.isTrue(isFallback(generic))
      },
      { arbitrary: { runs: 400 } }
    )
  }
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
  for (const [name, made] of makers) {
    it.prop(
      `${name}: never throw, always say something, and are data only where JSON.parse agrees`,
      [made, damage],
      ([{ frame }, list]) => check(damaged(bytesOf(frame), list), gateSpot.makeCodec(topicTable())),
      { arbitrary: { runs: 600 } }
    )
  }

  const small = [
    `{"time":1,"channel":"spot.book_ticker","event":"update","result":{"t":1,"u":7,"s":"A_B","b":"1","B":"2","a":"","A":""}}`,
    `{"channel":"spot.trades","event":"update","result":{"id":5,"create_time_ms":"1.5","side":"buy","currency_pair":"A_B","amount":"0.5","price":"9"}}`,
    `{"channel":"spot.obu","result":{"t":1,"full":true,"s":"ob.A_B.50","u":6,"b":[["1","2"]],"a":[]},"event":"update"}`,
    `{"channel":"spot.order_book_update","event":"update","result":{"t":1,"l":"100","s":"A_B","U":2,"u":5,"b":null,"a":[["1","0"]]}}`
  ]
  for (const frame of small) {
    it(`every byte at every place of ${frame.slice(0, 60)}…`, () => {
      const bytes = bytesOf(frame).slice()
      const codec = gateSpot.makeCodec(topicTable())
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
