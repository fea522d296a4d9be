/**
 * A book that remembers: every changed level is one version, and any version still held can be asked for. What a client
 * has built from the wire is compared with this.
 */
import type { WorldBook } from "../ExchangeDialect.ts"
import { sideOf } from "./Ladder.ts"
import type { Ladder } from "./Ladder.ts"

/** Changes between two copies of the whole book: so many are replayed at most to answer one question. */
const checkpointEvery = 512

interface Checkpoint {
  readonly version: number
  readonly time: number
  readonly bids: Ladder
  readonly asks: Ladder
}

export interface BookOptions {
  readonly priceDecimals: number
  readonly quantityDecimals: number
  /** Version of the first state. */
  readonly version: number
  /** ms. */
  readonly time: number
  /** Changes held; rounded up to a power of two. */
  readonly history: number
}

export class SimulatedBook {
  readonly bids: Ladder
  readonly asks: Ladder
  readonly priceDecimals: number
  readonly quantityDecimals: number
  /** Version after the last change. */
  version: number
  /** Of the last change, ms. */
  time: number
  /** Version of the last change of a best level. */
  topVersion: number
  /** ms. */
  topTime: number
  readonly #first: number
  readonly #size: number
  // A ring: the change that made version v stands at (v - first) mod size.
  readonly #keys: Float64Array
  readonly #quantities: Float64Array
  readonly #times: Float64Array
  readonly #checkpoints: Array<Checkpoint> = []

  constructor(options: BookOptions, bids: Ladder, asks: Ladder) {
    this.bids = bids
    this.asks = asks
    this.priceDecimals = options.priceDecimals
    this.quantityDecimals = options.quantityDecimals
    this.version = this.topVersion = this.#first = options.version
    this.time = this.topTime = options.time
    this.#size = 2 ** Math.ceil(Math.log2(Math.max(options.history, 2 * checkpointEvery)))
    this.#keys = new Float64Array(this.#size)
    this.#quantities = new Float64Array(this.#size)
    this.#times = new Float64Array(this.#size)
    this.#checkpoint()
  }

  /** Changes that the history holds. */
  get size(): number {
    return this.#size
  }

  /** Sets the quantity of a level (0 removes it): one version further. Time does not run backwards. */
  set(key: number, quantity: number, at: number): void {
    const touchesBest = (key > 0 ? this.bids : this.asks).set(key, quantity)
    const version = ++this.version
    const time = this.time = Math.max(this.time, at)
    if (touchesBest) {
      this.topVersion = version
      this.topTime = time
    }
    // ToInt32 keeps the low 32 bits of any safe integer, so the mask works at every version.
    const slot = (version - this.#first) & (this.#size - 1)
    this.#keys[slot] = key
    this.#quantities[slot] = quantity
    this.#times[slot] = time
    if ((version - this.#first) % checkpointEvery === 0) this.#checkpoint()
  }

  /** Collects the keys of all levels changed after `version`. */
  touchedSince(version: number, into: Set<number>): void {
    for (let v = version + 1; v <= this.version; v++) into.add(this.#keys[(v - this.#first) & (this.#size - 1)]!)
  }

  /** The oldest version that can be asked for. */
  get oldest(): number {
    return this.#checkpoints[0]!.version
  }

  /** The whole book as it was at `version`, at most `limit` levels a side; undefined when it is not held. */
  at(version: number, limit = Infinity): WorldBook | undefined {
    if (!Number.isSafeInteger(version) || version > this.version || version < this.oldest) return undefined
    if (version === this.version) return this.#view(version, this.time, this.bids, this.asks, limit)
    const checkpoint = this.#checkpoints.findLast((checkpoint) => checkpoint.version <= version)!
    const bids = checkpoint.bids.copy()
    const asks = checkpoint.asks.copy()
    let time = checkpoint.time
    for (let v = checkpoint.version + 1; v <= version; v++) {
      const slot = (v - this.#first) & (this.#size - 1)
      const key = this.#keys[slot]!
      const ladder = sideOf(key) === "bid" ? bids : asks
      ladder.set(key, this.#quantities[slot]!)
      time = this.#times[slot]!
    }
    return this.#view(version, time, bids, asks, limit)
  }

  /** The last version made at or before `time` (ms), or the oldest one held. */
  versionAt(time: number): number {
    let low = this.oldest
    let high = this.version
    while (low < high) {
      const middle = low + Math.ceil((high - low) / 2)
      if (this.#times[(middle - this.#first) & (this.#size - 1)]! <= time) low = middle
      else high = middle - 1
    }
    return low
  }

  #checkpoint(): void {
    const checkpoints = this.#checkpoints
    checkpoints.push({ version: this.version, time: this.time, bids: this.bids.copy(), asks: this.asks.copy() })
    // Every change behind the oldest copy has to stay in the ring until the next copy is made.
    while (checkpoints[0]!.version < this.version - this.#size + checkpointEvery) checkpoints.shift()
  }

  #view(version: number, time: number, bids: Ladder, asks: Ladder, limit: number): WorldBook {
    return {
      version,
      time,
      bids: bids.levels(limit, this.priceDecimals, this.quantityDecimals),
      asks: asks.levels(limit, this.priceDecimals, this.quantityDecimals)
    }
  }
}
