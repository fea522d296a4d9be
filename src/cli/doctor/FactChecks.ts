/** Checks of what happened around the frames: connecting, answers, refusals, limits, REST and the clock. */
import type { TradingPair } from "../../domain/Instrument.ts"
import type { ExchangeAdapter } from "../../ExchangeAdapter.ts"
import type { ExchangeError } from "../../ExchangeError.ts"
import * as Finding from "./Finding.ts"
import type { Filled } from "./FullConnection.ts"
import type { Retired } from "./RetiredChannels.ts"
import type { Wanted } from "./Wanted.ts"
import { variantsOf } from "./Wanted.ts"

/** One reading of the exchange's clock. ms. */
export interface ClockSample {
  readonly sentAt: number
  readonly receivedAt: number
  readonly serverTime: number
}

export interface RestCall {
  readonly request: string
  /** Null: no answer. */
  readonly status: number | null
  readonly headers: Readonly<Record<string, string>>
}

/** How the exchange answered one topic. */
export interface Subscription {
  readonly wanted: Wanted
  /** Until it was accepted, ms. */
  readonly took: number
  readonly error: ExchangeError | null
}

export interface Facts {
  readonly adapter: ExchangeAdapter
  readonly pairs: ReadonlyArray<TradingPair>
  /** ms. */
  readonly connectTook: number
  /** ms; null: none came. */
  readonly pongAfter: number | null
  readonly clock: ReadonlyArray<ClockSample>
  readonly clockError: string | null
  /** How many the exchange lists, and which of the pairs asked for are not among them. */
  readonly instruments: { readonly count: number; readonly missing: ReadonlyArray<TradingPair> } | string
  readonly rest: ReadonlyArray<RestCall>
  readonly subscriptions: ReadonlyArray<Subscription>
  /** What came of a pair that cannot exist: the error, or null when it was accepted. */
  readonly refusal: { readonly symbol: string; readonly error: ExchangeError | null }
  /**
   * What came of a book of that pair, where the stream has to begin with a snapshot; null where it has not. Some
   * exchanges confirm such a book and never send one.
   */
  readonly unknownBook: { readonly symbol: string; readonly error: ExchangeError | null } | null
  /** How long it was watched, ms. */
  readonly watchedFor: number
  /** What came of a connection of its own that was filled up to the exchange's limit. */
  readonly filled: Filled
  /** What came of a channel that the exchange has retired; null where none is known. */
  readonly retired: Retired | null
  readonly disconnects: ReadonlyArray<string>
  readonly gaps: ReadonlyArray<{ readonly wanted: Wanted; readonly cause: string }>
}

const connectWithin = 5_000

const connect = ({ connectTook }: Facts): Finding.Finding =>
  Finding.judge(connectTook <= connectWithin, "connect", `open after ${Finding.millis(connectTook)}`)

const ping = ({ adapter, pongAfter }: Facts): Finding.Finding => {
  const sent = String(adapter.heartbeat.ping({ nowMillis: 0, nextId: () => 1 }))
  return pongAfter === null
    ? Finding.fail("ping", `no answer to ${sent}`)
    : Finding.pass("ping", `answered after ${Finding.millis(pongAfter)}`)
}

// ---- clock ----------------------------------------------------------------------------------------------------------

export interface Offset {
  /** The exchange's clock minus ours, ms. */
  readonly offset: number
  /** How far off that can be: half of the round trip, ms. */
  readonly bound: number
}

/** By the sample with the shortest round trip; null of none. */
export const offsetOf = (samples: ReadonlyArray<ClockSample>): Offset | null => {
  const [best] = samples.toSorted((a, b) => a.receivedAt - a.sentAt - (b.receivedAt - b.sentAt))
  if (best === undefined) return null
  const bound = (best.receivedAt - best.sentAt) / 2
  return { offset: best.serverTime - (best.sentAt + bound), bound }
}

/** Signed requests and subscriptions are refused when they carry a time that is off by seconds. */
const offsetWithin = 1_000

const clock = ({ clock: samples, clockError }: Facts): Finding.Finding => {
  const found = offsetOf(samples)
  if (found === null) return Finding.fail("clock", clockError ?? "the exchange's clock was not read")
  const { bound, offset } = found
  return Finding.judge(
    Math.abs(offset) - bound <= offsetWithin,
    "clock",
    `the exchange is ${Finding.millis(Math.abs(offset))} ${offset < 0 ? "behind" : "ahead"}, to within ${
      Finding.millis(bound)
    } (${samples.length} samples)`
  )
}

// ---- REST -----------------------------------------------------------------------------------------------------------

const instruments = ({ instruments: found, pairs }: Facts): Finding.Finding => {
  if (typeof found === "string") return Finding.fail("instruments", found)
  const { count, missing } = found
  return missing.length > 0
    ? Finding.fail("instruments", `${count} listed, without ${missing.join(", ")}`)
    : Finding.judge(count > 0, "instruments", `${count} listed, with ${pairs.join(", ")}`)
}

