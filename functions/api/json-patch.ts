// JSON patch, RFC 6902, bounded as kube-apiserver bounds it: a patch may be small and what it makes
// huge (each copy doubles), so the number of operations and the sum of what is copied are limited.

import jsonPatch from 'fast-json-patch'
import { isObject, type JsonObject } from '#shared/patch/json.ts'
import { StatusError } from '#shared/status.ts'

const MAX_OPERATIONS = 10_000
const MAX_COPIED_BYTES = 3 * 1024 * 1024

type Operation = Parameters<typeof jsonPatch.applyOperation>[1]

/**
 * The patched object; neither argument is changed. Errors: BadRequest (it is no JSON patch),
 * RequestEntityTooLarge, Invalid (an operation does not apply, a test failed).
 */
export function applyJsonPatch(object: JsonObject, patch: unknown): JsonObject {
  if (!Array.isArray(patch)) {
    throw new StatusError(
      'BadRequest',
      'json: cannot unmarshal object into Go value of type jsonpatch.Patch',
    )
  }
  if (patch.length > MAX_OPERATIONS) {
    throw new StatusError(
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${patch.length}`,
    )
  }
  let document: unknown = structuredClone(object)
  let copied = 0
  for (const [index, operation] of patch.entries()) {
    if (!isOperation(operation)) throw unprocessable(`operation ${index} is malformed`)
    if (operation.op === 'copy') copied += sizeAt(document, operation.from)
    if (copied > MAX_COPIED_BYTES) {
      throw unprocessable('unable to complete the copy, the accumulated size increase is too large')
    }
    document = applied(document, operation, index)
  }
  if (!isObject(document)) throw unprocessable('the result is not an object')
  return document
}

function applied(document: unknown, operation: Operation, index: number): unknown {
  try {
    const result: unknown = jsonPatch.applyOperation(
      document,
      structuredClone(lenient(document, operation)),
      true,
      true,
      true,
      index,
    ).newDocument
    return result
  } catch (error) {
    // The library's errors (JsonPatchError, TypeError on prototypes) all speak of the patch.
    const [reason = ''] = String(error instanceof Error ? error.message : error).split('\n')
    throw unprocessable(`${operation.op} operation does not apply: ${operation.path}: ${reason}`)
  }
}

/**
 * Kubernetes' library lets `replace` set a member that is not there (kubectl rollout undo counts on
 * it for /metadata/annotations); RFC 6902 does not.
 */
function lenient(document: unknown, operation: Operation): Operation {
  if (operation.op !== 'replace' || operation.path === '') return operation
  const parent = valueAt(document, operation.path.slice(0, operation.path.lastIndexOf('/')))
  return isObject(parent) ? { ...operation, op: 'add' } : operation
}

function isOperation(value: unknown): value is Operation {
  if (!isObject(value) || typeof value['path'] !== 'string') return false
  switch (value['op']) {
    case 'add':
    case 'replace':
    case 'test':
      return value['value'] !== undefined
    case 'move':
    case 'copy':
      return typeof value['from'] === 'string'
    case 'remove':
      return true
    default:
      return false
  }
}

function sizeAt(document: unknown, pointer: string): number {
  return JSON.stringify(valueAt(document, pointer))?.length ?? 0
}

/** Undefined when there is nothing; applying the operation names what is wrong. */
function valueAt(document: unknown, pointer: string): unknown {
  try {
    const value: unknown = jsonPatch.getValueByPointer(document, pointer)
    return value
  } catch {
    return undefined
  }
}

/** 422 as kube-apiserver answers it; kubectl prints the cause. */
function unprocessable(why: string): StatusError {
  return new StatusError(
    'Invalid',
    'the server rejected our request due to an error in our request',
    { causes: [{ reason: 'UnexpectedServerResponse', message: why }] },
  )
}
