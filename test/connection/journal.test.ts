/** A journal as bytes: what goes in comes out, whatever became of the end, and secrets never go in. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Latch, Redacted, Schema, Scope } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import { TestClock } from "effect/testing"
import type { Batch, Connection } from "../../src/connection/Connection.ts"
import * as Journal from "../../src/connection/Journal.ts"
import type { Entry } from "../../src/connection/JournalFormat.ts"
import * as JournalHttp from "../../src/connection/JournalHttp.ts"
import { toClientResponse } from "../../src/connection/MemoryNetwork.ts"
import * as Redaction from "../../src/connection/Redaction.ts"
import * as ExchangeError from "../../src/ExchangeError.ts"

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

const batch = (receivedAt: number, ...texts: ReadonlyArray<string>): Batch => {
  const frames = texts.map((frame) => Buffer.from(frame))
  return { receivedAt, frames, bytes: frames.reduce((sum, { length }) => sum + length, 0) }
}

const collect = (parts: Array<Uint8Array>): Journal.Sink => (bytes) => Effect.sync(() => void parts.push(bytes.slice()))

/** Records what the body does and returns the bytes. */
const recorded = <E>(
  body: (recorder: Journal.Recorder) => Effect.Effect<unknown, E>,
  options: Journal.JournalOptions = {}
): Effect.Effect<Uint8Array, E> =>
  Effect.gen(function*() {
    const parts: Array<Uint8Array> = []
    yield* Effect.scoped(Effect.gen(function*() {
      const recorder = yield* Journal.make({ ...options, sink: collect(parts) })
      recorder.begin("toy", { url: "ws://toy" })
      yield* body(recorder)
    }))
    return Buffer.concat(parts)
  })

const entriesOf = (recording: Journal.Recording): Effect.Effect<ReadonlyArray<Entry>, Journal.JournalError> =>
  Effect.map(
    Effect.forEach(Array.from({ length: recording.blocks }, (_, i) => i), recording.entries),
    (blocks) => blocks.flat()
  )

const framesOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<string> =>
  entries.flatMap((entry) => entry._tag === "Batch" ? entry.frames.map(text) : [])

const three = (recorder: Journal.Recorder): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const name of ["first", "second", "third"]) {
      recorder.batch(1, batch(1000, name))
      recorder.seal()
    }
  })

const Bytes = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))

const Step = Schema.Struct({
  link: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 })),
  receivedAt: Schema.Finite,
  frames: Schema.Array(Bytes)
})

