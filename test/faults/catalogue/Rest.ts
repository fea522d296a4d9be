/** REST snapshots that fail, are late, old or damaged: for books that are joined to them. */
import { Effect } from "effect"
import type { Expected, Fault, World } from "../Fault.ts"
import { drop, during, inject, until } from "./Steps.ts"

/** All books need a snapshot while this goes on. */
const failing = (fault: string, millis: number) => (world: World) =>
  Effect.gen(function*() {
    yield* inject(world, `${fault}@0s:${millis}ms`)
    yield* drop(world)
    yield* Effect.sleep(millis)
  })

type Http = NonNullable<World["network"]["http"]>

const answering = (http: (world: World) => Http, millis: number) => (world: World) =>
  during(
    world,
    Effect.gen(function*() {
      world.network.http = http(world)
      yield* drop(world)
      yield* Effect.sleep(millis)
    })
  )

const changed = (change: (body: string) => string, status?: number): Http => (_, ask) =>
  Effect.map(ask, (response) => ({ ...response, body: change(response.body), status: status ?? response.status }))

/** All faults here meet books that are fetched, behind a drop. */
const fault = (
  name: string,
  injects: string,
  holds: string,
  act: Fault["act"],
  expect: Partial<Expected> = {},
  more: Partial<Fault> = {}
): Fault => ({
  name,
  group: "rest",
  injects,
  when: "all books fetch their snapshots behind a drop",
  holds,
  fetched: true,
  from: "running",
  act,
  expect: { gaps: ["Reconnected"], also: ["Sequence"], errors: ["RequestFailed"], within: 5_000, ...expect },
  ...more
})

const later = "asked again with growing waits; quotes and trades go on; books are in step when it is over"

export const rest: ReadonlyArray<Fault> = [
  fault(
    "snapshots-429",
    "HTTP 429 with `Retry-After: 1`",
    `${later}; not before the exchange allows it`,
    failing("http-error:429", 2_000)
  ),
  fault(
    "snapshots-429-for-long",
    "HTTP 429 with `Retry-After: 3`, once",
    "nothing is asked for 3 s, then all is in step",
    (world) =>
      Effect.gen(function*() {
        let asked = 0
        let early = 0
        let blockedUntil = 0
        yield* inject(world, "http-error:429,retry-after=3s,count=1")
        world.network.http = (_, ask) => {
          if (world.now() < blockedUntil) early++
          return Effect.tap(ask, ({ status }) =>
            Effect.sync(() => {
              asked++
              if (status === 429) blockedUntil = world.now() + 3_000
            }))
        }
        yield* drop(world)
        yield* Effect.sleep(3_500)
        world.network.http = null
        if (asked === 0) world.problem("nothing was asked")
        // One more may have been under way.
        if (early > 1) world.problem(`${early} requests came before the exchange allowed them`)
      })
  ),
  fault("snapshots-403-page", "HTTP 403 with a page of the firewall's", later, failing("http-error:403", 2_000), {
    within: 130_000
  }),
  fault("snapshots-500", "HTTP 500", later, failing("http-error:500", 2_000)),
  fault(
    "snapshots-502-in-part",
    "half of the requests fail with HTTP 502",
    later,
    failing("http-error:502,share=50%", 2_500),
    { errors: [] }
  ),
  fault(
    "snapshots-slow",
    "answers take 1.5 s, as of when they were asked",
    "joined all the same: the updates of meanwhile were kept",
    failing("slow-snapshot:1500ms", 2_000),
    { errors: [] }
  ),
  fault(
    "snapshots-never-answered",
    "the first requests are never answered, with `requestTimeout` at 1 s",
    later,
    answering(() => {
      let asked = 0
      return (_, ask) => ++asked <= 3 ? Effect.never : ask
    }, 2_500),
    {},
    { options: { requestTimeout: "1 seconds" } }
  ),
  fault(
    "snapshots-cut",
    "bodies end in their middle",
    later,
    answering(() => changed((body) => body.slice(0, body.length / 2)), 2_000),
    { errors: ["DecodeFailed"] }
  ),
  fault(
    "snapshots-of-no-shape",
    "bodies are JSON of another shape",
    later,
    answering(() => changed(() => "{\"data\":[]}"), 2_000),
    { errors: ["DecodeFailed"] }
  ),
  fault(
    "page-in-place-of-a-snapshot",
    "HTTP 200 with an HTML page",
    later,
    answering(() => changed(() => "<html>busy</html>"), 2_000),
    { errors: ["DecodeFailed"] }
  ),
  fault(
    "snapshots-stale",
    "books are 2 s old",
    "too old to be joined, so asked again; never shown",
    failing("stale-snapshot:2s", 3_000),
    { errors: [] }
  ),
  fault(
    "snapshots-refused",
    "connections for requests are refused",
    later,
    answering(() => () => Effect.fail({ refused: "connect ECONNREFUSED" }), 2_000)
  ),
  fault(
    "one-snapshot-failing",
    "the requests of one pair fail, those of the other do not",
    "the other pair's book is in step at once",
    (world) =>
      during(
        world,
        Effect.gen(function*() {
          const { network, observer, subject } = world
          const bad = subject.adapter.symbol(world.btc)!
          const good = `Book ${subject.adapter.symbol(world.eth)!}`
          network.http = (request, ask) =>
            request.url.includes(bad)
              ? Effect.succeed({ status: 500, headers: {}, body: "{\"message\":\"internal\"}" })
              : ask
          yield* drop(world)
          yield* Effect.sleep(50)
          yield* until(() => observer.seen.has(good), 2_000)
          if (!observer.seen.has(good)) world.problem("the other pair's book waits too")
          yield* Effect.sleep(1_500)
        })
      )
  )
]
