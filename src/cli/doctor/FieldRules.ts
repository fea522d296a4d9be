/** What must hold of a single event when its fields are what we take them for: units, signs, and how they fit together. */
import { Record } from "effect"
import type { InstrumentOf } from "../../domain/Instrument.ts"
import type {
  BookTicker,
  BookUpdate,
  ContractStats,
  FuturesTicker,
  Kline,
  Levels,
  Liquidation,
  MarketEvent,
  Ticker,
  Trade
} from "../../domain/Market.ts"

export interface About {
  readonly kind: "spot" | "swap"
  readonly instrumentOf: InstrumentOf
  /** The exchange's clock minus ours, ms. */
  readonly clockOffset: number
}

export interface Rule<E extends MarketEvent = MarketEvent> {
  readonly claim: string
  /** Null: the event does not say, so that nothing can be checked. */
  readonly holds: (event: E, about: About) => boolean | null
  /** The values that the claim is about. */
  readonly shows: (event: E, about: About) => string
}

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** Lengths that divide a day, so that they begin at multiples of themselves. */
const lengths: Readonly<Record<string, number>> = {
  "10s": 10_000,
  "30s": 30_000,
  "1m": minute,
  "3m": 3 * minute,
  "5m": 5 * minute,
  "15m": 15 * minute,
  "30m": 30 * minute,
  "1h": hour,
  "2h": 2 * hour,
  "4h": 4 * hour,
  "6h": 6 * hour,
  "8h": 8 * hour,
  "12h": 12 * hour,
  "1d": day
}

type Maybe = number | null | undefined

/** Null when one of them is. */
const check = <const A extends ReadonlyArray<Maybe>>(
  values: A,
  holds: (...values: { [K in keyof A]: number }) => boolean
): boolean | null =>
  values.some((value) => value === null || value === undefined)
    ? null
    : holds(...values as unknown as { [K in keyof A]: number })

const near = (a: number, b: number, tolerance: number): boolean =>
  Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b))

const between = (value: number, low: number, high: number, slack: number): boolean =>
  value >= low * (1 - slack) && value <= high * (1 + slack)

/** The exchange's time when an event was read, ms. */
const nowOf = (event: MarketEvent, { clockOffset }: About): number => event.receivedAt + clockOffset

const contractSizeOf = (event: MarketEvent, { instrumentOf }: About): number | undefined =>
  instrumentOf(event.symbol)?.contractSize

const isAbove0 = (event: { readonly price: number; readonly quantity: number }): boolean =>
  event.price > 0 && event.quantity > 0

// ---- of every event -------------------------------------------------------------------------------------------------

const common: ReadonlyArray<Rule> = [
  {
    claim: "names the pair of its symbol",
    holds: (event, { instrumentOf }) => {
      const instrument = instrumentOf(event.symbol)
      return instrument === undefined ? null : instrument.pair === event.pair
    },
    shows: (event) => `${event.symbol} is ${event.pair}`
  }
]

type Sized = Extract<MarketEvent, { readonly contractSize: number | null }>

const sized: Rule<Sized> = {
  claim: "knows the size of a contract, 1 on spot",
  holds: ({ contractSize }, { kind }) => kind === "spot" ? contractSize === 1 : (contractSize ?? 0) > 0,
  shows: ({ contractSize }) => `contract size ${contractSize}`
}

// ---- prices of the day ----------------------------------------------------------------------------------------------

type Day = Ticker | FuturesTicker

const days: ReadonlyArray<Rule<Day>> = [
  {
    claim: "last price between low and high",
    holds: ({ highPrice, lastPrice, lowPrice }) =>
      check([lastPrice, lowPrice, highPrice], (last, low, high) => last > 0 && between(last, low, high, 0.01)),
    shows: ({ highPrice, lastPrice, lowPrice }) => `last ${lastPrice}, low ${lowPrice}, high ${highPrice}`
  },
  {
    claim: "quote volume / base volume is a price of the day",
    holds: ({ baseVolume, highPrice, lowPrice, quoteVolume }) =>
      check(
        [baseVolume, quoteVolume, lowPrice, highPrice],
        (base, quote, low, high) => base === 0 ? quote === 0 : between(quote / base, low, high, 0.01)
      ),
    shows: ({ baseVolume, quoteVolume }) => `base ${baseVolume}, quote ${quoteVolume}`
  },
  {
    claim: "change is a fraction of a price of the day",
    holds: ({ change, highPrice, lastPrice, lowPrice }) =>
      check(
        [change, lastPrice, lowPrice, highPrice],
        (fraction, last, low, high) => between(last / (1 + fraction), low, high, 0.05)
      ),
    shows: ({ change }) => `change ${change}`
  }
]

// ---- by event -------------------------------------------------------------------------------------------------------

