// What an agent does between the power button and the end: it says that it goes, gets itself out of
// load balancers by failing their health checks, and lets its pods leave while it still forwards.

import type { Node } from '#shared/api/node.ts'
import { NODE_SHUTDOWN_MESSAGE } from '#shared/api/node.ts'
import { pause } from './retry.ts'

export interface DrainOptions {
  /** Pods that run here. */
  hasPods: () => boolean
  /** Pods that were told to leave and have not ended yet. */
  isAnyLeaving: () => boolean
  /** Load balancers send traffic to this VM. */
  isBalanced: () => boolean
  now: () => number
  /** Aborts when there is no more time. */
  signal: AbortSignal
}

/** So long pods that nobody has told to leave are waited for: the control plane may be slow, or away. */
const TOLD_MS = 3000
/** Two failed probes a second apart, and the load balancer's own time. */
const FORGOTTEN_MS = 5000
const LOOK_MS = 50

/** Resolves when nothing is to be waited for any more, or the signal aborts. */
export async function drain(options: DrainOptions): Promise<void> {
  const { hasPods, isAnyLeaving, isBalanced, now, signal } = options
  const since = now()
  const isOver = (): boolean => {
    if (isAnyLeaving()) return false
    const ms = Math.max(hasPods() ? TOLD_MS : 0, isBalanced() ? FORGOTTEN_MS : 0)
    return now() - since >= ms
  }
  while (!isOver() && !signal.aborted) await pause(LOOK_MS, signal)
}

/** The Node as a machine that was told to shut down: kubelet's words. */
export function shuttingDown(node: Node): Node {
  const conditions = (node.status?.conditions ?? []).map((condition) =>
    condition.type === 'Ready'
      ? {
          ...condition,
          status: 'False' as const,
          reason: 'KubeletNotReady',
          message: NODE_SHUTDOWN_MESSAGE,
        }
      : condition,
  )
  return { ...node, status: { ...node.status, conditions } }
}
