/** The page: filled from results, and the committed one true to its files. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Report from "../../scripts/bench/Report.ts"
import type { ResultsFile } from "../../scripts/bench/Results.ts"
import * as Results from "../../scripts/bench/Results.ts"

const docs = join(import.meta.dirname, "../../docs")
const page = readFileSync(join(docs, "performance.md"), "utf8")

describe("docs/performance.md", () => {
  const names = Report.sourcesOf(page)

  it("names the files that it was made from", () => {
    assert.isAbove(names.length, 0)
  })

  it("and its pictures are what these files give", async () => {
    const files = names.map((name) => JSON.parse(readFileSync(join(docs, "benchmarks", name), "utf8")) as ResultsFile)
    const made = await Report.make(Results.merge(files), names)
    assert.strictEqual(Report.fill(page, made), page)
    for (const [name, svg] of Object.entries(made.pictures)) {
      assert.strictEqual(readFileSync(join(docs, "benchmarks", name), "utf8"), svg, name)
      assert.include(page, `benchmarks/${name}`)
    }
  })

  it("refuses a page without the blocks", async () => {
    const made = { blocks: { nowhere: "text" }, pictures: {} }
    assert.throws(() => Report.fill(page, made), /no block <!-- bench: nowhere -->/u)
  })
})
