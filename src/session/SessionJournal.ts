/** What a session writes into its journal: every topic, and every decision about one that its frames do not bring about. */
import type { Recorder } from "../connection/Journal.ts"
import type { PublicChannel } from "../domain/Channel.ts"
import type { ConnectionStatus, Gap } from "../domain/Feed.ts"
import type { BookUpdate } from "../domain/Market.ts"
import type { Topic } from "../ExchangeAdapter.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import * as ErrorCodec from "./ErrorCodec.ts"
import type { TopicState } from "./Topics.ts"

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

  confirmed(state: TopicState): void {
    this.#recorder.decide(this.#of(state), { _tag: "Confirmed" })
  }

  /** Who waits for the topic is told the error. */
  refused(state: TopicState, error: ExchangeError): void {
    if (isEnd(error)) return
    this.#recorder.decide(this.#of(state), { _tag: "Refused", error: ErrorCodec.encode(error) })
  }

  dropped(state: TopicState): void {
    this.#recorder.decide(this.#of(state), { _tag: "Dropped" })
  }

  interrupted(state: TopicState, gap: Gap): void {
    this.#recorder.decide(
      this.#of(state),
      { _tag: "Interrupted", cause: gap.cause, lost: gap.lost ?? null },
      gap.at
    )
  }

  lapsed(state: TopicState, gap: Gap): void {
    this.#recorder.decide(this.#of(state), { _tag: "Lapsed", cause: gap.cause }, gap.at)
  }

  hole(state: TopicState, gap: Gap): void {
    this.#recorder.decide(this.#of(state), { _tag: "Hole" }, gap.at)
  }

  released(state: TopicState): void {
    this.#recorder.decide(this.#of(state), { _tag: "Released" })
  }

  snapshot(state: TopicState, snapshot: BookUpdate): void {
    const source = this.#recorder.sources.get(snapshot.bids)
    this.#recorder.decide(this.#of(state), {
      _tag: "Snapshot",
      answer: source?.answer ?? null,
      attempt: source?.attempt ?? 0,
      receivedAt: snapshot.receivedAt,
      book: source === undefined ? snapshot : null
    })
  }

  failed(state: TopicState, error: ExchangeError, scope: "topic" | "connection"): void {
    if (isEnd(error)) return
    this.#recorder.decide(this.#of(state), { _tag: "Failed", error: ErrorCodec.encode(error), scope })
  }

  #of(state: TopicState): number {
    return this.#numbers.get(state.topic.key) ?? -1
  }
}

/** The session's own end is no part of what happened. */
const isEnd = (error: ExchangeError): boolean => error.reason._tag === "Closed"
