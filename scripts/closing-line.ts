/** A vitest reporter that ends the run with one plain line, `12 passed, 0 failed, 3 skipped`, for machines to read. */
import type { Reporter, TestModule } from "vitest/node"

const countOf = (modules: ReadonlyArray<TestModule>, state: "passed" | "failed" | "skipped"): number =>
  modules.reduce((sum, module) => sum + Array.from(module.children.allTests(state)).length, 0)

/** A file that cannot be loaded and an error outside any test are failures too. */
const brokenModules = (modules: ReadonlyArray<TestModule>): number =>
  modules.filter((module) => module.errors().length > 0).length

export const closingLine: Reporter = {
  onTestRunEnd: (modules, unhandledErrors) => {
    const failed = countOf(modules, "failed") + brokenModules(modules) + unhandledErrors.length
    process.stdout.write(
      `${countOf(modules, "passed")} passed, ${failed} failed, ${countOf(modules, "skipped")} skipped\n`
    )
  }
}
