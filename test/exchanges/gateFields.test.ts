/** Every field of every stream that the scanner reads: values of all forms, on the fast path and through the general one. */
import { assert, describe, it } from "@effect/vitest"
import * as Numeric from "../../src/domain/Numeric.ts"
import * as Sequence from "../../src/domain/Sequence.ts"
import type { Codec, ExchangeAdapter } from "../../src/ExchangeAdapter.ts"
import { gateFutures } from "../../src/exchanges/gate/GateFutures.ts"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import { contractSize, decode, eventsOf, isFallback, pairOf, receivedAt, topicTable } from "./GateHarness.ts"

/** What a value of a field must lead to. `Fallback`: the same, only that the scanner leaves it to the general decoder. */
type Outcome =
  | { readonly _tag: "Read" | "Fallback"; readonly patch: Readonly<Record<string, unknown>> }
  | { readonly _tag: "Refused" }

const refused: Outcome = { _tag: "Refused" }
const reads = (patch: Readonly<Record<string, unknown>>): Outcome => ({ _tag: "Read", patch })
const fallsBack = (patch: Readonly<Record<string, unknown>>): Outcome => ({ _tag: "Fallback", patch })

/** Raw JSON of one member, and what becomes of the frame. An absent one is undefined. */
type Case = readonly [raw: string | undefined, outcome: Outcome]

interface Member {
  readonly key: string
  readonly raw: string
  readonly cases: ReadonlyArray<Case>
}

interface Subject {
  readonly adapter: ExchangeAdapter
  readonly channel: string
  readonly event: string
  readonly isList: boolean
  /** Slow streams have no layout: they are read by the general decoder alone, which is no fallback then. */
  readonly isSlow?: boolean
  readonly topic: string
  readonly members: ReadonlyArray<Member>
  /** What the members as they stand mean. */
  readonly expected: Readonly<Record<string, unknown>>
}

const text = (value: string): string => JSON.stringify(value)

const sentAt = 1_780_000_000_321

const envelope = ({ channel, event, isList }: Subject, result: string): string =>
  `{"time":1780000000,"time_ms":${sentAt},"channel":"${channel}","event":"${event}","result":${
    isList ? `[${result}]` : result
  }}`

const objectOf = (members: ReadonlyArray<readonly [key: string, raw: string]>): string =>
  `{${members.map(([key, raw]) => `"${key}":${raw}`).join()}}`

const frameOf = (subject: Subject, changed?: string, raw?: string): string =>
  envelope(
    subject,
    objectOf(subject.members.flatMap((member) => {
      const value = member.key === changed ? raw : member.raw
      return value === undefined ? [] : [[member.key, value] as const]
    }))
  )

// ---- Forms of values ----

/** Of all lengths at which the way of reading changes, up to more digits than a number holds. */
const decimals = [
  "1",
  "9",
  "10",
  "0.5",
  "012.50",
  "0.00",
  "123456789",
  "999999999",
  "1234567890",
  "9999999999",
  "99999999.9",
  "1.23456789",
  "0.00000001",
  "12345678.95",
  "123456789.5",
  "9876543210.5",
  "0.000000001",
  "999999999999999",
  "9999999999999999",
  "123456789.123456",
  "123456789.1234567",
  "9007199254740993",
  "1.100000000000000000",
  "12345678901234567890.12345",
  "0.0000000000000000000012",
  "0.00000000000000000000012",
  "0.0000000000000000000001234567890123456789"
]

const noDecimals = [
  "1.",
  ".5",
  ".",
  "-",
  "+1",
  "1e5",
  "1 ",
  " 1",
  "0x1",
  "1,5",
  "1.2.3",
  "1.5x",
  "x",
  "NaN",
  "1:",
  "1/"
]

/** Too large for a number; longer than any decimal. */
const endless = ["9".repeat(400), `0.${"0".repeat(1100)}1`]

const exactOf = (name: string, digits: string): Readonly<Record<string, unknown>> =>
  Numeric.significantDigits(digits) > 15 ? { exact: { [name]: digits } } : {}

const number = (name: string, digits: string): Readonly<Record<string, unknown>> => ({
  [name]: Number(digits),
  ...exactOf(name, digits)
})

const badTexts: ReadonlyArray<Case> = [...noDecimals, ...endless].map((value) => [text(value), refused])

const noTexts: ReadonlyArray<Case> = ["true", "{}", "[]", "\"1", "1\"", "", "\"1\\q\""].map((raw) => [raw, refused])

const isZero = (digits: string): boolean => Number(digits) === 0

/** A decimal that must be there and above 0. */
const positive = (name: string): ReadonlyArray<Case> => [
  ...decimals.map((value): Case => [text(value), isZero(value) ? refused : reads(number(name, value))]),
  ...badTexts,
  ...noTexts,
  [text("-1"), refused],
  [text(""), refused],
  ["null", refused],
  [undefined, refused],
  ["1", refused]
]

/** A decimal of a book ticker, beside one that is above 0. */
const sideQuantity = (name: string): ReadonlyArray<Case> => [
  ...decimals.map((value): Case => [text(value), reads(number(name, value))]),
  ...badTexts,
  ...noTexts,
  [text("-1"), refused],
  [text(""), refused],
  ["null", refused],
  [undefined, refused]
]

/** A number of a day's ticker that need not be there. */
const optional = (name: string, zeroIsNone = false): ReadonlyArray<Case> => [
  ...decimals.map((value): Case => [
    text(value),
    reads(zeroIsNone && isZero(value) ? { [name]: null } : number(name, value))
  ]),
  ...badTexts,
  ...noTexts,
  [text("-1"), refused],
  [text(""), reads({ [name]: null })],
  ["null", fallsBack({ [name]: null })],
  [undefined, reads({ [name]: null })]
]

const signedNumber = (name: string, digits: string): Readonly<Record<string, unknown>> => {
  const exact = exactOf(name, digits)["exact"] === undefined ? {} : { exact: { [name]: `-${digits}` } }
  return { [name]: 0 - Number(digits), ...exact }
}

const signed = (name: string): ReadonlyArray<Case> => [
  ...optional(name).filter(([raw]) => raw !== text("-1")),
  ...decimals.map((value): Case => [text(`-${value}`), reads(signedNumber(name, value))]),
  ...noDecimals.map((value): Case => [text(`-${value}`), refused]),
  ["-1", refused],
  ["1", refused],
  ["-\"1\"", refused],
  ["-", refused]
]

