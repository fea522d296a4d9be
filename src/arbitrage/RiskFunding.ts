/**
 * Funding of the positions of the accounts that the guard follows: pushed, or read from the exchange's own history behind each
 * comparison of the account, so that what falls due while its stream is away counts too, and each payment once; what was paid
 * before the account was followed first, by the exchange's clock, is no part of it. In the quote of
 * perpetuals it is profit or loss, in another asset nobody here can value it. Which assets are quotes the list of instruments
 * says; what is told before that has been read waits for it, so that the order in which they come decides nothing.
 */
import type { Cause, Clock } from "effect"
import { BigDecimal, Effect } from "effect"
import type { Island } from "../composite/Markets.ts"
import type { PrivateExchange } from "../composite/PrivateExchange.ts"
import type { Balance, FundingPayment } from "../domain/Account.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import { partsOf } from "../domain/Instrument.ts"
import type { ClockReading } from "../ExchangeClock.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import { errorOf } from "./Freshness.ts"

/** Received; negative: paid. */
export interface Funded {
  readonly asset: string
  readonly amount: Decimal.Decimal
  readonly isQuote: boolean
}

/** Whether contracts of a pair are settled in its quote. */
export const isLinear = (pair: TradingPair): boolean => {
  const { quote, settle } = partsOf(pair)
  return settle === quote
}

/** By which a payment is known again that two sessions of an account tell; null where the exchange does not say enough of it. */
export const keyOf = ({ asset, change, exchangeTime, total }: Balance): string | null =>
  change === null || total === null || exchangeTime === null
    ? null
    : `funding ${asset} ${exchangeTime} ${Decimal.toText(change)} ${Decimal.toText(total)}`

/** On both clocks, ms: the monotonic one stands still while the machine sleeps, and wall time jumps when it is set. */
export interface Moment {
  readonly monotonic: number
  readonly wall: number
}

const momentOf = (clock: Clock.Clock): Moment => ({
  monotonic: monotonicMillis(clock),
  wall: clock.currentTimeMillisUnsafe()
})

/** By the clock that says more, ms. */
const elapsed = (from: Moment, to: Moment): number => Math.max(to.monotonic - from.monotonic, to.wall - from.wall)

/** Payments that look alike: of one amount, and of about one time. Nothing that a push and the history both tell says more. */
interface Alike {
  readonly asset: string
  readonly amount: Decimal.Decimal
  /** The exchange's, of the first of them, ms. */
  readonly time: number
  /** When the first of them was told, monotonic, ms. */
  readonly since: number
  pushed: number
  /** In the history. */
  listed: number
  /** Of those: from before anything was counted. */
  before: number
  counted: number
}

/** The exchange's time from which payments count, ms, as exactly as it is known. */
export interface Beginning {
  readonly earliest: number
  readonly latest: number
}

/** The history has whole seconds, ms. */
const stampMillis = 1_000

/** Whether it is from before all that counts. In doubt what was received is, and what was paid is not: no loss is left out. */
const isBefore = ({ amount, exchangeTime }: FundingPayment, { earliest, latest }: Beginning): boolean =>
  BigDecimal.isNegative(amount) ? exchangeTime + stampMillis <= earliest : exchangeTime < latest

/**
 * So far apart may the times be that a push and the history tell of one payment, ms: when it fell due, or when it was paid. Funding
 * falls due an hour apart at the least.
 */
const sameMillis = 10 * 60_000

/** What the history tells late is read again, ms. */
const overlapMillis = 10 * 60_000

/** How far back it is read first at the least, and payments are told apart, ms: further than any reading begins before the last one. */
const rememberedMillis = 60 * 60_000

/** Of one exchange. Plain and synchronous. */
export class FundingCount {
  readonly #onFunded: (funded: Funded) => void
  readonly #since: Moment
  /** By asset and amount. */
  readonly #alike = new Map<string, ReadonlyArray<Alike>>()
  /** Null while nobody knows them. */
  #quotes: ReadonlySet<string> | null = null
  #waiting: Array<Omit<Funded, "isQuote">> = []
  /** When the last reading of the history began; null before the first. */
  #readAt: Moment | null = null
  /** Exchange's, ms: what is from before it has been told apart, and is not remembered any more. */
  #forgottenTo = Number.NEGATIVE_INFINITY

  /** `since`: when it began to be told. */
  constructor(onFunded: (funded: Funded) => void, since: Moment) {
    this.#onFunded = onFunded
    this.#since = since
  }

