/**
 * The account half of MEXC spot. The table of contents: signing (`MexcSigning`), calls (`MexcAccountRest`), words and
 * numbers (`MexcOrders`), frames (`MexcAccountDecode`), the listen key and the limits here. Orders go over REST: MEXC takes
 * none over its WebSocket.
 */
import { Duration, Effect, Exit, Fiber, Redacted, Schedule } from "effect"
import type {
  AccountAdapter,
  AccountCalls,
  AccountRead,
  Command,
  OrderProtocol,
  PrivateEndpoint,
  PrivateRequest,
  PrivateStream,
  PrivateTopic
} from "../../AccountAdapter.ts"
import type { PrivateTag } from "../../domain/PrivateChannel.ts"
import type { Stamp } from "../../ExchangeAdapter.ts"
import * as ExchangeError from "../../ExchangeError.ts"
import type { Use } from "../../RateLimits.ts"
import * as MexcAccountDecode from "./MexcAccountDecode.ts"
import * as MexcAccountRest from "./MexcAccountRest.ts"
import * as MexcErrors from "./MexcErrors.ts"
import * as MexcOrders from "./MexcOrders.ts"
import * as MexcRequests from "./MexcRequests.ts"

// ---- the private stream ---------------------------------------------------------------------------------------------

type ListenKeys = NonNullable<AccountCalls["listenKeys"]>

/**
 * A key lives for 60 minutes from its last renewal; the documents renew it every 30, a client of long standing every 20.
 * Renewing is also how a key that has ended before its time is found out, which the socket does not tell.
 */
const renewEvery = Duration.minutes(15)
const keyLife = Duration.minutes(60)

/** From one try of a renewal to the next, and how many: the key is alive when the last of them has failed. */
const retryEvery = Duration.minutes(1)
const retries =
  Math.floor((Duration.toMinutes(keyLife) - Duration.toMinutes(renewEvery)) / Duration.toMinutes(retryEvery)) - 5

/** A connection ends at 24 hours at the latest, with or without a living key ("Websocket Market Streams"). */
const rotateAfter = Duration.hours(23)

const lost = (detail: string) =>
  ExchangeError.make(MexcErrors.exchange, new ExchangeError.Disconnected({ code: 1008, detail }))

/**
 * Renews for ever. Whatever ends it, the connection goes with its key and the next one has a new key; a key of the account
 * that is refused itself shows when that is asked for. The error names no key.
 */
const lease = (keys: ListenKeys, key: Redacted.Redacted): Effect.Effect<never, ExchangeError.ExchangeError> =>
  keys.renew(Redacted.value(key)).pipe(
    Effect.retry({ schedule: Schedule.spaced(retryEvery), times: retries, while: (error) => error.isTransient }),
    Effect.delay(renewEvery),
    Effect.forever,
    Effect.mapError((error) => lost(`the listen key could not be renewed: ${error.message}`))
  )

/** Whoever ends a connection waits no longer for a key: one that is left ends by itself. */
const goodbyeTimeout = Duration.seconds(1)

/**
 * Keys that are not deleted yet: where the exchange is away they outlive their connections. A user may have 60, so each that lives
 * on for its hour is one less for the connections that follow.
 */
const leftover = new WeakMap<ListenKeys, Set<Redacted.Redacted>>()

const leftOf = (keys: ListenKeys): Set<Redacted.Redacted> => {
  const left = leftover.get(keys) ?? new Set()
  leftover.set(keys, left)
  return left
}

const remove = (keys: ListenKeys, key: Redacted.Redacted): Effect.Effect<void, ExchangeError.ExchangeError> =>
  Effect.suspend(() => {
    leftOf(keys).add(key)
    return Effect.tap(keys.remove(Redacted.value(key)), () => Effect.sync(() => leftOf(keys).delete(key)))
  })

/** The exchange is there again: what was left is deleted, as far as it answers. One that it does not know has ended. */
const removeLeftover = (keys: ListenKeys): Effect.Effect<void> => {
  const removeOne = (key: Redacted.Redacted) =>
    remove(keys, key).pipe(
      Effect.catch((error) => error.isTransient ? Effect.fail(error) : Effect.sync(() => void leftOf(keys).delete(key)))
    )
  return Effect.suspend(() => Effect.ignore(Effect.forEach([...leftOf(keys)], removeOne, { discard: true })))
}

