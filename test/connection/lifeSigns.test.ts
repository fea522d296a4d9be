import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as Heartbeat from "../../src/connection/Heartbeat.ts"
import * as LifeSigns from "../../src/connection/LifeSigns.ts"
import * as Reconnect from "../../src/connection/Reconnect.ts"
import * as FakeConnection from "./FakeConnection.ts"

/** Dials of one server. */
const world = Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const signs = new LifeSigns.LifeSigns()
  /** One way to dial, with its own patience; what it opens last. */
  const dialler = () => {
    let latest: FakeConnection.FakeConnection | null = null
    let dials = 0
    const open = Heartbeat.withHeartbeat({
      exchange: "test",
      interval: "2 seconds",
      timeout: "3 seconds",
      signs,
      ping: () => "ping"
    })(Effect.sync(() => {
      dials++
      latest = FakeConnection.make(clock)
      return latest.connection
    }))
    return {
      open: Effect.asVoid(open),
      get dials() {
        return dials
      },
      get fake() {
        return latest!
      }
    }
  }
  return { dialler, signs }
})

/** So long after the time when it was opened, ms; undefined: not given up. */
const silentFor = ({ aborted: [error] }: FakeConnection.FakeConnection): number | undefined =>
  error?.reason._tag === "Silent" ? Math.round(error.reason.silentForMs) : undefined

/** A connection that brought nothing. */
const lost: LifeSigns.Loss = { openedAt: 0, heard: false, isHurried: false }

const answerAfter = (fake: FakeConnection.FakeConnection, millis: number): void => {
  fake.onWrite = () =>
    Effect.asVoid(Effect.forkDetach(Effect.andThen(Effect.sleep(millis), Effect.sync(() => fake.receive()))))
}

