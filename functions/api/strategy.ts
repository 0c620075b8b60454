// From what a client sent to what is stored: metadata that only the server sets, fields that a write
// may not touch, defaults, validation. As apiserver's registry/rest BeforeCreate and BeforeUpdate.

import { randomInt, randomUUID } from 'node:crypto'
import type { AdmissionContext, KindDefinition } from '#shared/api/kind.ts'
import { resourceOf } from '#shared/api/kind.ts'
import type { KubeObject, ObjectMeta } from '#shared/api/meta.ts'
import { isEqual } from '#shared/equal.ts'
import { keyOf } from '#shared/key.ts'
import { isSameJson } from '#shared/patch/json.ts'
import { conflict, invalid, notFound, StatusError } from '#shared/status.ts'
import { formatTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import { badRequest } from './errors.ts'
import { sameVersion } from './resource-version.ts'

/** Kubernetes' rand.String alphabet: no vowels, no look-alikes. */
const SUFFIX_LETTERS = 'bcdfghjklmnpqrstvwxz2456789'
const SUFFIX_LENGTH = 5
const NAME_BYTES_MAX = 63

export interface WriteScope {
  kind: KindDefinition
  namespace: string
  reader: Reader
  now: number
}

/** Any object as clients send it: the decoder has checked the types of what is there. */
export type Body = Record<string, unknown> & { metadata?: Partial<ObjectMeta> }

/** The new object, complete but for its version. Errors: BadRequest, Invalid. */
export function draftForCreate(body: Body, scope: WriteScope): KubeObject {
  const { kind, now, reader } = scope
  const sent = body.metadata ?? {}
  const version = sent.resourceVersion
  if (version && !/^0*$/.test(version)) {
    throw badRequest('resourceVersion should not be set on objects to be created')
  }
  const draft = assemble(kind, body, createdMeta(sent, scope))
  if (kind.hasStatus) delete draft['status']
  admit(kind, draft, { now, reader })
  return draft
}

function createdMeta(sent: Partial<ObjectMeta>, { kind, namespace, now }: WriteScope): ObjectMeta {
  const {
    deletionTimestamp: _,
    deletionGracePeriodSeconds: __,
    resourceVersion: ___,
    generation: ____,
    managedFields: _____,
    namespace: ______,
    ...kept
  } = sent
  return {
    ...kept,
    name: sent.name || generatedName(sent.generateName),
    ...(kind.isNamespaced ? { namespace } : {}),
    uid: randomUUID(),
    ...(kind.hasGeneration ? { generation: 1 } : {}),
    creationTimestamp: formatTime(now),
  }
}

/** `web-` → `web-x7k2p`. */
function generatedName(prefix: string | undefined): string {
  if (!prefix) return ''
  let suffix = ''
  for (let index = 0; index < SUFFIX_LENGTH; index++) {
    suffix += SUFFIX_LETTERS[randomInt(SUFFIX_LETTERS.length)]
  }
  return prefix.slice(0, NAME_BYTES_MAX - SUFFIX_LENGTH) + suffix
}

/** Which part of the object a write is about. */
export type Part = 'spec' | 'status' | 'finalize'

/** The object after an update; `old` itself when nothing changed. Errors: Conflict, Invalid. */
export function draftForUpdate(
  body: Body,
  old: KubeObject,
  part: Part,
  scope: WriteScope,
): KubeObject {
  const { kind, now, reader } = scope
  const sent = body.metadata ?? {}
  checkIdentity(kind, sent, old)
  const draft = assemble(kind, body, updatedMeta(sent, old.metadata, part))
  keepOtherParts(draft, old, part, kind)
  if (part === 'spec') admit(kind, draft, { now, reader, old })
  if (part === 'finalize') finalizeNamespace(draft, body)
  if (isUnchanged(draft, old)) return old
  if (kind.hasGeneration && !hasSameSpec(draft, old)) {
    draft.metadata.generation = (old.metadata.generation ?? 0) + 1
  }
  return draft
}

/** Who names another incarnation or version must not overwrite this one. */
function checkIdentity(
  kind: KindDefinition,
  sent: Partial<ObjectMeta>,
  { metadata: { name, uid, resourceVersion } }: KubeObject,
): void {
  if (sent.uid && sent.uid !== uid) {
    throw conflict(
      resourceOf(kind),
      name,
      `Precondition failed: UID in precondition: ${sent.uid}, UID in object meta: ${uid}`,
    )
  }
  if (sent.resourceVersion && !sameVersion(sent.resourceVersion, resourceVersion ?? '')) {
    throw conflict(resourceOf(kind), name)
  }
}

function updatedMeta(sent: Partial<ObjectMeta>, old: ObjectMeta, part: Part): ObjectMeta {
  const owners = part === 'spec' ? sent : old
  return dropUndefined<ObjectMeta>({
    ...old,
    labels: sent.labels,
    annotations: sent.annotations,
    ownerReferences: owners.ownerReferences,
    finalizers: owners.finalizers,
    managedFields: sent.managedFields ?? old.managedFields,
  })
}

function dropUndefined<T extends object>(value: T): T {
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined || isEmptyMember(member)) Reflect.deleteProperty(value, name)
  }
  return value
}

