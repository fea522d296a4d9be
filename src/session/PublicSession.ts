/** The members of `PublicWebsocket` over a session: feeds of their own, and the one session of pairs and channels. */
import { Cause, Deferred, Effect, Exit, Result, Scope, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { ChannelChoice, EventOf, PublicChannel } from "../domain/Channel.ts"
import { forPair } from "../domain/Channel.ts"
import type { Feed } from "../domain/Feed.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type { MarketEvent } from "../domain/Market.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { FeedHandlers, FeedOptions, PublicWebsocketHandlers, Subscribed } from "../PublicWebsocket.ts"
import { channelsOf, PublicWebsocket } from "../PublicWebsocket.ts"
import * as FailureLog from "./FailureLog.ts"
import { FeedSubscriber, HandlerSubscriber } from "./Handlers.ts"
import type { Held, Session } from "./Session.ts"
import { BufferSubscriber, defaultBufferSize } from "./Subscriber.ts"
import * as TopicErrors from "./TopicErrors.ts"
import type { Subscriber } from "./Topics.ts"

export interface PublicSessionOptions {
  /** Events held for each stream that does not say otherwise. */
  readonly bufferSize?: number | undefined
}

/** A pair of the session: its subscriptions live in the scope. */
interface Member {
  readonly scope: Scope.Closeable
  readonly held: Array<Held>
  /** What the exchange answered; null when who asked gave up waiting. */
  readonly answer: Deferred.Deferred<Result.Result<void, ExchangeError.ExchangeError> | null>
}

/** A consumer of the session and where it stands. */
interface Consumer {
  readonly subscriber: Subscriber
  readonly leave: Map<Held, () => void>
  readonly end: (exit: Ended) => void
}

/** A feed of its own. */
interface Single {
  readonly end: (exit: Ended) => void
  readonly close: Effect.Effect<void>
}

/** How streams end: done after `close`, with `Closed` when the Layer goes. */
type Ended = Exit.Exit<never, ExchangeError.ExchangeError | Cause.Done>

type State =
  | { readonly _tag: "Idle" }
  | { readonly _tag: "Open"; readonly channels: NonEmptyReadonlyArray<ChannelChoice> }
  | { readonly _tag: "Closed" }

export const make = Effect.fnUntraced(function*(
  session: Session,
  options: PublicSessionOptions = {}
): Effect.fn.Return<PublicWebsocket["Service"], never, Scope.Scope> {
  const { adapter, counters, wakeups } = session
  const layerScope = yield* Effect.scope
  const report = yield* FailureLog.make(`[${adapter.id}] a handler failed; the others go on`)
  const bufferSize = options.bufferSize ?? defaultBufferSize
  const members = new Map<TradingPair, Member>()
  const consumers = new Set<Consumer>()
  const feeds = new Set<Single>()
  let state: State = { _tag: "Idle" }

  const invalid = (detail: string) => ExchangeError.make(adapter.id, new ExchangeError.InvalidUse({ detail }))

  const closed = ExchangeError.make(
    adapter.id,
    new ExchangeError.Closed({ detail: "it was closed, or its Layer has ended; build the Layer anew" })
  )

  const opened: Effect.Effect<NonEmptyReadonlyArray<ChannelChoice>, ExchangeError.ExchangeError> = Effect.suspend(() =>
    state._tag === "Open"
      ? Effect.succeed(state.channels)
      : Effect.fail(state._tag === "Closed" ? closed : invalid("call initialize(pairs, channels) first"))
  )

  const enter = (consumer: Consumer, held: Held): void => {
    consumer.leave.set(held, held.add(consumer.subscriber))
  }

  const depart = (held: Held): void => {
    for (const consumer of consumers) {
      consumer.leave.get(held)?.()
      consumer.leave.delete(held)
    }
  }

  /** Subscribes one channel of a pair, with every consumer on it before the request leaves. */
  const join = (member: Member, channel: PublicChannel) =>
    session.acquire(channel, (held) => {
      member.held.push(held)
      for (const consumer of consumers) enter(consumer, held)
      return () => depart(held)
    })

  const addPair = Effect.fnUntraced(function*(pair: TradingPair, channels: ReadonlyArray<ChannelChoice>) {
    const member: Member = { scope: yield* Scope.fork(layerScope), held: [], answer: Deferred.makeUnsafe() }
    members.set(pair, member)
    return yield* Effect.forEach(channels, (choice) => join(member, forPair(choice, pair)), {
      concurrency: "unbounded",
      discard: true
    }).pipe(
      Scope.provide(member.scope),
      Effect.onError(() => remove(pair, member)),
      Effect.result,
      Effect.onExit((exit) => Deferred.succeed(member.answer, Exit.isSuccess(exit) ? exit.value : null))
    )
  })

  /** The pair may stand for another member by now, which stays. */
  const remove = (pair: TradingPair, member: Member): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (members.get(pair) === member) members.delete(pair)
      return Scope.close(member.scope, Exit.void)
    })

  const removePair = (pair: TradingPair): Effect.Effect<void> =>
    Effect.suspend(() => {
      const member = members.get(pair)
      return member === undefined ? Effect.void : remove(pair, member)
    })

  /** Of who asked first, unless a channel of it has failed for good since: then it is asked for anew. */
  const ensurePair = (
    pair: TradingPair,
    channels: ReadonlyArray<ChannelChoice>
  ): Effect.Effect<Result.Result<void, ExchangeError.ExchangeError>> =>
    Effect.suspend(() => {
      const member = members.get(pair)
      if (member === undefined) return addPair(pair, channels)
      if (member.held.some((held) => held.failed())) {
        return Effect.andThen(remove(pair, member), addPair(pair, channels))
      }
      return Effect.flatMap(
        Deferred.await(member.answer),
        (answer) => answer === null ? ensurePair(pair, channels) : Effect.succeed(answer)
      )
    })

  const addPairs = Effect.fnUntraced(function*(
    pairs: ReadonlyArray<TradingPair>,
    channels: ReadonlyArray<ChannelChoice>
  ): Effect.fn.Return<Subscribed, ExchangeError.ExchangeError> {
    const accepted: Array<TradingPair> = []
    const rejected = new Map<TradingPair, ExchangeError.ExchangeError>()
    yield* Effect.forEach(
      yield* session.ordered([...new Set(pairs)], channels.length),
      (pair) =>
        Effect.map(ensurePair(pair, channels), (result) => {
          if (Result.isSuccess(result)) accepted.push(pair)
          else rejected.set(pair, result.failure)
        }),
      { concurrency: "unbounded", discard: true }
    )
    const first = [...rejected.values()][0]
    if (accepted.length === 0 && first !== undefined) return yield* first
    return { accepted, rejected }
  })

  const requirePairs = (pairs: ReadonlyArray<TradingPair>): Effect.Effect<void, ExchangeError.ExchangeError> =>
    pairs.length === 0 ? Effect.fail(invalid("at least one pair is needed")) : Effect.void

  const dropPairs = Effect.suspend(() => Effect.forEach([...members.keys()], removePair, { discard: true }))

  const initialize = Effect.fn("PublicWebsocket.initialize")(function*(
    pairs: NonEmptyReadonlyArray<TradingPair>,
    channels: NonEmptyReadonlyArray<ChannelChoice>
  ): Effect.fn.Return<Subscribed, ExchangeError.ExchangeError> {
    yield* requirePairs(pairs)
    if (channels.length === 0) return yield* invalid("at least one channel is needed")
    if (state._tag === "Closed") return yield* closed
    if (state._tag === "Open") return yield* invalid("the session is open: use subscribe(pairs), or close it first")
    state = { _tag: "Open", channels }
    // Refused, interrupted or died: nothing of it may stay behind, for the next call begins anew.
    return yield* addPairs(pairs, channels).pipe(Effect.onError(() =>
      Effect.suspend(() => {
        if (state._tag === "Open") state = { _tag: "Idle" }
        return dropPairs
      })
    ))
  })

  const subscribe = Effect.fn("PublicWebsocket.subscribe")(function*(pairs: NonEmptyReadonlyArray<TradingPair>) {
    yield* requirePairs(pairs)
    return yield* addPairs(pairs, yield* opened)
  })

  const unsubscribe = Effect.fn("PublicWebsocket.unsubscribe")(function*(pairs: NonEmptyReadonlyArray<TradingPair>) {
    yield* opened
    yield* Effect.forEach(pairs, removePair, { discard: true })
  })

  const consume = (
    subscriber: Subscriber,
    end: (exit: Ended) => void
  ): Effect.Effect<void, ExchangeError.ExchangeError, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        if (state._tag === "Closed") return Effect.fail(closed)
        const consumer: Consumer = { subscriber, leave: new Map(), end }
        consumers.add(consumer)
        for (const member of members.values()) for (const held of member.held) enter(consumer, held)
        return Effect.succeed(consumer)
      }),
      (consumer) =>
        Effect.sync(() => {
          consumers.delete(consumer)
          for (const leave of consumer.leave.values()) leave()
        })
    )

  const buffer = (feedOptions: FeedOptions | undefined, onTopicFailure: "end" | "gap") =>
    new BufferSubscriber({
      exchange: adapter.id,
      bufferSize: Math.max(1, feedOptions?.bufferSize ?? bufferSize),
      block: feedOptions?.overflow === "block",
      wakeups,
      counters,
      onTopicFailure
    })

  const events = Stream.unwrap(Effect.gen(function*() {
    const subscriber = buffer(undefined, "gap")
    yield* Effect.addFinalizer(() => Effect.sync(() => subscriber.leave()))
    yield* consume(subscriber, (exit) => subscriber.end(exit))
    return subscriber.stream
  }))

  const handle = Effect.fnUntraced(function*(handlers: PublicWebsocketHandlers) {
    const lacking = channelsOf(handlers).find((tag) => !adapter.channels.has(tag))
    if (lacking !== undefined) return yield* TopicErrors.noChannel(adapter, lacking)
    const subscriber = new HandlerSubscriber(handlers, counters, report)
    yield* Effect.addFinalizer(() => Effect.sync(() => subscriber.leave()))
    yield* consume(subscriber, () => subscriber.leave())
    const { onStatus } = handlers
    if (onStatus !== undefined) {
      yield* Effect.acquireRelease(Effect.sync(() => session.onStatus(onStatus)), Effect.sync)
    }
  })

  const shutDown = (exit: Ended): Effect.Effect<void> =>
    Effect.suspend(() => {
      state = { _tag: "Closed" }
      for (const consumer of consumers) consumer.end(exit)
      for (const { end } of feeds) end(exit)
      return Effect.andThen(dropPairs, Effect.forEach([...feeds], (single) => single.close, { discard: true }))
    })

  const close = shutDown(Exit.fail(Cause.Done()))

  /** One topic for one subscriber, until the caller's scope closes or `close` is called, whichever comes first. */
  const single = Effect.fnUntraced(function*(
    channel: PublicChannel,
    subscriber: Subscriber & { readonly leave: () => void },
    end: Single["end"]
  ) {
    if (state._tag === "Closed") return yield* closed
    const scope = yield* Scope.make()
    const self: Single = {
      end,
      close: Effect.suspend(() => {
        feeds.delete(self)
        return Scope.close(scope, Exit.void)
      })
    }
    feeds.add(self)
    yield* Effect.addFinalizer(() => self.close)
    yield* Scope.addFinalizer(scope, Effect.sync(() => subscriber.leave()))
    yield* Scope.provide(session.acquire(channel, (held) => held.add(subscriber)), scope)
  })

  const feed = Effect.fnUntraced(function*(channel: PublicChannel, feedOptions?: FeedOptions) {
    const subscriber = buffer(feedOptions, "end")
    yield* single(channel, subscriber, (exit) => subscriber.end(exit))
    return subscriber.stream
  })

  const handleFeed = Effect.fnUntraced(function*(channel: PublicChannel, handlers: FeedHandlers<MarketEvent>) {
    const subscriber = new FeedSubscriber({ handlers, wakeups, counters, report })
    yield* single(channel, subscriber, () => subscriber.end(closed))
  })

  // Whoever reads on after the Layer has gone did not ask for the end: it is told.
  yield* Effect.addFinalizer(() => shutDown(Exit.fail(closed)))

  return PublicWebsocket.of({
    exchange: adapter.id,
    channels: adapter.channels,
    initialize,
    subscribe,
    unsubscribe,
    events,
    handle,
    close,
    isConnected: session.isConnected,
    status: session.status,
    performance: session.performance,
    reportMissed: session.missed,
    // The two places where the union of all events becomes the event of this channel: the topic carries nothing else.
    feed: feed as <const C extends PublicChannel>(
      channel: C,
      options?: FeedOptions
    ) => Effect.Effect<
      Stream.Stream<Feed<EventOf<C>>, ExchangeError.ExchangeError>,
      ExchangeError.ExchangeError,
      Scope.Scope
    >,
    handleFeed: handleFeed as <const C extends PublicChannel>(
      channel: C,
      handlers: FeedHandlers<EventOf<C>>
    ) => Effect.Effect<void, ExchangeError.ExchangeError, Scope.Scope>
  })
})
