/** Which connection a topic goes to. Pure. */

/** A connection, as far as its room matters. */
export interface Shard {
  /** Topics that are wanted on it or not yet off its wire. */
  readonly size: number
  /** How many the exchange was seen to take on it; infinite while it has refused none for want of room. */
  readonly capacity: number
}

/** Left free on a connection while the bound allows another one: a topic that comes back needs no new socket. */
const headroomOf = (capacity: number): number => Math.min(2, Math.floor(capacity / 10))

/** The most connections for so many topics. */
export const mostConnections = (topics: number, capacity: number): number => Math.ceil(topics / capacity) + 1

const hasRoom = (shard: Shard, capacity: number): boolean => shard.size < Math.min(capacity, shard.capacity)

/**
 * The first with room to spare; else none while another connection may be opened, which the caller then does; else the
 * first with any room. `capacity` is the exchange's limit of topics on a connection.
 */
export const choose = <S extends Shard>(shards: ReadonlyArray<S>, capacity: number): S | undefined => {
  const spacious = shards.find((shard) => hasRoom(shard, capacity - headroomOf(capacity)))
  if (spacious !== undefined) return spacious
  const topics = shards.reduce((sum, { size }) => sum + size, 1)
  return shards.length < mostConnections(topics, capacity)
    ? undefined
    : shards.find((shard) => hasRoom(shard, capacity))
}

const roomOf = (shard: Shard, capacity: number): number => Math.max(0, Math.min(capacity, shard.capacity) - shard.size)

/**
 * The connection whose topics the others are to take because there are more connections than the bound for the topics of
 * now: the one with the fewest. Undefined within the bound, while one is empty anyway, or when the others have no room.
 */
export const surplus = <S extends Shard>(shards: ReadonlyArray<S>, capacity: number): S | undefined => {
  const topics = shards.reduce((sum, { size }) => sum + size, 0)
  if (shards.length <= mostConnections(topics, capacity)) return undefined
  const sparsest = shards.reduce((least, shard) => shard.size < least.size ? shard : least)
  const room = shards.reduce((sum, shard) => shard === sparsest ? sum : sum + roomOf(shard, capacity), 0)
  return sparsest.size > 0 && sparsest.size <= room ? sparsest : undefined
}

/**
 * What refusals tell of the exchange's limit when it is lower than documented. One refusal beside n topics may be about
 * the topic itself, so that connection alone is taken to be full; when two tell the same n, it is the limit.
 */
export class Capacity {
  #limit: number
  /** Most topics that any connection was seen to carry. */
  #proven = 0
  readonly #full: Array<number> = []

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Topics on one connection. */
  get limit(): number {
    return this.#limit
  }

  /** A connection carries so many topics. */
  carries(topics: number): void {
    if (topics > this.#proven) this.#proven = topics
  }

  /** Whether a refusal beside so many topics can mean that the connection is full: none has carried more. */
  isDoubtful(beside: number): boolean {
    return beside > 0 && beside >= this.#proven
  }

  /** A topic that was refused beside so many topics was taken elsewhere. Returns whether the limit is lower by that. */
  wasFull(beside: number): boolean {
    this.#full.push(beside)
    const isLower = beside < this.#limit && this.#full.filter((seen) => seen === beside).length > 1
    if (isLower) this.#limit = beside
    return isLower
  }
}
