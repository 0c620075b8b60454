// `npm run story`: sets itself up, then runs story/main.ts with the same arguments.

import { join } from 'node:path'
import { ROOT, main, prepare, runOn } from '../infra/setup.mjs'

await main(async () => {
  const node = await prepare()
  return runOn(node, [join(ROOT, 'story', 'main.ts'), ...process.argv.slice(2)])
})
