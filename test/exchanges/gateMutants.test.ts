/** What the proof of mutants found: frames that the scanner and the generic decoder once read differently. */
import { assert, describe, it } from "@effect/vitest"
import * as Referee from "../../scripts/prove/Referee.ts"
import { gateFutures } from "../../src/exchanges/gate/GateFutures.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { decode, eventsOf, topicTable } from "./GateHarness.ts"

const frame = (channel: string, result: unknown, more: object = {}): string =>
  JSON.stringify({ time: 1_795_564_800, time_ms: 1_795_564_800_750, channel, event: "update", ...more, result })

const spotTrade = (time: string): string =>
  frame("spot.trades", {
    id: 5,
    create_time: 1_795_564_800,
    create_time_ms: time,
    side: "buy",
    currency_pair: "BTC_USDT",
    amount: "0.5",
    price: "94000.1"
  })

const futuresTrade = (size: string): string =>
  frame("futures.trades", [{
    size: 0,
    id: 14,
    create_time: 1_795_564_800,
    create_time_ms: 1_795_564_800_750,
    price: "2480.08",
    contract: "ETH_USDT"
  }]).replace("\"size\":0", `"size":${size}`)

const day = { currency_pair: "BTC_USDT", last: "1", change_percentage: "1", base_volume: "1", quote_volume: "1" }

const cases = {
  "a trade whose milliseconds are longer than any": [gateSpot, spotTrade("380000380000380000380000380.000")],
  "a trade whose milliseconds have 25 decimals": [gateSpot, spotTrade("1.0000000000000000000000001")],
  "a trade without milliseconds": [gateSpot, spotTrade("0")],
  "a ticker of a time beyond all times": [
    gateSpot,
    frame("spot.tickers", day).replace("1795564800750", "1795564800750179556480075017955648007501795564800750")
  ],
  "a sale of more contracts than a number holds": [gateFutures, futuresTrade("-9007199254740993")],
  "a purchase of as many": [gateFutures, futuresTrade("9007199254740993")]
} as const

describe("frames that were read in two ways", () => {
  for (const [name, [adapter, text]] of Object.entries(cases)) {
    it(name, () => {
      const read = (bytes: string | Uint8Array) => eventsOf(decode(bytes, adapter.makeCodec(topicTable())))
      const general = Referee.json(Buffer.from(text))!
      assert.deepStrictEqual(read(text), read(general))
    })
  }

  it("the sale keeps its exact quantity", () => {
    const [trade] = eventsOf(decode(futuresTrade("-9007199254740993"), gateFutures.makeCodec(topicTable())))
    assert.deepStrictEqual(trade?._tag === "Trade" ? [trade.side, trade.exact] : null, [
      "sell",
      { quantity: "9007199254740993" }
    ])
  })
})
