/**
 * Gate's WebSocket API, the server's half: login, and requests that are answered in one frame, or in two where an order is
 * placed: first that it has come, then what came of it ("Spot WebSocket v4" and "Futures WebSocket v4", "WebSocket API").
 */
import type { About, Peer, Quota, World } from "../../ExchangeDialect.ts"
import { perWorld, quotas } from "../../ExchangeDialect.ts"
import type { Json, Outcome, Parsed, Session } from "./GateAccountDialect.ts"
import { apiSession, failed, isFailure, isObject, list, object, quoted, textIn } from "./GateAccountDialect.ts"
import { tooLate } from "./GateSignedDialect.ts"

export interface ApiAsked {
  readonly session: Session
  readonly world: World
  /** `req_param`. */
  readonly parameters: unknown
  /** The client asked for decimal sizes. */
  readonly decimal: boolean
}

export interface ApiMethod {
  readonly needs: "read" | "trade"
  /** Whether a frame comes before the result that says that the request is there. */
  readonly acked: boolean
  /** Whether it counts for the limit of trading; each order of a list does. */
  readonly limited: boolean
  readonly answer: (asked: ApiAsked) => Outcome
}

export interface ApiProduct {
  readonly prefix: "spot" | "futures"
  readonly methods: ReadonlyMap<string, ApiMethod>
  /** Trading requests a second ("Rate Limit"): documented for each user. */
  readonly tradesPerSecond: number
  /** Named in the refusal. */
  readonly limitCode: number
  /** Results say that they are no ack (futures' samples). */
  readonly saysNoAck: boolean
}

export interface ApiConnection {
  readonly world: World
  readonly peer: Peer
  readonly limited: boolean
  readonly connectionId: string
  /** Another id each time. */
  readonly trace: () => string
}

const ack: About = { _tag: "Control", kind: "ack" }
const reject: About = { _tag: "Control", kind: "reject" }

const notLoggedIn = failed(400, "AUTHENTICATION_FAILED", "Not login")

interface Frame {
  readonly id: string
  readonly channel: string
  readonly status: number
  readonly quota: Quota | null
  /** `true` on the first of two frames. */
  readonly ack: boolean
  readonly data: Json
}

const argumentsError = (channel: string) =>
  failed(400, "INVALID_ARGUMENT", `${channel.slice(channel.indexOf(".") + 1)} request params error`)

