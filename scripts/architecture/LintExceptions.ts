/** Every suppressed lint rule is decided: it names one function in the decision file, and nothing there is left over. */
import type { Comment, File, Violation } from "./Source.ts"
import { read } from "./Source.ts"

export const decisionFile = "docs/decisions/0003-lint-exceptions.md"

interface Exception {
  readonly path: string
  /** In the file that states it. */
  readonly line: number
  readonly file: string
  readonly name: string
  readonly rule: string
}

const keyOf = (exception: Exception): string => `${exception.file} ${exception.name} ${exception.rule}`

const declaration = /\b(?:function\*?|const|let|class)\s+(\w+)/
const member = /^\s*(?:(?:static|readonly|async|get|set|override)\s+)*(#?\w+)\s*(?:[:=]|(?:<.*>)?\()/

const nameOn = (line: string): string | undefined => (declaration.exec(line) ?? member.exec(line))?.[1]

const indentOf = (line: string): number => line.search(/\S|$/)

/** The function that a directive is about: declared on the next line, or else the nearest one around it. */
const functionAt = (text: string, line: number): string => {
  const lines = text.split("\n")
  const next = lines[line] ?? ""
  const own = declaration.exec(next)?.[1] ?? (/=>|\{\s*$/.test(next) ? nameOn(next) : undefined)
  if (own !== undefined) return own
  const outer = lines.slice(0, line).findLast((each) =>
    indentOf(each) < indentOf(next) && !/^\s*(?:if|for|while|switch|else|return|\W)/.test(each) &&
    nameOn(each) !== undefined
  )
  return outer === undefined ? "" : nameOn(outer)!
}

const directive = /^\/\/ oxlint-disable-next-line ([\w@/-]+) -- (\S+)$/
const suppression = /oxlint-(?:disable|enable)|@ts-(?:ignore|nocheck)|\b(?:v8|c8|istanbul) ignore|dprint-ignore/

type Reading =
  | { readonly _tag: "None" }
  | { readonly _tag: "Exception"; readonly exception: Exception }
  | { readonly _tag: "Violation"; readonly violation: Violation }

const readComment = (file: File, comment: Comment): Reading => {
  if (!suppression.test(comment.text)) return { _tag: "None" }
  const [, rule, target] = directive.exec(comment.text) ?? []
  if (rule === undefined || target !== decisionFile) {
    const message = "the only suppression is `// oxlint-disable-next-line <rule> -- " + decisionFile + "`; " +
      "mend the code, or write that and add a row there"
    return { _tag: "Violation", violation: { path: file.path, line: comment.line, rule: "lint-exception", message } }
  }
  const name = functionAt(file.text, comment.line)
  return { _tag: "Exception", exception: { path: file.path, line: comment.line, file: file.path, name, rule } }
}

const row = /^\| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \| \S.* \|$/

const decided = (files: ReadonlyArray<File>): ReadonlyArray<Exception> => {
  const text = files.find((file) => file.path === decisionFile)?.text ?? ""
  return text.split("\n").flatMap((line, index) => {
    const [, file, name, rule] = row.exec(line) ?? []
    if (file === undefined || name === undefined || rule === undefined) return []
    return [{ path: decisionFile, line: index + 1, file, name, rule }]
  })
}

const missing = (
  some: ReadonlyArray<Exception>,
  others: ReadonlyArray<Exception>,
  message: (exception: Exception) => string
): ReadonlyArray<Violation> => {
  const known = new Set(others.map(keyOf))
  return some.filter((exception) => !known.has(keyOf(exception))).map((exception) => ({
    path: exception.path,
    line: exception.line,
    rule: "lint-exception",
    message: message(exception)
  }))
}

export const check = (files: ReadonlyArray<File>): ReadonlyArray<Violation> => {
  const code = files.filter((file) => /^(?:src|test|scripts)\/.*\.[cm]?ts$/.test(file.path))
  const readings = code.flatMap((file) => read(file.text).comments.map((comment) => readComment(file, comment)))
  const used = readings.flatMap((reading) => reading._tag === "Exception" ? [reading.exception] : [])
  const rows = decided(files)
  return [
    ...readings.flatMap((reading) => reading._tag === "Violation" ? [reading.violation] : []),
    ...missing(
      used,
      rows,
      ({ file, name, rule }) =>
        `${name} suppresses ${rule} undecided; mend it, or add the row | \`${file}\` | \`${name}\` | \`${rule}\` | why | to ${decisionFile}`
    ),
    ...missing(
      rows,
      used,
      ({ file, name, rule }) => `nothing in ${file} suppresses ${rule} for ${name} any more; delete the row`
    )
  ]
}
