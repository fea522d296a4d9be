/** The edges and what became of them, in lines. */
import type { Execution, ExecutorPerformance, Exposure, PendingOrder } from "../../arbitrage/ArbitrageExecutor.ts"
import type { MonitorPerformance } from "../../arbitrage/ArbitrageMonitor.ts"
import type { Killed } from "../../arbitrage/KillSwitch.ts"
import * as KillSwitch from "../../arbitrage/KillSwitch.ts"
import type { Opportunity } from "../../arbitrage/Opportunity.ts"
import type { Left } from "../../composite/Markets.ts"
import * as Decimal from "../../domain/Decimal.ts"
import type { ExchangeId } from "../../domain/Instrument.ts"
import { partsOf } from "../../domain/Instrument.ts"
import type { JsonObject } from "../EventJson.ts"
import * as Style from "../Style.ts"
import * as Table from "../Table.ts"
import type { ArbitrageBoard } from "./ArbitrageBoard.ts"

/** Of an exchange, for narrow tables. */
export type Short = (exchange: ExchangeId) => string

const money = (value: number): string => value.toFixed(2)

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((all, one) => all + one, 0)

/** Price of an asset, quote; null while none is known. */
export type PriceOf = (asset: string) => number | null

/** What is open: where nothing is under way it is less than a lot of each asset, unless something could not be traded away. */
const exposureOf = (exposure: ReadonlyArray<Exposure>, priceOf: PriceOf): string => {
  const valued = exposure.map(({ asset, quantity }) => ({
    text: `${Decimal.toText(quantity)} ${asset}`,
    worth: Math.abs(Decimal.toNumber(quantity)) * (priceOf(asset) ?? 0)
  })).sort((one, other) => other.worth - one.worth)
  const [most] = valued
  if (most === undefined) return "flat"
  const total = valued.reduce((sum, { worth }) => sum + worth, 0)
  const assets = Style.counted(valued.length, "asset")
  return `${assets} not covered, worth ${money(total)}; the most ${most.text} (${money(most.worth)})`
}

const columns: ReadonlyArray<Table.Column> = [
  { title: "EDGES", align: "left", width: 12 },
  { title: "OPEN", width: 4 },
  { title: "FOUND", width: 6 },
  { title: "p99 ms", width: 6 },
  { title: "TRADED", width: 6 },
  { title: "MENDED", width: 6 },
  { title: "REFUSED", width: 7 },
  { title: "PROFIT", width: 9 },
  { title: "STATE", align: "left" }
]

const stateOf = ({ executor, exposure, risk }: ArbitrageBoard): string => {
  if (executor === null) return "watching"
  if (risk?.isKilled === true) return "KILLED"
  if (executor.inFlight > 0) return "trading"
  return exposure.length === 0 ? "flat" : "carrying"
}

const detected = (monitor: MonitorPerformance | null): string =>
  monitor === null || monitor.detection.count === 0 ? Style.none : monitor.detection.p99.toFixed(2)

const traded = (executor: ExecutorPerformance | null): ReadonlyArray<string> =>
  executor === null
    ? [Style.none, Style.none, Style.none, Style.none]
    : [
      String(executor.completed),
      String(executor.compensated),
      String(sum(executor.refused)),
      money(Decimal.toNumber(executor.profit))
    ]

const row = (board: ArbitrageBoard, style: Style.Style): ReadonlyArray<string> => {
  const { executor, monitor, open } = board
  const state = stateOf(board)
  return [
    Style.counted(monitor?.routes ?? 0, "route"),
    String(open.length),
    String(monitor?.entered ?? 0),
    detected(monitor),
    ...traded(executor),
    state === "KILLED" ? style.red(state) : state
  ]
}

const reasonText = ({ of, reason, stops }: Killed): string => {
  const where = of === KillSwitch.global ? "" : `on ${of} `
  const what = stops === "everything" ? "nothing but cancels leaves" : "nothing is opened"
  return `${where}${what} any more: ${reason}`
}

