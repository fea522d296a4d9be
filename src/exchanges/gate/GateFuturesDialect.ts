/** What Gate's USDT futures have of their own, the server's half: results of their channels and their REST calls. */
import type {
  DialectRequest,
  WorldContractStats,
  WorldKline,
  WorldLevel,
  WorldLiquidation,
  WorldMarket,
  WorldStatistics,
  WorldSwap,
  WorldTicker,
  WorldTrade
} from "../../ExchangeDialect.ts"
import { trimmed } from "../../ExchangeDialect.ts"
import { bookRoute, failure, listRoutes, queryRoute, timeRoute } from "./GateRestDialect.ts"
import type { Route, UnknownName } from "./GateRestDialect.ts"
import {
  bookChannel,
  candleChannel,
  changeOf,
  data,
  invalidArgument,
  millisOf,
  nameOf,
  obuChannel,
  pairList,
  pushOf,
  seconds,
  sizeOf,
  sorted,
  unknownInterval,
  unknownPair,
  updateChannel
} from "./GateStreamsDialect.ts"
import type { Channel, Stream, Unknown, Update } from "./GateStreamsDialect.ts"

// ---- channels -------------------------------------------------------------------------------------------------------

const unknownContract: Unknown = (name) => ({ code: 2, message: `unknown contract ${name}` })

/** Every market of a futures world is a swap. */
const swapOf = (market: WorldMarket): WorldSwap => market.swap!

/** A side without orders has an empty price and the size 0. */
const tickerResult = (name: string, { ask, bid, time, version }: WorldTicker, decimal: boolean): string => {
  const side = (level: WorldLevel | null, price: string, size: string): string =>
    `"${price}":"${level === null ? "" : trimmed(level.price)}","${size}":${sizeOf(level?.quantity ?? "0", decimal)}`
  return `{"t":${Math.floor(time)},"u":${version},"s":${name},${side(bid, "b", "B")},${side(ask, "a", "A")}}`
}

/** Pushed on every change. */
const bookTickerStream = (market: WorldMarket): Stream => {
  const topic = `futures.book_ticker|${nameOf(market)}`
  const name = JSON.stringify(nameOf(market))
  const about = data(topic)
  return {
    topic,
    open: ({ decimal, send, world }) => {
      const listener = (ticker: WorldTicker): void =>
        send(pushOf(world.now(), "futures.book_ticker", tickerResult(name, ticker, decimal)), about)
      return world.watch({ _tag: "Ticker", pair: market.pair, everyMillis: 0, listener })
    }
  }
}

/** Positive where the taker bought. */
const signed = ({ quantity, side }: { readonly quantity: string; readonly side: "buy" | "sell" }): string =>
  side === "buy" ? quantity : `-${quantity}`

const tradeResult = (name: string, trade: WorldTrade, decimal: boolean): string =>
  `{"size":${sizeOf(signed(trade), decimal)},"id":${trade.id},"create_time":${seconds(trade.time)}`
  + `,"create_time_ms":${Math.floor(trade.time)},"price":"${trimmed(trade.price)}","contract":${name}}`

/** Everything that a tick brought in one frame. */
const tradesStream = (market: WorldMarket): Stream => {
  const topic = `futures.trades|${nameOf(market)}`
  const name = JSON.stringify(nameOf(market))
  return {
    topic,
    open: ({ decimal, send, world }) => {
      const listener = (trades: ReadonlyArray<WorldTrade>): void => {
        const list = trades.map((trade) => tradeResult(name, trade, decimal)).join(",")
        send(pushOf(world.now(), "futures.trades", `[${list}]`), data(topic, trades.length))
      }
      return world.watch({ _tag: "Trades", pair: market.pair, everyMillis: 0, listener })
    }
  }
}

const textOf = (size: string, decimal: boolean): string => decimal ? trimmed(size) : String(Math.trunc(Number(size)))

