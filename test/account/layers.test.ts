import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Fiber, Layer, Redacted } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { TestClock } from "effect/testing"
import { AccountRest } from "../../src/AccountRest.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import * as NodeHashes from "../../src/connection/NodeHashes.ts"
import { ExchangeClock } from "../../src/ExchangeClock.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import { gateSpot, mexcSpot } from "../../src/exchanges/index.ts"
import { MarketRest } from "../../src/MarketRest.ts"
import { OrderEntry } from "../../src/OrderEntry.ts"
import { PrivateWebsocket } from "../../src/PrivateWebsocket.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { RateLimits } from "../../src/RateLimits.ts"
import { Bank, credentials } from "./Bank.ts"

const nowhere = Layer.mergeAll(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient, NodeHashes.layer).pipe(
  Layer.provide(Layer.succeed(MemoryNetwork.MemoryNetwork, new Bank().network))
)

const bank = (id: string) => {
  const adapter = new Bank().adapter()
  return {
    ...adapter,
    id,
    makeRest: () => ({ instruments: Effect.succeed([]), serverTime: Effect.succeed(0) }),
    limits: { restConcurrency: 1, restPerSecond: 10 }
  } as never
}

const environment = (entries: Readonly<Record<string, string>>) =>
  Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: entries })))

describe("the Layers of an account", () => {
  it.effect("share one clock, one set of limits and one set of readings", () =>
    Effect.gen(function*() {
      const options = { credentials }
      const adapter = bank("bank")
      const context = yield* Layer.build(
        Layer.mergeAll(
          ExchangeFactory.layerPrivate(adapter, options),
          ExchangeFactory.layerOrderEntry(adapter, options).pipe(
            Layer.flatMap((found) =>
              Layer.succeed(Other, {
                clock: Context.get(found, ExchangeClock),
                limits: Context.get(found, RateLimits),
                rest: Context.get(found, AccountRest)
              })
            )
          )
        ).pipe(Layer.provide(nowhere))
      )
      const other = Context.get(context, Other)
      assert.strictEqual(Context.get(context, ExchangeClock), other.clock)
      assert.strictEqual(Context.get(context, RateLimits), other.limits)
      assert.strictEqual(Context.get(context, AccountRest), other.rest)
      assert.strictEqual(Context.get(context, PrivateWebsocket).account, "main")
    }))

  it.effect("give both services, and their name is not their key", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(
        Layer.provide(ExchangeFactory.layerAccount(bank("bank"), { credentials }), nowhere)
      )
      assert.strictEqual(Context.get(context, OrderEntry).exchange, "bank")
      assert.strictEqual(Context.get(context, AccountRest).account, "main")
    }))

  it.effect("and those of the market share the public calls when they are built together", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(
        Layer.provide(ExchangeFactory.layer(mexcSpot, { credentials }), nowhere)
      )
      assert.strictEqual(Context.get(context, PublicWebsocket).exchange, "mexc-spot")
      assert.strictEqual(Context.get(context, PrivateWebsocket).exchange, "mexc-spot")
      assert.strictEqual(Context.get(context, MarketRest).exchange, "mexc-spot")
    }))

  it.effect("wait together with the market's when MEXC has had enough of the address, whoever was told", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      let busy = ""
      const web = HttpClient.make((request, url) => {
        told.push(url.pathname)
        const isBusy = url.pathname === busy
        const body = isBusy
          ? { code: 429, msg: "too many" }
          : { symbols: [], serverTime: 0, balances: [] }
        const init = isBusy ? { status: 429, headers: { "retry-after": "30" } } : {}
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(JSON.stringify(body), init)))
      })
      const context = yield* Layer.build(
        ExchangeFactory.layer(mexcSpot, { credentials }).pipe(
          Layer.provide(Layer.mergeAll(nowhere, Layer.succeed(HttpClient.HttpClient, web)))
        )
      )
      const market = Context.get(context, MarketRest)
      const account = Context.get(context, AccountRest)
      const [balances, instruments] = ["/api/v3/account", "/api/v3/exchangeInfo"]
      const soon = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
          yield* TestClock.adjust("2 seconds")
          return yield* Fiber.join(fiber)
        })
      yield* soon(account.balances)
      for (
        const [first, second, path] of [
          [Effect.asVoid(account.balances), Effect.asVoid(market.instruments), balances],
          [Effect.asVoid(market.instruments), Effect.asVoid(account.balances), instruments]
        ] as const
      ) {
        yield* TestClock.adjust("1 minute")
        busy = path
        yield* soon(Effect.flip(first))
        busy = ""
        const before = told.length
        const fiber = yield* Effect.forkChild(Effect.exit(second), { startImmediately: true })
        yield* TestClock.adjust("9 seconds")
        assert.lengthOf(told, before)
        yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust("21 seconds")
        yield* soon(second)
        assert.isAbove(told.length, before)
      }
    }))

  it.effect("say what cannot be: a test net that there is none of, a pair that cannot be, market data only", () =>
    Effect.gen(function*() {
      const build = (layer: ReturnType<typeof ExchangeFactory.layerAccount>) =>
        Effect.flip(Effect.scoped(Layer.build(Layer.provide(layer, nowhere))))
      const testnet = yield* build(ExchangeFactory.layerAccount(bank("bank"), { credentials, environment: "testnet" }))
      assert.include(testnet.message, "no test net")
      const pairs = yield* build(ExchangeFactory.layerAccount(bank("bank"), { credentials, reconcilePairs: ["X/Y"] }))
      assert.include(pairs.message, "reconcilePairs")
      const plain = { ...(bank("bank") as object), account: undefined } as never
      assert.include((yield* build(ExchangeFactory.layerAccount(plain, { credentials }))).message, "market data only")
    }))
})

describe("credentials", () => {
  it.effect("come from the variables of the exchange and of the account", () =>
    Effect.gen(function*() {
      const main = yield* ExchangeFactory.credentials(mexcSpot)
      assert.deepStrictEqual([main.account, Redacted.value(main.key), Redacted.value(main.secret)], ["main", "a", "b"])
      const hedge = yield* ExchangeFactory.credentials(gateSpot, "hedge-2")
      assert.deepStrictEqual(
        [hedge.account, Redacted.value(hedge.key), Redacted.value(hedge.secret)],
        ["hedge-2", "c", "d"]
      )
      assert.notInclude(String(JSON.stringify(main)), "b\"")
    }).pipe(environment({
      MEXC_API_KEY: "a",
      MEXC_API_SECRET: "b",
      GATE_HEDGE_2_API_KEY: "c",
      GATE_HEDGE_2_API_SECRET: "d"
    })))

  it.effect("that are missing are told by the name of the variable", () =>
    Effect.gen(function*() {
      const accounts = yield* Exchanges.Accounts
      const key = { exchange: "mexc-spot", account: "grid" } as const
      const error = yield* Effect.flip(Effect.scoped(accounts.contextEffect(key)))
      assert.include(error.message, "MEXC_GRID_API_KEY")
    }).pipe(Effect.provide(Exchanges.Accounts.layer), environment({})))
})

class Other extends Context.Service<Other, {
  readonly clock: ExchangeClock["Service"]
  readonly limits: RateLimits["Service"]
  readonly rest: AccountRest["Service"]
}>()("test/Other") {}
