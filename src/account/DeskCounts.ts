/** What became of commands that change something. `sent` is the sum of the others once nothing is under way. */
export interface DeskCounts {
  sent: number
  accepted: number
  rejected: number
  unknown: number
  /** Of the unknown ones, those whose outcome is known by now. */
  resolved: number
  /** Refused for too many requests, and sent again when the exchange allowed it. */
  throttled: number
}

export const noCounts = (): DeskCounts => ({
  sent: 0,
  accepted: 0,
  rejected: 0,
  unknown: 0,
  resolved: 0,
  throttled: 0
})
