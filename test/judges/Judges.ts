/**
 * Code that nobody here wrote, unmodified, pointed at a simulator: `ccxt` for both exchanges and `gateio-api`. Each takes
 * its addresses as its users would give them, and is closed with the scope, its timers and sockets included.
 */
import { Clock, Effect } from "effect"
import type { Scope } from "effect"
import { DefaultLogger, WebsocketAPIClient, WebsocketClient } from "gateio-api"
import type { WSClientConfigurableOptions } from "gateio-api"
// The file that `ccxt.pro.gate` stands for. The package's entry loads more than a hundred other exchanges.
import CcxtGate from "../../node_modules/ccxt/js/src/pro/gate.js"
import CcxtMexc from "../../node_modules/ccxt/js/src/pro/mexc.js"
import type { WorldBook, WorldLevel } from "../../src/ExchangeDialect.ts"
import type { SimulatorService, SimulatorUrls } from "../../src/simulator/Simulator.ts"

export type { CcxtGate, CcxtMexc }
export type Ccxt = CcxtGate | CcxtMexc

/** Of an account, as ccxt and gateio-api take them. */
export interface Keys {
  readonly apiKey: string
  readonly secret: string
}

/** ms. A busy machine answers late. */
const patienceWithRest = 60_000

/** A peer that no longer answers keeps `close` waiting for half a minute. */
const patience = 250

const closeCcxt = (exchange: Ccxt): Effect.Effect<void> =>
  Effect.promise(async () => {
    const sockets = Object.values(exchange.clients).map((client) => client.connection as { terminate?: () => void })
    await Promise.race([exchange.close(), new Promise((resolve) => setTimeout(resolve, patience))])
    for (const socket of sockets) socket?.terminate?.()
  })

const open = <E extends Ccxt>(make: () => Promise<E>): Effect.Effect<E, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.promise(make), closeCcxt)

/**
 * `ccxt.pro.mexc`. Its `loadMarkets` asks for MEXC's futures too, which are not simulated; `fetchSpotMarkets` is its other
 * half.
 */
export const ccxtMexc = (
  { rest, ws }: SimulatorUrls,
  options: object = {},
  keys: Partial<Keys> = {}
): Effect.Effect<CcxtMexc, never, Scope.Scope> =>
  open(async () => {
    const api = { spot: { public: rest, private: rest }, ws: { spot: ws } }
    const exchange = new CcxtMexc({ urls: { api }, options, timeout: patienceWithRest, ...keys })
    // What its message asks for when an address begins with ws://.
    await exchange.loadHttpProxyAgent()
    exchange.setMarkets(await exchange.fetchSpotMarkets())
    return exchange
  })

/** Asks for decimal sizes of contracts, which ccxt leaves to its users; spot knows nothing of it. */
const headers = { "X-Gate-Size-Decimal": "1" }

const gate = (config: object, types: ReadonlyArray<string>): Effect.Effect<CcxtGate, never, Scope.Scope> =>
  open(async () => {
    const options = {
      fetchMarkets: { types },
      // Contracts that settle in BTC are not simulated.
      swap: { fetchMarkets: { settlementCurrencies: ["usdt"] } },
      ws: { options: { headers } }
    }
    const exchange = new CcxtGate({ options, headers, timeout: patienceWithRest, ...config })
    await exchange.loadHttpProxyAgent()
    await exchange.loadMarkets()
    return exchange
  })

/** What an account has beside its orders. */
const beside = (rest: string) => ({ account: rest, margin: rest, unified: rest, wallet: rest })

/** `ccxt.pro.gate`, spot markets loaded. */
export const ccxtGate = (
  { rest, ws }: SimulatorUrls,
  keys: Partial<Keys> = {}
): Effect.Effect<CcxtGate, never, Scope.Scope> => {
  const api = { spot: ws, public: { spot: rest, margin: rest }, private: { spot: rest, ...beside(rest) } }
  return gate({ urls: { api }, ...keys }, ["spot"])
}

/** `ccxt.pro.gate`, USDT futures loaded; it asks spot for the currencies. */
export const ccxtGateFutures = (
  { "gate-futures": futures, "gate-spot": spot }: SimulatorService["urls"],
  keys: Partial<Keys & { readonly uid: string }> = {}
): Effect.Effect<CcxtGate, never, Scope.Scope> => {
  const api = {
    // By the "fx" of `fx-ws.gateio.ws` it knows that private pushes are about contracts.
    swap: { usdt: `${futures!.ws}?fx` },
    public: { spot: spot!.rest, futures: futures!.rest },
    private: { futures: futures!.rest, ...beside(futures!.rest) }
  }
  return gate({ urls: { api }, ...keys }, ["swap"])
}

