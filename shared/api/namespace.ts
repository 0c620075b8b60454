// Namespace: a part of the cluster with names of its own. Cluster-scoped.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/

import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import { at, invalidValue } from './field-error.ts'
import { ALL_VERBS } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { Condition, KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'
import { dnsLabelProblems, labelKeyProblems } from './name-rules.ts'

export interface Namespace extends KubeObject {
  spec: { finalizers?: string[] }
  status?: { phase?: 'Active' | 'Terminating'; conditions?: Condition[] }
}

/** The finalizer in spec.finalizers that holds a namespace until its objects are gone. */
export const NAMESPACE_FINALIZER = 'kubernetes'

/** Label that every namespace carries: its own name. */
const NAME_LABEL = 'kubernetes.io/metadata.name'

export const namespaceKind: KindDefinition<Namespace> = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  categories: [],
  isNamespaced: false,
  verbs: ALL_VERBS.filter((verb) => verb !== 'deletecollection'),
  subresources: [
    { name: 'finalize', verbs: ['update'] },
    { name: 'status', verbs: ['get', 'patch', 'update'] },
  ],
  columns: [NAME_COLUMN, column('Status', 'The status of the namespace.'), AGE_COLUMN],
  cells: (namespace, context) => [
    namespace.metadata.name,
    namespace.status?.phase ?? '',
    ageOf(namespace, context),
  ],
  applyDefaults(draft, context) {
    draft.spec ??= {}
    if (!context.old) {
      draft.spec.finalizers = [...new Set([...(draft.spec.finalizers ?? []), NAMESPACE_FINALIZER])]
      draft.status = { ...draft.status, phase: 'Active' }
    }
    if (draft.metadata?.name) {
      draft.metadata.labels = { ...draft.metadata.labels, [NAME_LABEL]: draft.metadata.name }
    }
  },
  validate(namespace, context) {
    const causes: Cause[] = validateMeta(
      namespace,
      { isNamespaced: false, nameProblems: dnsLabelProblems },
      context,
    )
    for (const [index, finalizer] of (namespace.spec.finalizers ?? []).entries()) {
      const field = at('spec.finalizers', index)
      for (const problem of labelKeyProblems(finalizer)) {
        causes.push(invalidValue(field, finalizer, problem))
      }
      if (finalizer !== NAMESPACE_FINALIZER && !finalizer.includes('/')) {
        causes.push(
          invalidValue(
            field,
            finalizer,
            'name is neither a standard finalizer name nor is it fully qualified',
          ),
        )
      }
    }
    return causes
  },
  hasStatus: true,
  hasGeneration: false,
  fieldSelectors: { 'status.phase': (namespace) => namespace.status?.phase ?? '' },
}
