/** Collects one side of a book while it is read. */
export class LevelBuffer {
  private numbers = new Float64Array(256)
  /** Of numbers: two a level. */
  length = 0

  clear(): void {
    this.length = 0
  }

  add(price: number, quantity: number): void {
    const { length } = this
    if (length === this.numbers.length) this.grow()
    this.numbers[length] = price
    this.numbers[length + 1] = quantity
    this.length = length + 2
  }

  /** Flat levels, `[price, quantity, …]`. Made in their final length: an array that grows took twice as long (2026-11-26). */
  toArray(): Array<number> {
    const { length, numbers } = this
    const levels: Array<number> = new Array(length)
    for (let i = 0; i < length; i++) levels[i] = numbers[i]!
    return levels
  }

  private grow(): void {
    const numbers = new Float64Array(2 * this.numbers.length)
    numbers.set(this.numbers)
    this.numbers = numbers
  }
}
