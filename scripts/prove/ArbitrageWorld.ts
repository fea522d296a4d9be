/** Every exchange of a simulator as the markets of one program, with routes on which there is always something to trade. */
import { Effect, Layer } from "effect"
import * as Monitor from "../../src/arbitrage/ArbitrageMonitor.ts"
import type { Route } from "../../src/arbitrage/Opportunity.ts"
import * as Routes from "../../src/arbitrage/Routes.ts"
import * as Markets from "../../src/composite/Markets.ts"
import type { Instrument, TradingPair } from "../../src/domain/Instrument.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import type { SimulatorUrls } from "../../src/simulator/Simulator.ts"
import type { Subject } from "../../test/suites/AccountExchange.ts"
import { accountSubjects } from "../../test/suites/AccountSubjects.ts"

export const bases = ["BTC", "ETH", "SOL"] as const

/** What is followed of these assets. */
export const pairsOf = (
  { adapter }: Subject,
  assets: ReadonlyArray<string> = bases
): [TradingPair, ...Array<TradingPair>] =>
  assets.map((base): TradingPair => adapter.kind === "swap" ? `${base}/USDT:USDT` : `${base}/USDT`) as [TradingPair]

type Options = Partial<ExchangeFactory.AccountOptions>

export const markets = (
  urls: Readonly<Record<string, SimulatorUrls>>,
  credentialsOf: (exchange: string) => ExchangeFactory.Credentials,
  options: Options = {},
  assets: ReadonlyArray<string> = bases,
  islands: Markets.MarketsOptions = {}
) => {
  const definitionOf = (subject: Subject) => {
    const { adapter } = subject
    const { rest, ws } = urls[adapter.id]!
    const pairs = pairsOf(subject, assets)
    const exchange = ExchangeFactory.layer(adapter, {
      credentials: credentialsOf(adapter.id),
      url: ws,
      restUrl: rest,
      limits: "off",
      reconcilePairs: pairs,
      market: { connections: 1 },
      ...options
    })
    const layer = Exchanges.layerComposites({ publicExchange: { tickers: [] } }).pipe(Layer.provide(exchange))
    return { layer, pairs }
  }
  return Markets.layer(
    Object.fromEntries(accountSubjects.map((subject) => [subject.adapter.id, definitionOf(subject)])),
    islands
  )
}

/** What the exchanges list of the assets that are traded. */
export const listed = Effect.fnUntraced(function*(markets: Markets.Markets["Service"]) {
  const islands = yield* Effect.forEach(markets.ids, (id) => markets.get(id), { concurrency: "unbounded" })
  const lists = yield* Effect.forEach(islands, ({ market }) => market.instruments.all)
  return lists.flatMap((list) => [...list.values()].filter(({ base }) => bases.some((one) => one === base)))
})

/**
 * Every route in both directions, with fees below what is taken: then there is always something to trade, and what is
 * proved is how it is traded.
 */
const routesOf = (instruments: ReadonlyArray<Instrument>, traded: ReadonlyArray<string>): ReadonlyArray<Route> =>
  Routes.between([instruments.filter(({ base }) => traded.includes(base))], () => -0.001).flatMap((route) => [
    route,
    { id: `${route.id} back`, first: route.second, second: route.first }
  ])

export const monitor = (options: Omit<Monitor.MonitorOptions, "routes">, traded: ReadonlyArray<string> = bases) =>
  Layer.unwrap(Effect.gen(function*() {
    const routes = routesOf(yield* listed(yield* Markets.Markets), traded)
    return Monitor.layer({ routes, holdingMs: 0, ...options })
  }))
