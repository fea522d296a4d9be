/** What the simulator's process says through its own endpoints. */
import { Effect, Schema } from "effect"
import { TradingPair } from "../../src/domain/Instrument.ts"
import type { SimulatorUrls } from "../../src/simulator/Simulator.ts"

const Level = Schema.Struct({ price: Schema.String, quantity: Schema.String })

const Book = Schema.Struct({ version: Schema.Finite, bids: Schema.Array(Level), asks: Schema.Array(Level) })
export type Book = typeof Book.Type

const Tally = Schema.Struct({ frames: Schema.Finite, events: Schema.Finite })

const Counts = Schema.Struct({
  exchanges: Schema.Record(
    Schema.String,
    Schema.Struct({
      topics: Schema.Record(Schema.String, Schema.Struct({ sent: Tally })),
      connections: Schema.Struct({ accepted: Schema.Finite, refused: Schema.Finite })
    })
  ),
  skippedTicks: Schema.Finite,
  ticks: Schema.Finite,
  failures: Schema.Array(Schema.String)
})
export type Counts = typeof Counts.Type

/** What an exchange has booked of one account; amounts as decimal text. */
const Account = Schema.Struct({
  orders: Schema.Array(Schema.Struct({ finish: Schema.NullOr(Schema.String) })),
  fills: Schema.Array(
    Schema.Struct({
      id: Schema.Finite,
      pair: TradingPair,
      side: Schema.Literals(["buy", "sell"]),
      price: Schema.String,
      quantity: Schema.String,
      fee: Schema.String,
      feeAsset: Schema.String
    })
  ),
  balances: Schema.Array(Schema.Struct({ asset: Schema.String, available: Schema.String, locked: Schema.String })),
  positions: Schema.Array(Schema.Struct({ pair: TradingPair, size: Schema.String }))
})
export type Account = typeof Account.Type

export interface Truth {
  /** The book at a version; null when it is not, or no longer, held. */
  readonly book: (exchange: string, pair: string, version: number, depth: number) => Effect.Effect<Book | null, Error>
  /** Of each account there. */
  readonly accounts: (exchange: string) => Effect.Effect<ReadonlyArray<Account>, Error>
  readonly counts: Effect.Effect<Counts, Error>
  readonly inject: (fault: string) => Effect.Effect<void, Error>
  /** Ends every fault. */
  readonly clear: Effect.Effect<void, Error>
  /** Holds the markets as they are. */
  readonly pause: Effect.Effect<void, Error>
}

const request = (url: string, init?: RequestInit): Effect.Effect<Response, Error> =>
  Effect.tryPromise({
    try: (signal) => fetch(url, { ...init, signal }),
    catch: (error) => new Error(`the simulator does not answer at ${url}: ${String(error)}`)
  })

const body = (response: Response): Effect.Effect<unknown, Error> =>
  Effect.tryPromise({
    try: () => response.json() as Promise<unknown>,
    catch: (error) => new Error(`the simulator's answer cannot be read: ${String(error)}`)
  })

/** Where a simulator that has these addresses is asked for the truth. */
export const adminOf = (urls: Readonly<Record<string, SimulatorUrls>>): string =>
  `${new URL(Object.values(urls)[0]!.rest).origin}/_simulator`

/** `admin` is the base of the endpoints. */
export const make = (admin: string): Truth => {
  const call = (method: string, path: string, text?: string) =>
    Effect.flatMap(
      request(`${admin}/${path}`, { method, ...text === undefined ? {} : { body: text } }),
      (response) =>
        response.ok
          ? body(response)
          : Effect.flatMap(body(response), (answer) => Effect.fail(new Error(`${path}: ${JSON.stringify(answer)}`)))
    )
  return {
    book: (exchange, pair, version, depth) =>
      Effect.flatMap(
        request(
          `${admin}/truth?${new URLSearchParams({ exchange, pair, version: String(version), depth: String(depth) })}`
        ),
        (response) =>
          response.status === 404 ? Effect.succeed(null) : Effect.flatMap(
            body(response),
            (answer) => Schema.decodeUnknownEffect(Book)(answer)
          )
      ),
    accounts: (exchange) =>
      Effect.flatMap(
        call("GET", `account?${new URLSearchParams({ exchange })}`),
        (answer) => Schema.decodeUnknownEffect(Schema.Array(Account))(answer)
      ),
    counts: Effect.flatMap(call("GET", "counts"), (answer) => Schema.decodeUnknownEffect(Counts)(answer)),
    inject: (fault) => Effect.asVoid(call("POST", "fault", fault)),
    clear: Effect.asVoid(call("DELETE", "fault")),
    pause: Effect.asVoid(call("POST", "pause"))
  }
}
