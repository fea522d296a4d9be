/** Faults at work: when they are on, which topics they hit, how often they have done so. */
import type { Random } from "effect"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import { partsOf } from "../domain/Instrument.ts"
import type { DialectRequest } from "../ExchangeDialect.ts"
import type { FaultCounts } from "./Counts.ts"
import * as Faults from "./Faults.ts"
import type { Fault, FaultTag } from "./Faults.ts"

type Draws = Pick<Random.Random, "nextDoubleUnsafe">

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/gu, "\\$&")

/** `*` stands for any text. */
const globPattern = (glob: string): RegExp => new RegExp(`^${glob.split("*").map(escaped).join(".*")}$`, "su")

/** A pair as exchanges spell it inside a topic: `BTCUSDT`, `BTC_USDT`, `BTC-USDT`, `BTC/USDT`, and no longer name. */
const pairPattern = (pair: TradingPair): RegExp => {
  const { base, quote } = partsOf(pair)
  return new RegExp(`(?<![\\p{L}\\p{N}])${escaped(base)}[-_/]?${escaped(quote)}(?![\\p{L}\\p{N}])`, "u")
}

const everything = /^/u

/** The faults with these tags. */
export type FaultOf<Tag extends FaultTag> = Extract<Fault, { readonly _tag: Tag }>

/** What the kinds may have, all of it optional. */
type Selection = Partial<Omit<FaultOf<"Gap">, "_tag"> & Omit<FaultOf<"LoseRequest">, "_tag">>

/** A request as faults are chosen by it. */
type Chosen = Pick<DialectRequest, "method" | "path" | "query" | "body">

/** One fault since it was set. Times are simulated ms since the start. */
export class ActiveFault<out F extends Fault = Fault> {
  readonly id: number
  readonly fault: F
  readonly from: number
  until: number
  readonly random: Draws
  applied = 0
  #remaining: number
  readonly #share: number
  readonly #topic: RegExp
  readonly #pair: RegExp
  readonly #path: RegExp
  readonly #frame: RegExp
  readonly #matches = new Map<string, boolean>()

  constructor(id: number, fault: F, now: number, random: Draws) {
    const { startMillis = 0, durationMillis, share = 1, count, pair, topic, path, frame } = fault as Selection
    this.id = id
    this.fault = fault
    this.from = now + startMillis
    this.until = durationMillis === undefined ? Infinity : this.from + durationMillis
    this.random = random
    this.#remaining = count ?? Infinity
    this.#share = share
    this.#topic = topic === undefined ? everything : globPattern(topic)
    this.#pair = pair === undefined ? everything : pairPattern(pair)
    this.#path = path === undefined ? everything : globPattern(path)
    this.#frame = frame === undefined ? everything : globPattern(frame)
  }

  isActive(now: number): boolean {
    return now >= this.from && now < this.until && this.#remaining > 0
  }

  /** Over from now on. */
  end(now: number): void {
    this.until = Math.min(this.until, now)
  }

  concerns(topic: string): boolean {
    let matches = this.#matches.get(topic)
    if (matches === undefined) {
      matches = this.#topic.test(topic) && this.#pair.test(topic)
      this.#matches.set(topic, matches)
    }
    return matches
  }

  /** Whether the fault names topics or a pair, and so not everything. */
  get isChosen(): boolean {
    return this.#topic !== everything || this.#pair !== everything
  }

