import { assert, describe, it } from "@effect/vitest"
import { BigDecimal, Effect, Exit, Layer } from "effect"
import type { Fiber } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { WorldAccount, WorldOrder, WorldPlace } from "../../src/AccountWorld.ts"
import { isRefusal } from "../../src/AccountWorld.ts"
import * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { ExchangeDialect } from "../../src/ExchangeDialect.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type { AccountOptions, SimulatorOptions } from "../../src/simulator/Simulator.ts"
import { connect } from "./ToyClient.ts"
import { toy } from "./ToyDialect.ts"

const pair = "BTC/USDT"
const contract = "BTC/USDT:USDT"

const toySwap: ExchangeDialect = {
  ...toy,
  id: "toy-swap",
  kind: "swap",
  fees: { maker: "-0.0001", taker: "0.0005" }
}

const owner = (userId: string): AccountOptions => ({
  userId,
  keys: [{ apiKey: `key${userId}`, secret: `secret${userId}` }],
  balances: { USDT: "1000000", BTC: "10" }
})

/** Moved by `tick` alone. */
const manual = (options: Partial<SimulatorOptions> = {}) =>
  MemoryNetwork.layerHttpClient.pipe(
    Layer.provideMerge(
      Simulator.layerMemory({
        dialects: [toy, toySwap],
        pairs: [pair, "ETH/USDT"],
        seed: 7,
        autoRun: false,
        accounts: { toy: [owner("1"), owner("2")], "toy-swap": [owner("1"), owner("2")] },
        ...options
      })
    )
  )

const accountOf = (exchange = "toy", userId = "1"): Effect.Effect<WorldAccount, never, Simulator.Simulator> =>
  Effect.map(Simulator.Simulator, (simulator) => simulator.account(exchange, userId)!)

const order = (fields: Partial<WorldPlace> = {}): WorldPlace => ({
  pair,
  side: "buy",
  type: "limit",
  timeInForce: "gtc",
  price: "70000",
  quantity: "0.01",
  quoteQuantity: null,
  clientOrderId: null,
  reduceOnly: false,
  trigger: null,
  ...fields
})

const marketOrder = (fields: Partial<WorldPlace> = {}): WorldPlace =>
  order({ type: "market", price: null, timeInForce: "ioc", ...fields })

const placed = (account: WorldAccount, request: WorldPlace): WorldOrder => {
  const result = account.place(request)
  return isRefusal(result) ? assert.fail(result) : result
}

const dial = (exchange = "toy") => Effect.flatMap(Simulator.Simulator, ({ urls }) => connect(urls[exchange]!.ws))

