import { describe, expect, test } from 'vitest'
import { Brain, podsOf } from '#test/support/brain.ts'
import { aNode, aPod } from '#test/support/objects.ts'
import type { PodOptions } from '#test/support/objects.ts'
import { conditionOf, withCondition } from '../api/conditions.ts'
import {
  ANSWERED_ANNOTATION,
  ASKED_ANNOTATION,
  INSTANCE_ID_ANNOTATION,
  NODE_SHUTDOWN_MESSAGE,
} from '../api/node.ts'
import type { Node } from '../api/node.ts'
import { NODE_POOL_LABEL } from '../api/node-pool.ts'
import type { NodePool, PoolInstance } from '../api/node-pool.ts'
import { keyOf } from '../key.ts'
import { nodeLifecycleReconciler } from './node-lifecycle.ts'
import { podGcReconciler } from './pod-gc.ts'
import { AFTER_MANY_MS, ANSWER_AGAIN_MS, ANSWER_MS, ASK_AGAIN_MS, DISPUTE_MS } from './suspicion.ts'

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

/** The VMs are so for longer than an agent may take to answer that it lives; none does. */
function brainWith(instances: Record<string, Partial<PoolInstance>>, pod: PodOptions = {}): Brain {
  const brain = askedBrain(instances, pod)
  brain.wait(ANSWER_MS / 1000)
  brain.settle()
  return brain
}

/** The VMs are so since now. */
function askedBrain(instances: Record<string, Partial<PoolInstance>>, pod: PodOptions = {}): Brain {
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
    ({ key, effect }) => `${key.slice(key.indexOf('/') + 1)}:${effect}`,
  )
}

function ready(brain: Brain, name: string): string | undefined {
  const found = nodeIn(brain, name)
  return found && conditionOf(found, 'Ready')?.status
}

