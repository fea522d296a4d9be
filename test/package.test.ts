/** The package as a user gets it: packed, unpacked into an empty project, imported, type-checked and run. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join, posix, resolve } from "node:path"
import { read } from "../scripts/architecture/Source.ts"

const repository = resolve(import.meta.dirname, "..")
const require = createRequire(import.meta.url)

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs to the end. Stopped after a minute, which only a hanging program needs. */
const run = (
  command: string,
  args: ReadonlyArray<string>,
  cwd: string,
  env: Record<string, string> = {}
): Promise<Outcome> =>
  new Promise((done) => {
    const options = { cwd, env: { ...process.env, ...env }, timeout: 60_000, maxBuffer: 1 << 26 }
    execFile(command, args, options, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : typeof error.code === "number" ? error.code : 1, stdout, stderr })
    })
  })

const node = (project: string, args: ReadonlyArray<string>, env: Record<string, string> = {}): Promise<Outcome> =>
  run(process.execPath, args, project, env)

const succeeded = (outcome: Outcome): Outcome => {
  assert.strictEqual(outcome.code, 0, `${outcome.stdout}\n${outcome.stderr}`)
  return outcome
}

/** What a release is packed from, in a folder of its own: the checkout stays as it is. */
const copyOfRepository = (folder: string): void => {
  const manifest = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
    readonly files: Array<string>
  }
  const needed = ["package.json", "tsconfig.json", "scripts", ...manifest.files.filter((file) => file !== "dist")]
  for (const file of needed.filter((each) => existsSync(join(repository, each)))) {
    cpSync(join(repository, file), join(folder, file), { recursive: true })
  }
  symlinkSync(join(repository, "node_modules"), join(folder, "node_modules"))
}

/** An empty project with the tarball in node_modules, and its dependencies linked from the repository's own. */
const install = async (tarball: string, project: string): Promise<void> => {
  const installed = join(project, "node_modules", "effect-exchange")
  mkdirSync(installed, { recursive: true })
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "project", private: true, type: "module" }))
  succeeded(await run("tar", ["-xzf", tarball, "-C", installed, "--strip-components=1"], project))
  const manifest = require(join(installed, "package.json")) as {
    readonly dependencies: Readonly<Record<string, string>>
    readonly peerDependencies: Readonly<Record<string, string>>
  }
  for (
    const name of [...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies), "@types/node"]
  ) {
    const link = join(project, "node_modules", name)
    mkdirSync(resolve(link, ".."), { recursive: true })
    symlinkSync(join(repository, "node_modules", name), link)
  }
}

let root: string
let project: string
let packed: ReadonlyArray<string>

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "effect-exchange-package-"))
  const release = join(root, "release")
  project = join(root, "project")
  mkdirSync(release)
  copyOfRepository(release)
  succeeded(await run("npm", ["pack", "--silent", "--pack-destination", root], release))
  const { name, version } = require(join(release, "package.json")) as {
    readonly name: string
    readonly version: string
  }
  const tarball = join(root, `${name}-${version}.tgz`)
  packed = succeeded(await run("tar", ["-tzf", tarball], root)).stdout.trim().split("\n")
  await install(tarball, project)
}, 60_000)

afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

const installedAt = (path: string): string =>
  join(project, "node_modules", "effect-exchange", path.replace("package/", ""))

/** What a file of JavaScript is made of, by its map. */
const sourcesOf = (map: string): ReadonlyArray<string> => {
  const { sources } = JSON.parse(readFileSync(installedAt(map), "utf8")) as { readonly sources: ReadonlyArray<string> }
  return sources.map((source) => posix.join(posix.dirname(map), source))
}

describe("tarball", () => {
  it("holds the build, its sources, and nothing of tests, scripts or this machine", () => {
    const expected = ["dist/index.js", "dist/index.d.ts", "dist/index.d.ts.map", "dist/chunks/core.js", "src/index.ts"]
    for (const file of [...expected, "dist/cli/exchange.cjs", "LICENSE", "README.md", "CHANGELOG.md", "package.json"]) {
      assert.include(packed, `package/${file}`)
    }
    const strange = packed.filter((path) =>
      !/^package\/(?:dist\/[\w/-]+\.(?:js|d\.ts)(?:\.map)?|dist\/(?:node-version|cli\/exchange)\.cjs|src\/[\w/]+\.ts|[A-Z]+(?:\.md)?|package\.json)$/
        .test(path)
    )
    assert.deepStrictEqual(strange, [])
  })

  it("has maps that lead to the sources beside it", () => {
    const maps = packed.filter((path) => path.endsWith(".js.map"))
    assert.include(maps, "package/dist/chunks/core.js.map")
    const lost = maps.flatMap((path) => sourcesOf(path)).filter((source) => !packed.includes(source))
    assert.deepStrictEqual(lost, [])
  })

  it("is read by V8 in one byte a character", () => {
    const wide = packed.filter((path) => path.endsWith(".js")).filter((path) =>
      [...readFileSync(installedAt(path))].some((byte) => byte > 127)
    )
    assert.deepStrictEqual(wide, [])
  })

  // Declarations keep their .ts endings, as effect's own do: tsc reads them as .d.ts.
  it("imports no .ts file at run time", () => {
    const left = packed.filter((path) => path.endsWith(".js")).filter((path) =>
      read(readFileSync(installedAt(path), "utf8")).imports
        .some(({ specifier }) => specifier.startsWith(".") && specifier.endsWith(".ts"))
    )
    assert.deepStrictEqual(left, [])
  })
})

