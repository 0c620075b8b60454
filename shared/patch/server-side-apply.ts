// Server-side apply: what a manager applies is merged into the object and becomes its own, and what
// it applied before and does not apply any more goes, unless somebody else owns it. As
// structured-merge-diff's Updater.Apply.

import type { StructSchema } from '../api/schema/notation.ts'
import { prune } from '../api/schema/prune.ts'
import { strictCheck } from '../api/schema/strict-check.ts'
import { StatusError } from '../status.ts'
import { formatTime } from '../time.ts'
import { byText, common, pathText, union, without, withParents } from './field-set.ts'
import type { FieldSet } from './field-set.ts'
import { isObject, memberOf, type JsonObject } from './json.ts'
import {
  compare,
  isSameManagement,
  isSameManager,
  managedFieldsOf,
  managersOf,
  withManagers,
  type Manager,
} from './managed-fields.ts'
import { checkKeys, fieldsOf, merged, withoutFields } from './typed-object.ts'

export interface Apply {
  /** The stored object; undefined when there is none yet. */
  live: JsonObject | undefined
  /** What the client applies: as much of the object as it has an opinion about. */
  applied: JsonObject
  /** ?fieldManager=, which apply requires. */
  manager: string
  /** Take fields from other managers instead of refusing. */
  force: boolean
  schema: StructSchema
  now: number
  /** Of the request: `apps/v1`. */
  apiVersion: string
  /** `status`, `scale` …; '' for the object itself. */
  subresource: string
}

/** Owns what was there before anybody applied, when nobody was named. */
const BEFORE_FIRST_APPLY = 'before-first-apply'

/**
 * The object after the apply, with managedFields; `live` itself when nothing changed. Conflict (with
 * a cause per field): others own what would change. BadRequest: it is not an object of the kind.
 */
export function serverSideApply(request: Apply): { object: JsonObject } {
  const { live = {}, manager, schema, subresource, now, apiVersion } = request
  const applied = checked(request)
  const known = knownManagers(request)
  const self: Manager = {
    name: manager,
    operation: 'Apply',
    apiVersion,
    subresource,
    fields: new Set(managedFieldsOf(applied, schema, subresource).keys()),
  }
  const last = known.find((each) => isSameManager(each, self))
  const others = known.filter((each) => each !== last)
  const all = [...others, self]
  const result = pruned(merged(live, applied, schema), last, all, schema)
  const { changed, removed } = compare(
    managedFieldsOf(live, schema, subresource),
    managedFieldsOf(result, schema, subresource),
  )
  const gone = union(changed, removed)
  if (!request.force) refuseConflicts(others, changed)
  const managers = [
    ...others.map((each) => ({ ...each, fields: without(each.fields, gone) })),
    { ...self, ...(last?.time ? { time: last.time } : {}) },
  ]
  const isSame = gone.size === 0 && isSameManagement(managers, known)
  if (isSame && request.live) return { object: request.live }
  const stamped = managers.map((each) =>
    isSameManager(each, self) ? { ...each, time: formatTime(now) } : each,
  )
  return { object: withManagers(result, stamped) }
}

/** What is applied, of this kind and of this part of it. Error: BadRequest. */
function checked({ applied, schema, subresource, apiVersion }: Apply): JsonObject {
  const { unknown, typeErrors } = strictCheck(applied, schema)
  const metadata = memberOf(applied, 'metadata')
  const meta = isObject(metadata) ? metadata : {}
  const refuse = (what: string): StatusError => {
    const kind = schema.name.slice(schema.name.lastIndexOf('.') + 1)
    const { namespace = '', name = '' } = meta
    return new StatusError(
      'BadRequest',
      `failed to create typed patch object (${textOf(namespace)}/${textOf(name)}; ${apiVersion}, Kind=${kind}): ${what}`,
    )
  }
  if (Array.isArray(meta['managedFields']) && meta['managedFields'].length > 0) {
    throw new StatusError('BadRequest', 'metadata.managedFields must be nil')
  }
  const [typeError] = typeErrors
  if (typeError !== undefined) throw refuse(typeError)
  if (unknown.length > 0) throw refuse(unknown.map(undeclared).join('\n'))
  const object = prune(applied, schema)
  try {
    checkKeys(object, schema)
  } catch (error) {
    if (error instanceof StatusError) throw refuse(error.message)
    throw error
  }
  if (subresource === '') delete object['status']
  if (subresource !== 'status') return object
  const parts = ['apiVersion', 'kind', 'metadata', 'status']
  return Object.fromEntries(Object.entries(object).filter(([name]) => parts.includes(name)))
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** `unknown field "spec.foo"` → `.spec.foo: field not declared in schema`. */
function undeclared(finding: string): string {
  return `.${finding.slice(finding.indexOf('"') + 1, -1)}: field not declared in schema`
}

/** The managers before this apply; what has none belongs to those who came before. */
function knownManagers({ live, schema, subresource, apiVersion }: Apply): Manager[] {
  const known = managersOf(live)
  if (!live || known.length > 0) return known
  return [
    {
      name: BEFORE_FIRST_APPLY,
      operation: 'Update',
      apiVersion,
      subresource: '',
      fields: new Set(managedFieldsOf(live, schema, subresource).keys()),
    },
  ]
}

/** Without the fields that this manager gave up and nobody else has. */
function pruned(
  object: JsonObject,
  last: Manager | undefined,
  managers: readonly Manager[],
  schema: StructSchema,
): JsonObject {
  if (!last || last.fields.size === 0) return object
  const present: FieldSet = withParents(new Set(fieldsOf(object, schema).keys()))
  const owned = withParents(union(...managers.map(({ fields }) => fields)))
  const givenUp = without(common(present, withParents(last.fields)), owned)
  return withoutFields(object, schema, givenUp)
}

/** Error: Conflict, in Kubernetes' words, when others own what would change. */
function refuseConflicts(others: readonly Manager[], changed: FieldSet): void {
  const conflicts = others
    .map((manager) => ({ who: shown(manager), paths: common(manager.fields, changed) }))
    .filter(({ paths }) => paths.size > 0)
    .sort((a, b) => byText(a.who, b.who))
    .map(({ who, paths }) => ({ who, paths: [...paths].sort(byText).map(pathText) }))
  const count = conflicts.reduce((sum, { paths }) => sum + paths.length, 0)
  if (count === 0) return
  const causes = conflicts.flatMap(({ who, paths }) =>
    paths.map((field) => ({
      reason: 'FieldManagerConflict',
      message: `conflict with ${who}`,
      field,
    })),
  )
  const [first] = conflicts
  const message =
    count === 1 && first
      ? `Apply failed with 1 conflict: conflict with ${first.who}: ${first.paths.join()}`
      : `Apply failed with ${count} conflicts: ` +
        conflicts
          .map(({ who, paths }) =>
            [`conflicts with ${who}:`, ...paths.map((path) => `- ${path}`)].join('\n'),
          )
          .join('\n')
  throw new StatusError('Conflict', message, { causes })
}

/** `"kubectl" using apps/v1`; appliers go by their name. */
function shown({ name, operation, apiVersion, subresource }: Manager): string {
  const who = JSON.stringify(name) + (subresource ? ` with subresource "${subresource}"` : '')
  return operation === 'Update' ? `${who} using ${apiVersion}` : who
}
