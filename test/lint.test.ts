/** The lint rules that the promises of the library rest on: one clock, one source of randomness, functions of a size. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const repository = resolve(import.meta.dirname, "..")

/** The rules that refuse this text at this path. */
const refusalsOf = (path: string, text: string): ReadonlyArray<string> => {
  const root = mkdtempSync(join(tmpdir(), "lint-"))
  try {
    copyFileSync(join(repository, ".oxlintrc.json"), join(root, ".oxlintrc.json"))
    mkdirSync(resolve(root, path, ".."), { recursive: true })
    writeFileSync(join(root, path), text)
    const oxlint = join(repository, "node_modules", "oxlint", "bin", "oxlint")
    const { stdout } = spawnSync(process.execPath, [oxlint, "--format=json", path], { cwd: root, encoding: "utf8" })
    const { diagnostics } = JSON.parse(stdout) as { readonly diagnostics: ReadonlyArray<{ readonly code: string }> }
    return diagnostics.map(({ code }) => code)
  } finally {
    rmSync(root, { recursive: true })
  }
}

const branches = (count: number): string =>
  `export const f = (n: number): number => {\n${"  if (n > 1) return 1\n".repeat(count - 1)}  return 0\n}\n`

describe("lint", () => {
  const globals = [
    "Date.now()",
    "new Date()",
    "globalThis.Date.now()",
    "performance.now()",
    "setTimeout(() => {}, 1)",
    "setInterval(() => {}, 1)",
    "setImmediate(() => {})"
  ]
  for (const code of globals) {
    it(`keeps ${code} out of src`, () => {
      assert.deepStrictEqual(refusalsOf("src/A.ts", `export const a = () => ${code}\n`), [
        "eslint(no-restricted-globals)"
      ])
    })
  }

  for (
    const code of [
      "Math.random()",
      "process.hrtime()",
      "process.uptime()",
      "crypto.randomUUID()",
      "crypto.getRandomValues(new Uint8Array(1))",
      "AbortSignal.timeout(1)"
    ]
  ) {
    it(`keeps ${code} out of src`, () => {
      assert.deepStrictEqual(refusalsOf("src/A.ts", `export const a = () => ${code}\n`), [
        "eslint(no-restricted-properties)"
      ])
    })
  }

  for (
    const [name, module] of [
      ["setTimeout", "node:timers/promises"],
      ["setTimeout", "timers/promises"],
      ["setInterval", "node:timers"],
      ["performance", "node:perf_hooks"],
      ["randomInt", "node:crypto"]
    ] as const
  ) {
    it(`keeps ${name} of ${module} out of src, wherever it stands`, () => {
      const text = `import { ${name} } from "${module}"\nexport const a = ${name}\n`
      for (const path of ["src/A.ts", "src/connection/Clock.ts", "src/cli/deep/A.ts"]) {
        assert.include(refusalsOf(path, text), "eslint(no-restricted-imports)")
      }
    })
  }

  it("lets src sign with node:crypto", () => {
    const text = "import { createHmac } from \"node:crypto\"\nexport const a = createHmac\n"
    assert.deepStrictEqual(refusalsOf("src/A.ts", text), [])
  })

  it("lets src queue microtasks, and scripts read the time", () => {
    assert.deepStrictEqual(refusalsOf("src/A.ts", "export const a = () => queueMicrotask(() => {})\n"), [])
    assert.deepStrictEqual(refusalsOf("scripts/a.ts", "export const a = () => Date.now()\n"), [])
  })

  it("bounds the complexity of a function at 10", () => {
    assert.deepStrictEqual(refusalsOf("src/A.ts", branches(10)), [])
    assert.deepStrictEqual(refusalsOf("src/A.ts", branches(11)), ["eslint(complexity)"])
    assert.deepStrictEqual(refusalsOf("scripts/a.ts", branches(11)), ["eslint(complexity)"])
  })

  it("reports a directive that suppresses nothing", () => {
    const text = "// oxlint-disable-next-line complexity\nexport const a = 1\n"
    assert.strictEqual(refusalsOf("src/A.ts", text).length, 1)
  })
})
