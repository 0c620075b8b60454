// metadata.managedFields: who set which field, by server-side apply or by an ordinary write. As
// apimachinery's managedfields.

import type { ManagedFieldsEntry } from '../api/meta.ts'
import type { StructSchema } from '../api/schema/notation.ts'
import { formatTime } from '../time.ts'
import {
  byText,
  common,
  fromFieldsV1,
  isSameSet,
  toFieldsV1,
  union,
  without,
  type FieldPath,
  type FieldSet,
} from './field-set.ts'
import { isObject, isSameJson, memberOf, type JsonObject } from './json.ts'
import { fieldsOf, type Fields } from './typed-object.ts'

export interface Manager {
  name: string
  operation: 'Apply' | 'Update'
  apiVersion: string
  subresource: string
  /** RFC 3339; when it last took a field. */
  time?: string
  fields: FieldSet
}

/** Fields that nobody manages: the server sets them. */
const UNMANAGED: FieldSet = new Set(
  fromFieldsV1({
    'f:apiVersion': {},
    'f:kind': {},
    'f:metadata': {
      '.': {},
      'f:creationTimestamp': {},
      'f:deletionGracePeriodSeconds': {},
      'f:deletionTimestamp': {},
      'f:generation': {},
      'f:managedFields': {},
      'f:name': {},
      'f:namespace': {},
      'f:resourceVersion': {},
      'f:selfLink': {},
      'f:uid': {},
    },
  }),
)

/** More updaters than this are merged into one, oldest first. */
const MAX_UPDATERS = 10
const ANCIENT = 'ancient-changes'

/** The managers of an object. */
export function managersOf(object: JsonObject | undefined): Manager[] {
  const metadata = object && memberOf(object, 'metadata')
  const entries = isObject(metadata) ? memberOf(metadata, 'managedFields') : undefined
  return Array.isArray(entries) ? entries.filter(isObject).map(managerOf) : []
}

function managerOf(entry: JsonObject): Manager {
  const text = (name: string): string => {
    const value = memberOf(entry, name)
    return typeof value === 'string' ? value : ''
  }
  const time = text('time')
  return {
    name: text('manager'),
    operation: text('operation') === 'Apply' ? 'Apply' : 'Update',
    apiVersion: text('apiVersion'),
    subresource: text('subresource'),
    ...(time ? { time } : {}),
    fields: fromFieldsV1(memberOf(entry, 'fieldsV1')),
  }
}

/** The object with these managers; those without a field are left out. */
export function withManagers(object: JsonObject, managers: readonly Manager[]): JsonObject {
  const metadata = memberOf(object, 'metadata')
  const { managedFields: _, ...kept } = isObject(metadata) ? metadata : {}
  const entries = capped(managers.filter(({ fields }) => fields.size > 0))
    .sort(byPlace)
    .map(entryOf)
  return {
    ...object,
    metadata: entries.length > 0 ? { ...kept, managedFields: entries } : kept,
  }
}

function entryOf(manager: Manager): ManagedFieldsEntry {
  return {
    manager: manager.name,
    operation: manager.operation,
    apiVersion: manager.apiVersion,
    ...(manager.time ? { time: manager.time } : {}),
    fieldsType: 'FieldsV1',
    fieldsV1: toFieldsV1(manager.fields),
    ...(manager.subresource ? { subresource: manager.subresource } : {}),
  }
}

/** Appliers first, then by time, then by name. */
function byPlace(a: Manager, b: Manager): number {
  const place = (manager: Manager): string =>
    [manager.time ?? '', manager.name, manager.apiVersion, manager.subresource].join('\u0000')
  return byText(a.operation, b.operation) || byText(place(a), place(b))
}

function capped(managers: readonly Manager[]): Manager[] {
  const updaters = managers.filter(({ operation }) => operation === 'Update').sort(byPlace)
  const surplus = updaters.length - MAX_UPDATERS
  if (surplus <= 0) return [...managers]
  const old = updaters.slice(0, surplus + 1)
  const kept = managers.filter((manager) => !old.includes(manager))
  for (const apiVersion of new Set(old.map((manager) => manager.apiVersion))) {
    const same = old.filter((manager) => manager.apiVersion === apiVersion)
    const time = same.at(-1)?.time
    kept.push({
      name: ANCIENT,
      operation: 'Update',
      apiVersion,
      subresource: '',
      ...(time ? { time } : {}),
      fields: union(...same.map((manager) => manager.fields)),
    })
  }
  return kept
}

