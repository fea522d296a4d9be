/** The walker, its channels and its texts by themselves: what the whole decoder hides behind a second way. */
import { assert, describe, it } from "@effect/vitest"
import * as MexcChannels from "../../src/exchanges/mexc/MexcChannels.ts"
import * as MexcControl from "../../src/exchanges/mexc/MexcControl.ts"
import * as MexcText from "../../src/exchanges/mexc/MexcText.ts"
import * as MexcWire from "../../src/exchanges/mexc/MexcWire.ts"
import { concat, field, makeSubject, RecordingSink, varint, varintField } from "./MexcFrames.ts"

const bytes = (...values: ReadonlyArray<number>): Uint8Array => Uint8Array.from(values)
const encoder = new TextEncoder()

describe("a level in its normal layout", () => {
  const price = field(1, "100.5")
  const quantity = field(2, "2")
  const endOf = (...parts: ReadonlyArray<Uint8Array>) => {
    const level = concat(parts)
    // Not at the beginning of the frame, as a level never is.
    const frame = concat([bytes(9, 9, 9), level, bytes(9, 9)])
    return MexcWire.priceEnd(frame, 3, 3 + level.length)
  }

  it("is a price and a quantity in this order and nothing else", () => {
    assert.strictEqual(endOf(price, quantity), 3 + price.length)
    assert.strictEqual(endOf(field(1, ""), field(2, "")), 3 + 2)
    assert.strictEqual(endOf(field(1, "1"), field(2, "")), 3 + 3)
    assert.strictEqual(endOf(field(1, "1".repeat(61)), field(2, "2".repeat(62))), 3 + 63)
  })

  it("is none in another order, with another field, too long, cut or with something behind", () => {
    for (
      const parts of [
        [quantity, price],
        [price, price],
        [quantity, quantity],
        [field(3, "1"), quantity],
        [price, field(3, "2")],
        [price, quantity, field(3, "")],
        [price, quantity, bytes(0)],
        [price, quantity.slice(0, 2)],
        [price, bytes(0x12)],
        [price],
        [quantity],
        [bytes(0x0a, 0, 0x12)],
        [],
        [field(1, "1".repeat(62)), field(2, "2".repeat(62))],
        [field(1, "1".repeat(130)), quantity]
      ]
    ) assert.strictEqual(endOf(...parts), -1, JSON.stringify(parts.map((part) => Buffer.from(part).toString("hex"))))
  })

  it("does not read beyond what it was given", () => {
    const level = concat([price, quantity])
    for (let end = 0; end < level.length; end++) assert.strictEqual(MexcWire.priceEnd(level, 0, end), -1)
  })
})

