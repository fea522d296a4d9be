/** Gate's server halves over real simulated accounts, whose clock and market the test moves by hand. */
import { Effect, Redacted } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import { createHash, createHmac } from "node:crypto"
import type { WorldAccount, WorldKey } from "../../src/AccountWorld.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import { partsOf } from "../../src/domain/Instrument.ts"
import type { DialectOptions, DialectResponse, ExchangeDialect } from "../../src/ExchangeDialect.ts"
import { Accounts } from "../../src/simulator/Accounts.ts"
import { Ladder } from "../../src/simulator/Ladder.ts"
import { SimulatedBook } from "../../src/simulator/SimulatedBook.ts"
import { FakeClient, FakeWorld } from "./FakeWorld.ts"

export const start = 1_800_000_000_123

export const keys = {
  full: { apiKey: "full", secret: "full-secret", permissions: new Set(["read", "trade"]), addresses: null },
  reader: { apiKey: "reader", secret: "reader-secret", permissions: new Set(["read"]), addresses: null },
  trader: { apiKey: "trader", secret: "trader-secret", permissions: new Set(["trade"]), addresses: null },
  elsewhere: {
    apiKey: "elsewhere",
    secret: "elsewhere-secret",
    permissions: new Set(["read", "trade"]),
    addresses: ["203.0.113.9"]
  }
} as const satisfies Readonly<Record<string, WorldKey>>

type KeyName = keyof typeof keys

export const hmac = (secret: string, text: string): string => createHmac("sha512", secret).update(text).digest("hex")

export interface Call {
  readonly query?: string
  readonly body?: unknown
  readonly key?: KeyName
  readonly headers?: Readonly<Record<string, string>>
  readonly options?: DialectOptions
}

export interface Told {
  readonly status: number
  readonly headers: DialectResponse["headers"]
  readonly json: unknown
}

export class GateServer {
  readonly fake: FakeWorld
  readonly account: WorldAccount
  readonly other: WorldAccount
  readonly accounts: Accounts
  readonly dialect: ExchangeDialect
  mark = "100"

  constructor(dialect: ExchangeDialect, pair: TradingPair) {
    const { base, quote, settle } = partsOf(pair)
    this.dialect = dialect
    this.fake = new FakeWorld([pair], start)
    // Bids 99.9, 99.8, 99.7 and asks 100.1, 100.2, 100.3, of 10 each.
    const book = new SimulatedBook(
      { priceDecimals: 1, quantityDecimals: 2, version: 1, time: 0, history: 4096 },
      new Ladder([997, 998, 999], [1000, 1000, 1000]),
      new Ladder([-1003, -1002, -1001], [1000, 1000, 1000])
    )
    this.accounts = new Accounts({
      markets: [{
        pair,
        base,
        quote,
        priceDecimals: 1,
        quantityDecimals: 2,
        minQuantity: "0.01",
        minNotional: "1",
        contractSize: settle === undefined ? null : "1",
        book,
        print: () => {},
        markPrice: () => this.mark
      }],
      seeds: [
        { userId: "10001", keys: Object.values(keys), balances: { BTC: "10", USDT: "10000" } },
        { userId: "10002", keys: [], balances: { BTC: "10", USDT: "10000" } }
      ],
      fees: { maker: "0.001", taker: "0.002" },
      now: () => this.fake.clock
    })
    const [account, other] = this.accounts.all
    this.account = account!
    this.other = other!
    Object.assign(this.fake.world, { accounts: this.accounts })
  }

  get seconds(): number {
    return Math.floor(this.fake.clock / 1_000)
  }

  call(method: string, path: string, { body, headers, key = "full", options, query = "" }: Call = {}): Told {
    const text = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body)
    const { apiKey, secret } = keys[key]
    const hash = createHash("sha512").update(text).digest("hex")
    const timestamp = String(this.seconds)
    const signed = `${method}\n/api/v4${path}\n${decodeURIComponent(query)}\n${hash}\n${timestamp}`
    return this.send(method, path, {
      query,
      body: text,
      headers: { key: apiKey, timestamp, sign: hmac(secret, signed), ...headers },
      options
    })
  }

  send(
    method: string,
    path: string,
    { body = "", headers, options = { limits: "off" }, query }: {
      readonly query: string
      readonly body?: string | undefined
      readonly headers: Readonly<Record<string, string>>
      readonly options?: DialectOptions | undefined
    }
  ): Told {
    const response = this.dialect.onHttp(
      { method, path, query: new Map(new URLSearchParams(query)), search: query, address: "127.0.0.1", headers, body },
      this.fake.world,
      options
    )
    return { status: response.status, headers: response.headers, json: JSON.parse(response.body) }
  }

  connect(options: DialectOptions = { limits: "off" }, headers: Readonly<Record<string, string>> = {}): FakeClient {
    return new FakeClient(this.dialect, this.fake, options, headers)
  }

  /** A signed subscription, or the end of one. */
  frame(channel: string, payload?: ReadonlyArray<string>, key: KeyName = "full", event = "subscribe"): object {
    const { apiKey, secret } = keys[key]
    const time = this.seconds
    const SIGN = hmac(secret, `channel=${channel}&event=${event}&time=${time}`)
    return { time, id: 7, channel, event, payload, auth: { method: "api_key", KEY: apiKey, SIGN } }
  }

  login(prefix: string, key: KeyName = "full", parameters?: unknown): object {
    const { apiKey, secret } = keys[key]
    const text = parameters === undefined ? "" : JSON.stringify(parameters)
    const timestamp = String(this.seconds)
    const signature = hmac(secret, `api\n${prefix}.login\n${text}\n${timestamp}`)
    const payload = { api_key: apiKey, signature, timestamp, req_id: "login-1", req_param: parameters }
    return { time: this.seconds, channel: `${prefix}.login`, event: "api", payload }
  }

  api(channel: string, parameters: unknown, header?: object): object {
    const payload = { req_id: "request-2", req_param: parameters, req_header: header }
    return { time: this.seconds, channel, event: "api", payload }
  }

  /** An HTTP client whose requests this server answers. */
  get client(): HttpClient.HttpClient {
    return HttpClient.make((request, url) =>
      Effect.sync(() => {
        const { body } = request
        const response = this.dialect.onHttp(
          {
            method: request.method,
            path: url.pathname.replace("/api/v4", ""),
            query: new Map(url.searchParams),
            search: url.search.slice(1),
            address: "127.0.0.1",
            headers: request.headers as Record<string, string>,
            body: body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : ""
          },
          this.fake.world,
          { limits: "off" }
        )
        return HttpClientResponse.fromWeb(request, new Response(response.body, response))
      })
    )
  }
}

export const credentials = {
  account: "test",
  key: Redacted.make(keys.full.apiKey),
  secret: Redacted.make(keys.full.secret)
}

/** What lies in JSON behind a path such as `result.0.id`. */
export const at = (json: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((value, name) => (value as Readonly<Record<string, unknown>>)[name], json)

export const told = (client: FakeClient): ReadonlyArray<unknown> =>
  client.texts().map((text): unknown => JSON.parse(text))

export const keysOf = (value: unknown): ReadonlyArray<string> => Object.keys(value as object).toSorted()
