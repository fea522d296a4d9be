/**
 * The demo, as a process, told to end in the middle of its trading while answers are lost and exchanges are away: how it ends,
 * what it says it has left, and what its exchanges, in a process of their own that lives on, say.
 */
import { BigDecimal, Effect, Schema } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as MadePairs from "../../../src/cli/demo/MadePairs.ts"
import * as Source from "../../../src/cli/demo/Source.ts"
import * as Failure from "../../../src/cli/Failure.ts"
import * as Decimal from "../../../src/domain/Decimal.ts"
import { TradingPair } from "../../../src/domain/Instrument.ts"
import * as Truth from "../../soak/Truth.ts"
import { bookedOf } from "../Booked.ts"
import { productFlags, root } from "../Child.ts"
import * as Ledger from "../ProgramLedger.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as SimulatorProcess from "../SimulatorProcess.ts"
import * as Virtual from "../Virtual.ts"

const mostMillis = 5_000

const pairs = MadePairs.make(12)

/** What goes wrong from shortly before the signal on. In the first two cancels are answered. */
const scenarios: ReadonlyArray<readonly [name: string, faults: ReadonlyArray<string>]> = [
  ["nothing goes wrong", []],
  ["answers to orders are lost", [
    "lose-answer:100%,frame=*order_place*,on=gate-spot",
    "lose-answer:100%,frame=*order_place*,on=gate-futures",
    "lose-answer:100%,path=*/order*,method=POST,on=mexc-spot"
  ]],
  ["no request over HTTP is answered", [
    "lose-answer:100%,on=mexc-spot",
    "lose-answer:100%,on=gate-spot",
    "lose-answer:100%,on=gate-futures"
  ]],
  ["an exchange is away", ["refuse,on=gate-spot", "drop,on=gate-spot"]],
  ["another is away, and answers of the third are lost", [
    "refuse,on=mexc-spot",
    "drop,on=mexc-spot",
    "lose-answer:100%,frame=*order_place*,on=gate-futures"
  ]],
  ["all are away", ["refuse", "drop"]],
  ["sockets hang", ["half-open"]],
  ["answers are late", ["late-answer:3s", "slow-http:3s"]]
]

const Order = Schema.Struct({
  clientOrderId: Schema.NullOr(Schema.String),
  timeInForce: Schema.String,
  finish: Schema.NullOr(Schema.String),
  createdAt: Schema.Finite,
  updatedAt: Schema.Finite
})
type Order = typeof Order.Type

const Accounts = Schema.Array(Schema.Struct({ orders: Schema.Array(Order) }))

const Report = Schema.fromJsonString(Schema.Struct({
  arbitrage: Schema.Struct({
    executions: Schema.Struct({ executed: Schema.Finite }),
    underWay: Schema.NullOr(Schema.Finite),
    pending: Schema.Array(
      Schema.Struct({
        exchange: Schema.String,
        pair: TradingPair,
        clientOrderId: Schema.String,
        quantity: Schema.String,
        filled: Schema.String
      })
    ),
    exposure: Schema.Record(Schema.String, Schema.String),
    left: Schema.Record(
      Schema.String,
      Schema.Struct({ open: Schema.Finite, canceled: Schema.Finite, problem: Schema.NullOr(Schema.String) })
    ),
    endedInMs: Schema.NullOr(Schema.Finite)
  })
}))
type Report = (typeof Report.Type)["arbitrage"]

type Orders = Readonly<Record<string, ReadonlyArray<Order>>>

/** Every order that the exchanges know of their accounts. */
const ordersOf = (urls: SimulatorProcess.Urls): Effect.Effect<Orders, unknown> =>
  Effect.map(
    Effect.forEach(Source.exchanges, (exchange) =>
      Effect.tryPromise(async () => {
        const answer = await fetch(`${Truth.adminOf(urls)}/account?${new URLSearchParams({ exchange })}`)
        const accounts = Schema.decodeUnknownSync(Accounts)(await answer.json())
        return [exchange, accounts.flatMap(({ orders }) => orders)] as const
      })),
    Object.fromEntries
  )

const countOf = (orders: Orders): number => Object.values(orders).reduce((count, each) => count + each.length, 0)

interface Demo {
  readonly signal: (name: "SIGINT" | "SIGTERM") => void
  readonly ended: Effect.Effect<number | null>
  readonly output: () => string
  readonly errors: () => string
}

