/** What the tests of sessions over simulated exchanges share, in memory and in virtual time. */
import type { Effect, Scope } from "effect"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { ExchangeDialect, World } from "../../src/ExchangeDialect.ts"
import type * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import type { SimulatorOptions } from "../../src/simulator/Simulator.ts"
import * as Exchange from "../suites/Exchange.ts"

/** Nothing happens in these markets unless the test publishes it. */
export const still = { rate: 0, tradeRate: 0 } as const

export const pairs = (count: number) =>
  Array.from({ length: count }, (_, index): TradingPair => `C${index}/USDT`) as [TradingPair, ...Array<TradingPair>]

export const over = <A, E>(
  subject: Exchange.Subject,
  body: Effect.Effect<A, E, Exchange.Services | Scope.Scope>,
  simulator?: Partial<SimulatorOptions>,
  options?: ExchangeFactory.WebsocketOptions
): Effect.Effect<A, E> =>
  Exchange.withExchange(Exchange.memory, Exchange.memory.layer(subject, simulator, options), body)

/** The client's frames that the server is told to overlook. */
export const deafTo = (dialect: ExchangeDialect, overlooks: (frame: string) => boolean): ExchangeDialect => ({
  ...dialect,
  connect: (world, peer, options) => {
    const connection = dialect.connect(world, peer, options)
    return {
      ...connection,
      onFrame: (frame) => {
        if (!overlooks(String(frame))) connection.onFrame(frame)
      }
    }
  }
})

/** A server that refuses topics for the reason that is given; null: it accepts. */
export const refusing = (dialect: ExchangeDialect, refuses: World["refuses"]): ExchangeDialect => ({
  ...dialect,
  connect: (world, peer, options) => dialect.connect({ ...world, refuses }, peer, options)
})
