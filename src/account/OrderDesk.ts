/**
 * Sends commands and finds out what became of them. The one rule: what may have reached the exchange is never sent again,
 * and nothing else is sent for the same order, before the exchange has been asked what it knows.
 */
import { Array as Arr, Cause, Clock, Deferred, Duration, Effect, Exit, Random } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { AccountCalls, Command, OrderProtocol, PreparedOrder, Reply, SymbolRef } from "../AccountAdapter.ts"
import type { MarginMode, Order } from "../domain/Account.ts"
import { isFinal } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, Instrument, TradingPair } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type {
  Ability,
  Accepted,
  Amendment,
  OrderRef,
  OrderRequest,
  Outcome,
  Placed,
  Rejected,
  Rejection,
  Unknown
} from "../OrderEntry.ts"
import { OrderEntry } from "../OrderEntry.ts"
import type { RateLimits, Use } from "../RateLimits.ts"
import type { Flight } from "./Flights.ts"
import * as Flights from "./Flights.ts"
import * as OrderPreparation from "./OrderPreparation.ts"
import type { OrderSocketLink } from "./OrderSocketLink.ts"
import { Lost, Refusal } from "./OrderSocketLink.ts"

/** What became of commands that change something. `sent` is the sum of the others once nothing is under way. */
export interface DeskCounts {
  sent: number
  accepted: number
  rejected: number
  unknown: number
  /** Of the unknown ones, those whose outcome is known by now. */
  resolved: number
  /** Refused for too many requests, and sent again when the exchange allowed it. */
  throttled: number
}

export const noCounts = (): DeskCounts => ({
  sent: 0,
  accepted: 0,
  rejected: 0,
  unknown: 0,
  resolved: 0,
  throttled: 0
})

export interface DeskOptions {
  readonly exchange: ExchangeId
  readonly protocol: OrderProtocol
  /** As they are: the desk takes from the limits itself. */
  readonly calls: AccountCalls
  /** Null where everything goes over REST. */
  readonly link: OrderSocketLink | null
  readonly limits: RateLimits["Service"]
  /** What a reading that looks for a lost command uses of the limits; nothing when left out. */
  readonly readUses?: ((read: "fills" | "openOrders") => ReadonlyArray<Use>) | undefined
  /** Fails with `UnknownPair` for what is not listed. */
  readonly instrument: (pair: TradingPair) => Effect.Effect<Instrument, ExchangeError.ExchangeError>
  /** Before orders are told that only their symbol names: what the exchange lists has their pairs. */
  readonly listed: Effect.Effect<void, ExchangeError.ExchangeError>
  /** What a signature needs and may take a while: the exchange's clock. Before a command takes its turn. */
  readonly prepare: Effect.Effect<unknown, ExchangeError.ExchangeError>
  /** How long a command may wait for its turn and for a connection. */
  readonly queueTimeout: Duration.Input
  /** How long the exchange has to answer; later answers are lost. */
  readonly answerTimeout: Duration.Input
  /** A request that reaches the exchange later than this is refused there (MEXC `recvWindow`, Gate `x-gate-exptime`). */
  readonly expiry: Duration.Input
  /** How many questions behind the expiry must find nothing before a command counts as never arrived. Default 2. */
  readonly looks?: number | undefined
  readonly counts: DeskCounts
}

/** The exchange has had enough, and has done nothing. */
class Throttled {
  readonly _tag = "Throttled"
  readonly retryAfterMs: number
  constructor(retryAfterMs: number) {
    this.retryAfterMs = retryAfterMs
  }
}

type Failure = Refusal | Lost | ExchangeError.ExchangeError

/**
 * What a lost command did, as far as the exchange shows it. Null: nothing yet. `late`: the request cannot arrive any more,
 * so what shows nothing now has to be looked for everywhere.
 */
type Evidence<A> = (late: boolean) => Effect.Effect<A | Refusal | null, ExchangeError.ExchangeError>

/** Milliseconds between two questions about a lost command. */
const askAgain = (attempt: number): number => Math.min(1_000, 50 * 2 ** Math.min(attempt, 5))

/**
 * What an exchange does not know behind the expiry is asked once more after so many ms: a look-up may come from a copy that
 * lags behind the orders.
 */
const secondLookMillis = 500

/** A question about a lost command that is not answered within this is asked again, ms. */
const questionMillis = 1_000

/** So many orders are remembered by the exchange's id, and so many ids of ours as used. */
const remembered = 100_000

const accepted = <A>(value: A): Accepted<A> => ({ _tag: "Accepted", value })
const rejected = (reason: Rejection): Rejected => ({ _tag: "Rejected", reason })

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

/** Longest wait between two questions about what the exchange has acknowledged and does not show behind the expiry, ms. */
const acknowledgedMillis = 10_000