describe("a journal", () => {
  it.effect.prop(
    "gives back every frame, in order, whatever the size of its blocks",
    {
      steps: Schema.Array(Step),
      blockBytes: Schema.Int.check(Schema.isBetween({ minimum: 16, maximum: 500 }))
    },
    ({ blockBytes, steps }) =>
      Effect.gen(function*() {
        const bytes = yield* recorded((recorder) =>
          Effect.sync(() => {
            for (const { frames, link, receivedAt } of steps) {
              recorder.batch(link, { receivedAt, frames: frames.map((frame) => Uint8Array.from(frame)) })
            }
          }), { blockBytes })
        const recording = yield* Journal.read(bytes)
        assert.isNull(recording.summary.truncated)
        assert.strictEqual(recording.summary.frames, steps.reduce((sum, { frames }) => sum + frames.length, 0))
        const entries = yield* entriesOf(recording)
        const found = entries.map((entry) =>
          entry._tag === "Batch"
            ? { link: entry.link, receivedAt: entry.receivedAt, frames: entry.frames.map((frame) => [...frame]) }
            : null
        )
        assert.deepStrictEqual(found, steps as never)
      })
  )

  it.effect("keeps version numbers of any size, and notes as they are", () =>
    Effect.gen(function*() {
      const book = { version: 2n ** 70n, bids: [1, 2] }
      const bytes = yield* recorded((recorder) =>
        Effect.sync(() => recorder.decide(3, { _tag: "Snapshot", answer: null, attempt: 0, receivedAt: 1.5, book }, 7))
      )
      const [note] = yield* entriesOf(yield* Journal.read(bytes))
      assert.deepStrictEqual(
        note,
        {
          topic: 3,
          at: 7,
          after: 0,
          turn: 0,
          _tag: "Snapshot",
          answer: null,
          attempt: 0,
          receivedAt: 1.5,
          book
        } as Entry
      )
    }))

  it.effect("says in its header what was recorded, when and by what", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(5_000)
      const options = { package: "9.9.9", pairs: ["BTC/USDT"], channels: ["Book"], about: { label: "a" } } as const
      const { header } = yield* Journal.read(yield* recorded(() => Effect.void, options))
      assert.deepStrictEqual(header, {
        exchange: "toy",
        package: "9.9.9",
        startedAt: 5_000,
        pairs: ["BTC/USDT"],
        channels: ["Book"],
        about: { url: "ws://toy", label: "a" }
      })
    }))

  it.effect("is read to its last whole block wherever it was torn, and says so", () =>
    Effect.gen(function*() {
      const bytes = yield* recorded(three)
      const whole = yield* Journal.read(bytes)
      assert.deepStrictEqual(framesOf(yield* entriesOf(whole)), ["first", "second", "third"])
      const counts: Array<number> = []
      for (let length = 0; length < bytes.length; length++) {
        const result = yield* Effect.result(Journal.read(bytes.subarray(0, length)))
        if (result._tag === "Failure") {
          assert.include(["foreign", "damaged"], result.failure.kind)
          continue
        }
        const frames = framesOf(yield* entriesOf(result.success))
        assert.deepStrictEqual(frames, ["first", "second", "third"].slice(0, frames.length))
        if (result.success.summary.truncated !== null) {
          assert.match(result.success.summary.truncated, /^the last \d+ bytes are no whole block$/)
        }
        counts.push(frames.length)
      }
      assert.deepStrictEqual([...new Set(counts)], [0, 1, 2])
      assert.deepStrictEqual(counts, counts.toSorted((a, b) => a - b))
    }))

  it.effect("ends before a block that was damaged, and says which", () =>
    Effect.gen(function*() {
      const bytes = Buffer.from(yield* recorded(three))
      // The length of the second block's only entry.
      bytes.writeUInt32LE(99_999, bytes.indexOf("second") - 4 - 14 - 4)
      const recording = yield* Journal.read(bytes)
      assert.match(recording.summary.truncated ?? "", /^block 2 of 3 cannot be read: /)
      assert.deepStrictEqual(framesOf(yield* entriesOf(recording)), ["first"])
    }))

  it.effect.prop(
    "is a recording or a typed error whatever became of its bytes",
    {
      changes: Schema.Array(
        Schema.Tuple([
          Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 400 })),
          Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))
        ])
      )
    },
    ({ changes }) =>
      Effect.gen(function*() {
        const bytes = Buffer.from(yield* recorded(three))
        for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte
        const result = yield* Effect.result(Journal.read(bytes))
        if (result._tag === "Success") yield* Effect.ignore(entriesOf(result.success))
        else assert.instanceOf(result.failure, Journal.JournalError)
      })
  )

  it.effect("is refused by name when it is none, of a newer format, or compressed in a way that is not known", () =>
    Effect.gen(function*() {
      const kindOf = (bytes: Uint8Array) => Effect.map(Effect.flip(Journal.read(bytes)), ({ kind }) => kind)
      assert.strictEqual(yield* kindOf(Buffer.from("{\"id\":1}\n")), "foreign")
      assert.strictEqual(yield* kindOf(new Uint8Array()), "foreign")
      const bytes = Buffer.from(yield* recorded(three))
      const newer = Buffer.from(bytes)
      newer[8] = 2
      const error = yield* Effect.flip(Journal.read(newer))
      assert.strictEqual(error.message, "it was recorded in format 2, and this version reads format 1")
      const squeezed = Buffer.from(bytes)
      squeezed[9] = 7
      assert.strictEqual(yield* kindOf(squeezed), "version")
      const garbled = Buffer.from(bytes)
      garbled[16] = 0
      assert.strictEqual(yield* kindOf(garbled), "damaged")
    }))

  it.effect("is written every second, so that a killed process loses little", () =>
    Effect.gen(function*() {
      const parts: Array<Uint8Array> = []
      const recorder = yield* Journal.make({ sink: collect(parts) })
      recorder.begin("toy", {})
      recorder.batch(1, batch(0, "first"))
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(parts, [])
      yield* TestClock.adjust("1 millis")
      recorder.batch(1, batch(0, "second"))
      const recording = yield* Journal.read(Buffer.concat(parts))
      assert.deepStrictEqual(framesOf(yield* entriesOf(recording)), ["first"])
    }).pipe(Effect.scoped))

  it.effect("says how much is missing when the disk is too slow, and goes on behind it", () =>
    Effect.gen(function*() {
      const parts: Array<Uint8Array> = []
      const gate = yield* Latch.make(false)
      const sink: Journal.Sink = (bytes) => Effect.andThen(gate.await, collect(parts)(bytes))
      const scope = yield* Scope.make()
      const recorder = yield* Scope.provide(Journal.make({ sink, blockBytes: 16 * 1024 * 1024 }), scope)
      recorder.begin("toy", {})
      const large = { receivedAt: 1, frames: [new Uint8Array(12 * 1024 * 1024)] }
      for (let i = 0; i < 8; i++) recorder.batch(1, large)
      const { lost } = recorder.recorded
      assert.isAbove(lost, 0)
      yield* gate.open
      yield* TestClock.adjust("1 second")
      recorder.batch(1, batch(2, "behind"))
      yield* Scope.close(scope, Exit.void)
      const entries = yield* entriesOf(yield* Journal.read(Buffer.concat(parts)))
      assert.deepStrictEqual(
        entries.map((entry) => entry._tag === "Lost" ? entry.entries : entry._tag),
        [...Array.from({ length: 8 - lost }, () => "Batch"), lost, "Batch"]
      )
    }))

  it.effect("ends, and touches nothing else, when it cannot be written", () =>
    Effect.gen(function*() {
      const failure = new Journal.JournalError({ kind: "file", detail: "the disk is full" })
      yield* Effect.scoped(Effect.gen(function*() {
        const recorder = yield* Journal.make({ sink: () => Effect.fail(failure) })
        recorder.begin("toy", {})
        recorder.batch(1, batch(0, "first"))
        yield* TestClock.adjust("1 second")
        recorder.batch(1, batch(0, "second"))
        assert.deepStrictEqual(recorder.recorded.failure, "the disk is full")
        assert.strictEqual(recorder.recorded.entries, 1)
      }))
    }))
})

