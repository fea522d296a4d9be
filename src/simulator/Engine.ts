/**
 * Time, exchanges and faults of one simulation. Everything happens in ticks of the simulated clock, synchronously, in a
 * fixed order: timers, delayed frames, fundings, prices and books with what they do to accounts, and what is told of the
 * markets.
 */
import { Cause } from "effect"
import type { Random } from "effect"
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import { pairOf, partsOf } from "../domain/Instrument.ts"
import type { ExchangeDialect } from "../ExchangeDialect.ts"
import type { Accounts, AccountSeed } from "./Accounts.ts"
import { ActiveFault, isMomentary } from "./ActiveFaults.ts"
import type { MomentaryFault } from "./ActiveFaults.ts"
import type { Counts } from "./Counts.ts"
import type { Fault } from "./Faults.ts"
import { makeTruePrice, SimulatedMarket } from "./MarketModel.ts"
import { factsOf, underlyingOf } from "./PairFacts.ts"
import { Premium } from "./Premium.ts"
import type { PlantedEdge } from "./Premium.ts"
import { SimulatedExchange } from "./SimulatedExchange.ts"
import { SteppedMarket } from "./SteppedMarket.ts"
import { Steps } from "./Steps.ts"
import { Timers } from "./Timers.ts"

export type Draws = Pick<Random.Random, "nextDoubleUnsafe">

/** The time outside. */
export interface EngineClock {
  /** ms since the epoch. */
  readonly now: () => number
  /** ms since the engine was made, never backwards. */
  readonly elapsed: () => number
}

const isSwap = (pair: TradingPair): boolean => partsOf(pair).settle !== undefined

/** Perpetuals are settled in this. */
const settle = "USDT"

/**
 * The pairs that an exchange of a kind has of those that are simulated. Where these are all spot, the perpetuals on them
 * stand for them.
 */
export const pairsOf = (
  kind: ExchangeDialect["kind"],
  pairs: ReadonlyArray<TradingPair>
): ReadonlyArray<TradingPair> => {
  const swaps = pairs.filter(isSwap)
  if (kind === "spot") return pairs.filter((pair) => !isSwap(pair))
  if (swaps.length > 0) return swaps
  return pairs.map(partsOf).filter(({ quote }) => quote === settle).map(({ base, quote }) =>
    pairOf(base, quote, settle)
  )
}

/** What the first pair trades in a day, in quote; the others less and less, in their order. */
const mostTurnover = 500_000_000

export interface EngineOptions {
  readonly dialects: ReadonlyArray<ExchangeDialect>
  readonly pairs: ReadonlyArray<TradingPair>
  /**
   * Random numbers that depend on the seed and the name alone, from their beginning at each call. Each use has a name of
   * its own, so that nothing that is added changes what was there.
   */
  readonly draws: (name: string) => Draws
  readonly limits: "real" | "off"
  readonly bookPhases: "shared" | "own"
  /** Default: none. */
  readonly accounts?: Readonly<Record<ExchangeId, ReadonlyArray<AccountSeed>>> | undefined
  readonly rate: number
  readonly tradeRate: number
  readonly levels: number
  readonly history: number
  /** Default: none. */
  readonly edges?: ReadonlyArray<PlantedEdge> | undefined
  /** First version of every book; undefined: large and different for each. */
  readonly version: number | undefined
  readonly tickMillis: number
  /** When the simulation starts, ms since the epoch. */
  readonly epoch: number
  /** Undefined: time passes by `tick` alone. */
  readonly clock: EngineClock | undefined
}

/** Large, as on a market of some years, and never the same for two markets. */
const firstVersion = 81_721_676_217
const versionStride = 1_000_003

/** Ticks that are made up for when the process was late. */
const mostLateTicks = 10

const failuresHeld = 100

