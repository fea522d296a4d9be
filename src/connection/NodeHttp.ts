/**
 * HTTP by Node's own client, with connections that are kept. Not by `fetch`: the first body that it reads detaches an
 * ArrayBuffer, and from then on V8 has every access to a typed array, anywhere in the process, look whether its buffer is
 * still there. Decoders are a fifth slower by that (docs/performance.md).
 */
import { Effect, Layer } from "effect"
import type { HttpClient } from "effect/http/HttpClient"

/** Loaded when it is first needed: who only imports the package does not wait for it. */
export const layer: Layer.Layer<HttpClient> = Layer.unwrap(
  Effect.map(
    Effect.promise(() => import("@effect/platform-node/NodeHttpClient")),
    ({ layerAgentOptions, layerNodeHttpNoAgent }) =>
      Layer.provide(layerNodeHttpNoAgent, layerAgentOptions({ keepAlive: true }))
  )
)
