/** One simulated exchange: its world, its connections, its REST side, its faults and its counts. */
import type { ExchangeId, TradingPair } from "../domain/Instrument.ts"
import type { DialectOptions, DialectRequest, DialectResponse, ExchangeDialect } from "../ExchangeDialect.ts"
import type { AccountSeed } from "./Accounts.ts"
import { ExchangeFaults, longest } from "./ActiveFaults.ts"
import type { ActiveFault, Fate, FaultOf, MomentaryFault } from "./ActiveFaults.ts"
import * as Counts from "./Counts.ts"
import type { ExchangeCounts, TopicCounts } from "./Counts.ts"
import { SimulatedConnection } from "./SimulatedConnection.ts"
import type { Handshake, Host, Transport } from "./SimulatedConnection.ts"
import type { SteppedMarket } from "./SteppedMarket.ts"
import { ExchangeWorld } from "./World.ts"

export interface ExchangeOptions {
  readonly dialect: ExchangeDialect
  readonly pairs: ReadonlyArray<TradingPair>
  readonly make: (pair: TradingPair) => SteppedMarket
  readonly dialectOptions: DialectOptions
  readonly bookPhases: "shared" | "own"
  readonly accounts: ReadonlyArray<AccountSeed>
  /** ms since the epoch. */
  readonly now: () => number
  /** Of what happens now in the markets, ms since the epoch. */
  readonly time: () => number
  /** Simulated time since the start, ms. */
  readonly elapsed: () => number
  /** Runs once after so many simulated ms; returns how to cancel. */
  readonly after: (millis: number, run: () => void) => () => void
  readonly failed: (exchange: ExchangeId, error: unknown) => void
  /** Something happened that someone may be waiting for. */
  readonly changed: () => void
}

const dialsHeld = 10_000

/** Far apart for connections that follow each other: the golden section. */
const phaseStep = 0.618_033_988_75
const usualFees = { maker: "0.001", taker: "0.001" }

const failure: DialectResponse = {
  status: 500,
  headers: { "Content-Type": "text/plain" },
  body: "the simulated exchange has failed"
}

const forbidden = "<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\n</BODY></HTML>\n"

/** Without a status, the connection is reset. */
const errorResponse = (
  { status = 429, retryAfterMillis = 1_000 }: Pick<FaultOf<"HttpError">, "status" | "retryAfterMillis">
): DialectResponse => {
  switch (status) {
    case 429: {
      const retryAfter = retryAfterMillis === null ? {} : { "Retry-After": String(Math.ceil(retryAfterMillis / 1_000)) }
      return { status, headers: { "Content-Type": "text/plain", ...retryAfter }, body: "too many requests" }
    }
    case 403:
      return { status, headers: { "Content-Type": "text/html" }, body: forbidden }
    default:
      return { status, headers: { "Content-Type": "text/plain" }, body: `fault ${status}` }
  }
}

const lateness = (fate: Fate | null): number => fate?._tag === "LateAnswer" ? fate.millis : 0

/** Behind the middle, where it can be noticed. */
const cut = (body: string): string => body.slice(0, Math.ceil(body.length / 2))

/** Carries out a fault on one connection; false when there was nothing to do. */
const strike = (connection: SimulatedConnection, fault: MomentaryFault): boolean => {
  switch (fault._tag) {
    case "Drop":
      connection.end("dropped", fault.code ?? 1006, "")
      return true
    case "HalfOpen":
      return connection.makeHalfOpen()
    case "ExpireKeys":
      return connection.notify("expireKeys")
    case "UpgradeNotice":
      if (!connection.notify("upgrade")) return false
      if (fault.millis !== undefined) connection.closeAfter(fault.millis)
      return true
  }
}

