/**
 * Orders, fills and balances of an account: from the words of MEXC's REST answers ("Spot Account/Trade") and the numbers
 * of its pushes ("Websocket User Data Streams") to the domain. Pure. An order's state that is not documented is refused;
 * what only describes (an order type, why a balance has changed) degrades.
 */
import { BigDecimal, Result, Schema } from "effect"
import type { PreparedOrder } from "../../AccountAdapter.ts"
import type { Balance, Fill, Order, OrderStatus, OrderType, Side, TimeInForce } from "../../domain/Account.ts"
import * as Decimal from "../../domain/Decimal.ts"
import type { InstrumentOf } from "../../domain/Instrument.ts"
import { UnsupportedOrder } from "../../ExchangeError.ts"

/** A reading, or why it is none. */
export type Read<A> = Result.Result<A, string>

type Reading<A> = Generator<Read<unknown>, A, never>

/**
 * Reads rows with one generator function for all of them: one that is made for each row is kept by V8, with what it
 * captures, until the next full collection.
 */
const reader =
  <Args extends ReadonlyArray<unknown>, A>(body: (...args: Args) => Reading<A>) => (...args: Args): Read<A> =>
    Result.gen(() => body(...args))

type Amount = Decimal.Decimal

// ---- amounts --------------------------------------------------------------------------------------------------------

/** Null for what is absent or empty: proto3 does not say which. */
export const amount = (text: string | number | null | undefined, name: string): Read<Amount | null> =>
  text === undefined || text === null || text === ""
    ? Result.succeed(null)
    : Result.mapError(Decimal.fromInput(text), (detail) => `${name}: ${detail}`)

/** Zero for what is absent or empty. */
const amountOrZero = (text: string | number | null | undefined, name: string): Read<Amount> =>
  Result.map(amount(text, name), (value) => value ?? Decimal.zero)

/** Null for zero too: MEXC writes 0 where there is none, as for the price of a market order. */
const given = (text: string | number | null | undefined, name: string): Read<Amount | null> =>
  Result.map(amount(text, name), (value) => isNothing(value) ? null : value)

export const isNothing = (value: Amount | null): boolean => value === null || BigDecimal.isZero(value)

const needed = (text: string | number | null | undefined, name: string): Read<Amount> =>
  Result.flatMap(
    amount(text, name),
    (value) => value === null ? Result.fail(`${name} is missing`) : Result.succeed(value)
  )

// ---- enumerations ---------------------------------------------------------------------------------------------------

interface Kind {
  readonly type: OrderType
  readonly timeInForce: TimeInForce | null
}

/** "Spot Account/Trade, ENUM definitions"; `STOP_…` come in queries only. */
const restKinds: Readonly<Record<string, Kind>> = {
  LIMIT: { type: "limit", timeInForce: "gtc" },
  MARKET: { type: "market", timeInForce: null },
  LIMIT_MAKER: { type: "limit", timeInForce: "postOnly" },
  IMMEDIATE_OR_CANCEL: { type: "limit", timeInForce: "ioc" },
  FILL_OR_KILL: { type: "limit", timeInForce: "fok" },
  STOP_LIMIT: { type: "stop", timeInForce: null },
  STOP_MARKET: { type: "stop", timeInForce: null },
  TAKE_PROFIT_LIMIT: { type: "takeProfit", timeInForce: null },
  TAKE_PROFIT_MARKET: { type: "takeProfit", timeInForce: null }
}

/** "Spot Account Orders": 1 to 5 and 100, stop or take-profit; 101 and 102, the legs of an OCO order, by clients. */
const pushedKinds: ReadonlyMap<number, Kind> = new Map([
  [1, restKinds["LIMIT"]!],
  [2, restKinds["LIMIT_MAKER"]!],
  [3, restKinds["IMMEDIATE_OR_CANCEL"]!],
  [4, restKinds["FILL_OR_KILL"]!],
  [5, restKinds["MARKET"]!],
  [100, restKinds["STOP_LIMIT"]!],
  [101, restKinds["STOP_LIMIT"]!],
  [102, restKinds["LIMIT"]!]
])

/** One that is not known is what its price makes it. */
const kindOr = (kind: Kind | undefined, price: Amount | null): Kind =>
  kind ?? { type: price === null ? "market" : "limit", timeInForce: null }

const restStatuses: Readonly<Record<string, OrderStatus>> = {
  NEW: "new",
  PARTIALLY_FILLED: "partiallyFilled",
  FILLED: "filled",
  CANCELED: "canceled",
  PARTIALLY_CANCELED: "partiallyCanceled"
}

/** "Spot Account Orders": 1 to 5; 0, which proto3 leaves out, is an open leg of an OCO order to clients. */
const pushedStatuses: ReadonlyMap<number, OrderStatus> = new Map([
  [0, "new"],
  [1, "new"],
  [2, "filled"],
  [3, "partiallyFilled"],
  [4, "canceled"],
  [5, "partiallyCanceled"]
])

