/** Checks that look at every frame of an examination; each keeps what it needs and no frame beyond its evidence. */
import { kindOf } from "../../domain/Channel.ts"
import type { BookUpdate, MarketEvent } from "../../domain/Market.ts"
import * as Sequence from "../../domain/Sequence.ts"
import type { ExchangeAdapter } from "../../ExchangeAdapter.ts"
import * as FieldRules from "./FieldRules.ts"
import * as Finding from "./Finding.ts"
import type { SeenFrame } from "./FrameReader.ts"
import type { UnknownFields } from "./KnownFields.ts"
import * as Rates from "./Rates.ts"
import * as SentFields from "./SentFields.ts"
import type { Wanted } from "./Wanted.ts"
import { variantsOf } from "./Wanted.ts"

export interface Context extends FieldRules.About {
  readonly adapter: ExchangeAdapter
  readonly topics: ReadonlyArray<Wanted>
  /** How far off `clockOffset` can be, ms. */
  readonly clockBound: number
  /** Null: the fields of this exchange are not listed. */
  readonly unknownFields: UnknownFields | null
}

export interface FrameCheck {
  readonly onFrame: (frame: SeenFrame) => void
  readonly findings: () => ReadonlyArray<Finding.Finding>
}

/** What is kept for each feed of a channel. */
class ByVariant<A> {
  readonly #byKey: ReadonlyMap<string, string>
  readonly #values: ReadonlyMap<string, A>

  constructor({ topics }: Context, make: (variant: string) => A) {
    this.#byKey = new Map(topics.map(({ key, variant }) => [key, variant]))
    this.#values = new Map(variantsOf(topics).map((variant) => [variant, make(variant)]))
  }

  /** Undefined for a topic that nobody asked for. */
  of(key: string): A | undefined {
    const variant = this.#byKey.get(key)
    return variant === undefined ? undefined : this.#values.get(variant)
  }

  flatMap<B>(each: (value: A, variant: string) => ReadonlyArray<B>): ReadonlyArray<B> {
    return [...this.#values].flatMap(([variant, value]) => each(value, variant))
  }
}

// ---- delivery -------------------------------------------------------------------------------------------------------

interface Arrivals {
  readonly wanted: Wanted
  frames: number
  first: number
  last: number
  longest: number
}

/** What a frame may come late in, as intervals and as ms. */
const lateIntervals = 3
const lateMillis = 1_000

/** Frames beyond the documented rate that a burst may hold. */
const fastShare = 1.5
const fastFrames = 3

/** Each topic brings data, as often as the documents say. */
export class Delivery implements FrameCheck {
  readonly #topics: ReadonlyMap<string, Arrivals>
  readonly #variants: ReadonlyArray<string>

  constructor({ topics }: Context) {
    this.#variants = variantsOf(topics)
    this.#topics = new Map(
      topics.map((wanted) => [wanted.key, { wanted, frames: 0, first: 0, last: 0, longest: 0 }])
    )
  }

  onFrame({ events, receivedAt }: SeenFrame): void {
    for (const key of new Set(events.map(({ topic }) => topic.key))) {
      const arrivals = this.#topics.get(key)
      if (arrivals === undefined) continue
      if (arrivals.frames++ === 0) arrivals.first = receivedAt
      else arrivals.longest = Math.max(arrivals.longest, receivedAt - arrivals.last)
      arrivals.last = receivedAt
    }
  }

  findings(): ReadonlyArray<Finding.Finding> {
    return this.#variants.map((variant) =>
      this.#judge(`delivers ${variant}`, [...this.#topics.values()].filter(({ wanted }) => wanted.variant === variant))
    )
  }

  #judge(check: string, all: ReadonlyArray<Arrivals>): Finding.Finding {
    const silent = all.filter(({ frames }) => frames === 0)
    const rate = Rates.of(all[0]!.wanted.key)
    if (silent.length === all.length && rate.mayBeQuiet) return Finding.skip(check, "nothing came, which is usual")
    // A market may be without trades; with all of them silent something is wrong.
    const isExcused = rate.mayBeQuiet || (all[0]!.wanted.channel._tag === "Trades" && silent.length < all.length)
    if (silent.length > 0 && !isExcused) {
      return Finding.fail(check, `nothing came of ${silent.map(({ wanted }) => wanted.key).join(", ")}`)
    }
    const wrong = all.flatMap((arrivals) => wrongPace(arrivals, rate))
    return wrong.length > 0 ? Finding.fail(check, wrong.join("; ")) : Finding.pass(check, all.map(paceOf).join("; "))
  }
}

