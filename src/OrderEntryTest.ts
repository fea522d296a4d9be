/**
 * An `OrderEntry` for tests of your own program: no socket, no key, no clock to wait for. Steps, limits, client order ids
 * and the resolution of lost commands are the real ones; behind them stands an exchange that holds orders and does what
 * you have scripted. Its orders rest, market orders too, until you `fill` them.
 */
import { BigDecimal, Clock, Context, Effect, Latch, Layer } from "effect"
import * as DeskCounts from "./account/DeskCounts.ts"
import * as OrderDesk from "./account/OrderDesk.ts"
import type { AccountCalls, Command, OrderProtocol, PreparedOrder, Reply, SymbolRef } from "./AccountAdapter.ts"
import type { MarginMode, Order } from "./domain/Account.ts"
import { isFinal } from "./domain/Account.ts"
import * as Decimal from "./domain/Decimal.ts"
import type { ExchangeId, Instrument, TradingPair } from "./domain/Instrument.ts"
import { isTradingPair, partsOf } from "./domain/Instrument.ts"
import * as ExchangeError from "./ExchangeError.ts"
import type { Ability, Rejection } from "./OrderEntry.ts"
import { OrderEntry } from "./OrderEntry.ts"
import type { RateLimits } from "./RateLimits.ts"

/** What becomes of one command. */
export type Script =
  | { readonly _tag: "Accept" }
  | { readonly _tag: "Reject"; readonly rejection: Rejection }
  | { readonly _tag: "Lose"; readonly what: "request" | "answer" }
  | { readonly _tag: "Fail"; readonly reason: ExchangeError.Reason }

export const accept: Script = { _tag: "Accept" }

/** The exchange refuses it. */
export const reject = (rejection: Partial<Rejection> = {}): Script => ({
  _tag: "Reject",
  rejection: { code: "test", detail: "the test refused it", class: "item", ...rejection }
})

/** It never reaches the exchange: `Unknown`, and resolved as `Rejected`. */
export const loseRequest: Script = { _tag: "Lose", what: "request" }

/** The exchange does it, and its answer is lost: `Unknown`, and resolved as what it did. */
export const loseAnswer: Script = { _tag: "Lose", what: "answer" }

/** It is never sent: the command fails with this. */
export const fail = (reason: ExchangeError.Reason): Script => ({ _tag: "Fail", reason })

export class TestControl extends Context.Service<TestControl, {
  /** What becomes of the next commands that change something, in this order; what follows is accepted. */
  readonly next: (...scripts: ReadonlyArray<Script>) => Effect.Effect<void>
  /** Every command that has left, also those that the test lost; lookups excepted. */
  readonly sent: Effect.Effect<ReadonlyArray<Command>>
  /** What the exchange holds, oldest first, final ones included. */
  readonly orders: Effect.Effect<ReadonlyArray<Order>>
  /** Fills an open order, what is left of it when no quantity is given, at its own price unless told another; the order after it. */
  readonly fill: (
    clientOrderId: string,
    fill?: { readonly quantity?: Decimal.Input; readonly price?: Decimal.Input }
  ) => Effect.Effect<Order>
  /** From now on the exchange answers no questions: what is `Unknown` stays so until `answer`. */
  readonly hush: Effect.Effect<void>
  readonly answer: Effect.Effect<void>
}>()("effect-exchange/OrderEntryTest/TestControl") {}

export interface TestOptions {
  readonly exchange?: ExchangeId | undefined
  /** Everything when left out. */
  readonly abilities?: Iterable<Ability> | undefined
  /** What is listed. When left out: any pair, in steps of 0.01 for prices and 0.0001 (swaps: 1) for quantities. */
  readonly instruments?: ReadonlyArray<Instrument> | undefined
}

const allAbilities: ReadonlyArray<Ability> = [
  "amend",
  "batch",
  "cancelAllAfter",
  "leverage",
  "marginMode",
  "quoteQuantity",
  "reduceOnly",
  "trigger"
]

