/** `exchange order`: places, cancels, amends and looks up orders of one account. */
import { Clock, Console, Effect, Option, Random } from "effect"
import type { Stdio } from "effect"
import { Command, Flag } from "effect/cli"
import * as OrderPreparation from "../account/OrderPreparation.ts"
import type { OrderProtocol, PreparedOrder } from "../AccountAdapter.ts"
import type { Order } from "../domain/Account.ts"
import type { Instrument, TradingPair } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import { MarketRest } from "../MarketRest.ts"
import type { Amendment, OrderRef, OrderRequest } from "../OrderEntry.ts"
import { OrderEntry } from "../OrderEntry.ts"
import * as AccountSource from "./account/AccountSource.ts"
import * as Confirmation from "./account/Confirmation.ts"
import * as Outcome from "./account/Outcome.ts"
import * as Failure from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as Refusal from "./Refusal.ts"
import * as Show from "./Show.ts"

// ---- what all of them have ------------------------------------------------------------------------------------------

const common = {
  exchange: Flags.exchangeId,
  ...AccountSource.flags,
  format: Flag.Literals("format", ["table", "ndjson"]).pipe(
    Flag.withDescription("A table for people or lines of JSON (default: table on a terminal)"),
    Flag.optional
  )
}

const dryRun = Flag.Boolean("dry-run").pipe(
  Flag.withDescription("Say what would be sent, on the exchange's steps and within its limits, and send nothing"),
  Flag.withDefault(false)
)

const optionalAmount = (name: string, description: string) =>
  Flags.amount(name).pipe(Flag.withDescription(description), Flag.optional)

const clientOrderIdFlag = (description: string) =>
  Flag.String("client-order-id").pipe(Flag.withDescription(description), Flag.optional)

interface Common extends AccountSource.Asked {
  readonly format: Option.Option<"table" | "ndjson">
}

interface Opened {
  readonly source: AccountSource.Source
  readonly printing: Outcome.Printing
}

/** Opens the account and runs the body with its services. */
const withAccount = <A, R>(
  options: Common,
  body: (opened: Opened) => Effect.Effect<A, Failure.CommandFailed, R>
) =>
  Effect.gen(function*() {
    const source = yield* AccountSource.open(options)
    const printing = { isTable: yield* Show.isTable(options.format) }
    return yield* body({ source, printing })
  }).pipe(Effect.scoped, Effect.interruptible)

const { provided } = AccountSource

/** Real money only moves once its mover has typed so. */
const confirm = (
  { kind, adapter, urls, account }: AccountSource.Source,
  what: string
): Effect.Effect<void, Failure.CommandFailed, Stdio.Stdio> =>
  kind === "live"
    ? Confirmation.ask(
      [`${adapter.name}, account ${account}, LIVE (${urls.rest}):`, `  ${what}`],
      adapter.id
    )
    : Effect.void

// ---- place ----------------------------------------------------------------------------------------------------------

const instrumentOf = (
  { adapter }: AccountSource.Source,
  pair: TradingPair
): Effect.Effect<Instrument, Failure.CommandFailed, MarketRest> =>
  Effect.gen(function*() {
    const { instruments } = yield* MarketRest
    const listed = (yield* Effect.mapError(instruments, Refusal.failure)).find((each) => each.pair === pair)
    return listed ??
      (yield* Failure.usage(
        `${adapter.id} does not list ${pair}; \`exchange instruments ${adapter.id}\` shows what it does`
      ))
  })

const protocolOf = ({ adapter }: AccountSource.Source): Effect.Effect<OrderProtocol, Failure.CommandFailed> =>
  adapter.account === undefined
    ? Effect.fail(Failure.usage(`${adapter.name} has no order entry`))
    : Effect.succeed(adapter.account.orders)

/** Known before the order leaves: whoever is stopped in between can look for it. */
const newClientOrderId = ({ clientOrderIds }: OrderProtocol): Effect.Effect<string> =>
  Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const salt = yield* Random.nextIntBetween(0, 36 ** 4)
    return clientOrderIds.make(`${now.toString(36)}c${salt.toString(36).padStart(4, "0")}`)
  })

