// The OpenAPI paths of a kind: kubectl looks here for the query parameters and patch types that it
// may use, per group, version and kind.

import type { DiscoveredKind } from '../discovery.ts'
import { referenceTo, type GroupVersionKind, type JsonSchema } from './schemas.ts'

const PATCH_TYPES = [
  'application/apply-patch+yaml',
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
]

type Operation = Record<string, unknown>

/** The paths of these kinds, by path. */
export function pathsOf(kinds: readonly DiscoveredKind[]): Record<string, JsonSchema> {
  const paths: Record<string, JsonSchema> = {}
  for (const kind of kinds) {
    const root = kind.group ? `/apis/${kind.group}` : '/api'
    const scope = kind.isNamespaced ? '/namespaces/{namespace}' : ''
    const collection = `${root}/${kind.version}${scope}/${kind.plural}`
    const gvk = { group: kind.group, version: kind.version, kind: kind.kind }
    const scopeParameters = kind.isNamespaced ? [inPath('namespace')] : []
    const can = new Set<string>(kind.verbs)
    paths[collection] = {
      parameters: scopeParameters,
      ...(can.has('list') ? { get: operation('list', gvk) } : {}),
      ...(can.has('create') ? { post: operation('post', gvk) } : {}),
      ...(can.has('deletecollection') ? { delete: operation('deletecollection', gvk) } : {}),
    }
    if (!can.has('get')) continue
    const item = `${collection}/{name}`
    const parameters = [...scopeParameters, inPath('name')]
    paths[item] = { parameters, ...operations(gvk, can) }
    for (const subresource of kind.subresources) {
      const verbs = new Set<string>(subresource.verbs)
      paths[`${item}/${subresource.name}`] = {
        parameters,
        ...operations(subresource.responseKind ?? gvk, verbs),
      }
    }
  }
  return paths
}

function operations(gvk: GroupVersionKind, can: ReadonlySet<string>): Record<string, Operation> {
  return {
    ...(can.has('get') ? { get: operation('get', gvk) } : {}),
    ...(can.has('create') ? { post: operation('post', gvk) } : {}),
    ...(can.has('update') ? { put: operation('put', gvk) } : {}),
    ...(can.has('patch') ? { patch: operation('patch', gvk) } : {}),
    ...(can.has('delete') ? { delete: operation('delete', gvk) } : {}),
  }
}

type Action = 'list' | 'get' | 'post' | 'put' | 'patch' | 'delete' | 'deletecollection'

const WRITE_PARAMETERS = ['dryRun', 'fieldManager', 'fieldValidation']

const PARAMETERS: Readonly<Record<Action, readonly string[]>> = {
  list: ['allowWatchBookmarks', 'continue', 'fieldSelector', 'labelSelector', 'limit'].concat([
    'resourceVersion',
    'resourceVersionMatch',
    'sendInitialEvents',
    'timeoutSeconds',
    'watch',
  ]),
  get: [],
  post: WRITE_PARAMETERS,
  put: WRITE_PARAMETERS,
  patch: [...WRITE_PARAMETERS, 'force'],
  delete: ['dryRun', 'gracePeriodSeconds', 'orphanDependents', 'propagationPolicy'],
  deletecollection: ['dryRun', 'fieldSelector', 'labelSelector', 'propagationPolicy'],
}

const TYPES: Readonly<Record<string, string>> = {
  allowWatchBookmarks: 'boolean',
  sendInitialEvents: 'boolean',
  watch: 'boolean',
  force: 'boolean',
  orphanDependents: 'boolean',
  limit: 'integer',
  timeoutSeconds: 'integer',
  gracePeriodSeconds: 'integer',
}

function operation(action: Action, gvk: GroupVersionKind): Operation {
  const schema = referenceTo(gvk) ?? { type: 'object' }
  const isCreated = action === 'post' || action === 'put' || action === 'patch'
  const response = { description: 'OK', content: { 'application/json': { schema } } }
  return {
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk,
    parameters: PARAMETERS[action].map((name) => ({
      name,
      in: 'query',
      schema: { type: TYPES[name] ?? 'string', uniqueItems: true },
    })),
    ...requestBody(action, schema),
    responses: {
      '200': response,
      ...(isCreated ? { '201': { ...response, description: 'Created' } } : {}),
      '401': { description: 'Unauthorized' },
    },
  }
}

function requestBody(action: Action, schema: JsonSchema): Operation {
  if (action === 'post' || action === 'put') {
    return { requestBody: { content: { '*/*': { schema } }, required: true } }
  }
  if (action !== 'patch') return {}
  const content = Object.fromEntries(
    PATCH_TYPES.map((type) => [type, { schema: { type: 'object' } }]),
  )
  return { requestBody: { content, required: true } }
}

function inPath(name: string): JsonSchema {
  return { name, in: 'path', required: true, schema: { type: 'string', uniqueItems: true } }
}