const isPace = (name: string): boolean => /rate.?limit|retry-after|used-weight/iu.test(name)

const rest = ({ rest: calls }: Facts): Finding.Finding => {
  const refused = calls.filter(({ status }) => status === null || status >= 400)
  if (calls.length === 0) return Finding.fail("REST", "no call was made")
  if (refused.length > 0) {
    const shown = refused.map(({ request, status }) => `${request}: ${status ?? "no answer"}`)
    return Finding.fail("REST", `${refused.length} of ${calls.length} calls failed: ${[...new Set(shown)].join(", ")}`)
  }
  const pace = Object.entries(calls.at(-1)!.headers).filter(([name]) => isPace(name))
  const headers = pace.map(([name, value]) => `${name}: ${value}`).join(", ")
  return Finding.pass("REST", `${calls.length} calls; ${headers === "" ? "no header tells the pace" : headers}`)
}

// ---- subscriptions --------------------------------------------------------------------------------------------------

const answerWithin = 2_000

const subscribed = ({ subscriptions }: Facts): ReadonlyArray<Finding.Finding> =>
  variantsOf(subscriptions.map(({ wanted }) => wanted)).map((variant) => {
    const check = `subscribe ${variant}`
    const own = subscriptions.filter(({ wanted }) => wanted.variant === variant)
    const refused = own.find(({ error }) => error !== null)
    if (refused?.error) return Finding.fail(check, refused.error.message)
    const slowest = Math.max(...own.map(({ took }) => took))
    return Finding.judge(
      slowest <= answerWithin,
      check,
      `${own.length} accepted, the last after ${Finding.millis(slowest)}: ${own[0]!.wanted.key}`
    )
  })

const isTyped = ({ reason }: ExchangeError): boolean =>
  reason._tag === "UnknownPair" || (reason._tag === "SubscriptionRejected" && reason.class === "item")

/** A wrong pair is refused by a typed reason that says so, and not left waiting. */
const refusal = ({ refusal: { error, symbol } }: Facts): Finding.Finding =>
  error === null
    ? Finding.fail("refusal", `${symbol}, which cannot exist, was accepted`)
    : Finding.judge(isTyped(error), "refusal", error.message)

/** The session waits three times five seconds for a snapshot before it gives a book up; and what the answers take. */
const silentBookWithin = 20_000

const silentBook = ({ unknownBook, watchedFor }: Facts): ReadonlyArray<Finding.Finding> => {
  const check = "refusal of a book"
  if (unknownBook === null) return []
  const { error, symbol } = unknownBook
  if (error !== null) return [Finding.judge(isTyped(error), check, error.message)]
  return [
    watchedFor < silentBookWithin
      ? Finding.skip(check, `not decided within ${Finding.millis(watchedFor)}: watch for ${silentBookWithin / 1_000} s`)
      : Finding.fail(check, `a book of ${symbol}, which cannot exist, was waited for without an error`)
  ]
}

/** Only what was tried is said: with few pairs listed, or a high limit, that is less than the limit. */
const topicsPerConnection = ({ adapter, filled: { accepted, asked, firstError } }: Facts): Finding.Finding => {
  const check = "topics per connection"
  const { topicsPerConnection: limit } = adapter.limits
  if (accepted < asked) {
    return Finding.fail(check, `${accepted} of ${asked} were accepted on one connection: ${firstError ?? "no answer"}`)
  }
  return asked === 0
    ? Finding.skip(check, "there was no topic to ask for")
    : Finding.pass(
      check,
      `${accepted} accepted on one connection${
        asked < limit ? `; the limit, ${limit}, was not reached` : ", the limit"
      }`
    )
}

// ---- the session ----------------------------------------------------------------------------------------------------

const stays = ({ disconnects, gaps }: Facts): ReadonlyArray<Finding.Finding> => [
  Finding.judge(
    disconnects.length === 0,
    "stays connected",
    disconnects.length === 0 ? "no connection ended" : `${disconnects.length} ended: ${disconnects[0]}`
  ),
  Finding.judge(
    gaps.length === 0,
    "no gaps",
    gaps.length === 0
      ? "no feed had a break"
      : `${gaps.length} breaks, the first in ${gaps[0]!.wanted.key}: ${gaps[0]!.cause}`
  )
]

/** A retired channel is refused, or nothing comes of it. */
const retired = ({ retired: found }: Facts): Finding.Finding => {
  const check = "retired channels"
  if (found === null) return Finding.skip(check, "no retired channel of this exchange is known")
  const { channel, detail, outcome } = found
  return Finding.judge(outcome === "refused" || outcome === "silent", check, `${channel}: ${outcome}: ${detail}`)
}

export const findings = (facts: Facts): ReadonlyArray<Finding.Finding> => [
  connect(facts),
  ping(facts),
  clock(facts),
  instruments(facts),
  rest(facts),
  ...subscribed(facts),
  refusal(facts),
  ...silentBook(facts),
  topicsPerConnection(facts),
  ...stays(facts),
  retired(facts)
]
