/**
 * The load: a process that answers the exchanges' own requests (through the dialects) and then writes frames, framed
 * beforehand, straight to the TCP socket as fast as the client reads. Prints its ports; ends with its standard input.
 *
 * `POST /bench/begin?case=…` starts over and answers with the setup; `quiet` holds everything; `flood?frames=N` and
 * `paced?frames=N&rate=R&burst=B` send; `late` says how late the last paced run was; `break` drops every connection.
 * Everything else is the exchange's REST.
 */
import * as Hdr from "hdr-histogram-js"
import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer as createTlsServer } from "node:https"
import type { AddressInfo, Socket } from "node:net"
import type { Duplex } from "node:stream"
import { constants, deflateRawSync } from "node:zlib"
import type { WebSocket } from "ws"
import { WebSocketServer } from "ws"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { Topic } from "../../src/ExchangeAdapter.ts"
import type { DialectConnection, World } from "../../src/ExchangeDialect.ts"
import * as Protocol from "./Protocol.ts"
import type { Setup } from "./Protocol.ts"
import { random } from "./Random.ts"
import type { Case, Template } from "./Scenario.ts"
import * as Scenario from "./Scenario.ts"

interface Client {
  readonly socket: Socket
  readonly dialect: DialectConnection
  readonly isDeflated: boolean
}

const versions = new Map<TradingPair, number>()
const clients = new Set<Client>()
const timers = new Set<NodeJS.Timeout>()
let current: Case = Scenario.cases[0]!
let topics: ReadonlyArray<Topic> = []
let topicOfPair = new Map<TradingPair, string>()
let isDeflated = false
let world: World = Scenario.makeWorld(current, () => Protocol.firstVersion)

/** One case's frames at a time: they are not kept, so that the process stays small. */
let cached: { readonly key: string; readonly frames: ReadonlyMap<string, ReadonlyArray<Template>> } | null = null

const framesOf = (stamped: boolean): ReadonlyMap<string, ReadonlyArray<Template>> => {
  const key = `${current.id} ${stamped} ${isDeflated}`
  if (cached?.key !== key) {
    const frames = Scenario.templates(current, stamped)
    cached = { key, frames: isDeflated ? deflated(frames) : frames }
  }
  return cached.frames
}

const begin = (url: URL): Setup => {
  current = Scenario.caseById(url.searchParams.get("case") ?? "")
  isDeflated = url.searchParams.get("deflate") === "true"
  quiet()
  clients.clear()
  versions.clear()
  topics = Scenario.topicsOf(current)
  topicOfPair = new Map(topics.map((topic) => [topic.pair!, topic.key]))
  world = Scenario.makeWorld(current, (pair) => versions.get(pair) ?? Protocol.firstVersion, { onBook: afterSnapshot })
  framesOf(false)
  return setupOf(url.searchParams.get("sockets"))
}

const setupOf = (sockets: string | null): Setup => {
  const { limits } = Scenario.adapterOf(current)
  const size = sockets === null ? limits.topicsPerConnection : Math.ceil(topics.length / Number(sockets))
  const requests: Array<ReadonlyArray<string>> = []
  for (let from = 0; from < topics.length; from += size) {
    requests.push(
      Scenario.subscriptions(current, topics.slice(from, from + size)).map(({ frame }) => String(frame))
    )
  }
  const { restPath, websocketPath } = Scenario.dialectOf(current)
  return {
    exchange: current.exchange,
    path: websocketPath,
    restPath,
    headers: Scenario.headersOf(current),
    isBook: current.isBook,
    choices: current.choices,
    pairs: Scenario.pairsOf(current),
    topics: topics.map(({ channel, contractSize, key, pair, symbol }) => ({
      channel,
      contractSize: contractSize!,
      key,
      pair: pair!,
      symbol
    })),
    topicsPerConnection: size,
    sockets: requests,
    passFrames: Scenario.passFramesOf(current)
  }
}

const quiet = (): void => {
  for (const timer of timers) clearTimeout(timer)
  timers.clear()
}

/** A snapshot is shown once a delta has joined it: one follows soon. */
const afterSnapshot = (pair: TradingPair): void => {
  const timer = setTimeout(() => {
    timers.delete(timer)
    const key = topicOfPair.get(pair)!
    const client = [...clients].find(({ dialect }) => dialect.topics().has(key))
    const template = framesOf(false).get(key)?.[0]
    if (client === undefined || template === undefined) return
    const frame = Buffer.from(template.frame)
    stamp(frame, 0, template, advance(pair))
    client.socket.write(frame)
  }, 25)
  timers.add(timer)
}

/** The version that the next update of a book ends at. */
const advance = (pair: TradingPair): number => {
  const version = (versions.get(pair) ?? Protocol.firstVersion) + Protocol.versionStep
  versions.set(pair, version)
  return version
}

const stamp = (target: Uint8Array, at: number, template: Template, version: number): void => {
  if (template.firstVersionAt < 0) return
  const { versionDigits, writeDigits } = Scenario
  writeDigits(target, at + template.firstVersionAt, versionDigits, version - Protocol.versionStep + 1)
  writeDigits(target, at + template.versionAt, versionDigits, version)
}

