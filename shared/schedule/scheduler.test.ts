import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Brain } from '#test/support/brain.ts'
import { aNode, aPod, controlledBy, meta } from '#test/support/objects.ts'
import type { NodeOptions, PodOptions } from '#test/support/objects.ts'
import type { Node } from '../api/node.ts'
import type { Pod } from '../api/pod.ts'
import { conditionOf } from '../api/conditions.ts'
import { keyOf } from '../key.ts'
import { capacityOf, usageOf } from './resources.ts'
import { scheduler } from './scheduler.ts'

function brainWith(nodes: Record<string, NodeOptions>, pods: Pod[]): Brain {
  const brain = new Brain([scheduler])
  brain.put(...Object.entries(nodes).map(([name, options]) => aNode(name, options)), ...pods)
  return brain
}

function podIn(brain: Brain, name: string): Pod {
  return brain.view.get(keyOf('pods', 'default', name)) as Pod
}

const ZONE = 'topology.kubernetes.io/zone'
const HOST = 'kubernetes.io/hostname'
const ZONES = {
  a1: { labels: { [ZONE]: 'a' } },
  a2: { labels: { [ZONE]: 'a' } },
  b1: { labels: { [ZONE]: 'b' } },
}
const near = (app: string, topologyKey: string) => ({
  requiredDuringSchedulingIgnoredDuringExecution: [
    { topologyKey, labelSelector: { matchLabels: { app } } },
  ],
})
const web = aPod('owner', { meta: { uid: 'set' } })

const cases: {
  when: string
  nodes: Record<string, NodeOptions>
  others?: Pod[]
  pod?: PodOptions
  expected: string
}[] = [
  {
    when: 'only one node has the cpu',
    nodes: { a: { cpu: '1' }, b: { cpu: '2' } },
    pod: { cpu: '1500m' },
    expected: 'b',
  },
  {
    when: 'other pods fill a node',
    nodes: { a: { cpu: '1' }, b: { cpu: '1' } },
    others: [aPod('other', { node: 'a', cpu: '600m' })],
    pod: { cpu: '500m' },
    expected: 'b',
  },
  {
    when: 'a finished pod fills nothing',
    nodes: { a: { cpu: '1' } },
    others: [aPod('other', { node: 'a', cpu: '1', phase: 'Succeeded' })],
    pod: { cpu: '500m' },
    expected: 'a',
  },
  {
    when: 'a node is fuller, it is filled up first',
    nodes: { a: {}, b: {} },
    others: [aPod('other', { node: 'b', cpu: '1', memory: '1Gi' })],
    pod: { cpu: '1', memory: '1Gi' },
    expected: 'b',
  },
  {
    when: 'a sibling is on the fuller node, it goes to the other',
    nodes: { a: {}, b: {} },
    others: [aPod('other', { node: 'b', cpu: '1', meta: controlledBy(web) })],
    pod: { cpu: '1', meta: controlledBy(web) },
    expected: 'a',
  },
  {
    when: 'nothing differs, the first name wins',
    nodes: { b: {}, a: {} },
    expected: 'a',
  },
  {
    when: 'the node selector names a label',
    nodes: ZONES,
    pod: { spec: { nodeSelector: { [ZONE]: 'b' } } },
    expected: 'b1',
  },
  {
    when: 'node affinity excludes',
    nodes: ZONES,
    pod: {
      spec: {
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [
                { matchExpressions: [{ key: ZONE, operator: 'NotIn', values: ['a'] }] },
              ],
            },
          },
        },
      },
    },
    expected: 'b1',
  },
  {
    when: 'node affinity prefers',
    nodes: ZONES,
    pod: {
      spec: {
        affinity: {
          nodeAffinity: {
            preferredDuringSchedulingIgnoredDuringExecution: [
              {
                weight: 1,
                preference: {
                  matchFields: [{ key: 'metadata.name', operator: 'In', values: ['a2'] }],
                },
              },
            ],
          },
        },
      },
    },
    expected: 'a2',
  },
  {
    when: 'a taint keeps it away',
    nodes: { a: { taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] }, b: {} },
    expected: 'b',
  },
  {
    when: 'it tolerates the taint',
    nodes: { a: { taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] } },
    pod: { spec: { tolerations: [{ key: 'gpu', operator: 'Equal', value: 'yes' }] } },
    expected: 'a',
  },
  {
    when: 'a taint asks to be avoided',
    nodes: { a: { taints: [{ key: 'slow', effect: 'PreferNoSchedule' }] }, b: {} },
    expected: 'b',
  },
  {
    when: 'a node is cordoned',
    nodes: { a: { unschedulable: true }, b: {} },
    expected: 'b',
  },
  {
    when: 'a host port is taken',
    nodes: { a: {}, b: {} },
    others: [
      aPod('other', {
        node: 'a',
        spec: { containers: [{ name: 'c', ports: [{ containerPort: 80, hostPort: 80 }] }] },
      }),
    ],
    pod: { spec: { containers: [{ name: 'c', ports: [{ containerPort: 80, hostPort: 80 }] }] } },
    expected: 'b',
  },
  {
    when: 'it wants to be near another app',
    nodes: ZONES,
    others: [aPod('db', { node: 'b1', labels: { app: 'db' } })],
    pod: { spec: { affinity: { podAffinity: near('db', ZONE) } } },
    expected: 'b1',
  },
  {
    when: 'it is the first of those that want to be together',
    nodes: ZONES,
    pod: { labels: { app: 'x' }, spec: { affinity: { podAffinity: near('x', ZONE) } } },
    expected: 'a1',
  },
  {
    when: 'it wants to be far from its own kind',
    nodes: { a: {}, b: {} },
    others: [aPod('x1', { node: 'a', labels: { app: 'x' } })],
    pod: { labels: { app: 'x' }, spec: { affinity: { podAntiAffinity: near('x', HOST) } } },
    expected: 'b',
  },
  {
    when: 'a pod that is there wants nobody near',
    nodes: ZONES,
    others: [
      aPod('lonely', { node: 'a1', spec: { affinity: { podAntiAffinity: near('x', ZONE) } } }),
    ],
    pod: { labels: { app: 'x' } },
    expected: 'b1',
  },
  {
    when: 'a zone has more than its share',
    nodes: ZONES,
    others: [aPod('x1', { node: 'a1', labels: { app: 'x' } })],
    pod: {
      labels: { app: 'x' },
      spec: {
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: ZONE,
            whenUnsatisfiable: 'DoNotSchedule',
            labelSelector: { matchLabels: { app: 'x' } },
          },
        ],
      },
    },
    expected: 'b1',
  },
]

