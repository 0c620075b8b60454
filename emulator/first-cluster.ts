// What `npm start` does once the system is up: the lecture's cluster, its nodes, the example on it.

import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { conditionOf } from '#shared/api/conditions.ts'
import type { Cluster } from '#shared/api/cluster.ts'
import type { Node } from '#shared/api/node.ts'
import type { Service } from '#shared/api/service.ts'
import { keyOf } from '#shared/key.ts'
import { isReason } from '#shared/status.ts'
import { createCluster, findCluster } from '#functions/clusters/fleet.ts'
import { poolDraft } from '#functions/gke/draft.ts'
import { applyManifests, type ApiClient } from './apply-example.ts'
import { PROJECT, ZONE, type Local } from './local.ts'

const DISPLAY_NAME = 'test-cluster'
const MANIFEST = 'examples/tic-tac-toe/deploy-k8s-tic-tac-toe.yml'
const DEADLINE_MS = 120_000

/** The cluster of last time, or a new one with a pool of `nodes` VMs. */
export async function firstCluster(local: Local, nodes: number): Promise<Cluster> {
  const spec = { project: PROJECT, location: ZONE, displayName: DISPLAY_NAME }
  const present = await findCluster(local.gke, spec)
  if (present && !present.metadata.deletionTimestamp) return present
  const pool = poolDraft(ZONE, { name: 'default-pool', initialNodeCount: nodes })
  const cluster = await createCluster(local.gke, {
    spec,
    nodePools: [pool],
    ca: local.authority.certificatePem,
  })
  await local.endpoints.access(cluster)
  return cluster
}

/** Waits until this many Nodes are Ready; `note` hears how far it is. */
export async function untilNodesReady(
  local: Local,
  cluster: Cluster,
  wanted: number,
  note: (text: string) => void,
): Promise<void> {
  const live = await local.views.open(cluster.metadata.name)
  await until(`${wanted} nodes`, async () => {
    const nodes = (await live.catchUp()).list('nodes') as readonly Node[]
    const ready = nodes.filter((node) => conditionOf(node, 'Ready')?.status === 'True')
    note(`${ready.length} of ${wanted} ready`)
    return ready.length >= wanted
  })
}

/** Creates what of the example is not there, and waits until it answers. */
export async function deployExample(
  local: Local,
  { cluster, root, note }: { cluster: Cluster; root: string; note: (text: string) => void },
): Promise<string> {
  await applyManifests(apiClient(local, cluster), join(root, MANIFEST))
  const live = await local.views.open(cluster.metadata.name)
  return until('the example', async () => {
    const service = (await live.catchUp()).get(keyOf('services', 'default', 'web')) as
      | Service
      | undefined
    const address = service?.status?.loadBalancer?.ingress?.[0]?.ip
    const url = address && local.urlOfAddress(address, service?.spec.ports?.[0]?.port ?? 80)
    if (!url) {
      note('waiting for an address')
      return undefined
    }
    note(url)
    return (await answers(url)) ? url : undefined
  })
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, {
      signal: AbortSignal.timeout(2000),
      headers: { connection: 'close' },
    })
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

async function until<T>(what: string, check: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + DEADLINE_MS
  while (Date.now() < deadline) {
    const answer = await check().catch(unlessAway)
    if (answer !== undefined && answer !== false) return answer
    await sleep(100)
  }
  throw new Error(`${what} not ready after ${DEADLINE_MS / 1000} s; see the logs`)
}

/** On a busy machine the store may be late: that is asked again, anything else is a failure. */
function unlessAway(error: unknown): undefined {
  if (!isReason(error, 'ServiceUnavailable')) throw error
}

/** Speaks to the cluster's API as any client does: over TLS, with the admin's token. */
function apiClient(local: Local, cluster: Cluster): ApiClient {
  const agent = new Agent({ ca: local.authority.certificatePem })
  const base = local.endpoints.urlOf(cluster.metadata.name) ?? ''
  return {
    request: (method, path, body) =>
      new Promise((resolve, reject) => {
        const call = request(`${base}${path}`, {
          method,
          agent,
          headers: {
            authorization: `Bearer ${local.adminToken}`,
            'content-type': 'application/json',
          },
        })
        call.on('error', reject)
        call.on('response', (response) => {
          let text = ''
          response.on('data', (chunk: Buffer) => (text += chunk.toString()))
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }),
          )
          response.on('error', reject)
        })
        call.end(body === undefined ? undefined : JSON.stringify(body))
      }),
  }
}
