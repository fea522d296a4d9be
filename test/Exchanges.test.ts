/** The front door: ids, Layers by id, several exchanges in one program, and one that is not ours. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Layer, Stream } from "effect"
import type { Scope } from "effect"
import { readFileSync } from "node:fs"
import { AccountRest } from "../src/AccountRest.ts"
import { PrivateExchange } from "../src/composite/PrivateExchange.ts"
import { PublicExchange } from "../src/composite/PublicExchange.ts"
import * as Channel from "../src/domain/Channel.ts"
import type * as Feed from "../src/domain/Feed.ts"
import type { Trade } from "../src/domain/Market.ts"
import { ExchangeClock } from "../src/ExchangeClock.ts"
import type { ExchangeError } from "../src/ExchangeError.ts"
import * as Exchanges from "../src/Exchanges.ts"
import { gateFuturesDialect, gateSpotDialect } from "../src/exchanges/gate/GateDialect.ts"
import { gateSpot, mexcSpot } from "../src/exchanges/index.ts"
import { mexcSpotDialect } from "../src/exchanges/mexc/MexcDialect.ts"
import { MarketRest } from "../src/MarketRest.ts"
import { OrderEntry } from "../src/OrderEntry.ts"
import * as OrderEntryTest from "../src/OrderEntryTest.ts"
import { PrivateWebsocket } from "../src/PrivateWebsocket.ts"
import * as Public from "../src/PublicWebsocket.ts"
import { PublicWebsocket } from "../src/PublicWebsocket.ts"
import * as Test from "../src/PublicWebsocketTest.ts"
import { demoAccounts } from "../src/SimulatedExchanges.ts"
import * as Simulator from "../src/simulator/Simulator.ts"
import { toyTrading } from "./exchanges/toy/ToyAccount.ts"
import { toyTrader } from "./exchanges/toy/ToyAccountDialect.ts"
import { toySpot } from "./exchanges/toy/ToyAdapter.ts"

const btc = "BTC/USDT"
const perpetual = "BTC/USDT:USDT"

const simulator = Layer.orDie(Simulator.layer({
  dialects: [mexcSpotDialect, gateSpotDialect, gateFuturesDialect, toyTrader],
  pairs: [btc, perpetual],
  limits: "off",
  accounts: {
    ...demoAccounts,
    toy: [{ userId: "7", keys: [{ apiKey: "toy-key", secret: "toy-secret" }], balances: { USDT: "1000" } }]
  }
}))

/** The demo account's keys. Gate's two products are two accounts of the simulator, so they are named. */
const keys = {
  MEXC_API_KEY: "demo-key-mexc-spot",
  MEXC_API_SECRET: "demo-secret-mexc-spot",
  GATE_API_KEY: "demo-key-gate-spot",
  GATE_API_SECRET: "demo-secret-gate-spot",
  GATE_SWAPS_API_KEY: "demo-key-gate-futures",
  GATE_SWAPS_API_SECRET: "demo-secret-gate-futures",
  TOY_API_KEY: "toy-key",
  TOY_API_SECRET: "toy-secret"
}

const accountOf = (id: Exchanges.KnownExchange) => id === "gate-futures" ? "swaps" : undefined

/** What a user of these addresses writes into the environment. */
const environment = Effect.map(Simulator.Simulator, ({ urls }) =>
  ConfigProvider.fromEnv({
    env: {
      ...keys,
      MEXC_SPOT_WS_URL: urls["mexc-spot"]!.ws,
      MEXC_SPOT_REST_URL: urls["mexc-spot"]!.rest,
      GATE_SPOT_WS_URL: urls["gate-spot"]!.ws,
      GATE_SPOT_REST_URL: urls["gate-spot"]!.rest,
      GATE_FUTURES_WS_URL: urls["gate-futures"]!.ws,
      GATE_FUTURES_REST_URL: urls["gate-futures"]!.rest,
      TOY_WS_URL: urls["toy"]!.ws,
      TOY_REST_URL: urls["toy"]!.rest
    }
  }))

