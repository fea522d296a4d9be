import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import { createHash } from "node:crypto"
import { Duplex, type Writable } from "node:stream"
import { setImmediate as nextTurn } from "node:timers/promises"
import * as Ws from "ws"
import { cutFrames, FrameCutter, maxFragments } from "../../src/connection/FrameCutter.ts"

const maxFrameBytes = 70_000

/** Its types leave it out. */
const { Receiver } = Ws as unknown as {
  readonly Receiver: new(options: {
    readonly maxPayload: number
    readonly maxFragments: number
    readonly skipUTF8Validation: boolean
  }) => Writable
}

/** What a connection tells, in order. */
type Log = Array<readonly [what: string, content: string]>

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

/** The receiver of `ws`. */
const makeReceiver = (log: Log): Writable =>
  new Receiver({ maxPayload: maxFrameBytes, maxFragments, skipUTF8Validation: true })
    .on("message", (data: Buffer) => log.push(["message", hex(data)]))
    .on("ping", (data: Buffer) => log.push(["ping", hex(data)]))
    .on("pong", (data: Buffer) => log.push(["pong", hex(data)]))
    .on("conclude", (code: number, reason: Buffer) => log.push(["close", `${code} ${hex(reason)}`]))
    .on("error", (error) => log.push(["error", error.message]))

/** What `ws` alone makes of the bytes: when a close frame has come, it stops listening to its socket. */
const alone = async (reads: ReadonlyArray<Uint8Array>): Promise<Log> => {
  const log: Log = []
  const receiver = makeReceiver(log)
  for (const read of reads) if (!receiver.writableEnded) receiver.write(read)
  await nextTurn()
  return log
}

interface Seen {
  readonly log: Log
  /** Messages that were cut, and not passed on. */
  readonly cut: number
}

/** What comes of them with a cutter before `ws`. */
const withCutter = async (reads: ReadonlyArray<Uint8Array>): Promise<Seen> => {
  const log: Log = []
  const receiver = makeReceiver(log)
  let cut = 0
  const cutter = new FrameCutter({
    maxFrameBytes,
    onFrame: (bytes, start, end) => {
      cut++
      log.push(["message", hex(bytes.subarray(start, end))])
    },
    pass: (bytes) => {
      // `ws` would pause its socket for good.
      if (receiver.writableEnded) log.push(["behind the end", hex(bytes)])
      receiver.write(bytes)
    }
  })
  for (const read of reads) cutter.read(read)
  cutter.end()
  await nextTurn()
  return { log, cut }
}

const lengthBytes = (length: number): ReadonlyArray<number> => {
  if (length < 126) return [length]
  if (length < 65_536) return [126, length >> 8, length & 255]
  return [127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255]
}

const frame = (first: number, payload: Uint8Array): Uint8Array =>
  Uint8Array.from([first, ...lengthBytes(payload.length), ...payload])

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value)

const final = 0x80

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum, maximum }))))

/** One of several, each as likely as the others. */
const oneOf = <A>(all: ReadonlyArray<Arbitrary.Arbitrary<A>>): Arbitrary.Arbitrary<A> =>
  Arbitrary.flatMap(int(0, all.length - 1), (index) => all[index]!)

const payload = Arbitrary.map(
  Arbitrary.all([oneOf([int(0, 130), int(0, 130), int(0, 300), int(120, 130), int(65_530, 65_540)]), int(0, 255)]),
  ([length, value]) => filled(length, value)
)

const small = Arbitrary.map(Arbitrary.all([int(0, 125), int(0, 255)]), ([length, value]) => filled(length, value))

/** A message in one frame. */
const whole = Arbitrary.map(Arbitrary.all([int(1, 2), payload]), ([opcode, bytes]) => [frame(final | opcode, bytes)])

const ping = Arbitrary.map(Arbitrary.all([int(9, 10), small]), ([opcode, bytes]) => [frame(final | opcode, bytes)])

/** A message in several frames, with a control frame between them. */
const fragmented = Arbitrary.map(
  Arbitrary.all([int(1, 2), payload, ping, payload, payload]),
  ([opcode, first, control, middle, last]) => [
    frame(opcode, first),
    ...control,
    frame(0, middle),
    frame(final, last)
  ]
)

