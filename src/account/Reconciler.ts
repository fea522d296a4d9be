/** Reads an account over REST and brings it together with what the stream has told. */
import type { Clock } from "effect"
import { Duration, Effect } from "effect"
import type { AccountCalls, OnUnreadable } from "../AccountAdapter.ts"
import type { Fill, Order } from "../domain/Account.ts"
import { isSince } from "../domain/Account.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { ExchangeId, InstrumentOf, TradingPair } from "../domain/Instrument.ts"
import type { PrivateTag } from "../domain/PrivateChannel.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { ReconcileCoverage } from "../PrivateWebsocket.ts"
import type { Ledger, Reading } from "./Ledger.ts"
import type { PrivateCounters } from "./PrivateCounters.ts"
import type { Symbols } from "./Symbols.ts"

export interface ReconcilerOptions {
  readonly exchange: ExchangeId
  readonly calls: AccountCalls
  readonly ledger: Ledger
  readonly counters: PrivateCounters
  readonly clock: Clock.Clock
  /** The exchange's clock, ms. */
  readonly now: Effect.Effect<number, ExchangeError>
  /** By how much that may be wrong, ms. */
  readonly clockError: Effect.Effect<number>
  /** Null: the exchange needs none. */
  readonly symbols: Symbols | null
  readonly instrumentOf: InstrumentOf
  readonly wanted: () => ReadonlySet<PrivateTag>
  /** Fills since so long before it was made are events too. */
  readonly lookback: Duration.Input
  /**
   * The stream should have brought something that is so many ms old, and did not. Called before it is delivered, where it
   * is not yet.
   */
  readonly onLapse: (channel: PrivateTag, ageMillis: number) => void
  /** For how long the stream should have brought everything, ms; null when it is not up. */
  readonly upForMillis: () => number | null
}

export interface Reconciler {
  /** Compares everything that is wanted. Not to be run twice at once. */
  readonly run: Effect.Effect<void, ExchangeError>
  /** Reads the time from which on fills are events: that at which it was made, by the exchange's clock. */
  readonly start: Effect.Effect<void, ExchangeError>
  readonly coverage: () => ReconcileCoverage
}

/** Of what an exchange shows late over REST, so much is read again, ms. */
const overlapMillis = 60_000

/** A push may be under way for so long, ms; what is missing for longer was not sent. */
const underwayMillis = 10_000

/** How long an order must be unknown before it counts as ended, ms: a reading may come from a copy that lags. */
const vanishedMillis = 5_000

/** A symbol that the exchange refuses is left out for so long, ms, and then tried again. */
const brokenMillis = 10 * 60_000

