/**
 * Builds `dist`: JavaScript in a few files, declarations of each file of `src`, maps of both, and the executable command.
 * `src` is shipped as well, so that the maps lead to it.
 */
import { spawnSync } from "node:child_process"
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { bundle } from "./Bundle.ts"

const root = resolve(import.meta.dirname, "..")
const dist = join(root, "dist")

const declare = (): void => {
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
        emitDeclarationOnly: true
      },
      include: ["../src"]
    })
  )
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc")
  const { status } = spawnSync(process.execPath, [tsc, "-p", config], { stdio: "inherit" })
  if (status !== 0) throw new Error("the build stopped: tsc found errors, see above")
  rmSync(config)
}

/**
 * The published command: it looks at Node's version first. In CommonJS, because a module's imports are all linked before any
 * of them runs, and an older Node fails at that.
 * V8 is told before anything lives long: docs/connection.md, "V8's pretenuring".
 */
const command = `#!/usr/bin/env node
"use strict"
require("../node-version.cjs")
require("node:v8").setFlagsFromString("--no-allocation-site-pretenuring")
import("./main.js")
`

declare()
await bundle(root, dist)
copyFileSync(join(root, "scripts", "node-version.cjs"), join(dist, "node-version.cjs"))
if (!existsSync(join(dist, "cli", "main.js"))) throw new Error("the build stopped: src/cli/main.ts is missing")
writeFileSync(join(dist, "cli", "exchange.cjs"), command, { mode: 0o755 })
