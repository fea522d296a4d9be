/** A million frames for each adapter that are nearly right: fast paths against general decoders, and the heap after all. */
import { Effect, Stream } from "effect"
import type { Scope } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Channel from "../../../src/domain/Channel.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { MarketEvent } from "../../../src/domain/Market.ts"
import type { Codec, Sink, Topic } from "../../../src/ExchangeAdapter.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import { PublicWebsocket } from "../../../src/PublicWebsocket.ts"
import * as MexcFrames from "../../../test/exchanges/MexcFrames.ts"
import * as SharedFixtures from "../../../test/exchanges/SharedFixtures.ts"
import type { Services, Subject } from "../../../test/suites/Exchange.ts"
import { subjects } from "../../../test/suites/Subjects.ts"
import * as Mutations from "../Mutations.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Referee from "../Referee.ts"
import type { Draws } from "../Virtual.ts"
import * as Virtual from "../Virtual.ts"

const receivedAt = 1_790_000_000_000.25
/** Two pairs in the exchange's spelling. */
const pairsOf = ({ adapter }: Subject): [TradingPair, TradingPair] =>
  adapter.kind === "swap" ? ["BTC/USDT:USDT", "ETH/USDT:USDT"] : ["BTC/USDT", "ETH/USDT"]

// ---- clean frames ---------------------------------------------------------------------------------------------------

/** A frame as the exchange sends it. */
interface Clean {
  readonly bytes: Uint8Array
  /** Channels of its events; empty for answers and notices. */
  readonly channels: ReadonlySet<string>
  /** What a fresh codec makes of it. */
  readonly outcome: string
}

/** Answers that a decoded frame leads to, as one text. */
class Notes implements Sink {
  readonly events: Array<MarketEvent> = []
  readonly others: Array<string> = []
  fallbacks = 0

  clear(): void {
    this.events.length = 0
    this.others.length = 0
    this.fallbacks = 0
  }

  event(_topic: Topic, event: MarketEvent): void {
    this.events.push(event)
  }
  acknowledged(answer: unknown): void {
    this.others.push(`acknowledged ${JSON.stringify(answer)}`)
  }
  rejected(answer: unknown): void {
    this.others.push(`rejected ${JSON.stringify(answer)}`)
  }
  pong(): void {
    this.others.push("pong")
  }
  reply(): void {
    this.others.push("reply")
  }
  closing(): void {
    this.others.push("closing")
  }
  ignored(): void {
    this.others.push("ignored")
  }
  failed(): void {
    this.others.push("failed")
  }
  fallback(): void {
    this.fallbacks++
  }

  get outcome(): string {
    return this.events.length === 0
      ? this.others.join()
      : `${JSON.stringify(this.events, visible)}${this.others.join()}`
  }
}

/** JSON has no bigint, no NaN and no infinity. In which order the exact texts were noted says nothing. */
const visible = (key: string, value: unknown): unknown => {
  if (typeof value === "bigint") return `${value}n`
  if (key === "exact" && value !== null) return Object.entries(value as object).sort(([a], [b]) => a < b ? -1 : 1)
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value
}

const makeCodec = ({ adapter }: Subject): Codec =>
  adapter.makeCodec({
    // Nothing is kept here, so that only the codec can grow.
    topicOf: (key, channel, symbol) => ({
      key,
      channel,
      symbol,
      pair: MexcFrames.pairOfSymbol(symbol),
      contractSize: 1,
      slot: null
    })
  })

const cleanOf = (subject: Subject, bytes: Uint8Array): Clean => {
  const notes = new Notes()
  makeCodec(subject).decode(bytes, receivedAt, notes)
  return { bytes, channels: new Set(notes.events.map(({ _tag }) => Channel.tagOf[_tag])), outcome: notes.outcome }
}

const fixtureFolder = (exchange: string): string => join(import.meta.dirname, "../../../test/fixtures", exchange)

interface FixtureLine {
  readonly raw?: SharedFixtures.Raw
  readonly frame?: SharedFixtures.Raw
}