  concernsRequest({ body, method, path, query }: Chosen): boolean {
    const wanted: Selection = this.fault
    return this.#frame === everything && this.#path.test(path) && (wanted.method ?? method) === method &&
      (this.#pair === everything || [path, body, ...query.values()].some((text) => this.#pair.test(text)))
  }

  /** Whether it is for a frame of a client that asks for something. */
  concernsRequestFrame(frame: string | Uint8Array): boolean {
    const { method }: Selection = this.fault
    return method === undefined && this.#path === everything && this.concernsFrame(frame) &&
      (this.#pair === everything || this.#pair.test(String(frame)))
  }

  /** By its text alone. */
  concernsFrame(frame: string | Uint8Array): boolean {
    return this.#frame === everything || (typeof frame === "string" && this.#frame.test(frame))
  }

  /** Decides by the fault's share, and counts. Call it only while the fault is active. */
  strikes(): boolean {
    if (this.#share < 1 && this.random.nextDoubleUnsafe() >= this.#share) return false
    this.applied++
    this.#remaining--
    return true
  }

  counts(now: number): FaultCounts {
    return { id: this.id, fault: Faults.print(this.fault), active: this.isActive(now), applied: this.applied }
  }
}

const momentaryTags: ReadonlySet<FaultTag> = new Set(["Drop", "HalfOpen", "UpgradeNotice", "ExpireKeys"])

/** Faults that are carried out at their start, on the connections that are open then. */
export type MomentaryFault = FaultOf<"Drop" | "HalfOpen" | "UpgradeNotice" | "ExpireKeys">

export const isMomentary = (active: ActiveFault): active is ActiveFault<MomentaryFault> =>
  momentaryTags.has(active.fault._tag)

/** In the order in which a frame meets them. */
const frameTags = ["Silence", "Gap", "LosePush", "Corrupt", "Reorder", "Duplicate", "LatePush"] as const
export type FrameFault = FaultOf<(typeof frameTags)[number]>

/** What may become of a request, in the order in which it meets them; one is enough. */
const fateTags = ["LoseRequest", "LateRequest", "FailAnswer", "LoseAnswer", "LateAnswer"] as const
export type Fate = FaultOf<(typeof fateTags)[number]>

const noRequest: Chosen = { method: "", path: "", query: new Map<string, string>(), body: "" }

/** Whether a fault strikes a request, which it then counts. */
const strikesAt = (now: number, request: DialectRequest) => (fault: ActiveFault): boolean =>
  fault.isActive(now) && fault.concernsRequest(request) && fault.strikes()

/** The faults of one exchange, sorted by what they work on. */
export class ExchangeFaults {
  frames: ReadonlyArray<ActiveFault<FrameFault>> = []
  delays: ReadonlyArray<ActiveFault<FaultOf<"Delay">>> = []
  answers: ReadonlyArray<ActiveFault<FaultOf<"LateAck" | "LoseAck">>> = []
  ages: ReadonlyArray<ActiveFault<FaultOf<"ConnectionAge">>> = []
  skews: ReadonlyArray<ActiveFault<FaultOf<"Skew">>> = []
  refusals: ReadonlyArray<ActiveFault<FaultOf<"Refuse">>> = []
  halfOpen: ReadonlyArray<ActiveFault<FaultOf<"HalfOpen">>> = []
  rejections: ReadonlyArray<ActiveFault<FaultOf<"Reject">>> = []
  stale: ReadonlyArray<ActiveFault<FaultOf<"StaleSnapshot">>> = []
  slow: ReadonlyArray<ActiveFault<FaultOf<"SlowSnapshot">>> = []
  http: ReadonlyArray<ActiveFault<FaultOf<"HttpError">>> = []
  slowHttp: ReadonlyArray<ActiveFault<FaultOf<"SlowHttp">>> = []
  garbled: ReadonlyArray<ActiveFault<FaultOf<"GarbleHttp">>> = []
  lags: ReadonlyArray<ActiveFault<FaultOf<"LagRead">>> = []
  fates: ReadonlyArray<ActiveFault<Fate>> = []
  cuts: ReadonlyArray<ActiveFault<FaultOf<"Cut">>> = []
  revocations: ReadonlyArray<ActiveFault<FaultOf<"Revoke">>> = []

  set(exchange: ExchangeId, all: Iterable<ActiveFault>): void {
    const ours = [...all].filter(({ fault }) => fault.exchange === undefined || fault.exchange === exchange)
    const of = <Tag extends FaultTag>(tag: Tag): ReadonlyArray<ActiveFault<FaultOf<Tag>>> =>
      ours.filter(({ fault }) => fault._tag === tag) as ReadonlyArray<ActiveFault> as ReadonlyArray<
        ActiveFault<FaultOf<Tag>>
      >
    this.frames = frameTags.flatMap((tag): ReadonlyArray<ActiveFault<FrameFault>> => of(tag))
    this.delays = of("Delay")
    this.answers = [...of("LoseAck"), ...of("LateAck")]
    this.ages = of("ConnectionAge")
    this.skews = of("Skew")
    this.refusals = of("Refuse")
    this.halfOpen = of("HalfOpen")
    this.rejections = of("Reject")
    this.stale = of("StaleSnapshot")
    this.slow = of("SlowSnapshot")
    this.http = of("HttpError")
    this.slowHttp = of("SlowHttp")
    this.garbled = of("GarbleHttp")
    this.lags = of("LagRead")
    this.fates = fateTags.flatMap((tag): ReadonlyArray<ActiveFault<Fate>> => of(tag))
    this.cuts = of("Cut")
    this.revocations = of("Revoke")
  }

  /** What becomes of a request over REST, counted; null: nothing unusual. */
  strikeRequest(now: number, request: DialectRequest): Fate | null {
    return this.fates.find(strikesAt(now, request))?.fault ?? null
  }

  /** What becomes of a client's frame, counted; null: nothing unusual. */
  strikeRequestFrame(now: number, frame: string | Uint8Array): Fate | null {
    const struck = this.fates.find((fault) =>
      fault.isActive(now) && fault.concernsRequestFrame(frame) && fault.strikes()
    )
    return struck?.fault ?? null
  }

  /** The one that closes a socket behind a frame, counted. */
  strikeSent(now: number, topic: string, frame: string | Uint8Array): FaultOf<"Cut"> | null {
    const struck = this.cuts.find((fault) =>
      fault.isActive(now) && fault.concerns(topic) && fault.concernsFrame(frame) && fault.strikes()
    )
    return struck?.fault ?? null
  }

  /** What a user's keys lack, counted. */
  strikeKey(now: number, userId: string): "read" | "trade" | "key" | undefined {
    const struck = this.revocations.find((active) =>
      active.isActive(now) && (active.fault.user ?? userId) === userId && active.strikes()
    )
    return struck === undefined ? undefined : struck.fault.what ?? "key"
  }

  /** The one that loses an answer over a socket or makes it late, counted; null when none does. */
  strikeAnswer(now: number, frame: string | Uint8Array): FaultOf<"LateAck" | "LoseAck"> | null {
    return this.answers.find((fault) => fault.isActive(now) && fault.concernsFrame(frame) && fault.strikes())?.fault ??
      null
  }

  /** The one that makes a request fail, counted. */
  strikeHttp(now: number, request: DialectRequest): FaultOf<"HttpError"> | null {
    return this.http.find(strikesAt(now, request))?.fault ?? null
  }

  /** The one that cuts an answer short, counted. */
  strikeBody(now: number, request: DialectRequest): boolean {
    return this.garbled.some(strikesAt(now, request))
  }

  /** How much later an answer arrives, ms; counted. */
  strikeTime(now: number, request: DialectRequest, isBook: boolean): number {
    const slowest = this.slowHttp.find(strikesAt(now, request))?.fault.millis ?? 0
    const slow = isBook ? longest(this.slow, now, request) : null
    slow?.strikes()
    return Math.max(slowest, slow?.fault.millis ?? 0)
  }
}

/** The one with the longest time of those at work on a request; null when none is. */
export const longest = <F extends FaultOf<"Delay" | "StaleSnapshot" | "SlowSnapshot" | "Skew" | "LagRead">>(
  faults: ReadonlyArray<ActiveFault<F>>,
  now: number,
  request: Chosen = noRequest
): ActiveFault<F> | null => {
  let found: ActiveFault<F> | null = null
  for (const active of faults) {
    if (!active.isActive(now) || !active.concernsRequest(request)) continue
    if (found === null || Math.abs(active.fault.millis) > Math.abs(found.fault.millis)) found = active
  }
  return found
}
