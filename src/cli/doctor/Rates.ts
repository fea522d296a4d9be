/**
 * How often the exchanges' documents say that each feed sends. Sources: MEXC Spot V3, Websocket Market Streams; Gate
 * WebSocket v4, spot (2026-07-25) and futures (2026-08-25).
 */

export interface Rate {
  /** No more often than this, ms; null: in real time. */
  readonly everyMillis: number | null
  /** Sent at every interval, changed or not. */
  readonly repeats: boolean
  /** Nothing for longer than the examination is usual. */
  readonly mayBeQuiet: boolean
}

const onChange = (everyMillis: number): Rate => ({ everyMillis, repeats: false, mayBeQuiet: false })
const repeated = (everyMillis: number): Rate => ({ everyMillis, repeats: true, mayBeQuiet: false })
const realTime: Rate = { everyMillis: null, repeats: false, mayBeQuiet: false }
const rare: Rate = { everyMillis: null, repeats: false, mayBeQuiet: true }

/** By the beginning of the topic's key; the first that fits. */
const rates: ReadonlyArray<readonly [pattern: RegExp, rate: Rate]> = [
  [/^spot@public\.aggre\.bookTicker\..*@10ms@/, repeated(10)],
  [/^spot@public\.aggre\.bookTicker\./, repeated(100)],
  [/^spot@public\.aggre\.depth\..*@10ms@/, onChange(10)],
  [/^spot@public\.aggre\.depth\./, onChange(100)],
  [/^spot@public\.aggre\.deals\./, realTime],
  [/^spot@public\.kline\./, repeated(1_000)],
  [/^spot@public\.miniTickers?\./, repeated(3_000)],
  [/^spot\.book_ticker\|/, onChange(10)],
  [/^(?:spot|futures)\.obu\|.*\.400$/, onChange(100)],
  [/^(?:spot|futures)\.obu\|/, onChange(20)],
  [/^(?:spot|futures)\.order_book_update\|.*\|20ms/, onChange(20)],
  [/^(?:spot|futures)\.order_book_update\|/, onChange(100)],
  [/^spot\.order_book\|/, onChange(100)],
  [/^spot\.candlesticks\|/, onChange(2_000)],
  [/^spot\.tickers\|/, onChange(1_000)],
  [/^futures\.(?:contract_stats|public_liquidates)\|/, rare]
]

export const of = (key: string): Rate => rates.find(([pattern]) => pattern.test(key))?.[1] ?? realTime
