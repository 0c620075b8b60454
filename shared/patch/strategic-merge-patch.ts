// Kubernetes' strategic merge patch: like a merge patch, but lists that have a merge key are merged
// element by element, and directives ($patch, $retainKeys, $setElementOrder, $deleteFromPrimitiveList)
// say what a merge cannot. Same results as apimachinery's strategicpatch.StrategicMergeMapPatch.

import { referredSchema } from '../api/schema/schema.ts'
import type { FieldSchema, StructSchema, TypeReference } from '../api/schema/notation.ts'
import { StatusError } from '../status.ts'
import { cloneJson, isObject, isSameJson, memberOf, setMember, type JsonObject } from './json.ts'
import { inOrder } from './element-order.ts'

const PATCH = '$patch'
const RETAIN_KEYS = '$retainKeys'
const SET_ORDER = '$setElementOrder/'
const DELETE_PRIMITIVES = '$deleteFromPrimitiveList/'

/** What a patch is merged with: a struct of a known type, or anything (maps, raw JSON). */
type Schema = StructSchema | undefined

/**
 * The patched object; neither argument is changed. BadRequest: the patch is malformed.
 * UnsupportedMediaType: the kind has no schema, as it is for custom resources in Kubernetes.
 */
export function applyStrategicMergePatch(
  object: JsonObject,
  patch: JsonObject,
  schema: StructSchema | undefined,
): JsonObject {
  if (!schema) {
    throw new StatusError(
      'UnsupportedMediaType',
      'the body of the request was in an unknown format - accepted media types include: ' +
        'application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
    )
  }
  return mergeObject(object, patch, schema)
}

function mergeObject(before: JsonObject, patch: JsonObject, schema: Schema): JsonObject {
  const directive = memberOf(patch, PATCH)
  if (directive === 'replace') return withoutDirectives(patch)
  if (directive === 'delete') return {}
  if (directive !== undefined && directive !== 'merge') throw badDirective(directive)
  const result = retained(before, patch)
  const done = new Set([PATCH, RETAIN_KEYS])
  for (const [name, order] of Object.entries(patch)) {
    if (!name.startsWith(SET_ORDER)) continue
    const list = name.slice(SET_ORDER.length)
    done.add(name).add(list)
    mergeOrdered(result, patch, list, order, schema)
  }
  for (const [name, member] of Object.entries(patch)) {
    if (done.has(name)) continue
    if (name.startsWith(DELETE_PRIMITIVES)) {
      deletePrimitives(result, name.slice(DELETE_PRIMITIVES.length), member)
    } else mergeMember(result, name, member, schema)
  }
  return result
}

function mergeMember(result: JsonObject, name: string, member: unknown, schema: Schema): void {
  if (member === null) {
    delete result[name]
    return
  }
  const before = memberOf(result, name)
  const field = schema?.fields.get(name)
  if (isObject(before) && isObject(member) && !field?.patchStrategies.includes('replace')) {
    setMember(result, name, mergeObject(before, member, structOf(field?.type)))
  } else if (Array.isArray(before) && Array.isArray(member)) {
    setMember(result, name, mergeList(before, member, field))
  } else setMember(result, name, withoutDirectives(member))
}

/** `$retainKeys`: whatever is not in its list goes. */
function retained(before: JsonObject, patch: JsonObject): JsonObject {
  const keys = memberOf(patch, RETAIN_KEYS)
  if (keys === undefined) return { ...before }
  if (!Array.isArray(keys)) throw badRetainKeys()
  const unlisted = Object.entries(patch).some(
    ([name, member]) =>
      member !== null && !isDirective(name) && name !== PATCH && !keys.includes(name),
  )
  if (unlisted) throw badRetainKeys()
  return Object.fromEntries(Object.entries(before).filter(([name]) => keys.includes(name)))
}

/** A list beside `$setElementOrder/<list>`: merged, then ordered as the directive says. */
function mergeOrdered(
  result: JsonObject,
  patch: JsonObject,
  name: string,
  order: unknown,
  schema: Schema,
): void {
  const change = memberOf(patch, name)
  const before = memberOf(result, name)
  if (change === null) delete result[name]
  if (!Array.isArray(order) || !(change === undefined || Array.isArray(change))) {
    if (change === null) return
    throw badOrder()
  }
  const field = schema?.fields.get(name)
  const live = Array.isArray(before) ? before : []
  checkOrder(order, change, field)
  const merged =
    change === undefined
      ? live
      : Array.isArray(before)
        ? mergeList(before, change, field)
        : withoutDirectives(change)
  if (change === undefined && before === undefined) return
  const key = field?.patchMergeKey
  setMember(result, name, inOrder(merged, order, placesAfter(live, merged, change, key), key))
}

/**
 * The list that elements of the server are ordered by. Kubernetes uses the live list, in whose memory
 * it has by then closed the gaps of deleted elements and filled them with new ones.
 */
