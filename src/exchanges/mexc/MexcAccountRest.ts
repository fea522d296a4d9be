/** Signed REST calls of one account ("Spot Account/Trade", "Websocket User Data Streams"). */
import { Clock, Duration, Effect, Redacted, Result, Schema } from "effect"
import type {
  AccountCalls,
  AccountRestOptions,
  Command,
  OnUnreadable,
  PreparedOrder,
  Reply,
  SymbolRef
} from "../../AccountAdapter.ts"
import { NextPage } from "../../AccountAdapter.ts"
import type { Fill, Order } from "../../domain/Account.ts"
import { isFinal } from "../../domain/Account.ts"
import * as ExactJson from "../../domain/ExactJson.ts"
import * as ExchangeError from "../../ExchangeError.ts"
import type { Rejection } from "../../OrderEntry.ts"
import * as RestClient from "../../RestClient.ts"
import * as MexcErrors from "./MexcErrors.ts"
import * as MexcOrders from "./MexcOrders.ts"
import * as MexcRest from "./MexcRest.ts"
import * as MexcSigning from "./MexcSigning.ts"

type Error = ExchangeError.ExchangeError

/**
 * How old a command may be when it arrives (`recvWindow`, at most 60 s; "Timing security"). Short, because until then a
 * command whose answer was lost may still take effect.
 */
export const commandWindowMillis = 2_000

/** Readings may be older. */
const readingWindowMillis = 5_000

/** "My trades": at most so many in one answer, and none that is older than a month. */
const fillsLimit = 100
const oldestFill = Duration.toMillis("30 days") - Duration.toMillis("1 minute")

/** Orders in one `batchOrders`, all of one symbol ("Batch Orders"). */
export const batchSize = 20

/** Ids of pushed fills begin with a number that rises: it orders what happened in one millisecond. */
const serialOf = ({ tradeId }: Fill): bigint | null => {
  const digits = /^\d{1,40}(?=X)/u.exec(tradeId)?.[0]
  return digits === undefined ? null : BigInt(digits)
}

const byTime = (one: Fill, other: Fill): number => {
  const difference = (one.exchangeTime ?? 0) - (other.exchangeTime ?? 0)
  const [first, second] = [serialOf(one), serialOf(other)]
  return difference !== 0 || first === null || second === null ? difference : Number(first - second)
}

const Orders = Schema.Array(MexcOrders.OrderRow)
const Fills = Schema.Array(MexcOrders.FillRow)
const Account = Schema.Struct({ balances: Schema.Array(MexcOrders.BalanceRow) })
const UserId = Schema.Struct({ uid: Schema.Union([Schema.NonEmptyString, Schema.Int]) })
const ListenKey = Schema.Struct({ listenKey: Schema.NonEmptyString })

/** An order that was taken is answered with its id, one that was not with a code. */
const BatchRow = Schema.Union([
  Schema.Struct({
    code: Schema.Union([Schema.String, Schema.Int]),
    msg: Schema.optional(Schema.NullOr(Schema.String)),
    newClientOrderId: Schema.optional(Schema.NullOr(Schema.Union([Schema.String, Schema.Finite])))
  }),
  MexcOrders.PlacedRow
])
const Batch = Schema.Array(BatchRow)

/** `{}`, and nothing that could be a refusal. */
const Tested = Schema.Record(Schema.String, Schema.Never)

type Parameters = Readonly<Record<string, string>>

interface Ask {
  readonly method: RestClient.SignedCall["method"]
  readonly path: string
  readonly parameters?: Parameters
  readonly windowMillis?: number
  readonly where?: RestClient.Where
  /** Beside the key and the signature. */
  readonly secrets?: ReadonlyArray<string>
}

const orderPath = "/api/v3/order"
const openOrdersPath = "/api/v3/openOrders"
const listenKeyPath = "/api/v3/userDataStream"

const failing = (reason: ExchangeError.Reason): Effect.Effect<never, Error> =>
  Effect.fail(ExchangeError.make(MexcErrors.exchange, reason))

const unsupported = (detail: string): Effect.Effect<never, Error> =>
  failing(new ExchangeError.UnsupportedOrder({ detail }))

const refParameters = (ref: SymbolRef): Parameters =>
  "orderId" in ref
    ? { symbol: ref.symbol, orderId: ref.orderId }
    : { symbol: ref.symbol, origClientOrderId: ref.clientOrderId }

/**
 * A refusal says that nothing was done. Some of MEXC's codes only say that it does not know what was done, under whatever
 * HTTP status: then there is no answer.
 */
const undecided = (error: Error): Error => {
  const { reason } = error
  return reason._tag === "RequestFailed" && MexcErrors.leavesOpen(reason.code)
    ? ExchangeError.make(error.exchange, new ExchangeError.RequestFailed({ ...reason, status: null }))
    : error
}

