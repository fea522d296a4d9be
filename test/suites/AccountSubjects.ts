/** Every exchange whose accounts are proved: adapter, dialect, and what an order of it may be. */
import { gateFuturesDialect, gateSpotDialect, mexcSpotDialect } from "../../src/exchanges/dialects.ts"
import { gateFutures } from "../../src/exchanges/gate/GateFutures.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import type { Subject } from "./AccountExchange.ts"

export const mexcAccount: Subject = {
  adapter: mexcSpot,
  dialect: mexcSpotDialect,
  pair: "BTC/USDT",
  quantity: "0.01",
  placing: { method: "POST", path: "*/order" },
  commands: [{ method: "POST", path: "*/order" }, { method: "DELETE", path: "*/order" }],
  isPlacing: (text) => text.startsWith("POST ") && text.includes("/order?")
}

const overSocket = [{ frame: "*order_place*" }, { frame: "*order_cancel*" }, { frame: "*order_amend*" }]

export const gateSpotAccount: Subject = {
  adapter: gateSpot,
  dialect: gateSpotDialect,
  pair: "BTC/USDT",
  quantity: "0.01",
  placing: { frame: "*order_place*" },
  commands: overSocket,
  isPlacing: (text) => text.includes("order_place")
}

export const gateFuturesAccount: Subject = {
  adapter: gateFutures,
  dialect: gateFuturesDialect,
  pair: "BTC/USDT:USDT",
  quantity: "3",
  placing: { frame: "*order_place*" },
  commands: overSocket,
  isPlacing: (text) => text.includes("order_place")
}

export const accountSubjects: ReadonlyArray<Subject> = [mexcAccount, gateSpotAccount, gateFuturesAccount]
