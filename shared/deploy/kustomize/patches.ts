// patches, patchesStrategicMerge and patchesJson6902: which objects a patch is for, and what it makes
// of them.

import { kindOfObject } from '../../api/catalog.ts'
import { schemaOf } from '../../api/schema/schema.ts'
import { applyMergePatch } from '../../patch/merge-patch.ts'
import { isObject, type JsonObject } from '../../patch/json.ts'
import { applyStrategicMergePatch } from '../../patch/strategic-merge-patch.ts'
import { matches, parseSelector } from '../../selector.ts'
import { StatusError } from '../../status.ts'
import type { Manifest } from '../manifest.ts'
import { joinPath, parsed, renderError, textAt, type RenderTools, type Tree } from '../tree.ts'
import { reader } from './kustomization.ts'
import { groupOf, versionOf, type Resource } from './resource.ts'

export interface PatchScope {
  tree: Tree
  tools: RenderTools
  folder: string
  /** The kustomization, for messages. */
  path: string
}

/** patchesStrategicMerge: each entry is a file or the patch itself. */
export function applyStrategicFiles(
  scope: PatchScope,
  entries: readonly string[],
  resources: Resource[],
): Resource[] {
  return entries.reduce((present, entry) => {
    const isInline = entry.includes('\n')
    const where = isInline ? `${scope.path}: patchesStrategicMerge` : joinPath(scope.folder, entry)
    const text = isInline ? entry : textAt(scope.tree, where)
    return applyText(scope, { text, where, target: undefined }, present)
  }, resources)
}

/** patches: strategic merge or RFC 6902, in a file or inline, for one object or a selection. */
export function applyPatches(
  scope: PatchScope,
  entries: readonly JsonObject[],
  resources: Resource[],
): Resource[] {
  return entries.reduce((present, entry) => {
    const where = `${scope.path}: patches`
    const get = reader(entry, where)
    if (entry['options'] !== undefined) throw renderError(where, 'options are not supported')
    const file = get.text('path')
    const text = file ? textAt(scope.tree, joinPath(scope.folder, file)) : get.text('patch')
    const target = entry['target'] === undefined ? undefined : get.object('target')
    return applyText(scope, { text, where: file || where, target }, present)
  }, resources)
}

/** patchesJson6902: RFC 6902 with a target. */
export function applyJsonPatches(
  scope: PatchScope,
  entries: readonly JsonObject[],
  resources: Resource[],
): Resource[] {
  for (const entry of entries) {
    if (!isObject(entry['target'])) {
      throw renderError(`${scope.path}: patchesJson6902`, 'target is missing')
    }
  }
  return applyPatches(scope, entries, resources)
}

interface PatchText {
  text: string
  where: string
  target: JsonObject | undefined
}

function applyText(scope: PatchScope, patch: PatchText, resources: Resource[]): Resource[] {
  const { text, where, target } = patch
  const documents = parsed(text, where, scope.tools).filter((each) => each !== null)
  if (documents.length === 0) throw renderError(where, 'the patch is empty')
  const [first] = documents
  if (Array.isArray(first)) {
    if (!target) throw renderError(where, 'a JSON patch needs a target')
    return changeAll(resources, selected(resources, target, where), (object) =>
      asManifest(scope.tools.applyJsonPatch(object, first), where),
    )
  }
  return documents.reduce<Resource[]>((present, document) => {
    if (!isObject(document)) throw renderError(where, 'the patch is neither a map nor a list')
    const found = target ? selected(present, target, where) : [named(present, document, where)]
    return changeAll(present, found, (object) => merged(object, document, where))
  }, resources)
}

/** Replaces the objects; those that a patch deletes go. */
function changeAll(
  resources: Resource[],
  found: readonly Resource[],
  change: (object: Manifest) => Manifest | undefined,
): Resource[] {
  const gone = new Set<Resource>()
  for (const resource of found) {
    const after = change(resource.object)
    if (!after) gone.add(resource)
    else {
      // A patch names its target; it does not rename it.
      const { name, namespace } = resource.object.metadata
      after.metadata = { ...after.metadata, name, ...(namespace ? { namespace } : {}) }
      resource.object = after
    }
  }
  return resources.filter((resource) => !gone.has(resource))
}

