/** The connections of an exchange and how the worst of them is doing. */
import type { ConnectionStatus } from "../domain/Feed.ts"

const words = { Connected: "connected", Connecting: "dialling", Disconnected: "lost", Closed: "closed" } as const

export class Connections {
  readonly #all = new Map<number, ConnectionStatus>()

  onStatus(status: ConnectionStatus): void {
    if (status._tag === "Closed") this.#all.delete(status.connection)
    else this.#all.set(status.connection, status)
  }

  clear(): void {
    this.#all.clear()
  }

  /** Null before the first. */
  get worst(): ConnectionStatus | null {
    const all = [...this.#all.values()]
    return all.find(({ _tag }) => _tag === "Disconnected") ?? all.find(({ _tag }) => _tag !== "Connected") ?? all[0] ??
      null
  }

  /** Its state in one word, for narrow tables. */
  get word(): string {
    return this.worst === null ? "starting" : words[this.worst._tag]
  }

  /** Its state in a few words; `now` in ms. */
  stateAt(now: number): string {
    const { worst } = this
    switch (worst?._tag) {
      case undefined:
      case "Closed":
        return "not connected"
      case "Connecting":
        return worst.attempt > 1 ? `connecting (attempt ${worst.attempt})` : "connecting"
      case "Connected":
        return "connected"
      case "Disconnected":
        return worst.retryIn === null
          ? "disconnected"
          : `disconnected, retry in ${(Math.max(0, worst.at + worst.retryIn - now) / 1000).toFixed(1)} s`
    }
  }
}
