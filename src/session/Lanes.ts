/**
 * Several copies of one topic's stream, each on a connection of its own, made into one: the first arrival of everything
 * is passed on, in order, and nothing twice. Pure: no clock, no effect. Rotation and redundant feeds are this.
 *
 * A lane is joined once it is known to go on from what was passed on: it brought something that was passed already, or
 * nothing can have come in between. From then on each lane is the truth from some point on, so whatever a joined lane
 * brings is either old or the next. What a lane brings before that is held until another has caught up with it.
 */
import type { MarketEvent } from "../domain/Market.ts"
import type { Lane } from "./Lane.ts"
import type { Order, Standing } from "./LaneOrder.ts"

/** How long something is held for another lane to fill what is missing before it, ms. */
export const holdMillis = 1_000

/** Held events of one lane. Older ones are given up: a lane that brings so many more alone is soon taken at its word. */
const heldLimit = 8_192

/** Passed events that are remembered for lanes that are slower. A lane further behind has to join anew. */
const logLimit = 8_192

/** Passed events that are remembered although all lanes have brought them: the wire may repeat one, a new lane lag. */
const logTail = 256

/** So many old events in a row that nobody remembers to have passed: the exchange counts anew. */
const strangeLimit = 512

/** Something that was passed on. */
interface Entry {
  readonly number: number
  readonly lane: Lane
  readonly receivedAt: number
  /** Another lane has brought it too. */
  shared: boolean
}

/** Receives the decisions, synchronously. */
export interface Merged {
  /** The next event of the one stream. `accounted`: it was delivered or counted by another way already. */
  readonly pass: (event: MarketEvent, lane: Lane, accounted: boolean) => void
  /** Passed already, or not needed. */
  readonly duplicate: (event: MarketEvent, lane: Lane, accounted: boolean) => void
  /** What follows may lack something before it. */
  readonly lapse: () => void
  /** The exchange counts anew: nothing that follows is joined to what was. */
  readonly restarted: () => void
  /** So much earlier than `behind` did `lane` bring an event, ms. */
  readonly shared: (lane: Lane, behind: Lane, headStart: number) => void
  /** `lane` brought an event that it might have been second with. */
  readonly won: (lane: Lane) => void
  /** The one lane that is left has gone past everything that others brought. */
  readonly single: (lane: Lane) => void
}

const unjoin = (lane: Lane): void => {
  lane.joined = false
  lane.lapsed = false
}

const lapse = (lane: Lane): void => {
  lane.joined = false
  lane.lapsed = true
}

export class Merge {
  readonly #order: Order
  readonly #out: Merged
  readonly #lanes: Array<Lane> = []
  readonly #log = new Map<unknown, Entry>()
  #number = 0
  /** When lanes were last looked at, ms of the monotonic clock. */
  #now: number
  /** Old events in a row that are not in the log. */
  #strange = 0
  /** Whose events pass where they have nothing to tell copies by. */
  #base: Lane | null = null
  /** Something came that has nothing to tell copies by. */
  #keyless = false

  /** `now`: ms of the monotonic clock. */
  constructor(order: Order, out: Merged, now: number) {
    this.#order = order
    this.#out = out
    this.#now = now
  }

  get lanes(): ReadonlyArray<Lane> {
    return this.#lanes
  }

  /** Whether its events have nothing to tell copies by, so that no lane can be joined to another. */
  get isKeyless(): boolean {
    return this.#keyless
  }

  find(connection: number): Lane | undefined {
    const lanes = this.#lanes
    for (let i = 0; i < lanes.length; i++) if (lanes[i]!.connection === connection) return lanes[i]
    return undefined
  }

  add(lane: Lane): void {
    this.#lanes.push(lane)
  }