function placesAfter(
  live: readonly unknown[],
  merged: readonly unknown[],
  change: readonly unknown[] | undefined,
  key: string | undefined,
): readonly unknown[] {
  if (key === undefined || change === undefined) return live
  const keysOf = (list: readonly unknown[]): Set<unknown> =>
    new Set(list.map((each) => (isObject(each) ? memberOf(each, key) : each)))
  const [before, after] = [keysOf(live), keysOf(merged)]
  const isNew = (each: unknown): boolean =>
    isObject(each) && !Object.hasOwn(each, PATCH) && !before.has(memberOf(each, key))
  const kept = live.filter((each) => isObject(each) && after.has(memberOf(each, key)))
  return [...kept, ...change.filter(isNew)].slice(0, live.length)
}

/** What the patch brings must stand in the same order as in the directive. */
function checkOrder(
  order: readonly unknown[],
  change: readonly unknown[] | undefined,
  field: FieldSchema | undefined,
): void {
  if (order.length === 0) return
  const key = field?.patchMergeKey
  const keyOf = (element: unknown): unknown =>
    key && isObject(element) ? memberOf(element, key) : element
  let place = 0
  for (const element of change ?? []) {
    if (isObject(element) && Object.hasOwn(element, PATCH)) continue
    while (place < order.length && !isSameJson(keyOf(order[place]), keyOf(element))) place++
    if (place++ >= order.length) {
      throw malformed("The order in patch list doesn't match $setElementOrder list")
    }
  }
}

function mergeList(
  before: readonly unknown[],
  patch: readonly unknown[],
  field: FieldSchema | undefined,
): unknown[] {
  if (!field?.patchStrategies.includes('merge')) return withoutDirectives([...patch])
  const key = field.patchMergeKey
  if (key === undefined) return mergePrimitives(before, patch)
  if (patch.some((each) => isObject(each) && each[PATCH] === 'replace')) {
    return withoutDirectives([...patch])
  }
  const schema = field.type.is === 'list' ? structOf(field.type.element) : undefined
  let merged = [...before]
  const changes: JsonObject[] = []
  for (const element of patch) {
    if (!isObject(element)) throw malformed(`the list ${field.name} has elements of several types`)
    const value = memberOf(element, key)
    if (value === undefined) {
      throw malformed(`map: ${JSON.stringify(element)} does not contain declared merge key: ${key}`)
    }
    const isIt = (each: unknown): boolean =>
      isObject(each) && isSameJson(memberOf(each, key), value)
    const directive = memberOf(element, PATCH)
    if (directive === 'delete') merged = merged.filter((each) => !isIt(each))
    else if (directive !== undefined && directive !== 'merge') throw badDirective(directive)
    else {
      changes.push(element)
      const index = merged.findIndex(isIt)
      const old = merged[index]
      if (isObject(old)) merged[index] = mergeObject(old, element, schema)
      else merged.push(withoutDirectives(element))
    }
  }
  return inOrder(merged, changes, before, key)
}

/** Lists of texts or numbers with strategy merge are sets. */
function mergePrimitives(before: readonly unknown[], patch: readonly unknown[]): unknown[] {
  if (patch.some((each) => typeof each === 'object')) {
    throw malformed('a list without a merge key has elements that are objects')
  }
  return inOrder([...new Set([...before, ...patch])], patch, before, undefined)
}

function deletePrimitives(result: JsonObject, name: string, doomed: unknown): void {
  if (!Array.isArray(doomed) || doomed.some((each) => typeof each === 'object')) {
    throw malformed('$deleteFromPrimitiveList should be a list of primitive items')
  }
  const before = memberOf(result, name)
  if (Array.isArray(before)) {
    setMember(
      result,
      name,
      before.filter((each) => !doomed.includes(each)),
    )
  }
}

function structOf(type: TypeReference | undefined): Schema {
  return type?.is === 'struct' ? referredSchema(type.name) : undefined
}

/** What a value is when there was nothing before: no nulls, no directives, no deleted elements. */
function withoutDirectives(value: unknown[]): unknown[]
function withoutDirectives(value: JsonObject): JsonObject
function withoutDirectives(value: unknown): unknown
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value
      .filter((each) => !isObject(each) || !isListDirective(each))
      .map((each: unknown) => withoutDirectives(each))
  }
  if (!isObject(value)) return cloneJson(value)
  const result: JsonObject = {}
  for (const [name, member] of Object.entries(value)) {
    if (name === PATCH || isDirective(name) || member === null) continue
    setMember(result, name, withoutDirectives(member))
  }
  return result
}

function isListDirective(element: JsonObject): boolean {
  const directive = memberOf(element, PATCH)
  return directive === 'delete' || (directive === 'replace' && Object.keys(element).length === 1)
}

function isDirective(name: string): boolean {
  return name === RETAIN_KEYS || name.startsWith(SET_ORDER) || name.startsWith(DELETE_PRIMITIVES)
}

function malformed(message: string): StatusError {
  return new StatusError('BadRequest', message)
}

function badDirective(directive: unknown): StatusError {
  return malformed(`unknown patch type: ${String(directive)}`)
}

function badRetainKeys(): StatusError {
  return malformed('invalid patch format of retainKeys')
}

function badOrder(): StatusError {
  return malformed('invalid patch format of setElementOrder list')
}
