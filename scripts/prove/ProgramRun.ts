/**
 * The demo's program for as long as you like, with its simulator in another process: what it takes of memory and processor,
 * its books against the exchanges' own, its accounts against their ledgers, and what its end leaves.
 */
import { BigDecimal, Clock, Effect, Fiber } from "effect"
import type { Scope } from "effect"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import { readFileSync } from "node:fs"
import { AccountBoard } from "../../src/cli/account/AccountBoard.ts"
import { ArbitrageBoard } from "../../src/cli/demo/ArbitrageBoard.ts"
import * as ArbitrageRows from "../../src/cli/demo/ArbitrageRows.ts"
import { ExchangeBoard } from "../../src/cli/demo/Board.ts"
import * as MadePairs from "../../src/cli/demo/MadePairs.ts"
import * as Program from "../../src/cli/demo/Program.ts"
import * as Source from "../../src/cli/demo/Source.ts"
import type { JsonObject } from "../../src/cli/EventJson.ts"
import type * as Failure from "../../src/cli/Failure.ts"
import type { SimulatorProcess } from "../../src/cli/SimulatorProcess.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import { compareBooks } from "../soak/Comparison.ts"
import type { Comparison } from "../soak/Comparison.ts"
import * as FaultPlan from "../soak/FaultPlan.ts"
import type { Sample } from "../soak/Memory.ts"
import { Memory } from "../soak/Memory.ts"
import * as Truth from "../soak/Truth.ts"
import { bookedOf } from "./Booked.ts"
import * as Ledger from "./ProgramLedger.ts"
import * as Virtual from "./Virtual.ts"

export interface ProgramOptions {
  readonly seed: number
  readonly pairs: number
  /** From when everything was there, ms. */
  readonly duration: number
  /** Between two looks at the memory, ms. */
  readonly sampleEvery: number
  /** Between two comparisons of every book, ms; null: at the end alone. */
  readonly compareEvery: number | null
  /** Between two faults, ms. */
  readonly faultEvery: number
  /** Names of the plan, or faults; none: nothing goes wrong. */
  readonly faults: ReadonlyArray<string>
  /** How long anything may take that must come, ms. */
  readonly patience: number
  /** Somebody looks after a kill switch that was thrown, and goes on after so long, ms; null: nobody. */
  readonly reviveAfter: number | null
}

export interface ExchangeFound {
  readonly exchange: string
  readonly updates: number
  readonly gaps: number
  readonly reconnects: number
  readonly unreadable: number
  readonly dropped: number
  readonly resyncs: number
  /** How often it could not be traded, and for how long at the longest, ms. */
  readonly outages: number
  readonly longestMs: number
  readonly fills: number
  readonly orderUpdates: number
}

export interface ProgramFound {
  readonly began: string
  /** From the start to the last book and account, ms. */
  readonly readyAfter: number
  /** Measured, ms. */
  readonly took: number
  /** Times and length, ms, in which the process was stopped or had no processor for over a second. */
  readonly pauses: { readonly count: number; readonly total: number; readonly longest: number }
  /** Of one core, while it was measured. */
  readonly cpu: number
  readonly simulatorCpu: number | null
  readonly samples: ReadonlyArray<Sample>
  readonly rounds: number
  /** Of all rounds; the last one compared every book. */
  readonly compared: number
  readonly last: { readonly compared: number; readonly books: number }
  readonly wrongBooks: ReadonlyArray<string>
  readonly staleBooks: ReadonlyArray<string>
  readonly faults: Readonly<Record<string, number>>
  readonly exchanges: ReadonlyArray<ExchangeFound>
  /** As the demo's summary has it. */
  readonly arbitrage: JsonObject
  readonly executed: number
  /** Why the kill switch was thrown, newest first, and whether it is thrown at the end. */
  readonly kills: ReadonlyArray<string>
  readonly killed: string | null
  /** Exchanges that were not ready again at the end. */
  readonly notReady: ReadonlyArray<string>
  readonly wrongAccounts: ReadonlyArray<string>
  readonly fills: number
  readonly cash: { readonly program: string; readonly exchanges: string }
  /** By asset: what the program says is carried, what the exchanges have booked, and the least that can be ordered. */
  readonly carried: ReadonlyArray<
    { readonly asset: string; readonly program: string; readonly exchanges: string; readonly lot: string }
  >
  readonly tooMuch: ReadonlyArray<string>
  readonly openOrders: number
  /** Whether what was under way came to its end before the sockets were closed. */
  readonly isDrained: boolean
  readonly endedInMs: number | null
  readonly failures: ReadonlyArray<string>
}