/** What pushes and REST have in common. Volumes are texts, whole ones without the header. */
const dayResult = (
  market: WorldMarket,
  statistics: WorldStatistics,
  decimal: boolean
): Readonly<Record<string, unknown>> => {
  const { fundingRate, indexPrice, markPrice, openInterest } = swapOf(market).state()
  const { high, last, low, open } = statistics
  return {
    contract: nameOf(market),
    last: trimmed(last),
    low_24h: trimmed(low),
    high_24h: trimmed(high),
    change_percentage: changeOf(statistics),
    change_price: trimmed((Number(last) - Number(open)).toFixed(market.priceDecimals)),
    change_from: "24h",
    total_size: textOf(openInterest, decimal),
    volume_24h: textOf(statistics.quantity, decimal),
    volume_24h_base: textOf(statistics.baseVolume, decimal),
    volume_24h_quote: textOf(statistics.quoteVolume, decimal),
    volume_24h_settle: textOf(statistics.quoteVolume, decimal),
    mark_price: trimmed(markPrice),
    index_price: trimmed(indexPrice),
    funding_rate: fundingRate,
    funding_rate_indicative: fundingRate,
    quanto_base_rate: ""
  }
}

/** The keys of funding's times are not documented, but sent (measured). */
const fundingOf = (market: WorldMarket): Readonly<Record<string, number>> => ({
  funding_interval: seconds(swapOf(market).fundingInterval),
  funding_offset: 0,
  funding_next_apply: seconds(swapOf(market).state().nextFundingTime)
})

const dayStream = (market: WorldMarket): Stream => {
  const topic = `futures.tickers|${nameOf(market)}`
  const about = data(topic)
  return {
    topic,
    open: ({ decimal, send, world }) => {
      const push = (statistics: WorldStatistics, event: object): string => {
        const day = dayResult(market, statistics, decimal)
        const entry = { ...day, ...fundingOf(market), price_type: "last", t: Math.floor(statistics.time), ...event }
        return pushOf(world.now(), "futures.tickers", JSON.stringify([entry]))
      }
      const listener = (statistics: WorldStatistics): void => send(push(statistics, {}), about)
      const { stop } = world.watch({ _tag: "Statistics", pair: market.pair, everyMillis: 1_000, listener })
      return { stop, first: push(market.statistics(), { event_type: "snapshot" }), rule: "after" }
    }
  }
}

const levelText = (level: WorldLevel, decimal: boolean): string =>
  `{"p":"${trimmed(level.price)}","s":${sizeOf(level.quantity, decimal)}}`

const updateResult = (name: string, update: Update): string =>
  `{"t":${Math.floor(update.time)}${update.full ? `,"full":true` : ""},"U":${update.firstVersion}`
  + `,"u":${update.version},"s":${name},"a":${update.asks},"b":${update.bids},"l":"${update.level}"}`

/** `t` is a number in s; `v` is in contracts and `a` in base. */
const candleResult = (title: string, kline: WorldKline, decimal: boolean): string =>
  `{"t":${seconds(kline.openTime)},"v":${sizeOf(kline.quantity, decimal)},"c":"${trimmed(kline.close)}"`
  + `,"h":"${trimmed(kline.high)}","l":"${trimmed(kline.low)}","o":"${trimmed(kline.open)}","n":${title}`
  + `,"a":"${trimmed(kline.baseVolume)}","w":${kline.closed}}`

const priceKinds = ["mark", "index"] as const

/** `mark_BTC_USDT` */
const drawnOf = (name: string): readonly ["last" | "mark" | "index", string] => {
  const kind = priceKinds.find((kind) => name.startsWith(`${kind}_`))
  return kind === undefined ? ["last", name] : [kind, name.slice(kind.length + 1)]
}

const statsIntervals = ["1m", "5m", "15m", "30m", "1h", "4h", "1d", "3d", "7d"]

const statsResult = (market: WorldMarket, stats: WorldContractStats, decimal: boolean): string => {
  const { longLiquidations, markPrice, openInterest, openInterestValue, shortLiquidations } = stats
  const base = Number(swapOf(market).contractSize)
  const worth = (size: string): string => {
    const amount = Number(size) * base
    return `${Number(amount.toPrecision(12))},"$_liq_usd":${Number((amount * Number(markPrice)).toFixed(4))}`
  }
  const liquidated = (side: string, size: string): string =>
    `"${side}_liq_size":${sizeOf(size, decimal)},"${side}_liq_amount":${worth(size).replace("$", side)}`
  return `[{"time":${seconds(stats.time)},"contract":${JSON.stringify(nameOf(market))},"mark_price":${
    Number(markPrice)
  }`
    + `,"lsr_taker":${stats.takerRatio},"lsr_account":${stats.accountRatio},${liquidated("long", longLiquidations)}`
    + `,${liquidated("short", shortLiquidations)},"open_interest":${sizeOf(openInterest, decimal)}`
    + `,"open_interest_usd":${Number(openInterestValue)},"top_lsr_account":${stats.topAccountRatio}`
    + `,"top_lsr_size":${stats.topSizeRatio}}]`
}