/** Per cent on the wire. */
const change: ReadonlyArray<Case> = [
  ...decimals.map((value): Case => [text(value), reads({ change: Number(`${value}e-2`) })]),
  ...decimals.map((value): Case => [text(`-${value}`), reads({ change: 0 - Number(`${value}e-2`) })]),
  ...badTexts,
  ...noTexts,
  [text("--1"), refused],
  [text(""), reads({ change: null })],
  ["null", fallsBack({ change: null })],
  [undefined, reads({ change: null })]
]

/** Whole numbers may stand without quotes. */
const integers = ["0", "7", "10", "999999999", "1234567890", "999999999999999", "9007199254740993", "9".repeat(24)]

const noIntegers = ["00", "01", "1.", "1e", "+1", "1x", "1\"", "0x1", "1 2"]

const bare = (name: string, zero: Outcome): ReadonlyArray<Case> => [
  ...integers.map((raw): Case => [raw, isZero(raw) ? zero : reads(number(name, raw))]),
  ...noIntegers.map((raw): Case => [raw, refused]),
  ["1.5", fallsBack({ [name]: 1.5 })]
]

const optionalSize = (name: string): ReadonlyArray<Case> => [...optional(name), ...bare(name, reads({ [name]: 0 }))]

/** The sign says who took: not so the quantity. */
const signedSize = (name: string): ReadonlyArray<Case> => [
  ...positive(name).filter(([raw]) => raw !== text("-1") && raw !== "1"),
  ...bare(name, refused),
  ...decimals.map((value): Case => [
    text(`-${value}`),
    isZero(value) ? refused : reads({ ...number(name, value), side: "sell" })
  ]),
  ...noDecimals.map((value): Case => [text(`-${value}`), refused]),
  ...integers.map((raw): Case => [`-${raw}`, isZero(raw) ? refused : reads({ ...number(name, raw), side: "sell" })]),
  ...noIntegers.map((raw): Case => [`-${raw}`, refused]),
  ["-\"1\"", refused],
  ["-", refused],
  ["--1", refused]
]

const sequence = (digits: string): Sequence.Sequence => Sequence.fromBigInt(BigInt(digits))

const noSequences: ReadonlyArray<Case> = ["-1", "1.5", "\"x\"", "\"-1\"", "true", "{}", "\"\"", ...noIntegers].map((
  raw
) => [raw, refused])

/** `read` gives what the digits mean. */
const version = (read: (digits: string) => Outcome, absent: Outcome): ReadonlyArray<Case> => [
  ...integers.map((raw): Case => [raw, read(raw)]),
  ["\"77\"", read("77")._tag === "Refused" ? refused : { ...read("77"), _tag: "Fallback" } as Outcome],
  ...noSequences,
  ["null", absent._tag === "Read" ? { ...absent, _tag: "Fallback" } : absent],
  [undefined, absent]
]

/** A time in ms: 0 stands for none. `scale` is 1000 for seconds. */
const time = (name: string, none: unknown = null, scale = 1, absent: Outcome["_tag"] = "Fallback"): ReadonlyArray<
  Case
> => [
  ["0", reads({ [name]: none })],
  ["1", reads({ [name]: scale })],
  ["1780000000", reads({ [name]: 1_780_000_000 * scale })],
  ["9007199254740991", reads({ [name]: Number.MAX_SAFE_INTEGER * scale })],
  ["9007199254740993", refused],
  ["1780000000.5", fallsBack({ [name]: 1_780_000_000.5 * scale })],
  ["\"1780000000.25\"", fallsBack({ [name]: 1_780_000_000.25 * scale })],
  ["null", fallsBack({ [name]: none })],
  [undefined, { _tag: absent, patch: { [name]: none } } as Outcome],
  ...["-1", "01", "\"soon\"", "\"\"", "true", "{}", "1x"].map((raw): Case => [raw, refused])
]

/** Names of pairs; the topic follows them. */
const noPairs = ["BTCUSDT", "BTC_", "_USDT", "", "B C_USDT", "B|C_USDT", `${"X".repeat(200)}_USDT`]

const symbol = (adapter: ExchangeAdapter, wrap: (name: string) => string = (name) => name): ReadonlyArray<Case> => [
  ...["ETH_USDT", "X_Y", "币安人生_USDT", "1INCH_TRY"].map((name): Case => [
    text(wrap(name)),
    reads({ symbol: name, pair: pairOf(adapter, name) })
  ]),
  [
    "\"\\u0045TH_USDT\"",
    wrap("a") === "a" ? fallsBack({ symbol: "ETH_USDT", pair: pairOf(adapter, "ETH_USDT") }) : refused
  ],
  ...noPairs.map((name): Case => [text(wrap(name)), refused]),
  ...["null", "1", "[]", "\"BTC_USDT"].map((raw): Case => [raw, refused]),
  [undefined, refused]
]

/** What nobody reads may be of any kind: the scanner knows the plain ones. */
const unread: ReadonlyArray<Case> = [
  ...["0", "10", "\"\"", "\"~ ! }]\"", "null", "true", "false"].map((raw): Case => [raw, reads({})]),
  ...["-1", "1.5", "1e3", "[]", "{\"a\":[1]}", "\"\\n\"", "\"\u007f\"", "\"é\"", "[\"x\"]"].map((raw): Case => [
    raw,
    fallsBack({})
  ]),
  ...["nul", "nulL", "tru", "fals", "truE", "falsE", "01", "\"", "\"\u001f\"", "x", "", "nullx", "1x"].map((
    raw
  ): Case => [raw, refused]),
  [undefined, reads({})]
]

type Level = readonly [price: string, quantity: string]

const flat = (levels: ReadonlyArray<Level>): ReadonlyArray<number> => levels.flatMap((level) => level.map(Number))

const side = (name: "bids" | "asks", levels: ReadonlyArray<Level>): Readonly<Record<string, unknown>> => {
  const long = levels.flat().flatMap((value, index) =>
    Numeric.significantDigits(value) > 15 ? [[`${name}[${index}]`, value] as const] : []
  )
  return { [name]: flat(levels), ...(long.length === 0 ? {} : { exact: Object.fromEntries(long) }) }
}

