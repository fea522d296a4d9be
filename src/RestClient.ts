/**
 * What REST calls of an adapter have in common: the answer read by its schema, or a typed error that says what was asked
 * and what came of it. What refusals look like and mean is the exchange's.
 */
import { Clock, DateTime, Effect, Option, Result, Schema } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import type { ExchangeId } from "./domain/Instrument.ts"
import * as ExchangeError from "./ExchangeError.ts"

/** What came back. */
export interface Answer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
  /** `undefined` when the body is no JSON. */
  readonly json: unknown
}

export type PauseOf = (answer: Answer, answerClass: ExchangeError.AnswerClass, nowMillis: number) => number | null

export interface RestClientOptions {
  readonly exchange: ExchangeId
  readonly client: HttpClient.HttpClient
  /** Without trailing slash. */
  readonly url: string
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** The exchange's own words in an answer that refuses; null when it has none, or when this is left out. */
  readonly refusalOf?: (json: unknown) => { readonly code: string; readonly detail: string } | null
  /** What they mean; `code` is null when there are none, and `text` is the body then. Left out: what the status means. */
  readonly classify?: (code: string | null, text: string, status: number) => ExchangeError.AnswerClass
  /** How long to wait when there is no `Retry-After`, ms; null when that is not known. */
  readonly pauseOf?: PauseOf
  /** JSON with what a double would lose; may throw. `JSON.parse` when left out. */
  readonly parse?: (body: string) => unknown
}

/** What a call is about, for its errors. */
export interface Where {
  readonly symbol?: string
  readonly channel?: string
}

/** A call of an account, signed by whoever made it. */
export interface SignedCall {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE"
  readonly path: string
  /** As it was signed: escaped, without `?`. */
  readonly query?: string | undefined
  readonly headers: Readonly<Record<string, string>>
  /** JSON. */
  readonly body?: string | undefined
  /** What no error may repeat, should the exchange's answer repeat it: keys and signatures. */
  readonly secrets: ReadonlyArray<string>
}

export interface RestClient {
  /** A refusal becomes `RequestFailed`, also under a status of success; an answer that says something else `DecodeFailed`. */
  readonly get: <A, I>(
    schema: Schema.Codec<A, I>,
    path: string,
    params?: Readonly<Record<string, string>>,
    where?: Where
  ) => Effect.Effect<A, ExchangeError.ExchangeError>
  /**
   * The same for a signed call. Neither its URL nor its headers reach a span, a log or an error: the span has the method
   * and the path.
   */
  readonly send: <A, I>(
    schema: Schema.Codec<A, I>,
    call: SignedCall,
    where?: Where
  ) => Effect.Effect<A, ExchangeError.ExchangeError>
  /**
   * What `read` makes of the items of a list; it says what is odd about one that it cannot read. Those are told in a
   * warning and do not hide the others. Fails when there are items and none can be read.
   */
  readonly readEach: <A>(
    path: string,
    items: ReadonlyArray<unknown>,
    read: (item: unknown) => Result.Result<A, string>
  ) => Effect.Effect<ReadonlyArray<A>, ExchangeError.ExchangeError>
  /** The answer can be read and makes no sense. */
  readonly unreadable: (
    path: string,
    detail: string,
    where?: Where
  ) => Effect.Effect<never, ExchangeError.ExchangeError>
}

/** What was asked, for errors; `clean` takes out what they may not repeat. */
interface Asked {
  readonly request: string
  readonly where: Where
  readonly clean: (text: string) => string
}

/** Longest part of the exchange's words that an error repeats, and of a page that came in their place. */
const excerpt = 300
const pageExcerpt = 80

/** HTTP's own meaning: 429 is a limit, other 4xx are the caller's fault, and the rest may pass. */
const classifyStatus = (_code: string | null, _text: string, status: number): ExchangeError.AnswerClass => {
  if (status === 429) return "rateLimit"
  return status >= 400 && status < 500 ? "bug" : "retryable"
}

