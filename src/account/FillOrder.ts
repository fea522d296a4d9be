/** Which fills are the same, and in which order an exchange made them. Pure. */
import { Array as Arr } from "effect"
import type { Fill } from "../domain/Account.ts"

/** A trade of the account with itself is two fills of one id, and an id may come again on another symbol. */
export const fillKey = ({ side, symbol, tradeId }: Fill): string => `${symbol} ${tradeId} ${side}`

const countedId = /^(\d+)(\D.*)?$/

const compareText = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0

/** Digits of any length as the number that they are. */
export const byCount = (a: string, b: string): number => a.length - b.length || compareText(a, b)

const partsOf = ({ tradeId }: Fill): readonly [string, string] => {
  const [, count = "", rest = ""] = countedId.exec(tradeId) ?? []
  return [count, rest]
}

/** Ids that count up are compared as numbers. */
const byId = (a: Fill, b: Fill): number => {
  const [left, leftRest] = partsOf(a)
  const [right, rightRest] = partsOf(b)
  return byCount(left, right) || compareText(leftRest, rightRest)
}

export const timeOf = ({ exchangeTime, receivedAt }: Fill): number => exchangeTime ?? receivedAt

const byTime = (a: Fill, b: Fill): number => timeOf(a) - timeOf(b)

interface Head {
  readonly list: ReadonlyArray<Fill>
  next: number
}

const earliest = (heads: ReadonlyArray<Head>): Head =>
  heads.reduce((first, head) => byTime(head.list[head.next]!, first.list[first.next]!) < 0 ? head : first)

/** In the exchange's order: by id within a symbol where ids count up, by time between symbols. */
export const inOrder = (fills: ReadonlyArray<Fill>): ReadonlyArray<Fill> => {
  const lists = Object.values(Arr.groupBy(fills, ({ symbol }) => symbol))
  for (const list of lists) list.sort(list.every(({ tradeId }) => countedId.test(tradeId)) ? byId : byTime)
  const merged: Array<Fill> = []
  for (let heads: Array<Head> = lists.map((list) => ({ list, next: 0 })); heads.length > 0;) {
    const head = earliest(heads)
    merged.push(head.list[head.next++]!)
    if (head.next === head.list.length) heads = heads.filter((other) => other !== head)
  }
  return merged
}
