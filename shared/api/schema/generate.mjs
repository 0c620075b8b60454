// `npm run generate`: writes what Wherry knows of Kubernetes' types, from Kubernetes' own clients.
//   shared/api/schema/kubernetes.json      every field of every served type (notation: schema.ts)
//   functions/api/openapi/descriptions.json  what `kubectl explain` says about them
// Field names, types, protobuf numbers and patch tags come from the reflection data in kubectl (and
// helm, for apiextensions); descriptions and what is required from @kubernetes/client-node.
// Run by hand after a new Kubernetes release; the results are committed.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { helm, kubectl } from '../../../test/clients.ts'
import { readClientModels } from './client-models.mjs'
import { readGoTypes } from './go-types.mjs'
import { ATOMIC_STRUCTS, GRANULAR_FIELDS, LIST_TYPES } from './list-types.mjs'

const CLIENT_NODE = '@kubernetes/client-node@2.0.1'

const PACKAGES = [
  'core/v1',
  'apps/v1',
  'batch/v1',
  'autoscaling/v1',
  'autoscaling/v2',
  'policy/v1',
  'networking/v1',
  'discovery/v1',
  'coordination/v1',
  'events/v1',
  'storage/v1',
  'rbac/v1',
  'authentication/v1',
  'authorization/v1',
  'scheduling/v1',
  'node/v1',
]
const OTHER_PACKAGES = {
  'k8s.io/apimachinery/pkg/apis/meta/v1': 'meta/v1',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1': 'apiextensions/v1',
  'k8s.io/metrics/pkg/apis/metrics/v1beta1': 'metrics/v1beta1',
}
/** Types that Go writes to JSON in a way of their own. */
const LEAVES = {
  'k8s.io/apimachinery/pkg/apis/meta/v1.Time': 'time',
  'k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime': 'microTime',
  'k8s.io/apimachinery/pkg/apis/meta/v1.Duration': 'duration',
  'k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1': 'any',
  'k8s.io/apimachinery/pkg/runtime.RawExtension': 'any',
  'k8s.io/apimachinery/pkg/api/resource.Quantity': 'quantity',
  'k8s.io/apimachinery/pkg/util/intstr.IntOrString': 'intOrString',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSON': 'any',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrArray': 'any',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrBool': 'any',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrStringArray': 'any',
}
/** Kinds of the machinery that are sent in bodies or documented. Lists are made from their items. */
const META_KINDS = /^(Create|Delete|Get|List|Patch|Update)Options$|^Status$|^ListMeta$/

const goStructs = new Map([
  ...readGoTypes(readFileSync(helm('4'))),
  ...readGoTypes(readFileSync(kubectl('1.35'))),
])

/** `k8s.io/api/apps/v1.Deployment`. */
const fullNameOf = (type) => `${type.path}.${type.name.slice(type.name.lastIndexOf('.') + 1)}`

/** `apps/v1.Deployment`; undefined outside the packages that matter here. */
function shortNameOf(type) {
  const short =
    OTHER_PACKAGES[type.path] ?? PACKAGES.find((name) => type.path === `k8s.io/api/${name}`)
  return short && `${short}.${type.name.slice(type.name.lastIndexOf('.') + 1)}`
}

const isKind = (type) => type.fields[0]?.name === 'TypeMeta' && type.fields[0].isEmbedded

const wanted = new Map()
for (const type of goStructs.values()) {
  const name = shortNameOf(type)
  if (!name) continue
  const kind = name.slice(name.indexOf('.') + 1)
  if (isKind(type) && (name.startsWith('meta/') ? META_KINDS.test(kind) : !kind.endsWith('List'))) {
    collect(type)
  }
}
collect(goStructs.get('k8s.io/apimachinery/pkg/apis/meta/v1.ListMeta'))

const clients = packed(CLIENT_NODE, (folder) =>
  readClientModels(join(folder, 'dist', 'gen', 'models')),
)

const types = {}
const descriptions = {}
for (const name of [...wanted.keys()].sort((a, b) => (a < b ? -1 : 1))) {
  const type = wanted.get(name)
  const model = clients.modelOf(name, jsonNames(type))
  types[name] = ATOMIC_STRUCTS.has(name) ? { '': 'atomic' } : {}
  for (const field of type.fields) {
    const [key, text] = describeField(name, field, model)
    if (key) types[name][key] = text
  }
  if (model) {
    descriptions[name] = { description: model.description ?? '', fields: model.fields }
  }
}
checkTables()
write('kubernetes.json', types)
write('../../../functions/api/openapi/descriptions.json', descriptions)

