/**
 * Runs the library against an exchange as any program would and looks on: a raw connection first, then a session with
 * every feed, whose frames are read a second time beside it.
 */
import { Clock, Duration, Effect, Result, Stream } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as HttpClient from "effect/http/HttpClient"
import type { Batch, Connection, Dial } from "../../connection/Connection.ts"
import { FrameSocket } from "../../connection/FrameSocket.ts"
import type { BookChannel } from "../../domain/Channel.ts"
import type { Feed } from "../../domain/Feed.ts"
import * as Instruments from "../../domain/Instrument.ts"
import type { Instrument, TradingPair } from "../../domain/Instrument.ts"
import type { MarketEvent } from "../../domain/Market.ts"
import type { Addresses, ExchangeAdapter } from "../../ExchangeAdapter.ts"
import * as ExchangeError from "../../ExchangeError.ts"
import * as ExchangeFactory from "../../ExchangeFactory.ts"
import type { MarketRest } from "../../MarketRest.ts"
import type { PublicWebsocket } from "../../PublicWebsocket.ts"
import { BookCheck } from "./BookChecks.ts"
import * as FactChecks from "./FactChecks.ts"
import type { ClockSample, RestCall, Subscription } from "./FactChecks.ts"
import type { Finding } from "./Finding.ts"
import * as FrameChecks from "./FrameChecks.ts"
import { FrameReader } from "./FrameReader.ts"
import type { SeenFrame } from "./FrameReader.ts"
import * as FullConnection from "./FullConnection.ts"
import * as KnownFields from "./KnownFields.ts"
import * as RetiredChannels from "./RetiredChannels.ts"
import { Samples } from "./Samples.ts"
import * as Wanted from "./Wanted.ts"

export interface ExaminationOptions {
  readonly adapter: ExchangeAdapter
  readonly urls: Addresses
  /** Left out: three that are traded much. */
  readonly pairs?: NonEmptyReadonlyArray<TradingPair> | undefined
  /** How long data is watched. */
  readonly duration: Duration.Duration
}

export interface Examined {
  readonly pairs: ReadonlyArray<TradingPair>
  readonly findings: ReadonlyArray<Finding>
  readonly samples: Samples
  readonly frames: number
  readonly instrumentOf: Instruments.InstrumentOf
}

// ---- before the session ---------------------------------------------------------------------------------------------

/** Reads into the list until the pong; whether it came in time. */
const pong = (
  connection: Connection,
  reader: FrameReader,
  seen: Array<SeenFrame>,
  within: Duration.Input
): Effect.Effect<boolean> => {
  const read = Effect.map(connection.pull, ({ frames, receivedAt }) => {
    const batch = frames.map((frame) => reader.read(frame, receivedAt))
    seen.push(...batch)
    return batch.some(({ isPong }) => isPong)
  })
  return Effect.repeat(read, { until: (isPong: boolean) => isPong }).pipe(
    Effect.as(true),
    Effect.timeoutOrElse({ duration: within, orElse: () => Effect.succeed(false) }),
    Effect.catch(() => Effect.succeed(false))
  )
}

/** A connection of its own: how long it takes to open, and whether it answers a ping. Fails when it cannot be opened. */
const probe = Effect.fnUntraced(function*(adapter: ExchangeAdapter, url: string) {
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const socket = yield* FrameSocket
  const begun = now()
  const connection = yield* socket.open(adapter.id, adapter.endpoint(url))
  const opened = now()
  const { ping, timeout } = adapter.heartbeat
  yield* Effect.ignore(connection.write(ping({ nowMillis: opened, nextId: () => 1 })))
  const seen: Array<SeenFrame> = []
  const answered = yield* pong(connection, new FrameReader(adapter, () => undefined), seen, timeout)
  return { seen, times: { connectTook: opened - begun, pongAfter: answered ? now() - opened : null } }
}, Effect.scoped)

const clockSamples = 5

/** Not paced: waiting for a turn would count as a part of the round trip. */
const readClock = Effect.fnUntraced(function*(serverTime: Effect.Effect<number, ExchangeError.ExchangeError>) {
  const clock = yield* Clock.Clock
  const samples: Array<ClockSample> = []
  let failure: string | null = null
  for (let i = 0; i < clockSamples; i++) {
    const sentAt = clock.currentTimeMillisUnsafe()
    const result = yield* Effect.result(serverTime)
    if (Result.isFailure(result)) failure = result.failure.message
    else samples.push({ sentAt, receivedAt: clock.currentTimeMillisUnsafe(), serverTime: result.success })
    yield* Effect.sleep("200 millis")
  }
  return { clock: samples, clockError: failure }
})

