// Writing a Repository's status: from the newest version, guarded by it.

import type { Condition } from '#shared/api/meta.ts'
import { REPOSITORIES, type Repository, type RepositoryStatus } from '#shared/api/repository.ts'
import { isEqual } from '#shared/equal.ts'
import { keyOf, type Key } from '#shared/key.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Write } from '#shared/ports/store.ts'
import { isReason } from '#shared/status.ts'
import type { Reader } from '#shared/view/reader.ts'
import { unversioned } from '../api/storage.ts'
import type { LiveView, LiveViews } from '../cluster/live-view.ts'

export interface StatusDeps {
  views: LiveViews
  clock: Clock
  newId: () => string
}

/** Who commits: news of this actor need not be told to the deploy function. */
export const DEPLOY_ACTOR = 'function:deploys'
/** News of this one must: its own message may be lost. */
const WEBHOOK_ACTOR = 'webhook:github'

const ATTEMPTS_MAX = 20

export function repositoryKey({ namespace, name }: { namespace?: string; name: string }): Key {
  return keyOf(REPOSITORIES, namespace, name)
}

export function readRepository(reader: Reader, key: Key): Repository | undefined {
  return reader.get(key) as Repository | undefined
}

/** The write that gives the Repository another status; undefined when it is the same. */
export function statusWrite(repository: Repository, status: RepositoryStatus): Write | undefined {
  if (isEqual(repository.status ?? {}, status)) return undefined
  return {
    key: repositoryKey(repository.metadata),
    object: unversioned({ ...repository, status }),
    expect: repository.metadata.resourceVersion ?? null,
  }
}

/** True when nothing was applied because something else was faster. */
export function isLostRace(error: unknown): boolean {
  return (
    isReason(error, 'Conflict') || isReason(error, 'AlreadyExists') || isReason(error, 'NotFound')
  )
}

/**
 * Commits what `change` makes of the newest status, together with the writes it adds; computed again
 * when another writer was faster. False: it is the same already, or the Repository is gone.
 */
export async function updateStatus(
  deps: StatusDeps,
  live: LiveView,
  key: Key,
  verb: string,
  change: (
    repository: Repository,
    reader: Reader,
  ) => RepositoryStatus | { status: RepositoryStatus; writes: Write[] },
): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    const reader = await live.catchUp()
    const repository = readRepository(reader, key)
    if (!repository) return false
    const changed = change(repository, reader)
    const { status, writes } =
      'writes' in changed ? changed : { status: changed, writes: [] as Write[] }
    const own = statusWrite(repository, status)
    const all = own ? [...writes, own] : writes
    if (all.length === 0) return false
    try {
      await live.commit({
        id: deps.newId(),
        cause: { actor: verb === 'webhook' ? WEBHOOK_ACTOR : DEPLOY_ACTOR, verb, detail: key },
        writes: all,
      })
      return true
    } catch (error) {
      if (!isLostRace(error) || attempt >= ATTEMPTS_MAX) throw error
    }
  }
}

/** The list with this condition: False and why when there is trouble, else True. */
export function withCondition(
  conditions: readonly Condition[] = [],
  { type, trouble, fine }: { type: string; trouble: string | undefined; fine: string },
  now: string,
): Condition[] {
  const old = conditions.find((each) => each.type === type)
  const status = trouble === undefined ? 'True' : 'False'
  const message = trouble ?? fine
  if (old?.status === status && old.message === message) return [...conditions]
  return [
    ...conditions.filter((each) => each !== old),
    {
      type,
      status,
      reason: trouble === undefined ? 'Available' : 'Unavailable',
      message,
      lastTransitionTime: old?.status === status ? (old.lastTransitionTime ?? now) : now,
    },
  ]
}
