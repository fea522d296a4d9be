import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Result, Schema } from "effect"
import { ActiveFault, ExchangeFaults, longest } from "../../src/simulator/ActiveFaults.ts"
import * as Faults from "../../src/simulator/Faults.ts"
import type { Fault } from "../../src/simulator/Faults.ts"

const draws = Effect.runSync(Random.withSeed(Effect.service(Random.Random), "faults"))

const parsed = (text: unknown): Fault => Result.getOrThrow(Faults.parse(text))

const refused = (text: unknown): string => {
  const result = Faults.parse(text)
  return Result.isFailure(result) ? result.failure.message : assert.fail(`${String(text)} was taken`)
}

const active = (text: string, now = 0) => new ActiveFault(1, parsed(text), now, draws)

describe("the fault language", () => {
  it("reads every kind", () => {
    const cases: ReadonlyArray<readonly [string, Fault]> = [
      ["drop@5s", { _tag: "Drop", startMillis: 5_000 }],
      ["drop:1001,on=toy", { _tag: "Drop", code: 1001, exchange: "toy" }],
      ["refuse@5s:10s", { _tag: "Refuse", startMillis: 5_000, durationMillis: 10_000 }],
      ["refuse:503", { _tag: "Refuse", status: 503 }],
      ["refuse:reset", { _tag: "Refuse", status: 0 }],
      ["half-open@1.5m:2h", { _tag: "HalfOpen", startMillis: 90_000, durationMillis: 7_200_000 }],
      ["silence", { _tag: "Silence" }],
      ["silence:BTC/USDT@250ms", { _tag: "Silence", pair: "BTC/USDT", startMillis: 250 }],
      ["silence:BTC/USDT,share=2%,connection=2", { _tag: "Silence", pair: "BTC/USDT", share: 0.02, connection: 2 }],
      ["silence,topic=trades:*", { _tag: "Silence", topic: "trades:*" }],
      ["gap:5%", { _tag: "Gap", share: 0.05 }],
      ["gap:3,pair=BTC/USDT", { _tag: "Gap", count: 3, pair: "BTC/USDT" }],
      ["duplicate:0.1%,count=2", { _tag: "Duplicate", share: 0.001, count: 2 }],
      ["corrupt:1%,connection=1", { _tag: "Corrupt", share: 0.01, connection: 1 }],
      ["delay:30ms,connection=2", { _tag: "Delay", millis: 30, connection: 2 }],
      ["reorder:100%", { _tag: "Reorder", share: 1 }],
      ["corrupt:1,mode=flip", { _tag: "Corrupt", count: 1, mode: "flip" }],
      ["delay:200ms@0s:1s", { _tag: "Delay", millis: 200, startMillis: 0, durationMillis: 1_000 }],
      ["reject:BTC/USDT:USDT,count=1", { _tag: "Reject", pair: "BTC/USDT:USDT", count: 1 }],
      ["stale-snapshot:2s", { _tag: "StaleSnapshot", millis: 2_000 }],
      ["slow-snapshot:1s", { _tag: "SlowSnapshot", millis: 1_000 }],
      ["http-error", { _tag: "HttpError" }],
      ["http-error:403,path=/depth*,share=50%", { _tag: "HttpError", status: 403, path: "/depth*", share: 0.5 }],
      ["http-error:429,retry-after=2s", { _tag: "HttpError", status: 429, retryAfterMillis: 2_000 }],
      ["http-error:reset,pair=BTC/USDT", { _tag: "HttpError", status: 0, pair: "BTC/USDT" }],
      ["http-error:429,retry-after=none", { _tag: "HttpError", status: 429, retryAfterMillis: null }],
      ["slow-http:5s,pair=BTC/USDT,count=2", { _tag: "SlowHttp", millis: 5_000, pair: "BTC/USDT", count: 2 }],
      ["garble-http:50%,path=/x", { _tag: "GarbleHttp", share: 0.5, path: "/x" }],
      ["skew:-1500ms", { _tag: "Skew", millis: -1_500 }],
      ["skew:2s@1s:1s", { _tag: "Skew", millis: 2_000, startMillis: 1_000, durationMillis: 1_000 }],
      ["connection-age:60s,code=1000", { _tag: "ConnectionAge", millis: 60_000, code: 1000 }],
      ["late-ack:3s,share=50%", { _tag: "LateAck", millis: 3_000, share: 0.5 }],
      ["lose-ack:1", { _tag: "LoseAck", count: 1 }],
      ["reject:BTC/USDT,reason=server busy", { _tag: "Reject", pair: "BTC/USDT", reason: "server busy" }],
      ["drop,connection=2", { _tag: "Drop", connection: 2 }],
      ["half-open,topic=*obu*", { _tag: "HalfOpen", topic: "*obu*" }],
      ["upgrade-notice:5s,pair=BTC/USDT", { _tag: "UpgradeNotice", millis: 5_000, pair: "BTC/USDT" }],
      ["http-error:503,path=*/orders,method=POST", {
        _tag: "HttpError",
        status: 503,
        path: "*/orders",
        method: "POST"
      }],
      ["lose-request:2%,method=POST,path=/orders", {
        _tag: "LoseRequest",
        share: 0.02,
        method: "POST",
        path: "/orders"
      }],
      ["late-request:9s,share=2%,frame=*order_place*", {
        _tag: "LateRequest",
        millis: 9_000,
        share: 0.02,
        frame: "*order_place*"
      }],
      ["lag-read:300ms,path=*rades*", { _tag: "LagRead", millis: 300, path: "*rades*" }],
      ["lose-answer:3,frame=*order_place*", { _tag: "LoseAnswer", count: 3, frame: "*order_place*" }],
      ["late-answer:200ms,pair=BTC/USDT", { _tag: "LateAnswer", millis: 200, pair: "BTC/USDT" }],
      ["fail-answer:reset,count=1", { _tag: "FailAnswer", status: 0, count: 1 }],
      ["fail-answer", { _tag: "FailAnswer" }],
      [`cut:1,frame=*"ack":true*`, { _tag: "Cut", count: 1, frame: `*"ack":true*` }],
      ["cut:5%,topic=*orders,code=1001", { _tag: "Cut", share: 0.05, topic: "*orders", code: 1001 }],
      ["lose-push:5%,topic=*deals*", { _tag: "LosePush", share: 0.05, topic: "*deals*" }],
      ["late-push:1s,connection=2", { _tag: "LatePush", millis: 1_000, connection: 2 }],
      ["expire-keys@1s", { _tag: "ExpireKeys", startMillis: 1_000 }],
      ["revoke:trade,user=1001@1s:2s", {
        _tag: "Revoke",
        what: "trade",
        user: "1001",
        startMillis: 1_000,
        durationMillis: 2_000
      }],
      ["upgrade-notice@3s", { _tag: "UpgradeNotice", startMillis: 3_000 }]
    ]
    for (const [text, fault] of cases) {
      assert.deepStrictEqual(parsed(text), fault, text)
      assert.strictEqual(Faults.print(parsed(Faults.print(fault))), Faults.print(fault), text)
    }
    assert.strictEqual(new Set(cases.map(([, { _tag }]) => _tag)).size, Faults.names.length)
  })

  it("a topic keeps the @ and : of exchanges", () => {
    assert.deepStrictEqual(parsed("gap:5%,topic=spot@public.aggre.depth.v3.api.pb@*@BTCUSDT@1s:2s"), {
      _tag: "Gap",
      share: 0.05,
      topic: "spot@public.aggre.depth.v3.api.pb@*@BTCUSDT",
      startMillis: 1_000,
      durationMillis: 2_000
    })
  })

  it("says what is wrong and what would be right", () => {
    assert.include(refused("gpa:5%"), `the kind "gpa" is unknown; there are drop, refuse`)
    assert.include(refused(""), "is unknown")
    assert.include(refused("gap"), "gap needs a value: gap:5% or 3")
    assert.include(refused("gap:some"), "neither a share such as 5% nor a number")
    assert.include(refused("gap:x%"), "no share such as 5%")
    assert.include(refused("gap:0%"), "greater than 0")
    assert.include(refused("gap:101%"), "less than or equal to 1")
    assert.include(refused("gap:0"), "greater than 0")
    assert.include(refused("delay:200"), "no duration such as 200ms")
    assert.include(refused("delay:0ms"), "greater than 0")
    assert.include(refused("half-open:3"), "half-open takes no value")
    assert.include(refused("drop:abc"), "no whole number")
    assert.include(refused("drop:1005"), "a close code")
    assert.include(refused("drop:2999"), "a close code")
    assert.include(refused("refuse:200"), "HTTP status from 400 to 599")
    assert.include(refused("drop@5s:3s"), "has no duration")
    assert.include(refused("drop,mode=flip"), `drop has no option "mode"; it has on, connection, pair, topic`)
    assert.include(refused("drop,connection=0"), "greater than 0")
    assert.include(refused("skew:5"), "no duration such as 200ms")
    assert.include(refused("skew:--5s"), "no duration such as 200ms")
    assert.include(refused("http-error:429,retry-after=never"), "no duration such as 200ms")
    assert.include(refused("gap:5%,count"), "the option count needs a text")
    assert.include(refused("gap:5%,nonsense=1"), `no option "nonsense"`)
    assert.include(refused("silence:BTCUSDT"), "a pair such as BTC/USDT")
    assert.include(refused("corrupt:1,mode=melt"), "truncate")
    assert.include(refused("http-error:200"), "HTTP status from 400 to 599")
    assert.include(refused("http-error,on="), "length")
    assert.include(refused("skew:1s,on=gate-spot@0:5s"), "a start and a duration need a unit")
    assert.include(refused({ _tag: "Gap", shar: 1 }), "shar")
    assert.include(refused({ _tag: "Melt" }), "Melt")
    assert.include(refused(undefined), "undefined")
  })

  const times = ["startMillis", "durationMillis", "millis", "retryAfterMillis"]
  const texts: Readonly<Record<string, string>> = {
    exchange: "toy",
    pair: "BTC/USDT",
    topic: "a:*@b",
    path: "/x/*",
    reason: "server busy",
    frame: "*x*",
    user: "1001"
  }

  /** The same fault with times, shares and texts that the language can write. */
  const writable = ([field, value]: readonly [string, unknown]): readonly [string, unknown] => {
    if (value === undefined) return [field, undefined]
    if (times.includes(field)) return [field, value === null ? null : (Math.floor(value as number) % 1e9) + 1]
    return [field, field === "share" ? Math.ceil((value as number) * 1_000) / 1_000 : texts[field] ?? value]
  }

  it.prop("what is printed reads back as the same", [Faults.Fault], ([fault]) => {
    const fields = Object.fromEntries(Object.entries(fault).map(writable).filter(([, value]) => value !== undefined))
    const text = Faults.print(parsed(fields))
    assert.strictEqual(Faults.print(parsed(text)), text)
    const again: Record<string, unknown> = { ...parsed(text) }
    // "Every frame" has two spellings, and so has "at once".
    if (fields["share"] === undefined) delete again["share"]
    assert.deepStrictEqual({ startMillis: 0, ...again }, { startMillis: 0, ...fields })
  })

  it.effect("is a schema for options of a command line", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Schema.decodeEffect(Faults.FaultFromText)("gap:3"), { _tag: "Gap", count: 3 })
      assert.strictEqual(yield* Schema.encodeEffect(Faults.FaultFromText)({ _tag: "Gap", share: 0.07 }), "gap:7%")
      assert.strictEqual(
        yield* Schema.encodeEffect(Faults.FaultFromText)({ _tag: "Gap", startMillis: 2, durationMillis: 1_000 }),
        "gap:100%@2ms:1s"
      )
    }))
})

