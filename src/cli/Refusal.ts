/** What an exchange's refusal means for the command that asked. */
import type { ExchangeError } from "../ExchangeError.ts"
import * as Failure from "./Failure.ts"

type Kind = Failure.CommandFailed["kind"]

const kinds: Readonly<Partial<Record<ExchangeError["reason"]["_tag"], Kind>>> = {
  UnknownPair: "usage",
  UnsupportedChannel: "usage",
  InvalidOrder: "usage",
  UnsupportedOrder: "usage",
  InvalidUse: "usage",
  AuthRejected: "auth",
  ClockUnusable: "auth",
  SubscriptionTimeout: "nothing"
}

const kindOf = ({ reason }: ExchangeError): Kind => {
  switch (reason._tag) {
    case "RequestFailed":
      return reason.class === "auth" ? "auth" : "failed"
    case "SubscriptionRejected":
      // The exchange knows no such pair or channel.
      return reason.class === "item" ? "usage" : "nothing"
    default:
      return kinds[reason._tag] ?? "failed"
  }
}

export const failure = (error: ExchangeError): Failure.CommandFailed =>
  new Failure.CommandFailed({ kind: kindOf(error), message: error.message })
