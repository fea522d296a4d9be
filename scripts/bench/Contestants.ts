/** Who takes part, and what is asked of whom. */
import type { Case } from "./Scenario.ts"

export type Contestant = "limit" | "floor" | "plain" | "handler" | "stream" | "bookFloor" | "books" | "followers"

export const titles: Readonly<Record<Contestant, string>> = {
  limit: "LIMIT: raw ws, bytes counted",
  floor: "FLOOR: raw ws + codec",
  plain: "PLAIN: raw ws + JSON.parse / protobufjs",
  handler: "handler: PublicWebsocket.handle",
  stream: "stream: events, runForEachArray",
  bookFloor: "BOOK FLOOR: raw ws + codec + OrderBook",
  books: "books: OrderBooks",
  followers: "followers: handle + BookFollower"
}

export const contestantsOf = ({ isBook }: Case): ReadonlyArray<Contestant> =>
  isBook
    ? ["limit", "floor", "plain", "handler", "stream", "bookFloor", "books", "followers"]
    : ["limit", "floor", "plain", "handler", "stream"]

export interface Comparison {
  readonly contestant: Contestant
  readonly against: Contestant
  /** The least that the ratio should be; null where it is only told. */
  readonly target: number | null
}

const bookComparisons: ReadonlyArray<Comparison> = [
  { contestant: "books", against: "bookFloor", target: 0.9 },
  { contestant: "followers", against: "bookFloor", target: 0.9 }
]

export const comparisonsOf = ({ floorOfLimit, isBook }: Case): ReadonlyArray<Comparison> => [
  { contestant: "floor", against: "limit", target: floorOfLimit },
  { contestant: "handler", against: "floor", target: 0.93 },
  { contestant: "stream", against: "floor", target: 0.9 },
  ...(isBook ? bookComparisons : []),
  { contestant: "handler", against: "plain", target: null }
]

/** What a client process is told on its command line, as JSON. */
export interface Job {
  readonly caseId: string
  readonly contestant: Contestant
  readonly port: number
  readonly frames: number
  /** Frames per second; null: as fast as the client reads. */
  readonly rate: number | null
  /** When to give up without a report, ms: a session would come back to a server that is gone for ever. */
  readonly deadline: number
}

/** What a client process prints, as JSON. */
export interface Report {
  readonly contestant: Contestant
  /** Frames sent in the timed part, warm-up included, and events that arrived. */
  readonly sent: number
  readonly delivered: number
  /** Behind the warm-up. */
  readonly messages: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakRssMb: number
  readonly fallbacks: number
  readonly failures: number
  readonly gaps: number
  /** Conflated, dropped, stale, unrouted. */
  readonly lost: number
  /** Over every event of one pass before the timed part; null where there are no events. */
  readonly hash: number | null
  /** Over the books at the end; null where there are none. */
  readonly bookHash: number | null
  readonly latency: Latency | null
}

/** Microseconds from the moment a frame was due to the consumer's call. */
export interface Latency {
  readonly count: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}
