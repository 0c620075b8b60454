// A process that stands still, all of it.

import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Resolves when every thread stands: one that runs on another processor goes on for a moment. `SIGCONT` ends it. */
export async function freeze(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP')
  while (!threadStates(pid).every((state) => !'RSD'.includes(state))) await sleep(5)
}

/** None where there is no /proc. */
function threadStates(pid: number): string[] {
  const folder = `/proc/${pid}/task`
  try {
    return readdirSync(folder).map((thread) => {
      const stat = readFileSync(`${folder}/${thread}/stat`, 'utf8')
      return stat.slice(stat.lastIndexOf(')') + 2)[0] ?? ''
    })
  } catch {
    return []
  }
}
