// An object as server-side apply sees it: which fields it has, and how two of them are merged. Lists
// that the schema calls maps or sets have elements of their own; other lists are one value.

import type { FieldSchema, StructSchema } from '../api/schema/notation.ts'
import { referredSchema } from '../api/schema/schema.ts'
import { StatusError } from '../status.ts'
import { byText, inside, pathText, type FieldPath, type FieldSet } from './field-set.ts'
import { isObject, memberOf, setMember, type JsonObject } from './json.ts'

/** How a field is merged: as one value, by its members, by its elements. */
type Shape =
  | { as: 'value' }
  | { as: 'struct'; schema: StructSchema }
  | { as: 'map' }
  | { as: 'list'; keys: readonly string[]; schema: StructSchema }
  | { as: 'set' }

const VALUE: Shape = { as: 'value' }

/** Keys that may be left out of an element, and then mean this. */
const KEY_DEFAULTS: Readonly<Record<string, unknown>> = { protocol: 'TCP' }

/** The value of a field that is there but holds others: a list's element. */
const HOLDS_OTHERS = Symbol('an element that holds fields')

function shapeOf(field: FieldSchema | undefined): Shape {
  if (!field) return VALUE
  const { type, listType } = field
  if (type.is === 'map') return listType === 'atomic' ? VALUE : { as: 'map' }
  if (type.is === 'struct') {
    const schema = referredSchema(type.name)
    return schema.isAtomic && !field.isGranular ? VALUE : { as: 'struct', schema }
  }
  if (type.is !== 'list' || listType === undefined) return VALUE
  if (listType === 'set') return { as: 'set' }
  if (type.element.is !== 'struct') return VALUE
  return { as: 'list', keys: field.listMapKeys ?? [], schema: referredSchema(type.element.name) }
}

/** `k:{"containerPort":80,"protocol":"TCP"}`: which element this is. */
function keyElement(element: unknown, keys: readonly string[]): string {
  const object = isObject(element) ? element : {}
  const known = [...keys]
    .sort(byText)
    .map((key) => [key, memberOf(object, key) ?? KEY_DEFAULTS[key]] as const)
    .filter(([, value]) => value !== undefined)
  return `k:${JSON.stringify(Object.fromEntries(known))}`
}

/** All fields of an object with their values. */
export type Fields = Map<FieldPath, unknown>

/** What fields an object has. */
export function fieldsOf(object: JsonObject, schema: StructSchema): Fields {
  const fields: Fields = new Map()
  collect(object, schema, '', fields)
  return fields
}

function collect(object: JsonObject, schema: StructSchema, path: FieldPath, fields: Fields): void {
  for (const [name, value] of Object.entries(object)) {
    const shape = shapeOf(schema.fields.get(name))
    const here = inside(path, `f:${name}`)
    if (shape.as === 'struct' && isObject(value)) {
      if (Object.keys(value).length === 0) fields.set(here, value)
      else collect(value, shape.schema, here, fields)
    } else if (shape.as === 'map' && isObject(value)) {
      if (Object.keys(value).length === 0) fields.set(here, value)
      for (const [key, member] of Object.entries(value)) {
        fields.set(inside(here, `f:${key}`), member)
      }
    } else if (shape.as === 'list' && Array.isArray(value)) {
      for (const element of value) {
        const item = inside(here, keyElement(element, shape.keys))
        fields.set(item, HOLDS_OTHERS)
        if (isObject(element)) collect(element, shape.schema, item, fields)
      }
    } else if (shape.as === 'set' && Array.isArray(value)) {
      for (const each of value) fields.set(inside(here, `v:${JSON.stringify(each)}`), each)
    } else fields.set(here, value)
  }
}

/** BadRequest when an element of a merged list has no key, or two have the same. */
export function checkKeys(object: JsonObject, schema: StructSchema, path = ''): void {
  for (const [name, value] of Object.entries(object)) {
    const shape = shapeOf(schema.fields.get(name))
    const here = `${path}.${name}`
    if (shape.as === 'struct' && isObject(value)) checkKeys(value, shape.schema, here)
    if (Array.isArray(value)) checkElements(value, shape, here)
  }
}

