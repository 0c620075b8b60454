// A database on a persistent disk, somebody who writes to it all the time, and VMs that die under it: how
// long it does not answer, and whether what it has acknowledged is still there.

import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import type { FaultName } from '#emulator/fault-kinds.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { LocalWherry } from '#test/local-wherry.ts'
import type { Measurement } from '../measurement.ts'
import { median } from '../support/median.ts'
import { machineAndDay, table, valuesOf } from '../support/page.ts'
import { isServing, watchCluster, type Cluster } from './cluster.ts'

/**
 * Kubernetes' defaults for a pod with a disk: 300 s until the pod is evicted, 6 minutes until the disk is
 * detached by force from a node that does not answer (maxWaitForUnmountDuration).
 * https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/volume/attachdetach/attach_detach_controller.go
 */
export const KUBERNETES_DISK_SECONDS = 300 + 360

const NAMESPACE = 'disk-bench'
const CREDENTIALS = { user: 'bench', password: 'only-here', database: 'bench' }
const PATIENCE_MS = 1500
const AGAIN_MS = 100
const READY_MS = 180_000

export interface Kill {
  /** Seconds from the power cut to the first write that was acknowledged after it. */
  moved: number
}

export interface DiskRuns {
  kills: Kill[]
  acknowledged: number
  /** Acknowledged, and not there in the end. */
  lost: number
}

interface Hands {
  wherry: LocalWherry
  fault: (name: FaultName, target?: string) => Promise<void>
  /** Called after each kill. */
  tell?: (kill: Kill) => void
}

/** Kills the VM under the database so many times, under writes. */
export async function killUnderWrites(hands: Hands, count: number): Promise<DiskRuns> {
  const { wherry } = hands
  await wherry.mustKubectl('apply -f -', { input: manifest() })
  const cluster = watchCluster(wherry.ready.kubeconfig, NAMESPACE)
  try {
    await untilReady(cluster)
    const host = await addressOf(wherry)
    const writer = await startWriter({ host, port: 5432 })
    const kills: Kill[] = []
    try {
      for (let turn = 0; turn < count; turn++) {
        const kill = await killOnce(hands, cluster, writer)
        kills.push(kill)
        hands.tell?.(kill)
      }
    } finally {
      await writer.stop()
    }
    const lost = await lostOf({ host, port: 5432 }, writer.acknowledged)
    return { kills, acknowledged: writer.acknowledged.length, lost }
  } finally {
    cluster.close()
    await wherry.mustKubectl(`delete namespace ${NAMESPACE}`)
  }
}

/** What docs/volumes.md says of it: Markdown. */
export function diskSection(runs: DiskRuns): string {
  const measurements = diskMeasurements(runs)
  const value = valuesOf(measurements)
  const row = [
    `${value('disk.moved.median').toFixed(1)} s`,
    `${value('disk.moved.worst').toFixed(1)} s`,
    String(value('disk.acknowledged')),
    String(value('disk.lost')),
    `${KUBERNETES_DISK_SECONDS} s`,
  ]
  const head = [
    '`disk.moved.median`',
    '`disk.moved.worst`',
    'rows acknowledged',
    'rows lost',
    'Kubernetes’ defaults',
  ]
  return `${runs.kills.length} kills in a row, on ${machineAndDay()}:

${table(head, [row])}`
}

/** As others look for it. */
export function diskMeasurements({ kills, acknowledged, lost }: DiskRuns): Measurement[] {
  const moved = kills.map((kill) => kill.moved)
  const note = `${kills.length} kills in a row under writes; Kubernetes' defaults: ${KUBERNETES_DISK_SECONDS} s`
  return [
    { name: 'disk.moved.median', unit: 's', value: median(moved), note },
    { name: 'disk.moved.worst', unit: 's', value: Math.max(...moved), note },
    { name: 'disk.acknowledged', unit: 'writes', value: acknowledged },
    { name: 'disk.lost', unit: 'writes', value: lost },
  ]
}

async function killOnce({ fault }: Hands, cluster: Cluster, writer: Writer): Promise<Kill> {
  const pod = await untilReady(cluster)
  await writer.more()
  const causedAt = Date.now()
  await fault('vm-kill', pod.spec.nodeName)
  const gone = (): boolean =>
    !cluster.pods().some(({ metadata }) => metadata.uid === pod.metadata.uid)
  await cluster.when('the old database is gone', gone)
  await untilReady(cluster)
  // Only what the new one has taken counts.
  const backAt = await writer.more()
  // A new VM has come in place of the old one before the next is killed.
  await cluster.when('two nodes', () => readyNodes(cluster) >= 2)
  return { moved: (backAt - causedAt) / 1000 }
}

