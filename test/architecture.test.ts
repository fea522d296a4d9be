import { assert, describe, it } from "@effect/vitest"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { check, filesOf } from "../scripts/architecture.ts"
import { decisionFile } from "../scripts/architecture/LintExceptions.ts"
import { read } from "../scripts/architecture/Source.ts"

type Tree = Readonly<Record<string, string>>

/** A small repository that keeps every rule. Imports are built here, so that this file has none of them itself. */
const from = (names: string, specifier: string): string => `import ${names} from "${specifier}"\n`

const sound: Tree = {
  ".gitignore": "node_modules\ndist\n*.log\n",
  "package.json": JSON.stringify({
    dependencies: { "@effect/platform-node": "1", ws: "1" },
    peerDependencies: { effect: "1" }
  }),
  "src/domain/Market.ts": from("{ Schema }", "effect") + "export const a = Schema\n",
  "src/ExchangeError.ts": from("* as Market", "./domain/Market.ts") + "export const b = Market\n",
  "src/ExchangeAdapter.ts": from("type { Frame }", "./connection/Connection.ts") + "export type A = Frame\n",
  "src/ExchangeDialect.ts": "export interface ExchangeDialect {}\n",
  "src/PublicWebsocket.ts": from("* as ExchangeError", "./ExchangeError.ts") + "export const c = ExchangeError\n",
  "src/connection/Connection.ts": "export type Frame = string\n",
  "src/connection/FrameSocket.ts": from("* as WsWire", "./WsWire.ts") + "export const d = WsWire\n",
  "src/connection/WsWire.ts": from("WebSocket", "ws") + "export const d = WebSocket\n",
  "src/connection/MemoryNetwork.ts": "export const e = 1\n",
  "src/session/Session.ts": from("* as FrameSocket", "../connection/FrameSocket.ts") + "export const f = FrameSocket\n",
  "src/exchanges/mexc/MexcSpot.ts": from("type { Frame }", "../../connection/Connection.ts") +
    from("* as Wire", "./MexcWire.ts") + "export const g: Frame = Wire.h\n",
  "src/exchanges/mexc/MexcWire.ts": "export const h = \"\"\n",
  "src/exchanges/mexc/MexcDialect.ts": from("type { ExchangeDialect }", "../../ExchangeDialect.ts") +
    "export const i: ExchangeDialect = {}\n",
  "src/exchanges/gate/GateSpot.ts": "export const j = 1\n",
  "src/exchanges/index.ts": "export { g } from \"./mexc/MexcSpot.ts\"\nexport { j } from \"./gate/GateSpot.ts\"\n",
  "src/ExchangeFactory.ts": from("* as Session", "./session/Session.ts") + "export const k = Session\n",
  "src/Exchanges.ts": from("* as exchanges", "./exchanges/index.ts") + from("* as Factory", "./ExchangeFactory.ts") +
    "export const l = [exchanges, Factory]\n",
  "src/composite/OrderBook.ts": from("* as PublicWebsocket", "../PublicWebsocket.ts") +
    "export const m = PublicWebsocket\n",
  "src/simulator/Simulator.ts": from("* as Memory", "../connection/MemoryNetwork.ts") +
    from("* as NodeHttpServer", "@effect/platform-node/NodeHttpServer") + "export const n = [Memory, NodeHttpServer]\n",
  "src/cli/main.ts": from("* as Simulator", "../simulator/Simulator.ts") + "console.error(Simulator)\n",
  "src/index.ts": "export * as Exchanges from \"./Exchanges.ts\"\n",
  "test/domain/market.test.ts": from("* as Market", "../../src/domain/Market.ts") + "console.error(Market)\n"
}

const violationsOf = (changes: Tree): ReadonlyArray<string> => {
  const root = mkdtempSync(join(tmpdir(), "architecture-"))
  try {
    for (const [path, text] of Object.entries({ ...sound, ...changes })) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    return check(filesOf(root)).map(({ path, line, rule, message }) => `${path}:${line} [${rule}] ${message}`)
  } finally {
    rmSync(root, { recursive: true })
  }
}