// ---- permessage-deflate ---------------------------------------------------------------------------------------------

/** Every message on its own (`server_no_context_takeover`), so that frames can be made beforehand. */
const deflated = (
  frames: ReadonlyMap<string, ReadonlyArray<Template>>
): ReadonlyMap<string, ReadonlyArray<Template>> => {
  if (current.isBook) throw new Error(`${current.id}: versions cannot be written into compressed frames`)
  return new Map([...frames].map(([key, variants]) => [
    key,
    variants.map((template) => {
      const body = deflateRawSync(Scenario.payloadOf(template), { finishFlush: constants.Z_SYNC_FLUSH })
      // RFC 7692, 7.2.1: the tail 00 00 ff ff stays at home, and RSV1 says that the message is compressed.
      const { frame, payloadStart } = Scenario.framed(body.subarray(0, -4), template.frame[0]! | 0x40)
      return { frame, payloadStart, firstVersionAt: -1, versionAt: -1 }
    })
  ]))
}

// ---- flood ----------------------------------------------------------------------------------------------------------

interface Stream {
  readonly pair: TradingPair
  readonly variants: ReadonlyArray<Template>
}

const streamsOf = (client: Client, stamped: boolean): ReadonlyArray<Stream> => {
  const subscribed = client.dialect.topics()
  const frames = framesOf(stamped)
  return topics.filter(({ key }) => subscribed.has(key)).map(({ key, pair }) => ({
    pair: pair!,
    variants: frames.get(key)!
  }))
}

/** Variants that are written at once. */
const sliceVariants = 5

interface Slices {
  readonly make: () => Buffer
  readonly release: (written: Buffer) => void
}

/** Makes the next slice of a connection's frames: some variants of every topic, market by market. */
const slicesOf = (streams: ReadonlyArray<Stream>): Slices => {
  const slices: Array<{ readonly bytes: Buffer; readonly parts: ReadonlyArray<Part> }> = []
  for (let variant = 0; variant < Protocol.variantCount; variant += sliceVariants) {
    const parts: Array<Part> = []
    const frames: Array<Buffer> = []
    let at = 0
    for (let v = variant; v < variant + sliceVariants; v++) {
      for (const { pair, variants } of streams) {
        const template = variants[v]!
        parts.push({ at, pair, template })
        frames.push(template.frame)
        at += template.frame.length
      }
    }
    slices.push({ bytes: Buffer.concat(frames), parts })
  }
  // What was written may not have left yet; once it has, its memory is used again.
  const free: Array<Buffer> = []
  const largest = Math.max(...slices.map(({ bytes }) => bytes.length))
  const target = (length: number): Buffer => (free.pop() ?? Buffer.allocUnsafeSlow(largest)).subarray(0, length)
  const release = (written: Buffer): void => {
    free.push(Buffer.from(written.buffer))
  }
  let next = 0
  const make = (): Buffer => {
    const { bytes, parts } = slices[next++ % slices.length]!
    if (!current.isBook) return bytes
    const copy = target(bytes.length)
    copy.set(bytes)
    for (let i = 0; i < parts.length; i++) {
      const { at, pair, template } = parts[i]!
      stamp(copy, at, template, advance(pair))
    }
    return copy
  }
  return { make, release: current.isBook ? release : () => {} }
}

interface Part {
  readonly at: number
  readonly pair: TradingPair
  readonly template: Template
}

const flood = (frames: number): void => {
  const slices = (frames / Scenario.passFramesOf(current)) * (Protocol.variantCount / sliceVariants)
  for (const client of clients) {
    const { make, release } = slicesOf(streamsOf(client, false))
    let left = slices
    const write = (): void => {
      while (left > 0 && !client.socket.destroyed) {
        left--
        const slice = make()
        if (!client.socket.write(slice, () => release(slice))) {
          client.socket.once("drain", write)
          return
        }
      }
    }
    write()
  }
}

// ---- paced ----------------------------------------------------------------------------------------------------------

/** Where a payload has digits behind a decimal point that can be any: the last two of a fraction of three or more. */
const freeDigits = ({ frame, payloadStart, versionAt }: Template): ReadonlyArray<number> => {
  const text = frame.toString("latin1", payloadStart)
  return [...text.matchAll(/\d\.\d(\d\d+)/gu)]
    .map((match) => payloadStart + match.index + match[0].length - 2)
    .filter((at) => at + 2 <= versionAt || at >= versionAt + Scenario.stampDigits)
}

interface Outgoing {
  readonly client: Client
  readonly template: Template
  readonly free: ReadonlyArray<number>
}

/** Variant by variant, so that neighbours are of different pairs and sockets. */
const outgoing = (): ReadonlyArray<Outgoing> => {
  const streams = [...clients].flatMap((client) => streamsOf(client, true).map((stream) => ({ client, ...stream })))
  return Array.from({ length: Protocol.variantCount }, (_, variant) =>
    streams.map(({ client, variants }) => {
      const template = variants[variant]!
      return { client, template, free: freeDigits(template) }
    })).flat()
}

