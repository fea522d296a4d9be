/**
 * A channel that an exchange has retired, asked for by its own words: it is refused or stays silent. Should it be served
 * again, that is news. Sources: Gate WebSocket v4, spot, `spot.trades_v2` (discontinued); MEXC Spot V3,
 * `public.deals.v3.api`, which `public.aggre.deals.v3.api` has replaced. Of Gate futures no such channel is known.
 */
import { Clock, Duration, Effect, Result } from "effect"
import { FrameSocket } from "../../connection/FrameSocket.ts"
import type { ExchangeAdapter } from "../../ExchangeAdapter.ts"
import { FrameReader } from "./FrameReader.ts"
import type { SeenFrame } from "./FrameReader.ts"

/** What came of it; `detail` is the exchange's word. */
export interface Retired {
  readonly channel: string
  readonly outcome: "refused" | "silent" | "served" | "ended"
  readonly detail: string
}

interface Ask {
  readonly channel: string
  /** `now`: ms. */
  readonly frame: (now: number) => string
}

const asks: Readonly<Record<string, Ask>> = {
  "gate-spot": {
    channel: "spot.trades_v2",
    frame: (now) =>
      JSON.stringify({
        time: Math.floor(now / 1_000),
        id: 1,
        channel: "spot.trades_v2",
        event: "subscribe",
        payload: ["BTC_USDT"]
      })
  },
  "mexc-spot": {
    channel: "spot@public.deals.v3.api.pb",
    frame: () => JSON.stringify({ method: "SUBSCRIPTION", params: ["spot@public.deals.v3.api.pb@BTCUSDT"], id: 1 })
  }
}

/** Nothing within this is silence. */
const silence = Duration.seconds(3)

type Outcome = Omit<Retired, "channel">

const outcomeOf = ({ acknowledged, events, ignored, rejected }: SeenFrame): Outcome | null => {
  const [first] = rejected
  if (first !== undefined) return { outcome: "refused", detail: `${first.refusal.code} ${first.refusal.detail}`.trim() }
  if (acknowledged.length > 0) return { outcome: "served", detail: "the subscription was accepted" }
  return events.length + ignored.length > 0 ? { outcome: "served", detail: ignored[0] ?? "data came" } : null
}

const listen = Effect.fnUntraced(function*(
  adapter: ExchangeAdapter,
  url: string,
  { frame }: Ask
) {
  const clock = yield* Clock.Clock
  const socket = yield* FrameSocket
  const connection = yield* socket.open(adapter.id, adapter.endpoint(url))
  yield* connection.write(frame(clock.currentTimeMillisUnsafe()))
  const reader = new FrameReader(adapter, () => undefined)
  const read = Effect.map(
    connection.pull,
    ({ frames, receivedAt }) =>
      frames.map((bytes) => outcomeOf(reader.read(bytes, receivedAt))).find((outcome) => outcome !== null) ?? null
  )
  return yield* Effect.repeat(read, { until: (outcome: Outcome | null) => outcome !== null }).pipe(
    Effect.timeoutOrElse({ duration: silence, orElse: () => Effect.succeed(null) })
  )
}, Effect.scoped)

/** Null: no retired channel of this exchange is known. Never fails. */
export const ask = (adapter: ExchangeAdapter, url: string): Effect.Effect<Retired | null, never, FrameSocket> => {
  const asked = asks[adapter.id]
  if (asked === undefined) return Effect.succeed(null)
  const silent: Outcome = { outcome: "silent", detail: `nothing came within ${Duration.toMillis(silence)} ms` }
  return Effect.map(Effect.result(listen(adapter, url, asked)), (result): Retired => ({
    channel: asked.channel,
    ...Result.isFailure(result) ? { outcome: "ended", detail: result.failure.message } : result.success ?? silent
  }))
}
