/**
 * A `PrivateWebsocket` for tests of your own program: no socket, no key, no clock to wait for. You say what happens in the
 * account, what the stream misses and what reconciliation then finds. What you emit is delivered as it is: nothing is
 * merged, dropped as a duplicate or put in order. Who comes later is told open orders, balances and positions first.
 */
import { Cause, Clock, Context, Effect, Layer, PubSub, Queue, Stream } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { AccountEvent, Balance, Fill, Order, OrderUpdate, Position } from "./domain/Account.ts"
import { isFinal } from "./domain/Account.ts"
import * as Decimal from "./domain/Decimal.ts"
import type { ConnectionStatus } from "./domain/Feed.ts"
import type { ExchangeId, TradingPair } from "./domain/Instrument.ts"
import type { PrivateTag } from "./domain/PrivateChannel.ts"
import { tagOf } from "./domain/PrivateChannel.ts"
import * as ExchangeError from "./ExchangeError.ts"
import type { AccountFeed, AccountGap, PrivateWebsocketHandlers } from "./PrivateWebsocket.ts"
import { channelsOf, PrivateWebsocket } from "./PrivateWebsocket.ts"
import * as StatusBoard from "./session/StatusBoard.ts"

export class TestControl extends Context.Service<TestControl, {
  /** Sends events to whoever has their channel; returns how many of them somebody took. */
  readonly emit: (...events: ReadonlyArray<AccountEvent>) => Effect.Effect<number>
  /** Reports a break on a channel. */
  readonly gap: (
    channel: PrivateTag,
    cause: AccountGap["cause"],
    detail?: { readonly lost?: number }
  ) => Effect.Effect<void>
  /** What the stream does not bring: the next reconciliation does, each marked `Reconciled`. */
  readonly miss: (...events: ReadonlyArray<AccountEvent>) => Effect.Effect<void>
  /** Loses the connection and finds it again: a gap on every channel, then what was missed, and both changes in `status`. */
  readonly reconnect: Effect.Effect<void>
  /** From now on the key is refused: `initialize` and `feed` fail with `AuthRejected`. */
  readonly reject: (detail?: string) => Effect.Effect<void>
  /** Ends every stream with a permanent error, as a key does that has been revoked. */
  readonly fail: (error: ExchangeError.ExchangeError) => Effect.Effect<void>
  /** The channels that somebody has now. */
  readonly subscriptions: Effect.Effect<ReadonlyArray<PrivateTag>>
  /** Waits until somebody has the channel. */
  readonly awaitSubscribed: (channel: PrivateTag) => Effect.Effect<void>
}>()("effect-exchange/PrivateWebsocketTest/TestControl") {}

export interface TestOptions {
  readonly exchange?: ExchangeId | undefined
  /** Name of the account in the program; `test` when left out. */
  readonly account?: string | undefined
  readonly channels?: NonEmptyReadonlyArray<PrivateTag> | undefined
}

const allChannels: NonEmptyReadonlyArray<PrivateTag> = [
  "Orders",
  "Fills",
  "Balances",
  "Positions",
  "AutoDeleverages",
  "PositionCloses"
]

type Item = AccountFeed<AccountEvent>
type End = Cause.Cause<ExchangeError.ExchangeError | Cause.Done>

/** Of the session (`channel` null: whatever it has been opened on) or a feed of its own. */
interface Consumer {
  readonly channel: PrivateTag | null
  readonly take: (item: Item) => void
  readonly end: (cause: End) => void
}

/** The state that an event leaves, by its name; null where it ends, undefined where there is none. */
const standing = (event: AccountEvent): readonly [name: string, event: AccountEvent | null] | undefined => {
  switch (event._tag) {
    case "OrderUpdate":
      return [`order ${event.symbol} ${event.orderId}`, isFinal(event.status) ? null : event]
    case "Balance":
      return [`balance ${event.asset}`, event]
    case "Position":
      return [`position ${event.symbol} ${event.side}`, event.size.value === 0n ? null : event]
    default:
      return undefined
  }
}

