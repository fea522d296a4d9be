import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import type { Answer, Topic } from "../../src/ExchangeAdapter.ts"
import { Subscriptions } from "../../src/session/Subscriptions.ts"

const topic = (key: string): Topic => ({ key, channel: "Trades", symbol: key, pair: null, contractSize: 1, slot: null })

const answer = (
  requestId: number | null,
  topics: ReadonlyArray<string> | null,
  action: Answer["action"] = "unknown"
) => ({
  action,
  requestId,
  topics
})

const keysOf = (topics: ReadonlyArray<Topic>) => topics.map(({ key }) => key)

/** Sends what is to be sent and returns it. */
const flush = (subscriptions: Subscriptions, nextId: () => number, at = 0) => {
  const requests: Array<
    { readonly action: "subscribe" | "unsubscribe"; readonly id: number; readonly keys: Array<string> }
  > = []
  const send = (action: "subscribe" | "unsubscribe", topics: ReadonlyArray<Topic>) => {
    const id = nextId()
    subscriptions.queued(action, topics, id)
    subscriptions.sent(id, at)
    requests.push({ action, id, keys: keysOf(topics) })
  }
  const off = subscriptions.takeUnsubscribes()
  if (off.length > 0) send("unsubscribe", off)
  for (const list of subscriptions.takeSubscribes()) send("subscribe", list)
  return requests
}

const counter = () => {
  let id = 0
  return () => ++id
}

/** Topics that have been asked for in one request, of the id 1, at 0 ms. */
const subscribing = (keys: ReadonlyArray<string>, listRefusal: "whole" | "each" = "each") => {
  const subscriptions = new Subscriptions(listRefusal)
  const nextId = counter()
  for (const key of keys) subscriptions.retain(topic(key))
  flush(subscriptions, nextId)
  return { nextId, subscriptions }
}

/** The same, and the exchange agreed. */
const confirmed = (keys: ReadonlyArray<string>) => {
  const made = subscribing(keys)
  made.subscriptions.acknowledged(answer(1, null))
  return made
}

