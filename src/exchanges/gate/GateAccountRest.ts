/**
 * Signed REST calls of Gate v4. Sources: Gate REST v4 documents (v4.106), "APIv4 signed request requirements", "Spot",
 * "Futures" and "Account".
 */
import { Clock, Effect, Redacted, Result, Schema } from "effect"
import type {
  AccountCalls,
  AccountRead,
  AccountRestOptions,
  Command,
  OnUnreadable,
  PreparedOrder,
  Reply,
  SymbolRef
} from "../../AccountAdapter.ts"
import { NextPage } from "../../AccountAdapter.ts"
import type { Fill, FundingPayment, Order, PositionMode } from "../../domain/Account.ts"
import { isSince } from "../../domain/Account.ts"
import * as Decimal from "../../domain/Decimal.ts"
import * as ExactJson from "../../domain/ExactJson.ts"
import { ExchangeError, InvalidUse } from "../../ExchangeError.ts"
import type { Use } from "../../RateLimits.ts"
import * as RestClient from "../../RestClient.ts"
import type { Reading } from "./GateAccountEvents.ts"
import * as GateAccountEvents from "./GateAccountEvents.ts"
import type { OrderLayout, RestRequest } from "./GateCommands.ts"
import * as GateCommands from "./GateCommands.ts"
import { expiryMillis } from "./GateOrderSocket.ts"
import type { Product } from "./GateProduct.ts"
import * as GateReplies from "./GateReplies.ts"
import { refusals } from "./GateRest.ts"
import * as GateRow from "./GateRow.ts"
import * as GateSigning from "./GateSigning.ts"
import * as GateTriggers from "./GateTriggers.ts"

type Json = unknown
type Call = (request: RestRequest, expires?: boolean) => Effect.Effect<Json, ExchangeError>

/** What the calls of one account share. */
interface Context {
  readonly options: AccountRestOptions
  readonly product: Product
  readonly layout: OrderLayout
  readonly call: Call
  readonly unreadable: (path: string, detail: string) => Effect.Effect<never, ExchangeError>
}

// ---- signing ----

/** Names and values that have to be escaped in the URL are signed as they are. */
const plainQuery = (query: Readonly<Record<string, string>>): string =>
  Object.entries(query).map(([name, value]) => `${name}=${value}`).join("&")

const escapedQuery = (query: Readonly<Record<string, string>>): string =>
  Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")

/** Signed is the path of the live API, wherever the calls go. */
const basePath = "/api/v4"

const makeCall = (
  product: Product,
  { now, signer }: AccountRestOptions,
  send: RestClient.RestClient["send"]
): Call =>
  Effect.fnUntraced(function*({ body, method, path, query = {} }, expires = false) {
    const nowMillis = yield* now
    const time = Math.floor(nowMillis / 1000)
    const text = body === undefined ? "" : JSON.stringify(body)
    const bodyHash = yield* signer.hash(text)
    const toSign = { method, path: basePath + path, query: plainQuery(query), bodyHash, time }
    const signature = yield* signer.sign(GateSigning.rest(toSign))
    const key = Redacted.value(signer.key)
    const headers = {
      KEY: key,
      SIGN: signature,
      Timestamp: String(time),
      ...(expires ? { "x-gate-exptime": String(Math.floor(nowMillis) + expiryMillis) } : {})
    }
    return yield* send(Schema.Unknown, {
      method,
      path: encodeURI(path),
      query: escapedQuery(query),
      headers: { ...product.headers, ...headers },
      body: body === undefined ? undefined : text,
      secrets: [key, signature]
    })
  })

// ---- reading ----

const readingNow = ({ options, product }: Context): Effect.Effect<Reading> =>
  Effect.map(Clock.currentTimeMillis, (receivedAt) => ({
    instrumentOf: options.instrumentOf,
    receivedAt,
    origin: "Reconciled",
    settle: product.settle
  }))

