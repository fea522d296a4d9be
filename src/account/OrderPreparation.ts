/**
 * From what a caller asks to what may be sent: numbers on the instrument's steps, within its limits, as plain text. Pure;
 * every refusal says which field is wrong and what would be right, and nothing has been sent.
 */
import { BigDecimal, Result } from "effect"
import type { OrderProtocol, PreparedOrder } from "../AccountAdapter.ts"
import type { Side, TimeInForce } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { Instrument } from "../domain/Instrument.ts"
import { InvalidOrder, UnsupportedOrder } from "../ExchangeError.ts"
import type { OrderRequest } from "../OrderEntry.ts"

export type Refused = InvalidOrder | UnsupportedOrder

type Amount = Decimal.Decimal
type Prepared<A> = Result.Result<A, Refused>

const invalid = (instrument: Instrument, field: string, detail: string): Result.Result<never, Refused> =>
  Result.fail(new InvalidOrder({ symbol: instrument.pair, field, detail }))

const unsupported = (instrument: Instrument, detail: string): Result.Result<never, Refused> =>
  Result.fail(new UnsupportedOrder({ symbol: instrument.pair, detail }))

const positive = (instrument: Instrument, field: string, input: Decimal.Input): Prepared<Amount> => {
  const value = Decimal.fromInput(input)
  if (Result.isFailure(value)) return invalid(instrument, field, `cannot be read: ${value.failure}`)
  return BigDecimal.isPositive(value.success)
    ? Result.succeed(value.success)
    : invalid(instrument, field, `is ${Decimal.toText(value.success)}; it has to be above 0`)
}

/** A quantity on its step, never more than was asked for. */
const quantityOf = (instrument: Instrument, input: Decimal.Input): Prepared<Amount> =>
  Result.flatMap(positive(instrument, "quantity", input), (asked) => {
    const step = Decimal.fromNumber(instrument.quantityStep)
    const quantity = Decimal.toStep(asked, step, "down")
    const least = instrument.minQuantity === null
      ? step
      : BigDecimal.max(step, Decimal.fromNumber(instrument.minQuantity))
    const unit = instrument.kind === "swap" ? "contracts" : instrument.base
    return BigDecimal.isLessThan(quantity, least)
      ? invalid(
        instrument,
        "quantity",
        `${Decimal.toText(asked)} is ${Decimal.toText(quantity)} on the step of ${Decimal.toText(step)}; the least is `
          + `${Decimal.toText(least)} ${unit}`
      )
      : Result.succeed(quantity)
  })

/** A price on its step, never worse for the caller than what was asked for. */
export const priceOf = (instrument: Instrument, side: Side, input: Decimal.Input): Prepared<Amount> =>
  Result.flatMap(positive(instrument, "price", input), (asked) => {
    const step = Decimal.fromNumber(instrument.priceStep)
    const price = Decimal.toStep(asked, step, side === "buy" ? "down" : "up")
    return BigDecimal.isPositive(price)
      ? Result.succeed(price)
      : invalid(instrument, "price", `${Decimal.toText(asked)} is below the step of ${Decimal.toText(step)}`)
  })

/** The whole quantity of an amended order. */
export const amendedQuantity = quantityOf

const checkNotional = (instrument: Instrument, value: Amount): Prepared<void> => {
  if (instrument.minNotional === null) return Result.void
  const least = Decimal.fromNumber(instrument.minNotional)
  return BigDecimal.isLessThan(value, least)
    ? invalid(
      instrument,
      "quantity",
      `is worth ${Decimal.toText(BigDecimal.normalize(value))} ${instrument.quote}; the least is ${
        Decimal.toText(least)
      }`
    )
    : Result.void
}

interface Kind {
  readonly type: "limit" | "market"
  readonly timeInForce: TimeInForce
}

const kindOf = (instrument: Instrument, request: OrderRequest): Prepared<Kind> => {
  const type = request.type ?? (request.price === undefined ? "market" : "limit")
  return type === "limit" ? limitKind(instrument, request) : marketKind(instrument, request)
}

const limitKind = (instrument: Instrument, { price, timeInForce = "gtc" }: OrderRequest): Prepared<Kind> =>
  price === undefined
    ? invalid(instrument, "price", "is missing; a limit order needs one")
    : Result.succeed({ type: "limit", timeInForce })

