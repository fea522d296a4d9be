/** Small exchanges inside a test: orders fill as scripted, and events tell of it. No socket, no matching. */
import { BigDecimal, Clock, Duration, Effect, Fiber, Result, Stream } from "effect"
import type { Scope } from "effect"
import type { Island } from "../../src/composite/Markets.ts"
import type { TrackedOrder } from "../../src/composite/OrderTracker.ts"
import type { HeldPosition } from "../../src/composite/PositionKeeper.ts"
import type {
  AccountEvent,
  Balance,
  Fill,
  FundingPayment,
  Order,
  OrderUpdate,
  PositionMode
} from "../../src/domain/Account.ts"
import { isFinal } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { Instrument, TradingPair } from "../../src/domain/Instrument.ts"
import type { ClockReading } from "../../src/ExchangeClock.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import type { OrderRequest, Outcome, Placed } from "../../src/OrderEntry.ts"
import { Departing } from "../../src/OrderEntry.ts"
import type { OrderEntry } from "../../src/OrderEntry.ts"
import { listed } from "../../src/OrderEntryTest.ts"

/** What becomes of one placement. */
export interface Script {
  /** Part of the quantity that is filled. Default 1. */
  readonly fill?: number
  /** Quote. Default: the order's limit. */
  readonly price?: number
  /**
   * Default `accept`. `new`: answered before anything is filled. `loseRequest`, `loseAnswer`: unknown at first, resolved
   * later. `never`, `neverDone`: resolving fails; done, or not. `notSent`: fails. `rest`: open, nothing filled.
   */
  readonly answer?:
    | "accept"
    | "new"
    | "reject"
    | "loseRequest"
    | "loseAnswer"
    | "never"
    | "neverDone"
    | "notSent"
    | "rest"
    | "die"
  /** ms that it waits for its turn, as behind limits; null: it does not say that it does. Default null. */
  readonly waits?: number | null
  /** ms until it reaches the exchange. Default 1. */
  readonly delay?: number
  /** ms until what was lost is known. Default 500. */
  readonly resolveAfter?: number
  /** ms by which events come late; null: they are lost until a refresh. Default 0. */
  readonly late?: number | null
}

/** Tells that nothing has left before it is its turn. */
const itsTurn = (millis: number | null): Effect.Effect<void> =>
  millis === null ? Effect.void : Effect.flatMap(Departing, (departure) => {
    if (departure !== null) departure.hasLeft ??= false
    return Effect.andThen(
      Effect.sleep(millis),
      Effect.sync(() => {
        if (departure !== null) departure.hasLeft = true
      })
    )
  })

export interface VenueOptions {
  readonly exchange: string
  readonly pair?: TradingPair
  readonly bid?: number
  readonly ask?: number
  readonly fee?: string
  readonly contractSize?: number
  readonly quantityStep?: number
  readonly minQuantity?: number | null
  readonly minNotional?: number | null
  readonly balances?: Readonly<Record<string, string>>
}

const received = { receivedAt: 0, origin: "Stream" as const }

const amountOf = (input: Decimal.Input): Decimal.Decimal => Result.getOrThrow(Decimal.fromInput(input))

const unsupported = Effect.die(new Error("the fake has no such thing"))

const defaults = {
  pair: "BTC/USDT" as TradingPair,
  bid: 100,
  ask: 100.1,
  fee: "0.001",
  contractSize: 1,
  minQuantity: null as number | null,
  minNotional: null as number | null,
  balances: { USDT: "100000", BTC: "1000" } as Readonly<Record<string, string>>
}

const instrumentOf = (options: typeof defaults & VenueOptions): Instrument => {
  const { contractSize, exchange, minNotional, minQuantity, pair } = { ...defaults, ...options }
  const found = listed(exchange, pair)
  const quantityStep = options.quantityStep ?? (found.kind === "spot" ? 0.001 : 1)
  return { ...found, priceStep: 0.1, quantityStep, minQuantity, minNotional, contractSize }
}

const sumOf = (fills: ReadonlyArray<Fill>): Decimal.Decimal => BigDecimal.sumAll(fills.map(({ quantity }) => quantity))

const filledOf = (fills: ReadonlyArray<Fill>, order: OrderUpdate | null): Decimal.Decimal =>
  order === null ? sumOf(fills) : BigDecimal.max(sumOf(fills), order.filledQuantity)

