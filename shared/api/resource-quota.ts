// ResourceQuota (v1): how much of what a namespace may hold. What it counts is in shared/quota/.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/resource-quota-v1/

import { NOT_A_QUANTITY, canonicalQuantity, compareQuantities, isQuantity } from '../quantity.ts'
import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import { IMMUTABLE, at, invalidValue, IS_NEGATIVE, required } from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import { validateMeta } from './meta-validation.ts'
import type { KubeObject } from './meta.ts'
import { labelKeyProblems } from './name-rules.ts'
import type { ResourceList } from './pod-resources.ts'

export interface ScopeRequirement {
  scopeName: string
  operator: string
  values?: string[]
}

export interface ResourceQuotaSpec {
  hard?: ResourceList
  scopes?: string[]
  scopeSelector?: { matchExpressions?: ScopeRequirement[] }
}

export interface ResourceQuota extends KubeObject {
  spec: ResourceQuotaSpec
  status?: { hard?: ResourceList; used?: ResourceList }
}

const LIMIT_PREFIX = 'limits.'

export const resourceQuotaKind: KindDefinition<ResourceQuota> = {
  group: '',
  version: 'v1',
  kind: 'ResourceQuota',
  plural: 'resourcequotas',
  singular: 'resourcequota',
  shortNames: ['quota'],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [{ name: 'status', verbs: ['get', 'patch', 'update'] }],
  columns: [
    NAME_COLUMN,
    column(
      'Request',
      'Request represents a minimum amount of cpu/memory that a container may consume.',
    ),
    column(
      'Limit',
      'Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.',
    ),
    AGE_COLUMN,
  ],
  cells(quota, context) {
    const { hard = {}, used = {} } = quota.status ?? {}
    const shown = (isLimit: boolean): string =>
      Object.keys(hard)
        .filter((resource) => resource.startsWith(LIMIT_PREFIX) === isLimit)
        .sort()
        .map((resource) => `${resource}: ${used[resource] ?? '0'}/${hard[resource]}`)
        .join(', ')
    return [quota.metadata.name, shown(false), shown(true), ageOf(quota, context)]
  },
  applyDefaults(draft) {
    const loose: { spec?: ResourceQuotaSpec } = draft
    const spec = (loose.spec ??= {})
    for (const [resource, quantity] of Object.entries(spec.hard ?? {})) {
      spec.hard = { ...spec.hard, [resource]: canonicalQuantity(quantity) }
    }
  },
  validate: validateResourceQuota,
  hasStatus: true,
  hasGeneration: false,
}

const COMPUTE = ['cpu', 'memory', 'ephemeral-storage']
const POD_COMPUTE = new Set(
  ['cpu', 'memory'].flatMap((each) => [each, `requests.${each}`, `limits.${each}`]),
)
const COUNTS = new Set([
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'services.nodeports',
  'services.loadbalancers',
])
const STANDARD = new Set([
  ...COUNTS,
  ...COMPUTE.flatMap((each) => [each, `requests.${each}`, `limits.${each}`]),
  'requests.storage',
])
const POD_SCOPES = ['Terminating', 'NotTerminating', 'NotBestEffort', 'PriorityClass']
const SCOPES = new Set([...POD_SCOPES, 'BestEffort', 'CrossNamespacePodAffinity'])
const EXISTS_ONLY =
  "must be 'Exist' only operator when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
const CONFLICTS = [
  ['BestEffort', 'NotBestEffort'],
  ['Terminating', 'NotTerminating'],
] as const

function validateResourceQuota(quota: ResourceQuota, context: AdmissionContext): Cause[] {
  const spec: ResourceQuotaSpec = quota.spec ?? {}
  const old = oldOf(quota, context)
  return [
    ...validateMeta(quota, { isNamespaced: true }, context),
    ...Object.entries(spec.hard ?? {}).flatMap(([resource, quantity]) =>
      validateHard(resource, quantity),
    ),
    ...validateScopes(spec),
    ...validateSelector(spec),
    // What a quota counts may not change under what was counted.
    ...(old && String(old.spec.scopes ?? []) !== String(spec.scopes ?? [])
      ? [invalidValue('spec.scopes', spec.scopes ?? [], IMMUTABLE)]
      : []),
  ]
}

