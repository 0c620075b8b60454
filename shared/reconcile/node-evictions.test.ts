// When pods leave a node for its taints.

import { describe, expect, test } from 'vitest'
import { aNode, aPod } from '#test/support/objects.ts'
import type { PodOptions } from '#test/support/objects.ts'
import type { Taint } from '../api/node.ts'
import type { Toleration } from '../api/pod.ts'
import { evictAll, evictions } from './node-evictions.ts'

const NOW = Date.parse('2027-01-15T09:00:00Z')
const UNREACHABLE: Taint = {
  key: 'node.kubernetes.io/unreachable',
  effect: 'NoExecute',
  timeAdded: '2027-01-15T08:59:30Z',
}
const MAINTENANCE: Taint = { key: 'maintenance', value: 'now', effect: 'NoExecute' }
const FOREVER: Toleration = { operator: 'Exists' }
const bears = (seconds: number): Toleration => ({
  key: 'node.kubernetes.io/unreachable',
  operator: 'Exists',
  effect: 'NoExecute',
  tolerationSeconds: seconds,
})
const withTolerations = (...tolerations: Toleration[]): PodOptions => ({ spec: { tolerations } })

interface Case {
  pod: string
  options: PodOptions
  taints: Taint[]
  /** Seconds from now; undefined: never. */
  leavesIn: number | undefined
}

const cases: Case[] = [
  { pod: 'on a node without taints', options: {}, taints: [], leavesIn: undefined },
  {
    pod: 'under NoSchedule only',
    options: {},
    taints: [{ key: 'a', effect: 'NoSchedule' }],
    leavesIn: undefined,
  },
  { pod: 'that bears nothing', options: {}, taints: [UNREACHABLE], leavesIn: 0 },
  {
    pod: 'that bears it for 300 s, 30 s of them gone',
    options: withTolerations(bears(300)),
    taints: [UNREACHABLE],
    leavesIn: 270,
  },
  {
    pod: 'that bears it for as long as it has lasted',
    options: withTolerations(bears(30)),
    taints: [UNREACHABLE],
    leavesIn: 0,
  },
  {
    pod: 'that bears it for less than nothing',
    options: withTolerations(bears(-5)),
    taints: [UNREACHABLE],
    leavesIn: 0,
  },
  {
    pod: 'that bears it twice: the shorter time counts',
    options: withTolerations(bears(300), bears(60)),
    taints: [UNREACHABLE],
    leavesIn: 30,
  },
  {
    pod: 'that bears everything for ever',
    options: withTolerations(FOREVER),
    taints: [UNREACHABLE, MAINTENANCE],
    leavesIn: undefined,
  },
  {
    pod: 'that bears one of two taints',
    options: withTolerations(bears(300)),
    taints: [UNREACHABLE, MAINTENANCE],
    leavesIn: 0,
  },
  {
    pod: 'that bears another value',
    options: withTolerations({ key: 'maintenance', operator: 'Equal', value: 'later' }),
    taints: [MAINTENANCE],
    leavesIn: 0,
  },
  {
    pod: 'that is on its way already',
    options: { meta: { deletionTimestamp: '2027-01-15T09:00:20Z' } },
    taints: [UNREACHABLE],
    leavesIn: undefined,
  },
]

describe('a pod', () => {
  test.each(cases)('$pod', ({ options, taints, leavesIn }) => {
    const pod = aPod('p', { node: 'a', phase: 'Running', ...options })
    const outcome = evictions(aNode('a', { taints }), [pod], NOW)
    expect(outcome.writes.length).toBe(leavesIn === 0 ? 1 : 0)
    expect(outcome.requeueAtMs).toBe(leavesIn ? NOW + leavesIn * 1000 : undefined)
    if (leavesIn !== 0) return
    expect(outcome.writes[0]).toMatchObject({
      do: 'put',
      object: { metadata: { deletionTimestamp: '2027-01-15T09:00:30Z' } },
    })
    expect(outcome.events?.map(({ message }) => message)).toEqual([
      'Marking for deletion Pod default/p',
    ])
  })
})

test('the next look is when the first of several must leave', () => {
  const pods = [300, 60, 120].map((seconds) =>
    aPod(`p${seconds}`, { node: 'a', ...withTolerations(bears(seconds)) }),
  )
  expect(evictions(aNode('a', { taints: [UNREACHABLE] }), pods, NOW).requeueAtMs).toBe(NOW + 30_000)
})

test('when all must leave they do not wait, but for those that belong to the node', () => {
  const pods = [
    aPod('waits', { node: 'a', ...withTolerations(bears(300)) }),
    aPod('stays', { node: 'a', ...withTolerations(FOREVER) }),
    aPod('goes', { node: 'a', meta: { deletionTimestamp: '2027-01-15T09:00:20Z' } }),
    aPod('ended', { node: 'a', phase: 'Succeeded' }),
  ]
  const { writes, events } = evictAll(pods, NOW)
  expect(writes).toMatchObject([
    { do: 'put', object: { metadata: { name: 'waits', deletionGracePeriodSeconds: 30 } } },
    { do: 'remove', key: 'pods/default/ended' },
  ])
  expect(events?.map(({ about }) => about.metadata.name)).toEqual(['waits', 'ended'])
})
