/** What is shown of an account: pure text made from its board. */
import { DateTime } from "effect"
import type { Balance, Fill, Order, Position } from "../../domain/Account.ts"
import * as Decimal from "../../domain/Decimal.ts"
import type { JsonObject } from "../EventJson.ts"
import type { View } from "../Live.ts"
import * as Style from "../Style.ts"
import * as Table from "../Table.ts"
import type { AccountBoard } from "./AccountBoard.ts"
import * as AccountJson from "./AccountJson.ts"

export const amount = (value: Decimal.Decimal | null | undefined): string =>
  value === null || value === undefined ? Style.none : Decimal.toText(value)

const nameOf = ({ pair, symbol }: { readonly pair: string | null; readonly symbol: string }): string => pair ?? symbol

/** Quantity that an order asks for, in quote where it is given so. */
const asked = ({ quantity, quoteQuantity }: Order): string =>
  quantity === null && quoteQuantity !== null ? `${Decimal.toText(quoteQuantity)} quote` : amount(quantity)

const orderColumns: ReadonlyArray<Table.Column> = [
  { title: "ORDER", align: "left", width: 9 },
  { title: "SIDE", align: "left", width: 4 },
  { title: "TYPE", align: "left", width: 6 },
  { title: "PRICE", width: 9 },
  { title: "QUANTITY", width: 8 },
  { title: "FILLED", width: 6 },
  { title: "STATUS", align: "left", width: 6 },
  { title: "CLIENT ID", align: "left" }
]

const orderRow = (order: Order): ReadonlyArray<string> => [
  nameOf(order),
  order.side,
  order.type,
  amount(order.price),
  asked(order),
  amount(order.filledQuantity),
  order.status,
  order.clientOrderId ?? `#${order.orderId}`
]

/** Orders as a table, titles first. */
export const orders = (list: ReadonlyArray<Order>): ReadonlyArray<string> =>
  Table.format(orderColumns, list.map(orderRow))

const balanceColumns: ReadonlyArray<Table.Column> = [
  { title: "BALANCE", align: "left", width: 9 },
  { title: "AVAILABLE", width: 16 },
  { title: "LOCKED", width: 14 },
  { title: "TOTAL", width: 16 }
]

const balanceRow = ({ asset, available, locked, total }: Balance): ReadonlyArray<string> => [
  asset,
  amount(available),
  amount(locked),
  amount(total)
]

const positionColumns: ReadonlyArray<Table.Column> = [
  { title: "POSITION", align: "left", width: 13 },
  { title: "SIZE", width: 6 },
  { title: "ENTRY", width: 10 },
  { title: "MARGIN", width: 10 },
  { title: "LIQ AT", width: 10 },
  { title: "REALISED", width: 9 },
  { title: "MODE", align: "left" }
]

/** Entry prices are averages, which do not end: as many places as a price has. */
const rounded = (value: Decimal.Decimal | null): string => {
  if (value === null) return Style.none
  const text = Decimal.toText(value)
  return text.length <= 10 ? text : Decimal.toText(Decimal.of(Decimal.toNumber(value).toPrecision(8)))
}

/** `isol 10x`, `cross`. */
const modeOf = ({ leverage, marginMode }: Position): string =>
  `${marginMode === "isolated" ? "isol" : marginMode}${leverage === null ? "" : ` ${amount(leverage)}x`}`

const positionRow = (position: Position): ReadonlyArray<string> => [
  nameOf(position),
  amount(position.size),
  rounded(position.entryPrice),
  rounded(position.margin),
  rounded(position.liquidationPrice),
  rounded(position.realisedPnl),
  modeOf(position)
]

const fillColumns: ReadonlyArray<Table.Column> = [
  { title: "FILL", align: "left", width: 8 },
  { title: "PAIR", align: "left", width: 9 },
  { title: "SIDE", align: "left", width: 4 },
  { title: "PRICE", width: 9 },
  { title: "QUANTITY", width: 8 },
  { title: "FEE", width: 8 },
  { title: "AS", align: "left" }
]

const timeOf = ({ exchangeTime, receivedAt }: Fill): string =>
  DateTime.formatIso(DateTime.makeUnsafe(Math.floor(exchangeTime ?? receivedAt))).slice(11, 19)