describe("signs of life", () => {
  it.effect("who says nothing is given up soon behind the server's answer to a new connection", () =>
    Effect.gen(function*() {
      const { dialler } = yield* world
      const [first, second] = [dialler(), dialler()]
      yield* first.open
      yield* TestClock.adjust("2 seconds")
      yield* second.open
      yield* TestClock.adjust("50 millis")
      second.fake.receive()
      yield* TestClock.adjust("449 millis")
      assert.deepStrictEqual(first.fake.aborted, [])
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(silentFor(first.fake), 2_500)
      assert.deepStrictEqual(second.fake.aborted, [])
    }))

  it.effect("so is one that was in use when the server went, once another was given up and its successor answered", () =>
    Effect.gen(function*() {
      const { dialler } = yield* world
      const [first, second] = [dialler(), dialler()]
      yield* first.open
      yield* second.open
      first.fake.receive()
      second.fake.receive()
      yield* TestClock.adjust("1500 millis")
      second.fake.receive()
      yield* TestClock.adjust("3500 millis")
      assert.strictEqual(silentFor(first.fake), 5_000)
      assert.deepStrictEqual(second.fake.written, ["ping"])
      yield* first.open
      first.fake.receive()
      // A third one tells nothing new.
      const third = dialler()
      yield* third.open
      third.fake.receive()
      yield* TestClock.adjust("1 second")
      assert.strictEqual(silentFor(second.fake), 4_000)
    }))

  it.effect("a quiet connection that lives has its whole time, however many new ones are answered meanwhile", () =>
    Effect.gen(function*() {
      const { dialler } = yield* world
      const quiet = Array.from({ length: 20 }, dialler)
      for (const one of quiet) {
        yield* one.open
        one.fake.receive()
        // A hiccup: of the network, or of this process.
        answerAfter(one.fake, 900)
        yield* TestClock.adjust("100 millis")
      }
      const dropped = Array.from({ length: 40 }, dialler)
      for (const one of dropped) {
        yield* one.open
        answerAfter(one.fake, 50)
        yield* TestClock.adjust("50 millis")
        one.fake.receive()
      }
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(quiet.map(({ fake }) => silentFor(fake)), quiet.map(() => undefined))
    }))

  it.effect("so has one that is asked only behind the answer, though another was silent before", () =>
    Effect.gen(function*() {
      const { dialler } = yield* world
      const [gone, quiet] = [dialler(), dialler()]
      yield* gone.open
      gone.fake.receive()
      yield* quiet.open
      answerAfter(quiet.fake, 900)
      yield* TestClock.adjust("4200 millis")
      quiet.fake.receive()
      yield* TestClock.adjust("800 millis")
      assert.strictEqual(silentFor(gone.fake), 5_000)
      yield* gone.open
      gone.fake.receive()
      answerAfter(gone.fake, 50)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(quiet.fake.aborted, [])
    }))

  it.effect("who is answered only behind the first ping tells the others soon too", () =>
    Effect.gen(function*() {
      const { dialler, signs } = yield* world
      signs.gaveUp(lost)
      const others = Array.from({ length: 5 }, dialler)
      yield* Effect.forEach(others, ({ open }) => Effect.forkChild(open, { startImmediately: true }))
      answerAfter(others[0]!.fake, 150)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(others.map(({ dials }) => dials), [1, 1, 1, 1, 1])
    }))

  it.effect("what the server answered before tells nothing of a silence behind it", () =>
    Effect.gen(function*() {
      const { dialler } = yield* world
      const [first, second] = [dialler(), dialler()]
      yield* second.open
      second.fake.receive()
      answerAfter(second.fake, 10)
      yield* TestClock.adjust("1 second")
      yield* first.open
      yield* TestClock.adjust("3499 millis")
      assert.deepStrictEqual(first.fake.aborted, [])
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(silentFor(first.fake), 3_500)
    }))

  it.effect("has three times as long as the server took elsewhere, and no longer than ever", () =>
    Effect.gen(function*() {
      const { dialler } = yield* world
      for (const [after, expected] of [[300, 1_400], [2_000, 3_500]] as const) {
        const [first, second] = [dialler(), dialler()]
        const scope = yield* Scope.make()
        yield* Scope.provide(first.open, scope)
        yield* TestClock.adjust("500 millis")
        yield* Scope.provide(second.open, scope)
        yield* TestClock.adjust(after)
        second.fake.receive()
        answerAfter(second.fake, 100)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(silentFor(first.fake), expected)
        yield* Scope.close(scope, Exit.void)
      }
    }))

  it.effect("a server that is slower here than there gets its time on the next connection", () =>
    Effect.gen(function*() {
      const { dialler } = yield* world
      const slow = dialler()
      const quick = Effect.gen(function*() {
        const other = dialler()
        yield* other.open
        answerAfter(other.fake, 10)
        other.fake.receive()
      })
      const life = Effect.gen(function*() {
        yield* slow.open
        answerAfter(slow.fake, 2_000)
        yield* TestClock.adjust("600 millis")
        yield* Effect.scoped(Effect.andThen(quick, TestClock.adjust("1 second")))
        yield* TestClock.adjust("20 seconds")
      })
      yield* Effect.scoped(life)
      assert.strictEqual(silentFor(slow.fake), 1_100)
      for (let again = 0; again < 5; again++) {
        yield* Effect.scoped(life)
        assert.deepStrictEqual(slow.fake.aborted, [])
      }
    }))

  it.effect("a network on which everything takes two seconds loses no connection", () =>
    Effect.gen(function*() {
      const { dialler } = yield* world
      const all = [dialler(), dialler(), dialler()]
      for (const one of all) {
        yield* one.open
        answerAfter(one.fake, 2_000)
        yield* TestClock.adjust("700 millis")
      }
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(all.map(({ fake }) => fake.aborted), [[], [], []])
    }))

  it.effect("handshakes of three seconds and answers of two come through behind a hang, and stay", () =>
    Effect.gen(function*() {
      const { dialler } = yield* world
      const clock = yield* Clock.Clock
      const returns = clock.currentTimeMillisUnsafe() + 60_000
      const lost: Array<number> = []
      const all = [dialler(), dialler(), dialler()]
      for (const one of all) {
        const dial = Effect.andThen(
          Effect.sleep("3 seconds"),
          Effect.map(one.open, () => {
            const { fake } = one
            // What the server took while it hung it never answers.
            if (clock.currentTimeMillisUnsafe() >= returns) answerAfter(fake, 2_000)
            return fake.connection
          })
        )
        const onDisconnected = (): void => void lost.push(clock.currentTimeMillisUnsafe() - returns)
        yield* Effect.forkChild(
          Reconnect.supervise(dial, ({ pull }) => Effect.forever(pull), Reconnect.defaults, { onDisconnected })
        )
      }
      yield* TestClock.adjust("10 minutes")
      assert.isAtMost(Math.max(...lost), 20_000)
      assert.isTrue(all.every(({ fake }) => fake.activity.heard && fake.aborted.length === 0))
    }))

  it.effect("while the server takes connections and answers none, one a second dials, and its answer lets all go on", () =>
    Effect.gen(function*() {
      const { dialler } = yield* world
      const first = dialler()
      yield* Effect.scoped(Effect.andThen(first.open, TestClock.adjust("5 seconds")))
      assert.strictEqual(silentFor(first.fake), 3_500)
      const others = Array.from({ length: 5 }, dialler)
      const scope = yield* Scope.make()
      const fibers = yield* Effect.forEach(
        others,
        ({ open }) => Effect.forkChild(Scope.provide(open, scope), { startImmediately: true })
      )
      const dialled = (): number => others.filter(({ dials }) => dials > 0).length
      assert.strictEqual(dialled(), 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(dialled(), 2)
      others[1]!.fake.receive()
      yield* TestClock.adjust("20 millis")
      assert.strictEqual(dialled(), 5)
      yield* Effect.forEach(fibers, Fiber.join)
      yield* Scope.close(scope, Exit.void)
    }))

  it.effect("who is interrupted while it waits for its turn keeps nobody waiting", () =>
    Effect.gen(function*() {
      const { dialler, signs } = yield* world
      signs.gaveUp(lost)
      const start = ({ open }: ReturnType<typeof dialler>) => Effect.forkChild(open, { startImmediately: true })
      yield* dialler().open
      const gone = yield* Effect.forEach(Array.from({ length: 100 }, dialler), start)
      yield* Effect.forEach(gone, Fiber.interrupt)
      const others = Array.from({ length: 3 }, dialler)
      yield* Effect.forEach(others, start)
      for (const dialled of [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]) {
        assert.deepStrictEqual(others.map(({ dials }) => dials), dialled)
        yield* TestClock.adjust("1 second")
      }
    }))

  it.effect("are shared by address, whoever asks", () =>
    Effect.gen(function*() {
      const sockets = yield* FrameSocket.FrameSocket
      const signs = LifeSigns.at(sockets, "test", "wss://one.test/market")
      assert.strictEqual(LifeSigns.at(sockets, "test", "wss://one.test/orders"), signs)
      assert.notStrictEqual(LifeSigns.at(sockets, "test", "wss://two.test/market"), signs)
      assert.notStrictEqual(LifeSigns.at(sockets, "other", "wss://one.test/market"), signs)
    }).pipe(Effect.provide(FrameSocket.layerWs)))
})
