/** What the adapters' own tests leave out: the defaults, and lists that are odd throughout. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { TestClock } from "effect/testing"
import type { ExchangeError } from "../src/ExchangeError.ts"
import * as RestClient from "../src/RestClient.ts"

const clientFor = (
  answer: { readonly status?: number; readonly body: string; readonly headers?: Record<string, string> },
  options: Partial<RestClient.RestClientOptions> = {}
) => {
  const { body, headers = {}, status = 200 } = answer
  const client = HttpClient.make((request) =>
    Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status, headers })))
  )
  return RestClient.make({
    exchange: "x",
    client,
    url: "http://x.test",
    refusalOf: (json) => json === "no" ? { code: "no", detail: "" } : null,
    classify: (code, text, status) =>
      code === "no" ? "item" : text.includes("busy") || status > 499 ? "retryable" : "bug",
    ...options
  })
}

const reasonOf = <A>(call: Effect.Effect<A, ExchangeError>) => Effect.map(Effect.flip(call), ({ reason }) => reason)

describe("RestClient", () => {
  it.effect("reads what it is promised", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* clientFor({ body: "{\"a\":1}" }).get(Schema.Struct({ a: Schema.Int }), "/a").pipe(
          Effect.map(({ a }) => a)
        ),
        1
      )
    }))

  it.effect("tells a refusal, an answer without the exchange's words, and one that is neither apart", () =>
    Effect.gen(function*() {
      const call = (status: number, body: string) =>
        reasonOf(clientFor({ status, body }).get(Schema.Int, "/a", {}, { symbol: "S", channel: "Book" }))
      const where = { symbol: "S", channel: "Book", request: "GET /a" }
      assert.deepInclude(yield* call(400, "\"no\""), { ...where, code: "no", class: "item", detail: "\"no\"" })
      assert.deepInclude(yield* call(200, "\"no\""), { ...where, status: 200, code: "no", class: "item" })
      assert.deepInclude(yield* call(400, "too busy"), {
        ...where,
        code: "400",
        class: "retryable",
        detail: "too busy"
      })
      assert.deepInclude(yield* call(502, ""), { ...where, code: "502", class: "retryable", detail: "an empty body" })
      const odd = yield* call(200, "\"yes\"")
      assert.deepInclude(odd, { _tag: "DecodeFailed", symbol: "S", channel: "Book" })
      assert.deepInclude(yield* call(200, "<html>"), { _tag: "DecodeFailed", detail: "GET /a: no JSON: <html>" })
    }))

  it.effect("of an exchange that says nothing of its refusals goes by the status", () =>
    Effect.gen(function*() {
      const client = (status: number) =>
        RestClient.make({
          exchange: "x",
          client: HttpClient.make((request) =>
            Effect.succeed(HttpClientResponse.fromWeb(request, new Response("\"no\"", { status })))
          ),
          url: "http://x.test"
        })
      const rows = [[400, "bug"], [429, "rateLimit"], [499, "bug"], [500, "retryable"], [302, "retryable"]] as const
      for (const [status, kind] of rows) {
        const reason = yield* reasonOf(client(status).get(Schema.Int, "/a"))
        assert.deepInclude(reason, { _tag: "RequestFailed", status, code: String(status), class: kind })
      }
    }))
  it.effect("waits as Retry-After says, else as the exchange is known to want it, else nothing", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 5, 17, 10, 0, 0))
      const wait = (headers: Record<string, string>, options: Partial<RestClient.RestClientOptions> = {}) =>
        Effect.map(
          reasonOf(clientFor({ status: 429, body: "", headers }, options).get(Schema.Int, "/a")),
          (reason) => (reason as { readonly retryAfterMs?: number }).retryAfterMs
        )
      const pauseOf: RestClient.PauseOf = ({ headers }, answerClass, now) =>
        answerClass === "bug"
          ? Number(headers["x-reset"] ?? 7) * 1000 - (headers["x-reset"] === undefined ? 0 : now)
          : null
      assert.strictEqual(yield* wait({ "retry-after": "3" }, { pauseOf }), 3000)
      assert.strictEqual(yield* wait({ "Retry-After": "Wed, 17 Jun 2026 10:00:30 GMT" }), 30_000)
      assert.strictEqual(yield* wait({}, { pauseOf }), 7000)
      assert.strictEqual(yield* wait({ "x-reset": String(Date.UTC(2026, 5, 17, 10, 0, 5) / 1000) }, { pauseOf }), 5000)
      assert.isUndefined(yield* wait({ "retry-after": "soon" }))
      // Our clock is an hour late: what the exchange says is measured by its own.
      const date = "Wed, 17 Jun 2026 11:00:00 GMT"
      assert.strictEqual(yield* wait({ date, "Retry-After": "Wed, 17 Jun 2026 11:00:30 GMT" }), 30_000)
      assert.strictEqual(
        yield* wait({ date, "x-reset": String(Date.UTC(2026, 5, 17, 11, 0, 5) / 1000) }, { pauseOf }),
        5000
      )
      // Whole seconds are coarser than a clock that is right.
      assert.strictEqual(
        yield* wait({ date: "Wed, 17 Jun 2026 09:59:59 GMT", "Retry-After": "Wed, 17 Jun 2026 10:00:30 GMT" }),
        30_000
      )
    }))

  it.effect("waits no longer than any exchange asks for, and believes no Date that cannot be", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 5, 17, 10, 0, 0))
      const hour = 3_600_000
      const day = 24 * hour
      const answers: Array<Record<string, string>> = []
      const client = RestClient.make({
        exchange: "x",
        url: "http://x.test",
        client: HttpClient.make((request) =>
          Effect.sync(() => {
            const headers = answers.shift()!
            return HttpClientResponse.fromWeb(request, new Response("", { status: 429, headers }))
          })
        )
      })
      const wait = (headers: Record<string, string>) => {
        answers.push(headers)
        return Effect.map(
          reasonOf(client.get(Schema.Int, "/a")),
          (reason) => (reason as { readonly retryAfterMs?: number }).retryAfterMs
        )
      }
      // A ban of MEXC may be three days long.
      assert.strictEqual(yield* wait({ "Retry-After": "259200" }), 3 * day)
      assert.strictEqual(yield* wait({ "Retry-After": "999999999" }), 3 * day)
      const soon = "Wed, 17 Jun 2026 10:00:30 GMT"
      assert.strictEqual(yield* wait({ "Retry-After": "Thu, 18 Jun 2026 10:00:00 GMT" }), hour)
      assert.strictEqual(yield* wait({ date: "Thu, 01 Jan 1970 00:00:00 GMT", "Retry-After": soon }), 30_000)
      assert.strictEqual(yield* wait({ date: "Thu, 17 Jun 2066 10:00:00 GMT", "Retry-After": soon }), 30_000)
      // A day off may be a clock that was set to another zone's time.
      const early = "Tue, 16 Jun 2026 22:00:00 GMT"
      assert.strictEqual(yield* wait({ date: early, "Retry-After": "Tue, 16 Jun 2026 22:00:30 GMT" }), 30_000)
      // A clock that is years off: said once it may be a mistake, said again it is so.
      const date = "Thu, 17 Jun 2027 10:00:00 GMT"
      assert.strictEqual(yield* wait({ date, "Retry-After": "Thu, 17 Jun 2027 10:00:30 GMT" }), hour)
      yield* TestClock.adjust("10 seconds")
      const later = "Thu, 17 Jun 2027 10:00:10 GMT"
      assert.strictEqual(yield* wait({ date: later, "Retry-After": "Thu, 17 Jun 2027 10:00:30 GMT" }), 20_000)
      assert.strictEqual(yield* wait({ date: "Thu, 17 Jun 2066 10:00:00 GMT", "Retry-After": later }), hour)
    }))

  it.effect("reads what can be read of a list, and fails where nothing can", () =>
    Effect.gen(function*() {
      const { readEach } = clientFor({ body: "" })
      const read = (item: unknown) =>
        typeof item === "number" ? Result.succeed(item) : Result.fail(`odd ${String(item)}`)
      assert.deepStrictEqual(yield* readEach("/a", [1, "x", 2], read), [1, 2])
      assert.deepStrictEqual(yield* readEach("/a", [], read), [])
      assert.deepInclude(yield* reasonOf(readEach("/a", ["x", "y"], read)), {
        _tag: "DecodeFailed",
        detail: "GET /a: no item can be read: odd x"
      })
    }))
})