function checkElements(list: readonly unknown[], shape: Shape, path: string): void {
  if (shape.as !== 'list' && shape.as !== 'set') return
  const seen = new Set<string>()
  for (const [index, element] of list.entries()) {
    const key =
      shape.as === 'set' ? `v:${JSON.stringify(element)}` : keyElement(element, shape.keys)
    if (seen.has(key)) {
      throw new StatusError('BadRequest', `${path}: duplicate entries for key ${pathText(key)}`)
    }
    seen.add(key)
    if (shape.as !== 'list' || !isObject(element)) continue
    const missing = shape.keys.find(
      (each) => memberOf(element, each) === undefined && !(each in KEY_DEFAULTS),
    )
    if (missing !== undefined) {
      throw new StatusError(
        'BadRequest',
        `${path}: element ${index}: associative list with keys has an element that omits key ` +
          `field ${JSON.stringify(missing)} (and doesn't have default value)`,
      )
    }
    checkKeys(element, shape.schema, path + pathText(key))
  }
}

/** `live` with everything that is in `applied`. */
export function merged(live: JsonObject, applied: JsonObject, schema: StructSchema): JsonObject {
  const result = { ...live }
  for (const [name, value] of Object.entries(applied)) {
    const shape = shapeOf(schema.fields.get(name))
    setMember(result, name, mergedValue(memberOf(live, name), value, shape))
  }
  return result
}

function mergedValue(before: unknown, value: unknown, shape: Shape): unknown {
  if (isObject(before) && isObject(value)) {
    if (shape.as === 'struct') return merged(before, value, shape.schema)
    if (shape.as !== 'map') return value
    const result = { ...before }
    for (const [key, member] of Object.entries(value)) setMember(result, key, member)
    return result
  }
  if (!Array.isArray(before) || !Array.isArray(value)) return value
  if (shape.as === 'set') {
    return mergedList(
      before,
      value,
      (each) => JSON.stringify(each),
      (_, each) => each,
    )
  }
  if (shape.as !== 'list') return value
  return mergedList(
    before,
    value,
    (each) => keyElement(each, shape.keys),
    (old, each) => (isObject(old) && isObject(each) ? merged(old, each, shape.schema) : each),
  )
}

/**
 * The elements of both lists: those of `after` in its order, the others where they stood between
 * them. Same places as structured-merge-diff gives.
 */
function mergedList(
  before: readonly unknown[],
  after: readonly unknown[],
  keyOf: (element: unknown) => string,
  merge: (old: unknown, element: unknown) => unknown,
): unknown[] {
  const old = new Map(before.map((element) => [keyOf(element), element]))
  const wanted = new Set(after.map(keyOf))
  const shared = after.map(keyOf).filter((key) => old.has(key))
  const done = new Set<string>()
  const result: unknown[] = []
  let next = 0
  const take = (element: unknown): void => {
    const key = keyOf(element)
    result.push(old.has(key) ? merge(old.get(key), element) : element)
    done.add(key)
    next++
    if (shared[0] === key) shared.shift()
  }
  let at = 0
  while (at < before.length || next < after.length) {
    const isInBoth = at < before.length && next < after.length
    const key = at < before.length ? keyOf(before[at]) : ''
    if (isInBoth && keyOf(after[next]) === key) {
      take(after[next])
      at++
      continue
    }
    if (isInBoth && wanted.has(key) && shared.length > 0 && shared[0] !== key) {
      at++ // it comes later in `after`
      continue
    }
    if (at < before.length) {
      if (!wanted.has(key)) {
        result.push(before[at++])
        continue
      }
      if (done.has(key)) at++
    }
    if (next < after.length) take(after[next])
  }
  return result
}

/** The object without these fields, and without what stood in them. */
export function withoutFields(
  object: JsonObject,
  schema: StructSchema,
  removed: FieldSet,
  path: FieldPath = '',
): JsonObject {
  const result: JsonObject = {}
  for (const [name, value] of Object.entries(object)) {
    const here = inside(path, `f:${name}`)
    if (removed.has(here)) continue
    setMember(result, name, remaining(value, shapeOf(schema.fields.get(name)), removed, here))
  }
  return result
}

function remaining(value: unknown, shape: Shape, removed: FieldSet, path: FieldPath): unknown {
  if (isObject(value)) {
    if (shape.as === 'struct') return withoutFields(value, shape.schema, removed, path)
    if (shape.as !== 'map') return value
    const kept = Object.entries(value).filter(([key]) => !removed.has(inside(path, `f:${key}`)))
    return Object.fromEntries(kept)
  }
  if (!Array.isArray(value)) return value
  if (shape.as === 'set') {
    return value.filter((each) => !removed.has(inside(path, `v:${JSON.stringify(each)}`)))
  }
  if (shape.as !== 'list') return value
  return value.flatMap((element: unknown) => {
    const item = inside(path, keyElement(element, shape.keys))
    if (removed.has(item)) return []
    return [isObject(element) ? withoutFields(element, shape.schema, removed, item) : element]
  })
}
