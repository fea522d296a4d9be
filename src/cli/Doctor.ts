/** `exchange doctor`: whether an exchange still behaves as this library expects, with evidence. */
import { Clock, Duration, Effect, FileSystem, Layer, Option } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Command, Flag, TerminalCapabilities } from "effect/cli"
import type { Credentials } from "../connection/Auth.ts"
import * as FrameSocket from "../connection/FrameSocket.ts"
import * as NodeHashes from "../connection/NodeHashes.ts"
import * as NodeHttp from "../connection/NodeHttp.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import { partsOf } from "../domain/Instrument.ts"
import type { Addresses, ExchangeAdapter } from "../ExchangeAdapter.ts"
import * as ExchangeFactory from "../ExchangeFactory.ts"
import * as Exchanges from "../Exchanges.ts"
import { demoAccounts, dialects } from "../SimulatedExchanges.ts"
import type { Fault } from "../simulator/Faults.ts"
import * as Simulator from "../simulator/Simulator.ts"
import * as AccountSource from "./account/AccountSource.ts"
import * as AccountExamination from "./doctor/AccountExamination.ts"
import * as Captures from "./doctor/Captures.ts"
import * as Examination from "./doctor/Examination.ts"
import type { Finding, Status } from "./doctor/Finding.ts"
import { excerpt } from "./doctor/FrameReader.ts"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Simulate from "./Simulate.ts"
import * as Stdout from "./Stdout.ts"
import * as Style from "./Style.ts"

type Source = "simulator" | "live" | "testnet" | "url"

interface Target {
  readonly source: Source
  readonly urls: Addresses
}

const defaultDurations: Readonly<Record<Source, Duration.Duration>> = {
  simulator: Duration.seconds(10),
  live: Duration.seconds(45),
  testnet: Duration.seconds(45),
  url: Duration.seconds(45)
}

interface Asked {
  readonly adapter: ExchangeAdapter
  readonly live: boolean
  readonly testnet: boolean
  readonly pairs: Option.Option<NonEmptyReadonlyArray<TradingPair>>
  readonly faults: ReadonlyArray<Fault>
  readonly seed: number
  readonly wsUrl: Option.Option<string>
  readonly restUrl: Option.Option<string>
  /** Whether the account is examined too. */
  readonly account: boolean
}

/** Which pairs the simulator has to have; it names them without the settling asset. */
const simulatedPairs = (pairs: NonEmptyReadonlyArray<TradingPair>): ReadonlyArray<TradingPair> => [
  ...new Set(pairs.map((pair): TradingPair => {
    const { base, quote } = partsOf(pair)
    return `${base}/${quote}`
  }))
]

const simulated = ({ adapter, faults, pairs, seed }: Asked): Effect.Effect<
  Target,
  Failure.CommandFailed,
  Scope.Scope
> =>
  Simulator.make({
    dialects,
    faults,
    seed,
    accounts: demoAccounts,
    pairs: Option.getOrUndefined(Option.map(pairs, simulatedPairs))
  }).pipe(
    Effect.mapError((error) => Failure.failed(error.message)),
    Effect.map(({ urls }) => {
      const { rest, ws } = urls[adapter.id]!
      return { source: "simulator", urls: { websocket: ws, rest } }
    })
  )

/** Whether the flags fit together; the failure says what does not. */
const conflictOf = ({ faults, live, restUrl, testnet, wsUrl }: Asked): string | null => {
  const given = [live, testnet, Option.isSome(wsUrl)].filter((isGiven) => isGiven).length
  if (given > 1) return "--live, --testnet and --ws-url exclude each other"
  if (Option.isSome(wsUrl) !== Option.isSome(restUrl)) return "--ws-url and --rest-url are needed together"
  return faults.length > 0 && given > 0 ? "--fault needs the simulator: leave the address out" : null
}

const targetOf = (asked: Asked): Effect.Effect<Target, Failure.CommandFailed, Scope.Scope> => {
  const { adapter, live, restUrl, testnet, wsUrl } = asked
  if (Option.isSome(wsUrl) && Option.isSome(restUrl)) {
    return Effect.succeed({ source: "url", urls: { websocket: wsUrl.value, rest: restUrl.value } })
  }
  if (live) return Effect.succeed({ source: "live", urls: adapter.urls })
  if (!testnet) return simulated(asked)
  const { testnet: urls } = adapter.urls
  return urls === undefined
    ? Effect.fail(Failure.usage(`${adapter.name} has no test net`))
    : Effect.succeed({ source: "testnet", urls })
}

// ---- the account ----------------------------------------------------------------------------------------------------

