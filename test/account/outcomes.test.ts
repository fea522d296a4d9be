/** What became of each command: every answer, every loss, over REST and over the socket, one command for an order at a time. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import type { Duration } from "effect"
import { TestClock } from "effect/testing"
import * as DeskCounts from "../../src/account/DeskCounts.ts"
import * as OrderDesk from "../../src/account/OrderDesk.ts"
import type { OrderSocketLink } from "../../src/account/OrderSocketLink.ts"
import { Lost, Refusal } from "../../src/account/OrderSocketLink.ts"
import type { AccountCalls, Command, OrderProtocol, OrderSocket, Reply } from "../../src/AccountAdapter.ts"
import { NextPage } from "../../src/AccountAdapter.ts"
import type { Order } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import type { OrderEntry, OrderRef, Outcome } from "../../src/OrderEntry.ts"
import * as RateLimits from "../../src/RateLimits.ts"
import * as SteppedClock from "../SteppedClock.ts"
import { fill } from "./Bank.ts"
import { instrumentOf, orderOf, refused } from "./Orders.ts"

const pair = "BTC/USDT"

const instrument = instrumentOf("toy")

const order = (fields: Partial<Order> = {}): Reply => ({ _tag: "Order", order: orderOf("a", fields) })

const error = (reason: ExchangeError.Reason) => ExchangeError.make("toy", reason)

const silent = error(new ExchangeError.Silent({ silentForMs: 5, detail: "nothing came" }))

type Failure = Refusal | Lost | ExchangeError.ExchangeError
type Script = (command: Command, call: number) => Effect.Effect<Reply, ExchangeError.ExchangeError>

interface Overrides {
  readonly protocol?: Partial<OrderProtocol>
  readonly link?: OrderSocketLink
  readonly exchangeNow?: Effect.Effect<number, ExchangeError.ExchangeError>
  readonly openOrders?: Effect.Effect<ReadonlyArray<Order>, ExchangeError.ExchangeError>
  readonly instruments?: Effect.Effect<void, ExchangeError.ExchangeError>
  readonly readLimit?: number
  readonly answer?: Duration.Input
  readonly fills?: AccountCalls["fills"]
}

const start = (
  script: Script,
  { answer = "1 second", exchangeNow, fills, instruments, link, openOrders, protocol, readLimit = 10_000 }: Overrides =
    {}
) =>
  Effect.gen(function*() {
    const commands: Array<Command> = []
    const listed: Array<string | null> = []
    const calls = {
      run: (command: Command) => {
        commands.push(command)
        return script(command, commands.length)
      },
      fills: fills ?? (() => Effect.succeed([])),
      openOrders: (symbol: string | null) => {
        listed.push(symbol)
        return openOrders ?? Effect.succeed([])
      }
    } as unknown as AccountCalls
    const counts = DeskCounts.noCounts()
    const desk = yield* OrderDesk.make({
      exchange: "toy",
      protocol: {
        abilities: new Set(["amend", "quoteQuantity", "batch", "cancelAllAfter", "leverage", "marginMode"]),
        socket: null,
        clientOrderIds: { make: (unique) => `t-${unique}`, problem: () => null },
        batchSize: 2,
        uses: ({ _tag }) => [{ budget: _tag, tokens: 1, limit: 100, window: "1 second" }],
        ...protocol
      },
      calls,
      link: link ?? null,
      limits: yield* RateLimits.make("toy"),
      readUses: (read) => [{ budget: read, tokens: 1, limit: readLimit, window: "1 minute" }],
      instrument: (name) =>
        name === pair
          ? Effect.succeed(instrument)
          : Effect.fail(error(new ExchangeError.UnknownPair({ symbol: name, detail: "not listed" }))),
      listed: instruments ?? Effect.void,
      exchangeNow: exchangeNow ?? Clock.currentTimeMillis,
      queueTimeout: "2 seconds",
      answerTimeout: answer,
      expiry: "3 seconds",
      counts
    })
    return { commands, counts, desk, listed }
  })

type Desk = OrderEntry["Service"]

const tags = (commands: ReadonlyArray<Command>) => commands.map(({ _tag }) => _tag)

const request = { pair, side: "buy", quantity: "1", price: "100", clientOrderId: "a" } as const

const ref: OrderRef = { pair, clientOrderId: "a" }

/** Runs it while virtual time passes. */
const within = <A, E>(effect: Effect.Effect<A, E>, by: Parameters<typeof TestClock.adjust>[0]) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust(by)
    return yield* Fiber.join(fiber)
  })

const resolvedOf = <A>(outcome: Outcome<A>) => outcome._tag === "Unknown" ? outcome.resolved : Effect.succeed(outcome)

describe("an answer over REST", () => {
  type Row = readonly [failure: ExchangeError.ExchangeError, becomes: "Unknown" | "Rejected" | "error"]
  const rows: Readonly<Record<string, Row>> = {
    "HTTP 500": [refused(500, "retryable"), "Unknown"],
    "HTTP 503 that calls itself final": [refused(503, "item"), "Unknown"],
    "no status": [refused(null, "item"), "Unknown"],
    "HTTP 400": [refused(400, "item"), "Rejected"],
    "HTTP 498": [refused(498, "retryable"), "Rejected"],
    "HTTP 408 of a proxy": [refused(408, "bug"), "Unknown"],
    "HTTP 499 of a proxy": [refused(499, "bug"), "Unknown"],
    "HTTP 401": [refused(401, "auth"), "error"],
    "HTTP 502 by a limiter": [refused(502, "rateLimit"), "Unknown"],
    "HTTP 502 of a gate": [refused(502, "auth"), "Unknown"],
    "an answer that cannot be read": [
      error(new ExchangeError.DecodeFailed({ symbol: pair, detail: "not JSON" })),
      "Unknown"
    ],
    "silence": [silent, "Unknown"],
    "a connection that broke": [
      error(new ExchangeError.Disconnected({ code: 1006, detail: "reset" })),
      "Unknown"
    ],
    "a call that cannot be made": [error(new ExchangeError.InvalidUse({ detail: "no key" })), "error"]
  }
  for (const [name, [failure, becomes]] of Object.entries(rows)) {
    it.effect(`${name}: ${becomes}`, () =>
      Effect.gen(function*() {
        const { commands, counts, desk } = yield* start(({ _tag }) =>
          _tag === "Place" ? Effect.fail(failure) : Effect.succeed(order())
        )
        if (becomes === "error") {
          assert.strictEqual(yield* Effect.flip(desk.place(request)), failure)
          assert.deepStrictEqual(counts, DeskCounts.noCounts())
          return
        }
        const { clientOrderId, outcome } = yield* desk.place(request)
        assert.deepStrictEqual([clientOrderId, outcome._tag], ["a", becomes])
        if (outcome._tag === "Rejected") {
          const { code, detail } = outcome.reason
          assert.deepStrictEqual([code, detail, tags(commands)], ["X", "no", ["Place"]])
          assert.deepStrictEqual(counts, { sent: 1, accepted: 0, rejected: 1, unknown: 0, resolved: 0, throttled: 0 })
          return
        }
        assert(outcome._tag === "Unknown")
        assert.strictEqual(outcome.cause, failure)
        assert.deepStrictEqual(yield* outcome.resolved, { _tag: "Accepted", value: orderOf("a") })
        assert.deepStrictEqual(tags(commands), ["Place", "Get"])
        assert.deepStrictEqual(commands[1], { _tag: "Get", ref: { symbol: "BTCUSDT", clientOrderId: "a" } })
        assert.deepStrictEqual(counts, { sent: 1, accepted: 1, rejected: 0, unknown: 1, resolved: 1, throttled: 0 })
      }))
  }

  it.effect("that holds no order says nothing of it: it is looked for", () =>
    Effect.gen(function*() {
      const { counts, desk } = yield* start(({ _tag }) => Effect.succeed(_tag === "Get" ? order() : { _tag: "Done" }))
      const { outcome } = yield* desk.place(request)
      assert(outcome._tag === "Unknown")
      assert.include(outcome.cause.message, "answered with Done and without an order")
      assert.deepStrictEqual(yield* outcome.resolved, { _tag: "Accepted", value: orderOf("a") })
      assert.deepInclude(counts, { sent: 1, unknown: 1, resolved: 1, accepted: 1, rejected: 0 })
    }))

  it.effect("that a request waits for the exchange's clock is before it counts as sent", () =>
    Effect.gen(function*() {
      const measured = yield* Effect.cached(Effect.delay(Clock.currentTimeMillis, 1_500))
      const { desk } = yield* start(
        ({ _tag }) => _tag === "Get" ? Effect.succeed({ _tag: "Nothing" }) : Effect.fail(silent),
        { exchangeNow: Effect.andThen(measured, Clock.currentTimeMillis) }
      )
      const { outcome } = yield* within(desk.place(request), 1_500)
      const fiber = yield* Effect.forkChild(resolvedOf(outcome), { startImmediately: true })
      // It left at 1500 and expires at 4500: nothing can be known by 4500.
      yield* TestClock.adjust(3_000)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(600)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Rejected")
    }))

  it.effect("of the exchange's clock is waited for no longer than for a turn: nothing is sent", () =>
    Effect.gen(function*() {
      const { commands, counts, desk } = yield* start(() => Effect.die("is sent"), { exchangeNow: Effect.never })
      const failed = yield* Effect.flip(within(desk.place(request), "2 seconds"))
      assert.include(failed.message, "the exchange's clock")
      assert.include(failed.message, "not told within 2000 ms; nothing was sent")
      assert.isTrue(failed.isTransient)
      assert.deepStrictEqual([commands, counts], [[], DeskCounts.noCounts()])
    }))

  it.effect("that does not come within the time for it is lost, not a moment before", () =>
    Effect.gen(function*() {
      const { desk } = yield* start(({ _tag }) => _tag === "Place" ? Effect.never : Effect.succeed(order()))
      const fiber = yield* Effect.forkChild(desk.place(request), { startImmediately: true })
      yield* TestClock.adjust(999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      const { outcome } = yield* Fiber.join(fiber)
      assert(outcome._tag === "Unknown")
      assert(outcome.cause.reason._tag === "Silent")
      assert.deepInclude(outcome.cause.reason, { silentForMs: 1_000, detail: "Place was not answered" })
    }))

  it.effect("that asks to slow down holds back the same command, a second where it names no time, and no other", () =>
    Effect.gen(function*() {
      let fails = true
      const { commands, desk } = yield* start(({ _tag }) =>
        fails && _tag === "Place" ? Effect.fail(refused(429, "rateLimit")) : Effect.succeed(order())
      )
      const fiber = yield* Effect.forkChild(desk.place(request), { startImmediately: true })
      yield* Effect.yieldNow
      fails = false
      yield* desk.get(ref)
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(tags(commands), ["Place", "Get"])
      yield* TestClock.adjust(1)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(tags(commands), ["Place", "Get", "Place"])
    }))

  it.effect("that refuses the key holds nobody back", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(() => Effect.fail(refused(401, "auth")))
      yield* Effect.flip(desk.place(request))
      yield* Effect.flip(desk.place(request))
      assert.lengthOf(commands, 2)
    }))

  it.effect("a turn that does not come in time: nothing is sent", () =>
    Effect.gen(function*() {
      const { commands, counts, desk } = yield* start(() => Effect.succeed(order()), {
        protocol: { uses: () => [{ budget: "one", tokens: 1, limit: 1, window: "1 minute" }] }
      })
      yield* desk.place(request)
      const late = yield* Effect.flip(within(desk.place({ ...request, clientOrderId: "b" }), "1 minute"))
      assert.strictEqual(late.reason._tag, "RateLimited")
      assert.deepStrictEqual([commands.length, counts.sent], [1, 1])
    }))
})

