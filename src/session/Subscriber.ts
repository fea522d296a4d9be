/** The subscriber that a stream pulls from: a bounded buffer. */
import { Cause, Effect, Exit, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { Kind } from "../domain/Channel.ts"
import type { Data, Feed, Gap } from "../domain/Feed.ts"
import type { ExchangeId } from "../domain/Instrument.ts"
import type { MarketEvent } from "../domain/Market.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Counters } from "./Counters.ts"
import type { Route, Subscriber } from "./Topics.ts"
import { originOf } from "./Topics.ts"

type Item = Feed<MarketEvent>
type Chunk = NonEmptyReadonlyArray<Feed<MarketEvent>>
type End = ExchangeError.ExchangeError | Cause.Done
type Resume = (effect: Effect.Effect<Chunk, End>) => void

export const defaultBufferSize = 1024

/** Who is to be told that a batch is through. */
export interface Waiting {
  readonly wake: () => void
}

/** Subscribers that wait for what a batch brings; woken once, when the batch is through. */
export class Wakeups {
  #waiting: Array<Waiting> = []
  /** Those that are told in the socket's own turn, and so in the midst of a batch too. */
  #prompt: Array<Waiting> = []
  /** Subscribers that asked to hold up reading and are full. */
  readonly full = new Set<BufferSubscriber>()
  /** Every buffer that has not been left. */
  readonly buffers = new Set<BufferSubscriber>()

  private shared: Data<MarketEvent> | null = null

  /** The element that holds an event, one for all subscribers that are given it. */
  dataOf(event: MarketEvent): Data<MarketEvent> {
    const shared = this.shared
    if (shared !== null && shared.value === event) return shared
    return this.shared = { _tag: "Data", value: event, receivedAt: event.receivedAt, origin: originOf(event) }
  }

  add(subscriber: Waiting): void {
    this.#waiting.push(subscriber)
  }

  addPrompt(subscriber: Waiting): void {
    this.#prompt.push(subscriber)
  }

  /** In the midst of a batch: who is told at once need not wait for its end. */
  flushPrompt(): void {
    if (this.#prompt.length === 0) return
    const waiting = this.#prompt
    this.#prompt = []
    for (let i = 0; i < waiting.length; i++) waiting[i]!.wake()
  }

  /** The turn is to end: a buffer is half full whose consumer waits and is not to lose anything, or one holds up reading. */
  isPressing = false

  /** How often it was flushed: what is decided between two of them reaches the consumers together. */
  turns = 0

  flush(): void {
    this.turns++
    this.isPressing = false
    this.flushPrompt()
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (let i = 0; i < waiting.length; i++) waiting[i]!.wake()
  }
}

export interface BufferOptions {
  readonly exchange: ExchangeId
  readonly bufferSize: number
  readonly block: boolean
  readonly wakeups: Wakeups
  readonly counters: Counters
  /** A topic failed: `end` ends the stream with the error, `gap` reports it in band and goes on. */
  readonly onTopicFailure: "end" | "gap"
}

export class BufferSubscriber implements Subscriber {
  readonly #options: BufferOptions
  private readonly capacity: number
  /** The capacity, or more where one newest value for each topic needs more. */
  private limit: number
  /** With fewer items than this an event is simply kept: half the limit, or 0 where there is more to look at. */
  private simple: number
  private readonly wakeups: Wakeups
  private readonly counters: Counters
  private items: Array<Item> = []
  /** The route of each item; what stands behind them is left over from items that were taken. */
  private owners: Array<Route> = []
  #resume: Resume | null = null
  private awake = true
  #end: Exit.Exit<never, End> | null = null
  readonly #room = new Set<() => void>()
  /** Books that overflowed, and how many more events were dropped since: they begin again when the consumer reads on. */
  private readonly behind = new Map<Route, number>()
  #ran = false
  /** So many items before breaks are looked through for those that say the same. */
  #crowded: number

  constructor(options: BufferOptions) {
    this.#options = options
    this.capacity = options.bufferSize
    this.limit = options.bufferSize
    this.simple = options.bufferSize / 2
    this.#crowded = options.bufferSize * 2
    this.wakeups = options.wakeups
    this.counters = options.counters
    this.wakeups.buffers.add(this)
  }

  /** Whether something waits for a consumer that has begun to read. */
  get isBehind(): boolean {
    return this.#ran && this.#end === null && this.items.length > 0
  }

  /** Whether its consumer waits for more. */
  get isWaiting(): boolean {
    return this.#resume !== null
  }

  /** How many wait for room. */
  get waiting(): number {
    return this.#room.size
  }

  get size(): number {
    return this.items.length
  }

  push(route: Route, event: MarketEvent): void {
    if (this.items.length < this.simple) this.append(route, event)
    else this.#consider(route, event)
  }

  private append(route: Route, event: MarketEvent): void {
    this.owners[this.items.length] = route
    this.items.push(this.wakeups.dataOf(event))
    if (!this.awake) this.rouse()
  }

  /** It has ended, a book has overflowed, or there is not much room. */
  #consider(route: Route, event: MarketEvent): void {
    if (this.#end !== null) return this.#abandon(route)
    // First, so that what is not kept anyway takes no room from others.
    if (this.#isBehind(route)) return this.#drop(route)
    if (this.items.length >= this.limit) {
      this.#overflow()
      if (this.#isBehind(route)) return this.#drop(route)
    }
    this.append(route, event)
    if (this.#resume !== null) this.wakeups.isPressing = true
  }

  #simplify(): void {
    this.simple = this.#end === null && this.behind.size === 0 ? this.limit / 2 : 0
  }

  gap(route: Route, gap: Gap): void {
    if (this.#end !== null) return
    const last = this.items.length - 1
    // A break right behind a break says nothing new; a consumer that never pulls must not collect them.
    if (last >= 0 && this.owners[last] === route && this.items[last]!._tag === "Gap") {
      this.items[last] = merge(this.items[last] as Gap, gap)
    } else {
      this.owners[this.items.length] = route
      this.items.push(gap)
      if (this.items.length > this.#crowded) this.#foldGaps()
    }
    if (!this.awake) this.rouse()
  }

  /** The same for breaks of one route with only other routes' items between them: a consumer may stand on thousands. */
  #foldGaps(): void {
    const items = this.items
    const owners = this.owners
    const latest = new Map<Route, number>()
    this.items = []
    this.owners = []
    for (let i = 0; i < items.length; i++) {
      const item = items[i]!
      const route = owners[i]!
      const at = item._tag === "Gap" ? latest.get(route) : undefined
      if (at !== undefined) {
        this.items[at] = merge(this.items[at] as Gap, item as Gap)
        continue
      }
      if (item._tag === "Gap") latest.set(route, this.items.length)
      else latest.delete(route)
      this.owners[this.items.length] = route
      this.items.push(item)
    }
    this.#crowded = Math.max(this.limit, this.items.length) * 2
  }

  /** Whether it is a book that has overflowed since its consumer read. */
  #isBehind(route: Route): boolean {
    return this.behind.size > 0 && this.behind.has(route)
  }

  /** More of a book whose consumer is not reading: it will get a snapshot instead. */
  #drop(route: Route): void {
    this.#takeOff(route)
    route.state.dropped++
    this.counters.dropped++
    this.behind.set(route, this.behind.get(route)! + 1)
  }

  /** The consumer reads on: tell what was dropped since the break in the buffer, and ask for the snapshots. */
  #catchUp(items: Array<Item>, owners: ReadonlyArray<Route>): void {
    const behind = [...this.behind]
    this.behind.clear()
    this.#simplify()
    for (const [route, dropped] of behind) {
      const at = items.findLastIndex((item, index) => item._tag === "Gap" && owners[index] === route)
      if (at >= 0) items[at] = merge({ ...(items[at] as Gap), lost: dropped }, items[at] as Gap)
      route.resynchronise()
    }
  }

  /** It has ended, and its consumer is about to leave. */
  #abandon(route: Route): void {
    this.#takeOff(route)
    route.state.abandoned++
    this.counters.abandoned++
  }

  /** Not delivered after all. */
  #takeOff(route: Route): void {
    route.state.delivered--
    this.counters.delivered--
  }

  fail(route: Route, error: ExchangeError.ExchangeError, scope: "topic" | "connection"): void {
    if (scope === "connection" || this.#options.onTopicFailure === "end") return this.end(Exit.fail(error))
    route.state.emitGap(route, route.state.makeGap("Rejected"))
    this.wake()
  }

  /** Ends the stream behind what is still in the buffer. */
  end(exit: Exit.Exit<never, End>): void {
    if (this.#end !== null) return
    this.#end = exit
    this.#simplify()
    this.wake()
    this.#makeRoom()
  }

  /** The consumer left. What it did not take is counted. */
  leave(): void {
    this.wakeups.buffers.delete(this)
    this.#end ??= Exit.fail(Cause.Done())
    this.#simplify()
    for (let i = 0; i < this.items.length; i++) {
      if (this.items[i]!._tag === "Gap") continue
      this.#abandon(this.owners[i]!)
    }
    this.items = []
    this.owners = []
    this.#makeRoom()
  }

  wake(): void {
    const resume = this.#resume
    if (resume === null) return
    if (this.items.length === 0 && this.#end === null) return
    this.#resume = null
    this.awake = true
    resume(this.#take())
  }

  readonly pull: Effect.Effect<Chunk, End> = Effect.callback<Chunk, End>((resume) => {
    if (this.items.length > 0 || this.#end !== null) return resume(this.#take())
    this.#resume = resume
    this.awake = false
    return this.#forget
  })

  #twice(): ExchangeError.ExchangeError {
    const detail = "a feed's stream runs once: what another run had taken would be missing. Ask for a feed for each run"
    return ExchangeError.make(this.#options.exchange, new ExchangeError.InvalidUse({ detail }))
  }

  /** The consumer stopped waiting. Made once, not for every wait. */
  readonly #forget = Effect.sync(() => {
    this.#resume = null
    this.awake = true
  })

  readonly stream: Stream.Stream<Feed<MarketEvent>, ExchangeError.ExchangeError> = Stream.fromPull(
    Effect.suspend(() => {
      if (this.#ran) return Effect.fail(this.#twice())
      this.#ran = true
      return Effect.succeed(this.pull)
    })
  )

  /** Waits until a full buffer that holds up reading has been emptied. */
  readonly awaitRoom: Effect.Effect<void> = Effect.callback<void>((resume) => {
    return this.#isFull() ? this.#awaitChange(resume) : resume(Effect.void)
  })

  /** Waits until everything has been taken, or nobody will take it. */
  readonly awaitEmpty: Effect.Effect<void> = Effect.callback<void>((resume) => {
    return this.isBehind ? this.#awaitChange(resume) : resume(Effect.void)
  })

  /** Until items are taken, or nobody will. Who gives up waiting leaves nothing behind. */
  #awaitChange(resume: (effect: Effect.Effect<void>) => void): Effect.Effect<void> {
    const pass = (): void => resume(Effect.void)
    this.#room.add(pass)
    return Effect.sync(() => void this.#room.delete(pass))
  }

  private rouse(): void {
    this.awake = true
    this.wakeups.add(this)
  }

  #isFull(): boolean {
    return this.#end === null && this.items.length >= this.capacity
  }

  #makeRoom(): void {
    this.wakeups.full.delete(this)
    const room = [...this.#room]
    this.#room.clear()
    for (const resume of room) resume()
  }

  #take(): Effect.Effect<Chunk, End> {
    const items = this.items
    if (items.length === 0) return this.#end!
    // A copy: what comes while room is made is written over them.
    const owners = this.behind.size > 0 ? this.owners.slice(0, items.length) : null
    this.items = []
    if (this.#room.size > 0 || this.#options.block) this.#makeRoom()
    if (owners !== null) this.#catchUp(items, owners)
    return Effect.succeed(items as unknown as Chunk)
  }

  /** Makes room. */
  #overflow(): void {
    if (this.#options.block) {
      this.wakeups.full.add(this)
      this.wakeups.isPressing = true
      return
    }
    const items = this.items
    const owners = this.owners
    this.items = []
    this.owners = []
    const plan = new Map<Route, Plan>()
    for (let i = 0; i < items.length; i++) planFor(plan, owners[i]!, items[i]!, i)
    for (let i = 0; i < items.length; i++) this.#keep(plan.get(owners[i]!)!, owners[i]!, items[i]!, i)
    this.limit = Math.max(this.capacity, plan.size * 2)
    for (const [planned, { toDiscard, kind }] of plan) {
      if (kind === "book" && toDiscard > 0 && !this.behind.has(planned)) this.behind.set(planned, 0)
    }
    this.#simplify()
  }

  /** Keeps, replaces or drops one item of an overflowing buffer, and declares what it drops. */
  #keep(plan: Plan, route: Route, item: Item, index: number): void {
    if (item._tag !== "Gap" && index < plan.keepFrom) return this.#discard(plan, route)
    if (item._tag === "Gap" && index < plan.gapsFrom) {
      // A break among what is dropped is part of the break that is declared.
      plan.lost += item.lost ?? 0
      return
    }
    this.owners[this.items.length] = route
    this.items.push(item)
  }

  #discard(plan: Plan, route: Route): void {
    this.#takeOff(route)
    if (plan.kind === "state") {
      route.state.conflated++
      this.counters.conflated++
      return
    }
    route.state.dropped++
    this.counters.dropped++
    plan.discarded++
    if (plan.discarded === plan.toDiscard) this.#declare(plan, route)
  }

  #declare(plan: Plan, route: Route): void {
    const gap = route.state.makeGap("Overflow", { lost: plan.lost + plan.toDiscard })
    route.state.gaps++
    this.counters.gap("Overflow")
    this.owners[this.items.length] = route
    this.items.push(gap)
  }
}

