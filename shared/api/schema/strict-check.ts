// What a JSON object has that its kind does not: unknown fields and values of the wrong type, worded
// as Kubernetes' JSON decoder (sigs.k8s.io/json) words them.

import { NOT_A_QUANTITY, isQuantity } from '../../quantity.ts'
import { parseTime } from '../../time.ts'
import type { FieldSchema, Scalar, StructSchema, TypeReference } from './notation.ts'
import { goNameOf, referredSchema } from './schema.ts'

export interface Findings {
  /** `unknown field "spec.replicaz"`, in the order of the document. */
  unknown: string[]
  /** `json: cannot unmarshal string into Go struct field …`; Kubernetes reports the first only. */
  typeErrors: string[]
}

/** As many as Kubernetes lists before it stops. */
const MAX_FINDINGS = 100

/** Compares an object with its schema. Null stands for unset everywhere and is never wrong. */
export function strictCheck(object: unknown, schema: StructSchema): Findings {
  const findings: Findings = { unknown: [], typeErrors: [] }
  checkStruct(object, schema, { findings, path: '', goPath: '', owner: '' })
  return findings
}

interface Place {
  findings: Findings
  /** `spec.template.spec.containers[0]`. */
  path: string
  /** The same without indices and map keys, as Go's decoder knows it. */
  goPath: string
  /** The Go struct that has the field: `Container`. */
  owner: string
}

function checkStruct(value: unknown, schema: StructSchema, place: Place): void {
  if (!isRecord(value)) {
    mismatch(value, goNameOf(schema.name), place)
    return
  }
  const owner = schema.name.slice(schema.name.lastIndexOf('.') + 1)
  for (const [name, each] of Object.entries(value)) {
    const path = place.path ? `${place.path}.${name}` : name
    const field = schema.fields.get(name)
    if (!field) {
      if (place.findings.unknown.length < MAX_FINDINGS) {
        place.findings.unknown.push(`unknown field "${path}"`)
      }
      continue
    }
    const goPath = place.goPath ? `${place.goPath}.${name}` : name
    checkField(each, field, { findings: place.findings, path, goPath, owner })
  }
}

function checkField(value: unknown, field: FieldSchema, place: Place): void {
  checkValue(value, field.type, place)
}

function checkValue(value: unknown, type: TypeReference, place: Place): void {
  if (value === null || value === undefined) return
  switch (type.is) {
    case 'struct':
      return checkStruct(value, referredSchema(type.name), place)
    case 'list':
      if (!Array.isArray(value)) return mismatch(value, goType(type), place)
      for (const [index, each] of value.entries()) {
        checkValue(each, type.element, { ...place, path: `${place.path}[${index}]` })
      }
      return
    case 'map':
      if (!isRecord(value)) return mismatch(value, goType(type), place)
      for (const [key, each] of Object.entries(value)) {
        checkValue(each, type.element, { ...place, path: `${place.path}.${key}` })
      }
      return
    case 'scalar':
      return checkScalar(value, type.scalar, place)
  }
}

function checkScalar(value: unknown, scalar: Scalar, place: Place): void {
  switch (scalar) {
    case 'any':
      return
    case 'string':
    case 'bool':
      if (typeof value !== (scalar === 'bool' ? 'boolean' : 'string')) {
        mismatch(value, scalar, place)
      }
      return
    case 'int32':
    case 'int64':
      return checkInteger(value, scalar, place)
    case 'float64':
      if (typeof value !== 'number') mismatch(value, scalar, place)
      return
    case 'strings':
      return checkValue(value, { is: 'list', element: { is: 'scalar', scalar: 'string' } }, place)
    case 'bytes':
      if (typeof value !== 'string') mismatch(value, '[]uint8', place)
      else if (!isBase64(value)) say(place, `illegal base64 data at input byte ${badByte(value)}`)
      return
    case 'quantity':
    case 'intOrString':
    case 'time':
    case 'microTime':
    case 'duration':
      return checkSpecial(value, scalar, place)
  }
}

function checkInteger(value: unknown, scalar: 'int32' | 'int64', place: Place): void {
  if (typeof value !== 'number') return mismatch(value, scalar, place)
  const limit = scalar === 'int32' ? 2 ** 31 : 2 ** 63
  if (!Number.isInteger(value) || value < -limit || value >= limit) {
    const { owner, goPath } = place
    say(
      place,
      `json: cannot unmarshal number ${value} into Go struct field ${owner}.${goPath} of type ${scalar}`,
    )
  }
}

/** Types that unmarshal themselves: their errors do not name the field. */
function checkSpecial(
  value: unknown,
  scalar: 'quantity' | 'intOrString' | 'time' | 'microTime' | 'duration',
  place: Place,
): void {
  const cannot = (type: string): void =>
    say(place, `json: cannot unmarshal ${jsonTypeOf(value)} into Go value of type ${type}`)
  switch (scalar) {
    case 'quantity':
      if (!isQuantity(typeof value === 'number' ? String(value) : value)) say(place, NOT_A_QUANTITY)
      return
    case 'intOrString':
      if (typeof value !== 'string' && !(typeof value === 'number' && isInt32(value))) {
        cannot('int32')
      }
      return
    case 'time':
    case 'microTime': {
      if (typeof value !== 'string') return cannot('string')
      const layout =
        scalar === 'time' ? '2006-01-02T15:04:05Z07:00' : '2006-01-02T15:04:05.000000Z07:00'
      if (parseTime(value) === undefined) {
        say(place, `parsing time ${quote(value)} as ${quote(layout)}: cannot parse ${quote(value)}`)
      }
      return
    }
    case 'duration':
      if (typeof value !== 'string') cannot('string')
      else if (!DURATION.test(value)) say(place, `time: invalid duration ${quote(value)}`)
      return
  }
}

const DURATION = /^[+-]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$/

function mismatch(value: unknown, goTypeName: string, place: Place): void {
  const field = place.goPath ? `Go struct field ${place.owner}.${place.goPath}` : 'Go value'
  say(place, `json: cannot unmarshal ${jsonTypeOf(value)} into ${field} of type ${goTypeName}`)
}

function say(place: Place, message: string): void {
  if (place.findings.typeErrors.length < MAX_FINDINGS) place.findings.typeErrors.push(message)
}

/** How Go prints the type: `[]v1.Container`, `map[string]string`. */
function goType(type: TypeReference): string {
  if (type.is === 'list') return `[]${goType(type.element)}`
  if (type.is === 'map') return `map[string]${goType(type.element)}`
  if (type.is === 'struct') return goNameOf(type.name)
  return SPECIAL_GO_TYPES[type.scalar] ?? type.scalar
}

const SPECIAL_GO_TYPES: Readonly<Partial<Record<Scalar, string>>> = {
  quantity: 'resource.Quantity',
  intOrString: 'intstr.IntOrString',
  time: 'v1.Time',
  microTime: 'v1.MicroTime',
  duration: 'v1.Duration',
  bytes: '[]uint8',
  strings: '[]string',
  any: 'runtime.RawExtension',
}

function jsonTypeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

function isInt32(value: number): boolean {
  return Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 31
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Go's standard encoding: padded, line breaks allowed. */
function isBase64(text: string): boolean {
  const compact = text.replace(/[\r\n]/g, '')
  return compact.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(compact)
}

function badByte(text: string): number {
  const index = text.search(/[^A-Za-z0-9+/\r\n]/)
  return index < 0 ? text.length : index
}

function quote(text: string): string {
  return JSON.stringify(text)
}
