/** What may be asked for, and what a wrong command line is answered with. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option, Result } from "effect"
import * as ChannelFlags from "../../src/cli/ChannelFlags.ts"
import * as MadePairs from "../../src/cli/demo/MadePairs.ts"
import * as Flags from "../../src/cli/Flags.ts"
import * as Simulate from "../../src/cli/Simulate.ts"
import * as Watch from "../../src/cli/Watch.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { KnownExchange } from "../../src/Exchanges.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import * as CommandLine from "./CommandLine.ts"

describe("flags", () => {
  it("read durations as people write them", () => {
    const millis = (text: string) => Result.map(Flags.readDuration(text), Duration.toMillis)
    for (
      const [text, expected] of [
        ["500ms", 500],
        ["10s", 10_000],
        [" 1.5m ", 90_000],
        ["3min", 180_000],
        ["2 minutes", 120_000],
        ["2 h", 7_200_000],
        ["1d", 86_400_000]
      ] as const
    ) {
      assert.deepStrictEqual(millis(text), Result.succeed(expected), text)
    }
    for (const text of ["", "10", "s", "-5s", "0s", "10 parsecs", "constructor", "1e3s"]) {
      assert.isTrue(Result.isFailure(millis(text)), text)
    }
  })

  it("read channels in any spelling", () => {
    assert.deepStrictEqual(
      Flags.readChannels("book-ticker,BookTicker BOOK_TICKER,trades,Book"),
      Result.succeed(["BookTicker", "BookTicker", "BookTicker", "Trades", "Book"])
    )
    assert.isTrue(Result.isFailure(Flags.readChannels("books")))
    assert.isTrue(Result.isFailure(Flags.readChannels(" , ")))
  })

  it("make as many pairs as are asked for, each once, and let the simulator hold less of each when they are many", () => {
    for (const count of [1, 104, 105, MadePairs.most]) {
      const pairs = MadePairs.make(count)
      assert.strictEqual(new Set(pairs).size, count)
      assert.strictEqual(pairs[0], "BTC/USDT")
    }
    assert.strictEqual(MadePairs.make(105).at(-1), "COIN105/USDT")
    assert.deepStrictEqual([1, 128, 129, 500, 1_000, 9_999].map(Simulate.historyOf), [
      16_384,
      16_384,
      8_192,
      4_096,
      2_048,
      2_048
    ])
  })

  it("read pairs between commas or blanks", () => {
    assert.deepStrictEqual(Flags.readPairs("BTC/USDT, ETH/USDT:USDT"), Result.succeed(["BTC/USDT", "ETH/USDT:USDT"]))
    assert.isTrue(Result.isFailure(Flags.readPairs("BTCUSDT")))
    assert.isTrue(Result.isFailure(Flags.readPairs("*/*")))
  })

  const none: ChannelFlags.Values = {
    interval: Option.none(),
    depth: Option.none(),
    speed: Option.none(),
    source: Option.none(),
    zone: Option.none(),
    price: Option.none()
  }

  it("give each channel what belongs to it", () => {
    assert.deepStrictEqual(
      ChannelFlags.choicesOf(["Book", "Kline", "Trades", "ContractStats"], {
        ...none,
        depth: Option.some(20),
        speed: Option.some("100ms"),
        source: Option.some("limit"),
        interval: Option.some("5m"),
        price: Option.some("mark")
      }),
      Result.succeed([
        { _tag: "Book", depth: 20, speed: "100ms", source: "limit" },
        { _tag: "Kline", interval: "5m", price: "mark" },
        { _tag: "Trades", speed: "100ms" },
        { _tag: "ContractStats", interval: "5m" }
      ])
    )
  })

  it("that belong to no channel asked for, or an interval that one of them lacks, are refused", () => {
    assert.deepStrictEqual(
      ChannelFlags.choicesOf(["Book"], { ...none, zone: Option.some("UTC+8") }),
      Result.fail("--zone belongs to ticker, which is not in --channels")
    )
    const stats = ChannelFlags.choicesOf(["Kline", "ContractStats"], { ...none, interval: Option.some("3m") })
    assert.match(Result.isFailure(stats) ? stats.failure : "", /^--interval 3m: contract-stats has 1m, 5m/)
  })
})

describe("--source", () => {
  const sourced = (id: KnownExchange, pair: TradingPair, channels: Parameters<typeof Watch.sourced>[0]["channels"]) =>
    Watch.sourced({ adapter: Exchanges.get(id), pairs: [pair], channels })

  it("goes to the channels that have such a feed, and to all of them when none has", () => {
    const source = "order_book_update"
    const both = [{ _tag: "BookTicker", source }, { _tag: "Book", source, depth: 20 }, { _tag: "Trades" }] as const
    assert.deepStrictEqual<unknown>(sourced("gate-futures", "BTC/USDT:USDT", both), [
      { _tag: "BookTicker" },
      { _tag: "Book", source, depth: 20 },
      { _tag: "Trades" }
    ])
    const batch = [{ _tag: "Book", source: "batch" }, { _tag: "BookTicker", source: "batch" }] as const
    assert.deepStrictEqual<unknown>(sourced("mexc-spot", "BTC/USDT", batch), [
      { _tag: "Book" },
      { _tag: "BookTicker", source: "batch" }
    ])
    const wrong = [{ _tag: "BookTicker", source: "tape" }, { _tag: "Book", source: "tape" }] as const
    assert.deepStrictEqual<unknown>(sourced("gate-spot", "BTC/USDT", wrong), wrong)
  })
})

