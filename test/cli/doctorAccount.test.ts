/** `exchange doctor --account`: what passes on a simulated account, and what does not where something is wrong. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted } from "effect"
import * as AccountExamination from "../../src/cli/doctor/AccountExamination.ts"
import type { Finding } from "../../src/cli/doctor/Finding.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as NodeHashes from "../../src/connection/NodeHashes.ts"
import * as NodeHttp from "../../src/connection/NodeHttp.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import type { KnownExchange } from "../../src/Exchanges.ts"
import * as PrivateWebsocketTest from "../../src/PrivateWebsocketTest.ts"
import { demoAccounts } from "../../src/SimulatedExchanges.ts"
import type { SimulatorOptions, SimulatorService } from "../../src/simulator/Simulator.ts"
import * as CommandLine from "./CommandLine.ts"
import * as SimulatedExchanges from "./SimulatedExchanges.ts"

const { balance, fill, order, position } = PrivateWebsocketTest

const platform = Layer.mergeAll(FrameSocket.layerWs, NodeHttp.layer, NodeHashes.layer)

interface Setup {
  readonly exchange: KnownExchange
  readonly pair?: TradingPair
  readonly key?: { readonly apiKey: string; readonly secret: string }
  readonly simulator?: Partial<SimulatorOptions>
  /** Runs beside the examination. */
  readonly meanwhile?: (simulator: SimulatorService) => Effect.Effect<void>
}

/** With an open order and fills of its own. */
const examined = ({ exchange, key, meanwhile, pair = "BTC/USDT", simulator: options }: Setup) =>
  Effect.gen(function*() {
    const simulator = yield* SimulatedExchanges.start({ accounts: demoAccounts, rate: 5, ...options })
    const owner = simulator.account(exchange, "1001")!
    const own = {
      pair,
      side: "buy",
      type: "limit",
      timeInForce: "gtc",
      quantity: pair.includes(":") ? "3" : "0.01",
      quoteQuantity: null,
      clientOrderId: null,
      reduceOnly: false,
      trigger: null
    } as const
    for (const price of ["20000", "90000"]) owner.place({ ...own, price })
    if (meanwhile !== undefined) yield* Effect.forkScoped(meanwhile(simulator))
    const { rest, ws } = simulator.urls[exchange]!
    const { apiKey, secret } = key ?? demoAccounts[exchange]![0]!.keys[0]!
    return yield* AccountExamination.run({
      adapter: Exchanges.get(exchange),
      urls: { websocket: ws, rest },
      credentials: { account: "doctor", key: Redacted.make(apiKey), secret: Redacted.make(secret) },
      pairs: [pair],
      duration: Duration.millis(300)
    })
  }).pipe(Effect.scoped, Effect.provide(platform))

const failed = (findings: ReadonlyArray<Finding>): ReadonlyArray<string> =>
  findings.flatMap(({ check, evidence, status }) => status === "FAIL" ? [`${check}: ${evidence}`] : [])

const statusOf = (findings: ReadonlyArray<Finding>, name: string) =>
  findings.find(({ check }) => check === name)?.status

