/** How Gate frames are judged: what is refused, what falls back, and how topics are found. */
import { assert, describe, it } from "@effect/vitest"
import { gateSpot } from "../../src/exchanges/gate/GateSpot.ts"
import type { Call } from "./GateHarness.ts"
import { bytesOf, decode, eventsOf, isFallback, receivedAt, recorder, topicTable } from "./GateHarness.ts"

const envelope = (channel: string, result: string): string =>
  `{"time":1780000000,"time_ms":1780000000321,"channel":"${channel}","event":"update","result":${result}}`

const ticker = (symbol: string, version = 7): string =>
  envelope("spot.book_ticker", `{"t":1780000000310,"u":${version},"s":"${symbol}","b":"1","B":"2","a":"3","A":"4"}`)

const trade = envelope(
  "spot.trades",
  `{"id":5,"create_time":1780000000,"create_time_ms":"1780000000300.5","side":"buy","currency_pair":"BTC_USDT",` +
    `"amount":"0.5","price":"94000.1","range":"1-1"}`
)

const obu = (members: string): string =>
  `{"channel":"spot.obu","result":{"t":1780000000390,${members}},"time_ms":1780000000400,"event":"update"}`

const delta = obu(`"s":"ob.BTC_USDT.50","U":6,"u":9,"b":[["1.5","2"],["1.25","0"]],"a":[["3","4"]]`)

const update = (members: string): string =>
  envelope("spot.order_book_update", `{"t":1780000000280,"e":"depthUpdate","E":1780000000,${members}}`)

const labelled = update(`"l":"100","s":"BTC_USDT","U":2,"u":5,"b":[["1","2"]],"a":[]`)

const samples = { ticker: ticker("BTC_USDT"), trade, delta, update: labelled }

const callsOnly = (calls: ReadonlyArray<Call>): ReadonlyArray<string> => calls.map((call) => call.call)

/** The frame must be refused, with one reason and no event. */
const checkRefused = (frame: string | Uint8Array): string => {
  const calls = decode(frame)
  const [last] = calls.slice(-1)
  assert(last?.call === "failed", JSON.stringify(callsOnly(calls)))
  assert.deepStrictEqual(callsOnly(calls).filter((call) => call !== "fallback"), ["failed"])
  return last.detail
}

const side = (count: number): string => Array.from({ length: count }, (_, i) => `["${i + 1}.5","${i}"]`).join(",")

describe("sides of a book", () => {
  it("of a thousand levels are scanned, and longer ones read by the generic decoder, with the same levels", () => {
    for (const [count, calls] of [[999, ["event"]], [1_000, ["event"]], [1_001, ["fallback", "event"]]] as const) {
      const frame = obu(`"s":"ob.BTC_USDT.400","U":6,"u":9,"b":[${side(count)}],"a":[["0.5","1"]]`)
      const scanned = decode(frame)
      assert.deepStrictEqual(callsOnly(scanned), calls)
      assert.deepStrictEqual(eventsOf(scanned), eventsOf(decode(`\n${frame}`)))
    }
  })
})

describe("the samples", () => {
  for (const [name, frame] of Object.entries(samples)) {
    it(`${name} is read without a fallback`, () => {
      assert.deepStrictEqual(callsOnly(decode(frame)), ["event"])
    })
    it(`${name} reads the same through the generic decoder`, () => {
      const generic = decode(`\n${frame} `)
      assert.deepStrictEqual(callsOnly(generic), ["fallback", "event"])
      assert.deepStrictEqual(eventsOf(generic), eventsOf(decode(frame)))
    })
    it(`no beginning of ${name} is data`, () => {
      for (let length = 0; length < frame.length; length++) {
        const calls = checkRefused(frame.slice(0, length))
        // Nor with the rest of it as what follows in the socket's memory.
        const behind = decode(frame.slice(0, length), undefined, frame.slice(length))
        assert.deepStrictEqual(behind, decode(frame.slice(0, length)), calls)
      }
    })
    it(`${name} with something behind it is no data`, () => {
      for (const more of ["}", ",", "x", frame, "\u0000", "{}"]) checkRefused(frame + more)
    })
    it(`${name} behind a byte order mark is no data`, () => {
      checkRefused(`\ufeff${frame}`)
    })
    it(`${name} is read from a view of a larger buffer, which is used again`, () => {
      const buffer = new Uint8Array(frame.length + 20).fill(0x5b)
      buffer.set(bytesOf(frame), 10)
      const codec = gateSpot.makeCodec(topicTable())
      const first = eventsOf(decode(buffer.subarray(10, 10 + frame.length), codec))
      buffer.fill(0)
      assert.deepStrictEqual(eventsOf(decode(frame, codec)), first)
    })
  }
})

