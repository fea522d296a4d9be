/**
 * A `PublicWebsocket` for tests of your own program: no socket, no clock to wait for. You say what the exchange sends,
 * refuses and loses; subscriptions, buffers, overflow and handlers are the real ones.
 *
 * Books are not aligned here: subscribers see exactly the snapshots, deltas and gaps that you emit.
 */
import { Clock, Context, Effect, Layer, PubSub } from "effect"
import type { PublicChannel, PublicTag } from "./domain/Channel.ts"
import { publicTags, tagOf } from "./domain/Channel.ts"
import type { ConnectionStatus, GapCause } from "./domain/Feed.ts"
import type { ExchangeId, TradingPair } from "./domain/Instrument.ts"
import type { BookTicker, BookUpdate, MarketEvent, Trade } from "./domain/Market.ts"
import type { ExchangeAdapter, Topic } from "./ExchangeAdapter.ts"
import * as ExchangeError from "./ExchangeError.ts"
import type { Progress } from "./PublicWebsocket.ts"
import { PublicWebsocket } from "./PublicWebsocket.ts"
import { Counters } from "./session/Counters.ts"
import * as PublicSession from "./session/PublicSession.ts"
import type { Held, Session } from "./session/Session.ts"
import * as SessionMetrics from "./session/SessionMetrics.ts"
import * as StatusBoard from "./session/StatusBoard.ts"
import { Wakeups } from "./session/Subscriber.ts"
import { TopicState } from "./session/Topics.ts"

export class TestControl extends Context.Service<TestControl, {
  /** Sends an event to whoever is subscribed to its pair and channel; returns how many topics took it. */
  readonly emit: (...events: ReadonlyArray<MarketEvent>) => Effect.Effect<number>
  /** Reports a break on a channel of a pair. */
  readonly gap: (channel: PublicChannel, cause: GapCause, detail?: { readonly lost?: number }) => Effect.Effect<void>
  /** From now on the pair is refused, as an exchange refuses an unknown symbol. */
  readonly reject: (pair: TradingPair, detail?: string) => Effect.Effect<void>
  /** Ends every stream with a permanent error, as a connection does that cannot be dialled again. */
  readonly fail: (error: ExchangeError.ExchangeError) => Effect.Effect<void>
  /** Loses the connection and finds it again: a gap on every topic, and both changes in `status`. */
  readonly reconnect: Effect.Effect<void>
  /** The channels that are subscribed now. */
  readonly subscriptions: Effect.Effect<ReadonlyArray<PublicChannel>>
  /** Waits until somebody is subscribed. */
  readonly awaitSubscribed: (channel: PublicChannel) => Effect.Effect<void>
}>()("effect-exchange/PublicWebsocketTest/TestControl") {}

export interface TestOptions {
  readonly exchange?: ExchangeId | undefined
  readonly channels?: ReadonlyArray<PublicTag> | undefined
}

const keyOf = (channel: PublicChannel): string => `${channel._tag}|${channel.pair}`