const bookTicker: ReadonlyArray<Rule<BookTicker>> = [
  sized,
  {
    claim: "bid below ask",
    holds: ({ askPrice, bidPrice }) => check([bidPrice, askPrice], (bid, ask) => 0 < bid && bid < ask),
    shows: ({ askPrice, bidPrice }) => `bid ${bidPrice}, ask ${askPrice}`
  },
  {
    // Gate futures cut small quantities down to 0 (captured in 2026).
    claim: "a quantity for each price, not below 0",
    holds: ({ askPrice, askQuantity, bidPrice, bidQuantity }) =>
      (bidPrice === null || (bidQuantity ?? -1) >= 0) && (askPrice === null || (askQuantity ?? -1) >= 0),
    shows: ({ askQuantity, bidQuantity }) => `quantities ${bidQuantity} and ${askQuantity}`
  },
  {
    claim: "carries a version",
    holds: ({ version }) => version !== null,
    shows: ({ version }) => `version ${version}`
  }
]

const trades: ReadonlyArray<Rule<Trade>> = [
  sized,
  {
    claim: "price and quantity above 0",
    holds: isAbove0,
    shows: ({ price, quantity, side }) => `${side} ${quantity} at ${price}`
  },
  { claim: "carries an id", holds: ({ id }) => id !== null, shows: ({ id }) => `id ${id}` }
]

const isSide = (levels: Levels): boolean =>
  levels.length % 2 === 0 && levels.every((value, i) => (i % 2 === 0 ? value > 0 : value >= 0))

/** Of the prices of a side, in no certain order; null of none. */
const best = (levels: Levels, better: (...prices: ReadonlyArray<number>) => number): number | null =>
  levels.length === 0 ? null : better(...levels.filter((_, i) => i % 2 === 0))

const books: ReadonlyArray<Rule<BookUpdate>> = [
  sized,
  {
    claim: "prices above 0, quantities not below",
    holds: ({ asks, bids }) => isSide(bids) && isSide(asks),
    shows: ({ asks, bids }) => `${bids.length / 2} bids, ${asks.length / 2} asks`
  },
  {
    claim: "versions in order",
    holds: ({ firstVersion, version }) => firstVersion <= version,
    shows: ({ firstVersion, version }) => `versions ${firstVersion} to ${version}`
  },
  {
    claim: "a snapshot is not crossed",
    holds: ({ asks, bids, kind }) =>
      kind === "delta"
        ? null
        : check([best(bids, Math.max), best(asks, Math.min)], (bid, ask) => bid < ask),
    shows: ({ asks, bids }) => `best ${best(bids, Math.max)} and ${best(asks, Math.min)}`
  }
]

const tickers: ReadonlyArray<Rule<Ticker>> = [
  ...days as ReadonlyArray<Rule<Ticker>>,
  {
    claim: "bid not above ask",
    holds: ({ askPrice, bidPrice }) => check([bidPrice, askPrice], (bid, ask) => bid <= ask),
    shows: ({ askPrice, bidPrice }) => `bid ${bidPrice}, ask ${askPrice}`
  }
]

const klines: ReadonlyArray<Rule<Kline>> = [
  {
    claim: "open time in ms, at the beginning of an interval",
    holds: ({ interval, openTime }) => check([lengths[interval]], (length) => openTime % length === 0),
    shows: ({ interval, openTime }) => `${interval} from ${openTime}`
  },
  {
    claim: "the present candle or the one before",
    holds: (kline, about) =>
      check([lengths[kline.interval]], (length) => {
        const age = nowOf(kline, about) - kline.openTime
        return age > -5_000 && age < 2 * length + minute
      }),
    shows: (kline, about) => `begun ${Math.round((nowOf(kline, about) - kline.openTime) / 1000)} s ago`
  },
  {
    claim: "close time one interval later",
    holds: ({ closeTime, interval, openTime }) =>
      check([closeTime, lengths[interval]], (end, length) => Math.abs(end - openTime - length) <= 1),
    shows: ({ closeTime }) => `to ${closeTime}`
  },
  {
    claim: "low <= open, close <= high",
    holds: ({ close, high, low, open }) => 0 < low && low <= Math.min(open, close) && Math.max(open, close) <= high,
    shows: ({ close, high, low, open }) => `open ${open}, high ${high}, low ${low}, close ${close}`
  },
  {
    claim: "quote volume / base volume is a price of the candle",
    holds: ({ baseVolume, high, low, quoteVolume }) =>
      check(
        [baseVolume, quoteVolume],
        (base, quote) => base === 0 ? quote === 0 : between(quote / base, low, high, 0.01)
      ),
    shows: ({ baseVolume, quoteVolume }) => `base ${baseVolume}, quote ${quoteVolume}`
  },
  {
    claim: "contracts x contract size is the base volume",
    holds: (kline, about) =>
      check(
        [kline.contractVolume, kline.baseVolume, contractSizeOf(kline, about)],
        (contracts, base, size) => near(contracts * size, base, 0.03)
      ),
    shows: ({ baseVolume, contractVolume }) => `${contractVolume} contracts, base ${baseVolume}`
  }
]