/** What is put into the sound tree, and how the one violation begins. */
const cases: ReadonlyArray<readonly [title: string, changes: Tree, expected: string]> = [
  [
    "domain imports upwards",
    { "src/domain/Market.ts": `\n${from("* as E", "../ExchangeDialect.ts")}export const a = E\n` },
    "src/domain/Market.ts:2 [import-table] domain may not import src/ExchangeDialect.ts, only its own folder;"
  ],
  [
    "a service imports a connection",
    { "src/MarketRest.ts": from("type { Frame }", "./connection/Connection.ts") },
    "src/MarketRest.ts:1 [import-table] services may not import src/connection/Connection.ts"
  ],
  [
    "the adapter interface imports a connection's values",
    { "src/ExchangeAdapter.ts": from("* as Connection", "./connection/Connection.ts") },
    "src/ExchangeAdapter.ts:1 [import-table] ExchangeAdapter may import types of src/connection/Connection.ts only"
  ],
  [
    "an inline type counts as a value, because the import stays at run time",
    { "src/ExchangeAdapter.ts": from("{ type Frame }", "./connection/Connection.ts") },
    "src/ExchangeAdapter.ts:1 [import-table] ExchangeAdapter may import types of src/connection/Connection.ts only"
  ],
  [
    "an exchange imports the session",
    { "src/exchanges/gate/GateSpot.ts": from("* as S", "../../session/Session.ts") + "export const j = S\n" },
    "src/exchanges/gate/GateSpot.ts:1 [import-table] exchanges may not import src/session/Session.ts"
  ],
  [
    "an exchange imports another exchange",
    { "src/exchanges/gate/GateSpot.ts": from("* as M", "../mexc/MexcWire.ts") + "export const j = M\n" },
    "src/exchanges/gate/GateSpot.ts:1 [import-table] exchanges may not import src/exchanges/mexc/MexcWire.ts"
  ],
  [
    "an exchange imports its dialect",
    { "src/exchanges/mexc/MexcWire.ts": from("type { i }", "./MexcDialect.ts") + "export const h = \"\"\n" },
    "src/exchanges/mexc/MexcWire.ts:1 [import-table] exchanges may not import src/exchanges/mexc/MexcDialect.ts"
  ],
  [
    "a dialect imports its adapter's wire types",
    { "src/exchanges/mexc/MexcDialect.ts": from("type { h }", "./MexcWire.ts") + "export const i = 1\n" },
    "src/exchanges/mexc/MexcDialect.ts:1 [import-table] dialect may not import src/exchanges/mexc/MexcWire.ts"
  ],
  [
    "a dialect imports the error",
    { "src/exchanges/mexc/MexcDialect.ts": from("type { b }", "../../ExchangeError.ts") + "export const i = 1\n" },
    "src/exchanges/mexc/MexcDialect.ts:1 [import-table] dialect may not import src/ExchangeError.ts"
  ],
  [
    "the simulator imports more of connection than the memory network",
    { "src/simulator/Faults.ts": from("type { Frame }", "../connection/Connection.ts") },
    "src/simulator/Faults.ts:1 [import-table] simulator may not import src/connection/Connection.ts"
  ],
  [
    "the simulator imports an exchange",
    { "src/simulator/Faults.ts": from("* as exchanges", "../exchanges/index.ts") },
    "src/simulator/Faults.ts:1 [import-table] simulator may not import src/exchanges/index.ts"
  ],
  [
    "a composite imports the session",
    { "src/composite/Markets.ts": `const s = await import("../session/Session.ts")\n` },
    "src/composite/Markets.ts:1 [import-table] composite may not import src/session/Session.ts"
  ],
  [
    "the factory imports an exchange",
    { "src/ExchangeFactory.ts": "export * from \"./exchanges/gate/GateSpot.ts\"\n" },
    "src/ExchangeFactory.ts:1 [import-table] ExchangeFactory may not import src/exchanges/gate/GateSpot.ts"
  ],
  [
    "the session imports the server's half",
    { "src/session/Routing.ts": from("type { ExchangeDialect }", "../ExchangeDialect.ts") },
    "src/session/Routing.ts:1 [import-table] session may not import src/ExchangeDialect.ts"
  ],
  [
    "somebody imports the command",
    { "src/simulator/Faults.ts": "import \"../cli/main.ts\"\n", "src/cli/main.ts": "" },
    "src/simulator/Faults.ts:1 [import-table] simulator may not import src/cli/main.ts"
  ],
  [
    "a module without a row",
    { "src/Exchange.ts": "" },
    "src/Exchange.ts:1 [import-table] Exchange has no row in scripts/architecture/ImportTable.ts"
  ],
  [
    "src imports a test",
    { "src/cli/Demo.ts": from("* as suite", "../../test/domain/market.test.ts") },
    "src/cli/Demo.ts:1 [import-table] test/domain/market.test.ts is outside src"
  ],
  [
    "an import without its ending",
    { "src/cli/Demo.ts": from("* as Demo", "../domain/Market") },
    "src/cli/Demo.ts:1 [import-path] ../domain/Market is no file"
  ],
  [
    "a computed import",
    { "src/cli/Demo.ts": "export const load = (name: string) => import(name)\n" },
    "src/cli/Demo.ts:1 [import-path] import() of a computed path cannot be checked"
  ],
  [
    "a cycle, also of types",
    {
      "src/domain/Feed.ts": from("type { C }", "./Channel.ts"),
      "src/domain/Channel.ts": from("type { F }", "./Feed.ts")
    },
    "src/domain/Feed.ts:1 [import-cycle] src/domain/Channel.ts -> src/domain/Feed.ts -> src/domain/Channel.ts;"
  ],
  [
    "a module that imports itself",
    { "src/domain/Feed.ts": from("type { C }", "./Feed.ts") },
    "src/domain/Feed.ts:1 [import-cycle] src/domain/Feed.ts -> src/domain/Feed.ts;"
  ],
  [
    "the platform's barrel, even in a test",
    { "test/domain/market.test.ts": from("{ NodeRuntime }", "@effect/platform-node") },
    "test/domain/market.test.ts:1 [package-use] @effect/platform-node costs a quarter of a second to load"
  ],
  [
    "the platform outside command and simulator",
    { "src/session/Routing.ts": from("* as NodeHttp", "@effect/platform-node/NodeHttpServer") },
    "src/session/Routing.ts:1 [package-use] @effect/platform-node/NodeHttpServer belongs to src/cli and src/simulator"
  ],
  [
    "ws outside its wire and the simulator",
    { "src/connection/Heartbeat.ts": from("type { WebSocket }", "ws") },
    "src/connection/Heartbeat.ts:1 [package-use] ws belongs to src/connection/WsWire.ts and src/simulator"
  ],
  [
    "a package that package.json does not name",
    { "src/session/Routing.ts": from("{ vi }", "vitest/node") },
    "src/session/Routing.ts:1 [undeclared-package] vitest/node is neither in dependencies nor in peerDependencies"
  ],
  [
    "the public service mentions the private one",
    { "src/PublicWebsocket.ts": "// one\n// unlike PrivateWebsocket\n" },
    "src/PublicWebsocket.ts:2 [public-private] the public service must not mention the private one"
  ],
  [
    "a stray file at the top",
    { "NOTES.md": "" },
    "NOTES.md:1 [top-level] NOTES.md does not belong at the top of the repository"
  ],
  ["a stray folder at the top", { "lib/a.ts": "" }, "lib/a.ts:1 [top-level] lib does not belong at the top"],
  [
    "a file name in lower case",
    { "src/cli/demo.ts": "" },
    "src/cli/demo.ts:1 [file-name] src holds PascalCase.ts modules in lower-case folders"
  ],
  [
    "a folder in upper case",
    { "src/cli/Parts/Demo.ts": "" },
    "src/cli/Parts/Demo.ts:1 [file-name] src holds PascalCase.ts modules in lower-case folders"
  ],
  ["something else than TypeScript in src", { "src/cli/Demo.proto": "" }, "src/cli/Demo.proto:1 [file-name]"],
  ["a vague file name", { "src/cli/Types.ts": "" }, "src/cli/Types.ts:1 [vague-name] \"Types\" says nothing"],
  ["a vague word in a file name", { "test/testUtils.ts": "" }, "test/testUtils.ts:1 [vague-name] \"testUtils\" says"],
  [
    "a vague folder",
    { "src/session/common/Thing.ts": "" },
    "src/session/common/Thing.ts:1 [vague-name] \"common\" says nothing"
  ],
  [
    "a path of one machine",
    { "docs/proof.md": `ok\nread ${["", "work", "shared", "x.md"].join("/")}\n` },
    "docs/proof.md:2 [machine-path] a path of one machine"
  ],
  [
    "a lint rule silenced for a whole file",
    { "src/cli/Demo.ts": "/* oxlint-disable complexity */\n" },
    "src/cli/Demo.ts:1 [lint-exception] the only suppression is"
  ],
  [
    "a lint rule silenced without its decision",
    { "src/cli/Demo.ts": "// oxlint-disable-next-line complexity\nexport const f = () => 1\n" },
    "src/cli/Demo.ts:1 [lint-exception] the only suppression is"
  ],
  ["the type checker silenced", { "test/x.test.ts": "// @ts-ignore\n" }, "test/x.test.ts:1 [lint-exception]"],
  ["coverage silenced", { "src/cli/Demo.ts": "\n/* v8 ignore next */\n" }, "src/cli/Demo.ts:2 [lint-exception]"],
  [
    "a lint exception that nobody decided",
    { "src/cli/Demo.ts": `// oxlint-disable-next-line complexity -- ${decisionFile}\nexport const f = () => 1\n` },
    "src/cli/Demo.ts:1 [lint-exception] f suppresses complexity undecided"
  ],
  [
    "a decision that nothing uses",
    { [decisionFile]: "| file |\n| --- |\n| `src/cli/Demo.ts` | `f` | `complexity` | because |\n" },
    `${decisionFile}:3 [lint-exception] nothing in src/cli/Demo.ts suppresses complexity for f any more`
  ]
]

