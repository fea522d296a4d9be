/** Everything that a program says of itself: logs, spans, errors, metrics, journals. And whether a secret stands in it. */
import { Cause, Effect, Layer, Logger, Metric, References, Tracer } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { inspect } from "node:util"

/** What was found, never the secret itself. */
export interface Leak {
  readonly where: string
  readonly secret: string
  readonly form: string
  /** Around it, with the secret taken out. */
  readonly excerpt: string
}

const bytesOf = (text: string): Buffer =>
  /^(?:[0-9a-f]{2}){16,}$/i.test(text) ? Buffer.from(text, "hex") : Buffer.from(text)

/** The ways in which somebody might write it. */
const formsOf = (secret: string): ReadonlyArray<readonly [name: string, text: string]> => {
  const plain = Buffer.from(secret)
  const forms: ReadonlyArray<readonly [string, string]> = [
    ["plain", secret],
    ["upper case", secret.toUpperCase()],
    ["escaped", encodeURIComponent(secret)],
    ["hex", plain.toString("hex")],
    ["base64", plain.toString("base64").replace(/=+$/, "")],
    ["base64url", plain.toString("base64url")],
    ["base64 of its bytes", bytesOf(secret).toString("base64").replace(/=+$/, "")]
  ]
  return forms.filter(([, text], index) => forms.findIndex((other) => other[1] === text) === index)
}

/** Of a value as deep as it goes, with what is hidden from enumeration, and as JSON. */
const textsOf = (value: unknown): ReadonlyArray<string> => {
  const deep = inspect(value, { depth: 12, showHidden: true, maxArrayLength: 1_000, maxStringLength: 100_000 })
  return [String(value), deep, jsonOf(value)]
}

const jsonOf = (value: unknown): string => {
  const seen = new WeakSet<object>()
  try {
    return JSON.stringify(value, (_, each: unknown) => {
      if (typeof each === "bigint") return String(each)
      if (typeof each !== "object" || each === null) return each
      if (seen.has(each)) return "(again)"
      seen.add(each)
      return each
    }) ?? ""
  } catch (error) {
    return String(error)
  }
}

export class Evidence {
  readonly #lines = new Map<string, Set<string>>()
  readonly #spans: Array<Tracer.Span> = []
  readonly counts = { logs: 0, spans: 0, errors: 0, journals: 0 }

  #add(where: string, text: string): void {
    let lines = this.#lines.get(where)
    if (lines === undefined) this.#lines.set(where, lines = new Set())
    lines.add(text)
  }

  /** An error, in each way in which one is printed. */
  error(error: unknown): void {
    this.counts.errors++
    for (const text of textsOf(error)) this.#add("error", text)
    if (error instanceof Error) this.#add("error", `${error.message}\n${error.stack ?? ""}`)
  }

  cause(cause: Cause.Cause<unknown>): void {
    this.#add("error", Cause.pretty(cause))
    for (const text of textsOf(cause)) this.#add("error", text)
    for (const reason of cause.reasons) if (Cause.isFailReason(reason)) this.error(reason.error)
  }

  /** Anything that a user may look at: a service, its statistics, a URL. */
  value(where: string, value: unknown): void {
    for (const text of textsOf(value)) this.#add(where, text)
  }

  journal(bytes: Uint8Array): void {
    this.counts.journals++
    this.#add("journal", Buffer.from(bytes).toString("latin1"))
  }

  /** Logs of every level in every form, and every span. */
  get layer(): Layer.Layer<never> {
    const logger = Logger.make((options) => {
      this.counts.logs++
      for (const format of [Logger.formatSimple, Logger.formatLogFmt, Logger.formatJson]) {
        this.#add("log", format.log(options))
      }
      for (const text of textsOf(options.message)) this.#add("log", text)
    })
    const tracer = Tracer.make({
      span: (options) => {
        this.counts.spans++
        const span = new Tracer.NativeSpan(options)
        this.#spans.push(span)
        return span
      }
    })
    return Layer.mergeAll(
      Logger.layer([logger]),
      Layer.succeed(References.MinimumLogLevel, "All"),
      Layer.succeed(Tracer.Tracer, tracer)
    )
  }

  /** What the metrics of now say, their labels with it. */
  readonly metrics: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    this.#add("metric", yield* PrometheusMetrics.format())
    this.#add("metric", jsonOf(yield* Metric.snapshot))
  })

  #spanTexts(): ReadonlyArray<string> {
    return this.#spans.flatMap((span) => {
      const { attributes, kind, links, name, status } = span
      const events = "events" in span ? span.events : []
      return textsOf({ name, kind, status, attributes: [...attributes], events, links: links.length })
    })
  }

  /** Every place where one of the secrets stands, in whatever form. */
  leaks(secrets: ReadonlyMap<string, string>): ReadonlyArray<Leak> {
    for (const text of this.#spanTexts()) this.#add("span", text)
    const found: Array<Leak> = []
    for (const [where, lines] of this.#lines) {
      const all = [...lines].join("\n")
      for (const [secret, name] of secrets) {
        for (const [form, text] of formsOf(secret)) {
          const at = all.indexOf(text)
          if (at < 0) continue
          const excerpt = `${all.slice(Math.max(0, at - 80), at)}…${all.slice(at + text.length, at + text.length + 40)}`
          found.push({ where, secret: name, form, excerpt: excerpt.replaceAll("\n", " ") })
        }
      }
    }
    return found
  }

  /** Characters that were looked through. */
  get size(): number {
    let size = 0
    for (const lines of this.#lines.values()) for (const line of lines) size += line.length
    return size
  }
}
