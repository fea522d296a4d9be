/** Calls over HTTP in a journal: answers are written down as they are read, and given again. */
import { Effect, Option } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type { Recorder } from "./Journal.ts"
import type { Answer } from "./JournalFormat.ts"
import { toClientResponse } from "./MemoryNetwork.ts"
import { redacted, secretNames } from "./Redaction.ts"

/** Names of headers that say who somebody is. */
const secretHeaders: ReadonlySet<string> = new Set(["set-cookie", "authorization"])

const headersOf = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !secretHeaders.has(name.toLowerCase())))

/** Method and address behind the base URL. */
const requestOf = (method: string, url: string, base: string): string =>
  `${method} ${url.startsWith(base) ? url.slice(base.length) : url}`

/** Headers and parameters of a request that prove who somebody is. */
const proving: ReadonlySet<string> = new Set([...secretNames, "X-MEXC-APIKEY"].map((name) => name.toLowerCase()))

/** What the exchange may repeat in its answer and must not be written for it. */
const secretsOf = ({ headers }: HttpClientRequest.HttpClientRequest, url: string): ReadonlyArray<string> => {
  const parameters = URL.parse(url)?.searchParams ?? []
  return [...Object.entries(headers), ...parameters]
    .flatMap(([name, value]) => proving.has(name.toLowerCase()) && value !== "" ? [value] : [])
}

const without = (secrets: ReadonlyArray<string>) => (text: string): string =>
  secrets.reduce((rest, secret) => rest.replaceAll(secret, redacted), text)

export interface RecordingOptions {
  /** Base URL, without trailing slash. */
  readonly url: string
  /** Whether the calls ask for a book. */
  readonly book: boolean
  /** Told the number of each answer. */
  readonly onAnswer?: ((answer: number) => void) | undefined
}

/** The client, with each answer written down when its text is read, and each failure when it comes. */
export const recording = (
  client: HttpClient.HttpClient,
  recorder: Recorder,
  { book, onAnswer, url: base }: RecordingOptions
): HttpClient.HttpClient =>
  HttpClient.transform(client, (effect, asked) => {
    const url = Option.match(HttpClientRequest.toUrl(asked), { onNone: () => asked.url, onSome: ({ href }) => href })
    const request = requestOf(asked.method, url, base)
    const clean = without(secretsOf(asked, url))
    return effect.pipe(
      Effect.map((response) => {
        const text = Effect.tap(response.text, (body) =>
          Effect.sync(() => {
            const { headers, status } = response
            const answer = { book, request, status, headers: headersOf(headers), body: clean(body), failure: null }
            const number = recorder.answer(answer)
            onAnswer?.(number)
          }))
        return Object.create(response, { text: { value: text } }) as HttpClientResponse.HttpClientResponse
      }),
      Effect.tapError((error) =>
        Effect.sync(() => {
          recorder.answer({
            book,
            request,
            status: 0,
            headers: {},
            body: "",
            failure: recorder.clean(clean(error.message))
          })
        })
      )
    )
  })

/** A client whose answers come from a recording; `undefined`: it has none for this request. */
export const answering = (
  answerOf: (request: string) => Answer | undefined,
  base: string
): HttpClient.HttpClient =>
  HttpClient.make((request, url) => {
    const asked = requestOf(request.method, url.href, base)
    const answer = answerOf(asked)
    if (answer !== undefined && answer.failure === null) return Effect.succeed(toClientResponse(request, answer))
    const description = answer?.failure ?? `the recording has no answer to ${asked}`
    return Effect.fail(
      new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, description }) })
    )
  })