describe("architecture", () => {
  it("accepts a sound repository", () => {
    assert.deepStrictEqual(violationsOf({}), [])
  })

  it("does not look at what .gitignore names", () => {
    assert.deepStrictEqual(violationsOf({ "dist/utils.js": "", "npm-debug.log": "", "src/node_modules/a.js": "" }), [])
  })

  for (const [title, changes, expected] of cases) {
    it(`finds ${title}`, () => {
      const found = violationsOf(changes)
      assert.strictEqual(found.length, 1, found.join("\n"))
      assert.strictEqual(found[0]!.slice(0, expected.length), expected)
    })
  }

  it("follows the main entry to what it must not load", () => {
    const found = violationsOf({
      "src/index.ts": "export * as Simulator from \"./simulator/Simulator.ts\"\n"
    })
    assert.deepStrictEqual(found.map((line) => line.replace(/(?: through|, only ).*/, "")), [
      "src/index.ts:1 [import-table] index may not import src/simulator/Simulator.ts",
      "src/index.ts:1 [entry] src/index.ts reaches src/simulator/Simulator.ts",
      "src/simulator/Simulator.ts:2 [entry] src/index.ts reaches @effect/platform-node/NodeHttpServer"
    ])
  })

  it("takes a lint exception that its decision names, wherever the function stands", () => {
    const directive = (indent: string): string => `${indent}// oxlint-disable-next-line eqeqeq -- ${decisionFile}\n`
    const code = directive("") + "export const top = (a, b) => a == b\n" +
      `class Book {\n${directive("  ")}  follows(a, b) {\n    return a == b\n  }\n}\n` +
      `const inside = () => {\n  if (true) {\n${directive("    ")}    return 1 == 1\n  }\n}\n`
    const row = (name: string): string => `| \`src/cli/Demo.ts\` | \`${name}\` | \`eqeqeq\` | because |\n`
    const all = { "src/cli/Demo.ts": code, [decisionFile]: row("top") + row("follows") + row("inside") }
    assert.deepStrictEqual(violationsOf(all), [])
  })
})