/** A pair as it is listed when no instruments are given. */
export const listed = (exchange: ExchangeId, pair: TradingPair): Instrument => {
  const { base, quote, settle } = partsOf(pair)
  return {
    exchange,
    pair,
    symbol: pair,
    kind: settle === undefined ? "spot" : "swap",
    base,
    quote,
    settle: settle ?? null,
    status: "trading",
    priceStep: 0.01,
    quantityStep: settle === undefined ? 0.0001 : 1,
    minQuantity: null,
    minNotional: null,
    contractSize: 1
  }
}

const noLimits: RateLimits["Service"] = {
  take: () => Effect.void,
  pause: () => Effect.void,
  state: Effect.succeed([])
}

const decimalOf = (text: string | null): Decimal.Decimal | null => text === null ? null : Decimal.of(text)

const opened = (order: PreparedOrder, orderId: string, at: number): Order => ({
  pair: order.instrument.pair,
  symbol: order.instrument.symbol,
  orderId,
  clientOrderId: order.clientOrderId,
  side: order.side,
  type: order.trigger?.kind ?? order.type,
  timeInForce: order.timeInForce,
  price: decimalOf(order.price),
  quantity: decimalOf(order.quantity),
  quoteQuantity: decimalOf(order.quoteQuantity),
  filledQuantity: Decimal.zero,
  filledQuote: Decimal.zero,
  averagePrice: null,
  status: "new",
  finishedAs: null,
  reduceOnly: order.instrument.kind === "swap" ? order.reduceOnly : null,
  triggerPrice: decimalOf(order.trigger?.price ?? null),
  createdAt: at,
  updatedAt: at
})

/** The orders of a small exchange. Synchronous; every change makes a new value. */
class Orders {
  readonly #byId = new Map<string, Order>()
  readonly #leverages = new Map<string, { readonly leverage: Decimal.Decimal; readonly mode: MarginMode }>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  get all(): ReadonlyArray<Order> {
    return [...this.#byId.values()]
  }

  open(symbol: string | null): ReadonlyArray<Order> {
    return this.all.filter((order) => !isFinal(order.status) && (symbol === null || order.symbol === symbol))
  }

  find(ref: SymbolRef): Order | undefined {
    return this.all.find((order) =>
      order.symbol === ref.symbol &&
      ("orderId" in ref ? order.orderId === ref.orderId : order.clientOrderId === ref.clientOrderId)
    )
  }

