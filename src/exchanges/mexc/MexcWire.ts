/**
 * Wire format of MEXC spot push frames: field numbers and layouts, and a reader that walks frames in place. The schema and
 * the generic decoder for what the reader does not know how to walk: `MexcSchema`.
 */
import * as Numeric from "../../domain/Numeric.ts"
import * as Sequence from "../../domain/Sequence.ts"
import { schema } from "./MexcSchema.ts"

const wrapperFields = schema.nested.PushDataV3ApiWrapper.fields
const depthFields = schema.nested.PublicAggreDepthsV3Api.fields
const levelFields = schema.nested.PublicAggreDepthV3ApiItem.fields
const dealsFields = schema.nested.PublicAggreDealsV3Api.fields
const dealFields = schema.nested.PublicAggreDealsV3ApiItem.fields
const tickerFields = schema.nested.PublicAggreBookTickerV3Api.fields
const limitDepthFields = schema.nested.PublicLimitDepthsV3Api.fields
const klineFields = schema.nested.PublicSpotKlineV3Api.fields
const miniTickersFields = schema.nested.PublicMiniTickersV3Api.fields
const miniTickerFields = schema.nested.PublicMiniTickerV3Api.fields
const batchFields = schema.nested.PublicBookTickerBatchV3Api.fields
const batchItemFields = schema.nested.PublicBookTickerV3Api.fields

/** Field numbers of the bodies that are read. */
export const depthsBody = wrapperFields.publicAggreDepths.id
export const dealsBody = wrapperFields.publicAggreDeals.id
export const bookTickerBody = wrapperFields.publicAggreBookTicker.id
export const limitDepthsBody = wrapperFields.publicLimitDepths.id
export const klineBody = wrapperFields.publicSpotKline.id
export const miniTickerBody = wrapperFields.publicMiniTicker.id
export const miniTickersBody = wrapperFields.publicMiniTickers.id
export const bookTickerBatchBody = wrapperFields.publicBookTickerBatch.id

/** Name of a body by its field number. */
export const bodyNames: ReadonlyMap<number, string> = new Map(
  schema.nested.PushDataV3ApiWrapper.oneofs.body.oneof.map((name) => [wrapperFields[name].id, name])
)

const varintType = 0
const fixed64Type = 1
const delimitedType = 2
const startGroupType = 3
const fixed32Type = 5

/** Tags of the repeated fields, for loops that do not go through `step`. Limited depths have those of depths. */
export const asksTag = (depthFields.asks.id << 3) | delimitedType
export const bidsTag = (depthFields.bids.id << 3) | delimitedType
export const dealTag = (dealsFields.deals.id << 3) | delimitedType
export const miniTickerTag = (miniTickersFields.items.id << 3) | delimitedType
export const batchItemTag = (batchFields.items.id << 3) | delimitedType
/** Tags of a ticker's frame, for those that are laid out as nearly all are. */
export const channelTag = (wrapperFields.channel.id << 3) | delimitedType
export const symbolTag = (wrapperFields.symbol.id << 3) | delimitedType
const sendTimeField = wrapperFields.sendTime.id
export const sendTimeTag = (sendTimeField << 3) | varintType
const firstTickerTag = (tickerFields.bidPrice.id << 3) | delimitedType
const tickerVersionTag = (tickerFields.version.id << 3) | delimitedType
const orderTimeTag = (tickerFields.lastOrderCreateTime.id << 3) | varintType
const priceTag = (levelFields.price.id << 3) | delimitedType
const quantityTag = (levelFields.quantity.id << 3) | delimitedType

/**
 * Where `step` leaves what it finds. Slot 0 takes every unknown field. Messages that are open at the same time have
 * slots of their own: the wrapper, one body, and one item of it.
 */
export const channelSlot = 1
export const symbolSlot = 2
const symbolIdSlot = 3
export const createTimeSlot = 4
export const sendTimeSlot = 5
export const bodySlot = 6

export const bidPriceSlot = 8
export const bidQuantitySlot = 9
export const askPriceSlot = 10
export const askQuantitySlot = 11
export const versionSlot = 12
const lastOrderCreateTimeSlot = 13

