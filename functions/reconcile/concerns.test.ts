import { describe, expect, test } from 'vitest'
import { aDeployment, aNode, aPod, aService } from '#test/support/objects.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { NetworkPolicy } from '#shared/api/network-policy.ts'
import type { NodePool } from '#shared/api/node-pool.ts'
import type { Change, Revision } from '#shared/ports/store.ts'
import { keyOfObject } from '#shared/reconcile/kinds.ts'
import { ClusterView } from '#shared/view/view.ts'
import { concernsOf } from './concerns.ts'

function revision(changes: Change[], actor: string): Revision {
  const version = '0000000000000001'
  return { id: actor, version, cause: { actor, verb: 'update' }, changes, decisions: [] }
}

const bound = aPod('p', { node: 'a' })
const running = aPod('p', { node: 'a', phase: 'Running' })
const stopping = aPod('p', { node: 'a', meta: { deletionTimestamp: '2027-01-15T08:00:00Z' } })
const user: KubeObject = aPod('user', {
  node: 'b',
  spec: { volumes: [{ name: 'v', configMap: { name: 'settings' } }] },
})
const settings = (value: string): KubeObject =>
  Object.assign(
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...aPod('settings').metadata } },
    { data: { value } },
  )
const balanced = aService('web', { type: 'LoadBalancer' })
const pool = (nodeCount: number): NodePool => ({
  apiVersion: 'container.wherry.dev/v1',
  kind: 'NodePool',
  metadata: { name: 'pool', uid: 'u', creationTimestamp: '' },
  spec: { nodeCount, zone: 'z', machineType: 'e2-medium', diskSizeGb: 10, spot: false },
})
const slice = (address: string): KubeObject =>
  Object.assign(
    { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: aPod('web-x').metadata },
    { addressType: 'IPv4', endpoints: [{ addresses: [address] }] },
  )

const cases: {
  what: string
  before?: KubeObject
  after?: KubeObject
  actor?: string
  nodes: string[]
  cloud?: boolean
}[] = [
  { what: 'a pod is bound', before: aPod('p'), after: bound, nodes: ['a'] },
  { what: 'a pod shall stop', before: running, after: stopping, nodes: ['a'] },
  { what: 'a pod is removed', before: running, nodes: ['a'] },
  {
    what: 'a pod is removed by its own agent',
    before: stopping,
    actor: 'node:a',
    nodes: [],
  },
  { what: 'a pod’s status is reported', before: bound, after: running, nodes: [] },
  { what: 'a pod waits for a node', after: aPod('p'), nodes: [] },
  {
    what: 'a ConfigMap that a pod uses changes',
    before: settings('1'),
    after: settings('2'),
    nodes: ['b'],
  },
  {
    what: 'a ConfigMap changes in name only',
    before: settings('1'),
    after: settings('1'),
    nodes: [],
  },
  { what: 'a Service is made', after: aService('web'), nodes: ['*'] },
  { what: 'a LoadBalancer is made', after: balanced, nodes: ['*'], cloud: true },
  {
    what: 'the cloud writes down a LoadBalancer’s address',
    before: balanced,
    after: {
      ...balanced,
      status: { loadBalancer: { ingress: [{ ip: '1.2.3.4' }] } },
    } as KubeObject,
    actor: 'function:cloud',
    nodes: ['*'],
  },
  { what: 'endpoints change', before: slice('10.0.0.1'), after: slice('10.0.0.2'), nodes: ['*'] },
  { what: 'endpoints stay', before: slice('10.0.0.1'), after: slice('10.0.0.1'), nodes: [] },
  { what: 'a pool is resized', before: pool(1), after: pool(2), nodes: [], cloud: true },
  { what: 'a node registers', after: aNode('n'), actor: 'node:n', nodes: [], cloud: true },
  { what: 'a node is removed', before: aNode('n'), nodes: ['n'], cloud: true },
  {
    what: 'a node is tainted',
    before: aNode('n'),
    after: aNode('n', { unschedulable: true }),
    nodes: ['n'],
  },
]

describe('who must hear of it when', () => {
  test.each(cases)(
    '$what: $nodes',
    ({ before, after, actor = 'user:admin', nodes, cloud = false }) => {
      const view = new ClusterView()
      view.apply(revision([{ key: keyOfObject(user), after: user }], 'setup'))
      const key = keyOfObject((after ?? before) as KubeObject)
      const change: Change = { key, ...(before ? { before } : {}), ...(after ? { after } : {}) }
      const found = concernsOf([revision([change], actor)], view)
      expect({ nodes: [...found.nodes], cloud: found.cloud }).toEqual({ nodes, cloud })
    },
  )
})

describe('a peer of a NetworkPolicy', () => {
  const policy: NetworkPolicy = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: aDeployment('allow').metadata,
    spec: {
      podSelector: {},
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ podSelector: {} }] }],
    },
  }

  test.each(['user:admin', 'node:b'])('is told to the nodes it may speak with (%s)', (actor) => {
    const view = new ClusterView()
    view.apply(
      revision(
        [bound, user, policy].map((after) => ({ key: keyOfObject(after), after })),
        'setup',
      ),
    )
    const peer = aPod('peer', { node: 'b', status: { podIP: '10.4.2.2' } })
    const change: Change = {
      key: keyOfObject(peer),
      before: aPod('peer', { node: 'b' }),
      after: peer,
    }
    expect([...concernsOf([revision([change], actor)], view).nodes].sort()).toEqual(['a', 'b'])
  })
})

describe('the deploy function hears of', () => {
  const marked = aDeployment('web')
  marked.metadata.annotations = { 'deploy.wherry.dev/owner': 'default/shop' }
  const repository = {
    apiVersion: 'deploy.wherry.dev/v1',
    kind: 'Repository',
    metadata: aDeployment('shop').metadata,
    spec: { repository: 'o/shop' },
  }
  test.each([
    ['a Repository', repository, 'user:admin', true],
    ['an accepted delivery', repository, 'webhook:github', true],
    ['what it did itself', repository, 'function:deploys', false],
    ['the rollout of what it deployed', marked, 'function:reconcile', true],
    ['nothing else', aDeployment('web'), 'function:reconcile', false],
  ])('%s', (_what, after, actor, hears) => {
    const change: Change = { key: keyOfObject(after), after }
    expect(concernsOf([revision([change], actor)], new ClusterView()).deploys).toBe(hears)
  })
})
