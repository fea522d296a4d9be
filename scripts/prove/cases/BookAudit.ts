/** Books that are wrong without a trace are found by the exchange's own snapshots and mended, and right ones are left alone. */
import { Effect } from "effect"
import type { Scope } from "effect"
import * as BookAudit from "../../../src/composite/BookAudit.ts"
import type { LiveBook, OrderBooksOptions } from "../../../src/composite/OrderBooks.ts"
import * as OrderBooks from "../../../src/composite/OrderBooks.ts"
import type * as Channel from "../../../src/domain/Channel.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { BookUpdate } from "../../../src/domain/Market.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import type { FeedHandlers } from "../../../src/PublicWebsocket.ts"
import { PublicWebsocket } from "../../../src/PublicWebsocket.ts"
import type { SimulatorService } from "../../../src/simulator/Simulator.ts"
import { Simulator } from "../../../src/simulator/Simulator.ts"
import type { Services, Subject } from "../../../test/suites/Exchange.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import type { Draws } from "../Virtual.ts"
import * as Virtual from "../Virtual.ts"

/** One way to keep a book. */
interface Way {
  readonly name: string
  readonly subject: Subject
  readonly book: OrderBooksOptions
}

const [mexc, gate, futures] = Virtual.subjects as readonly [Subject, Subject, Subject]

const ways: ReadonlyArray<Way> = [
  { name: "mexc-spot", subject: mexc, book: {} },
  { name: "gate-spot obu", subject: gate, book: {} },
  { name: "gate-spot order_book_update", subject: gate, book: { source: "order_book_update" } },
  { name: "gate-futures obu", subject: futures, book: {} },
  { name: "gate-futures order_book_update", subject: futures, book: { source: "order_book_update" } }
]

/** So deep is every book right, see the proof `books`. */
const reach = 20

// ---- silent corruption ----------------------------------------------------------------------------------------------

/** Turns one update into another that nobody can tell from a right one. */
type Corruption = (update: BookUpdate, book: LiveBook, draws: Draws) => BookUpdate | null

/** A level of the side near the best one; null where there is none. */
const levelNear = (live: LiveBook, draws: Draws) =>
  live._tag === "Synced" ? live.book.bid(1 + Virtual.below(draws, 8)) : null

const corruptions: Readonly<Record<string, Corruption>> = {
  "changes lost": (update) => update.bids.length + update.asks.length === 0 ? null : { ...update, bids: [], asks: [] },
  "quantity misread": (update, live, draws) => {
    const level = levelNear(live, draws)
    return level === null ? null : { ...update, bids: [...update.bids, level.price, level.quantity * 2] }
  },
  "level made up": (update, live, draws) => {
    const level = levelNear(live, draws)
    return level === null ? null : { ...update, bids: [...update.bids, level.price + level.price * 1e-9, 1] }
  },
  "level lost": (update, live, draws) => {
    const level = levelNear(live, draws)
    return level === null ? null : { ...update, bids: [...update.bids, level.price, 0] }
  }
}

/** What the next update of a pair is to become. */
class Saboteur {
  readonly #next = new Map<TradingPair, Corruption>()
  done = 0

  arm(pair: TradingPair, corruption: Corruption): void {
    this.#next.set(pair, corruption)
  }

  isArmed(pair: TradingPair): boolean {
    return this.#next.has(pair)
  }

  pass(update: BookUpdate, live: LiveBook | undefined, draws: Draws): BookUpdate {
    const corruption = this.#next.get(update.pair!)
    if (corruption === undefined || update.kind === "snapshot" || live === undefined) return update
    const spoiled = corruption(update, live, draws)
    if (spoiled === null) return update
    this.#next.delete(update.pair!)
    this.done++
    return spoiled
  }
}

