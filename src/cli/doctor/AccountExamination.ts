/**
 * Whether an exchange treats an account as this library expects: its key, its clock, its readings, its private stream, and
 * how they agree. It only reads; where the exchange has a call that checks an order without taking it, that too. Amounts
 * and ids stay out of the evidence, which is meant to be shown to others.
 */
import { Clock, Duration, Effect, Result, Schedule, Stream } from "effect"
import type * as Digest from "effect/crypto/Digest"
import type * as Mac from "effect/crypto/Mac"
import * as HttpClient from "effect/http/HttpClient"
import * as OrderPreparation from "../../account/OrderPreparation.ts"
import type { AccountAdapter } from "../../AccountAdapter.ts"
import { AccountRest } from "../../AccountRest.ts"
import * as Auth from "../../connection/Auth.ts"
import type { FrameSocket } from "../../connection/FrameSocket.ts"
import type { Balance, Fill, Order, Position } from "../../domain/Account.ts"
import { isFinal } from "../../domain/Account.ts"
import * as Decimal from "../../domain/Decimal.ts"
import type { Instrument, TradingPair } from "../../domain/Instrument.ts"
import type { Addresses, ExchangeAdapter } from "../../ExchangeAdapter.ts"
import * as ExchangeClock from "../../ExchangeClock.ts"
import type { ExchangeError } from "../../ExchangeError.ts"
import * as ExchangeFactory from "../../ExchangeFactory.ts"
import { MarketRest } from "../../MarketRest.ts"
import { OrderEntry } from "../../OrderEntry.ts"
import { PrivateWebsocket } from "../../PrivateWebsocket.ts"
import type { Finding } from "./Finding.ts"
import * as Findings from "./Finding.ts"

export interface AccountTarget {
  readonly adapter: ExchangeAdapter
  readonly urls: Addresses
  readonly credentials: Auth.Credentials
  /** What is looked up by pair. */
  readonly pairs: ReadonlyArray<TradingPair>
  /** How long the stream is watched. */
  readonly duration: Duration.Duration
}

type Needs = HttpClient.HttpClient | FrameSocket | Mac.Mac | Digest.Digest

/** Holds, or not, and what shows it. */
interface Verdict {
  readonly holds: boolean
  readonly evidence: string
}

const verdict = (holds: boolean, evidence: string): Verdict => ({ holds, evidence })

/** A call that fails is a check that fails, with the error's own words. */
const check = <R>(
  name: string,
  effect: Effect.Effect<Verdict | Finding, ExchangeError, R>
): Effect.Effect<Finding, never, R> =>
  Effect.match(effect, {
    onFailure: (error) => Findings.fail(name, error.message),
    onSuccess: (found) => "holds" in found ? Findings.judge(found.holds, name, found.evidence) : found
  })

const count = (values: ReadonlyArray<unknown>, what: string): string => `${values.length} ${what}`

const isNegative = (value: Decimal.Decimal | null): boolean => value !== null && value.value < 0n

/** Free and locked make the total, where all three are told. */
const addsUp = ({ available, locked, total }: Balance): boolean => {
  if (available === null || locked === null || total === null) return true
  const scale = Math.max(available.scale, locked.scale, total.scale, 0)
  const units = ({ scale: own, value }: Decimal.Decimal): bigint => value * 10n ** BigInt(scale - own)
  return units(available) + units(locked) === units(total)
}

/** On perpetuals positions hold a part of the total too. */
export const balancesVerdict = (balances: ReadonlyArray<Balance>, kind: Instrument["kind"] = "spot"): Verdict => {
  const odd = balances.filter((balance) => (kind === "spot" && !addsUp(balance)) || isNegative(balance.locked))
  if (odd.length > 0) {
    return verdict(false, `free and locked do not make the total of ${odd.map(({ asset }) => asset).join(", ")}`)
  }
  return verdict(
    true,
    count(balances, kind === "spot" ? "assets, each with free and locked that make its total" : "assets")
  )
}

export const positionsVerdict = (positions: ReadonlyArray<Position>): Verdict => {
  const odd = positions.filter(({ entryPrice, pair, size }) =>
    size.value !== 0n && (entryPrice === null || pair === null)
  )
  return odd.length === 0
    ? verdict(true, count(positions, "positions, those that are open with pair and entry price"))
    : verdict(false, `no pair or entry price: ${odd.map(({ symbol }) => symbol).join(", ")}`)
}

export const ordersVerdict = (orders: ReadonlyArray<Order>): Verdict => {
  const odd = orders.filter(({ pair, status }) => isFinal(status) || pair === null)
  return odd.length === 0
    ? verdict(true, `${count(orders, "open orders")}, none of them ended, each of a pair that is known`)
    : verdict(false, `ended, or of no known pair: ${odd.map(({ status, symbol }) => `${symbol} ${status}`).join(", ")}`)
}

