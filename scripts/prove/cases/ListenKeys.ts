/**
 * Two days of a private stream that lives by listen keys: renewals, rotations, a key that ends before its time, and a
 * renewal that fails for over an hour.
 */
import { Clock, Effect, Fiber, Layer, Random, Stream } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import { TestClock } from "effect/testing"
import { createHmac } from "node:crypto"
import type { WorldAccount, WorldAccountEvent } from "../../../src/AccountWorld.ts"
import { isRefusal } from "../../../src/AccountWorld.ts"
import * as MemoryNetwork from "../../../src/connection/MemoryNetwork.ts"
import { isFinal } from "../../../src/domain/Account.ts"
import type { PrivatePerformance } from "../../../src/PrivateWebsocket.ts"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import * as AccountExchange from "../../../test/suites/AccountExchange.ts"
import { mexcAccount } from "../../../test/suites/AccountSubjects.ts"
import * as Exchange from "../../../test/suites/Exchange.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

const minute = 60_000
const hour = 60 * minute

/** Virtual time passes in steps that are shorter than any deadline of the stream. */
const stepMillis = 10_000
const start = 1_795_564_800_000

/** The user's keys, as a client of its own asks for them. */
const keysAlive = Effect.fnUntraced(function*() {
  const client = yield* HttpClient.HttpClient
  const { urls } = yield* Simulator.Simulator
  const query = `timestamp=${Math.floor(yield* Clock.currentTimeMillis)}`
  const signature = createHmac("sha256", "the-secret-of-main").update(query).digest("hex")
  const response = yield* client.get(
    `${urls[mexcAccount.adapter.id]!.rest}/api/v3/userDataStream?${query}&signature=${signature}`,
    { headers: { "X-MEXC-APIKEY": "the-key-of-main" } }
  )
  const body = (yield* response.json) as { readonly listenKey: ReadonlyArray<string> }
  return body.listenKey.length
})

/** The owner trades on the exchange's website: an order that rests, one that fills, and one that is cancelled. */
const trade = (account: WorldAccount, draws: Virtual.Draws): void => {
  const place = (side: "buy" | "sell", price: string | null) => {
    const placed = account.place({
      pair: mexcAccount.pair,
      side,
      type: price === null ? "market" : "limit",
      timeInForce: price === null ? "ioc" : "gtc",
      price,
      quantity: "0.01",
      quoteQuantity: null,
      clientOrderId: null,
      reduceOnly: false,
      trigger: null
    })
    if (isRefusal(placed)) throw new Error(`the simulator refuses an order of its owner: ${placed}`)
    return placed
  }
  const [open] = account.orders({ open: true })
  if (open !== undefined) account.cancel({ id: open.id })
  place(Virtual.pick(draws, ["buy", "sell"]), null)
  place("buy", String(1_000 + Virtual.below(draws, 100)))
}

/** The quick one has everything but the second rotation. */
const hoursOf = ({ quick }: Proof): number => quick ? 26 : 48

interface Trouble {
  readonly at: number
  readonly fault: string
}

/** When what goes wrong, ms from the beginning. */
const troubles: ReadonlyArray<Trouble> = [
  { at: 2 * hour + 7 * minute, fault: "expire-keys" },
  { at: 5 * hour + 3 * minute, fault: "http-error:503,path=/api/v3/userDataStream,method=PUT,count=1" },
  { at: 8 * hour + 11 * minute, fault: "http-error:503,path=/api/v3/userDataStream,method=PUT@0s:80m" }
]

const tradeEvery = 17 * minute

/** Longest that an event may be on its way where nothing is wrong, and where a key has ended unannounced. */
const usualMillis = stepMillis
const blindMillis = minute

interface Result {
  readonly account: WorldAccount
  readonly known: AccountExchange.Known
  /** From an event of the account, at so many ms from the beginning, to the client's knowing all of it. */
  readonly lags: ReadonlyArray<{ readonly at: number; readonly lag: number }>
  readonly most: number
  /** Connections that were made. */
  readonly dials: number
  readonly performance: PrivatePerformance
  readonly events: ReadonlyArray<WorldAccountEvent>
}

