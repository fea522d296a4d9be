/**
 * The risk guard's limits and its kill switch against the accounts of three simulated exchanges, while executions run at once,
 * others keep resting orders there, and requests, answers, pushes and connections are lost and late.
 */
import { BigDecimal, Clock, Effect, Stream } from "effect"
import type { Scope } from "effect"
import type { WorldAccountEvent, WorldFill, WorldOrder } from "../../../src/AccountWorld.ts"
import { ArbitrageExecutor } from "../../../src/arbitrage/ArbitrageExecutor.ts"
import type { Killed, RiskLimits } from "../../../src/arbitrage/RiskGuard.ts"
import { RiskGuard } from "../../../src/arbitrage/RiskGuard.ts"
import { Markets } from "../../../src/composite/Markets.ts"
import * as Decimal from "../../../src/domain/Decimal.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import { partsOf } from "../../../src/domain/Instrument.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import * as PairFacts from "../../../src/simulator/PairFacts.ts"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import * as Account from "../../../test/suites/AccountExchange.ts"
import { accountSubjects } from "../../../test/suites/AccountSubjects.ts"
import { bases } from "../ArbitrageWorld.ts"
import { unitOf } from "../ProgramLedger.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"
import { breaks, layerOf, ofCommands, ofTelling, over, worker } from "./ArbitrageExecution.ts"
import type { Services } from "./ArbitrageExecution.ts"

type Amount = Decimal.Decimal

const { abs, isGreaterThan, multiply, subtract, sum } = BigDecimal

/** Resting orders are in this asset, far from its price: they take room and never fill. */
const beside = "DOGE"

const most = { orderNotional: "310", openOrders: 14, notional: "3000" } as const

const limitsOf = (openOrders: number, notional: string, position: Readonly<Record<string, string>>): RiskLimits => ({
  maxOrderNotional: most.orderNotional,
  maxOpenOrders: openOrders,
  maxNotional: notional,
  maxPosition: position
})

/** Base, of a pair on an exchange. */
const positions: Readonly<Record<string, string>> = { BTC: "0.008", ETH: "0.2", SOL: "4" }

const own: RiskLimits = limitsOf(
  6,
  "1700",
  Object.fromEntries(
    bases.flatMap((base) => [[`${base}/USDT`, positions[base]!], [`${base}/USDT:USDT`, positions[base]!]])
  )
)

const risk = {
  global: limitsOf(most.openOrders, most.notional, {}),
  exchanges: Object.fromEntries(accountSubjects.map(({ adapter }) => [adapter.id, own]))
}

// ---- what the exchanges see -----------------------------------------------------------------------------------------

/** One exchange, or all of them, as something happens there. */
interface Standing {
  readonly openOrders: number
  /** Quote: open orders at their limits, and what is not flat at its last price. */
  readonly notional: Amount
}

interface Seen {
  readonly at: number
  readonly exchange: string
  readonly id: string
  readonly kind: "put" | "fill"
  /** Base, of the pair on the exchange, without sign. */
  readonly position: Amount
  /** Whether the position has grown by it. */
  readonly grows: boolean
  readonly pair: TradingPair
  /** Quote: of the order as it was put, or of the fill. */
  readonly value: Amount
  /** Base: of the fill. */
  readonly quantity: Amount
  readonly own: Standing
  readonly all: Standing
}

/** Books what the accounts tell, and what has come of it at each moment. */
class Watch {
  readonly seen: Array<Seen> = []
  readonly #open = new Map<string, readonly [exchange: string, value: Amount]>()
  /** Base, by exchange and pair. */
  readonly #positions = new Map<string, Amount>()
  readonly #marks = new Map<string, Amount>()

  on(exchange: string, event: WorldAccountEvent): void {
    if (event._tag === "Order") this.#onOrder(exchange, event.order, event.event)
    if (event._tag === "Fill") this.#onFill(exchange, event.fill, event.order)
  }

