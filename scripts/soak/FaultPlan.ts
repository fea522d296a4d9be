/** What goes wrong during a soak, and when: drawn from the seed. */
import { Result } from "effect"
import * as Exchanges from "../../src/Exchanges.ts"
import * as Faults from "../../src/simulator/Faults.ts"
import type { Draws } from "../prove/Virtual.ts"
import * as Virtual from "../prove/Virtual.ts"

interface Kind {
  /** In the fault language, for one exchange. */
  readonly fault: (exchange: string) => string
  /** Exchanges that know such a thing; all when left out. */
  readonly knownTo?: RegExp
  /** What has to happen with it. */
  readonly companion?: (exchange: string) => string
  /** For so long its books may be out of sync, ms. */
  readonly staleFor?: number
}

const kind = (fault: Kind["fault"], more: Omit<Kind, "fault"> = {}): Kind => ({ fault, ...more })

/** An outage and a ban mean nothing to who is connected and in sync. */
const drop = (on: string): string => `drop,on=${on}`

/**
 * What a client must survive without a wrong book and without a loss that it does not declare. Left out are those that
 * no client could notice: a topic that falls silent, trades that come twice or in another order, a flipped bit that
 * reads well.
 */
const kinds: Readonly<Record<string, Kind>> = {
  drop: kind(drop),
  "drop in order": kind((on) => `drop:1001,on=${on}`),
  outage: kind((on) => `refuse:503,on=${on}@0s:4s`, { companion: drop }),
  "half-open": kind((on) => `half-open,on=${on}`),
  "short lives": kind((on) => `connection-age:5s,on=${on}@0s:12s`),
  gap: kind((on) => `gap:3,on=${on}`),
  "gaps for a while": kind((on) => `gap:2%,on=${on}@0s:3s`),
  delay: kind((on) => `delay:300ms,on=${on}@0s:3s`),
  corrupt: kind((on) => `corrupt:2,on=${on}`),
  "late answers": kind((on) => `late-ack:1s,on=${on}@0s:5s`, { companion: drop }),
  "lost answers": kind((on) => `lose-ack:2,on=${on}`, { companion: drop }),
  // MEXC has no words for it: whatever it refuses is refused for good.
  "server errors": kind((on) => `reject,on=${on},count=2,reason=server busy`, { knownTo: /^gate-/, companion: drop }),
  "stale snapshots": kind((on) => `stale-snapshot:2s,on=${on}@0s:10s`),
  "slow snapshots": kind((on) => `slow-snapshot:1500ms,on=${on}@0s:10s`),
  "too many requests": kind((on) => `http-error:429,on=${on},count=3,retry-after=1s`),
  // The shortest ban that MEXC names is two minutes, and a client that does not keep it is banned for longer.
  "blocked by the edge": kind((on) => `http-error:403,on=${on},count=1`, { companion: drop, staleFor: 150_000 }),
  "reset requests": kind((on) => `http-error:reset,on=${on},count=2`),
  "cut answers": kind((on) => `garble-http:2,on=${on}`),
  "slow requests": kind((on) => `slow-http:3s,on=${on}@0s:6s`),
  "upgrade notice": kind((on) => `upgrade-notice:3s,on=${on}`)
}

export const names: ReadonlyArray<string> = Object.keys(kinds)

/** MEXC takes orders over REST, Gate over a socket. */
const ofOrders = (fault: string): { readonly mexc: Kind; readonly gate: Kind } => ({
  mexc: kind((on) => `${fault},on=${on},method=POST`, { knownTo: /^mexc-/ }),
  gate: kind((on) => `${fault},on=${on},frame=*order_place*`, { knownTo: /^gate-/ })
})

const lostAnswers = ofOrders("lose-answer:2")
const lostOrders = ofOrders("lose-request:2")
const lateOrders = ofOrders("late-request:700ms,count=2")
const lateAnswers = ofOrders("late-answer:6s,count=2")

/** What may go wrong besides where there are accounts that trade. */
const accountKinds: Readonly<Record<string, Kind>> = {
  "lost answers to orders (MEXC)": lostAnswers.mexc,
  "lost answers to orders (Gate)": lostAnswers.gate,
  "lost orders (MEXC)": lostOrders.mexc,
  "lost orders (Gate)": lostOrders.gate,
  "late orders (MEXC)": lateOrders.mexc,
  "late orders (Gate)": lateOrders.gate,
  "late answers to orders (MEXC)": lateAnswers.mexc,
  "late answers to orders (Gate)": lateAnswers.gate,
  "late pushes": kind((on) => `late-push:300ms,on=${on}@0s:5s`),
  "lost pushes": kind((on) => `lose-push:2,on=${on}`),
  "doubled pushes": kind((on) => `duplicate:20%,topic=*orders*,on=${on}@0s:5s`),
  "keys expire": kind((on) => `expire-keys,on=${on}`, { knownTo: /^mexc-/ }),
  // Who dials meanwhile finds another dead socket, and a dead one is found after twenty seconds.
  "hangs": kind((on) => `half-open,on=${on}@0s:8s`, { staleFor: 30_000 }),
  "all away at once": kind(() => "refuse:503@0s:4s", { companion: () => "drop" })
}

/** All of them, for a program that trades. */
export const programNames: ReadonlyArray<string> = [...names, ...Object.keys(accountKinds)]

const allKinds: Readonly<Record<string, Kind>> = { ...kinds, ...accountKinds }

export interface Planned {
  /** Name of the kind, or the text itself for one that the user gave. */
  readonly kind: string
  readonly exchange: string
  /** In the fault language; what has to happen at once comes last. */
  readonly faults: ReadonlyArray<string>
  /** For so long the books of the exchange may be out of sync, ms. */
  readonly staleFor: number
}

/** Null: it can be read, and is of an exchange that there is. */
const wrongOf = (text: string): string | null => {
  const fault = Faults.parse(text)
  if (Result.isFailure(fault)) return fault.failure.detail
  const { exchange } = fault.success
  return exchange === undefined || Exchanges.isKnown(exchange) ? null : `an exchange out of ${Exchanges.ids.join(", ")}`
}

/** `all`, `none`, or faults of one's own, separated by blanks; the failure says which of them cannot be read. */
export const read = (text: string): Result.Result<ReadonlyArray<string>, string> => {
  if (text === "none") return Result.succeed([])
  if (text === "all") return Result.succeed(names)
  const faults = text.split(/\s+/u).filter((fault) => fault !== "")
  const wrong = faults.find((fault) => wrongOf(fault) !== null)
  return wrong === undefined ? Result.succeed(faults) : Result.fail(`${wrong}: ${wrongOf(wrong)}`)
}

/** The next fault: one of the plan that an exchange knows, on that exchange. */
export const next = (plan: ReadonlyArray<string>, exchanges: ReadonlyArray<string>, draws: Draws): Planned => {
  const exchange = Virtual.pick(draws, exchanges)
  const name = Virtual.pick(draws, plan.filter((known) => allKinds[known]?.knownTo?.test(exchange) !== false))
  const { companion, fault, staleFor = 0 } = allKinds[name] ?? kind(() => name)
  const faults = [fault(exchange), ...companion === undefined ? [] : [companion(exchange)]]
  return { kind: name, exchange, faults, staleFor }
}
