import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Brain, podsOf, reportRunning } from '#test/support/brain.ts'
import { aDeployment, aReplicaSet, templateOf } from '#test/support/objects.ts'
import type { Deployment, DeploymentSpec } from '../../api/deployment.ts'
import { isPodActive, isPodReady } from '../../api/pod-conditions.ts'
import type { ReplicaSet } from '../../api/replica-set.ts'
import { keyOf } from '../../key.ts'
import { replicaSetReconciler } from '../replica-set/replica-set.ts'
import { deploymentReconciler } from './deployment.ts'

const WEB = keyOf('deployments.apps', 'default', 'web')
const rolling = (maxSurge: number, maxUnavailable: number): Partial<DeploymentSpec> => ({
  strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } },
})

function brainWith(spec: Partial<DeploymentSpec> = {}): Brain {
  const brain = new Brain([replicaSetReconciler, deploymentReconciler])
  brain.put(aDeployment('web', spec))
  return brain
}

function web(brain: Brain): Deployment {
  return brain.view.get(WEB) as Deployment
}

function change(brain: Brain, spec: Partial<DeploymentSpec>): void {
  brain.update<Deployment>(WEB, (old) => ({ ...old, spec: { ...old.spec, ...spec } }))
}

function setImage(brain: Brain, image: string): void {
  change(brain, { template: templateOf('web', image) })
}

function sets(brain: Brain): ReplicaSet[] {
  return [...brain.view.list('replicasets.apps')] as ReplicaSet[]
}

function setOf(brain: Brain, image: string): ReplicaSet {
  const found = sets(brain).find((set) => set.spec.template?.spec.containers[0]?.image === image)
  if (!found) throw new Error(`no ReplicaSet of ${image}`)
  return found
}

function sizeOf(brain: Brain, image: string): number | undefined {
  return setOf(brain, image).spec.replicas
}

function condition(brain: Brain, type: string): string {
  const found = web(brain).status?.conditions?.find((each) => each.type === type)
  return found ? `${found.status} ${found.reason}` : 'none'
}

/** Pods that are on no node and not ready become ready, as many as `count`. */
function makeReady(brain: Brain, count = Infinity): void {
  const waiting = podsOf(brain).filter((pod) => isPodActive(pod) && !isPodReady(pod))
  for (const pod of waiting.slice(0, count)) reportRunning(brain, pod)
}

function settleAll(brain: Brain): void {
  for (let round = 0; round < 50; round++) {
    brain.settle()
    brain.wait(1)
    if (podsOf(brain).every((pod) => isPodReady(pod))) break
    makeReady(brain)
  }
  brain.settle()
}

