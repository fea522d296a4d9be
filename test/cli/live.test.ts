/** The commands that show live data, against a simulator behind real ports. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { inBase } from "../../src/domain/Market.ts"
import type { SimulatorService } from "../../src/simulator/Simulator.ts"
import * as CommandLine from "./CommandLine.ts"
import * as SimulatedExchanges from "./SimulatedExchanges.ts"

type Json = Readonly<Record<string, unknown>>

const jsonLines = (text: string): ReadonlyArray<Json> =>
  text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Json)

const enter = "\x1b[?1049h"
const leave = "\x1b[?7h\x1b[?25h\x1b[?1049l"

describe("instruments", () => {
  it.live("prints what is listed, for people and for programs", () =>
    Effect.scoped(Effect.gen(function*() {
      const simulator = yield* SimulatedExchanges.start()
      for (const exchange of ["mexc-spot", "gate-spot"]) {
        const [, restUrl = ""] = SimulatedExchanges.flags(simulator, exchange)
        const table = yield* CommandLine.run(["instruments", exchange, restUrl])
        assert.strictEqual(table.code, 0)
        assert.match(table.stdout, /^PAIR +SYMBOL +KIND/)
        assert.match(table.stdout, /\nBTC\/USDT +BTC_?USDT +spot +trading +0\.01 +0\.000001 /)
        const ndjson = yield* CommandLine.run([
          "instruments",
          exchange,
          "--format=ndjson",
          "--pairs=ETH/USDT,FOO/BAR",
          restUrl
        ])
        assert.strictEqual(ndjson.code, 0)
        assert.include(ndjson.stderr, "does not list FOO/BAR")
        assert.deepStrictEqual(
          jsonLines(ndjson.stdout).map((
            { pair, priceStep, minQuantity, settle }
          ) => [pair, priceStep, minQuantity, settle]),
          [["ETH/USDT", "0.01", "0.00001", null]]
        )
        const unlisted = yield* CommandLine.run(["instruments", exchange, "--pairs=FOO/BAR", restUrl])
        assert.strictEqual(unlisted.code, 2)
      }
    })))

  it.live("fails when the exchange does not answer, and when it lists nothing", () =>
    Effect.scoped(Effect.gen(function*() {
      const simulator = yield* SimulatedExchanges.start({ faults: ["http-error:403,on=gate-spot"] })
      const [, restUrl = ""] = SimulatedExchanges.flags(simulator, "gate-spot")
      const refused = yield* CommandLine.run(["instruments", "gate-spot", restUrl])
      assert.strictEqual(refused.code, 1)
      assert.include(refused.stderr, "HTTP 403")
      const server = yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const server = createServer((_, response) => response.end("[]"))
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
      )
      const { port } = server.address() as AddressInfo
      const empty = yield* CommandLine.run(["instruments", "gate-spot", `--rest-url=http://127.0.0.1:${port}/`])
      assert.strictEqual(empty.code, 3)
    })))
})

describe("watch", () => {
  it.live("prints events and gaps as lines of JSON", () =>
    Effect.scoped(Effect.gen(function*() {
      const simulator = yield* SimulatedExchanges.start()
      for (const exchange of ["mexc-spot", "gate-spot"]) {
        const running = yield* CommandLine.start(
          [
            "watch",
            exchange,
            "--pairs=BTC/USDT",
            "--channels=book-ticker,trades,book",
            ...SimulatedExchanges.flags(simulator, exchange)
          ]
        )
        yield* running.shows("\"kind\":\"delta\"")
        yield* running.shows("\"_tag\":\"BookTicker\"")
        yield* simulator.inject(`drop,on=${exchange}`)
        yield* running.shows("\"cause\":\"Reconnected\"")
        yield* running.logs("disconnected")
        yield* running.interrupt
        const { code, stdout, stderr } = yield* running.ended
        assert.strictEqual(code, 0)
        const found = jsonLines(stdout)
        for (const line of found) {
          assert.strictEqual(line["exchange"], exchange)
          assert.strictEqual(line["pair"], "BTC/USDT")
        }
        const gap = found.find((line) => "gap" in line)
        assert.deepStrictEqual(Object.keys(gap!["gap"] as object), ["cause", "at", "lost", "from", "to"])
        const snapshot = found.find((line) => line["channel"] === "Book")
        assert.strictEqual(snapshot!["kind"], "snapshot")
        assert.include(stderr, "connected")
      }
    })))

  it.live("prints every channel, with contracts and base units of perpetuals", () =>
    Effect.scoped(Effect.gen(function*() {
      const simulator = yield* SimulatedExchanges.start({ rate: 200 })
      const watch = (exchange: string, pairs: string, channels: string, ...more: ReadonlyArray<string>) =>
        CommandLine.start([
          "watch",
          exchange,
          `--pairs=${pairs}`,
          `--channels=${channels}`,
          "--format=ndjson",
          ...more,
          ...SimulatedExchanges.flags(simulator, exchange)
        ])
      const futures = yield* watch(
        "gate-futures",
        "BTC/USDT:USDT",
        "trades,futures-ticker,kline,book",
        "--interval=5m",
        "--price=mark",
        "--source=order_book",
        "--depth=5"
      )
      const every = yield* watch("mexc-spot", "*/*", "ticker")
      for (const tag of ["Trade", "FuturesTicker", "Kline", "BookUpdate"]) yield* futures.shows(`"_tag":"${tag}"`)
      yield* every.shows("\"pair\":\"ETH/USDT\"")
      yield* Effect.all([futures.interrupt, every.interrupt])
      const lines = jsonLines((yield* futures.ended).stdout)
      const byTag = (tag: string) => lines.find((line) => line["_tag"] === tag)!
      const trade = byTag("Trade")
      assert.strictEqual(
        Number(trade["quantityBase"]),
        inBase({ contractSize: Number(trade["contractSize"]) }, Number(trade["quantity"]))
      )
      assert.property(byTag("FuturesTicker"), "openInterestBase")
      assert.deepStrictEqual([byTag("Kline")["interval"], byTag("Kline")["price"]], ["5m", "mark"])
      const { bids, bidsBase, kind } = byTag("BookUpdate") as Readonly<Record<string, ReadonlyArray<unknown>>>
      assert.deepStrictEqual([kind, bids!.length, bidsBase!.length], ["snapshot", 5, 5])
      const tickers = jsonLines((yield* every.ended).stdout)
      assert.sameMembers([...new Set(tickers.map(({ pair }) => pair))], ["BTC/USDT", "ETH/USDT"])
    })))

  it.live("redraws a table in place and gives the terminal back at q", () =>
    Effect.scoped(Effect.gen(function*() {
      const simulator = yield* SimulatedExchanges.start()
      const running = yield* CommandLine.start(
        [
          "watch",
          "gate-spot",
          "--pairs=BTC/USDT",
          "--channels=book",
          ...SimulatedExchanges.flags(simulator, "gate-spot")
        ],
        { terminal: true, rows: 50 }
      )
      yield* running.shows("synced")
      yield* running.press("x")
      yield* running.press("q")
      const { code, stdout, stderr } = yield* running.ended
      assert.strictEqual(code, 0)
      assert.isTrue(stdout.startsWith(enter))
      assert.isTrue(stdout.endsWith(leave))
      assert.include(stderr, "connection 1: connected")
    })))

  it.live("draws no more rows than there are", () =>
    Effect.scoped(Effect.gen(function*() {
      const simulator = yield* SimulatedExchanges.start()
      const running = yield* CommandLine.start(
        [
          "watch",
          "gate-spot",
          "--pairs=BTC/USDT",
          "--channels=trades",
          ...SimulatedExchanges.flags(simulator, "gate-spot")
        ],
        { terminal: true, rows: 2 }
      )
      yield* running.shows("events")
      yield* running.press("c", { ctrl: true })
      const { code, stdout } = yield* running.ended
      assert.strictEqual(code, 0)
      assert.notInclude(stdout, "PAIR")
    })))

  it.live("prints tables elsewhere when it is told to", () =>
    Effect.scoped(Effect.gen(function*() {
      const simulator = yield* SimulatedExchanges.start()
      const { code, stdout } = yield* CommandLine.run(
        [
          "watch",
          "mexc-spot",
          "--pairs=BTC/USDT",
          "--channels=book,BookTicker",
          "--format=table",
          ...SimulatedExchanges.flags(simulator, "mexc-spot")
        ],
        { readUntil: "synced" }
      )
      assert.strictEqual(code, 0)
      assert.notInclude(stdout, "\x1b")
    })))

  it.live("tells refused pairs and goes on with the others; all refused is an error", () =>
    Effect.scoped(Effect.gen(function*() {
      const simulator = yield* SimulatedExchanges.start()
      const flags = SimulatedExchanges.flags(simulator, "gate-spot")
      const partly = yield* CommandLine.start([
        "watch",
        "gate-spot",
        "--pairs=BTC/USDT,FOO/BAR",
        "--channels=BookTicker",
        ...flags
      ])
      yield* partly.logs("FOO_BAR")
      yield* partly.logs("gate-spot does not list FOO/BAR")
      yield* partly.shows("BTC/USDT")
      yield* partly.interrupt
      assert.strictEqual((yield* partly.ended).code, 0)
      for (const format of ["ndjson", "table"]) {
        for (const [channel, more] of [["BookTicker", flags.slice(0, 1)], ["Book", flags]] as const) {
          const none = yield* CommandLine.run(
            ["watch", "gate-spot", "--pairs=FOO/BAR", `--channels=${channel}`, `--format=${format}`, ...more]
          )
          assert.strictEqual(none.code, 2)
          assert.include(none.stderr, channel === "Book" ? "gate-spot does not list FOO/BAR" : "unknown currency pair")
        }
      }
    })))

  it.live("ends with 3 when nothing came in the time given", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* CommandLine.run([
        "watch",
        "gate-spot",
        "--pairs=BTC/USDT",
        "--channels=trades",
        "--duration=200ms",
        "--ws-url=ws://127.0.0.1:9/"
      ])
      assert.strictEqual(code, 3)
      assert.include(stderr, "cannot connect to ws://127.0.0.1:9/")
      assert.include(stderr, "nothing was received from gate-spot")
    }))

  it.live("ends with 0 when the time is over", () =>
    Effect.scoped(Effect.gen(function*() {
      const simulator = yield* SimulatedExchanges.start()
      const { code, stdout } = yield* CommandLine.run(
        [
          "watch",
          "gate-spot",
          "--pairs=BTC/USDT",
          "--channels=BookTicker",
          "--duration=2s",
          ...SimulatedExchanges.flags(simulator, "gate-spot")
        ]
      )
      assert.strictEqual(code, 0)
      assert.isAbove(jsonLines(stdout).length, 0)
    })))

  it.live("serves metrics and exports telemetry", () =>
    Effect.scoped(Effect.gen(function*() {
      const simulator = yield* SimulatedExchanges.start()
      const paths: Array<string> = []
      const collector = yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const server = createServer((request, response) => {
            paths.push(request.url!)
            response.end("{}")
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = collector.address() as AddressInfo
      const running = yield* CommandLine.start([
        "watch",
        "gate-spot",
        "--pairs=BTC/USDT",
        "--channels=BookTicker",
        "--metrics-port=0",
        `--otlp-url=http://127.0.0.1:${port}`,
        ...SimulatedExchanges.flags(simulator, "gate-spot")
      ])
      yield* running.logs("metrics at http://127.0.0.1:")
      yield* running.shows("BookTicker")
      yield* running.logs("connected")
      yield* running.interrupt
      const { stderr } = yield* running.ended
      assert.include(stderr, "/metrics")
      assert.includeMembers(paths, ["/v1/metrics", "/v1/logs"])
    })))

  it.live("fails when the port for metrics is taken", () =>
    Effect.scoped(Effect.gen(function*() {
      const server = yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const server = createServer()
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = server.address() as AddressInfo
      const { code, stderr } = yield* CommandLine.run(
        [
          "watch",
          "gate-spot",
          "--pairs=BTC/USDT",
          "--channels=book",
          `--metrics-port=${port}`,
          "--ws-url=ws://127.0.0.1:9"
        ]
      )
      assert.strictEqual(code, 1)
      assert.include(stderr, `cannot serve metrics on 127.0.0.1:${port}`)
      assert.include(stderr, "EADDRINUSE")
    })))
})

