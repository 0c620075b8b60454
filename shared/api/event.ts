// Event (core/v1): what happened to an object, for people; kept for an hour.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/

import type { Cause } from '../status.ts'
import { column, since, wideColumn } from './columns.ts'
import type { ObjectReference } from './endpoint-slice.ts'
import { invalidValue } from './field-error.ts'
import { ALL_VERBS } from './kind.ts'
import type { AdmissionContext, Cell, Column, KindDefinition, PrintContext } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'

export interface KubeEvent extends KubeObject {
  involvedObject: ObjectReference
  reason?: string
  message?: string
  type?: string
  count?: number
  firstTimestamp?: string | null
  lastTimestamp?: string | null
  eventTime?: string | null
  source?: { component?: string; host?: string }
  reportingComponent?: string
  reportingInstance?: string
  action?: string
  series?: { count?: number; lastObservedTime?: string }
  related?: ObjectReference
}

/** How long an Event is shown and kept (kube-apiserver's --event-ttl default). */
export const EVENT_TTL_MS = 3_600_000

export const EVENT_COLUMNS: readonly Column[] = [
  column('Last Seen', 'How long ago it happened last.'),
  column('Type', 'Normal or Warning.'),
  column('Reason', 'One word for machines: why it happened.'),
  column('Object', 'What it is about.'),
  wideColumn('Subobject', 'Which part of the object it is about.'),
  wideColumn('Source', 'Who reported it.'),
  column('Message', 'What happened, for people.'),
  wideColumn('First Seen', 'How long ago it happened first.'),
  wideColumn('Count', 'How often it happened.', 'integer'),
  { ...wideColumn('Name', 'The name of the event.'), format: 'name' },
]

export const eventKind: KindDefinition<KubeEvent> = {
  group: '',
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
  cells: eventCells,
  applyDefaults(draft) {
    draft.involvedObject ??= {}
    draft.source ??= {}
    draft.type ||= 'Normal'
  },
  validate: validateEvent,
  hasStatus: false,
  hasGeneration: false,
  fieldSelectors: {
    'involvedObject.kind': (event) => event.involvedObject.kind ?? '',
    'involvedObject.namespace': (event) => event.involvedObject.namespace ?? '',
    'involvedObject.name': (event) => event.involvedObject.name ?? '',
    'involvedObject.uid': (event) => event.involvedObject.uid ?? '',
    'involvedObject.apiVersion': (event) => event.involvedObject.apiVersion ?? '',
    'involvedObject.resourceVersion': (event) => event.involvedObject.resourceVersion ?? '',
    'involvedObject.fieldPath': (event) => event.involvedObject.fieldPath ?? '',
    reason: (event) => event.reason ?? '',
    reportingComponent: (event) => event.reportingComponent ?? '',
    source: (event) => event.source?.component || (event.reportingComponent ?? ''),
    type: (event) => event.type ?? '',
  },
}

/** The row of an event, however it was written. */
export function eventCells(event: KubeEvent, context: PrintContext): Cell[] {
  const first = since(event.firstTimestamp ?? event.eventTime, context)
  const last = event.lastTimestamp ? since(event.lastTimestamp, context) : first
  const about = event.involvedObject
  const kind = (about.kind ?? '').toLowerCase()
  const component = event.source?.component || (event.reportingComponent ?? '')
  const instance = event.source?.host || (event.reportingInstance ?? '')
  return [
    event.series ? since(event.series.lastObservedTime, context) : last,
    event.type ?? '',
    event.reason ?? '',
    about.name ? `${kind}/${about.name}` : kind,
    about.fieldPath ?? '',
    instance ? `${component}, ${instance}` : component,
    (event.message ?? '').trim(),
    first,
    event.series ? (event.series.count ?? 0) : event.count || 1,
    event.metadata.name,
  ]
}

/** An event about something cluster-scoped stands in this namespace. */
const DEFAULT_NAMESPACE = 'default'

function validateEvent(event: KubeEvent, context: AdmissionContext): Cause[] {
  const causes = validateMeta(event, { isNamespaced: true }, context)
  const about = event.involvedObject.namespace ?? ''
  const { namespace } = event.metadata ?? {}
  if (
    about === ''
      ? namespace !== DEFAULT_NAMESPACE && namespace !== 'kube-system'
      : about !== namespace
  ) {
    causes.push(invalidValue('involvedObject.namespace', about, 'does not match event.namespace'))
  }
  return causes
}
