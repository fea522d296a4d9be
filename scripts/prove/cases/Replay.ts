/** What was recorded comes out again to the byte, and recording costs next to nothing. */
import { Clock, Effect, Exit, Metric, Random, Scope } from "effect"
import { TestClock } from "effect/testing"
import { createHash } from "node:crypto"
import * as Journal from "../../../src/connection/Journal.ts"
import type { ChannelChoice, PublicTag } from "../../../src/domain/Channel.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import * as JournalFile from "../../../src/JournalFile.ts"
import * as Recordings from "../../../test/recordings/Recordings.ts"
import * as Exchange from "../../../test/suites/Exchange.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

const pairsOf = (subject: Exchange.Subject): Recordings.Pairs => [
  Virtual.pairOn(subject, "BTC/USDT"),
  Virtual.pairOn(subject, "ETH/USDT")
]

/** Every channel of the exchange; books that need a snapshot of REST. */
const channelsOf = (subject: Exchange.Subject): Recordings.Channels => {
  const isGate = subject.adapter.id.startsWith("gate")
  const choose = (tag: PublicTag): ChannelChoice =>
    tag === "Book" && isGate ? { _tag: "Book", source: "order_book_update" } : tag
  return Virtual.tagsOf(subject).map(choose) as Recordings.Channels
}

const faults = [
  "duplicate:2%",
  "reorder:1%",
  "gap:1%",
  "corrupt:0.5%",
  "drop@2s",
  "refuse:503@3s:500ms",
  "slow-snapshot:80ms"
]

const hashOf = (lines: ReadonlyArray<string>): string =>
  createHash("sha256").update(lines.join("\n")).digest("hex").slice(0, 16)

interface Recorded {
  readonly log: Recordings.Log
  readonly bytes: Uint8Array
}

type Failure = Journal.JournalError | ExchangeError

const planOf = (subject: Exchange.Subject, seed: number, millis: number, mode: Exchange.Mode): Recordings.Plan => ({
  subject,
  mode,
  simulator: { seed, faults, limits: "off" },
  pairs: pairsOf(subject),
  channels: channelsOf(subject),
  feeds: Virtual.ofEveryPair(subject),
  millis
})