/** The service with its book updates changed on their way to whoever reads them. */
const spoiled = (
  websocket: PublicWebsocket["Service"],
  change: (update: BookUpdate) => BookUpdate
): PublicWebsocket["Service"] => ({
  ...websocket,
  handleFeed: ((channel: Channel.BookChannel, handlers: FeedHandlers<BookUpdate>) =>
    websocket.handleFeed(channel, {
      onEvent: (update) => handlers.onEvent(change(update)),
      onGap: (gap) => handlers.onGap(gap),
      onTurn: () => handlers.onTurn?.(),
      onEnd: (error) => handlers.onEnd?.(error)
    })) as PublicWebsocket["Service"]["handleFeed"]
})

// ---- the runs -------------------------------------------------------------------------------------------------------

interface Judged {
  audited: number
  falseAlarms: number
  inconclusive: Record<string, number>
  levels: number
  corrupted: number
  found: number
  /** The exchange's own updates had put it right before the audit was through. */
  healed: number
  missed: number
  unmended: number
}

const isTrue = (simulator: SimulatorService, exchange: string, live: LiveBook | undefined): boolean => {
  if (live?._tag !== "Synced") return false
  const truth = simulator.truth(exchange, live.pair, Number(live.book.version), reach)
  if (truth === undefined) return false
  const { asks, bids } = live.book.top(reach)
  const flat = (side: typeof truth.bids) => side.flatMap(({ price, quantity }) => [Number(price), Number(quantity)])
  const same = (a: ReadonlyArray<number>, b: ReadonlyArray<number>) =>
    a.length === b.length && a.every((value, index) => value === b[index])
  return same(bids, flat(truth.bids)) && same(asks, flat(truth.asks))
}

type Books = OrderBooks.OrderBooks["Service"]

const nothing = (): Judged => ({
  audited: 0,
  falseAlarms: 0,
  inconclusive: {},
  levels: 0,
  corrupted: 0,
  found: 0,
  healed: 0,
  missed: 0,
  unmended: 0
})

/** Of each market: looks at books that are right, and rounds of every corruption. */
const auditsEach = 12
const roundsEach = 2

interface Run {
  readonly way: Way
  readonly books: Books
  readonly audit: BookAudit.BookAudit["Service"]
  readonly simulator: SimulatorService
  readonly draws: Draws
  readonly saboteur: Saboteur
  readonly pairs: ReadonlyArray<TradingPair>
  readonly judged: Judged
}

/** Nothing is wrong: nobody may say so. */
const leftAlone = Effect.fnUntraced(function*({ audit, books, draws, judged, pairs, simulator }: Run) {
  yield* simulator.inject("stale-snapshot:400ms@1s:3s")
  yield* simulator.inject("slow-snapshot:300ms@3s:3s")
  for (let i = 0; i < auditsEach; i++) {
    yield* Effect.sleep(Virtual.below(draws, 400))
    const pair = Virtual.pick(draws, pairs)
    if (books.get(pair)?._tag !== "Synced") continue
    const verdict = yield* audit.audit(pair)
    judged.audited++
    if (verdict._tag === "Diverged") judged.falseAlarms++
    else if (verdict._tag === "Agreed") judged.levels += verdict.levels
    else judged.inconclusive[verdict.cause] = (judged.inconclusive[verdict.cause] ?? 0) + 1
  }
})

/** One book is made wrong, audited, and looked at again. */
const mended = Effect.fnUntraced(function*(run: Run, corruption: Corruption) {
  const { audit, books, draws, judged, pairs, saboteur, simulator, way } = run
  const exchange = way.subject.adapter.id
  const pair = Virtual.pick(draws, pairs)
  yield* books.awaitSynced(pair)
  saboteur.arm(pair, corruption)
  yield* simulator.until(() => !saboteur.isArmed(pair))
  if (isTrue(simulator, exchange, books.get(pair))) return
  judged.corrupted++
  const verdict = yield* audit.audit(pair)
  if (verdict._tag === "Diverged") judged.found++
  else if (isTrue(simulator, exchange, books.get(pair))) judged.healed++
  else judged.missed++
  yield* books.awaitSynced(pair)
  if (!isTrue(simulator, exchange, books.get(pair))) judged.unmended++
})

