/** An account whose answers and events the test gives by hand. */
import type {
  AccountWorld,
  WorldAccount,
  WorldAccountEvent,
  WorldFill,
  WorldKey,
  WorldOrder,
  WorldPlace,
  WorldRefusal
} from "../../src/AccountWorld.ts"

export const worldOrder = (fields: Partial<WorldOrder> = {}): WorldOrder => ({
  id: 1,
  clientOrderId: null,
  pair: "BTC/USDT",
  side: "buy",
  type: "limit",
  timeInForce: "gtc",
  price: "100",
  quantity: "2",
  quoteQuantity: null,
  filled: "0",
  filledQuote: "0",
  left: "2",
  averagePrice: null,
  fee: "0",
  feeAsset: "BTC",
  reduceOnly: false,
  trigger: null,
  waiting: false,
  finish: null,
  createdAt: 1_800_000_000_000,
  updatedAt: 1_800_000_000_000,
  ...fields
})

export const worldFill = (fields: Partial<WorldFill> = {}): WorldFill => ({
  id: 1,
  orderId: 1,
  clientOrderId: null,
  pair: "BTC/USDT",
  side: "buy",
  price: "100",
  quantity: "0.5",
  liquidity: "taker",
  fee: "0.0005",
  feeAsset: "BTC",
  time: 1_800_000_000_000,
  ...fields
})

export class FakeAccount {
  readonly placed: Array<WorldPlace> = []
  readonly known: Array<WorldOrder> = []
  readonly filled: Array<WorldFill> = []
  readonly #listeners = new Set<(event: WorldAccountEvent) => void>()
  /** What the next order is refused for. */
  refusal: WorldRefusal | null = null

  readonly key: WorldKey = {
    apiKey: "key",
    secret: "secret",
    permissions: new Set(["read", "trade"]),
    addresses: null
  }

  readonly #find: WorldAccount["order"] = (ref) =>
    this.known.find((order) => "id" in ref ? order.id === ref.id : order.clientOrderId === ref.clientOrderId)

  readonly account: WorldAccount = {
    userId: "1001",
    place: (order) => {
      if (this.refusal !== null) return this.refusal
      this.placed.push(order)
      const { clientOrderId, pair, price, quantity, quoteQuantity, side, timeInForce, type } = order
      const made = worldOrder({
        id: this.known.length + 1,
        clientOrderId,
        pair,
        price,
        quantity,
        quoteQuantity,
        side,
        timeInForce,
        type
      })
      this.known.push(made)
      return made
    },
    cancel: (ref) => {
      const order = this.#find(ref)
      if (order === undefined) return "unknownOrder"
      if (order.finish !== null) return "orderFinished"
      const cancelled: WorldOrder = { ...order, finish: "cancelled" }
      this.known[this.known.indexOf(order)] = cancelled
      return cancelled
    },
    cancelAll: (pair) =>
      this.known.filter((order) => order.finish === null && (pair === undefined || order.pair === pair)).flatMap(
        ({ id }) => {
          const result = this.account.cancel({ id })
          return typeof result === "string" ? [] : [result]
        }
      ),
    amend: () => "noChange",
    order: this.#find,
    orders: ({ open, pair }) =>
      this.known.filter((order) => (order.finish === null) === open && (pair === undefined || order.pair === pair))
        .toReversed(),
    fills: ({ orderId, pair, since }) =>
      this.filled.filter((fill) =>
        (pair === undefined || fill.pair === pair) && (orderId === undefined || fill.orderId === orderId) &&
        (since === undefined || fill.time >= since)
      ),
    fundings: () => [],
    balances: () => [
      { asset: "USDT", available: "100", locked: "10" },
      { asset: "BTC", available: "0", locked: "0" }
    ],
    positions: () => [],
    setLeverage: () => "noPosition",
    setMode: () => "noPosition",
    countdown: () => 0,
    watch: (listener) => {
      this.#listeners.add(listener)
      return () => this.#listeners.delete(listener)
    }
  }

  get listeners(): number {
    return this.#listeners.size
  }

  tell(event: WorldAccountEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  worldWith(key: Partial<WorldKey> = {}): AccountWorld {
    return { find: (apiKey) => apiKey === "key" ? { key: { ...this.key, ...key }, account: this.account } : null }
  }
}
