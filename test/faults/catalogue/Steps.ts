/** What several faults do. */
import { Effect } from "effect"
import type { World } from "../Fault.ts"
import type { Frame } from "../Network.ts"
import * as Frames from "../Network.ts"

export const inject = ({ simulator }: World, fault: string): Effect.Effect<void> =>
  Effect.asVoid(Effect.orDie(simulator.inject(fault)))

/** Loses every connection, without a close frame unless a code is given. */
export const drop = (world: World, code?: number): Effect.Effect<void> =>
  inject(world, code === undefined ? "drop" : `drop:${code}`)

/** Until the condition holds, at most so long, ms. */
export const until = (condition: () => boolean, most = 30_000): Effect.Effect<void> =>
  Effect.gen(function*() {
    for (let waited = 0; !condition() && waited < most; waited += 10) yield* Effect.sleep(10)
  })

/** Runs while the body does, and puts the network right afterwards. */
export const during = (world: World, body: Effect.Effect<void, unknown>): Effect.Effect<void, unknown> =>
  Effect.ensuring(
    body,
    Effect.sync(() => {
      const { network } = world
      network.down = null
      network.up = null
      network.http = null
      network.refuse = null
      world.dial = null
    })
  )

/** A frame of the server that the condition picks, as it came; waits for it. */
export const caught = (
  world: World,
  isIt: (about: ReturnType<World["network"]["about"]>) => boolean
): Effect.Effect<Frame> =>
  Effect.gen(function*() {
    const { network } = world
    const found: Array<Frame> = []
    network.down = (frame, about, pass) => {
      if (isIt(about)) found.push(frame)
      pass(frame)
    }
    yield* until(() => found.length > 0)
    network.down = null
    return found[0]!
  })

/** Sockets of the exchange that are open. */
export const sockets = ({ simulator, subject }: World): number =>
  simulator.counts().exchanges[subject.adapter.id]!.connections.open

const versionText = ({ btc, simulator, subject }: World): string =>
  String(simulator.book(subject.adapter.id, btc, 1)!.version)

/** Every book begins here, so that a version can be made smaller without changing its length. */
export const startVersion = 800_000_000_000
export const firstDigitsLost = 700_000_000_000

/** From 8… to 1…, wherever a version stands. */
export const restarted = (world: World) => {
  const prefix = versionText(world).slice(0, 6)
  return (text: Frame): Frame => Frames.replaced(text, prefix, `1${prefix.slice(1)}`)
}
