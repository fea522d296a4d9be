/**
 * Which topics of one connection are wanted and where each stands with the exchange. Plain state: no clock, no effect.
 *
 * One operation a topic is under way at any time, so that a subscribe and an unsubscribe can never cross on the wire.
 * Late and stale answers: an answer counts for a topic when it names the topic or its request, and the topic is waiting
 * for that kind of answer; every other answer is ignored and counted by the caller.
 */
import type { Answer, Topic } from "../ExchangeAdapter.ts"

export type Phase = "Idle" | "Subscribing" | "Confirmed" | "Unsubscribing" | "Refused"

interface Entry {
  readonly topic: Topic
  references: number
  phase: Phase
  requestId: number
  sentAt: number
  /** A subscribe was not answered in time: the exchange may have it all the same. */
  doubtful: boolean
  /** An unsubscribe was not answered in time: until the next subscribe is, what comes may be of the stretch before. */
  straddles: boolean
}

/** What was not answered in time. */
export interface Expired {
  /** Subscribes, to be asked again. */
  readonly late: ReadonlyArray<Topic>
  /** Unsubscribes, which count as done. */
  readonly off: ReadonlyArray<Topic>
}

/** A request that was sent and not answered yet: what halving a refused list needs. */
interface Pending {
  readonly keys: ReadonlyArray<string>
  sentAt: number
}

/** Milliseconds behind its deadline that a request is remembered, for an answer that comes late. */
const rememberedFor = 60_000

export class Subscriptions {
  readonly #entries = new Map<string, Entry>()
  readonly #requests = new Map<number, Pending>()
  #halves: Array<ReadonlyArray<string>> = []
  #restarted: Array<Topic> = []
  readonly #listRefusal: "whole" | "each"

  constructor(listRefusal: "whole" | "each") {
    this.#listRefusal = listRefusal
  }

  /** Topics that are wanted or not yet off the wire. */
  get size(): number {
    return this.#entries.size
  }

  /** Topics that the exchange has accepted. */
  get confirmed(): number {
    let count = 0
    for (const entry of this.#entries.values()) if (entry.phase === "Confirmed") count++
    return count
  }

  get wanted(): ReadonlyArray<Topic> {
    const topics: Array<Topic> = []
    for (const entry of this.#entries.values()) if (entry.references > 0) topics.push(entry.topic)
    return topics
  }

  phase(key: string): Phase | undefined {
    return this.#entries.get(key)?.phase
  }

  has(key: string): boolean {
    return this.#entries.has(key)
  }

  /** One more holder. */
  retain(topic: Topic): void {
    const entry = this.#entries.get(topic.key)
    if (entry === undefined) {
      this.#entries.set(topic.key, {
        topic,
        references: 1,
        phase: "Idle",
        requestId: 0,
        sentAt: 0,
        doubtful: false,
        straddles: false
      })
      return
    }
    entry.references++
    if (entry.phase === "Refused") entry.phase = "Idle"
  }

