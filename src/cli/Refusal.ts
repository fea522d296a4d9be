/** What an exchange's refusal means for the command that asked. */
import type { ExchangeError } from "../ExchangeError.ts"
import * as Failure from "./Failure.ts"

const kindOf = ({ reason }: ExchangeError): Failure.CommandFailed["kind"] => {
  switch (reason._tag) {
    case "UnknownPair":
    case "UnsupportedChannel":
      return "usage"
    case "SubscriptionRejected":
      // The exchange knows no such pair or channel.
      return reason.class === "item" ? "usage" : "nothing"
    case "SubscriptionTimeout":
      return "nothing"
    default:
      return "failed"
  }
}

export const failure = (error: ExchangeError): Failure.CommandFailed =>
  new Failure.CommandFailed({ kind: kindOf(error), message: error.message })
