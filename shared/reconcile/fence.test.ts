// Which VMs certainly run nothing any more.

import { expect, test } from 'vitest'
import { Brain } from '#test/support/brain.ts'
import { aNode } from '#test/support/objects.ts'
import { INSTANCE_ID_ANNOTATION, type Node } from '../api/node.ts'
import type { NodePool, PoolInstance } from '../api/node-pool.ts'
import { isFenced } from './fence.ts'

function pool(name: string, instances: Partial<PoolInstance>[] | undefined): NodePool {
  return {
    apiVersion: 'container.wherry.dev/v1',
    kind: 'NodePool',
    metadata: { name, uid: '', creationTimestamp: '' },
    spec: { nodeCount: 1, zone: 'z', machineType: 'e2-medium', diskSizeGb: 10, spot: false },
    status: instances
      ? {
          instances: instances.map((more) => ({
            name: 'vm',
            id: '1',
            status: 'RUNNING',
            creationTimestamp: '2027-01-15T07:00:00Z',
            ...more,
          })),
        }
      : {},
  }
}

function node(instanceId?: string): Node {
  const plain = aNode('vm')
  if (!instanceId) return plain
  const annotations = { [INSTANCE_ID_ANNOTATION]: instanceId }
  return { ...plain, metadata: { ...plain.metadata, annotations } }
}

interface Case {
  when: string
  /** Of two pools; undefined: not listed yet. */
  first?: Partial<PoolInstance>[] | undefined
  node?: Node
  holderId?: string
  fenced: boolean
}

const cases: Case[] = [
  { when: 'its VM runs', first: [{}], node: node('1'), fenced: false },
  {
    when: 'its VM fails its health check',
    first: [{ isHealthy: false }],
    node: node('1'),
    fenced: false,
  },
  ...['PROVISIONING', 'STAGING', 'STOPPING', 'SUSPENDED', 'REPAIRING', 'SOMETHING_NEW'].map(
    (status) => ({
      when: `its VM is ${status}`,
      first: [{ status }],
      node: node('1'),
      fenced: false,
    }),
  ),
  ...['STOPPED', 'TERMINATED'].map((status) => ({
    when: `its VM is ${status}`,
    first: [{ status }],
    node: node('1'),
    fenced: true,
  })),
  { when: 'another VM has its name', first: [{ id: '2' }], node: node('1'), fenced: true },
  {
    when: 'another VM has its name, also as a Node',
    first: [{ id: '2' }],
    node: node('2'),
    holderId: '1',
    fenced: true,
  },
  { when: 'its VM is no longer listed', first: [], node: node('1'), fenced: true },
  { when: 'its VM and its Node are gone', first: [], fenced: true },
  { when: 'its VMs were never listed', first: undefined, node: node('1'), fenced: false },
  { when: 'somebody deleted its Node, and its VM runs', first: [{}], fenced: false },
  { when: 'nobody knows its machine', first: [], node: node(), fenced: false },
]

test.each(cases)('when $when: $fenced', ({ first, node: there, holderId, fenced }) => {
  const brain = new Brain([])
  brain.put(pool('other', [{ name: 'another' }]), pool('pool', first), ...(there ? [there] : []))
  expect(isFenced(brain.view, { node: 'vm', instanceId: holderId })).toBe(fenced)
})
