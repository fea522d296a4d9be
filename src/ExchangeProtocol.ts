/** What the market half and the account half of an adapter have in common: stamps, answers, refusals, heartbeats. */
import type { Duration } from "effect"
import type { OutFrame } from "./connection/Connection.ts"
import type { AnswerClass } from "./ExchangeError.ts"

/** What a request needs from outside, so that an adapter reads no clock and keeps no counter. */
export interface Stamp {
  readonly nowMillis: number
  /** The next request id: positive, below 2^31. */
  readonly nextId: () => number
}

/** Which request or topics an answer is about. Exchanges name one, the other or both; null means not named. */
export interface Answer {
  readonly action: "subscribe" | "unsubscribe" | "unknown"
  readonly requestId: number | string | null
  /** Canonical topic keys. */
  readonly topics: ReadonlyArray<string> | null
}

export interface Refusal {
  readonly code: string
  readonly detail: string
  readonly class: AnswerClass
}

export interface Heartbeat {
  /** Ping when nothing was received for this long. */
  readonly interval: Duration.Input
  /** Give the connection up when nothing follows the ping for this long. */
  readonly timeout: Duration.Input
  readonly ping: (stamp: Stamp) => OutFrame
}
