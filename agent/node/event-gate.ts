// Keeps a pod that fails again and again from writing an event each time: equal warnings are let
// through at growing distances. Pure but for what it remembers.

import type { NodeEvent } from '#shared/api/agent-wire.ts'

export interface EventGate {
  /** True when the event shall be told. */
  admit(event: NodeEvent, now: number): boolean
}

const FIRST_MS = 10_000
const MAX_MS = 300_000
/** Forgotten after an hour, when the API has forgotten it too. */
const KEEP_MS = 3_600_000
const REMEMBERED_MAX = 2000

export function createEventGate(): EventGate {
  const seen = new Map<string, { at: number; waitMs: number }>()
  return {
    admit(event, now) {
      // A start or a stop comes with a status anyway.
      if (event.type === 'Normal') return true
      const key = [event.pod?.uid, event.fieldPath, event.reason, event.message].join('\n')
      const last = seen.get(key)
      if (last && now - last.at < last.waitMs) return false
      const isOld = !last || now - last.at > KEEP_MS
      seen.delete(key)
      seen.set(key, { at: now, waitMs: isOld ? FIRST_MS : Math.min(last.waitMs * 2, MAX_MS) })
      const [oldest] = seen.keys()
      if (seen.size > REMEMBERED_MAX && oldest !== undefined) seen.delete(oldest)
      return true
    },
  }
}
