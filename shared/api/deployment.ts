// Deployment: a number of equal pods, and how to replace them by newer ones.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/

import { validateAtMostHundredPercent, validateIntOrPercent } from '../int-or-percent.ts'
import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import { child, forbidden, invalidValue, notSupported, required } from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import type { Condition, KubeObject, LabelSelector } from './meta.ts'
import { validateMeta } from './meta-validation.ts'
import { applyTemplateDefaults } from './pod-defaults.ts'
import type { IntOrString, PodTemplateSpec } from './pod.ts'
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

export interface DeploymentSpec {
  replicas?: number
  selector: LabelSelector
  template: PodTemplateSpec
  strategy?: {
    type?: 'RollingUpdate' | 'Recreate'
    rollingUpdate?: { maxSurge?: IntOrString; maxUnavailable?: IntOrString }
  }
  minReadySeconds?: number
  revisionHistoryLimit?: number
  paused?: boolean
  progressDeadlineSeconds?: number
}

export interface DeploymentStatus {
  observedGeneration?: number
  replicas?: number
  updatedReplicas?: number
  readyReplicas?: number
  availableReplicas?: number
  unavailableReplicas?: number
  conditions?: Condition[]
  collisionCount?: number
}

export interface Deployment extends KubeObject {
  spec: DeploymentSpec
  status?: DeploymentStatus
}

export const deploymentKind: KindDefinition<Deployment> = {
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  plural: 'deployments',
  singular: 'deployment',
  shortNames: ['deploy'],
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
    column('Ready', 'Number of the pod with ready state, of those wanted.'),
    column('Up-to-date', 'How many pods are made from the newest template.', 'integer'),
    column('Available', 'How many pods have been ready long enough.', 'integer'),
    AGE_COLUMN,
    ...CONTAINER_COLUMNS,
    SELECTOR_COLUMN,
  ],
  cells: (deployment, context) => [
    deployment.metadata.name,
    `${deployment.status?.readyReplicas ?? 0}/${deployment.spec.replicas ?? 0}`,
    deployment.status?.updatedReplicas ?? 0,
    deployment.status?.availableReplicas ?? 0,
    ageOf(deployment, context),
    ...containerCells(deployment.spec.template),
    selectorCell(deployment.spec.selector),
  ],
  applyDefaults: applyDeploymentDefaults,
  validate: validateDeployment,
  hasStatus: true,
  hasGeneration: true,
}

function applyDeploymentDefaults(draft: Deployment, context: AdmissionContext): void {
  const loose: { spec?: Partial<DeploymentSpec> } = draft
  const spec = (loose.spec ??= {})
  spec.replicas ??= 1
  spec.revisionHistoryLimit ??= 10
  spec.progressDeadlineSeconds ??= 600
  spec.strategy ??= {}
  spec.strategy.type ||= 'RollingUpdate'
  if (spec.strategy.type === 'RollingUpdate') {
    spec.strategy.rollingUpdate ??= {}
    spec.strategy.rollingUpdate.maxUnavailable ??= '25%'
    spec.strategy.rollingUpdate.maxSurge ??= '25%'
  }
  spec.template ??= { spec: { containers: [] } }
  applyTemplateDefaults(spec.template)
  if (!context.old) draft.status ??= {}
}

function validateDeployment(deployment: Deployment, context: AdmissionContext): Cause[] {
  const { spec } = deployment
  const oldSpec = oldOf(deployment, context)?.spec
  const causes = [
    ...validateMeta(deployment, { isNamespaced: true }, context),
    ...validateCount('spec.replicas', spec.replicas),
    ...validateWorkloadSelector(spec, oldSpec),
    ...validateWorkloadTemplate('spec.template', spec.template),
    ...validateStrategy('spec.strategy', spec.strategy ?? {}),
    ...validateCount('spec.minReadySeconds', spec.minReadySeconds),
    ...validateCount('spec.revisionHistoryLimit', spec.revisionHistoryLimit),
    ...validateCount('spec.progressDeadlineSeconds', spec.progressDeadlineSeconds),
  ]
  const deadline = spec.progressDeadlineSeconds
  if (deadline !== undefined && deadline <= (spec.minReadySeconds ?? 0)) {
    causes.push(
      invalidValue(
        'spec.progressDeadlineSeconds',
        deadline,
        'must be greater than minReadySeconds',
      ),
    )
  }
  return causes
}

function validateStrategy(
  path: FieldPath,
  strategy: NonNullable<DeploymentSpec['strategy']>,
): Cause[] {
  const field = child(path, 'rollingUpdate')
  const rolling = strategy.rollingUpdate
  if (strategy.type === 'Recreate') {
    return rolling
      ? [forbidden(field, "may not be specified when strategy `type` is 'Recreate'")]
      : []
  }
  if (strategy.type !== 'RollingUpdate') {
    return [notSupported(child(path, 'type'), strategy.type ?? '', ['Recreate', 'RollingUpdate'])]
  }
  if (!rolling) return [required(field, 'this should be defaulted and never be nil')]
  const { maxUnavailable, maxSurge } = rolling
  const causes = [
    ...validateIntOrPercent(child(field, 'maxUnavailable'), maxUnavailable),
    ...validateIntOrPercent(child(field, 'maxSurge'), maxSurge),
  ]
  if (isZero(maxUnavailable) && isZero(maxSurge)) {
    causes.push(
      invalidValue(
        child(field, 'maxUnavailable'),
        maxUnavailable,
        'may not be 0 when `maxSurge` is 0',
      ),
    )
  }
  causes.push(...validateAtMostHundredPercent(child(field, 'maxUnavailable'), maxUnavailable))
  return causes
}

function isZero(value: IntOrString | undefined): boolean {
  return value === 0 || (typeof value === 'string' && /^0+%$/.test(value))
}