describe("a ring", () => {
  const topic = (number: number, key: string) =>
    ({
      _tag: "Topic",
      topic: number,
      at: 0,
      key,
      channel: { _tag: "Trades", pair: "BTC/USDT" },
      symbol: "BTCUSDT",
      contractSize: 1
    }) as const

  it.effect("keeps the latest bytes, and what the rest needs of those that went", () =>
    Effect.gen(function*() {
      const ring = yield* Journal.ring({ blockBytes: 256, maxBytes: 2_000 })
      assert.isNull(yield* ring.dump)
      ring.recorder.begin("toy", {})
      ring.recorder.note(topic(0, "trades"))
      ring.recorder.decide(0, { _tag: "Confirmed" })
      for (let i = 0; i < 200; i++) {
        ring.recorder.batch(1, batch(i, `frame ${i}`))
        yield* Effect.yieldNow
      }
      const recording = yield* Journal.read((yield* ring.dump)!)
      assert.isAtMost(ring.size(), 2_000)
      const frames = framesOf(yield* entriesOf(recording))
      assert.isAbove(frames.length, 20)
      assert.isBelow(frames.length, 80)
      assert.deepStrictEqual(
        frames,
        Array.from({ length: frames.length }, (_, i) => `frame ${200 - frames.length + i}`)
      )
      assert.strictEqual(recording.topics.get("trades")?.first?._tag, "Confirmed")
    }).pipe(Effect.scoped))

  it.effect("keeps the latest time", () =>
    Effect.gen(function*() {
      const ring = yield* Journal.ring({ maxAge: "10 seconds", flushEvery: "1 second" })
      ring.recorder.begin("toy", {})
      for (let i = 0; i < 60; i++) {
        ring.recorder.batch(1, batch(i, `frame ${i}`))
        yield* TestClock.adjust("1 second")
      }
      const frames = framesOf(yield* entriesOf(yield* Journal.read((yield* ring.dump)!)))
      assert.include([10, 11, 12], frames.length)
      assert.strictEqual(frames.at(-1), "frame 59")
    }).pipe(Effect.scoped))

  it.effect("tells of every break", () =>
    Effect.gen(function*() {
      const breaks: Array<string> = []
      const { recorder } = yield* Journal.ring({ onBreak: (cause) => void breaks.push(cause) })
      recorder.begin("toy", {})
      recorder.decide(0, { _tag: "Confirmed" })
      recorder.decide(0, { _tag: "Break", cause: "Sequence" })
      recorder.decide(0, { _tag: "Break", cause: "Silent" })
      assert.deepStrictEqual(breaks, ["Sequence", "Silent"])
    }).pipe(Effect.scoped))
})

