/**
 * The load: a process that answers the exchanges' own requests (through the dialects) and then writes frames, framed
 * beforehand, straight to the TCP socket as fast as the client reads. Prints its port; ends with its standard input.
 *
 * `POST /bench/begin?case=…` starts over, `POST /bench/quiet` holds everything, `POST /bench/flood?frames=N` and
 * `POST /bench/paced?frames=N&rate=R` send. Everything else is the exchange's REST.
 */
import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import type { WebSocket } from "ws"
import { WebSocketServer } from "ws"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { DialectConnection, World } from "../../src/ExchangeDialect.ts"
import type { Case, Template } from "./Scenario.ts"
import * as Scenario from "./Scenario.ts"

interface Client {
  readonly socket: Socket
  readonly dialect: DialectConnection
}

const versions = new Map<TradingPair, number>()
const clients = new Set<Client>()
const timers = new Set<NodeJS.Timeout>()
let current: Case = Scenario.cases[0]!
let world: World = Scenario.makeWorld(() => Scenario.firstVersion)

/** One case's frames at a time: they are not kept, so that the process stays small. */
let cached: { readonly key: string; readonly frames: ReadonlyMap<string, ReadonlyArray<Template>> } | null = null

const framesOf = (stamped: boolean): ReadonlyMap<string, ReadonlyArray<Template>> => {
  const key = `${current.id} ${stamped}`
  if (cached?.key !== key) cached = { key, frames: Scenario.templates(current, stamped) }
  return cached.frames
}

const begin = (id: string): void => {
  current = Scenario.cases.find((each) => each.id === id)!
  quiet()
  clients.clear()
  versions.clear()
  world = Scenario.makeWorld((pair) => versions.get(pair) ?? Scenario.firstVersion, { onBook: afterSnapshot })
  framesOf(false)
}

const quiet = (): void => {
  for (const timer of timers) clearTimeout(timer)
  timers.clear()
}

/** A snapshot is shown once a delta has joined it: one follows soon. */
const afterSnapshot = (pair: TradingPair): void => {
  const timer = setTimeout(() => {
    timers.delete(timer)
    const index = Scenario.pairs.indexOf(pair)
    const { key } = Scenario.topicsOf(current)[index]!
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
  const version = (versions.get(pair) ?? Scenario.firstVersion) + Scenario.versionStep
  versions.set(pair, version)
  return version
}

const stamp = (target: Uint8Array, at: number, template: Template, version: number): void => {
  if (template.firstVersionAt < 0) return
  const { versionDigits, versionStep, writeDigits } = Scenario
  writeDigits(target, at + template.firstVersionAt, versionDigits, version - versionStep + 1)
  writeDigits(target, at + template.versionAt, versionDigits, version)
}

// ---- flood ----------------------------------------------------------------------------------------------------------

interface Stream {
  readonly pair: TradingPair
  readonly variants: ReadonlyArray<Template>
}

const streamsOf = (client: Client, stamped: boolean): ReadonlyArray<Stream> => {
  const topics = client.dialect.topics()
  const frames = framesOf(stamped)
  const streams: Array<Stream> = []
  Scenario.topicsOf(current).forEach((topic, index) => {
    if (topics.has(topic.key)) streams.push({ pair: Scenario.pairs[index]!, variants: frames.get(topic.key)! })
  })
  return streams
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
  for (let variant = 0; variant < Scenario.variantCount; variant += sliceVariants) {
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
  for (const client of clients) {
    const streams = streamsOf(client, false)
    const { make, release } = slicesOf(streams)
    let left = (frames / Scenario.passFrames) * (Scenario.variantCount / sliceVariants)
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

const micros = (): number => Number(process.hrtime.bigint() / 1_000n)

/** Sends at even distances and stamps each frame with the time it was due, so that a late sender hides no wait. */
const paced = (frames: number, rate: number): void => {
  const queue = [...clients].flatMap((client) =>
    streamsOf(client, true).flatMap(({ variants }) => variants.map((template) => ({ client, template })))
  )
  const started = micros() + 1_000
  let sent = 0
  const step = (): void => {
    const due = started + (sent * 1_000_000) / rate
    if (micros() >= due) {
      const { client, template } = queue[sent % queue.length]!
      const frame = Buffer.from(template.frame)
      Scenario.writeDigits(frame, template.versionAt, Scenario.stampDigits, Scenario.stampBase + Math.round(due))
      client.socket.write(frame)
      sent++
    }
    if (sent < frames && !client0Gone()) setImmediate(step)
  }
  const client0Gone = (): boolean => [...clients].every(({ socket }) => socket.destroyed)
  step()
}

// ---- protocol -------------------------------------------------------------------------------------------------------

const command = (url: URL): void => {
  const number = (name: string): number => Number(url.searchParams.get(name))
  if (url.pathname === "/bench/begin") begin(url.searchParams.get("case") ?? "")
  else if (url.pathname === "/bench/quiet") quiet()
  else if (url.pathname === "/bench/flood") flood(number("frames"))
  else paced(number("frames"), number("rate"))
}

const onHttp = (request: IncomingMessage, response: ServerResponse): void => {
  const url = new URL(request.url!, "http://localhost")
  if (url.pathname.startsWith("/bench/")) {
    command(url)
    response.end("{}")
    return
  }
  const answer = current.dialect.onHttp(
    {
      method: "GET",
      path: url.pathname.slice(current.dialect.restPath.length),
      query: new Map(url.searchParams),
      search: url.search.slice(1),
      address: "127.0.0.1",
      headers: {},
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
  const dialect = current.dialect.connect(world, {
    headers: {},
    query: new Map(),
    address: "127.0.0.1",
    send: (frame) => webSocket.send(frame),
    close: () => webSocket.close(),
    after: () => () => {}
  }, { limits: "off" })
  const client = { socket, dialect }
  clients.add(client)
  webSocket.on("message", (data, isBinary) => dialect.onFrame(isBinary ? data as Buffer : String(data)))
  webSocket.on("error", () => socket.destroy())
  webSocket.on("close", () => clients.delete(client))
}

const http = createServer(onHttp)
new WebSocketServer({ server: http, perMessageDeflate: false }).on("connection", onConnection)
http.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${(http.address() as AddressInfo).port}\n`)
})
process.stdin.on("end", () => process.exit(0)).resume()