describe("the search for what became of a lost order", () => {
  it.effect("asks again and again, less and less often, and gives up only behind the expiry", () =>
    Effect.gen(function*() {
      const times: Array<number> = []
      const { desk } = yield* start(({ _tag }) =>
        Effect.clockWith((clock) =>
          Effect.suspend(() => {
            if (_tag === "Place") return Effect.fail(refused(500, "retryable"))
            times.push(clock.currentTimeMillisUnsafe())
            return Effect.succeed<Reply>({ _tag: "Nothing" })
          })
        )
      )
      const { outcome } = yield* desk.place(request)
      const resolved = yield* within(resolvedOf(outcome), "10 seconds")
      assert.deepStrictEqual(times, [0, 50, 150, 350, 750, 1_550, 2_550, 3_001, 3_501])
      assert.deepStrictEqual(resolved, {
        _tag: "Rejected",
        reason: {
          code: "never-arrived",
          detail: "its answer was lost, and the exchange knows nothing of it after the request has expired",
          class: "item"
        }
      })
    }))

  it.effect("a question asked at the very end of the expiry proves nothing", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_780_000_000_000)
      const { commands, desk } = yield* start(({ _tag }) => {
        if (_tag === "Place") return Effect.andThen(Effect.sleep(450), Effect.fail(refused(500, "retryable")))
        return Effect.succeed({ _tag: "Nothing" })
      })
      // Sent at 0, lost at 450: asked at 450, 500, 600, 800, 1200, 2000, 3000, then at 3001 and once more at 3501.
      const { outcome } = yield* within(desk.place(request), 450)
      const fiber = yield* Effect.forkChild(resolvedOf(outcome), { startImmediately: true })
      yield* TestClock.adjust(2_550)
      assert.lengthOf(commands, 8)
      yield* TestClock.adjust(500)
      assert.isUndefined(fiber.pollUnsafe())
      assert.lengthOf(commands, 9)
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Rejected")
      assert.lengthOf(commands, 10)
    }))

  it.effect("finds an order that a look-up behind the expiry did not show yet", () =>
    Effect.gen(function*() {
      let late = 0
      const { desk } = yield* start(({ _tag }) =>
        Effect.clockWith((clock) => {
          if (_tag === "Place") return Effect.fail(refused(500, "retryable"))
          if (clock.currentTimeMillisUnsafe() > 3_000) late++
          return Effect.succeed<Reply>(late > 1 ? order() : { _tag: "Nothing" })
        })
      )
      const { outcome } = yield* desk.place(request)
      assert.strictEqual((yield* within(resolvedOf(outcome), "10 seconds"))._tag, "Accepted")
    }))

  /** The exchange finds nothing by our id and shows our order among its fills. */
  const amongFills = (fills: AccountCalls["fills"], exchangeNow?: Overrides["exchangeNow"]) =>
    Effect.gen(function*() {
      const { desk } = yield* start((command) => {
        if (command._tag === "Place") return Effect.fail(silent)
        const isFound = command._tag === "Get" && "orderId" in command.ref
        return Effect.succeed<Reply>(isFound ? order({ status: "filled" }) : { _tag: "Nothing" })
      }, { fills, ...(exchangeNow === undefined ? {} : { exchangeNow }) })
      const { outcome } = yield* desk.place(request)
      return yield* within(resolvedOf(outcome), "1 minute")
    })

  it.effect("finds an order among fills that come page by page, each later than the last", () =>
    Effect.gen(function*() {
      const pages = Effect.forEach(
        [1, 2, 3, 4, 5],
        (page) => Effect.andThen(page === 1 ? Effect.void : Effect.flatten(NextPage), Effect.sleep(600))
      )
      const found = yield* amongFills(() => Effect.as(pages, [fill(1, 0, { clientOrderId: "a", orderId: "id-a" })]))
      assert.strictEqual(found._tag, "Accepted")
    }))

  it.effect("looks no further back among the fills than where the order can be, by the exchange's clock", () =>
    Effect.gen(function*() {
      const asked: Array<number | null> = []
      const behind = Effect.map(Clock.currentTimeMillis, (now) => now - 20_000)
      yield* TestClock.setTime(1_000_000)
      const found = yield* amongFills(({ since }) => {
        asked.push(since)
        return Effect.succeed([])
      }, behind)
      assert.strictEqual(found._tag, "Rejected")
      // It left at 1 000 000 of our clock; five seconds are for what is not known of theirs.
      assert.deepStrictEqual([...new Set(asked)], [1_000_000 - 20_000 - 5_000])
    }))

  it.effect("looks as far back among the fills although the machine's clock is set back meanwhile", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000_000)
      const theirs = yield* Clock.Clock
      const { clock, step } = yield* SteppedClock.make
      const asked: Array<number | null> = []
      const { desk } = yield* start(
        ({ _tag }) => _tag === "Place" ? Effect.fail(silent) : Effect.succeed({ _tag: "Nothing" }),
        {
          exchangeNow: Effect.sync(() => theirs.currentTimeMillisUnsafe()),
          fills: ({ since }) => {
            asked.push(since)
            return Effect.succeed([fill(1, 0, { clientOrderId: "b", orderId: "id-b" })])
          }
        }
      ).pipe(Effect.provideService(Clock.Clock, clock))
      const { outcome } = yield* desk.place(request)
      step(-3_600_000)
      // What another order has filled says nothing of this one.
      assert.strictEqual((yield* within(resolvedOf(outcome), "1 minute"))._tag, "Rejected")
      assert.deepStrictEqual([...new Set(asked)], [1_000_000 - 5_000])
    }))

  it.effect("that waits for its price is looked up as one, and not among the fills", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(
        ({ _tag }) => _tag === "Place" ? Effect.fail(silent) : Effect.succeed({ _tag: "Nothing" }),
        {
          protocol: { abilities: new Set(["trigger"]) },
          fills: () => Effect.die("is no question of fills")
        }
      )
      const { outcome } = yield* desk.place({ ...request, trigger: { kind: "stop", price: "90" } })
      assert.strictEqual((yield* within(resolvedOf(outcome), "1 minute"))._tag, "Rejected")
      assert.deepStrictEqual(commands[1], {
        _tag: "Get",
        ref: { symbol: "BTCUSDT", clientOrderId: "a", trigger: true }
      })
      const plain = yield* desk.place({ ...request, clientOrderId: "b" })
      yield* Effect.forkChild(resolvedOf(plain.outcome), { startImmediately: true })
      assert.deepStrictEqual(commands.at(-1), {
        _tag: "Get",
        ref: { symbol: "BTCUSDT", clientOrderId: "b", trigger: false }
      })
      const told = yield* start(() => Effect.succeed(order()))
      yield* told.desk.get({ ...ref, trigger: true })
      assert.deepStrictEqual(told.commands, [{ _tag: "Get", ref: { symbol: "BTCUSDT", clientOrderId: "a" } }])
    }))

  it.effect("waits as long as the exchange asks when there are too many questions", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(({ _tag }, call) => {
        if (_tag === "Place") return Effect.fail(refused(500, "retryable"))
        return call === 2 ? Effect.fail(refused(429, "rateLimit", 30_000)) : Effect.succeed(order())
      })
      const { outcome } = yield* desk.place(request)
      const fiber = yield* Effect.forkChild(resolvedOf(outcome), { startImmediately: true })
      yield* TestClock.adjust(29_999)
      assert.lengthOf(commands, 2)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Accepted")
    }))

  const readings = ["fills", "openOrders"] as const
  for (const reading of readings) {
    const lose = (desk: Desk): Effect.Effect<Outcome<unknown>, ExchangeError.ExchangeError> =>
      reading === "fills" ? Effect.map(desk.place(request), ({ outcome }) => outcome) : desk.cancelAll(pair)
    const calls = (result: Effect.Effect<ReadonlyArray<never>, ExchangeError.ExchangeError>) =>
      Effect.gen(function*() {
        const times: Array<number> = []
        const call = Effect.clockWith((clock) => {
          times.push(clock.currentTimeMillisUnsafe())
          return result
        })
        const { desk } = yield* start(
          ({ _tag }) => _tag === "Get" ? Effect.succeed({ _tag: "Nothing" }) : Effect.fail(silent),
          {
            readLimit: 2,
            fills: () => call,
            openOrders: Effect.as(call, [orderOf("a")])
          }
        )
        const outcome = yield* lose(desk)
        yield* Effect.forkChild(Effect.exit(resolvedOf(outcome)), { startImmediately: true })
        yield* TestClock.adjust("50 seconds")
        return times
      })

    it.effect(`${reading}: looks within the limits`, () =>
      Effect.gen(function*() {
        assert.isAtMost((yield* calls(Effect.fail(silent))).length, 2)
      }))

    it.effect(`${reading}: waits as long as the exchange asks`, () =>
      Effect.gen(function*() {
        assert.lengthOf(yield* calls(Effect.fail(refused(429, "rateLimit", 60_000))), 1)
      }))
  }

  it.effect("outlives a proxy that does not reach the exchange", () =>
    Effect.gen(function*() {
      const { desk } = yield* start(({ _tag }, call) => {
        if (_tag === "Place") return Effect.fail(refused(408, "bug"))
        return call < 5 ? Effect.fail(refused(call % 2 === 0 ? 408 : 499, "bug")) : Effect.succeed(order())
      })
      const { outcome } = yield* desk.place(request)
      assert.strictEqual((yield* within(resolvedOf(outcome), "5 seconds"))._tag, "Accepted")
    }))

  it.effect("outlives a clock that cannot be used for a while", () =>
    Effect.gen(function*() {
      const unusable = error(
        new ExchangeError.ClockUnusable({ offsetMs: 1, errorMs: 900, retryable: true, detail: "too slow" })
      )
      const { desk } = yield* start(({ _tag }, call) => {
        if (_tag === "Place") return Effect.fail(refused(500, "retryable"))
        return call < 5 ? Effect.fail(unusable) : Effect.succeed(order())
      })
      const { outcome } = yield* desk.place(request)
      assert.strictEqual((yield* within(resolvedOf(outcome), "5 seconds"))._tag, "Accepted")
    }))

  for (const kind of ["Place", "PlaceAll"] as const) {
    it.effect(`${kind}: the expiry runs from the moment it left, not from the wait for its turn`, () =>
      Effect.gen(function*() {
        const uses = ({ _tag }: Command) =>
          _tag === "Get"
            ? []
            : [{ budget: "one", tokens: 1, limit: 1, window: "1500 millis" }] as const
        const { desk } = yield* start(
          ({ _tag }) => _tag === "Get" ? Effect.succeed({ _tag: "Nothing" }) : Effect.fail(silent),
          { protocol: { uses } }
        )
        yield* desk.place(request)
        const second = kind === "Place"
          ? Effect.map(desk.place({ ...request, clientOrderId: "b" }), (placed) => [placed])
          : desk.placeAll([{ ...request, clientOrderId: "b" }])
        const [placed] = yield* within(second, 1_500)
        const fiber = yield* Effect.forkChild(resolvedOf(placed!.outcome), { startImmediately: true })
        // Asked at 1500, 1550, 1650, 1850, 2250, 3050 and 4050; it expires at 4500: asked at 4501 and 5001.
        yield* TestClock.adjust(3_500)
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "Rejected")
      }))
  }

  for (const [name, millis] of [["forward", 3_600_000], ["back", -3_600_000]] as const) {
    it.effect(`waits for the expiry although the machine's clock is set ${name}, and no longer`, () =>
      Effect.gen(function*() {
        const { clock, step } = yield* SteppedClock.make
        const { commands, desk } = yield* start(({ _tag }) =>
          _tag === "Place" ? Effect.fail(silent) : Effect.succeed({ _tag: "Nothing" })
        ).pipe(Effect.provideService(Clock.Clock, clock))
        const { outcome } = yield* desk.place(request)
        const fiber = yield* Effect.forkChild(resolvedOf(outcome), { startImmediately: true })
        step(millis)
        yield* TestClock.adjust(3_500)
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "Rejected")
        // The next one finds its turn at once.
        yield* within(desk.get(ref), 1)
        assert.strictEqual(commands.at(-1)?._tag, "Get")
      }))
  }

  it.effect("does not take a failed question for an answer, however late", () =>
    Effect.gen(function*() {
      let works = false
      const { counts, desk } = yield* start(({ _tag }) =>
        _tag === "Place" || !works ? Effect.fail(refused(503, "retryable")) : Effect.succeed(order())
      )
      const { outcome } = yield* desk.place(request)
      const fiber = yield* Effect.forkChild(resolvedOf(outcome), { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(fiber.pollUnsafe())
      assert.deepStrictEqual(counts, { sent: 1, accepted: 0, rejected: 0, unknown: 1, resolved: 0, throttled: 0 })
      works = true
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Accepted")
    }))

  it.effect("ends with the error when the exchange will never answer", () =>
    Effect.gen(function*() {
      const { counts, desk } = yield* start(({ _tag }) =>
        Effect.fail(_tag === "Place" ? refused(503, "retryable") : refused(401, "auth"))
      )
      const { outcome } = yield* desk.place(request)
      const failed = yield* Effect.flip(resolvedOf(outcome))
      assert(failed.reason._tag === "RequestFailed")
      assert.deepStrictEqual([failed.reason.status, counts.resolved], [401, 0])
    }))
})

