/** Which of a candle's two volumes a client calls its volume. */
import { Effect, Stream } from "effect"
import * as Channel from "../../src/domain/Channel.ts"
import type { Kline } from "../../src/domain/Market.ts"
import { dialects } from "../../src/SimulatedExchanges.ts"
import * as Simulator from "../../src/simulator/Simulator.ts"
import * as Judges from "../../test/judges/Judges.ts"
import * as Ours from "./Ours.ts"
import type { Row, Settings } from "./Row.ts"
import { judged } from "./Row.ts"

const id = "gate-spot"
const pair = "BTC/USDT"
const minute = 60_000

/** A candle of one minute as both clients have it once it is whole. */
export const volume = ({ seed }: Settings): Effect.Effect<Row, unknown> =>
  Effect.gen(function*() {
    const options = { dialects, pairs: [pair], seed, limits: "off", autoRun: false } as const
    const simulator = yield* Simulator.make(options)
    const exchange = yield* Judges.ccxtGate(simulator.urls[id]!)
    yield* Judges.follow(() => exchange.watchOHLCV(pair, "1m"), () => {})
    const websocket = yield* Ours.websocket(id, simulator.urls[id]!)
    const feed = yield* websocket.feed(Channel.kline(pair))
    const own = new Map<number, Kline>()
    yield* Effect.forkScoped(
      Stream.runForEach(feed, (item) =>
        Effect.sync(() => void (item._tag === "Data" && own.set(item.value.openTime, item.value))))
    )
    const theirs = (): ReadonlyArray<ReadonlyArray<number>> =>
      exchange.ohlcvs[pair]?.["1m"] ?? []
    yield* Judges.passUntil(simulator, () => Judges.wholeCandle(theirs()) !== undefined, { ticks: 100 })
    const [openTime, , , , , read] = Judges.wholeCandle(theirs())!
    const truth = simulator.kline(id, pair, minute, "last", openTime)!
    yield* Judges.settled(() => own.get(openTime!)?.closed === true)
    const { baseVolume, quoteVolume } = own.get(openTime!)!
    const row: Row = {
      id: "gate-candle-volume",
      title: "Gate: the volume of a spot candle",
      done: `a candle of a minute in which ${truth.baseVolume} BTC were traded for ${truth.quoteVolume} USDT`,
      ccxt: judged(read === Number(truth.baseVolume), `volume ${read}; its candles over REST have the volume in base`),
      gateioApi: null,
      ours: judged(
        baseVolume === Number(truth.baseVolume) && quoteVolume === Number(truth.quoteVolume),
        `baseVolume ${baseVolume}, quoteVolume ${quoteVolume}`
      ),
      target: "each under its name",
      kind: "outcome"
    }
    return row
  }).pipe(Effect.scoped)
