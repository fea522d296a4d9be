/**
 * Positions of perpetuals, kept from fills, funding and marks alone, against the exchange's ledger and against what its
 * position pushes say: to the last digit, through turns, partial closes, deleveraging and liquidations.
 */
import { BigDecimal, Context, Effect, Layer, Metric, Random } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import type { WorldAccount } from "../../../src/AccountWorld.ts"
import type { Kept, Terms } from "../../../src/composite/PositionKeeper.ts"
import * as PositionKeeper from "../../../src/composite/PositionKeeper.ts"
import * as PrivateExchange from "../../../src/composite/PrivateExchange.ts"
import type { AccountEvent, Position } from "../../../src/domain/Account.ts"
import * as Decimal from "../../../src/domain/Decimal.ts"
import { MarketRest } from "../../../src/MarketRest.ts"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import * as Account from "../../../test/suites/AccountExchange.ts"
import { gateFuturesAccount as subject } from "../../../test/suites/AccountSubjects.ts"
import * as Exchange from "../../../test/suites/Exchange.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

const exchange = subject.adapter.id
const { pair } = subject

const { isZero, normalize, subtract, sum } = BigDecimal
const text = (amount: Decimal.Decimal | null): string => amount === null ? "none" : Decimal.toText(amount)

/** The client's books: nothing goes in but fills, the leverage that was set, payments as they were reckoned, and notices. */
class Books {
  kept: Kept
  /** Realised by positions that have ended, fees and funding included. */
  ended: Decimal.Decimal = Decimal.zero
  readonly differing: Array<string> = []
  readonly counts = { fills: 0, pushes: 0, turns: 0, fundings: 0, deleverages: 0, liquidations: 0, marks: 0 }
  /** Payments that were reckoned and not told yet. */
  readonly awaited: Array<string> = []
  isLiquidated = false

  constructor(terms: Terms, leverage: Decimal.Decimal) {
    this.kept = PositionKeeper.flat(terms, leverage)
  }

  readonly take = (event: AccountEvent): void => {
    if (event._tag === "Fill") this.#fill(event)
    else if (event._tag === "Position") this.#compare(event)
    else if (event._tag === "Balance" && event.cause === "fund") this.#paid(text(event.change))
    else if (event._tag === "AutoDeleverage") {
      this.counts.deleverages++
      const side = BigDecimal.isPositive(event.quantity) ? "sell" : "buy"
      this.#fill({ side, quantity: BigDecimal.abs(event.quantity), price: event.price, fee: null })
    } else if (event._tag === "PositionClose" && this.isLiquidated) {
      this.isLiquidated = false
      this.#is("the loss of a liquidation", text(this.kept.profit), text(this.#sinceClose(event.pnl)))
      this.#end(this.kept)
    }
  }

  /** Profit of the whole position: earlier partial closes, and the end that the notice tells. */
  #sinceClose(pnl: Decimal.Decimal): Decimal.Decimal {
    return normalize(sum(subtract(this.kept.profit, this.#lastLoss), pnl))
  }

  #lastLoss = Decimal.zero

  #fill(execution: PositionKeeper.Execution): void {
    this.counts.fills++
    const { closed, kept } = PositionKeeper.fill(this.kept, execution)
    if (closed !== null && isZero(closed.size)) {
      this.#end(closed)
      if (!isZero(kept.size)) this.counts.turns++
    }
    this.kept = kept
  }

  #end(kept: Kept): void {
    this.ended = normalize(sum(this.ended, PositionKeeper.realisedPnl(kept)))
  }

  /** The exchange has taken the position over: nothing else makes it flat without a fill. */
  liquidate(): void {
    this.counts.liquidations++
    this.#lastLoss = BigDecimal.negate(this.kept.margin!)
    this.kept = PositionKeeper.liquidate(this.kept)
    this.isLiquidated = true
  }

  /** Of the open position, as it is shown; nothing of a flat one, which is not. */
  get realised(): Decimal.Decimal {
    return isZero(this.kept.size) ? Decimal.zero : PositionKeeper.held(this.kept, null).realisedPnl
  }

  #compare(position: Position): void {
    this.counts.pushes++
    if (isZero(position.size) && !isZero(this.kept.size)) this.liquidate()
    const { kept } = this
    this.#is("size", text(kept.size), text(position.size))
    this.#is("entry", text(PositionKeeper.entryPrice(kept)), text(position.entryPrice))
    this.#is("margin", text(kept.margin), text(position.margin))
    this.#is("realised", text(this.realised), text(position.realisedPnl))
    const price = PositionKeeper.liquidationPrice(kept)
    this.#is("liquidation price", text(price !== null && isZero(price) ? null : price), text(position.liquidationPrice))
  }

  pay(rate: Decimal.Decimal, mark: Decimal.Decimal): void {
    if (isZero(this.kept.size)) return
    this.counts.fundings++
    const payment = PositionKeeper.fundingPayment(this.kept, rate, mark)
    this.kept = PositionKeeper.fund(this.kept, payment)
    if (!isZero(payment)) this.awaited.push(text(payment))
  }

  #paid(change: string): void {
    this.#is("funding", this.awaited.shift() ?? "none", change)
  }

  #is(what: string, ours: string, theirs: string): void {
    if (ours !== theirs) this.differing.push(`${what} ${ours} is ${theirs} (fill ${this.counts.fills})`)
  }
}

