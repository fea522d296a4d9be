/** Several accounts side by side: a line for each, and below them what is open and what was filled. */
import { BigDecimal } from "effect"
import type { Fill, Order, Position } from "../../domain/Account.ts"
import * as Decimal from "../../domain/Decimal.ts"
import type { TradingPair } from "../../domain/Instrument.ts"
import { partsOf } from "../../domain/Instrument.ts"
import * as Style from "../Style.ts"
import * as Table from "../Table.ts"
import type { AccountBoard } from "./AccountBoard.ts"
import * as AccountView from "./AccountView.ts"

/** An account and the name of its exchange. */
export interface Named {
  readonly name: string
  readonly board: AccountBoard
}

const quote = "USDT"

const columns: ReadonlyArray<Table.Column> = [
  { title: "ACCOUNT", align: "left", width: 12 },
  { title: quote, width: 8 },
  { title: "HOLDS", align: "left", width: 11 },
  { title: "OPEN ORDERS", align: "left", width: 19 },
  { title: "FILLS", align: "left" }
]

const baseOf = ({ pair, symbol }: { readonly pair: TradingPair | null; readonly symbol: string }): string =>
  pair === null ? symbol : partsOf(pair).base

/** At most so many significant digits: a picture is no statement. */
const short = (value: Decimal.Decimal, digits: number): string => {
  const number = Decimal.toNumber(value)
  return Math.abs(number) < 100_000 ? Decimal.toText(Decimal.of(number.toPrecision(digits))) : compact.format(number)
}

/** `1.23M`: no column has room for more. */
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 })

const money = (value: Decimal.Decimal | null | undefined): string =>
  value === null || value === undefined ? Style.none : Decimal.toNumber(value).toFixed(1)

const quoteOf = ({ balances }: AccountBoard): string => {
  const balance = balances.get(quote)
  return money(balance?.total ?? balance?.available)
}

/** Contracts as base, like the assets of spot. */
const sizeOf = (position: Position): string => {
  const { contractSize, size } = position
  const sign = BigDecimal.isPositive(size) ? "+" : ""
  if (contractSize === null) return `${sign}${short(size, 4)} contracts`
  return `${sign}${short(Decimal.of((Decimal.toNumber(size) * contractSize).toPrecision(12)), 4)} ${baseOf(position)}`
}

/** A position, and whether there are more, else the asset that was traded last. */
const holdings = ({ balances, fills, positions }: AccountBoard): string => {
  const [position] = positions.values()
  if (position !== undefined) return `${sizeOf(position)}${positions.size > 1 ? "…" : ""}`
  const [latest] = fills
  const asset = latest === undefined ? [...balances.keys()].find((name) => name !== quote) : baseOf(latest)
  const total = asset === undefined ? null : balances.get(asset)?.total
  return total === null || total === undefined ? Style.none : `${short(total, 5)} ${asset}`
}

/** How many there are, and the newest: `2 sell BTC 80541.08`. */
const newest = (
  count: number,
  one: { readonly pair: TradingPair | null; readonly symbol: string; readonly side: string } | undefined,
  price: Decimal.Decimal | null | undefined
): string => one === undefined ? String(count) : `${count} ${one.side} ${baseOf(one)} ${AccountView.amount(price)}`

const row = ({ board, name }: Named): ReadonlyArray<string> => {
  const { counts, failure, fills, openOrders } = board
  const order = [...openOrders.values()].at(-1)
  const [fill] = fills
  return [
    name,
    quoteOf(board),
    holdings(board),
    newest(openOrders.size, order, order?.price),
    failure === null ? newest(counts.fills, fill, fill?.price) : "given up"
  ]
}

/** A line for each account, titles first. */
export const table = (accounts: ReadonlyArray<Named>, style: Style.Style): ReadonlyArray<string> => {
  const [titles = "", ...rows] = Table.format(columns, accounts.map(row))
  return [style.dim(titles), ...rows]
}

const orderColumns: ReadonlyArray<Table.Column> = [
  { title: "OPEN ORDERS", align: "left", width: 12 },
  { title: "PAIR", align: "left", width: 13 },
  { title: "SIDE", align: "left", width: 4 },
  { title: "PRICE", width: 10 },
  { title: "QUANTITY", width: 10 },
  { title: "FILLED", width: 10 }
]

const orderRow = (name: string, order: Order): ReadonlyArray<string> => [
  name,
  order.pair ?? order.symbol,
  order.side,
  AccountView.amount(order.price),
  AccountView.amount(order.quantity),
  AccountView.amount(order.filledQuantity)
]

const fillColumns: ReadonlyArray<Table.Column> = [
  { title: "FILLS", align: "left", width: 12 },
  { title: "PAIR", align: "left", width: 13 },
  { title: "SIDE", align: "left", width: 4 },
  { title: "PRICE", width: 10 },
  { title: "QUANTITY", width: 10 },
  { title: "FEE", width: 10 }
]

const fillRow = (name: string, fill: Fill): ReadonlyArray<string> => [
  name,
  fill.pair ?? fill.symbol,
  fill.side,
  AccountView.amount(fill.price),
  AccountView.amount(fill.quantity),
  fill.fee === null ? Style.none : `${short(fill.fee, 4)} ${fill.feeAsset ?? ""}`.trim()
]

const timeOf = ({ exchangeTime, receivedAt }: Fill): number => exchangeTime ?? receivedAt

/** Of each account in turn, until there are enough. */
const inTurn = <A>(lists: ReadonlyArray<ReadonlyArray<A>>, count: number): ReadonlyArray<A> => {
  const taken: Array<A> = []
  for (let i = 0; taken.length < count && lists.some((list) => list.length > i); i++) {
    for (const list of lists) if (list.length > i && taken.length < count) taken.push(list[i]!)
  }
  return taken
}

/** Titles and blank lines of both tables. */
const around = 4
/** Of each at the most. */
const most = 9

/** Open orders and fills in at most so many lines; nothing where that is too little for both. */
export const details = (
  accounts: ReadonlyArray<Named>,
  lines: number,
  style: Style.Style
): ReadonlyArray<string> => {
  const each = Math.min(most, Math.floor((lines - around) / 2))
  if (each < 1) return []
  const orders = inTurn(
    accounts.map(({ board, name }) => [...board.openOrders.values()].map((order) => orderRow(name, order))),
    each
  )
  const fills = accounts
    .flatMap(({ board, name }) => board.fills.map((fill) => ({ fill, name })))
    .sort((one, other) => timeOf(other.fill) - timeOf(one.fill))
    .slice(0, each)
    .map(({ fill, name }) => fillRow(name, fill))
  const shown = (columns: ReadonlyArray<Table.Column>, rows: ReadonlyArray<ReadonlyArray<string>>) => {
    const [titles = "", ...lines] = Table.format(columns, rows)
    return rows.length === 0 ? [] : ["", style.dim(titles), ...lines]
  }
  return [...shown(orderColumns, orders), ...shown(fillColumns, fills)]
}
