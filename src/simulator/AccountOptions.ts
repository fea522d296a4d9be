/** Accounts that a simulated exchange begins with, as its user writes them. */
import { Result, Schema } from "effect"
import * as Decimal from "../domain/Decimal.ts"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { ExchangeDialect } from "../ExchangeDialect.ts"
import type { AccountSeed } from "./Accounts.ts"
import { factsOf } from "./PairFacts.ts"

const Amount = Schema.String.check(
  Schema.makeFilter((text) =>
    Result.match(Decimal.parse(text), {
      onFailure: (message) => message,
      onSuccess: ({ value }) => value >= 0n || "an amount of 0 or more"
    })
  )
)

const Key = Schema.Struct({
  apiKey: Schema.NonEmptyString,
  secret: Schema.NonEmptyString,
  /** Default: both. */
  permissions: Schema.optional(Schema.Array(Schema.Literals(["read", "trade"]))),
  /** IP addresses that may use it. Default: any. */
  addresses: Schema.optional(Schema.NullOr(Schema.Array(Schema.NonEmptyString)))
})

export const AccountOptions = Schema.Struct({
  /** Digits. */
  userId: Schema.String.check(Schema.isPattern(/^[1-9]\d{0,14}$/)),
  keys: Schema.Array(Key),
  /** Asset to amount, decimal text. */
  balances: Schema.Record(Schema.NonEmptyString, Amount)
})
export type AccountOptions = typeof AccountOptions.Type

/** By exchange. */
export const AccountsByExchange = Schema.Record(Schema.NonEmptyString, Schema.Array(AccountOptions))
export type AccountsByExchange = typeof AccountsByExchange.Type

export const seedOf = ({ balances, keys, userId }: AccountOptions): AccountSeed => ({
  userId,
  balances,
  keys: keys.map(({ addresses = null, apiKey, permissions = ["read", "trade"], secret }) => ({
    apiKey,
    secret,
    permissions: new Set(permissions),
    addresses
  }))
})

const repeated = (texts: ReadonlyArray<string>): boolean => new Set(texts).size < texts.length

/** What is wrong with them, beside each one's form; null when nothing is. Names no key. */
export const problemOf = (
  accounts: AccountsByExchange,
  exchanges: ReadonlyArray<ExchangeId>
): string | null => {
  for (const [exchange, all] of Object.entries(accounts)) {
    if (!exchanges.includes(exchange)) return `accounts of ${exchange}: there is no such exchange`
    if (repeated(all.map(({ userId }) => userId))) return `accounts of ${exchange}: a user id stands there twice`
    const keys = all.flatMap((account) => account.keys.map(({ apiKey }) => apiKey))
    if (repeated(keys)) return `accounts of ${exchange}: a key stands there twice`
  }
  return null
}

/** What the account of `demoAccounts` has on a spot exchange; on a swap exchange it has the quote alone. */
const demoBalances = { USDT: "100000", BTC: "1", ETH: "20", SOL: "200", XRP: "20000", DOGE: "200000" }

/** What it has of each coin of `pairs`, in their quote. */
const demoWorth = 20_000

const coinsOf = (pairs: ReadonlyArray<TradingPair>): Readonly<Record<string, string>> =>
  Object.fromEntries(pairs.map((pair) => {
    const { base, price, quantityDecimals } = factsOf(pair)
    return [base, (demoWorth / price).toFixed(quantityDecimals)]
  }))

/**
 * One account for each exchange, to try things with: user 1001, 100 000 USDT, and on spot some coins: five by name, and
 * those of `pairs`, about 20 000 USDT worth of each. Its key is `demo-key-<exchange>`, its secret `demo-secret-<exchange>`.
 */
export const demoAccounts = (
  dialects: ReadonlyArray<Pick<ExchangeDialect, "id" | "kind">>,
  pairs: ReadonlyArray<TradingPair> = []
): AccountsByExchange =>
  Object.fromEntries(dialects.map(({ id, kind }) => [id, [{
    userId: "1001",
    keys: [{ apiKey: `demo-key-${id}`, secret: `demo-secret-${id}` }],
    balances: kind === "spot" ? { ...coinsOf(pairs), ...demoBalances } : { USDT: demoBalances.USDT }
  }]]))
