/**
 * From an answer, or from none, to an outcome: what was lost becomes `Unknown`, with a question that runs on until the
 * exchange has answered it.
 */
import { Deferred, Duration, Effect, Exit } from "effect"
import type { Clock } from "effect"
import type { Command, Reply } from "../AccountAdapter.ts"
import type { Order } from "../domain/Account.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { ExchangeId } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Accepted, Outcome, Rejected, Rejection, Unknown } from "../OrderEntry.ts"
import type { DeskCounts } from "./DeskCounts.ts"
import type { Flight, Flights } from "./Flights.ts"
import type { Dispatch } from "./OrderDispatch.ts"
import { questionMillis } from "./OrderDispatch.ts"
import { failureOf } from "./OrderFailure.ts"
import { Lost, Refusal } from "./OrderSocketLink.ts"

/**
 * What a lost command did, as far as the exchange shows it. Null: nothing yet. `late`: the request cannot arrive any more,
 * so what shows nothing now has to be looked for everywhere.
 */
export type Evidence<A> = (late: boolean) => Effect.Effect<A | Refusal | null, ExchangeError.ExchangeError>

/** One order, or all of them, that a command is about. */
export interface Subject<A> {
  /** As errors name it. */
  readonly name: string
  readonly evidence: Evidence<A>
  /** What was `Unknown` is known: called once. */
  readonly onKnown?: ((known: Accepted<A> | Rejected) => void) | undefined
}

export interface OutcomesOptions {
  readonly exchange: ExchangeId
  readonly send: Dispatch["send"]
  readonly flights: Flights
  /** What open questions end with when the scope does. */
  readonly closed: ExchangeError.ExchangeError
  /** A request that reaches the exchange later than this is refused there (MEXC `recvWindow`, Gate `x-gate-exptime`). */
  readonly expiry: Duration.Input
  /** How many questions behind the expiry must find nothing before a command counts as never arrived. */
  readonly looks: number
  readonly counts: DeskCounts
}

export interface Outcomes {
  /** Sends once. One result for each subject: those of a batch, or the only one. */
  readonly ofAll: <A>(
    command: Command,
    flight: Flight,
    read: (reply: Reply) => Effect.Effect<ReadonlyArray<A | Refusal | Lost>>,
    subjects: ReadonlyArray<Subject<A>>
  ) => Effect.Effect<ReadonlyArray<Outcome<A>>, ExchangeError.ExchangeError>
  readonly of: <A>(
    command: Command,
    flight: Flight,
    read: (reply: Reply) => Effect.Effect<A | Refusal | Lost>,
    subject: Subject<A>
  ) => Effect.Effect<Outcome<A>, ExchangeError.ExchangeError>
  /** What the end of the Layer has cut short may have been carried out, and nobody here will find out. */
  readonly cut: () => Unknown<never>
  readonly orderOf: (reply: Reply) => Effect.Effect<Order | Lost>
  /** It was answered, and not with what became of it: only the exchange knows. */
  readonly withoutOrder: (reply: Reply) => Lost
}

export const openQuestion = (result: Outcome<unknown>): Effect.Effect<unknown, ExchangeError.ExchangeError> | null =>
  result._tag === "Unknown" ? result.resolved : null

/** Milliseconds between two questions about a lost command. */
const askAgain = (attempt: number): number => Math.min(1_000, 50 * 2 ** Math.min(attempt, 5))

/**
 * What an exchange does not know behind the expiry is asked once more after so many ms: a look-up may come from a copy that
 * lags behind the orders.
 */
const secondLookMillis = 500

/** Longest wait between two questions about what the exchange has acknowledged and does not show behind the expiry, ms. */
const acknowledgedMillis = 10_000

/**
 * A placement that the exchange has acknowledged and that nothing shows of is asked for by itself for so long, ms. It may
 * have been refused, and nobody tells that again; or a look-up fails to show it. Neither can be told from the other, so
 * the question then ends with an error, and whoever wants to know asks again.
 */
