/** Dials that fail, or take long. */
import { Effect } from "effect"
import type { Dial } from "../../../src/connection/Connection.ts"
import * as ExchangeError from "../../../src/ExchangeError.ts"
import type { Fault, World } from "../Fault.ts"
import { drop, during, inject, until } from "./Steps.ts"

const after = "no socket opens for a while; then all is subscribed, with one break where there was a connection before"

/** Every dial is refused with these words until the time is over. */
const refusing = (words: string, millis: number) => (world: World) =>
  during(
    world,
    Effect.gen(function*() {
      world.network.refuse = () => words
      yield* drop(world)
      yield* Effect.sleep(millis)
    })
  )

const failing = (world: World, detail: string, retryable: boolean) => (_: Dial): Dial =>
  Effect.fail(
    ExchangeError.make(
      world.subject.adapter.id,
      new ExchangeError.ConnectFailed({ url: "wss://exchange.example", detail, retryable })
    )
  )

/** Dials go through this for so long, after the connection is lost. */
const dialling = (through: (world: World) => (dial: Dial) => Dial, millis: number) => (world: World) =>
  during(
    world,
    Effect.gen(function*() {
      world.dial = through(world)
      yield* drop(world)
      yield* Effect.sleep(millis)
    })
  )

export const connect: ReadonlyArray<Fault> = [
  {
    name: "connection-refused",
    group: "connect",
    injects: "nobody listens: every dial is refused",
    when: "for 3 s behind a drop",
    holds: after,
    from: "running",
    act: refusing("connect ECONNREFUSED 127.0.0.1:443", 3_000),
    expect: { gaps: ["Reconnected"], errors: ["ConnectFailed", "Disconnected"], within: 1_500 }
  },
  {
    name: "connection-reset-at-start",
    group: "connect",
    injects: "every dial is reset",
    when: "from the first dial on, for 2 s",
    holds: "the session opens afterwards without a gap: nothing was there to lose",
    from: "start",
    act: (world) => Effect.andThen(inject(world, "refuse:reset@0s:2s"), Effect.sleep(2_000)),
    expect: { gaps: [], errors: ["ConnectFailed"], within: 2_500 }
  },
  {
    name: "name-not-found",
    group: "connect",
    injects: "the name does not resolve",
    when: "for 2 s behind a drop",
    holds: after,
    from: "running",
    act: refusing("getaddrinfo ENOTFOUND exchange.example", 2_000),
    expect: { gaps: ["Reconnected"], errors: ["ConnectFailed"], within: 1_500 }
  },
  {
    name: "certificate-refused",
    group: "connect",
    injects: "the TLS handshake fails",
    when: "for 2 s behind a drop",
    holds: after,
    from: "running",
    act: refusing("certificate has expired", 2_000),
    expect: { gaps: ["Reconnected"], errors: ["ConnectFailed"], within: 1_500 }
  },
  {
    name: "handshake-times-out",
    group: "connect",
    injects: "dials get no answer within the handshake's 5 s",
    when: "the first dial behind a drop",
    holds: after,
    from: "running",
    act: (world) =>
      during(
        world,
        Effect.gen(function*() {
          let dials = 0
          world.dial = (dial) =>
            ++dials > 1
              ? dial
              : Effect.andThen(Effect.sleep(5_000), failing(world, "no handshake within 5 s", true)(dial))
          yield* drop(world)
          yield* until(() => dials > 1, 15_000)
        })
      ),
    expect: { gaps: ["Reconnected"], errors: ["ConnectFailed"], within: 1_500 }
  },
  {
    name: "handshake-slow",
    group: "connect",
    injects: "every dial takes 2 s",
    when: "behind a drop",
    holds: "the connection opens late, and nothing is dialled beside it",
    from: "running",
    act: (world) =>
      during(
        world,
        Effect.gen(function*() {
          const before = world.network.dials
          world.dial = (dial) => Effect.delay(dial, 2_000)
          yield* drop(world)
          yield* Effect.sleep(2_500)
          if (world.network.dials !== before + 1) world.problem(`${world.network.dials - before} dials`)
        })
      ),
    expect: { gaps: ["Reconnected"], within: 1_500 }
  },
  {
    name: "upgrade-503",
    group: "connect",
    injects: "the upgrade is answered with HTTP 503",
    when: "for 3 s behind a drop",
    holds: after,
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        yield* inject(world, "refuse:503@0s:3s")
        yield* drop(world)
        yield* Effect.sleep(3_000)
      }),
    expect: { gaps: ["Reconnected"], errors: ["ConnectFailed"], within: 1_500 }
  },
  {
    name: "upgrade-429",
    group: "connect",
    injects: "the upgrade is answered with HTTP 429: too many connections",
    when: "for 3 s behind a drop",
    holds: `${after}; dials get rarer`,
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const before = world.network.dials
        yield* inject(world, "refuse:429@0s:3s")
        yield* drop(world)
        yield* Effect.sleep(3_000)
        // 50, 100, 200, 400, 800 ms, 1 s, 1 s, each at least half of it.
        if (world.network.dials - before > 9) world.problem(`${world.network.dials - before} dials in 3 s`)
      }),
    expect: { gaps: ["Reconnected"], errors: ["ConnectFailed"], within: 1_500 }
  },
  {
    name: "upgrade-forbidden",
    group: "connect",
    injects: "the upgrade is refused for good (HTTP 403 with a body of the exchange's)",
    when: "the dial behind a drop",
    holds: "the typed error ends what was on the connection; who asks again gets a connection of its own",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        yield* dialling((one) => failing(one, "HTTP 403: the key is not allowed", false), 500)(world)
        yield* world.websocket.subscribe([world.btc, world.eth])
      }),
    expect: { gaps: ["Reconnected", "Rejected"], errors: ["ConnectFailed"], within: 1_500 }
  },
  {
    name: "outage-of-a-minute",
    group: "connect",
    injects: "every dial is refused",
    when: "for 70 s behind a drop",
    holds: `${after}; beyond a minute waits grow past 1 s, and it still comes back by itself`,
    from: "running",
    act: refusing("connect ETIMEDOUT", 70_000),
    expect: { gaps: ["Reconnected"], errors: ["ConnectFailed"], within: 17_000 }
  },
  {
    name: "some-dials-refused",
    group: "connect",
    injects: "two of three dials are refused",
    when: "behind each of three drops",
    holds: "each time all is subscribed again",
    from: "running",
    act: (world) =>
      during(
        world,
        Effect.gen(function*() {
          world.network.refuse = (dial) => dial % 3 === 0 ? null : "connect ECONNRESET"
          for (let i = 0; i < 3; i++) {
            yield* drop(world)
            yield* Effect.sleep(1_500)
          }
        })
      ),
    expect: { gaps: ["Reconnected"], errors: ["ConnectFailed"], within: 2_500 }
  }
]
