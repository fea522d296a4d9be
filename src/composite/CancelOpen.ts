/** Cancels what is open on an account when the program ends, and counts what that has cancelled. */
import { Effect } from "effect"
import type { Order } from "../domain/Account.ts"
import { isFinal } from "../domain/Account.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type * as ExchangeError from "../ExchangeError.ts"
import type { TrackedOrder } from "./OrderTracker.ts"
import type { PrivateExchange } from "./PrivateExchange.ts"

type Account = Pick<PrivateExchange["Service"], "openOrders" | "order" | "orders">

const isInForce = ({ state }: TrackedOrder): boolean => state._tag === "Open" || state._tag === "Canceling"

const nameOf = ({ orderId, symbol }: Order): string => `${symbol} ${orderId}`

const isCanceled = ({ status }: Order): boolean => status === "canceled" || status === "partiallyCanceled"

/** What does not rest is cancelled by the exchange itself. */
const rests = ({ timeInForce, type }: Order): boolean =>
  type !== "market" && timeInForce !== "ioc" && timeInForce !== "fok"

/** A cancel whose answer is lost is sent again behind so long, unless it is known by then to have been carried out, ms. */
const cancelAgain = 250

/** Its stream or its answer tells at once of an order that a cancel has ended; the exchange is asked behind so long, and then behind twice as long, ms. */
const askAfter = 250

/** Between two questions for the same order, ms. */
const longestAsk = 1_000

/** What the exchange has said of an order whose cancel it has accepted, when it was asked. */
type Word = "nothing" | "open" | "ended"

export const unanswered = "the exchange did not answer in time"

const problems: Readonly<Record<Word, string>> = {
  nothing: unanswered,
  open: "the exchange has accepted to cancel what it says is open",
  ended: "the exchange does not say how orders have ended that it lists no more"
}

/** Refusals that another attempt may not meet. */
const mayPass: ReadonlySet<ExchangeError.AnswerClass> = new Set(["rateLimit", "retryable"])

type Canceled =
  | { readonly _tag: "Done" }
  | { readonly _tag: "Lost"; readonly detail?: string }
  | { readonly _tag: "Refused"; readonly detail: string }

const again = (detail?: string): Effect.Effect<Canceled> =>
  Effect.as(Effect.sleep(cancelAgain), { _tag: "Lost", ...(detail === undefined ? {} : { detail }) })

export class CancelOpen {
  readonly #account: Account
  /** Whether nothing more is told of orders that were there before. */
  readonly #isAsked: () => boolean
  /** Everything that a cancel was sent for. */
  readonly #seen = new Set<string>()
  /** Why it was not cancelled at once, for good or for the moment, or could not be asked for. */
  readonly #failed = new Set<string>()
  /** In force when they were cancelled, and not said to be so since: what that has ended is told by its answer or by the stream. */
  readonly #canceled = new Set<string>()
  readonly #tried = new Set<string>()
  /** Pairs whose orders stay as they are, and why. */
  readonly #refused = new Map<TradingPair | null, string>()
  /** In force when a cancel of them was accepted. */
  readonly #accepted = new Map<string, Word>()
  /** What answers have named as cancelled. */
  readonly #named = new Set<string>()

  constructor(account: Account, isAsked: () => boolean) {
    this.#account = account
    this.#isAsked = isAsked
  }

