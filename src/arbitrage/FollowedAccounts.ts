/**
 * The islands that the guard follows: what their accounts tell counts once, whoever has them followed and however many sessions
 * tell it, and their markets say what a pair is worth.
 */
import { BigDecimal, Effect, Exit, Schedule, Scope } from "effect"
import type { Island } from "../composite/Markets.ts"
import type { AccountEvent, Fill, Order } from "../domain/Account.ts"
import { isFinal } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import { RecentText } from "../domain/RecentText.ts"
import type { Gate, Source } from "./GuardedEntry.ts"
import * as GuardedEntry from "./GuardedEntry.ts"
import type { Held, RiskBook, Traded } from "./RiskBook.ts"
import type { RiskFunding } from "./RiskFunding.ts"
import { keyOf as fundingKeyOf } from "./RiskFunding.ts"
import type { RiskPositions } from "./RiskPositions.ts"

type Amount = Decimal.Decimal

export interface AccountsOptions {
  readonly book: RiskBook
  readonly gate: () => Gate
  readonly positions: RiskPositions
  readonly funding: RiskFunding
  readonly fork: (effect: Effect.Effect<void>) => void
  /** Throws the switch of an exchange. */
  readonly kill: (reason: string, of: ExchangeId) => void
  readonly onFill: (fill: Traded, of: Held | undefined) => void
}

/** An island that is followed, by so many. */
interface Followed {
  readonly island: Island
  readonly source: Source
  readonly units: Map<TradingPair, Amount>
  readonly scope: Scope.Closeable
  users: number
}

/**
 * Events that are remembered at the least, so that one told by two sessions counts once: the second one reads as far back as
 * its `lookback` says, which no time bounds.
 */
const remembered = 50_000

/** Between two attempts to read what an exchange lists. */
const listAgain = Schedule.spaced("5 seconds")

/** Null for what is no price. */
const priceOf = (value: number): Amount | null => value > 0 && Number.isFinite(value) ? Decimal.fromNumber(value) : null

const sourceOf = ({ market }: Island): Source => ({
  unit: (pair) => Effect.map(market.instruments.get(pair), ({ contractSize }) => Decimal.fromNumber(contractSize)),
  price: (pair, side) => {
    const best = market.bestPrice(pair)
    return best === null ? null : priceOf(side === "buy" ? best.askPrice : best.bidPrice)
  }
})

/** By which an event is known again that two sessions tell; null where each is an event of its own, or nothing tells them apart. */
const keyOf = (event: AccountEvent): string | null => {
  switch (event._tag) {
    case "Fill":
      // Both sides of a trade with oneself have its id.
      return `${event.symbol} ${event.tradeId} ${event.side}`
    case "AutoDeleverage": {
      const { exchangeTime, positionSize, price, quantity, symbol } = event
      if (exchangeTime === null) return null
      return ["taken", symbol, exchangeTime, ...[quantity, positionSize, price].map(Decimal.toText)].join(" ")
    }
    case "Balance":
      return event.isFunding === true ? fundingKeyOf(event) : null
    default:
      return null
  }
}

export class FollowedAccounts {
  readonly #options: AccountsOptions
  /** By exchange, the one that was followed last behind the others: its market is asked. */
  readonly #followed = new Map<ExchangeId, ReadonlyArray<Followed>>()
  readonly #told = new RecentText(remembered)

  constructor(options: AccountsOptions) {
    this.#options = options
  }

