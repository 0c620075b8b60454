// What is wrong with where a pod wants to run: tolerations, affinity, spread.

import type { Cause } from '../status.ts'
import {
  child,
  duplicate,
  eachOf,
  forbidden,
  invalidEach,
  invalidValue,
  notSupported,
  required,
} from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import { validateLabelKey, validateLabelSelector } from './meta-validation.ts'
import { labelValueProblems } from './name-rules.ts'
import type {
  Affinity,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodAffinityRules,
  PodAffinityTerm,
  PodSpec,
  Toleration,
} from './pod.ts'

const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute']

/** One toleration. */
export function validateToleration(toleration: Toleration, field: FieldPath): Cause[] {
  const { key, operator, value, effect, tolerationSeconds } = toleration
  const causes = key ? validateLabelKey(child(field, 'key'), key) : []
  if (!key && operator !== 'Exists') {
    causes.push(
      invalidValue(
        child(field, 'operator'),
        operator ?? '',
        'operator must be Exists when `key` is empty, which means "match all values and all keys"',
      ),
    )
  }
  if (tolerationSeconds !== undefined && effect !== 'NoExecute') {
    const detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
    causes.push(invalidValue(child(field, 'effect'), effect ?? '', detail))
  }
  if (!operator || operator === 'Equal') {
    causes.push(...invalidEach(child(field, 'operator'), value, labelValueProblems(value ?? '')))
  } else if (operator === 'Exists') {
    if (value) {
      const detail = "value must be empty when `operator` is 'Exists'"
      causes.push(invalidValue(child(field, 'operator'), toleration, detail))
    }
  } else {
    causes.push(notSupported(child(field, 'operator'), operator, ['Equal', 'Exists']))
  }
  if (effect && !EFFECTS.includes(effect)) {
    causes.push(notSupported(child(field, 'effect'), effect, EFFECTS))
  }
  return causes
}

/** spec.affinity. */
export function validateAffinity(path: FieldPath, affinity: Affinity | undefined): Cause[] {
  if (!affinity) return []
  const { nodeAffinity, podAffinity, podAntiAffinity } = affinity
  return [
    ...validateNodeAffinity(child(path, 'nodeAffinity'), nodeAffinity),
    ...validatePodRules(child(path, 'podAffinity'), podAffinity),
    ...validatePodRules(child(path, 'podAntiAffinity'), podAntiAffinity),
  ]
}

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution'
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution'

function validateNodeAffinity(path: FieldPath, rules: Affinity['nodeAffinity']): Cause[] {
  const causes: Cause[] = []
  const must = rules?.[REQUIRED]
  if (must) {
    const field = child(path, REQUIRED, 'nodeSelectorTerms')
    causes.push(...validateNodeSelectorTerms(field, must.nodeSelectorTerms ?? []))
  }
  return [
    ...causes,
    ...eachOf(child(path, PREFERRED), rules?.[PREFERRED], (term, field) => [
      ...validateWeight(field, term.weight),
      ...validateTerm(term.preference ?? {}, child(field, 'preference')),
    ]),
  ]
}

/** The terms of a node selector, at least one. */
export function validateNodeSelectorTerms(
  field: FieldPath,
  terms: readonly NodeSelectorTerm[],
): Cause[] {
  return [
    ...(terms.length === 0 ? [required(field, 'must have at least one node selector term')] : []),
    ...eachOf(field, terms, validateTerm),
  ]
}

function validateWeight(field: FieldPath, weight: number): Cause[] {
  const isIn = weight >= 1 && weight <= 100
  return isIn
    ? []
    : [invalidValue(child(field, 'weight'), weight ?? 0, 'must be in the range 1-100')]
}

function validateTerm(term: NodeSelectorTerm, path: FieldPath): Cause[] {
  return [
    ...eachOf(child(path, 'matchExpressions'), term.matchExpressions, (rule, field) => [
      ...validateRequirement(rule, field),
      ...validateLabelKey(child(field, 'key'), rule.key ?? ''),
    ]),
    ...eachOf(child(path, 'matchFields'), term.matchFields, validateFieldRule),
  ]
}

