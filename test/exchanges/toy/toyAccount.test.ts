/** The made-up exchange's accounts pass the suites of the real ones, and nothing of src knows it. */
import type { Subject } from "../../suites/AccountExchange.ts"
import * as Exchange from "../../suites/Exchange.ts"
import { orderEntrySuite } from "../../suites/OrderEntrySuite.ts"
import { privateExchangeSuite } from "../../suites/PrivateExchangeSuite.ts"
import { privateWebsocketSuite } from "../../suites/PrivateWebsocketSuite.ts"
import { toyTrading } from "./ToyAccount.ts"
import { toyTrader } from "./ToyAccountDialect.ts"

const toySubject: Subject = {
  adapter: toyTrading,
  dialect: toyTrader,
  pair: "BTC/USDT",
  quantity: "0.01",
  placing: { method: "POST", path: "*/orders" },
  commands: [{ method: "POST", path: "*/orders" }, { method: "DELETE", path: "*/order*" }],
  isPlacing: (text) => text.startsWith("POST ") && text.includes("/trade/orders")
}

orderEntrySuite(toySubject, Exchange.memory)
privateWebsocketSuite(toySubject, Exchange.memory)
privateExchangeSuite(toySubject, Exchange.memory)
orderEntrySuite(toySubject, Exchange.ports)
privateWebsocketSuite(toySubject, Exchange.ports)
