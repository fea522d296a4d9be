/**
 * The fault language: what can go wrong on purpose, as checked data and as text for the command line.
 *
 *     fault  = kind [ ":" value ] { "," option "=" text } [ "@" start [ ":" duration ] ]
 *
 * `drop@5s`, `refuse:reset@5s:10s`, `silence:BTC/USDT@1m`, `gap:5%,on=gate-spot`, `corrupt:3,mode=flip`. `docs/simulator.md` lists
 * kinds, values and options.
 */
import { Effect, Result, Schema, SchemaIssue, SchemaTransformation } from "effect"
import { TradingPair } from "../domain/Instrument.ts"

const Millis = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const PositiveMillis = Schema.Finite.check(Schema.isGreaterThan(0))

const always = {
  /** Exchange id; every exchange when left out. */
  exchange: Schema.optional(Schema.NonEmptyString),
  /** From when the simulator was started, or from when the fault was injected. Default 0. */
  startMillis: Schema.optional(Millis)
}

/** For ever when left out. */
const durationMillis = Schema.optional(PositiveMillis)

const which = {
  pair: Schema.optional(TradingPair),
  /** Wire topic, `*` stands for any text. */
  topic: Schema.optional(Schema.NonEmptyString)
}

const amount = {
  /** Probability for each frame, above 0. Default 1. */
  share: Schema.optional(Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1))),
  /** At most so many times. */
  count: Schema.optional(Schema.Int.check(Schema.isGreaterThan(0)))
}

/** What RFC 6455 lets an endpoint send, and 1006 for an end without a close frame. */
const CloseCode = Schema.Int.check(
  Schema.makeFilter((code: number) =>
    code === 1006 || (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005) ||
    (code >= 3000 && code <= 4999) ||
    "a close code: 1006 (no close frame), 1000 to 1014 but 1004 and 1005, or 3000 to 4999"
  )
)

/** Some of the connections that are open at the start; all of them when left out. */
const connections = {
  /** The oldest one is number 1. */
  connection: Schema.optional(Schema.Int.check(Schema.isGreaterThan(0))),
  /** Those that are subscribed to such a topic. */
  ...which
}

/** The socket that is so old among those that are open when a frame leaves, the oldest being number 1; all when left out. */
const connection = { connection: connections.connection }

/** Closes the sockets that are open at the moment. */
export const Drop = Schema.TaggedStruct("Drop", { ...always, ...connections, code: Schema.optional(CloseCode) })
/** Refuses new sockets: an HTTP status, or 0 for a reset connection. */
export const Refuse = Schema.TaggedStruct("Refuse", {
  ...always,
  durationMillis,
  status: Schema.optional(
    Schema.Int.check(
      Schema.makeFilter((status: number) =>
        status === 0 || (status >= 400 && status <= 599) || "0 or an HTTP status from 400 to 599"
      )
    )
  )
})
/** Sockets open at the start, or opened within the duration, stay open for ever; the server neither reads nor writes. */
export const HalfOpen = Schema.TaggedStruct("HalfOpen", { ...always, ...connections, durationMillis })
/** Sockets are closed at this age, those that are open already too. */
export const ConnectionAge = Schema.TaggedStruct("ConnectionAge", {
  ...always,
  durationMillis,
  millis: PositiveMillis,
  code: Schema.optional(CloseCode)
})
/** Data of the topics does not leave the server. */
export const Silence = Schema.TaggedStruct("Silence", { ...always, ...connection, ...which, ...amount, durationMillis })
/** Book deltas are lost. */
export const Gap = Schema.TaggedStruct("Gap", { ...always, ...connection, ...which, ...amount, durationMillis })
/** Data frames are sent twice. */
export const Duplicate = Schema.TaggedStruct("Duplicate", {
  ...always,
  ...connection,
  ...which,
  ...amount,
  durationMillis
})
/** A data frame changes places with the next one of its topic. */
export const Reorder = Schema.TaggedStruct("Reorder", { ...always, ...connection, ...which, ...amount, durationMillis })
/** Data frames are cut short, or one of their bits is flipped. */
export const Corrupt = Schema.TaggedStruct("Corrupt", {
  ...always,
  ...connection,
  ...which,
  ...amount,
  durationMillis,
  mode: Schema.optional(Schema.Literals(["truncate", "flip"]))
})
/** Every frame of the sockets leaves so much later, in order. */
export const Delay = Schema.TaggedStruct("Delay", { ...always, ...connection, durationMillis, millis: PositiveMillis })
/** What a text frame has in it, `*` standing for any text. Binary frames have none of it. */
const frameText = { frame: Schema.optional(Schema.NonEmptyString) }

