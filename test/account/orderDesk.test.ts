import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as DeskCounts from "../../src/account/DeskCounts.ts"
import * as OrderDesk from "../../src/account/OrderDesk.ts"
import type { AccountCalls, Command, OrderProtocol, Reply } from "../../src/AccountAdapter.ts"
import type { Fill, Order } from "../../src/domain/Account.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import type { Ability, Departure, OrderEntry } from "../../src/OrderEntry.ts"
import { Departing, MayLeave } from "../../src/OrderEntry.ts"
import * as RateLimits from "../../src/RateLimits.ts"
import { fill } from "./Bank.ts"
import { instrumentOf, orderOf, refused as failed } from "./Orders.ts"

const pair = "BTC/USDT"

const instrument = instrumentOf("toy")

const other = "ETH/USDT"

const protocol: OrderProtocol = {
  abilities: new Set(["amend", "quoteQuantity"]),
  socket: null,
  clientOrderIds: { make: (unique) => unique, problem: (id) => id.includes(" ") ? "it holds a space" : null },
  batchSize: 10,
  uses: () => [{ budget: "orders", tokens: 1, limit: 100, window: "1 second" }]
}

type Script = (command: Command, call: number) => Effect.Effect<Reply, ExchangeError.ExchangeError>

const start = (
  script: Script,
  overrides: Partial<OrderProtocol> = {},
  fills: ReadonlyArray<Fill> = [],
  open: () => ReadonlyArray<Order> = () => [],
  exchangeNow: Effect.Effect<number> = Clock.currentTimeMillis
) =>
  Effect.gen(function*() {
    const commands: Array<Command> = []
    const calls = {
      run: (command: Command) => {
        commands.push(command)
        return script(command, commands.length)
      },
      openOrders: () => Effect.sync(open),
      fills: () => Effect.succeed(fills)
    } as unknown as AccountCalls
    const counts = DeskCounts.noCounts()
    const desk = yield* OrderDesk.make({
      exchange: "toy",
      protocol: { ...protocol, ...overrides },
      calls,
      link: null,
      limits: yield* RateLimits.make("toy"),
      instrument: (name) =>
        name === pair || name === other
          ? Effect.succeed(name === pair ? instrument : { ...instrument, pair: other, symbol: "ETHUSDT" })
          : Effect.fail(
            ExchangeError.make("toy", new ExchangeError.UnknownPair({ symbol: name, detail: "not listed" }))
          ),
      listed: Effect.void,
      exchangeNow,
      queueTimeout: "2 seconds",
      answerTimeout: "1 second",
      expiry: "2 seconds",
      counts
    })
    return { desk, commands, counts }
  })

const tags = (commands: ReadonlyArray<Command>) => commands.map(({ _tag }) => _tag)

const place = (desk: OrderEntry["Service"], clientOrderId = "a") =>
  desk.place({ pair, side: "buy", quantity: "1", price: "100", clientOrderId })

const advance = <A, E>(effect: Effect.Effect<A, E>, by: Parameters<typeof TestClock.adjust>[0]) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust(by)
    return yield* Fiber.join(fiber)
  })

