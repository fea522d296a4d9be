/**
 * Replaces connections without a break: a new one takes up the same topics, or others do that have room, each goes over
 * when the new one is known to bring it on, and only then is the old one closed. Until then both are listened to and merged, see `Lanes`.
 */
import type { Booking } from "./Booking.ts"
import type { Link } from "./Link.ts"
import { settleMillis } from "./Topics.ts"

export interface RotationOptions {
  readonly now: () => number
  /** ms of the monotonic clock. */
  readonly monotonic: () => number
  readonly bookingOf: (key: string) => Booking | undefined
  /** Opens a connection that takes the place of this one. */
  readonly replace: (link: Link) => Link
  /** A connection with room. */
  readonly linkFor: (group: number) => Link
  /** Whether the connection may still carry topics. */
  readonly isOpen: (link: Link) => boolean
  readonly close: (link: Link) => void
}

export interface Rotation {
  /** Begins to replace the connection. Nothing happens when that is under way. */
  readonly begin: (link: Link) => void
  /** Begins to spread its topics over connections that have room, so that it can be closed. */
  readonly retire: (link: Link) => void
  /** Moves on; to be called every now and then. */
  readonly watch: (link: Link) => void
  /** The old connection ended before the new one was ready: what it carried is the new one's now. */
  readonly ended: (link: Link) => void
}

/** A topic that does not come into step goes over after this long, with a gap, ms. */
const patience = 30_000

export const make = (options: RotationOptions): Rotation => {
  const carried = (link: Link): ReadonlyArray<Booking> =>
    link.subscriptions.wanted.flatMap((topic) => {
      const booking = options.bookingOf(topic.key)
      return booking?.on(link) === undefined ? [] : [booking]
    })

  /** The connection that is to have the topic in place of `link`. */
  const heirOf = (booking: Booking, link: Link): Link | undefined =>
    booking.placements.find((other) => other.link !== link && other.link.group === link.group && !other.link.leaving)
      ?.link

  /** Goes over with a gap where the wire gives nothing to join on, or what it gives did not help. */
  const insist = (booking: Booking, heir: Link): boolean => {
    const lane = booking.state.laneOf(heir.id)
    if (lane === undefined || !lane.live) return false
    const wait = booking.state.merge?.isKeyless === true ? settleMillis : patience
    if (options.now() - lane.confirmedAt < wait) return false
    booking.state.promote(heir.id)
    return true
  }

  const isTakenOver = (booking: Booking, link: Link): boolean => {
    const heir = heirOf(booking, link)
    if (heir === undefined) return false
    return booking.state.isJoined(heir.id) || insist(booking, heir)
  }

  /** A topic whose new connection has failed, or that came back meanwhile, is put on another. */
  const adopt = (link: Link, bookings: ReadonlyArray<Booking>): void => {
    for (const booking of bookings) {
      if (heirOf(booking, link) === undefined && booking.replaceAt <= options.monotonic()) {
        booking.place(options.linkFor(link.group))
      }
    }
  }

  const leave = (link: Link, bookings: ReadonlyArray<Booking>): void => {
    for (const booking of bookings) booking.forget(link)
    options.close(link)
  }

  return {
    begin: (link) => {
      if (link.leaving || !options.isOpen(link)) return
      link.leaving = true
      const bookings = carried(link)
      if (bookings.length === 0) return options.close(link)
      const heir = options.replace(link)
      for (const booking of bookings) booking.place(heir)
    },
    retire: (link) => {
      if (link.leaving || !options.isOpen(link)) return
      link.leaving = true
      for (const booking of carried(link)) booking.place(options.linkFor(link.group))
    },
    watch: (link) => {
      if (!link.leaving || !options.isOpen(link)) return
      const bookings = carried(link)
      adopt(link, bookings)
      // All are looked at: each may go over by being looked at.
      if (bookings.filter((booking) => !isTakenOver(booking, link)).length === 0) leave(link, bookings)
    },
    ended: (link) => {
      const bookings = carried(link)
      for (const booking of bookings) booking.replaceAt = 0
      adopt(link, bookings)
      leave(link, bookings)
    }
  }
}