describe("withJournal", () => {
  it.effect("records what goes in and out of a connection, its beginning and its end, once", () =>
    Effect.gen(function*() {
      const over = ExchangeError.make("toy", new ExchangeError.Disconnected({ code: 1006, detail: "gone" }))
      const taken: Array<Batch> = []
      const bytes = yield* recorded((recorder) =>
        Effect.gen(function*() {
          let pulls = 0
          const bare: Connection = {
            pull: Effect.suspend(() => pulls++ === 0 ? Effect.succeed(batch(1.25, "a", "b")) : Effect.fail(over)),
            write: () => Effect.void,
            abort: () => Effect.void,
            activity: { receivedAt: 0, heard: false, dataAt: 0, expectsData: false, held: false },
            taken: (one) => void taken.push(one)
          }
          const connection = yield* Journal.withJournal(recorder, 4)(Effect.succeed(bare))
          yield* connection.write("subscribe")
          yield* connection.write(Uint8Array.of(7))
          connection.taken?.(yield* connection.pull)
          yield* Effect.flip(connection.pull)
          yield* Effect.flip(connection.pull)
        }).pipe(Effect.scoped)
      )
      const entries = yield* entriesOf(yield* Journal.read(bytes))
      assert.deepStrictEqual(entries.map((entry) => entry._tag), ["Opened", "Sent", "Sent", "Batch", "Ended"])
      assert.deepStrictEqual(entries[1], { _tag: "Sent", link: 4, at: 0, frame: "subscribe" })
      assert.deepStrictEqual(entries[2], { _tag: "Sent", link: 4, at: 0, frame: Uint8Array.of(7) })
      assert.deepStrictEqual(entries[4], {
        _tag: "Ended",
        link: 4,
        at: 0,
        reason: "Disconnected",
        message: over.message
      })
      assert.strictEqual(taken.length, 1)
    }))
})

describe("answers over HTTP", () => {
  const answering = (status: number, body: string): HttpClient.HttpClient =>
    HttpClient.make((request) =>
      Effect.succeed(toClientResponse(request, { status, body, headers: { "retry-after": "3", "set-cookie": "id=1" } }))
    )

  it.effect("are written down as they were and given again", () =>
    Effect.gen(function*() {
      const base = "https://toy/api"
      let number = 0
      const bytes = yield* recorded((recorder) =>
        Effect.gen(function*() {
          const options = { url: base, book: true, onAnswer: (answer: number) => void (number = answer) }
          const client = JournalHttp.recording(answering(429, "slow down"), recorder, options)
          const response = yield* client.get(`${base}/depth`, { urlParams: { symbol: "BTC", listenKey: "abc" } })
          assert.strictEqual(yield* response.text, "slow down")
          const broken = HttpClient.make((request) =>
            Effect.fail(
              new HttpClientError.HttpClientError({
                reason: new HttpClientError.TransportError({ request, description: "no route" })
              })
            )
          )
          yield* Effect.flip(JournalHttp.recording(broken, recorder, { ...options, book: false }).get(`${base}/time`))
        })
      )
      const recording = yield* Journal.read(bytes)
      const [depth, time] = yield* entriesOf(recording)
      assert.strictEqual(number, 1)
      assert.deepStrictEqual(depth, {
        _tag: "Answer",
        answer: 1,
        at: 0,
        book: true,
        request: "GET /depth?symbol=BTC&listenKey=<redacted>",
        status: 429,
        headers: { "content-type": "text/plain;charset=UTF-8", "retry-after": "3" },
        body: "slow down",
        failure: null
      })
      assert.deepStrictEqual(recording.answers, [time] as never)
      const again = JournalHttp.answering((request) => request === "GET /depth" ? depth as never : undefined, base)
      const response = yield* again.get(`${base}/depth`)
      assert.deepStrictEqual(
        [response.status, yield* response.text, response.headers["retry-after"]],
        [429, "slow down", "3"]
      )
      const missing = yield* Effect.flip(again.get(`${base}/other`))
      assert.include(missing.message, "the recording has no answer to GET /other")
    }))
})