/** Adds a struct and whatever it is made of. */
function collect(type) {
  const name = shortNameOf(type)
  if (!name) throw new Error(`${fullNameOf(type)} is in no known package`)
  if (wanted.has(name)) return
  wanted.set(name, type)
  for (const field of type.fields) {
    if (field.name === 'TypeMeta' || /json:"-/.test(field.tag)) continue
    let inner = field.type
    while (inner.element) inner = inner.element
    if (inner.kind === 'struct' && !leafOf(inner)) collect(inner)
  }
}

function leafOf(type) {
  return LEAVES[fullNameOf(type)]
}

/** `*int32`, `[]core/v1.Container`, `{}string` (a map), `bytes`. */
function typeText(type) {
  if (type.kind === 'pointer') return `*${typeText(type.element)}`
  if (type.kind === 'map') return `{}${typeText(type.element)}`
  if (type.kind === 'slice') {
    if (type.element.scalar === 'uint8') return 'bytes'
    // A slice with a name of its own is a message of its own on the protobuf wire.
    if (/\.(ExtraValue|Verbs)$/.test(type.name)) return 'strings'
    return `[]${typeText(type.element)}`
  }
  if (type.kind === 'scalar') return type.scalar
  const text = leafOf(type) ?? shortNameOf(type)
  if (!text) throw new Error(`no notation for ${type.name}`)
  return text
}

function describeField(owner, field, model) {
  const json = /json:"([^"]*)"/.exec(field.tag)?.[1].split(',') ?? []
  const proto = /protobuf:"\w+,(\d+),\w+,name=([^",]+)/.exec(field.tag)
  if (json[0] === '-') return []
  if (field.name === 'TypeMeta') return ['TypeMeta', '0 inline']
  if (field.isEmbedded && (json.length === 0 || json[0] === '')) {
    return [proto?.[2] ?? field.name, `${proto?.[1] ?? 0} ${typeText(field.type)} inline`]
  }
  const name = json[0] || field.name
  const flags = []
  if (json.includes('omitempty') || json.includes('omitzero')) flags.push('?')
  if (model?.required.has(name)) flags.push('!')
  const strategy = /patchStrategy:"([^"]*)"/.exec(field.tag)?.[1]
  const mergeKey = /patchMergeKey:"([^"]*)"/.exec(field.tag)?.[1]
  if (strategy) flags.push(`patch:${strategy}${mergeKey ? `:${mergeKey}` : ''}`)
  const list = LIST_TYPES[owner]?.[name]
  if (list) flags.push(`list:${list}`)
  if (GRANULAR_FIELDS.has(`${owner}.${name}`)) flags.push('granular')
  return [name, [proto?.[1] ?? 0, typeText(field.type), ...flags].join(' ')]
}

function jsonNames(type) {
  return type.fields.flatMap((field) => /json:"([^",]+)/.exec(field.tag)?.[1] ?? [])
}

/** A line of the hand-written tables that names nothing is a mistake. */
function checkTables() {
  for (const [name, fields] of Object.entries(LIST_TYPES)) {
    for (const field of Object.keys(fields)) {
      if (!types[name]?.[field]) throw new Error(`list-types.mjs: there is no ${name}.${field}`)
    }
  }
  for (const name of ATOMIC_STRUCTS) {
    if (!types[name]) throw new Error(`list-types.mjs: there is no ${name}`)
  }
}

function packed(specifier, read) {
  const folder = mkdtempSync(join(tmpdir(), 'wherry-generate-'))
  try {
    const out = execFileSync('npm', ['pack', '--json', specifier], {
      cwd: folder,
      encoding: 'utf8',
    })
    execFileSync('tar', ['xzf', JSON.parse(out)[0].filename], { cwd: folder })
    return read(join(folder, 'package'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** One type a line: small, and a new release shows as a readable difference. */
function write(path, data) {
  const lines = Object.entries(data).map(
    ([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`,
  )
  const file = fileURLToPath(new URL(path, import.meta.url))
  const text = `{\n${lines.join(',\n')}\n}\n`
  writeFileSync(file, text)
  process.stdout.write(`${path}: ${lines.length} types, ${Math.round(text.length / 1024)} kB\n`)
}
