/**
 * Makes the recordings of `test/fixtures/recordings` anew: sessions against the simulator under a virtual clock, from a
 * seed, each with the log that its replay must give.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { gateSpotDialect } from "../src/exchanges/gate/GateDialect.ts"
import { gateSpot } from "../src/exchanges/gate/GateSpot.ts"
import { mexcSpotDialect } from "../src/exchanges/mexc/MexcDialect.ts"
import { mexcSpot } from "../src/exchanges/mexc/MexcSpot.ts"
import * as JournalFile from "../src/JournalFile.ts"
import type { Plan } from "../test/recordings/Recordings.ts"
import * as Recordings from "../test/recordings/Recordings.ts"

const folder = resolve(import.meta.dirname, "..", "test", "fixtures", "recordings")

const simulator = { seed: 4, rate: 6, tradeRate: 2, levels: 12, tickMillis: 50 }

const plans: Readonly<Record<string, Plan>> = {
  "gate-spot-hole-and-drop": {
    subject: { adapter: gateSpot, dialect: gateSpotDialect },
    simulator: { ...simulator, faults: ["gap:3@2s", "drop@4s"] },
    pairs: ["BTC/USDT"],
    channels: ["BookTicker", "Trades", { _tag: "Book", source: "order_book_update" }],
    millis: 6_000
  },
  "mexc-spot-hole-and-drop": {
    subject: { adapter: mexcSpot, dialect: mexcSpotDialect },
    simulator: { ...simulator, faults: ["gap:3@2s", "drop@4s"] },
    pairs: ["ETH/USDT"],
    channels: ["BookTicker", "Trades", "Book"],
    millis: 6_000
  }
}

const make = (name: string, plan: Plan) =>
  Effect.gen(function*() {
    const { pairs } = plan
    const channels = plan.channels.map((choice) => typeof choice === "string" ? choice : choice._tag)
    const about = { label: `simulated, seed ${simulator.seed}` }
    const recorder = JournalFile.record(join(folder, `${name}.journal`), { pairs, channels, about })
    yield* Recordings.record(plan, Effect.provide(recorder, NodeFileSystem.layer))
    const recording = yield* Effect.provide(
      JournalFile.read(join(folder, `${name}.journal`)),
      NodeFileSystem.layer
    )
    const log = yield* Recordings.replay(plan.subject.adapter, recording, plan.pairs, plan.channels)
    writeFileSync(join(folder, `${name}.ndjson`), `${log.handled.join("\n")}\n`)
    console.log(`${name}: ${recording.summary.frames} frames, ${log.handled.length} lines`)
  }).pipe(
    Random.withSeed(4),
    // Each begins at the same time.
    Effect.provide(Layer.fresh(TestClock.layer()))
  )

await Effect.runPromise(Effect.forEach(Object.entries(plans), ([name, plan]) => make(name, plan), { discard: true }))
