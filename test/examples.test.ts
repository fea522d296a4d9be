/** The programs of `docs/examples` run to their end against the simulator and print what they should. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { argumentsOf, environment, markets, names } from "../scripts/example.ts"
import * as SimulatedExchanges from "../src/SimulatedExchanges.ts"
import * as Simulator from "../src/simulator/Simulator.ts"

const expected: Readonly<Record<string, RegExp>> = {
  arbitrage:
    /^(?:(?:Completed|Compensated|Nothing): (?:BTC|ETH)\S* \S+ > \S+, -?[\d.]+ USDT\n){3}0 orders under way, 0 left open\n$/,
  "basis-watcher": /^(?:basis -?[\d.]+ bp, funding -?[\d.]+ bp\n){3}$/,
  "plain-promises": /^[\d.]+ \/ [\d.]+ from the book\n.*ETH\/USDT is not followed: call add first\n$/,
  "replay-a-recording": /^50 events, 50 of them the same again\n$/,
  "stream-a-book": /^(?:[\d.]+ \/ [\d.]+  spread [\d.]+\n){5}$/,
  "swap-a-test-layer": /^the test Layer: a trade, gap: Reconnected\nthe exchange: a trade, a trade\n$/,
  "trade-on-one-exchange":
    /^place: accepted\namend: accepted\ncancel: accepted\n(?:filled: sell [\d.]+ at [\d.]+\n|sell: accepted\n){2,}$/,
  "two-exchanges": /^(?:MEXC [\d.]+ \/ [\d.]+  Gate [\d.]+ \/ [\d.]+\n){3}$/
}

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const run = (name: string, env: Readonly<Record<string, string>>): Promise<Outcome> =>
  new Promise((done) => {
    const options = { env: { ...process.env, NO_COLOR: "1", ...env }, timeout: 25_000 }
    execFile(process.execPath, argumentsOf(name), options, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : typeof error.code === "number" ? error.code : 1, stdout, stderr })
    })
  })

describe.concurrent("docs/examples", () => {
  it("each has its expected output here, and the README names it", () => {
    assert.deepStrictEqual(names, Object.keys(expected).sort())
    const readme = readFileSync(resolve(import.meta.dirname, "../README.md"), "utf8")
    for (const name of names) assert.include(readme, `docs/examples/${name}.ts`)
  })

  for (const name of names) {
    it.live(name, () =>
      Effect.gen(function*() {
        const { urls } = yield* Simulator.Simulator
        const { code, stderr, stdout } = yield* Effect.promise(() => run(name, environment(urls)))
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0, stdout)
        assert.match(stdout, expected[name]!)
      }).pipe(
        Effect.provide(Layer.unwrap(Effect.map(markets, SimulatedExchanges.layer))),
        Effect.orDie
      ))
  }
})
