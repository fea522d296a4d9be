/**
 * Sends commands and finds out what became of them. The one rule: what may have reached the exchange is never sent again,
 * and nothing else is sent for the same order, before the exchange has been asked what it knows.
 */
import { Array as Arr, Clock, Deferred, Duration, Effect, Exit, FiberSet, Random, Semaphore } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { AccountCalls, Command, OrderProtocol, PreparedOrder, Reply, SymbolRef } from "../AccountAdapter.ts"
import type { MarginMode, Order } from "../domain/Account.ts"
import { isFinal } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, Instrument, TradingPair } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type {
  Accepted,
  Amendment,
  OrderRef,
  OrderRequest,
  Outcome,
  Placed,
  Rejected,
  Rejection
} from "../OrderEntry.ts"
import { OrderEntry } from "../OrderEntry.ts"
import type { RateLimits } from "../RateLimits.ts"
import * as OrderPreparation from "./OrderPreparation.ts"
import type { OrderSocketLink } from "./OrderSocketLink.ts"
import { Lost, Refusal } from "./OrderSocketLink.ts"

export interface DeskCounts {
  sent: number
  accepted: number
  rejected: number
  unknown: number
  resolved: number
}

export interface DeskOptions {
  readonly exchange: ExchangeId
  readonly protocol: OrderProtocol
  readonly calls: AccountCalls
  /** Null where everything goes over REST. */
  readonly link: OrderSocketLink | null
  readonly limits: RateLimits["Service"]
  /** Fails with `UnknownPair` for what is not listed. */
  readonly instrument: (pair: TradingPair) => Effect.Effect<Instrument, ExchangeError.ExchangeError>
  /** How long a command may wait for its turn and for a connection. */
  readonly queueTimeout: Duration.Input
  /** How long the exchange has to answer; later answers are lost. */
  readonly answerTimeout: Duration.Input
  /** A request that reaches the exchange later than this is refused there (MEXC `recvWindow`, Gate `x-gate-exptime`). */
  readonly expiry: Duration.Input
  readonly counts: DeskCounts
}

type Failure = Refusal | Lost | ExchangeError.ExchangeError

/** What a lost command did, as far as the exchange shows it. Null: nothing yet. */
type Evidence<A> = Effect.Effect<A | Refusal | null, ExchangeError.ExchangeError>

/** Milliseconds between two questions about a lost command. */
const askAgain = (attempt: number): number => Math.min(1_000, 50 * 2 ** Math.min(attempt, 5))

const accepted = <A>(value: A): Accepted<A> => ({ _tag: "Accepted", value })
const rejected = (reason: Rejection): Rejected => ({ _tag: "Rejected", reason })

const neverArrived: Rejection = {
  code: "never-arrived",
  detail: "its answer was lost, and the exchange knows nothing of it after the request has expired",
  class: "item"
}

/** REST says by its status whether the exchange has decided: below 500 it has. */
const failureOf = (error: ExchangeError.ExchangeError): Failure => {
  const { reason } = error
  if (reason._tag === "DecodeFailed" || reason._tag === "Silent" || reason._tag === "Disconnected") {
    return new Lost(error)
  }
  if (reason._tag !== "RequestFailed") return error
  if (reason.status === null || reason.status >= 500) return new Lost(error)
  if (reason.class === "rateLimit" || reason.class === "auth") return error
  return new Refusal({ code: reason.code, detail: reason.detail, class: reason.class })
}