const levelLists: ReadonlyArray<ReadonlyArray<Level>> = [
  [["3", "4"]],
  [["3", "0"], ["2.5", "0.25"], ["1.000000000000000001", "1"]],
  ...decimals.filter((value) => !isZero(value)).map((value): ReadonlyArray<Level> => [["5", "1"], [value, "2"]]),
  ...decimals.map((value): ReadonlyArray<Level> => [["5", "1"], ["4", value], ["3", "1"]])
]

const emptySides = (name: "bids" | "asks"): ReadonlyArray<Case> => [
  ["[]", reads({ [name]: [] })],
  ["null", reads({ [name]: [] })],
  [undefined, reads({ [name]: [] })],
  ...["nul", "nulL", "{}", "\"\"", "[", "]", "1", "[null]", "[[]]", "[{}]"].map((raw): Case => [raw, refused])
]

const levels = (name: "bids" | "asks"): ReadonlyArray<Case> => [
  ...emptySides(name),
  ...levelLists.map((list): Case => [JSON.stringify(list), reads(side(name, list))]),
  ...[...noDecimals, ...endless, "", "-1"].flatMap((value): ReadonlyArray<Case> => [
    [JSON.stringify([["5", "1"], [value, "1"]]), refused],
    [JSON.stringify([["5", "1"], ["1", value]]), refused]
  ]),
  ...[
    `[["0","1"]]`,
    `[["1","2"]`,
    `[["1","2"],]`,
    `[["1","2"]["3","4"]]`,
    `[["1","2"}]`,
    `[["1","2",]]`,
    `[["1","2","3"]]`,
    `[["1"]]`,
    `[["1":"2"]]`,
    `[[1,"2"]]`,
    `[["1",2]]`,
    `[{"1","2"]]`,
    `[["1","2"]}`,
    `["1","2"]`,
    `[["1","2]]`,
    `[{"p":"1","s":"2"}]`
  ].map((raw): Case => [raw, refused]),
  [`[ ["1","2"]]`, fallsBack(side(name, [["1", "2"]]))],
  [`[["1" ,"2"]]`, fallsBack(side(name, [["1", "2"]]))],
  [`[["\\u0031","2"]]`, fallsBack(side(name, [["1", "2"]]))]
]

const sized = (list: ReadonlyArray<readonly [price: string, raw: string]>): string =>
  `[${list.map(([price, raw]) => `{"p":"${price}","s":${raw}}`).join()}]`

const sizedLevels = (name: "bids" | "asks"): ReadonlyArray<Case> => [
  ...emptySides(name),
  ...levelLists.map((list): Case => [
    sized(list.map(([price, size]) => [price, text(size)])),
    reads(side(name, list))
  ]),
  ...integers.map((raw): Case => [
    sized([["5", "1"], ["4", raw], ["3", "2"]]),
    reads(side(name, [["5", "1"], ["4", raw], ["3", "2"]]))
  ]),
  ...[...noIntegers, "-1", "null", "", "\"", "\"1", "x", "[]"].map((raw): Case => [
    sized([["5", "1"], ["4", raw]]),
    refused
  ]),
  ...[...noDecimals, ...endless, "", "-1"].flatMap((value): ReadonlyArray<Case> => [
    [sized([["5", "1"], [value, "1"]]), refused],
    [sized([["5", "1"], ["1", text(value)]]), refused]
  ]),
  ...[
    `[{"p":"0","s":1}]`,
    `[{"p":"1","s":1}`,
    `[{"p":"1","s":1},]`,
    `[{"p":"1","s":1}{"p":"1","s":1}]`,
    `[{"p":"1","s":1]]`,
    `[{"p":"1","s":"1"]]`,
    `[{"p":"1","s":1,}]`,
    `[{"p":"1"}]`,
    `[{"s":1}]`,
    `[{"p":1,"s":1}]`,
    `[{"p":"1""s":1}]`,
    `[{"p":"1","s"1}]`,
    `[{"p":"1","s":1}}`,
    `{"p":"1","s":1}`,
    `[["1","2"]]`
  ].map((raw): Case => [raw, refused]),
  [`[{"s":2,"p":"1"}]`, fallsBack(side(name, [["1", "2"]]))],
  [`[{"p":"1","s":2,"x":3}]`, fallsBack(side(name, [["1", "2"]]))],
  [`[{"p":"1","s":2.5}]`, fallsBack(side(name, [["1", "2.5"]]))],
  [`[{"p":"1","s": 2}]`, fallsBack(side(name, [["1", "2"]]))]
]

// ---- Streams ----

const member = (key: string, raw: string, cases: ReadonlyArray<Case>): Member => ({ key, raw, cases })

const named = (adapter: ExchangeAdapter): Readonly<Record<string, unknown>> => ({
  pair: pairOf(adapter, "BTC_USDT"),
  symbol: "BTC_USDT",
  receivedAt,
  exact: null
})

const sizeOfContract = (adapter: ExchangeAdapter) => ({ contractSize: adapter.kind === "spot" ? 1 : contractSize })

const prefixOf = (adapter: ExchangeAdapter): string => adapter.kind === "spot" ? "spot" : "futures"

const tickerOf = (adapter: ExchangeAdapter): Subject => {
  const quantity = (name: string): ReadonlyArray<Case> =>
    adapter.kind === "spot"
      ? [...sideQuantity(name), ["1", refused]]
      : [...sideQuantity(name), ...bare(name, reads({ [name]: 0 }))]
  const price = (name: string, of: string): ReadonlyArray<Case> =>
    // Without its quantity, which stands, an empty side is none.
    positive(name).map(([raw, outcome]) => [raw, raw === of ? refused : outcome])
  return {
    adapter,
    channel: `${prefixOf(adapter)}.book_ticker`,
    event: "update",
    isList: false,
    topic: `${prefixOf(adapter)}.book_ticker|BTC_USDT`,
    members: [
      member("t", "1780000000310", time("exchangeTime")),
      member("u", "48733182", version((digits) => reads({ version: sequence(digits) }), refused)),
      member("s", text("BTC_USDT"), symbol(adapter)),
      member("b", text("77000.1"), price("bidPrice", "")),
      member("B", text("1.25"), quantity("bidQuantity")),
      member("a", text("77000.2"), price("askPrice", "")),
      member("A", text("2.5"), quantity("askQuantity")),
      member("x", "1", unread)
    ],
    expected: {
      _tag: "BookTicker",
      ...named(adapter),
      ...sizeOfContract(adapter),
      bidPrice: 77000.1,
      bidQuantity: 1.25,
      askPrice: 77000.2,
      askQuantity: 2.5,
      version: 48_733_182,
      exchangeTime: 1_780_000_000_310
    }
  }
}

