/** Plain counters of a private stream: written as events pass, read by `performance` and by the metrics flush. */
import type { LedgerCounts } from "./Ledger.ts"

export class PrivateCounters implements LedgerCounts {
  frames = 0
  events = 0
  delivered = 0
  duplicates = 0
  stale = 0
  recovered = 0
  gaps = 0
  reconnects = 0
  decodeFailures = 0
  handlerFailures = 0
  ignored = 0
  /** Why the last frame could not be read, for the log. */
  lastFailure = ""
  reconciliations = 0
  failedReconciliations = 0
  readonly errors = new Map<string, number>()

  error(tag: string): void {
    this.errors.set(tag, (this.errors.get(tag) ?? 0) + 1)
  }
}