describe("the walker", () => {
  const step = (frame: Uint8Array, end = frame.length) => {
    const walker = new MexcWire.Walker()
    walker.openWrapper()
    const next = walker.step(frame, 0, end, MexcWire.wrapperLayout)
    return { next, walker }
  }

  it("steps over every kind of field to the byte behind it, also when that is the last", () => {
    for (
      const frame of [
        field(1, "a"),
        field(1, ""),
        field(1, "a".repeat(127)),
        field(1, "a".repeat(128)),
        field(1, "a".repeat(20_000)),
        field(15, "x"),
        field(16, "x"),
        field(315, "x"),
        field(2047, "x"),
        varintField(6, 1),
        varintField(6, 2n ** 64n - 1n),
        varintField(77, 3),
        concat([varint(8 * 8 + 1), new Uint8Array(8)]),
        concat([varint(9 * 8 + 5), new Uint8Array(4)])
      ]
    ) {
      assert.strictEqual(step(frame).next, frame.length)
      assert.strictEqual(step(concat([frame, bytes(1, 2)]), frame.length).next, frame.length)
      for (let end = 1; end < frame.length; end++) {
        const { next, walker } = step(frame, end)
        assert.strictEqual(next, -1)
        assert.isNotNull(walker.problem)
      }
    }
  })

  it("says what is unusual, and leaves it to the generic decoder", () => {
    const cases: ReadonlyArray<readonly [Uint8Array, string]> = [
      [field(2048, "x"), "an unusual tag"],
      [concat([bytes(0x8a, 0x00), bytes(1, 65)]), "an unusual tag"],
      [concat([bytes(0x0a), varint(1, 2), bytes(65)]), "an unusual length"],
      [concat([bytes(0x0a), varint(1, 5), bytes(65)]), "an unusual length"],
      [bytes(0x0a, 0xff, 0xff, 0xff, 0xff, 0x01), "an unusual length"],
      [concat([varint(20 * 8 + 3), varint(20 * 8 + 4)]), "a group"]
    ]
    for (const [frame, surprise] of cases) {
      const { next, walker } = step(frame)
      assert.deepStrictEqual([next, walker.surprise, walker.problem], [-1, surprise, null])
    }
  })

  it("says what is wrong", () => {
    const cases: ReadonlyArray<readonly [Uint8Array, RegExp]> = [
      [bytes(0x0a), /cut off/],
      [bytes(0x8a), /cut off/],
      [bytes(0x02, 0), /number 0/],
      [bytes(0x00, 0), /number 0/],
      [bytes(0x01, 0, 0, 0, 0, 0, 0, 0, 0), /number 0/],
      [bytes(0x0a, 0x80), /length is cut off/],
      [bytes(0x0a, 3, 65), /field 1 runs beyond/],
      [bytes(0x08, 1), /field 1 has wire type 0/],
      [bytes(0x32, 0), /field 6 has wire type 2/],
      [concat([varint(20 * 8 + 4)]), /field 20 has wire type 4/],
      [concat([varint(20 * 8 + 6), bytes(0)]), /field 20 has wire type 6/],
      [concat([varint(20 * 8 + 1), new Uint8Array(7)]), /field 20 runs beyond/],
      [concat([varint(20 * 8), bytes(...new Array<number>(11).fill(0x80))]), /no whole varint/],
      [bytes(0x30, 0x80), /no whole varint/]
    ]
    for (const [frame, problem] of cases) {
      const { next, walker } = step(frame)
      assert.strictEqual(next, -1)
      assert.match(walker.problem ?? "", problem)
    }
  })

  it("opens a message within a message", () => {
    const inner = concat([field(1, "1"), field(2, "2")])
    const frame = concat([bytes(7, 7), field(1, inner), bytes(7)])
    const walker = new MexcWire.Walker()
    assert.strictEqual(walker.message(frame, 2, frame.length - 1), frame.length - 1)
    assert.deepStrictEqual([walker.field, walker.starts[0]], [1, 4])
    assert.strictEqual(walker.message(frame, 2, frame.length - 2), -1)
  })

  it("forgets the frame, the body and the item before, each by itself", () => {
    const walker = new MexcWire.Walker()
    const seen = () => Array.from(walker.ends, (end, slot) => end === 0 ? -1 : slot).filter((slot) => slot >= 0)
    const fill = () => walker.ends.fill(7)
    fill()
    walker.openItem()
    const item = Array.from(walker.ends, (_, slot) => slot).filter((slot) => walker.ends[slot] === 0)
    fill()
    walker.openBody()
    const body = Array.from(walker.ends, (_, slot) => slot).filter((slot) => walker.ends[slot] === 0)
    fill()
    walker.openWrapper()
    assert.deepStrictEqual(seen(), Array.from(walker.ends, (_, slot) => slot).filter((slot) => slot >= item[0]!))
    assert.isNotEmpty(body)
    assert.isTrue(body.every((slot) => slot < item[0]!))
    assert.deepStrictEqual(item, Array.from({ length: item.length }, (_, index) => item[0]! + index))
    walker.fail("first")
    walker.fail("second")
    walker.surprised("first")
    walker.surprised("second")
    assert.deepStrictEqual([walker.problem, walker.surprise], ["first", "first"])
    walker.openWrapper()
    assert.deepStrictEqual([walker.problem, walker.surprise], [null, null])
  })

  it("reads integers of up to eight bytes, and no others", () => {
    const read = (value: bigint | number, length = 0) => {
      const frame = concat([bytes(0x30), varint(value, length)])
      const { walker } = step(frame)
      return { value: walker.integer(frame, MexcWire.sendTimeSlot), walker }
    }
    for (const value of [0, 1, 127, 128, 2 ** 28 - 1, 2 ** 28, 2 ** 35, Number.MAX_SAFE_INTEGER]) {
      assert.strictEqual(read(value).value, value)
    }
    assert.strictEqual(read(5, 8).value, 5)
    assert.strictEqual(read(5, 9).walker.surprise, "an integer of nine bytes or more")
    assert.match(read(2n ** 53n).walker.problem ?? "", /an integer is 9007199254740992/)
    assert.strictEqual(new MexcWire.Walker().integer(bytes(1), MexcWire.sendTimeSlot), 0)
  })

  it("tells an absent and an empty field from one that holds something", () => {
    const { walker } = step(field(1, "a"))
    assert.isFalse(walker.isEmpty(MexcWire.channelSlot))
    assert.isTrue(walker.isEmpty(MexcWire.symbolSlot))
    assert.isTrue(step(field(1, "")).walker.isEmpty(MexcWire.channelSlot))
  })
})

