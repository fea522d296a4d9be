/**
 * Between the clients of an exchange and its WebSockets, as a process of its own: passes on what both say, and floods the
 * clients when it is told to, with every frame that their sockets take. Where the exchange listens is one argument of JSON;
 * the first line on stdout is its own port. Each line on stdin is a command; it ends with its standard input.
 */
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { constants, setPriority } from "node:os"
import { createInterface } from "node:readline"

export interface FloodProxyOptions {
  readonly host: string
  readonly port: number
}

/**
 * - `repeated`: the latest frames of market data again and again.
 * - `unreadable`: small frames with nothing in them that can be read.
 * - `quiet`: no more than what the exchange says.
 */
export type FloodKind = "repeated" | "unreadable" | "quiet"

/** The answer to each command: what all floods had sent until then. */
export interface Flooded {
  readonly frames: number
  readonly bytes: number
}

/** Written at once. */
const sliceBytes = 64 * 1024
/** So many of the latest frames are repeated. */
const remembered = 64

const finalText = 0x81
const finalBinary = 0x82

/** Bytes of the frame that begins there, header included; 0 when that cannot be told yet. A server's frames are not masked. */
const sizeOf = (bytes: Buffer, at: number): number => {
  if (at + 2 > bytes.length) return 0
  const short = bytes[at + 1]! & 0x7f
  if (short < 126) return 2 + short
  if (short === 126) return at + 4 > bytes.length ? 0 : 4 + bytes.readUInt16BE(at + 2)
  return at + 10 > bytes.length ? 0 : 10 + Number(bytes.readBigUInt64BE(at + 2))
}

/** Binary ones of MEXC, and what Gate calls an update. A book that begins anew would go back in time, as its protocol has it. */
const isMarketData = (frame: Buffer): boolean =>
  frame[0] === finalBinary ||
  (frame[0] === finalText && frame.includes("\"event\":\"update\"") && !frame.includes("\"full\":true"))

/** What sockets hold of a flood, some megabytes, still has to be read behind it: the smaller its frames, the more of them. */
const unreadable = Buffer.concat([Buffer.from([finalText, 62]), Buffer.alloc(62, "x")])

/** A client's socket, as far as a flood needs it. */
export type FloodedSocket = Pick<Socket, "destroyed"> & {
  readonly write: (bytes: Buffer, written?: () => void) => unknown
}

/** All that is flooded, and with what. */
export class Floods {
  kind: FloodKind = "quiet"
  frames = 0
  bytes = 0
  readonly #all = new Set<Flood>()

  add(client: FloodedSocket): Flood {
    const flood = new Flood(client, this)
    this.#all.add(flood)
    return flood
  }

  delete(flood: Flood): void {
    this.#all.delete(flood)
  }

  /** Says what was sent until now. */
  tell(kind: FloodKind): Flooded {
    const { bytes, frames } = this
    this.kind = kind
    for (const flood of this.#all) flood.flow()
    return { frames, bytes }
  }
}

/** One client's connection. */
class Flood {
  readonly #client: FloodedSocket
  readonly #floods: Floods
  /** Of a frame that is not there yet. */
  #rest: Buffer = Buffer.alloc(0)
  #isOpen = false
  readonly #latest: Array<Buffer> = []
  #isWriting = false

  constructor(client: FloodedSocket, floods: Floods) {
    this.#client = client
    this.#floods = floods
  }

  /** What the exchange says goes on in whole frames: between two of them is where a flood may go. */
  read(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    let at = this.#isOpen ? 0 : this.#handshake(all)
    for (let size = sizeOf(all, at); this.#isOpen && size > 0 && at + size <= all.length; size = sizeOf(all, at)) {
      const frame = all.subarray(at, at + size)
      if (isMarketData(frame)) this.#remember(frame)
      at += size
    }
    this.#rest = Buffer.from(all.subarray(at))
    if (at > 0) this.#client.write(Buffer.from(all.subarray(0, at)))
    this.flow()
  }

  /** Where the answer to the handshake ends; 0 while it has not. */
  #handshake(bytes: Buffer): number {
    const end = bytes.indexOf("\r\n\r\n")
    if (end < 0) return 0
    this.#isOpen = true
    return end + 4
  }

  #remember(frame: Buffer): void {
    this.#latest.push(Buffer.from(frame))
    if (this.#latest.length > remembered) this.#latest.shift()
  }

  /** Writes until the client's socket takes no more, and goes on when it does; where there were market data. */
  flow(): void {
    const floods = this.#floods
    if (this.#isWriting || floods.kind === "quiet" || this.#latest.length === 0 || this.#client.destroyed) return
    this.#isWriting = true
    const round = floods.kind === "unreadable" ? [unreadable] : this.#latest
    const bytes = Buffer.concat(round)
    const times = Math.max(1, Math.floor(sliceBytes / bytes.length))
    const slice = Buffer.concat(Array.from({ length: times }, () => bytes))
    floods.frames += times * round.length
    floods.bytes += slice.length
    this.#client.write(slice, () => {
      // What the exchange says, and commands, come between.
      setImmediate(() => {
        this.#isWriting = false
        this.flow()
      })
    })
  }
}

const main = ({ host, port }: FloodProxyOptions): void => {
  // In life the flood is made on another machine, and takes nothing from ours but what its frames cost.
  setPriority(constants.priority.PRIORITY_LOW)
  const floods = new Floods()
  const server = createServer((client) => {
    const flood = floods.add(client)
    const exchange = connect({ host, port })
    const end = (): void => {
      floods.delete(flood)
      client.destroy()
      exchange.destroy()
    }
    for (const socket of [client, exchange]) socket.setNoDelay(true).on("error", end).on("close", end)
    client.on("data", (bytes) => exchange.write(bytes))
    exchange.on("data", (bytes) => flood.read(bytes))
  })
  server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
  createInterface({ input: process.stdin })
    .on("line", (line) => process.stdout.write(`${JSON.stringify(floods.tell(line as FloodKind))}\n`))
    .on("close", () => process.exit(0))
}

if (process.argv[1]?.endsWith("FloodProxy.ts") === true) main(JSON.parse(process.argv[2]!) as FloodProxyOptions)
