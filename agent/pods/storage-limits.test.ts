import { expect, test } from 'vitest'
import { aPod } from '#test/support/objects.ts'
import type { Pod } from '#shared/api/pod.ts'
import { excessOf, hasStorageLimit } from './storage-limits.ts'

const MI = 2 ** 20

function podWith(limits: Record<string, string | undefined>, sizeLimit?: string): Pod {
  const pod = aPod('web')
  const [first] = pod.spec.containers
  pod.spec.containers = Object.entries(limits).map(([name, limit]) => ({
    ...first,
    name,
    resources: limit === undefined ? {} : { limits: { 'ephemeral-storage': limit } },
  }))
  pod.spec.volumes = [
    { name: 'v', emptyDir: sizeLimit === undefined ? {} : { sizeLimit } },
    { name: 'm', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
  ]
  return pod
}

interface Case {
  when: string
  pod: Pod
  /** In Mi: the volume, and each container. */
  used: { v?: number; a?: number; b?: number }
  expected?: string
}

const cases: Case[] = [
  { when: 'is at its limit', pod: podWith({ a: '2Mi' }, '1Mi'), used: { v: 1, a: 1 } },
  {
    when: 'has a volume that is too full',
    pod: podWith({ a: undefined }, '1Mi'),
    used: { v: 2 },
    expected: 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ',
  },
  {
    when: 'has written more than all of its containers may',
    pod: podWith({ a: '2Mi', b: '2Mi' }),
    used: { v: 3, a: 1, b: 1 },
    expected: 'Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. ',
  },
  {
    when: 'has one container that has written more than it may',
    pod: podWith({ a: '2Mi', b: '8Mi' }),
    used: { a: 3 },
    expected: 'Container a exceeded its local ephemeral storage limit "2Mi". ',
  },
]

test.each(cases)('a pod that $when', ({ pod, used: { v = 0, a = 0, b = 0 }, expected }) => {
  const emptyDirs = new Map([['v', v * MI]])
  const containers = new Map(Object.entries({ a: a * MI, b: b * MI }))
  expect(excessOf(pod, { emptyDirs, containers })).toBe(expected)
})

test('a pod without limits is not looked at', () => {
  expect(hasStorageLimit(podWith({ a: undefined }))).toBe(false)
  expect(hasStorageLimit(podWith({ a: '1Gi' }))).toBe(true)
  expect(hasStorageLimit(podWith({ a: undefined }, '1Gi'))).toBe(true)
})
