/** What a subscriber receives: data, and in band, in order, every break in it. */
import type { PublicTag } from "./Channel.ts"
import type { ExchangeId, TradingPair } from "./Instrument.ts"
import type { Sequence } from "./Sequence.ts"

export interface Data<A> {
  readonly _tag: "Data"
  readonly value: A
  /** When the bytes were read from the socket, ms with fractions. */
  readonly receivedAt: number
  /** `Stream`: pushed by the exchange. `Reconciled`: fetched to fill a break. */
  readonly origin: "Stream" | "Reconciled"
}

/**
 * Something may be missing here.
 *
 * - `Reconnected`: the connection was replaced, or the topic was taken off it and on again; what happened meanwhile is
 *   unknown.
 * - `Sequence`: the exchange's version chain has a hole, `from` to `to`.
 * - `Overflow`: this subscriber was too slow; `lost` events were dropped, exactly.
 * - `Silent`: nothing came for longer than the bound, so the topic was subscribed anew.
 * - `Rotated`: the connection was replaced on schedule and the wire gives no id to join on.
 * - `Unreadable`: a frame on the same connection could not be read and may have held such events. Only on channels that
 *   carry no versions to check (trades).
 * - `Rejected`: the exchange refused to subscribe the topic again; nothing more comes of it. Only in a session's
 *   `events`; a feed of its own fails with the error instead.
 */
export interface Gap {
  readonly _tag: "Gap"
  readonly cause: GapCause
  readonly channel: PublicTag
  readonly pair: TradingPair | null
  readonly symbol: string
  /** When the break was noticed, ms. */
  readonly at: number
  /** Events dropped, where known exactly. */
  readonly lost?: number | undefined
  /** First missing version. */
  readonly from?: Sequence | undefined
  /** First version seen behind the hole. */
  readonly to?: Sequence | undefined
}

export type GapCause = "Reconnected" | "Sequence" | "Overflow" | "Silent" | "Rotated" | "Unreadable" | "Rejected"

export type Feed<A> = Data<A> | Gap

/** One socket's state, as it changes. `attempt` counts dials since the last healthy life. */
export type ConnectionStatus =
  | {
    readonly _tag: "Connecting"
    readonly exchange: ExchangeId
    readonly connection: number
    readonly attempt: number
    readonly at: number
  }
  | { readonly _tag: "Connected"; readonly exchange: ExchangeId; readonly connection: number; readonly at: number }
  | {
    readonly _tag: "Disconnected"
    readonly exchange: ExchangeId
    readonly connection: number
    readonly at: number
    /** Tag of the reason. */
    readonly reason: string
    readonly message: string
    /** Milliseconds until the next dial; null when there will be none. */
    readonly retryIn: number | null
  }
  | { readonly _tag: "Closed"; readonly exchange: ExchangeId; readonly connection: number; readonly at: number }