const preparedOf = Effect.fnUntraced(function*(source: AccountSource.Source, request: OrderRequest) {
  const protocol = yield* protocolOf(source)
  const clientOrderId = request.clientOrderId ?? (yield* newClientOrderId(protocol))
  const instrument = yield* instrumentOf(source, request.pair)
  return yield* Effect.mapError(
    Effect.fromResult(OrderPreparation.prepare(instrument, request, clientOrderId, protocol)),
    (reason) => Refusal.failure(ExchangeError.make(source.adapter.id, reason))
  )
})

const send = (prepared: PreparedOrder, request: OrderRequest, { printing, source }: Opened) =>
  Effect.gen(function*() {
    const what = `${source.adapter.id}: ${Outcome.describe(prepared)}, client order id ${prepared.clientOrderId}`
    yield* confirm(source, what)
    yield* Console.error(`sending ${what}`)
    const entry = yield* OrderEntry
    const placed = entry.place({ ...request, clientOrderId: prepared.clientOrderId })
    yield* Outcome.report(Effect.map(placed, ({ outcome }) => outcome), what, (order) => [order], printing)
  })

const undefinedWhenNone = <A>(option: Option.Option<A>): A | undefined => Option.getOrUndefined(option)

const place = Command.make(
  "place",
  {
    ...common,
    pair: Flags.pair,
    side: Flag.Literals("side", ["buy", "sell"]).pipe(Flag.withDescription("Buy or sell")),
    quantity: optionalAmount(
      "quantity",
      "How much: base on spot, contracts on perpetuals; rounded down to the exchange's step"
    ),
    quoteQuantity: optionalAmount(
      "quote-quantity",
      "How much to spend, in quote: spot market buys, in place of --quantity"
    ),
    price: optionalAmount(
      "price",
      "Limit price; a buy's is rounded down to the exchange's step, a sell's up. Without: market"
    ),
    timeInForce: Flag.Literals("time-in-force", ["gtc", "ioc", "fok", "postOnly"]).pipe(
      Flag.withDescription("Default: gtc with a price, ioc without"),
      Flag.optional
    ),
    reduceOnly: Flag.Boolean("reduce-only").pipe(
      Flag.withDescription("Perpetuals: may only make a position smaller"),
      Flag.withDefault(false)
    ),
    stop: optionalAmount("stop", "Rests until the price is reached against you, where the exchange has it"),
    takeProfit: optionalAmount(
      "take-profit",
      "Rests until the price is reached in your favour, where the exchange has it"
    ),
    clientOrderId: clientOrderIdFlag(
      "A name of your own, unique and valid by the exchange's rules; made when left out"
    ),
    dryRun
  },
  (options) =>
    withAccount(options, (opened) =>
      Effect.gen(function*() {
        if (Option.isNone(options.quantity) && Option.isNone(options.quoteQuantity)) {
          return yield* Failure.usage(
            "--quantity is missing: how much, in base on spot and in contracts on perpetuals; a spot market buy may have "
              + "--quote-quantity in its place"
          )
        }
        if (Option.isSome(options.stop) && Option.isSome(options.takeProfit)) {
          return yield* Failure.usage("--stop excludes --take-profit: an order waits for one price")
        }
        const trigger = Option.map(options.stop, (price) => ({ kind: "stop" as const, price })).pipe(
          Option.orElse(() => Option.map(options.takeProfit, (price) => ({ kind: "takeProfit" as const, price })))
        )
        const request: OrderRequest = {
          pair: options.pair,
          side: options.side,
          quantity: undefinedWhenNone(options.quantity),
          quoteQuantity: undefinedWhenNone(options.quoteQuantity),
          price: undefinedWhenNone(options.price),
          timeInForce: undefinedWhenNone(options.timeInForce),
          reduceOnly: options.reduceOnly,
          trigger: undefinedWhenNone(trigger),
          clientOrderId: undefinedWhenNone(options.clientOrderId)
        }
        const { printing, source } = opened
        if (!options.dryRun) yield* AccountSource.checkKey(source)
        const prepared = yield* Effect.provide(preparedOf(source, request), source.market)
        if (options.dryRun) return yield* Outcome.printPrepared(prepared, source.adapter.id, printing)
        yield* provided(source, send(prepared, request, opened))
      }))
).pipe(
  Command.withDescription(
    "Place one order. What became of it is printed: accepted, rejected with the exchange's reason, or unknown, which the " +
      "exchange is then asked about until it is known."
  ),
  Command.withShortDescription("Place one order"),
  Command.withExamples([
    {
      command: "exchange order place gate-spot --pair BTC/USDT --side buy --quantity 0.01 --price 60000 --dry-run",
      description: "What would be sent"
    },
    {
      command: "exchange order place gate-futures --pair BTC/USDT:USDT --side sell --quantity 1 --reduce-only",
      description: "Market order on the simulated account"
    }
  ])
)

