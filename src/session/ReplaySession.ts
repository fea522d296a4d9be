/** A session whose connections are a recording, played at its own pace, faster, or as fast as its readers read. */
import { Clock, Deferred, Effect, Exit, Latch } from "effect"
import type { Scope } from "effect"
import type { RecordedTopic, Recording } from "../connection/Journal.ts"
import type { Answer, Decision, Entry, Note } from "../connection/JournalFormat.ts"
import * as JournalHttp from "../connection/JournalHttp.ts"
import type { PublicChannel } from "../domain/Channel.ts"
import { everyPair } from "../domain/Channel.ts"
import type { ConnectionStatus } from "../domain/Feed.ts"
import type { BookUpdate } from "../domain/Market.ts"
import type { BookRequest, ExchangeAdapter } from "../ExchangeAdapter.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { MarketRest } from "../MarketRest.ts"
import { Counters } from "./Counters.ts"
import * as ErrorCodec from "./ErrorCodec.ts"
import * as InstrumentLookup from "./InstrumentLookup.ts"
import * as Progress from "./Progress.ts"
import type { ReplayTopic } from "./ReplayTopics.ts"
import { ReplayTopics } from "./ReplayTopics.ts"
import type { Held, Session } from "./Session.ts"
import * as SessionMetrics from "./SessionMetrics.ts"
import * as StatusBoard from "./StatusBoard.ts"
import type { BufferSubscriber } from "./Subscriber.ts"
import { Wakeups } from "./Subscriber.ts"
import * as TopicErrors from "./TopicErrors.ts"

/** `1`: as it was, `10`: ten times faster, `max`: as fast as the readers read. */
export type Speed = number | "max"

export interface ReplaySessionOptions {
  readonly adapter: ExchangeAdapter
  readonly recording: Recording
  readonly rest: MarketRest["Service"]
  readonly speed: Speed
  /** Takes the answers to requests for books as they come by, by request. */
  readonly books: Map<string, Answer>
}

export interface ReplaySession {
  readonly session: Session
  /** Plays the recording to its end, once somebody listens. */
  readonly play: Effect.Effect<void>
  /** The recorded time of what was played last, ms. */
  readonly now: () => number
}

/** A batch and what came before the next one; the first has no batch. */
interface Group {
  readonly batch: Extract<Entry, { readonly _tag: "Batch" }> | null
  readonly notes: Array<Note>
}

const isDecision = (note: Note): note is Decision => "topic" in note && note._tag !== "Topic"

/** How long a reader that is behind may hold up others that have nothing to read, ms. */
const patienceMillis = 1_000

/** So many turns without anything new from the program, and it has asked for all it wants at once. */
const settled = 3

