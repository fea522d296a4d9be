/** The closing line of proofs: what was late is told as late, and not as kept. */
import { assert, describe, it } from "@effect/vitest"
import * as Proofs from "../../scripts/prove/Proof.ts"
import type { Verdict } from "../../scripts/prove/Verdict.ts"
import { closingWords, lastLine, verdictOf } from "../../scripts/prove/Verdict.ts"

/** A run with one promise kept and, as asked for, one late and one broken. */
const run = (name: string, quick: boolean, inTime: boolean, holds: boolean) => {
  const settings = { seed: 1, quick, scale: 1, part: null }
  const lines: Array<string> = []
  const { figures, findings, proof } = Proofs.make(settings, (line) => lines.push(line.trim()))
  proof.check("is right", true, "it is")
  proof.timed("is soon", true, inTime, "in 9 s")
  if (!holds) proof.check("is whole", false, "half of it")
  proof.figure("p99_ms", 9)
  return { lines, verdict: verdictOf({ name, findings, figures, seconds: 1.5 }, settings) }
}

const json = (verdicts: ReadonlyArray<Verdict>, isAll: boolean) => {
  const { cases, ...told } = JSON.parse(lastLine(verdicts, 2, true, isAll))
  return { cases, told }
}

describe("Verdict", () => {
  it("counts what was late by itself, and it breaks nothing in a small run", () => {
    const { lines, verdict } = run("demo", true, false, true)
    assert.deepStrictEqual(lines, ["kept   is right: it is", "late   is soon: in 9 s"])
    assert.strictEqual(
      lastLine([verdict], 2, false, false),
      "demo: 1/2 promises kept, 1 late, not judged by time, p99_ms 9"
    )
    assert.strictEqual(closingWords(verdict), "none broken, 1 late, not judged by time,")
    const { told } = json([verdict], false)
    assert.deepStrictEqual([told.ok, told.promises, told.kept, told.late.length, told.broken], [true, 2, 1, 1, []])
    assert.strictEqual(told.late[0].promise, "is soon")
  })

  it("judges the time in full size", () => {
    const { lines, verdict } = run("demo", false, false, true)
    assert.strictEqual(lines[1], "BROKEN is soon: in 9 s")
    assert.strictEqual(lastLine([verdict], 2, false, false), "demo: 1/2 promises kept, 1 BROKEN, p99_ms 9")
    assert.strictEqual(closingWords(verdict), "BROKEN")
    assert.deepStrictEqual([verdict.ok, verdict.late], [false, []])
  })

  it("says of all of them which were late and which are broken, and that all are kept only when they are", () => {
    const kept = run("books", true, true, true).verdict
    const late = run("demo", true, false, true).verdict
    const broken = run("orders", true, false, false).verdict
    assert.strictEqual(closingWords(kept), "all kept")
    assert.strictEqual(lastLine([kept, kept], 2, false, true), "all: 2 proofs in 2.0 s, 4/4 promises kept, all kept")
    assert.strictEqual(
      lastLine([kept, late], 2, false, true),
      "all: 2 proofs in 2.0 s, 3/4 promises kept, 1 late, not judged by time (demo), none broken"
    )
    assert.strictEqual(
      lastLine([kept, late, broken], 2, false, true),
      "all: 3 proofs in 2.0 s, 4/7 promises kept, 2 late, not judged by time (demo, orders), BROKEN: orders"
    )
    const { cases, told } = json([kept, late, broken], true)
    assert.deepStrictEqual(told, {
      case: "all",
      ok: false,
      seconds: 2,
      promises: 7,
      kept: 4,
      late: ["demo", "orders"],
      broken: ["orders"]
    })
    assert.lengthOf(cases, 3)
  })
})
