/**
 * Accounts at the finest log level, through life and every error path, and everything that the program has said of itself
 * looked through for what must not be in it. The secrets are collected on the wire: whatever proves who somebody is.
 */
import { Effect, Exit, Layer, Metric, Random, Redacted } from "effect"
import type { Scope } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import { TestClock } from "effect/testing"
import { AccountRest } from "../../../src/AccountRest.ts"
import type { Credentials } from "../../../src/connection/Auth.ts"
import * as FrameSocket from "../../../src/connection/FrameSocket.ts"
import * as Journal from "../../../src/connection/Journal.ts"
import * as JournalHttp from "../../../src/connection/JournalHttp.ts"
import type { MemoryRequest, MemoryResponse } from "../../../src/connection/MemoryNetwork.ts"
import * as MemoryNetwork from "../../../src/connection/MemoryNetwork.ts"
import * as NodeHashes from "../../../src/connection/NodeHashes.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { ExchangeAdapter } from "../../../src/ExchangeAdapter.ts"
import * as ExchangeFactory from "../../../src/ExchangeFactory.ts"
import * as adapters from "../../../src/exchanges/index.ts"
import type { Outcome } from "../../../src/OrderEntry.ts"
import { OrderEntry } from "../../../src/OrderEntry.ts"
import { PrivateWebsocket } from "../../../src/PrivateWebsocket.ts"
import { dialects } from "../../../src/SimulatedExchanges.ts"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import * as Exchange from "../../../test/suites/Exchange.ts"
import { Evidence } from "../Evidence.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

type Network = MemoryNetwork.MemoryNetwork["Service"]

type Services = PrivateWebsocket | OrderEntry | AccountRest | Simulator.Simulator

// ---- what is secret -------------------------------------------------------------------------------------------------

/** Headers, parameters and fields that prove who somebody is. */
const proving = /^(?:key|sign|signature|api_?key|x-mexc-apikey|listen_?key)$/i

/** Collects the secrets that pass over the network, and changes nothing. */
class Wire {
  readonly secrets = new Map<string, string>()
  requests = 0
  frames = 0

