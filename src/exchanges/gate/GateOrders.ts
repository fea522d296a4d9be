/**
 * Orders as Gate describes them, in pushes, over the WebSocket API and over REST. Sources: Gate REST v4 documents
 * (v4.106), "Order" and "FuturesOrder"; Gate WebSocket v4 documents, spot (2026-07-25), "Orders Channel", and futures
 * (2026-08-25), "Orders API".
 */
import { BigDecimal } from "effect"
import type { Forced, Order, OrderStatus, Side, TimeInForce } from "../../domain/Account.ts"
import * as Decimal from "../../domain/Decimal.ts"
import type { InstrumentOf } from "../../domain/Instrument.ts"
import type { Row } from "./GateRow.ts"

// ---- client order ids ----

/** Texts of a user begin so; others are the exchange's own words: `web`, `apiv4`, `liquidation`, … */
const prefix = "t-"

export const textOf = (clientOrderId: string): string => prefix + clientOrderId

export const clientOrderIdOf = (text: string | null): string | null =>
  text !== null && text.startsWith(prefix) ? text.slice(prefix.length) : null

/**
 * Texts of the exchange's own orders (REST, "FuturesOrder", `text`: `liquidation`, `liq-…`, `hedge-liq-…`, `pm_liquidate`,
 * `comb_margin_liquidate`, `scm_liquidate`, `insurance`, `auto_deleveraging`). `clear` is reserved too, and not described:
 * whoever has made it, it was none of us.
 */
const forcedTexts: ReadonlyArray<readonly [RegExp, Forced]> = [
  [/^auto_deleverag/, "autoDeleverage"],
  [/^(?:(?:hedge-)?liq|(?:pm|comb_margin|scm)_liquidate|insurance|clear$)/, "liquidation"]
]

/** Whether an order, or the fill of one, is the exchange's own. A flag says so of a liquidation; the word may say more. */
export const forcedOf = (row: Row): { readonly forced?: Forced } => {
  const text = row.textOr("text") ?? ""
  const forced = forcedTexts.find(([pattern]) => pattern.test(text))?.[1]
  if (forced !== undefined) return { forced }
  return row.flagOr("is_liq") === true ? { forced: "liquidation" } : {}
}

/** Behind the prefix: at most 28 bytes of letters, digits, `_`, `-` and `.` (REST, "Order", `text`). */
export const clientOrderIds = {
  make: (unique: string): string => unique,
  problem: (id: string): string | null =>
    /^[0-9A-Za-z_.-]{1,28}$/.test(id) ? null : "1 to 28 letters, digits, _, - and . are allowed"
}

// ---- words ----

const timesInForce: ReadonlyMap<string, TimeInForce> = new Map([
  ["gtc", "gtc"],
  ["ioc", "ioc"],
  ["fok", "fok"],
  ["poc", "postOnly"]
])

/** Gate's word for it. */
export const timeInForceWord: Readonly<Record<TimeInForce, string>> = {
  gtc: "gtc",
  ioc: "ioc",
  fok: "fok",
  postOnly: "poc"
}

export const timeInForceOf = (word: string | null): TimeInForce | null => timesInForce.get(word ?? "") ?? null

/** How far an order is: `filled` has nothing left, `ended` was stopped before that. */
type Phase = "open" | "filled" | "ended"

const statusOf = (phase: Phase, filled: Decimal.Decimal): OrderStatus => {
  if (phase === "filled") return "filled"
  const hasFilled = BigDecimal.isPositive(filled)
  if (phase === "open") return hasFilled ? "partiallyFilled" : "new"
  return hasFilled ? "partiallyCanceled" : "canceled"
}

const absent = (value: Decimal.Decimal | null): boolean => value === null || BigDecimal.isZero(value)

/** Gate writes 0 for what there is none of. */
export const aboveZero = (value: Decimal.Decimal | null): Decimal.Decimal | null => absent(value) ? null : value

// ---- spot ----

/** Pushes name an event, answers a status: closed is filled to the end, cancelled says nothing of what was filled. */
const spotPhase = (row: Row, left: Decimal.Decimal | null): Phase => {
  const event = row.textOr("event")
  if (event !== null) {
    if (row.word("event", ["put", "update", "finish"]) !== "finish") return "open"
    return endOf(row.textOr("finish_as") ?? "", left)
  }
  const status = row.word("status", ["open", "closed", "cancelled"])
  if (status === "open") return "open"
  return status === "closed" ? "filled" : endOf("cancelled", left)
}

/** Words that nobody has documented are ends like the others; what is left says whether it was filled. */
const endOf = (finishedAs: string, left: Decimal.Decimal | null): Phase =>
  finishedAs === "filled" || (left !== null && BigDecimal.isZero(left)) ? "filled" : "ended"

/** `limit`, `market`, and both with `_borrow`, `_repay` behind them. */
const isMarketWord = (row: Row): boolean => row.text("type").startsWith("market")

