/**
 * What every exchange's `PrivateWebsocket` must and should do, run over simulated accounts. A file of its own calls it with
 * an adapter and its dialect; names begin with MUST or SHOULD, so that a failure reads as a broken requirement.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { AccountRest } from "../../src/AccountRest.ts"
import type { WorldAccount } from "../../src/AccountWorld.ts"
import { isFinal } from "../../src/domain/Account.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import { handlersFor, PrivateWebsocket } from "../../src/PrivateWebsocket.ts"
import { Simulator } from "../../src/simulator/Simulator.ts"
import * as Account from "./AccountExchange.ts"
import type * as Exchange from "./Exchange.ts"

export const privateWebsocketSuite = (subject: Account.Subject, mode: Exchange.Mode): void => {
  const { adapter, pair } = subject
  const { kind } = adapter
  const exchange = adapter.id
  const wire = mode.name === "memory" ? it.effect : it.live
  /** What does not depend on how bytes travel is proved once, where time costs nothing. */
  const test = (name: string, body: Parameters<typeof it.effect>[1]): void => {
    if (mode.name === "memory") it.effect(name, body)
  }

  /** As its owner does it on the exchange's website. */
  const place = Account.placing(subject)

  const limit = (account: WorldAccount, price: string) => place(account, { type: "limit", timeInForce: "gtc", price })

  const cheap = "1000"

  const settled = (known: Account.Known, account: WorldAccount) =>
    Account.until(() => Account.agrees(known, account, kind))

  const run = (
    body: Parameters<typeof Account.run>[2],
    options: Account.Options = {},
    simulator: Parameters<typeof Account.layer>[3] = {}
  ) => Account.run(mode, Account.layer(mode, subject, options, simulator), body)

  // Most of the time goes by waiting for real sockets; each test has an exchange of its own.
  const group = mode.name === "ports" ? describe.concurrent : describe

  group(`${exchange}, private stream, ${mode.name}`, () => {
    wire("MUST tell the state that is there, and then every change of it, each once", () =>
      run(Effect.gen(function*() {
        const account = yield* Account.truth(subject)
        limit(account, cheap)
        const { known, websocket } = yield* Account.open
        assert.isTrue(yield* websocket.isAuthenticated)
        yield* settled(known, account)
        Account.checkAgreement(known, account, kind)
        const order = limit(account, "1001")
        place(account)
        place(account, { side: "sell" })
        if (typeof order !== "string") account.cancel({ id: order.id })
        yield* settled(known, account)
        Account.checkAgreement(known, account, kind)
        assert.isAtLeast(known.fills.length, 2)
        assert.isTrue(known.fills.every(({ pair: of, origin }) => of === pair && origin === "Stream"))
        // The first comparison may still be on its way when what it tells has been told.
        yield* websocket.reconcile
        const { decodeFailures, gaps, reconciliation } = yield* websocket.performance
        assert.deepStrictEqual([decodeFailures, gaps], [0, 0])
        assert.isAtLeast(reconciliation.runs, 1)
      })))

    wire(
      "MUST deliver in order what was missed while the connection was away, marked, behind a gap",
      () =>
        run(Effect.gen(function*() {
          const simulator = yield* Simulator
          const account = yield* Account.truth(subject)
          const { known } = yield* Account.open
          const resting = limit(account, cheap)
          place(account)
          yield* settled(known, account)
          yield* simulator.inject("drop")
          yield* simulator.inject("refuse@0s:1s")
          place(account)
          place(account, { side: "sell" })
          if (typeof resting !== "string") account.cancel({ id: resting.id })
          yield* Effect.sleep("100 millis")
          place(account)
          yield* settled(known, account)
          Account.checkAgreement(known, account, kind)
          assert.include(known.gaps, "Fills Reconnected")
          assert.isAtLeast(known.fills.filter(({ origin }) => origin === "Reconciled").length, 2)
          // Of orders that came and were filled meanwhile nothing was pushed.
          const ended = () => known.fills.every(({ orderId }) => known.orders.get(orderId)?.status === "filled")
          yield* Account.until(ended)
          assert.isTrue(ended())
        }))
    )

    test("MUST refuse the handler of a channel that the account lacks, and reading it, with a typed error", () =>
      run(Effect.gen(function*() {
        const websocket = yield* PrivateWebsocket
        const rest = yield* AccountRest
        const tagOf = <A, R>(effect: Effect.Effect<A, ExchangeError, R>) =>
          Effect.match(effect, { onFailure: ({ reason }) => reason._tag as string, onSuccess: () => "there" })
        const expected = websocket.channels.has("Positions") ? "there" : "UnsupportedChannel"
        const handled = { onPosition: () => {}, onLeverage: () => {} }
        for (const [name, handler] of Object.entries(handled)) {
          assert.strictEqual(yield* tagOf(Effect.scoped(websocket.handle({ [name]: handler }))), expected, name)
        }
        assert.strictEqual(yield* tagOf(rest.positions), expected)
        const those = handlersFor(websocket.channels, { ...handled, onFill: () => {}, onGap: () => {} })
        assert.strictEqual(yield* tagOf(Effect.scoped(websocket.handle(those))), "there")
        assert.sameMembers(
          Object.keys(those),
          expected === "there" ? [...Object.keys(handled), "onFill", "onGap"] : ["onFill", "onGap"]
        )
      })))

    test("MUST deliver once what is pushed twice, and end right whatever the order of pushes", () =>
      run(Effect.gen(function*() {
        const simulator = yield* Simulator
        const account = yield* Account.truth(subject)
        const { known, websocket } = yield* Account.open
        yield* Effect.sleep("1 second")
        yield* simulator.inject("duplicate:100%")
        for (let i = 0; i < 5; i++) {
          limit(account, cheap)
          place(account)
          yield* Effect.sleep(20)
        }
        yield* settled(known, account)
        Account.checkAgreement(known, account, kind)
        assert.isAbove((yield* websocket.performance).duplicates, 0)
      })))

    test("MUST find what the stream has kept back, by reading", () =>
      run(
        Effect.gen(function*() {
          const simulator = yield* Simulator
          const account = yield* Account.truth(subject)
          const { known, websocket } = yield* Account.open
          yield* Effect.sleep("500 millis")
          yield* simulator.inject({ _tag: "LosePush", durationMillis: 300 })
          place(account)
          limit(account, cheap)
          yield* settled(known, account)
          yield* websocket.reconcile
          Account.checkAgreement(known, account, kind)
          assert.isAbove((yield* websocket.performance).reconciliation.recovered, 0)
        }),
        { reconcile: { interval: "1 second" } }
      ))

    test("MUST leave a peer that is gone although its socket is open", () =>
      run(
        Effect.gen(function*() {
          const simulator = yield* Simulator
          const account = yield* Account.truth(subject)
          const { known, websocket } = yield* Account.open
          yield* Effect.sleep("500 millis")
          yield* simulator.inject("half-open")
          place(account)
          yield* settled(known, account)
          Account.checkAgreement(known, account, kind)
          assert.isAbove((yield* websocket.performance).reconnects, 0)
        }),
        { heartbeat: { interval: 200, timeout: 200 } }
      ))

    test("MUST be refused for a key that is not known, or not from here, once and for good", () =>
      run(Effect.gen(function*() {
        const simulator = yield* Simulator
        for (const [key, secret] of [["no-such-key", "x"], ["the-key-of-elsewhere", "the-secret"]] as const) {
          yield* Effect.gen(function*() {
            const websocket = yield* PrivateWebsocket
            const error = yield* Effect.flip(websocket.initialize())
            assert.strictEqual(error.reason._tag, "AuthRejected", error.message)
            const dials = simulator.counts().exchanges[exchange]!.dials.length
            yield* Effect.sleep("3 seconds")
            assert.strictEqual(simulator.counts().exchanges[exchange]!.dials.length, dials)
            assert.notInclude(JSON.stringify(error), secret === "x" ? key : secret)
          }).pipe(Effect.provide(privateOf(key, secret)))
        }
      })))

    test("MUST refuse to sign with a clock that is too far off", () =>
      run(Effect.gen(function*() {
        const simulator = yield* Simulator
        yield* simulator.inject({ _tag: "Skew", millis: -120_000 })
        const error = yield* Effect.gen(function*() {
          return yield* Effect.flip((yield* PrivateWebsocket).initialize())
        }).pipe(Effect.provide(privateOf("the-key-of-main", "the-secret-of-main")))
        assert.strictEqual(error.reason._tag, "ClockUnusable")
      })))

    test("MUST keep two accounts of one program apart", () =>
      run(Effect.gen(function*() {
        const mine = yield* Account.truth(subject)
        const theirs = yield* Account.truth(subject, "1002")
        const { known } = yield* Account.open
        const context = yield* Layer.build(privateOf("the-key-of-other", "the-secret-of-other", "other"))
        const other = Context.get(context, PrivateWebsocket)
        const knownOther = yield* Account.watch(other)
        yield* other.initialize()
        limit(mine, cheap)
        limit(theirs, "1002")
        yield* settled(known, mine)
        yield* settled(knownOther, theirs)
        Account.checkAgreement(known, mine, kind)
        Account.checkAgreement(knownOther, theirs, kind)
        assert.deepStrictEqual([(yield* PrivateWebsocket).account, other.account], ["main", "other"])
      })))

    test("MUST end its streams when it is closed, and leave nothing behind", () =>
      run(Effect.gen(function*() {
        const simulator = yield* Simulator
        const { websocket } = yield* Account.open
        yield* websocket.close
        assert.isFalse(yield* websocket.isConnected)
        assert.strictEqual((yield* Effect.flip(websocket.initialize())).reason._tag, "Closed")
        yield* Account.until(() => ![...simulator.topics(exchange)].some((topic) => topic.includes("private")))
      })))

    if (kind === "swap") {
      test("MUST tell positions, their leverage and their end", () =>
        run(Effect.gen(function*() {
          const account = yield* Account.truth(subject)
          const { known } = yield* Account.open
          place(account)
          yield* settled(known, account)
          account.setLeverage(pair, "7")
          place(account, { side: "sell" })
          yield* Account.until(() => known.events.some(({ _tag }) => _tag === "PositionClose"))
          yield* settled(known, account)
          Account.checkAgreement(known, account, kind)
          assert.isTrue(known.events.some(({ _tag }) => _tag === "LeverageChange"))
        })))
    }

    test("SHOULD count ended orders as ended, with what was filled of them", () =>
      run(Effect.gen(function*() {
        const account = yield* Account.truth(subject)
        const { known } = yield* Account.open
        place(account)
        const resting = limit(account, cheap)
        if (typeof resting !== "string") account.cancel({ id: resting.id })
        yield* settled(known, account)
        const ended = [...known.orders.values()].filter(({ status }) => isFinal(status)).map(({ status }) => status)
        assert.sameMembers(ended, ["filled", "canceled"])
      })))
  })

  const privateOf = (key: string, secret: string, name = "other") =>
    Layer.unwrap(Effect.map(Simulator, ({ urls }) => {
      const { rest, ws } = urls[exchange]!
      return ExchangeFactory.layerPrivate(adapter, {
        credentials: { account: name, key: Redacted.make(key), secret: Redacted.make(secret) },
        url: ws,
        restUrl: rest,
        limits: "off",
        reconcilePairs: [pair]
      })
    })).pipe(Layer.provide(Account.network(mode)), Layer.orDie)
}
