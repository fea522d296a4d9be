/** Two virtual days of three exchanges with accounts, and an outage every hour: how long what the program says was not so. */
import { Clock, Effect } from "effect"
import * as Simulator from "../../../src/simulator/Simulator.ts"
import type { IslandWatch } from "../IslandWorld.ts"
import * as World from "../IslandWorld.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

const minute = 60_000
const hour = 60 * minute

const assets = ["BTC"] as const
// A few changes a second, as even quiet pairs have: what is silent is told from what is slow by its own pace.
const market = { rate: 4, tradeRate: 0.1, tickMillis: 500 } as const

/** While something is wrong, and when nothing is, ms. */
const closely = 100
const usually = 1_000

/** In a small run little of the quiet time passes, and what an outage costs is judged as one an hour all the same. */
const roundOf = ({ quick }: Proof): number => quick ? 8 * minute : hour
const outageAt = ({ quick }: Proof, draws: Virtual.Draws): number =>
  quick ? minute + Virtual.below(draws, 2 * minute) : 10 * minute + Virtual.below(draws, 40 * minute)

/** An outage is looked at closely, and the account is busy, for so long behind the server's return, ms. */
const aftermath = minute

interface Outage {
  readonly faults: ReadonlyArray<string>
  /** From its beginning to the server's return, ms; 0: the server is there for whoever comes anew. */
  readonly lasts: number
}

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
  "sends no data for 30 s": (on) => ({ faults: [`silence${on}@0s:30s`], lasts: 30_000 })
}

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
  readonly returns: number
}

interface Result {
  readonly rounds: number
  readonly total: number
  readonly away: number
  /** Where no outage was under way, ms. */
  readonly quietDown: number
  readonly tallies: ReadonlyMap<string, Tally>
  readonly wrong: ReadonlyArray<string>
  readonly events: number
  readonly census: ReadonlyArray<{ readonly fibers: number; readonly timers: number }>
}

const isUnder = (struck: Struck | null, now: number): struck is Struck =>
  struck !== null && now < struck.returns + aftermath

class Ledger {
  readonly watches: ReadonlyArray<IslandWatch>
  readonly tallies = new Map<string, Tally>()
  total = 0
  away = 0
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
  begin({ on, tally }: Struck): void {
    tally.count++
    tally.unnoticed += on.size * World.onItsWay
    for (const id of on) this.#well.delete(id)
  }

  look(struck: Struck | null, now: number, passed: number): void {
    for (const watch of this.watches) this.#lookAt(watch, struck, now, passed)
  }

  #lookAt(watch: IslandWatch, struck: Struck | null, now: number, passed: number): void {
    const { id, mayTrade } = watch
    const isCurrent = watch.isCurrent(now)
    const isStruck = isUnder(struck, now) && struck.on.has(id)
    const isAway = isStruck && now <= struck.returns
    this.total += passed
    if (isAway && !mayTrade) {
      this.away += passed
      return
    }
    if (mayTrade && isCurrent) {
      if (!this.#well.has(id)) this.#well.set(id, now)
      return
    }
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
  const watches = yield* World.watchAll(assets)
  const ledger = new Ledger(watches)
  const begun = yield* Clock.currentTimeMillis
  const wrong: Array<string> = []
  const counted: Array<{ fibers: number; timers: number }> = []
  const names = Object.keys(outages)
  const round = roundOf(proof)
  let struck: Struck | null = null
  let before = begun
  let traded = begun
  let trades = 0

  const strike = Effect.fnUntraced(function*(number: number, now: number) {
    const name = names[number % names.length]!
    const all = number % 8 === 3
    const only = World.ids[(number + Math.floor(number / names.length)) % World.ids.length]!
    const { faults, lasts } = outages[name]!(all ? "" : `,on=${only}`, draws)
    for (const fault of faults) yield* Effect.orDie(simulator.inject(fault))
    const on = new Set(all ? World.ids : [only])
    const next: Struck = { tally: ledger.tally(all ? `all: ${name}` : name), on, began: now, returns: now + lasts }
    ledger.begin(next)
    return next
  })

  /** Behind each outage everything is held against the exchange. */
  const settle = (ended: Struck, now: number): void => {
    ledger.end(ended)
    counted.push({ fibers: census.fibers, timers: census.timers })
    for (const watch of watches) {
      const found = [...watch.wrongBooks(), ...watch.wrongAccount()]
      if (found.length > 0) wrong.push(`${watch.id} at ${Math.round((now - begun) / minute)} min: ${found[0]}`)
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

  for (let number = 0; number < rounds; number++) {
    const strikesAt = begun + number * round + outageAt(proof, draws)
    while (before < strikesAt) struck = yield* pass(struck)
    struck = yield* strike(number, before)
    while (before < begun + (number + 1) * round) struck = yield* pass(struck)
  }
  // What an outage has set going comes to rest.
  yield* Effect.sleep(2 * minute)
  counted.push({ fibers: census.fibers, timers: census.timers })
  const { away, quietDown, tallies, total } = ledger
  const events = watches.reduce((sum, { known }) => sum + known.events.length, 0)
  const result: Result = { rounds, total, away, quietDown, tallies, wrong, events, census: counted }
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

const judge = (proof: Proof, { away, census, events, quietDown, rounds, tallies, total, wrong }: Result): void => {
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
  const down = [...tallies.values()].reduce((sum, { recovering, unnoticed }) => sum + recovering + unnoticed, quietDown)
  // Of an hour for each outage; in a full run that is the time that has passed.
  const uptime = 100 * (1 - down / (rounds * hour * World.ids.length - away))
  const hours = Proofs.text(total / World.ids.length / hour)
  proof.check(
    "with an outage an hour, and all options at their defaults, the program is up 99.9 % of the virtual time that the exchanges are there",
    uptime >= 99.9,
    `${uptime.toFixed(4)} % with ${rounds} outages in ${hours} virtual hours on three exchanges, ${
      seconds(down)
    } virtual s down, `
      + `${seconds(away)} virtual s of outages that it knew of`
  )
  proof.check("nothing is down where no outage is", quietDown === 0, `${seconds(quietDown)} virtual s`)
  proof.check(
    "behind every outage all books are the exchange's, and no event of an account is lost or told twice",
    wrong.length === 0,
    wrong[0] ?? `${rounds} outages, ${events} events of accounts`
  )
  const most = (of: "fibers" | "timers"): number => Math.max(...census.map((one) => one[of]))
  proof.figure("virtual_hours", total / World.ids.length / hour)
  proof.figure("outages", rounds)
  proof.figure("uptime_percent", uptime)
  proof.figure("fibers_most", most("fibers"))
  proof.figure("timers_most", most("timers"))
}

export const uptime: Case = {
  name: "uptime",
  proves:
    "Days of virtual time with an outage every hour, all options at their defaults: 99.9 % up, undetected silence counted as down, no account event lost, nothing leaks",
  run: Effect.fnUntraced(function*(proof: Proof) {
    const rounds = Proofs.sizeOf(proof, 4, 48)
    const census = new World.Census()
    const program = Effect.gen(function*() {
      const body = census.of(
        Effect.scoped(Effect.provide(play(proof, rounds, census), World.layerMarkets(assets)))
      )
      const result = yield* body
      yield* Effect.sleep(minute)
      return result
    })
    const result = yield* World.run(
      proof.seed,
      World.layerServer(proof.seed, assets, market),
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