function isEmptyMember(member: unknown): boolean {
  if (member === null) return true
  return typeof member === 'object' && Object.keys(member).length === 0
}

function keepOtherParts(draft: Draft, old: KubeObject, part: Part, kind: KindDefinition): void {
  const before: Draft = { ...old }
  if (part === 'spec') {
    if (!kind.hasStatus) return
    if (before['status'] === undefined) delete draft['status']
    else draft['status'] = structuredClone(before['status'])
    return
  }
  for (const name of Object.keys(draft)) {
    if (name === 'metadata' || (name === 'status' && part === 'status')) continue
    delete draft[name]
  }
  for (const [name, member] of Object.entries(before)) {
    if (name === 'metadata' || (name === 'status' && part === 'status')) continue
    draft[name] = structuredClone(member)
  }
}

/** PUT namespaces/x/finalize changes spec.finalizers and nothing else. */
function finalizeNamespace(draft: Draft, body: Body): void {
  const sent = isRecord(body['spec']) ? body['spec'] : {}
  const spec = isRecord(draft['spec']) ? draft['spec'] : {}
  draft['spec'] = { ...spec, finalizers: sent['finalizers'] ?? [] }
}

type Draft = KubeObject & Record<string, unknown>

/** Kubernetes' order of fields: apiVersion, kind, metadata, the rest. Nothing of `body` is shared. */
function assemble(kind: KindDefinition, body: Body, metadata: ObjectMeta): Draft {
  const { apiVersion: _, kind: __, metadata: ___, ...rest } = body
  return {
    apiVersion: kind.group ? `${kind.group}/${kind.version}` : kind.version,
    kind: kind.kind,
    metadata: structuredClone(metadata),
    ...structuredClone(rest),
  }
}

/** Defaults, then validation. Error: Invalid with everything that is wrong. */
function admit(kind: KindDefinition, draft: Draft, context: AdmissionContext): void {
  kind.applyDefaults?.(draft, context)
  const causes = kind.validate?.(draft, context) ?? []
  if (causes.length > 0) throw invalid(kind.kind, kind.group, draft.metadata.name, causes)
}

function isUnchanged(draft: KubeObject, old: KubeObject): boolean {
  const contentOf = (object: KubeObject): unknown => {
    const { resourceVersion: _, generation: __, managedFields: ___, ...metadata } = object.metadata
    return { ...object, metadata }
  }
  // In a set of fields {} is a member, not nothing.
  const managers = (object: KubeObject): unknown => object.metadata.managedFields ?? []
  return isEqual(contentOf(draft), contentOf(old)) && isSameJson(managers(draft), managers(old))
}

/** True when nothing outside metadata and status differs. */
function hasSameSpec(a: KubeObject, b: KubeObject): boolean {
  const specOf = (object: KubeObject): unknown => {
    const { metadata: _, status: __, ...rest } = object as Draft
    return rest
  }
  return isEqual(specOf(a), specOf(b))
}

/** True when the last thing that held a deleted object has gone with this update. */
export function isFinished(object: KubeObject & { spec?: unknown }): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata
  if (deletionTimestamp === undefined || finalizers?.length) return false
  if (object.kind === 'Namespace' && object.apiVersion === 'v1') {
    const held = isRecord(object.spec) ? object.spec['finalizers'] : undefined
    return !Array.isArray(held) || held.length === 0
  }
  return (deletionGracePeriodSeconds ?? 0) === 0
}

/** Nothing may begin in a namespace that is not there, or on its way out. */
export function checkNamespace({ kind, namespace, reader }: WriteScope, name: string): void {
  if (!kind.isNamespaced) return
  const found = reader.get(keyOf('namespaces', '', namespace))
  if (!found) throw notFound('namespaces', namespace)
  if (found.metadata.deletionTimestamp === undefined) return
  throw new StatusError(
    'Forbidden',
    `${resourceOf(kind)} "${name}" is forbidden: unable to create new content in namespace ${namespace} because it is being terminated`,
    {
      name,
      ...(kind.group ? { group: kind.group } : {}),
      kind: kind.plural,
      causes: [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    },
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