describe("what is refused", () => {
  const side = (b: string, B: string) =>
    envelope("spot.book_ticker", `{"t":1,"u":7,"s":"BTC_USDT","b":${b},"B":${B},"a":"3","A":"4"}`)
  const traded = (name: string, value: string) => {
    const members: Record<string, string> = {
      id: "5",
      create_time_ms: "\"1780000000300.5\"",
      side: "\"buy\"",
      currency_pair: "\"BTC_USDT\"",
      amount: "\"0.5\"",
      price: "\"1\""
    }
    members[name] = value
    const text = Object.entries(members).filter(([, raw]) => raw !== "").map(([key, raw]) => `"${key}":${raw}`)
    return envelope("spot.trades", `{${text.join(",")}}`)
  }
  const book = (levels: string) => obu(`"s":"ob.BTC_USDT.50","U":6,"u":9,"b":${levels}`)
  const cases: Readonly<Record<string, string>> = {
    "a negative price": side("\"-1\"", "\"2\""),
    "an exponent": side("\"1e5\"", "\"2\""),
    "a price of 0 with a quantity": side("\"0\"", "\"2\""),
    "a price without quantity": side("\"1\"", "\"\""),
    "a quantity without price": side("\"\"", "\"2\""),
    "NaN": side("\"NaN\"", "\"2\""),
    "a comma for a point": side("\"1,5\"", "\"2\""),
    "a price that is a number": side("1", "\"2\""),
    "a price that is null": side("null", "\"2\""),
    "a price with a control character": side("\"1\u0001\"", "\"2\""),
    "a ticker without version": envelope("spot.book_ticker", `{"t":1,"s":"BTC_USDT","b":"1","B":"2","a":"3","A":"4"}`),
    "a ticker without a side": envelope("spot.book_ticker", `{"t":1,"u":7,"s":"BTC_USDT","b":"1","B":"2"}`),
    "a ticker without pair": envelope("spot.book_ticker", `{"t":1,"u":7,"b":"1","B":"2","a":"3","A":"4"}`),
    "a negative version": ticker("BTC_USDT", -7),
    "a version with a fraction": ticker("BTC_USDT", 7.5),
    "a version with an exponent beyond 2^53": ticker("BTC_USDT").replace("\"u\":7", "\"u\":1e30"),
    "a time that is no time": ticker("BTC_USDT").replace("\"t\":1780000000310", "\"t\":\"soon\""),
    "a negative time": ticker("BTC_USDT").replace("\"t\":1780000000310", "\"t\":-1"),
    "a leading zero": ticker("BTC_USDT").replace("\"u\":7", "\"u\":07"),
    "a pair without underscore": ticker("BTCUSDT"),
    "a pair without quote": ticker("BTC_"),
    "a pair without base": ticker("_USDT"),
    "a pair with a space": ticker("BTC _USDT"),
    "a pair with our separator": ticker("B|C_USDT"),
    "a pair with a quote": ticker("B\\\"C_USDT"),
    "a pair with half a surrogate": ticker("\\ud800_USDT"),
    "an endless pair": ticker(`${"X".repeat(200)}_USDT`),
    "an unknown side": traded("side", "\"hold\""),
    "an amount of 0": traded("amount", "\"0\""),
    "a price of 0": traded("price", "\"0.0\""),
    "a trade without id": traded("id", ""),
    "a trade without pair": traded("currency_pair", ""),
    "an id that is no number": traded("id", "\"x\""),
    "a trade's time that is none": traded("create_time_ms", "\"soon\""),
    "a list of trades": envelope("spot.trades", "[]"),
    "no result": "{\"channel\":\"spot.trades\",\"event\":\"update\"}",
    "a result that is text": envelope("spot.trades", "\"x\""),
    "a delta without U": obu(`"s":"ob.BTC_USDT.50","u":9`),
    "U behind u": obu(`"s":"ob.BTC_USDT.50","U":10,"u":9`),
    "a book without u": obu(`"full":true,"s":"ob.BTC_USDT.50"`),
    "a book without stream": obu(`"full":true,"u":9`),
    "a stream that is none": obu(`"full":true,"s":"BTC_USDT","u":9`),
    "a stream without underscore": obu(`"full":true,"s":"ob.BTCUSDT.50","u":9`),
    "a stream without level": obu(`"full":true,"s":"ob.BTC_USDT","u":9`),
    "full that is text": obu(`"full":"true","s":"ob.BTC_USDT.50","u":9`),
    "a level with a negative quantity": book(`[["1","-2"]]`),
    "a level with a price of 0": book(`[["0","2"]]`),
    "a level of one": book(`[["1"]]`),
    "a level of three": book(`[["1","2","3"]]`),
    "a level of numbers": book(`[[1,2]]`),
    "a level as on futures": book(`[{"p":"1","s":"2"}]`),
    "levels that are no list": book(`{}`),
    "levels that are text": book(`"[]"`),
    "an empty level": book(`[[]]`),
    "levels without end": book(`[["1","2"]`),
    "levels with a comma too many": book(`[["1","2"],]`),
    "a nameless channel that is a number": "{\"channel\":7,\"event\":\"update\"}",
    "a list": "[1]",
    "text": "\"x\"",
    "null": "null",
    "nothing": "",
    "a comma too many": ticker("BTC_USDT").replace(/}}$/, ",}}"),
    "a key without quotes": ticker("BTC_USDT").replace("\"time\"", "time"),
    "a key without colon": ticker("BTC_USDT").replace("\"time\":", "\"time\""),
    "an unread value that is none": ticker("BTC_USDT").replace("1780000000,", "tru,"),
    "an unread text without end": "{\"time\":\"x",
    "a raw line break in an unread text": ticker("BTC_USDT").replace("1780000000,", "\"\n\",")
  }
  for (const [name, frame] of Object.entries(cases)) {
    it(name, () => {
      checkRefused(frame)
    })
  }

  it("bytes that are no UTF-8, in a name, in a text, in a key", () => {
    for (const [text, offset] of [["BTC_USDT", 1], ["update", 0], ["time_ms", 2]] as const) {
      const frame = bytesOf(ticker("BTC_USDT")).slice()
      frame[Buffer.from(frame).indexOf(text) + offset] = 0xff
      checkRefused(frame)
    }
    assert.strictEqual(checkRefused(Uint8Array.of(0xc3, 0x28)), "not UTF-8")
  })

  it("a hundred thousand brackets, and five megabytes of them with numbers", () => {
    checkRefused("[".repeat(100_000) + "]".repeat(100_000))
    checkRefused(`[${"1234567890123456789,".repeat(250_000)}1]`)
    checkRefused(`{"channel":"spot.trades","x":${"[".repeat(50_000)}1234567890123456789${"]".repeat(50_000)}}`)
  })

  it("reasons are short enough for a log line", () => {
    const symbol = `${"X".repeat(5000)}_USDT`
    assert.isBelow(checkRefused(ticker(symbol)).length, 400)
    const ignored = decode(`{"channel":"${symbol}","event":"${symbol}"}`)
    assert(ignored[0]?.call === "ignored")
    assert.isBelow(ignored[0].detail.length, 400)
  })
})

