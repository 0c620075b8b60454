// Event in its newer form (events.k8s.io/v1): another face of the same stored events.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/

import type { Cause } from '../status.ts'
import type { ObjectReference } from './endpoint-slice.ts'
import { EVENT_COLUMNS, eventCells } from './event.ts'
import type { KubeEvent } from './event.ts'
import { invalidValue, required } from './field-error.ts'
import { ALL_VERBS } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'

interface EventV1 extends KubeObject {
  eventTime?: string | null
  series?: KubeEvent['series']
  reportingController?: string
  reportingInstance?: string
  action?: string
  reason?: string
  regarding?: ObjectReference
  related?: ObjectReference
  note?: string
  type?: string
  deprecatedSource?: KubeEvent['source']
  deprecatedFirstTimestamp?: string | null
  deprecatedLastTimestamp?: string | null
  deprecatedCount?: number
}

export const eventV1Kind: KindDefinition<EventV1> = {
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  singular: 'event',
  shortNames: ['ev'],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [],
  columns: EVENT_COLUMNS,
  cells: (event, context) => eventCells(toCore(event), context),
  applyDefaults(draft) {
    draft.regarding ??= {}
    draft.type ||= 'Normal'
  },
  validate: validateEventV1,
  hasStatus: false,
  hasGeneration: false,
  fieldSelectors: {
    reason: (event) => event.reason ?? '',
    'regarding.kind': (event) => event.regarding?.kind ?? '',
    'regarding.namespace': (event) => event.regarding?.namespace ?? '',
    'regarding.name': (event) => event.regarding?.name ?? '',
    'regarding.uid': (event) => event.regarding?.uid ?? '',
    'regarding.apiVersion': (event) => event.regarding?.apiVersion ?? '',
    'regarding.resourceVersion': (event) => event.regarding?.resourceVersion ?? '',
    'regarding.fieldPath': (event) => event.regarding?.fieldPath ?? '',
    reportingController: (event) => event.reportingController ?? '',
    type: (event) => event.type ?? '',
  },
  alias: { resource: 'events', toStored: toCore, fromStored: fromCore },
}

/** The older form of an event. */
function toCore(event: EventV1): KubeEvent {
  return present({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: event.metadata,
    involvedObject: event.regarding ?? {},
    reason: event.reason,
    message: event.note,
    type: event.type,
    eventTime: event.eventTime,
    series: event.series,
    action: event.action,
    related: event.related,
    reportingComponent: event.reportingController,
    reportingInstance: event.reportingInstance,
    source: event.deprecatedSource ?? {},
    firstTimestamp: event.deprecatedFirstTimestamp,
    lastTimestamp: event.deprecatedLastTimestamp,
    count: event.deprecatedCount,
  })
}

/** The newer form of a stored event. */
function fromCore(stored: KubeObject): EventV1 {
  if (!isCoreEvent(stored)) return stored
  return present({
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: stored.metadata,
    eventTime: stored.eventTime ?? null,
    series: stored.series,
    reportingController: stored.reportingComponent,
    reportingInstance: stored.reportingInstance,
    action: stored.action,
    reason: stored.reason,
    regarding: stored.involvedObject,
    related: stored.related,
    note: stored.message,
    type: stored.type,
    deprecatedSource: stored.source,
    deprecatedFirstTimestamp: stored.firstTimestamp,
    deprecatedLastTimestamp: stored.lastTimestamp,
    deprecatedCount: stored.count,
  })
}

function isCoreEvent(object: KubeObject): object is KubeEvent {
  return 'involvedObject' in object
}

/** The object without the fields that are undefined. */
function present<T extends object>(object: { [K in keyof T]: T[K] | undefined }): T
function present(object: object): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined))
}

function validateEventV1(event: EventV1, context: AdmissionContext): Cause[] {
  const causes = validateMeta(event, { isNamespaced: true }, context)
  const about = event.regarding?.namespace ?? ''
  const { namespace } = event.metadata ?? {}
  if (about === '' ? namespace !== 'default' && namespace !== 'kube-system' : about !== namespace) {
    causes.push(invalidValue('involvedObject.namespace', about, 'does not match event.namespace'))
  }
  if (context.old) return causes
  if (!event.eventTime) causes.push(required('eventTime'))
  if (!event.reportingController) causes.push(required('reportingController'))
  if (!event.reportingInstance) causes.push(required('reportingInstance'))
  if (!event.action) causes.push(required('action'))
  if (!event.reason) causes.push(required('reason'))
  return causes
}