  #found(name: string, value: unknown): void {
    // What is shorter is no secret but a word that stands in many texts.
    if (typeof value === "string" && value.length >= 16) this.secrets.set(value, name.toLowerCase())
  }

  #inJson(text: string): void {
    try {
      JSON.parse(text, (name, value: unknown) => {
        if (proving.test(name)) this.#found(name, value)
        return value
      })
    } catch {
      // Not JSON: nothing with names.
    }
  }

  #inUrl(url: string): void {
    for (const [name, value] of new URL(url).searchParams) if (proving.test(name)) this.#found(name, value)
  }

  readonly through = (network: Network): Network => ({
    connect: (url, client, headers) => {
      this.#inUrl(url)
      const socket = network.connect(url, client, headers)
      if ("refused" in socket) return socket
      return {
        ...socket,
        send: (frame) => {
          this.frames++
          if (typeof frame === "string") this.#inJson(frame)
          socket.send(frame)
        }
      }
    },
    request: (request) => {
      this.requests++
      this.#inUrl(request.url)
      for (const [name, value] of Object.entries(request.headers)) if (proving.test(name)) this.#found(name, value)
      return Effect.tap(network.request(request), ({ body }) => Effect.sync(() => this.#inJson(body)))
    }
  })
}

// ---- an exchange that repeats what it was sent ----------------------------------------------------------------------

const isSigned = ({ headers }: MemoryRequest): boolean => Object.keys(headers).some((name) => proving.test(name))

/** A refusal in the exchange's own form, with the whole request in its words. */
const repeat = (request: MemoryRequest, status: number): MemoryResponse => {
  const words = JSON.stringify(request)
  const body = JSON.stringify({ label: "INVALID_PARAM_VALUE", message: words, code: 700_002, msg: words })
  return { status, headers: {}, body: status === 500 ? words : body }
}

const repeating = (status: number) => (network: Network): Network => ({
  ...network,
  request: (request) => isSigned(request) ? Effect.succeed(repeat(request, status)) : network.request(request)
})

interface SignedFrame {
  readonly id?: number
  readonly channel?: string
  readonly event?: string
  readonly auth?: unknown
  readonly payload?: { readonly req_id?: string; readonly signature?: string }
}

/** Gate's refusals of a signed subscription and of a login, with the whole frame in their words; null for other frames. */
const repeatFrame = (text: string): string | null => {
  const { auth, channel, event, id, payload } = JSON.parse(text) as SignedFrame
  if (auth !== undefined) return JSON.stringify({ time: 1, id, channel, event, error: { code: 2, message: text } })
  return payload?.signature === undefined ? null : JSON.stringify({
    request_id: payload.req_id,
    header: { response_time: "1", status: "400", channel, event: "api" },
    data: { errs: { label: "INVALID_PARAM_VALUE", message: text } }
  })
}

const repeatingFrames = (network: Network): Network => ({
  ...network,
  connect: (url, client, headers) => {
    const socket = network.connect(url, client, headers)
    return "refused" in socket ? socket : {
      ...socket,
      send: (frame) => {
        const answer = typeof frame === "string" ? repeatFrame(frame) : null
        if (answer === null) socket.send(frame)
        else client.onFrame(answer)
      }
    }
  }
})

// ---- scenarios ------------------------------------------------------------------------------------------------------

interface Scenario {
  readonly name: string
  readonly key: "full" | "reader" | "elsewhere" | "unknown" | "forged"
  readonly faults?: ReadonlyArray<string>
  readonly change?: (network: Network) => Network
  readonly clock?: ExchangeFactory.AccountOptions["clock"]
  /** Struck in the middle of life. */
  readonly strike?: string
}

const scenarios: ReadonlyArray<Scenario> = [
  { name: "a good life", key: "full" },
  { name: "lost connections", key: "full", strike: "drop" },
  { name: "sockets that are refused", key: "full", faults: ["refuse:403"] },
  { name: "an expired listen key", key: "full", strike: "expire-keys" },
  { name: "a revoked key", key: "full", strike: "revoke" },
  { name: "an unknown key", key: "unknown" },
  { name: "a wrong secret", key: "forged" },
  { name: "no permission to trade", key: "reader" },
  { name: "an address that is not allowed", key: "elsewhere" },
  { name: "a clock that cannot be used", key: "full", clock: { maxErrorMs: 0.1 } },
  { name: "a drifted clock", key: "full", faults: ["skew:90s"] },
  { name: "requests and answers that are lost", key: "full", faults: ["lose-request:20%", "lose-answer:30%"] },
  { name: "failures behind what was done", key: "full", faults: ["fail-answer:502,share=50%"] },
  { name: "too many requests", key: "full", strike: "http-error:429" },
  { name: "answers that cannot be read", key: "full", strike: "garble-http:100%" },
  { name: "refusals that repeat the request", key: "full", change: repeating(400) },
  { name: "failures that repeat the request", key: "full", change: repeating(500) },
  { name: "refusals that repeat the frame", key: "full", change: repeatingFrames }
]

const text = (draws: Virtual.Draws): string =>
  Array.from({ length: 32 }, () => "0123456789abcdefghijkmnpqrstuvwxyz"[Virtual.below(draws, 34)]).join("")

interface Keys {
  readonly accounts: Simulator.AccountsByExchange
  readonly of: (key: Scenario["key"]) => Credentials
  /** With their names. */
  readonly secrets: ReadonlyMap<string, string>
}

const keysFor = Effect.fnUntraced(function*(id: string, kind: "spot" | "swap", seed: number): Effect.fn.Return<Keys> {
  const draws = yield* Virtual.draws(seed, `keys of ${id}`)
  const pair = () => ({ apiKey: text(draws), secret: text(draws) })
  const made = { full: pair(), reader: pair(), elsewhere: pair(), unknown: pair() }
  const known = { ...made, forged: { apiKey: made.full.apiKey, secret: text(draws) } }
  const balances = kind === "spot" ? { USDT: "100000", BTC: "2" } : { USDT: "100000" }
  return {
    accounts: {
      [id]: [{
        userId: "1001",
        balances,
        keys: [
          made.full,
          { ...made.reader, permissions: ["read"] },
          { ...made.elsewhere, addresses: ["203.0.113.7"] }
        ]
      }]
    },
    of: (key) => ({
      account: "proof",
      key: Redacted.make(known[key].apiKey),
      secret: Redacted.make(known[key].secret)
    }),
    secrets: new Map(Object.values(known).flatMap(({ apiKey, secret }) => [[apiKey, "key"], [secret, "secret"]]))
  }
})

// ---- life -----------------------------------------------------------------------------------------------------------

/** Runs it whatever comes of it; that is evidence. */
const attempt = <A, E, R>(evidence: Evidence, effect: Effect.Effect<A, E, R>) =>
  effect.pipe(
    Effect.timeoutOption("4 seconds"),
    Effect.exit,
    Effect.tap((exit) =>
      Effect.sync(() => Exit.isFailure(exit) ? evidence.cause(exit.cause) : evidence.value("answer", exit.value))
    ),
    Effect.asVoid
  )

/** Waits for what became of it. */
const known = <A>(evidence: Evidence, outcome: Outcome<A>) => {
  evidence.value("outcome", outcome)
  if (outcome._tag !== "Unknown") return Effect.void
  evidence.error(outcome.cause)
  return attempt(evidence, outcome.resolved)
}

const trade = Effect.fnUntraced(function*(evidence: Evidence, pair: TradingPair) {
  const entry = yield* OrderEntry
  const order = (clientOrderId: string) =>
    ({ pair, side: "buy", quantity: pair.includes(":") ? 1 : "0.001", price: 20_000, clientOrderId }) as const
  const ref = (clientOrderId: string) => ({ pair, clientOrderId })
  yield* attempt(
    evidence,
    Effect.flatMap(entry.place(order("proof-1")), ({ outcome }) => known(evidence, outcome))
  )
  yield* attempt(
    evidence,
    Effect.flatMap(
      entry.placeAll([order("proof-2"), order("proof-3")]),
      Effect.forEach(({ outcome }) => known(evidence, outcome))
    )
  )
  yield* attempt(evidence, entry.place({ ...order("proof-4"), price: "nonsense" }))
  yield* attempt(
    evidence,
    Effect.flatMap(entry.amend(ref("proof-1"), { price: 20_001 }), (outcome) => known(evidence, outcome))
  )
  yield* attempt(evidence, entry.get(ref("proof-1")))
  yield* attempt(evidence, entry.openOrders(pair))
  yield* attempt(evidence, Effect.flatMap(entry.cancel(ref("proof-2")), (outcome) => known(evidence, outcome)))
  yield* attempt(evidence, Effect.flatMap(entry.cancelAll(pair), (outcome) => known(evidence, outcome)))
  yield* attempt(evidence, entry.cancelAllAfter(60_000, pair))
  yield* attempt(evidence, entry.setLeverage(pair, 5))
})

const live = Effect.fnUntraced(function*(evidence: Evidence, pair: TradingPair, strike: string | undefined) {
  const simulator = yield* Simulator.Simulator
  const websocket = yield* PrivateWebsocket
  const rest = yield* AccountRest
  yield* websocket.handle({
    onOrder: (event) => evidence.value("event", event),
    onBalance: (event) => evidence.value("event", event),
    onStatus: (status) => evidence.value("status", status)
  })
  yield* attempt(evidence, websocket.initialize())
  yield* attempt(evidence, rest.userId)
  yield* attempt(evidence, rest.balances)
  yield* attempt(evidence, rest.fills({ pair }))
  yield* trade(evidence, pair)
  if (strike !== undefined) yield* Effect.orDie(simulator.inject(strike))
  yield* Effect.sleep("1 second")
  yield* attempt(evidence, websocket.reconcile)
  yield* trade(evidence, pair)
  for (const service of [websocket, rest, yield* OrderEntry]) evidence.value("service", service)
  evidence.value("statistics", yield* websocket.performance)
  yield* evidence.metrics
})

interface Setup {
  readonly adapter: ExchangeAdapter
  readonly keys: Keys
  readonly scenario: Scenario
  readonly seed: number
  readonly wire: Wire
}

const layerOf = ({ adapter, keys, scenario, seed, wire }: Setup, recorder: Journal.Recorder): Layer.Layer<Services> => {
  const recorded = Layer.effect(
    HttpClient.HttpClient,
    Effect.map(HttpClient.HttpClient, (client) => JournalHttp.recording(client, recorder, { url: "", book: false }))
  ).pipe(Layer.provide(MemoryNetwork.layerHttpClient))
  const account = Layer.unwrap(Effect.map(Simulator.Simulator, ({ urls }) => {
    const { rest, ws } = urls[adapter.id]!
    return ExchangeFactory.layerAccount(adapter, {
      credentials: keys.of(scenario.key),
      url: ws,
      restUrl: rest,
      clock: scenario.clock,
      reconcilePairs: [],
      requestTimeout: "1 second",
      reconcile: { interval: "2 seconds" },
      orders: { queueTimeout: "1 second", answerTimeout: "500 millis", expiry: "1 second" },
      through: Journal.withJournal(recorder)
    })
  }))
  const change = (network: Network) => wire.through((scenario.change ?? ((same) => same))(network))
  return account.pipe(
    Layer.provide(Layer.mergeAll(FrameSocket.layerMemory(), recorded, NodeHashes.layer)),
    Layer.provide(Layer.effect(MemoryNetwork.MemoryNetwork, Effect.map(MemoryNetwork.MemoryNetwork, change))),
    Layer.provideMerge(Simulator.layerMemory({
      dialects: dialects.filter(({ id }) => id === adapter.id),
      pairs: ["BTC/USDT"],
      limits: "off",
      rate: 1,
      seed,
      accounts: keys.accounts,
      ...scenario.faults === undefined ? {} : { faults: scenario.faults }
    })),
    Layer.orDie
  )
}

/** One scenario, from the first connection to the last; what it leaves is evidence. */
const play = (setup: Setup, evidence: Evidence): Effect.Effect<void> => {
  const { adapter, keys, scenario, seed } = setup
  const pair: TradingPair = adapter.kind === "swap" ? "BTC/USDT:USDT" : "BTC/USDT"
  const { key, secret } = keys.of(scenario.key)
  const body: Effect.Effect<void, never, Scope.Scope> = Effect.gen(function*() {
    const { dump, recorder } = yield* Journal.ring({ redact: { secrets: [key, secret] } })
    recorder.begin(adapter.id, {})
    yield* live(evidence, pair, scenario.strike).pipe(
      Effect.catchCause((cause) => Effect.sync(() => evidence.cause(cause))),
      Effect.provide(layerOf(setup, recorder))
    )
    const bytes = yield* dump
    if (bytes !== null) evidence.journal(bytes)
  })
  return Exchange.memory.run(Effect.scoped(body)).pipe(
    Effect.provide(evidence.layer),
    Random.withSeed(seed),
    Effect.provide(TestClock.layer()),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )
}

// ---- the case -------------------------------------------------------------------------------------------------------

/** What one round of all scenarios has left, looked through and let go: of ten it would be gigabytes. */
const round = Effect.fnUntraced(function*(adapter: ExchangeAdapter, keys: Keys, seed: number) {
  const wire = new Wire()
  const evidence = new Evidence()
  for (const scenario of scenarios) yield* play({ adapter, keys, scenario, seed, wire }, evidence)
  const secrets = new Map([...wire.secrets, ...keys.secrets])
  const leaks = evidence.leaks(secrets)
  // A search that finds nothing has to be able to find something.
  const [aSecret = ""] = secrets.keys()
  const { size } = evidence
  evidence.value("planted", Buffer.from(`?${aSecret}`).toString("hex"))
  return {
    secrets,
    leaks,
    size,
    counts: evidence.counts,
    requests: wire.requests + wire.frames,
    findsPlanted: evidence.leaks(secrets).length > leaks.length
  }
})

const proven = Effect.fnUntraced(function*(adapter: ExchangeAdapter, proof: Proof) {
  const keys = yield* keysFor(adapter.id, adapter.kind, proof.seed)
  const seeds = Array.from({ length: Proofs.sizeOf(proof, 1, 10) }, (_, index) => proof.seed + index)
  const rounds = yield* Effect.forEach(seeds, (seed) => round(adapter, keys, seed))
  const secrets = new Map(rounds.flatMap((each) => [...each.secrets]))
  const leaks = rounds.flatMap((each) => each.leaks)
  const places = [...new Set(leaks.map(({ secret, where }) => `${secret} in a ${where}`))]
  if (places.length > 0) proof.say(`leaks of a ${places.join(", ")}`)
  for (const { excerpt, form, secret, where } of leaks.slice(0, 5)) {
    proof.say(`LEAK of a ${secret} in a ${where} (${form}): ${excerpt}`)
  }
  const kinds = [...new Set(secrets.values())].sort()
  const sum = (of: (each: typeof rounds[number]) => number): number =>
    rounds.reduce((total, each) => total + of(each), 0)
  proof.check(
    `${adapter.id}: no log, span, error, metric, journal or value holds a key, secret, listen key or signature`,
    leaks.length === 0 && rounds.every(({ counts }) => counts.errors > 0 && counts.spans > 0),
    `${leaks.length} leaks of ${secrets.size} secrets (${kinds.join(", ")}) in ${
      rounds.length * scenarios.length
    } runs: ${(sum(({ size }) => size) / 1e6).toFixed(1)} MB of ${sum(({ counts }) => counts.logs)} logs, ${
      sum(({ counts }) => counts.spans)
    } spans, ${sum(({ counts }) => counts.errors)} errors, ${sum(({ counts }) => counts.journals)} journals`
  )
  proof.check(
    `${adapter.id}: a secret that is planted is found`,
    rounds.every(({ findsPlanted }) => findsPlanted),
    `in each of ${rounds.length}`
  )
  return { secrets: secrets.size, leaks: leaks.length, requests: sum(({ requests }) => requests) }
})

const accounts = Object.values<ExchangeAdapter>(adapters).filter(({ account }) => account !== undefined)

export const secrets: Case = {
  name: "secrets",
  parts: accounts.map(({ id }) => id),
  proves: "At the finest log level and through every error path, nothing that an account says of itself holds a key, " +
    "secret, listen key or signature: plain, in hex or in base64",
  run: Effect.fnUntraced(function*(proof) {
    const chosen = accounts.filter(({ id }) => proof.part === null || id === proof.part)
    const results = yield* Effect.forEach(chosen, (adapter) => proven(adapter, proof))
    proof.figure("exchanges", results.length)
    proof.figure("secrets", results.reduce((sum, { secrets }) => sum + secrets, 0))
    proof.figure("requests", results.reduce((sum, { requests }) => sum + requests, 0))
    proof.figure("leaks", results.reduce((sum, { leaks }) => sum + leaks, 0))
  })
}
