/**
 * The schema of MEXC spot push frames, and a generic decoder of it for frames that the reader of `MexcWire` does not know
 * how to walk.
 *
 * Pinned to github.com/mexcdevelop/websocket-proto at 7b8ac7a6681f28551612a5a7cefbb7e09b56bb85 (2026-06-17).
 */
import * as protobuf from "protobufjs/light.js"

/**
 * `PushDataV3ApiWrapper` and the bodies that are read, as a protobufjs descriptor. Bodies that are not read stand as
 * `bytes`: the same on the wire, and it keeps the rule that the last member of a oneof wins.
 */
export const schema = {
  nested: {
    PushDataV3ApiWrapper: {
      edition: "proto3",
      oneofs: {
        body: {
          oneof: [
            "publicDeals",
            "publicIncreaseDepths",
            "publicLimitDepths",
            "privateOrders",
            "publicBookTicker",
            "privateDeals",
            "privateAccount",
            "publicSpotKline",
            "publicMiniTicker",
            "publicMiniTickers",
            "publicBookTickerBatch",
            "publicIncreaseDepthsBatch",
            "publicAggreDepths",
            "publicAggreDeals",
            "publicAggreBookTicker"
          ]
        },
        _symbol: { oneof: ["symbol"] },
        _symbolId: { oneof: ["symbolId"] },
        _createTime: { oneof: ["createTime"] },
        _sendTime: { oneof: ["sendTime"] }
      },
      fields: {
        channel: { type: "string", id: 1 },
        symbol: { type: "string", id: 3, options: { proto3_optional: true } },
        symbolId: { type: "string", id: 4, options: { proto3_optional: true } },
        createTime: { type: "int64", id: 5, options: { proto3_optional: true } },
        sendTime: { type: "int64", id: 6, options: { proto3_optional: true } },
        publicDeals: { type: "bytes", id: 301 },
        publicIncreaseDepths: { type: "bytes", id: 302 },
        publicLimitDepths: { type: "PublicLimitDepthsV3Api", id: 303 },
        privateOrders: { type: "PrivateOrdersV3Api", id: 304 },
        publicBookTicker: { type: "bytes", id: 305 },
        privateDeals: { type: "PrivateDealsV3Api", id: 306 },
        privateAccount: { type: "PrivateAccountV3Api", id: 307 },
        publicSpotKline: { type: "PublicSpotKlineV3Api", id: 308 },
        publicMiniTicker: { type: "PublicMiniTickerV3Api", id: 309 },
        publicMiniTickers: { type: "PublicMiniTickersV3Api", id: 310 },
        publicBookTickerBatch: { type: "PublicBookTickerBatchV3Api", id: 311 },
        publicIncreaseDepthsBatch: { type: "bytes", id: 312 },
        publicAggreDepths: { type: "PublicAggreDepthsV3Api", id: 313 },
        publicAggreDeals: { type: "PublicAggreDealsV3Api", id: 314 },
        publicAggreBookTicker: { type: "PublicAggreBookTickerV3Api", id: 315 }
      }
    },
    PrivateOrdersV3Api: {
      edition: "proto3",
      fields: {
        id: { type: "string", id: 1 },
        clientId: { type: "string", id: 2 },
        price: { type: "string", id: 3 },
        quantity: { type: "string", id: 4 },
        amount: { type: "string", id: 5 },
        avgPrice: { type: "string", id: 6 },
        orderType: { type: "int32", id: 7 },
        tradeType: { type: "int32", id: 8 },
        isMaker: { type: "bool", id: 9 },
        remainAmount: { type: "string", id: 10 },
        remainQuantity: { type: "string", id: 11 },
        lastDealQuantity: { type: "string", id: 12 },
        cumulativeQuantity: { type: "string", id: 13 },
        cumulativeAmount: { type: "string", id: 14 },
        status: { type: "int32", id: 15 },
        createTime: { type: "int64", id: 16 },
        market: { type: "string", id: 17 },
        triggerType: { type: "int32", id: 18 },
        triggerPrice: { type: "string", id: 19 },
        state: { type: "int32", id: 20 },
        ocoId: { type: "string", id: 21 },
        routeFactor: { type: "string", id: 22 },
        symbolId: { type: "string", id: 23 },
        marketId: { type: "string", id: 24 },
        marketCurrencyId: { type: "string", id: 25 },
        currencyId: { type: "string", id: 26 }
      }
    },
    PrivateDealsV3Api: {
      edition: "proto3",
      fields: {
        price: { type: "string", id: 1 },
        quantity: { type: "string", id: 2 },
        amount: { type: "string", id: 3 },
        tradeType: { type: "int32", id: 4 },
        isMaker: { type: "bool", id: 5 },
        isSelfTrade: { type: "bool", id: 6 },
        tradeId: { type: "string", id: 7 },
        clientOrderId: { type: "string", id: 8 },
        orderId: { type: "string", id: 9 },
        feeAmount: { type: "string", id: 10 },
        feeCurrency: { type: "string", id: 11 },
        time: { type: "int64", id: 12 }
      }
    },
    PrivateAccountV3Api: {
      edition: "proto3",
      fields: {
        vcoinName: { type: "string", id: 1 },
        coinId: { type: "string", id: 2 },
        balanceAmount: { type: "string", id: 3 },
        balanceAmountChange: { type: "string", id: 4 },
        frozenAmount: { type: "string", id: 5 },
        frozenAmountChange: { type: "string", id: 6 },
        type: { type: "string", id: 7 },
        time: { type: "int64", id: 8 }
      }
    },
    PublicLimitDepthsV3Api: {
      edition: "proto3",
      fields: {
        asks: { rule: "repeated", type: "PublicLimitDepthV3ApiItem", id: 1 },
        bids: { rule: "repeated", type: "PublicLimitDepthV3ApiItem", id: 2 },
        eventType: { type: "string", id: 3 },
        version: { type: "string", id: 4 },
        lastOrderCreateTime: { type: "int64", id: 5 }
      }
    },
    PublicLimitDepthV3ApiItem: {
      edition: "proto3",
      fields: {
        price: { type: "string", id: 1 },
        quantity: { type: "string", id: 2 }
      }
    },
    PublicSpotKlineV3Api: {
      edition: "proto3",
      fields: {
        interval: { type: "string", id: 1 },
        windowStart: { type: "int64", id: 2 },
        openingPrice: { type: "string", id: 3 },
        closingPrice: { type: "string", id: 4 },
        highestPrice: { type: "string", id: 5 },
        lowestPrice: { type: "string", id: 6 },
        volume: { type: "string", id: 7 },
        amount: { type: "string", id: 8 },
        windowEnd: { type: "int64", id: 9 }
      }
    },
    PublicMiniTickersV3Api: {
      edition: "proto3",
      fields: {
        items: { rule: "repeated", type: "PublicMiniTickerV3Api", id: 1 }
      }
    },
    PublicMiniTickerV3Api: {
      edition: "proto3",
      fields: {
        symbol: { type: "string", id: 1 },
        price: { type: "string", id: 2 },
        rate: { type: "string", id: 3 },
        zonedRate: { type: "string", id: 4 },
        high: { type: "string", id: 5 },
        low: { type: "string", id: 6 },
        volume: { type: "string", id: 7 },
        quantity: { type: "string", id: 8 },
        lastCloseRate: { type: "string", id: 9 },
        lastCloseZonedRate: { type: "string", id: 10 },
        lastCloseHigh: { type: "string", id: 11 },
        lastCloseLow: { type: "string", id: 12 }
      }
    },
    PublicBookTickerBatchV3Api: {
      edition: "proto3",
      fields: {
        items: { rule: "repeated", type: "PublicBookTickerV3Api", id: 1 },
        version: { type: "string", id: 2 },
        lastOrderCreateTime: { type: "int64", id: 3 }
      }
    },
    PublicBookTickerV3Api: {
      edition: "proto3",
      fields: {
        bidPrice: { type: "string", id: 1 },
        bidQuantity: { type: "string", id: 2 },
        askPrice: { type: "string", id: 3 },
        askQuantity: { type: "string", id: 4 }
      }
    },
    PublicAggreDepthsV3Api: {
      edition: "proto3",
      fields: {
        asks: { rule: "repeated", type: "PublicAggreDepthV3ApiItem", id: 1 },
        bids: { rule: "repeated", type: "PublicAggreDepthV3ApiItem", id: 2 },
        eventType: { type: "string", id: 3 },
        fromVersion: { type: "string", id: 4 },
        toVersion: { type: "string", id: 5 },
        lastOrderCreateTime: { type: "int64", id: 6 }
      }
    },
    PublicAggreDepthV3ApiItem: {
      edition: "proto3",
      fields: {
        price: { type: "string", id: 1 },
        quantity: { type: "string", id: 2 }
      }
    },
    PublicAggreDealsV3Api: {
      edition: "proto3",
      fields: {
        deals: { rule: "repeated", type: "PublicAggreDealsV3ApiItem", id: 1 },
        eventType: { type: "string", id: 2 }
      }
    },
    PublicAggreDealsV3ApiItem: {
      edition: "proto3",
      fields: {
        price: { type: "string", id: 1 },
        quantity: { type: "string", id: 2 },
        tradeType: { type: "int32", id: 3 },
        time: { type: "int64", id: 4 },
        tradeId: { type: "string", id: 5 }
      }
    },
    PublicAggreBookTickerV3Api: {
      edition: "proto3",
      fields: {
        bidPrice: { type: "string", id: 1 },
        bidQuantity: { type: "string", id: 2 },
        askPrice: { type: "string", id: 3 },
        askQuantity: { type: "string", id: 4 },
        version: { type: "string", id: 5 },
        lastOrderCreateTime: { type: "int64", id: 6 }
      }
    }
  }
} as const

