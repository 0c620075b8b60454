// What one object counts towards quotas, and which quotas see it: Kubernetes' quota evaluators.
// https://kubernetes.io/docs/concepts/policy/resource-quotas/

import type { KubeObject } from '../api/meta.ts'
import { isPodTerminal } from '../api/pod-conditions.ts'
import { podLimits, podRequests, qosClassOf, type ResourceList } from '../api/pod-resources.ts'
import type { Container, Pod } from '../api/pod.ts'
import type { ResourceQuota, ScopeRequirement } from '../api/resource-quota.ts'
import type { Service } from '../api/service.ts'
import { addQuantities } from '../quantity.ts'

/** The sum of two lists of quantities. */
export function addLists(a: ResourceList, b: ResourceList): ResourceList {
  const sum = { ...a }
  for (const [resource, quantity] of Object.entries(b)) {
    sum[resource] = addQuantities(sum[resource] ?? '0', quantity)
  }
  return sum
}

/** Counts under a name of their own, beside `count/…`. */
const NAMED = new Set([
  'configmaps',
  'persistentvolumeclaims',
  'replicationcontrollers',
  'resourcequotas',
  'secrets',
  'services',
])

/** What the object of this resource (`pods`, `deployments.apps`) counts, under quota's names. */
export function usageOf(resource: string, object: KubeObject): ResourceList {
  const counted: ResourceList = { [`count/${resource}`]: '1' }
  if (resource === 'pods') return { ...counted, ...podUsage(object as Pod) }
  if (NAMED.has(resource)) counted[resource] = '1'
  if (resource === 'services') return { ...counted, ...serviceUsage(object as Service) }
  if (resource === 'persistentvolumeclaims') return { ...counted, ...claimUsage(object) }
  return counted
}

/** A pod that has ended counts as an object only. */
function podUsage(pod: Pod): ResourceList {
  if (isPodTerminal(pod)) return {}
  const usage: ResourceList = { pods: '1' }
  for (const [resource, quantity] of Object.entries(podRequests(pod))) {
    usage[`requests.${resource}`] = quantity
    if (!resource.includes('/')) usage[resource] = quantity
  }
  for (const [resource, quantity] of Object.entries(podLimits(pod))) {
    if (!resource.includes('/')) usage[`limits.${resource}`] = quantity
  }
  return usage
}

function serviceUsage({ spec }: Service): ResourceList {
  const ports = spec.ports ?? []
  if (spec.type === 'NodePort') return { 'services.nodeports': String(ports.length) }
  if (spec.type !== 'LoadBalancer') return {}
  const allocates = spec.allocateLoadBalancerNodePorts !== false
  const opened = allocates ? ports.length : ports.filter(({ nodePort }) => nodePort).length
  return { 'services.loadbalancers': '1', 'services.nodeports': String(opened) }
}

interface Claim extends KubeObject {
  spec?: { storageClassName?: string; resources?: { requests?: ResourceList } }
}

function claimUsage({ spec = {} }: Claim): ResourceList {
  const storage = spec.resources?.requests?.['storage']
  const name = spec.storageClassName
  const prefix = name ? `${name}.storageclass.storage.k8s.io/` : undefined
  return {
    ...(storage ? { 'requests.storage': storage } : {}),
    ...(prefix ? { [`${prefix}persistentvolumeclaims`]: '1' } : {}),
    ...(prefix && storage ? { [`${prefix}requests.storage`]: storage } : {}),
  }
}

/** Whether the quota sees the object at all: its scopes speak of pods. */
export function isInScope({ spec }: ResourceQuota, resource: string, object: KubeObject): boolean {
  const requirements: ScopeRequirement[] = [
    ...(spec.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' })),
    ...(spec.scopeSelector?.matchExpressions ?? []),
  ]
  if (requirements.length === 0) return true
  return resource === 'pods' && requirements.every((each) => meets(object as Pod, each))
}

function meets(pod: Pod, { scopeName, operator, values = [] }: ScopeRequirement): boolean {
  const { spec } = pod
  const isEnding = (spec.activeDeadlineSeconds ?? -1) >= 0
  const isBestEffort = qosClassOf(pod) === 'BestEffort'
  switch (scopeName) {
    case 'Terminating':
      return isEnding
    case 'NotTerminating':
      return !isEnding
    case 'BestEffort':
      return isBestEffort
    case 'NotBestEffort':
      return !isBestEffort
    case 'PriorityClass':
      return hasClass(spec.priorityClassName, operator, values)
    default:
      return namesOtherNamespaces(pod)
  }
}

function hasClass(name: string | undefined, operator: string, values: readonly string[]): boolean {
  if (operator === 'Exists') return Boolean(name)
  if (operator === 'DoesNotExist') return !name
  const isAmong = values.includes(name ?? '')
  return operator === 'In' ? isAmong : !isAmong
}

function namesOtherNamespaces({ spec }: Pod): boolean {
  const { podAffinity, podAntiAffinity } = spec.affinity ?? {}
  return [podAffinity, podAntiAffinity].some((each) =>
    [
      ...(each?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
      ...(each?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(
        ({ podAffinityTerm }) => podAffinityTerm,
      ),
    ].some(
      ({ namespaces, namespaceSelector }) =>
        (namespaces?.length ?? 0) > 0 || namespaceSelector !== undefined,
    ),
  )
}

/** Where a quota counts these, every container must ask for them: `memory for: main`. */
const MUST_SPECIFY = ['cpu', 'memory']

/** What the pod does not say although a quota of these resources needs it; '' when all is there. */
export function unspecified(hard: ResourceList, pod: Pod): string {
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]
  const without = (list: 'requests' | 'limits', name: string): string[] =>
    containers
      .filter(({ resources }: Container) => resources?.[list]?.[name] === undefined)
      .map((container) => container.name)
  return Object.keys(hard)
    .sort()
    .flatMap((resource) => {
      const isLimit = resource.startsWith('limits.')
      const name = resource.replace(/^(requests|limits)\./, '')
      if (!MUST_SPECIFY.includes(name)) return []
      const missing = without(isLimit ? 'limits' : 'requests', name).sort()
      return missing.length > 0 ? [`${resource} for: ${missing.join(',')}`] : []
    })
    .join('; ')
}
