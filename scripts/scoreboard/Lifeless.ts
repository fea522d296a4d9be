/** Connections that live and say nothing, peers that no longer answer, and an exchange that is away. */
import { Clock, Effect, Stream } from "effect"
import type { Scope } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { KnownExchange } from "../../src/Exchanges.ts"
import { dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type { Fault, SimulatorService } from "../../src/simulator/Simulator.ts"
import * as Judges from "../../test/judges/Judges.ts"
import * as Ours from "./Ours.ts"
import type { Cell, Row, Settings } from "./Row.ts"
import { count, judged, seconds } from "./Row.ts"

const pair = "BTC/USDT"

/** One client with its own simulator, so that what reaches the server is its own. */
interface Client {
  readonly simulator: SimulatorService
  /** When it told its user that something was wrong, ms; null while it has not. */
  readonly noticedAt: () => number | null
  /** When data came last, ms. */
  readonly dataAt: () => number
  readonly forget: () => void
}

class Watch {
  noticed: number | null = null
  data = 0

  readonly onData = (): void => void (this.data = performance.now())
  readonly onNotice = (): void => void (this.noticed ??= performance.now())
  readonly clientOf = (simulator: SimulatorService): Client => ({
    simulator,
    noticedAt: () => this.noticed,
    dataAt: () => this.data,
    forget: () => {
      this.noticed = null
      this.data = 0
    }
  })
}

type Open = (id: KnownExchange, settings: Settings) => Effect.Effect<Client, unknown, Scope.Scope>

/** 50 changes a second: a stream that falls silent for a second is no quiet market. */
const simulate = ({ seed }: Settings) => Simulator.make({ dialects, pairs: [pair], seed, rate: 50, limits: "off" })

const openCcxt = (id: KnownExchange, { urls }: SimulatorService): Effect.Effect<Judges.Ccxt, never, Scope.Scope> =>
  id === "mexc-spot" ? Judges.ccxtMexc(urls[id]!) : Judges.ccxtGate(urls[id]!)

const ccxt: Open = Effect.fnUntraced(function*(id, settings) {
  const simulator = yield* simulate(settings)
  const watch = new Watch()
  const exchange = yield* openCcxt(id, simulator)
  yield* Judges.follow(() => exchange.watchOrderBook(pair), watch.onData, watch.onNotice)
  yield* Judges.settled(() => watch.data > 0, 10_000)
  return watch.clientOf(simulator)
})

const gateioApi: Open = Effect.fnUntraced(function*(id, settings) {
  const simulator = yield* simulate(settings)
  const watch = new Watch()
  const client = yield* Judges.gateioApi(simulator.urls[id]!)
  client.on("update", watch.onData)
  client.on("reconnect", watch.onNotice)
  client.on("exception", watch.onNotice)
  client.subscribe([{ topic: "spot.obu", payload: ["ob.BTC_USDT.50"] }], "spotV4")
  yield* Judges.settled(() => watch.data > 0)
  return watch.clientOf(simulator)
})

const ours: Open = Effect.fnUntraced(function*(id, settings) {
  const simulator = yield* simulate(settings)
  const watch = new Watch()
  const websocket = yield* Ours.websocket(id, simulator.urls[id]!)
  const feed = yield* websocket.feed(Channel.book(pair))
  yield* Effect.forkScoped(
    Stream.runForEachArray(feed, (batch) =>
      Effect.sync(() => {
        for (const { _tag } of batch) (_tag === "Gap" ? watch.onNotice : watch.onData)()
      }))
  )
  yield* Judges.settled(() => watch.data > 0, 10_000)
  return watch.clientOf(simulator)
})

/** Everybody who speaks with an exchange, at the same time, each with a simulator of its own. */
const everybody = Effect.fnUntraced(
  function*<A>(id: KnownExchange, measure: (open: Open) => Effect.Effect<A, unknown>) {
    const clients = id === "gate-spot" ? [ours, ccxt, gateioApi] : [ours, ccxt]
    const [own, first, second] = yield* Effect.forEach(clients, measure, { concurrency: "unbounded" })
    return { own: own!, first: first!, second: second ?? null }
  }
)

const names: Readonly<Record<KnownExchange, string>> = {
  "gate-spot": "Gate",
  "gate-futures": "Gate futures",
  "mexc-spot": "MEXC"
}

/**
 * How long a client lives before it is struck, s: long enough for ours to learn how often something comes, which takes
 * it 15 s, and at several distances from a ping, which comes every 8 to 15 s. A quick run has no time for either.
 */
const lives = ({ quick }: Settings): ReadonlyArray<number> => quick ? [1] : [16, 19, 22]

const struck = (settings: Settings, most: number): string =>
  `${lives(settings).join(", ")} s after the start; watched for ${seconds(most)}`

/**
 * Strikes clients and waits until they notice, at most so long: how long each took, the quickest first; infinite where
 * one did not.
 */
const noticing = (fault: Fault, most: number, id: KnownExchange, settings: Settings) => (open: Open) => {
  const one = (life: number) =>
    Effect.gen(function*() {
      const client = yield* open(id, settings)
      yield* Effect.sleep(1_000 * life)
      client.forget()
      const since = performance.now()
      yield* client.simulator.inject(fault)
      yield* Effect.ignoreCause(Judges.settled(() => client.noticedAt() !== null, most))
      return (client.noticedAt() ?? Number.POSITIVE_INFINITY) - since
    }).pipe(Effect.scoped)
  return Effect.map(
    Effect.forEach(lives(settings), one, { concurrency: "unbounded" }),
    (times) => times.toSorted((a, b) => a - b)
  )
}

const noticed = (times: ReadonlyArray<number>, most: number, within: number): Cell => {
  const said = [...new Set(times.filter((took) => took <= most).map(seconds))].join(", ")
  const missed = times.filter((took) => took > most).length
  const text = said === "" ? "" : `noticed after ${said}`
  if (missed === 0) return judged(times.every((took) => took <= within), text)
  const never = `not noticed within ${seconds(most)}`
  return judged(false, text === "" ? never : `${text}; ${missed} of ${times.length} ${never}`)
}

const detection = Effect.fnUntraced(function*(
  row: Pick<Row, "id" | "title" | "done" | "target">,
  fault: Fault,
  most: number,
  id: KnownExchange,
  settings: Settings
) {
  const { first, own, second } = yield* everybody(id, noticing(fault, most, id, settings))
  const within = 5_000
  const whole: Row = {
    ...row,
    ccxt: noticed(first, most, within),
    gateioApi: second === null ? null : noticed(second, most, within),
    ours: noticed(own, most, within),
    kind: "time"
  }
  return whole
})

export const silence = (id: KnownExchange) => (settings: Settings): Effect.Effect<Row, unknown> => {
  const most = settings.quick ? 5_000 : 25_000
  return detection(
    {
      id: `${id}-silent`,
      title: `${names[id]}: alive but silent`,
      done: `a book's updates, ${id === "gate-spot" ? 50 : 10} a second, stop ${
        struck(settings, most)
      }; pings are answered`,
      target: "within the channel's bound, at most 5 s for a liquid book"
    },
    { _tag: "Silence" },
    most,
    id,
    settings
  )
}

export const halfOpen = (id: KnownExchange) => (settings: Settings): Effect.Effect<Row, unknown> => {
  const most = settings.quick ? 5_000 : 30_000
  return detection(
    {
      id: `${id}-half-open`,
      title: `${names[id]}: the peer stops answering`,
      done: `the socket stays open, and nothing comes any more ${struck(settings, most)}`,
      target: "at most 5 s"
    },
    { _tag: "HalfOpen" },
    most,
    id,
    settings
  )
}

interface Return {
  readonly dials: number
  /** From the server's return to the first data, ms; infinite when none came. */
  readonly recovery: number
}

const absence = (millis: number, id: KnownExchange, settings: Settings) => (open: Open) =>
  Effect.gen(function*() {
    const client = yield* open(id, settings)
    const { simulator } = client
    yield* simulator.inject({ _tag: "Refuse", status: 503, durationMillis: millis })
    const since = yield* Clock.currentTimeMillis
    yield* simulator.inject({ _tag: "Drop" })
    yield* Effect.sleep(millis)
    client.forget()
    const returned = performance.now()
    yield* Effect.ignoreCause(Judges.settled(() => client.dataAt() > 0, longestReturn))
    const dials = simulator.counts().exchanges[id]!.dials.filter(({ at }) => at >= since).length
    const result: Return = {
      dials,
      recovery: client.dataAt() > 0 ? client.dataAt() - returned : Number.POSITIVE_INFINITY
    }
    return result
  }).pipe(Effect.scoped)

const longestReturn = 15_000
const mostDials = 30
const recovered = 1_500

const returned = ({ dials, recovery }: Return): Cell =>
  judged(
    recovery <= recovered && dials <= mostDials,
    `${count(dials)} dials, ${
      recovery <= longestReturn ? `data ${seconds(recovery)} after` : `no data within ${seconds(longestReturn)} of`
    } the return`
  )

export const outage = (id: KnownExchange) =>
  Effect.fnUntraced(function*(settings: Settings) {
    const millis = settings.quick ? 3_000 : 10_000
    const { first, own, second } = yield* everybody(id, absence(millis, id, settings))
    const row: Row = {
      id: `${id}-outage`,
      title: `${names[id]}: an outage`,
      done: `a book's socket is dropped, dials are answered with HTTP 503 for ${seconds(millis)}`,
      ccxt: returned(first),
      gateioApi: second === null ? null : returned(second),
      ours: returned(own),
      target: `data within ${seconds(recovered)} of the return, at most ${mostDials} dials`,
      kind: "time"
    }
    return row
  })
