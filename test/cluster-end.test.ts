// A cluster that is deleted with everything in it: what it has on Google Cloud goes, but what was told to be kept.

import { expect, test } from 'vitest'
import { CLUSTERS, FLEET } from '#shared/api/cluster.ts'
import { INGRESSES, type Ingress } from '#shared/api/ingress.ts'
import { CLAIMS, type PersistentVolumeClaim } from '#shared/api/persistent-volume-claim.ts'
import { VOLUMES, type PersistentVolume } from '#shared/api/persistent-volume.ts'
import type { Service } from '#shared/api/service.ts'
import { StatusError } from '#shared/status.ts'
import { CloudWorld, PROJECT, ZONE } from './support/cloud-world.ts'

const BASE = `/v1/projects/${PROJECT}/locations/${ZONE}/clusters`
const LABELS = { run: 'web' }
const LIMIT_MS = 30 * 60_000

const meta = (name: string) => ({ metadata: { name } })

function claim(name: string, storageClassName: string) {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    ...meta(name),
    spec: {
      accessModes: ['ReadWriteOnce'],
      storageClassName,
      resources: { requests: { storage: '1Gi' } },
    },
  }
}

/** A deployment whose pods write to a claim, behind a load balancer and an Ingress. */
const OBJECTS: [path: string, object: object][] = [
  [
    '/apis/storage.k8s.io/v1/storageclasses',
    {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      ...meta('kept'),
      provisioner: 'pd.csi.storage.gke.io',
      reclaimPolicy: 'Retain',
    },
  ],
  ['/api/v1/namespaces/default/persistentvolumeclaims', claim('used', 'standard-rwo')],
  ['/api/v1/namespaces/default/persistentvolumeclaims', claim('unused', 'standard')],
  ['/api/v1/namespaces/default/persistentvolumeclaims', claim('kept', 'kept')],
  [
    '/apis/apps/v1/namespaces/default/deployments',
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      ...meta('web'),
      spec: {
        replicas: 1,
        selector: { matchLabels: LABELS },
        template: {
          metadata: { labels: LABELS },
          spec: {
            containers: [{ name: 'web', image: 'dlops/tic-tac-toe' }],
            volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'used' } }],
          },
        },
      },
    },
  ],
  [
    '/api/v1/namespaces/default/services',
    {
      apiVersion: 'v1',
      kind: 'Service',
      ...meta('web'),
      spec: { type: 'LoadBalancer', selector: LABELS, ports: [{ port: 80, targetPort: 8080 }] },
    },
  ],
  [
    '/apis/networking.k8s.io/v1/namespaces/default/ingresses',
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      ...meta('web'),
      spec: { defaultBackend: { service: { name: 'web', port: { number: 80 } } } },
    },
  ],
]

/** A cluster that has all of that, and it is there. */
async function inUse(world: CloudWorld, name: string): Promise<string> {
  await world.must('POST', BASE, { cluster: { name, initialNodeCount: 2 } })
  const { endpoint } = await world.must('GET', `${BASE}/${name}`)
  const id = String(endpoint).split('/').at(-1) ?? ''
  await world.until('nodes', () => world.list(id, 'nodes').length === 2)
  for (const [path, object] of OBJECTS) await world.must('POST', `/clusters/${id}${path}`, object)
  await world.until('everything', () => {
    const claims = world.list(id, CLAIMS) as PersistentVolumeClaim[]
    const [service] = world
      .list(id, 'services')
      .filter(({ metadata }) => metadata.name === 'web') as Service[]
    const [ingress] = world.list(id, INGRESSES) as Ingress[]
    return (
      claims.length === 3 &&
      claims.every(({ status }) => status?.phase === 'Bound') &&
      (service?.status?.loadBalancer?.ingress?.length ?? 0) > 0 &&
      (ingress?.status?.loadBalancer?.ingress?.length ?? 0) > 0 &&
      world.disks.all().some(({ users }) => users.length > 0)
    )
  })
  return id
}

/** What there is on Google Cloud, but disks. */
async function leftOn(world: CloudWorld): Promise<string[]> {
  return [
    ...world.compute.groups().map(({ name }) => name),
    ...world.compute.loadBalancers().map(({ name }) => name),
    ...world.httpBalancers.specs().map(({ name }) => name),
    ...(await world.compute.listInstances({})).map(({ name }) => name),
  ]
}

test('a cluster with Ingresses, load balancers and bound claims leaves only disks that are retained', async () => {
  const world = await CloudWorld.open()
  const id = await inUse(world, 'one')
  const volumes = world.list(id, VOLUMES) as PersistentVolume[]
  const kept = volumes.find(({ spec }) => spec.persistentVolumeReclaimPolicy === 'Retain')
  expect(volumes).toHaveLength(3)
  await world.must('DELETE', `${BASE}/one`)
  await world.until('its end', () => world.list(FLEET, CLUSTERS).length === 0, LIMIT_MS)
  expect(await leftOn(world)).toEqual([])
  expect(world.disks.all()).toMatchObject([{ name: kept?.metadata.name, users: [] }])
  expect(world.data.clusters.has(id)).toBe(false)
  await world.close()
})

test('what cannot be taken away keeps the record of the cluster until it can', async () => {
  const world = await CloudWorld.open()
  await inUse(world, 'one')
  const away = new StatusError('ServiceUnavailable', 'The backend is away.')
  world.disks.failWith(away, 'delete')
  world.httpBalancers.failWith(away, 'remove')
  await world.must('DELETE', `${BASE}/one`)
  await world.pass(10 * 60_000)
  expect(world.list(FLEET, CLUSTERS)).toHaveLength(1)
  expect(world.httpBalancers.specs()).toHaveLength(1)
  expect(world.disks.all()).toHaveLength(3)
  world.disks.failWith(undefined, 'delete')
  world.httpBalancers.failWith(undefined, 'remove')
  await world.until('its end', () => world.list(FLEET, CLUSTERS).length === 0, LIMIT_MS)
  expect(await leftOn(world)).toEqual([])
  expect(world.disks.all()).toHaveLength(1)
  await world.close()
})

test('an Ingress that was deleted by force leaves nothing either', async () => {
  const world = await CloudWorld.open()
  const id = await inUse(world, 'one')
  const path = `/clusters/${id}/apis/networking.k8s.io/v1/namespaces/default/ingresses/web`
  // Nobody has a chance to look in between.
  await world.must('PATCH', path, { metadata: { finalizers: null } })
  await world.must('DELETE', path)
  expect(world.list(id, INGRESSES)).toEqual([])
  expect(world.httpBalancers.specs()).toHaveLength(1)
  await world.must('DELETE', `${BASE}/one`)
  await world.until('its end', () => world.list(FLEET, CLUSTERS).length === 0, LIMIT_MS)
  expect(await leftOn(world)).toEqual([])
  await world.close()
})

test('another cluster keeps what it has', async () => {
  const world = await CloudWorld.open()
  await inUse(world, 'one')
  const other = await inUse(world, 'two')
  await world.must('DELETE', `${BASE}/one`)
  await world.until('its end', () => world.list(FLEET, CLUSTERS).length === 1, LIMIT_MS)
  const left = await leftOn(world)
  const own = world.list(other, VOLUMES).map(({ metadata }) => metadata.name)
  expect(left).toHaveLength(1 + 1 + 1 + 2)
  expect(world.disks.all().map(({ name }) => name)).toEqual(expect.arrayContaining(own))
  expect(world.disks.all()).toHaveLength(3 + 1)
  await world.close()
})
