/**
 * `ccxt` as its manual shows: `watch…` awaited again and again. Gate's best prices with `watchBidsAsks` of all symbols,
 * MEXC's with a loop of `watchTicker` for each (its `watchBidsAsks` never resolves on protobuf frames), books with a loop
 * of `watchOrderBook` for each, trades with `watchTrades`, the day with `watchTickers`. An update that comes between two
 * awaits is read and not handed over.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type CcxtGate from "../../../node_modules/ccxt/js/src/pro/gate.js"
import type CcxtMexc from "../../../node_modules/ccxt/js/src/pro/mexc.js"
import { comparedLevels, compete, consume, faults, finish, job, passed, restUrl, setup, url } from "./Run.ts"
import type { Book } from "./Run.ts"

type Ccxt = CcxtGate | CcxtMexc

const common = { enableRateLimit: false, timeout: 60_000 }
const headers = { ...setup.headers }

const openMexc = async (): Promise<Ccxt> => {
  const { default: Mexc } = await import("../../../node_modules/ccxt/js/src/pro/mexc.js")
  const api = { spot: { public: restUrl, private: restUrl }, ws: { spot: url } }
  const options = { watchOrderBook: { snapshotDelay: 0, snapshotMaxRetries: 3 } }
  const exchange = new Mexc({ ...common, urls: { api }, options })
  await exchange.loadHttpProxyAgent()
  exchange.setMarkets(await exchange.fetchSpotMarkets())
  return exchange
}

const openGate = async (): Promise<Ccxt> => {
  const { default: Gate } = await import("../../../node_modules/ccxt/js/src/pro/gate.js")
  const isSpot = setup.exchange === "gate-spot"
  const api = isSpot
    ? { spot: url, public: { spot: restUrl, margin: restUrl } }
    : { swap: { usdt: url }, public: { futures: restUrl } }
  const options = {
    fetchMarkets: { types: [isSpot ? "spot" : "swap"] },
    swap: { fetchMarkets: { settlementCurrencies: ["usdt"] } },
    watchOrderBook: { snapshotDelay: 0, snapshotMaxRetries: 3 },
    ws: { options: { headers } }
  }
  const exchange = new Gate({ ...common, urls: { api }, options, headers, has: { fetchCurrencies: false } })
  await exchange.loadHttpProxyAgent()
  await exchange.loadMarkets()
  return exchange
}

const exchange = await (setup.exchange === "mexc-spot" ? openMexc() : openGate())
const pairs = [...setup.pairs]

const follow = <A>(watch: () => Promise<A>, take: (value: A) => void): void => {
  const run = async (): Promise<void> => {
    for (;;) {
      try {
        take(await watch())
      } catch (error) {
        if (faults["failures"]!++ === 0) process.stderr.write(`${job.caseId} ccxt: ${String(error).slice(0, 300)}\n`)
        await sleep(1)
      }
    }
  }
  void run()
}

/** With the version that carries the stamp in paced runs. */
const stamped = (ticker: { readonly info?: { readonly u?: unknown; readonly version?: unknown } }): void =>
  consume({ version: ticker.info?.u ?? ticker.info?.version })

const watches: Readonly<Record<string, () => void>> = {
  BookTicker: () => {
    if (setup.exchange === "mexc-spot") {
      for (const pair of pairs) follow(() => exchange.watchTicker(pair), stamped)
    } else {
      follow(() => (exchange as CcxtGate).watchBidsAsks(pairs), (tickers) => Object.values(tickers).forEach(stamped))
    }
  },
  Book: () => {
    for (const pair of pairs) follow(() => exchange.watchOrderBook(pair), consume)
  },
  Trades: () => {
    for (const pair of pairs) follow(() => exchange.watchTrades(pair), (trades) => trades.forEach(consume))
  }
}

watches[setup.topics[0]!.channel]!()

const bookOf = (pair: string): Book | null => {
  const book = exchange.orderbooks[pair]
  if (book === undefined) return null
  const side = (name: "bids" | "asks"): ReadonlyArray<number> =>
    [...book[name] as Iterable<readonly [number, number]>].slice(0, comparedLevels).flatMap(([price, quantity]) => [
      price,
      quantity
    ])
  return { bids: side("bids"), asks: side("asks") }
}

const isReady = (): boolean => pairs.every((pair) => exchange.orderbooks[pair]?.nonce !== undefined)

await sleep(1_500)
if (setup.isBook) {
  // It fetches a snapshot once deltas have come.
  for (let tries = 0; tries < 20 && !isReady(); tries++) {
    await Promise.race([passed(setup.passFrames), sleep(300)])
  }
  if (!isReady()) process.stderr.write(`${job.caseId} ccxt: some books have no snapshot\n`)
}
faults["failures"] = 0
finish(await compete({ hasEvents: false, isLossy: true, bookOf: setup.isBook ? bookOf : undefined }))
