/**
 * The documentation's programs run, against the simulator, and print what they should; its fragments type-check; its
 * commands exist. A ```ts block is a program unless it is marked ```ts fragment.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { gateSpotDialect, mexcSpotDialect } from "../src/exchanges/dialects.ts"
import * as Simulator from "../src/simulator/Simulator.ts"

const repository = resolve(import.meta.dirname, "..")
const pages = [
  "README.md",
  ...readdirSync(join(repository, "docs")).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`)
]
const textOf = (path: string): string => readFileSync(join(repository, path), "utf8")

/** What the programs print, by page and the heading above them. */
const expected: ReadonlyArray<readonly [page: string, heading: string, output: RegExp]> = [
  ["README.md", "effect-exchange", /^(?:\d+(?:\.\d+)? \/ \d+(?:\.\d+)?\n){5}$/],
  [
    "README.md",
    "Swap the Layer, swap the exchange",
    /^MEXC: (?:buy|sell) [\d.]+ ETH\nGate: (?:buy|sell) [\d.]+ ETH\n$/
  ],
  ["README.md", "Test your program without an exchange", /^the program sees the gap\n$/],
  ["docs/recording.md", "In a program", /^the same trades\n$/]
]

/** What a fragment that imports nothing is about. */
const preambles: Readonly<Record<string, string>> = {
  "docs/connection.md": ["FrameSocket", "Heartbeat", "Staleness", "ConnectionMetrics"]
    .map((name) => `import * as ${name} from "effect-exchange/connection/${name}"\n`)
    .join("") + "import { Effect } from \"effect\"\ndeclare const ping: () => string\n"
}

interface Block {
  readonly page: string
  /** The heading above it. */
  readonly heading: string
  readonly line: number
  readonly info: string
  readonly text: string
}

const blocksOf = (page: string): ReadonlyArray<Block> => {
  const text = textOf(page)
  return Array.from(text.matchAll(/^```([^\n]*)\n([^]*?)^```$/gm), (match) => {
    const before = text.slice(0, match.index)
    const heading = Array.from(before.replace(/^```[^]*?^```$/gm, "").matchAll(/^#+ (.+)$/gm)).at(-1)?.[1] ?? ""
    return { page, heading, line: before.split("\n").length, info: match[1]!.trim(), text: match[2]! }
  })
}

const blocks = pages.flatMap(blocksOf)
const code = blocks.filter(({ info }) => /^(?:ts|typescript|tsx|js)\b/.test(info))
const programs = code.filter(({ info }) => info !== "ts fragment")
const titleOf = ({ heading, line, page }: Block): string => `${page}:${line}, ${heading}`

/** The package's paths as the sources have them, see "exports" of package.json. */
const sourceOf = (specifier: string): string => {
  const path = specifier.replace(/^effect-exchange\/?/, "")
  return join(
    repository,
    "src",
    `${{ "": "index", simulator: "SimulatedExchanges", cli: "cli/main" }[path] ?? path}.ts`
  )
}

const rewritten = ({ page, text }: Block): string =>
  (text.includes("import ") ? text : (preambles[page] ?? "") + text)
    .replace(/(["'])(effect-exchange(?:\/[\w/]+)?)\1/g, (_, _quote: string, path: string) =>
      JSON.stringify(sourceOf(path)))
    .replace(/(["'])\.\/(test\/[\w./]+)\1/g, (_, _quote: string, path: string) =>
      JSON.stringify(join(repository, path)))

const fileOf = (block: Block): string => `${block.page.replace(/\W/g, "-")}-${block.line}.ts`

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs to the end. Stopped after half a minute, which only a hanging program needs. */
const run = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}): Promise<Outcome> =>
  new Promise((done) => {
    const options = { cwd: repository, env: { ...process.env, NO_COLOR: "1", ...env }, timeout: 25_000 }
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : typeof error.code === "number" ? error.code : 1, stdout, stderr })
    })
  })

let folder: string

