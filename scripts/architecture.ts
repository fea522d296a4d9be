/** Fails when the repository breaks one of its own rules: who imports whom, where files lie, which lint rules may rest. */
import { readdirSync, readFileSync } from "node:fs"
import { join, matchesGlob, resolve } from "node:path"
import * as ImportTable from "./architecture/ImportTable.ts"
import * as Layout from "./architecture/Layout.ts"
import * as LintExceptions from "./architecture/LintExceptions.ts"
import type { File, Violation } from "./architecture/Source.ts"

/** All files of the repository in, all broken rules out. */
export const check = (files: ReadonlyArray<File>): ReadonlyArray<Violation> =>
  [...Layout.check(files), ...ImportTable.check(files), ...LintExceptions.check(files)]
    .toSorted((a, b) => a.path < b.path ? -1 : a.path > b.path ? 1 : a.line - b.line)

/** The files of a checkout, without what `.gitignore` names. */
export const filesOf = (root: string): ReadonlyArray<File> => {
  const ignored = [".git", ...readFileSync(join(root, ".gitignore"), "utf8").split("\n").filter((line) => line !== "")]
  const walk = (folder: string): ReadonlyArray<File> =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => !ignored.some((pattern) => matchesGlob(entry.name, pattern)))
      .flatMap((entry) => {
        const path = folder === "" ? entry.name : `${folder}/${entry.name}`
        if (entry.isDirectory()) return walk(path)
        return entry.isFile() ? [{ path, text: readFileSync(join(root, path), "utf8") }] : []
      })
  return walk("")
}

if (import.meta.main) {
  const violations = check(filesOf(resolve(import.meta.dirname, "..")))
  for (const { path, line, rule, message } of violations) {
    process.stderr.write(`${path}:${line} [${rule}] ${message}\n`)
  }
  if (violations.length > 0) {
    process.stderr.write(`${violations.length} rule(s) of the architecture broken\n`)
    process.exitCode = 1
  }
}
