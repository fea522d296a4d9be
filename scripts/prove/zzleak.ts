import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import { writeHeapSnapshot } from "node:v8"
import * as Logging from "../../src/cli/Logging.ts"
import * as ProgramRun from "./ProgramRun.ts"
const o = JSON.parse(process.argv[2]!)
setTimeout(() => {
  globalThis.gc!()
  writeHeapSnapshot("/tmp/world/a.heapsnapshot")
}, o.a)
setTimeout(() => {
  globalThis.gc!()
  writeHeapSnapshot("/tmp/world/b.heapsnapshot")
}, o.b)
const f = await Effect.runPromise(
  ProgramRun.run(o).pipe(Effect.scoped, Effect.provide(Layer.merge(NodeServices.layer, Logging.layer)))
)
console.log(f.samples.map((s) => `${Math.round(s.at / 1000)}:${(s.heap / 2 ** 20).toFixed(1)}`).join(" "))
console.log(f.fills, f.executed, f.killed, JSON.stringify(f.cash), f.tooMuch, f.wrongAccounts)