const pathOf = (url: string): string => URL.parse(url)?.pathname ?? url

/** The same client, with what it is asked and answered on a list. */
const recorded = (client: HttpClient.HttpClient, calls: Array<RestCall>): HttpClient.HttpClient =>
  HttpClient.transform(client, (response, { method, url }) => {
    const request = `${method} ${pathOf(url)}`
    return response.pipe(
      Effect.tap(({ headers, status }) => Effect.sync(() => calls.push({ request, status, headers: { ...headers } }))),
      Effect.tapError(() => Effect.sync(() => calls.push({ request, status: null, headers: {} })))
    )
  })

const usualBases = ["BTC", "ETH", "SOL"]

const usualPairs = ({ kind }: ExchangeAdapter): ReadonlyArray<TradingPair> =>
  usualBases.map((base) => Instruments.pairOf(base, "USDT", kind === "swap" ? "USDT" : undefined))

/** The usual ones as far as they are listed, else the first that are. */
const choosePairs = (adapter: ExchangeAdapter, listed: ReadonlyArray<Instrument>): ReadonlyArray<TradingPair> => {
  const usual = usualPairs(adapter)
  const traded = listed.filter(({ status }) => status === "trading").map(({ pair }) => pair)
  const found = usual.filter((pair) => traded.includes(pair))
  if (listed.length === 0) return usual
  return found.length > 0 ? found : traded.slice(0, usual.length)
}

/** What is known before the session begins. */
interface Survey {
  readonly probed: Effect.Success<ReturnType<typeof probe>>
  readonly clock: Effect.Success<ReturnType<typeof readClock>>
  readonly instruments: ReadonlyArray<Instrument>
  readonly instrumentOf: Instruments.InstrumentOf
  /** As a finding tells it. */
  readonly listed: FactChecks.Facts["instruments"]
  readonly pairs: ReadonlyArray<TradingPair>
  readonly topics: ReadonlyArray<Wanted.Wanted>
}

const look = Effect.fnUntraced(function*(
  { adapter, pairs: asked, urls }: ExaminationOptions,
  client: HttpClient.HttpClient
): Effect.fn.Return<Survey, ExchangeError.ExchangeError, FrameSocket> {
  const probed = yield* probe(adapter, urls.websocket)
  const rest = adapter.makeRest({ client, url: urls.rest, instrumentOf: () => undefined })
  const clock = yield* readClock(rest.serverTime)
  const read = yield* Effect.result(rest.instruments)
  const instruments = Result.getOrElse(read, (): ReadonlyArray<Instrument> => [])
  const bySymbol = new Map(instruments.map((instrument) => [instrument.symbol, instrument]))
  const listed = new Set<TradingPair>(instruments.map(({ pair }) => pair))
  const pairs = asked ?? choosePairs(adapter, instruments)
  return {
    probed,
    clock,
    instruments,
    instrumentOf: (symbol) => bySymbol.get(symbol),
    listed: Result.match(read, {
      onFailure: ({ message }) => message,
      onSuccess: ({ length }) => ({ count: length, missing: pairs.filter((pair) => !listed.has(pair)) })
    }),
    pairs,
    topics: Wanted.topicsOf(adapter, pairs)
  }
})

// ---- the session ----------------------------------------------------------------------------------------------------

/** What the session's connections do, written by `tap`. */
interface Watched {
  frames: number
  readonly disconnects: Array<string>
  readonly gaps: Array<{ readonly wanted: Wanted.Wanted; readonly cause: string }>
  /** The end has begun: connections that close now are ours. */
  isOver: boolean
}

/** Reads what every connection reads, in the same turn. */
const tap =
  (watched: Watched, readerOf: () => FrameReader, onFrame: (frame: SeenFrame) => void) => (dial: Dial): Dial =>
    Effect.map(dial, (connection): Connection => {
      const reader = readerOf()
      const read = ({ frames, receivedAt }: Batch): void => {
        for (const frame of frames) {
          watched.frames++
          onFrame(reader.read(frame, receivedAt))
        }
      }
      const ended = (error: ExchangeError.ExchangeError): void => {
        if (!watched.isOver) watched.disconnects.push(error.message)
      }
      return {
        pull: connection.pull.pipe(
          Effect.tap((batch) => Effect.sync(() => read(batch))),
          Effect.tapError((error) => Effect.sync(() => ended(error)))
        ),
        write: connection.write,
        abort: connection.abort,
        activity: connection.activity
      }
    })

/** How long an answer is waited for, reconnecting included. */
const answerWithin = Duration.seconds(15)