describe("signed calls in a journal", () => {
  it.effect("leave nothing that proves who asked, also where the exchange repeats it", () =>
    Effect.gen(function*() {
      const echo = HttpClient.make((request, url) =>
        Effect.succeed(toClientResponse(request, {
          status: 400,
          headers: {},
          body: JSON.stringify({ message: `${url.href} ${JSON.stringify(request.headers)}` })
        }))
      )
      const bytes = yield* recorded((recorder) =>
        Effect.gen(function*() {
          const client = JournalHttp.recording(echo, recorder, { url: "https://toy", book: false })
          const headers = { KEY: "my-key", SIGN: "my-signature" }
          yield* Effect.flatMap(client.get("https://toy/a?signature=my-other&x=1", { headers }), ({ text }) => text)
        })
      )
      const written = text(bytes)
      assert.include(written, "x=1")
      for (const secret of ["my-key", "my-signature", "my-other"]) assert.notInclude(written, secret)
    }))
})

describe("redaction", () => {
  const { body, frame, url } = Redaction.make({
    secrets: [Redacted.make("s3cr3t.text"), Redacted.make("")],
    names: ["nonce"],
    frame: (out) => typeof out === "string" ? out.replace("alice", "somebody") : out
  })

  it("keeps names, and no values that are secret, in addresses", () => {
    assert.strictEqual(
      url("wss://user:pass@toy/ws?listenKey=abc&symbol=BTC&SIGNATURE=0f"),
      "wss://<redacted>@toy/ws?listenKey=<redacted>&symbol=BTC&SIGNATURE=<redacted>"
    )
    assert.strictEqual(url("GET /a?x=s3cr3t.text&nonce=1"), "GET /a?x=<redacted>&nonce=<redacted>")
    assert.strictEqual(url("GET /a?monkey=1&key2=2"), "GET /a?monkey=1&key2=2")
  })

  it("does so in frames that go out", () => {
    assert.strictEqual(
      frame(
        "{\"time\":1,\"auth\":{\"method\":\"api_key\",\"KEY\":\"k\\\"ey\",\"SIGN\":\"0f\"},\"nonce\":12,\"who\":\"alice\"}"
      ),
      "{\"time\":1,\"auth\":{\"method\":\"api_key\",\"KEY\":\"<redacted>\",\"SIGN\":\"<redacted>\"},\"nonce\":\"<redacted>\",\"who\":\"somebody\"}"
    )
    assert.deepStrictEqual(frame(Buffer.from("a s3cr3t.text")), new Uint8Array())
    assert.deepStrictEqual(frame(Uint8Array.of(1, 2)), Uint8Array.of(1, 2))
  })

  it("leaves market data in answers alone", () => {
    const book = "{\"key\":\"value\",\"sign\":1,\"bids\":[[\"1\",\"2\"]]}"
    assert.strictEqual(body(book), book)
    assert.strictEqual(body("{\"listenKey\":\"abc\"}"), "{\"listenKey\":\"<redacted>\"}")
  })

  it("looks through frames that come only where a secret is known, and keeps what has none in it as it is", () => {
    assert.isNull(Redaction.make().received)
    const { received } = Redaction.make({ secrets: [Redacted.make("my-api-key")] })
    const read = (frame: string) => Buffer.from(received!(Buffer.from(frame))).toString()
    assert.strictEqual(
      read("{\"result\":{\"api_key\":\"my-api-key\",\"uid\":\"1\"},\"note\":\"of my-api-key\"}"),
      "{\"result\":{\"api_key\":\"<redacted>\",\"uid\":\"1\"},\"note\":\"of <redacted>\"}"
    )
    const other = Buffer.from("{\"api_key\":\"somebody else's\"}")
    assert.strictEqual(received!(other), other)
    assert.deepStrictEqual(received!(Uint8Array.of(10, ...Buffer.from("my-api-key"))), new Uint8Array())
  })
})
