/**
 * MEXC's listen keys, the server's half. Source: "Websocket User Data Streams": valid for 60 minutes after making and after
 * each renewal, at most 60 for each UID, at most 5 connections for each.
 */
import { createHash } from "node:crypto"
import type { WorldAccount } from "../../AccountWorld.ts"
import type { World } from "../../ExchangeDialect.ts"
import { perWorld } from "../../ExchangeDialect.ts"

const validMillis = 60 * 60_000
const keysPerUser = 60
const connectionsPerKey = 5

export interface ListenKey {
  readonly text: string
  readonly account: WorldAccount
  expiresAt: number
  connections: number
}

export class ListenKeys {
  readonly #now: () => number
  readonly #keys = new Map<string, ListenKey>()
  #made = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** Null when the user has too many. */
  make(account: WorldAccount): ListenKey | null {
    if (this.of(account).length >= keysPerUser) return null
    const text = createHash("sha256").update(`${account.userId} ${++this.#made}`).digest("hex")
    const key: ListenKey = { text, account, expiresAt: this.#now() + validMillis, connections: 0 }
    this.#keys.set(text, key)
    return key
  }

  /** Only keys that are valid now. */
  find(text: string): ListenKey | null {
    const key = this.#keys.get(text)
    if (key === undefined) return null
    if (this.isValid(key)) return key
    this.#keys.delete(text)
    return null
  }

  of(account: WorldAccount): ReadonlyArray<ListenKey> {
    return [...this.#keys.keys()].flatMap((text) => {
      const key = this.find(text)
      return key !== null && key.account.userId === account.userId ? [key] : []
    })
  }

  renew(key: ListenKey): void {
    key.expiresAt = this.#now() + validMillis
  }

  /** Its connections hear nothing any more. */
  remove(key: ListenKey): void {
    key.expiresAt = Number.NEGATIVE_INFINITY
    this.#keys.delete(key.text)
  }

  isValid(key: ListenKey): boolean {
    return key.expiresAt > this.#now()
  }

  /** False when it has as many connections as it may. */
  connect(key: ListenKey): boolean {
    if (key.connections >= connectionsPerKey) return false
    key.connections++
    return true
  }

  disconnect(key: ListenKey): void {
    key.connections--
  }
}

export const listenKeysOf = perWorld((world: World) => new ListenKeys(() => world.now()))