const parts = Arbitrary.array(oneOf([whole, whole, whole, ping, fragmented]), { minLength: 1, maxLength: 12 })

/** Behind so many reads longer ones do. */
const shortReads = 300

/** Cuts into reads of these lengths, again and again. */
const readsOf = (bytes: Uint8Array, lengths: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const reads: Array<Uint8Array> = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = at + (i < shortReads ? lengths[i % lengths.length]! : 30_000)
    reads.push(bytes.subarray(at, end))
    at = end
  }
  return reads
}

/** The peer's last frame: with a code and a reason, with neither, or with a code that may not be sent. */
const closing = Arbitrary.map(Arbitrary.all([int(0, 5), small]), ([kind, reason]) => {
  if (kind === 0) return frame(0x88, new Uint8Array(0))
  return frame(0x88, joined([Uint8Array.of(3, kind === 1 ? 255 : 231 + kind), reason.subarray(0, 100)]))
})

const lengths = Arbitrary.array(oneOf([int(1, 9), int(1, 400), int(1_000, 65_536)]), {
  minLength: 1,
  maxLength: 6
})

const joined = (all: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat(all))

/** What the reads come to, once with and once without the cutter. */
const same = (reads: ReadonlyArray<Uint8Array>) =>
  Effect.promise(async () => {
    const expected = await alone(reads)
    const { cut, log } = await withCutter(reads)
    assert.deepStrictEqual(log, expected)
    return { cut, log }
  })

describe("FrameCutter", () => {
  it.effect.prop(
    "makes of any frames in any reads what ws alone makes of them",
    [parts, lengths],
    ([made, cuts]) => same(readsOf(joined(made.flat()), cuts))
  )

  it.effect.prop(
    "leaves to ws what breaks the protocol, and reads nothing behind it",
    [parts, lengths, int(0, 1_000_000), int(1, 255), parts],
    ([made, cuts, place, change, behind]) => {
      const before = joined(made.flat())
      // Of a header rather than of a payload, most of the time.
      const at = place % 2 === 0 ? place % Math.min(before.length, 4) : place % before.length
      before[at] = before[at]! ^ change
      return same(readsOf(joined([before, ...behind.flat()]), cuts))
    }
  )

  it.effect.prop(
    "drops what comes behind a close frame, in however many reads",
    [parts, closing, parts, lengths],
    ([before, last, behind, cuts]) => same(readsOf(joined([...before.flat(), last, ...behind.flat()]), cuts))
  )

  it.effect("cuts out whole frames, and passes on those that a read ends in", () =>
    Effect.gen(function*() {
      const bytes = joined([frame(0x81, filled(3, 1)), frame(0x82, filled(200, 2)), frame(0x81, filled(5, 3))])
      assert.strictEqual((yield* same([bytes])).cut, 3)
      assert.strictEqual((yield* same(readsOf(bytes, [100]))).cut, 2)
      // Only the header's first byte was there.
      assert.strictEqual((yield* same([bytes.subarray(0, 6), bytes.subarray(6)])).cut, 3)
    }))

  it.effect("cuts out nothing inside a message of several frames, nor behind a close frame", () =>
    Effect.gen(function*() {
      const whole = frame(0x81, filled(3, 1))
      const around = [frame(0x01, filled(2, 2)), frame(0x89, filled(1, 3)), frame(0x80, filled(2, 4))]
      assert.strictEqual((yield* same([joined([whole, ...around, whole])])).cut, 2)
      const closing = frame(0x88, Uint8Array.of(3, 232))
      assert.strictEqual((yield* same([joined([whole, closing, whole])])).cut, 1)
    }))

  it.effect("cuts out nothing behind a message of more fragments than ws takes", () =>
    Effect.gen(function*() {
      const whole = frame(0x82, filled(3, 1))
      const message = (fragments: number) => [
        frame(0x02, filled(0, 0)),
        ...Array.from({ length: fragments - 2 }, () => frame(0x00, filled(0, 0))),
        frame(0x80, filled(0, 0))
      ]
      assert.strictEqual((yield* same([joined([...message(maxFragments), whole])])).cut, 1)
      const { cut, log } = yield* same([joined([...message(maxFragments + 1), whole])])
      assert.strictEqual(cut, 0)
      assert.deepStrictEqual(log, [["error", "Too many message fragments"]])
    }))

  it.effect("hands over views: the payload is not copied", () =>
    Effect.sync(() => {
      const views: Array<Uint8Array> = []
      const onFrame = (bytes: Uint8Array, start: number, end: number): void => {
        views.push(bytes.subarray(start, end))
      }
      const cutter = new FrameCutter({ maxFrameBytes, onFrame, pass: () => {} })
      const read = frame(0x82, filled(4, 9))
      cutter.read(read)
      assert.deepStrictEqual(views, [filled(4, 9)])
      assert.strictEqual(views[0]!.buffer, read.buffer)
    }))
})