  /** Whether something waits to be counted. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0
  }

  /** How far back the history has to be read now, ms. */
  within(now: Moment): number {
    return this.#readAt === null
      ? Math.max(rememberedMillis, elapsed(this.#since, now) + overlapMillis)
      : elapsed(this.#readAt, now) + overlapMillis
  }

  /** The stream tells of one; `now` is monotonic, ms. */
  push({ asset, change, exchangeTime }: Balance, now: number): void {
    if (change === null) return
    if (exchangeTime === null) return this.#count({ asset, amount: change })
    const alike = this.#of(asset, change, exchangeTime, now)
    alike.pushed++
    this.#settle(alike)
  }

  /** What a reading has found that began at `now`. */
  read(payments: ReadonlyArray<FundingPayment>, now: Moment, beginning: Beginning): void {
    const found = new Map<Alike, { listed: number; before: number }>()
    for (const payment of payments) {
      const { amount, asset, exchangeTime } = payment
      // A clock that was set makes it be read from further back than what is remembered.
      if (exchangeTime < this.#forgottenTo) continue
      const alike = this.#of(asset, amount, exchangeTime, now.monotonic)
      const { before, listed } = found.get(alike) ?? { listed: 0, before: 0 }
      found.set(alike, { listed: listed + 1, before: before + (isBefore(payment, beginning) ? 1 : 0) })
    }
    for (const [alike, { before, listed }] of found) {
      alike.listed = Math.max(alike.listed, listed)
      alike.before = Math.max(alike.before, before)
      this.#settle(alike)
    }
    this.#readAt = now
    this.#forget(now.monotonic - rememberedMillis)
  }

  /** The exchange lists these. */
  list(pairs: Iterable<TradingPair>): void {
    this.#quotes = new Set([...pairs].flatMap((pair) => isLinear(pair) ? [partsOf(pair).quote] : []))
    const waiting = this.#waiting
    this.#waiting = []
    for (const one of waiting) this.#count(one)
  }

  #of(asset: string, amount: Decimal.Decimal, time: number, now: number): Alike {
    const key = `${asset} ${Decimal.toText(amount)}`
    const all = this.#alike.get(key) ?? []
    const found = all.find((one) => Math.abs(one.time - time) < sameMillis)
    if (found !== undefined) return found
    const made: Alike = { asset, amount, time, since: now, pushed: 0, listed: 0, before: 0, counted: 0 }
    this.#alike.set(key, [...all, made])
    return made
  }

  #forget(before: number): void {
    for (const [key, all] of this.#alike) {
      const left = all.filter(({ since }) => since >= before)
      for (const { since, time } of all) {
        if (since < before) this.#forgottenTo = Math.max(this.#forgottenTo, time + sameMillis)
      }
      if (left.length === 0) this.#alike.delete(key)
      else if (left.length < all.length) this.#alike.set(key, left)
    }
  }

  #settle(alike: Alike): void {
    const { amount, asset, before, listed, pushed } = alike
    for (; alike.counted < Math.max(pushed, listed - before); alike.counted++) this.#count({ asset, amount })
  }

  #count(payment: Omit<Funded, "isQuote">): void {
    if (this.#quotes === null) this.#waiting.push(payment)
    else this.#onFunded({ ...payment, isQuote: this.#quotes.has(payment.asset) })
  }
}

/** By how much the clocks differ at most while that has not been measured, ms: nothing is signed beyond it. */
const unmeasured: Omit<ClockReading, "at"> = { offsetMs: 0, errorMs: 30_000 }

/** The exchange's time, so many ms ago. */
const exchangeTimeOf = (reading: ClockReading | null, now: number, agoMillis: number): Beginning => {
  const { offsetMs } = reading ?? unmeasured
  const error = reading === null ? unmeasured.errorMs : errorOf(reading, now)
  const at = now - offsetMs - agoMillis
  return { earliest: at - error, latest: at + error }
}

/**
 * The exchange's time at `since`. It is found once, by the first measurement of the exchange's clock that is known then or behind it,
 * and stays: what is reckoned back later goes wrong by all that the machine has slept and by which its clock was set.
 */
class FundingStart {
  readonly #since: Moment
  #found: Beginning | null = null
  #isMeasured = false

  constructor(since: Moment) {
    this.#since = since
  }

  /** A measurement that is known now. */
  measured(reading: ClockReading | null, now: Moment): void {
    if (reading !== null) this.beginning(reading, now)
  }

  /** Until it is measured it only grows wider: what counted once is never from before. */
  beginning(reading: ClockReading | null, now: Moment): Beginning {
    if (this.#found !== null && this.#isMeasured) return this.#found
    const { monotonic, wall } = this.#since
    const all = [
      exchangeTimeOf(reading, wall, 0),
      exchangeTimeOf(reading, now.wall, now.monotonic - monotonic),
      ...this.#found === null ? [] : [this.#found]
    ]
    this.#found = {
      earliest: Math.min(...all.map(({ earliest }) => earliest)),
      latest: Math.max(...all.map(({ latest }) => latest))
    }
    this.#isMeasured = reading !== null
    return this.#found
  }
}

export interface FundingOptions {
  readonly clock: Clock.Clock
  readonly fork: (effect: Effect.Effect<void>) => void
  readonly onFunded: (exchange: ExchangeId, funded: Funded) => void
}

interface FundingAccount {
  readonly count: FundingCount
  readonly start: FundingStart
  /** The comparison of the account behind which the history was read; null while it has to be. */
  readFor: { readonly island: Island; readonly reconciledAt: number } | null
  /** `none`: the account has no positions. `never`: it has, and the exchange has no history. */
  history: "unread" | "read" | "none" | "never"
  isReading: boolean
  /** Monotonic, ms. */
  retryAt: number
}

/** How long reading the history may take, and when it is tried again. */
const readTimeout = "30 seconds"
const retryMillis = 10_000

const isUnsupported = (error: ExchangeError | Cause.TimeoutError): boolean =>
  error._tag === "ExchangeError" && error.reason._tag === "UnsupportedChannel"

export class RiskFunding {
  readonly #options: FundingOptions
  readonly #accounts = new Map<ExchangeId, FundingAccount>()

