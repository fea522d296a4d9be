/** `npm run test:paper`, against simulated accounts: what it does with a test net's key, and without one. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Redacted } from "effect"
import { execFile } from "node:child_process"
import { join, resolve } from "node:path"
import * as Paper from "../scripts/paper/Paper.ts"
import * as Instrument from "../src/domain/Instrument.ts"
import type { TradingPair } from "../src/domain/Instrument.ts"
import * as Exchanges from "../src/Exchanges.ts"
import type { KnownExchange } from "../src/Exchanges.ts"
import { MarketRest } from "../src/MarketRest.ts"
import * as OrderEntryTest from "../src/OrderEntryTest.ts"
import * as PrivateWebsocketTest from "../src/PrivateWebsocketTest.ts"
import * as PublicWebsocketTest from "../src/PublicWebsocketTest.ts"
import { demoAccounts } from "../src/SimulatedExchanges.ts"
import * as SimulatedExchanges from "./cli/SimulatedExchanges.ts"

const repository = resolve(import.meta.dirname, "..")

const script = (env: Readonly<Record<string, string>>) =>
  new Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>((done) => {
    const options = { cwd: repository, env: { PATH: process.env["PATH"] ?? "", ...env } }
    execFile(process.execPath, [join("scripts", "paper", "main.ts")], options, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })

describe("npm run test:paper", () => {
  for (
    const [exchange, pair] of [["gate-spot", "BTC/USDT"], ["gate-futures", "BTC/USDT:USDT"]] as ReadonlyArray<
      readonly [KnownExchange, TradingPair]
    >
  ) {
    it.live(`places, finds, amends and cancels on ${exchange}, and leaves nothing open`, () =>
      Effect.gen(function*() {
        const simulator = yield* SimulatedExchanges.start({ accounts: demoAccounts, rate: 5 })
        const { rest, ws } = simulator.urls[exchange]!
        const [key] = demoAccounts[exchange]![0]!.keys
        const credentials = {
          account: "testnet",
          key: Redacted.make(key!.apiKey),
          secret: Redacted.make(key!.secret)
        }
        const lines: Array<string> = []
        yield* Paper.run(pair, (line) => Effect.sync(() => void lines.push(line))).pipe(
          Effect.scoped,
          Effect.provide(Exchanges.layerAccount(exchange, { credentials, url: ws, restUrl: rest }))
        )
        assert.match(
          lines.join("; "),
          /^placed \S+ as \d+; found by both of its ids, and told by the stream; amended; cancelled, and told by the stream$/
        )
        assert.deepStrictEqual(simulator.accounts(exchange)[0]!.orders.map(({ finish }) => finish), ["cancelled"])
      }).pipe(Effect.scoped))
  }

  it.effect("fails at what goes otherwise, and cancels what it has placed", () =>
    Effect.gen(function*() {
      const orders = yield* OrderEntryTest.TestControl
      const pair = "BTC/USDT"
      yield* orders.next(OrderEntryTest.reject({ code: "POOR" }))
      const refused = yield* Effect.exit(Effect.scoped(Paper.run(pair, () => Effect.void)))
      assert.include(Exit.isFailure(refused) ? Cause.pretty(refused.cause) : "", "placing was refused: POOR")
    }).pipe(Effect.provide(Layer.mergeAll(OrderEntryTest.layer(), PrivateWebsocketTest.layer(), market))))

  it("says that it was skipped when there is no key, and fails when there is half of one", async () => {
    const skipped = await script({})
    assert.strictEqual(skipped.code, 0)
    assert.match(skipped.stdout, /^skipped: GATE_TESTNET_API_KEY and GATE_TESTNET_API_SECRET are not set/)
    const half = await script({ GATE_TESTNET_API_KEY: "k" })
    assert.strictEqual(half.code, 1)
    assert.include(half.stderr, "GATE_TESTNET_API_SECRET is not set")
  })
})

const listed = Instrument.spot({
  exchange: "test",
  symbol: "BTC/USDT",
  base: "BTC",
  quote: "USDT",
  priceStep: 0.01,
  quantityStep: 0.0001
})

const market = Layer.succeed(MarketRest, {
  exchange: "test",
  instruments: Effect.succeed([listed]),
  serverTime: Effect.succeed(0),
  turnovers: Effect.succeed(new Map()),
  book: () => Effect.succeed(PublicWebsocketTest.snapshot("BTC/USDT", { bids: [60_000, 1], asks: [60_001, 1] }))
})