  /** Whether the stream goes on by the other lanes without a break. */
  covers(lane: Lane): boolean {
    if (this.#keyless && lane === this.#base) return false
    return this.#lanes.some((other) => other !== lane && other.live && other.joined)
  }

  /**
   * Its connection is lost, or the topic is off its wire: what follows on it is another stretch. Returns whether the
   * others cover it; if not, `restart` must follow.
   */
  lose(lane: Lane): boolean {
    const isCovered = this.covers(lane)
    lane.live = false
    unjoin(lane)
    lane.memory = null
    if (this.#base === lane) this.#base = null
    this.#discard(lane)
    // Nobody may be left to fill what they are waiting for.
    if (isCovered) { for (const other of [...this.#lanes]) this.#drain(other) }
    return isCovered
  }

  remove(lane: Lane): boolean {
    const isCovered = this.lose(lane)
    const index = this.#lanes.indexOf(lane)
    if (index >= 0) this.#lanes.splice(index, 1)
    return isCovered
  }

  #discard(lane: Lane): void {
    for (const { accounted, event } of lane.held.splice(0)) this.#out.duplicate(event, lane, accounted)
  }

  /**
   * Behind a break that was declared. While a lane is live nothing of before is passed again; with none the exchange may
   * count anew. What lanes hold comes now.
   */
  restart(): void {
    if (this.#lanes.some(({ live }) => live)) this.#unjoin()
    else this.#forget()
    // Who had these has had them on the other side of the break.
    for (const lane of this.#lanes) lane.held = lane.held.filter(({ accounted }) => !accounted)
    // The fullest: it has been going on longest without the others.
    const [first] = this.#lanes.filter(({ live }) => live).sort((a, b) => b.held.length - a.held.length)
    if (first !== undefined) this.#join(first)
    for (const lane of [...this.#lanes]) this.#drain(lane)
  }

  /** The same without a receiver: gives up what is held and returns how much of it is accounted for nowhere. */
  clear(): number {
    this.#forget()
    let count = 0
    for (const lane of this.#lanes) count += lane.held.splice(0).filter(({ accounted }) => !accounted).length
    return count
  }

  #forget(): void {
    this.#order.reset()
    this.#log.clear()
    this.#strange = 0
    this.#unjoin()
  }

  #unjoin(): void {
    this.#base = null
    for (const lane of this.#lanes) {
      unjoin(lane)
      lane.joinsBehind = this.#number
    }
  }

  /** Nothing can have come between what was passed and what this lane will bring. */
  join(lane: Lane): void {
    this.#join(lane)
    this.#drain(lane)
  }

  /** The others' events are of no use any more: this one goes on alone, from what it holds. */
  takeOver(lane: Lane): void {
    for (const other of this.#lanes) {
      if (other === lane) continue
      unjoin(other)
      this.#discard(other)
    }
    this.#base = lane
    this.#join(lane)
    this.#drain(lane)
  }

  #join(lane: Lane): void {
    if (lane.joined) return
    lane.joined = true
    lane.lapsed = false
    lane.reached = this.#number
  }

  /** The hot path of several lanes: one event. */
  event(lane: Lane, event: MarketEvent, accounted: boolean): void {
    lane.lastEventAt = event.receivedAt
    this.#order.arrived(lane, event)
    if (lane.held.length > 0) {
      this.#hold(lane, event, accounted)
      this.#drain(lane)
    } else if (!this.#take(lane, event, accounted)) {
      this.#hold(lane, event, accounted)
    }
  }

  #restarted(lane: Lane): void {
    this.#out.restarted()
    for (const other of this.#lanes) this.#discard(other)
    this.#forget()
    this.#join(lane)
  }

  #hold(lane: Lane, event: MarketEvent, accounted: boolean): void {
    lane.held.push({ event, accounted, since: this.#now })
    if (lane.held.length <= heldLimit) return
    const oldest = lane.held.shift()!
    this.#out.duplicate(oldest.event, lane, oldest.accounted)
  }

  /** Whether the event is dealt with; else it has to wait. */
  #take(lane: Lane, event: MarketEvent, accounted: boolean): boolean {
    const standing = this.#order.standing(lane, event)
    switch (standing) {
      case "old":
        this.#old(lane, event, accounted)
        return true
      case "keyless":
        return this.#takeKeyless(lane, event, accounted)
      default:
        return this.#takeNew(lane, event, accounted, standing)
    }
  }

  #takeNew(lane: Lane, event: MarketEvent, accounted: boolean, standing: Standing): boolean {
    if (standing === "next" || this.#mayPass(lane, standing)) this.#pass(lane, event, accounted)
    else if (lane.lapsed) this.#out.duplicate(event, lane, accounted)
    else return false
    return true
  }

  #takeKeyless(lane: Lane, event: MarketEvent, accounted: boolean): true {
    this.#keyless = true
    this.#base ??= lane
    lane.joined = true
    if (lane === this.#base) this.#out.pass(event, lane, accounted)
    else this.#out.duplicate(event, lane, accounted)
    return true
  }

  /**
   * Events without a chain pass on every joined lane; behind a hole in a chain only where nobody else could fill it, and
   * across the end of what was passed only where nobody goes on from there: the others wait themselves.
   */
  #mayPass(lane: Lane, standing: Standing): boolean {
    if (standing === "newer") return lane.joined || !this.#lanes.some(({ joined }) => joined)
    const others = this.#lanes.filter((other) => other !== lane && other.live)
    return standing === "across" ? others.every(({ held }) => held.length > 0) : others.length === 0
  }

  #old(lane: Lane, event: MarketEvent, accounted: boolean): void {
    const entry = this.#log.get(this.#order.keyOf(event))
    if (entry === undefined || entry.number > lane.joinsBehind) this.#join(lane)
    if (entry !== undefined) this.#repeated(entry, lane, event)
    else if (++this.#strange >= strangeLimit) return this.#anew(lane, event, accounted)
    this.#order.dropped(lane, event)
    this.#out.duplicate(event, lane, accounted)
  }

  #repeated(entry: Entry, lane: Lane, event: MarketEvent): void {
    this.#strange = 0
    if (entry.number > lane.reached) lane.reached = entry.number
    if (entry.lane === lane || entry.shared) return
    entry.shared = true
    this.#out.shared(entry.lane, lane, event.receivedAt - entry.receivedAt)
  }

  #anew(lane: Lane, event: MarketEvent, accounted: boolean): void {
    this.#restarted(lane)
    this.#pass(lane, event, accounted)
  }

  #pass(lane: Lane, event: MarketEvent, accounted: boolean): void {
    this.#strange = 0
    this.#join(lane)
    const passed = this.#order.passed(lane, event)
    if (this.#lanes.length > 1) this.#remember(lane, event)
    this.#out.pass(passed, lane, accounted)
    const lanes = this.#lanes
    for (let i = 0; i < lanes.length; i++) {
      if (lanes[i] !== lane && lanes[i]!.held.length > 0) this.#drain(lanes[i]!)
    }
    if (lanes.length === 1 && lane.held.length === 0) this.#out.single(lane)
  }

  #remember(lane: Lane, event: MarketEvent): void {
    const number = ++this.#number
    lane.reached = number
    let slowest = number
    let others = false
    for (const other of this.#lanes) {
      if (other === lane || !other.joined) continue
      others = true
      if (this.#order.needsLog && number - other.reached > logLimit) lapse(other)
      else slowest = Math.min(slowest, other.reached)
    }
    if (others) this.#out.won(lane)
    const key = this.#order.keyOf(event)
    // What may come again has to stand behind all that came between.
    if (!this.#order.needsLog) this.#log.delete(key)
    this.#log.set(key, { number, lane, receivedAt: event.receivedAt, shared: !others })
    this.#trim(slowest - logTail, number - logLimit)
  }

  /** Forgets what all lanes have brought, and what is too long ago. */
  #trim(all: number, oldest: number): void {
    const bound = Math.max(all, oldest)
    for (const [key, { number }] of this.#log) {
      if (number > bound) return
      this.#log.delete(key)
    }
  }

  /** Whether something with this key was passed. */
  isKnown(key: unknown): boolean {
    return this.#log.has(key)
  }

  /** Deals with what is held, as far as it goes. */
  #drain(lane: Lane): void {
    this.#catchUp(lane)
    while (lane.held.length > 0) {
      // Taken out first: what is passed may lead back here.
      const first = lane.held.shift()!
      if (this.#take(lane, first.event, first.accounted)) continue
      lane.held.unshift(first)
      return
    }
  }

  /** A lane that holds something old has come to what was passed: all before it is old too. It is dealt with next. */
  #catchUp(lane: Lane): void {
    if (lane.joined) return
    const at = lane.held.findIndex(({ event }) => this.#order.standing(lane, event) === "old")
    if (at < 0) return
    for (const { accounted, event } of lane.held.splice(0, at)) this.#out.duplicate(event, lane, accounted)
  }

  /**
   * The lanes that have held something for too long. `now`: ms of the monotonic clock; what comes from here on waits
   * since then.
   */
  overdue(now: number): ReadonlyArray<Lane> {
    this.#now = now
    return this.#lanes.filter(({ held: [first] }) => first !== undefined && now - first.since >= holdMillis)
  }

  /** Passes on what the lane holds, whether or not something is missing before it. */
  force(lane: Lane): void {
    if (!lane.joined) this.#jump(lane)
    const [first, ...others] = lane.held
    lane.held = others
    if (first !== undefined) this.#pass(lane, first.event, first.accounted)
    this.#drain(lane)
  }

  /** Goes on with this lane behind a break, where a chain does not show by itself what is missing. */
  #jump(lane: Lane): void {
    if (this.#order.needsLapse) {
      this.#out.lapse()
      this.#unjoin()
    }
    this.#join(lane)
  }
}
