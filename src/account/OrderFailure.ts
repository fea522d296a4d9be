/** What a failed request says of a command: refused, to be sent again later, never sent, or nobody knows. Pure. */
import type * as ExchangeError from "../ExchangeError.ts"
import { Lost, Refusal } from "./OrderSocketLink.ts"

/** The exchange has had enough, and has done nothing. */
export class Throttled {
  readonly _tag = "Throttled"
  readonly retryAfterMs: number
  constructor(retryAfterMs: number) {
    this.retryAfterMs = retryAfterMs
  }
}

/** An `ExchangeError` says that nothing of it has reached the exchange. */
export type Failure = Refusal | Lost | ExchangeError.ExchangeError

/** Too many requests, as the exchange says it when nothing else stands in the answer, ms. */
const pauseMillis = 1_000

/** Below 500 the exchange has decided; but 408 and 499 are what a proxy says that gave up between us and the exchange. */
const isUndecided = (status: number | null): boolean =>
  status === null || status >= 500 || status === 408 || status === 499

/** REST says by its status whether the exchange has decided. */
export const failureOf = (error: ExchangeError.ExchangeError): Failure | Throttled => {
  const { reason } = error
  if (reason._tag === "DecodeFailed" || reason._tag === "Silent" || reason._tag === "Disconnected") {
    return new Lost(error)
  }
  if (reason._tag !== "RequestFailed") return error
  if (isUndecided(reason.status)) return new Lost(error)
  if (reason.class === "rateLimit") return new Throttled(reason.retryAfterMs ?? pauseMillis)
  if (reason.class === "auth") return error
  return new Refusal({ code: reason.code, detail: reason.detail, class: reason.class })
}

/** The same of what a socket has answered. */
export const throttled = (failure: Failure): Failure | Throttled =>
  failure._tag === "Refusal" && failure.rejection.class === "rateLimit"
    ? new Throttled(failure.rejection.retryAfterMs ?? pauseMillis)
    : failure
