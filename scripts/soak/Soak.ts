/** `soak`: client and simulator as two processes for as long as one likes, and a report at the end. */
import { Console, Deferred, Duration, Effect, Option, Result } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Command, Flag } from "effect/cli"
import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { cpus, totalmem } from "node:os"
import * as Failure from "../../src/cli/Failure.ts"
import * as Flags from "../../src/cli/Flags.ts"
import * as SimulatorProcess from "../../src/cli/SimulatorProcess.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import type { KnownExchange } from "../../src/Exchanges.ts"
import { root } from "../prove/Child.ts"
import * as Virtual from "../prove/Virtual.ts"
import * as Client from "./Client.ts"
import * as FaultPlan from "./FaultPlan.ts"
import * as Memory from "./Memory.ts"
import type { Sample } from "./Memory.ts"
import * as ProgramSoak from "./ProgramSoak.ts"
import * as Report from "./Report.ts"
import * as Truth from "./Truth.ts"

interface Options {
  readonly duration: number
  readonly faults: ReadonlyArray<string>
  readonly pairs: number
  readonly exchanges: ReadonlyArray<KnownExchange>
  readonly seed: number
  readonly rate: number | undefined
  /** Done when the user wants no more. */
  readonly stop: Deferred.Deferred<void>
}

const minute = 60_000

/** What is done how often, ms: as often as it makes sense for this length. */
const pacesOf = (duration: number) => ({
  sample: Math.min(10_000, Math.max(250, duration / 100)),
  compare: Math.min(minute, Math.max(1_000, duration / 8)),
  fault: Math.min(45_000, Math.max(1_500, duration / 10)),
  /** A book that a fault has taken out of sync is waited for. */
  patience: 30_000
})

type Paces = ReturnType<typeof pacesOf>

/** Mismatches that are told; more are counted. */
const mostTold = 50

class Findings {
  readonly told: Array<string> = []
  count = 0

  add(mismatches: ReadonlyArray<string>): void {
    this.count += mismatches.length
    this.told.push(...mismatches.slice(0, Math.max(0, mostTold - this.told.length)))
  }
}

interface Running {
  readonly clients: ReadonlyArray<Client.Client>
  readonly truth: Truth.Truth
  readonly memory: Memory.Memory
  readonly faults: Map<string, number>
  readonly findings: Findings
  /** Until when the books of an exchange may be out of sync, ms. */
  readonly staleUntil: Map<string, number>
  readonly compared: Map<string, { compared: number; stale: number; wrong: number }>
  rounds: number
}

const now = (): number => Number(process.hrtime.bigint() / 1_000_000n)

// ---- while it runs --------------------------------------------------------------------------------------------------

const compareAll = Effect.fnUntraced(function*(running: Running, patience: number) {
  for (const client of running.clients) {
    const allowed = Math.max(0, (running.staleUntil.get(client.exchange) ?? 0) - now()) + patience
    const { compared, stale, wrong } = yield* client.compare(running.truth, allowed)
    const total = running.compared.get(client.exchange) ?? { compared: 0, stale: 0, wrong: 0 }
    running.compared.set(client.exchange, {
      compared: total.compared + compared,
      stale: total.stale + stale.length,
      wrong: total.wrong + wrong.length
    })
    running.findings.add([...wrong, ...stale.map((text) => `not in sync within ${allowed} ms: ${text}`)])
  }
  running.rounds++
})

const injectNext = Effect.fnUntraced(function*(running: Running, plan: ReadonlyArray<string>, draws: Virtual.Draws) {
  const { exchange, faults, kind, staleFor } = FaultPlan.next(
    plan,
    running.clients.map((client) => client.exchange),
    draws
  )
  yield* Effect.forEach(faults, running.truth.inject, { discard: true })
  running.faults.set(kind, (running.faults.get(kind) ?? 0) + 1)
  if (staleFor > 0) running.staleUntil.set(exchange, now() + staleFor)
})