describe("a wrong command line", () => {
  /** Arguments, and what stderr must say. */
  const cases: ReadonlyArray<readonly [args: string, part: string]> = [
    ["watch kraken --pairs BTC/USDT --channels book", "kraken"],
    ["watch gate-spot --pairs BTCUSDT --channels book", "\"BTCUSDT\" is none"],
    [
      "watch gate-spot --pairs BTC/USDT:USDT --channels book",
      "Gate spot can have no pair such as BTC/USDT:USDT; write pairs as BTC/USDT"
    ],
    [
      "watch gate-futures --pairs BTC/USDT --channels book",
      "Gate futures can have no pair such as BTC/USDT; write pairs as BTC/USDT:USDT"
    ],
    ["watch gate-spot --pairs */* --channels ticker", "Gate spot offers no channel for every pair at once"],
    ["watch gate-spot --pairs BTC/USDT --channels candles", "\"candles\" is none"],
    ["watch gate-spot --pairs BTC/USDT --channels book --duration 5", "a duration above zero"],
    ["watch gate-spot --pairs BTC/USDT --channels book --format xml", "xml"],
    ["watch gate-spot --pairs BTC/USDT --channels book --ws-url http://x", "ws:// or wss://"],
    ["watch gate-spot --pairs BTC/USDT --channels book --rest-url nonsense", "http:// or https://"],
    ["watch gate-spot --pairs BTC/USDT --channels book --interval 7m", "\"7m\""],
    ["watch gate-spot --pairs BTC/USDT --channels book --depth 0", "a whole number from 1"],
    ["watch gate-spot --pairs BTC/USDT --channels book --speed 5ms", "\"5ms\""],
    ["watch gate-spot --pairs BTC/USDT --channels book --price bid", "\"bid\""],
    ["watch gate-spot --pairs BTC/USDT --channels book --zone UTC+8", "--zone belongs to ticker"],
    ["watch gate-spot --pairs BTC/USDT --channels book --depth 401", "depth 401: obu offers 50 levels every 20ms"],
    ["watch gate-spot --pairs BTC/USDT,ETH/USDT --channels book --source tape", "source tape: offered are obu"],
    ["watch gate-spot --pairs BTC/* --channels book", "\"BTC/*\" is none"],
    ["watch gate-spot --channels book", "pairs"],
    ["watch gate-spot --pairs BTC/USDT", "channels"],
    ["watch gate-spot --pairs BTC/USDT --channels book --colour", "--colour"],
    ["demo --pairs BTC/USDT:USDT", "is not a pair of a spot market"],
    ["demo --pairs 1001", "a number from 1 to 1000"],
    ["demo --pairs 0", "a number from 1 to 1000"],
    ["demo --seed -1", "a whole number"],
    ["demo --rate fast", "rate"],
    ["demo --metrics-port 65536", "from 0 to 65535"],
    ["simulate --fault explode", "the kind \"explode\" is unknown"],
    ["simulate --fault drop,on=kraken", "an exchange out of "],
    ["simulate --limits strict", "strict"],
    ["simulate --rate -1", "0 or more"],
    ["instruments", "exchange-id"],
    ["decode", "exchange-id"],
    ["decode mexc-spot --instruments /nowhere/at/all", "/nowhere/at/all"],
    ["order cancel gate-spot --pair BTC/USDT --order-id 1 --all", "--all excludes --order-id"],
    [
      "order place gate-futures --pair BTC/USDT:USDT --side sell --quantity 1 --stop 1 --take-profit 2",
      "--stop excludes --take-profit"
    ],
    ["watchh", "watch"]
  ]

  for (const [args, part] of cases) {
    it.live(`is refused with 2 on stderr: ${args}`, () =>
      Effect.gen(function*() {
        const { code, stdout, stderr } = yield* CommandLine.run(args.split(" "))
        assert.strictEqual(code, 2)
        assert.include(stderr, part)
        assert.strictEqual(stdout, "")
      }))
  }

  it.live("tells several errors at once, and where to look", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* CommandLine.run(["watch", "gate-spot", "--colour", "--shape"], { color: true })
      assert.strictEqual(code, 2)
      assert.include(stderr, "--colour")
      assert.include(stderr, "--shape")
      assert.include(stderr, "\x1b[31m")
      assert.include(stderr, "Try: exchange watch --help")
    }))
})

describe("help", () => {
  for (const command of ["demo", "watch", "instruments", "decode", "doctor", "simulate"]) {
    it.live(`of ${command} goes to stdout, with examples`, () =>
      Effect.gen(function*() {
        const { code, stdout, stderr } = yield* CommandLine.run([command, "--help"])
        assert.strictEqual(code, 0)
        assert.include(stdout, `exchange ${command}`)
        assert.include(stdout, "EXAMPLES")
        assert.notInclude(stdout, "exit-with-parent")
        assert.strictEqual(stderr, "")
      }))
  }

  it.live("is what the command alone prints", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* CommandLine.run([])
      assert.strictEqual(code, 0)
      assert.include(stdout, "SUBCOMMANDS")
    }))

  it.live("has the version and completions beside it", () =>
    Effect.gen(function*() {
      assert.include((yield* CommandLine.run(["--version"])).stdout, "1.2.3")
      assert.include((yield* CommandLine.run(["--completions", "bash"])).stdout, "watch")
    }))
})
