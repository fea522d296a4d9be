/**
 * Builds `dist`: JavaScript, declarations and maps of `src`, and the executable command. `src` is shipped as well, so that
 * the maps lead to it.
 */
import { spawnSync } from "node:child_process"
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const dist = join(root, "dist")

const compile = (): void => {
  rmSync(dist, { recursive: true, force: true })
  mkdirSync(dist)
  // tsc takes no `include` on its command line.
  const config = join(dist, "tsconfig.json")
  writeFileSync(
    config,
    JSON.stringify({
      extends: "../tsconfig.json",
      compilerOptions: {
        rootDir: "../src",
        outDir: ".",
        noEmit: false,
        incremental: false,
        tsBuildInfoFile: null,
        rewriteRelativeImportExtensions: true,
        declaration: true,
        declarationMap: true,
        sourceMap: true
      },
      include: ["../src"]
    })
  )
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc")
  const { status } = spawnSync(process.execPath, [tsc, "-p", config], { stdio: "inherit" })
  if (status !== 0) throw new Error("the build stopped: tsc found errors, see above")
  rmSync(config)
}

const shebang = "#!/usr/bin/env node\n"

/** Makes the compiled command executable and lets it look at Node's version before it loads anything. */
const makeExecutable = (file: string): void => {
  const code = readFileSync(file, "utf8")
  const body = code.startsWith("#!") ? code.slice(code.indexOf("\n") + 1) : code
  // On the line of the first statement, so that the source map's lines stay true.
  writeFileSync(file, `${shebang}import "../node-version.cjs"; ${body}`)
  chmodSync(file, 0o755)
  if (!code.startsWith("#!")) shiftMap(`${file}.map`)
}

/** One more line in front: in a source map each `;` ends a line. */
const shiftMap = (file: string): void => {
  const map = JSON.parse(readFileSync(file, "utf8")) as { mappings: string }
  writeFileSync(file, JSON.stringify({ ...map, mappings: `;${map.mappings}` }))
}

compile()
copyFileSync(join(root, "scripts", "node-version.cjs"), join(dist, "node-version.cjs"))
const command = join(dist, "cli", "main.js")
if (!existsSync(command)) throw new Error("the build stopped: src/cli/main.ts, the published command, is missing")
makeExecutable(command)
