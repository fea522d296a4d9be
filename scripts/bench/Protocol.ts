/** What the command, the server and the clients tell each other. Clients load this and no list of cases. */

export type ExchangeName = "mexc-spot" | "gate-spot" | "gate-futures"

export type Contestant =
  | "limit"
  | "floor"
  | "wsFloor"
  | "plain"
  | "effectSocket"
  | "effectSocketNode"
  | "gateioApi"
  | "ccxt"
  | "handler"
  | "stream"
  | "streams4"
  | "bookFloor"
  | "wsBookFloor"
  | "books"
  | "followers"
  | "exchange"
  | "before"

/** How a client is loaded with frames. */
export type Mode = "flood" | "paced" | "memory" | "books" | "reconnect" | "stability"

/** What a client process is told on its command line, as JSON. */
export interface Job {
  readonly caseId: string
  readonly contestant: Contestant
  readonly mode: Mode
  /** Of the server: commands and REST. */
  readonly port: number
  /** Of its TLS listener; null for plain sockets. */
  readonly tlsPort: number | null
  readonly frames: number
  /** Paced runs: frames per second. */
  readonly rate: number
  /** Paced runs: frames that leave at once. */
  readonly burst: number
  /** Over so many connections; null: as many as the exchange's own limit asks for. */
  readonly sockets: number | null
  /** Offers permessage-deflate. */
  readonly deflate: boolean
  /** When to give up without a report, ms: a session would come back to a server that is gone for ever. */
  readonly deadline: number
}

export interface WireTopic {
  readonly key: string
  readonly channel: string
  readonly symbol: string
  readonly pair: string
  readonly contractSize: number
}

/** What the server answers to `begin`: enough to subscribe without knowing the exchange. */
export interface Setup {
  readonly exchange: ExchangeName
  readonly path: string
  readonly restPath: string
  readonly headers: Readonly<Record<string, string>>
  readonly isBook: boolean
  /** `ChannelChoice`s. */
  readonly choices: ReadonlyArray<unknown>
  readonly pairs: ReadonlyArray<string>
  readonly topics: ReadonlyArray<WireTopic>
  readonly topicsPerConnection: number
  /** Requests for each connection. */
  readonly sockets: ReadonlyArray<ReadonlyArray<string>>
  /** Frames in one pass over all topics and variants. */
  readonly passFrames: number
}

/** What a client process prints, as JSON. */
export interface Report {
  readonly contestant: Contestant
  /** Frames sent in the timed part, warm-up included, and events that arrived. */
  readonly sent: number
  readonly delivered: number
  readonly metrics: Readonly<Partial<Record<Metric, number>>>
  /** What makes the run worthless: fallbacks, failures, gaps, lost (conflated, dropped, stale, unrouted). */
  readonly faults: Readonly<Record<string, number>>
  /** Over every event of one pass before the timed part; null where there are no events to compare. */
  readonly hash: number | null
  /** Over the books at the end; null where there are none. */
  readonly bookHash: number | null
}

export interface MetricInfo {
  readonly title: string
  readonly unit: string
  readonly better: "lower" | "higher"
  readonly digits: number
}

const lower = (title: string, unit: string, digits: number): MetricInfo => ({ title, unit, better: "lower", digits })

export const metrics = {
  messagesPerSecond: { title: "msg/s", unit: "1/s", better: "higher", digits: 0 },
  cpuMicros: lower("CPU per message", "µs", 2),
  peakRssMb: lower("peak RSS", "MB", 0),
  p50: lower("p50", "µs", 0),
  p95: lower("p95", "µs", 0),
  p99: lower("p99", "µs", 0),
  p999: lower("p99.9", "µs", 0),
  max: lower("longest", "µs", 0),
  lateP99: lower("sender late, p99", "µs", 0),
  heapGrowthMb: lower("heap growth", "MB", 2),
  heapMb: lower("heap", "MB", 1),
  heldMb: lower("held for books", "MB", 1),
  rssMb: lower("RSS", "MB", 0),
  syncedSeconds: lower("to all synced", "s", 2),
  importMs: lower("import", "ms", 0),
  recoveredMs: lower("to all flowing again", "ms", 0),
  reconnects: lower("reconnects", "", 0),
  gaps: lower("declared gaps", "", 0)
} as const satisfies Readonly<Record<string, MetricInfo>>

export type Metric = keyof typeof metrics

export const variantCount = 20

export const firstVersion = 41_000_000_000
/** Versions that one book update covers. */
export const versionStep = 3

/** In paced runs the ticker's version carries the time it was due, in µs of the machine's monotonic clock. */
export const stampBase = 10_000_000_000_000

export const micros = (): number => Number(process.hrtime.bigint() / 1_000n)