describe("accounts in a running simulator", () => {
  it.effect("an order takes from the book that everybody sees, and its trades are on the tape", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const [best] = simulator.book("toy", pair, 1)!.asks
      const { averagePrice, filled, finish } = placed(
        yield* accountOf(),
        order({ price: "100000", quantity: best!.quantity })
      )
      assert.deepStrictEqual([averagePrice, filled, finish], [
        Decimal.toText(Decimal.of(best!.price)),
        Decimal.toText(Decimal.of(best!.quantity)),
        "filled"
      ])
      const { price, quantity, side } = simulator.trades("toy", pair).at(-1)!
      assert.deepStrictEqual([price, quantity, side], [best!.price, best!.quantity, "buy"])
      assert.notStrictEqual(simulator.book("toy", pair, 1)!.asks[0]!.price, best!.price)
    }).pipe(Effect.provide(manual())))

  it.effect("an order rests until the market or a published trade reaches it", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const account = yield* accountOf()
      const [bid] = simulator.book("toy", pair, 1)!.bids
      const near = placed(account, order({ price: bid!.price }))
      const far = placed(account, order({ price: "79000" }))
      yield* simulator.tick(1_000)
      assert.deepStrictEqual(
        [account.order(near)!.finish, account.order(far)!.finish, account.order(far)!.filled],
        ["filled", null, "0"]
      )
      yield* simulator.publish("toy", pair, { _tag: "Trade", side: "sell", price: "79000", quantity: "0.004" })
      assert.deepStrictEqual(account.order(far)!.filled, "0.004")
      assert.deepStrictEqual(account.fills({}).map(({ liquidity }) => liquidity), ["maker", "maker"])
    }).pipe(Effect.provide(manual())))

  it.effect("a market that nobody watches does not rest while an order waits in it", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const account = yield* accountOf()
      const [bid] = simulator.book("toy", "C0/USDT", 1)!.bids
      const { id } = placed(account, order({ pair: "C0/USDT", price: bid!.price, quantity: "100" }))
      yield* simulator.tick(1_500)
      // Told before anybody looked at the market.
      assert.notStrictEqual(account.order({ id })!.filled, "0")
    }).pipe(
      Effect.provide(manual({ pairs: Array.from({ length: 70 }, (_, index) => `C${index}/USDT` as const) }))
    ))

  it.effect("the same seed and orders give the same fills; without accounts the market is another's", () => {
    const run = Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const account = yield* accountOf()
      placed(account, marketOrder({ quantity: "0.5" }))
      yield* simulator.tick(50)
      placed(account, marketOrder({ side: "sell", quantity: "0.7" }))
      yield* simulator.tick(50)
      return { fills: account.fills({}), book: simulator.book("toy", pair), trades: simulator.trades("toy", pair) }
    }).pipe(Effect.provide(manual({ rate: 400 })))
    const untouched = (options: Partial<SimulatorOptions>) =>
      Effect.gen(function*() {
        const simulator = yield* Simulator.Simulator
        yield* simulator.tick(100)
        return [simulator.book("toy", pair), simulator.trades("toy", pair), simulator.swap("toy-swap", contract)]
      }).pipe(Effect.provide(manual({ rate: 400, ...options })))
    return Effect.gen(function*() {
      assert.deepStrictEqual(yield* run, yield* run)
      // Accounts that do nothing change nothing.
      assert.deepStrictEqual(yield* untouched({}), yield* untouched({ accounts: {} }))
    })
  })

  it.effect("pushes go to whoever listens until it is gone, and are counted by topic", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const account = yield* accountOf()
      const [one, two] = [yield* dial(), yield* dial()]
      one.send("sub", "account:key1")
      two.send("sub", "account:key1")
      two.send("sub", "account:nobody")
      assert.lengthOf(two.of("reject"), 1)
      placed(account, order())
      assert.deepStrictEqual(one.of("account").map(({ event }) => event._tag), ["Balance", "Order"])
      assert.deepStrictEqual(two.of("account"), one.of("account"))
      two.close()
      account.cancelAll()
      assert.deepStrictEqual([one.of("account").length, two.of("account").length], [4, 2])
      const { channel, offered, pair: about } = simulator.counts().exchanges["toy"]!.topics["account:key1"]!
      assert.deepStrictEqual([channel, about, offered], ["Account", null, { frames: 6, events: 6 }])
    }).pipe(Effect.provide(manual())))

  it.effect("a dialect that fails on a push ends its own connection and nothing else", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const account = yield* accountOf("toy-swap")
      const [one, two] = [yield* dial("toy-swap"), yield* dial("toy-swap")]
      one.send("sub", "account:key1")
      two.send("sub", "account:key2")
      placed(account, marketOrder({ pair: contract, quantity: "5" }))
      placed(account, marketOrder({ pair: contract, side: "sell", quantity: "5", reduceOnly: true }))
      assert.deepStrictEqual([one.closes.map(([code]) => code), two.closes], [[1011], []])
      assert.lengthOf(simulator.counts().failures, 1)
      assert.deepStrictEqual(account.positions().map(({ size }) => size), ["0"])
    }).pipe(Effect.provide(manual())))

  it.effect("counts what was asked of accounts, and what was refused", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* dial()
      client.send("buy", "key1 70000 0.01 a")
      client.send("buy", "key1 70000 0.01 a")
      client.send("buy", "key1 0 0.01 b")
      assert.deepStrictEqual(simulator.counts().exchanges["toy"]!.orders, {
        places: 3,
        placed: 1,
        cancels: 0,
        amends: 0,
        refused: { duplicateClientOrderId: 1, badPrice: 1 }
      })
    }).pipe(Effect.provide(manual())))

  it.effect("funding is paid at its time, at the rate announced before", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const account = yield* accountOf("toy-swap")
      yield* simulator.tick(6)
      placed(account, marketOrder({ pair: contract, quantity: "5" }))
      let paid = 0
      account.watch((event) => {
        if (event._tag === "Balance" && event.balance.cause === "funding") paid++
      })
      yield* simulator.tick(8 * 360)
      assert.strictEqual(paid, 1)
      yield* simulator.publish("toy-swap", contract, { _tag: "Funding", rate: "0.001" })
      assert.strictEqual(paid, 2)
    }).pipe(Effect.provide(manual({ tickMillis: 10_000, rate: 0.01 }))))

  it.effect("a jump of the mark price liquidates what its margin no longer holds", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const account = yield* accountOf("toy-swap")
      account.setLeverage(contract, "50")
      placed(account, marketOrder({ pair: contract, quantity: "5" }))
      yield* simulator.publish("toy-swap", contract, { _tag: "Mark", price: "60000" })
      assert.deepStrictEqual(account.positions().map(({ size }) => size), ["0"])
      assert.strictEqual(simulator.swap("toy-swap", contract)!.markPrice, "60000.000")
      const refused = yield* Effect.flip(simulator.publish("toy", pair, { _tag: "Mark", price: "60000" }))
      assert.include(refused.message, "is no swap")
    }).pipe(Effect.provide(manual())))

  it.effect("a cross position has the whole balance behind it", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const account = yield* accountOf("toy-swap")
      yield* simulator.change("toy-swap", "1", { _tag: "Deposit", asset: "USDT", amount: "-999900" })
      placed(account, marketOrder({ pair: contract, quantity: "50" }))
      const total = () => {
        const { available, locked } = account.balances().find(({ asset }) => asset === "USDT")!
        return +available + +locked
      }
      // 0.005 BTC, of about 403 USDT: its margin of a tenth is gone below 73 000, the balance of 100 at about 60 800.
      const mark = (price: string) => simulator.publish("toy-swap", contract, { _tag: "Mark", price })
      yield* mark("65000")
      const [position] = account.positions()
      assert.strictEqual(position!.size, "50")
      assert.closeTo(Number(position!.liquidationPrice), 60_800, 300)
      const before = total()
      yield* mark("60700")
      const [flat] = account.positions()
      assert.deepStrictEqual([flat!.size, flat!.margin], ["0", "0"])
      assert.closeTo(total(), before + Number(flat!.lastClosePnl), 0.5)
      assert.isAtLeast(total(), 0)
    }).pipe(Effect.provide(manual())))

  it.effect("a reduce-only order follows its position down, and ends with it", () =>
    Effect.gen(function*() {
      const account = yield* accountOf("toy-swap")
      placed(account, marketOrder({ pair: contract, quantity: "5" }))
      const closing = (quantity: string) =>
        placed(account, order({ pair: contract, side: "sell", price: "99000", quantity, reduceOnly: true }))
      const [five, three] = [closing("5"), closing("3")]
      placed(account, marketOrder({ pair: contract, side: "sell", quantity: "2" }))
      const simulator = yield* Simulator.Simulator
      yield* simulator.publish("toy-swap", contract, { _tag: "Trade", side: "buy", price: "99000", quantity: "4" })
      assert.deepStrictEqual(
        [five, three].map(({ id }) => account.order({ id })!).map(({ filled, finish }) => [filled, finish]),
        [["3", "reduceOnly"], ["0", "reduceOnly"]]
      )
      assert.strictEqual(account.positions()[0]!.size, "0")
    }).pipe(Effect.provide(manual())))

  it.effect("money comes and goes, and positions are taken over, as a test wants it", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const account = yield* accountOf("toy-swap")
      placed(account, marketOrder({ pair: contract, quantity: "5" }))
      const change = (amount: string) => simulator.change("toy-swap", "1", { _tag: "Deposit", asset: "BTC", amount })
      yield* change("-10")
      assert.include((yield* Effect.flip(change("-1"))).message, "more than is available")
      const deleverage = { _tag: "AutoDeleverage", pair: contract, quantity: "2", price: "81000" } as const
      yield* simulator.change("toy-swap", "1", deleverage)
      assert.strictEqual(account.positions()[0]!.size, "3")
      const refused = yield* Effect.flip(simulator.change("toy-swap", "2", deleverage))
      assert.include(refused.message, "no position")
      assert.include((yield* Effect.flip(simulator.change("toy", "3", deleverage))).message, "no user 3")
    }).pipe(Effect.provide(manual())))

  it.effect("the truth is plain values, inside the process and for others", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      placed(yield* accountOf(), marketOrder())
      placed(yield* accountOf(), order({ clientOrderId: "mine" }))
      const [truth] = simulator.accounts("toy")
      assert.deepStrictEqual(truth!.orders.map(({ clientOrderId, finish }) => [clientOrderId, finish]), [
        [null, "filled"],
        ["mine", null]
      ])
      const get = (path: string) =>
        Effect.flatMap(HttpClient.get(`${simulator.admin}/account?${path}`), (response) => response.json)
      assert.deepStrictEqual(yield* get("exchange=toy&user=1"), truth as never)
      assert.deepStrictEqual(yield* get("exchange=toy"), simulator.accounts("toy") as never)
      assert.deepStrictEqual(yield* get("exchange=toy&user=9"), { error: "there is no user 9 on toy" })
      yield* HttpClientRequest.post(`${simulator.admin}/account`).pipe(
        HttpClientRequest.bodyJsonUnsafe({
          exchange: "toy",
          user: "1",
          change: { _tag: "Deposit", asset: "ETH", amount: "3" }
        }),
        HttpClient.execute
      )
      const eth = simulator.accounts("toy")[0]!.balances.find(({ asset }) => asset === "ETH")
      assert.deepStrictEqual(eth, { asset: "ETH", available: "3", locked: "0" })
      assert.deepStrictEqual(simulator.accounts("nobody"), [])
    }).pipe(Effect.provide(manual())))

  it.effect("an exchange that is alone is found without its id too: there are clients that sign the path", () => {
    const status = (dialects: ReadonlyArray<ExchangeDialect>) =>
      Effect.gen(function*() {
        const { urls } = yield* Simulator.Simulator
        const { ws, rest } = urls["toy"]!
        const response = yield* HttpClient.get(`${rest.replace("/toy", "")}/pairs`)
        const client = yield* Effect.result(connect(ws.replace("/toy", "")))
        return [response.status, client._tag]
      }).pipe(Effect.provide(manual({ dialects, accounts: {} })))
    return Effect.gen(function*() {
      assert.deepStrictEqual(yield* status([toy]), [200, "Success"])
      assert.deepStrictEqual(yield* status([toy, toySwap]), [404, "Failure"])
    })
  })

  it.effect("refuses accounts that cannot be, and says nothing of keys", () =>
    Effect.gen(function*() {
      const made = (accounts: SimulatorOptions["accounts"]) =>
        Effect.map(Effect.flip(Effect.scoped(Layer.build(manual({ accounts })))), String)
      assert.include(yield* made({ nowhere: [owner("1")] }), "no such exchange")
      assert.include(yield* made({ toy: [owner("1"), owner("1")] }), "user id stands there twice")
      const twice = yield* made({ toy: [owner("1"), { ...owner("2"), keys: owner("1").keys }] })
      assert.include(twice, "a key stands there twice")
      assert.notInclude(twice, "key1")
      assert.include(yield* made({ toy: [{ ...owner("1"), balances: { USDT: "many" } }] }), "no decimal number")
      assert.include(yield* made({ toy: [{ ...owner("1"), balances: { USDT: "-1" } }] }), "0 or more")
    }))

  it("the demonstration accounts are one for each exchange", () => {
    const demo = Simulator.demoAccounts([toy, toySwap])
    assert.deepStrictEqual(Object.keys(demo), ["toy", "toy-swap"])
    assert.strictEqual(demo["toy"]![0]!.keys[0]!.apiKey, "demo-key-toy")
    assert.deepStrictEqual(Object.keys(demo["toy-swap"]![0]!.balances), ["USDT"])
    assert.isTrue(BigDecimal.isPositive(Decimal.of(demo["toy"]![0]!.balances["USDT"]!)))
  })
})