export const make = (options: ReconcilerOptions): Reconciler => {
  const { calls, clock, counters, ledger, symbols } = options
  /** Orders that the exchange does not know, and since when, ms. */
  const vanished = new Map<string, number>()
  /** Orders of which only fills were read: they came and went while the stream was away. By symbol and id. */
  const strangers = new Map<string, Pick<Order, "orderId" | "symbol">>()
  /** Refused symbols, and until when they are left out, ms. */
  const broken = new Map<string, number>()
  let floor: number | null = null
  let coveredUntil: number | null = null
  let lastAt: number | null = null
  /** Read while the stream was there, and not pushed yet. */
  let awaited: ReadonlyArray<Fill> = []

  const millis = (): number => clock.currentTimeMillisUnsafe()

  const monotonic = (): number => monotonicMillis(clock)

  /** Orders may leave from here on, long before the exchange's time is known or the stream is there. */
  const madeAt = monotonic()

  const start = Effect.suspend(() => {
    if (floor !== null) return Effect.void
    return Effect.gen(function*() {
      const now = yield* options.now
      const since = monotonic() - madeAt + Duration.toMillis(options.lookback)
      // Rather one fill too many than one too few; and the exchange may tell whole milliseconds only.
      floor ??= Math.floor(now - (yield* options.clockError) - since)
    })
  })

  const isRead = (symbol: string): boolean => millis() >= (broken.get(symbol) ?? 0)

  interface Found<A> {
    readonly rows: ReadonlyArray<A>
    /** Symbols that were asked for and not answered, and rows that cannot be read: what is not among `rows` may be there. */
    readonly failures: ReadonlyArray<ExchangeError>
    /** Null: of all. */
    readonly covered: ReadonlySet<string> | null
  }

  /** One symbol that the exchange refuses, or one row that cannot be read, must not keep the others from being read. */
  const each = Effect.fnUntraced(function*<A>(
    read: (symbol: string | null, onUnreadable: OnUnreadable) => Effect.Effect<ReadonlyArray<A>, ExchangeError>
  ) {
    const failures: Array<ExchangeError> = []
    const onUnreadable: OnUnreadable = (error) => void failures.push(error)
    if (symbols === null) {
      return { rows: yield* read(null, onUnreadable), failures, covered: null } satisfies Found<A>
    }
    const covered = new Set<string>()
    const one = (symbol: string) =>
      read(symbol, onUnreadable).pipe(
        Effect.tap(() => Effect.sync(() => covered.add(symbol))),
        Effect.catchIf(isOfSymbol, (error) => {
          if (!isAboutSymbol(error.reason)) return Effect.as(Effect.sync(() => onUnreadable(error)), [])
          broken.set(symbol, millis() + brokenMillis)
          const words =
            `${error.message}; ${symbol} is not reconciled for 10 minutes, what is missed until then is not told`
          return Effect.as(Effect.logWarning(words), [])
        })
      )
    const lists = yield* Effect.forEach(symbols.all.filter(isRead), one, { concurrency: 4 })
    return { rows: lists.flat(), failures, covered } satisfies Found<A>
  })

  /** Whether the stream was there when it happened. */
  const isExpected = (time: number | null, now: number): time is number => {
    const up = options.upForMillis()
    return time !== null && up !== null && time > now - up
  }

  const readFills = Effect.fnUntraced(function*(now: number) {
    const from = floor ?? now
    const since = Math.max(from, (coveredUntil ?? from) - overlapMillis)
    const began = ledger.begin()
    const { failures, rows } = yield* each((symbol, onUnreadable) => calls.fills({ symbol, since, onUnreadable }))
    const found = rows.filter(({ exchangeTime }) => exchangeTime === null || isSince(exchangeTime, from))
    const missing = found.filter((fill) => !ledger.knows(fill) && isExpected(fill.exchangeTime, now))
    awaited = [...awaited.filter((fill) => ledger.awaits(fill)), ...missing]
    const lapsed = awaited.filter(({ exchangeTime }) => exchangeTime! < now - underwayMillis)
    if (lapsed.length > 0) {
      awaited = []
      options.onLapse("Fills", now - lapsed[0]!.exchangeTime!)
    }
    // What was before the first reading is history.
    if (coveredUntil !== null && options.wanted().has("Orders")) {
      for (const fill of found) if (!ledger.knows(fill)) strangers.set(keyOf(fill), fill)
    }
    ledger.readFills(began, found.map((fill): Fill => ({ ...fill, receivedAt: millis(), origin: "Reconciled" })))
    if (failures.length > 0) return yield* worstOf(failures)
    coveredUntil = now
    ledger.forget(since - overlapMillis)
  })

  const readOrders = Effect.fnUntraced(function*(now: number) {
    const began = ledger.begin()
    const { covered, failures, rows } = yield* each(calls.openOrders)
    const reading: Reading = { ...began, receivedAt: millis() }
    const missing = ledger.readOpenOrders(reading, rows, covered)
    const keys = new Set(missing.map(keyOf))
    for (const [key, stranger] of strangers) {
      if (ledger.knowsOrder(stranger)) strangers.delete(key)
      else keys.add(key)
    }
    for (const key of vanished.keys()) if (!keys.has(key)) vanished.delete(key)
    const questions = [
      ...missing.map((known) => ask(known, now, (reading) => ledger.readOrder(reading, known, null))),
      ...[...strangers].map(([key, stranger]) => ask(stranger, now, () => strangers.delete(key)))
    ]
    yield* byThemselves(questions, 4, failures)
  })

  /** It is not among the open ones: what became of it? `vanish`: the exchange has no such order any more. */
  const ask = Effect.fnUntraced(function*(
    order: Pick<Order, "orderId" | "symbol">,
    now: number,
    vanish: (reading: Reading) => void
  ) {
    const began = ledger.begin()
    const key = keyOf(order)
    const reply = yield* calls.run({ _tag: "Get", ref: { symbol: order.symbol, orderId: order.orderId } })
    const reading: Reading = { ...began, receivedAt: millis() }
    if (reply._tag === "Order") {
      vanished.delete(key)
      const { updatedAt } = reply.order
      if (isExpected(updatedAt, now) && updatedAt < now - underwayMillis) options.onLapse("Orders", now - updatedAt)
      return ledger.readOrder(reading, reply.order, reply.order)
    }
    const since = vanished.get(key) ?? millis()
    vanished.set(key, since)
    if (millis() - since >= vanishedMillis) vanish(reading)
  })

  const readBalances: Effect.Effect<void, ExchangeError> = Effect.gen(function*() {
    for (let attempt = 0; attempt < 3; attempt++) {
      const began = ledger.begin()
      const balances = yield* calls.balances
      if (!ledger.readBalances({ ...began, receivedAt: millis() }, balances)) return
    }
  })

  const readPositions = Effect.gen(function*() {
    const began = ledger.begin()
    const positions = yield* calls.positions
    ledger.readPositions({ ...began, receivedAt: millis() }, positions)
  })

  /** The one that counts most; the others are told here. */
  const worstOf = Effect.fnUntraced(function*(failures: ReadonlyArray<ExchangeError>) {
    const worst = failures.find(({ isTransient }) => !isTransient) ?? failures[0]!
    for (const other of failures) {
      if (other === worst) continue
      counters.error(other.reason._tag)
      yield* Effect.logWarning(`${other.message}; it is not reconciled`)
    }
    return yield* worst
  })

  /**
   * What cannot be read, or is refused for good, must not keep the others from being read, and fails at the end. Where the
   * exchange does not answer, the others would not be answered either.
   */
  const byThemselves = Effect.fnUntraced(function*(
    readings: ReadonlyArray<Effect.Effect<void, ExchangeError>>,
    concurrency: number,
    before: ReadonlyArray<ExchangeError> = []
  ) {
    const failures = [...before]
    const one = (reading: Effect.Effect<void, ExchangeError>) =>
      Effect.catchIf(reading, isOfItself, (error) => Effect.sync(() => void failures.push(error)))
    yield* Effect.forEach(readings, one, { concurrency, discard: true })
    if (failures.length > 0) yield* worstOf(failures)
  })

  const run = Effect.gen(function*() {
    yield* start
    const now = yield* options.now
    const wanted = options.wanted()
    if (!wanted.has("Fills")) ledger.release()
    // Fills first: those that are pushed meanwhile wait for them.
    const kinds: ReadonlyArray<readonly [PrivateTag, Effect.Effect<void, ExchangeError>]> = [
      ["Fills", readFills(now)],
      ["Orders", readOrders(now)],
      ["Balances", readBalances],
      ["Positions", readPositions]
    ]
    yield* byThemselves(kinds.flatMap(([kind, reading]) => wanted.has(kind) ? [reading] : []), 1)
    lastAt = millis()
  }).pipe(
    Effect.onExit((exit) =>
      Effect.sync(() => {
        if (exit._tag === "Success") counters.reconciliations++
        else counters.failedReconciliations++
      })
    )
  )

  return {
    run,
    start,
    coverage: () => ({
      pairs: symbols === null ? null : symbols.all.flatMap((symbol): ReadonlyArray<TradingPair> => {
        const pair = options.instrumentOf(symbol)?.pair
        return pair === undefined || !isRead(symbol) ? [] : [pair]
      }),
      lastAt,
      runs: counters.reconciliations,
      failures: counters.failedReconciliations,
      recovered: counters.recovered
    })
  }
}

const keyOf = ({ orderId, symbol }: Pick<Order, "orderId" | "symbol">): string => `${symbol} ${orderId}`

/** Whether it says nothing of whether other readings would fail. */
const isOfItself = ({ isTransient, reason }: ExchangeError): boolean => !isTransient || reason._tag === "DecodeFailed"

/** Whether other symbols may be answered all the same; a refused key is refused for all of them. */
const isOfSymbol = ({ reason }: ExchangeError): boolean => reason._tag === "DecodeFailed" || isAboutSymbol(reason)

const isAboutSymbol = (reason: ExchangeError["reason"]): boolean =>
  reason._tag === "UnknownPair" || (reason._tag === "RequestFailed" && reason.class === "item")
