/** The symbols that an account has to do with, where the exchange looks fills and open orders up by symbol only. */
export class Symbols {
  readonly #known: Set<string>

  constructor(symbols: Iterable<string> = []) {
    this.#known = new Set(symbols)
  }

  add(symbol: string): void {
    this.#known.add(symbol)
  }

  get all(): ReadonlyArray<string> {
    return [...this.#known]
  }
}