/** As `npm start` runs it, over a simulator that outlives it. */
const start = (urls: SimulatorProcess.Urls, seed: number): Effect.Effect<Demo, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const parameters = ["--json", `--pairs=${pairs.join(",")}`, `--seed=${seed}`, "--duration=10m", "--fault=none"]
        const child = spawn(
          process.execPath,
          [...productFlags, "src/cli/main.ts", "demo", ...parameters, `--simulator=${JSON.stringify(urls)}`],
          { cwd: root, stdio: ["ignore", "pipe", "pipe"] }
        )
        let [output, errors] = ["", ""]
        child.stdout.setEncoding("utf8").on("data", (chunk: string) => output += chunk)
        child.stderr.setEncoding("utf8").on("data", (chunk: string) => errors += chunk)
        return { child, ended: once(child, "close"), output: () => output, errors: () => errors }
      }),
      ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
    ),
    ({ child, ended, errors, output }) => ({
      signal: (name) => void child.kill(name),
      ended: Effect.map(Effect.promise(() => ended), ([code]) => code as number | null),
      output,
      errors
    })
  )

const isOpen = ({ finish }: Order): boolean => finish === null

const isResting = (order: Order): boolean => isOpen(order) && order.timeInForce === "gtc"

/** Until it has traded so much; false when it never does. */
const traded = (urls: SimulatorProcess.Urls, least: number): Effect.Effect<boolean, unknown> =>
  Effect.gen(function*() {
    for (let turn = 0; turn < 600; turn++) {
      if (countOf(yield* ordersOf(urls)) >= least) return true
      yield* Effect.sleep(100)
    }
    return false
  })

/** What there is as soon as some of it rests, or behind a few seconds. */
const resting = (urls: SimulatorProcess.Urls): Effect.Effect<Orders, unknown> =>
  Effect.gen(function*() {
    for (let turn = 0;; turn++) {
      const orders = yield* ordersOf(urls)
      if (turn === 100 || Object.values(orders).flat().some(isResting)) return orders
      yield* Effect.sleep(50)
    }
  })

interface Ended {
  readonly name: string
  readonly signal: string
  readonly hasTraded: boolean
  readonly code: number | null
  /** From the signal, ms. */
  readonly took: number
  readonly report: Report | null
  readonly errors: string
  readonly signalledAt: number
  /** Right before the signal. */
  readonly before: Orders
  readonly atEnd: Orders
  /** A while later. */
  readonly later: Orders
  /** By the exchanges, then. */
  readonly open: ReadonlyArray<Open>
}

/** What the exchanges have booked of an asset. */
interface Open {
  readonly asset: string
  /** Base. */
  readonly booked: Decimal.Decimal
  /** Base: the least that can be ordered. */
  readonly lot: Decimal.Decimal
}

/** Of all assets that are in routes; the last pair has the resting orders, which are in none. */
const openOf = Effect.fnUntraced(function*(truth: Truth.Truth) {
  const accounts = (yield* Effect.forEach(Source.exchanges, (exchange) => truth.accounts(exchange))).flat()
  const fills = accounts.flatMap((account) => account.fills)
  const { received } = bookedOf(fills.map((fill) => [fill, Ledger.unitOf(fill.pair)] as const))
  return pairs.slice(0, -1).map((pair): Open => {
    const asset = Ledger.baseOf(pair)
    const price = fills.findLast((fill) => Ledger.baseOf(fill.pair) === asset)?.price ?? "1"
    const markets = Source.exchanges.flatMap((id) => Source.pairsOn(id, [pair]))
    return { asset, booked: Decimal.of(received.get(asset) ?? "0"), lot: Ledger.lotOf(markets, Number(price)) }
  })
})

const play = Effect.fnUntraced(
  function*(draws: Virtual.Draws, seed: number, [name, faults]: (typeof scenarios)[number], quick: boolean) {
    const urls = yield* SimulatorProcess.start([
      `--pairs=${pairs.join(",")}`,
      "--edges=12",
      "--rate=8",
      `--seed=${seed}`
    ])
    const truth = Truth.make(Truth.adminOf(urls))
    const demo = yield* start(urls, seed)
    const hasTraded = yield* traded(urls, quick ? 4 : 10 + Virtual.below(draws, 40))
    yield* Effect.forEach(faults, truth.inject)
    yield* Effect.sleep(Virtual.below(draws, quick ? 200 : 2_500))
    const signal = Virtual.pick(draws, ["SIGINT", "SIGTERM"] as const)
    const before = yield* resting(urls)
    const signalledAt = Date.now()
    demo.signal(signal)
    const code = yield* Effect.timeoutOption(demo.ended, 30_000)
    const took = Date.now() - signalledAt
    const atEnd = yield* ordersOf(urls)
    yield* Effect.sleep(quick ? 300 : 1_500)
    const later = yield* ordersOf(urls)
    const open = yield* openOf(truth)
    const report = yield* Effect.option(
      Schema.decodeUnknownEffect(Report)(demo.output().trim().split("\n").at(-1) ?? "")
    )
    return {
      name,
      signal,
      hasTraded,
      code: code._tag === "Some" ? code.value : null,
      took,
      report: report._tag === "Some" ? report.value.arbitrage : null,
      errors: demo.errors(),
      signalledAt,
      before,
      atEnd,
      later,
      open
    } satisfies Ended
  },
  Effect.scoped
)