/** Within the limit, and told when that fails; what is left then is deleted behind the next key that is made. */
const inTime = (goodbye: Effect.Effect<void, ExchangeError.ExchangeError>): Effect.Effect<void> =>
  goodbye.pipe(
    Effect.timeoutOrElse({
      duration: goodbyeTimeout,
      orElse: () =>
        Effect.fail(ExchangeError.make(
          MexcErrors.exchange,
          new ExchangeError.RequestFailed({
            request: "DELETE /api/v3/userDataStream",
            status: null,
            code: "timeout",
            detail: `no answer within ${Duration.toMillis(goodbyeTimeout)} ms`,
            class: "retryable"
          })
        ))
    }),
    Effect.catch((error) =>
      Effect.logWarning(
        `[${MexcErrors.exchange}] a listen key was not deleted, it ends by itself within an hour: ${error.message}`
      )
    )
  )

/** In a fiber of its own: whoever ends a connection can be interrupted no more, so he could not wait with a limit. */
const apart = (effect: Effect.Effect<void>): Effect.Effect<Fiber.Fiber<void>> =>
  Effect.forkDetach(effect, { startImmediately: true })

/** Interrupted, it is waited for a while: the answer that comes then is a key, and is deleted. */
const makeKey = Effect.fnUntraced(function*(
  keys: ListenKeys,
  restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
): Effect.fn.Return<Redacted.Redacted, ExchangeError.ExchangeError> {
  const making = yield* Effect.forkDetach(
    Effect.map(keys.make, (key) => Redacted.make(key, { label: "listenKey" })),
    { startImmediately: true }
  )
  const removeUnwanted = Effect.flatMap(
    Fiber.await(making),
    (exit) => Exit.isSuccess(exit) ? remove(keys, exit.value) : Effect.void
  )
  const unwanted = Effect.andThen(inTime(removeUnwanted), Fiber.interrupt(making))
  return yield* restore(Fiber.join(making)).pipe(
    Effect.tap(() => apart(removeLeftover(keys))),
    Effect.onInterrupt(() => Effect.flatMap(apart(unwanted), Fiber.await))
  )
})

/**
 * The key is made for the connection and deleted with it, beside the goodbye of the socket when there is one. Where that
 * fails it is deleted behind the next one, or ends by itself.
 */
const endpoint: PrivateStream["endpoint"] = (url, { listenKeys: keys }) => {
  if (keys === undefined) {
    const detail = "the private stream of MEXC needs calls that make listen keys"
    return Effect.fail(ExchangeError.make(MexcErrors.exchange, new ExchangeError.InvalidUse({ detail })))
  }
  const acquire = (restore: Parameters<typeof makeKey>[1]) =>
    Effect.flatMap(makeKey(keys, restore), (key) =>
      Effect.map(
        Effect.cached(apart(inTime(remove(keys, key)))),
        (removed) => ({ key, removed })
      ))
  return Effect.map(
    // Only the wait for the key can be interrupted: one that is there is deleted, whatever happens.
    Effect.uninterruptibleMask((restore) =>
      Effect.acquireRelease(acquire(restore), ({ removed }) => Effect.flatMap(removed, Fiber.await))
    ),
    ({ key, removed }): PrivateEndpoint => ({
      url: `${url}?listenKey=${encodeURIComponent(Redacted.value(key))}`,
      lease: Effect.onInterrupt(lease(keys, key), () => removed),
      rotateAfter
    })
  )
}

const topics: ReadonlyArray<PrivateTopic> = Object.entries(MexcAccountDecode.channels).map(
  ([key, { tag }]) => ({ key, channel: tag })
)

const request = (
  method: "SUBSCRIPTION" | "UNSUBSCRIPTION",
  wanted: ReadonlyArray<PrivateTopic>,
  stamp: Stamp
): ReadonlyArray<PrivateRequest> => {
  if (wanted.length === 0) return []
  const id = stamp.nextId()
  return [{ frame: JSON.stringify({ method, params: wanted.map(({ key }) => key), id }), id, topics: wanted }]
}

const stream: PrivateStream = {
  endpoint,
  needsUserId: false,
  topics: (channel) => topics.filter((topic) => topic.channel === channel),
  // The key in the URL says whose they are; nothing else is signed.
  subscribe: (wanted, stamp) => Effect.sync(() => request("SUBSCRIPTION", wanted, stamp)),
  unsubscribe: (wanted, stamp) => Effect.sync(() => request("UNSUBSCRIPTION", wanted, stamp)),
  makeCodec: MexcAccountDecode.make,
  heartbeat: {
    // As on public connections: without PING the server drops a quiet one at about 60 s (measured).
    // An account is quiet most of the time, and until a dead one is found its events are missing. 100 messages a second are
    // allowed.
    interval: "2 seconds",
    timeout: "3 seconds",
    ping: MexcRequests.ping
  }
}

// ---- limits ---------------------------------------------------------------------------------------------------------