/** Of one mini ticker: of the body, or of an item in a body that has nothing else. */
export const tickerSymbolSlot = 8
export const lastPriceSlot = 9
export const zonedRateSlot = 10
export const highSlot = 11
export const lowSlot = 12
export const turnoverSlot = 13
export const volumeSlot = 14
const unusedSlot = 15

export const intervalSlot = 7
export const windowStartSlot = 8
export const openSlot = 9
export const closeSlot = 10
export const highestSlot = 11
export const lowestSlot = 12
export const baseVolumeSlot = 13
export const quoteVolumeSlot = 14
export const windowEndSlot = 15

export const fromVersionSlot = 8
export const toVersionSlot = 9
const eventTypeSlot = 10

export const itemBidPriceSlot = 16
export const itemBidQuantitySlot = 17
export const itemAskPriceSlot = 18
export const itemAskQuantitySlot = 19

export const priceSlot = 16
export const quantitySlot = 17
export const tradeTypeSlot = 18
export const timeSlot = 19
export const tradeIdSlot = 20

export const slotCount = 24
const firstBodySlot = 7
const firstItemSlot = 16

/** Which slot a field of one message goes to, and which wire type it must have. */
export interface Layout {
  /** By field number; 0 for a field that is not known. */
  readonly slots: Uint8Array
  /** By slot. */
  readonly wireTypes: Uint8Array
}

interface Field {
  readonly type: string
  readonly id: number
}

const layoutOf = (fields: ReadonlyArray<readonly [field: Field, slot: number]>): Layout => {
  const slots = new Uint8Array(Math.max(...fields.map(([field]) => field.id)) + 1)
  const wireTypes = new Uint8Array(slotCount)
  for (const [field, slot] of fields) {
    slots[field.id] = slot
    wireTypes[slot] = field.type === "int64" || field.type === "int32" ? varintType : delimitedType
  }
  return { slots, wireTypes }
}

export const wrapperLayout = layoutOf([
  [wrapperFields.channel, channelSlot],
  [wrapperFields.symbol, symbolSlot],
  [wrapperFields.symbolId, symbolIdSlot],
  [wrapperFields.createTime, createTimeSlot],
  [wrapperFields.sendTime, sendTimeSlot],
  ...schema.nested.PushDataV3ApiWrapper.oneofs.body.oneof.map((name) => [wrapperFields[name], bodySlot] as const)
])

export const bookTickerLayout = layoutOf([
  [tickerFields.bidPrice, bidPriceSlot],
  [tickerFields.bidQuantity, bidQuantitySlot],
  [tickerFields.askPrice, askPriceSlot],
  [tickerFields.askQuantity, askQuantitySlot],
  [tickerFields.version, versionSlot],
  [tickerFields.lastOrderCreateTime, lastOrderCreateTimeSlot]
])

/** Asks and bids are missing on purpose: their tags are met before `step` is called. With another wire type they fail. */
export const depthsLayout = layoutOf([
  [depthFields.asks, slotCount - 1],
  [depthFields.bids, slotCount - 1],
  [depthFields.eventType, eventTypeSlot],
  [depthFields.fromVersion, fromVersionSlot],
  [depthFields.toVersion, toVersionSlot],
  [depthFields.lastOrderCreateTime, lastOrderCreateTimeSlot]
])

/** The version of a limited depth stands where other depths have their last one. */
export const limitDepthsLayout = layoutOf([
  [limitDepthFields.asks, slotCount - 1],
  [limitDepthFields.bids, slotCount - 1],
  [limitDepthFields.eventType, eventTypeSlot],
  [limitDepthFields.version, toVersionSlot],
  [limitDepthFields.lastOrderCreateTime, lastOrderCreateTimeSlot]
])

export const klineLayout = layoutOf([
  [klineFields.interval, intervalSlot],
  [klineFields.windowStart, windowStartSlot],
  [klineFields.openingPrice, openSlot],
  [klineFields.closingPrice, closeSlot],
  [klineFields.highestPrice, highestSlot],
  [klineFields.lowestPrice, lowestSlot],
  [klineFields.volume, baseVolumeSlot],
  [klineFields.amount, quoteVolumeSlot],
  [klineFields.windowEnd, windowEndSlot]
])

export const miniTickersLayout = layoutOf([[miniTickersFields.items, slotCount - 1]])