const fillRow = (fill: Fill): ReadonlyArray<string> => [
  timeOf(fill),
  nameOf(fill),
  fill.side,
  amount(fill.price),
  amount(fill.quantity),
  `${rounded(fill.fee)}${fill.feeAsset === null ? "" : ` ${fill.feeAsset}`}`,
  `${fill.liquidity ?? Style.none}${fill.origin === "Reconciled" ? ", reconciled" : ""}`
]

/** The state of an account's stream in a few words. */
export const stateOf = ({ failure, isAuthenticated, status }: AccountBoard): string => {
  if (failure !== null) return "given up"
  if (status === null) return "not connected"
  if (status._tag !== "Connected") return status._tag.toLowerCase()
  return isAuthenticated ? "authenticated" : "connected"
}

export interface AccountViewOptions {
  readonly board: AccountBoard
  /** The exchange's name. */
  readonly name: string
  /** Where it is: `simulated, seed 1`, `LIVE`. */
  readonly origin: string
  readonly hasPositions: boolean
  /** ms. */
  readonly now: () => number
  readonly style: Style.Style
  /** The newest lines of the log, where the picture has to hold them. */
  readonly log: (count: number) => ReadonlyArray<string>
}

interface Section {
  readonly columns: ReadonlyArray<Table.Column>
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
}

const logLines = 3
/** Title, blank line, and the line of counts. */
const fixedLines = 3

export class AccountView implements View {
  readonly #options: AccountViewOptions
  readonly #startedAt: number

  constructor(options: AccountViewOptions) {
    this.#options = options
    this.#startedAt = options.now()
  }

  readonly screen = (rows = Number.POSITIVE_INFINITY): ReadonlyArray<string> => {
    const { log, style } = this.#options
    const logged = log(logLines).map(style.yellow)
    return [`${this.#title()}  ${style.dim("q ends it")}`, "", ...this.#tables(rows - fixedLines - logged.length)]
      .concat(this.#counts(), logged)
  }

  readonly lines = (): ReadonlyArray<string> => [
    this.#title(),
    ...this.#tables(Number.POSITIVE_INFINITY),
    this.#counts(),
    ""
  ]

  #title(): string {
    const { board, name, now, origin, style } = this.#options
    return `${style.bold(`${name}, account ${board.account}`)}  ${origin}  ${Style.elapsed(now() - this.#startedAt)}`
  }

  #counts(): string {
    const { board, style } = this.#options
    const { counts } = board
    const state = stateOf(board)
    return `${state === "authenticated" ? style.green(state) : style.red(state)}; ${
      [
        `${counts.orders} order updates`,
        `${counts.fills} fills`,
        `${counts.balances} balances`,
        `${counts.gaps} gaps`,
        `${counts.reconciled} reconciled`
      ].join(", ")
    }${board.notice === null ? "" : `; ${board.notice}`}`
  }

  /** Every section keeps its title; rows are shared out evenly, and what one does not need the later ones get. */
  #tables(room: number): ReadonlyArray<string> {
    const { style } = this.#options
    const sections = this.#sections()
    // A title and a blank line each.
    let left = room - 2 * sections.length
    return sections.flatMap(({ columns, rows }, index) => {
      const share = Math.max(1, Math.floor(left / (sections.length - index)))
      const shown = rows.slice(0, share)
      left -= shown.length
      const [titles = "", ...lines] = Table.format(columns, shown)
      const hidden = rows.length - shown.length
      return [`${style.dim(titles)}${hidden > 0 ? style.dim(`  +${hidden}`) : ""}`, ...lines, ""]
    })
  }

  #sections(): ReadonlyArray<Section> {
    const { board, hasPositions } = this.#options
    const balances = [...board.balances.values()].sort((a, b) => a.asset < b.asset ? -1 : 1)
    return [
      { columns: balanceColumns, rows: balances.map(balanceRow) },
      { columns: orderColumns, rows: [...board.openOrders.values()].map(orderRow) },
      ...hasPositions ? [{ columns: positionColumns, rows: [...board.positions.values()].map(positionRow) }] : [],
      { columns: fillColumns, rows: board.fills.map(fillRow) }
    ]
  }
}

/** The board as one object. */
export const summary = (board: AccountBoard): JsonObject => ({
  exchange: board.exchange,
  account: board.account,
  state: stateOf(board),
  failure: board.failure,
  counts: { ...board.counts },
  balances: [...board.balances.values()].map(AccountJson.event),
  openOrders: [...board.openOrders.values()].map(AccountJson.order),
  positions: [...board.positions.values()].map(AccountJson.event),
  fills: board.fills.map(AccountJson.event)
})