/** Text where it has a fraction; seconds count without it, which is for the general decoder. */
const spotTradeTime: ReadonlyArray<Case> = [
  [text("1780000000300.5"), reads({ exchangeTime: 1_780_000_000_300.5 })],
  [text("1780000000300"), reads({ exchangeTime: 1_780_000_000_300 })],
  [text("0"), fallsBack({ exchangeTime: 1_780_000_000_000 })],
  ["1780000000300", fallsBack({ exchangeTime: 1_780_000_000_300 })],
  ["null", fallsBack({ exchangeTime: 1_780_000_000_000 })],
  [undefined, fallsBack({ exchangeTime: 1_780_000_000_000 })],
  ...["\"soon\"", "\"\"", "true", "-1", "\"-1\""].map((raw): Case => [raw, refused])
]

const futuresTradeTime: ReadonlyArray<Case> = [
  ["1780000000300", reads({ exchangeTime: 1_780_000_000_300 })],
  ["0", fallsBack({ exchangeTime: 1_780_000_000_000 })],
  [text("1780000000300.5"), fallsBack({ exchangeTime: 1_780_000_000_300.5 })],
  ["9007199254740993", refused],
  ["null", fallsBack({ exchangeTime: 1_780_000_000_000 })],
  [undefined, fallsBack({ exchangeTime: 1_780_000_000_000 })],
  ...["\"soon\"", "\"\"", "true", "-1"].map((raw): Case => [raw, refused])
]

const tradeSide: ReadonlyArray<Case> = [
  [text("sell"), reads({ side: "sell" })],
  ["\"b\\u0075y\"", fallsBack({ side: "buy" })],
  ...["bu", "buyx", "buys", "", "sel", "sells", "xell", "BUY", "byy"].map((word): Case => [text(word), refused]),
  ...["null", "1"].map((raw): Case => [raw, refused]),
  [undefined, refused]
]

const tradeId = version((digits) => reads({ id: digits }), refused)

const spotTrade: Subject = {
  adapter: gateSpot,
  channel: "spot.trades",
  event: "update",
  isList: false,
  topic: "spot.trades|BTC_USDT",
  members: [
    member("id", "5736713", tradeId),
    member("id_market", "917144", unread),
    member("create_time", "1780000000", unread),
    member("create_time_ms", text("1780000000300.5"), spotTradeTime),
    member("side", text("buy"), tradeSide),
    member("currency_pair", text("BTC_USDT"), symbol(gateSpot)),
    member("amount", text("0.25"), positive("quantity")),
    member("price", text("77000.5"), positive("price")),
    member("range", text("1-1"), unread)
  ],
  expected: {
    _tag: "Trade",
    ...named(gateSpot),
    ...sizeOfContract(gateSpot),
    id: "5736713",
    price: 77000.5,
    quantity: 0.25,
    side: "buy",
    exchangeTime: 1_780_000_000_300.5
  }
}

const futuresTrade: Subject = {
  adapter: gateFutures,
  channel: "futures.trades",
  event: "update",
  isList: true,
  topic: "futures.trades|BTC_USDT",
  members: [
    member("contract", text("BTC_USDT"), symbol(gateFutures)),
    member("create_time", "1780000000", unread),
    member("create_time_ms", "1780000000300", futuresTradeTime),
    member("id", "27753479", tradeId),
    member("price", text("96.4"), positive("price")),
    member("size", "108", signedSize("quantity")),
    member("is_internal", "true", unread)
  ],
  expected: {
    _tag: "Trade",
    ...named(gateFutures),
    ...sizeOfContract(gateFutures),
    id: "27753479",
    price: 96.4,
    quantity: 108,
    side: "buy",
    exchangeTime: 1_780_000_000_300
  }
}

const flag: ReadonlyArray<Case> = [
  ["true", reads({ kind: "snapshot" })],
  ["null", fallsBack({})],
  [undefined, reads({})],
  ...["tru", "fals", "truE", "falsE", "0", "1", "\"true\"", "nul", ""].map((raw): Case => [raw, refused])
]

/** Frames name their levels by it; a count that is none of ours is as good as none. */
const levelCount = (known: ReadonlyArray<number>): ReadonlyArray<Case> => [
  ...known.map((levels): Case => [text(String(levels)), reads({})]),
  [undefined, reads({})],
  ...[text("7"), text("1000"), text("10"), String(known[0]), "null"].map((raw): Case => [raw, fallsBack({})]),
  ["[]", refused]
]

const deltas = (adapter: ExchangeAdapter, stream: "obu" | "order_book_update"): Subject => {
  const isObu = stream === "obu"
  const channel = `${prefixOf(adapter)}.${stream}`
  const sides = isObu || adapter.kind === "spot" ? levels : sizedLevels
  const [bids, asks] = sides === levels
    ? [`[["9.5","1"],["9","0"]]`, `[["10","2.5"]]`]
    : [`[{"p":"9.5","s":1},{"p":"9","s":0}]`, `[{"p":"10","s":"2.5"}]`]
  return {
    adapter,
    channel,
    event: "update",
    isList: false,
    topic: isObu
      ? `${channel}|ob.BTC_USDT.50`
      : adapter.kind === "spot"
      ? `${channel}|BTC_USDT|100ms`
      : `${channel}|BTC_USDT|100ms|100`,
    members: [
      member("t", "1780000000390", time("exchangeTime")),
      member("full", "false", flag),
      ...(isObu ? [] : [member("l", text("100"), levelCount(adapter.kind === "spot" ? [20, 100] : [20, 50, 100]))]),
      member("e", text("depthUpdate"), unread),
      member("E", "1780000000", unread),
      member(
        "s",
        text(isObu ? "ob.BTC_USDT.50" : "BTC_USDT"),
        symbol(adapter, isObu ? (name) => `ob.${name}.50` : undefined)
      ),
      member(
        "U",
        "100",
        version((digits) => BigInt(digits) <= 1_000_000n ? reads({ firstVersion: sequence(digits) }) : refused, refused)
      ),
      member(
        "u",
        "1000000",
        version((digits) => BigInt(digits) >= 100n ? reads({ version: sequence(digits) }) : refused, refused)
      ),
      member("b", bids, sides("bids")),
      member("a", asks, sides("asks"))
    ],
    expected: {
      _tag: "BookUpdate",
      kind: "delta",
      ...named(adapter),
      ...sizeOfContract(adapter),
      bids: [9.5, 1, 9, 0],
      asks: [10, 2.5],
      firstVersion: 100,
      version: 1_000_000,
      exchangeTime: 1_780_000_000_390
    }
  }
}

