/**
 * The account half of the made-up exchange: orders over signed REST, and private topics on the market's socket. The worked
 * example of accounts in `docs/adding-an-exchange.md`; its server's half is `ToyAccountDialect`.
 */
import { Clock, Effect, Option, Redacted, Result, Schema } from "effect"
import type {
  AccountAdapter,
  AccountCalls,
  AccountRestOptions,
  Command,
  PreparedOrder,
  PrivateCodec,
  PrivateTopic,
  Reply,
  SymbolRef
} from "../../../src/AccountAdapter.ts"
import { pairOf } from "../../../src/AccountAdapter.ts"
import type { Signer } from "../../../src/connection/Auth.ts"
import type { AccountEvent, Balance, Fill, Order, OrderStatus } from "../../../src/domain/Account.ts"
import * as Decimal from "../../../src/domain/Decimal.ts"
import type { InstrumentOf } from "../../../src/domain/Instrument.ts"
import * as ExchangeAdapter from "../../../src/ExchangeAdapter.ts"
import * as ExchangeError from "../../../src/ExchangeError.ts"
import type { Use } from "../../../src/RateLimits.ts"
import * as RestClient from "../../../src/RestClient.ts"
import { toySpot } from "./ToyAdapter.ts"

const exchange = toySpot.id

// ---- what the exchange says -----------------------------------------------------------------------------------------

const Amount = Schema.String.pipe(Schema.refine((text): text is string => Result.isSuccess(Decimal.parse(text))))
const Side = Schema.Literals(["buy", "sell"])
const Text = Schema.NullOr(Schema.String)

const OrderRow = Schema.Struct({
  id: Schema.Int,
  clientOrderId: Text,
  pair: Schema.String,
  side: Side,
  type: Schema.Literals(["limit", "market"]),
  timeInForce: Schema.Literals(["gtc", "ioc", "fok", "postOnly"]),
  price: Schema.NullOr(Amount),
  quantity: Schema.NullOr(Amount),
  filled: Amount,
  filledQuote: Amount,
  averagePrice: Schema.NullOr(Amount),
  finish: Text,
  createdAt: Schema.Finite,
  updatedAt: Schema.Finite
})

const FillRow = Schema.Struct({
  id: Schema.Int,
  orderId: Schema.Int,
  clientOrderId: Text,
  pair: Schema.String,
  side: Side,
  price: Amount,
  quantity: Amount,
  liquidity: Schema.Literals(["maker", "taker"]),
  fee: Amount,
  feeAsset: Schema.String,
  time: Schema.Finite
})

const BalanceRow = Schema.Struct({ asset: Schema.String, available: Amount, locked: Amount })

const Push = Schema.Union([
  Schema.TaggedStruct("Order", { order: OrderRow }),
  Schema.TaggedStruct("Fill", { fill: FillRow }),
  Schema.TaggedStruct("Balance", {
    balance: Schema.Struct({ ...BalanceRow.fields, change: Amount, cause: Schema.String, time: Schema.Finite })
  })
])

const Message = Schema.Union([
  Schema.Struct({ type: Schema.Literals(["pong", "upgrade", "error"]) }),
  Schema.Struct({
    type: Schema.Literals(["ack", "reject"]),
    topic: Schema.String,
    code: Schema.optional(Schema.String)
  }),
  Schema.Struct({ type: Schema.Literal("private"), topic: Schema.String, event: Push })
])

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Message))

const some = (text: string | null): Decimal.Decimal | null => text === null ? null : Decimal.of(text)

/** The toy's markets are named by pair in answers, and by symbol in requests. */
const symbolOf = (pair: string): string => pair.replace("/", "_")

const statusOf = ({ filled, finish }: typeof OrderRow.Type): OrderStatus => {
  const isUntouched = Decimal.equals(Decimal.of(filled), Decimal.zero)
  if (finish === null) return isUntouched ? "new" : "partiallyFilled"
  if (finish === "filled") return "filled"
  return isUntouched ? "canceled" : "partiallyCanceled"
}

const orderOf = (row: typeof OrderRow.Type, instrumentOf: InstrumentOf): Order => ({
  pair: pairOf(instrumentOf, symbolOf(row.pair)),
  symbol: symbolOf(row.pair),
  orderId: String(row.id),
  clientOrderId: row.clientOrderId,
  side: row.side,
  type: row.type,
  timeInForce: row.timeInForce,
  price: some(row.price),
  quantity: some(row.quantity),
  quoteQuantity: null,
  filledQuantity: Decimal.of(row.filled),
  filledQuote: Decimal.of(row.filledQuote),
  averagePrice: some(row.averagePrice),
  status: statusOf(row),
  finishedAs: row.finish,
  reduceOnly: null,
  triggerPrice: null,
  createdAt: row.createdAt,
  updatedAt: row.updatedAt
})

const received = (origin: "Stream" | "Reconciled", receivedAt: number) => ({ origin, receivedAt }) as const