  #onOrder(exchange: string, order: WorldOrder, event: "put" | "update" | "finish"): void {
    const key = `${exchange} ${order.id}`
    const value = multiply(multiply(Decimal.of(order.left), Decimal.of(order.price ?? "0")), unitOf(order.pair))
    if (event === "finish") return void this.#open.delete(key)
    this.#open.set(key, [exchange, value])
    if (event === "put") {
      this.#note("put", exchange, order, order.createdAt, { value, quantity: Decimal.zero, grows: true })
    }
  }

  #onFill(exchange: string, { fee, feeAsset, pair, price, quantity, side, time }: WorldFill, order: WorldOrder): void {
    const { base } = partsOf(pair)
    const key = `${exchange} ${pair}`
    const amount = multiply(Decimal.of(quantity), unitOf(pair))
    const signed = side === "buy" ? amount : BigDecimal.negate(amount)
    const received = subtract(signed, feeAsset === base ? Decimal.of(fee) : Decimal.zero)
    const before = this.#positions.get(key) ?? Decimal.zero
    const position = sum(before, received)
    this.#positions.set(key, position)
    this.#marks.set(base, Decimal.of(price))
    const left = multiply(multiply(Decimal.of(order.left), Decimal.of(order.price ?? "0")), unitOf(pair))
    if (this.#open.has(`${exchange} ${order.id}`)) this.#open.set(`${exchange} ${order.id}`, [exchange, left])
    const value = multiply(amount, Decimal.of(price))
    this.#note("fill", exchange, order, time, {
      value,
      quantity: amount,
      grows: isGreaterThan(abs(position), abs(before))
    })
  }

  #note(
    kind: Seen["kind"],
    exchange: string,
    { clientOrderId, pair }: WorldOrder,
    at: number,
    of: Pick<Seen, "value" | "quantity" | "grows">
  ): void {
    this.seen.push({
      at,
      exchange,
      id: clientOrderId ?? "",
      kind,
      pair,
      ...of,
      position: abs(this.#positions.get(`${exchange} ${pair}`) ?? Decimal.zero),
      own: this.#standing(exchange),
      all: this.#standing(null)
    })
  }

  #standing(exchange: string | null): Standing {
    const open = [...this.#open.values()].filter(([of]) => exchange === null || of === exchange)
    const net = new Map<string, Amount>()
    for (const [key, position] of this.#positions) {
      const [of, pair] = key.split(" ") as [string, TradingPair]
      if (exchange !== null && of !== exchange) continue
      const { base } = partsOf(pair)
      net.set(base, sum(net.get(base) ?? Decimal.zero, position))
    }
    const exposure = [...net].map(([base, amount]) => multiply(abs(amount), this.#marks.get(base)!))
    return { openOrders: open.length, notional: BigDecimal.sumAll([...exposure, ...open.map(([, value]) => value)]) }
  }
}

// ---- the run --------------------------------------------------------------------------------------------------------

/** As long as the switch stood. */
interface Throw extends Killed {
  until: number
}

interface Result {
  readonly seen: ReadonlyArray<Seen>
  /** When each order has left first, ms. */
  readonly sentAt: ReadonlyMap<string, number>
  /** Legs and resting orders: what opens exposure, or may. */
  readonly growing: ReadonlySet<string>
  readonly throws: ReadonlyArray<Throw>
  readonly executions: number
  readonly refused: ReadonlyMap<string, number>
}

/** Where an order may rest now; null while nothing may be traded there. */
const restingAt = (markets: Markets["Service"], guard: RiskGuard["Service"], exchange: string) => {
  const island = markets.current(exchange)
  if (island === undefined || island.account === null || !markets.mayTrade(exchange)) return null
  const pair: TradingPair = exchange.includes("futures") ? `${beside}/USDT:USDT` : `${beside}/USDT`
  const bid = island.market.bestPrice(pair)?.bidPrice
  return bid === undefined ? null : { bid, entry: guard.guarded(island.account.orders), pair }
}

const limitOf = ({ reason }: ExchangeError): string => reason._tag === "RiskRefused" ? reason.limit : reason._tag

/** Keeps resting orders on an exchange, as far as the guard lets it. */
const maker = Effect.fnUntraced(function*(
  exchange: string,
  draws: Virtual.Draws,
  growing: Set<string>,
  refused: (limit: string) => void
) {
  const guard = yield* RiskGuard
  const markets = yield* Markets
  const open: Array<{ readonly pair: TradingPair; readonly clientOrderId: string }> = []
  for (;;) {
    yield* Effect.sleep(50 + Virtual.below(draws, 300))
    const at = restingAt(markets, guard, exchange)
    if (at === null) continue
    const { bid, entry, pair } = at
    const isFull = open.length > 2 || (open.length > 0 && draws.nextDoubleUnsafe() < 0.4)
    if (isFull) {
      yield* Effect.exit(Effect.timeoutOption(entry.cancel(open.shift()!), 2_000))
      continue
    }
    const clientOrderId = yield* entry.makeClientOrderId
    growing.add(clientOrderId)
    // One in ten is larger than any may be.
    const worth = draws.nextDoubleUnsafe() < 0.1 ? 400 : 20 + Virtual.below(draws, 100)
    const price = Decimal.of((bid / 2).toPrecision(3))
    const quantity = Decimal.of(String(Math.ceil(worth / Decimal.toNumber(multiply(price, unitOf(pair))))))
    yield* Effect.match(entry.place({ pair, side: "buy", quantity, price, clientOrderId }), {
      onFailure: (error) => refused(limitOf(error)),
      onSuccess: () => void open.push({ pair, clientOrderId })
    })
  }
})

const play = Effect.fnUntraced(function*(
  seed: number,
  count: number,
  sentAt: ReadonlyMap<string, number>
): Effect.fn.Return<Result, unknown, Services | Scope.Scope> {
  const draws = yield* Virtual.draws(seed, "limits")
  const simulator = yield* Simulator.Simulator
  const executor = yield* ArbitrageExecutor
  const guard = yield* RiskGuard
  const watch = new Watch()
  for (const { adapter } of accountSubjects) {
    const stop = simulator.account(adapter.id, Account.userId)!.watch((event) => watch.on(adapter.id, event))
    yield* Effect.addFinalizer(() => Effect.sync(stop))
  }
  const growing = new Set<string>()
  const throws: Array<Throw> = []
  const refused = new Map<string, number>()
  let executions = 0
  yield* Effect.forkScoped(
    Stream.runForEach(executor.executions, ({ buy, sell }) =>
      Effect.sync(() => {
        executions++
        growing.add(buy.clientOrderId).add(sell.clientOrderId)
      })),
    { startImmediately: true }
  )
  const revive = Effect.gen(function*() {
    yield* guard.revive
    const now = yield* Clock.currentTimeMillis
    for (const one of throws) one.until = Math.min(one.until, now)
  })
  yield* Effect.forkScoped(
    Stream.runForEach(guard.kills, (killed) =>
      Effect.gen(function*() {
        throws.push({ ...killed, until: Infinity })
        // Whoever looks after it has looked, and goes on.
        if (killed.reason !== "by hand") yield* Effect.forkScoped(Effect.andThen(Effect.sleep(700), revive))
      })),
    { startImmediately: true }
  )
  const byHand = Effect.gen(function*() {
    for (;;) {
      yield* Effect.sleep(1_500 + Virtual.below(draws, 3_000))
      const stops = draws.nextDoubleUnsafe() < 0.5 ? "growing" : "everything"
      const of = draws.nextDoubleUnsafe() < 0.3 ? { exchange: Virtual.pick(draws, accountSubjects).adapter.id } : {}
      yield* guard.kill("by hand", { stops, ...of })
      yield* Effect.sleep(400 + Virtual.below(draws, 1_200))
      yield* revive
    }
  })
  yield* Effect.forEach([...ofCommands, ...ofTelling], (fault) => simulator.inject(fault))
  const clock = yield* Clock.Clock
  // Where the limits let little pass it ends by time.
  const end = clock.currentTimeMillisUnsafe() + count * 1_000
  yield* Effect.scoped(Effect.gen(function*() {
    yield* Effect.forkScoped(breaks(draws, () => {}))
    yield* Effect.forkScoped(byHand)
    for (const { adapter } of accountSubjects) {
      const note = (limit: string): void => void refused.set(limit, (refused.get(limit) ?? 0) + 1)
      yield* Effect.forkScoped(maker(adapter.id, draws, growing, note))
      yield* Effect.forkScoped(maker(adapter.id, draws, growing, note))
    }
    yield* Effect.forEach(
      Array.from({ length: 6 }),
      () => worker(draws, () => executions >= count || clock.currentTimeMillisUnsafe() >= end, () => {}),
      { concurrency: 6, discard: true }
    )
  }))
  yield* simulator.clear()
  yield* Effect.sleep("15 seconds")
  yield* revive
  yield* executor.drain
  const { refused: ofExecutor } = yield* executor.performance
  for (const [limit, times] of Object.entries(ofExecutor)) refused.set(limit, (refused.get(limit) ?? 0) + times)
  return { seen: watch.seen, sentAt, growing, throws, executions, refused }
})

/** More than a run lasts, ms. */
const apart = 100_000_000

/** Runs of their own, one behind the other: the same id or moment of two of them is not the same. */
const joined = (results: ReadonlyArray<Result>): Result => {
  const refused = new Map<string, number>()
  for (const [limit, times] of results.flatMap((one) => [...one.refused])) {
    refused.set(limit, (refused.get(limit) ?? 0) + times)
  }
  return {
    seen: results.flatMap(({ seen }, run) =>
      seen.map((one) => ({ ...one, id: `${run} ${one.id}`, at: one.at + run * apart }))
    ),
    sentAt: new Map(
      results.flatMap(({ sentAt }, run) =>
        Array.from(sentAt, ([id, at]) => [`${run} ${id}`, at + run * apart] as const)
      )
    ),
    growing: new Set(results.flatMap(({ growing }, run) => Array.from(growing, (id) => `${run} ${id}`))),
    throws: results.flatMap(({ throws }, run) =>
      // One that nobody takes back ends with its run.
      throws.map((one) => ({
        ...one,
        at: one.at + run * apart,
        until: Math.min(one.until, one.at + apart / 2) + run * apart
      }))
    ),
    executions: results.reduce((sum, { executions }) => sum + executions, 0),
    refused
  }
}

// ---- judging --------------------------------------------------------------------------------------------------------

/** An order may have been judged so long before it left: it waits for its connection. */
const waitMillis = 3_000

/** Of what is not flat: so far prices may move between the judging of an order and its fill. */
const drift = Decimal.of("0.005")

/** What was traded past the limits meanwhile because it reduces exposure. */
const reduced = (
  { growing, seen, sentAt }: Result,
  { at, id }: Seen,
  where: (one: Seen) => boolean,
  of: (one: Seen) => Amount
): Amount => {
  const since = (sentAt.get(id) ?? at) - waitMillis
  const between = seen.filter((one) =>
    one.kind === "fill" && one.at >= since && one.at <= at && !growing.has(one.id) && where(one)
  )
  return BigDecimal.sumAll(between.map(of))
}

const judgeLimits = (proof: Proof, result: Result): void => {
  const { growing, seen } = result
  const all = seen.filter(({ id }) => growing.has(id))
  const puts = all.filter(({ kind }) => kind === "put")
  const fills = all.filter(({ grows, kind }) => kind === "fill" && grows)
  const large = puts.filter(({ value }) => isGreaterThan(value, Decimal.of(most.orderNotional)))
  const text = (amounts: ReadonlyArray<Amount>): string =>
    Decimal.toText(Decimal.toStep(amounts.reduce(BigDecimal.max, Decimal.zero), Decimal.of("0.0001"), "up"))
  proof.check(
    `no order that may grow exposure is worth more than ${most.orderNotional} USDT`,
    large.length === 0 && puts.length > 0,
    `${puts.length} orders, the largest ${text(puts.map(({ value }) => value))}`
  )
  const many = puts.filter((one) => one.own.openOrders > own.maxOpenOrders! || one.all.openOrders > most.openOrders)
  const counts = (of: (one: Seen) => number): number => Math.max(...puts.map(of))
  proof.check(
    `no more than ${own.maxOpenOrders} orders are open at an exchange, and ${most.openOrders} at all of them`,
    many.length === 0,
    `${counts((one) => one.own.openOrders)} and ${counts((one) => one.all.openOrders)} at most`
  )
  const far = fills.filter((one) => {
    const limit = Decimal.of(positions[partsOf(one.pair).base]!)
    const past = reduced(
      result,
      one,
      ({ exchange, pair }) => exchange === one.exchange && pair === one.pair,
      (fill) => fill.quantity
    )
    return isGreaterThan(one.position, sum(limit, past))
  })
  proof.check(
    "no leg takes a position past its limit, but for what was traded away there meanwhile",
    far.length === 0,
    Object.keys(positions).map((base) => {
      const there = fills.filter(({ pair }) => partsOf(pair).base === base)
      return `${text(there.map(({ position }) => position))} of ${positions[base]} ${base}`
    }).join(", ")
  )
  const isPast = (one: Seen, { notional }: Standing, limit: string, where: (fill: Seen) => boolean): boolean => {
    const allowed = multiply(Decimal.of(limit), sum(Decimal.of("1"), drift))
    return isGreaterThan(notional, sum(allowed, reduced(result, one, where, ({ value }) => value)))
  }
  const past = [...puts, ...fills].filter((one) =>
    isPast(one, one.all, most.notional, () => true)
    || isPast(one, one.own, String(own.maxNotional), ({ exchange }) => exchange === one.exchange)
  )
  proof.check(
    `open orders and exposure are worth no more than ${own.maxNotional} USDT at an exchange and ${most.notional} at all, but for what reduces and prices that move`,
    past.length === 0,
    `${text(all.map((one) => one.own.notional))} and ${text(all.map((one) => one.all.notional))} at most`
  )
}

const judgeSwitch = (proof: Proof, { growing, seen, sentAt, throws }: Result): void => {
  const exchangeOf = new Map(seen.map(({ exchange, id }) => [id, exchange]))
  const late = [...sentAt].filter(([id, at]) =>
    throws.some((thrown) =>
      at > thrown.at && at < thrown.until && (thrown.of === "global" || thrown.of === exchangeOf.get(id))
      && (thrown.stops === "everything" || growing.has(id))
    )
  )
  const stood = throws.reduce((total, { at, until }) => total + Math.min(until, at + 60_000) - at, 0)
  proof.check(
    "nothing that grows exposure leaves while the switch is thrown, and nothing at all while it stops everything",
    late.length === 0 && throws.length > 0,
    `${throws.length} throws, ${
      throws.filter(({ stops }) => stops === "everything").length
    } of everything, for ${stood} virtual ms; ${late.length} orders`
  )
}

// ---- losses ---------------------------------------------------------------------------------------------------------

/** Quote: of an exchange, and of all of them, so that the third one is stopped by what all have lost before it has lost that much. */
const losses = { own: "4", global: "11" } as const

const lossBase = "BTC"

/** Base. */
const mostHeld = "0.01"

const lossPairOf = ({ adapter }: Account.Subject): TradingPair =>
  adapter.kind === "swap" ? `${lossBase}/USDT:USDT` : `${lossBase}/USDT`

interface Trip {
  readonly exchange: string
  /** Quote, exact: what the guard says of the exchange, and of all of them. */
  readonly told: string
  readonly toldOfAll: string
  /** The same, by what the exchanges have booked. */
  readonly booked: string
  readonly bookedOfAll: string
  /** Quote: what was lost there and altogether before the trip, by what the exchanges have booked. */
  readonly lost: Amount
  readonly lostOfAll: Amount
  /** Whether its first order was refused, by which limit and whose. */
  readonly refused: string | null
  /** Whether its exchange has filled anything of it. */
  readonly hasArrived: boolean
}

interface Losses {
  /** By exchange: what became of an order for more than may be held. */
  readonly large: ReadonlyArray<string>
  readonly trips: ReadonlyArray<Trip>
  readonly kills: ReadonlyArray<Killed>
}

const totalOf = (simulator: Simulator.SimulatorService, exchange: string, asset: string): Amount => {
  const found = simulator.account(exchange, Account.userId)!.balances().find((one) => one.asset === asset)
  return found === undefined ? Decimal.zero : sum(Decimal.of(found.available), Decimal.of(found.locked))
}

/** Buys and sells the same again until the guard lets nothing leave any more, on one exchange after the other, without faults. */
const lose = Effect.fnUntraced(function*(): Effect.fn.Return<Losses, unknown, Services | Scope.Scope> {
  const simulator = yield* Simulator.Simulator
  const guard = yield* RiskGuard
  const markets = yield* Markets
  while (!markets.ids.every((id) => markets.mayTrade(id))) yield* Effect.sleep(20)
  const began = new Map(
    accountSubjects.flatMap(({ adapter: { id } }) =>
      [lossBase, "USDT"].map((asset) => [`${id} ${asset}`, totalOf(simulator, id, asset)] as const)
    )
  )
  const gained = (exchange: string, asset: string): Amount =>
    subtract(totalOf(simulator, exchange, asset), began.get(`${exchange} ${asset}`)!)
  const mark = Decimal.of(String(simulator.book(accountSubjects[0]!.adapter.id, `${lossBase}/USDT`, 1)!.bids[0]!.price))
  /** Perpetuals are flat behind every trip: of them, all that was made is in the balance. */
  const bookedOf = (exchange: string): Amount =>
    sum(gained(exchange, "USDT"), multiply(gained(exchange, lossBase), mark))
  const bookedOfAll = (): Amount => BigDecimal.sumAll(markets.ids.map(bookedOf))
  const kills: Array<Killed> = []
  yield* Effect.forkScoped(
    Stream.runForEach(guard.kills, (killed) => Effect.sync(() => void kills.push(killed))),
    { startImmediately: true }
  )
  const trips: Array<Trip> = []
  const exact = (amount: Amount): string => Decimal.toText(BigDecimal.normalize(amount))
  const trip = Effect.fnUntraced(function*(subject: Account.Subject) {
    const { adapter: { id, kind } } = subject
    const { account, market } = markets.current(id)!
    const pair = lossPairOf(subject)
    const entry = guard.guarded(account!.orders)
    const { askPrice, bidPrice } = market.bestPrice(pair)!
    const step = Decimal.of((10 ** -PairFacts.factsOf(pair).quantityDecimals).toFixed(12))
    const quantity = BigDecimal.divideUnsafe(Decimal.of("0.005"), unitOf(pair))
    const [lost, lostOfAll] = [BigDecimal.negate(bookedOf(id)), BigDecimal.negate(bookedOfAll())]
    const filled = (): number => simulator.account(id, Account.userId)!.fills({}).length
    const before = filled()
    const crossing = (price: number) => Decimal.of(String(Math.round(price)))
    const refused = yield* Effect.match(
      entry.place({ pair, side: "buy", quantity, price: crossing(askPrice * 1.005) }),
      {
        onFailure: ({ reason }) => reason._tag === "RiskRefused" ? `${reason.limit} of ${reason.of}` : reason._tag,
        onSuccess: () => null
      }
    )
    yield* Effect.sleep(200)
    if (refused === null) {
      // What reduces leaves although the first one may have thrown the switch.
      const held = kind === "swap" ? quantity : Decimal.toStep(gained(id, lossBase), step, "down")
      yield* entry.place({ pair, side: "sell", quantity: held, price: crossing(bidPrice * 0.99) })
      yield* Effect.sleep(200)
    }
    for (const one of accountSubjects) guard.mark(one.adapter.id, lossPairOf(one), mark)
    trips.push({
      exchange: id,
      told: exact(guard.state(id).pnl),
      toldOfAll: exact(guard.state().pnl),
      booked: exact(bookedOf(id)),
      bookedOfAll: exact(bookedOfAll()),
      lost,
      lostOfAll,
      refused,
      hasArrived: filled() > before
    })
    return refused
  })
  const large: Array<string> = []
  for (const subject of accountSubjects) {
    const { adapter: { id } } = subject
    const { account, market } = markets.current(id)!
    const pair = lossPairOf(subject)
    const price = Decimal.of(String(Math.round(market.bestPrice(pair)!.askPrice * 1.005)))
    const quantity = BigDecimal.divideUnsafe(Decimal.of("0.02"), unitOf(pair))
    const placed = guard.guarded(account!.orders).place({ pair, side: "buy", quantity, price })
    large.push(yield* Effect.match(placed, { onFailure: limitOf, onSuccess: () => "placed" }))
  }
  for (const subject of accountSubjects) {
    for (let number = 0; number < 40; number++) {
      if ((yield* trip(subject)) !== null) break
    }
  }
  return { large, trips, kills }
})

const judgeLosses = (proof: Proof, { kills, large, trips }: Losses): void => {
  proof.check(
    `an order that takes a position past ${mostHeld} ${lossBase} is refused`,
    large.every((limit) => limit === "maxPosition"),
    large.join(", ")
  )
  const made = trips.filter(({ refused }) => refused === null)
  const differing = trips.filter((one) => one.told !== one.booked || one.toldOfAll !== one.bookedOfAll)
  proof.check(
    "profit and loss at the guard are what the exchanges have booked, of each and of all, to the digit",
    differing.length === 0 && made.length > 0,
    differing.length === 0
      ? `${made.length} round trips, ${trips.at(-1)!.toldOfAll} USDT in the end`
      : differing.slice(0, 3).map((one) =>
        `${one.exchange} ${one.told} is ${one.booked}, of all ${one.toldOfAll} is ${one.bookedOfAll}`
      ).join("; ")
  )
  const [first, second] = accountSubjects.map(({ adapter }) => adapter.id)
  const expected = [first, second, "global"]
  const isPast = (lost: Amount, limit: string): boolean => !BigDecimal.isLessThan(lost, Decimal.of(limit))
  const late = made.filter(({ lost, lostOfAll }) => isPast(lost, losses.own) || isPast(lostOfAll, losses.global))
  // What is held counts at the middle of the market, so that it may be thrown before the loss is booked.
  const early = trips.filter(({ lost, lostOfAll, refused }) => {
    if (refused === null) return false
    const near = (limit: string): string => String(Number(limit) * 0.8)
    return !isPast(lost, near(losses.own)) && !isPast(lostOfAll, near(losses.global))
  })
  proof.check(
    `a loss of ${losses.own} USDT at an exchange throws its switch, ${losses.global} at all of them that of all, and not before`,
    kills.map(({ of }) => of).join() === expected.join() && kills.every(({ reason }) => reason.startsWith("maxLoss"))
      && late.length === 0 && early.length === 0,
    `${kills.map(({ of, reason }) => `${of}: ${reason}`).join("; ")}; ${late.length} late, ${early.length} early`
  )
  const refusals = trips.filter(({ refused }) => refused !== null)
  proof.check(
    "behind it the guard refuses what grows exposure, and nothing of it arrives",
    refusals.map(({ refused }) => refused).join() === expected.map((of) => `killSwitch of ${of}`).join()
      && refusals.every(({ hasArrived }) => !hasArrived),
    refusals.map(({ exchange, refused }) => `${exchange}: ${refused}`).join("; ")
  )
}

// ---- orders that wait for their turn --------------------------------------------------------------------------------

/** More than the exchange may be told at once. */
const burstOf = ({ adapter }: Account.Subject): number => adapter.kind === "swap" ? 110 : 20

interface Waited {
  readonly exchange: string
  readonly id: string
  /** Null: it was placed. */
  readonly refused: string | null
}

interface Waiting {
  readonly thrownAt: number
  readonly orders: ReadonlyArray<Waited>
}

/** Places more at once than may leave, without faults, and throws the switch while some of it waits. */
const crowd = Effect.fnUntraced(function*(): Effect.fn.Return<Waiting, unknown, Services | Scope.Scope> {
  const guard = yield* RiskGuard
  const markets = yield* Markets
  while (!markets.ids.every((id) => markets.mayTrade(id))) yield* Effect.sleep(20)
  const orders: Array<Waited> = []
  for (const subject of accountSubjects) {
    const { adapter: { id: exchange } } = subject
    const { account, market } = markets.current(exchange)!
    const pair = lossPairOf(subject)
    const entry = guard.guarded(account!.orders)
    const price = Decimal.of(String(Math.round(market.bestPrice(pair)!.bidPrice / 2)))
    const base = Decimal.of("0.001")
    const quantity = BigDecimal.divideUnsafe(base, unitOf(pair))
    for (let number = 0; number < burstOf(subject); number++) {
      const id = yield* account!.orders.makeClientOrderId
      // With room of its own, as the executor's, and without.
      const intent = { exchange, pair, side: "buy", quantity: base, price, reduces: false, clientOrderId: id } as const
      if (number % 2 === 0) yield* guard.reserve([intent])
      const placing = Effect.match(entry.place({ pair, side: "buy", quantity, price, clientOrderId: id }), {
        onFailure: (error) => void orders.push({ exchange, id, refused: limitOf(error) }),
        onSuccess: () => void orders.push({ exchange, id, refused: null })
      })
      yield* Effect.forkScoped(placing, { startImmediately: true })
    }
  }
  yield* Effect.sleep(50)
  const thrownAt = yield* Clock.currentTimeMillis
  yield* guard.kill("by hand", { stops: "everything" })
  yield* Effect.sleep("4 seconds")
  return { thrownAt, orders }
})

const judgeWaiting = (
  proof: Proof,
  { orders, thrownAt }: Waiting,
  sentAt: ReadonlyMap<string, number>
): void => {
  const late = orders.filter(({ id }) => (sentAt.get(id) ?? 0) > thrownAt)
  const waited = accountSubjects.map(({ adapter: { id } }) =>
    orders.filter(({ exchange, refused }) => exchange === id && refused === "killSwitch").length
  )
  const left = orders.filter(({ id }) => sentAt.has(id)).length
  proof.check(
    "what waits for its turn when the switch is thrown is refused when its turn comes, and does not leave",
    late.length === 0 && waited.every((count) => count > 0),
    `${left} of ${orders.length} had left, ${waited.join(", ")} waited at the exchanges; ${late.length} late`
  )
}

export const riskLimits: Case = {
  name: "risk-limits",
  proves:
    "The risk guard's limits and its kill switch hold in the exchanges' own accounts, under faults and with executions and resting orders at once",
  run: Effect.fnUntraced(function*(proof) {
    const results: Array<Result> = []
    // Once an exchange holds what it may, legs that go back are refused, too: then a run has little to show any more.
    for (let round = 0; round < Proofs.sizeOf(proof, 1, 25); round++) {
      const seed = proof.seed + round
      const sentAt = new Map<string, number>()
      const note = (id: string, at: number): void => {
        if (!sentAt.has(id)) sentAt.set(id, at)
      }
      results.push(yield* over(seed, play(seed, 40, sentAt), layerOf(seed, note, risk, [beside])))
    }
    const result = joined(results)
    const counts = [...result.refused].map(([limit, times]) => `${limit} ${times}`).sort()
    proof.say(`${result.executions} executions, ${result.sentAt.size} orders sent, refused: ${counts.join(", ")}`)
    const bound = ["maxOrderNotional", "maxOpenOrders", "maxNotional", "maxPosition", "killSwitch"].filter((limit) =>
      result.refused.has(limit)
    )
    const least = proof.quick ? 4 : 5
    proof.check(
      `at least ${least} of the limits and the switch have refused something`,
      bound.length >= least,
      bound.join(", ")
    )
    judgeLimits(proof, result)
    judgeSwitch(proof, result)
    const limits = {
      global: { maxLoss: losses.global },
      exchanges: Object.fromEntries(
        accountSubjects.map((subject) => [subject.adapter.id, {
          maxLoss: losses.own,
          maxPosition: { [lossPairOf(subject)]: mostHeld }
        }])
      )
    }
    judgeLosses(proof, yield* over(proof.seed, lose(), layerOf(proof.seed, () => {}, limits)))
    const sentAt = new Map<string, number>()
    const note = (id: string, at: number): void => void sentAt.set(id, at)
    judgeWaiting(proof, yield* over(proof.seed, crowd(), layerOf(proof.seed, note, {}, [], "exchange")), sentAt)
    proof.figure("executions", result.executions)
    proof.figure("orders", result.sentAt.size)
  })
}