describe("what falls back and is read", () => {
  const cases: Readonly<Record<string, readonly [frame: string, event: object]>> = {
    "equal keys: the last counts": [
      ticker("BTC_USDT").replace("\"u\":7", "\"u\":6,\"u\":8"),
      { version: 8 }
    ],
    "equal keys in the envelope": [
      ticker("BTC_USDT").replace("\"event\":\"update\"", "\"event\":\"other\",\"event\":\"update\""),
      { version: 7 }
    ],
    "a channel behind its result": [
      `{"result":{"t":1,"u":7,"s":"BTC_USDT","b":"1","B":"2","a":"3","A":"4"},"channel":"spot.book_ticker"}`,
      { version: 7 }
    ],
    "an escaped channel": [ticker("BTC_USDT").replace("book_ticker", "book\\u005fticker"), { version: 7 }],
    "an escaped key": [ticker("BTC_USDT").replace("\"u\":7", "\"\\u0075\":7"), { version: 7 }],
    "a version as text": [ticker("BTC_USDT").replace("\"u\":7", "\"u\":\"9007199254740993\""), {
      version: 9007199254740993n
    }],
    "no time": [ticker("BTC_USDT").replace("\"t\":1780000000310,", ""), { exchangeTime: null }],
    "a time as text": [ticker("BTC_USDT").replace("\"t\":1780000000310", "\"t\":\"1780000000310.5\""), {
      exchangeTime: 1780000000310.5
    }],
    "a negative number nobody reads": [ticker("BTC_USDT").replace("1780000000,", "-1.5e3,"), { version: 7 }],
    "full:null is a delta": [obu(`"full":null,"s":"ob.BTC_USDT.50","U":9,"u":9`), { kind: "delta" }]
  }
  for (const [name, [frame, wanted]] of Object.entries(cases)) {
    it(name, () => {
      const calls = decode(frame)
      assert.deepStrictEqual(callsOnly(calls), ["fallback", "event"])
      assert.deepInclude(eventsOf(calls)[0], wanted)
    })
  }
})

