// Request bodies in Kubernetes' protobuf: what every typed Go client of 2025 and later sends, with no
// fallback to JSON. Read field by field as the schema says, into the object that JSON would have been.

import protobuf from 'protobufjs/minimal.js'
import type {
  FieldSchema,
  Scalar,
  StructSchema,
  TypeReference,
} from '#shared/api/schema/notation.ts'
import { prune } from '#shared/api/schema/prune.ts'
import { referredSchema, schemaOf } from '#shared/api/schema/schema.ts'
import { StatusError } from '#shared/status.ts'
import { formatMicroTime, formatTime } from '#shared/time.ts'

export interface ProtobufBody {
  apiVersion: string
  kind: string
  /** With apiVersion and kind, in canonical form (prune.ts). */
  object: Record<string, unknown>
}

const MAGIC = [0x6b, 0x38, 0x73, 0x00] // "k8s\0"
const MAX_DEPTH = 64
const VARINT = 0
const FIXED64 = 1
const BYTES = 2

/**
 * Decodes a body of type application/vnd.kubernetes.protobuf. BadRequest: it is damaged, or of a kind
 * that is not known here.
 */
export function decodeProtobuf(body: Uint8Array): ProtobufBody {
  if (!MAGIC.every((byte, index) => body[index] === byte)) {
    throw new StatusError(
      'BadRequest',
      'provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]',
    )
  }
  const { apiVersion, kind, raw } = guarded('unable to unmarshal', () =>
    readEnvelope(body.subarray(MAGIC.length)),
  )
  const slash = apiVersion.indexOf('/')
  const version = apiVersion.slice(slash + 1)
  const schema = schemaOf(slash < 0 ? '' : apiVersion.slice(0, slash), version, kind)
  if (!schema) {
    throw new StatusError(
      'BadRequest',
      `no kind "${kind}" is registered for version "${apiVersion}" in scheme "wherry"`,
    )
  }
  const object = guarded(`${kind} in version "${version}" cannot be handled as a ${kind}`, () =>
    readStruct(raw, schema, 0),
  )
  return { apiVersion, kind, object: { apiVersion, kind, ...prune(object, schema) } }
}

/** Damaged bytes are the client's fault, whichever way the reader noticed. */
function guarded<T>(context: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new StatusError('BadRequest', `${context}: proto: ${why}`, undefined, { cause: error })
  }
}

/** runtime.Unknown: who it is, and its bytes. */
interface Envelope {
  apiVersion: string
  kind: string
  raw: Uint8Array
}

function readEnvelope(bytes: Uint8Array): Envelope {
  const envelope: Envelope = { apiVersion: '', kind: '', raw: new Uint8Array() }
  forEachField(bytes, (number, wireType, reader) => {
    if (wireType !== BYTES || number > 4) return reader.skipType(wireType)
    const value = reader.bytes()
    if (number === 2) envelope.raw = value
    else if (number === 1) {
      forEachField(value, (part, partWireType, partReader) => {
        if (partWireType !== BYTES) return partReader.skipType(partWireType)
        const text = partReader.string()
        if (part === 1) envelope.apiVersion = text
        else if (part === 2) envelope.kind = text
        return undefined
      })
    } else if (number === 3 && value.length > 0) throw new Error('unknown content encoding')
    return undefined
  })
  return envelope
}

function forEachField(
  bytes: Uint8Array,
  visit: (number: number, wireType: number, reader: protobuf.Reader) => unknown,
): void {
  const reader = protobuf.Reader.create(bytes)
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    if (tag >>> 3 === 0) throw new Error('illegal tag 0')
    visit(tag >>> 3, tag & 7, reader)
  }
}

function readStruct(
  bytes: Uint8Array,
  schema: StructSchema,
  depth: number,
): Record<string, unknown> {
  if (depth > MAX_DEPTH) throw new Error('exceeded max depth')
  const object: Record<string, unknown> = {}
  const lists = new Map<string, unknown[]>()
  const maps = new Map<string, Map<string, unknown>>()
  forEachField(bytes, (number, wireType, reader) => {
    const field = schema.wireFields.find((each) => each.number === number)
    if (!field) {
      reader.skipType(wireType) // a client may be newer than this schema
    } else if (field.type.is === 'list') {
      const list = lists.get(field.name) ?? []
      lists.set(field.name, list)
      readListItems(reader, wireType, field.type.element, list, depth)
    } else if (field.type.is === 'map') {
      const entries = maps.get(field.name) ?? new Map<string, unknown>()
      maps.set(field.name, entries)
      readEntry(reader, wireType, field.type.element, entries, depth)
    } else if (field.isInline) {
      Object.assign(object, readValue(reader, wireType, field.type, depth))
    } else {
      object[field.name] = readValue(reader, wireType, field.type, depth)
    }
  })
  for (const [name, list] of lists) object[name] = list
  for (const [name, entries] of maps) object[name] = Object.fromEntries(entries)
  for (const field of schema.wireFields) addZero(object, field)
  return object
}

