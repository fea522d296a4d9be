/** An account on standard output: its state as tables, or every event and every gap as a line of JSON. */
import { Clock, Effect, Schedule, Stream } from "effect"
import type { Duration, Option, Scope, Stdio, Terminal } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { TerminalCapabilities } from "effect/cli"
import type { AccountEvent } from "../../domain/Account.ts"
import type { PrivateTag } from "../../domain/PrivateChannel.ts"
import { tagOf } from "../../domain/PrivateChannel.ts"
import type { AccountFeed } from "../../PrivateWebsocket.ts"
import { handlersFor, PrivateWebsocket } from "../../PrivateWebsocket.ts"
import type { JsonObject } from "../EventJson.ts"
import * as Failure from "../Failure.ts"
import * as Lifetime from "../Lifetime.ts"
import * as Live from "../Live.ts"
import * as Logging from "../Logging.ts"
import * as Refusal from "../Refusal.ts"
import * as Show from "../Show.ts"
import * as StatusLog from "../StatusLog.ts"
import * as Stdout from "../Stdout.ts"
import * as Style from "../Style.ts"
import * as Telemetry from "../Telemetry.ts"
import { AccountBoard } from "./AccountBoard.ts"
import * as AccountJson from "./AccountJson.ts"
import * as AccountSource from "./AccountSource.ts"
import type { Source } from "./AccountSource.ts"
import { AccountView } from "./AccountView.ts"

/** Undefined: all that the exchange has. */
export type Channels = NonEmptyReadonlyArray<PrivateTag> | undefined

const initialize = (board: AccountBoard, channels: Channels) =>
  Effect.gen(function*() {
    const websocket = yield* PrivateWebsocket
    yield* Effect.mapError(websocket.initialize(channels), Refusal.failure)
    board.isAccepted = true
  })

const itemJson = (exchange: string, account: string, item: AccountFeed<AccountEvent>): JsonObject =>
  item._tag === "Gap"
    ? { exchange, account, channel: item.channel, gap: AccountJson.gap(item) }
    : { exchange, account, channel: tagOf[item.value._tag], ...AccountJson.event(item.value) }

/** Copies what the session has counted onto the board. */
const refresh = (board: AccountBoard) =>
  Effect.gen(function*() {
    const websocket = yield* PrivateWebsocket
    board.performance = yield* websocket.performance
    board.isAuthenticated = yield* websocket.isAuthenticated
  })

/** Keeps the board until the exchange refuses for good; `meanwhile` runs once the session is open. */
export const follow = <R>(
  board: AccountBoard,
  channels: Channels,
  meanwhile: Effect.Effect<void, never, R>
): Effect.Effect<never, Failure.CommandFailed, PrivateWebsocket | Scope.Scope | R> =>
  Effect.gen(function*() {
    const websocket = yield* PrivateWebsocket
    yield* websocket.handle(handlersFor(websocket.channels, board.handlers))
    yield* StatusLog.follow(websocket.status, `account ${board.account}, `)
    yield* Effect.addFinalizer(() => refresh(board))
    yield* Effect.forkScoped(Effect.schedule(refresh(board), Schedule.spaced("250 millis")))
    yield* initialize(board, channels)
    yield* Effect.forkScoped(meanwhile)
    // Ends only when the session does.
    yield* Stream.runDrain(websocket.events)
    return yield* Effect.never
  }).pipe(
    Effect.mapError((error) => error._tag === "ExchangeError" ? Refusal.failure(error) : error),
    Effect.tapError((failure) => Effect.sync(() => void (board.failure = failure.message)))
  )

/** Every element of the session as a line, at the reader's pace. */
export const ndjson = <R>(
  board: AccountBoard,
  channels: Channels,
  meanwhile: Effect.Effect<void, never, R>
) =>
  Effect.gen(function*() {
    const websocket = yield* PrivateWebsocket
    yield* StatusLog.follow(websocket.status)
    const { account, exchange } = websocket
    // What trades has to know what is open.
    yield* Effect.mapError(websocket.handle(handlersFor(websocket.channels, board.handlers)), Refusal.failure)
    const lines = websocket.events.pipe(
      Stream.mapError(Refusal.failure),
      Stream.chunks,
      Stream.map((items) => items.map((item) => `${JSON.stringify(itemJson(exchange, account, item))}\n`).join(""))
    )
    const running = Effect.andThen(initialize(board, channels), Effect.andThen(meanwhile, Effect.never))
    yield* Effect.raceFirst(Stdout.write(lines), running)
  }).pipe(Effect.scoped)

/** The state of the account, redrawn in place or printed every second. */
export const table = <R>(
  board: AccountBoard,
  view: AccountView,
  channels: Channels,
  meanwhile: Effect.Effect<void, never, R>
): Effect.Effect<void, Failure.CommandFailed, PrivateWebsocket | Stdio.Stdio | Terminal.Terminal | R> =>
  follow(board, channels, meanwhile).pipe(Effect.scoped, Effect.raceFirst(Live.show(view)))

/** What to show with. */
export const prepare = Effect.fnUntraced(function*({ account, adapter, origin }: Source, isTable: boolean) {
  const clock = yield* Clock.Clock
  const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
  const log = isTable ? yield* Live.logging : Logging.direct
  const board = new AccountBoard(adapter.id, account)
  const view = new AccountView({
    board,
    name: adapter.name,
    origin,
    hasPositions: adapter.kind === "swap",
    now: () => clock.currentTimeMillisUnsafe(),
    style: Style.of(canColor),
    log: log.recent
  })
  return { board, log, view }
})

export interface RunOptions extends Telemetry.TelemetryOptions {
  readonly source: Effect.Effect<Source, Failure.CommandFailed, Scope.Scope>
  readonly channels: Channels
  /** Whether something trades on an account that is simulated. */
  readonly trades: boolean
  readonly format: Option.Option<"table" | "ndjson">
  readonly duration: Option.Option<Duration.Duration>
}

/** Shows an account until it is ended. */
export const run = Effect.fnUntraced(function*(options: RunOptions) {
  const isTable = yield* Show.isTable(options.format)
  let isAccepted = false
  let exchange = ""
  const body = Effect.gen(function*() {
    const source = yield* options.source
    exchange = source.adapter.id
    const { board, log, view } = yield* prepare(source, isTable)
    const trading = options.trades ? source.trade(() => [...board.openOrders.values()]) : Effect.void
    const shown = isTable
      ? table(board, view, options.channels, trading)
      : ndjson(board, options.channels, trading)
    yield* AccountSource.provided(source, shown).pipe(
      Effect.provide(Telemetry.layer(options)),
      Effect.provide(log.layer),
      Effect.ensuring(Effect.sync(() => void (isAccepted = board.isAccepted))),
      Effect.ensuring(log.release)
    )
  }).pipe(Effect.scoped)
  const end = yield* Lifetime.run(body, options)
  if (end === "Elapsed" && !isAccepted) return yield* Failure.nothing(`nothing was received from ${exchange}`)
})
