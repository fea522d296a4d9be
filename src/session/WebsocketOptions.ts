/** The options of an exchange's public half, and where they come from: its caller, the configuration, the defaults. */
import { Config, ConfigProvider, Effect, Option } from "effect"
import type { Duration } from "effect"
import type { Dial } from "../connection/Connection.ts"
import type * as FrameSocket from "../connection/FrameSocket.ts"
import type * as Journal from "../connection/Journal.ts"
import * as Reconnect from "../connection/Reconnect.ts"
import type { PublicTag } from "../domain/Channel.ts"
import { publicTags } from "../domain/Channel.ts"
import type { ExchangeAdapter, Limits, SilenceBound, SilenceBounds } from "../ExchangeAdapter.ts"

/** Every field may be left out; the defaults are the adapter's, or stand here. */
export interface WebsocketOptions {
  /** WebSocket URL: the simulator's, a proxy's. The live one by default. */
  readonly url?: string | undefined
  /** REST base URL without trailing slash. The live one by default. */
  readonly restUrl?: string | undefined
  /** How sockets are opened: `openTimeout` (5 s), `maxFrameBytes` (8 MiB), `compression` (off), and the read-ahead. */
  readonly socket?: FrameSocket.SocketOptions | undefined
  /**
   * Back-off and when a life counts as healthy. Unlimited: 50 ms to 1 s in the first minute, 2 s in the first five, then up
   * to 30 s; `Reconnect.makeBackoff` makes others.
   */
  readonly reconnect?: Reconnect.ReconnectPolicy | undefined
  /** When to ping and when to give up. The adapter's by default. */
  readonly heartbeat?:
    | {
      readonly interval?: Duration.Input | undefined
      readonly timeout?: Duration.Input | undefined
      /** Ping a new connection that has brought nothing for this long. Default 500 ms. */
      readonly first?: Duration.Input | undefined
    }
    | undefined
  /**
   * Give a connection up when none of its topics brought data for this long; null: not for a fixed time, only by its own pace
   * (`silence`). Default 5 minutes.
   */
  readonly staleAfter?: Duration.Input | null | undefined
  /**
   * Subscribe a topic anew when it brought nothing for this long; null: never; `{ floor, ceiling }`: for so long as is
   * learned from its arrivals, within these. The adapter's by default.
   */
  readonly silence?: SilenceBounds | undefined
  /** How long the exchange has to answer a subscription. Default 5 s. */
  readonly answerTimeout?: Duration.Input | undefined
  /** Close a connection that has had no topics for this long. Default 5 s. */
  readonly idleTimeout?: Duration.Input | undefined
  /**
   * Replace a connection at this age, a tenth of it earlier at random, without a break; null: never. By default shortly
   * before the exchange ends connections by itself, see `limits.connectionAge`.
   */
  readonly rotateAfter?: Duration.Input | null | undefined
  /** How long the exchange has to answer a REST request. Default 10 s. */
  readonly requestTimeout?: Duration.Input | undefined
  /**
   * Limits to keep to in place of the exchange's documented ones: raised for a simulator that enforces none, lowered where
   * an address is shared. How topics are divided among requests (`topicsPerRequest`, `requestBytes`) is the adapter's own.
   */
  readonly limits?: Partial<Omit<Limits, "topicsPerRequest" | "requestBytes">> | undefined
  /** Events held for each stream that does not say otherwise. Default 1024. */
  readonly bufferSize?: number | undefined
  /** Writes the session down, to be run again: see `Journal`. One recorder for one session. */
  readonly journal?: Journal.Recorder | undefined
  /** Wraps every dial: fault injection. */
  readonly through?: ((dial: Dial) => Dial) | undefined
}

/** What redundant feeds need beside the options of an exchange. */
export interface RedundantOptions extends WebsocketOptions {
  /** So many sockets carry every topic. Default 2. */
  readonly connections?: number | undefined
  /** WebSocket URLs to spread them over, one after the other: other hosts of the exchange. By default `url` for all. */
  readonly urls?: ReadonlyArray<string> | undefined
}

