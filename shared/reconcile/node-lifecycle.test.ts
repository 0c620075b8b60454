import { describe, expect, test } from 'vitest'
import { Brain, podsOf } from '#test/support/brain.ts'
import { aNode, aPod } from '#test/support/objects.ts'
import type { PodOptions } from '#test/support/objects.ts'
import { conditionOf, withCondition } from '../api/conditions.ts'
import { INSTANCE_ID_ANNOTATION, NODE_SHUTDOWN_MESSAGE } from '../api/node.ts'
import type { Node } from '../api/node.ts'
import { NODE_POOL_LABEL } from '../api/node-pool.ts'
import type { NodePool, PoolInstance } from '../api/node-pool.ts'
import { keyOf } from '../key.ts'
import { nodeLifecycleReconciler } from './node-lifecycle.ts'
import { podGcReconciler } from './pod-gc.ts'

function node(name: string): Node {
  const plain = aNode(name, { labels: { [NODE_POOL_LABEL]: 'pool' } })
  return {
    ...plain,
    metadata: { ...plain.metadata, annotations: { [INSTANCE_ID_ANNOTATION]: '1' } },
  }
}

function pool(instances: Record<string, Partial<PoolInstance>>): NodePool {
  return {
    apiVersion: 'container.wherry.dev/v1',
    kind: 'NodePool',
    metadata: { name: 'pool', uid: '', creationTimestamp: '' },
    spec: { nodeCount: 3, zone: 'z', machineType: 'e2-medium', diskSizeGb: 10, spot: false },
    status: {
      instances: Object.entries(instances).map(([name, more]) => ({
        name,
        id: '1',
        status: 'RUNNING',
        creationTimestamp: '2027-01-15T07:00:00Z',
        ...more,
      })),
    },
  }
}

const NAMES = ['a', 'b', 'c']

function brainWith(instances: Record<string, Partial<PoolInstance>>, pod: PodOptions = {}): Brain {
  const brain = new Brain([nodeLifecycleReconciler, podGcReconciler])
  brain.put(pool({ a: {}, b: {}, c: {} }), ...NAMES.map(node))
  brain.put(...NAMES.map((name) => aPod(`on-${name}`, { node: name, phase: 'Running', ...pod })))
  brain.settle()
  brain.put(pool(instances))
  brain.settle()
  return brain
}

/** `a`: stays; `a*`: is being stopped. */
function pods(brain: Brain): string[] {
  return podsOf(brain).map(
    ({ metadata, spec }) => `${spec.nodeName}${metadata.deletionTimestamp ? '*' : ''}`,
  )
}

function nodeIn(brain: Brain, name: string): Node | undefined {
  return brain.view.get(keyOf('nodes', '', name)) as Node | undefined
}

function taints(brain: Brain, name: string): string[] {
  return (nodeIn(brain, name)?.spec.taints ?? []).map(
    ({ key, effect }) => `${key.slice('node.kubernetes.io/'.length)}:${effect}`,
  )
}

function ready(brain: Brain, name: string): string | undefined {
  const found = nodeIn(brain, name)
  return found && conditionOf(found, 'Ready')?.status
}

