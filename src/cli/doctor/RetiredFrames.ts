/**
 * Frames of channels that the exchanges have retired or that are not offered: a decoder passes over them. They cannot be
 * asked for any more, so they are kept here. Sources: Gate WebSocket v4, spot, `spot.trades_v2` (discontinued), and
 * futures, `futures.contract_info`; MEXC Spot V3, `public.deals.v3.api` (legacy body 301).
 */

const utf8 = new TextEncoder()

const gateTrades =
  "{\"time\":1669107766,\"time_ms\":1669107766406,\"channel\":\"spot.trades_v2\",\"event\":\"update\",\"result\":{\"id\":1," +
  "\"create_time\":1669107766,\"create_time_ms\":\"1669107766406.5\",\"side\":\"sell\",\"currency_pair\":\"BTC_USDT\"," +
  "\"amount\":\"1\",\"price\":\"15743.4\"}}"

const gateContract =
  "{\"time\":1781234568,\"time_ms\":1781234568123,\"channel\":\"futures.contract_info\",\"event\":\"update\",\"result\":{" +
  "\"contract\":\"BTC_USDT\",\"quanto_multiplier\":\"0.0001\",\"order_price_round\":\"0.1\",\"mark_price_round\":\"0.01\"}}"

/** `spot@public.deals.v3.api.pb@BTCUSDT`: one deal, 1 at 93220.00. */
const mexcDeals =
  "0a2373706f74407075626c69632e6465616c732e76332e6170692e706240425443555344541a0742544355534454ea12180a160a0839333232302e3030120131180220bba9d9d0c432"

export const of = (exchange: string): Uint8Array | null => {
  switch (exchange) {
    case "gate-spot":
      return utf8.encode(gateTrades)
    case "gate-futures":
      return utf8.encode(gateContract)
    case "mexc-spot":
      return Buffer.from(mexcDeals, "hex")
    default:
      return null
  }
}