/** Answers to requests over sockets, granted or refused, leave so much later; data does not wait for them. */
export const LateAck = Schema.TaggedStruct("LateAck", {
  ...always,
  ...frameText,
  ...amount,
  durationMillis,
  millis: PositiveMillis
})
/** Answers to requests over sockets are lost; what they tell of has happened. */
export const LoseAck = Schema.TaggedStruct("LoseAck", { ...always, ...frameText, ...amount, durationMillis })
/** Subscriptions are refused. */
export const Reject = Schema.TaggedStruct("Reject", {
  ...always,
  ...which,
  count: amount.count,
  durationMillis,
  /** One that begins with `server` is the exchange's own failure, where it tells them apart. */
  reason: Schema.optional(Schema.NonEmptyString)
})
/** REST books are so old. */
export const StaleSnapshot = Schema.TaggedStruct("StaleSnapshot", {
  ...always,
  pair: which.pair,
  durationMillis,
  millis: PositiveMillis
})
/** REST answers that hold a book arrive so much later, as they were when asked for. */
export const SlowSnapshot = Schema.TaggedStruct("SlowSnapshot", {
  ...always,
  pair: which.pair,
  durationMillis,
  millis: PositiveMillis
})

/** Which REST requests. */
const requests = {
  /** Those that name the pair. */
  pair: which.pair,
  /** Path below the REST base, `*` stands for any text. */
  path: Schema.optional(Schema.NonEmptyString),
  method: Schema.optional(Schema.Literals(["GET", "POST", "PUT", "PATCH", "DELETE"]))
}

/**
 * Which requests, over REST or a socket: with `path` or `method` those over REST, with `frame` (the text of the client's
 * frame) those over sockets.
 */
const anyRequests = { ...requests, ...frameText }

const FailureStatus = Schema.optional(
  Schema.Int.check(
    Schema.makeFilter((status: number) =>
      status === 0 || (status >= 400 && status <= 599) || "0 or an HTTP status from 400 to 599"
    )
  )
)

/** REST requests fail: 429 with `Retry-After`, 403 with an HTML page, others with a line of text, 0 by a reset connection. */
export const HttpError = Schema.TaggedStruct("HttpError", {
  ...always,
  ...requests,
  ...amount,
  durationMillis,
  status: FailureStatus,
  /** Default 1000, for 429 only; null: the header is left out. */
  retryAfterMillis: Schema.optional(Schema.NullOr(PositiveMillis))
})
/** REST answers arrive so much later, as they were when asked for. */
export const SlowHttp = Schema.TaggedStruct("SlowHttp", {
  ...always,
  ...requests,
  ...amount,
  durationMillis,
  millis: PositiveMillis
})
/** Readings over REST do not show orders and fills that are younger than so much. */
export const LagRead = Schema.TaggedStruct("LagRead", {
  ...always,
  pair: requests.pair,
  path: requests.path,
  durationMillis,
  millis: PositiveMillis
})
/** REST answers are cut short. */
export const GarbleHttp = Schema.TaggedStruct("GarbleHttp", { ...always, ...requests, ...amount, durationMillis })
/** Requests are lost before anything is done about them; no answer ever comes. */
export const LoseRequest = Schema.TaggedStruct("LoseRequest", {
  ...always,
  ...anyRequests,
  ...amount,
  durationMillis
})
/**
 * Requests reach the exchange so much later, and are answered then. Over a socket those behind it overtake it, and it is
 * lost with the connection; over REST it arrives whether or not anyone still waits for the answer.
 */
