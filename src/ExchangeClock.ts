/**
 * How far our clock is from the exchange's, with an error bound, shared by everything that signs. The exchange's time is
 * asked several times; the answer of the shortest round trip says most, and is right to within half of that round trip.
 */
import { Clock, Context, Effect, Metric, Option, Schedule, Semaphore } from "effect"
import type { Duration, Scope } from "effect"
import { monotonicMillis, setMillis } from "./domain/ClockTime.ts"
import type { ExchangeId } from "./domain/Instrument.ts"
import * as ExchangeError from "./ExchangeError.ts"

export interface ClockReading {
  /** Our clock minus the exchange's, ms. */
  readonly offsetMs: number
  /** The offset is right to within this, ms. */
  readonly errorMs: number
  /** When it was measured, ms of our clock. */
  readonly at: number
}

export interface ClockOptions {
  /** Answers of the exchange's clock that one measurement takes. */
  readonly samples: number
  /** From one measurement to the next. */
  readonly interval: Duration.Input
  /** Beyond this error nothing is signed. */
  readonly maxErrorMs: number
  /** Beyond this offset nothing is signed: the machine's clock is wrong, and everything else it stamps is too. */
  readonly maxOffsetMs: number
}

/** Clocks drift apart by no more than this, ms in each ms: ten times what a machine's clock does. */
const drift = 1e-4

/** How often it is looked whether it was set. */
const lookEvery: Duration.Input = "1 second"

/** Before a measurement that has failed is tried again, where it was set. */
const retryEvery: Duration.Input = "10 seconds"

export const defaults: ClockOptions = { samples: 5, interval: "5 minutes", maxErrorMs: 500, maxOffsetMs: 30_000 }

export class ExchangeClock extends Context.Service<ExchangeClock, {
  readonly exchange: ExchangeId
  /** The exchange's time now, ms. Fails with `ClockUnusable` when it is not known well enough to sign with. */
  readonly now: Effect.Effect<number, ExchangeError.ExchangeError>
  /**
   * The last measurement; null before the first has succeeded, and from when the machine's clock was set (by more than 500 ms), or
   * the machine slept, until it is measured anew, which begins within a second.
   */
  readonly reading: Effect.Effect<ClockReading | null>
  /** The same for synchronous code, which may ask with every price: it is judged once in a millisecond. */
  readonly current: () => ClockReading | null
  /** The exchange says that a stamp was off: whoever signs next measures first. */
  readonly doubt: () => void
  /** Measures now. */
  readonly measure: Effect.Effect<ClockReading, ExchangeError.ExchangeError>
}>()("effect-exchange/ExchangeClock") {}

const offset = Metric.gauge("exchange.clock.offset", {
  description: "Our clock minus the exchange's, in seconds",
  attributes: { unit: "s" }
})

const uncertainty = Metric.gauge("exchange.clock.error", {
  description: "Half of the shortest round trip that the offset was measured with, in seconds",
  attributes: { unit: "s" }
})

interface Sample {
  readonly reading: ClockReading
  /** The same moment as its `at`, on a clock that nobody sets, ms. */
  readonly sampledAt: number
}

