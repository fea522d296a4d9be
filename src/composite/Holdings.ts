/** What an account holds, as its events tell: balances, and positions at their marks. Pure but for its own state. */
import { BigDecimal } from "effect"
import type { Balance, Fill, Position } from "../domain/Account.ts"
import * as Decimal from "../domain/Decimal.ts"
import type { TradingPair } from "../domain/Instrument.ts"
import { partsOf } from "../domain/Instrument.ts"
import type { HeldPosition, Kept, Terms } from "./PositionKeeper.ts"
import * as PositionKeeper from "./PositionKeeper.ts"

/** What a position is called by. */
const slotOf = ({ side, symbol }: Position): string => `${symbol} ${side}`

/** What the stream tells of balances and positions. */
export class Holdings {
  readonly balances = new Map<string, Balance>()
  readonly #kept = new Map<string, Kept>()
  readonly #termsOf: (symbol: string) => Omit<Terms, "pair">
  readonly #mark: (pair: TradingPair) => number | null

  constructor(
    termsOf: (symbol: string) => Omit<Terms, "pair">,
    mark: (pair: TradingPair) => number | null
  ) {
    this.#termsOf = termsOf
    this.#mark = mark
  }

  /** False when it is of an instrument that nobody knows. */
  onPosition(position: Position): boolean {
    const { contractSize, pair } = position
    if (pair === null || contractSize === null) return false
    const slot = slotOf(position)
    const terms = { ...this.#termsOf(position.symbol), pair, contractSize: Decimal.fromNumber(contractSize) }
    this.#kept.set(slot, PositionKeeper.adopt(this.#kept.get(slot) ?? PositionKeeper.flat(terms), position))
    return true
  }

  /** In hedge mode nothing says which of the two it is of. Fills come before what they make of the position. */
  onFill({ fee, feeAsset, pair, symbol }: Fill): void {
    if (fee === null || pair === null || feeAsset !== partsOf(pair).settle) return
    const slot = `${symbol} net`
    const terms = { ...this.#termsOf(symbol), pair }
    this.#kept.set(slot, PositionKeeper.withFee(this.#kept.get(slot) ?? PositionKeeper.flat(terms), fee))
  }

  #markOf(pair: TradingPair): Decimal.Decimal | null {
    const mark = this.#mark(pair)
    return mark === null || !Number.isFinite(mark) ? null : Decimal.fromNumber(mark)
  }

  /** A pair twice: hedge mode. */
  positions(): ReadonlyArray<HeldPosition> {
    return [...this.#kept.values()].flatMap((kept) =>
      BigDecimal.isZero(kept.size) ? [] : [PositionKeeper.held(kept, this.#markOf(kept.terms.pair))]
    )
  }

  equity(asset: string): Decimal.Decimal | null {
    const balance = this.balances.get(asset)
    if (balance === undefined) return null
    const { available, locked, total } = balance
    const cash = total ?? (available === null || locked === null ? null : BigDecimal.sum(available, locked))
    const gains = this.positions().filter(({ pair }) => partsOf(pair).settle === asset)
      .map(({ unrealisedPnl }) => unrealisedPnl)
    if (cash === null || gains.includes(null)) return null
    return BigDecimal.normalize(BigDecimal.sumAll([cash, ...gains as ReadonlyArray<Decimal.Decimal>]))
  }
}