/** MEXC has two words for an order that ended early; which one it is, is what was filled. */
const statusOf = (status: OrderStatus | undefined, filled: Amount, word: unknown): Read<OrderStatus> => {
  if (status === undefined) return Result.fail(`an order's state is ${JSON.stringify(word)}, which is not documented`)
  if (status !== "canceled" && status !== "partiallyCanceled") return Result.succeed(status)
  return Result.succeed(BigDecimal.isZero(filled) ? "canceled" : "partiallyCanceled")
}

const restSide = (word: string): Read<Side> =>
  word === "BUY" || word === "SELL"
    ? Result.succeed(word === "BUY" ? "buy" : "sell")
    : Result.fail(`a side is ${JSON.stringify(word)}`)

const pushedSide = (tradeType: number): Read<Side> =>
  tradeType === 1 || tradeType === 2
    ? Result.succeed(tradeType === 1 ? "buy" : "sell")
    : Result.fail(`a tradeType is ${tradeType}`)

/** Quote per base, cut to what no price has. */
const priceScale = BigDecimal.make(1n, 18)

const averageOf = (filledQuote: Amount | null, filled: Amount): Amount | null =>
  filledQuote === null || BigDecimal.isZero(filledQuote) || BigDecimal.isZero(filled)
    ? null
    : Decimal.quotient(filledQuote, filled, priceScale, "down")

// ---- REST -----------------------------------------------------------------------------------------------------------

/** Ids are texts of several forms, and numbers in the documents' samples. */
const Id = Schema.Union([Schema.NonEmptyString, Schema.Finite])
const Numeral = Schema.NullOr(Schema.Union([Schema.String, Schema.Finite]))

const optional = <S extends Schema.Top>(schema: S) => Schema.optional(Schema.NullOr(schema))

/** An order as it is queried, listed or cancelled; a cancelled one may lack what becomes of it. */
export const OrderRow = Schema.Struct({
  symbol: Schema.NonEmptyString,
  orderId: Id,
  clientOrderId: optional(Id),
  /** Of a cancelled order: ours, where `clientOrderId` may be the request's. */
  origClientOrderId: optional(Id),
  price: optional(Numeral),
  origQty: optional(Numeral),
  /** The documents' sample of one order spells it so. */
  Qty: optional(Numeral),
  executedQty: optional(Numeral),
  cummulativeQuoteQty: optional(Numeral),
  origQuoteOrderQty: optional(Numeral),
  status: optional(Schema.String),
  type: optional(Schema.String),
  side: Schema.String,
  stopPrice: optional(Numeral),
  time: optional(Schema.Int),
  updateTime: optional(Schema.Int),
  cancelReason: optional(Schema.String)
})
export type OrderRow = typeof OrderRow.Type

/** What a placed order is answered with: no word of its state. */
export const PlacedRow = Schema.Struct({
  symbol: Schema.NonEmptyString,
  orderId: Id,
  transactTime: optional(Schema.Int)
})
export type PlacedRow = typeof PlacedRow.Type

export const FillRow = Schema.Struct({
  symbol: Schema.NonEmptyString,
  id: Id,
  orderId: Id,
  clientOrderId: optional(Id),
  price: Numeral,
  qty: Numeral,
  commission: optional(Numeral),
  commissionAsset: optional(Schema.String),
  time: Schema.Int,
  isBuyer: Schema.Boolean,
  isMaker: Schema.Boolean
})
export type FillRow = typeof FillRow.Type

export const BalanceRow = Schema.Struct({
  asset: Schema.NonEmptyString,
  free: optional(Numeral),
  /** Newer answers have it in the place of `free`. */
  available: optional(Numeral),
  locked: optional(Numeral)
})
export type BalanceRow = typeof BalanceRow.Type

const idText = (id: string | number | null | undefined): string | null =>
  id === undefined || id === null || id === "" ? null : String(id)

/** Whether an answer says what became of the order: MEXC cancels with and without words of it. */
export const isSettled = ({ executedQty, status }: OrderRow): boolean =>
  executedQty !== undefined && executedQty !== null && status !== undefined && status !== null && status !== "NEW"
  && status !== "PARTIALLY_FILLED"

