// One object as Git holds it: any JSON with apiVersion, kind and a name.

import { isObject, type JsonObject } from '../patch/json.ts'
import { renderError } from './tree.ts'

export interface ManifestMeta extends JsonObject {
  name: string
  namespace?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
}

export interface Manifest extends JsonObject {
  apiVersion: string
  kind: string
  metadata: ManifestMeta
}

/** More objects than this in one deploy are refused. */
export const MANIFESTS_MAX = 1000

/** The objects among parsed documents; lists are taken apart. Error: a document is none. */
export function manifestsOf(documents: readonly unknown[], where: string): Manifest[] {
  return documents.flatMap((document, index) => {
    if (document === null || document === undefined) return []
    const place = documents.length > 1 ? `${where} (document ${index + 1})` : where
    return manifestOf(document, place)
  })
}

function manifestOf(document: unknown, where: string): Manifest[] {
  if (!isObject(document)) throw renderError(where, 'holds something that is no object')
  const { apiVersion, kind, metadata, items } = document
  if (typeof apiVersion !== 'string' || typeof kind !== 'string' || !apiVersion || !kind) {
    throw renderError(
      where,
      'has no apiVersion and kind: point spec.path to the folder of the manifests',
    )
  }
  if (kind.endsWith('List') && Array.isArray(items)) {
    return items.flatMap((item: unknown, index) => manifestOf(item, `${where} (item ${index + 1})`))
  }
  if (!isObject(metadata) || typeof metadata['name'] !== 'string' || !metadata['name']) {
    throw renderError(where, `${kind} has no metadata.name`)
  }
  for (const member of ['labels', 'annotations']) {
    const value = metadata[member]
    if (value === null) delete metadata[member]
    else if (value !== undefined && !isObject(value)) {
      throw renderError(where, `${kind} "${metadata['name']}": metadata.${member} is no map`)
    }
  }
  if (metadata['namespace'] === null || metadata['namespace'] === '') delete metadata['namespace']
  if (metadata['namespace'] !== undefined && typeof metadata['namespace'] !== 'string') {
    throw renderError(where, `${kind} "${metadata['name']}": metadata.namespace is no text`)
  }
  // Checked above, member by member.
  return [document as Manifest]
}

/** `Deployment "web"`, for messages. */
export function shownManifest({ kind, metadata }: Manifest): string {
  return `${kind} "${metadata.name}"`
}

/** The pod template of a workload, or a Pod itself; undefined for kinds that run nothing. */
export function podTemplateOf(object: JsonObject): JsonObject | undefined {
  if (object['kind'] === 'Pod') return object
  const spec = object['spec']
  if (!isObject(spec)) return undefined
  if (isObject(spec['template'])) return spec['template']
  const job = spec['jobTemplate']
  const jobSpec = isObject(job) ? job['spec'] : undefined
  return isObject(jobSpec) && isObject(jobSpec['template']) ? jobSpec['template'] : undefined
}

/** The pod spec inside a workload or Pod. */
export function podSpecOf(object: JsonObject): JsonObject | undefined {
  const spec = podTemplateOf(object)?.['spec']
  return isObject(spec) ? spec : undefined
}

/** The objects of a list member; what is none is left out. */
export function objectsIn(object: JsonObject | undefined, member: string): JsonObject[] {
  const list = object?.[member]
  return Array.isArray(list) ? list.filter(isObject) : []
}

/** All containers of a pod spec. */
export function containersOf(podSpec: JsonObject | undefined): JsonObject[] {
  return ['initContainers', 'containers', 'ephemeralContainers'].flatMap((member) =>
    objectsIn(podSpec, member),
  )
}