/** How often is unconfirmed; a captured frame came 13 s into its minute. */
const contractStats: Channel = (payload, markets) => {
  const [name = "", interval = ""] = payload
  const market = markets.get(name)
  const millis = millisOf(interval, statsIntervals)
  if (market === undefined) return unknownContract(name)
  if (millis === undefined) return unknownInterval(interval)
  const topic = `futures.contract_stats|${payload.join("|")}`
  const about = data(topic)
  const { pair } = market
  const open: Stream["open"] = ({ decimal, send, world }) => {
    const listener = (stats: WorldContractStats): void =>
      send(pushOf(world.now(), "futures.contract_stats", statsResult(market, stats, decimal)), about)
    return world.watch({ _tag: "ContractStats", pair, everyMillis: 10_000, interval: millis, listener })
  }
  return [{ topic, open }]
}

const liquidationResult = (name: string, liquidation: WorldLiquidation, decimal: boolean): string =>
  `{"price":"${trimmed(liquidation.price)}","size":${sizeOf(signed(liquidation), decimal)}`
  + `,"time":${Math.floor(liquidation.time)},"contract":${name}}`

/** Documented: aggregated over a second, at most 20 in a frame. */
const mostLiquidations = 20

const liquidationsStream = (topic: string, of: ReadonlyArray<WorldMarket>): Stream => ({
  topic,
  open: ({ decimal, send, world }) => {
    const stops = of.map((market) => {
      const name = JSON.stringify(nameOf(market))
      const listener = (liquidations: ReadonlyArray<WorldLiquidation>): void => {
        for (let from = 0; from < liquidations.length; from += mostLiquidations) {
          const part = liquidations.slice(from, from + mostLiquidations)
          const list = part.map((liquidation) => liquidationResult(name, liquidation, decimal)).join(",")
          send(pushOf(world.now(), "futures.public_liquidates", `[${list}]`), data(topic, part.length))
        }
      }
      return world.watch({ _tag: "Liquidations", pair: market.pair, everyMillis: 1_000, listener }).stop
    })
    return { stop: () => stops.forEach((stop) => stop()) }
  }
})

const everyContract = "!all"

const publicLiquidates: Channel = (payload, markets) => {
  const topic = (name: string): string => `futures.public_liquidates|${name}`
  if (!payload.includes(everyContract)) {
    const one = pairList(unknownContract, (market) => liquidationsStream(topic(nameOf(market)), [market]))
    return one(payload, markets)
  }
  return payload.length > 1
    ? invalidArgument
    : [liquidationsStream(topic(everyContract), [...markets.values()])]
}

export const futuresChannels: ReadonlyMap<string, Channel> = new Map([
  ["futures.book_ticker", pairList(unknownContract, bookTickerStream)],
  ["futures.trades", pairList(unknownContract, tradesStream)],
  ["futures.tickers", pairList(unknownPair, dayStream)],
  ["futures.obu", obuChannel("futures.obu", (now, result) => pushOf(now, "futures.obu", result))],
  [
    "futures.order_book_update",
    updateChannel({
      channel: "futures.order_book_update",
      unknown: (name) => ({ code: 2, message: `unknown currency pair ${name}` }),
      // What a request without a level gets is unconfirmed.
      feeds: new Map([["20ms", ["20"]], ["100ms", ["100", "50", "20"]]]),
      item: (interval, level) => `${interval}|${level}`,
      level: levelText,
      result: updateResult
    })
  ],
  [
    "futures.order_book",
    bookChannel({
      channel: "futures.order_book",
      event: "all",
      unknown: unknownContract,
      levels: ["1", "5", "10", "20", "50", "100"],
      // Measured: a push every 100 ms or so.
      intervals: new Map([["0", 100]]),
      result: (name, level, book, decimal) => {
        const text = (level: WorldLevel): string => levelText(level, decimal)
        return `{"t":${Math.floor(book.time)},"id":${book.version},"contract":${name}`
          + `,"asks":${sorted(book.asks, text)},"bids":${sorted(book.bids, text)},"l":"${level}"}`
      }
    })
  ],
  [
    "futures.candlesticks",
    candleChannel({
      channel: "futures.candlesticks",
      unknown: unknownContract,
      intervals: ["10s", "1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d", "7d"],
      drawn: drawnOf,
      result: (title, kline, decimal) => `[${candleResult(title, kline, decimal)}]`
    })
  ],
  ["futures.contract_stats", contractStats],
  ["futures.public_liquidates", publicLiquidates]
])

