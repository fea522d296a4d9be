/** Single events of a test's choice, beside what the market does by itself. */
import { Result, Schema } from "effect"
import { keyOf } from "./Ladder.ts"
import type { SimulatedMarket } from "./MarketModel.ts"
import * as Scaled from "./Scaled.ts"

/** Sets a level of the book (quantity "0" removes it), which is one version. Decimal text within the market's decimals. */
export const LevelChange = Schema.TaggedStruct("Level", {
  side: Schema.Literals(["bid", "ask"]),
  price: Schema.String,
  quantity: Schema.String
})

/** Prints a trade; the book stays as it is. */
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

export const Change = Schema.Union([LevelChange, TradePrint, LiquidationPrint])
export type Change = typeof Change.Type

/** Makes the change happen. Gives the book's new version, or the id of the trade or liquidation; fails with what is wrong. */
export const publish = (market: SimulatedMarket, change: Change, time: number): Result.Result<number, string> => {
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
  if (change._tag === "Trade") return Result.succeed(market.print(change.side, price, quantity, time).id)
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
  { book }: SimulatedMarket,
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
  return Result.succeed(book.version)
}