const paceOf = ({ first, frames, last, wanted }: Arrivals): string =>
  frames < 2 ?
    `${wanted.pair} ${frames} frame` :
    `${wanted.pair} ${frames} frames, one in ${Finding.millis((last - first) / (frames - 1))}`

const wrongPace = (arrivals: Arrivals, { everyMillis, repeats }: Rates.Rate): ReadonlyArray<string> => {
  const { first, frames, last, longest, wanted } = arrivals
  if (everyMillis === null) return []
  if (repeats && longest > lateIntervals * everyMillis + lateMillis) {
    return [`${wanted.key} was silent for ${Finding.millis(longest)}, documented is one frame in ${everyMillis} ms`]
  }
  // What is sent for every pair at once may be cut in pieces.
  const isWhole = kindOf(wanted.channel._tag, wanted.pair) !== "event" || wanted.channel._tag === "Kline"
  return isWhole && frames > ((last - first) / everyMillis) * fastShare + fastFrames
    ? [`${paceOf(arrivals)}, documented is at most one in ${everyMillis} ms`]
    : []
}

// ---- fields ---------------------------------------------------------------------------------------------------------

interface Tally {
  tested: number
  broken: number
  /** Of the first event that broke it. */
  shown: string
  frame: Uint8Array | undefined
}

const newTally = (): Tally => ({ tested: 0, broken: 0, shown: "", frame: undefined })

const tallyOf = (tallies: Map<string, Tally>, name: string): Tally => {
  let tally = tallies.get(name)
  if (tally === undefined) tallies.set(name, tally = newTally())
  return tally
}

const tell = (tally: Tally, holds: boolean, shown: () => string, bytes: Uint8Array): void => {
  tally.tested++
  if (holds || tally.broken++ > 0) return
  tally.shown = shown()
  tally.frame = bytes
}

/** What is known of the fields of one feed. */
interface FieldsOfFeed {
  events: number
  /** By claim; also those that no event has said anything about yet. */
  readonly rules: Map<string, Tally>
  /** By field. */
  readonly sent: Map<string, Tally>
  /** The newest event of those that say the most: the values that are shown belong to each other. */
  shown: { readonly event: MarketEvent; readonly tested: number } | null
}

/** Each event's fields are there, and are what we take them for. */
export class Fields implements FrameCheck {
  readonly #context: Context
  readonly #feeds: ByVariant<FieldsOfFeed>

