/** Islands: built apart, judged by their health, built anew, and ended with what was left. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Stream, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import { Markets } from "../../src/composite/Markets.ts"
import * as MarketsModule from "../../src/composite/Markets.ts"
import type { TrackedOrder } from "../../src/composite/OrderTracker.ts"
import { PrivateExchange } from "../../src/composite/PrivateExchange.ts"
import type { PrivateHealth } from "../../src/composite/PrivateExchange.ts"
import { PublicExchange } from "../../src/composite/PublicExchange.ts"
import type { PublicHealth } from "../../src/composite/PublicExchange.ts"
import type { Order, OrderStatus, TimeInForce } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"
import type { Accepted, OrderEntry, OrderRef, Rejected } from "../../src/OrderEntry.ts"
import * as PrivateWebsocketTest from "../../src/PrivateWebsocketTest.ts"

const btc = "BTC/USDT"

const publicHealth = (exchange: string): PublicHealth => ({
  exchange,
  state: "healthy",
  problems: [],
  isConnected: true,
  pairs: 1,
  booksSynced: 1,
  stale: [],
  refused: new Map(),
  lastDataAt: 0,
  instrumentsAt: 0,
  clock: null
})

const privateHealth = (exchange: string): PrivateHealth => ({
  exchange,
  account: "main",
  state: "healthy",
  problems: [],
  isConnected: true,
  isAuthenticated: true,
  canTrade: true,
  reconciledAt: 0,
  unknown: 0
})

const refused = (exchange: string, code: string) =>
  ExchangeError.make(exchange, new ExchangeError.AuthRejected({ code, detail: "no such key" }))

const gone = (exchange: string) =>
  ExchangeError.make(exchange, new ExchangeError.Disconnected({ code: 1006, detail: "gone" }))

const order = (exchange: string, key: string, tag: "Open" | "Unknown" = "Open"): TrackedOrder => ({
  exchange,
  account: "main",
  key,
  pair: btc,
  state: { _tag: tag, at: 0 },
  order: null,
  fills: [],
  filledQuantity: Decimal.zero,
  filledQuote: Decimal.zero
})

/** As its exchange describes it. */
const described = ({ key, pair }: TrackedOrder, status: OrderStatus, timeInForce: TimeInForce = "gtc"): Order => ({
  ...PrivateWebsocketTest.order(pair ?? btc, { orderId: `${pair} ${key}`, clientOrderId: key, timeInForce, status })
})

