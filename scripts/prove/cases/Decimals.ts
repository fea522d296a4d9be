/** Decimals from bytes against `Number`: the same double, bit by bit, for every form that an exchange may send. */
import { Effect } from "effect"
import * as Numeric from "../../../src/domain/Numeric.ts"
import * as Sequence from "../../../src/domain/Sequence.ts"
import type { Case, Proof } from "../Proof.ts"
import * as Proofs from "../Proof.ts"
import type { Draws } from "../Virtual.ts"
import * as Virtual from "../Virtual.ts"

/** Digits with runs of 0 and 9 in them, where roundings and carries go wrong. */
const digits = (draws: Draws, length: number): string => {
  const kind = Virtual.below(draws, 4)
  let text = ""
  for (let i = 0; i < length; i++) {
    text += kind === 0 ? Virtual.pick(draws, ["0", "9", "5"]) : String(Virtual.below(draws, 10))
  }
  return text
}

const withoutLeadingZeros = (text: string): string => text.replace(/^0+(?=\d)/, "")

/** The forms, each with how its texts are made. */
const forms: Readonly<Record<string, (draws: Draws) => string>> = {
  "a price or quantity of up to 10 characters": (draws) => {
    const whole = withoutLeadingZeros(digits(draws, 1 + Virtual.below(draws, 5)))
    return `${whole}.${digits(draws, 1 + Virtual.below(draws, Math.max(1, 9 - whole.length)))}`
  },
  "a whole number": (draws) => withoutLeadingZeros(digits(draws, 1 + Virtual.below(draws, 24))),
  "up to 22 characters": (draws) =>
    `${withoutLeadingZeros(digits(draws, 1 + Virtual.below(draws, 10)))}.${
      digits(draws, 1 + Virtual.below(draws, 11))
    }`,
  "zeros behind the point": (draws) =>
    `0.${"0".repeat(Virtual.below(draws, 24))}${digits(draws, 1 + Virtual.below(draws, 8))}`,
  "zeros at the end": (draws) =>
    `${withoutLeadingZeros(digits(draws, 1 + Virtual.below(draws, 16)))}.${digits(draws, Virtual.below(draws, 6))}${
      "0".repeat(1 + Virtual.below(draws, 12))
    }`,
  "half way between two doubles": (draws) => {
    const exponent = Virtual.below(draws, 10)
    const odd = BigInt(2 ** 53) + BigInt(Virtual.below(draws, 2 ** 30)) * 2n + 1n
    return `${odd << BigInt(exponent)}${Virtual.pick(draws, ["", ".0", ".0000001"])}`
  },
  "longer than any": (draws) =>
    `${digits(draws, 1 + Virtual.below(draws, 30))}.${digits(draws, 1 + Virtual.below(draws, 30))}`
}

/** Stands between digits that must not be read. */
const place = (target: Uint8Array, text: string): number => {
  target.fill(55)
  for (let i = 0; i < text.length; i++) target[3 + i] = text.charCodeAt(i)
  return 3 + text.length
}

const frame = new Uint8Array(256)

/** What one text is read as beside what it has to be; null when all is the same. */
const difference = (text: string): string | null => {
  const end = place(frame, text)
  const checks: ReadonlyArray<readonly [name: string, read: unknown, meant: unknown]> = [
    ["parse", Numeric.parse(frame, 3, end), Number(text)],
    ["parseSigned", Numeric.parseSigned(frame, 3, end), Number(text)],
    ["parsePercent", Numeric.parsePercent(frame, 3, end), Number(`${text}e-2`)],
    ["fromText", Numeric.fromText(text), Number(text)]
  ]
  const wrong = checks.find(([, read, meant]) => !Object.is(read, meant))
  if (wrong !== undefined) return `${wrong[0]}("${text}") is ${String(wrong[1])}, not ${String(wrong[2])}`
  if (text.includes(".")) return null
  const sequence = Sequence.parse(frame, 3, end)
  return sequence === Sequence.fromBigInt(BigInt(text)) ? null : `Sequence.parse("${text}") is ${String(sequence)}`
}

const check = Effect.fnUntraced(function*(proof: Proof, name: string, count: number) {
  const draws = yield* Virtual.draws(proof.seed, `decimals, ${name}`)
  const make = forms[name]!
  let first: string | null = null
  let wrong = 0
  for (let i = 0; i < count; i++) {
    const found = difference(make(draws))
    if (found === null) continue
    wrong++
    first ??= found
  }
  proof.check(`${name}: exactly what Number gives`, wrong === 0, first ?? `${count} texts, all the same`)
})

const run = Effect.fnUntraced(function*(proof: Proof) {
  const names = Object.keys(forms)
  const count = Proofs.sizeOf(proof, 10_000, 1_000_000)
  for (const name of names) yield* check(proof, name, count)
  proof.figure("texts", count * names.length)
})

export const decimals: Case = {
  name: "decimals",
  proves: "Decimals are read from bytes to exactly the double that Number gives, and ids to exactly their value.",
  run
}