/** Why the switch is thrown, in so many lines at most. */
const reasonLines = ({ reasons }: ArbitrageBoard, most: number): ReadonlyArray<string> => {
  const [first] = reasons
  if (first === undefined) return []
  if (reasons.length <= most) return reasons.map(reasonText)
  if (most <= 1) return [`for ${reasons.length} reasons, the first: ${first.reason}`]
  const shown = reasons.slice(0, most - 1)
  return [...shown.map(reasonText), `and for ${reasons.length - shown.length} more reasons`]
}

/** One line, titles first, and why the switch is thrown behind it, in so many lines at most. */
export const table = (
  board: ArbitrageBoard,
  style: Style.Style,
  most = Number.POSITIVE_INFINITY
): ReadonlyArray<string> => {
  const [titles = "", ...rows] = Table.format(columns, [row(board, style)])
  return [style.dim(titles), ...rows, ...reasonLines(board, most).map((line) => style.red(`  KILLED ${line}`))]
}

/** A mean over levels has more digits than anybody reads. */
const price = (value: number): string => Style.decimal(Number(value.toPrecision(8)))

const opportunityRow = ({ buy, profit, profitRatio, quantity, sell }: Opportunity, short: Short): string =>
  `  edge   ${partsOf(buy.pair).base.padEnd(6)} ${short(buy.exchange)} ${price(buy.averagePrice)} > `
  + `${short(sell.exchange)} ${price(sell.averagePrice)}  ${Style.decimal(Number(quantity.toPrecision(6)))}  `
  + `${money(profit)} (${(profitRatio * 10_000).toFixed(1)} bp)`

const outcomes = { Completed: "traded", Compensated: "mended", Nothing: "missed", Exposed: "OPEN  " } as const

const executionRow = ({ _tag, acceptedAfterMs, buy, profit, sell }: Execution, short: Short): string =>
  `  ${outcomes[_tag]} ${partsOf(buy.pair).base.padEnd(6)} `
  + `${short(buy.exchange)} > ${short(sell.exchange)}  ${Decimal.toText(buy.filled)}  `
  + `${money(Decimal.toNumber(profit))} in ${acceptedAfterMs.toFixed(1)} ms`

/** The best edges and the newest trades, in at most so many lines. */
export const details = (board: ArbitrageBoard, lines: number, short: Short): ReadonlyArray<string> => {
  if (lines <= 0) return []
  const trades = board.executions.slice(0, Math.max(1, Math.floor(lines / 2))).map((one) => executionRow(one, short))
  const edges = board.open.slice(0, Math.max(0, lines - trades.length)).map((one) => opportunityRow(one, short))
  return [...edges, ...trades].slice(0, lines)
}

const leftLine = ({ canceled, exchange, open, problem }: Left): string =>
  `${exchange}: ${open.length} open (${canceled} cancelled)${problem === null ? "" : `, ${problem}`}`

const refusals = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts).map(([limit, count]) => `${limit} ${count}`).join(", ")

const edgesLine = ({ bestProfit, monitor, open }: ArbitrageBoard): string =>
  `edges        ${monitor?.entered ?? 0} found, ${open.length} open at the end, the best ${money(bestProfit)}`

const fundingLines = (risk: ArbitrageBoard["risk"]): ReadonlyArray<string> => {
  const funding = risk === null ? 0 : Decimal.toNumber(risk.funding)
  return funding === 0
    ? []
    : [`funding      ${money(funding)} of positions: in what the accounts gained, not in the profit`]
}

/** A leg against a perpetual has gained what the prices were apart only when they have come together. */
const gainLines = (risk: ArbitrageBoard["risk"]): ReadonlyArray<string> =>
  risk === null
    ? []
    : [`accounts     gained ${money(Decimal.toNumber(risk.pnl))}: executions and resting orders, at present prices`]

const executionLines = (
  { exposure, reasons, risk }: ArbitrageBoard,
  executor: ExecutorPerformance,
  priceOf: PriceOf
): ReadonlyArray<string> => {
  const refused = sum(executor.refused)
  return [
    `executions   ${executor.executed}: ${executor.completed} completed, ${executor.compensated} compensated, `
    + `${executor.nothing} without a fill, ${executor.exposed} exposed; refused ${refused}`
    + (refused === 0 ? "" : ` (${refusals(executor.refused)})`),
    `profit       ${money(Decimal.toNumber(executor.profit))} made by the executions, at the prices of their fills`,
    ...gainLines(risk),
    ...fundingLines(risk),
    `open         ${exposureOf(exposure, priceOf)}`,
    ...reasons.map((reason) => `KILLED       ${reasonText(reason)}`)
  ]
}

