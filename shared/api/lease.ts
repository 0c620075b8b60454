// Lease (coordination.k8s.io/v1): who holds something, and until when.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/

import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import { IS_NEGATIVE, invalidValue } from './field-error.ts'
import { ALL_VERBS } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'

export interface Lease extends KubeObject {
  spec?: {
    holderIdentity?: string
    leaseDurationSeconds?: number
    acquireTime?: string
    renewTime?: string
    leaseTransitions?: number
    strategy?: string
    preferredHolder?: string
  }
}

export const leaseKind: KindDefinition<Lease> = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  singular: 'lease',
  shortNames: [],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [],
  columns: [NAME_COLUMN, column('Holder', 'Who holds it.'), AGE_COLUMN],
  cells: (lease, context) => [
    lease.metadata.name,
    lease.spec?.holderIdentity ?? '',
    ageOf(lease, context),
  ],
  applyDefaults(draft) {
    draft.spec ??= {}
  },
  validate(lease, context) {
    const causes = validateMeta(lease, { isNamespaced: true }, context)
    const { leaseDurationSeconds, leaseTransitions } = lease.spec ?? {}
    if (leaseDurationSeconds !== undefined && leaseDurationSeconds <= 0) {
      causes.push(
        invalidValue('spec.leaseDurationSeconds', leaseDurationSeconds, 'must be greater than 0'),
      )
    }
    if (leaseTransitions !== undefined && leaseTransitions < 0) {
      causes.push(invalidValue('spec.leaseTransitions', leaseTransitions, IS_NEGATIVE))
    }
    return causes
  },
  hasStatus: false,
  hasGeneration: false,
}