/** Too many requests, as the exchange says it when nothing else stands in the answer, ms. */
const pauseMillis = 1_000

/** Below 500 the exchange has decided; but 408 and 499 are what a proxy says that gave up between us and the exchange. */
const isUndecided = (status: number | null): boolean =>
  status === null || status >= 500 || status === 408 || status === 499

/** REST says by its status whether the exchange has decided. */
const failureOf = (error: ExchangeError.ExchangeError): Failure | Throttled => {
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

const throttled = (failure: Failure): Failure | Throttled =>
  failure._tag === "Refusal" && failure.rejection.class === "rateLimit"
    ? new Throttled(failure.rejection.retryAfterMs ?? pauseMillis)
    : failure

/** Keeps a bound: the first that were put in go first. */
const remember = <A>(known: Map<string, A>, key: string, value: A): void => {
  known.set(key, value)
  if (known.size <= remembered) return
  for (const oldest of known.keys()) {
    known.delete(oldest)
    return
  }
}

/** Whether all answers of a batch stand where their orders stood: else nobody knows which is whose. */
const isInPlace = (results: ReadonlyArray<Order | Rejection>, orders: ReadonlyArray<PreparedOrder>): boolean =>
  results.length === orders.length &&
  results.every((result, index) =>
    !("orderId" in result) || result.clientOrderId === null || result.clientOrderId === orders[index]!.clientOrderId
  )

const openQuestion = (result: Outcome<unknown>): Effect.Effect<unknown, ExchangeError.ExchangeError> | null =>
  result._tag === "Unknown" ? result.resolved : null

export const make = Effect.fnUntraced(
  function*(options: DeskOptions): Effect.fn.Return<OrderEntry["Service"], never, Scope.Scope> {
    const { calls, counts, exchange, limits, link, looks = 2, protocol } = options
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    const queueMillis = Duration.toMillis(options.queueTimeout)
    const answerMillis = Duration.toMillis(options.answerTimeout)
    const expiryMillis = Duration.toMillis(options.expiry)
    const leastCancelAfter = Duration.toMillis(protocol.leastCancelAllAfter ?? Duration.millis(1))
    const clientIds = new Map<string, string>()
    /** Placements whose outcome is not known, with their symbols. */
    const inDoubt = new Map<string, string>()
    const used = new Map<string, true>()
    let sequence = 0

    const now = (): number => clock.currentTimeMillisUnsafe()

    const invalid = (reason: ExchangeError.Reason): ExchangeError.ExchangeError => ExchangeError.make(exchange, reason)

    const closed = invalid(
      new ExchangeError.Closed({ detail: "order entry was closed; ask the exchange what became of commands under way" })
    )
    const flights = yield* Flights.make(
      closed,
      (order, { message }) => invalid(new ExchangeError.OutcomeUnknown({ order, detail: message }))
    )

    /** What the end of the Layer has cut short may have been carried out, and nobody here will find out. */
    const cut = (): Unknown<never> => ({ _tag: "Unknown", cause: closed, resolved: Effect.fail(closed) })

    const newClientOrderId = (): string => {
      const salt = Math.floor(random.nextDoubleUnsafe() * 36 ** 4).toString(36).padStart(4, "0")
      return protocol.clientOrderIds.make(`${Math.floor(now()).toString(36)}${(++sequence).toString(36)}${salt}`)
    }

    // -- sending --

    /** Leaves once there is room within the limits and a connection; what was refused as too much is sent again. */
    const send = (command: Command, flight: Flight, onSend: () => void): Effect.Effect<Reply, Failure> =>
      Effect.suspend(() => {
        const deadline = now() + queueMillis
        const uses = protocol.uses(command)
        const attempt: Effect.Effect<Reply, Failure> = Effect.suspend(() => {
          const sending = (): void => {
            flight.sent = true
            onSend()
          }
          // A turn is taken when the command can leave: one that waited on would meet the next turn's at the exchange.
          return options.prepare.pipe(
            Effect.andThen(goesOverSocket(command) ? connected(deadline) : Effect.void),
            Effect.andThen(Effect.suspend(() => limits.take(uses, left(deadline)))),
            Effect.andThen(ask(command, deadline, sending))
          )
        }).pipe(Effect.catch((failure) => {
          if (!(failure instanceof Throttled)) return Effect.fail(failure)
          counts.throttled++
          flight.sent = false
          return Effect.andThen(wait(uses[0]?.budget ?? command._tag, failure.retryAfterMs, deadline), attempt)
        }))
        return attempt
      })

    const left = (deadline: number): number => Math.max(0, deadline - now())

    const goesOverSocket = (command: Command): boolean => {
      const { socket } = protocol
      return link !== null && socket?.commands.has(command._tag) === true && socket.excepts?.(command) !== true
    }

    const connected = (deadline: number): Effect.Effect<void, ExchangeError.ExchangeError> =>
      Effect.suspend(() => link === null ? Effect.void : link.awaitReady(left(deadline)))

    const wait = (budget: string, retryAfterMs: number, deadline: number) =>
      Effect.suspend(() =>
        now() + retryAfterMs > deadline
          ? Effect.fail(invalid(
            new ExchangeError.RateLimited({
              budget,
              retryAfterMs,
              detail: "the exchange has refused it for too many requests"
            })
          ))
          : Effect.sleep(retryAfterMs)
      )

    const ask = (
      command: Command,
      deadline: number,
      sending: () => void
    ): Effect.Effect<Reply, Failure | Throttled> => {
      if (link === null || !goesOverSocket(command)) {
        return Effect.tapError(
          Effect.suspend(() => {
            sending()
            return overRest(command, answerMillis)
          }),
          (failure) => slowDown(protocol.uses(command), failure)
        )
      }
      return Effect.flatMap(link.isReady, (isReady) => isReady ? Effect.void : connected(deadline)).pipe(
        Effect.andThen(Effect.suspend(() => link.ask(command, answerMillis, sending))),
        Effect.mapError(throttled),
        Effect.tapError((failure) => slowDown(protocol.uses(command), failure))
      )
    }

    const overRest = (command: Command, withinMs: number): Effect.Effect<Reply, Failure | Throttled> =>
      Effect.mapError(calls.run(command), failureOf).pipe(
        Effect.timeoutOrElse({
          duration: Duration.millis(withinMs),
          orElse: () => Effect.fail(new Lost(silent(command._tag, withinMs)))
        })
      )

    const silent = (what: string, silentForMs: number) =>
      invalid(new ExchangeError.Silent({ silentForMs, detail: `${what} was not answered` }))

    /** The exchange counts more than we do: everybody waits as long as it asks. */
    const slowDown = (uses: ReadonlyArray<Use>, failure: Failure | Throttled): Effect.Effect<void> =>
      failure instanceof Throttled ? limits.pause(uses, failure.retryAfterMs) : Effect.void

    // -- outcomes --

    /** Sends once; a lost answer becomes `Unknown` with a question that runs on until the exchange has answered it. */
    const outcomeOf = <A>(
      command: Command,
      flight: Flight,
      read: (reply: Reply) => A | Refusal | Lost,
      evidence: Evidence<A>
    ): Effect.Effect<Outcome<A>, ExchangeError.ExchangeError> =>
      Effect.suspend(() => {
        let sentAt: number | null = null
        const onSend = (): void => {
          if (sentAt === null) counts.sent++
          sentAt = now()
        }
        return Effect.matchEffect(send(command, flight, onSend), {
          onSuccess: (reply) => Effect.sync(() => judged(read(reply), sentAt ?? now(), evidence)),
          onFailure: (failure): Effect.Effect<Outcome<A>, ExchangeError.ExchangeError> => {
            if (failure instanceof ExchangeError.ExchangeError) {
              if (sentAt !== null) counts.sent--
              return Effect.fail(failure)
            }
            if (failure instanceof Refusal) return Effect.succeed(outcome<A>(failure))
            const absence = absenceOf(command, failure)
            return Effect.sync(() => unknown(failure.cause, sentAt ?? now(), evidence, absence))
          }
        })
      })

    const judged = <A>(result: A | Refusal | Lost, sentAt: number, evidence: Evidence<A>): Outcome<A> =>
      result instanceof Lost ? unknown(result.cause, sentAt, evidence) : outcome<A>(result)

    const outcome = <A>(result: A | Refusal): Accepted<A> | Rejected => {
      if (result instanceof Refusal) {
        counts.rejected++
        return rejected(result.rejection)
      }
      counts.accepted++
      return accepted(result)
    }

    /** An order that has arrived may still come to light: its absence proves nothing. */
    const absenceOf = ({ _tag }: Command, { isAcknowledged }: Lost): Rejection | null => {
      if (!isAcknowledged) return neverArrived
      return _tag === "Place" || _tag === "PlaceAll" ? null : notCarriedOut
    }

    /** `absence`: what it means that nothing shows behind the expiry; null: nothing. */
    const unknown = <A>(
      cause: ExchangeError.ExchangeError,
      sentAt: number,
      evidence: Evidence<A>,
      absence: Rejection | null = neverArrived
    ): Unknown<A> => {
      counts.unknown++
      const answer = Deferred.makeUnsafe<Accepted<A> | Rejected, ExchangeError.ExchangeError>()
      flights.fork(Effect.exit(Effect.onExit(investigate(sentAt, evidence, absence), (exit) =>
        Effect.sync(() => {
          const isCut = Exit.isFailure(exit) && Exit.hasInterrupts(exit)
          Deferred.doneUnsafe(answer, isCut ? Exit.fail(closed) : exit)
        }))))
      return { _tag: "Unknown", cause, resolved: Deferred.await(answer) }
    }

    /** Asks until the exchange shows what the command did, or cannot have got it any more. */
    const investigate = <A>(
      sentAt: number,
      evidence: Evidence<A>,
      absence: Rejection | null
    ): Effect.Effect<Accepted<A> | Rejected, ExchangeError.ExchangeError> =>
      Effect.gen(function*() {
        for (let attempt = 0, absent = 0;; attempt++) {
          // Only an answer to a question asked after the expiry proves that nothing can follow.
          const asked = now()
          const late = asked - sentAt > expiryMillis
          const found = yield* Effect.catchIf(evidence(late), passes, () => Effect.succeed(undefined))
          if (late && found === null) absent++
          const known = found ?? (absent === looks && absence !== null ? new Refusal(absence) : null)
          if (known !== null) {
            counts.resolved++
            return outcome<A>(known)
          }
          yield* Effect.sleep(absent > 0 ? nextLook(absent) : nextQuestion(attempt, asked, sentAt))
        }
      })

    /** Less and less often: what has arrived shows soon, or was refused, which nobody tells again. */
    const nextLook = (absent: number): number =>
      Math.min(acknowledgedMillis, secondLookMillis * 2 ** Math.min(absent - 1, 5))

    /** Right behind the expiry an answer says most; and who has waited for one in vain need not wait again. */
    const nextQuestion = (attempt: number, asked: number, sentAt: number): number => {
      const elapsed = now() - sentAt
      const again = now() - asked >= questionMillis ? askAgain(0) : askAgain(attempt)
      return elapsed > expiryMillis ? again : Math.min(again, expiryMillis - elapsed + 1)
    }

    /** A clock that is not known well enough now is measured again, and what a proxy says is no answer of the exchange. */
    const passes = (error: ExchangeError.ExchangeError): boolean =>
      error.isTransient || error.reason._tag === "ClockUnusable" || failureOf(error)._tag === "Lost"

    /** A question is within the limits too, and not waited for longer than it takes to ask again. */
    const question = <A>(
      what: string,
      uses: ReadonlyArray<Use>,
      call: () => Effect.Effect<A, ExchangeError.ExchangeError>
    ): Effect.Effect<A, ExchangeError.ExchangeError> =>
      Effect.andThen(
        limits.take(uses, queueMillis),
        Effect.timeoutOrElse(Effect.suspend(call), {
          duration: Duration.millis(questionMillis),
          orElse: () => Effect.fail(silent(what, questionMillis))
        })
      ).pipe(Effect.tapError((error) => slowDown(uses, failureOf(error))))

    const readUses = (read: "fills" | "openOrders"): ReadonlyArray<Use> => options.readUses?.(read) ?? []

    /** Says whether the order waits for its price, where those are kept apart. */
    const known = (ref: SymbolRef, trigger: boolean | undefined): SymbolRef =>
      trigger === undefined || !protocol.abilities.has("trigger") ? ref : { ...ref, trigger }

    const look = (ref: SymbolRef): Effect.Effect<Order | null, ExchangeError.ExchangeError> =>
      Effect.suspend(() => {
        const command: Command = { _tag: "Get", ref }
        return Effect.map(question("Get", protocol.uses(command), () => calls.run(command)), orderIn)
      })

    const orderIn = (reply: Reply): Order | null => {
      if (reply._tag !== "Order") return null
      learn(reply.order)
      return reply.order
    }

    /**
     * An exchange forgets our ids of ended orders before it forgets its own and what was filled (Gate spot after an hour):
     * what it does not find by our id may still stand among the fills.
     */
    const lookForPlaced = (order: PreparedOrder, sentAt: number): Evidence<Order> => (late) =>
      Effect.gen(function*() {
        const { clientOrderId, instrument: { symbol }, trigger } = order
        const found = yield* look(known({ symbol, clientOrderId }, trigger !== null))
        if (found !== null || !late || trigger !== null) return found
        const reading = () => calls.fills({ symbol, since: sentAt - 60_000 })
        const fills = yield* question("the fills", readUses("fills"), reading)
        const ours = fills.find((fill) => fill.clientOrderId === clientOrderId)
        return ours === undefined ? null : yield* look({ symbol, orderId: ours.orderId })
      })

    /** It was answered, and not with what became of it: only the exchange knows. */
    const withoutOrder = ({ _tag }: Reply): Lost =>
      new Lost(
        invalid(new ExchangeError.DecodeFailed({ detail: `the exchange answered with ${_tag} and without an order` }))
      )

    const orderOf = (reply: Reply): Order | Lost => reply._tag === "Order" ? reply.order : withoutOrder(reply)

    /** Whichever of its names an order is called by, it is the same order. */
    const learn = ({ clientOrderId, orderId, symbol }: Order): void => {
      if (clientOrderId !== null) remember(clientIds, `${symbol} ${orderId}`, clientOrderId)
    }

    const learnAll = (orders: ReadonlyArray<Order>): ReadonlyArray<Order> => {
      orders.forEach(learn)
      return orders
    }

    const keyOf = (ref: SymbolRef): string => {
      if ("clientOrderId" in ref) return `${ref.symbol} ${ref.clientOrderId}`
      return `${ref.symbol} ${clientIds.get(`${ref.symbol} ${ref.orderId}`) ?? `#${ref.orderId}`}`
    }

    /**
     * What an order is held by. Where the exchange's id could be of a placement whose outcome is not known, the exchange is
     * asked whose it is; and while it cannot tell, the command waits for all that it could be.
     */
    const keysOf = (ref: SymbolRef): Effect.Effect<NonEmptyReadonlyArray<string>> =>
      Effect.suspend(() => {
        const doubts = (): ReadonlyArray<string> =>
          [...inDoubt].flatMap(([placement, symbol]) => symbol === ref.symbol ? [placement] : [])
        const isKnown = "clientOrderId" in ref || clientIds.has(`${ref.symbol} ${ref.orderId}`)
        if (isKnown || doubts().length === 0) return Effect.succeed([keyOf(ref)])
        return Effect.match(look(ref), {
          onSuccess: (): NonEmptyReadonlyArray<string> => [keyOf(ref)],
          onFailure: (): NonEmptyReadonlyArray<string> => Arr.dedupe([keyOf(ref), ...doubts()] as const)
        })
      })

    /** Runs with one order to itself, until its outcome is known. `name`: which of the keys turned out to be its own. */
    const alone = <A>(
      keys: NonEmptyReadonlyArray<string>,
      command: (flight: Flight) => Effect.Effect<Outcome<A>, ExchangeError.ExchangeError>,
      name: () => string = () => keys[0]
    ): Effect.Effect<Outcome<A>, ExchangeError.ExchangeError> =>
      flights.run<Outcome<A>>(keys, command, (result) => {
        const open = openQuestion(result)
        return new Map(open === null ? [] : [[keys.find((key) => key === name()) ?? keys[0], open]])
      }, cut)

    // -- placing --

    const prepare = (request: OrderRequest): Effect.Effect<PreparedOrder, ExchangeError.ExchangeError> =>
      Effect.flatMap(options.instrument(request.pair), (instrument) => {
        const clientOrderId = request.clientOrderId ?? newClientOrderId()
        if (used.has(`${instrument.symbol} ${clientOrderId}`)) {
          return Effect.fail(usedBefore(request.pair, clientOrderId))
        }
        return Effect.mapError(
          Effect.fromResult(OrderPreparation.prepare(instrument, request, clientOrderId, protocol)),
          invalid
        )
      })

    const usedBefore = (pair: TradingPair, clientOrderId: string) =>
      invalid(
        new ExchangeError.InvalidOrder({
          symbol: pair,
          field: "clientOrderId",
          detail: `"${clientOrderId}" was used before: look that order up with get, or leave the id out`
        })
      )

    const placeKey = ({ clientOrderId, instrument: { symbol } }: PreparedOrder): string => `${symbol} ${clientOrderId}`

    /** Its id is used from here on, unless it turns out that nothing was sent or that it was refused. */
    const claim = (orders: ReadonlyArray<PreparedOrder>): Effect.Effect<void, ExchangeError.ExchangeError> =>
      Effect.suspend(() => {
        const again = orders.find((order) => used.has(placeKey(order)))
        if (again !== undefined) return Effect.fail(usedBefore(again.instrument.pair, again.clientOrderId))
        for (const order of orders) remember(used, placeKey(order), true)
        return Effect.void
      })

    /** An error says that nothing is in force; what was cut short on its way may be. */
    const release =
      (orders: ReadonlyArray<PreparedOrder>, flight: Flight) => (cause: Cause.Cause<ExchangeError.ExchangeError>) =>
        Effect.sync(() => {
          if (flight.sent && (Cause.hasInterrupts(cause) || Cause.hasDies(cause))) return
          for (const order of orders) used.delete(placeKey(order))
        })

    const settle = (order: PreparedOrder, result: Outcome<Order>): void => {
      const key = placeKey(order)
      const { clientOrderId, instrument: { symbol } } = order
      if (result._tag === "Rejected") used.delete(key)
      // By our id, which an answer need not repeat.
      if (result._tag === "Accepted") learn({ ...result.value, symbol, clientOrderId })
      if (result._tag !== "Unknown") return
      inDoubt.set(key, symbol)
      flights.fork(Effect.match(result.resolved, {
        onFailure: () => {},
        onSuccess: (resolved) => {
          inDoubt.delete(key)
          if (resolved._tag === "Accepted") learn({ ...resolved.value, symbol, clientOrderId })
        }
      }))
    }

    const placePrepared = (order: PreparedOrder): Effect.Effect<Placed, ExchangeError.ExchangeError> => {
      const { clientOrderId } = order
      const send = (flight: Flight) =>
        Effect.suspend(() => outcomeOf({ _tag: "Place", order }, flight, orderOf, lookForPlaced(order, now()))).pipe(
          Effect.tap((result) => Effect.sync(() => settle(order, result))),
          Effect.onError(release([order], flight))
        )
      const run = alone([placeKey(order)], (flight) => Effect.andThen(claim([order]), send(flight)))
      return Effect.map(run, (outcome) => ({ clientOrderId, outcome }))
    }

    const place = Effect.fn("OrderEntry.place")(function*(request: OrderRequest) {
      return yield* placePrepared(yield* prepare(request))
    })

    type Outcomes = ReadonlyArray<Outcome<Order>>

    const placedOf = (orders: ReadonlyArray<PreparedOrder>, reply: Reply, sentAt: number): Outcomes => {
      const results = reply._tag === "Placed" && isInPlace(reply.results, orders) ? reply.results : null
      return orders.map((order, index) => {
        const result = results?.[index] ?? withoutOrder(reply)
        return judged(
          result instanceof Lost || "orderId" in result ? result : new Refusal(result),
          sentAt,
          lookForPlaced(order, sentAt)
        )
      })
    }

    const sendBatch = (
      orders: ReadonlyArray<PreparedOrder>,
      flight: Flight
    ): Effect.Effect<Outcomes, ExchangeError.ExchangeError> =>
      Effect.suspend(() => {
        let sentAt: number | null = null
        const onSend = (): void => {
          if (sentAt === null) counts.sent += orders.length
          sentAt = now()
        }
        return Effect.matchEffect(send({ _tag: "PlaceAll", orders }, flight, onSend), {
          onSuccess: (reply) => Effect.sync(() => placedOf(orders, reply, sentAt ?? now())),
          onFailure: (failure) => {
            if (failure instanceof ExchangeError.ExchangeError) {
              if (sentAt !== null) counts.sent -= orders.length
              return Effect.fail(failure)
            }
            const at = sentAt ?? now()
            return Effect.sync(() =>
              orders.map((order): Outcome<Order> =>
                failure instanceof Refusal
                  ? outcome<Order>(failure)
                  : unknown(
                    failure.cause,
                    at,
                    lookForPlaced(order, at),
                    absenceOf({ _tag: "PlaceAll", orders }, failure)
                  )
              )
            )
          }
        })
      })

    const placeBatch = (
      orders: ReadonlyArray<PreparedOrder>
    ): Effect.Effect<ReadonlyArray<Placed>, ExchangeError.ExchangeError> => {
      const send = (flight: Flight) =>
        sendBatch(orders, flight).pipe(
          Effect.tap((results) =>
            Effect.sync(() => {
              for (const [index, order] of orders.entries()) settle(order, results[index]!)
            })
          ),
          Effect.onError(release(orders, flight))
        )
      const run = flights.run<Outcomes>(
        orders.map(placeKey),
        (flight) => Effect.andThen(claim(orders), send(flight)),
        (results) =>
          new Map(results.flatMap((result, index) => {
            const open = openQuestion(result)
            return open === null ? [] : [[placeKey(orders[index]!), open] as const]
          })),
        () => orders.map(cut)
      )
      return Effect.map(
        run,
        (results) => orders.map(({ clientOrderId }, index): Placed => ({ clientOrderId, outcome: results[index]! }))
      )
    }

    /** Never sent, so it counts nowhere. */
    const notInForce = ({ clientOrderId }: PreparedOrder, error: ExchangeError.ExchangeError): Placed => ({
      clientOrderId,
      outcome: rejected({
        code: error.reason._tag,
        detail: error.message,
        class: error.isTransient ? "retryable" : "item"
      })
    })

    const batchesOf = (orders: ReadonlyArray<PreparedOrder>): ReadonlyArray<ReadonlyArray<PreparedOrder>> => {
      const groups = protocol.batchOfOneSymbol === true
        ? Object.values(Arr.groupBy(orders, ({ instrument }) => instrument.symbol))
        : [orders]
      return groups.flatMap((group) => Arr.chunksOf(group, protocol.batchSize))
    }

    const placeAll = Effect.fn("OrderEntry.placeAll")(function*(requests: NonEmptyReadonlyArray<OrderRequest>) {
      // All of them are checked before the first is sent.
      const prepared = yield* Effect.forEach(requests, prepare)
      const repeated = prepared.find((order, index) =>
        prepared.findIndex((other) => placeKey(other) === placeKey(order)) < index
      )
      if (repeated !== undefined) return yield* usedBefore(repeated.instrument.pair, repeated.clientOrderId)
      // Orders that wait for their price go by themselves: batches are of orders that are placed at once.
      const isBatched = protocol.abilities.has("batch") && prepared.every(({ trigger }) => trigger === null)
      const batches = isBatched ? batchesOf(prepared) : prepared.map((order) => [order])
      const placed = new Map<PreparedOrder, Placed>()
      for (const batch of batches) {
        const sent = isBatched ? placeBatch(batch) : Effect.map(placePrepared(batch[0]!), (result) => [result])
        const results = yield* sent.pipe(
          // Others have left before: the caller has to hear of them, and that these are not in force.
          Effect.catch((error) =>
            placed.size === 0 ? Effect.fail(error) : Effect.succeed(batch.map((order) => notInForce(order, error)))
          )
        )
        for (const [index, order] of batch.entries()) placed.set(order, results[index]!)
      }
      return prepared.map((order) => placed.get(order)!)
    })

    // -- cancelling and amending --

    const refOf = (ref: OrderRef): Effect.Effect<SymbolRef, ExchangeError.ExchangeError> =>
      Effect.map(
        options.instrument(ref.pair),
        ({ symbol }) =>
          known(
            "orderId" in ref ? { symbol, orderId: ref.orderId } : { symbol, clientOrderId: ref.clientOrderId },
            ref.trigger
          )
      )

    const cancel = Effect.fn("OrderEntry.cancel")(function*(ref: OrderRef) {
      const target = yield* refOf(ref)
      const evidence: Evidence<Order> = () =>
        Effect.map(look(target), (order) => {
          if (order === null || !isFinal(order.status)) return null
          return order.status === "canceled" || order.status === "partiallyCanceled"
            ? order
            : new Refusal({ code: order.status, detail: "the order had ended before", class: "item" })
        })
      return yield* alone<Order>(
        yield* keysOf(target),
        (flight) => outcomeOf({ _tag: "Cancel", ref: target }, flight, orderOf, evidence),
        () => keyOf(target)
      )
    })

    /** Done when none is left of those that were open when it was first asked; orders that came later are others. */
    const noneLeft = (symbol: string | null): Evidence<ReadonlyArray<Order>> => {
      let before: ReadonlySet<string> | null = null
      return () =>
        Effect.map(question("the open orders", readUses("openOrders"), () => calls.openOrders(symbol)), (open) => {
          before ??= new Set(open.map(({ orderId }) => orderId))
          const known = before
          return open.some(({ orderId }) => known.has(orderId)) ? null : []
        })
    }

    const cancelAll = Effect.fn("OrderEntry.cancelAll")(function*(pair?: TradingPair) {
      // Without a pair the instruments may not have been read, and orders would come without theirs. An exchange that does
      // not list them now cancels all the same.
      if (pair === undefined) yield* Effect.ignore(Effect.timeoutOption(options.listed, queueMillis))
      const symbol = pair === undefined ? null : (yield* options.instrument(pair)).symbol
      return yield* flights.run<Outcome<ReadonlyArray<Order>>>(
        [],
        (flight) =>
          outcomeOf<ReadonlyArray<Order>>(
            { _tag: "CancelAll", symbol },
            flight,
            (reply) => reply._tag === "Orders" ? reply.orders : [],
            noneLeft(symbol)
          ),
        () => new Map(),
        cut
      )
    })

    interface Change {
      readonly price: Decimal.Decimal | null
      readonly quantity: Decimal.Decimal | null
    }

    const changeOf = Effect.fnUntraced(function*(instrument: Instrument, before: Order, amendment: Amendment) {
      const checked = <A>(result: Parameters<typeof Effect.fromResult<A, OrderPreparation.Refused>>[0]) =>
        Effect.mapError(Effect.fromResult(result), invalid)
      const change: Change = {
        price: amendment.price === undefined
          ? null
          : yield* checked(OrderPreparation.priceOf(instrument, before.side, amendment.price)),
        quantity: amendment.quantity === undefined
          ? null
          : yield* checked(OrderPreparation.amendedQuantity(instrument, amendment.quantity))
      }
      if (change.price !== null || change.quantity !== null) return change
      return yield* invalid(
        new ExchangeError.InvalidOrder({
          symbol: instrument.pair,
          field: "amendment",
          detail: "names neither price nor quantity"
        })
      )
    })

    const amended = (target: SymbolRef, { price, quantity }: Change): Evidence<Order> => () =>
      Effect.map(look(target), (order) => {
        if (order === null) return null
        const same = (wanted: Decimal.Decimal | null, has: Decimal.Decimal | null) =>
          wanted === null || (has !== null && Decimal.equals(wanted, has))
        if (same(price, order.price) && same(quantity, order.quantity)) return order
        return isFinal(order.status)
          ? new Refusal({ code: order.status, detail: "the order had ended before", class: "item" })
          : null
      })

    const amend = Effect.fn("OrderEntry.amend")(function*(ref: OrderRef, amendment: Amendment) {
      const instrument = yield* options.instrument(ref.pair)
      if (!protocol.abilities.has("amend")) {
        return yield* invalid(
          new ExchangeError.UnsupportedOrder({ symbol: ref.pair, detail: "orders cannot be amended; cancel and place" })
        )
      }
      const target = yield* refOf(ref)
      return yield* alone<Order>(
        yield* keysOf(target),
        Effect.fnUntraced(function*(flight) {
          const before = yield* look(target)
          if (before === null) {
            return rejected({ code: "unknown-order", detail: "there is no such order", class: "item" })
          }
          const change = yield* changeOf(instrument, before, amendment)
          const command: Command = {
            _tag: "Amend",
            ref: target,
            side: before.side,
            price: change.price === null ? null : Decimal.toText(change.price),
            quantity: change.quantity === null ? null : Decimal.toText(change.quantity)
          }
          return yield* outcomeOf(command, flight, orderOf, amended(target, change))
        }),
        () => keyOf(target)
      )
    })

    /** A command that may be sent again without harm, or that only reads. */
    const plain = (command: Command): Effect.Effect<Reply, ExchangeError.ExchangeError> =>
      Effect.mapError(send(command, { sent: false }, () => {}), (failure) => {
        if (failure instanceof Lost) return failure.cause
        if (!(failure instanceof Refusal)) return failure
        const { class: kind, code, detail } = failure.rejection
        return invalid(
          new ExchangeError.RequestFailed({ request: command._tag, status: 400, code, detail, class: kind })
        )
      })

    const needs = (ability: Ability, what: string, pair?: TradingPair) =>
      protocol.abilities.has(ability)
        ? Effect.void
        : Effect.fail(
          invalid(new ExchangeError.UnsupportedOrder({ symbol: pair, detail: `this exchange has no ${what}` }))
        )

    return OrderEntry.of({
      exchange,
      abilities: protocol.abilities,
      makeClientOrderId: Effect.sync(newClientOrderId),
      place,
      placeAll,
      cancel,
      cancelAll,
      amend,
      get: Effect.fn("OrderEntry.get")(function*(ref: OrderRef) {
        const reply = yield* plain({ _tag: "Get", ref: yield* refOf(ref) })
        return orderIn(reply)
      }),
      openOrders: Effect.fn("OrderEntry.openOrders")(function*(pair?: TradingPair) {
        yield* options.listed
        const symbol = pair === undefined ? null : (yield* options.instrument(pair)).symbol
        const reply = yield* plain({ _tag: "OpenOrders", symbol })
        return reply._tag === "Orders" ? learnAll(reply.orders) : []
      }),
      cancelAllAfter: Effect.fn("OrderEntry.cancelAllAfter")(function*(afterMs: number | null, pair?: TradingPair) {
        yield* needs("cancelAllAfter", "dead man's switch", pair)
        if (afterMs !== null && !(afterMs >= leastCancelAfter)) {
          const detail =
            `the dead man's switch of this exchange takes ${leastCancelAfter} ms at the least, not ${afterMs}`
          return yield* invalid(new ExchangeError.UnsupportedOrder({ symbol: pair, detail }))
        }
        const symbol = pair === undefined ? null : (yield* options.instrument(pair)).symbol
        yield* plain({ _tag: "CancelAllAfter", afterMs, symbol })
      }),
      leverage: Effect.fn("OrderEntry.leverage")(function*(pair: TradingPair) {
        yield* needs("leverage", "leverage", pair)
        const { symbol } = yield* options.instrument(pair)
        const reply = yield* plain({ _tag: "Leverage", symbol })
        return reply._tag === "Leverage" ? reply : yield* invalid(
          new ExchangeError.DecodeFailed({ symbol: pair, detail: "the answer holds no leverage" })
        )
      }),
      setLeverage: Effect.fn("OrderEntry.setLeverage")(function*(pair: TradingPair, leverage: Decimal.Input) {
        yield* needs("leverage", "leverage", pair)
        const { symbol } = yield* options.instrument(pair)
        const value = yield* Effect.mapError(
          Effect.fromResult(Decimal.fromInput(leverage)),
          (detail) => invalid(new ExchangeError.InvalidOrder({ symbol: pair, field: "leverage", detail }))
        )
        yield* plain({ _tag: "SetLeverage", symbol, leverage: Decimal.toText(value) })
      }),
      setMarginMode: Effect.fn("OrderEntry.setMarginMode")(function*(pair: TradingPair, mode: MarginMode) {
        yield* needs("marginMode", "margin mode", pair)
        const { symbol } = yield* options.instrument(pair)
        yield* plain({ _tag: "SetMarginMode", symbol, mode })
      }),
      isReady: link === null ? Effect.succeed(true) : link.isReady
    })
  }
)
