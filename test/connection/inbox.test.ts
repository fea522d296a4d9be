import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Queue, Schema } from "effect"
import type { Batch } from "../../src/connection/Connection.ts"
import * as Inbox from "../../src/connection/Inbox.ts"
import { budgetMillis, TurnBudget } from "../../src/connection/TurnBudget.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"

const error = (detail: string) => ExchangeError.make("test", new ExchangeError.Disconnected({ code: 1000, detail }))

/** An inbox whose reads end when the test says so, and whose clock counts its readings. */
const setup = (
  bounds?: { readonly batchFrames?: number; readonly highWaterBytes?: number; readonly budget?: TurnBudget }
) => {
  let readings = 0
  let flush: (() => void) | undefined
  const calls: Array<string> = []
  const inbox = Inbox.make({
    exchange: "test",
    now: () => readings++,
    afterRead: (f) => {
      flush = f
    },
    isDirect: true,
    batchFrames: bounds?.batchFrames ?? 64,
    highWaterBytes: bounds?.highWaterBytes ?? 1_000_000,
    budget: bounds?.budget,
    onFull: () => calls.push("full"),
    onDrained: () => calls.push("drained")
  })
  return {
    inbox,
    calls,
    push: (...texts: ReadonlyArray<string>) => {
      for (const text of texts) inbox.push(Buffer.from(text), 0, Buffer.byteLength(text))
    },
    endRead: () => {
      const current = flush
      flush = undefined
      current?.()
    }
  }
}

const textsOf = (batch: Batch) => batch.frames.map((frame) => Buffer.from(frame).toString())

