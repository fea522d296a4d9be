/** Connections that end, look alive, or are about to end. */
import { Effect } from "effect"
import type { Fault, World } from "../Fault.ts"
import { drop, during, firstDigitsLost, inject, restarted, sockets, startVersion, until } from "./Steps.ts"

/** Both connections carry every topic. */
const bothJoined = (world: World): boolean => sockets(world) === 2 && world.now() - (lastDial(world) ?? 0) > 1_500

const lastDial = ({ simulator, subject }: World): number | undefined =>
  simulator.counts().exchanges[subject.adapter.id]!.dials.at(-1)?.at

const dropped = "every topic is told, in band and before the next data; all is subscribed again"

export const connection: ReadonlyArray<Fault> = [
  {
    name: "drop-without-a-word",
    group: "connection",
    injects: "the connection is gone without a close frame (1006)",
    when: "while the session runs",
    holds: dropped,
    from: "running",
    act: (world) => drop(world),
    expect: { gaps: ["Reconnected"], errors: ["Disconnected"], within: 1_500 }
  },
  {
    name: "drop-with-a-close-frame",
    group: "connection",
    injects: "the exchange closes the connection (1001, going away)",
    when: "while the session runs",
    holds: dropped,
    from: "running",
    act: (world) => drop(world, 1001),
    expect: { gaps: ["Reconnected"], errors: ["Disconnected"], within: 1_500 }
  },
  {
    name: "drop-with-a-code-of-its-own",
    group: "connection",
    injects: "the exchange closes the connection with a private code (4001)",
    when: "while the session runs",
    holds: dropped,
    from: "running",
    act: (world) => drop(world, 4001),
    expect: { gaps: ["Reconnected"], errors: ["Disconnected"], within: 1_500 }
  },
  {
    name: "drops-in-a-row",
    group: "connection",
    injects: "ten drops, one every 150 to 350 ms",
    when: "while the session runs",
    holds: "it comes back each time, the back-off between, and nothing piles up",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        for (let i = 0; i < 10; i++) {
          yield* drop(world)
          yield* Effect.sleep(150 + world.below(200))
        }
        if (sockets(world) > 1) world.problem(`${sockets(world)} sockets are open`)
      }),
    expect: { gaps: ["Reconnected"], errors: ["Disconnected"], within: 2_500 }
  },
  {
    name: "drop-at-the-first-request",
    group: "connection",
    injects: "the connection is lost the moment something is asked on it",
    when: "three times in a row",
    holds: "asked again on the next connection; no request counts as sent that was not",
    from: "running",
    act: (world) =>
      during(
        world,
        Effect.gen(function*() {
          let lost = 0
          world.network.up = (frame, pass) => {
            if (lost >= 3) return pass(frame)
            lost++
            Effect.runSync(drop(world))
          }
          yield* drop(world)
          yield* until(() => lost >= 3)
        })
      ),
    expect: { gaps: ["Reconnected"], errors: ["Disconnected"], within: 2_500 }
  },
  {
    name: "drop-within-a-back-off",
    group: "connection",
    injects: "a drop, refused dials, and another drop as soon as one dial succeeds",
    when: "while the session runs",
    holds: "one connection in the end, and all on it",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const before = world.network.dials
        yield* inject(world, "refuse:503@0s:700ms")
        yield* drop(world)
        yield* until(() => world.network.dials > before + 2 && sockets(world) > 0)
        yield* drop(world)
        yield* Effect.sleep(1_000)
        if (sockets(world) !== 1) world.problem(`${sockets(world)} sockets are open`)
      }),
    expect: { gaps: ["Reconnected"], errors: ["ConnectFailed", "Disconnected"], within: 2_000 }
  },
  {
    name: "drop-while-a-snapshot-is-fetched",
    group: "connection",
    injects: "the connection is lost while a REST snapshot is on its way; the exchange numbers its books anew",
    when: "twice in a row, anew the second time",
    holds: "the snapshot of before is not joined to the updates of after, which would all be older than it",
    fetched: true,
    simulator: { version: startVersion, rate: 100 },
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const { network, observer } = world
        yield* inject(world, "slow-snapshot:600ms@0s:3s")
        yield* drop(world)
        yield* Effect.sleep(300 + world.below(300))
        const change = restarted(world)
        // What was asked for before comes as it was.
        network.down = (frame, _, pass) => pass(change(frame))
        network.http = (_, ask) =>
          Effect.map(ask, (response) => ({ ...response, body: change(response.body) as string }))
        observer.shift = firstDigitsLost
        observer.forgets = true
        yield* drop(world)
        yield* Effect.sleep(1_500)
        observer.forgets = false
      }),
    expect: { gaps: ["Reconnected"], within: 5_000 }
  },
  {
    name: "drop-within-a-stall",
    group: "connection",
    injects: "frames are held up, and the connection is lost with them",
    when: "while the session runs",
    holds: "what never arrived is behind the gap; nothing of it comes later",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        yield* inject(world, "delay:500ms@0s:500ms")
        yield* Effect.sleep(300)
        yield* drop(world)
        yield* Effect.sleep(500)
      }),
    expect: { gaps: ["Reconnected"], within: 2_000 }
  },
  {
    name: "peer-gone-half-open",
    group: "connection",
    injects: "the socket stays open; nobody reads or writes at the other end",
    when: "while the session runs",
    holds: "found within the heartbeat's interval and timeout",
    from: "running",
    act: (world) => Effect.andThen(inject(world, "half-open"), Effect.sleep(2_000)),
    expect: { gaps: ["Reconnected"], errors: ["Silent"], within: 2_000 }
  },
  {
    name: "alive-without-data",
    group: "connection",
    injects: "pings are answered and no data comes",
    when: "for 4 s, with `staleAfter` at 2 s",
    holds: "the connection is given up with `Silent`",
    options: { staleAfter: "2 seconds", heartbeat: { interval: "500 millis", timeout: "500 millis" } },
    from: "running",
    act: (world) => Effect.andThen(inject(world, "silence@0s:4s"), Effect.sleep(4_000)),
    expect: { gaps: ["Reconnected"], also: ["Silent"], errors: ["Silent"], within: 4_000 }
  },
  {
    name: "one-topic-silent",
    group: "connection",
    injects: "one pair brings nothing, the other goes on",
    when: "for 2.5 s, with a bound of 800 ms on quotes and books",
    holds: "the silent topics are subscribed anew, with a gap; the others do not notice",
    options: { silence: { BookTicker: "800 millis", Book: "800 millis" } },
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        yield* inject(world, `silence:${world.btc}@0s:2500ms`)
        yield* Effect.sleep(2_500)
        const other = world.subject.adapter.symbol(world.eth)!
        if (!["BookTicker", "Trades", "Book"].every((tag) => world.observer.seen.has(`${tag} ${other}`))) {
          world.problem("the other pair noticed")
        }
      }),
    expect: { gaps: ["Silent"], also: ["Reconnected", "Sequence"], within: 4_000 }
  },
  {
    name: "pongs-lost",
    group: "connection",
    injects: "pings are not answered while data comes",
    when: "for 4 s",
    holds: "data is life enough: nothing happens",
    options: { heartbeat: { interval: "300 millis", timeout: "300 millis" } },
    from: "running",
    act: (world) =>
      during(
        world,
        Effect.gen(function*() {
          world.network.down = (frame, { kind }, pass) => kind === "pong" ? undefined : pass(frame)
          yield* Effect.sleep(4_000)
        })
      ),
    expect: { gaps: [], within: 1_000 }
  },
  {
    name: "pongs-lost-and-quiet",
    group: "connection",
    injects: "pings are not answered and no data comes",
    when: "for 2 s",
    holds: "the connection is given up with `Silent`",
    options: { heartbeat: { interval: "300 millis", timeout: "300 millis" } },
    from: "running",
    act: (world) =>
      during(
        world,
        Effect.gen(function*() {
          world.network.down = (frame, { kind }, pass) => kind === "pong" || kind === "data" ? undefined : pass(frame)
          yield* Effect.sleep(2_000)
        })
      ),
    expect: { gaps: ["Reconnected"], errors: ["Silent"], within: 6_000, exact: false }
  },
  {
    name: "ping-storm",
    group: "connection",
    injects: "five hundred pings of the server's at once, in every spelling",
    when: "while the session runs",
    holds: "answered where the protocol asks for it; data goes on",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const pings = ["{\"method\":\"PING\"}", "{\"channel\":\"spot.ping\"}", "{\"channel\":\"futures.ping\"}"]
        for (let i = 0; i < 500; i++) world.network.push(pings[i % pings.length]!)
        yield* Effect.sleep(500)
      }),
    expect: { gaps: [], within: 1_000 }
  },
  {
    name: "upgrade-notice",
    group: "connection",
    injects: "the exchange announces that it will close the connection, where it has such a notice",
    when: "while the session runs",
    holds: "moved to another connection before this one ends: nothing lost, nothing twice, no gap",
    from: "running",
    act: (world) => Effect.andThen(inject(world, "upgrade-notice"), Effect.sleep(2_000)),
    expect: { gaps: [], within: 1_500 }
  },
  {
    name: "rotation",
    group: "connection",
    injects: "the connection is replaced on schedule",
    when: "every 2 s (`rotateAfter`), for 9 s",
    holds: "nothing lost, nothing twice, no gap; in the end one connection",
    options: { rotateAfter: "2 seconds" },
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const before = world.network.dials
        yield* Effect.sleep(9_000)
        if (world.network.dials < before + 3) world.problem(`${world.network.dials - before} dials`)
      }),
    expect: { gaps: [], within: 1_000 }
  },
  {
    name: "rotation-without-a-dial",
    group: "connection",
    injects: "every dial is refused while a connection is to be replaced",
    when: "from the moment of the rotation, for 3 s",
    holds: "the old connection goes on until the new one is there; no gap",
    options: { rotateAfter: "2 seconds" },
    from: "running",
    act: (world) =>
      during(
        world,
        Effect.gen(function*() {
          const before = world.network.dials
          world.network.refuse = () => "connect ECONNREFUSED"
          yield* until(() => world.network.dials > before)
          yield* Effect.sleep(3_000)
        })
      ),
    expect: { gaps: [], errors: ["ConnectFailed"], within: 1_000 }
  },
  {
    name: "drop-within-a-rotation",
    group: "connection",
    injects: "all connections are lost while one replaces the other",
    when: "right behind the second dial",
    holds: "one break, and all is subscribed again",
    options: { rotateAfter: "2 seconds" },
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const before = world.network.dials
        yield* until(() => world.network.dials > before)
        yield* Effect.sleep(world.below(60))
        yield* drop(world)
        yield* Effect.sleep(500)
      }),
    expect: { gaps: ["Reconnected"], errors: ["Disconnected"], within: 2_500 }
  },
  {
    name: "one-of-two-lost",
    group: "connection",
    injects: "one of two connections with the same topics is lost, now the older, now the younger",
    when: "six times, every 400 to 900 ms",
    holds: "nothing lost, nothing twice, no gap: the other one goes on",
    connections: 2,
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        for (let i = 0; i < 6; i++) {
          yield* until(() => bothJoined(world))
          yield* inject(world, `drop,connection=${1 + i % 2}`)
          yield* Effect.sleep(400 + world.below(500))
        }
      }),
    expect: { gaps: [], errors: ["Disconnected"], within: 2_000 }
  },
  {
    name: "one-of-two-half-open",
    group: "connection",
    injects: "one of two connections with the same topics brings nothing any more and stays open",
    when: "while the session runs",
    holds: "no gap; it is found by the heartbeat and replaced",
    connections: 2,
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        yield* until(() => bothJoined(world))
        yield* inject(world, "half-open,connection=1")
        yield* Effect.sleep(4_000)
      }),
    expect: { gaps: [], errors: ["Silent"], within: 2_000 }
  },
  {
    name: "two-of-two-lost",
    group: "connection",
    injects: "both connections with the same topics are lost at once",
    when: "while the session runs",
    holds: dropped,
    connections: 2,
    from: "running",
    act: (world) => drop(world),
    expect: { gaps: ["Reconnected"], errors: ["Disconnected"], within: 2_500 }
  },
  {
    name: "age-limit",
    group: "connection",
    injects: "the exchange closes every connection (1000) at the same age",
    when: "three times, every 1.5 s",
    holds: dropped,
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        for (let i = 0; i < 3; i++) {
          yield* drop(world, 1000)
          yield* Effect.sleep(1_500)
        }
      }),
    expect: { gaps: ["Reconnected"], errors: ["Disconnected"], within: 1_500 }
  },
  {
    name: "everything-at-once",
    group: "connection",
    injects: "drops, refused dials, lost, doubled and reordered frames, failing and slow snapshots",
    when: "for 6 s",
    holds: "no book is ever wrong, and all is in step again afterwards",
    fetched: true,
    from: "running",
    act: (world: World) =>
      Effect.gen(function*() {
        world.observer.repeats = true
        world.observer.reorders = true
        const faults = ["gap:3%", "duplicate:3%", "reorder:2%", "corrupt:1%,mode=truncate", "http-error:503,share=30%"]
        for (const fault of [...faults, "slow-snapshot:100ms", "refuse:reset"]) {
          const isDial = fault.startsWith("refuse")
          yield* inject(world, isDial ? "refuse:reset@2s:500ms" : `${fault}@0s:6s`)
        }
        for (let i = 0; i < 3; i++) {
          yield* Effect.sleep(1_000 + world.below(1_500))
          yield* drop(world)
        }
        yield* until(() => world.simulator.counts().faults.every(({ active }) => !active), 10_000)
      }),
    expect: {
      gaps: ["Reconnected"],
      also: ["Sequence", "Unreadable", "Silent"],
      errors: ["Disconnected"],
      within: 6_000,
      exact: false
    }
  }
]
