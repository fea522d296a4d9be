/** What tests of orders share: a listed pair, orders as an exchange answers them, and calls that fail. */
import type { Order } from "../../src/domain/Account.ts"
import type { ExchangeId, Instrument } from "../../src/domain/Instrument.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import * as PrivateWebsocketTest from "../../src/PrivateWebsocketTest.ts"

export const instrumentOf = (exchange: ExchangeId): Instrument => ({
  exchange,
  pair: "BTC/USDT",
  symbol: "BTCUSDT",
  kind: "spot",
  base: "BTC",
  quote: "USDT",
  settle: null,
  status: "trading",
  priceStep: 0.01,
  quantityStep: 0.001,
  minQuantity: 0.001,
  minNotional: 1,
  contractSize: 1
})

export const orderOf = (clientOrderId: string | null, fields: Partial<Order> = {}): Order =>
  PrivateWebsocketTest.order("BTC/USDT", {
    symbol: "BTCUSDT",
    orderId: `id-${clientOrderId}`,
    clientOrderId,
    filledQuote: null,
    ...fields
  })

export const refused = (
  status: number | null,
  kind: ExchangeError.AnswerClass,
  retryAfterMs?: number
): ExchangeError.ExchangeError =>
  ExchangeError.make(
    "toy",
    new ExchangeError.RequestFailed({
      request: "POST /order",
      status,
      code: "X",
      detail: "no",
      class: kind,
      retryAfterMs
    })
  )