describe("exports", () => {
  const importing = (specifier: string): Promise<Outcome> =>
    node(project, [
      "--input-type=module",
      "--eval",
      `await import("${specifier}").catch((e) => { console.log(e.code); process.exit(9) })`
    ])

  for (
    const inside of [
      "session/Session",
      "account/OrderDesk",
      "connection/Connection",
      "exchanges/mexc/MexcSpot",
      "simulator/Faults",
      "cli/main"
    ]
  ) {
    it(`keep ${inside} inside`, async () => {
      const { code, stdout } = await importing(`effect-exchange/${inside}`)
      assert.deepStrictEqual([code, stdout.trim()], [9, "ERR_PACKAGE_PATH_NOT_EXPORTED"])
    })
  }

  for (
    const open of [
      "",
      "/PublicWebsocket",
      "/ExchangeError",
      "/domain/Market",
      "/composite/OrderBook",
      "/simulator",
      "/JournalFile",
      "/package.json"
    ]
  ) {
    it(`open effect-exchange${open}`, async () => {
      const attributes = open === "/package.json" ? ", { with: { type: \"json\" } }" : ""
      succeeded(
        await node(project, ["--input-type=module", "--eval", `await import("effect-exchange${open}"${attributes})`])
      )
    })
  }

  it("have at run time what their sources export", async () => {
    const entries = packed.filter((path) => /^package\/dist\/(?!chunks\/|cli\/).*\.js$/.test(path))
    assert.isAbove(entries.length, 50)
    const program = `const [pairs] = process.argv.slice(1).map(JSON.parse)
const names = async (file) => Object.keys(await import(file)).sort().join(" ")
for (const [built, source] of pairs) {
  const [have, want] = [await names(built), await names(source)]
  if (have !== want) console.log(built, "has", have, "and not", want)
}`
    const pairs = entries.map((path) => [
      installedAt(path),
      join(repository, "src", path.replace("package/dist/", "").replace(/\.js$/, ".ts"))
    ])
    const { stdout } = succeeded(
      await node(project, ["--input-type=module", "--eval", program, JSON.stringify(pairs)])
    )
    assert.strictEqual(stdout, "")
  })

  it("are there for require, too", async () => {
    succeeded(await node(project, ["--eval", "require(\"effect-exchange\").Exchanges.layerPublic(\"gate-spot\")"]))
  })

  it("carry their types", async () => {
    writeFileSync(
      join(project, "snippet.ts"),
      [
        "import { Effect, Stream } from \"effect\"",
        "import { Channel, PublicWebsocket } from \"effect-exchange\"",
        "import type { BookTicker } from \"effect-exchange/domain/Market\"",
        "export const first: Effect.Effect<unknown, unknown, PublicWebsocket.PublicWebsocket> =",
        "  Stream.runHead(PublicWebsocket.stream(Channel.bookTicker(\"BTC/USDT\")))",
        "// @ts-expect-error a price is a number or null",
        "export const wrong = (ticker: BookTicker): string => ticker.bidPrice",
        ""
      ].join("\n")
    )
    const compilerOptions = { module: "nodenext", target: "es2023", strict: true, noEmit: true, types: ["node"] }
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["snippet.ts"] }))
    succeeded(
      await node(project, [join(repository, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json"])
    )
  }, 60_000)
})