export const make = Effect.fnUntraced(
  function*(options: DeskOptions): Effect.fn.Return<OrderEntry["Service"], never, Scope.Scope> {
    const { calls, counts, exchange, limits, link, protocol } = options
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    const fork = yield* FiberSet.makeRuntime<never>()
    const queueMillis = Duration.toMillis(options.queueTimeout)
    const answerMillis = Duration.toMillis(options.answerTimeout)
    const expiryMillis = Duration.toMillis(options.expiry)
    const gates = new Map<string, { readonly semaphore: Semaphore.Semaphore; holders: number }>()
    const clientIds = new Map<string, string>()
    let sequence = 0

    const now = (): number => clock.currentTimeMillisUnsafe()

    const newClientOrderId = (): string => {
      const salt = Math.floor(random.nextDoubleUnsafe() * 36 ** 4).toString(36).padStart(4, "0")
      return protocol.clientOrderIds.make(`${Math.floor(now()).toString(36)}${(++sequence).toString(36)}${salt}`)
    }

    const invalid = (reason: ExchangeError.Reason): ExchangeError.ExchangeError => ExchangeError.make(exchange, reason)

    /** One command for an order at a time, an open question about it included. */
    const alone = <A, E>(key: string, run: Effect.Effect<A, E>, until: (result: A) => Effect.Effect<unknown> | null) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          const gate = gates.get(key) ?? { semaphore: Semaphore.makeUnsafe(1), holders: 0 }
          gates.set(key, gate)
          gate.holders++
          const leave = Effect.suspend(() => {
            if (--gate.holders === 0) gates.delete(key)
            return gate.semaphore.release(1)
          })
          yield* restore(gate.semaphore.take(1)).pipe(Effect.onInterrupt(() =>
            Effect.sync(() => {
              if (--gate.holders === 0) gates.delete(key)
            })
          ))
          const exit = yield* Effect.exit(restore(run))
          const open = Exit.isSuccess(exit) ? until(exit.value) : null
          if (open === null) yield* leave
          else fork(Effect.ensuring(Effect.asVoid(open), leave))
          return yield* exit
        })
      )

    /** `onSend` is told when the request leaves: until then nothing can have reached the exchange. */
    const send = (command: Command, onSend: (at: number) => void = () => {}): Effect.Effect<Reply, Failure> =>
      Effect.gen(function*() {
        const deadline = now() + queueMillis
        yield* limits.take(protocol.uses(command), queueMillis)
        const overSocket = link !== null && protocol.socket?.commands.has(command._tag) === true
        if (overSocket) yield* link.awaitReady(Math.max(0, deadline - now()))
        counts.sent++
        onSend(now())
        return overSocket ? yield* link.ask(command, answerMillis) : yield* overRest(command)
      })

    const overRest = (command: Command): Effect.Effect<Reply, Failure> =>
      Effect.mapError(calls.run(command), failureOf).pipe(
        Effect.timeoutOrElse({
          duration: Duration.millis(answerMillis),
          orElse: () =>
            Effect.fail<Failure>(
              new Lost(invalid(
                new ExchangeError.Silent({ silentForMs: answerMillis, detail: `${command._tag} was not answered` })
              ))
            )
        }),
        Effect.tapError((failure) =>
          failure instanceof ExchangeError.ExchangeError ? slowDown(command, failure) : Effect.void
        )
      )

    /** The exchange counts more than we do: everybody waits as long as it asks. */
    const slowDown = (command: Command, { reason }: ExchangeError.ExchangeError): Effect.Effect<void> =>
      reason._tag === "RequestFailed" && reason.class === "rateLimit"
        ? limits.pause(protocol.uses(command), reason.retryAfterMs ?? 1_000)
        : Effect.void

    /** Sends once; a lost answer becomes `Unknown` with a question that runs on until the exchange has answered it. */
    const outcomeOf = <A>(
      command: Command,
      read: (reply: Reply) => A | Refusal,
      evidence: Evidence<A>
    ): Effect.Effect<Outcome<A>, ExchangeError.ExchangeError> =>
      Effect.suspend(() => {
        let sentAt = now()
        return Effect.matchEffect(send(command, (at) => sentAt = at), {
          onSuccess: (reply) => Effect.succeed(outcome(read(reply))),
          onFailure: (failure) => {
            if (failure instanceof ExchangeError.ExchangeError) return Effect.fail(failure)
            if (failure instanceof Refusal) return Effect.succeed(outcome<A>(failure))
            return unknown(failure.cause, sentAt, evidence)
          }
        })
      })

    const outcome = <A>(result: A | Refusal): Accepted<A> | Rejected => {
      if (result instanceof Refusal) {
        counts.rejected++
        return rejected(result.rejection)
      }
      counts.accepted++
      return accepted(result)
    }

    const unknown = <A>(
      cause: ExchangeError.ExchangeError,
      sentAt: number,
      evidence: Evidence<A>
    ): Effect.Effect<Outcome<A>> =>
      Effect.sync(() => {
        counts.unknown++
        const answer = Deferred.makeUnsafe<Accepted<A> | Rejected, ExchangeError.ExchangeError>()
        fork(Effect.flatMap(
          Effect.exit(investigate(sentAt, evidence)),
          (exit) => Effect.sync(() => Deferred.doneUnsafe(answer, exit))
        ))
        return { _tag: "Unknown", cause, resolved: Deferred.await(answer) }
      })

    /** Asks until the exchange shows what the command did, or cannot have got it any more. */
    const investigate = <A>(
      sentAt: number,
      evidence: Evidence<A>
    ): Effect.Effect<Accepted<A> | Rejected, ExchangeError.ExchangeError> =>
      Effect.gen(function*() {
        for (let attempt = 0;; attempt++) {
          const askedAt = now()
          const found = yield* evidence.pipe(
            Effect.catchIf((error) => error.isTransient, () => Effect.succeed(undefined))
          )
          if (found !== undefined && found !== null) {
            counts.resolved++
            return outcome(found)
          }
          // Only an answer to a question asked after the expiry proves that nothing can follow.
          if (found === null && askedAt - sentAt > expiryMillis) {
            counts.resolved++
            return outcome<A>(new Refusal(neverArrived))
          }
          yield* Effect.sleep(askAgain(attempt))
        }
      })

    const look = (ref: SymbolRef): Effect.Effect<Order | null, ExchangeError.ExchangeError> =>
      Effect.map(
        Effect.suspend(() => calls.run({ _tag: "Get", ref })),
        (reply) => reply._tag === "Order" ? reply.order : null
      )

    const orderOf = (reply: Reply): Order | Refusal =>
      reply._tag === "Order"
        ? reply.order
        : new Refusal({ code: reply._tag, detail: "the exchange answered without an order", class: "bug" })

    const remember = (order: Order): void => {
      if (order.clientOrderId !== null) clientIds.set(`${order.symbol} ${order.orderId}`, order.clientOrderId)
    }

    const keyOf = (ref: SymbolRef): string => {
      if ("clientOrderId" in ref) return `${ref.symbol} ${ref.clientOrderId}`
      return `${ref.symbol} ${clientIds.get(`${ref.symbol} ${ref.orderId}`) ?? `#${ref.orderId}`}`
    }

    const openQuestion = <A>(result: Outcome<A>): Effect.Effect<unknown> | null =>
      result._tag === "Unknown" ? Effect.exit(result.resolved) : null

    const prepare = (request: OrderRequest): Effect.Effect<PreparedOrder, ExchangeError.ExchangeError> =>
      Effect.flatMap(options.instrument(request.pair), (instrument) =>
        Effect.mapError(
          Effect.fromResult(
            OrderPreparation.prepare(instrument, request, request.clientOrderId ?? newClientOrderId(), protocol)
          ),
          invalid
        ))

    const placePrepared = (order: PreparedOrder): Effect.Effect<Placed, ExchangeError.ExchangeError> => {
      const { clientOrderId, instrument: { symbol } } = order
      const run = outcomeOf({ _tag: "Place", order }, orderOf, look({ symbol, clientOrderId }))
      return Effect.map(alone(`${symbol} ${clientOrderId}`, run, openQuestion), (result) => {
        if (result._tag === "Accepted") remember(result.value)
        return { clientOrderId, outcome: result }
      })
    }

    const place = Effect.fn("OrderEntry.place")(function*(request: OrderRequest) {
      return yield* placePrepared(yield* prepare(request))
    })

    const placeBatch = (
      orders: ReadonlyArray<PreparedOrder>
    ): Effect.Effect<ReadonlyArray<Placed>, ExchangeError.ExchangeError> =>
      Effect.suspend(() => {
        let sentAt = now()
        const each = (of: (order: PreparedOrder, index: number) => Effect.Effect<Outcome<Order>>) =>
          Effect.forEach(orders, (order, index) =>
            Effect.map(of(order, index), (outcome): Placed => ({ clientOrderId: order.clientOrderId, outcome })))
        return Effect.matchEffect(
          send({ _tag: "PlaceAll", orders }, (at) =>
            sentAt = at),
          {
            onSuccess: (reply) =>
              each((_, index) => {
                const result = reply._tag === "Placed" ? reply.results[index] : undefined
                if (result === undefined) {
                  return Effect.succeed(outcome<Order>(orderOf(reply) as Refusal))
                }
                return Effect.succeed(outcome("orderId" in result ? result : new Refusal(result)))
              }),
            onFailure: (failure) => {
              if (failure instanceof ExchangeError.ExchangeError) {
                return Effect.fail(failure)
              }
              if (failure instanceof Refusal) {
                return each(() =>
                  Effect.succeed(outcome<Order>(failure))
                )
              }
              return each(({ clientOrderId, instrument: { symbol } }) =>
                unknown(failure.cause, sentAt, look({ symbol, clientOrderId }))
              )
            }
          }
        )
      })

    const placeAll = Effect.fn("OrderEntry.placeAll")(function*(requests: NonEmptyReadonlyArray<OrderRequest>) {
      // All of them are checked before the first is sent.
      const prepared = yield* Effect.forEach(requests, prepare)
      const isBatched = protocol.abilities.has("batch")
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

    const batchesOf = (orders: ReadonlyArray<PreparedOrder>): ReadonlyArray<ReadonlyArray<PreparedOrder>> => {
      const groups = protocol.batchOfOneSymbol === true
        ? Object.values(Arr.groupBy(orders, ({ instrument }) => instrument.symbol))
        : [orders]
      return groups.flatMap((group) => Arr.chunksOf(group, protocol.batchSize))
    }

    const notInForce = ({ clientOrderId }: PreparedOrder, error: ExchangeError.ExchangeError): Placed => ({
      clientOrderId,
      outcome: outcome<Order>(
        new Refusal({
          code: error.reason._tag,
          detail: error.message,
          class: error.isTransient ? "retryable" : "item"
        })
      )
    })

    const refOf = (ref: OrderRef): Effect.Effect<SymbolRef, ExchangeError.ExchangeError> =>
      Effect.map(
        options.instrument(ref.pair),
        ({ symbol }) =>
          "orderId" in ref ? { symbol, orderId: ref.orderId } : { symbol, clientOrderId: ref.clientOrderId }
      )

    const cancel = Effect.fn("OrderEntry.cancel")(function*(ref: OrderRef) {
      const target = yield* refOf(ref)
      const evidence: Evidence<Order> = Effect.map(look(target), (order) => {
        if (order === null || !isFinal(order.status)) return null
        return order.status === "canceled" || order.status === "partiallyCanceled"
          ? order
          : new Refusal({ code: order.status, detail: "the order had ended before", class: "item" })
      })
      return yield* alone(keyOf(target), outcomeOf({ _tag: "Cancel", ref: target }, orderOf, evidence), openQuestion)
    })

    const cancelAll = Effect.fn("OrderEntry.cancelAll")(function*(pair?: TradingPair) {
      const symbol = pair === undefined ? null : (yield* options.instrument(pair)).symbol
      const evidence: Evidence<ReadonlyArray<Order>> = Effect.map(
        calls.openOrders(symbol),
        (open) => open.length === 0 ? [] : null
      )
      return yield* outcomeOf<ReadonlyArray<Order>>(
        { _tag: "CancelAll", symbol },
        (reply) => reply._tag === "Orders" ? reply.orders : [],
        evidence
      )
    })

    const amend = Effect.fn("OrderEntry.amend")(function*(ref: OrderRef, amendment: Amendment) {
      const instrument = yield* options.instrument(ref.pair)
      if (!protocol.abilities.has("amend")) {
        return yield* invalid(
          new ExchangeError.UnsupportedOrder({ symbol: ref.pair, detail: "orders cannot be amended; cancel and place" })
        )
      }
      const target = yield* refOf(ref)
      const before = yield* look(target)
      if (before === null) return rejected({ code: "unknown-order", detail: "there is no such order", class: "item" })
      const checked = <A>(result: Parameters<typeof Effect.fromResult<A, OrderPreparation.Refused>>[0]) =>
        Effect.mapError(Effect.fromResult(result), invalid)
      const price = amendment.price === undefined
        ? null
        : yield* checked(OrderPreparation.priceOf(instrument, before.side, amendment.price))
      const quantity = amendment.quantity === undefined
        ? null
        : yield* checked(OrderPreparation.amendedQuantity(instrument, amendment.quantity))
      if (price === null && quantity === null) {
        return yield* invalid(
          new ExchangeError.InvalidOrder({
            symbol: ref.pair,
            field: "amendment",
            detail: "names neither price nor quantity"
          })
        )
      }
      const evidence: Evidence<Order> = Effect.map(look(target), (order) => {
        if (order === null) return null
        const same = (wanted: Decimal.Decimal | null, has: Decimal.Decimal | null) =>
          wanted === null || (has !== null && Decimal.equals(wanted, has))
        if (same(price, order.price) && same(quantity, order.quantity)) return order
        return isFinal(order.status)
          ? new Refusal({ code: order.status, detail: "the order had ended before", class: "item" })
          : null
      })
      const command: Command = {
        _tag: "Amend",
        ref: target,
        side: before.side,
        price: price === null ? null : Decimal.toText(price),
        quantity: quantity === null ? null : Decimal.toText(quantity)
      }
      return yield* alone(keyOf(target), outcomeOf(command, orderOf, evidence), openQuestion)
    })

    /** A command that may be sent again without harm, or that only reads. */
    const plain = (command: Command): Effect.Effect<Reply, ExchangeError.ExchangeError> =>
      Effect.mapError(send(command), (failure) => {
        if (failure instanceof Lost) return failure.cause
        if (!(failure instanceof Refusal)) return failure
        const { class: kind, code, detail } = failure.rejection
        return invalid(
          new ExchangeError.RequestFailed({ request: command._tag, status: 400, code, detail, class: kind })
        )
      })

    const needs = (ability: Parameters<typeof protocol.abilities.has>[0], what: string, pair?: TradingPair) =>
      protocol.abilities.has(ability)
        ? Effect.void
        : Effect.fail(
          invalid(new ExchangeError.UnsupportedOrder({ symbol: pair, detail: `this exchange has no ${what}` }))
        )

    return OrderEntry.of({
      exchange,
      abilities: protocol.abilities,
      place,
      placeAll,
      cancel,
      cancelAll,
      amend,
      get: Effect.fn("OrderEntry.get")(function*(ref: OrderRef) {
        const reply = yield* plain({ _tag: "Get", ref: yield* refOf(ref) })
        return reply._tag === "Order" ? reply.order : null
      }),
      openOrders: Effect.fn("OrderEntry.openOrders")(function*(pair?: TradingPair) {
        const symbol = pair === undefined ? null : (yield* options.instrument(pair)).symbol
        const reply = yield* plain({ _tag: "OpenOrders", symbol })
        return reply._tag === "Orders" ? reply.orders : []
      }),
      cancelAllAfter: Effect.fn("OrderEntry.cancelAllAfter")(function*(afterMs: number | null, pair?: TradingPair) {
        yield* needs("cancelAllAfter", "dead man's switch", pair)
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
