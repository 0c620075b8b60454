import { describe, expect, test } from 'vitest'
import type { Pod, PodSpec, PodStatus } from '#shared/api/pod.ts'
import type { Exit } from '../runtime/runtime.ts'
import { newPodRecord } from './record.ts'
import type { ContainerRecord, PodRecord } from './record.ts'
import { mergeConditions, statusOf } from './status.ts'

const NOW = Date.UTC(2026, 10, 22, 12)
const HOST = '10.128.0.5'

function recordOf(
  spec: Partial<PodSpec> = {},
  web: Partial<ContainerRecord> = {},
  more: Partial<PodRecord> = {},
): PodRecord {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default', uid: 'u', creationTimestamp: '' },
    spec: { containers: [{ name: 'web', image: 'dlops/web' }], ...spec },
  }
  const record: PodRecord = { ...newPodRecord(pod, NOW), setUp: 'yes', podIP: '10.4.1.2', ...more }
  Object.assign(record.containers.at(-1) ?? {}, web)
  return record
}

const RUNNING: Partial<ContainerRecord> = {
  step: 'running',
  isStarted: true,
  isReady: true,
  startedAt: NOW,
  starts: 1,
  containerID: 'process://abc',
}

function exit(exitCode: number): Exit {
  const reason = exitCode === 0 ? 'Completed' : 'Error'
  return { exitCode, reason, startedAt: NOW, finishedAt: NOW, containerID: 'process://abc' }
}

function conditions(status: PodStatus): Record<string, string> {
  return Object.fromEntries((status.conditions ?? []).map((each) => [each.type, each.status]))
}

describe('the status of a pod', () => {
  test('running and ready', () => {
    const status = statusOf(recordOf({}, RUNNING), { qosClass: 'BestEffort' }, HOST, NOW)
    expect(status).toMatchObject({
      phase: 'Running',
      qosClass: 'BestEffort',
      podIP: '10.4.1.2',
      podIPs: [{ ip: '10.4.1.2' }],
      hostIP: HOST,
      startTime: '2026-11-22T12:00:00Z',
      containerStatuses: [
        {
          name: 'web',
          image: 'docker.io/dlops/web:latest',
          ready: true,
          started: true,
          restartCount: 0,
          state: { running: { startedAt: '2026-11-22T12:00:00Z' } },
          lastState: {},
        },
      ],
    })
    expect(conditions(status)).toEqual({
      PodReadyToStartContainers: 'True',
      Initialized: 'True',
      Ready: 'True',
      ContainersReady: 'True',
    })
  })

  test('waiting reasons: ContainerCreating, PodInitializing, what was refused', () => {
    const creating = statusOf(recordOf(), undefined, HOST, NOW)
    expect(creating.phase).toBe('Pending')
    expect(creating.containerStatuses?.[0]?.state?.waiting?.reason).toBe('ContainerCreating')
    const behind = recordOf({ initContainers: [{ name: 'i', image: 'x' }] })
    const status = statusOf(behind, undefined, HOST, NOW)
    expect(status.containerStatuses?.[0]?.state?.waiting?.reason).toBe('PodInitializing')
    expect(status.initContainerStatuses?.[0]?.state?.waiting?.reason).toBe('ContainerCreating')
    expect(status.conditions?.find(({ type }) => type === 'Initialized')).toMatchObject({
      status: 'False',
      reason: 'ContainersNotInitialized',
      message: 'containers with incomplete status: [i]',
    })
    const waiting = { reason: 'CreateContainerConfigError', message: 'configmap "c" not found' }
    const refused = statusOf(recordOf({}, { waiting }), undefined, HOST, NOW)
    expect(refused.containerStatuses?.[0]?.state).toEqual({ waiting })
  })

  test('ErrImagePull is shown as a back-off a moment later', () => {
    const waiting = { reason: 'ErrImagePull', message: 'no such image' }
    const record = recordOf({}, { waiting, refusals: { ms: 10_000, raisedAt: NOW } })
    const reasonAt = (now: number) =>
      statusOf(record, undefined, HOST, now).containerStatuses?.[0]?.state?.waiting?.reason
    expect(reasonAt(NOW)).toBe('ErrImagePull')
    expect(reasonAt(NOW + 1500)).toBe('ImagePullBackOff')
  })

  test('CrashLoopBackOff, with the end as last state', () => {
    const crashes = { ms: 20_000, raisedAt: NOW }
    const record = recordOf({}, { step: 'exited', exit: exit(1), starts: 3, crashes })
    const [web] = statusOf(record, undefined, HOST, NOW).containerStatuses ?? []
    expect(web).toMatchObject({
      restartCount: 2,
      ready: false,
      state: {
        waiting: {
          reason: 'CrashLoopBackOff',
          message: 'back-off 20s restarting failed container=web pod=p_default(u)',
        },
      },
      lastState: { terminated: { exitCode: 1, reason: 'Error' } },
    })
    expect(statusOf(record, undefined, HOST, NOW).phase).toBe('Running')
  })

  test.each([
    ['Never', 0, 'Succeeded', 'PodCompleted'],
    ['Never', 1, 'Failed', 'PodFailed'],
    ['OnFailure', 0, 'Succeeded', 'PodCompleted'],
  ] as const)('ended with %s and code %i: %s', (restartPolicy, code, phase, reason) => {
    const record = recordOf({ restartPolicy }, { step: 'exited', exit: exit(code), starts: 1 })
    const status = statusOf(record, undefined, HOST, NOW)
    expect(status.phase).toBe(phase)
    expect(status.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({
      status: 'False',
      reason,
    })
  })

  test('a failed pod says why', () => {
    const failed = { reason: 'DeadlineExceeded', message: 'too long' }
    expect(statusOf(recordOf({}, {}, { failed }), undefined, HOST, NOW)).toMatchObject({
      phase: 'Failed',
      ...failed,
    })
  })

  test('a readiness gate holds Ready back, not ContainersReady', () => {
    const record = recordOf({ readinessGates: [{ conditionType: 'lb' }] }, RUNNING)
    const without = statusOf(record, undefined, HOST, NOW)
    expect(conditions(without)).toMatchObject({ Ready: 'False', ContainersReady: 'True' })
    expect(without.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({
      reason: 'ReadinessGatesNotReady',
      message: 'corresponding condition of pod readiness gate "lb" does not exist.',
    })
    const open = { conditions: [{ type: 'lb', status: 'True' as const }] }
    expect(conditions(statusOf(record, open, HOST, NOW))['Ready']).toBe('True')
  })

  test("others' conditions stay, and times move only with the status", () => {
    const stored: PodStatus = {
      conditions: [
        { type: 'PodScheduled', status: 'True', lastTransitionTime: '2026-11-22T11:00:00Z' },
      ],
    }
    const record = recordOf({}, RUNNING)
    const first = statusOf(record, stored, HOST, NOW)
    const later = statusOf(record, mergeConditions(first, stored), HOST, NOW + 60_000)
    expect(later).toEqual(first)
    expect(conditions(later)['PodScheduled']).toBe('True')
    Object.assign(record.containers[0] ?? {}, { isReady: false })
    const unready = statusOf(record, mergeConditions(later, stored), HOST, NOW + 60_000)
    expect(unready.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({
      status: 'False',
      reason: 'ContainersNotReady',
      message: 'containers with unready status: [web]',
      lastTransitionTime: '2026-11-22T12:01:00Z',
    })
  })
})