// ---- cancel, amend, look up -----------------------------------------------------------------------------------------

const orderId = Flag.String("order-id").pipe(
  Flag.withDescription("The exchange's id of the order"),
  Flag.optional
)

const clientOrderId = clientOrderIdFlag("The id that the order was placed with")

interface Named {
  readonly orderId: Option.Option<string>
  readonly clientOrderId: Option.Option<string>
}

const refOf = (pair: TradingPair, named: Named): Effect.Effect<OrderRef, Failure.CommandFailed> => {
  const orderId = Option.getOrUndefined(named.orderId)
  const clientOrderId = Option.getOrUndefined(named.clientOrderId)
  if (orderId !== undefined && clientOrderId === undefined) return Effect.succeed({ pair, orderId })
  if (orderId === undefined && clientOrderId !== undefined) return Effect.succeed({ pair, clientOrderId })
  return Effect.fail(Failure.usage("name the order: --order-id or --client-order-id, one of them"))
}

const nameOf = (ref: OrderRef): string =>
  "orderId" in ref ? `order ${ref.orderId} of ${ref.pair}` : `order ${ref.clientOrderId} of ${ref.pair}`

const dry = (what: string, { printing, source }: Opened) =>
  printing.isTable
    ? Outcome.print([`${source.adapter.id}: ${what}`, "dry run: nothing was sent"])
    : Outcome.printJson({ dryRun: true, exchange: source.adapter.id, command: what })

/** Says what it would do, or does it once that is confirmed. */
const change = <A>(
  opened: Opened,
  isDry: boolean,
  what: string,
  run: (entry: OrderEntry["Service"]) => Parameters<typeof Outcome.report<A>>[0],
  ordersOf: (value: A) => ReadonlyArray<Order>
) =>
  Effect.gen(function*() {
    if (isDry) return yield* dry(what, opened)
    yield* confirm(opened.source, what)
    const command = Effect.flatMap(OrderEntry, (entry) =>
      Outcome.report(run(entry), `${opened.source.adapter.id}: ${what}`, ordersOf, opened.printing))
    yield* provided(opened.source, command)
  })

const optionalPair = Flags.pair.pipe(Flag.optional)

const cancelAll = (pair: Option.Option<TradingPair>, isDry: boolean, opened: Opened) =>
  change(
    opened,
    isDry,
    `cancel every open order${Option.match(pair, { onNone: () => "", onSome: (name) => ` of ${name}` })}`,
    (entry) => entry.cancelAll(Option.getOrUndefined(pair)),
    (orders) => orders
  )

const cancel = Command.make(
  "cancel",
  {
    ...common,
    pair: optionalPair,
    orderId,
    clientOrderId,
    waiting: Flag.Boolean("waiting").pipe(
      Flag.withDescription("The order waits for its --stop or --take-profit price: Gate futures keep those apart"),
      Flag.withDefault(false)
    ),
    all: Flag.Boolean("all").pipe(
      Flag.withDescription("Every open order, of --pair when it is given"),
      Flag.withDefault(false)
    ),
    dryRun
  },
  (options) =>
    withAccount(options, (opened) =>
      Effect.gen(function*() {
        if (options.all && (options.waiting || [options.orderId, options.clientOrderId].some(Option.isSome))) {
          return yield* Failure.usage("--all excludes --order-id, --client-order-id and --waiting")
        }
        if (options.all) return yield* cancelAll(options.pair, options.dryRun, opened)
        if (Option.isNone(options.pair)) return yield* Failure.usage("--pair is needed, or --all")
        const named = yield* refOf(options.pair.value, options)
        const ref = options.waiting ? { ...named, trigger: true } : named
        yield* change(opened, options.dryRun, `cancel ${nameOf(ref)}`, (entry) => entry.cancel(ref), (order) => [order])
      }))
).pipe(
  Command.withDescription("Cancel one order, or every open one with --all."),
  Command.withShortDescription("Cancel orders"),
  Command.withExamples([
    { command: "exchange order cancel gate-spot --pair BTC/USDT --order-id 123", description: "One order" },
    { command: "exchange order cancel gate-spot --all --dry-run", description: "Only say what would be sent" }
  ])
)