describe("simulate", () => {
  it.live("says first where it listens, and ends with whoever started it", () =>
    Effect.gen(function*() {
      const { code, stdout, stderr } = yield* CommandLine.run([
        "simulate",
        "--pairs=BTC/USDT",
        "--exit-with-parent",
        "--fault=drop@1s"
      ])
      assert.strictEqual(code, 0)
      const urls = JSON.parse(stdout) as Readonly<Record<string, Json>>
      assert.sameMembers(Object.keys(urls), ["mexc-spot", "gate-spot", "gate-futures"])
      assert.match(String(urls["mexc-spot"]!["ws"]), /^ws:\/\/127\.0\.0\.1:\d+\/mexc-spot\//)
      assert.match(String(urls["gate-spot"]!["rest"]), /^http:\/\/127\.0\.0\.1:\d+\/gate-spot\//)
      assert.include(stderr, "simulating 1 pairs with seed 1")
    }))

  it.live("ends in order when it is interrupted, and fails when its port is taken", () =>
    Effect.scoped(Effect.gen(function*() {
      const running = yield* CommandLine.start(["simulate"])
      yield* running.shows("\n")
      const { ws } = (JSON.parse(running.stdout()) as Readonly<Record<string, { readonly ws: string }>>)["mexc-spot"]!
      const { code, stderr } = yield* CommandLine.run(["simulate", `--port=${new URL(ws).port}`])
      assert.strictEqual(code, 1)
      assert.include(stderr, "is in use")
      yield* running.interrupt
      assert.strictEqual((yield* running.ended).code, 0)
    })))
})

/**
 * A machine under load may take longer to close than the demo waits; it says so then. Left as soon as it has begun, it may have
 * orders open that the exchange has not cancelled in time, and says that.
 */
const endedWell = ({ code, stderr }: CommandLine.Ended): void => {
  if (code === 7) assert.include(stderr, "orders are left, or may be")
  else if (code !== 0) assert.include(stderr, "not everything was closed within")
}

describe("demo", () => {
  const bothSynced = /BTC\/USDT( +[\d.]+){4} +\w>\w -?[\d.]+ +(?:\d+|-) +ok\/ok/

  it.live("redraws both exchanges in place, and sums up when it is left with q", () =>
    Effect.scoped(Effect.gen(function*() {
      const running = yield* CommandLine.start(["demo", "--pairs=BTC/USDT"], { terminal: true, rows: 50 })
      yield* running.shows(bothSynced)
      yield* running.press("q")
      const ended = yield* running.ended
      endedWell(ended)
      const { stdout, stderr } = ended
      assert.isTrue(stdout.startsWith(enter))
      const [pictures = "", summary = ""] = stdout.split(leave)
      assert.match(pictures, bothSynced)
      assert.match(summary, bothSynced)
      assert.include(stderr, "[mexc-spot] connection 1: connected")
    })))

  it.live("prints both tables elsewhere, and a last time when it is interrupted", () =>
    Effect.scoped(Effect.gen(function*() {
      const running = yield* CommandLine.start(["demo", "--pairs=BTC/USDT,ETH/USDT", "--rate=20", "--seed=5"])
      yield* running.shows("ok/ok")
      yield* running.interrupt
      const ended = yield* running.ended
      endedWell(ended)
      const { stdout } = ended
      assert.include(stdout, "simulated, seed 5")
      const last = stdout.slice(stdout.lastIndexOf("EXCHANGE  "))
      assert.match(last, /Gate spot +connected[^]*ACCOUNT[^]*OPEN ORDERS/)
    })))

  it.live("prints one line of JSON at the end of its time", () =>
    Effect.gen(function*() {
      const ended = yield* CommandLine.run(["demo", "--pairs=BTC/USDT,ETH/USDT", "--duration=6s", "--json"])
      endedWell(ended)
      const { stdout } = ended
      const lines = jsonLines(stdout)
      assert.strictEqual(lines.length, 1)
      const [summary] = lines as unknown as readonly [{
        readonly pairsSeen: number
        readonly exchanges: Readonly<
          Record<string, { readonly state: string; readonly updates: number; readonly errors: Json }>
        >
      }]
      assert.strictEqual(summary.pairsSeen, 2)
      for (const { state, updates, errors } of Object.values(summary.exchanges)) {
        assert.strictEqual(state, "connected")
        assert.isAbove(updates, 0)
        assert.deepStrictEqual(errors, {})
      }
    }))

  it.live("ends with 3 when there were no prices in its time", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* CommandLine.run(["demo", "--pairs=BTC/USDT", "--duration=1ms", "--json"])
      assert.strictEqual(code, 3)
      assert.include(stderr, "no pair had a price from every exchange")
    }))

  /** The variables that lead the program for the real exchanges to simulated ones. */
  const environment = (simulator: SimulatorService): Readonly<Record<string, string>> =>
    Object.fromEntries(
      Object.entries(simulator.urls).flatMap(([id, { ws, rest }]) => {
        const prefix = id.toUpperCase().replaceAll("-", "_")
        return [[`${prefix}_WS_URL`, ws], [`${prefix}_REST_URL`, rest]]
      })
    )

  it.live("takes the configured exchanges instead, says that this is not proved, and goes on without refused pairs", () =>
    Effect.scoped(Effect.gen(function*() {
      const simulator = yield* SimulatedExchanges.start()
      const running = yield* CommandLine.start(["demo", "--live", "--pairs=BTC/USDT,FOO/BAR"], {
        env: environment(simulator)
      })
      yield* running.logs("not yet been run live")
      yield* running.logs("FOO_BAR")
      yield* running.shows("ok/ok")
      yield* running.interrupt
      const ended = yield* running.ended
      endedWell(ended)
      const { stdout } = ended
      assert.match(stdout, /MEXC spot, Gate spot and Gate futures {2}LIVE/)
    })))

  it.live("fails when every exchange refuses, and when the configuration is wrong", () =>
    Effect.scoped(Effect.gen(function*() {
      const simulator = yield* SimulatedExchanges.start({ faults: ["reject:BTC/USDT"] })
      const refused = yield* CommandLine.run(["demo", "--live", "--pairs=BTC/USDT", "--json"], {
        env: environment(simulator)
      })
      assert.strictEqual(refused.code, 2)
      assert.strictEqual(refused.stdout, "")
      const wrong = { MEXC_SPOT_BUFFER_SIZE: "many", GATE_SPOT_BUFFER_SIZE: "few", GATE_FUTURES_BUFFER_SIZE: "none" }
      const demo = yield* CommandLine.run(["demo", "--live", "--json"], { env: wrong })
      assert.strictEqual(demo.code, 2)
      const watch = ["watch", "gate-spot", "--pairs=BTC/USDT", "--channels=book"]
      const watched = yield* CommandLine.run(watch, { env: wrong })
      assert.strictEqual(watched.code, 2)
      assert.include(watched.stderr, "configuration")
    })))
})
