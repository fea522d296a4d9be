/** Reads Stryker's JSON report: https://github.com/stryker-mutator/mutation-testing-elements (schema of the report). */
import { readFileSync } from "node:fs"

type Status = "Killed" | "Survived" | "NoCoverage" | "Timeout" | "RuntimeError" | "CompileError" | "Ignored" | "Pending"

interface Mutant {
  readonly status: Status
  readonly replacement?: string
  readonly location: {
    readonly start: { readonly line: number; readonly column: number }
    readonly end: { readonly line: number; readonly column: number }
  }
}

interface Json {
  readonly files: Readonly<
    Record<string, { readonly source: string; readonly mutants: ReadonlyArray<Mutant> }>
  >
}

/** A mutant that no test noticed. */
export interface Survivor {
  /** From 1. */
  readonly line: number
  readonly covered: boolean
  readonly was: string
  readonly became: string
}

export interface FileScore {
  readonly file: string
  readonly killed: number
  /** Ended by the clock: the change made an endless loop. Counts as killed. */
  readonly timedOut: number
  readonly survivors: ReadonlyArray<Survivor>
}

const textAt = (source: string, { end, start }: Mutant["location"]): string => {
  const lines = source.split("\n").slice(start.line - 1, end.line)
  lines[lines.length - 1] = lines.at(-1)!.slice(0, end.column - 1)
  lines[0] = lines[0]!.slice(start.column - 1)
  return lines.map((line) => line.trim()).join(" ")
}

const survived = ({ status }: Mutant): boolean => status === "Survived" || status === "NoCoverage"

export const read = (file: string): ReadonlyArray<FileScore> => {
  const { files } = JSON.parse(readFileSync(file, "utf8")) as Json
  return Object.entries(files).map(([path, { mutants, source }]) => ({
    file: path,
    killed: mutants.filter(({ status }) => status === "Killed").length,
    timedOut: mutants.filter(({ status }) => status === "Timeout").length,
    survivors: mutants.filter(survived).map((mutant) => ({
      line: mutant.location.start.line,
      covered: mutant.status === "Survived",
      was: textAt(source, mutant.location),
      became: mutant.replacement ?? ""
    }))
  }))
}

export const found = ({ killed, timedOut }: FileScore): number => killed + timedOut

export const mutantsOf = (score: FileScore): number => found(score) + score.survivors.length

/** Share of the mutants that the tests notice, in percent. */
export const percent = (score: FileScore): number => 100 * found(score) / mutantsOf(score)
