import { describe, it } from "@effect/vitest"
import * as CcxtGateTrading from "./CcxtGateTrading.ts"

describe("ccxt.pro.gate trades", () => {
  for (const product of CcxtGateTrading.products) {
    it.live(
      `${product.id}: places, changes, cancels and fills, over REST and the WebSocket, and hears everything`,
      () => CcxtGateTrading.course(product),
      60_000
    )
  }
})
