/** Malformed input of every kind, between clean frames, in memory and over real sockets; and malformed REST bodies. */
import { Effect, Exit, Layer, Stream } from "effect"
import type { Scope } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import type { AddressInfo } from "node:net"
import * as Ws from "ws"
import * as FrameSocket from "../../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../../src/connection/MemoryNetwork.ts"
import * as NodeHttp from "../../../src/connection/NodeHttp.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import * as ExchangeFactory from "../../../src/ExchangeFactory.ts"
import type { Performance } from "../../../src/PublicWebsocket.ts"
import { PublicWebsocket } from "../../../src/PublicWebsocket.ts"
import type { SimulatorService } from "../../../src/simulator/Simulator.ts"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import type { Services, Subject } from "../../../test/suites/Exchange.ts"
import * as Exchange from "../../../test/suites/Exchange.ts"
import { FrameAccount } from "../FrameAccount.ts"
import type { BadFrame } from "../Malformed.ts"
import * as Malformed from "../Malformed.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import type { Draws } from "../Virtual.ts"
import * as Virtual from "../Virtual.ts"

const pairOf = (subject: Subject) => Virtual.pairOn(subject, "BTC/USDT")
const encoder = new TextEncoder()

type Frame = string | Uint8Array

const bytesOf = (frame: Frame): Uint8Array => typeof frame === "string" ? encoder.encode(frame) : frame

/** Puts bad frames behind clean ones, and keeps the account of both. */
class Spoiler {
  readonly account = new FrameAccount()
  isSpoiling = true
  #fixed = 0
  readonly #frames: ReadonlyArray<BadFrame>
  readonly #draws: Draws

  constructor(exchange: string, draws: Draws) {
    this.#frames = Malformed.fixed(exchange)
    this.#draws = draws
  }

