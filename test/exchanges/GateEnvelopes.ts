/** The project's own fixtures of Gate: whole envelopes and every call that each must lead to. */
import { assert, describe, it } from "@effect/vitest"
import * as Sequence from "../../src/domain/Sequence.ts"
import type { ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import type { Call } from "./GateHarness.ts"
import { decode, receivedAt, topicTable } from "./GateHarness.ts"
import { own } from "./SharedFixtures.ts"

interface Case {
  readonly id: string
  readonly raw: string
  readonly expect: ReadonlyArray<unknown>
}

const versions = new Set(["version", "firstVersion"])

/** Versions as text, and no receive time, which is the same for all. */
const plain = (call: Call): unknown => {
  if (call.call !== "event") return call
  assert.strictEqual(call.event.receivedAt, receivedAt)
  const { receivedAt: _receivedAt, ...event } = call.event
  const entries = Object.entries(event).map(([name, value]) =>
    versions.has(name) ? [name, Sequence.toText(value as Sequence.Sequence)] : [name, value]
  )
  return { ...call, event: Object.fromEntries(entries) }
}

export const wholeEnvelopes = (adapter: ExchangeAdapter, files: ReadonlyArray<string>): void => {
  for (const file of files) {
    describe(`whole envelopes: ${file}`, () => {
      for (const fixture of own<Case>(adapter.id, `${file}.jsonl`)) {
        it(fixture.id, () => {
          const calls = decode(fixture.raw, adapter.makeCodec(topicTable(adapter)))
          assert.deepStrictEqual(calls.map(plain), [...fixture.expect])
        })
      }
    })
  }
}