export const LateRequest = Schema.TaggedStruct("LateRequest", {
  ...always,
  ...anyRequests,
  ...amount,
  durationMillis,
  millis: PositiveMillis
})
/** Requests are done; no answer ever comes. */
export const LoseAnswer = Schema.TaggedStruct("LoseAnswer", { ...always, ...anyRequests, ...amount, durationMillis })
/** Requests are done; the answers come so much later, what they cause does not wait for them. */
export const LateAnswer = Schema.TaggedStruct("LateAnswer", {
  ...always,
  ...anyRequests,
  ...amount,
  durationMillis,
  millis: PositiveMillis
})
/** Requests are done; REST gives a failure instead of the answer (default 502, 0 by a reset connection), a socket drops. */
export const FailAnswer = Schema.TaggedStruct("FailAnswer", {
  ...always,
  ...anyRequests,
  ...amount,
  durationMillis,
  status: FailureStatus
})
/** A socket is closed right behind a frame that it was sent. */
export const Cut = Schema.TaggedStruct("Cut", {
  ...always,
  topic: which.topic,
  ...frameText,
  ...amount,
  durationMillis,
  code: Schema.optional(CloseCode)
})
/** What accounts are told is lost. */
export const LosePush = Schema.TaggedStruct("LosePush", {
  ...always,
  ...connection,
  topic: which.topic,
  ...amount,
  durationMillis
})
/** What accounts are told comes so much later; what is not struck overtakes it. */
export const LatePush = Schema.TaggedStruct("LatePush", {
  ...always,
  ...connection,
  topic: which.topic,
  ...amount,
  durationMillis,
  millis: PositiveMillis
})
/** What sockets were let in by, such as listen keys, is no longer valid, where the exchange has such a thing. */
export const ExpireKeys = Schema.TaggedStruct("ExpireKeys", { ...always, ...connections })
/** API keys lack a permission, or are gone. */
export const Revoke = Schema.TaggedStruct("Revoke", {
  ...always,
  durationMillis,
  /** Default `key`: they are gone. */
  what: Schema.optional(Schema.Literals(["read", "trade", "key"])),
  /** Of this user; of all when left out. */
  user: Schema.optional(Schema.NonEmptyString)
})
/** The exchange's clock is so much ahead, or behind: what it stamps frames and answers with, not the times of its markets. */
export const Skew = Schema.TaggedStruct("Skew", { ...always, durationMillis, millis: Schema.Finite })
/** The exchange announces that it will close the connection, where it has such a notice, and does so after `millis`. */
export const UpgradeNotice = Schema.TaggedStruct("UpgradeNotice", {
  ...always,
  ...connections,
  /** Never when left out. */
  millis: Schema.optional(PositiveMillis)
})

export const Fault = Schema.Union([
  Drop,
  Refuse,
  HalfOpen,
  ConnectionAge,
  Silence,
  Gap,
  Duplicate,
  Reorder,
  Corrupt,
  Delay,
  LateAck,
  LoseAck,
  Reject,
  StaleSnapshot,
  SlowSnapshot,
  HttpError,
  SlowHttp,
  LagRead,
  GarbleHttp,
  Skew,
  UpgradeNotice,
  LoseRequest,
  LateRequest,
  LoseAnswer,
  LateAnswer,
  FailAnswer,
  Cut,
  LosePush,
  LatePush,
  ExpireKeys,
  Revoke
])
export type Fault = typeof Fault.Type
export type FaultTag = Fault["_tag"]

/** The text or the data is no fault. `detail` says what is wrong and what would be right. */
export class InvalidFault extends Schema.TaggedError<InvalidFault>()("InvalidFault", {
  fault: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `"${this.fault}" is not a fault: ${this.detail}`
  }
}

// ---- text -----------------------------------------------------------------------------------------------------------

/** Fields of a fault before they are checked. */
type Fields = Record<string, unknown>
type Read = Result.Result<Fields, string>

const milliseconds: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

const durationPattern = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/

const readDuration = (field: string) => (text: string): Read => {
  const [, number, unit] = durationPattern.exec(text) ?? []
  return number === undefined || unit === undefined
    ? Result.fail(`"${text}" is no duration such as 200ms, 5s, 1.5m or 2h`)
    : Result.succeed({ [field]: Number(number) * milliseconds[unit]! })
}

/** A duration that may be negative. */
const readOffset = (text: string): Read => {
  const isBehind = text.startsWith("-")
  const sign = isBehind ? -1 : 1
  return Result.map(
    readDuration("millis")(isBehind ? text.slice(1) : text),
    ({ millis }) => ({ millis: sign * (millis as number) })
  )
}