describe("main entry", () => {
  it("loads neither the platform nor the simulator nor the command", async () => {
    writeFileSync(
      join(project, "watch.mjs"),
      `import { registerHooks } from "node:module"
registerHooks({ load: (url, context, next) => { console.log(url); return next(url, context) } })
`
    )
    writeFileSync(join(project, "entry.mjs"), "import \"effect-exchange\"\n")
    const { stdout } = succeeded(await node(project, ["--import", "./watch.mjs", "entry.mjs"]))
    const loaded = stdout.trim().split("\n")
    assert.isTrue(loaded.some((url) => url.endsWith("/effect-exchange/dist/index.js")), stdout)
    assert.deepStrictEqual(loaded.filter((url) => url.includes("/@effect/platform-node")), [])
    const sources = loaded.flatMap((url) => {
      const [, file] = /\/effect-exchange\/(dist\/.*\.js)$/.exec(url) ?? []
      const map = `package/${file}.map`
      return packed.includes(map) ? sourcesOf(map) : []
    })
    assert.include(sources, "package/src/Exchanges.ts")
    const unwanted = /^package\/src\/(?:simulator\/|cli\/|\S*Dialect\.ts|JournalFile\.ts)/
    assert.deepStrictEqual(sources.filter((source) => unwanted.test(source)), [])
  })
})

describe("command", () => {
  const command = (): string => {
    const installed = join(project, "node_modules", "effect-exchange")
    const { bin } = require(join(installed, "package.json")) as { readonly bin: { readonly exchange: string } }
    return join(installed, bin.exchange)
  }

  it("looks at Node's version before it loads anything, and is executable", async () => {
    const [first, , ...lines] = readFileSync(command(), "utf8").split("\n")
    assert.strictEqual(first, "#!/usr/bin/env node")
    assert.deepStrictEqual(lines, [
      "require(\"../node-version.cjs\")",
      "require(\"node:v8\").setFlagsFromString(\"--no-allocation-site-pretenuring\")",
      "import(\"./main.js\")",
      ""
    ])
    succeeded(await run(command(), ["--help"], project))
  })

  it("says what to do on an older Node", () => {
    const { tooOld } = require("../scripts/node-version.cjs") as {
      readonly tooOld: (version: string, minimum: string) => string | null
    }
    assert.isNull(tooOld("22.19.0", "22.19.0"))
    assert.isNull(tooOld("22.20.1", "22.19.0"))
    assert.isNull(tooOld("24.0.0", "22.19.0"))
    for (const old of ["20.20.2", "22.18.9", "18.0.0", "8.17.0"]) {
      assert.match(tooOld(old, "22.19.0")!, new RegExp(`needs Node 22\\.19\\.0 or newer, and this is Node ${old}\\.`))
    }
  })

  it("stops an older Node with that message", async () => {
    const pretend = join(project, "pretend.cjs")
    writeFileSync(pretend, "Object.defineProperty(process.versions, \"node\", { value: \"20.20.2\" })\n")
    const { code, stderr, stdout } = await node(project, ["-r", pretend, command(), "--help"])
    assert.deepStrictEqual([code, stdout], [1, ""])
    assert.match(stderr, /^effect-exchange needs Node 22\.19\.0 or newer, and this is Node 20\.20\.2\./)
  })
})

/** The first line of the simulator's stdout: where each exchange listens. */
const urlsOf = async (child: ChildProcess): Promise<Record<string, { readonly ws: string; readonly rest: string }>> => {
  let text = ""
  for await (const chunk of child.stdout!) {
    text += String(chunk)
    const [line, more] = text.split("\n")
    if (more !== undefined) return JSON.parse(line!)
  }
  throw new Error(`the simulator ended without telling where it listens: ${text}`)
}

describe("README", () => {
  it("its first program runs as it stands, against the simulator", async () => {
    const readme = readFileSync(join(repository, "README.md"), "utf8")
    const program = /^```ts\n([^]*?)^```$/m.exec(readme)?.[1]
    assert.isDefined(program, "README.md has no ```ts block")
    writeFileSync(join(project, "readme.ts"), program!)

    const main = join(project, "node_modules", "effect-exchange", "dist", "cli", "exchange.cjs")
    const simulator = spawn(process.execPath, [main, "simulate"], {
      cwd: project,
      stdio: ["ignore", "pipe", "inherit"]
    })
    const ended = once(simulator, "exit")
    try {
      const urls = await urlsOf(simulator)
      const variables = Object.entries(urls).flatMap(([id, { rest, ws }]) => {
        const prefix = id.toUpperCase().replaceAll("-", "_")
        return [[`${prefix}_WS_URL`, ws], [`${prefix}_REST_URL`, rest]]
      })
      assert.sameMembers(variables.map(([name]) => name), [
        "MEXC_SPOT_WS_URL",
        "MEXC_SPOT_REST_URL",
        "GATE_FUTURES_WS_URL",
        "GATE_FUTURES_REST_URL",
        "GATE_SPOT_WS_URL",
        "GATE_SPOT_REST_URL"
      ])
      const { stdout } = succeeded(await node(project, ["readme.ts"], Object.fromEntries(variables)))
      assert.notStrictEqual(stdout.trim(), "", "the program printed nothing")
    } finally {
      simulator.kill("SIGINT")
    }
    assert.deepStrictEqual(await ended, [0, null])
  })
})
