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

/** Switches by what they were thrown for. */
export class KillSwitches {
  readonly #thrown = new Map<string, Killed>()
  /** Thrown while one stood that stops more: who takes that one back may not know of them. */
  readonly #behind = new Map<string, Killed>()

  /** False when nothing is new by it. */
  throw(killed: Killed): boolean {
    const before = this.#thrown.get(killed.of)
    if (before?.stops === killed.stops) return false
    const where = before?.stops === "everything" ? this.#behind : this.#thrown
    if (where === this.#behind && where.has(killed.of)) return false
    where.set(killed.of, killed)
    return true
  }

  /** Takes all back. What stood behind them, and has to be thrown again. */
  clear(): ReadonlyArray<Killed> {
    const behind = [...this.#behind.values()]
    this.#thrown.clear()
    this.#behind.clear()
    return behind
  }

  /** What stops an exchange; the one that stops more. */
  of(exchange?: ExchangeId): Killed | null {
    const all = [this.#thrown.get(global), exchange === undefined ? undefined : this.#thrown.get(exchange)]
    const found = all.filter((killed) => killed !== undefined)
    return found.find(({ stops }) => stops === "everything") ?? found[0] ?? null
  }

  /** Which does not let this leave; that of all exchanges first. */
  stopping({ exchange, growsHere = false, reduces }: Leaving): Killed | null {
    const [all, own] = [this.#thrown.get(global), this.#thrown.get(exchange)]
    if (all !== undefined && !(reduces && all.stops === "growing")) return all
    return own === undefined || (reduces && !growsHere && own.stops === "growing") ? null : own
  }
}