describe('a new Deployment', () => {
  test('gets its ReplicaSet and pods in one pass, and says so', () => {
    const brain = brainWith()
    const { events, commits } = brain.settle()
    const [set] = sets(brain)
    const name = set?.metadata.name ?? ''
    expect(commits).toBe(1)
    expect(name).toMatch(/^web-[bcdfghjklmnpqrstvwxz2456789]{5,10}$/)
    expect(events[0]).toBe(`ScalingReplicaSet: Scaled up replica set ${name} from 0 to 3`)
    expect(set?.metadata.labels).toEqual({
      run: 'web',
      'pod-template-hash': name.slice('web-'.length),
    })
    expect(set?.metadata.annotations).toMatchObject({
      'deployment.kubernetes.io/revision': '1',
      'deployment.kubernetes.io/desired-replicas': '3',
      'deployment.kubernetes.io/max-replicas': '4',
    })
    expect(web(brain).metadata.annotations).toEqual({ 'deployment.kubernetes.io/revision': '1' })
    expect(web(brain).status).toMatchObject({
      replicas: 3,
      updatedReplicas: 3,
      unavailableReplicas: 3,
    })
    expect(condition(brain, 'Progressing')).toBe('True ReplicaSetUpdated')
    expect(condition(brain, 'Available')).toBe('False MinimumReplicasUnavailable')
  })

  test('is complete when its pods are ready, and then at rest', () => {
    const brain = brainWith()
    settleAll(brain)
    expect(web(brain).status).toMatchObject({ readyReplicas: 3, availableReplicas: 3 })
    expect(condition(brain, 'Progressing')).toBe('True NewReplicaSetAvailable')
    expect(condition(brain, 'Available')).toBe('True MinimumReplicasAvailable')
    brain.noticeEverything(['deployments.apps', 'replicasets.apps', 'pods'])
    expect(brain.settle().commits).toBe(0)
    expect(brain.dueAtMs).toBeUndefined()
  })

  test('with replicas 0 is complete at once', () => {
    const brain = brainWith({ replicas: 0 })
    brain.settle()
    expect(condition(brain, 'Progressing')).toBe('True NewReplicaSetAvailable')
  })

  test('takes on a ReplicaSet that matches', () => {
    const brain = new Brain([replicaSetReconciler, deploymentReconciler])
    brain.put(aReplicaSet('web', 3))
    brain.settle()
    brain.put(aDeployment('web'))
    brain.settle()
    expect(sets(brain).map(({ metadata }) => metadata.name)).toEqual(['web'])
    expect(setOf(brain, 'image:1').metadata.ownerReferences).toMatchObject([
      { kind: 'Deployment', name: 'web', controller: true, blockOwnerDeletion: true },
    ])
  })

  test('whose ReplicaSet name is taken by a stranger counts a collision and takes another', () => {
    const probe = brainWith()
    probe.settle()
    const taken = sets(probe)[0]?.metadata.name ?? ''
    const brain = new Brain([replicaSetReconciler, deploymentReconciler])
    const stranger = aReplicaSet('other', 0)
    brain.put({ ...stranger, metadata: { ...stranger.metadata, name: taken } })
    brain.put(aDeployment('web'))
    brain.settle()
    expect(web(brain).status?.collisionCount).toBe(1)
    expect(setOf(brain, 'image:1').metadata.name).not.toBe(undefined)
    expect(podsOf(brain)).toHaveLength(3)
  })
})

describe('a rolling update', () => {
  const steps: {
    replicas: number
    surge: number
    unavailable: number
    /** [new, old] sizes after each round in which all new pods became ready. */
    sizes: [number, number][]
  }[] = [
    {
      replicas: 3,
      surge: 1,
      unavailable: 0,
      sizes: [
        [1, 3],
        [2, 2],
        [3, 1],
        [3, 0],
      ],
    },
    {
      replicas: 3,
      surge: 0,
      unavailable: 1,
      sizes: [
        [1, 2],
        [2, 1],
        [3, 0],
      ],
    },
    {
      replicas: 3,
      surge: 3,
      unavailable: 0,
      sizes: [
        [3, 3],
        [3, 0],
      ],
    },
    {
      replicas: 10,
      surge: 3,
      unavailable: 2,
      sizes: [
        [5, 8],
        [10, 3],
        [10, 0],
      ],
    },
    {
      replicas: 1,
      surge: 1,
      unavailable: 0,
      sizes: [
        [1, 1],
        [1, 0],
      ],
    },
    { replicas: 4, surge: 0, unavailable: 4, sizes: [[4, 0]] },
  ]

  test.each(steps)(
    'of $replicas with surge $surge and unavailable $unavailable goes $sizes',
    ({ replicas, surge, unavailable, sizes }) => {
      const brain = brainWith({ replicas, ...rolling(surge, unavailable) })
      settleAll(brain)
      setImage(brain, 'image:2')
      for (const [fresh, old] of sizes) {
        brain.settle()
        expect([sizeOf(brain, 'image:2'), sizeOf(brain, 'image:1')]).toEqual([fresh, old])
        brain.wait(1)
        makeReady(brain)
      }
      brain.settle()
      expect(condition(brain, 'Progressing')).toBe('True NewReplicaSetAvailable')
    },
  )

  test('never has too many pods nor too few ready ones, whatever the order in which they start', () => {
    const count = fc.integer({ min: 0, max: 4 })
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        count,
        count,
        fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 5, maxLength: 30 }),
        (replicas, surge, unavailable, starts) => {
          fc.pre(surge + unavailable > 0)
          const brain = brainWith({ replicas, ...rolling(surge, unavailable) })
          settleAll(brain)
          for (const [index, ready] of starts.entries()) {
            if (index % 7 === 0) setImage(brain, `image:${index}`)
            brain.settle()
            const active = podsOf(brain).filter(isPodActive)
            expect(active.length).toBeLessThanOrEqual(replicas + surge)
            expect(active.filter(isPodReady).length).toBeGreaterThanOrEqual(
              replicas - Math.min(unavailable, replicas),
            )
            brain.wait(1)
            makeReady(brain, ready)
          }
          settleAll(brain)
          expect(web(brain).status).toMatchObject({
            replicas,
            updatedReplicas: replicas,
            availableReplicas: replicas,
          })
        },
      ),
      { numRuns: 40 },
    )
  })

  test('waits minReadySeconds before a new pod counts', () => {
    const brain = brainWith({ replicas: 2, minReadySeconds: 10, ...rolling(1, 0) })
    settleAll(brain)
    brain.wait(10)
    brain.settle()
    setImage(brain, 'image:2')
    brain.settle()
    makeReady(brain)
    brain.settle()
    expect(sizeOf(brain, 'image:1')).toBe(2)
    expect(brain.dueAtMs).toBe(brain.now + 10_000)
    brain.wait(10)
    brain.settle()
    expect(sizeOf(brain, 'image:1')).toBe(1)
  })

  test('away from a version that never gets ready takes the broken pods first', () => {
    const brain = brainWith({ replicas: 3, ...rolling(1, 0) })
    settleAll(brain)
    setImage(brain, 'broken')
    brain.settle()
    setImage(brain, 'image:3')
    brain.settle()
    expect([sizeOf(brain, 'image:1'), sizeOf(brain, 'broken'), sizeOf(brain, 'image:3')]).toEqual([
      3, 0, 1,
    ])
    settleAll(brain)
    expect(sizeOf(brain, 'image:3')).toBe(3)
  })
})

