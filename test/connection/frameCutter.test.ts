import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Schema } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import * as Https from "node:https"
import * as Net from "node:net"
import type { Writable } from "node:stream"
import { setImmediate as nextTurn } from "node:timers/promises"
import type { TLSSocket } from "node:tls"
import * as Ws from "ws"
import { cutFrames, FrameCutter, maxFragments } from "../../src/connection/FrameCutter.ts"
import { budgetMillis, of as budgetOf, TurnBudget } from "../../src/connection/TurnBudget.ts"

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

const shared = budgetOf(Clock.Clock.defaultValue())

const never = (): boolean => false

/** Answers with these, again and again. */
const inTurn = (answers: ReadonlyArray<boolean>) => {
  let next = 0
  return (): boolean => answers[next++ % answers.length]!
}

/**
 * What comes of them with a cutter before `ws`. `isSpent` as the cutter asks it, and `isNextTurn` whether what waits is
 * worked on before the next read.
 */
const withCutter = async (
  reads: ReadonlyArray<Uint8Array>,
  readBytes: number,
  isSpent = never,
  isNextTurn = never
): Promise<Seen> => {
  const log: Log = []
  const receiver = makeReceiver(log)
  let cut = 0
  const cutter = new FrameCutter({
    maxFrameBytes,
    readBytes,
    onFrame: (bytes, start, end) => {
      cut++
      log.push(["message", hex(bytes.subarray(start, end))])
    },
    pass: (bytes) => {
      // `ws` would pause its socket for good.
      if (receiver.writableEnded) log.push(["behind the end", hex(bytes)])
      // A copy, as what was passed on is written over.
      receiver.write(Buffer.from(bytes))
    },
    isSpent
  })
  for (const read of reads) {
    cutter.feed(read)
    while (cutter.isWaiting && isNextTurn()) cutter.goOn()
  }
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

const part = oneOf([whole, whole, whole, ping, fragmented])

const parts = Arbitrary.array(part, { minLength: 1, maxLength: 12 })

/** Enough of them to be asked about the time more than once, few of them large. */
const manyParts = Arbitrary.array(
  oneOf([Arbitrary.map(small, (bytes) => Array.from({ length: 40 }, () => frame(0x82, bytes))), ping, ping, part]),
  { minLength: 3, maxLength: 20 }
)

const answers = Arbitrary.array(Arbitrary.map(int(0, 1), (bit) => bit === 1), { minLength: 1, maxLength: 7 })

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

/** What is read into: room for the longest header, for some of the frames, or for any. */
const memory = oneOf([int(10, 20), int(100, 500), int(60_000, 131_072)])

const joined = (all: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat(all))

/** More than the largest frame here. */
const roomy = 128 * 1024

/** What the reads come to, once with and once without the cutter. */
const same = (reads: ReadonlyArray<Uint8Array>, readBytes = roomy) =>
  Effect.promise(async () => {
    const expected = await alone(reads)
    const { cut, log } = await withCutter(reads, readBytes)
    assert.deepStrictEqual(log, expected)
    return { cut, log }
  })

describe("FrameCutter", () => {
  it.effect.prop(
    "makes of any frames in any reads what ws alone makes of them",
    [parts, lengths, memory],
    ([made, cuts, bytes]) => same(readsOf(joined(made.flat()), cuts), bytes)
  )

  it.effect.prop(
    "leaves to ws what breaks the protocol, and reads nothing behind it",
    [parts, lengths, int(0, 1_000_000), int(1, 255), parts, memory],
    ([made, cuts, place, change, behind, bytes]) => {
      const before = joined(made.flat())
      // Of a header rather than of a payload, most of the time.
      const at = place % 2 === 0 ? place % Math.min(before.length, 4) : place % before.length
      before[at] = before[at]! ^ change
      return same(readsOf(joined([before, ...behind.flat()]), cuts), bytes)
    }
  )

  it.effect.prop(
    "makes the same of them when the time is spent now and then, whatever is read before it goes on",
    [manyParts, lengths, memory, answers, answers, closing],
    ([made, cuts, bytes, spent, turns, last]) =>
      Effect.promise(async () => {
        for (const all of [made.flat(), [...made.flat(), last, frame(0x82, filled(3, 1))]]) {
          const reads = readsOf(joined(all), cuts)
          const { log } = await withCutter(reads, bytes, inTurn(spent), inTurn([...turns, false]))
          assert.deepStrictEqual(log, await alone(reads))
        }
      })
  )

  it.effect.prop(
    "drops what comes behind a close frame, in however many reads",
    [parts, closing, parts, lengths, memory],
    ([before, last, behind, cuts, bytes]) =>
      same(readsOf(joined([...before.flat(), last, ...behind.flat()]), cuts), bytes)
  )

  it.effect("cuts out frames, however many reads they come in, unless its memory is too small for them", () =>
    Effect.gen(function*() {
      const bytes = joined([frame(0x81, filled(3, 1)), frame(0x82, filled(200, 2)), frame(0x81, filled(5, 3))])
      for (const lengths of [[300], [100], [6], [1]]) {
        assert.strictEqual((yield* same(readsOf(bytes, lengths))).cut, 3)
        assert.strictEqual((yield* same(readsOf(bytes, lengths), 204)).cut, 3)
        assert.strictEqual((yield* same(readsOf(bytes, lengths), 203)).cut, 2)
      }
    }))

  it.effect("hands what of a frame has come to ws when the connection ends in it", () =>
    Effect.sync(() => {
      const passed: Array<string> = []
      const cutter = new FrameCutter({
        maxFrameBytes,
        readBytes: roomy,
        onFrame: () => {},
        pass: (bytes) => passed.push(hex(bytes)),
        isSpent: never
      })
      cutter.feed(frame(0x81, filled(4, 7)).subarray(0, 5))
      assert.deepStrictEqual(passed, [])
      cutter.end()
      cutter.end()
      assert.deepStrictEqual(passed, ["8104070707"])
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

  it.effect("reads into the same memory again and again, and hands it over: no payload is copied", () =>
    Effect.sync(() => {
      const seen: Array<readonly [Uint8Array, string]> = []
      const cutter = new FrameCutter({
        maxFrameBytes,
        readBytes: roomy,
        onFrame: (bytes, start, end) => seen.push([bytes, hex(bytes.subarray(start, end))]),
        pass: () => {},
        isSpent: never
      })
      const { room } = cutter
      const whole = frame(0x82, filled(4, 9))
      const read = (bytes: Uint8Array): void => {
        cutter.room.set(bytes)
        cutter.read(bytes.length)
      }
      read(whole)
      read(whole.subarray(0, 5))
      read(whole.subarray(5))
      assert.deepStrictEqual(seen, [[room, "09090909"], [room, "09090909"]])
      assert.strictEqual(cutter.room, room)
    }))
})

describe("FrameCutter, when the time is spent", () => {
  it.effect("asks every 32 frames, keeps the rest in place, and hands it over when it goes on", () =>
    Effect.sync(() => {
      let asked = 0
      let handed = 0
      let isSpent = true
      const cutter = new FrameCutter({
        maxFrameBytes,
        readBytes: 500,
        onFrame: () => void handed++,
        pass: () => {},
        isSpent: () => {
          asked++
          return isSpent
        }
      })
      const frames = joined(Array.from({ length: 90 }, () => frame(0x82, filled(3, 1))))
      cutter.feed(frames)
      assert.deepStrictEqual([asked, handed, cutter.isWaiting], [1, 32, true])
      cutter.goOn()
      assert.deepStrictEqual([asked, handed, cutter.isWaiting], [2, 64, true])
      cutter.feed(frames.subarray(0, 50))
      assert.deepStrictEqual([asked, handed, cutter.isWaiting], [2, 64, true], "what comes meanwhile waits behind it")
      isSpent = false
      cutter.goOn()
      assert.deepStrictEqual([handed, cutter.isWaiting], [100, false])
    }))

  it.effect("does not wait when nothing is left, and hands over the rest when the connection ends", () =>
    Effect.sync(() => {
      let handed = 0
      const cutter = new FrameCutter({
        maxFrameBytes,
        readBytes: 500,
        onFrame: () => void handed++,
        pass: () => {},
        isSpent: () => true
      })
      const frames = joined(Array.from({ length: 32 }, () => frame(0x82, filled(3, 1))))
      cutter.feed(frames)
      assert.isFalse(cutter.isWaiting)
      cutter.feed(joined([frames, frames, frames]))
      assert.deepStrictEqual([handed, cutter.isWaiting], [64, true])
      cutter.end()
      assert.deepStrictEqual([handed, cutter.isWaiting], [128, false])
    }))
})

const upgrade = (key: string): string => {
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
    + `Sec-WebSocket-Accept: ${accept}\r\n\r\n`
}

const onGoOn = (): void => {}

/** A server that answers its one client's handshake, with `head` behind the answer in the same write. */
const serve = (head: Uint8Array) => {
  let resolve: (peer: Net.Socket) => void
  const opened = new Promise<Net.Socket>((done) => {
    resolve = done
  })
  const server = Net.createServer((peer) => {
    let request = ""
    const onData = (bytes: Buffer): void => {
      request += bytes.toString("latin1")
      const key = /Sec-WebSocket-Key: (.*)\r\n/i.exec(request)?.[1]
      if (!request.includes("\r\n\r\n") || key === undefined) return
      peer.off("data", onData).resume()
      peer.write(Buffer.concat([Buffer.from(upgrade(key)), head]))
      resolve(peer)
    }
    peer.on("data", onData).on("error", () => {})
  })
  const listening = new Promise<string>((done) => {
    server.listen(0, "127.0.0.1", () => done(`ws://127.0.0.1:${(server.address() as Net.AddressInfo).port}/path?query`))
  })
  return { server, listening, opened }
}

type Use = (peer: Net.Socket, socket: Ws.WebSocket) => Promise<void>

/** What a client is told, to its end. `use` has the server's side of the open socket. */
const told = async (withCutter: boolean, head: Uint8Array, use: Use): Promise<Log> => {
  const log: Log = []
  const { listening, opened, server } = serve(head)
  const url = await listening
  const onFrame = (bytes: Uint8Array, start: number, end: number): void => {
    log.push(["message", hex(bytes.subarray(start, end))])
  }
  const cutting = withCutter ? cutFrames(url, { maxFrameBytes, onFrame, onGoOn, owner: "", budget: shared }) : null
  const socket = new Ws.WebSocket(url, {
    ...(cutting === null ? {} : { createConnection: cutting.createConnection }),
    maxPayload: maxFrameBytes,
    perMessageDeflate: false,
    // Longer than a test may take: who waits for it fails.
    closeTimeout: 600_000
  } as Ws.ClientOptions)
  cutting?.attach(socket)
  socket.on("message", (data: Buffer) => onFrame(data, 0, data.length))
  socket.on("error", (error) => log.push(["error", error.message]))
  const over = new Promise<void>((done) => {
    socket.on("close", (code, reason) => {
      log.push(["close", `${code} ${reason.toString()}`])
      done()
    })
  })
  socket.on("open", () => log.push(["open", ""]))
  await use(await opened, socket)
  await over
  server.close()
  return log
}

/** Until the other side has read what was written, as far as that can be known. */
const written = async (peer: Net.Socket, bytes: Uint8Array): Promise<void> => {
  await new Promise((done) => peer.write(bytes, done))
  for (let turn = 0; turn < 10; turn++) await nextTurn()
}

describe("cutFrames", () => {
  const message = frame(0x82, filled(3, 1))
  const goodbye = frame(0x88, joined([Uint8Array.of(3, 233), Buffer.from("bye")]))
  const [opened, got, ended] = [["open", ""], ["message", "010101"], ["close", "1001 bye"]] as const
  const nothing = new Uint8Array(0)

  const cases: Record<string, readonly [head: Uint8Array, expected: Log, use: Use]> = {
    "in the same read": [nothing, [opened, got, ended], async (peer) => {
      peer.end(joined([message, goodbye, message]))
    }],
    "in the read that brings the handshake's answer": [
      joined([message, message.subarray(0, 3)]),
      [opened, got, got, ended],
      async (peer) => {
        peer.end(joined([message.subarray(3), goodbye, message]))
      }
    ],
    "while reading is held up": [nothing, [opened, got, ended], async (peer, socket) => {
      await (socket.readyState === Ws.WebSocket.OPEN ? null : once(socket, "open"))
      socket.pause()
      for (const bytes of [message, goodbye, message, message]) await written(peer, bytes)
      peer.end()
      socket.resume()
    }],
    "in a later read": [nothing, [opened, got, ended], async (peer) => {
      for (const bytes of [message, goodbye, message, message]) await written(peer, bytes)
      peer.end()
    }],
    "in a frame that several reads bring": [nothing, [opened, got, got, ended], async (peer) => {
      for (const byte of joined([message, message, goodbye])) await written(peer, Uint8Array.of(byte))
      peer.end(message)
    }],
    "to a reader that has stopped": [nothing, [opened, ["message", "010101"], ended], async (peer, socket) => {
      socket.once("message", () => socket.pause())
      await written(peer, joined([frame(0x02, filled(2, 1)), frame(0x80, filled(1, 1)), goodbye]))
      peer.end(message)
    }]
  }
  for (const [name, [head, expected, use]] of Object.entries(cases)) {
    it.effect(
      `tells the peer's code and reason at once when it sends on behind its close frame, ${name}`,
      () =>
        Effect.promise(async () => {
          assert.deepStrictEqual(await told(false, head, use), expected, "ws alone")
          assert.deepStrictEqual(await told(true, head, use), expected)
        }),
      10_000
    )
  }

  /** Each frame takes a tenth of a turn's budget; what is read in one turn is counted. */
  const costly = () => {
    const seen: Array<number> = []
    let now = 0
    let most = 0
    let inThisTurn = 0
    const onFrame = (bytes: Uint8Array, start: number): void => {
      now += budgetMillis / 10
      most = Math.max(most, ++inThisTurn)
      seen.push(bytes[start]!)
    }
    const budget = new TurnBudget(() => now, (run) => void setImmediate(run))
    const watch = (): void => {
      inThisTurn = 0
      // Nothing happens for longer than pieces of one turn are apart.
      now += 1
    }
    return { budget, onFrame, seen, watch, most: () => most }
  }

  it.effect(
    "takes no more of a flooded socket in a turn than its time allows, and loses nothing",
    () =>
      Effect.promise(async () => {
        const { budget, most, onFrame, seen, watch } = costly()
        const { listening, opened: peer, server } = serve(nothing)
        const url = await listening
        const { attach, createConnection } = cutFrames(url, { maxFrameBytes, onFrame, onGoOn, owner: "", budget })
        const socket = new Ws.WebSocket(url, { createConnection, perMessageDeflate: false })
        attach(socket)
        const count = 200_000
        const flood = joined(Array.from({ length: count }, (_, i) => frame(0x82, Uint8Array.of(i & 255))))
        ;(await peer).end(joined([flood, goodbye]))
        let isOver = false
        socket.once("close", () => {
          isOver = true
        })
        while (!isOver) {
          await nextTurn()
          watch()
        }
        server.close()
        assert.strictEqual(seen.length, count)
        assert.isTrue(seen.every((value, i) => value === (i & 255)))
        // What has waited, and what is read behind it: twice the longest time, of 40 frames each; it is asked for every 32 frames.
        assert.isAtMost(most(), 3 * 64)
      }),
    30_000
  )

  it.effect("tells what ws does not take", () =>
    Effect.promise(async () => {
      const use: Use = async (peer) => {
        await written(peer, joined([message, frame(0xf2, filled(1, 1)), message]))
        peer.end(message)
      }
      const expected = await told(false, nothing, use)
      assert.deepStrictEqual(expected.map(([what]) => what), ["open", "message", "error", "close"])
      assert.deepStrictEqual(await told(true, nothing, use), expected)
    }), 10_000)
})

/** Self-signed, for this machine; null where there is no `openssl`. */
const certificate = (() => {
  const { status, stdout } = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
    ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "-", "-out", "-"]
  ], { encoding: "utf8" })
  return status === 0 ? { key: stdout, cert: stdout } : null
})()

describe.skipIf(certificate === null)("cutFrames over TLS", () => {
  const sizes = [5, 125, 126, 20_000, 65_535, 65_536, 0, 200_000, 300_000, 1]
  const count = 200

  /** Sends messages of many sizes to its client, then says goodbye; what name the client asked for comes with the handshake. */
  const serving = async (use: (port: number, names: Array<unknown>) => Promise<void>): Promise<void> => {
    const names: Array<unknown> = []
    const server = Https.createServer(certificate!)
    server.on(
      "secureConnection",
      (socket: TLSSocket & { readonly servername?: unknown }) => names.push(socket.servername)
    )
    const sockets = new Ws.WebSocketServer({ server })
    sockets.on("connection", (socket) => {
      for (let i = 0; i < count; i++) socket.send(filled(sizes[i % sizes.length]!, i % 251))
      socket.close(1000, "enough")
    })
    await new Promise<void>((done) => server.listen(0, () => done()))
    try {
      await use((server.address() as Net.AddressInfo).port, names)
    } finally {
      sockets.close()
      server.close()
    }
  }

  const client = async (url: string, ca: string | undefined, isSlow: boolean, budget = shared) => {
    const seen: Array<readonly [length: number, value: number | undefined]> = []
    let cut = 0
    let goneOn = 0
    const take = (bytes: Uint8Array, start: number, end: number): void => {
      seen.push([end - start, end > start ? bytes[end - 1] : undefined])
      if (isSlow && seen.length % 10 === 0) {
        socket.pause()
        setImmediate(() => socket.resume())
      }
    }
    const cutting = cutFrames(url, {
      maxFrameBytes: 2 ** 20,
      onFrame: (bytes, start, end) => {
        cut++
        take(bytes, start, end)
      },
      onGoOn: () => {
        goneOn++
      },
      owner: "",
      budget
    })
    const socket = new Ws.WebSocket(url, {
      createConnection: cutting.createConnection,
      perMessageDeflate: false,
      ...(ca === undefined ? {} : { ca })
    })
    cutting.attach(socket)
    socket.on("message", (data: Buffer) => take(data, 0, data.length))
    let error = ""
    socket.on("error", (cause) => {
      error = cause.message
    })
    const end = await new Promise<string>((done) => {
      socket.on("close", (code, reason) => done(`${code} ${reason.toString()}`))
    })
    return { seen, cut, goneOn, error, end }
  }

  /** Whenever it is asked, the time is spent. */
  const spent = (): TurnBudget => {
    let now = 0
    return new TurnBudget(() => now++, (run) => void setImmediate(run))
  }

  const readers: ReadonlyArray<readonly [name: string, isSlow: boolean, budget: () => TurnBudget]> = [
    ["", false, () => shared],
    [", by a reader that stops now and then", true, () => shared],
    [", by one that has no time", false, spent],
    [", by one that has no time and stops now and then", true, spent]
  ]
  for (const [name, isSlow, budget] of readers) {
    it.effect(
      `reads all, in order${name}, and asks for the host by its name`,
      () =>
        Effect.promise(() =>
          serving(async (port, names) => {
            for (const host of ["localhost", "127.0.0.1"]) {
              const { cut, end, seen } = await client(
                `wss://${host}:${port}/`,
                certificate!.cert,
                isSlow,
                budget()
              )
              assert.deepStrictEqual(
                seen,
                Array.from({ length: count }, (_, i) => {
                  const size = sizes[i % sizes.length]!
                  return [size, size > 0 ? i % 251 : undefined] as const
                })
              )
              assert.strictEqual(end, "1000 enough")
              // All but those whose length is written in eight bytes.
              assert.strictEqual(cut, count * 0.7)
            }
            assert.deepStrictEqual(names, ["localhost", false])
          })
        ),
      10_000
    )
  }

  it.effect(
    "reads what came before the peer's end, also when there was no time for it",
    () =>
      Effect.promise(async () => {
        const server = Https.createServer(certificate!)
        const messages = Array.from({ length: 500 }, (_, i) => frame(0x82, Uint8Array.of(i & 255)))
        const goodbye = frame(0x88, joined([Uint8Array.of(3, 233), Buffer.from("bye")]))
        let isHolding = false
        server.on("upgrade", (request, socket) => {
          socket.on("error", () => {})
          socket.write(upgrade(request.headers["sec-websocket-key"]!), () => {
            isHolding = true
            socket.end(joined([...messages, goodbye]))
          })
        })
        await new Promise<void>((done) => server.listen(0, () => done()))
        // Holds back what comes behind the handshake, so that it is read at once, TLS's own goodbye included.
        const between = Net.createServer((near) => {
          const held: Array<Buffer> = []
          const far = Net.connect((server.address() as Net.AddressInfo).port)
          near.on("error", () => {}).on("data", (bytes) => far.write(bytes))
          far.on("error", () => {}).on("end", () => near.end(Buffer.concat(held)))
          far.on("data", (bytes) => isHolding ? held.push(bytes) : near.write(bytes))
        })
        await new Promise<void>((done) => between.listen(0, () => done()))
        const { port } = between.address() as Net.AddressInfo
        const { end, error, goneOn, seen } = await client(`wss://localhost:${port}/`, certificate!.cert, false, spent())
        between.close()
        server.close()
        assert.strictEqual(seen.length, messages.length)
        assert.deepStrictEqual([end, error], ["1001 bye", ""])
        assert.isAbove(goneOn, 0, "what has waited is of the read before, and keeps its stamp")
      }),
    10_000
  )

  it.effect("trusts nobody whom Node does not", () =>
    Effect.promise(() =>
      serving(async (port) => {
        const { error, seen } = await client(`wss://localhost:${port}/`, undefined, false)
        assert.match(error, /self-signed certificate/)
        assert.deepStrictEqual(seen, [])
      })
    ), 10_000)
})
