import { describe, it } from "@effect/vitest"
import * as GateioApiTrading from "./GateioApiTrading.ts"

describe("gateio-api trades", () => {
  it.live("places, reads, cancels and fills, and hears everything", () => GateioApiTrading.course, 60_000)

  it.live("the same with contracts", () => GateioApiTrading.futuresCourse, 60_000)

  it.live(
    "takes the first of two answers for the result: an order that was refused looks placed",
    () => GateioApiTrading.firstAnswer,
    60_000
  )
})
