/** Watches routes between the markets of a program and says when there is something to earn. Sends no orders. */
import { Cause, Clock, Context, Effect, FiberSet, Layer, Schedule, Stream } from "effect"
import type { Duration, Scope } from "effect"
import { Markets } from "../composite/Markets.ts"
import type { Island } from "../composite/Markets.ts"
import type { ExchangeId, Instrument } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import * as ArbitrageMetrics from "./ArbitrageMetrics.ts"
import type { Percentiles } from "./Latencies.ts"
import * as Opportunities from "./Opportunity.ts"
import type { Conditions, Opportunity, Route } from "./Opportunity.ts"
import { OpportunityBuffer } from "./OpportunityBuffer.ts"
import type { OpportunityEvent } from "./OpportunityEvent.ts"
import * as Routes from "./Routes.ts"
import { RouteWatch } from "./RouteWatch.ts"

export type { OpportunityEvent, VanishCause } from "./OpportunityEvent.ts"

export interface MonitorPerformance {
  readonly routes: number
  /** Book changes looked at. */
  readonly evaluations: number
  readonly entered: number
  readonly open: number
  /** Looks that ended without an opportunity because of a leg, by cause. */
  readonly withheld: Readonly<Record<"Stale" | "TooOld" | "Skewed" | "Crossed", number>>
  /** From the receipt of the second leg's frame to the emission, ms, over the last 1024. */
  readonly detection: Percentiles
}

export class ArbitrageMonitor extends Context.Service<ArbitrageMonitor, {
  readonly routes: () => ReadonlyArray<Route>
  /** What is there now. */
  readonly open: () => ReadonlyArray<Opportunity>
  /** From now on. A slow reader keeps every `Entered` and `Vanished`, and the newest `Updated` of each. */
  readonly opportunities: Stream.Stream<OpportunityEvent>
  /**
   * Calls `consumer` synchronously in the turn that changed the book, until the scope closes. Keep it short. One that throws
   * is still called; its first failure is logged.
   */
  readonly handle: (consumer: (event: OpportunityEvent) => void) => Effect.Effect<void, never, Scope.Scope>
  readonly performance: Effect.Effect<MonitorPerformance>
}>()("effect-exchange/ArbitrageMonitor") {}

/** Which routes are watched: these, or all between what the exchanges list, as they list it. */
export type WatchedRoutes =
  | ReadonlyArray<Route>
  | { readonly fees: Routes.Fees; readonly filter?: Routes.Filter | undefined }

export interface MonitorOptions extends Partial<Conditions> {
  readonly routes: WatchedRoutes
  /** How often it is looked whether a leg that says nothing has grown too old. Default 50 ms. */
  readonly scanEvery?: Duration.Input | undefined
}

const metricsEvery = "250 millis"

/** Between two tries to read what an exchange lists. */
const retryEvery = "5 seconds"

const invalid = (detail: string): ExchangeError.ExchangeError =>
  ExchangeError.make("arbitrage", new ExchangeError.InvalidUse({ detail }))

const isList = (routes: WatchedRoutes): routes is ReadonlyArray<Route> => Array.isArray(routes)

interface Consumer {
  readonly call: (event: OpportunityEvent) => void
  hasFailed: boolean
}

