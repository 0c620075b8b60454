// Node: one VM that runs pods. Cluster-scoped.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/

import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, NONE, ageOf, column, wideColumn } from './columns.ts'
import { conditionOf } from './conditions.ts'
import {
  at,
  child,
  duplicate,
  forbidden,
  invalidValue,
  notSupported,
  required,
} from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, Cell, KindDefinition, PrintContext } from './kind.ts'
import type { Condition, KubeObject } from './meta.ts'
import { validateLabelKey, validateMeta } from './meta-validation.ts'
import { labelValueProblems } from './name-rules.ts'
import type { Quantity } from './pod.ts'

export interface Taint {
  key: string
  value?: string
  effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute'
  timeAdded?: string
}

export interface NodeSpec {
  /** `gce://<project>/<zone>/<instance name>`, as on GKE. */
  providerID?: string
  podCIDR?: string
  podCIDRs?: string[]
  unschedulable?: boolean
  taints?: Taint[]
}

export interface NodeStatus {
  capacity?: Record<string, Quantity>
  allocatable?: Record<string, Quantity>
  conditions?: Condition[]
  addresses?: { type: 'InternalIP' | 'ExternalIP' | 'Hostname'; address: string }[]
  nodeInfo?: Record<string, string>
  images?: { names: string[]; sizeBytes?: number }[]
  daemonEndpoints?: { kubeletEndpoint: { Port: number } }
  /** Volumes that the agent has mounted or is about to: told before it does so. */
  volumesInUse?: string[]
}

/** Annotation: the VM's incarnation, `<instance id>`; a new VM of the same name has another. */
export const INSTANCE_ID_ANNOTATION = 'wherry.dev/instance-id'

/**
 * Annotations: since when the agent is asked whether it lives, because its VM fails its health check
 * (RFC 3339), and the agent's answer: the same time. Both of one incarnation of the VM.
 */
export const ASKED_ANNOTATION = 'wherry.dev/asked-at'
export const ANSWERED_ANNOTATION = 'wherry.dev/answered-at'

/** What an agent says in Ready=False (KubeletNotReady) when its VM was told to shut down; kubelet's words. */
export const NODE_SHUTDOWN_MESSAGE = 'node is shutting down'

export interface Node extends KubeObject {
  spec: NodeSpec
  status?: NodeStatus
}

export const nodeKind: KindDefinition<Node> = {
  group: '',
  version: 'v1',
  kind: 'Node',
  plural: 'nodes',
  singular: 'node',
  shortNames: ['no'],
  categories: [],
  isNamespaced: false,
  verbs: ALL_VERBS,
  subresources: [{ name: 'status', verbs: ['get', 'patch', 'update'] }],
  columns: [
    NAME_COLUMN,
    column('Status', 'Whether the node can run pods.'),
    column('Roles', 'What the node is for.'),
    AGE_COLUMN,
    column('Version', 'The version of its agent.'),
    wideColumn('Internal-IP', 'Its address inside the network.'),
    wideColumn('External-IP', 'Its address for the rest of the world.'),
    wideColumn('OS-Image', 'Its operating system.'),
    wideColumn('Kernel-Version', 'Its kernel.'),
    wideColumn('Container-Runtime', 'What runs its containers.'),
  ],
  cells: nodeCells,
  applyDefaults(draft) {
    draft.spec ??= {}
    if (draft.status?.capacity) draft.status.allocatable ??= { ...draft.status.capacity }
  },
  validate: validateNode,
  hasStatus: true,
  hasGeneration: false,
  fieldSelectors: {
    'spec.unschedulable': (node) => String(node.spec.unschedulable ?? false),
  },
}

function nodeCells(node: Node, context: PrintContext): Cell[] {
  const ready = conditionOf(node, 'Ready')
  const status = ready ? (ready.status === 'True' ? 'Ready' : 'NotReady') : 'Unknown'
  const info = node.status?.nodeInfo ?? {}
  const address = (type: string): string =>
    node.status?.addresses?.find((each) => each.type === type)?.address || NONE
  return [
    node.metadata.name,
    node.spec.unschedulable ? `${status},SchedulingDisabled` : status,
    rolesOf(node),
    ageOf(node, context),
    info.kubeletVersion ?? '',
    address('InternalIP'),
    address('ExternalIP'),
    info.osImage || '<unknown>',
    info.kernelVersion || '<unknown>',
    info.containerRuntimeVersion || '<unknown>',
  ]
}

const ROLE_PREFIX = 'node-role.kubernetes.io/'

function rolesOf(node: Node): string {
  const roles = new Set<string>()
  for (const [key, value] of Object.entries(node.metadata.labels ?? {})) {
    if (key.startsWith(ROLE_PREFIX) && key !== ROLE_PREFIX) roles.add(key.slice(ROLE_PREFIX.length))
    else if (key === 'kubernetes.io/role' && value !== '') roles.add(value)
  }
  return roles.size > 0 ? [...roles].sort().join(',') : NONE
}

const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute']

function validateNode(node: Node, context: AdmissionContext): Cause[] {
  const causes = validateMeta(node, { isNamespaced: false }, context)
  const seen = new Set<string>()
  for (const [index, taint] of (node.spec.taints ?? []).entries()) {
    const field = at('spec.taints', index)
    causes.push(...validateLabelKey(child(field, 'key'), taint.key ?? ''))
    for (const problem of labelValueProblems(taint.value ?? '')) {
      causes.push(invalidValue(child(field, 'value'), taint.value, problem))
    }
    if (!taint.effect) causes.push(required(child(field, 'effect')))
    else if (!EFFECTS.includes(taint.effect)) {
      causes.push(notSupported(child(field, 'effect'), taint.effect, EFFECTS))
    }
    const identity = `${taint.key}:${taint.effect}`
    if (seen.has(identity)) {
      const twice = duplicate(field, taint)
      const message = `${twice.message}: taints must be unique by key and effect pair`
      causes.push({ ...twice, message })
    }
    seen.add(identity)
  }
  const old = oldOf(node, context)
  return old ? [...causes, ...validateNodeUpdate(node, old)] : causes
}

function validateNodeUpdate(node: Node, old: Node): Cause[] {
  const causes: Cause[] = []
  if (old.spec.podCIDR && old.spec.podCIDR !== node.spec.podCIDR) {
    causes.push(
      forbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'),
    )
  }
  if (old.spec.providerID && old.spec.providerID !== node.spec.providerID) {
    causes.push(
      forbidden(
        'spec.providerID',
        'node updates may not change providerID except from "" to valid',
      ),
    )
  }
  return causes
}