  pass(frame: Frame, send: (frame: Frame) => void): void {
    this.account.put(null)
    send(frame)
    if (!this.isSpoiling) return
    for (let i = Virtual.below(this.#draws, 4); i > 0; i--) {
      const bad = this.#bad(bytesOf(frame))
      this.account.put(bad)
      send(bad.bytes)
    }
  }

  #bad(frame: Uint8Array): BadFrame {
    return Virtual.below(this.#draws, 2) === 0
      ? this.#frames[this.#fixed++ % this.#frames.length]!
      : Malformed.changed(frame, this.#draws)
  }
}

// ---- the ways in ----------------------------------------------------------------------------------------------------

const memory = (subject: Subject, seed: number, spoiler: Spoiler, options: ExchangeFactory.WebsocketOptions) =>
  Virtual.layerThrough(
    { ...subject, adapter: spoiler.account.watch(subject.adapter) },
    (network) => ({
      ...network,
      connect: (url, client, headers) => {
        spoiler.account.connected()
        const onFrame = (frame: Frame) => spoiler.pass(frame, client.onFrame)
        return network.connect(url, { ...client, onFrame }, headers)
      }
    }),
    simulation(subject, seed),
    options
  )

const simulation = (subject: Subject, seed: number) => ({
  dialects: [subject.dialect],
  pairs: [pairOf(subject)] as const,
  limits: "off" as const,
  rate: 100,
  tradeRate: 50,
  seed
})

/** A real server in front of the simulator: passes everything on, and spoils what comes back. */
const proxy = (upstream: string, spoiler: Spoiler): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Ws.WebSocketServer>((resume) => {
        const server = new Ws.WebSocketServer({ host: "127.0.0.1", port: 0 })
        server.on("connection", (client) => bridge(client, new Ws.WebSocket(upstream), spoiler))
        server.on("listening", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          for (const client of server.clients) client.terminate()
          server.close(() => resume(Effect.void))
        })
    ),
    (server) => `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
  )

const bridge = (client: Ws.WebSocket, upstream: Ws.WebSocket, spoiler: Spoiler): void => {
  spoiler.account.connected()
  const early: Array<string> = []
  const forward = (text: string): void => {
    if (upstream.readyState === upstream.OPEN) upstream.send(text)
    else early.push(text)
  }
  upstream.on("open", () => early.splice(0).forEach((text) => upstream.send(text)))
  client.on("message", (data) => forward((data as Buffer).toString()))
  upstream.on("message", (data, isBinary) => {
    const frame = isBinary ? new Uint8Array(data as Buffer) : (data as Buffer).toString()
    // Bad bytes go as binary frames: as text they would be a breach of RFC 6455, which ends a connection.
    spoiler.pass(frame, (sent) => client.send(sent, { binary: typeof sent !== "string" }))
  })
  for (const [one, other] of [[client, upstream], [upstream, client]] as const) {
    one.on("error", () => other.terminate())
    one.on("close", () => other.terminate())
  }
}

const sockets = (
  subject: Subject,
  seed: number,
  spoiler: Spoiler,
  options: ExchangeFactory.WebsocketOptions
): Layer.Layer<Services> =>
  Layer.unwrap(Effect.gen(function*() {
    const { urls } = yield* Simulator.Simulator
    const { rest, ws } = urls[subject.adapter.id]!
    const url = yield* proxy(ws, spoiler)
    return ExchangeFactory.layerPublic(spoiler.account.watch(subject.adapter), { url, restUrl: rest, ...options })
  })).pipe(
    Layer.provide(Layer.merge(FrameSocket.layerWs, NodeHttp.layer)),
    Layer.provideMerge(Layer.orDie(Simulator.layer(simulation(subject, seed))))
  )

// ---- frames ---------------------------------------------------------------------------------------------------------

interface Spoiled {
  readonly account: FrameAccount
  readonly performance: Performance
  readonly sentEvents: number
}

const sentEvents = (simulator: SimulatorService, exchange: string): number =>
  Object.values(simulator.counts().exchanges[exchange]!.topics).reduce((sum, { sent }) => sum + sent.events, 0)

/** Reads all channels while frames are spoiled, until so many clean ones have come. */
const readSpoiled = (
  subject: Subject,
  spoiler: Spoiler,
  frames: number
): Effect.Effect<Spoiled, ExchangeError | Error, Services | Scope.Scope> =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const simulator = yield* Simulator.Simulator
    const { account } = spoiler
    yield* websocket.handle({})
    yield* websocket.initialize([pairOf(subject)], Virtual.tagsOf(subject))
    while (account.clean < frames) yield* Effect.sleep(20)
    // No more data, and what is under way arrives.
    yield* Effect.orDie(simulator.inject({ _tag: "Silence" }))
    // Turns of the sockets, in which nothing comes any more.
    for (let quiet = 0, before = -1; quiet < 10; before = account.decoded) {
      quiet = account.waiting > 0 || account.decoded !== before ? 0 : quiet + 1
      yield* Effect.sleep(20)
    }
    return { account, performance: yield* websocket.performance, sentEvents: sentEvents(simulator, subject.adapter.id) }
  })

const provenFrames = (proof: Proof, where: string, { account, performance, sentEvents }: Spoiled): void => {
  const { classes } = account
  const total = account.decoded + account.unclear
  proof.check(
    `${where}: data + control + ignored + failed account for every frame`,
    total === performance.frames && account.unclear === 0 && account.undecoded === 0 && account.bad > account.clean,
    `${performance.frames} frames = ${classes.data} data + ${classes.control} control + ${classes.ignored} ignored + ${classes.failed} failed, ${account.unclear} unclear, ${account.undecoded} not decoded`
  )
  proof.check(
    `${where}: every frame that cannot be read is counted`,
    performance.decodeFailures === classes.failed && performance.ignored === classes.ignored,
    `${performance.decodeFailures} failures, ${performance.ignored} ignored`
  )
  proof.check(
    `${where}: the clean frames between the bad ones all decode`,
    account.cleanFailed === 0 && account.cleanEvents === sentEvents && sentEvents > 0,
    `${account.clean} clean between ${account.bad} bad, ${account.cleanFailed} failed; ${account.cleanEvents} events of ${sentEvents} sent`
  )
  proof.check(`${where}: nothing throws`, account.threw === 0, `${account.threw} frames`)
  proof.check(
    `${where}: every known case comes out as it must`,
    account.forbidden.length === 0,
    `${account.forbidden.length} do not ${account.forbidden.join(" ")}`.trim()
  )
  proof.check(`${where}: no prototype is polluted`, !("polluted" in {}), "none")
}

const kindsTable = (proof: Proof, { byKind }: FrameAccount): void =>
  proof.table(
    ["way of being wrong", "data", "control", "ignored", "failed"],
    [...byKind].map((
      [kind, { control, data, failed, ignored }]
    ) => [kind, ...[data, control, ignored, failed].map(String)])
  )

const spoilerFor = (subject: Subject, seed: number) =>
  Effect.map(Virtual.draws(seed, `malformed ${subject.adapter.id}`), (draws) => new Spoiler(subject.adapter.id, draws))

const inMemory = Effect.fnUntraced(function*(proof: Proof, subject: Subject) {
  for (let run = 0; run < Proofs.sizeOf(proof, 1, 10); run++) {
    const seed = proof.seed + run
    const spoiler = yield* spoilerFor(subject, seed)
    const body = readSpoiled(subject, spoiler, proof.quick ? 2_000 : 10_000)
    const result = yield* Virtual.over(memory(subject, seed, spoiler, Virtual.patient), seed, body)
    provenFrames(proof, `${subject.adapter.id} in memory`, result)
    proof.figure(`${subject.adapter.id}_frames`, result.performance.frames)
    if (run === 0) kindsTable(proof, result.account)
  }
})

const overSockets = Effect.fnUntraced(function*(proof: Proof, subject: Subject) {
  const spoiler = yield* spoilerFor(subject, proof.seed)
  const body = readSpoiled(subject, spoiler, proof.quick ? 120 : 5_000)
  const result = yield* Exchange.withExchange(
    Exchange.ports,
    sockets(subject, proof.seed, spoiler, Virtual.patient),
    body
  )
  provenFrames(proof, `${subject.adapter.id} over sockets`, result)
})

// ---- frames that end a connection -----------------------------------------------------------------------------------

/** One frame behind the acknowledgement that breaks the connection itself, sent once. */
const breaking = (spoiler: Spoiler, bad: Uint8Array) => {
  let sent = false
  spoiler.isSpoiling = false
  const pass = spoiler.pass.bind(spoiler)
  spoiler.pass = (frame, send) => {
    pass(frame, send)
    if (sent || spoiler.account.clean < 10) return
    sent = true
    send(bad)
  }
}

const tooLarge = Effect.fnUntraced(function*(proof: Proof, subject: Subject) {
  for (
    const [where, layerOf, mode] of [["in memory", memory, Exchange.memory], [
      "over sockets",
      sockets,
      Exchange.ports
    ]] as const
  ) {
    const spoiler = yield* spoilerFor(subject, proof.seed)
    breaking(spoiler, new Uint8Array(100_000))
    const layer = layerOf(subject, proof.seed, spoiler, { ...Virtual.patient, socket: { maxFrameBytes: 65_536 } })
    const body = Effect.gen(function*() {
      const websocket = yield* PublicWebsocket
      const stream = yield* websocket.feed({ _tag: "Trades", pair: pairOf(subject) })
      let broken = false
      yield* Stream.runDrain(Stream.takeUntil(stream, (item) => {
        broken ||= item._tag === "Gap"
        return broken && item._tag === "Data"
      }))
      return yield* websocket.performance
    })
    const { errors } = yield* mode === Exchange.memory
      ? Virtual.over(layer, proof.seed, body)
      : Exchange.withExchange(mode, layer, body)
    proof.check(
      `${subject.adapter.id} ${where}: a frame beyond the bound is FrameTooLarge, once, and the data goes on`,
      errors["FrameTooLarge"] === 1,
      JSON.stringify(errors)
    )
  }
})

// ---- REST -----------------------------------------------------------------------------------------------------------

interface Bodies {
  read: number
  readonly reasons: Map<string, number>
  readonly defects: Array<string>
}

/** A client of the network whose answers are changed at random. */
const changedClient = (network: MemoryNetwork.MemoryNetwork["Service"], draws: Draws) =>
  MemoryNetwork.layerHttpClient.pipe(Layer.provide(Layer.succeed(MemoryNetwork.MemoryNetwork, {
    ...network,
    request: (request) =>
      Effect.map(network.request(request), (response) => ({ ...response, body: changedText(response.body, draws) }))
  })))

const changedText = (body: string, draws: Draws): string =>
  new TextDecoder().decode(Malformed.changed(encoder.encode(body), draws).bytes)

const restBodies = (
  subject: Subject,
  seed: number,
  count: number
): Effect.Effect<Bodies, ExchangeError | Error, Scope.Scope> =>
  Effect.gen(function*() {
    const { network, simulator } = yield* Simulator.makeMemory(simulation(subject, seed))
    const draws = yield* Virtual.draws(seed, `bodies ${subject.adapter.id}`)
    const client = yield* Effect.provide(HttpClient.HttpClient, yield* Layer.build(changedClient(network, draws)))
    const url = simulator.urls[subject.adapter.id]!.rest
    const { book, instruments, serverTime } = subject.adapter.makeRest({ client, url, instrumentOf: () => undefined })
    const pair = pairOf(subject)
    const calls = [instruments, serverTime, book(subject.adapter.symbol(pair)!, { _tag: "Book", pair }, 0)]
    const bodies: Bodies = { read: 0, reasons: new Map(), defects: [] }
    for (let i = 0; i < count; i++) {
      const exit = yield* Effect.exit(calls[i % calls.length]! as Effect.Effect<unknown, ExchangeError>)
      if (Exit.isSuccess(exit)) bodies.read++
      else judgeFailure(bodies, exit)
    }
    return bodies
  })

const judgeFailure = ({ defects, reasons }: Bodies, exit: Exit.Failure<unknown, ExchangeError>): void => {
  const error = Exit.findErrorOption(exit)
  if (error._tag === "None") return void defects.push(String(exit.cause))
  const { _tag } = error.value.reason
  reasons.set(_tag, (reasons.get(_tag) ?? 0) + 1)
}

const rest = Effect.fnUntraced(function*(proof: Proof, subject: Subject) {
  const count = Proofs.sizeOf(proof, 600, 30_000)
  const { defects, read, reasons } = yield* Effect.scoped(restBodies(subject, proof.seed, count))
  const failed = [...reasons.values()].reduce((sum, value) => sum + value, 0)
  proof.check(
    `${subject.adapter.id} REST: a malformed body is a typed error or still readable, never a defect`,
    defects.length === 0 && read + failed === count && failed > 0,
    `${count} bodies: ${read} readable, ${
      [...reasons].map(([tag, value]) => `${value} ${tag}`).join(", ")
    }, ${defects.length} defects ${defects[0] ?? ""}`.trim()
  )
})

export const malformed: Case = {
  name: "malformed",
  proves:
    "Malformed input of every kind: a typed error and a count; clean frames between the bad ones all decode; data, controls and errors account for every frame; no unhandled rejection, no defect",
  run: Effect.fnUntraced(function*(proof) {
    for (const subject of Virtual.subjects) {
      const known = Malformed.fixed(subject.adapter.id)
      const shared = known.filter(({ allowed }) => allowed !== null).length
      proof.say(
        `${subject.adapter.id}: ${shared} cases of ../shared/fixtures, ${
          known.length - shared
        } built ones, and seeded changes to the clean frames`
      )
      yield* inMemory(proof, subject)
      yield* overSockets(proof, subject)
      yield* tooLarge(proof, subject)
      yield* rest(proof, subject)
    }
  })
}
