// The last words of one pod's containers, until they are told.

import type { ContainerWords } from '#shared/api/last-words.ts'
import { lastWords } from '../logs/last-words.ts'
import type { Exit } from '../runtime/runtime.ts'
import type { ContainerRecord, PodRecord } from './record.ts'

export interface Words {
  /** A container has ended; its log is at `path`, closed. */
  keep(record: PodRecord, container: ContainerRecord, exit: Exit, path: string): void
  /** What those said that have ended badly since it was asked last, by container. */
  take(): Record<string, ContainerWords>
}

export function createWords(): Words {
  let words: Record<string, ContainerWords> = {}
  return {
    keep({ leaving, failed }, container, { exitCode, reason, containerID }, path) {
      // Who ended well, or because the pod leaves, has nothing that must outlive the container.
      const isBad = exitCode !== 0 || container.condemned !== undefined || failed !== undefined
      if (!isBad || leaving) return
      const log = lastWords(path)
      if (log !== '') words[container.name] = { containerID, exitCode, reason, log }
    },
    take() {
      const taken = words
      words = {}
      return taken
    },
  }
}
