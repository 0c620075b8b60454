// Names fit Google's limits, differ where they must, and lead back to their cluster.

import { expect, test } from 'vitest'
import { balancerName, baseInstanceName, clusterMark, groupName, markIn } from './names.ts'

test.each([
  {
    when: 'plain',
    display: 'test-cluster',
    pool: 'default-pool',
    starts: 'gke-test-cluster-default-pool-',
  },
  {
    when: 'long',
    display: 'a-cluster-with-a-very-long-name-indeed',
    pool: 'p'.repeat(40),
    starts: 'gke-a-cluster-with-a-pppp',
  },
  { when: 'with capitals', display: 'My_Cluster-', pool: 'x', starts: 'gke-my-cluster-x-' },
])('the group of a $when name', ({ display, pool, starts }) => {
  const name = groupName('c-1', display, pool)
  expect(name.startsWith(starts)).toBe(true)
  expect(name).toMatch(/^[a-z][a-z0-9-]{0,50}-grp$/)
  expect(`${name}-abcdefgh`.length).toBeLessThanOrEqual(63)
  expect(markIn(name)).toBe(clusterMark('c-1'))
  expect(markIn(`${baseInstanceName(name)}-kj0s`)).toBe(clusterMark('c-1'))
})

test('groups of other clusters and pools have other names', () => {
  const names = [
    groupName('c-1', 'test', 'a'),
    groupName('c-1', 'test', 'b'),
    groupName('c-2', 'test', 'a'),
    groupName('c-1', 'test', `${'p'.repeat(16)}1`),
    groupName('c-1', 'test', `${'p'.repeat(16)}2`),
  ]
  expect(new Set(names).size).toBe(names.length)
})

test('names that are none of ours have no mark', () => {
  for (const name of ['web-1', 'gke-x', 'instance-20261122', 'gke-a-b-nothexadecimal-abcd']) {
    expect(markIn(name)).toBeUndefined()
  }
})

test('a load balancer is named as Kubernetes names them', () => {
  expect(balancerName('c-1', 'uid-1')).toMatch(/^a[0-9a-f]{31}$/)
  expect(balancerName('c-1', 'uid-1')).not.toBe(balancerName('c-1', 'uid-2'))
  expect(balancerName('c-1', 'uid-1').slice(1, 6)).toBe(clusterMark('c-1'))
})
