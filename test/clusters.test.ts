// Fifty clusters side by side: none sees what another has, and of those that are deleted nothing stays.

import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryStore } from '#emulator/adapters/memory-store.ts'
import { objectPath, partPath, revisionsPath } from '#functions/adapters/firestore-layout.ts'
import { createLiveViews } from '#functions/cluster/create-live-views.ts'
import { splitClusterPath } from '#functions/cluster-path.ts'
import { clusterId } from '#functions/clusters/fleet.ts'
import { composeApi } from '#functions/compose.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { createMemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { keyOf } from '#shared/key.ts'
import { leftovers, liveOf, type ClustersRun } from '../bench/clusters.ts'
import type { Cost } from './support/cost.ts'

const COUNT = 50
const DESIRED = (node: string): string => `/apis/agent.wherry.dev/v1/nodes/${node}/desired`

/**
 * For one cluster, rounded up; `npm run bench -- clusters` prints what it is. A message of each creation and deletion is
 * the sweep's, which has seen that there are other VMs.
 */
const BOUNDS: Record<keyof ClustersRun['phases'], Cost> = {
  create: { reads: 80, writes: 35, deletes: 1, messages: 15, calls: 21 },
  list: { reads: 2, writes: 0, deletes: 0, messages: 0, calls: 1 },
  use: { reads: 46, writes: 34, deletes: 1, messages: 13, calls: 16 },
  delete: { reads: 84, writes: 12, deletes: 57, messages: 3, calls: 5 },
}

describe(`${COUNT} clusters`, () => {
  let run: ClustersRun
  /** What each showed while all were there: names of nodes, and of nodes that its pods are on. */
  const shown = new Map<string, { nodes: string[]; used: string[] }>()
  const strangers: number[] = []

  beforeAll(async () => {
    run = await liveOf(COUNT, async ({ world, ids }) => {
      const all = [...ids.values()]
      for (const [index, id] of all.entries()) {
        const listed = async (path: string): Promise<unknown[]> => {
          const { items } = await world.must('GET', `/clusters/${id}${path}`)
          return Array.isArray(items) ? items : []
        }
        const nodes = (await listed('/api/v1/nodes')) as KubeObject[]
        const pods = (await listed('/api/v1/pods')) as { spec: { nodeName: string } }[]
        shown.set(id, {
          nodes: nodes.map(({ metadata }) => metadata.name),
          used: pods.map(({ spec }) => spec.nodeName),
        })
        const [vm = ''] = world.vms(id)
        const token = await world.tokenOf(vm)
        const other = all[(index + 1) % all.length] ?? ''
        for (const at of [id, other]) {
          const { status } = await world.ask(
            'GET',
            `/clusters/${at}${DESIRED(vm)}`,
            undefined,
            token,
          )
          strangers.push(status)
        }
      }
    })
  }, 60_000)

  test('each answers within two seconds', () => {
    expect(new Set(run.ids.values()).size).toBe(COUNT)
    expect(run.slowestMs).toBeLessThan(2000)
  })

  test.each(Object.entries(BOUNDS) as [keyof ClustersRun['phases'], Cost][])(
    'what it costs to %s one',
    (name, bound) => {
      const { cost } = run.phases[name]
      const over = Object.entries(cost).filter(
        ([unit, value]) => value / COUNT > bound[unit as keyof Cost],
      )
      expect(over, JSON.stringify(cost)).toEqual([])
    },
  )

  test('none shows the nodes and pods of another', () => {
    const nodes = [...shown.values()].flatMap((each) => each.nodes)
    expect(nodes).toHaveLength(COUNT)
    expect(new Set(nodes).size).toBe(COUNT)
    for (const each of shown.values()) expect(new Set(each.used)).toEqual(new Set(each.nodes))
  })

  test('a VM is known to its own cluster and to no other', () => {
    expect(strangers).toEqual(Array.from({ length: COUNT }, () => [200, 401]).flat())
  })

  test('nothing is left of them', async () => {
    expect(await leftovers(run)).toEqual([])
  })
})