const marketKind = (instrument: Instrument, { price, timeInForce = "ioc" }: OrderRequest): Prepared<Kind> => {
  if (price !== undefined) return invalid(instrument, "price", "is given; a market order has none")
  return timeInForce === "ioc" || timeInForce === "fok"
    ? Result.succeed({ type: "market", timeInForce })
    : invalid(instrument, "timeInForce", `is ${timeInForce}; a market order is ioc or fok`)
}

const amountOf = (
  instrument: Instrument,
  request: OrderRequest,
  { type }: Kind,
  protocol: OrderProtocol
): Prepared<{ readonly quantity: Amount | null; readonly quoteQuantity: Amount | null }> => {
  if (request.quoteQuantity === undefined) {
    if (request.quantity === undefined) return invalid(instrument, "quantity", "is missing")
    return Result.map(quantityOf(instrument, request.quantity), (quantity) => ({ quantity, quoteQuantity: null }))
  }
  if (request.quantity !== undefined) {
    return invalid(instrument, "quoteQuantity", "is given beside quantity; one of them says how much")
  }
  if (!protocol.abilities.has("quoteQuantity") || type !== "market" || request.side !== "buy") {
    return unsupported(instrument, "quoteQuantity is for spot market buys only; give quantity")
  }
  return Result.flatMap(
    positive(instrument, "quoteQuantity", request.quoteQuantity),
    (quoteQuantity) => Result.map(checkNotional(instrument, quoteQuantity), () => ({ quantity: null, quoteQuantity }))
  )
}

const triggerOf = (
  instrument: Instrument,
  { side, trigger }: OrderRequest,
  protocol: OrderProtocol
): Prepared<PreparedOrder["trigger"]> => {
  if (trigger === undefined) return Result.succeed(null)
  if (!protocol.abilities.has("trigger")) return unsupported(instrument, "this exchange has no trigger orders")
  return Result.map(priceOf(instrument, side, trigger.price), (price) => ({
    kind: trigger.kind,
    price: Decimal.toText(price),
    by: trigger.by ?? "last"
  }))
}

const checkReduceOnly = (
  instrument: Instrument,
  request: OrderRequest,
  protocol: OrderProtocol
): Prepared<void> =>
  request.reduceOnly === true && !protocol.abilities.has("reduceOnly")
    ? unsupported(instrument, "reduceOnly is for swaps only")
    : Result.void

const checkClientOrderId = (instrument: Instrument, id: string, protocol: OrderProtocol): Prepared<void> => {
  const problem = protocol.clientOrderIds.problem(id)
  return problem === null ? Result.void : invalid(instrument, "clientOrderId", `"${id}" is not valid: ${problem}`)
}

const checkTradable = (instrument: Instrument): Prepared<void> =>
  instrument.status === "trading"
    ? Result.void
    : invalid(instrument, "pair", `is ${instrument.status}: the exchange takes no orders for it now`)

function* preparation(
  instrument: Instrument,
  request: OrderRequest,
  clientOrderId: string,
  protocol: OrderProtocol
) {
  yield* checkTradable(instrument)
  yield* checkClientOrderId(instrument, clientOrderId, protocol)
  yield* checkReduceOnly(instrument, request, protocol)
  const kind = yield* kindOf(instrument, request)
  const { quantity, quoteQuantity } = yield* amountOf(instrument, request, kind, protocol)
  const price = request.price === undefined ? null : yield* priceOf(instrument, request.side, request.price)
  if (price !== null && quantity !== null) {
    const size = Decimal.fromNumber(instrument.contractSize)
    yield* checkNotional(instrument, BigDecimal.multiply(BigDecimal.multiply(price, quantity), size))
  }
  const order: PreparedOrder = {
    instrument,
    side: request.side,
    type: kind.type,
    timeInForce: kind.timeInForce,
    price: price === null ? null : Decimal.toText(price),
    quantity: quantity === null ? null : Decimal.toText(quantity),
    quoteQuantity: quoteQuantity === null ? null : Decimal.toText(quoteQuantity),
    reduceOnly: request.reduceOnly === true,
    trigger: yield* triggerOf(instrument, request, protocol),
    clientOrderId
  }
  const problem = protocol.unsupported?.(order) ?? null
  if (problem !== null) yield* unsupported(instrument, problem)
  return order
}

/** What leaves for a request; `clientOrderId` is the caller's or one that was made for it. */
export const prepare = (
  instrument: Instrument,
  request: OrderRequest,
  clientOrderId: string,
  protocol: OrderProtocol
): Prepared<PreparedOrder> => Result.gen(() => preparation(instrument, request, clientOrderId, protocol))