describe("imports", () => {
  const importsOf = (text: string): ReadonlyArray<string> =>
    read(text).imports.map(({ specifier, line, typeOnly }) => `${line} ${specifier}${typeOnly ? " type" : ""}`)

  it("are found in every form", () => {
    const text = [
      from("a", "./A.ts"),
      from("b, { c }", "./B.ts"),
      from("{\n  d,\n  e\n}", "./D.ts"),
      "export * as f from './F.ts'\n",
      "export type { g } from \"./G.ts\"\n",
      "import \"./H.ts\"\n",
      "type I = typeof import(\"./I.ts\")\n",
      "const j = () => import(\"./J.ts\")\n"
    ].join("")
    assert.deepStrictEqual(importsOf(text).toSorted(), [
      "1 ./A.ts",
      "10 ./I.ts type",
      "11 ./J.ts",
      "2 ./B.ts",
      "3 ./D.ts",
      "7 ./F.ts",
      "8 ./G.ts type",
      "9 ./H.ts"
    ])
  })

  it("are not found in comments, templates and regular expressions", () => {
    const text = [
      `// ${from("a", "./A.ts")}`,
      `/**\n${from("b", "./B.ts")} */\n`,
      `const c = \`\n${from("c", "./C.ts")}\${(() => { return \`\n${from("d", "./D.ts")}\` })()}\n${
        from("e", "./E.ts")
      }\`\n`,
      "const f = /[`\"]/.test(`\\``)\n",
      "const g = 1 / 2 /* ` */ / 3\n",
      from("h", "./H.ts")
    ].join("")
    assert.deepStrictEqual(importsOf(text), ["14 ./H.ts"])
  })
})