  /** One holder less. */
  release(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.references === 0) return
    entry.references--
    if (entry.references === 0) this.#forget(entry)
  }

  /** Nobody wants it: it goes at once when the exchange cannot have it. */
  #forget(entry: Entry): void {
    if (entry.phase === "Refused" || (entry.phase === "Idle" && !entry.doubtful)) this.#entries.delete(entry.topic.key)
  }

  /** Subscribe this confirmed topic anew: it fell silent, or its stream must begin again from a snapshot. */
  renew(key: string): boolean {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.phase !== "Confirmed") return false
    this.#renewing.add(key)
    return true
  }

  readonly #renewing = new Set<string>()

  /** Lists to subscribe now; each list goes out as a request of its own. */
  takeSubscribes(): ReadonlyArray<ReadonlyArray<Topic>> {
    const lists: Array<ReadonlyArray<Topic>> = []
    const halved = new Set<string>()
    for (const keys of this.#halves) {
      const topics = keys.flatMap((key) => this.#idle(key))
      for (const key of keys) halved.add(key)
      if (topics.length > 0) lists.push(topics)
    }
    this.#halves = []
    const rest: Array<Topic> = []
    for (const entry of this.#entries.values()) {
      if (entry.phase === "Idle" && entry.references > 0 && !halved.has(entry.topic.key)) rest.push(entry.topic)
    }
    if (rest.length > 0) lists.push(rest)
    return lists
  }

  #idle(key: string): ReadonlyArray<Topic> {
    const entry = this.#entries.get(key)
    return entry !== undefined && entry.phase === "Idle" && entry.references > 0 ? [entry.topic] : []
  }

  /** Topics to unsubscribe now: nobody wants them any more, or they are to begin again. */
  takeUnsubscribes(): ReadonlyArray<Topic> {
    const topics: Array<Topic> = []
    for (const entry of this.#entries.values()) {
      if (isLeaving(entry) || (entry.phase === "Confirmed" && this.#renewing.has(entry.topic.key))) {
        topics.push(entry.topic)
      }
    }
    return topics
  }

  /**
   * Topics that were taken off the wire and are wanted all the same, since this was asked last: what came before is not
   * joined to what follows.
   */
  takeRestarted(): ReadonlyArray<Topic> {
    if (this.#restarted.length === 0) return this.#restarted
    const topics = this.#restarted
    this.#restarted = []
    return topics
  }

  /** A request is made and waits for its turn on the wire; from here on its topics are under way. */
  queued(action: "subscribe" | "unsubscribe", topics: ReadonlyArray<Topic>, requestId: number): void {
    const phase = action === "subscribe" ? "Subscribing" : "Unsubscribing"
    for (const topic of topics) {
      const entry = this.#entries.get(topic.key)
      if (entry === undefined) continue
      entry.phase = phase
      entry.requestId = requestId
      entry.sentAt = Number.POSITIVE_INFINITY
      this.#renewing.delete(topic.key)
    }
    this.#requests.set(requestId, { keys: topics.map((topic) => topic.key), sentAt: Number.POSITIVE_INFINITY })
  }

  /** The request leaves now: its deadline runs. */
  sent(requestId: number, at: number): void {
    const request = this.#requests.get(requestId)
    if (request === undefined) return
    request.sentAt = at
    for (const key of request.keys) {
      const entry = this.#entries.get(key)
      if (entry !== undefined && entry.requestId === requestId) entry.sentAt = at
    }
  }

  /** Whether what came before this topic's confirmation may belong to a stretch that ended. Asked once for each. */
  takeStraddling(key: string): boolean {
    const entry = this.#entries.get(key)
    const straddles = entry?.straddles === true
    if (entry !== undefined) entry.straddles = false
    return straddles
  }

  /** The exchange agreed. Returns the topics that are confirmed by it; unsubscribed ones are forgotten or begin again. */
  acknowledged(answer: Answer): ReadonlyArray<Topic> {
    const confirmed: Array<Topic> = []
    for (const entry of this.#answered(answer)) {
      if (entry.phase === "Subscribing") {
        entry.phase = "Confirmed"
        entry.doubtful = false
        confirmed.push(entry.topic)
      } else {
        this.#off(entry)
      }
    }
    this.#close(answer)
    return confirmed
  }

  /**
   * The exchange refused. A list that is refused as a whole is halved and asked for again, until the bad topic stands
   * alone. Returns what is refused for good.
   */
  rejected(answer: Answer): ReadonlyArray<Topic> {
    const entries = this.#answered(answer)
    const subscribing = entries.filter((entry) => entry.phase === "Subscribing")
    // A refused unsubscribe means that the exchange does not have the topic: it is off either way.
    for (const entry of entries) if (entry.phase === "Unsubscribing") this.#off(entry)
    const halved = this.#listRefusal === "whole" && subscribing.length > 1
    if (halved) this.#halve(subscribing)
    else this.#refuse(subscribing)
    this.#close(answer)
    return halved ? [] : subscribing.map((entry) => entry.topic)
  }

  #refuse(entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) {
      entry.phase = "Refused"
      entry.doubtful = false
      if (entry.references === 0) this.#forget(entry)
    }
  }

  #halve(entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) {
      entry.phase = "Idle"
      entry.doubtful = false
    }
    const keys = entries.map((entry) => entry.topic.key)
    const middle = Math.ceil(keys.length / 2)
    this.#halves.push(keys.slice(0, middle), keys.slice(middle))
    for (const entry of entries) if (entry.references === 0) this.#forget(entry)
  }

  /** Requests older than the deadline. Subscribes may be asked again; unsubscribes count as done. */
  expire(before: number): Expired {
    for (const [id, request] of this.#requests) {
      if (request.sentAt <= before - rememberedFor) this.#requests.delete(id)
    }
    const late: Array<Topic> = []
    const off: Array<Topic> = []
    for (const entry of this.#entries.values()) {
      if (entry.sentAt > before) continue
      if (entry.phase === "Subscribing") {
        entry.phase = "Idle"
        entry.doubtful = true
        late.push(entry.topic)
      } else if (entry.phase === "Unsubscribing") {
        off.push(entry.topic)
        this.#off(entry)
        entry.straddles = true
      }
    }
    return { late, off }
  }

  /** The connection is over: nothing is subscribed, what is wanted stays wanted. */
  disconnected(): void {
    this.#requests.clear()
    this.#halves = []
    this.#restarted = []
    this.#renewing.clear()
    for (const entry of this.#entries.values()) {
      entry.doubtful = false
      entry.straddles = false
      if (entry.references === 0) this.#entries.delete(entry.topic.key)
      else if (entry.phase !== "Refused") entry.phase = "Idle"
    }
  }

  /** Ask for a refused topic again: its refusal was of a kind that passes. */
  retry(key: string): void {
    const entry = this.#entries.get(key)
    if (entry?.phase === "Refused") entry.phase = "Idle"
  }

  #off(entry: Entry): void {
    entry.phase = "Idle"
    entry.doubtful = false
    if (entry.references === 0) this.#forget(entry)
    else this.#restarted.push(entry.topic)
  }

  #close(answer: Answer): void {
    const id = Number(answer.requestId)
    const pending = this.#requests.get(id)
    if (pending === undefined) return
    const open = pending.keys.some((key) => {
      const entry = this.#entries.get(key)
      return entry !== undefined && entry.requestId === id && isWaiting(entry, answer.action)
    })
    if (!open) this.#requests.delete(id)
  }

  #answered(answer: Answer): Array<Entry> {
    const id = answer.requestId === null ? null : Number(answer.requestId)
    const keys = answer.topics ?? (id === null ? [] : this.#requests.get(id)?.keys ?? [])
    const entries: Array<Entry> = []
    for (const key of keys) {
      const entry = this.#entries.get(key)
      if (entry !== undefined && isWaiting(entry, answer.action) && concerns(entry, answer, id)) entries.push(entry)
    }
    return entries
  }
}

/** Nobody wants it, and the exchange has it or may have it. */
const isLeaving = (entry: Entry): boolean =>
  entry.references === 0 && (entry.phase === "Confirmed" || (entry.phase === "Idle" && entry.doubtful))

const isWaiting = (entry: Entry, action: Answer["action"]): boolean =>
  entry.phase === "Subscribing" ? action !== "unsubscribe" : entry.phase === "Unsubscribing" && action !== "subscribe"

/**
 * An answer that says what it answers (subscribe or unsubscribe) counts for the topic it names, also when it is late:
 * the exchange has done it. One that does not say must carry the id of the request under way.
 */
const concerns = (entry: Entry, answer: Answer, id: number | null): boolean =>
  answer.action !== "unknown" || id === null || id === 0 || id === entry.requestId
