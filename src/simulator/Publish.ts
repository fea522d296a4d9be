/** Single events of a test's choice, beside what the market does by itself. */
import { Result, Schema } from "effect"
import * as Decimal from "../domain/Decimal.ts"
import { keyOf } from "./Ladder.ts"
import type { SimulatedMarket } from "./MarketModel.ts"
import * as Scaled from "./Scaled.ts"

/** Sets a level of the book (quantity "0" removes it), which is one version. Decimal text within the market's decimals. */
export const LevelChange = Schema.TaggedStruct("Level", {
  side: Schema.Literals(["bid", "ask"]),
  price: Schema.String,
  quantity: Schema.String
})

/** Prints a trade, which fills what accounts have at its price; the book stays as it is. */
export const TradePrint = Schema.TaggedStruct("Trade", {
  /** The taker's side. */
  side: Schema.Literals(["buy", "sell"]),
  price: Schema.String,
  quantity: Schema.String
})

/** Prints a liquidation on a swap, without a trade; the book stays as it is. */
export const LiquidationPrint = Schema.TaggedStruct("Liquidation", {
  /** Of the order that closes the position: `sell` closes a long one. */
  side: Schema.Literals(["buy", "sell"]),
  price: Schema.String,
  /** Contracts. */
  quantity: Schema.String
})

/** The mark price of a swap jumps, and finds its way back from there. */
export const MarkJump = Schema.TaggedStruct("Mark", { price: Schema.String })

/** A swap's funding falls due now, for all accounts. */
export const Funding = Schema.TaggedStruct("Funding", {
  /** Fraction of a position's value. Default: the one that has been announced. */
  rate: Schema.optional(Schema.String)
})

export const Change = Schema.Union([LevelChange, TradePrint, LiquidationPrint, MarkJump, Funding])
export type Change = typeof Change.Type

/** A market and what is done to it beside its book. */
export interface Place {
  readonly market: SimulatedMarket
  /** ms. */
  readonly time: number
  /** Lets its funding fall due; says how many positions there are. */
  readonly fund: (rate: string | undefined) => number
}

/**
 * Makes the change happen. Gives the book's new version, the id of the trade or liquidation, or how many positions were
 * funded; fails with what is wrong.
 */
export const publish = (place: Place, change: Change): Result.Result<number, string> => {
  switch (change._tag) {
    case "Mark":
      return jump(place, change.price)
    case "Funding":
      return fund(place, change.rate)
    default:
      return inMarket(place, change)
  }
}

const noSwap = ({ facts }: SimulatedMarket): Result.Result<number, string> => Result.fail(`${facts.pair} is no swap`)

const fund = ({ fund, market }: Place, rate: string | undefined): Result.Result<number, string> => {
  if (market.swap === null) return noSwap(market)
  return rate === undefined ? Result.succeed(fund(rate)) : Result.map(Decimal.parse(rate), () => fund(rate))
}

const jump = ({ market, time }: Place, price: string): Result.Result<number, string> => {
  const { facts, swap } = market
  if (swap === null || facts.swap === null) return noSwap(market)
  const units = Scaled.fromText(price, facts.swap.markDecimals)
  if (units === null || units === 0) {
    return Result.fail(`the price "${price}" is no positive decimal with at most ${facts.swap.markDecimals} decimals`)
  }
  swap.jump(units, time)
  market.observer?.onMove(time)
  return Result.succeed(swap.markCount)
}

const inMarket = (
  { market, time }: Place,
  change: typeof LevelChange.Type | typeof TradePrint.Type | typeof LiquidationPrint.Type
): Result.Result<number, string> => {
  const { priceDecimals, quantityDecimals } = market.facts
  const price = Scaled.fromText(change.price, priceDecimals)
  const quantity = Scaled.fromText(change.quantity, quantityDecimals)
  if (price === null || price === 0) {
    return Result.fail(`the price "${change.price}" is no positive decimal with at most ${priceDecimals} decimals`)
  }
  if (quantity === null) {
    return Result.fail(`the quantity "${change.quantity}" is no decimal with at most ${quantityDecimals} decimals`)
  }
  if (change._tag === "Level") return setLevel(market, change.side, price, quantity, time)
  if (quantity === 0) return Result.fail("a trade needs a quantity above 0")
  if (change._tag === "Trade") {
    const { id } = market.print(change.side, price, quantity, time)
    market.observer?.onTrade(change.side, price, quantity, time)
    return Result.succeed(id)
  }
  const { facts, swap } = market
  return swap === null
    ? Result.fail(`${facts.pair} is no swap: nothing is liquidated there`)
    : Result.succeed(
      swap.print({
        side: change.side,
        price: Scaled.toText(price, priceDecimals),
        quantity: Scaled.toText(quantity, quantityDecimals),
        time
      }).id
    )
}

const setLevel = (
  { book, observer }: SimulatedMarket,
  side: "bid" | "ask",
  price: number,
  quantity: number,
  time: number
): Result.Result<number, string> => {
  const key = keyOf(side, price)
  const opposite = side === "bid" ? book.asks : book.bids
  const own = side === "bid" ? book.bids : book.asks
  if (quantity > 0 && key >= -opposite.best) return Result.fail("the level would cross the book")
  if (quantity === own.quantityAt(key)) return Result.fail("the level has this quantity already")
  book.set(key, quantity, time)
  const { version } = book
  observer?.onMove(time)
  return Result.succeed(version)
}
