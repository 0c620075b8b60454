// Hears from the engine which containers have ended. One connection for all of them; when it was broken
// (the engine was away) everything is looked at once, since an end may have been missed.

import type { Readable } from 'node:stream'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type Docker from 'dockerode'
import { isRecord } from '../../json.ts'
import type { Log } from '#shared/ports/log.ts'
import { engineMessage, LABELS } from './engine.ts'

export interface EventListener {
  /** A container with our label has ended, by the engine's id. */
  onEnd(engineId: string): void
  /** The connection is there (again): look at everything. */
  onOpen(): void
}

const FIRST_MS = 100
const MAX_MS = 2000

/** Listens until the signal aborts. */
export async function listenToEngine(
  docker: Docker,
  owner: string,
  listener: EventListener,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  for (let wait = FIRST_MS; !signal.aborted; wait = Math.min(wait * 2, MAX_MS)) {
    try {
      const source = (await docker.getEvents({
        filters: { type: ['container'], event: ['die'], label: [`${LABELS.owner}=${owner}`] },
      })) as Readable
      const stop = (): void => void source.destroy()
      signal.addEventListener('abort', stop)
      if (signal.aborted) stop()
      wait = FIRST_MS
      listener.onOpen()
      await hear(source, listener)
      signal.removeEventListener('abort', stop)
      if (!signal.aborted) log.warn('the container engine has hung up')
    } catch (error) {
      if (!signal.aborted) {
        log.warn('the container engine does not answer', { why: engineMessage(error) })
      }
    }
    await sleep(wait, undefined, { signal, ref: false }).catch(() => undefined)
  }
}

async function hear(source: Readable, listener: EventListener): Promise<void> {
  for await (const line of createInterface({ input: source })) {
    if (line.trim() === '') continue
    const event: unknown = JSON.parse(line)
    if (isRecord(event) && typeof event['id'] === 'string') listener.onEnd(event['id'])
  }
}