describe("texts", () => {
  it("are the same whichever way they are read, of every length and with every kind of letter", () => {
    for (const letters of ["abcdefghij~\x7f", "é", "龙", "😀"]) {
      for (let length = 0; length <= 20; length++) {
        const text = `${"0123456789".repeat(2).slice(0, length)}${letters}`
        // Letters on both sides: what is read beyond the end would show.
        const frame = concat([encoder.encode("<<<"), encoder.encode(text), encoder.encode(">".repeat(20))])
        assert.strictEqual(MexcText.readShort(frame, 3, frame.length - 20), text)
        assert.strictEqual(MexcText.read(frame, 3, frame.length - 20), text)
      }
    }
    assert.strictEqual(MexcText.readShort(encoder.encode("12345678"), 0, 8), "12345678")
    assert.isNull(MexcText.readShort(bytes(0xff), 0, 1))
    assert.isNull(MexcText.readShort(bytes(65, 65, 65, 65, 65, 65, 65, 0xff), 0, 8))
    assert.isNull(MexcText.read(bytes(0xc3), 0, 1))
  })

  it("keep a mark of byte order, which is a letter like any other", () => {
    assert.strictEqual(MexcText.read(bytes(0xef, 0xbb, 0xbf, 65), 0, 4), "\ufeffA")
  })

  it("are words when nothing in them controls, up to a length", () => {
    assert.strictEqual(MexcText.readable(encoder.encode("Blocked!\n")), "Blocked!\n")
    assert.isNull(MexcText.readable(bytes(65, 0)))
    assert.isNull(MexcText.readable(bytes(65, 0x7f)))
    assert.isNull(MexcText.readable(bytes(65, 0xff)))
    assert.strictEqual(MexcText.readable(new Uint8Array(4_096).fill(65))?.length, 4_096)
    assert.isNull(MexcText.readable(new Uint8Array(4_097).fill(65)))
  })
})

