/**
 * Tickers of a pair that was met before are read in one pass. What that takes must be read as a connection reads it that has
 * met nothing yet, byte for byte damaged or not.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import type { Codec, ExchangeAdapter, Sink } from "../../src/ExchangeAdapter.ts"
import { gateFutures } from "../../src/exchanges/gate/GateFutures.ts"
import { futures, spot } from "../../src/exchanges/gate/GateProduct.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { TickerReader } from "../../src/exchanges/gate/GateTicker.ts"
import { Topics } from "../../src/exchanges/gate/GateTopics.ts"
import * as MexcWire from "../../src/exchanges/mexc/MexcWire.ts"
import * as Gate from "./GateHarness.ts"
import * as Mexc from "./MexcFrames.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** As long as those on the wire, and sometimes too long, empty, zero or padded. */
const decimal = Arbitrary.map(
  Arbitrary.all([int(0, 9_999_999), int(0, 99_999_999), int(0, 13)]),
  ([whole, fraction, form]) =>
    ["", "0", "0.0", `0${whole}`, `${whole}${fraction}${whole}`, `0.${whole}${fraction}`][form] ??
      (form < 9 ? `${whole}` : `${whole}.${fraction}`)
)
const time = Arbitrary.map(
  Arbitrary.all([int(0, 999_999_999), int(0, 9)]),
  ([low, form]) => [low, 0, 2 ** 42 - 1, 2 ** 42, 10_000_000_000_000][form] ?? 1_790_000_000_000 + low
)
const version = Arbitrary.map(
  Arbitrary.all([int(0, 2 ** 31), int(0, 5)]),
  ([low, form]) => ["", `9007199254${low}`, `0${low}`][form] ?? `${low}`
)
const sides = { bid: decimal, bidQuantity: decimal, ask: decimal, askQuantity: decimal }
const pair = int(0, 2)

/** What happens to the bytes. */
const damage = Arbitrary.array(Arbitrary.all([int(0, 5), int(0, 400), int(0, 255)]), { maxLength: 3 })

const damaged = (frame: Uint8Array, changes: ReadonlyArray<readonly [number, number, number]>): Uint8Array => {
  let bytes = [...frame]
  for (const [kind, at, byte] of changes) {
    const place = at % (bytes.length + 1)
    if (kind <= 2) bytes[place] = byte
    else if (kind === 3) bytes = [...bytes.slice(0, place), byte, ...bytes.slice(place)]
    else if (kind === 4) bytes = [...bytes.slice(0, place), ...bytes.slice(place + 1)]
    else bytes = bytes.slice(0, place)
  }
  return Uint8Array.from(bytes)
}

const mexcPairs = ["BTCUSDT", "1000PEPEUSDT", "龙虾USDT"] as const

interface Ticker {
  readonly bid: string
  readonly bidQuantity: string
  readonly ask: string
  readonly askQuantity: string
  readonly version: string
  readonly time: number
  readonly pair: number
}

/** In the order of the captured frames. */
const mexcFrame = (ticker: Ticker, orderTime: number | null): Uint8Array => {
  const symbol = mexcPairs[ticker.pair]!
  const { field, varintField } = Mexc
  const body = [
    field(1, ticker.bid),
    field(2, ticker.bidQuantity),
    field(3, ticker.ask),
    field(4, ticker.askQuantity),
    field(5, ticker.version),
    ...(orderTime === null ? [] : [varintField(6, orderTime)])
  ]
  return Mexc.concat([
    field(1, Mexc.channelOf("BookTicker", symbol)),
    field(3, symbol),
    varintField(6, ticker.time),
    field(315, Mexc.concat(body))
  ])
}

const gatePairs = ["BTC_USDT", "A_B", "币安人生_USDT"] as const

const gateFrame = (prefix: string, ticker: Ticker, isBare: boolean): Buffer => {
  const size = (text: string) => isBare ? text : `"${text}"`
  return Buffer.from(
    `{"time":${
      Math.floor(ticker.time / 1_000)
    },"time_ms":${ticker.time},"channel":"${prefix}.book_ticker","event":"update",` +
      `"result":{"t":${ticker.time},"u":${ticker.version},"s":"${gatePairs[ticker.pair]!}","b":"${ticker.bid}",` +
      `"B":${size(ticker.bidQuantity)},"a":"${ticker.ask}","A":${size(ticker.askQuantity)}}}`
  )
}

const usual: Ticker = {
  bid: "94000.1",
  bidQuantity: "0.25",
  ask: "94000.2",
  askQuantity: "3",
  version: "517377894",
  time: 1_790_000_000_123,
  pair: 0
}
const plain = { ...sides, version, time, pair }

const mexcWarm = (): Codec => {
  const { codec } = Mexc.makeSubject()
  for (const index of [0, 1, 2]) Mexc.decode(mexcFrame({ ...usual, pair: index }, 5), undefined, codec)
  return codec
}

