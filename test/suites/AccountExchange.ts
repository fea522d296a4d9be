/** One account of a simulated exchange to test against: inside the process under a virtual clock, or over real ports. */
import { assert } from "@effect/vitest"
import { BigDecimal, Clock, Effect, Layer, Redacted } from "effect"
import type { Scope } from "effect"
import type { WorldAccount, WorldPlace } from "../../src/AccountWorld.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import * as NodeHashes from "../../src/connection/NodeHashes.ts"
import * as NodeHttp from "../../src/connection/NodeHttp.ts"
import type { AccountEvent, Balance, Fill, OrderUpdate, Position } from "../../src/domain/Account.ts"
import { isFinal } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import type { OrderEntry } from "../../src/OrderEntry.ts"
import { handlersFor, PrivateWebsocket } from "../../src/PrivateWebsocket.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type * as Exchange from "./Exchange.ts"

/** Requests in the fault language. */
export interface Requests {
  readonly method?: "POST" | "DELETE"
  readonly path?: string
  readonly frame?: string
}

export interface Subject extends Exchange.Subject {
  readonly pair: TradingPair
  /** A quantity that every order may have, and that the simulated books can fill at once. */
  readonly quantity: string
  /** Which requests place an order, in the fault language. */
  readonly placing: Requests
  /** Which requests change something. */
  readonly commands: ReadonlyArray<Requests>
  /** Whether it is a request that places an order: a frame, or method, URL and body. */
  readonly isPlacing: (text: string) => boolean
}

export type Services = PrivateWebsocket | OrderEntry | ExchangeFactory.AccountCore | Simulator.Simulator

export const userId = "1001"
export const credentials = {
  account: "main",
  key: Redacted.make("the-key-of-main"),
  secret: Redacted.make("the-secret-of-main")
}

export type Options = Partial<ExchangeFactory.AccountOptions>

export const accountsOf = (subject: Exchange.Subject): Simulator.AccountsByExchange => ({
  [subject.adapter.id]: [
    {
      userId,
      keys: [
        { apiKey: "the-key-of-main", secret: "the-secret-of-main" },
        { apiKey: "the-key-to-read", secret: "the-secret-to-read", permissions: ["read" as const] },
        { apiKey: "the-key-of-elsewhere", secret: "the-secret", addresses: ["10.1.2.3"] }
      ],
      balances: subject.adapter.kind === "spot" ? { USDT: "1000000", BTC: "100" } : { USDT: "1000000" }
    },
    {
      userId: "1002",
      keys: [{ apiKey: "the-key-of-other", secret: "the-secret-of-other" }],
      balances: { USDT: "5000" }
    }
  ]
})

const simulatorOf = (subject: Subject, options: Partial<Simulator.SimulatorOptions>): Simulator.SimulatorOptions => ({
  dialects: [subject.dialect],
  pairs: ["BTC/USDT", "ETH/USDT"],
  limits: "off",
  seed: 7,
  rate: 5,
  accounts: accountsOf(subject),
  ...options
})

/** The account's Layers over a simulator that is there. */
export const account = (subject: Subject, options: Options = {}) =>
  Layer.unwrap(Effect.map(Simulator.Simulator, ({ urls }) => {
    const { rest, ws } = urls[subject.adapter.id]!
    return ExchangeFactory.layerAccount(subject.adapter, {
      credentials,
      url: ws,
      restUrl: rest,
      limits: "off",
      reconcilePairs: [subject.pair],
      ...options
    })
  }))

const networks = {
  memory: Layer.mergeAll(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient, NodeHashes.layer),
  ports: Layer.mergeAll(FrameSocket.layerWs, NodeHttp.layer, NodeHashes.layer)
}

/** What Layers of further accounts need, in the mode of the test. */
export const network = (mode: Exchange.Mode) =>
  (mode.name === "memory" ? networks.memory : networks.ports) as Layer.Layer<ExchangeFactory.AccountNeeds>