interface Run {
  readonly books: Books
  readonly account: WorldAccount
  readonly simulator: Simulator.SimulatorService
  readonly draws: Virtual.Draws
  readonly contract: Decimal.Decimal
}

const markOf = ({ simulator }: Run): Decimal.Decimal => Decimal.of(simulator.swap(exchange, pair)!.markPrice)

/** What is told has been taken in. */
const pushed = Effect.sleep(10)

const trade = ({ account, draws }: Run) =>
  Effect.sync(() => {
    const isLimit = Virtual.below(draws, 4) === 0
    const side = Virtual.pick(draws, ["buy", "sell"] as const)
    account.place({
      pair,
      side,
      type: isLimit ? "limit" : "market",
      timeInForce: "ioc",
      price: isLimit ? (side === "buy" ? "1000000" : "1") : null,
      quantity: String(1 + Virtual.below(draws, 60)),
      quoteQuantity: null,
      clientOrderId: null,
      reduceOnly: Virtual.below(draws, 10) === 0,
      trigger: null
    })
  })

const fund = (run: Run) =>
  Effect.gen(function*() {
    const { books, draws, simulator } = run
    const rate = (Virtual.below(draws, 6_001) - 3_000) / 1_000_000
    books.pay(Decimal.of(String(rate)), markOf(run))
    yield* simulator.publish(exchange, pair, { _tag: "Funding", rate: String(rate) })
  })

const closeAll = (account: WorldAccount, size: Decimal.Decimal): void => {
  if (isZero(size)) return
  account.place({
    pair,
    side: BigDecimal.isNegative(size) ? "buy" : "sell",
    type: "market",
    timeInForce: "ioc",
    price: null,
    quantity: text(BigDecimal.abs(size)),
    quoteQuantity: null,
    clientOrderId: null,
    reduceOnly: true,
    trigger: null
  })
}

/** Margin is reckoned anew by the exchange's own rule where a position is open, so it is set while there is none. */
const leverage = (run: Run) =>
  Effect.gen(function*() {
    const { account, books, draws } = run
    closeAll(account, books.kept.size)
    yield* pushed
    if (!isZero(books.kept.size)) return
    const next = String(2 + Virtual.below(draws, 40))
    account.setLeverage(pair, next)
    books.kept = PositionKeeper.flat(books.kept.terms, Decimal.of(next))
  })

const deleverage = (run: Run) =>
  Effect.suspend(() => {
    const { books, draws, simulator } = run
    if (isZero(books.kept.size)) return Effect.void
    const quantity = String(1 + Virtual.below(draws, 20))
    return simulator.change(exchange, Account.userId, {
      _tag: "AutoDeleverage",
      pair,
      quantity,
      price: text(markOf(run))
    })
  })

/** A step of the price on the safe side of the liquidation price nothing happens; a step beyond, the position is taken. */
const liquidate = (run: Run) =>
  Effect.gen(function*() {
    const { account, books, simulator } = run
    const price = PositionKeeper.liquidationPrice(books.kept)
    if (price === null || isZero(price)) return
    const isLong = BigDecimal.isPositive(books.kept.size)
    const tick = Decimal.of("0.01")
    const near = Decimal.toStep(price, tick, isLong ? "up" : "down")
    const [safe, lost] = isLong ? [sum(near, tick), subtract(near, tick)] : [subtract(near, tick), sum(near, tick)]
    if (!BigDecimal.isPositive(lost)) return
    const { liquidations } = books.counts
    // In one turn: the price finds its way back from where it was put.
    yield* simulator.publish(exchange, pair, { _tag: "Mark", price: text(safe) })
    if (account.positions()[0]!.size === "0") books.differing.push(`liquidated at ${text(safe)}, not at ${text(price)}`)
    yield* simulator.publish(exchange, pair, { _tag: "Mark", price: text(lost) })
    yield* pushed
    if (books.counts.liquidations === liquidations) {
      books.differing.push(`not liquidated at ${text(lost)}, beyond ${text(price)}`)
    }
  })

/** What it would gain is what the exchange says. */
const checkMark = (run: Run): void => {
  const { account, books } = run
  const [position] = account.positions()
  if (position === undefined || position.size === "0") return
  books.counts.marks++
  const ours = text(PositionKeeper.unrealisedPnl(books.kept, markOf(run)))
  if (ours !== position.unrealisedPnl) books.differing.push(`unrealised ${ours} is ${position.unrealisedPnl}`)
}