/** How late frames left in the last paced run, µs. */
let lateness = Hdr.build()

/** Stamped with the time it was due, and different from every frame before. */
const freshFrame = ({ free, template }: Outgoing, due: number, draw: () => number): Buffer => {
  const frame = Buffer.from(template.frame)
  for (let i = 0; i < free.length; i++) {
    const digits = Math.floor(draw() * 100)
    frame[free[i]!] = 48 + Math.floor(digits / 10)
    frame[free[i]! + 1] = 48 + digits % 10
  }
  Scenario.writeDigits(frame, template.versionAt, Scenario.stampDigits, Protocol.stampBase + Math.round(due))
  return frame
}

/**
 * Sends at even distances, a burst at a time, and stamps each frame with the time it was due, so that a late sender hides
 * no wait.
 */
const paced = (frames: number, rate: number, burst: number): void => {
  const queue = outgoing()
  const draw = random(frames)
  const { micros } = Protocol
  lateness = Hdr.build()
  const started = micros() + 1_000
  let sent = 0
  const step = (): void => {
    const due = started + (sent * 1_000_000) / rate
    const now = micros()
    if (now >= due) {
      lateness.recordValue(now - due)
      const bytes = new Map<Socket, Array<Buffer>>()
      for (let i = 0; i < burst; i++) {
        const next = queue[sent++ % queue.length]!
        const { socket } = next.client
        const frame = freshFrame(next, due, draw)
        const frames = bytes.get(socket)
        if (frames === undefined) bytes.set(socket, [frame])
        else frames.push(frame)
      }
      for (const [socket, frames] of bytes) socket.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames))
    }
    if (sent < frames && !isDeserted()) setImmediate(step)
  }
  step()
}

const isDeserted = (): boolean => {
  for (const { socket } of clients) if (!socket.destroyed) return false
  return true
}

// ---- protocol -------------------------------------------------------------------------------------------------------

const command = (url: URL): unknown => {
  const number = (name: string): number => Number(url.searchParams.get(name))
  switch (url.pathname.slice("/bench/".length)) {
    case "begin":
      return begin(url)
    case "quiet":
      return quiet()
    case "flood":
      return flood(number("frames"))
    case "paced":
      return paced(number("frames"), number("rate"), number("burst"))
    case "late":
      return { p99: lateness.getValueAtPercentile(99) }
    case "break":
      for (const { socket } of clients) socket.destroy()
      return null
    default:
      throw new Error(`no command ${url.pathname}`)
  }
}

const onHttp = (request: IncomingMessage, response: ServerResponse): void => {
  const url = new URL(request.url!, "http://localhost")
  if (url.pathname.startsWith("/bench/")) {
    response.end(JSON.stringify(command(url) ?? {}))
    return
  }
  const dialect = Scenario.dialectOf(current)
  const answer = dialect.onHttp(
    {
      method: "GET",
      path: url.pathname.slice(dialect.restPath.length),
      query: new Map(url.searchParams),
      search: url.search.slice(1),
      address: "127.0.0.1",
      headers: Scenario.headersOf(current),
      body: ""
    },
    world,
    { limits: "off" }
  )
  response.writeHead(answer.status, answer.headers).end(answer.body)
}

const onConnection = (webSocket: WebSocket, request: IncomingMessage): void => {
  const { socket } = request
  socket.setNoDelay(true)
  const dialect = Scenario.dialectOf(current).connect(world, {
    headers: Scenario.headersOf(current),
    query: new Map(),
    address: "127.0.0.1",
    send: (frame) => webSocket.send(frame),
    close: () => webSocket.close(),
    after: () => () => {}
  }, { limits: "off" })
  const client = { socket, dialect, isDeflated: webSocket.extensions !== "" }
  if (isDeflated && !client.isDeflated) process.stderr.write("a client did not take permessage-deflate\n")
  clients.add(client)
  webSocket.on("message", (data, isBinary) => dialect.onFrame(isBinary ? data as Buffer : String(data)))
  webSocket.on("error", () => socket.destroy())
  webSocket.on("close", () => clients.delete(client))
}

const plainSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
const deflatedSockets = new WebSocketServer({
  noServer: true,
  perMessageDeflate: { serverNoContextTakeover: true, threshold: Number.MAX_SAFE_INTEGER }
})

const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
  const sockets = isDeflated ? deflatedSockets : plainSockets
  sockets.handleUpgrade(request, socket, head, onConnection)
}

/** Certificate and key of the TLS listener, if there are any. */
const [, , cert, key] = process.argv

const listen = (server: ReturnType<typeof createServer>): Promise<number> =>
  new Promise((resolve) => {
    server.on("upgrade", onUpgrade)
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port))
  })

const port = await listen(createServer(onHttp))
const tlsPort = cert === undefined || key === undefined ? null : await listen(createTlsServer({ cert, key }, onHttp))
process.stdout.write(`${JSON.stringify({ port, tlsPort })}\n`)
process.stdin.on("end", () => process.exit(0)).resume()
