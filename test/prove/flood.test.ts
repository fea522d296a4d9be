/** The flood of the proof `flood`: whole frames between whole frames, and what the exchange says as it came. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Floods } from "../../scripts/prove/FloodProxy.ts"

const text = (words: string): Buffer => Buffer.concat([Buffer.from([0x81, words.length]), Buffer.from(words)])

const binary = (length: number, value: number): Buffer =>
  length < 126
    ? Buffer.concat([Buffer.from([0x82, length]), Buffer.alloc(length, value)])
    : Buffer.concat([Buffer.from([0x82, 126, length >> 8, length & 255]), Buffer.alloc(length, value)])

const handshake = Buffer.from("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")

/** A client whose socket takes a write when the test says so. */
const setup = () => {
  const writes: Array<Buffer> = []
  let written: (() => void) | undefined
  const floods = new Floods()
  const flood = floods.add({
    destroyed: false,
    write: (bytes, done) => {
      writes.push(bytes)
      if (done !== undefined) written = done
    }
  })
  return {
    floods,
    flood,
    takeWrites: () => writes.splice(0),
    /** The socket has taken the last slice. */
    drain: Effect.promise(async () => {
      const done = written
      written = undefined
      done?.()
      await new Promise((resolve) => setImmediate(resolve))
    })
  }
}

/** How often it says the frame, and nothing else. */
const times = (bytes: Buffer, frame: Buffer): number => {
  assert.strictEqual(bytes.length % frame.length, 0)
  const count = bytes.length / frame.length
  assert.isTrue(bytes.equals(Buffer.concat(Array.from({ length: count }, () => frame))))
  return count
}

describe("FloodProxy", () => {
  it("passes on what the exchange says in whole frames, however it comes", () => {
    const said = Buffer.concat([handshake, text("hello"), binary(300, 7), binary(3, 1)])
    for (const length of [1, 7, 1_000]) {
      const { flood, takeWrites } = setup()
      for (let at = 0; at < said.length; at += length) flood.read(said.subarray(at, at + length))
      const writes = takeWrites()
      assert.isTrue(Buffer.concat(writes).equals(said), `${length} bytes at a time`)
      if (length === 1) assert.deepStrictEqual(writes.map((write) => write.length), [handshake.length, 7, 304, 5])
    }
  })

  it.effect("repeats the latest market data between whole frames, as fast as the socket takes them", () =>
    Effect.gen(function*() {
      const { drain, flood, floods, takeWrites } = setup()
      const data = binary(300, 7)
      flood.read(Buffer.concat([handshake, data, text("an answer"), data.subarray(0, 100)]))
      takeWrites()
      floods.tell("repeated")
      const [slice, ...others] = takeWrites()
      const count = times(slice!, data)
      assert.isAbove(count, 100)
      assert.deepStrictEqual(others, [], "no more before the socket has taken it")
      flood.read(data.subarray(100))
      assert.deepStrictEqual(takeWrites(), [data], "what the exchange says goes on meanwhile")
      yield* drain
      assert.lengthOf(takeWrites(), 1)
      assert.deepStrictEqual(floods.tell("quiet"), {
        frames: count + Math.floor(count / 2) * 2,
        bytes: (count + Math.floor(count / 2) * 2) * data.length
      })
      yield* drain
      assert.deepStrictEqual(takeWrites(), [])
    }))

  it("repeats no answers and no book that begins anew, and floods nobody without market data", () => {
    const { flood, floods, takeWrites } = setup()
    flood.read(Buffer.concat([handshake, text(`{"event":"subscribe"}`), text(`{"event":"update","full":true}`)]))
    takeWrites()
    floods.tell("repeated")
    assert.deepStrictEqual(takeWrites(), [])
    const update = text(`{"event":"update","u":1}`)
    flood.read(update)
    const [passed, slice] = takeWrites()
    assert.deepStrictEqual(passed, update)
    assert.isAbove(times(slice!, update), 100)
  })

  it("sends small frames that say nothing", () => {
    const { flood, floods, takeWrites } = setup()
    flood.read(Buffer.concat([handshake, binary(3, 1)]))
    takeWrites()
    floods.tell("unreadable")
    const [slice] = takeWrites()
    assert.strictEqual(times(slice!, text("x".repeat(62))), floods.frames)
  })
})