const wholeBook = (adapter: ExchangeAdapter): Subject => {
  const isSpot = adapter.kind === "spot"
  const sides = isSpot ? levels : sizedLevels
  const [bids, asks] = isSpot
    ? [`[["9.5","1"],["9","0.5"]]`, `[["10","2.5"]]`]
    : [`[{"p":"9.5","s":1},{"p":"9","s":"0.5"}]`, `[{"p":"10","s":"2.5"}]`]
  const channel = `${prefixOf(adapter)}.order_book`
  const both = (digits: string): Outcome => reads({ version: sequence(digits), firstVersion: sequence(digits) })
  return {
    adapter,
    channel,
    event: isSpot ? "update" : "all",
    isList: false,
    topic: `${channel}|BTC_USDT|20|${isSpot ? "100ms" : "0"}`,
    members: [
      member("t", "1780000000390", time("exchangeTime")),
      member(
        isSpot ? "lastUpdateId" : "id",
        "48791820",
        version(both, isSpot ? refused : fallsBack({ version: 0, firstVersion: 0 }))
      ),
      member(isSpot ? "s" : "contract", text("BTC_USDT"), symbol(adapter)),
      member("l", text("20"), levelCount([5, 20, 100]).filter(([raw]) => raw !== text("10"))),
      member("bids", bids, sides("bids")),
      member("asks", asks, sides("asks"))
    ],
    expected: {
      _tag: "BookUpdate",
      kind: "snapshot",
      ...named(adapter),
      ...sizeOfContract(adapter),
      bids: [9.5, 1, 9, 0.5],
      asks: [10, 2.5],
      firstVersion: 48_791_820,
      version: 48_791_820,
      exchangeTime: 1_780_000_000_390
    }
  }
}

/** The last price has to be there; it may be 0. */
const lastPrice: ReadonlyArray<Case> = [
  ...sideQuantity("lastPrice"),
  ["1", refused]
]

const spotDay: Subject = {
  adapter: gateSpot,
  channel: "spot.tickers",
  event: "update",
  isList: false,
  topic: "spot.tickers|BTC_USDT",
  members: [
    member("currency_pair", text("BTC_USDT"), symbol(gateSpot)),
    member("last", text("77000.5"), lastPrice),
    member("lowest_ask", text("77001"), optional("askPrice", true)),
    member("highest_bid", text("77000"), optional("bidPrice", true)),
    member("change_percentage", text("-1.25"), change),
    member("base_volume", text("1500.5"), optional("baseVolume")),
    member("quote_volume", text("115000000.5"), optional("quoteVolume")),
    member("high_24h", text("78000"), optional("highPrice")),
    member("low_24h", text("76000"), optional("lowPrice"))
  ],
  expected: {
    _tag: "Ticker",
    ...named(gateSpot),
    lastPrice: 77000.5,
    bidPrice: 77000,
    askPrice: 77001,
    highPrice: 78000,
    lowPrice: 76000,
    change: -0.0125,
    baseVolume: 1500.5,
    quoteVolume: 115_000_000.5,
    exchangeTime: sentAt
  }
}

const futuresDay: Subject = {
  adapter: gateFutures,
  channel: "futures.tickers",
  event: "update",
  isList: true,
  topic: "futures.tickers|BTC_USDT",
  members: [
    member("contract", text("BTC_USDT"), symbol(gateFutures)),
    member("last", text("77000.5"), lastPrice),
    member("change_percentage", text("-1.25"), change),
    member("total_size", text("306752364.5"), optionalSize("openInterest")),
    member("volume_24h", text("590157635"), optionalSize("contractVolume")),
    member("volume_24h_base", text("59015"), optionalSize("baseVolume")),
    member("volume_24h_quote", text("4554502625"), optionalSize("quoteVolume")),
    member("volume_24h_settle", text("4554502625"), unread),
    member("mark_price", text("77183.5"), optional("markPrice")),
    member("funding_rate", text("-0.000029"), signed("fundingRate")),
    member("funding_rate_indicative", text("-0.000029"), unread),
    member("funding_interval", "28800", time("fundingInterval", null, 1000, "Read")),
    member("funding_offset", "0", unread),
    member("funding_next_apply", "1780012800", time("nextFundingTime", null, 1000, "Read")),
    member("index_price", text("77221.8"), optional("indexPrice")),
    member("quanto_base_rate", text(""), unread),
    member("price_type", text("last"), unread),
    member("low_24h", text("76000"), optional("lowPrice")),
    member("high_24h", text("78000"), optional("highPrice")),
    member("t", "1780000000302", time("exchangeTime", sentAt, 1, "Read"))
  ],
  expected: {
    _tag: "FuturesTicker",
    ...named(gateFutures),
    ...sizeOfContract(gateFutures),
    lastPrice: 77000.5,
    markPrice: 77183.5,
    indexPrice: 77221.8,
    fundingRate: -0.000029,
    nextFundingTime: 1_780_012_800_000,
    fundingInterval: 28_800_000,
    openInterest: 306_752_364.5,
    highPrice: 78000,
    lowPrice: 76000,
    change: -0.0125,
    contractVolume: 590_157_635,
    baseVolume: 59_015,
    quoteVolume: 4_554_502_625,
    exchangeTime: 1_780_000_000_302
  }
}

// ---- Slow streams ----

/** As a decimal of a book ticker: it must be there, and may be 0. */
const required = (name: string): ReadonlyArray<Case> => [...sideQuantity(name), ["1", refused]]

const openTime: ReadonlyArray<Case> = [
  ["0", reads({ openTime: 0 })],
  ["1", reads({ openTime: 1_000 })],
  ["1780000000.5", reads({ openTime: 1_780_000_000_500 })],
  [text("1780000001"), reads({ openTime: 1_780_000_001_000 })],
  ...["null", "-1", "\"soon\"", "\"\"", "true", "9007199254740993"].map((raw): Case => [raw, refused]),
  [undefined, refused]
]

