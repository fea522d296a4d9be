/**
 * The exchange's socket for orders: supervised, logged in before anything is sent, apart from the private stream. What is
 * not answered when the connection ends is lost, never sent again: whoever asked must find out what became of it.
 */
import { Clock, Deferred, Duration, Effect, Exit, Latch } from "effect"
import type { Scope } from "effect"
import type { Command, OrderSink, OrderSocket, Reply } from "../AccountAdapter.ts"
import * as Auth from "../connection/Auth.ts"
import type { Signer } from "../connection/Auth.ts"
import type { Batch, Connection, Dial } from "../connection/Connection.ts"
import * as Reconnect from "../connection/Reconnect.ts"
import type { ConnectionStatus } from "../domain/Feed.ts"
import type { ExchangeId, InstrumentOf } from "../domain/Instrument.ts"
import { PassingMap } from "../domain/PassingMap.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { Stamp } from "../ExchangeProtocol.ts"
import type { Rejection } from "../OrderEntry.ts"

/** The exchange said no. */
export class Refusal {
  readonly _tag = "Refusal"
  readonly rejection: Rejection
  constructor(rejection: Rejection) {
    this.rejection = rejection
  }
}

/** The request left, or may have left, and its answer did not come. */
export class Lost {
  readonly _tag = "Lost"
  readonly cause: ExchangeError.ExchangeError
  /** Whether the exchange has said that the request has come, though not what became of it. */
  readonly isAcknowledged: boolean
  constructor(cause: ExchangeError.ExchangeError, isAcknowledged = false) {
    this.cause = cause
    this.isAcknowledged = isAcknowledged
  }
}

export interface OrderSocketLink {
  readonly isReady: Effect.Effect<boolean>
  /** Waits for a connection that is logged in, within `withinMs`; fails with the reason when there is none. */
  readonly awaitReady: (withinMs: number) => Effect.Effect<void, ExchangeError.ExchangeError>
  /**
   * Sends and waits for what became of it; an `ExchangeError` means that nothing was sent. `sending` is called right before
   * it leaves: until then nothing can have reached the exchange.
   */
  readonly ask: (
    command: Command,
    withinMs: number,
    sending: () => void
  ) => Effect.Effect<Reply, Refusal | Lost | ExchangeError.ExchangeError>
}

export interface LinkOptions {
  readonly exchange: ExchangeId
  readonly socket: OrderSocket
  readonly dial: Dial
  readonly signer: Signer
  readonly policy: Reconnect.ReconnectPolicy
  readonly instrumentOf: InstrumentOf
  /** The exchange's clock, ms. */
  readonly now: Effect.Effect<number, ExchangeError.ExchangeError>
  readonly loginTimeout: Duration.Input
  /** A login or a command was refused. */
  readonly onRefused?: ((code: string, detail: string) => void) | undefined
  readonly onStatus: (status: ConnectionStatus) => void
}

/** How long commands under way may still be answered once the exchange has announced the end of the connection. */
const drainFor: Duration.Input = "1 second"

/** Before a login that was refused for good is tried again: a key may be granted anew, and nobody else would notice. */
const loginAgainAfter: Duration.Input = "30 seconds"

interface Request {
  readonly answer: Deferred.Deferred<Reply, Refusal | Lost>
  isAcknowledged: boolean
}

