/** `watch --record` and `replay`: what was printed live is printed again. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Result } from "effect"
import type { Scope } from "effect"
import { readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { readSpeed } from "../../src/cli/Replay.ts"
import * as CommandLine from "./CommandLine.ts"
import * as SimulatedExchanges from "./SimulatedExchanges.ts"

const fixture = (name: string): string => resolve(import.meta.dirname, "..", "fixtures", "recordings", name)

const inFolder = <A, E>(body: (folder: string) => Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E> =>
  Effect.flatMap(FileSystem.FileSystem, (fileSystem) => Effect.orDie(fileSystem.makeTempDirectoryScoped())).pipe(
    Effect.flatMap(body),
    Effect.scoped,
    Effect.provide(NodeFileSystem.layer)
  )

describe("watch --record and replay", () => {
  for (const exchange of ["mexc-spot", "gate-spot"]) {
    it.live(`print the same lines of ${exchange}, over real sockets, through holes and a reconnect`, () =>
      inFolder((folder) =>
        Effect.gen(function*() {
          const simulator = yield* SimulatedExchanges.start({ faults: ["gap:2%", "duplicate:2%"] })
          const file = join(folder, "session.journal")
          const running = yield* CommandLine.start([
            "watch",
            exchange,
            "--pairs=BTC/USDT,ETH/USDT",
            "--channels=book-ticker,trades,book",
            `--record=${file}`,
            ...SimulatedExchanges.flags(simulator, exchange)
          ])
          yield* running.shows("\"cause\":\"Sequence\"")
          yield* simulator.inject(`drop,on=${exchange}`)
          yield* running.shows("\"cause\":\"Reconnected\"")
          yield* running.interrupt
          const live = yield* running.ended
          assert.strictEqual(live.code, 0)
          const again = yield* CommandLine.run(["replay", file])
          assert.strictEqual(again.code, 0)
          // The last frames may have been read while the command was stopped.
          assert.isTrue(again.stdout.startsWith(live.stdout))
          assert.isBelow(again.stdout.length - live.stdout.length, 10_000)
          assert.match(
            again.stderr,
            /session\.journal: \d+ frames \(\d+ bytes\) of \d+ connections, \d+ events, \d+ gaps/
          )
          assert.strictEqual((yield* CommandLine.run(["replay", file])).stdout, again.stdout)
        })
      ))
  }
})

describe("replay", () => {
  const file = fixture("gate-spot-hole-and-drop.journal")

  it.live("selects by pair and channel, and tells the connections in its log", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* CommandLine.run(["replay", file, "--channels=trades"])
      assert.strictEqual(code, 0)
      const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line) as { readonly channel: string })
      assert.isAbove(lines.length, 5)
      assert.isTrue(lines.every(({ channel }) => channel === "Trades"))
      assert.include(stderr, "connection 1: disconnected")
    }))

  it.live("plays at a speed", () =>
    Effect.gen(function*() {
      const fast = yield* CommandLine.run(["replay", file])
      const timed = yield* CommandLine.run(["replay", file, "--speed=200"])
      assert.strictEqual(timed.stdout, fast.stdout)
    }))

  it.live("shows a table, and at the end the last one", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* CommandLine.run(["replay", file, "--format=table", "--speed=max"])
      assert.strictEqual(code, 0)
      const last = stdout.trimEnd().split("\n").at(-1)!
      assert.match(last, /^BTC\/USDT .* synced /)
    }))

  it.live("gives the terminal back at q", () =>
    Effect.scoped(Effect.gen(function*() {
      const running = yield* CommandLine.start(["replay", file], { terminal: true, rows: 30 })
      yield* running.shows("BTC/USDT")
      yield* running.press("q")
      assert.strictEqual((yield* running.ended).code, 0)
    })))

  it.live("says what is wrong with a file", () =>
    inFolder((folder) =>
      Effect.gen(function*() {
        const path = join(folder, "a.journal")
        const answer = (...flags: ReadonlyArray<string>) => CommandLine.run(["replay", path, ...flags])
        const missing = yield* answer()
        assert.deepStrictEqual([missing.code, missing.stdout], [2, ""])
        assert.include(missing.stderr, `cannot read ${path}`)
        writeFileSync(path, "{\"id\":1}\n")
        const foreign = yield* answer()
        assert.strictEqual(foreign.code, 2)
        assert.include(foreign.stderr, "it is no recording of effect-exchange")
        const bytes = readFileSync(file)
        writeFileSync(path, bytes)
        const nothing = yield* answer("--pairs=SOL/USDT")
        assert.strictEqual(nothing.code, 2)
        assert.include(nothing.stderr, "holds book-ticker BTC/USDT, trades BTC/USDT, book BTC/USDT")
        const some = yield* answer("--pairs=BTC/USDT,SOL/USDT")
        assert.strictEqual(some.code, 2)
        assert.include(some.stderr, "there is nothing of SOL/USDT")
        truncateSync(path, bytes.length - 1)
        const torn = yield* answer()
        assert.strictEqual(torn.code, 0)
        assert.match(torn.stderr, /WARN .*a\.journal is not whole: the last \d+ bytes are no whole block/)
        const header = bytes.indexOf("gate-spot")
        const other = Buffer.from(bytes)
        other.write("vice-spot", header)
        writeFileSync(path, other)
        const unknown = yield* answer()
        assert.strictEqual(unknown.code, 2)
        assert.include(unknown.stderr, "was recorded from vice-spot; known are")
      })
    ))

  it("reads speeds", () => {
    assert.deepStrictEqual(readSpeed("max"), Result.succeed("max"))
    assert.deepStrictEqual(readSpeed("0.5"), Result.succeed(0.5))
    for (const text of ["", "0", "-1", "fast", "Infinity", " "]) assert.isTrue(Result.isFailure(readSpeed(text)), text)
  })
})

describe("watch", () => {
  it.live("does not begin when it cannot record", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* CommandLine.run(
        ["watch", "gate-spot", "--pairs=BTC/USDT", "--channels=trades", "--record=/nowhere/at/all.journal"]
      )
      assert.strictEqual(code, 2)
      assert.include(stderr, "cannot record to /nowhere/at/all.journal")
    }))
})
