/** What stops orders: thrown by hand, by a limit, or by what nobody has ordered; for all exchanges or for one. Plain and synchronous. */
import type { ExchangeId } from "../domain/Instrument.ts"
import type { Leaving } from "./GuardedEntry.ts"

/** The switch is thrown. */
export interface Killed {
  readonly reason: string
  readonly at: number
  /** `growing`: what reduces exposure still leaves. `everything`: only cancels do. */
  readonly stops: "growing" | "everything"
  /** `global`, or the exchange it was thrown for. */
  readonly of: string
}

export const global = "global"

const mostFirst = ["everything", "growing"] as const

/** Of one scope that stop the same; behind these the second oldest goes for a new one. */
const remembered = 32

interface Thrown {
  readonly killed: Killed
  /** By this it is known again: the same cause is one reason, whatever figures its text has. */
  readonly cause: string
  /** Nothing stood before it when it was told: who takes the switch back knows of it. */
  isShown: boolean
}

/** All reasons for which it was thrown. */
export class KillSwitches {
  /** In the order in which they were thrown. */
  #thrown: ReadonlyArray<Thrown> = []

  /** False when nothing is new by it. */
  throw(killed: Killed, cause: string): boolean {
    const { of, stops } = killed
    const known = this.#thrown.find((one) => one.killed.of === of && one.cause === cause)
    if (known !== undefined && (known.killed.stops === stops || known.killed.stops === "everything")) return false
    const others = this.#thrown.filter((one) => one !== known)
    const alike = others.filter((one) => one.killed.of === of && one.killed.stops === stops)
    const kept = alike.length < remembered ? others : others.filter((one) => one !== alike[1])
    const isCovered = kept.some((one) =>
      isOver(one.killed, killed) && (one.killed.stops === "everything" || stops === "growing")
    )
    for (const one of kept) {
      if (!isCovered && isOver(killed, one.killed) && isMore(killed, one.killed)) one.isShown = false
    }
    this.#thrown = [...kept, { killed, cause, isShown: !isCovered }]
    return true
  }

  has(of: string, cause: string): boolean {
    return this.#thrown.some((one) => one.killed.of === of && one.cause === cause)
  }

  /** Takes back what was shown. What stood behind it, which stands on and has to be told again. */
  revive(): ReadonlyArray<Killed> {
    const left = this.#thrown.filter(({ isShown }) => !isShown)
    for (const one of left) {
      one.isShown = !left.some(({ killed }) => isOver(killed, one.killed) && isMore(killed, one.killed))
    }
    this.#thrown = left
    return left.map(({ killed }) => killed)
  }

  /** One that no longer holds; false when it was not thrown for it. */
  takeBack(of: string, cause: string): boolean {
    const left = this.#thrown.filter(({ cause: other, killed }) => killed.of !== of || other !== cause)
    const isFewer = left.length < this.#thrown.length
    this.#thrown = left
    return isFewer
  }

  /** All that stops an exchange: what stops more before what stops less, that of all exchanges before its own. */
  reasons(exchange: ExchangeId = global): ReadonlyArray<Killed> {
    const scopes = [...new Set([global, exchange])]
    return mostFirst.flatMap((stops) => scopes.flatMap((scope) => this.#of(scope, stops)))
  }

  /** Thrown for single exchanges, or for this one: by exchange, what stops more before what stops less. */
  ofExchanges(exchange?: ExchangeId): ReadonlyArray<Killed> {
    const scopes = new Set(this.#thrown.map(({ killed }) => killed.of))
    return [...scopes]
      .filter((scope) => scope !== global && (exchange === undefined || scope === exchange))
      .flatMap((scope) => mostFirst.flatMap((stops) => this.#of(scope, stops)))
  }

  #of(scope: string, stops: Killed["stops"]): ReadonlyArray<Killed> {
    return this.#thrown.flatMap(({ killed }) => killed.of === scope && killed.stops === stops ? [killed] : [])
  }

  /** Which does not let this leave; that of all exchanges first. */
  stopping({ exchange, growsHere = false, reduces }: Leaving): Killed | null {
    if (this.#thrown.length === 0) return null
    const stopping = this.reasons(exchange).filter(({ of, stops }) =>
      stops === "everything" || !reduces || (of !== global && growsHere)
    )
    return stopping.find(({ of }) => of === global) ?? stopping[0] ?? null
  }
}

const isOver = (one: Killed, other: Killed): boolean => one.of === global || one.of === other.of

const isMore = (one: Killed, other: Killed): boolean => one.stops === "everything" && other.stops === "growing"