const statusOf = (
  order: { readonly filled: Decimal.Decimal; readonly quantity: Decimal.Decimal; readonly isOpen: boolean }
): Order["status"] => {
  if (order.isOpen) return "new"
  if (Decimal.equals(order.filled, order.quantity)) return "filled"
  return BigDecimal.isZero(order.filled) ? "canceled" : "partiallyCanceled"
}

const isLost = (answer: Script["answer"]): boolean =>
  answer === "reject" || answer === "loseRequest" || answer === "neverDone"

/** Puts one among the consumers until its scope closes. */
export const among = <A>(consumers: Set<A>, consumer: A): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => consumers.add(consumer)),
    () => Effect.sync(() => consumers.delete(consumer))
  ))

export class FakeVenue {
  readonly exchange: string
  readonly pair: TradingPair
  readonly instrument: Instrument
  bid: number
  ask: number
  hasPrice = true
  /** What becomes of the next placements; then they are accepted and filled. */
  readonly scripts: Array<Script> = []
  readonly placed: Array<OrderRequest> = []
  readonly orders = new Map<string, Order>()
  readonly fills: Array<Fill> = []
  readonly balances = new Map<string, Decimal.Decimal>()
  readonly consumers = new Set<(event: AccountEvent) => void>()
  readonly tracked = new Map<string, TrackedOrder>()
  refreshes = 0
  onRefresh: () => void = () => {}
  isAnswering = true
  /** Whether the account is up to date, and since when. */
  isReconciled = true
  reconciledAt = 0
  /** Of its account, when it is asked; null: it is not told. */
  positionMode: PositionMode | null = "oneWay"
  /** Readings of it that fail before one goes well. */
  modeFailures = 0
  /** What was paid for positions; null: the exchange has no history of it. */
  history: Array<FundingPayment> | null = []
  /** Readings of it that fail before one goes well. */
  historyFailures = 0
  /** Our clock against the exchange's; null: it has not been measured. */
  clock: ClockReading | null = { offsetMs: 0, errorMs: 0, at: 0 }
  /** Contracts: by what the exchange has told. */
  position = Decimal.zero
  /** Quote: of the position. */
  entryPrice: Decimal.Decimal | null = null
  /** Hedge mode: a short position beside it, contracts, without sign. */
  short: Decimal.Decimal | null = null
  readonly entry: OrderEntry["Service"]
  readonly #fee: Decimal.Decimal
  #made = 0
  #missed: Array<AccountEvent> = []

  constructor(options: VenueOptions) {
    const all = { ...defaults, ...options }
    this.exchange = all.exchange
    this.pair = all.pair
    this.bid = all.bid
    this.ask = all.ask
    this.#fee = Decimal.of(all.fee)
    this.instrument = instrumentOf(all)
    for (const [asset, amount] of Object.entries(all.balances)) this.balances.set(asset, Decimal.of(amount))
    this.entry = this.#makeEntry()
  }

  emit(event: AccountEvent): void {
    if (event._tag === "Fill" || event._tag === "OrderUpdate") this.#track(event)
    if (event._tag === "Fill") this.move(event.side === "buy" ? event.quantity : BigDecimal.negate(event.quantity))
    for (const consumer of [...this.consumers]) consumer(event)
  }

  /** The position changes, and nothing else tells of it. */
  move(contracts: Decimal.Input): void {
    this.position = BigDecimal.sum(this.position, amountOf(contracts))
  }