const acknowledgedForMillis = 60_000

export const rejected = (reason: Rejection): Rejected => ({ _tag: "Rejected", reason })

const neverArrived: Rejection = {
  code: "never-arrived",
  detail: "its answer was lost, and the exchange knows nothing of it after the request has expired",
  class: "item"
}

/** Of a cancel or an amendment: asking for ever would keep the order closed to the next one. */
const notCarriedOut: Rejection = {
  code: "not-carried-out",
  detail:
    "the exchange has acknowledged it, its answer was lost, and the order is as it was after the request has expired",
  class: "item"
}

/** An order that has arrived may still come to light: its absence proves nothing. */
const absenceOf = ({ _tag }: Command, { isAcknowledged }: Lost): Rejection | null => {
  if (!isAcknowledged) return neverArrived
  return _tag === "Place" || _tag === "PlaceAll" ? null : notCarriedOut
}

/** A clock that is not known well enough now is measured again, and what a proxy says is no answer of the exchange. */
const passes = (error: ExchangeError.ExchangeError): boolean =>
  error.isTransient || error.reason._tag === "ClockUnusable" || failureOf(error)._tag === "Lost"

/** Less and less often: what has arrived shows soon, or was refused, which nobody tells again. */
const nextLook = (absent: number): number =>
  Math.min(acknowledgedMillis, secondLookMillis * 2 ** Math.min(absent - 1, 5))

