/** How a command leaves: when it is its turn within the limits, over the socket or over REST, once. */
import { Duration, Effect } from "effect"
import type { Clock } from "effect"
import type { AccountCalls, Command, OrderProtocol, Reply } from "../AccountAdapter.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import type { ExchangeId } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { RateLimits, Use } from "../RateLimits.ts"
import type { DeskCounts } from "./DeskCounts.ts"
import type { Flight } from "./Flights.ts"
import type { Failure } from "./OrderFailure.ts"
import { failureOf, Throttled, throttled } from "./OrderFailure.ts"
import type { OrderSocketLink } from "./OrderSocketLink.ts"
import { Lost, Refusal } from "./OrderSocketLink.ts"
import * as Pages from "./Pages.ts"

export interface DispatchOptions {
  readonly exchange: ExchangeId
  readonly protocol: OrderProtocol
  /** As they are: what is sent here is taken from the limits here. */
  readonly calls: AccountCalls
  /** Null where everything goes over REST. */
  readonly link: OrderSocketLink | null
  readonly limits: RateLimits["Service"]
  /**
   * The exchange's clock, ms, right to within seconds. Signatures need it, and it may take a while to be known, so it is
   * asked before a command takes its turn.
   */
  readonly exchangeNow: Effect.Effect<number, ExchangeError.ExchangeError>
  /** How long a command may wait for its turn and for a connection. */
  readonly queueTimeout: Duration.Input
  /** How long the exchange has to answer; later answers are lost. */
  readonly answerTimeout: Duration.Input
  readonly counts: DeskCounts
}

export interface Dispatch {
  /**
   * Leaves once there is room within the limits and a connection; what was refused as too much is sent again. `onSend` is
   * called right before it leaves. An `ExchangeError` says that nothing has reached the exchange.
   */
  readonly send: (command: Command, flight: Flight, onSend: () => void) => Effect.Effect<Reply, Failure>
  /** A command that may be sent again without harm, or that only reads: what goes wrong is an error. */
  readonly plain: (command: Command) => Effect.Effect<Reply, ExchangeError.ExchangeError>
  /** A reading that looks for a command: within the limits too, and no answer waited for longer than it takes to ask again. */
  readonly question: <A>(
    what: string,
    uses: ReadonlyArray<Use>,
    call: () => Effect.Effect<A, ExchangeError.ExchangeError>
  ) => Effect.Effect<A, ExchangeError.ExchangeError>
}

/** A question about a lost command that is not answered within this is asked again, ms. */
export const questionMillis = 1_000

/** Sent again also when nobody waits for it any more: that is the safe side. */
const isCancel = ({ _tag }: Command): boolean => _tag === "Cancel" || _tag === "CancelAll"

