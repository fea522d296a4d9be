/**
 * Gate spot. The table of contents of this folder: what differs between Gate's products (`GateProduct`), requests
 * (`GateRequests`), frames (`GateDecode`: the fast path is `GateScanner` with `GateLayouts` and `GateFast`, the general
 * one `GateGeneric` over `GateWire`), books (`GateBooks`), REST (`GateRest`), refusals (`GateErrors`), accounts
 * (`GateAccount`). What is covered and what is unconfirmed: `docs/gate.md`.
 */
import * as ExchangeAdapter from "../../ExchangeAdapter.ts"
import { gateSpotAccount } from "./GateAccount.ts"
import { shared } from "./GateAdapter.ts"
import * as GateProduct from "./GateProduct.ts"

export const gateSpot = ExchangeAdapter.make({
  ...shared(GateProduct.spot),
  id: "gate-spot",
  name: "Gate spot",
  kind: "spot",
  channels: GateProduct.spotChannels,
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
    },
    {
      channel: "Book",
      wire: "spot.order_book",
      note: "source order_book: a whole book of 5, 10, 20, 30, 50 or 100 levels every 100ms or 1000ms",
      source: "Gate WebSocket v4, spot, Limited-Level Full Order Book Snapshot"
    },
    {
      channel: "Ticker",
      wire: "spot.tickers",
      note: "every second; the last 24 hours",
      source: "Gate WebSocket v4, spot, Tickers Channel"
    },
    {
      channel: "Kline",
      wire: "spot.candlesticks",
      note: "every 2 s; 10s 30s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 1w 30d; the closing frame may be missing",
      source: "Gate WebSocket v4, spot, Candlesticks Channel"
    }
  ],
  urls: {
    websocket: "wss://api.gateio.ws/ws/v4/",
    rest: "https://api.gateio.ws/api/v4",
    testnet: { websocket: "wss://ws-testnet.gate.com/v4/ws/spot", rest: "https://api-testnet.gateapi.io/api/v4" }
  },
  silence: {
    // All are pushed on change only, and many pairs are quiet: a pushed book was measured to be 40 s old. A minute
    // finds the streams that Gate confirms and never sends, at the price of one request a minute on a dead pair.
    BookTicker: { floor: "4 seconds", ceiling: "10 minutes", initial: "60 seconds" },
    Trades: null,
    Book: { floor: "4 seconds", ceiling: "10 minutes", initial: "60 seconds" },
    Ticker: { floor: "10 seconds", ceiling: "10 minutes", initial: "60 seconds" },
    Kline: null
  },
  account: gateSpotAccount
})
