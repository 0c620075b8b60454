// How the api function writes: one commit, guarded by the versions it was computed from; then the
// cluster is woken. A lost race is computed again, because the view has moved.

import { randomUUID } from 'node:crypto'
import { TOPICS } from '#shared/ports/bus.ts'
import type { Revision, Write } from '#shared/ports/store.ts'
import { StatusError } from '#shared/status.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { ApiContext } from './context.ts'

/** Publishing may not hold up an answer: the sweep delivers what is lost. */
const PUBLISH_MS = 2000
const ATTEMPTS = 6

/** Commits and wakes the cluster. Errors as LiveView.commit. */
export async function commitWrites(
  context: ApiContext,
  verb: string,
  writes: Write[],
): Promise<Revision> {
  const { identity, view, path } = context
  const actor = identity.node ? `node:${identity.node.name}` : `user:${identity.user}`
  const revision = await view.commit({
    id: `${verb}-${randomUUID()}`,
    cause: { actor, verb, detail: path },
    writes,
  })
  await wake(context)
  return revision
}

async function wake({ deps, cluster }: ApiContext): Promise<void> {
  const published = new AbortController()
  const message = { attributes: { cluster }, data: '{}', orderingKey: cluster }
  const publishing = deps.bus
    .publish(TOPICS.changes, message)
    .catch((error: unknown) => {
      deps.log.warn('publishing a change failed; the sweep will deliver it', { cluster, error })
    })
    .finally(() => published.abort())
  await Promise.race([publishing, deps.clock.sleep(PUBLISH_MS, published.signal)])
}

/**
 * Runs `attempt` on the newest view until it is not beaten by another writer. `mayRetry` says no
 * when the caller named the version himself: then the conflict is his to know.
 */
export async function retryOnConflict<T>(
  context: ApiContext,
  attempt: (reader: Reader, count: number) => Promise<T>,
  mayRetry: (error: StatusError) => boolean = () => true,
): Promise<T> {
  for (let count = 1; ; count++) {
    const reader = await context.view.catchUp(count === 1 ? context.identity.seen : undefined)
    try {
      return await attempt(reader, count)
    } catch (error) {
      const isRace = error instanceof RaceLost
      if (!isRace) throw error
      if (count >= ATTEMPTS || !mayRetry(error.status)) throw error.status
    }
  }
}

/** A commit was refused because a version had moved. */
export class RaceLost extends Error {
  readonly status: StatusError
  constructor(status: StatusError) {
    super(status.message, { cause: status })
    this.status = status
  }
}

/** As commitWrites; what retryOnConflict may repeat is a RaceLost. */
export async function tryCommit(
  context: ApiContext,
  verb: string,
  writes: Write[],
): Promise<Revision> {
  try {
    return await commitWrites(context, verb, writes)
  } catch (error) {
    const lost =
      error instanceof StatusError &&
      ['Conflict', 'AlreadyExists', 'NotFound'].includes(error.reason)
    if (lost) throw new RaceLost(error)
    throw error
  }
}
