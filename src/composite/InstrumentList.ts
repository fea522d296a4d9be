/** What an exchange lists, read once and again at intervals; a failed refresh keeps what is known. */
import { Clock, Duration, Effect, Exit, PubSub, Semaphore, Stream } from "effect"
import type { Scope, Take } from "effect"
import type { Instrument, TradingPair } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import { MarketRest } from "../MarketRest.ts"

export interface InstrumentChange {
  readonly _tag: "Listed" | "Delisted" | "Changed"
  /** As it is listed now; `Delisted`: as it was last. */
  readonly instrument: Instrument
}

/** The instruments of an exchange, read once and again at intervals; a failed refresh keeps what is known. */
export interface Instruments {
  /** Every instrument listed, by pair; reads them when they have not been read yet. */
  readonly all: Effect.Effect<ReadonlyMap<TradingPair, Instrument>, ExchangeError.ExchangeError>
  /** Fails with `UnknownPair` for what is not listed. */
  readonly get: (pair: TradingPair) => Effect.Effect<Instrument, ExchangeError.ExchangeError>
  /** What is known of it now, at the cost of a look-up; undefined while nothing has been read, and for what is not listed. */
  readonly current: (pair: TradingPair) => Instrument | undefined
  /** Reads them anew now. */
  readonly refresh: Effect.Effect<ReadonlyMap<TradingPair, Instrument>, ExchangeError.ExchangeError>
  /** What was listed, delisted or changed by a refresh, as it is noticed. */
  readonly changes: Stream.Stream<InstrumentChange>
}

type Listed = ReadonlyMap<TradingPair, Instrument>

/** The list and when it was read. */
export interface InstrumentList {
  readonly instruments: Instruments
  /** Null while it has not been read. */
  readonly known: () => Listed | null
  /** ms; null while it has not been read. */
  readonly readAt: () => number | null
}

/** Before a failed reading is tried again, ms: doubles up to a minute. */
const pauseMs = (failures: number): number => Math.min(60_000, 1_000 * 2 ** Math.min(failures - 1, 6))

/** What one of them does not state may be left out of it. */
const isSame = (a: Instrument, b: Instrument): boolean =>
  (Object.keys({ ...a, ...b }) as Array<keyof Instrument>).every((key) => a[key] === b[key])

/** In the order of the newer list, then what is gone. */
export const changesBetween = (before: Listed, after: Listed): ReadonlyArray<InstrumentChange> => {
  const changes: Array<InstrumentChange> = []
  for (const [pair, instrument] of after) {
    const old = before.get(pair)
    if (old === undefined) changes.push({ _tag: "Listed", instrument })
    else if (!isSame(old, instrument)) changes.push({ _tag: "Changed", instrument })
  }
  for (const [pair, instrument] of before) if (!after.has(pair)) changes.push({ _tag: "Delisted", instrument })
  return changes
}

/** Reads at once and then at intervals, as long as the scope lives. `onRead` hears of every list that was read. */
export const make = Effect.fnUntraced(function*(
  interval: Duration.Input,
  onRead: (listed: Listed) => void
): Effect.fn.Return<InstrumentList, never, MarketRest | Scope.Scope> {
  const rest = yield* MarketRest
  const clock = yield* Clock.Clock
  const hub = yield* PubSub.unbounded<Take.Take<InstrumentChange>>()
  yield* Effect.addFinalizer(() => PubSub.end(hub, Exit.void))
  const gate = yield* Semaphore.make(1)
  let known: Listed | null = null
  let readAt: number | null = null

  const failure = (reason: ExchangeError.Reason) => ExchangeError.make(rest.exchange, reason)

  const publish = (changes: ReadonlyArray<InstrumentChange>): void => {
    const [first, ...others] = changes
    if (first !== undefined) PubSub.publishUnsafe(hub, [first, ...others])
  }

  const read = Effect.gen(function*() {
    const listed: Listed = new Map((yield* rest.instruments).map((instrument) => [instrument.pair, instrument]))
    // An exchange that lists nothing has a fault; what it listed before is not gone.
    if (listed.size === 0) return yield* failure(new ExchangeError.DecodeFailed({ detail: "it lists no instrument" }))
    const before = known
    known = listed
    readAt = clock.currentTimeMillisUnsafe()
    if (before !== null) publish(changesBetween(before, listed))
    onRead(listed)
    return listed
  })

  const refresh = gate.withPermits(1)(read)

  /** Whoever comes while they are read waits for that. */
  const all = Effect.suspend(() =>
    known === null
      ? gate.withPermits(1)(Effect.suspend(() => known === null ? read : Effect.succeed(known)))
      : Effect.succeed(known)
  )

  const unknown = (pair: TradingPair) =>
    failure(new ExchangeError.UnknownPair({ symbol: pair, detail: "the exchange does not list it" }))

  /** Returns when to read again, ms. */
  const readAgain = (failures: number) =>
    Effect.matchEffect(refresh, {
      onSuccess: () => Effect.succeed({ failures: 0, pause: Duration.toMillis(interval) }),
      onFailure: (error) =>
        Effect.as(Effect.logWarning(`the instruments could not be read: ${error.message}`), {
          failures: failures + 1,
          pause: Math.min(pauseMs(failures + 1), Duration.toMillis(interval))
        })
    })

  yield* Effect.forkScoped(Effect.gen(function*() {
    for (let failures = 0;;) {
      const next = yield* readAgain(failures)
      failures = next.failures
      yield* Effect.sleep(next.pause)
    }
  }))

  return {
    known: () => known,
    readAt: () => readAt,
    instruments: {
      all,
      get: (pair) =>
        Effect.flatMap(all, (listed) => {
          const instrument = listed.get(pair)
          return instrument === undefined ? Effect.fail(unknown(pair)) : Effect.succeed(instrument)
        }),
      current: (pair) => known?.get(pair),
      refresh,
      changes: Stream.fromPubSubTake(hub)
    }
  }
})
