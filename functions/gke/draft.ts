// From what gcloud sends to what Wherry stores: defaults as GKE's, refusals in its words.

import type { NodePoolSpec } from '#shared/api/node-pool.ts'
import type { Taint } from '#shared/api/node.ts'
import type { NodePoolDraft } from '../clusters/fleet.ts'
import { GoogleError } from './errors.ts'
import { taintEffect, type ClusterBody, type NodePoolBody } from './wire.ts'

/** GKE's own limits and defaults. */
const NODES_DEFAULT = 3
const NODES_PER_POOL_MAX = 1000
const DISK_GB_MIN = 10
const DISK_GB_DEFAULT = 100
const MACHINE_TYPE_DEFAULT = 'e2-medium'
const NAME = /^[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?$/

/** Google's public zones follow this form; a region is one without the last letter. */
const ZONE = /^[a-z]+-[a-z]+\d+-[a-z]$/
const REGION = /^[a-z]+-[a-z]+\d+$/

/** Refuses names GKE would refuse. */
export function checkName(field: string, name: string | undefined): string {
  if (name && NAME.test(name)) return name
  throw new GoogleError(
    'INVALID_ARGUMENT',
    `Invalid value for field "${field}": "${name ?? ''}". Name must start with a lowercase letter followed by up to 39 lowercase letters, numbers, or hyphens, and cannot end with a hyphen.`,
  )
}

/** The zone a pool's VMs are made in: the location itself, or a region's first zone. */
export function zoneOf(location: string): string {
  if (ZONE.test(location)) return location
  if (REGION.test(location)) return `${location}-b`
  throw new GoogleError('INVALID_ARGUMENT', `Location "${location}" does not exist.`)
}

/** The pools of a new cluster: those that are named, or `default-pool`. */
export function poolDrafts(location: string, body: ClusterBody): NodePoolDraft[] {
  const pools = body.nodePools ?? [
    {
      name: 'default-pool',
      initialNodeCount: body.initialNodeCount,
      ...(body.nodeConfig ? { config: body.nodeConfig } : {}),
    },
  ]
  const drafts = pools.map((pool) => poolDraft(location, pool))
  const names = new Set(drafts.map((draft) => draft.name))
  if (names.size !== drafts.length) {
    throw new GoogleError('INVALID_ARGUMENT', 'Node pool names must be unique within a cluster.')
  }
  return drafts
}

export function poolDraft(location: string, pool: NodePoolBody): NodePoolDraft {
  const config = pool.config ?? {}
  const spec: NodePoolSpec = {
    nodeCount: checkCount('initial_node_count', pool.initialNodeCount ?? NODES_DEFAULT),
    zone: zoneOf(location),
    machineType: config.machineType ?? MACHINE_TYPE_DEFAULT,
    diskSizeGb: checkDisk(config.diskSizeGb ?? DISK_GB_DEFAULT),
    spot: config.spot === true || config.preemptible === true,
  }
  if (config.labels && Object.keys(config.labels).length > 0) spec.labels = config.labels
  const taints = (config.taints ?? []).map(taint)
  if (taints.length > 0) spec.taints = taints
  const { autoscaling } = pool
  if (autoscaling?.enabled) {
    spec.autoscaling = {
      enabled: true,
      minNodeCount: checkCount('min_node_count', autoscaling.minNodeCount ?? 0),
      maxNodeCount: checkCount('max_node_count', autoscaling.maxNodeCount ?? spec.nodeCount),
    }
  }
  return { name: checkName('node_pool.name', pool.name ?? 'default-pool'), spec }
}

/** A number of nodes that a pool may have. */
export function checkCount(field: string, count: unknown): number {
  if (
    typeof count === 'number' &&
    Number.isInteger(count) &&
    count >= 0 &&
    count <= NODES_PER_POOL_MAX
  ) {
    return count
  }
  throw new GoogleError(
    'INVALID_ARGUMENT',
    `Invalid value for field "${field}": "${String(count)}". Must be an integer from 0 to ${NODES_PER_POOL_MAX}.`,
  )
}

function checkDisk(gb: number): number {
  if (Number.isInteger(gb) && gb >= DISK_GB_MIN) return gb
  throw new GoogleError(
    'INVALID_ARGUMENT',
    `Invalid value for field "node_config.disk_size_gb": "${gb}". Must be at least ${DISK_GB_MIN}.`,
  )
}

function taint(wire: { key?: string; value?: string; effect?: string }): Taint {
  const effect = taintEffect(wire.effect)
  if (!wire.key || !effect) {
    throw new GoogleError('INVALID_ARGUMENT', `Invalid taint: key and effect are required.`)
  }
  return { key: wire.key, ...(wire.value ? { value: wire.value } : {}), effect }
}
