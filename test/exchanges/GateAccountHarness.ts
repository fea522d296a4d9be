/** What the tests of Gate's account half share: sinks that record, instruments of any name, a client that answers from memory. */
import { Effect, Redacted } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import type { AccountAdapter, OrderSink, PrivateSink, Reply } from "../../src/AccountAdapter.ts"
import * as Auth from "../../src/connection/Auth.ts"
import type { AccountEvent } from "../../src/domain/Account.ts"
import type { Instrument } from "../../src/domain/Instrument.ts"
import type { PrivateTag } from "../../src/domain/PrivateChannel.ts"
import type { Answer, Refusal } from "../../src/ExchangeProtocol.ts"
import { gateFuturesAccount, gateSpotAccount } from "../../src/exchanges/gate/GateAccount.ts"
import type { Rejection } from "../../src/OrderEntry.ts"
import { contractSize, receivedAt } from "./GateHarness.ts"

export interface Subject {
  readonly account: AccountAdapter
  readonly kind: "spot" | "swap"
  /** Of the shared files' names. */
  readonly files: string
  readonly prefix: "spot" | "futures"
}

export const spot: Subject = { account: gateSpotAccount, kind: "spot", files: "gateio-spot", prefix: "spot" }
export const futures: Subject = {
  account: gateFuturesAccount,
  kind: "swap",
  files: "gateio-futures",
  prefix: "futures"
}

/** Knows every name. */
export const instrumentOf = (kind: Subject["kind"]) => (symbol: string): Instrument => {
  const [base = "", quote = ""] = symbol.split("_")
  return {
    exchange: kind === "spot" ? "gate-spot" : "gate-futures",
    pair: kind === "spot" ? `${base}/${quote}` : `${base}/${quote}:${quote}`,
    symbol,
    kind,
    base,
    quote,
    settle: kind === "spot" ? null : quote,
    status: "trading",
    priceStep: 0.01,
    quantityStep: kind === "spot" ? 0.0000001 : 1,
    minQuantity: null,
    minNotional: null,
    contractSize: kind === "spot" ? 1 : contractSize
  }
}

export type Pushed =
  | { readonly call: "event"; readonly channel: PrivateTag; readonly event: AccountEvent }
  | { readonly call: "acknowledged"; readonly answer: Answer }
  | { readonly call: "rejected"; readonly answer: Answer; readonly refusal: Refusal }
  | { readonly call: "pong" }
  | { readonly call: "closing" | "ignored" | "failed"; readonly detail: string }

const bytes = (frame: string | Uint8Array): Uint8Array => typeof frame === "string" ? Buffer.from(frame) : frame

/** All calls that one frame of the private stream leads to. */
export const pushed = ({ account, kind }: Subject, frame: string | Uint8Array): ReadonlyArray<Pushed> => {
  const calls: Array<Pushed> = []
  const sink: PrivateSink = {
    event: (channel, event) => void calls.push({ call: "event", channel, event }),
    acknowledged: (answer) => void calls.push({ call: "acknowledged", answer }),
    rejected: (answer, refusal) => void calls.push({ call: "rejected", answer, refusal }),
    pong: () => void calls.push({ call: "pong" }),
    closing: (detail) => void calls.push({ call: "closing", detail }),
    ignored: (detail) => void calls.push({ call: "ignored", detail }),
    failed: (detail) => void calls.push({ call: "failed", detail })
  }
  account.stream.makeCodec(instrumentOf(kind)).decode(bytes(frame), receivedAt, sink)
  return calls
}

export type Answered =
  | { readonly call: "received" | "loggedIn"; readonly id: string }
  | { readonly call: "answered"; readonly id: string; readonly reply: Reply }
  | { readonly call: "refused" | "loginRefused"; readonly id: string; readonly rejection: Rejection }
  | { readonly call: "lost"; readonly id: string; readonly detail: string }
  | { readonly call: "pong" }
  | { readonly call: "closing" | "ignored" | "failed"; readonly detail: string }

/** All calls that one frame of the order socket leads to. */
export const answered = ({ account, kind }: Subject, frame: string | Uint8Array): ReadonlyArray<Answered> => {
  const calls: Array<Answered> = []
  const sink: OrderSink = {
    received: (id) => void calls.push({ call: "received", id }),
    answered: (id, reply) => void calls.push({ call: "answered", id, reply }),
    refused: (id, rejection) => void calls.push({ call: "refused", id, rejection }),
    lost: (id, detail) => void calls.push({ call: "lost", id, detail }),
    loggedIn: (id) => void calls.push({ call: "loggedIn", id }),
    loginRefused: (id, rejection) => void calls.push({ call: "loginRefused", id, rejection }),
    pong: () => void calls.push({ call: "pong" }),
    closing: (detail) => void calls.push({ call: "closing", detail }),
    ignored: (detail) => void calls.push({ call: "ignored", detail }),
    failed: (detail) => void calls.push({ call: "failed", detail })
  }
  account.orders.socket!.decode(bytes(frame), instrumentOf(kind), sink)
  return calls
}

export const apiKey = "key-of-the-test"
export const secret = "secret-of-the-test"

export const signer = Auth.makeSigner(
  { account: "main", key: Redacted.make(apiKey), secret: Redacted.make(secret) },
  "hmacSha512"
).pipe(Effect.provide(Auth.layer))

export interface Request {
  readonly method: string
  /** Path and query, as they are in the URL. */
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

export interface Response {
  readonly status?: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** The exchange's time in these tests, ms. */
export const now = 1_746_000_000_500

/** The calls of an account whose exchange answers by a function, and what was asked of it. */
export const callsOf = Effect.fnUntraced(function*(
  { account, kind }: Subject,
  answer: (request: Request, index: number) => Response | Effect.Effect<Response>
) {
  const requests: Array<Request> = []
  const client = HttpClient.make((request, url) =>
    Effect.gen(function*() {
      const { body } = request
      const asked: Request = {
        method: request.method,
        url: url.pathname + url.search,
        headers: request.headers,
        body: body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : ""
      }
      requests.push(asked)
      const found = answer(asked, requests.length - 1)
      const { status = 200, body: text, headers = {} } = Effect.isEffect(found) ? yield* found : found
      const content = typeof text === "string" ? text : JSON.stringify(text)
      return HttpClientResponse.fromWeb(request, new Response(content, { status, headers }))
    })
  )
  const calls = account.makeCalls({
    client,
    url: "https://api.gateio.ws/api/v4",
    signer: yield* signer,
    now: Effect.succeed(now),
    instrumentOf: instrumentOf(kind)
  })
  return { calls, requests }
})