const closed: ReadonlyArray<Case> = [
  ["true", reads({ closed: true })],
  ["null", reads({ closed: null })],
  [undefined, reads({ closed: null })],
  ...["0", "\"true\"", "tru", "[]"].map((raw): Case => [raw, refused])
]

const candleName = (adapter: ExchangeAdapter): ReadonlyArray<Case> => [
  ...symbol(adapter, (name) => `1m_${name}`),
  [text("5m_BTC_USDT"), reads({ interval: "5m" })],
  [text("7d_BTC_USDT"), reads({ interval: "1w" })],
  [text("10s_BTC_USDT"), reads({ interval: "10s" })],
  [text("1m_mark_BTC_USDT"), reads({ price: "mark" })],
  [text("1m_index_BTC_USDT"), reads({ price: "index" })],
  ...["BTC_USDT", "1m", "1m_", "m_BTC_USDT", "1M_BTC_USDT", "2m_BTC_USDT", "1mBTC_USDT", "1000m_BTC_USDT"].map((
    name
  ): Case => [text(name), refused])
]

const candle = (adapter: ExchangeAdapter): Subject => {
  const isSpot = adapter.kind === "spot"
  const channel = `${prefixOf(adapter)}.candlesticks`
  const volume = isSpot ? "quoteVolume" : "contractVolume"
  return {
    adapter,
    channel,
    event: "update",
    isList: !isSpot,
    isSlow: true,
    topic: `${channel}|1m|BTC_USDT`,
    members: [
      member("t", "1780000000", openTime),
      member("v", text("345.5"), optionalSize(volume)),
      member("c", text("77000.5"), required("close")),
      member("h", text("77010"), required("high")),
      member("l", text("76990"), required("low")),
      member("o", text("76995.5"), required("open")),
      member("n", text("1m_BTC_USDT"), candleName(adapter)),
      member("a", text("4.25"), optionalSize("baseVolume")),
      member("w", "false", closed)
    ],
    expected: {
      _tag: "Kline",
      ...named(adapter),
      interval: "1m",
      price: "last",
      openTime: 1_780_000_000_000,
      closeTime: null,
      open: 76995.5,
      high: 77010,
      low: 76990,
      close: 77000.5,
      baseVolume: 4.25,
      quoteVolume: null,
      contractVolume: null,
      [volume]: 345.5,
      closed: false,
      exchangeTime: sentAt
    }
  }
}

/** Seconds until 2026-08-20, ms since. */
const liquidationTime: ReadonlyArray<Case> = [
  ["1780000000123", reads({ exchangeTime: 1_780_000_000_123 })],
  ["1780000000", reads({ exchangeTime: 1_780_000_000_000 })],
  ["99999999999", reads({ exchangeTime: 99_999_999_999_000 })],
  ["100000000000", reads({ exchangeTime: 100_000_000_000 })],
  [text("1780000000.25"), reads({ exchangeTime: 1_780_000_000_250 })],
  ...["0", "null", undefined].map((raw): Case => [raw, reads({ exchangeTime: 1_780_000_000_500 })]),
  ...["-1", "\"soon\"", "true"].map((raw): Case => [raw, refused])
]

const liquidation: Subject = {
  adapter: gateFutures,
  channel: "futures.public_liquidates",
  event: "update",
  isList: true,
  isSlow: true,
  topic: "futures.public_liquidates|BTC_USDT",
  members: [
    member("price", text("215.5"), [...positive("price").filter(([raw]) => raw !== "1"), ...bare("price", refused)]),
    member("size", text("-124.5"), [
      ...signedSize("quantity").map(([raw, outcome]): Case => [
        raw,
        outcome._tag === "Refused" ? outcome : { ...outcome, patch: { side: "buy", ...outcome.patch } }
      ])
    ]),
    member("time", "1780000000999", liquidationTime),
    member("time_ms", "1780000000500", [["null", reads({})], [undefined, reads({})], ["true", refused]]),
    member("contract", text("BTC_USDT"), symbol(gateFutures))
  ],
  expected: {
    _tag: "Liquidation",
    ...named(gateFutures),
    ...sizeOfContract(gateFutures),
    price: 215.5,
    quantity: 124.5,
    side: "sell",
    exchangeTime: 1_780_000_000_999
  }
}

const statsNames = {
  mark_price: "markPrice",
  lsr_taker: "takerRatio",
  lsr_account: "accountRatio",
  top_lsr_account: "topAccountRatio",
  top_lsr_size: "topSizeRatio",
  long_liq_size: "longLiquidations",
  short_liq_size: "shortLiquidations",
  open_interest: "openInterest",
  open_interest_usd: "openInterestValue"
} as const

const stats: Subject = {
  adapter: gateFutures,
  channel: "futures.contract_stats",
  event: "update",
  isList: true,
  isSlow: true,
  topic: "futures.contract_stats|BTC_USDT|1m",
  members: [
    member("time", "1780000000", time("exchangeTime", null, 1000)),
    member("contract", text("BTC_USDT"), symbol(gateFutures)),
    ...Object.entries(statsNames).map(([key, name], index) => member(key, `${index}.5`, optionalSize(name)))
  ],
  expected: {
    _tag: "ContractStats",
    ...named(gateFutures),
    ...sizeOfContract(gateFutures),
    interval: "1m",
    ...Object.fromEntries(Object.values(statsNames).map((name, index) => [name, index + 0.5])),
    exchangeTime: 1_780_000_000_000
  }
}

const slow: ReadonlyArray<Subject> = [candle(gateSpot), candle(gateFutures), liquidation, stats]

const subjects: ReadonlyArray<Subject> = [
  tickerOf(gateSpot),
  spotTrade,
  deltas(gateSpot, "obu"),
  deltas(gateSpot, "order_book_update"),
  wholeBook(gateSpot),
  spotDay,
  tickerOf(gateFutures),
  futuresTrade,
  deltas(gateFutures, "obu"),
  deltas(gateFutures, "order_book_update"),
  wholeBook(gateFutures),
  futuresDay
]

const codecOf = ({ adapter }: Subject) => adapter.makeCodec(topicTable(adapter))