const virtually = <A, E>(seed: number, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  effect.pipe(
    Random.withSeed(seed),
    Effect.provide(TestClock.layer()),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )

/** Plays what was recorded several times and compares each log with that of the session. */
const compare = Effect.fnUntraced(function*(
  proof: Proof,
  name: string,
  subject: Exchange.Subject,
  { bytes, log }: Recorded
): Effect.fn.Return<void, Failure> {
  const recording = yield* Journal.read(bytes, [JournalFile.zstd])
  const speeds = ["max", "max", 10, 1] as const
  const logs = yield* Effect.forEach(
    speeds,
    (speed) =>
      virtually(
        1,
        Recordings.replay(
          subject.adapter,
          recording,
          pairsOf(subject),
          channelsOf(subject),
          { speed },
          Virtual.ofEveryPair(subject)
        )
      )
  )
  const gaps = log.streamed.filter((line) => line.includes("\"gap\"")).length
  const live = hashOf(log.streamed)
  // Behind the last line of the live log the session was taken down.
  const found = logs.map(({ streamed }) => hashOf(streamed.slice(0, log.streamed.length)))
  proof.check(
    `${name}: the stream's log is that of the recorded session, at speeds max, max, 10 and 1`,
    found.every((hash) => hash === live) && log.streamed.length > 100 && gaps > 0,
    `${log.streamed.length} lines, ${gaps} of them breaks; live ${live}, replayed ${[...new Set(found)].join(", ")}`
  )
  const handled = logs.map(({ handled }) => hashOf(handled.slice(0, log.handled.length)))
  proof.check(
    `${name}: so is that of handlers, with every change of a connection`,
    handled.every((hash) => hash === hashOf(log.handled)),
    `${log.handled.length} lines`
  )
  const fed = logs.map(({ fed }) => hashOf(fed.slice(0, log.fed.length)))
  if (log.fed.length > 0) {
    proof.check(
      `${name}: so is that of a feed of every pair`,
      fed.every((hash) => hash === hashOf(log.fed)),
      `${log.fed.length} lines`
    )
  }
  const whole = new Set(logs.map(({ fed, handled, streamed }) => hashOf([...handled, ...streamed, ...fed])))
  proof.check(`${name}: every replay gives the same log to its end`, whole.size === 1, [...whole].join(", "))
})

const inMemory = Effect.fnUntraced(function*(proof: Proof, subject: Exchange.Subject): Effect.fn.Return<void, Failure> {
  const { id } = subject.adapter
  const plan = planOf(subject, proof.seed, Proofs.sizeOf(proof, 5_000, 60_000), Exchange.memory)
  const record = virtually(proof.seed, Recordings.recordBytes(plan))
  const [first, second] = [yield* record, yield* record]
  proof.check(
    `${id}: the same seed gives the same recording, to the byte`,
    Buffer.compare(first.bytes, second.bytes) === 0,
    `${first.bytes.length} bytes`
  )
  yield* compare(proof, id, subject, first)
  proof.figure(`${id}_lines`, first.log.streamed.length)
})

const overSockets = Effect.fnUntraced(
  function*(proof: Proof, subject: Exchange.Subject): Effect.fn.Return<void, Failure> {
    const { id } = subject.adapter
    const parts: Array<Uint8Array> = []
    const sink: Journal.Sink = (bytes) => Effect.sync(() => void parts.push(bytes.slice()))
    const plan = planOf(subject, proof.seed, Proofs.sizeOf(proof, 3_000, 30_000), Exchange.ports)
    const log = yield* Recordings.record(plan, Journal.make({ sink, compression: JournalFile.zstd }))
    yield* compare(proof, `${id} over sockets, in real time`, subject, { log, bytes: Buffer.concat(parts) })
  }
)

/** ns that the calls took, and how often. */
const timed = (count: number, call: () => void): number => {
  const began = process.hrtime.bigint()
  for (let i = 0; i < count; i++) call()
  return Number(process.hrtime.bigint() - began) / count
}

const frameBytes = 200
const batchFrames = 16

/** What one read costs more with a recorder. Compression runs on other threads and is told apart. */
const cost = Effect.fnUntraced(function*(proof: Proof): Effect.fn.Return<void> {
  const clock = yield* Clock.Clock
  const draws = yield* Virtual.draws(proof.seed, "frames")
  const frames = Array.from(
    { length: batchFrames },
    () => Uint8Array.from({ length: frameBytes }, () => 32 + Virtual.below(draws, 64))
  )
  const scope = yield* Scope.make()
  let written = 0
  const sink: Journal.Sink = (bytes) => Effect.sync(() => void (written += bytes.length))
  const recorder = yield* Scope.provide(Journal.make({ sink, compression: JournalFile.zstd }), scope)
  recorder.begin("cost", {})
  const batch = { frames, receivedAt: clock.currentTimeMillisUnsafe() }
  const rounds = Proofs.sizeOf(proof, 20, 100)
  const perBatch: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    perBatch.push(timed(500, () => recorder.batch(1, batch)))
    yield* Effect.yieldNow
  }
  yield* Scope.close(scope, Exit.void)
  const { bytes, lost } = recorder.recorded
  const perFrame = Proofs.percentile(perBatch, 0.5) / batchFrames
  // Where other processes have the processor, compression falls behind: what it loses then is counted.
  proof.timed(
    "recording as fast as frames can be made loses nothing",
    written > 0,
    lost === 0,
    `${bytes} bytes, ${written} written, ${lost} lost`
  )
  proof.say(`a frame of ${frameBytes} bytes, ${batchFrames} a read, takes ${Proofs.text(perFrame)} ns more (median)`)
  proof.figure("record_ns_per_frame", perFrame)
})

export const replay: Case = {
  name: "replay",
  proves: "A recorded session, with its faults, is replayed to the byte, at any speed; recording is cheap",
  run: Effect.fnUntraced(function*(proof) {
    for (const subject of Virtual.subjects) {
      yield* inMemory(proof, subject)
      yield* overSockets(proof, subject)
    }
    yield* cost(proof)
  })
}