/**
 * Requests that were sent within a second may arrive closer together; the windows are so much longer than the documented
 * ones that a tenth of a second of that does no harm.
 */
const aSecond = "1100 millis"
const tenSeconds = "10100 millis"

/** Placing, cancelling and batches share 12 requests a second ("Spot Account/Trade", 2026). */
const orders: Use = { budget: "mexc orders", tokens: 1, limit: 12, window: aSecond }
/** "Batch Orders": twice a second. */
const batches: Use = { budget: "mexc batchOrders", tokens: 1, limit: 2, window: aSecond }
/** "Account Information": twice a second. */
const account: Use = { budget: "mexc account", tokens: 1, limit: 2, window: aSecond }

/** Each endpoint has 500 weight in 10 seconds ("General Info, Limits"). */
const weight = (endpoint: string, tokens: number): Use => ({
  budget: `mexc ${endpoint}`,
  tokens,
  limit: 500,
  window: tenSeconds
})

const getOrder = weight("GET order", 2)
const getOpenOrders = weight("GET openOrders", 3)

/** A cancelled order may have to be looked at before it is known what became of it. */
const commandUses = (command: Command): ReadonlyArray<Use> => {
  switch (command._tag) {
    case "Place":
      return [orders]
    case "PlaceAll":
      return [orders, batches]
    case "Cancel":
      return [orders, getOrder]
    case "CancelAll":
      return [orders]
    case "Get":
      return [getOrder]
    case "OpenOrders":
      return [getOpenOrders]
    default:
      return []
  }
}

const reads: Readonly<Record<AccountRead, ReadonlyArray<Use>>> = {
  balances: [account],
  fills: [weight("myTrades", 10)],
  funding: [],
  listenKey: [weight("userDataStream", 1)],
  openOrders: [getOpenOrders],
  positionMode: [],
  positions: [],
  userId: [weight("uid", 1)]
}

// ---- orders ---------------------------------------------------------------------------------------------------------

/** MEXC documents no rule; clients keep to 32 characters, and these need no escaping anywhere. */
const idPattern = /^[A-Za-z0-9_-]{1,32}$/

const protocol: OrderProtocol<"batch" | "quoteQuantity"> = {
  abilities: new Set(["batch", "quoteQuantity"] as const),
  socket: null,
  clientOrderIds: {
    // What is unique stands at the end.
    make: (unique) => unique.slice(-32),
    problem: (id) => idPattern.test(id) ? null : "MEXC takes 1 to 32 characters of A-Z, a-z, 0-9, _ and -"
  },
  unsupported: MexcOrders.unsupported,
  // Half a second for the error of the clock that signs.
  expiry: Duration.millis(MexcAccountRest.commandWindowMillis + 500),
  batchSize: MexcAccountRest.batchSize,
  batchOfOneSymbol: true,
  uses: commandUses
}

const source = (section: string): string => `MEXC Spot V3, ${section}`

export const mexcSpotAccount = {
  algorithm: "hmacSha256",
  channels: new Set(["Orders", "Fills", "Balances"] as const),
  coverage: [
    {
      channel: "Orders",
      wire: "spot@private.orders.v3.api.pb and GET /api/v3/openOrders",
      note: "no snapshot is pushed; open orders are listed for one pair",
      source: source("Websocket User Data Streams, Spot Account Orders")
    },
    {
      channel: "Fills",
      wire: "spot@private.deals.v3.api.pb and GET /api/v3/myTrades",
      note: "fills are listed for one pair, a month back",
      source: source("Websocket User Data Streams, Spot Account Deals")
    },
    {
      channel: "Balances",
      wire: "spot@private.account.v3.api.pb and GET /api/v3/account",
      note: "one asset a push: free and held",
      source: source("Websocket User Data Streams, Spot Account Update")
    },
    {
      channel: "OrderEntry",
      wire: "POST, DELETE and GET /api/v3/order, /api/v3/batchOrders, /api/v3/openOrders, POST /api/v3/order/test",
      note:
        "over REST; limit, market (quantity or quoteQuantity), postOnly, ioc, fok; the answer to a placed order says "
        + "nothing of its state, so it is `new`; no amend, no triggers, no dead man's switch",
      source: source("Spot Account/Trade")
    }
  ],
  makeCalls: MexcAccountRest.make,
  uses: (read: AccountRead) => reads[read],
  // "General Info, Limits": a 429 is of the address or the user, and who goes on is banned (418).
  throttlesAll: true,
  isStampOff: MexcErrors.isStampOff,
  needsPair: true,
  stream,
  orders: protocol
} as const satisfies AccountAdapter<Extract<PrivateTag, "Orders" | "Fills" | "Balances">>
