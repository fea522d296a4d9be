/** Clients that watch how their topics come and go: the same code over real sockets and in memory. */
import { Clock, Effect, Layer } from "effect"
import type { Scope } from "effect"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as NodeHttp from "../../src/connection/NodeHttp.ts"
import * as Channel from "../../src/domain/Channel.ts"
import type { ConnectionStatus, Gap } from "../../src/domain/Feed.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { MarketEvent } from "../../src/domain/Market.ts"
import type { ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { SimulatorService } from "../../src/simulator/Simulator.ts"

export const tags = ["BookTicker", "Trades", "Book"] as const

export interface Client {
  readonly exchange: string
  /** Gaps of every topic since `forget`, by topic. */
  readonly gaps: ReadonlyMap<string, Gap>
  /** When every topic had delivered again behind its gap, ms; null while one has not. */
  readonly recoveredAt: () => number | null
  /** When each topic brought data last, ms. */
  readonly seen: ReadonlyMap<string, number>
  /** When it began to dial, ms. */
  readonly dials: ReadonlyArray<number>
  /** Begins a new observation. */
  readonly forget: () => void
}

class Observer implements Client {
  readonly exchange: string
  readonly gaps = new Map<string, Gap>()
  readonly seen = new Map<string, number>()
  readonly dials: Array<number> = []
  readonly #again = new Map<string, number>()
  readonly #topics: number
  readonly #now: () => number

  constructor(exchange: string, topics: number, now: () => number) {
    this.exchange = exchange
    this.#topics = topics
    this.#now = now
  }

  onData(event: MarketEvent): void {
    const topic = `${Channel.tagOf[event._tag]} ${event.pair}`
    this.seen.set(topic, this.#now())
    if (this.gaps.has(topic) && !this.#again.has(topic)) this.#again.set(topic, this.#now())
  }

  onGap(gap: Gap): void {
    const topic = `${gap.channel} ${gap.pair}`
    if (!this.gaps.has(topic)) this.gaps.set(topic, gap)
    this.#again.delete(topic)
  }

  onStatus(status: ConnectionStatus): void {
    if (status._tag === "Connecting") this.dials.push(this.#now())
  }

  recoveredAt(): number | null {
    return this.#again.size === this.#topics ? Math.max(...this.#again.values()) : null
  }

  forget(): void {
    this.gaps.clear()
    this.#again.clear()
    this.dials.length = 0
  }
}

/** Subscribes every channel of the pairs on the service in the context, and watches. */
export const observe = Effect.fnUntraced(function*(
  pairs: readonly [TradingPair, ...Array<TradingPair>]
): Effect.fn.Return<Client, ExchangeError, PublicWebsocket | Scope.Scope> {
  const websocket = yield* PublicWebsocket
  const clock = yield* Clock.Clock
  const observer = new Observer(
    websocket.exchange,
    tags.length * pairs.length,
    () => Number(clock.currentTimeNanosUnsafe()) / 1e6
  )
  const data = (event: MarketEvent): void => observer.onData(event)
  yield* websocket.handle({
    onBookTicker: data,
    onTrade: data,
    onBook: data,
    onGap: (gap) => observer.onGap(gap),
    onStatus: (status) => observer.onStatus(status)
  })
  yield* websocket.initialize(pairs, tags)
  while (observer.seen.size < tags.length * pairs.length) yield* Effect.sleep(10)
  return observer
})

/** A client with sockets of its own against a simulator on real ports. */
export const connect = (
  adapter: ExchangeAdapter,
  simulator: SimulatorService,
  pairs: readonly [TradingPair, ...Array<TradingPair>],
  options: ExchangeFactory.WebsocketOptions = {}
): Effect.Effect<Client, ExchangeError, Scope.Scope> => {
  const { rest, ws } = simulator.urls[adapter.id]!
  const layer = ExchangeFactory.layerPublic(adapter, { url: ws, restUrl: rest, ...options }).pipe(
    Layer.provide(Layer.merge(FrameSocket.layerWs, NodeHttp.layer))
  )
  return Effect.flatMap(Layer.build(layer), (context) => Effect.provide(observe(pairs), context))
}

/** Waits until all have recovered, at most so long; the time of each since `since`, infinite where it has not. */
export const recovered = Effect.fnUntraced(function*(
  clients: ReadonlyArray<Client>,
  since: number,
  most: number
): Effect.fn.Return<ReadonlyArray<number>> {
  for (let waited = 0; waited < most && clients.some((client) => client.recoveredAt() === null); waited += 5) {
    yield* Effect.sleep(5)
  }
  return clients.map((client) => (client.recoveredAt() ?? Infinity) - since)
})
