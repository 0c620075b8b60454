// Accepting a delivery durably: it stands in the Repository's status before GitHub gets its answer.

import type { PreviewState, Repository, RepositoryStatus } from '#shared/api/repository.ts'
import type { Meaning } from '#shared/deploy/events.ts'
import { formatTime } from '#shared/time.ts'
import { repositoryKey, updateStatus, type StatusDeps } from './status.ts'

export interface Delivery {
  id: string
  event: string
  meaning: Exclude<Meaning, { do: 'ignore' }>
}

/** So many deliveries are remembered to tell a redelivery; a forgotten one only asks once more. */
const REMEMBERED = 20
/** So many news of images wait at most: the oldest are told again by the next. */
const IMAGE_EVENTS = 20

/** False: this delivery was recorded before. Error: ServiceUnavailable. */
export async function record(
  deps: StatusDeps,
  cluster: string,
  metadata: { namespace?: string; name: string },
  delivery: Delivery,
): Promise<boolean> {
  const live = await deps.views.open(cluster)
  return updateStatus(deps, live, repositoryKey(metadata), 'webhook', (repository) => {
    const status = repository.status ?? {}
    if (status.deliveries?.some(({ id }) => id === delivery.id)) return status
    return recorded(repository, status, delivery, formatTime(deps.clock.now()))
  })
}

function recorded(
  { spec }: Repository,
  status: RepositoryStatus,
  { id, event, meaning }: Delivery,
  receivedAt: string,
): RepositoryStatus {
  const { outcome } = meaning
  const deliveries = [...(status.deliveries ?? []), { id, event, receivedAt, outcome }]
  const next = { ...status, deliveries: deliveries.slice(-REMEMBERED) }
  if (meaning.do === 'note') return next
  const image = meaning.do === 'preview' ? undefined : meaning.image
  const imageEvents =
    image && [...(status.imageEvents ?? []), { id, ...image }].slice(-IMAGE_EVENTS)
  const news = imageEvents ? { ...next, imageEvents } : next
  if (meaning.do === 'image') return news
  const asked = (status.asked ?? 0) + 1
  if (meaning.do === 'look') {
    return { ...news, asked, ...(meaning.again ? { again: meaning.again } : {}) }
  }
  const previews = status.previews ?? []
  const present = previews.find(({ number }) => number === meaning.number)
  if (!present && previews.length >= (spec.previews?.max ?? 0)) return next
  const { number, approved } = meaning
  const preview: PreviewState = present
    ? { ...present, asked: present.asked + 1 }
    : { number, namespace: '', asked: 1, looked: 0 }
  if (approved) preview.approved = approved
  return {
    ...next,
    previews: [...previews.filter((each) => each !== present), preview].sort(
      (a, b) => a.number - b.number,
    ),
  }
}
