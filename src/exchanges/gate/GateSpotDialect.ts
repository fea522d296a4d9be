/** What is Gate spot's own, the server's half: results of its channels and its REST calls. */
import type { World, WorldKline, WorldMarket, WorldStatistics, WorldTicker, WorldTrade } from "../../ExchangeDialect.ts"
import { bookRoute, failure, invalidParameter, json, listRoutes, queryRoute, timeRoute } from "./GateRestDialect.ts"
import type { Route, UnknownName } from "./GateRestDialect.ts"
import {
  bookChannel,
  candleChannel,
  changeOf,
  data,
  nameOf,
  obuChannel,
  pairList,
  pushOf,
  seconds,
  sorted,
  unknownPair,
  updateChannel
} from "./GateStreamsDialect.ts"
import type { Channel, Stream, Update } from "./GateStreamsDialect.ts"

// ---- channels -------------------------------------------------------------------------------------------------------

/** A side without orders has empty texts. */
const tickerResult = (name: string, ticker: WorldTicker): string => {
  const { ask, bid } = ticker
  return `{"t":${Math.floor(ticker.time)},"u":${ticker.version},"s":${name}`
    + `,"b":"${bid === null ? "" : bid.price}","B":"${bid === null ? "" : bid.quantity}"`
    + `,"a":"${ask === null ? "" : ask.price}","A":"${ask === null ? "" : ask.quantity}"}`
}

const bookTickerStream = (market: WorldMarket): Stream => {
  const topic = `spot.book_ticker|${nameOf(market)}`
  const name = JSON.stringify(nameOf(market))
  const about = data(topic)
  return {
    topic,
    open: ({ send, world }) => {
      const listener = (ticker: WorldTicker): void =>
        send(pushOf(world.now(), "spot.book_ticker", tickerResult(name, ticker)), about)
      return world.watch({ _tag: "Ticker", pair: market.pair, everyMillis: 10, listener })
    }
  }
}

/** `create_time_ms` is text with decimals. */
const tradeResult = (name: string, trade: WorldTrade): string =>
  `{"id":${trade.id},"create_time":${seconds(trade.time)},"create_time_ms":"${trade.time.toFixed(3)}"`
  + `,"side":"${trade.side}","currency_pair":${name},"amount":"${trade.quantity}","price":"${trade.price}"`
  + `,"range":"${trade.id}-${trade.id}","id_market":${trade.id}}`

/** One trade a frame. */
const tradesStream = (market: WorldMarket): Stream => {
  const topic = `spot.trades|${nameOf(market)}`
  const name = JSON.stringify(nameOf(market))
  const about = data(topic)
  return {
    topic,
    open: ({ send, world }) => {
      const listener = (trades: ReadonlyArray<WorldTrade>): void => {
        for (const trade of trades) send(pushOf(world.now(), "spot.trades", tradeResult(name, trade)), about)
      }
      return world.watch({ _tag: "Trades", pair: market.pair, everyMillis: 0, listener })
    }
  }
}

/** The last 24 hours, as in pushes. A side without orders has an empty text. */
const dayResult = (market: WorldMarket, statistics: WorldStatistics): Readonly<Record<string, string>> => {
  const { ask, bid } = market.ticker()
  return {
    currency_pair: nameOf(market),
    last: statistics.last,
    lowest_ask: ask?.price ?? "",
    highest_bid: bid?.price ?? "",
    change_percentage: changeOf(statistics),
    base_volume: statistics.baseVolume,
    quote_volume: statistics.quoteVolume,
    high_24h: statistics.high,
    low_24h: statistics.low
  }
}

const dayStream = (market: WorldMarket): Stream => {
  const topic = `spot.tickers|${nameOf(market)}`
  const about = data(topic)
  return {
    topic,
    open: ({ send, world }) => {
      const listener = (statistics: WorldStatistics): void =>
        send(pushOf(world.now(), "spot.tickers", JSON.stringify(dayResult(market, statistics))), about)
      return world.watch({ _tag: "Statistics", pair: market.pair, everyMillis: 1_000, listener })
    }
  }
}

const updateResult = (name: string, update: Update): string =>
  `{"t":${Math.floor(update.time)}${update.full ? `,"full":true` : ""},"l":"${update.level}","e":"depthUpdate"`
  + `,"E":${seconds(update.time)},"s":${name},"U":${update.firstVersion},"u":${update.version}`
  + `,"b":${update.bids},"a":${update.asks}}`

/** `t` is text in s; `v` is in quote and `a` in base. */
const candleResult = (title: string, kline: WorldKline): string =>
  `{"t":"${seconds(kline.openTime)}","v":"${kline.quoteVolume}","c":"${kline.close}","h":"${kline.high}"`
  + `,"l":"${kline.low}","o":"${kline.open}","n":${title},"a":"${kline.baseVolume}","w":${kline.closed}}`