/** Names as they are allowed, and what an attacker would try. */
const hostile = fc.oneof(
  fc.constantFrom('..', '.', '/', '%', '%2f', '%2e%2e', '__all__', '\u0000', 'ü', 'clusters'),
  fc.stringMatching(/^[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?$/),
  fc.string({ maxLength: 20 }),
)
const keys = fc
  .tuple(hostile, hostile, hostile)
  .map(([kind, space, name]) => keyOf(kind, space, name))
const specs = fc.record({
  project: fc.constantFrom('p', 'p-c', 'demo'),
  location: fc.constantFrom('us-east1-c', 'us-east1', 'c'),
  displayName: fc.stringMatching(/^[a-z]([a-z0-9-]{0,6}[a-z0-9])?$/),
})

describe('keys', () => {
  test('two clusters have the same id only if they are the same', () => {
    fc.assert(
      fc.property(specs, specs, fc.nat(3), fc.nat(3), (one, two, then, later) => {
        const isSame = JSON.stringify([one, then]) === JSON.stringify([two, later])
        expect(clusterId(one, then) === clusterId(two, later)).toBe(isSame)
      }),
      { numRuns: 2000 },
    )
    // Far more than the birthday of 32 bits allows.
    const ids = new Set<string>()
    const spec = { project: 'demo', location: 'us-east1-c' }
    for (let index = 0; index < 120_000; index++)
      ids.add(clusterId({ ...spec, displayName: `c${index}` }, 1_800_000_000_000))
    expect(ids.size).toBe(120_000)
  })

  test('whatever the key, its document is inside its cluster', () => {
    fc.assert(
      fc.property(specs, keys, hostile, (spec, key, part) => {
        const id = clusterId(spec, 0)
        const path = objectPath(id, key)
        expect(path.split('/').slice(0, 3)).toEqual(['clusters', id, 'objects'])
        expect(path.split('/')).toHaveLength(4)
        expect(partPath(path, part.length).startsWith(`${path}/`)).toBe(true)
        expect(revisionsPath(id, 's').startsWith(`clusters/${id}/segments/`)).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  test('what is committed to one cluster is in no other', async () => {
    const commit = fc.record({ cluster: fc.constantFrom('a', 'a/b', 'b', 'A', ''), key: keys })
    await fc.assert(
      fc.asyncProperty(fc.array(commit, { maxLength: 12 }), async (commits) => {
        const store = createMemoryStore({ clock: createManualClock() })
        const expected = new Map<string, Set<string>>()
        for (const [index, { cluster, key }] of commits.entries()) {
          const own = expected.get(cluster) ?? new Set()
          expected.set(cluster, own)
          if (own.has(key)) continue
          own.add(key)
          await store.commit(cluster, {
            id: `commit-${index}`,
            cause: { actor: 'user:test', verb: 'create' },
            writes: [{ key, object: secretOf(cluster), expect: null }],
          })
        }
        for (const [cluster, own] of expected) {
          const { revisions } = await store.revisions(cluster, undefined)
          const changes = revisions.flatMap((revision) => revision.changes)
          expect(changes.map(({ key }) => key)).toEqual([...own])
          for (const { after } of changes) expect(after).toMatchObject(dataOf(cluster))
        }
      }),
      { numRuns: 300 },
    )
  })
})

function dataOf(cluster: string): { data: { owner: string } } {
  return { data: { owner: `belongs to ${cluster}` } }
}

function secretOf(cluster: string): KubeObject {
  const metadata = { name: 'mine', namespace: 'default', uid: 'u', creationTimestamp: '' }
  return Object.assign({ apiVersion: 'v1', kind: 'Secret', metadata }, dataOf(cluster))
}

test('no path under one cluster leads into another', async () => {
  const clock = createManualClock()
  const log = createMemoryLog()
  const store = createMemoryStore({ clock })
  const views = createLiveViews({ store, clock, log })
  for (const cluster of ['c-mine', 'c-other']) {
    await store.commit(cluster, {
      id: `seed-${cluster}`,
      cause: { actor: 'user:test', verb: 'create' },
      writes: [
        { key: keyOf('secrets', 'default', 'mine'), object: secretOf(cluster), expect: null },
      ],
    })
  }
  const app = composeApi(
    { store, clock, log, bus: createMemoryBus() },
    {
      views,
      authenticate: async () => ({ user: 'me', groups: ['system:masters'], clusters: ['c-mine'] }),
      probes: [],
      route: ({ path }) => splitClusterPath(path),
    },
  )
  const get = async (path: string): Promise<string> => {
    const response = await app.request(path, { headers: { authorization: 'Bearer x' } })
    const { status } = response
    const text = await response.text()
    expect([200, 400, 403, 404], `${path}: ${status}`).toContain(status)
    return text
  }
  const own = '/clusters/c-mine/api/v1/namespaces/default/secrets'
  expect(await get(own)).toContain('belongs to c-mine')
  const words = [
    'api',
    'v1',
    'namespaces',
    'default',
    'secrets',
    'mine',
    'clusters',
    'c-other',
    'c-mine',
  ]
  const tricks = [
    '..',
    '.',
    '',
    '%2e%2e',
    '%2E.',
    '..%2f',
    '%2f',
    '%5c..',
    '..;',
    '%00',
    '%252e%252e',
    '*',
  ]
  const segments = fc.array(fc.oneof(fc.constantFrom(...words), fc.constantFrom(...tricks)), {
    maxLength: 14,
  })
  await fc.assert(
    fc.asyncProperty(segments, fc.constantFrom('/', own), async (parts, start) => {
      const path = [start === '/' ? '/clusters/c-mine' : start, ...parts].join('/')
      expect(await get(path)).not.toContain('belongs to c-other')
    }),
    { numRuns: 2000 },
  )
})