  constructor(context: Context) {
    this.#context = context
    this.#feeds = new ByVariant<FieldsOfFeed>(context, () => ({
      events: 0,
      rules: new Map(),
      sent: new Map(),
      shown: null
    }))
  }

  onFrame({ bytes, events }: SeenFrame): void {
    for (const { event, topic } of events) {
      const feed = this.#feeds.of(topic.key)
      if (feed !== undefined) this.#onEvent(feed, event, bytes)
    }
  }

  #onEvent(feed: FieldsOfFeed, event: MarketEvent, bytes: Uint8Array): void {
    feed.events++
    let tested = 0
    for (const rule of FieldRules.of(event)) {
      const tally = tallyOf(feed.rules, rule.claim)
      const holds = rule.holds(event, this.#context)
      if (holds === null) continue
      tested++
      tell(tally, holds, () => rule.shows(event, this.#context), bytes)
    }
    for (const name of SentFields.of(this.#context.adapter.id, event)) {
      tell(tallyOf(feed.sent, name), !SentFields.isMissing(event, name), () => event.symbol, bytes)
    }
    if (tested >= (feed.shown?.tested ?? 0)) feed.shown = { event, tested }
  }

  findings(): ReadonlyArray<Finding.Finding> {
    return this.#feeds.flatMap((feed, variant) => {
      const check = `fields ${variant}`
      if (feed.events === 0) return [Finding.skip(check, "no event came")]
      const wrong = [...brokenRules(check, feed), ...missingFields(check, feed)]
      const passed = wrong.length > 0 ? [] : [Finding.pass(check, `${feed.events} events: ${this.#shown(feed)}`)]
      return [...wrong, ...passed, ...untestedRules(check, feed)]
    })
  }

  #shown({ shown }: FieldsOfFeed): string {
    if (shown === null) return ""
    const { event } = shown
    return FieldRules.of(event)
      .filter(({ holds }) => holds(event, this.#context) !== null)
      .map(({ shows }) => shows(event, this.#context))
      .join(", ")
  }
}

const brokenRules = (check: string, { rules }: FieldsOfFeed): ReadonlyArray<Finding.Finding> =>
  [...rules]
    .filter(([, { broken }]) => broken > 0)
    .map(([claim, { broken, frame, shown, tested }]) =>
      Finding.fail(check, `not so: ${claim} (${broken} of ${tested}): ${shown}`, frame)
    )

/** A side without orders, or a field that is left out now and then, is no change of the exchange. */
const missingShare = 0.5

const missingFields = (check: string, { sent }: FieldsOfFeed): ReadonlyArray<Finding.Finding> =>
  [...sent]
    .filter(([, { broken, tested }]) => broken >= missingShare * tested)
    .map(([name, { broken, frame, shown, tested }]) =>
      Finding.fail(check, `not there: ${name} (in ${broken} of ${tested} events, the first of ${shown})`, frame)
    )

const untestedRules = (check: string, { rules }: FieldsOfFeed): ReadonlyArray<Finding.Finding> => {
  const claims = [...rules].filter(([, { tested }]) => tested === 0).map(([claim]) => claim)
  return claims.length === 0 ? [] : [Finding.skip(check, `never tested, for no event says so: ${claims.join("; ")}`)]
}

// ---- times ----------------------------------------------------------------------------------------------------------

const oldest = 5_000

/** Ages that are kept for each feed. */
const mostAges = 4_096

/** The exchange's times are those of its clock, in ms. */
export class Times implements FrameCheck {
  readonly #context: Context
  readonly #ages: ByVariant<Array<number>>

  constructor(context: Context) {
    this.#context = context
    this.#ages = new ByVariant(context, () => [])
  }

  onFrame({ events }: SeenFrame): void {
    for (const { event, topic } of events) {
      const ages = this.#ages.of(topic.key)
      // Statistics carry the beginning of their interval, which has a rule of its own.
      if (ages === undefined || ages.length >= mostAges || event._tag === "ContractStats") continue
      if (event.exchangeTime !== null) ages.push(event.receivedAt + this.#context.clockOffset - event.exchangeTime)
    }
  }

  findings(): ReadonlyArray<Finding.Finding> {
    const { clockBound } = this.#context
    return this.#ages.flatMap((ages, variant) => {
      const check = `times ${variant}`
      if (ages.length === 0) return [Finding.skip(check, "no event carried a time that can be compared")]
      const age = Finding.median(ages)
      return [Finding.judge(
        age >= -oldest - clockBound && age <= oldest + clockBound,
        check,
        `half of ${ages.length} events were at most ${Finding.millis(age)} old by the exchange's clock`
      )]
    })
  }
}

// ---- sequence -------------------------------------------------------------------------------------------------------

interface Chain {
  last: Sequence.Sequence | null
  readonly ids: Set<string>
}

interface Order {
  checked: number
  wrong: number
  /** The first one. */
  shown: readonly [detail: string, frame: Uint8Array] | null
}

/** Trade ids that are remembered for each topic. */
const mostIds = 100_000

/** Versions rise, trade ids come once, and a book's updates follow each other without a hole. */
export class Sequences implements FrameCheck {
  readonly #context: Context
  readonly #orders: ByVariant<Order>
  readonly #chains = new Map<string, Chain>()
  readonly #wanted: ReadonlyMap<string, Wanted>

  constructor(context: Context) {
    this.#context = context
    this.#wanted = new Map(context.topics.map((wanted) => [wanted.key, wanted]))
    this.#orders = new ByVariant<Order>(context, () => ({ checked: 0, wrong: 0, shown: null }))
  }

  onFrame({ bytes, events }: SeenFrame): void {
    for (const { event, topic } of events) {
      const order = this.#orders.of(topic.key)
      const wanted = this.#wanted.get(topic.key)
      if (order === undefined || wanted === undefined) continue
      const detail = this.#check(wanted, event, this.#chainOf(topic.key))
      if (detail === undefined) continue
      order.checked++
      if (detail === null) continue
      order.wrong++
      order.shown ??= [`${topic.key}: ${detail}`, bytes]
    }
  }

  #chainOf(key: string): Chain {
    let chain = this.#chains.get(key)
    if (chain === undefined) this.#chains.set(key, chain = { last: null, ids: new Set() })
    return chain
  }

  /** Null when it is in order, undefined when it has no order. */
  #check(wanted: Wanted, event: MarketEvent, chain: Chain): string | null | undefined {
    switch (event._tag) {
      case "BookTicker":
        return event.version === null ? undefined : rising(chain, event.version)
      case "Trade":
        return event.id === null ? undefined : once(chain, event.id)
      case "BookUpdate":
        return this.#follows(wanted, event, chain)
      default:
        return undefined
    }
  }

  #follows({ channel }: Wanted, update: BookUpdate, chain: Chain): string | null | undefined {
    if (channel._tag !== "Book") return undefined
    const recipe = this.#context.adapter.book(channel)
    const { last } = chain
    if (update.kind === "snapshot") {
      return recipe.snapshot === "EveryUpdate"
        ? rising(chain, update.version)
        : begin(chain, update)
    }
    if (last === null) {
      begin(chain, update)
      return recipe.snapshot === "InStream" ? "a delta came before the snapshot" : null
    }
    const verdict = recipe.follows(last, update)
    if (verdict === "apply") return begin(chain, update)
    if (verdict === "stale") return `${range(update)} came again behind ${last}`
    begin(chain, update)
    return `${range(update)} does not follow ${last}`
  }

  findings(): ReadonlyArray<Finding.Finding> {
    return this.#orders.flatMap(({ checked, shown, wrong }, variant) => {
      const check = `sequence ${variant}`
      if (shown !== null) {
        return [Finding.fail(check, `${wrong} of ${checked} are out of order; ${shown[0]}`, shown[1])]
      }
      return checked === 0 ? [] : [Finding.pass(check, `${checked} in order`)]
    })
  }
}

