import { Effect } from "effect"
import * as L from "./Lifeless.ts"
const quick = process.argv[2] !== "full"
const t = performance.now()
const fs = [L.silence, L.halfOpen, L.outage].flatMap((f) => [f("mexc-spot"), f("gate-spot")])
for (
  const r of await Effect.runPromise(Effect.all(fs.map((f) => f({ seed: 1, quick })), { concurrency: "unbounded" }))
) console.log(r.title, "|", r.ccxt?.text, "|", r.gateioApi?.text, "|", r.ours.text)
console.log(performance.now() - t)
