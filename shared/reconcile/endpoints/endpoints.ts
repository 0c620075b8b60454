// Keeps the EndpointSlices and the Endpoints of each Service with a selector equal to its pods.

import type { KubeObject } from '../../api/meta.ts'
import { isPodReady, isPodTerminal } from '../../api/pod-conditions.ts'
import type { Pod } from '../../api/pod.ts'
import type { Service } from '../../api/service.ts'
import { isEqual } from '../../equal.ts'
import { keyOf, splitKey } from '../../key.ts'
import type { Key } from '../../key.ts'
import { matches, selectorOfLabels } from '../../selector.ts'
import type { Reader } from '../../view/reader.ts'
import { deleteAtOnce } from '../delete.ts'
import { IN_SYNC } from '../outcome.ts'
import type { ObservedChange, Outcome, Reconciler } from '../outcome.ts'
import { dropEndpoints, planEndpoints } from './legacy.ts'
import { groupsOf, hasComputedEndpoints } from './service-pods.ts'
import { ownSlices, planSlices, SERVICE_NAME_LABEL, SLICES } from './slices.ts'

export const endpointsReconciler: Reconciler = {
  name: 'endpoints',
  wakes,
  reconcile(reader, key, now) {
    const service = reader.get(key) as Service | undefined
    if (!service) return dropAll(reader, key, now)
    if (!hasComputedEndpoints(service)) return IN_SYNC
    const groups = groupsOf(reader, service)
    return {
      writes: [...planSlices(reader, service, groups, now), planEndpoints(reader, service, groups)],
    }
  },
}

function wakes({ key, before, after }: ObservedChange, reader: Reader): Key[] {
  const { resource, namespace, name } = splitKey(key)
  switch (resource) {
    case 'services':
      return [key]
    case 'endpoints':
      return [keyOf('services', namespace, name)]
    case SLICES: {
      const service = (after ?? before)?.metadata.labels?.[SERVICE_NAME_LABEL]
      return service ? [keyOf('services', namespace, service)] : []
    }
    case 'pods':
      return podWakes(before as Pod | undefined, after as Pod | undefined, namespace, reader)
    default:
      return []
  }
}

function podWakes(
  before: Pod | undefined,
  after: Pod | undefined,
  namespace: string,
  reader: Reader,
): Key[] {
  if (!hasNews(before, after)) return []
  return (reader.list('services', namespace) as readonly Service[])
    .filter(
      (service) =>
        hasComputedEndpoints(service) && (selects(service, before) || selects(service, after)),
    )
    .map((service) => keyOf('services', namespace, service.metadata.name))
}

function selects({ spec }: Service, pod: KubeObject | undefined): boolean {
  return pod !== undefined && matches(selectorOfLabels(spec.selector ?? {}), pod.metadata.labels)
}

/** True when anything that endpoints show of a pod has changed. */
function hasNews(before: Pod | undefined, after: Pod | undefined): boolean {
  if (!before || !after) return Boolean((before ?? after)?.status?.podIP)
  return (
    before.status?.podIP !== after.status?.podIP ||
    isPodReady(before) !== isPodReady(after) ||
    isPodTerminal(before) !== isPodTerminal(after) ||
    before.metadata.uid !== after.metadata.uid ||
    before.metadata.deletionTimestamp !== after.metadata.deletionTimestamp ||
    before.spec.nodeName !== after.spec.nodeName ||
    !isEqual(before.metadata.labels, after.metadata.labels)
  )
}

/** What was computed for a Service that is gone. */
function dropAll(reader: Reader, key: Key, now: number): Outcome {
  const { namespace, name } = splitKey(key)
  return {
    writes: [
      ...ownSlices(reader, namespace, name).flatMap((slice) => deleteAtOnce(slice, now)),
      ...dropEndpoints(reader, keyOf('endpoints', namespace, name)),
    ],
  }
}