const readRetryAfter = (text: string): Read =>
  text === "none" ? Result.succeed({ retryAfterMillis: null }) : readDuration("retryAfterMillis")(text)

const readShare = (text: string): Read => {
  const [, number] = /^(\d+(?:\.\d+)?)%$/.exec(text) ?? []
  return number === undefined
    ? Result.fail(`"${text}" is no share such as 5%`)
    : Result.succeed({ share: Number((Number(number) / 100).toPrecision(15)) })
}

const readNumber = (field: string) => (text: string): Read =>
  /^\d+$/.test(text) ? Result.succeed({ [field]: Number(text) }) : Result.fail(`"${text}" is no whole number`)

const readText = (field: string) => (text: string): Read => Result.succeed({ [field]: text })

const readAmount = (text: string): Read => {
  if (/^\d+$/.test(text)) return readNumber("count")(text)
  return text.endsWith("%")
    ? readShare(text)
    : Result.fail(`"${text}" is neither a share such as 5% nor a number of frames such as 3`)
}

const readRefusal = (text: string): Read =>
  text === "reset" ? Result.succeed({ status: 0 }) : readNumber("status")(text)

/** The value behind the colon: which field it shows, and how. Null when the fault shows none. */
type Shown = readonly [field: string | null, text: string] | null

interface Value {
  readonly read: (text: string) => Read
  readonly show: (fields: Fields) => Shown
  readonly example: string
  readonly needed: boolean
}

interface Kind {
  readonly tag: FaultTag
  readonly value: Value | null
  readonly options: ReadonlyArray<string>
  /** Whether it lasts. */
  readonly lasts: boolean
}

const durationText = (millis: number): string => millis % 1_000 === 0 ? `${millis / 1_000}s` : `${millis}ms`
const shareText = (share: number): string => `${Number((share * 100).toPrecision(15))}%`

const showField = (field: string, print: (value: never) => string = String) => (fields: Fields): Shown =>
  fields[field] === undefined ? null : [field, print(fields[field] as never)]

// A frame fault that names no amount hits every frame.
const showAmount = (fields: Fields): Shown =>
  showField("share", shareText)(fields) ?? showField("count")(fields) ?? [null, "100%"]

const closeCode: Value = { read: readNumber("code"), show: showField("code"), example: "1001", needed: false }
const refusal: Value = {
  read: readRefusal,
  show: showField("status", (status: number) => status === 0 ? "reset" : String(status)),
  example: "503 or reset",
  needed: false
}
const pair: Value = { read: readText("pair"), show: showField("pair"), example: "BTC/USDT", needed: false }
const frames: Value = { read: readAmount, show: showAmount, example: "5% or 3", needed: true }
const time: Value = {
  read: readDuration("millis"),
  show: showField("millis", durationText),
  example: "200ms",
  needed: true
}
const status: Value = { ...refusal, example: "429 or reset" }
const failure: Value = { ...refusal, example: "502 or reset" }
const permission: Value = { read: readText("what"), show: showField("what"), example: "trade", needed: false }
const pause: Value = { ...time, example: "5s", needed: false }
const offset: Value = { ...time, read: readOffset, example: "5s or -5s" }

const frameOptions = ["on", "connection", "pair", "topic", "share", "count"]
const connectionOptions = ["on", "connection", "pair", "topic"]
const requestOptions = ["on", "pair", "path", "method", "share", "count"]
const anyRequestOptions = [...requestOptions, "frame"]
const pushOptions = ["on", "connection", "topic", "share", "count"]
const answerOptions = ["on", "frame", "share", "count"]