export const order = reader(function*(row: OrderRow, instrumentOf: InstrumentOf): Reading<Order> {
  const price = yield* given(row.price, "price")
  const filledQuantity = yield* amountOrZero(row.executedQty, "executedQty")
  const filledQuote = yield* amount(row.cummulativeQuoteQty, "cummulativeQuoteQty")
  const kind = kindOr(known(restKinds, row.type), price)
  return {
    ...amountsOf(
      kind,
      yield* given(row.origQty ?? row.Qty, "origQty"),
      yield* given(row.origQuoteOrderQty, "origQuoteOrderQty")
    ),
    ...kind,
    pair: instrumentOf(row.symbol)?.pair ?? null,
    symbol: row.symbol,
    orderId: String(row.orderId),
    clientOrderId: idText(row.origClientOrderId) ?? idText(row.clientOrderId),
    side: yield* restSide(row.side),
    price: kind.type === "market" ? null : price,
    filledQuantity,
    filledQuote,
    averagePrice: averageOf(filledQuote, filledQuantity),
    status: yield* statusOf(known(restStatuses, row.status), filledQuantity, row.status),
    finishedAs: row.cancelReason ?? null,
    reduceOnly: null,
    triggerPrice: yield* given(row.stopPrice, "stopPrice"),
    createdAt: row.time ?? null,
    updatedAt: row.updateTime ?? row.time ?? null
  }
})

const known = <A>(table: Readonly<Record<string, A>>, word: string | null | undefined): A | undefined =>
  word !== undefined && word !== null && Object.hasOwn(table, word) ? table[word] : undefined

/** A market order is given in base or in quote; beside the one that was given stands 0. */
const amountsOf = (
  { type }: Kind,
  quantity: Amount | null,
  quoteQuantity: Amount | null
): Pick<Order, "quantity" | "quoteQuantity"> =>
  type === "market" && quantity === null ? { quantity: null, quoteQuantity } : { quantity, quoteQuantity: null }

/** The order as it was sent; the answer to it says no more than that it was taken. */
export const placed = (row: PlacedRow, asked: PreparedOrder): Order => ({
  pair: asked.instrument.pair,
  symbol: asked.instrument.symbol,
  orderId: String(row.orderId),
  clientOrderId: asked.clientOrderId,
  side: asked.side,
  type: asked.type,
  timeInForce: asked.type === "market" ? null : asked.timeInForce,
  price: asked.price === null ? null : Decimal.of(asked.price),
  quantity: asked.quantity === null ? null : Decimal.of(asked.quantity),
  quoteQuantity: asked.quoteQuantity === null ? null : Decimal.of(asked.quoteQuantity),
  filledQuantity: Decimal.zero,
  filledQuote: null,
  averagePrice: null,
  status: "new",
  finishedAs: null,
  reduceOnly: null,
  triggerPrice: null,
  createdAt: row.transactTime ?? null,
  updatedAt: row.transactTime ?? null
})

export const fill = reader(function*(row: FillRow, instrumentOf: InstrumentOf, receivedAt: number): Reading<Fill> {
  return {
    _tag: "Fill",
    pair: instrumentOf(row.symbol)?.pair ?? null,
    symbol: row.symbol,
    tradeId: String(row.id),
    orderId: String(row.orderId),
    clientOrderId: idText(row.clientOrderId),
    side: row.isBuyer ? "buy" : "sell",
    price: yield* needed(row.price, "price"),
    quantity: yield* needed(row.qty, "qty"),
    liquidity: row.isMaker ? "maker" : "taker",
    fee: yield* amount(row.commission, "commission"),
    feeAsset: row.commissionAsset ?? null,
    exchangeTime: row.time,
    receivedAt,
    origin: "Reconciled"
  }
})

export const balance = reader(function*(row: BalanceRow, receivedAt: number): Reading<Balance> {
  const available = yield* amountOrZero(row.free ?? row.available, "free")
  const locked = yield* amountOrZero(row.locked, "locked")
  return {
    _tag: "Balance",
    asset: row.asset,
    available,
    locked,
    total: BigDecimal.normalize(BigDecimal.sum(available, locked)),
    change: null,
    cause: null,
    exchangeTime: null,
    receivedAt,
    origin: "Reconciled"
  }
})

// ---- pushes ---------------------------------------------------------------------------------------------------------

/** The fields of a push; empty texts and zeros where proto3 has left them out. */
export interface Pushed {
  readonly text: (field: string) => string
  readonly integer: (field: string) => number
}

/** What the wrapper says of all bodies. */
export interface Wrapped {
  /** Empty when it names none. */
  readonly symbol: string
  /** ms; 0 when it is not said. */
  readonly sendTime: number
  readonly receivedAt: number
  readonly instrumentOf: InstrumentOf
}

const orNull = (value: number): number | null => value === 0 ? null : value

const symbolOf = ({ instrumentOf, symbol }: Wrapped): Read<Pick<Order, "pair" | "symbol">> =>
  symbol === ""
    ? Result.fail("symbol is missing")
    : Result.succeed({ symbol, pair: instrumentOf(symbol)?.pair ?? null })

const idOf = (body: Pushed, field: string): Read<string> =>
  body.text(field) === "" ? Result.fail(`${field} is missing`) : Result.succeed(body.text(field))

