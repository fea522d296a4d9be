/** Keys of an account, and the only place that puts a secret to use. */
import { Effect, Layer, Redacted } from "effect"
import * as Digest from "effect/crypto/Digest"
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Hex from "effect/encoding/Hex"

export interface Credentials {
  /** Name of the account in this program, for logs and metrics: `main`. Never a key. */
  readonly account: string
  readonly key: Redacted.Redacted
  readonly secret: Redacted.Redacted
}

export type Algorithm = "hmacSha256" | "hmacSha512"

/** Signs for one account. Holds the secret; nothing of it can be read back. */
export interface Signer {
  readonly account: string
  readonly key: Redacted.Redacted
  /** Keyed hash of the text's UTF-8 bytes, lower-case hex. */
  readonly sign: (text: string) => Effect.Effect<string>
  /** The plain hash of the same kind, lower-case hex: some exchanges sign the hash of a body. */
  readonly hash: (text: string) => Effect.Effect<string>
}

/** Shorter hex is an id; a signature has 64 digits or 128. */
const signature = /[0-9a-f]{64,}/gi

/**
 * What an exchange says of a signed request may repeat it: takes the key and whatever looks like a signature out of its
 * words, before they become an error.
 */
export const cleaner = ({ key }: Pick<Signer, "key">): (text: string) => string => {
  const plain = Redacted.value(key)
  return (text) => (plain === "" ? text : text.replaceAll(plain, "<redacted>")).replace(signature, "<redacted>")
}

const algorithms = {
  hmacSha256: { hmac: Mac.hmacSha256, hash: Digest.sha256 },
  hmacSha512: { hmac: Mac.hmacSha512, hash: Digest.sha512 }
} as const

const utf8 = new TextEncoder()

export const makeSigner = Effect.fnUntraced(function*(
  credentials: Credentials,
  algorithm: Algorithm
): Effect.fn.Return<Signer, never, Mac.Mac | Digest.Digest> {
  const mac = yield* Mac.Mac
  const digest = yield* Digest.Digest
  const { hash, hmac } = algorithms[algorithm]
  // A runtime without these hashes is no runtime for this library.
  const key = yield* Effect.orDie(Mac.key(hmac, utf8.encode(Redacted.value(credentials.secret))))
  return {
    account: credentials.account,
    key: credentials.key,
    sign: (text) => Effect.orDie(Effect.map(mac.sign(key, utf8.encode(text)), Hex.encode)),
    hash: (text) => digest.digestHex(hash, utf8.encode(text))
  }
})

/** The runtime's own Web Crypto: Node, browsers, Bun, Deno. */
export const layer: Layer.Layer<Mac.Mac | Digest.Digest> = Layer.merge(Mac.layerWebCrypto, Digest.layerWebCrypto).pipe(
  Layer.provide(SecureRandom.layerWebCrypto)
)
