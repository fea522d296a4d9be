/** Orders as an exchange answers them. */
import type { Order } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"

export const orderOf = (clientOrderId: string | null, fields: Partial<Order> = {}): Order => ({
  pair: "BTC/USDT",
  symbol: "BTCUSDT",
  orderId: `id-${clientOrderId}`,
  clientOrderId,
  side: "buy",
  type: "limit",
  timeInForce: "gtc",
  price: Decimal.of("100"),
  quantity: Decimal.of("1"),
  quoteQuantity: null,
  filledQuantity: Decimal.zero,
  filledQuote: null,
  averagePrice: null,
  status: "new",
  finishedAs: null,
  reduceOnly: null,
  triggerPrice: null,
  createdAt: 0,
  updatedAt: 0,
  ...fields
})