/** For ever, at this pace. */
const paced = <E>(millis: number, effect: Effect.Effect<void, E>): Effect.Effect<never, E> =>
  Effect.forever(Effect.andThen(Effect.sleep(millis), effect))

const watch = (running: Running, { duration, faults, seed }: Options, paces: Paces, began: number) =>
  Effect.gen(function*() {
    const draws = yield* Virtual.draws(seed, "soak faults")
    const works: ReadonlyArray<Effect.Effect<never, Error>> = [
      paced(paces.sample, Effect.sync(() => running.memory.take(now() - began))),
      paced(paces.compare, compareAll(running, paces.patience)),
      ...faults.length === 0 ? [] : [paced(paces.fault, injectNext(running, faults, draws))],
      paced(minute, progress(running, began))
    ]
    return yield* Effect.raceFirst(Effect.as(Effect.sleep(duration), "duration" as const), Effect.raceAllFirst(works))
  })

const progress = (running: Running, began: number) =>
  Effect.suspend(() => {
    const { heap = 0, rss = 0 } = running.memory.samples.at(-1) ?? {}
    const faults = [...running.faults.values()].reduce((sum, count) => sum + count, 0)
    return Console.error(
      `${
        Math.round((now() - began) / minute)
      } min: ${running.rounds} rounds, ${faults} faults, ${running.findings.count} mismatches, heap ${
        Math.round(heap / 2 ** 20)
      } MiB, RSS ${Math.round(rss / 2 ** 20)} MiB`
    )
  })

// ---- the end --------------------------------------------------------------------------------------------------------

/** Lets everything come back, compares once more, and closes the books of events. */
const settle = Effect.fnUntraced(function*(running: Running, patience: number) {
  const { truth } = running
  yield* truth.clear
  yield* compareAll(running, patience)
  yield* truth.pause
  // What is on its way arrives; aggregated feeds tell the last change within their interval.
  yield* Effect.sleep("3 seconds")
  const counts = yield* truth.counts
  running.findings.add(counts.failures.map((failure) => `the simulator failed: ${failure}`))
  return counts
})

const tradesOf = ({ trades }: Client.Client): Report.ExchangeReport["trades"] => {
  const all = [...trades.values()]
  const total = (field: "received" | "declared" | "undeclared" | "repeated") =>
    all.reduce((sum, watched) => sum + watched[field], 0)
  return {
    received: total("received"),
    declared: total("declared"),
    undeclared: total("undeclared"),
    repeated: total("repeated")
  }
}

const exchangeReport = Effect.fnUntraced(function*(
  running: Running,
  client: Client.Client,
  counts: Truth.Counts,
  isExact: boolean
) {
  const performance = yield* client.performance
  const books = yield* client.status
  const ledger = yield* client.ledger(counts.exchanges[client.exchange]?.topics ?? {})
  const trades = tradesOf(client)
  const name = client.exchange
  running.findings.add([
    ...ledger.wrong.map((text) => `${name}: ${text}`),
    ...trades.undeclared > 0 ? [`${name}: ${trades.undeclared} trades are missing and no gap says so`] : [],
    ...trades.repeated > 0 ? [`${name}: ${trades.repeated} trades came twice or behind a later one`] : [],
    ...isExact && ledger.sent !== ledger.received
      ? [`${name}: ${ledger.sent} events sent, ${ledger.received} received, without any fault`]
      : []
  ])
  const compared = running.compared.get(name) ?? { compared: 0, stale: 0, wrong: 0 }
  const report: Report.ExchangeReport = {
    exchange: name,
    pairs: client.pairs.length,
    events: Object.fromEntries(client.events),
    bookUpdates: books.updates,
    frames: performance.frames,
    gaps: Object.fromEntries(client.gaps),
    reconnects: performance.reconnects,
    resyncs: books.resyncs,
    unreadable: performance.decodeFailures,
    booksCompared: compared.compared,
    booksStale: compared.stale,
    booksWrong: compared.wrong,
    trades,
    ledger: { ...ledger, wrong: ledger.wrong.length }
  }
  return report
})

