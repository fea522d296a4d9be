/** An order entry whose every order passes a risk guard first. What is refused fails with `RiskRefused`, and nothing is sent. */
import { BigDecimal, Duration, Effect, Exit, Result } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { Order, Side } from "../domain/Account.ts"
import { isFinal } from "../domain/Account.ts"
import { monotonic } from "../domain/ClockTime.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import { partsOf } from "../domain/Instrument.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import * as Failure from "../ExchangeError.ts"
import type { Amendment, Departure, OrderEntry, OrderRef, OrderRequest, Outcome, Placed } from "../OrderEntry.ts"
import { departing, MayLeave } from "../OrderEntry.ts"
import type { Amending, Change, State } from "./AmendRoom.ts"
import { eases, most, statesOf } from "./AmendRoom.ts"
import type { Held, Intent, RiskBook, Weighed } from "./RiskBook.ts"

type Amount = Decimal.Decimal

/** What an exchange's market tells of a pair; null while it does not know. */
export interface Source {
  /** Base units in one contract; 1 on spot. */
  readonly unit: (pair: TradingPair) => Effect.Effect<Amount, ExchangeError>
  readonly price: (pair: TradingPair, side: "buy" | "sell") => Amount | null
}

/** What the switch judges by. */
export type Leaving = Pick<Weighed, "exchange" | "pair" | "reduces" | "growsHere">

/** The guard as an order entry needs it. */
export interface Gate {
  readonly book: RiskBook
  /** Why these may not leave; null when they may. */
  readonly refuse: (intents: ReadonlyArray<Weighed>) => ExchangeError | null
  /** Why the switch does not let these leave; null when it does. */
  readonly stopped: (intents: ReadonlyArray<Leaving>) => ExchangeError | null
  /** Whether these would pass; nothing is counted. */
  readonly hasRoom: (intents: ReadonlyArray<Intent>) => boolean
  readonly source: (exchange: ExchangeId) => Source
  /** Whether the account's fills are told: else they are taken from what is known of its orders, without fees. */
  readonly isFollowed: (exchange: ExchangeId) => boolean
  readonly notReady: (exchange: ExchangeId, pair: TradingPair, detail: string) => ExchangeError
  readonly fork: (effect: Effect.Effect<void>) => void
  /** An order whose caller has gone or whose answer is lost, and that the exchange does not know after this, has never arrived. */
  readonly forgetAfter: Duration.Input
}

/** An order as it is asked for; whether it reduces is judged when it leaves. */
interface Asked extends Omit<Intent, "reduces"> {
  readonly reduceOnly: boolean
}

/** As it is judged; `reduceOnly`: as it leaves. */
interface Judged extends Asked {
  readonly reduces: boolean
}

/** Base and quote. */
type Room = Pick<Held, "quantity" | "price">

/** An order that has room of its own, and what was reserved for it. */
interface Roomy {
  readonly held: Held
  readonly before: Room
}

/** How much worse than the best price a market order is expected to buy. */
const slack = Decimal.of("1.05")

/** How often such an order is asked for. */
const askAgain = Duration.seconds(1)

const amountOf = (input: Decimal.Input | undefined): Amount | null => {
  const read = input === undefined ? null : Decimal.fromInput(input)
  return read !== null && Result.isSuccess(read) && BigDecimal.isPositive(read.success) ? read.success : null
}

/**
 * What a unit of an order counts with, quote: a sale at a limit far below the market is not made at its limit, but at the
 * best bid.
 */
export const worth = (source: Source, pair: TradingPair, side: Side, price: Amount): Amount => {
  const bid = side === "sell" ? source.price(pair, side) : null
  return bid === null ? price : BigDecimal.max(price, bid)
}

const isWithin = (all: Room, room: Room): boolean =>
  BigDecimal.isLessThanOrEqualTo(all.quantity, room.quantity) && BigDecimal.isLessThanOrEqualTo(all.price, room.price)

const leavesAs = (request: OrderRequest, reduceOnly: boolean): OrderRequest =>
  reduceOnly && request.reduceOnly !== true ? { ...request, reduceOnly } : request

const invalid = (exchange: ExchangeId, symbol: TradingPair, field: string, detail: string): ExchangeError =>
  Failure.make(exchange, new Failure.InvalidOrder({ symbol, field, detail }))