export class SimulatedExchange implements Host {
  readonly id: ExchangeId
  readonly dialect: ExchangeDialect
  readonly pairs: ReadonlyArray<TradingPair>
  readonly world: ExchangeWorld
  readonly counts: ExchangeCounts = Counts.makeExchange()
  readonly faults = new ExchangeFaults()
  readonly connections = new Set<SimulatedConnection>()
  readonly elapsed: () => number
  readonly after: (millis: number, run: () => void) => () => void
  readonly changed: () => void
  readonly #options: ExchangeOptions
  readonly #topics = new Map<string, TopicCounts>()
  /** A request has asked for a book. */
  #bookAsked = false
  /** The request that is being answered. */
  #request: DialectRequest | undefined

  constructor(options: ExchangeOptions) {
    this.#options = options
    this.id = options.dialect.id
    this.dialect = options.dialect
    this.pairs = options.pairs
    this.elapsed = options.elapsed
    this.after = options.after
    this.changed = options.changed
    this.world = new ExchangeWorld({
      pairs: options.pairs,
      make: options.make,
      now: options.now,
      time: options.time,
      skew: () => longest(this.faults.skews, this.elapsed())?.fault.millis ?? 0,
      elapsed: options.elapsed,
      refuses: (topic) => this.#refuses(topic),
      bookAge: () => this.#bookAge(),
      accounts: {
        seeds: options.accounts,
        fees: options.dialect.fees ?? usualFees,
        counts: this.counts.orders,
        lag: () => this.#readLag(),
        lacks: (userId) => this.faults.strikeKey(this.elapsed(), userId)
      }
    })
  }

  readonly topicCounts = (topic: string): TopicCounts => {
    let counts = this.#topics.get(topic)
    if (counts === undefined) {
      counts = Counts.makeTopic()
      this.#topics.set(topic, counts)
      this.counts.topics[topic] = counts
    }
    return counts
  }

  readonly failed = (error: unknown): void => this.#options.failed(this.id, error)

  readonly ended = (connection: SimulatedConnection): void => {
    this.connections.delete(connection)
  }

  readonly positionOf = (connection: SimulatedConnection): number => [...this.connections].indexOf(connection) + 1

