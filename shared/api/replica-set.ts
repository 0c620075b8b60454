// ReplicaSet: keeps a number of equal pods alive; usually made by a Deployment.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/replica-set-v1/

import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import { required } from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import type { Condition, KubeObject, LabelSelector } from './meta.ts'
import { validateMeta } from './meta-validation.ts'
import { applyTemplateDefaults } from './pod-defaults.ts'
import type { PodTemplateSpec } from './pod.ts'
import {
  CONTAINER_COLUMNS,
  SELECTOR_COLUMN,
  containerCells,
  selectorCell,
} from './template-columns.ts'
import {
  validateCount,
  validateWorkloadSelector,
  validateWorkloadTemplate,
} from './workload-validation.ts'

export interface ReplicaSetSpec {
  replicas?: number
  minReadySeconds?: number
  selector: LabelSelector
  template?: PodTemplateSpec
}

export interface ReplicaSetStatus {
  replicas: number
  fullyLabeledReplicas?: number
  readyReplicas?: number
  availableReplicas?: number
  observedGeneration?: number
  conditions?: Condition[]
}

export interface ReplicaSet extends KubeObject {
  spec: ReplicaSetSpec
  status?: ReplicaSetStatus
}

export const replicaSetKind: KindDefinition<ReplicaSet> = {
  group: 'apps',
  version: 'v1',
  kind: 'ReplicaSet',
  plural: 'replicasets',
  singular: 'replicaset',
  shortNames: ['rs'],
  categories: ['all'],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [
    {
      name: 'scale',
      verbs: ['get', 'patch', 'update'],
      responseKind: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
    },
    { name: 'status', verbs: ['get', 'patch', 'update'] },
  ],
  columns: [
    NAME_COLUMN,
    column('Desired', 'How many pods are wanted.', 'integer'),
    column('Current', 'How many pods there are.', 'integer'),
    column('Ready', 'How many pods are ready.', 'integer'),
    AGE_COLUMN,
    ...CONTAINER_COLUMNS,
    SELECTOR_COLUMN,
  ],
  cells: (set, context) => [
    set.metadata.name,
    set.spec.replicas ?? 0,
    set.status?.replicas ?? 0,
    set.status?.readyReplicas ?? 0,
    ageOf(set, context),
    ...containerCells(set.spec.template),
    selectorCell(set.spec.selector),
  ],
  applyDefaults(draft, context) {
    const loose: { spec?: Partial<ReplicaSetSpec> } = draft
    const spec = (loose.spec ??= {})
    spec.replicas ??= 1
    spec.template ??= { spec: { containers: [] } }
    applyTemplateDefaults(spec.template)
    if (!context.old) draft.status ??= { replicas: 0 }
  },
  validate: validateReplicaSet,
  hasStatus: true,
  hasGeneration: true,
  fieldSelectors: { 'status.replicas': (set) => String(set.status?.replicas ?? 0) },
}

function validateReplicaSet(set: ReplicaSet, context: AdmissionContext): Cause[] {
  const { spec } = set
  const oldSpec = oldOf(set, context)?.spec
  const causes = [
    ...validateMeta(set, { isNamespaced: true }, context),
    ...validateCount('spec.replicas', spec.replicas),
    ...validateCount('spec.minReadySeconds', spec.minReadySeconds),
    ...validateWorkloadSelector(spec, oldSpec),
  ]
  if (!spec.template) return [...causes, required('spec.template')]
  return [...causes, ...validateWorkloadTemplate('spec.template', spec.template)]
}
