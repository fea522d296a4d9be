/**
 * What stands on each route, as a plain synchronous machine: told of every change of a book and of the time, it tells what
 * has entered, changed and vanished. The monitor drives it.
 */
import type { Clock } from "effect"
import type { BookView } from "../composite/OrderBook.ts"
import type { LiveBook } from "../composite/OrderBooks.ts"
import type { PublicExchange } from "../composite/PublicExchange.ts"
import { monotonicMillis, wallMillis } from "../domain/ClockTime.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { FuturesTicker } from "../domain/Market.ts"
import type { ClockReading } from "../ExchangeClock.ts"
import * as Freshness from "./Freshness.ts"
import { Latencies } from "./Latencies.ts"
import { Evaluator } from "./Opportunity.ts"
import type { Conditions, Doubt, Opportunity, Route, Sight, Venue } from "./Opportunity.ts"
import type { OpportunityEvent, VanishCause } from "./OpportunityEvent.ts"

type Market = Pick<PublicExchange["Service"], "book" | "clock" | "futuresTicker">

/** One book, and the routes that begin or end there. */
class Place implements Sight {
  readonly pair: TradingPair
  watches: ReadonlyArray<Watch> = []
  book: BookView | null = null
  /** Best prices of `book` as they were told last: thousands of books do not stay near, and these do. NaN without a book. */
  bid = Number.NaN
  ask = Number.NaN
  /** Why there is no book. */
  absence: "Stale" | "Closed" = "Stale"
  market: Market | null = null

  constructor(pair: TradingPair) {
    this.pair = pair
  }

  get clock(): ClockReading | null {
    return this.market?.clock() ?? null
  }

  get ticker(): FuturesTicker | null {
    return this.market?.futuresTicker(this.pair) ?? null
  }

  see(live: LiveBook | undefined): void {
    if (live?._tag === "Synced") {
      const { book } = live
      this.book = book
      this.bid = book.bidPrice()
      this.ask = book.askPrice()
    } else {
      this.leave(live?.cause === "Closed" ? "Closed" : "Stale")
    }
  }

  leave(absence: "Stale" | "Closed"): void {
    this.book = null
    this.bid = Number.NaN
    this.ask = Number.NaN
    this.absence = absence
  }

  add(watch: Watch): void {
    this.watches = [...this.watches, watch]
  }

  remove(watch: Watch): void {
    this.watches = this.watches.filter((other) => other !== watch)
  }
}

class Watch {
  readonly evaluator: Evaluator
  readonly first: Place
  readonly second: Place
  open: Opportunity | null = null
  enteredAt = 0

  constructor(route: Route, conditions: Conditions, first: Place, second: Place) {
    this.evaluator = new Evaluator(route, conditions)
    this.first = first
    this.second = second
  }
}

const isSameVenue = (a: Venue, b: Venue): boolean =>
  (Object.keys(a) as Array<keyof Venue>).every((key) => Object.is(a[key], b[key]))

const isSameRoute = (a: Route, b: Route): boolean => isSameVenue(a.first, b.first) && isSameVenue(a.second, b.second)

export class RouteWatch {
  evaluations = 0
  entered = 0
  readonly vanished: Record<VanishCause, number> = {
    Price: 0,
    Stale: 0,
    TooOld: 0,
    Skewed: 0,
    Crossed: 0,
    Closed: 0
  }
  /** Looks that ended so. */
  readonly withheld: Record<Doubt, number> = { Stale: 0, TooOld: 0, Skewed: 0, Crossed: 0 }
  readonly detection = new Latencies()
  readonly #conditions: Conditions
  readonly #clock: Clock.Clock
  readonly #tell: (event: OpportunityEvent) => void
  readonly #places = new Map<ExchangeId, Map<TradingPair, Place>>()
  readonly #markets = new Map<ExchangeId, Market>()
  readonly #watches = new Map<string, Watch>()
  readonly #open = new Set<Watch>()
  /** Wall time minus monotonic time, ms. */
  #ahead: number

  constructor(conditions: Conditions, clock: Clock.Clock, tell: (event: OpportunityEvent) => void) {
    this.#conditions = conditions
    this.#clock = clock
    this.#tell = tell
    this.#ahead = clock.currentTimeMillisUnsafe() - monotonicMillis(clock)
  }

