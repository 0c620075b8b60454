// What Kubernetes' types look like: every field of every kind that Wherry serves or decodes.
// The data is generated (npm run generate), Wherry's own kinds stand in own-kinds.ts.

import kubernetes from './kubernetes.json' with { type: 'json' }
import { parseField, type FieldSchema, type StructSchema } from './notation.ts'
import { OWN_TYPES } from './own-kinds.ts'

const TYPES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  ...kubernetes,
  ...OWN_TYPES,
}

/** API groups whose name is not the one of their Go package. */
const PACKAGE_OF_GROUP: Readonly<Record<string, string>> = {
  '': 'core',
  'apiextensions.k8s.io': 'apiextensions',
  'authentication.k8s.io': 'authentication',
  'authorization.k8s.io': 'authorization',
  'coordination.k8s.io': 'coordination',
  'discovery.k8s.io': 'discovery',
  'events.k8s.io': 'events',
  'metrics.k8s.io': 'metrics',
  'networking.k8s.io': 'networking',
  'node.k8s.io': 'node',
  'rbac.authorization.k8s.io': 'rbac',
  'scheduling.k8s.io': 'scheduling',
  'storage.k8s.io': 'storage',
}

/** Kinds of the machinery, which clients send in every group and version. */
const META_KIND = /^((Create|Delete|Get|List|Patch|Update)Options|Status)$/

const known = new Map<string, StructSchema>()

/** The schema of a kind, or undefined when its type is not known here. */
export function schemaOf(group: string, version: string, kind: string): StructSchema | undefined {
  if (META_KIND.test(kind)) return structSchema(`meta/v1.${kind}`)
  return structSchema(`${PACKAGE_OF_GROUP[group] ?? group}/${version}.${kind}`)
}

/** The schema of a struct by its name in the data: `core/v1.PodSpec`. */
export function structSchema(name: string): StructSchema | undefined {
  const parsed = known.get(name)
  if (parsed) return parsed
  if (!Object.hasOwn(TYPES, name)) return undefined
  const source = TYPES[name] ?? {}
  const wireFields = Object.entries(source)
    .filter(([field]) => field !== '' && field !== 'TypeMeta')
    .map(([field, text]) => parseField(field, text))
  const schema: StructSchema = {
    name,
    wireFields,
    fields: new Map([
      ...('TypeMeta' in source ? TYPE_META : []).map((field) => [field.name, field] as const),
      ...dissolve(wireFields),
    ]),
    isAtomic: source[''] === 'atomic',
  }
  known.set(name, schema)
  return schema
}

/** The schema of a struct that another type refers to. */
export function referredSchema(name: string): StructSchema {
  const schema = structSchema(name)
  if (!schema) throw new Error(`the schema data names a type it does not have: ${name}`)
  return schema
}

/** `v1.PodSpec`, as Go prints the type in messages. */
export function goNameOf(name: string): string {
  return name.slice(name.indexOf('/') + 1)
}

const TYPE_META = [parseField('kind', '0 string ?'), parseField('apiVersion', '0 string ?')]

function dissolve(fields: readonly FieldSchema[]): [string, FieldSchema][] {
  return fields.flatMap((field): [string, FieldSchema][] =>
    field.isInline && field.type.is === 'struct'
      ? [...referredSchema(field.type.name).fields]
      : [[field.name, field]],
  )
}