const call = (handlers: PrivateWebsocketHandlers, item: Item): void => {
  if (item._tag === "Gap") return handlers.onGap?.(item)
  const handlersByTag = {
    OrderUpdate: handlers.onOrder,
    Fill: handlers.onFill,
    Balance: handlers.onBalance,
    Position: handlers.onPosition,
    LeverageChange: handlers.onLeverage,
    AutoDeleverage: handlers.onAutoDeleverage,
    PositionClose: handlers.onPositionClose
  }
  // Each tag's handler takes that tag's event.
  const handler = handlersByTag[item.value._tag] as ((event: AccountEvent) => void) | undefined
  handler?.(item.value)
}

const make = Effect.fnUntraced(function*(options: TestOptions) {
  const clock = yield* Clock.Clock
  const exchange = options.exchange ?? "test"
  const account = options.account ?? "test"
  const channels = new Set(options.channels ?? allChannels)
  const counts = {
    frames: 0,
    events: 0,
    delivered: 0,
    gaps: 0,
    reconnects: 0,
    handlerFailures: 0,
    runs: 0,
    recovered: 0
  }
  const board = yield* StatusBoard.make(() => counts.handlerFailures++)
  const changes = yield* PubSub.sliding<PrivateTag>(256)
  const consumers = new Set<Consumer>()
  const missed: Array<AccountEvent> = []
  let session: ReadonlySet<PrivateTag> | null = null
  let state: "Idle" | "Open" | "Closed" = "Idle"
  let connected = true
  let failure: ExchangeError.ExchangeError | null = null
  let reconciledAt: number | null = null

  const now = () => clock.currentTimeMillisUnsafe()
  const invalid = (detail: string) => ExchangeError.make(exchange, new ExchangeError.InvalidUse({ detail }))
  const closed = ExchangeError.make(
    exchange,
    new ExchangeError.Closed({ detail: "it was closed, or its Layer has ended; build the Layer anew" })
  )

  const announce = (): void =>
    board.publish(
      connected ? { _tag: "Connected", exchange, connection: 1, at: now() } : {
        _tag: "Disconnected",
        exchange,
        connection: 1,
        at: now(),
        reason: "Disconnected",
        message: "the test dropped the connection",
        retryIn: 0
      } satisfies ConnectionStatus
    )
  announce()

  const hears = (consumer: Consumer, channel: PrivateTag): boolean =>
    consumer.channel === null ? session?.has(channel) === true : consumer.channel === channel

  /** How many took it. */
  const send = (channel: PrivateTag, item: Item): number => {
    let taken = 0
    for (const consumer of consumers) {
      if (!hears(consumer, channel)) continue
      taken++
      consumer.take(item)
    }
    if (item._tag === "Data") counts.delivered += taken
    return taken
  }

  const present = new Map<string, AccountEvent>()

  const stand = (event: AccountEvent): void => {
    const [name, state] = standing(event) ?? []
    if (name === undefined) return
    if (state === null || state === undefined) present.delete(name)
    else present.set(name, state)
  }

  /** The state of now, to one that has come. */
  const greet = (consumer: Consumer): void => {
    for (const event of present.values()) {
      const value: AccountEvent = { ...event, origin: "Reconciled" }
      if (!hears(consumer, tagOf[value._tag])) continue
      counts.delivered++
      consumer.take({ _tag: "Data", value, receivedAt: value.receivedAt })
    }
  }

  const emitOne = (event: AccountEvent): number => {
    counts.events++
    stand(event)
    return send(tagOf[event._tag], { _tag: "Data", value: event, receivedAt: event.receivedAt })
  }

  const held = (): ReadonlyArray<PrivateTag> =>
    [...channels].filter((channel) =>
      session?.has(channel) === true || [...consumers].some((consumer) => consumer.channel === channel)
    )

  const gap: TestControl["Service"]["gap"] = (channel, cause, detail) =>
    Effect.sync(() => {
      counts.gaps++
      send(channel, { _tag: "Gap", cause, channel, at: now(), ...detail })
    })

  const reconcile = Effect.sync(() => {
    counts.runs++
    reconciledAt = now()
    for (const event of missed.splice(0)) {
      counts.recovered++
      emitOne({ ...event, origin: "Reconciled" })
    }
  })

  const admit = (asked: ReadonlyArray<PrivateTag>): Effect.Effect<void, ExchangeError.ExchangeError> =>
    Effect.suspend(() => {
      if (state === "Closed") return Effect.fail(closed)
      if (failure !== null) return Effect.fail(failure)
      const unknown = asked.find((channel) => !channels.has(channel))
      if (unknown === undefined) return Effect.void
      const detail = `this test exchange offers ${[...channels].join(", ")}`
      return Effect.fail(
        ExchangeError.make(exchange, new ExchangeError.UnsupportedChannel({ channel: unknown, detail }))
      )
    })

  const join = (consumer: Consumer): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        consumers.add(consumer)
        greet(consumer)
        if (consumer.channel !== null) PubSub.publishUnsafe(changes, consumer.channel)
      }),
      () => Effect.sync(() => consumers.delete(consumer))
    )

  const streamOf = Effect.fnUntraced(function*(channel: PrivateTag | null) {
    yield* admit(channel === null ? [] : [channel])
    const queue = yield* Queue.unbounded<Item, ExchangeError.ExchangeError | Cause.Done>()
    yield* join({
      channel,
      take: (item) => Queue.offerUnsafe(queue, item),
      end: (cause) => Queue.failCauseUnsafe(queue, cause)
    })
    return Stream.fromQueue(queue)
  })

  const handle = Effect.fnUntraced(function*(handlers: PrivateWebsocketHandlers) {
    yield* admit(channelsOf(handlers))
    yield* join({
      channel: null,
      take: (item) => {
        try {
          call(handlers, item)
        } catch {
          counts.handlerFailures++
        }
      },
      end: () => {}
    })
    const { onStatus } = handlers
    if (onStatus !== undefined) yield* Effect.acquireRelease(Effect.sync(() => board.listen(onStatus)), Effect.sync)
  })

  const initialize = Effect.fnUntraced(function*(asked?: NonEmptyReadonlyArray<PrivateTag>) {
    yield* admit(asked ?? [])
    if (state === "Open") return yield* invalid("the session is open; close it first")
    state = "Open"
    session = new Set(asked ?? channels)
    for (const consumer of consumers) if (consumer.channel === null) greet(consumer)
    for (const channel of session) PubSub.publishUnsafe(changes, channel)
  })

  const shutDown = (cause: End) =>
    Effect.sync(() => {
      state = "Closed"
      session = null
      for (const consumer of consumers) consumer.end(cause)
    })

  yield* Effect.addFinalizer(() => shutDown(Cause.fail(closed)))

  const service = PrivateWebsocket.of({
    exchange,
    account,
    channels,
    initialize,
    events: Stream.unwrap(streamOf(null)),
    handle,
    close: shutDown(Cause.fail(Cause.Done())),
    isConnected: Effect.sync(() => connected),
    isAuthenticated: Effect.sync(() => connected && failure === null),
    status: board.stream,
    performance: Effect.sync(() => ({
      exchange,
      account,
      frames: counts.events,
      events: counts.events,
      delivered: counts.delivered,
      duplicates: 0,
      gaps: counts.gaps,
      reconnects: counts.reconnects,
      decodeFailures: 0,
      handlerFailures: counts.handlerFailures,
      errors: {},
      reconciliation: {
        pairs: null,
        lastAt: reconciledAt,
        runs: counts.runs,
        failures: 0,
        recovered: counts.recovered
      }
    })),
    reconcile: Effect.andThen(admit([]), reconcile),
    // The union of all events becomes the event of this channel: `send` gives a consumer nothing else.
    feed: streamOf as PrivateWebsocket["Service"]["feed"]
  })

  const control = TestControl.of({
    emit: (...events) => Effect.sync(() => events.filter((event) => emitOne(event) > 0).length),
    gap,
    miss: (...events) => Effect.sync(() => void missed.push(...events)),
    reconnect: Effect.gen(function*() {
      connected = false
      announce()
      counts.reconnects++
      for (const channel of held()) yield* gap(channel, "Reconnected")
      connected = true
      announce()
      yield* reconcile
    }),
    reject: (detail) =>
      Effect.sync(() => {
        const reason = new ExchangeError.AuthRejected({ code: "test", detail: detail ?? "invalid key" })
        failure = ExchangeError.make(exchange, reason)
      }),
    fail: (error) =>
      Effect.sync(() => {
        failure = error
        connected = false
        announce()
        for (const consumer of consumers) consumer.end(Cause.fail(error))
      }),
    subscriptions: Effect.sync(held),
    awaitSubscribed: (channel) =>
      Effect.scoped(Effect.gen(function*() {
        const subscription = yield* PubSub.subscribe(changes)
        while (!held().includes(channel)) yield* PubSub.take(subscription)
      }))
  })

  return Context.make(PrivateWebsocket, service).pipe(Context.add(TestControl, control))
})

