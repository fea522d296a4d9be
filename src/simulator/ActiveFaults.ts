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
type Selection = Partial<Omit<FaultOf<"Gap">, "_tag"> & Omit<FaultOf<"HttpError">, "_tag">>

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
  readonly #matches = new Map<string, boolean>()

  constructor(id: number, fault: F, now: number, random: Draws) {
    const { startMillis = 0, durationMillis, share = 1, count, pair, topic, path } = fault as Selection
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

  concernsRequest({ path, query }: Pick<DialectRequest, "path" | "query">): boolean {
    return this.#path.test(path) &&
      (this.#pair === everything || this.#pair.test(path) ||
        [...query.values()].some((value) => this.#pair.test(value)))
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

const momentaryTags: ReadonlySet<FaultTag> = new Set(["Drop", "HalfOpen", "UpgradeNotice"])

/** Faults that are carried out at their start, on the connections that are open then. */
export type MomentaryFault = FaultOf<"Drop" | "HalfOpen" | "UpgradeNotice">

export const isMomentary = (active: ActiveFault): active is ActiveFault<MomentaryFault> =>
  momentaryTags.has(active.fault._tag)

/** In the order in which a frame meets them. */
const frameTags = ["Silence", "Gap", "Corrupt", "Reorder", "Duplicate"] as const
export type FrameFault = FaultOf<(typeof frameTags)[number]>

/** The faults of one exchange, sorted by what they work on. */
const noRequest = { path: "", query: new Map<string, string>() }

/** Whether a fault strikes a request, which it then counts. */
const strikesAt = (now: number, request: DialectRequest) => (fault: ActiveFault): boolean =>
  fault.isActive(now) && fault.concernsRequest(request) && fault.strikes()

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
  }

  /** The one that loses an answer to a subscription or makes it late, counted; null when none does. */
  strikeAnswer(now: number): FaultOf<"LateAck" | "LoseAck"> | null {
    return this.answers.find((fault) => fault.isActive(now) && fault.strikes())?.fault ?? null
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
export const longest = <F extends FaultOf<"Delay" | "StaleSnapshot" | "SlowSnapshot" | "Skew">>(
  faults: ReadonlyArray<ActiveFault<F>>,
  now: number,
  request: Pick<DialectRequest, "path" | "query"> = noRequest
): ActiveFault<F> | null => {
  let found: ActiveFault<F> | null = null
  for (const active of faults) {
    if (!active.isActive(now) || !active.concernsRequest(request)) continue
    if (found === null || Math.abs(active.fault.millis) > Math.abs(found.fault.millis)) found = active
  }
  return found
}
