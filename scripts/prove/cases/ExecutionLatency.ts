/** How long it takes from the decision to trade an opportunity until both legs are accepted, client and exchanges as two processes. */
import { Effect, Layer, Redacted } from "effect"
import { ArbitrageExecutor } from "../../../src/arbitrage/ArbitrageExecutor.ts"
import type { Execution } from "../../../src/arbitrage/ArbitrageExecutor.ts"
import * as Executor from "../../../src/arbitrage/ArbitrageExecutor.ts"
import { ArbitrageMonitor } from "../../../src/arbitrage/ArbitrageMonitor.ts"
import type { Opportunity } from "../../../src/arbitrage/Opportunity.ts"
import * as Risk from "../../../src/arbitrage/RiskGuard.ts"
import * as FrameSocket from "../../../src/connection/FrameSocket.ts"
import * as NodeHashes from "../../../src/connection/NodeHashes.ts"
import * as NodeHttp from "../../../src/connection/NodeHttp.ts"
import * as World from "../ArbitrageWorld.ts"
import * as Cores from "../Cores.ts"
import type { Case } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as SimulatorProcess from "../SimulatorProcess.ts"

const boundMillis = 10

/** Where there is always something to trade, every change of a book is reckoned through: routes of one asset, as if edges were rare. */
const traded = ["BTC"]

const layerOf = (urls: SimulatorProcess.Urls) =>
  Executor.layer().pipe(
    Layer.provideMerge(Layer.merge(World.monitor({ maxNotional: 20 }, traded), Risk.layer())),
    Layer.provide(World.markets(urls, (exchange) => ({
      account: "demo",
      key: Redacted.make(`demo-key-${exchange}`),
      secret: Redacted.make(`demo-secret-${exchange}`)
    }))),
    Layer.provide(Layer.mergeAll(FrameSocket.layerWs, NodeHttp.layer, NodeHashes.layer))
  )

const legsOf = ({ buy, sell }: Execution | Opportunity): string => [buy.exchange, sell.exchange].sort().join(" and ")

/** One after the other, on each two exchanges in turn. */
const measure = Effect.fnUntraced(function*(warmUp: number, count: number) {
  const executor = yield* ArbitrageExecutor
  const monitor = yield* ArbitrageMonitor
  const executions: Array<Execution> = []
  let next = 0
  while (executions.length < warmUp + count) {
    const open = monitor.open().filter(({ at }) => at > (executions.at(-1)?.endedAt ?? 0))
    if (open.length === 0) {
      yield* Effect.sleep(1)
      continue
    }
    const execution = yield* Effect.result(executor.execute(open[next++ % open.length]!))
    if (execution._tag === "Success") executions.push(execution.success)
  }
  return { executions: executions.slice(warmUp), left: yield* executor.drain }
})

export const executionLatency: Case = {
  name: "execution-latency",
  proves:
    "From the decision until both legs are accepted: p99 at most 10 ms on loopback, client and exchanges as two processes",
  run: Effect.fnUntraced(function*(proof) {
    const count = Proofs.sizeOf(proof, 60, 5_000)
    const warmUp = proof.quick ? 20 : 300
    const parameters = [`--pairs=${World.bases.map((base) => `${base}/USDT`).join(",")}`, "--rate=20"]
    const { executions, isBound, left } = yield* Effect.scoped(Effect.gen(function*() {
      const isBound = proof.quick ? false : yield* Cores.bind
      const urls = yield* SimulatorProcess.start(parameters, isBound ? Cores.exchangeCore : null)
      return { isBound, ...yield* measure(warmUp, count).pipe(Effect.provide(layerOf(urls))) }
    }))
    const took = (which: ReadonlyArray<Execution>): ReadonlyArray<number> => which.map((one) => one.acceptedAfterMs)
    proof.table(
      ["legs on", "executions", "p50 ms", "p95 ms", "max ms"],
      [...new Set(executions.map(legsOf))].sort().map((legs) => [
        legs,
        ...Proofs.spread(took(executions.filter((one) => legsOf(one) === legs)))
      ])
    )
    const all = took(executions)
    const p99 = Proofs.percentile(all, 0.99)
    proof.timed(
      `from the decision until both legs are accepted, p99 at most ${boundMillis} ms`,
      all.length >= count,
      p99 <= boundMillis,
      `${all.length}, p50 ${Proofs.text(Proofs.percentile(all, 0.5))} ms, p99 ${Proofs.text(p99)} ms`
    )
    proof.check("nothing is left open", left.openOrders === 0, `${left.openOrders} orders`)
    proof.figure("executions", all.length)
    proof.figure("coreEach", isBound ? 1 : 0)
    proof.figure("p99", p99)
  })
}
