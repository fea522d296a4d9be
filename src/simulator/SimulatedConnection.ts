/** One client's connection: between the dialect and the socket, where the frame faults work and everything is counted. */
import type { About, DialectConnection, DialectNotice, Peer } from "../ExchangeDialect.ts"
import { longest } from "./ActiveFaults.ts"
import type { ActiveFault, ExchangeFaults, Fate, FaultOf, FrameFault } from "./ActiveFaults.ts"
import { add, subtract } from "./Counts.ts"
import type { ControlKind, ExchangeCounts, TopicCounts } from "./Counts.ts"
import type { ExchangeWorld, Owner, Source } from "./World.ts"

export type Frame = string | Uint8Array

/** `slow`: the client reads too slowly to be given more. `closed`: the client is leaving. */
export type SendResult = "sent" | "slow" | "closed"

/** The socket, as far as a connection needs it. */
export interface Transport {
  readonly send: (frame: Frame) => SendResult
  /** 1006: without a close frame. */
  readonly close: (code: number, reason: string) => void
  /** The socket stays open; nothing is read from it any more. */
  readonly freeze: () => void
}

/** How a client came. */
export type Handshake = Pick<Peer, "headers" | "query" | "address">

/** What a connection needs of its exchange. */
export interface Host {
  readonly counts: ExchangeCounts
  readonly faults: ExchangeFaults
  readonly world: ExchangeWorld
  readonly topicCounts: (topic: string) => TopicCounts
  /** Simulated time since the start, ms. */
  readonly elapsed: () => number
  /** Runs once after so many ms; returns how to cancel. */
  readonly after: (millis: number, run: () => void) => () => void
  readonly failed: (error: unknown) => void
  /** Something happened that someone may be waiting for. */
  readonly changed: () => void
  readonly ended: (connection: SimulatedConnection) => void
  /** How old it is among those that are open, the oldest being number 1. */
  readonly positionOf: (connection: SimulatedConnection) => number
}

/** Who ended a connection; the name of its count. */
export type EndedBy = "dropped" | "closedByExchange" | "closedByClient" | "slow"

/** A frame on its way out. */
interface Outgoing {
  readonly frame: Frame
  /** Topic; empty for a control frame. */
  readonly name: string
  /** Null for a control frame. */
  readonly topic: TopicCounts | null
  readonly kind: ControlKind | null
  readonly events: number
  readonly copies: number
  /** To be sent behind the next frame of its topic. */
  readonly swap: boolean
  /** ms that it leaves later than what comes behind it. */
  readonly lateBy: number
}

/** What waits behind a delay. */
type Waiting =
  | { readonly _tag: "Frame"; readonly due: number; readonly outgoing: Outgoing }
  | { readonly _tag: "Close"; readonly due: number; readonly code: number; readonly reason: string }

const nothing: DialectConnection = { onFrame: () => {}, onClose: () => {}, topics: () => new Set() }

export class SimulatedConnection implements Owner {
  readonly stops = new Set<() => void>()
  readonly phase: number
  /** Simulated ms since the start. */
  readonly openedAt: number
  readonly #host: Host
  readonly #transport: Transport
  #dialect: DialectConnection = nothing
  #over = false
  #halfOpen = false
  #source: Source | null = null
  /** First control frame that the dialect sent in answer to the frame it is reading. */
  #answer: ControlKind | null = null
  /** What becomes of the answers to the frame that the dialect is reading. */
  #fate: Fate | null = null
  readonly #delayed: Array<Waiting> = []
  /** Frames that wait for the next one of their topic, to be sent behind it. */
  readonly #swapped = new Map<TopicCounts, Outgoing>()
  /** Answers and pushes that are late. */
  readonly #late = new Set<Outgoing>()
  readonly #timers = new Set<() => void>()

  readonly #peer: Peer

  constructor(host: Host, transport: Transport, handshake: Handshake, phase: number) {
    this.openedAt = host.elapsed()
    this.phase = phase
    this.#host = host
    this.#transport = transport
    this.#peer = this.#makePeer(handshake)
  }

  /** Lets the dialect take the connection over. */
  open(connect: (peer: Peer) => DialectConnection): void {
    this.#run(() => {
      const dialect = connect(this.#peer)
      if (this.#over) dialect.onClose()
      else this.#dialect = dialect
    })
  }

  get isHalfOpen(): boolean {
    return this.#halfOpen
  }

  /** What the client is subscribed to. */
  topics(): ReadonlySet<string> {
    return this.#dialect.topics()
  }