export class Engine {
  readonly exchanges: ReadonlyMap<ExchangeId, SimulatedExchange>
  readonly pairs: ReadonlyArray<TradingPair>
  readonly tickMillis: number
  /** Called at the end of every tick, when all frames of it have been written. */
  onTickEnd: () => void = () => {}
  paused = false
  /** A tick is under way. */
  ticking = false
  #elapsed = 0
  #ticks = 0
  #skipped = 0
  readonly #options: EngineOptions
  readonly #steps: Steps
  readonly #timers = new Timers()
  readonly #faults = new Map<number, ActiveFault>()
  readonly #failures: Array<string> = []
  readonly #waiters = new Set<() => void>()

  constructor(options: EngineOptions) {
    this.#options = options
    this.pairs = options.pairs
    this.tickMillis = options.tickMillis
    this.#steps = new Steps(options.tickMillis, this.#timeOf)
    this.exchanges = new Map(
      options.dialects.map((dialect, index) => [dialect.id, this.#makeExchange(dialect, index)])
    )
  }

  /** ms since the epoch. */
  readonly now = (): number => this.#options.clock?.now() ?? this.time

  /** Simulated time since the start, ms: that of the tick while one is under way. */
  readonly elapsed = (): number => {
    const { clock } = this.#options
    return this.ticking || clock === undefined ? this.#elapsed : Math.max(this.#elapsed, clock.elapsed())
  }

  /** Makes the ticks that are due. Returns ms until the next one. */
  advance(): number {
    const elapsed = this.elapsed()
    const due = Math.floor((elapsed - this.#elapsed) / this.tickMillis)
    const late = due - mostLateTicks
    if (late > 0) {
      this.#skipped += late
      this.#elapsed += late * this.tickMillis
    }
    for (let i = 0; i < Math.min(due, mostLateTicks); i++) this.tick()
    return this.#elapsed + this.tickMillis - this.elapsed()
  }

  tick(): void {
    this.#elapsed += this.tickMillis
    this.#ticks++
    this.ticking = true
    this.#timers.run(this.#elapsed)
    for (const exchange of this.exchanges.values()) exchange.drain(this.#elapsed)
    if (!this.paused) this.#step()
    for (const exchange of this.exchanges.values()) exchange.world.tickAccounts()
    for (const exchange of this.exchanges.values()) exchange.world.fire(this.#elapsed)
    this.ticking = false
    this.onTickEnd()
    this.changed()
  }

  /** Null when the exchange has none. */
  accounts(exchange: ExchangeId): Accounts | null {
    return this.exchanges.get(exchange)?.world.accounts ?? null
  }

  market(exchange: ExchangeId, pair: TradingPair): SimulatedMarket | undefined {
    return this.exchanges.get(exchange)?.world.market(pair)
  }

  /** The id that the next fault will have. */
  get nextFault(): number {
    return this.#faults.size + 1
  }

  /** Sets a fault and returns its id. Its times count from now. */
  inject(fault: Fault, random: Draws): number {
    const id = this.nextFault
    const active = new ActiveFault(id, fault, this.elapsed(), random)
    this.#faults.set(id, active)
    this.#sortFaults()
    if (isMomentary(active)) this.#schedule(active)
    return id
  }

  /** Ends one fault, or all. What it has done stays counted; sockets that it made half-open stay so. */
  clear(id?: number): boolean {
    const cleared = id === undefined
      ? [...this.#faults.values()]
      : [this.#faults.get(id)].filter((fault) => fault !== undefined)
    for (const fault of cleared) fault.end(this.elapsed())
    this.#sortFaults()
    return cleared.length > 0
  }

  /** Ends every connection without a close frame. */
  hangUp(): void {
    for (const exchange of this.exchanges.values()) exchange.hangUp()
  }

  /** Something happened that someone may be waiting for. In a tick they are told at its end. */
  readonly changed = (): void => {
    if (this.ticking || this.#waiters.size === 0) return
    for (const check of [...this.#waiters]) check()
  }

  /** Calls `check` after every tick and whatever a client does; returns how to stop. */
  onChange(check: () => void): () => void {
    this.#waiters.add(check)
    return () => void this.#waiters.delete(check)
  }

  counts(): Counts {
    const now = this.elapsed()
    return structuredClone({
      at: this.now(),
      elapsedMillis: now,
      ticks: this.#ticks,
      skippedTicks: this.#skipped,
      exchanges: Object.fromEntries([...this.exchanges].map(([id, exchange]) => [id, exchange.counts])),
      faults: [...this.#faults.values()].map((fault) => fault.counts(now)),
      failures: this.#failures
    })
  }

  /** Of what happens now in the markets, ms since the epoch. */
  get time(): number {
    return this.#timeOf(this.elapsed())
  }

  readonly #timeOf = (elapsed: number): number => {
    const time = this.#options.epoch + Math.floor(elapsed)
    const { clock } = this.#options
    // The two clocks drift apart; nothing that has happened may lie in the future.
    return clock === undefined ? time : Math.min(time, clock.now())
  }

  #step(): void {
    for (const exchange of this.exchanges.values()) exchange.world.fund()
    this.#steps.add(this.#elapsed)
    for (const exchange of this.exchanges.values()) exchange.world.step()
  }

  #schedule(active: ActiveFault<MomentaryFault>): void {
    const strike = (): void => {
      if (!active.isActive(active.from)) return
      for (const exchange of this.exchanges.values()) {
        if ((active.fault.exchange ?? exchange.id) === exchange.id) exchange.strike(active)
      }
      if (!("durationMillis" in active.fault)) active.end(active.from)
    }
    if (active.from <= this.elapsed()) strike()
    else this.#timers.schedule(active.from, strike)
  }

  #sortFaults(): void {
    const now = this.elapsed()
    const current = [...this.#faults.values()].filter((fault) => now < fault.until)
    for (const exchange of this.exchanges.values()) exchange.faults.set(exchange.id, current)
  }

  #makeExchange(dialect: ExchangeDialect, index: number): SimulatedExchange {
    const { accounts, bookPhases, limits, pairs } = this.#options
    const own = pairsOf(dialect.kind, pairs)
    const positions = new Map(own.map((pair, position) => [pair, position]))
    return new SimulatedExchange({
      dialect,
      pairs: own,
      make: (pair) => this.#makeMarket(dialect.id, pair, positions.get(pair)!, index * pairs.length),
      dialectOptions: { limits },
      bookPhases,
      accounts: accounts?.[dialect.id] ?? [],
      now: this.now,
      time: () => this.time,
      elapsed: this.elapsed,
      after: (millis, run) => this.#timers.schedule(this.elapsed() + millis, run),
      failed: (exchange, error) => this.#failed(exchange, error),
      changed: this.changed
    })
  }

  #makeMarket(exchange: ExchangeId, pair: TradingPair, position: number, marketsBefore: number): SteppedMarket {
    const { draws, edges = [], epoch, history, levels, rate, tradeRate, version } = this.#options
    const name = `${exchange} ${pair}`
    const planted = edges.filter((edge) => edge.exchange === exchange && edge.pair === pair)
    const truePrice = makeTruePrice(draws(`price ${underlyingOf(pair)}`))
    const market = new SimulatedMarket({
      facts: factsOf(pair),
      truePrice,
      random: draws(`market ${name}`),
      draws: (purpose) => draws(`${purpose} ${name}`),
      levels,
      rate,
      tradeRate,
      turnover: mostTurnover / (position + 1),
      version: version ?? firstVersion + (marketsBefore + position) * versionStride,
      time: epoch,
      history,
      premium: planted.length === 0 ? undefined : new Premium(planted)
    })
    const seconds = this.tickMillis / 1_000
    return new SteppedMarket({ market, truePrice, steps: this.#steps, seconds })
  }

  #failed(exchange: ExchangeId, error: unknown): void {
    if (this.#failures.length === failuresHeld) this.#failures.shift()
    this.#failures.push(`${exchange}: ${Cause.pretty(Cause.die(error))}`)
  }
}
