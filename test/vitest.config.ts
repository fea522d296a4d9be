import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"
import { closingLine } from "../scripts/closing-line.ts"

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/**/*.test.ts"],
    reporters: ["default", closingLine],
    // Of two cores, vitest would leave one idle; and many tests wait for sockets more than they work.
    maxWorkers: Math.ceil(availableParallelism() * 1.5),
    // A machine may be slow, or stop for seconds.
    testTimeout: 90_000,
    // Folders to make and to remove, on a machine that may be busy.
    hookTimeout: 60_000,
    // A forgotten `.only` would switch the other tests off in silence.
    allowOnly: false,
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      reporter: ["text-summary", "json-summary", "html"],
      reportsDirectory: "coverage",
      thresholds: { lines: 95, branches: 95 }
    }
  }
})
