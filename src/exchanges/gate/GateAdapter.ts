/** What Gate's adapters share: everything that follows from the product alone. */
import type { ExchangeAdapter } from "../../ExchangeAdapter.ts"
import * as GateBooks from "./GateBooks.ts"
import * as GateDecode from "./GateDecode.ts"
import type { Product } from "./GateProduct.ts"
import * as GateRequests from "./GateRequests.ts"
import * as GateRest from "./GateRest.ts"

type Own = "id" | "kind" | "name" | "channels" | "coverage" | "urls" | "silence"

export const shared = (product: Product): Omit<ExchangeAdapter, Own> => ({
  endpoint: (url) => Object.keys(product.headers).length === 0 ? { url } : { url, headers: product.headers },
  symbol: (pair) => GateRequests.symbol(product, pair),
  topic: (channel, symbol) => GateRequests.topicName(product, channel, symbol),
  subscribe: (topics, stamp) => GateRequests.requests(product, "subscribe", topics, stamp),
  // Measured: hundreds of pairs refused because of one.
  listRefusal: "whole",
  unsubscribe: (topics, stamp) => GateRequests.requests(product, "unsubscribe", topics, stamp),
  makeCodec: (context) => GateDecode.make(product, context),
  book: GateBooks.recipe,
  heartbeat: GateRequests.heartbeat(product),
  limits: GateRequests.limits,
  makeRest: (options) => GateRest.make(product, options)
})