export const fillsVerdict = (fills: ReadonlyArray<Fill>): Verdict => {
  const ids = new Set(fills.map(({ symbol, tradeId }) => `${symbol} ${tradeId}`))
  const times = fills.map(({ exchangeTime }) => exchangeTime ?? 0)
  const inOrder = times.every((time, i) => i === 0 || time >= times[i - 1]!)
  const positive = fills.every(({ price, quantity }) => price.value > 0n && quantity.value > 0n)
  return verdict(
    ids.size === fills.length && inOrder && positive,
    `${count(fills, "fills")}, ${ids.size} different, ${inOrder ? "oldest first" : "NOT oldest first"}`
  )
}

/** Of each pair where the exchange wants one named, else of all at once. */
const each = <A>(
  pairs: ReadonlyArray<TradingPair>,
  needsPair: boolean,
  read: (pair?: TradingPair) => Effect.Effect<ReadonlyArray<A>, ExchangeError>
): Effect.Effect<ReadonlyArray<A>, ExchangeError> =>
  needsPair ? Effect.map(Effect.forEach(pairs, read), (lists) => lists.flat()) : read()

const readings = Effect.fnUntraced(function*({ adapter, pairs }: AccountTarget) {
  const rest = yield* AccountRest
  const clock = yield* ExchangeClock.ExchangeClock
  const { maxErrorMs, maxOffsetMs } = ExchangeClock.defaults
  return yield* Effect.all([
    check(
      "account key",
      Effect.map(rest.userId, (id) => verdict(id !== "", `accepted; a user id of ${id.length} digits`))
    ),
    check(
      "account clock",
      Effect.map(clock.measure, ({ errorMs, offsetMs }) =>
        verdict(
          Math.abs(offsetMs) <= maxOffsetMs && errorMs <= maxErrorMs,
          `ours is ${Findings.millis(offsetMs)} ahead, right to within ${Findings.millis(errorMs)}`
        ))
    ),
    check("account balances", Effect.map(rest.balances, (balances) => balancesVerdict(balances, adapter.kind))),
    adapter.kind === "swap"
      ? check("account positions", Effect.map(rest.positions, positionsVerdict))
      : Effect.succeed(Findings.skip("account positions", "spot has none")),
    check("account open orders", Effect.map(each(pairs, rest.needsPair, rest.openOrders), ordersVerdict)),
    check(
      "account fills",
      Effect.map(Effect.forEach(pairs, (pair) => rest.fills({ pair })), (lists) => {
        const odd = lists.map(fillsVerdict).find(({ holds }) => !holds)
        return odd ?? verdict(true, `${count(lists.flat(), `fills of ${pairs.join(", ")}`)}, each once, oldest first`)
      })
    )
  ])
})

const same = (one: Decimal.Decimal | null, other: Decimal.Decimal | null): boolean =>
  one === null || other === null || Decimal.equals(one, other)

/** Assets of which stream and reading say different things. */
export const differing = (
  stream: ReadonlyMap<string, Balance>,
  reading: ReadonlyArray<Balance>
): ReadonlyArray<string> =>
  reading.flatMap(({ asset, available, total }) => {
    const told = stream.get(asset)
    const agrees = told !== undefined && same(told.available, available) && same(told.total, total)
    return agrees ? [] : [asset]
  })

/** Somebody may trade meanwhile: so many readings until it is a difference. */
const mostReadings = 3

const agreement = Effect.fnUntraced(function*(told: ReadonlyMap<string, Balance>) {
  const rest = yield* AccountRest
  for (let attempt = 1;; attempt++) {
    const reading = yield* rest.balances
    const odd = differing(told, reading)
    if (odd.length === 0) return verdict(true, `${count(reading, "assets")} are the same over the stream and over REST`)
    if (attempt === mostReadings) return verdict(false, `not the same over the stream and over REST: ${odd.join(", ")}`)
    yield* Effect.sleep("1 second")
  }
})

const streamed = Effect.fnUntraced(function*({ duration }: AccountTarget) {
  const websocket = yield* PrivateWebsocket
  const clock = yield* Clock.Clock
  const told = new Map<string, Balance>()
  yield* websocket.handle({ onBalance: (balance) => void told.set(balance.asset, balance) })
  const begun = clock.currentTimeMillisUnsafe()
  const opened = yield* check(
    "account stream",
    Effect.map(websocket.initialize(), () =>
      verdict(
        true,
        `${[...websocket.channels].join(", ")} accepted within ${
          Findings.millis(clock.currentTimeMillisUnsafe() - begun)
        }`
      ))
  )
  if (opened.status === "FAIL") return [opened]
  yield* Effect.sleep(duration)
  const { decodeFailures, gaps, reconnects } = yield* websocket.performance
  const isAuthenticated = yield* websocket.isAuthenticated
  return [
    opened,
    Findings.judge(
      isAuthenticated && gaps + reconnects + decodeFailures === 0,
      "account stream stays",
      `${isAuthenticated ? "authenticated" : "not authenticated"} after ${Duration.format(duration)}; ${gaps} gaps, ` +
        `${reconnects} reconnects, ${decodeFailures} unreadable frames`
    ),
    yield* check(
      "account reconciliation",
      Effect.gen(function*() {
        yield* websocket.reconcile
        const { reconciliation: { pairs, recovered } } = yield* websocket.performance
        const covered = pairs === null ? "everything" : pairs.length === 0 ? "no pair yet" : pairs.join(", ")
        return verdict(
          true,
          `compared with the exchange; covers ${covered}; ${recovered} events that only this brought`
        )
      })
    ),
    yield* check("account agreement", agreement(told))
  ]
})

