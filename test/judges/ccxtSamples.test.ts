/** Our decoders read the messages that ccxt keeps in its comments, as far as those are whole. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import * as Gate from "../exchanges/GateHarness.ts"

interface Sample {
  readonly channel?: string
  readonly event?: string
}

const folder = resolve(import.meta.dirname, "../../node_modules/ccxt/js/src/pro")

/** JSON objects that stand alone in a comment; many are JavaScript, or cut. */
const samplesOf = (file: string): ReadonlyArray<Sample> => {
  const comments = readFileSync(resolve(folder, file), "utf8").matchAll(/(?:^ *\/\/.*\n)+/gm)
  return Array.from(comments, ([comment]) => comment.replaceAll(/^ *\/\//gm, "")).flatMap((comment) =>
    Array.from(comment.matchAll(/^( *)\{ *\n[^]*?^\1\}/gm), ([text]) => {
      try {
        return [JSON.parse(text) as Sample]
      } catch {
        return []
      }
    }).flat()
  )
}

const gateSamples = samplesOf("gate.js").filter(({ channel = "" }) =>
  /^(?:spot|futures)\.(?:obu|tickers|book_ticker|trades|candlesticks)$/.test(channel)
)

/** What of each event is compared: its values that stand in the sample under the same or another name. */
const expected: Readonly<Record<string, ReadonlyArray<object>>> = {
  "spot.obu update": [{
    _tag: "BookUpdate",
    kind: "snapshot",
    pair: "XRP/USDT",
    bids: ["1.414", "1397.899"].map(Number),
    asks: [1.415, 17344.926],
    version: 9649549324,
    exchangeTime: 1777275365213
  }],
  "spot.tickers update": [{
    _tag: "Ticker",
    pair: "BTC/USDT",
    lastPrice: 43444.82,
    bidPrice: 43444.81,
    askPrice: 43444.82,
    highPrice: 47698,
    lowPrice: 42721.03,
    change: -0.040036,
    baseVolume: 5182.5412425462
  }],
  "spot.book_ticker update": [{
    _tag: "BookTicker",
    pair: "BTC/USDT",
    bidPrice: 16716.8,
    bidQuantity: 0.0134,
    askPrice: 16716.9,
    askQuantity: 0.0353,
    version: 9793320464,
    exchangeTime: 1671363004228
  }],
  // A list, where Gate's documents and every captured frame have one trade.
  "spot.trades update": [{ call: "fallback" }, { call: "failed", detail: "spot.trades: Expected object" }],
  "spot.trades subscribe": [{ call: "rejected" }],
  "spot.trades unsubscribe": [{ call: "acknowledged" }]
}

describe("samples in ccxt's comments", () => {
  it("Gate: those that can be parsed are these", () => {
    assert.sameMembers(gateSamples.map(({ channel, event }) => `${channel} ${event}`), Object.keys(expected))
  })

  for (const sample of gateSamples) {
    const name = `${sample.channel} ${sample.event}`
    it(`Gate: ${name}`, () => {
      const calls = Gate.decode(JSON.stringify(sample))
      const wanted = expected[name]!
      assert.strictEqual(calls.length, wanted.length)
      calls.forEach((call, index) =>
        assert.deepInclude<object>(call.call === "event" ? call.event : call, wanted[index]!)
      )
    })
  }
})