describe('revisions', () => {
  test('going back reuses the old ReplicaSet under a new number', () => {
    const brain = brainWith()
    settleAll(brain)
    setImage(brain, 'image:2')
    settleAll(brain)
    const old = setOf(brain, 'image:1')
    // What `kubectl rollout undo` sends: the old template, and the set's annotations.
    brain.update<Deployment>(WEB, (deployment) => ({
      ...deployment,
      metadata: {
        ...deployment.metadata,
        annotations: {
          ...deployment.metadata.annotations,
          'wherry.dev/pod-changes': old.metadata.annotations?.['wherry.dev/pod-changes'] ?? '',
        },
      },
      spec: { ...deployment.spec, template: templateOf('web', 'image:1') },
    }))
    settleAll(brain)
    expect(sets(brain)).toHaveLength(2)
    expect(setOf(brain, 'image:1').metadata.annotations).toMatchObject({
      'deployment.kubernetes.io/revision': '3',
      'deployment.kubernetes.io/revision-history': '1',
    })
    expect(web(brain).metadata.annotations).toEqual({ 'deployment.kubernetes.io/revision': '3' })
  })

  test('the reason of a change is kept with its revision', () => {
    const brain = brainWith()
    brain.update<Deployment>(WEB, (old) => ({
      ...old,
      metadata: { ...old.metadata, annotations: { 'kubernetes.io/change-cause': 'first' } },
    }))
    brain.settle()
    expect(setOf(brain, 'image:1').metadata.annotations?.['kubernetes.io/change-cause']).toBe(
      'first',
    )
  })

  test('beyond the limit the oldest empty ReplicaSets go', () => {
    const brain = brainWith({ revisionHistoryLimit: 1 })
    for (const image of ['image:1', 'image:2', 'image:3', 'image:4']) {
      setImage(brain, image)
      settleAll(brain)
    }
    const left = sets(brain).map((set) => set.spec.template?.spec.containers[0]?.image)
    expect(new Set(left)).toEqual(new Set(['image:3', 'image:4']))
  })

  test('a template that differs by defaults only is the same revision', () => {
    const brain = brainWith()
    settleAll(brain)
    const template = templateOf('web', 'image:1')
    change(brain, {
      template: { ...template, spec: { ...template.spec, dnsPolicy: 'ClusterFirst' } },
    })
    settleAll(brain)
    expect(sets(brain)).toHaveLength(1)
  })
})

