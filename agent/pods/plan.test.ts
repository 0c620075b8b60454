import { describe, expect, test } from 'vitest'
import type { Container, Pod, PodSpec } from '#shared/api/pod.ts'
import type { Exit } from '../runtime/runtime.ts'
import { planPod } from './plan.ts'
import { newPodRecord } from './record.ts'
import type { ContainerRecord, PodRecord } from './record.ts'

const NOW = 1_000_000

function container(name: string, more: Partial<Container> = {}): Container {
  return { name, image: 'test/web', ...more }
}

function recordOf(spec: Partial<PodSpec> = {}, more: Partial<Pod> = {}): PodRecord {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default', uid: 'u', creationTimestamp: '' },
    spec: { containers: [container('web')], ...spec },
    ...more,
  }
  return { ...newPodRecord(pod, NOW), setUp: 'yes', podIP: '10.4.1.2' }
}

function exit(exitCode: number, finishedAt = NOW): Exit {
  return { exitCode, reason: 'Error', startedAt: NOW - 1000, finishedAt, containerID: 'c' }
}

function set(record: PodRecord, name: string, more: Partial<ContainerRecord>): PodRecord {
  const found = record.containers.find((each) => each.name === name)
  if (!found) throw new Error(`no ${name}`)
  Object.assign(found, more)
  return record
}

/** `start web` or `stop web`, as words. */
function actions(record: PodRecord, now = NOW): string[] {
  return planPod(record, now).actions.map((action) =>
    'container' in action ? `${action.do} ${action.container}` : action.do,
  )
}

describe('a pod begins', () => {
  test('with its address and volumes, then its containers together', () => {
    const spec = { containers: [container('web'), container('side')] }
    const record = recordOf(spec)
    record.setUp = 'no'
    expect(actions(record)).toEqual(['setUp'])
    record.setUp = 'busy'
    expect(actions(record)).toEqual([])
    record.setUp = 'yes'
    expect(actions(record)).toEqual(['start web', 'start side'])
  })

  test('a set-up that failed is tried again at its time', () => {
    const record = recordOf()
    record.setUp = 'no'
    record.setUpRetryAt = NOW + 5000
    expect(planPod(record, NOW)).toEqual({ actions: [], wakeAt: NOW + 5000 })
    expect(actions(record, NOW + 5000)).toEqual(['setUp'])
  })

  test('init containers one after the other, mains after the last', () => {
    const record = recordOf({ initContainers: [container('i1'), container('i2')] })
    expect(actions(record)).toEqual(['start i1'])
    set(record, 'i1', { step: 'running' })
    expect(actions(record)).toEqual([])
    set(record, 'i1', { step: 'exited', exit: exit(0) })
    expect(actions(record)).toEqual(['start i2'])
    set(record, 'i2', { step: 'exited', exit: exit(0) })
    expect(actions(record)).toEqual(['start web'])
  })

  test('a sidecar must have started before the next, and restarts later on its own', () => {
    const record = recordOf({ initContainers: [container('s', { restartPolicy: 'Always' })] })
    expect(actions(record)).toEqual(['start s'])
    set(record, 's', { step: 'running', isStarted: false })
    expect(actions(record)).toEqual([])
    set(record, 's', { isStarted: true })
    expect(actions(record)).toEqual(['start web'])
    set(record, 'web', { step: 'running', isStarted: true })
    set(record, 's', { step: 'exited', isStarted: false, exit: exit(0) })
    expect(actions(record)).toEqual(['start s'])
  })

  test('a refused start is tried again at its time', () => {
    const record = set(recordOf(), 'web', { retryAt: NOW + 10_000 })
    expect(planPod(record, NOW)).toEqual({ actions: [], wakeAt: NOW + 10_000 })
    expect(actions(record, NOW + 10_000)).toEqual(['start web'])
  })
})

