// PriorityClass (scheduling.k8s.io/v1): a name for how important pods are.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/priority-class-v1/

import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import { IMMUTABLE, forbidden, invalidValue, notSupported } from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'

export interface PriorityClass extends KubeObject {
  value: number
  globalDefault?: boolean
  description?: string
  preemptionPolicy?: string
}

/** The highest value that is not reserved for the system. */
const HIGHEST_USER_VALUE = 1_000_000_000

export const priorityClassKind: KindDefinition<PriorityClass> = {
  group: 'scheduling.k8s.io',
  version: 'v1',
  kind: 'PriorityClass',
  plural: 'priorityclasses',
  singular: 'priorityclass',
  shortNames: ['pc'],
  categories: [],
  isNamespaced: false,
  verbs: ALL_VERBS,
  subresources: [],
  columns: [
    NAME_COLUMN,
    column('Value', 'The higher, the more important.', 'integer'),
    column('Global-Default', 'Whether pods that name no class get this one.', 'boolean'),
    AGE_COLUMN,
    column('PreemptionPolicy', 'Whether its pods may displace others.'),
  ],
  cells: (priority, context) => [
    priority.metadata.name,
    priority.value,
    priority.globalDefault ?? false,
    ageOf(priority, context),
    priority.preemptionPolicy ?? '',
  ],
  applyDefaults(draft) {
    const loose: { value?: number } = draft
    loose.value ??= 0
    draft.preemptionPolicy ||= 'PreemptLowerPriority'
  },
  validate: validatePriorityClass,
  hasStatus: false,
  hasGeneration: true,
}

function validatePriorityClass(priority: PriorityClass, context: AdmissionContext): Cause[] {
  const causes = validateMeta(priority, { isNamespaced: false }, context)
  const name = priority.metadata?.name ?? ''
  if (name.startsWith('system-')) {
    causes.push(
      forbidden(
        'metadata.name',
        "priority class names with 'system-' prefix are reserved for system use only",
      ),
    )
  }
  if (priority.value > HIGHEST_USER_VALUE) {
    causes.push(
      forbidden(
        'value',
        `maximum allowed value of a user defined priority is ${HIGHEST_USER_VALUE}`,
      ),
    )
  }
  const policies = ['Never', 'PreemptLowerPriority']
  if (!policies.includes(priority.preemptionPolicy ?? '')) {
    causes.push(notSupported('preemptionPolicy', priority.preemptionPolicy ?? '', policies))
  }
  const old = oldOf(priority, context)
  if (old && old.value !== priority.value) {
    causes.push(forbidden('value', 'may not be changed in an update.'))
  }
  if (old && old.preemptionPolicy !== priority.preemptionPolicy) {
    causes.push(invalidValue('preemptionPolicy', priority.preemptionPolicy, IMMUTABLE))
  }
  return causes
}
