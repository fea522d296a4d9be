/**
 * A simulated Gate whose one pair trades so often a second, as a process of its own. The first line on stdout is its
 * addresses; it ends when its standard input is closed.
 */
import { Effect } from "effect"
import { dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"

const [tradeRate, seed] = process.argv.slice(2).map(Number) as [number, number]

const program = Effect.gen(function*() {
  const { urls } = yield* Simulator.make({
    dialects: dialects.filter(({ id }) => id === "gate-spot"),
    pairs: ["BTC/USDT"],
    seed,
    // Trades take what the changes of the book bring.
    rate: 1.1 * tradeRate,
    tradeRate,
    limits: "off",
    // Nobody is to be dropped for being slow: what a client does about it is the question.
    maxBufferedBytes: 2 ** 30
  })
  process.stdout.write(`${JSON.stringify(urls["gate-spot"])}\n`)
  yield* Effect.promise(() => new Promise((resolve) => process.stdin.resume().on("end", resolve)))
})

await Effect.runPromise(Effect.scoped(program))
process.exit(0)
