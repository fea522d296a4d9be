/**
 * Cuts whole data frames out of what a socket of `ws` reads. `ws` makes four to six views of its buffer for each frame,
 * and Node takes new memory for each read; this does neither. Everything else (control frames, fragments, what is too large or breaks
 * the protocol) goes to `ws` as it came. Source: RFC 6455, section 5.2.
 */
import * as Net from "node:net"
import * as Tls from "node:tls"
import type { WebSocket } from "ws"
import type { TurnBudget } from "./TurnBudget.ts"

export interface FrameCutterOptions {
  /** A larger frame is left to `ws`, which refuses it. */
  readonly maxFrameBytes: number
  /** The most that one read brings, and the largest frame that is cut, header included. */
  readonly readBytes: number
  /** A text or binary message that stands in one frame: its payload is `bytes[start, end)`, until this returns. */
  readonly onFrame: (bytes: Uint8Array, start: number, end: number) => void
  /** Whole frames of any other kind, or the next part of one, in the order in which they came, until this returns. */
  readonly pass: (bytes: Uint8Array) => void
  /** Asked every few frames: the rest waits for `goOn`. */
  readonly isSpent: () => boolean
}

/** Frames between two questions whether the time is spent. */
const askEvery = 32

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

/** State of one connection, and the memory that it is read into. */
export class FrameCutter {
  private readonly options: FrameCutterOptions
  /** All that is read; the next read writes over what has been handed over. */
  private readonly bytes: Uint8Array
  /** Where the next read belongs: behind the beginning of a frame whose other bytes are still to come. */
  room: Uint8Array
  /** Where it begins: so many bytes are in memory. */
  private filled = 0
  /** Where the work goes on, while it waits. */
  private at = 0
  /** Frames before the next question whether the time is spent. */
  private left = 0
  /** The time is spent: what was read waits for `goOn`, and nothing more should be read. */
  isWaiting = false
  /** Bytes of a frame that `ws` has begun with and that are still to come. */
  private owed = 0
  /** A message has begun whose other frames are still to come. */
  private fragmented = false
  /** Of that message, so far. */
  private messageBytes = 0
  private messageFrames = 0
  /** The peer has broken the protocol: `ws` gets all that still comes, and says what is wrong. */
  private over = false
  /** The frame that is passed on now is the peer's last. */
  private closing = false
  /** That has been passed on whole, or all is over: `ws` wants nothing more, and would take what it got for an error. */
  private closed = false

  constructor(options: FrameCutterOptions) {
    this.options = options
    this.bytes = this.room = new Uint8Array(options.readBytes)
  }

  /** So many bytes were read into `room`; not while something waits. */
  read(length: number): void {
    if (!this.closed) this.work(0, this.filled + length, this.options.isSpent)
  }

