// Whether an object still fits its namespace's quotas: Kubernetes' ResourceQuota admission, in its
// words. What is used is counted from the objects themselves, so it is never behind.

import type { KubeObject } from '../api/meta.ts'
import type { ResourceList } from '../api/pod-resources.ts'
import type { Pod } from '../api/pod.ts'
import type { ResourceQuota } from '../api/resource-quota.ts'
import { addQuantities, compareQuantities, subtractQuantities } from '../quantity.ts'
import { StatusError } from '../status.ts'
import type { Reader } from '../view/reader.ts'
import { addLists, isInScope, unspecified, usageOf } from './usage.ts'

export const QUOTAS = 'resourcequotas'

/** The quota resource a hard limit's name counts objects of; undefined: of several or unknown kinds. */
const COUNTED_IN: Readonly<Record<string, string>> = {
  'services.nodeports': 'services',
  'services.loadbalancers': 'services',
  'requests.storage': 'persistentvolumeclaims',
}
const COUNTED_ALONE = /^(configmaps|persistentvolumeclaims|resourcequotas|secrets|services)$/

/** Which resource's objects a hard limit is about: `count/deployments.apps` → `deployments.apps`. */
function resourceCounted(name: string): string {
  if (name.startsWith('count/')) return name.slice('count/'.length)
  if (name.includes('.storageclass.storage.k8s.io/')) return 'persistentvolumeclaims'
  if (COUNTED_ALONE.test(name)) return name
  return COUNTED_IN[name] ?? 'pods'
}

/** What the namespace holds of what the quota limits, `0` where it holds none. */
export function usedOf(reader: Reader, quota: ResourceQuota): ResourceList {
  const hard = quota.spec.hard ?? {}
  const names = Object.keys(hard)
  let used: ResourceList = Object.fromEntries(names.map((name) => [name, '0']))
  for (const resource of new Set(names.map(resourceCounted))) {
    for (const object of reader.list(resource, quota.metadata.namespace)) {
      if (isInScope(quota, resource, object)) {
        used = addLists(used, masked(usageOf(resource, object), hard))
      }
    }
  }
  return used
}

/** Whether anything is limited in the namespace at all. */
export function hasQuotas(reader: Reader, namespace: string | undefined): boolean {
  return namespace !== undefined && reader.list(QUOTAS, namespace).length > 0
}

/** A change of one object; `before` undefined: it is new. */
export interface QuotaChange {
  /** `pods`, `deployments.apps`. */
  resource: string
  /** As in refusals: the object's name, or '' when it is generated. */
  name: string
  before?: KubeObject | undefined
  after: KubeObject
}

/**
 * The quotas that the change uses up, with what is used of each after it: to be written with it, so
 * that of two who take the last of something one loses. Error: Forbidden, `exceeded quota: …`.
 */
export function admitByQuota(reader: Reader, change: QuotaChange): ResourceQuota[] {
  const { namespace } = change.after.metadata
  if (!namespace) return []
  const quotas = reader.list(QUOTAS, namespace) as readonly ResourceQuota[]
  return quotas.flatMap((quota) => admitOne(reader, quota, change))
}

function admitOne(reader: Reader, quota: ResourceQuota, change: QuotaChange): ResourceQuota[] {
  const { resource, before, after } = change
  const hard = quota.spec.hard ?? {}
  if (!isInScope(quota, resource, after)) return []
  if (resource === 'pods' && !before) {
    const missing = unspecified(hard, after as Pod)
    if (missing !== '') {
      throw refusal(change, `failed quota: ${quota.metadata.name}: must specify ${missing}`)
    }
  }
  const wasSeen = before && isInScope(quota, resource, before)
  const more = increase(usageOf(resource, after), wasSeen ? usageOf(resource, before) : {})
  const requested = masked(more, hard)
  if (Object.keys(requested).length === 0) return []
  const used = usedOf(reader, quota)
  const next = addLists(used, requested)
  const exceeded = Object.keys(requested).filter(
    (name) => compareQuantities(next[name], hard[name]) > 0,
  )
  if (exceeded.length > 0) {
    const shown = (list: ResourceList): string =>
      exceeded
        .sort()
        .map((name) => `${name}=${addQuantities('0', list[name] ?? '0')}`)
        .join(',')
    throw refusal(
      change,
      `exceeded quota: ${quota.metadata.name}, requested: ${shown(requested)}, used: ${shown(used)}, limited: ${shown(hard)}`,
    )
  }
  return [{ ...quota, status: { hard, used: next } }]
}

function masked(list: ResourceList, hard: ResourceList): ResourceList {
  return Object.fromEntries(Object.entries(list).filter(([name]) => name in hard))
}

/** What is more than before; what is less frees itself without being asked. */
function increase(after: ResourceList, before: ResourceList): ResourceList {
  return Object.fromEntries(
    Object.entries(after)
      .map(([name, quantity]) => [name, subtractQuantities(quantity, before[name] ?? '0')] as const)
      .filter(([, quantity]) => compareQuantities(quantity, '0') > 0),
  )
}

function refusal({ resource, name }: QuotaChange, why: string): StatusError {
  const dot = resource.indexOf('.')
  const plural = dot < 0 ? resource : resource.slice(0, dot)
  return new StatusError('Forbidden', `${resource} ${JSON.stringify(name)} is forbidden: ${why}`, {
    name,
    ...(dot < 0 ? {} : { group: resource.slice(dot + 1) }),
    kind: plural,
  })
}
