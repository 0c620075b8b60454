// A file system has grown to its volume's size: the claim says so from now on. Only a node that runs a pod
// with the claim is believed.

import type { GrownVolume } from '#shared/api/agent-wire.ts'
import type { Write } from '#shared/ports/store.ts'
import { claimKey, claimOf, podsUsing, volumeNamed } from '#shared/reconcile/volumes/relations.ts'
import { compareQuantities, isQuantity } from '#shared/quantity.ts'
import type { PersistentVolumeClaim } from '#shared/api/persistent-volume-claim.ts'
import type { Reader } from '#shared/view/reader.ts'
import { unversioned } from '../storage.ts'

const PENDING = new Set(['Resizing', 'FileSystemResizePending'])

/** The write; undefined when there is nothing to say or the node may not say it. */
export function grownWrite(reader: Reader, node: string, news: GrownVolume): Write | undefined {
  const claim = claimOf(reader, news.namespace, news.claim)
  if (claim?.metadata.uid !== news.uid || !isQuantity(news.capacity)) return undefined
  const users = podsUsing(reader, news.namespace, news.claim)
  if (!users.some(({ spec }) => spec.nodeName === node)) return undefined
  // Never more than the disk has: it may have grown again meanwhile, never shrunk.
  const size = volumeNamed(reader, claim.spec.volumeName ?? '')?.spec.capacity?.['storage']
  if (compareQuantities(news.capacity, size) > 0) return undefined
  const capacity = claim.status?.capacity?.['storage']
  if (compareQuantities(news.capacity, capacity) <= 0) return undefined
  const isDone = compareQuantities(news.capacity, size) === 0
  const { conditions = [], allocatedResourceStatuses: _, ...status } = claim.status ?? {}
  const left = conditions.filter(({ type }) => !(isDone && PENDING.has(type)))
  const object: PersistentVolumeClaim = {
    ...claim,
    status: {
      ...status,
      capacity: { storage: news.capacity },
      ...(left.length > 0 ? { conditions: left } : {}),
    },
  }
  const key = claimKey(news.namespace, news.claim)
  return { key, object: unversioned(object), expect: claim.metadata.resourceVersion ?? null }
}
