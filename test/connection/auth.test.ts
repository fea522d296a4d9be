import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import * as Auth from "../../src/connection/Auth.ts"

describe("what an exchange says of a signed request", () => {
  const clean = Auth.cleaner({ key: Redacted.make("my-key") })

  it("loses the key and what looks like a signature, and keeps ids", () => {
    const signature = "0aF".repeat(22)
    assert.strictEqual(
      clean(`{"KEY":"my-key","SIGN":"${signature}","id":"5a2d5c48e4b0de7b"}`),
      "{\"KEY\":\"<redacted>\",\"SIGN\":\"<redacted>\",\"id\":\"5a2d5c48e4b0de7b\"}"
    )
  })

  it("stays as it is where there is no key", () => {
    assert.strictEqual(Auth.cleaner({ key: Redacted.make("") })("abc"), "abc")
  })
})