export const pushedOrder = reader(function*(body: Pushed, around: Wrapped): Reading<Order> {
  const price = yield* given(body.text("price"), "price")
  const filledQuantity = yield* amountOrZero(body.text("cumulativeQuantity"), "cumulativeQuantity")
  const kind = kindOr(pushedKinds.get(body.integer("orderType")), price)
  const status = body.integer("status")
  return {
    ...amountsOf(kind, yield* given(body.text("quantity"), "quantity"), yield* given(body.text("amount"), "amount")),
    ...kind,
    ...yield* symbolOf(around),
    orderId: yield* idOf(body, "id"),
    clientOrderId: idText(body.text("clientId")),
    side: yield* pushedSide(body.integer("tradeType")),
    // Of a market order it is where the market stood, not what was paid.
    price: kind.type === "market" ? null : price,
    filledQuantity,
    filledQuote: yield* amountOrZero(body.text("cumulativeAmount"), "cumulativeAmount"),
    averagePrice: yield* given(body.text("avgPrice"), "avgPrice"),
    status: yield* statusOf(pushedStatuses.get(status), filledQuantity, status),
    finishedAs: null,
    reduceOnly: null,
    triggerPrice: yield* given(body.text("triggerPrice"), "triggerPrice"),
    createdAt: orNull(body.integer("createTime")),
    updatedAt: orNull(around.sendTime)
  }
})

export const pushedFill = reader(function*(body: Pushed, around: Wrapped): Reading<Fill> {
  return {
    _tag: "Fill",
    ...yield* symbolOf(around),
    tradeId: yield* idOf(body, "tradeId"),
    orderId: yield* idOf(body, "orderId"),
    clientOrderId: idText(body.text("clientOrderId")),
    side: yield* pushedSide(body.integer("tradeType")),
    price: yield* needed(body.text("price"), "price"),
    quantity: yield* needed(body.text("quantity"), "quantity"),
    liquidity: body.integer("isMaker") === 0 ? "taker" : "maker",
    fee: yield* amount(body.text("feeAmount"), "feeAmount"),
    feeAsset: idText(body.text("feeCurrency")),
    exchangeTime: orNull(body.integer("time")),
    receivedAt: around.receivedAt,
    origin: "Stream"
  }
})

/** `balanceAmount` is what is free, not all of it. Amounts that are left out are not known. */
export const pushedBalance = reader(function*(body: Pushed, around: Wrapped): Reading<Balance> {
  const available = yield* amount(body.text("balanceAmount"), "balanceAmount")
  const locked = yield* amount(body.text("frozenAmount"), "frozenAmount")
  const both = available !== null && locked !== null
  return {
    _tag: "Balance",
    asset: yield* idOf(body, "vcoinName"),
    available,
    locked,
    total: both ? BigDecimal.normalize(BigDecimal.sum(available, locked)) : null,
    change: yield* amount(body.text("balanceAmountChange"), "balanceAmountChange"),
    cause: idText(body.text("type")),
    exchangeTime: orNull(body.integer("time")) ?? orNull(around.sendTime),
    receivedAt: around.receivedAt,
    origin: "Stream"
  }
})

// ---- what is sent ---------------------------------------------------------------------------------------------------

const limitTypes: Readonly<Record<TimeInForce, string>> = {
  gtc: "LIMIT",
  postOnly: "LIMIT_MAKER",
  ioc: "IMMEDIATE_OR_CANCEL",
  fok: "FILL_OR_KILL"
}

/** Why MEXC cannot take an order; null when it can. */
export const unsupported = ({ reduceOnly, timeInForce, trigger, type }: PreparedOrder): string | null => {
  if (trigger !== null) return "MEXC takes no trigger orders over its API"
  if (reduceOnly) return "reduceOnly is for swaps only"
  return type === "market" && timeInForce !== "ioc" ? `MEXC has no market order that is ${timeInForce}` : null
}

/** Time in force is part of the type; a market buy may say how much to spend ("New order"). */
export const parameters = (
  asked: PreparedOrder
): Result.Result<Readonly<Record<string, string>>, UnsupportedOrder> => {
  const { clientOrderId, instrument, price, quantity, quoteQuantity, side, timeInForce, type } = asked
  const detail = unsupported(asked)
  if (detail !== null) return Result.fail(new UnsupportedOrder({ symbol: instrument.pair, detail }))
  return Result.succeed({
    symbol: instrument.symbol,
    side: side === "buy" ? "BUY" : "SELL",
    type: type === "market" ? "MARKET" : limitTypes[timeInForce],
    ...(quantity === null ? {} : { quantity }),
    ...(quoteQuantity === null ? {} : { quoteOrderQty: quoteQuantity }),
    ...(price === null ? {} : { price }),
    newClientOrderId: clientOrderId
  })
}
