// PATCH bodies: which language a patch is in, and what comes out when it is applied to an object.

import { forbidden, required } from '#shared/api/field-error.ts'
import { apiVersionOf } from '#shared/api/kind.ts'
import { decodeObject } from '#shared/api/schema/decode.ts'
import { duplicateFields } from '#shared/api/schema/duplicate-fields.ts'
import { schemaOf } from '#shared/api/schema/schema.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { isObject, type JsonObject } from '#shared/patch/json.ts'
import { applyMergePatch } from '#shared/patch/merge-patch.ts'
import { serverSideApply } from '#shared/patch/server-side-apply.ts'
import { applyStrategicMergePatch } from '#shared/patch/strategic-merge-patch.ts'
import { invalid } from '#shared/status.ts'
import {
  mediaTypeOf,
  parseJson,
  parseYamlText,
  readBody,
  textOf,
  unsupportedMediaType,
} from './body.ts'
import type { ApiContext, KindContext } from './context.ts'
import { checkKind, type Expected } from './decode.ts'
import { badRequest } from './errors.ts'
import { applyJsonPatch } from './json-patch.ts'
import { isTrue } from './request-info.ts'
import type { Body } from './strategy.ts'
import { fieldManagerOf, fieldValidationOf } from './write-options.ts'

const JSON_PATCH = 'application/json-patch+json'
const MERGE = 'application/merge-patch+json'
const STRATEGIC = 'application/strategic-merge-patch+json'
const APPLY = 'application/apply-patch+yaml'

interface ObjectPatch {
  object: JsonObject
  /** What stands twice in it. */
  duplicates: string[]
}

export interface ApplyPatch extends ObjectPatch {
  type: 'apply'
}

export type Patch =
  | { type: 'json'; operations: unknown }
  | (ObjectPatch & { type: 'merge' | 'strategic' })
  | ApplyPatch

/** The patch in the body. Errors: UnsupportedMediaType, BadRequest, RequestEntityTooLarge. */
export async function readPatch({ request }: ApiContext): Promise<Patch> {
  const bytes = await readBody(request)
  switch (mediaTypeOf(request)) {
    case JSON_PATCH:
      return { type: 'json', operations: parseJson(textOf(bytes)) }
    case MERGE:
      return objectPatch('merge', textOf(bytes))
    case STRATEGIC:
      return objectPatch('strategic', textOf(bytes))
    case APPLY:
      return applyConfiguration(textOf(bytes))
    default:
      throw unsupportedMediaType([JSON_PATCH, MERGE, STRATEGIC, APPLY])
  }
}

function objectPatch(type: 'merge' | 'strategic', text: string): Patch {
  const object = parseJson(text)
  if (!isObject(object)) {
    throw badRequest('json: cannot unmarshal array into Go value of type map[string]interface {}')
  }
  return { type, object, duplicates: duplicateFields(text) }
}

/** Clients put JSON into it as often as YAML: JSON is parsed as what it is, to keep its faults. */
function applyConfiguration(text: string): Patch {
  const isJson = text.trimStart().startsWith('{')
  const object = isJson ? parseJson(text) : parseYamlText(text)
  if (!isObject(object)) throw badRequest('error decoding YAML: it is not an object')
  return { type: 'apply', object, duplicates: isJson ? duplicateFields(text) : [] }
}

/**
 * The object after a server-side apply, with managedFields; `old` undefined: there is none yet.
 * Errors: Conflict (others own what would change), BadRequest, Invalid (the parameters).
 */
export function applyOnServer(
  context: KindContext,
  patch: ApplyPatch,
  old: KubeObject | undefined,
): Body {
  const { kind, info, query, now } = context
  const schema = schemaOf(kind.group, kind.version, kind.kind)
  if (!schema) throw new Error(`there is no schema of ${apiVersionOf(kind)} ${kind.kind}`)
  const applied: Body = { ...patch.object }
  checkKind(applied, [kind])
  if (fieldValidationOf(context) === 'Strict' && patch.duplicates.length > 0) {
    throw badRequest(`strict decoding error: ${patch.duplicates.join(', ')}`)
  }
  // The URL names the object; a configuration need not say it again.
  const metadata = { name: info.name, ...applied.metadata }
  return serverSideApply({
    live: old && { ...old },
    applied: { ...applied, metadata },
    manager: fieldManagerOf(context),
    force: isTrue(query.get('force')),
    schema,
    now,
    apiVersion: apiVersionOf(kind),
    subresource: info.subresource,
  }).object
}

/** Error: Invalid when a parameter is missing or does not belong to this kind of patch. */
export function checkPatchOptions({ query }: KindContext, { type }: Patch): void {
  const isApply = type === 'apply'
  if (isApply && !query.get('fieldManager')) {
    throw invalid('PatchOptions', 'meta.k8s.io', '', [
      required('fieldManager', 'is required for apply patch'),
    ])
  }
  if (!isApply && query.get('force') !== null) {
    throw invalid('PatchOptions', 'meta.k8s.io', '', [
      forbidden('force', 'may not be specified for non-apply patch'),
    ])
  }
}

/** The patched object, its fields checked against the schema. Errors: BadRequest, Invalid. */
export function applyPatch(
  context: ApiContext,
  patch: Patch,
  old: KubeObject,
  expected: Expected,
): Body {
  const { group, version, kind } = expected
  const schema = schemaOf(group, version, kind)
  if (!schema) throw new Error(`there is no schema of ${group}/${version} ${kind}`)
  const patched: Body = patchedObject(patch, { ...old }, schema)
  checkKind(patched, [expected])
  const duplicates = patch.type === 'json' ? [] : patch.duplicates
  const decoded = decodeObject(
    patched,
    { kind, version, schema },
    fieldValidationOf(context),
    duplicates,
  )
  context.warnings.push(...decoded.warnings)
  return decoded.object
}

function patchedObject(
  patch: Patch,
  old: JsonObject,
  schema: Parameters<typeof applyStrategicMergePatch>[2],
): JsonObject {
  switch (patch.type) {
    case 'json':
      return applyJsonPatch(old, patch.operations)
    case 'merge':
      return applyMergePatch(old, patch.object)
    case 'strategic':
      return applyStrategicMergePatch(old, patch.object, schema)
    case 'apply':
    default:
      // Of a subresource that is another object (Scale): nobody's fields are kept for it.
      return applyMergePatch(old, patch.object)
  }
}