describe("a lost cancel", () => {
  const cancelOf = (status: Order["status"]) =>
    start(({ _tag }) => _tag === "Cancel" ? Effect.fail(silent) : Effect.succeed(order({ status })))

  for (const status of ["canceled", "partiallyCanceled"] as const) {
    it.effect(`was carried out when the order is ${status}`, () =>
      Effect.gen(function*() {
        const { commands, desk } = yield* cancelOf(status)
        const resolved = yield* resolvedOf(yield* desk.cancel(ref))
        assert.deepStrictEqual(resolved, { _tag: "Accepted", value: orderOf("a", { status }) })
        assert.deepStrictEqual(commands, [
          { _tag: "Cancel", ref: { symbol: "BTCUSDT", clientOrderId: "a" } },
          { _tag: "Get", ref: { symbol: "BTCUSDT", clientOrderId: "a" } }
        ])
      }))
  }

  it.effect("came too late when the order had ended before", () =>
    Effect.gen(function*() {
      const { desk } = yield* cancelOf("filled")
      assert.deepStrictEqual(yield* resolvedOf(yield* desk.cancel(ref)), {
        _tag: "Rejected",
        reason: { code: "filled", detail: "the order had ended before", class: "item" }
      })
    }))

  for (const status of ["new", "partiallyFilled"] as const) {
    it.effect(`never arrived when the order is still ${status} behind the expiry`, () =>
      Effect.gen(function*() {
        const { desk } = yield* cancelOf(status)
        const outcome = yield* desk.cancel({ pair, orderId: "7" })
        const fiber = yield* Effect.forkChild(resolvedOf(outcome), { startImmediately: true })
        yield* TestClock.adjust("3 seconds")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("3 seconds")
        const resolved = yield* Fiber.join(fiber)
        assert.strictEqual(resolved._tag === "Rejected" ? resolved.reason.code : resolved._tag, "never-arrived")
      }))
  }

  it.effect("of an order that nobody knows never arrived", () =>
    Effect.gen(function*() {
      const { desk } = yield* start(({ _tag }) =>
        _tag === "Cancel" ? Effect.fail(silent) : Effect.succeed({ _tag: "Nothing" })
      )
      const resolved = yield* within(resolvedOf(yield* desk.cancel(ref)), "10 seconds")
      assert.strictEqual(resolved._tag === "Rejected" ? resolved.reason.code : resolved._tag, "never-arrived")
    }))

  it.effect("of all is judged by what is still open, and tells those that were when it was first asked", () =>
    Effect.gen(function*() {
      let open = [orderOf("a"), orderOf("b"), orderOf("c"), orderOf("d")]
      let ofC: Order["status"] = "new"
      const { commands, desk, listed } = yield* start((command) => {
        if (command._tag !== "Get" || !("orderId" in command.ref)) return Effect.fail(silent)
        const { orderId } = command.ref
        // One ended otherwise, one is forgotten, and one shows as ended in the list before it does by itself.
        const found: Readonly<Record<string, Reply>> = {
          "id-a": { _tag: "Order", order: orderOf("a", { status: "canceled" }) },
          "id-b": { _tag: "Order", order: orderOf("b", { status: "filled" }) },
          "id-c": { _tag: "Order", order: orderOf("c", { status: ofC }) }
        }
        return Effect.succeed(found[orderId] ?? { _tag: "Nothing" })
      }, { openOrders: Effect.sync(() => open) })
      const outcome = yield* desk.cancelAll(pair)
      const fiber = yield* Effect.forkChild(resolvedOf(outcome), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(tags(commands), ["CancelAll"])
      open = [orderOf("e")]
      yield* TestClock.adjust("1 second")
      assert.isUndefined(fiber.pollUnsafe())
      ofC = "partiallyCanceled"
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(fiber), {
        _tag: "Accepted",
        value: [orderOf("a", { status: "canceled" }), orderOf("c", { status: "partiallyCanceled" })]
      })
      assert.deepStrictEqual([commands[0], listed[0]], [{ _tag: "CancelAll", symbol: "BTCUSDT" }, "BTCUSDT"])
    }))
})