/** By our name, else by the exchange's; null while it has none. */
const refOf = ({ clientOrderId, orderId, pair }: Held): OrderRef | null => {
  if (clientOrderId !== null) return { pair, clientOrderId }
  return orderId === null ? null : { pair, orderId }
}

/** What fails has not left; what is interrupted or breaks may have, unless it still waited for its turn. */
const hasNotLeft = (exit: Exit.Exit<unknown, ExchangeError>, { hasLeft }: Departure): boolean =>
  Exit.isFailure(exit) && (hasLeft === false || (!Exit.hasInterrupts(exit) && !Exit.hasDies(exit)))

/** Base. */
const filledBase = ({ filledQuantity }: Order, { unit }: Held): Amount => BigDecimal.multiply(filledQuantity, unit)

/** What an order tells becomes known to the guard. */
export const note = (gate: Gate, exchange: ExchangeId, held: Held, order: Order): void => {
  const { book } = gate
  book.name(held, order.clientOrderId, order.orderId)
  if (!gate.isFollowed(exchange)) bookUntold(gate, held, order)
  if (isFinal(order.status)) return end(gate, held, order)
  held.said = BigDecimal.max(held.said, filledBase(order, held))
  if (order.quantity === null) return
  const whole = BigDecimal.multiply(order.quantity, held.unit)
  const told: State = { whole, price: order.price ?? held.price }
  if (held.amending !== null) held.amending = { ...held.amending, told }
  // What it has filled gives room back when the fill is told.
  const { price, quantity } = roomOf(gate, held, held.amending ?? { told, changes: new Set() })
  book.resize(held, quantity, price)
}

/** What it can be at the exchange at most, whichever of its amendments are carried out. */
const roomOf = (
  gate: Gate,
  held: Held,
  { changes, told }: Amending
): Room => {
  const { exchange, filled, pair, side } = held
  const source = gate.source(exchange)
  return most(
    statesOf(told, changes).map(({ price, whole }) => ({ whole, price: worth(source, pair, side, price) })),
    filled
  )
}

const toldOf = (held: Held): State =>
  held.amending?.told ?? { whole: BigDecimal.sum(held.quantity, held.filled), price: held.price }

const isCarriedOut = ({ unit }: Held, { price, whole }: Change, order: Order | null): boolean => {
  if (order === null || order.quantity === null) return false
  return (whole === null || Decimal.equals(whole, BigDecimal.multiply(order.quantity, unit))) &&
    (price === null || (order.price !== null && Decimal.equals(price, order.price)))
}

const end = (gate: Gate, held: Held, order: Order): void => {
  gate.book.noteEnd(held.exchange, order.orderId)
  gate.book.end(held, filledBase(order, held))
  // Some of its fills may have been before all that is counted: they are not waited for without end.
  if (held.isHeld && BigDecimal.isPositive(held.untold)) later(gate, () => gate.book.release(held))
}

const later = (gate: Gate, then: () => void): void =>
  gate.fork(Effect.andThen(Effect.sleep(gate.forgetAfter), Effect.sync(then)))

/** Nobody tells the fills of this account: what the order has filled since is taken at its mean price. */
const bookUntold = ({ book }: Gate, held: Held, order: Order): void => {
  const quantity = BigDecimal.subtract(filledBase(order, held), held.filled)
  if (!BigDecimal.isPositive(quantity)) return
  const { exchange, pair, side } = held
  const price = order.averagePrice ?? held.price
  book.book({ exchange, pair, side, quantity, price, fee: Decimal.zero }, price, held)
}

/**
 * An open order that the guard does not know: others have placed it. `told`: what of its fills has been told before, in the
 * exchange's units.
 */
export const adopt = (
  gate: Gate,
  exchange: ExchangeId,
  pair: TradingPair,
  order: Order,
  unit: Amount,
  told: Amount = Decimal.zero
): Held => {
  const source = gate.source(exchange)
  const last = order.averagePrice ?? gate.book.markOf(exchange, pair)
  const named = order.price ?? order.triggerPrice ?? source.price(pair, order.side) ?? last ?? Decimal.zero
  const price = worth(source, pair, order.side, named)
  const quantity = BigDecimal.multiply(order.quantity ?? Decimal.zero, unit)
  const reduceOnly = order.reduceOnly === true
  const held = gate.book.hold({ exchange, pair, side: order.side, quantity, price, reduces: false, reduceOnly, unit })
  held.hasLeft = true
  gate.book.name(held, order.clientOrderId, order.orderId)
  const filled = filledBase(order, held)
  held.said = filled
  held.filled = BigDecimal.max(held.filled, gate.isFollowed(exchange) ? BigDecimal.multiply(told, unit) : filled)
  // Its fill may come behind what tells of the order; what comes not at all takes no room.
  held.untold = BigDecimal.max(BigDecimal.subtract(filled, held.filled), Decimal.zero)
  if (BigDecimal.isPositive(held.untold)) later(gate, () => gate.book.forgo(held))
  return held
}

