/** What a session writes into its journal: every topic, and every decision about one that its frames do not bring about. */
import type { Recorder } from "../connection/Journal.ts"
import type { LaneStep } from "../connection/JournalFormat.ts"
import type { PublicChannel } from "../domain/Channel.ts"
import type { ConnectionStatus, Gap, GapCause } from "../domain/Feed.ts"
import type { BookUpdate } from "../domain/Market.ts"
import type { Topic } from "../ExchangeAdapter.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import * as ErrorCodec from "./ErrorCodec.ts"

export class SessionJournal {
  readonly #recorder: Recorder
  readonly #numbers = new Map<string, number>()

  constructor(recorder: Recorder) {
    this.#recorder = recorder
  }

  /** Before anything else is said of it. */
  topic(topic: Topic, channel: PublicChannel): void {
    if (this.#numbers.has(topic.key)) return
    const number = this.#numbers.size
    this.#numbers.set(topic.key, number)
    const { contractSize, key, symbol } = topic
    this.#recorder.note({ _tag: "Topic", topic: number, at: this.#recorder.now, key, channel, symbol, contractSize })
  }

  status(status: ConnectionStatus): void {
    this.#recorder.note({ _tag: "Status", at: status.at, status })
  }

  confirmed(topic: Topic): void {
    this.#recorder.decide(this.#of(topic), { _tag: "Confirmed" })
  }

  /** Who waits for the topic is told the error. */
  refused(topic: Topic, error: ExchangeError): void {
    if (isEnd(error)) return
    this.#recorder.decide(this.#of(topic), { _tag: "Refused", error: ErrorCodec.encode(error) })
  }

  dropped(topic: Topic): void {
    this.#recorder.decide(this.#of(topic), { _tag: "Dropped" })
  }

  interrupted(topic: Topic, gap: Gap): void {
    this.#recorder.decide(
      this.#of(topic),
      { _tag: "Interrupted", cause: gap.cause, lost: gap.lost ?? null },
      gap.at
    )
  }

  lapsed(topic: Topic, gap: Gap): void {
    this.#recorder.decide(this.#of(topic), { _tag: "Lapsed", cause: gap.cause }, gap.at)
  }

  broke(topic: Topic, cause: GapCause, at: number): void {
    // What a subscriber of its own brings about is no part of the session.
    if (cause !== "Overflow" && cause !== "Rejected") {
      this.#recorder.decide(this.#of(topic), { _tag: "Break", cause }, at)
    }
  }

  released(topic: Topic): void {
    this.#recorder.decide(this.#of(topic), { _tag: "Released" })
  }

  snapshot(topic: Topic, snapshot: BookUpdate): void {
    const source = this.#recorder.sources.get(snapshot.bids)
    this.#recorder.decide(this.#of(topic), {
      _tag: "Snapshot",
      answer: source?.answer ?? null,
      attempt: source?.attempt ?? 0,
      receivedAt: snapshot.receivedAt,
      book: source === undefined ? snapshot : null
    })
  }

  failed(topic: Topic, error: ExchangeError, scope: "topic" | "connection"): void {
    if (isEnd(error)) return
    this.#recorder.decide(this.#of(topic), { _tag: "Failed", error: ErrorCodec.encode(error), scope })
  }

  lane(topic: Topic, link: number, group: number, step: LaneStep, at?: number): void {
    this.#recorder.decide(this.#of(topic), { _tag: "Lane", link, group, step }, at)
  }

  #of(topic: Topic): number {
    return this.#numbers.get(topic.key) ?? -1
  }
}

/** The session's own end is no part of what happened. */
const isEnd = (error: ExchangeError): boolean => error.reason._tag === "Closed"
