/** How long a connection may bring nothing of any of its topics, and whether the alarms about it were false. */
import { ArrivalModel, defaultFactor } from "./ArrivalModel.ts"
import type { Continuity } from "./Continuity.ts"
import type { Setting } from "./SetClock.ts"
import { corrected } from "./SetClock.ts"

/** Where little has come it is left to its topics, and so is the floor. */
const bounds = {
  floor: 0,
  ceiling: Number.POSITIVE_INFINITY,
  initial: Number.POSITIVE_INFINITY,
  factor: defaultFactor
}

/** Looks are apart as it is. */
const burst = 0

/** No connection is given more time than that to bring anything, ms. */
const longest = 10 * 60_000

/** So long after something came again its topics have told whether they had missed anything, ms. */
const judgedAfter = 2_000

interface Alarm {
  /** When the last data had come, ms. */
  readonly since: number
  /** When data came again, ms; 0 before. */
  over: number
  /** What the exchange's own numbers told of its topics since. */
  verdict: Continuity
}

/**
 * Learned from all topics together, it is known within seconds. It looks at when data came last a few times a second, so
 * that nothing is to be done for each arrival; a gap comes out longer by that at the most.
 */
export class LinkSilence {
  #model = new ArrivalModel(bounds, burst)
  #dataAt = 0
  #alarm: Alarm | null = null
  /** How long it had been silent at the first alarm, ms. */
  #silentFor = 0
  /** How often in a row an alarm was raised. */
  alarms = 0
  /** When the last one was, ms. */
  alarmedAt = 0
  /** From when on it has brought something as often as usual, as far as looks tell, ms; 0: all the while. */
  heardSince = 0

  /**
   * `dataAt`: when data came last, 0 before. `excusedAt`: until when we did not read. `at`: now. ms. Where data has come again behind
   * an alarm: when the last before it had come; else null.
   */
  look(dataAt: number, excusedAt: number, at: number): number | null {
    const silentSince = dataAt > this.#dataAt ? this.#arrived(dataAt, excusedAt) : null
    if (at - Math.max(this.#dataAt, excusedAt) >= this.#model.bound) this.heardSince = at
    const alarm = this.#alarm
    if (alarm !== null && alarm.over !== 0 && at - alarm.over >= judgedAfter) this.#judge(alarm)
    return silentSince
  }

  #arrived(dataAt: number, excusedAt: number): number | null {
    if (excusedAt > this.#dataAt) this.#model.pause()
    this.#dataAt = dataAt
    this.#model.arrived(dataAt)
    this.alarms = 0
    const alarm = this.#alarm
    if (alarm === null || alarm.over !== 0) return null
    alarm.over = dataAt
    this.heardSince = dataAt
    return alarm.since
  }

  /** How long it may be silent, ms. Behind an alarm for as long again, and twice as long behind each further one. */
  get bound(): number {
    return this.alarms === 0 ? this.#model.bound : Math.min(longest, this.#silentFor * 2 ** (this.alarms - 1))
  }

  /** `silentFor`: how long it has been silent, ms. */
  alarmed(at: number, silentFor: number): void {
    if (this.alarms === 0) this.#silentFor = silentFor
    this.alarms++
    this.alarmedAt = at
    this.#alarm ??= { since: this.#dataAt, over: 0, verdict: "unknown" }
    this.#model.pause()
  }

  /** What an alarm about one of its topics turned out to be. */
  judged(verdict: Continuity): void {
    const alarm = this.#alarm
    if (alarm === null || verdict === "unknown" || alarm.verdict === "missed") return
    alarm.verdict = verdict
  }

  /** A topic has left: the others may be slower. */
  restart(): void {
    this.#model = new ArrivalModel(bounds, burst)
  }

  /** The connection was lost: what comes next does not go on from what came last. */
  pause(): void {
    this.#model.pause()
  }

  clockSet(setting: Setting): void {
    this.#model.pause()
    this.#dataAt = corrected(setting, this.#dataAt)
    this.alarmedAt = corrected(setting, this.alarmedAt)
    this.heardSince = corrected(setting, this.heardSince)
    if (this.#alarm === null) return
    const { over, since, verdict } = this.#alarm
    this.#alarm = { since: corrected(setting, since), over: corrected(setting, over), verdict }
  }

  #judge({ over, since, verdict }: Alarm): void {
    this.#alarm = null
    if (verdict === "whole") this.#model.learn(over - since)
    else if (verdict === "unknown") this.#model.suspect(over - since)
  }
}