/** `volume` is the turnover, in quote, and `quantity` the volume, in base. */
export const miniTickerLayout = layoutOf([
  [miniTickerFields.symbol, tickerSymbolSlot],
  [miniTickerFields.price, lastPriceSlot],
  [miniTickerFields.rate, unusedSlot],
  [miniTickerFields.zonedRate, zonedRateSlot],
  [miniTickerFields.high, highSlot],
  [miniTickerFields.low, lowSlot],
  [miniTickerFields.volume, turnoverSlot],
  [miniTickerFields.quantity, volumeSlot],
  [miniTickerFields.lastCloseRate, unusedSlot],
  [miniTickerFields.lastCloseZonedRate, unusedSlot],
  [miniTickerFields.lastCloseHigh, unusedSlot],
  [miniTickerFields.lastCloseLow, unusedSlot]
])

export const batchLayout = layoutOf([
  [batchFields.items, slotCount - 1],
  [batchFields.version, versionSlot],
  [batchFields.lastOrderCreateTime, lastOrderCreateTimeSlot]
])

export const batchItemLayout = layoutOf([
  [batchItemFields.bidPrice, itemBidPriceSlot],
  [batchItemFields.bidQuantity, itemBidQuantitySlot],
  [batchItemFields.askPrice, itemAskPriceSlot],
  [batchItemFields.askQuantity, itemAskQuantitySlot]
])

export const dealsLayout = layoutOf([
  [dealsFields.deals, slotCount - 1],
  [dealsFields.eventType, eventTypeSlot]
])

export const levelLayout = layoutOf([
  [levelFields.price, priceSlot],
  [levelFields.quantity, quantitySlot]
])

export const dealLayout = layoutOf([
  [dealFields.price, priceSlot],
  [dealFields.quantity, quantitySlot],
  [dealFields.tradeType, tradeTypeSlot],
  [dealFields.time, timeSlot],
  [dealFields.tradeId, tradeIdSlot]
])

const longestVarint = 10

/** A longer text needs more than one byte for its length. */
export const longestShort = 127

/**
 * Walks protobuf fields in place. Nothing is copied: fields are left as `[starts, ends)` by slot. After a step that
 * returns -1 either `problem` says why the frame cannot be read, or `surprise` says which legal but unusual encoding
 * the generic decoder has to normalise.
 */
export class Walker {
  /** First byte of a field's value, by slot. */
  readonly starts = new Int32Array(slotCount)
  /** Behind the last byte of a field's value, by slot; 0 when the field has not been seen. */
  readonly ends = new Int32Array(slotCount)
  /** Number of the field that the last step read. */
  field = 0
  problem: string | null = null
  surprise: string | null = null

  /** Forgets the frame before. */
  openWrapper(): void {
    const ends = this.ends
    for (let slot = 0; slot < firstItemSlot; slot++) ends[slot] = 0
    this.problem = null
    this.surprise = null
  }

  /**
   * Opens a wrapper that begins with `headLength` bytes of channel, symbol and tag of the send time, the channel's name of
   * `nameLength` bytes first, and has only that time and one body behind them. False when it has not: open it field by field.
   */
  openPlain(frame: Uint8Array, start: number, nameLength: number, headLength: number, end: number): boolean {
    this.openWrapper()
    this.starts[channelSlot] = start + 2
    this.ends[channelSlot] = start + 2 + nameLength
    this.field = sendTimeField
    const at = this.varint(frame, start + headLength, end, sendTimeSlot)
    if (at < 0 || at + 2 > end || frame[at]! < 128 || frame[at + 1]! > 127) return false
    const tag = (frame[at]! & 127) | (frame[at + 1]! << 7)
    this.field = tag >>> 3
    return (tag & 7) === delimitedType && wrapperLayout.slots[this.field] === bodySlot &&
      this.delimited(frame, at + 2, end, bodySlot) === end
  }

  /** Forgets the body before, or the item that takes its place. */
  openBody(): void {
    const ends = this.ends
    for (let slot = firstBodySlot; slot < firstItemSlot; slot++) ends[slot] = 0
  }

  /** Forgets the item before. */
  openItem(): void {
    const ends = this.ends
    for (let slot = firstItemSlot; slot <= tradeIdSlot; slot++) ends[slot] = 0
  }