/** An exchange whose every life is scripted. */
class World {
  readonly exchange: string
  builds = 0
  /** How often the account was opened, and what that fails with from the second time on. */
  opens = 0
  refusal: ExchangeError.ExchangeError | null = null
  /** How often the account was compared, and how that ends. */
  comparisons = 0
  compare: Effect.Effect<void, ExchangeError.ExchangeError> = Effect.void
  closes = 0
  /** How its sockets are closed, and how many are: those of the market, of the account, and of its Layers. */
  goodbye: Effect.Effect<void> = Effect.void
  goodbyes = 0
  readonly #close = Effect.suspend(() => this.goodbye).pipe(Effect.tap(() =>
    Effect.sync(() => {
      this.goodbyes++
    })
  ))
  /** Pairs of each life. */
  readonly initialized: Array<ReadonlyArray<TradingPair>> = []
  /** What the next lives fail with, in order. */
  readonly failures: Array<ExchangeError.ExchangeError> = []
  pairs: ReadonlyArray<TradingPair> = []
  open: Array<TrackedOrder> = []
  /** Whether an order has left on the account of now. */
  hasOrdered = true
  readonly canceled: Array<TradingPair | undefined> = []
  cancel: OrderEntry["Service"]["cancelAll"] = (pair) =>
    Effect.sync(() => {
      this.canceled.push(pair)
      return this.end(this.open.filter(({ state }) => state._tag !== "Unknown").map(({ key }) => key))
    })
  readonly ended = new Map<string, TrackedOrder>()
  /** What the exchange answers when it is asked what is open, and for an order. */
  readonly asked: Array<string | undefined> = []
  listed: OrderEntry["Service"]["openOrders"] = () => Effect.succeed([])
  found: OrderEntry["Service"]["get"] = () => Effect.succeed(null)
  market!: SubscriptionRef.SubscriptionRef<PublicHealth>
  account!: SubscriptionRef.SubscriptionRef<PrivateHealth>

  constructor(exchange: string) {
    this.exchange = exchange
  }

  /** These have ended, and that is known. What a cancel that has ended them answers. */
  end(keys: ReadonlyArray<string>, status: "canceled" | "filled" = "canceled", timeInForce?: TimeInForce) {
    const ending = this.open.filter(({ key }) => keys.includes(key))
    this.open = this.open.filter(({ key }) => !keys.includes(key))
    const value = ending.map((each) => described(each, status, timeInForce))
    ending.forEach((each, index) =>
      this.ended.set(each.key, {
        ...each,
        order: value[index]!,
        state: { _tag: "Final", at: 0, status, rejection: null }
      })
    )
    return { _tag: "Accepted", value } as const
  }

  #publicExchange(): PublicExchange["Service"] {
    const scripted: Partial<PublicExchange["Service"]> = {
      exchange: this.exchange,
      initialize: (pairs) =>
        Effect.sync(() => {
          this.initialized.push(pairs)
          this.pairs = pairs
          return { accepted: pairs, rejected: new Map() }
        }),
      pairs: () => this.pairs,
      healthChanges: Stream.suspend(() => SubscriptionRef.changes(this.market)),
      close: Effect.suspend(() => {
        this.closes++
        return this.#close
      })
    }
    return scripted as PublicExchange["Service"]
  }

  #privateExchange(): PrivateExchange["Service"] {
    const scripted: Partial<PrivateExchange["Service"]> = {
      exchange: this.exchange,
      initialize: Effect.suspend(() =>
        ++this.opens > 1 && this.refusal !== null ? Effect.fail(this.refusal) : Effect.void
      ),
      health: Effect.suspend(() => SubscriptionRef.get(this.account)),
      openOrders: () => this.open,
      order: (key) => this.open.find((each) => each.key === key) ?? this.ended.get(key),
      hasOrdered: () => this.hasOrdered,
      refresh: Effect.suspend(() => {
        this.comparisons++
        return this.compare
      }),
      orders: {
        cancelAll: (pair?: TradingPair) => this.cancel(pair),
        openOrders: (pair?: TradingPair) =>
          Effect.suspend(() => {
            this.asked.push(pair)
            return this.listed(pair)
          }),
        get: (ref: OrderRef) => this.found(ref)
      } as OrderEntry["Service"],
      healthChanges: Stream.suspend(() => SubscriptionRef.changes(this.account)),
      close: this.#close
    }
    return scripted as PrivateExchange["Service"]
  }

  readonly layer = Layer.unwrap(Effect.gen({ self: this }, function*() {
    this.builds++
    const failure = this.failures.shift()
    if (failure !== undefined) return yield* failure
    yield* Effect.addFinalizer(() => this.#close)
    this.market = yield* SubscriptionRef.make(publicHealth(this.exchange))
    this.account = yield* SubscriptionRef.make(privateHealth(this.exchange))
    return Layer.merge(
      Layer.succeed(PublicExchange, this.#publicExchange()),
      Layer.succeed(PrivateExchange, this.#privateExchange())
    )
  }))

  definition(layer: MarketsModule.Definition["layer"] = this.layer): MarketsModule.Definition {
    return { layer, pairs: [btc] }
  }

  setMarket = (change: Partial<PublicHealth>) =>
    Effect.andThen(SubscriptionRef.update(this.market, (now) => ({ ...now, ...change })), settle)

  setAccount = (change: Partial<PrivateHealth>) =>
    Effect.andThen(SubscriptionRef.update(this.account, (now) => ({ ...now, ...change })), settle)
}

/** Everything that is ready to run has run. */
const settle = TestClock.adjust(0)

const start = (worlds: ReadonlyArray<World>, options?: MarketsModule.MarketsOptions) =>
  Effect.tap(
    MarketsModule.make(Object.fromEntries(worlds.map((world) => [world.exchange, world.definition()])), options),
    () => settle
  )

const tags = (markets: Markets["Service"]) => markets.ids.map((id) => markets.state(id)?._tag)

describe("Markets", () => {
  it.effect("gives each island once it is there, and lets it trade when market and account are ready", () =>
    Effect.gen(function*() {
      const [a, b] = [new World("a"), new World("b")]
      const markets = yield* start([a, b])
      const island = yield* markets.get("a")
      assert.strictEqual(island.exchange, "a")
      assert.strictEqual(markets.current("a"), island)
      assert.deepStrictEqual(tags(markets), ["Ready", "Ready"])
      assert.isTrue(markets.mayTrade("a"))
      assert.isFalse(markets.mayTrade("c"))
      assert.strictEqual(markets.current("c"), undefined)
      const error = yield* Effect.flip(markets.get("c"))
      assert.strictEqual(error.message, "[c] c is not in this program; there are a, b")
    }))

  it.effect("runs a user once, who has waited for the island that it uses", () =>
    Effect.gen(function*() {
      const a = new World("a")
      const opens = yield* Deferred.make<void>()
      const late = Layer.unwrap(Effect.as(Deferred.await(opens), a.layer))
      const markets = yield* MarketsModule.make({ a: a.definition(late) })
      const used: Array<string> = []
      const waits = Effect.andThen(markets.get("a"), markets.each(() => Effect.sync(() => void used.push("a"))))
      const user = yield* Effect.forkScoped(waits)
      yield* settle
      yield* Deferred.done(opens, Exit.void)
      yield* settle
      yield* Fiber.join(user)
      assert.deepStrictEqual(used, ["a"])
    }))

  it.effect("trades only while the market comes and the account is reconciled, and leaves the others alone", () =>
    Effect.gen(function*() {
      const [a, b] = [new World("a"), new World("b")]
      const markets = yield* start([a, b])
      yield* a.setAccount({ state: "down", problems: ["not connected"], reconciledAt: null })
      assert.deepStrictEqual(tags(markets), ["Recovering", "Ready"])
      assert.deepStrictEqual([markets.mayTrade("a"), markets.mayTrade("b")], [false, true])
      const state = markets.state("a")
      assert.deepStrictEqual(state?._tag === "Recovering" ? state.problems : null, [
        "not connected",
        "the account is not ready"
      ])
      yield* a.setAccount({ state: "healthy", problems: [] })
      assert.isFalse(markets.mayTrade("a"), "connected again, not reconciled yet")
      yield* a.setAccount({ reconciledAt: 5 })
      assert.isTrue(markets.mayTrade("a"))
      yield* a.setMarket({ state: "degraded", problems: ["one book is stale"] })
      assert.isTrue(markets.mayTrade("a"), "some books are stale, the others can be traded")
      yield* a.setMarket({ state: "down" })
      assert.isFalse(markets.mayTrade("a"))
      assert.strictEqual(a.builds, 1)
    }))

  it.effect("compares the account behind a market that was gone before it is traded again, until that succeeds", () =>
    Effect.gen(function*() {
      const a = new World("a")
      const markets = yield* start([a])
      yield* a.setMarket({ state: "degraded" })
      yield* a.setMarket({ state: "healthy" })
      assert.strictEqual(a.comparisons, 0, "only some of its books were away")
      a.compare = Effect.fail(gone("a"))
      yield* a.setMarket({ state: "down" })
      assert.strictEqual(a.comparisons, 0)
      yield* a.setMarket({ state: "healthy" })
      const state = markets.state("a")
      assert.deepStrictEqual(state?._tag === "Recovering" ? state.problems : null, [
        "the account is not reconciled since the market was gone"
      ])
      assert.strictEqual(a.comparisons, 1)
      a.compare = Effect.void
      yield* TestClock.adjust("1 second")
      assert.strictEqual(a.comparisons, 2)
      assert.isTrue(markets.mayTrade("a"))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(a.comparisons, 2)
    }))

  it.effect("compares it anew when the market was lost meanwhile, and not when it was compared for a reason of its own", () =>
    Effect.gen(function*() {
      const a = new World("a")
      const markets = yield* start([a])
      a.compare = Effect.sleep("1 second")
      yield* a.setMarket({ state: "down" })
      yield* a.setMarket({ state: "healthy" })
      yield* a.setMarket({ state: "down" })
      yield* a.setMarket({ state: "healthy" })
      yield* TestClock.adjust("1 second")
      assert.isFalse(markets.mayTrade("a"), "what was compared may be older than the second loss")
      yield* TestClock.adjust("1 second")
      assert.isTrue(markets.mayTrade("a"))
      assert.strictEqual(a.comparisons, 2)
      a.compare = Effect.never
      yield* a.setMarket({ state: "down" })
      yield* a.setMarket({ state: "healthy" })
      assert.isFalse(markets.mayTrade("a"))
      yield* a.setAccount({ reconciledAt: 9_999 })
      assert.isTrue(markets.mayTrade("a"))
    }))

  it.effect("opens an account again that is down for good, as often as it takes, and its market goes on", () =>
    Effect.gen(function*() {
      const a = new World("a")
      const markets = yield* start([a], { reopenEvery: "30 seconds" })
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(a.opens, 1, "nothing is wrong")
      a.refusal = refused("a", "KEY_REVOKED")
      yield* a.setAccount({ state: "down", problems: ["the private stream has ended"], reconciledAt: null })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(a.opens, 3)
      assert.deepStrictEqual([markets.state("a")?._tag, a.builds], ["Recovering", 1])
      a.refusal = null
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(a.opens, 4)
      yield* a.setAccount({ state: "healthy", problems: [], reconciledAt: 9 })
      assert.isTrue(markets.mayTrade("a"))
      assert.strictEqual(a.builds, 1)
    }))

  it.effect("without an account nothing may be traded", () =>
    Effect.gen(function*() {
      const a = new World("a")
      const market = Layer.effect(PublicExchange, Effect.map(Layer.build(a.layer), Context.get(PublicExchange)))
      const markets = yield* MarketsModule.make({ a: a.definition(market) })
      yield* settle
      assert.strictEqual((yield* markets.get("a")).account, null)
      assert.deepStrictEqual(tags(markets), ["Ready"])
      assert.isFalse(markets.mayTrade("a"))
      assert.deepStrictEqual(yield* markets.stop("cancel"), [])
    }))

  it.effect("builds an island anew with growing pauses, and gives up what cannot pass", () =>
    Effect.gen(function*() {
      const [a, b] = [new World("a"), new World("b")]
      a.failures.push(gone("a"), gone("a"))
      b.failures.push(refused("b", "INVALID_KEY"))
      const markets = yield* start([a, b], { pause: "1 second" })
      assert.deepStrictEqual(tags(markets), ["Failed", "Failed"])
      const waiting = yield* Effect.forkChild(markets.get("a"))
      const ofA = markets.state("a")
      const ofB = markets.state("b")
      assert.isTrue(ofA?._tag === "Failed" && ofA.retryIn !== null && ofA.retryIn >= 500 && ofA.retryIn <= 1_000)
      assert.isTrue(ofB?._tag === "Failed" && ofB.retryIn === null)
      assert.strictEqual((yield* Effect.flip(markets.get("b"))).reason._tag, "AuthRejected")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(a.builds, 2)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(a.builds, 3)
      assert.strictEqual((yield* Fiber.join(waiting)).exchange, "a")
      assert.deepStrictEqual(tags(markets), ["Ready", "Failed"])
      assert.strictEqual(b.builds, 1)
      yield* markets.restart("b")
      yield* settle
      assert.deepStrictEqual(tags(markets), ["Ready", "Ready"])
      assert.strictEqual((yield* markets.get("b")).exchange, "b")
      yield* markets.restart("nobody")
    }))

  it.effect("who waits for an island that is restarted meanwhile gets the new one, or why there is none", () =>
    Effect.gen(function*() {
      const worlds = ["a", "b", "c"].map((id) => new World(id))
      const [a, b, c] = worlds as [World, World, World]
      const hangsFirst = (world: World) => {
        let lives = 0
        return Layer.unwrap(Effect.suspend(() => ++lives === 1 ? Effect.never : Effect.succeed(world.layer)))
      }
      const markets = yield* MarketsModule.make({
        a: a.definition(hangsFirst(a)),
        b: b.definition(hangsFirst(b)),
        c: c.definition(Layer.unwrap(Effect.never))
      })
      yield* settle
      const waiting = yield* Effect.forEach(markets.ids, (id) => Effect.forkChild(Effect.exit(markets.get(id))))
      yield* settle
      b.failures.push(refused("b", "INVALID_KEY"))
      yield* Effect.forEach(markets.ids, markets.restart)
      yield* settle
      const got = waiting.map((fiber) => fiber.pollUnsafe())
      const told = (exit: (typeof got)[number]) =>
        exit === undefined || Exit.isFailure(exit) ? exit : Exit.match(exit.value, {
          onSuccess: ({ exchange }) => exchange,
          onFailure: (cause) => Cause.squash(cause) as ExchangeError.ExchangeError
        })
      assert.strictEqual(told(got[0]), "a")
      assert.strictEqual((told(got[1]) as ExchangeError.ExchangeError | undefined)?.reason._tag, "AuthRejected")
      assert.isUndefined(got[2])
      yield* markets.stop("cancel")
      assert.strictEqual(
        (told(waiting[2]!.pollUnsafe()) as ExchangeError.ExchangeError | undefined)?.reason._tag,
        "Closed"
      )
    }))

  it.effect("is not started anew by a restart that the end of the program overtakes", () =>
    Effect.gen(function*() {
      const a = new World("a")
      a.goodbye = Effect.sleep("1 second")
      const markets = yield* start([a])
      const restarting = yield* Effect.forkChild(markets.restart("a"), { startImmediately: true })
      const stopping = yield* Effect.forkChild(markets.stop("cancel"), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(stopping)
      yield* Fiber.join(restarting)
      assert.deepStrictEqual([a.builds, markets.state("a")?._tag], [1, "Stopped"])
      assert.strictEqual((yield* Effect.flip(markets.get("a"))).reason._tag, "Closed")
    }))

  it.effect("is built anew when who restarts it is interrupted, and once by two who do", () =>
    Effect.gen(function*() {
      const a = new World("a")
      a.goodbye = Effect.sleep("1 second")
      const markets = yield* start([a])
      const restarting = yield* Effect.forkChild(markets.restart("a"), { startImmediately: true })
      yield* Effect.forkChild(Fiber.interrupt(restarting), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual([a.builds, markets.state("a")?._tag], [2, "Ready"])
      const both = yield* Effect.forkChild(
        Effect.all([markets.restart("a"), markets.restart("a")], { concurrency: 2, discard: true })
      )
      yield* TestClock.adjust("6 seconds")
      yield* Fiber.join(both)
      a.goodbye = Effect.void
      assert.strictEqual(markets.state("a")?._tag, "Ready")
      assert.isDefined(markets.current("a"))
    }))

  it.effect("an island that ends is closed, built anew, and follows the pairs that it followed last", () =>
    Effect.gen(function*() {
      const a = new World("a")
      const markets = yield* start([a])
      const first = yield* markets.get("a")
      a.pairs = [btc, "ETH/USDT"]
      yield* a.setMarket({ state: "closed" })
      assert.strictEqual(markets.state("a")?._tag, "Failed")
      assert.strictEqual(markets.current("a"), undefined)
      assert.strictEqual(a.closes, 1)
      yield* TestClock.adjust("1 second")
      const second = yield* markets.get("a")
      assert.notStrictEqual(first, second)
      assert.deepStrictEqual(a.initialized, [[btc], [btc, "ETH/USDT"]])
    }))

  it.effect("an island that hangs or breaks is built anew", () =>
    Effect.gen(function*() {
      const world = new World("a")
      let lives = 0
      const layer = Layer.unwrap(Effect.suspend(() => {
        lives++
        if (lives === 1) return Effect.never
        return lives === 2 ? Effect.die(new Error("a defect")) : Effect.succeed(world.layer)
      }))
      const markets = yield* MarketsModule.make({ a: world.definition(layer) }, { startTimeout: "10 seconds" })
      yield* TestClock.adjust("10 seconds")
      const hung = markets.state("a")
      assert.strictEqual(hung?._tag === "Failed" ? hung.error.reason._tag : null, "Silent")
      yield* TestClock.adjust("1 second")
      const broken = markets.state("a")
      assert.include(broken?._tag === "Failed" ? broken.error.message : "", "a defect")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(markets.state("a")?._tag, "Ready")
    }))

  it.effect("tells every change, beginning with the present states, and runs users with each life", () =>
    Effect.gen(function*() {
      const a = new World("a")
      const markets = yield* start([a])
      const seen: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(markets.changes, ({ _tag }) => Effect.sync(() => seen.push(_tag))))
      const used: Array<string> = []
      yield* markets.each(({ exchange }) =>
        Effect.acquireRelease(
          Effect.sync(() => used.push(`+${exchange}`)),
          () => Effect.sync(() => used.push(`-${exchange}`))
        )
      )
      yield* settle
      assert.deepStrictEqual(used, ["+a"])
      yield* a.setAccount({ state: "closed" })
      assert.deepStrictEqual(used, ["+a", "-a"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(used, ["+a", "-a", "+a"])
      assert.deepStrictEqual(seen, ["Ready", "Failed", "Starting", "Ready"])
    }))

  it.effect("stops: no more trading, open orders cancelled, and what is left is told", () =>
    Effect.gen(function*() {
      const [a, b, c] = [new World("a"), new World("b"), new World("c")]
      a.open = [order("a", "1"), order("a", "2")]
      b.open = [order("b", "3"), order("b", "4", "Unknown")]
      c.open = [order("c", "5")]
      c.cancel = () => Effect.fail(gone("c"))
      const markets = yield* start([a, b, c], { stopTimeout: "3 seconds" })
      // As the end of a scope calls it.
      const stopping = yield* Effect.forkChild(Effect.uninterruptible(markets.stop("cancel")))
      yield* settle
      assert.isFalse(markets.mayTrade("a"))
      yield* TestClock.adjust("3 seconds")
      const left = yield* Fiber.join(stopping)
      assert.deepStrictEqual(
        left.map(({ canceled, exchange, open, problem }) => [exchange, canceled, open.map(({ key }) => key), problem]),
        [
          ["a", 2, [], null],
          ["b", 1, ["4"], "the exchange did not answer in time"],
          ["c", 0, ["5"], `the exchange did not answer in time; ${gone("c").message}`]
        ]
      )
      assert.deepStrictEqual(a.canceled, [btc])
      assert.deepStrictEqual(tags(markets), ["Stopped", "Stopped", "Stopped"])
      assert.deepStrictEqual([a.closes, b.closes, c.closes], [1, 1, 1])
      assert.deepStrictEqual(yield* markets.stop("cancel"), [])
      assert.strictEqual((yield* Effect.flip(markets.get("a"))).reason._tag, "Closed")
      yield* markets.restart("a")
      assert.strictEqual(a.builds, 1)
    }))

  it.effect("waits once for the goodbyes that an exchange does not answer, not once for each of its sockets", () =>
    Effect.gen(function*() {
      const a = new World("a")
      a.goodbye = Effect.sleep("1 second")
      const markets = yield* start([a])
      const stopping = yield* Effect.forkChild(markets.stop("cancel"))
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(stopping.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isDefined(stopping.pollUnsafe())
      assert.strictEqual(a.goodbyes, 3)
    }))

  it.effect("tells of an exchange that was not connected when it stopped that its orders are not known", () =>
    Effect.gen(function*() {
      const [a, b] = [new World("a"), new World("b")]
      b.failures.push(refused("b", "INVALID_KEY"))
      const markets = yield* start([a, b])
      a.open = [order("a", "1")]
      yield* a.setMarket({ state: "closed" })
      assert.deepStrictEqual(tags(markets), ["Failed", "Failed"])
      const left = yield* markets.stop("cancel")
      const problem = "it was not connected: what is open there now is not known"
      assert.deepStrictEqual(
        left.map(({ canceled, exchange, open, problem }) => [exchange, canceled, open.map(({ key }) => key), problem]),
        [["a", 0, ["1"], problem], ["b", 0, [], `${problem}; this program has ordered nothing there`]]
      )
      assert.deepStrictEqual(left.map(({ hasOrdered }) => hasOrdered), [true, false])
    }))

  it.effect("tells where nothing can be left because nothing was ordered, in no life of the island", () =>
    Effect.gen(function*() {
      const [a, b] = [new World("a"), new World("b")]
      const markets = yield* start([a, b], { stopTimeout: "3 seconds", pause: "1 second" })
      // What one life has ordered may be open in the next.
      yield* b.setMarket({ state: "closed" })
      a.hasOrdered = false
      b.hasOrdered = false
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(tags(markets), ["Ready", "Ready"])
      for (const world of [a, b]) {
        world.compare = Effect.never
        yield* world.setAccount({ state: "down", isAuthenticated: false, reconciledAt: null })
      }
      const stopping = yield* Effect.forkChild(markets.stop("cancel"))
      yield* TestClock.adjust("3 seconds")
      const problem = "the exchange did not answer in time; what is open there now is not known"
      assert.deepStrictEqual(yield* Fiber.join(stopping), [
        {
          exchange: "a",
          canceled: 0,
          open: [],
          problem: `${problem}; this program has ordered nothing there`,
          hasOrdered: false
        },
        { exchange: "b", canceled: 0, open: [], problem, hasOrdered: true }
      ])
    }))

  it.effect("cancels what turns out to be in force only when its pair has been cancelled already", () =>
    Effect.gen(function*() {
      const a = new World("a")
      a.open = [order("a", "1", "Unknown")]
      const markets = yield* start([a])
      const stopping = yield* Effect.forkChild(markets.stop("cancel"))
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(a.canceled, [btc])
      a.open = [order("a", "1"), order("a", "2")]
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(a.canceled, [btc, btc])
      const left = yield* Fiber.join(stopping)
      assert.deepStrictEqual(left, [{ exchange: "a", canceled: 2, open: [], problem: null, hasOrdered: true }])
    }))

  it.effect("asks for the open orders of an account whose stream is down, and tells where it cannot", () =>
    Effect.gen(function*() {
      const worlds = ["a", "b", "c", "d"].map((id) => new World(id))
      const [a, b, c, d] = worlds as [World, World, World, World]
      const markets = yield* start(worlds, { stopTimeout: "3 seconds" })
      const down = { state: "down", isAuthenticated: false, reconciledAt: null } as const
      a.compare = Effect.fail(gone("a"))
      b.compare = Effect.sync(() => {
        b.open = [order("b", "1")]
      })
      c.open = [order("c", "2")]
      c.compare = Effect.never
      yield* Effect.forEach([a, b, c], (world) => world.setAccount(down))
      const stopping = yield* Effect.forkChild(markets.stop("cancel"))
      yield* TestClock.adjust("3 seconds")
      const left = yield* Fiber.join(stopping)
      const unknown = "what is open there now is not known"
      assert.deepStrictEqual(left, [
        { exchange: "a", canceled: 0, open: [], problem: `${gone("a").message}; ${unknown}`, hasOrdered: true },
        { exchange: "b", canceled: 1, open: [], problem: null, hasOrdered: true },
        {
          exchange: "c",
          canceled: 1,
          open: [],
          problem: `the exchange did not answer in time; ${unknown}`,
          hasOrdered: true
        },
        { exchange: "d", canceled: 0, open: [], problem: null, hasOrdered: true }
      ])
      assert.deepStrictEqual([a.comparisons, b.comparisons, c.comparisons, d.comparisons], [1, 1, 1, 0])
      const e = new World("e")
      const kept = yield* Effect.scoped(Effect.gen(function*() {
        const others = yield* start([e])
        e.compare = Effect.fail(gone("e"))
        yield* e.setAccount(down)
        return yield* others.stop("keep")
      }))
      assert.deepStrictEqual(kept.map(({ problem }) => problem), [`${gone("e").message}; ${unknown}`])
    }))

  it.effect("keeps open orders when asked to, waits for an Unknown and tells a refusal", () =>
    Effect.gen(function*() {
      const [a, b, c] = [new World("a"), new World("b"), new World("c")]
      a.open = [order("a", "1")]
      const kept = yield* Effect.scoped(Effect.flatMap(start([a]), (markets) => markets.stop("keep")))
      assert.deepStrictEqual(kept.map(({ canceled, open }) => [canceled, open.length]), [[0, 1]])
      assert.deepStrictEqual(a.canceled, [])
      b.open = [order("b", "1")]
      const accepted = Effect.sync(() => b.end(["1"]))
      b.cancel = () => Effect.succeed({ _tag: "Unknown", cause: gone("b"), resolved: accepted })
      c.open = [order("c", "1")]
      c.cancel = () => Effect.succeed({ _tag: "Rejected", reason: { code: "1", detail: "not now", class: "item" } })
      const left = yield* Effect.scoped(Effect.flatMap(start([b, c]), (markets) => markets.stop("cancel")))
      assert.deepStrictEqual(left.map(({ canceled, problem }) => [canceled, problem]), [[1, null], [0, "not now"]])
    }))

  it.effect("asks what it keeps of an account that seems up to date, whose stream may tell nothing", () =>
    Effect.gen(function*() {
      const [a, b] = [new World("a"), new World("b")]
      a.open = [order("a", "1")]
      a.compare = Effect.sync(() => {
        a.open = [order("a", "2")]
      })
      b.open = [order("b", "1")]
      b.compare = Effect.fail(gone("b"))
      const kept = yield* Effect.scoped(Effect.flatMap(start([a, b]), (markets) => markets.stop("keep")))
      assert.deepStrictEqual(kept.map(({ open, problem }) => [open.map(({ key }) => key), problem]), [
        [["2"], null],
        [["1"], `${gone("b").message}; what is open there now is not known`]
      ])
    }))

  it.effect("cancels again what was refused for the moment", () =>
    Effect.gen(function*() {
      const a = new World("a")
      a.open = [order("a", "1")]
      let times = 0
      a.cancel = () =>
        Effect.gen(function*() {
          if (++times === 1) {
            const reason = new ExchangeError.RateLimited({ budget: "cancel", retryAfterMs: 200, detail: "later" })
            return yield* Effect.fail(ExchangeError.make("a", reason))
          }
          if (times === 2) {
            const reason = { code: "2", detail: "too many", class: "rateLimit" } as const
            return { _tag: "Rejected", reason }
          }
          return a.end(["1"])
        })
      const markets = yield* start([a], { stopTimeout: "3 seconds" })
      const stopping = yield* Effect.forkChild(markets.stop("cancel"))
      yield* TestClock.adjust("5 seconds")
      const left = yield* Fiber.join(stopping)
      assert.deepStrictEqual(left.map(({ canceled, open, problem }) => [canceled, open.length, problem]), [[
        1,
        0,
        null
      ]])
      assert.strictEqual(times, 3)
    }))

  it.effect("cancels again what a cancel has left whose answer was lost, and what another pair refuses holds nothing up", () =>
    Effect.gen(function*() {
      const [a, b] = [new World("a"), new World("b")]
      const sent = new Map<TradingPair | undefined, number>()
      const unknown = (
        world: World,
        resolved: Effect.Effect<Accepted<ReadonlyArray<Order>> | Rejected, ExchangeError.ExchangeError>
      ) => ({ _tag: "Unknown", cause: gone(world.exchange), resolved }) as const
      a.open = [order("a", "1"), { ...order("a", "2"), pair: "ETH/USDT" }, { ...order("a", "3"), pair: null }]
      a.cancel = (pair) =>
        Effect.sync(() => {
          const times = (sent.get(pair) ?? 0) + 1
          sent.set(pair, times)
          if (pair !== btc) return { _tag: "Rejected", reason: { code: "1", detail: "not now", class: "item" } }
          // The first is never known, the second has never arrived, of the third nobody will tell.
          if (times === 1) return unknown(a, Effect.never)
          if (times === 2) {
            const reason = { code: "never-arrived", detail: "it is not there", class: "item" } as const
            return unknown(a, Effect.succeed({ _tag: "Rejected", reason }))
          }
          if (times === 3) return unknown(a, Effect.fail(gone("a")))
          return a.end(["1", "3"])
        })
      b.open = [order("b", "4")]
      b.cancel = () => Effect.sync(() => unknown(b, Effect.never))
      const markets = yield* start([a, b], { stopTimeout: "3 seconds" })
      const stopping = yield* Effect.forkChild(markets.stop("cancel"))
      yield* TestClock.adjust("5 seconds")
      const left = yield* Fiber.join(stopping)
      assert.deepStrictEqual(
        left.map(({ canceled, open, problem }) => [canceled, open.map(({ key }) => key), problem]),
        [[2, ["2"], "not now"], [0, ["4"], "the exchange did not answer in time"]]
      )
      assert.deepStrictEqual([...sent], [[btc, 4], ["ETH/USDT", 1]])
    }))

  it.effect("tells at the end of its time what was refused for good beside what was refused for the moment", () =>
    Effect.gen(function*() {
      const a = new World("a")
      a.open = [order("a", "1"), { ...order("a", "2"), pair: "ETH/USDT" }]
      const late = new ExchangeError.RateLimited({ budget: "cancel", retryAfterMs: 200, detail: "later" })
      a.cancel = (pair) =>
        pair === btc
          ? Effect.fail(ExchangeError.make("a", late))
          : Effect.succeed({ _tag: "Rejected", reason: { code: "1", detail: "never", class: "item" } })
      const markets = yield* start([a], { stopTimeout: "3 seconds" })
      const stopping = yield* Effect.forkChild(markets.stop("cancel"))
      yield* TestClock.adjust("3 seconds")
      const [left] = yield* Fiber.join(stopping)
      assert.deepStrictEqual(left!.open.map(({ key }) => key), ["1", "2"])
      assert.match(left!.problem!, /^the exchange did not answer in time; /)
      assert.include(left!.problem, ExchangeError.make("a", late).message)
      assert.include(left!.problem, "never")
    }))

  it.effect("counts as cancelled what the answers name or has ended so, and not what was filled or has expired", () =>
    Effect.gen(function*() {
      const [a, b] = [new World("a"), new World("b")]
      a.open = ["filled", "expired", "resting", "late"].map((key) => order("a", key))
      a.cancel = () =>
        Effect.sync(() => {
          a.end(["filled"], "filled")
          a.end(["expired"], "canceled", "ioc")
          const outcome = a.end(["resting"])
          // What the answer does not name the stream may.
          a.end(["late"])
          return outcome
        })
      b.open = [order("b", "filled"), order("b", "resting")]
      b.cancel = () =>
        Effect.sync(() => {
          b.end(["filled"], "filled")
          const outcome = b.end(["resting"])
          // It is kept no longer.
          b.ended.clear()
          return outcome
        })
      const markets = yield* start([a, b])
      const left = yield* markets.stop("cancel")
      assert.deepStrictEqual(left.map(({ canceled, open }) => [canceled, open.length]), [[2, 0], [1, 0]])
    }))

  it.effect("asks the exchange for what an accepted cancel has left open, as when its stream tells nothing", () =>
    Effect.gen(function*() {
      const a = new World("a")
      a.open = ["filled", "expired", "resting"].map((key) => ({
        ...order("a", key),
        order: described(order("a", key), "new")
      }))
      a.cancel = () => Effect.sync(() => a.end(["resting"]))
      a.found = (ref) =>
        Effect.sync(() => {
          const key = "orderId" in ref ? ref.orderId.split(" ")[1]! : ""
          const { value } = key === "filled" ? a.end([key], "filled") : a.end([key], "canceled", "ioc")
          return value[0] ?? null
        })
      const markets = yield* start([a], { stopTimeout: "3 seconds" })
      const stopping = yield* Effect.forkChild(markets.stop("cancel"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(stopping), [
        { exchange: "a", canceled: 1, open: [], problem: null, hasOrdered: true }
      ])
      assert.deepStrictEqual(a.asked, [btc])
      assert.strictEqual(a.comparisons, 0)
    }))

  it.effect("cancels again what the exchange says is open behind an accepted cancel, and tells what it said", () =>
    Effect.gen(function*() {
      const worlds = ["a", "b", "c", "d"].map((id) => new World(id))
      const [a, b, c, d] = worlds as [World, World, World, World]
      for (const world of worlds) {
        world.open = [{ ...order(world.exchange, "1"), order: described(order(world.exchange, "1"), "new") }]
        world.cancel = (pair) =>
          Effect.sync(() => {
            world.canceled.push(pair)
            return { _tag: "Accepted", value: [] }
          })
      }
      const listed = (world: World) => Effect.sync(() => world.open.map((each) => described(each, "new")))
      a.listed = () => listed(a)
      const { cancel } = a
      a.cancel = (pair) => Effect.map(cancel(pair), (outcome) => a.canceled.length === 2 ? a.end(["1"]) : outcome)
      b.listed = () => listed(b)
      d.listed = () => Effect.fail(gone("d"))
      const markets = yield* start(worlds, { stopTimeout: "3 seconds" })
      const stopping = yield* Effect.forkChild(markets.stop("cancel"))
      yield* TestClock.adjust("3 seconds")
      const left = yield* Fiber.join(stopping)
      assert.deepStrictEqual(left.map(({ canceled, open, problem }) => [canceled, open.length, problem]), [
        [1, 0, null],
        [0, 1, "the exchange has accepted to cancel what it says is open"],
        [0, 1, "the exchange does not say how orders have ended that it lists no more"],
        [0, 1, `the exchange did not answer in time; ${gone("d").message}`]
      ])
      assert.isAbove(b.canceled.length, 1)
      assert.deepStrictEqual(c.canceled, [btc])
    }))

  it.effect("is a Layer over what the islands need", () =>
    Effect.gen(function*() {
      const markets = yield* Markets
      assert.deepStrictEqual(markets.ids, ["a"])
      assert.strictEqual((yield* markets.get("a")).exchange, "a")
    }).pipe(Effect.provide(MarketsModule.layer({ a: new World("a").definition() }))))
})
