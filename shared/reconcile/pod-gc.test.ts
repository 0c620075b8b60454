import { describe, expect, test } from 'vitest'
import { Brain, podsOf } from '#test/support/brain.ts'
import { aNode, aPod } from '#test/support/objects.ts'
import type { PodOptions } from '#test/support/objects.ts'
import type { Pod } from '../api/pod.ts'
import { keyOf } from '../key.ts'
import { podGcReconciler } from './pod-gc.ts'

const GOING = { deletionTimestamp: '2027-01-15T08:00:00Z' }
const HELD = { finalizers: ['a.b/c'] }

function settled(options: PodOptions): Brain {
  const brain = new Brain([podGcReconciler])
  brain.put(aNode('here'), aPod('p', options))
  brain.settle()
  return brain
}

const cases: { pod: string; options: PodOptions; left: boolean }[] = [
  { pod: 'on a node that is there', options: { node: 'here' }, left: true },
  { pod: 'on no node yet', options: {}, left: true },
  {
    pod: 'on a node that is there, being deleted',
    options: { node: 'here', meta: GOING },
    left: true,
  },
  { pod: 'on a node that does not exist', options: { node: 'nowhere' }, left: false },
  {
    pod: 'on a node that does not exist, being deleted',
    options: { node: 'nowhere', meta: GOING },
    left: false,
  },
  {
    pod: 'on a node that does not exist, ended',
    options: { node: 'nowhere', phase: 'Succeeded' },
    left: false,
  },
  { pod: 'on no node, being deleted', options: { meta: GOING }, left: false },
  {
    pod: 'on no node, being deleted, held by a finalizer',
    options: { meta: { ...GOING, ...HELD } },
    left: true,
  },
]

describe('a pod', () => {
  test.each(cases)('$pod: stays is $left', ({ options, left }) => {
    const brain = settled(options)
    expect(podsOf(brain).length).toBe(left ? 1 : 0)
    brain.noticeEverything(['pods', 'nodes'])
    expect(brain.settle().commits).toBe(0)
  })

  test('goes when its node goes', () => {
    const brain = settled({ node: 'here' })
    brain.remove(keyOf('nodes', '', 'here'))
    expect(brain.settle().decisions).toEqual(['removed: its node here does not exist'])
    expect(podsOf(brain)).toEqual([])
  })

  test('of a node that is gone waits for its finalizers alone', () => {
    const brain = settled({ node: 'nowhere', meta: HELD })
    const [pod] = podsOf(brain)
    expect(pod?.metadata.deletionGracePeriodSeconds).toBe(0)
  })
})

test('of more than 12,500 ended pods the oldest go, however many they are', () => {
  const brain = new Brain([podGcReconciler])
  const ended = Array.from({ length: 12_650 }, (_, index): Pod => {
    const second = String(index % 60).padStart(2, '0')
    const minute = String(Math.floor(index / 60) % 60).padStart(2, '0')
    const hour = String(Math.floor(index / 3600)).padStart(2, '0')
    const creationTimestamp = `2027-01-14T${hour}:${minute}:${second}Z`
    return aPod(`p${index}`, { node: 'here', phase: 'Failed', meta: { creationTimestamp } })
  })
  brain.put(aNode('here'), ...ended)
  brain.settle()
  const left = podsOf(brain).map(({ metadata }) => Number(metadata.name.slice(1)))
  expect(left.length).toBe(12_500)
  expect(Math.min(...left)).toBe(150)
})
