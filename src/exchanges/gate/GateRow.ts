/**
 * Reading what Gate says of an account: JSON whose numbers stay exact, and its objects field by field. The first thing
 * that is odd about an object is kept, so that a reader is plain code and its result is asked for once, at the end.
 */
import { Result } from "effect"
import * as Decimal from "../../domain/Decimal.ts"
import * as ExactJson from "../../domain/ExactJson.ts"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** What a text frame holds. */
export const parseFrame = (frame: Uint8Array): Result.Result<unknown, string> =>
  Result.try({
    try: () => ExactJson.parse(utf8.decode(frame)),
    // No UTF-8, no JSON, or brackets that are nested thousands deep. The frame's own text may hold anything.
    catch: (error) => error instanceof SyntaxError ? "not JSON" : "not UTF-8 or nested too deep"
  })

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const excerpt = 80

const shown = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, excerpt)

/** Times are seconds or ms, with or without a fraction: nothing of an account is older than 1973 in ms. */
const earliestMillis = 1e11

export class Row {
  readonly #fields: Readonly<Record<string, unknown>>
  readonly #around: Row | null
  #problem: string | null = null

  constructor(value: unknown, around: Row | null = null) {
    this.#fields = isObject(value) ? value : {}
    this.#around = around
    if (!isObject(value)) this.problem(`${shown(value)} is no object`)
  }

  /** Notes what is odd; only the first counts. */
  problem(detail: string): void {
    this.#problem ??= detail
    this.#around?.problem(detail)
  }

  /** An object in a field; what is odd about it is odd about this one. */
  inside(name: string): Row {
    return new Row(this.#fields[name], this)
  }

  /** What was read, unless something was odd. */
  result<A>(value: A): Result.Result<A, string> {
    return this.#problem === null ? Result.succeed(value) : Result.fail(this.#problem)
  }

  /** Null for what is missing, `null`, empty, or Gate's dash. */
  textOr(name: string): string | null {
    const value = Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined
    if (typeof value === "number") return String(value)
    return typeof value !== "string" || value === "" || value === "-" ? null : value
  }

  text(name: string): string {
    const text = this.textOr(name)
    if (text === null) this.problem(`${name} is ${shown(this.#fields[name])}`)
    return text ?? ""
  }

  /** An id, exact text: the first of these fields that is there. */
  id(...names: ReadonlyArray<string>): string {
    const text = names.map((name) => this.textOr(name)).find((found) => found !== null) ?? ""
    if (!/^\d{1,40}$/.test(text)) this.problem(`${names.join(" or ")} is ${shown(text)}: no id`)
    return text
  }

  decimalOr(name: string): Decimal.Decimal | null {
    const text = this.textOr(name)
    if (text === null) return null
    const value = Decimal.parse(text)
    if (Result.isSuccess(value)) return value.success
    this.problem(`${name}: ${value.failure}`)
    return null
  }

  decimal(name: string): Decimal.Decimal {
    const value = this.decimalOr(name)
    if (value === null) this.problem(`${name} is ${shown(this.#fields[name])}`)
    return value ?? Decimal.zero
  }

  /** One of a few words; anything else is odd. */
  word<const A extends string>(name: string, words: ReadonlyArray<A>): A {
    const text = this.textOr(name)
    const known = words.find((word) => word === text)
    if (known === undefined) this.problem(`${name} is ${shown(text)}, none of ${words.join(", ")}`)
    return known ?? words[0]!
  }

  flagOr(name: string): boolean | null {
    const value = this.#fields[name]
    return typeof value === "boolean" ? value : null
  }

  /** ms, fractions cut off, of the first of these fields that holds a time. */
  timeOr(...names: ReadonlyArray<string>): number | null {
    for (const name of names) {
      const text = this.textOr(name)
      if (text === null || !/^\d{1,16}(\.\d{1,12})?$/.test(text) || Number(text) === 0) continue
      // The exponent moves the point without the error of a multiplication.
      return Math.floor(Number(text) < earliestMillis ? Number(`${text}e3`) : Number(text))
    }
    return null
  }
}

/** A list of objects, or the one that stands in its place. */
export const rowsOf = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : [value]

/** Reads all of a list, or says what is odd about the first that is. */
export const readAll = <A>(
  values: ReadonlyArray<unknown>,
  read: (row: Row) => A
): Result.Result<ReadonlyArray<A>, string> => {
  const found: Array<A> = []
  for (const value of values) {
    const row = new Row(value)
    const result = row.result(read(row))
    if (Result.isFailure(result)) return Result.fail(result.failure)
    found.push(result.success)
  }
  return Result.succeed(found)
}