export const guard = (gate: Gate, entry: OrderEntry["Service"]): OrderEntry["Service"] => {
  const { book } = gate
  const { exchange } = entry
  const source = gate.source(exchange)

  const noPrice = (pair: TradingPair): ExchangeError =>
    gate.notReady(
      exchange,
      pair,
      "what the order will pay is not known: no price of the pair has come, and it names none"
    )

  const priceOf = ({ pair, price, quantity, side, trigger }: OrderRequest): Amount | null => {
    const named = amountOf(price) ?? amountOf(trigger?.price)
    if (named !== null) return worth(source, pair, side, named)
    const best = source.price(pair, side)
    // Where it says what it spends, that is what it costs, and the best price says how much it buys at most.
    const isBound = side === "sell" || amountOf(quantity) === null
    return best === null || isBound ? best : BigDecimal.multiply(best, slack)
  }

  const quantityOf = (request: OrderRequest, price: Amount, unit: Amount): Amount | null => {
    const quantity = amountOf(request.quantity)
    if (quantity !== null) return BigDecimal.multiply(quantity, unit)
    const spent = amountOf(request.quoteQuantity)
    return spent === null ? null : BigDecimal.divideUnsafe(spent, price)
  }

  /** `before`: what others that leave with it take of what is there. */
  const reduces = ({ pair, quantity, reduceOnly, side }: Asked, before: Amount): boolean => {
    if (reduceOnly) return true
    const { buys, position, sells } = book.standing(exchange, pair)
    const [there, taken] = side === "sell" ? [position, sells] : [BigDecimal.negate(position), buys]
    return BigDecimal.isLessThanOrEqualTo(BigDecimal.sum(BigDecimal.sum(quantity, taken), before), there)
  }

  /** Judged in the moment in which their room is taken, each behind those before it: a position is reduced once. */
  const intentsOf = (all: ReadonlyArray<Asked>): ReadonlyArray<Judged> => {
    const before = new Map<string, Amount>()
    return all.map((one) => {
      const key = `${one.pair} ${one.side}`
      const taken = before.get(key) ?? Decimal.zero
      before.set(key, BigDecimal.sum(taken, one.quantity))
      return { ...one, reduces: reduces(one, taken) }
    })
  }

  const canOnlyReduce = ({ pair }: Asked): boolean =>
    partsOf(pair).settle !== undefined && entry.abilities.has("reduceOnly")

  /**
   * What reduces a swap's position leaves as it is asked for where there would be room for it if it grew: the position may be
   * gone when it is filled. Else it leaves as reduce-only.
   */
  const judged = (all: ReadonlyArray<Asked>): ReadonlyArray<Judged> => {
    const intents = intentsOf(all)
    const plain = intents.map((intent) =>
      intent.reduces && !intent.reduceOnly && canOnlyReduce(intent) ? { ...intent, reduces: false } : intent
    )
    if (gate.hasRoom(plain)) return plain
    return intents.map((intent) => intent.reduces && canOnlyReduce(intent) ? { ...intent, reduceOnly: true } : intent)
  }

  /** Null for what cannot be read: the order entry refuses it, and says why. */
  const asked = (request: OrderRequest): Effect.Effect<Asked | null, ExchangeError> =>
    Effect.flatMap(source.unit(request.pair), (unit) => {
      if (amountOf(request.quantity) === null && amountOf(request.quoteQuantity) === null) return Effect.succeed(null)
      const price = priceOf(request)
      if (price === null) return Effect.fail(noPrice(request.pair))
      const quantity = quantityOf(request, price, unit)
      if (quantity === null) return Effect.succeed(null)
      const { clientOrderId, pair, reduceOnly = false, side } = request
      return Effect.succeed({ exchange, pair, side, quantity, price, reduceOnly, unit, clientOrderId })
    })

  /** Room that is there under this order's id. */
  const reserved = ({ clientOrderId }: OrderRequest): Held | undefined =>
    clientOrderId === undefined ? undefined : book.find(exchange, clientOrderId, null)

  /** What an order with room asks for; null for what cannot be read. */
  const askedOf = (held: Held, request: OrderRequest): Room | null => {
    const named = amountOf(request.price) ?? amountOf(request.trigger?.price)
    // What a sale is worth was judged when its room was taken.
    const price = named ?? (held.side === "sell" ? null : priceOf(request)) ?? held.price
    const quantity = quantityOf(request, price, held.unit)
    return quantity === null ? null : { quantity, price }
  }

  const wrongRoom = (held: Held, { clientOrderId, pair, side }: OrderRequest): ExchangeError | null => {
    const id = clientOrderId ?? ""
    if (held.hasLeft) {
      const detail = `"${id}" was used before: look that order up with get, or leave the id out`
      return invalid(exchange, pair, "clientOrderId", detail)
    }
    return held.pair === pair && held.side === side ? null : gate.notReady(
      exchange,
      pair,
      `the room that is reserved for "${id}" is of an order to ${held.side} ${held.pair}`
    )
  }

  /** What has room passes with it as far as the switch lets it; what it asks for beyond its room is judged. */
  const widen = ({ before, held }: Roomy, request: OrderRequest): ExchangeError | null => {
    const problem = gate.stopped([held]) ?? wrongRoom(held, request)
    if (problem !== null) return problem
    const all = askedOf(held, request)
    if (all === null || isWithin(all, before)) return null
    const { pair, side } = held
    const price = worth(source, pair, side, all.price)
    book.release(held)
    const refused = gate.refuse([{ exchange, pair, side, quantity: all.quantity, price, reduces: false }])
    book.restore(held, refused === null ? { quantity: all.quantity, price } : before)
    return refused
  }

  /** They have not left. */
  const stay = ({ before, held }: Roomy): void => {
    held.hasLeft = false
    if (held.isReserved) book.resize(held, before.quantity, before.price)
    else book.release(held)
  }

  const roomyOf = (held: Held): Roomy => ({ held, before: { quantity: held.quantity, price: held.price } })

  /** The switch may be thrown while they wait for their turn: it is looked at again right before they leave. */
  const lookingAgain = <A>(
    all: ReadonlyArray<Leaving>,
    send: Effect.Effect<A, ExchangeError>
  ): Effect.Effect<A, ExchangeError> =>
    Effect.flatMap(MayLeave, (others) => Effect.provideService(send, MayLeave, () => others() ?? gate.stopped(all)))

  const settle = (held: Held, outcome: Outcome<Order>): void => {
    if (outcome._tag === "Rejected") return book.release(held)
    if (outcome._tag === "Accepted") return note(gate, exchange, held, outcome.value)
    gate.fork(Effect.matchEffect(outcome.resolved, {
      // It may be in force: its room stays taken until the exchange tells of it.
      onFailure: () => seek(held),
      onSuccess: (known) => Effect.sync(() => settle(held, known))
    }))
  }

  /** Nobody waits for its answer any more, and it may have left: the exchange is asked, unless its end has been told already. */
  const seekHeld = (held: Held): void => {
    if (held.isHeld) gate.fork(seek(held))
  }

  const seek = (held: Held): Effect.Effect<void> =>
    Effect.gen(function*() {
      const since = yield* monotonic
      const limit = Duration.toMillis(gate.forgetAfter)
      for (;;) {
        yield* Effect.sleep(askAgain)
        const ref = refOf(held)
        if (!held.isHeld || ref === null) return
        const found = yield* Effect.option(entry.get(ref))
        // Only an answer says that it is not there.
        if (found._tag === "None") continue
        if (found.value !== null) return note(gate, exchange, held, found.value)
        if ((yield* monotonic) - since > limit) return book.release(held)
      }
    })

  /** Runs what places these, with their room taken; gives it back when nothing was sent. */
  const holding = <A>(
    all: ReadonlyArray<Asked>,
    send: (all: ReadonlyArray<Judged>) => Effect.Effect<A, ExchangeError>,
    settled: (held: ReadonlyArray<Held>, result: A) => void
  ): Effect.Effect<A, ExchangeError> =>
    Effect.uninterruptibleMask((restore) =>
      departing((departure) => {
        const intents = judged(all)
        const problem = gate.refuse(intents)
        if (problem !== null) return Effect.fail(problem)
        const held = intents.map((intent) => book.hold(intent))
        for (const one of held) one.hasLeft = true
        return Effect.onExit(restore(lookingAgain(held, send(intents))), (exit) =>
          Effect.sync(() => {
            if (Exit.isSuccess(exit)) return settled(held, exit.value)
            for (const one of held) {
              if (hasNotLeft(exit, departure)) book.release(one)
              else seekHeld(one)
            }
          }))
      })
    )

  /** Every order has a name before it leaves, by which what is told of it is known. */
  const named = (request: OrderRequest): Effect.Effect<OrderRequest> =>
    request.clientOrderId === undefined
      ? Effect.map(entry.makeClientOrderId, (clientOrderId) => ({ ...request, clientOrderId }))
      : Effect.succeed(request)

  const place = (request: OrderRequest): Effect.Effect<Placed, ExchangeError> =>
    Effect.suspend(() => {
      const held = reserved(request)
      if (held === undefined) return Effect.flatMap(named(request), placeNew)
      const roomy = roomyOf(held)
      const problem = widen(roomy, request)
      return problem === null
        ? leaving([roomy], entry.place(request), ({ outcome }) => [outcome])
        : Effect.fail(problem)
    })

  /** Those that leave with room of theirs keep it until it is told what became of them, whoever has reserved it. */
  const leaving = <A>(
    all: ReadonlyArray<Roomy>,
    send: Effect.Effect<A, ExchangeError>,
    outcomes: (result: A) => ReadonlyArray<Outcome<Order>>
  ): Effect.Effect<A, ExchangeError> =>
    Effect.uninterruptibleMask((restore) =>
      departing((departure) => {
        const helds = all.map(({ held }) => held)
        for (const held of helds) held.hasLeft = true
        return Effect.onExit(restore(lookingAgain(helds, send)), (exit) =>
          Effect.sync(() => {
            if (Exit.isSuccess(exit)) {
              for (const [index, outcome] of outcomes(exit.value).entries()) settle(helds[index]!, outcome)
              return
            }
            for (const one of all) {
              if (hasNotLeft(exit, departure)) stay(one)
              else seekHeld(one.held)
            }
          }))
      })
    )

  const placeNew = (request: OrderRequest): Effect.Effect<Placed, ExchangeError> =>
    Effect.flatMap(asked(request), (intent) =>
      intent === null
        ? entry.place(request)
        : holding(
          [intent],
          ([judged]) => entry.place(leavesAs(request, judged!.reduceOnly)),
          ([held], { outcome }) => settle(held!, outcome)
        ))

  const lostRoom = ({ pair }: OrderRequest): ExchangeError =>
    gate.notReady(exchange, pair, "the room that was reserved for it has been given back")

  /** Judged and sent in one turn: what has room that is reserved, and what needs some. */
  const leaveAll = (
    all: ReadonlyArray<OrderRequest>,
    intents: ReadonlyArray<Asked | null>,
    hadRoom: ReadonlyArray<boolean>
  ): Effect.Effect<ReadonlyArray<Placed>, ExchangeError> =>
    Effect.suspend(() => {
      const helds = all.map(reserved)
      const gone = all.find((_, index) => hadRoom[index] && helds[index] === undefined)
      if (gone !== undefined) return Effect.fail(lostRoom(gone))
      const roomy = helds.flatMap((held, index) => held === undefined ? [] : [{ ...roomyOf(held), index }])
      const undo = (): void => {
        for (const { before, held } of roomy) if (!held.hasLeft) book.resize(held, before.quantity, before.price)
      }
      for (const one of roomy) {
        const problem = widen(one, all[one.index]!)
        if (problem === null) continue
        undo()
        return Effect.fail(problem)
      }
      const asking = intents.flatMap((intent, index) =>
        intent === null || helds[index] !== undefined ? [] : [{ intent, index }]
      )
      const send = (judged: ReadonlyArray<Judged>) => {
        const requests = [...all]
        for (const [at, { index }] of asking.entries()) {
          requests[index] = leavesAs(requests[index]!, judged[at]!.reduceOnly)
        }
        return leaving(
          roomy,
          // As many as there were.
          entry.placeAll(requests as unknown as NonEmptyReadonlyArray<OrderRequest>),
          (placed) => roomy.map(({ index }) => placed[index]!.outcome)
        )
      }
      return Effect.tapError(
        holding(asking.map(({ intent }) => intent), send, (held, placed) => {
          for (const [at, { index }] of asking.entries()) settle(held[at]!, placed[index]!.outcome)
        }),
        () => Effect.sync(undo)
      )
    })

  const placeAll = Effect.fnUntraced(function*(
    requests: NonEmptyReadonlyArray<OrderRequest>
  ): Effect.fn.Return<ReadonlyArray<Placed>, ExchangeError> {
    const all = yield* Effect.forEach(requests, named)
    const hadRoom = all.map((one) => reserved(one) !== undefined)
    const intents = yield* Effect.forEach(all, (one, index) => hadRoom[index] ? Effect.succeed(null) : asked(one))
    return yield* leaveAll(all, intents, hadRoom)
  })

  const heldOf = (ref: OrderRef): Held | undefined =>
    "clientOrderId" in ref ? book.find(exchange, ref.clientOrderId, null) : book.find(exchange, null, ref.orderId)

  const noteOf = (ref: OrderRef, order: Order): void => {
    const held = heldOf(ref) ?? book.find(exchange, order.clientOrderId, order.orderId)
    if (held !== undefined) note(gate, exchange, held, order)
  }

  const noteOutcome = (ref: OrderRef, outcome: Outcome<Order>): void => {
    if (outcome._tag === "Accepted") return noteOf(ref, outcome.value)
    if (outcome._tag === "Unknown") {
      gate.fork(Effect.match(outcome.resolved, { onFailure: () => {}, onSuccess: (known) => noteOutcome(ref, known) }))
    }
  }

  /**
   * `there`: those that had left when all were cancelled. Where its answer was lost, what it had cancelled before the exchange
   * was asked nobody tells: each that may be open still is asked for.
   */
  const noteCanceled = (there: ReadonlyArray<Held>, outcome: Outcome<ReadonlyArray<Order>>): void => {
    if (outcome._tag === "Accepted") {
      for (const order of outcome.value) {
        const held = book.find(exchange, order.clientOrderId, order.orderId)
        if (held !== undefined) note(gate, exchange, held, order)
      }
    }
    if (outcome._tag !== "Unknown") return
    const ask = Effect.suspend(() =>
      Effect.forEach(there.filter(({ isHeld }) => isHeld), seek, { concurrency: 4, discard: true })
    )
    gate.fork(Effect.matchEffect(outcome.resolved, {
      onFailure: () => ask,
      onSuccess: (known) => Effect.andThen(Effect.sync(() => noteCanceled(there, known)), ask)
    }))
  }

  /** The order that is to change; undefined when the exchange has none that is open. */
  const known = (ref: OrderRef): Effect.Effect<Held | undefined, ExchangeError> =>
    Effect.suspend(() => {
      const held = heldOf(ref)
      if (held !== undefined) return Effect.succeed(held)
      return Effect.flatMap(Effect.all([entry.get(ref), source.unit(ref.pair)]), ([order, unit]) => {
        if (order === null || isFinal(order.status)) return Effect.succeed(undefined)
        // It may have been told of while it was asked for.
        const there = book.find(exchange, order.clientOrderId, order.orderId)
        if (there !== undefined) return Effect.succeed(there)
        // The answer may be older than the end.
        if (book.hasEnded(exchange, order.orderId)) return Effect.succeed(undefined)
        const adopted = adopt(gate, exchange, ref.pair, order, unit)
        return Effect.as(Effect.sync(() => note(gate, exchange, adopted, order)), adopted)
      })
    })

  const amend = (ref: OrderRef, amendment: Amendment): Effect.Effect<Outcome<Order>, ExchangeError> =>
    Effect.flatMap(
      known(ref),
      (held) => held === undefined ? amendNone(ref, amendment) : amendHeld(ref, held, amendment)
    )

  /** The exchange has no such order that is open, and will say so. */
  const amendNone = (ref: OrderRef, amendment: Amendment): Effect.Effect<Outcome<Order>, ExchangeError> =>
    Effect.suspend(() => {
      const leaving: Leaving = { exchange, pair: ref.pair, reduces: true }
      const problem = gate.stopped([leaving])
      return problem === null ? lookingAgain([leaving], entry.amend(ref, amendment)) : Effect.fail(problem)
    })

  /**
   * Judged as the order that it makes, without the room that the order has. What only makes it smaller or a bid lower reduces;
   * what reduces a swap's position does so only where the exchange lets it do nothing else.
   */
  const judgedAs = (held: Held, change: Change, room: Room): { intent: Intent; problem: ExchangeError | null } => {
    const { pair, price, quantity, reduceOnly, side } = held
    const asked: Asked = { exchange, pair, side, ...room, reduceOnly }
    if (eases(side, statesOf(toldOf(held), held.amending?.changes ?? []), change)) {
      const intent = { ...asked, reduces: true }
      return { intent, problem: gate.stopped([intent]) }
    }
    book.release(held)
    const intent = { ...asked, reduces: (reduceOnly || !canOnlyReduce(asked)) && reduces(asked, Decimal.zero) }
    const problem = gate.refuse([intent])
    book.restore(held, { quantity, price })
    return { intent, problem }
  }

  const amendHeld = (
    ref: OrderRef,
    held: Held,
    amendment: Amendment
  ): Effect.Effect<Outcome<Order>, ExchangeError> =>
    Effect.uninterruptibleMask((restore) =>
      departing((departure) => {
        // It may have ended since it was found.
        if (!held.isHeld) return restore(amendNone(ref, amendment))
        const whole = amountOf(amendment.quantity)
        const change: Change = {
          whole: whole === null ? null : BigDecimal.multiply(whole, held.unit),
          price: amountOf(amendment.price)
        }
        const told = toldOf(held)
        const changes = [...held.amending?.changes ?? [], change]
        const room = roomOf(gate, held, { told, changes: new Set(changes) })
        const { intent, problem } = judgedAs(held, change, room)
        if (problem !== null) return Effect.fail(problem)
        held.amending = { told, changes: new Set(changes) }
        book.resize(held, room.quantity, room.price)
        return Effect.onExit(restore(lookingAgain([intent], entry.amend(ref, amendment))), (exit) =>
          Effect.sync(() => {
            if (Exit.isSuccess(exit)) amended(ref, held, change, exit.value)
            else if (hasNotLeft(exit, departure)) answered(held, change)
            else gate.fork(seekAmended(ref, held, change))
          }))
      })
    )

  /** It is known what became of it: the order is as it was told last, or as others make it. */
  const answered = (held: Held, change: Change): void => {
    if (held.amending === null) return
    const { changes, told } = held.amending
    const left = { told, changes: new Set([...changes].filter((other) => other !== change)) }
    const { price, quantity } = roomOf(gate, held, left)
    held.amending = left.changes.size === 0 ? null : left
    book.resize(held, quantity, price)
  }

  const amended = (ref: OrderRef, held: Held, change: Change, outcome: Outcome<Order>): void => {
    if (outcome._tag === "Unknown") {
      return gate.fork(Effect.matchEffect(outcome.resolved, {
        onFailure: () => seekAmended(ref, held, change),
        onSuccess: (known) => Effect.sync(() => amended(ref, held, change, known))
      }))
    }
    answered(held, change)
    if (outcome._tag === "Accepted") noteOf(ref, outcome.value)
  }

  /** Nobody tells what became of it: it may be carried out until the order shows it, or long behind its sending. */
  const seekAmended = (ref: OrderRef, held: Held, change: Change): Effect.Effect<void> =>
    Effect.gen(function*() {
      const since = yield* monotonic
      const limit = Duration.toMillis(gate.forgetAfter)
      while (held.isHeld) {
        yield* Effect.sleep(askAgain)
        const found = yield* Effect.option(entry.get(ref))
        if (found._tag === "None") continue
        const isOver = (yield* monotonic) - since > limit
        if (isOver || isCarriedOut(held, change, found.value)) answered(held, change)
        if (found.value !== null) noteOf(ref, found.value)
        if (isOver || !(held.amending?.changes.has(change) ?? false)) return
      }
    })

  return {
    ...entry,
    place,
    placeAll,
    amend,
    cancel: (ref) => Effect.tap(entry.cancel(ref), (outcome) => Effect.sync(() => noteOutcome(ref, outcome))),
    cancelAll: (pair) =>
      Effect.suspend(() => {
        const there = book.named(exchange).filter((held) => held.hasLeft && (pair === undefined || held.pair === pair))
        return Effect.tap(entry.cancelAll(pair), (outcome) => Effect.sync(() => noteCanceled(there, outcome)))
      }),
    get: (ref) =>
      Effect.tap(entry.get(ref), (order) => Effect.sync(() => order === null ? undefined : noteOf(ref, order)))
  }
}
