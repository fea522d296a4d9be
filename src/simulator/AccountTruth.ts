/** What the exchange itself knows of its accounts, as plain values: what clients are compared with. */
import { BigDecimal, Option, Result, Schema } from "effect"
import type { WorldAccount, WorldBalance, WorldFill, WorldOrder, WorldPosition } from "../AccountWorld.ts"
import * as Decimal from "../domain/Decimal.ts"
import { TradingPair } from "../domain/Instrument.ts"
import type { Accounts } from "./Accounts.ts"

export interface AccountTruth {
  readonly userId: string
  /** Open and finished, oldest first; of the finished ones the latest 100 000. */
  readonly orders: ReadonlyArray<WorldOrder>
  /** Oldest first. */
  readonly fills: ReadonlyArray<WorldFill>
  readonly balances: ReadonlyArray<Pick<WorldBalance, "asset" | "available" | "locked">>
  readonly positions: ReadonlyArray<WorldPosition>
}

export const truthOf = (account: WorldAccount): AccountTruth => ({
  userId: account.userId,
  orders: [...account.orders({ open: false }), ...account.orders({ open: true })].sort((a, b) => a.id - b.id),
  fills: account.fills({}),
  balances: account.balances(),
  positions: account.positions()
})

/** Money from outside; negative: it leaves. */
export const Deposit = Schema.TaggedStruct("Deposit", { asset: Schema.NonEmptyString, amount: Schema.String })

/** The exchange takes contracts of a position at a price, to cover somebody's loss. */
export const AutoDeleverage = Schema.TaggedStruct("AutoDeleverage", {
  pair: TradingPair,
  /** Contracts. */
  quantity: Schema.String,
  price: Schema.String
})

export const AccountChange = Schema.Union([Deposit, AutoDeleverage])
export type AccountChange = typeof AccountChange.Type

const amountOf = (text: string): Result.Result<Decimal.Decimal, string> => Decimal.parse(text)

const above0 = (text: string): Result.Result<Decimal.Decimal, string> =>
  Result.flatMap(
    amountOf(text),
    (value) => BigDecimal.isPositive(value) ? Result.succeed(value) : Result.fail(`"${text}" is not above 0`)
  )

/** Makes it happen to one account; fails with what is wrong. */
export const change = (
  accounts: Accounts | null,
  userId: string,
  wanted: AccountChange
): Result.Result<void, string> => {
  const found = Option.fromUndefinedOr(accounts?.all.find((account) => account.userId === userId))
  return Result.flatMap(Result.fromOption(found, () => `there is no user ${userId}`), (account) => {
    switch (wanted._tag) {
      case "Deposit":
        return Result.flatMap(amountOf(wanted.amount), (amount) =>
          account.deposit(wanted.asset, amount)
            ? Result.void
            : Result.fail(`${wanted.amount} ${wanted.asset} is more than is available`))
      case "AutoDeleverage":
        return Result.flatMap(
          Result.all([above0(wanted.quantity), above0(wanted.price)]),
          ([quantity, price]) =>
            account.deleverage(wanted.pair, quantity, price)
              ? Result.void
              : Result.fail(`user ${userId} has no position in ${wanted.pair}`)
        )
    }
  })
}
