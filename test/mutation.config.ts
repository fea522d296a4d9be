/** What Stryker runs: the tests that guard the files it changes, named by `scripts/mutation.ts`. */
import { defineConfig } from "vitest/config"
import base from "./vitest.config.ts"

export default defineConfig({
  test: {
    ...base.test,
    include: process.env["MUTATION_TESTS"]?.split(",") ?? [],
    reporters: [],
    // A test that waits for ever has noticed; ended by vitest it costs less than a process ended by Stryker.
    testTimeout: 4_000,
    // Mutants of what runs while a module loads need the module loaded anew.
    isolate: true
  }
})
