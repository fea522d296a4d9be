/**
 * Something that trades, so that a simulated account has something to show: a few resting orders around the price, one
 * that takes at times, one that is moved, one that is taken back. The same seed makes the same choices; it means to show
 * every kind of event, not to earn.
 */
import { Effect, Random } from "effect"
import type { Order } from "../../domain/Account.ts"
import * as Decimal from "../../domain/Decimal.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import type { ExchangeError } from "../../ExchangeError.ts"
import type { OrderRef, OrderRequest, Outcome } from "../../OrderEntry.ts"
import { OrderEntry } from "../../OrderEntry.ts"

/** Where choices come from. */
export type Draws = Pick<Random.Random, "nextDoubleUnsafe">

export interface Quote {
  readonly bid: number
  readonly ask: number
}

export interface TraderOptions {
  readonly pairs: ReadonlyArray<TradingPair>
  /** Null while no price is known. */
  readonly quote: (pair: TradingPair) => Quote | null
  /** What is open now, from the account's stream. */
  readonly openOrders: () => ReadonlyArray<Order>
  /** Base units in one contract, of swaps. */
  readonly contractSizes?: ReadonlyMap<TradingPair, number> | undefined
  readonly seed: number
  /** What one order is worth, in quote. */
  readonly worth: number
}

export interface TraderCounts {
  placed: number
  amended: number
  cancelled: number
  rejected: number
  unknown: number
  /** Never sent. */
  failed: number
}

/** More than this are taken back first. */
const mostOpen = 4

/** Of the price: how far resting orders stand from it. */
const nearest = 0.00005
const farthest = 0.0006

const refOf = ({ orderId, pair }: Order): OrderRef | null => pair === null ? null : { pair, orderId }

/** Six digits say enough of a price; the desk brings it onto the exchange's step. */
const digits = (value: number): string => Decimal.toText(Decimal.of(value.toPrecision(9)))

export class Trader {
  readonly counts: TraderCounts = { placed: 0, amended: 0, cancelled: 0, rejected: 0, unknown: 0, failed: 0 }
  readonly #options: TraderOptions
  readonly #random: Draws

  constructor(options: TraderOptions, random: Draws) {
    this.#options = options
    this.#random = random
  }

  /** Does one thing; never fails, what goes wrong is counted. */
  readonly step: Effect.Effect<void, never, OrderEntry> = Effect.suspend(() => {
    const pair = this.#pick(this.#options.pairs)
    const quote = pair === undefined ? null : this.#options.quote(pair)
    if (pair === undefined || quote === null) return Effect.void
    const open = this.#options.openOrders()
    if (open.length >= mostOpen) return this.#cancel(open[0]!)
    const draw = this.#random.nextDoubleUnsafe()
    const target = this.#pick(open)
    if (target !== undefined && draw < 0.15) return this.#amend(target, quote)
    if (target !== undefined && draw < 0.3) return this.#cancel(target)
    return this.#place(draw < 0.7 ? this.#resting(pair, quote) : this.#taking(pair, quote))
  })

  #pick<A>(items: ReadonlyArray<A>): A | undefined {
    return items[Math.floor(this.#random.nextDoubleUnsafe() * items.length)]
  }

  get #side(): "buy" | "sell" {
    return this.#random.nextDoubleUnsafe() < 0.5 ? "buy" : "sell"
  }

  #quantity(pair: TradingPair, price: number): string {
    const worth = this.#options.worth * (0.5 + this.#random.nextDoubleUnsafe())
    return digits(worth / price / (this.#options.contractSizes?.get(pair) ?? 1))
  }

  #away(side: "buy" | "sell", { ask, bid }: Quote): string {
    const by = nearest + this.#random.nextDoubleUnsafe() * (farthest - nearest)
    return digits(side === "buy" ? bid * (1 - by) : ask * (1 + by))
  }

  #resting(pair: TradingPair, quote: Quote): OrderRequest {
    const side = this.#side
    return { pair, side, quantity: this.#quantity(pair, quote.bid), price: this.#away(side, quote) }
  }

  /** Across the spread, and what is not there is not waited for. */
  #taking(pair: TradingPair, quote: Quote): OrderRequest {
    const side = this.#side
    const price = digits(side === "buy" ? quote.ask * 1.0005 : quote.bid * 0.9995)
    return { pair, side, quantity: this.#quantity(pair, quote.bid), price, timeInForce: "ioc" }
  }

  #place(request: OrderRequest): Effect.Effect<void, never, OrderEntry> {
    return this.#run("placed", (entry) => Effect.map(entry.place(request), ({ outcome }) => outcome))
  }

  #cancel(order: Order): Effect.Effect<void, never, OrderEntry> {
    const ref = refOf(order)
    return ref === null ? Effect.void : this.#run("cancelled", (entry) => entry.cancel(ref))
  }

  #amend(order: Order, quote: Quote): Effect.Effect<void, never, OrderEntry> {
    const ref = refOf(order)
    return Effect.flatMap(OrderEntry, (entry) =>
      ref === null || !entry.abilities.has("amend")
        ? this.#cancel(order)
        : this.#run("amended", () => entry.amend(ref, { price: this.#away(order.side, quote) })))
  }

  #run<A>(
    count: "placed" | "amended" | "cancelled",
    command: (entry: OrderEntry["Service"]) => Effect.Effect<Outcome<A>, ExchangeError>
  ): Effect.Effect<void, never, OrderEntry> {
    return Effect.flatMap(OrderEntry, command).pipe(
      Effect.flatMap((outcome) => this.#count(count, outcome)),
      Effect.catchTag("ExchangeError", (error) => {
        this.counts.failed++
        return Effect.logDebug(error.message)
      })
    )
  }

  #count<A>(count: "placed" | "amended" | "cancelled", outcome: Outcome<A>): Effect.Effect<void> {
    switch (outcome._tag) {
      case "Accepted":
        this.counts[count]++
        return Effect.void
      case "Rejected":
        this.counts.rejected++
        return Effect.logDebug(`refused: ${outcome.reason.code} ${outcome.reason.detail}`)
      case "Unknown":
        this.counts.unknown++
        return Effect.asVoid(Effect.exit(outcome.resolved))
    }
  }
}

/** A trader whose choices follow from the seed. */
export const make = (options: TraderOptions): Effect.Effect<Trader> =>
  Random.withSeed(Effect.map(Effect.service(Random.Random), (random) => new Trader(options, random)), options.seed)
