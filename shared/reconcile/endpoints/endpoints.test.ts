import { describe, expect, test } from 'vitest'
import { Brain } from '#test/support/brain.ts'
import { aNode, aPod, aService } from '#test/support/objects.ts'
import type { PodOptions } from '#test/support/objects.ts'
import type { EndpointSlice } from '../../api/endpoint-slice.ts'
import type { Endpoints } from '../../api/endpoints.ts'
import type { Pod } from '../../api/pod.ts'
import type { Service, ServiceSpec } from '../../api/service.ts'
import { keyOf } from '../../key.ts'
import { endpointsReconciler } from './endpoints.ts'

const WEB = keyOf('services', 'default', 'web')
const LABELS = { run: 'web' }

function member(name: string, ip: string, options: PodOptions = {}): Pod {
  const pod = aPod(name, { labels: LABELS, node: 'a', phase: 'Running', ready: true, ...options })
  return { ...pod, status: { ...pod.status, ...(ip ? { podIP: ip } : {}) } }
}

function brainWith(pods: Pod[], spec: Partial<ServiceSpec> = {}): Brain {
  const brain = new Brain([endpointsReconciler])
  brain.put(aNode('a', { labels: { 'topology.kubernetes.io/zone': 'z' } }), ...pods)
  brain.put(aService('web', spec))
  brain.settle()
  return brain
}

function slices(brain: Brain): EndpointSlice[] {
  return [...brain.view.list('endpointslices.discovery.k8s.io')] as EndpointSlice[]
}

function endpoints(brain: Brain): Endpoints {
  return brain.view.get(keyOf('endpoints', 'default', 'web')) as Endpoints
}

/** `ip ready/serving/terminating` with letters for what holds. */
function shown(brain: Brain): string[] {
  return slices(brain)
    .flatMap((slice) => slice.endpoints)
    .map(({ addresses, conditions }) => {
      const { ready, serving, terminating } = conditions ?? {}
      return `${addresses[0]} ${ready ? 'r' : '-'}${serving ? 's' : '-'}${terminating ? 't' : '-'}`
    })
}

