/** Metrics over HTTP for Prometheus, and OTLP export; what needs them is loaded only when they are asked for. */
import { Effect, Layer, Option } from "effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Otlp from "effect/observability/Otlp"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { createServer } from "node:http"
import * as NodeHttp from "../connection/NodeHttp.ts"
import * as Failure from "./Failure.ts"

const host = "127.0.0.1"

const causeOf = (error: { readonly cause: unknown }): string =>
  error.cause instanceof Error ? error.cause.message : String(error.cause)

const prometheus = (port: number): Layer.Layer<never, Failure.CommandFailed> =>
  Layer.unwrap(Effect.gen(function*() {
    const NodeHttpServer = yield* Effect.promise(() => import("@effect/platform-node/NodeHttpServer"))
    const announced = Layer.effectDiscard(
      HttpServer.addressFormattedWith((address) => Effect.logInfo(`metrics at ${address}/metrics`))
    )
    return HttpRouter.serve(PrometheusMetrics.layerHttp(), { disableLogger: true, disableListenLog: true }).pipe(
      Layer.merge(announced),
      Layer.provide(NodeHttpServer.layer(createServer, { port, host, gracefulShutdownTimeout: "200 millis" })),
      Layer.catchTag("ServeError", (error) =>
        Layer.effectDiscard(Effect.fail(Failure.failed(`cannot serve metrics on ${host}:${port}: ${causeOf(error)}`))))
    )
  }))

/** The tracer and the logger are given to the program; its other loggers stay. */
const otlp = (baseUrl: string) =>
  Layer.effectDiscard(Effect.logInfo(`exporting telemetry to ${baseUrl}`)).pipe(
    Layer.merge(Otlp.layerJson({ baseUrl, resource: { serviceName: "effect-exchange" }, shutdownTimeout: "1 second" })),
    Layer.provide(NodeHttp.layer)
  )

export interface TelemetryOptions {
  readonly metricsPort: Option.Option<number>
  readonly otlpUrl: Option.Option<string>
}

export const layer = ({ metricsPort, otlpUrl }: TelemetryOptions) =>
  Layer.merge(
    Option.match(metricsPort, { onNone: () => Layer.empty, onSome: prometheus }),
    Option.match(otlpUrl, { onNone: () => Layer.empty, onSome: otlp })
  )