const kinds: Readonly<Record<string, Kind>> = {
  drop: { tag: "Drop", value: closeCode, options: connectionOptions, lasts: false },
  refuse: { tag: "Refuse", value: refusal, options: ["on"], lasts: true },
  "half-open": { tag: "HalfOpen", value: null, options: connectionOptions, lasts: true },
  "connection-age": { tag: "ConnectionAge", value: time, options: ["on", "code"], lasts: true },
  silence: { tag: "Silence", value: pair, options: ["on", "connection", "topic", "share", "count"], lasts: true },
  gap: { tag: "Gap", value: frames, options: frameOptions, lasts: true },
  duplicate: { tag: "Duplicate", value: frames, options: frameOptions, lasts: true },
  reorder: { tag: "Reorder", value: frames, options: frameOptions, lasts: true },
  corrupt: { tag: "Corrupt", value: frames, options: [...frameOptions, "mode"], lasts: true },
  delay: { tag: "Delay", value: time, options: ["on", "connection"], lasts: true },
  "late-ack": { tag: "LateAck", value: time, options: answerOptions, lasts: true },
  "lose-ack": { tag: "LoseAck", value: frames, options: answerOptions, lasts: true },
  reject: { tag: "Reject", value: pair, options: ["on", "topic", "count", "reason"], lasts: true },
  "stale-snapshot": { tag: "StaleSnapshot", value: time, options: ["on", "pair"], lasts: true },
  "slow-snapshot": { tag: "SlowSnapshot", value: time, options: ["on", "pair"], lasts: true },
  "http-error": { tag: "HttpError", value: status, options: [...requestOptions, "retry-after"], lasts: true },
  "slow-http": { tag: "SlowHttp", value: time, options: requestOptions, lasts: true },
  "lag-read": { tag: "LagRead", value: time, options: ["on", "pair", "path"], lasts: true },
  "garble-http": { tag: "GarbleHttp", value: frames, options: requestOptions, lasts: true },
  skew: { tag: "Skew", value: offset, options: ["on"], lasts: true },
  "upgrade-notice": { tag: "UpgradeNotice", value: pause, options: connectionOptions, lasts: false },
  "lose-request": { tag: "LoseRequest", value: frames, options: anyRequestOptions, lasts: true },
  "late-request": { tag: "LateRequest", value: time, options: anyRequestOptions, lasts: true },
  "lose-answer": { tag: "LoseAnswer", value: frames, options: anyRequestOptions, lasts: true },
  "late-answer": { tag: "LateAnswer", value: time, options: anyRequestOptions, lasts: true },
  "fail-answer": { tag: "FailAnswer", value: failure, options: anyRequestOptions, lasts: true },
  cut: { tag: "Cut", value: frames, options: ["on", "topic", "frame", "share", "count", "code"], lasts: true },
  "lose-push": { tag: "LosePush", value: frames, options: pushOptions, lasts: true },
  "late-push": { tag: "LatePush", value: time, options: pushOptions, lasts: true },
  "expire-keys": { tag: "ExpireKeys", value: null, options: connectionOptions, lasts: false },
  revoke: { tag: "Revoke", value: permission, options: ["on", "user"], lasts: true }
}

const options: Readonly<Record<string, (text: string) => Read>> = {
  on: readText("exchange"),
  pair: readText("pair"),
  topic: readText("topic"),
  path: readText("path"),
  method: readText("method"),
  frame: readText("frame"),
  user: readText("user"),
  mode: readText("mode"),
  reason: readText("reason"),
  share: readShare,
  count: readNumber("count"),
  code: readNumber("code"),
  connection: readNumber("connection"),
  "retry-after": readRetryAfter
}

/** The names for the command line's help. */
export const names: ReadonlyArray<string> = Object.keys(kinds)

const readValue = (name: string, kind: Kind, text: string | undefined): Read => {
  if (kind.value === null) return text === undefined ? Result.succeed({}) : Result.fail(`${name} takes no value`)
  if (text !== undefined) return kind.value.read(text)
  return kind.value.needed ? Result.fail(`${name} needs a value: ${name}:${kind.value.example}`) : Result.succeed({})
}

const readOption = (name: string, kind: Kind, text: string): Read => {
  const equals = text.indexOf("=")
  const key = equals < 0 ? text : text.slice(0, equals)
  const read = options[key]
  if (read === undefined || !kind.options.includes(key)) {
    return Result.fail(`${name} has no option "${key}"; it has ${kind.options.join(", ")}`)
  }
  if (equals < 0) return Result.fail(`the option ${key} needs a text: ${key}=…`)
  const value = text.slice(equals + 1)
  // No exchange is called so: a window that could not be read would never come, without a word.
  return key === "on" && value.includes("@")
    ? Result.fail(`"${value.slice(value.indexOf("@"))}" is no time: a start and a duration need a unit, as in @0s:5s`)
    : read(value)
}