describe("members nobody reads", () => {
  it("change nothing on the fast path, in any place", () => {
    const plain = eventsOf(decode(trade))
    for (
      const extra of [`"x":1`, `"error":null`, `"x":"y"`, `"":0`, `"x":true`, `"x":false`, `"x":null`, `"requestId":""`]
    ) {
      const calls = decode(trade.replace("{", `{${extra},`))
      assert.deepStrictEqual(callsOnly(calls), ["event"], extra)
      assert.deepStrictEqual(eventsOf(calls), plain)
    }
  })
})

describe("topics", () => {
  it("are asked for once for each new name", () => {
    const topics = topicTable()
    const codec = gateSpot.makeCodec(topics)
    for (let i = 0; i < 3; i++) {
      for (const frame of [ticker("BTC_USDT"), ticker("ETH_USDT"), trade, delta, labelled]) decode(frame, codec)
      decode(` ${ticker("ETH_USDT")}`, codec)
    }
    assert.deepStrictEqual(topics.asked, [
      "spot.book_ticker|BTC_USDT",
      "spot.book_ticker|ETH_USDT",
      "spot.trades|BTC_USDT",
      "spot.obu|ob.BTC_USDT.50",
      "spot.order_book_update|BTC_USDT|100ms"
    ])
  })

  it("are the very objects of the table", () => {
    const topics = topicTable()
    const codec = gateSpot.makeCodec(topics)
    const seen: Array<unknown> = []
    const sink = { ...recorder(), event: (topic: unknown) => void seen.push(topic) }
    for (let i = 0; i < 2; i++) codec.decode(bytesOf(delta), receivedAt, sink)
    const topic = topics.topics.get("spot.obu|ob.BTC_USDT.50")
    assert.isTrue(seen.length === 2 && seen.every((one) => one === topic))
    assert.deepInclude(topic, { channel: "Book", symbol: "BTC_USDT" })
  })

  it("are not asked for by frames that are refused", () => {
    const topics = topicTable()
    decode(ticker("BTC_USDT").replace("\"b\":\"1\"", "\"b\":\"x\""), gateSpot.makeCodec(topics))
    decode(ticker("BTC_USDT").slice(0, -1), gateSpot.makeCodec(topics))
    assert.deepStrictEqual(topics.asked, [])
  })

  it("of names with the same hash stay apart", () => {
    const topics = topicTable()
    const codec = gateSpot.makeCodec(topics)
    for (const name of ["Aa_USDT", "BB_USDT", "Aa_USDT", "BB_USDT"]) {
      assert.strictEqual(eventsOf(decode(ticker(name), codec))[0]?.symbol, name)
    }
    assert.strictEqual(topics.asked.length, 2)
  })

  it("are found however many names there are, and memory stays bounded", () => {
    const topics = topicTable()
    const codec = gateSpot.makeCodec(topics)
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 3000; i++) {
        assert.strictEqual(eventsOf(decode(ticker(`T${i}_USDT`), codec))[0]?.symbol, `T${i}_USDT`)
      }
    }
    // Forgotten and asked for again, not kept without end.
    assert.isAbove(topics.asked.length, 3000)
  })
})

