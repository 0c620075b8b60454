// The Endpoints object of a Service: the same addresses in the older form, which many tools still read.

import type { EndpointAddress, Endpoints, EndpointSubset } from '../../api/endpoints.ts'
import type { Service } from '../../api/service.ts'
import { keyOf } from '../../key.ts'
import type { Key } from '../../key.ts'
import type { Reader } from '../../view/reader.ts'
import { draftMeta } from '../draft.ts'
import type { PlannedWrite } from '../outcome.ts'
import { hostnameOf, isHeadless } from './service-pods.ts'
import type { PortGroup, ServicePod } from './service-pods.ts'

const MANAGED_BY_LABEL = 'endpoints.kubernetes.io/managed-by'
const MANAGER = 'endpoint-controller'
const HEADLESS_LABEL = 'service.kubernetes.io/headless'
const OVER_CAPACITY_ANNOTATION = 'endpoints.kubernetes.io/over-capacity'

/** As in Kubernetes: what has more addresses is cut and marked. */
const ADDRESSES_MAX = 1000

/** The Endpoints that the Service's pods make. */
export function planEndpoints(
  reader: Reader,
  service: Service,
  groups: readonly PortGroup[],
): PlannedWrite {
  const { name, namespace, labels } = service.metadata
  const current = reader.get(keyOf('endpoints', namespace, name))
  const { subsets, isCut } = subsetsOf(service, groups)
  const { [OVER_CAPACITY_ANNOTATION]: _, ...annotations } = current?.metadata.annotations ?? {}
  if (isCut) annotations[OVER_CAPACITY_ANNOTATION] = 'truncated'
  const object: Endpoints = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      ...(current?.metadata ?? draftMeta({ name, ...(namespace ? { namespace } : {}) })),
      labels: {
        ...labels,
        ...(isHeadless(service) ? { [HEADLESS_LABEL]: '' } : {}),
        [MANAGED_BY_LABEL]: MANAGER,
      },
      ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    },
    subsets,
  }
  if (!isCut && Object.keys(annotations).length === 0) delete object.metadata.annotations
  return { do: 'put', object }
}

/** The Endpoints of a Service that is gone, if they were computed. */
export function dropEndpoints(reader: Reader, key: Key): PlannedWrite[] {
  const current = reader.get(key)
  const isOurs = current?.metadata.labels?.[MANAGED_BY_LABEL] === MANAGER
  return isOurs ? [{ do: 'remove', key }] : []
}

function subsetsOf(
  service: Service,
  groups: readonly PortGroup[],
): { subsets: EndpointSubset[]; isCut: boolean } {
  let room = ADDRESSES_MAX
  let isCut = false
  const subsets = groups.flatMap(({ pods, ports }): EndpointSubset[] => {
    const shown = pods
      .filter(({ isTerminating }) => !isTerminating || service.spec.publishNotReadyAddresses)
      .sort((a, b) => Number(b.isReady) - Number(a.isReady))
    const kept = shown.slice(0, room)
    isCut ||= kept.length < shown.length
    room -= kept.length
    const addresses = addressesOf(
      service,
      kept.filter(({ isReady }) => isReady),
    )
    const notReady = addressesOf(
      service,
      kept.filter(({ isReady }) => !isReady),
    )
    if (kept.length === 0) return []
    return [
      {
        ...(addresses.length > 0 ? { addresses } : {}),
        ...(notReady.length > 0 ? { notReadyAddresses: notReady } : {}),
        ...(ports.length > 0 ? { ports: ports.map((port) => ({ ...port })) } : {}),
      },
    ]
  })
  return { subsets, isCut }
}

function addressesOf(service: Service, members: readonly ServicePod[]): EndpointAddress[] {
  return members
    .map(({ pod, ip }): EndpointAddress => {
      const { name, namespace, uid } = pod.metadata
      const { nodeName } = pod.spec
      return {
        ip,
        ...hostnameOf(pod, service),
        ...(nodeName ? { nodeName } : {}),
        targetRef: { kind: 'Pod', ...(namespace ? { namespace } : {}), name, uid },
      }
    })
    .sort((a, b) => (a.ip < b.ip ? -1 : 1))
}
