/** The request budgets of one exchange and account, shared by everything that spends them, so that none is split. */
import { Clock, Context, Duration, Effect, Semaphore } from "effect"
import { monotonicMillis } from "./domain/ClockTime.ts"
import type { ExchangeId } from "./domain/Instrument.ts"
import * as ExchangeError from "./ExchangeError.ts"

/** One share of a budget that a request uses up. */
export interface Use {
  /** Requests with the same name share the budget. */
  readonly budget: string
  readonly tokens: number
  /** Tokens in any window, wherever it begins. */
  readonly limit: number
  readonly window: Duration.Input
}

export interface BudgetState {
  readonly budget: string
  /** Tokens of the window of now that are used. */
  readonly used: number
  readonly limit: number
  /** Who waits for a turn. */
  readonly waiting: number
}

export class RateLimits extends Context.Service<RateLimits, {
  /**
   * Waits until every budget has room, in the order of asking. Fails with `RateLimited` when that would take longer than
   * `withinMs`; nothing is used up then.
   */
  readonly take: (uses: ReadonlyArray<Use>, withinMs: number) => Effect.Effect<void, ExchangeError.ExchangeError>
  /** The exchange asked to wait: nobody takes from these budgets for so long; from none, where all are throttled together. */
  readonly pause: (uses: ReadonlyArray<Use>, forMs: number) => Effect.Effect<void>
  readonly state: Effect.Effect<ReadonlyArray<BudgetState>>
}>()("effect-exchange/RateLimits") {}

/**
 * A sliding window: remembers when each token was used, so that no window of the exchange's length, wherever it begins,
 * holds more than the limit. A token bucket of the same rate lets twice the limit through in its first window.
 */
class Budget {
  readonly gate = Semaphore.makeUnsafe(1)
  readonly limit: number
  readonly windowMillis: number
  waiting = 0
  pausedUntil = 0
  /** When the newest tokens were used, ms, in a ring as long as the limit. */
  readonly #times: Float64Array
  #next = 0

  constructor(limit: number, windowMillis: number) {
    this.limit = limit
    this.windowMillis = windowMillis
    this.#times = new Float64Array(limit).fill(Number.NEGATIVE_INFINITY)
  }

  /** Milliseconds until so many tokens are free. */
  wait(tokens: number, now: number): number {
    // The token that has to be out of the window before `tokens` more may be used.
    const oldest = this.#times[(this.#next + tokens - 1) % this.limit]!
    return Math.max(0, this.pausedUntil - now, oldest + this.windowMillis - now)
  }

  use(tokens: number, now: number): void {
    for (let i = 0; i < tokens; i++) {
      this.#times[this.#next] = now
      this.#next = (this.#next + 1) % this.limit
    }
  }

  used(now: number): number {
    return this.#times.reduce((count, time) => time > now - this.windowMillis ? count + 1 : count, 0)
  }
}

/**
 * `pause`: the exchange throttles the address or the user, so a pause of one budget is one of all, and of everything else
 * that holds to it: until when, ms of the monotonic clock.
 */
export const make = (
  exchange: ExchangeId,
  { pause }: { readonly pause?: { until: number } | undefined } = {}
): Effect.Effect<RateLimits["Service"]> =>
  Effect.map(Clock.Clock, (clock) => {
    const budgets = new Map<string, Budget>()
    /** A machine's clock that is set opens no window and closes none. */
    const now = () => monotonicMillis(clock)
    /** Of every budget, those that nobody has used yet included. */
    const allPausedFor = (at: number): number => pause === undefined ? 0 : pause.until - at

    const budgetOf = ({ budget: name, limit, window }: Use): Budget => {
      let budget = budgets.get(name)
      if (budget === undefined) budgets.set(name, budget = new Budget(limit, Duration.toMillis(window)))
      return budget
    }

    const refused = (use: Use, retryAfterMs: number, detail: string) =>
      ExchangeError.make(exchange, new ExchangeError.RateLimited({ budget: use.budget, retryAfterMs, detail }))

    /** What a request uses of each budget, in one order for everybody, so that two requests cannot wait for each other. */
    const sharesOf = (uses: ReadonlyArray<Use>): ReadonlyArray<Use> => {
      const shares = new Map<string, Use>()
      for (const use of uses) {
        const { tokens = 0 } = shares.get(use.budget) ?? {}
        shares.set(use.budget, { ...use, tokens: tokens + use.tokens })
      }
      return [...shares.values()].sort((one, other) => one.budget < other.budget ? -1 : 1)
    }

    interface Share {
      readonly use: Use
      readonly budget: Budget
    }

    /** All at once, when every budget has room. */
    const turnOf = (shares: ReadonlyArray<Share>, deadline: number): Effect.Effect<void, ExchangeError.ExchangeError> =>
      Effect.suspend(() => {
        const at = now()
        const waits = shares.map(({ budget, use }) => Math.max(allPausedFor(at), budget.wait(use.tokens, at)))
        const wait = Math.max(0, ...waits)
        if (wait === 0 && at <= deadline) {
          return Effect.sync(() => {
            for (const { budget, use } of shares) budget.use(use.tokens, at)
          })
        }
        if (at + wait <= deadline) return Effect.andThen(Effect.sleep(wait), turnOf(shares, deadline))
        const { use } = shares[waits.indexOf(wait)]!
        return Effect.fail(refused(use, wait, `it would have been sent ${Math.ceil(at + wait - deadline)} ms too late`))
      })

    /** Waits behind those who came before, then runs. */
    const behind = (budget: Budget, run: Effect.Effect<void, ExchangeError.ExchangeError>) =>
      Effect.suspend(() => {
        budget.waiting++
        return Effect.ensuring(budget.gate.withPermits(1)(run), Effect.sync(() => budget.waiting--))
      })

    return RateLimits.of({
      take: (uses, withinMs) =>
        Effect.suspend(() => {
          const deadline = now() + withinMs
          const shares = sharesOf(uses).map((use): Share => ({ use, budget: budgetOf(use) }))
          const tooBig = shares.find(({ budget, use }) => use.tokens > budget.limit)
          if (tooBig !== undefined) {
            const { budget: { limit, windowMillis }, use } = tooBig
            return Effect.fail(refused(use, windowMillis, `one request of ${use.tokens} can never fit ${limit}`))
          }
          if (shares.length === 0) return Effect.void
          return shares.reduceRight((run, { budget }) => behind(budget, run), turnOf(shares, deadline))
        }),
      pause: (uses, forMs) =>
        Effect.sync(() => {
          if (pause !== undefined) pause.until = Math.max(pause.until, now() + forMs)
          for (const use of uses) {
            const budget = budgetOf(use)
            budget.pausedUntil = Math.max(budget.pausedUntil, now() + forMs)
          }
        }),
      state: Effect.sync(() =>
        [...budgets].map(([name, budget]) => ({
          budget: name,
          limit: budget.limit,
          waiting: budget.waiting,
          used: budget.used(now())
        }))
      )
    })
  })