/** A socket whose peer is the test. Reads stand apart, also where several come at once. */
class Peer extends Duplex {
  #request = ""

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    const isOpening = !this.#request.includes("\r\n\r\n")
    if (isOpening) this.#request += bytes.toString("latin1")
    const key = /Sec-WebSocket-Key: (.*)\r\n/i.exec(this.#request)?.[1]
    if (isOpening && key !== undefined) setImmediate(() => this.push(upgrade(key)))
    done()
  }
}

const upgrade = (key: string): string => {
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
    + `Sec-WebSocket-Accept: ${accept}\r\n\r\n`
}

/** What a client on such a socket is told, to its end. `use` has the open socket. */
const told = (withCutter: boolean, use: (peer: Peer, socket: Ws.WebSocket) => Promise<void>): Promise<Log> =>
  new Promise((done, fail) => {
    const log: Log = []
    const peer = new Peer()
    const socket = new Ws.WebSocket("ws://test/", {
      createConnection: () => peer as never,
      maxPayload: maxFrameBytes,
      perMessageDeflate: false,
      // Longer than a test may take: who waits for it fails.
      closeTimeout: 600_000
    } as Ws.ClientOptions)
    const onFrame = (bytes: Uint8Array, start: number, end: number): void => {
      log.push(["message", hex(bytes.subarray(start, end))])
    }
    socket.on("message", (data: Buffer) => onFrame(data, 0, data.length))
    socket.on("error", (error) => log.push(["error", error.message]))
    socket.on("close", (code, reason) => {
      log.push(["close", `${code} ${reason.toString()}`])
      done(log)
    })
    if (withCutter) cutFrames(socket, { maxFrameBytes, onFrame })
    socket.on("open", () => void use(peer, socket).catch(fail))
  })

describe("cutFrames", () => {
  const message = frame(0x82, filled(3, 1))
  const goodbye = frame(0x88, joined([Uint8Array.of(3, 233), Buffer.from("bye")]))
  const expected: Log = [["message", "010101"], ["close", "1001 bye"]]

  const cases = {
    "in the same read": async (peer: Peer) => {
      peer.push(joined([message, goodbye, message]))
      peer.push(null)
    },
    "in reads that come at once": async (peer: Peer, socket: Ws.WebSocket) => {
      socket.pause()
      for (const bytes of [message, goodbye, message, message]) peer.push(bytes)
      peer.push(null)
      await nextTurn()
      socket.resume()
    },
    "in a later read": async (peer: Peer) => {
      for (const bytes of [message, goodbye, message, message]) {
        peer.push(bytes)
        await nextTurn()
      }
      peer.push(null)
    },
    "to a reader that has stopped": async (peer: Peer, socket: Ws.WebSocket) => {
      socket.once("message", () => socket.pause())
      peer.push(joined([frame(0x02, filled(2, 1)), frame(0x80, filled(1, 1)), goodbye]))
      await nextTurn()
      peer.push(message)
      peer.push(null)
    }
  }
  for (const [name, use] of Object.entries(cases)) {
    it.effect(
      `tells the peer's code and reason at once when it sends on behind its close frame, ${name}`,
      () =>
        Effect.promise(async () => {
          assert.deepStrictEqual(await told(false, use), expected, "ws alone")
          assert.deepStrictEqual(await told(true, use), expected)
        }),
      10_000
    )
  }
})
