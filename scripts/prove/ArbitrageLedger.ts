/** What there was to earn between simulated exchanges, by their own books, and what of it a monitor has told. */
import { BigDecimal } from "effect"
import type { Conditions, Leg, Opportunity, Route, Venue } from "../../src/arbitrage/Opportunity.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { WorldBook, WorldLevel } from "../../src/ExchangeDialect.ts"
import type { SimulatorService } from "../../src/simulator/Simulator.ts"

const decimal = (value: string | number): Decimal.Decimal => BigDecimal.fromStringUnsafe(String(value))

const sum = (a: Decimal.Decimal, b: Decimal.Decimal): Decimal.Decimal => BigDecimal.sum(a, b)
const times = (a: Decimal.Decimal, b: Decimal.Decimal): Decimal.Decimal => BigDecimal.multiply(a, b)
const minus = (a: Decimal.Decimal, b: Decimal.Decimal): Decimal.Decimal => BigDecimal.subtract(a, b)

/** Quote for so much of an instrument's own quantity; null when there is not so much. */
const valueOf = (levels: ReadonlyArray<WorldLevel>, quantity: Decimal.Decimal, size: Decimal.Decimal) => {
  let left = quantity
  let value = Decimal.zero
  for (const level of levels) {
    const taken = BigDecimal.min(left, decimal(level.quantity))
    value = sum(value, times(times(taken, size), decimal(level.price)))
    left = minus(left, taken)
    if (BigDecimal.isZero(left)) return value
  }
  return null
}

/** Why what was told is not so; null when it is. */
const faultOfFigures = (
  { buy, profit, sell }: Opportunity,
  { minProfit }: Conditions,
  books: { readonly buy: WorldBook; readonly sell: WorldBook },
  venues: { readonly buy: Venue; readonly sell: Venue }
): string | null => {
  for (const leg of [buy, sell]) {
    const venue = venues[leg.side]
    if (!Decimal.isOnStep(decimal(leg.quantity), decimal(venue.quantityStep))) return `${leg.side}: not on a step`
  }
  const cost = valueOf(books.buy.asks, decimal(buy.quantity), decimal(venues.buy.contractSize))
  const proceeds = valueOf(books.sell.bids, decimal(sell.quantity), decimal(venues.sell.contractSize))
  if (cost === null || proceeds === null) return "the books are not that deep"
  const fees = sum(times(cost, decimal(venues.buy.takerFee)), times(proceeds, decimal(venues.sell.takerFee)))
  const earned = Decimal.toNumber(minus(minus(proceeds, cost), fees))
  if (!(earned > 0 && earned >= minProfit)) return `it earns ${earned}`
  return Math.abs(earned - profit) <= 1e-9 * Math.max(1, earned) ? null : `it earns ${earned}, not ${profit}`
}

/** Whether so much base is an order at that price. */
const isLarge = ({ contractSize, minNotional, minQuantity }: Venue, size: number, price: number): boolean =>
  size > 0 && size >= (minQuantity ?? 0) * contractSize && size * price >= (minNotional ?? 0)

interface Life {
  /** When the exchange made the version, and the one behind it, ms of the simulator's own time. */
  readonly from: number
  readonly until: number
}

export interface Edge {
  readonly route: string
  readonly direction: Opportunity["direction"]
  readonly from: number
  until: number
  found: boolean
}

export class ArbitrageLedger {
  /** That are over. */
  readonly edges: Array<Edge> = []
  told = 0
  wrong = 0
  firstWrong = ""
  /** Versions that the simulator no longer held; none may be. */
  unknown = 0
  /** Of what was told, how much was still there in the books of that moment. */
  stillThere = 0
  readonly #simulator: SimulatorService
  readonly #routes: ReadonlyMap<string, Route>
  readonly #conditions: Conditions
  readonly #present = new Map<string, Edge>()
  readonly #open = new Set<string>()

  constructor(simulator: SimulatorService, routes: ReadonlyArray<Route>, conditions: Conditions) {
    this.#simulator = simulator
    this.#routes = new Map(routes.map((route) => [route.id, route]))
    this.#conditions = conditions
  }

