/** So many pairs, when the user says only how many. */
import { Array } from "effect"
import type { TradingPair } from "../../domain/Instrument.ts"
import type { Pairs } from "./Source.ts"

/** Names that exist; of those that the simulator knows nothing of it makes facts from the name. */
const names =
  ("BTC ETH SOL XRP DOGE ADA AVAX LINK LTC DOT BNB TRX TON UNI NEAR ATOM BCH APT ARB OP SUI INJ FIL ETC XLM HBAR ICP VET "
    + "ALGO AAVE MKR GRT SAND MANA AXS THETA EOS XTZ FLOW CHZ CRV SNX COMP ZEC DASH KAVA RUNE EGLD ENJ ZIL BAT LRC YFI SUSHI "
    + "ONE HOT IOTA QTUM OMG ANKR CELO SKL STORJ RSR BAND NKN OCEAN COTI CTSI DENT DUSK FET IOST JASMY KSM LPT MASK MINA MTL "
    + "GALA GMT IMX KLAY LDO NEO OGN ONT PEPE PERP POLS QNT RAY REN RLC ROSE SHIB SLP STX SXP TWT UMA WAVES WIF WOO")
    .split(" ")

/** As many as the large exchanges list against one quote; what the proof `program` runs with. */
export const most = 1_000

/** Against USDT; behind the names that exist they are numbered: `COIN105/USDT`. */
export const make = (count: number): Pairs =>
  Array.makeBy(count, (index): TradingPair => `${names[index] ?? `COIN${index + 1}`}/USDT`)
