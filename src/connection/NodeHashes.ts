/**
 * Keyed and plain hashes by Node's own crypto: at once, where the Web Crypto of `Auth.layer` takes a turn of the event loop
 * and more for each. A virtual clock does not wait for such turns, and an order should not.
 */
import { Effect, Layer } from "effect"
import * as Digest from "effect/crypto/Digest"
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { createHash, createHmac } from "node:crypto"

const names: Readonly<Record<Digest.Algorithm["name"], string>> = {
  MD5: "md5",
  "SHA-1": "sha1",
  "SHA-256": "sha256",
  "SHA-384": "sha384",
  "SHA-512": "sha512"
}

const digest: Layer.Layer<Digest.Digest> = Layer.succeed(Digest.Digest, {
  digest: (algorithm, data) => Effect.sync(() => createHash(names[algorithm.name]).update(data).digest()),
  digestHex: (algorithm, data) => Effect.sync(() => createHash(names[algorithm.name]).update(data).digest("hex"))
})

const mac: Layer.Layer<Mac.Mac> = Mac.layerWebCryptoWith({
  hmac: (hash, key, data) => createHmac(names[hash], key).update(data).digest()
}).pipe(Layer.provide(SecureRandom.layerWebCrypto))

export const layer: Layer.Layer<Mac.Mac | Digest.Digest> = Layer.merge(mac, digest)
