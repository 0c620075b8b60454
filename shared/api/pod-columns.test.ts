import { describe, expect, it } from 'vitest'
import { NOW, meta } from '#test/support/admission.ts'
import { formatTime } from '../time.ts'
import { podCells, podStatusText } from './pod-columns.ts'
import type { ContainerState, ContainerStatus, Pod, PodStatus } from './pod.ts'

function container(state: ContainerState, more: Partial<ContainerStatus> = {}): ContainerStatus {
  return { name: 'web', image: 'i', imageID: '', ready: false, restartCount: 0, state, ...more }
}

function pod(status: PodStatus, deletionTimestamp?: string): Pod {
  const metadata = { ...meta('web'), creationTimestamp: formatTime(NOW - 90_000) }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: deletionTimestamp ? { ...metadata, deletionTimestamp } : metadata,
    spec: {
      containers: [{ name: 'web' }, { name: 'log' }].slice(
        0,
        status.containerStatuses?.length || 1,
      ),
      ...(status.initContainerStatuses
        ? { initContainers: status.initContainerStatuses.map(({ name }) => ({ name })) }
        : {}),
    },
    status,
  }
}

const RUNNING = container({ running: {} }, { ready: true })
const WAITING = (reason: string): ContainerStatus => container({ waiting: { reason } })
const ENDED = (exitCode: number, reason?: string, signal?: number): ContainerStatus =>
  container({
    terminated: { exitCode, ...(reason ? { reason } : {}), ...(signal ? { signal } : {}) },
  })
const READY = [{ type: 'Ready', status: 'True' as const }]

describe('the STATUS of a pod', () => {
  it.each<[string, PodStatus, string?]>([
    ['Pending', { phase: 'Pending' }],
    ['Running', { phase: 'Running', containerStatuses: [RUNNING] }],
    ['ContainerCreating', { phase: 'Pending', containerStatuses: [WAITING('ContainerCreating')] }],
    ['CrashLoopBackOff', { phase: 'Running', containerStatuses: [WAITING('CrashLoopBackOff')] }],
    ['Completed', { phase: 'Succeeded', containerStatuses: [ENDED(0, 'Completed')] }],
    ['Error', { phase: 'Failed', containerStatuses: [ENDED(1, 'Error')] }],
    ['ExitCode:3', { phase: 'Failed', containerStatuses: [ENDED(3)] }],
    ['Signal:9', { phase: 'Failed', containerStatuses: [ENDED(137, undefined, 9)] }],
    ['Evicted', { phase: 'Failed', reason: 'Evicted' }],
    ['ErrImagePull', { phase: 'Pending', containerStatuses: [WAITING('ErrImagePull'), RUNNING] }],
    [
      'Running',
      { phase: 'Running', conditions: READY, containerStatuses: [ENDED(0, 'Completed'), RUNNING] },
    ],
    ['NotReady', { phase: 'Running', containerStatuses: [ENDED(0, 'Completed'), RUNNING] }],
    [
      'SchedulingGated',
      {
        phase: 'Pending',
        conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }],
      },
    ],
    ['Init:0/1', { phase: 'Pending', initContainerStatuses: [container({ running: {} })] }],
    ['Init:Error', { phase: 'Pending', initContainerStatuses: [ENDED(1, 'Error')] }],
    ['Init:ExitCode:2', { phase: 'Pending', initContainerStatuses: [ENDED(2)] }],
    [
      'Init:CrashLoopBackOff',
      { phase: 'Pending', initContainerStatuses: [WAITING('CrashLoopBackOff')] },
    ],
    [
      'PodInitializing',
      {
        phase: 'Pending',
        initContainerStatuses: [ENDED(0, 'Completed')],
        containerStatuses: [WAITING('PodInitializing')],
      },
    ],
    ['Terminating', { phase: 'Running', containerStatuses: [RUNNING] }, formatTime(NOW)],
    ['Succeeded', { phase: 'Succeeded' }, formatTime(NOW)],
    ['Unknown', { phase: 'Running', reason: 'NodeLost' }, formatTime(NOW)],
  ])('%s', (expected, status, deletionTimestamp) => {
    expect(podStatusText(pod(status, deletionTimestamp))).toBe(expected)
  })
})

describe('the row of a pod', () => {
  it('counts ready containers and restarts, and says when the last one was', () => {
    const finishedAt = formatTime(NOW - 300_000)
    const restarted = container(
      { running: {} },
      { ready: true, restartCount: 3, lastState: { terminated: { exitCode: 1, finishedAt } } },
    )
    const status: PodStatus = {
      phase: 'Running',
      containerStatuses: [WAITING('CrashLoopBackOff'), restarted],
      podIP: '10.0.0.7',
      podIPs: [{ ip: '10.0.0.7' }],
    }
    expect(podCells(pod(status), { now: NOW })).toEqual([
      'web',
      '1/2',
      'CrashLoopBackOff',
      '3 (5m ago)',
      '90s',
      '10.0.0.7',
      '<none>',
      '<none>',
      '<none>',
    ])
  })
})