/** Those that can be read; the others are told to `onUnreadable`. */
const readEach = <A>(
  context: Context,
  path: string,
  values: ReadonlyArray<unknown>,
  read: (row: GateRow.Row) => A,
  onUnreadable: OnUnreadable | undefined
): Effect.Effect<ReadonlyArray<A>, ExchangeError> =>
  onUnreadable === undefined
    ? readList(context, path, values, read)
    : Effect.map(
      Effect.forEach(values, (value) =>
        readList(context, path, [value], read).pipe(
          Effect.catch((error) => Effect.as(Effect.sync(() => onUnreadable(error)), []))
        )),
      (lists) => lists.flat()
    )

const readList = <A>(
  context: Context,
  path: string,
  values: ReadonlyArray<unknown>,
  read: (row: GateRow.Row) => A
): Effect.Effect<ReadonlyArray<A>, ExchangeError> => {
  const found = GateRow.readAll(values, read)
  return Result.isSuccess(found) ? Effect.succeed(found.success) : context.unreadable(path, found.failure)
}

/** Before every request of a call but its first. */
const nextPage = Effect.flatten(NextPage)

/** All pages of a list, told apart by a number that rises from page to page; the last one is not full. */
const pages = Effect.fnUntraced(function*(
  context: Context,
  path: string,
  size: number,
  queryOf: (page: number) => Readonly<Record<string, string>>
): Effect.fn.Return<ReadonlyArray<unknown>, ExchangeError> {
  const all: Array<unknown> = []
  for (let page = 0;; page++) {
    if (page > 0) yield* nextPage
    const answer = yield* context.call({ method: "GET", path, query: queryOf(page) })
    if (!Array.isArray(answer)) return yield* context.unreadable(path, "no list")
    all.push(...answer)
    if (answer.length < size) return all
  }
})

const pageSize = 100

// ---- user ----

const userIdOf = (context: Context, path: string, name: string): Effect.Effect<string, ExchangeError> =>
  Effect.flatMap(context.call({ method: "GET", path }), (answer) => {
    const row = new GateRow.Row(answer)
    const id = row.result(row.id(name))
    return Result.isSuccess(id) ? Effect.succeed(id.success) : context.unreadable(path, id.failure)
  })

const accountDetail = "/account/detail"
const futuresAccounts = "/futures/usdt/accounts"

/** A key for futures only may not read the account's detail; a futures wallet that was never funded is none. */
const userId = (context: Context): Effect.Effect<string, ExchangeError> =>
  context.product.kind === "spot"
    ? userIdOf(context, accountDetail, "user_id")
    : Effect.catchIf(
      userIdOf(context, futuresAccounts, "user"),
      isRefusalWith("USER_NOT_FOUND"),
      () => userIdOf(context, accountDetail, "user_id")
    )

const isRefusalWith = (label: string) => ({ reason }: ExchangeError): boolean =>
  reason._tag === "RequestFailed" && reason.code === label

// ---- balances and positions ----

const hasSome = (
  { locked, total }: { readonly total: Decimal.Decimal | null; readonly locked: Decimal.Decimal | null }
) => [total, locked].some((amount) => amount !== null && !Decimal.equals(amount, Decimal.zero))

const balances = (context: Context): AccountCalls["balances"] => {
  const path = context.product.kind === "spot" ? "/spot/accounts" : futuresAccounts
  const read = context.product.kind === "spot"
    ? GateAccountEvents.readSpotAccount
    : GateAccountEvents.readFuturesAccount
  return Effect.gen(function*() {
    const answer = yield* context.call({ method: "GET", path })
    const reading = yield* readingNow(context)
    const found = yield* readList(context, path, GateRow.rowsOf(answer), (row) => read(row, reading))
    return found.filter(hasSome)
  }).pipe(Effect.catchIf(isRefusalWith("USER_NOT_FOUND"), () => Effect.succeed([])))
}

const positionsPath = "/futures/usdt/positions"

const positions = (context: Context): AccountCalls["positions"] =>
  context.product.kind === "spot"
    ? Effect.succeed([])
    : Effect.gen(function*() {
      const answer = yield* context.call({ method: "GET", path: positionsPath, query: { holding: "true" } })
      const reading = yield* readingNow(context)
      const found = yield* readList(
        context,
        positionsPath,
        GateRow.rowsOf(answer),
        (row) => GateAccountEvents.readPosition(row, reading)
      )
      return found.filter(({ size }) => !Decimal.equals(size, Decimal.zero))
    }).pipe(Effect.catchIf(isRefusalWith("USER_NOT_FOUND"), () => Effect.succeed([])))