/** Far enough from the market not to be taken if it were a real one. */
const farBelow = 0.9

const requestFor = Effect.fnUntraced(function*(instrument: Instrument) {
  const rest = yield* MarketRest
  const { bids: [bid = 0] } = yield* rest.book(instrument.symbol, { _tag: "Book", pair: instrument.pair }, 0)
  const price = bid * farBelow
  const worth = ((instrument.minNotional ?? 0) * 1.2) / price / instrument.contractSize
  const quantity = Math.max(worth + instrument.quantityStep, instrument.minQuantity ?? 0)
  return { pair: instrument.pair, side: "buy", quantity, price } as const
})

/** The exchange checks an order and takes none. */
const tested = Effect.fnUntraced(function*(
  { adapter, credentials, pairs: [pair], urls }: AccountTarget,
  account: AccountAdapter
) {
  const name = "order test"
  const { instruments } = yield* MarketRest
  const listed = yield* instruments
  const clock = yield* ExchangeClock.ExchangeClock
  const calls = account.makeCalls({
    client: yield* HttpClient.HttpClient,
    url: urls.rest,
    signer: yield* Auth.makeSigner(credentials, account.algorithm),
    now: clock.now,
    instrumentOf: (symbol) => listed.find((instrument) => instrument.symbol === symbol)
  })
  if (calls.test === undefined) return Findings.skip(name, `${adapter.name} has no call that checks an order`)
  const instrument = listed.find((each) => each.pair === pair)
  if (instrument === undefined) return Findings.skip(name, `${pair} is not listed`)
  const request = yield* requestFor(instrument)
  const id = account.orders.clientOrderIds.make("doctor")
  const prepared = OrderPreparation.prepare(instrument, request, id, account.orders)
  if (Result.isFailure(prepared)) return Findings.fail(name, `could not be prepared: ${prepared.failure.detail}`)
  return yield* calls.test(prepared.success).pipe(
    Effect.as(verdict(true, `the exchange would take a limit order for ${instrument.pair}; none was placed`)),
    Effect.catchIf(
      ({ reason }) => reason._tag === "RequestFailed" && reason.class === "auth",
      (error) => Effect.succeed(Findings.skip(name, `the key may not trade: ${error.message}`))
    )
  )
})

const patience = Duration.seconds(5)

/** Where orders have a socket of their own: that it lets us in. Nothing is sent over it. */
const orderSocket = Effect.gen(function*() {
  const entry = yield* OrderEntry
  const ready = yield* Stream.fromEffectSchedule(entry.isReady, Schedule.spaced("50 millis")).pipe(
    Stream.filter((isReady) => isReady),
    Stream.runHead,
    Effect.timeoutOption(patience)
  )
  return Findings.judge(
    ready._tag === "Some",
    "order socket",
    ready._tag === "Some" ? "logged in" : `not logged in within ${Duration.format(patience)}`
  )
})

/** Every check of an account. Never fails: what goes wrong is a finding. */
export const run = (target: AccountTarget): Effect.Effect<ReadonlyArray<Finding>, never, Needs> => {
  const { adapter, credentials, pairs, urls } = target
  const { account } = adapter
  if (account === undefined) {
    return Effect.succeed([Findings.skip("account key", `${adapter.name} has no account half`)])
  }
  const all = Effect.gen(function*() {
    const read = yield* readings(target)
    // A key that is refused is refused everywhere: once is enough.
    if (read[0].status === "FAIL") return read
    return [
      ...read,
      ...yield* streamed(target),
      account.orders.socket === null
        ? Findings.skip("order socket", `${adapter.name} takes orders over REST`)
        : yield* orderSocket,
      yield* check("order test", tested(target, account))
    ]
  })
  return Effect.scoped(all).pipe(
    Effect.provide(
      ExchangeFactory.layerAccount(adapter, {
        credentials,
        url: urls.websocket,
        restUrl: urls.rest,
        reconcilePairs: account.needsPair ? pairs : []
      })
    ),
    Effect.catchTag("ExchangeError", (error) => Effect.succeed([Findings.fail("account key", error.message)]))
  )
}
