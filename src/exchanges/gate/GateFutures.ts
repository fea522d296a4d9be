/** Gate futures: perpetuals that settle in USDT. A variant of Gate spot, whose file is the table of contents. */
import * as ExchangeAdapter from "../../ExchangeAdapter.ts"
import { gateFuturesAccount } from "./GateAccount.ts"
import { shared } from "./GateAdapter.ts"
import * as GateProduct from "./GateProduct.ts"

export const gateFutures = ExchangeAdapter.make({
  ...shared(GateProduct.futures),
  id: "gate-futures",
  name: "Gate futures",
  kind: "swap",
  channels: GateProduct.futuresChannels,
  coverage: [
    {
      channel: "BookTicker",
      wire: "futures.book_ticker",
      note: "when the best price or quantity changed",
      source: "Gate WebSocket v4, futures, Best ask/bid subscription"
    },
    {
      channel: "Trades",
      wire: "futures.trades",
      note: "real time; several trades a frame, side of the taker; take-overs of liquidated positions included",
      source: "Gate WebSocket v4, futures, Trades API"
    },
    {
      channel: "Book",
      wire: "futures.obu",
      note: "source obu, the default: 50 levels every 20ms, or 400 every 100ms; snapshots in the stream",
      source: "Gate WebSocket v4, futures, Order Book V2 API"
    },
    {
      channel: "Book",
      wire: "futures.order_book_update and GET /futures/usdt/order_book",
      note: "source order_book_update: 100 or 50 levels every 100ms, or 20 every 20ms; joined to a REST book",
      source: "Gate WebSocket v4, futures, Order book update subscription"
    },
    {
      channel: "Book",
      wire: "futures.order_book",
      note: "source order_book: a whole book of 1, 5, 10, 20, 50 or 100 levels each time",
      source: "Gate WebSocket v4, futures, Legacy order book subscription"
    },
    {
      channel: "FuturesTicker",
      wire: "futures.tickers",
      note: "mark and index price, funding, open interest, the last 24 hours",
      source: "Gate WebSocket v4, futures, Tickers API; funding times as captured"
    },
    {
      channel: "Kline",
      wire: "futures.candlesticks",
      note: "10s 1m 5m 15m 30m 1h 4h 8h 1d 1w of the last, mark or index price",
      source: "Gate WebSocket v4, futures, Candlesticks API"
    },
    {
      channel: "Liquidations",
      wire: "futures.public_liquidates",
      note: "one pair, or all at once; gathered for up to a second",
      source: "Gate WebSocket v4, futures, public liquidates order API"
    },
    {
      channel: "ContractStats",
      wire: "futures.contract_stats",
      note: "1m 5m 15m 30m 1h 4h 1d 3d 1w; one interval a pair, for frames do not name theirs",
      source: "Gate WebSocket v4, futures, Contract Stats API"
    }
  ],
  urls: {
    websocket: "wss://fx-ws.gateio.ws/v4/ws/usdt",
    rest: "https://api.gateio.ws/api/v4",
    testnet: {
      websocket: "wss://ws-testnet.gate.com/v4/ws/futures/usdt",
      rest: "https://api-testnet.gateapi.io/api/v4"
    }
  },
  silence: {
    BookTicker: { floor: "4 seconds", ceiling: "10 minutes", initial: "60 seconds" },
    Trades: null,
    Book: { floor: "4 seconds", ceiling: "10 minutes", initial: "60 seconds" },
    // Measured: none to one in 30 s on a quiet contract.
    FuturesTicker: { floor: "10 seconds", ceiling: "10 minutes", initial: "2 minutes" },
    Kline: null,
    Liquidations: null,
    ContractStats: null
  },
  account: gateFuturesAccount
})
