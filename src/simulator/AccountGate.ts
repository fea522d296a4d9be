/**
 * Accounts as a dialect gets at them: what it asks is counted, keys have what faults leave them, and what it is told goes
 * to the connection that listens.
 */
import type { AccountWorld, WorldAccount, WorldAccountEvent, WorldKey, WorldRefusal } from "../AccountWorld.ts"
import { isRefusal } from "../AccountWorld.ts"
import type { Accounts } from "./Accounts.ts"
import type { OrderCounts } from "./Counts.ts"

export interface AccountGateOptions {
  readonly counts: OrderCounts
  /** What a key of the user lacks now: a permission, or everything; undefined when nothing. */
  readonly lacks: (userId: string) => "read" | "trade" | "key" | undefined
  /** What is younger is not shown to whoever reads now, ms since the epoch. */
  readonly shownUntil: () => number
  /** Makes the listener one of whoever runs now. Returns it, and what to do with its stop. */
  readonly own: (
    listener: (event: WorldAccountEvent) => void,
    watch: (listener: (event: WorldAccountEvent) => void) => () => void
  ) => () => void
}

const without = (key: WorldKey, permission: "read" | "trade"): WorldKey => ({
  ...key,
  permissions: new Set([...key.permissions].filter((each) => each !== permission))
})

/** The same object for the same account, always: dialects keep state by it. */
export const accountGate = (accounts: Accounts, options: AccountGateOptions): AccountWorld => {
  const views = new Map(accounts.all.map((account) => [account.userId, viewOf(account, options)]))
  return {
    find: (apiKey) => {
      const found = accounts.find(apiKey)
      if (found === null) return null
      const { account: { userId }, key } = found
      const lacks = options.lacks(userId)
      if (lacks === "key") return null
      return { key: lacks === undefined ? key : without(key, lacks), account: views.get(userId)! }
    }
  }
}

const viewOf = (account: WorldAccount, { counts, own, shownUntil }: AccountGateOptions): WorldAccount => {
  const counted = <A>(result: A | WorldRefusal): A | WorldRefusal => {
    if (isRefusal(result)) counts.refused[result] = (counts.refused[result] ?? 0) + 1
    return result
  }
  return {
    ...account,
    place: (order) => {
      counts.places++
      const result = counted(account.place(order))
      if (!isRefusal(result)) counts.placed++
      return result
    },
    cancel: (ref) => {
      counts.cancels++
      return counted(account.cancel(ref))
    },
    cancelAll: (pair) => {
      counts.cancels++
      return account.cancelAll(pair)
    },
    amend: (ref, change) => {
      counts.amends++
      return counted(account.amend(ref, change))
    },
    order: (ref) => {
      const order = account.order(ref)
      return order === undefined || order.createdAt > shownUntil() ? undefined : order
    },
    orders: (query) => {
      const until = shownUntil()
      return until === Infinity
        ? account.orders(query)
        : account.orders(query).filter((order) => order.createdAt <= until)
    },
    fills: (query) => {
      const until = shownUntil()
      return until === Infinity ? account.fills(query) : account.fills(query).filter((fill) => fill.time <= until)
    },
    watch: (listener) => own(listener, account.watch)
  }
}