const UNREACHABLE = ['unreachable:NoSchedule', 'unreachable:NoExecute']
const cases: {
  when: string
  instances: Record<string, Partial<PoolInstance>>
  pods: string[]
  ready: string | undefined
  taints: string[]
}[] = [
  {
    when: 'all is well',
    instances: { a: {}, b: {}, c: {} },
    pods: ['a', 'b', 'c'],
    ready: 'True',
    taints: [],
  },
  {
    when: 'its VM is deleted: it goes with its pods',
    instances: { b: {}, c: {} },
    pods: ['b', 'c'],
    ready: undefined,
    taints: [],
  },
  ...(['STOPPED', 'TERMINATED', 'SUSPENDED', 'REPAIRING'] as const).map((status) => ({
    when: `its VM is ${status}: its pods are replaced at once`,
    instances: { a: { status }, b: {}, c: {} },
    pods: ['b', 'c'],
    ready: 'Unknown',
    taints: UNREACHABLE,
  })),
  {
    when: 'another VM has its name: its containers are gone',
    instances: { a: { id: '2' }, b: {}, c: {} },
    pods: ['b', 'c'],
    ready: 'Unknown',
    taints: UNREACHABLE,
  },
  {
    when: 'its VM is being stopped: its pods are asked to go',
    instances: { a: { status: 'STOPPING' }, b: {}, c: {} },
    pods: ['a*', 'b', 'c'],
    ready: 'Unknown',
    taints: UNREACHABLE,
  },
  {
    when: 'its VM fails its health check: its pods are asked to go',
    instances: { a: { isHealthy: false }, b: {}, c: {} },
    pods: ['a*', 'b', 'c'],
    ready: 'Unknown',
    taints: UNREACHABLE,
  },
  {
    when: 'most VMs fail their health checks at once: nobody is evicted',
    instances: { a: { isHealthy: false }, b: { isHealthy: false }, c: {} },
    pods: ['a', 'b', 'c'],
    ready: 'Unknown',
    taints: ['unreachable:NoSchedule'],
  },
  {
    when: 'all VMs fail their health checks: there is nowhere to go',
    instances: { a: { isHealthy: false }, b: { isHealthy: false }, c: { isHealthy: false } },
    pods: ['a', 'b', 'c'],
    ready: 'Unknown',
    taints: ['unreachable:NoSchedule'],
  },
  {
    when: 'it fails its health check and the others are off: there is nowhere to go',
    instances: { a: { isHealthy: false }, b: { status: 'TERMINATED' }, c: { status: 'STOPPED' } },
    pods: ['a'],
    ready: 'Unknown',
    taints: ['unreachable:NoSchedule'],
  },
  {
    when: 'most VMs are stopped: that is known, and no brake',
    instances: { a: { status: 'TERMINATED' }, b: { status: 'TERMINATED' }, c: {} },
    pods: ['c'],
    ready: 'Unknown',
    taints: UNREACHABLE,
  },
]

