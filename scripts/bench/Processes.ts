/** Server and clients as processes of their own, bound to a core each where the system can. */
import { Effect, Option, Schema, Stream } from "effect"
import { CliError } from "effect/cli"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { entries } from "./Contestants.ts"
import type { Contestant, Job, Report } from "./Protocol.ts"

export class BenchFailed extends Schema.TaggedError<BenchFailed>()("BenchFailed", { message: Schema.String }) {
  override get [CliError.userMessage](): string {
    return this.message
  }
}

export const serverCore = 0
export const clientCore = 1

/** Whether processes can be bound to a core each. */
export const canPin = Effect.gen(function*() {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  if (availableParallelism() < 2) return false
  const code = yield* spawner.exitCode(ChildProcess.make("taskset", ["-c", String(clientCore), "true"]))
  return Number(code) === 0
}).pipe(Effect.orElseSucceed(() => false))

interface Run {
  readonly core: number
  readonly isPinned: boolean
  readonly args: ReadonlyArray<string>
  readonly stdin: "ignore" | "pipe"
  readonly env?: Readonly<Record<string, string>>
}

export const node = ({ args, core, env = {}, isPinned, stdin }: Run) => {
  const options = { stdin, stderr: "inherit", env, extendEnv: true } as const
  return isPinned
    ? ChildProcess.make("taskset", ["-c", String(core), process.execPath, ...args], options)
    : ChildProcess.make(process.execPath, [...args], options)
}

export interface Certificate {
  readonly cert: string
  readonly key: string
  /** Where the certificate lies, for clients to trust. */
  readonly file: string
}

/** Self-signed, for this machine's loopback; null where there is no `openssl`. */
export const makeCertificate = (name: string): Certificate | null => {
  const file = join(tmpdir(), `${name}.pem`)
  const keyFile = join(tmpdir(), `${name}.key`)
  const { status } = spawnSync("openssl", [
    ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost".split(" "),
    ...["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", keyFile, "-out", file]
  ], { stdio: "ignore" })
  return status === 0 ? { cert: readFileSync(file, "utf8"), key: readFileSync(keyFile, "utf8"), file } : null
}

export interface Ports {
  readonly port: number
  readonly tlsPort: number | null
}

/** Starts the server of the frames; its ports. */
export const startServer = Effect.fnUntraced(function*(isPinned: boolean, certificate: Certificate | null) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const file = join(import.meta.dirname, "Server.ts")
  const pair = certificate === null ? [] : [certificate.cert, certificate.key]
  const server = yield* spawner.spawn(node({ core: serverCore, isPinned, args: [file, ...pair], stdin: "pipe" }))
  const line = yield* server.stdout.pipe(Stream.decodeText, Stream.splitLines, Stream.runHead)
  return JSON.parse(Option.getOrThrow(line)) as Ports
})

export interface Setup extends Ports {
  readonly isPinned: boolean
  readonly certificate: Certificate | null
  /** Clients of the code at hand: compiled, or the sources, whose types Node strips. */
  readonly build: string
  readonly extension: "js" | "ts"
  /** Compiled clients of the revision that it is compared with. */
  readonly before: string | null
}

/** Of one contestant, ms: more than twice the minute that it waits for events. */
export const longestRun = 150_000

/** Runs one contestant once. */
export const runClient = Effect.fnUntraced(function*(setup: Setup, job: Job, module?: string) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const isBefore = job.contestant === "before"
  const name = `${module ?? entries[job.contestant].module}.${isBefore ? "js" : setup.extension}`
  const file = join(isBefore ? setup.before! : setup.build, "scripts", "bench", "clients", name)
  // Of sources, the package is the sources too.
  const conditions = name.endsWith(".ts") ? ["--conditions=effect-exchange-source"] : []
  const gc = job.mode === "flood" || job.mode === "paced" ? [] : ["--expose-gc"]
  const args = [...conditions, ...gc, file, JSON.stringify(job)]
  const env = setup.certificate === null ? {} : { NODE_EXTRA_CA_CERTS: setup.certificate.file }
  const { isPinned } = setup
  const output = yield* spawner.string(node({ core: clientCore, isPinned, args, stdin: "ignore", env }))
  return yield* reportOf(output, job.caseId, job.contestant)
})

export const reportOf = (output: string, id: string, contestant: Contestant) =>
  Effect.try({
    try: () => JSON.parse(output) as Report,
    catch: () => new BenchFailed({ message: `${id} ${contestant} ended without a report; see above` })
  })