const isUnknownOrder = ({ reason }: Error): boolean =>
  reason._tag === "RequestFailed" && MexcErrors.isUnknownOrder(reason.code)

export const make = ({ client, instrumentOf, now, signer, url }: AccountRestOptions): AccountCalls => {
  const { send } = RestClient.make({
    ...MexcRest.clientOptions(client, url),
    parse: ExactJson.parse
  })

  const ask = Effect.fnUntraced(function*<A, I>(
    schema: Schema.Codec<A, I>,
    request: Ask
  ): Effect.fn.Return<A, Error> {
    const { method, parameters = {}, path, secrets = [], where = {}, windowMillis = readingWindowMillis } = request
    const timestamp = String(Math.floor(yield* now))
    const query = MexcSigning.query({ ...parameters, recvWindow: String(windowMillis), timestamp })
    const signature = yield* signer.sign(MexcSigning.total(query))
    const key = Redacted.value(signer.key)
    return yield* send(schema, {
      method,
      path,
      query: `${query}&signature=${signature}`,
      headers: { "X-MEXC-APIKEY": key, "Content-Type": "application/json" },
      secrets: [key, signature, ...secrets]
    }, where)
  })

  const command = <A, I>(schema: Schema.Codec<A, I>, request: Ask): Effect.Effect<A, Error> =>
    Effect.mapError(ask(schema, { windowMillis: commandWindowMillis, ...request }), undecided)

  /** What cannot be read of an answer is an answer that is lost. */
  const readable = <A>(path: string, read: MexcOrders.Read<A>): Effect.Effect<A, Error> =>
    Result.isSuccess(read)
      ? Effect.succeed(read.success)
      : failing(new ExchangeError.DecodeFailed({ detail: `${path}: ${read.failure}` }))

  /** Those that can be read; the others are told to `onUnreadable`. */
  const readEach = <A>(
    path: string,
    reads: ReadonlyArray<MexcOrders.Read<A>>,
    onUnreadable: OnUnreadable | undefined
  ): Effect.Effect<ReadonlyArray<A>, Error> =>
    Effect.map(
      Effect.forEach(reads, (read) => {
        const found = Effect.map(readable(path, read), (one) => [one])
        return onUnreadable === undefined
          ? found
          : found.pipe(Effect.catch((error) => Effect.as(Effect.sync(() => onUnreadable(error)), [])))
      }),
      (lists) => lists.flat()
    )

  const orderOf = (row: MexcOrders.OrderRow) => readable(orderPath, MexcOrders.order(row, instrumentOf))

  const get = (ref: SymbolRef): Effect.Effect<Order, Error> =>
    Effect.flatMap(
      ask(MexcOrders.OrderRow, {
        method: "GET",
        path: orderPath,
        parameters: refParameters(ref),
        where: { symbol: ref.symbol }
      }),
      orderOf
    )

  /**
   * What has become of a cancelled order, asked for where the answer does not say; still open is no answer. Neither is a
   * question that fails: the cancel was taken, so nothing that befalls the question may pass for its refusal.
   */
  const ended = Effect.fnUntraced(function*(row: MexcOrders.OrderRow) {
    if (MexcOrders.isSettled(row)) return yield* orderOf(row)
    const order = yield* Effect.mapError(
      get({ symbol: row.symbol, orderId: String(row.orderId) }),
      (error) =>
        ExchangeError.make(
          MexcErrors.exchange,
          new ExchangeError.DecodeFailed({
            symbol: row.symbol,
            detail: `DELETE ${orderPath}: what became of order ${row.orderId} cannot be read: ${error.message}`
          })
        )
    )
    if (isFinal(order.status)) return order
    return yield* failing(
      new ExchangeError.DecodeFailed({
        symbol: row.symbol,
        detail: `DELETE ${orderPath}: order ${row.orderId} was cancelled and still is ${order.status}`
      })
    )
  })

  const openOrders: AccountCalls["openOrders"] = (symbol, onUnreadable) =>
    symbol === null
      ? failing(new ExchangeError.InvalidUse({ detail: "MEXC lists the open orders of one pair; name it" }))
      : ask(Orders, { method: "GET", path: openOrdersPath, parameters: { symbol }, where: { symbol } }).pipe(
        Effect.flatMap((rows) =>
          readEach(openOrdersPath, rows.map((row) => MexcOrders.order(row, instrumentOf)), onUnreadable)
        )
      )

  // ---- fills --------------------------------------------------------------------------------------------------------

  interface Page {
    readonly fills: ReadonlyArray<Fill>
    /** As many rows as an answer holds: there may be more. */
    readonly isFull: boolean
    /** Of its rows, ms. */
    readonly oldest: number
    readonly newest: number
  }

  const page = Effect.fnUntraced(
    function*(symbol: string, times: Parameters, onUnreadable: OnUnreadable | undefined) {
      const path = "/api/v3/myTrades"
      const rows = yield* ask(Fills, {
        method: "GET",
        path,
        parameters: { symbol, ...times, limit: String(fillsLimit) },
        where: { symbol }
      })
      const receivedAt = yield* Clock.currentTimeMillis
      const fills = yield* readEach(
        path,
        rows.map((row) => MexcOrders.fill(row, instrumentOf, receivedAt)),
        onUnreadable
      )
      return {
        fills,
        isFull: rows.length >= fillsLimit,
        oldest: Math.min(...rows.map(({ time }) => time)),
        newest: Math.max(...rows.map(({ time }) => time))
      } satisfies Page
    }
  )

  const hidden = (symbol: string, millis: number) =>
    Effect.logWarning(
      `[${MexcErrors.exchange}] ${symbol}: more than ${fillsLimit} fills within the millisecond ${millis}, which MEXC ` +
        "does not list; those of them that the stream has not brought are missed"
    )

  type Turn = (times: Parameters) => Effect.Effect<Page, Error>

  const newer = Effect.fnUntraced(function*(symbol: string, next: Turn, { newest: from }: Page) {
    for (let start = from;;) {
      const { isFull, newest, oldest } = yield* next({ startTime: String(start) })
      if (!isFull || oldest < start) return
      if (newest === start) yield* hidden(symbol, start)
      start = Math.max(newest, start + 1)
    }
  })

  const older = Effect.fnUntraced(function*(symbol: string, next: Turn, since: number, first: Page) {
    // The next millisecond too, should the exchange count finer than it tells.
    for (let end = first.oldest + 1; end >= since;) {
      const { isFull, newest, oldest } = yield* next({ startTime: String(since), endTime: String(end) })
      if (!isFull || newest > end) return
      if (oldest === end && end !== first.newest) yield* hidden(symbol, end)
      end = oldest < end - 1 ? oldest + 1 : end - 1
    }
  })

  /**
   * Every fill since a moment. Whether a full answer holds the oldest or the newest is not documented, so what lies
   * behind it is asked for on both sides, until an answer is not full or is not what was asked for.
   */
  const fillsSince = Effect.fnUntraced(
    function*(symbol: string, since: number, onUnreadable: OnUnreadable | undefined) {
      const found = new Map<string, Fill>()
      const take = (times: Parameters) =>
        Effect.tap(page(symbol, times, onUnreadable), ({ fills }) =>
          Effect.sync(() => {
            for (const fill of fills) found.set(`${fill.tradeId} ${fill.side}`, fill)
          }))
      const next: Turn = (times) => Effect.andThen(Effect.flatten(NextPage), take(times))
      const first = yield* take({ startTime: String(since) })
      if (first.isFull) {
        yield* newer(symbol, next, first)
        yield* older(symbol, next, since, first)
      }
      return [...found.values()]
    }
  )

  const sinceOf = Effect.fnUntraced(function*(symbol: string, since: number) {
    const oldest = Math.floor(yield* now) - oldestFill
    if (since < oldest) yield* Effect.logWarning(`[${MexcErrors.exchange}] ${symbol}: fills are told for a month only`)
    return Math.floor(Math.max(since, oldest))
  })

  const fills: AccountCalls["fills"] = Effect.fnUntraced(function*({ onUnreadable, since, symbol }) {
    if (symbol === null) {
      return yield* failing(new ExchangeError.InvalidUse({ detail: "MEXC lists the fills of one pair; name it" }))
    }
    const found = since === null
      ? (yield* page(symbol, {}, onUnreadable)).fills
      : yield* fillsSince(symbol, yield* sinceOf(symbol, since), onUnreadable)
    return found.toSorted(byTime)
  })

  // ---- orders -------------------------------------------------------------------------------------------------------

  const parametersOf = (order: PreparedOrder): Effect.Effect<Parameters, Error> =>
    Effect.mapError(
      Effect.fromResult(MexcOrders.parameters(order)),
      (reason) => ExchangeError.make(MexcErrors.exchange, reason)
    )

  const place = Effect.fnUntraced(function*(order: PreparedOrder) {
    const row = yield* command(MexcOrders.PlacedRow, {
      method: "POST",
      path: orderPath,
      parameters: yield* parametersOf(order),
      where: { symbol: order.instrument.pair }
    })
    return MexcOrders.placed(row, order)
  })

  /** Answers come in the order of the orders. */
  const placeBatch = Effect.fnUntraced(function*(orders: ReadonlyArray<PreparedOrder>) {
    const path = "/api/v3/batchOrders"
    const batchOrders = JSON.stringify(yield* Effect.forEach(orders, parametersOf))
    const rows = yield* command(Batch, { method: "POST", path, parameters: { batchOrders } })
    if (rows.length !== orders.length) {
      const detail = `POST ${path}: ${rows.length} answers to ${orders.length} orders`
      return yield* failing(new ExchangeError.DecodeFailed({ detail }))
    }
    return rows.map((row, index): Order | Rejection => {
      if (!("code" in row)) return MexcOrders.placed(row, orders[index]!)
      const code = String(row.code)
      const detail = row.msg ?? ""
      return { code, detail, class: MexcErrors.classify(code, detail, 200).class }
    })
  })

  const cancel = (ref: SymbolRef): Effect.Effect<Order, Error> =>
    Effect.flatMap(
      command(MexcOrders.OrderRow, {
        method: "DELETE",
        path: orderPath,
        parameters: refParameters(ref),
        where: { symbol: ref.symbol }
      }),
      ended
    )

  /** What became of an order of which the answer does not say is left to whoever has asked. */
  const cancelAll = (symbol: string | null): Effect.Effect<Reply, Error> =>
    symbol === null
      ? unsupported("MEXC cancels the orders of one pair; name it")
      : command(Orders, { method: "DELETE", path: openOrdersPath, parameters: { symbol }, where: { symbol } }).pipe(
        Effect.flatMap((rows) =>
          Effect.map(Effect.forEach(rows.filter(MexcOrders.isSettled), orderOf), (orders): Reply => ({
            _tag: "Orders",
            orders,
            unsettled: rows.flatMap((row) =>
              MexcOrders.isSettled(row) ? [] : [{ symbol: row.symbol, orderId: String(row.orderId) }]
            )
          }))
        )
      )

  const single = (order: Order): Reply => ({ _tag: "Order", order })
  const several = (orders: ReadonlyArray<Order>): Reply => ({ _tag: "Orders", orders })

  const run = (asked: Command): Effect.Effect<Reply, Error> => {
    switch (asked._tag) {
      case "Place":
        return Effect.map(place(asked.order), single)
      case "PlaceAll":
        return Effect.map(placeBatch(asked.orders), (results) => ({ _tag: "Placed", results }))
      case "Cancel":
        return Effect.map(cancel(asked.ref), single)
      case "CancelAll":
        return cancelAll(asked.symbol)
      case "Get":
        return Effect.map(get(asked.ref), single).pipe(
          Effect.catchIf(isUnknownOrder, () => Effect.succeed<Reply>({ _tag: "Nothing" }))
        )
      case "OpenOrders":
        return Effect.map(openOrders(asked.symbol), several)
      default:
        return unsupported(`MEXC spot has no ${asked._tag}`)
    }
  }

  // ---- listen keys --------------------------------------------------------------------------------------------------

  /** An answer that cannot be read may hold the key under another name. */
  const newKey = ask(ListenKey, { method: "POST", path: listenKeyPath }).pipe(
    Effect.mapError((error) =>
      error.reason._tag === "DecodeFailed"
        ? ExchangeError.make(
          MexcErrors.exchange,
          new ExchangeError.DecodeFailed({ detail: `POST ${listenKeyPath}: the answer holds no listenKey` })
        )
        : error
    ),
    Effect.map(({ listenKey }) => listenKey)
  )

  const withKey = (method: "PUT" | "DELETE") => (listenKey: string): Effect.Effect<void, Error> =>
    Effect.asVoid(
      ask(ListenKey, { method, path: listenKeyPath, parameters: { listenKey }, secrets: [listenKey] })
    )

  return {
    userId: Effect.map(ask(UserId, { method: "GET", path: "/api/v3/uid" }), ({ uid }) => String(uid)),
    balances: Effect.gen(function*() {
      const path = "/api/v3/account"
      const { balances } = yield* ask(Account, { method: "GET", path })
      const receivedAt = yield* Clock.currentTimeMillis
      const all = yield* Effect.forEach(balances, (row) => readable(path, MexcOrders.balance(row, receivedAt)))
      return all.filter(({ total }) => !MexcOrders.isNothing(total))
    }),
    positions: Effect.succeed([]),
    openOrders,
    fills,
    run,
    test: Effect.fnUntraced(function*(order) {
      const parameters = yield* parametersOf(order)
      yield* command(Tested, { method: "POST", path: `${orderPath}/test`, parameters })
    }),
    listenKeys: { make: newKey, renew: withKey("PUT"), remove: withKey("DELETE") }
  }
}
