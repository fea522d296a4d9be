/** Where files lie, what they are called, and what their text must not name. */
import { posix } from "node:path"
import type { File, Violation } from "./Source.ts"
import { lineAt } from "./Source.ts"

const topLevel = new Set([
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "README.md",
  "LICENSE",
  "CHANGELOG.md",
  "src",
  "test",
  "scripts",
  "docs"
])

const checkTopLevel = ({ path }: File): ReadonlyArray<Violation> => {
  const [first = ""] = path.split("/")
  if (topLevel.has(first) || first.startsWith(".")) return []
  const message = `${first} does not belong at the top of the repository; move it under src, test, scripts or docs`
  return [{ path, line: 1, rule: "top-level", message }]
}

/** Files that another tool or convention names. */
const namedByConvention = new Set([
  "src/index.ts",
  "src/exchanges/index.ts",
  "src/exchanges/dialects.ts",
  "src/cli/main.ts"
])

const checkSourceName = ({ path }: File): ReadonlyArray<Violation> => {
  if (!path.startsWith("src/") || namedByConvention.has(path)) return []
  const folders = path.split("/").slice(1, -1)
  if (
    /^[A-Z][A-Za-z0-9]*\.ts$/.test(posix.basename(path)) && folders.every((folder) => /^[a-z][a-z0-9]*$/.test(folder))
  ) {
    return []
  }
  const message =
    "src holds PascalCase.ts modules in lower-case folders; rename it, or move what is not TypeScript elsewhere"
  return [{ path, line: 1, rule: "file-name", message }]
}

const vagueWord = /^(?:utils?|helpers?|commons?|misc)$/i
const vagueName = /^types?$/i

const isVague = (name: string): boolean =>
  vagueName.test(name) || name.split(/(?=[A-Z])|[-_.]/).some((word) => vagueWord.test(word))

const checkVagueName = ({ path }: File): ReadonlyArray<Violation> => {
  if (!/^(?:src|test|scripts)\//.test(path)) return []
  const stem = posix.basename(path).replace(/\..*$/, "")
  const folders = path.startsWith("src/") ? path.split("/").slice(1, -1) : []
  const vague = [...folders, stem].find(isVague)
  if (vague === undefined) return []
  const message = `"${vague}" says nothing of what is inside; name it after the one thing it is about`
  return [{ path, line: 1, rule: "vague-name", message }]
}

const matches = (file: File, pattern: RegExp, rule: string, message: string): ReadonlyArray<Violation> =>
  Array.from(file.text.matchAll(pattern), (match) => ({
    path: file.path,
    line: lineAt(file.text, match.index),
    rule,
    message
  }))

/** The folder that this repository is checked out in on some machines. */
const machinePath = new RegExp(String.raw`(?<![\w./-])/${"work"}(?=[/\s"'\`)\]]|$)`, "gm")

const checkMachinePath = (file: File): ReadonlyArray<Violation> =>
  matches(file, machinePath, "machine-path", "a path of one machine; write it relative to the repository")

const checkPublicKnowsNothingPrivate = (file: File): ReadonlyArray<Violation> =>
  file.path === "src/PublicWebsocket.ts"
    ? matches(file, /private/gi, "public-private", "the public service must not mention the private one; take it out")
    : []

const rules = [checkTopLevel, checkSourceName, checkVagueName, checkMachinePath, checkPublicKnowsNothingPrivate]

export const check = (files: ReadonlyArray<File>): ReadonlyArray<Violation> =>
  files.flatMap((file) => rules.flatMap((rule) => rule(file)))
