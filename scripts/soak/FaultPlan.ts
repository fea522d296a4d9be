/** What goes wrong during a soak, and when: drawn from the seed. */
import { Result } from "effect"
import * as Exchanges from "../../src/Exchanges.ts"
import * as Faults from "../../src/simulator/Faults.ts"
import type { Draws } from "../prove/Virtual.ts"
import * as Virtual from "../prove/Virtual.ts"

/** In the fault language, for one exchange. */
type Kind = (exchange: string) => string

/**
 * What a client must survive without a wrong book and without a loss that it does not declare. Left out are those that
 * no client could notice: a topic that falls silent, trades that come twice or in another order, a flipped bit that
 * reads well.
 */
const kinds: Readonly<Record<string, Kind>> = {
  drop: (on) => `drop,on=${on}`,
  "drop in order": (on) => `drop:1001,on=${on}`,
  outage: (on) => `refuse:503,on=${on}@0s:4s`,
  "half-open": (on) => `half-open,on=${on}`,
  "short lives": (on) => `connection-age:5s,on=${on}@0s:12s`,
  gap: (on) => `gap:3,on=${on}`,
  "gaps for a while": (on) => `gap:2%,on=${on}@0s:3s`,
  delay: (on) => `delay:300ms,on=${on}@0s:3s`,
  corrupt: (on) => `corrupt:2,on=${on}`,
  "late answers": (on) => `late-ack:1s,on=${on}@0s:5s`,
  "lost answers": (on) => `lose-ack:2,on=${on}`,
  "server errors": (on) => `reject,on=${on},count=2,reason=server busy`,
  "stale snapshots": (on) => `stale-snapshot:2s,on=${on}@0s:10s`,
  "slow snapshots": (on) => `slow-snapshot:1500ms,on=${on}@0s:10s`,
  "too many requests": (on) => `http-error:429,on=${on},count=3,retry-after=1s`,
  "blocked by the edge": (on) => `http-error:403,on=${on},count=2`,
  "reset requests": (on) => `http-error:reset,on=${on},count=2`,
  "cut answers": (on) => `garble-http:2,on=${on}`,
  "slow requests": (on) => `slow-http:3s,on=${on}@0s:6s`,
  "upgrade notice": (on) => `upgrade-notice:3s,on=${on}`
}

export const names: ReadonlyArray<string> = Object.keys(kinds)

export interface Planned {
  /** Name of the kind, or the text itself for one that the user gave. */
  readonly kind: string
  /** In the fault language. */
  readonly fault: string
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

/** The next fault: one of the plan, on one of the exchanges. */
export const next = (plan: ReadonlyArray<string>, exchanges: ReadonlyArray<string>, draws: Draws): Planned => {
  const kind = Virtual.pick(draws, plan)
  const exchange = Virtual.pick(draws, exchanges)
  return { kind, fault: kinds[kind]?.(exchange) ?? kind }
}

/** An outage needs sockets that have gone. */
export const companionOf = ({ kind, fault }: Planned): string | null =>
  kind === "outage" ? `drop${/,on=[\w-]+/u.exec(fault)?.[0] ?? ""}` : null