const memoryReport = (
  samples: ReadonlyArray<Sample>,
  field: Memory.Field,
  took: number
): Report.MemoryReport => {
  const values = samples.map((sample) => sample[field])
  return {
    first: values[0] ?? Number.NaN,
    last: values.at(-1) ?? Number.NaN,
    least: Math.min(...values),
    most: Math.max(...values),
    trend: Memory.trendOf(samples, field, took)
  }
}

const revision = (): string => {
  try {
    const git = (...parameters: ReadonlyArray<string>) =>
      execFileSync("git", parameters, { cwd: root, encoding: "utf8" }).trim()
    return `${git("rev-parse", "--short", "HEAD")}${git("status", "--porcelain") === "" ? "" : " with changes"}`
  } catch {
    return "unknown"
  }
}

const machine = (): string => {
  const processors = cpus()
  return `${processors.length} x ${processors[0]?.model.trim() ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB`
}

// ---- all of it ------------------------------------------------------------------------------------------------------

const pairsOf = (exchange: KnownExchange, pairs: ReadonlyArray<TradingPair>): ReadonlyArray<TradingPair> =>
  Exchanges.get(exchange).kind === "spot" ? pairs : pairs.map((pair): TradingPair => `${pair}:USDT`)

const startClients = (
  { exchanges }: Options,
  simulator: SimulatorProcess.SimulatorProcess,
  pairs: ReadonlyArray<TradingPair>
): Effect.Effect<ReadonlyArray<Client.Client>, Error, Scope.Scope> =>
  Effect.forEach(
    exchanges,
    (exchange) =>
      Client.start(
        exchange,
        simulator.urls[exchange]!,
        pairsOf(exchange, pairs) as unknown as NonEmptyReadonlyArray<TradingPair>
      ),
    { concurrency: "unbounded" }
  )

const soak = Effect.fnUntraced(function*(options: Options) {
  const began = new Date().toISOString()
  const pairs = Virtual.spotPairs(options.pairs)
  const simulator = yield* SimulatorProcess.start({ pairs, seed: options.seed, rate: options.rate })
  const truth = Truth.make(Truth.adminOf(simulator.urls))
  const clients = yield* startClients(options, simulator, pairs)
  const running: Running = {
    clients,
    truth,
    memory: new Memory.Memory(),
    faults: new Map(),
    findings: new Findings(),
    staleUntil: new Map(),
    compared: new Map(),
    rounds: 0
  }
  const paces = pacesOf(options.duration)
  const start = now()
  const ended = yield* watch(running, options, paces, start).pipe(
    Effect.raceFirst(Effect.as(Deferred.await(options.stop), "signal" as const)),
    Effect.raceFirst(simulator.watch),
    Effect.result
  )
  const tookMs = now() - start
  if (Result.isFailure(ended)) running.findings.add([ended.failure.message])
  const counts = yield* settle(running, paces.patience)
  const isExact = running.faults.size === 0
  const exchanges = yield* Effect.forEach(clients, (client) => exchangeReport(running, client, counts, isExact))
  const { samples } = running.memory
  const judgement = Memory.judge(samples, tookMs)
  const memory = {
    heap: memoryReport(samples, "heap", tookMs),
    code: memoryReport(samples, "code", tookMs),
    rss: memoryReport(samples, "rss", tookMs),
    warmUpMs: Memory.warmUpOf(tookMs),
    judgement
  }
  if (judgement.isFlat === false) running.findings.add([`the heap is not flat: ${judgement.found}`])
  const { count, told } = running.findings
  const report: Report.Report = {
    began,
    tookMs,
    askedMs: options.duration,
    endedBy: Result.getOrElse(ended, () => "failure" as const),
    seed: options.seed,
    revision: revision(),
    machine: machine(),
    node: process.versions.node,
    collected: globalThis.gc !== undefined,
    exchanges,
    faults: Object.fromEntries(running.faults),
    rounds: running.rounds,
    memory,
    simulator: { ticks: counts.ticks, skippedTicks: counts.skippedTicks },
    mismatches: count > told.length ? [...told, `and ${count - told.length} more`] : told
  }
  return report
}, Effect.scoped)