const positionMode = (context: Context): Effect.Effect<PositionMode, ExchangeError> =>
  Effect.flatMap(context.call({ method: "GET", path: futuresAccounts }), (answer) =>
    Effect.map(
      readList(context, futuresAccounts, [answer], GateAccountEvents.readPositionMode),
      ([mode]) => mode!
    )).pipe(Effect.catchIf(isRefusalWith("USER_NOT_FOUND"), () => Effect.succeed("oneWay" as const)))

// ---- orders ----

/** `[{currency_pair, total, orders}]`: every group has a page of its own. */
const groupedOrders = Effect.fnUntraced(function*(
  context: Context
): Effect.fn.Return<ReadonlyArray<unknown>, ExchangeError> {
  const path = "/spot/open_orders"
  const all: Array<unknown> = []
  for (let page = 1;; page++) {
    if (page > 1) yield* nextPage
    const query = { page: String(page), limit: String(pageSize) }
    const answer = yield* context.call({ method: "GET", path, query })
    const groups = GateRow.rowsOf(answer).map(ordersOf)
    if (groups.includes(null)) return yield* context.unreadable(path, "a group without orders")
    all.push(...groups.flatMap((orders) => orders ?? []))
    if (!groups.some((orders) => orders !== null && orders.length >= pageSize)) return all
  }
})

const ordersOf = (group: unknown): ReadonlyArray<unknown> | null => {
  const orders = typeof group === "object" && group !== null ? (group as { readonly orders?: unknown }).orders : null
  return Array.isArray(orders) ? orders : null
}

const placedOrders = (
  context: Context,
  symbol: string | null,
  onUnreadable?: OnUnreadable
): Effect.Effect<ReadonlyArray<Order>, ExchangeError> => {
  const { layout, options } = context
  const rows = layout.prefix === "spot" && symbol === null
    ? groupedOrders(context)
    : pages(context, layout.orders, pageSize, (page) => ({
      ...(symbol === null ? {} : { [layout.symbolName]: symbol }),
      status: "open",
      ...pageOf(layout, page),
      limit: String(pageSize)
    }))
  // Between two pages an order may have moved onto the next one.
  return Effect.map(
    Effect.flatMap(
      rows,
      (values) =>
        readEach(context, layout.orders, values, (row) => layout.readOrder(row, options.instrumentOf), onUnreadable)
    ),
    (orders) => unique(orders, ({ orderId }) => orderId)
  )
}

// ---- orders that wait for their price ----

const hasTriggers = ({ layout }: Context): boolean => layout.abilities.has("trigger")

const triggerQuery = (symbol: string | null, status: "open" | "finished", page: number) => ({
  ...(symbol === null ? {} : { contract: symbol }),
  status,
  limit: String(pageSize),
  offset: String(page * pageSize)
})

/** Those that wait. */
const triggers = (
  context: Context,
  symbol: string | null,
  onUnreadable?: OnUnreadable
): Effect.Effect<ReadonlyArray<Order>, ExchangeError> =>
  Effect.flatMap(
    pages(context, GateTriggers.path, pageSize, (page) => triggerQuery(symbol, "open", page)),
    (rows) =>
      readEach(
        context,
        GateTriggers.path,
        rows,
        (row) => GateTriggers.read(row, context.options.instrumentOf),
        onUnreadable
      )
  )

/** A page of those that have ended. */
const endedTriggers = (
  context: Context,
  symbol: string,
  page: number
): Effect.Effect<ReadonlyArray<Order>, ExchangeError> =>
  Effect.flatMap(
    context.call({ method: "GET", path: GateTriggers.path, query: triggerQuery(symbol, "finished", page) }),
    (answer) =>
      readList(
        context,
        GateTriggers.path,
        GateRow.rowsOf(answer),
        (row) => GateTriggers.read(row, context.options.instrumentOf)
      )
  )

