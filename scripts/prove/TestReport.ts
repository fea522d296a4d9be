/** A vitest reporter that prints what became of every test as one line of JSON. */
import type { Reporter, TestCase, TestModule } from "vitest/node"
import type { Tested } from "./Child.ts"
import { reportLine } from "./Child.ts"

const noteOf = (result: ReturnType<TestCase["result"]>): string => {
  if (result.state === "skipped") return result.note ?? ""
  return result.state === "failed" ? result.errors.map(({ message }) => message).join("; ") : ""
}

const testedOf = (test: TestCase): Tested => {
  const result = test.result()
  const suite = test.parent.type === "suite" ? test.parent.name : ""
  return { file: test.module.relativeModuleId, suite, name: test.name, state: result.state, note: noteOf(result) }
}

const testsOf = (module: TestModule): ReadonlyArray<Tested> => Array.from(module.children.allTests(), testedOf)

export default class implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandled: ReadonlyArray<{ readonly message: string }>): void {
    const errors = [...modules.flatMap((module) => module.errors()), ...unhandled]
    process.stdout.write(reportLine({ tests: modules.flatMap(testsOf), broken: errors.map(({ message }) => message) }))
  }
}
