/** What a monitor tells: an opportunity that is there, has changed, or is no more. */
import type { Opportunity } from "./Opportunity.ts"

/**
 * Why an opportunity is no more.
 *
 * - `Price`: the books leave nothing any more, or less than the conditions ask for.
 * - `Stale`: a leg's book is not in sync, or the funding of a perpetual is not known.
 * - `TooOld`, `Skewed`, `Crossed`: a leg is not to be believed any more.
 * - `Closed`: a market, the route or the monitor has ended.
 */
export type VanishCause = "Price" | "Stale" | "TooOld" | "Skewed" | "Crossed" | "Closed"

export type OpportunityEvent =
  | { readonly _tag: "Entered"; readonly opportunity: Opportunity }
  | { readonly _tag: "Updated"; readonly opportunity: Opportunity }
  /** `opportunity`: as it was last. */
  | {
    readonly _tag: "Vanished"
    readonly opportunity: Opportunity
    readonly cause: VanishCause
    readonly at: number
    /** Since it was entered, ms. */
    readonly livedMs: number
  }