export const make = Effect.fnUntraced(
  function*(options: LinkOptions): Effect.fn.Return<OrderSocketLink, never, Scope.Scope> {
    const { exchange, instrumentOf, signer, socket } = options
    const clean = Auth.cleaner(signer)
    const clock = yield* Clock.Clock
    const ready = Latch.makeUnsafe(false)
    const pending = new PassingMap<string, Request>()
    let connection: Connection | null = null
    let failure: ExchangeError.ExchangeError | null = null
    let nextId = 0

    const stampAt = (nowMillis: number): Stamp => ({ nowMillis, nextId: () => nextId = (nextId % 2_147_483_647) + 1 })

    const settle = (id: string, exit: Exit.Exit<Reply, Refusal | Lost>): void => {
      const request = pending.get(id)
      if (request === undefined) return
      pending.delete(id)
      Deferred.doneUnsafe(request.answer, exit)
    }

    const settleLost = (id: string, cause: ExchangeError.ExchangeError): void =>
      settle(id, Exit.fail(new Lost(cause, pending.get(id)?.isAcknowledged)))

    /** Nothing written for a connection that has ended can leave on another: what is open is lost. */
    const lose = (cause: ExchangeError.ExchangeError): void => {
      connection = null
      ready.closeUnsafe()
      for (const id of [...pending.keys()]) settleLost(id, cause)
    }

    const sinkOf = (
      login: { readonly id: string; readonly done: Deferred.Deferred<void, ExchangeError.ExchangeError> }
    ) => {
      let closing: string | null = null
      const sink: OrderSink = {
        received: (id) => {
          const request = pending.get(id)
          if (request !== undefined) request.isAcknowledged = true
        },
        answered: (id, reply) => settle(id, Exit.succeed(reply)),
        refused: (id, rejection) => {
          options.onRefused?.(rejection.code, rejection.detail)
          settle(id, Exit.fail(new Refusal({ ...rejection, detail: clean(rejection.detail) })))
        },
        lost: (id, detail) => settleLost(id, undecided(clean(detail))),
        loggedIn: (id) => {
          if (id === login.id) Deferred.doneUnsafe(login.done, Exit.void)
        },
        loginRefused: (id, { class: kind, code, detail: words }) => {
          const detail = clean(words)
          if (id !== login.id) return
          options.onRefused?.(code, detail)
          const error = kind === "auth" || kind === "item" || kind === "bug"
            ? new ExchangeError.AuthRejected({ code, detail })
            : new ExchangeError.Disconnected({ code: 4000, detail: `login refused for now (${code}: ${detail})` })
          Deferred.doneUnsafe(login.done, Exit.fail(ExchangeError.make(exchange, error)))
        },
        pong: () => {},
        closing: (detail) => {
          closing = detail
        },
        ignored: () => {},
        failed: () => {}
      }
      return { sink, closing: () => closing }
    }

    const live = (open: Connection): Effect.Effect<never, ExchangeError.ExchangeError> =>
      Effect.gen(function*() {
        const stamp = stampAt(yield* options.now)
        const { frame, id } = yield* socket.login(signer, stamp)
        const done = Deferred.makeUnsafe<void, ExchangeError.ExchangeError>()
        const { closing, sink } = sinkOf({ id, done })
        const announced = Latch.makeUnsafe(false)
        const leave = Effect.suspend(() =>
          open.abort(
            ExchangeError.make(exchange, new ExchangeError.Disconnected({ code: 1012, detail: closing() ?? "" }))
          )
        )
        const onBatch = ({ frames }: Batch): Effect.Effect<void> => {
          for (const frame of frames) socket.decode(frame, instrumentOf, sink)
          if (closing() === null) return Effect.void
          // Nothing more leaves on it; what is under way may still be answered.
          connection = null
          ready.closeUnsafe()
          announced.openUnsafe()
          return pending.size === 0 ? leave : Effect.void
        }
        const drained = Effect.andThen(Effect.andThen(announced.await, Effect.sleep(drainFor)), leave)
        const read = Effect.forever(Effect.flatMap(open.pull, onBatch), { disableYield: true })
        const login = open.write(frame).pipe(
          Effect.andThen(Deferred.await(done)),
          Effect.timeoutOrElse({
            duration: options.loginTimeout,
            orElse: () =>
              Effect.fail(ExchangeError.make(
                exchange,
                new ExchangeError.Silent({
                  silentForMs: Duration.toMillis(options.loginTimeout),
                  detail: "the login was not answered"
                })
              ))
          }),
          Effect.andThen(Effect.sync(() => {
            connection = open
            failure = null
            ready.openUnsafe()
          })),
          Effect.andThen(Effect.never)
        )
        return yield* Effect.raceAllFirst([read, login, Effect.andThen(drained, Effect.never)])
      }).pipe(
        Effect.tapError((error) => Effect.sync(() => lose(error))),
        Effect.ensuring(Effect.sync(() => lose(gone)))
      )

    const undecided = (detail: string): ExchangeError.ExchangeError =>
      ExchangeError.make(exchange, new ExchangeError.DecodeFailed({ detail }))

    const gone = ExchangeError.make(
      exchange,
      new ExchangeError.Disconnected({ code: 1006, detail: "the connection of the order entry ended" })
    )

    const status = (state: object): void =>
      options.onStatus({ ...state, exchange, connection: 0, at: clock.currentTimeMillisUnsafe() } as ConnectionStatus)

    const supervised = Reconnect.supervise(options.dial, live, options.policy, {
      onConnecting: (attempt) => status({ _tag: "Connecting", attempt }),
      onConnected: () => status({ _tag: "Connected" }),
      onDisconnected: (error, retryIn) => {
        failure = error
        status({ _tag: "Disconnected", reason: error.reason._tag, message: error.message, retryIn })
        // For good: whoever waits is told instead of waiting for ever.
        if (retryIn === null) ready.openUnsafe()
      }
    }).pipe(Effect.catch(() => Effect.sleep(loginAgainAfter)))
    yield* Effect.forkScoped(Effect.forever(supervised))

    const notReady = (): ExchangeError.ExchangeError =>
      failure ?? ExchangeError.make(
        exchange,
        new ExchangeError.Disconnected({ code: 1006, detail: "the order entry is not connected yet; nothing was sent" })
      )

    return {
      isReady: Effect.sync(() => connection !== null),
      awaitReady: (withinMs) =>
        ready.await.pipe(
          Effect.timeoutOrElse({ duration: Duration.millis(withinMs), orElse: () => Effect.fail(notReady()) }),
          Effect.andThen(Effect.suspend(() => connection === null ? Effect.fail(notReady()) : Effect.void))
        ),
      ask: Effect.fnUntraced(function*(command, withinMs, sending) {
        const nowMillis = yield* options.now
        const { frame, id } = socket.request(command, stampAt(nowMillis))
        const open = connection
        if (open === null) return yield* notReady()
        const request: Request = { answer: Deferred.makeUnsafe<Reply, Refusal | Lost>(), isAcknowledged: false }
        pending.set(id, request)
        sending()
        return yield* Effect.mapError(open.write(frame), (error) => new Lost(error)).pipe(
          Effect.andThen(Deferred.await(request.answer)),
          Effect.timeoutOrElse({
            duration: Duration.millis(withinMs),
            orElse: () =>
              Effect.fail(
                new Lost(
                  ExchangeError.make(
                    exchange,
                    new ExchangeError.Silent({ silentForMs: withinMs, detail: `${command._tag} was not answered` })
                  ),
                  request.isAcknowledged
                )
              )
          }),
          Effect.ensuring(Effect.sync(() => pending.delete(id)))
        )
      })
    }
  }
)