// ---- REST -----------------------------------------------------------------------------------------------------------

const isDecimal = (request: DialectRequest): boolean => request.headers["x-gate-size-decimal"] === "1"

/** Numbers of contracts are texts with the header and whole numbers without. */
const sizeValue = (size: string, decimal: boolean): string | number =>
  decimal ? trimmed(size) : Math.trunc(Number(size))

/** The label is documented, the text is unconfirmed. */
const noContract: UnknownName = (name) => failure(400, "CONTRACT_NOT_FOUND", `contract ${name} not found`)

const step = (decimals: number): string => decimals === 0 ? "1" : `0.${"1".padStart(decimals, "0")}`

/** Keys as in a live answer. Measured: the smallest order of a decimal contract is 0 without the header. */
const contract = (market: WorldMarket, request: DialectRequest): unknown => {
  const decimal = isDecimal(request)
  const swap = swapOf(market)
  const { fundingRate, indexPrice, markPrice, openInterest } = swap.state()
  const ticker = market.ticker()
  const statistics = market.statistics()
  return {
    name: nameOf(market),
    type: "direct",
    quanto_multiplier: swap.contractSize,
    order_price_round: step(market.priceDecimals),
    mark_price_round: step(swap.markDecimals),
    order_size_min: sizeValue(market.minQuantity, decimal),
    enable_decimal: swap.decimal,
    order_size_max: sizeValue("1000000", decimal),
    market_order_size_max: "0",
    market_order_slip_ratio: "0.05",
    order_price_deviate: "0.5",
    orders_limit: 100,
    leverage_min: "1",
    leverage_max: "100",
    cross_leverage_default: "10",
    maintenance_rate: "0.005",
    funding_rate: fundingRate,
    funding_rate_indicative: fundingRate,
    ...fundingOf(market),
    funding_rate_limit: "0.003",
    mark_type: "index",
    mark_price: trimmed(markPrice),
    index_price: trimmed(indexPrice),
    last_price: trimmed(statistics.last),
    maker_fee_rate: "-0.0001",
    taker_fee_rate: "0.00075",
    ref_discount_rate: "0",
    ref_rebate_rate: "0.2",
    position_size: sizeValue(openInterest, decimal),
    trade_size: sizeValue(statistics.quantity, decimal),
    orderbook_id: ticker.version,
    in_delisting: false,
    status: "trading",
    is_pre_market: false,
    contract_type: "",
    create_time: 1_574_035_200,
    launch_time: 1_574_035_200
  }
}

/** With the best levels, which pushes lack. */
const dayAnswer = (market: WorldMarket, request: DialectRequest): unknown => {
  const decimal = isDecimal(request)
  const { ask, bid } = market.ticker()
  return {
    ...dayResult(market, market.statistics(), decimal),
    lowest_ask: trimmed(ask?.price ?? ""),
    lowest_size: textOf(ask?.quantity ?? "0", decimal),
    highest_bid: trimmed(bid?.price ?? ""),
    highest_size: textOf(bid?.quantity ?? "0", decimal)
  }
}

/** Seconds with three decimals. */
const floatSeconds = (millis: number): string => (Math.floor(millis) / 1_000).toFixed(3)

export const futuresRoutes: ReadonlyArray<Route> = [
  timeRoute,
  ...listRoutes("/futures/usdt/contracts", noContract, contract),
  queryRoute("/futures/usdt/tickers", "contract", noContract, dayAnswer),
  bookRoute({
    endpoint: "/futures/usdt/order_book",
    parameter: "contract",
    unknown: noContract,
    // Measured.
    maxDepth: 300,
    tooDeep: () => failure(400, "TOO_BIG", "limit 300"),
    body: (book, now, request) => {
      const text = (level: WorldLevel): string => levelText(level, isDecimal(request))
      return `"current":${floatSeconds(now)},"update":${floatSeconds(book.time)}`
        + `,"asks":${sorted(book.asks, text)},"bids":${sorted(book.bids, text)}`
    }
  })
]