/** The project's own fixtures of the exchange: at least one of every kind of frame. */
const fixtures = (exchange: string): ReadonlyArray<Uint8Array> => {
  const folder = fixtureFolder(exchange)
  const lines = readdirSync(folder).flatMap((file) => readFileSync(join(folder, file), "utf8").split("\n"))
  return lines.filter((line) => line !== "").flatMap((line) => {
    const { frame, raw } = JSON.parse(line) as FixtureLine
    const given = frame ?? raw
    return given === undefined ? [] : [SharedFixtures.bytesOf(given)]
  })
}

const encoder = new TextEncoder()

/** What the simulator sends of every channel that its dialect serves. */
const simulated = (subject: Subject, seed: number): Effect.Effect<ReadonlyArray<Uint8Array>, ExchangeError> => {
  const frames: Array<Uint8Array> = []
  const layer = Virtual.layerThrough(
    subject,
    (network) => ({
      ...network,
      connect: (url, client, headers) =>
        network.connect(url, {
          ...client,
          onFrame: (frame) => {
            frames.push(typeof frame === "string" ? encoder.encode(frame) : Uint8Array.from(frame))
            client.onFrame(frame)
          }
        }, headers)
    }),
    { pairs: pairsOf(subject), rate: 40, tradeRate: 20, seed },
    { staleAfter: null }
  )
  const body: Effect.Effect<void, ExchangeError, Services | Scope.Scope> = Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    yield* websocket.handle({})
    const tags = [...subject.adapter.channels]
    yield* websocket.initialize(pairsOf(subject), [tags[0]!, ...tags.slice(1)])
    yield* Effect.forkScoped(Stream.runDrain(websocket.events))
    yield* Effect.sleep(4_000)
  })
  return Effect.as(Virtual.over(layer, seed, body), frames)
}

/** So many frames of one kind are enough to draw from. */
const mostOfKind = 40

const cleanFrames = (subject: Subject, frames: ReadonlyArray<Uint8Array>): ReadonlyArray<Clean> => {
  const counts = new Map<string, number>()
  return frames.map((bytes) => cleanOf(subject, bytes)).filter(({ channels, outcome }) => {
    const kind = channels.size === 0 ? outcome.split(" ")[0]! : [...channels].join()
    const count = (counts.get(kind) ?? 0) + 1
    counts.set(kind, count)
    return count <= mostOfKind
  })
}

// ---- the contest ----------------------------------------------------------------------------------------------------

interface Score {
  mutants: number
  /** By what was done: how they came out. */
  readonly kinds: Map<string, Record<"data" | "control" | "ignored" | "failed", number>>
  readonly threw: Array<string>
  readonly differing: Array<string>
  readonly unsound: Array<string>
  /** Mutants with data that the fast path read, and that the general decoder read in its place. */
  fast: number
  slow: number
  /** Ignored by the one and unreadable for the other. */
  nothing: number
  clean: number
  readonly cleanWrong: Array<string>
}

const shown = (bytes: Uint8Array): string => {
  const text = Buffer.from(bytes.subarray(0, 400))
  return /^[\x20-\x7e]*$/.test(text.toString("latin1")) ? text.toString("latin1") : text.toString("hex")
}

const kindOf = (notes: Notes): "data" | "control" | "ignored" | "failed" => {
  if (notes.events.length > 0) return "data"
  const [first = "failed"] = notes.others
  return first === "ignored" || first === "failed" ? first : "control"
}

const isNothing = (outcome: string): boolean => outcome === "ignored" || outcome === "failed"

/** Text that is no JSON. */
const isWords = (bytes: Uint8Array): boolean =>
  Mutations.formatOf(bytes) !== "json" && /^(?:[^\p{Cc}\ufffd]|\s)*$/u.test(Buffer.from(bytes).toString())

const isLevel = (value: number, index: number): boolean => index % 2 === 0 ? value > 0 : value >= 0

/** No event may hold what a number cannot be, nor a level without its pair. */
const isSound = (event: MarketEvent): boolean => {
  for (const value of Object.values(event) as ReadonlyArray<unknown>) {
    if (typeof value === "number" && !Number.isFinite(value)) return false
  }
  return event._tag !== "BookUpdate" ||
    [event.bids, event.asks].every((side) => side.length % 2 === 0 && side.every(isLevel))
}