describe("cancelling all", () => {
  it.effect("tells which, of a pair or of all", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(() => Effect.succeed({ _tag: "Orders", orders: [orderOf("a")] }))
      assert.deepStrictEqual(yield* desk.cancelAll(), { _tag: "Accepted", value: [orderOf("a")] })
      yield* desk.cancelAll(pair)
      assert.deepStrictEqual(commands, [
        { _tag: "CancelAll", symbol: null },
        { _tag: "CancelAll", symbol: "BTCUSDT" }
      ])
      assert.strictEqual((yield* Effect.flip(desk.cancelAll("NO/PAIR"))).reason._tag, "UnknownPair")
    }))

  it.effect("of all pairs reads the instruments first, which have the pairs of the orders, and goes on without", () =>
    Effect.gen(function*() {
      for (const instruments of [Effect.void, Effect.fail(silent), Effect.never]) {
        const steps: Array<string> = []
        const { desk } = yield* start(({ _tag }) => {
          steps.push(_tag)
          return Effect.succeed({ _tag: "Orders", orders: [] })
        }, {
          instruments: Effect.suspend(() => {
            steps.push("listed")
            return instruments
          })
        })
        yield* within(desk.cancelAll(), "2 seconds")
        assert.deepStrictEqual(steps, ["listed", "CancelAll"])
      }
    }))

  it.effect("waits for no placement whose outcome is not known", () =>
    Effect.gen(function*() {
      const { desk } = yield* start(({ _tag }) =>
        _tag === "CancelAll" ? Effect.succeed({ _tag: "Orders", orders: [] }) : Effect.fail(silent)
      )
      assert.strictEqual((yield* desk.place(request)).outcome._tag, "Unknown")
      assert.strictEqual((yield* desk.cancelAll(pair))._tag, "Accepted")
    }))

  describe("where the answer does not say what became of them", () => {
    const gone = orderOf("a", { status: "canceled" })
    const unsettled = ["id-b", "id-c"].map((orderId) => ({ symbol: "BTCUSDT", orderId }))
    const cancelling = (look: (orderId: string, call: number) => Effect.Effect<Reply, ExchangeError.ExchangeError>) =>
      start((command, call) => {
        if (command._tag === "CancelAll") return Effect.succeed({ _tag: "Orders", orders: [gone], unsettled })
        if (command._tag !== "Get" || !("orderId" in command.ref)) return Effect.die("asks for something else")
        return look(command.ref.orderId, call)
      })
    const told = (orderId: string, status: Order["status"]): Reply => ({
      _tag: "Order",
      order: orderOf(orderId.slice(-1), { status })
    })

    it.effect("each is looked up within the limits, and they are told together", () =>
      Effect.gen(function*() {
        const { commands, counts, desk } = yield* cancelling((id) => Effect.succeed(told(id, "partiallyCanceled")))
        assert.deepStrictEqual(yield* desk.cancelAll(pair), {
          _tag: "Accepted",
          value: [gone, ...["b", "c"].map((id) => orderOf(id, { status: "partiallyCanceled" }))]
        })
        assert.deepStrictEqual(tags(commands), ["CancelAll", "Get", "Get"])
        assert.deepInclude(counts, { sent: 1, accepted: 1, unknown: 0 })
      }))

    it.effect("a look-up that fails leaves it unknown until all are known", () =>
      Effect.gen(function*() {
        const { desk } = yield* cancelling((id, call) =>
          call <= 3 && id === "id-c"
            ? Effect.fail(refused(429, "rateLimit", 500))
            : Effect.succeed(told(id, "canceled"))
        )
        const outcome = yield* desk.cancelAll(pair)
        assert.strictEqual(outcome._tag, "Unknown")
        assert.deepStrictEqual(yield* within(resolvedOf(outcome), "2 seconds"), {
          _tag: "Accepted",
          value: [gone, ...["b", "c"].map((id) => orderOf(id, { status: "canceled" }))]
        })
      }))

    it.effect("one that a copy does not show yet is waited for, and left out when it never shows", () =>
      Effect.gen(function*() {
        const { counts, desk } = yield* cancelling((id) =>
          Effect.succeed(id === "id-b" ? { _tag: "Nothing" } : told(id, "canceled"))
        )
        const outcome = yield* desk.cancelAll(pair)
        assert.strictEqual(outcome._tag, "Unknown")
        const fiber = yield* Effect.forkChild(resolvedOf(outcome), { startImmediately: true })
        yield* TestClock.adjust("3 seconds")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.join(fiber), {
          _tag: "Accepted",
          value: [gone, orderOf("c", { status: "canceled" })]
        })
        assert.deepInclude(counts, { unknown: 1, resolved: 1, rejected: 0 })
      }))

    it.effect("one that stays open is told", () =>
      Effect.gen(function*() {
        const { desk } = yield* cancelling((id) => Effect.succeed(told(id, id === "id-b" ? "new" : "canceled")))
        const outcome = yield* desk.cancelAll(pair)
        assert(outcome._tag === "Unknown")
        assert.include(outcome.cause.message, "a cancelled order still shows as open")
        const resolved = yield* within(resolvedOf(outcome), "5 seconds")
        assert(resolved._tag === "Rejected")
        assert.strictEqual(resolved.reason.code, "not-carried-out")
        assert.include(resolved.reason.detail, "1 of the orders")
      }))
  })

  it.effect("of an exchange that does not tell which is accepted all the same", () =>
    Effect.gen(function*() {
      const { desk } = yield* start(() => Effect.succeed({ _tag: "Done" }))
      assert.deepStrictEqual(yield* desk.cancelAll(), { _tag: "Accepted", value: [] })
    }))
})

