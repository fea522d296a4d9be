/** How far what is wanted has come. */
import type * as PublicWebsocket from "../PublicWebsocket.ts"
import type { TopicState } from "./Topics.ts"

/** A topic, as far as its progress matters. */
export interface Progress {
  readonly state: TopicState
  readonly holders: number
  /** Where it stands with the exchange. */
  readonly standing: "Waiting" | "Confirmed" | "Rejected"
}

export const of = (topics: Iterable<Progress>, sockets: number): PublicWebsocket.Progress => {
  const progress = { wanted: 0, confirmed: 0, rejected: 0, books: 0, booksSynced: 0, sockets }
  for (const { holders, standing, state } of topics) {
    if (holders === 0) continue
    progress.wanted++
    if (standing === "Confirmed") progress.confirmed++
    if (standing === "Rejected") progress.rejected++
    if (state.sequence === null || state.routes.length === 0) continue
    progress.books++
    if (standing === "Confirmed" && state.sequence.live) progress.booksSynced++
  }
  return progress
}
