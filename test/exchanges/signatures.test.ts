import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { existsSync, readFileSync } from "node:fs"
import * as Auth from "../../src/connection/Auth.ts"
import * as GateSigning from "../../src/exchanges/gate/GateSigning.ts"
import * as MexcSigning from "../../src/exchanges/mexc/MexcSigning.ts"

interface Vector {
  readonly id: string
  readonly raw: string
  readonly expect: {
    readonly algorithm: string
    readonly inputs: Readonly<Record<string, string>>
    readonly stringToSign: string
    readonly signature: string
  }
}

const folder = new URL("../../../shared/fixtures/", import.meta.url)

const vectors = (file: string): ReadonlyArray<Vector> => {
  const url = new URL(file, folder)
  return existsSync(url)
    ? readFileSync(url, "utf8").trim().split("\n").map((line) => JSON.parse(line) as Vector)
    : []
}

const signerOf = (secret: string, algorithm: Auth.Algorithm) =>
  Auth.makeSigner({ account: "test", key: Redacted.make("key"), secret: Redacted.make(secret) }, algorithm)

const check = (vector: Vector, algorithm: Auth.Algorithm, text: (signer: Auth.Signer) => Effect.Effect<string>) =>
  it.effect(vector.id, () =>
    Effect.gen(function*() {
      const signer = yield* signerOf(vector.expect.inputs["secret"]!, algorithm)
      const stringToSign = yield* text(signer)
      assert.strictEqual(stringToSign, vector.expect.stringToSign)
      assert.strictEqual(yield* signer.sign(stringToSign), vector.expect.signature)
    }).pipe(Effect.provide(Auth.layer)))

describe.skipIf(!existsSync(folder))("signature vectors", () => {
  for (const file of ["gateio-rest-v4", "gateio-ws-api", "gateio-ws-subscribe", "mexc-rest"]) {
    it(`${file} has some`, () => assert.isAbove(vectors(`signatures.${file}.jsonl`).length, 0))
  }
  for (const vector of vectors("signatures.gateio-ws-subscribe.jsonl")) {
    const { channel, event, time } = vector.expect.inputs
    check(
      vector,
      "hmacSha512",
      () => Effect.succeed(GateSigning.subscription(channel!, event as "subscribe", Number(time)))
    )
  }
  for (const vector of vectors("signatures.gateio-ws-api.jsonl")) {
    const { channel, req_param: parameters, timestamp } = vector.expect.inputs
    check(vector, "hmacSha512", () => Effect.succeed(GateSigning.api(channel!, parameters!, Number(timestamp))))
  }
  for (const vector of vectors("signatures.gateio-rest-v4.jsonl")) {
    const { body = "", method, path, query = "", timestamp } = vector.expect.inputs
    check(
      vector,
      "hmacSha512",
      (signer) =>
        Effect.map(
          signer.hash(body),
          (bodyHash) =>
            GateSigning.rest({ method: method as "GET", path: path!, query, bodyHash, time: Number(timestamp) })
        )
    )
  }
  for (const vector of vectors("signatures.mexc-rest.jsonl")) {
    const { body = "", queryString = "" } = vector.expect.inputs
    check(vector, "hmacSha256", () => Effect.succeed(MexcSigning.total(queryString, body)))
  }
})
