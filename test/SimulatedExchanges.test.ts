/** The simulated exchanges as a program's tests use them: inside the process, under a virtual clock. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as Channel from "../src/domain/Channel.ts"
import { pairOf } from "../src/domain/Instrument.ts"
import * as Exchanges from "../src/Exchanges.ts"
import { OrderEntry } from "../src/OrderEntry.ts"
import { PrivateWebsocket } from "../src/PrivateWebsocket.ts"
import { PublicWebsocket } from "../src/PublicWebsocket.ts"
import * as SimulatedExchanges from "../src/SimulatedExchanges.ts"
import { Simulator } from "../src/simulator/Simulator.ts"
import * as Exchange from "./suites/Exchange.ts"

describe("layerMemoryOf", () => {
  for (const id of Exchanges.ids) {
    const pair = pairOf("BTC", "USDT", Exchanges.get(id).kind === "swap" ? "USDT" : undefined)
    it.effect(`gives ${id}, whose data and breaks come without ports`, () =>
      Exchange.memory.run(
        Effect.scoped(Effect.gen(function*() {
          const { exchange, feed } = yield* PublicWebsocket
          assert.strictEqual(exchange, id)
          const simulator = yield* Simulator
          const items = yield* feed(Channel.bookTicker(pair))
          const first = yield* Stream.runHead(items)
          assert.isTrue(first._tag === "Some" && first.value._tag === "Data")
          if (first._tag === "Some" && first.value._tag === "Data") assert.strictEqual(first.value.value.pair, pair)
          const again = yield* feed(Channel.bookTicker(pair))
          yield* simulator.inject("drop")
          const gap = yield* Stream.runHead(Stream.filter(again, ({ _tag }) => _tag === "Gap"))
          assert.isTrue(gap._tag === "Some" && gap.value._tag === "Gap" && gap.value.cause === "Reconnected")
        })).pipe(Effect.provide(SimulatedExchanges.layerMemoryOf(id, { seed: 7, pairs: ["BTC/USDT"] })))
      ))
  }
})

describe("layerAccountMemoryOf", () => {
  for (const id of Exchanges.ids) {
    const kind = Exchanges.get(id).kind
    const pair = pairOf("BTC", "USDT", kind === "swap" ? "USDT" : undefined)
    it.effect(`gives ${id} with an account, whose fills come without ports`, () =>
      Exchange.memory.run(
        Effect.scoped(Effect.gen(function*() {
          const account = yield* PrivateWebsocket
          const entry = yield* OrderEntry
          assert.strictEqual((yield* PublicWebsocket).exchange, id)
          const fills = yield* account.feed("Fills")
          yield* entry.place({ pair, side: "sell", quantity: kind === "swap" ? "1" : "0.01" })
          const first = yield* Stream.runHead(Stream.filter(fills, ({ _tag }) => _tag === "Data"))
          assert.isTrue(first._tag === "Some" && first.value._tag === "Data" && first.value.value.side === "sell")
        })).pipe(Effect.provide(SimulatedExchanges.layerAccountMemoryOf(id, { seed: 7, pairs: ["BTC/USDT"] })))
      ))
  }
})