const UNREACHABLE = ['unreachable:NoSchedule', 'unreachable:NoExecute']
const UNWELL = 'health-check-failing:NoSchedule'
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
    taints: [UNWELL, ...UNREACHABLE],
  },
  {
    when: 'most VMs fail their health checks at once: nobody is evicted',
    instances: { a: { isHealthy: false }, b: { isHealthy: false }, c: {} },
    pods: ['a', 'b', 'c'],
    ready: 'Unknown',
    taints: [UNWELL, 'unreachable:NoSchedule'],
  },
  {
    when: 'all VMs fail their health checks: there is nowhere to go',
    instances: { a: { isHealthy: false }, b: { isHealthy: false }, c: { isHealthy: false } },
    pods: ['a', 'b', 'c'],
    ready: 'Unknown',
    taints: [UNWELL, 'unreachable:NoSchedule'],
  },
  {
    when: 'it fails its health check and the others are off: there is nowhere to go',
    instances: { a: { isHealthy: false }, b: { status: 'TERMINATED' }, c: { status: 'STOPPED' } },
    pods: ['a'],
    ready: 'Unknown',
    taints: [UNWELL, 'unreachable:NoSchedule'],
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

  test('under the brake keeps its pods as they are, and when others are well again it may follow', () => {
    const brain = brainWith(
      { a: { isHealthy: false }, b: { isHealthy: false }, c: {} },
      { ready: true },
    )
    expect(podsOf(brain).every((pod) => conditionOf(pod, 'Ready')?.status === 'True')).toBe(true)
    expect(brain.dueAtMs).toBe(brain.now + 10_000)
    brain.put(pool({ a: { isHealthy: false }, b: {}, c: {} }))
    brain.settle()
    expect(pods(brain)).toEqual(['a', 'b', 'c'])
    expect(brain.dueAtMs).toBe(brain.now + AFTER_MANY_MS)
    brain.wait(AFTER_MANY_MS / 1000 - 1)
    brain.settle()
    expect(pods(brain)).toEqual(['a', 'b', 'c'])
    brain.wait(1)
    brain.settle()
    expect(pods(brain)).toEqual(['a*', 'b', 'c'])
    expect(brain.dueAtMs).toBeUndefined()
  })

  test('that comes back last, long after all were silent, loses nothing', () => {
    const unwell = { isHealthy: false }
    const brain = brainWith({ a: unwell, b: unwell, c: unwell })
    brain.wait(DISPUTE_MS / 1000)
    brain.settle()
    brain.put(pool({ a: unwell, b: {}, c: {} }))
    brain.settle()
    brain.wait(AFTER_MANY_MS / 1000 - 1)
    brain.settle()
    brain.put(pool({ a: {}, b: {}, c: {} }))
    brain.settle()
    expect(pods(brain)).toEqual(['a', 'b', 'c'])
    // What comes after that begins from the start.
    brain.put(pool({ a: unwell, b: {}, c: {} }))
    brain.settle()
    brain.wait(ANSWER_MS / 1000)
    brain.settle()
    expect(pods(brain)).toEqual(['a*', 'b', 'c'])
  })

  test('under the brake is looked at again when a node joins from elsewhere', () => {
    const brain = brainWith({ a: { isHealthy: false }, b: { isHealthy: false }, c: {} })
    brain.put(aNode('mine'), aNode('mine-too'))
    brain.settle()
    expect(pods(brain)).toEqual(['a', 'b', 'c'])
    for (const seconds of [10, AFTER_MANY_MS / 1000]) {
      brain.wait(seconds)
      brain.settle()
    }
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

/** As the agent of a VM reports: it lives, and answers what it was asked. */
function answer(brain: Brain, name: string): void {
  brain.update<Node>(keyOf('nodes', '', name), (old) => {
    const { annotations = {} } = old.metadata
    const asked = annotations[ASKED_ANNOTATION]
    if (asked === undefined) throw new Error(`${name} was not asked`)
    return {
      ...old,
      metadata: { ...old.metadata, annotations: { ...annotations, [ANSWERED_ANNOTATION]: asked } },
    }
  })
  brain.settle()
}

describe('a node whose VM fails its health check', () => {
  const failing = () => askedBrain({ a: { isHealthy: false }, b: {}, c: {} }, { ready: true })
  const podReady = (brain: Brain) =>
    podsOf(brain).map((pod) => conditionOf(pod, 'Ready')?.status === 'True')
  const seconds = (ms: number): number => ms / 1000

  test('gets no traffic at once, and its agent is asked; its pods stay so long', () => {
    const brain = failing()
    expect(pods(brain)).toEqual(NAMES)
    expect(podReady(brain)).toEqual([false, true, true])
    expect(ready(brain, 'a')).toBe('Unknown')
    expect(taints(brain, 'a')).toEqual([UNWELL, 'unreachable:NoSchedule'])
    expect(brain.dueAtMs).toBe(brain.now + ANSWER_MS)
    brain.wait(seconds(ANSWER_MS) - 1)
    expect(brain.settle().commits).toBe(0)
    brain.wait(1)
    brain.settle()
    expect(pods(brain)).toEqual(['a*', 'b', 'c'])
  })

  test('keeps its pods when its agent answers, takes no new ones, and is asked again', () => {
    const brain = failing()
    answer(brain, 'a')
    expect(ready(brain, 'a')).toBe('True')
    expect(taints(brain, 'a')).toEqual([UNWELL])
    for (let asked = 0; asked < 3; asked++) {
      brain.wait(seconds(ASK_AGAIN_MS))
      brain.settle()
      // The next answer is still to come: the one before counts.
      expect(ready(brain, 'a')).toBe('True')
      answer(brain, 'a')
      expect(pods(brain)).toEqual(NAMES)
    }
  })

  test('loses its pods when its agent does not answer any more', () => {
    const brain = failing()
    answer(brain, 'a')
    brain.wait(seconds(ASK_AGAIN_MS))
    brain.settle()
    brain.wait(seconds(ANSWER_AGAIN_MS) - 1)
    expect(brain.settle().commits).toBe(0)
    brain.wait(1)
    brain.settle()
    expect(pods(brain)).toEqual(['a*', 'b', 'c'])
  })

  test('loses its pods after five minutes, whatever its agent says', () => {
    const brain = failing()
    answer(brain, 'a')
    for (let passed = 0; passed + ASK_AGAIN_MS < DISPUTE_MS; passed += ASK_AGAIN_MS) {
      expect(pods(brain)).toEqual(NAMES)
      brain.wait(seconds(ASK_AGAIN_MS))
      brain.settle()
      answer(brain, 'a')
    }
    brain.wait(seconds(ASK_AGAIN_MS))
    brain.settle()
    expect(pods(brain)).toEqual(['a*', 'b', 'c'])
  })

  test('is believed again when the answer comes late: what still runs there stays', () => {
    const brain = brainWith({ a: { isHealthy: false }, b: {}, c: {} }, { ready: true })
    expect(ready(brain, 'a')).toBe('Unknown')
    answer(brain, 'a')
    expect(ready(brain, 'a')).toBe('True')
    expect(taints(brain, 'a')).toEqual([UNWELL])
  })

  test.each([
    { passed: 20, is: 'True', taints: [UNWELL] },
    { passed: 90, is: 'Unknown', taints: [UNWELL, 'unreachable:NoSchedule'] },
  ])('is asked anew when it fails again $passed s later', ({ passed, is, taints: expected }) => {
    const brain = failing()
    answer(brain, 'a')
    const asked = () => nodeIn(brain, 'a')?.metadata.annotations?.[ASKED_ANNOTATION]
    const first = asked()
    brain.put(pool({ a: {}, b: {}, c: {} }))
    brain.settle()
    expect(taints(brain, 'a')).toEqual([])
    brain.wait(passed)
    brain.put(pool({ a: { isHealthy: false }, b: {}, c: {} }))
    brain.settle()
    expect(asked()).not.toBe(first)
    // What it said just now still counts.
    expect(ready(brain, 'a')).toBe(is)
    expect(taints(brain, 'a')).toEqual(expected)
    expect(pods(brain)).toEqual(NAMES)
  })

  test('whose agent answers does not count as failing: another one that is silent is evicted', () => {
    const brain = askedBrain({
      a: { isHealthy: false },
      b: { isHealthy: false },
      c: { isHealthy: false },
    })
    answer(brain, 'a')
    answer(brain, 'b')
    brain.wait(seconds(ANSWER_MS))
    brain.settle()
    expect(pods(brain)).toEqual(['a', 'b', 'c*'])
  })

  test('in a zone that fails as a whole is evicted while another zone is well', () => {
    const inZone = (name: string, zone: string): Node => {
      const plain = node(name)
      const labels = { ...plain.metadata.labels, 'topology.kubernetes.io/zone': zone }
      return { ...plain, metadata: { ...plain.metadata, labels } }
    }
    const brain = new Brain([nodeLifecycleReconciler])
    const names = ['a', 'b', 'c', 'd']
    brain.put(pool(Object.fromEntries([...names, 'e'].map((name) => [name, {}]))))
    brain.put(...names.map((name) => inZone(name, 'z-1')), inZone('e', 'z-2'))
    brain.put(...names.map((name) => aPod(`on-${name}`, { node: name, phase: 'Running' })))
    brain.settle()
    const failingNow = (which: string[]): void => {
      brain.put(
        pool({
          ...Object.fromEntries([...names, 'e'].map((name) => [name, {}])),
          ...Object.fromEntries(which.map((name) => [name, { isHealthy: false }])),
        }),
      )
      brain.settle()
      brain.wait(10)
      brain.settle()
    }
    failingNow(['a', 'b', 'c'])
    expect(pods(brain)).toEqual(names)
    failingNow(names)
    // Who was silent under the brake has time anew.
    expect(pods(brain)).toEqual(['a', 'b', 'c', 'd*'])
    brain.wait(AFTER_MANY_MS / 1000)
    brain.settle()
    expect(pods(brain)).toEqual(names.map((name) => `${name}*`))
  })
})

describe('a pod that alone may write', () => {
  const disk: PodOptions = {
    spec: { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }] },
  }

  test.each([
    { vm: { status: 'STOPPED' }, left: ['b', 'c'] },
    { vm: { status: 'TERMINATED' }, left: ['b', 'c'] },
    { vm: { id: '2' }, left: ['b', 'c'] },
    // Its memory is kept: it goes on where it was.
    { vm: { status: 'SUSPENDED' }, left: ['a*', 'b', 'c'] },
    { vm: { status: 'REPAIRING' }, left: ['a*', 'b', 'c'] },
    { vm: { isHealthy: false }, left: ['a*', 'b', 'c'] },
  ])('stays on record until its VM ($vm) is certainly off', ({ vm, left }) => {
    expect(pods(brainWith({ a: vm, b: {}, c: {} }, disk))).toEqual(left)
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
