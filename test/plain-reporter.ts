// Prints the one line that a plain CI reads: "N passed, N failed, N skipped".
import type { Reporter, TestModule, TestCase } from 'vitest/node'

/** A vitest reporter that counts cases and files that could not be loaded. */
export default class PlainReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const count = { passed: 0, failed: 0, skipped: 0 }
    for (const module of modules) {
      const cases: TestCase[] = [...module.children.allTests()]
      for (const test of cases) {
        const state = test.result().state
        if (state === 'passed') count.passed++
        else if (state === 'failed') count.failed++
        else count.skipped++
      }
      if (cases.length === 0 || module.errors().length > 0) count.failed++
    }
    count.failed += unhandled.length
    console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`)
  }
}