const now = (): number => performance.now()

// ---- what the machine says ------------------------------------------------------------------------------------------

const cpuMillis = (): number => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1_000
}

/** Of another process, ms; null where the system does not tell. */
const cpuMillisOf = (pid: number): number | null => {
  try {
    // Behind the name in parentheses: user and system time are the 12th and 13th, in hundredths of a second.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /u, "").split(" ")
    return (Number(fields[11]) + Number(fields[12])) * 10
  } catch {
    return null
  }
}

const lookEvery = 250
/** Later than this it was not running. */
const pausedFrom = 1_000

/** Notices when the process is not run. */
class Pauses {
  count = 0
  total = 0
  longest = 0
  #at = now()

  look(): void {
    const at = now()
    const late = at - this.#at - lookEvery
    this.#at = at
    if (late < pausedFrom) return
    this.count++
    this.total += late
    this.longest = Math.max(this.longest, late)
  }
}

const paced = <E>(millis: number, effect: Effect.Effect<void, E>): Effect.Effect<never, E> =>
  Effect.forever(Effect.andThen(Effect.sleep(millis), effect))

// ---- the program ----------------------------------------------------------------------------------------------------

interface Shown extends Program.Shown {
  readonly account: AccountBoard
  readonly sums: Ledger.FillSums
}

interface Running {
  readonly options: ProgramOptions
  readonly pairs: Source.Pairs
  readonly shown: ReadonlyArray<Shown>
  readonly arbitrage: ArbitrageBoard
  readonly simulator: SimulatorProcess
  readonly truth: Truth.Truth
  readonly memory: Memory
  readonly pauses: Pauses
  readonly faults: Map<string, number>
  readonly wrong: Array<string>
  readonly stale: Array<string>
  /** Until when the books of an exchange may be out of sync, ms. */
  readonly staleUntil: Map<string, number>
  rounds: number
  compared: number
  last: number
}

const shownOf = (): ReadonlyArray<Shown> =>
  Source.exchanges.map((id) => {
    const { kind, name } = Exchanges.get(id)
    const account = new AccountBoard(id, "demo")
    return { board: new ExchangeBoard(id, name, kind), account, sums: Ledger.follow(account) }
  })

const problemOf = ({ board }: Shown, pairs: number): string | null => {
  const { books, island } = board
  if (island?._tag === "Recovering") return `${board.id} recovers: ${island.problems.join("; ")}`
  if (island?._tag !== "Ready") return `${board.id} is ${island?._tag ?? "not there"}`
  const synced = books?.synced ?? 0
  return synced === pairs ? null : `${board.id} has ${synced} of ${pairs} books in step`
}

/** Exchanges of which not all is there; waits at most so long for none. */
const settled = Effect.fnUntraced(function*({ options, pairs, pauses, shown }: Running) {
  const began = now()
  while (true) {
    const problems = shown.flatMap((one) => problemOf(one, pairs.length) ?? [])
    if (problems.length === 0 || now() - began - pauses.total > options.patience) return problems
    yield* Effect.sleep(100)
  }
})

// ---- while it runs --------------------------------------------------------------------------------------------------

/** A round that was paused in its midst says nothing of what is late. */
const compareOne = Effect.fnUntraced(function*(running: Running, { board }: Shown, patience: number) {
  const { pairs, pauses, truth } = running
  const compared = { exchange: board.id, pairs: Source.pairsOn(board.id, pairs), bookOf: board.bookOf }
  let found: Comparison
  let before: number
  do {
    before = pauses.total
    found = yield* compareBooks({ ...compared, bookOf: (pair) => board.bookOf(pair) }, truth, patience)
  } while (found.stale.length > 0 && pauses.total > before)
  return found
})

const mostTold = 50

const compareAll = Effect.fnUntraced(function*(running: Running, patience: number) {
  running.last = 0
  for (const one of running.shown) {
    const allowed = Math.max(0, (running.staleUntil.get(one.board.id) ?? 0) - now())
    const { compared, stale, wrong } = yield* compareOne(running, one, patience + allowed)
    running.compared += compared
    running.last += compared
    running.stale.push(...stale.slice(0, mostTold))
    running.wrong.push(...wrong.slice(0, mostTold))
  }
  running.rounds++
})