export const make = (options: RestClientOptions): RestClient => {
  const { client, exchange, headers = {}, parse = JSON.parse, pauseOf = () => null, url } = options
  const { classify = classifyStatus, refusalOf = () => null } = options
  const date = new ExchangeDate()

  const fail = (reason: ExchangeError.Reason): Effect.Effect<never, ExchangeError.ExchangeError> =>
    Effect.fail(ExchangeError.make(exchange, reason))

  const unread = (request: string, detail: string, where: Where): Effect.Effect<never, ExchangeError.ExchangeError> =>
    fail(new ExchangeError.DecodeFailed({ ...where, detail: `${request}: ${detail.slice(0, excerpt)}` }))

  const unreadable: RestClient["unreadable"] = (path, detail, where = {}) => unread(`GET ${path}`, detail, where)

  /** Nothing that could be read came back. What cannot be sent at all is our fault, the rest may pass. */
  const transportFailure = (request: string, where: Where, error: HttpClientError.HttpClientError, detail: string) =>
    ExchangeError.make(
      exchange,
      new ExchangeError.RequestFailed({
        ...where,
        request,
        status: error.response?.status ?? null,
        code: error.reason._tag,
        detail,
        class: error.reason._tag === "InvalidUrlError" || error.reason._tag === "EncodeError" ? "bug" : "retryable"
      })
    )

  const refused = Effect.fnUntraced(function*({ clean, request, where }: Asked, answer: Answer) {
    const { json, status } = answer
    const body = clean(answer.body)
    const refusal = refusalOf(json)
    const code = refusal?.code ?? null
    const detail = refusal === null ? body.slice(0, pageExcerpt) : clean(refusal.detail)
    const answerClass = classify(code, code === null ? body : detail, status)
    const now = date.now(answer, yield* Clock.currentTimeMillis)
    const retryAfterMs = retryAfter(answer, now) ?? pauseOf(answer, answerClass, now)
    return yield* fail(
      new ExchangeError.RequestFailed({
        ...where,
        request,
        status,
        code: code ?? String(status),
        detail: detail.slice(0, excerpt) || body.slice(0, pageExcerpt) || "an empty body",
        class: answerClass,
        ...(retryAfterMs === null ? {} : { retryAfterMs })
      })
    )
  })

  const answerOf = (response: HttpClientResponse) =>
    Effect.map(response.text, (body): Answer => {
      const { headers, status } = response
      return { status, headers, body, json: jsonOf(body, parse) }
    })

  const read =
    <A, I>(schema: Schema.Codec<A, I>, asked: Asked) =>
    (answer: Answer): Effect.Effect<A, ExchangeError.ExchangeError> => {
      if (answer.status < 200 || answer.status > 299) return refused(asked, answer)
      const decoded = Schema.decodeUnknownResult(schema)(answer.json)
      if (Result.isSuccess(decoded)) return Effect.succeed(decoded.success)
      if (refusalOf(answer.json) !== null) return refused(asked, answer)
      const { clean, request, where } = asked
      const detail = answer.json === undefined
        ? `no JSON: ${clean(answer.body).slice(0, pageExcerpt)}`
        : clean(decoded.failure.message)
      return unread(request, detail, where)
    }

  const get: RestClient["get"] = (schema, path, params = {}, where = {}) => {
    const request = `GET ${path}`
    return client.get(url + path, { urlParams: params, acceptJson: true, headers }).pipe(
      Effect.flatMap(answerOf),
      Effect.mapError((error) => transportFailure(request, where, error, error.message)),
      Effect.flatMap(read(schema, { request, where, clean: (text) => text }))
    )
  }

  const send: RestClient["send"] = (schema, call, where = {}) => {
    const request = `${call.method} ${call.path}`
    const query = call.query === undefined || call.query === "" ? "" : `?${call.query}`
    const made = HttpClientRequest.make(call.method)(`${url}${call.path}${query}`, {
      acceptJson: true,
      headers: { ...headers, ...call.headers }
    })
    const body = call.body === undefined ? made : HttpClientRequest.bodyText(made, call.body, "application/json")
    const clean = (text: string): string =>
      call.secrets.reduce((rest, secret) => secret === "" ? rest : rest.replaceAll(secret, "<redacted>"), text)
    return client.execute(body).pipe(
      Effect.flatMap(answerOf),
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
      Effect.mapError((error) => transportFailure(request, where, error, `no answer from ${url}`)),
      Effect.flatMap(read(schema, { request, where, clean })),
      spanned(request)
    )
  }

  const readEach: RestClient["readEach"] = (path, items, read) => {
    const results = items.map(read)
    const found = results.flatMap((result) => Result.isSuccess(result) ? [result.success] : [])
    const odd = results.flatMap((result) => Result.isFailure(result) ? [result.failure.slice(0, excerpt)] : [])
    if (odd.length === 0) return Effect.succeed(found)
    if (found.length === 0) return unreadable(path, `no item can be read: ${odd[0]}`)
    return Effect.as(
      Effect.logWarning(`[${exchange}] GET ${path}: ${odd.length} items cannot be read, the first: ${odd[0]}`),
      found
    )
  }

  return { get, send, readEach, unreadable }
}