function validateRequirement(rule: NodeSelectorRequirement, field: FieldPath): Cause[] {
  const values = child(field, 'values')
  const count = rule.values?.length ?? 0
  switch (rule.operator) {
    case 'In':
    case 'NotIn':
      return count > 0
        ? []
        : [required(values, "must be specified when `operator` is 'In' or 'NotIn'")]
    case 'Exists':
    case 'DoesNotExist':
      return count === 0
        ? []
        : [forbidden(values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")]
    case 'Gt':
    case 'Lt':
      return count === 1
        ? []
        : [required(values, "must be specified single value when `operator` is 'Lt' or 'Gt'")]
    default:
      return [
        invalidValue(child(field, 'operator'), rule.operator, 'not a valid selector operator'),
      ]
  }
}

/** Fields can only say which node: metadata.name In or NotIn one name. */
function validateFieldRule(rule: NodeSelectorRequirement, field: FieldPath): Cause[] {
  const causes: Cause[] = []
  if (rule.operator !== 'In' && rule.operator !== 'NotIn') {
    causes.push(
      invalidValue(child(field, 'operator'), rule.operator, 'not a valid selector operator'),
    )
  } else if (rule.values?.length !== 1) {
    const detail =
      "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
    causes.push(required(child(field, 'values'), detail))
  }
  if (rule.key !== 'metadata.name') {
    causes.push(invalidValue(child(field, 'key'), rule.key, 'not a valid field selector key'))
  }
  return causes
}

function validatePodRules(path: FieldPath, rules: PodAffinityRules | undefined): Cause[] {
  return [
    ...eachOf(child(path, REQUIRED), rules?.[REQUIRED], validatePodTerm),
    ...eachOf(child(path, PREFERRED), rules?.[PREFERRED], (term, field) => [
      ...validateWeight(field, term.weight),
      ...validatePodTerm(term.podAffinityTerm, child(field, 'podAffinityTerm')),
    ]),
  ]
}

function validatePodTerm(term: PodAffinityTerm, field: FieldPath): Cause[] {
  const key = child(field, 'topologyKey')
  return [
    ...validateLabelSelector(child(field, 'labelSelector'), term.labelSelector),
    ...validateLabelSelector(child(field, 'namespaceSelector'), term.namespaceSelector),
    ...(term.topologyKey
      ? validateLabelKey(key, term.topologyKey)
      : [required(key, 'can not be empty')]),
  ]
}

/** spec.topologySpreadConstraints. */
export function validateSpread(
  path: FieldPath,
  constraints: PodSpec['topologySpreadConstraints'],
): Cause[] {
  const seen = new Set<string>()
  const policies = ['DoNotSchedule', 'ScheduleAnyway']
  return eachOf(path, constraints, (constraint, field) => {
    const { maxSkew, topologyKey, whenUnsatisfiable, labelSelector } = constraint
    const causes: Cause[] = []
    if (!(maxSkew > 0)) {
      causes.push(invalidValue(child(field, 'maxSkew'), maxSkew ?? 0, 'must be greater than zero'))
    }
    const key = child(field, 'topologyKey')
    if (!topologyKey) causes.push(required(key, 'can not be empty'))
    else causes.push(...validateLabelKey(key, topologyKey))
    if (!policies.includes(whenUnsatisfiable)) {
      causes.push(
        notSupported(child(field, 'whenUnsatisfiable'), whenUnsatisfiable ?? '', policies),
      )
    }
    const pair = `{${topologyKey}, ${whenUnsatisfiable}}`
    if (seen.has(pair)) {
      causes.push(duplicate(child(field, '{topologyKey, whenUnsatisfiable}'), pair))
    }
    seen.add(pair)
    return [...causes, ...validateLabelSelector(child(field, 'labelSelector'), labelSelector)]
  })
}
