import { describe, expect, test } from 'vitest'
import { Brain } from '#test/support/brain.ts'
import { aPod, meta } from '#test/support/objects.ts'
import type { PodOptions } from '#test/support/objects.ts'
import type { KubeObject } from '../api/meta.ts'
import type { NetworkPolicy } from '../api/network-policy.ts'
import type { Pod } from '../api/pod.ts'
import { DNS_SERVICE_IP } from '../api/service-addresses.ts'
import { keyOf } from '../key.ts'
import { nodesOfNamespace, nodesOfPeer, nodesOfPolicy } from './policy-concerns.ts'
import { policiesFor } from './resolve-policies.ts'

function pod(name: string, ip: string, options: PodOptions = {}, port = 8080): Pod {
  const container = { name: 'c', ports: [{ name: 'http', containerPort: port }] }
  return aPod(name, {
    phase: 'Running',
    ...options,
    status: ip ? { podIP: ip } : {},
    spec: { containers: [container], ...options.spec },
  })
}

function namespace(name: string, labels: Record<string, string> = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, uid: name, creationTimestamp: '', labels },
  }
}

function policy(spec: NetworkPolicy['spec'], name = 'p'): NetworkPolicy {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: meta(name),
    spec: { policyTypes: ['Ingress', 'Egress'], podSelector: {}, ...spec },
  }
}

const APP = { app: 'web' }
const inShop = { namespace: 'shop' }

/** `web` is on node a, `client` on b, `other` in another namespace on b. */
function cluster(...more: KubeObject[]): Brain {
  const brain = new Brain([])
  brain.put(
    namespace('default'),
    namespace('kube-system', { 'kubernetes.io/metadata.name': 'kube-system' }),
    namespace('shop', { team: 'x' }),
    pod('web', '10.4.1.2', { node: 'a', labels: APP }),
    pod('client', '10.4.2.2', { node: 'b', labels: { role: 'client' } }, 9090),
    pod('other', '10.4.2.3', { node: 'b', labels: { role: 'client' }, meta: inShop }),
    pod('host', '10.128.0.5', {
      node: 'b',
      spec: { hostNetwork: true },
      labels: { role: 'client' },
    }),
    pod('ended', '10.4.2.9', { node: 'b', phase: 'Succeeded', labels: { role: 'client' } }),
    ...more,
  )
  return brain
}

const ofA = (spec: NetworkPolicy['spec']) =>
  policiesFor(cluster(policy({ podSelector: { matchLabels: APP }, ...spec })).view, 'a')[0]

const CLIENT = { matchLabels: { role: 'client' } }

