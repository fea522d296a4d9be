/** The subscribers that are called in the socket's own turn: the shortest way from the wire. */
import type { Gap } from "../domain/Feed.ts"
import type { BookTicker, BookUpdate, MarketEvent, Trade } from "../domain/Market.ts"
import type { ExchangeError } from "../ExchangeError.ts"
import type { FeedHandlers, PublicWebsocketHandlers } from "../PublicWebsocket.ts"
import type { Counters } from "./Counters.ts"
import type { Waiting, Wakeups } from "./Subscriber.ts"
import type { Route, Subscriber } from "./Topics.ts"

/** Foreign code that is called: what it throws is counted and reported, and ends nothing. */
class Guard {
  readonly #counters: Counters
  readonly #report: (error: unknown) => void

  constructor(counters: Counters, report: (error: unknown) => void) {
    this.#counters = counters
    this.#report = report
  }

  /** The types let an `async` handler pass; its rejection must not end the process. */
  watch(result: unknown): void {
    if (result !== undefined && result instanceof Promise) result.catch((error: unknown) => this.failed(error))
  }

  failed(error: unknown): void {
    this.#counters.handlerFailures++
    this.#report(error)
  }
}

/** Left within the event: what has come for it is counted. */
const abandon = (route: Route, counters: Counters): void => {
  route.state.abandoned++
  counters.abandoned++
}

/** Handlers by kind of event, for all topics of a session. */
export class HandlerSubscriber implements Subscriber {
  readonly #handlers: PublicWebsocketHandlers
  readonly #counters: Counters
  readonly #guard: Guard
  #isOver = false

  constructor(handlers: PublicWebsocketHandlers, counters: Counters, report: (error: unknown) => void) {
    this.#handlers = handlers
    this.#counters = counters
    this.#guard = new Guard(counters, report)
  }

  push(route: Route, event: MarketEvent): void {
    if (this.#isOver) return abandon(route, this.#counters)
    route.state.delivered++
    this.#counters.delivered++
    try {
      if (event._tag === "BookTicker") this.#guard.watch(this.#handlers.onBookTicker?.(event))
      else if (event._tag === "BookUpdate") this.#guard.watch(this.#handlers.onBook?.(event))
      else if (event._tag === "Trade") this.#guard.watch(this.#handlers.onTrade?.(event))
      else this.#guard.watch(this.#rarer(event))
    } catch (error) {
      this.#guard.failed(error)
    }
  }

  #rarer(event: Exclude<MarketEvent, BookTicker | BookUpdate | Trade>): unknown {
    const { onContractStats, onFuturesTicker, onKline, onLiquidation, onTicker } = this.#handlers
    const handlers = {
      Ticker: onTicker,
      Kline: onKline,
      FuturesTicker: onFuturesTicker,
      Liquidation: onLiquidation,
      ContractStats: onContractStats
    }
    // Each tag's handler takes that tag's event.
    return (handlers[event._tag] as ((event: MarketEvent) => unknown) | undefined)?.(event)
  }

  gap(_route: Route, gap: Gap): void {
    if (this.#isOver) return
    try {
      this.#guard.watch(this.#handlers.onGap?.(gap))
    } catch (error) {
      this.#guard.failed(error)
    }
  }

  fail(route: Route): void {
    route.state.emitGap(route, route.state.makeGap("Rejected"))
  }

  /** Its scope has closed, perhaps within the event that it would be given next. */
  leave(): void {
    this.#isOver = true
  }
}

export interface FeedSubscriberOptions {
  readonly handlers: FeedHandlers<MarketEvent>
  readonly wakeups: Wakeups
  readonly counters: Counters
  readonly report: (error: unknown) => void
}

/** The handlers of one topic. */
export class FeedSubscriber implements Subscriber, Waiting {
  readonly #handlers: FeedHandlers<MarketEvent>
  readonly #wakeups: Wakeups
  readonly #counters: Counters
  readonly #guard: Guard
  /** Events were handed over since the last turn's end. */
  #isTouched = false
  #isOver = false

  constructor({ counters, handlers, report, wakeups }: FeedSubscriberOptions) {
    this.#handlers = handlers
    this.#wakeups = wakeups
    this.#counters = counters
    this.#guard = new Guard(counters, report)
  }

  push(route: Route, event: MarketEvent): void {
    if (this.#isOver) return abandon(route, this.#counters)
    route.state.delivered++
    this.#counters.delivered++
    if (!this.#isTouched) {
      this.#isTouched = true
      this.#wakeups.addPrompt(this)
    }
    try {
      this.#guard.watch(this.#handlers.onEvent(event))
    } catch (error) {
      this.#guard.failed(error)
    }
  }

  gap(_route: Route, gap: Gap): void {
    if (this.#isOver) return
    try {
      this.#guard.watch(this.#handlers.onGap(gap))
    } catch (error) {
      this.#guard.failed(error)
    }
  }

  fail(_route: Route, error: ExchangeError): void {
    this.end(error)
  }

  wake(): void {
    this.#isTouched = false
    if (this.#isOver) return
    try {
      this.#guard.watch(this.#handlers.onTurn?.())
    } catch (error) {
      this.#guard.failed(error)
    }
  }

  end(error: ExchangeError): void {
    if (this.#isOver) return
    this.#isOver = true
    try {
      this.#guard.watch(this.#handlers.onEnd?.(error))
    } catch (error) {
      this.#guard.failed(error)
    }
  }

  /** Its scope has closed. */
  leave(): void {
    this.#isOver = true
  }
}