/** Measures at the first use and then on a timer, as long as the scope lives. */
export const make = Effect.fnUntraced(function*(
  exchange: ExchangeId,
  serverTime: Effect.Effect<number, ExchangeError.ExchangeError>,
  options: ClockOptions = defaults
): Effect.fn.Return<ExchangeClock["Service"], never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const monotonic = (): number => monotonicMillis(clock)
  let reading: ClockReading | null = null
  /** When that was, on a clock that nobody sets. */
  let readAt = 0
  /** Whether the machine's clock was set since, and when that was judged last, ms. */
  let isOutdated = false
  let judgedAt = Number.NaN
  let isDoubted = false

  const sample = Effect.suspend(() => {
    const before = monotonic()
    return Effect.map(serverTime, (theirs): Sample => {
      const at = clock.currentTimeMillisUnsafe()
      const sampledAt = monotonic()
      const trip = sampledAt - before
      return { reading: { offsetMs: at - trip / 2 - theirs, errorMs: Math.max(1, trip / 2), at }, sampledAt }
    })
  })

  const isSlow = ({ errorMs }: ClockReading): boolean => errorMs > options.maxErrorMs

  /** What is old is right to within less. */
  const aged = (old: ClockReading): ClockReading => ({
    ...old,
    errorMs: old.errorMs + (monotonic() - readAt) * drift
  })

  /** Then an older measurement says nothing. */
  const isSet = ({ at }: ClockReading): boolean =>
    Math.abs(clock.currentTimeMillisUnsafe() - at - (monotonic() - readAt)) > setMillis

  const current = (): ClockReading | null => {
    if (reading === null) return null
    const at = clock.currentTimeMillisUnsafe()
    if (at !== judgedAt) {
      judgedAt = at
      isOutdated = isSet(reading)
    }
    return isOutdated ? null : reading
  }

  /** An answer that comes later than this says too little to be used, ms; and no exchange is asked more often than that. */
  const usefulMillis = Math.max(1_000, 2 * options.maxErrorMs)

  /** A request that may be lost is sent again beside the first. */
  const first: typeof sample = Effect.suspend(() => Effect.raceFirst(sample, Effect.delay(first, usefulMillis)))

  /** One of several may be lost or refused. */
  const another = Effect.option(Effect.flatMap(Effect.timeoutOption(sample, usefulMillis), Effect.fromOption))

  const measure = Effect.gen(function*() {
    let best = yield* first
    for (let i = 1; i < options.samples; i++) {
      const next = yield* another
      if (Option.isSome(next) && next.value.reading.errorMs < best.reading.errorMs) best = next.value
    }
    const found = best.reading
    isDoubted = false
    // What is slow for a while says less than what was measured before: clocks drift by milliseconds in that time.
    if (reading !== null && isSlow(found) && !isSlow(aged(reading)) && !isSet(reading)) return reading
    reading = found
    readAt = best.sampledAt
    judgedAt = Number.NaN
    yield* Metric.update(Metric.withAttributes(offset, { exchange }), found.offsetMs / 1000)
    yield* Metric.update(Metric.withAttributes(uncertainty, { exchange }), found.errorMs / 1000)
    return found
  })

  const unusable = ({ errorMs, offsetMs }: ClockReading, retryable: boolean, detail: string) =>
    ExchangeError.make(exchange, new ExchangeError.ClockUnusable({ offsetMs, errorMs, retryable, detail }))

  const check = (found: ClockReading): Effect.Effect<ClockReading, ExchangeError.ExchangeError> => {
    if (isSlow(found)) {
      const detail =
        `the error is above ${options.maxErrorMs} ms: the connection is too slow for now; trying again can help`
      return Effect.fail(unusable(found, true, detail))
    }
    return Math.abs(found.offsetMs) > options.maxOffsetMs
      ? Effect.fail(unusable(found, false, `it is above ${options.maxOffsetMs} ms: set the machine's clock`))
      : Effect.succeed(found)
  }

  const gate = yield* Semaphore.make(1)
  /** Whoever comes while it is measured waits for that; a failure is not kept. */
  const known = gate.withPermits(1)(
    Effect.suspend(() => {
      if (reading === null || isSlow(aged(reading))) return measure
      return isDoubted || isSet(reading) ? measuredAgain(reading) : Effect.succeed(reading)
    })
  )

  /** What is doubted is better than nothing; the exchange says it again when it still is in the way. */
  const measuredAgain = (old: ClockReading) =>
    measure.pipe(Effect.catch((error) => {
      isDoubted = false
      return Effect.as(Effect.logWarning(error.message), old)
    }))

  /** Ages of data go by the measurement too, and nobody may sign for minutes. */
  const afresh = gate.withPermits(1)(Effect.suspend(() => reading === null || !isSet(reading) ? Effect.void : measure))
    .pipe(
      Effect.catch((error) => Effect.andThen(Effect.logWarning(error.message), Effect.sleep(retryEvery)))
    )

  const again = measure.pipe(Effect.asVoid, Effect.catch((error) => Effect.logWarning(error.message)))
  yield* Effect.forkScoped(Effect.delay(Effect.repeat(again, Schedule.spaced(options.interval)), options.interval))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(lookEvery), afresh)))

  return ExchangeClock.of({
    exchange,
    now: Effect.map(Effect.flatMap(known, check), ({ offsetMs }) => clock.currentTimeMillisUnsafe() - offsetMs),
    reading: Effect.sync(current),
    current,
    doubt: () => {
      isDoubted = true
    },
    measure
  })
})