const futuresTickers: ReadonlyArray<Rule<FuturesTicker>> = [
  sized,
  ...days as ReadonlyArray<Rule<FuturesTicker>>,
  {
    claim: "mark and index within 5 % of the last price",
    holds: ({ indexPrice, lastPrice, markPrice }) =>
      check([markPrice, indexPrice], (mark, index) => near(mark, lastPrice, 0.05) && near(index, lastPrice, 0.05)),
    shows: ({ indexPrice, markPrice }) => `mark ${markPrice}, index ${indexPrice}`
  },
  {
    claim: "funding rate is a fraction",
    holds: ({ fundingRate }) => check([fundingRate], (rate) => Math.abs(rate) <= 0.05),
    shows: ({ fundingRate }) => `funding ${fundingRate}`
  },
  {
    claim: "next funding in ms, within a day",
    holds: (ticker, about) =>
      check([ticker.nextFundingTime], (time) => {
        const left = time - nowOf(ticker, about)
        return left > -minute && left <= day + minute
      }),
    shows: (ticker, about) =>
      ticker.nextFundingTime === null
        ? "no next funding"
        : `next funding in ${Math.round((ticker.nextFundingTime - nowOf(ticker, about)) / minute)} min`
  },
  {
    claim: "funding interval in ms, from an hour to a day",
    holds: ({ fundingInterval }) => check([fundingInterval], (interval) => interval >= hour && interval <= day),
    shows: ({ fundingInterval }) => `every ${fundingInterval} ms`
  },
  {
    claim: "contracts x contract size is the base volume",
    holds: (ticker, about) =>
      check(
        [ticker.contractVolume, ticker.baseVolume, contractSizeOf(ticker, about)],
        (contracts, base, size) => near(contracts * size, base, 0.03)
      ),
    shows: ({ baseVolume, contractVolume }) => `${contractVolume} contracts, base ${baseVolume}`
  },
  {
    claim: "open interest not below 0",
    holds: ({ openInterest }) => check([openInterest], (interest) => interest >= 0),
    shows: ({ openInterest }) => `interest ${openInterest}`
  }
]

const liquidations: ReadonlyArray<Rule<Liquidation>> = [
  sized,
  {
    claim: "price and quantity above 0",
    holds: isAbove0,
    shows: ({ price, quantity, side }) => `${side} ${quantity} at ${price}`
  },
  {
    claim: "time in ms, of the last ten minutes",
    holds: (liquidation, about) =>
      check([liquidation.exchangeTime], (time) => Math.abs(nowOf(liquidation, about) - time) < 10 * minute),
    shows: ({ exchangeTime }) => `at ${exchangeTime}`
  }
]

const contractStats: ReadonlyArray<Rule<ContractStats>> = [
  sized,
  {
    claim: "time in ms, at the beginning of a recent interval",
    holds: (stats, about) =>
      check([stats.exchangeTime, lengths[stats.interval]], (time, length) => {
        const age = nowOf(stats, about) - time
        return time % length === 0 && age > -5_000 && age < 3 * length + minute
      }),
    shows: ({ exchangeTime, interval }) => `${interval} from ${exchangeTime}`
  },
  {
    claim: "open interest x contract size x mark is its value",
    holds: (stats, about) =>
      check(
        [stats.openInterest, stats.openInterestValue, stats.markPrice, contractSizeOf(stats, about)],
        (interest, value, mark, size) => near(interest * size * mark, value, 0.1)
      ),
    shows: ({ markPrice, openInterest, openInterestValue }) =>
      `${openInterest} contracts, worth ${openInterestValue}, mark ${markPrice}`
  },
  {
    claim: "ratios and liquidations not below 0",
    holds: ({ accountRatio, longLiquidations, shortLiquidations, takerRatio }) =>
      [accountRatio, longLiquidations, shortLiquidations, takerRatio].every((value) => value === null || value >= 0),
    shows: ({ accountRatio, takerRatio }) => `longs to shorts ${takerRatio} by volume, ${accountRatio} by accounts`
  }
]

const rules: { readonly [Tag in MarketEvent["_tag"]]: ReadonlyArray<Rule<Extract<MarketEvent, { _tag: Tag }>>> } = {
  BookTicker: bookTicker,
  Trade: trades,
  BookUpdate: books,
  Ticker: tickers,
  Kline: klines,
  FuturesTicker: futuresTickers,
  Liquidation: liquidations,
  ContractStats: contractStats
}

const byTag: Readonly<Record<MarketEvent["_tag"], ReadonlyArray<Rule>>> = Record.map(
  rules,
  (own) => [...common, ...own as unknown as ReadonlyArray<Rule>]
)

/** The rules for an event, those for all events first. */
export const of = (event: MarketEvent): ReadonlyArray<Rule> => byTag[event._tag]
