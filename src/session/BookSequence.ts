/**
 * Aligns one book's snapshots and deltas by the exchange's recipe. Pure: no clock, no effect; what it decides it tells
 * its `Aligned`. What comes out is a snapshot, then deltas without a hole, until `hole` is called.
 */
import type { BookUpdate } from "../domain/Market.ts"
import type { Sequence } from "../domain/Sequence.ts"
import type { BookRecipe } from "../ExchangeAdapter.ts"

/** Receives the decisions, synchronously. */
export interface Aligned {
  /** The next update of an unbroken book. */
  readonly emit: (update: BookUpdate) => void
  /** Updates that the book already holds, or that came before the snapshot they would need. */
  readonly stale: (count: number) => void
  /** The chain broke behind `last`, before `update`; the machine waits for a snapshot from here on. */
  readonly hole: (last: Sequence, update: BookUpdate) => void
  /** A snapshot that was held proved too old: fetch another. Nothing of it was emitted. */
  readonly refetch: () => void
}

/** How many deltas wait for a snapshot. Older ones are given up, which makes the next snapshot join or be too old. */
export const pendingLimit = 8192

/**
 * For how long they wait, ms: a snapshot is no older than its request, and the exchange's cache, at the longest. Where snapshots are
 * not given out for minutes, what was kept of a thousand books would need a GB.
 */
export const pendingMillis = 20_000

/**
 * So many stale updates in a row are no duplicates any more: the exchange's counter has started anew, and waiting for it
 * to pass the old one would leave a dead book that looks alive.
 */
export const staleRunLimit = 256

/** What became of a snapshot that was fetched. */
export type Joined = "joined" | "held" | "tooOld" | "unwanted"

export class BookSequence {
  private readonly recipe: BookRecipe
  private readonly out: Aligned
  private isLive = false
  private lastVersion: Sequence = 0
  private pending: Array<BookUpdate> = []
  /** A snapshot that no delta has met yet: shown only when one joins it, or when the market is plainly quiet. */
  private heldSnapshot: BookUpdate | null = null
  /** Set while the first delta behind a snapshot that was shown without one is still to come. */
  private joining = false
  private staleRun = 0
  /** Rises with every reset: whoever is told of an update may close the book, and open it anew, before that returns. */
  private life = 0

  constructor(recipe: BookRecipe, out: Aligned) {
    this.recipe = recipe
    this.out = out
  }

  get live(): boolean {
    return this.isLive
  }

  /** Version of the last update that was emitted. */
  get last(): Sequence {
    return this.lastVersion
  }

  /** Version of the snapshot that waits for a delta to join it. */
  get held(): Sequence | null {
    return this.heldSnapshot === null ? null : this.heldSnapshot.version
  }

  /** Forgets everything: the connection was replaced. */
  reset(): void {
    if (this.pending.length > 0) this.out.stale(this.pending.length)
    this.life++
    this.pending = []
    this.isLive = false
    this.heldSnapshot = null
    this.joining = false
  }

  /**
   * Takes the update if it is the next delta of an unbroken book, and leaves it to the caller to emit; all else is for
   * `update`. The hot path.
   */
  follow(update: BookUpdate): boolean {
    if (!this.isLive || this.joining || update.kind === "snapshot") return false
    if (this.recipe.follows(this.lastVersion, update) !== "apply") return false
    this.staleRun = 0
    this.lastVersion = update.version
    return true
  }

  /** The next update from the wire. */
  update(update: BookUpdate): void {
    if (this.follow(update)) return this.out.emit(update)
    if (update.kind === "snapshot") return this.replace(update)
    if (!this.isLive) return this.wait(update)
    if (this.joining) return this.joinFirst(update)
    const isStale = this.recipe.follows(this.lastVersion, update) === "stale"
    if (isStale && ++this.staleRun < staleRunLimit) this.out.stale(1)
    else this.break(update)
  }

