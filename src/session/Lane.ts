/** One of several connections that carry a topic: what is known of its copy of the stream. */
import type { MarketEvent } from "../domain/Market.ts"
import type { Setting } from "./SetClock.ts"
import { corrected } from "./SetClock.ts"

/** Something that waits for another lane. */
export interface Held {
  readonly event: MarketEvent
  /** It was delivered or counted by another way already. */
  readonly accounted: boolean
  /** When it began to wait, ms of the monotonic clock. */
  readonly since: number
}

export class Lane {
  /** Number of its connection. */
  readonly connection: number
  /** Which of the redundant connections it is, from 0. */
  readonly group: number
  /** The exchange has confirmed it. */
  live = false
  joined = false
  /** So far behind the others that what they brought is forgotten: it is of no use until it brings something known. */
  lapsed = false
  /** ms; 0 before. */
  confirmedAt = 0
  /** When it brought something last, ms; 0 before. */
  lastEventAt = 0
  /** What its order keeps of it. */
  memory: unknown = null
  /** Number of the last passed event that it has brought. */
  reached = 0
  /** Only what was passed behind this number joins it: what came before is on the other side of a break. */
  joinsBehind = 0
  held: Array<Held> = []

  constructor(connection: number, group: number) {
    this.connection = connection
    this.group = group
  }

  /** The machine's clock was set. */
  clockSet(setting: Setting): void {
    this.confirmedAt = corrected(setting, this.confirmedAt)
    this.lastEventAt = corrected(setting, this.lastEventAt)
  }
}