  place(order: PreparedOrder): Order | Rejection {
    const { clientOrderId, instrument: { symbol } } = order
    if (this.find({ symbol, clientOrderId }) !== undefined) {
      return { code: "duplicate", detail: `there is an order ${clientOrderId} already`, class: "item" }
    }
    return this.put(opened(order, String(this.#byId.size + 1), this.#now()))
  }

  put(order: Order): Order {
    this.#byId.set(order.orderId, order)
    return order
  }

  cancel(order: Order): Order {
    const status = BigDecimal.isZero(order.filledQuantity) ? "canceled" : "partiallyCanceled"
    return this.put({ ...order, status, finishedAs: "cancelled", updatedAt: this.#now() })
  }

  amend(order: Order, price: string | null, quantity: string | null): Order {
    return this.put({
      ...order,
      price: price === null ? order.price : Decimal.of(price),
      quantity: quantity === null ? order.quantity : Decimal.of(quantity),
      updatedAt: this.#now()
    })
  }

  leverageOf(symbol: string) {
    return this.#leverages.get(symbol) ?? { leverage: Decimal.of("10"), mode: "isolated" as const }
  }

  setLeverage(symbol: string, change: { readonly leverage?: Decimal.Decimal; readonly mode?: MarginMode }): void {
    this.#leverages.set(symbol, { ...this.leverageOf(symbol), ...change })
  }

  fill(order: Order, quantity: Decimal.Decimal, price: Decimal.Decimal): Order {
    const filledQuantity = BigDecimal.sum(order.filledQuantity, quantity)
    const filledQuote = BigDecimal.sum(order.filledQuote ?? Decimal.zero, BigDecimal.multiply(quantity, price))
    const isDone = order.quantity === null || BigDecimal.isGreaterThanOrEqualTo(filledQuantity, order.quantity)
    return this.put({
      ...order,
      filledQuantity,
      filledQuote,
      averagePrice: BigDecimal.divideUnsafe(filledQuote, filledQuantity),
      status: isDone ? "filled" : "partiallyFilled",
      finishedAs: isDone ? "filled" : null,
      updatedAt: this.#now()
    })
  }
}

const done: Reply = { _tag: "Done" }
const noSuchOrder: Rejection = { code: "unknown-order", detail: "there is no such order", class: "item" }

const ended = (order: Order): Rejection => ({
  code: order.status,
  detail: "the order had ended before",
  class: "item"
})

type Executed = Reply | Rejection

const replyOf = (result: Order | Rejection): Executed => "orderId" in result ? { _tag: "Order", order: result } : result

const change = (orders: Orders, ref: SymbolRef, to: (order: Order) => Order): Executed => {
  const order = orders.find(ref)
  if (order === undefined) return noSuchOrder
  return replyOf(isFinal(order.status) ? ended(order) : to(order))
}

type Execute = {
  readonly [Tag in Command["_tag"]]: (orders: Orders, command: Extract<Command, { readonly _tag: Tag }>) => Executed
}

const execute: Execute = {
  Place: (orders, { order }) => replyOf(orders.place(order)),
  PlaceAll: (orders, command) => ({ _tag: "Placed", results: command.orders.map((order) => orders.place(order)) }),
  Cancel: (orders, { ref }) => change(orders, ref, (order) => orders.cancel(order)),
  CancelAll: (orders, { symbol }) => ({
    _tag: "Orders",
    orders: orders.open(symbol).map((order) => orders.cancel(order))
  }),
  Amend: (orders, { price, quantity, ref }) => change(orders, ref, (order) => orders.amend(order, price, quantity)),
  Get: (orders, { ref }) => {
    const order = orders.find(ref)
    return order === undefined ? { _tag: "Nothing" } : { _tag: "Order", order }
  },
  OpenOrders: (orders, { symbol }) => ({ _tag: "Orders", orders: orders.open(symbol) }),
  CancelAllAfter: () => done,
  Leverage: (orders, { symbol }) => ({ _tag: "Leverage", ...orders.leverageOf(symbol) }),
  SetLeverage: (orders, { leverage, symbol }) => {
    orders.setLeverage(symbol, { leverage: Decimal.of(leverage) })
    return done
  },
  SetMarginMode: (orders, { mode, symbol }) => {
    orders.setLeverage(symbol, { mode })
    return done
  }
}

const reads: ReadonlySet<Command["_tag"]> = new Set(["Get", "OpenOrders", "Leverage"])

const inputOf = (input: Decimal.Input): Effect.Effect<Decimal.Decimal> =>
  Effect.orDie(Effect.mapError(Effect.fromResult(Decimal.fromInput(input)), (detail) => new TypeError(detail)))

const make = Effect.fnUntraced(function*(options: TestOptions) {
  const clock = yield* Clock.Clock
  const exchange = options.exchange ?? "test"
  const orders = new Orders(() => clock.currentTimeMillisUnsafe())
  const scripts: Array<Script> = []
  const sent: Array<Command> = []
  const answers = Latch.makeUnsafe(true)

  const refused = ({ class: kind, code, detail }: Rejection, status: number | null) =>
    ExchangeError.make(
      exchange,
      new ExchangeError.RequestFailed({ request: "test", status, code, detail, class: kind })
    )

  const run = (command: Command): Effect.Effect<Reply, ExchangeError.ExchangeError> => {
    // Each tag's function takes that tag's command.
    const result = (execute[command._tag] as (orders: Orders, command: Command) => Executed)(orders, command)
    return "_tag" in result ? Effect.succeed(result) : Effect.fail(refused(result, 400))
  }

  const lost = refused({ code: "lost", detail: "the test lost the answer", class: "retryable" }, null)

  const perform = (command: Command, script: Script): Effect.Effect<Reply, ExchangeError.ExchangeError> => {
    switch (script._tag) {
      case "Accept":
        return run(command)
      case "Reject":
        return Effect.fail(refused(script.rejection, 400))
      case "Fail":
        return Effect.fail(ExchangeError.make(exchange, script.reason))
      case "Lose":
        return script.what === "request"
          ? Effect.fail(lost)
          : Effect.flatMap(Effect.exit(run(command)), () => Effect.fail(lost))
    }
  }

  const calls: AccountCalls = {
    userId: Effect.succeed("test"),
    balances: Effect.succeed([]),
    positions: Effect.succeed([]),
    openOrders: (symbol) => Effect.map(answers.await, () => orders.open(symbol)),
    fills: () => Effect.succeed([]),
    run: (command) =>
      Effect.suspend(() => {
        if (reads.has(command._tag)) return Effect.flatMap(answers.await, () => run(command))
        const script = scripts.shift() ?? accept
        if (script._tag !== "Fail") sent.push(command)
        return perform(command, script)
      })
  }

  const protocol: OrderProtocol = {
    abilities: new Set(options.abilities ?? allAbilities),
    socket: null,
    clientOrderIds: { make: (unique) => unique, problem: (id) => id === "" ? "it is empty" : null },
    batchSize: 10,
    uses: () => []
  }

  const unlisted = (pair: string) =>
    Effect.fail(
      ExchangeError.make(
        exchange,
        new ExchangeError.UnknownPair({ symbol: pair, detail: "this test exchange does not list it" })
      )
    )

  const instrument = (pair: TradingPair): Effect.Effect<Instrument, ExchangeError.ExchangeError> => {
    if (options.instruments === undefined && isTradingPair(pair)) return Effect.succeed(listed(exchange, pair))
    const found = options.instruments?.find((each) => each.pair === pair)
    return found === undefined ? unlisted(pair) : Effect.succeed(found)
  }

  const desk = yield* OrderDesk.make({
    exchange,
    protocol,
    calls,
    link: null,
    exchangeNow: Clock.currentTimeMillis,
    limits: noLimits,
    instrument,
    listed: Effect.void,
    queueTimeout: "1 minute",
    answerTimeout: "1 minute",
    // What the test lost has expired at once: the first question settles it.
    expiry: -1,
    looks: 1,
    counts: DeskCounts.noCounts()
  })

  const control = TestControl.of({
    next: (...more) => Effect.sync(() => void scripts.push(...more)),
    sent: Effect.sync(() => [...sent]),
    orders: Effect.sync(() => orders.all),
    fill: Effect.fnUntraced(function*(clientOrderId, fill = {}) {
      const order = orders.all.find((each) => each.clientOrderId === clientOrderId)
      if (order === undefined || isFinal(order.status)) {
        return yield* Effect.die(new TypeError(`there is no open order ${clientOrderId} to fill`))
      }
      const price = fill.price === undefined ? order.price : yield* inputOf(fill.price)
      if (price === null) return yield* Effect.die(new TypeError(`say at what price ${clientOrderId} is filled`))
      const rest = order.quantity === null
        ? BigDecimal.divideUnsafe(order.quoteQuantity!, price)
        : BigDecimal.subtract(order.quantity, order.filledQuantity)
      return orders.fill(order, fill.quantity === undefined ? rest : yield* inputOf(fill.quantity), price)
    }),
    hush: Effect.asVoid(answers.close),
    answer: Effect.asVoid(answers.open)
  })

  return Context.make(OrderEntry, desk).pipe(Context.add(TestControl, control))
})

/** `OrderEntry` and the control that scripts it. */
export const layer = (options: TestOptions = {}): Layer.Layer<OrderEntry | TestControl> =>
  Layer.effectContext(make(options))
