/** Frames that are lost, changed, doubled, or make no sense. */
import { Effect, Stream } from "effect"
import type { LiveBook } from "../../../src/composite/OrderBooks.ts"
import * as OrderBooks from "../../../src/composite/OrderBooks.ts"
import { PublicWebsocket } from "../../../src/PublicWebsocket.ts"
import type { Fault, World } from "../Fault.ts"
import type { About, Frame } from "../Network.ts"
import * as Frames from "../Network.ts"
import { caught, drop, during, firstDigitsLost, inject, restarted, startVersion, until } from "./Steps.ts"

/** A fault of the simulator's for so long. */
const lasting = (fault: string, millis: number) => (world: World) =>
  Effect.andThen(inject(world, `${fault}@0s:${millis}ms`), Effect.sleep(millis))

/** Every n-th frame of data goes through `change`; null: it is lost. */
const every = (
  n: number,
  change: (frame: Frame) => Frame | null,
  millis: number,
  isIt: (about: About) => boolean = ({ kind }) => kind === "data"
) =>
(world: World) =>
  during(
    world,
    Effect.gen(function*() {
      let count = 0
      world.network.down = (frame, about, pass) => {
        const other = isIt(about) && ++count % n === 0 ? change(frame) : frame
        if (other !== null) pass(other)
      }
      yield* Effect.sleep(millis)
    })
  )

const isBookOf = (world: World, pair: World["btc"]) => ({ channel, symbol }: About): boolean =>
  channel === "Book" && symbol === world.subject.adapter.symbol(pair)

/** A delta whose first bid stands far above the asks; null when it has none to change. */
const crossing = (frame: Frame, { events }: About): Frame | null => {
  const [update] = events
  if (update?._tag !== "BookUpdate" || update.kind !== "delta") return null
  const at = update.bids.findIndex((value, index) => index % 2 === 0 && update.bids[index + 1]! > 0 && value >= 10_000)
  if (at < 0) return null
  const price = String(Math.floor(update.bids[at]!))
  return Frames.replaced(frame, price, `9${price.slice(1)}`)
}