const range = ({ firstVersion, version }: BookUpdate): string => `update ${firstVersion} to ${version}`

const begin = (chain: Chain, update: BookUpdate): null => {
  chain.last = update.version
  return null
}

/** The same version again is the same state, sent again. */
const rising = (chain: Chain, version: Sequence.Sequence): string | null => {
  const { last } = chain
  chain.last = version
  return last !== null && version < last ? `version ${version} came behind ${last}` : null
}

const once = (chain: Chain, id: string): string | null => {
  if (chain.ids.has(id)) return `trade ${id} came twice`
  if (chain.ids.size < mostIds) chain.ids.add(id)
  const number = Sequence.fromText(id)
  return number === null ? null : rising(chain, number) === null ? null : `trade ${id} came behind a later one`
}

// ---- prices ---------------------------------------------------------------------------------------------------------

/** What an event says of its pair's price, by name where it says more than one thing. */
const pricesOf = (event: MarketEvent): ReadonlyArray<readonly [name: string, price: number | null]> => {
  switch (event._tag) {
    case "BookTicker":
      return [["bid", event.bidPrice], ["ask", event.askPrice]]
    case "Trade":
      return [["", event.price]]
    case "Ticker":
      return [["", event.lastPrice]]
    case "Kline":
      return [["", event.close]]
    case "FuturesTicker":
      return [["last", event.lastPrice], ["mark", event.markPrice], ["index", event.indexPrice]]
    case "ContractStats":
      return [["mark", event.markPrice]]
    // Taken over at a price of its own.
    case "Liquidation":
    case "BookUpdate":
      return []
  }
}

/** How far apart prices of one pair may lie that came within one examination. */
const priceShare = 0.05