const windowPattern = /^(.*)@(\d+(?:\.\d+)?(?:ms|s|m|h))(?::(\d+(?:\.\d+)?(?:ms|s|m|h)))?$/s

const readWindow = (
  name: string,
  kind: Kind,
  start: string | undefined,
  duration: string | undefined
): ReadonlyArray<Read> => {
  if (start === undefined) return []
  if (duration === undefined) return [readDuration("startMillis")(start)]
  return kind.lasts
    ? [readDuration("startMillis")(start), readDuration("durationMillis")(duration)]
    : [Result.fail(`${name} happens at one moment and has no duration`)]
}

const readFields = (text: string): Read => {
  const [, inner, start, duration] = windowPattern.exec(text) ?? []
  const [first = "", ...rest] = (inner ?? text).split(",")
  const colon = first.indexOf(":")
  const name = colon < 0 ? first : first.slice(0, colon)
  const kind = kinds[name]
  if (kind === undefined) return Result.fail(`the kind "${name}" is unknown; there are ${names.join(", ")}`)
  return Result.map(
    Result.all([
      readValue(name, kind, colon < 0 ? undefined : first.slice(colon + 1)),
      ...rest.map((option) => readOption(name, kind, option)),
      ...readWindow(name, kind, start, duration)
    ]),
    (fields) => Object.assign({ _tag: kind.tag }, ...fields) as Fields
  )
}

const namesByTag: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(kinds).map(([name, kind]) => [kind.tag, name])
)

const optionTexts: ReadonlyArray<readonly [field: string, option: string, print: (value: never) => string]> = [
  ["exchange", "on", String],
  ["pair", "pair", String],
  ["topic", "topic", String],
  ["path", "path", String],
  ["method", "method", String],
  ["frame", "frame", String],
  ["user", "user", String],
  ["mode", "mode", String],
  ["reason", "reason", String],
  ["share", "share", shareText],
  ["count", "count", String],
  ["code", "code", String],
  ["connection", "connection", String],
  ["retryAfterMillis", "retry-after", (millis: number | null) => millis === null ? "none" : durationText(millis)]
]

const windowText = (start: number, duration: number | undefined): string => {
  if (duration !== undefined) return `@${durationText(start)}:${durationText(duration)}`
  return start > 0 ? `@${durationText(start)}` : ""
}

/** The text of a fault, which reads back as the same fault. A topic or reason with a comma, or with `@` and a duration at its end, cannot be written. */
export const print = (fault: Fault): string => {
  const fields: Fields = fault
  const name = namesByTag[fault._tag]!
  const shown = kinds[name]!.value?.show(fields) ?? null
  const parts = [shown === null ? name : `${name}:${shown[1]}`]
  for (const [field, option, text] of optionTexts) {
    if (fields[field] !== undefined && field !== shown?.[0]) parts.push(`${option}=${text(fields[field] as never)}`)
  }
  return parts.join(",") +
    windowText(fault.startMillis ?? 0, "durationMillis" in fault ? fault.durationMillis : undefined)
}

/** Text to fault and back, for command lines and configuration. */
export const FaultFromText: Schema.Codec<Fault, string> = Schema.String.pipe(
  Schema.decodeTo(
    Fault,
    SchemaTransformation.transformEffect({
      decode: (text: string, options) =>
        Result.match(readFields(text), {
          onFailure: (message) => Effect.fail(new SchemaIssue.InvalidValue({ message }, text, options)),
          // Checked by the schema of the fault, which comes next.
          onSuccess: (fields) => Effect.succeed(fields as unknown as typeof Fault.Encoded)
        }),
      encode: (fault) => Effect.succeed(print(fault as Fault))
    })
  )
)

const decodeText = Schema.decodeUnknownResult(FaultFromText)
const decodeData = Schema.decodeUnknownResult(Fault, { onExcessProperty: "error" })

/** Reads a fault from text, or checks one that is given as data. */
export const parse = (fault: unknown): Result.Result<Fault, InvalidFault> =>
  Result.mapError(
    typeof fault === "string" ? decodeText(fault) : decodeData(fault),
    (error) =>
      new InvalidFault({
        fault: typeof fault === "string" ? fault : JSON.stringify(fault) ?? String(fault),
        detail: error.message
      })
  )
