// Life-cycle hooks: postStart right after a container has started, preStop before it is told to stop.
// Each answers what went wrong, as kubelet's event says it, or undefined.

import type { Container, Handler } from '#shared/api/pod.ts'
import { check } from './check.ts'
import type { CheckTarget } from './check.ts'

/** A hook has no time limit of its own; this one stops a hook that hangs for ever. */
const POST_START_MS = 600_000

export function runPostStart(
  container: Container,
  target: CheckTarget,
): Promise<string | undefined> {
  return run(container.lifecycle?.postStart, target, POST_START_MS, 'PostStartHook failed')
}

/** Ends with the grace at the latest. */
export function runPreStop(
  container: Container,
  target: CheckTarget,
  graceSeconds: number,
): Promise<string | undefined> {
  return run(container.lifecycle?.preStop, target, graceSeconds * 1000, 'PreStopHook failed')
}

async function run(
  handler: Handler | undefined,
  target: CheckTarget,
  timeoutMs: number,
  prefix: string,
): Promise<string | undefined> {
  if (!handler) return undefined
  if (handler.sleep) {
    await new Promise((resolve) => {
      setTimeout(resolve, Math.min(timeoutMs, (handler.sleep?.seconds ?? 0) * 1000))
    })
    return undefined
  }
  const result = await check(handler, target, timeoutMs)
  return result.isGood ? undefined : `${prefix}: ${result.message}`
}
