// Kubernetes' types as OpenAPI v3 schemas: what `kubectl explain` prints, and what kubectl and helm
// read merge keys from. Made from the same data that requests are decoded with.

import type { FieldSchema, Scalar, TypeReference } from '#shared/api/schema/notation.ts'
import { referredSchema, schemaOf } from '#shared/api/schema/schema.ts'

export type JsonSchema = Record<string, unknown>

/** Per type: what it is, and per field: what that is. */
export type Descriptions = Readonly<
  Record<string, { description: string; fields: Readonly<Record<string, string>> }>
>

export interface GroupVersionKind {
  group: string
  version: string
  kind: string
}

const QUANTITY = 'io.k8s.apimachinery.pkg.api.resource.Quantity'
const INT_OR_STRING = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString'

const LEAVES: Readonly<Record<string, JsonSchema>> = {
  [QUANTITY]: {
    description:
      'A fixed-point number, such as 500m, 2 or 1.5Gi: a decimal number with an SI suffix ' +
      '(m, k, M, G, T, P, E), a binary one (Ki, Mi, Gi, Ti, Pi, Ei) or an exponent.',
    oneOf: [{ type: 'string' }, { type: 'number' }],
  },
  [INT_OR_STRING]: {
    description: 'A number, or a text: a percentage such as 25%, or a name of a port.',
    format: 'int-or-string',
    oneOf: [{ type: 'integer' }, { type: 'string' }],
  },
}

const SCALARS: Readonly<Record<Scalar, JsonSchema>> = {
  string: { type: 'string' },
  bool: { type: 'boolean' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  float64: { type: 'number', format: 'double' },
  bytes: { type: 'string', format: 'byte' },
  time: { type: 'string', format: 'date-time' },
  microTime: { type: 'string', format: 'date-time' },
  duration: { type: 'string' },
  any: { type: 'object' },
  strings: { type: 'array', items: { type: 'string' } },
  quantity: { $ref: `#/components/schemas/${QUANTITY}` },
  intOrString: { $ref: `#/components/schemas/${INT_OR_STRING}` },
}

const NO_DESCRIPTION: Descriptions[string] = { description: '', fields: {} }

/** `apps/v1.Deployment` → `io.k8s.api.apps.v1.Deployment`, the names Kubernetes publishes. */
export function schemaName(type: string): string {
  const slash = type.indexOf('/')
  const [group, rest] = [type.slice(0, slash), type.slice(slash + 1)]
  if (group === 'meta') return `io.k8s.apimachinery.pkg.apis.meta.${rest}`
  if (group === 'metrics') return `io.k8s.metrics.pkg.apis.metrics.${rest}`
  if (group === 'apiextensions') {
    return `io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.${rest}`
  }
  if (group.includes('.')) return `${group.split('.').reverse().join('.')}.${rest}`
  return `io.k8s.api.${group}.${rest}`
}

/** A reference to a kind's schema; undefined when its type is not known. */
export function referenceTo({ group, version, kind }: GroupVersionKind): JsonSchema | undefined {
  const schema = schemaOf(group, version, kind)
  return schema && { $ref: `#/components/schemas/${schemaName(schema.name)}` }
}

/** The schemas of these kinds, of their lists, and of everything that they are made of. */
export function schemasOf(
  kinds: readonly GroupVersionKind[],
  descriptions: Descriptions,
): Record<string, JsonSchema> {
  const result: Record<string, JsonSchema> = {}
  for (const gvk of kinds) {
    const schema = schemaOf(gvk.group, gvk.version, gvk.kind)
    if (!schema) continue
    add(schema.name, result, descriptions)
    const name = schemaName(schema.name)
    result[name] = { ...result[name], 'x-kubernetes-group-version-kind': [gvk] }
  }
  return Object.fromEntries(Object.entries(result).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function add(type: string, result: Record<string, JsonSchema>, descriptions: Descriptions): void {
  const name = schemaName(type)
  if (result[name]) return
  const schema: JsonSchema = { type: 'object' }
  result[name] = schema // before its fields: a type may hold itself
  const { fields, isAtomic } = referredSchema(type)
  const { description, fields: texts } = descriptions[type] ?? NO_DESCRIPTION
  if (description) schema['description'] = description
  const properties: Record<string, JsonSchema> = {}
  for (const field of fields.values()) {
    properties[field.name] = property(field, texts[field.name], result, descriptions)
  }
  if (fields.size > 0) schema['properties'] = properties
  const required = [...fields.values()].filter((field) => field.isRequired)
  if (required.length > 0) schema['required'] = required.map((field) => field.name)
  if (isAtomic) schema['x-kubernetes-map-type'] = 'atomic'
}

function property(
  field: FieldSchema,
  description: string | undefined,
  result: Record<string, JsonSchema>,
  descriptions: Descriptions,
): JsonSchema {
  const strategies = field.patchStrategies.join(',')
  return {
    ...(description ? { description } : {}),
    ...typeSchema(field.type, result, descriptions),
    ...(strategies ? { 'x-kubernetes-patch-strategy': strategies } : {}),
    ...(field.patchMergeKey ? { 'x-kubernetes-patch-merge-key': field.patchMergeKey } : {}),
    ...(field.type.is === 'list' ? { 'x-kubernetes-list-type': field.listType ?? 'atomic' } : {}),
    ...(field.listMapKeys ? { 'x-kubernetes-list-map-keys': field.listMapKeys } : {}),
    ...(field.type.is === 'map' && field.listType ? { 'x-kubernetes-map-type': 'atomic' } : {}),
  }
}

function typeSchema(
  type: TypeReference,
  result: Record<string, JsonSchema>,
  descriptions: Descriptions,
): JsonSchema {
  switch (type.is) {
    case 'list':
      return { type: 'array', items: typeSchema(type.element, result, descriptions) }
    case 'map':
      return {
        type: 'object',
        additionalProperties: typeSchema(type.element, result, descriptions),
      }
    case 'struct':
      add(type.name, result, descriptions)
      return {
        default: {},
        allOf: [{ $ref: `#/components/schemas/${schemaName(type.name)}` }],
      }
    case 'scalar':
  }
  return scalarSchema(type.scalar, result)
}

function scalarSchema(scalar: Scalar, result: Record<string, JsonSchema>): JsonSchema {
  const leaf =
    scalar === 'quantity' ? QUANTITY : scalar === 'intOrString' ? INT_OR_STRING : undefined
  const schema = leaf && LEAVES[leaf]
  if (leaf && schema) result[leaf] = schema
  return SCALARS[scalar]
}
