/**
 * Clients run as users run the library: compiled to JavaScript, with the package as it is published. Made anew for each run,
 * and of an older revision too. Floors take single modules of the library instead, which the package keeps inside.
 */
import { spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join, relative, resolve } from "node:path"
import { bundle } from "../Bundle.ts"

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

/** Module by module, without declarations, maps and the checks of types. */
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
  // A package scope ends at node_modules, so the root's does not reach here; by it clients find the package in `dist`.
  const { exports, name } = JSON.parse(readFileSync(join(source, "package.json"), "utf8")) as Record<string, unknown>
  writeFileSync(join(target, "package.json"), JSON.stringify({ name, type: "module", exports }))
  // Some clients name files of packages by their path.
  symlinkSync(join(root, "node_modules"), join(target, "node_modules"))
}

export interface Build {
  /** Where the package's `dist` lies, and `src` and `scripts/bench` compiled. */
  readonly directory: string
  readonly remove: () => void
}

/** What cannot be built leaves nothing behind. */
const building = async (make: (directory: string) => Promise<string>): Promise<Build> => {
  const directory = freshDirectory()
  const remove = (): void => rmSync(directory, { recursive: true, force: true })
  try {
    return { directory: await make(directory), remove }
  } catch (cause) {
    remove()
    throw cause
  }
}

export const current = (): Promise<Build> =>
  building(async (directory) => {
    compile(root, directory)
    await bundle(root, join(directory, "dist"))
    return directory
  })

/** The library of an older revision under the clients of today. */
export const ofRevision = (revision: string): Promise<Build> =>
  building(async (directory) => {
    const source = join(directory, "source")
    // The compiler reads nothing below the directory that it writes to.
    const compiled = join(directory, "compiled")
    mkdirSync(source)
    mkdirSync(compiled)
    run("tar", ["-x", "-C", source], { input: run("git", ["archive", revision, "src", "scripts", "package.json"], {}) })
    const isBundled = existsSync(join(source, "scripts", "Bundle.ts"))
    rmSync(join(source, "scripts"), { recursive: true })
    cpSync(join(root, "scripts", "bench"), join(source, "scripts", "bench"), { recursive: true })
    compile(source, compiled)
    // Published module by module until the package was bundled.
    if (isBundled) await bundle(source, join(compiled, "dist"))
    else symlinkSync(join(compiled, "src"), join(compiled, "dist"))
    return compiled
  })
