/** What a named fault is: something that goes wrong at a moment, and what must hold all the same. */
import type { Effect, Scope } from "effect"
import type { Dial } from "../../src/connection/Connection.ts"
import type { ChannelChoice } from "../../src/domain/Channel.ts"
import type { GapCause } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { WebsocketOptions } from "../../src/ExchangeFactory.ts"
import type { Performance, PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { SimulatorOptions, SimulatorService } from "../../src/simulator/Simulator.ts"
import type { Subject } from "../suites/Exchange.ts"
import type { Network } from "./Network.ts"
import type { Observer } from "./Observer.ts"

export const groups = ["connect", "subscribe", "data", "connection", "rest", "consumer", "time"] as const
export type Group = (typeof groups)[number]

/** The clock of the client, which may be set while the exchange's goes on. Both ms. */
export interface Clocks {
  /** What the wall clock is ahead. */
  wall: number
  /** What the monotonic clock is ahead: the process was not running meanwhile. */
  monotonic: number
  /** What timers come too early. */
  early: number
}

/** The exchange's pair of a coin. */
export const pairOf = ({ adapter }: Subject, base: string): TradingPair =>
  adapter.kind === "swap" ? `${base}/USDT:USDT` : `${base}/USDT`

/** All that a fault can get hold of. */
export interface World {
  readonly subject: Subject
  readonly websocket: PublicWebsocket["Service"]
  readonly simulator: SimulatorService
  readonly network: Network
  readonly observer: Observer
  readonly clocks: Clocks
  /** The session's pairs. */
  readonly btc: TradingPair
  readonly eth: TradingPair
  /** Nobody asks for it but a fault's own consumers. */
  readonly sol: TradingPair
  /** Wraps every dial from now on. */
  dial: ((dial: Dial) => Dial) | null
  /** The session's channels. */
  readonly channels: readonly [ChannelChoice, ...Array<ChannelChoice>]
  /** A whole number in [0, limit), by the seed. */
  readonly below: (limit: number) => number
  /** Virtual ms. */
  readonly now: () => number
  /** What a fault has to complain about by itself. */
  readonly problem: (text: string) => void
}

export interface Expected {
  /** Causes that must occur. */
  readonly gaps: ReadonlyArray<GapCause>
  /** Causes that may occur beside them. Every other is a problem. */
  readonly also?: ReadonlyArray<GapCause>
  /** Reasons of errors that must be counted. */
  readonly errors?: ReadonlyArray<string>
  /** Counters that must not be 0. */
  readonly counted?: ReadonlyArray<
    "decodeFailures" | "ignored" | "handlerFailures" | "stale" | "conflated" | "dropped" | "reconnects"
  >
  /** From the end of the fault until every topic delivers, ms of virtual time. */
  readonly within: number
  /** What the simulator sent is what was received: false where the wire itself was changed. Default true. */
  readonly exact?: boolean
}

export interface Fault {
  readonly name: string
  readonly group: Group
  /** What goes wrong. */
  readonly injects: string
  /** At which moment. */
  readonly when: string
  /** What must hold, beside what holds for all. */
  readonly holds: string
  readonly options?: WebsocketOptions
  readonly simulator?: Partial<SimulatorOptions>
  /** Every topic on so many connections at once. Default 1. */
  readonly connections?: number
  /** Books that are joined to snapshots over REST, also where an exchange pushes them by default. */
  readonly fetched?: boolean
  /** Left out where an exchange cannot have it. */
  readonly applies?: (subject: Subject) => boolean
  /** `start`: goes on while the session opens. `running`: begins in a session that is in step. */
  readonly from: "start" | "running"
  /** Ends when the fault does. */
  readonly act: (world: World) => Effect.Effect<void, unknown, Scope.Scope>
  readonly expect: Expected
  /** Problems that the counts show. */
  readonly check?: (performance: Performance, world: World) => ReadonlyArray<string>
  /** Topics have several subscribers: their ledgers count events once for each. */
  readonly shares?: boolean
  /** The library logs an error: a defect of the consumer's. */
  readonly logs?: boolean
}
