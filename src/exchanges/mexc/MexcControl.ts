/**
 * Text frames: acknowledgements, refusals, PONG. Their `code` is 0 for refusals too (measured), so the lists of params in
 * `msg` decide ("Websocket Market Streams, Live Subscription/Unsubscription": msg repeats what was asked for).
 */
import { Predicate } from "effect"
import type { Sink as PublicSink } from "../../ExchangeAdapter.ts"
import * as MexcErrors from "./MexcErrors.ts"

/** What a text can lead to, on connections of the market and of an account alike. */
export type Sink = Pick<PublicSink, "acknowledged" | "rejected" | "pong" | "reply" | "ignored" | "failed">

/** How a private connection is told that its listen key is none: bare words, no JSON (a client of long standing, ccxt). */
export const invalidListenKey = "Invalid listen key"

/** The answer to a PING in JSON, should the server send one. None has been seen; its documented pings are WebSocket's. */
const pong = "{\"method\":\"PONG\"}"

/** `Subscribed successful! [a,b]` and `Not Subscribed successfully! [c]`, both in one text when a request is split. */
const lists = /(not\s+)?(?:un)?subscribed\s+success\w*!?\s*\[([^\]]*)\]/giu

/** Behind a colon of either width. */
const reasonPattern = /reason\s*[:：]\s*(.*?)\s*$/iu

/** Decodes a text frame; `words` is null when it is no UTF-8. */
export const decode = (words: string | null, sink: Sink): void => {
  if (words === null) return sink.failed("a text frame is no UTF-8")
  if (words.trim() === invalidListenKey) return refuse(null, null, words.trim(), words.trim(), sink)
  const value = parse(words)
  if (!Predicate.isObject(value)) return sink.failed(`text that is no JSON object: ${words.slice(0, 80)}`)
  control(value, words, sink)
}

const parse = (words: string): unknown => {
  try {
    return JSON.parse(words)
  } catch {
    return undefined
  }
}

type Id = number | string | null

const control = (value: object, words: string, sink: Sink): void => {
  const { id = null, code = 0, msg = null, method } = value as Readonly<Record<string, unknown>>
  if (method === "PING") return answerPing(sink)
  if (msg === null) return sink.ignored(`JSON without msg: ${words.slice(0, 80)}`)
  if (!isId(id) || !isCode(code) || !Predicate.isString(msg)) {
    return sink.failed(`JSON in an unknown form: ${words.slice(0, 80)}`)
  }
  answer(id, String(code), msg, sink)
}

const isId = (id: unknown): id is Id => id === null || Predicate.isString(id) || Number.isSafeInteger(id)

const isCode = (code: unknown): code is number | string => Predicate.isString(code) || Number.isSafeInteger(code)

const answerPing = (sink: Sink): void => {
  if (sink.reply === undefined) sink.ignored("a PING that cannot be answered from here")
  else sink.reply(pong)
}

const answer = (id: Id, code: string, msg: string, sink: Sink): void => {
  if (msg.toUpperCase() === "PONG") return sink.pong()
  const found = [...msg.matchAll(lists)]
  if (found.length > 0) return outcome(id, code, msg, found, sink)
  const params = split(msg)
  if (params.length > 0 && params.every((param) => param.startsWith("spot@"))) {
    return sink.acknowledged({ action: "unknown", requestId: id, topics: params })
  }
  words(id, code, msg, sink)
}

/** A text that names no params. */
const words = (id: Id, code: string, msg: string, sink: Sink): void => {
  if (code !== "0") return refuse(id, null, code, msg, sink)
  // Without a number of ours (0 stands for none) and without an error there is nothing to attribute.
  if (msg === "" || id === null || id === 0 || id === "0") return sink.ignored(`msg: ${msg}`)
  refuse(id, null, code, msg, sink)
}

const outcome = (id: Id, code: string, msg: string, found: ReadonlyArray<RegExpExecArray>, sink: Sink): void => {
  const accepted = found.filter((list) => list[1] === undefined).flatMap((list) => split(list[2]!))
  const refused = found.filter((list) => list[1] !== undefined).flatMap((list) => split(list[2]!))
  if (accepted.length > 0) sink.acknowledged({ action: "unknown", requestId: id, topics: accepted })
  if (refused.length > 0) {
    const detail = reasonPattern.exec(msg)?.[1] ?? msg
    return sink.rejected({ action: "unknown", requestId: id, topics: refused }, { code, detail, class: "item" })
  }
  // "Not Subscribed successfully! []" alone: nothing was refused.
  if (accepted.length === 0) sink.acknowledged({ action: "unknown", requestId: id, topics: null })
}

const refuse = (id: Id, topics: ReadonlyArray<string> | null, code: string, detail: string, sink: Sink): void =>
  sink.rejected({ action: "unknown", requestId: id, topics }, {
    code,
    detail,
    class: detail === invalidListenKey ? "auth" : MexcErrors.classify(code, detail, null).class
  })

const split = (list: string): ReadonlyArray<string> =>
  list.split(",").map((param) => param.trim()).filter((param) => param !== "")