const silent = { ...DefaultLogger, trace: () => {}, info: () => {}, error: () => {} }

/** The WebSocket client of `gateio-api`; every client has one address. */
export const gateioApi = (
  { ws }: SimulatorUrls,
  options: WSClientConfigurableOptions = {}
): Effect.Effect<WebsocketClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new WebsocketClient({ wsUrl: ws, ...options }, silent)),
    (client) =>
      Effect.sync(() => {
        client.removeAllListeners()
        client.closeAll(true)
      })
  )

/** The client of Gate's WebSocket API in `gateio-api`. */
export const gateioOrders = (
  { ws }: SimulatorUrls,
  options: WSClientConfigurableOptions
): Effect.Effect<WebsocketAPIClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    // Its own listeners write to the console.
    Effect.sync(() => new WebsocketAPIClient({ wsUrl: ws, attachEventListeners: false, ...options }, silent)),
    (client) =>
      Effect.sync(() => {
        client.getWSClient().removeAllListeners()
        client.getWSClient().closeAll(true)
      })
  )

export interface Followed {
  /** What its calls failed with, in order. */
  readonly errors: ReadonlyArray<Error>
}

/**
 * Calls a `watch…` of ccxt again and again, also after an error, as its manual shows, until the scope closes. `take` may
 * be slow.
 */
export const follow = <A>(
  watch: () => Promise<A>,
  take: (value: A) => unknown,
  failed: (error: Error) => void = () => {}
): Effect.Effect<Followed, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const state = { isOver: false, errors: [] as Array<Error> }
        const run = async (): Promise<void> => {
          while (!state.isOver) {
            try {
              await take(await watch())
            } catch (error) {
              if (state.isOver) return
              state.errors.push(error as Error)
              failed(error as Error)
              await new Promise((resolve) => setTimeout(resolve, 1))
            }
          }
        }
        void run()
        return state
      }),
      (state) => Effect.sync(() => void (state.isOver = true))
    ),
    (state): Followed => state
  )

/** What never comes ends a wait after so long, ms. A busy machine takes its time: no promise is about this. */
const longest = 60_000

/**
 * Lets simulated time pass, `ticks` at once, until the condition holds; the sockets have a turn between. Dies when it
 * does not hold in the end. For a simulator with `autoRun: false`: the same seed then gives the same frames.
 */
export const passUntil = (
  simulator: SimulatorService,
  condition: () => boolean,
  { ticks = 10 }: { readonly ticks?: number } = {}
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const began = yield* Clock.currentTimeMillis
    while ((yield* Clock.currentTimeMillis) - began < longest) {
      if (condition()) return
      yield* simulator.tick(ticks)
      yield* Effect.sleep(3)
    }
    return yield* Effect.die(new Error(`does not hold after ${longest} ms, ${ticks} ticks at once: ${condition}`))
  })

/**
 * The first candle of ccxt that is whole: a later one has come, so that the frame that closes it has come. Gate may leave
 * that frame out, and the simulator does with every fourth; it is none of those.
 */
export const wholeCandle = (candles: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<number> | undefined =>
  candles.slice(0, -1).find(([openTime]) => openTime! / 60_000 % 4 !== 3)

/** Waits, while simulated time stands still, until the condition holds. */
export const settled = (condition: () => boolean, most = longest): Effect.Effect<void> =>
  Effect.gen(function*() {
    for (let waited = 0; waited < most; waited += 2) {
      if (condition()) return
      yield* Effect.sleep(2)
    }
    return yield* Effect.die(new Error(`does not hold after ${most} ms: ${condition}`))
  })

/** Price and quantity as numbers, best first. */
export type Side = ReadonlyArray<readonly [price: number, quantity: number]>

export interface Levels {
  readonly bids: Side
  readonly asks: Side
}

const sideOf = (levels: ReadonlyArray<WorldLevel>): Side => levels.map(({ price, quantity }) => [+price, +quantity])

export const levelsOf = ({ asks, bids }: WorldBook): Levels => ({ bids: sideOf(bids), asks: sideOf(asks) })

/** A book of ccxt as it is now. */
export const ccxtLevels = (exchange: Ccxt, pair: string): Levels => {
  const side = (name: "bids" | "asks"): Side =>
    Array.from(
      exchange.orderbooks[pair]?.[name] ?? [],
      ([price, quantity]: ReadonlyArray<number>) => [price!, quantity!]
    )
  return { bids: side("bids"), asks: side("asks") }
}
