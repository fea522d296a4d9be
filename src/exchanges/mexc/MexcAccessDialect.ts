/**
 * Who may ask what of MEXC's signed REST calls, the server's half. Source: "General Info": "Signed" and "Timing security";
 * in which order the server checks is unconfirmed.
 */
import { createHmac, timingSafeEqual } from "node:crypto"
import type { WorldAccount, WorldKey } from "../../AccountWorld.ts"
import type { DialectRequest, DialectResponse, World } from "../../ExchangeDialect.ts"
import { failure } from "./MexcAnswersDialect.ts"

export interface Caller {
  readonly account: WorldAccount
  /** Of query and form body together. */
  readonly parameters: ReadonlyMap<string, string>
}

/** `SIGNED`: with time and signature. `KEY`: the key is enough, but a signature that is there has to be right (unconfirmed). */
export interface Access {
  readonly security: "SIGNED" | "KEY"
  readonly permission: "read" | "trade"
}

export const isCaller = (result: Caller | DialectResponse): result is Caller => "account" in result

const defaultWindow = 5_000
const longestWindow = 60_000
/** How far ahead of the server a request may be, ms. */
const ahead = 1_000

const refuse = (code: number, msg: string): DialectResponse => failure(400, code, msg)

const keyOf = ({ address, headers }: DialectRequest, world: World) => {
  const apiKey = headers["x-mexc-apikey"] ?? ""
  if (apiKey === "") return refuse(400, "api key required")
  const found = world.accounts.find(apiKey)
  if (found === null) return refuse(10072, "Api key info invalid")
  const { addresses } = found.key
  return addresses === null || addresses.includes(address)
    ? found
    : refuse(700006, `IP [${address}] not in the ip white list`)
}

/** Text is signed as it came, without the signature itself. */
const unsigned = (text: string): string => text.replace(/(?:^|&)signature=[^&]*/u, "")

/** The query and, right behind it, the body. */
const totalOf = ({ body, search }: DialectRequest): string => unsigned(search) + unsigned(body)

const isEqual = (one: string, other: string): boolean =>
  one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other))

const checkTime = (parameters: ReadonlyMap<string, string>, now: number): DialectResponse | null => {
  const timestamp = parameters.get("timestamp") ?? ""
  const window = parameters.get("recvWindow") ?? String(defaultWindow)
  if (!/^\d{1,16}$/u.test(timestamp)) {
    return refuse(700004, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.")
  }
  if (!/^\d{1,9}$/u.test(window)) return refuse(700004, "Mandatory parameter 'recvWindow' was malformed.")
  if (Number(window) > longestWindow) return refuse(700005, "recvWindow must less than 60000")
  const age = now - Number(timestamp)
  return age > -ahead && age <= Number(window)
    ? null
    : refuse(700003, "Timestamp for this request is outside of the recvWindow.")
}

const checkSignature = (request: DialectRequest, key: WorldKey, signature: string): DialectResponse | null => {
  const expected = createHmac("sha256", key.secret).update(totalOf(request)).digest("hex")
  return isEqual(expected, signature) ? null : refuse(700002, "Signature for this request is not valid.")
}

const checkSigned = (
  request: DialectRequest,
  { security }: Access,
  key: WorldKey,
  parameters: ReadonlyMap<string, string>,
  now: number
): DialectResponse | null => {
  const signature = parameters.get("signature")
  if (signature === undefined) {
    return security === "KEY"
      ? null
      : refuse(700004, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.")
  }
  return checkTime(parameters, now) ?? checkSignature(request, key, signature)
}

const parametersOf = ({ body, query }: DialectRequest): ReadonlyMap<string, string> =>
  body === "" ? query : new Map([...query, ...new URLSearchParams(body)])

const hasOddType = ({ headers }: DialectRequest): boolean => {
  const type = headers["content-type"]
  return type !== undefined && !/^application\/(?:json|x-www-form-urlencoded)\b/u.test(type)
}

/** The caller, or why not. */
export const callerOf = (request: DialectRequest, world: World, access: Access): Caller | DialectResponse => {
  if (hasOddType(request)) return refuse(700013, "Invalid content Type.")
  const found = keyOf(request, world)
  if (!("key" in found)) return found
  const parameters = parametersOf(request)
  const { account, key } = found
  const refused = checkSigned(request, access, key, parameters, world.now())
  if (refused !== null) return refused
  return key.permissions.has(access.permission)
    ? { account, parameters }
    : refuse(700007, "No permission to access the endpoint.")
}