describe('scaling', () => {
  test('at rest changes the size of the one ReplicaSet', () => {
    const brain = brainWith({ replicas: 2 })
    settleAll(brain)
    change(brain, { replicas: 5 })
    const { events } = brain.settle()
    const name = sets(brain)[0]?.metadata.name
    expect(events[0]).toBe(`ScalingReplicaSet: Scaled up replica set ${name} from 2 to 5`)
    expect(podsOf(brain)).toHaveLength(5)
    change(brain, { replicas: 0 })
    brain.settle()
    expect(podsOf(brain)).toHaveLength(0)
  })

  // The example of Kubernetes' documentation: 10 replicas in an update to an image that does not
  // exist, scaled to 15, of which the old set gets 3 and the new one 2.
  test('in the middle of an update shares out in proportion', () => {
    const brain = brainWith({ replicas: 10, ...rolling(3, 2) })
    settleAll(brain)
    setImage(brain, 'image:2')
    brain.settle()
    expect([sizeOf(brain, 'image:1'), sizeOf(brain, 'image:2')]).toEqual([8, 5])
    change(brain, { replicas: 15 })
    brain.settle()
    expect([sizeOf(brain, 'image:1'), sizeOf(brain, 'image:2')]).toEqual([11, 7])
  })
})

describe('a paused Deployment', () => {
  test('notes template changes but does not roll them out until it is resumed', () => {
    const brain = brainWith(rolling(1, 0))
    settleAll(brain)
    change(brain, { paused: true })
    brain.settle()
    expect(condition(brain, 'Progressing')).toBe('Unknown DeploymentPaused')
    setImage(brain, 'image:2')
    change(brain, { replicas: 4 })
    brain.settle()
    expect(sets(brain)).toHaveLength(1)
    expect(sizeOf(brain, 'image:1')).toBe(4)
    change(brain, { paused: false })
    brain.settle()
    expect(sizeOf(brain, 'image:2')).toBe(1)
    settleAll(brain)
    expect(condition(brain, 'Progressing')).toBe('True NewReplicaSetAvailable')
  })
})

describe('Recreate', () => {
  test('starts nothing new before the last old pod is gone', () => {
    const brain = brainWith({ strategy: { type: 'Recreate' } })
    brain.settle()
    for (const pod of podsOf(brain)) {
      brain.update(keyOf('pods', 'default', pod.metadata.name), (old) => ({
        ...old,
        spec: { ...pod.spec, nodeName: 'a' },
      }))
    }
    makeReady(brain)
    brain.settle()
    setImage(brain, 'image:2')
    brain.settle()
    const stopping = podsOf(brain)
    expect(stopping.every(({ metadata }) => metadata.deletionTimestamp)).toBe(true)
    expect(sets(brain)).toHaveLength(1)
    for (const [index, { metadata }] of stopping.entries()) {
      brain.remove(keyOf('pods', 'default', metadata.name))
      brain.settle()
      expect(sets(brain)).toHaveLength(index === stopping.length - 1 ? 2 : 1)
    }
    expect(sizeOf(brain, 'image:2')).toBe(3)
  })
})

describe('the progress deadline', () => {
  test('is data: asked for as a wake-up, told as a condition, and no more than once', () => {
    const brain = brainWith({ progressDeadlineSeconds: 60 })
    brain.settle()
    expect(brain.dueAtMs).toBe(brain.now + 60_000)
    brain.wait(59)
    expect(brain.settle().commits).toBe(0)
    brain.wait(1)
    brain.settle()
    expect(condition(brain, 'Progressing')).toBe('False ProgressDeadlineExceeded')
    const name = sets(brain)[0]?.metadata.name
    expect(web(brain).status?.conditions?.find(({ type }) => type === 'Progressing')?.message).toBe(
      `ReplicaSet "${name}" has timed out progressing.`,
    )
    expect(brain.dueAtMs).toBeUndefined()
    settleAll(brain)
    expect(condition(brain, 'Progressing')).toBe('True NewReplicaSetAvailable')
  })

  test('begins anew with each step forward', () => {
    const brain = brainWith({ progressDeadlineSeconds: 60 })
    brain.settle()
    brain.wait(40)
    makeReady(brain, 1)
    brain.settle()
    expect(brain.dueAtMs).toBe(brain.now + 60_000)
  })
})

test('a Deployment that selects everything is refused by an Event, once', () => {
  const brain = brainWith({ selector: {} })
  expect(brain.settle().events).toEqual([
    'SelectingAll: This deployment is selecting all pods. A non-empty selector is required.',
  ])
  brain.noticeEverything(['deployments.apps'])
  expect(brain.settle().events).toEqual([])
})
