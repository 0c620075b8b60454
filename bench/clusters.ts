// Many clusters at once: created, listed, used and deleted through the api function, each under its own
// path, and what that costs for each of them. `npm run bench -- clusters [--count N]`.

import type { Deployment } from '#shared/api/deployment.ts'
import { CLUSTERS, FLEET } from '#shared/api/cluster.ts'
import { SWEEP } from '#functions/sweep/state.ts'
import { difference, type Cost } from '#test/support/cost.ts'
import { CloudWorld, PROJECT, ZONE } from '#test/support/cloud-world.ts'
import type { Measurement } from './measurement.ts'

const COUNT = 50
const NODES = 1
const REPLICAS = 2
const BASE = `/v1/projects/${PROJECT}/locations/${ZONE}/clusters`
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments'
const SERVICES = '/api/v1/namespaces/default/services'
/** The sweep says everything again, and looks after clusters that are leaving. */
const QUIET_MS = 15 * 60_000

export interface Phase {
  cost: Cost
  seconds: number
}

export interface ClustersRun {
  world: CloudWorld
  /** Ids by name, of all clusters there were. */
  ids: Map<string, string>
  phases: Record<'create' | 'list' | 'use' | 'delete', Phase>
  /** The slowest request that created a cluster, until its control plane answered. */
  slowestMs: number
}

/** The whole life of `count` clusters. `inUse` is called while all of them run. */
export async function liveOf(
  count: number,
  inUse: (run: Pick<ClustersRun, 'world' | 'ids'>) => Promise<void> = async () => undefined,
): Promise<ClustersRun> {
  const world = await CloudWorld.open()
  const names = Array.from({ length: count }, (_, index) => `c${index}`)
  const ids = new Map<string, string>()
  let slowestMs = 0
  const create = await phase(world, async () => {
    for (const name of names) {
      const start = performance.now()
      ids.set(name, await createCluster(world, name))
      slowestMs = Math.max(slowestMs, performance.now() - start)
    }
    const isComplete = (id: string): boolean => world.list(id, 'nodes').length === NODES
    await world.until('all nodes', () => [...ids.values()].every(isComplete))
    await world.pass(QUIET_MS)
  })
  const list = await phase(world, async () => {
    const { clusters } = await world.must('GET', BASE)
    const found = Array.isArray(clusters) ? clusters.length : 0
    if (found !== count) throw new Error(`${found} of ${count} clusters are listed`)
  })
  const use = await phase(world, async () => {
    for (const id of ids.values()) await deploy(world, id)
    await world.until('all pods', () => [...ids.values()].every((id) => isDeployed(world, id)))
    await world.pass(QUIET_MS)
  })
  await inUse({ world, ids })
  const end = await phase(world, async () => {
    for (const name of names) await world.must('DELETE', `${BASE}/${name}`)
    await world.until('the end of all', () => world.list(FLEET, CLUSTERS).length === 0)
    await world.pass(QUIET_MS)
  })
  await world.close()
  return { world, ids, slowestMs, phases: { create, list, use, delete: end } }
}

/** Whatever of the clusters is still in the store or on Google Cloud. */
export async function leftovers({ world, ids }: ClustersRun): Promise<string[]> {
  const prefixes = [...world.data.clusters.keys()].filter((id) => id !== FLEET && id !== SWEEP)
  const own = new Set(ids.values())
  const remembered = world
    .list(SWEEP, 'sweeps.wherry.dev')
    .flatMap((state) => [...own].filter((id) => JSON.stringify(state).includes(id)))
  return [
    ...prefixes,
    ...remembered,
    ...world.list(FLEET, CLUSTERS).map(({ metadata }) => metadata.name),
    ...world.compute.groups().map(({ name }) => name),
    ...world.compute.loadBalancers().map(({ name }) => name),
    ...(await world.compute.listInstances({})).map(({ name }) => name),
  ]
}

export async function measure(args: readonly string[]): Promise<Measurement[]> {
  const at = args.indexOf('--count')
  const count = at < 0 ? COUNT : Number(args[at + 1])
  if (!Number.isInteger(count) || count < 1) throw new Error('--count takes a whole number')
  const run = await liveOf(count)
  const left = await leftovers(run)
  const each = Object.entries(run.phases).flatMap(([name, { cost, seconds }]) => [
    { name: `clusters.${name}.time`, unit: 's', value: seconds, note: `all ${count} together` },
    ...Object.entries(cost).map(([unit, value]: [string, number]) => ({
      name: `clusters.${name}.${unit}`,
      unit: 'count/cluster',
      value: value / count,
    })),
  ])
  return [
    { name: 'clusters.create.slowest', unit: 'ms', value: run.slowestMs, note: 'one request' },
    ...each,
    { name: 'clusters.left', unit: 'count', value: left.length, note: left.slice(0, 5).join(', ') },
  ]
}

async function phase(world: CloudWorld, work: () => Promise<void>): Promise<Phase> {
  const before = world.cost()
  const start = performance.now()
  await work()
  const seconds = (performance.now() - start) / 1000
  return { cost: difference(world.cost(), before), seconds }
}

async function createCluster(world: CloudWorld, name: string): Promise<string> {
  await world.must('POST', BASE, { cluster: { name, initialNodeCount: NODES } })
  const { endpoint } = await world.must('GET', `${BASE}/${name}`)
  const id = String(endpoint).split('/').at(-1) ?? ''
  await world.must('GET', `/clusters/${id}/api/v1/namespaces/default`)
  return id
}

async function deploy(world: CloudWorld, id: string): Promise<void> {
  const labels = { run: 'web' }
  const containers = [{ name: 'web', image: 'dlops/tic-tac-toe' }]
  await world.must('POST', `/clusters/${id}${DEPLOYMENTS}`, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: {
      replicas: REPLICAS,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers } },
    },
  })
  await world.must('POST', `/clusters/${id}${SERVICES}`, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { type: 'LoadBalancer', selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
  })
}

function isDeployed(world: CloudWorld, id: string): boolean {
  const [found] = world.list(id, 'deployments.apps') as readonly Deployment[]
  return found?.status?.availableReplicas === REPLICAS
}