  notify(kind: DialectNotice): boolean {
    const { notify } = this.#dialect
    if (notify === undefined) return false
    let done = true
    this.#run(() => {
      done = notify(kind) !== false
    })
    return done
  }

  /** A frame from the client. */
  receive(frame: Frame): void {
    if (this.#over || this.#halfOpen) return
    const { client } = this.#host.counts
    client.frames++
    const { faults } = this.#host
    const fate = faults.fates.length === 0 ? null : faults.strikeRequestFrame(this.#host.elapsed(), frame)
    if (fate?._tag === "LoseRequest") {
      client.lost++
      return this.#host.changed()
    }
    if (fate?._tag !== "LateRequest") return this.#read(frame, fate)
    client.late++
    this.#peer.after(fate.millis, () => {
      if (!this.#halfOpen) this.#read(frame, null)
    })
    this.#host.changed()
  }

  #read(frame: Frame, fate: Fate | null): void {
    const { client } = this.#host.counts
    this.#answer = null
    this.#fate = fate
    this.#run(() => this.#dialect.onFrame(frame))
    this.#fate = null
    client[fieldOf(this.#answer)]++
    if (fate?._tag === "FailAnswer") this.end("dropped", 1006, "")
    this.#host.changed()
  }

  /** The socket has reported an error; its end follows. */
  socketFailed(): void {
    this.#host.counts.connections.errors++
  }

  protocolPing(): void {
    this.#host.counts.client.protocolPings++
  }

  /** From now on the server neither reads nor writes. */
  makeHalfOpen(): boolean {
    if (this.#halfOpen) return false
    this.#halfOpen = true
    this.#host.counts.connections.halfOpen++
    this.#transport.freeze()
    return true
  }

  /** The exchange closes it after so many ms. */
  closeAfter(millis: number): void {
    this.#peer.after(millis, () => this.#peer.close(1001, "service upgrade"))
  }

  /** Ends it, once. Code 1006 sends no close frame. */
  end(by: EndedBy, code: number, reason: string): void {
    if (this.#over) return
    this.#over = true
    this.#host.counts.connections[by]++
    this.#host.counts.connections.open--
    this.#discard()
    for (const stop of [...this.stops]) stop()
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
    this.#run(() => this.#dialect.onClose())
    this.#host.ended(this)
    // A half-open client does not learn that the exchange has given it up.
    if (by === "dropped" || (by !== "closedByClient" && !this.#halfOpen)) this.#transport.close(code, reason)
    this.#host.changed()
  }

  /** Sends what has waited long enough. */
  drain(now: number): void {
    while (this.#delayed.length > 0 && this.#delayed[0]!.due <= now) {
      const waiting = this.#delayed.shift()!
      if (waiting._tag === "Close") return this.end("closedByExchange", waiting.code, waiting.reason)
      this.#release(waiting.outgoing)
      this.#write(waiting.outgoing)
    }
  }

  deliver<News>(source: Source, listener: (news: News) => void, news: News): void {
    const { world } = this.#host
    const { owner } = world
    world.owner = this
    this.#source = source
    try {
      listener(news)
    } catch (error) {
      this.#failed(error)
    } finally {
      this.#source = null
      world.owner = owner
    }
  }

  #run(part: () => void): void {
    const { world } = this.#host
    const { owner } = world
    world.owner = this
    try {
      part()
    } catch (error) {
      this.#failed(error)
    } finally {
      world.owner = owner
    }
  }

  /** A dialect that throws is broken: that must show, and must not stop the others. */
  #failed(error: unknown): void {
    this.#host.failed(error)
    this.end("closedByExchange", 1011, "the simulated exchange has failed")
  }

  #makePeer(handshake: Handshake): Peer {
    return {
      ...handshake,
      send: (frame, about) => this.#send(frame, about),
      close: (code, reason) => {
        if (this.#delayed.length === 0) this.end("closedByExchange", code, reason)
        else this.#delayed.push({ _tag: "Close", due: this.#delayed.at(-1)!.due, code, reason })
      },
      after: (millis, run) => {
        if (this.#over) return () => {}
        const cancel = this.#host.after(millis, () => {
          this.#timers.delete(cancel)
          this.#run(run)
        })
        this.#timers.add(cancel)
        return () => {
          this.#timers.delete(cancel)
          cancel()
        }
      }
    }
  }

  #send(frame: Frame, about: About): void {
    if (about._tag === "Data") this.#sendData(frame, about.topic, about.events)
    else this.#sendControl(frame, about.kind)
  }

  #sendControl(frame: Frame, kind: ControlKind): void {
    this.#answer ??= kind
    const outgoing: Outgoing = { frame, name: "", topic: null, kind, events: 0, copies: 1, swap: false, lateBy: 0 }
    const lateBy = this.#over || this.#halfOpen ? null : this.#answerDelay(frame, kind)
    if (lateBy === null) this.#host.counts.controlLost++
    else if (lateBy > 0) this.#later(lateBy, outgoing)
    else this.#leave(outgoing)
  }

  /** How much later an answer leaves, ms; null when it is lost. */
  #answerDelay(frame: Frame, kind: ControlKind): number | null {
    const fate = kind === "pong" || kind === "notice" ? null : this.#fate
    const isAnswer = kind === "ack" || kind === "reject"
    const fault = fate ?? (isAnswer ? this.#host.faults.strikeAnswer(this.#host.elapsed(), frame) : null)
    if (fault === null) return 0
    return fault._tag === "LateAnswer" || fault._tag === "LateAck" ? fault.millis : null
  }

  /** A frame that does not hold up what comes behind it. */
  #later(millis: number, outgoing: Outgoing): void {
    if (outgoing.topic !== null) add(outgoing.topic.delayed, outgoing.events)
    this.#hold(outgoing)
    this.#late.add(outgoing)
    this.#peer.after(millis, () => {
      this.#late.delete(outgoing)
      this.#release(outgoing)
      this.#leave(outgoing)
    })
  }

  #sendData(frame: Frame, name: string, events: number): void {
    const topic = this.#host.topicCounts(name)
    if (this.#source !== null) {
      topic.channel = this.#source.channel
      topic.pair = this.#source.pair
    }
    add(topic.offered, events)
    if (this.#over) return add(topic.discarded, events)
    if (this.#halfOpen) return add(topic.suppressed.halfOpen, events)
    const outgoing = { frame, name, topic, kind: null, events, copies: 1, swap: false, lateBy: 0 }
    if (this.#host.faults.frames.length === 0 && this.#swapped.size === 0) this.#leave(outgoing)
    else this.#afflict(outgoing, topic, name)
  }

  /** Lets the frame meet the faults, in their order. */
  #afflict(original: Outgoing, topic: TopicCounts, name: string): void {
    const now = this.#host.elapsed()
    let outgoing: Outgoing | null = original
    for (const fault of this.#host.faults.frames) {
      if (!fault.isActive(now) || !this.#isMeant(fault) || !fault.concerns(name)) continue
      if (!this.#strikes(fault, topic, outgoing.swap)) continue
      outgoing = afflicted(outgoing, topic, fault)
      if (outgoing === null) return
    }
    this.#swap(outgoing, topic)
  }

  #isMeant({ fault: { connection } }: ActiveFault<FrameFault | FaultOf<"Delay">>): boolean {
    return connection === undefined || connection === this.#host.positionOf(this)
  }

  /** Gaps are for book deltas. A frame changes places once, and only one of a topic can wait for the next. */
  #strikes(fault: ActiveFault<FrameFault>, topic: TopicCounts, swap: boolean): boolean {
    const { _tag } = fault.fault
    if (_tag === "Gap" && this.#source?.channel !== "Depth") return false
    if ((_tag === "LosePush" || _tag === "LatePush") && topic.channel !== "Account") return false
    if (_tag === "Reorder" && (swap || this.#swapped.has(topic))) return false
    return fault.strikes()
  }

  #swap(outgoing: Outgoing, topic: TopicCounts): void {
    if (outgoing.swap) {
      add(topic.reordered, outgoing.events)
      this.#hold(outgoing)
      this.#swapped.set(topic, outgoing)
      return
    }
    this.#leave(outgoing)
    const waiting = this.#swapped.get(topic)
    if (waiting === undefined) return
    this.#swapped.delete(topic)
    this.#release(waiting)
    this.#leave(waiting)
  }

  /** The last station: the delay, which keeps the order. */
  #leave(outgoing: Outgoing): void {
    if (outgoing.lateBy > 0) return this.#later(outgoing.lateBy, { ...outgoing, lateBy: 0 })
    const now = this.#host.elapsed()
    const { delays } = this.#host.faults
    const delay = delays.length === 0 ? null : longest(delays.filter((fault) => this.#isMeant(fault)), now)
    if (delay !== null) {
      delay.strikes()
      this.#wait(outgoing, now + delay.fault.millis)
    } else if (this.#delayed.length > 0) {
      this.#wait(outgoing, now)
    } else {
      this.#write(outgoing)
    }
  }

  #wait(outgoing: Outgoing, due: number): void {
    if (outgoing.topic !== null) add(outgoing.topic.delayed, outgoing.events)
    this.#hold(outgoing)
    this.#delayed.push({ _tag: "Frame", due: Math.max(due, this.#delayed.at(-1)?.due ?? 0), outgoing })
  }

  #hold({ topic, events, copies }: Outgoing): void {
    for (let i = 0; topic !== null && i < copies; i++) add(topic.held, events)
  }

  #release({ topic, events, copies }: Outgoing): void {
    for (let i = 0; topic !== null && i < copies; i++) subtract(topic.held, events)
  }

  #write(outgoing: Outgoing): void {
    const { topic, kind, events, copies } = outgoing
    for (let i = 0; i < copies; i++) {
      // Half-open since it was held back, or too slow since the first copy.
      const result = this.#over || this.#halfOpen ? "closed" : this.#transport.send(outgoing.frame)
      if (result !== "sent") this.#lose(outgoing)
      else if (topic !== null) add(topic.sent, events)
      else if (kind !== null) this.#host.counts.control[kind]++
      if (result === "slow") this.end("slow", 1006, "")
      if (result === "sent") this.#cutBehind(outgoing)
    }
  }

  #cutBehind({ frame, name }: Outgoing): void {
    const { faults } = this.#host
    if (faults.cuts.length === 0) return
    const cut = faults.strikeSent(this.#host.elapsed(), name, frame)
    if (cut !== null) this.end("dropped", cut.code ?? 1006, "")
  }

  #lose({ topic, events }: Outgoing): void {
    if (topic === null) this.#host.counts.controlLost++
    else add(this.#over || !this.#halfOpen ? topic.discarded : topic.suppressed.halfOpen, events)
  }

  /** The connection is over: what still waits is lost. */
  #discard(): void {
    const waiting = [
      ...this.#late,
      ...this.#swapped.values(),
      ...this.#delayed.flatMap((waiting) => (waiting._tag === "Frame" ? [waiting.outgoing] : []))
    ]
    this.#late.clear()
    this.#swapped.clear()
    this.#delayed.length = 0
    for (const outgoing of waiting) {
      this.#release(outgoing)
      for (let i = 0; i < outgoing.copies; i++) this.#lose(outgoing)
    }
  }
}