/** The simulator's own account, or that of the environment. Asked for first: without a key nothing is examined. */
const credentialsOf = (
  { adapter, wsUrl }: Asked,
  { source }: Target
): Effect.Effect<Credentials, Failure.CommandFailed> =>
  source === "simulator" || Option.exists(wsUrl, AccountSource.isHere)
    ? Effect.succeed(AccountSource.demoCredentials(adapter.id as Exchanges.KnownExchange))
    : Effect.mapError(
      ExchangeFactory.credentials(adapter),
      (error) => Failure.configuration(error, "; --account examines the account of this key")
    )

/** How long an account's stream is watched. */
const accountSeconds: Readonly<Record<Source, number>> = { simulator: 2, live: 15, testnet: 15, url: 5 }

const accountFindings = (
  adapter: ExchangeAdapter,
  { source, urls }: Target,
  credentials: Credentials | null,
  pairs: ReadonlyArray<TradingPair>
): Effect.Effect<ReadonlyArray<Finding>> =>
  credentials === null ? Effect.succeed([]) : AccountExamination.run({
    adapter,
    urls,
    credentials,
    pairs,
    duration: Duration.seconds(accountSeconds[source])
  }).pipe(Effect.provide(Layer.merge(platform, NodeHashes.layer)))

const platform = Layer.merge(FrameSocket.layerWs, NodeHttp.layer)

// ---- report ---------------------------------------------------------------------------------------------------------

interface Report extends Examination.Examined {
  readonly adapter: ExchangeAdapter
  readonly target: Target
  /** ms. */
  readonly took: number
  readonly captures: {
    readonly directory: string
    readonly files: ReadonlyArray<string>
    /** Why they could not be saved. */
    readonly error: string | null
  }
}

const count = ({ findings }: Report, status: Status): number =>
  findings.filter((finding) => finding.status === status).length

const json = (report: Report): string => {
  const { adapter, captures, findings, frames, pairs, target, took } = report
  return JSON.stringify({
    exchange: adapter.id,
    source: target.source,
    urls: { websocket: target.urls.websocket, rest: target.urls.rest },
    pairs,
    frames,
    tookMs: Math.round(took),
    passed: count(report, "PASS"),
    failed: count(report, "FAIL"),
    skipped: count(report, "SKIP"),
    captures,
    findings: findings.map(({ check, evidence, frame, status }) => ({
      check,
      status,
      evidence,
      frame: frame === undefined ? null : excerpt(frame)
    }))
  })
}

const colours: Readonly<Record<Status, (style: Style.Style) => (text: string) => string>> = {
  PASS: ({ green }) => green,
  FAIL: ({ red }) => red,
  SKIP: ({ yellow }) => yellow
}

const lines = (finding: Finding, width: number, style: Style.Style): ReadonlyArray<string> => {
  const { check, evidence, frame, status } = finding
  return [
    `${colours[status](style)(status)}  ${check.padEnd(width)}  ${evidence}`,
    ...frame === undefined || status !== "FAIL" ? [] : [`      ${style.dim(excerpt(frame))}`]
  ]
}

const text = (report: Report, style: Style.Style): string => {
  const { adapter, captures, findings, frames, pairs, target, took } = report
  const width = Math.max(...findings.map(({ check }) => check.length))
  return [
    `${style.bold(adapter.name)} (${adapter.id}) against ${
      target.source === "simulator" ? "the simulator" : target.urls.websocket
    }: ${pairs.join(", ")}; ${frames} frames in ${Style.fixed(took / 1000, 1)} s`,
    ...findings.flatMap((finding) => lines(finding, width, style)),
    `${count(report, "PASS")} passed, ${count(report, "FAIL")} failed, ${count(report, "SKIP")} skipped; ` +
    `captures: ${captures.error === null ? captures.directory : `not saved: ${captures.error}`}`,
    ""
  ].join("\n")
}

// ---- the command ----------------------------------------------------------------------------------------------------

/** Where the captures go; made before anything else, so that no examination is lost for a directory. */
const directoryOf = Effect.fnUntraced(function*(captures: Option.Option<string>) {
  if (Option.isNone(captures)) {
    const fileSystem = yield* FileSystem.FileSystem
    return yield* Effect.mapError(
      fileSystem.makeTempDirectory({ prefix: "exchange-doctor-" }),
      (error) => Failure.failed(`cannot make a directory for the captures: ${error.message}`)
    )
  }
  const directory = captures.value
  yield* Effect.mapError(
    Captures.makeDirectory(directory),
    (error) => Failure.usage(`cannot save captures in ${directory}: ${error.message}`)
  )
  return directory
})

/** Never fails: the findings are worth more than the captures. */
const saveCaptures = (
  adapter: ExchangeAdapter,
  url: string,
  { findings, instrumentOf, samples }: Examination.Examined,
  directory: string
): Effect.Effect<Report["captures"], never, FileSystem.FileSystem> =>
  Effect.match(Captures.write({ adapter, instrumentOf, url }, samples.of(findings), directory), {
    onSuccess: (files) => ({ directory, files, error: null }),
    onFailure: ({ message }) => ({ directory, files: [], error: message })
  })