export const make = (
  { closed, counts, exchange, expiry, flights, looks, send }: OutcomesOptions,
  clock: Clock.Clock
): Outcomes => {
  const expiryMillis = Duration.toMillis(expiry)

  /** What is measured here a machine's clock that is set must not change. */
  const now = (): number => monotonicMillis(clock)

  const outcome = <A>(result: A | Refusal): Accepted<A> | Rejected => {
    if (result instanceof Refusal) {
      counts.rejected++
      return rejected(result.rejection)
    }
    counts.accepted++
    return { _tag: "Accepted", value: result }
  }

  const judged = <A>(result: A | Refusal | Lost, sentAt: number, subject: Subject<A>): Outcome<A> =>
    result instanceof Lost ? unknown(result.cause, sentAt, subject) : outcome<A>(result)

  /** `absence`: what it means that nothing shows behind the expiry; null: nothing. */
  const unknown = <A>(
    cause: ExchangeError.ExchangeError,
    sentAt: number,
    subject: Subject<A>,
    absence: Rejection | null = neverArrived
  ): Unknown<A> => {
    counts.unknown++
    let hasFailed = false
    const ask = () => {
      const answer = Deferred.makeUnsafe<Accepted<A> | Rejected, ExchangeError.ExchangeError>()
      hasFailed = false
      flights.fork(Effect.exit(Effect.onExit(investigate(sentAt, subject, absence), (exit) =>
        Effect.sync(() => {
          const isCut = Exit.isFailure(exit) && Exit.hasInterrupts(exit)
          hasFailed = Exit.isFailure(exit) && !isCut
          if (Exit.isSuccess(exit)) subject.onKnown?.(exit.value)
          Deferred.doneUnsafe(answer, isCut ? Exit.fail(closed) : exit)
        }))))
      return answer
    }
    let answer = ask()
    return {
      _tag: "Unknown",
      cause,
      resolved: Effect.suspend(() => {
        // The exchange would not tell: whoever wants to know all the same asks again.
        if (hasFailed) answer = ask()
        return Deferred.await(answer)
      })
    }
  }

  /** Asks until the exchange shows what the command did, or cannot have got it any more. */
  const investigate = <A>(
    sentAt: number,
    { evidence, name }: Subject<A>,
    absence: Rejection | null
  ): Effect.Effect<Accepted<A> | Rejected, ExchangeError.ExchangeError> =>
    Effect.gen(function*() {
      for (let attempt = 0, absent = 0;; attempt++) {
        // Only an answer to a question asked after the expiry proves that nothing can follow.
        const asked = now()
        const late = asked - sentAt > expiryMillis
        const found = yield* Effect.catchIf(evidence(late), passes, () => Effect.succeed(undefined))
        if (late && found === null) absent++
        const known = found ?? (absent >= looks ? yield* missing(name, sentAt, absence) : null)
        if (known !== null) {
          counts.resolved++
          return outcome<A>(known)
        }
        yield* Effect.sleep(absent > 0 ? nextLook(absent) : nextQuestion(attempt, asked, sentAt))
      }
    })

  /** What it means that nothing shows; null: not enough has been asked. */
  const missing = (
    order: string,
    sentAt: number,
    absence: Rejection | null
  ): Effect.Effect<Refusal | null, ExchangeError.ExchangeError> => {
    if (absence !== null) return Effect.succeed(new Refusal(absence))
    const forMillis = now() - sentAt
    if (forMillis < acknowledgedForMillis) return Effect.succeed(null)
    const detail =
      `the exchange has acknowledged it, its answer was lost, and after ${Math.round(forMillis / 1000)} s ` +
      "nothing shows of it: it was refused, or it does not show yet"
    return Effect.fail(ExchangeError.make(exchange, new ExchangeError.OutcomeUnknown({ order, detail })))
  }

  /** Right behind the expiry an answer says most; and who has waited for one in vain need not wait again. */
  const nextQuestion = (attempt: number, asked: number, sentAt: number): number => {
    const elapsed = now() - sentAt
    const again = now() - asked >= questionMillis ? askAgain(0) : askAgain(attempt)
    return elapsed > expiryMillis ? again : Math.min(again, expiryMillis - elapsed + 1)
  }

  const ofAll: Outcomes["ofAll"] = <A>(
    command: Command,
    flight: Flight,
    read: (reply: Reply) => Effect.Effect<ReadonlyArray<A | Refusal | Lost>>,
    subjects: ReadonlyArray<Subject<A>>
  ) =>
    Effect.suspend(() => {
      let sentAt: number | null = null
      const onSend = (): void => {
        if (sentAt === null) counts.sent += subjects.length
        sentAt = now()
      }
      return Effect.matchEffect(send(command, flight, onSend), {
        onSuccess: (reply) =>
          Effect.map(
            read(reply),
            (results) => subjects.map((subject, index) => judged(results[index]!, sentAt ?? now(), subject))
          ),
        onFailure: (failure): Effect.Effect<ReadonlyArray<Outcome<A>>, ExchangeError.ExchangeError> => {
          if (failure instanceof ExchangeError.ExchangeError) {
            if (sentAt !== null) counts.sent -= subjects.length
            return Effect.fail(failure)
          }
          if (failure instanceof Refusal) return Effect.sync(() => subjects.map(() => outcome<A>(failure)))
          const absence = absenceOf(command, failure)
          return Effect.sync(() => subjects.map((one) => unknown(failure.cause, sentAt ?? now(), one, absence)))
        }
      })
    })

  const withoutOrder: Outcomes["withoutOrder"] = ({ _tag }) =>
    new Lost(
      ExchangeError.make(
        exchange,
        new ExchangeError.DecodeFailed({ detail: `the exchange answered with ${_tag} and without an order` })
      )
    )

  return {
    ofAll,
    cut: () => ({ _tag: "Unknown", cause: closed, resolved: Effect.fail(closed) }),
    orderOf: (reply) => Effect.succeed(reply._tag === "Order" ? reply.order : withoutOrder(reply)),
    withoutOrder,
    of: (command, flight, read, subject) =>
      Effect.map(
        ofAll(command, flight, (reply) => Effect.map(read(reply), (one) => [one]), [subject]),
        ([only]) => only!
      )
  }
}