export const layer = (
  mode: Exchange.Mode,
  subject: Subject,
  options: Options = {},
  simulator: Partial<Simulator.SimulatorOptions> = {},
  change?: (network: MemoryNetwork.MemoryNetwork["Service"]) => MemoryNetwork.MemoryNetwork["Service"]
): Layer.Layer<Services> => {
  const settings = simulatorOf(subject, simulator)
  const server = mode.name === "memory" ? Simulator.layerMemory(settings) : Simulator.layer(settings)
  const changed = change === undefined ? network(mode) : Layer.provide(
    networks.memory,
    Layer.effect(MemoryNetwork.MemoryNetwork, Effect.map(MemoryNetwork.MemoryNetwork, change))
  ) as Layer.Layer<ExchangeFactory.AccountNeeds>
  return Layer.orDie(
    account(subject, options).pipe(Layer.provide(changed), Layer.provideMerge(server))
  ) as Layer.Layer<Services>
}

/** Runs a whole test. */
export const run = <A, E>(
  mode: Exchange.Mode,
  layer: Layer.Layer<Services>,
  body: Effect.Effect<A, E, Services | Scope.Scope>,
  steps?: number
): Effect.Effect<A, E> => mode.run(body.pipe(Effect.scoped, Effect.provide(layer)), steps)

/** The account as the exchange has it. */
export const truth = (subject: Subject, user = userId): Effect.Effect<WorldAccount, never, Simulator.Simulator> =>
  Effect.map(Simulator.Simulator, ({ account }) => account(subject.adapter.id, user)!)

/** Places an order as the account's owner does it on the exchange's website: by default a market order to buy. */
export const placing =
  ({ pair, quantity }: Subject) =>
  (account: WorldAccount, order: Partial<WorldPlace> = {}): ReturnType<WorldAccount["place"]> =>
    account.place({
      pair,
      side: "buy",
      type: "market",
      timeInForce: "ioc",
      price: null,
      quantity,
      quoteQuantity: null,
      clientOrderId: null,
      reduceOnly: false,
      trigger: null,
      ...order
    })

/** What the events of an account add up to. */
export class Known {
  readonly fills: Array<Fill> = []
  readonly orders = new Map<string, OrderUpdate>()
  readonly balances = new Map<string, Balance>()
  readonly positions = new Map<string, Position>()
  readonly gaps: Array<string> = []
  readonly events: Array<AccountEvent> = []

  readonly take = (event: AccountEvent): void => {
    this.events.push(event)
    if (event._tag === "Fill") this.fills.push(event)
    if (event._tag === "OrderUpdate") this.orders.set(event.orderId, event)
    if (event._tag === "Balance") this.balances.set(event.asset, event)
    if (event._tag === "Position") this.positions.set(event.symbol, event)
  }
}

export const watch = Effect.fnUntraced(function*(websocket: PrivateWebsocket["Service"]) {
  const known = new Known()
  yield* websocket.handle(handlersFor(websocket.channels, {
    onFill: known.take,
    onOrder: known.take,
    onBalance: known.take,
    onPosition: known.take,
    onLeverage: known.take,
    onAutoDeleverage: known.take,
    onPositionClose: known.take,
    onGap: ({ cause, channel }) => void known.gaps.push(`${channel} ${cause}`)
  }))
  return known
})

/** Opens the session of the account and keeps what it tells. */
export const open = Effect.gen(function*() {
  const websocket = yield* PrivateWebsocket
  const known = yield* watch(websocket)
  yield* websocket.initialize()
  return { websocket, known }
})

const plain = (amount: string): string => Decimal.toText(Decimal.of(amount))
const text = (amount: Decimal.Decimal | null): string | null => amount === null ? null : Decimal.toText(amount)

/** The first digits of an id are the exchange's own number, whatever a dialect puts behind it. */
const describeFill = ({ fee, feeAsset, liquidity, price, quantity, side, tradeId }: Fill): string =>
  `${Number.parseInt(tradeId, 10)} ${side} ${text(quantity)} at ${text(price)} ${liquidity} ${text(fee)} ${feeAsset}`

/** Waits, at most so long, until the condition holds, which is looked at so often. */
export const until = (condition: () => boolean, millis = 20_000, every = 20): Effect.Effect<void> =>
  Effect.gen(function*() {
    const deadline = (yield* Clock.currentTimeMillis) + millis
    while (!condition() && (yield* Clock.currentTimeMillis) < deadline) yield* Effect.sleep(every)
  })

export const agrees = (
  known: Known,
  account: WorldAccount,
  kind: "spot" | "swap",
  order: "exact" | "any" = "exact"
): boolean => differences(known, account, kind, order).length === 0

