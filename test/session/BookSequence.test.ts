import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import type { BookUpdate } from "../../src/domain/Market.ts"
import * as Sequence from "../../src/domain/Sequence.ts"
import type { BookRecipe } from "../../src/ExchangeAdapter.ts"
import { BookSequence, pendingLimit, pendingMillis, staleRunLimit } from "../../src/session/BookSequence.ts"

const update = (kind: BookUpdate["kind"], first: number, last: number): BookUpdate => ({
  _tag: "BookUpdate",
  kind,
  pair: "BTC/USDT",
  symbol: "BTCUSDT",
  bids: [],
  asks: [],
  firstVersion: first,
  version: last,
  exchangeTime: null,
  receivedAt: 0,
  contractSize: 1,
  exact: null
})

const delta = (first: number, last: number, receivedAt = 0) => ({ ...update("delta", first, last), receivedAt })
const snapshot = (version: number) => update("snapshot", version, version)

const follows: BookRecipe["follows"] = (last, next) =>
  next.version <= last ? "stale" : Sequence.equals(next.firstVersion, Sequence.next(last)) ? "apply" : "gap"

const joins: BookRecipe["joins"] = (version, next) =>
  next.version <= version ? "stale" : next.firstVersion <= Sequence.next(version) ? "apply" : "gap"

const fetching: BookRecipe = { snapshot: "Fetch", joins, follows }
const inStream: BookRecipe = { snapshot: "InStream", joins, follows }

const run = (recipe: BookRecipe) => {
  const log: Array<string> = []
  const sequence = new BookSequence(recipe, {
    emit: (next) => log.push(`${next.kind === "snapshot" ? "S" : "D"}${next.version}`),
    stale: (count) => {
      if (count > 0) log.push(`stale ${count}`)
    },
    hole: (last, next) => log.push(`hole ${last}-${next.firstVersion}`),
    refetch: () => log.push("refetch")
  })
  return { log, sequence }
}