describe('the endpoints of a Service', () => {
  test('are its ready pods, with all that clients read', () => {
    const brain = brainWith([member('p', '10.0.0.1')])
    const [slice] = slices(brain)
    expect(slice?.metadata).toMatchObject({
      generateName: 'web-',
      labels: {
        'kubernetes.io/service-name': 'web',
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
      ownerReferences: [
        { kind: 'Service', name: 'web', controller: true, blockOwnerDeletion: true },
      ],
    })
    expect(slice).toMatchObject({
      addressType: 'IPv4',
      ports: [{ name: '', port: 8080, protocol: 'TCP' }],
      endpoints: [
        {
          addresses: ['10.0.0.1'],
          conditions: { ready: true, serving: true, terminating: false },
          nodeName: 'a',
          zone: 'z',
          targetRef: { kind: 'Pod', namespace: 'default', name: 'p', uid: 'uid-p' },
        },
      ],
    })
    expect(endpoints(brain).subsets).toMatchObject([
      { addresses: [{ ip: '10.0.0.1', nodeName: 'a' }], ports: [{ port: 8080, protocol: 'TCP' }] },
    ])
    expect(brain.settle().commits).toBe(0)
  })

  const stopping = { meta: { deletionTimestamp: '2027-01-15T08:01:00Z' } }
  test.each([
    { pod: member('p', '10.0.0.1', { ready: false }), spec: {}, expected: ['10.0.0.1 ---'] },
    { pod: member('p', '10.0.0.1', stopping), spec: {}, expected: ['10.0.0.1 -st'] },
    { pod: member('p', ''), spec: {}, expected: [] },
    { pod: member('p', '10.0.0.1', { phase: 'Failed' }), spec: {}, expected: [] },
    { pod: member('p', '10.0.0.1', { labels: { run: 'x' } }), spec: {}, expected: [] },
    {
      pod: member('p', '10.0.0.1', { ready: false }),
      spec: { publishNotReadyAddresses: true },
      expected: ['10.0.0.1 r--'],
    },
  ])('say of a pod $expected', ({ pod, spec, expected }) => {
    const brain = brainWith([pod], spec)
    expect(shown(brain)).toEqual(expected)
    expect(slices(brain)).toHaveLength(1)
    const isReady = expected.some((each) => each.includes(' r'))
    expect(endpoints(brain).subsets?.[0]?.addresses?.length ?? 0).toBe(isReady ? 1 : 0)
  })

  test('follow a pod that stops being ready', () => {
    const brain = brainWith([member('p', '10.0.0.1')])
    brain.put(member('p', '10.0.0.1', { ready: false }))
    brain.settle()
    expect(shown(brain)).toEqual(['10.0.0.1 ---'])
    expect(endpoints(brain).subsets).toMatchObject([{ notReadyAddresses: [{ ip: '10.0.0.1' }] }])
  })

  test('resolve named ports in each pod', () => {
    const named = (name: string, ip: string, containerPort: number): Pod =>
      member(name, ip, {
        spec: { containers: [{ name: 'c', ports: [{ name: 'http', containerPort }] }] },
      })
    const brain = brainWith([named('p', '10.0.0.1', 80), named('q', '10.0.0.2', 81)], {
      ports: [{ name: 'web', port: 80, targetPort: 'http' }],
    })
    const found = slices(brain).map((slice) => [slice.ports?.[0]?.port, slice.endpoints.length])
    expect(new Map(found as [number, number][])).toEqual(
      new Map([
        [80, 1],
        [81, 1],
      ]),
    )
    expect(endpoints(brain).subsets).toHaveLength(2)
  })

  test('are at most 100 in a slice, and one pod more or less rewrites one slice', () => {
    const pods = Array.from({ length: 250 }, (_, index) => member(`p${index}`, `10.0.${index}.1`))
    const brain = brainWith(pods)
    expect(
      slices(brain)
        .map((slice) => slice.endpoints.length)
        .sort((a, b) => a - b),
    ).toEqual([50, 100, 100])
    brain.remove(keyOf('pods', 'default', 'p7'))
    expect(brain.settle().writes.filter((write) => write.includes('endpointslices'))).toHaveLength(
      1,
    )
    brain.put(member('new', '10.1.0.1'))
    expect(brain.settle().writes.filter((write) => write.includes('endpointslices'))).toHaveLength(
      1,
    )
    expect(shown(brain)).toHaveLength(250)
  })

  test('keep one empty slice when the last pod goes, and use it again', () => {
    const brain = brainWith([member('p', '10.0.0.1')])
    brain.remove(keyOf('pods', 'default', 'p'))
    brain.settle()
    const [empty] = slices(brain)
    expect(slices(brain)).toHaveLength(1)
    expect(empty?.endpoints).toEqual([])
    brain.put(member('q', '10.0.0.2'))
    brain.settle()
    expect(slices(brain).map(({ metadata }) => metadata.name)).toEqual([empty?.metadata.name])
    expect(shown(brain)).toEqual(['10.0.0.2 rst'.replace('st', 's-')])
  })

  test('of a headless Service carry the mark and the pods’ host names', () => {
    const brain = brainWith(
      [member('p', '10.0.0.1', { spec: { hostname: 'p-0', subdomain: 'web' } })],
      { clusterIP: 'None' },
    )
    expect(slices(brain)[0]?.metadata.labels?.['service.kubernetes.io/headless']).toBe('')
    expect(slices(brain)[0]?.endpoints[0]?.hostname).toBe('p-0')
  })

  test('go with their Service, but not those that somebody else made', () => {
    const brain = brainWith([member('p', '10.0.0.1')])
    brain.put(aService('by-hand', { selector: {} }))
    const own: Endpoints = {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name: 'by-hand', namespace: 'default', uid: '', creationTimestamp: '' },
      subsets: [{ addresses: [{ ip: '1.2.3.4' }] }],
    }
    brain.put(own)
    brain.settle()
    brain.remove(WEB)
    brain.remove(keyOf('services', 'default', 'by-hand'))
    brain.settle()
    expect(slices(brain)).toEqual([])
    expect(brain.view.list('endpoints').map(({ metadata }) => metadata.name)).toEqual(['by-hand'])
  })

  test('carry their Service’s labels', () => {
    const brain = brainWith([member('p', '10.0.0.1')])
    brain.update<Service>(WEB, (service) => ({
      ...service,
      metadata: { ...service.metadata, labels: { team: 'x' } },
    }))
    brain.settle()
    expect(slices(brain)[0]?.metadata.labels).toMatchObject({ team: 'x' })
    expect(endpoints(brain).metadata.labels).toMatchObject({ team: 'x' })
  })
})