  #heldPositions(): Effect.Effect<ReadonlyArray<HeldPosition>, ExchangeError.ExchangeError> {
    if (this.instrument.kind === "spot") {
      const reason = new ExchangeError.UnsupportedChannel({ channel: "Positions", detail: "a spot account" })
      return Effect.fail(ExchangeError.make(this.exchange, reason))
    }
    const isHedged = this.short !== null
    return Effect.succeed([
      ...this.#held(isHedged ? "long" : "net", this.position),
      ...this.#held("short", BigDecimal.negate(this.short ?? Decimal.zero))
    ])
  }

  #mode(): Effect.Effect<PositionMode, ExchangeError.ExchangeError> {
    if (this.modeFailures-- > 0) {
      return Effect.fail(
        ExchangeError.make(this.exchange, new ExchangeError.Silent({ silentForMs: 1, detail: "away" }))
      )
    }
    if (this.instrument.kind === "swap" && this.positionMode !== null) return Effect.succeed(this.positionMode)
    const reason = new ExchangeError.UnsupportedChannel({ channel: "positionMode", detail: "the fake tells none" })
    return Effect.fail(ExchangeError.make(this.exchange, reason))
  }

  #funding(withinMs: number): Effect.Effect<ReadonlyArray<FundingPayment>, ExchangeError.ExchangeError> {
    if (this.instrument.kind === "spot" || this.history === null) {
      const reason = new ExchangeError.UnsupportedChannel({ channel: "funding", detail: "the fake has none" })
      return Effect.fail(ExchangeError.make(this.exchange, reason))
    }
    const { history } = this
    if (this.historyFailures-- <= 0) {
      return Effect.map(
        Clock.currentTimeMillis,
        (now) => history.filter(({ exchangeTime }) => exchangeTime >= now - (this.clock?.offsetMs ?? 0) - withinMs)
      )
    }
    return Effect.fail(
      ExchangeError.make(this.exchange, new ExchangeError.Silent({ silentForMs: 1, detail: "away" }))
    )
  }

  /** Compared with the exchange once more, behind a break or not. */
  reconcile(): void {
    this.isReconciled = true
    this.reconciledAt++
  }

  #held(side: HeldPosition["side"], size: Decimal.Decimal): ReadonlyArray<HeldPosition> {
    if (BigDecimal.isZero(size)) return []
    const baseSize = BigDecimal.multiply(size, Decimal.of(String(this.instrument.contractSize)))
    const held: Partial<HeldPosition> = { pair: this.pair, side, size, baseSize, entryPrice: this.entryPrice }
    return [held as HeldPosition]
  }

  #track(event: Fill | OrderUpdate): void {
    const key = event.clientOrderId!
    const before = this.tracked.get(key)
    const told = before?.fills ?? []
    const fills = event._tag === "Fill" ? [...told, event] : told
    const order = event._tag === "OrderUpdate" ? event : (before?.order ?? null) as OrderUpdate | null
    this.tracked.set(key, {
      exchange: this.exchange,
      account: "main",
      key,
      pair: this.pair,
      state: order !== null && isFinal(order.status)
        ? { _tag: "Final", at: 0, status: order.status as "filled", rejection: null }
        : { _tag: "Open", at: 0 },
      order,
      fills,
      filledQuantity: filledOf(fills, order),
      filledQuote: BigDecimal.sumAll(fills.map(({ price, quantity }) => BigDecimal.multiply(price, quantity)))
    })
  }

  #orderOf(request: OrderRequest, filled: Decimal.Decimal, price: Decimal.Decimal, isOpen: boolean): Order {
    const quantity = amountOf(request.quantity!)
    const quote = BigDecimal.multiply(
      BigDecimal.multiply(filled, price),
      Decimal.of(String(this.instrument.contractSize))
    )
    return {
      pair: this.pair,
      symbol: this.pair,
      orderId: `${this.orders.size + 1}`,
      clientOrderId: request.clientOrderId!,
      side: request.side,
      type: "limit",
      timeInForce: request.timeInForce ?? "gtc",
      price,
      quantity,
      quoteQuantity: null,
      filledQuantity: filled,
      filledQuote: quote,
      averagePrice: BigDecimal.isZero(filled) ? null : price,
      status: statusOf({ filled, quantity, isOpen }),
      finishedAs: null,
      reduceOnly: null,
      triggerPrice: null,
      createdAt: 0,
      updatedAt: 0
    }
  }

  #balance(asset: string, change: Decimal.Decimal): Balance {
    const total = BigDecimal.sum(this.balances.get(asset) ?? Decimal.zero, change)
    this.balances.set(asset, total)
    return {
      _tag: "Balance",
      asset,
      available: total,
      locked: Decimal.zero,
      total,
      change,
      cause: null,
      exchangeTime: 0,
      ...received
    }
  }

  /** The order happens. */
  #execute(
    request: OrderRequest,
    script: Script
  ): { readonly order: Order; readonly events: ReadonlyArray<AccountEvent> } {
    const asked = amountOf(request.quantity!)
    const step = amountOf(this.instrument.quantityStep)
    const part = BigDecimal.multiply(asked, amountOf(script.fill ?? 1))
    const filled = script.answer === "rest" ? Decimal.zero : Decimal.toStep(part, step, "down")
    const price = amountOf(script.price ?? request.price ?? (request.side === "buy" ? this.ask : this.bid))
    const order = this.#orderOf(request, filled, price, script.answer === "rest")
    this.orders.set(order.clientOrderId!, order)
    const fill = BigDecimal.isPositive(filled) ? this.#fillOf(order, filled, price) : []
    return { order, events: [...fill, { _tag: "OrderUpdate", ...order, ...received }] }
  }

  #fillOf(order: Order, filled: Decimal.Decimal, price: Decimal.Decimal): ReadonlyArray<AccountEvent> {
    const { base, kind, quote } = this.instrument
    const isBuy = order.side === "buy"
    const feeInBase = kind === "spot" && isBuy
    const value = order.filledQuote!
    const fee = BigDecimal.multiply(feeInBase ? filled : value, this.#fee)
    const fill: Fill = {
      _tag: "Fill",
      pair: this.pair,
      symbol: this.pair,
      tradeId: `${this.fills.length + 1}`,
      orderId: order.orderId,
      clientOrderId: order.clientOrderId,
      side: order.side,
      price,
      quantity: filled,
      liquidity: "taker",
      fee,
      feeAsset: feeInBase ? base : quote,
      exchangeTime: 0,
      ...received
    }
    this.fills.push(fill)
    if (kind === "swap") return [fill]
    return [
      fill,
      this.#balance(base, isBuy ? BigDecimal.subtract(filled, fee) : BigDecimal.negate(filled)),
      this.#balance(quote, isBuy ? BigDecimal.negate(value) : BigDecimal.subtract(value, fee))
    ]
  }

  #tell(events: ReadonlyArray<AccountEvent>, late: number | null): Effect.Effect<void> {
    const tell = Effect.sync(() => events.forEach((event) => this.emit(event)))
    if (late === null) return Effect.sync(() => void this.#missed.push(...events))
    return late === 0 ? tell : Effect.asVoid(Effect.forkDetach(Effect.andThen(Effect.sleep(late), tell)))
  }

  readonly #place = (request: OrderRequest): Effect.Effect<Placed, ExchangeError.ExchangeError> =>
    Effect.suspend(() => {
      const script = this.scripts.shift() ?? {}
      const clientOrderId = request.clientOrderId ?? `made-${this.placed.length}`
      const named = { ...request, clientOrderId }
      const answer = script.answer ?? "accept"
      const lost = ExchangeError.make(
        this.exchange,
        new ExchangeError.Silent({ silentForMs: 1, detail: "the test lost it" })
      )
      if (answer === "die") return Effect.die(new Error("the test killed it"))
      if (answer === "notSent") {
        return Effect.fail(
          ExchangeError.make(this.exchange, new ExchangeError.Closed({ detail: "the test closed it" }))
        )
      }
      // What has left happens, whoever waits for it: in a fiber of its own, since an interruption would wait for virtual time.
      const arrive = Effect.gen({ self: this }, function*() {
        this.placed.push(named)
        yield* Effect.sleep(script.delay ?? 1)
        if (isLost(answer)) return null
        const { events, order } = this.#execute(named, script)
        yield* this.#tell(events, script.late === undefined ? 0 : script.late)
        return order
      })
      return Effect.flatMap(
        Effect.andThen(
          itsTurn(script.waits ?? null),
          Effect.flatMap(Effect.forkDetach(arrive, { startImmediately: true }), Fiber.join)
        ),
        (order) => Effect.succeed({ clientOrderId, outcome: this.#answer(script, order, lost) })
      )
    })

  #answer(
    { answer = "accept", resolveAfter = 500 }: Script,
    order: Order | null,
    lost: ExchangeError.ExchangeError
  ): Outcome<Order> {
    const rejected = {
      _tag: "Rejected",
      reason: { code: "test", detail: "the test refused it", class: "item" }
    } as const
    if (answer === "reject") return rejected
    const later = <A>(value: A) => Effect.as(Effect.sleep(resolveAfter), value)
    if (answer === "loseRequest") return { _tag: "Unknown", cause: lost, resolved: later(rejected) }
    if (answer === "loseAnswer") {
      return { _tag: "Unknown", cause: lost, resolved: later({ _tag: "Accepted", value: order! } as const) }
    }
    if (answer === "never" || answer === "neverDone") {
      return { _tag: "Unknown", cause: lost, resolved: Effect.andThen(Effect.sleep(resolveAfter), Effect.fail(lost)) }
    }
    return {
      _tag: "Accepted",
      value: answer === "new"
        ? { ...order!, status: "new", filledQuantity: Decimal.zero, filledQuote: Decimal.zero, averagePrice: null }
        : order!
    }
  }

  #makeEntry(): OrderEntry["Service"] {
    return {
      exchange: this.exchange,
      abilities: new Set(),
      makeClientOrderId: Effect.sync(() => `made-${++this.#made}`),
      place: this.#place,
      placeAll: (requests) => Effect.forEach(requests, this.#place),
      cancel: ({ pair: _, ...ref }) =>
        Effect.sync(() => {
          const order = "clientOrderId" in ref ? this.orders.get(ref.clientOrderId) : undefined
          if (order === undefined || isFinal(order.status)) {
            return {
              _tag: "Rejected",
              reason: { code: "none", detail: "there is no such order", class: "item" }
            } as const
          }
          const ended: Order = {
            ...order,
            status: BigDecimal.isZero(order.filledQuantity) ? "canceled" : "partiallyCanceled"
          }
          this.orders.set(order.clientOrderId!, ended)
          this.emit({ _tag: "OrderUpdate", ...ended, ...received })
          return { _tag: "Accepted", value: ended } as const
        }),
      cancelAll: () => unsupported,
      amend: () => unsupported,
      get: (ref) =>
        Effect.suspend(() =>
          this.isAnswering
            ? Effect.succeed("clientOrderId" in ref ? this.orders.get(ref.clientOrderId) ?? null : null)
            : Effect.fail(
              ExchangeError.make(this.exchange, new ExchangeError.Silent({ silentForMs: 1, detail: "away" }))
            )
        ),
      openOrders: () => unsupported,
      cancelAllAfter: () => unsupported,
      leverage: () => unsupported,
      setLeverage: () => unsupported,
      setMarginMode: () => unsupported,
      isReady: Effect.succeed(true)
    }
  }

  readonly onEvent = (consumer: (event: AccountEvent) => void) => among(this.consumers, consumer)

  /** A new one each time, as when it was built anew. */
  island(): Island {
    const market = {
      exchange: this.exchange,
      instruments: {
        all: Effect.succeed(new Map([[this.pair, this.instrument]])),
        get: (pair: TradingPair) =>
          pair === this.pair ? Effect.succeed(this.instrument) : Effect.fail(
            ExchangeError.make(this.exchange, new ExchangeError.UnknownPair({ symbol: pair, detail: "not listed" }))
          ),
        refresh: unsupported,
        changes: Stream.empty
      },
      clock: () => this.clock,
      bestPrice: (pair: TradingPair) =>
        pair !== this.pair || !this.hasPrice ? null : {
          pair,
          bidPrice: this.bid,
          bidQuantity: 1_000,
          askPrice: this.ask,
          askQuantity: 1_000,
          source: "book" as const,
          exchangeTime: null,
          receivedAt: 0
        }
    }
    const account = {
      exchange: this.exchange,
      account: "main",
      balances: () =>
        new Map([...this.balances].map(([asset, total]): [string, Balance] => [asset, {
          _tag: "Balance",
          asset,
          available: total,
          locked: Decimal.zero,
          total,
          change: null,
          cause: null,
          exchangeTime: null,
          ...received
        }])),
      order: (key: string) => this.tracked.get(key),
      openOrders: () => [...this.tracked.values()].filter(({ state }) => state._tag !== "Final"),
      onEvent: this.onEvent,
      orders: this.entry,
      positionMode: Effect.suspend(() => this.#mode()),
      funding: (within: Duration.Input) => Effect.suspend(() => this.#funding(Duration.toMillis(within))),
      heldPositions: Effect.suspend(() => this.#heldPositions()),
      health: Effect.sync(() => ({ reconciledAt: this.isReconciled ? this.reconciledAt : null })),
      refresh: Effect.sync(() => {
        this.refreshes++
        this.onRefresh()
        const missed = this.#missed
        this.#missed = []
        for (const event of missed) this.emit(event)
      })
    }
    return { exchange: this.exchange, market, account } as unknown as Island
  }
}
