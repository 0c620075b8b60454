// RuntimeClass (node.k8s.io/v1): a name for a way to run containers. Stored, not acted upon.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/runtime-class-v1/

import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import { IMMUTABLE, invalidValue, required } from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'
import { dnsLabelProblems } from './name-rules.ts'
import type { Quantity, Toleration } from './pod.ts'

interface RuntimeClass extends KubeObject {
  handler: string
  overhead?: { podFixed?: Record<string, Quantity> }
  scheduling?: { nodeSelector?: Record<string, string>; tolerations?: Toleration[] }
}

export const runtimeClassKind: KindDefinition<RuntimeClass> = {
  group: 'node.k8s.io',
  version: 'v1',
  kind: 'RuntimeClass',
  plural: 'runtimeclasses',
  singular: 'runtimeclass',
  shortNames: [],
  categories: [],
  isNamespaced: false,
  verbs: ALL_VERBS,
  subresources: [],
  columns: [NAME_COLUMN, column('Handler', 'What runs its containers.'), AGE_COLUMN],
  cells: (runtime, context) => [runtime.metadata.name, runtime.handler, ageOf(runtime, context)],
  validate(runtime, context) {
    const causes = validateMeta(runtime, { isNamespaced: false }, context)
    if (!runtime.handler) causes.push(required('handler'))
    else {
      for (const problem of dnsLabelProblems(runtime.handler)) {
        causes.push(invalidValue('handler', runtime.handler, problem))
      }
    }
    const old = oldOf(runtime, context)
    if (old && old.handler !== runtime.handler) {
      causes.push(invalidValue('handler', runtime.handler, IMMUTABLE))
    }
    return causes
  },
  hasStatus: false,
  hasGeneration: false,
}