const gateWarm = (adapter: ExchangeAdapter, prefix: string): Codec => {
  const codec = adapter.makeCodec(Gate.topicTable(adapter))
  for (const index of [0, 1, 2]) Gate.decode(gateFrame(prefix, { ...usual, pair: index }, false), codec)
  return codec
}

describe("tickers of pairs that were met", () => {
  it.prop(
    "MEXC reads as a new connection does",
    { ticker: Arbitrary.all(plain), orderTime: time, hasOrder: int(0, 1), changes: damage },
    ({ changes, hasOrder, orderTime, ticker }) => {
      const clean = mexcFrame(ticker, hasOrder === 0 ? null : orderTime)
      for (const frame of [clean, damaged(clean, changes), damaged(mexcFrame(usual, orderTime), changes)]) {
        const expected = Mexc.decode(frame)
        assert.deepStrictEqual(Mexc.decode(frame, undefined, mexcWarm()), expected)
        const sink = new Mexc.RecordingSink()
        mexcWarm().decode(frame, Mexc.receivedAt, sink)
        assert.deepStrictEqual(sink.calls, expected)
      }
    },
    { arbitrary: { runs: 1_000 } }
  )

  for (const [adapter, prefix] of [[gateSpot, "spot"], [gateFutures, "futures"]] as const) {
    it.prop(
      `Gate ${prefix} reads as a new connection does`,
      { ticker: Arbitrary.all(plain), isBare: int(0, 1), changes: damage },
      ({ changes, isBare, ticker }) => {
        const clean = gateFrame(prefix, ticker, isBare === 1)
        for (
          const frame of [clean, damaged(clean, changes), damaged(gateFrame(prefix, usual, isBare === 1), changes)]
        ) {
          const expected = Gate.decode(frame, adapter.makeCodec(Gate.topicTable(adapter)))
          assert.deepStrictEqual(Gate.decode(frame, gateWarm(adapter, prefix)), expected)
          // With nothing behind it in memory.
          const sink = Gate.recorder()
          gateWarm(adapter, prefix).decode(Uint8Array.from(frame), Gate.receivedAt, sink)
          assert.deepStrictEqual(sink.calls, expected)
        }
      },
      { arbitrary: { runs: 1_000 } }
    )
  }
})

describe("one pass", () => {
  it("does not look behind the end of memory", () => {
    const [beginning] = gateFrame("spot", usual, false).toString().split(usual.version)
    const frame = Uint8Array.from(Buffer.from(`${beginning}${"1".repeat(60)}`))
    const sink = Gate.recorder()
    gateWarm(gateSpot, "spot").decode(frame, Gate.receivedAt, sink)
    assert.deepStrictEqual(sink.calls.map(({ call }) => call), ["failed"])
  })

  const numbersOf = (frame: Uint8Array): ReadonlyArray<number> | null => {
    const numbers = new Float64Array(MexcWire.slotCount)
    const { codec } = Mexc.makeSubject()
    assert.strictEqual(Mexc.decode(frame, undefined, codec).length, 1)
    const start = Buffer.from(frame).indexOf(MexcWire.sendTimeTag, 60) + 1
    if (!MexcWire.readPlainTicker(numbers, frame, start, frame.length)) return null
    return [...numbers.subarray(MexcWire.bidPriceSlot, MexcWire.versionSlot + 1), numbers[MexcWire.sendTimeSlot]!]
  }

  it("takes MEXC's usual frames, with and without the time of the last order", () => {
    const expected = [94_000.1, 0.25, 94_000.2, 3, 517_377_894, 1_790_000_000_123]
    assert.deepStrictEqual(numbersOf(mexcFrame(usual, null)), expected)
    assert.deepStrictEqual(numbersOf(mexcFrame(usual, 1_790_000_000_000)), expected)
    assert.isNull(numbersOf(mexcFrame({ ...usual, bid: "94000.123456789012" }, null)))
  })

  for (const [adapter, product] of [[gateSpot, spot], [gateFutures, futures]] as const) {
    it(`takes the usual frames of Gate's ${product.prefix} once the pair was met`, () => {
      const topics = new Topics(product, Gate.topicTable(adapter))
      const reader = new TickerReader(product, topics.ticker)
      const sink = Gate.recorder()
      const read = (bytes: Uint8Array) => reader.decode(bytes, 0, bytes.length, 1, sink as Sink)
      const frame = gateFrame(product.prefix, usual, false)
      assert.isFalse(read(frame))
      assert.isNotNull(topics.ticker.findText("BTC_USDT"))
      assert.isTrue(read(frame))
      assert.strictEqual(read(gateFrame(product.prefix, { ...usual, bidQuantity: "7" }, true)), product === futures)
      assert.isFalse(read(gateFrame(product.prefix, { ...usual, bid: "94000.123456789012" }, false)))
      assert.isFalse(read(gateFrame(product.prefix === "spot" ? "futures" : "spot", usual, false)))
    })
  }
})