describe("channels by their bytes", () => {
  const find = (name: string) => {
    const { topicOf, topics } = makeSubject()
    const frame = concat([bytes(1, 2, 3), encoder.encode(name), bytes(4)])
    const channels = new MexcChannels.Channels({ topicOf })
    const entry = channels.find(frame, 3, frame.length - 1)
    assert.strictEqual(channels.find(frame, 3, frame.length - 1), entry)
    return { entry, topics: [...topics.values()] }
  }

  it("know where the symbol stands, also behind letters of several bytes", () => {
    for (const symbol of ["BTCUSDT", "龙虾USDT", "A"]) {
      const { entry, topics } = find(`spot@public.aggre.depth.v3.api.pb@100ms@${symbol}`)
      const { bytes: name, symbolEnd, symbolStart } = entry!
      assert.strictEqual(MexcText.read(name, symbolStart, symbolEnd), symbol)
      assert.deepStrictEqual(topics.map((topic) => topic.symbol), [symbol])
    }
  })

  /** "Websocket Market Streams": name, parts behind it, the symbol of it, the body it brings, and its interval. */
  const documented = [
    ["aggre.bookTicker", ["100ms", "BTCUSDT"], "BTCUSDT", "BookTicker", MexcWire.bookTickerBody, null],
    ["bookTicker.batch", ["BTCUSDT"], "BTCUSDT", "BookTicker", MexcWire.bookTickerBatchBody, null],
    ["aggre.deals", ["10ms", "BTCUSDT"], "BTCUSDT", "Trades", MexcWire.dealsBody, null],
    ["aggre.depth", ["100ms", "BTCUSDT"], "BTCUSDT", "Book", MexcWire.depthsBody, null],
    ["limit.depth", ["BTCUSDT", "5"], "BTCUSDT", "Book", MexcWire.limitDepthsBody, null],
    ["miniTicker", ["BTCUSDT", "UTC+8"], "BTCUSDT", "Ticker", MexcWire.miniTickerBody, null],
    ["miniTickers", ["24H"], "*", "Ticker", MexcWire.miniTickersBody, null],
    ["kline", ["BTCUSDT", "Min1"], "BTCUSDT", "Kline", MexcWire.klineBody, "1m"],
    ["kline", ["BTCUSDT", "Min5"], "BTCUSDT", "Kline", MexcWire.klineBody, "5m"],
    ["kline", ["BTCUSDT", "Min15"], "BTCUSDT", "Kline", MexcWire.klineBody, "15m"],
    ["kline", ["BTCUSDT", "Min30"], "BTCUSDT", "Kline", MexcWire.klineBody, "30m"],
    ["kline", ["BTCUSDT", "Min60"], "BTCUSDT", "Kline", MexcWire.klineBody, "1h"],
    ["kline", ["BTCUSDT", "Hour4"], "BTCUSDT", "Kline", MexcWire.klineBody, "4h"],
    ["kline", ["BTCUSDT", "Hour8"], "BTCUSDT", "Kline", MexcWire.klineBody, "8h"],
    ["kline", ["BTCUSDT", "Day1"], "BTCUSDT", "Kline", MexcWire.klineBody, "1d"],
    ["kline", ["BTCUSDT", "Week1"], "BTCUSDT", "Kline", MexcWire.klineBody, "1w"],
    ["kline", ["BTCUSDT", "Month1"], "BTCUSDT", "Kline", MexcWire.klineBody, "1M"]
  ] as const

  for (const [name, parts, symbol, tag, body, interval] of documented) {
    it(`are what the documents name: ${name} of ${parts.join("@")}`, () => {
      const key = MexcChannels.keyOf(name, ...parts)
      assert.strictEqual(key, `spot@public.${name}.v3.api.pb@${parts.join("@")}`)
      const { entry, topics } = find(key)
      assert.deepStrictEqual(topics.map((topic) => [topic.key, topic.symbol, topic.channel]), [[key, symbol, tag]])
      assert.deepStrictEqual([entry?.topic, entry?.body, entry?.interval], [topics[0], body, interval])
      if (interval !== null) assert.strictEqual(MexcChannels.intervalNames[interval], parts[1])
    })
  }

  it("are none of ours of an interval that the documents do not name", () => {
    for (const interval of ["Min2", "Min", "", "1m"]) {
      assert.isNull(find(`spot@public.kline.v3.api.pb@BTCUSDT@${interval}`).entry?.topic ?? null)
    }
  })

  it("stay apart when their bytes differ anywhere, and are none when they are no UTF-8", () => {
    const { topicOf } = makeSubject()
    const channels = new MexcChannels.Channels({ topicOf })
    const key = (symbol: string) => encoder.encode(`spot@public.aggre.depth.v3.api.pb@100ms@${symbol}`)
    const entries = Array.from({ length: 3_000 }, (_, i) => channels.find(key(`S${i}`), 0, key(`S${i}`).length))
    assert.strictEqual(new Set(entries).size, 3_000)
    for (const [i, entry] of entries.entries()) {
      assert.strictEqual(entry?.topic?.symbol, `S${i}`)
      assert.strictEqual(channels.find(key(`S${i}`), 0, key(`S${i}`).length), entry)
    }
    assert.isNull(channels.find(bytes(0xff, 0xfe), 0, 2))
  })

  it("keeps so many names and no more: what comes beyond is looked up each time", () => {
    const { asked, topicOf } = makeSubject()
    const channels = new MexcChannels.Channels({ topicOf })
    const look = (i: number) => {
      const key = encoder.encode(`spot@public.aggre.depth.v3.api.pb@100ms@S${i}`)
      return channels.find(key, 0, key.length)
    }
    for (let i = 0; i < 4_096; i++) look(i)
    assert.strictEqual(asked.length, 4_096)
    look(4_095)
    assert.strictEqual(asked.length, 4_096)
    look(5_000)
    look(5_000)
    assert.strictEqual(asked.length, 4_098)
    look(0)
    assert.strictEqual(asked.length, 4_098)
  })

  it("of every symbol have none", () => {
    const { entry, topics } = find("spot@public.miniTickers.v3.api.pb@24H")
    assert.deepStrictEqual([entry?.symbolStart, entry?.symbolEnd], [0, 0])
    assert.strictEqual(topics.length, 1)
  })

  it("are none of ours with anything before, behind, missing or too much", () => {
    const right = "spot@public.aggre.depth.v3.api.pb@100ms@BTCUSDT"
    assert.isNotNull(find(right).entry?.topic)
    for (
      const name of [
        `x${right}`,
        `${right}@x`,
        `${right}@`,
        right.slice(0, -8),
        right.replace("depth", "depths"),
        "",
        "@",
        "spot@public.toString.v3.api.pb@A"
      ]
    ) {
      assert.isNull(find(name).entry?.topic ?? null, name)
    }
  })

  it("compare byte by byte, the first and the last too", () => {
    const name = encoder.encode("xABCx")
    const same = (text: string) => MexcChannels.sameBytes(encoder.encode(text), 0, text.length, name, 1, 4)
    assert.isTrue(same("ABC"))
    for (const other of ["xBC", "AxC", "ABx", "AB", "ABCx", ""]) assert.isFalse(same(other), other)
  })
})

