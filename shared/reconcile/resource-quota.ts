// Keeps the status of ResourceQuotas: what is allowed, and what the namespace holds of it.

import type { ResourceQuota } from '../api/resource-quota.ts'
import { keyOf, splitKey } from '../key.ts'
import type { Key } from '../key.ts'
import { QUOTAS, usedOf } from '../quota/admission.ts'
import type { Reader } from '../view/reader.ts'
import { IN_SYNC } from './outcome.ts'
import type { ObservedChange, Outcome, Reconciler } from './outcome.ts'

export const resourceQuotaReconciler: Reconciler = { name: 'resource-quota', wakes, reconcile }

function wakes({ key, after }: ObservedChange, reader: Reader): Key[] {
  const { resource, namespace } = splitKey(key)
  if (resource === QUOTAS) return after ? [key] : []
  if (!namespace || resource === 'events') return []
  return reader
    .list(QUOTAS, namespace)
    .map(({ metadata }) => keyOf(QUOTAS, namespace, metadata.name))
}

function reconcile(reader: Reader, key: Key): Outcome {
  const quota = reader.get(key) as ResourceQuota | undefined
  if (!quota || quota.metadata.deletionTimestamp) return IN_SYNC
  const { hard = {} } = quota.spec
  const object: ResourceQuota = { ...quota, status: { hard, used: usedOf(reader, quota) } }
  return { writes: [{ do: 'put', object }] }
}
