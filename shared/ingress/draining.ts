// How a pod behind an Ingress leaves without a request being lost: it goes on serving until the balancer
// no longer sends it any. The cloud function detaches it and writes down from when on nobody comes; until
// then its agent does not stop it, for at most half of its grace period.

import type { EndpointSlice } from '../api/endpoint-slice.ts'
import type { Ingress, IngressBackend } from '../api/ingress.ts'
import { isPodReady } from '../api/pod-conditions.ts'
import type { Pod } from '../api/pod.ts'
import { keyOf, type Key } from '../key.ts'
import { SERVICE_NAME_LABEL, SLICES } from '../reconcile/endpoints/slices.ts'
import type { Reader } from '../view/reader.ts'
import { servedIngresses } from './classes.ts'

/** On a leaving pod: the time (RFC 3339) from which no balancer sends it requests any more. */
export const DRAINED_ANNOTATION = 'wherry.dev/drained'

/** Keys of the Services that Ingresses of ours name. */
export function servicesBehind(ingresses: readonly Ingress[]): Set<Key> {
  const keys = new Set<Key>()
  for (const { metadata, spec } of ingresses) {
    const add = ({ service }: IngressBackend): void => {
      if (service) keys.add(keyOf('services', metadata.namespace, service.name))
    }
    if (spec.defaultBackend) add(spec.defaultBackend)
    for (const { http } of spec.rules ?? []) for (const path of http?.paths ?? []) add(path.backend)
  }
  return keys
}

/** Those of the pods that leave and that a balancer may still send requests to. */
export function undrained(reader: Reader, pods: readonly Pod[]): Pod[] {
  const leaving = pods.filter(
    (pod) =>
      pod.metadata.deletionTimestamp !== undefined &&
      pod.metadata.annotations?.[DRAINED_ANNOTATION] === undefined &&
      isPodReady(pod),
  )
  if (leaving.length === 0) return []
  const uids = new Set<string>()
  const effective = servedIngresses(reader).filter(
    ({ status }) => (status?.loadBalancer?.ingress ?? []).length > 0,
  )
  for (const key of servicesBehind(effective)) {
    const [, namespace = '', name = ''] = key.split('/')
    const slices = reader.labelled(SLICES, namespace, SERVICE_NAME_LABEL, name)
    for (const { endpoints } of slices as readonly EndpointSlice[]) {
      for (const { targetRef } of endpoints) if (targetRef?.uid) uids.add(targetRef.uid)
    }
  }
  return leaving.filter(({ metadata }) => uids.has(metadata.uid))
}
