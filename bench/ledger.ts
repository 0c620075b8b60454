// What Google would bill: Firestore reads, writes and deletes, Pub/Sub messages and function calls for
// creating a Deployment, updating it, and an hour in which nothing happens. `npm run bench -- ledger`.

import type { Deployment } from '#shared/api/deployment.ts'
import { CloudWorld, PROJECT, ZONE } from '#test/support/cloud-world.ts'
import { difference, type Cost } from '#test/support/cost.ts'
import type { Measurement } from './measurement.ts'

const REPLICAS = 3
const NODES = 3
const IDLE_NODES = 10
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** By then the sweep has said everything again, and deadlines have passed. */
const QUIET_MS = 20 * 60_000
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments'

export interface Ledger {
  /** From the request that creates a Deployment of 3 replicas until it is Ready. */
  create: Cost
  /** The same with a Service of type LoadBalancer, as in the lecture, until both are there. */
  createWithService: Cost
  /** From the request that changes its template until all its pods are new and the old ones gone. */
  update: Cost
  /** What follows from each: the sweep says once more what happened, a deadline is looked at. */
  createEcho: Cost
  updateEcho: Cost
  /** An hour of a cluster with 10 nodes in which nothing happens. */
  idleHour: Cost
}

/** Exact, and the same at every call. */
export async function ledger(): Promise<Ledger> {
  const plain = await deployed(false)
  const served = await deployed(true)
  return {
    create: plain.create,
    createEcho: plain.createEcho,
    createWithService: served.create,
    update: plain.update,
    updateEcho: plain.updateEcho,
    idleHour: await idleHour(),
  }
}

export async function measure(): Promise<Measurement[]> {
  return Object.entries(await ledger()).flatMap(([what, cost]: [string, Cost]) =>
    Object.entries(cost).map(([unit, value]) => ({
      name: `ledger.${what}.${unit}`,
      unit: 'count',
      value,
    })),
  )
}

async function deployed(
  isServed: boolean,
): Promise<Pick<Ledger, 'create' | 'createEcho' | 'update' | 'updateEcho'>> {
  const world = await CloudWorld.open()
  const { id, base } = await newCluster(world, NODES)
  const start = world.cost()
  await world.must('POST', base + DEPLOYMENTS, deployment())
  if (isServed) await world.must('POST', `${base}/api/v1/namespaces/default/services`, service())
  await world.until(
    'the Deployment is Ready',
    () => isRolledOut(world, id) && (!isServed || hasAddress(world, id)),
  )
  const created = world.cost()
  const idle = await echo(world)
  const before = world.cost()
  const image = {
    spec: { template: { spec: { containers: [{ name: 'web', image: 'dlops/tic-tac-toe:2' }] } } },
  }
  await world.must('PATCH', `${base}${DEPLOYMENTS}/web`, image)
  await world.until('the update is complete', () => isRolledOut(world, id))
  const updated = world.cost()
  const rest = await echo(world)
  await world.close()
  return {
    create: difference(created, start),
    createEcho: idle,
    update: difference(updated, before),
    updateEcho: rest,
  }
}

/**
 * A day of a cluster with 10 nodes in which nothing happens, and how many of the calls were agents'. It begins
 * when the log of what was done before has been cut off. Exact.
 */
export async function idleDay(): Promise<{ all: Cost; agents: number }> {
  return idle(DAY_MS, HOUR_MS + QUIET_MS)
}

async function idleHour(): Promise<Cost> {
  return (await idle(HOUR_MS, QUIET_MS)).all
}

async function idle(ms: number, quietMs: number): Promise<{ all: Cost; agents: number }> {
  const world = await CloudWorld.open()
  const { id, base } = await newCluster(world, IDLE_NODES)
  await world.must('POST', base + DEPLOYMENTS, deployment())
  await world.must('POST', `${base}/api/v1/namespaces/default/services`, service())
  await world.until('the Deployment is Ready', () => isRolledOut(world, id))
  await world.pass(quietMs)
  const [start, startOfApi] = [world.cost(), world.cost('api')]
  await world.pass(ms)
  const all = difference(world.cost(), start)
  // Nobody else asks the API.
  const agents = difference(world.cost('api'), startOfApi).calls
  await world.close()
  return { all, agents }
}

/** What the sweep and deadlines cause after something has happened, without an idle sweep's own cost. */
async function echo(world: CloudWorld): Promise<Cost> {
  const start = world.cost()
  const startMs = world.clock.now()
  await world.pass(QUIET_MS)
  const minutes = Math.floor((world.clock.now() - startMs) / 60_000)
  const cost = difference(world.cost(), start)
  return { ...cost, reads: cost.reads - minutes, calls: cost.calls - minutes }
}

/** A cluster whose nodes are Ready, and at rest. */
async function newCluster(world: CloudWorld, nodes: number): Promise<{ id: string; base: string }> {
  const clusters = `/v1/projects/${PROJECT}/locations/${ZONE}/clusters`
  await world.must('POST', clusters, { cluster: { name: 'ledger', initialNodeCount: nodes } })
  const { endpoint } = await world.must('GET', `${clusters}/ledger`)
  const id = String(endpoint).split('/').at(-1) ?? ''
  await world.until('the nodes run', () => world.list(id, 'nodes').length === nodes)
  await world.pass(QUIET_MS)
  return { id, base: `/clusters/${id}` }
}

function isRolledOut(world: CloudWorld, id: string): boolean {
  const [found] = world.list(id, 'deployments.apps') as readonly Deployment[]
  const { status } = found ?? {}
  return (
    status?.observedGeneration === found?.metadata.generation &&
    status?.updatedReplicas === REPLICAS &&
    status.availableReplicas === REPLICAS &&
    world.list(id, 'pods').length === REPLICAS
  )
}

function hasAddress(world: CloudWorld, id: string): boolean {
  return world
    .list(id, 'services')
    .some((each) => JSON.stringify(each).includes('"ingress":[{"ip"'))
}

function deployment(): unknown {
  const labels = { run: 'web' }
  const container = { name: 'web', image: 'dlops/tic-tac-toe', ports: [{ containerPort: 8080 }] }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', labels },
    spec: {
      replicas: REPLICAS,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  }
}

function service(): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: {
      type: 'LoadBalancer',
      selector: { run: 'web' },
      ports: [{ port: 80, targetPort: 8080 }],
    },
  }
}