/** A market buy's `amount` and `left` are quote, and answers of old do not say what was bought. */
const boughtFor = (row: Row, instrumentOf: InstrumentOf): Decimal.Decimal => {
  const bought = row.decimalOr("filled_amount")
  if (bought !== null) return bought
  const spent = row.decimalOr("filled_total")
  const price = row.decimalOr("avg_deal_price")
  if (spent === null || absent(spent)) return Decimal.zero
  if (price === null || absent(price)) {
    row.problem("neither filled_amount nor avg_deal_price of a market buy")
    return Decimal.zero
  }
  const step = Decimal.fromNumber(instrumentOf(row.text("currency_pair"))?.quantityStep ?? 1e-8)
  const half = Decimal.half(step)
  return Decimal.toStep(BigDecimal.sum(BigDecimal.divideUnsafe(spent, price), half), step, "down")
}

/** `filled_amount` of the documented sample contradicts `amount` and `left`, which every source has. */
const filledBase = (row: Row, amount: Decimal.Decimal, left: Decimal.Decimal | null): Decimal.Decimal =>
  left === null ? row.decimal("filled_amount") : BigDecimal.normalize(BigDecimal.subtract(amount, left))

interface Terms extends Pick<Order, "side" | "type" | "price" | "quantity" | "quoteQuantity" | "filledQuantity"> {
  /** Of base; null where it is of quote or not given. */
  readonly left: Decimal.Decimal | null
}

const spotTerms = (row: Row, instrumentOf: InstrumentOf): Terms => {
  const side = row.word("side", ["buy", "sell"])
  const amount = row.decimal("amount")
  const left = row.decimalOr("left")
  if (!isMarketWord(row)) {
    const price = aboveZero(row.decimalOr("price"))
    const filledQuantity = filledBase(row, amount, left)
    return { side, type: "limit", price, quantity: amount, quoteQuantity: null, filledQuantity, left }
  }
  return side === "sell"
    ? {
      side,
      type: "market",
      price: null,
      quantity: amount,
      quoteQuantity: null,
      filledQuantity: filledBase(row, amount, left),
      left
    }
    : {
      side,
      type: "market",
      price: null,
      quantity: null,
      quoteQuantity: amount,
      filledQuantity: boughtFor(row, instrumentOf),
      left: null
    }
}

export const readSpotOrder = (row: Row, instrumentOf: InstrumentOf): Order => {
  const symbol = row.text("currency_pair")
  const { left, ...terms } = spotTerms(row, instrumentOf)
  const phase = spotPhase(row, left)
  return {
    pair: instrumentOf(symbol)?.pair ?? null,
    symbol,
    orderId: row.id("id"),
    clientOrderId: clientOrderIdOf(row.textOr("text")),
    ...terms,
    timeInForce: timeInForceOf(row.textOr("time_in_force")),
    filledQuote: row.decimalOr("filled_total"),
    averagePrice: aboveZero(row.decimalOr("avg_deal_price")),
    status: statusOf(phase, terms.filledQuantity),
    finishedAs: phase === "open" ? null : row.textOr("finish_as"),
    reduceOnly: null,
    triggerPrice: null,
    createdAt: row.timeOr("create_time_ms", "create_time"),
    updatedAt: row.timeOr("update_time_ms", "update_time")
  }
}

// ---- futures ----

/** The sign of the size is the side; there is no other. */
export const sideOf = (row: Row, size: Decimal.Decimal): Side => {
  if (BigDecimal.isZero(size)) row.problem("size is 0: nothing says whether it buys or sells")
  return BigDecimal.isNegative(size) ? "sell" : "buy"
}

const futuresPhase = (row: Row, left: Decimal.Decimal | null): Phase =>
  row.word("status", ["open", "finished"]) === "open" ? "open" : endOf(row.textOr("finish_as") ?? "", left)

/** What is not filled, without sign. Some samples of filled orders leave it out. */
const leftOf = (row: Row): Decimal.Decimal => {
  const left = row.decimalOr("left")
  if (left === null && row.textOr("finish_as") !== "filled") row.problem("left is missing")
  return BigDecimal.abs(left ?? Decimal.zero)
}

export const readFuturesOrder = (row: Row, instrumentOf: InstrumentOf): Order => {
  const symbol = row.text("contract")
  const size = row.decimal("size")
  const quantity = BigDecimal.abs(size)
  const left = leftOf(row)
  const filledQuantity = BigDecimal.normalize(BigDecimal.subtract(quantity, left))
  const phase = futuresPhase(row, left)
  const price = aboveZero(row.decimalOr("price"))
  return {
    pair: instrumentOf(symbol)?.pair ?? null,
    symbol,
    orderId: row.id("id_string", "id"),
    clientOrderId: clientOrderIdOf(row.textOr("text")),
    side: sideOf(row, size),
    // Market orders are those without a price.
    type: price === null ? "market" : "limit",
    timeInForce: timeInForceOf(row.textOr("tif")),
    price,
    quantity,
    quoteQuantity: null,
    filledQuantity,
    filledQuote: null,
    averagePrice: aboveZero(row.decimalOr("fill_price")),
    status: statusOf(phase, filledQuantity),
    finishedAs: phase === "open" ? null : row.textOr("finish_as"),
    ...forcedOf(row),
    reduceOnly: row.flagOr("is_reduce_only") ?? row.flagOr("reduce_only"),
    triggerPrice: null,
    createdAt: row.timeOr("create_time_ms", "create_time"),
    updatedAt: row.timeOr(...(phase === "open" ? [] : ["finish_time_ms", "finish_time"]), "update_time")
  }
}
