import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const repository = resolve(import.meta.dirname, "..")

it("counts broken files and stray errors as failures", () => {
  const root = mkdtempSync(join(tmpdir(), "closing-line-"))
  try {
    symlinkSync(join(repository, "node_modules"), join(root, "node_modules"))
    const reporter = join(repository, "scripts", "closing-line.ts")
    const files = {
      "vitest.config.ts": `import { closingLine } from ${JSON.stringify(reporter)}\n` +
        "export default { test: { root: import.meta.dirname, reporters: [closingLine] } }\n",
      "passes.test.ts":
        "import { it } from \"vitest\"\nit(\"a\", () => {})\nit(\"b\", () => {})\nit.skip(\"c\", () => {})\n",
      "fails.test.ts": "import { it } from \"vitest\"\nit(\"d\", () => { throw new Error(\"d\") })\n",
      "broken.test.ts": "import \"./missing.ts\"\n",
      "stray.test.ts": "import { it } from \"vitest\"\n" +
        "it(\"e\", () => { queueMicrotask(() => { throw new Error(\"stray\") }) })\n"
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text)
    const vitest = join(repository, "node_modules", "vitest", "vitest.mjs")
    const { status, stdout } = spawnSync(process.execPath, [vitest, "run"], { cwd: root, encoding: "utf8" })
    assert.strictEqual(status, 1)
    assert.strictEqual(stdout.trimEnd().split("\n").at(-1), "3 passed, 3 failed, 1 skipped")
  } finally {
    rmSync(root, { recursive: true })
  }
})
