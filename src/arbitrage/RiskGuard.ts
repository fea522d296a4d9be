/**
 * What stands between a decision and an order: limits for each exchange and for all of them, a maximum loss, and a kill
 * switch. Every order that opens or grows exposure passes through it; one that only reduces passes unless the switch is
 * thrown for good.
 */
import { BigDecimal, Clock, Context, Duration, Effect, FiberSet, Layer, PubSub, Result, Stream } from "effect"
import type { Scope } from "effect"
import type { Island } from "../composite/Markets.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import { partsOf } from "../domain/Instrument.ts"
import * as ExchangeError from "../ExchangeError.ts"
import type { OrderEntry } from "../OrderEntry.ts"
import { FollowedAccounts } from "./FollowedAccounts.ts"
import type { Gate, Leaving, Source } from "./GuardedEntry.ts"
import * as GuardedEntry from "./GuardedEntry.ts"
import type { Killed } from "./KillSwitch.ts"
import { global, KillSwitches } from "./KillSwitch.ts"
import type { Held, Intent, Refusal, RiskLimits, Traded, Weighed } from "./RiskBook.ts"
import { one, parseLimits, RiskBook } from "./RiskBook.ts"
import { isLinear, RiskFunding } from "./RiskFunding.ts"
import type { Correction } from "./RiskPositions.ts"
import { RiskPositions } from "./RiskPositions.ts"

export type { Killed } from "./KillSwitch.ts"
export type { Intent, RiskLimits, Traded } from "./RiskBook.ts"
export type { Correction } from "./RiskPositions.ts"

export interface RiskOptions {
  /** Of all exchanges together. Exposure nets out between them. */
  readonly global?: RiskLimits | undefined
  /** Of each by itself. */
  readonly exchanges?: Readonly<Record<ExchangeId, RiskLimits>> | undefined
  /** How often what is held is marked anew and the loss judged between orders and fills. Default 1 s. */
  readonly markInterval?: Duration.Input | undefined
  /**
   * An order whose caller was interrupted, or whose answer is lost for good, and that the exchange does not know after this, has
   * never arrived. Default 15 s.
   */
  readonly forgetAfter?: Duration.Input | undefined
  /**
   * A position that its exchange tells, and that has differed from what its fills make by the same for so long, is read anew; where it
   * differs still, what the exchange says is the truth. Fills may come that much behind. Default 2 s.
   */
  readonly positionSettle?: Duration.Input | undefined
}

export interface KillOptions {
  /** Default `growing`. */
  readonly stops?: Killed["stops"] | undefined
  /** All of them when left out. */
  readonly exchange?: ExchangeId | undefined
}

export interface RiskState {
  /** Whether the switch is thrown for all exchanges; of one exchange: for all or for it. */
  readonly isKilled: boolean
  /** What stops most, of all exchanges before one; null while it is not thrown. */
  readonly killed: Killed | null
  /** All that it was thrown for and that has not been taken back, `killed` first: no more than 32 of a scope that stop the same. */
  readonly reasons: ReadonlyArray<Killed>
  /**
   * What it was thrown for on single exchanges, by exchange: of all together these stop only their own, so they are in no `reasons`,
   * `killed` and `isKilled`. Of one exchange: its own, which are among `reasons`.
   */
  readonly exchangeReasons: ReadonlyArray<Killed>
  /** Quote: value of the open orders and of the exposure together. */
  readonly notional: Decimal.Decimal
  /** Quote: the part of it that is what is not flat, by base asset, at its mark. */
  readonly exposure: Decimal.Decimal
  /** Quote, since the start: realised and unrealised, fees and funding included. */
  readonly pnl: Decimal.Decimal
  /** Quote: the part of it that positions have received (negative: paid) as funding, as the accounts that are followed tell it. */
  readonly funding: Decimal.Decimal
  /**
   * Whether `funding` has all that fell due while a private stream was away: it is read from the exchange's history behind each break.
   * Stays false where an exchange with positions has none.
   */
  readonly isFundingKnown: boolean
  readonly openOrders: number
  readonly refused: number
  /** Fees by their asset that are neither in base nor in quote: `pnl` is without them. */
  readonly unvaluedFees: ReadonlyMap<string, Decimal.Decimal>
}

