/** A key that is taken away and granted again: orders can leave again, without anyone building anything anew. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { OrderEntry } from "../../src/OrderEntry.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as Account from "../suites/AccountExchange.ts"
import { gateFuturesAccount } from "../suites/AccountSubjects.ts"
import * as Exchange from "../suites/Exchange.ts"

describe("order entry over a socket", () => {
  it.effect("logs in again once its key is granted again", () =>
    Account.run(
      Exchange.memory,
      Account.layer(Exchange.memory, gateFuturesAccount, {}, { rate: 0, tickMillis: 1_000 }),
      Effect.gen(function*() {
        const entry = yield* OrderEntry
        const simulator = yield* Simulator
        while (!(yield* entry.isReady)) yield* Effect.sleep("100 millis")
        yield* simulator.inject("revoke:key")
        yield* simulator.inject("drop")
        yield* Effect.sleep("5 seconds")
        assert.isFalse(yield* entry.isReady)
        yield* simulator.clear()
        yield* Effect.sleep("30 seconds")
        assert.isTrue(yield* entry.isReady)
      })
    ))
})
