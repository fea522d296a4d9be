/**
 * `npm run example -- NAME`: runs a program of `docs/examples` against a simulated exchange, started beside it, or with
 * `--live` against the real ones.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer, Option, Random } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { readdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import type { TradingPair } from "../src/domain/Instrument.ts"
import { demoAccounts } from "../src/SimulatedExchanges.ts"
import * as SimulatedExchanges from "../src/SimulatedExchanges.ts"
import * as Simulator from "../src/simulator/Simulator.ts"

export const folder = resolve(import.meta.dirname, "../docs/examples")

export const names: ReadonlyArray<string> = readdirSync(folder)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -".ts".length))
  .sort()

/** How a program of the folder is run: `effect-exchange` is then the sources of this checkout. */
export const argumentsOf = (name: string): ReadonlyArray<string> => [
  "--conditions=effect-exchange-source",
  join(folder, `${name}.ts`)
]

const keyOfAll = { apiKey: "example-key", secret: "example-secret" }

/** The demo's accounts, all with one key: Gate's spot and futures share theirs. */
const accounts: Simulator.AccountsByExchange = Object.fromEntries(
  Object.entries(demoAccounts).map(([exchange, seeds]) => [
    exchange,
    seeds.map((seed) => ({ ...seed, keys: [keyOfAll] }))
  ])
)

/** What the exchanges trade, and edges between them for those who look for some: one begins every other second. */
export const markets = Effect.gen(function*() {
  const random = yield* Random.withSeed(Effect.service(Random.Random), "examples")
  const spot: ReadonlyArray<TradingPair> = ["BTC/USDT", "ETH/USDT"]
  const edges = Simulator.planEdges(random, {
    markets: spot.map((pair) => ({ exchange: "mexc-spot", pair })),
    withinMillis: 600_000,
    pauseMillis: 3_000,
    durationMillis: [1_000, 3_000],
    premium: [0.006, 0.01]
  })
  return { accounts, edges, pairs: spot }
})

/** Addresses and keys as the programs read them from their configuration. */
export const environment = (urls: Simulator.SimulatorService["urls"]): Readonly<Record<string, string>> => ({
  ...Object.fromEntries(
    Object.entries(urls).flatMap(([id, { rest, ws }]) => {
      const prefix = id.toUpperCase().replaceAll("-", "_")
      return [[`${prefix}_WS_URL`, ws], [`${prefix}_REST_URL`, rest]]
    })
  ),
  ...Object.fromEntries(
    ["MEXC", "GATE"].flatMap((prefix) => [
      [`${prefix}_API_KEY`, keyOfAll.apiKey],
      [`${prefix}_API_SECRET`, keyOfAll.secret]
    ])
  )
})

const run = Effect.fnUntraced(function*(name: string, env: Readonly<Record<string, string>>) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const code = yield* spawner.exitCode(
    ChildProcess.make(process.execPath, argumentsOf(name), {
      env,
      extendEnv: true,
      stdout: "inherit",
      stderr: "inherit"
    })
  )
  process.exitCode = Number(code)
})

const simulated = (name: string) =>
  Effect.gen(function*() {
    const { urls } = yield* Simulator.Simulator
    yield* run(name, environment(urls))
  }).pipe(Effect.provide(Layer.unwrap(Effect.map(markets, SimulatedExchanges.layer))))

/** The first sentence of its comment. */
const about = (name: string): string => {
  const [, comment = ""] = /\/\*\*([^]*?)\*\//.exec(readFileSync(join(folder, `${name}.ts`), "utf8")) ?? []
  return comment.replace(/\s*\n?\s*\*\s?/g, " ").trim().split(/[.:] /)[0]!
}

const list = Console.log(names.map((name) => `${name.padEnd(24)}${about(name)}`).join("\n"))

const command = Command.make("example", {
  name: Argument.Literals("name", names).pipe(
    Argument.withDescription("Which program; all are listed when it is left out"),
    Argument.optional
  ),
  live: Flag.Boolean("live").pipe(
    Flag.withDescription("Against the real exchanges, with the keys of your environment: orders are real"),
    Flag.withDefault(false)
  )
}, ({ live, name }) =>
  Option.match(name, {
    onNone: () => list,
    onSome: (name) => live ? run(name, {}) : simulated(name)
  })).pipe(
    Command.withDescription("Runs a program of docs/examples, against a simulated exchange unless --live is given.")
  )

if (import.meta.main) {
  Command.run(command, { version: "1" }).pipe(
    Effect.provide(NodeServices.layer),
    NodeRuntime.runMain({ disableErrorReporting: true })
  )
}