/** One codec under fire and another that sees only what the general decoder reads. */
class Contest {
  readonly score: Score = {
    mutants: 0,
    kinds: new Map(),
    threw: [],
    differing: [],
    unsound: [],
    fast: 0,
    slow: 0,
    nothing: 0,
    clean: 0,
    cleanWrong: []
  }
  readonly #codec: Codec
  readonly #general: Codec
  readonly #referee: Referee.Referee
  readonly #ours = new Notes()
  readonly #theirs = new Notes()
  /** As a socket has it: frames lie in a buffer that is used again at once, among what is left of others. */
  readonly #arena = new Uint8Array(2 ** 20)
  #offset = 0

  constructor(subject: Subject) {
    this.#codec = makeCodec(subject)
    this.#general = makeCodec(subject)
    this.#referee = Referee.of(subject.adapter.id)
  }

  /** False when it threw. */
  #decode(codec: Codec, bytes: Uint8Array, notes: Notes, id: string): boolean {
    notes.clear()
    this.#offset = this.#offset > 1_000 ? 0 : this.#offset + 13
    this.#arena.set(bytes, this.#offset)
    try {
      const start = this.#offset
      const end = start + bytes.length
      if (codec.decodeIn === undefined) codec.decode(this.#arena.subarray(start, end), receivedAt, notes)
      else codec.decodeIn(this.#arena, start, end, receivedAt, notes)
      return true
    } catch (error) {
      this.score.threw.push(`${id}: ${String(error)} at ${shown(bytes)}`)
      return false
    }
  }

  mutant({ bytes, id }: Mutations.Mutant): void {
    const { score } = this
    score.mutants++
    if (!this.#decode(this.#codec, bytes, this.#ours, id)) return
    this.#count(id)
    if (!this.#ours.events.every(isSound)) score.unsound.push(`${id}: ${this.#ours.outcome} of ${shown(bytes)}`)
    const general = this.#referee(bytes)
    this.#theirs.clear()
    const expected = general === null ? "failed" : this.#judged(general, id)
    if (expected !== null && !this.#agrees(bytes, expected)) {
      score.differing.push(`${id}: ${this.#ours.outcome} but ${expected} of ${shown(bytes)}`)
    }
  }

  #judged(general: Uint8Array, id: string): string | null {
    const notes = this.#theirs
    return this.#decode(this.#general, general, notes, id) ? notes.outcome : null
  }

  #agrees(bytes: Uint8Array, expected: string): boolean {
    const { events, outcome } = this.#ours
    if (outcome === expected) return true
    if (events.length > 0 || this.#theirs.events.length > 0) return false
    // A channel that is not read is ignored without a look at its body, which the general decoder may find damaged. Words
    // have one decoder only, which no other message asks.
    const neither = isNothing(outcome) && isNothing(expected)
    if (neither) this.score.nothing++
    return neither || isWords(bytes)
  }

  #count(id: string): void {
    const kinds = this.score.kinds.get(id) ?? { data: 0, control: 0, ignored: 0, failed: 0 }
    kinds[kindOf(this.#ours)]++
    this.score.kinds.set(id, kinds)
    if (this.#ours.events.length === 0) return
    if (this.#ours.fallbacks === 0) this.score.fast++
    else this.score.slow++
  }

  clean({ bytes, outcome }: Clean): void {
    this.score.clean++
    const ran = this.#decode(this.#codec, bytes, this.#ours, "clean")
    if (ran && this.#ours.outcome === outcome) return
    this.score.cleanWrong.push(`${this.#ours.outcome} in place of ${outcome}`)
  }
}

// ---- heap -----------------------------------------------------------------------------------------------------------

const collector = (): () => void => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  return () => {
    collect()
    collect()
  }
}

const megabytes = (bytes: number): number => Math.round(bytes / 1e4) / 100

/** How much the heap may rise from one quarter of the mutants to the end, bytes: caches that are still filling. */
const mostGrowth = 4_000_000

// ---- the case -------------------------------------------------------------------------------------------------------

const samples = 20
/** A clean frame behind so many mutants. */
const cleanEvery = 10

const fire = (contest: Contest, frames: ReadonlyArray<Clean>, draws: Draws, count: number): void => {
  for (let i = 0; i < count; i++) {
    contest.mutant(Mutations.mutate(Virtual.pick(draws, frames).bytes, Virtual.pick(draws, frames).bytes, draws))
    if (i % cleanEvery === 0) contest.clean(Virtual.pick(draws, frames))
  }
}

const first = (list: ReadonlyArray<string>): string => `${list.length}${list.length === 0 ? "" : `, first: ${list[0]}`}`

const proven = Effect.fnUntraced(function*(proof: Proof, subject: Subject) {
  const { id } = subject.adapter
  const frames = cleanFrames(subject, [...fixtures(id), ...(yield* simulated(subject, proof.seed))])
  const data = frames.filter(({ channels }) => channels.size > 0)
  const control = frames.filter(({ channels }) => channels.size === 0)
  const channels = new Set(frames.flatMap((frame) => [...frame.channels]))
  proof.check(
    `${id}: frames of every channel are changed`,
    [...subject.adapter.channels].every((tag) => channels.has(tag)),
    `${data.length} of ${[...channels].sort().join(", ")}; ${control.length} answers and notices`
  )
  const draws = yield* Virtual.draws(proof.seed, `mutants ${id}`)
  const count = Proofs.sizeOf(proof, 8_000, 1_000_000)
  // Answers change what a codec knows: mutants of theirs have codecs of their own.
  const [contest, answers] = [new Contest(subject), new Contest(subject)]
  const collect = collector()
  const heap: Array<number> = []
  for (let sample = 0; sample < samples; sample++) {
    fire(contest, data, draws, Math.round(count * 0.9 / samples))
    fire(answers, control, draws, Math.round(count * 0.1 / samples))
    collect()
    heap.push(process.memoryUsage().heapUsed)
    yield* Effect.yieldNow
  }
  report(proof, id, [contest.score, answers.score], heap)
})

const report = (proof: Proof, id: string, scores: ReadonlyArray<Score>, heap: ReadonlyArray<number>): void => {
  const all = <A>(list: (score: Score) => ReadonlyArray<A>): ReadonlyArray<A> => scores.flatMap(list)
  const sum = (count: (score: Score) => number): number => scores.reduce((total, score) => total + count(score), 0)
  const mutants = sum((score) => score.mutants)
  const threw = all((score) => score.threw)
  const differing = all((score) => score.differing)
  const wrong = all((score) => score.cleanWrong)
  const unsound = all((score) => score.unsound)
  const growth = heap.at(-1)! - heap[Math.floor(samples / 4)]!
  proof.check(`${id}: nothing throws`, threw.length === 0, first(threw))
  proof.check(
    `${id}: each mutant is treated as the general decoder treats it`,
    differing.length === 0,
    `${mutants} mutants, ${sum((score) => score.fast)} read fast and ${
      sum((score) => score.slow)
    } by the general decoder, ${sum((score) => score.nothing)} ignored by one and unreadable for the other, differing ${
      first(differing)
    }`
  )
  proof.check(`${id}: no event holds what is no number or no level`, unsound.length === 0, first(unsound))
  proof.check(
    `${id}: the clean frames between the mutants all decode`,
    wrong.length === 0,
    `${sum((score) => score.clean)} clean, wrong ${first(wrong)}`
  )
  proof.check(
    `${id}: the heap does not grow`,
    growth < mostGrowth,
    `${megabytes(heap[0]!)} MB at first, ${megabytes(heap.at(-1)!)} MB at last; ${megabytes(growth)} MB since a quarter`
  )
  proof.figure(`${id}_mutants`, mutants)
  proof.figure(`${id}_heap_growth_mb`, megabytes(growth))
  const kinds = scores.flatMap((score) => [...score.kinds]).sort(([a], [b]) => a < b ? -1 : 1)
  const merged = new Map<string, Array<number>>()
  for (const [kind, { control, data, failed, ignored }] of kinds) {
    const before = merged.get(kind) ?? [0, 0, 0, 0]
    merged.set(kind, [data, control, ignored, failed].map((value, index) => value + before[index]!))
  }
  proof.table(
    ["change", "data", "control", "ignored", "failed"],
    [...merged].map(([kind, values]) => [kind, ...values.map(String)])
  )
}

export const mutants: Case = {
  name: "mutants",
  proves:
    "A million nearly right frames for each adapter: none is read in another way than the general decoder reads it, none throws, clean frames between them all decode, and the heap stays",
  run: (proof) => Effect.forEach(subjects, (subject) => proven(proof, subject), { discard: true })
}
