// ComponentStatus: is each part of the control plane well? Read-only, asked at the moment of the
// request, never stored.

import { column, NAME_COLUMN } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'

export interface ComponentStatus extends KubeObject {
  conditions?: {
    type: string
    status: 'True' | 'False' | 'Unknown'
    message?: string
    error?: string
  }[]
}

export const componentStatusKind: KindDefinition<ComponentStatus> = {
  group: '',
  version: 'v1',
  kind: 'ComponentStatus',
  plural: 'componentstatuses',
  singular: 'componentstatus',
  shortNames: ['cs'],
  categories: [],
  isNamespaced: false,
  verbs: ['get', 'list'],
  subresources: [],
  columns: [
    NAME_COLUMN,
    column('Status', 'Whether the component is healthy.'),
    column('Message', 'What the component said.'),
    column('Error', 'Why it could not be asked.'),
  ],
  cells(component) {
    const healthy = component.conditions?.find((condition) => condition.type === 'Healthy')
    const status = healthy ? (healthy.status === 'True' ? 'Healthy' : 'Unhealthy') : 'Unknown'
    return [component.metadata.name, status, healthy?.message ?? '', healthy?.error ?? '']
  },
  hasStatus: false,
  hasGeneration: false,
  isVirtual: true,
}
