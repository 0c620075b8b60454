import { describe, expect, it } from 'vitest'
import type { Deployment } from '#shared/api/deployment.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { ReplicaSet } from '#shared/api/replica-set.ts'
import type { ResourceQuota, ResourceQuotaSpec } from '#shared/api/resource-quota.ts'
import { keyOf } from '#shared/key.ts'
import { CONTROLLERS } from '#shared/reconcile/controllers.ts'
import { Brain, podsOf } from '#test/support/brain.ts'
import { aDeployment, aNode, aPod, meta } from '#test/support/objects.ts'
import { admitByQuota } from './admission.ts'
import { isInScope, usageOf } from './usage.ts'

function aQuota(spec: ResourceQuotaSpec, name = 'team'): ResourceQuota {
  return { apiVersion: 'v1', kind: 'ResourceQuota', metadata: meta(name), spec }
}

function aBrain(...objects: KubeObject[]): Brain {
  const brain = new Brain(CONTROLLERS)
  const namespace: KubeObject & { spec: object } = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'default', uid: 'ns', creationTimestamp: '2027-01-15T08:00:00Z' },
    spec: { finalizers: ['kubernetes'] },
  }
  brain.put(namespace, aNode('vm-1'), ...objects)
  brain.settle()
  return brain
}

const statusOf = (brain: Brain): ResourceQuota['status'] =>
  (brain.view.get('resourcequotas/default/team') as ResourceQuota).status

describe('what counts', () => {
  it.each<[string, string, KubeObject, Record<string, string>]>([
    [
      'a pod: itself, its requests under two names, its limits',
      'pods',
      aPod('a', {
        spec: {
          containers: [
            {
              name: 'main',
              image: 'i',
              resources: {
                requests: { cpu: '100m', 'nvidia.com/gpu': '1' },
                limits: { cpu: '1', 'nvidia.com/gpu': '1' },
              },
            },
          ],
        },
      }),
      {
        'count/pods': '1',
        pods: '1',
        cpu: '100m',
        'requests.cpu': '100m',
        'limits.cpu': '1',
        'requests.nvidia.com/gpu': '1',
      },
    ],
    [
      'a pod that has ended: as an object only',
      'pods',
      aPod('a', { cpu: '1', phase: 'Succeeded' }),
      { 'count/pods': '1' },
    ],
    [
      'a load balancer: with its node ports',
      'services',
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: meta('s'),
        spec: { type: 'LoadBalancer', ports: [{ port: 80 }, { port: 443 }] },
      } as KubeObject,
      {
        'count/services': '1',
        services: '1',
        'services.loadbalancers': '1',
        'services.nodeports': '2',
      },
    ],
    [
      'a claim: also by its class',
      'persistentvolumeclaims',
      {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: meta('c'),
        spec: { storageClassName: 'fast', resources: { requests: { storage: '1Gi' } } },
      } as KubeObject,
      {
        'count/persistentvolumeclaims': '1',
        persistentvolumeclaims: '1',
        'requests.storage': '1Gi',
        'fast.storageclass.storage.k8s.io/persistentvolumeclaims': '1',
        'fast.storageclass.storage.k8s.io/requests.storage': '1Gi',
      },
    ],
    [
      'anything else: by its number',
      'deployments.apps',
      aDeployment('d'),
      { 'count/deployments.apps': '1' },
    ],
  ])('%s', (_, resource, object, usage) => {
    expect(usageOf(resource, object)).toEqual(usage)
  })

  it.each<[string, ResourceQuotaSpec, boolean]>([
    ['BestEffort', { scopes: ['BestEffort'] }, false],
    ['NotBestEffort', { scopes: ['NotBestEffort'] }, true],
    ['Terminating', { scopes: ['Terminating'] }, true],
    ['NotTerminating', { scopes: ['NotTerminating'] }, false],
    [
      'a priority class',
      {
        scopeSelector: {
          matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: ['high'] }],
        },
      },
      true,
    ],
    [
      'no priority class',
      {
        scopeSelector: {
          matchExpressions: [{ scopeName: 'PriorityClass', operator: 'DoesNotExist' }],
        },
      },
      false,
    ],
    ['CrossNamespacePodAffinity', { scopes: ['CrossNamespacePodAffinity'] }, false],
  ])('in the scope %s or not', (_, spec, expected) => {
    const pod = aPod('a', {
      cpu: '1',
      spec: { activeDeadlineSeconds: 60, priorityClassName: 'high' },
    })
    expect(isInScope(aQuota(spec), 'pods', pod)).toBe(expected)
    expect(isInScope(aQuota(spec), 'services', pod)).toBe(false)
  })
})

