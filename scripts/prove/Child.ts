/** Processes of this repository, run to their end, and test files among them. */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { resolve } from "node:path"

export const root = resolve(import.meta.dirname, "../..")

export interface Line {
  readonly text: string
  /** Since the start, ms. */
  readonly at: number
}

export interface Ended {
  /** Null when a signal ended it. */
  readonly code: number | null
  readonly lines: ReadonlyArray<Line>
  readonly errors: string
  /** ms. */
  readonly took: number
}

/** Calls `take` with every whole line; the last one may lack its end. */
const splitter = (take: (text: string) => void) => {
  let rest = ""
  return {
    write: (chunk: string): void => {
      const parts = (rest + chunk).split("\n")
      rest = parts.pop()!
      for (const part of parts) take(part)
    },
    end: (): void => {
      if (rest !== "") take(rest)
    }
  }
}

interface NodeOptions {
  /** The process is ended when this is true of the lines so far. */
  readonly until?: (lines: ReadonlyArray<Line>) => boolean
  /** What it says on stderr is said here too. */
  readonly isLoud?: boolean
}

/** As `npm start` and the published command run Node. */
export const productFlags = ["--no-allocation-site-pretenuring"]

/** Runs Node in the repository. Interruption kills the process. */
export const node = (
  parameters: ReadonlyArray<string>,
  { isLoud = false, until }: NodeOptions = {}
): Effect.Effect<Ended> =>
  Effect.callback((resume) => {
    const began = performance.now()
    const lines: Array<Line> = []
    let errors = ""
    const child = spawn(process.execPath, parameters, {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"]
    })
    const output = splitter((text) => {
      lines.push({ text, at: performance.now() - began })
      if (until?.(lines) === true) child.kill("SIGKILL")
    })
    child.stdout.setEncoding("utf8").on("data", output.write)
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      errors += chunk
      if (isLoud) process.stderr.write(chunk)
    })
    child.on("error", (error) => resume(Effect.die(error)))
    child.on("close", (code) => {
      output.end()
      resume(Effect.succeed({ code, lines, errors, took: performance.now() - began }))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** One test as `TestReport` tells it. */
export interface Tested {
  readonly file: string
  /** The `describe` around it; empty when there is none. */
  readonly suite: string
  readonly name: string
  readonly state: "passed" | "failed" | "skipped" | "pending"
  /** Why it was skipped, or what failed. */
  readonly note: string
}

export interface TestRun {
  readonly tests: ReadonlyArray<Tested>
  /** Files that could not be loaded, and errors outside any test. */
  readonly broken: ReadonlyArray<string>
  readonly exitCode: number | null
}

const marker = "prove-test-report "

/** Runs test files of this repository in a process of their own. */
export const vitest = (parameters: ReadonlyArray<string>): Effect.Effect<TestRun> =>
  Effect.map(
    node([
      "node_modules/vitest/vitest.mjs",
      "run",
      "--config",
      "test/vitest.config.ts",
      "--reporter",
      "./scripts/prove/TestReport.ts",
      ...parameters
    ]),
    ({ code, errors, lines }) => {
      const line = lines.find(({ text }) => text.startsWith(marker))
      if (line === undefined) return { tests: [], broken: [`no report: ${errors.slice(0, 2_000)}`], exitCode: code }
      return { ...JSON.parse(line.text.slice(marker.length)) as Omit<TestRun, "exitCode">, exitCode: code }
    }
  )

export const reportLine = (run: Omit<TestRun, "exitCode">): string => `${marker}${JSON.stringify(run)}\n`