let wrapperType: protobuf.Type | undefined

/** The wrapper's type by reflection; built when first asked for. protobufjs does not write to the descriptor. */
export const wrapper = (): protobuf.Type => {
  wrapperType ??= protobuf.Root.fromJSON(schema as unknown as protobuf.INamespace).lookupType("PushDataV3ApiWrapper")
  return wrapperType
}

/**
 * The same with `bytes` for texts, which is the same on the wire: whoever reads a text checks it, as for frames that are
 * walked, and damage in one that nobody reads costs nothing.
 */
const unchecked: unknown = JSON.parse(
  JSON.stringify(schema),
  (key, value: unknown) => key === "type" && value === "string" ? "bytes" : value
)

let uncheckedType: protobuf.Type | undefined

const uncheckedWrapper = (): protobuf.Type => {
  uncheckedType ??= protobuf.Root.fromJSON(unchecked as protobuf.INamespace).lookupType("PushDataV3ApiWrapper")
  return uncheckedType
}

/** The fields of a message: bytes for texts, `Long` or numbers for integers, and what is absent left out. */
export interface Message {
  readonly [field: string]: unknown
}

/** What a frame holds, or why it cannot be read. */
export type Whole = { readonly _tag: "Message"; readonly message: Message } | Unreadable

/** Reads a whole frame by the rules of protobuf: for frames that are few, such as those of an account. */
export const read = (frame: Uint8Array): Whole =>
  attempt(() => {
    const type = uncheckedWrapper()
    const reader = protobuf.Reader.create(frame)
    reader.discardUnknown = false
    const message: Decoded = type.decode(reader) as unknown as Decoded
    const detail = dropUnknown(type, message)
    return detail === null ? { _tag: "Message", message } : unreadable(detail)
  })

