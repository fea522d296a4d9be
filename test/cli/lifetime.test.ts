/** How commands begin and end: signals, limits, output that fails, logs that wait. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Console, Deferred, Duration, Effect, Exit, Fiber, Layer, Option, Sink, Stdio, Stream } from "effect"
import { CliError } from "effect/cli"
import * as PlatformError from "effect/PlatformError"
import { TestClock, TestConsole } from "effect/testing"
import { connect } from "node:net"
import * as Failure from "../../src/cli/Failure.ts"
import * as Lifetime from "../../src/cli/Lifetime.ts"
import * as Logging from "../../src/cli/Logging.ts"
import * as Refusal from "../../src/cli/Refusal.ts"
import * as SimulatorProcess from "../../src/cli/SimulatorProcess.ts"
import * as StatusLog from "../../src/cli/StatusLog.ts"
import * as Stdout from "../../src/cli/Stdout.ts"
import type { PublicTag } from "../../src/domain/Channel.ts"
import type { ConnectionStatus } from "../../src/domain/Feed.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"

describe("Lifetime", () => {
  it.effect("ends with the body, with the duration, or with a signal", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Lifetime.run(Effect.void), "Finished")
      assert.deepStrictEqual(
        yield* Effect.exit(Lifetime.run(Effect.fail(Failure.usage("no")))),
        Exit.fail(Failure.usage("no"))
      )
      const ready = yield* Deferred.make<void>()
      const elapsing = yield* Effect.forkChild(
        Lifetime.run(Effect.never, { duration: Option.some(Duration.seconds(5)), begins: Deferred.await(ready) })
      )
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(elapsing.pollUnsafe())
      yield* Deferred.succeed(ready, undefined)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(elapsing), "Elapsed")
    }))

  it.effect("closes what the body holds before it goes on, and does what follows after a signal", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const started = yield* Deferred.make<void>()
      const body = Effect.acquireRelease(
        Deferred.succeed(started, undefined),
        () => Effect.sync(() => void events.push("closed"))
      ).pipe(Effect.andThen(Effect.never), Effect.scoped)
      const done = yield* Deferred.make<void>()
      const fiber = yield* Lifetime.run(body).pipe(
        Effect.flatMap((end) => Effect.sync(() => void events.push(end))),
        Effect.ensuring(Deferred.succeed(done, undefined)),
        Effect.uninterruptible,
        Effect.forkChild
      )
      yield* Deferred.await(started)
      fiber.interruptUnsafe()
      yield* Deferred.await(done)
      assert.deepStrictEqual(events, ["closed", "Stopped"])
    }))

  it.effect("does not wait for ever for what cannot be closed", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const body = Effect.acquireRelease(Deferred.succeed(started, undefined), () => Effect.never).pipe(
        Effect.andThen(Effect.never),
        Effect.scoped
      )
      const fiber = yield* Effect.forkChild(
        Effect.exit(Lifetime.run(body, { duration: Option.some(Duration.seconds(1)) }))
      )
      yield* Deferred.await(started)
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(
        yield* Fiber.join(fiber),
        Exit.fail(Failure.failed("not everything was closed within 3 s"))
      )
    }))
})

describe("exit codes", () => {
  it("tell success, failures and interruption apart", () => {
    const help = (errors: ReadonlyArray<CliError.NonShowHelpErrors>) =>
      new CliError.ShowHelp({ commandPath: ["exchange"], errors })
    const codes = [
      Exit.void,
      Exit.fail(Failure.failed("")),
      Exit.fail(Failure.usage("")),
      Exit.fail(Failure.nothing("")),
      Exit.fail(help([])),
      Exit.fail(help([new CliError.MissingOption({ option: "pairs" })])),
      Exit.die("defect"),
      Exit.failCause(Cause.interrupt())
    ].map(Failure.exitCode)
    assert.deepStrictEqual(codes, [0, 1, 2, 3, 0, 2, 1, 130])
  })

  it("of a refusal depend on its reason", () => {
    const kind = (reason: ExchangeError.Reason) => Refusal.failure(ExchangeError.make("x", reason)).kind
    const rejected = (answer: ExchangeError.AnswerClass) =>
      new ExchangeError.SubscriptionRejected({ topic: "t", code: "1", detail: "", class: answer })
    assert.deepStrictEqual(
      [
        kind(new ExchangeError.UnknownPair({ symbol: "X", detail: "" })),
        kind(new ExchangeError.UnsupportedChannel({ detail: "" })),
        kind(rejected("item")),
        kind(rejected("rateLimit")),
        kind(new ExchangeError.SubscriptionTimeout({ topic: "t", afterMs: 1 })),
        kind(new ExchangeError.ConnectFailed({ url: "x", detail: "", retryable: false }))
      ],
      ["usage", "usage", "usage", "nothing", "nothing", "failed"]
    )
  })
})

describe("Stdout", () => {
  const broken = (cause: unknown) =>
    Stdio.layerTest({
      stdout: () =>
        Sink.forEach(() =>
          Effect.fail(PlatformError.systemError({ module: "Stdio", method: "stdout", _tag: "Unknown", cause }))
        )
    })

  it.effect("ends quietly when its reader has left, and tells every other failure", () =>
    Effect.gen(function*() {
      const text = Stream.make("a", "b")
      const closed = Object.assign(new Error("write EPIPE"), { code: "EPIPE" })
      yield* Effect.provide(Stdout.write(text), broken(closed))
      const full = Object.assign(new Error("no space left"), { code: "ENOSPC" })
      for (const cause of [full, "anything"]) {
        const exit = yield* Effect.exit(Effect.provide(Stdout.write(text), broken(cause)))
        assert.strictEqual(Failure.exitCode(exit), 1)
      }
    }))
})

describe("Logging", () => {
  it.effect("writes lines on stderr, with annotations and causes", () =>
    Effect.gen(function*() {
      yield* Effect.logWarning("one", { two: 2 }).pipe(
        Effect.annotateLogs("pair", "BTC/USDT"),
        Effect.provide(Logging.layer)
      )
      yield* Effect.logError("broken", Cause.die(new Error("defect"))).pipe(Effect.provide(Logging.layer))
      const lines = (yield* TestConsole.errorLines).map(String)
      assert.match(lines[0]!, /^00:00:00\.000 WARN one \{"two":2\} pair=BTC\/USDT$/)
      assert.match(lines[1]!, /^00:00:00\.000 ERROR broken\nError: defect/)
      assert.deepStrictEqual(yield* TestConsole.logLines, [])
    }))

  it.effect("can be held back, the newest lines of it", () =>
    Effect.gen(function*() {
      const held = Logging.makeHeld()
      yield* held.release
      for (let i = 1; i <= 203; i++) yield* Effect.provide(Effect.logInfo(`line ${i}`), held.layer)
      assert.deepStrictEqual(held.recent(2).map((line) => line.slice(-8)), ["line 202", "line 203"])
      assert.deepStrictEqual(yield* TestConsole.errorLines, [])
      yield* held.release
      yield* held.release
      const [text, ...more] = (yield* TestConsole.errorLines).map(String)
      assert.deepStrictEqual(more, [])
      const lines = text!.split("\n")
      assert.strictEqual(lines.length, 201)
      assert.include(lines[0]!, "3 earlier lines")
      assert.include(lines[1]!, "line 4")
    }))
})

describe("StatusLog", () => {
  it.effect("tells connections that come and go", () =>
    Effect.gen(function*() {
      const base = { exchange: "x", connection: 1, at: 0 }
      const changes: ReadonlyArray<ConnectionStatus> = [
        { _tag: "Connecting", attempt: 1, ...base },
        { _tag: "Connected", ...base },
        { _tag: "Disconnected", reason: "Silent", message: "quiet", retryIn: 26.5, ...base },
        { _tag: "Disconnected", reason: "Silent", message: "quiet", retryIn: null, ...base },
        { _tag: "Closed", ...base }
      ]
      const told = yield* Deferred.make<void>()
      const status = Stream.concat(
        Stream.fromIterable(changes),
        Stream.fromEffectDrain(Deferred.succeed(told, undefined))
      )
      yield* Effect.scoped(Effect.andThen(StatusLog.start, Deferred.await(told))).pipe(
        Effect.provide(Layer.mock(PublicWebsocket, {
          exchange: "x",
          channels: new Set<PublicTag>(),
          status,
          reportMissed: () => false
        })),
        Effect.provide(Logging.layer)
      )
      assert.deepStrictEqual((yield* TestConsole.errorLines).map((line) => String(line).slice(13)), [
        "INFO [x] connection 1: connected",
        "WARN [x] connection 1: disconnected: quiet (retry in 27 ms)",
        "WARN [x] connection 1: disconnected: quiet (it is not tried again)"
      ])
    }))
})

describe("SimulatorProcess", () => {
  const options = { pairs: ["BTC/USDT"], seed: 1, rate: 10 } as const

  it.live("listens, and ends with its scope", () =>
    Effect.gen(function*() {
      const closed = yield* Deferred.make<void>()
      yield* Effect.scoped(Effect.gen(function*() {
        const { urls } = yield* SimulatorProcess.start({ ...options, faults: ["drop@1h"] })
        assert.sameMembers(Object.keys(urls), ["mexc-spot", "gate-spot", "gate-futures"])
        yield* Effect.callback<void>((resume) => {
          const socket = connect(Number(new URL(urls["gate-spot"]!.ws).port), "127.0.0.1", () => resume(Effect.void))
          socket.on("error", () => {})
          socket.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
        })
      }))
      yield* Deferred.await(closed)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("says why it could not be started, and when it has ended", () =>
    Effect.scoped(Effect.gen(function*() {
      const refused = yield* Effect.flip(SimulatorProcess.start({ ...options, rate: -1 }))
      assert.include(refused.message, "the simulator's process")
      const { pid, watch } = yield* SimulatorProcess.start(options)
      process.kill(pid, "SIGKILL")
      const gone = yield* Effect.flip(watch)
      assert.include(gone.message, "the simulator's process")
    })).pipe(
      Effect.provide(NodeServices.layer),
      Effect.provideService(
        Console.Console,
        Object.assign(Object.create(console) as Console.Console, { error: () => {} })
      ),
      Effect.provide(Logging.layer)
    ))
})
