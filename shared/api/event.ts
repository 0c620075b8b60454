// Event (core/v1): what happened to an object, for people; kept for an hour.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/

import type { KubeObject } from './meta.ts'
import type { ObjectReference } from './endpoint-slice.ts'

export interface KubeEvent extends KubeObject {
  involvedObject: ObjectReference
  reason?: string
  message?: string
  type?: string
  count?: number
  firstTimestamp?: string | null
  lastTimestamp?: string | null
  eventTime?: string | null
  source?: { component?: string; host?: string }
  reportingComponent?: string
  reportingInstance?: string
  action?: string
  series?: { count?: number; lastObservedTime?: string }
  related?: ObjectReference
}

/** How long an Event is shown and kept (kube-apiserver's --event-ttl default). */
export const EVENT_TTL_MS = 3_600_000
