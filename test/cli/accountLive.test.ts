/** `exchange account`, `order` and `watch` of private channels, over real sockets to simulated accounts. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { demoAccounts } from "../../src/SimulatedExchanges.ts"
import type { SimulatorService } from "../../src/simulator/Simulator.ts"
import * as CommandLine from "./CommandLine.ts"
import * as SimulatedExchanges from "./SimulatedExchanges.ts"

type Json = Readonly<Record<string, unknown>>

const exchanges = ["mexc-spot", "gate-spot", "gate-futures"] as const

const jsonLines = (text: string): ReadonlyArray<Json> =>
  text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Json)

const start = SimulatedExchanges.start({ accounts: demoAccounts, rate: 5 })

const pairOf = (exchange: string) => exchange === "gate-futures" ? "BTC/USDT:USDT" : "BTC/USDT"

/** An order far from the market, in the exchange's unit. */
const resting = (exchange: string): ReadonlyArray<string> => [
  `--pair=${pairOf(exchange)}`,
  "--side=buy",
  `--quantity=${exchange === "gate-futures" ? 2 : "0.0100000009"}`,
  "--price=20000.001"
]

const runner = (simulator: SimulatorService, exchange: string) => {
  const flags = SimulatedExchanges.flags(simulator, exchange)
  return {
    order: (command: string, ...args: ReadonlyArray<string>) =>
      CommandLine.run(["order", command, exchange, ...args, ...flags]),
    start: (...args: ReadonlyArray<string>) => CommandLine.start([...args, ...flags])
  }
}

for (const exchange of exchanges) {
  const pair = pairOf(exchange)

  describe.concurrent(`orders on ${exchange}`, () => {
    it.live("are shown dry, placed, found, listed and cancelled, from one command to the next", () =>
      Effect.scoped(Effect.gen(function*() {
        const simulator = yield* start
        const { order } = runner(simulator, exchange)
        const dry = yield* order("place", ...resting(exchange), "--dry-run")
        assert.strictEqual(dry.code, 0, dry.stderr)
        assert.deepInclude(jsonLines(dry.stdout)[0], { dryRun: true, pair, type: "limit" })
        assert.strictEqual(simulator.accounts(exchange)[0]!.orders.length, 0)
        const placed = yield* order("place", ...resting(exchange), "--client-order-id=mine-1")
        assert.strictEqual(placed.code, 0, placed.stderr)
        const accepted = jsonLines(placed.stdout)[0] as { readonly outcome: string; readonly value: Json }
        assert.strictEqual(accepted.outcome, "Accepted")
        assert.deepInclude(accepted.value, { pair, clientOrderId: "mine-1", status: "new" })
        const again = yield* order("place", ...resting(exchange), "--client-order-id=mine-1")
        assert.strictEqual(again.code, 5, again.stdout)
        const found = yield* order("get", `--pair=${pair}`, "--client-order-id=mine-1")
        assert.deepInclude(jsonLines(found.stdout)[0], { orderId: accepted.value["orderId"] })
        const everything = yield* order("list")
        if (exchange === "mexc-spot") {
          assert.strictEqual(everything.code, 2)
          assert.include(everything.stderr, "--pair is needed")
        } else assert.deepInclude(jsonLines(everything.stdout)[0], { clientOrderId: "mine-1", pair })
        const list = yield* order("list", `--pair=${pair}`, "--format=table")
        assert.match(list.stdout, /^ORDER [^]*mine-1\n$/, JSON.stringify(list))
        if (exchange !== "mexc-spot") {
          const moved = yield* order("amend", `--pair=${pair}`, "--client-order-id=mine-1", "--price=20500")
          assert.strictEqual(moved.code, 0, JSON.stringify(moved))
        }
        const cancelled = yield* order("cancel", `--pair=${pair}`, `--order-id=${accepted.value["orderId"] as string}`)
        assert.strictEqual(cancelled.code, 0, cancelled.stderr)
        assert.strictEqual((yield* order("list", `--pair=${pair}`)).stdout, "")
        const missing = yield* order("get", `--pair=${pair}`, "--client-order-id=nobody")
        assert.strictEqual(missing.code, 3, missing.stdout)
        yield* order("place", ...resting(exchange))
        const all = yield* order("cancel", "--all", `--pair=${pair}`)
        assert.strictEqual(all.code, 0, all.stderr)
        assert.deepStrictEqual(
          simulator.accounts(exchange)[0]!.orders.map(({ finish }) => finish),
          ["cancelled", "cancelled"]
        )
      })))
  })

  describe.concurrent(`the account on ${exchange}`, () => {
    it.live("is watched, as events and as tables", () =>
      Effect.scoped(Effect.gen(function*() {
        const simulator = yield* start
        const { order, start: begin } = runner(simulator, exchange)
        const watching = yield* begin("watch", exchange, `--pairs=${pair}`, "--channels=orders,balances")
        yield* watching.shows("\"asset\":\"USDT\"")
        const table = yield* begin("account", exchange, `--pairs=${pair}`, "--format=table")
        yield* table.shows("authenticated")
        yield* order("place", ...resting(exchange), "--client-order-id=mine-2")
        yield* watching.shows("\"clientOrderId\":\"mine-2\"")
        yield* table.shows("mine-2")
        yield* watching.interrupt
        yield* table.interrupt
        assert.strictEqual((yield* watching.ended).code, 0)
        assert.strictEqual((yield* table.ended).code, 0)
        const events = jsonLines((yield* watching.ended).stdout)
        assert.includeMembers([...new Set(events.map(({ channel }) => channel))], ["Orders", "Balances"])
        for (const event of events) assert.deepInclude(event, { exchange, account: "demo" })
      })))
  })
}