describe("amending", () => {
  const wants = { price: "101.005", quantity: "2.0005" } as const

  it.effect("asks for the order first, rounds as its side wants it, and sends plain text", () =>
    Effect.gen(function*() {
      for (const [side, price] of [["buy", "101"], ["sell", "101.01"]] as const) {
        const { commands, desk } = yield* start(() => Effect.succeed(order({ side })))
        assert.strictEqual((yield* desk.amend(ref, wants))._tag, "Accepted")
        assert.deepStrictEqual(commands, [
          { _tag: "Get", ref: { symbol: "BTCUSDT", clientOrderId: "a" } },
          { _tag: "Amend", ref: { symbol: "BTCUSDT", clientOrderId: "a" }, side, price, quantity: "2" }
        ])
      }
    }))

  it.effect("has as long as any command to be told the order first", () =>
    Effect.gen(function*() {
      const { desk } = yield* start(({ _tag }) => Effect.as(Effect.sleep(_tag === "Get" ? 1_200 : 1), order()), {
        answer: "1500 millis"
      })
      const amended = yield* within(desk.amend(ref, { price: "101" }), "2 seconds")
      assert.strictEqual(amended._tag, "Accepted")
    }))

  it.effect("leaves out what it does not change", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(() => Effect.succeed(order()))
      yield* desk.amend(ref, { price: "101" })
      yield* desk.amend(ref, { quantity: "2" })
      assert.deepInclude(commands[1], { price: "101", quantity: null })
      assert.deepInclude(commands[3], { price: null, quantity: "2" })
    }))

  it.effect("what cannot be: nothing is sent", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(() => Effect.succeed(order()))
      const invalid = yield* Effect.flip(desk.amend(ref, {}))
      assert(invalid.reason._tag === "InvalidOrder")
      assert.deepInclude(invalid.reason, {
        symbol: pair,
        field: "amendment",
        detail: "names neither price nor quantity"
      })
      for (const wrong of [{ price: "0" }, { price: "x" }, { quantity: "0" }, { quantity: "0.0001" }]) {
        const { reason } = yield* Effect.flip(desk.amend(ref, wrong))
        assert.strictEqual(reason._tag, "InvalidOrder", JSON.stringify(wrong))
      }
      assert.notInclude(tags(commands), "Amend")
      assert.strictEqual(
        (yield* Effect.flip(desk.amend({ pair: "NO/PAIR", orderId: "1" }, wants))).reason._tag,
        "UnknownPair"
      )
      const { desk: without } = yield* start(() => Effect.die("nothing may be sent"), {
        protocol: { abilities: new Set() }
      })
      const { reason } = yield* Effect.flip(without.amend(ref, wants))
      assert(reason._tag === "UnsupportedOrder")
      assert.deepInclude(reason, { symbol: pair, detail: "orders cannot be amended; cancel and place" })
    }))

  it.effect("an order that is not there is a refusal", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(() => Effect.succeed({ _tag: "Nothing" }))
      assert.deepStrictEqual(yield* desk.amend(ref, wants), {
        _tag: "Rejected",
        reason: { code: "unknown-order", detail: "there is no such order", class: "item" }
      })
      assert.deepStrictEqual(tags(commands), ["Get"])
    }))

  type Row = readonly [after: Partial<Order> | null, wanted: object, resolved: string]
  const rows: Readonly<Record<string, Row>> = {
    "both are as wanted": [{ price: Decimal.of("101.00"), quantity: Decimal.of("2") }, wants, "Accepted"],
    "as wanted, though it has ended": [
      { price: Decimal.of("101"), quantity: Decimal.of("2"), status: "filled" },
      wants,
      "Accepted"
    ],
    "the price alone was wanted": [{ price: Decimal.of("101") }, { price: "101" }, "Accepted"],
    "the quantity alone was wanted": [{ quantity: Decimal.of("2") }, { quantity: "2" }, "Accepted"],
    "another price": [{ quantity: Decimal.of("2") }, wants, "never-arrived"],
    "another quantity": [{ price: Decimal.of("101") }, wants, "never-arrived"],
    "an order without price": [{ price: null, quantity: Decimal.of("2") }, wants, "never-arrived"],
    "an order without quantity": [{ price: Decimal.of("101"), quantity: null }, wants, "never-arrived"],
    "another, and it has ended": [{ status: "filled" }, wants, "filled"],
    "no order": [null, wants, "never-arrived"]
  }
  for (const [name, [after, wanted, expected]] of Object.entries(rows)) {
    it.effect(`lost, then ${name}: ${expected}`, () =>
      Effect.gen(function*() {
        const { desk } = yield* start(({ _tag }, call) => {
          if (_tag === "Amend") return Effect.fail(silent)
          if (call === 1) return Effect.succeed(order())
          return Effect.succeed(after === null ? { _tag: "Nothing" } : order(after))
        })
        const outcome = yield* desk.amend(ref, wanted)
        assert.strictEqual(outcome._tag, "Unknown")
        const resolved = yield* within(resolvedOf(outcome), "10 seconds")
        assert.strictEqual(resolved._tag === "Rejected" ? resolved.reason.code : resolved._tag, expected)
        if (expected === "filled" && resolved._tag === "Rejected") {
          assert.deepStrictEqual(resolved.reason, {
            code: "filled",
            detail: "the order had ended before",
            class: "item"
          })
        }
      }))
  }
})

describe("one command for an order at a time", () => {
  /** Answers when told to. */
  const slow = Effect.gen(function*() {
    let isOpen = false
    const started = yield* start(({ _tag }) =>
      _tag === "Cancel" && !isOpen ? Effect.as(Effect.sleep(500), order()) : Effect.succeed(order())
    )
    return { ...started, open: () => isOpen = true }
  })

  it.effect("the second waits for the first, whichever of its names it is called by", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* slow
      yield* desk.place(request)
      const first = yield* Effect.forkChild(desk.cancel(ref), { startImmediately: true })
      const second = yield* Effect.forkChild(desk.cancel({ pair, orderId: "id-a" }), { startImmediately: true })
      yield* TestClock.adjust(499)
      assert.deepStrictEqual(tags(commands), ["Place", "Cancel"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(tags(commands), ["Place", "Cancel", "Cancel"])
      yield* TestClock.adjust(500)
      yield* Fiber.join(first)
      yield* Fiber.join(second)
    }))

  it.effect("other orders do not wait", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* slow
      const first = yield* Effect.forkChild(desk.cancel(ref), { startImmediately: true })
      const other = yield* Effect.forkChild(desk.cancel({ pair, clientOrderId: "b" }), { startImmediately: true })
      const third = yield* Effect.forkChild(desk.cancel({ pair, orderId: "9" }), { startImmediately: true })
      const fourth = yield* Effect.forkChild(desk.cancel({ pair, orderId: "10" }), { startImmediately: true })
      yield* Effect.yieldNow
      assert.lengthOf(commands, 4)
      yield* TestClock.adjust(500)
      for (const fiber of [first, other, third, fourth]) yield* Fiber.join(fiber)
    }))

  it.effect("one that gives up waiting leaves the others their turn", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* slow
      const fibers = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(desk.cancel(ref), { startImmediately: true }))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fibers[1]!)
      yield* TestClock.adjust(1_000)
      assert.lengthOf(commands, 2)
      yield* Fiber.join(fibers[0]!)
      yield* Fiber.join(fibers[2]!)
      yield* within(desk.cancel(ref), 500)
      assert.lengthOf(commands, 3)
    }))

  it.effect("one that fails while it runs leaves the others their turn", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start((_, call) =>
        call === 1 ? Effect.delay(Effect.fail(refused(401, "auth")), 500) : Effect.succeed(order())
      )
      const first = yield* Effect.forkChild(Effect.flip(desk.cancel(ref)), { startImmediately: true })
      const second = yield* Effect.forkChild(desk.cancel(ref), { startImmediately: true })
      yield* Effect.yieldNow
      assert.lengthOf(commands, 1)
      yield* TestClock.adjust(500)
      yield* Fiber.join(first)
      assert.strictEqual((yield* Fiber.join(second))._tag, "Accepted")
      assert.lengthOf(commands, 2)
    }))

  it.effect("an open question keeps them waiting until it is answered", () =>
    Effect.gen(function*() {
      let known = false
      const { commands, desk } = yield* start(({ _tag }) => {
        if (_tag === "Amend") return Effect.fail(silent)
        if (_tag === "Cancel" || known || commands.length === 1) return Effect.succeed(order())
        return Effect.fail(refused(503, "retryable"))
      })
      const outcome = yield* desk.amend(ref, { price: "101" })
      assert.strictEqual(outcome._tag, "Unknown")
      const cancelling = yield* Effect.forkChild(desk.cancel(ref), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.notInclude(tags(commands), "Cancel")
      known = true
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(cancelling))._tag, "Accepted")
    }))

  it.effect("a question that the exchange will never answer closes the order to all of them, and to no other", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start((command) => {
        if (command._tag === "CancelAll") return Effect.succeed({ _tag: "Orders", orders: [] })
        if (command._tag === "Cancel") return Effect.succeed(order({ status: "canceled" }))
        return Effect.fail(command._tag === "Get" ? refused(401, "auth") : silent)
      })
      const { outcome } = yield* desk.place(request)
      const waiting = yield* Effect.forkChild(Effect.flip(desk.cancel(ref)), { startImmediately: true })
      assert.strictEqual((yield* Effect.flip(resolvedOf(outcome))).reason._tag, "RequestFailed")
      for (const failed of [yield* Fiber.join(waiting), yield* Effect.flip(desk.amend(ref, { price: "101" }))]) {
        assert(failed.reason._tag === "OutcomeUnknown")
        assert.strictEqual(failed.reason.order, "BTCUSDT a")
        assert.include(failed.message, "what became of the last command for the order BTCUSDT a is not known")
        assert.include(failed.message, "HTTP 401")
      }
      assert.notInclude(tags(commands), "Cancel")
      assert.strictEqual((yield* Effect.flip(desk.place(request))).reason._tag, "InvalidOrder")
      assert.strictEqual((yield* desk.cancel({ pair, clientOrderId: "b" }))._tag, "Accepted")
      assert.strictEqual((yield* desk.cancelAll(pair))._tag, "Accepted")
    }))

  const ways: Readonly<Record<string, (desk: Desk) => Effect.Effect<unknown, ExchangeError.ExchangeError>>> = {
    "get": (desk) => desk.get(ref),
    "get by the exchange's id, once it is known": (desk) =>
      Effect.andThen(desk.openOrders(), desk.get({ pair, orderId: "id-a" })),
    "the next command": (desk) => desk.cancel(ref)
  }
  for (const [name, way] of Object.entries(ways)) {
    it.effect(`${name} asks again what the exchange would not answer, and opens the order`, () =>
      Effect.gen(function*() {
        let isRefused = true
        const { commands, counts, desk } = yield* start((command) => {
          if (command._tag === "Cancel") return Effect.succeed(order({ status: "canceled" }))
          if (command._tag === "OpenOrders") return Effect.succeed({ _tag: "Orders", orders: [orderOf("a")] })
          if (command._tag === "Place") return Effect.fail(silent)
          return isRefused ? Effect.fail(refused(401, "auth")) : Effect.succeed(order())
        })
        const { outcome } = yield* desk.place(request)
        yield* Effect.flip(resolvedOf(outcome))
        assert.strictEqual((yield* Effect.flip(desk.cancel(ref))).reason._tag, "OutcomeUnknown")
        isRefused = false
        yield* way(desk)
        assert.deepInclude(counts, { unknown: 1, resolved: 1 })
        assert.strictEqual((yield* resolvedOf(outcome))._tag, "Accepted")
        assert.strictEqual((yield* desk.cancel(ref))._tag, "Accepted")
        assert.strictEqual(commands.at(-1)?._tag, "Cancel")
      }))
  }

  it.effect("who gives up waiting for what is asked again leaves the order to the next", () =>
    Effect.gen(function*() {
      const state = { answer: "refused" as "refused" | "silent" | "order" }
      const { desk } = yield* start((command) => {
        if (command._tag === "Cancel") return Effect.succeed(order({ status: "canceled" }))
        if (command._tag === "Place") return Effect.fail(silent)
        if (state.answer === "refused") return Effect.fail(refused(401, "auth"))
        return state.answer === "silent" ? Effect.fail(refused(503, "retryable")) : Effect.succeed(order())
      })
      const { outcome } = yield* desk.place(request)
      yield* Effect.flip(resolvedOf(outcome))
      state.answer = "silent"
      const waiting = yield* Effect.forkChild(desk.cancel(ref), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      // Neither does a get wait for it without an end.
      const failed = yield* Effect.flip(within(desk.get(ref), "3 seconds"))
      assert.strictEqual(failed.reason._tag, "RequestFailed")
      yield* Fiber.interrupt(waiting)
      state.answer = "order"
      assert.strictEqual((yield* within(desk.cancel(ref), "2 seconds"))._tag, "Accepted")
    }))

  /** A placement is lost, and by our id it is not found until told to. */
  const lostPlacement = (whose: () => Effect.Effect<Reply, ExchangeError.ExchangeError>) =>
    Effect.gen(function*() {
      const state = { isFound: false }
      const started = yield* start((command) => {
        if (command._tag === "Place") return Effect.fail(silent)
        if (command._tag === "OpenOrders") return Effect.succeed({ _tag: "Orders", orders: [orderOf("a")] })
        if (command._tag !== "Get") return Effect.succeed(order({ status: "canceled" }))
        if ("orderId" in command.ref) return whose()
        return state.isFound ? Effect.succeed(order()) : Effect.fail(refused(503, "retryable"))
      })
      const { outcome } = yield* started.desk.place(request)
      assert.strictEqual(outcome._tag, "Unknown")
      return { ...started, outcome, state }
    })
  const cancelled = (desk: Desk, orderId = "id-a") =>
    Effect.forkChild(desk.cancel({ pair, orderId }), { startImmediately: true })

  const others = {
    "the exchange says whose it is": Effect.succeed(order()),
    "the exchange cannot say whose it is": Effect.fail(refused(503, "retryable"))
  }
  for (const [name, whose] of Object.entries(others)) {
    it.effect(`a lost placement keeps those waiting that call it by the exchange's id: ${name}`, () =>
      Effect.gen(function*() {
        const { commands, desk, state } = yield* lostPlacement(() => whose)
        const cancelling = yield* cancelled(desk)
        yield* TestClock.adjust("1 minute")
        assert.notInclude(tags(commands), "Cancel")
        state.isFound = true
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* Fiber.join(cancelling))._tag, "Accepted")
      }))
  }

  it.effect("a lost placement keeps them waiting, its ids once seen together are not asked for again", () =>
    Effect.gen(function*() {
      const { commands, desk, state } = yield* lostPlacement(() => Effect.die("is known"))
      yield* desk.openOrders()
      const cancelling = yield* cancelled(desk)
      yield* TestClock.adjust("1 minute")
      assert.notInclude(tags(commands), "Cancel")
      state.isFound = true
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(cancelling))._tag, "Accepted")
    }))

  it.effect("a lost placement keeps no other order waiting", () =>
    Effect.gen(function*() {
      for (const whose of [order({ orderId: "9", clientOrderId: "z" }), { _tag: "Nothing" }] as const) {
        const { desk } = yield* lostPlacement(() => Effect.succeed(whose))
        const cancelling = yield* cancelled(desk, "9")
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* Fiber.join(cancelling))._tag, "Accepted")
      }
    }))

  it.effect("the ids of an order that was lost and found are known together", () =>
    Effect.gen(function*() {
      let asked = 0
      const { commands, desk, outcome, state } = yield* lostPlacement(() => {
        asked++
        return Effect.succeed(order())
      })
      state.isFound = true
      yield* within(resolvedOf(outcome), "2 seconds")
      const first = yield* Effect.forkChild(desk.amend(ref, { price: "101" }), { startImmediately: true })
      yield* Fiber.join(first)
      yield* Fiber.join(yield* cancelled(desk))
      assert.deepStrictEqual([asked, commands.at(-1)?._tag], [0, "Cancel"])
    }))
})

