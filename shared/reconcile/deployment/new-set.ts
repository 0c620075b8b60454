// The ReplicaSet of the current template: found and kept in step, or made.

import type { Deployment } from '../../api/deployment.ts'
import { controllerReference, isControlledBy } from '../../api/owner.ts'
import type { LabelSelector } from '../../api/meta.ts'
import type { ReplicaSet } from '../../api/replica-set.ts'
import { isEqual } from '../../equal.ts'
import { fnv32, safeEncode } from '../../hash.ts'
import { keyOf } from '../../key.ts'
import { draftMeta } from '../draft.ts'
import type { Outcome } from '../outcome.ts'
import { findCondition, hasProgressDeadline, REASON, setCondition } from './conditions.ts'
import { withDeploymentRevision, withRevision, withSizes } from './revisions.ts'
import { rollingSize } from './rolling.ts'
import {
  allSets,
  hasTemplateOf,
  HASH_LABEL,
  isRollingUpdate,
  news,
  plain,
  wanted,
} from './world.ts'
import type { World } from './world.ts'

/** Brings annotations, revision and minReadySeconds in step; undefined when they are. */
export function syncNewSet(world: World, newSet: ReplicaSet): Outcome | undefined {
  const { deployment } = world
  const set = withMinReady(withRevision(newSet, world), deployment)
  const isFound = !findCondition(deployment.status?.conditions, 'Progressing')
  const revised = withDeploymentRevision(deployment, set)
  const next =
    isFound && hasProgressDeadline(deployment)
      ? withProgress(
          world,
          revised,
          REASON.newSetFound,
          `Found new replica set "${set.metadata.name}"`,
        )
      : revised
  if (isEqual(set, newSet) && isEqual(next, deployment)) return undefined
  return {
    writes: [
      { do: 'put', object: set },
      { do: 'put', object: next },
    ],
  }
}

function withMinReady(set: ReplicaSet, deployment: Deployment): ReplicaSet {
  const { minReadySeconds } = deployment.spec
  if ((set.spec.minReadySeconds ?? 0) === (minReadySeconds ?? 0)) return set
  const { minReadySeconds: _, ...spec } = set.spec
  return { ...set, spec: minReadySeconds ? { ...spec, minReadySeconds } : spec }
}

/** Makes the ReplicaSet; when a stranger has its name, counts a collision, which changes the name. */
export function createNewSet(world: World): Outcome {
  const { deployment, reader } = world
  const { name, namespace } = deployment.metadata
  const hash = templateHash(deployment)
  const setName = `${name}-${hash}`
  const stranger = reader.get(keyOf('replicasets.apps', namespace, setName)) as
    | ReplicaSet
    | undefined
  if (stranger) {
    // Its own, with this very template, would have been found: it is being deleted, or another's.
    const isOwn = isControlledBy(stranger, deployment) && hasTemplateOf(stranger, deployment)
    if (isOwn) return { writes: [] }
    const collisionCount = (deployment.status?.collisionCount ?? 0) + 1
    const object: Deployment = { ...deployment, status: { ...deployment.status, collisionCount } }
    return { writes: [{ do: 'put', object }] }
  }
  const size = isRollingUpdate(deployment)
    ? rollingSize(deployment, allSets(world), 0)
    : wanted(deployment)
  const set = withSizes(withRevision(draftSet(deployment, setName, hash, size), world), deployment)
  const revised = withDeploymentRevision(deployment, set)
  const next = hasProgressDeadline(deployment)
    ? withProgress(world, revised, REASON.newSetCreated, `Created new replica set "${setName}"`)
    : revised
  return {
    writes: [
      { do: 'put', object: set },
      { do: 'put', object: next },
    ],
    events:
      size > 0
        ? [
            news(
              deployment,
              'ScalingReplicaSet',
              `Scaled up replica set ${setName} from 0 to ${size}`,
            ),
          ]
        : [],
  }
}

function withProgress(
  { now }: World,
  deployment: Deployment,
  reason: string,
  message: string,
): Deployment {
  const condition = { type: 'Progressing', status: 'True', reason, message } as const
  const conditions = setCondition(deployment.status?.conditions, condition, now)
  return { ...deployment, status: { ...deployment.status, conditions } }
}

function draftSet(deployment: Deployment, name: string, hash: string, size: number): ReplicaSet {
  const { selector, template, minReadySeconds } = deployment.spec
  const labels = { ...template.metadata?.labels, [HASH_LABEL]: hash }
  const narrowed: LabelSelector = {
    ...selector,
    matchLabels: { ...selector.matchLabels, [HASH_LABEL]: hash },
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: draftMeta({
      name,
      ...(deployment.metadata.namespace ? { namespace: deployment.metadata.namespace } : {}),
      labels,
      ownerReferences: [controllerReference(deployment)],
    }),
    spec: {
      replicas: size,
      ...(minReadySeconds ? { minReadySeconds } : {}),
      selector: narrowed,
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
    status: { replicas: 0 },
  }
}

/** The `7c5ddbdf54` of `web-7c5ddbdf54`: depends on the template and on collisions so far. */
function templateHash(deployment: Deployment): string {
  const collisions = deployment.status?.collisionCount
  const text = canonicalJson(plain(deployment.spec.template))
  return safeEncode(fnv32(collisions ? `${text}#${collisions}` : text))
}

/** JSON with sorted keys: the same for equal templates, however they were written. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  )
}
