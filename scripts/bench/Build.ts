/** Clients run as users run the library: compiled to JavaScript. Made anew for each run, and of an older revision too. */
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join, relative, resolve } from "node:path"

export const root = resolve(import.meta.dirname, "..", "..")

const run = (command: string, args: ReadonlyArray<string>, options: { readonly cwd?: string; input?: Buffer }) => {
  const { status, stderr, stdout } = spawnSync(command, args, { maxBuffer: 2 ** 28, cwd: root, ...options })
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${stdout.toString()}${stderr.toString()}`)
  return stdout
}

/** Below `node_modules`, so that packages are found and git sees nothing. */
const freshDirectory = (): string => {
  const cache = join(root, "node_modules", ".cache")
  mkdirSync(cache, { recursive: true })
  return mkdtempSync(join(cache, "bench-"))
}

/** As the package is built (`scripts/build.ts`), without declarations, maps and the checks of types. */
const compile = (source: string, target: string): void => {
  const config = join(target, "tsconfig.json")
  const from = relative(target, source)
  writeFileSync(
    config,
    JSON.stringify({
      extends: relative(target, join(root, "tsconfig.json")),
      compilerOptions: {
        rootDir: from,
        outDir: ".",
        noEmit: false,
        noCheck: true,
        incremental: false,
        tsBuildInfoFile: null,
        rewriteRelativeImportExtensions: true
      },
      include: [`${from}/src`, `${from}/scripts/bench`]
    })
  )
  run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", config], {})
  // A package scope ends at node_modules, so the root's does not reach here.
  writeFileSync(join(target, "package.json"), JSON.stringify({ type: "module" }))
  // Some clients name files of packages by their path.
  symlinkSync(join(root, "node_modules"), join(target, "node_modules"))
}

export interface Build {
  /** Where `src` and `scripts/bench` lie compiled. */
  readonly directory: string
  readonly remove: () => void
}

/** What cannot be built leaves nothing behind. */
const building = (make: (directory: string) => string): Build => {
  const directory = freshDirectory()
  const remove = (): void => rmSync(directory, { recursive: true, force: true })
  try {
    return { directory: make(directory), remove }
  } catch (cause) {
    remove()
    throw cause
  }
}

export const current = (): Build =>
  building((directory) => {
    compile(root, directory)
    return directory
  })

/** The library of an older revision under the clients of today. */
export const ofRevision = (revision: string): Build =>
  building((directory) => {
    const source = join(directory, "source")
    // The compiler reads nothing below the directory that it writes to.
    const compiled = join(directory, "compiled")
    mkdirSync(source)
    mkdirSync(compiled)
    run("tar", ["-x", "-C", source], { input: run("git", ["archive", revision, "src"], {}) })
    cpSync(join(root, "scripts", "bench"), join(source, "scripts", "bench"), { recursive: true })
    compile(source, compiled)
    return compiled
  })
