/** Books of a client against those of the simulator's process, at the same version. */
import { Effect } from "effect"
import type { LiveBook } from "../../src/composite/OrderBooks.ts"
import type { TradingPair } from "../../src/domain/Instrument.ts"
import type { Truth } from "./Truth.ts"

/** Levels a side that are compared: what every book feed holds. */
const depth = 50

/** Questions to the simulator at once. */
const atOnce = 4

export interface Compared {
  readonly exchange: string
  readonly pairs: ReadonlyArray<TradingPair>
  readonly bookOf: (pair: TradingPair) => LiveBook | undefined
}

export interface Comparison {
  readonly compared: number
  /** Books that did not come into sync in time. */
  readonly stale: ReadonlyArray<string>
  readonly wrong: ReadonlyArray<string>
}

const sides = ["bids", "asks"] as const

/** The first level that differs, in words; null when none does. */
const differs = (
  own: { readonly bids: ReadonlyArray<number>; readonly asks: ReadonlyArray<number> },
  truth: {
    readonly [K in (typeof sides)[number]]: ReadonlyArray<{ readonly price: string; readonly quantity: string }>
  }
): string | null => {
  for (const side of sides) {
    const expected = truth[side].flatMap(({ price, quantity }) => [Number(price), Number(quantity)])
    const at = expected.findIndex((value, i) => own[side][i] !== value)
    if (at >= 0) return `${side}[${at >> 1}] is ${own[side][at]} in place of ${expected[at]}`
    if (own[side].length > expected.length) return `${own[side].length / 2} ${side} in place of ${expected.length / 2}`
  }
  return null
}

/** A copy of the book with its version; null when it does not come into sync in time. */
const synced = Effect.fnUntraced(function*({ bookOf }: Compared, pair: TradingPair, deadline: number) {
  while (true) {
    const live = bookOf(pair)
    if (live?._tag === "Synced") return { version: Number(live.book.version), own: live.book.top(depth) }
    if (performance.now() >= deadline) return null
    yield* Effect.sleep(100)
  }
})

/** Each book against the simulator's at the same version. All that are out of sync get so long to come back, ms. */
export const compareBooks = Effect.fnUntraced(function*(
  compared: Compared,
  truth: Truth,
  patience: number
): Effect.fn.Return<Comparison, Error> {
  const { bookOf, exchange, pairs } = compared
  const stale: Array<string> = []
  const wrong: Array<string> = []
  let count = 0
  const deadline = performance.now() + patience
  const compare = Effect.fnUntraced(function*(pair: TradingPair): Effect.fn.Return<void, Error> {
    const found = yield* synced(compared, pair, deadline)
    const name = `${exchange} ${pair}`
    if (found === null) {
      const live = bookOf(pair)
      stale.push(`${name}: ${live?._tag === "Stale" ? live.cause : "not tracked"}`)
      return
    }
    const { own, version } = found
    const expected = yield* truth.book(exchange, pair, version, depth)
    if (expected === null) {
      wrong.push(`${name}: the simulator never had or no longer holds version ${version}`)
      return
    }
    count++
    const difference = differs(own, expected)
    if (difference !== null) wrong.push(`${name} at version ${version}: ${difference}`)
  })
  yield* Effect.forEach(pairs, compare, { concurrency: atOnce, discard: true })
  return { compared: count, stale, wrong }
})
