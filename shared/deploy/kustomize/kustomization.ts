// A kustomization file as far as it is supported; a field that is not is refused by its name, because
// a field that is silently ignored deploys something else than was meant.

import { isObject, type JsonObject } from '../../patch/json.ts'
import { parsed, renderError, textAt, type RenderTools, type Tree } from '../tree.ts'

export interface Kustomization {
  /** Its file, for messages. */
  path: string
  resources: string[]
  namespace: string
  namePrefix: string
  nameSuffix: string
  commonLabels: Record<string, string>
  commonAnnotations: Record<string, string>
  labels: JsonObject[]
  patches: JsonObject[]
  patchesStrategicMerge: string[]
  patchesJson6902: JsonObject[]
  images: JsonObject[]
  replicas: JsonObject[]
  configMapGenerator: JsonObject[]
  secretGenerator: JsonObject[]
  generatorOptions: JsonObject
}

const HELM = new Set(['helmCharts', 'helmGlobals', 'helmChartInflationGenerator'])
const KNOWN = new Set([
  'apiVersion',
  'kind',
  'metadata',
  'resources',
  'bases',
  'namespace',
  'namePrefix',
  'nameSuffix',
  'commonLabels',
  'commonAnnotations',
  'labels',
  'patches',
  'patchesStrategicMerge',
  'patchesJson6902',
  'images',
  'replicas',
  'configMapGenerator',
  'secretGenerator',
  'generatorOptions',
])

/** Reads it. Error: Invalid, naming the field that is malformed or not supported. */
export function readKustomization(tree: Tree, path: string, tools: RenderTools): Kustomization {
  const [document, ...more] = parsed(textAt(tree, path), path, tools)
  if (!isObject(document) || more.length > 0) throw renderError(path, 'must hold one object')
  if (document['kind'] !== undefined && document['kind'] !== 'Kustomization') {
    throw renderError(path, 'only the kind Kustomization is supported')
  }
  for (const field of Object.keys(document)) {
    if (HELM.has(field)) {
      throw renderError(
        path,
        `${field}: Helm charts are not rendered here: commit the output of \`helm template\``,
      )
    }
    if (!KNOWN.has(field)) throw renderError(path, `the field ${field} is not supported`)
  }
  const get = reader(document, path)
  return {
    path,
    resources: [...get.texts('resources'), ...get.texts('bases')],
    namespace: get.text('namespace'),
    namePrefix: get.text('namePrefix'),
    nameSuffix: get.text('nameSuffix'),
    commonLabels: get.map('commonLabels'),
    commonAnnotations: get.map('commonAnnotations'),
    labels: get.objects('labels'),
    patches: get.objects('patches'),
    patchesStrategicMerge: get.texts('patchesStrategicMerge'),
    patchesJson6902: get.objects('patchesJson6902'),
    images: get.objects('images'),
    replicas: get.objects('replicas'),
    configMapGenerator: get.objects('configMapGenerator'),
    secretGenerator: get.objects('secretGenerator'),
    generatorOptions: get.object('generatorOptions'),
  }
}

/** Typed access to the members of an object that a person wrote. */
export function reader(
  object: JsonObject,
  where: string,
): {
  text(name: string): string
  flag(name: string): boolean
  texts(name: string): string[]
  object(name: string): JsonObject
  objects(name: string): JsonObject[]
  map(name: string): Record<string, string>
} {
  const refuse = (name: string, wanted: string): Error =>
    renderError(where, `${name} must be ${wanted}`)
  const list = (name: string): unknown[] => {
    const value = object[name] ?? []
    if (!Array.isArray(value)) throw refuse(name, 'a list')
    return value
  }
  const member = (name: string): JsonObject => {
    const value = object[name] ?? {}
    if (!isObject(value)) throw refuse(name, 'a map')
    return value
  }
  return {
    text(name) {
      const value = object[name] ?? ''
      if (typeof value === 'number') return String(value)
      if (typeof value !== 'string') throw refuse(name, 'a text')
      return value
    },
    flag: (name) => object[name] === true,
    texts: (name) =>
      list(name).map((each) => {
        if (typeof each !== 'string') throw refuse(name, 'a list of texts')
        return each
      }),
    object: member,
    objects: (name) =>
      list(name).map((each) => {
        if (!isObject(each)) throw refuse(name, 'a list of maps')
        return each
      }),
    map: (name) =>
      Object.fromEntries(
        Object.entries(member(name)).map(([key, value]) => {
          if (typeof value !== 'string') throw refuse(`${name}.${key}`, 'a text')
          return [key, value]
        }),
      ),
  }
}
