import { describe, expect, it } from 'vitest'
import { NOW, meta } from '#test/support/admission.ts'
import { formatTime } from '../time.ts'
import { conditionOf, withCondition } from './conditions.ts'
import type { Condition } from './meta.ts'
import { controllerOf, controllerReference, isControlledBy } from './owner.ts'
import { isPodActive, isPodAvailable, isPodReady, isPodTerminal } from './pod-conditions.ts'
import { podLimits, podRequests } from './pod-resources.ts'
import type { Container, Pod, PodPhase } from './pod.ts'

function pod(conditions: Condition[], phase: PodPhase = 'Running'): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: meta('web'),
    spec: { containers: [] },
    status: { phase, conditions },
  }
}

describe('readiness and availability', () => {
  const since = (seconds: number): Condition => ({
    type: 'Ready',
    status: 'True',
    lastTransitionTime: formatTime(NOW - seconds * 1000),
  })

  it.each<[string, Condition[], number, boolean, boolean]>([
    ['ready, no wait', [since(0)], 0, true, true],
    ['ready for long enough', [since(10)], 10, true, true],
    ['ready, but not long enough', [since(9)], 10, true, false],
    ['not ready', [{ type: 'Ready', status: 'False' }], 0, false, false],
    ['no condition', [], 0, false, false],
  ])('%s', (_, conditions, minReadySeconds, isReady, isAvailable) => {
    expect(isPodReady(pod(conditions))).toBe(isReady)
    expect(isPodAvailable(pod(conditions), minReadySeconds, NOW)).toBe(isAvailable)
  })

  it('a pod that ended or is being deleted is not active', () => {
    expect(isPodActive(pod([]))).toBe(true)
    expect(isPodTerminal(pod([], 'Failed'))).toBe(true)
    expect(isPodActive(pod([], 'Succeeded'))).toBe(false)
    const deleted = pod([])
    deleted.metadata.deletionTimestamp = formatTime(NOW)
    expect(isPodActive(deleted)).toBe(false)
    expect(isPodTerminal(deleted)).toBe(false)
  })
})

describe('withCondition', () => {
  const before = formatTime(NOW - 60_000)
  const old: Condition[] = [
    { type: 'Other', status: 'True', lastTransitionTime: before },
    { type: 'Ready', status: 'False', reason: 'A', lastTransitionTime: before },
  ]

  it('keeps the time while the status stays', () => {
    const next = withCondition(old, { type: 'Ready', status: 'False', reason: 'B' }, NOW)
    expect(next[1]).toEqual({
      type: 'Ready',
      status: 'False',
      reason: 'B',
      lastTransitionTime: before,
    })
    expect(next[0]).toBe(old[0])
    const same = withCondition(old, { type: 'Ready', status: 'False', reason: 'A' }, NOW)
    expect(same).toEqual(old)
  })

  it('sets the time when the status changes, and adds what is new', () => {
    const holder = (conditions: Condition[]): { status: { conditions: Condition[] } } => ({
      status: { conditions },
    })
    const changed = withCondition(old, { type: 'Ready', status: 'True' }, NOW)
    expect(conditionOf(holder(changed), 'Ready')?.lastTransitionTime).toBe(formatTime(NOW))
    const added = withCondition(undefined, { type: 'New', status: 'True' }, NOW)
    expect(added).toEqual([{ type: 'New', status: 'True', lastTransitionTime: formatTime(NOW) }])
  })
})

describe('owners', () => {
  it('controls by uid', () => {
    const owner = pod([])
    const owned = pod([])
    owned.metadata.ownerReferences = [
      { apiVersion: 'v1', kind: 'X', name: 'other', uid: 'u' },
      controllerReference(owner),
    ]
    expect(controllerOf(owned)).toEqual({
      apiVersion: 'v1',
      kind: 'Pod',
      name: 'web',
      uid: 'uid-of-web',
      controller: true,
      blockOwnerDeletion: true,
    })
    expect(isControlledBy(owned, owner)).toBe(true)
    const namesake = { ...owner, metadata: { ...owner.metadata, uid: 'another' } }
    expect(isControlledBy(owned, namesake)).toBe(false)
    expect(isControlledBy(owner, owned)).toBe(false)
  })
})

describe('what a pod asks for', () => {
  const asks = (cpu: string, more: Partial<Container> = {}): Container => ({
    name: 'c',
    resources: { requests: { cpu }, limits: { cpu } },
    ...more,
  })
  it.each<[string, Container[], Container[], string]>([
    ['the sum of its containers', [asks('100m'), asks('1')], [], '1100m'],
    ['its hungriest init container', [asks('100m')], [asks('2'), asks('1')], '2'],
    ['a sidecar with the containers', [asks('1')], [asks('1', { restartPolicy: 'Always' })], '2'],
    [
      'an init container beside the sidecars before it',
      [asks('1')],
      [asks('1', { restartPolicy: 'Always' }), asks('2')],
      '3',
    ],
  ])('%s', (_, containers, initContainers, cpu) => {
    expect(podRequests({ spec: { containers, initContainers } })).toEqual({ cpu })
    expect(podLimits({ spec: { containers, initContainers } })).toEqual({ cpu })
  })

  it('adds the overhead', () => {
    const spec = { containers: [asks('1')], overhead: { cpu: '50m', memory: '1Mi' } }
    expect(podRequests({ spec })).toEqual({ cpu: '1050m', memory: '1Mi' })
  })
})