/** One feed, held until the scope closes. Gives how long the answer took, and the refusal. */
const acquire = Effect.fnUntraced(function*(
  { feed, exchange }: PublicWebsocket["Service"],
  { channel, key, pair }: Wanted.Wanted,
  onItem: (item: Feed<MarketEvent>) => void,
  onFailure: (error: ExchangeError.ExchangeError) => void
) {
  const clock = yield* Clock.Clock
  const begun = clock.currentTimeMillisUnsafe()
  const late = ExchangeError.make(
    exchange,
    new ExchangeError.SubscriptionTimeout({
      channel: channel._tag,
      symbol: pair,
      topic: key,
      afterMs: Duration.toMillis(answerWithin)
    })
  )
  const result = yield* Effect.result(
    Effect.timeoutOrElse(feed(channel), { duration: answerWithin, orElse: () => Effect.fail(late) })
  )
  const took = clock.currentTimeMillisUnsafe() - begun
  if (Result.isFailure(result)) return { took, error: result.failure }
  const stream = result.success as Stream.Stream<Feed<MarketEvent>, ExchangeError.ExchangeError>
  yield* Stream.runForEach(stream, (item) => Effect.sync(() => onItem(item))).pipe(
    Effect.catch((error) => Effect.sync(() => onFailure(error))),
    Effect.forkScoped
  )
  return { took, error: null }
})

interface Session {
  readonly adapter: ExchangeAdapter
  readonly websocket: PublicWebsocket["Service"]
  readonly rest: MarketRest["Service"]
  readonly watched: Watched
  readonly books: ReadonlyArray<BookCheck>
}

const subscribeTo = ({ books, watched, websocket }: Session, wanted: Wanted.Wanted) => {
  const book = books.find((check) => check.wanted === wanted)
  const onItem = (item: Feed<MarketEvent>): void => {
    if (item._tag === "Data") {
      if (item.value._tag === "BookUpdate") book?.onUpdate(item.value)
    } else if (!watched.isOver) {
      watched.gaps.push({ wanted, cause: item.cause })
    }
  }
  const onFailure = (error: ExchangeError.ExchangeError): void => {
    if (!watched.isOver) watched.gaps.push({ wanted, cause: error.message })
  }
  return Effect.map(acquire(websocket, wanted, onItem, onFailure), (answer): Subscription => ({ wanted, ...answer }))
}

const unknownPair = ({ kind }: ExchangeAdapter): TradingPair =>
  Instruments.pairOf("NOSUCHCOIN", "USDT", kind === "swap" ? "USDT" : undefined)

/** Asks for a pair that no exchange has. */
const askForUnknown = Effect.fnUntraced(function*({ adapter, websocket }: Session) {
  const [channel = "BookTicker"] = adapter.channels
  const pair = unknownPair(adapter)
  const wanted = Wanted.topicOf(adapter, { _tag: channel }, pair)
  if (wanted === null) return { symbol: pair, error: null }
  const { error } = yield* acquire(websocket, wanted, () => {}, () => {})
  return { symbol: wanted.symbol, error }
}, Effect.scoped)

/** Asks for a book of it, where the stream has to begin with a snapshot; what comes of that is known later. */
const askForUnknownBook = Effect.fnUntraced(function*({ adapter, websocket }: Session) {
  const wanted = Wanted.topicOf(adapter, { _tag: "Book" }, unknownPair(adapter))
  if (wanted === null || adapter.book(wanted.channel as BookChannel).snapshot !== "InStream") return () => null
  let error: ExchangeError.ExchangeError | null = null
  const note = (failure: ExchangeError.ExchangeError | null): void => {
    error ??= failure
  }
  yield* Effect.forkScoped(
    Effect.andThen(
      Effect.map(acquire(websocket, wanted, () => {}, note), (answer) => note(answer.error)),
      Effect.never
    )
  )
  return () => ({ symbol: wanted.symbol, error })
})

/** Topics that a connection is filled up to, where its limit allows so many. */
const mostFilling = 60

/** Those that are watched and book tickers of other pairs, up to the exchange's limit of one connection. */
const filling = (
  adapter: ExchangeAdapter,
  topics: ReadonlyArray<Wanted.Wanted>,
  listed: ReadonlyArray<Instrument>
): ReadonlyArray<Wanted.Wanted> => {
  const [channel = "BookTicker"] = adapter.channels
  const taken = new Set(topics.map(({ key }) => key))
  const more = listed
    .filter(({ status }) => status === "trading")
    .map(({ pair }) => Wanted.topicOf(adapter, { _tag: channel }, pair))
    .filter((wanted) => wanted !== null && !taken.has(wanted.key))
  return [...topics, ...more as ReadonlyArray<Wanted.Wanted>]
    .slice(0, Math.min(adapter.limits.topicsPerConnection, mostFilling))
}

