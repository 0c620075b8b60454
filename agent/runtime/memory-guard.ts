// Memory limits by looking: ten times a second, the memory of each limited container's processes is
// added up, and one that has more than its limit is reported, as the kernel's OOM killer would. An app
// can be over its limit for a moment; it cannot stay there.

import { memoryOf, processTree } from './process-tree.ts'

export interface MemoryGuard {
  guard(id: string, pid: number, limitBytes: number): void
  forget(id: string): void
}

const EVERY_MS = 100

/** `onOver` is called once for a container that has more than it may. */
export function createMemoryGuard(onOver: (id: string) => void): MemoryGuard {
  const guarded = new Map<string, { pid: number; limitBytes: number }>()
  let timer: NodeJS.Timeout | undefined
  const look = (): void => {
    for (const [id, { pid, limitBytes }] of guarded) {
      const used = processTree(pid).reduce((sum, each) => sum + memoryOf(each), 0)
      if (used <= limitBytes) continue
      guarded.delete(id)
      onOver(id)
    }
    if (guarded.size === 0) stop()
  }
  const stop = (): void => {
    clearInterval(timer)
    timer = undefined
  }
  return {
    guard(id, pid, limitBytes) {
      guarded.set(id, { pid, limitBytes })
      timer ??= setInterval(look, EVERY_MS)
    },
    forget(id) {
      guarded.delete(id)
      if (guarded.size === 0) stop()
    },
  }
}
