/** What the demo knows of its edges: what is there, what was traded, what was earned and what is left. */
import type { Drained, Execution, ExecutorPerformance, Exposure } from "../../arbitrage/ArbitrageExecutor.ts"
import type { MonitorPerformance, OpportunityEvent } from "../../arbitrage/ArbitrageMonitor.ts"
import type { Opportunity } from "../../arbitrage/Opportunity.ts"
import type { Killed, RiskState } from "../../arbitrage/RiskGuard.ts"
import type { Left } from "../../composite/Markets.ts"

/** Executions that are remembered, newest first. */
const remembered = 50

export class ArbitrageBoard {
  monitor: MonitorPerformance | null = null
  /** Greatest profit first. */
  open: ReadonlyArray<Opportunity> = []
  /** Null where nothing is traded: on the real exchanges. */
  executor: ExecutorPerformance | null = null
  risk: RiskState | null = null
  /** All for which the kill switch is thrown, of all exchanges and then of each. */
  reasons: ReadonlyArray<Killed> = []
  exposure: ReadonlyArray<Exposure> = []
  /** Newest first. */
  readonly executions: Array<Execution> = []
  /** Why the kill switch was thrown, newest first. */
  readonly kills: Array<string> = []
  /** The best that was seen, quote. */
  bestProfit = 0
  drained: Drained | null = null
  /** By exchange, when it has ended. */
  left: ReadonlyArray<Left> = []
  /** How long the end took, ms; null before it. */
  endedInMs: number | null = null

  onOpportunity(event: OpportunityEvent): void {
    this.bestProfit = Math.max(this.bestProfit, event.opportunity.profit)
  }

  onKill(reason: string): void {
    this.kills.unshift(reason)
    if (this.kills.length > remembered) this.kills.pop()
  }

  onExecution(execution: Execution): void {
    this.executions.unshift(execution)
    if (this.executions.length > remembered) this.executions.pop()
  }
}
