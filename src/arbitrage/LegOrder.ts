/**
 * One order of an execution, seen through to its end: sent once, its outcome found out however its answer was lost, and its
 * fills counted exactly. Nothing here fails: what cannot be found out in time ends as `unknown`.
 */
import { BigDecimal, Cause, Effect, Exit, Latch } from "effect"
import type { Clock } from "effect"
import type { Markets } from "../composite/Markets.ts"
import type { PrivateExchange } from "../composite/PrivateExchange.ts"
import type { Fill, Order } from "../domain/Account.ts"
import { isFinal } from "../domain/Account.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId } from "../domain/Instrument.ts"
import type { Departure, OrderEntry, Outcome } from "../OrderEntry.ts"
import { departing } from "../OrderEntry.ts"
import type { ExposureLedger } from "./ExposureLedger.ts"
import type { Moved, Plan } from "./Moved.ts"
import { newer, nothing, ofFills, quantityOf, soFar } from "./Moved.ts"
import type { RiskGuard } from "./RiskGuard.ts"

type Amount = Decimal.Decimal
type Account = PrivateExchange["Service"]

const { isZero, multiply } = BigDecimal

/**
 * - `filled`, `partial`, `unfilled`: it has ended so.
 * - `rejected`: the exchange has refused it, or it never left.
 * - `unknown`: nobody could tell in time whether it is in force.
 */
export type LegOutcome = "filled" | "partial" | "unfilled" | "rejected" | "unknown"

/** What became of an order. */
export interface Ended {
  readonly plan: Plan
  readonly outcome: LegOutcome
  /** As the exchange described it last; null when it never did. */
  readonly order: Order | null
  /** Base, before fees. */
  readonly filled: Amount
  /** Whether its answer was lost and had to be found out. */
  readonly wasUnknown: boolean
  /** Monotonic, ms. */
  readonly answeredAt: number
  /** Why it was refused, or what is not known; null when it has ended by itself. */
  readonly detail: string | null
}

export interface LegOptions {
  /** From sending until the end must be known, ms. */
  readonly settleMillis: number
  /** Behind the sending, an order that the exchange does not know has never arrived, ms. */
  readonly absentMillis: number
  /** From the end of an order until its fills must be there, ms. */
  readonly fillsMillis: number
}

/** Between two questions while nothing is told, ms. */
const askAgain = (attempt: number): number => Math.min(1_000, 50 * 2 ** Math.min(attempt, 5))

/** A question may take so long, ms. */
const questionMillis = 3_000

/** While the stream has not told an order's end, its account is looked at so often: it may have been built anew, ms. */
const lookMillis = 1_000

/** Fills that have not come in time are waited for so long, and read behind ever longer pauses, ms. */
const exactMillis = 3_600_000
const patient = (attempt: number): number => Math.min(60_000, 1_000 * 2 ** Math.min(attempt, 6))

/** An order that should have ended at once and has not is cancelled behind so many questions. */
const cancelBehind = 4

/** How often it must be absent before it counts as never arrived. */
const looks = 2

const outcomeOf = ({ quantity }: Plan, { filledQuantity, status }: Order): LegOutcome => {
  if (status === "rejected") return "rejected"
  if (isZero(filledQuantity)) return "unfilled"
  return BigDecimal.isLessThan(filledQuantity, quantity) ? "partial" : "filled"
}

/** It has ended as the exchange describes it. */
const endOf = (plan: Plan, order: Order, wasUnknown: boolean, answeredAt: number): Ended => {
  const filled = multiply(order.filledQuantity, plan.unit)
  return { plan, outcome: outcomeOf(plan, order), order, filled, wasUnknown, answeredAt, detail: order.finishedAs }
}

export class LegOrders {
  readonly #markets: Markets["Service"]
  readonly #guard: RiskGuard["Service"]
  readonly #ledger: ExposureLedger
  readonly #clock: Clock.Clock
  readonly #options: LegOptions
  /** By what they guard. */
  readonly #entries = new WeakMap<OrderEntry["Service"], OrderEntry["Service"]>()
  readonly #pending = new Map<string, Plan>()
  /** Of those that are being sent. */
  readonly #departures = new Map<Plan, Departure>()

