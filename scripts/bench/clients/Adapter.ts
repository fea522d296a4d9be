/** The adapter of the exchange at hand, and nothing of the others. */
import type { Codec, ExchangeAdapter, Sink, Topic } from "../../../src/ExchangeAdapter.ts"
import { faults, setup } from "./Run.ts"

const load = async (): Promise<ExchangeAdapter> => {
  if (setup.exchange === "mexc-spot") return (await import("../../../src/exchanges/mexc/MexcSpot.ts")).mexcSpot
  return setup.exchange === "gate-spot"
    ? (await import("../../../src/exchanges/gate/GateSpot.ts")).gateSpot
    : (await import("../../../src/exchanges/gate/GateFutures.ts")).gateFutures
}

export const adapter = await load()

export const topics = setup.topics.map((topic): Topic => ({ ...topic, slot: null }) as Topic)

const byKey = new Map(topics.map((topic) => [topic.key, topic]))

export const sinkOf = (event: Sink["event"]): Sink => ({
  event,
  acknowledged: () => {},
  rejected: () => faults["failures"]!++,
  pong: () => {},
  closing: () => {},
  ignored: () => {},
  failed: () => faults["failures"]!++,
  fallback: () => faults["fallbacks"]!++
})

export const makeCodec = (): Codec => adapter.makeCodec({ topicOf: (key) => byKey.get(key)! })
