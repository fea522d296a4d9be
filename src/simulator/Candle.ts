/** One stretch of trading. Prices are in price units, quantities in quantity units. */

export class Candle {
  open: number
  high: number
  low: number
  close: number
  quantity = 0
  /** Price units times quantity units. */
  turnover = 0
  /** The part of `quantity` that takers bought. */
  bought = 0

  constructor(price: number) {
    this.open =
      this.high =
      this.low =
      this.close =
        price
  }

  trade(price: number, quantity: number, bought: boolean): void {
    this.close = price
    if (price > this.high) this.high = price
    if (price < this.low) this.low = price
    this.quantity += quantity
    this.turnover += price * quantity
    if (bought) this.bought += quantity
  }

  /** Continues with what came next. */
  join(next: Candle): void {
    this.close = next.close
    this.high = Math.max(this.high, next.high)
    this.low = Math.min(this.low, next.low)
    this.quantity += next.quantity
    this.turnover += next.turnover
    this.bought += next.bought
  }
}