describe.concurrent("the account's examination", () => {
  for (
    const [exchange, pair] of [
      ["mexc-spot", "BTC/USDT"],
      ["gate-spot", "BTC/USDT"],
      ["gate-futures", "BTC/USDT:USDT"]
    ] as const
  ) {
    it.live(`passes on ${exchange}, and shows no amount and no id`, () =>
      Effect.gen(function*() {
        const findings = yield* examined({ exchange, pair })
        assert.deepStrictEqual(failed(findings), [])
        const passed = findings.filter(({ status }) => status === "PASS").map(({ check }) => check)
        assert.isAtLeast(passed.length, 10, passed.join(", "))
        const evidence = findings.map((finding) => finding.evidence).join("\n")
        assert.match(evidence, /1 open orders/)
        assert.match(evidence, /[1-9]\d* fills of/)
        assert.notMatch(evidence, /1001|100000|demo-/)
      }))
  }

  it.live("ends at a key that is refused, which is one finding", () =>
    Effect.gen(function*() {
      const key = { apiKey: demoAccounts["gate-spot"]![0]!.keys[0]!.apiKey, secret: "another" }
      const findings = yield* examined({ exchange: "gate-spot", key })
      assert.strictEqual(findings[0]?.status, "FAIL")
      assert.strictEqual(findings[0]?.check, "account key")
      assert.isUndefined(statusOf(findings, "account stream"))
    }))

  it.live("has no order checked with a key that only reads", () =>
    Effect.gen(function*() {
      const key = { apiKey: "reader-of-mexc", secret: "its-secret" }
      const [account] = demoAccounts["mexc-spot"]!
      const accounts = { "mexc-spot": [{ ...account!, keys: [{ ...key, permissions: ["read" as const] }] }] }
      const findings = yield* examined({ exchange: "mexc-spot", key, simulator: { accounts } })
      assert.deepStrictEqual(failed(findings), [])
      assert.strictEqual(statusOf(findings, "order test"), "SKIP")
    }))

  it.live("sees a stream that does not stay", () =>
    Effect.gen(function*() {
      const meanwhile = (simulator: SimulatorService) =>
        Effect.andThen(
          simulator.until(() => simulator.topics("gate-spot").size > 0),
          Effect.asVoid(Effect.orDie(simulator.inject("drop")))
        )
      const findings = yield* examined({ exchange: "gate-spot", meanwhile })
      assert.strictEqual(statusOf(findings, "account stream stays"), "FAIL")
    }))

  it("judges what is read", () => {
    const { balancesVerdict, differing, fillsVerdict, ordersVerdict, positionsVerdict } = AccountExamination
    const half = { available: Decimal.of("0.5"), locked: Decimal.of("0.5") }
    assert.isTrue(balancesVerdict([balance("A", { ...half, total: Decimal.of("1") })]).holds)
    assert.isFalse(balancesVerdict([balance("A", { ...half, total: Decimal.of("1.1") })]).holds)
    assert.isFalse(balancesVerdict([balance("A", { locked: Decimal.of("-1"), total: null })]).holds)
    assert.isTrue(balancesVerdict([balance("A", { ...half, total: Decimal.of("7") })], "swap").holds)
    const open = { size: Decimal.of("1"), entryPrice: Decimal.of("5") }
    assert.isTrue(positionsVerdict([position("A/B:B", open), position("A/B:B")]).holds)
    assert.isFalse(positionsVerdict([position("A/B:B", { ...open, entryPrice: null })]).holds)
    assert.isTrue(ordersVerdict([order("A/B")]).holds)
    assert.isFalse(ordersVerdict([order("A/B", { status: "filled" })]).holds)
    assert.isFalse(ordersVerdict([order("A/B", { pair: null })]).holds)
    const first = fill("A/B", { tradeId: "1", exchangeTime: 1 })
    const second = fill("A/B", { tradeId: "2", exchangeTime: 2 })
    assert.isTrue(fillsVerdict([first, second]).holds)
    assert.isFalse(fillsVerdict([second, first]).holds)
    assert.isFalse(fillsVerdict([first, first]).holds)
    assert.isFalse(fillsVerdict([fill("A/B", { quantity: Decimal.zero })]).holds)
    const told = new Map([["A", balance("A", { total: Decimal.of("1") })]])
    assert.deepStrictEqual(differing(told, [balance("A", { total: Decimal.of("1") })]), [])
    assert.deepStrictEqual(differing(told, [balance("A", { total: Decimal.of("2") }), balance("B")]), ["A", "B"])
  })

  it.live("needs a key where the exchange is real", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* CommandLine.run(["doctor", "mexc-spot", "--live", "--account"])
      assert.strictEqual(code, 2)
      assert.include(stderr, "MEXC_API_KEY")
    }))
})
