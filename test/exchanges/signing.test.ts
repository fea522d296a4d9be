/** What is signed, letter by letter, and how: against Node's own hashes. The exchanges' vectors are in `signatures`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { createHash, createHmac } from "node:crypto"
import { inspect } from "node:util"
import * as Auth from "../../src/connection/Auth.ts"
import * as GateSigning from "../../src/exchanges/gate/GateSigning.ts"
import * as MexcSigning from "../../src/exchanges/mexc/MexcSigning.ts"

const secret = "s3cret \u00fc"

const signerOf = (algorithm: Auth.Algorithm) =>
  Auth.makeSigner({ account: "main", key: Redacted.make("the-key"), secret: Redacted.make(secret) }, algorithm)

describe("a signer", () => {
  const algorithms = [["hmacSha256", "sha256"], ["hmacSha512", "sha512"]] as const
  for (const [algorithm, name] of algorithms) {
    it.effect(`${algorithm}: lower-case hex of the text's UTF-8`, () =>
      Effect.gen(function*() {
        const signer = yield* signerOf(algorithm)
        for (const text of ["", "a", "symbol=BTCUSDT&timestamp=1", "币安人生_USDT\nü", "x".repeat(10_000)]) {
          assert.strictEqual(yield* signer.sign(text), createHmac(name, secret).update(text, "utf8").digest("hex"))
          assert.strictEqual(yield* signer.hash(text), createHash(name).update(text, "utf8").digest("hex"))
        }
      }).pipe(Effect.provide(Auth.layer)))
  }

  it.effect("knows its account and its key, and shows neither key nor secret", () =>
    Effect.gen(function*() {
      const signer = yield* signerOf("hmacSha256")
      assert.strictEqual(signer.account, "main")
      assert.strictEqual(Redacted.value(signer.key), "the-key")
      for (const shown of [JSON.stringify(signer), String(signer), inspect(signer, { depth: 9, showHidden: true })]) {
        assert.notInclude(shown, "the-key")
        assert.notInclude(shown, "s3cret")
      }
    }).pipe(Effect.provide(Auth.layer)))
})

describe("what Gate wants signed", () => {
  it("a subscription", () => {
    assert.strictEqual(
      GateSigning.subscription("spot.orders", "subscribe", 1_611_541_000),
      "channel=spot.orders&event=subscribe&time=1611541000"
    )
    assert.strictEqual(
      GateSigning.subscription("futures.orders", "unsubscribe", 7),
      "channel=futures.orders&event=unsubscribe&time=7"
    )
  })

  it("the login of its WebSocket API, with and without parameters", () => {
    assert.strictEqual(GateSigning.api("spot.login", "", 1_681_984_544), "api\nspot.login\n\n1681984544")
    assert.strictEqual(
      GateSigning.api("spot.order_place", `{"text":"t-1"}`, 8),
      `api\nspot.order_place\n{"text":"t-1"}\n8`
    )
  })

  it("a REST call", () => {
    const bodyHash = createHash("sha512").update("").digest("hex")
    assert.strictEqual(
      GateSigning.rest({ method: "GET", path: "/api/v4/futures/orders", query: "a=b&c=d", bodyHash, time: 9 }),
      `GET\n/api/v4/futures/orders\na=b&c=d\n${bodyHash}\n9`
    )
  })
})

describe("what MEXC wants signed", () => {
  it("the query as it is sent, escaped in upper case, in the order given", () => {
    assert.strictEqual(
      MexcSigning.query({ symbol: "BTCUSDT", side: "BUY", note: "a b/ü,", recvWindow: "5000" }),
      "symbol=BTCUSDT&side=BUY&note=a%20b%2F%C3%BC%2C&recvWindow=5000"
    )
    assert.strictEqual(MexcSigning.query({}), "")
  })

  it("the body right behind the query", () => {
    assert.strictEqual(MexcSigning.total("a=1", "b=2"), "a=1b=2")
    assert.strictEqual(MexcSigning.total("a=1"), "a=1")
  })
})