/** `PrivateWebsocket` and the control that scripts it. */
export const layer = (options: TestOptions = {}): Layer.Layer<PrivateWebsocket | TestControl> =>
  Layer.effectContext(make(options))

const received = { receivedAt: 0, origin: "Stream" } as const

/** An order with what the test does not care about filled in: a limit order to buy 1 at 100, open. */
export const order = (pair: TradingPair, fields: Partial<Order> = {}): Order => ({
  pair,
  symbol: pair,
  orderId: "1",
  clientOrderId: null,
  side: "buy",
  type: "limit",
  timeInForce: "gtc",
  price: Decimal.of("100"),
  quantity: Decimal.of("1"),
  quoteQuantity: null,
  filledQuantity: Decimal.zero,
  filledQuote: Decimal.zero,
  averagePrice: null,
  status: "new",
  finishedAs: null,
  reduceOnly: null,
  triggerPrice: null,
  createdAt: 0,
  updatedAt: 0,
  ...fields
})

/** The same as an event of `Orders`. */
export const orderUpdate = (pair: TradingPair, fields: Partial<OrderUpdate> = {}): OrderUpdate => ({
  ...order(pair, fields),
  ...received,
  ...fields,
  _tag: "OrderUpdate"
})

/** A fill with what the test does not care about filled in. */
export const fill = (pair: TradingPair, fields: Partial<Fill> = {}): Fill => ({
  _tag: "Fill",
  pair,
  symbol: pair,
  tradeId: "1",
  orderId: "1",
  clientOrderId: null,
  side: "buy",
  price: Decimal.of("100"),
  quantity: Decimal.of("1"),
  liquidity: "taker",
  fee: Decimal.zero,
  feeAsset: null,
  exchangeTime: 0,
  ...received,
  ...fields
})

/** A balance with what the test does not care about filled in. */
export const balance = (asset: string, fields: Partial<Balance> = {}): Balance => ({
  _tag: "Balance",
  asset,
  available: Decimal.zero,
  locked: Decimal.zero,
  total: Decimal.zero,
  change: null,
  cause: null,
  exchangeTime: 0,
  ...received,
  ...fields
})

/** A position with what the test does not care about filled in: flat, cross margin. */
export const position = (pair: TradingPair, fields: Partial<Position> = {}): Position => ({
  _tag: "Position",
  pair,
  symbol: pair,
  side: "net",
  size: Decimal.zero,
  contractSize: 1,
  entryPrice: null,
  leverage: null,
  marginMode: "cross",
  margin: null,
  liquidationPrice: null,
  realisedPnl: null,
  unrealisedPnl: null,
  updateId: null,
  exchangeTime: 0,
  ...received,
  ...fields
})
