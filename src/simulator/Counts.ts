/**
 * What the simulator has done, counted where it happens, so that what a client saw can be checked to the frame. For
 * every topic: offered + duplicated = sent + suppressed + discarded + held.
 */
import type { WorldRefusal } from "../AccountWorld.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { About, Watch } from "../ExchangeDialect.ts"

export interface Tally {
  frames: number
  events: number
}

/** What a topic carries. */
export type Carried = Watch["_tag"] | "Account"

export type SuppressedBy = "gap" | "silence" | "halfOpen"

export interface TopicCounts {
  /** What the topic was last seen to carry, `Account` for private ones; null while it has carried nothing. */
  channel: Carried | null
  pair: TradingPair | null
  /** Handed over by the dialect. */
  offered: Tally
  /** Handed to sockets, second copies and corrupted frames included. */
  sent: Tally
  suppressed: Record<SuppressedBy, Tally>
  /** Additional copies. */
  duplicated: Tally
  corrupted: Tally
  /** Frames that changed places with the next one. */
  reordered: Tally
  /** Frames that a delay held back. */
  delayed: Tally
  /** Waiting in the simulator now: delayed, or held back to be sent behind the next frame. */
  held: Tally
  /** The connection was over before they could be sent. */
  discarded: Tally
}

export interface Dial {
  /** ms. */
  readonly at: number
  readonly outcome: "accepted" | "refused"
}

export type ControlKind = Extract<About, { readonly _tag: "Control" }>["kind"]

/** What dialects asked of accounts for their clients. */
export interface OrderCounts {
  /** Orders that reached the exchange. */
  places: number
  /** Those of them that it took, whatever became of them. */
  placed: number
  cancels: number
  amends: number
  /** Of all these, by reason. */
  refused: Partial<Record<WorldRefusal, number>>
}

export interface ExchangeCounts {
  topics: Record<string, TopicCounts>
  /** Control frames handed to sockets, by kind. */
  control: Record<ControlKind, number>
  /** Control frames that faults kept back, or that came too late. */
  controlLost: number
  client: {
    /** Frames read from clients. */
    frames: number
    /** Those answered by a pong. */
    pings: number
    /** Those answered by an acknowledgement or a refusal. */
    requests: number
    /** Those answered by an error. */
    errors: number
    unanswered: number
    /** Those that a fault lost before they were read. */
    lost: number
    /** Those that a fault held back before they were read. */
    late: number
    /** Pings of the WebSocket protocol; not counted in `frames`. */
    protocolPings: number
  }
  connections: {
    accepted: number
    refused: number
    /** Open now, half-open ones included. */
    open: number
    /** Made half-open. */
    halfOpen: number
    /** Closed by a fault. */
    dropped: number
    /** Closed by the dialect. */
    closedByExchange: number
    closedByClient: number
    /** Closed because the client did not read fast enough. */
    slow: number
    /** Sockets that reported an error, such as a reset, before they ended. */
    errors: number
  }
  /** Every attempt to connect, the latest 10 000. */
  dials: Array<Dial>
  rest: {
    requests: number
    /** By HTTP status. */
    statuses: Record<string, number>
    /** Requests that asked for a book. */
    snapshots: number
    /** Failed by a fault. */
    failed: number
    /** Books given out older than they were. */
    stale: number
    /** Answers that a fault held back. */
    delayed: number
    /** Answers that a fault cut short. */
    garbled: number
    /** Requests that a fault lost before anything was done about them. */
    lost: number
    /** Requests that a fault held back before anything was done about them. */
    late: number
    /** Requests that were done and whose answer a fault lost. */
    unanswered: number
    /** Requests that were done and whose answer a fault replaced by a failure. */
    replaced: number
  }
  orders: OrderCounts
}

export interface FaultCounts {
  readonly id: number
  /** In the fault language. */
  readonly fault: string
  /** Within its time and not used up. */
  readonly active: boolean
  /** How often it did something: frames, sockets, refusals, requests. */
  readonly applied: number
}

export interface Counts {
  /** ms. */
  readonly at: number
  /** Simulated time since the start, ms. */
  readonly elapsedMillis: number
  readonly ticks: number
  /** Ticks left out because the process was too late for them. */
  readonly skippedTicks: number
  readonly exchanges: Readonly<Record<ExchangeId, ExchangeCounts>>
  readonly faults: ReadonlyArray<FaultCounts>
  /** Defects of dialects; each has ended its connection. The latest 100. */
  readonly failures: ReadonlyArray<string>
}

const tally = (): Tally => ({ frames: 0, events: 0 })

export const makeTopic = (): TopicCounts => ({
  channel: null,
  pair: null,
  offered: tally(),
  sent: tally(),
  suppressed: { gap: tally(), silence: tally(), halfOpen: tally() },
  duplicated: tally(),
  corrupted: tally(),
  reordered: tally(),
  delayed: tally(),
  held: tally(),
  discarded: tally()
})

export const makeExchange = (): ExchangeCounts => ({
  topics: {},
  control: { ack: 0, reject: 0, pong: 0, notice: 0, error: 0 },
  controlLost: 0,
  client: { frames: 0, pings: 0, requests: 0, errors: 0, unanswered: 0, lost: 0, late: 0, protocolPings: 0 },
  connections: {
    accepted: 0,
    refused: 0,
    open: 0,
    halfOpen: 0,
    dropped: 0,
    closedByExchange: 0,
    closedByClient: 0,
    slow: 0,
    errors: 0
  },
  dials: [],
  rest: {
    requests: 0,
    statuses: {},
    snapshots: 0,
    failed: 0,
    stale: 0,
    delayed: 0,
    garbled: 0,
    lost: 0,
    late: 0,
    unanswered: 0,
    replaced: 0
  },
  orders: { places: 0, placed: 0, cancels: 0, amends: 0, refused: {} }
})

export const add = (tally: Tally, events: number): void => {
  tally.frames++
  tally.events += events
}

export const subtract = (tally: Tally, events: number): void => {
  tally.frames--
  tally.events -= events
}
