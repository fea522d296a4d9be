import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Sharding from "../../src/session/Sharding.ts"

const shard = (size: number, capacity = Number.POSITIVE_INFINITY) => ({ size, capacity })

describe("surplus", () => {
  it("is the emptiest, once there are more than the bound", () => {
    // Sixteen topics may have two connections.
    const shards = [shard(9), shard(3), shard(4)]
    assert.strictEqual(Sharding.surplus(shards, 30), shards[1])
    assert.isUndefined(Sharding.surplus(shards.slice(1), 30))
    assert.isUndefined(Sharding.surplus([shard(30), shard(1), shard(1)], 30))
    assert.isUndefined(Sharding.surplus([], 30))
  })

  it("is none while one is empty, which is closed anyway", () => {
    assert.isUndefined(Sharding.surplus([shard(0), shard(3), shard(4)], 30))
  })

  it("is none when the others were seen to take no more", () => {
    assert.isUndefined(Sharding.surplus([shard(5, 5), shard(6, 7), shard(2)], 30))
    const shards = [shard(5, 5), shard(6, 8), shard(2)]
    assert.strictEqual(Sharding.surplus(shards, 30), shards[2])
  })
})

describe("choose", () => {
  it("leaves two places free while another connection may be opened", () => {
    assert.isUndefined(Sharding.choose([], 30))
    assert.deepStrictEqual(Sharding.choose([shard(27)], 30), shard(27))
    assert.isUndefined(Sharding.choose([shard(28)], 30))
  })

  it("leaves less free on small connections: a tenth, at most two", () => {
    for (const [capacity, spacious] of [[5, 4], [10, 8], [19, 17], [20, 17], [100, 97]] as const) {
      assert.deepStrictEqual(Sharding.choose([shard(spacious)], capacity), shard(spacious), `${capacity}`)
      assert.isUndefined(Sharding.choose([shard(spacious + 1)], capacity), `${capacity}`)
    }
  })

  it("fills them before it passes the bound", () => {
    const full = Array.from({ length: 34 }, () => shard(28))
    // 953 topics may have 33 connections; 34 are open.
    assert.strictEqual(Sharding.choose(full, 30), full[0])
    assert.isUndefined(Sharding.choose(full.map(() => shard(30)), 30))
  })

  it("keeps to what a connection was seen to take", () => {
    assert.isUndefined(Sharding.choose([shard(20, 20)], 30))
    assert.deepStrictEqual(Sharding.choose([shard(20, 20), shard(3)], 30), shard(3))
  })

  it.prop(
    "never needs more connections than the bound, and never overfills one",
    {
      capacity: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 })),
      topics: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 400 }))
    },
    ({ capacity, topics }) => {
      const shards: Array<{ size: number; readonly capacity: number }> = []
      for (let count = 1; count <= topics; count++) {
        let chosen = Sharding.choose(shards, capacity)
        if (chosen === undefined) shards.push(chosen = shard(0))
        chosen.size++
        assert.isAtMost(shards.length, Math.ceil(count / capacity) + 1)
        assert.isTrue(shards.every(({ size }) => size <= capacity))
      }
    }
  )
})

describe("the bound", () => {
  // With two places free on each these would need 3, 36, 35 and 72 connections.
  for (const [topics, capacity, most] of [[58, 30, 3], [1000, 30, 35], [953, 30, 33], [2000, 30, 68]] as const) {
    it(`of ${topics} topics, ${capacity} on a connection, is ${most}`, () => {
      const shards: Array<{ size: number; readonly capacity: number }> = []
      for (let count = 0; count < topics; count++) {
        let chosen = Sharding.choose(shards, capacity)
        if (chosen === undefined) shards.push(chosen = shard(0))
        chosen.size++
      }
      assert.isAtMost(shards.length, most)
    })
  }
})

describe("Capacity", () => {
  it("is lowered when two connections were full beside as many, not by one refusal", () => {
    const capacity = new Sharding.Capacity(30)
    capacity.carries(20)
    assert.isTrue(capacity.isDoubtful(20))
    assert.isFalse(capacity.wasFull(20))
    assert.strictEqual(capacity.limit, 30)
    assert.isTrue(capacity.wasFull(20))
    assert.strictEqual(capacity.limit, 20)
  })

  it("does not doubt a refusal on an empty connection, or beside fewer than others carry", () => {
    const capacity = new Sharding.Capacity(30)
    capacity.carries(12)
    assert.isFalse(capacity.isDoubtful(0))
    assert.isFalse(capacity.isDoubtful(11))
    assert.isTrue(capacity.isDoubtful(12))
  })

  it("is not lowered by two refusals beside different numbers, nor by the limit itself", () => {
    const capacity = new Sharding.Capacity(30)
    assert.isFalse(capacity.wasFull(20))
    assert.isFalse(capacity.wasFull(21))
    assert.isFalse(capacity.wasFull(22))
    assert.strictEqual(capacity.limit, 30)
    assert.isFalse(capacity.wasFull(30))
    assert.isFalse(capacity.wasFull(30))
    assert.isTrue(capacity.wasFull(21))
    assert.strictEqual(capacity.limit, 21)
  })

  it("remembers the most that any connection carried", () => {
    const capacity = new Sharding.Capacity(30)
    assert.isFalse(capacity.isDoubtful(0), "alone it can only be about the topic")
    assert.isTrue(capacity.isDoubtful(1))
    capacity.carries(12)
    capacity.carries(3)
    assert.isFalse(capacity.isDoubtful(11))
    assert.isTrue(capacity.isDoubtful(12))
  })

  it("is not raised by what is seen", () => {
    const capacity = new Sharding.Capacity(5)
    assert.isFalse(capacity.wasFull(7))
    assert.isFalse(capacity.wasFull(7))
    assert.strictEqual(capacity.limit, 5)
  })
})
