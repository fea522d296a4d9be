/**
 * `npm run test:paper`: an order's life on Gate's test net, when GATE_TESTNET_API_KEY and GATE_TESTNET_API_SECRET are in
 * the environment. A name of its own, so that the key of a real account never goes there by mistake.
 */
import { Cause, Console, Effect, Exit } from "effect"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import type { KnownExchange } from "../../src/Exchanges.ts"
import * as Paper from "./Paper.ts"

const exchanges: Readonly<Partial<Record<KnownExchange, TradingPair>>> = {
  "gate-spot": "BTC/USDT",
  "gate-futures": "BTC/USDT:USDT"
}

const account = "testnet"

const one = (id: KnownExchange, pair: TradingPair) =>
  Paper.run(pair, (line) => Console.log(`${id}: ${line}`)).pipe(
    Effect.scoped,
    Effect.provide(
      Exchanges.layerAccountConfig(id, { account, environment: "testnet" })
    ),
    Effect.tapError((error) => Console.error(`${id}: ${error.message}`))
  )

const asked = process.argv.slice(2)

const program = Effect.gen(function*() {
  const names = ["GATE_TESTNET_API_KEY", "GATE_TESTNET_API_SECRET"]
  const missing = names.filter((name) => (process.env[name] ?? "") === "")
  if (missing.length === names.length) {
    return yield* Console.log(`skipped: ${names.join(" and ")} are not set; nothing was sent`)
  }
  if (missing.length > 0) return yield* Effect.fail(new Paper.Unexpected(`${missing.join(" and ")} is not set`))
  const chosen = Object.entries(exchanges).filter(([id]) => asked.length === 0 || asked.includes(id))
  yield* Effect.forEach(chosen, ([id, pair]) => one(id as KnownExchange, pair))
  yield* Console.log(`passed: ${chosen.map(([id]) => id).join(", ")}`)
})

const exit = await Effect.runPromiseExit(program)
if (Exit.isFailure(exit)) {
  console.error(`failed: ${Cause.pretty(exit.cause).split("\n")[0]}`)
  process.exitCode = 1
}