describe("order_book_update without a level count", () => {
  const unlabelled = update(`"s":"BTC_USDT","U":2,"u":5,"b":[["1","2"]],"a":[]`)
  const answer = (event: string, payload: string) =>
    `{"id":1,"channel":"spot.order_book_update","event":"${event}",${payload}"result":{"status":"success"}}`
  const subscribed = (speed: string) => answer("subscribe", `"payload":["BTC_USDT","${speed}"],`)
  const unsubscribed = (speed: string) => answer("unsubscribe", `"payload":["BTC_USDT","${speed}"],`)
  const topicOf = (calls: ReadonlyArray<Call>) => {
    const [call] = calls.slice(-1)
    return call?.call === "event" ? call.topic : call?.call
  }

  it("belongs to the only feed that was confirmed", () => {
    const codec = gateSpot.makeCodec(topicTable())
    const feed = () => topicOf(decode(unlabelled, codec))
    assert.strictEqual(feed(), "spot.order_book_update|BTC_USDT|100ms")
    decode(subscribed("20ms"), codec)
    assert.strictEqual(feed(), "spot.order_book_update|BTC_USDT|20ms")
    decode(subscribed("100ms"), codec)
    assert.strictEqual(feed(), "failed")
    decode(unsubscribed("20ms"), codec)
    assert.strictEqual(feed(), "spot.order_book_update|BTC_USDT|100ms")
    decode(unsubscribed("100ms"), codec)
    assert.strictEqual(feed(), "spot.order_book_update|BTC_USDT|100ms")
  })

  it("is not decided by answers that name no feed", () => {
    const codec = gateSpot.makeCodec(topicTable())
    for (const payload of ["", `"payload":["BTC_USDT"],`, `"payload":["BTC_USDT","5ms"],`, `"payload":"20ms",`]) {
      const [call] = decode(answer("subscribe", payload), codec)
      assert(call?.call === "acknowledged")
      assert.isNull(call.answer.topics)
    }
    assert.strictEqual(topicOf(decode(unlabelled, codec)), "spot.order_book_update|BTC_USDT|100ms")
  })

  it("with a level count is never in doubt", () => {
    const codec = gateSpot.makeCodec(topicTable())
    decode(subscribed("20ms"), codec)
    decode(subscribed("100ms"), codec)
    assert.strictEqual(topicOf(decode(labelled, codec)), "spot.order_book_update|BTC_USDT|100ms")
    assert.strictEqual(
      topicOf(decode(labelled.replace("\"100\"", "\"20\""), codec)),
      "spot.order_book_update|BTC_USDT|20ms"
    )
  })
})

describe("connections", () => {
  it("share nothing: guesses of one layout do not disturb another", () => {
    const codec = gateSpot.makeCodec(topicTable())
    const other =
      `{"event":"update","channel":"spot.book_ticker","result":{"A":"4","a":"3","B":"2","b":"1","s":"BTC_USDT","u":7,"t":1}}`
    for (let i = 0; i < 3; i++) {
      for (const frame of [...Object.values(samples), other]) assert.isFalse(isFallback(decode(frame, codec)))
    }
  })
})
