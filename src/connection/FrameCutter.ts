/**
 * Cuts whole data frames out of what a socket of `ws` has read. `ws` makes four to six views of its buffer for each
 * frame; this makes one for each read. Everything else (control frames, fragments, frames that a read has cut apart or that break the
 * protocol) goes to `ws` as it came. Source: RFC 6455, section 5.2.
 */
import type { IncomingMessage } from "node:http"
import type { Socket } from "node:net"
import type { WebSocket } from "ws"

export interface FrameCutterOptions {
  /** A larger frame is left to `ws`, which refuses it. */
  readonly maxFrameBytes: number
  /** A text or binary message that stands in one frame: its payload is `bytes[start, end)` of what was read. */
  readonly onFrame: (bytes: Uint8Array, start: number, end: number) => void
  /** Whole frames of any other kind, or the next part of one, in the order in which they came. */
  readonly pass: (bytes: Uint8Array) => void
}

/** The most frames of one message, to be set in the options of `ws` too. */
export const maxFragments = 16 * 1024

const finalText = 0x81
const finalBinary = 0x82
const opcodeBits = 0x0f
const continuation = 0
const binary = 2
const close = 8
const firstControl = 8
const lastControl = 10
const isFinal = 0x80
const reserved = 0x70
const longestControl = 125
const mask = 0x80
const twoByteLength = 126
/** Bytes before the payload, by how the length is written. */
const shortHeader = 2
const mediumHeader = 4
const longHeader = 10

/** State of one connection. Its `read` takes what the socket reads, in order. */
export class FrameCutter {
  private readonly options: FrameCutterOptions
  /** Bytes of a frame that `ws` has begun with and that are still to come. */
  private owed = 0
  /** The beginning of a header that a read has cut apart. */
  private rest: Uint8Array | null = null
  /** A message has begun whose other frames are still to come. */
  private fragmented = false
  /** Of that message, so far. */
  private messageBytes = 0
  private messageFrames = 0
  /** The peer has broken the protocol: `ws` gets all that still comes, and says what is wrong. */
  private over = false
  /** The frame that is passed on now is the peer's last. */
  private closing = false
  /** It has been passed on whole: `ws` wants nothing more, and would take what it got for an error. */
  private closed = false

  constructor(options: FrameCutterOptions) {
    this.options = options
  }

  read(read: Uint8Array): void {
    if (this.closed) return
    const bytes = this.rest === null ? read : joined(this.rest, read)
    this.rest = null
    const end = bytes.length
    let at = 0
    // Plain: decoders that see arrays of one kind only are faster.
    const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, end)
    while (at < end) {
      at = this.owed > 0 || this.over || this.fragmented ? at : this.cut(plain, at)
      if (at < end) at = this.others(bytes, at)
    }
  }

  /** What of a cut header has not been passed on. The connection ends: nothing follows that it could be cut out of. */
  end(): void {
    const { rest } = this
    this.rest = null
    this.over = true
    if (rest !== null) this.options.pass(rest)
  }

  /** Hands over the whole data frames from `at` on; where the first other frame begins. */
  private cut(bytes: Uint8Array, at: number): number {
    const { maxFrameBytes, onFrame } = this.options
    const { length: end } = bytes
    let position = at
    while (position + shortHeader <= end) {
      const first = bytes[position]!
      if (first !== finalText && first !== finalBinary) return position
      let length = bytes[position + 1]!
      let start = position + shortHeader
      if (length === twoByteLength && position + mediumHeader <= end) {
        length = (bytes[position + 2]! << 8) | bytes[position + 3]!
        start = position + mediumHeader
      } else if (length >= twoByteLength) {
        return position
      }
      if (start + length > end || length > maxFrameBytes) return position
      position = start + length
      onFrame(bytes, start, position)
    }
    return position
  }

  /** Passes on what belongs to another frame; the position behind it. */
  private others(bytes: Uint8Array, at: number): number {
    if (this.owed === 0 && !this.over) {
      const size = this.sizeOf(bytes, at)
      if (size === 0) {
        // A copy: `slice` of a Node Buffer would share its memory.
        this.rest = new Uint8Array(bytes.subarray(at))
        return bytes.length
      }
      this.owed = size
    }
    const end = this.over ? bytes.length : Math.min(at + this.owed, bytes.length)
    this.owed -= this.over ? 0 : end - at
    this.options.pass(bytes.subarray(at, end))
    if (!this.closing || this.owed > 0) return end
    this.closed = true
    return bytes.length
  }

  /** Bytes of the frame that begins at `at`, header included; 0 when its header is cut apart. */
  private sizeOf(bytes: Uint8Array, at: number): number {
    const available = bytes.length - at
    if (available < shortHeader) return 0
    const short = bytes[at + 1]! & ~mask
    const header = short < twoByteLength ? shortHeader : short === twoByteLength ? mediumHeader : longHeader
    if (available < header) return 0
    const length = short < twoByteLength ? short : lengthIn(bytes, at + shortHeader, at + header)
    this.judge(bytes[at]!, bytes[at + 1]!, length)
    return header + length
  }

  /** What the frame is for those behind it. `ws` says what is wrong with it. */
  private judge(first: number, second: number, length: number): void {
    const opcode = first & opcodeBits
    if (!this.isAllowed(first, opcode, length) || (second & mask) !== 0) this.over = true
    else if (opcode === close) this.closing = true
    else if (opcode < firstControl) this.count(first, opcode, length)
  }

  private count(first: number, opcode: number, length: number): void {
    const isFirst = opcode !== continuation
    this.messageBytes = (isFirst ? 0 : this.messageBytes) + length
    this.messageFrames = (isFirst ? 0 : this.messageFrames) + 1
    this.fragmented = (first & isFinal) === 0
    if (this.messageBytes > this.options.maxFrameBytes || this.messageFrames > maxFragments) this.over = true
  }

  private isAllowed(first: number, opcode: number, length: number): boolean {
    if ((first & reserved) !== 0) return false
    if (opcode >= firstControl) {
      return opcode <= lastControl && (first & isFinal) !== 0 && length <= longestControl
    }
    return opcode <= binary && (opcode === continuation) === this.fragmented
  }
}

