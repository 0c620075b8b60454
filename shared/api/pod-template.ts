// PodTemplate: a stored template of pods, for tools that make pods themselves.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-template-v1/

import { NAME_COLUMN, column, formatLabels } from './columns.ts'
import { ALL_VERBS } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'
import { applyTemplateDefaults } from './pod-defaults.ts'
import { validatePodTemplate } from './pod-validation.ts'
import type { PodTemplateSpec } from './pod.ts'
import { containerCells } from './template-columns.ts'

interface PodTemplate extends KubeObject {
  template: PodTemplateSpec
}

export const podTemplateKind: KindDefinition<PodTemplate> = {
  group: '',
  version: 'v1',
  kind: 'PodTemplate',
  plural: 'podtemplates',
  singular: 'podtemplate',
  shortNames: [],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [],
  columns: [
    NAME_COLUMN,
    column('Containers', 'Names of each container in the template.'),
    column('Images', 'Images referenced by each container in the template.'),
    column('Pod Labels', 'The labels that its pods would carry.'),
  ],
  cells: ({ metadata, template }) => [
    metadata.name,
    ...containerCells(template),
    formatLabels(template.metadata?.labels),
  ],
  applyDefaults(draft) {
    const loose: { template?: PodTemplateSpec } = draft
    applyTemplateDefaults((loose.template ??= { spec: { containers: [] } }))
  },
  validate: (object, context) => [
    ...validateMeta(object, { isNamespaced: true }, context),
    ...validatePodTemplate('template', object.template),
  ],
  hasStatus: false,
  hasGeneration: true,
  returnsDeletedObject: true,
}
