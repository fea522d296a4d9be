/** This library, pointed at a simulator as the others are, with its defaults. */
import { Effect, Layer } from "effect"
import type { Scope } from "effect"
import * as OrderBooks from "../../src/composite/OrderBooks.ts"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as NodeHttp from "../../src/connection/NodeHttp.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import * as Exchanges from "../../src/Exchanges.ts"
import { PublicWebsocket } from "../../src/PublicWebsocket.ts"
import type { SimulatorUrls } from "../../src/simulator/Simulator.ts"

export const websocket = (
  id: Exchanges.KnownExchange,
  { rest, ws }: SimulatorUrls
): Effect.Effect<PublicWebsocket["Service"], never, Scope.Scope> => {
  const layer = ExchangeFactory.layerPublic(Exchanges.get(id), { url: ws, restUrl: rest }).pipe(
    Layer.provide(Layer.merge(FrameSocket.layerWs, NodeHttp.layer))
  )
  return Effect.flatMap(Layer.build(layer), (context) => Effect.provide(PublicWebsocket, context))
}

export const books = (
  id: Exchanges.KnownExchange,
  urls: SimulatorUrls,
  pairs: ReadonlyArray<TradingPair>
): Effect.Effect<OrderBooks.OrderBooks["Service"], never, Scope.Scope> =>
  Effect.flatMap(
    websocket(id, urls),
    (service) => Effect.provideService(OrderBooks.make(pairs), PublicWebsocket, service)
  )
