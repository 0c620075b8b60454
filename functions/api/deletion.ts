// What a delete does to one object, decided without touching anything: it goes at once, it is
// marked and goes later (finalizers, grace), or nothing changes because it is on its way already.
// As apiserver's registry/rest/delete.go and registry/generic/registry/store.go.

import type { KindDefinition } from '#shared/api/kind.ts'
import { resourceOf } from '#shared/api/kind.ts'
import type { KubeObject, ObjectMeta } from '#shared/api/meta.ts'
import { conflict, invalid } from '#shared/status.ts'
import { formatTime, parseTime } from '#shared/time.ts'
import { forbidden } from './errors.ts'
import { sameVersion } from './resource-version.ts'

const ORPHAN = 'orphan'
const FOREGROUND = 'foregroundDeletion'
const POLICIES = ['Orphan', 'Background', 'Foreground']
const IMMORTAL_NAMESPACES = ['default', 'kube-system', 'kube-public']

export interface DeleteOptions {
  gracePeriodSeconds?: number
  propagationPolicy?: string
  /** Deprecated form of propagationPolicy. */
  orphanDependents?: boolean
  preconditions?: { uid?: string; resourceVersion?: string }
  dryRun?: string[]
}

export type DeletePlan =
  | { do: 'remove' }
  | { do: 'mark'; object: KubeObject }
  /** It was marked before. */
  | { do: 'nothing' }

/** Error: Invalid for options that cannot be. */
export function validateDeleteOptions(options: DeleteOptions): void {
  const { propagationPolicy, orphanDependents } = options
  if (propagationPolicy !== undefined && orphanDependents !== undefined) {
    throw invalid('DeleteOptions', 'meta.k8s.io', '', [
      {
        reason: 'FieldValueInvalid',
        field: 'propagationPolicy',
        message: `Invalid value: "${propagationPolicy}": orphanDependents and deletionPropagation cannot be both set`,
      },
    ])
  }
  if (propagationPolicy !== undefined && !POLICIES.includes(propagationPolicy)) {
    throw invalid('DeleteOptions', 'meta.k8s.io', '', [
      {
        reason: 'FieldValueNotSupported',
        field: 'propagationPolicy',
        message: `Unsupported value: "${propagationPolicy}": supported values: "Background", "Foreground", "Orphan"`,
      },
    ])
  }
}

/** Decides. `stored` stays as it is. Errors: Conflict (a precondition), Forbidden. */
export function planDelete(
  kind: KindDefinition,
  stored: KubeObject,
  options: DeleteOptions,
  now: number,
): DeletePlan {
  checkPreconditions(kind, stored, options)
  if (kind.kind === 'Namespace' && kind.group === '') return planNamespace(stored, now)
  const metadata = { ...stored.metadata }
  const finalizers = finalizersAfter(metadata.finalizers ?? [], options)
  const grace = graceOf(kind, stored, options)
  if (metadata.deletionTimestamp !== undefined) {
    return planAgain(stored, finalizers, grace, options)
  }
  if (grace === 0 && finalizers.length === 0) return { do: 'remove' }
  metadata.deletionTimestamp = formatTime(now + grace * 1000)
  metadata.deletionGracePeriodSeconds = grace
  if (kind.hasGeneration && metadata.generation) metadata.generation += 1
  return { do: 'mark', object: { ...stored, metadata: withFinalizers(metadata, finalizers) } }
}

function checkPreconditions(
  kind: KindDefinition,
  stored: KubeObject,
  { preconditions }: DeleteOptions,
): void {
  const { uid, resourceVersion } = preconditions ?? {}
  const refuse = (what: string, wanted: string, present: string): Error =>
    conflict(
      resourceOf(kind),
      stored.metadata.name,
      `Precondition failed: ${what} in precondition: ${wanted}, ${what} in object meta: ${present}`,
    )
  if (uid && uid !== stored.metadata.uid) throw refuse('UID', uid, stored.metadata.uid)
  const present = stored.metadata.resourceVersion ?? ''
  if (resourceVersion && !sameVersion(resourceVersion, present)) {
    throw refuse('ResourceVersion', resourceVersion, present)
  }
}

/** A namespace goes when everything in it has gone: the namespace controller sees to that. */
function planNamespace(stored: KubeObject & { status?: unknown }, now: number): DeletePlan {
  const { name, deletionTimestamp } = stored.metadata
  if (IMMORTAL_NAMESPACES.includes(name)) {
    throw forbidden('namespaces', name, 'this namespace may not be deleted')
  }
  if (deletionTimestamp !== undefined) return { do: 'nothing' }
  const status = isRecord(stored.status) ? stored.status : {}
  const marked: KubeObject & { status: unknown } = {
    ...stored,
    metadata: { ...stored.metadata, deletionTimestamp: formatTime(now) },
    status: { ...status, phase: 'Terminating' },
  }
  return { do: 'mark', object: marked }
}

/** A second delete may only shorten the wait, or add or take a finalizer. */
function planAgain(
  stored: KubeObject,
  finalizers: string[],
  grace: number,
  options: DeleteOptions,
): DeletePlan {
  const { metadata } = stored
  const pending = metadata.deletionGracePeriodSeconds ?? 0
  const isShortened = options.gracePeriodSeconds !== undefined && grace < pending
  if (finalizers.length === 0 && (pending === 0 || (isShortened && grace === 0))) {
    return { do: 'remove' }
  }
  const hasSameFinalizers =
    finalizers.length === (metadata.finalizers ?? []).length &&
    finalizers.every((each) => metadata.finalizers?.includes(each))
  if (!isShortened && hasSameFinalizers) return { do: 'nothing' }
  const changed = withFinalizers({ ...metadata }, finalizers)
  if (isShortened) {
    const end = parseTime(metadata.deletionTimestamp) ?? 0
    changed.deletionTimestamp = formatTime(end - (pending - grace) * 1000)
    changed.deletionGracePeriodSeconds = grace
  }
  return { do: 'mark', object: { ...stored, metadata: changed } }
}

/** Pods only: others have nobody who would end them, so nothing to wait for. */
function graceOf(kind: KindDefinition, stored: KubeObject, options: DeleteOptions): number {
  if (!kind.gracePeriodSeconds) return 0
  const { spec, status } = stored as KubeObject & {
    spec?: { nodeName?: string }
    status?: { phase?: string }
  }
  const isDone = status?.phase === 'Succeeded' || status?.phase === 'Failed'
  if (!spec?.nodeName || isDone) return 0
  const seconds = options.gracePeriodSeconds ?? kind.gracePeriodSeconds(stored)
  return seconds < 0 ? 1 : seconds
}

/** What dependents are left to: a finalizer says it, and the garbage collector does it. */
function finalizersAfter(present: readonly string[], options: DeleteOptions): string[] {
  const policy =
    options.propagationPolicy ??
    (options.orphanDependents === true
      ? 'Orphan'
      : options.orphanDependents === false
        ? 'Background'
        : undefined)
  const others = present.filter((each) => each !== ORPHAN && each !== FOREGROUND)
  const wantsOrphan = policy === undefined ? present.includes(ORPHAN) : policy === 'Orphan'
  const wantsForeground =
    policy === undefined ? present.includes(FOREGROUND) : policy === 'Foreground'
  if (wantsOrphan) others.push(ORPHAN)
  if (wantsForeground) others.push(FOREGROUND)
  return others
}

function withFinalizers(metadata: ObjectMeta, finalizers: string[]): ObjectMeta {
  const { finalizers: _, ...rest } = metadata
  return finalizers.length > 0 ? { ...rest, finalizers } : rest
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
