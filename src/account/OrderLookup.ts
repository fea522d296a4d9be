/** Questions to the exchange about orders, and what their answers prove of a command whose own answer was lost. */
import { Effect } from "effect"
import type { Clock } from "effect"
import type { AccountCalls, Command, OrderProtocol, PreparedOrder, Reply, SymbolRef } from "../AccountAdapter.ts"
import type { Order } from "../domain/Account.ts"
import { isFinal } from "../domain/Account.ts"
import { monotonicMillis } from "../domain/ClockTime.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { Use } from "../RateLimits.ts"
import type { Dispatch } from "./OrderDispatch.ts"
import type { OrderNames } from "./OrderNames.ts"
import type { Evidence } from "./OrderOutcomes.ts"
import { Refusal } from "./OrderSocketLink.ts"

/** Null: as it is. */
export interface Change {
  readonly price: Decimal.Decimal | null
  readonly quantity: Decimal.Decimal | null
}

export interface LookupOptions {
  readonly protocol: OrderProtocol
  readonly calls: AccountCalls
  readonly question: Dispatch["question"]
  /** What a reading that looks for a lost command uses of the limits; nothing when left out. */
  readonly readUses?: ((read: "fills" | "openOrders") => ReadonlyArray<Use>) | undefined
  readonly names: OrderNames
  /** The exchange's clock, ms, right to within seconds. */
  readonly exchangeNow: Effect.Effect<number, ExchangeError>
}

export interface Lookup {
  /** Null when the exchange has no such order. */
  readonly look: (ref: SymbolRef) => Effect.Effect<Order | null, ExchangeError>
  /** The order of an answer; null when it holds none. */
  readonly orderIn: (reply: Reply) => Order | null
  /** Says whether the order waits for its price, where those are kept apart. */
  readonly withTrigger: (ref: SymbolRef, trigger: boolean | undefined) => SymbolRef
  /** `sentAt` in ms of the monotonic clock. */
  readonly placed: (order: PreparedOrder, sentAt: number) => Evidence<Order>
  readonly cancelled: (ref: SymbolRef) => Evidence<Order>
  readonly noneLeft: (symbol: string | null) => Evidence<ReadonlyArray<Order>>
  /** These were cancelled: what became of each. */
  readonly settled: (refs: ReadonlyArray<SymbolRef>) => Evidence<ReadonlyArray<Order>>
  readonly amended: (ref: SymbolRef, change: Change) => Evidence<Order>
}

const hasEnded = ({ status }: Order): Refusal =>
  new Refusal({ code: status, detail: "the order had ended before", class: "item" })

const stillOpen = (count: number): Refusal =>
  new Refusal({
    code: "not-carried-out",
    detail: `the exchange has taken it, and ${count} of the orders that it named are still open`,
    class: "item"
  })

const wasCancelled = ({ status }: Order): boolean => status === "canceled" || status === "partiallyCanceled"

const has = (wanted: Decimal.Decimal | null, found: Decimal.Decimal | null): boolean =>
  wanted === null || (found !== null && Decimal.equals(wanted, found))

/** Beyond what is known of how far the exchange's clock is from ours, ms. */
const clockMillis = 5_000

export const make = (
  { calls, exchangeNow, names, protocol, question, readUses = () => [] }: LookupOptions,
  clock: Clock.Clock
): Lookup => {
  const orderIn = (reply: Reply): Order | null => {
    if (reply._tag !== "Order") return null
    names.learn(reply.order)
    return reply.order
  }

  const look: Lookup["look"] = (ref) =>
    Effect.suspend(() => {
      const command: Command = { _tag: "Get", ref }
      return Effect.map(question("Get", protocol.uses(command), () => calls.run(command)), orderIn)
    })

  const withTrigger: Lookup["withTrigger"] = (ref, trigger) =>
    trigger === undefined || !protocol.abilities.has("trigger") ? ref : { ...ref, trigger }

  const lookAll = (refs: ReadonlyArray<SymbolRef>) => Effect.forEach(refs, look, { concurrency: 4 })

  const isOpen = (order: Order | null): boolean => order !== null && !isFinal(order.status)

  const cancelledOf = (found: ReadonlyArray<Order | null>): ReadonlyArray<Order> =>
    found.flatMap((order) => order !== null && wasCancelled(order) ? [order] : [])

  return {
    look,
    orderIn,
    withTrigger,
    /**
     * An exchange forgets our ids of ended orders before it forgets its own and what was filled (Gate spot after an hour):
     * what it does not find by our id may still stand among the fills.
     */
    placed: (order, sentAt) => (late) =>
      Effect.gen(function*() {
        const { clientOrderId, instrument: { symbol }, trigger } = order
        const found = yield* look(withTrigger({ symbol, clientOrderId }, trigger !== null))
        if (found !== null || !late || trigger !== null) return found
        const reading = () =>
          Effect.flatMap(exchangeNow, (theirs) => {
            const ago = monotonicMillis(clock) - sentAt
            return calls.fills({ symbol, since: theirs - ago - clockMillis })
          })
        const fills = yield* question("the fills", readUses("fills"), reading)
        const ours = fills.find((fill) => fill.clientOrderId === clientOrderId)
        return ours === undefined ? null : yield* look({ symbol, orderId: ours.orderId })
      }),
    cancelled: (ref) => () =>
      Effect.map(look(ref), (order) => {
        if (order === null || !isFinal(order.status)) return null
        return wasCancelled(order) ? order : hasEnded(order)
      }),
    /**
     * Done when none is left of those that were open when it was first asked; orders that came later are others. What it
     * cancelled before that nobody tells.
     */
    noneLeft: (symbol) => {
      let before: ReadonlyArray<Order> | null = null
      return () =>
        Effect.flatMap(question("the open orders", readUses("openOrders"), () => calls.openOrders(symbol)), (open) => {
          before ??= open
          const ids = new Set(open.map(({ orderId }) => orderId))
          const known = before
          if (known.some(({ orderId }) => ids.has(orderId))) return Effect.succeed(null)
          const refs = known.map(({ orderId, symbol }) => ({ symbol, orderId }))
          return Effect.map(lookAll(refs), (found) => found.some(isOpen) ? null : cancelledOf(found))
        })
    },
    settled: (refs) => (late) =>
      Effect.map(lookAll(refs), (found) => {
        const open = found.filter(isOpen).length
        if (open > 0) return late ? stillOpen(open) : null
        // A copy that lags may not show one of them yet.
        return found.includes(null) && !late ? null : cancelledOf(found)
      }),
    amended: (ref, { price, quantity }) => () =>
      Effect.map(look(ref), (order) => {
        if (order === null) return null
        if (has(price, order.price) && has(quantity, order.quantity)) return order
        return isFinal(order.status) ? hasEnded(order) : null
      })
  }
}