describe("several at once", () => {
  const requests = (...ids: ReadonlyArray<string>) =>
    ids.map((clientOrderId) => ({ ...request, clientOrderId })) as unknown as Parameters<Desk["placeAll"]>[0]

  it.effect("go in lists of what the exchange takes, and each has its own outcome", () =>
    Effect.gen(function*() {
      const no = { code: "LOW", detail: "too little", class: "item" } as const
      const { commands, counts, desk } = yield* start((command) =>
        command._tag === "PlaceAll"
          ? Effect.succeed({
            _tag: "Placed",
            results: command.orders.map(({ clientOrderId }) => clientOrderId === "b" ? no : orderOf(clientOrderId))
          })
          : Effect.die("only lists")
      )
      const placed = yield* desk.placeAll(requests("a", "b", "c"))
      assert.deepStrictEqual(placed.map(({ clientOrderId, outcome }) => [clientOrderId, outcome]), [
        ["a", { _tag: "Accepted", value: orderOf("a") }],
        ["b", { _tag: "Rejected", reason: no }],
        ["c", { _tag: "Accepted", value: orderOf("c") }]
      ])
      assert.deepStrictEqual(
        commands.map((command) =>
          command._tag === "PlaceAll" ? command.orders.map(({ clientOrderId }) => clientOrderId) : []
        ),
        [["a", "b"], ["c"]]
      )
      assert.deepStrictEqual(counts, { sent: 3, accepted: 2, rejected: 1, unknown: 0, resolved: 0, throttled: 0 })
    }))

  it.effect("go one by one where the exchange takes no lists", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(
        (command) =>
          Effect.succeed(command._tag === "Place" ? order({ clientOrderId: command.order.clientOrderId }) : order()),
        { protocol: { abilities: new Set() } }
      )
      const placed = yield* desk.placeAll(requests("a", "b", "c"))
      assert.deepStrictEqual(tags(commands), ["Place", "Place", "Place"])
      assert.deepStrictEqual(placed.map(({ clientOrderId }) => clientOrderId), ["a", "b", "c"])
    }))

  it.effect("are all checked before the first is sent", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(() => Effect.die("nothing may be sent"))
      const bad = [{ ...request }, { ...request, quantity: "0" }] as unknown as Parameters<Desk["placeAll"]>[0]
      assert.strictEqual((yield* Effect.flip(desk.placeAll(bad))).reason._tag, "InvalidOrder")
      assert.deepStrictEqual(commands, [])
    }))

  it.effect("refused as a list are refused each", () =>
    Effect.gen(function*() {
      const { counts, desk } = yield* start(() => Effect.fail(refused(400, "item")))
      const placed = yield* desk.placeAll(requests("a", "b"))
      assert.deepStrictEqual(placed.map(({ outcome }) => outcome._tag), ["Rejected", "Rejected"])
      assert.strictEqual(counts.rejected, 2)
    }))

  it.effect("whose list cannot be sent are an error", () =>
    Effect.gen(function*() {
      const { desk } = yield* start(() => Effect.fail(refused(401, "auth")))
      assert.strictEqual((yield* Effect.flip(desk.placeAll(requests("a", "b")))).reason._tag, "RequestFailed")
    }))

  it.effect("whose answer is lost are looked for one by one", () =>
    Effect.gen(function*() {
      const { commands, counts, desk } = yield* start((command) => {
        if (command._tag === "PlaceAll") return Effect.fail(silent)
        if (command._tag !== "Get" || !("clientOrderId" in command.ref)) return Effect.die("only questions")
        return Effect.succeed(command.ref.clientOrderId === "b" ? { _tag: "Nothing" } : order())
      })
      const placed = yield* desk.placeAll(requests("a", "b"))
      assert.deepStrictEqual(placed.map(({ outcome }) => outcome._tag), ["Unknown", "Unknown"])
      const resolved = yield* within(Effect.forEach(placed, ({ outcome }) => resolvedOf(outcome)), "10 seconds")
      assert.deepStrictEqual(resolved.map((result) => result._tag), ["Accepted", "Rejected"])
      assert.strictEqual(tags(commands).filter((tag) => tag === "PlaceAll").length, 1)
      assert.deepInclude(counts, { sent: 2, unknown: 2, resolved: 2, accepted: 1, rejected: 1 })
    }))

  for (
    const [name, reply] of [
      ["nothing of", { _tag: "Done" }],
      ["too little of", { _tag: "Placed", results: [orderOf("a")] }],
      ["in another order", { _tag: "Placed", results: [orderOf("b"), orderOf("a")] }],
      ["of others", { _tag: "Placed", results: [orderOf("a"), orderOf("c")] }]
    ] as const
  ) {
    it.effect(`that the answer tells ${name} are looked for, each by its own id`, () =>
      Effect.gen(function*() {
        const { counts, desk } = yield* start((command) =>
          Effect.succeed(
            command._tag === "Get" && "clientOrderId" in command.ref
              ? { _tag: "Order", order: orderOf(command.ref.clientOrderId) }
              : reply
          )
        )
        const placed = yield* desk.placeAll(requests("a", "b"))
        for (const { clientOrderId, outcome } of placed) {
          assert(outcome._tag === "Unknown")
          assert.deepStrictEqual(yield* outcome.resolved, { _tag: "Accepted", value: orderOf(clientOrderId) })
        }
        assert.deepInclude(counts, { sent: 2, unknown: 2, resolved: 2, accepted: 2, rejected: 0 })
      }))
  }
})

