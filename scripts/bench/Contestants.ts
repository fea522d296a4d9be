/** Who takes part. */
import type { Contestant } from "./Protocol.ts"
import type { Case } from "./Scenario.ts"

export interface Entry {
  readonly title: string
  /** Its module in `clients`. */
  readonly module: string
  /** Of a case's frames: what reads slowly need not read as much. */
  readonly share: number
  /** Hands over less than it reads, which is its own affair: the share is told. */
  readonly isLossy?: boolean
}

export const entries: Readonly<Record<Contestant, Entry>> = {
  limit: { title: "LIMIT: raw ws, bytes counted", module: "Limit", share: 1 },
  floor: { title: "FLOOR: frame cutter + codec", module: "Floor", share: 1 },
  wsFloor: { title: "FLOOR of ws: raw ws + codec", module: "Floor", share: 1 },
  plain: { title: "PLAIN: raw ws + JSON.parse / protobufjs", module: "Plain", share: 0.15 },
  effectSocket: { title: "stock Effect socket on ws", module: "EffectSocket", share: 0.15 },
  effectSocketNode: { title: "stock Effect socket on Node's WebSocket", module: "EffectSocket", share: 0.15 },
  gateioApi: { title: "gateio-api", module: "GateioApi", share: 0.12 },
  ccxt: { title: "ccxt pro", module: "Ccxt", share: 0.04, isLossy: true },
  handler: { title: "handler: PublicWebsocket.handle", module: "Product", share: 1 },
  stream: { title: "stream: events, runForEachArray", module: "Product", share: 1 },
  streams4: { title: "four streams: events, runForEachArray", module: "Product", share: 1 },
  bookFloor: { title: "BOOK FLOOR: frame cutter + codec + OrderBook", module: "BookFloor", share: 1 },
  wsBookFloor: { title: "BOOK FLOOR of ws: raw ws + codec + OrderBook", module: "BookFloor", share: 1 },
  books: { title: "books: OrderBooks", module: "Product", share: 1 },
  followers: { title: "followers: handle + BookFollower", module: "Product", share: 1 },
  exchange: { title: "exchange: PublicExchange.onBook", module: "Product", share: 1 },
  before: { title: "handler of the revision before", module: "Product", share: 1 }
}

/** Without what does not know the exchange. */
const known = (of: Case, contestants: ReadonlyArray<Contestant>): ReadonlyArray<Contestant> =>
  contestants.filter((contestant) => contestant !== "gateioApi" || of.exchange !== "mexc-spot")

/** In the order of a round. */
export const floodContestants = (of: Case): ReadonlyArray<Contestant> => {
  const ours: ReadonlyArray<Contestant> = of.isBook
    ? ["handler", "stream", "streams4", "bookFloor", "wsBookFloor", "books", "followers", "exchange"]
    : ["handler", "stream", "streams4"]
  return known(of, [
    "limit",
    "floor",
    "wsFloor",
    "plain",
    "effectSocket",
    "effectSocketNode",
    "gateioApi",
    ...rivals(of),
    ...ours
  ])
}

/** What ccxt has a call for that works. Its books of Gate spot are those of `spot.obu`. */
const ccxtCases = new Set([
  "mexc-ticker",
  "gate-ticker",
  "futures-ticker",
  "mexc-depth",
  "gate-obu",
  "futures-update"
])

const rivals = ({ id }: Case): ReadonlyArray<Contestant> => ccxtCases.has(id) ? ["ccxt"] : []

export const pacedContestants = (of: Case): ReadonlyArray<Contestant> =>
  known(of, ["floor", "wsFloor", "gateioApi", "ccxt", "handler", "stream"])
