/** What can be wrong with one topic, as errors that name it. */
import { Effect } from "effect"
import { everyPair } from "../domain/Channel.ts"
import type { PublicChannel, PublicTag } from "../domain/Channel.ts"
import { isTradingPair } from "../domain/Instrument.ts"
import type { ExchangeAdapter, Refusal } from "../ExchangeAdapter.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { TopicState } from "./Topics.ts"

/** A pair as an exchange of this kind has it. */
export const examples = { spot: "BTC/USDT", swap: "BTC/USDT:USDT" } as const

/** The exchange has no such channel, whatever the pair. */
export const noChannel = (adapter: ExchangeAdapter, channel: PublicTag, symbol?: string): ExchangeError.ExchangeError =>
  ExchangeError.make(
    adapter.id,
    new ExchangeError.UnsupportedChannel({
      channel,
      ...(symbol === undefined ? {} : { symbol }),
      detail: `${adapter.name} offers ${[...adapter.channels].join(", ")}`
    })
  )

/** The topic of a channel, or why there is none. Nothing has been sent yet. */
export const nameOf = (
  adapter: ExchangeAdapter,
  channel: PublicChannel
): Effect.Effect<{ readonly key: string; readonly symbol: string }, ExchangeError.ExchangeError> => {
  const unsupported = (detail: string) =>
    Effect.fail(ExchangeError.make(
      adapter.id,
      new ExchangeError.UnsupportedChannel({ channel: channel._tag, symbol: channel.pair, detail })
    ))
  if (!adapter.channels.has(channel._tag)) {
    return Effect.fail(noChannel(adapter, channel._tag, channel.pair))
  }
  const symbol = isTradingPair(channel.pair) ? adapter.symbol(channel.pair) : null
  if (symbol === null) {
    return unsupported(
      channel.pair === everyPair
        ? `${adapter.name} offers no channel for every pair at once; name the pairs, such as ${examples[adapter.kind]}`
        : `${adapter.name} has no such pair; write pairs as ${examples[adapter.kind]}`
    )
  }
  const name = adapter.topic(channel, symbol)
  return name._tag === "Topic" ? Effect.succeed({ key: name.key, symbol }) : unsupported(name.detail)
}

const where = ({ topic }: TopicState) => ({
  channel: topic.channel,
  symbol: topic.pair ?? topic.symbol,
  topic: topic.key
})

export const refused = (adapter: ExchangeAdapter, state: TopicState, refusal: Refusal): ExchangeError.ExchangeError =>
  ExchangeError.make(adapter.id, new ExchangeError.SubscriptionRejected({ ...where(state), ...refusal }))

/** A connection that was known to bring more, and brings nothing though its topics were subscribed anew. */
export const silent = (adapter: ExchangeAdapter, silentForMs: number): ExchangeError.ExchangeError =>
  ExchangeError.make(
    adapter.id,
    new ExchangeError.Silent({ silentForMs, detail: "it brings nothing though its topics were subscribed anew" })
  )

/**
 * Accepted, but silent: some exchanges answer "success" for a stream that does not exist. `isHeard`: whether its connection has
 * brought anything else. Where it has not, it may be that one's fault, unless the exchange does not list the pair; `isListed` is
 * null where that is not known.
 */
export const withoutSnapshot = (
  adapter: ExchangeAdapter,
  state: TopicState,
  isHeard: boolean,
  isListed: boolean | null
): ExchangeError.ExchangeError => {
  const nothing = isHeard ? "" : ", nor anything else"
  return refused(adapter, state, {
    code: "no snapshot",
    detail: `the exchange accepted the subscription and never sent a book${nothing}; ${listing(state, isListed)}`,
    class: isHeard || isListed === false ? "item" : "retryable"
  })
}

const listing = ({ topic }: TopicState, isListed: boolean | null): string => {
  if (isListed === false) return `it does not list ${topic.symbol}`
  return isListed === true
    ? "it lists the pair"
    : "whether it lists the pair is not known: if this lasts, check it against `exchange instruments`"
}

export const timedOut = (adapter: ExchangeAdapter, state: TopicState, afterMs: number): ExchangeError.ExchangeError =>
  ExchangeError.make(adapter.id, new ExchangeError.SubscriptionTimeout({ ...where(state), afterMs }))

/** The Layer has gone. */
export const released = (adapter: ExchangeAdapter): ExchangeError.ExchangeError =>
  ExchangeError.make(
    adapter.id,
    new ExchangeError.Closed({ detail: "the Layer was released while this was in use; keep its scope open as long" })
  )

/** Given up by its own side before the exchange has answered. */
export const withdrawn = (adapter: ExchangeAdapter, { topic }: TopicState): ExchangeError.ExchangeError =>
  ExchangeError.make(
    adapter.id,
    new ExchangeError.Closed({ detail: `${topic.key} was unsubscribed before the exchange had confirmed it` })
  )

export const defect = (adapter: ExchangeAdapter, cause: unknown): ExchangeError.ExchangeError =>
  ExchangeError.make(
    adapter.id,
    new ExchangeError.InvalidUse({
      detail: `a defect of the library or the adapter, please report it: ${String(cause)}`
    })
  )