describe('a container ends', () => {
  test.each([
    ['Always', 0, ['start web']],
    ['Always', 1, ['start web']],
    ['OnFailure', 0, ['finish']],
    ['OnFailure', 1, ['start web']],
    ['Never', 0, ['finish']],
    ['Never', 1, ['finish']],
  ] as const)('restartPolicy %s, exit code %i: %j', (restartPolicy, code, expected) => {
    const record = set(recordOf({ restartPolicy }), 'web', { step: 'exited', exit: exit(code) })
    expect(actions(record)).toEqual(expected)
  })

  test('the second crash waits for its back-off', () => {
    const crashes = { ms: 10_000, raisedAt: NOW - 1000 }
    const record = set(recordOf(), 'web', { step: 'exited', exit: exit(1), crashes })
    expect(planPod(record, NOW)).toEqual({ actions: [], wakeAt: NOW + 10_000 })
    expect(actions(record, NOW + 10_000)).toEqual(['start web'])
  })

  test('a failed init container with Never fails the pod, otherwise it is tried again', () => {
    const spec = { initContainers: [container('i')] }
    const failed = { step: 'exited', exit: exit(1) } as const
    expect(actions(set(recordOf({ ...spec, restartPolicy: 'Never' }), 'i', failed))).toEqual([
      'finish',
    ])
    expect(actions(set(recordOf({ ...spec, restartPolicy: 'OnFailure' }), 'i', failed))).toEqual([
      'start i',
    ])
  })

  test('when the mains have ended the sidecars are stopped', () => {
    const record = recordOf({
      restartPolicy: 'Never',
      initContainers: [container('s', { restartPolicy: 'Always' })],
    })
    set(record, 's', { step: 'running', isStarted: true })
    set(record, 'web', { step: 'exited', exit: exit(0) })
    expect(actions(record)).toEqual(['stop s'])
  })

  test('a condemned container is stopped with the grace it was given', () => {
    const condemned = { graceSeconds: 3, why: 'failed liveness probe' }
    const record = set(recordOf(), 'web', { step: 'running', condemned })
    expect(planPod(record, NOW).actions).toEqual([{ do: 'stop', container: 'web', ...condemned }])
  })
})

describe('a pod ends', () => {
  test('all are stopped at once with its grace, and what stops is not stopped twice', () => {
    const record = recordOf({ containers: [container('a'), container('b')] })
    for (const name of ['a', 'b']) set(record, name, { step: 'running' })
    record.leaving = { graceSeconds: 7, since: NOW, isDraining: false, isServed: false }
    expect(planPod(record, NOW).actions).toEqual([
      { do: 'stop', container: 'a', graceSeconds: 7, why: '' },
      { do: 'stop', container: 'b', graceSeconds: 7, why: '' },
    ])
    set(record, 'a', { step: 'stopping' })
    set(record, 'b', { step: 'exited', exit: exit(0) })
    expect(actions(record)).toEqual([])
    set(record, 'a', { step: 'exited', exit: exit(137) })
    expect(actions(record)).toEqual(['finish'])
  })

  test('sidecars go last, in reverse order', () => {
    const sidecar = { restartPolicy: 'Always' } as const
    const record = recordOf({
      initContainers: [container('s1', sidecar), container('s2', sidecar)],
    })
    for (const name of ['s1', 's2', 'web']) set(record, name, { step: 'running', isStarted: true })
    record.leaving = { graceSeconds: 1, since: NOW, isDraining: false, isServed: false }
    expect(actions(record)).toEqual(['stop web'])
    set(record, 'web', { step: 'exited', exit: exit(0) })
    expect(actions(record)).toEqual(['stop s2'])
    set(record, 's2', { step: 'exited', exit: exit(0) })
    expect(actions(record)).toEqual(['stop s1'])
  })

  test('one that never began ends at once; one being set up first gets there', () => {
    const record = recordOf()
    record.leaving = { graceSeconds: 30, since: NOW, isDraining: false, isServed: false }
    expect(actions(record)).toEqual(['finish'])
    record.setUp = 'busy'
    expect(actions(record)).toEqual([])
  })

  test('its deadline makes it fail', () => {
    const record = set(recordOf({ activeDeadlineSeconds: 5 }), 'web', { step: 'running' })
    expect(planPod(record, NOW)).toEqual({ actions: [], wakeAt: NOW + 5000 })
    expect(planPod(record, NOW + 5000).actions).toEqual([
      {
        do: 'fail',
        reason: 'DeadlineExceeded',
        message: 'Pod was active on the node longer than the specified deadline',
      },
    ])
    record.failed = { reason: 'DeadlineExceeded', message: '' }
    expect(actions(record, NOW + 5000)).toEqual(['stop web'])
  })

  test('a finished pod does nothing', () => {
    const record = recordOf()
    record.isFinished = true
    expect(planPod(record, NOW)).toEqual({ actions: [] })
  })
})

