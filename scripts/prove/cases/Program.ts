/** The demo's program with a thousand pairs on each of three markets: its memory, its processor, its books and its accounts. */
import { Effect } from "effect"
import * as Memory from "../../soak/Memory.ts"
import * as ProgramProcess from "../ProgramProcess.ts"
import type { ProgramFound, ProgramOptions } from "../ProgramRun.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"

const second = 1_000

const optionsOf = (proof: Proof): ProgramOptions => ({
  seed: proof.seed,
  pairs: proof.quick ? 20 : 1_000,
  duration: Proofs.sizeOf(proof, 1, 600) * second,
  sampleEvery: proof.quick ? 250 : 5 * second,
  compareEvery: null,
  faultEvery: 45 * second,
  faults: [],
  patience: 240 * second,
  // Nothing goes wrong here, so nothing may throw the kill switch. A machine that stops the program and its exchanges for longer
  // than an order may take does: the program cannot know what became of what was under way. Such a run proves nothing.
  reviveAfter: null
})

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)

const memoryRow = (name: Memory.Field, { samples, took }: ProgramFound) => {
  const values = samples.map((sample) => sample[name])
  const settled = samples.find(({ at }) => at >= Memory.warmUpOf(took))
  return [
    Memory.fieldNames[name],
    String(samples.length),
    mebibytes(values[0] ?? Number.NaN),
    mebibytes(settled?.[name] ?? Number.NaN),
    mebibytes(values.at(-1) ?? Number.NaN),
    mebibytes(Math.max(...values)),
    Memory.slopeText(Memory.trendOf(samples, name, took))
  ]
}

const tellMemory = (proof: Proof, found: ProgramFound): void => {
  const { samples, took } = found
  proof.table(
    ["MiB", "samples", "first", "behind the warm-up", "last", "most", "slope an hour"],
    [memoryRow("heap", found), memoryRow("code", found), memoryRow("rss", found)]
  )
  const trend = Memory.trendOf(samples, "heap", took)
  proof.figure("heap_mib", Number(mebibytes(samples.at(-1)?.heap ?? Number.NaN)))
  if (trend === null) return
  proof.figure("heap_rise_mib", Number(mebibytes(trend.rise)))
  proof.figure("heap_rise_error_mib", Number(mebibytes(trend.error)))
}

const judgeMemory = (proof: Judge, { samples, took }: ProgramFound): void => {
  const { found, isFlat } = Memory.judge(samples, took)
  if (isFlat === null) proof.unjudged(Memory.promise, found)
  else proof.check(Memory.promise, isFlat, found)
}

type Judge = Pick<Proof, "check" | "timed" | "unjudged">

const judgeBooks = (proof: Judge, { last, notReady, staleBooks, wrongBooks }: ProgramFound): void => {
  const bad = [...wrongBooks, ...notReady, ...staleBooks]
  proof.check(
    "at the end every book is in step and the exchange's at its version, and none was wrong before",
    bad.length === 0 && last.compared === last.books,
    bad[0] ?? `${last.compared} of ${last.books} books`
  )
}

const judgeAccounts = (proof: Judge, found: ProgramFound): void => {
  const { carried, cash, openOrders, tooMuch, wrongAccounts } = found
  // Where a busy machine did not bring to its end what was under way, what came of it is not known.
  const atRest = (promise: string, problems: ReadonlyArray<string>, text: string): void => {
    const holds = problems.length === 0
    proof.timed(promise, holds || !found.isDrained, holds, problems[0] ?? text)
  }
  atRest(
    "what it was told of fills, balances and positions is what the exchanges have booked, to the last digit",
    wrongAccounts,
    `${found.fills} fills on ${found.exchanges.length} exchanges`
  )
  atRest(
    "the money that it says it has moved is what the exchanges have booked, to the last digit",
    cash.program === cash.exchanges ? [] : [`${cash.program} in place of ${cash.exchanges}`],
    `${cash.program} USDT`
  )
  const differing = carried.flatMap(({ asset, exchanges, program }) =>
    exchanges === program ? [] : [`${asset}: ${program} is ${exchanges}`]
  )
  atRest(
    "what is left of each asset is below the least that can be ordered, and what it says is left; no order is open",
    [...tooMuch, ...differing, ...openOrders === 0 ? [] : [`${openOrders} orders are open`]],
    `${carried.length} assets, ended in ${found.endedInMs} ms`
  )
}

/** What a run of the program must have kept, whoever runs it. */
export const judge = (proof: Judge, found: ProgramFound): void => {
  judgeBooks(proof, found)
  judgeAccounts(proof, found)
  judgeMemory(proof, found)
  const dropped = found.exchanges.filter((one) => one.dropped > 0).map((one) =>
    `${one.exchange} dropped ${one.dropped}`
  )
  const problems = [...found.failures, ...dropped, ...found.killed === null ? [] : [found.killed]]
  proof.check(
    "nothing was dropped, no kill switch is thrown at the end, and the exchanges report no defect",
    problems.length === 0,
    problems[0] ??
      `${found.executed} executions, ${found.kills.length} times thrown${
        found.kills[0] === undefined ? "" : `, the last for: ${found.kills[0]}`
      }`
  )
}

export const program: Case = {
  name: "program",
  proves:
    "the demo's program with 1 000 pairs on three markets: its memory is flat, its books are the exchanges' and its accounts their ledgers",
  run: Effect.fnUntraced(function*(proof) {
    const options = optionsOf(proof)
    const found = yield* ProgramProcess.run(options)
    proof.table(
      ["", "updates", "gaps", "reconnects", "fills", "order updates"],
      found.exchanges.map(({ exchange, fills, gaps, orderUpdates, reconnects, updates }) =>
        [exchange, ...[updates, gaps, reconnects, fills, orderUpdates].map(String)] as const
      )
    )
    const share = (cpu: number | null): string => cpu === null ? "unknown" : `${Math.round(cpu * 100)} %`
    proof.say(
      `${Proofs.text(found.took / second)} s with ${options.pairs} pairs on each; all was there after ${
        Proofs.text(found.readyAfter / second)
      } s; of a core: the program ${share(found.cpu)}, the exchanges ${share(found.simulatorCpu)}; `
        + `${found.pauses.count} times without a processor for over a second, ${
          Proofs.text(found.pauses.longest / second)
        } s at the longest`
    )
    tellMemory(proof, found)
    judge(proof, found)
    proof.figure("seconds", found.took / second)
    proof.figure("cpu_percent", found.cpu * 100)
    proof.figure("executions", found.executed)
  })
}