describe("BookSequence", () => {
  it("joins buffered deltas to a fetched snapshot and drops what it already holds", () => {
    const { log, sequence } = run(fetching)
    sequence.update(delta(90, 95))
    sequence.update(delta(96, 104))
    sequence.update(delta(105, 105))
    assert.deepStrictEqual(log, [])
    assert.strictEqual(sequence.snapshot(snapshot(100)), "joined")
    assert.deepStrictEqual(log, ["stale 1", "S100", "D104", "D105"])
    assert.isTrue(sequence.live)
  })

  it("refuses a snapshot older than the first buffered delta, and emits nothing of it", () => {
    const { log, sequence } = run(fetching)
    sequence.update(delta(110, 112))
    assert.strictEqual(sequence.snapshot(snapshot(100)), "tooOld")
    assert.deepStrictEqual(log, [])
    assert.strictEqual(sequence.snapshot(snapshot(111)), "joined")
    assert.deepStrictEqual(log, ["S111", "D112"])
  })

  it("an update with a version from far off does not keep every later snapshot from joining", () => {
    const { log, sequence } = run(fetching)
    sequence.update(delta(1, 1))
    sequence.snapshot(snapshot(1))
    sequence.update(delta(2, 2))
    sequence.update(delta(9_000, 9_001))
    sequence.update(delta(3, 3))
    sequence.update(delta(4, 5))
    assert.strictEqual(sequence.snapshot(snapshot(2)), "joined")
    assert.deepStrictEqual(log, ["stale 1", "S1", "D2", "hole 2-9000", "stale 1", "S2", "D3", "D5"])
  })

  it("a hole in what waits: only what came behind it can be joined", () => {
    const { log, sequence } = run(fetching)
    sequence.update(delta(5, 5))
    sequence.update(delta(8, 9))
    sequence.update(delta(10, 10))
    assert.strictEqual(sequence.snapshot(snapshot(4)), "tooOld")
    assert.deepStrictEqual(log, ["stale 1"])
    assert.strictEqual(sequence.snapshot(snapshot(7)), "joined")
    assert.deepStrictEqual(log, ["stale 1", "S7", "D9", "D10"])
  })

  it("holds a snapshot until a delta joins it", () => {
    const { log, sequence } = run(fetching)
    assert.strictEqual(sequence.snapshot(snapshot(100)), "held")
    assert.strictEqual(sequence.held, 100)
    sequence.update(delta(95, 100))
    assert.deepStrictEqual(log, ["stale 1"])
    sequence.update(delta(101, 103))
    assert.deepStrictEqual(log, ["stale 1", "S100", "D103"])
  })

  it("asks again when the held snapshot proves too old, without showing it", () => {
    const { log, sequence } = run(fetching)
    sequence.snapshot(snapshot(100))
    sequence.update(delta(105, 106))
    assert.deepStrictEqual(log, ["refetch"])
    assert.isNull(sequence.held)
    assert.strictEqual(sequence.snapshot(snapshot(106)), "held")
  })

  it("holds the newest of several snapshots", () => {
    const { log, sequence } = run(fetching)
    for (const version of [100, 102, 101]) assert.strictEqual(sequence.snapshot(snapshot(version)), "held")
    assert.strictEqual(sequence.held, 102)
    sequence.release()
    assert.deepStrictEqual(log, ["S102"])
  })

  it("shows a held snapshot of a quiet market on release, and still checks the first delta", () => {
    const { log, sequence } = run(fetching)
    sequence.snapshot(snapshot(100))
    sequence.release()
    assert.deepStrictEqual(log, ["S100"])
    sequence.update(delta(98, 100))
    sequence.update(delta(99, 102))
    assert.deepStrictEqual(log, ["S100", "stale 1", "D102"])
    const late = run(fetching)
    late.sequence.snapshot(snapshot(100))
    late.sequence.release()
    late.sequence.update(delta(103, 104))
    assert.deepStrictEqual(late.log, ["S100", "hole 100-103"])
    late.sequence.discard()
    late.sequence.release()
    assert.isFalse(late.sequence.live)
  })

  it("reports a hole and joins the next snapshot to what came behind it", () => {
    const { log, sequence } = run(fetching)
    sequence.update(delta(1, 2))
    sequence.snapshot(snapshot(1))
    sequence.update(delta(5, 6))
    assert.isFalse(sequence.live)
    sequence.update(delta(7, 7))
    sequence.snapshot(snapshot(6))
    assert.deepStrictEqual(log, ["S1", "D2", "hole 2-5", "stale 1", "S6", "D7"])
    assert.strictEqual(sequence.snapshot(snapshot(9)), "unwanted")
  })

  it("InStream: drops deltas before the first snapshot, replaces at any time, waits behind a hole", () => {
    const { log, sequence } = run(inStream)
    sequence.update(delta(4, 4))
    sequence.update(snapshot(5))
    sequence.update(delta(6, 7))
    sequence.update(snapshot(20))
    sequence.update(delta(21, 21))
    sequence.update(delta(21, 21))
    sequence.update(delta(30, 31))
    sequence.update(delta(32, 32))
    sequence.update(snapshot(40))
    assert.deepStrictEqual(log, [
      "stale 1",
      "S5",
      "D7",
      "S20",
      "D21",
      "stale 1",
      "hole 21-30",
      "stale 1",
      "stale 1",
      "S40"
    ])
  })

  it("a snapshot in the stream replaces what waits for a fetched one", () => {
    const { log, sequence } = run(fetching)
    sequence.update(delta(1, 1))
    sequence.update(snapshot(5))
    assert.deepStrictEqual(log, ["stale 1", "S5"])
  })

  it("takes an unending run of stale updates for a hole: the exchange's counter has started anew", () => {
    const { log, sequence } = run(inStream)
    sequence.update(snapshot(1000))
    for (let version = 1; version < staleRunLimit; version++) sequence.update(delta(version, version))
    assert.isTrue(sequence.live)
    sequence.update(delta(1001, 1001))
    for (let version = 1; version < staleRunLimit; version++) sequence.update(delta(version, version))
    assert.isTrue(sequence.live)
    sequence.update(delta(staleRunLimit, staleRunLimit))
    assert.isFalse(sequence.live)
    assert.strictEqual(log.at(-2), `hole 1001-${staleRunLimit}`)
  })

  it("counts what it forgets on reset", () => {
    const { log, sequence } = run(fetching)
    sequence.update(delta(1, 1))
    sequence.reset()
    sequence.reset()
    assert.deepStrictEqual(log, ["stale 1"])
  })

  it("forgets on reset that a first delta was still to be joined: the next stream is checked as any other", () => {
    const { log, sequence } = run(fetching)
    sequence.snapshot(snapshot(100))
    sequence.release()
    sequence.reset()
    sequence.snapshot(snapshot(200))
    sequence.update(delta(201, 203))
    // It overlaps: right behind a snapshot it would do, in a running book it is a hole.
    sequence.update(delta(202, 205))
    assert.deepStrictEqual(log, ["S100", "S200", "D203", "hole 203-202"])
  })

  it("a snapshot in the stream is joined by the next delta alone, whatever was being joined before", () => {
    const { log, sequence } = run(fetching)
    sequence.snapshot(snapshot(100))
    sequence.release()
    sequence.update(snapshot(110))
    sequence.update(delta(109, 112))
    assert.deepStrictEqual(log, ["S100", "S110", "hole 110-109"])
  })

  it("a hole ends the joining of a snapshot that was shown without a delta", () => {
    const { log, sequence } = run(fetching)
    sequence.snapshot(snapshot(100))
    sequence.release()
    sequence.update(delta(105, 106))
    sequence.reset()
    sequence.snapshot(snapshot(200))
    sequence.update(delta(201, 203))
    sequence.update(delta(202, 205))
    assert.deepStrictEqual(log, ["S100", "hole 100-105", "stale 1", "S200", "D203", "hole 203-202"])
  })

  describe("forgets everything although it is told so in the midst of what it emits", () => {
    /** Forgets when `name` comes out. */
    const forgetful = (name: string) => {
      const log: Array<string> = []
      const sequence: BookSequence = new BookSequence(fetching, {
        emit: (next) => {
          log.push(`${next.kind === "snapshot" ? "S" : "D"}${next.version}`)
          if (log.at(-1) === name) sequence.reset()
        },
        stale: (count) => {
          if (count > 0) log.push(`stale ${count}`)
        },
        hole: (last, next) => log.push(`hole ${last}-${next.firstVersion}`),
        refetch: () => log.push("refetch")
      })
      return { log, sequence }
    }

    /** What follows is a new book: it begins with a snapshot, and its second delta has to follow the first. */
    const beginsAnew = ({ log, sequence }: ReturnType<typeof forgetful>) => {
      log.length = 0
      sequence.update(delta(200, 200))
      sequence.snapshot(snapshot(200))
      sequence.update(delta(201, 201))
      sequence.update(delta(201, 202))
      assert.deepStrictEqual(log, ["stale 1", "S200", "D201", "hole 201-201"])
    }

    it("a held snapshot that a delta joins", () => {
      const book = forgetful("S100")
      book.sequence.snapshot(snapshot(100))
      book.sequence.update(delta(101, 101))
      assert.deepStrictEqual(book.log, ["S100", "stale 1"])
      beginsAnew(book)
    })

    it("a held snapshot that is shown without a delta", () => {
      const book = forgetful("S100")
      book.sequence.snapshot(snapshot(100))
      book.sequence.release()
      assert.deepStrictEqual(book.log, ["S100"])
      beginsAnew(book)
    })

    it("a snapshot that is joined to what waited, and a delta that waited", () => {
      for (const [name, expected] of [["S100", ["S100", "stale 3"]], ["D101", ["S100", "D101", "stale 2"]]] as const) {
        const book = forgetful(name)
        for (const version of [101, 102, 103]) book.sequence.update(delta(version, version))
        book.sequence.snapshot(snapshot(100))
        assert.deepStrictEqual<ReadonlyArray<string>>(book.log, expected)
        beginsAnew(book)
      }
    })
  })

  it("gives a held snapshot up: it is not shown on release, nor joined by a delta", () => {
    const { log, sequence } = run(fetching)
    sequence.snapshot(snapshot(100))
    sequence.discard()
    assert.isNull(sequence.held)
    sequence.release()
    sequence.update(delta(101, 102))
    assert.isFalse(sequence.live)
    assert.deepStrictEqual(log, [])
  })

  it("counts at once what no snapshot will be joined to, each update for itself", () => {
    const { log, sequence } = run(inStream)
    sequence.update(delta(4, 4))
    sequence.update(delta(5, 5))
    assert.deepStrictEqual(log, ["stale 1", "stale 1"])
  })

  it("a snapshot that is too old still tells which waiting deltas no later one needs", () => {
    const { log, sequence } = run(fetching)
    sequence.update(delta(90, 95))
    sequence.update(delta(96, 100))
    sequence.update(delta(110, 112))
    assert.strictEqual(sequence.snapshot(snapshot(100)), "tooOld")
    assert.deepStrictEqual(log, ["stale 2"])
    assert.strictEqual(sequence.snapshot(snapshot(111)), "joined")
    assert.deepStrictEqual(log, ["stale 2", "S111", "D112"])
  })

  it("keeps nothing waiting once it is live", () => {
    const { log, sequence } = run(fetching)
    sequence.update(delta(96, 104))
    sequence.snapshot(snapshot(100))
    sequence.reset()
    assert.deepStrictEqual(log, ["S100", "D104"])
  })

  it("bounds what waits for a snapshot, oldest first, counted", () => {
    const { log, sequence } = run(fetching)
    for (let i = 1; i <= pendingLimit + 3; i++) sequence.update(delta(i, i))
    assert.deepStrictEqual(log, ["stale 1", "stale 1", "stale 1"])
    assert.strictEqual(sequence.snapshot(snapshot(1)), "tooOld")
    assert.strictEqual(sequence.snapshot(snapshot(3)), "joined")
  })

  it("keeps of what waits for a snapshot no more than one that is asked for now can need", () => {
    const { log, sequence } = run(fetching)
    for (let second = 1; second <= 60; second++) sequence.update(delta(second, second, second * 1_000))
    const kept = pendingMillis / 1_000 + 1
    assert.deepStrictEqual(log, Array.from({ length: 60 - kept }, () => "stale 1"))
    assert.strictEqual(sequence.snapshot(snapshot(60 - kept - 1)), "tooOld")
    assert.strictEqual(sequence.snapshot(snapshot(60 - kept)), "joined")
    assert.strictEqual(log.at(-1), "D60")
    assert.isTrue(sequence.live)
  })

  it("keeps what waits where the clock was set back, and only the newest where it was set ahead", () => {
    const { log, sequence } = run(fetching)
    sequence.update(delta(1, 1, 3_600_000))
    sequence.update(delta(2, 2, 0))
    assert.deepStrictEqual(log, [])
    sequence.update(delta(3, 3, 7_200_000))
    assert.deepStrictEqual(log, ["stale 1", "stale 1"])
    assert.strictEqual(sequence.snapshot(snapshot(2)), "joined")
  })

  it("keeps versions above 2^53 apart", () => {
    const { log, sequence } = run(fetching)
    const big = (first: bigint, last: bigint): BookUpdate => ({
      ...delta(0, 0),
      firstVersion: Sequence.fromBigInt(first),
      version: Sequence.fromBigInt(last)
    })
    sequence.update(big(9007199254740990n, 9007199254740993n))
    sequence.snapshot({ ...snapshot(0), version: Sequence.fromBigInt(9007199254740992n) })
    sequence.update(big(9007199254740994n, 9007199254740994n))
    sequence.update(big(9007199254740996n, 9007199254740996n))
    assert.deepStrictEqual(log, [
      "S9007199254740992",
      "D9007199254740993",
      "D9007199254740994",
      "hole 9007199254740994-9007199254740996"
    ])
  })

  const Step = Schema.Struct({
    kind: Schema.Literals(["next", "duplicate", "skip", "snapshot", "reset"]),
    size: Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 1, maximum: 4 }))),
    /** Since the step before; ms. */
    after: Schema.Literals([0, 10, 5_000, 15_000, 25_000, -60_000])
  })

  const begin = (recipe: BookRecipe, sequence: BookSequence, version: number): void => {
    if (recipe.snapshot === "Fetch") assert.notStrictEqual(sequence.snapshot(snapshot(version)), "tooOld")
    else sequence.update(snapshot(version))
  }

  for (const recipe of [fetching, inStream]) {
    it.prop(
      `${recipe.snapshot}: whatever comes, what is emitted is an unbroken chain from a snapshot`,
      [Schema.Array(Step)],
      ([steps]) => {
        let chain: number | null = null
        let broken = false
        const sequence = new BookSequence(recipe, {
          emit: (next) => {
            if (next.kind === "snapshot") chain = Number(next.version)
            else {
              if (chain === null || Number(next.firstVersion) > chain + 1 || Number(next.version) <= chain) {
                broken = true
              }
              chain = Number(next.version)
            }
          },
          stale: () => {},
          hole: () => {
            chain = null
          },
          refetch: () => {}
        })
        let version = 10
        let at = 0
        for (const { after, kind, size } of steps) {
          at += after
          if (kind === "reset") {
            sequence.reset()
            chain = null
          } else if (kind === "snapshot") {
            if (recipe.snapshot === "Fetch") sequence.snapshot(snapshot(version - size + 1))
            else sequence.update(snapshot(version))
          } else if (kind === "duplicate") {
            sequence.update(delta(version - size + 1, version, at))
          } else {
            if (kind === "skip") version += size
            sequence.update(delta(version + 1, version + size, at))
            version += size
          }
        }
        // Whatever was given up, a snapshot of now begins the book, at the latest with the next update.
        if (!sequence.live) begin(recipe, sequence, version)
        sequence.update(delta(version + 1, version + 1, at))
        assert.isTrue(sequence.live)
        assert.strictEqual(chain, version + 1)
        assert.isFalse(broken)
        if (sequence.live && chain !== null) assert.strictEqual(chain, Number(sequence.last))
      }
    )
  }
})