describe("Inbox", () => {
  it.effect("gives the frames of one read as one batch with one stamp", () =>
    Effect.gen(function*() {
      const { endRead, inbox, push } = setup()
      const fiber = yield* Effect.forkChild(Effect.all([inbox.pull, inbox.pull]), { startImmediately: true })
      push("a", "b", "c")
      assert.isUndefined(fiber.pollUnsafe(), "nothing is delivered inside a read")
      endRead()
      push("d")
      endRead()
      const [first, second] = yield* Fiber.join(fiber)
      assert.deepStrictEqual([textsOf(first), textsOf(second)], [["a", "b", "c"], ["d"]])
      assert.deepStrictEqual([first.receivedAt, second.receivedAt], [1, 2])
      assert.strictEqual(inbox.activity.receivedAt, 2)
    }))

  it.effect("keeps reads apart while nobody pulls, and caps a batch", () =>
    Effect.gen(function*() {
      const { endRead, inbox, push } = setup({ batchFrames: 2 })
      push("a", "b", "c")
      endRead()
      push("d")
      endRead()
      const batches = yield* Effect.all([inbox.pull, inbox.pull, inbox.pull])
      assert.deepStrictEqual(batches.map(textsOf), [["a", "b"], ["c"], ["d"]])
      assert.deepStrictEqual(batches.map((batch) => batch.receivedAt), [1, 1, 2])
    }))

  it.effect("gives the rest of a read that was pulled halfway the same stamp", () =>
    Effect.gen(function*() {
      const { endRead, inbox, push } = setup()
      push("a")
      const first = yield* inbox.pull
      push("b")
      endRead()
      const second = yield* inbox.pull
      assert.deepStrictEqual([textsOf(first), textsOf(second)], [["a"], ["b"]])
      assert.strictEqual(first.receivedAt, second.receivedAt)
    }))

  it.effect("says when the bound is reached and when all was pulled, each once", () =>
    Effect.gen(function*() {
      const weight = 10 + Inbox.frameOverheadBytes
      const { calls, endRead, inbox, push } = setup({ highWaterBytes: 2 * weight })
      push("0123456789")
      endRead()
      assert.deepStrictEqual(calls, [])
      push("0123456789", "0123456789")
      endRead()
      assert.deepStrictEqual(calls, ["full"])
      assert.isTrue(inbox.activity.held)
      yield* inbox.pull
      assert.deepStrictEqual(calls, ["full"])
      yield* inbox.pull
      assert.deepStrictEqual(calls, ["full", "drained"])
      assert.isFalse(inbox.activity.held)
    }))

  it.effect("counts the frames of a read, and not what stands between them", () =>
    Effect.gen(function*() {
      const { calls, endRead, inbox } = setup({ batchFrames: 2, highWaterBytes: 5 * (1 + Inbox.frameOverheadBytes) })
      const read = (...frames: ReadonlyArray<number>) => {
        const bytes = new Uint8Array(1000)
        for (const at of frames) inbox.push(bytes, at, at + 1)
        endRead()
      }
      read(1, 2, 3, 4)
      assert.deepStrictEqual(calls, [])
      yield* inbox.pull
      // Half of it is left.
      read(1, 2)
      assert.deepStrictEqual(calls, [])
      read(1)
      assert.deepStrictEqual(calls, ["full"])
    }))

  it.effect("keeps what waits though the next read is written over it", () =>
    Effect.gen(function*() {
      const { endRead, inbox } = setup()
      const memory = Buffer.from("-one-two-")
      const whole = Buffer.from("whole")
      inbox.push(memory, 1, 4)
      inbox.push(memory, 5, 8)
      inbox.push(whole, 0, whole.length)
      endRead()
      memory.fill("x")
      const batch = yield* inbox.pull
      assert.deepStrictEqual(textsOf(batch), ["one", "two", "whole"])
      assert.strictEqual(batch.frames[2], whole, "not copied: it has its bytes for itself")
    }))

  it("counts empty frames against the bound", () => {
    const { calls, push } = setup({ highWaterBytes: 10 * Inbox.frameOverheadBytes })
    push(...Array.from({ length: 9 }, () => ""))
    assert.deepStrictEqual(calls, [])
    push("")
    assert.deepStrictEqual(calls, ["full"])
  })

  it.effect("gives what was read before the end, then the first reason", () =>
    Effect.gen(function*() {
      const { endRead, inbox, push } = setup()
      push("a")
      endRead()
      push("b")
      inbox.end(error("first"))
      inbox.end(error("second"))
      push("after the end")
      endRead()
      assert.deepStrictEqual(textsOf(yield* inbox.pull), ["a"])
      assert.deepStrictEqual(textsOf(yield* inbox.pull), ["b"])
      assert.deepStrictEqual(yield* Effect.flip(inbox.pull), error("first"))
      assert.deepStrictEqual(yield* Effect.flip(inbox.pull), error("first"))
    }))

  it.effect("does not read on when it is drained after the end", () =>
    Effect.gen(function*() {
      const { calls, inbox, push } = setup({ highWaterBytes: 1 })
      push("a")
      inbox.end(error("over"))
      yield* inbox.pull
      assert.deepStrictEqual(calls, ["full"])
    }))

  it.effect("drops what is unread when it is discarded, and fails a waiting pull", () =>
    Effect.gen(function*() {
      const { endRead, inbox, push } = setup()
      push("a")
      endRead()
      inbox.discard(error("aborted"))
      assert.deepStrictEqual(yield* Effect.flip(inbox.pull), error("aborted"))

      const waiting = setup().inbox
      const fiber = yield* Effect.forkChild(Effect.flip(waiting.pull), { startImmediately: true })
      waiting.discard(error("aborted"))
      assert.deepStrictEqual(yield* Fiber.join(fiber), error("aborted"))
    }))

  it.effect("loses nothing to an interrupted pull", () =>
    Effect.gen(function*() {
      const { endRead, inbox, push } = setup()
      const fiber = yield* Effect.forkChild(inbox.pull, { startImmediately: true })
      push("a")
      yield* Fiber.interrupt(fiber)
      endRead()
      assert.deepStrictEqual(textsOf(yield* inbox.pull), ["a"])
    }))

  it.effect("refuses a second pull instead of forgetting the first", () =>
    Effect.gen(function*() {
      const { endRead, inbox, push } = setup()
      const fiber = yield* Effect.forkChild(inbox.pull, { startImmediately: true })
      const refused = yield* Effect.flip(inbox.pull)
      assert.strictEqual(refused.reason._tag, "InvalidUse")
      push("a")
      endRead()
      assert.deepStrictEqual(textsOf(yield* Fiber.join(fiber)), ["a"])
    }))

  const Step = Schema.Literals(["frame", "frame", "endRead", "pull", "interrupt"])

  it.effect.prop(
    "delivers every frame once and in order under any interleaving of frames, reads, pulls and interruptions",
    { steps: Schema.Array(Step).check(Schema.isMaxLength(80)), batchFrames: Schema.Literals([1, 2, 7]) },
    ({ batchFrames, steps }) =>
      Effect.gen(function*() {
        const { endRead, inbox, push } = setup({ batchFrames, highWaterBytes: 200 })
        const got = yield* Queue.unbounded<Batch>()
        let sent = 0
        let fiber: Fiber.Fiber<unknown, unknown> | undefined
        const pull = Effect.flatMap(inbox.pull, (batch) => Queue.offer(got, batch))
        for (const step of steps) {
          if (step === "frame") push(String(sent++))
          else if (step === "endRead") endRead()
          else if (step === "interrupt") {
            if (fiber !== undefined) yield* Fiber.interrupt(fiber)
          } else if (fiber === undefined || fiber.pollUnsafe() !== undefined) {
            fiber = yield* Effect.forkChild(pull, { startImmediately: true })
          }
        }
        inbox.end(error("over"))
        if (fiber !== undefined) yield* Fiber.await(fiber)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.forever(pull))))
        const batches = yield* Queue.clear(got)
        assert.deepStrictEqual(batches.flatMap(textsOf), Array.from({ length: sent }, (_, index) => String(index)))
        for (const batch of batches) assert.isAtMost(batch.frames.length, batchFrames)
        const stamps = batches.map((batch) => batch.receivedAt)
        assert.deepStrictEqual(stamps, [...stamps].sort((a, b) => a - b))
      })
  )

  it.effect("gives what is worked on later the stamp of its read", () =>
    Effect.gen(function*() {
      const { endRead, inbox, push } = setup()
      push("a")
      endRead()
      inbox.goOn()
      push("b")
      endRead()
      push("c")
      endRead()
      const batches = yield* Effect.all([inbox.pull, inbox.pull, inbox.pull])
      assert.deepStrictEqual(batches.map(({ receivedAt }) => receivedAt), [1, 1, 2])
    }))

  it.effect("leaves the next turn to others before it gives more, once the fiber's time is spent", () =>
    Effect.gen(function*() {
      let now = 0
      const turns: Array<() => void> = []
      const budget = new TurnBudget(() => now, (run) => turns.push(run))
      const { endRead, inbox, push } = setup({ batchFrames: 1, budget })
      const seen: Array<string> = []
      const work = Effect.map(inbox.pull, (batch) => {
        seen.push(...textsOf(batch))
        // Two batches take what a turn may take.
        now += budgetMillis / 2
      })
      budget.begin()
      push("a", "b", "c", "d", "e")
      endRead()
      const fiber = yield* Effect.forkChild(Effect.forever(work, { disableYield: true }), { startImmediately: true })
      const inTurn = [seen.splice(0).join("")]
      while (turns.length > 0) {
        turns.shift()!()
        inTurn.push(seen.splice(0).join(""))
      }
      // The first two may have been of a turn before.
      assert.deepStrictEqual(inTurn.filter((texts) => texts !== ""), ["abcd", "e"])
      push("f")
      endRead()
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("loses nothing when a fiber is interrupted that waits for its turn", () =>
    Effect.gen(function*() {
      const turns: Array<() => void> = []
      let now = 0
      let step = budgetMillis
      const budget = new TurnBudget(() => now += step, (run) => turns.push(run))
      const { endRead, inbox, push } = setup({ budget })
      assert.deepStrictEqual([budget.checkSpent(), budget.checkSpent()], [false, true])
      assert.strictEqual(turns.length, 1)
      turns.length = 0
      step = 0
      push("a")
      endRead()
      // This turn's time is spent.
      const fiber = yield* Effect.forkChild(inbox.pull, { startImmediately: true })
      assert.strictEqual(turns.length, 1)
      yield* Fiber.interrupt(fiber)
      const next = yield* Effect.forkChild(inbox.pull, { startImmediately: true })
      for (const turn of turns.splice(0)) turn()
      assert.deepStrictEqual(textsOf(yield* Fiber.join(next)), ["a"])
    }))

  describe("with a reader", () => {
    interface Turn {
      readonly frames: number
      readonly bytes: number
      readonly receivedAt: number
    }

    /** A reader, whose next turns end as told: true where the fiber is needed. */
    const reading = (bounds?: { readonly batchFrames?: number }) => {
      const parts = setup(bounds)
      const seen: Array<string> = []
      const turns: Array<Turn> = []
      const calls: Array<boolean> = []
      parts.inbox.pull.direct!({
        frame: (frame) => {
          const text = Buffer.from(frame).toString()
          if (text === "bad") throw new Error("a bad frame")
          seen.push(text)
          return text.endsWith("!")
        },
        turn: (frames, bytes, receivedAt) => {
          turns.push({ frames, bytes, receivedAt })
          return calls.shift() ?? false
        }
      })
      return { ...parts, seen, turns, calls }
    }

    it.effect("hands frames over at once while a fiber waits, and does not wake it", () =>
      Effect.gen(function*() {
        const { endRead, inbox, push, seen, turns } = reading()
        const fiber = yield* Effect.forkChild(inbox.pull, { startImmediately: true })
        push("a", "bc")
        assert.deepStrictEqual(seen, ["a", "bc"])
        assert.deepStrictEqual(turns, [])
        endRead()
        push("d")
        endRead()
        assert.deepStrictEqual(turns, [{ frames: 2, bytes: 3, receivedAt: 1 }, { frames: 1, bytes: 1, receivedAt: 2 }])
        assert.isUndefined(fiber.pollUnsafe())
        yield* Fiber.interrupt(fiber)
      }))

    it.effect("queues what comes while nobody waits, and hands over behind it", () =>
      Effect.gen(function*() {
        const { endRead, inbox, push, seen } = reading()
        push("a")
        endRead()
        assert.deepStrictEqual(seen, [])
        assert.deepStrictEqual(textsOf(yield* inbox.pull), ["a"])
        const fiber = yield* Effect.forkChild(inbox.pull, { startImmediately: true })
        push("b")
        assert.deepStrictEqual(seen, ["b"])
        yield* Fiber.interrupt(fiber)
        push("c")
        assert.deepStrictEqual(seen, ["b"], "an interrupted fiber waits no more")
      }))

    it.effect("ends a turn after so many frames as a batch may have", () =>
      Effect.gen(function*() {
        const { endRead, inbox, push, turns } = reading({ batchFrames: 2 })
        const fiber = yield* Effect.forkChild(inbox.pull, { startImmediately: true })
        push("a", "b", "c")
        endRead()
        assert.deepStrictEqual(turns.map(({ frames }) => frames), [2, 1])
        yield* Fiber.interrupt(fiber)
      }))

    it.effect("wakes the fiber with an empty batch when the reader needs it, and queues until it waits again", () =>
      Effect.gen(function*() {
        const { calls, endRead, inbox, push, seen } = reading({ batchFrames: 2 })
        calls.push(true)
        const fiber = yield* Effect.forkChild(inbox.pull, { startImmediately: true })
        push("a", "b", "c")
        assert.isUndefined(fiber.pollUnsafe(), "not in the middle of a read")
        endRead()
        assert.deepStrictEqual(textsOf(yield* Fiber.join(fiber)), [])
        assert.deepStrictEqual(seen, ["a", "b"])
        push("d")
        endRead()
        assert.deepStrictEqual(textsOf(yield* inbox.pull), ["c"])
        assert.deepStrictEqual(textsOf(yield* inbox.pull), ["d"])
        const next = yield* Effect.forkChild(inbox.pull, { startImmediately: true })
        push("e")
        assert.deepStrictEqual(seen, ["a", "b", "e"])
        yield* Fiber.interrupt(next)
      }))

    it.effect("ends the pulling fiber with what the reader throws", () =>
      Effect.gen(function*() {
        const { endRead, inbox, push } = reading()
        const fiber = yield* Effect.forkChild(Effect.exit(inbox.pull), { startImmediately: true })
        push("a", "bad")
        const exit = yield* Fiber.join(fiber)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        push("b")
        endRead()
        assert.deepStrictEqual(textsOf(yield* inbox.pull), ["b"])
      }))

    it.effect("ends the turn before the connection's end is told", () =>
      Effect.gen(function*() {
        const { inbox, push, turns } = reading()
        const fiber = yield* Effect.forkChild(Effect.flip(inbox.pull), { startImmediately: true })
        push("a")
        inbox.end(error("over"))
        assert.strictEqual(yield* Fiber.join(fiber), inbox.reason())
        assert.strictEqual(turns.length, 1)
        push("b")
        assert.strictEqual(turns.length, 1)
      }))
  })
})