// ---- judging --------------------------------------------------------------------------------------------------------

/** Every exchange has a line, and what is under way has a name. */
const isComplete = (report: Report | null): boolean =>
  report !== null && report.endedInMs !== null && report.underWay === report.pending.length &&
  Source.exchanges.every((exchange) => report.left[exchange] !== undefined)

/** Exchanges of which the report tells another number of open orders, although it says that it knows. */
const untold = ({ atEnd, report }: Ended): ReadonlyArray<string> =>
  Source.exchanges.flatMap((exchange) => {
    const open = (atEnd[exchange] ?? []).filter(isOpen)
    const told = report?.left[exchange]
    return told === undefined || (told.problem === null && open.length !== told.open)
      ? [`${exchange}: ${open.length} are open, told are ${told?.open ?? 0}`]
      : []
  })

/**
 * Assets whose exposure is told otherwise than the exchanges have booked it: to the last digit, but where the report names orders
 * that nobody knows. There by more than these may have moved and a lot, as their fees are by rate until their fills are told.
 */
const misjudged = ({ open, report }: Ended): ReadonlyArray<string> =>
  report === null ? [] : open.flatMap(({ asset, booked, lot }) => {
    const told = Decimal.of(report.exposure[asset] ?? "0")
    const unknown = report.pending.filter(({ pair }) => Ledger.baseOf(pair) === asset).map(({ filled, quantity }) =>
      BigDecimal.subtract(Decimal.of(quantity), Decimal.of(filled))
    )
    const most = BigDecimal.sum(BigDecimal.sumAll(unknown), lot)
    const difference = BigDecimal.abs(BigDecimal.subtract(booked, told))
    const isRight = unknown.length === 0 ? BigDecimal.isZero(difference) : BigDecimal.isLessThan(difference, most)
    return isRight
      ? []
      : [`${asset}: told are ${Decimal.toText(told)}, booked ${Decimal.toText(booked)}`]
  })

/** Orders that came in when those that rested had been cancelled already. */
const tooLate = ({ atEnd, later, signalledAt }: Ended): ReadonlyArray<string> =>
  Source.exchanges.flatMap((exchange) => {
    const orders = later[exchange] ?? []
    const cancels = orders.filter(({ finish, timeInForce, updatedAt }) =>
      finish === "cancelled" && timeInForce === "gtc" && updatedAt >= signalledAt
    )
    const last = Math.max(...cancels.map(({ updatedAt }) => updatedAt))
    const behind = cancels.length === 0 ? [] : orders.filter(({ createdAt }) => createdAt > last)
    const new_ = orders.length - (atEnd[exchange] ?? []).length
    return [
      ...behind.length > 0 ? [`${exchange}: ${behind.length} behind the cancelling`] : [],
      ...new_ > 0 ? [`${exchange}: ${new_} behind the end of the process`] : []
    ]
  })

/** Those that rested at the signal, and those of them that rest still. */
const rested = ({ before, later }: Ended): { readonly all: number; readonly still: ReadonlyArray<string> } => {
  const all = Source.exchanges.flatMap((exchange) =>
    (before[exchange] ?? []).filter(isResting).map(({ clientOrderId }) => ({ exchange, clientOrderId }))
  )
  const still = all.filter(({ clientOrderId, exchange }) =>
    (later[exchange] ?? []).some((order) => order.clientOrderId === clientOrderId && isOpen(order))
  )
  return { all: all.length, still: still.map(({ clientOrderId, exchange }) => `${exchange} ${clientOrderId}`) }
}

/** The report says that orders are open, or may be. */
const isLeft = ({ report }: Ended): boolean =>
  report === null || report.underWay !== 0 ||
  Object.values(report.left).some(({ open, problem }) => open > 0 || problem !== null)

/** Everything was closed in time, whatever the exchanges answered, and the exit code says whether anything is left. */
const isProper = (ended: Ended): boolean =>
  ended.code === (isLeft(ended) ? Failure.exitCodes.left : Failure.exitCodes.ok) &&
  !ended.errors.includes("not everything was closed")

const countOpen = (orders: Orders): number => Object.values(orders).flat().filter(isOpen).length

const row = (ended: Ended): ReadonlyArray<string> => {
  const { atEnd, code, name, report, signal, took } = ended
  const problems = Object.values(report?.left ?? {}).filter(({ problem }) => problem !== null).length
  return [
    name,
    signal,
    String(code),
    String(took),
    String(report?.executions.executed ?? "-"),
    String(report?.underWay ?? "-"),
    String(problems),
    String(countOpen(atEnd))
  ]
}

