/** Keeps secrets out of what is written down: known ones wherever they stand, and whatever has a name that secrets have. */
import { Redacted } from "effect"
import type { OutFrame } from "./Connection.ts"

export interface RedactionOptions {
  /** Texts that must not be written, wherever they stand in a frame, an address or an answer. */
  readonly secrets?: ReadonlyArray<Redacted.Redacted<string>> | undefined
  /** More names whose values are not written, beside `secretNames`; case does not matter. */
  readonly names?: ReadonlyArray<string> | undefined
  /** The last word on a frame that goes out. */
  readonly frame?: ((frame: OutFrame) => OutFrame) | undefined
}

/** Query parameters, and fields of JSON in frames that go out, whose values are never written. */
export const secretNames: ReadonlyArray<string> = [
  "listenKey",
  "apiKey",
  "api_key",
  "access_key",
  "key",
  "secret",
  "secretKey",
  "sign",
  "signature",
  "passphrase",
  "password",
  "token",
  "authorization"
]

/** Fields of an answer: shorter names are market data somewhere. */
const secretFields = ["listenKey", "apiKey", "api_key", "secret", "secretKey", "passphrase", "password", "token"]

export const redacted = "<redacted>"

export interface Redaction {
  /** A URL or a part of one. */
  readonly url: (text: string) => string
  readonly frame: (frame: OutFrame) => OutFrame
  /** The body of an answer. */
  readonly body: (text: string) => string
  /** A frame that came in. Null when no text is known to be secret: then there is nothing to look for. */
  readonly received: ((frame: Uint8Array) => Uint8Array) | null
}

const utf8 = new TextEncoder()
const openingBrace = 0x7b
const openingBracket = 0x5b

const escape = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")

const fieldOf = (names: ReadonlyArray<string>): RegExp =>
  new RegExp(`("(?:${names.map(escape).join("|")})"\\s*:\\s*)(?:"(?:[^"\\\\]|\\\\.)*"|-?\\d[\\d.eE+-]*)`, "gi")

const queryOf = (names: ReadonlyArray<string>): RegExp =>
  new RegExp(`([?&](?:${names.map(escape).join("|")})=)[^&#\\s"]*`, "gi")

export const make = (options: RedactionOptions = {}): Redaction => {
  const names = [...secretNames, ...options.names ?? []]
  const secrets = (options.secrets ?? []).map(Redacted.value).filter((secret) => secret !== "")
  const field = fieldOf(names)
  const query = queryOf(names)
  const answer = fieldOf([...secretFields, ...options.names ?? []])
  const known = (text: string): string => {
    let clean = text
    for (const secret of secrets) clean = clean.replaceAll(secret, redacted)
    return clean
  }
  const text = (frame: string): string => known(frame).replace(field, `$1"${redacted}"`).replace(query, `$1${redacted}`)
  const latin1 = (bytes: Uint8Array): string => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")
  /** A binary frame with a known secret in it is not written at all. */
  const binary = (bytes: Uint8Array): Uint8Array =>
    secrets.some((secret) => latin1(bytes).includes(secret)) ? new Uint8Array() : bytes
  /** Exchanges repeat the key in what they answer to a login. */
  const received = (bytes: Uint8Array): Uint8Array => {
    const clean = binary(bytes)
    const isText = bytes[0] === openingBrace || bytes[0] === openingBracket
    return clean === bytes || !isText ? clean : utf8.encode(text(new TextDecoder().decode(bytes)))
  }
  const last = options.frame ?? ((frame: OutFrame) => frame)
  return {
    url: (url) => known(url).replace(/\/\/[^/@]*@/, `//${redacted}@`).replace(query, `$1${redacted}`),
    frame: (frame) => last(typeof frame === "string" ? text(frame) : binary(frame)),
    body: (body) => known(body).replace(answer, `$1"${redacted}"`),
    received: secrets.length === 0 ? null : received
  }
}