export class RiskGuard extends Context.Service<RiskGuard, {
  /**
   * Room for these orders, all or none, and `InvalidOrder` where a quantity or a price is not above zero; held until the scope closes, and of those that have left until it is told what became
   * of them; what is filled of them becomes exposure.
   */
  readonly reserve: (intents: ReadonlyArray<Intent>) => Effect.Effect<void, ExchangeError.ExchangeError, Scope.Scope>
  /**
   * Counts the fills of an island's account, each once, the ends of its orders and the funding of its positions, and takes marks from
   * its market, until the scope closes. Orders that somebody else opens there take room too, and those that are open when it
   * begins. A position that is not what its fills make (auto-deleveraging, liquidation) is put right, and throws the switch of its
   * exchange, as orders of the exchange's own do, and hedge mode; what was there when the account was followed first, and
   * reconciled, is where that begins. Followed twice, an island counts once, until the last who follows it has ended.
   */
  readonly follow: (island: Island) => Effect.Effect<void, never, Scope.Scope>
  /** Whether this very island is followed. */
  readonly isFollowing: (island: Island) => boolean
  /** Tells what was traded on an exchange that is not followed, so that exposure and profit are known. */
  readonly filled: (fill: Traded) => void
  /** Values what is held of the pair's base asset, quote. Where an island is followed, its best prices do. */
  readonly mark: (exchange: ExchangeId, pair: TradingPair, price: Decimal.Decimal) => void
  /**
   * The order entry of an exchange whose every order passes through this guard: the same service, to be used in its place.
   * Refusals are `RiskRefused`, nothing is sent. Orders that `reserve` has room for by their client order id pass with it; what
   * they ask for beyond it is judged. The switch is looked at again in the moment in which an order leaves, behind its turn
   * within the limits. What passes a limit, or the switch, because it reduces a position of a swap leaves as reduce-only.
   */
  readonly guarded: (entry: OrderEntry["Service"]) => OrderEntry["Service"]
  /** This order is known never to have arrived: its room is given back. */
  readonly forget: (exchange: ExchangeId, clientOrderId: string) => void
  /**
   * Nothing that grows exposure leaves any more, or nothing at all. Thrown again it stops more, never less; each reason is told, and
   * one for which it is thrown already is not told again.
   */
  readonly kill: (reason: string, options?: KillOptions) => Effect.Effect<void>
  /**
   * Takes the switch back everywhere, for what had thrown it first. What was thrown while it stood, and what a throw that stops more
   * was put before, is told again and stands until the next `revive`, which takes back all of it that stops most. The loss that had
   * been made no longer counts towards `maxLoss`, unless it is past that and this is among what stands, or nobody was told. An account
   * that is known to be in hedge mode is stopped again at once, and asked again.
   */
  readonly revive: Effect.Effect<void>
  /** Of one exchange; of all together when left out. */
  readonly state: (exchange?: ExchangeId) => RiskState
  /** Calls `consumer` synchronously behind each position that was put right or taken by its exchange, until the scope closes. */
  readonly onCorrection: (consumer: (correction: Correction) => void) => Effect.Effect<void, never, Scope.Scope>
  /** Each reason for which the switch is thrown, by hand or by a limit; the last one first. */
  readonly kills: Stream.Stream<Killed>
}>()("effect-exchange/RiskGuard") {}

const invalid = (detail: string): ExchangeError.ExchangeError =>
  ExchangeError.make(global, new ExchangeError.InvalidUse({ detail }))

/** A loss that grows is one reason. */
const lossCause = "maxLoss"

const bookOf = (options: RiskOptions): Result.Result<RiskBook, string> =>
  Result.gen(function*() {
    const exchanges = new Map()
    for (const [id, limits] of Object.entries(options.exchanges ?? {})) {
      exchanges.set(id, yield* parseLimits(id, limits))
    }
    return new RiskBook(yield* parseLimits(global, options.global ?? {}), exchanges)
  })

const spotOnly = (exchange: ExchangeId): Source => ({
  unit: (pair) =>
    partsOf(pair).settle === undefined ? Effect.succeed(one) : Effect.fail(
      notReady(exchange, pair, "the size of its contracts is not known; follow the exchange's island first")
    ),
  price: () => null
})

const notReady = (exchange: ExchangeId, symbol: TradingPair, detail: string): ExchangeError.ExchangeError =>
  ExchangeError.make(exchange, new ExchangeError.RiskRefused({ symbol, limit: "notReady", of: exchange, detail }))

/** Which of these asks for nothing, or for less: room may not be made by asking for some. */
const unreadable = (intents: ReadonlyArray<Intent>): ExchangeError.ExchangeError | null => {
  for (const intent of intents) {
    for (const field of ["quantity", "price"] as const) {
      if (BigDecimal.isPositive(intent[field])) continue
      const detail = `${Decimal.toText(intent[field])}; room is for what is above zero`
      return ExchangeError.make(
        intent.exchange,
        new ExchangeError.InvalidOrder({ symbol: intent.pair, field, detail })
      )
    }
  }
  return null
}