function merged(object: Manifest, patch: JsonObject, where: string): Manifest | undefined {
  if (patch['$patch'] === 'delete') return undefined
  const kind = kindOfObject(object)
  const schema = kind && schemaOf(kind.group, kind.version, kind.kind)
  const { apiVersion: _, kind: __, ...change } = patch
  try {
    const after = schema
      ? applyStrategicMergePatch(object, change, schema)
      : applyMergePatch(object, change)
    return asManifest({ ...after, apiVersion: object.apiVersion, kind: object.kind }, where)
  } catch (error) {
    if (error instanceof StatusError) throw renderError(where, error.message)
    throw error
  }
}

function asManifest(object: JsonObject, where: string): Manifest {
  const { apiVersion, kind, metadata } = object
  const isOne =
    typeof apiVersion === 'string' &&
    typeof kind === 'string' &&
    isObject(metadata) &&
    typeof metadata['name'] === 'string'
  if (!isOne) throw renderError(where, 'the patch leaves no object with a kind and a name')
  return object as Manifest
}

/** The object that a strategic merge patch names itself. */
function named(resources: readonly Resource[], patch: JsonObject, where: string): Resource {
  const { apiVersion, kind, metadata } = patch
  const meta = isObject(metadata) ? metadata : {}
  const { name, namespace } = meta
  const found = resources.filter(
    ({ object, names }) =>
      object.kind === kind &&
      groupOf(object.apiVersion) === groupOf(typeof apiVersion === 'string' ? apiVersion : '') &&
      typeof name === 'string' &&
      (object.metadata.name === name || names.has(name)) &&
      (namespace === undefined || (object.metadata.namespace ?? 'default') === namespace),
  )
  const [only] = found
  if (!only || found.length > 1) {
    throw renderError(
      where,
      `the patch is for ${String(kind)} "${String(name)}", of which there are ${found.length}`,
    )
  }
  return only
}

/** The objects that a target selects. */
function selected(resources: readonly Resource[], target: JsonObject, where: string): Resource[] {
  const get = reader(target, `${where}: target`)
  const fits = (pattern: string, texts: Iterable<string>): boolean =>
    pattern === '' || [...texts].some((text) => isLike(text, pattern, where))
  const labels = parseSelector(get.text('labelSelector'))
  const annotations = parseSelector(get.text('annotationSelector'))
  return resources.filter(
    ({ object, names }) =>
      fits(get.text('group'), [groupOf(object.apiVersion)]) &&
      fits(get.text('version'), [versionOf(object.apiVersion)]) &&
      fits(get.text('kind'), [object.kind]) &&
      fits(get.text('name'), [object.metadata.name, ...names]) &&
      fits(get.text('namespace'), [object.metadata.namespace ?? 'default']) &&
      matches(labels, object.metadata.labels) &&
      matches(annotations, object.metadata.annotations),
  )
}

const PATTERN = /^[A-Za-z0-9_\-/.|*]*$/
const WILDCARDS_MAX = 4

/**
 * kustomize takes any regular expression here; of those, names, `.*` and `|` are understood. The
 * others are refused: an expression from outside may run for ever.
 */
function isLike(text: string, pattern: string, where: string): boolean {
  return pattern
    .replace(/^\^?\(?|\)?\$?$/g, '')
    .split('|')
    .some((each) => {
      const parts = each.split('.*')
      if (!PATTERN.test(each) || parts.join('').includes('*') || parts.length > WILDCARDS_MAX) {
        throw renderError(
          where,
          `target: the pattern ${pattern} is not supported: use names, .* and |`,
        )
      }
      return new RegExp(`^${parts.map((part) => part.replaceAll('.', '\\.')).join('.*')}$`).test(
        text,
      )
    })
}
