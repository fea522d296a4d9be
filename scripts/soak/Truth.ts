/** What the simulator's process says through its own endpoints. */
import { Data, Effect, Schedule, Schema } from "effect"
import type { Duration } from "effect"
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

/** Nothing came, or not all of it: the connection was cut, or it took too long. It says nothing of the simulator's state. */
export class Unanswered extends Data.TaggedError("Unanswered")<{ readonly message: string }> {}

interface Answer {
  readonly status: number
  readonly json: unknown
}

/** Of one try. */
const patience = "20 seconds"

interface Retries {
  readonly times: number
  /** The first pause; each is twice the one before. */
  readonly base: Duration.Input
}

/** Together three seconds. */
const retries: Retries = { times: 5, base: "100 millis" }

const causeOf = (error: unknown): string =>
  error instanceof Error && error.cause !== undefined ? `${String(error)} (${String(error.cause)})` : String(error)

/**
 * Asked again a few times, further and further apart: a run of an hour must not end for one connection that was closed. Each of these requests may be sent twice; a fault that is told twice is one of the same kind more.
 */
export const ask = (
  url: string,
  init: RequestInit = {},
  fetch: typeof globalThis.fetch = globalThis.fetch,
  { base, times }: Retries = retries
): Effect.Effect<Answer, Unanswered> =>
  Effect.tryPromise({
    try: async (signal): Promise<Answer> => {
      const response = await fetch(url, { ...init, signal })
      return { status: response.status, json: await response.json() }
    },
    catch: (error) => new Unanswered({ message: `the simulator does not answer at ${url}: ${causeOf(error)}` })
  }).pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.fail(new Unanswered({ message: `the simulator does not answer at ${url} in ${patience}` }))
    }),
    Effect.retry({ schedule: Schedule.exponential(base), times })
  )

/** Where a simulator that has these addresses is asked for the truth. */
export const adminOf = (urls: Readonly<Record<string, SimulatorUrls>>): string =>
  `${new URL(Object.values(urls)[0]!.rest).origin}/_simulator`

/** `admin` is the base of the endpoints. */
export const make = (admin: string): Truth => {
  const call = (method: string, path: string, text?: string) =>
    Effect.flatMap(
      ask(`${admin}/${path}`, { method, ...text === undefined ? {} : { body: text } }),
      ({ json, status }) =>
        status >= 200 && status < 300
          ? Effect.succeed(json)
          : Effect.fail(new Error(`${path}: ${JSON.stringify(json)}`))
    )
  return {
    book: (exchange, pair, version, depth) =>
      Effect.flatMap(
        ask(
          `${admin}/truth?${new URLSearchParams({ exchange, pair, version: String(version), depth: String(depth) })}`
        ),
        ({ json, status }) => status === 404 ? Effect.succeed(null) : Schema.decodeUnknownEffect(Book)(json)
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