export const make = Effect.fnUntraced(
  function*(options: RiskOptions): Effect.fn.Return<RiskGuard["Service"], ExchangeError.ExchangeError, Scope.Scope> {
    const clock = yield* Clock.Clock
    const book = yield* Effect.mapError(Effect.fromResult(bookOf(options)), invalid)
    const hub = yield* PubSub.sliding<Killed>({ capacity: 64, replay: 1 })
    const fork = yield* FiberSet.makeRuntime<never>()
    const switches = new KillSwitches()
    const traded = new Map<ExchangeId, Set<TradingPair>>()
    const refusals = new Map<string, number>()

    const tell = (killed: Killed): void => {
      PubSub.publishUnsafe(hub, killed)
      fork(Effect.logError(`kill switch thrown (${killed.of}, ${killed.stops}): ${killed.reason}`))
    }

    const kill = (reason: string, of: string, stops: Killed["stops"], cause = reason): void => {
      const killed: Killed = { reason, at: clock.currentTimeMillisUnsafe(), stops, of }
      if (switches.throw(killed, cause)) tell(killed)
    }

    /** Losses that have reached their limit, which nobody has been told. */
    const untoldLosses = () => book.lost.filter(({ of }) => !switches.has(of, lossCause))

    const judgeLosses = (): void => {
      for (const { loss, of } of untoldLosses()) {
        kill(`maxLoss: a loss of ${Decimal.toText(loss)} is reached`, of, "growing", lossCause)
      }
    }

    /** Who takes back a pause of their own need not know of what was thrown behind it. */
    const revive = (): void => {
      const untold = new Set(untoldLosses().map(({ of }) => of))
      const standing = switches.revive()
      book.forgiveLosses((of) => !untold.has(of) && !switches.has(of, lossCause))
      for (const killed of standing) tell(killed)
      judgeLosses()
      positions.revived()
    }

    const refused = ({ detail, exchange, limit, of, symbol }: Refusal): ExchangeError.ExchangeError => {
      for (const name of [global, exchange]) refusals.set(name, (refusals.get(name) ?? 0) + 1)
      return ExchangeError.make(exchange, new ExchangeError.RiskRefused({ symbol, limit, of, detail }))
    }

    /** What the switch stops of these; null: nothing. */
    const stopped = (intents: ReadonlyArray<Leaving>): Refusal | null => {
      for (const leaving of intents) {
        const killed = switches.stopping(leaving)
        if (killed === null) continue
        return {
          exchange: leaving.exchange,
          symbol: leaving.pair,
          limit: "killSwitch",
          of: killed.of,
          detail: killed.reason
        }
      }
      return null
    }

    const refuse = (intents: ReadonlyArray<Weighed>): ExchangeError.ExchangeError | null => {
      judgeLosses()
      const problem = stopped(intents) ?? book.check(intents)
      return problem === null ? null : refused(problem)
    }

    const refuseStopped = (intents: ReadonlyArray<Leaving>): ExchangeError.ExchangeError | null => {
      judgeLosses()
      const problem = stopped(intents)
      return problem === null ? null : refused(problem)
    }

    const filled = (fill: Traded, of?: Held): void => {
      const pairs = traded.get(fill.exchange) ?? new Set()
      traded.set(fill.exchange, pairs.add(fill.pair))
      // One small fill far from the market says nothing of what all of it is worth.
      book.book(fill, accounts.mid(fill.exchange, fill.pair) ?? fill.price, of)
      judgeLosses()
    }

    const killExchange = (reason: string, exchange: ExchangeId, cause?: string): void =>
      kill(reason, exchange, "growing", cause)

    const positions = new RiskPositions({
      clock,
      settleMillis: Duration.toMillis(options.positionSettle ?? "2 seconds"),
      fork: (effect) => void fork(effect),
      kill: killExchange,
      takeBack: (exchange, cause) => switches.takeBack(exchange, cause),
      counted: (exchange) =>
        new Map(
          [...traded.get(exchange) ?? []].flatMap((pair) =>
            isLinear(pair) ? [[pair, book.standing(exchange, pair).position] as const] : []
          )
        ),
      price: (exchange, pair) => accounts.mid(exchange, pair) ?? book.markOf(exchange, pair),
      book: filled
    })

    const funding = new RiskFunding({
      clock,
      fork: (effect) => void fork(effect),
      onFunded: (exchange, { amount, asset, isQuote }) => {
        if (!isQuote) return book.noteUnvalued(asset, BigDecimal.negate(amount))
        book.fund(exchange, amount)
        judgeLosses()
      }
    })

    const accounts = new FollowedAccounts({
      book,
      gate: () => gate,
      positions,
      funding,
      fork: (effect) => void fork(effect),
      kill: killExchange,
      onFill: filled
    })

    const lookAt = (island: Island): Effect.Effect<void> => {
      const { account } = island
      return account === null ? Effect.void : Effect.flatMap(account.health, ({ reconciledAt }) => {
        funding.catchUp(island, account, reconciledAt)
        return positions.compare(island, reconciledAt)
      })
    }

    const remark = Effect.suspend(() => {
      accounts.lookForEnds()
      for (const [exchange, pairs] of traded) {
        for (const pair of pairs) {
          const mid = accounts.mid(exchange, pair)
          if (mid !== null) book.mark(exchange, pair, mid)
        }
      }
      judgeLosses()
      return Effect.forEach(accounts.islands, lookAt, { discard: true })
    })
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(options.markInterval ?? "1 second"), remark)))

    const sourceFor = (exchange: ExchangeId): Source => ({
      unit: (pair) => Effect.suspend(() => (accounts.source(exchange) ?? spotOnly(exchange)).unit(pair)),
      price: (pair, side) => accounts.source(exchange)?.price(pair, side) ?? null
    })

    const gate: Gate = {
      book,
      refuse,
      stopped: refuseStopped,
      hasRoom: (intents) => stopped(intents) === null && book.check(intents) === null,
      source: sourceFor,
      isFollowed: (exchange) => (accounts.island(exchange)?.account ?? null) !== null,
      notReady,
      fork: (effect) => void fork(effect),
      forgetAfter: options.forgetAfter ?? "15 seconds"
    }

    return RiskGuard.of({
      reserve: (intents) =>
        Effect.asVoid(Effect.acquireRelease(
          Effect.suspend(() => {
            const all = intents.map((intent) => ({
              ...intent,
              growsHere: book.growsHere(intent),
              price: GuardedEntry.worth(sourceFor(intent.exchange), intent.pair, intent.side, intent.price)
            }))
            const problem = unreadable(intents) ?? refuse(all)
            if (problem !== null) return Effect.fail(problem)
            const held = all.map((intent) => book.hold(intent))
            for (const one of held) one.isReserved = true
            return Effect.succeed(held)
          }),
          (held) =>
            Effect.sync(() => {
              for (const one of held) {
                one.isReserved = false
                if (!one.hasLeft) book.release(one)
              }
            })
        )),
      follow: (island) => accounts.follow(island),
      isFollowing: (island) => accounts.isFollowing(island),
      filled: (fill) => filled(fill),
      mark: (exchange, pair, price) => {
        book.mark(exchange, pair, price)
        judgeLosses()
      },
      guarded: (entry) => GuardedEntry.guard(gate, entry),
      forget: (exchange, clientOrderId) => {
        const held = book.find(exchange, clientOrderId, null)
        if (held !== undefined) book.release(held)
      },
      kill: (reason, { exchange = global, stops = "growing" } = {}) => Effect.sync(() => kill(reason, exchange, stops)),
      revive: Effect.sync(revive),
      state: (exchange) => {
        const { exposure, funding: funded, open, pnl, reserved } = book.ledger(exchange)
        const followed = exchange === undefined ? accounts.islands.map((island) => island.exchange) : [exchange]
        const reasons = switches.reasons(exchange)
        return {
          isKilled: reasons.length > 0,
          killed: reasons[0] ?? null,
          reasons,
          exchangeReasons: switches.ofExchanges(exchange),
          notional: BigDecimal.normalize(BigDecimal.sum(reserved, exposure)),
          exposure: BigDecimal.normalize(exposure),
          pnl: BigDecimal.normalize(pnl),
          funding: funded,
          isFundingKnown: followed.every((one) => funding.isKnown(one)),
          openOrders: open,
          refused: refusals.get(exchange ?? global) ?? 0,
          unvaluedFees: new Map(book.unvaluedFees)
        }
      },
      onCorrection: (consumer) =>
        Effect.asVoid(Effect.acquireRelease(
          Effect.sync(() => positions.consumers.add(consumer)),
          () => Effect.sync(() => positions.consumers.delete(consumer))
        )),
      kills: Stream.fromPubSub(hub)
    })
  }
)

export const layer = (options: RiskOptions = {}): Layer.Layer<RiskGuard, ExchangeError.ExchangeError> =>
  Layer.effect(RiskGuard, make(options))
