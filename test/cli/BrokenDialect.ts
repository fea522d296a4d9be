/** Servers that do not do what their documents say, each in one respect. */
import type { About, DialectRequest, DialectResponse, ExchangeDialect, Peer } from "../../src/ExchangeDialect.ts"

type Frame = string | Uint8Array

/** Frames changed on their way out; null keeps one back, a list sends several. */
export const frames = (
  dialect: ExchangeDialect,
  change: (frame: Frame, about: About) => Frame | null | ReadonlyArray<Frame>
): ExchangeDialect => ({
  ...dialect,
  connect: (world, peer, options) => {
    const changed: Peer = {
      ...peer,
      send: (frame, about) => {
        const result = change(frame, about)
        const list = result === null ? [] : Array.isArray(result) ? result as ReadonlyArray<Frame> : [result as Frame]
        for (const one of list) peer.send(one, about)
      }
    }
    return dialect.connect(world, changed, options)
  }
})

/** Text frames with this in them, changed. */
export const text = (dialect: ExchangeDialect, part: string, change: (frame: string) => string): ExchangeDialect =>
  frames(dialect, (frame) => typeof frame === "string" && frame.includes(part) ? change(frame) : frame)

/** Text frames with this in them, changed as JSON. */
export const json = <A>(
  dialect: ExchangeDialect,
  part: string,
  change: (value: A) => unknown
): ExchangeDialect => text(dialect, part, (frame) => JSON.stringify(change(JSON.parse(frame) as A)))

/** REST answers on a path that ends so, changed as JSON. */
export const rest = <A>(
  dialect: ExchangeDialect,
  path: string,
  change: (value: A, request: DialectRequest) => unknown
): ExchangeDialect => ({
  ...dialect,
  onHttp: (request, world, options): DialectResponse => {
    const response = dialect.onHttp(request, world, options)
    if (!request.path.endsWith(path) || response.status !== 200) return response
    return { ...response, body: JSON.stringify(change(JSON.parse(response.body) as A, request)) }
  }
})

/** Connections that take so many topics. */
export const narrow = (dialect: ExchangeDialect, topics: number): ExchangeDialect => ({
  ...dialect,
  connect: (world, peer, options) => {
    const refuses = (topic: string): string | null =>
      connection.topics().size >= topics ? "this connection is full" : world.refuses(topic)
    const connection = dialect.connect({ ...world, refuses }, peer, options)
    return connection
  }
})
