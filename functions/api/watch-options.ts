// The parameters of a watch, with Kubernetes' rules for which go together.

import { NO_VERSION, type Version } from '#shared/ports/store.ts'
import { invalid } from '#shared/status.ts'
import { isTrue } from './request-info.ts'
import { parseVersion } from './resource-version.ts'

/** Cloud Run ends a request after 60 minutes; the watch ends itself, politely, before. */
const DEFAULT_TIMEOUT_SECONDS = 1800
const MAX_TIMEOUT_SECONDS = 3300

export interface WatchOptions {
  /** Where to begin. undefined: with the present, as fresh as now. */
  since: Version | undefined
  /** The objects of the present come first, as ADDED. */
  hasInitialEvents: boolean
  /** A bookmark says where the initial events end. */
  marksInitialEnd: boolean
  allowsBookmarks: boolean
  timeoutMs: number
}

/** Error: Invalid for combinations that Kubernetes refuses. */
export function watchOptionsOf(query: URLSearchParams): WatchOptions {
  const since = parseVersion(query.get('resourceVersion'))
  const allowsBookmarks = isTrue(query.get('allowWatchBookmarks'))
  const match = query.get('resourceVersionMatch')
  const initial = query.get('sendInitialEvents')
  if (initial === null && match) {
    throw refused(
      'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
    )
  }
  if (initial !== null && match !== 'NotOlderThan') {
    throw refused('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan')
  }
  const isList = initial !== null && isTrue(initial)
  const startsWithPresent = since === undefined || since === NO_VERSION
  return {
    since,
    hasInitialEvents: isList || (initial === null && startsWithPresent),
    marksInitialEnd: isList && allowsBookmarks,
    allowsBookmarks,
    timeoutMs: timeoutSeconds(query.get('timeoutSeconds')) * 1000,
  }
}

function timeoutSeconds(text: string | null): number {
  const seconds = Number(text)
  if (!text || !Number.isFinite(seconds) || seconds <= 0) return DEFAULT_TIMEOUT_SECONDS
  return Math.min(seconds, MAX_TIMEOUT_SECONDS)
}

function refused(message: string): Error {
  return invalid('ListOptions', 'meta.k8s.io', '', [
    {
      reason: 'FieldValueForbidden',
      field: 'resourceVersionMatch',
      message: `Forbidden: ${message}`,
    },
  ])
}