  /** Whether a slot's field is absent or empty, which is the same where proto3 does not say which. */
  isEmpty(slot: number): boolean {
    return this.ends[slot] === 0 || this.ends[slot] === this.starts[slot]
  }

  /** Reads the field at `position < end` into its slot. The position behind it, or -1. */
  step(frame: Uint8Array, position: number, end: number, layout: Layout): number {
    let tag = frame[position]!
    position++
    if (tag > 127) {
      if (position >= end) return this.fail("a field is cut off")
      tag = (tag & 127) | (frame[position]! << 7)
      position++
      // The numbers in use end at 315. Longer tags, and those written with more bytes than needed, are legal.
      if (tag > 16383 || tag < 128) return this.surprised("an unusual tag")
    }
    const field = tag >>> 3
    const slots = layout.slots
    const slot = field < slots.length ? slots[field]! : 0
    this.field = field
    const type = tag & 7
    if (slot !== 0 && type !== layout.wireTypes[slot]) return this.fail(`field ${field} has wire type ${type}`)
    if (type === delimitedType) return this.delimited(frame, position, end, slot)
    if (type === varintType) return this.varint(frame, position, end, slot)
    return this.other(position, end, type)
  }

  /** Opens the message whose tag, of one byte, stands at `position`; its first byte goes to `starts[0]`. Its end, or -1. */
  message(frame: Uint8Array, position: number, end: number): number {
    this.field = frame[position]! >>> 3
    return this.delimited(frame, position + 1, end, 0)
  }

  /** Keeps the first problem. */
  fail(detail: string): -1 {
    this.problem ??= detail
    return -1
  }

  surprised(detail: string): -1 {
    this.surprise ??= detail
    return -1
  }

  private delimited(frame: Uint8Array, position: number, end: number, slot: number): number {
    if (this.field === 0 || position >= end) return this.fail("a field is cut off or has number 0")
    let size = frame[position]!
    position++
    if (size > 127) {
      size = this.size(frame, position, end, size)
      if (size < 0) return -1
      position = this.behind
    }
    const stop = position + size
    if (stop > end) return this.fail(`field ${this.field} runs beyond its message`)
    this.starts[slot] = position
    this.ends[slot] = stop
    return stop
  }

  private behind = 0

  /** A length of several bytes whose first is `low`; leaves the position behind it in `behind`. */
  private size(frame: Uint8Array, position: number, end: number, low: number): number {
    let size = low & 127
    for (let shift = 7; shift <= 21; shift += 7) {
      if (position >= end) return this.fail("a length is cut off")
      const byte = frame[position]!
      position++
      size |= (byte & 127) << shift
      if (byte < 128) {
        this.behind = position
        return byte === 0 ? this.surprised("an unusual length") : size
      }
    }
    // Lengths of 2^28 and more exceed every frame; the generic decoder knows padded ones.
    return this.surprised("an unusual length")
  }

  private varint(frame: Uint8Array, position: number, end: number, slot: number): number {
    if (this.field === 0) return this.fail("a field has number 0")
    const start = position
    const last = start + longestVarint < end ? start + longestVarint : end
    while (position < last) {
      if (frame[position]! < 128) {
        this.starts[slot] = start
        this.ends[slot] = position + 1
        return position + 1
      }
      position++
    }
    return this.fail(`field ${this.field} holds no whole varint`)
  }

  private other(position: number, end: number, type: number): number {
    if (this.field === 0) return this.fail("a field has number 0")
    if (type === startGroupType) return this.surprised("a group")
    const size = type === fixed64Type ? 8 : type === fixed32Type ? 4 : -1
    if (size < 0) return this.fail(`field ${this.field} has wire type ${type}`)
    return position + size > end ? this.fail(`field ${this.field} runs beyond its message`) : position + size
  }

