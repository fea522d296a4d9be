/** What each suite measures: sections of contestants that take turns. */
import { floodContestants, pacedContestants } from "./Contestants.ts"
import type { Contestant, Job } from "./Protocol.ts"
import type { Case } from "./Scenario.ts"
import * as Scenario from "./Scenario.ts"
import type { SuiteId } from "./Targets.ts"
import { latencyId } from "./Targets.ts"

/** One section to measure. */
export interface Plan {
  readonly suite: SuiteId
  readonly id: string
  readonly title: string
  readonly of: Case
  readonly contestants: ReadonlyArray<Contestant>
  /** Those that take part in every fifth round only: they are told without a verdict. */
  readonly seldom: ReadonlyArray<Contestant>
  readonly rounds: number
  /** Frames before a contestant's share is taken. */
  readonly frames: number
  readonly job: Partial<Job>
  /** The client's module, where it is not the contestant's own. */
  readonly module?: string
}

export interface Options {
  readonly cases: ReadonlyArray<string>
  /** Null: the suite's own number. */
  readonly rounds: number | null
  readonly isQuick: boolean
  /** Whether the library of an older revision takes part. */
  readonly hasBefore: boolean
  /** Who takes part; empty: all. */
  readonly only: ReadonlyArray<Contestant>
  /** Of long runs, s. */
  readonly duration: number | null
}

export interface Suite {
  readonly id: SuiteId
  readonly description: string
  /** Cases when none are named. */
  readonly cases: ReadonlyArray<string>
  readonly quickCases: ReadonlyArray<string>
  readonly rounds: number
  readonly plans: (of: Case, options: Options, rounds: number) => ReadonlyArray<Plan>
}

const tickers = ["mexc-ticker", "gate-ticker", "futures-ticker"]
const books = ["mexc-depth", "gate-update", "futures-update"]

/** Frames of a quick run, of those of a whole one. */
const quickScale = 0.01

const flood = (suite: SuiteId, of: Case, { hasBefore, isQuick }: Options, rounds: number): Plan => {
  const all = floodContestants(of)
  return {
    suite,
    id: of.id,
    title: of.title,
    of,
    contestants: hasBefore ? [...all, "before"] : all,
    seldom: isQuick ? all.filter((contestant) => contestant !== "floor" && contestant !== "handler") : [],
    rounds,
    frames: of.frames * (isQuick ? quickScale : 1),
    job: { mode: "flood", sockets: 1 }
  }
}

const pick = (plan: Plan, contestants: ReadonlyArray<Contestant>): Plan => ({
  ...plan,
  contestants: plan.contestants.filter((contestant) => contestants.includes(contestant))
})

/** One connection, as the prototype had it, whatever the exchange allows. */
const throughput: Suite = {
  id: "throughput",
  description: "Floods contestants over one socket: CPU time a message, messages a second, peak memory.",
  cases: [...tickers, ...books, "gate-obu"],
  quickCases: ["gate-ticker", "mexc-depth"],
  rounds: 15,
  plans: (of, options, rounds) => {
    const plan = flood("throughput", of, options, rounds)
    if (!options.isQuick || of.id === "gate-ticker" || options.cases.length > 0) return [plan]
    return [pick(plan, ["floor", "handler", "bookFloor", "books", "followers", "exchange"])]
  }
}

interface Load {
  readonly rate: number
  readonly burst: number
  readonly sockets: number
  readonly tls: boolean
}

const loads: ReadonlyArray<Load> = [
  { rate: 1_000, burst: 1, sockets: 1, tls: false },
  ...[5_000, 20_000].flatMap((rate) =>
    [1, 80].flatMap((sockets) => [false, true].map((tls): Load => ({ rate, burst: 1, sockets, tls })))
  ),
  { rate: 20_000, burst: 200, sockets: 1, tls: false }
]

const quickLoads: ReadonlyArray<Load> = [{ rate: 5_000, burst: 1, sockets: 1, tls: false }]

/** Of a paced run with its warm-up. */
const pacedSeconds = 4

const latency: Suite = {
  id: "latency",
  description:
    "Paces frames that never repeat, one a wake-up or in bursts, plain and over TLS, on 1 and on 80 sockets: "
    + "times from the moment a frame was due, and CPU time a message.",
  cases: ["mexc-ticker", "gate-ticker"],
  quickCases: ["gate-ticker"],
  rounds: 3,
  plans: (of, { hasBefore, isQuick }, rounds) =>
    (isQuick ? quickLoads : loads).map((load) => ({
      suite: "latency",
      id: latencyId(of.id, load),
      title: `${of.title}, ${latencyId("", load).trim()}`,
      // Two topics for each socket, so that there are as many as are asked for.
      of: load.sockets === 1 ? of : Scenario.caseById(`${of.id}-${load.sockets * 2}`),
      contestants: [
        ...(isQuick ? ["floor" as const, "handler" as const] : pacedContestants(of)),
        ...(hasBefore ? ["before" as const] : [])
      ],
      seldom: ["ccxt", "stream"],
      rounds,
      frames: load.rate * (isQuick ? 1 : pacedSeconds),
      job: {
        mode: "paced",
        rate: load.rate,
        burst: load.burst,
        sockets: load.sockets,
        ...(load.tls ? { tlsPort: 0 } : {})
      }
    }))
}

