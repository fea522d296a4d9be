/**
 * Three exchanges over real sockets as the islands of one program, the market of one of them behind a `FloodProxy`; and what
 * events, orders and timers of the others wait for meanwhile.
 */
import { Clock, Data, Effect, Layer, Redacted, Stream } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { createInterface } from "node:readline"
import * as Markets from "../../src/composite/Markets.ts"
import type { Definition, Island } from "../../src/composite/Markets.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as NodeHashes from "../../src/connection/NodeHashes.ts"
import * as NodeHttp from "../../src/connection/NodeHttp.ts"
import { wallMillis } from "../../src/domain/ClockTime.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { ExchangeError } from "../../src/ExchangeError.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { Subject } from "../../test/suites/AccountExchange.ts"
import { accountSubjects } from "../../test/suites/AccountSubjects.ts"
import { pairsOf } from "./ArbitrageWorld.ts"
import { root } from "./Child.ts"
import type { Flooded, FloodKind, FloodProxyOptions } from "./FloodProxy.ts"
import type { Urls } from "./SimulatorProcess.ts"

class ProxyFailed extends Data.TaggedError("ProxyFailed")<{ readonly message: string }> {}

export interface Proxy {
  readonly port: number
  /** From now on its clients are told so; says what all floods have sent so far. */
  readonly tell: (kind: FloodKind) => Effect.Effect<Flooded, ProxyFailed>
}