  constructor(options: FundingOptions) {
    this.#options = options
  }

  #of(exchange: ExchangeId): FundingAccount {
    const found = this.#accounts.get(exchange)
    if (found !== undefined) return found
    const since = momentOf(this.#options.clock)
    const count = new FundingCount((funded) => this.#options.onFunded(exchange, funded), since)
    const start = new FundingStart(since)
    const made: FundingAccount = { count, start, readFor: null, history: "unread", isReading: false, retryAt: 0 }
    this.#accounts.set(exchange, made)
    return made
  }

  /** Its account is followed: what is paid from now on counts. A second time does not move that. `reading`: of the exchange's clock. */
  begin(exchange: ExchangeId, reading: ClockReading | null): void {
    this.#of(exchange).start.measured(reading, momentOf(this.#options.clock))
  }

  /** Whether all that fell due up to the last comparison of the account is counted. */
  isKnown(exchange: ExchangeId): boolean {
    const account = this.#accounts.get(exchange)
    return account === undefined || account.history === "none" || account.history === "read"
  }

  isWaiting(exchange: ExchangeId): boolean {
    return this.#accounts.get(exchange)?.count.isWaiting === true
  }

  push(exchange: ExchangeId, balance: Balance): void {
    this.#of(exchange).count.push(balance, monotonicMillis(this.#options.clock))
  }

  /** What the exchange lists; of no concern where none of its accounts is followed. */
  list(exchange: ExchangeId, pairs: Iterable<TradingPair>): void {
    this.#accounts.get(exchange)?.count.list(pairs)
  }

  /** Reads the history when the account has been compared since it was read last; `reconciledAt` null: it is not, since a break. */
  catchUp(island: Island, account: PrivateExchange["Service"], reconciledAt: number | null): void {
    const of = this.#of(island.exchange)
    of.start.measured(island.market.clock(), momentOf(this.#options.clock))
    const isOther = of.readFor?.island !== island
    if (of.history === "read" && (isOther || reconciledAt === null)) of.history = "unread"
    if (reconciledAt === null || !this.#mayRead(of) || (!isOther && of.readFor?.reconciledAt === reconciledAt)) return
    of.isReading = true
    const read = this.#read(of, island, account, reconciledAt)
    this.#options.fork(Effect.ensuring(
      read,
      Effect.sync(() => {
        of.isReading = false
      })
    ))
  }

  #mayRead({ history, isReading, retryAt }: FundingAccount): boolean {
    const hasHistory = history !== "none" && history !== "never"
    return hasHistory && !isReading && monotonicMillis(this.#options.clock) >= retryAt
  }

  readonly #read = Effect.fnUntraced({ self: this }, function*(
    this: RiskFunding,
    of: FundingAccount,
    island: Island,
    account: PrivateExchange["Service"],
    reconciledAt: number
  ) {
    const { exchange } = island
    const now = momentOf(this.#options.clock)
    const found = yield* Effect.result(Effect.timeout(account.funding(of.count.within(now)), readTimeout))
    if (found._tag === "Success") {
      const beginning = of.start.beginning(island.market.clock(), momentOf(this.#options.clock))
      of.count.read(found.success, now, beginning)
      of.history = "read"
      of.readFor = { island, reconciledAt }
      return
    }
    const error = found.failure
    if (isUnsupported(error)) return yield* this.#give(of, island, account)
    of.retryAt = now.monotonic + retryMillis
    const detail = error._tag === "ExchangeError" ? error.message : "no answer in time"
    yield* Effect.logWarning(
      `funding on ${exchange} that fell due while its stream was away is not known yet: ${detail}`
    )
  })

  readonly #give = Effect.fnUntraced({ self: this }, function*(
    this: RiskFunding,
    of: FundingAccount,
    { exchange }: Island,
    account: PrivateExchange["Service"]
  ) {
    const held = yield* Effect.result(Effect.timeout(account.heldPositions, readTimeout))
    if (held._tag === "Failure" && !isUnsupported(held.failure)) {
      of.retryAt = monotonicMillis(this.#options.clock) + retryMillis
      return
    }
    of.history = held._tag === "Success" ? "never" : "none"
    if (of.history === "none") return
    yield* Effect.logWarning(
      `${exchange} has no history of funding: what falls due while its stream is away is in no figure`
    )
  })
}
