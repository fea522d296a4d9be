/** Compile only: what an exchange lacks, an unknown id and an empty list do not type-check. */
import type { Config, Effect, Layer, Scope, Stream } from "effect"
import type { Divergence } from "../../src/composite/OrderBooks.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { Feed } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type {
  BookTicker,
  BookUpdate,
  FuturesTicker,
  Kline,
  MarketEvent,
  Ticker,
  Trade
} from "../../src/domain/Market.ts"
import type { ExchangeClock } from "../../src/ExchangeClock.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import { gateSpot } from "../../src/exchanges/index.ts"
import type { MarketRest } from "../../src/MarketRest.ts"
import type { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import { toyTrading } from "../exchanges/toy/ToyAccount.ts"
import { toySpot } from "../exchanges/toy/ToyAdapter.ts"

type Success<E> = E extends Effect.Effect<infer A, infer _E, infer _R> ? A : never
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const equal = <A, B>(_: Equal<A, B>): void => {}

// ---- ids ------------------------------------------------------------------------------------------------------------

equal<Exchanges.KnownExchange, "mexc-spot" | "gate-spot" | "gate-futures">(true)
equal<typeof Exchanges.ids, ReadonlyArray<"mexc-spot" | "gate-spot" | "gate-futures">>(true)

// @ts-expect-error there is no such exchange
export const unknownId = Exchanges.layerPublic("gate")

// @ts-expect-error there is no such exchange
export const unknownConfig = Exchanges.layerPublicConfig("gate")

// @ts-expect-error there is no such exchange
export const unknownAdapter = Exchanges.get("gate")

// @ts-expect-error there is no such exchange
export const unknownPublic = Exchanges.publicOf("gate")

declare const text: string

// @ts-expect-error any text may be an unknown exchange
export const unchecked = Exchanges.layerPublic(text)

export const checked = Exchanges.isKnown(text) ? Exchanges.layerPublic(text) : null

equal<ReturnType<typeof Exchanges.layerPublic>, Layer.Layer<PublicWebsocket | MarketRest | ExchangeClock>>(true)
equal<
  ReturnType<typeof Exchanges.layerPublicConfig>,
  Layer.Layer<PublicWebsocket | MarketRest | ExchangeClock, Config.ConfigError>
>(true)

// ---- channels -------------------------------------------------------------------------------------------------------

const door = Exchanges.make({ toySpot, gateSpot })

equal<(typeof door.ids)[number], "toy" | "gate-spot">(true)
equal<ReturnType<typeof door.get<"toy">>, typeof toySpot>(true)

const publicToy = door.publicOf("toy")
equal<
  typeof publicToy extends Effect.Effect<infer _A, infer E, infer R> ? [E, R] : never,
  [ExchangeError, PublicWebsocket]
>(true)

declare const toy: Success<typeof publicToy>
declare const gate: Success<ReturnType<typeof door.publicOf<"gate-spot">>>
declare const any: PublicWebsocket["Service"]

export const ticker = toy.feed(Channel.bookTicker("BTC/USDT"))
export const book = toy.feed(Channel.book("BTC/USDT", { depth: 5 }))

// @ts-expect-error the toy exchange has no candles
export const candles = toy.feed(Channel.kline("BTC/USDT"))

declare const either: Channel.PublicChannel

// @ts-expect-error it may be one that the toy exchange lacks
export const whichever = toy.feed(either)

declare const mexc: Success<ReturnType<typeof Exchanges.publicOf<"mexc-spot">>>

export const klines = mexc.feed(Channel.kline("BTC/USDT", { interval: "8h" }))
export const tickers = mexc.feed(Channel.ticker(Channel.everyPair))

// @ts-expect-error MEXC spot has no funding
export const funding = mexc.feed(Channel.futuresTicker("BTC/USDT"))

// @ts-expect-error MEXC spot has no liquidations
export const liquidations = mexc.feed(Channel.liquidations("BTC/USDT"))

// @ts-expect-error MEXC spot has no contracts
export const stats = mexc.feed(Channel.contractStats("BTC/USDT"))

// @ts-expect-error Gate spot has no funding
export const gateFunding = gate.feed(Channel.futuresTicker("BTC/USDT"))

// @ts-expect-error Gate spot has no liquidations
export const gateLiquidations = gate.feed(Channel.liquidations("BTC/USDT"))

declare const futures: Success<ReturnType<typeof Exchanges.publicOf<"gate-futures">>>

export const ofFutures = futures.feed(Channel.futuresTicker("BTC/USDT:USDT"))
equal<typeof ofFutures, Acquired<FuturesTicker>>(true)

// @ts-expect-error futures have a ticker of their own
export const dayOfFutures = futures.feed(Channel.ticker("BTC/USDT:USDT"))

export const ofGate = gate.feed(Channel.trades("BTC/USDT"))
export const ofAny = any.feed(either)

// ---- every way to ask for a channel ---------------------------------------------------------------------------------

export const sessionOfSpot = mexc.initialize(["BTC/USDT"], ["BookTicker", { _tag: "Kline", interval: "1h" }])
export const sessionOfSwap = futures.initialize(["BTC/USDT:USDT"], ["FuturesTicker", "Liquidations"])
export const callsOfSpot = mexc.handle({ onBook: () => {}, onTicker: () => {}, onGap: () => {}, onStatus: () => {} })
export const callsOfSwap = futures.handle({ onFuturesTicker: () => {}, onLiquidation: () => {} })
export const handedOfSwap = futures.handleFeed(Channel.futuresTicker("BTC/USDT:USDT"), {
  onEvent: (event) => void event.markPrice,
  onGap: () => {}
})
equal<typeof mexc.channels, ReadonlySet<"BookTicker" | "Trades" | "Book" | "Ticker" | "Kline">>(true)
equal<
  typeof mexc.events,
  Stream.Stream<Feed<BookTicker | Trade | BookUpdate | Ticker | Kline>, ExchangeError>
>(true)

// @ts-expect-error MEXC spot has no funding
export const fundingSession = mexc.initialize(["BTC/USDT"], ["FuturesTicker"])

// @ts-expect-error MEXC spot has no liquidations
export const liquidationsSession = mexc.initialize(["BTC/USDT"], ["Liquidations"])

// @ts-expect-error nor as a request
export const requestedSession = mexc.initialize(["BTC/USDT"], ["Book", { _tag: "ContractStats", interval: "1m" }])

// @ts-expect-error MEXC spot has no funding
export const handedFunding = mexc.handleFeed(Channel.futuresTicker("BTC/USDT"), { onEvent: () => {}, onGap: () => {} })

// @ts-expect-error MEXC spot has no funding
export const calledFunding = mexc.handle({ onFuturesTicker: () => {} })

// @ts-expect-error Gate spot has no liquidations
export const calledLiquidations = gate.handle({ onBook: () => {}, onLiquidation: () => {} })

// @ts-expect-error futures have a ticker of their own
export const calledTicker = futures.handle({ onTicker: () => {} })

// @ts-expect-error the toy exchange has no candles
export const toyCandles = toy.initialize(["BTC/USDT"], ["Kline"])

// ---- kinds of pairs -------------------------------------------------------------------------------------------------

declare const pair: TradingPair
declare const pairs: readonly [TradingPair, ...Array<TradingPair>]

// What only the run knows is checked then.
export const anyPairOfSpot = mexc.subscribe(pairs)
export const anyPairOfSwap = futures.initialize([pair, "ETH/USDT:USDT"], ["Book"])
export const severalOfSpot = mexc.subscribe(["BTC/USDT", "ETH/USDT"])

// @ts-expect-error MEXC spot has no perpetuals
export const perpetualOfSpot = mexc.initialize(["BTC/USDT", "ETH/USDT:USDT"], ["Book"])

// @ts-expect-error MEXC spot has no perpetuals
export const morePerpetuals = mexc.subscribe(["BTC/USDT:USDT"])

// @ts-expect-error MEXC spot has no perpetuals
export const lessPerpetuals = mexc.unsubscribe(["BTC/USDT:USDT"])

export const anyFeedOfSpot = mexc.feed(Channel.trades(pair))
export const everyTicker = mexc.handleFeed(Channel.ticker(Channel.everyPair), { onEvent: () => {}, onGap: () => {} })
export const writtenOut = mexc.feed({ _tag: "Trades", pair: "BTC/USDT" })

// @ts-expect-error MEXC spot has no perpetuals
export const perpetualFeed = mexc.feed(Channel.trades("BTC/USDT:USDT"))

// @ts-expect-error MEXC spot has no perpetuals
export const perpetualHanded = mexc.handleFeed(Channel.book("BTC/USDT:USDT"), { onEvent: () => {}, onGap: () => {} })

// @ts-expect-error MEXC spot has no perpetuals
export const perpetualWritten = mexc.feed({ _tag: "Trades", pair: "BTC/USDT:USDT" })

// @ts-expect-error Gate futures have no spot pairs
export const spotFeed = futures.feed(Channel.bookTicker("BTC/USDT"))

// @ts-expect-error Gate futures have no spot pairs
export const spotOfSwap = futures.subscribe(["BTC/USDT"])

// @ts-expect-error an exchange of another front door
export const ofOther = door.publicOf("mexc-spot")

// ---- events ---------------------------------------------------------------------------------------------------------

type Acquired<A> = Effect.Effect<Stream.Stream<Feed<A>, ExchangeError>, ExchangeError, Scope.Scope>

equal<typeof ticker, Acquired<BookTicker>>(true)
equal<typeof book, Acquired<BookUpdate>>(true)
equal<typeof klines, Acquired<Kline>>(true)
equal<typeof tickers, Acquired<Ticker>>(true)
equal<typeof ofGate, Acquired<Trade>>(true)
equal<typeof ofAny, Acquired<MarketEvent>>(true)

// ---- lists ----------------------------------------------------------------------------------------------------------

export const some = any.initialize(["BTC/USDT"], ["BookTicker", { _tag: "Book", depth: 50 }])

// @ts-expect-error at least one pair is needed
export const noPairs = any.initialize([], ["BookTicker"])

// @ts-expect-error at least one channel is needed
export const noChannels = any.initialize(["BTC/USDT"], [])

// @ts-expect-error at least one pair is needed
export const nothingMore = any.subscribe([])

// @ts-expect-error at least one pair is needed
export const nothingLess = any.unsubscribe([])

// @ts-expect-error a pair has a base and a quote
export const noPair = any.subscribe(["BTCUSDT"])

// @ts-expect-error there is no such channel
export const noChannel = any.initialize(["BTC/USDT"], ["Orders"])

// @ts-expect-error there is no such speed
export const noSpeed = Channel.book("BTC/USDT", { speed: "1ms" })

// ---- nothing private ------------------------------------------------------------------------------------------------

type Private = Extract<
  keyof PublicWebsocket["Service"],
  `${string}${"rivate" | "ccount" | "alance" | "rder" | "osition" | "uthenticat" | "ogin" | "redential"}${string}`
>
equal<Private, never>(true)

// ---- accounts -------------------------------------------------------------------------------------------------------

declare const mexcAccount: Success<ReturnType<typeof Exchanges.privateOf<"mexc-spot">>>
declare const futuresAccount: Success<ReturnType<typeof Exchanges.privateOf<"gate-futures">>>

export const fills = mexcAccount.feed("Fills")
export const positions = futuresAccount.feed("Positions")

// @ts-expect-error spot has no positions
export const spotPositions = mexcAccount.feed("Positions")

export const sessionOfAccount = mexcAccount.initialize(["Orders", "Fills"])
export const wholeAccount = mexcAccount.initialize()
export const callsOfAccount = mexcAccount.handle({ onFill: () => {}, onGap: () => {} })
export const positionsSession = futuresAccount.initialize(["Positions", "PositionCloses"])
export const positionsCalls = futuresAccount.handle({ onPosition: () => {}, onLeverage: () => {} })
equal<typeof mexcAccount.channels, ReadonlySet<"Orders" | "Fills" | "Balances">>(true)

// @ts-expect-error spot has no positions
export const spotPositionsSession = mexcAccount.initialize(["Positions"])

// @ts-expect-error spot has no positions
export const spotPositionsCalls = mexcAccount.handle({ onPosition: () => {} })

// @ts-expect-error spot has no leverage
export const spotLeverageCalls = mexcAccount.handle({ onFill: () => {}, onLeverage: () => {} })

// @ts-expect-error nothing of an account takes a symbol
export const bySymbol = mexcAccount.feed("Fills", "BTCUSDT")

// @ts-expect-error an account needs its keys
export const withoutKeys = Exchanges.layerAccount("gate-spot", {})

// ---- orders ---------------------------------------------------------------------------------------------------------

declare const mexcOrders: Success<ReturnType<typeof Exchanges.ordersOf<"mexc-spot">>>
declare const spotOrders: Success<ReturnType<typeof Exchanges.ordersOf<"gate-spot">>>
declare const swapOrders: Success<ReturnType<typeof Exchanges.ordersOf<"gate-futures">>>

export const inQuote = mexcOrders.place({ pair: "BTC/USDT", side: "buy", type: "market", quoteQuantity: "10" })
export const amended = spotOrders.amend({ pair: "BTC/USDT", orderId: "1" }, { price: "2" })
export const reduced = swapOrders.place({ pair: "BTC/USDT:USDT", side: "sell", quantity: 1, reduceOnly: true })
export const geared = swapOrders.setLeverage("BTC/USDT:USDT", 5)

// @ts-expect-error MEXC has no amendments
export const mexcAmended = mexcOrders.amend

// @ts-expect-error MEXC has no dead man's switch
export const mexcSwitch = mexcOrders.cancelAllAfter

// @ts-expect-error spot has no leverage
export const spotLeverage = spotOrders.leverage

// @ts-expect-error spot has no leverage to set
export const spotGeared = spotOrders.setLeverage

// @ts-expect-error spot has no margin mode
export const spotMargin = mexcOrders.setMarginMode

// @ts-expect-error on spot there is nothing to reduce
export const spotReduced = spotOrders.place({ pair: "BTC/USDT", side: "sell", quantity: 1, reduceOnly: true })

// @ts-expect-error a perpetual is not bought in quote
export const swapInQuote = swapOrders.place({ pair: "BTC/USDT:USDT", side: "buy", quoteQuantity: "10" })

export const placedAnywhere = mexcOrders.place({ pair, side: "buy", quantity: 1, price: 2 })
export const cancelledSome = spotOrders.cancel({ pair: "BTC/USDT", clientOrderId: "t-1" })
export const cancelledAll = swapOrders.cancelAll()
export const cancelledPair = swapOrders.cancelAll("BTC/USDT:USDT")
export const switched = swapOrders.cancelAllAfter(30_000, "BTC/USDT:USDT")
export const severalOrders = mexcOrders.placeAll([
  { pair: "BTC/USDT", side: "buy", quantity: 1, price: 2 },
  { pair: "ETH/USDT", side: "sell", quantity: 1, price: 2 }
])

// @ts-expect-error MEXC spot has no perpetuals
export const spotPerpetual = mexcOrders.place({ pair: "BTC/USDT:USDT", side: "buy", quantity: 1 })

// @ts-expect-error MEXC spot has no perpetuals
export const spotPerpetuals = mexcOrders.placeAll([{ pair: "BTC/USDT:USDT", side: "buy", quantity: 1 }])

// @ts-expect-error Gate spot has no perpetuals
export const spotPerpetualCancelled = spotOrders.cancel({ pair: "BTC/USDT:USDT", orderId: "1" })

// @ts-expect-error Gate spot has no perpetuals
export const spotPerpetualAmended = spotOrders.amend({ pair: "BTC/USDT:USDT", orderId: "1" }, { price: "2" })

// @ts-expect-error Gate spot has no perpetuals
export const spotPerpetualsOpen = spotOrders.openOrders("BTC/USDT:USDT")

// @ts-expect-error Gate spot has no perpetuals
export const spotPerpetualsCancelled = spotOrders.cancelAll("BTC/USDT:USDT")

// @ts-expect-error Gate spot has no perpetuals
export const spotPerpetualFound = spotOrders.get({ pair: "BTC/USDT:USDT", orderId: "1" })

// @ts-expect-error Gate futures have no spot pairs
export const swapSpot = swapOrders.place({ pair: "BTC/USDT", side: "buy", quantity: 1 })

// @ts-expect-error Gate futures have no spot pairs
export const swapSpotGeared = swapOrders.setLeverage("BTC/USDT", 3)

const tradingDoor = Exchanges.make({ toyTrading })
declare const toyOrders: Success<ReturnType<typeof tradingDoor.ordersOf<"toy">>>
declare const toyEvents: Success<ReturnType<typeof tradingDoor.privateOf<"toy">>>

export const toyPlaced = toyOrders.place({ pair: "BTC/USDT", side: "buy", quantity: 1, price: 2 })
export const toyFills = toyEvents.feed("Fills")

// @ts-expect-error the toy exchange amends nothing
export const toyAmended = toyOrders.amend

// @ts-expect-error the toy exchange sells nothing in quote
export const toyInQuote = toyOrders.place({ pair: "BTC/USDT", side: "buy", quoteQuantity: 1 })

// @ts-expect-error the toy exchange has no positions
export const toyPositions = toyEvents.feed("Positions")

// ---- composites -----------------------------------------------------------------------------------------------------

declare const mexcMarket: Success<ReturnType<typeof Exchanges.publicExchangeOf<"mexc-spot">>>
declare const swapMarket: Success<ReturnType<typeof Exchanges.publicExchangeOf<"gate-futures">>>
declare const mexcHoldings: Success<ReturnType<typeof Exchanges.privateExchangeOf<"mexc-spot">>>
declare const swapHoldings: Success<ReturnType<typeof Exchanges.privateExchangeOf<"gate-futures">>>

export const fundingOfSwap = swapMarket.funding("BTC/USDT:USDT")
export const positionsOfSwap = swapHoldings.positions
export const leverageOfSwap = swapHoldings.orders.leverage("BTC/USDT:USDT")
export const booksOfSpot = mexcMarket.book("BTC/USDT")

// @ts-expect-error a spot exchange has no funding
export const fundingOfSpot = mexcMarket.funding

// @ts-expect-error a spot exchange has no mark price
export const markOfSpot = mexcMarket.futuresTicker

// @ts-expect-error perpetuals have a ticker of their own
export const dayOfSwap = swapMarket.ticker

// @ts-expect-error a spot exchange has no positions
export const positionsOfSpot = mexcHoldings.positions

// @ts-expect-error a spot exchange has no leverage
export const leverageOfSpot = mexcHoldings.orders.leverage

// @ts-expect-error a spot exchange has no perpetuals
export const perpetualPlaced = mexcHoldings.orders.place({ pair: "BTC/USDT:USDT", side: "buy", quantity: 1 })

// @ts-expect-error a spot exchange has no perpetuals
export const perpetualFollowed = mexcMarket.initialize(["BTC/USDT:USDT"])

// @ts-expect-error a spot exchange has no perpetuals
export const perpetualAdded = mexcMarket.add(["BTC/USDT:USDT"])

// @ts-expect-error a spot exchange has no perpetuals
export const perpetualBook = mexcMarket.book("BTC/USDT:USDT")

// @ts-expect-error a perpetual is named with what it settles in
export const fundingOfPair = swapMarket.funding("BTC/USDT")

// ---- what the composites hold ---------------------------------------------------------------------------------------

declare const divergence: Divergence

export const known = [
  mexcMarket.instruments.get("BTC/USDT"),
  mexcMarket.books.get("BTC/USDT"),
  swapMarket.instruments.current("BTC/USDT:USDT"),
  swapMarket.books.track("BTC/USDT:USDT"),
  swapMarket.books.onUpdate("BTC/USDT:USDT", () => {}),
  mexcMarket.books.onUpdate("BTC/USDT", () => {}, () => {}),
  mexcMarket.books.observe("BTC/USDT", (update) => void update.version)?.(),
  mexcMarket.books.contradict("BTC/USDT", divergence),
  mexcMarket.audit.audit("BTC/USDT"),
  swapHoldings.onEvent((event) => void (event._tag === "Position")),
  mexcHoldings.onEvent((event) => void (event._tag === "Fill"))
]

export const elsewhere = [
  // @ts-expect-error a perpetual on a spot exchange
  mexcMarket.instruments.get("BTC/USDT:USDT"),
  // @ts-expect-error a perpetual on a spot exchange
  mexcMarket.instruments.current("BTC/USDT:USDT"),
  // @ts-expect-error a perpetual on a spot exchange
  mexcMarket.books.get("BTC/USDT:USDT"),
  // @ts-expect-error a perpetual on a spot exchange
  mexcMarket.books.awaitSynced("BTC/USDT:USDT"),
  // @ts-expect-error a coin on an exchange of perpetuals
  swapMarket.books.changes("BTC/USDT"),
  // @ts-expect-error a perpetual on a spot exchange
  mexcMarket.books.onUpdate("BTC/USDT:USDT", () => {}),
  // @ts-expect-error a perpetual on a spot exchange
  mexcMarket.books.observe("BTC/USDT:USDT", () => {}),
  // @ts-expect-error a coin on an exchange of perpetuals
  swapMarket.books.contradict("BTC/USDT", divergence),
  // @ts-expect-error a listener is needed
  mexcMarket.books.onUpdate("BTC/USDT"),
  // @ts-expect-error a coin on an exchange of perpetuals
  swapMarket.audit.audit("BTC/USDT"),
  // @ts-expect-error a spot account has no positions
  mexcHoldings.onEvent((event) => void (event._tag === "Position"))
]
