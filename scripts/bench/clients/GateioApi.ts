/** `gateio-api`: its `update` event, made into an event of the same shape. */
import { DefaultLogger, WebsocketClient } from "gateio-api"
import { setTimeout as sleep } from "node:timers/promises"
import type { GateFrame } from "../PlainDecoders.ts"
import { gateEvent } from "../PlainDecoders.ts"
import * as Raw from "./Raw.ts"
import { compete, consume, faults, finish, setup, url } from "./Run.ts"

const silent = { ...DefaultLogger, trace: () => {}, info: () => {}, error: () => {} }

const key = setup.exchange === "gate-spot" ? "spotV4" : "perpFuturesUSDTV4"

interface Subscription {
  readonly channel: string
  readonly payload: ReadonlyArray<string>
}

for (const requests of setup.sockets) {
  const client = new WebsocketClient(
    {
      wsUrl: url,
      wsOptions: { headers: { ...setup.headers } }
    } as ConstructorParameters<typeof WebsocketClient>[0],
    silent
  )
  client.on("update", (message: GateFrame) => {
    const event = gateEvent(message, Raw.receivedAt)
    if (event !== null) consume(event)
  })
  client.on("exception", () => faults["failures"]!++)
  for (const request of requests) {
    const { channel, payload } = JSON.parse(request) as Subscription
    client.subscribe([{ topic: channel, payload: [...payload] }], key)
  }
}
await sleep(1_000)
finish(await compete({ hasEvents: true }))