  /**
   * Cancels until nothing is open any more: what comes into force behind a cancel, or is told only then, by another one, and
   * so is what a cancel has left whose answer was lost. Where an accepted one has left something open, as when the stream tells
   * nothing, the exchange is asked. Why the exchange has refused some of it; the others are cancelled all the same.
   */
  readonly run: Effect.Effect<ReadonlyArray<string>> = Effect.suspend(() => Effect.raceFirst(this.#round, this.#ask))

  readonly #round: Effect.Effect<ReadonlyArray<string>> = Effect.suspend(() => {
    const open = this.#open()
    if (open.length === 0 && this.#isAsked()) {
      return Effect.succeed([...new Set(this.#refused.values())])
    }
    const due = open.filter((order) => this.#isDue(order))
    for (const order of due) {
      this.#seen.add(order.key)
      this.#tried.add(order.key)
      if (isInForce(order)) this.#canceled.add(order.key)
    }
    if (due.length === 0) return Effect.andThen(Effect.sleep(20), this.#round)
    const cancels = Effect.forEach(
      new Set(due.map(({ pair }) => pair)),
      (pair) => Effect.map(this.#cancel(pair), (result) => this.#take(result, pair, due)),
      { concurrency: 4, discard: true }
    )
    return Effect.andThen(cancels, this.#round)
  })

  /** How many orders it has cancelled so far. */
  canceled(): number {
    const names = new Set(this.#named)
    for (const key of this.#seen) {
      const order = this.#account.order(key)?.order ?? null
      if (order !== null && isCanceled(order) && rests(order)) names.add(nameOf(order))
    }
    return names.size
  }

  /** What stands in the way when its time is over. */
  problems(): ReadonlyArray<string> {
    const words = new Set(this.#open().map(({ key }) => this.#accepted.get(key) ?? "nothing"))
    return [...[...words].map((word) => problems[word]), ...this.#failed]
  }

  #open(): ReadonlyArray<TrackedOrder> {
    return this.#account.openOrders().filter(({ pair }) => !this.#refused.has(pair))
  }

  #isDue(order: TrackedOrder): boolean {
    return isInForce(order) ? !this.#canceled.has(order.key) : !this.#tried.has(order.key)
  }

  #take(result: Canceled, pair: TradingPair | null, due: ReadonlyArray<TrackedOrder>): void {
    if (result._tag === "Refused") this.#refused.set(pair, result.detail)
    if (result._tag !== "Done" && result.detail !== undefined) this.#failed.add(result.detail)
    for (const { key, pair: of } of due) {
      if (of !== pair) continue
      if (result._tag === "Done" && this.#canceled.has(key) && !this.#accepted.has(key)) {
        this.#accepted.set(key, "nothing")
      }
      if (result._tag !== "Lost") continue
      this.#canceled.delete(key)
      this.#tried.delete(key)
    }
  }

  readonly #ask: Effect.Effect<never> = Effect.gen({ self: this }, function*() {
    for (let pause = askAfter;; pause = Math.min(2 * pause, longestAsk)) {
      yield* Effect.sleep(pause)
      const left = this.#open().filter((order) => isInForce(order) && this.#accepted.has(order.key))
      yield* Effect.forEach(
        new Set(left.map(({ pair }) => pair)),
        (pair) => pair === null ? Effect.void : this.#askFor(pair, left.filter((order) => order.pair === pair)),
        { concurrency: 4, discard: true }
      )
    }
  })

  /** Which of these are in force, and how the others have ended. */
  #askFor(pair: TradingPair, orders: ReadonlyArray<TrackedOrder>): Effect.Effect<void> {
    return this.#account.orders.openOrders(pair).pipe(
      Effect.flatMap((listed) => {
        const names = new Set(listed.map(nameOf))
        const isListed = ({ order }: TrackedOrder): boolean => order !== null && names.has(nameOf(order))
        for (const order of orders) if (isListed(order)) this.#stands(order.key)
        const others = orders.filter((order) => !isListed(order))
        return Effect.forEach(others, (order) => this.#askEnd(pair, order), { concurrency: 4, discard: true })
      }),
      Effect.catch(({ message }) => Effect.sync(() => void this.#failed.add(message)))
    )
  }

  /** How one that is not in force has ended. */
  readonly #askEnd = Effect.fnUntraced({ self: this }, function*(
    this: CancelOpen,
    pair: TradingPair,
    { fills, key, order }: TrackedOrder
  ) {
    const told = order ?? fills[0]
    if (told === undefined) return
    this.#accepted.set(key, "ended")
    const trigger = order !== null && order.triggerPrice !== null ? true : undefined
    const found = yield* this.#account.orders.get({ pair, orderId: told.orderId, trigger })
    if (found !== null && !isFinal(found.status)) this.#stands(key)
  })

  /** It is cancelled once more. */
  #stands(key: string): void {
    this.#accepted.set(key, "open")
    this.#canceled.delete(key)
  }

  readonly #done = (orders: ReadonlyArray<Order>): Canceled => {
    for (const order of orders) if (isCanceled(order)) this.#named.add(nameOf(order))
    return { _tag: "Done" }
  }

  /** One call for each pair: MEXC takes no other, and Gate's own call for all would take other programs' orders too. */
  #cancel(pair: TradingPair | null): Effect.Effect<Canceled> {
    if (pair === null) return Effect.succeed({ _tag: "Done" })
    return Effect.matchEffect(this.#account.orders.cancelAll(pair), {
      // Too many requests, or an exchange that is away for a moment: nothing was cancelled, and it may be soon.
      onFailure: (error): Effect.Effect<Canceled> =>
        error.isTransient ? again(error.message) : Effect.succeed({ _tag: "Refused", detail: error.message }),
      onSuccess: (outcome) => {
        if (outcome._tag === "Accepted") return Effect.sync(() => this.#done(outcome.value))
        if (outcome._tag === "Rejected") {
          if (mayPass.has(outcome.reason.class)) return again(outcome.reason.detail)
          return Effect.succeed<Canceled>({ _tag: "Refused", detail: outcome.reason.detail })
        }
        // The exchange is asked which of its orders are open; one that has never arrived has cancelled none of them.
        const known = Effect.matchEffect(outcome.resolved, {
          onFailure: () => again(),
          onSuccess: (resolved) =>
            resolved._tag === "Accepted" ? Effect.sync(() => this.#done(resolved.value)) : again()
        })
        return Effect.raceFirst(known, again())
      }
    })
  }
}
