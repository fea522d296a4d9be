/** What a plain `npm install` of each is enough for. */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { node, root } from "../prove/Child.ts"
import type { Row } from "./Row.ts"
import { judged } from "./Row.ts"

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

const manifest = (...path: ReadonlyArray<string>): Manifest =>
  JSON.parse(readFileSync(join(root, ...path, "package.json"), "utf8")) as Manifest

/** `protobufjs` cannot be found, as where only ccxt was installed: it is an optional peer, which npm does not install. */
const hidden = `
import { registerHooks } from "node:module"
registerHooks({
  resolve: (specifier, context, next) => {
    if (!specifier.startsWith("protobufjs")) return next(specifier, context)
    throw Object.assign(new Error("Cannot find package " + specifier), { code: "ERR_MODULE_NOT_FOUND" })
  }
})
`

/** Decodes a MEXC message that holds a channel and no body. */
const decoding = `
const { default: Mexc } = await import("./node_modules/ccxt/js/src/pro/mexc.js")
const exchange = new Mexc()
await new Promise((resolve) => setTimeout(resolve, 200))
try {
  console.log("decoded " + exchange.decodeProtoMsg(Uint8Array.of(10, 1, 120)).channel)
} catch (error) {
  console.log(error.name + ": " + error.message)
}
process.exit(0)
`

const run = (program: string): Effect.Effect<string> =>
  Effect.map(node(["--input-type=module", "--eval", program]), ({ errors, lines }) => lines.at(-1)?.text ?? errors)

export const plainInstall: Effect.Effect<Row> = Effect.gen(function*() {
  const [plain, beside] = yield* Effect.all([run(hidden + decoding), run(decoding)], { concurrency: "unbounded" })
  const isOptional = manifest("node_modules", "ccxt").peerDependenciesMeta?.["protobufjs"]?.optional === true
  const row: Row = {
    id: "mexc-protobuf",
    title: "MEXC: protobuf after a plain install",
    done: "a frame is decoded where nothing but the package was installed",
    ccxt: judged(
      plain === "decoded x" && !isOptional,
      beside === "decoded x" ? `${plain} (with protobufjs 8 beside it: decoded)` : plain
    ),
    gateioApi: null,
    ours: judged(
      manifest().dependencies?.["protobufjs"] !== undefined,
      "decoded: protobufjs is a dependency, the schema is bundled (shown by `npm run prove -- package`)"
    ),
    target: "works, 0 extra installs",
    kind: "outcome"
  }
  return row
})