describe("answers in words", () => {
  const said = (text: string) => {
    const sink = new RecordingSink()
    MexcControl.decode(text, sink)
    return sink.calls
  }
  const answer = (msg: string, id: number | string | null = 1, code: number | string = 0) =>
    said(JSON.stringify({ id, code, msg }))

  it("takes white space anywhere around what it knows", () => {
    const refused = said(" Invalid listen key \n")
    assert.deepStrictEqual(refused, [{
      _tag: "rejected",
      answer: { action: "unknown", requestId: null, topics: null },
      refusal: { code: "Invalid listen key", detail: "Invalid listen key", class: "auth" }
    }])
    for (
      const msg of [
        "Subscribed  successfully!  [ spot@a , spot@b ]",
        "Subscribed successful [spot@a,spot@b]",
        "subscribed SUCCESS![spot@a,spot@b]"
      ]
    ) {
      assert.deepStrictEqual(answer(msg), [
        { _tag: "acknowledged", answer: { action: "unknown", requestId: 1, topics: ["spot@a", "spot@b"] } }
      ])
    }
    const [rejected] = answer("Not  Subscribed successfully! [spot@a].  Reason :  Blocked!  ")
    assert(rejected?._tag === "rejected")
    assert.deepStrictEqual([rejected.answer.topics, rejected.refusal.detail], [["spot@a"], "Blocked!"])
  })

  it("believes a list of params only when all of them are params", () => {
    assert.strictEqual(answer(" spot@a , spot@b ")[0]?._tag, "acknowledged")
    assert.deepStrictEqual(answer("spot@a, spot@b")[0], {
      _tag: "acknowledged",
      answer: { action: "unknown", requestId: 1, topics: ["spot@a", "spot@b"] }
    })
    assert.strictEqual(answer("spot@a,nonsense")[0]?._tag, "rejected")
  })

  it("has nothing to say without an id of ours and without an error", () => {
    for (const id of [null, 0, "0"]) {
      assert.deepStrictEqual(answer("hello", id), [{ _tag: "ignored", detail: "msg: hello" }])
    }
    assert.strictEqual(answer("hello", 2)[0]?._tag, "rejected")
    assert.strictEqual(answer("", 2)[0]?._tag, "ignored")
  })

  it("quotes no more than eighty letters of what it cannot read", () => {
    const long = "x".repeat(200)
    const detail = (text: string): string => {
      const [call] = said(text)
      return call !== undefined && "detail" in call ? call.detail : ""
    }
    assert.strictEqual(detail(long), `text that is no JSON object: ${"x".repeat(80)}`)
    const odd = JSON.stringify({ id: {}, msg: long })
    assert.strictEqual(detail(odd), `JSON in an unknown form: ${odd.slice(0, 80)}`)
    const bare = JSON.stringify({ id: 1, more: long })
    assert.strictEqual(detail(bare), `JSON without msg: ${bare.slice(0, 80)}`)
  })

  it("says so where a PING cannot be answered", () => {
    const sink = new RecordingSink(false)
    MexcControl.decode("{\"method\":\"PING\"}", sink)
    assert.deepStrictEqual(sink.calls, [{ _tag: "ignored", detail: "a PING that cannot be answered from here" }])
  })
})
