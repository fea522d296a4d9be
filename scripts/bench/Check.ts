/** Before anything is timed: the codec and the plain decoder must read every frame of a case to the same event. */
import { deepStrictEqual } from "node:assert/strict"
import type { MarketEvent } from "../../src/domain/Market.ts"
import type { Sink } from "../../src/ExchangeAdapter.ts"
import * as Plain from "./PlainDecoders.ts"
import type { Case } from "./Scenario.ts"
import * as Scenario from "./Scenario.ts"

export interface Checked {
  readonly frames: number
  /** Of one payload on average. */
  readonly bytes: number
}

/** Rejects at the first difference, fallback or failure. */
export const check = async (of: Case): Promise<Checked> => {
  const byKey = new Map(Scenario.topicsOf(of).map((topic) => [topic.key, topic]))
  let event: MarketEvent | null = null
  const refuse = (what: string) => (): never => {
    throw new Error(`${of.id}: ${what}`)
  }
  const sink: Sink = {
    event: (_, decoded) => {
      event = decoded
    },
    acknowledged: refuse("acknowledged"),
    rejected: refuse("rejected"),
    pong: refuse("pong"),
    closing: refuse("closing"),
    ignored: refuse("ignored"),
    failed: refuse("failed"),
    fallback: refuse("fallback")
  }
  const codec = Scenario.adapterOf(of).makeCodec({ topicOf: (key) => byKey.get(key)! })
  const decode = await Plain.decoderOf(of.exchange)
  let frames = 0
  let bytes = 0
  for (const variants of Scenario.templates(of).values()) {
    for (const template of variants) {
      const payload = Scenario.payloadOf(template)
      event = null
      codec.decode(payload, 1.5, sink)
      deepStrictEqual(event, decode(payload, 1.5), of.id)
      frames++
      bytes += payload.length
    }
  }
  if (frames !== Scenario.passFramesOf(of)) throw new Error(`${of.id}: ${frames} frames`)
  return { frames, bytes: bytes / frames }
}