describe("Subscriptions", () => {
  it("subscribes once for many holders and unsubscribes with the last", () => {
    const subscriptions = new Subscriptions("each")
    const nextId = counter()
    subscriptions.retain(topic("a"))
    subscriptions.retain(topic("a"))
    assert.deepStrictEqual(flush(subscriptions, nextId), [{ action: "subscribe", id: 1, keys: ["a"] }])
    assert.deepStrictEqual(keysOf(subscriptions.acknowledged(answer(1, ["a"]))), ["a"])
    subscriptions.release("a")
    assert.deepStrictEqual(flush(subscriptions, nextId), [])
    subscriptions.release("a")
    assert.deepStrictEqual(flush(subscriptions, nextId), [{ action: "unsubscribe", id: 2, keys: ["a"] }])
    assert.strictEqual(subscriptions.size, 1)
    subscriptions.acknowledged(answer(2, ["a"]))
    assert.strictEqual(subscriptions.size, 0)
    subscriptions.release("a")
    assert.strictEqual(subscriptions.size, 0)
  })

  it("never crosses a subscribe with an unsubscribe: released while pending waits for the answer", () => {
    const subscriptions = new Subscriptions("each")
    const nextId = counter()
    subscriptions.retain(topic("a"))
    flush(subscriptions, nextId)
    subscriptions.release("a")
    assert.deepStrictEqual(flush(subscriptions, nextId), [])
    subscriptions.acknowledged(answer(1, null))
    assert.deepStrictEqual(flush(subscriptions, nextId), [{ action: "unsubscribe", id: 2, keys: ["a"] }])
    subscriptions.retain(topic("a"))
    assert.deepStrictEqual(flush(subscriptions, nextId), [])
    subscriptions.acknowledged(answer(2, null))
    assert.deepStrictEqual(flush(subscriptions, nextId), [{ action: "subscribe", id: 3, keys: ["a"] }])
  })

  it("ignores a stale answer of unknown kind, and takes a late one that says what it answers", () => {
    const subscriptions = new Subscriptions("each")
    const nextId = counter()
    subscriptions.retain(topic("a"))
    flush(subscriptions, nextId, 0)
    assert.deepStrictEqual(keysOf(subscriptions.expire(10).late), ["a"])
    flush(subscriptions, nextId, 20)
    assert.deepStrictEqual(subscriptions.acknowledged(answer(1, ["a"])), [])
    assert.deepStrictEqual(keysOf(subscriptions.acknowledged(answer(1, ["a"], "subscribe"))), ["a"])
    assert.deepStrictEqual(subscriptions.acknowledged(answer(2, ["a"], "subscribe")), [])
    assert.deepStrictEqual(subscriptions.acknowledged(answer(99, null)), [])
    assert.deepStrictEqual(subscriptions.acknowledged(answer(null, null)), [])
  })

  it("an answer to an unsubscribe is not one to a subscribe", () => {
    const subscriptions = new Subscriptions("each")
    subscriptions.retain(topic("a"))
    flush(subscriptions, counter())
    assert.deepStrictEqual(subscriptions.acknowledged(answer(1, ["a"], "unsubscribe")), [])
    assert.strictEqual(subscriptions.phase("a"), "Subscribing")
  })

  it("halves a list that is refused as a whole until the bad topic stands alone", () => {
    const subscriptions = new Subscriptions("whole")
    const nextId = counter()
    const good = new Set(["a", "b", "d", "e"])
    for (const key of ["a", "b", "c", "d", "e"]) subscriptions.retain(topic(key))
    const refused: Array<string> = []
    const confirmed: Array<string> = []
    let requests = 0
    for (let round = flush(subscriptions, nextId); round.length > 0; round = flush(subscriptions, nextId)) {
      for (const { id, keys } of round) {
        requests++
        if (keys.every((key) => good.has(key))) confirmed.push(...keysOf(subscriptions.acknowledged(answer(id, keys))))
        else refused.push(...keysOf(subscriptions.rejected(answer(id, keys))))
      }
    }
    assert.deepStrictEqual(refused, ["c"])
    assert.deepStrictEqual(confirmed.sort(), ["a", "b", "d", "e"])
    assert.isAtMost(requests, 7)
  })

  it("with refusals by name only the named are refused", () => {
    const subscriptions = new Subscriptions("each")
    for (const key of ["a", "b"]) subscriptions.retain(topic(key))
    flush(subscriptions, counter())
    assert.deepStrictEqual(keysOf(subscriptions.acknowledged(answer(1, ["a"]))), ["a"])
    assert.deepStrictEqual(keysOf(subscriptions.rejected(answer(1, ["b"]))), ["b"])
    assert.strictEqual(subscriptions.phase("b"), "Refused")
    assert.deepStrictEqual(subscriptions.takeSubscribes(), [])
    subscriptions.retry("b")
    assert.deepStrictEqual(subscriptions.takeSubscribes().map(keysOf), [["b"]])
  })

  it("asks again for a refused topic that somebody new wants, and forgets one that nobody wants", () => {
    const subscriptions = new Subscriptions("each")
    const nextId = counter()
    subscriptions.retain(topic("a"))
    flush(subscriptions, nextId)
    subscriptions.rejected(answer(1, ["a"]))
    subscriptions.retain(topic("a"))
    assert.deepStrictEqual(flush(subscriptions, nextId).map(({ keys }) => keys), [["a"]])
    subscriptions.release("a")
    subscriptions.release("a")
    subscriptions.rejected(answer(2, ["a"]))
    assert.strictEqual(subscriptions.size, 0)
  })

  it("a refused or unanswered unsubscribe is done", () => {
    const subscriptions = new Subscriptions("each")
    const nextId = counter()
    for (const key of ["a", "b"]) subscriptions.retain(topic(key))
    flush(subscriptions, nextId)
    subscriptions.acknowledged(answer(1, null))
    subscriptions.release("a")
    flush(subscriptions, nextId)
    subscriptions.rejected(answer(2, ["a"]))
    subscriptions.release("b")
    flush(subscriptions, nextId, 5)
    assert.deepStrictEqual(subscriptions.expire(5), { late: [], off: [topic("b")] })
    assert.strictEqual(subscriptions.size, 0)
  })

  it("a queued request does not expire before it is sent", () => {
    const subscriptions = new Subscriptions("each")
    subscriptions.retain(topic("a"))
    subscriptions.queued("subscribe", [topic("a")], 1)
    assert.deepStrictEqual(subscriptions.expire(1_000_000), { late: [], off: [] })
    subscriptions.sent(1, 0)
    assert.deepStrictEqual(keysOf(subscriptions.expire(1_000_000).late), ["a"])
  })

  it("renews a confirmed topic by taking it off and on again", () => {
    const subscriptions = new Subscriptions("each")
    const nextId = counter()
    assert.isFalse(subscriptions.renew("a"))
    subscriptions.retain(topic("a"))
    flush(subscriptions, nextId)
    assert.isFalse(subscriptions.renew("a"))
    subscriptions.acknowledged(answer(1, null))
    assert.isTrue(subscriptions.renew("a"))
    assert.deepStrictEqual(flush(subscriptions, nextId).map(({ action }) => action), ["unsubscribe"])
    subscriptions.acknowledged(answer(2, null))
    assert.deepStrictEqual(flush(subscriptions, nextId).map(({ action }) => action), ["subscribe"])
  })

  it("after a disconnect all that is wanted is asked for anew", () => {
    const subscriptions = new Subscriptions("whole")
    const nextId = counter()
    for (const key of ["a", "b", "c"]) subscriptions.retain(topic(key))
    flush(subscriptions, nextId)
    subscriptions.acknowledged(answer(1, ["a", "b"]))
    subscriptions.release("b")
    subscriptions.disconnected()
    assert.deepStrictEqual(keysOf(subscriptions.wanted), ["a", "c"])
    assert.deepStrictEqual(flush(subscriptions, nextId).map(({ keys }) => keys), [["a", "c"]])
    assert.isTrue(subscriptions.has("a"))
    assert.isUndefined(subscriptions.phase("b"))
  })

  describe("what is wanted", () => {
    it("does not count a topic that only waits to leave the wire", () => {
      const { subscriptions } = confirmed(["a", "b"])
      subscriptions.release("a")
      assert.deepStrictEqual(keysOf(subscriptions.wanted), ["b"])
      assert.strictEqual(subscriptions.size, 2)
    })

    it("a topic that was never asked for is gone with its last holder, without a word to the exchange", () => {
      const subscriptions = new Subscriptions("each")
      subscriptions.retain(topic("a"))
      subscriptions.release("a")
      assert.strictEqual(subscriptions.size, 0)
      assert.deepStrictEqual(subscriptions.takeUnsubscribes(), [])
    })

    it("more releases than holders take nothing from the next holder", () => {
      const { subscriptions } = confirmed(["a"])
      subscriptions.release("a")
      subscriptions.release("a")
      subscriptions.retain(topic("a"))
      assert.deepStrictEqual(keysOf(subscriptions.wanted), ["a"])
      assert.deepStrictEqual(subscriptions.takeUnsubscribes(), [])
    })
  })

  describe("a subscribe without an answer", () => {
    it("is taken off the wire when nobody wants it any more: the exchange may have it", () => {
      const { nextId, subscriptions } = subscribing(["a"])
      assert.deepStrictEqual(keysOf(subscriptions.expire(0).late), ["a"])
      subscriptions.release("a")
      assert.deepStrictEqual(subscriptions.takeSubscribes(), [])
      assert.deepStrictEqual(flush(subscriptions, nextId), [{ action: "unsubscribe", id: 2, keys: ["a"] }])
    })

    it("is asked for again while somebody wants it, and not taken off", () => {
      const { subscriptions } = subscribing(["a"])
      subscriptions.expire(0)
      assert.deepStrictEqual(subscriptions.takeUnsubscribes(), [])
      assert.deepStrictEqual(subscriptions.takeSubscribes().map(keysOf), [["a"]])
    })

    it("is nothing to take off once the connection is gone", () => {
      const { subscriptions } = subscribing(["a"])
      subscriptions.expire(0)
      subscriptions.disconnected()
      subscriptions.release("a")
      assert.strictEqual(subscriptions.size, 0)
    })

    it("does not touch topics that were answered, however long ago", () => {
      const { subscriptions } = confirmed(["a"])
      assert.deepStrictEqual(subscriptions.expire(1_000_000), { late: [], off: [] })
      assert.strictEqual(subscriptions.phase("a"), "Confirmed")
      assert.deepStrictEqual(subscriptions.takeRestarted(), [])
    })

    it("waits for the deadline of the request under way, not of one before it", () => {
      const subscriptions = new Subscriptions("each")
      subscriptions.retain(topic("a"))
      subscriptions.queued("subscribe", [topic("a")], 1)
      subscriptions.acknowledged(answer(null, ["a"], "subscribe"))
      subscriptions.release("a")
      subscriptions.queued("unsubscribe", [topic("a")], 2)
      // The first leaves only now: the second one's deadline does not run yet.
      subscriptions.sent(1, 5)
      assert.deepStrictEqual(subscriptions.expire(10), { late: [], off: [] })
      subscriptions.sent(2, 20)
      assert.deepStrictEqual(keysOf(subscriptions.expire(20).off), ["a"])
    })
  })

  describe("a refused list", () => {
    it("is refused name by name where the exchange answers so, also when it names several", () => {
      const { subscriptions } = subscribing(["a", "b"])
      assert.deepStrictEqual(keysOf(subscriptions.rejected(answer(1, ["a", "b"]))), ["a", "b"])
      assert.deepStrictEqual(subscriptions.takeRestarted(), [])
    })

    it("is halved without the topics that were given up meanwhile", () => {
      const { subscriptions } = subscribing(["a", "b", "c"], "whole")
      subscriptions.release("b")
      assert.deepStrictEqual(subscriptions.rejected(answer(1, null)), [])
      assert.strictEqual(subscriptions.size, 2)
      assert.deepStrictEqual(subscriptions.takeSubscribes().map(keysOf), [["a"], ["c"]])
    })

    it("sends no empty half", () => {
      const { subscriptions } = subscribing(["a", "b"], "whole")
      subscriptions.rejected(answer(1, null))
      subscriptions.release("a")
      assert.strictEqual(subscriptions.size, 1)
      assert.deepStrictEqual(subscriptions.takeSubscribes().map(keysOf), [["b"]])
    })

    it("a refused topic that passes and is given up is gone: the exchange does not have it", () => {
      const { subscriptions } = subscribing(["a"])
      subscriptions.rejected(answer(1, null))
      subscriptions.retry("a")
      subscriptions.release("a")
      assert.strictEqual(subscriptions.size, 0)
    })

    it("retries nothing that was not refused", () => {
      const { subscriptions } = confirmed(["a"])
      subscriptions.retry("a")
      subscriptions.retry("unknown")
      assert.strictEqual(subscriptions.phase("a"), "Confirmed")
    })

    it("stays refused over a disconnect", () => {
      const { subscriptions } = subscribing(["a"])
      subscriptions.rejected(answer(1, null))
      subscriptions.disconnected()
      assert.strictEqual(subscriptions.phase("a"), "Refused")
      assert.deepStrictEqual(subscriptions.takeSubscribes(), [])
    })

    it("an unsubscribe that is refused is no refused topic", () => {
      const { nextId, subscriptions } = confirmed(["a"])
      subscriptions.release("a")
      flush(subscriptions, nextId)
      assert.deepStrictEqual(subscriptions.rejected(answer(2, null)), [])
      assert.strictEqual(subscriptions.size, 0)
    })
  })

  describe("topics that begin again", () => {
    it("are told once when they were renewed, and not when they went for good", () => {
      const { nextId, subscriptions } = confirmed(["a", "b"])
      assert.deepStrictEqual(subscriptions.takeRestarted(), [])
      subscriptions.renew("a")
      subscriptions.release("b")
      flush(subscriptions, nextId)
      subscriptions.acknowledged(answer(2, null))
      assert.deepStrictEqual(keysOf(subscriptions.takeRestarted()), ["a"])
      assert.deepStrictEqual(subscriptions.takeRestarted(), [])
    })

    it("are told after an unsubscribe without an answer too", () => {
      const { nextId, subscriptions } = confirmed(["a"])
      subscriptions.renew("a")
      flush(subscriptions, nextId, 7)
      assert.deepStrictEqual(keysOf(subscriptions.expire(7).off), ["a"])
      assert.deepStrictEqual(keysOf(subscriptions.takeRestarted()), ["a"])
    })

    it("are not told once the connection is gone, and are not taken off the next one", () => {
      const { nextId, subscriptions } = confirmed(["a", "b"])
      subscriptions.renew("a")
      flush(subscriptions, nextId)
      subscriptions.acknowledged(answer(2, null))
      subscriptions.renew("b")
      subscriptions.disconnected()
      assert.deepStrictEqual(subscriptions.takeRestarted(), [])
      flush(subscriptions, nextId)
      subscriptions.acknowledged(answer(3, null))
      assert.deepStrictEqual(subscriptions.takeUnsubscribes(), [])
    })
  })

  describe("which answer is for what", () => {
    it("one without an id is for the topics it names, as is one with the id 0", () => {
      for (const id of [null, 0]) {
        const { subscriptions } = subscribing(["a"])
        assert.deepStrictEqual(keysOf(subscriptions.acknowledged(answer(id, ["a"]))), ["a"])
      }
    })

    it("one about a topic that is not ours is for nothing", () => {
      const { subscriptions } = subscribing(["a"])
      assert.deepStrictEqual(subscriptions.acknowledged(answer(1, ["other"])), [])
      assert.deepStrictEqual(subscriptions.rejected(answer(1, ["other"])), [])
      assert.strictEqual(subscriptions.phase("a"), "Subscribing")
    })

    it("one to a subscribe does not end an unsubscribe, and a second one changes nothing", () => {
      const { nextId, subscriptions } = confirmed(["a"])
      assert.deepStrictEqual(subscriptions.acknowledged(answer(1, ["a"])), [])
      assert.strictEqual(subscriptions.phase("a"), "Confirmed")
      subscriptions.release("a")
      flush(subscriptions, nextId)
      subscriptions.acknowledged(answer(1, ["a"], "subscribe"))
      assert.strictEqual(subscriptions.phase("a"), "Unsubscribing")
      subscriptions.acknowledged(answer(2, ["a"], "unsubscribe"))
      assert.strictEqual(subscriptions.size, 0)
    })

    it("a list that is answered in parts stays open for the rest, which needs no names then", () => {
      const { subscriptions } = subscribing(["a", "b"])
      assert.deepStrictEqual(keysOf(subscriptions.acknowledged(answer(1, ["a"]))), ["a"])
      assert.deepStrictEqual(keysOf(subscriptions.acknowledged(answer(1, null))), ["b"])
    })

    it("an answer that comes twice is not taken for one to what was asked since", () => {
      for (const first of ["acknowledged", "rejected"] as const) {
        const { nextId, subscriptions } = subscribing(["a"])
        subscriptions[first](answer(1, null))
        if (first === "rejected") subscriptions.retry("a")
        else {
          subscriptions.renew("a")
          flush(subscriptions, nextId)
          subscriptions.acknowledged(answer(2, null))
        }
        flush(subscriptions, nextId)
        assert.deepStrictEqual(subscriptions.acknowledged(answer(1, null, "subscribe")), [])
        assert.strictEqual(subscriptions.phase("a"), "Subscribing")
      }
    })

    it("a late one without names counts for a minute behind the deadline, and no longer", () => {
      for (const { found, now } of [{ now: 59_999, found: ["a"] }, { now: 60_000, found: [] }]) {
        const { nextId, subscriptions } = subscribing(["a"])
        subscriptions.expire(0)
        flush(subscriptions, nextId, 70_000)
        subscriptions.expire(now)
        assert.deepStrictEqual(keysOf(subscriptions.acknowledged(answer(1, null, "subscribe"))), found)
      }
    })

    it("one from the connection before is for nothing", () => {
      const { nextId, subscriptions } = subscribing(["a"])
      subscriptions.disconnected()
      flush(subscriptions, nextId)
      assert.deepStrictEqual(subscriptions.acknowledged(answer(1, null, "subscribe")), [])
    })
  })

  it("a request for topics that are gone, or that is unknown, does no harm", () => {
    const { subscriptions } = subscribing(["a", "b"])
    subscriptions.release("a")
    subscriptions.rejected(answer(1, ["a"]))
    assert.isFalse(subscriptions.has("a"))
    subscriptions.sent(1, 3)
    subscriptions.sent(99, 3)
    subscriptions.queued("subscribe", [topic("gone")], 5)
    assert.isFalse(subscriptions.has("gone"))
    assert.deepStrictEqual(keysOf(subscriptions.expire(3).late), ["b"])
  })

  const Step = Schema.Struct({
    kind: Schema.Literals(["retain", "release", "flush", "answer", "refuse", "drop", "renew"]),
    key: Schema.Literals(["a", "b", "c", "d", "e", "f"])
  })

  it.prop(
    "10,000 random steps leave exactly the wanted set subscribed, and no operation ever crosses another",
    [Schema.Array(Step).pipe(Schema.check(Schema.isMinLength(50)))],
    ([steps]) => {
      const subscriptions = new Subscriptions("whole")
      const nextId = counter()
      const wanted = new Map<string, number>()
      let wire = new Set<string>()
      let inFlight: Array<ReturnType<typeof flush>[number]> = []
      let time = 0
      const deliver = (refuse: boolean) => {
        const request = inFlight.shift()
        if (request === undefined) return
        const said = answer(request.id, request.keys, request.action)
        if (refuse && request.action === "subscribe") {
          for (const refusedTopic of subscriptions.rejected(said)) subscriptions.retry(refusedTopic.key)
          return
        }
        for (const key of request.keys) {
          if (request.action === "subscribe") wire.add(key)
          else wire.delete(key)
        }
        subscriptions.acknowledged(said)
      }
      const send = () => {
        for (const request of flush(subscriptions, nextId, time)) {
          for (const other of inFlight) {
            assert.isFalse(
              other.keys.some((key) => request.keys.includes(key)),
              "two operations under way for one topic"
            )
          }
          inFlight.push(request)
        }
      }
      const acts: Record<(typeof Step.Type)["kind"], (key: string) => void> = {
        retain: (key) => {
          subscriptions.retain(topic(key))
          wanted.set(key, (wanted.get(key) ?? 0) + 1)
        },
        release: (key) => {
          const count = wanted.get(key) ?? 0
          if (count === 0) return
          subscriptions.release(key)
          wanted.set(key, count - 1)
        },
        flush: send,
        answer: () => deliver(false),
        refuse: () => deliver(true),
        renew: (key) => void subscriptions.renew(key),
        drop: () => {
          subscriptions.disconnected()
          inFlight = []
          wire = new Set()
        }
      }
      // The array is walked over and over, so that each run takes 10,000 steps.
      for (let i = 0; i < 10_000; i++) {
        const step = steps[i % steps.length]!
        time++
        acts[i % 7 === 0 ? "flush" : step.kind](step.key)
      }
      for (let i = 0; i < 100; i++) {
        send()
        while (inFlight.length > 0) deliver(false)
      }
      const left = [...wanted].filter(([, count]) => count > 0).map(([key]) => key)
      assert.deepStrictEqual([...wire].sort(), left.sort())
      assert.deepStrictEqual(keysOf(subscriptions.wanted).sort(), left.sort())
    },
    { arbitrary: { runs: 20 } }
  )
})