/** All channels agree on what a pair costs. */
export class Prices implements FrameCheck {
  /** The newest prices of each feed, by pair. */
  readonly #pairs: ReadonlyMap<string, Map<string, number>>
  readonly #variants: ByVariant<string>

  constructor(context: Context) {
    this.#pairs = new Map(context.topics.map(({ pair }) => [pair, new Map<string, number>()]))
    this.#variants = new ByVariant(context, (variant) => variant)
  }

  onFrame({ events }: SeenFrame): void {
    for (const { event, topic } of events) {
      const variant = this.#variants.of(topic.key)
      const prices = this.#pairs.get(event.pair ?? "")
      if (variant === undefined || prices === undefined) continue
      for (const [name, price] of pricesOf(event)) if (price !== null) prices.set(`${variant} ${name}`.trim(), price)
    }
  }

  findings(): ReadonlyArray<Finding.Finding> {
    return [...this.#pairs].flatMap(([pair, prices]) => {
      if (prices.size < 2) return []
      const values = [...prices.values()]
      const shown = [...prices].map(([variant, price]) => `${variant} ${price}`).join(", ")
      return [Finding.judge(Math.max(...values) <= Math.min(...values) * (1 + priceShare), `prices ${pair}`, shown)]
    })
  }
}

// ---- what can be read -----------------------------------------------------------------------------------------------

/** Frames of one kind, with the first few as evidence. */
class Collected {
  count = 0
  readonly details = new Map<string, Uint8Array>()

  add(detail: string, bytes: Uint8Array): void {
    this.count++
    if (this.details.size < 20 && !this.details.has(detail)) this.details.set(detail, bytes)
  }

  findings(check: string, none: string, some: string): ReadonlyArray<Finding.Finding> {
    const [first] = this.details.values()
    return [Finding.judge(
      this.count === 0,
      check,
      this.count === 0 ? none : `${this.count} ${some}: ${[...this.details.keys()].join(", ")}`,
      first
    )]
  }
}

/** Every frame can be read, by the fast decoder, and holds nothing that we do not know. */
export class Readability implements FrameCheck {
  readonly #unknownFields: UnknownFields | null
  readonly #failed = new Collected()
  readonly #fallbacks = new Collected()
  readonly #ignored = new Collected()
  readonly #unknown = new Collected()
  readonly #nameless = new Collected()
  #frames = 0
  #answers = 0

  constructor({ unknownFields }: Context) {
    this.#unknownFields = unknownFields
  }

  onFrame(frame: SeenFrame): void {
    const { bytes } = frame
    this.#frames++
    for (const detail of frame.failed) this.#failed.add(detail, bytes)
    for (const detail of frame.ignored) this.#ignored.add(detail, bytes)
    if (frame.isFallback) this.#fallbacks.add("layout of a frame", bytes)
    for (const path of this.#unknownFields?.(bytes) ?? []) this.#unknown.add(path, bytes)
    for (const answer of [...frame.acknowledged, ...frame.rejected.map((rejection) => rejection.answer)]) {
      this.#answers++
      if (answer.requestId === null && answer.topics === null) this.#nameless.add("an answer", bytes)
    }
  }

  findings(): ReadonlyArray<Finding.Finding> {
    const unknown = this.#unknownFields === null
      ? [Finding.skip("unknown fields", "the fields of this exchange are not listed")]
      : this.#unknown.findings("unknown fields", `none in ${this.#frames} frames`, "fields that no document shows")
    return [
      ...this.#failed.findings("decode failures", `none in ${this.#frames} frames`, "frames could not be read"),
      ...this.#fallbacks.findings(
        "decoder fallbacks",
        `none in ${this.#frames} frames`,
        "frames had to be read by the general decoder"
      ),
      ...this.#ignored.findings("ignored frames", `none in ${this.#frames} frames`, "frames mean nothing to us"),
      ...unknown,
      ...this.#nameless.findings(
        "answers",
        `each of ${this.#answers} names its request or its topics`,
        "answers name neither request nor topics"
      )
    ]
  }
}

export const make = (context: Context): ReadonlyArray<FrameCheck> => [
  new Delivery(context),
  new Fields(context),
  new Times(context),
  new Sequences(context),
  new Prices(context),
  new Readability(context)
]