  /** A snapshot fetched by request. */
  snapshot(snapshot: BookUpdate): Joined {
    if (this.isLive) return "unwanted"
    if (this.heldSnapshot !== null && snapshot.version < this.heldSnapshot.version) return "held"
    let index = this.chain()
    for (; index < this.pending.length; index++) {
      const verdict = this.recipe.joins(snapshot.version, this.pending[index]!)
      if (verdict === "gap") return this.tooOld(index)
      if (verdict === "apply") break
    }
    this.out.stale(index)
    this.pending.splice(0, index)
    if (this.pending.length === 0) {
      this.heldSnapshot = snapshot
      return "held"
    }
    this.join(snapshot)
    return "joined"
  }

  /** Gives a held snapshot up. */
  discard(): void {
    this.heldSnapshot = null
  }

  /** Shows a held snapshot although no delta has met it: nothing has come for a while, so the market is quiet. */
  release(): void {
    if (this.heldSnapshot === null) return
    this.join(this.heldSnapshot)
  }

  /**
   * Where the unbroken end of what waits begins. Behind a hole nothing before it can be used, and an update whose version
   * is from far off (a damaged frame, a counter that began anew) would be too new for every snapshot.
   */
  private chain(): number {
    const pending = this.pending
    let index = pending.length - 1
    while (index > 0 && this.recipe.follows(pending[index - 1]!.version, pending[index]!) === "apply") index--
    return Math.max(index, 0)
  }

  /** Begins with a fetched snapshot, to be joined by what waits, or else by the first delta that comes. */
  private join(snapshot: BookUpdate): void {
    this.joining = true
    this.start(snapshot)
    this.drain()
  }

  private start(snapshot: BookUpdate): void {
    this.heldSnapshot = null
    this.isLive = true
    this.staleRun = 0
    this.lastVersion = snapshot.version
    this.out.emit(snapshot)
  }

  private replace(snapshot: BookUpdate): void {
    if (this.pending.length > 0) this.out.stale(this.pending.length)
    this.pending = []
    this.joining = false
    this.start(snapshot)
  }

  private wait(update: BookUpdate): void {
    if (this.recipe.snapshot !== "Fetch") return this.out.stale(1)
    if (this.heldSnapshot !== null) {
      const held = this.heldSnapshot
      const verdict = this.recipe.joins(held.version, update)
      if (verdict === "stale") return this.out.stale(1)
      this.heldSnapshot = null
      if (verdict === "apply") {
        this.pending.push(update)
        return this.join(held)
      }
      this.out.refetch()
    }
    this.pending.push(update)
    this.trim(update.receivedAt - pendingMillis)
  }

  /** Gives up what is older than that, or too much. */
  private trim(oldest: number): void {
    const { pending } = this
    while (pending.length > pendingLimit || pending[0]!.receivedAt < oldest) {
      pending.shift()
      this.out.stale(1)
    }
  }

  private joinFirst(update: BookUpdate): void {
    const verdict = this.recipe.joins(this.lastVersion, update)
    if (verdict === "stale") return this.out.stale(1)
    this.joining = false
    if (verdict === "gap") return this.break(update)
    this.lastVersion = update.version
    this.out.emit(update)
  }

  private break(update: BookUpdate): void {
    const last = this.lastVersion
    this.isLive = false
    this.joining = false
    this.pending = this.recipe.snapshot === "Fetch" ? [update] : []
    this.out.hole(last, update)
    if (this.recipe.snapshot !== "Fetch") this.out.stale(1)
  }

  /** Everything before `index` is stale for this snapshot, and for every later one too. */
  private tooOld(index: number): Joined {
    this.out.stale(index)
    this.pending.splice(0, index)
    return "tooOld"
  }

  private drain(): void {
    const pending = this.pending
    const life = this.life
    this.pending = []
    for (let i = 0; i < pending.length; i++) {
      this.update(pending[i]!)
      if (life === this.life) continue
      const left = pending.length - i - 1
      return left > 0 ? this.out.stale(left) : undefined
    }
  }
}
