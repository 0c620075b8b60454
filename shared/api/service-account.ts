// ServiceAccount: who a pod is. Every namespace has one called default.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/service-account-v1/

import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import type { ObjectReference } from './endpoint-slice.ts'
import { ALL_VERBS } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'

export interface ServiceAccount extends KubeObject {
  secrets?: ObjectReference[]
  imagePullSecrets?: { name?: string }[]
  automountServiceAccountToken?: boolean
}

export const serviceAccountKind: KindDefinition<ServiceAccount> = {
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  singular: 'serviceaccount',
  shortNames: ['sa'],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [],
  columns: [
    NAME_COLUMN,
    column('Secrets', 'How many secrets its pods may use.', 'integer'),
    AGE_COLUMN,
  ],
  cells: (account, context) => [
    account.metadata.name,
    account.secrets?.length ?? 0,
    ageOf(account, context),
  ],
  validate: (account, context) => validateMeta(account, { isNamespaced: true }, context),
  hasStatus: false,
  hasGeneration: false,
  returnsDeletedObject: true,
}
