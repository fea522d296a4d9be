/** The same seed gives the same run, to the event: what a proof found once it finds again. */
import { Effect, Stream } from "effect"
import type { Scope } from "effect"
import { createHash } from "node:crypto"
import type { ConnectionStatus, Feed, Gap } from "../../../src/domain/Feed.ts"
import type { TradingPair } from "../../../src/domain/Instrument.ts"
import type { MarketEvent } from "../../../src/domain/Market.ts"
import type { ExchangeError } from "../../../src/ExchangeError.ts"
import { handlersFor, PublicWebsocket } from "../../../src/PublicWebsocket.ts"
import type { Services, Subject } from "../../../test/suites/Exchange.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import * as Virtual from "../Virtual.ts"

interface Log {
  readonly events: number
  readonly gaps: number
  /** Of all events, gaps and changes of connections, with their times, in order. */
  readonly hash: string
}

const faults = ["duplicate:2%", "reorder:1%", "gap:1%", "drop@3s", "refuse:503@5s:1s", "drop@5s", "slow-snapshot:80ms"]

const pairsOf = (subject: Subject): readonly [TradingPair, TradingPair] => [
  Virtual.pairOn(subject, "BTC/USDT"),
  Virtual.pairOn(subject, "ETH/USDT")
]

const record = (subject: Subject, millis: number): Effect.Effect<Log, ExchangeError, Services | Scope.Scope> =>
  Effect.gen(function*() {
    const websocket = yield* PublicWebsocket
    const hash = createHash("sha256")
    const counted = { events: 0, gaps: 0 }
    const add = (value: MarketEvent | Gap | ConnectionStatus): void =>
      void hash.update(JSON.stringify(value, (_, part: unknown) => typeof part === "bigint" ? `${part}n` : part))
    const event = (value: MarketEvent): void => {
      counted.events++
      add(value)
    }
    const gap = (value: Gap): void => {
      counted.gaps++
      add(value)
    }
    yield* websocket.handle(handlersFor(websocket.channels, {
      onBookTicker: event,
      onTrade: event,
      onBook: event,
      onTicker: event,
      onKline: event,
      onFuturesTicker: event,
      onLiquidation: event,
      onContractStats: event,
      onGap: gap,
      onStatus: add
    }))
    yield* websocket.initialize(pairsOf(subject), Virtual.tagsOf(subject))
    for (const channel of Virtual.ofEveryPair(subject)) {
      const feed = yield* websocket.feed(channel)
      const take = (item: Feed<MarketEvent>): void => item._tag === "Gap" ? gap(item) : event(item.value)
      yield* Effect.forkScoped(
        Stream.runForEach(
          feed as Stream.Stream<Feed<MarketEvent>, ExchangeError>,
          (item) => Effect.sync(() => take(item))
        )
      )
    }
    yield* Effect.sleep(millis)
    return { ...counted, hash: hash.digest("hex") }
  })

const proven = Effect.fnUntraced(function*(proof: Proof, subject: Subject) {
  const millis = Proofs.sizeOf(proof, 10_000, 60_000)
  const log = (seed: number) =>
    Virtual.run({ subject, seed, simulator: { pairs: pairsOf(subject), faults } }, record(subject, millis))
  const [first, second, other] = [yield* log(proof.seed), yield* log(proof.seed), yield* log(proof.seed + 1)]
  const { id } = subject.adapter
  proof.check(
    `${id}: two runs with one seed give the same events, gaps and connections at the same times`,
    first.hash === second.hash && first.events > 0 && first.gaps > 0,
    `${first.events} events and ${first.gaps} gaps, ${second.events} and ${second.gaps}; ${first.hash.slice(0, 16)}, ${
      second.hash.slice(0, 16)
    }`
  )
  proof.check(`${id}: another seed gives another run`, first.hash !== other.hash, other.hash.slice(0, 16))
  proof.figure(`${id}_events`, first.events)
})

export const determinism: Case = {
  name: "determinism",
  proves: "In memory the same seed gives the same run under faults, event for event, at the same times",
  run: (proof) => Effect.forEach(Virtual.subjects, (subject) => proven(proof, subject), { discard: true })
}
