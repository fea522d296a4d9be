/** Clocks that are set, and a process that does not run for a while. */
import { Effect } from "effect"
import type { Fault, World } from "../Fault.ts"
import { drop, inject } from "./Steps.ts"

/** The wall clock is set, and all goes on. */
const set = (millis: number) => (world: World) =>
  Effect.gen(function*() {
    world.clocks.wall += millis
    yield* Effect.sleep(3_000)
  })

/** Timers fire late and both clocks have moved on: a suspended machine, or a long synchronous stretch. */
const suspend = (millis: number) => (world: World) =>
  Effect.gen(function*() {
    world.clocks.wall += millis
    world.clocks.monotonic += millis
    yield* Effect.sleep(5_000)
  })

/** Loses the connections, twice, while snapshots fail. */
const drops = (world: World) =>
  Effect.gen(function*() {
    for (let i = 0; i < 2; i++) {
      yield* inject(world, "http-error:503@0s:300ms")
      yield* drop(world)
      yield* Effect.sleep(1_000)
    }
  })

const nothing = "no connection is given up and no topic is taken for silent"

export const time: ReadonlyArray<Fault> = [
  {
    name: "clock-set-forward",
    group: "time",
    injects: "the wall clock jumps an hour ahead",
    when: "while the session runs",
    holds: nothing,
    from: "running",
    act: set(3_600_000),
    expect: { gaps: [], within: 1_000 }
  },
  {
    name: "clock-set-back",
    group: "time",
    injects: "the wall clock jumps an hour back",
    when: "while the session runs",
    holds: nothing,
    from: "running",
    act: set(-3_600_000),
    expect: { gaps: [], within: 1_000 }
  },
  {
    name: "clock-set-back-and-drop",
    group: "time",
    injects: "the wall clock jumps an hour back",
    when: "in the midst of reconnects whose snapshots fail, twice",
    holds: "nothing waits for the hour to pass again: dials, requests and snapshots go on as ever",
    fetched: true,
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        world.clocks.wall -= 3_600_000
        yield* inject(world, "http-error:503@0s:300ms")
        yield* drop(world)
        yield* Effect.sleep(150)
        world.clocks.wall -= 3_600_000
        yield* Effect.sleep(1_000)
        yield* drops(world)
      }),
    expect: { gaps: ["Reconnected"], also: ["Sequence"], within: 2_500 }
  },
  {
    name: "timers-early",
    group: "time",
    injects: "every timer comes 1 ms before its time, as timers of Node may by the wall clock",
    when: "while connections are lost and snapshots fail, twice",
    holds: "what waits for its time is not forgotten because the time has not come yet",
    fetched: true,
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        world.clocks.early = 1
        yield* drops(world)
      }),
    expect: { gaps: ["Reconnected"], also: ["Sequence"], within: 2_500 }
  },
  {
    name: "clock-wobbles",
    group: "time",
    injects: "the wall clock is set by up to a second, back and forth",
    when: "every 100 ms for 3 s",
    holds: nothing,
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        for (let i = 0; i < 30; i++) {
          world.clocks.wall = world.below(2_000) - 1_000
          yield* Effect.sleep(100)
        }
      }),
    expect: { gaps: [], within: 1_000 }
  },
  {
    name: "process-suspended",
    group: "time",
    injects: "the process does not run for 10 s",
    when: "while the session runs",
    holds: "what could not be read meanwhile proves nothing about the exchange: one more ping before anybody judges",
    from: "running",
    act: suspend(10_000),
    expect: { gaps: [], also: ["Silent", "Reconnected"], within: 2_000 }
  },
  {
    name: "process-suspended-for-long",
    group: "time",
    injects: "the process does not run for an hour",
    when: "while the session runs",
    holds: "in step again at once, with or without a new connection",
    from: "running",
    act: suspend(3_600_000),
    expect: { gaps: [], also: ["Silent", "Reconnected"], within: 3_000 }
  }
]
