/**
 * The toy exchange with accounts: signed REST for orders and readings, and the private topics `private.orders`,
 * `private.fills` and `private.balances`. A request is signed over its method, path, query and body; a subscription over its
 * topic and time. Everything else is `ToyDialect`.
 */
import { createHmac } from "node:crypto"
import type { WorldAccount, WorldAccountEvent, WorldKey, WorldRef } from "../../../src/AccountWorld.ts"
import { isRefusal } from "../../../src/AccountWorld.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import { jsonObject, perWorld, quotas } from "../../../src/ExchangeDialect.ts"
import type {
  About,
  DialectConnection,
  DialectRequest,
  DialectResponse,
  ExchangeDialect,
  Peer,
  World
} from "../../../src/ExchangeDialect.ts"
import { toy } from "../../simulator/ToyDialect.ts"

const windowMillis = 5_000
const ordersASecond = 20

const json = (status: number, body: unknown): DialectResponse => ({
  status,
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body)
})

const refuse = (status: number, code: string): DialectResponse => json(status, { code, detail: `refused: ${code}` })

interface Signed {
  readonly key: string
  readonly time: string
  readonly signature: string
  readonly text: string
  readonly address: string
}

/** Whose request it is, or why it is nobody's. */
const callerOf = (
  { address, key, signature, text, time }: Signed,
  world: World
): { readonly account: WorldAccount; readonly key: WorldKey } | string => {
  const found = world.accounts.find(key)
  if (found === null) return "badKey"
  if (found.key.addresses !== null && !found.key.addresses.includes(address)) return "badAddress"
  if (Math.abs(world.now() - Number(time)) > windowMillis) return "badTime"
  const expected = createHmac("sha256", found.key.secret).update(`${time} ${text}`).digest("hex")
  return expected === signature ? found : "badSignature"
}

const pairOf = (symbol: string | null | undefined): TradingPair | undefined =>
  symbol === null || symbol === undefined ? undefined : symbol.replace("_", "/") as TradingPair

const refOf = (query: ReadonlyMap<string, string>): WorldRef => {
  const client = query.get("client")
  return client === undefined ? { id: Number(query.get("id")) } : { clientOrderId: client }
}

const answer = (result: unknown): DialectResponse => isRefusal(result) ? refuse(400, result) : json(200, result)

const place = (account: WorldAccount, body: string): DialectResponse => {
  const order = jsonObject(body) ?? {}
  const text = (name: string): string | null => order[name] === undefined ? null : String(order[name])
  return answer(account.place({
    pair: pairOf(text("symbol"))!,
    side: text("side") === "buy" ? "buy" : "sell",
    type: text("type") === "limit" ? "limit" : "market",
    timeInForce: text("timeInForce") as "gtc" | "ioc" | "fok" | "postOnly",
    price: text("price"),
    quantity: text("quantity"),
    quoteQuantity: null,
    clientOrderId: text("client"),
    reduceOnly: false,
    trigger: null
  }))
}

const readings: Readonly<Record<string, (account: WorldAccount, query: ReadonlyMap<string, string>) => unknown>> = {
  "GET /trade/user": ({ userId }) => ({ userId }),
  "GET /trade/balances": (account) => account.balances(),
  "GET /trade/orders": (account, query) => account.orders({ open: true, pair: pairOf(query.get("symbol")) }),
  "GET /trade/order": (account, query) => account.order(refOf(query)) ?? "unknownOrder",
  "GET /trade/fills": (account, query) =>
    account.fills({ pair: pairOf(query.get("symbol")), since: Number(query.get("since") ?? 0) })
}

const commands: Readonly<Record<string, (account: WorldAccount, request: DialectRequest) => DialectResponse>> = {
  "POST /trade/orders": (account, { body }) => place(account, body),
  "DELETE /trade/order": (account, { query }) => answer(account.cancel(refOf(query))),
  "DELETE /trade/orders": (account, { query }) => json(200, account.cancelAll(pairOf(query.get("symbol"))))
}

const orderQuotas = perWorld(() => quotas(ordersASecond, 1_000))

const trade = (request: DialectRequest, world: World, limits: "real" | "off"): DialectResponse => {
  const { address, body, headers, method, path, search } = request
  const route = `${method} ${path}`
  const caller = callerOf({
    key: headers["x-toy-key"] ?? "",
    time: headers["x-toy-time"] ?? "",
    signature: headers["x-toy-signature"] ?? "",
    text: `${route}?${search} ${body}`,
    address
  }, world)
  if (typeof caller === "string") return refuse(401, caller)
  const { account, key } = caller
  const read = readings[route]
  if (read !== undefined) return answer(read(account, request.query))
  const command = commands[route]
  if (command === undefined) return refuse(404, "unknownRoute")
  if (!key.permissions.has("trade")) return refuse(403, "noPermission")
  const isWithin = limits === "off" || orderQuotas(world)(account.userId, world.now(), 1).allowed
  return isWithin ? command(account, request) : refuse(429, "tooManyRequests")
}

const topicOf: Readonly<Partial<Record<WorldAccountEvent["_tag"], string>>> = {
  Order: "private.orders",
  Fill: "private.fills",
  Balance: "private.balances"
}

const connect: ExchangeDialect["connect"] = (world: World, peer: Peer, options): DialectConnection => {
  const market = toy.connect(world, peer, options)
  const streams = new Map<string, () => void>()
  const say = (message: unknown, about: About): void => peer.send(JSON.stringify(message), about)
  const reply = (type: "ack" | "reject", topic: string, code?: string): void =>
    say({ type, topic, code }, { _tag: "Control", kind: type })

  const subscribe = (topic: string, { key, signature, time }: Readonly<Record<string, unknown>>): void => {
    const signed = { key: String(key), time: String(time), signature: String(signature) }
    const caller = callerOf({ ...signed, text: topic, address: peer.address }, world)
    if (typeof caller === "string") return reply("reject", topic, caller)
    streams.get(topic)?.()
    streams.set(
      topic,
      caller.account.watch((event) => {
        if (topicOf[event._tag] === topic) say({ type: "private", topic, event }, { _tag: "Data", topic, events: 1 })
      })
    )
    reply("ack", topic)
  }

  return {
    ...market,
    onFrame: (frame) => {
      const request = jsonObject(typeof frame === "string" ? frame : new TextDecoder().decode(frame))
      const topic = String(request?.["topic"])
      if (!topic.startsWith("private.")) return market.onFrame(frame)
      if (request?.["op"] === "sub") return subscribe(topic, request)
      streams.get(topic)?.()
      streams.delete(topic)
      reply("ack", topic)
    },
    onClose: () => {
      for (const stop of streams.values()) stop()
      market.onClose()
    },
    topics: () => new Set([...market.topics(), ...streams.keys()])
  }
}

export const toyTrader: ExchangeDialect = {
  ...toy,
  connect,
  onHttp: (request, world, options) =>
    request.path.startsWith("/trade/") ? trade(request, world, options.limits) : toy.onHttp(request, world, options)
}