const judgeResting = (proof: Proof, all: ReadonlyArray<Ended>): void => {
  const answered = all.filter(({ name }) => scenarios.slice(0, 2).some(([other]) => other === name)).map(rested)
  const count = answered.reduce((sum, each) => sum + each.all, 0)
  const stays = answered.flatMap(({ still }) => still)
  proof.check(
    "where cancels are answered every order that rested when it was told to end is cancelled",
    count > 0 && stays.length === 0,
    `${count} rested${stays.length === 0 ? "" : `, and still do: ${stays.join(", ")}`}`
  )
}

const judge = (proof: Proof, all: ReadonlyArray<Ended>): void => {
  const silent = all.filter(({ hasTraded }) => !hasTraded)
  proof.check("every demo had traded before it was told to end", silent.length === 0, `${all.length} demos`)
  const failed = all.filter((ended) => !isProper(ended))
  proof.check(
    "each has closed everything, whatever the exchanges answer, and ends with 0 or, where its report says that orders are left, with 7",
    failed.length === 0,
    failed.length === 0
      ? `${all.filter(({ code }) => code === 0).length} of ${all.length} with 0, ${all.filter(isLeft).length} with 7`
      : failed.map(({ code, errors, name }) => `${name}: ${code} ${errors.slice(-300)}`).join("; ")
  )
  const calm = all.filter(({ name }) => name === scenarios[0]![0])
  const needless = calm.filter(({ code }) => code !== Failure.exitCodes.ok)
  if (calm.length > 0) {
    proof.check(
      "where nothing goes wrong nothing is left",
      needless.length === 0,
      needless.length === 0
        ? `${calm.length} with ${Failure.exitCodes.ok}`
        : needless.map(({ code, errors }) => `${code} ${errors.slice(-300)}`).join("; ")
    )
  }
  judgeResting(proof, all)
  const most = Math.max(...all.map(({ took }) => took))
  proof.timed(`each is gone within ${mostMillis} ms`, most < 30_000, most <= mostMillis, `${most} ms at most`)
  const partial = all.filter(({ report }) => !isComplete(report))
  proof.check(
    "each report has every exchange, the time it took, and the name of every order that is under way",
    partial.length === 0,
    partial.length === 0
      ? `${all.length} reports`
      : partial.map(({ errors, name }) => `${name}: ${errors.slice(-300)}`).join("; ")
  )
  const hidden = all.flatMap((ended) => untold(ended).map((text) => `${ended.name}: ${text}`))
  proof.check(
    "what the exchanges have open then is in the report, or the report says that it is not known",
    hidden.length === 0,
    hidden[0] ?? `${all.reduce((sum, { atEnd }) => sum + countOpen(atEnd), 0)} open at the exchanges`
  )
  const unseen = all.filter(({ atEnd, code }) => code === 0 && countOpen(atEnd) > 0)
  proof.check(
    "none ends with 0 while an order is open at an exchange",
    unseen.length === 0,
    unseen.length === 0
      ? `${all.filter(({ atEnd }) => countOpen(atEnd) > 0).length} with open orders`
      : unseen.map(({ name }) => name).join("; ")
  )
  const wrong = all.flatMap((ended) => misjudged(ended).map((text) => `${ended.name}: ${text}`))
  proof.check(
    "of every asset what it says is open is what the exchanges have booked, but for what orders that it names may have moved",
    wrong.length === 0,
    wrong[0] ?? `${all.reduce((sum, { open }) => sum + open.length, 0)} assets`
  )
  const late = all.flatMap((ended) => tooLate(ended).map((text) => `${ended.name}: ${text}`))
  proof.check(
    "no order comes in behind the cancelling, or behind the end of the process",
    late.length === 0,
    late[0] ?? `${all.reduce((sum, { later }) => sum + countOf(later), 0)} orders`
  )
  proof.figure("most_ms", most)
}

export const shutdown: Case = {
  name: "shutdown",
  proves:
    "SIGINT and SIGTERM while the demo trades and answers are lost or exchanges away: gone within 5 s, and its report is what is left",
  run: Effect.fnUntraced(function*(proof) {
    const draws = yield* Virtual.draws(proof.seed, "shutdown")
    const rounds = proof.quick
      ? [scenarios[1]!]
      : Array.from({ length: Proofs.sizeOf(proof, 1, 1) }, () => scenarios).flat()
    const all: Array<Ended> = []
    for (const [index, scenario] of rounds.entries()) {
      all.push(yield* play(draws, proof.seed + index, scenario, proof.quick))
    }
    proof.table(
      ["", "signal", "code", "ms", "executions", "under way", "with a problem", "open at the exchanges"],
      all.map(row)
    )
    judge(proof, all)
  })
}
