/** How long an order takes over Gate's WebSocket, client and exchange as two processes, and a private frame to a handler. */
import { Clock, Effect, Layer, Redacted } from "effect"
import * as FrameSocket from "../../../src/connection/FrameSocket.ts"
import * as NodeHashes from "../../../src/connection/NodeHashes.ts"
import * as NodeHttp from "../../../src/connection/NodeHttp.ts"
import { wallMillis } from "../../../src/domain/ClockTime.ts"
import * as ExchangeFactory from "../../../src/ExchangeFactory.ts"
import { gateSpot } from "../../../src/exchanges/gate/GateSpot.ts"
import { OrderEntry } from "../../../src/OrderEntry.ts"
import { PrivateWebsocket } from "../../../src/PrivateWebsocket.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as SimulatorProcess from "../SimulatorProcess.ts"

const pair = "BTC/USDT"

const layerOf = (urls: SimulatorProcess.Urls) => {
  const { rest, ws } = urls[gateSpot.id]!
  return ExchangeFactory.layerAccount(gateSpot, {
    credentials: {
      account: "demo",
      key: Redacted.make(`demo-key-${gateSpot.id}`),
      secret: Redacted.make(`demo-secret-${gateSpot.id}`)
    },
    url: ws,
    restUrl: rest,
    limits: "off"
  }).pipe(Layer.provide(Layer.mergeAll(FrameSocket.layerWs, NodeHttp.layer, NodeHashes.layer)))
}

const measure = Effect.fnUntraced(function*(count: number) {
  const clock = yield* Clock.Clock
  const entry = yield* OrderEntry
  const websocket = yield* PrivateWebsocket
  // The clock that frames are stamped with.
  const now = (): number => wallMillis(clock)
  const handled: Array<number> = []
  yield* websocket.handle({
    onOrder: ({ origin, receivedAt }) => void (origin === "Stream" && handled.push(now() - receivedAt))
  })
  yield* websocket.initialize()
  const took: Array<number> = []
  for (let i = 0; i < count; i++) {
    const began = now()
    const { clientOrderId, outcome } = yield* entry.place({
      pair,
      side: "buy",
      quantity: "0.01",
      price: 1_000 + i % 100
    })
    took.push(now() - began)
    if (outcome._tag !== "Accepted") return yield* Effect.fail(new Error(`an order was ${JSON.stringify(outcome)}`))
    yield* entry.cancel({ pair, clientOrderId })
  }
  return { took, handled }
})

const warmUp = 300

const judge = (proof: Proof, what: string, all: ReadonlyArray<number>, bounds: readonly [p50: number, p99: number]) => {
  const [p50, p99] = [Proofs.percentile(all, 0.5), Proofs.percentile(all, 0.99)]
  const isMet = p50 <= bounds[0] && p99 <= bounds[1]
  proof.check(
    `${what}: p50 at most ${bounds[0]} ms, p99 at most ${bounds[1]} ms`,
    all.length > 0 && (proof.quick || isMet),
    `${all.length}, p50 ${Proofs.text(p50)} ms, p99 ${Proofs.text(p99)} ms${
      isMet ? "" : proof.quick ? "; late, which --quick does not judge" : ", late"
    }`
  )
  proof.figure(`${what} p50`, p50)
  proof.figure(`${what} p99`, p99)
}

export const orderLatency: Case = {
  name: "order-latency",
  proves:
    "Gate spot's WebSocket, client and exchange as two processes: from place to accepted, and from a private frame to a handler",
  run: Effect.fnUntraced(function*(proof) {
    const count = Proofs.sizeOf(proof, 300, 5_000)
    const { handled, took } = yield* Effect.flatMap(
      SimulatorProcess.start([`--pairs=${pair}`, "--rate=5"]),
      (urls) => Effect.scoped(Effect.provide(measure(warmUp + count), layerOf(urls)))
    ).pipe(Effect.scoped)
    judge(proof, "an order", took.slice(warmUp), [1, 5])
    judge(proof, "a private frame", handled.slice(warmUp), [0.1, 1])
  })
}
