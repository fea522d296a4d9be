/** The accounts of one simulated exchange: keys, and one matching for each market that all of them share. */
import { BigDecimal } from "effect"
import type { AccountWorld, WorldKey } from "../AccountWorld.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import type { Entry, Match } from "./OrderMatching.ts"
import { OrderMatching } from "./OrderMatching.ts"
import type { AccountMarket, Held } from "./SimulatedAccount.ts"
import { SimulatedAccount } from "./SimulatedAccount.ts"
import type { SimulatedBook } from "./SimulatedBook.ts"
import { SwapPosition } from "./SwapPosition.ts"

/** An account to begin with. */
export interface AccountSeed {
  readonly userId: string
  readonly keys: ReadonlyArray<WorldKey>
  /** Asset to amount. */
  readonly balances: Readonly<Record<string, string>>
}

/** A market as the accounts are built on it. */
export interface MarketSource {
  readonly pair: TradingPair
  readonly base: string
  readonly quote: string
  readonly priceDecimals: number
  readonly quantityDecimals: number
  readonly minQuantity: string
  readonly minNotional: string
  /** Null on spot. */
  readonly contractSize: string | null
  /** As it is now: looking at it may bring the market up to date. */
  readonly book: SimulatedBook
  /** Tells a trade to those who watch the market. In units. */
  readonly print: (side: "buy" | "sell", price: number, quantity: number, time: number) => void
  /** Decimal text. */
  readonly markPrice: () => string
}

export interface AccountsOptions {
  readonly markets: ReadonlyArray<MarketSource>
  readonly seeds: ReadonlyArray<AccountSeed>
  /** Fractions of the value. */
  readonly fees: { readonly maker: string; readonly taker: string }
  /** The exchange's clock, which stamps orders and fills, ms. */
  readonly now: () => number
  /** Time of the markets, ms. Default: `now`. */
  readonly marketTime?: (() => number) | undefined
}

/** Of every contract; an exchange has tiers. */
const leverageMax = Decimal.of("100")
const maintenanceRate = Decimal.of("0.005")

interface Owned {
  readonly held: Held
  readonly account: SimulatedAccount
}

export class Accounts implements AccountWorld {
  readonly all: ReadonlyArray<SimulatedAccount>
  readonly #markets: ReadonlyMap<TradingPair, AccountMarket>
  readonly #owners = new WeakMap<Entry, Owned>()
  readonly #now: () => number
  readonly #byKey = new Map<string, { readonly key: WorldKey; readonly account: SimulatedAccount }>()
  #orders = 0
  #trades = 0

  constructor(options: AccountsOptions) {
    this.#now = options.now
    const maker = Decimal.of(options.fees.maker)
    const taker = Decimal.of(options.fees.taker)
    this.#markets = new Map(
      options.markets.map((source) => [source.pair, this.#marketOf(source, maker, taker)])
    )
    const around = {
      markets: this.#markets,
      now: options.now,
      marketTime: options.marketTime ?? options.now,
      nextOrderId: () => ++this.#orders,
      register: (entry: Entry, held: Held, account: SimulatedAccount) =>
        void this.#owners.set(entry, { held, account }),
      makePosition: (market: AccountMarket) =>
        new SwapPosition({
          pair: market.pair,
          contractSize: market.contractSize!,
          leverageMax,
          maintenanceRate,
          closingFeeRate: taker
        })
    }
    this.all = options.seeds.map(({ balances, keys, userId }) => {
      const account = new SimulatedAccount(userId, around)
      for (const [asset, amount] of Object.entries(balances)) account.deposit(asset, Decimal.of(amount))
      for (const key of keys) this.#byKey.set(key.apiKey, { key, account })
      return account
    })
  }

  readonly find: AccountWorld["find"] = (apiKey) => this.#byKey.get(apiKey) ?? null

  /** Where an account has an open order or a position: those markets may not rest. */
  concerned(): ReadonlySet<TradingPair> {
    return new Set(this.all.flatMap((account) => account.concerned()))
  }

  /** Somebody else traded. Price and quantity in units of the market. */
  onTrade(pair: TradingPair, takerSide: "buy" | "sell", price: number, quantity: number, time: number): void {
    const market = this.#markets.get(pair)
    if (market === undefined) return
    if (market.matching.resting > 0) market.matching.onTrade(takerSide, price, quantity, time)
    const last = BigDecimal.make(BigInt(price), market.priceDecimals)
    for (const account of this.all) account.trigger(pair, last)
  }

  /** The market's book has moved. */
  settle(pair: TradingPair, time: number): void {
    const market = this.#markets.get(pair)
    if (market === undefined) return
    if (market.matching.resting > 0) market.matching.settle(time)
    if (market.contractSize === null) return
    for (const account of this.all) account.liquidate(pair, market.markPrice)
  }

  /** Dead man's switches that have run out. */
  tick(now: number): void {
    for (const account of this.all) account.tick(now)
  }

  /**
   * The funding of a contract falls due: a fraction of each position's value at the mark price. Says how many positions
   * there are.
   */
  fund(pair: TradingPair, rate: string): number {
    const market = this.#markets.get(pair)
    if (market === undefined) return 0
    const mark = market.markPrice()
    return this.all.filter((account) => account.fund(pair, Decimal.of(rate), mark)).length
  }

  #marketOf(source: MarketSource, makerFee: Decimal.Decimal, takerFee: Decimal.Decimal): AccountMarket {
    let matching: OrderMatching | undefined
    const onMatch = (match: Match, time: number): void => this.#onMatch(source, match, time)
    return {
      pair: source.pair,
      base: source.base,
      quote: source.quote,
      priceDecimals: source.priceDecimals,
      quantityDecimals: source.quantityDecimals,
      minQuantity: Decimal.of(source.minQuantity),
      minNotional: Decimal.of(source.minNotional),
      contractSize: source.contractSize === null ? null : Decimal.of(source.contractSize),
      makerFee,
      takerFee,
      get matching() {
        const { book } = source
        return matching ??= new OrderMatching(book, onMatch)
      },
      markPrice: () => Decimal.of(source.markPrice())
    }
  }

  #onMatch(source: MarketSource, { maker, price, quantity, taker, told }: Match, time: number): void {
    if (!told) {
      const takerSide = taker?.side ?? (maker!.side === "buy" ? "sell" : "buy")
      source.print(takerSide, price, quantity, time)
    }
    const id = ++this.#trades
    // The resting side first, as exchanges report it.
    this.#fill(maker, id, price, quantity, "maker")
    this.#fill(taker, id, price, quantity, "taker")
    for (const entry of [maker, taker]) {
      const owned = entry === null ? undefined : this.#owners.get(entry)
      owned?.account.followPosition(owned.held.market)
    }
  }

  #fill(entry: Entry | null, id: number, price: number, quantity: number, liquidity: "maker" | "taker"): void {
    const owned = entry === null ? undefined : this.#owners.get(entry)
    owned?.account.onFill(owned.held, id, price, quantity, liquidity, this.#now())
  }
}