export const defaults = {
  staleAfter: "5 minutes",
  answerTimeout: "5 seconds",
  idleTimeout: "5 seconds",
  requestTimeout: "10 seconds"
} as const

// ---- from the configuration -----------------------------------------------------------------------------------------

/** The environment variables of an exchange start with this: `MEXC_SPOT_` for `mexc-spot`. */
export const prefixOf = (adapter: ExchangeAdapter): string => `${adapter.id.toUpperCase().replaceAll("-", "_")}_`

/** "off" in the configuration is null here: the watch is not kept. */
const durationOrOff = (name: string): Config.Config<Duration.Duration | null> =>
  Config.Literal("off", name).pipe(Config.map(() => null), Config.orElse(() => Config.Duration(name)))

/** The environment variables of a channel hold this: `BOOK_TICKER`. */
const variableOf = (tag: PublicTag): string => tag.replaceAll(/(?!^)([A-Z])/g, "_$1").toUpperCase()

/** Where neither says otherwise: a bound that is learned for a channel that has none by itself. */
const learnedBounds = { floor: "5 seconds", ceiling: "10 minutes" } as const

interface SilenceValues {
  readonly fixed: Duration.Duration | null | undefined
  readonly floor: Duration.Duration | undefined
  readonly ceiling: Duration.Duration | undefined
}

/** A plain bound stands alone; a floor or a ceiling changes what is learned. Undefined: as the adapter has it. */
const silenceOf = (own: SilenceBound | null | undefined, { ceiling, fixed, floor }: SilenceValues) => {
  if (floor === undefined && ceiling === undefined) return fixed
  const learned = typeof own === "object" && own !== null && "floor" in own ? own : learnedBounds
  return { ...learned, ...given({ floor, ceiling }) }
}

const contradiction = (name: string): Config.ConfigError =>
  new Config.ConfigError(
    new ConfigProvider.SourceError({
      message:
        `${name} sets a bound that is not learned, so ${name}_FLOOR and ${name}_CEILING say nothing; leave one out`
    })
  )

const silenceConfig = (adapter: ExchangeAdapter, prefix: string): Config.Config<SilenceBounds> => {
  const optional = <A>(config: Config.Config<A>) => Config.map(Config.option(config), Option.getOrUndefined)
  const bounds = publicTags.map((tag) => {
    const name = `${prefix}SILENCE_${variableOf(tag)}`
    return Config.all({
      fixed: optional(durationOrOff(name)),
      floor: optional(Config.Duration(`${name}_FLOOR`)),
      ceiling: optional(Config.Duration(`${name}_CEILING`))
    }).pipe(Config.mapEffect((values) => {
      const { ceiling, fixed, floor } = values
      const isBoth = fixed !== undefined && (floor !== undefined || ceiling !== undefined)
      return isBoth ? Effect.fail(contradiction(name)) : Effect.succeed([tag, silenceOf(adapter.silence[tag], values)])
    }))
  })
  return Config.map(Config.all(bounds), (entries) => given(Object.fromEntries(entries) as SilenceBounds))
}

/**
 * The options as configuration, each optional: `<PREFIX>WS_URL`, `REST_URL`, `OPEN_TIMEOUT`, `MAX_FRAME_BYTES`,
 * `COMPRESSION`, `HIGH_WATER_BYTES`, `BATCH_FRAMES`, `PING_INTERVAL`, `PING_TIMEOUT`, `PING_FIRST`, `STALE_AFTER`,
 * `SILENCE_<CHANNEL>` (a duration or `off`), `SILENCE_<CHANNEL>_FLOOR`, `SILENCE_<CHANNEL>_CEILING`, `ANSWER_TIMEOUT`,
 * `IDLE_TIMEOUT`, `ROTATE_AFTER` (a duration or `off`), `REQUEST_TIMEOUT`, `BUFFER_SIZE`, `RECONNECT_STABLE_AFTER`.
 * `<CHANNEL>` is one of `BOOK_TICKER`, `TRADES`, `BOOK`, `TICKER`, `KLINE`, `FUTURES_TICKER`, `LIQUIDATIONS`,
 * `CONTRACT_STATS`.
 */