  /** A moment of the simulation is over: whatever its best prices leave is an edge. */
  look(now: number): void {
    for (const route of this.#routes.values()) {
      const { first, second } = route
      const [a, b] = [this.#now(first), this.#now(second)]
      this.#mark(route.id, "first", this.#pays(first, a, second, b), now)
      this.#mark(route.id, "second", this.#pays(second, b, first, a), now)
    }
  }

  tell(opportunity: Opportunity, now: number): void {
    this.told++
    const key = `${opportunity.route} ${opportunity.direction}`
    this.#open.add(key)
    const present = this.#present.get(key)
    if (present !== undefined) present.found = true
    const fault = this.#judge(opportunity, now)
    if (fault === null) return
    this.wrong++
    if (this.firstWrong === "") this.firstWrong = `${key} at ${now}: ${fault}`
  }

  vanish({ direction, route }: Opportunity): void {
    this.#open.delete(`${route} ${direction}`)
  }

  /** What is there at the end has lived until then. */
  end(): void {
    this.edges.push(...this.#present.values())
    this.#present.clear()
  }

  #mark(route: string, direction: Opportunity["direction"], pays: boolean, now: number): void {
    const key = `${route} ${direction}`
    const present = this.#present.get(key)
    if (!pays) {
      if (present === undefined) return
      this.#present.delete(key)
      present.until = now
      this.edges.push(present)
    } else if (present === undefined) {
      this.#present.set(key, { route, direction, from: now, until: now, found: this.#open.has(key) })
    } else {
      present.until = now
      present.found ||= this.#open.has(key)
    }
  }

  #now({ exchange, pair }: Venue): WorldBook | undefined {
    return this.#simulator.book(exchange, pair, 1)
  }

  /** Whether the best levels alone leave enough, at a size that both instruments can trade. */
  #pays(buy: Venue, from: WorldBook | undefined, sell: Venue, to: WorldBook | undefined): boolean {
    const ask = from?.asks[0]
    const bid = to?.bids[0]
    if (ask === undefined || bid === undefined) return false
    const margin = Number(bid.price) * (1 - sell.takerFee) - Number(ask.price) * (1 + buy.takerFee)
    if (margin <= 0) return false
    const most = Math.min(Number(ask.quantity) * buy.contractSize, Number(bid.quantity) * sell.contractSize)
    // Steps of simulated instruments are powers of ten, so that the coarser one is a step of both.
    const step = Math.max(buy.quantityStep * buy.contractSize, sell.quantityStep * sell.contractSize)
    const size = Math.floor(most / step) * step
    const isTradable = isLarge(buy, size, Number(ask.price)) && isLarge(sell, size, Number(bid.price))
    return isTradable && size * margin > this.#conditions.minProfit * (1 + 1e-6) + 1e-6
  }

  #judge(opportunity: Opportunity, now: number): string | null {
    const { buy, direction, sell } = opportunity
    const { first, second } = this.#routes.get(opportunity.route)!
    const venues = direction === "first" ? { buy: first, sell: second } : { buy: second, sell: first }
    const books = { buy: this.#at(buy), sell: this.#at(sell) }
    if (books.buy === undefined || books.sell === undefined) {
      this.unknown++
      return null
    }
    if (this.#pays(venues.buy, this.#now(venues.buy), venues.sell, this.#now(venues.sell))) this.stillThere++
    return faultOfFigures(opportunity, this.#conditions, { buy: books.buy, sell: books.sell }, venues) ??
      this.#faultOfTimes([this.#life(buy, books.buy, now), this.#life(sell, books.sell, now)], now)
  }

  #faultOfTimes([one, other]: readonly [Life, Life], now: number): string | null {
    const { maxAgeMs, maxSkewMs } = this.#conditions
    const age = now - Math.min(one.until, other.until)
    if (age > maxAgeMs) return `a leg was no longer the exchange's for ${age} ms`
    const apart = Math.max(one.from, other.from) - Math.min(one.until, other.until)
    return apart > maxSkewMs ? `the legs were never there together: ${apart} ms lie between` : null
  }

  #at({ exchange, pair, version }: Leg, further = 0): WorldBook | undefined {
    return this.#simulator.truth(exchange, pair, Number(version) + further)
  }

  #life(leg: Leg, book: WorldBook, now: number): Life {
    return { from: book.time, until: this.#at(leg, 1)?.time ?? now }
  }
}
