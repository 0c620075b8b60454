// `npm start`: sets itself up, then runs emulator/main.ts with the same arguments.

import { join } from 'node:path'
import { ROOT, main, prepare, runOn } from '../infra/setup.mjs'

await main(async () => {
  const node = await prepare()
  return runOn(node, [join(ROOT, 'emulator', 'main.ts'), ...process.argv.slice(2)])
})