describe('a pod that an earlier boot has run', () => {
  const status = (restartPolicy: 'Always' | 'Never'): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default', uid: 'u', creationTimestamp: '' },
    spec: { containers: [container('web')], restartPolicy },
    status: {
      startTime: '2026-11-22T00:00:00Z',
      containerStatuses: [
        {
          name: 'web',
          image: '',
          imageID: '',
          containerID: 'process://x',
          ready: true,
          restartCount: 2,
          state: { running: { startedAt: '2026-11-22T00:00:01Z' } },
        },
      ],
    },
  })

  test('is started again and counted', () => {
    const record = newPodRecord(status('Always'), NOW)
    expect(record.startTime).toBe(Date.UTC(2026, 10, 22))
    expect(record.containers[0]).toMatchObject({
      step: 'idle',
      starts: 3,
      lastExit: { exitCode: 255, reason: 'Unknown', containerID: 'process://x' },
    })
  })

  test('has failed when nothing may restart it', () => {
    expect(actions({ ...newPodRecord(status('Never'), NOW), setUp: 'yes' })).toEqual(['finish'])
  })
})

describe('a pod behind a balancer that is told to leave', () => {
  const leaving = (isDraining: boolean, drained?: string): PodRecord => {
    const record = set(recordOf(), 'web', { step: 'running' })
    record.leaving = { graceSeconds: 30, since: NOW, isDraining, isServed: false }
    if (drained) record.pod.metadata.annotations = { 'wherry.dev/drained': drained }
    return record
  }
  const at = (ms: number): string => new Date(NOW + ms).toISOString()

  test('serves until the balancer has let it go', () => {
    expect(planPod(leaving(true), NOW)).toEqual({ actions: [], wakeAt: NOW + 15_000 })
    expect(planPod(leaving(false, at(2000)), NOW)).toEqual({ actions: [], wakeAt: NOW + 2000 })
    expect(actions(leaving(false, at(2000)), NOW + 2000)).toEqual(['stop web'])
    expect(actions(leaving(false))).toEqual(['stop web'])
  })

  test('waits for at most half of its grace period, and has the rest to end', () => {
    expect(planPod(leaving(true), NOW + 15_000).actions).toMatchObject([
      { do: 'stop', container: 'web', graceSeconds: 15 },
    ])
    expect(actions(leaving(false, at(60_000)), NOW + 15_000)).toEqual(['stop web'])
  })

  test('does not wait when it is killed, or has nothing that serves', () => {
    const killed = leaving(true)
    killed.leaving = { graceSeconds: 0, since: NOW, isDraining: true, isServed: false }
    expect(planPod(killed, NOW).actions).toMatchObject([{ do: 'stop', graceSeconds: 0 }])
    const dead = set(leaving(true), 'web', { step: 'exited', exit: exit(1) })
    expect(actions(dead)).toEqual(['finish'])
  })

  test('serves on while the nodes hear that it leaves', () => {
    const behindService = leaving(false)
    if (behindService.leaving) behindService.leaving.isServed = true
    expect(planPod(behindService, NOW)).toEqual({ actions: [], wakeAt: NOW + 5000 })
    expect(planPod(behindService, NOW + 5000).actions).toMatchObject([
      { do: 'stop', container: 'web', graceSeconds: 25 },
    ])
    if (behindService.leaving) behindService.leaving.graceSeconds = 4
    expect(planPod(behindService, NOW)).toEqual({ actions: [], wakeAt: NOW + 2000 })
  })
})