/** Live books of the library over as many sockets as the session takes. */
const live = (suite: SuiteId, of: Case, rounds: number, mode: "books" | "reconnect" | "stability"): Plan => ({
  suite,
  id: of.id,
  title: of.title,
  of,
  contestants: ["books"],
  seldom: [],
  rounds,
  frames: 0,
  job: { mode, sockets: null },
  module: "Startup"
})

const memory: Suite = {
  id: "memory",
  description:
    "Heap growth over two million messages after forced collections, peak memory, and what 1,000 live books of "
    + "1,000 levels a side hold.",
  cases: [...tickers, "mexc-deep"],
  quickCases: ["gate-ticker"],
  rounds: 3,
  plans: (of, { isQuick }, rounds) =>
    of.id === "mexc-deep"
      ? [{ ...live("memory", of, rounds, "books"), frames: Scenario.passFramesOf(of) }]
      : [{
        suite: "memory",
        id: of.id,
        title: of.title,
        of,
        contestants: ["floor", "handler", "stream"],
        seldom: [],
        rounds,
        frames: isQuick ? 100_000 : 2_000_000,
        job: { mode: "memory", sockets: 1 }
      }]
}

const fanout: Suite = {
  id: "fanout",
  description: "1,000 pairs with two channels each on 100 sockets at once, for a handler, one stream and four.",
  cases: ["gate-fanout"],
  quickCases: ["gate-fanout"],
  rounds: 15,
  plans: (of, { hasBefore, isQuick }, rounds) => [{
    suite: "fanout",
    id: of.id,
    title: `${of.title}, 100 sockets`,
    of,
    contestants: [
      "limit",
      "floor",
      "wsFloor",
      "handler",
      "stream",
      "streams4",
      ...(hasBefore ? ["before" as const] : [])
    ],
    seldom: [],
    rounds,
    frames: isQuick ? 80_000 : of.frames,
    job: { mode: "flood", sockets: 100 }
  }]
}

const deflate: Suite = {
  id: "deflate",
  description: "The same with permessage-deflate on, every message compressed on its own.",
  cases: tickers,
  quickCases: ["gate-ticker"],
  rounds: 3,
  plans: (of, options, rounds) => [{
    ...pick(flood("deflate", of, options, rounds), ["limit", "floor", "plain", "handler"]),
    frames: options.isQuick ? 10_000 : 100_000,
    job: { mode: "flood", sockets: 1, deflate: true }
  }]
}

const startup: Suite = {
  id: "startup",
  description: "From nothing to all books in step, 1,000 pairs, without the exchange's limits.",
  cases: ["mexc-depth-1000", "gate-update-1000", "futures-update-1000"],
  quickCases: ["gate-update"],
  rounds: 5,
  plans: (of, _, rounds) => [live("startup", of, rounds, "books")]
}

const importing: Suite = {
  id: "import",
  description: "How long `import(\"effect-exchange\")` takes once effect is loaded.",
  cases: ["gate-ticker"],
  quickCases: ["gate-ticker"],
  rounds: 15,
  plans: (of, _, rounds) => [{
    suite: "import",
    id: "import",
    title: "import of the package over importing effect alone",
    of,
    contestants: ["handler"],
    seldom: [],
    rounds,
    frames: 0,
    job: {},
    module: "Import"
  }]
}

const reconnect: Suite = {
  id: "reconnect",
  description: "Every connection is dropped: how long until all books are in step again.",
  cases: ["gate-obu", "gate-update", "mexc-depth"],
  quickCases: ["gate-obu"],
  rounds: 5,
  plans: (of, _, rounds) => [live("reconnect", of, rounds, "reconnect")]
}

const stability: Suite = {
  id: "stability",
  description: "Live books for a long time (--duration), every connection dropped now and then: gaps declared, memory.",
  cases: ["gate-obu"],
  quickCases: ["gate-obu"],
  rounds: 1,
  plans: (of, { duration, isQuick }, rounds) => {
    const seconds = duration ?? (isQuick ? 4 : 60)
    return [{ ...live("stability", of, rounds, "stability"), title: `${of.title}, ${seconds} s`, frames: seconds }]
  }
}

/** In the order of a whole run. */
export const suites: ReadonlyArray<Suite> = [
  throughput,
  latency,
  memory,
  fanout,
  deflate,
  startup,
  importing,
  reconnect,
  stability
]

/** Those of a whole quick run. */
export const quickSuites: ReadonlySet<SuiteId> = new Set(["throughput", "latency"])

export const plansOf = (suite: Suite, options: Options): ReadonlyArray<Plan> => {
  const own = options.isQuick ? suite.quickCases : suite.cases
  const chosen = options.cases.length === 0 ? own : options.cases
  const rounds = options.rounds ?? (options.isQuick ? 1 : suite.rounds)
  const plans = chosen.flatMap((id) => suite.plans(Scenario.caseById(id), options, rounds))
  return options.only.length === 0 ? plans : plans.map((plan) => pick(plan, options.only))
}