const fillOf = (row: typeof FillRow.Type, instrumentOf: InstrumentOf, at: ReturnType<typeof received>): Fill => ({
  _tag: "Fill",
  ...at,
  pair: pairOf(instrumentOf, symbolOf(row.pair)),
  symbol: symbolOf(row.pair),
  tradeId: String(row.id),
  orderId: String(row.orderId),
  clientOrderId: row.clientOrderId,
  side: row.side,
  price: Decimal.of(row.price),
  quantity: Decimal.of(row.quantity),
  liquidity: row.liquidity,
  fee: Decimal.of(row.fee),
  feeAsset: row.feeAsset,
  exchangeTime: row.time
})

const balanceOf = (
  { asset, available, locked }: typeof BalanceRow.Type,
  at: ReturnType<typeof received>,
  change: Pick<Balance, "cause" | "change" | "exchangeTime"> = { cause: null, change: null, exchangeTime: null }
): Balance => ({
  _tag: "Balance",
  ...at,
  ...change,
  asset,
  available: Decimal.of(available),
  locked: Decimal.of(locked),
  total: null
})

const eventOf = (push: typeof Push.Type, instrumentOf: InstrumentOf, receivedAt: number): AccountEvent => {
  const at = received("Stream", receivedAt)
  if (push._tag === "Fill") return fillOf(push.fill, instrumentOf, at)
  if (push._tag === "Order") return { _tag: "OrderUpdate", ...at, ...orderOf(push.order, instrumentOf) }
  const { cause, change, time, ...row } = push.balance
  return balanceOf(row, at, { cause, change: Decimal.of(change), exchangeTime: time })
}

// ---- signed calls ---------------------------------------------------------------------------------------------------

const Refusal = Schema.Struct({ code: Schema.String, detail: Schema.String })
const refusalOf = (json: unknown) => Option.getOrNull(Schema.decodeUnknownOption(Refusal)(json))

const authCodes = new Set(["badKey", "badAddress", "badTime", "badSignature", "noPermission"])

const classify = (code: string | null, _text: string, status: number): ExchangeError.AnswerClass => {
  if (code !== null && authCodes.has(code)) return "auth"
  if (status === 429) return "rateLimit"
  return status >= 500 ? "retryable" : "item"
}

const sign = Effect.fnUntraced(function*(signer: Signer, time: number, text: string) {
  return { key: Redacted.value(signer.key), time: String(time), signature: yield* signer.sign(`${time} ${text}`) }
})

type Query = Readonly<Record<string, string>>

const about = (ref: SymbolRef): Query =>
  "orderId" in ref
    ? { symbol: ref.symbol, id: ref.orderId }
    : { symbol: ref.symbol, client: ref.clientOrderId }

const ofSymbol = (symbol: string | null): Query => symbol === null ? {} : { symbol }

const bodyOf = ({ clientOrderId, instrument, price, quantity, side, timeInForce, type }: PreparedOrder): string =>
  JSON.stringify({
    symbol: instrument.symbol,
    side,
    type,
    timeInForce,
    ...(price === null ? {} : { price }),
    quantity,
    client: clientOrderId
  })

const makeCalls = ({ client, instrumentOf, now, signer, url }: AccountRestOptions): AccountCalls => {
  const { send } = RestClient.make({ exchange, client, url, refusalOf, classify })

  const ask = <A, I>(
    schema: Schema.Codec<A, I>,
    method: RestClient.SignedCall["method"],
    path: string,
    { body, query = {} }: { readonly body?: string; readonly query?: Query } = {}
  ) =>
    Effect.gen(function*() {
      const search = new URLSearchParams(query).toString()
      const time = Math.floor(yield* now)
      const { key, signature } = yield* sign(signer, time, `${method} ${path}?${search} ${body ?? ""}`)
      const headers = { "x-toy-key": key, "x-toy-time": String(time), "x-toy-signature": signature }
      return yield* send(schema, { method, path, query: search, headers, body, secrets: [key, signature] })
    })

  const order = Effect.map((row: typeof OrderRow.Type): Reply => ({ _tag: "Order", order: orderOf(row, instrumentOf) }))
  const orders = Effect.map((rows: ReadonlyArray<typeof OrderRow.Type>) =>
    rows.map((row) => orderOf(row, instrumentOf))
  )
  const reply = Effect.map((orders: ReadonlyArray<Order>): Reply => ({ _tag: "Orders", orders }))
  const openOrders: AccountCalls["openOrders"] = (symbol) =>
    orders(ask(Schema.Array(OrderRow), "GET", "/trade/orders", { query: ofSymbol(symbol) }))

  const get = (ref: SymbolRef) =>
    order(ask(OrderRow, "GET", "/trade/order", { query: about(ref) })).pipe(
      Effect.catchIf(
        ({ reason }) => reason._tag === "RequestFailed" && reason.code === "unknownOrder",
        () => Effect.succeed<Reply>({ _tag: "Nothing" })
      )
    )

  const run = (command: Command): Effect.Effect<Reply, ExchangeError.ExchangeError> => {
    switch (command._tag) {
      case "Place":
        return order(ask(OrderRow, "POST", "/trade/orders", { body: bodyOf(command.order) }))
      case "Cancel":
        return order(ask(OrderRow, "DELETE", "/trade/order", { query: about(command.ref) }))
      case "CancelAll":
        return reply(
          orders(ask(Schema.Array(OrderRow), "DELETE", "/trade/orders", { query: ofSymbol(command.symbol) }))
        )
      case "Get":
        return get(command.ref)
      case "OpenOrders":
        return reply(openOrders(command.symbol))
      default: {
        const detail = `the toy exchange has no ${command._tag}`
        return Effect.fail(ExchangeError.make(exchange, new ExchangeError.UnsupportedOrder({ detail })))
      }
    }
  }

  const readAt = Effect.map(Clock.currentTimeMillis, (millis) => received("Reconciled", millis))
  return {
    userId: Effect.map(ask(Schema.Struct({ userId: Schema.String }), "GET", "/trade/user"), ({ userId }) => userId),
    balances: Effect.flatMap(
      ask(Schema.Array(BalanceRow), "GET", "/trade/balances"),
      (rows) => Effect.map(readAt, (at) => rows.map((row) => balanceOf(row, at)))
    ),
    positions: Effect.succeed([]),
    openOrders,
    fills: ({ since, symbol }) =>
      Effect.flatMap(
        ask(Schema.Array(FillRow), "GET", "/trade/fills", {
          query: { ...ofSymbol(symbol), since: String(Math.floor(since ?? 0)) }
        }),
        (rows) => Effect.map(readAt, (at) => rows.map((row) => fillOf(row, instrumentOf, at)))
      ),
    run
  }
}