  #current(exchange: ExchangeId): Followed | undefined {
    return this.#followed.get(exchange)?.at(-1)
  }

  isFollowing(island: Island): boolean {
    return this.#find(island) !== undefined
  }

  #find(island: Island): Followed | undefined {
    return this.#followed.get(island.exchange)?.find((one) => one.island === island)
  }

  island(exchange: ExchangeId): Island | undefined {
    return this.#current(exchange)?.island
  }

  source(exchange: ExchangeId): Source | undefined {
    return this.#current(exchange)?.source
  }

  get islands(): ReadonlyArray<Island> {
    return [...this.#followed.values()].flatMap((all) => all.at(-1)?.island ?? [])
  }

  /** Quote: half way between bid and ask; null where no followed market tells both. */
  mid(exchange: ExchangeId, pair: TradingPair): Amount | null {
    const source = this.source(exchange)
    const [bid, ask] = [source?.price(pair, "sell") ?? null, source?.price(pair, "buy") ?? null]
    return bid === null || ask === null
      ? null
      : Decimal.half(BigDecimal.sum(bid, ask))
  }

  // ---- following ----

  /** Until the scope closes; who else follows it keeps it followed. */
  follow(island: Island): Effect.Effect<void, never, Scope.Scope> {
    return Effect.asVoid(Effect.acquireRelease(
      Effect.suspend(() => {
        const found = this.#find(island)
        if (found === undefined) return this.#begin(island)
        found.users++
        return Effect.succeed(found)
      }),
      (followed) => Effect.suspend(() => --followed.users === 0 ? this.#end(followed) : Effect.void)
    ))
  }

  readonly #begin = Effect.fnUntraced({ self: this }, function*(this: FollowedAccounts, island: Island) {
    const { account, exchange } = island
    const followed: Followed = {
      island,
      source: sourceOf(island),
      units: new Map(),
      scope: yield* Scope.make(),
      users: 1
    }
    this.#followed.set(exchange, [...this.#followed.get(exchange) ?? [], followed])
    if (account !== null) {
      this.#options.funding.begin(exchange, island.market.clock())
      yield* Scope.provide(account.onEvent((event) => this.#onEvent(followed, event)), followed.scope)
      for (const { fills, order } of account.openOrders()) {
        if (order !== null) this.#onOrder(followed, order, BigDecimal.sumAll(fills.map(({ quantity }) => quantity)))
      }
    }
    yield* Effect.forkIn(this.#list(followed), followed.scope, { startImmediately: true })
    return followed
  })

  #end(followed: Followed): Effect.Effect<void> {
    const { island: { exchange }, scope } = followed
    const others = this.#followed.get(exchange)?.filter((other) => other !== followed) ?? []
    if (others.length > 0) this.#followed.set(exchange, others)
    else this.#followed.delete(exchange)
    if (this.#options.funding.isWaiting(exchange)) {
      this.#lost(exchange, "funding", "what the exchange lists could not be read")
    }
    return Scope.close(scope, Exit.void)
  }

  /** What is not known by then is asked for when it is traded. */
  #list({ island, units }: Followed): Effect.Effect<void> {
    const read = Effect.map(Effect.retry(island.market.instruments.all, listAgain), (listed) => {
      for (const [pair, { contractSize }] of listed) units.set(pair, Decimal.fromNumber(contractSize))
      this.#options.funding.list(island.exchange, listed.keys())
    })
    return Effect.ignore(read)
  }

  // ---- what is told ----

  #isNew(exchange: ExchangeId, event: AccountEvent): boolean {
    const own = keyOf(event)
    if (own === null) return true
    const key = `${exchange} ${own}`
    if (this.#told.has(key)) return false
    this.#told.set(key)
    return true
  }

  #onEvent(followed: Followed, event: AccountEvent): void {
    const { exchange } = followed.island
    const { positions } = this.#options
    if (!this.#isNew(exchange, event)) return
    switch (event._tag) {
      case "OrderUpdate":
        this.#onOrder(followed, event, Decimal.zero)
        if (event.forced === undefined) return
        return this.#withUnit(followed, event, (pair, unit) => positions.ordered(exchange, event, pair, unit))
      case "Fill":
        return this.#withUnit(followed, event, (pair, unit) => {
          this.#count(exchange, pair, unit, event)
          positions.filled(exchange, event, pair, unit)
        })
      case "AutoDeleverage":
        return this.#withUnit(followed, event, (pair, unit) => positions.deleveraged(exchange, event, pair, unit))
      case "Balance":
        if (event.isFunding === true) this.#options.funding.push(exchange, event)
    }
  }

  /** `told`: what of its fills has been told before. */
  #onOrder(followed: Followed, order: Order, told: Amount): void {
    const { book, gate } = this.#options
    const { exchange } = followed.island
    const heldOf = (): Held | undefined => book.find(exchange, order.clientOrderId, order.orderId)
    const held = heldOf()
    if (isFinal(order.status)) book.noteEnd(exchange, order.orderId)
    if (held !== undefined) return GuardedEntry.note(gate(), exchange, held, order)
    if (book.hasEnded(exchange, order.orderId)) return
    this.#withUnit(followed, order, (pair, unit) => {
      if (book.hasEnded(exchange, order.orderId)) return
      const known = heldOf() ?? GuardedEntry.adopt(gate(), exchange, pair, order, unit, told)
      GuardedEntry.note(gate(), exchange, known, order)
    })
  }

  #count(exchange: ExchangeId, pair: TradingPair, unit: Amount, fill: Fill): void {
    this.#options.onFill({
      exchange,
      pair,
      side: fill.side,
      quantity: BigDecimal.multiply(fill.quantity, unit),
      price: fill.price,
      fee: fill.fee ?? Decimal.zero,
      feeAsset: fill.feeAsset ?? undefined,
      clientOrderId: fill.clientOrderId
    }, this.#options.book.find(exchange, fill.clientOrderId, fill.orderId))
  }

  /** What cannot be counted: what is at risk is no longer known. */
  #lost(exchange: ExchangeId, what: string, detail: string): void {
    this.#options.kill(`${what} cannot be counted: ${detail}`, exchange)
  }

  /** With the size of the pair's unit at once where it is known, else as soon as it is. */
  #withUnit(
    { island: { exchange }, source, units }: Followed,
    { pair, symbol }: Pick<Fill, "pair" | "symbol">,
    then: (pair: TradingPair, unit: Amount) => void
  ): void {
    if (pair === null) return this.#lost(exchange, symbol, "no instrument is known for it")
    const known = units.get(pair)
    if (known !== undefined) return then(pair, known)
    this.#options.fork(Effect.match(source.unit(pair), {
      onFailure: ({ message }) => this.#lost(exchange, pair, message),
      onSuccess: (unit) => {
        units.set(pair, unit)
        then(pair, unit)
      }
    }))
  }

  /** Ends that the stream has not told: the accounts have found them out by asking. */
  lookForEnds(): void {
    const { book } = this.#options
    for (const { account, exchange } of this.islands) {
      for (const held of account === null ? [] : book.named(exchange)) {
        const known = account?.order(held.clientOrderId ?? `#${held.orderId}`)
        if (known?.state._tag !== "Final") continue
        const told = BigDecimal.sumAll(known.fills.map(({ quantity }) => quantity))
        if (BigDecimal.isGreaterThanOrEqualTo(told, known.filledQuantity)) book.release(held)
      }
    }
  }
}
