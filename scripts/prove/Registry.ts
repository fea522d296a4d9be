/** All proofs, in the order in which `all` runs them. */
import * as AccountKill from "./cases/AccountKill.ts"
import * as ArbitrageExecution from "./cases/ArbitrageExecution.ts"
import * as ArbitrageTruth from "./cases/ArbitrageTruth.ts"
import * as BookAudit from "./cases/BookAudit.ts"
import * as Books from "./cases/Books.ts"
import * as Continuity from "./cases/Continuity.ts"
import * as Decimals from "./cases/Decimals.ts"
import * as Demo from "./cases/Demo.ts"
import * as Detection from "./cases/Detection.ts"
import * as Determinism from "./cases/Determinism.ts"
import * as ExecutionLatency from "./cases/ExecutionLatency.ts"
import * as FaultCatalogue from "./cases/FaultCatalogue.ts"
import * as Fixtures from "./cases/Fixtures.ts"
import * as Flood from "./cases/Flood.ts"
import * as Islands from "./cases/Islands.ts"
import * as Judges from "./cases/Judges.ts"
import * as Ledger from "./cases/Ledger.ts"
import * as ListenKeys from "./cases/ListenKeys.ts"
import * as MalformedInput from "./cases/MalformedInput.ts"
import * as Metrics from "./cases/Metrics.ts"
import * as Mutants from "./cases/Mutants.ts"
import * as OrderLatency from "./cases/OrderLatency.ts"
import * as OrderLimits from "./cases/OrderLimits.ts"
import * as Orders from "./cases/Orders.ts"
import * as Positions from "./cases/Positions.ts"
import * as Program from "./cases/Program.ts"
import * as Recovery from "./cases/Recovery.ts"
import * as Replay from "./cases/Replay.ts"
import * as RiskLimits from "./cases/RiskLimits.ts"
import * as Scale from "./cases/Scale.ts"
import * as Secrets from "./cases/Secrets.ts"
import * as Shutdown from "./cases/Shutdown.ts"
import * as Silence from "./cases/Silence.ts"
import * as Suites from "./cases/Suites.ts"
import * as Uptime from "./cases/Uptime.ts"
import type { Case } from "./Proof.ts"

export const cases: ReadonlyArray<Case> = [
  Suites.conformance,
  Fixtures.fixtures,
  Books.books,
  BookAudit.bookAudit,
  Judges.judges,
  Ledger.ledger,
  Recovery.recovery,
  Scale.scale,
  Continuity.rotation,
  Continuity.redundancy,
  MalformedInput.malformed,
  Mutants.mutants,
  Decimals.decimals,
  FaultCatalogue.faults,
  Metrics.metrics,
  Demo.demonstration,
  Suites.packed,
  Determinism.determinism,
  Replay.replay,
  Silence.silence,
  Secrets.secrets,
  ListenKeys.listenKeys,
  Orders.orders,
  Positions.positions,
  AccountKill.accountKill,
  OrderLimits.orderLimits,
  OrderLatency.orderLatency,
  ArbitrageTruth.arbitrageTruth,
  ArbitrageExecution.arbitrageExecution,
  RiskLimits.riskLimits,
  ExecutionLatency.executionLatency,
  Detection.detection,
  Islands.islands,
  Flood.flood,
  Program.program,
  Shutdown.shutdown,
  Uptime.uptime
]
