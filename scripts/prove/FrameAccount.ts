/** Accounts for every frame: what was put on the wire, in order, against what the codec made of it. */
import type { Codec, CodecContext, ExchangeAdapter, Sink } from "../../src/ExchangeAdapter.ts"
import type { BadFrame } from "./Malformed.ts"

/** What came of one frame. */
export type Class = "data" | "control" | "ignored" | "failed"

export const outcomeNames = {
  BookTicker: "book_ticker",
  Trade: "trades",
  BookUpdate: "depth",
  Ticker: "ticker",
  Kline: "candles",
  FuturesTicker: "ticker",
  Liquidation: "liquidations",
  ContractStats: "contract_stats"
} as const

/** A frame on the wire: clean (null) or bad. */
type Label = BadFrame | null

export class FrameAccount {
  readonly classes: Record<Class, number> = { data: 0, control: 0, ignored: 0, failed: 0 }
  clean = 0
  cleanFailed = 0
  cleanEvents = 0
  bad = 0
  threw = 0
  /** Frames that led to nothing, or to data and an error at once. */
  unclear = 0
  /** Fixed cases with an outcome that is not allowed. */
  readonly forbidden: Array<string> = []
  /** On the wire when their connection ended. */
  undecoded = 0
  /** By way of being wrong: the classes that came of it. */
  readonly byKind = new Map<string, Record<Class, number>>()
  #labels: Array<Label> = []
  #next = 0

  /** A new connection: what was not decoded of the last one is lost. */
  connected(): void {
    this.undecoded += this.waiting
    this.#labels = []
    this.#next = 0
  }

  get waiting(): number {
    return this.#labels.length - this.#next
  }

  get decoded(): number {
    const { control, data, failed, ignored } = this.classes
    return data + control + failed + ignored
  }

  put(label: Label): void {
    this.#labels.push(label)
  }

  /** The same adapter, its codecs watched. */
  watch(adapter: ExchangeAdapter): ExchangeAdapter {
    return { ...adapter, makeCodec: (context) => this.#watched(adapter, context) }
  }

  #watched(adapter: ExchangeAdapter, context: CodecContext): Codec {
    const codec = adapter.makeCodec(context)
    return {
      decode: (frame, receivedAt, sink) => {
        const outcomes: Array<string> = []
        try {
          codec.decode(frame, receivedAt, tapped(sink, outcomes))
        } catch {
          this.threw++
        }
        this.#judge(this.#labels[this.#next++], outcomes)
      }
    }
  }

  #judge(label: Label | undefined, outcomes: ReadonlyArray<string>): void {
    const found = classOf(outcomes)
    if (found === null || label === undefined) return void this.unclear++
    this.classes[found]++
    if (label === null) this.#judgeClean(found, outcomes)
    else this.#judgeBad(label, found, outcomes)
  }

  #judgeClean(found: Class, outcomes: ReadonlyArray<string>): void {
    this.clean++
    if (found === "failed" || found === "ignored") this.cleanFailed++
    if (found === "data") this.cleanEvents += outcomes.length
  }

  #judgeBad({ allowed, id }: BadFrame, found: Class, outcomes: ReadonlyArray<string>): void {
    this.bad++
    const kind = allowed === null ? id : "shared fixtures"
    const classes = this.byKind.get(kind) ?? { data: 0, control: 0, ignored: 0, failed: 0 }
    classes[found]++
    this.byKind.set(kind, classes)
    const wrong = allowed === null
      ? []
      : outcomes.filter((outcome) => !allowed.includes(outcome === "unreadable" ? "error" : outcome))
    if (wrong.length > 0 && !this.forbidden.includes(id)) this.forbidden.push(id)
  }
}

const dataOutcomes: ReadonlySet<string> = new Set(Object.values(outcomeNames))

const isData = (outcome: string): boolean => dataOutcomes.has(outcome)

/** Null when the frame led to nothing, or to things that exclude each other. */
const classOf = (outcomes: ReadonlyArray<string>): Class | null => {
  const [first] = outcomes
  if (first === undefined) return null
  if (isData(first)) return outcomes.every(isData) ? "data" : null
  if (first === "unreadable") return outcomes.length === 1 ? "failed" : null
  if (first === "ignore") return outcomes.length === 1 ? "ignored" : null
  return outcomes.some(isData) || outcomes.includes("unreadable") ? null : "control"
}

/** Passes everything on, and notes it. A fallback says how a frame was read, not what it held. */
const tapped = (sink: Sink, outcomes: Array<string>): Sink => ({
  event: (topic, event) => {
    outcomes.push(outcomeNames[event._tag])
    sink.event(topic, event)
  },
  acknowledged: (answer) => {
    outcomes.push("ack")
    sink.acknowledged(answer)
  },
  rejected: (answer, refusal) => {
    outcomes.push("error")
    sink.rejected(answer, refusal)
  },
  pong: () => {
    outcomes.push("pong")
    sink.pong()
  },
  reply: (frame) => {
    outcomes.push("ping")
    sink.reply?.(frame)
  },
  closing: (detail) => {
    outcomes.push("closing")
    sink.closing(detail)
  },
  ignored: (detail) => {
    outcomes.push("ignore")
    sink.ignored(detail)
  },
  failed: (detail) => {
    outcomes.push("unreadable")
    sink.failed(detail)
  },
  fallback: () => sink.fallback()
})
