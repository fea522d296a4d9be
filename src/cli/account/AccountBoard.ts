/** What is known of one account now, written by the session's handlers in the socket's own turn. */
import type { AccountEvent, Balance, Fill, Order, OrderUpdate, Position } from "../../domain/Account.ts"
import { isFinal } from "../../domain/Account.ts"
import type { ConnectionStatus } from "../../domain/Feed.ts"
import type { ExchangeId } from "../../domain/Instrument.ts"
import type { PrivatePerformance, PrivateWebsocketHandlers } from "../../PrivateWebsocket.ts"

/** Fills that are remembered, newest first. */
const remembered = 50

const idOf = ({ orderId, symbol }: Pick<Order, "orderId" | "symbol">): string => `${symbol} ${orderId}`

export class AccountBoard {
  readonly exchange: ExchangeId
  readonly account: string
  readonly balances = new Map<string, Balance>()
  readonly openOrders = new Map<string, Order>()
  /** Those that are not flat. */
  readonly positions = new Map<string, Position>()
  /** Newest first. */
  readonly fills: Array<Fill> = []
  readonly counts = { orders: 0, fills: 0, balances: 0, positions: 0, gaps: 0, reconciled: 0 }
  /** The newest notice of something that the exchange has done by itself. */
  notice: string | null = null
  status: ConnectionStatus | null = null
  isAuthenticated = false
  /** The exchange has accepted the channels; an account in which nothing happens is silent from then on. */
  isAccepted = false
  /** From the session, as of the last picture. */
  performance: PrivatePerformance | undefined
  /** Why nothing more comes of this account; null while it runs. */
  failure: string | null = null

  constructor(exchange: ExchangeId, account: string) {
    this.exchange = exchange
    this.account = account
  }

  /** A session begins: it tells what is open. */
  begin(): void {
    this.openOrders.clear()
    this.positions.clear()
    this.isAuthenticated = false
  }

  /** It has been ended in order: what is shown is how it stood before. */
  end(status: ConnectionStatus | null): void {
    this.status = status
    this.isAuthenticated = status?._tag === "Connected"
  }

  readonly handlers: PrivateWebsocketHandlers = {
    onOrder: (order) => this.#onOrder(order),
    onFill: (fill) => this.#onFill(fill),
    onBalance: (balance) => this.#onBalance(balance),
    onPosition: (position) => this.#onPosition(position),
    onLeverage: (change) => this.#count(change),
    onAutoDeleverage: (event) => {
      this.#count(event)
      this.notice = `auto-deleveraged ${event.pair ?? event.symbol}`
    },
    onPositionClose: (event) => {
      this.#count(event)
      this.notice = `closed ${event.side} ${event.pair ?? event.symbol}${
        event.cause === null ? "" : `: ${event.cause}`
      }`
    },
    onGap: () => void this.counts.gaps++,
    onStatus: (status) => {
      this.status = status
    }
  }

  #count({ origin }: AccountEvent): void {
    if (origin === "Reconciled") this.counts.reconciled++
  }

  #onOrder(order: OrderUpdate): void {
    this.#count(order)
    this.counts.orders++
    if (isFinal(order.status)) this.openOrders.delete(idOf(order))
    else this.openOrders.set(idOf(order), order)
  }

  #onFill(fill: Fill): void {
    this.#count(fill)
    this.counts.fills++
    this.fills.unshift(fill)
    if (this.fills.length > remembered) this.fills.pop()
  }

  #onBalance(balance: Balance): void {
    this.#count(balance)
    this.counts.balances++
    this.balances.set(balance.asset, balance)
  }

  #onPosition(position: Position): void {
    this.#count(position)
    this.counts.positions++
    const key = `${position.symbol} ${position.side}`
    if (position.size.value === 0n) this.positions.delete(key)
    else this.positions.set(key, position)
  }
}