const runOf = (
  way: Way,
  seed: number,
  judged: Judged
): Effect.Effect<void, ExchangeError | Error, Services | Scope.Scope> =>
  Effect.gen(function*() {
    const simulator = yield* Simulator
    const draws = yield* Virtual.draws(seed, `book-audit ${way.name}`)
    const saboteur = new Saboteur()
    const pairs = Virtual.pairs(way.subject, 3)
    const holder: { books: Books | null } = { books: null }
    const websocket = spoiled(
      yield* PublicWebsocket,
      (update) => saboteur.pass(update, holder.books?.get(update.pair!), draws)
    )
    const books = yield* OrderBooks.make(pairs, way.book).pipe(Effect.provideService(PublicWebsocket, websocket))
    holder.books = books
    const audit = yield* BookAudit.make(books, { book: way.book, booksPerHour: 0 })
    for (const pair of pairs) yield* books.awaitSynced(pair)
    const run: Run = { way, books, audit, simulator, draws, saboteur, pairs, judged }
    yield* leftAlone(run)
    yield* simulator.clear()
    for (let i = 0; i < roundsEach; i++) {
      for (const corruption of Object.values(corruptions)) yield* mended(run, corruption)
    }
  })

export const bookAudit: Case = {
  name: "book-audit",
  proves:
    "books that are wrong without a trace are found by snapshots of the exchange and mended; right ones are left alone",
  run: Effect.fnUntraced(function*(proof: Proof) {
    const rows: Array<ReadonlyArray<string>> = []
    const all: Array<Judged> = []
    const markets = Proofs.sizeOf(proof, 1, 25)
    for (const way of ways) {
      const judged = nothing()
      for (let market = 0; market < markets; market++) {
        const seed = proof.seed + market
        const simulator = { pairs: Virtual.spotPairs(3), rate: 30, tradeRate: 2, tickMillis: 20 }
        yield* Virtual.run({ subject: way.subject, seed, simulator }, runOf(way, seed, judged))
      }
      all.push(judged)
      const { audited, corrupted, falseAlarms, found, healed, inconclusive, missed } = judged
      const causes = Object.entries(inconclusive).map(([cause, count]) => `${count} ${cause}`).join(", ") || "0"
      rows.push([
        way.name,
        ...[audited, falseAlarms].map(String),
        causes,
        ...[corrupted, found, healed, missed].map(String)
      ])
    }
    proof.table(["", "audits", "false", "inconclusive", "corrupted", "found", "healed", "missed"], rows)
    const sum = (of: (judged: Judged) => number) => all.reduce((total, judged) => total + of(judged), 0)
    const [audited, falseAlarms] = [sum((judged) => judged.audited), sum((judged) => judged.falseAlarms)]
    proof.check(
      "no book that is right is called wrong",
      falseAlarms === 0 && audited > 0,
      `${falseAlarms} of ${audited}`
    )
    const agreed = sum((judged) => judged.levels)
    const doubtful = sum((judged) => Object.values(judged.inconclusive).reduce((total, count) => total + count, 0))
    proof.check(
      "most audits come to a conclusion, also while snapshots are old and slow",
      doubtful * 4 <= audited,
      `${audited - doubtful} of ${audited}, ${agreed} levels compared`
    )
    const [corrupted, found] = [sum((judged) => judged.corrupted), sum((judged) => judged.found)]
    const missed = sum((judged) => judged.missed)
    proof.check(
      "every book that was made wrong in silence is found by one audit, unless the exchange's own updates heal it first",
      missed === 0 && found * 2 > corrupted,
      `${found} found, ${sum((judged) => judged.healed)} healed, ${missed} missed of ${corrupted}`
    )
    const unmended = sum((judged) => judged.unmended)
    proof.check("what was found is right again", unmended === 0, `${unmended} wrong behind it`)
    proof.figure("audits", audited)
    proof.figure("false_alarms", falseAlarms)
    proof.figure("corrupted", corrupted)
    proof.figure("found", found)
  })
}