const steps = (run: Run, index: number): Effect.Effect<unknown, unknown> => {
  if (index % 211 === 210) return liquidate(run)
  if (index % 97 === 96) return leverage(run)
  if (index % 41 === 40) return deleverage(run)
  if (index % 7 === 6) return fund(run)
  return trade(run)
}

const play = Effect.fnUntraced(function*(
  seed: number,
  count: number
): Effect.fn.Return<
  { readonly run: Run; readonly composite: PrivateExchange.PrivateExchange["Service"]; readonly began: string },
  unknown,
  Account.Services | Scope.Scope
> {
  const draws = yield* Virtual.draws(seed, "positions")
  const simulator = yield* Simulator.Simulator
  const account = yield* Account.truth(subject)
  const instruments = yield* (yield* MarketRest).instruments
  const { contractSize, maintenanceRate, takerFeeRate } = instruments.find((instrument) => instrument.pair === pair)!
  const contract = Decimal.of(String(contractSize))
  account.setMode(pair, "isolated")
  account.setLeverage(pair, "10")
  const began = account.balances()[0]!.available
  const context = yield* Layer.build(PrivateExchange.layer({
    mark: () => Number(simulator.swap(exchange, pair)!.markPrice)
  }))
  const composite = Context.get(context, PrivateExchange.PrivateExchange)
  yield* composite.initialize
  const terms: Terms = {
    pair,
    contractSize: contract,
    maintenanceRate: Decimal.of(String(maintenanceRate)),
    closingFeeRate: Decimal.of(String(takerFeeRate))
  }
  const books = new Books(terms, Decimal.of("10"))
  yield* composite.onEvent(books.take)
  const run: Run = { books, account, simulator, draws, contract }
  for (let index = 0; index < count; index++) {
    yield* steps(run, index)
    yield* pushed
    checkMark(run)
  }
  return { run, composite, began }
})

const judgePushes = (proof: Proof, { books: { awaited, counts, differing } }: Run): void => {
  proof.check(
    "size, entry, margin, realised PnL, liquidation price and funding are those of every position push",
    differing.length === 0 && counts.pushes > 0 && awaited.length === 0,
    differing.length === 0
      ? `${counts.pushes} pushes behind ${counts.fills} fills, ${counts.turns} turns`
      : `${differing.length} differ: ${differing.slice(0, 5).join("; ")}`
  )
  proof.check(
    "positions end by liquidation at the reckoned price, and not a step before it",
    counts.liquidations > 0,
    `${counts.liquidations} liquidations`
  )
}

const judgeBalance = (proof: Proof, { account, books }: Run, began: string): void => {
  const [balance] = account.balances()
  const total = text(normalize(sum(Decimal.of(balance!.available), Decimal.of(balance!.locked))))
  const kept = text(normalize(BigDecimal.sumAll([Decimal.of(began), books.ended, books.realised])))
  const [ended, ofExchange] = [text(books.ended), account.positions()[0]!.historyPnl]
  proof.check(
    "the balance is what it was, and what positions have realised, and of those that ended it is the exchange's",
    total === kept && ended === ofExchange,
    `${total} and ${kept}; ${ended} and ${ofExchange} of those that ended`
  )
}

const judgeComposite = (proof: Proof, { account, books }: Run, held: PositionKeeper.HeldPosition | undefined): void => {
  const [world] = account.positions()
  const size = text(held?.size ?? Decimal.zero)
  const price = text(held?.liquidationPrice ?? Decimal.zero)
  const realised = text(held?.realisedPnl ?? Decimal.zero)
  proof.check(
    "the composite shows what the exchange has, and what the position has realised as its fills, fees and funding make it",
    size === world!.size && price === world!.liquidationPrice && realised === text(books.realised),
    `${size} contracts, liquidation at ${price}, ${realised} realised of ${text(books.realised)}`
  )
}

export const positions: Case = {
  name: "positions",
  proves:
    "Positions kept from fills, funding and marks alone equal the exchange's ledger and its pushes, to the last digit",
  run: Effect.fnUntraced(function*(proof) {
    const count = Proofs.sizeOf(proof, 1_200, 40_000)
    const layer = Account.layer(
      Exchange.memory,
      subject,
      { reconcile: { interval: null } },
      { seed: proof.seed, rate: 5, tickMillis: 10, pairs: ["BTC/USDT"] }
    )
    const body = Effect.gen(function*() {
      const { began, composite, run } = yield* play(proof.seed, count)
      judgePushes(proof, run)
      judgeBalance(proof, run, began)
      judgeComposite(proof, run, (yield* composite.positions).get(pair))
      for (const [name, value] of Object.entries(run.books.counts)) proof.figure(name, value)
    })
    yield* Account.run(Exchange.memory, layer, body, 10_000_000).pipe(
      Random.withSeed(proof.seed),
      Effect.provide(TestClock.layer()),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  })
}