/** Watches the markets of the program until the scope closes. Fails with `InvalidUse` when routes or conditions are wrong. */
export const make = Effect.fnUntraced(function*(
  options: MonitorOptions
): Effect.fn.Return<ArbitrageMonitor["Service"], ExchangeError.ExchangeError, Markets | Scope.Scope> {
  const { routes: wanted, scanEvery = "50 millis", ...given } = options
  const conditions: Conditions = { ...Opportunities.defaults, ...given }
  const fixed = isList(wanted) ? wanted : []
  const fault = Opportunities.faultOfConditions(conditions) ?? Opportunities.faultOfRoutes(fixed)
  if (fault !== null) return yield* Effect.fail(invalid(fault))

  const markets = yield* Markets
  const clock = yield* Clock.Clock
  const run = yield* FiberSet.makeRuntime<never, void>()
  const consumers = new Set<Consumer>()
  const buffers = new Set<OpportunityBuffer>()

  const call = (consumer: Consumer, event: OpportunityEvent): void => {
    try {
      consumer.call(event)
    } catch (defect) {
      if (consumer.hasFailed) return
      consumer.hasFailed = true
      const message = "a consumer of opportunities threw; it is still called, and its next failures are not told"
      run(Effect.logWarning(message, Cause.die(defect)))
    }
  }

  const machine = new RouteWatch(conditions, clock, (event) => {
    for (const consumer of consumers) call(consumer, event)
    for (const buffer of buffers) buffer.push(event)
  })
  machine.watch(fixed)

  const flush = yield* ArbitrageMetrics.make(machine)
  yield* Effect.addFinalizer(() => Effect.sync(flush))
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      machine.end()
      for (const buffer of buffers) buffer.end()
    })
  )
  yield* Effect.forkScoped(Effect.repeat(Effect.sync(flush), Schedule.spaced(metricsEvery)))
  yield* Effect.forkScoped(Effect.repeat(Effect.sync(() => machine.pass()), Schedule.spaced(scanEvery)))

  const listed = new Map<ExchangeId, ReadonlyArray<Instrument>>()

  /** What an exchange lists has been read: routes with what is out of order are left out, and told. */
  const relist = (
    exchange: ExchangeId,
    instruments: Iterable<Instrument>,
    rules: Exclude<WatchedRoutes, ReadonlyArray<Route>>
  ) =>
    Effect.suspend(() => {
      listed.set(exchange, [...instruments])
      const known = markets.ids.flatMap((id) => listed.get(id) ?? [])
      const routes = Routes.between([known], rules.fees, rules.filter)
      const faults = routes.flatMap((route) => Opportunities.faultOfRoute(route) ?? [])
      machine.watch(routes.filter((route) => Opportunities.faultOfRoute(route) === null))
      return Effect.forEach(faults, (fault) => Effect.logWarning(`not watched: ${fault}`), { discard: true })
    })

  /** Reads what an exchange lists, now and after each change, for as long as it stands. */
  const list = ({ exchange, market: { instruments } }: Island): Effect.Effect<void> => {
    if (isList(wanted)) return Effect.void
    const again = Schedule.spaced(retryEvery)
    const read = instruments.all.pipe(
      Effect.tapError((error) => Effect.logWarning(`no routes yet: ${error.message}`)),
      Effect.retry(again),
      Effect.orDie,
      Effect.flatMap((all) => relist(exchange, all.values(), wanted))
    )
    const follow = Stream.runForEachArray(instruments.changes, () => read)
    return Effect.asVoid(Effect.all([read, follow], { concurrency: "unbounded" }))
  }

  yield* markets.each((island) =>
    Effect.gen(function*() {
      const { exchange, market } = island
      yield* market.onBook((live) => machine.change(exchange, live))
      yield* Effect.acquireRelease(
        Effect.sync(() => machine.attach(exchange, market)),
        () => Effect.sync(() => machine.detach(exchange, market))
      )
      yield* Effect.forkScoped(list(island))
    })
  )

  return ArbitrageMonitor.of({
    routes: () => machine.routes,
    open: () => machine.open,
    opportunities: Stream.unwrap(Effect.gen(function*() {
      const buffer = yield* Effect.acquireRelease(
        Effect.sync(() => {
          const buffer = new OpportunityBuffer()
          buffers.add(buffer)
          return buffer
        }),
        (buffer) => Effect.sync(() => buffers.delete(buffer))
      )
      return Stream.fromPull(Effect.succeed(buffer.pull))
    })),
    handle: (consumer) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => {
          const registered: Consumer = { call: consumer, hasFailed: false }
          consumers.add(registered)
          return registered
        }),
        (registered) => Effect.sync(() => consumers.delete(registered))
      )),
    performance: Effect.sync(() => ({
      routes: machine.routes.length,
      evaluations: machine.evaluations,
      entered: machine.entered,
      open: machine.openCount,
      withheld: { ...machine.withheld },
      detection: machine.detection.percentiles()
    }))
  })
})

export const layer = (options: MonitorOptions): Layer.Layer<ArbitrageMonitor, ExchangeError.ExchangeError, Markets> =>
  Layer.effect(ArbitrageMonitor, make(options))
