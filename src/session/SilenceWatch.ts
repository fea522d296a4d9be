/** How long one topic may be silent, and whether the alarms about it were false. */
import { Duration } from "effect"
import type { MarketEvent } from "../domain/Market.ts"
import type { Sequence } from "../domain/Sequence.ts"
import type { BookRecipe, SilenceBound, SilenceBounds } from "../ExchangeAdapter.ts"
import type { ArrivalBounds } from "./ArrivalModel.ts"
import { ArrivalModel, defaultFactor } from "./ArrivalModel.ts"
import * as Continuity from "./Continuity.ts"
import type { Setting } from "./SetClock.ts"
import { corrected } from "./SetClock.ts"

/** ms, or what a learned bound keeps to. */
export type SilencePolicy = number | ArrivalBounds

const isLearned = (bound: SilenceBound): bound is Exclude<SilenceBound, Duration.Input> =>
  typeof bound === "object" && "floor" in bound

export const policyOf = (bound: SilenceBound): SilencePolicy => {
  if (!isLearned(bound)) return Duration.toMillis(bound)
  const floor = Duration.toMillis(bound.floor)
  const ceiling = Math.max(floor, Duration.toMillis(bound.ceiling))
  const initial = bound.initial === undefined ? ceiling : Math.min(ceiling, Duration.toMillis(bound.initial))
  return { floor, ceiling, initial, factor: bound.factor ?? defaultFactor }
}

/** Of each channel that has a bound. */
export const policiesOf = (bounds: SilenceBounds): ReadonlyMap<string, SilencePolicy> =>
  new Map(
    Object.entries(bounds).flatMap(([tag, bound]) => bound === null ? [] : [[tag, policyOf(bound)] as const])
  )

/** This much later than it was due, a look shows that the process did not run: nothing could be read either. */
const asleepMillis = 1_000

/** Since when the process has been running, as far as silence is concerned. */
export class Wakefulness {
  readonly #interval: number
  #lookedAt: number
  /** ms; 0: from the beginning. */
  since = 0

  /** `interval`: how often it looks, ms. */
  constructor(interval: number, at: number) {
    this.#interval = interval
    this.#lookedAt = at
  }

  look(at: number): void {
    if (at - this.#lookedAt > this.#interval + asleepMillis) this.since = at
    this.#lookedAt = at
  }

  /**
   * The machine's clock was set. By much it is taken for sleep: ahead it may have been that, and where it was set more than
   * once between two looks, stamps of in between cannot be told from old ones.
   */
  clockSet(setting: Setting): void {
    this.since = Math.abs(setting.by) > asleepMillis ? setting.at : corrected(setting, this.since)
  }
}

/** What stood when the topic was subscribed anew for being silent. */
interface Alarm {
  /** When the last event came, ms; 0 when none had. */
  readonly at: number
  /** The last event, where it is kept. */
  readonly before: MarketEvent | null
  /** Of the last best prices; NaN where there is none. */
  readonly version: number
  /** Up to which its book was in sync; null when it was not, or is none. */
  readonly last: Sequence | null
}

export class SilenceWatch {
  /** Less than this is never silence, whatever has been learned, ms. */
  readonly shortest: number
  readonly #fixed: number
  readonly #model: ArrivalModel | null
  readonly #recipe: BookRecipe | null
  readonly #onJudged: (verdict: Continuity.Continuity) => void
  /** The last event, where its version does not tell enough. */
  #before: MarketEvent | null = null
  #alarm: Alarm | null = null
  /** Up to which its book was in sync at the alarm, while its subscription may be dead; null when it was not, or is none. */
  #silentAt: Sequence | null = null

  /** `onJudged` is told of each alarm what the next event has shown: `whole`, it was a false one. */
  constructor(
    policy: SilencePolicy,
    recipe: BookRecipe | null,
    onJudged: (verdict: Continuity.Continuity) => void
  ) {
    this.shortest = typeof policy === "number" ? policy : Math.min(policy.floor, policy.initial)
    this.#fixed = typeof policy === "number" ? policy : 0
    this.#model = typeof policy === "number" ? null : new ArrivalModel(policy)
    this.#recipe = recipe
    this.#onJudged = onJudged
  }

  /** How long it may be silent, ms. */
  get bound(): number {
    return this.#model === null ? this.#fixed : this.#model.bound
  }

  /** The first event of those that come together, in one read or within a few ms: the others tell nothing. */
  arrived(event: MarketEvent): void {
    if (this.#alarm !== null) this.#judge(this.#alarm, event)
    if (this.#model !== null) this.#model.arrived(event.receivedAt)
  }

  /**
   * The last event, where its version does not tell enough: to keep each event of the frequent kinds would cost a third of
   * what the session takes for one, because a young object then hangs on an old one.
   */
  keep(event: MarketEvent): void {
    this.#before = event
  }

  /**
   * It was silent for too long and is subscribed anew. What comes next tells whether it had to be. `at`: when the last event
   * came, ms; 0 when none had. `version`: of the last best prices; NaN where there is none.
   */
  alarmed(at: number, version: number, last: Sequence | null): void {
    if (at === 0 && last === null) return
    this.#silentAt ??= last
    this.#alarm ??= { at, before: this.#before, version, last }
  }

  /**
   * Whether the exchange has gone on from where the topic fell silent, and nothing of it has come: a snapshot of this version
   * shows what the exchange has now, and the stream that should keep it so is dead.
   */
  hasMissed(version: Sequence): boolean {
    return this.#silentAt !== null && version > this.#silentAt
  }

  /** Its connection was lost: what it has missed then is no sign that its next subscription is dead. */
  lost(): void {
    this.#silentAt = null
  }

  /** Its connection was silent as a whole and is so no more: whatever it missed is no sign that its own stream is dead. */
  forget(): void {
    this.#alarm = null
    this.#silentAt = null
  }

  /** What comes next does not go on from what came last. */
  pause(): void {
    this.#model?.pause()
  }

  /** The machine's clock was set: the gap that it made tells nothing. */
  clockSet(setting: Setting): void {
    this.#model?.pause()
    if (this.#alarm !== null) this.#alarm = { ...this.#alarm, at: corrected(setting, this.#alarm.at) }
  }

  #judge({ at, before, last, version }: Alarm, event: MarketEvent): void {
    this.forget()
    const gap = at === 0 ? 0 : Math.max(0, event.receivedAt - at)
    const isVersioned = event._tag === "BookTicker" && event.version !== null && !Number.isNaN(version)
    const continuity = isVersioned
      ? Continuity.ofVersions(version, event.version)
      : Continuity.between(before, last, event, this.#recipe)
    if (continuity === "whole") this.#model?.learn(gap)
    else if (continuity === "unknown") this.#model?.suspect(gap)
    this.#onJudged(continuity)
  }
}
