// What of a former deploy goes because it has left Git, with rails: a mistake in Git must not empty a
// namespace.

import {
  ALLOW_PRUNE_ANNOTATION,
  deploySettings,
  GENERATED_ANNOTATION,
  OWNER_ANNOTATION,
  PRUNE_ANNOTATION,
  REPOSITORY_LABEL,
  type Repository,
} from '../api/repository.ts'
import type { KubeObject } from '../api/meta.ts'
import type { Key } from '../key.ts'
import { keyOf } from '../key.ts'
import { ALL_KINDS } from '../reconcile/kinds.ts'
import type { Reader } from '../view/reader.ts'

/** Data that no commit brings back: these stay. */
const KEPT: ReadonlySet<string> = new Set([
  'namespaces',
  'persistentvolumeclaims',
  'persistentvolumes',
])

/** Made by controllers, with the labels of what they are made for. */
const DERIVED: ReadonlySet<string> = new Set([
  'endpoints',
  'endpointslices.discovery.k8s.io',
  'events',
])

export interface Owned {
  key: Key
  object: KubeObject
  resource: string
}

/** What this owner's deploys have made and is still there. */
export function ownedObjects(reader: Reader, repository: Repository, owner: string): Owned[] {
  const { name } = repository.metadata
  return ALL_KINDS.filter(({ resource }) => !DERIVED.has(resource)).flatMap(({ resource }) =>
    reader
      .list(resource)
      .filter(
        ({ metadata }) =>
          metadata.labels?.[REPOSITORY_LABEL] === name &&
          metadata.annotations?.[OWNER_ANNOTATION] === owner &&
          !metadata.ownerReferences?.some(({ controller }) => controller === true),
      )
      .map((object) => ({
        key: keyOf(resource, object.metadata.namespace, object.metadata.name),
        object,
        resource,
      })),
  )
}

export type PruneDecision =
  | { do: 'prune'; objects: Owned[]; kept: Owned[] }
  | { do: 'refuse'; why: string }

/**
 * `wanted`: the keys of this deploy. `previous`: keys of the deploy before, whose generated
 * ConfigMaps and Secrets are still read by pods on their way out.
 */
export function decidePrune(
  repository: Repository,
  owned: readonly Owned[],
  wanted: ReadonlySet<Key>,
  { commit, previous }: { commit: string; previous: ReadonlySet<Key> },
): PruneDecision {
  const left = owned.filter(
    ({ key, object }) => !wanted.has(key) && object.metadata.deletionTimestamp === undefined,
  )
  if (repository.spec.prune?.enabled === false) return { do: 'prune', objects: [], kept: left }
  const isKept = ({ key, object, resource }: Owned): boolean =>
    KEPT.has(resource) ||
    object.metadata.annotations?.[PRUNE_ANNOTATION] === 'disabled' ||
    (isGenerated(object) && previous.has(key))
  const objects = left.filter((each) => !isKept(each))
  const kept = left.filter(isKept)
  // A generated object is replaced with each change: it says nothing about a mistake.
  const counted = objects.filter(({ object }) => !isGenerated(object)).length
  const all = owned.filter(({ object }) => !isGenerated(object)).length
  const { maxPercent } = deploySettings(repository)
  const isAllowed = repository.metadata.annotations?.[ALLOW_PRUNE_ANNOTATION] === commit
  if (counted * 100 > all * maxPercent && !isAllowed) {
    return {
      do: 'refuse',
      why:
        `this commit would remove ${counted} of ${all} objects, more than ${maxPercent} %: ` +
        `set spec.prune.maxPercent, or allow it with the annotation ${ALLOW_PRUNE_ANNOTATION}=${commit}`,
    }
  }
  return { do: 'prune', objects, kept }
}

function isGenerated({ metadata }: KubeObject): boolean {
  return metadata.annotations?.[GENERATED_ANNOTATION] !== undefined
}