  get routes(): ReadonlyArray<Route> {
    return Array.from(this.#watches.values(), ({ evaluator }) => evaluator.route)
  }

  get open(): ReadonlyArray<Opportunity> {
    return Array.from(this.#open, ({ open }) => open!)
  }

  get openCount(): number {
    return this.#open.size
  }

  /** Watches these routes and no others. What stands on one that is the same as before goes on. The routes are valid. */
  watch(routes: ReadonlyArray<Route>): void {
    const wanted = new Map(routes.map((route) => [route.id, route]))
    for (const [id, watch] of this.#watches) {
      const route = wanted.get(id)
      if (route !== undefined && isSameRoute(route, watch.evaluator.route)) wanted.delete(id)
      else this.#drop(id, watch)
    }
    for (const route of wanted.values()) this.#add(route)
  }

  /** An exchange's books are there: those it has are looked at at once. */
  attach(exchange: ExchangeId, market: Market): void {
    this.#markets.set(exchange, market)
    for (const place of this.#placesOf(exchange).values()) {
      place.market = market
      place.see(market.book(place.pair))
      this.#look(place, false)
    }
  }

  /** An exchange's books are there no more. */
  detach(exchange: ExchangeId, market: Market): void {
    if (this.#markets.get(exchange) !== market) return
    this.#markets.delete(exchange)
    for (const place of this.#placesOf(exchange).values()) {
      place.market = null
      place.leave("Closed")
      this.#look(place, false)
    }
  }

  /** A book has changed. */
  change(exchange: ExchangeId, live: LiveBook): void {
    const place = this.#places.get(exchange)?.get(live.pair)
    if (place === undefined || place.market === null) return
    place.see(live)
    this.#look(place, true)
  }

  /** Time has passed: a leg that says nothing grows too old. */
  pass(): void {
    this.#checkClock()
    for (const watch of this.#open) {
      const stands = watch.evaluator.stands(watch.first, watch.second, this.#now())
      if (stands !== true) this.#vanish(watch, this.#causeOf(watch, stands === false ? null : stands))
    }
  }

  /** Everything that stands vanishes. */
  end(): void {
    this.watch([])
  }

  /** The machine's clock has been set back: what was received before is of no known age until it changes. */
  #checkClock(): void {
    const ahead = this.#clock.currentTimeMillisUnsafe() - monotonicMillis(this.#clock)
    const isBack = !Freshness.isPast(this.#ahead, ahead)
    this.#ahead = ahead
    if (!isBack) return
    for (const places of this.#places.values()) {
      for (const place of places.values()) {
        place.leave("Stale")
        this.#look(place, false)
      }
    }
  }

  #now(): number {
    return wallMillis(this.#clock)
  }

  #placesOf(exchange: ExchangeId): Map<TradingPair, Place> {
    const known = this.#places.get(exchange)
    if (known !== undefined) return known
    const places = new Map<TradingPair, Place>()
    this.#places.set(exchange, places)
    return places
  }

  #placeOf({ exchange, pair }: Venue): Place {
    const places = this.#placesOf(exchange)
    const known = places.get(pair)
    if (known !== undefined) return known
    const place = new Place(pair)
    place.market = this.#markets.get(exchange) ?? null
    place.see(place.market?.book(pair))
    places.set(pair, place)
    return place
  }

  #add(route: Route): void {
    const watch = new Watch(route, this.#conditions, this.#placeOf(route.first), this.#placeOf(route.second))
    this.#watches.set(route.id, watch)
    watch.first.add(watch)
    watch.second.add(watch)
    this.#lookAt(watch, false)
  }

  #drop(id: string, watch: Watch): void {
    if (watch.open !== null) this.#vanish(watch, "Closed")
    this.#watches.delete(id)
    const { first, second } = watch.evaluator.route
    for (const [venue, place] of [[first, watch.first], [second, watch.second]] as const) {
      place.remove(watch)
      if (place.watches.length === 0) this.#places.get(venue.exchange)?.delete(venue.pair)
    }
  }

  #look(place: Place, isArrival: boolean): void {
    const { watches } = place
    for (let i = 0; i < watches.length; i++) this.#lookAt(watches[i]!, isArrival)
  }

  #lookAt(watch: Watch, isArrival: boolean): void {
    if (isArrival) this.evaluations++
    const { evaluator, first, second } = watch
    const glance = this.#glance(watch)
    const found = glance === "Edge" ? evaluator.evaluate(first, second, this.#now()) : glance
    if (found === null || typeof found === "string") {
      if (found !== null && isArrival) this.withheld[found]++
      if (watch.open !== null) this.#vanish(watch, this.#causeOf(watch, found))
    } else {
      this.#find(watch, found, isArrival)
    }
  }

  /** Where no funding is reckoned with, the prices that were told last will do: whoever has others is told of in this turn too. */
  #glance({ evaluator, first, second }: Watch): "Edge" | "Stale" | null {
    if (evaluator.hasFunding) return evaluator.glance(first, second, this.#clock.currentTimeMillisUnsafe())
    if (first.book === null || second.book === null) return "Stale"
    return evaluator.isEdge(first.bid, first.ask, second.bid, second.ask) ? "Edge" : null
  }

  #causeOf({ first, second }: Watch, doubt: Doubt | null): VanishCause {
    if (doubt !== "Stale") return doubt ?? "Price"
    return [first, second].some(({ absence, book }) => book === null && absence === "Closed") ? "Closed" : "Stale"
  }

  #find(watch: Watch, found: Opportunity, isArrival: boolean): void {
    const before = watch.open
    // The other way round is another opportunity.
    if (before !== null && before.direction !== found.direction) this.#vanish(watch, "Price")
    const isNew = watch.open === null
    if (isArrival) this.detection.add(this.#now() - Math.max(found.buy.receivedAt, found.sell.receivedAt))
    watch.open = found
    if (!isNew) return this.#tell({ _tag: "Updated", opportunity: found })
    watch.enteredAt = found.at
    this.#open.add(watch)
    this.entered++
    this.#tell({ _tag: "Entered", opportunity: found })
  }

  #vanish(watch: Watch, cause: VanishCause): void {
    const opportunity = watch.open!
    const at = this.#now()
    watch.open = null
    this.#open.delete(watch)
    this.vanished[cause]++
    this.#tell({ _tag: "Vanished", opportunity, cause, at, livedMs: at - watch.enteredAt })
  }
}