  /**
   * The int64 in a slot, when it lies in 0 … 2^53 - 1; 0 also when absent, as proto3 has it. -1 when it lies elsewhere
   * or is written in nine bytes and more, which is left to the generic decoder.
   */
  integer(frame: Uint8Array, slot: number): number {
    const end = this.ends[slot]!
    if (end === 0) return 0
    let position = this.starts[slot]!
    if (end - position > 8) return this.surprised("an integer of nine bytes or more")
    const middle = end - position > 4 ? position + 4 : end
    let low = 0
    for (let shift = 0; position < middle; position++, shift += 7) low |= (frame[position]! & 127) << shift
    let high = 0
    for (let shift = 0; position < end; position++, shift += 7) high |= (frame[position]! & 127) << shift
    const value = high * 268435456 + low
    return value <= Number.MAX_SAFE_INTEGER ? value : this.fail(`an integer is ${value}`)
  }
}

/**
 * A level in its normal layout: `price` and `quantity` in this order, each shorter than 128 bytes, and nothing else in
 * `[start, end)`. The end of the price, or -1 when it is laid out in another way.
 */
export const priceEnd = (frame: Uint8Array, start: number, end: number): number => {
  if (end - start < 4 || end - start > 127 || frame[start] !== priceTag) return -1
  const stop = start + 2 + frame[start + 1]!
  if (stop + 2 > end || frame[stop] !== quantityTag) return -1
  return end === stop + 2 + frame[stop + 1]! ? stop : -1
}

const tickerBodyTag = (bookTickerBody << 3) | delimitedType
const tickerTagLow = (tickerBodyTag & 127) | 128
const tickerTagHigh = tickerBodyTag >> 7
const tagStep = 1 << 3
/** Bytes of a time in ms, from 2004 to 2109. */
const timeBytes = 6

/**
 * A ticker in its normal layout, from behind the tag of the send time on: that time, the body with both sides, the version and
 * perhaps the time of the last order, and nothing else up to `end`. The numbers go to their slots; false when it is laid out
 * in another way, or has a number that is not short.
 */
export const readPlainTicker = (numbers: Float64Array, frame: Uint8Array, start: number, end: number): boolean => {
  const body = start + timeBytes + 3
  const position = isTickerBody(frame, body, end) ? readSides(numbers, frame, body, end) : -1
  if (position < 0 || frame[position] !== tickerVersionTag) return false
  const stop = position + 2 + frame[position + 1]!
  return stop <= end && Sequence.readShort(numbers, versionSlot, frame, position + 2, stop) &&
    readPlainTime(numbers, frame, start) && (stop === end || isOrderTime(frame, stop, end))
}

/** Whether the tag and the length of a ticker that reaches to `end` stand before `start`. */
const isTickerBody = (frame: Uint8Array, start: number, end: number): boolean =>
  frame[start - 3] === tickerTagLow && frame[start - 2] === tickerTagHigh &&
  end - start <= longestShort && frame[start - 1] === end - start

/** Prices and quantities of both sides: behind them, or -1. */
const readSides = (numbers: Float64Array, frame: Uint8Array, start: number, end: number): number => {
  let position = start
  for (let slot = bidPriceSlot, tag = firstTickerTag; slot <= askQuantitySlot; slot++, tag += tagStep) {
    const stop = position + 2 + frame[position + 1]!
    if (frame[position] !== tag || stop > end) return -1
    if (!Numeric.readShort(numbers, slot, frame, position + 2, stop)) return -1
    position = stop
  }
  return position
}

/** The send time; false when it is not as long as times are. */
const readPlainTime = (numbers: Float64Array, frame: Uint8Array, at: number): boolean => {
  const first = frame[at]!
  const second = frame[at + 1]!
  const third = frame[at + 2]!
  const fourth = frame[at + 3]!
  const fifth = frame[at + 4]!
  const last = frame[at + 5]!
  if ((first & second & third & fourth & fifth) < 128 || last > 127) return false
  const low = (first & 127) | ((second & 127) << 7) | ((third & 127) << 14) | ((fourth & 127) << 21)
  numbers[sendTimeSlot] = ((fifth & 127) | (last << 7)) * 2 ** 28 + low
  return true
}

/** Whether `[start, end)` is that one field. */
const isOrderTime = (frame: Uint8Array, start: number, end: number): boolean => {
  if (frame[start] !== orderTimeTag || end - start - 1 > longestVarint || frame[end - 1]! > 127) return false
  for (let at = start + 1; at < end - 1; at++) if (frame[at]! < 128) return false
  return end > start + 1
}
