// The kind Service, put together: service.ts has its type, service-defaults.ts, service-validation.ts
// and service-columns.ts what is done with it.

import { ALL_VERBS } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import { SERVICE_COLUMNS, serviceCells } from './service-columns.ts'
import { applyServiceDefaults } from './service-defaults.ts'
import { validateService } from './service-validation.ts'
import type { Service } from './service.ts'

export const serviceKind: KindDefinition<Service> = {
  group: '',
  version: 'v1',
  kind: 'Service',
  plural: 'services',
  singular: 'service',
  shortNames: ['svc'],
  categories: ['all'],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [{ name: 'status', verbs: ['get', 'patch', 'update'] }],
  columns: SERVICE_COLUMNS,
  cells: serviceCells,
  applyDefaults: applyServiceDefaults,
  validate: validateService,
  hasStatus: true,
  hasGeneration: false,
  fieldSelectors: {
    'spec.clusterIP': (service) => service.spec.clusterIP ?? '',
    'spec.type': (service) => service.spec.type ?? '',
  },
  returnsDeletedObject: true,
}
