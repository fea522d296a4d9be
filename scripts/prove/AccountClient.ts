/**
 * A program with an account, to be killed: it trades, or it reads what there is and prints it. Its settings are one argument
 * of JSON; it knows nothing else.
 */
import { Console, Effect, Layer, Redacted } from "effect"
import type { Scope } from "effect"
import * as FrameSocket from "../../src/connection/FrameSocket.ts"
import * as NodeHashes from "../../src/connection/NodeHashes.ts"
import * as NodeHttp from "../../src/connection/NodeHttp.ts"
import * as ExchangeFactory from "../../src/ExchangeFactory.ts"
import { OrderEntry } from "../../src/OrderEntry.ts"
import { PrivateWebsocket } from "../../src/PrivateWebsocket.ts"
import type { SimulatorUrls } from "../../src/simulator/Simulator.ts"
import * as Account from "../../test/suites/AccountExchange.ts"
import { accountSubjects } from "../../test/suites/AccountSubjects.ts"

export interface Settings {
  readonly urls: Readonly<Record<string, SimulatorUrls>>
  readonly mode: "trade" | "read"
  /** ms; when the account began. */
  readonly since: number
}

/** Before the state that it has read, on standard output. */
export const marker = "account-state "

const settings = (): Settings => JSON.parse(process.argv[2] ?? "") as Settings

const layerOf = (subject: Account.Subject, { mode, since, urls }: Settings) => {
  const { rest, ws } = urls[subject.adapter.id]!
  return ExchangeFactory.layerAccount(subject.adapter, {
    credentials: {
      account: "main",
      key: Redacted.make("the-key-of-main"),
      secret: Redacted.make("the-secret-of-main")
    },
    url: ws,
    restUrl: rest,
    limits: "off",
    reconcilePairs: [subject.pair],
    reconcile: mode === "read" ? { lookback: Date.now() - since + 5_000 } : {}
  }).pipe(Layer.provide(Layer.mergeAll(FrameSocket.layerWs, NodeHttp.layer, NodeHashes.layer)))
}

/** Places without end, and cancels every second one. */
const trade = (subject: Account.Subject) =>
  Effect.gen(function*() {
    const entry = yield* OrderEntry
    const { pair, quantity } = subject
    for (let i = 0;; i++) {
      const order = i % 3 === 0
        ? { pair, side: "sell", quantity } as const
        : { pair, side: "buy", quantity, price: 1_000 + i } as const
      const { clientOrderId } = yield* entry.place(order)
      if (i % 2 === 1) yield* entry.cancel({ pair, clientOrderId })
      yield* Effect.sleep(5)
    }
  })

const read = (subject: Account.Subject) =>
  Effect.gen(function*() {
    const websocket = yield* PrivateWebsocket
    const known = yield* Account.watch(websocket)
    yield* websocket.initialize()
    yield* websocket.reconcile
    const lines = Account.linesOfKnown(known, subject.adapter.kind)
    yield* Console.log(marker + JSON.stringify({ exchange: subject.adapter.id, lines }))
  })

type Program = Effect.Effect<void, unknown, OrderEntry | PrivateWebsocket | Scope.Scope>

const run = (subject: Account.Subject, given: Settings) => {
  const program: Program = given.mode === "trade" ? trade(subject) : read(subject)
  return program.pipe(Effect.provide(layerOf(subject, given)), Effect.scoped)
}

const main = (given: Settings) =>
  Effect.forEach(accountSubjects, (subject) => run(subject, given), { concurrency: "unbounded", discard: true })

if (process.argv[1]?.endsWith("AccountClient.ts") === true) await Effect.runPromise(main(settings()))
