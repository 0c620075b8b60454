// What one kind says of itself. The catalog (shared/api/catalog.ts) lists them; routes, discovery,
// OpenAPI paths and tables are made from it. Adding a kind is adding one file and one line there.

import type { Cause } from '../status.ts'
import type { KubeObject } from './meta.ts'
import type { Reader } from '../view/reader.ts'

export type Verb =
  | 'create'
  | 'delete'
  | 'deletecollection'
  | 'get'
  | 'list'
  | 'patch'
  | 'update'
  | 'watch'

/** All verbs of an ordinary kind. */
export const ALL_VERBS: readonly Verb[] = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
]

/** One column of `kubectl get`. Cells line up with Columns. */
export interface Column {
  name: string
  type: 'string' | 'integer' | 'boolean' | 'date'
  format?: string
  /** 1: shown with -o wide only. */
  priority: 0 | 1
  description: string
}

export type Cell = string | number | boolean | null

/** What may be needed beside the object to print its row. */
export interface PrintContext {
  /** Milliseconds since 1970, for ages. */
  now: number
}

/** What defaulting and validation may look at beside the object. */
export interface AdmissionContext {
  /** Milliseconds since 1970. */
  now: number
  reader: Reader
  /** The stored object on update; undefined on create. */
  old?: KubeObject
}

export interface Subresource {
  /** `status`, `scale`, `binding`, `eviction`, `log` … */
  name: string
  verbs: readonly ('get' | 'patch' | 'update' | 'create')[]
  responseKind?: { group: string; version: string; kind: string }
}

/** The text that a field selector compares. (A method's type, so that kinds fit one list.) */
export type FieldText<T> = { of(object: T): string }['of']

/** A second face of objects that another kind stores (events.k8s.io/v1 over v1 Events). */
export interface KindAlias<T> {
  /** The storing kind's resource: the first part of the keys. */
  resource: string
  toStored(object: T): KubeObject
  fromStored(stored: KubeObject): T
}

export interface KindDefinition<T extends KubeObject = KubeObject> {
  group: string
  version: string
  kind: string
  /** `DeploymentList` unless it differs. */
  listKind?: string
  plural: string
  singular: string
  shortNames: readonly string[]
  categories: readonly string[]
  isNamespaced: boolean
  verbs: readonly Verb[]
  subresources: readonly Subresource[]
  columns: readonly Column[]
  /** The object's row, one cell a column. */
  cells(object: T, context: PrintContext): Cell[]
  /**
   * Fills in what Kubernetes fills in (v1 defaults, allocated fields such as clusterIP). Changes
   * the draft in place. Idempotent. Runs before validate, on create, update and patch.
   */
  applyDefaults?(draft: T, context: AdmissionContext): void
  /** Everything that is wrong, in Kubernetes' words; [] when nothing. `context.old` on update. */
  validate?(object: T, context: AdmissionContext): Cause[]
  /**
   * Fields that only the status subresource may change (`status` when there is such a
   * subresource). The API keeps the old ones on ordinary writes, and everything else on status writes.
   */
  hasStatus: boolean
  /** metadata.generation goes up when anything outside metadata and status changed. */
  hasGeneration: boolean
  /** Field selectors beyond metadata.name and metadata.namespace: label → the field's text. */
  fieldSelectors?: Record<string, FieldText<T>>
  /** Seconds a delete waits when the request names none (pods: spec.terminationGracePeriodSeconds). */
  gracePeriodSeconds?(object: T): number
  /** kubectl gets the object instead of a Status from an immediate delete (pods, services …). */
  returnsDeletedObject?: boolean
  /** Objects of this kind are another kind's, seen differently. Absent: it stores its own. */
  alias?: KindAlias<T>
  /** Never stored: the api function makes the objects when it is asked (ComponentStatus). */
  isVirtual?: boolean
}

/**
 * The stored object that `object` would replace; undefined on create. A key holds objects of one
 * kind for ever: hence the type.
 */
export function oldOf<T extends KubeObject>(_object: T, context: AdmissionContext): T | undefined {
  return context.old as T | undefined
}

/** `deployments.apps`, or `pods` in the core group: the first part of a key. */
export function resourceOf(kind: { group: string; plural: string }): string {
  return kind.group ? `${kind.plural}.${kind.group}` : kind.plural
}

/** `apps/v1`, or `v1` in the core group. */
export function apiVersionOf(kind: { group: string; version: string }): string {
  return kind.group ? `${kind.group}/${kind.version}` : kind.version
}