export const make = (options: DispatchOptions, clock: Clock.Clock): Dispatch => {
  const { calls, counts, exchange, limits, link, protocol } = options
  const queueMillis = Duration.toMillis(options.queueTimeout)
  const answerMillis = Duration.toMillis(options.answerTimeout)

  const now = (): number => monotonicMillis(clock)

  const left = (deadline: number): number => Math.max(0, deadline - now())

  const goesOverSocket = (command: Command): boolean => {
    const { socket } = protocol
    return link !== null && socket?.commands.has(command._tag) === true && socket.excepts?.(command) !== true
  }

  const prepared = (deadline: number) =>
    Effect.suspend(() =>
      Effect.timeoutOrElse(options.exchangeNow, {
        duration: Duration.millis(left(deadline)),
        orElse: () =>
          Effect.fail(ExchangeError.make(
            exchange,
            new ExchangeError.RequestFailed({
              request: "the exchange's clock",
              status: null,
              code: "timeout",
              detail: `not told within ${queueMillis} ms; nothing was sent`,
              class: "retryable"
            })
          ))
      })
    )

  const connected = (deadline: number): Effect.Effect<void, ExchangeError.ExchangeError> =>
    Effect.suspend(() => link === null ? Effect.void : link.awaitReady(left(deadline)))

  /** For another attempt, where there is time for one and somebody who waits for it. */
  const wait = (budget: string, retryAfterMs: number, deadline: number, isOver: boolean) =>
    Effect.suspend(() =>
      isOver || now() + retryAfterMs > deadline
        ? Effect.fail(ExchangeError.make(
          exchange,
          new ExchangeError.RateLimited({
            budget,
            retryAfterMs,
            detail: "the exchange has refused it for too many requests"
          })
        ))
        : Effect.sleep(retryAfterMs)
    )

  const silent = (what: string, silentForMs: number) =>
    ExchangeError.make(exchange, new ExchangeError.Silent({ silentForMs, detail: `${what} was not answered` }))

  /** The exchange counts more than we do: everybody waits as long as it asks. */
  const slowDown = (uses: ReadonlyArray<Use>, failure: Failure | Throttled): Effect.Effect<void> =>
    failure instanceof Throttled ? limits.pause(uses, failure.retryAfterMs) : Effect.void

  const overRest = (command: Command): Effect.Effect<Reply, Failure | Throttled> =>
    Pages.within(
      Effect.mapError(calls.run(command), failureOf),
      { withinMs: answerMillis, turn: limits.take(protocol.uses(command), queueMillis) },
      Effect.suspend(() => Effect.fail(new Lost(silent(command._tag, answerMillis))))
    )

  const ask = (
    command: Command,
    deadline: number,
    { mayLeave }: Flight,
    sending: () => void
  ): Effect.Effect<Reply, Failure | Throttled> => {
    // Whatever is stamped waits for a clock that has come into doubt since: that is over before it is asked whether it may leave.
    const leave = <E>(send: () => Effect.Effect<Reply, E>) =>
      Effect.flatMap(prepared(deadline), (): Effect.Effect<Reply, E | ExchangeError.ExchangeError> => {
        const problem = mayLeave()
        return problem === null ? send() : Effect.fail(problem)
      })
    if (link === null || !goesOverSocket(command)) {
      const send = leave(() => {
        sending()
        return overRest(command)
      })
      return Effect.tapError(send, (failure) => slowDown(protocol.uses(command), failure))
    }
    return Effect.flatMap(link.isReady, (isReady) => isReady ? Effect.void : connected(deadline)).pipe(
      Effect.andThen(leave(() => link.ask(command, answerMillis, sending))),
      Effect.mapError(throttled),
      Effect.tapError((failure) => slowDown(protocol.uses(command), failure))
    )
  }

  const send: Dispatch["send"] = (command, flight, onSend) =>
    Effect.suspend(() => {
      const deadline = now() + queueMillis
      const uses = protocol.uses(command)
      const { departure } = flight
      const hadLeft = departure?.hasLeft ?? null
      const attempt: Effect.Effect<Reply, Failure> = Effect.suspend(() => {
        const sending = (): void => {
          flight.sent = true
          if (departure !== null) departure.hasLeft = true
          onSend()
        }
        // A turn is taken when the command can leave: one that waited on would meet the next turn's at the exchange.
        return prepared(deadline).pipe(
          Effect.andThen(goesOverSocket(command) ? connected(deadline) : Effect.void),
          Effect.andThen(Effect.suspend(() => limits.take(uses, left(deadline)))),
          Effect.andThen(ask(command, deadline, flight, sending))
        )
      }).pipe(Effect.catch((failure) => {
        if (!(failure instanceof Throttled)) return Effect.fail(failure)
        counts.throttled++
        flight.sent = false
        if (departure !== null) departure.hasLeft = hadLeft
        return Effect.andThen(
          wait(
            uses[0]?.budget ?? command._tag,
            failure.retryAfterMs,
            deadline,
            flight.isAbandoned && !isCancel(command)
          ),
          attempt
        )
      }))
      return attempt
    })

  const plain: Dispatch["plain"] = (command) =>
    Effect.mapError(
      send(command, { sent: false, isAbandoned: false, mayLeave: () => null, departure: null }, () => {}),
      (failure) => {
        if (failure instanceof Lost) return failure.cause
        if (!(failure instanceof Refusal)) return failure
        const { class: kind, code, detail } = failure.rejection
        return ExchangeError.make(
          exchange,
          new ExchangeError.RequestFailed({ request: command._tag, status: 400, code, detail, class: kind })
        )
      }
    )

  return {
    send,
    plain,
    question: (what, uses, call) =>
      Effect.andThen(
        limits.take(uses, queueMillis),
        Pages.within(
          Effect.suspend(call),
          { withinMs: questionMillis, turn: limits.take(uses, queueMillis) },
          Effect.suspend(() => Effect.fail(silent(what, questionMillis)))
        )
      ).pipe(Effect.tapError((error) => slowDown(uses, failureOf(error))))
  }
}