describe('admission', () => {
  it('refuses what is too much, in Kubernetes’ words', () => {
    const brain = aBrain(
      aQuota({ hard: { 'requests.cpu': '1', pods: '5' } }),
      aPod('a', { cpu: '900m' }),
    )
    const after = aPod('b', { cpu: '200m' })
    expect(() => admitByQuota(brain.view, { resource: 'pods', name: 'b', after })).toThrow(
      'pods "b" is forbidden: exceeded quota: team, requested: requests.cpu=200m, used: requests.cpu=900m, limited: requests.cpu=1',
    )
  })

  it('wants every container to say what the quota counts', () => {
    const brain = aBrain(aQuota({ hard: { cpu: '1', 'limits.memory': '1Gi' } }))
    const after = aPod('b', { cpu: '200m' })
    expect(() => admitByQuota(brain.view, { resource: 'pods', name: 'b', after })).toThrow(
      'pods "b" is forbidden: failed quota: team: must specify limits.memory for: main',
    )
  })

  it('looks at what a change adds, never at what it frees', () => {
    const service = (type: string): KubeObject =>
      ({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: meta('s'),
        spec: { type, ports: [{ port: 80 }] },
      }) as KubeObject
    const brain = aBrain(aQuota({ hard: { 'services.loadbalancers': '0', services: '0' } }))
    const change = (from: string, to: string) => () =>
      admitByQuota(brain.view, {
        resource: 'services',
        name: 's',
        before: service(from),
        after: service(to),
      })
    expect(change('ClusterIP', 'LoadBalancer')).toThrow('requested: services.loadbalancers=1')
    expect(change('LoadBalancer', 'ClusterIP')()).toEqual([])
  })
})

describe('in a namespace with a quota', () => {
  it('the status says what is used', () => {
    const brain = aBrain(aQuota({ hard: { pods: '3', 'requests.cpu': '2', secrets: '1' } }))
    expect(statusOf(brain)).toEqual({
      hard: { pods: '3', 'requests.cpu': '2', secrets: '1' },
      used: { pods: '0', 'requests.cpu': '0', secrets: '0' },
    })
    brain.put(aPod('a', { cpu: '300m' }), aPod('b', { cpu: '300m' }))
    brain.settle()
    expect(statusOf(brain)?.used).toEqual({ pods: '2', 'requests.cpu': '600m', secrets: '0' })
    brain.remove('pods/default/a')
    brain.settle()
    expect(statusOf(brain)?.used).toEqual({ pods: '1', 'requests.cpu': '300m', secrets: '0' })
  })

  it('a Deployment gets as many pods as there is room for, says why not more, and gets them later', () => {
    const brain = aBrain(aQuota({ hard: { pods: '2' } }), aDeployment('web', { replicas: 4 }))
    expect(podsOf(brain)).toHaveLength(2)
    const [set] = brain.view.list('replicasets.apps') as readonly ReplicaSet[]
    expect(set?.status).toMatchObject({ replicas: 2 })
    expect(set?.status?.conditions).toMatchObject([
      { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate' },
    ])
    expect(set?.status?.conditions?.[0]?.message).toMatch(
      /^pods "web-\w+-\w+" is forbidden: exceeded quota: team, requested: pods=1, used: pods=2, limited: pods=2$/,
    )
    const deployment = brain.view.get('deployments.apps/default/web') as Deployment
    expect(deployment.status?.conditions?.map(({ type }) => type)).toContain('ReplicaFailure')
    const events = brain.view.list('events') as readonly (KubeObject & { reason: string })[]
    expect(events.filter(({ reason }) => reason === 'FailedCreate')).toHaveLength(1)
    expect(brain.settle().writes).toEqual([])

    brain.update<ResourceQuota>('resourcequotas/default/team', (quota) => ({
      ...quota,
      spec: { hard: { pods: '10' } },
    }))
    brain.settle()
    expect(podsOf(brain)).toHaveLength(4)
    const after = brain.view.get(
      keyOf('replicasets.apps', 'default', set?.metadata.name ?? ''),
    ) as ReplicaSet
    expect(after.status?.conditions ?? []).toEqual([])
  })

  it('no controller goes beyond it, whoever it is', () => {
    const brain = new Brain([
      {
        name: 'greedy',
        wakes: ({ key }) => (key.startsWith('resourcequotas/') ? [key] : []),
        reconcile: () => ({
          writes: ['a', 'b', 'c'].map((name) => ({ do: 'put' as const, object: aPod(name) })),
        }),
      },
    ])
    brain.put(aQuota({ hard: { pods: '2' } }))
    expect(brain.settle().events).toEqual([
      'FailedCreate: Error creating: pods "c" is forbidden: exceeded quota: team, requested: pods=1, used: pods=2, limited: pods=2',
    ])
    expect(podsOf(brain)).toHaveLength(0)
  })
})
