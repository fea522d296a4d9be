/**
 * `PrivateWebsocket` over an account's calls and connections: channels are subscribed while somebody wants them, a break
 * is told in band and closed by reconciliation, connections are replaced before they end.
 */
import type { Duration } from "effect"
import { Cause, Clock, Deferred, Effect, Exit, Fiber, FiberSet, Latch, Scope, Semaphore, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { AccountAdapter, AccountCalls, PrivateEndpoint } from "../AccountAdapter.ts"
import type { Signer } from "../connection/Auth.ts"
import type { Dial } from "../connection/Connection.ts"
import * as Reconnect from "../connection/Reconnect.ts"
import type { AccountEvent } from "../domain/Account.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { ExchangeId, InstrumentOf } from "../domain/Instrument.ts"
import type { AccountEventOf, PrivateTag } from "../domain/PrivateChannel.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { AccountFeed, AccountGap, PrivateWebsocketHandlers } from "../PrivateWebsocket.ts"
import { channelsOf, PrivateWebsocket } from "../PrivateWebsocket.ts"
import * as FailureLog from "../session/FailureLog.ts"
import * as StatusBoard from "../session/StatusBoard.ts"
import type { Consumer, Ended } from "./AccountConsumers.ts"
import { BufferConsumer, defaultBufferSize, HandlerConsumer } from "./AccountConsumers.ts"
import * as AccountMetrics from "./AccountMetrics.ts"
import { Ledger } from "./Ledger.ts"
import { PrivateCounters } from "./PrivateCounters.ts"
import { PrivateLink } from "./PrivateLink.ts"
import * as Reconciler from "./Reconciler.ts"
import type { Symbols } from "./Symbols.ts"

export interface PrivateSessionOptions {
  readonly exchange: ExchangeId
  readonly account: AccountAdapter
  readonly calls: AccountCalls
  readonly signer: Signer
  /** The exchange's clock, ms. */
  readonly now: Effect.Effect<number, ExchangeError.ExchangeError>
  /** By how much that may be wrong, ms. */
  readonly clockError: Effect.Effect<number>
  /** Reads what `instrumentOf` knows; before the first connection. */
  readonly instruments: Effect.Effect<unknown, ExchangeError.ExchangeError>
  readonly instrumentOf: InstrumentOf
  readonly symbols: Symbols
  readonly url: string
  /** Opens a socket at the endpoint, with its heartbeat and metrics. */
  readonly dial: (endpoint: Effect.Effect<PrivateEndpoint, ExchangeError.ExchangeError, Scope.Scope>) => Dial
  readonly policy: Reconnect.ReconnectPolicy
  readonly answerTimeout: Duration.Input
  readonly bufferSize: number | undefined
  readonly reconcile: {
    /** From one comparison with the exchange to the next; null: only after a break. */
    readonly interval: Duration.Input | null
    readonly lookback: Duration.Input
    /** How long fills may wait for those that were missed while the exchange does not answer. */
    readonly holdFor: Duration.Input
  }
}

/** How long the old connection is listened to behind the new one: what was pushed before the change is on its way. */
const overlap: Duration.Input = "2 seconds"

/** What an exchange shows late over REST is looked for once more behind a break. */
const secondLook: Duration.Input = "5 seconds"

/** From the end of one comparison to the next. */
const apart: Duration.Input = "500 millis"

interface Open {
  readonly link: PrivateLink
  readonly fiber: Fiber.Fiber<void>
}

type State =
  | { readonly _tag: "Idle" }
  | { readonly _tag: "Open"; readonly channels: ReadonlySet<PrivateTag>; readonly scope: Scope.Closeable }
  | { readonly _tag: "Closed" }

export const make = Effect.fnUntraced(function*(
  options: PrivateSessionOptions
): Effect.fn.Return<PrivateWebsocket["Service"], never, Scope.Scope> {
  const { account, calls, exchange, instrumentOf, signer, symbols } = options
  const layerScope = yield* Effect.scope
  const clock = yield* Clock.Clock
  const fork = yield* FiberSet.makeRuntime<never>()
  const counters = new PrivateCounters()
  yield* AccountMetrics.ofStream(exchange, signer.account, counters)
  const consumers = new Set<Consumer>()
  const wanted = new Map<PrivateTag, number>()
  const confirmations = new Map<PrivateTag, Deferred.Deferred<void, ExchangeError.ExchangeError>>()
  const links = new Map<PrivateLink, Open>()
  /** Asked for while a connection stands, and not confirmed yet. */
  const added = new Set<PrivateTag>()
  /** Those whose place another one is taking. */
  const leaving = new WeakSet<PrivateLink>()
  const due = Latch.makeUnsafe(false)
  let nextLink = 0
  let state: State = { _tag: "Idle" }

  const report = yield* FailureLog.make(`[${exchange}] a handler failed; the others go on`)
  const board = yield* StatusBoard.make(
    yield* FailureLog.make(`[${exchange}] a listener for the status failed; the others go on`)
  )

  const failure = (reason: ExchangeError.Reason) => ExchangeError.make(exchange, reason)
  const closed = failure(
    new ExchangeError.Closed({ detail: "it was closed, or its Layer has ended; build the Layer anew" })
  )

  // -- events --

  const deliver = (channel: PrivateTag, event: AccountEvent): void => {
    if (account.needsPair && "symbol" in event) symbols.add(event.symbol)
    for (const consumer of consumers) consumer.event(channel, event)
  }

  const flush = (): void => {
    for (const consumer of consumers) consumer.flush()
  }

  const ledger = new Ledger(deliver, counters)

  const gap = (channel: PrivateTag, cause: AccountGap["cause"]): void => {
    counters.gaps++
    const found: AccountGap = { _tag: "Gap", cause, channel, at: clock.currentTimeMillisUnsafe() }
    for (const consumer of consumers) consumer.gap(found)
  }

  /** Everything that is pushed from here on waits for what was missed. */
  const interrupted = (cause: AccountGap["cause"]): void => {
    for (const channel of wanted.keys()) gap(channel, cause)
    ledger.hold()
    flush()
    due.openUnsafe()
  }

  // -- connections --

  const isReady = (): boolean => [...links.keys()].some(({ ready }) => ready)

  const endpoint = Effect.andThen(
    Effect.andThen(options.instruments, reconcilerStart()),
    account.stream.endpoint(options.url, calls)
  )

  const open = (replaces: PrivateLink | null): void => {
    const link: PrivateLink = new PrivateLink({
      id: nextLink++,
      exchange,
      stream: account.stream,
      endpoint,
      dial: options.dial,
      policy: options.policy,
      clock,
      signer,
      now: options.now,
      userId: calls.userId,
      instrumentOf,
      answerTimeout: options.answerTimeout,
      wanted: () => [...wanted.keys()],
      counters,
      listener: {
        onStatus: board.publish,
        onConfirmed: confirmed,
        onRefused: refused,
        onReady: becameReady,
        onDown: wentDown,
        onReplace: replace,
        onEvent: (_, event) => ledger.push(event, link.id),
        onUnreadable: () => interrupted("Unreadable"),
        onBatch: flush
      }
    })
    link.replaces = replaces
    // Channels that are asked for together are subscribed together.
    const run = Effect.andThen(Effect.yieldNow, link.run).pipe(
      Effect.catch((error) => Effect.sync(() => failed(error)))
    )
    links.set(link, { link, fiber: fork(Effect.asVoid(run)) })
  }

  const close = (link: PrivateLink): Effect.Effect<void> =>
    Effect.suspend(() => {
      const found = links.get(link)
      links.delete(link)
      if (found === undefined) return Effect.void
      return Effect.andThen(
        Fiber.interrupt(found.fiber),
        Effect.sync(() =>
          board.publish({ _tag: "Closed", exchange, connection: link.id, at: clock.currentTimeMillisUnsafe() })
        )
      )
    })

  const closeAll = Effect.suspend(() => Effect.forEach([...links.keys()], close, { concurrency: "unbounded" }))

  /** What came before is read, and once more, for it may be shown late. */
  const readTwice = (): void => {
    // A reading that began before has not seen what was missed until now.
    if (ledger.isHolding) ledger.hold()
    due.openUnsafe()
    fork(Effect.andThen(Effect.sleep(secondLook), Effect.sync(() => due.openUnsafe())))
  }

  /** A channel that comes onto an open connection begins as on a new one: what came before is read first. */
  const confirmed = (channel: PrivateTag): void => {
    if (added.delete(channel) && isReady()) {
      if (channel === "Fills") ledger.hold()
      readTwice()
    }
    Deferred.doneUnsafe(confirmationOf(channel), Exit.void)
  }

  const becameReady = (link: PrivateLink): void => {
    for (const channel of added) if (link.has(channel)) added.delete(channel)
    readTwice()
    const old = link.replaces
    link.replaces = null
    if (old !== null) fork(Effect.andThen(Effect.sleep(overlap), close(old)))
  }

  const wentDown = (link: PrivateLink, error: ExchangeError.ExchangeError): void => {
    counters.error(error.reason._tag)
    if (!links.has(link) || isReady()) return
    // What is being read of the break before has not seen what is missed from now on.
    if (ledger.isHolding) ledger.hold()
    else interrupted(error.reason._tag === "Silent" ? "Silent" : "Reconnected")
  }

  const replace = (link: PrivateLink, detail: string): void => {
    if (leaving.has(link) || !links.has(link)) return
    leaving.add(link)
    fork(Effect.logDebug(`[${exchange}] the connection of the account ${signer.account} is replaced: ${detail}`))
    open(link)
  }

  /** For good: everybody is told, and nothing is tried again until somebody asks. */
  const failed = (error: ExchangeError.ExchangeError): void => {
    for (const confirmation of confirmations.values()) Deferred.doneUnsafe(confirmation, Exit.fail(error))
    confirmations.clear()
    for (const consumer of consumers) consumer.end(Exit.fail(error))
    consumers.clear()
    const scope = state._tag === "Open" ? state.scope : null
    if (scope !== null) state = { _tag: "Idle" }
    fork(Effect.andThen(closeAll, scope === null ? Effect.void : Scope.close(scope, Exit.void)))
  }

  const refused = (channel: PrivateTag, error: ExchangeError.ExchangeError): void => {
    counters.error(error.reason._tag)
    added.delete(channel)
    Deferred.doneUnsafe(confirmationOf(channel), Exit.fail(error))
  }

  // -- channels --

  const confirmationOf = (channel: PrivateTag) => {
    let confirmation = confirmations.get(channel)
    if (confirmation === undefined) confirmations.set(channel, confirmation = Deferred.makeUnsafe())
    return confirmation
  }

  const changed = (): void => {
    for (const link of links.keys()) link.changed()
  }

  const unsupported = (channel: PrivateTag) =>
    failure(
      new ExchangeError.UnsupportedChannel({
        channel,
        detail: `its account has ${[...account.channels].join(", ")}`
      })
    )

  /** Subscribes while the scope lives; returns once the exchange has accepted. */
  const acquire = (channel: PrivateTag): Effect.Effect<void, ExchangeError.ExchangeError, Scope.Scope> => {
    if (!account.channels.has(channel)) return Effect.fail(unsupported(channel))
    const join = Effect.sync(() => {
      wanted.set(channel, (wanted.get(channel) ?? 0) + 1)
      if (links.size === 0) {
        ledger.hold()
        open(null)
      } else if ([...links.keys()].some((link) => link.has(channel))) {
        Deferred.doneUnsafe(confirmationOf(channel), Exit.void)
      } else if (wanted.get(channel) === 1) {
        added.add(channel)
      }
      changed()
    })
    const leave = Effect.suspend(() => {
      const left = (wanted.get(channel) ?? 1) - 1
      if (left > 0) wanted.set(channel, left)
      else {
        wanted.delete(channel)
        added.delete(channel)
        confirmations.delete(channel)
      }
      changed()
      return wanted.size === 0 ? closeAll : Effect.void
    })
    return Effect.andThen(
      Effect.acquireRelease(join, () => leave),
      Effect.suspend(() => Deferred.await(confirmationOf(channel)))
    )
  }

  // -- reconciliation --

  const reconciler = Reconciler.make({
    exchange,
    calls,
    ledger,
    counters,
    clock,
    now: options.now,
    clockError: options.clockError,
    symbols: account.needsPair ? symbols : null,
    instrumentOf,
    wanted: () => new Set(wanted.keys()),
    lookback: options.reconcile.lookback,
    onLapse: (channel, age) => lapsed(channel, age),
    upForMillis: () => upForMillis()
  })

  function reconcilerStart(): Effect.Effect<void, ExchangeError.ExchangeError> {
    return Effect.suspend(() => reconciler.start)
  }

  const upForMillis = (): number | null => {
    if (ledger.isHolding) return null
    const times = [...links.keys()].flatMap(({ readyAt }) => readyAt === null ? [] : [readyAt])
    return times.length === 0 ? null : monotonicMillis(clock) - Math.min(...times)
  }

  /** The socket is open and its stream is not: another connection takes over from those that should have brought it. */
  const lapsed = (channel: PrivateTag, ageMillis: number): void => {
    gap(channel, "Silent")
    const at = monotonicMillis(clock) - ageMillis
    for (const link of [...links.keys()]) {
      if (link.readyAt !== null && link.readyAt <= at) replace(link, `its ${channel} did not come`)
    }
  }

  const gate = Semaphore.makeUnsafe(1)
  const reconcileNow = gate.withPermits(1)(Effect.ensuring(reconciler.run, Effect.sync(flush)))

  /** While fills wait, failures are tried again as a socket is dialled again; they wait no longer than they may. */
  const whileHolding = Effect.suspend(() => {
    const again = Effect.retry(reconcileNow, {
      schedule: Reconnect.backoff,
      // What cannot be read is read again on the timer, unless fills wait for it.
      while: ({ isTransient, reason }: ExchangeError.ExchangeError) =>
        isTransient && isReady() && (ledger.isHolding || reason._tag !== "DecodeFailed")
    })
    const giveUp = Effect.suspend(() => {
      if (!ledger.isHolding) {
        return Effect.logWarning(
          `[${exchange}] the account ${signer.account} is not reconciled: the exchange does not answer`
        )
      }
      ledger.release()
      flush()
      return Effect.logWarning(
        `[${exchange}] fills of the account ${signer.account} go on without those that were missed: the exchange does not answer`
      )
    })
    return Effect.raceFirst(again, Effect.andThen(Effect.sleep(options.reconcile.holdFor), giveUp))
  })

  const notReconciled = (error: ExchangeError.ExchangeError): Effect.Effect<void> => {
    counters.error(error.reason._tag)
    flush()
    return Effect.logWarning(`[${exchange}] the account ${signer.account} is not reconciled: ${error.message}`)
  }

  const bounded = Effect.suspend(() => {
    // What a break behind this holds back waits for the next comparison, which is due then, whatever becomes of this one.
    if (!ledger.isHolding) return reconcileNow.pipe(Effect.catch(notReconciled))
    return whileHolding.pipe(Effect.catch((error) => {
      // Without a connection nothing is pushed that could wait too long: the next one begins with a reading.
      if (isReady() || !error.isTransient) ledger.release()
      return notReconciled(error)
    }))
  })

  const round = Effect.suspend(() => {
    due.closeUnsafe()
    return isReady() ? bounded : Effect.void
  })
  const { interval } = options.reconcile
  const turn = interval === null ? due.await : Effect.asVoid(Effect.timeoutOption(due.await, interval))
  // Whatever asks for them, comparisons keep apart: a stream that cannot be read must not spend the budget of orders.
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(turn, Effect.andThen(round, Effect.sleep(apart)))))

  // -- the service --

  const sessionWants = (channel: PrivateTag): boolean => state._tag === "Open" && state.channels.has(channel)

  const buffer = (wants: (channel: PrivateTag) => boolean) =>
    new BufferConsumer({
      exchange,
      capacity: Math.max(16, options.bufferSize ?? defaultBufferSize),
      wants,
      now: () => clock.currentTimeMillisUnsafe(),
      onDelivered: () => {
        counters.delivered++
      },
      onDropped: () => {
        counters.gaps++
      }
    })

  /** Who comes later is told the state of now first. */
  const enter = (consumer: Consumer) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        if (state._tag === "Closed") return Effect.fail(closed)
        consumers.add(consumer)
        for (const [channel, event] of ledger.state(clock.currentTimeMillisUnsafe())) consumer.event(channel, event)
        return Effect.void
      }),
      () => Effect.sync(() => consumers.delete(consumer))
    )

  const events = Stream.unwrap(Effect.gen(function*() {
    const consumer = buffer(sessionWants)
    yield* enter(consumer)
    return consumer.stream
  }))

  const handle = Effect.fnUntraced(function*(handlers: PrivateWebsocketHandlers) {
    const lacking = channelsOf(handlers).find((channel) => !account.channels.has(channel))
    if (lacking !== undefined) return yield* unsupported(lacking)
    const consumer = new HandlerConsumer(handlers, {
      wants: sessionWants,
      onDelivered: () => {
        counters.delivered++
      },
      onFailure: (error) => {
        counters.handlerFailures++
        report(error)
      }
    })
    yield* enter(consumer)
    const { onStatus } = handlers
    if (onStatus !== undefined) {
      yield* Effect.acquireRelease(Effect.sync(() => board.listen(onStatus)), (stop) => Effect.sync(stop))
    }
  })

  const initialize = Effect.fn("PrivateWebsocket.initialize")(function*(channels?: NonEmptyReadonlyArray<PrivateTag>) {
    if (state._tag === "Closed") return yield* closed
    if (state._tag === "Open") {
      return yield* failure(new ExchangeError.InvalidUse({ detail: "the session is open: close it first" }))
    }
    const chosen = new Set(channels ?? account.channels)
    const scope = yield* Scope.fork(layerScope)
    state = { _tag: "Open", channels: chosen, scope }
    yield* Effect.forEach(chosen, acquire, { concurrency: "unbounded", discard: true }).pipe(
      Scope.provide(scope),
      // Refused, interrupted or died: nothing of it may stay behind, for the next call begins anew.
      Effect.onError(() =>
        Effect.suspend(() => {
          if (state._tag === "Open") state = { _tag: "Idle" }
          return Scope.close(scope, Exit.void)
        })
      )
    )
  })

  const shutDown = (exit: Ended): Effect.Effect<void> =>
    Effect.suspend(() => {
      const scope = state._tag === "Open" ? state.scope : null
      for (const consumer of consumers) consumer.end(exit)
      state = { _tag: "Closed" }
      consumers.clear()
      return Effect.andThen(scope === null ? Effect.void : Scope.close(scope, Exit.void), Effect.asVoid(closeAll))
    })

  const feed = Effect.fnUntraced(function*(channel: PrivateTag) {
    const consumer = buffer((tag) => tag === channel)
    yield* enter(consumer)
    yield* acquire(channel)
    return consumer.stream
  })

  // Whoever reads on after the Layer has gone did not ask for the end: it is told.
  yield* Effect.addFinalizer(() => shutDown(Exit.fail(closed)))

  return PrivateWebsocket.of({
    exchange,
    account: signer.account,
    channels: account.channels,
    initialize,
    events,
    handle,
    close: shutDown(Exit.fail(Cause.Done())),
    isConnected: Effect.sync(() => [...links.keys()].some(({ connected }) => connected)),
    isAuthenticated: Effect.sync(isReady),
    status: board.stream,
    performance: Effect.sync(() => ({
      exchange,
      account: signer.account,
      frames: counters.frames,
      events: counters.events,
      delivered: counters.delivered,
      duplicates: counters.duplicates,
      gaps: counters.gaps,
      reconnects: counters.reconnects,
      decodeFailures: counters.decodeFailures,
      handlerFailures: counters.handlerFailures,
      errors: Object.fromEntries(counters.errors),
      reconciliation: reconciler.coverage()
    })),
    reconcile: Effect.suspend(() =>
      wanted.size === 0
        ? Effect.fail(failure(new ExchangeError.InvalidUse({ detail: "nothing is subscribed: call initialize first" })))
        : reconcileNow
    ),
    // The one place where the union of all events becomes the event of this channel: the consumer takes nothing else.
    feed: feed as <const Tag extends PrivateTag>(
      channel: Tag
    ) => Effect.Effect<
      Stream.Stream<AccountFeed<AccountEventOf<Tag>>, ExchangeError.ExchangeError>,
      ExchangeError.ExchangeError,
      Scope.Scope
    >
  })
})