  /** Takes bytes that were read elsewhere. */
  feed(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.closed;) {
      if (this.isWaiting && bytes.length - at > this.bytes.length - this.filled) this.rush()
      const part = bytes.subarray(at, at + this.bytes.length - this.filled)
      this.bytes.set(part, this.filled)
      at += part.length
      if (this.isWaiting) this.filled += part.length
      else this.read(part.length)
    }
  }

  /** Works on what waits, until the time is spent again. */
  goOn(): void {
    this.resume(this.options.isSpent)
  }

  /** The connection has ended: what has begun goes to `ws`, for the rest of it will not come. */
  end(): void {
    this.rush()
    if (this.filled > 0 && !this.closed) this.options.pass(this.bytes.subarray(0, this.filled))
    this.drop()
  }

  /** Nothing is handed over or passed on any more. */
  drop(): void {
    this.closed = true
    this.isWaiting = false
  }

  /** Works on all that waits, however long it takes. */
  rush(): void {
    this.resume(never)
  }

  private resume(isSpent: () => boolean): void {
    if (!this.isWaiting) return
    this.isWaiting = false
    this.work(this.at, this.filled, isSpent)
  }

  private work(from: number, end: number, isSpent: () => boolean): void {
    let at = from
    this.left = askEvery
    while (at < end) {
      const before = at
      at = this.step(at, end)
      if (at === before) break
      if (this.left > 0) continue
      this.left = askEvery
      if (at < end && isSpent()) return this.wait(at, end)
    }
    this.keep(at, end)
  }

  /** The next data frames, or what belongs to another one; where that ends, which is `at` when more must be read first. */
  private step(at: number, end: number): number {
    const next = this.owed === 0 && !this.over && !this.fragmented ? this.cut(this.bytes, at, end) : at
    if (next > at) return next
    this.left--
    return this.others(at, end)
  }

  private wait(at: number, end: number): void {
    this.isWaiting = !this.closed
    this.at = at
    this.filled = end
  }

  /** Puts the bytes that stay to the front. */
  private keep(at: number, end: number): void {
    const begun = end - at
    if (begun > 0 && at > 0) this.bytes.copyWithin(0, at, end)
    this.filled = begun
    if (begun === this.room.byteOffset - this.bytes.byteOffset) return
    this.room = begun === 0 ? this.bytes : this.bytes.subarray(begun)
  }

  /** Hands over the whole data frames from `at` on, at most as many as are left; where they end. */
  private cut(bytes: Uint8Array, at: number, end: number): number {
    const { maxFrameBytes, onFrame } = this.options
    let position = at
    let left = this.left
    while (left > 0 && position + shortHeader <= end) {
      const first = bytes[position]!
      if (first !== finalText && first !== finalBinary) break
      let length = bytes[position + 1]!
      let start = position + shortHeader
      if (length === twoByteLength && position + mediumHeader <= end) {
        length = (bytes[position + 2]! << 8) | bytes[position + 3]!
        start = position + mediumHeader
      } else if (length >= twoByteLength) {
        break
      }
      if (start + length > end || length > maxFrameBytes) break
      position = start + length
      left--
      onFrame(bytes, start, position)
    }
    this.left = left
    return position
  }

  /** Passes on what belongs to another frame; the position behind it, or `at` when more must be read first. */
  private others(at: number, end: number): number {
    if (at === end || (this.owed === 0 && !this.over && !this.begin(at, end))) return at
    const next = this.over ? end : Math.min(at + this.owed, end)
    this.owed -= this.over ? 0 : next - at
    this.options.pass(this.bytes.subarray(at, next))
    if (!this.closing || this.owed > 0) return next
    this.closed = true
    return end
  }

  /** Whether the frame that begins at `at` is one for `ws`; more must be read to know, or to cut it, when it is not. */
  private begin(at: number, end: number): boolean {
    const size = this.sizeOf(at, end)
    if (size === 0 || (at + size > end && this.isCutLater(at, size))) return false
    this.judge(this.bytes[at]!, this.bytes[at + 1]!, size)
    this.owed = size
    return true
  }

  /** Bytes of the frame that begins at `at`, header included; 0 when its header is not there yet. */
  private sizeOf(at: number, end: number): number {
    const { bytes } = this
    const available = end - at
    if (available < shortHeader) return 0
    const short = bytes[at + 1]! & ~mask
    const header = headerOf(short)
    if (available < header) return 0
    return header + (short < twoByteLength ? short : lengthIn(bytes, at + shortHeader, at + header))
  }

  /** Whether a frame that is not there yet will be cut when it is. */
  private isCutLater(at: number, size: number): boolean {
    const first = this.bytes[at]!
    const length = this.bytes[at + 1]!
    return (first === finalText || first === finalBinary) && !this.fragmented && length <= twoByteLength
      && size <= this.bytes.length && size - headerOf(length) <= this.options.maxFrameBytes
  }

  /** What the frame is for those behind it. `ws` says what is wrong with it. */
  private judge(first: number, second: number, size: number): void {
    const length = size - headerOf(second & ~mask)
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

const never = (): boolean => false

/** Bytes before the payload, by the length's first byte. */
const headerOf = (short: number): number =>
  short < twoByteLength ? shortHeader : short === twoByteLength ? mediumHeader : longHeader

const lengthIn = (bytes: Uint8Array, start: number, end: number): number => {
  let length = 0
  for (let at = start; at < end; at++) length = length * 256 + bytes[at]!
  return length
}

/** Of each connection that is cut. Pages that no read has reached yet take no memory. */
const readBytes = 256 * 1024

/** For the answer to the handshake, and for all where `ws` goes on alone. */
const uncutBytes = 64 * 1024

interface CutOptions extends Pick<FrameCutterOptions, "maxFrameBytes" | "onFrame"> {
  /** More is about to be handed over of what was read before. */
  readonly onGoOn: () => void
  /** Shares the budget with others, each as much as the other. */
  readonly owner: string
  /** Shared by all that are to leave each other time. */
  readonly budget: Pick<TurnBudget, "begin" | "checkExceeded" | "checkSpent" | "wait">
}

/** How to make a socket of `ws` whose frames are cut, and what to do with it in the same turn. */
export interface Cutting {
  /** The option of `ws` of this name. */
  readonly createConnection: typeof Net.createConnection
  readonly attach: (socket: WebSocket) => void
  /** Bytes that the socket has read so far; 0 where `ws` makes its socket by itself. */
  readonly bytesRead: () => number
}

/**
 * Reads a connection into the same memory again and again, and puts a cutter between it and `ws`. Node would take 64 KiB for
 * each read, which only a garbage collection gives back. Where frames cannot be cut (compression, or a `ws` that
 * connects or reads in another way, as that of Bun) `ws` goes on alone: messages then come by its `message` event, as those do that are passed on.
 */
export const cutFrames = (url: string, options: CutOptions): Cutting => {
  const uncut = new Uint8Array(uncutBytes)
  let raw: Net.Socket | undefined
  let cutter: FrameCutter | undefined
  /** What came with the answer to the handshake comes by `data`, and before what was read behind it. */
  const isUncut = (): boolean => cutter === undefined || raw!.readableLength > 0
  const { budget } = options
  /** Reading has stopped until its turn comes. */
  let isHeld = false
  const goOn = (): boolean => {
    if (cutter?.isWaiting === true) {
      options.onGoOn()
      cutter.goOn()
      if (cutter.isWaiting) return true
    }
    isHeld = false
    // Whoever has paused it reads on when it likes.
    if (!raw!.destroyed && !raw!.isPaused()) raw!.resume()
    return false
  }
  const hold = (): void => {
    if (isHeld) return
    isHeld = true
    budget.wait(options.owner, goOn)
  }
  /** Whether more is to be taken from the socket in this turn, of which a short read, but for TLS, brought the last. */
  const isEnough = (length: number, bytes: Uint8Array): boolean =>
    cutter?.isWaiting === true || ((length === bytes.length || raw instanceof Tls.TLSSocket) && budget.checkSpent())
  const take = (length: number, bytes: Uint8Array): boolean => {
    if (isUncut()) return raw!.push(Buffer.from(bytes.subarray(0, length)))
    if (bytes === uncut) cutter!.feed(uncut.subarray(0, length))
    else cutter!.read(length)
    return true
  }
  const callback = (length: number, bytes: Uint8Array): boolean => {
    budget.begin()
    const isWanted = take(length, bytes)
    if (!isEnough(length, bytes)) return isWanted
    hold()
    return false
  }
  const onread: Net.OnReadOpts = {
    buffer: () => isUncut() || cutter!.isWaiting ? uncut : cutter!.room,
    callback
  }
  const createConnection = (wanted: Net.TcpNetConnectOpts & Tls.ConnectionOptions): Net.Socket => {
    // As `ws` does it. The path is that of the URL: here it would be a socket of the file system.
    const all = { ...wanted, path: undefined, onread }
    raw = /^wss:/i.test(url)
      ? Tls.connect({ ...all, servername: wanted.servername ?? (Net.isIP(wanted.host!) === 0 ? wanted.host! : "") })
      : Net.connect(all)
    return raw
  }
  return {
    createConnection: createConnection as typeof Net.createConnection,
    bytesRead: () => raw?.bytesRead ?? 0,
    attach: (socket) => {
      socket.once("open", () => {
        if (raw === undefined || socket.extensions !== "") return
        const [listener, ...others] = raw.listeners("data")
        if (listener === undefined || others.length > 0) return
        cutter = intercept(socket, raw, listener as ReadListener, options, hold)
      })
    }
  }
}

/** What `ws` listens to its socket with. */
type ReadListener = (this: Net.Socket, bytes: Uint8Array) => void

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
  raw: Net.Socket,
  listener: ReadListener,
  options: CutOptions,
  hold: () => void
): FrameCutter => {
  const { budget } = options
  const cutter = new FrameCutter({
    ...options,
    readBytes,
    // A copy: `ws` keeps the parts of a frame until it is whole.
    pass: (bytes) => listener.call(raw, Buffer.from(bytes)),
    isSpent: () => budget.checkExceeded()
  })
  const onData = (bytes: Uint8Array): void => {
    cutter.feed(bytes)
    if (cutter.isWaiting) hold()
  }
  raw.on("data", onData)
  raw.off("data", listener)
  // TLS tells the end in the read that brings it, and `ws` takes no more behind it.
  raw.prependOnceListener("end", () => {
    if (cutter.isWaiting) options.onGoOn()
    cutter.rush()
  })
  // Before `ws`, which then reads by itself what the socket still holds.
  raw.prependOnceListener("close", () => {
    raw.off("data", onData)
    cutter.end()
  })
  socket.once("error", () => cutter.drop())
  return cutter
}