export const config = (adapter: ExchangeAdapter): Config.Config<WebsocketOptions> => {
  const prefix = prefixOf(adapter)
  const optional = <A>(make: (name: string) => Config.Config<A>, name: string): Config.Config<A | undefined> =>
    Config.map(Config.option(make(prefix + name)), Option.getOrUndefined)
  return Config.all({
    url: optional(Config.NonEmptyString, "WS_URL"),
    restUrl: optional(Config.NonEmptyString, "REST_URL"),
    openTimeout: optional(Config.Duration, "OPEN_TIMEOUT"),
    maxFrameBytes: optional(Config.Int, "MAX_FRAME_BYTES"),
    compression: optional(Config.Boolean, "COMPRESSION"),
    highWaterBytes: optional(Config.Int, "HIGH_WATER_BYTES"),
    batchFrames: optional(Config.Int, "BATCH_FRAMES"),
    pingInterval: optional(Config.Duration, "PING_INTERVAL"),
    pingTimeout: optional(Config.Duration, "PING_TIMEOUT"),
    pingFirst: optional(Config.Duration, "PING_FIRST"),
    staleAfter: optional(durationOrOff, "STALE_AFTER"),
    silence: silenceConfig(adapter, prefix),
    answerTimeout: optional(Config.Duration, "ANSWER_TIMEOUT"),
    idleTimeout: optional(Config.Duration, "IDLE_TIMEOUT"),
    rotateAfter: optional(durationOrOff, "ROTATE_AFTER"),
    requestTimeout: optional(Config.Duration, "REQUEST_TIMEOUT"),
    bufferSize: optional(Config.Int, "BUFFER_SIZE"),
    stableAfter: optional(Config.Duration, "RECONNECT_STABLE_AFTER")
  }).pipe(Config.map((values) => ({
    url: values.url,
    restUrl: values.restUrl,
    socket: {
      openTimeout: values.openTimeout,
      maxFrameBytes: values.maxFrameBytes,
      compression: values.compression,
      highWaterBytes: values.highWaterBytes,
      batchFrames: values.batchFrames
    },
    heartbeat: { interval: values.pingInterval, timeout: values.pingTimeout, first: values.pingFirst },
    staleAfter: values.staleAfter,
    silence: values.silence,
    answerTimeout: values.answerTimeout,
    idleTimeout: values.idleTimeout,
    rotateAfter: values.rotateAfter,
    requestTimeout: values.requestTimeout,
    bufferSize: values.bufferSize,
    reconnect: values.stableAfter === undefined
      ? undefined
      : { ...Reconnect.defaults, stableAfter: values.stableAfter }
  })))
}

/** `overrides` win field by field, also within `socket`, `heartbeat`, `silence` and
 * `limits`; what they leave undefined stands. */
export const merge = (options: WebsocketOptions, overrides: WebsocketOptions): WebsocketOptions => ({
  ...options,
  ...given(overrides),
  socket: { ...options.socket, ...given(overrides.socket) },
  heartbeat: { ...options.heartbeat, ...given(overrides.heartbeat) },
  silence: { ...options.silence, ...given(overrides.silence) },
  limits: { ...options.limits, ...given(overrides.limits) }
})

type Given<A> = { readonly [K in keyof A]?: Exclude<A[K], undefined> }

/** Those fields that are not undefined. */
export const given = <A extends object>(fields: A | undefined): Given<A> =>
  Object.fromEntries(Object.entries(fields ?? {}).filter(([, value]) => value !== undefined)) as Given<A>