/** Runs over real ports, with the environment of the simulator. */
const simulated = <A, E>(body: Effect.Effect<A, E, Simulator.Simulator | Scope.Scope>) =>
  Effect.flatMap(environment, (provider) => Effect.provide(body, ConfigProvider.layer(provider))).pipe(
    Effect.scoped,
    Effect.provide(simulator)
  )

const firstTicker = Effect.gen(function*() {
  const websocket = yield* PublicWebsocket
  const pair = websocket.exchange === "gate-futures" ? perpetual : btc
  const stream = yield* websocket.feed(Channel.bookTicker(pair))
  const [item] = yield* Stream.runCollect(Stream.take(stream, 1))
  assert.strictEqual(item?._tag === "Data" ? item.value.pair : null, pair)
  return websocket.exchange
})

describe("Exchanges", () => {
  it("knows its ids and no others", () => {
    assert.deepStrictEqual([...Exchanges.ids].sort(), ["gate-futures", "gate-spot", "mexc-spot"])
    assert.isTrue(Exchanges.isKnown("gate-spot"))
    assert.isFalse(Exchanges.isKnown("gate"))
    assert.isFalse(Exchanges.isKnown("toString"))
    assert.strictEqual(Exchanges.get("mexc-spot"), mexcSpot)
    assert.strictEqual(Exchanges.get("gate-spot"), gateSpot)
  })

  it("refuses an unknown id from untyped code with the ids that there are", () => {
    const untyped = "gate" as never
    for (
      const call of [
        () => Exchanges.get(untyped),
        () => Exchanges.layerPublic(untyped),
        () => Exchanges.layerPublicConfig(untyped),
        () => Exchanges.publicOf(untyped)
      ]
    ) {
      assert.throws(call, TypeError, "unknown exchange gate; known are gate-futures, gate-spot, mexc-spot")
    }
  })

  it("refuses a list in which an id stands twice", () => {
    assert.throws(() => Exchanges.make({ one: toySpot, two: toySpot }), TypeError, "toy")
  })

  it.live("gives every exchange by its id, with sockets, HTTP and options included", () =>
    simulated(Effect.gen(function*() {
      const { urls } = yield* Simulator.Simulator
      for (const id of Exchanges.ids) {
        const { rest, ws } = urls[id]!
        const exchange = yield* Effect.gen(function*() {
          assert.isAbove(yield* Effect.flatMap(MarketRest, ({ serverTime }) => serverTime), 0)
          return yield* firstTicker
        }).pipe(Effect.scoped, Effect.provide(Exchanges.layerPublic(id, { url: ws, restUrl: rest })))
        assert.strictEqual(exchange, id)
      }
    })))

  it.live("gives every exchange by its id, with options from the environment", () =>
    simulated(Effect.forEach(Exchanges.ids, (id) =>
      Effect.map(
        firstTicker.pipe(Effect.scoped, Effect.provide(Exchanges.layerPublicConfig(id))),
        (exchange) => assert.strictEqual(exchange, id)
      ))))

  it.live("gives everything of an exchange by its id, with keys and addresses from the environment", () =>
    simulated(Effect.forEach(Exchanges.ids, (id) =>
      Effect.gen(function*() {
        assert.strictEqual(yield* firstTicker, id)
        const rest = yield* AccountRest
        const entry = yield* OrderEntry
        const account = yield* PrivateWebsocket
        assert.deepStrictEqual([rest.exchange, entry.exchange, account.exchange], [id, id, id])
        assert.strictEqual(account.account, accountOf(id) ?? "main")
        assert.isNotEmpty(yield* rest.balances)
        yield* account.initialize()
        assert.isTrue(yield* account.isAuthenticated)
        assert.isAbove(yield* Effect.flatMap(ExchangeClock, ({ now }) => now), 0)
        const market = yield* PublicExchange
        const pair = id === "gate-futures" ? perpetual : btc
        yield* market.initialize([pair])
        assert.strictEqual((yield* market.awaitBook(pair)).book.pair, pair)
        const holdings = yield* PrivateExchange
        // What a spot exchange lacks is a typed error through the general services.
        const tagOf = <A, E extends ExchangeError>(effect: Effect.Effect<A, E>) =>
          Effect.match(effect, { onFailure: ({ reason }) => reason._tag as string, onSuccess: () => "there" })
        const lacks = [yield* tagOf(market.funding(pair)), yield* tagOf(holdings.positions)]
        const expected = id === "gate-futures" ? "there" : "UnsupportedChannel"
        assert.deepStrictEqual(lacks, [expected, expected])
      }).pipe(Effect.scoped, Effect.provide(Exchanges.layer(id, { account: accountOf(id) }))))))

  it.live("does not build what needs keys without them, and says which", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(Layer.build(Exchanges.layer("mexc-spot", { account: "hedge" }))))
      assert.include(String(error), "MEXC_HEDGE_API_KEY")
    }).pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: {} })))))

  it.live("gives everything of several exchanges in one program, each built once", () =>
    simulated(
      Effect.gen(function*() {
        const whole = yield* Exchanges.WholeExchanges
        const orderEntryOf = (exchange: "mexc-spot" | "gate-spot") =>
          Effect.map(whole.contextEffect({ exchange }), (context) => Context.get(context, OrderEntry))
        const entries = yield* Effect.forEach(["mexc-spot", "gate-spot", "mexc-spot"] as const, orderEntryOf)
        assert.deepStrictEqual(entries.map(({ exchange }) => exchange), ["mexc-spot", "gate-spot", "mexc-spot"])
        assert.strictEqual(entries[0], entries[2])
      }).pipe(Effect.scoped, Effect.provide(Exchanges.WholeExchanges.layer))
    ))

  it.live("runs both exchanges in one program, and shares what is asked for twice", () =>
    simulated(Effect.gen(function*() {
      const { counts } = yield* Simulator.Simulator
      yield* Effect.gen(function*() {
        const websockets = yield* Exchanges.PublicWebsockets
        const contexts = yield* Effect.forEach(
          ["mexc-spot", "gate-spot", "mexc-spot"] as const,
          (id) => websockets.contextEffect(id),
          { concurrency: "unbounded" }
        )
        const [mexc, gate, again] = contexts.map((context) => Context.get(context, PublicWebsocket))
        assert.strictEqual(mexc, again)
        assert.deepStrictEqual([mexc?.exchange, gate?.exchange], ["mexc-spot", "gate-spot"])
        for (const context of contexts) yield* Effect.provide(firstTicker, context)
        const { "gate-spot": ofGate, "mexc-spot": ofMexc } = counts().exchanges
        assert.strictEqual(ofMexc!.connections.accepted, 1)
        assert.strictEqual(ofGate!.connections.accepted, 1)
      }).pipe(Effect.scoped, Effect.provide(Exchanges.PublicWebsockets.layer))
    })))

  it.live("builds a front door for an exchange of one's own", () =>
    simulated(Effect.gen(function*() {
      const door = Exchanges.make({ toySpot, gateSpot })
      assert.deepStrictEqual([...door.ids].sort(), ["gate-spot", "toy"])
      assert.strictEqual(door.get("toy"), toySpot)
      const exchange = yield* Effect.gen(function*() {
        const toy = yield* door.publicOf("toy")
        const stream = yield* toy.feed(Channel.book(btc))
        const [item] = yield* Stream.runCollect(Stream.take(stream, 1))
        assert.strictEqual(item?._tag === "Data" ? item.value.kind : null, "snapshot")
        return yield* firstTicker
      }).pipe(Effect.scoped, Effect.provide(door.layerPublicConfig("toy")))
      assert.strictEqual(exchange, "toy")
    })))

  it.live("gives everything of an exchange of one's own, and only the orders that it can", () =>
    simulated(Effect.gen(function*() {
      const door = Exchanges.make({ toyTrading })
      yield* Effect.gen(function*() {
        const orders = yield* door.ordersOf("toy")
        const { outcome } = yield* orders.place({ pair: btc, side: "buy", quantity: "0.001", price: "1000" })
        assert.strictEqual(outcome._tag, "Accepted")
        const lacking = yield* Effect.flip((yield* OrderEntry).leverage(btc))
        assert.strictEqual(lacking.reason._tag, "UnsupportedOrder")
        const noPositions = yield* Effect.flip((yield* PrivateWebsocket).feed("Positions"))
        assert.strictEqual(noPositions.reason._tag, "UnsupportedChannel")
      }).pipe(Effect.scoped, Effect.provide(door.layer("toy")))
    })))

  it.live("does not take one exchange's Layer for another's: nothing is sent under its name", () =>
    simulated(Effect.gen(function*() {
      const { accounts } = yield* Simulator.Simulator
      yield* Effect.gen(function*() {
        const asked = {
          PublicWebsocket: Exchanges.publicOf("gate-futures"),
          PrivateWebsocket: Exchanges.privateOf("gate-futures"),
          OrderEntry: Effect.flatMap(
            Exchanges.ordersOf("gate-futures"),
            (orders) => orders.place({ pair: perpetual, side: "buy", quantity: 1, price: "1000" })
          ),
          PublicExchange: Exchanges.publicExchangeOf("gate-futures"),
          PrivateExchange: Exchanges.privateExchangeOf("gate-futures")
        }
        for (const [service, effect] of Object.entries(asked)) {
          const { exchange, message, reason } = yield* Effect.flip(Effect.asVoid(effect as typeof asked.OrderEntry))
          assert.deepStrictEqual([exchange, reason._tag], ["gate-futures", "InvalidUse"])
          assert.include(message, `${service} of gate-futures was asked for, but the Layer in use is mexc-spot's`)
        }
        assert.isEmpty(accounts("mexc-spot")[0]!.orders)
        assert.strictEqual((yield* Exchanges.ordersOf("mexc-spot")).exchange, "mexc-spot")
      }).pipe(Effect.scoped, Effect.provide(Exchanges.layer("mexc-spot", { account: accountOf("mexc-spot") })))
    })))

  it.effect("takes a scripted Layer that says it is the exchange, and no other", () =>
    Effect.gen(function*() {
      const named = Exchanges.ordersOf("gate-spot").pipe(
        Effect.provide(OrderEntryTest.layer({ exchange: "gate-spot" }))
      )
      assert.strictEqual((yield* named).exchange, "gate-spot")
      const error = yield* Effect.flip(Effect.provide(Exchanges.ordersOf("gate-spot"), OrderEntryTest.layer()))
      assert.include(error.message, "OrderEntry of gate-spot was asked for, but the Layer in use is test's")
    }))

  it.live("answers a channel that the exchange lacks with a typed error that names those it has", () =>
    simulated(Effect.gen(function*() {
      const door = Exchanges.make({ toySpot })
      yield* Effect.gen(function*() {
        const error = yield* Effect.flip(Stream.runDrain(Public.stream(Channel.ticker(btc))))
        assert.strictEqual(error.reason._tag, "UnsupportedChannel")
        assert.include(error.message, "BookTicker, Trades, Book")
        assert.isFalse(error.isTransient)
        assert.isFalse((yield* PublicWebsocket).channels.has("Ticker"))
        assert.strictEqual((yield* PublicWebsocket.use(({ performance }) => performance)).connections, 0)
      }).pipe(Effect.provide(door.layerPublicConfig("toy")))
    })))

  it.effect("types the events by the channel", () =>
    Effect.gen(function*() {
      const control = yield* Test.TestControl
      const stream = yield* PublicWebsocket.use((websocket) => websocket.feed(Channel.trades(btc)))
      yield* control.emit(Test.trade(btc, { price: 7 }))
      const items: ReadonlyArray<Feed.Feed<Trade>> = yield* Stream.runCollect(Stream.take(stream, 1))
      assert.deepStrictEqual(items.map((item) => item._tag === "Data" ? item.value.price : null), [7])
    }).pipe(Effect.scoped, Effect.provide(Test.layer())))

  it("says nothing private in the public service", () => {
    const source = readFileSync(new URL("../src/PublicWebsocket.ts", import.meta.url), "utf8")
    assert.notMatch(source, /private|credential|api.?key|secret|sign|balance|order(?!.?book)/i)
  })
})