const examine = Effect.fnUntraced(function*(
  asked: Asked,
  duration: Option.Option<Duration.Duration>,
  captures: Option.Option<string>
) {
  const { adapter, pairs } = asked
  const clock = yield* Clock.Clock
  const target = yield* targetOf(asked)
  const credentials = asked.account ? yield* credentialsOf(asked, target) : null
  const directory = yield* directoryOf(captures)
  if (target.source === "live" || target.source === "testnet") {
    yield* Effect.logWarning(`--${target.source}: proved against the simulator, not yet run against ${adapter.name}`)
  }
  const begun = clock.currentTimeMillisUnsafe()
  const examined = yield* Examination.run({
    adapter,
    urls: target.urls,
    pairs: Option.getOrUndefined(pairs),
    duration: Option.getOrElse(duration, () => defaultDurations[target.source])
  }).pipe(Effect.mapError((error) => Failure.nothing(error.message)))
  const own = yield* accountFindings(adapter, target, credentials, examined.pairs)
  const took = clock.currentTimeMillisUnsafe() - begun
  const saved = yield* saveCaptures(adapter, target.urls.websocket, examined, directory)
  return { ...examined, findings: [...examined.findings, ...own], adapter, target, took, captures: saved }
}, Effect.scoped)

export const command = Command.make(
  "doctor",
  {
    exchange: Flags.exchangeId,
    live: Flag.Boolean("live").pipe(
      Flag.withDescription("Examine the real exchange instead of the simulator"),
      Flag.withDefault(false)
    ),
    testnet: Flag.Boolean("testnet").pipe(
      Flag.withDescription("Examine the exchange's test net, where it has one"),
      Flag.withDefault(false)
    ),
    account: Flag.Boolean("account").pipe(
      Flag.withDescription(
        "Examine the account too: it reads, and where it can has an order checked that is not placed"
      ),
      Flag.withDefault(false)
    ),
    wsUrl: Flags.wsUrl,
    restUrl: Flags.restUrl,
    pairs: Flags.optionalPairs.pipe(
      Flag.withDescription("Pairs, separated by commas: BTC/USDT,ETH/USDT (default: BTC, ETH and SOL against USDT)")
    ),
    duration: Flag.String("duration").pipe(
      Flag.withMetavar("TIME"),
      Flag.withDescription("How long data is watched: 10s, \"2 minutes\". Default: 10s of the simulator, else 45s"),
      Flags.readAs("duration", Flags.readDuration),
      Flag.optional
    ),
    captures: Flag.String("captures").pipe(
      Flag.withMetavar("DIR"),
      Flag.withDescription("Where raw frames are saved; default: a directory for temporary files, which is printed"),
      Flag.optional
    ),
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("Print one line of JSON instead of text"),
      Flag.withDefault(false)
    ),
    seed: Flags.seed,
    faults: Simulate.faults
  },
  Effect.fnUntraced(function*(options) {
    const asked: Asked = { ...options, adapter: Exchanges.get(options.exchange) }
    const conflict = conflictOf(asked)
    if (conflict !== null) return yield* Failure.usage(conflict)
    const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
    const report = yield* Effect.provide(examine(asked, options.duration, options.captures), platform)
    yield* Stdout.print(options.json ? `${json(report)}\n` : text(report, Style.of(canColor)))
    const failed = count(report, "FAIL")
    const { error } = report.captures
    const problems = [
      ...failed > 0 ? [`${failed} of ${report.findings.length} checks failed`] : [],
      ...error === null ? [] : [`cannot save the captures: ${error}`]
    ]
    if (problems.length > 0) return yield* Failure.failed(problems.join("; "))
  }, Effect.interruptible)
).pipe(
  Command.withDescription(
    "Examine an exchange: connect, subscribe every channel, and check answers, fields, units, sequences, limits, books and " +
      "the clock against what this library expects. Prints PASS, FAIL or SKIP with evidence and saves raw frames. Without " +
      "--live or --testnet it examines the embedded simulator."
  ),
  Command.withShortDescription("Check whether an exchange behaves as expected"),
  Command.withExamples([
    { command: "exchange doctor gate-spot", description: "Against the simulator" },
    {
      command: "exchange doctor mexc-spot --live --captures captures --json",
      description: "The real exchange, for cron"
    },
    { command: "exchange doctor gate-spot --testnet --duration \"2 minutes\"", description: "The test net" },
    { command: "exchange doctor gate-spot --fault gap:5%", description: "See a check fail" },
    {
      command: "exchange doctor mexc-spot --live --account",
      description: "Your account too; its key comes from the environment"
    }
  ])
)