  /** Someone dials. The refusing fault, or null when the connection may be accepted. */
  dial(): FaultOf<"Refuse"> | null {
    const now = this.elapsed()
    const refusal = this.faults.refusals.find((fault) => fault.isActive(now))
    if (refusal !== undefined) {
      refusal.strikes()
      this.counts.connections.refused++
    }
    if (this.counts.dials.length === dialsHeld) this.counts.dials.shift()
    this.counts.dials.push({ at: this.#options.now(), outcome: refusal === undefined ? "accepted" : "refused" })
    return refusal?.fault ?? null
  }

  accept(transport: Transport, handshake: Handshake): SimulatedConnection {
    const phase = this.#options.bookPhases === "own" ? (this.counts.connections.accepted * phaseStep) % 1 : 0
    const connection = new SimulatedConnection(this, transport, handshake, phase)
    this.connections.add(connection)
    this.counts.connections.accepted++
    this.counts.connections.open++
    const now = this.elapsed()
    for (const fault of this.faults.halfOpen) {
      // Without a duration, or with a choice, it is for sockets that were open at its start.
      const isForNew = fault.until < Infinity && fault.fault.connection === undefined && !fault.isChosen
      if (isForNew && fault.isActive(now) && connection.makeHalfOpen()) fault.strikes()
    }
    connection.open((peer) => this.dialect.connect(this.world.world, peer, this.#options.dialectOptions))
    this.changed()
    return connection
  }

  /** Answers at once, or later when a fault holds the request or the answer back. */
  request(request: DialectRequest, respond: (response: DialectResponse) => void): void {
    const { rest } = this.counts
    rest.requests++
    const now = this.elapsed()
    const answer = (response: DialectResponse): void => {
      rest.statuses[response.status] = (rest.statuses[response.status] ?? 0) + 1
      respond(response)
      this.changed()
    }
    const error = this.faults.strikeHttp(now, request)
    if (error !== null) rest.failed++
    const fate = error === null ? this.faults.strikeRequest(now, request) : null
    if (fate?._tag !== "LateRequest") return this.#serve(request, error, fate, answer)
    rest.late++
    this.after(fate.millis, () => this.#serve(request, null, null, answer))
    this.changed()
  }

  #serve(
    request: DialectRequest,
    error: FaultOf<"HttpError"> | null,
    fate: Fate | null,
    answer: (response: DialectResponse) => void
  ): void {
    const { rest } = this.counts
    const now = this.elapsed()
    this.#bookAsked = false
    const response = this.#respond(request, error, fate)
    // The client waits for ever.
    if (response === null) return this.changed()
    if (this.#bookAsked) rest.snapshots++
    const late = Math.max(this.faults.strikeTime(now, request, this.#bookAsked), lateness(fate))
    const isCut = error === null && this.faults.strikeBody(now, request)
    if (isCut) rest.garbled++
    const sent = isCut ? { ...response, body: cut(response.body) } : response
    if (late === 0) return answer(sent)
    rest.delayed++
    this.after(late, () => answer(sent))
  }

  /** What clients are subscribed to on the connections that can still reach them. */
  topics(): ReadonlySet<string> {
    const topics = new Set<string>()
    for (const connection of this.connections) {
      if (connection.isHalfOpen) continue
      for (const topic of connection.topics()) topics.add(topic)
    }
    return topics
  }

  /** Carries out a fault of one moment on the connections that are open now. */
  strike(active: ActiveFault<MomentaryFault>): void {
    const { connection: number } = active.fault
    const open = [...this.connections]
    for (const connection of number === undefined ? open : open.slice(number - 1, number)) {
      const isMeant = !active.isChosen || [...connection.topics()].some((topic) => active.concerns(topic))
      if (isMeant && strike(connection, active.fault)) active.strikes()
    }
  }

  /** The server goes away. */
  hangUp(): void {
    for (const connection of [...this.connections]) connection.end("closedByExchange", 1006, "")
  }

  drain(now: number): void {
    for (const connection of this.connections) connection.drain(now)
    for (const active of this.faults.ages) {
      if (active.isActive(now)) this.#age(active, now)
    }
  }

  /** Closes what is too old. */
  #age(active: ActiveFault<FaultOf<"ConnectionAge">>, now: number): void {
    const { code = 1006, millis } = active.fault
    for (const connection of [...this.connections]) {
      if (now - connection.openedAt < millis) continue
      connection.end("dropped", code, "")
      active.strikes()
    }
  }

  /** What becomes of a request; null when no answer ever comes. */
  #respond(request: DialectRequest, error: FaultOf<"HttpError"> | null, fate: Fate | null): DialectResponse | null {
    const { rest } = this.counts
    if (error !== null) return errorResponse(error)
    if (fate?._tag === "LoseRequest") {
      rest.lost++
      return null
    }
    const response = this.#answer(request)
    if (fate?._tag === "LoseAnswer") {
      rest.unanswered++
      return null
    }
    if (fate?._tag !== "FailAnswer") return response
    rest.replaced++
    return errorResponse({ status: fate.status ?? 502 })
  }

  #answer(request: DialectRequest): DialectResponse {
    this.#request = request
    try {
      return this.dialect.onHttp(request, this.world.world, this.#options.dialectOptions)
    } catch (error) {
      this.failed(error)
      return failure
    } finally {
      this.#request = undefined
    }
  }

  #refuses(topic: string): string | null {
    const now = this.elapsed()
    for (const fault of this.faults.rejections) {
      if (fault.isActive(now) && fault.concerns(topic) && fault.strikes()) {
        return fault.fault.reason ?? "refused by a fault"
      }
    }
    return null
  }

  /** How young orders and fills are that the reading does not show, ms. */
  #readLag(): number {
    if (this.#request?.method !== "GET") return 0
    const lag = longest(this.faults.lags, this.elapsed(), this.#request)
    lag?.strikes()
    return lag?.fault.millis ?? 0
  }

  #bookAge(): number {
    this.#bookAsked = true
    const stale = longest(this.faults.stale, this.elapsed(), this.#request)
    if (stale === null) return 0
    stale.strikes()
    this.counts.rest.stale++
    return stale.fault.millis
  }
}