/** The first answer, or what became of the request within a moment. */
const post = (body: string) =>
  Effect.gen(function*() {
    const { urls } = yield* Simulator.Simulator
    const request = HttpClientRequest.post(`${urls["toy"]!.rest}/orders`).pipe(HttpClientRequest.bodyText(body))
    const fiber = yield* Effect.forkScoped(
      HttpClient.execute(request).pipe(
        Effect.map(({ status }) => `status ${status}`),
        Effect.catch(() => Effect.succeed("failed"))
      )
    )
    yield* Effect.yieldNow
    return fiber
  })

const outcome = (fiber: Fiber.Fiber<string>): string => {
  const exit = fiber.pollUnsafe()
  return exit === undefined ? "waiting" : Exit.isSuccess(exit) ? exit.value : "died"
}

const ordersOf = Effect.map(Simulator.Simulator, (simulator) => simulator.accounts("toy")[0]!.orders.length)

describe("faults at the steps of a request", () => {
  const steps: ReadonlyArray<readonly [fault: string, outcome: string, done: boolean]> = [
    ["lose-request:1,method=POST", "waiting", false],
    ["late-request:50ms,method=POST", "waiting", false],
    ["http-error:503,method=POST", "status 503", false],
    ["http-error:reset,method=POST", "failed", false],
    ["lose-answer:1,path=/orders", "waiting", true],
    ["late-answer:50ms,method=POST", "waiting", true],
    ["fail-answer,method=POST", "status 502", true],
    ["fail-answer:429,method=POST", "status 429", true],
    ["fail-answer:reset,method=POST", "failed", true],
    ["lose-answer:1,method=DELETE", "status 200", true],
    ["lose-answer:1,frame=*", "status 200", true]
  ]

  it.effect("over REST each leaves the account and the client where it should", () =>
    Effect.forEach(steps, ([fault, expected, done]) =>
      Effect.gen(function*() {
        const simulator = yield* Simulator.Simulator
        yield* simulator.inject(fault)
        const fiber = yield* post("key1 70000 0.01 a")
        yield* simulator.tick(2)
        yield* Effect.yieldNow
        assert.strictEqual(outcome(fiber), expected, fault)
        assert.strictEqual(yield* ordersOf, done ? 1 : 0, fault)
        yield* simulator.tick(4)
        yield* Effect.yieldNow
        assert.strictEqual(outcome(fiber), fault.startsWith("late") ? "status 200" : expected, fault)
        const struck = simulator.counts().faults[0]!.applied
        assert.strictEqual(struck, expected === "status 200" ? 0 : 1, fault)
        assert.strictEqual(yield* ordersOf, done || fault.startsWith("late") ? 1 : 0, fault)
        const { late, lost, replaced, unanswered } = simulator.counts().exchanges["toy"]!.rest
        const kind = fault.slice(0, fault.search(/[:,]/u))
        const ofKind = (name: string) => expected !== "status 200" && kind === name ? 1 : 0
        assert.deepStrictEqual(
          [lost, late, unanswered, replaced],
          ["lose-request", "late-request", "lose-answer", "fail-answer"].map(ofKind),
          fault
        )
      }).pipe(Effect.scoped, Effect.provide(manual()))))

  it.effect("readings that lag do not show what is young", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const account = yield* accountOf()
      const shown = HttpClient.get(`${simulator.urls["toy"]!.rest}/account?key=key1`).pipe(
        Effect.flatMap(({ json }) => json)
      )
      yield* simulator.inject("lag-read:50ms,path=*/account")
      placed(account, order({ price: "1000" }))
      placed(account, order({ price: "200000", timeInForce: "ioc" }))
      const { length } = account.fills({})
      assert.isAbove(length, 0)
      assert.deepStrictEqual(yield* shown, [0, 0, 0])
      yield* simulator.tick(6)
      assert.deepStrictEqual(yield* shown, [1, 1, length])
      placed(account, order({ price: "1000" }))
      assert.deepStrictEqual(yield* shown, [1, 1, length])
      yield* simulator.clear()
      assert.deepStrictEqual(yield* shown, [2, 1, length])
    }).pipe(Effect.provide(manual())))

  const overSocket: ReadonlyArray<readonly [fault: string, seen: ReadonlyArray<string>, done: boolean]> = [
    ["lose-request:1,frame=*buy*", [], false],
    ["late-request:50ms,frame=*buy*", [], false],
    ["lose-answer:1,frame=*buy*", [], true],
    ["lose-ack:1,frame=*result*", [], true],
    ["late-answer:50ms,frame=*buy*", [], true],
    ["fail-answer,frame=*buy*", ["closed"], true],
    ["cut:1,frame=*result*", ["result", "closed"], true],
    ["lose-answer:1,method=POST", ["result"], true]
  ]

  it.effect("over a socket too", () =>
    Effect.forEach(overSocket, ([fault, seen, done]) =>
      Effect.gen(function*() {
        const simulator = yield* Simulator.Simulator
        yield* simulator.inject(fault)
        const client = yield* dial()
        client.send("buy", "key1 70000 0.01 a")
        const now = () => [...client.messages().map(({ type }) => type), ...client.closes.map(() => "closed")]
        assert.deepStrictEqual(now(), seen, fault)
        assert.strictEqual(yield* ordersOf, done ? 1 : 0, fault)
        yield* simulator.tick(6)
        assert.deepStrictEqual(now(), fault.startsWith("late") ? ["result"] : seen, fault)
        assert.strictEqual(yield* ordersOf, done || fault.startsWith("late") ? 1 : 0, fault)
      }).pipe(Effect.provide(manual()))))

  it.effect("pushes are lost, late, doubled and in another order, and the ledger knows each", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const account = yield* accountOf()
      const client = yield* dial()
      client.send("sub", "account:key1")
      const seen = () =>
        client.of("account").flatMap(({ event }) => event._tag === "Order" ? `${event.event} ${event.order.id}` : [])
      yield* simulator.inject("lose-push:2")
      placed(account, order())
      yield* simulator.inject("late-push:30ms,count=2")
      placed(account, order())
      assert.deepStrictEqual(seen(), [])
      client.send("buy", "key1 70000 0.01 a")
      assert.deepStrictEqual(seen(), ["put 3"])
      yield* simulator.tick(3)
      assert.deepStrictEqual(seen(), ["put 3", "put 2"])
      yield* simulator.inject("duplicate:2,topic=account:*")
      placed(account, order())
      assert.deepStrictEqual(seen().slice(2), ["put 4", "put 4"])
      yield* simulator.inject("reorder:1,topic=account:*")
      account.cancelAll()
      const topic = simulator.counts().exchanges["toy"]!.topics["account:key1"]!
      const { delayed, discarded, duplicated, held, offered, reordered, sent, suppressed } = topic
      assert.deepStrictEqual(
        [delayed, duplicated, reordered, suppressed.gap, held, discarded].map(({ frames }) => frames),
        [2, 2, 1, 2, 0, 0]
      )
      assert.strictEqual(offered.frames + duplicated.frames, sent.frames + suppressed.gap.frames)
    }).pipe(Effect.provide(manual())))

  it.effect("what is late when its connection ends is discarded", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const account = yield* accountOf()
      const client = yield* dial()
      client.send("sub", "account:key1")
      yield* simulator.inject("late-push:30ms")
      placed(account, order())
      client.close()
      const { discarded, held, offered } = simulator.counts().exchanges["toy"]!.topics["account:key1"]!
      assert.deepStrictEqual([discarded.frames, held.frames, offered.frames], [2, 0, 2])
    }).pipe(Effect.provide(manual())))

  it.effect("keys expire, lose a permission and are gone, for the user that is named", () =>
    Effect.gen(function*() {
      const simulator = yield* Simulator.Simulator
      const client = yield* dial()
      const results = () => {
        client.send("buy", "key1 70000 0.01")
        client.send("buy", "key2 70000 0.01")
        return client.of("result").slice(-2).map(({ result }) => isRefusal(result) ? result : "taken")
      }
      const withFault = (fault: string) =>
        Effect.gen(function*() {
          const id = yield* simulator.inject(fault)
          const seen = results()
          yield* simulator.clear(id)
          return seen
        })
      assert.deepStrictEqual(yield* withFault("revoke:trade,user=2"), ["taken", "unknownOrder"])
      assert.deepStrictEqual(yield* withFault("revoke:read"), ["taken", "taken"])
      assert.deepStrictEqual(yield* withFault("revoke"), ["unknownOrder", "unknownOrder"])
      yield* simulator.inject("expire-keys")
      assert.lengthOf(client.of("expireKeys"), 1)
      yield* simulator.inject("upgrade-notice")
      assert.lengthOf(client.of("upgrade"), 1)
    }).pipe(Effect.provide(manual({ pairs: [pair] }))))
})
