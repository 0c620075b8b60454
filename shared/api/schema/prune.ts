// Brings an object that a client sent into the form in which it is stored: as it would be after
// Kubernetes had read it into its Go structs and written it again. Unknown fields go, so does null
// and whatever Go's omitempty leaves out, and quantities and times get their canonical text.

import { canonicalQuantity } from '../../quantity.ts'
import { formatTime, parseTime } from '../../time.ts'
import type { FieldSchema, Scalar, StructSchema, TypeReference } from './notation.ts'
import { referredSchema } from './schema.ts'

/** The object with the fields of its schema only, normalised. The value given is not changed. */
export function prune(object: object, schema: StructSchema): Record<string, unknown> {
  return struct(object, schema, false)
}

/** The same without dropping fields that the schema does not know. */
export function normalise(object: object, schema: StructSchema): Record<string, unknown> {
  return struct(object, schema, true)
}

function struct(
  object: object,
  schema: StructSchema,
  keepsUnknown: boolean,
): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  for (const [name, each] of Object.entries(object)) {
    const field = schema.fields.get(name)
    if (!field) {
      if (keepsUnknown && each !== null && each !== undefined) setOwn(result, name, each)
      continue
    }
    const kept = fieldValue(each, field, keepsUnknown)
    if (kept !== undefined) result[name] = kept
  }
  return result
}

function fieldValue(value: unknown, field: FieldSchema, keepsUnknown: boolean): unknown {
  if (value === null || value === undefined) return undefined
  const kept = converted(value, field.type, keepsUnknown)
  if (field.isPointer || !field.isOmittedWhenEmpty) return kept
  return isEmpty(kept, field.type) ? undefined : kept
}

/** Empty for Go's omitempty; and an empty struct, which no reader can tell from an absent one. */
function isEmpty(value: unknown, type: TypeReference): boolean {
  if (type.is === 'scalar' && (type.scalar === 'any' || type.scalar === 'intOrString')) return false
  if (value === '' || value === 0 || value === false) return true
  if (Array.isArray(value)) return value.length === 0
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

function converted(value: unknown, type: TypeReference, keepsUnknown: boolean): unknown {
  if (type.is === 'scalar') return scalarValue(value, type.scalar)
  if (type.is === 'list') {
    if (!Array.isArray(value)) return value
    return value.map((each) => elementValue(each, type.element, keepsUnknown))
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  if (type.is === 'struct') return struct(value, referredSchema(type.name), keepsUnknown)
  const result: Record<string, unknown> = {}
  for (const [key, each] of Object.entries(value)) {
    setOwn(result, key, elementValue(each, type.element, keepsUnknown))
  }
  return result
}

/** Null inside a list or map is the zero value of its type. */
function elementValue(value: unknown, type: TypeReference, keepsUnknown: boolean): unknown {
  if (value !== null && value !== undefined) return converted(value, type, keepsUnknown)
  if (type.is === 'list') return []
  if (type.is !== 'scalar') return {}
  return type.scalar in ZERO ? ZERO[type.scalar] : ''
}

const ZERO: Readonly<Partial<Record<Scalar, unknown>>> = {
  bool: false,
  int32: 0,
  int64: 0,
  float64: 0,
  intOrString: 0,
  quantity: '0',
  strings: [],
  any: null,
}

function scalarValue(value: unknown, scalar: Scalar): unknown {
  if (scalar === 'quantity' && (typeof value === 'string' || typeof value === 'number')) {
    return canonicalQuantity(value)
  }
  if (scalar === 'time' && typeof value === 'string') {
    const time = parseTime(value)
    return time === undefined ? value : formatTime(time)
  }
  return value
}

/** A key may be `__proto__`: assignment would lose it. */
function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  })
}
