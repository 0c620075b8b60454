// Counts a run of tests: prints the one line that a plain CI reads, "N passed, N failed, N skipped",
// or, for test/run.mjs, which adds several runs up, writes the counts to a file.
import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import type { Reporter, TestModule, TestCase } from 'vitest/node'

/** What one run of vitest came to; `files` are those that failed, with their own counts. */
export interface TestCounts {
  passed: number
  failed: number
  skipped: number
  files: { path: string; passed: number; failed: number; skipped: number }[]
}

/** A vitest reporter that counts cases and files that could not be loaded. */
export default class PlainReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const all: TestCounts = { passed: 0, failed: unhandled.length, skipped: 0, files: [] }
    for (const module of modules) {
      const count = countOf(module)
      all.passed += count.passed
      all.failed += count.failed
      all.skipped += count.skipped
      if (count.failed > 0)
        all.files.push({ path: relative(process.cwd(), module.moduleId), ...count })
    }
    const file = process.env['WHERRY_TEST_COUNTS']
    if (file) writeFileSync(file, JSON.stringify(all))
    else console.log(`${all.passed} passed, ${all.failed} failed, ${all.skipped} skipped`)
  }
}

function countOf(module: TestModule): { passed: number; failed: number; skipped: number } {
  const count = { passed: 0, failed: 0, skipped: 0 }
  const cases: TestCase[] = [...module.children.allTests()]
  for (const test of cases) {
    const state = test.result().state
    if (state === 'passed') count.passed++
    else if (state === 'failed') count.failed++
    else count.skipped++
  }
  if (cases.length === 0 || module.errors().length > 0) count.failed++
  return count
}
