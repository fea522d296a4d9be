/** Who receives an account's events: buffers that streams pull from, and handlers called in the socket's turn. */
import type { Cause, Exit } from "effect"
import { Effect, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { AccountEvent, Fill, OrderUpdate } from "../domain/Account.ts"
import type { ExchangeId } from "../domain/Instrument.ts"
import type { PrivateTag } from "../domain/PrivateChannel.ts"
import { tagOf } from "../domain/PrivateChannel.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { AccountFeed, AccountGap, PrivateWebsocketHandlers } from "../PrivateWebsocket.ts"

export interface Consumer {
  readonly event: (channel: PrivateTag, event: AccountEvent) => void
  readonly gap: (gap: AccountGap) => void
  /** A batch is through: whoever waits may go on. */
  readonly flush: () => void
  readonly end: (exit: Ended) => void
}

/** How streams end: done after `close`, with the error when the session has failed. */
export type Ended = Exit.Exit<never, ExchangeError.ExchangeError | Cause.Done>

type Item = AccountFeed<AccountEvent>
type Chunk = NonEmptyReadonlyArray<Item>
type Pulled = Effect.Effect<Chunk, ExchangeError.ExchangeError | Cause.Done>

export const defaultBufferSize = 16_384

/** What replaces what in a buffer that is full: the state of one thing. Fills and notices are never replaced. */
const stateOf = (item: Item): string | null => {
  if (item._tag === "Gap") return `gap ${item.channel} ${item.cause}`
  const event = item.value
  if (event._tag === "OrderUpdate") return `order ${event.symbol} ${event.orderId}`
  if (event._tag === "Balance") return `balance ${event.asset}`
  return event._tag === "Position" ? `position ${event.symbol} ${event.side}` : null
}

/** The newest of each state, everything else, in order. */
const conflate = (items: ReadonlyArray<Item>): Array<Item> => {
  const seen = new Set<string>()
  return items.toReversed().filter((item) => {
    const state = stateOf(item)
    if (state === null) return true
    if (seen.has(state)) return false
    seen.add(state)
    return true
  }).toReversed()
}

export interface BufferOptions {
  readonly exchange: ExchangeId
  readonly capacity: number
  readonly wants: (channel: PrivateTag) => boolean
  readonly now: () => number
  readonly onDelivered: () => void
  /** So many events were dropped, declared in a gap. */
  readonly onDropped: (gap: AccountGap) => void
}

/**
 * Holds events until they are pulled. One that is full keeps the newest state of each order, asset and position; when that
 * is not enough, it drops its older half and says so in a gap.
 */
export class BufferConsumer implements Consumer {
  readonly #options: BufferOptions
  #items: Array<Item> = []
  #resume: ((pulled: Pulled) => void) | null = null
  #end: Ended | null = null
  #ran = false

  constructor(options: BufferOptions) {
    this.#options = options
  }

  event(channel: PrivateTag, event: AccountEvent): void {
    if (this.#end !== null || !this.#options.wants(channel)) return
    this.#options.onDelivered()
    this.#items.push({ _tag: "Data", value: event, receivedAt: event.receivedAt })
    if (this.#items.length > this.#options.capacity) this.#overflow()
  }

  gap(gap: AccountGap): void {
    if (this.#end !== null || !this.#options.wants(gap.channel)) return
    this.#items.push(gap)
    if (this.#items.length > this.#options.capacity) this.#overflow()
  }

  #overflow(): void {
    const { capacity, now, onDropped } = this.#options
    const items = conflate(this.#items)
    this.#items = items
    if (items.length <= capacity) return
    const dropped = items.splice(0, Math.ceil(capacity / 2))
    const lost = new Map<PrivateTag, number>()
    for (const item of dropped) {
      const channel = item._tag === "Gap" ? item.channel : tagOf[item.value._tag]
      const count = item._tag === "Gap" ? item.lost ?? 0 : 1
      lost.set(channel, (lost.get(channel) ?? 0) + count)
    }
    const gaps = [...lost].map(([channel, count]): AccountGap => ({
      _tag: "Gap",
      cause: "Overflow",
      channel,
      at: now(),
      lost: count
    }))
    for (const gap of gaps) onDropped(gap)
    this.#items = [...gaps, ...items]
  }

  flush(): void {
    const resume = this.#resume
    if (resume === null || (this.#items.length === 0 && this.#end === null)) return
    this.#resume = null
    resume(this.#take())
  }

  /** Ends behind what is still in the buffer. */
  end(exit: Ended): void {
    this.#end ??= exit
    this.flush()
  }

  #take(): Pulled {
    if (this.#items.length === 0) return this.#end!
    const items = this.#items
    this.#items = []
    return Effect.succeed(items as unknown as Chunk)
  }

  readonly #pull: Pulled = Effect.callback((resume) => {
    if (this.#items.length > 0 || this.#end !== null) return resume(this.#take())
    this.#resume = resume
    return Effect.sync(() => {
      this.#resume = null
    })
  })

  readonly stream: Stream.Stream<Item, ExchangeError.ExchangeError> = Stream.fromPull(
    Effect.suspend(() => {
      if (!this.#ran) {
        this.#ran = true
        return Effect.succeed(this.#pull)
      }
      const detail =
        "a feed's stream runs once: what another run had taken would be missing. Ask for a feed for each run"
      return Effect.fail(ExchangeError.make(this.#options.exchange, new ExchangeError.InvalidUse({ detail })))
    })
  )
}

export interface HandlerOptions {
  readonly wants: (channel: PrivateTag) => boolean
  readonly onDelivered: () => void
  readonly onFailure: (error: unknown) => void
}

export class HandlerConsumer implements Consumer {
  readonly #handlers: PrivateWebsocketHandlers
  readonly #options: HandlerOptions

  constructor(handlers: PrivateWebsocketHandlers, options: HandlerOptions) {
    this.#handlers = handlers
    this.#options = options
  }

  event(channel: PrivateTag, event: AccountEvent): void {
    if (!this.#options.wants(channel)) return
    this.#options.onDelivered()
    try {
      if (event._tag === "Fill") this.#watch(this.#handlers.onFill?.(event))
      else if (event._tag === "OrderUpdate") this.#watch(this.#handlers.onOrder?.(event))
      else this.#watch(this.#rarer(event))
    } catch (error) {
      this.#options.onFailure(error)
    }
  }

  #rarer(event: Exclude<AccountEvent, Fill | OrderUpdate>): unknown {
    const { onAutoDeleverage, onBalance, onLeverage, onPosition, onPositionClose } = this.#handlers
    const handlers = {
      Balance: onBalance,
      Position: onPosition,
      LeverageChange: onLeverage,
      AutoDeleverage: onAutoDeleverage,
      PositionClose: onPositionClose
    }
    // Each tag's handler takes that tag's event.
    return (handlers[event._tag] as ((event: AccountEvent) => unknown) | undefined)?.(event)
  }

  gap(gap: AccountGap): void {
    if (!this.#options.wants(gap.channel)) return
    try {
      this.#watch(this.#handlers.onGap?.(gap))
    } catch (error) {
      this.#options.onFailure(error)
    }
  }

  /** The types let an `async` handler pass; its rejection must not end the process. */
  #watch(result: unknown): void {
    if (result instanceof Promise) result.catch((error: unknown) => this.#options.onFailure(error))
  }

  flush(): void {}

  end(): void {}
}
