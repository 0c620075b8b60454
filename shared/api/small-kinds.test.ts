import { describe, expect, it } from 'vitest'
import { NOW, defaulted, meta, refusals } from '#test/support/admission.ts'
import { formatTime } from '../time.ts'
import { componentStatusKind } from './component-status.ts'
import { endpointSliceKind } from './endpoint-slice.ts'
import { endpointsKind } from './endpoints.ts'
import { eventV1Kind } from './event-v1.ts'
import { eventKind } from './event.ts'
import type { KubeEvent } from './event.ts'
import type { Namespace } from './namespace.ts'
import { NODE_POOL_FINALIZER } from './node-pool.ts'
import type { NodePool } from './node-pool.ts'
import { nodeKind } from './node.ts'
import type { Node } from './node.ts'

describe('a Namespace', () => {
  const namespace: Namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: meta('shop', ''),
    spec: {},
  }

  it('is held by its finalizer, active, and labelled with its name', () => {
    expect(defaulted(namespace)).toMatchObject({
      metadata: { labels: { 'kubernetes.io/metadata.name': 'shop' } },
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Active' },
    })
  })

  it('lets its finalizer go on an update', () => {
    const old = defaulted(namespace)
    const done = { ...old, spec: { finalizers: [] } }
    expect(defaulted(done, { old }).spec.finalizers).toEqual([])
  })
})

describe('a Node', () => {
  const node: Node = { apiVersion: 'v1', kind: 'Node', metadata: meta('vm-1', ''), spec: {} }

  it.each<[string, Partial<Node>, string[]]>([
    ['unknown', {}, ['Unknown', '<none>']],
    ['ready', { status: { conditions: [{ type: 'Ready', status: 'True' }] } }, ['Ready', '<none>']],
    [
      'not ready, cordoned',
      {
        spec: { unschedulable: true },
        status: { conditions: [{ type: 'Ready', status: 'Unknown' }] },
      },
      ['NotReady,SchedulingDisabled', '<none>'],
    ],
    [
      'with roles',
      {
        metadata: {
          ...meta('vm-1', ''),
          labels: { 'node-role.kubernetes.io/worker': '', 'kubernetes.io/role': 'agent' },
        },
      },
      ['Unknown', 'agent,worker'],
    ],
  ])('%s', (_, more, [status, roles]) => {
    const row = nodeKind.cells({ ...node, ...more }, { now: NOW })
    expect(row.slice(0, 4)).toEqual(['vm-1', status, roles, '0s'])
  })

  it('can be selected by whether it takes pods', () => {
    expect(nodeKind.fieldSelectors?.['spec.unschedulable']?.(node)).toBe('false')
  })

  it('has taints that are taints', () => {
    const taints = [
      { key: 'a', effect: 'NoSchedule' },
      { key: 'a', effect: 'NoSchedule' },
      { key: 'b', effect: 'Never' },
    ]
    expect(refusals({ ...node, spec: { taints } })).toEqual([
      'spec.taints[1]: Duplicate value: {"effect":"NoSchedule","key":"a"}: taints must be unique by key and effect pair',
      'spec.taints[2].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
    ])
  })

  it('keeps the VM it is', () => {
    const old = { ...node, spec: { providerID: 'gce://p/z/a' } }
    expect(refusals({ ...node, spec: { providerID: 'gce://p/z/b' } }, { old })).toEqual([
      'spec.providerID: Forbidden: node updates may not change providerID except from "" to valid',
    ])
  })
})

describe('a NodePool', () => {
  const pool = {
    apiVersion: 'container.wherry.dev/v1',
    kind: 'NodePool',
    metadata: meta('default-pool', ''),
    spec: { zone: 'us-east1-c' },
  } as NodePool

  it('has three small VMs when nothing is said, and goes only after them', () => {
    expect(defaulted(pool)).toMatchObject({
      metadata: { finalizers: [NODE_POOL_FINALIZER] },
      spec: { nodeCount: 3, machineType: 'e2-medium', diskSizeGb: 100, spot: false },
    })
  })

  it('needs a zone, and changes only its size', () => {
    expect(refusals({ ...pool, spec: { ...pool.spec, zone: '' } })).toEqual([
      'spec.zone: Required value',
    ])
    const old = defaulted(pool)
    expect(refusals({ ...old, spec: { ...old.spec, nodeCount: 5 } }, { old })).toEqual([])
    expect(refusals({ ...old, spec: { ...old.spec, machineType: 'n2' } }, { old })).toEqual([
      'spec.machineType: Invalid value: "n2": field is immutable',
    ])
  })
})

