/** docs/cli.md says what the command says. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { exitCodes } from "../../src/cli/Failure.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import * as CommandLine from "./CommandLine.ts"

const page = readFileSync(resolve(import.meta.dirname, "../../docs/cli.md"), "utf8")

/** Sections by the command in their heading. */
const sections = new Map(
  page.split(/^## /mu).slice(1).map((text) => [/^`exchange (\w+)/u.exec(text)?.[1] ?? text.split("\n")[0]!, text])
)

const flagsIn = (help: string): ReadonlyArray<string> => {
  const [, flags = ""] = /\nFLAGS\n([^]*?)\n\n/u.exec(help) ?? []
  return Array.from(flags.matchAll(/^ +(--[\w-]+)/gmu), ([, flag]) => flag!)
}

describe("docs/cli.md", () => {
  for (const command of ["demo", "watch", "account", "instruments", "decode", "doctor", "simulate"]) {
    it.live(`lists every flag of ${command}, and no other`, () =>
      Effect.gen(function*() {
        const { stdout } = yield* CommandLine.run([command, "--help"])
        const rows = Array.from(sections.get(command)!.matchAll(/^\| `(--[\w-]+)` \|/gmu), ([, flag]) => flag!)
        assert.isAbove(rows.length, 0)
        assert.deepStrictEqual([...rows].sort(), [...flagsIn(stdout)].sort())
      }))
  }

  it.live("lists every flag of order's commands, and no other", () =>
    Effect.gen(function*() {
      const helps = yield* Effect.forEach(
        ["place", "cancel", "amend", "get", "list"],
        (command) => Effect.map(CommandLine.run(["order", command, "--help"]), ({ stdout }) => flagsIn(stdout))
      )
      const rows = Array.from(sections.get("order")!.matchAll(/^\| (`--[^|]+) \|/gmu), ([, flags]) => flags!)
      const named = rows.flatMap((flags) => Array.from(flags.matchAll(/--[\w-]+/gu), ([flag]) => flag))
      assert.deepStrictEqual(named.sort(), [...new Set(helps.flat())].sort())
    }))

  it("lists every exit code and every exchange", () => {
    const rows = Array.from(sections.get("Exit codes")!.matchAll(/^\| `(\d+)` \|/gmu), ([, code]) => Number(code))
    assert.deepStrictEqual(rows, Object.values(exitCodes))
    for (const id of Exchanges.ids) assert.include(page, `\`${id}\``)
  })
})