interface Unreadable {
  readonly _tag: "Unreadable"
  readonly detail: string
}

const unreadable = (detail: string): Unreadable => ({ _tag: "Unreadable", detail })

const attempt = <A>(run: () => A): A | Unreadable => {
  try {
    return run()
  } catch (cause) {
    return unreadable(cause instanceof Error ? cause.message : String(cause))
  }
}

/** A frame in the normal layout, or why it cannot be read. */
export type Normalised = { readonly _tag: "Frame"; readonly frame: Uint8Array } | Unreadable

/**
 * The generic decoder: reads a frame by the rules of protobuf (members of a oneof and scalars: the last wins; the same
 * message twice: merged; groups and padded encodings) and writes it again in the normal layout, without unknown fields.
 * So the walker alone turns bytes into events, whichever way a frame took. A known field of another wire type is
 * refused, where protobuf would take it for unknown and lose it.
 */
export const normalise = (frame: Uint8Array): Normalised => {
  const whole = read(frame)
  if (whole._tag === "Unreadable") return whole
  return attempt(() => ({ _tag: "Frame", frame: uncheckedWrapper().encode(whole.message).finish() }))
}

interface Decoded {
  readonly [field: string]: unknown
  $unknowns?: ReadonlyArray<Uint8Array> | undefined
}

/** Why an unknown field makes a frame unreadable; null when it does not. */
const unknownProblem = (type: protobuf.Type, raw: Uint8Array): string | null => {
  const reader = protobuf.Reader.create(raw)
  const tag = reader.uint32()
  const field = tag >>> 3
  if (type.fieldsById[field] !== undefined) return `field ${field} has another wire type`
  // The library skips a varint of any length, and reads none of more than ten bytes.
  return (tag & 7) === 0 && raw.length - reader.pos > 10 ? `field ${field} holds no whole varint` : null
}

/** Takes unknown fields out of a message and what it holds; says so when one of them has a known number. */
const dropUnknown = (type: protobuf.Type, message: Decoded): string | null => {
  for (const raw of message.$unknowns ?? []) {
    const problem = unknownProblem(type, raw)
    if (problem !== null) return problem
  }
  delete message.$unknowns
  for (const field of type.fieldsArray) {
    if (!(field.resolve().resolvedType instanceof protobuf.Type)) continue
    for (const nested of [message[field.name] ?? []].flat()) {
      const detail = dropUnknown(field.resolvedType as protobuf.Type, nested as Decoded)
      if (detail !== null) return detail
    }
  }
  return null
}
