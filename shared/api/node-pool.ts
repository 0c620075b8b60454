// NodePool (container.wherry.dev/v1): the VMs of a cluster; each pool is one managed instance group.
// Cluster-scoped, stored among the cluster's own objects; the GKE API reads and writes it.

import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, NONE, ageOf, column, wideColumn } from './columns.ts'
import { IMMUTABLE, IS_NEGATIVE, between, invalidValue, required } from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateLabels, validateMeta } from './meta-validation.ts'
import { dnsLabelProblems } from './name-rules.ts'
import type { Taint } from './node.ts'

export interface NodePoolSpec {
  /** How many VMs are wanted. */
  nodeCount: number
  zone: string
  machineType: string
  diskSizeGb: number
  spot: boolean
  /** Labels and taints of its Nodes. */
  labels?: Record<string, string>
  taints?: Taint[]
  autoscaling?: { enabled: boolean; minNodeCount: number; maxNodeCount: number }
}

export interface NodePoolStatus {
  /** The managed instance group, once asked for. */
  instanceGroup?: string
  /** The VMs that exist, as Compute Engine last listed them (written by the cloud function). */
  instances?: PoolInstance[]
  phase?: 'Provisioning' | 'Running' | 'Deleting' | 'Error'
  message?: string
}

/**
 * One VM. The api function trusts an agent only if its identity token names a VM in this list (same
 * name and id); the node controller takes a Node away whose VM is not in it.
 */
export interface PoolInstance {
  name: string
  /** Google's numeric id as text: a new VM of the same name has another one. */
  id: string
  status: string
  creationTimestamp: string
  internalIp?: string
  externalIp?: string
  /** False when the health checker says so (written by the signals function); absent: not known. */
  isHealthy?: boolean
}

export interface NodePool extends KubeObject {
  spec: NodePoolSpec
  status?: NodePoolStatus
}

/** Finalizer: the pool's VMs must be gone before the object goes. */
export const NODE_POOL_FINALIZER = 'container.wherry.dev/instance-group'

/** Node label that names the pool, as on GKE. */
export const NODE_POOL_LABEL = 'cloud.google.com/gke-nodepool'

/** Node label of spot VMs, as on GKE. */
export const SPOT_LABEL = 'cloud.google.com/gke-spot'

/** Finalizer of a Service of type LoadBalancer, as Kubernetes' service controller sets it. */
export const LOAD_BALANCER_FINALIZER = 'service.kubernetes.io/load-balancer-cleanup'

/** The smallest and largest boot disk that Compute Engine gives a VM of a pool. */
const DISK_GB = { min: 10, max: 65_536 }

export const nodePoolKind: KindDefinition<NodePool> = {
  group: 'container.wherry.dev',
  version: 'v1',
  kind: 'NodePool',
  plural: 'nodepools',
  singular: 'nodepool',
  shortNames: ['np'],
  categories: [],
  isNamespaced: false,
  verbs: ALL_VERBS,
  subresources: [{ name: 'status', verbs: ['get', 'patch', 'update'] }],
  columns: [
    NAME_COLUMN,
    column('Machine-Type', 'The machine type of its VMs.'),
    column('Zone', 'Where its VMs are.'),
    column('VMs', 'How many VMs run, of how many wanted.'),
    column('Status', 'Provisioning, Running, Deleting or Error.'),
    AGE_COLUMN,
    wideColumn('Instance-Group', 'The managed instance group behind it.'),
    wideColumn('Message', 'What is being waited for, or went wrong.'),
  ],
  cells(pool, context) {
    const running = (pool.status?.instances ?? []).filter((each) => each.status === 'RUNNING')
    return [
      pool.metadata.name,
      pool.spec.machineType,
      pool.spec.zone,
      `${running.length}/${pool.spec.nodeCount}`,
      pool.status?.phase ?? '',
      ageOf(pool, context),
      pool.status?.instanceGroup ?? NONE,
      pool.status?.message ?? '',
    ]
  },
  applyDefaults(draft, context) {
    // What gcloud takes when it is told nothing.
    draft.spec ??= { nodeCount: 3, zone: '', machineType: '', diskSizeGb: 0, spot: false }
    draft.spec.nodeCount ??= 3
    draft.spec.machineType ||= 'e2-medium'
    draft.spec.diskSizeGb ||= 100
    draft.spec.spot ??= false
    if (!context.old && draft.metadata) {
      draft.metadata.finalizers = [
        ...new Set([...(draft.metadata.finalizers ?? []), NODE_POOL_FINALIZER]),
      ]
      draft.status ??= { phase: 'Provisioning' }
    }
  },
  validate: validateNodePool,
  hasStatus: true,
  hasGeneration: true,
}

function validateNodePool(pool: NodePool, context: AdmissionContext): Cause[] {
  const { spec } = pool
  const causes = validateMeta(
    pool,
    { isNamespaced: false, nameProblems: dnsLabelProblems },
    context,
  )
  if (!Number.isInteger(spec.nodeCount) || spec.nodeCount < 0) {
    causes.push(invalidValue('spec.nodeCount', spec.nodeCount, IS_NEGATIVE))
  }
  if (!spec.zone) causes.push(required('spec.zone'))
  if (spec.diskSizeGb < DISK_GB.min || spec.diskSizeGb > DISK_GB.max) {
    causes.push(invalidValue('spec.diskSizeGb', spec.diskSizeGb, between(DISK_GB.min, DISK_GB.max)))
  }
  causes.push(...validateLabels('spec.labels', spec.labels))
  const scaling = spec.autoscaling
  if (scaling?.enabled && scaling.minNodeCount > scaling.maxNodeCount) {
    causes.push(
      invalidValue(
        'spec.autoscaling.minNodeCount',
        scaling.minNodeCount,
        'must be less than or equal to maxNodeCount',
      ),
    )
  }
  const old = oldOf(pool, context)
  if (old) {
    for (const field of ['zone', 'machineType', 'diskSizeGb', 'spot'] as const) {
      if (old.spec[field] !== spec[field]) {
        causes.push(invalidValue(`spec.${field}`, spec[field], IMMUTABLE))
      }
    }
  }
  return causes
}
