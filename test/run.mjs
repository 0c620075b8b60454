// `npm test [-- names and options]`: sets itself up, then runs vitest once.

import { join } from 'node:path'
import { ROOT, main, prepare, runOn } from '../infra/setup.mjs'

await main(async () => {
  const node = await prepare()
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
  return runOn(node, [vitest, 'run', ...process.argv.slice(2)])
})