const checkOutcome = (codec: Codec, subject: Subject, frame: string, outcome: Outcome, what: string): void => {
  const calls = decode(frame, codec)
  // The general decoder alone, which whitespace leaves everything to.
  const general = decode(`\n${frame}`, codec)
  if (outcome._tag === "Refused") {
    for (const each of [calls, general]) {
      assert.deepStrictEqual(each.flatMap(({ call }) => call === "fallback" ? [] : [call]), ["failed"], what)
    }
    return
  }
  const wanted = [{ ...subject.expected, ...outcome.patch }]
  assert.deepStrictEqual(eventsOf(calls) as ReadonlyArray<unknown>, wanted, what)
  assert.deepStrictEqual(eventsOf(general) as ReadonlyArray<unknown>, wanted, `${what}, generally`)
  assert.strictEqual(isFallback(calls), outcome._tag === "Fallback" && subject.isSlow !== true, `${what}: who reads it`)
  assert.strictEqual(isFallback(general), subject.isSlow !== true)
}

describe("fields", () => {
  for (const subject of [...subjects, ...slow]) {
    it(`${subject.channel}: as it stands`, () => {
      checkOutcome(codecOf(subject), subject, frameOf(subject), reads({}), "whole")
      const [call] = decode(frameOf(subject), codecOf(subject))
      assert.strictEqual(call?.call === "event" ? call.topic : call?.call, subject.topic)
    })
    for (const { cases, key } of subject.members) {
      it(`${subject.channel}: ${key}`, () => {
        const codec = codecOf(subject)
        for (const [raw, outcome] of cases) {
          checkOutcome(codec, subject, frameOf(subject, key, raw), outcome, `${key} ${String(raw).slice(0, 60)}`)
        }
      })
    }
  }
})

/** A side of best prices: two fields that are judged together. */
describe("sides", () => {
  type Row = readonly [price: string, quantity: string, side: readonly [number | null, number | null] | null]
  const rows: ReadonlyArray<Row> = [
    ["1", "2", [1, 2]],
    ["1", "0", [1, 0]],
    ["", "", [null, null]],
    ["0", "0", [null, null]],
    ["", "0", [null, null]],
    ["0", "", [null, null]],
    ["0.0", "0.00", [null, null]],
    ["0", "1", null],
    ["", "1", null],
    ["x", "", null],
    ["x", "0", null],
    ["x", "1", null],
    ["1", "", null],
    ["1", "x", null],
    ["", "x", null],
    ["0", "x", null]
  ]
  for (const adapter of [gateSpot, gateFutures]) {
    const subject = tickerOf(adapter)
    for (const [name, price, quantity] of [["bid", "b", "B"], ["ask", "a", "A"]] as const) {
      it(`${subject.channel}: ${name}`, () => {
        for (const [priceText, quantityText, side] of rows) {
          const values: Readonly<Record<string, string>> = { [price]: text(priceText), [quantity]: text(quantityText) }
          const members = subject.members.map(({ key, raw }) => [key, values[key] ?? raw] as const)
          const patch = side === null ? null : { [`${name}Price`]: side[0], [`${name}Quantity`]: side[1] }
          checkOutcome(
            codecOf(subject),
            subject,
            envelope(subject, objectOf(members)),
            patch === null ? refused : reads(patch),
            `${priceText} ${quantityText}`
          )
        }
      })
    }
  }

  it("a delta without version is none, also when it begins at 0", () => {
    for (const adapter of [gateSpot, gateFutures]) {
      const subject = deltas(adapter, "order_book_update")
      const members = subject.members.flatMap(({ key, raw }) =>
        key === "u" ? [] : [[key, key === "U" ? "0" : raw] as const]
      )
      checkOutcome(codecOf(subject), subject, envelope(subject, objectOf(members)), refused, "without u")
    }
  })

  it("a snapshot without its first version begins at its version", () => {
    for (const stream of ["obu", "order_book_update"] as const) {
      const subject = deltas(gateSpot, stream)
      const full = (flag: string) =>
        envelope(
          subject,
          objectOf(
            subject.members.flatMap(({ key, raw }) => key === "U" ? [] : [[key, key === "full" ? flag : raw] as const])
          )
        )
      const outcome = reads({ kind: "snapshot", firstVersion: 1_000_000 })
      checkOutcome(codecOf(subject), subject, full("true"), outcome, "full")
      checkOutcome(codecOf(subject), subject, full("false"), refused, "not full")
    }
  })
})

// ---- Structure ----

const isJson = (frame: string): boolean => {
  try {
    JSON.parse(frame)
    return true
  } catch {
    return false
  }
}

/** Both ways say the same, and neither makes data of what is no JSON. */
const checkDamaged = (codec: Codec, frame: string): void => {
  const events = eventsOf(decode(frame, codec))
  if (isJson(frame)) assert.deepStrictEqual(eventsOf(decode(`\n${frame}`, codec)), events, frame)
  else assert.deepStrictEqual(events, [], frame)
}

