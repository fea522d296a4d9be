/** A course of trading through ccxt, and what it is compared with: the simulator's own knowledge of the account. */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { WorldFill, WorldOrder } from "../../src/AccountWorld.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import { demoAccounts } from "../../src/SimulatedExchanges.ts"
import type { AccountTruth, SimulatorService } from "../../src/simulator/Simulator.ts"
import * as Judges from "./Judges.ts"

export const keysOf = (id: string): Judges.Keys => demoAccounts[id]![0]!.keys[0]!

export const truthOf = (simulator: SimulatorService, id: string): AccountTruth => simulator.accounts(id)[0]!

/** An order as ccxt and the simulator both have it. `order` is its number in the order of placing, from 1. */
export type OrderRow = readonly [
  order: number,
  status: string,
  side: string,
  type: string,
  price: number | undefined,
  amount: number | undefined,
  filled: number | undefined,
  remaining: number | undefined
]

export type FillRow = readonly [
  order: number,
  side: string,
  price: number | undefined,
  amount: number | undefined,
  fee: number | undefined,
  feeAsset: string | undefined,
  liquidity: string
]

/** What is free and what is locked, by asset. */
export type Balances = Readonly<Record<string, readonly [free: number, used: number]>>

/** What is used here of the orders, fills and balances of ccxt. */
export interface CcxtOrder {
  readonly id?: string | undefined
  readonly clientOrderId?: string | undefined
  readonly status?: string | undefined
  readonly side?: unknown
  readonly type?: string | undefined
  readonly price?: number | undefined
  readonly amount?: number | undefined
  readonly filled?: number | undefined
  readonly remaining?: number | undefined
}

export interface CcxtFill {
  readonly id?: string | undefined
  readonly order?: string | undefined
  readonly side?: unknown
  readonly price?: number | undefined
  readonly amount?: number | undefined
  readonly takerOrMaker?: unknown
  readonly fee?: { readonly cost?: number | undefined; readonly currency?: string | undefined } | undefined
}

export type CcxtBalances = Readonly<
  Record<string, { readonly free?: number; readonly used?: number; readonly total?: number } | undefined>
>

const statusOf = ({ filled, finish, quoteQuantity }: WorldOrder): string => {
  if (finish === null) return "open"
  return finish === "filled" || (quoteQuantity !== null && filled !== "0") ? "closed" : "canceled"
}

const number = (text: string | null): number | undefined => text === null ? undefined : +text

export const trueOrders = ({ orders }: AccountTruth): ReadonlyArray<OrderRow> =>
  orders.map((order, index) => [
    index + 1,
    statusOf(order),
    order.side,
    order.type,
    number(order.price),
    number(order.quantity),
    +order.filled,
    number(order.quantity === null ? null : order.left)
  ])

export const trueFills = ({ fills, orders }: AccountTruth): ReadonlyArray<FillRow> =>
  fills.map((fill: WorldFill) => [
    orders.findIndex(({ id }) => id === fill.orderId) + 1,
    fill.side,
    +fill.price,
    +fill.quantity,
    +fill.fee,
    fill.feeAsset,
    fill.liquidity
  ])

export const trueBalances = ({ balances }: AccountTruth): Balances =>
  Object.fromEntries(balances.map(({ asset, available, locked }) => [asset, [+available, +locked]]))

/**
 * Sorted, and of market orders only what became of them: their price is the average for some, and the amount is reckoned
 * where the order said what to spend.
 */
export const comparable = (rows: ReadonlyArray<OrderRow>): ReadonlyArray<ReadonlyArray<unknown>> =>
  [...rows].sort((a, b) => a[0] - b[0]).map((row) => row[3] === "market" ? [...row.slice(0, 4), row[6]] : row)

/** What ccxt said, with the orders numbered as they were placed. */
export class Account {
  readonly #ids: Array<string | undefined> = []

  placed<O extends CcxtOrder>(order: O): O {
    this.#ids.push(order.id)
    return order
  }

  idOf(order: number): string {
    return this.#ids[order - 1]!
  }

  orderRow(order: CcxtOrder): OrderRow {
    return [
      this.#ids.indexOf(order.id) + 1,
      // A word of Gate's that ccxt passes on.
      order.status === "_update" ? "open" : order.status ?? "none",
      String(order.side),
      order.type ?? "none",
      order.price,
      order.amount,
      order.filled,
      order.remaining
    ]
  }

  fillRow({ amount, fee, order, price, side, takerOrMaker }: CcxtFill): FillRow {
    const number = this.#ids.indexOf(order) + 1
    return [number, String(side), price, amount, fee?.cost, fee?.currency, String(takerOrMaker)]
  }
}

export const balancesOf = (balances: object, assets: Iterable<string>): Balances =>
  Object.fromEntries(
    Array.from(assets, (asset) => {
      const { free = NaN, used = NaN } = (balances as CcxtBalances)[asset] ?? {}
      return [asset, [free, used]]
    })
  )

/** Free and used together. */
export const totalOf = (balances: object, asset: string): number | undefined => (balances as CcxtBalances)[asset]?.total

/** Listens to everything that a stream of ccxt tells of an account. Orders are numbered when they are read. */
export interface Heard {
  readonly orders: ReadonlyArray<CcxtOrder>
  readonly fills: ReadonlyArray<CcxtFill>
  readonly balances: () => object
  readonly errors: () => ReadonlyArray<Error>
}

export const listen = (
  exchange: Judges.Ccxt,
  pair: TradingPair | undefined,
  params: object
): Effect.Effect<Heard, never, Scope.Scope> =>
  Effect.gen(function*() {
    const orders: Array<CcxtOrder> = []
    const fills: Array<CcxtFill> = []
    let balances: object = {}
    // ccxt changes the objects that it has given out.
    const copy = <A extends object>(list: ReadonlyArray<A>): ReadonlyArray<A> => list.map((each) => ({ ...each }))
    const followed = [
      yield* Judges.follow(
        () => exchange.watchOrders(pair, undefined, undefined, params),
        (told: ReadonlyArray<CcxtOrder>) => orders.push(...copy(told))
      ),
      yield* Judges.follow(
        () => exchange.watchMyTrades(pair, undefined, undefined, params),
        (told: ReadonlyArray<CcxtFill>) => fills.push(...copy(told))
      ),
      yield* Judges.follow(() => exchange.watchBalance(params), (told: object) => {
        balances = { ...balances, ...told }
      })
    ]
    return { orders, fills, balances: () => balances, errors: () => followed.flatMap(({ errors }) => errors) }
  })

/** The last that was told of each order. */
export const lastOrders = (account: Account, { orders }: Heard): ReadonlyArray<OrderRow> => {
  const rows = new Map(orders.map((order) => account.orderRow(order)).map((row) => [row[0], row] as const))
  return [...rows.values()].sort((a, b) => a[0] - b[0])
}
