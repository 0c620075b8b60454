// What must be committed so that the cluster is what a commit says: every object through the same
// defaults, validation and server-side apply as the API's, all of them or none.

import type { KindDefinition } from '#shared/api/kind.ts'
import { apiVersionOf, resourceOf } from '#shared/api/kind.ts'
import { kindOfObject } from '#shared/api/catalog.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import {
  COMMIT_ANNOTATION,
  OWNER_ANNOTATION,
  REPOSITORY_LABEL,
  type ImagePin,
  type Repository,
} from '#shared/api/repository.ts'
import { decodeObject } from '#shared/api/schema/decode.ts'
import { schemaOf } from '#shared/api/schema/schema.ts'
import { pinned, splitImages } from '#shared/deploy/images.ts'
import { shownManifest, type Manifest } from '#shared/deploy/manifest.ts'
import { decidePrune, ownedObjects } from '#shared/deploy/prune.ts'
import { keyOf, splitKey, type Key } from '#shared/key.ts'
import { serverSideApply } from '#shared/patch/server-side-apply.ts'
import type { Write } from '#shared/ports/store.ts'
import { admitByQuota, QUOTAS } from '#shared/quota/admission.ts'
import { StatusError } from '#shared/status.ts'
import { Overlay } from '#shared/view/overlay.ts'
import type { Reader } from '#shared/view/reader.ts'
import { planDelete } from '../api/deletion.ts'
import { unversioned } from '../api/storage.ts'
import { checkNamespace, draftForCreate, draftForUpdate, type Body } from '../api/strategy.ts'
import type { Target } from './targets.ts'

/** Who manages the fields that Git sets. */
const MANAGER = 'wherry-deploys'
/** Who manages the images that followed what was built. */
const IMAGE_MANAGER = 'wherry-images'

export interface ApplyPlan {
  writes: Write[]
  /** Of everything that the commit holds. */
  keys: Key[]
  created: Key[]
  changed: Key[]
  pruned: Key[]
}

export interface PlanInput {
  reader: Reader
  repository: Repository
  target: Target
  manifests: readonly Manifest[]
  /** What containers that asked for it are pinned to. */
  images: readonly ImagePin[]
  commit: string
  /** The objects of the deploy before. */
  previous: readonly Manifest[]
  now: number
}

/** Error: Invalid, with everything that is wrong with all objects. */
export function planApply(input: PlanInput): ApplyPlan {
  const { reader, repository, target, commit, now } = input
  const overlay = new Overlay(reader)
  const plan: ApplyPlan = { writes: [], keys: [], created: [], changed: [], pruned: [] }
  const problems: string[] = []
  // Namespaces first: what goes into them is checked against them.
  for (const manifest of namespacesFirst(input.manifests)) {
    try {
      place(input, manifest, overlay, plan)
    } catch (error) {
      if (!(error instanceof StatusError)) throw error
      problems.push(withName(manifest, error))
    }
  }
  if (problems.length > 0) throw refusal(problems)
  const previous = new Set(input.previous.flatMap((each) => keyOfManifest(each, input) ?? []))
  const owned = ownedObjects(reader, repository, target.owner)
  const decision = decidePrune(repository, owned, new Set(plan.keys), { commit, previous })
  if (decision.do === 'refuse') throw refusal([decision.why])
  for (const { key, object } of decision.objects) {
    const kind = kindOfObject(object)
    if (!kind) continue
    const deletion = planDelete(kind, object, { propagationPolicy: 'Background' }, now)
    if (deletion.do === 'nothing') continue
    if (deletion.do === 'mark') overlay.put(key, deletion.object)
    else overlay.remove(key)
    plan.pruned.push(key)
  }
  plan.writes = overlay
    .writes()
    .map((write) => (write.object ? { ...write, object: unversioned(write.object) } : write))
  return plan
}

function refusal(problems: readonly string[]): StatusError {
  return new StatusError('Invalid', problems.join('; '), {
    causes: problems.map((message) => ({ message })),
  })
}

function withName(manifest: Manifest, { message }: StatusError): string {
  return message.includes(manifest.metadata.name)
    ? message
    : `${shownManifest(manifest)}: ${message}`
}