// ---- the private topics ---------------------------------------------------------------------------------------------

const channels = ["Orders", "Fills", "Balances"] as const

const makeCodec = (instrumentOf: InstrumentOf): PrivateCodec => ({
  decode: (frame, receivedAt, sink) => {
    const message = Option.getOrUndefined(decode(new TextDecoder().decode(frame)))
    if (message === undefined) return sink.failed("no message of this exchange")
    switch (message.type) {
      case "pong":
        return sink.pong()
      case "upgrade":
        return sink.closing("the exchange is about to close the connection")
      case "error":
        return sink.ignored("the exchange did not understand a request")
      case "private": {
        const channel = channels.find((tag) => message.topic === `private.${tag.toLowerCase()}`)
        return channel === undefined
          ? sink.ignored(`a push of ${message.topic}`)
          : sink.event(channel, eventOf(message.event, instrumentOf, receivedAt))
      }
      default: {
        const answer = { action: "unknown", requestId: null, topics: [message.topic] } as const
        if (message.type === "ack") return sink.acknowledged(answer)
        const code = message.code ?? "reject"
        return sink.rejected(answer, { code, detail: "subscription refused", class: classify(code, "", 400) })
      }
    }
  }
})

const frames =
  (op: "sub" | "unsub") =>
  (topics: ReadonlyArray<PrivateTopic>, { nextId, nowMillis }: ExchangeAdapter.Stamp, signer: Signer) =>
    Effect.forEach(topics, (topic) =>
      Effect.map(sign(signer, Math.floor(nowMillis), topic.key), (signed) => ({
        frame: JSON.stringify({ op, topic: topic.key, ...signed }),
        id: nextId(),
        topics: [topic]
      })))

/** Twenty in a second; a tenth more for the jitter of the way. */
const orderPace: Use = { budget: "toy orders", tokens: 1, limit: 20, window: "1100 millis" }

const commandTags = new Set<Command["_tag"]>(["Place", "Cancel", "CancelAll"])

export const toyAccount: AccountAdapter<(typeof channels)[number], never> = {
  algorithm: "hmacSha256",
  channels: new Set(channels),
  coverage: channels.map((channel) => (
    { channel, wire: `private.${channel.toLowerCase()}`, note: "every change", source: "ToyAccountDialect" }
  )),
  makeCalls,
  isStampOff: (code) => code === "badTime",
  needsPair: false,
  stream: {
    endpoint: (url) => Effect.succeed({ url }),
    needsUserId: false,
    topics: (channel) =>
      channels.some((tag) => tag === channel)
        ? [{ key: `private.${channel.toLowerCase()}`, channel }]
        : [],
    subscribe: frames("sub"),
    unsubscribe: frames("unsub"),
    makeCodec,
    heartbeat: toySpot.heartbeat
  },
  orders: {
    abilities: new Set<never>(),
    socket: null,
    clientOrderIds: {
      make: (unique) => unique,
      problem: (id) => /^[\w-]{1,64}$/.test(id) ? null : "the toy exchange takes 1 to 64 letters, digits, _ and -"
    },
    // How old a signature may be.
    expiry: "6 seconds",
    batchSize: 1,
    uses: ({ _tag }) => commandTags.has(_tag) ? [orderPace] : []
  }
}

/** The toy exchange with accounts. */
export const toyTrading = ExchangeAdapter.make({ ...toySpot, account: toyAccount })