export const spotChannels: ReadonlyMap<string, Channel> = new Map([
  ["spot.book_ticker", pairList(unknownPair, bookTickerStream)],
  ["spot.trades", pairList(unknownPair, tradesStream)],
  ["spot.tickers", pairList(unknownPair, dayStream)],
  // Captured frames have no `time` and put the rest behind the result.
  [
    "spot.obu",
    obuChannel(
      "spot.obu",
      (now, result) => `{"channel":"spot.obu","result":${result},"time_ms":${Math.floor(now)},"event":"update"}`
    )
  ],
  [
    "spot.order_book_update",
    updateChannel({
      channel: "spot.order_book_update",
      unknown: unknownPair,
      feeds: new Map([["20ms", ["20"]], ["100ms", ["100"]]]),
      item: (interval) => interval,
      level: ({ price, quantity }) => `["${price}","${quantity}"]`,
      result: updateResult
    })
  ],
  [
    "spot.order_book",
    bookChannel({
      channel: "spot.order_book",
      event: "update",
      unknown: unknownPair,
      levels: ["5", "10", "20", "30", "50", "100"],
      intervals: new Map([["100ms", 100], ["1000ms", 1_000]]),
      result: (name, level, book) =>
        `{"t":${Math.floor(book.time)},"lastUpdateId":${book.version},"s":${name},"l":"${level}"`
        + `,"bids":${sorted(book.bids)},"asks":${sorted(book.asks)}}`
    })
  ],
  [
    "spot.candlesticks",
    candleChannel({
      channel: "spot.candlesticks",
      unknown: unknownPair,
      intervals: [
        ...["10s", "30s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "7d", "30d"]
      ],
      drawn: (name) => ["last", name],
      result: candleResult
    })
  ]
])

// ---- REST -----------------------------------------------------------------------------------------------------------

const currenciesOf = (world: World): ReadonlyArray<string> => [
  ...new Set([...world.markets.values()].flatMap(({ base, quote }) => [base, quote]))
]

/** Measured: a name that is not listed is told apart from a pair that is not. */
const invalidPair: UnknownName = (name, world) => {
  const [base = "", quote = ""] = name.split("_")
  const listed = currenciesOf(world)
  const stranger = quote === "" ? undefined : [base, quote].find((currency) => !listed.includes(currency))
  return stranger === undefined
    ? failure(400, "INVALID_CURRENCY_PAIR", `Invalid currency pair ${name}`)
    : failure(400, "INVALID_CURRENCY", `Invalid currency ${stranger}`)
}

const currencyPair = (market: WorldMarket): unknown => ({
  id: nameOf(market),
  base: market.base,
  base_name: market.base,
  quote: market.quote,
  quote_name: market.quote,
  fee: "0.2",
  min_base_amount: market.minQuantity,
  min_quote_amount: market.minNotional,
  amount_precision: market.quantityDecimals,
  precision: market.priceDecimals,
  trade_status: "tradable",
  sell_start: 0,
  buy_start: 0,
  type: "normal"
})

/** A pair that can be traded on margin, here all of them; form as in answers that ccxt 4.5.84 records (`gate.js`). */
const marginPair = (market: WorldMarket): unknown => ({
  id: nameOf(market),
  base: market.base,
  quote: market.quote,
  leverage: 10,
  min_base_amount: market.minQuantity,
  min_quote_amount: market.minNotional,
  max_quote_amount: "1000000",
  status: 1
})

/** Form as in answers that ccxt 4.5.84 records; one chain without a contract's address. */
const currency = (name: string): unknown => ({
  currency: name,
  name,
  delisted: false,
  withdraw_disabled: false,
  withdraw_delayed: false,
  deposit_disabled: false,
  trade_disabled: false,
  chain: name,
  chains: [{ name, addr: "", withdraw_disabled: false, withdraw_delayed: false, deposit_disabled: false }]
})

/** With the best quantities, which pushes lack. */
const dayAnswer = (market: WorldMarket, statistics: WorldStatistics): unknown => {
  const { ask, bid } = market.ticker()
  return { ...dayResult(market, statistics), lowest_size: ask?.quantity ?? "", highest_size: bid?.quantity ?? "" }
}

export const spotRoutes: ReadonlyArray<Route> = [
  timeRoute,
  ...listRoutes("/spot/currency_pairs", invalidPair, currencyPair),
  { endpoint: "/spot/currencies", answer: (_, world) => json(200, currenciesOf(world).map(currency)) },
  queryRoute("/spot/tickers", "currency_pair", invalidPair, (market) => dayAnswer(market, market.statistics())),
  bookRoute({
    endpoint: "/spot/order_book",
    parameter: "currency_pair",
    unknown: invalidPair,
    maxDepth: 1_000,
    // What Gate does above the largest `limit` is unconfirmed; it is refused here as a bad value.
    tooDeep: (limit) => invalidParameter("limit", limit),
    body: (book, now) =>
      `"current":${Math.floor(now)},"update":${Math.floor(book.time)}`
      + `,"asks":${sorted(book.asks)},"bids":${sorted(book.bids)}`
  }),
  { endpoint: "/margin/currency_pairs", answer: (_, world) => json(200, [...world.markets.values()].map(marginPair)) }
]