/** The span is told whether it went well and not what came: an answer may be a listen key, which spans would keep. */
const spanned = (name: string) => <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    let answer!: A
    return effect.pipe(
      Effect.map((value) => {
        answer = value
      }),
      Effect.withSpan(name, { kind: "client" }),
      Effect.map(() => answer)
    )
  })

const jsonOf = (body: string, parse: (body: string) => unknown): unknown => {
  try {
    return parse(body)
  } catch {
    return undefined
  }
}

/** A machine's clock that is further off than this is not what the exchange's times are measured by, ms. */
const mostOffset = 2_000

/** A clock that was set to another zone's time is off by less, ms. Further off is one that says so twice. */
const plausibleOffset = 24 * 3_600_000

/** Two answers say the same of how far our clock is off when they differ by no more, ms. */
const sameOffset = 60_000

const millisOf = (date: string | undefined): number | null =>
  Option.match(DateTime.make(date ?? ""), { onNone: () => null, onSome: DateTime.toEpochMillis })

/** What the time is at the exchange, by the `Date` of its answers. */
class ExchangeDate {
  /** The exchange's time minus ours, by the latest answer that told one, ms. */
  #offset: number | null = null

  /**
   * Now, by the exchange's own clock where ours is far off: else an hour that our clock is late makes an hour's wait. A date
   * that is too far off to be so is not believed, unless the answer before said the same.
   */
  now({ headers }: Answer, now: number): number {
    const told = millisOf(headers["date"])
    if (told === null) return now
    const before = this.#offset
    const offset = this.#offset = told - now
    if (Math.abs(offset) <= mostOffset) return now
    const isConfirmed = before !== null && Math.abs(offset - before) <= sameOffset
    return Math.abs(offset) <= plausibleOffset || isConfirmed ? told : now
  }
}

/** The longest ban that an exchange documents (MEXC: three days), ms. */
const longestPause = 3 * 24 * 3_600_000

/** The same where a point in time is told, whose distance is only as right as two clocks are, ms. */
const longestUntil = 3_600_000

/** `Retry-After` in seconds or as a date, ms from now; null without it. */
const retryAfter = ({ headers }: Answer, now: number): number | null => {
  const header = headers["retry-after"]
  if (header === undefined) return null
  if (/^\d{1,9}(\.\d+)?$/.test(header)) return Math.min(longestPause, Number(header) * 1000)
  const until = millisOf(header)
  return until === null ? null : Math.min(longestUntil, Math.max(0, until - now))
}