describe("structure", () => {
  for (const subject of subjects) {
    it(`${subject.channel}: a byte lost, or another in its place`, () => {
      const frame = frameOf(subject)
      const codec = codecOf(subject)
      for (let place = 0; place < frame.length; place++) {
        const [before, behind] = [frame.slice(0, place), frame.slice(place + 1)]
        for (const other of ["", ",", "\"", "}"]) checkDamaged(codec, before + other + behind)
      }
    })

    it(`${subject.channel}: members in reverse, and twice`, () => {
      const codec = codecOf(subject)
      const members = subject.members.map(({ key, raw }) => [key, raw] as const)
      const reversed = envelope(subject, objectOf([...members].reverse()))
      // Frames of one connection may change their order at any time.
      for (const frame of [frameOf(subject), reversed, reversed, frameOf(subject), frameOf(subject)]) {
        const calls = decode(frame, codec)
        assert.deepStrictEqual(eventsOf(calls) as ReadonlyArray<unknown>, [subject.expected])
        assert.isFalse(isFallback(calls))
      }
      for (const twice of subject.members.filter(({ cases }) => cases !== unread)) {
        const before = objectOf([[twice.key, "\"?\""], ...members])
        const calls = decode(envelope(subject, before), codec)
        assert.deepStrictEqual(eventsOf(calls) as ReadonlyArray<unknown>, [subject.expected], twice.key)
        assert.isTrue(isFallback(calls), twice.key)
        const same = decode(envelope(subject, objectOf([...members, [twice.key, twice.raw]])), codec)
        assert.deepStrictEqual(eventsOf(same) as ReadonlyArray<unknown>, [subject.expected], twice.key)
        assert.isTrue(isFallback(same), twice.key)
      }
    })

    it(`${subject.channel}: names of members that are nearly known`, () => {
      const { key } = subject.members[0]!
      for (const other of [`${key}${key}`, `${key}x`, `x${key}`, key.slice(0, -1), `~${key}`, ` ${key}`, "}{"]) {
        const calls = decode(frameOf(subject).replace("\"result\":{", `$&"${other}":0,`), codecOf(subject))
        const isAlone = !frameOf(subject).includes("\"result\":{")
        assert.deepStrictEqual(eventsOf(calls) as ReadonlyArray<unknown>, [subject.expected])
        assert.isFalse(isFallback(calls) && !isAlone, other)
      }
    })

    it(`${subject.channel}: what the envelope holds beside`, () => {
      const frame = frameOf(subject)
      for (const more of ["\"conn_id\":\"\"", "\"error\":null", "\"x\":\"{\"", "\"time_in_ms\":1"]) {
        for (const where of [frame.replace("{", `{${more},`), frame.replace(/}$/, `,${more}}`)]) {
          const calls = decode(where, codecOf(subject))
          assert.deepStrictEqual(eventsOf(calls) as ReadonlyArray<unknown>, [subject.expected], where)
          assert.isFalse(isFallback(calls), where)
        }
      }
      const calls = (changed: string) => decode(changed, codecOf(subject)).map(({ call }) => call)
      assert.deepStrictEqual(calls(frame.replace(/}$/, ",\"error\":{\"code\":2,\"message\":\"x\"}}")), ["rejected"])
      assert.deepStrictEqual(calls(frame.replace(/}$/, ",\"error\":nul}")), ["failed"])
      assert.deepStrictEqual(calls(frame.replace(`"event":"${subject.event}"`, "\"event\":\"other\"")), ["ignored"])
      assert.deepStrictEqual(
        calls(frame.replace(`"event":"${subject.event}"`, `"event":"${subject.event}s"`)),
        ["ignored"]
      )
      assert.deepStrictEqual(calls(frame.replace(`"event":"${subject.event}",`, "")), ["event"])
      assert.deepStrictEqual(calls(frame.replace(subject.channel, `${subject.channel}s`)), ["ignored"])
      assert.deepStrictEqual(calls(frame.replace(subject.channel, subject.channel.slice(0, -1))), ["ignored"])
      assert.deepStrictEqual(calls(frame.replace(/,"result.*/, "}")).filter((call) => call !== "fallback"), ["failed"])
    })

    it(`${subject.channel}: a result that is a list`, () => {
      const one = objectOf(subject.members.map(({ key, raw }) => [key, raw] as const))
      const calls = (result: string) => decode(envelope({ ...subject, isList: false }, result), codecOf(subject))
      const listed = calls(`[${one},${one}]`)
      // Best prices come alone, and were seen as a list.
      if (!subject.isList && subject.channel !== "futures.book_ticker") {
        assert.deepStrictEqual(listed.map(({ call }) => call), ["fallback", "failed"])
        return
      }
      for (const [result, count] of [[one, 1], [`[${one}]`, 1], [`[${one},${one},${one}]`, 3]] as const) {
        assert.deepStrictEqual(
          eventsOf(calls(result)) as ReadonlyArray<unknown>,
          Array.from({ length: count }, () => subject.expected)
        )
        assert.isFalse(isFallback(calls(result)))
      }
      assert.deepStrictEqual(calls("[]").map(({ call }) => call), ["ignored"])
      for (
        const bad of [`[${one},]`, `[${one}${one}]`, `[,${one}]`, `[${one}`, `[${one}}`, `[${one},{}]`, `[{},${one}]`]
      ) {
        assert.deepStrictEqual(calls(bad).filter(({ call }) => call !== "fallback").map(({ call }) => call), ["failed"])
      }
    })
  }

  it("fields of one entry of a list are not those of the next", () => {
    const codec = codecOf(futuresDay)
    const least = objectOf([["contract", text("BTC_USDT")], ["last", text("1")]])
    const whole = objectOf(futuresDay.members.map(({ key, raw }) => [key, raw] as const))
    const long = whole.replace("77183.5", "77183.50000000000001")
    const nothing = Object.fromEntries(
      Object.entries(futuresDay.expected).map(([name, value]) => [name, typeof value === "number" ? null : value])
    )
    const alone = {
      ...nothing,
      receivedAt,
      contractSize,
      lastPrice: 1,
      exchangeTime: sentAt
    }
    const calls = decode(envelope({ ...futuresDay, isList: false }, `[${long},${least},${whole}]`), codec)
    assert.isFalse(isFallback(calls))
    assert.deepStrictEqual(eventsOf(calls) as ReadonlyArray<unknown>, [
      { ...futuresDay.expected, exact: { markPrice: "77183.50000000000001" } },
      alone,
      futuresDay.expected
    ])
  })

  it("what one frame holds is not in the next", () => {
    const whole = tickerOf(gateSpot)
    const codec = codecOf(whole)
    decode(frameOf(whole), codec)
    for (const { cases, key } of whole.members) {
      if (cases === unread || key === "t") continue
      const calls = decode(frameOf(whole, key, undefined), codec)
      assert.deepStrictEqual(calls.map(({ call }) => call), ["fallback", "failed"], key)
    }
    const book = deltas(gateSpot, "obu")
    const books = codecOf(book)
    decode(frameOf(book, "full", "true"), books)
    decode(frameOf(book, "b", "[[\"1.0000000000000000001\",\"1\"]]"), books)
    const [event] = eventsOf(decode(frameOf(book, "b", undefined), books))
    assert.deepStrictEqual(event as unknown, { ...book.expected, bids: [] })
    const [other] = eventsOf(decode(frameOf(book, "a", undefined), books))
    assert.deepStrictEqual(other as unknown, { ...book.expected, asks: [] })
  })

  it("streams of one connection take turns", () => {
    for (const adapter of [gateSpot, gateFutures]) {
      const codec = adapter.makeCodec(topicTable(adapter))
      const own = subjects.filter((subject) => subject.adapter === adapter)
      for (const subject of [...own, ...[...own].reverse(), ...own]) {
        const calls = decode(frameOf(subject), codec)
        assert.deepStrictEqual(eventsOf(calls) as ReadonlyArray<unknown>, [subject.expected])
        assert.isFalse(isFallback(calls))
      }
    }
  })
})