export const data: ReadonlyArray<Fault> = [
  {
    name: "book-updates-lost",
    group: "data",
    injects: "three book updates do not arrive",
    when: "while the session runs",
    holds: "each hole is a gap that names the missing versions; the book begins again from a snapshot",
    from: "running",
    act: lasting("gap:3", 1_500),
    expect: { gaps: ["Sequence"], within: 3_000 }
  },
  {
    name: "book-updates-lost-all-the-time",
    group: "data",
    injects: "every twentieth book update does not arrive",
    when: "for 5 s, snapshots included",
    holds: "no book is shown that is not the exchange's, however often it begins again",
    from: "running",
    act: lasting("gap:5%", 5_000),
    expect: { gaps: [], also: ["Sequence"], within: 3_000 }
  },
  {
    name: "quotes-lost",
    group: "data",
    injects: "half of the quotes do not arrive",
    when: "for 2 s",
    holds: "nothing can show it and nothing needs to: the newest quote counts",
    from: "running",
    act: every(2, () => null, 2_000, ({ channel }) => channel === "BookTicker"),
    expect: { gaps: [], within: 1_000, exact: false }
  },
  {
    name: "frames-twice",
    group: "data",
    injects: "a fifth of the frames come twice",
    when: "for 3 s",
    holds: "books count the copies as stale and do not break",
    from: "running",
    act: (world) =>
      Effect.suspend(() => {
        world.observer.repeats = true
        return lasting("duplicate:20%", 3_000)(world)
      }),
    expect: { gaps: [], counted: ["stale"], within: 1_000 }
  },
  {
    name: "frames-reordered",
    group: "data",
    injects: "frames change places with the next of their topic",
    when: "one of ten, for 3 s",
    holds: "a book that meets it begins again; it is never shown wrong",
    from: "running",
    act: (world) =>
      Effect.suspend(() => {
        world.observer.reorders = true
        return lasting("reorder:10%", 3_000)(world)
      }),
    expect: { gaps: ["Sequence"], within: 3_000 }
  },
  {
    name: "frames-cut",
    group: "data",
    injects: "frames end behind their middle",
    when: "one of ten, for 3 s",
    holds: "counted; books find the hole, trades are told that something could not be read",
    from: "running",
    act: lasting("corrupt:10%,mode=truncate", 3_000),
    expect: { gaps: ["Unreadable"], also: ["Sequence"], counted: ["decodeFailures"], within: 6_000, exact: false }
  },
  {
    name: "frames-garbled",
    group: "data",
    injects: "the second half of frames is neither text nor number",
    when: "one of ten, for 3 s",
    holds: "as for frames that are cut; nothing of a damaged frame is delivered",
    from: "running",
    act: every(10, Frames.garbled, 3_000),
    expect: { gaps: ["Unreadable"], also: ["Sequence"], counted: ["decodeFailures"], within: 6_000, exact: false }
  },
  {
    name: "field-unknown",
    group: "data",
    injects: "every frame has a field that nobody knows",
    when: "for 2 s",
    holds: "nothing is lost and nothing breaks",
    from: "running",
    act: every(1, Frames.extended, 2_000),
    expect: { gaps: [], within: 1_000 }
  },
  {
    name: "channel-unknown",
    group: "data",
    injects: "frames of a channel that does not exist",
    when: "twenty, while the session runs",
    holds: "ignored and counted",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const quote = yield* caught(world, ({ channel }) => channel === "BookTicker")
        for (let i = 0; i < 20; i++) world.network.push(Frames.replaced(quote, "icker", "ickes"))
        yield* Effect.sleep(100)
      }),
    expect: { gaps: [], counted: ["ignored"], within: 1_000 }
  },
  {
    name: "pair-of-nobody",
    group: "data",
    injects: "data of a pair that nobody asked for",
    when: "twenty frames, while the session runs",
    holds: "not delivered to anybody, counted as unrouted or ignored",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const quote = yield* caught(world, ({ channel, symbol }) =>
          channel === "BookTicker" && symbol === world.subject.adapter.symbol(world.eth))
        const other = Frames.replaced(quote, "ETH", "ZZZ")
        for (let i = 0; i < 20; i++) {
          world.network.push(other)
        }
        yield* Effect.sleep(100)
        if (
          [...world.observer.seen.keys()].some((topic) =>
            topic.includes("ZZZ")
          )
        ) world.problem("it was delivered")
      }),
    expect: { gaps: [], within: 1_000 }
  },
  {
    name: "frame-too-large",
    group: "data",
    injects: "a frame beyond `maxFrameBytes`",
    when: "while the session runs",
    holds: "the connection ends with `FrameTooLarge`, and the next one goes on",
    options: { socket: { maxFrameBytes: 65_536 } },
    from: "running",
    act: (world) => Effect.andThen(Effect.sync(() => world.network.push(new Uint8Array(100_000))), Effect.sleep(100)),
    expect: { gaps: ["Reconnected"], errors: ["FrameTooLarge"], within: 1_500, exact: false }
  },
  {
    name: "frames-empty",
    group: "data",
    injects: "frames without a byte",
    when: "twenty, while the session runs",
    holds: "counted; nothing breaks but what cannot check for itself is told",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        for (let i = 0; i < 20; i++) world.network.push(i % 2 === 0 ? "" : new Uint8Array(0))
        yield* Effect.sleep(100)
      }),
    expect: { gaps: [], also: ["Unreadable"], within: 1_000 }
  },
  {
    name: "page-in-place-of-data",
    group: "data",
    injects: "an error page of a proxy, and garbage nested thousands deep",
    when: "while the session runs",
    holds: "counted; nothing breaks but what cannot check for itself is told",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const nested = `{"channel":${"[".repeat(5_000)}${"]".repeat(5_000)}}`
        for (const words of ["<html><body>502 Bad Gateway</body></html>", nested, `{"a":${"9".repeat(5_000)}`]) {
          world.network.push(words)
          yield* Effect.sleep(50)
        }
      }),
    expect: { gaps: [], also: ["Unreadable"], within: 1_000 }
  },
  {
    name: "old-update-again-and-again",
    group: "data",
    injects: "one old book update comes fifty times",
    when: "while the session runs",
    holds: "stale, counted, and the book goes on",
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const isDelta = ({ events }: About) => events[0]?._tag === "BookUpdate" && events[0].kind === "delta"
        const update = yield* caught(world, isDelta)
        yield* Effect.sleep(500)
        for (let i = 0; i < 50; i++) world.network.push(update)
        yield* Effect.sleep(100)
      }),
    expect: { gaps: [], counted: ["stale"], within: 1_000, exact: false }
  },
  {
    name: "burst-behind-a-stall",
    group: "data",
    injects: "all frames are held up for a second and come at once",
    when: "while the session runs",
    holds: "nothing is lost; the order stays",
    from: "running",
    act: (world) => Effect.andThen(inject(world, "delay:1s@0s:1s"), Effect.sleep(2_100)),
    expect: { gaps: [], within: 1_000 }
  },
  {
    name: "versions-start-again",
    group: "data",
    injects: "the exchange's book counters jump back, without a new connection",
    when: "while the session runs",
    holds:
      "an unending run of stale updates is taken for a hole: the book begins again instead of looking alive and dead",
    simulator: { version: startVersion, rate: 100 },
    from: "running",
    act: (world) =>
      Effect.gen(function*() {
        const { network, observer } = world
        const change = restarted(world)
        network.down = (frame, _, pass) => pass(change(frame))
        network.http = (_, ask) =>
          Effect.map(ask, (response) => ({ ...response, body: change(response.body) as string }))
        // Until the book has begun again nothing of it is delivered; quotes go back without a word.
        observer.forgets = true
        yield* until(() => (observer.gaps.get("Sequence") ?? 0) >= 2, 60_000)
        observer.shift = firstDigitsLost
        observer.forgets = false
      }),
    expect: { gaps: ["Sequence"], within: 5_000 }
  },
  {
    name: "book-crossed",
    group: "data",
    injects: "an update with a bid far above the asks, in order and well formed",
    when: "while `OrderBooks` follows the pair",
    holds: "`OrderBooks` shows no price of it: the book is `Stale`, is subscribed anew, and is the exchange's again",
    applies: ({ adapter }) => adapter.kind === "spot",
    from: "running",
    act: (world) =>
      during(
        world,
        Effect.gen(function*() {
          const { network, observer } = world
          const request = world.channels.find((choice) => typeof choice === "object" && choice._tag === "Book")
          const books = yield* Effect.provideService(
            OrderBooks.make([], typeof request === "object" ? request : undefined),
            PublicWebsocket,
            world.websocket
          )
          yield* books.track(world.btc)
          const isSynced = () => books.get(world.btc)?._tag === "Synced"
          yield* until(isSynced)
          observer.judges = false
          let crossed = false
          network.down = (frame, about, pass) => {
            const other = crossed || !isBookOf(world, world.btc)(about) ? null : crossing(frame, about)
            crossed ||= other !== null
            pass(other ?? frame)
          }
          const seen: Array<LiveBook> = []
          const watching = yield* Effect.forkChild(
            Stream.runForEach(books.changes(world.btc), (book) => Effect.sync(() => void seen.push(book)))
          )
          yield* until(() => crossed)
          yield* until(() => seen.some((book) => book._tag === "Stale") && isSynced())
          watching.interruptUnsafe()
          if (!seen.some((book) => book._tag === "Stale" && book.cause === "Crossed")) {
            world.problem(`the book was ${seen.map((book) => book._tag === "Stale" ? book.cause : book._tag).join()}`)
          }
          yield* books.untrack(world.btc)
          // The session's own reader has the damaged level too, and nothing that shows it: it begins anew.
          yield* drop(world)
          yield* until(() => observer.gaps.has("Reconnected"))
          observer.judges = true
        }).pipe(Effect.scoped)
      ),
    shares: true,
    expect: { gaps: ["Reconnected"], also: ["Sequence"], within: 5_000, exact: false }
  }
]