export const make = Effect.fnUntraced(function*(
  { adapter, books, recording, rest, speed }: ReplaySessionOptions
): Effect.fn.Return<ReplaySession, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const counters = new Counters()
  const wakeups = new Wakeups()
  const board = yield* StatusBoard.make(() => counters.handlerFailures++)
  const instruments = InstrumentLookup.make(adapter, rest)
  /** Somebody listens. */
  const audience = yield* Latch.make(false)
  /** Somebody waits for what is further on: readers that are behind hold nothing up. */
  const hurry = yield* Latch.make(false)
  const answers = new Map<number, Answer>()
  const present = new Map<number, ConnectionStatus>()
  // A recording without them is one of a spot exchange, or one that fell short of them.
  if (recording.answers.length > 0) yield* Effect.ignore(instruments.contractSize(everyPair, ""))
  let acquired = 0
  let waiting = 0
  let begun = false
  let ended = false

  const resolve = (topic: ReplayTopic, error: ExchangeError.ExchangeError | null): void => {
    const exit = error === null ? Exit.void : Exit.fail(error)
    for (const waiter of topic.waiters) Deferred.doneUnsafe(waiter, exit)
    topic.waiters.clear()
  }

  const topics = new ReplayTopics({ adapter, counters, resolve, instrumentOf: instruments.instrumentOf })

  const notRecorded = (channel: PublicChannel, detail: string) =>
    ExchangeError.make(
      adapter.id,
      new ExchangeError.UnsupportedChannel({ channel: channel._tag, symbol: channel.pair, detail })
    )

  const lacking = (channel: PublicChannel) => {
    const has = [...recording.topics.values()].map((topic) => `${topic.channel._tag} ${topic.channel.pair}`)
    const list = has.length > 20 ? `${has.slice(0, 20).join(", ")} and ${has.length - 20} more` : has.join(", ")
    return notRecorded(channel, `the recording has ${list === "" ? "no topics" : list}`)
  }

  /** Before it is played, what the exchange will say first is the answer: nobody who might miss something listens. */
  const firstAnswer = (channel: PublicChannel, { first }: RecordedTopic) => {
    if (first === null) return Effect.fail(notRecorded(channel, "the recording ends before the exchange has answered"))
    return first._tag === "Confirmed" ? Effect.void : Effect.fail(ErrorCodec.decode(first.error))
  }

  const confirmation = (channel: PublicChannel, topic: ReplayTopic) =>
    Effect.suspend(() => {
      if (topic.confirmed) return Effect.void
      if (ended) return Effect.fail(notRecorded(channel, "the recording has ended"))
      const waiter = Deferred.makeUnsafe<void, ExchangeError.ExchangeError>()
      topic.waiters.add(waiter)
      waiting++
      hurry.openUnsafe()
      return Effect.ensuring(
        Deferred.await(waiter),
        Effect.sync(() => {
          topic.waiters.delete(waiter)
          if (--waiting === 0) hurry.closeUnsafe()
        })
      )
    })

  const acquire = Effect.fnUntraced(function*(channel: PublicChannel, prepare: (held: Held) => () => void) {
    const { key } = yield* TopicErrors.nameOf(adapter, channel)
    const recorded = recording.topics.get(key)
    if (recorded === undefined) return yield* lacking(channel)
    const topic = topics.hold(channel, recorded)
    const { state } = topic
    const held: Held = {
      topic: state.topic,
      failed: () => state.failed,
      add: (subscriber) => {
        const route = state.add(subscriber)
        if (topic.confirmed) {
          state.begun = true
          state.failed = false
        }
        begun = true
        audience.openUnsafe()
        return () => state.remove(route)
      }
    }
    acquired++
    counters.requested++
    yield* Effect.acquireRelease(Effect.sync(() => prepare(held)), (undo) => Effect.sync(undo))
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        topic.holders++
      }),
      () =>
        Effect.sync(() => {
          topic.holders--
        })
    )
    yield* begun ? confirmation(channel, topic) : firstAnswer(channel, recorded)
    return held
  })

  // ---- playing ------------------------------------------------------------------------------------------------------

  /** Waits until the program has asked for everything that it asks for at once. */
  const settle = Effect.gen(function*() {
    for (let quiet = 0, before = -1; quiet < settled; quiet = acquired === before ? quiet + 1 : 0) {
      before = acquired
      yield* Effect.yieldNow
    }
  })

  /** Readers that were not waited for any longer, until they read on. */
  const stuck = new Set<BufferSubscriber>()

  /** A reader may be waiting for what another one will be given: nobody is waited for while others starve. */
  const patience = Effect.gen(function*() {
    do yield* Effect.sleep(patienceMillis)
    while (![...wakeups.buffers].some((buffer) => buffer.isWaiting))
    for (const buffer of wakeups.buffers) if (buffer.isBehind) stuck.add(buffer)
  })

  /** Waits until everybody who reads has read everything, and lets the program act on it. */
  const keepPace: Effect.Effect<void> = Effect.suspend(() => {
    for (const buffer of stuck) if (!buffer.isBehind) stuck.delete(buffer)
    const behind = [...wakeups.buffers].filter((buffer) => buffer.isBehind && !stuck.has(buffer))
    if (behind.length === 0) return Effect.yieldNow
    const caughtUp = Effect.forEach(behind, (buffer) => buffer.awaitEmpty, { discard: true })
    return Effect.andThen(Effect.yieldNow, Effect.raceAllFirst([caughtUp, hurry.await, patience]))
  })

  const status = (status: ConnectionStatus): void => {
    const before = present.get(status.connection)
    if (status._tag === "Closed") present.delete(status.connection)
    else present.set(status.connection, status)
    if (status._tag === "Disconnected") {
      counters.error(status.reason)
      if (before?._tag === "Connected") counters.reconnects++
    }
    board.publish(status)
  }

  const note = (note: Note): void => {
    if (isDecision(note)) return topics.apply(note)
    switch (note._tag) {
      case "Opened":
        return topics.opened(note.link)
      case "Status":
        return status(note.status)
      case "Lost":
        topics.pass(note.at)
        return topics.lost()
      default:
    }
  }

  /** Reads the snapshot of a decision out of the exchange's answer, with the adapter's own code. */
  const snapshotOf = Effect.fnUntraced(function*(decision: Extract<Decision, { readonly _tag: "Snapshot" }>) {
    if (decision.book !== null) return decision.book as BookUpdate
    const topic = topics.numbered(decision.topic)
    const answer = decision.answer === null ? undefined : answers.get(decision.answer)
    if (topic === undefined || answer === undefined) return undefined
    answers.delete(answer.answer)
    const client = JournalHttp.answering(() => answer, "")
    const { book } = adapter.makeRest({ client, url: base, instrumentOf: instruments.instrumentOf })
    return yield* book(topic.state.topic.symbol, topic.state.channel as BookRequest, decision.attempt).pipe(
      Effect.catch((error) =>
        Effect.as(Effect.logWarning(`a recorded snapshot cannot be read: ${error.message}`), undefined)
      )
    )
  })

  const prepare = (notes: ReadonlyArray<Note>): Effect.Effect<void> =>
    Effect.forEach(notes, (note) => {
      if (note._tag === "Answer" && note.book) {
        answers.set(note.answer, note)
        books.set(note.request, note)
      }
      if (note._tag !== "Snapshot") return Effect.void
      return Effect.map(snapshotOf(note), (snapshot) => {
        if (snapshot !== undefined) topics.readSnapshot(note, snapshot)
      })
    }, { discard: true })

  let startedAt = 0

  /** Waits for the time of what comes next. */
  const reach = (at: number): Effect.Effect<void> => {
    if (speed === "max") return Effect.void
    const wait = startedAt + (at - recording.summary.from) / speed - clock.currentTimeMillisUnsafe()
    return wait > 0 ? Effect.sleep(wait) : Effect.void
  }

  const atOf = (note: Note): number => note._tag === "Answer" ? 0 : note.at

  /** The end of a turn: what it brought reaches the consumers. */
  const flush = Effect.suspend(() => {
    wakeups.flush()
    return keepPace
  })

  const playNotes = Effect.fnUntraced(function*(notes: ReadonlyArray<Note>) {
    let turn: number | null = null
    for (const next of notes) {
      if (isDecision(next)) {
        if (turn !== null && turn !== next.turn) yield* flush
        turn = next.turn
      }
      const at = atOf(next)
      yield* reach(at)
      topics.catchUp()
      note(next)
    }
    yield* flush
  })

  const playGroup = Effect.fnUntraced(function*({ batch, notes }: Group) {
    yield* prepare(notes)
    topics.catchUp()
    const decisions = notes.filter(isDecision)
    topics.begin(decisions)
    if (batch === null) return yield* playNotes(notes)
    yield* reach(batch.receivedAt)
    const done = new Set<Note>(decisions.slice(0, topics.batch(batch)))
    yield* flush
    if (notes.length > done.size) yield* playNotes(notes.filter((note) => !done.has(note)))
  })

  const play = Effect.gen(function*() {
    yield* audience.await
    yield* settle
    startedAt = clock.currentTimeMillisUnsafe()
    let group: Group = { batch: null, notes: [] }
    for (let block = 0; block < recording.blocks; block++) {
      for (const entry of yield* recording.entries(block)) {
        if (entry._tag === "Sent") continue
        if (entry._tag !== "Batch") {
          group.notes.push(entry)
          continue
        }
        yield* playGroup(group)
        group = { batch: entry, notes: [] }
      }
    }
    yield* playGroup(group)
    topics.pass(recording.summary.to)
  }).pipe(
    // It was read once already.
    Effect.catch((error) => Effect.logError(`the recording cannot be read any further: ${error.message}`)),
    Effect.catchDefect((defect) => Effect.logError("the replay died of a defect", defect)),
    Effect.ensuring(Effect.sync(() => {
      ended = true
      for (const topic of topics.all) {
        if (topic.waiters.size > 0) resolve(topic, notRecorded(topic.state.channel, "the recording has ended"))
      }
    }))
  )

  const connected = (): number => [...present.values()].filter(({ _tag }) => _tag === "Connected").length

  const standingOf = ({ confirmed, state: { failed } }: ReplayTopic): Progress.Progress["standing"] => {
    if (failed) return "Rejected"
    return confirmed ? "Confirmed" : "Waiting"
  }

  const progress = () =>
    Progress.of([...topics.all].map((topic) => ({ ...topic, standing: standingOf(topic) })), present.size)

  const session: Session = {
    adapter,
    counters,
    wakeups,
    ordered: Effect.succeed,
    acquire,
    // What was found to be silent then, the recording tells.
    missed: () => false,
    isConnected: Effect.sync(() => present.size > 0 && connected() === present.size),
    status: board.stream,
    onStatus: board.listen,
    performance: Effect.sync(() => ({
      ...counters.totals(),
      exchange: adapter.id,
      heapBytes: SessionMetrics.heapBytes(),
      connections: present.size,
      connected: connected(),
      sockets: [],
      lanes: [],
      progress: progress(),
      topics: [...topics.all].map(({ state }) => state.performance())
    }))
  }

  return { session, play, now: () => topics.now }
})

/** Stands for the base URL of an exchange whose answers are recorded. */
const base = "http://recording"