/** Ended with the scope. */
export const proxy = (options: FloodProxyOptions): Effect.Effect<Proxy, ProxyFailed, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Proxy & { readonly child: ChildProcess }, ProxyFailed>((resume) => {
      const child = spawn(process.execPath, ["scripts/prove/FloodProxy.ts", JSON.stringify(options)], {
        cwd: root,
        stdio: ["pipe", "pipe", "inherit"]
      })
      const lines = createInterface({ input: child.stdout })
      const fail = (detail: unknown): void =>
        resume(Effect.fail(new ProxyFailed({ message: `the proxy: ${String(detail)}` })))
      const tell = (kind: FloodKind) =>
        Effect.callback<Flooded, ProxyFailed>((answer) => {
          lines.once("line", (line) => answer(Effect.succeed(JSON.parse(line) as Flooded)))
          child.stdin.write(`${kind}\n`)
        })
      lines.once("line", (line) => resume(Effect.succeed({ child, port: Number(line), tell })))
      child.once("error", fail)
      child.once("exit", fail)
      return Effect.sync(() => child.kill("SIGKILL"))
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

/** The exchange's market data is read through the proxy; its account and its orders go straight. */
export interface Place {
  readonly urls: Urls
  readonly struck: string
  readonly proxyPort: number
}

const marketUrl = ({ proxyPort, struck, urls }: Place, id: string): string => {
  const url = new URL(urls[id]!.ws)
  if (id === struck) url.port = String(proxyPort)
  return url.toString()
}

export const wsOf = (urls: Urls, id: string): FloodProxyOptions => {
  const { hostname, port } = new URL(urls[id]!.ws)
  return { host: hostname, port: Number(port) }
}

export type Websockets = Map<string, PublicWebsocket["Service"]>

const definitionOf = (place: Place, websockets: Websockets, subject: Subject): Definition => {
  const { adapter } = subject
  const { rest, ws } = place.urls[adapter.id]!
  const pairs = pairsOf(subject)
  const exchange = ExchangeFactory.layer(adapter, {
    credentials: {
      account: "demo",
      key: Redacted.make(`demo-key-${adapter.id}`),
      secret: Redacted.make(`demo-secret-${adapter.id}`)
    },
    url: ws,
    restUrl: rest,
    limits: "off",
    reconcilePairs: pairs,
    market: { connections: 1, url: marketUrl(place, adapter.id) }
  })
  const remembered = Layer.effectDiscard(
    Effect.map(PublicWebsocket, (websocket) => void websockets.set(adapter.id, websocket))
  )
  const layer = Exchanges.layerComposites().pipe(
    Layer.merge(remembered),
    Layer.provide(exchange),
    Layer.provide(Layer.mergeAll(FrameSocket.layerWs, NodeHttp.layer, NodeHashes.layer))
  )
  return { layer, pairs }
}

/** `websockets` gets what carries the market data of each island, anew for each of its lives. */
export const layer = (place: Place, websockets: Websockets): Layer.Layer<Markets.Markets> =>
  Markets.layer(
    Object.fromEntries(accountSubjects.map((subject) => [subject.adapter.id, definitionOf(place, websockets, subject)]))
  )

/** Between two orders, and between two timers, ms. */
const orderEvery = 20
const timerEvery = 5

/** What was waited for, ms. */
export interface Waits {
  /** From the exchange's stamp, in whole ms of the same machine, to the handler. */
  readonly events: ReadonlyArray<number>
  /** From `place` to `Accepted`. */
  readonly orders: ReadonlyArray<number>
  /** A timer was so late. */
  readonly timers: ReadonlyArray<number>
}

/** What comes of the exchanges that are left alone. */
export class Bystanders {
  readonly #struck: string
  #events: Array<number> = []
  #orders: Array<number> = []
  #timers: Array<number> = []
  /** Orders that were anything but accepted. */
  readonly failed: Array<string> = []
  /** What became of an island that should not have noticed. */
  readonly disturbed: Array<string> = []
  /** When the exchange stamped the latest event of the one that is struck, ms. */
  struckAt = 0

  constructor(struck: string) {
    this.#struck = struck
  }

  /** What was waited for since the last time. */
  take(): Waits {
    const waits = { events: this.#events, orders: this.#orders, timers: this.#timers }
    this.#events = []
    this.#orders = []
    this.#timers = []
    return waits
  }

  /** Watches until the scope closes. */
  readonly watch = Effect.fnUntraced(
    { self: this },
    function*(this: Bystanders): Effect.fn.Return<void, ExchangeError, Markets.Markets | Scope.Scope> {
      const markets = yield* Markets.Markets
      const clock = yield* Clock.Clock
      const now = (): number => wallMillis(clock)
      yield* Effect.forkScoped(this.#timer(now))
      for (const id of markets.ids) {
        const island = yield* markets.get(id)
        while (!markets.mayTrade(id)) yield* Effect.sleep(50)
        yield* this.#follow(island, now)
        if (id !== this.#struck) yield* Effect.forkScoped(this.#trade(island, now))
      }
    }
  )

  #follow({ exchange, market }: Island, now: () => number): Effect.Effect<void, never, Scope.Scope> {
    return market.onBook((live) => {
      if (live._tag === "Stale") {
        if (exchange !== this.#struck) this.disturbed.push(`${exchange} ${live.pair}: ${live.cause}`)
        return
      }
      const at = live.book.exchangeTime
      if (at === null) return
      if (exchange === this.#struck) this.struckAt = Math.max(this.struckAt, at)
      else this.#events.push(now() - at)
    })
  }

  /** Orders that rest far from the market, one after the other. */
  #trade({ account, exchange }: Island, now: () => number): Effect.Effect<never> {
    const { pair, quantity } = accountSubjects.find(({ adapter }) => adapter.id === exchange)!
    const { orders } = account!
    const once = Effect.gen({ self: this }, function*() {
      const began = now()
      const { clientOrderId, outcome } = yield* orders.place({ pair, side: "buy", quantity, price: 1_000 })
      if (outcome._tag === "Accepted") this.#orders.push(now() - began)
      else this.failed.push(`${exchange}: ${outcome._tag}`)
      yield* orders.cancel({ pair, clientOrderId })
    })
    const told = once.pipe(Effect.catch((error) => Effect.sync(() => void this.failed.push(error.message))))
    return Effect.forever(Effect.andThen(told, Effect.sleep(orderEvery)))
  }

  #timer(now: () => number): Effect.Effect<never> {
    return Effect.forever(Effect.suspend(() => {
      const began = now()
      return Effect.map(Effect.sleep(timerEvery), () => void this.#timers.push(now() - began - timerEvery))
    }))
  }
}

/** ms; whatever has come meanwhile is more than its buffer holds. */
const takeEvery = 1_000

/** What a consumer of trades that is far too slow was told. */
export class SlowConsumer {
  taken = 0
  /** As declared in gaps. */
  lost = 0
  /** It takes all that is there from now on. */
  isHurrying = false

  /** Until the scope closes. */
  readonly follow = Effect.fnUntraced({ self: this }, function*(
    this: SlowConsumer,
    websocket: PublicWebsocket["Service"],
    pair: TradingPair
  ): Effect.fn.Return<void, ExchangeError, Scope.Scope> {
    const stream = yield* websocket.feed({ _tag: "Trades", pair })
    yield* Effect.forkScoped(Effect.ignore(Stream.runForEachArray(stream, (items) => {
      for (const item of items) {
        if (item._tag === "Data") this.taken++
        else this.lost += item.lost ?? 0
      }
      return this.isHurrying ? Effect.void : Effect.sleep(takeEvery)
    })))
  })
}
