/** Fixtures that lie beside the repository, read in place. */
import { it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"

const fixtureFolder = new URL("../../../shared/fixtures/", import.meta.url)
const hasFixtures = existsSync(fixtureFolder)

interface Fixture {
  readonly id: string
  readonly raw: string | { readonly hex: string }
}

/** The raw text of a fixture; bytes as hex. */
export const fixture = (file: string, name: string): string => {
  const lines = readFileSync(new URL(file, fixtureFolder), "utf8").trim().split("\n")
  const found = lines.map((line) => JSON.parse(line) as Fixture).find(({ id }) => id.endsWith(`/${name}`))
  if (found === undefined) throw new Error(`no fixture ${name} in ${file}`)
  return typeof found.raw === "string" ? found.raw : found.raw.hex
}

/** A test that needs them, and is skipped where they are not. */
export const withFixtures = hasFixtures || process.env["REQUIRE_FIXTURES"] === "1" ? it : it.skip