describe('what a node learns of NetworkPolicies', () => {
  test('only those that select its pods', () => {
    const { view } = cluster(policy({ podSelector: { matchLabels: APP } }))
    expect(policiesFor(view, 'a')).toEqual([
      { namespace: 'default', name: 'p', pods: ['uid-web'], ingress: [], egress: [] },
    ])
    expect(policiesFor(view, 'b')).toEqual([])
  })

  test('an empty selector means all pods of its namespace, but those of the node’s network', () => {
    const { view } = cluster(policy({ podSelector: {} }))
    expect(policiesFor(view, 'b').map(({ pods }) => pods)).toEqual([['uid-client']])
  })

  test.each<[string, NetworkPolicy['spec'], object]>([
    ['no peers: everybody', { ingress: [{}] }, { ingress: [{}] }],
    [
      'pods of its namespace',
      { ingress: [{ from: [{ podSelector: CLIENT }] }] },
      { ingress: [{ addresses: ['10.4.2.2'], blocks: [] }] },
    ],
    [
      'all pods of namespaces',
      { ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'x' } } }] }] },
      { ingress: [{ addresses: ['10.4.2.3'], blocks: [] }] },
    ],
    [
      'some pods of all namespaces',
      { ingress: [{ from: [{ namespaceSelector: {}, podSelector: CLIENT }] }] },
      { ingress: [{ addresses: ['10.4.2.2', '10.4.2.3'], blocks: [] }] },
    ],
    [
      'ranges',
      { egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }] }] },
      { egress: [{ addresses: [], blocks: [{ cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] }] }] },
    ],
    [
      'a named port of the pod that is connected to, coming in',
      { ingress: [{ ports: [{ port: 'http' }, { port: 80, endPort: 90 }] }] },
      {
        ingress: [
          { ports: [{ protocol: 'TCP', port: 80, endPort: 90 }] },
          { pods: ['uid-web'], ports: [{ protocol: 'TCP', port: 8080 }] },
        ],
      },
    ],
    [
      'and going out',
      { egress: [{ to: [{ podSelector: CLIENT }], ports: [{ port: 'http' }] }] },
      {
        egress: [{ addresses: ['10.4.2.2'], blocks: [], ports: [{ protocol: 'TCP', port: 9090 }] }],
      },
    ],
    [
      'a name that no port has admits nothing',
      { ingress: [{ ports: [{ port: 'none' }] }] },
      { ingress: [] },
    ],
    [
      'the cluster’s DNS by the labels of kube-dns',
      {
        egress: [
          {
            to: [
              { namespaceSelector: {}, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } },
            ],
            ports: [{ port: 53, protocol: 'UDP' }],
          },
        ],
      },
      {
        egress: [
          { addresses: [DNS_SERVICE_IP], blocks: [], ports: [{ protocol: 'UDP', port: 53 }] },
        ],
      },
    ],
  ])('%s', (_, spec, expected) => {
    expect(ofA(spec)).toMatchObject(expected)
  })

  test('a direction that a policy is not about is not there', () => {
    expect(ofA({ policyTypes: ['Egress'] })).not.toHaveProperty('ingress')
  })
})

describe('who hears of a change', () => {
  const spec = { podSelector: { matchLabels: APP }, ingress: [{ from: [{ podSelector: CLIENT }] }] }

  test.each<[string, Pod | undefined, Pod | undefined, string[]]>([
    [
      'a peer gets its address',
      pod('n', ''),
      pod('n', '10.4.2.8', { labels: CLIENT.matchLabels }),
      ['a'],
    ],
    ['a peer goes', pod('n', '10.4.2.8', { labels: CLIENT.matchLabels }), undefined, ['a']],
    [
      'a peer is none any more',
      pod('n', '10.4.2.8', { labels: CLIENT.matchLabels }),
      pod('n', '10.4.2.8'),
      ['a'],
    ],
    [
      'a peer becomes ready',
      pod('n', '10.4.2.8', { labels: CLIENT.matchLabels }),
      pod('n', '10.4.2.8', { labels: CLIENT.matchLabels, ready: true }),
      [],
    ],
    ['somebody else comes', undefined, pod('n', '10.4.2.8'), []],
    [
      'one of another namespace comes',
      undefined,
      pod('n', '10.4.2.8', { labels: CLIENT.matchLabels, meta: inShop }),
      [],
    ],
  ])('%s', (_, before, after, nodes) => {
    expect(nodesOfPeer(cluster(policy(spec)).view, before, after)).toEqual(nodes)
  })

  test('a policy: the nodes of the pods that it selects or selected', () => {
    const { view } = cluster()
    const [before, after] = [policy({ podSelector: CLIENT }), policy(spec)]
    expect(nodesOfPolicy(view, before, after)).toEqual(['b', 'a'])
    expect(nodesOfPolicy(view, after, after)).toEqual([])
    expect(nodesOfPolicy(view, undefined, after)).toEqual(['a'])
  })

  test('a namespace with other labels: the nodes whose policies look at them', () => {
    const all = { ...spec, ingress: [{ from: [{ namespaceSelector: {} }] }] }
    const brain = cluster(policy(all))
    const before = brain.view.get(keyOf('namespaces', '', 'shop'))
    expect(nodesOfNamespace(brain.view, before, namespace('shop', { team: 'y' }))).toEqual(['a'])
    expect(nodesOfNamespace(brain.view, before, before)).toEqual([])
    expect(nodesOfNamespace(cluster(policy(spec)).view, before, undefined)).toEqual([])
  })
})