const lengthIn = (bytes: Uint8Array, start: number, end: number): number => {
  let length = 0
  for (let at = start; at < end; at++) length = length * 256 + bytes[at]!
  return length
}

const joined = (first: Uint8Array, second: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(first.length + second.length)
  bytes.set(first)
  bytes.set(second, first.length)
  return bytes
}

/**
 * Puts a cutter between an opening socket and `ws`. Where that cannot be done (compression, or a `ws` that reads its
 * socket in another way) `ws` goes on alone: messages then come by its `message` event, as those do that are passed on.
 */
export const cutFrames = (socket: WebSocket, options: Omit<FrameCutterOptions, "pass">): void => {
  let raw: Socket | undefined
  socket.once("upgrade", (response: IncomingMessage) => {
    raw = response.socket
  })
  socket.once("open", () => {
    if (raw === undefined || socket.extensions !== "") return
    const [listener, ...others] = raw.listeners("data")
    if (listener !== undefined && others.length === 0) intercept(socket, raw, listener as ReadListener, options)
  })
}

/** What `ws` listens to its socket with. */
type ReadListener = (this: Socket, bytes: Uint8Array) => void

/**
 * Takes the place of the listener of `ws`, which `ws` itself takes off its socket in three cases. It looks for its own
 * there, so each has to be done here as well:
 * - The peer's close frame was read ("conclude"): what comes behind it flows off unread, until the peer's FIN. The cutter
 *   drops it; `ws`'s receiver has ended, calls a write an error and pauses the socket, which hides the FIN.
 * - Its receiver has failed, of which `error` tells: the rest flows off unread too.
 * - The socket has closed: of a paused one, `ws` reads what is left by itself, past any listener.
 */
const intercept = (
  socket: WebSocket,
  raw: Socket,
  listener: ReadListener,
  options: Omit<FrameCutterOptions, "pass">
): void => {
  const cutter = new FrameCutter({ ...options, pass: (bytes) => listener.call(raw, bytes) })
  const onData = (bytes: Uint8Array): void => cutter.read(bytes)
  const leave = (): void => {
    raw.off("data", onData)
    cutter.end()
  }
  raw.on("data", onData)
  raw.off("data", listener)
  // Before `ws`, which then reads by itself what the socket still holds.
  raw.prependOnceListener("close", leave)
  socket.once("error", () => raw.off("data", onData))
}