describe("names of orders", () => {
  it.effect("are ours, made by the exchange's rule, and never twice, not even at one moment", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(() => Effect.succeed(order()))
      yield* TestClock.setTime(1_780_000_000_000)
      for (let i = 0; i < 90; i++) yield* desk.place({ pair, side: "buy", quantity: "1", price: "100" })
      const ids = commands.map((command) => command._tag === "Place" ? command.order.clientOrderId : "")
      assert.strictEqual(new Set(ids).size, 90)
      // Time, count, four random letters.
      const time = (1_780_000_000_000).toString(36)
      ids.forEach((id, index) => assert.match(id, new RegExp(`^t-${time}${(index + 1).toString(36)}[0-9a-z]{4}$`)))
      assert.isAbove(new Set(ids.map((id) => id.slice(-4))).size, 80)
    }))

  it.effect("are told with the outcome", () =>
    Effect.gen(function*() {
      const { desk } = yield* start(() => Effect.succeed(order()))
      const { clientOrderId } = yield* desk.place({ pair, side: "buy", quantity: "1", price: "100" })
      assert.match(clientOrderId, /^t-/)
    }))
})

describe("over the socket", () => {
  const linkOf = (answer: (command: Command) => Effect.Effect<Reply, Failure>, ready = Effect.void) => {
    const asked: Array<readonly [Command["_tag"], number]> = []
    const waits: Array<number> = []
    const link: OrderSocketLink = {
      isReady: Effect.succeed(false),
      awaitReady: (withinMs) => {
        waits.push(withinMs)
        return ready
      },
      ask: (command, withinMs, sending) => {
        sending()
        asked.push([command._tag, withinMs])
        return answer(command)
      }
    }
    return { asked, link, waits }
  }
  const socket = { commands: new Set<Command["_tag"]>(["Place"]) } as unknown as OrderSocket

  it.effect("go the commands that it takes; the others go over REST", () =>
    Effect.gen(function*() {
      const { asked, link, waits } = linkOf(() => Effect.succeed(order()))
      const { commands, counts, desk } = yield* start(() => Effect.succeed(order()), { link, protocol: { socket } })
      assert.strictEqual((yield* desk.place(request)).outcome._tag, "Accepted")
      assert.strictEqual((yield* desk.cancel(ref))._tag, "Accepted")
      assert.deepStrictEqual([asked, waits, tags(commands)], [[["Place", 1_000]], [2_000, 2_000], ["Cancel"]])
      assert.strictEqual(counts.sent, 2)
      assert.isFalse(yield* desk.isReady)
      const { desk: alone } = yield* start(() => Effect.succeed(order()))
      assert.isTrue(yield* alone.isReady)
    }))

  for (
    const [name, retryAfterMs, waits] of [["as long as it says", 700, 700], ["a second", undefined, 1_000]] as const
  ) {
    it.effect(`what it refuses as too much is sent again when it allows it: ${name}`, () =>
      Effect.gen(function*() {
        let calls = 0
        const { asked, link } = linkOf(() =>
          ++calls === 1
            ? Effect.fail(new Refusal({ code: "TOO_MANY", detail: "slow down", class: "rateLimit", retryAfterMs }))
            : Effect.succeed(order())
        )
        const { counts, desk } = yield* start(() => Effect.die("no REST"), { link, protocol: { socket } })
        const fiber = yield* Effect.forkChild(desk.place(request), { startImmediately: true })
        yield* TestClock.adjust(waits - 1)
        assert.lengthOf(asked, 1)
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* Fiber.join(fiber)).outcome._tag, "Accepted")
        assert.deepInclude(counts, { sent: 1, accepted: 1, rejected: 0, throttled: 1 })
      }))
  }

  it.effect("nothing goes where the exchange has none", () =>
    Effect.gen(function*() {
      const { asked, link } = linkOf(() => Effect.succeed(order()))
      const { commands, desk } = yield* start(() => Effect.succeed(order()), { link })
      yield* desk.place(request)
      assert.deepStrictEqual([asked, tags(commands)], [[], ["Place"]])
    }))

  it.effect("a connection that does not come in time: nothing was sent", () =>
    Effect.gen(function*() {
      const failure = error(new ExchangeError.Disconnected({ code: 1006, detail: "no connection" }))
      const { asked, link } = linkOf(
        () => Effect.succeed(order()),
        Effect.fail(failure) as unknown as Effect.Effect<void>
      )
      const { counts, desk } = yield* start(() => Effect.die("no REST"), { link, protocol: { socket } })
      assert.strictEqual(yield* Effect.flip(desk.place(request)), failure)
      assert.deepStrictEqual([asked, counts.sent], [[], 0])
    }))

  it.effect("the wait for a connection is what the wait for a turn has left", () =>
    Effect.gen(function*() {
      const { link, waits } = linkOf(() => Effect.succeed(order()))
      const { desk } = yield* start(() => Effect.die("no REST"), {
        link,
        protocol: { socket, uses: () => [{ budget: "one", tokens: 1, limit: 1, window: "1500 millis" }] }
      })
      yield* desk.place(request)
      yield* within(desk.place({ ...request, clientOrderId: "b" }), 1_500)
      // Before its turn and, where there is none any more, behind it.
      assert.deepStrictEqual(waits, [2_000, 2_000, 2_000, 500])
    }))

  it.effect("a loss is looked for over REST; a refusal is one", () =>
    Effect.gen(function*() {
      const no = { code: "NO", detail: "never", class: "item" } as const
      const { link } = linkOf((command) =>
        Effect.fail(
          command._tag === "Place" && command.order.clientOrderId === "a" ? new Lost(silent) : new Refusal(no)
        )
      )
      const { commands, desk } = yield* start(() => Effect.succeed(order()), { link, protocol: { socket } })
      const { outcome } = yield* desk.place(request)
      assert(outcome._tag === "Unknown")
      assert.strictEqual(outcome.cause, silent)
      assert.strictEqual((yield* outcome.resolved)._tag, "Accepted")
      assert.deepStrictEqual(tags(commands), ["Get"])
      const other = yield* desk.place({ ...request, clientOrderId: "b" })
      assert.deepStrictEqual(other.outcome, { _tag: "Rejected", reason: no })
    }))
})