const make = Effect.fnUntraced(function*(options: TestOptions) {
  const clock = yield* Clock.Clock
  const counters = new Counters()
  const wakeups = new Wakeups()
  const topics = new Map<string, { readonly state: TopicState; holders: number }>()
  const refused = new Map<TradingPair, string>()
  const board = yield* StatusBoard.make(() => counters.handlerFailures++)
  const changes = yield* PubSub.sliding<string>(256)
  const exchange = options.exchange ?? "test"
  const channels = new Set<PublicTag>(options.channels ?? publicTags)
  const now = () => clock.currentTimeMillisUnsafe()
  let connected = true
  let failure: ExchangeError.ExchangeError | null = null

  const statusOf = (): ConnectionStatus =>
    connected
      ? { _tag: "Connected", exchange, connection: 1, at: now() }
      : {
        _tag: "Disconnected",
        exchange,
        connection: 1,
        at: now(),
        reason: "Disconnected",
        message: "the test dropped the connection",
        retryIn: 0
      }

  const announce = (): void => board.publish(statusOf())
  announce()

  const topicOf = (channel: PublicChannel) => {
    const key = keyOf(channel)
    const known = topics.get(key)
    if (known !== undefined) return known
    const topic: Topic = {
      key,
      channel: channel._tag,
      symbol: channel.pair,
      pair: channel.pair,
      contractSize: 1,
      slot: null
    }
    const made = {
      state: new TopicState(topic, channel, null, { counters, now, monotonic: now, requestSnapshot: () => {} }),
      holders: 0
    }
    topics.set(key, made)
    return made
  }

  const admit = (channel: PublicChannel): Effect.Effect<void, ExchangeError.ExchangeError> => {
    if (failure !== null) return Effect.fail(failure)
    const where = { channel: channel._tag, symbol: channel.pair }
    if (!channels.has(channel._tag)) {
      const detail = `this test exchange offers ${[...channels].join(", ")}`
      return Effect.fail(ExchangeError.make(exchange, new ExchangeError.UnsupportedChannel({ ...where, detail })))
    }
    const detail = refused.get(channel.pair)
    if (detail === undefined) return Effect.void
    const topic = keyOf(channel)
    return Effect.fail(ExchangeError.make(
      exchange,
      new ExchangeError.SubscriptionRejected({ ...where, topic, code: "test", detail, class: "item" })
    ))
  }

  const acquire = Effect.fnUntraced(function*(channel: PublicChannel, prepare: (held: Held) => () => void) {
    yield* admit(channel)
    const entry = topicOf(channel)
    const held: Held = {
      topic: entry.state.topic,
      failed: () => entry.state.failed,
      add: (subscriber) => {
        const route = entry.state.add(subscriber)
        return () => entry.state.remove(route)
      }
    }
    yield* Effect.acquireRelease(Effect.sync(() => prepare(held)), (undo) => Effect.sync(undo))
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        entry.holders++
        entry.state.begun = true
        counters.requested++
        counters.confirmed++
        PubSub.publishUnsafe(changes, keyOf(channel))
      }),
      () => Effect.sync(() => entry.holders--)
    )
    return held
  })

  const progress = (): Progress => {
    const wanted = [...topics.values()].filter(({ holders }) => holders > 0).length
    return { wanted, confirmed: wanted, rejected: 0, books: 0, booksSynced: 0, sockets: 1 }
  }

  const session: Session = {
    adapter: { id: exchange, channels } as unknown as ExchangeAdapter,
    counters,
    wakeups,
    ordered: Effect.succeed,
    acquire,
    missed: () => false,
    isConnected: Effect.sync(() => connected),
    status: board.stream,
    onStatus: board.listen,
    performance: Effect.sync(() => ({
      ...counters.totals(),
      exchange,
      heapBytes: SessionMetrics.heapBytes(),
      connections: 1,
      connected: connected ? 1 : 0,
      sockets: [],
      lanes: [],
      progress: progress(),
      topics: [...topics.values()].map(({ state }) => state.performance())
    }))
  }

  const emitOne = (event: MarketEvent): number => {
    counters.events++
    const entry = topics.get(`${tagOf[event._tag]}|${event.pair}`)
    if (entry === undefined) return 0
    entry.state.onEvent(event)
    return 1
  }

  const isHeld = (key: string): boolean => (topics.get(key)?.holders ?? 0) > 0

  const control = TestControl.of({
    emit: (...events) =>
      Effect.sync(() => {
        let taken = 0
        for (const event of events) taken += emitOne(event)
        wakeups.flush()
        return taken
      }),
    gap: (channel, cause, detail) =>
      Effect.sync(() => {
        const { state } = topicOf(channel)
        const gap = state.makeGap(cause, detail)
        for (const route of state.routes) state.emitGap(route, gap)
        wakeups.flush()
      }),
    reject: (pair, detail) => Effect.sync(() => void refused.set(pair, detail ?? `unknown currency pair: ${pair}`)),
    fail: (error) =>
      Effect.sync(() => {
        failure = error
        connected = false
        for (const { state } of topics.values()) state.fail(error, "connection")
        announce()
        wakeups.flush()
      }),
    reconnect: Effect.sync(() => {
      connected = false
      announce()
      for (const { state } of topics.values()) {
        state.begun = true
        state.interrupt("Reconnected")
      }
      connected = true
      counters.reconnects++
      announce()
      wakeups.flush()
    }),
    subscriptions: Effect.sync(() =>
      [...topics.values()].filter((entry) => entry.holders > 0).map((entry) => entry.state.channel)
    ),
    awaitSubscribed: (channel) =>
      Effect.scoped(Effect.gen(function*() {
        const subscription = yield* PubSub.subscribe(changes)
        while (!isHeld(keyOf(channel))) yield* PubSub.take(subscription)
      }))
  })

  const service = yield* PublicSession.make(session)
  return Context.make(PublicWebsocket, service).pipe(Context.add(TestControl, control))
})

/** `PublicWebsocket` and the control that scripts it. */
export const layer = (options: TestOptions = {}): Layer.Layer<PublicWebsocket | TestControl> =>
  Layer.effectContext(make(options))

/** A ticker with what the test does not care about filled in. */
export const bookTicker = (pair: TradingPair, fields: Partial<BookTicker> = {}): BookTicker => ({
  _tag: "BookTicker",
  pair,
  symbol: pair,
  bidPrice: 100,
  bidQuantity: 1,
  askPrice: 101,
  askQuantity: 1,
  version: 1,
  exchangeTime: 0,
  receivedAt: 0,
  contractSize: 1,
  exact: null,
  ...fields
})

/** A trade with what the test does not care about filled in. */
export const trade = (pair: TradingPair, fields: Partial<Trade> = {}): Trade => ({
  _tag: "Trade",
  pair,
  symbol: pair,
  id: "1",
  price: 100,
  quantity: 1,
  side: "buy",
  exchangeTime: 0,
  receivedAt: 0,
  contractSize: 1,
  exact: null,
  ...fields
})

/** A whole book: flat `[price, quantity, …]` lists. */
export const snapshot = (pair: TradingPair, fields: Partial<BookUpdate> = {}): BookUpdate => ({
  _tag: "BookUpdate",
  kind: "snapshot",
  pair,
  symbol: pair,
  bids: [],
  asks: [],
  firstVersion: fields.version ?? 1,
  version: 1,
  exchangeTime: 0,
  receivedAt: 0,
  contractSize: 1,
  exact: null,
  ...fields
})

/** Changes to a book: flat `[price, quantity, …]` lists, 0 removes. */
export const delta = (pair: TradingPair, fields: Partial<BookUpdate> = {}): BookUpdate => ({
  ...snapshot(pair),
  kind: "delta",
  ...fields
})
