/**
 * Frames of an account to its events ("Websocket User Data Streams"). They are few beside those of a market, so the
 * generic decoder reads them. Everything in a frame is decided before its event is handed over.
 */
import { Result } from "effect"
import type { PrivateCodec, PrivateSink } from "../../AccountAdapter.ts"
import type { AccountEvent } from "../../domain/Account.ts"
import type { InstrumentOf } from "../../domain/Instrument.ts"
import type { PrivateTag } from "../../domain/PrivateChannel.ts"
import * as MexcControl from "./MexcControl.ts"
import * as MexcOrders from "./MexcOrders.ts"
import * as MexcSchema from "./MexcSchema.ts"
import * as MexcText from "./MexcText.ts"

interface Body {
  readonly tag: PrivateTag
  readonly field: string
  readonly read: (body: MexcOrders.Pushed, around: MexcOrders.Wrapped) => MexcOrders.Read<AccountEvent>
}

/** Channels on the wire and the body that each brings. */
export const channels: Readonly<Record<string, Body>> = {
  "spot@private.orders.v3.api.pb": {
    tag: "Orders",
    field: "privateOrders",
    read: (body, around) =>
      Result.map(MexcOrders.pushedOrder(body, around), (order): AccountEvent => ({
        _tag: "OrderUpdate",
        ...order,
        receivedAt: around.receivedAt,
        origin: "Stream"
      }))
  },
  "spot@private.deals.v3.api.pb": { tag: "Fills", field: "privateDeals", read: MexcOrders.pushedFill },
  "spot@private.account.v3.api.pb": { tag: "Balances", field: "privateAccount", read: MexcOrders.pushedBalance }
}

/** A text in a frame is no UTF-8. */
class NoText extends Error {}

const textOf = (message: MexcSchema.Message, field: string): string => {
  const bytes = message[field]
  if (!(bytes instanceof Uint8Array)) return ""
  const text = MexcText.read(bytes, 0, bytes.length)
  if (text === null) throw new NoText(`${field} is no UTF-8`)
  return text
}

/** Integers come as numbers, as `Long`, or as the truth of a bool. All that are read are far below 2^53. */
const integerOf = (message: MexcSchema.Message, field: string): number => {
  const value = message[field]
  return value === undefined || value === null ? 0 : Number(typeof value === "object" ? String(value) : value)
}

const pushedOf = (message: MexcSchema.Message): MexcOrders.Pushed => ({
  text: (field) => textOf(message, field),
  integer: (field) => integerOf(message, field)
})

const isMessage = (value: unknown): value is MexcSchema.Message =>
  typeof value === "object" && value !== null && !(value instanceof Uint8Array)

const leftBrace = 123

class MexcAccountCodec implements PrivateCodec {
  readonly #instrumentOf: InstrumentOf

  constructor(instrumentOf: InstrumentOf) {
    this.#instrumentOf = instrumentOf
  }

  decode(frame: Uint8Array, receivedAt: number, sink: PrivateSink): void {
    if (frame.length === 0) return sink.ignored("an empty frame")
    if (frame[0] === leftBrace) return MexcControl.decode(MexcText.read(frame, 0, frame.length), sink)
    const whole = MexcSchema.read(frame)
    if (whole._tag === "Message" && Object.hasOwn(whole.message, "channel")) {
      return this.#message(whole.message, receivedAt, sink)
    }
    // Some words are a wrapper by chance, but one without a channel.
    const words = MexcText.readable(frame)
    if (words !== null) return control(words, sink)
    if (whole._tag === "Unreadable") sink.failed(whole.detail)
    else sink.ignored("a frame of no channel")
  }

  #message(message: MexcSchema.Message, receivedAt: number, sink: PrivateSink): void {
    try {
      this.#wrapper(message, receivedAt, sink)
    } catch (cause) {
      // Thrown before anything is delivered.
      if (!(cause instanceof NoText)) throw cause
      sink.failed(cause.message)
    }
  }

  #wrapper(message: MexcSchema.Message, receivedAt: number, sink: PrivateSink): void {
    const name = textOf(message, "channel")
    const channel = Object.hasOwn(channels, name) ? channels[name] : undefined
    if (channel === undefined) return sink.ignored(`a frame of ${name}`)
    const body = message[channel.field]
    if (!isMessage(body)) return sink.failed(`${name}: there is no ${channel.field}`)
    const event = channel.read(pushedOf(body), {
      symbol: textOf(message, "symbol"),
      sendTime: integerOf(message, "sendTime"),
      receivedAt,
      instrumentOf: this.#instrumentOf
    })
    if (Result.isFailure(event)) return sink.failed(`${name}: ${event.failure}`)
    sink.event(channel.tag, event.success)
  }
}

/** A key that has run out is replaced with the connection that it opened. */
const control = (words: string, sink: PrivateSink): void =>
  words.trim() === MexcControl.invalidListenKey ? sink.closing(words.trim()) : MexcControl.decode(words, sink)

/** Empty bodies of orders, deals and the account. */
const everyBody = Uint8Array.of(0x82, 0x13, 0, 0x92, 0x13, 0, 0x9a, 0x13, 0)

export const make = (instrumentOf: InstrumentOf): PrivateCodec => {
  // The readers of messages are made when one is first read, which takes a tenth of a second: not while a fill waits.
  MexcSchema.read(everyBody)
  return new MexcAccountCodec(instrumentOf)
}