/** What Go's JSON would show though it is not on the wire: fields without omitempty. */
function addZero(object: Record<string, unknown>, field: FieldSchema): void {
  if (field.name in object || field.isPointer || field.isOmittedWhenEmpty || field.isInline) return
  if (field.type.is === 'struct') object[field.name] = {}
  if (field.type.is !== 'scalar') return
  const zero = ZERO[field.type.scalar]
  if (zero !== undefined) object[field.name] = zero
}

const ZERO: Readonly<Partial<Record<Scalar, unknown>>> = {
  string: '',
  bool: false,
  int32: 0,
  int64: 0,
  float64: 0,
  quantity: '0',
  intOrString: 0,
}

function readListItems(
  reader: protobuf.Reader,
  wireType: number,
  element: TypeReference,
  list: unknown[],
  depth: number,
): void {
  const isNumber = element.is === 'scalar' && /^(bool|int)(32|64)?$/.test(element.scalar)
  if (!isNumber || wireType !== BYTES) {
    list.push(readValue(reader, wireType, element, depth))
    return
  }
  const packed = protobuf.Reader.create(reader.bytes())
  while (packed.pos < packed.len) list.push(readValue(packed, VARINT, element, depth))
}

/** gogo writes a map as a repeated message { key = 1, value = 2 }. */
function readEntry(
  reader: protobuf.Reader,
  wireType: number,
  element: TypeReference,
  entries: Map<string, unknown>,
  depth: number,
): void {
  expect(wireType, BYTES)
  let key = ''
  let value: unknown
  forEachField(reader.bytes(), (number, entryWireType, entryReader) => {
    if (number === 1) {
      expect(entryWireType, BYTES)
      key = entryReader.string()
    } else if (number === 2) {
      value = readValue(entryReader, entryWireType, element, depth)
    } else entryReader.skipType(entryWireType)
  })
  entries.set(key, value ?? null)
}

function readValue(
  reader: protobuf.Reader,
  wireType: number,
  type: TypeReference,
  depth: number,
): unknown {
  if (type.is === 'scalar') return readScalar(reader, wireType, type.scalar)
  expect(wireType, BYTES)
  if (type.is !== 'struct') throw new Error('a list of lists')
  return readStruct(reader.bytes(), referredSchema(type.name), depth + 1)
}

function readScalar(reader: protobuf.Reader, wireType: number, scalar: Scalar): unknown {
  switch (scalar) {
    case 'string':
      expect(wireType, BYTES)
      return reader.string()
    case 'bytes':
      expect(wireType, BYTES)
      return Buffer.from(reader.bytes()).toString('base64')
    case 'bool':
      expect(wireType, VARINT)
      return reader.bool()
    case 'int32':
      expect(wireType, VARINT)
      return reader.int32()
    case 'int64':
      expect(wireType, VARINT)
      return integer(reader)
    case 'float64':
      expect(wireType, FIXED64)
      return reader.double()
    case 'quantity':
    case 'intOrString':
    case 'time':
    case 'microTime':
    case 'duration':
    case 'any':
    case 'strings':
      expect(wireType, BYTES)
      return readMessage(reader.bytes(), scalar)
  }
  throw new Error(`unknown scalar ${String(scalar)}`)
}

type MessageScalar =
  | 'quantity'
  | 'intOrString'
  | 'time'
  | 'microTime'
  | 'duration'
  | 'any'
  | 'strings'

/** Types that are one value in JSON and a small message here. */
function readMessage(bytes: Uint8Array, scalar: MessageScalar): unknown {
  const numbers = [0, 0, 0]
  const texts: string[][] = [[], [], [], []]
  forEachField(bytes, (number, wireType, reader) => {
    if (wireType === VARINT && number < 3) numbers[number] = integer(reader)
    else if (wireType === BYTES && number < 4) texts[number]?.push(reader.string())
    else reader.skipType(wireType)
  })
  const [, first = 0, second = 0] = numbers
  switch (scalar) {
    case 'quantity':
      return texts[1]?.at(-1) ?? '0'
    case 'intOrString':
      return first === 0 ? second : (texts[3]?.at(-1) ?? '')
    case 'time':
      // Go's zero time is an empty message: unset.
      return bytes.length === 0 ? undefined : formatTime(first * 1000)
    case 'microTime':
      return bytes.length === 0
        ? undefined
        : formatMicroTime(first * 1_000_000 + Math.floor(second / 1000))
    case 'duration':
      return `${first / 1e9}s`
    case 'any': {
      const value: unknown = JSON.parse(texts[1]?.at(-1) || 'null')
      return value
    }
    case 'strings':
      return texts[1] ?? []
  }
  throw new Error(`unknown scalar ${String(scalar)}`)
}

/** 64 bits as a number: exact up to 2⁵³, as JSON is in JavaScript. */
function integer(reader: protobuf.Reader): number {
  const value = reader.int64()
  return typeof value === 'number' ? value : value.high * 2 ** 32 + (value.low >>> 0)
}

function expect(wireType: number, wanted: number): void {
  if (wireType !== wanted) throw new Error(`wrong wireType = ${wireType}`)
}
