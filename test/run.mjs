// `npm test [-- names and options]`: sets itself up, then runs vitest. Without names it runs everything
// in three parts: what is small side by side; whole systems that are only talked to, two at a time; and
// then those that are broken or timed, one at a time, because two of them on one small machine measure
// each other. A file that failed there is run once more by itself: what
// then passes is named, since it is not as sturdy as it should be, and does not fail the run.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT, main, prepare, runOn } from '../infra/setup.mjs'

/** The folder of tests that start whole systems. */
const WHOLE = 'test/e2e'
/** Those of them to which it does not matter how fast the machine is. Any other one runs alone. */
const PATIENT = [
  'bare-machine',
  'deployed',
  'deploys',
  'gcloud',
  'kubectl-api',
  'kubectl-storage',
  'lecture',
  'page',
  'streams',
].map((name) => `${WHOLE}/${name}.test.ts`)
/** More than these failing at once is no matter of a busy machine. */
const AGAIN_MAX = 5

await main(async () => {
  const node = await prepare()
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
  const args = process.argv.slice(2)
  if (args.length > 0) return runOn(node, [vitest, 'run', ...args])
  const dir = mkdtempSync(join(tmpdir(), 'wherry-counts-'))
  try {
    return await runAll(dir, (more) => runOn(node, [vitest, 'run', ...more]))
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})

/**
 * @param {string} dir a folder for the counts
 * @param {(args: string[]) => Promise<number>} run
 * @returns {Promise<number>} an exit code
 */
async function runAll(dir, run) {
  let interrupted = false
  const total = { passed: 0, failed: 0, skipped: 0 }
  const failures = []
  let number = 0
  const part = async (args) => {
    const file = join(dir, `${number++}.json`)
    process.env['WHERRY_TEST_COUNTS'] = file
    const code = await run(args)
    if (code >= 128) interrupted = true
    const counts = readCounts(file)
    // No counts: it did not get as far as counting.
    return counts ?? { passed: 0, failed: code === 0 ? 0 : 1, skipped: 0, files: [] }
  }
  const parts = [
    ['--exclude', `${WHOLE}/**`],
    [...PATIENT, '--maxWorkers=2'],
    [WHOLE, ...PATIENT.flatMap((file) => ['--exclude', file]), '--maxWorkers=1'],
  ]
  for (const args of parts) {
    if (interrupted) break
    const counts = await part(args)
    add(total, counts)
    failures.push(...counts.files)
  }
  if (failures.length > 0 && failures.length <= AGAIN_MAX && !interrupted) {
    console.log(`\nOnce more, one at a time: ${failures.map(({ path }) => path).join(' ')}`)
    const again = await part([...failures.map(({ path }) => path), '--maxWorkers=1'])
    for (const { passed, failed, skipped } of failures)
      add(total, { passed: -passed, failed: -failed, skipped: -skipped })
    add(total, again)
    for (const { path } of failures) {
      const isStill = again.files.some((file) => file.path === path)
      console.log(`${path}: ${isStill ? 'failed again' : 'passed by itself, after it had failed'}`)
    }
  }
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
  return interrupted || total.failed > 0 ? 1 : 0
}

function readCounts(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}

function add(total, { passed, failed, skipped }) {
  total.passed += passed
  total.failed += failed
  total.skipped += skipped
}
