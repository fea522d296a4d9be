/** Answers to subscriptions that come late, twice, wrongly or not at all. */
import { Effect, Exit, Stream } from "effect"
import * as Channel from "../../../src/domain/Channel.ts"
import type { Fault, World } from "../Fault.ts"
import type { Frame } from "../Network.ts"
import { replaced } from "../Network.ts"
import { drop, during, inject, until } from "./Steps.ts"

/** Subscribes everything anew on another connection. */
const again = (world: World, change: () => void, millis: number) =>
  during(
    world,
    Effect.gen(function*() {
      change()
      yield* drop(world)
      yield* Effect.sleep(millis)
    })
  )

/** Holds answers until the moment, and passes the rest. */
const holding = (world: World, isDue: () => boolean): void => {
  const held: Array<() => void> = []
  world.network.down = (frame, { kind }, pass) => {
    if (isDue()) held.splice(0).forEach((release) => release())
    if (kind === "ack" && !isDue()) held.push(() => pass(frame))
    else pass(frame)
  }
}

const symbolOf = ({ subject }: World, pair: World["btc"]): string => subject.adapter.symbol(pair)!

/** A name of the same length that no market has. */
const strange = (symbol: string): string => symbol.replace(/^.../, "ZZZ")

export const subscribe: ReadonlyArray<Fault> = [
  {
    name: "ack-late",
    group: "subscribe",
    injects: "answers come 6 s late, behind the deadline of 5 s",
    when: "all topics are subscribed anew behind a drop",
    holds: "asked again at the deadline; the late answers do no harm",
    from: "running",
    act: (world) => {
      const due = world.now() + 6_000
      return again(world, () => holding(world, () => world.now() >= due), 12_000)
    },
    expect: { gaps: ["Reconnected"], errors: ["SubscriptionTimeout"], within: 2_000 }
  },
  {
    name: "ack-lost",
    group: "subscribe",
    injects: "the first answer never comes",
    when: "all topics are subscribed anew behind a drop",
    holds: "asked again at the deadline",
    from: "running",
    act: (world) => {
      let lost = 0
      return again(world, () => {
        world.network.down = (frame, { kind }, pass) => {
          if (kind !== "ack" || lost++ > 0) pass(frame)
        }
      }, 6_000)
    },
    expect: { gaps: ["Reconnected"], errors: ["SubscriptionTimeout"], within: 2_000 }
  },
  {
    name: "ack-lost-at-start",
    group: "subscribe",
    injects: "no answer comes for 6 s",
    when: "the session opens",
    holds: "`initialize` says `SubscriptionTimeout`; tried again it opens",
    from: "start",
    act: (world) =>
      during(
        world,
        Effect.gen(function*() {
          world.network.down = (frame, { kind }, pass) => kind === "ack" ? undefined : pass(frame)
          yield* Effect.sleep(6_000)
        })
      ),
    expect: { gaps: [], also: ["Reconnected"], errors: ["SubscriptionTimeout"], within: 6_000 }
  },
  {
    name: "ack-twice",
    group: "subscribe",
    injects: "every answer comes twice",
    when: "all topics are subscribed anew behind a drop",
    holds: "the copies are ignored",
    from: "running",
    act: (world) =>
      again(world, () => {
        world.network.down = (frame, { kind }, pass) => {
          pass(frame)
          if (kind === "ack") pass(frame)
        }
      }, 1_000),
    expect: { gaps: ["Reconnected"], within: 1_500 }
  },
  {
    name: "ack-of-unknown-topic",
    group: "subscribe",
    injects: "answers about topics that nobody asked for",
    when: "while the session runs, and once more behind a drop",
    holds: "ignored: nothing is confirmed, nothing breaks but by the drop",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const acks: Array<Frame> = []
        yield* again(world, () => {
          world.network.down = (frame, { kind }, pass) => {
            if (kind === "ack") acks.push(frame)
            pass(frame)
          }
        }, 1_000)
        for (const ack of acks) {
          const symbol = symbolOf(world, world.btc)
          world.network.push(replaced(ack, symbol, strange(symbol)))
        }
        yield* Effect.sleep(500)
        if (acks.length === 0) world.problem("no answer was caught")
      }),
    expect: { gaps: ["Reconnected"], within: 1_500 }
  },
  {
    name: "ack-behind-data",
    group: "subscribe",
    injects: "answers come behind the first data of their topics",
    when: "all topics are subscribed anew behind a drop",
    holds: "the early data counts, or is dropped and counted; books begin with a snapshot all the same",
    from: "running",
    act: (world) => {
      const due = world.now() + 1_500
      return again(world, () => holding(world, () => world.now() >= due), 3_000)
    },
    expect: { gaps: ["Reconnected"], within: 2_000 }
  },
  {
    name: "ack-of-the-connection-before",
    group: "subscribe",
    injects: "an answer of the connection before comes once more, in place of the first of the new one",
    when: "behind a drop",
    holds: "taken for what it says or ignored; in the end exactly the wanted topics are on the wire",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const acks: Array<Frame> = []
        const keep = () => {
          world.network.down = (frame, { kind }, pass) => {
            if (kind === "ack") acks.push(frame)
            pass(frame)
          }
        }
        yield* again(world, keep, 1_000)
        const [old] = acks
        if (old === undefined) return world.problem("no answer was caught")
        let sent = 0
        yield* again(world, () => {
          world.network.down = (frame, { kind }, pass) => {
            if (kind === "ack" && sent++ === 0) pass(old)
            pass(frame)
          }
        }, 1_000)
      }),
    expect: { gaps: ["Reconnected"], within: 1_500 }
  },
  {
    name: "pair-refused",
    group: "subscribe",
    injects: "one pair is refused, beside two that are not",
    when: "it is added to a running session",
    holds: "the typed error names the pair; the others do not notice",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        yield* inject(world, `reject:${world.sol}@0s:10s`)
        const { rejected } = yield* world.websocket.subscribe([world.sol]).pipe(
          Effect.catch((error) => Effect.succeed({ rejected: new Map([[world.sol, error]]) }))
        )
        const reason = rejected.get(world.sol)?.reason
        if (reason?._tag !== "SubscriptionRejected") return world.problem(`refused with ${reason?._tag}`)
        const symbol = symbolOf(world, world.sol)
        if (!`${reason.symbol} ${reason.topic}`.includes(symbol) && reason.symbol !== world.sol) {
          world.problem(`the error does not name ${symbol}: ${JSON.stringify(reason)}`)
        }
      }),
    expect: { gaps: [], errors: ["SubscriptionRejected"], within: 1_000 }
  },
  {
    name: "list-partly-refused",
    group: "subscribe",
    injects: "a list with one bad topic: refused as a whole or in part, as the exchange does it",
    when: "three pairs are opened at once",
    holds: "the good ones are taken, the bad one is named; where lists are refused as a whole they are halved",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        yield* world.websocket.unsubscribe([world.btc, world.eth])
        yield* until(() => world.simulator.topics(world.subject.adapter.id).size === 0)
        yield* inject(world, `reject:${world.sol}@0s:20s`)
        const { accepted, rejected } = yield* world.websocket.subscribe([world.btc, world.sol, world.eth])
        if ([...accepted].sort().join() !== `${world.btc},${world.eth}`) world.problem(`accepted ${accepted.join()}`)
        if (rejected.get(world.sol)?.reason._tag !== "SubscriptionRejected") {
          world.problem("the bad pair is not refused")
        }
      }),
    expect: { gaps: [], also: ["Reconnected"], errors: ["SubscriptionRejected"], within: 2_500 }
  },
  {
    name: "refusal-that-passes",
    group: "subscribe",
    injects: "one subscription is refused once, in a way that may pass",
    when: "all topics are subscribed anew behind a drop",
    holds:
      "asked again after a wait where the refusal can pass; else its stream says `Rejected` and the pair can be opened anew",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        yield* inject(world, `reject:${world.eth},count=1@0s:2s`)
        yield* drop(world)
        yield* Effect.sleep(2_500)
        const refused = world.observer.gaps.has("Rejected")
        if (!refused) return
        yield* world.websocket.unsubscribe([world.eth])
        yield* world.websocket.subscribe([world.eth])
      }),
    expect: { gaps: ["Reconnected"], also: ["Rejected"], within: 5_000 }
  },
  {
    name: "unsubscribe-answer-lost",
    group: "subscribe",
    injects: "the answer to an unsubscribe never comes",
    when: "a pair leaves a running session and comes back",
    holds: "the pair is subscribed again behind the deadline, with a snapshot of its own",
    from: "running",
    act: (world) =>
      during(
        world,
        Effect.gen(function*() {
          world.network.down = (frame, { kind }, pass) => kind === "ack" ? undefined : pass(frame)
          yield* world.websocket.unsubscribe([world.eth])
          yield* Effect.sleep(1_000)
          world.network.down = null
          yield* world.websocket.subscribe([world.eth])
        })
      ),
    expect: { gaps: [], also: ["Reconnected"], within: 7_000 }
  },
  {
    name: "answers-that-say-nothing",
    group: "subscribe",
    injects: "JSON of no known shape, words and empty answers",
    when: "while the session runs",
    holds: "ignored or counted; topics without versions are told that something could not be read",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        for (const words of ["{}", "{\"id\":1}", "{\"id\":-1,\"code\":\"?\"}", "OK", "null", "[]", "<html></html>"]) {
          world.network.push(words)
          yield* Effect.sleep(50)
        }
      }),
    expect: { gaps: [], also: ["Unreadable"], within: 1_000 }
  },
  {
    name: "consumer-gone-before-the-answer",
    group: "subscribe",
    injects: "whoever asked is gone before the answer",
    when: "a feed is opened and left at once, ten times",
    holds: "no topic stays on the wire, and no answer is taken for another's",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const { simulator, subject } = world
        for (let i = 0; i < 10; i++) {
          const feed = Effect.scoped(
            Effect.flatMap(world.websocket.feed(Channel.trades(world.sol)), (stream) => Stream.runDrain(stream))
          )
          const exit = yield* Effect.exit(Effect.timeout(feed, world.below(30)))
          if (Exit.isSuccess(exit)) world.problem("the feed ended by itself")
        }
        const left = () =>
          [...simulator.topics(subject.adapter.id)].filter((topic) => topic.includes(symbolOf(world, world.sol)))
        yield* until(() => left().length === 0, 8_000)
        if (left().length > 0) world.problem(`${left().join()} is left on the wire`)
      }),
    expect: { gaps: [], within: 1_000 }
  },
  {
    name: "drop-before-the-answer",
    group: "subscribe",
    injects: "the connection is lost between request and answer",
    when: "all topics are subscribed anew, twice in a row",
    holds: "asked again on the next connection",
    from: "running",
    act: (world) =>
      during(
        world,
        Effect.gen(function*() {
          let lost = 0
          world.network.down = (frame, { kind }, pass) => {
            if (kind !== "ack" || lost >= 2) return pass(frame)
            lost++
            Effect.runSync(drop(world))
          }
          yield* drop(world)
          yield* until(() => lost >= 2)
          yield* Effect.sleep(500)
        })
      ),
    expect: { gaps: ["Reconnected"], errors: ["Disconnected"], within: 1_500, exact: false }
  }
]