const readTrigger = (context: Context, answer: unknown): Effect.Effect<Order, ExchangeError> =>
  Effect.map(
    readList(context, GateTriggers.path, [answer], (row) => GateTriggers.read(row, context.options.instrumentOf)),
    (orders) => orders[0]!
  )

const triggerById = (context: Context, orderId: string): Effect.Effect<Order | null, ExchangeError> =>
  context.call({ method: "GET", path: `${GateTriggers.path}/${orderId}` }).pipe(
    Effect.flatMap((answer) => readTrigger(context, answer)),
    Effect.catchIf(isNoOrder, () => Effect.succeed(null))
  )

/** So many of the orders that have ended are looked through for one of our ids. */
const endedPages = 50

/** They are not looked up by our id: it is searched among those that wait, then among those that have ended. */
const triggerOf = Effect.fnUntraced(function*(
  context: Context,
  ref: SymbolRef
): Effect.fn.Return<Order | null, ExchangeError> {
  if ("orderId" in ref) return yield* triggerById(context, ref.orderId)
  const isOurs = ({ clientOrderId }: Order): boolean => clientOrderId === ref.clientOrderId
  const waiting = (yield* triggers(context, ref.symbol)).find(isOurs)
  if (waiting !== undefined) return waiting
  for (let page = 0; page < endedPages; page++) {
    yield* nextPage
    const ended = yield* endedTriggers(context, ref.symbol, page)
    const ours = ended.find(isOurs)
    if (ours !== undefined) return ours
    if (ended.length < pageSize) return null
  }
  const detail = `${ref.clientOrderId} is not among the last ${endedPages * pageSize} orders of ${ref.symbol} that ` +
    "waited for a price; call it by the exchange's id"
  return yield* new ExchangeError({ exchange: context.product.id, reason: new InvalidUse({ detail }) })
})

const placeTrigger = Effect.fnUntraced(function*(
  context: Context,
  order: PreparedOrder
): Effect.fn.Return<Reply, ExchangeError> {
  const { trigger } = order
  if (trigger === null) return yield* context.unreadable(GateTriggers.path, "no trigger")
  const waiting = { ...order, trigger }
  const body = GateTriggers.body(waiting, context.layout.place(order))
  const answer = yield* context.call({ method: "POST", path: GateTriggers.path, body }, true)
  const [placed] = yield* readList(context, GateTriggers.path, [answer], (row) => GateTriggers.placed(row, waiting))
  return { _tag: "Order", order: placed! }
})

const cancelTrigger = Effect.fnUntraced(function*(
  context: Context,
  ref: SymbolRef
): Effect.fn.Return<Reply, ExchangeError> {
  const orderId = "orderId" in ref ? ref.orderId : (yield* triggerOf(context, ref))?.orderId
  // The exchange says itself that there is none.
  const path = `${GateTriggers.path}/${orderId ?? "0"}`
  const answer = yield* context.call({ method: "DELETE", path }, true)
  return { _tag: "Order", order: yield* readTrigger(context, answer) }
})

const runTrigger = (
  context: Context,
  command: GateCommands.OrderCommand
): Effect.Effect<Reply, ExchangeError> | null => {
  switch (command._tag) {
    case "Place":
      return placeTrigger(context, command.order)
    case "Cancel":
      return cancelTrigger(context, command.ref)
    case "Get":
      return Effect.map(
        triggerOf(context, command.ref),
        (order): Reply => order === null ? { _tag: "Nothing" } : { _tag: "Order", order }
      )
    default:
      return null
  }
}

const openOrders = (
  context: Context,
  symbol: string | null,
  onUnreadable?: OnUnreadable
): Effect.Effect<ReadonlyArray<Order>, ExchangeError> =>
  hasTriggers(context)
    ? Effect.map(
      Effect.all([
        placedOrders(context, symbol, onUnreadable),
        Effect.andThen(nextPage, triggers(context, symbol, onUnreadable))
      ]),
      ([placed, waiting]) => [...placed, ...waiting]
    )
    : placedOrders(context, symbol, onUnreadable)