describe("what the exchange has acknowledged", () => {
  const acknowledging = (...commands: ReadonlyArray<Command["_tag"]>) => ({
    link: {
      isReady: Effect.succeed(true),
      awaitReady: () => Effect.void,
      ask: (_command: Command, _withinMs: number, sending: () => void) =>
        Effect.suspend(() => {
          sending()
          return Effect.fail(new Lost(silent, true))
        })
    } satisfies OrderSocketLink,
    protocol: { socket: { commands: new Set(commands) } as unknown as OrderSocket }
  })

  for (const kind of ["Place", "PlaceAll"] as const) {
    const lost = (isShown: () => boolean) =>
      Effect.gen(function*() {
        const started = yield* start(
          ({ _tag }) =>
            Effect.sync(() => {
              if (_tag === "Cancel") return order({ status: "canceled" })
              return isShown() ? order() : { _tag: "Nothing" }
            }),
          acknowledging(kind)
        )
        const [placed] = kind === "Place"
          ? [yield* started.desk.place(request)]
          : yield* started.desk.placeAll([request])
        const { outcome } = placed!
        const fiber = yield* Effect.forkChild(resolvedOf(outcome), { startImmediately: true })
        return { ...started, outcome, fiber }
      })

    it.effect(`${kind}: has arrived, and is asked for when the request has long expired`, () =>
      Effect.gen(function*() {
        let shows = false
        const { fiber } = yield* lost(() => shows)
        yield* TestClock.adjust("50 seconds")
        assert.isUndefined(fiber.pollUnsafe())
        shows = true
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* Fiber.join(fiber), { _tag: "Accepted", value: orderOf("a") })
      }))

    it.effect(`${kind}: what does not show within a minute is an error that says so, and whoever asks again may find it`, () =>
      Effect.gen(function*() {
        let shows = false
        const { commands, counts, desk, fiber, outcome } = yield* lost(() => shows)
        yield* TestClock.adjust("59 seconds")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("11 seconds")
        const failed = yield* Effect.flip(Fiber.join(fiber))
        assert(failed.reason._tag === "OutcomeUnknown")
        assert.strictEqual(failed.reason.order, "BTCUSDT a")
        assert.include(failed.message, "nothing shows of it")
        assert.include(failed.message, "get and every later command for it ask again")
        const asked = commands.length
        yield* TestClock.adjust("10 minutes")
        assert.lengthOf(commands, asked)
        // Neither a get that finds nothing nor a command lets others through.
        assert.isNull(yield* within(desk.get(ref), "2 seconds"))
        const held = yield* Effect.flip(within(desk.cancel(ref), "2 seconds"))
        assert.strictEqual(held.reason._tag, "OutcomeUnknown")
        assert.notInclude(tags(commands), "Cancel")
        assert.deepInclude(counts, { unknown: 1, resolved: 0 })
        shows = true
        assert.deepStrictEqual(yield* within(desk.get(ref), "2 seconds"), orderOf("a"))
        assert.deepStrictEqual(yield* within(resolvedOf(outcome), 1), { _tag: "Accepted", value: orderOf("a") })
        assert.deepInclude(counts, { unknown: 1, resolved: 1, accepted: 1 })
        assert.strictEqual((yield* within(desk.cancel({ pair, orderId: "id-a" }), 1))._tag, "Accepted")
      }))
  }

  it.effect("a cancel that shows nothing was not carried out; it did not get lost", () =>
    Effect.gen(function*() {
      const { desk } = yield* start(() => Effect.succeed(order()), acknowledging("Cancel"))
      const resolved = yield* within(resolvedOf(yield* desk.cancel(ref)), "10 seconds")
      assert.strictEqual(resolved._tag === "Rejected" ? resolved.reason.code : resolved._tag, "not-carried-out")
    }))
})

describe("what only reads, or may be sent again", () => {
  const reads: Readonly<
    Record<string, readonly [(desk: Desk) => Effect.Effect<unknown, ExchangeError.ExchangeError>, Command]>
  > = {
    "get": [(desk) => desk.get(ref), { _tag: "Get", ref: { symbol: "BTCUSDT", clientOrderId: "a" } }],
    "get by the exchange's id": [
      (desk) => desk.get({ pair, orderId: "7" }),
      { _tag: "Get", ref: { symbol: "BTCUSDT", orderId: "7" } }
    ],
    "openOrders": [(desk) => desk.openOrders(), { _tag: "OpenOrders", symbol: null }],
    "openOrders of a pair": [(desk) => desk.openOrders(pair), { _tag: "OpenOrders", symbol: "BTCUSDT" }],
    "cancelAllAfter": [
      (desk) => desk.cancelAllAfter(5_000, pair),
      { _tag: "CancelAllAfter", afterMs: 5_000, symbol: "BTCUSDT" }
    ],
    "cancelAllAfter, disarmed": [
      (desk) => desk.cancelAllAfter(null),
      { _tag: "CancelAllAfter", afterMs: null, symbol: null }
    ],
    "setLeverage": [(desk) => desk.setLeverage(pair, 12.5), {
      _tag: "SetLeverage",
      symbol: "BTCUSDT",
      leverage: "12.5"
    }],
    "setMarginMode": [(desk) => desk.setMarginMode(pair, "cross"), {
      _tag: "SetMarginMode",
      symbol: "BTCUSDT",
      mode: "cross"
    }]
  }
  for (const [name, [run, command]] of Object.entries(reads)) {
    it.effect(`${name}: sent as it is; what goes wrong is an error`, () =>
      Effect.gen(function*() {
        const { commands, desk } = yield* start(() => Effect.succeed({ _tag: "Done" }))
        yield* run(desk)
        assert.deepStrictEqual(commands, [command])
        const refusal = yield* start(() => Effect.fail(refused(400, "item")))
        const { reason } = yield* Effect.flip(run(refusal.desk))
        assert(reason._tag === "RequestFailed")
        assert.deepInclude(reason, { request: command._tag, status: 400, code: "X", detail: "no", class: "item" })
        const lost = yield* start(() => Effect.fail(silent))
        assert.strictEqual(yield* Effect.flip(run(lost.desk)), silent)
        const denied = refused(401, "auth")
        const key = yield* start(() => Effect.fail(denied))
        assert.strictEqual(yield* Effect.flip(run(key.desk)), denied)
      }))
  }

  it.effect("cancelAllAfter of less than the exchange takes is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(() => Effect.succeed({ _tag: "Done" }), {
        protocol: { leastCancelAllAfter: "5 seconds" }
      })
      for (const wrong of [4_999, 1, 0, -1, Number.NaN]) {
        const failed = yield* Effect.flip(desk.cancelAllAfter(wrong, pair))
        assert.strictEqual(failed.reason._tag, "UnsupportedOrder")
        assert.include(failed.message, `takes 5000 ms at the least, not ${wrong}`)
      }
      assert.deepStrictEqual(commands, [])
      yield* desk.cancelAllAfter(5_000, pair)
      yield* desk.cancelAllAfter(null, pair)
      const { desk: other } = yield* start(() => Effect.succeed({ _tag: "Done" }))
      yield* other.cancelAllAfter(1, pair)
      assert.strictEqual((yield* Effect.flip(other.cancelAllAfter(0, pair))).reason._tag, "UnsupportedOrder")
      assert.lengthOf(commands, 2)
    }))

  it.effect("an order, or none; orders, or none", () =>
    Effect.gen(function*() {
      const { desk } = yield* start(({ _tag }) =>
        Effect.succeed(_tag === "Get" ? order() : { _tag: "Orders", orders: [orderOf("b")] })
      )
      assert.deepStrictEqual(yield* desk.get(ref), orderOf("a"))
      assert.deepStrictEqual(yield* desk.openOrders(), [orderOf("b")])
      const { desk: empty } = yield* start(() => Effect.succeed({ _tag: "Nothing" }))
      assert.deepStrictEqual([yield* empty.get(ref), yield* empty.openOrders()], [null, []])
    }))

  it.effect("leverage", () =>
    Effect.gen(function*() {
      const reply: Reply = { _tag: "Leverage", leverage: Decimal.of("10"), mode: "cross" }
      const { commands, desk } = yield* start(() => Effect.succeed(reply))
      assert.deepInclude(yield* desk.leverage(pair), { leverage: Decimal.of("10"), mode: "cross" })
      assert.deepStrictEqual(commands, [{ _tag: "Leverage", symbol: "BTCUSDT" }])
      const { desk: odd } = yield* start(() => Effect.succeed({ _tag: "Done" }))
      const { reason } = yield* Effect.flip(odd.leverage(pair))
      assert(reason._tag === "DecodeFailed")
      assert.deepInclude(reason, { symbol: pair, detail: "the answer holds no leverage" })
      const wrong = yield* Effect.flip(desk.setLeverage(pair, "much"))
      assert(wrong.reason._tag === "InvalidOrder")
      assert.deepInclude(wrong.reason, { symbol: pair, field: "leverage" })
    }))

  it.effect("what the exchange does not have is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const { desk } = yield* start(() => Effect.die("nothing may be sent"), { protocol: { abilities: new Set() } })
      const missing = [
        [desk.cancelAllAfter(1_000, pair), "this exchange has no dead man's switch"],
        [desk.leverage(pair), "this exchange has no leverage"],
        [desk.setLeverage(pair, "2"), "this exchange has no leverage"],
        [desk.setMarginMode(pair, "cross"), "this exchange has no margin mode"]
      ] as const
      for (const [run, detail] of missing) {
        const { reason } = yield* Effect.flip(run as Effect.Effect<unknown, ExchangeError.ExchangeError>)
        assert(reason._tag === "UnsupportedOrder")
        assert.deepInclude(reason, { symbol: pair, detail })
      }
    }))

  it.effect("of a pair that is not listed: nothing is sent", () =>
    Effect.gen(function*() {
      const { desk } = yield* start(() => Effect.die("nothing may be sent"))
      const none = "NO/PAIR"
      const runs: ReadonlyArray<Effect.Effect<unknown, ExchangeError.ExchangeError>> = [
        desk.get({ pair: none, orderId: "1" }),
        desk.cancel({ pair: none, orderId: "1" }),
        desk.openOrders(none),
        desk.cancelAllAfter(1, none),
        desk.leverage(none),
        desk.setLeverage(none, 1),
        desk.setMarginMode(none, "cross")
      ]
      for (const run of runs) assert.strictEqual((yield* Effect.flip(run)).reason._tag, "UnknownPair")
    }))
})
