/** Whatever the time says, a generation holds no more than so many times what it has to keep. */
const most = 20

/**
 * A map of the latest: the last `keep` that were set for certain, and at most twice as many; or, where they come fast, those of
 * the last `forMillis`. In two generations, since taking the oldest out of a map one by one costs more the more of them have gone.
 */
export class Recent<A> {
  readonly #keep: number
  readonly #forMillis: number
  /** When the first of the young ones came, ms. */
  #since = 0
  #young = new Map<string, A>()
  #old = new Map<string, A>()

  constructor(keep: number, forMillis = 0) {
    this.#keep = keep
    this.#forMillis = forMillis
  }

  get(key: string): A | undefined {
    return this.#young.get(key) ?? this.#old.get(key)
  }

  has(key: string): boolean {
    return this.#young.has(key) || this.#old.has(key)
  }

  /** `at`: ms; needed where time counts. */
  set(key: string, value: A, at = 0): void {
    if (this.#young.size === 0) this.#since = at
    this.#young.set(key, value)
    const { size } = this.#young
    if (size < this.#keep || (at - this.#since < this.#forMillis && size < most * this.#keep)) return
    this.#old = this.#young
    this.#young = new Map()
  }

  /** Whether it was there. */
  delete(key: string): boolean {
    const wasOld = this.#old.delete(key)
    return this.#young.delete(key) || wasOld
  }
}