/** Answers `event: "api"` frames of one connection. */
export const makeApi = (product: ApiProduct) => {
  const budgets = perWorld(() => quotas(product.tradesPerSecond, 1_000))
  return ({ connectionId, limited, peer, trace, world }: ApiConnection) => {
    let loggedIn: Session | null = null

    const send = (frame: Frame, about: About): void => {
      const micros = String(Math.floor(world.now() * 1_000))
      const { quota } = frame
      const isLogin = frame.channel === `${product.prefix}.login`
      const header = object({
        response_time: quoted(String(Math.floor(world.now()))),
        status: quoted(String(frame.status)),
        channel: quoted(frame.channel),
        event: quoted("api"),
        // The samples of the login spell it so.
        [isLogin ? "clientId" : "client_id"]: quoted(isLogin ? "" : `${peer.address}-${connectionId}`),
        x_in_time: micros,
        x_out_time: micros,
        conn_id: quoted(connectionId),
        conn_trace_id: quoted(trace()),
        trace_id: quoted(trace()),
        ...(quota === null ? {} : limitHeader(quota, product.tradesPerSecond))
      })
      const saysAck = frame.ack ? "true" : product.saysNoAck && !isLogin ? "false" : undefined
      peer.send(object({ request_id: quoted(frame.id), ack: saysAck, header, data: frame.data }), about)
    }

    const answer = (id: string, channel: string, outcome: Outcome, quota: Quota | null): void => {
      const isRefused = isFailure(outcome)
      const data = isRefused
        ? object({ errs: object({ label: quoted(outcome.label), message: quoted(outcome.message) }) })
        : object({ result: outcome.body })
      const status = isRefused ? outcome.status : 200
      send({ id, channel, status, quota, ack: false, data }, isRefused ? reject : ack)
    }

    const login = (id: string, channel: string, payload: Parsed): void => {
      const session = apiSession(world, peer.address, channel, payload, "read")
      if (isFailure(session)) return answer(id, channel, session, null)
      loggedIn = session
      const { account: { userId }, key: { apiKey } } = session
      answer(id, channel, { status: 200, body: object({ api_key: quoted(apiKey), uid: quoted(userId) }) }, null)
    }

    /** Logged in, or signed by itself. What the key may not do any more is seen at each request. */
    const sessionFor = (channel: string, payload: Parsed, { needs }: ApiMethod) => {
      if (textIn(payload, "signature") !== "") return apiSession(world, peer.address, channel, payload, needs)
      if (loggedIn === null) return notLoggedIn
      const now = world.accounts.find(loggedIn.key.apiKey)
      if (now === null) return failed(401, "INVALID_KEY", "Invalid key provided")
      return now.key.permissions.has(needs) ? now : failed(403, "READ_ONLY", "The API key has no permission for this")
    }

    const isLate = (payload: Parsed): boolean => {
      const header = payload["req_header"]
      const until = isObject(header) ? textIn(header, "x-gate-exptime") : ""
      return until !== "" && world.now() > Number(until)
    }

    /** The echo of the request; spot's has empty fields for what a login makes superfluous. */
    const echoOf = (id: string, payload: Parsed): Json =>
      object({
        req_id: quoted(id),
        req_header: JSON.stringify(payload["req_header"] ?? null),
        req_param: JSON.stringify(payload["req_param"] ?? null),
        ...(product.saysNoAck ? {} : { api_key: `""`, timestamp: `""`, signature: `""` })
      })

    const spend = (method: ApiMethod, session: Session, parameters: unknown): Quota | null =>
      limited && method.limited
        ? budgets(world)(session.account.userId, world.now(), Array.isArray(parameters) ? parameters.length : 1)
        : null

    const run = (id: string, channel: string, payload: Parsed, method: ApiMethod): void => {
      const session = sessionFor(channel, payload, method)
      if (isFailure(session)) return answer(id, channel, session, null)
      const parameters = payload["req_param"]
      const quota = spend(method, session, parameters)
      if (quota !== null && !quota.allowed) {
        const message = `Request Rate limit Exceeded (${product.limitCode})`
        return answer(id, channel, failed(429, "TOO_MANY_REQUESTS", message), quota)
      }
      if (isLate(payload)) return answer(id, channel, tooLate, quota)
      if (method.acked) {
        send({ id, channel, status: 200, quota, ack: true, data: object({ result: echoOf(id, payload) }) }, ack)
      }
      const isRead = isObject(parameters) || Array.isArray(parameters)
      const decimal = peer.headers["x-gate-size-decimal"] === "1"
      const outcome = isRead ? method.answer({ session, world, parameters, decimal }) : argumentsError(channel)
      answer(id, channel, outcome, quota)
    }

    return (channel: string, payload: unknown): void => {
      const body = isObject(payload) ? payload : {}
      const id = textIn(body, "req_id")
      if (channel === `${product.prefix}.login`) return login(id, channel, body)
      const method = product.methods.get(channel)
      if (method === undefined) {
        return answer(id, channel, failed(400, "INVALID_ARGUMENT", `Unknown channel ${channel}`), null)
      }
      run(id, channel, body, method)
    }
  }
}

/** The end of the window is spelled in two ways: so in most samples, and without the slip where the limit is exceeded. */
const limitHeader = ({ allowed, remaining, resetAt }: Quota, limit: number): Readonly<Record<string, Json>> => ({
  // A zero is left out.
  ...(remaining === 0 ? {} : { x_gate_ratelimit_requests_remain: String(remaining) }),
  x_gate_ratelimit_limit: String(limit),
  [allowed ? "x_gat_ratelimit_reset_timestamp" : "x_gate_ratelimit_reset_timestamp"]: String(Math.floor(resetAt))
})

/** The items of a list, each with what came of it. */
export const each = (items: unknown, run: (item: Parsed) => Json): Json =>
  list(Array.isArray(items) ? items.filter((item): item is Parsed => isObject(item)).map(run) : [])