/** An account in plain lines, by what they are about: of the client and of the exchange, to be compared as text. */
export type Lines = Readonly<Record<string, ReadonlyArray<string>>>

const isNothing = (line: string): boolean => line.endsWith(" 0")

const linesOf = (
  fills: ReadonlyArray<string>,
  open: ReadonlyArray<string>,
  balances: ReadonlyArray<string>,
  positions: ReadonlyArray<string>
): Lines => ({
  fills,
  "open orders": open.toSorted(),
  balances: balances.filter((line) => !isNothing(line)).sort(),
  positions: positions.filter((line) => !isNothing(line)).sort()
})

const both = (asset: string, available: string, locked: string): ReadonlyArray<string> => [
  `${asset} available ${available}`,
  `${asset} locked ${locked}`
]

export const linesOfKnown = (known: Known, kind: "spot" | "swap"): Lines =>
  linesOf(
    known.fills.map(describeFill),
    [...known.orders.values()].filter(({ status }) => !isFinal(status)).map(({ clientOrderId, filledQuantity }) =>
      `${clientOrderId} ${text(filledQuantity)}`
    ),
    [...known.balances.values()].flatMap(({ asset, available, locked, total }) =>
      // Pushes of futures tell the whole alone.
      kind === "spot" ? both(asset, text(available) ?? "?", text(locked) ?? "?") : [`${asset} ${text(total)}`]
    ),
    [...known.positions.values()].map(({ pair, size }) => `${pair} ${text(size)}`)
  )

export const linesOfTruth = (account: WorldAccount, kind: "spot" | "swap"): Lines =>
  linesOf(
    account.fills({}).map(({ fee, feeAsset, id, liquidity, price, quantity, side }) =>
      `${id} ${side} ${plain(quantity)} at ${plain(price)} ${liquidity} ${plain(fee)} ${feeAsset}`
    ),
    account.orders({ open: true }).map(({ clientOrderId, filled }) => `${clientOrderId} ${plain(filled)}`),
    account.balances().flatMap(({ asset, available, locked }) =>
      kind === "spot"
        ? both(asset, plain(available), plain(locked))
        : [`${asset} ${text(BigDecimal.sum(Decimal.of(available), Decimal.of(locked)))}`]
    ),
    account.positions().map(({ pair, size }) => `${pair} ${plain(size)}`)
  )

/** Those of the first that the second lacks; each counts as often as it stands there. */
const without = (lines: ReadonlyArray<string>, others: ReadonlyArray<string>): ReadonlyArray<string> => {
  const left = new Map<string, number>()
  for (const line of others) left.set(line, (left.get(line) ?? 0) + 1)
  return lines.filter((line) => {
    const times = left.get(line) ?? 0
    left.set(line, times - 1)
    return times <= 0
  })
}

/** Accounts are long: where the same lines stand on both sides, it is the first that is out of place. */
const describe = (what: string, ours: ReadonlyArray<string>, theirs: ReadonlyArray<string>): string => {
  const [more, missing] = [without(ours, theirs), without(theirs, ours)].map((lines) => JSON.stringify(lines))
  if (more !== missing) return `${what}: ${more} in place of ${missing}`
  const at = ours.findIndex((line, index) => line !== theirs[index])
  return `${what}: ${ours[at]} in the place of ${theirs[at]}, number ${at} of ${ours.length}`
}

/** Where they say different things. `any`: fills may have come late. */
export const compare = (ours: Lines, theirs: Lines, order: "exact" | "any" = "exact"): ReadonlyArray<string> =>
  Object.keys(theirs).flatMap((what) => {
    const [left, right] = [ours, theirs].map((lines) => order === "exact" ? lines[what]! : lines[what]!.toSorted())
    return JSON.stringify(left) === JSON.stringify(right) ? [] : [describe(what, left!, right!)]
  })

/** What is known against what is: fills in their order, open orders, balances and positions, exactly. */
export const differences = (
  known: Known,
  account: WorldAccount,
  kind: "spot" | "swap",
  order: "exact" | "any" = "exact"
): ReadonlyArray<string> => compare(linesOfKnown(known, kind), linesOfTruth(account, kind), order)

export const checkAgreement = (known: Known, account: WorldAccount, kind: "spot" | "swap"): void => {
  assert.deepStrictEqual(differences(known, account, kind), [])
}
