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
  private readonly counters: Counters
  private readonly report: (error: unknown) => void

  constructor(counters: Counters, report: (error: unknown) => void) {
    this.counters = counters
    this.report = report
  }

  /** The types let an `async` handler pass; its rejection must not end the process. */
  watch(result: unknown): void {
    if (result instanceof Promise) result.catch((error: unknown) => this.failed(error))
  }

  failed(error: unknown): void {
    this.counters.handlerFailures++
    this.report(error)
  }
}

/** Left within the event: what has come for it is counted. */
const abandon = (route: Route, counters: Counters): void => {
  route.state.delivered--
  counters.delivered--
  route.state.abandoned++
  counters.abandoned++
}

type Rarer = Exclude<MarketEvent, BookTicker | BookUpdate | Trade>

const rarerHandlers: Readonly<Record<Rarer["_tag"], keyof PublicWebsocketHandlers>> = {
  Ticker: "onTicker",
  Kline: "onKline",
  FuturesTicker: "onFuturesTicker",
  Liquidation: "onLiquidation",
  ContractStats: "onContractStats"
}

/** Handlers by kind of event, for all topics of a session. */
export class HandlerSubscriber implements Subscriber {
  private readonly handlers: PublicWebsocketHandlers
  private readonly counters: Counters
  private readonly guard: Guard
  private isOver = false

  constructor(handlers: PublicWebsocketHandlers, counters: Counters, report: (error: unknown) => void) {
    this.handlers = handlers
    this.counters = counters
    this.guard = new Guard(counters, report)
  }

  push(route: Route, event: MarketEvent): void {
    if (this.isOver) return abandon(route, this.counters)
    try {
      const result = this.call(event)
      if (result !== undefined) this.guard.watch(result)
    } catch (error) {
      this.guard.failed(error)
    }
  }

  private call(event: MarketEvent): unknown {
    if (event._tag === "BookTicker") return this.handlers.onBookTicker?.(event)
    if (event._tag === "BookUpdate") return this.handlers.onBook?.(event)
    return event._tag === "Trade" ? this.handlers.onTrade?.(event) : this.rarer(event)
  }

  private rarer(event: Rarer): unknown {
    // Each tag's handler takes that tag's event.
    const handlers = this.handlers as Partial<Record<string, (event: Rarer) => unknown>>
    return handlers[rarerHandlers[event._tag]]?.(event)
  }

  gap(_route: Route, gap: Gap): void {
    if (this.isOver) return
    try {
      this.guard.watch(this.handlers.onGap?.(gap))
    } catch (error) {
      this.guard.failed(error)
    }
  }

  fail(route: Route): void {
    route.state.emitGap(route, route.state.makeGap("Rejected"))
  }

  /** Its scope has closed, perhaps within the event that it would be given next. */
  leave(): void {
    this.isOver = true
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
  private readonly handlers: FeedHandlers<MarketEvent>
  readonly #wakeups: Wakeups
  private readonly counters: Counters
  private readonly guard: Guard
  /** Events were handed over since the last turn's end. */
  #isTouched = false
  private isOver = false

  constructor({ counters, handlers, report, wakeups }: FeedSubscriberOptions) {
    this.handlers = handlers
    this.#wakeups = wakeups
    this.counters = counters
    this.guard = new Guard(counters, report)
  }

  push(route: Route, event: MarketEvent): void {
    if (this.isOver) return abandon(route, this.counters)
    if (!this.#isTouched) {
      this.#isTouched = true
      this.#wakeups.addPrompt(this)
    }
    try {
      const result: unknown = this.handlers.onEvent(event)
      if (result !== undefined) this.guard.watch(result)
    } catch (error) {
      this.guard.failed(error)
    }
  }

  gap(_route: Route, gap: Gap): void {
    if (this.isOver) return
    try {
      this.guard.watch(this.handlers.onGap(gap))
    } catch (error) {
      this.guard.failed(error)
    }
  }

  fail(_route: Route, error: ExchangeError): void {
    this.end(error)
  }

  wake(): void {
    this.#isTouched = false
    if (this.isOver) return
    try {
      this.guard.watch(this.handlers.onTurn?.())
    } catch (error) {
      this.guard.failed(error)
    }
  }

  end(error: ExchangeError): void {
    if (this.isOver) return
    this.isOver = true
    try {
      this.guard.watch(this.handlers.onEnd?.(error))
    } catch (error) {
      this.guard.failed(error)
    }
  }

  /** Its scope has closed. */
  leave(): void {
    this.isOver = true
  }
}
