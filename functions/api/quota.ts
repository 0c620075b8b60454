// Quotas that a write uses up are written with it: of two who take the last of something, one is
// computed again.

import type { ResourceQuota } from '#shared/api/resource-quota.ts'
import { keyOf } from '#shared/key.ts'
import type { Write } from '#shared/ports/store.ts'
import { QUOTAS } from '#shared/quota/admission.ts'
import { unversioned } from './storage.ts'

/** The writes that keep what admission has counted. */
export function quotaWrites(quotas: readonly ResourceQuota[]): Write[] {
  return quotas.map((quota) => ({
    key: keyOf(QUOTAS, quota.metadata.namespace, quota.metadata.name),
    object: unversioned(quota),
    expect: quota.metadata.resourceVersion ?? null,
  }))
}