function namespacesFirst(manifests: readonly Manifest[]): Manifest[] {
  const isNamespace = ({ kind, apiVersion }: Manifest): boolean =>
    kind === 'Namespace' && apiVersion === 'v1'
  return [...manifests.filter(isNamespace), ...manifests.filter((each) => !isNamespace(each))]
}

function place(input: PlanInput, manifest: Manifest, overlay: Overlay, plan: ApplyPlan): void {
  const { kind, namespace, key } = whereIs(manifest, input)
  if (plan.keys.includes(key)) throw new StatusError('Invalid', `${key} is there twice`)
  plan.keys.push(key)
  const old = overlay.get(key)
  checkOwner(old, input)
  const scope = { kind, namespace, reader: overlay, now: input.now }
  const applied = applyConfiguration(input, manifest, { kind, namespace })
  const pins = pinned(manifest, input.images)
  const after = appliedObject(input, kind, old, { applied, pins })
  if (!after) return
  if (!old) {
    checkNamespace(scope, manifest.metadata.name)
    const draft = draftForCreate(withCommit(after, input), scope)
    admit(overlay, key, undefined, withManagers(draft, after))
    plan.created.push(key)
    return
  }
  if (old.metadata.deletionTimestamp !== undefined) {
    throw new StatusError('Conflict', `${key} is being deleted: the deploy is tried again`)
  }
  const draft = draftForUpdate(after, old, 'spec', scope)
  if (draft === old) return
  admit(overlay, key, old, draftForUpdate(withCommit(after, input), old, 'spec', scope))
  plan.changed.push(key)
}

/** Quotas count for Git too. Error: Forbidden, `exceeded quota: …`. */
function admit(
  overlay: Overlay,
  key: Key,
  before: KubeObject | undefined,
  after: KubeObject,
): void {
  const { resource, name } = splitKey(key)
  for (const quota of admitByQuota(overlay, { resource, name, before, after })) {
    overlay.put(keyOf(QUOTAS, quota.metadata.namespace, quota.metadata.name), quota)
  }
  overlay.put(key, after)
}

interface Place {
  kind: KindDefinition
  namespace: string
  key: Key
}

/** Error: Invalid: the kind is not known, or the object may not be where it wants to be. */
function whereIs(
  manifest: Manifest,
  { repository, target }: Pick<PlanInput, 'repository' | 'target'>,
): Place {
  const kind = kindOfObject(manifest)
  if (!kind?.verbs.includes('create') || kind.alias) {
    throw new StatusError(
      'Invalid',
      `${shownManifest(manifest)}: no matches for kind "${manifest.kind}" in version "${manifest.apiVersion}"`,
    )
  }
  const mayLeave = repository.spec.scope === 'Cluster' && target.pull === undefined
  const { name, namespace = target.namespace } = manifest.metadata
  if (kind.isNamespaced) {
    const home = repository.spec.targetNamespace ?? repository.metadata.namespace
    // A preview has everything of the app in its own namespace, also what names the app's.
    const at = target.pull !== undefined && namespace === home ? target.namespace : namespace
    if (at !== target.namespace && !mayLeave) {
      throw forbiddenPlace(manifest, `it is for the namespace ${at}, not ${target.namespace}`)
    }
    return { kind, namespace: at, key: keyOf(resourceOf(kind), at, name) }
  }
  if (!mayLeave && !isOwnNamespace(manifest, target)) {
    throw forbiddenPlace(manifest, 'it belongs to no namespace')
  }
  return { kind, namespace: '', key: keyOf(resourceOf(kind), '', name) }
}

function isOwnNamespace({ kind, apiVersion, metadata }: Manifest, target: Target): boolean {
  return kind === 'Namespace' && apiVersion === 'v1' && metadata.name === target.namespace
}

function forbiddenPlace(manifest: Manifest, why: string): StatusError {
  return new StatusError(
    'Invalid',
    `${shownManifest(manifest)}: ${why}: that needs spec.scope: Cluster, and no preview may`,
  )
}

/** The key of a manifest; undefined when it could not be deployed today. */
export function keyOfManifest(
  manifest: Manifest,
  at: Pick<PlanInput, 'repository' | 'target'>,
): Key | undefined {
  try {
    return whereIs(manifest, at).key
  } catch (error) {
    if (error instanceof StatusError) return undefined
    throw error
  }
}