describe('an Event', () => {
  const event: KubeEvent = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: meta('web.1'),
    involvedObject: {
      kind: 'Pod',
      name: 'web',
      namespace: 'default',
      fieldPath: 'spec.containers{web}',
    },
    type: 'Warning',
    reason: 'BackOff',
    message: ' Back-off restarting failed container\n',
    firstTimestamp: formatTime(NOW - 600_000),
    lastTimestamp: formatTime(NOW - 30_000),
    count: 4,
    source: { component: 'kubelet', host: 'vm-1' },
  }

  const row = [
    '30s',
    'Warning',
    'BackOff',
    'pod/web',
    'spec.containers{web}',
    'kubelet, vm-1',
    'Back-off restarting failed container',
    '10m',
    4,
    'web.1',
  ]

  it('prints its row', () => {
    expect(eventKind.cells(event, { now: NOW })).toEqual(row)
  })

  it('prints one that was written once, and one that goes on', () => {
    const { count: _, firstTimestamp: _f, lastTimestamp: _l, ...bare } = event
    const eventTime = '2027-01-15T07:59:00.000000Z'
    const once = eventKind.cells({ ...bare, eventTime }, { now: NOW })
    expect([once[0], once[7], once[8]]).toEqual(['60s', '60s', 1])
    const series = { count: 9, lastObservedTime: '2027-01-15T07:59:50.000000Z' }
    const repeated = eventKind.cells({ ...bare, eventTime, series }, { now: NOW })
    expect([repeated[0], repeated[8]]).toEqual(['10s', 9])
  })

  it('is the same in its newer form', () => {
    const alias = eventV1Kind.alias
    if (!alias) throw new Error('events.k8s.io has no storage of its own')
    const newer = alias.fromStored(event)
    expect(newer).toMatchObject({
      apiVersion: 'events.k8s.io/v1',
      note: event.message,
      regarding: event.involvedObject,
      deprecatedCount: 4,
    })
    expect(eventV1Kind.cells(newer, { now: NOW })).toEqual(row)
    expect(alias.toStored(newer)).toEqual({ ...event, eventTime: null })
  })

  it('stands in the namespace of what it is about', () => {
    const elsewhere = { ...event.involvedObject, namespace: 'other' }
    expect(refusals({ ...event, involvedObject: elsewhere })).toEqual([
      'involvedObject.namespace: Invalid value: "other": does not match event.namespace',
    ])
  })
})

describe('rows of addresses', () => {
  const addresses = ['a', 'b', 'c', 'd'].map((_, index) => ({ ip: `10.0.0.${index}` }))

  it('show three endpoints and count the rest', () => {
    const endpoints = { apiVersion: 'v1', kind: 'Endpoints', metadata: meta('web') }
    const cells = (subsets: object[]): unknown =>
      endpointsKind.cells({ ...endpoints, subsets }, { now: NOW })[1]
    expect(cells([])).toBe('<none>')
    expect(cells([{ addresses: addresses.slice(0, 1), ports: [{ port: 80 }] }])).toBe('10.0.0.0:80')
    expect(cells([{ addresses, ports: [{ port: 80 }] }])).toBe(
      '10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 1 more...',
    )
  })

  it('show slices', () => {
    const slice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: meta('web-x'),
      addressType: 'IPv4' as const,
      endpoints: addresses.map(({ ip }) => ({ addresses: [ip] })),
    }
    expect(endpointSliceKind.cells(slice, { now: NOW })).toEqual([
      'web-x',
      'IPv4',
      '<unset>',
      '10.0.0.0,10.0.0.1,10.0.0.2 + 1 more...',
      '0s',
    ])
  })

  it('show components', () => {
    const component = { apiVersion: 'v1', kind: 'ComponentStatus', metadata: meta('store', '') }
    const healthy = { type: 'Healthy', status: 'True' as const, message: 'ok' }
    expect(
      componentStatusKind.cells({ ...component, conditions: [healthy] }, { now: NOW }),
    ).toEqual(['store', 'Healthy', 'ok', ''])
    expect(componentStatusKind.cells(component, { now: NOW })[1]).toBe('Unknown')
  })
})
