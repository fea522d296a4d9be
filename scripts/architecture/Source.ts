/** Reads TypeScript text as far as the rules need it: imports and comments with their lines. */

export interface File {
  /** From the top of the repository, with `/`. */
  readonly path: string
  readonly text: string
}

export interface Violation {
  readonly path: string
  readonly line: number
  readonly rule: string
  /** What is wrong and what to do. */
  readonly message: string
}

export interface Import {
  readonly specifier: string
  readonly line: number
  /** Gone at run time. An inline `{ type A }` is not: it leaves an import behind. */
  readonly typeOnly: boolean
  /** `import(…)`: loaded when it is called, and not with its module. */
  readonly onCall: boolean
}

export interface Comment {
  readonly line: number
  readonly text: string
}

export interface Source {
  readonly imports: ReadonlyArray<Import>
  readonly comments: ReadonlyArray<Comment>
  /** Lines of `import(…)` whose module is computed. */
  readonly computedImports: ReadonlyArray<number>
}

export const lineAt = (text: string, index: number): number => text.slice(0, index).split("\n").length

const blank = (text: string): string => text.replace(/[^\n]/g, " ")

const pieces =
  /\/\/[^\n]*|\/\*[^]*?\*\/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[`{}]|\/(?:[^\\/[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/\w*/g

const templateText = /(?:[^\\`$]|\\[^]|\$(?!\{))*(?:`|\$\{)/y

/** A slash begins a regular expression where no value can stand before it. */
const startsRegExp = (before: string): boolean =>
  /(?:^|[=(,:[!&|?{};<>+\-*%^~]|\b(?:return|case|typeof|in|of))\s*$/.test(before)

/** The text with comments, template text and regular expressions blanked, strings kept; same length, same lines. */
const split = (text: string): { readonly code: string; readonly comments: ReadonlyArray<Comment> } => {
  const comments: Array<Comment> = []
  // For every open `${`, the depth of braces inside it.
  const depths: Array<number> = []
  let code = ""
  let at = 0

  const keep = (end: number): void => {
    code += text.slice(at, end)
    at = end
  }
  const drop = (end: number): void => {
    code += blank(text.slice(at, end))
    at = end
  }
  const template = (): void => {
    templateText.lastIndex = at + 1
    const found = templateText.exec(text)?.[0]
    drop(found === undefined ? text.length : at + 1 + found.length)
    if (found?.endsWith("${")) depths.push(0)
  }
  const brace = (step: 1 | -1): void => {
    const inside = depths.at(-1)
    if (inside === undefined) return keep(at + 1)
    if (inside + step >= 0) {
      depths[depths.length - 1] = inside + step
      return keep(at + 1)
    }
    depths.pop()
    template()
  }
  const comment = (piece: string): void => {
    comments.push({ line: lineAt(text, at), text: piece })
    drop(at + piece.length)
  }
  const slash = (piece: string): void => {
    if (piece.startsWith("//") || piece.startsWith("/*")) return comment(piece)
    if (startsRegExp(code.slice(-40))) return drop(at + piece.length)
    keep(at + 1)
  }
  const take = (piece: string): void => {
    switch (piece[0]) {
      case "`":
        return template()
      case "{":
        return brace(1)
      case "}":
        return brace(-1)
      case "/":
        return slash(piece)
      default:
        return keep(at + piece.length)
    }
  }

  while (at < text.length) {
    pieces.lastIndex = at
    const match = pieces.exec(text)
    keep(match?.index ?? text.length)
    if (match !== null) take(match[0])
  }
  return { code, comments }
}

const clause = String.raw`(?:\*(?:\s+as\s+\w+)?|\{[^}]*\}|\w+(?:\s*,\s*(?:\{[^}]*\}|\*\s*as\s+\w+))?)`
const statement = new RegExp(String.raw`^[ \t]*(?:import|export)\s+(type\s+)?${clause}\s*from\s*["']([^"']+)["']`, "gm")
const sideEffect = /^[ \t]*import\s*["']([^"']+)["']/gm
const call = /\b(typeof\s+)?import\(\s*(?:["']([^"']+)["'])?/g

export const read = (text: string): Source => {
  const { code, comments } = split(text)
  const imports: Array<Import> = []
  const computedImports: Array<number> = []
  const startOf = (match: RegExpExecArray): number => lineAt(code, match.index + match[0].search(/\S/))
  for (const match of code.matchAll(statement)) {
    imports.push({ specifier: match[2]!, line: startOf(match), typeOnly: match[1] !== undefined, onCall: false })
  }
  for (const match of code.matchAll(sideEffect)) {
    imports.push({ specifier: match[1]!, line: startOf(match), typeOnly: false, onCall: false })
  }
  for (const match of code.matchAll(call)) {
    const specifier = match[2]
    if (specifier === undefined) computedImports.push(startOf(match))
    else imports.push({ specifier, line: startOf(match), typeOnly: match[1] !== undefined, onCall: true })
  }
  return { imports, comments, computedImports }
}