const injectNext = Effect.fnUntraced(function*({ faults, options, staleUntil, truth }: Running, draws: Virtual.Draws) {
  const next = FaultPlan.next(options.faults, Source.exchanges, draws)
  yield* Effect.forEach(next.faults, truth.inject, { discard: true })
  faults.set(next.kind, (faults.get(next.kind) ?? 0) + 1)
  if (next.staleFor > 0) staleUntil.set(next.exchange, now() + next.staleFor)
})

const bookPatience = 30_000

/** Pushes that were lost without a trace are found when the account is compared next: each minute by default. */
const comparedWithin = 75_000

const minute = 60_000

const progress = ({ arbitrage, faults, memory, rounds, stale, wrong }: Running, began: number): string => {
  const { heap = 0, rss = 0 } = memory.samples.at(-1) ?? {}
  const injected = [...faults.values()].reduce((sum, count) => sum + count, 0)
  return `${
    Math.round((now() - began) / minute)
  } min: ${rounds} rounds, ${wrong.length} books wrong, ${stale.length} late, `
    + `${injected} faults, ${arbitrage.executor?.executed ?? 0} executions, heap ${
      Math.round(heap / 2 ** 20)
    } MiB, RSS ${Math.round(rss / 2 ** 20)} MiB`
}

const observe = Effect.fnUntraced(function*(running: Running, began: number) {
  const { memory, options } = running
  const draws = yield* Virtual.draws(options.seed, "program faults")
  const works: ReadonlyArray<Effect.Effect<never, Error>> = [
    paced(options.sampleEvery, Effect.sync(() => memory.take(now() - began))),
    paced(minute, Effect.sync(() => console.error(progress(running, began)))),
    ...options.compareEvery === null ? [] : [paced(options.compareEvery, compareAll(running, bookPatience))],
    ...options.faults.length === 0 ? [] : [paced(options.faultEvery, injectNext(running, draws))]
  ]
  yield* Effect.raceFirst(Effect.sleep(options.duration), Effect.raceAllFirst(works))
})

// ---- the end --------------------------------------------------------------------------------------------------------

const nothingCounted = { gaps: 0, reconnects: 0, decodeFailures: 0, dropped: 0 }

const exchangeFound = ({ account, board }: Shown): ExchangeFound => {
  const counted = board.performance ?? nothingCounted
  const outages = board.outagesAt(Date.now())
  return {
    exchange: board.id,
    updates: board.updateCount,
    gaps: counted.gaps,
    reconnects: counted.reconnects,
    unreadable: counted.decodeFailures,
    dropped: counted.dropped,
    resyncs: board.books?.resyncs ?? 0,
    outages: outages.count,
    longestMs: outages.longestMs,
    fills: account.counts.fills,
    orderUpdates: account.counts.orders
  }
}

/** What is traded in two places is in a route; the last pair has resting orders, which nobody squares. */
const routed = (pairs: Source.Pairs): ReadonlyArray<TradingPair> => pairs.slice(0, -1)

const carriedOf = ({ arbitrage, pairs, shown }: Running, received: ReadonlyMap<string, string>) =>
  routed(pairs).flatMap((pair) => {
    const asset = Ledger.baseOf(pair)
    const told = arbitrage.exposure.find((one) => one.asset === asset)
    const program = told === undefined ? "0" : Decimal.toText(told.quantity)
    const exchanges = received.get(asset) ?? "0"
    if (program === "0" && exchanges === "0") return []
    const price = shown.map(({ board }) => board.tickers.get(pair)?.bidPrice).find((bid) => bid !== undefined)
    const markets = Source.exchanges.flatMap((id) => Source.pairsOn(id, [pair]))
    return [{ asset, program, exchanges, lot: Decimal.toText(Ledger.lotOf(markets, price ?? 1)) }]
  })

/** Once the program has ended: what the exchanges have booked. */
const settle = Effect.fnUntraced(function*({ pairs, shown, truth }: Running) {
  const wrong: Array<string> = []
  const trades: Array<Parameters<typeof bookedOf>[0][number]> = []
  const resting = pairs.length > 1 ? Ledger.baseOf(pairs.at(-1)!) : null
  let fills = 0
  let open = 0
  for (const { account, board, sums } of shown) {
    const [booked] = yield* truth.accounts(board.id)
    if (booked === undefined) return yield* Effect.fail(new Error(`${board.id} has no account`))
    wrong.push(...Ledger.wrongOf(account, sums, booked))
    fills += booked.fills.length
    open += booked.orders.filter(({ finish }) => finish === null).length
    for (const fill of booked.fills) {
      if (Ledger.baseOf(fill.pair) === resting) continue
      trades.push([fill, Ledger.unitOf(fill.pair)])
    }
  }
  return { wrong, fills, open, booked: bookedOf(trades) }
})