/** Two Repositories that deploy one object would take it from each other for ever. */
function checkOwner(old: KubeObject | undefined, { target }: PlanInput): void {
  const owner = old?.metadata.annotations?.[OWNER_ANNOTATION]
  if (!old || owner === undefined || owner === target.owner) return
  throw new StatusError(
    'Invalid',
    `${old.kind} "${old.metadata.name}" is deployed by the Repository ${owner}`,
  )
}

/** The manifest as what is applied: checked against the schema, marked as ours. */
function applyConfiguration(
  { repository, target }: PlanInput,
  manifest: Manifest,
  { kind, namespace }: Pick<Place, 'kind' | 'namespace'>,
): Body {
  const schema = schemaFor(kind)
  const at = { kind: kind.kind, version: kind.version, schema }
  const decoded: Body = decodeObject(manifest, at, 'Strict').object
  const { labels, annotations, finalizers, ownerReferences, name } = decoded.metadata ?? {}
  const { status: _, ...rest } = decoded
  return {
    ...rest,
    metadata: {
      name: name ?? '',
      ...(kind.isNamespaced ? { namespace } : {}),
      labels: { ...labels, [REPOSITORY_LABEL]: repository.metadata.name },
      annotations: { ...annotations, [OWNER_ANNOTATION]: target.owner },
      ...(finalizers ? { finalizers } : {}),
      ...(ownerReferences ? { ownerReferences } : {}),
    },
  }
}

function schemaFor(kind: KindDefinition): NonNullable<ReturnType<typeof schemaOf>> {
  const schema = schemaOf(kind.group, kind.version, kind.kind)
  if (!schema) throw new Error(`there is no schema of ${apiVersionOf(kind)} ${kind.kind}`)
  return schema
}

/**
 * What Git sets is taken from whoever has it; what Git is silent about stays whose it is. Undefined:
 * all of it is so already.
 */
function appliedObject(
  { now }: PlanInput,
  kind: KindDefinition,
  old: KubeObject | undefined,
  { applied, pins }: { applied: Body; pins: ReadonlyMap<string, string> },
): Body | undefined {
  const live = old && { ...old }
  const apply = (over: Body | undefined, own: Body, manager: string): Body =>
    serverSideApply({
      live: over,
      applied: own,
      manager,
      force: true,
      schema: schemaFor(kind),
      now,
      apiVersion: apiVersionOf(kind),
      subresource: '',
    }).object
  const whole = withDefaultsOfText(kind, applied)
  const { git, images } = splitImages(whole, pins)
  const ofGit = apply(live, pins.size > 0 ? git : whole, MANAGER)
  if (pins.size === 0) return live && ofGit === live ? undefined : ofGit
  const { apiVersion, kind: name, metadata } = whole
  const named = { name: metadata?.name ?? '', namespace: metadata?.namespace ?? '' }
  const object = apply(ofGit, { apiVersion, kind: name, metadata: named, ...images }, IMAGE_MANAGER)
  return live && object === live ? undefined : object
}

/** stringData is written and never read: applied again it would always differ from what is stored. */
function withDefaultsOfText(kind: KindDefinition, applied: Body): Body {
  const { stringData, ...rest } = applied
  if (kind.kind !== 'Secret' || typeof stringData !== 'object' || !stringData) return applied
  const { data } = applied
  const encoded = Object.entries(stringData).map(([key, value]) => [
    key,
    Buffer.from(String(value)).toString('base64'),
  ])
  return {
    ...rest,
    data: { ...(typeof data === 'object' ? data : {}), ...Object.fromEntries(encoded) },
  }
}

/** Only what changes says which commit did it: an untouched object costs no write. */
function withCommit(after: Body, { commit }: PlanInput): Body {
  const { metadata } = after
  const annotations = { ...metadata?.annotations, [COMMIT_ANNOTATION]: commit }
  return { ...after, metadata: { ...metadata, annotations } }
}

function withManagers(draft: KubeObject, { metadata }: Body): KubeObject {
  const managedFields = metadata?.managedFields
  return managedFields ? { ...draft, metadata: { ...draft.metadata, managedFields } } : draft
}
