/**
 * A made-up exchange of accounts, server and adapter in one: enough to put the engine through every break. Its frames are
 * JSON; an event goes as its number and is looked up again, so that tests speak of events as the domain has them.
 */
import { Effect, Layer, Redacted } from "effect"
import * as Account from "../../src/account/Account.ts"
import type { AccountAdapter, AccountCalls, PrivateTopic } from "../../src/AccountAdapter.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import type { MemoryPeerHandlers } from "../../src/connection/MemoryNetwork.ts"
import * as NodeHashes from "../../src/connection/NodeHashes.ts"
import type { AccountEvent, Balance, Fill, Order, OrderUpdate, Position } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { PrivateTag } from "../../src/domain/PrivateChannel.ts"
import type { ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import * as MarketRest from "../../src/MarketRest.ts"
import { instrumentOf, orderOf } from "./Orders.ts"

export const pair = "BTC/USDT"
export const symbol = "BTCUSDT"

export const instrument = instrumentOf("bank")

const received = { receivedAt: 0, origin: "Stream" } as const

export const order = (orderId: string, fields: Partial<Order> = {}): OrderUpdate => ({
  ...orderOf(`c${orderId}`, { orderId, updatedAt: null, ...fields }),
  ...received,
  _tag: "OrderUpdate"
})

export const fill = (tradeId: number | string, exchangeTime: number | null, fields: Partial<Fill> = {}): Fill => ({
  ...received,
  _tag: "Fill",
  pair,
  symbol,
  tradeId: String(tradeId),
  orderId: "1",
  clientOrderId: "c1",
  side: "buy",
  price: Decimal.of("100"),
  quantity: Decimal.of("0.1"),
  liquidity: "maker",
  fee: null,
  feeAsset: null,
  exchangeTime,
  ...fields
})

export const balance = (asset: string, available: string, fields: Partial<Balance> = {}): Balance => ({
  ...received,
  _tag: "Balance",
  asset,
  available: Decimal.of(available),
  locked: Decimal.zero,
  total: null,
  change: null,
  cause: null,
  exchangeTime: null,
  ...fields
})

export const position = (size: string, updateId: string | null, fields: Partial<Position> = {}): Position => ({
  ...received,
  _tag: "Position",
  pair,
  symbol,
  side: "net",
  size: Decimal.of(size),
  contractSize: 1,
  entryPrice: Decimal.of("100"),
  leverage: Decimal.of("5"),
  marginMode: "isolated",
  margin: null,
  liquidationPrice: null,
  realisedPnl: null,
  unrealisedPnl: null,
  updateId,
  exchangeTime: null,
  ...fields
})

export const failed = (
  kind: ExchangeError.AnswerClass,
  status: number | null = 400,
  retryAfterMs?: number
): ExchangeError.ExchangeError =>
  ExchangeError.make(
    "bank",
    new ExchangeError.RequestFailed({ request: "GET", status, code: "X", detail: "no", class: kind, retryAfterMs })
  )

interface Socket {
  readonly key: string
  readonly peer: MemoryPeerHandlers
  readonly topics: Set<string>
  open: boolean
}

interface ClientFrame {
  readonly op: "subscribe" | "unsubscribe" | "ping"
  readonly id: number
  readonly topics: ReadonlyArray<string>
  readonly sign: string
}

type ServerFrame =
  | {
    readonly op: "ack" | "no"
    readonly id: number
    readonly action: "subscribe" | "unsubscribe"
    readonly class?: string
  }
  | { readonly op: "event"; readonly channel: PrivateTag; readonly event: number }
  | { readonly op: "closing" }
  | { readonly op: "pong" }

type Reading = "balances" | "fills" | "openOrders" | "positions"

export class Bank {
  readonly sockets: Array<Socket> = []
  readonly frames: Array<ClientFrame> = []
  readonly events: Array<AccountEvent> = []
  /** The truth. */
  readonly fills: Array<Fill> = []
  readonly orders = new Map<string, OrderUpdate>()
  balances: ReadonlyArray<Balance> = []
  positions: ReadonlyArray<Position> = []
  /** Keys for URLs: alive or not. */
  readonly keys = new Map<string, boolean>()
  readonly reads: Array<string> = []
  /** How a subscription is answered. */
  answer: "ack" | "silence" | { readonly class: ExchangeError.AnswerClass } = "ack"
  /** How REST answers. */
  readonly refuse = new Map<Reading | "key" | "renew", ExchangeError.ExchangeError>()
  /** Runs before a reading is answered, with what it will say already taken: pushes that overtake it. */
  duringRead: (what: Reading) => Effect.Effect<void> = () => Effect.void
  answersPings = true
  dials = 0
  refusesDials = false

  get live(): ReadonlyArray<Socket> {
    return this.sockets.filter(({ open }) => open)
  }

  get aliveKeys(): ReadonlyArray<string> {
    return [...this.keys].flatMap(([key, alive]) => alive ? [key] : [])
  }

  // -- what happens --

  /** It happens, and is pushed. */
  happen(event: AccountEvent): void {
    this.occur(event)
    this.push(event)
  }

  /** It happens, and no push tells. */
  occur(event: AccountEvent): void {
    if (event._tag === "Fill") this.fills.push(event)
    if (event._tag === "OrderUpdate") this.orders.set(event.orderId, event)
    if (event._tag === "Balance") {
      this.balances = [...this.balances.filter(({ asset }) => asset !== event.asset), event]
    }
    if (event._tag === "Position") this.positions = event.size.value === 0n ? [] : [event]
  }

  push(event: AccountEvent): void {
    const channel = channels[event._tag]
    for (const socket of this.live) {
      if (!socket.topics.has(channel) || this.keys.get(socket.key) === false) continue
      this.#send(socket, { op: "event", channel, event: this.events.push(event) - 1 })
    }
  }

  drop(code = 1006): void {
    for (const socket of this.live) {
      socket.open = false
      socket.peer.onClose(code, "gone")
    }
  }

  announceClosing(): void {
    for (const socket of this.live) this.#send(socket, { op: "closing" })
  }

  garble(): void {
    for (const socket of this.live) socket.peer.onFrame("{")
  }

  #send(socket: Socket, frame: ServerFrame): void {
    socket.peer.onFrame(JSON.stringify(frame))
  }

  // -- the network --

  readonly network = MemoryNetwork.MemoryNetwork.of({
    connect: (url, peer) => {
      this.dials++
      if (this.refusesDials) return { refused: "connection refused" }
      const socket: Socket = { key: new URL(url).searchParams.get("key") ?? "", peer, topics: new Set(), open: true }
      this.sockets.push(socket)
      return {
        send: (frame) => this.#receive(socket, JSON.parse(String(frame)) as ClientFrame),
        close: () => void (socket.open = false)
      }
    },
    request: () => Effect.fail({ refused: "no HTTP here" })
  })

  #receive(socket: Socket, frame: ClientFrame): void {
    if (!socket.open) return
    if (frame.op === "ping") return this.answersPings ? this.#send(socket, { op: "pong" }) : undefined
    this.frames.push(frame)
    if (this.answer === "silence") return
    if (this.answer !== "ack") {
      return this.#send(socket, { op: "no", id: frame.id, action: frame.op, class: this.answer.class })
    }
    for (const topic of frame.topics) {
      if (frame.op === "subscribe") socket.topics.add(topic)
      else socket.topics.delete(topic)
    }
    this.#send(socket, { op: "ack", id: frame.id, action: frame.op })
  }

  // -- REST --

  readonly #read = <A>(what: Reading, note: string, answer: () => A): Effect.Effect<A, ExchangeError.ExchangeError> =>
    Effect.suspend(() => {
      this.reads.push(note)
      const refusal = this.refuse.get(what)
      if (refusal !== undefined) return Effect.fail(refusal)
      const taken = answer()
      return Effect.as(this.duringRead(what), taken)
    })

  readonly calls: AccountCalls = {
    userId: Effect.succeed("42"),
    balances: this.#read("balances", "balances", () => this.balances),
    positions: this.#read("positions", "positions", () => this.positions),
    openOrders: (of) =>
      this.#read(
        "openOrders",
        `openOrders ${of}`,
        () => [...this.orders.values()].filter(({ status }) => status === "new" || status === "partiallyFilled")
      ),
    fills: ({ since, symbol: of }) =>
      this.#read(
        "fills",
        `fills ${of}`,
        () => this.fills.filter(({ exchangeTime }) => since === null || exchangeTime === null || exchangeTime >= since)
      ),
    run: (command) =>
      Effect.suspend(() => {
        this.reads.push(command._tag)
        if (command._tag !== "Get" || !("orderId" in command.ref)) return Effect.die(`no ${command._tag}`)
        const found = this.orders.get(command.ref.orderId)
        return Effect.succeed(found === undefined ? { _tag: "Nothing" } : { _tag: "Order", order: found })
      }),
    listenKeys: {
      make: Effect.suspend(() => {
        const refusal = this.refuse.get("key")
        if (refusal !== undefined) return Effect.fail(refusal)
        const key = `key${this.keys.size}`
        this.keys.set(key, true)
        return Effect.succeed(key)
      }),
      renew: (key) =>
        Effect.suspend(() => {
          const refusal = this.refuse.get("renew")
          if (refusal !== undefined) return Effect.fail(refusal)
          return this.keys.get(key) === true ? Effect.void : Effect.fail(failed("item"))
        }),
      remove: (key) => Effect.sync(() => void this.keys.set(key, false))
    }
  }

  // -- the adapter --

  adapter({ needsPair = false, withKeys = true }: { readonly needsPair?: boolean; readonly withKeys?: boolean } = {}) {
    const { calls } = this
    const events = this.events
    const account: AccountAdapter = {
      algorithm: "hmacSha256",
      channels: new Set<PrivateTag>(["Orders", "Fills", "Balances", "Positions", "PositionCloses"]),
      coverage: [],
      makeCalls: () => calls,
      needsPair,
      isStampOff: (code) => code === "STAMP",
      stream: {
        endpoint: (url, { listenKeys }) =>
          !withKeys ? Effect.succeed({ url }) : Effect.gen(function*() {
            const keys = listenKeys!
            const key = yield* Effect.acquireRelease(keys.make, (made) => Effect.ignore(keys.remove(made)))
            const renewal = Effect.andThen(Effect.sleep("30 minutes"), keys.renew(key))
            return { url: `${url}?key=${key}`, lease: Effect.forever(renewal), rotateAfter: "20 hours" }
          }),
        needsUserId: true,
        topics: (channel) => [{ key: channel, channel }],
        subscribe: (topics, stamp, signer) => requests("subscribe", topics, stamp.nextId(), signer.sign),
        unsubscribe: (topics, stamp, signer) => requests("unsubscribe", topics, stamp.nextId(), signer.sign),
        makeCodec: () => ({
          decode: (bytes, _receivedAt, sink) => {
            let frame: ServerFrame
            try {
              frame = JSON.parse(new TextDecoder().decode(bytes)) as ServerFrame
            } catch {
              return sink.failed("no JSON")
            }
            if (frame.op === "event") return sink.event(frame.channel, events[frame.event]!)
            if (frame.op === "pong") return sink.pong()
            if (frame.op === "closing") return sink.closing("maintenance")
            const answer = { action: frame.action, requestId: frame.id, topics: null }
            if (frame.op === "ack") return sink.acknowledged(answer)
            sink.rejected(answer, { code: "7", detail: "no", class: frame.class as ExchangeError.AnswerClass })
          }
        }),
        heartbeat: { interval: "10 seconds", timeout: "5 seconds", ping: () => JSON.stringify({ op: "ping" }) }
      },
      orders: {
        abilities: new Set(),
        socket: null,
        clientOrderIds: { make: (unique) => unique, problem: () => null },
        batchSize: 1,
        uses: () => []
      }
    }
    return {
      id: "bank",
      name: "Bank",
      urls: { websocket: "ws://bank/ws", rest: "http://bank" },
      symbol: (name: string) => name === pair ? symbol : null,
      account
    } as unknown as ExchangeAdapter
  }
}

