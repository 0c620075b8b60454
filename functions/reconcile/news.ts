// What has happened in a cluster since an instance last looked, in the form that controllers read.

import type { Change, Revision, Version } from '#shared/ports/store.ts'
import { everything } from '#shared/reconcile/engine.ts'
import { ALL_KINDS } from '#shared/reconcile/kinds.ts'
import type { ObservedChange } from '#shared/reconcile/outcome.ts'
import { isReason } from '#shared/status.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { LiveView } from '../cluster/live-view.ts'
import { allConcerns, concernsOf } from './concerns.ts'
import type { Concerns } from './concerns.ts'

export interface News {
  reader: Reader
  /** Up to here everything is in `changes`. */
  version: Version
  changes: Iterable<ObservedChange>
  concerns: Concerns
}

const RESOURCES = ALL_KINDS.map(({ resource }) => resource)

/**
 * The changes after `since`, without those of commits that are known to be at rest; every object when
 * `since` is undefined or lies before what is kept of the log.
 */
export async function readNews(
  live: LiveView,
  since: Version | undefined,
  isAtRest: (revision: Revision) => boolean,
): Promise<News> {
  const reader = await live.catchUp()
  const revisions = since === undefined ? undefined : await historyOf(live, since)
  if (!revisions) {
    const changes = everything(reader, RESOURCES)
    return { reader, version: reader.version, changes, concerns: allConcerns(reader) }
  }
  const news = revisions.filter((revision) => !isAtRest(revision))
  return {
    reader,
    version: revisions.at(-1)?.version ?? since ?? reader.version,
    changes: news.flatMap(({ changes }) => changes.map(observed)),
    concerns: concernsOf(news, reader),
  }
}

async function historyOf(live: LiveView, since: Version): Promise<readonly Revision[] | undefined> {
  try {
    return await live.history(since)
  } catch (error) {
    if (isReason(error, 'Expired')) return undefined
    throw error
  }
}

function observed({ key, before, after }: Change): ObservedChange {
  return { key, before, after }
}