function validateHard(resource: string, quantity: string): Cause[] {
  const field = at('spec.hard', resource)
  const problems = labelKeyProblems(resource).map((each) => invalidValue(field, resource, each))
  if (problems.length === 0 && !resource.includes('/') && !isStandard(resource)) {
    problems.push(
      invalidValue(field, resource, 'must be a standard resource type or fully qualified'),
      invalidValue(field, resource, 'must be a standard resource for quota'),
    )
  }
  if (!isQuantity(quantity)) return [...problems, invalidValue(field, quantity, NOT_A_QUANTITY)]
  if (compareQuantities(quantity, '0') < 0) {
    problems.push(invalidValue(field, quantity, IS_NEGATIVE))
  }
  const isCount = COUNTS.has(resource) || resource.startsWith('count/')
  if (isCount && /[num]$/.test(quantity)) {
    problems.push(invalidValue(field, quantity, 'must be an integer'))
  }
  return problems
}

function isStandard(resource: string): boolean {
  return STANDARD.has(resource) || /^(requests\.)?hugepages-/.test(resource)
}

/** Scopes speak of pods: what is counted otherwise cannot be in them. */
function isValidIn(scope: string, resource: string): boolean {
  if (!isStandard(resource)) return true
  if (POD_SCOPES.includes(scope)) return resource === 'pods' || POD_COMPUTE.has(resource)
  if (scope === 'BestEffort' || scope === 'CrossNamespacePodAffinity') return resource === 'pods'
  return true
}

function validateScopes({ scopes = [], hard = {} }: ResourceQuotaSpec): Cause[] {
  const causes: Cause[] = []
  for (const scope of scopes) {
    if (!SCOPES.has(scope)) causes.push(invalidValue('spec.scopes', scopes, 'unsupported scope'))
    for (const resource of Object.keys(hard).sort()) {
      if (isValidIn(scope, resource)) continue
      causes.push(invalidValue('spec.scopes', scopes, 'unsupported scope applied to resource'))
    }
  }
  return [...causes, ...conflicting(scopes, scopes)]
}

function conflicting(scopes: readonly string[], shown: unknown): Cause[] {
  return CONFLICTS.filter((pair) => pair.every((scope) => scopes.includes(scope))).map(() =>
    invalidValue('spec.scopes', shown, 'conflicting scopes'),
  )
}

function validateSelector({ scopeSelector, hard = {}, scopes }: ResourceQuotaSpec): Cause[] {
  const path = 'spec.scopeSelector.matchExpressions'
  const requirements = scopeSelector?.matchExpressions ?? []
  const causes: Cause[] = []
  for (const { scopeName, operator, values = [] } of requirements) {
    if (!SCOPES.has(scopeName)) {
      causes.push(invalidValue(`${path}.scopeName`, scopeName, 'unsupported scope'))
    }
    for (const resource of Object.keys(hard).sort()) {
      if (isValidIn(scopeName, resource)) continue
      causes.push(invalidValue(path, scopeSelector, 'unsupported scope applied to resource'))
    }
    if (scopeName !== 'PriorityClass' && SCOPES.has(scopeName) && operator !== 'Exists') {
      causes.push(invalidValue(`${path}.operator`, operator, EXISTS_ONLY))
    }
    causes.push(...validateOperator(path, operator, values))
  }
  const named = requirements.map(({ scopeName }) => scopeName)
  return [...causes, ...conflicting(named, scopes ?? [])]
}

function validateOperator(path: string, operator: string, values: readonly string[]): Cause[] {
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length > 0) return []
    return [
      required(
        `${path}.values`,
        "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
      ),
    ]
  }
  if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length === 0) return []
    return [
      invalidValue(
        `${path}.values`,
        values,
        "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
      ),
    ]
  }
  return [invalidValue(`${path}.operator`, operator, 'not a valid selector operator')]
}
