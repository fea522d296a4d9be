/** What a caller learns of a subscription that the exchange refuses. */
import { Clock, Effect, Option } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { KnownExchange } from "../../src/Exchanges.ts"
import { dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import type { SimulatorUrls } from "../../src/simulator/Simulator.ts"
import * as Judges from "../../test/judges/Judges.ts"
import * as Ours from "./Ours.ts"
import type { Cell, Row, Settings } from "./Row.ts"
import { bad, good, judged, seconds, told } from "./Row.ts"

const pair = "BTC/USDT"

const simulate = (id: KnownExchange, { seed }: Settings) =>
  Simulator.make({ dialects, pairs: [pair], seed, faults: [{ _tag: "Reject", exchange: id }] })

/** The error of a feed that the exchange refuses, and when it came: a figure, since a busy machine takes its time. */
const refused = Effect.fnUntraced(function*(id: KnownExchange, urls: SimulatorUrls) {
  const websocket = yield* Ours.websocket(id, urls)
  const began = yield* Clock.currentTimeMillis
  const { reason } = yield* Effect.flip(websocket.feed(Channel.trades(pair)))
  const took = (yield* Clock.currentTimeMillis) - began
  const detail = reason._tag === "SubscriptionRejected" ? ` "${reason.detail.trim()}"` : ""
  return judged(
    reason._tag === "SubscriptionRejected",
    `${reason._tag}${detail} after ${seconds(took)}`
  )
})

/** What a call of ccxt fails with; undefined when it neither fails nor gives anything for so long. */
const failure = (call: () => Promise<unknown>, most: number): Effect.Effect<Error | undefined> =>
  Effect.tryPromise({ try: call, catch: (error) => error as Error }).pipe(
    Effect.flip,
    Effect.timeoutOption(most),
    Effect.map(Option.getOrUndefined),
    Effect.orDie
  )

/** MEXC answers a refusal with code 0 and a sentence. */
export const blocked = (settings: Settings): Effect.Effect<Row, unknown> =>
  Effect.gen(function*() {
    const urls = (yield* simulate("mexc-spot", settings)).urls["mexc-spot"]!
    const patience = settings.quick ? 2_000 : 10_000
    const exchange = yield* Judges.ccxtMexc(urls)
    const watching = failure(() => exchange.watchTrades(pair), patience)
    const [ours, error] = yield* Effect.all([refused("mexc-spot", urls), watching], {
      concurrency: "unbounded"
    })
    const row: Row = {
      id: "mexc-blocked",
      title: "MEXC: \"Not Subscribed … Blocked!\"",
      done: "a trades subscription is refused as MEXC refuses",
      ccxt: error === undefined
        ? bad(`nothing raised within ${seconds(patience)}; the caller waits`)
        : good(`${error.name}`),
      gateioApi: null,
      ours,
      target: "typed SubscriptionRejected, at once",
      kind: "outcome"
    }
    return row
  }).pipe(Effect.scoped)

/** The response that `gateio-api` emits; its `subscribe` gives nothing to wait for. */
const responded = Effect.fnUntraced(function*(urls: SimulatorUrls): Effect.fn.Return<Cell> {
  return yield* Effect.scoped(Effect.gen(function*() {
    const client = yield* Judges.gateioApi(urls)
    const answers: Array<{ readonly result: { readonly status: string } }> = []
    client.on("response", (answer) => answers.push(answer))
    const given: unknown = client.subscribe([{ topic: "spot.trades", payload: ["BTC_USDT"] }], "spotV4")
    yield* Judges.settled(() => answers.length > 0)
    const awaits = given === undefined ? "subscribe() returns nothing to await" : "subscribe() can be awaited"
    return told(`a "response" event with status "${answers[0]!.result.status}"; ${awaits}`)
  }))
})

export const rejected = (settings: Settings): Effect.Effect<Row, unknown> =>
  Effect.gen(function*() {
    const urls = (yield* simulate("gate-spot", settings)).urls["gate-spot"]!
    const exchange = yield* Judges.ccxtGate(urls)
    const error = yield* failure(() => exchange.watchTrades(pair), 60_000)
    const row: Row = {
      id: "gate-rejected",
      title: "Gate: a subscription is refused",
      done: "a trades subscription is refused with code 2",
      ccxt: error === undefined ? bad("nothing raised") : good(`${error.name} is thrown`),
      gateioApi: yield* responded(urls),
      ours: yield* refused("gate-spot", urls),
      target: "typed error",
      kind: "outcome"
    }
    return row
  }).pipe(Effect.scoped)