const fields = { pong: "pings", ack: "requests", reject: "requests", error: "errors", notice: "unanswered" } as const

const fieldOf = (answer: ControlKind | null) => answer === null ? "unanswered" : fields[answer]

/** What a fault makes of a frame; null when nothing is left. */
const afflicted = (
  outgoing: Outgoing,
  topic: TopicCounts,
  { fault, random }: ActiveFault<FrameFault>
): Outgoing | null => {
  switch (fault._tag) {
    case "Silence":
      add(topic.suppressed.silence, outgoing.events)
      return null
    case "Gap":
    case "LosePush":
      add(topic.suppressed.gap, outgoing.events)
      return null
    case "Corrupt":
      add(topic.corrupted, outgoing.events)
      return { ...outgoing, frame: corrupted(outgoing.frame, fault.mode ?? "truncate", random.nextDoubleUnsafe()) }
    case "Duplicate":
      add(topic.duplicated, outgoing.events)
      return { ...outgoing, copies: outgoing.copies + 1 }
    case "Reorder":
      return { ...outgoing, swap: true }
    case "LatePush":
      return { ...outgoing, lateBy: fault.millis }
  }
}

/**
 * `at` in [0, 1) says where. At least half of a frame is left, so that the cut goes through its body, where it can be
 * noticed. Text stays text: a character's lowest bit is flipped, not a byte.
 */
const corrupted = (frame: Frame, mode: "truncate" | "flip", at: number): Frame => {
  const { length } = frame
  if (mode === "truncate") {
    return frame.slice(0, Math.min(length - 1, Math.ceil(length / 2) + Math.floor((at * length) / 2)))
  }
  const index = Math.floor(at * length)
  if (typeof frame === "string") {
    return frame.slice(0, index) + String.fromCharCode(frame.charCodeAt(index) ^ 1) + frame.slice(index + 1)
  }
  const copy = frame.slice()
  copy[index]! ^= 1 << (Math.floor(at * 8 * length) % 8)
  return copy
}
