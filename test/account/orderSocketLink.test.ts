/** The socket of order entry over a connection whose peer is the test. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Redacted, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Lost, make, Refusal } from "../../src/account/OrderSocketLink.ts"
import type { OrderSocket } from "../../src/AccountAdapter.ts"
import * as Reconnect from "../../src/connection/Reconnect.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import type { Rejection } from "../../src/OrderEntry.ts"
import * as Fake from "../connection/FakeConnection.ts"

const socket: OrderSocket = {
  commands: new Set(["Get"]),
  endpoint: (url) => ({ url }),
  login: () => Effect.succeed({ frame: "login", id: "l" }),
  request: (_, { nextId }) => {
    const id = String(nextId())
    return { frame: `order ${id}`, id }
  },
  decode: (bytes, _, sink) => {
    const [what = "", id = "", kind = "item"] = new TextDecoder().decode(bytes).split(" ")
    const rejection = { code: "N", detail: "no", class: kind as Rejection["class"] }
    const calls: Readonly<Record<string, () => void>> = {
      loggedIn: () => sink.loggedIn("l"),
      noLogin: () => sink.loginRefused("l", { ...rejection, class: id as Rejection["class"] }),
      ack: () => sink.received(id),
      done: () => sink.answered(id, { _tag: "Done" }),
      no: () => sink.refused(id, rejection),
      lost: () => sink.lost(id, "nobody knows"),
      closing: () => sink.closing("maintenance")
    }
    ;(calls[what] ?? (() => sink.ignored(what)))()
  }
}

const command = { _tag: "Get", ref: { symbol: "X", orderId: "1" } } as const

const start = Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const connections: Array<Fake.FakeConnection> = []
  const states: Array<string> = []
  const refusals: Array<string> = []
  const link = yield* make({
    exchange: "toy",
    socket,
    dial: Effect.sync(() => {
      const fake = Fake.make(clock)
      connections.push(fake)
      return fake.connection
    }),
    signer: {
      account: "main",
      key: Redacted.make("k"),
      sign: () => Effect.succeed(""),
      hash: () => Effect.succeed("")
    },
    policy: Reconnect.defaults,
    instrumentOf: () => undefined,
    now: Clock.currentTimeMillis,
    loginTimeout: "5 seconds",
    onRefused: (code, detail) => void refusals.push(`${code} ${detail}`),
    onStatus: ({ _tag }) => void states.push(_tag)
  })
  yield* TestClock.adjust(1)
  const sent: Array<string> = []
  const ask = Effect.suspend(() => link.ask(command, 1_000, () => void sent.push("left")))
  return { link, connections, states, refusals, ask, sent }
})

const disconnected = ExchangeError.make("toy", new ExchangeError.Disconnected({ code: 1006, detail: "gone" }))

const outcome = <A, E>(fiber: Fiber.Fiber<A, E>) => Effect.flip(Fiber.join(fiber))

describe("the socket of order entry", () => {
  it.effect("sends nothing before the login is confirmed", () =>
    Effect.gen(function*() {
      const { ask, connections, link, sent } = yield* start
      assert.deepStrictEqual(connections[0]!.written, ["login"])
      assert.isFalse(yield* link.isReady)
      assert.instanceOf(yield* Effect.flip(ask), ExchangeError.ExchangeError)
      const early = yield* Effect.forkChild(Effect.flip(link.awaitReady(100)), { startImmediately: true })
      yield* TestClock.adjust(100)
      assert.include((yield* Fiber.join(early)).message, "not connected yet")
      assert.deepStrictEqual(sent, [])
      const waiting = yield* Effect.forkChild(link.awaitReady(1_000), { startImmediately: true })
      connections[0]!.receive("loggedIn")
      yield* TestClock.adjust(1)
      yield* Fiber.join(waiting)
      assert.isTrue(yield* link.isReady)
    }))

  it.effect("tells what became of each request, whichever is answered first", () =>
    Effect.gen(function*() {
      const { ask, connections } = yield* start
      const peer = connections[0]!
      peer.receive("loggedIn")
      yield* TestClock.adjust(1)
      const fibers = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(ask, { startImmediately: true }))
      assert.deepStrictEqual(peer.written.slice(1), ["order 1", "order 2", "order 3", "order 4"])
      for (const frame of ["ack 1", "lost 3", "no 2 rateLimit", "noise", "done 1", "done 1"]) peer.receive(frame)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(fibers[0]!), { _tag: "Done" })
      const refused = yield* outcome(fibers[1]!)
      assert.strictEqual(refused instanceof Refusal ? refused.rejection.class : "", "rateLimit")
      assert.isTrue((yield* outcome(fibers[2]!)) instanceof Lost)
      yield* TestClock.adjust("1 second")
      const late = yield* outcome(fibers[3]!)
      assert.strictEqual(late instanceof Lost ? late.cause.reason._tag : "", "Silent")
    }))

  it.effect("of what is lost it is known whether the exchange has acknowledged it", () =>
    Effect.gen(function*() {
      const { ask, connections } = yield* start
      const peer = connections[0]!
      peer.receive("loggedIn")
      yield* TestClock.adjust(1)
      const isAcknowledged = (fiber: Fiber.Fiber<unknown, unknown>) =>
        Effect.map(outcome(fiber), (lost) => lost instanceof Lost ? lost.isAcknowledged : null)
      const first = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(ask, { startImmediately: true }))
      for (const frame of ["ack 1", "ack 3", "lost 3", "lost 4", "ack 9"]) peer.receive(frame)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Effect.forEach(first, isAcknowledged), [true, false, true, false])
      const second = yield* Effect.forEach([5, 6], () => Effect.forkChild(ask, { startImmediately: true }))
      peer.receive("ack 6")
      yield* TestClock.adjust(1)
      peer.end(disconnected)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Effect.forEach(second, isAcknowledged), [false, true])
    }))

  it.effect("what is open when the connection ends is lost, and leaves on no other", () =>
    Effect.gen(function*() {
      const { ask, connections, link } = yield* start
      connections[0]!.receive("loggedIn")
      yield* TestClock.adjust(1)
      const open = yield* Effect.forkChild(ask, { startImmediately: true })
      connections[0]!.end(disconnected)
      yield* TestClock.adjust("1 second")
      const lost = yield* outcome(open)
      assert.strictEqual(lost instanceof Lost ? lost.cause : null, disconnected)
      assert.isFalse(yield* link.isReady)
      assert.deepStrictEqual(connections[1]!.written, ["login"])
      connections[1]!.receive("loggedIn")
      yield* TestClock.adjust(1)
      assert.isTrue(yield* link.isReady)
    }))

  it.effect("an announced end lets what is under way be answered, and takes nothing new", () =>
    Effect.gen(function*() {
      const { ask, connections, link } = yield* start
      const peer = connections[0]!
      peer.receive("loggedIn")
      yield* TestClock.adjust(1)
      const open = yield* Effect.forkChild(ask, { startImmediately: true })
      peer.receive("closing")
      yield* TestClock.adjust(1)
      assert.isFalse(yield* link.isReady)
      assert.lengthOf(peer.aborted, 0)
      peer.receive("done 1")
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(open), { _tag: "Done" })
      assert.lengthOf(peer.aborted, 1)
    }))

  it.effect("an announced end does not wait for ever", () =>
    Effect.gen(function*() {
      const { ask, connections } = yield* start
      const peer = connections[0]!
      peer.receive("loggedIn")
      yield* TestClock.adjust(1)
      const open = yield* Effect.forkChild(Effect.exit(ask), { startImmediately: true })
      peer.receive("closing")
      yield* TestClock.adjust("1 second")
      assert.lengthOf(peer.aborted, 1)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(open)))
    }))

  it.effect("a login that is refused for the key is refused for good; others are tried again", () =>
    Effect.gen(function*() {
      for (const [kind, dials] of [["auth", 1], ["retryable", 2]] as const) {
        const { connections, link, refusals } = yield* start
        const waiting = yield* Effect.forkChild(Effect.exit(link.awaitReady(3_000)), { startImmediately: true })
        connections[0]!.receive(`noLogin ${kind}`)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(refusals, ["N no"])
        assert.lengthOf(connections, dials)
        yield* TestClock.adjust("10 seconds")
        const exit = yield* Fiber.join(waiting)
        const error = Exit.isFailure(exit) ? yield* Effect.flip(exit) : null
        assert.strictEqual(error?.reason._tag, kind === "auth" ? "AuthRejected" : "Disconnected")
      }
    }).pipe(Effect.scoped))

  it.effect("a login that is not answered is given up, and the connection with it", () =>
    Effect.gen(function*() {
      const { connections, states } = yield* start
      yield* TestClock.adjust("6 seconds")
      assert.isAtLeast(connections.length, 2)
      assert.include(states, "Disconnected")
    }))

  it.effect("ends with its scope", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { ask, connections, link } = yield* Scope.provide(start, scope)
      connections[0]!.receive("loggedIn")
      yield* TestClock.adjust(1)
      const open = yield* Effect.forkChild(Effect.exit(ask), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(open)))
      assert.isFalse(yield* link.isReady)
    }))
})
