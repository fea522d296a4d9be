/** Which markets can be traded against each other: the same base, and the same money for prices and for profit. */
import type { ExchangeId, Instrument } from "../domain/Instrument.ts"
import type { Route, Venue } from "./Opportunity.ts"

/** What a taker pays on an instrument, as a fraction of the value: one for each exchange, or by instrument. */
export type Fees = Readonly<Record<ExchangeId, number>> | ((instrument: Instrument) => number)

/** Which of the possible routes are wanted. */
export type Filter = (route: Route, first: Instrument, second: Instrument) => boolean

/**
 * The money that a market is counted in: the quote, where profit is counted in it too. Null for contracts whose profit is
 * in something else (inverse and quanto ones): what a contract is worth then depends on the price.
 */
const moneyOf = ({ quote, settle }: Instrument): string | null => settle === null || settle === quote ? quote : null

const venueOf = (instrument: Instrument, takerFee: number): Venue => ({
  exchange: instrument.exchange,
  pair: instrument.pair,
  kind: instrument.kind,
  contractSize: instrument.contractSize,
  quantityStep: instrument.quantityStep,
  minQuantity: instrument.minQuantity,
  minNotional: instrument.minNotional,
  takerFee
})

const nameOf = ({ exchange, kind }: Instrument, other: Instrument): string =>
  exchange === other.exchange && kind !== other.kind ? `${exchange}/${kind}` : exchange

interface Market {
  readonly instrument: Instrument
  readonly venue: Venue
  /** `BTC/USDT`: markets of one name belong together. */
  readonly name: string
}

/** Null for what takes part in no route. */
const marketOf = (instrument: Instrument, fee: number | undefined): Market | null => {
  const money = moneyOf(instrument)
  return money === null || fee === undefined || instrument.status !== "trading"
    ? null
    : { instrument, venue: venueOf(instrument, fee), name: `${instrument.base}/${money}` }
}

const routeOf = (first: Market, second: Market): Route => ({
  id: `${first.name} ${nameOf(first.instrument, second.instrument)} ${nameOf(second.instrument, first.instrument)}`,
  first: first.venue,
  second: second.venue
})

/**
 * Every two instruments that trade now and whose prices belong together, in the order in which the exchanges are given.
 * An exchange without a fee takes part in no route: a fee that is not known is not nothing. Assets are told by their names;
 * where two exchanges mean different things by one name, `filter` must say so.
 */
export const between = (
  exchanges: Iterable<Iterable<Instrument>>,
  fees: Fees,
  filter: Filter = () => true
): ReadonlyArray<Route> => {
  const feeOf = typeof fees === "function" ? fees : ({ exchange }: Instrument) => fees[exchange]
  const known = new Map<string, Array<Market>>()
  const routes: Array<Route> = []
  for (const instrument of Array.from(exchanges, (listed) => [...listed]).flat()) {
    const market = marketOf(instrument, feeOf(instrument))
    if (market === null) continue
    const others = known.get(market.name) ?? []
    for (const other of others) {
      const route = routeOf(other, market)
      if (filter(route, other.instrument, instrument)) routes.push(route)
    }
    known.set(market.name, [...others, market])
  }
  return routes
}