/** So much of it is known to be filled; the rest may be too, or may be in force. */
const pendingText = ({ clientOrderId, exchange, filled, pair, quantity, side }: PendingOrder): string =>
  `${exchange} ${side} ${pair} ${clientOrderId}, ${Decimal.toText(filled)} of ${
    Decimal.toText(quantity)
  } known to be filled`

const endLine = ({ drained, executor }: ArbitrageBoard, endedInMs: number): string => {
  const underWay = drained === null ? "not all known" : `${Style.counted(drained.openOrders, "order")} under way`
    + drained.orders.map((order) => `; ${pendingText(order)}`).join("")
  return `ended in     ${endedInMs} ms${executor === null ? "" : `, ${underWay}`}`
}

/** What was to be cancelled or brought to its end and is open at an exchange, or may be: a line each. None where nothing is traded or was ordered. */
export const unfinished = ({ drained, executor, left }: ArbitrageBoard): ReadonlyArray<string> =>
  executor === null ? [] : [
    ...left.filter(({ hasOrdered, open, problem }) => open.length > 0 || (hasOrdered && problem !== null)).map(
      leftLine
    ),
    ...drained === null ? ["orders under way: not all known"] : drained.orders.map(pendingText)
  ]

/** What there is to say at the end. */
export const report = (board: ArbitrageBoard, priceOf: PriceOf): ReadonlyArray<string> => {
  const { endedInMs, executor, left } = board
  return [
    edgesLine(board),
    ...executor === null ? [] : executionLines(board, executor, priceOf),
    ...endedInMs === null ? [] : [endLine(board, endedInMs)],
    ...left.map((each) => `left         ${leftLine(each)}`)
  ]
}

const executionsOf = (executor: ExecutorPerformance): JsonObject => ({
  executed: executor.executed,
  completed: executor.completed,
  compensated: executor.compensated,
  nothing: executor.nothing,
  exposed: executor.exposed,
  refused: { ...executor.refused },
  profit: Decimal.toText(executor.profit)
})

const monitored = (monitor: MonitorPerformance): JsonObject => ({
  routes: monitor.routes,
  evaluations: monitor.evaluations,
  found: monitor.entered,
  withheld: { ...monitor.withheld },
  detectionMs: { ...monitor.detection }
})

const pendingOf = (drained: ArbitrageBoard["drained"]) =>
  drained === null
    ? []
    : drained.orders.map(({ clientOrderId, exchange, filled, pair, quantity, side }) => ({
      exchange,
      pair,
      side,
      clientOrderId,
      quantity: Decimal.toText(quantity),
      filled: Decimal.toText(filled)
    }))

const ended = ({ drained, endedInMs, left }: ArbitrageBoard): JsonObject => ({
  underWay: drained?.openOrders ?? null,
  pending: pendingOf(drained),
  left: Object.fromEntries(
    left.map(({ canceled, exchange, open, problem }) => [exchange, { open: open.length, canceled, problem }])
  ),
  endedInMs
})

export const summary = (board: ArbitrageBoard): JsonObject => {
  const { bestProfit, executor, exposure, monitor, reasons, risk } = board
  return {
    ...monitor === null ? { routes: 0, found: 0 } : monitored(monitor),
    open: board.open.length,
    bestProfit: Number(bestProfit.toFixed(8)),
    executions: executor === null ? null : executionsOf(executor),
    pnl: risk === null ? null : Decimal.toText(risk.pnl),
    funding: risk === null ? null : Decimal.toText(risk.funding),
    killed: risk?.killed?.reason ?? null,
    reasons: reasons.map(({ at, of, reason, stops }) => ({ of, stops, reason, at })),
    exposure: Object.fromEntries(exposure.map(({ asset, quantity }) => [asset, Decimal.toText(quantity)])),
    ...ended(board)
  }
}