/** The same manager: appliers keep their identity across versions. */
export function isSameManager(a: Manager, b: Manager): boolean {
  return (
    a.name === b.name &&
    a.operation === b.operation &&
    a.subresource === b.subresource &&
    (a.operation === 'Apply' || a.apiVersion === b.apiVersion)
  )
}

/** The fields of an object that can be managed through a subresource ('' is the object itself). */
export function managedFieldsOf(
  object: JsonObject,
  schema: StructSchema,
  subresource: string,
): Fields {
  const fields = fieldsOf(object, schema)
  for (const path of fields.keys()) {
    const isStatus = path === 'f:status' || path.startsWith('f:status\u0000')
    const isOther = subresource === 'status' ? !isStatus : subresource === '' && isStatus
    if (isOther || UNMANAGED.has(path)) {
      fields.delete(path)
    }
  }
  return fields
}

export interface Comparison {
  /** There now, or with another value than before. */
  changed: Set<FieldPath>
  removed: Set<FieldPath>
}

export function compare(before: Fields, after: Fields): Comparison {
  const names = new Set(after.keys())
  const old = new Set(before.keys())
  const modified = [...common(names, old)].filter(
    (path) => !isSameJson(before.get(path), after.get(path)),
  )
  return { changed: union(without(names, old), new Set(modified)), removed: without(old, names) }
}

export interface TrackedUpdate {
  /** Undefined on create. */
  before: JsonObject | undefined
  after: JsonObject
  /** ?fieldManager=, or the first part of the User-Agent. */
  manager: string
  apiVersion: string
  /** `status`, `scale` …; '' for the object itself. */
  subresource: string
  schema: StructSchema
  now: number
}

/**
 * The object after an ordinary write (create, update, patch), with managedFields saying who changed
 * what. A client may hand in managedFields of its own; `[{}]` forgets them all.
 */
export function trackUpdate(update: TrackedUpdate): JsonObject {
  const { before, after, schema, subresource } = update
  const sent = managersOf(after)
  const isReset = sent.length === 1 && sent[0]?.fields.size === 0 && sent[0].name === ''
  if (isReset) return withManagers(after, [])
  const known = sent.length > 0 ? sent : managersOf(before)
  const { changed, removed } = compare(
    managedFieldsOf(before ?? {}, schema, subresource),
    managedFieldsOf(after, schema, subresource),
  )
  const self: Manager = {
    name: update.manager,
    operation: 'Update',
    apiVersion: update.apiVersion,
    subresource,
    fields: changed,
  }
  const gone = union(changed, removed)
  const others = known.map((manager) => ({ ...manager, fields: without(manager.fields, gone) }))
  const own = known.find((manager) => isSameManager(manager, self))
  if (!own) return withManagers(after, [...others, { ...self, time: formatTime(update.now) }])
  const fields = union(without(own.fields, removed), changed)
  const time = changed.size > 0 ? formatTime(update.now) : own.time
  return withManagers(after, [
    ...others.filter((manager) => !isSameManager(manager, self)),
    { ...own, ...(time ? { time } : {}), fields },
  ])
}

/** True when the two say the same about every manager, whatever the times. */
export function isSameManagement(a: readonly Manager[], b: readonly Manager[]): boolean {
  const isIn = (manager: Manager, list: readonly Manager[]): boolean =>
    list.some(
      (each) =>
        isSameManager(each, manager) &&
        each.apiVersion === manager.apiVersion &&
        isSameSet(each.fields, manager.fields),
    )
  const present = (list: readonly Manager[]): Manager[] =>
    list.filter(({ fields }) => fields.size > 0)
  const [left, right] = [present(a), present(b)]
  return left.length === right.length && left.every((manager) => isIn(manager, right))
}
