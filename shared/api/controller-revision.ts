// ControllerRevision (apps/v1): an immutable snapshot of something's state, kept for going back.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/controller-revision-v1/

import { isEqual } from '../equal.ts'
import { AGE_COLUMN, NAME_COLUMN, NONE, ageOf, column } from './columns.ts'
import { IMMUTABLE, IS_NEGATIVE, invalidValue, required } from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'
import { controllerOf } from './owner.ts'

interface ControllerRevision extends KubeObject {
  revision: number
  data?: Record<string, unknown>
}

export const controllerRevisionKind: KindDefinition<ControllerRevision> = {
  group: 'apps',
  version: 'v1',
  kind: 'ControllerRevision',
  plural: 'controllerrevisions',
  singular: 'controllerrevision',
  shortNames: [],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [],
  columns: [
    NAME_COLUMN,
    column('Controller', 'What it is a snapshot of.'),
    column('Revision', 'Its number.', 'integer'),
    AGE_COLUMN,
  ],
  cells(revision, context) {
    const owner = controllerOf(revision)
    const [group] = owner?.apiVersion.includes('/') ? owner.apiVersion.split('/') : ['']
    const kind = `${owner?.kind.toLowerCase()}${group ? `.${group}` : ''}`
    return [
      revision.metadata.name,
      owner ? `${kind}/${owner.name}` : NONE,
      revision.revision,
      ageOf(revision, context),
    ]
  },
  applyDefaults(draft) {
    const loose: { revision?: number } = draft
    loose.revision ??= 0
  },
  validate(revision, context) {
    const causes = validateMeta(revision, { isNamespaced: true }, context)
    if (!revision.data) causes.push(required('data', 'data is mandatory'))
    if (revision.revision < 0) {
      causes.push(invalidValue('revision', revision.revision, IS_NEGATIVE))
    }
    const old = oldOf(revision, context)
    if (old && !isEqual(old.data, revision.data)) {
      causes.push(invalidValue('data', revision.data, IMMUTABLE))
    }
    return causes
  },
  hasStatus: false,
  hasGeneration: false,
}
