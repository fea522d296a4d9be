/** Several exchanges in one program: one simulator behind real ports, or inside the process, and a client of each. */
import { Context, Effect, Layer } from "effect"
import type { Scope } from "effect"
import type { HttpClient } from "effect/http/HttpClient"
import { OrderBook } from "../../src/composite/OrderBook.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as MemoryNetwork from "../../src/connection/MemoryNetwork.ts"
import * as NodeHttp from "../../src/connection/NodeHttp.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { BookUpdate } from "../../src/domain/Market.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import { MarketRest } from "../../src/MarketRest.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import { toySpot } from "../exchanges/toy/ToyAdapter.ts"
import { toy } from "../simulator/ToyDialect.ts"
import type { Subject } from "../suites/Exchange.ts"
import { subjects as ours } from "../suites/Subjects.ts"

/** Every exchange, and the made-up one, which nothing of the library knows. */
export const subjects: ReadonlyArray<Subject> = [...ours, { adapter: toySpot, dialect: toy }]

export interface Client {
  readonly subject: Subject
  readonly id: string
  readonly websocket: PublicWebsocket["Service"]
  readonly rest: MarketRest["Service"]
  readonly pair: (base: string) => TradingPair
}

export const pairOf = ({ adapter }: Subject, base: string): TradingPair =>
  adapter.kind === "swap" ? `${base}/USDT:USDT` : `${base}/USDT`

const bases = ["BTC", "ETH", "SOL"]

/** Every exchange's spelling of the pairs. */
const pairs = (): ReadonlyArray<TradingPair> => [
  ...new Set(subjects.flatMap((subject) => bases.map((base) => pairOf(subject, base))))
]

export const simulation = (options: Partial<Simulator.SimulatorOptions> = {}): Simulator.SimulatorOptions => ({
  dialects: subjects.map(({ dialect }) => dialect),
  pairs: pairs(),
  limits: "off",
  seed: 11,
  ...options
})

/** One exchange's services over what opens sockets and speaks HTTP in the context; they end with the scope. */
export const client = Effect.fnUntraced(function*(subject: Subject, options: ExchangeFactory.WebsocketOptions = {}) {
  const { urls } = yield* Simulator.Simulator
  const { rest, ws } = urls[subject.adapter.id]!
  const context = yield* Layer.build(
    ExchangeFactory.layerPublic(subject.adapter, { url: ws, restUrl: rest, ...options })
  )
  const made: Client = {
    subject,
    id: subject.adapter.id,
    websocket: Context.get(context, PublicWebsocket),
    rest: Context.get(context, MarketRest),
    pair: (base) => pairOf(subject, base)
  }
  return made
})

export const clients = (options?: ExchangeFactory.WebsocketOptions) =>
  Effect.forEach(subjects, (subject) => client(subject, options))

type Platform = Simulator.Simulator | FrameSocket.FrameSocket | HttpClient

/** Real sockets and a server of this process. */
export const overPorts = <A, E>(
  body: Effect.Effect<A, E, Platform | Scope.Scope>,
  options?: Partial<Simulator.SimulatorOptions>
): Effect.Effect<A, E> =>
  body.pipe(
    Effect.scoped,
    Effect.provide(
      Layer.mergeAll(FrameSocket.layerWs, NodeHttp.layer, Layer.orDie(Simulator.layer(simulation(options))))
    )
  )

/** No ports; time is the clock's. */
export const inMemory = <A, E>(
  body: Effect.Effect<A, E, Platform | Scope.Scope>,
  options?: Partial<Simulator.SimulatorOptions>
): Effect.Effect<A, E> =>
  body.pipe(
    Effect.scoped,
    Effect.provide(
      Layer.merge(FrameSocket.layerMemory(), MemoryNetwork.layerHttpClient).pipe(
        Layer.provideMerge(Layer.orDie(Simulator.layerMemory(simulation(options))))
      )
    )
  )

/** Looks every few milliseconds until it holds; the test's own limit of time ends it otherwise. */
export const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => condition() ? Effect.void : Effect.andThen(Effect.sleep(5), until(condition)))

const sides = ["bids", "asks"] as const

/** Follows book updates and compares each state with the simulator's at that version, as deep as a window is known. */
export class Judge {
  compared = 0
  wrong = 0
  readonly #books = new Map<string, { readonly book: OrderBook; readonly reach: number }>()
  readonly #simulator: Simulator.SimulatorService
  readonly #exchange: string

  constructor(simulator: Simulator.SimulatorService, exchange: string) {
    this.#simulator = simulator
    this.#exchange = exchange
  }

  apply(update: BookUpdate): void {
    if (update.kind === "snapshot") {
      const reach = Math.min(20, update.bids.length / 2, update.asks.length / 2)
      this.#books.set(update.symbol, { book: new OrderBook(update.pair!), reach })
    }
    const entry = this.#books.get(update.symbol)
    if (entry === undefined) return void this.wrong++
    entry.book.apply(update)
    const truth = this.#simulator.truth(this.#exchange, update.pair!, Number(update.version), entry.reach)
    if (truth === undefined) return
    this.compared++
    const top = entry.book.view?.top(entry.reach)
    const isRight = sides.every((side) =>
      top !== undefined && top[side].length === 2 * truth[side].length &&
      truth[side].every(({ price, quantity }, i) =>
        top[side][2 * i] === Number(price) && top[side][2 * i + 1] === Number(quantity)
      )
    )
    if (!isRight) this.wrong++
  }
}
