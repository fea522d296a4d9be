/** What must be reached, as data: one row for each line of the requirement. */
import type { Contestant, Metric } from "./Protocol.ts"

export type SuiteId =
  | "throughput"
  | "latency"
  | "memory"
  | "startup"
  | "import"
  | "reconnect"
  | "fanout"
  | "deflate"
  | "stability"

/**
 * `ratio`: how many times better than the other (by a figure that should be low: the other's over its own), at least
 * `bound`. `difference`: own minus the other's, at most `bound`. `value`: own, at most `bound`.
 */
export interface Target {
  readonly suite: SuiteId
  /** Ids of sections: the case, and for some suites how it is loaded. */
  readonly sections: ReadonlyArray<string>
  readonly metric: Metric
  readonly contestant: Contestant
  readonly against: Contestant | null
  readonly kind: "ratio" | "difference" | "value"
  readonly bound: number | null
  /** The least that the lower end of the interval may be, where it is not the bound itself. */
  readonly lowest?: number
  /** When missed, the run is void for every claim against FLOOR. */
  readonly isPrecondition?: boolean
}

const ratio = (
  sections: ReadonlyArray<string>,
  contestant: Contestant,
  against: Contestant,
  bound: number | null,
  more: Partial<Target> = {}
): Target => ({
  suite: "throughput",
  sections,
  metric: "cpuMicros",
  contestant,
  against,
  kind: "ratio",
  bound,
  ...more
})

const tickers = ["mexc-ticker", "gate-ticker", "futures-ticker"]
const gateBooks = ["gate-update", "futures-update"]
const books = ["mexc-depth", ...gateBooks]
const named = [...tickers, ...books]
/** Told, without a target. */
const others = [
  "gate-obu",
  "mexc-trades",
  "gate-trades",
  "futures-trades",
  "mexc-tickers",
  "gate-tickers",
  "futures-tickers",
  ...named.map((id) => `${id}-1000`)
]

/** What the prototype's FLOOR had of LIMIT, where that is known. */
const floorOfLimit: ReadonlyArray<readonly [string, number]> = [
  ["mexc-ticker", 0.58],
  ["mexc-depth", 0.3],
  ["gate-ticker", 0.67],
  ["gate-update", 0.38]
]

/** The same targets against the prototype's FLOOR, of which its share of LIMIT is all that can be had here. */
const againstPrototype = floorOfLimit.flatMap(([id, share]) => [
  ratio([id], "handler", "limit", 0.93 * share),
  ratio([id], "stream", "limit", 0.9 * share),
  ratio([id], "streams4", "limit", 0.8 * share)
])

const latencyRates = [5_000, 20_000]

/** Ids of the sections of live-shaped load: case, rate, sockets, burst and wire. */
export const latencyId = (
  caseId: string,
  load: { readonly rate: number; readonly burst: number; readonly sockets: number; readonly tls: boolean }
): string =>
  `${caseId} ${load.rate}/s${load.burst > 1 ? ` in bursts of ${load.burst}` : ""} ${
    load.sockets === 1 ? "1 socket" : `${load.sockets} sockets`
  }${load.tls ? " TLS" : ""}`

const live = tickers.flatMap((caseId) =>
  latencyRates.flatMap((rate) =>
    [1, 80].flatMap((sockets) => [false, true].map((tls) => latencyId(caseId, { rate, burst: 1, sockets, tls })))
  )
)

const liveTarget = (metric: Metric, contestant: Contestant, against: Contestant, more: Partial<Target>): Target => ({
  suite: "latency",
  sections: live,
  metric,
  contestant,
  against,
  kind: "ratio",
  bound: null,
  ...more
})

const value = (
  suite: SuiteId,
  sections: ReadonlyArray<string>,
  metric: Metric,
  contestant: Contestant,
  bound: number
): Target => ({ suite, sections, metric, contestant, against: null, kind: "value", bound })

export const targets: ReadonlyArray<Target> = [
  ...floorOfLimit.map(([id, bound]) => ratio([id], "floor", "limit", bound, { isPrecondition: true })),
  ratio([...others, "futures-ticker", "futures-update"], "floor", "limit", null),
  ratio([...named, ...others], "wsFloor", "limit", null),
  ...againstPrototype,
  ratio(named, "handler", "floor", 0.93, { lowest: 0.9 }),
  ratio(named, "handler", "wsFloor", 0.93, { lowest: 0.9 }),
  ratio(others, "handler", "floor", null),
  ratio(named, "stream", "floor", 0.9),
  ratio(named, "stream", "wsFloor", 0.9),
  ratio(others, "stream", "floor", null),
  ratio(named, "streams4", "floor", 0.8),
  ratio(named, "streams4", "wsFloor", 0.8),
  ratio(others, "streams4", "floor", null),
  ratio(books, "followers", "bookFloor", 0.9),
  ratio(books, "books", "bookFloor", 0.9),
  ratio(books, "books", "wsBookFloor", 0.9),
  ratio([...books, "gate-obu"], "exchange", "followers", 0.9),
  ratio([...books, "gate-obu"], "books", "followers", 0.9),
  ratio(["gate-obu"], "followers", "bookFloor", null),
  ratio(["gate-obu"], "books", "bookFloor", null),
  ratio(["gate-obu", "futures-update"], "followers", "ccxt", 13),
  ratio(["mexc-depth"], "followers", "ccxt", 8),
  ratio(tickers, "handler", "plain", 3),
  ratio(["mexc-depth"], "handler", "plain", 3.5),
  ratio(gateBooks, "handler", "plain", 5),
  ratio(others, "handler", "plain", null),
  ratio(named, "handler", "effectSocket", 3.5),
  ratio(named, "handler", "effectSocketNode", 3.5),
  ratio(["gate-ticker", "futures-ticker", ...gateBooks], "handler", "gateioApi", 4),
  ratio(["gate-ticker", "futures-ticker"], "handler", "ccxt", 15),
  ratio(["mexc-ticker"], "handler", "ccxt", 24),
  ratio(named, "handler", "before", 1.15),
  liveTarget("p50", "handler", "floor", { kind: "difference", bound: 4 }),
  liveTarget("cpuMicros", "handler", "floor", { bound: 1 / 1.15 }),
  liveTarget("p50", "handler", "wsFloor", { kind: "difference", bound: 4 }),
  liveTarget("cpuMicros", "handler", "wsFloor", { bound: 1 / 1.15 }),
  liveTarget("cpuMicros", "handler", "gateioApi", { bound: 1 }),
  liveTarget("p50", "handler", "before", { bound: 1 / 0.9 }),
  ratio(["gate-fanout"], "handler", "floor", 0.9, { suite: "fanout" }),
  ratio(["gate-fanout"], "handler", "wsFloor", 0.9, { suite: "fanout" }),
  ratio(["gate-fanout"], "stream", "floor", 0.9, { suite: "fanout" }),
  ratio(["gate-fanout"], "streams4", "floor", 0.8, { suite: "fanout" }),
  ratio(tickers, "handler", "floor", null, { suite: "deflate" }),
  value("throughput", tickers, "peakRssMb", "handler", 140),
  value("memory", tickers, "peakRssMb", "handler", 140),
  value("memory", tickers, "peakRssMb", "stream", 140),
  value("memory", tickers, "heapGrowthMb", "handler", 1),
  value("memory", tickers, "heapGrowthMb", "stream", 1),
  value("memory", ["mexc-deep"], "heldMb", "books", 150),
  value("startup", ["mexc-depth-1000", "gate-update-1000", "futures-update-1000"], "syncedSeconds", "books", 3),
  value("import", ["import"], "importMs", "handler", 150)
]
