/**
 * A `PublicExchange` for tests of your own program, over `PublicWebsocketTest`: you say what the exchange lists, sends, refuses
 * and loses. Books, pairs, prices and health are the real ones.
 */
import { Effect, Layer } from "effect"
import type { PublicExchangeOptions } from "./composite/PublicExchange.ts"
import * as PublicExchange from "./composite/PublicExchange.ts"
import type { ExchangeId, Instrument } from "./domain/Instrument.ts"
import { spot } from "./domain/Instrument.ts"
import type { ClockReading } from "./ExchangeClock.ts"
import { ExchangeClock } from "./ExchangeClock.ts"
import * as ExchangeError from "./ExchangeError.ts"
import { MarketRest } from "./MarketRest.ts"
import * as PublicWebsocketTest from "./PublicWebsocketTest.ts"

export interface TestOptions extends PublicWebsocketTest.TestOptions {
  /** What the exchange lists. Default: spot `BTC/USDT` and `ETH/USDT`. */
  readonly instruments?: ReadonlyArray<Instrument> | undefined
  /** Our clock against the exchange's. Default: no difference, known to within 1 ms. */
  readonly clock?: Partial<ClockReading> | undefined
  readonly market?: PublicExchangeOptions | undefined
}

const listed = (exchange: ExchangeId): ReadonlyArray<Instrument> =>
  ["BTC", "ETH"].map((base) =>
    spot({ exchange, symbol: `${base}USDT`, base, quote: "USDT", priceStep: 0.01, quantityStep: 0.0001 })
  )

const services = ({ clock, exchange = "test", instruments = listed(exchange) }: TestOptions) => {
  const reading: ClockReading = { offsetMs: 0, errorMs: 1, at: 0, ...clock }
  const detail = "this test exchange has no snapshots: send them with TestControl"
  const unsupported = ExchangeError.make(exchange, new ExchangeError.UnsupportedChannel({ detail }))
  const serverTime = Effect.clockWith((ours) => Effect.map(ours.currentTimeMillis, (now) => now - reading.offsetMs))
  return Layer.mergeAll(
    Layer.succeed(
      MarketRest,
      MarketRest.of({
        exchange,
        instruments: Effect.succeed(instruments),
        serverTime,
        turnovers: Effect.succeed(new Map()),
        book: () => Effect.fail(unsupported)
      })
    ),
    Layer.succeed(
      ExchangeClock,
      ExchangeClock.of({
        exchange,
        now: serverTime,
        reading: Effect.succeed(reading),
        current: () => reading,
        doubt: () => {},
        measure: Effect.succeed(reading)
      })
    )
  )
}

/** `PublicExchange` and the control that scripts what is under it. */
export const layer = (
  options: TestOptions = {}
): Layer.Layer<PublicExchange.PublicExchange | PublicWebsocketTest.TestControl> =>
  PublicExchange.layer({ audit: { booksPerHour: 0 }, ...options.market }).pipe(
    Layer.provideMerge(PublicWebsocketTest.layer(options)),
    Layer.provide(services(options))
  )