function readyNodes(cluster: Cluster): number {
  return cluster
    .nodes()
    .filter(({ status }) =>
      status?.conditions?.some(({ type, status: word }) => type === 'Ready' && word === 'True'),
    ).length
}

async function untilReady(cluster: Cluster): Promise<Pod> {
  const serving = (): Pod | undefined => cluster.pods().find(isServing)
  await cluster.when('the database is ready', () => serving() !== undefined, READY_MS)
  const pod = serving()
  if (!pod) throw new Error('the database is not ready any more')
  return pod
}

async function addressOf(wherry: LocalWherry): Promise<string> {
  const deadline = Date.now() + READY_MS
  while (Date.now() < deadline) {
    const ip = await wherry.mustKubectl(
      `get service database -n ${NAMESPACE} -o jsonpath='{.status.loadBalancer.ingress[0].ip}'`,
    )
    if (ip) return ip
    await sleep(AGAIN_MS)
  }
  throw new Error('the database has no address')
}

interface Writer {
  acknowledged: number[]
  /** Resolves when a write that began after this call was acknowledged: when that was. */
  more(): Promise<number>
  stop(): Promise<void>
}

interface Place {
  host: string
  port: number
}

/** Writes one number after the other, each until it is acknowledged or its answer was lost. */
async function startWriter(place: Place): Promise<Writer> {
  const acknowledged: number[] = []
  const stopped = new AbortController()
  let next = 0
  let waiting: { from: number; done: (at: number) => void }[] = []
  let client: Client | undefined

  async function write(number: number): Promise<void> {
    client ??= await connect(place)
    await client.query('INSERT INTO writes (number) VALUES ($1)', [number])
    acknowledged.push(number)
    const at = Date.now()
    for (const each of waiting.filter(({ from }) => number >= from)) each.done(at)
    waiting = waiting.filter(({ from }) => number < from)
  }

  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      const number = next++
      try {
        await write(number)
      } catch {
        // Not acknowledged: it may be there or not. The next number goes to a new connection.
        await end(client)
        client = undefined
        await sleep(AGAIN_MS)
      }
    }
    await end(client)
  }

  await prepare(place)
  const running = run()
  return {
    acknowledged,
    more: () => new Promise((done) => waiting.push({ from: next, done })),
    async stop() {
      stopped.abort()
      await running
    },
  }
}

async function connect(place: Place): Promise<Client> {
  const client = new Client({
    ...place,
    ...CREDENTIALS,
    connectionTimeoutMillis: PATIENCE_MS,
    query_timeout: PATIENCE_MS,
  })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

async function end(client: Client | undefined): Promise<void> {
  await Promise.race([client?.end().catch(() => undefined), sleep(AGAIN_MS)])
}

/** Asks until it is answered. */
async function ask<T>(place: Place, what: (client: Client) => Promise<T>): Promise<T> {
  const deadline = Date.now() + READY_MS
  for (;;) {
    let client: Client | undefined
    try {
      client = await connect(place)
      return await what(client)
    } catch (error) {
      if (Date.now() > deadline) throw error
      await sleep(AGAIN_MS)
    } finally {
      await end(client)
    }
  }
}

async function prepare(place: Place): Promise<void> {
  await ask(place, (client) =>
    client.query('CREATE TABLE IF NOT EXISTS writes (number integer PRIMARY KEY)'),
  )
}

async function lostOf(place: Place, acknowledged: readonly number[]): Promise<number> {
  const { rows } = await ask(place, (client) =>
    client.query<{ number: number }>('SELECT number FROM writes'),
  )
  const there = new Set(rows.map(({ number }) => number))
  return acknowledged.filter((number) => !there.has(number)).length
}

function manifest(): string {
  const labels = { app: 'database' }
  const env = {
    POSTGRES_USER: CREDENTIALS.user,
    POSTGRES_PASSWORD: CREDENTIALS.password,
    POSTGRES_DB: CREDENTIALS.database,
    PGDATA: '/var/lib/postgresql/data/pgdata',
  }
  const metadata = { name: 'database', namespace: NAMESPACE }
  const objects = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata,
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: {
        type: 'LoadBalancer',
        selector: labels,
        ports: [{ port: 5432, targetPort: 5432 }],
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: 1,
        strategy: { type: 'Recreate' },
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            securityContext: { fsGroup: 1000 },
            containers: [
              {
                name: 'database',
                image: 'wherry/mushroom-database:1.0',
                ports: [{ containerPort: 5432 }],
                env: Object.entries(env).map(([name, value]) => ({ name, value })),
                readinessProbe: { tcpSocket: { port: 5432 }, periodSeconds: 1 },
                volumeMounts: [{ name: 'data', mountPath: '/var/lib/postgresql/data' }],
              },
            ],
            volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'database' } }],
          },
        },
      },
    },
  ]
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
}