  constructor(
    markets: Markets["Service"],
    guard: RiskGuard["Service"],
    ledger: ExposureLedger,
    clock: Clock.Clock,
    options: LegOptions
  ) {
    this.#markets = markets
    this.#guard = guard
    this.#ledger = ledger
    this.#clock = clock
    this.#options = options
  }

  /** Monotonic, ms. */
  get now(): number {
    return monotonicMillis(this.#clock)
  }

  /** Those that have been sent and may be in force; what still waits for its turn is none. */
  get pending(): ReadonlyArray<Plan> {
    return [...this.#pending.values()].filter((plan) =>
      this.#departures.get(plan)?.hasLeft !== false && !this.#ledger.hasEnded(plan)
    )
  }

  /** Every command passes the risk guard, whatever it is. */
  #entry({ orders }: Account): OrderEntry["Service"] {
    const known = this.#entries.get(orders)
    if (known !== undefined) return known
    const made = this.#guard.guarded(orders)
    this.#entries.set(orders, made)
    return made
  }

  /**
   * It may be in force until something else is known of it. Its end is taken from whoever tells it first: where an answer is
   * lost or late the stream does, and what the legs differ by is open until then.
   */
  #tracked(plan: Plan, ending: Effect.Effect<Ended>, wasUnknown: boolean): Effect.Effect<Ended> {
    const key = `${plan.exchange} ${plan.clientOrderId}`
    return Effect.suspend(() => {
      this.#pending.set(key, plan)
      return Effect.tap(
        Effect.raceFirst(ending, this.#told(plan, wasUnknown)),
        ({ outcome }) => Effect.sync(() => outcome === "unknown" ? false : this.#pending.delete(key))
      )
    })
  }

  /** Sends it and sees it through to its end; the guard has room for it. */
  send(plan: Plan): Effect.Effect<Ended> {
    return this.#tracked(plan, this.#send(plan), false)
  }

  #send(plan: Plan): Effect.Effect<Ended> {
    return Effect.suspend(() => {
      const account = this.#account(plan.exchange)
      if (account === null) return Effect.succeed(this.#refused(plan, false, this.now, "there is no account now"))
      const sentAt = this.now
      this.#ledger.expect(plan)
      const { clientOrderId, pair, price, quantity, side } = plan
      const request = { pair, side, quantity, price, type: "limit", timeInForce: "ioc", clientOrderId } as const
      const placing = departing((departure) => {
        this.#departures.set(plan, departure)
        return Effect.onExit(
          this.#entry(account).place(request),
          () => Effect.sync(() => this.#parted(plan, departure))
        )
      })
      return Effect.flatMap(Effect.exit(placing), (exit) => {
        const answeredAt = this.now
        if (Exit.isSuccess(exit)) return this.#judge(plan, exit.value.outcome, sentAt, answeredAt)
        const error = Cause.findErrorOption(exit.cause)
        // What fails has not left; a defect leaves everything open.
        return error._tag === "Some"
          ? Effect.succeed(this.#refused(plan, false, answeredAt, error.value.message))
          : this.#find(plan, sentAt, answeredAt, Cause.pretty(exit.cause))
      })
    })
  }

  /** What was cut short before it had left is not in force. */
  #parted(plan: Plan, { hasLeft }: Departure): void {
    this.#departures.delete(plan)
    if (hasLeft !== false) return
    this.#pending.delete(`${plan.exchange} ${plan.clientOrderId}`)
    this.#ledger.settle(plan)
  }

  /** What it has moved, from its fills as soon as all of them are told. */
  tally(ended: Ended): Effect.Effect<Moved> {
    return Effect.map(
      this.#whole(ended, this.#options.fillsMillis, askAgain),
      (moved) => moved ?? soFar(ended.plan, ended.order, this.#fills(ended.plan))
    )
  }

  /** From its fills alone, for an order that was counted by rate; null when they do not come within an hour. */
  exact(ended: Ended): Effect.Effect<Moved | null> {
    return this.#whole(ended, exactMillis, patient)
  }

  #whole(ended: Ended, withinMillis: number, pause: (attempt: number) => number): Effect.Effect<Moved | null> {
    const { filled, order, plan } = ended
    if (order === null || isZero(filled)) return Effect.succeed(nothing)
    const deadline = this.now + withinMillis
    const isWhole = (): boolean => !BigDecimal.isLessThan(quantityOf(this.#fills(plan)), order.filledQuantity)
    const step = (attempt: number): Effect.Effect<Moved | null> =>
      Effect.suspend(() => {
        if (isWhole()) return Effect.succeed(ofFills(plan, this.#fills(plan)))
        if (this.now >= deadline) return Effect.succeed(null)
        // What the stream has not told by then is read.
        const account = attempt < 3 ? null : this.#account(plan.exchange)
        const read = account === null
          ? Effect.void
          : Effect.timeoutOption(Effect.ignore(account.refresh), questionMillis)
        return Effect.andThen(read, Effect.andThen(this.#heard(plan, isWhole, pause(attempt)), step(attempt + 1)))
      })
    return step(0)
  }

  /** Asks on for what was not known in time, until the exchange tells it. */
  findLater(plan: Plan): Effect.Effect<Ended> {
    const again: Effect.Effect<Ended> = Effect.suspend(() =>
      Effect.flatMap(
        this.#find(plan, this.now, this.now, "asked on"),
        (ended) =>
          ended.outcome === "unknown" ? Effect.andThen(Effect.sleep(questionMillis), again) : Effect.succeed(ended)
      )
    )
    return this.#tracked(plan, again, true)
  }

  #account(exchange: ExchangeId): Account | null {
    return this.#markets.current(exchange)?.account ?? null
  }

  /** What an answer has told counts at once. */
  #note({ clientOrderId, exchange }: Plan, order: Order | null): void {
    this.#ledger.see(exchange, clientOrderId, order, [])
  }

  /** What accounts know of orders that more is expected of counts. */
  look(): void {
    for (const { clientOrderId, exchange } of this.#ledger.expected) {
      const known = this.#account(exchange)?.order(clientOrderId)
      if (known !== undefined) this.#ledger.see(exchange, clientOrderId, known.order, known.fills)
    }
  }

  #fills({ clientOrderId, exchange }: Plan): ReadonlyArray<Fill> {
    return this.#account(exchange)?.order(clientOrderId)?.fills ?? []
  }

  #refused(plan: Plan, wasUnknown: boolean, answeredAt: number, detail: string): Ended {
    return { plan, outcome: "rejected", order: null, filled: Decimal.zero, wasUnknown, answeredAt, detail }
  }

  #unknown(plan: Plan, order: Order | null, answeredAt: number, detail: string): Ended {
    const filled = order === null ? Decimal.zero : multiply(order.filledQuantity, plan.unit)
    return { plan, outcome: "unknown", order, filled, wasUnknown: true, answeredAt, detail }
  }

  #judge(
    plan: Plan,
    outcome: Outcome<Order>,
    sentAt: number,
    answeredAt: number,
    wasUnknown = false
  ): Effect.Effect<Ended> {
    switch (outcome._tag) {
      case "Rejected": {
        const { code, detail } = outcome.reason
        return Effect.succeed(this.#refused(plan, wasUnknown, answeredAt, `${code}: ${detail}`))
      }
      case "Accepted":
        return this.#follow(plan, outcome.value, sentAt, answeredAt, wasUnknown)
      case "Unknown":
        return Effect.exit(Effect.timeoutOption(outcome.resolved, this.#left(sentAt))).pipe(
          Effect.flatMap((exit) =>
            Exit.isSuccess(exit) && exit.value._tag === "Some"
              ? this.#judge(plan, exit.value.value, sentAt, answeredAt, true)
              : this.#find(plan, sentAt, answeredAt, outcome.cause.message)
          )
        )
    }
  }

  /** As soon as the account has heard of its end; never, when it does not. */
  #told(plan: Plan, wasUnknown: boolean): Effect.Effect<Ended> {
    const last = (): Order | null => this.#account(plan.exchange)?.order(plan.clientOrderId)?.order ?? null
    const hasEnded = (): boolean => isFinal(last()?.status ?? "new")
    const again: Effect.Effect<Ended> = Effect.suspend(() =>
      hasEnded()
        ? Effect.succeed(endOf(plan, last()!, wasUnknown, this.now))
        : Effect.andThen(this.#heard(plan, hasEnded, lookMillis), again)
    )
    return again
  }

  #left(sentAt: number): number {
    return Math.max(0, sentAt + this.#options.settleMillis - this.now)
  }

  /** It was accepted: it ends at once, and tells so by the stream, or when it is asked. */
  #follow(plan: Plan, first: Order, sentAt: number, answeredAt: number, wasUnknown: boolean): Effect.Effect<Ended> {
    let order: Order = first
    this.#note(plan, first)
    const hasEnded = (): boolean => {
      order = newer(order, this.#account(plan.exchange)?.order(plan.clientOrderId)?.order)
      return isFinal(order.status)
    }
    const step = (attempt: number): Effect.Effect<Ended> =>
      Effect.suspend(() => {
        if (hasEnded()) return Effect.succeed(endOf(plan, order, wasUnknown, answeredAt))
        if (this.#left(sentAt) === 0) {
          return Effect.succeed(this.#unknown(plan, order, answeredAt, "it was accepted, and its end was not told"))
        }
        const ask = attempt === 0 ? Effect.void : Effect.map(this.#ask(plan, attempt === cancelBehind), (found) => {
          this.#note(plan, found ?? null)
          order = newer(order, found)
        })
        return Effect.andThen(ask, Effect.andThen(this.#heard(plan, hasEnded, askAgain(attempt)), step(attempt + 1)))
      })
    return step(0)
  }

  /** Its answer is lost for good: the exchange is asked by its id until it tells, or must have got it by now. */
  #find(plan: Plan, sentAt: number, answeredAt: number, detail: string): Effect.Effect<Ended> {
    const step = (attempt: number, absent: number): Effect.Effect<Ended> =>
      Effect.gen({ self: this }, function*() {
        const asked = this.now
        const found = yield* this.#ask(plan, false)
        if (found) return yield* this.#follow(plan, found, sentAt, answeredAt, true)
        const isAbsent = found === null && asked - sentAt > this.#options.absentMillis
        const times = absent + (isAbsent ? 1 : 0)
        if (times >= looks) {
          this.#guard.forget(plan.exchange, plan.clientOrderId)
          return this.#refused(plan, true, answeredAt, `it never arrived: ${detail}`)
        }
        if (this.#left(sentAt) === 0) return this.#unknown(plan, null, answeredAt, detail)
        yield* Effect.sleep(askAgain(attempt))
        return yield* step(attempt + 1, times)
      })
    return step(0, 0)
  }

  /** Null: the exchange has no such order. Undefined: it did not say. */
  #ask({ clientOrderId, exchange, pair }: Plan, cancels: boolean): Effect.Effect<Order | null | undefined> {
    const account = this.#account(exchange)
    if (account === null) return Effect.succeed(undefined)
    const ref = { pair, clientOrderId }
    const entry = this.#entry(account)
    const cancel = cancels ? Effect.ignore(entry.cancel(ref)) : Effect.void
    return Effect.andThen(cancel, entry.get(ref)).pipe(
      Effect.timeoutOption(questionMillis),
      Effect.match({
        onFailure: () => undefined,
        onSuccess: (found) => found._tag === "Some" ? found.value : undefined
      })
    )
  }

  /** Waits until it holds, for so long at most; looks whenever something is told of the order. */
  #heard({ clientOrderId, exchange }: Plan, holds: () => boolean, millis: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const account = this.#account(exchange)
      if (account === null) return Effect.sleep(millis)
      const latch = Latch.makeUnsafe(false)
      const listen = account.onEvent((event) => {
        const isOurs = (event._tag === "OrderUpdate" || event._tag === "Fill") && event.clientOrderId === clientOrderId
        if (isOurs && holds()) latch.openUnsafe()
      })
      return Effect.scoped(Effect.andThen(listen, Effect.suspend(() => holds() ? Effect.void : latch.await))).pipe(
        Effect.timeoutOption(millis),
        Effect.asVoid
      )
    })
  }
}