describe('a node', () => {
  test.each(cases)('when $when', ({ instances, pods: left, ready: status, taints: expected }) => {
    const brain = brainWith(instances)
    expect(pods(brain)).toEqual(left)
    expect(ready(brain, 'a')).toBe(status)
    expect(taints(brain, 'a')).toEqual(expected)
    brain.noticeEverything(['nodes', 'pods'])
    expect(brain.settle().commits).toBe(0)
  })

  test('is ready again when its VM is', () => {
    const brain = brainWith({ a: { isHealthy: false }, b: {}, c: {} })
    brain.put(pool({ a: { isHealthy: true }, b: {}, c: {} }))
    expect(brain.settle().events).toEqual(['NodeReady: Node a status is now: NodeReady'])
    expect(ready(brain, 'a')).toBe('True')
    expect(taints(brain, 'a')).toEqual([])
  })

  test('that fails its health check serves no Service any more; its agent says when it does again', () => {
    const brain = brainWith({ a: { isHealthy: false }, b: {}, c: {} }, { ready: true })
    expect(podsOf(brain).map((pod) => conditionOf(pod, 'Ready')?.status)).toEqual([
      'False',
      'True',
      'True',
    ])
    brain.put(pool({ a: {}, b: {}, c: {} }))
    const { writes } = brain.settle()
    expect(writes.filter((write) => write.includes('pods/'))).toEqual([])
  })

  test('under the brake keeps its pods as they are, until others are well again', () => {
    const brain = brainWith(
      { a: { isHealthy: false }, b: { isHealthy: false }, c: {} },
      { ready: true },
    )
    expect(podsOf(brain).every((pod) => conditionOf(pod, 'Ready')?.status === 'True')).toBe(true)
    expect(brain.dueAtMs).toBe(brain.now + 10_000)
    brain.put(pool({ a: { isHealthy: false }, b: {}, c: {} }))
    brain.settle()
    expect(pods(brain)).toEqual(['a*', 'b', 'c'])
    expect(brain.dueAtMs).toBeUndefined()
  })

  test('under the brake is looked at again when a node joins from elsewhere', () => {
    const brain = brainWith({ a: { isHealthy: false }, b: { isHealthy: false }, c: {} })
    brain.put(aNode('mine'), aNode('mine-too'))
    brain.settle()
    expect(pods(brain)).toEqual(['a', 'b', 'c'])
    brain.wait(10)
    brain.settle()
    expect(pods(brain)).toEqual(['a*', 'b*', 'c'])
  })

  test('that stands alone keeps its pods', () => {
    const brain = new Brain([nodeLifecycleReconciler])
    brain.put(pool({ a: { isHealthy: false } }), node('a'), aPod('on-a', { node: 'a' }))
    brain.settle()
    expect(pods(brain)).toEqual(['a'])
  })

  test.each([
    { vm: {}, left: ['a*', 'b', 'c'] },
    // An agent that shuts down fails its health check on purpose: nobody is deaf.
    { vm: { isHealthy: false }, left: ['a*', 'b', 'c'] },
    { vm: { status: 'STOPPING' }, left: ['a*', 'b', 'c'] },
    { vm: { status: 'TERMINATED' }, left: ['b', 'c'] },
  ])('that says it shuts down (VM: $vm) sends its pods away while they serve', ({ vm, left }) => {
    const brain = brainWith({ a: {}, b: {}, c: {} }, { ready: true })
    brain.update<Node>(keyOf('nodes', '', 'a'), (old) => ({
      ...old,
      status: {
        ...old.status,
        conditions: withCondition(
          old.status?.conditions,
          {
            type: 'Ready',
            status: 'False',
            reason: 'KubeletNotReady',
            message: NODE_SHUTDOWN_MESSAGE,
          },
          brain.now,
        ),
      },
    }))
    brain.put(pool({ a: vm, b: {}, c: {} }))
    brain.settle()
    expect(pods(brain)).toEqual(left)
    expect(podsOf(brain).every((pod) => conditionOf(pod, 'Ready')?.status === 'True')).toBe(true)
    expect(taints(brain, 'a').length).toBe(2)
    brain.noticeEverything(['nodes', 'pods'])
    expect(brain.settle().commits).toBe(0)
  })

  test('is not believed ready while its VM boots', () => {
    const brain = brainWith({ a: { status: 'TERMINATED' }, b: {}, c: {} })
    brain.put(pool({ a: { status: 'STAGING' }, b: {}, c: {} }))
    brain.settle()
    expect(ready(brain, 'a')).toBe('Unknown')
    brain.put(pool({ a: {}, b: {}, c: {} }))
    brain.settle()
    expect(ready(brain, 'a')).toBe('True')
  })

  test('that is cordoned or under pressure takes no new pods', () => {
    const brain = brainWith({ a: {}, b: {}, c: {} })
    brain.update<Node>(keyOf('nodes', '', 'a'), (old) => ({
      ...old,
      spec: { ...old.spec, unschedulable: true },
      status: {
        ...old.status,
        conditions: [
          ...(old.status?.conditions ?? []),
          { type: 'DiskPressure', status: 'True', lastTransitionTime: '2027-01-15T08:00:00Z' },
        ],
      },
    }))
    brain.settle()
    expect(taints(brain, 'a')).toEqual(['unschedulable:NoSchedule', 'disk-pressure:NoSchedule'])
    expect(pods(brain)).toEqual(NAMES)
  })

  test('that has not said anything yet takes no pods', () => {
    const brain = new Brain([nodeLifecycleReconciler])
    const silent = aNode('a')
    brain.put({ ...silent, status: {} } as Node)
    brain.settle()
    expect(taints(brain, 'a')).toEqual(['not-ready:NoSchedule'])
  })

  test('outside of any pool is its owner’s business', () => {
    const brain = new Brain([nodeLifecycleReconciler])
    brain.put(pool({}), aNode('mine'))
    brain.settle()
    expect(ready(brain, 'mine')).toBe('True')
  })
})

describe('a pod on a node that says it is not ready', () => {
  function notReady(pod: PodOptions): Brain {
    const brain = brainWith({ a: {}, b: {}, c: {} }, pod)
    brain.update<Node>(keyOf('nodes', '', 'a'), (old) => ({
      ...old,
      status: {
        ...old.status,
        conditions: [
          { type: 'Ready', status: 'False', lastTransitionTime: '2027-01-15T08:00:00Z' },
        ],
      },
    }))
    brain.settle()
    return brain
  }

  test('goes after the seconds that it tolerates', () => {
    const brain = notReady({})
    expect(pods(brain)).toEqual(['a', 'b', 'c'])
    expect(brain.dueAtMs).toBe(brain.now + 300_000)
    brain.wait(300)
    expect(brain.settle().events).toContain(
      'TaintManagerEviction: Marking for deletion Pod default/on-a',
    )
    expect(pods(brain)).toEqual(['a*', 'b', 'c'])
  })

  test('stays when it tolerates it for ever', () => {
    const forever = { key: 'node.kubernetes.io/not-ready', operator: 'Exists' } as const
    const brain = notReady({ spec: { tolerations: [forever] } })
    expect(brain.dueAtMs).toBeUndefined()
    expect(pods(brain)).toEqual(['a', 'b', 'c'])
  })
})