/** Spot counts pages from 1, futures orders from 0. */
const pageOf = ({ prefix }: OrderLayout, page: number, size = pageSize): Readonly<Record<string, string>> =>
  prefix === "spot" ? { page: String(page + 1) } : { offset: String(page * size) }

const unique = <A>(items: ReadonlyArray<A>, keyOf: (item: A) => string): ReadonlyArray<A> => [
  ...new Map(items.map((item) => [keyOf(item), item])).values()
]

// ---- fills ----

const fillsPageSize = 1000
/** ms; 30 days are the longest that one question may reach (REST, "Query personal trading records"). */
const longestRange = 29 * 86_400_000

/** Whole seconds, both ends inside. Without `from` Gate answers with the last 7 days. */
const rangesOf = (since: number | null, now: number): ReadonlyArray<Readonly<Record<string, string>>> => {
  if (since === null) return [{}]
  const ranges: Array<Readonly<Record<string, string>>> = []
  for (let from = since; from <= now; from += longestRange) {
    const to = Math.min(from + longestRange, now)
    ranges.push({ from: String(Math.floor(from / 1000)), to: String(Math.ceil(to / 1000)) })
  }
  return ranges
}

const byTime = (one: Fill, other: Fill): number => {
  const difference = (one.exchangeTime ?? 0) - (other.exchangeTime ?? 0)
  if (difference !== 0) return difference
  return one.tradeId.length - other.tradeId.length || (one.tradeId < other.tradeId ? -1 : 1)
}

const fills = Effect.fnUntraced(function*(
  context: Context,
  { onUnreadable, since, symbol }: Parameters<AccountCalls["fills"]>[0]
): Effect.fn.Return<ReadonlyArray<Fill>, ExchangeError> {
  const { layout, options } = context
  const ranged = layout.prefix === "futures" && since !== null
  const path = ranged ? `${layout.myTrades}_timerange` : layout.myTrades
  const read = layout.prefix === "spot" ? GateAccountEvents.readSpotFill : GateAccountEvents.readFuturesFill
  const all: Array<unknown> = []
  for (const [index, range] of rangesOf(since, yield* options.now).entries()) {
    if (index > 0) yield* nextPage
    all.push(
      ...yield* pages(context, path, fillsPageSize, (page) => ({
        ...(symbol === null ? {} : { [layout.symbolName]: symbol }),
        ...range,
        ...pageOf(layout, page, fillsPageSize),
        limit: String(fillsPageSize)
      }))
    )
  }
  const reading = yield* readingNow(context)
  const found = yield* readEach(context, path, all, (row) => read(row, reading), onUnreadable)
  const wanted = found.filter(({ exchangeTime }) => since === null || isSince(exchangeTime ?? since, since))
  // Ids may be those of a market, and both sides of a trade with oneself have the same.
  return [...unique(wanted, ({ side, symbol, tradeId }) => `${symbol} ${tradeId} ${side}`)].sort(byTime)
})

// ---- funding ----

const accountBook = "/futures/usdt/account_book"

/** Newest first: what is paid meanwhile moves the others onto the next page. */
const funding = Effect.fnUntraced(
  function*(context: Context, withinMs: number): Effect.fn.Return<ReadonlyArray<FundingPayment>, ExchangeError> {
    const since = (yield* context.options.now) - withinMs
    const rows = yield* pages(context, accountBook, pageSize, (page) => ({
      type: "fund",
      from: String(Math.floor(since / 1000)),
      limit: String(pageSize),
      offset: String(page * pageSize)
    }))
    const reading = yield* readingNow(context)
    const read = (row: GateRow.Row) => GateAccountEvents.readFunding(row, reading)
    const found = yield* readList(context, accountBook, unique(rows, (row) => JSON.stringify(row)), read)
    return found.filter(({ exchangeTime }) => isSince(exchangeTime, since))
  },
  Effect.catchIf(isRefusalWith("USER_NOT_FOUND"), () => Effect.succeed([]))
)

// ---- commands ----

