import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as CcxtMexcTrading from "./CcxtMexcTrading.ts"
import { dial, id } from "./CcxtMexcTrading.ts"
import type * as Judges from "./Judges.ts"
import * as Trading from "./Trading.ts"

describe("ccxt.pro.mexc trades", () => {
  it.live("places, reads, cancels and fills, and hears everything", () => CcxtMexcTrading.course, 60_000)

  it.live("is told what is wrong with its keys", () =>
    Effect.gen(function*() {
      const { exchange, simulator } = yield* dial
      const failure = (keys: Judges.Keys) =>
        Effect.promise(async () => {
          Object.assign(exchange, keys)
          return String(await exchange.fetchBalance().catch(String))
        })
      const keys = Trading.keysOf(id)
      assert.include(yield* failure({ ...keys, apiKey: "unknown" }), "10072")
      assert.include(yield* failure({ ...keys, secret: "wrong" }), "700002")
      assert.lengthOf(Trading.truthOf(simulator, id).orders, 0)
    }).pipe(Effect.scoped), 60_000)
})