const amendmentOf = (
  quantity: Option.Option<string>,
  price: Option.Option<string>
): Effect.Effect<Amendment, Failure.CommandFailed> =>
  Option.isNone(quantity) && Option.isNone(price)
    ? Effect.fail(Failure.usage("say what is to change: --price, --quantity or both"))
    : Effect.succeed({ quantity: Option.getOrUndefined(quantity), price: Option.getOrUndefined(price) })

const amend = Command.make(
  "amend",
  {
    ...common,
    pair: Flags.pair,
    orderId,
    clientOrderId,
    price: optionalAmount("price", "The new limit price, rounded as for place"),
    quantity: optionalAmount("quantity", "The new whole quantity, what is filled included"),
    dryRun
  },
  (options) =>
    withAccount(options, (opened) =>
      Effect.gen(function*() {
        const ref = yield* refOf(options.pair, options)
        const amendment = yield* amendmentOf(options.quantity, options.price)
        const { abilities } = yield* protocolOf(opened.source)
        if (!abilities.has("amend")) {
          return yield* Failure.usage(`${opened.source.adapter.name} cannot amend orders; cancel and place`)
        }
        const parts = Object.entries(amendment).flatMap(([name, value]) =>
          value === undefined ? [] : [`${name} ${value}`]
        )
        const what = `amend ${nameOf(ref)} to ${parts.join(" and ")}`
        yield* change(opened, options.dryRun, what, (entry) => entry.amend(ref, amendment), (order) => [order])
      }))
).pipe(
  Command.withDescription("Change price or quantity of an open order, where the exchange has it (Gate)."),
  Command.withShortDescription("Change an open order"),
  Command.withExamples([
    {
      command: "exchange order amend gate-spot --pair BTC/USDT --order-id 123 --price 59000",
      description: "A new price"
    }
  ])
)

const get = Command.make(
  "get",
  { ...common, pair: Flags.pair, orderId, clientOrderId },
  (options) =>
    withAccount(options, ({ printing, source }) =>
      Effect.gen(function*() {
        const ref = yield* refOf(options.pair, options)
        const found = Effect.flatMap(OrderEntry, (entry) => Effect.mapError(entry.get(ref), Refusal.failure))
        const order = yield* provided(source, found)
        if (order === null) return yield* Failure.nothing(`${source.adapter.id} has no ${nameOf(ref)}`)
        yield* Outcome.printOrders([order], printing)
      }))
).pipe(
  Command.withDescription("Look one order up, by the exchange's id or by yours."),
  Command.withShortDescription("Look one order up"),
  Command.withExamples([
    {
      command: "exchange order get mexc-spot --pair BTC/USDT --client-order-id mine-1",
      description: "By your own id"
    }
  ])
)

const list = Command.make(
  "list",
  { ...common, pair: optionalPair },
  (options) =>
    withAccount(options, ({ printing, source }) =>
      Effect.gen(function*() {
        const open = Effect.flatMap(
          OrderEntry,
          (entry) =>
            Effect.mapError(entry.openOrders(Option.getOrUndefined(options.pair)), (error) =>
              error.reason._tag === "InvalidUse" && Option.isNone(options.pair)
                ? Failure.usage(`${source.adapter.name} lists the open orders of one pair: --pair is needed`)
                : Refusal.failure(error))
        )
        yield* Outcome.printOrders(yield* provided(source, open), printing)
      }))
).pipe(
  Command.withDescription("List open orders, of one pair where the exchange needs it (MEXC)."),
  Command.withShortDescription("List open orders"),
  Command.withExamples([
    { command: "exchange order list gate-spot", description: "Every open order" },
    { command: "exchange order list mexc-spot --pair BTC/USDT", description: "Those of one pair" }
  ])
)

export const command = Command.make("order").pipe(
  Command.withDescription(
    "Place, cancel, amend and look up orders. Without --live or --testnet the account is a simulated one, made for the " +
      "occasion. --live takes the real exchange, and nothing is sent there before you have typed its id."
  ),
  Command.withShortDescription("Place, cancel, amend and look up orders"),
  Command.withSubcommands([place, cancel, amend, get, list])
)
