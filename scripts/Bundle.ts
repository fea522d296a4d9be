/**
 * The JavaScript of the package: one file for everything that the main entry reaches and a small one for each sub-path,
 * because Node takes longer to find, read and link two hundred modules than to run them. The figures are in
 * docs/performance.md.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join, relative, sep } from "node:path"
import { rolldown } from "rolldown"

type Target = string | { readonly default: string }

interface Manifest {
  readonly exports: Readonly<Record<string, Target | null>>
}

/** `./dist/a/b.js` is made of `src/a/b.ts`. */
const unitOf = (target: Target): string | null =>
  /^\.\/dist\/(.+)\.js$/.exec(typeof target === "string" ? target : target.default)?.[1] ?? null

const covers = (pattern: string, path: string): boolean =>
  pattern.endsWith("*") ? path.startsWith(pattern.slice(0, -1)) : path === pattern

/** Node takes the longest pattern that covers a path. */
const targetOf = (exports: Manifest["exports"], path: string): Target | null => {
  const [pattern] = Object.keys(exports).filter((each) => covers(each, path)).sort((a, b) => b.length - a.length)
  return pattern === undefined ? null : exports[pattern]!
}

/** Files of `src` that the manifest lets others import, without their ending. */
export const entriesOf = (root: string): ReadonlyArray<string> => {
  const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest
  const named = Object.values(exports).map((target) => target === null ? null : unitOf(target))
  const units = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -".ts".length).split(sep).join("/"))
  return units.filter((unit) => named.includes(unit) || targetOf(exports, `./${unit}`) !== null).sort()
}

/** V8 keeps a source of which one character is not ASCII in two bytes for each. */
const toAscii = (code: string): string =>
  code.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

const read = (root: string, units: ReadonlyArray<string>) =>
  rolldown({
    input: Object.fromEntries(units.map((unit) => [unit, join(root, "src", `${unit}.ts`)])),
    platform: "node",
    external: /^[^./]/,
    tsconfig: false,
    transform: { target: "es2023" },
    // What stays is what is written: the order of statements is that of the sources.
    treeshake: false
  })

/** Modules that the main entry loads. */
const coreOf = async (root: string): Promise<ReadonlySet<string>> => {
  const build = await read(root, ["index"])
  const { output } = await build.generate({})
  return new Set(output.flatMap((file) => file.type === "chunk" ? file.moduleIds : []))
}

/** Writes the JavaScript of the package at `root`, with maps to its `src`, to `directory`. */
export const bundle = async (root: string, directory: string): Promise<void> => {
  const core = await coreOf(root)
  const isDomain = (id: string): boolean => relative(join(root, "src"), id).startsWith(`domain${sep}`)
  const build = await read(root, entriesOf(root))
  await build.write({
    dir: directory,
    format: "esm",
    sourcemap: true,
    sourcemapExcludeSources: true,
    // Declarations have them, and `src` is shipped.
    comments: { annotation: true, legal: false, jsdoc: false },
    chunkFileNames: "chunks/[name].js",
    codeSplitting: {
      groups: [
        { name: "domain", test: isDomain, priority: 2 },
        { name: "core", test: (id) => core.has(id), priority: 1 }
      ]
    },
    plugins: [{
      name: "ascii",
      generateBundle: (_, files) => {
        for (const file of Object.values(files)) if (file.type === "chunk") file.code = toAscii(file.code)
      }
    }]
  })
}
