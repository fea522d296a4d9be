/**
 * A `Map` whose entries come and go. When V8 makes a new table for a `Map`, the old one goes on to hold what was in it, and leads to
 * the new one: where the first is in the old generation, all that has passed through lives until a full collection, and each small
 * collection copies it. So the map is made anew now and then, and no old table leads to the new one's.
 */
export class PassingMap<K, V> {
  #all = new Map<K, V>()
  /** Entries that have left since it was made. */
  #left = 0

  get size(): number {
    return this.#all.size
  }

  get(key: K): V | undefined {
    return this.#all.get(key)
  }

  has(key: K): boolean {
    return this.#all.has(key)
  }

  set(key: K, value: V): void {
    this.#all.set(key, value)
  }

  delete(key: K): boolean {
    const was = this.#all.delete(key)
    if (was && ++this.#left >= Math.max(fewest, this.#all.size)) this.#renew()
    return was
  }

  /** As it is now: what comes or goes meanwhile may be missed. */
  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.#all[Symbol.iterator]()
  }

  keys(): MapIterator<K> {
    return this.#all.keys()
  }

  values(): MapIterator<V> {
    return this.#all.values()
  }

  #renew(): void {
    this.#left = 0
    this.#all = new Map(this.#all)
  }
}

/** No more often than this: a table has room for more. */
const fewest = 16
