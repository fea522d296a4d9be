/** What the soak asks its simulator: one connection that is cut must not end a run of an hour. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Scope } from "effect"
import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import * as Truth from "../../scripts/soak/Truth.ts"

/** Where it listens. */
const served = (
  answer: (request: IncomingMessage, response: ServerResponse) => void
): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const server = createServer(answer)
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
    ),
    (server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  )

const book = { version: 7, bids: [{ price: "1", quantity: "2" }], asks: [] }

describe("the truth", () => {
  it.live("is asked again when a connection is cut, before its answer or in the midst of it", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const admin = yield* served((request, response) => {
        asked.push(`${request.method} ${new URL(request.url!, "http://x").pathname}`)
        if (asked.length === 1) return void response.destroy()
        if (asked.length === 2) return void response.write("{\"version\"", () => response.destroy())
        response.end(JSON.stringify(request.method === "GET" ? book : {}))
      })
      const truth = Truth.make(admin)
      assert.deepStrictEqual(yield* truth.book("gate-spot", "BTC/USDT", 7, 5), book)
      assert.deepStrictEqual(asked, ["GET /truth", "GET /truth", "GET /truth"])
      yield* truth.inject("drop@1s")
      assert.deepStrictEqual(asked.slice(3), ["POST /fault"])
    }))

  it.live("an answer is one, whatever it says", () =>
    Effect.gen(function*() {
      let count = 0
      const admin = yield* served((request, response) => {
        count++
        response.writeHead(request.method === "GET" ? 404 : 400).end(JSON.stringify({ error: "no" }))
      })
      const truth = Truth.make(admin)
      assert.isNull(yield* truth.book("gate-spot", "BTC/USDT", 7, 5))
      const { message } = yield* Effect.flip(truth.inject("nonsense"))
      assert.strictEqual(message, "fault: {\"error\":\"no\"}")
      assert.strictEqual(count, 2)
    }))

  it.effect("fails in the end, and says where and why", () =>
    Effect.gen(function*() {
      let tries = 0
      const cut = () => {
        tries++
        return Promise.reject(new TypeError("fetch failed", { cause: new Error("read ECONNRESET") }))
      }
      const error = yield* Effect.flip(
        Truth.ask("http://nowhere/truth", undefined, cut, { times: 2, base: "0 millis" })
      )
      assert.strictEqual(error._tag, "Unanswered")
      assert.strictEqual(tries, 3)
      assert.include(error.message, "http://nowhere/truth: TypeError: fetch failed (Error: read ECONNRESET)")
    }))
})