describe("OrderDesk", () => {
  it.effect("an answer is an outcome, and so is a refusal", () =>
    Effect.gen(function*() {
      const { counts, desk } = yield* start((command) =>
        command._tag === "Place" && command.order.clientOrderId === "b"
          ? Effect.fail(failed(400, "item"))
          : Effect.succeed({ _tag: "Order", order: orderOf("a") })
      )
      const { outcome } = yield* place(desk)
      assert.strictEqual(outcome._tag, "Accepted")
      const refused = yield* place(desk, "b")
      assert.deepStrictEqual(refused.outcome, { _tag: "Rejected", reason: { code: "X", detail: "no", class: "item" } })
      assert.deepStrictEqual(counts, { ...DeskCounts.noCounts(), sent: 2, accepted: 1, rejected: 1 })
    }))

  for (
    const [name, lost] of [["no answer", Effect.never], ["HTTP 502", Effect.fail(failed(502, "retryable"))]] as const
  ) {
    it.effect(`${name}: unknown, never sent again, and resolved by what the exchange knows`, () =>
      Effect.gen(function*() {
        const { commands, desk } = yield* start(({ _tag }, call) => {
          if (_tag === "Place") return lost
          return Effect.succeed(call < 4 ? { _tag: "Nothing" } : { _tag: "Order", order: orderOf("a") })
        })
        const { outcome } = yield* advance(place(desk), "1 second")
        assert.strictEqual(outcome._tag, "Unknown")
        const resolved = yield* advance(outcome._tag === "Unknown" ? outcome.resolved : Effect.die("no"), "1 second")
        assert.strictEqual(resolved._tag, "Accepted")
        assert.deepStrictEqual(tags(commands), ["Place", "Get", "Get", "Get"])
      }))
  }

  it.effect("an order that the exchange does not know once the request has expired never arrived", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(({ _tag }) =>
        _tag === "Place" ? Effect.fail(failed(null, "retryable")) : Effect.succeed({ _tag: "Nothing" })
      )
      const { outcome } = yield* place(desk)
      assert.strictEqual(outcome._tag, "Unknown")
      if (outcome._tag !== "Unknown") return
      const fiber = yield* Effect.forkChild(outcome.resolved, { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      const resolved = yield* Fiber.join(fiber)
      assert.strictEqual(resolved._tag === "Rejected" ? resolved.reason.code : "", "never-arrived")
      assert.strictEqual(tags(commands).filter((tag) => tag === "Place").length, 1)
    }))

  it.effect("nothing else leaves for an order whose outcome is unknown", () =>
    Effect.gen(function*() {
      let known = false
      const { commands, desk } = yield* start(({ _tag }) => {
        if (_tag === "Place") return Effect.fail(failed(503, "retryable"))
        if (_tag === "Get") {
          return known ? Effect.succeed({ _tag: "Order", order: orderOf("a") }) : Effect.fail(failed(503, "retryable"))
        }
        return Effect.succeed({ _tag: "Order", order: orderOf("a", { status: "canceled" }) })
      })
      yield* place(desk)
      const cancelling = yield* Effect.forkChild(desk.cancel({ pair, clientOrderId: "a" }), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.notInclude(tags(commands), "Cancel")
      known = true
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(cancelling))._tag, "Accepted")
    }))

  it.effect("a lost cancel is judged by the order's state", () =>
    Effect.gen(function*() {
      for (const [status, expected] of [["canceled", "Accepted"], ["filled", "Rejected"]] as const) {
        const { desk } = yield* start(({ _tag }) =>
          _tag === "Cancel"
            ? Effect.fail(failed(500, "retryable"))
            : Effect.succeed({ _tag: "Order", order: orderOf("a", { status }) })
        )
        const outcome = yield* desk.cancel({ pair, orderId: "id-a" })
        assert.strictEqual(outcome._tag === "Unknown" ? (yield* outcome.resolved)._tag : outcome._tag, expected)
      }
    }))

  it.effect("too many requests: sent again once the exchange allows it, and everybody waits as long as it asks", () =>
    Effect.gen(function*() {
      const { commands, counts, desk } = yield* start((_, call) =>
        call === 1
          ? Effect.fail(failed(429, "rateLimit", 1_500))
          : Effect.succeed({ _tag: "Order", order: orderOf("b") })
      )
      const first = yield* Effect.forkChild(place(desk), { startImmediately: true })
      const second = yield* Effect.forkChild(place(desk, "b"), { startImmediately: true })
      yield* TestClock.adjust(1_499)
      assert.lengthOf(commands, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(first)).outcome._tag, "Accepted")
      assert.strictEqual((yield* Fiber.join(second)).outcome._tag, "Accepted")
      assert.deepStrictEqual(counts, { ...DeskCounts.noCounts(), sent: 2, accepted: 2, throttled: 1 })
    }))

  it.effect("too many requests for longer than a command may wait: nothing is in force, and the error says so", () =>
    Effect.gen(function*() {
      const { counts, desk } = yield* start(() => Effect.fail(failed(429, "rateLimit", 60_000)))
      const error = yield* Effect.flip(place(desk))
      assert.strictEqual(error.reason._tag, "RateLimited")
      assert.deepStrictEqual(counts, { ...DeskCounts.noCounts(), throttled: 1 })
    }))

  it.effect("whoever judges orders is asked when they leave, behind their turn; what is refused then is not sent", () =>
    Effect.gen(function*() {
      const { commands, counts, desk } = yield* start(
        () => Effect.succeed({ _tag: "Order", order: orderOf("a") }),
        { uses: () => [{ budget: "orders", tokens: 1, limit: 1, window: "1 second" }] }
      )
      yield* place(desk)
      const stopped = ExchangeError.make(
        "toy",
        new ExchangeError.RiskRefused({ symbol: pair, limit: "killSwitch", of: "toy", detail: "the test threw it" })
      )
      let problem: ExchangeError.ExchangeError | null = null
      const judged = <A, E>(effect: Effect.Effect<A, E>) => Effect.provideService(effect, MayLeave, () => problem)
      const waiting = yield* Effect.forkChild(Effect.flip(judged(place(desk, "b"))), { startImmediately: true })
      problem = stopped
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(waiting), stopped)
      assert.deepStrictEqual([tags(commands), counts.sent], [["Place"], 1])
      // Nothing of it is in force, and others are not asked.
      yield* advance(desk.cancel({ pair, clientOrderId: "a" }), "1 second")
      problem = null
      yield* advance(judged(place(desk, "b")), "2 seconds")
      assert.deepStrictEqual(tags(commands), ["Place", "Cancel", "Place"])
    }))

  it.effect("nor is what is judged while the exchange's clock, by which it is stamped, has come into doubt", () =>
    Effect.gen(function*() {
      let isDoubted = false
      const exchangeNow = Effect.suspend(() =>
        isDoubted ? Effect.delay(Clock.currentTimeMillis, "300 millis") : Clock.currentTimeMillis
      )
      let left = 0
      const { desk } = yield* start(
        () =>
          Effect.map(exchangeNow, () => {
            left++
            isDoubted = false
            return { _tag: "Order", order: orderOf("a") }
          }),
        { uses: () => [{ budget: "orders", tokens: 1, limit: 1, window: "1 second" }] },
        [],
        undefined,
        exchangeNow
      )
      yield* place(desk)
      let problem: ExchangeError.ExchangeError | null = null
      const judged = Effect.provideService(place(desk, "b"), MayLeave, () => problem)
      const waiting = yield* Effect.forkChild(Effect.flip(judged), { startImmediately: true })
      yield* TestClock.adjust("900 millis")
      isDoubted = true
      yield* TestClock.adjust("250 millis")
      problem = failed(400, "item")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(waiting), problem)
      assert.strictEqual(left, 1)
    }))

  it.effect("interrupted before it leaves: taken back, and its id is free", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(
        () => Effect.succeed({ _tag: "Order", order: orderOf("a") }),
        { uses: () => [{ budget: "orders", tokens: 1, limit: 1, window: "1 second" }] }
      )
      yield* place(desk, "first")
      const waiting = yield* Effect.forkChild(place(desk), { startImmediately: true })
      yield* Fiber.interrupt(waiting)
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(commands, 1)
      assert.strictEqual((yield* place(desk)).outcome._tag, "Accepted")
    }))

  it.effect("tells who asks whether a command has left, through its turn and refusals for too many", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(
        (_, call) =>
          call === 2
            ? Effect.fail(failed(429, "rateLimit", 1_500))
            : Effect.delay(Effect.succeed({ _tag: "Order", order: orderOf("a") } as const), "100 millis"),
        { uses: () => [{ budget: "orders", tokens: 1, limit: 1, window: "1 second" }] }
      )
      const watched = Effect.fnUntraced(function*(clientOrderId: string) {
        const departure: Departure = { hasLeft: null }
        const placing = Effect.provideService(place(desk, clientOrderId), Departing, departure)
        return { departure, fiber: yield* Effect.forkChild(placing, { startImmediately: true }) }
      })
      const first = yield* watched("first")
      assert.isTrue(first.departure.hasLeft)
      const second = yield* watched("second")
      assert.isFalse(second.departure.hasLeft)
      yield* TestClock.adjust("1200 millis")
      assert.lengthOf(commands, 2)
      // It was refused as too much, and waits again.
      assert.isFalse(second.departure.hasLeft)
      yield* Fiber.interrupt(second.fiber)
      yield* TestClock.adjust("1 minute")
      assert.isFalse(second.departure.hasLeft)
      assert.strictEqual((yield* Fiber.join(first.fiber)).outcome._tag, "Accepted")
    }))

  it.effect("whose caller was interrupted is not sent again when the exchange refuses it as too much", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start((_, call) =>
        call === 1
          ? Effect.delay(Effect.fail(failed(429, "rateLimit", 1_500)), "300 millis")
          : Effect.succeed({ _tag: "Order", order: orderOf("a") } as const)
      )
      const departure: Departure = { hasLeft: null }
      const placing = Effect.provideService(place(desk, "one"), Departing, departure)
      const fiber = yield* Effect.forkChild(placing, { startImmediately: true })
      yield* TestClock.adjust("100 millis")
      yield* Fiber.interrupt(fiber)
      assert.isTrue(departure.hasLeft)
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(commands, 1)
      assert.isFalse(departure.hasLeft)
    }))

  it.effect("a cancel whose caller was interrupted is sent again all the same", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start((_, call) =>
        call === 1
          ? Effect.delay(Effect.fail(failed(429, "rateLimit", 1_500)), "300 millis")
          : Effect.succeed({ _tag: "Order", order: orderOf("a", { status: "canceled" }) } as const)
      )
      const fiber = yield* Effect.forkChild(desk.cancel({ pair, clientOrderId: "a" }), { startImmediately: true })
      yield* TestClock.adjust("100 millis")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(commands.map(({ _tag }) => _tag).slice(0, 2), ["Cancel", "Cancel"])
    }))

  it.effect("interrupted on its way: seen through to its outcome, and nothing else leaves for it until then", () =>
    Effect.gen(function*() {
      const { commands, counts, desk } = yield* start(({ _tag }) =>
        _tag === "Place"
          ? Effect.never
          : Effect.succeed({ _tag: "Order", order: orderOf("a", _tag === "Cancel" ? { status: "canceled" } : {}) })
      )
      const placing = yield* Effect.forkChild(place(desk), { startImmediately: true })
      yield* Fiber.interrupt(placing)
      const cancelling = yield* Effect.forkChild(desk.cancel({ pair, clientOrderId: "a" }), { startImmediately: true })
      assert.deepStrictEqual(tags(commands), ["Place"])
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(cancelling))._tag, "Accepted")
      assert.deepStrictEqual(tags(commands), ["Place", "Get", "Cancel"])
      assert.deepStrictEqual(counts, { sent: 2, accepted: 2, rejected: 0, unknown: 1, resolved: 1, throttled: 0 })
    }))

  it.effect("an id of ours is used once, unless the exchange has refused it", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start((_, call) =>
        call === 1 ? Effect.fail(failed(400, "item")) : Effect.succeed({ _tag: "Order", order: orderOf("a") })
      )
      assert.strictEqual((yield* place(desk)).outcome._tag, "Rejected")
      assert.strictEqual((yield* place(desk)).outcome._tag, "Accepted")
      assert.include((yield* Effect.flip(place(desk))).message, "was used before")
      assert.lengthOf(commands, 2)
    }))

  it.effect("what the exchange no longer finds by our id is found among the fills", () =>
    Effect.gen(function*() {
      const { desk } = yield* start(
        (command) => {
          if (command._tag !== "Get") return Effect.fail(failed(503, "unavailable"))
          return Effect.succeed(
            "orderId" in command.ref
              ? { _tag: "Order", order: orderOf("a", { status: "filled" }) }
              : { _tag: "Nothing" }
          )
        },
        {},
        [fill(1, 0, { clientOrderId: "a", orderId: "id-a" })]
      )
      const { outcome } = yield* place(desk)
      const resolved = yield* advance(outcome._tag === "Unknown" ? outcome.resolved : Effect.die("known"), "5 seconds")
      assert.strictEqual(resolved._tag === "Accepted" ? resolved.value.status : "", "filled")
    }))

  it.effect("the end of the Layer leaves nobody waiting: what had left is unknown, and says so", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { desk } = yield* Scope.provide(start(() => Effect.never), scope)
      const placing = yield* Effect.forkChild(place(desk), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      const { outcome } = yield* Fiber.join(placing)
      assert.strictEqual(outcome._tag, "Unknown")
      if (outcome._tag !== "Unknown") return
      assert.strictEqual((yield* Effect.flip(outcome.resolved)).reason._tag, "Closed")
      assert.strictEqual((yield* Effect.flip(place(desk, "b"))).reason._tag, "Closed")
    }))

  it.effect("cancelling all, lost: done when none of those that were open is left", () =>
    Effect.gen(function*() {
      let open: ReadonlyArray<Order> = [orderOf("a"), orderOf("b")]
      const { desk } = yield* start(
        ({ _tag }) =>
          _tag === "Get"
            ? Effect.succeed({ _tag: "Order", order: orderOf("a", { status: "canceled" }) })
            : Effect.fail(failed(502, "unavailable")),
        {},
        [],
        () => open
      )
      const outcome = yield* desk.cancelAll(pair)
      assert.strictEqual(outcome._tag, "Unknown")
      if (outcome._tag !== "Unknown") return
      const resolving = yield* Effect.forkChild(outcome.resolved, { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      assert.isUndefined(resolving.pollUnsafe())
      open = [orderOf("c")]
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(resolving))._tag, "Accepted")
    }))

  describe("a batch", () => {
    const both = [
      { pair, side: "buy", quantity: "1", price: "100", clientOrderId: "a" },
      { pair, side: "buy", quantity: "1", price: "101", clientOrderId: "b" },
      { pair, side: "buy", quantity: "1", price: "102", clientOrderId: "c" }
    ] as const
    const batches = { abilities: new Set(["batch"] as const), batchSize: 2 }

    it.effect("goes in parts, and each order has its own outcome", () =>
      Effect.gen(function*() {
        const { commands, counts, desk } = yield* start((command) =>
          command._tag === "PlaceAll" && command.orders.length === 2
            ? Effect.succeed({
              _tag: "Placed",
              results: [orderOf("a"), { code: "X", detail: "no", class: "item" }]
            })
            : Effect.succeed({ _tag: "Placed", results: [orderOf("c")] }), batches)
        const placed = yield* desk.placeAll(both)
        assert.deepStrictEqual(
          placed.map(({ clientOrderId, outcome }) =>
            `${clientOrderId} ${outcome._tag}`
          ),
          ["a Accepted", "b Rejected", "c Accepted"]
        )
        assert.deepStrictEqual(tags(commands), ["PlaceAll", "PlaceAll"])
        assert.deepStrictEqual([counts.sent, counts.accepted, counts.rejected], [3, 2, 1])
      }))

    it.effect("whose answer was lost is asked for order by order, and each is closed to others until then", () =>
      Effect.gen(function*() {
        let known = false
        const { commands, counts, desk } = yield* start((command) => {
          if (command._tag === "PlaceAll") return Effect.fail(failed(503, "unavailable"))
          if (command._tag === "Cancel") {
            return Effect.succeed({ _tag: "Order", order: orderOf("a", { status: "canceled" }) })
          }
          const isKnown = known && command._tag === "Get" && "clientOrderId" in command.ref &&
            command.ref.clientOrderId === "a"
          return Effect.succeed(isKnown ? { _tag: "Order", order: orderOf("a") } : { _tag: "Nothing" })
        }, batches)
        const placed = yield* desk.placeAll([both[0], both[1]])
        assert.deepStrictEqual(placed.map(({ outcome }) => outcome._tag), ["Unknown", "Unknown"])
        const cancelling = yield* Effect.forkChild(desk.cancel({ pair, clientOrderId: "a" }), {
          startImmediately: true
        })
        yield* TestClock.adjust("1 second")
        assert.notInclude(tags(commands), "Cancel")
        known = true
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Fiber.join(cancelling))._tag, "Accepted")
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(counts, { sent: 3, accepted: 2, rejected: 1, unknown: 2, resolved: 2, throttled: 0 })
      }))

    it.effect("with an id twice is not sent; what comes behind what was sent and cannot leave is refused", () =>
      Effect.gen(function*() {
        const { commands, desk } = yield* start(
          () => Effect.succeed({ _tag: "Placed", results: [orderOf("a"), orderOf("b")] }),
          { ...batches, uses: ({ _tag }) => [{ budget: _tag, tokens: 1, limit: 1, window: "1 hour" }] }
        )
        assert.include((yield* Effect.flip(desk.placeAll([both[0], both[0]]))).message, "used before")
        assert.lengthOf(commands, 0)
        const placed = yield* desk.placeAll(both)
        assert.deepStrictEqual(placed.map(({ outcome }) => outcome._tag), ["Accepted", "Accepted", "Rejected"])
        const last = placed[2]!.outcome
        assert.strictEqual(last._tag === "Rejected" ? last.reason.code : "", "RateLimited")
      }))
  })

  it.effect("what cannot be placed is refused with the field that is wrong, and nothing is sent", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(() => Effect.die("nothing may be sent"))
      const requests = [
        [{ pair, side: "buy", quantity: "0.0004", price: "100" }, "quantity"],
        [{ pair, side: "buy", quantity: "0.005", price: "100" }, "worth 0.5"],
        [{ pair, side: "buy", quantity: "1", price: "abc" }, "price"],
        [{ pair, side: "buy", quantity: "1", price: "-1" }, "above 0"],
        [{ pair, side: "buy", price: "100" }, "missing"],
        [{ pair, side: "buy", quantity: "1", quoteQuantity: "5" }, "beside quantity"],
        [{ pair, side: "sell", quoteQuantity: "5" }, "spot market buys"],
        [{ pair, side: "buy", quantity: "1", type: "limit" }, "needs one"],
        [{ pair, side: "buy", quantity: "1", price: "1", type: "market" }, "has none"],
        [{ pair, side: "buy", quantity: "1", price: "100", clientOrderId: "a b" }, "a space"],
        [{ pair, side: "buy", quantity: "1", price: "100", reduceOnly: true }, "swaps only"],
        [{ pair: "NO/PAIR", side: "buy", quantity: "1", price: "100" }, "not listed"]
      ] as const
      for (const [request, words] of requests) {
        const error = yield* Effect.flip(desk.place(request))
        assert.include(error.message, words)
        assert.isFalse(error.isTransient)
      }
      assert.deepStrictEqual(commands, [])
    }))

  it.effect("numbers leave on the steps, as plain text, and never worse than asked", () =>
    Effect.gen(function*() {
      const { commands, desk } = yield* start(() => Effect.succeed({ _tag: "Order", order: orderOf("a") }))
      yield* desk.place({ pair, side: "buy", quantity: 1.23456, price: 100.019 })
      yield* desk.place({ pair, side: "sell", quantity: 0.1 + 0.2, price: 100.011 })
      assert.deepStrictEqual(
        commands.map((command) => command._tag === "Place" && [command.order.quantity, command.order.price]),
        [["1.234", "100.01"], ["0.3", "100.02"]]
      )
      const ids = commands.map((command) => command._tag === "Place" ? command.order.clientOrderId : "")
      assert.strictEqual(new Set(ids).size, 2)
    }))

  it.effect("batches are as long as allowed, of one symbol where that is asked for, and answered in the caller's order", () =>
    Effect.gen(function*() {
      const sizes: Array<ReadonlyArray<string>> = []
      const script: Script = (command) => {
        assert(command._tag === "PlaceAll")
        sizes.push(command.orders.map(({ clientOrderId }) => clientOrderId))
        return Effect.succeed({ _tag: "Placed", results: command.orders.map((order) => orderOf(order.clientOrderId)) })
      }
      const abilities: ReadonlySet<Ability> = new Set(["batch"])
      const { desk } = yield* start(script, { abilities, batchSize: 2, batchOfOneSymbol: true })
      const request = (clientOrderId: string, name: TradingPair = pair) =>
        ({ pair: name, side: "buy", quantity: "1", price: "100", clientOrderId }) as const
      const placed = yield* desk.placeAll([request("a"), request("b", other), request("c"), request("d")])
      assert.deepStrictEqual(sizes, [["a", "c"], ["d"], ["b"]])
      assert.deepStrictEqual(placed.map(({ clientOrderId }) => clientOrderId), ["a", "b", "c", "d"])
    }))

  for (const abilities of [["batch"], []] as const) {
    it.effect(`orders behind those that were sent are told as not in force (${abilities.join("") || "one by one"})`, () =>
      Effect.gen(function*() {
        const script: Script = (command, call) => {
          if (call === 2) return Effect.fail(failed(401, "auth"))
          return command._tag === "PlaceAll"
            ? Effect.succeed({
              _tag: "Placed",
              results: command.orders.map(({ clientOrderId }) => orderOf(clientOrderId))
            })
            : Effect.succeed({ _tag: "Order", order: orderOf("x") })
        }
        const { desk } = yield* start(script, { abilities: new Set(abilities), batchSize: 1 })
        const request = (clientOrderId: string) =>
          ({ pair, side: "buy", quantity: "1", price: "100", clientOrderId }) as const
        const placed = yield* advance(desk.placeAll([request("a"), request("b"), request("c")]), "1 second")
        assert.deepStrictEqual(placed.map(({ outcome }) => outcome._tag), ["Accepted", "Rejected", "Accepted"])
        const { outcome } = placed[1]!
        assert(outcome._tag === "Rejected")
        assert.deepInclude(outcome.reason, { code: "RequestFailed", class: "item" })
      }))
  }
})
