/** What can be set about one socket. */
import { Duration } from "effect"

export interface SocketOptions {
  /** How long the handshake may take. Default 5 s. */
  readonly openTimeout?: Duration.Input | undefined
  /** A larger frame, also after inflating, ends the connection with `FrameTooLarge`. Default 8 MiB. */
  readonly maxFrameBytes?: number | undefined
  /** Offer permessage-deflate. Default false: inflating a frame costs far more time than reading it. */
  readonly compression?: boolean | undefined
  /**
   * Reading stops when unread frames keep this many bytes in memory, and goes on once all were pulled. A frame counts 64
   * bytes more than it has. Default 1 MiB.
   */
  readonly highWaterBytes?: number | undefined
  /**
   * The most frames in one batch. Default 64: the first frame of a burst does not wait for the decoding of the last. Further
   * ones of the same read may have twice, four and eight times as many: they wait anyway, and to wake a stream costs some µs.
   */
  readonly batchFrames?: number | undefined
}

export interface Settings {
  readonly openTimeout: Duration.Input
  readonly maxFrameBytes: number
  readonly compression: boolean
  readonly highWaterBytes: number
  readonly batchFrames: number
}

export const defaults: Settings = {
  openTimeout: "5 seconds",
  maxFrameBytes: 8 * 1024 * 1024,
  compression: false,
  highWaterBytes: 1024 * 1024,
  batchFrames: 64
}

export const settingsOf = (options: SocketOptions = {}): Settings => ({
  openTimeout: options.openTimeout ?? defaults.openTimeout,
  maxFrameBytes: options.maxFrameBytes ?? defaults.maxFrameBytes,
  compression: options.compression ?? defaults.compression,
  highWaterBytes: options.highWaterBytes ?? defaults.highWaterBytes,
  batchFrames: options.batchFrames ?? defaults.batchFrames
})

/** `ws` keeps its bounds as signed 32 bit integers. */
const largest = 2 ** 31 - 1

const isCount = (value: number): boolean => Number.isInteger(value) && value >= 1 && value <= largest

/** What is wrong with the settings; null when nothing is. */
export const problemOf = (settings: Settings): string | null => {
  for (const name of ["maxFrameBytes", "highWaterBytes", "batchFrames"] as const) {
    if (!isCount(settings[name])) {
      return `${name} is ${settings[name]} but must be a whole number from 1 to ${largest}`
    }
  }
  const timeout = Duration.toMillis(settings.openTimeout)
  return timeout > 0 ? null : `openTimeout is ${timeout} ms but must be positive`
}
