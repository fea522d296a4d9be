/**
 * A map of text to text of the latest, in a fixed space: for names that must be known again long after what they named is gone.
 * As strings in a `Map`, tens of thousands of them would be most of what a program holds, and it would grow for hours until it
 * remembers as many. Here all of it is taken at the start, and entries are told apart exactly: by their text, not by its hash.
 */

/** A slot of an index: nothing was ever here; what was here was taken out; else where the entry begins, counted from 1. */
const empty = 0
const removed = -1

/** Of an entry in front of its text: the lengths of key and value. */
const header = 2

const longest = 0xffff

/** FNV-1a over UTF-16 units, with the finish of MurmurHash3, since names that are counted up differ in their last digits alone. */
const hashOf = (key: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

class Generation {
  /** Open addressing, at most half full. */
  readonly #slots: Int32Array
  readonly #mask: number
  #text: Uint16Array
  #end = 0
  /** Entries that were set, and may have been taken out. */
  count = 0

  constructor(keep: number, expected: number) {
    const size = 2 ** Math.ceil(Math.log2(2 * keep))
    this.#slots = new Int32Array(size)
    this.#mask = size - 1
    this.#text = new Uint16Array(keep * expected)
  }

  get(key: string, hash: number): string | undefined {
    const slot = this.#find(key, hash)
    return slot < 0 ? undefined : this.#valueAt(this.#slots[slot]! - 1)
  }

  has(key: string, hash: number): boolean {
    return this.#find(key, hash) >= 0
  }

  /** The key is not there. */
  add(key: string, value: string, hash: number): void {
    let slot = hash & this.#mask
    while (this.#slots[slot]! > 0) slot = (slot + 1) & this.#mask
    this.#slots[slot] = this.#append(key, value) + 1
    this.count++
  }

  /** Whether it was there. */
  delete(key: string, hash: number): boolean {
    const slot = this.#find(key, hash)
    if (slot >= 0) this.#slots[slot] = removed
    return slot >= 0
  }

  clear(): void {
    this.#slots.fill(empty)
    this.#end = 0
    this.count = 0
  }

  /** Negative: it is not there. */
  #find(key: string, hash: number): number {
    for (let slot = hash & this.#mask;; slot = (slot + 1) & this.#mask) {
      const at = this.#slots[slot]!
      if (at === empty) return -1
      if (at > 0 && this.#isAt(at - 1, key)) return slot
    }
  }

  #isAt(at: number, key: string): boolean {
    if (this.#text[at] !== key.length) return false
    for (let i = 0; i < key.length; i++) if (this.#text[at + header + i] !== key.charCodeAt(i)) return false
    return true
  }

  #valueAt(at: number): string {
    const begin = at + header + this.#text[at]!
    return String.fromCharCode(...this.#text.subarray(begin, begin + this.#text[at + 1]!))
  }

  /** Where it begins. */
  #append(key: string, value: string): number {
    const at = this.#end
    this.#end += header + key.length + value.length
    if (this.#end > this.#text.length) {
      const larger = new Uint16Array(2 * this.#end)
      larger.set(this.#text)
      this.#text = larger
    }
    this.#text[at] = key.length
    this.#text[at + 1] = value.length
    this.#write(at + header, key)
    this.#write(at + header + key.length, value)
    return at
  }

  #write(at: number, text: string): void {
    for (let i = 0; i < text.length; i++) this.#text[at + i] = text.charCodeAt(i)
  }
}

/**
 * The last `keep` that were set for certain, and at most twice as many. A key or value of more than 65,535 UTF-16 units, as no
 * exchange has them, is not remembered.
 */
export class RecentText {
  readonly #keep: number
  #young: Generation
  #old: Generation

  /** `expected`: UTF-16 units of a key with its value. Where they are longer, the space grows once. */
  constructor(keep: number, expected = 64) {
    this.#keep = keep
    this.#young = new Generation(keep, expected)
    this.#old = new Generation(keep, expected)
  }

  get(key: string): string | undefined {
    const hash = hashOf(key)
    return this.#young.get(key, hash) ?? this.#old.get(key, hash)
  }

  has(key: string): boolean {
    const hash = hashOf(key)
    return this.#young.has(key, hash) || this.#old.has(key, hash)
  }

  set(key: string, value = ""): void {
    if (key.length > longest || value.length > longest) return
    const hash = hashOf(key)
    if (this.#young.get(key, hash) === value) return
    this.#young.delete(key, hash)
    this.#young.add(key, value, hash)
    if (this.#young.count < this.#keep) return
    const emptied = this.#old
    emptied.clear()
    this.#old = this.#young
    this.#young = emptied
  }

  /** Whether it was there. */
  delete(key: string): boolean {
    const hash = hashOf(key)
    const wasOld = this.#old.delete(key, hash)
    return this.#young.delete(key, hash) || wasOld
  }
}