/** Fetches the books while updates go on coming. */
const fetchBooks = ({ adapter, books, rest }: Session) =>
  Effect.forEach(
    books.filter(({ wanted }) => adapter.book(wanted.channel as BookChannel).snapshot !== "EveryUpdate"),
    (check) =>
      rest.book(check.wanted.symbol, check.wanted.channel as BookChannel, 0).pipe(
        Effect.match({
          onSuccess: (book) => check.onFetched(book),
          onFailure: (error) => check.onFetchFailed(error.message)
        })
      ),
    { discard: true }
  )

const bookChecks = (adapter: ExchangeAdapter, topics: ReadonlyArray<Wanted.Wanted>): ReadonlyArray<BookCheck> =>
  topics.flatMap((wanted) =>
    wanted.channel._tag === "Book" ? [new BookCheck(wanted, adapter.book(wanted.channel))] : []
  )

/** Whatever is asked of the exchange while data comes. */
const ask = Effect.fnUntraced(function*(
  session: Session,
  { instruments, topics }: Survey,
  url: string,
  duration: Duration.Duration
) {
  // First: what the session reads of the exchange before its first topic is no part of an answer's time.
  const refusal = yield* askForUnknown(session)
  const unknownBook = yield* askForUnknownBook(session)
  const subscriptions = yield* Effect.forEach(topics, (wanted) => subscribeTo(session, wanted), {
    concurrency: "unbounded"
  })
  const filled = yield* FullConnection.fill(session.adapter, url, filling(session.adapter, topics, instruments))
  const retired = yield* RetiredChannels.ask(session.adapter, url)
  const third = Duration.times(duration, 1 / 3)
  yield* Effect.sleep(third)
  yield* fetchBooks(session)
  yield* Effect.sleep(Duration.times(third, 2))
  return {
    refusal,
    subscriptions,
    filled,
    retired,
    unknownBook: unknownBook(),
    watchedFor: Duration.toMillis(duration)
  }
})

// ---- all of it ------------------------------------------------------------------------------------------------------

const frameChecks = (adapter: ExchangeAdapter, { clock, instrumentOf, topics }: Survey) => {
  const offset = FactChecks.offsetOf(clock.clock)
  return FrameChecks.make({
    adapter,
    topics,
    kind: adapter.kind,
    instrumentOf,
    clockOffset: offset?.offset ?? 0,
    clockBound: offset?.bound ?? 0,
    unknownFields: KnownFields.of(adapter.id)
  })
}

/** Fails when no connection can be opened; everything else is a finding. */
export const run = Effect.fnUntraced(function*(options: ExaminationOptions): Effect.fn.Return<
  Examined,
  ExchangeError.ExchangeError,
  FrameSocket | HttpClient.HttpClient | Scope.Scope
> {
  const { adapter, duration, urls } = options
  const calls: Array<RestCall> = []
  const client = recorded(yield* HttpClient.HttpClient, calls)
  const survey = yield* look(options, client)
  const { clock, instrumentOf, listed, pairs, probed, topics } = survey
  const checks = frameChecks(adapter, survey)
  const samples = new Samples(topics)
  const watched: Watched = { frames: 0, disconnects: [], gaps: [], isOver: false }
  const onFrame = (frame: SeenFrame): void => {
    samples.onFrame(frame)
    for (const check of checks) check.onFrame(frame)
  }
  probed.seen.forEach(onFrame)
  const websocketOptions: ExchangeFactory.WebsocketOptions = {
    url: urls.websocket,
    restUrl: urls.rest,
    through: tap(watched, () => new FrameReader(adapter, instrumentOf), onFrame)
  }
  const rest = yield* Effect.provideService(
    ExchangeFactory.makeRest(adapter, websocketOptions, instrumentOf),
    HttpClient.HttpClient,
    client
  )
  const websocket = yield* ExchangeFactory.makePublic(adapter, rest, websocketOptions)
  const books = bookChecks(adapter, topics)
  const answers = yield* ask({ adapter, websocket, rest, watched, books }, survey, urls.websocket, duration)
  watched.isOver = true
  const { disconnects, gaps } = watched
  const findings = [
    ...FactChecks.findings({
      ...probed.times,
      ...clock,
      ...answers,
      adapter,
      pairs,
      instruments: listed,
      rest: calls,
      disconnects,
      gaps
    }),
    ...checks.flatMap((check) => check.findings()),
    ...books.flatMap((check) => check.findings())
  ]
  return { pairs, findings, samples, frames: watched.frames, instrumentOf }
})