describe('a pod', () => {
  test.each(cases)('when $when: goes to $expected', ({ nodes, others = [], pod, expected }) => {
    const brain = brainWith(nodes, [...others, aPod('new', pod)])
    const { events } = brain.settle()
    expect(podIn(brain, 'new').spec.nodeName).toBe(expected)
    expect(events).toEqual([`Scheduled: Successfully assigned default/new to ${expected}`])
    expect(conditionOf(podIn(brain, 'new'), 'PodScheduled')?.status).toBe('True')
    expect(brain.settle().commits).toBe(0)
  })
})

const refusals: {
  when: string
  nodes: Record<string, NodeOptions>
  pod: PodOptions
  expected: string
}[] = [
  {
    when: 'there are no nodes',
    nodes: {},
    pod: {},
    expected: 'no nodes available to schedule pods',
  },
  {
    when: 'nodes are full and tainted',
    nodes: {
      a: { cpu: '1' },
      b: { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] },
    },
    pod: { cpu: '1500m' },
    expected:
      '0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {k: v}. ' +
      'preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.',
  },
  {
    when: 'two resources are short',
    nodes: { a: { cpu: '1', memory: '1Gi', pods: '1' } },
    pod: { cpu: '2', memory: '2Gi' },
    expected:
      '0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. ' +
      'preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.',
  },
  {
    when: 'the node selector matches nothing',
    nodes: { a: {} },
    pod: { spec: { nodeSelector: { disk: 'ssd' } } },
    expected:
      "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. " +
      'preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.',
  },
]

describe('a pod that fits nowhere', () => {
  test.each(refusals)('says why when $when', ({ nodes, pod, expected }) => {
    const brain = brainWith(nodes, [aPod('new', pod)])
    expect(brain.settle().events).toEqual([`FailedScheduling: ${expected}`])
    expect(conditionOf(podIn(brain, 'new'), 'PodScheduled')).toMatchObject({
      status: 'False',
      reason: 'Unschedulable',
      message: expected,
    })
    expect(brain.settle().commits).toBe(0)
  })

  test('goes where room appears', () => {
    const brain = brainWith({ a: { cpu: '1' } }, [
      aPod('old', { node: 'a', cpu: '1' }),
      aPod('new', { cpu: '1' }),
    ])
    brain.settle()
    expect(podIn(brain, 'new').spec.nodeName).toBeUndefined()
    brain.remove(keyOf('pods', 'default', 'old'))
    brain.settle()
    expect(podIn(brain, 'new').spec.nodeName).toBe('a')
  })
})

test('pods with scheduling gates wait without being tried', () => {
  const brain = brainWith({ a: {} }, [aPod('new', { spec: { schedulingGates: [{ name: 'g' }] } })])
  expect(brain.settle().events).toEqual([])
  expect(conditionOf(podIn(brain, 'new'), 'PodScheduled')?.reason).toBe('SchedulingGated')
})

test('the more important pod gets the last room, then the older one', () => {
  const late = meta('', { creationTimestamp: '2027-01-15T09:00:00Z' }).creationTimestamp
  const brain = brainWith({ a: { pods: '2' } }, [
    aPod('b-late', { meta: { creationTimestamp: late } }),
    aPod('a-late', { meta: { creationTimestamp: late } }),
    aPod('c-early'),
    aPod('d-important', { meta: { creationTimestamp: late }, spec: { priority: 10 } }),
  ])
  brain.settle()
  const placed = (brain.view.podsOnNode('a') as Pod[]).map(({ metadata }) => metadata.name)
  expect(placed).toEqual(['c-early', 'd-important'])
})

test('whatever is asked for, no node is ever over its allocatable', () => {
  const size = fc.integer({ min: 0, max: 3000 })
  fc.assert(
    fc.property(
      fc.array(fc.record({ cpu: size, pods: fc.integer({ min: 0, max: 4 }) }), { maxLength: 5 }),
      fc.array(size, { maxLength: 20 }),
      (nodes, pods) => {
        const brain = brainWith(
          Object.fromEntries(
            nodes.map(({ cpu, pods }, index) => [`n${index}`, { cpu: `${cpu}m`, pods: `${pods}` }]),
          ),
          pods.map((cpu, index) => aPod(`p${index}`, { cpu: `${cpu}m` })),
        )
        brain.settle()
        for (const node of brain.view.list('nodes') as readonly Node[]) {
          const usage = usageOf(brain.view.podsOnNode(node.metadata.name) as Pod[])
          expect(usage.cpu).toBeLessThanOrEqual(capacityOf(node).cpu)
          expect(usage.pods).toBeLessThanOrEqual(capacityOf(node).pods)
        }
        expect(brain.settle().commits).toBe(0)
      },
    ),
    { numRuns: 60 },
  )
})
