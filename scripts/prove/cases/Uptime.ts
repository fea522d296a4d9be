/**
 * Two virtual days of three exchanges with accounts, each of which has an outage every hour: how long what the program says
 * was not so.
 */
import { Clock, Effect } from "effect"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import type { IslandWatch } from "../IslandWorld.ts"
import * as World from "../IslandWorld.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

const minute = 60_000
const hour = 60 * minute

const allAssets = ["BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "LTC", "DOT"] as const
const assetsOf = ({ quick }: Proof): ReadonlyArray<string> => quick ? allAssets.slice(0, 3) : allAssets
// A few changes a second, as even quiet pairs have: what is silent is told from what is slow by its own pace.
const market = { rate: 4, tradeRate: 0.1, tickMillis: 500 } as const

/** While something is wrong, and when nothing is, ms. */
const closely = 100
const usually = 1_000

/**
 * A round strikes every exchange once, one after the other or all at once: an hour. In a small run little of the quiet time
 * passes, and what an outage costs is judged as one an hour all the same.
 */
const roundOf = ({ quick }: Proof): number => quick ? 18 * minute : hour
const shareOf = (proof: Proof): number => roundOf(proof) / World.ids.length
/** Within its exchange's share of the round; an outage and its aftermath take at most four minutes. */
const outageAt = (proof: Proof, draws: Virtual.Draws): number =>
  minute / 2 + Virtual.below(draws, shareOf(proof) - 5 * minute)

/** An outage is looked at closely, and the account is busy, for so long behind the server's return, ms. */
const aftermath = minute

interface Outage {
  readonly faults: ReadonlyArray<string>
  /** From its beginning to the server's return, ms; 0: the server is there for whoever comes anew. */
  readonly lasts: number
  /** The server is there for so long at first, ms; then it is struck again. 0 where left out. */
  readonly between?: number
}

/** So soon behind a start or a return, ms. */
const soon = (draws: Virtual.Draws): number => Math.round(5_000 + Virtual.below(draws, 5_000))

/** By name; `on` is empty where it strikes all. */
const outages: Readonly<Record<string, (on: string, draws: Virtual.Draws) => Outage>> = {
  "connections dropped": (on) => ({ faults: [`drop${on}`], lasts: 0 }),
  "exchange away": (on, draws) => {
    const seconds = 5 + Virtual.below(draws, 175)
    const during = `@0s:${seconds}s`
    return {
      faults: [`refuse:503${on}${during}`, `http-error:503${on}${during}`, `drop${on}`],
      lasts: seconds * 1_000
    }
  },
  "half-open, unannounced": (on) => ({ faults: [`half-open${on}`], lasts: 0 }),
  "REST fails, connections dropped": (on) => ({
    faults: [`http-error:503${on}@0s:40s`, `drop${on}`],
    lasts: 40_000
  }),
  "hangs for 20 s": (on) => ({ faults: [`half-open${on}@0s:20s`], lasts: 20_000 }),
  "sends no data for 30 s": (on) => ({ faults: [`silence${on}@0s:30s`], lasts: 30_000 }),
  // Before anybody can have learned much of what has just come back.
  "dropped, and no data for 30 s soon behind": (on, draws) => {
    const between = soon(draws)
    return {
      faults: [`drop${on}`, `silence${on}@${between}ms:30s`],
      lasts: between + 30_000,
      between
    }
  }
}

/** What strikes soon behind the start. */
const silent = "sends no data for 30 s"

const outageCount = Object.keys(outages).length

interface Tally {
  count: number
  /** Times that count as down, summed up over exchanges, ms. */
  unnoticed: number
  recovering: number
  /** From the server's return until everything is well, of each exchange that was struck, ms. */
  readonly back: Array<number>
}

/** What is under way. */
interface Struck {
  readonly tally: Tally
  readonly on: ReadonlySet<string>
  readonly began: number
  /** From when on the server is not there. */
  readonly leaves: number
  readonly returns: number
}

/** Of one exchange, ms. */
interface Share {
  readonly id: string
  outages: number
  /** Counts as down. */
  down: number
  /** It was not there, and the program knew. */
  away: number
}

interface Result {
  readonly total: number
  readonly shares: ReadonlyArray<Share>
  /** Where no outage was under way, ms. */
  readonly quietDown: number
  readonly tallies: ReadonlyMap<string, Tally>
  readonly wrong: ReadonlyArray<string>
  readonly events: number
  readonly census: ReadonlyArray<{ readonly fibers: number; readonly timers: number }>
}

const isUnder = (struck: Struck | null, now: number): struck is Struck =>
  struck !== null && now < struck.returns + aftermath

const isGone = ({ leaves, returns }: Struck, now: number): boolean => now >= leaves && now <= returns

class Ledger {
  readonly watches: ReadonlyArray<IslandWatch>
  readonly tallies = new Map<string, Tally>()
  readonly shares = new Map<string, Share>(World.ids.map((id) => [id, { id, outages: 0, down: 0, away: 0 }]))
  total = 0
  quietDown = 0
  /** Behind the last return the exchange has been well at this moment, ms. */
  readonly #well = new Map<string, number>()

  constructor(watches: ReadonlyArray<IslandWatch>) {
    this.watches = watches
  }

  tally(name: string): Tally {
    let tally = this.tallies.get(name)
    if (tally === undefined) {
      this.tallies.set(name, tally = { count: 0, unnoticed: 0, recovering: 0, back: [] })
    }
    return tally
  }

  /** Whoever was struck is down from the beginning; the time that data may be on its way is not given to it. */
  begin({ began, leaves, on, tally }: Struck): void {
    const onItsWay = (leaves > began ? 2 : 1) * World.onItsWay
    tally.count++
    tally.unnoticed += on.size * onItsWay
    for (const id of on) {
      const share = this.shares.get(id)!
      share.outages++
      share.down += onItsWay
      this.#well.delete(id)
    }
  }

  look(struck: Struck | null, now: number, passed: number): void {
    for (const watch of this.watches) this.#lookAt(watch, struck, now, passed)
  }

  #lookAt(watch: IslandWatch, struck: Struck | null, now: number, passed: number): void {
    const { id, mayTrade } = watch
    const isCurrent = watch.isCurrent(now)
    const isStruck = isUnder(struck, now) && struck.on.has(id)
    const isAway = isStruck && isGone(struck, now)
    const share = this.shares.get(id)!
    this.total += passed
    if (isAway && !mayTrade) {
      share.away += passed
      return
    }
    if (mayTrade && isCurrent) {
      if (!this.#well.has(id)) this.#well.set(id, now)
      return
    }
    share.down += passed
    if (!isStruck) this.quietDown += passed
    else if (mayTrade) struck.tally.unnoticed += passed
    else struck.tally.recovering += passed
    this.#well.delete(id)
  }

  /** At its end: how long each has taken. */
  end({ on, returns, tally }: Struck): void {
    for (const id of on) tally.back.push(Math.max(0, (this.#well.get(id) ?? Number.POSITIVE_INFINITY) - returns))
  }
}

const play = Effect.fnUntraced(function*(proof: Proof, rounds: number, census: World.Census) {
  const simulator = yield* Simulator.Simulator
  const draws = yield* Virtual.draws(proof.seed, "uptime")
  const watches = yield* World.watchAll(assetsOf(proof))
  const ledger = new Ledger(watches)
  const started = yield* Clock.currentTimeMillis
  const wrong: Array<string> = []
  const counted: Array<{ fibers: number; timers: number }> = []
  const names = Object.keys(outages)
  const round = roundOf(proof)
  let struck: Struck | null = null
  let before = started
  let traded = started
  let trades = 0

  /** `only`: null strikes all. */
  const strike = Effect.fnUntraced(function*(name: string, only: string | null, now: number, prefix = "") {
    const { between = 0, faults, lasts } = outages[name]!(only === null ? "" : `,on=${only}`, draws)
    for (const fault of faults) yield* Effect.orDie(simulator.inject(fault))
    const on = new Set(only === null ? World.ids : [only])
    const next: Struck = {
      tally: ledger.tally(prefix + (only === null ? `all: ${name}` : name)),
      on,
      began: now,
      leaves: now + between,
      returns: now + lasts
    }
    ledger.begin(next)
    return next
  })

  /** Behind each outage everything is held against the exchange. */
  const settle = (ended: Struck, now: number): void => {
    ledger.end(ended)
    counted.push({ fibers: census.fibers, timers: census.timers })
    for (const watch of watches) {
      const found = [...watch.wrongBooks(), ...watch.wrongAccount()]
      if (found.length > 0) wrong.push(`${watch.id} at ${Math.round((now - started) / minute)} min: ${found[0]}`)
    }
  }

  const trade = (now: number, isBusy: boolean): void => {
    if (now - traded < (isBusy ? usually : minute)) return
    traded = now
    trades++
    for (const watch of watches) watch.trade(trades % 2 === 0 ? "sell" : "buy")
  }

  /** Lets a moment pass and looks; gives the outage that is still under way. */
  const pass = Effect.fnUntraced(function*(under: Struck | null): Effect.fn.Return<Struck | null> {
    const now = before
    const isBusy = isUnder(under, now)
    trade(now, isBusy)
    yield* Effect.sleep(isBusy ? closely : usually)
    before = yield* Clock.currentTimeMillis
    ledger.look(under, before, before - now)
    if (under === null || isUnder(under, before)) return under
    settle(under, before)
    return null
  })

  const strikesFirst = started + soon(draws)
  while (before < strikesFirst) struck = yield* pass(struck)
  struck = yield* strike(silent, null, before, "soon behind the start, ")
  while (struck !== null) struck = yield* pass(struck)
  const begun = before

  for (let number = 0; number < rounds; number++) {
    const struckInTurn = number % 8 === 3 ? [null] : World.ids
    for (const [turn, only] of struckInTurn.entries()) {
      const strikesAt = begun + number * round + turn * shareOf(proof) + outageAt(proof, draws)
      while (before < strikesAt) struck = yield* pass(struck)
      struck = yield* strike(names[(number + turn) % names.length]!, only, before)
    }
    while (before < begun + (number + 1) * round) struck = yield* pass(struck)
  }
  // What an outage has set going comes to rest.
  yield* Effect.sleep(2 * minute)
  counted.push({ fibers: census.fibers, timers: census.timers })
  const { quietDown, shares, tallies, total } = ledger
  const events = watches.reduce((sum, { known }) => sum + known.events.length, 0)
  const result: Result = {
    total,
    shares: [...shares.values()],
    quietDown,
    tallies,
    wrong,
    events,
    census: counted
  }
  return result
})

/** The least of so many rounds: a connection that is being replaced at its age is there twice for a moment, and nothing is lost. */
const leastOf = 8

/** What runs behind outages, and how often in a row. */
const runsOf = (census: Result["census"]): string => {
  const runs: Array<{ readonly text: string; count: number }> = []
  for (const { fibers, timers } of census) {
    const text = `${fibers}/${timers}`
    const last = runs.at(-1)
    if (last?.text === text) last.count++
    else runs.push({ text, count: 1 })
  }
  return runs.map(({ count, text }) => `${text} ×${count}`).join(", ")
}

const seconds = (ms: number): string => Proofs.text(ms / 1_000)

/** Of the time that has passed; in a small run, of an hour for each outage. */
const percentUp = (proof: Proof, total: number, { away, down, outages }: Share): number =>
  100 * (1 - down / ((proof.quick ? outages * hour : total / World.ids.length) - away))

const judge = (proof: Proof, { census, events, quietDown, shares, tallies, total, wrong }: Result): void => {
  proof.table(
    ["outage", "times", "unnoticed, virtual s", "recovering, virtual s", "until back: count", "p50", "p95", "max"],
    [...tallies].map(([name, { back, count, recovering, unnoticed }]) => [
      name,
      String(count),
      seconds(unnoticed),
      seconds(recovering),
      ...Proofs.spread(back.map((ms) => ms / 1_000))
    ])
  )
  proof.table(
    ["exchange", "outages", "down, virtual s", "known to be away, virtual s", "down per outage", "up"],
    shares.map((share) => [
      share.id,
      String(share.outages),
      seconds(share.down),
      seconds(share.away),
      seconds(share.down / share.outages),
      `${percentUp(proof, total, share).toFixed(4)} %`
    ])
  )
  const percents = shares.map((share) => percentUp(proof, total, share))
  const uptime = Math.min(...percents)
  const mean = percents.reduce((sum, percent) => sum + percent, 0) / percents.length
  const strikes = shares.reduce((sum, { outages }) => sum + outages, 0)
  const hours = Proofs.text(total / World.ids.length / hour)
  proof.check(
    "with an outage an hour of each exchange, and all options at their defaults, the program is up on each 99.9 % of the virtual time that it is there",
    uptime >= 99.9,
    `${uptime.toFixed(4)} % on the worst of three exchanges, ${mean.toFixed(4)} % on average, with ${
      strikes / World.ids.length
    } outages of each in ${hours} virtual hours, ${assetsOf(proof).length} pairs on each`
  )
  proof.check("nothing is down where no outage is", quietDown === 0, `${seconds(quietDown)} virtual s`)
  proof.check(
    "behind every outage all books are the exchange's, and no event of an account is lost or told twice",
    wrong.length === 0,
    wrong[0] ?? `${strikes} outages, ${events} events of accounts`
  )
  const most = (of: "fibers" | "timers"): number => Math.max(...census.map((one) => one[of]))
  proof.figure("virtual_hours", total / World.ids.length / hour)
  proof.figure("outages", strikes)
  proof.figure("uptime_percent", uptime)
  proof.figure("uptime_percent_mean", mean)
  proof.figure("fibers_most", most("fibers"))
  proof.figure("timers_most", most("timers"))
}

export const uptime: Case = {
  name: "uptime",
  isLong: true,
  proves:
    "Days of virtual time with an outage of each exchange every hour, ten pairs on each, all options at their defaults: 99.9 % up on each, undetected silence counted as down, no account event lost, nothing leaks",
  run: Effect.fnUntraced(function*(proof: Proof) {
    const rounds = Proofs.sizeOf(proof, outageCount, 48)
    const census = new World.Census()
    const program = Effect.gen(function*() {
      const body = census.of(
        Effect.scoped(Effect.provide(play(proof, rounds, census), World.layerMarkets(assetsOf(proof))))
      )
      const result = yield* body
      yield* Effect.sleep(minute)
      return result
    })
    const result = yield* World.run(
      proof.seed,
      World.layerServer(proof.seed, assetsOf(proof), market),
      rounds * roundOf(proof) + 10 * minute,
      program
    )
    judge(proof, result)
    const { fibers, timers } = census
    const samples = result.census
    const [first = { fibers: 0, timers: 0 }] = samples
    const latest = samples.slice(1).slice(-leastOf)
    const least = (of: "fibers" | "timers"): number => Math.min(...latest.map((one) => one[of]))
    proof.say(`fibers and timers behind each outage: ${runsOf(samples)}`)
    proof.check(
      "no fiber and no timer stays behind the program, and none comes with the outages",
      fibers === 0 && timers === 0 && least("fibers") <= first.fibers && least("timers") <= first.timers,
      `${fibers} fibers and ${timers} timers behind it; ${first.fibers} and ${first.timers} behind the first outage, at the `
        + `least ${least("fibers")} and ${least("timers")} behind the last ${latest.length}`
    )
  })
}