const write = (markdown: string, report: unknown, out: string): void => {
  const base = out.replace(/\.(?:md|json)$/u, "")
  writeFileSync(`${base}.md`, markdown)
  writeFileSync(`${base}.json`, `${JSON.stringify(report)}\n`)
}

/** Says it, and writes it where it is wanted. */
const tell = (markdown: string, report: unknown, out: Option.Option<string>) =>
  Effect.andThen(
    Effect.sync(() => Option.isSome(out) ? write(markdown, report, out.value) : undefined),
    Console.log(markdown)
  )

const readExchanges = (text: string): Result.Result<ReadonlyArray<KnownExchange>, string> => {
  const ids = text.split(",").map((id) => id.trim())
  return ids.every(Exchanges.isKnown)
    ? Result.succeed(ids as ReadonlyArray<KnownExchange>)
    : Result.fail(`exchanges out of ${Exchanges.ids.join(", ")}`)
}

export const commandOf = (stop: Deferred.Deferred<void>) =>
  Command.make(
    "soak",
    {
      duration: Flag.String("duration").pipe(
        Flag.withMetavar("TIME"),
        Flag.withDescription("How long: 20s, 45m, 24h"),
        Flags.readAs("duration", Flags.readDuration)
      ),
      faults: Flag.String("faults").pipe(
        Flag.withMetavar("FAULTS"),
        Flag.withDescription(
          `all (default), none, or faults of your own separated by blanks. All: ${FaultPlan.names.join(", ")}`
        ),
        Flags.readAs("faults", FaultPlan.read),
        Flag.withDefault(FaultPlan.names)
      ),
      program: Flag.Boolean("program").pipe(
        Flag.withDescription(
          "The whole program of npm start, with accounts, edges and orders, and faults of those too; always on all exchanges"
        ),
        Flag.withDefault(false)
      ),
      pairs: Flags.int("pairs", 1, 2_000).pipe(
        Flag.withDescription("Pairs of each exchange (default 20, with --program 100 and at most 1000)"),
        Flag.optional
      ),
      exchanges: Flag.String("exchanges").pipe(
        Flag.withMetavar("ID,…"),
        Flag.withDescription("Exchanges (default: all)"),
        Flags.readAs("exchanges", readExchanges),
        Flag.withDefault(Exchanges.ids)
      ),
      rate: Flags.int("rate", 0, 10_000).pipe(
        Flag.withDescription("Book changes per second and market (default 50)"),
        Flag.optional
      ),
      seed: Flags.seed,
      out: Flag.String("out").pipe(
        Flag.withMetavar("FILE"),
        Flag.withDescription("Write the report to FILE.md and FILE.json, besides stdout"),
        Flag.optional
      )
    },
    Effect.fnUntraced(function*({ duration, exchanges, faults, out, pairs, program, rate, seed }) {
      if (program) {
        const soaked = yield* ProgramSoak.run({
          duration: Duration.toMillis(duration),
          pairs: Option.getOrElse(pairs, () => 100),
          seed,
          faults: faults === FaultPlan.names ? FaultPlan.programNames : faults
        }, { revision: revision(), machine: machine(), node: process.versions.node })
        yield* tell(ProgramSoak.markdown(soaked), soaked, out)
        if (!ProgramSoak.isKept(soaked)) yield* Failure.failed("not all was kept")
        return
      }
      const report = yield* soak({
        duration: Duration.toMillis(duration),
        faults,
        pairs: Option.getOrElse(pairs, () => 20),
        exchanges,
        seed,
        rate: Option.getOrUndefined(rate),
        stop
      })
      yield* tell(Report.markdown(report), report, out)
      if (report.mismatches.length > 0) yield* Failure.failed(Report.countOf(report))
    })
  ).pipe(
    Command.withDescription(
      "Run clients of the simulated exchanges for a long time under faults, compare every book with the truth each minute, " +
        "and report memory and counts at the end. Ctrl-C ends it with the report of the time until then."
    )
  )
