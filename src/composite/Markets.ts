/**
 * Several exchanges in one program, each an island: one that fails, hangs or floods leaves the others alone, is built anew by
 * itself, and is reconciled before it may trade again.
 */
import {
  Cause,
  Clock,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  FiberMap,
  Latch,
  Layer,
  PubSub,
  Random,
  Semaphore,
  Stream
} from "effect"
import type { Config, Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import { CancelOpen, unanswered } from "./CancelOpen.ts"
import type { TrackedOrder } from "./OrderTracker.ts"
import type { PrivateHealth } from "./PrivateExchange.ts"
import { PrivateExchange } from "./PrivateExchange.ts"
import type { PublicHealth } from "./PublicExchange.ts"
import { PublicExchange } from "./PublicExchange.ts"

/** One exchange of the program. */
export interface Island {
  readonly exchange: ExchangeId
  readonly market: PublicExchange["Service"]
  /** Null where the program has no account there. */
  readonly account: PrivateExchange["Service"] | null
}

/**
 * - `Starting`: its Layers are being built, or its account is not reconciled yet.
 * - `Ready`: market data comes, and the account, where there is one, is reconciled.
 * - `Recovering`: it was ready, and its account or market is down or not reconciled since: nothing may be traded.
 * - `Failed`: its Layers ended or could not be built; tried again in `retryIn` ms, or given up when that is null.
 * - `Stopped`: the program is shutting down.
 */
export type IslandState =
  | { readonly _tag: "Starting"; readonly exchange: ExchangeId; readonly at: number }
  | { readonly _tag: "Ready"; readonly exchange: ExchangeId; readonly at: number }
  | {
    readonly _tag: "Recovering"
    readonly exchange: ExchangeId
    readonly at: number
    readonly problems: ReadonlyArray<string>
  }
  | {
    readonly _tag: "Failed"
    readonly exchange: ExchangeId
    readonly at: number
    readonly error: ExchangeError.ExchangeError
    readonly retryIn: number | null
  }
  | { readonly _tag: "Stopped"; readonly exchange: ExchangeId; readonly at: number }

/** What is to become of open orders when the program ends. */
export type StopPolicy = "cancel" | "keep"

/** What was left on an exchange when the program ended. */
export interface Left {
  readonly exchange: ExchangeId
  /** Orders that this stop cancelled, as the answers name them or their ends are told: what was filled or expired is none of them. */
  readonly canceled: number
  /** Still open, or not known: `state` of each says which. */
  readonly open: ReadonlyArray<TrackedOrder>
  /** Why they could not be cancelled, or why what is open is not known; null when nothing went wrong. */
  readonly problem: string | null
  /**
   * Whether the program has placed orders there through the island's `account.orders`, or may have. False: whatever `problem`
   * says, none of its orders is left; what others have open there may be.
   */
  readonly hasOrdered: boolean
}

/** How an exchange of the program is built: what gives its market and, where it trades, its account. */
export interface Definition<R = never> {
  readonly layer: Layer.Layer<PublicExchange, ExchangeError.ExchangeError | Config.ConfigError, R>
  /** Followed from the start. Built anew, it follows those that it followed last. */
  readonly pairs: NonEmptyReadonlyArray<TradingPair>
}

export interface MarketsOptions {
  /** The first pause before an island is built anew; doubles up to `longestPause`. Default 1 s. */
  readonly pause?: Duration.Input | undefined
  /** Default 1 minute. */
  readonly longestPause?: Duration.Input | undefined
  /** How long building, subscribing and reconciling may take. Default 1 minute. */
  readonly startTimeout?: Duration.Input | undefined
  /** How often an account that is down is opened again: a stream that has ended for good opens by itself no more. Default 1 minute. */
  readonly reopenEvery?: Duration.Input | undefined
  /** How long `stop` waits for an exchange, before it closes the sockets. Default 3 s. */
  readonly stopTimeout?: Duration.Input | undefined
}

export class Markets extends Context.Service<Markets, {
  readonly ids: ReadonlyArray<ExchangeId>
  /**
   * Waits until the island is there, through any `restart`. Fails with its error when it was given up, with `Closed` when the
   * program is ending, with `InvalidUse` for an id that is not here.
   */
  readonly get: (id: ExchangeId) => Effect.Effect<Island, ExchangeError.ExchangeError>
  /** The island as it stands, without waiting; undefined while it is not there. */
  readonly current: (id: ExchangeId) => Island | undefined
  readonly state: (id: ExchangeId) => IslandState | undefined
  /** Whether orders may leave for it: it has an account, is `Ready`, and the program is not shutting down. */
  readonly mayTrade: (id: ExchangeId) => boolean
  /** Every change, beginning with the present states. A reader that is 256 changes behind skips the oldest. */
  readonly changes: Stream.Stream<IslandState>
  /** Runs `use` with every island as long as it stands, anew each time it is built anew, until the scope closes. */
  readonly each: (
    use: (island: Island) => Effect.Effect<void, never, Scope.Scope>
  ) => Effect.Effect<void, never, Scope.Scope>
  /** Builds an island anew at once, one that was given up too. An id that is not here is no error. */
  readonly restart: (id: ExchangeId) => Effect.Effect<void>
  /**
   * Ends it all: nothing may be traded any more, open orders are cancelled or kept, and the sockets are closed. Tells what
   * was left on each exchange with an account. The second call does nothing.
   */
  readonly stop: (policy: StopPolicy) => Effect.Effect<ReadonlyArray<Left>>
}>()("effect-exchange/Markets") {}

interface Slot {
  readonly exchange: ExchangeId
  readonly definition: Definition
  state: IslandState
  island: Island | undefined
  /** Done with the island, failed when it is given up; a new one when an island ends. */
  ready: Deferred.Deferred<Island, ExchangeError.ExchangeError>
  /** Whether it has an account; null until that is known. */
  hasAccount: boolean | null
  /** What was open on its account when it was there last. */
  lastOpen: ReadonlyArray<TrackedOrder>
  /** Whether a life of it that is over has placed orders. */
  hasOrdered: boolean
  pairs: NonEmptyReadonlyArray<TradingPair>
  failures: number
  readonly restarting: Semaphore.Semaphore
}

/** How long `stop` waits for sockets to be closed, ms: an exchange that does not answer its goodbye takes a second. */
const closeMillis = 1_250

/** Behind so long a life the pauses begin anew. */
const stableMillis = 60_000

const defaults = {
  pause: "1 second",
  longestPause: "1 minute",
  startTimeout: "1 minute",
  reopenEvery: "1 minute",
  stopTimeout: "3 seconds"
}

const millis = (given: Duration.Input | undefined, fallback: string): number =>
  Duration.toMillis(given ?? (fallback as Duration.Input))

const invalid = (exchange: ExchangeId, detail: string): ExchangeError.ExchangeError =>
  ExchangeError.make(exchange, new ExchangeError.InvalidUse({ detail }))

/** Whatever ended an island, as an error of its exchange. A defect may pass when everything is built anew. */
const errorOf = (
  exchange: ExchangeId,
  cause: Cause.Cause<ExchangeError.ExchangeError | Config.ConfigError>
): { readonly error: ExchangeError.ExchangeError; readonly mayPass: boolean } => {
  const error = Cause.findErrorOption(cause)
  if (error._tag === "None") {
    return { error: invalid(exchange, `the island broke: ${Cause.pretty(cause)}`), mayPass: true }
  }
  if (error.value._tag === "ConfigError") return { error: invalid(exchange, error.value.message), mayPass: false }
  return { error: error.value, mayPass: error.value.isTransient || error.value.reason._tag === "Closed" }
}

const marketProblems = (health: PublicHealth | null): ReadonlyArray<string> => {
  if (health === null || health.state === "starting") return ["no market data yet"]
  return health.state === "down" || health.state === "closed" ? [...health.problems, "no market data"] : []
}

const accountProblems = (health: PrivateHealth | null): ReadonlyArray<string> => {
  if (health === null || health.state !== "healthy") return [...health?.problems ?? [], "the account is not ready"]
  return health.reconciledAt === null ? ["the account is not reconciled"] : []
}

/** Between two tries to compare an account, ms. */
const compareAgain = 1_000

/**
 * While an exchange brings no market data, what it tells of the account may be lost as well, and no gap says so: the account
 * is compared behind it.
 */
class Doubt {
  isOpen = false
  readonly #account: PrivateExchange["Service"]
  /** Open while the market is back and the account has not been compared since. */
  readonly #isDue = Latch.makeUnsafe(false)
  #losses = 0
  #returnedAt = 0

  constructor(account: PrivateExchange["Service"]) {
    this.#account = account
  }

  onMarket({ state }: PublicHealth, now: number): void {
    if (state === "down") {
      this.#losses++
      this.isOpen = true
      this.#returnedAt = 0
      this.#isDue.closeUnsafe()
    } else if (this.isOpen && this.#returnedAt === 0) {
      this.#returnedAt = now
      this.#isDue.openUnsafe()
    }
  }

  /** It may have been compared for a reason of its own. */
  onAccount({ reconciledAt, state }: PrivateHealth): void {
    if (this.#returnedAt !== 0 && state === "healthy" && (reconciledAt ?? 0) > this.#returnedAt) this.#end()
  }

  #end(): void {
    this.isOpen = false
    this.#returnedAt = 0
    this.#isDue.closeUnsafe()
  }

  /** Waits until it is time, and compares once; an account that is not healthy is compared before it is. */
  readonly compare: Effect.Effect<void> = Effect.suspend(() => this.#isDue.await).pipe(
    Effect.andThen(Effect.suspend(() => {
      const losses = this.#losses
      return Effect.matchEffect(this.#account.refresh, {
        onFailure: () => Effect.sleep(compareAgain),
        onSuccess: () => Effect.sync(() => losses === this.#losses ? this.#end() : undefined)
      })
    }))
  )
}

class Machine {
  readonly slots: ReadonlyMap<ExchangeId, Slot>
  readonly #clock: Clock.Clock
  readonly #changes: PubSub.PubSub<IslandState>
  readonly #options: MarketsOptions
  /** Called when an island is there, and when it is there no more. */
  readonly listeners = new Set<(slot: Slot) => void>()
  isStopping = false

  constructor(
    slots: ReadonlyMap<ExchangeId, Slot>,
    clock: Clock.Clock,
    changes: PubSub.PubSub<IslandState>,
    options: MarketsOptions
  ) {
    this.slots = slots
    this.#clock = clock
    this.#changes = changes
    this.#options = options
  }

  get now(): number {
    return this.#clock.currentTimeMillisUnsafe()
  }

  enter(slot: Slot, state: IslandState): void {
    slot.state = state
    PubSub.publishUnsafe(this.#changes, state)
  }

  place(slot: Slot, island: Island | undefined): void {
    slot.island = island
    if (island !== undefined) slot.hasAccount = island.account !== null
    if (island === undefined) slot.ready = Deferred.makeUnsafe()
    for (const listener of this.listeners) listener(slot)
    // Who has waited goes on at once, and whoever listens from then on finds the island there.
    if (island !== undefined) Deferred.doneUnsafe(slot.ready, Effect.succeed(island))
  }

  /** Where the island stands by what its market and its account say. */
  judge(slot: Slot, problems: ReadonlyArray<string>): void {
    if (this.isStopping) return
    const { _tag } = slot.state
    const head = { exchange: slot.exchange, at: this.now }
    if (problems.length === 0) {
      if (_tag !== "Ready") this.enter(slot, { _tag: "Ready", ...head })
    } else if (_tag === "Ready" || (_tag === "Recovering" && slot.state.problems.join() !== problems.join())) {
      this.enter(slot, { _tag: "Recovering", ...head, problems })
    }
  }

  /** One life of an island: until its market or its account ends. */
  readonly life = (slot: Slot): Effect.Effect<never, ExchangeError.ExchangeError | Config.ConfigError> =>
    Effect.scoped(Effect.gen({ self: this }, function*() {
      this.enter(slot, { _tag: "Starting", exchange: slot.exchange, at: this.now })
      // The goodbyes of its sockets run beside the end of its Layers, so that an exchange that answers none takes one wait.
      let closing: Fiber.Fiber<void> | null = null
      yield* Effect.addFinalizer(() => closing === null ? Effect.void : Fiber.await(closing))
      const island = yield* this.start(slot)
      yield* Effect.addFinalizer(() =>
        Effect.map(this.end(slot, island), (fiber) => {
          closing = fiber
        })
      )
      this.place(slot, island)
      return yield* Effect.raceFirst(this.watch(slot, island), this.open(island))
    }))

  #late(exchange: ExchangeId): ExchangeError.ExchangeError {
    const silentForMs = millis(this.#options.startTimeout, defaults.startTimeout)
    return ExchangeError.make(
      exchange,
      new ExchangeError.Silent({ silentForMs, detail: "the exchange was not ready in time" })
    )
  }

  readonly #inTime = <A, E, R>(exchange: ExchangeId, effect: Effect.Effect<A, E, R>) =>
    Effect.timeoutOrElse(effect, {
      duration: millis(this.#options.startTimeout, defaults.startTimeout),
      orElse: () => Effect.fail(this.#late(exchange))
    })

  /** Opens the account, and again when its stream has ended for good; market data does not wait for it. */
  readonly open = ({ account, exchange }: Island): Effect.Effect<never, ExchangeError.ExchangeError> =>
    account === null
      ? Effect.never
      : Effect.andThen(this.#inTime(exchange, account.initialize), Effect.forever(this.#reopen(exchange, account)))

  /** A key that was revoked may be granted again. Does nothing while the account mends itself. */
  readonly #reopen = Effect.fnUntraced({ self: this }, function*(
    this: Machine,
    exchange: ExchangeId,
    account: PrivateExchange["Service"]
  ) {
    yield* Effect.sleep(millis(this.#options.reopenEvery, defaults.reopenEvery))
    if ((yield* account.health).state !== "down") return
    yield* this.#inTime(exchange, account.initialize).pipe(
      Effect.catch((error) =>
        Effect.annotateLogs(Effect.logWarning(`the account is still down: ${error.message}`), { exchange })
      )
    )
  })

  readonly start = Effect.fnUntraced({ self: this }, function*(
    this: Machine,
    { definition, exchange, pairs }: Slot
  ): Effect.fn.Return<Island, ExchangeError.ExchangeError | Config.ConfigError, Scope.Scope> {
    const scope = yield* Effect.scope
    // Its own memory of built Layers: what an earlier life built is gone, and other islands share nothing with it.
    const building = Layer.buildWithMemoMap(definition.layer, Layer.makeMemoMapUnsafe(), scope)
    const starting = Effect.gen(function*() {
      const context = yield* building
      const market = Context.get(context, PublicExchange)
      const account = Context.getOrUndefined(context as Context.Context<unknown>, PrivateExchange) ?? null
      yield* market.initialize(pairs)
      return { exchange, market, account }
    })
    return yield* this.#inTime(exchange, starting)
  })

  readonly watch = (slot: Slot, { account, exchange, market }: Island) => {
    let ofMarket: PublicHealth | null = null
    let ofAccount: PrivateHealth | null = null
    const doubt = account === null ? null : new Doubt(account)
    const closed = ExchangeError.make(exchange, new ExchangeError.Closed({ detail: "its market or account has ended" }))
    const judge = Effect.suspend(() => {
      if (ofMarket?.state === "closed" || ofAccount?.state === "closed") return Effect.fail(closed)
      this.judge(slot, [
        ...marketProblems(ofMarket),
        ...account === null ? [] : accountProblems(ofAccount),
        ...doubt?.isOpen === true ? ["the account is not reconciled since the market was gone"] : []
      ])
      return Effect.void
    })
    const market$ = Stream.runForEach(market.healthChanges, (health) => {
      ofMarket = health
      doubt?.onMarket(health, this.now)
      return judge
    })
    const account$ = account === null ? Effect.never : Stream.runForEach(account.healthChanges, (health) => {
      ofAccount = health
      doubt?.onAccount(health)
      return judge
    })
    const compare = doubt === null ? Effect.never : Effect.forever(Effect.andThen(doubt.compare, judge))
    return Effect.raceFirst(Effect.raceFirst(market$, account$), compare).pipe(Effect.andThen(Effect.fail(closed)))
  }

  readonly end = (slot: Slot, { account, market }: Island) =>
    Effect.suspend(() => {
      const [first, ...rest] = market.pairs()
      if (first !== undefined) slot.pairs = [first, ...rest]
      slot.lastOpen = account?.openOrders() ?? []
      slot.hasOrdered ||= account?.hasOrdered() === true
      this.place(slot, undefined)
      const closes = Effect.all([market.close, account === null ? Effect.void : account.close], {
        concurrency: "unbounded",
        discard: true
      })
      return Effect.forkDetach(closes, { startImmediately: true })
    })

  /** Lives one after the other, until it is given up. */
  readonly run = (slot: Slot): Effect.Effect<void> =>
    Effect.gen({ self: this }, function*() {
      while (true) {
        const began = monotonicMillis(this.#clock)
        const exit = yield* Effect.exit(this.life(slot))
        if (!Exit.isFailure(exit) || Cause.hasInterruptsOnly(exit.cause)) return
        if (monotonicMillis(this.#clock) - began > stableMillis) slot.failures = 0
        const retryIn = yield* this.failed(slot, exit.cause)
        if (retryIn === null) return
        yield* Effect.sleep(retryIn)
      }
    })

  readonly failed = Effect.fnUntraced({ self: this }, function*(
    this: Machine,
    slot: Slot,
    cause: Cause.Cause<ExchangeError.ExchangeError | Config.ConfigError>
  ) {
    const { error, mayPass } = errorOf(slot.exchange, cause)
    const pause = Math.min(
      millis(this.#options.pause, defaults.pause) * 2 ** slot.failures++,
      millis(this.#options.longestPause, defaults.longestPause)
    )
    const retryIn = mayPass ? Math.round(pause * (0.5 + 0.5 * (yield* Random.next))) : null
    this.enter(slot, { _tag: "Failed", exchange: slot.exchange, at: this.now, error, retryIn })
    if (retryIn === null) Deferred.doneUnsafe(slot.ready, Effect.fail(error))
    yield* Effect.logWarning(
      retryIn === null
        ? `given up: ${error.message}`
        : `built anew in ${retryIn} ms: ${error.message}`
    ).pipe(Effect.annotateLogs({ exchange: slot.exchange }))
    return retryIn
  })

  /** What is open where nothing stands can be neither seen nor cancelled: what was open last is told. */
  leaveSlot({ exchange, hasOrdered, island, lastOpen }: Slot, policy: StopPolicy): Effect.Effect<Left> {
    if (island !== undefined && island.account !== null) {
      return this.leave({ account: island.account, exchange, hasOrdered }, policy)
    }
    const problem = "it was not connected: what is open there now is not known"
    return Effect.succeed(leftOf({ exchange, canceled: 0, open: lastOpen, problem, hasOrdered }))
  }

  /** Cancels what is open and says what is left; where the account may not be up to date, and for what is kept, the exchange is asked. */
  readonly leave = Effect.fnUntraced({ self: this }, function*(
    this: Machine,
    { account, exchange, hasOrdered }: {
      readonly account: PrivateExchange["Service"]
      readonly exchange: ExchangeId
      /** In an earlier life of the island. */
      readonly hasOrdered: boolean
    },
    policy: StopPolicy
  ): Effect.fn.Return<Left> {
    // A stream may be silent without a word. What is cancelled tells it by its answers, what is kept does not.
    let isKnown = policy === "cancel" && isUpToDate(yield* account.health)
    let isAsked = isKnown
    let refusal: string | null = null
    const ask = Effect.match(Effect.suspend(() => isKnown ? Effect.void : account.refresh), {
      onFailure: ({ message }) => {
        refusal = message
      },
      onSuccess: () => {
        isKnown = true
      }
    }).pipe(Effect.ensuring(Effect.sync(() => {
      isAsked = true
    })))
    const cancel = policy === "keep" ? null : new CancelOpen(account, () => isAsked)
    const ending = cancel === null ? Effect.succeed([]) : cancel.run
    const left = yield* Effect.all([ask, ending], { concurrency: 2 }).pipe(
      Effect.map(([, refused]) => refused),
      Effect.timeoutOrElse({
        duration: millis(this.#options.stopTimeout, defaults.stopTimeout),
        orElse: () =>
          Effect.sync(() => [...isKnown || refusal !== null ? [] : [unanswered], ...cancel?.problems() ?? []])
      })
    )
    const open = account.openOrders()
    const problems = new Set([
      ...refusal === null ? [] : [refusal],
      ...left,
      ...isKnown ? [] : ["what is open there now is not known"]
    ])
    const problem = problems.size === 0 ? null : [...problems].join("; ")
    return leftOf({
      exchange,
      canceled: cancel?.canceled() ?? 0,
      open,
      problem,
      hasOrdered: hasOrdered || account.hasOrdered()
    })
  })
}

/** As far as its stream tells. */
const isUpToDate = ({ isAuthenticated, reconciledAt }: PrivateHealth): boolean =>
  isAuthenticated && reconciledAt !== null

/** Where nothing was ordered a problem leaves nothing of the program behind, and says so. */
const leftOf = (left: Left): Left =>
  left.problem === null || left.hasOrdered
    ? left
    : { ...left, problem: `${left.problem}; this program has ordered nothing there` }

/** Requirements of every definition together. */
type Needs<D> = D extends Readonly<Record<string, Definition<infer R>>> ? R : never

/** Starts every island at once and keeps it until the scope closes. Never fails: an island that cannot be built is `Failed`. */
export const make = Effect.fnUntraced(function*<const D extends Readonly<Record<ExchangeId, Definition<never>>>>(
  definitions: D,
  options: MarketsOptions = {}
): Effect.fn.Return<Markets["Service"], never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const changes = yield* PubSub.sliding<IslandState>({ capacity: 256 })
  const slots = new Map<ExchangeId, Slot>(
    Object.entries(definitions).map(([exchange, definition]) => [exchange, {
      exchange,
      definition,
      state: { _tag: "Starting", exchange, at: clock.currentTimeMillisUnsafe() },
      island: undefined,
      ready: Deferred.makeUnsafe(),
      hasAccount: null,
      lastOpen: [],
      hasOrdered: false,
      pairs: definition.pairs,
      failures: 0,
      restarting: Semaphore.makeUnsafe(1)
    }])
  )
  const machine = new Machine(slots, clock, changes, options)
  const fibers = yield* FiberMap.make<ExchangeId>()
  for (const slot of slots.values()) yield* FiberMap.run(fibers, slot.exchange, machine.run(slot))

  const get = (id: ExchangeId): Effect.Effect<Island, ExchangeError.ExchangeError> => {
    const slot = slots.get(id)
    if (slot === undefined) {
      return Effect.fail(invalid(id, `${id} is not in this program; there are ${[...slots.keys()].join(", ")}`))
    }
    return Effect.suspend(() => machine.isStopping ? Effect.fail(stopped(id)) : Deferred.await(slot.ready))
  }

  const stream = Stream.unwrap(Effect.gen(function*() {
    const subscription = yield* PubSub.subscribe(changes)
    const present = [...slots.values()].map(({ state }) => state)
    return Stream.concat(Stream.fromIterable(present), Stream.fromSubscription(subscription))
  }))

  const each: Markets["Service"]["each"] = Effect.fnUntraced(function*(use) {
    const users = yield* FiberMap.make<ExchangeId>()
    const run = yield* FiberMap.runtime(users)<never>()
    // A new run takes the place of the one before it.
    const follow = ({ exchange, island }: Slot): void => {
      run(exchange, island === undefined ? Effect.void : Effect.scoped(Effect.andThen(use(island), Effect.never)))
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        machine.listeners.add(follow)
        for (const slot of slots.values()) if (slot.island !== undefined) follow(slot)
      }),
      () => Effect.sync(() => machine.listeners.delete(follow))
    )
  })

  const restartSlot = Effect.fnUntraced(function*(slot: Slot) {
    if (machine.isStopping) return
    yield* FiberMap.remove(fibers, slot.exchange)
    // The end of the program may have come while its sockets were closed.
    if (machine.isStopping) return
    slot.failures = 0
    // Who waits for the life that is over gets the next one.
    if (Deferred.isDoneUnsafe(slot.ready)) slot.ready = Deferred.makeUnsafe()
    yield* FiberMap.run(fibers, slot.exchange, Effect.interruptible(machine.run(slot)))
  })

  /** One at a time and to its end: else a life might begin beside another one, or none behind it. */
  const restart = (id: ExchangeId): Effect.Effect<void> => {
    const slot = slots.get(id)
    return slot === undefined ? Effect.void : Effect.uninterruptible(slot.restarting.withPermits(1)(restartSlot(slot)))
  }

  const stop = Effect.fnUntraced(function*(policy: StopPolicy) {
    if (machine.isStopping) return []
    machine.isStopping = true
    const left = yield* Effect.forEach(
      [...slots.values()].filter(({ hasAccount }) => hasAccount !== false),
      // Whoever ends a program may not be interrupted, and waits no longer for an exchange all the same.
      (slot) => Effect.interruptible(machine.leaveSlot(slot, policy)),
      { concurrency: "unbounded" }
    )
    const closing = yield* Effect.forkDetach(Effect.timeoutOption(FiberMap.clear(fibers), closeMillis))
    yield* Fiber.await(closing)
    for (const slot of slots.values()) {
      machine.enter(slot, { _tag: "Stopped", exchange: slot.exchange, at: machine.now })
      Deferred.doneUnsafe(slot.ready, Effect.fail(stopped(slot.exchange)))
    }
    return left
  })

  return Markets.of({
    ids: [...slots.keys()],
    get,
    current: (id) => slots.get(id)?.island,
    state: (id) => slots.get(id)?.state,
    mayTrade: (id) => {
      const slot = slots.get(id)
      return !machine.isStopping && slot?.state._tag === "Ready" && (slot.island?.account ?? null) !== null
    },
    changes: stream,
    each,
    restart,
    stop
  })
})

const stopped = (exchange: ExchangeId): ExchangeError.ExchangeError =>
  ExchangeError.make(exchange, new ExchangeError.Closed({ detail: "the program is shutting down" }))

/** `Markets` of these exchanges, by id. */
export const layer = <const D extends Readonly<Record<ExchangeId, Definition<unknown>>>>(
  definitions: D,
  options?: MarketsOptions
): Layer.Layer<Markets, never, Needs<D>> =>
  Layer.effect(
    Markets,
    Effect.contextWith((context: Context.Context<Needs<D>>) => {
      const given = Layer.succeedContext(context)
      const closed = Object.fromEntries(
        Object.entries(definitions).map(([id, { layer, pairs }]) => [id, { layer: Layer.provide(layer, given), pairs }])
      )
      return make(closed as Readonly<Record<ExchangeId, Definition>>, options)
    })
  )
