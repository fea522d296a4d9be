/** What a program has been told of its accounts, in sums that do not grow, and what the exchanges have booked. */
import { BigDecimal } from "effect"
import type { AccountBoard } from "../../src/cli/account/AccountBoard.ts"
import type { Fill } from "../../src/domain/Account.ts"
import * as Decimal from "../../src/domain/Decimal.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import { partsOf } from "../../src/domain/Instrument.ts"
import * as PairFacts from "../../src/simulator/PairFacts.ts"
import type { Account } from "../soak/Truth.ts"

/** All fills of one side of a pair. */
interface Sums {
  count: number
  /** Of the exchange's numbers: one that is lost or told twice changes it. */
  ids: number
  /** Base or contracts. */
  quantity: Decimal.Decimal
  /** Price times quantity. */
  value: Decimal.Decimal
  readonly fees: Map<string, Decimal.Decimal>
}

interface Told {
  readonly id: number
  readonly pair: string
  readonly side: string
  readonly price: Decimal.Decimal
  readonly quantity: Decimal.Decimal
  readonly fee: Decimal.Decimal
  readonly feeAsset: string
}

const { multiply, normalize, sum } = BigDecimal

const text = (value: Decimal.Decimal): string => Decimal.toText(normalize(value))

export class FillSums {
  count = 0
  readonly #sums = new Map<string, Sums>()

  add({ fee, feeAsset, id, pair, price, quantity, side }: Told): void {
    const key = `${pair} ${side}`
    let sums = this.#sums.get(key)
    if (sums === undefined) {
      this.#sums.set(
        key,
        sums = { count: 0, ids: 0, quantity: Decimal.zero, value: Decimal.zero, fees: new Map() }
      )
    }
    this.count++
    sums.count++
    sums.ids += id
    sums.quantity = normalize(sum(sums.quantity, quantity))
    sums.value = normalize(sum(sums.value, multiply(price, quantity)))
    sums.fees.set(feeAsset, normalize(sum(sums.fees.get(feeAsset) ?? Decimal.zero, fee)))
  }

  /** A line for each side of each pair. */
  lines(): ReadonlyMap<string, string> {
    return new Map([...this.#sums].map(([key, { count, fees, ids, quantity, value }]) => {
      const paid = [...fees].map(([asset, fee]) => `${text(fee)} ${asset}`).sort().join(" and ")
      return [key, `${count} fills (ids ${ids}), ${text(quantity)} for ${text(value)}, fees ${paid}`]
    }))
  }
}

/** An exchange's own number: the first digits, whatever stands behind them. */
const numberOf = (tradeId: string): number => Number.parseInt(tradeId, 10)

/** Whatever a board is told of fills is summed up too. */
export const follow = (board: AccountBoard): FillSums => {
  const sums = new FillSums()
  const { onFill } = board.handlers
  Object.assign(board, {
    handlers: {
      ...board.handlers,
      onFill: (fill: Fill) => {
        onFill?.(fill)
        const { fee, feeAsset, pair, price, quantity, side, tradeId } = fill
        sums.add({
          id: numberOf(tradeId),
          pair: pair ?? fill.symbol,
          side,
          price,
          quantity,
          fee: fee ?? Decimal.zero,
          feeAsset: feeAsset ?? "nothing"
        })
      }
    }
  })
  return sums
}

const sumsOf = ({ fills }: Account): FillSums => {
  const sums = new FillSums()
  for (const { fee, price, quantity, ...fill } of fills) {
    sums.add({ ...fill, fee: Decimal.of(fee), price: Decimal.of(price), quantity: Decimal.of(quantity) })
  }
  return sums
}

/** Lines that are not the same on both sides. */
const differences = (
  what: string,
  ours: ReadonlyMap<string, string>,
  theirs: ReadonlyMap<string, string>
): ReadonlyArray<string> =>
  [...new Set([...ours.keys(), ...theirs.keys()])].flatMap((key) =>
    ours.get(key) === theirs.get(key)
      ? []
      : [`${what} ${key}: ${ours.get(key) ?? "nothing"} in place of ${theirs.get(key) ?? "nothing"}`]
  )

const balancesOf = ({ balances }: AccountBoard): ReadonlyMap<string, string> =>
  new Map([...balances.values()].flatMap(({ asset, available, locked, total }) => {
    const all = total ?? (available === null || locked === null ? null : sum(available, locked))
    return all === null || BigDecimal.isZero(all) ? [] : [[asset, text(all)]]
  }))

const bookedBalancesOf = ({ balances }: Account): ReadonlyMap<string, string> =>
  new Map(balances.flatMap(({ asset, available, locked }) => {
    const all = sum(Decimal.of(available), Decimal.of(locked))
    return BigDecimal.isZero(all) ? [] : [[asset, text(all)]]
  }))

const positionsOf = ({ positions }: AccountBoard): ReadonlyMap<string, string> =>
  new Map([...positions.values()].map(({ pair, size, symbol }) => [pair ?? symbol, text(size)]))

const bookedPositionsOf = ({ positions }: Account): ReadonlyMap<string, string> =>
  new Map(positions.flatMap(({ pair, size }) => Number(size) === 0 ? [] : [[pair, text(Decimal.of(size))]]))

/** What the program says of an account and the exchange does not. */
export const wrongOf = (board: AccountBoard, sums: FillSums, booked: Account): ReadonlyArray<string> => {
  const open = booked.orders.filter(({ finish }) => finish === null).length
  return [
    ...differences("fills of", sums.lines(), sumsOf(booked).lines()),
    ...differences("balance of", balancesOf(board), bookedBalancesOf(booked)),
    ...differences("position in", positionsOf(board), bookedPositionsOf(booked)),
    ...open === 0 ? [] : [`${open} orders are open at the exchange`],
    ...board.openOrders.size === 0 ? [] : [`${board.openOrders.size} orders are open, says the program`]
  ].map((found) => `${board.exchange}: ${found}`)
}

/** Base units of what the fills say: 1 on spot, the size of a contract on swaps. */
export const unitOf = (pair: TradingPair): Decimal.Decimal =>
  Decimal.of(PairFacts.factsOf(pair).swap?.contractSize ?? "1")

/** The least of an asset that any of these markets takes, base. `price`: quote. */
export const lotOf = (pairs: ReadonlyArray<TradingPair>, price: number): Decimal.Decimal =>
  pairs.map((pair) => {
    const { minNotional, minQuantity, quantityDecimals } = PairFacts.factsOf(pair)
    const unit = unitOf(pair)
    const worth = Number(minNotional) / (price * Decimal.toNumber(unit))
    const step = Decimal.of((10 ** -quantityDecimals).toFixed(quantityDecimals))
    const least = Decimal.toStep(Decimal.of(worth.toFixed(quantityDecimals + 4)), step, "up")
    return multiply(BigDecimal.max(Decimal.of(minQuantity), least), unit)
  }).reduce((least, lot) => BigDecimal.min(least, lot))

export const baseOf = (pair: TradingPair): string => partsOf(pair).base
