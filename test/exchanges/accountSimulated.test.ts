/** Adapters against the simulated exchanges' accounts: two readings of the same documents that have to agree. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { AccountRest } from "../../src/AccountRest.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import * as NodeHashes from "../../src/connection/NodeHashes.ts"
import type { Balance, Fill, OrderUpdate } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import type { ExchangeDialect } from "../../src/ExchangeDialect.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import { gateSpotDialect } from "../../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { mexcSpotDialect } from "../../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../../src/exchanges/mexc/MexcSpot.ts"
import { OrderEntry } from "../../src/OrderEntry.ts"
import type { Placed } from "../../src/OrderEntry.ts"
import { PrivateWebsocket } from "../../src/PrivateWebsocket.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import * as AccountExchange from "../suites/AccountExchange.ts"
import { gateFuturesAccount } from "../suites/AccountSubjects.ts"
import { memory } from "../suites/Exchange.ts"

const userId = "1001"
const pair = "BTC/USDT"

const layerOf = (adapter: ExchangeAdapter, dialect: ExchangeDialect, limits: "off" | "real") =>
  Layer.unwrap(Effect.map(Simulator.Simulator, ({ urls }) => {
    const { rest, ws } = urls[adapter.id]!
    return ExchangeFactory.layerAccount(adapter, {
      credentials: { account: "main", key: Redacted.make("key"), secret: Redacted.make("secret") },
      url: ws,
      restUrl: rest,
      limits: limits === "off" ? "off" : "exchange",
      reconcilePairs: [pair]
    })
  })).pipe(
    Layer.provide(Layer.mergeAll(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient, NodeHashes.layer)),
    Layer.provideMerge(Layer.orDie(Simulator.layerMemory({
      dialects: [dialect],
      pairs: [pair, "ETH/USDT"],
      limits,
      seed: 7,
      accounts: {
        [dialect.id]: [{
          userId,
          keys: [{ apiKey: "key", secret: "secret" }],
          balances: { USDT: "1000000", BTC: "10" }
        }]
      }
    })))
  )

const watched = Effect.gen(function*() {
  const websocket = yield* PrivateWebsocket
  const orders: Array<OrderUpdate> = []
  const fills: Array<Fill> = []
  const balances: Array<Balance> = []
  yield* websocket.initialize()
  yield* websocket.handle({
    onOrder: (order) => void orders.push(order),
    onFill: (fill) => void fills.push(fill),
    onBalance: (balance) => void balances.push(balance)
  })
  return { orders, fills, balances, websocket }
})

const valueOf = ({ outcome }: Placed) => {
  assert(outcome._tag === "Accepted", JSON.stringify(outcome))
  return outcome.value
}

const settle = Effect.sleep("2 seconds")

const text = (value: Decimal.Decimal | null): string | null => value === null ? null : Decimal.toText(value)

const plain = (amount: string): string => Decimal.toText(Decimal.of(amount))

const subjects = [
  { adapter: mexcSpot as ExchangeAdapter, dialect: mexcSpotDialect },
  { adapter: gateSpot as ExchangeAdapter, dialect: gateSpotDialect }
]

for (const { adapter, dialect } of subjects) {
  describe(`${adapter.id}: its account`, () => {
    it.effect("orders, fills and balances are the exchange's own", () =>
      memory.run(
        Effect.gen(function*() {
          const entry = yield* OrderEntry
          const rest = yield* AccountRest
          const { account: accountIn } = yield* Simulator.Simulator
          const account = accountIn(dialect.id, userId)!
          const { balances, fills, orders, websocket } = yield* watched
          assert.strictEqual(yield* rest.userId, userId)

          const resting = yield* entry.place({
            pair,
            side: "buy",
            quantity: "0.01",
            price: "1000",
            timeInForce: "postOnly"
          })
          const { clientOrderId } = resting
          assert.deepInclude(valueOf(resting), { pair, side: "buy" })
          assert.deepInclude((yield* entry.get({ pair, clientOrderId }))!, { status: "new", timeInForce: "postOnly" })
          assert.deepStrictEqual((yield* entry.openOrders(pair)).map((order) => order.clientOrderId), [clientOrderId])
          valueOf(yield* entry.place({ pair, side: "buy", quoteQuantity: "500" }))
          valueOf(yield* entry.place({ pair, side: "sell", quantity: "0.02" }))
          valueOf(yield* entry.place({ pair, side: "buy", quantity: "0.01", price: "200000", timeInForce: "ioc" }))
          valueOf(
            yield* entry.place({ pair, side: "buy", quantity: "0.01", price: "1000", timeInForce: "fok" }).pipe(
              Effect.map((placed) => placed.outcome._tag === "Rejected" ? resting : placed)
            )
          )
          const cancelled = yield* entry.cancel({ pair, clientOrderId })
          assert(cancelled._tag === "Accepted", JSON.stringify(cancelled))
          assert.strictEqual(cancelled.value.status, "canceled")
          const again = yield* entry.cancel({ pair, clientOrderId })
          assert.strictEqual(again._tag, "Rejected")
          const batch = yield* entry.placeAll([
            { pair, side: "buy", quantity: "0.01", price: "1000" },
            { pair, side: "sell", quantity: "0.01", price: "999999" }
          ])
          assert.isTrue(batch.every(({ outcome }) => outcome._tag === "Accepted"))
          const all = yield* entry.cancelAll(pair)
          assert(all._tag === "Accepted")
          assert.strictEqual(all.value.length, 2)
          yield* settle

          const truth = account.fills({})
          assert.isAbove(truth.length, 2)
          assert.deepStrictEqual(
            fills.map((
              fill
            ) => [
              fill.side,
              text(fill.price),
              text(fill.quantity),
              text(fill.fee),
              fill.feeAsset,
              fill.liquidity,
              fill.pair
            ]),
            truth.map((
              fill
            ) => [
              fill.side,
              plain(fill.price),
              plain(fill.quantity),
              plain(fill.fee),
              fill.feeAsset,
              fill.liquidity,
              fill.pair
            ])
          )
          const read = yield* rest.fills({ pair, since: truth[0]!.time })
          assert.deepStrictEqual(read.map(({ tradeId }) => tradeId), fills.map(({ tradeId }) => tradeId))
          const known = account.orders({ open: false })
          for (const order of known) {
            const ours = orders.filter((update) => update.clientOrderId === order.clientOrderId).at(-1)
            assert(ours !== undefined, order.clientOrderId ?? "")
            assert.deepStrictEqual(
              [ours.status, text(ours.filledQuantity)],
              [
                order.finish === "filled" ? "filled" : order.filled === "0" ? "canceled" : "partiallyCanceled",
                plain(order.filled)
              ]
            )
          }
          for (const { asset, available, locked } of account.balances()) {
            const ours = balances.filter((balance) => balance.asset === asset).at(-1)
            assert.deepStrictEqual(
              [text(ours!.available), text(ours!.locked)],
              [plain(available), plain(locked)],
              asset
            )
          }
          const { decodeFailures, errors, gaps } = yield* websocket.performance
          assert.deepStrictEqual([decodeFailures, gaps, errors], [0, 0, {}])
        }).pipe(Effect.scoped, Effect.provide(layerOf(adapter, dialect, "off")))
      ))

    it.effect("refusals are outcomes, and the exchange's limits are kept", () =>
      memory.run(
        Effect.gen(function*() {
          const entry = yield* OrderEntry
          const poor = yield* entry.place({ pair, side: "sell", quantity: "100", price: "999999" })
          assert(poor.outcome._tag === "Rejected", JSON.stringify(poor))
          assert.strictEqual(poor.outcome.reason.class, "item")
          const placed = yield* Effect.forEach(
            Array.from({ length: 30 }, (_, index) => index),
            (index) => entry.place({ pair, side: "buy", quantity: "0.01", price: 1000 + index }),
            { concurrency: "unbounded" }
          )
          assert.isTrue(placed.every(({ outcome }) => outcome._tag === "Accepted"))
        }).pipe(Effect.scoped, Effect.provide(layerOf(adapter, dialect, "real")))
      ))
  })
}

describe("gate-futures: orders that wait for a price", () => {
  const swap = "BTC/USDT:USDT"

  it.effect("wait, are cancelled, and become orders when their price has come", () =>
    AccountExchange.run(
      memory,
      AccountExchange.layer(memory, gateFuturesAccount),
      Effect.gen(function*() {
        const entry = yield* OrderEntry
        const account = yield* AccountExchange.truth(gateFuturesAccount)
        const { known } = yield* AccountExchange.open
        const waiting = yield* entry.place({
          pair: swap,
          side: "sell",
          quantity: 3,
          trigger: { kind: "stop", price: "1000" }
        })
        const { clientOrderId } = waiting
        const { orderId } = valueOf(waiting)
        const listed = yield* entry.openOrders(swap)
        assert.deepStrictEqual(listed.map((order) => [order.orderId, order.type, order.status]), [[
          orderId,
          "stop",
          "new"
        ]])
        assert.deepInclude((yield* entry.get({ pair: swap, clientOrderId, trigger: true }))!, {
          orderId,
          clientOrderId
        })
        assert.deepInclude((yield* entry.get({ pair: swap, orderId }))!, { orderId, type: "stop" })
        yield* settle
        assert.strictEqual(known.orders.get(orderId)?.type, "stop")
        const cancelled = yield* entry.cancel({ pair: swap, clientOrderId, trigger: true })
        assert(cancelled._tag === "Accepted", JSON.stringify(cancelled))
        assert.strictEqual(cancelled.value.status, "canceled")
        const many = yield* entry.placeAll([
          { pair: swap, side: "buy", quantity: 3, trigger: { kind: "stop", price: "1000" } },
          { pair: swap, side: "buy", quantity: 3, price: "1000" }
        ])
        const [fired, resting] = many.map(valueOf)
        yield* Effect.sleep("20 seconds")
        assert.strictEqual(known.orders.get(resting!.orderId)?.status, "new")
        assert.deepStrictEqual(known.fills.map((fill) => [fill.clientOrderId, fill.side, text(fill.quantity)]), [
          [fired!.clientOrderId, "buy", "3"]
        ])
        const all = yield* entry.cancelAll(swap)
        assert(all._tag === "Accepted")
        yield* settle
        AccountExchange.checkAgreement(known, account, "swap")
      })
    ))
})