describe("ActiveFault", () => {
  it("is active within its time", () => {
    const fault = active("silence@1s:2s", 500)
    assert.deepStrictEqual([1_499, 1_500, 3_499, 3_500].map((now) => fault.isActive(now)), [false, true, true, false])
    fault.end(2_000)
    assert.isTrue(fault.isActive(1_999))
    assert.isFalse(fault.isActive(2_000))
    assert.isTrue(active("silence").isActive(1e12))
  })

  it("knows a pair in the spelling of any exchange", () => {
    const fault = active("silence:BTC/USDT")
    const yes = [
      "spot@public.aggre.depth.v3.api.pb@10ms@BTCUSDT",
      "ob.BTC_USDT.50",
      "BTC-USDT",
      "trades:BTC/USDT",
      "spot.trades,BTC_USDT"
    ]
    const no = ["ob.WBTC_USDT.50", "BTCUSDTX", "ETH_USDT", "1BTCUSDT", "btcusdt", ""]
    for (const topic of yes) assert.isTrue(fault.concerns(topic), topic)
    for (const topic of no) assert.isFalse(fault.concerns(topic), topic)
    // The answer is remembered.
    assert.isTrue(fault.concerns(yes[0]!))
    assert.isTrue(active("silence:龙虾/USDT").concerns("ob.龙虾_USDT.50"))
    assert.isFalse(active("silence:虾/USDT").concerns("ob.龙虾_USDT.50"))
  })

  it("matches topics and paths by glob", () => {
    const fault = active("gap:1,topic=a.*+(b)")
    assert.isTrue(fault.concerns("a.x+(b)"))
    assert.isFalse(fault.concerns("aXx+(b)"))
    assert.isFalse(fault.concerns("a.x+(b)c"))
    const request = (path: string, query: Readonly<Record<string, string>> = {}, method = "GET", body = "") => ({
      method,
      body,
      path,
      query: new Map(Object.entries(query))
    })
    assert.isTrue(active("http-error,path=/api/*/depth").concernsRequest(request("/api/v3/depth")))
    assert.isFalse(active("http-error,path=/api/*/depth").concernsRequest(request("/api/v3/depths")))
    assert.isTrue(active("http-error").concernsRequest(request("/anything")))
    const one = active("slow-http:1s,pair=BTC/USDT")
    assert.isTrue(one.concernsRequest(request("/depth", { limit: "5", symbol: "BTCUSDT" })))
    assert.isTrue(one.concernsRequest(request("/contracts/BTC_USDT")))
    assert.isFalse(one.concernsRequest(request("/depth", { symbol: "ETHUSDT" })))
    assert.isFalse(one.concernsRequest(request("/contracts")))
    assert.isTrue(one.concernsRequest(request("/orders", {}, "POST", `{"currency_pair":"BTC_USDT"}`)))
    const post = active("lose-request:1,method=POST")
    assert.deepStrictEqual(["POST", "GET"].map((method) => post.concernsRequest(request("/x", {}, method))), [
      true,
      false
    ])
  })

  it("a frame's fault is for sockets, a path's or a method's for REST, and others for both", () => {
    const request = { method: "POST", path: "/orders", query: new Map<string, string>(), body: "" }
    const both = (text: string): readonly [boolean, boolean] => [
      active(text).concernsRequest(request),
      active(text).concernsRequestFrame(`{"channel":"order_place","pair":"BTC_USDT"}`)
    ]
    assert.deepStrictEqual(both("lose-answer:1"), [true, true])
    assert.deepStrictEqual(both("lose-answer:1,path=/orders"), [true, false])
    assert.deepStrictEqual(both("lose-answer:1,method=POST"), [true, false])
    assert.deepStrictEqual(both("lose-answer:1,frame=*order_place*"), [false, true])
    assert.deepStrictEqual(both("lose-answer:1,frame=*order_cancel*"), [false, false])
    assert.deepStrictEqual(both("lose-answer:1,pair=BTC/USDT"), [false, true])
    assert.isFalse(active("cut:1,frame=*x*").concernsFrame(new Uint8Array([120])))
    assert.isTrue(active("cut:1").concernsFrame(new Uint8Array([120])))
  })

  it("strikes by share and number, and counts", () => {
    const thrice = active("gap:3")
    assert.deepStrictEqual([
      thrice.strikes(),
      thrice.strikes(),
      thrice.isActive(0),
      thrice.strikes(),
      thrice.isActive(0)
    ], [true, true, true, true, false])
    assert.deepStrictEqual(thrice.counts(0), { id: 1, fault: "gap:3", active: false, applied: 3 })
    const some = active("gap:10%")
    let struck = 0
    for (let i = 0; i < 10_000; i++) if (some.strikes()) struck++
    assert.strictEqual(some.applied, struck)
    assert.closeTo(struck, 1_000, 150)
  })

  it("goes to the exchange it names, and the longest of several counts", () => {
    const faults = new ExchangeFaults()
    faults.set("toy", [
      active("delay:100ms"),
      active("delay:300ms@5s"),
      active("delay:900ms,on=other"),
      active("gap:1,on=toy")
    ])
    assert.strictEqual(faults.delays.length, 2)
    assert.strictEqual(faults.frames.length, 1)
    assert.strictEqual(longest(faults.delays, 0)?.fault.millis, 100)
    assert.strictEqual(longest(faults.delays, 5_000)?.fault.millis, 300)
    assert.isNull(longest([], 0))
  })
})