const channels: Readonly<Record<AccountEvent["_tag"], PrivateTag>> = {
  OrderUpdate: "Orders",
  Fill: "Fills",
  Balance: "Balances",
  Position: "Positions",
  LeverageChange: "Positions",
  AutoDeleverage: "AutoDeleverages",
  PositionClose: "PositionCloses"
}

const requests = (
  op: "subscribe" | "unsubscribe",
  topics: ReadonlyArray<PrivateTopic>,
  id: number,
  sign: (text: string) => Effect.Effect<string>
) =>
  Effect.map(sign(`${op} ${id}`), (signature) => [{
    frame: JSON.stringify({ op, id, topics: topics.map(({ key }) => key), sign: signature }),
    id,
    topics
  }])

export const credentials = { account: "main", key: Redacted.make("the-key"), secret: Redacted.make("the-secret") }

const market = (serverTime: Effect.Effect<number, ExchangeError.ExchangeError>): MarketRest.MarketRest["Service"] =>
  MarketRest.MarketRest.of({
    exchange: "bank",
    instruments: Effect.succeed([instrument]),
    serverTime,
    turnovers: Effect.succeed(new Map()),
    book: () => Effect.die("no books")
  })

/** The private stream of an account at the bank. */
export const open = (
  bank: Bank,
  options: Partial<Account.AccountOptions> & {
    readonly needsPair?: boolean
    readonly withKeys?: boolean
    readonly serverTime?: Effect.Effect<number, ExchangeError.ExchangeError>
  } = {}
) => {
  const { needsPair, serverTime, withKeys, ...others } = options
  const time = serverTime ?? Effect.clockWith((clock) => clock.currentTimeMillis)
  return Effect.gen(function*() {
    const adapter = bank.adapter({
      ...(needsPair === undefined ? {} : { needsPair }),
      ...(withKeys === undefined ? {} : { withKeys })
    })
    const core = yield* Account.make(adapter, market(time), { credentials, ...others })
    return yield* Account.makePrivate(core)
  }).pipe(
    Effect.provide(
      Layer.mergeAll(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient, NodeHashes.layer).pipe(
        Layer.provide(Layer.succeed(MemoryNetwork.MemoryNetwork, bank.network))
      )
    )
  )
}
