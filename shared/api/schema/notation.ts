// The notation of kubernetes.json and own-kinds.ts, and the typed form it is read into.
//
// One text a field: the protobuf number, the type, then marks.
//   type   `string` `bool` `int32` `int64` `float64` `bytes` `quantity` `intOrString` `time`
//          `microTime` `duration` `any` `strings` (a list that is a message on the protobuf wire)
//          or a struct's name; before it `*` (a pointer in Go: an explicit zero is kept), `[]`
//          (a list), `{}` (a map)
//   marks  `?` left out of JSON when empty · `!` required · `inline` its fields stand in the owner
//          `patch:STRATEGY[:MERGE-KEY]` strategic merge patch · `list:set`, `list:map(KEYS)`,
//          `list:atomic` (of a map) server-side apply · `granular` its struct is not atomic here
// The empty field name marks the whole struct: `atomic`.

export type Scalar =
  | 'string'
  | 'bool'
  | 'int32'
  | 'int64'
  | 'float64'
  | 'bytes'
  | 'quantity'
  | 'intOrString'
  | 'time'
  | 'microTime'
  | 'duration'
  | 'any'
  | 'strings'

export type TypeReference =
  | { is: 'scalar'; scalar: Scalar }
  | { is: 'list'; element: TypeReference }
  | { is: 'map'; element: TypeReference }
  | { is: 'struct'; name: string }

export interface FieldSchema {
  /** The name in JSON. For an inlined struct, its protobuf name. */
  name: string
  /** The protobuf field number; 0: it is never on that wire. */
  number: number
  type: TypeReference
  /** An explicit zero value says something, nothing at all something else. */
  isPointer: boolean
  /** Kubernetes leaves it out of JSON when it is empty. */
  isOmittedWhenEmpty: boolean
  isRequired: boolean
  isInline: boolean
  /** Strategic merge patch; absent: replace. */
  patchStrategies: readonly string[]
  patchMergeKey?: string
  /** Server-side apply; absent: a list is atomic, a map or struct is merged. */
  listType?: 'set' | 'map' | 'atomic'
  listMapKeys?: readonly string[]
  isGranular: boolean
}

export interface StructSchema {
  /** `apps/v1.DeploymentSpec`. */
  name: string
  /** As it is on the protobuf wire: inlined structs are fields. */
  wireFields: readonly FieldSchema[]
  /** As it is in JSON, by name: inlined structs are dissolved. */
  fields: ReadonlyMap<string, FieldSchema>
  /** Server-side apply sets it as one. */
  isAtomic: boolean
}

const SCALARS: ReadonlySet<string> = new Set<Scalar>([
  'string',
  'bool',
  'int32',
  'int64',
  'float64',
  'bytes',
  'quantity',
  'intOrString',
  'time',
  'microTime',
  'duration',
  'any',
  'strings',
])

function isScalar(text: string): text is Scalar {
  return SCALARS.has(text)
}

/** Reads one field. */
export function parseField(name: string, text: string): FieldSchema {
  const [number = '0', type = '', ...marks] = text.split(' ')
  const marked = (prefix: string): string | undefined =>
    marks.find((mark) => mark.startsWith(prefix))?.slice(prefix.length)
  const [strategies, patchMergeKey] = marked('patch:')?.split(':') ?? []
  const list = marked('list:')
  const keys = list?.startsWith('map(') ? list.slice(4, -1).split(',') : undefined
  return {
    name,
    number: Number(number),
    type: parseType(type.startsWith('*') ? type.slice(1) : type),
    isPointer: type.startsWith('*'),
    isOmittedWhenEmpty: marks.includes('?'),
    isRequired: marks.includes('!'),
    isInline: marks.includes('inline') || type === 'inline',
    patchStrategies: strategies?.split(',') ?? [],
    ...(patchMergeKey ? { patchMergeKey } : {}),
    ...(keys ? { listType: 'map', listMapKeys: keys } : {}),
    ...(list === 'set' || list === 'atomic' ? { listType: list } : {}),
    isGranular: marks.includes('granular'),
  }
}

function parseType(text: string): TypeReference {
  if (text.startsWith('*')) return parseType(text.slice(1))
  if (text.startsWith('[]')) return { is: 'list', element: parseType(text.slice(2)) }
  if (text.startsWith('{}')) return { is: 'map', element: parseType(text.slice(2)) }
  return isScalar(text) ? { is: 'scalar', scalar: text } : { is: 'struct', name: text }
}