const days = Effect.fnUntraced(function*(proof: Proof) {
  const simulator = yield* Simulator.Simulator
  const account = yield* AccountExchange.truth(mexcAccount)
  const draws = yield* Virtual.draws(proof.seed, "listen keys")
  const { known, websocket } = yield* AccountExchange.open
  const events: Array<WorldAccountEvent> = []
  account.watch((event) => void events.push(event))
  const lags: Array<{ readonly at: number; readonly lag: number }> = []
  const begun = yield* Clock.currentTimeMillis
  let most = 0
  let next = 0
  let dials = 1
  yield* websocket.status.pipe(
    Stream.runForEach(({ _tag }) => Effect.sync(() => void (_tag === "Connected" && dials++))),
    Effect.forkScoped({ startImmediately: true })
  )

  const wait = Effect.fnUntraced(function*(at: number) {
    const wanted = account.fills({}).length
    for (let lag = 0; lag <= 10 * minute; lag += stepMillis) {
      if (known.fills.length >= wanted) return void lags.push({ at, lag })
      yield* Effect.sleep(stepMillis)
    }
    lags.push({ at, lag: Number.POSITIVE_INFINITY })
  })

  const until = hoursOf(proof) * hour
  for (let at = 0; at < until; at = (yield* Clock.currentTimeMillis) - begun) {
    const trouble = troubles[next]
    if (trouble !== undefined && at >= trouble.at) {
      next++
      yield* Effect.orDie(simulator.inject(trouble.fault))
    }
    trade(account, draws)
    yield* wait(at)
    most = Math.max(most, yield* keysAlive())
    yield* Effect.sleep(tradeEvery)
  }
  yield* websocket.reconcile
  const performance = yield* websocket.performance
  const result: Result = { account, known, lags, most, dials, performance, events }
  return result
})

const report = (proof: Proof, result: Result): void => {
  const { account, dials, events, known, lags, most, performance } = result
  const fills = events.filter(({ _tag }) => _tag === "Fill").length
  proof.say(
    `${hoursOf(proof)} hours: ${events.length} events of the account, ${fills} fills, ${dials} connections, `
      + `${performance.reconciliation.recovered} events found by reading, gaps told: ${known.gaps.join(", ") || "none"}`
  )
  const differences = AccountExchange.differences(known, account, "spot")
  proof.check(
    "nothing is lost, nothing comes twice: fills in their order, orders and balances are the exchange's",
    differences.length === 0 && new Set(known.fills.map(({ tradeId }) => tradeId)).size === known.fills.length,
    differences.length === 0 ? `${known.fills.length} fills, ${known.orders.size} orders` : differences[0]!
  )
  const ended = [...known.orders.values()].filter(({ status }) => isFinal(status)).length
  proof.figure("orders_ended", ended)
  const slow = lags.filter(({ lag }) => lag > usualMillis)
  proof.check(
    `an event is told within ${
      usualMillis / 1000
    } s, but while a key that ended unannounced is not noticed yet: once, within `
      + `${blindMillis / 1000} s`,
    slow.length <= 1 && slow.every(({ at, lag }) => lag <= blindMillis && Math.abs(at - troubles[0]!.at) <= hour),
    slow.map(({ at, lag }) => `${lag} ms at ${Math.round(at / minute)} min`).join(", ") || "always"
  )
  proof.check(
    "connections are replaced before they end, but the one whose key ended unannounced",
    performance.reconnects === 1 && dials > 3,
    `${dials} made, ${performance.reconnects} lost`
  )
  proof.check("never more than 60 keys of the user at once", most <= 60 && most > 0, `at most ${most}`)
  proof.figure("keys_most", most)
  proof.figure("connections", dials)
}

const owner = {
  userId: AccountExchange.userId,
  keys: [{ apiKey: "the-key-of-main", secret: "the-secret-of-main" }],
  balances: { USDT: "1000000", BTC: "100" }
}

/** The exchange outlives its client, to be asked what was left behind. */
const serverOf = (seed: number) =>
  Layer.orDie(Simulator.layerMemory({
    dialects: [mexcAccount.dialect],
    pairs: [mexcAccount.pair],
    limits: "real",
    seed,
    rate: 0,
    tickMillis: 10_000,
    accounts: { [mexcAccount.adapter.id]: [owner] }
  }))

const clientOf = AccountExchange.account(mexcAccount, { limits: "exchange" }).pipe(
  Layer.provide(AccountExchange.network(Exchange.memory))
)

export const listenKeys: Case = {
  name: "listen-keys",
  proves:
    "A private stream of MEXC lives through two days of renewals, rotations, a lost key and failing renewals, and leaves no key",
  run: (proof) =>
    Effect.gen(function*() {
      // Only what the owner does is of interest; timers go on.
      yield* (yield* Simulator.Simulator).pause
      const body = days(proof).pipe(Effect.tap((result) => Effect.sync(() => report(proof, result))), Effect.scoped)
      const fiber = yield* Effect.forkChild(Effect.provide(body, clientOf), { startImmediately: true })
      while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(stepMillis)
      yield* Fiber.join(fiber)
      const left = yield* keysAlive()
      proof.check("the last key is deleted with the stream", left === 0, `${left} left`)
    }).pipe(
      Effect.provide(MemoryNetwork.layerHttpClient),
      Effect.provide(serverOf(proof.seed)),
      (proved) => Effect.andThen(TestClock.setTime(start), proved),
      Random.withSeed(proof.seed),
      Effect.provide(TestClock.layer())
    )
}