const isTooMuch = ({ exchanges, lot }: ProgramFound["carried"][number]): boolean =>
  BigDecimal.isGreaterThanOrEqualTo(BigDecimal.abs(Decimal.of(exchanges)), Decimal.of(lot))

export const run = Effect.fnUntraced(function*(
  options: ProgramOptions
): Effect.fn.Return<ProgramFound, Error | Failure.CommandFailed, ChildProcessSpawner | Scope.Scope> {
  const clock = yield* Clock.Clock
  const began = new Date(clock.currentTimeMillisUnsafe()).toISOString()
  const pairs = MadePairs.make(options.pairs)
  const started = now()
  const simulator = yield* Source.start({ pairs, seed: options.seed, rate: undefined })
  const running: Running = {
    options,
    pairs,
    shown: shownOf(),
    arbitrage: new ArbitrageBoard(),
    simulator,
    truth: Truth.make(Truth.adminOf(simulator.urls)),
    memory: new Memory(),
    pauses: new Pauses(),
    faults: new Map(),
    wrong: [],
    stale: [],
    staleUntil: new Map(),
    rounds: 0,
    compared: 0,
    last: 0
  }
  const { arbitrage, memory, pauses, shown, truth } = running
  yield* Effect.forkScoped(paced(lookEvery, Effect.sync(() => pauses.look())))
  const program = yield* Effect.forkScoped(
    Program.run({
      shown,
      arbitrage,
      pairs,
      source: Source.over(simulator),
      seed: options.seed,
      reviveAfter: options.reviveAfter ?? undefined
    })
  )
  const body = Effect.gen(function*() {
    const missing = yield* settled(running)
    if (missing.length > 0) return yield* Effect.fail(new Error(`not all came: ${missing.join(", ")}`))
    const measured = now()
    const before = { cpu: cpuMillis(), simulator: cpuMillisOf(simulator.pid) }
    yield* observe(running, measured)
    const took = now() - measured
    const atEnd = cpuMillisOf(simulator.pid)
    const cpu = (cpuMillis() - before.cpu) / took
    const simulatorCpu = atEnd === null || before.simulator === null ? null : (atEnd - before.simulator) / took
    yield* truth.clear
    if (options.faults.length > 0) yield* Effect.sleep(comparedWithin)
    const notReady = yield* settled(running)
    yield* compareAll(running, bookPatience)
    return { readyAfter: measured - started, took, cpu, simulatorCpu, notReady }
  })
  const failed = Effect.flatMap(Fiber.join(program), () => Effect.never)
  const measured = yield* Effect.raceFirst(body, failed)
  yield* Fiber.interrupt(program)
  const { booked, fills, open, wrong } = yield* settle(running)
  const carried = carriedOf(running, booked.received)
  const { failures } = yield* truth.counts
  const { executor } = arbitrage
  return {
    began,
    ...measured,
    pauses: { count: pauses.count, total: pauses.total, longest: pauses.longest },
    samples: memory.samples,
    rounds: running.rounds,
    compared: running.compared,
    last: { compared: running.last, books: pairs.length * shown.length },
    wrongBooks: running.wrong,
    staleBooks: running.stale,
    faults: Object.fromEntries(running.faults),
    exchanges: shown.map(exchangeFound),
    arbitrage: ArbitrageRows.summary(arbitrage),
    executed: executor?.executed ?? 0,
    kills: arbitrage.kills,
    killed: arbitrage.reasons.map(({ of, reason }) => `${of}: ${reason}`).join("; ") || null,
    wrongAccounts: wrong,
    fills,
    cash: { program: executor === null ? "0" : Decimal.toText(executor.cash), exchanges: booked.cash },
    carried,
    tooMuch: carried.filter(isTooMuch).map(({ asset, exchanges, lot }) => `${exchanges} of ${lot} ${asset}`),
    openOrders: open,
    isDrained: arbitrage.drained !== null,
    endedInMs: arbitrage.endedInMs,
    failures
  }
})
