/**
 * Gate spot. The table of contents of this folder: requests (`GateRequests`), frames (`GateDecode` over `GateWire`),
 * REST (`GateRest`), refusals (`GateErrors`). What is covered and what is unconfirmed: `docs/gate.md`.
 */
import * as Sequence from "../../domain/Sequence.ts"
import type { BookRecipe } from "../../ExchangeAdapter.ts"
import * as ExchangeAdapter from "../../ExchangeAdapter.ts"
import * as GateDecode from "./GateDecode.ts"
import * as GateErrors from "./GateErrors.ts"
import * as GateRequests from "./GateRequests.ts"
import * as GateRest from "./GateRest.ts"

/** "Order Book V2": a delta must have U = last + 1, else subscribe again. A pushed snapshot replaces the book any time. */
const followsExactly: BookRecipe["follows"] = (lastVersion, update) => {
  if (Sequence.equals(update.firstVersion, Sequence.next(lastVersion))) return "apply"
  return update.version <= lastVersion ? "stale" : "gap"
}

const obuBook: BookRecipe = { snapshot: "InStream", joins: followsExactly, follows: followsExactly }

/**
 * "How to maintain local order book": drop u < base + 1; the first one applied has U <= base + 1 <= u; U > base + 1
 * means that the snapshot is too old. Later only U > last + 1 is a hole: quantities are absolute, so what overlaps is
 * applied again without harm.
 */
const joinsWithin: BookRecipe["follows"] = (lastVersion, update) => {
  if (update.version <= lastVersion) return "stale"
  return update.firstVersion <= Sequence.next(lastVersion) ? "apply" : "gap"
}

const updateBook: BookRecipe = { snapshot: "Fetch", joins: joinsWithin, follows: joinsWithin }

export const gateSpot = ExchangeAdapter.make({
  id: GateErrors.spotExchange,
  name: "Gate spot",
  kind: "spot",
  channels: new Set(["BookTicker", "Trades", "Book"] as const),
  coverage: [
    {
      channel: "BookTicker",
      wire: "spot.book_ticker",
      note: "every 10ms, when the best price or quantity changed",
      source: "Gate WebSocket v4, spot, Best bid or ask price"
    },
    {
      channel: "Trades",
      wire: "spot.trades",
      note: "real time; one trade a frame, side of the taker",
      source: "Gate WebSocket v4, spot, Public Trades Channel"
    },
    {
      channel: "Book",
      wire: "spot.obu",
      note: "source obu, the default: 50 levels every 20ms, or 400 every 100ms; snapshots in the stream",
      source: "Gate WebSocket v4, spot, Order Book V2"
    },
    {
      channel: "Book",
      wire: "spot.order_book_update and GET /spot/order_book",
      note: "source order_book_update: 100 levels every 100ms, or 20 every 20ms; joined to a REST book",
      source: "Gate WebSocket v4, spot, Changed order book levels"
    }
  ],
  urls: {
    websocket: "wss://api.gateio.ws/ws/v4/",
    rest: "https://api.gateio.ws/api/v4",
    testnet: { websocket: "wss://ws-testnet.gate.com/v4/ws/spot", rest: "https://api-testnet.gateapi.io/api/v4" }
  },
  endpoint: (url) => ({ url }),
  symbol: GateRequests.symbol,
  topic: GateRequests.topicName,
  subscribe: GateRequests.subscribe,
  // Measured: hundreds of pairs refused because of one.
  listRefusal: "whole",
  unsubscribe: GateRequests.unsubscribe,
  makeCodec: GateDecode.make,
  book: (channel) => channel.source === "order_book_update" ? updateBook : obuBook,
  heartbeat: {
    // Measured: a socket that sends nothing is dropped after about 30 s, without a close frame.
    interval: "10 seconds",
    timeout: "5 seconds",
    ping: GateRequests.ping
  },
  silence: {
    // Both are pushed on change only, and many pairs are quiet: a pushed book was measured to be 40 s old. A minute
    // finds the streams that Gate confirms and never sends, at the price of one request a minute on a dead pair.
    BookTicker: "60 seconds",
    Trades: null,
    Book: "60 seconds"
  },
  limits: GateRequests.limits,
  makeRest: GateRest.make
})