const replyTag = (command: GateCommands.OrderCommand): Reply["_tag"] => command._tag === "PlaceAll" ? "Placed" : "Order"

const readReply = (context: Context, path: string, tag: Reply["_tag"], answer: unknown) => {
  const reply = GateReplies.read(context.layout, tag, answer, context.options.instrumentOf)
  return Result.isSuccess(reply) ? Effect.succeed(reply.success) : context.unreadable(path, reply.failure)
}

const runOrder = (context: Context, command: GateCommands.OrderCommand): Effect.Effect<Reply, ExchangeError> =>
  (GateCommands.isOfTrigger(command) ? runTrigger(context, command) : null) ?? runPlaced(context, command)

/** An order that is not among those that were placed may still be waiting, unless it is known not to. */
const getWaiting = (context: Context, ref: SymbolRef): Effect.Effect<Reply, ExchangeError> =>
  hasTriggers(context) && ref.trigger !== false
    ? Effect.map(
      Effect.andThen(nextPage, triggerOf(context, ref)),
      (order): Reply => order === null ? { _tag: "Nothing" } : { _tag: "Order", order }
    )
    : Effect.succeed({ _tag: "Nothing" })

const runPlaced = (context: Context, command: GateCommands.OrderCommand): Effect.Effect<Reply, ExchangeError> => {
  const request = GateCommands.restRequest(context.layout, command)
  const run = Effect.flatMap(
    context.call(request, GateCommands.writes(command)),
    (answer) => readReply(context, request.path, replyTag(command), answer)
  )
  return command._tag === "Get"
    ? Effect.catchIf(run, isNoOrder, () => getWaiting(context, command.ref))
    : run
}

const isNoOrder = ({ reason }: ExchangeError): boolean =>
  reason._tag === "RequestFailed" && GateReplies.isUnknownOrder(reason.code)

const cancelOf = Effect.fnUntraced(function*(
  context: Context,
  symbol: string
): Effect.fn.Return<ReadonlyArray<Order>, ExchangeError> {
  const { layout } = context
  const query = { [layout.symbolName]: symbol }
  const answer = yield* context.call({ method: "DELETE", path: layout.orders, query }, true)
  const rows = GateRow.rowsOf(answer).filter((row) => new GateRow.Row(row).flagOr("succeeded") !== false)
  const placed = yield* readList(
    context,
    layout.orders,
    rows,
    (row) => layout.readOrder(row, context.options.instrumentOf)
  )
  return [...placed, ...yield* cancelTriggersOf(context, symbol)]
})

const cancelTriggersOf = (context: Context, symbol: string): Effect.Effect<ReadonlyArray<Order>, ExchangeError> =>
  hasTriggers(context)
    ? Effect.flatMap(
      context.call({ method: "DELETE", path: GateTriggers.path, query: { contract: symbol } }, true),
      (answer) =>
        readList(
          context,
          GateTriggers.path,
          GateRow.rowsOf(answer),
          (row) => GateTriggers.read(row, context.options.instrumentOf)
        )
    )
    : Effect.succeed([])

/** Both products cancel by market only: without one, those that have open orders. */
const cancelAll = Effect.fnUntraced(function*(
  context: Context,
  symbol: string | null
): Effect.fn.Return<Reply, ExchangeError> {
  const symbols = symbol === null
    ? [...new Set((yield* openOrders(context, null)).map((order) => order.symbol))]
    : [symbol]
  const orders = yield* Effect.forEach(symbols, (one) => cancelOf(context, one))
  return { _tag: "Orders", orders: orders.flat() }
})

/** Whole seconds, rounded up; 0 disarms it. Below 5 is refused, by the desk before it gets here. */
const countdown = (
  context: Context,
  { afterMs, symbol }: Extract<Command, { readonly _tag: "CancelAllAfter" }>
): Effect.Effect<Reply, ExchangeError> => {
  const timeout = afterMs === null ? 0 : Math.ceil(afterMs / 1000)
  const body = { timeout, ...(symbol === null ? {} : { [context.layout.symbolName]: symbol }) }
  return Effect.as(
    context.call({ method: "POST", path: context.layout.countdown, body }),
    { _tag: "Done" } as const
  )
}