describe.concurrent("an account of one's own", () => {
  it.live("trades by itself when it is simulated, with nothing but the command", () =>
    Effect.scoped(Effect.gen(function*() {
      const running = yield* CommandLine.start(["account", "mexc-spot", "--format=ndjson"])
      yield* running.shows("\"channel\":\"Balances\"")
      yield* running.shows("\"channel\":\"Orders\"")
      yield* running.interrupt
      assert.strictEqual((yield* running.ended).code, 0)
    })))

  it.live("may be silent when nothing happens in it", () =>
    Effect.scoped(Effect.gen(function*() {
      const flags = SimulatedExchanges.flags(yield* start, "gate-futures")
      const args = ["watch", "gate-futures", "--channels=orders", "--duration=4s", ...flags]
      const { code, stdout } = yield* CommandLine.run(args)
      assert.deepStrictEqual([code, stdout], [0, ""])
    })))

  const live = (args: ReadonlyArray<string>, options?: CommandLine.Options) =>
    CommandLine.run(["order", ...args, "--live"], options)

  it.live("is not touched without a key, a terminal and the typed word", () =>
    Effect.scoped(Effect.gen(function*() {
      const simulator = yield* start
      const flags = SimulatedExchanges.flags(simulator, "mexc-spot")
      const { keys: [key] } = demoAccounts["mexc-spot"]![0]!
      const env = { MEXC_API_KEY: key!.apiKey, MEXC_API_SECRET: key!.secret }
      const place = ["place", "mexc-spot", ...resting("mexc-spot"), ...flags]
      const orders = () => simulator.accounts("mexc-spot")[0]!.orders.length
      const piped = yield* live(place, { env, stdin: "mexc-spot\n" })
      assert.strictEqual(piped.code, 2)
      assert.include(piped.stderr, "typed confirmation")
      const refused = yield* live(place, { env, stdin: "no\n", terminal: true })
      assert.strictEqual(refused.code, 1)
      assert.include(refused.stderr, "Type mexc-spot to send it")
      assert.strictEqual(orders(), 0)
      const confirmed = yield* live(place, { env, stdin: "mexc-spot\n", terminal: true })
      assert.strictEqual(confirmed.code, 0, confirmed.stderr)
      assert.strictEqual(orders(), 1)
      const keyless = yield* live(["list", "mexc-spot", "--pair=BTC/USDT", ...flags])
      assert.strictEqual(keyless.code, 2)
      assert.include(keyless.stderr, "MEXC_API_KEY")
      const wrong = yield* live(["list", "mexc-spot", "--pair=BTC/USDT", ...flags], {
        env: { ...env, MEXC_API_SECRET: "another" }
      })
      assert.strictEqual(wrong.code, 4, wrong.stderr)
      assert.notInclude(wrong.stderr + confirmed.stderr, key!.apiKey)
    })))

  it.live("that has no key is told so before anything is asked of the exchange", () =>
    Effect.gen(function*() {
      // Nobody listens there.
      const nowhere = ["--ws-url=ws://127.0.0.1:9", "--rest-url=http://127.0.0.1:9"]
      const place = ["place", "gate-spot", ...resting("gate-spot"), ...nowhere]
      const main = yield* live(place)
      assert.strictEqual(main.code, 2, main.stderr)
      assert.include(main.stderr, "GATE_API_KEY is not set")
      assert.include(main.stderr, "Set GATE_API_KEY and GATE_API_SECRET in the environment")
      const named = yield* live([...place, "--account=hedge"])
      assert.strictEqual(named.code, 2, named.stderr)
      assert.include(named.stderr, "GATE_HEDGE_API_KEY is not set")
    }))

  it.effect("is named by flags that fit together", () =>
    Effect.gen(function*() {
      for (
        const [args, told] of [
          [["order", "list", "gate-spot", "--ws-url=ws://127.0.0.1:1"], "needed together"],
          [["order", "list", "gate-spot", "--testnet", "--live"], "excludes"],
          [["order", "list", "mexc-spot", "--testnet"], "has no test net"],
          [["order", "list", "gate-spot", "--ws-url=ws://example.com", "--rest-url=http://example.com"], "--live"],
          [["order", "list", "gate-spot", "--account=hedge"], "add --live or --testnet"],
          [["account", "gate-spot", "--account=hedge"], "add --live or --testnet"],
          [["order", "cancel", "gate-spot", "--order-id=1"], "--pair is needed"],
          [["order", "cancel", "gate-spot", "--pair=BTC/USDT"], "name the order"],
          [["order", "amend", "gate-spot", "--pair=BTC/USDT", "--order-id=1"], "say what is to change"],
          [["order", "amend", "mexc-spot", "--pair=BTC/USDT", "--order-id=1", "--price=1"], "cannot amend"],
          [["order", "place", "gate-spot", "--pair=BTC/USDT", "--side=buy", "--quantity=-1"], "above 0"],
          [["order", "place", "gate-spot", "--pair=BTC/USDT", "--side=buy"], "--quantity is missing"],
          [["watch", "gate-spot", "--channels=orders,trades"], "watched apart"],
          [["watch", "gate-spot", "--channels=trades"], "--pairs is needed"],
          [["watch", "gate-spot", "--channels=orders", "--depth=5"], "--depth belongs to channels of the market"],
          [["watch", "gate-spot", "--channels=orders"], "GATE_API_KEY is not set"]
        ] as const
      ) {
        const { code, stderr } = yield* CommandLine.run(args)
        assert.strictEqual(code, 2, `${args.join(" ")}: ${stderr}`)
        assert.include(stderr, told)
      }
    }))
})