beforeAll(() => {
  // Not below node_modules, where Node strips no types.
  folder = realpathSync(mkdtempSync(join(tmpdir(), "effect-exchange-snippets-")))
  symlinkSync(join(repository, "node_modules"), join(folder, "node_modules"))
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module", private: true }))
  for (const block of code) writeFileSync(join(folder, fileOf(block)), rewritten(block))
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe("programs of the documentation", () => {
  it("each have their expected output here, and nothing is expected that is not there", () => {
    assert.deepStrictEqual(
      programs.map(({ heading, page }) => `${page}, ${heading}`),
      expected.map(([page, heading]) => `${page}, ${heading}`),
      "mark what is no whole program as ```ts fragment"
    )
  })

  for (const [index, program] of programs.entries()) {
    it.live(`run and print what they should: ${titleOf(program)}`, () =>
      Effect.gen(function*() {
        const { urls } = yield* Simulator.make({
          dialects: [mexcSpotDialect, gateSpotDialect],
          pairs: ["BTC/USDT", "ETH/USDT"]
        })
        const env = Object.fromEntries(
          Object.entries(urls).flatMap(([id, { rest, ws }]) => {
            const prefix = id.toUpperCase().replaceAll("-", "_")
            return [[`${prefix}_WS_URL`, ws], [`${prefix}_REST_URL`, rest]]
          })
        )
        const { code, stderr, stdout } = yield* Effect.promise(() => run([join(folder, fileOf(program))], env))
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0, stdout)
        assert.match(stdout, expected[index]?.[2] ?? /^$/)
      }).pipe(Effect.scoped))
  }

  it("the first is short", () => {
    const lines = programs[0]!.text.split("\n").filter((line) => line.trim() !== "")
    assert.isAtMost(lines.length, 11)
  })

  it("they and the fragments type-check", async () => {
    const { compilerOptions } = JSON.parse(textOf("tsconfig.json")) as {
      readonly compilerOptions: Readonly<Record<string, unknown>>
    }
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { ...compilerOptions, incremental: false, tsBuildInfoFile: undefined, noUnusedLocals: false },
        files: code.map(fileOf)
      })
    )
    const tsc = join(repository, "node_modules", "typescript", "bin", "tsc")
    const { code: exit, stdout } = await run([tsc, "-p", folder])
    assert.strictEqual(exit, 0, stdout)
  })
})

describe("commands of the documentation", () => {
  const { scripts } = JSON.parse(textOf("package.json")) as { readonly scripts: Readonly<Record<string, string>> }
  const shell = blocks.filter(({ info }) => info === "sh" || info === "bash")
  const inline = pages.flatMap((page) =>
    Array.from(
      textOf(page).replace(/^```[^]*?^```$/gm, "").matchAll(/`((?:npm|npx|exchange) [^`]+)`/g),
      ([, text]) => text!
    )
  )
  const commands = [...shell.flatMap(({ text }) => text.split("\n")), ...inline]
    .flatMap((line) => line.replace(/(?:^|\s)#.*$/, "").split("&&"))
    .map((command) => command.trim())
    .filter((command) => command !== "")

  it("name npm scripts that exist", () => {
    const named = commands.flatMap((command) => {
      const [, script] = /^npm run (?:-s )?([\w:-]+)/.exec(command) ?? []
      const [, short] = /^npm (start|test)\b/.exec(command) ?? []
      return [script ?? short ?? []].flat()
    })
    assert.includeMembers(named, ["start", "test", "exchange"])
    assert.deepStrictEqual(named.filter((script) => !(script in scripts)), [])
  })

  /** Words behind `exchange`, without what stands for something. */
  const calls = commands.flatMap((command) => {
    const [, words] = /^(?:npm run (?:-s )?exchange --|npx -p effect-exchange exchange|exchange) (.+)$/.exec(command) ??
      []
    return words === undefined ? [] : [words.split(/\s+/)]
  })
  const byCommand = new Map<string, Set<string>>()
  for (const [first = "", ...rest] of calls) {
    // `<command>` stands for any of them; `order` has commands of its own.
    const named = first === "order" && /^\w/.test(rest[0] ?? "") ? `order ${rest[0]}` : first
    const name = /^[-<]/.test(first) ? "" : named
    const flags = [first, ...rest].filter((word) => word.startsWith("--")).map((word) => word.replace(/=.*$/, ""))
    byCommand.set(name, new Set([...byCommand.get(name) ?? [], ...flags]))
  }

  for (const [name, flags] of byCommand) {
    it(`exchange ${name} exists and has ${[...flags].join(", ") || "no flag that is named"}`, async () => {
      const main = join(repository, "src", "cli", "main.ts")
      const { code, stderr, stdout } = await run([main, ...name === "" ? [] : name.split(" "), "--help"])
      assert.strictEqual(code, 0, stderr)
      const offered = new Set(Array.from(stdout.matchAll(/--[\w-]+/g), ([flag]) => flag))
      assert.deepStrictEqual([...flags].filter((flag) => !offered.has(flag)), [])
      if (name !== "") assert.match(stdout, new RegExp(`exchange ${name}\\b`))
    })
  }
})
