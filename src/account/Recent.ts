/**
 * A map of the latest: the last `keep` that were set for certain, and at most twice as many. In two generations, since
 * taking the oldest out of a map one by one costs more the more of them have gone.
 */
export class Recent<A> {
  readonly #keep: number
  #young = new Map<string, A>()
  #old = new Map<string, A>()

  constructor(keep: number) {
    this.#keep = keep
  }

  get(key: string): A | undefined {
    return this.#young.get(key) ?? this.#old.get(key)
  }

  has(key: string): boolean {
    return this.#young.has(key) || this.#old.has(key)
  }

  set(key: string, value: A): void {
    this.#young.set(key, value)
    if (this.#young.size < this.#keep) return
    this.#old = this.#young
    this.#young = new Map()
  }

  /** Whether it was there. */
  delete(key: string): boolean {
    const wasOld = this.#old.delete(key)
    return this.#young.delete(key) || wasOld
  }
}
