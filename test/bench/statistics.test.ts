/** Intervals, verdicts and what counts as a change. */
import { assert, it } from "@effect/vitest"
import * as Statistics from "../../scripts/bench/Statistics.ts"

const around = (middle: number, by = 0.01): ReadonlyArray<number> =>
  Array.from({ length: 15 }, (_, i) => middle * (1 + by * Math.sin(i * 2.4)))

it("an interval holds its median, is the same every time and has no width without spread", () => {
  const samples = around(10, 0.2)
  const { high, low, median } = Statistics.estimate(samples)
  assert.isTrue(low < median && median < high)
  assert.isTrue(Math.min(...samples) <= low && high <= Math.max(...samples))
  assert.deepStrictEqual(Statistics.estimate(samples), { median, low, high })
  assert.deepStrictEqual(Statistics.estimate([3, 3, 3]), { median: 3, low: 3, high: 3 })
})

it("a change is better or worse by the way a figure should go", () => {
  assert.strictEqual(Statistics.compare(around(10), around(8), "lower").change, "better")
  assert.strictEqual(Statistics.compare(around(10), around(8), "higher").change, "worse")
  assert.strictEqual(Statistics.compare(around(10), around(12), "lower").change, "worse")
  assert.approximately(Statistics.compare(around(10), around(8), "lower").ratio, 0.8, 0.001)
})

it("what chance or less than two per cent explains is noise", () => {
  assert.strictEqual(Statistics.compare(around(10, 0.3), around(10.4, 0.3), "lower").change, "noise")
  // Beyond chance, and of no interest.
  const small = Statistics.compare(around(10, 0.001), around(10.1, 0.001), "lower")
  assert.isBelow(small.p, 0.01)
  assert.strictEqual(small.change, "noise")
  // Three rounds a side cannot tell.
  assert.strictEqual(Statistics.compare([10, 10.1, 10.2], [5, 5.1, 5.2], "lower").change, "noise")
})