const positionPath = (symbol: string): string => `${positionsPath}/${symbol}`

const leverage = (context: Context, symbol: string) =>
  Effect.flatMap(context.call({ method: "GET", path: positionPath(symbol) }), (answer) => {
    const row = new GateRow.Row(GateRow.rowsOf(answer)[0])
    const read = row.result(GateAccountEvents.readLeverage(row))
    return Result.isSuccess(read)
      ? Effect.succeed(read.success)
      : context.unreadable(positionPath(symbol), read.failure)
  })

const leverageReply = (context: Context, symbol: string): Effect.Effect<Reply, ExchangeError> =>
  Effect.map(leverage(context, symbol), ({ leverage, marginMode }): Reply => ({
    _tag: "Leverage",
    // Cross without a limit of its own: as high as the contract allows, which Gate writes as 0.
    leverage: leverage ?? Decimal.zero,
    mode: marginMode
  }))

/** The parameters stand in the query. A leverage that is not 0 means isolated, so a cross one goes by its limit. */
const setLeverage = Effect.fnUntraced(function*(
  context: Context,
  symbol: string,
  value: string
): Effect.fn.Return<Reply, ExchangeError> {
  const { marginMode } = yield* leverage(context, symbol)
  const query: Readonly<Record<string, string>> = marginMode === "cross"
    ? { leverage: "0", cross_leverage_limit: value }
    : { leverage: value }
  yield* context.call({ method: "POST", path: `${positionPath(symbol)}/leverage`, query })
  return { _tag: "Done" }
})

const setMarginMode = (context: Context, symbol: string, mode: string): Effect.Effect<Reply, ExchangeError> =>
  Effect.as(
    context.call({
      method: "POST",
      path: `${positionsPath}/cross_mode`,
      body: { mode: mode.toUpperCase(), contract: symbol }
    }),
    { _tag: "Done" } as const
  )

const run = (context: Context, command: Command): Effect.Effect<Reply, ExchangeError> => {
  switch (command._tag) {
    case "CancelAll":
      return cancelAll(context, command.symbol)
    case "OpenOrders":
      return Effect.map(openOrders(context, command.symbol), (orders): Reply => ({ _tag: "Orders", orders }))
    case "CancelAllAfter":
      return countdown(context, command)
    case "Leverage":
      return leverageReply(context, command.symbol)
    case "SetLeverage":
      return setLeverage(context, command.symbol, command.leverage)
    case "SetMarginMode":
      return setMarginMode(context, command.symbol, command.mode)
    default:
      return runOrder(context, command)
  }
}

// ---- all together ----

export const make = (product: Product, layout: OrderLayout, options: AccountRestOptions): AccountCalls => {
  const { client, url } = options
  const { send, unreadable } = RestClient.make({
    exchange: product.id,
    client,
    url,
    ...refusals,
    parse: ExactJson.parse
  })
  const context: Context = {
    options,
    product,
    layout,
    call: makeCall(product, options, send),
    unreadable
  }
  return {
    userId: userId(context),
    balances: balances(context),
    positions: positions(context),
    positionMode: product.kind === "spot" ? undefined : positionMode(context),
    openOrders: (symbol, onUnreadable) => openOrders(context, symbol, onUnreadable),
    fills: (query) => fills(context, query),
    funding: product.kind === "spot" ? undefined : (withinMs) => funding(context, withinMs),
    run: (command) => run(context, command)
  }
}

const readPaths: Readonly<Record<Exclude<AccountRead, "listenKey">, string>> = {
  balances: "balances",
  fills: "my_trades",
  funding: "account book",
  openOrders: "open orders",
  positionMode: "balances",
  positions: "positions",
  userId: "account detail"
}

/** 200 in 10 s for each endpoint and user; the account's detail belongs to the 150 of the others. */
export const uses = (layout: OrderLayout) => (read: AccountRead): ReadonlyArray<Use> =>
  read === "listenKey"
    ? []
    : [GateCommands.endpointUse(`${layout.prefix} ${readPaths[read]}`, read === "userId" ? 150 : 200)]
