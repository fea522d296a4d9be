/**
 * How long sockets may work on what they have read in one turn of the event loop, all of them together. What they do not get
 * done waits for the next turn, behind timers and what other sockets were sent. Without it libuv reads a socket that is
 * flooded 32 times in a row, 256 KiB each, and nothing else in the program comes to its turn.
 */
import { type Clock, Scheduler } from "effect"
import { monotonicMillis } from "../domain/ClockTime.ts"

/** ms. */
export const budgetMillis = 0.25

/**
 * Longer than this no read is worked on without a pause, ms. One of usual frames takes less, and to break it off would cost as
 * much as it is worth: what is left has to be kept apart from the next read.
 */
export const longestMillis = 0.75

/** The same of all reads of a turn, ms: where many sockets are read in one, each has its usual frames. */
export const turnMillis = 1.5

/** Pieces of work between which so much time passes are of different turns, ms. */
const apartMillis = 0.25

/** Works on what waits until the budget is spent, and says whether any is left. */
export type GoOn = () => boolean

export class TurnBudget {
  private readonly now: () => number
  private readonly nextTurn: (run: () => void) => void
  private began = Number.NEGATIVE_INFINITY
  /** All work since then is of the present turn. */
  private isSame = false
  /** When the present piece of work began. */
  private pieceBegan = Number.NEGATIVE_INFINITY
  /** When there was work last. */
  private worked = Number.NEGATIVE_INFINITY
  /** By owner, the next one first. */
  private readonly waiting = new Map<string, Array<GoOn>>()
  private isDue = false

  constructor(now: () => number, nextTurn: (run: () => void) => void) {
    this.now = now
    this.nextTurn = nextTurn
  }

  /** Work begins, beside what others have done in this turn. */
  begin(): void {
    const now = this.now()
    if (now - this.worked > apartMillis) this.began = now
    this.worked = this.pieceBegan = now
  }

  /** Counts what was worked on up to now, and says whether that is all: between two pieces of work (reads, batches, turns of those that wait). */
  checkSpent(): boolean {
    return this.check(budgetMillis)
  }

  /** The same now and then within one piece. */
  checkExceeded(): boolean {
    return this.check(turnMillis) || this.worked - this.pieceBegan >= longestMillis
  }

  /**
   * The first time that so much seems to be taken only begins the turn's own time, for where many sockets have little each, some
   * of it may have been in turns before: so a turn may take twice as long.
   */
  private check(millis: number): boolean {
    this.worked = this.now()
    if (this.worked - this.began < millis) return false
    if (this.isSame) return true
    this.beginTurn()
    return false
  }

  /** From here on it is measured, to the turn's end. */
  private beginTurn(): void {
    this.isSame = true
    this.began = this.worked
    this.nextTurn(this.ended)
  }

  private readonly ended = (): void => {
    this.isSame = false
  }

  /**
   * Called in the next turns until nothing is left, in turn with the others that wait. Owners take turns, and so do those of
   * one owner: an exchange with many sockets has no more time than one with a single one.
   */
  wait(owner: string, goOn: GoOn): void {
    const queue = this.waiting.get(owner)
    if (queue === undefined) this.waiting.set(owner, [goOn])
    else queue.push(goOn)
    this.schedule()
  }

  private schedule(): void {
    if (this.isDue || this.waiting.size === 0) return
    this.isDue = true
    this.nextTurn(this.run)
  }

  private readonly run = (): void => {
    this.isDue = false
    this.began = this.pieceBegan = this.worked = this.now()
    this.isSame = true
    try {
      for (let left = this.count(); left > 0; left--) {
        this.serveNext()
        if (this.checkSpent()) return
      }
    } finally {
      this.isSame = false
      this.schedule()
    }
  }

  private count(): number {
    let count = 0
    for (const queue of this.waiting.values()) count += queue.length
    return count
  }

  private serveNext(): void {
    const [owner, queue] = this.waiting.entries().next().value!
    const goOn = queue.shift()!
    // Behind the other owners.
    this.waiting.delete(owner)
    if (queue.length > 0) this.waiting.set(owner, queue)
    if (goOn()) this.wait(owner, goOn)
  }
}

const dispatcher = new Scheduler.MixedScheduler().makeDispatcher()

const budgets = new WeakMap<Clock.Clock, TurnBudget>()

/** The one that all sockets with this clock share, whatever exchange they are of: they have one event loop. */
export const of = (clock: Clock.Clock): TurnBudget => {
  const known = budgets.get(clock)
  if (known !== undefined) return known
  const budget = new TurnBudget(() => monotonicMillis(clock), (run) => dispatcher.scheduleTask(run, 0))
  budgets.set(clock, budget)
  return budget
}
