/**
 * Commands under way. One for an order at a time, an open question about it included; and one that has left is seen through
 * to its outcome, whoever still waits for it.
 */
import { Deferred, Effect, Exit, Fiber, FiberSet, Semaphore } from "effect"
import type { Scope } from "effect"
import { PassingMap } from "../domain/PassingMap.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { Departure } from "../OrderEntry.ts"
import { Departing, MayLeave } from "../OrderEntry.ts"

/** A command: `sent` from the moment when it may have reached the exchange. */
export interface Flight {
  sent: boolean
  /** Its caller was interrupted after it had left: it is not sent a second time. */
  isAbandoned: boolean
  /** Why it may not leave now; null when it may. */
  readonly mayLeave: () => ExchangeError | null
  /** Where its caller looks whether it has left; null when nobody does. */
  readonly departure: Departure | null
}

interface Gate {
  readonly semaphore: Semaphore.Semaphore
  holders: number
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

type Command<A> = (flight: Flight) => Effect.Effect<A, ExchangeError>

type Open<A> = (result: A) => ReadonlyMap<string, Effect.Effect<unknown, ExchangeError>>

export interface Flights {
  /**
   * Runs with these orders to itself. Interrupting the caller before the command has left takes it back; afterwards the
   * flight goes on without the caller. `open`: questions that keep an order closed to others until they are answered; one
   * that fails is asked again by whoever comes next, and as long as it fails nobody gets through.
   * `cut`: the result of a flight that the end of the scope has cut short.
   */
  readonly run: <A>(
    keys: ReadonlyArray<string>,
    command: Command<A>,
    open: Open<A>,
    cut: () => A
  ) => Effect.Effect<A, ExchangeError>
  /** Asks what has closed an order once more, if it is closed; it opens if that is answered. */
  readonly askAgain: (key: string) => Effect.Effect<void, ExchangeError>
  /** Runs beside everything, to its end or that of the scope. */
  readonly fork: <A>(effect: Effect.Effect<A, never>) => Fiber.Fiber<A>
  /** Orders that somebody has to himself. */
  readonly busy: () => number
}

export const make = Effect.fnUntraced(
  function*(
    closed: ExchangeError,
    unknown: (key: string, cause: ExchangeError) => ExchangeError
  ): Effect.fn.Return<Flights, never, Scope.Scope> {
    const gates = new PassingMap<string, Gate>()
    /** Questions that were not answered. */
    const shut = new Map<string, Effect.Effect<unknown, ExchangeError>>()
    const fork = yield* FiberSet.makeRuntime<never>()
    let isClosed = false
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isClosed = true
      })
    )

    const part = (key: string, gate: Gate): void => {
      if (--gate.holders === 0) gates.delete(key)
    }

    /** Waits for the order, and only that can be interrupted; returns how to leave it. */
    const enter = (
      key: string,
      restore: Restore
    ): Effect.Effect<Effect.Effect<void>> =>
      Effect.suspend(() => {
        const gate = gates.get(key) ?? { semaphore: Semaphore.makeUnsafe(1), holders: 0 }
        gates.set(key, gate)
        gate.holders++
        const leave = Effect.suspend(() => {
          part(key, gate)
          return Effect.asVoid(gate.semaphore.release(1))
        })
        return restore(gate.semaphore.take(1)).pipe(
          Effect.onInterrupt(() => Effect.sync(() => part(key, gate))),
          Effect.as(leave)
        )
      })

    /** Waits for the answer: without one nobody may touch the order. */
    const answered = (key: string, question: Effect.Effect<unknown, ExchangeError>): Effect.Effect<void> =>
      Effect.match(question, {
        onSuccess: () => {},
        onFailure: () => {
          shut.set(key, question)
        }
      })

    const askAgain: Flights["askAgain"] = (key) =>
      Effect.suspend(() => {
        const question = shut.get(key)
        if (question === undefined) return Effect.void
        return question.pipe(
          Effect.mapError((cause) => unknown(key, cause)),
          Effect.andThen(Effect.sync(() => void shut.delete(key)))
        )
      })

    const all = (leaves: ReadonlyMap<string, Effect.Effect<void>>): Effect.Effect<void> =>
      Effect.forEach(leaves.values(), (leave) => leave, { discard: true })

    const fly = Effect.fnUntraced(function*<A>(
      restore: Restore,
      keys: ReadonlyArray<string>,
      command: Command<A>,
      open: Open<A>,
      cut: () => A
    ) {
      if (isClosed) return yield* closed
      const leaves = new Map<string, Effect.Effect<void>>()
      // In one order for everybody, so that two batches cannot wait for each other.
      for (const key of keys.toSorted()) {
        const leave = yield* enter(key, restore).pipe(Effect.onInterrupt(() => all(leaves)))
        leaves.set(key, leave)
      }
      yield* restore(Effect.forEach(keys, askAgain, { discard: true })).pipe(Effect.onError(() => all(leaves)))
      const flight: Flight = {
        sent: false,
        isAbandoned: false,
        mayLeave: yield* MayLeave,
        departure: yield* Departing
      }
      const result = Deferred.makeUnsafe<A, ExchangeError>()
      const land = (exit: Exit.Exit<A, ExchangeError>): Effect.Effect<void> =>
        Effect.suspend(() => {
          const cutShort = Exit.isFailure(exit) && Exit.hasInterrupts(exit)
          Deferred.doneUnsafe(result, cutShort ? (flight.sent ? Exit.succeed(cut()) : Exit.fail(closed)) : exit)
          const questions = Exit.isSuccess(exit) ? open(exit.value) : new Map<string, never>()
          return Effect.forEach(leaves, ([key, leave]) => {
            const question = questions.get(key)
            if (question === undefined) return leave
            return Effect.sync(() => fork(Effect.ensuring(answered(key, question), leave)))
          }, { discard: true })
        })
      const fiber = fork(Effect.exit(Effect.onExit(command(flight), land)))
      return yield* restore(Deferred.await(result)).pipe(
        Effect.onInterrupt(() => {
          flight.isAbandoned = true
          return flight.sent ? Effect.void : Fiber.interrupt(fiber)
        })
      )
    })

    const run: Flights["run"] = (keys, command, open, cut) =>
      Effect.uninterruptibleMask((restore) => fly(restore, keys, command, open, cut))

    return { run, askAgain, fork, busy: () => gates.size }
  }
)
