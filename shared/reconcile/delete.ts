// How controllers delete: politely. A pod on a node is asked to stop (its agent says when it is gone);
// an object with finalizers is marked; anything else goes at once. As the API server's delete.

import type { KubeObject } from '../api/meta.ts'
import { isPodTerminal } from '../api/pod-conditions.ts'
import type { Pod } from '../api/pod.ts'
import { formatTime } from '../time.ts'
import { withMeta } from './draft.ts'
import { keyOfObject } from './kinds.ts'
import type { PlannedWrite } from './outcome.ts'

const DEFAULT_GRACE_SECONDS = 30

/** Nothing when the object is on its way out already. */
export function deletePolitely(object: KubeObject, now: number): PlannedWrite[] {
  const grace = graceSeconds(object)
  if (object.metadata.deletionTimestamp) return []
  if (grace > 0) return [markDeleted(object, grace, now)]
  return deleteAtOnce(object, now)
}

/** Without waiting for anybody but finalizers: what is left of a pod whose node is gone. */
export function deleteAtOnce(object: KubeObject, now: number): PlannedWrite[] {
  if (!object.metadata.finalizers?.length) return [{ do: 'remove', key: keyOfObject(object) }]
  if (object.metadata.deletionTimestamp && object.metadata.deletionGracePeriodSeconds === 0) {
    return []
  }
  return [markDeleted(object, 0, now)]
}

/** deletionTimestamp is when the grace period ends, as in Kubernetes. */
function markDeleted(object: KubeObject, grace: number, now: number): PlannedWrite {
  return {
    do: 'put',
    object: withMeta(object, {
      deletionTimestamp: formatTime(now + grace * 1000),
      deletionGracePeriodSeconds: grace,
    }),
  }
}

/** Only a pod that may have processes on a node is waited for. */
function graceSeconds(object: KubeObject): number {
  if (!isPod(object) || !object.spec.nodeName || isPodTerminal(object)) return 0
  return object.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS
}

function isPod(object: KubeObject): object is Pod {
  return object.kind === 'Pod' && object.apiVersion === 'v1'
}