const merge = (earlier: Gap, later: Gap): Gap => {
  const lost = (earlier.lost ?? 0) + (later.lost ?? 0)
  return lost > 0 ? { ...later, lost } : later
}

/** What an overflowing buffer does with one route's items. */
interface Plan {
  readonly kind: Kind
  /** Indexes of the route's events, in order. */
  readonly events: Array<number>
  /** Events before this index go. */
  keepFrom: number
  toDiscard: number
  discarded: number
  /** Breaks before this index go: the declared one stands for them. State keeps its newest. */
  gapsFrom: number
  /** Lost in the breaks that go. */
  lost: number
}

const planFor = (plans: Map<Route, Plan>, route: Route, item: Item, index: number): void => {
  let plan = plans.get(route)
  if (plan === undefined) {
    const kind = route.state.kind
    plan = { kind, events: [], keepFrom: 0, toDiscard: 0, discarded: 0, gapsFrom: 0, lost: 0 }
    plans.set(route, plan)
  }
  if (item._tag === "Gap") {
    if (plan.kind === "state") plan.gapsFrom = index
    return
  }
  plan.events.push(index)
  settle(plan, index)
}

/** State keeps its newest event, a book keeps nothing, events keep their newer half. */
const settle = (plan: Plan, index: number): void => {
  const count = plan.events.length
  if (plan.kind === "state") {
    plan.keepFrom = index
    return
  }
  const kept = plan.kind === "book" ? 0 : Math.floor(count / 2)
  const cut = count - kept
  plan.toDiscard = cut
  plan.gapsFrom = plan.events[cut - 1]!
  plan.keepFrom = kept === 0 ? index + 1 : plan.events[cut]!
}
