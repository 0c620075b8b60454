// What a node's agent may know: its pods, what those pods name, the addresses that policies let speak
// with them, and the Services that every node forwards for. Nothing else of the cluster.

import type { DesiredState } from '#shared/api/agent-wire.ts'
import type { ConfigMap, Secret } from '#shared/api/config.ts'
import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Node } from '#shared/api/node.ts'
import type { Container, Pod, PodSpec, Volume } from '#shared/api/pod.ts'
import type { Service } from '#shared/api/service.ts'
import { undrained } from '#shared/ingress/draining.ts'
import { policiesFor } from '#shared/network/resolve-policies.ts'
import { keyOf, type Key } from '#shared/key.ts'
import {
  attachments,
  claimNamesOf,
  claimOf,
  volumeNamed,
} from '#shared/reconcile/volumes/relations.ts'
import type { Reader } from '#shared/view/reader.ts'

/** The state that the node's agent shall bring about. */
export function desiredState(reader: Reader, node: string): DesiredState {
  const pods = reader.podsOnNode(node) as readonly Pod[]
  const used = new Set<Key>(pods.flatMap((pod) => usedBy(pod)))
  const ofResource = <T extends KubeObject>(resource: string): T[] =>
    [...used]
      .filter((key) => key.startsWith(`${resource}/`))
      .sort()
      .map((key) => reader.get(key))
      .filter((object): object is T => object !== undefined)
  const draining = undrained(reader, pods).map(({ metadata }) => metadata.uid)
  const own = reader.get(keyOf('nodes', '', node)) as Node | undefined
  return {
    version: reader.version,
    pods: pods.map(withoutManagedFields),
    ...(draining.length > 0 ? { draining } : {}),
    configMaps: ofResource<ConfigMap>('configmaps').map(withoutManagedFields),
    secrets: ofResource<Secret>('secrets').map(withoutManagedFields),
    services: (reader.list('services') as readonly Service[]).map(withoutManagedFields),
    endpointSlices: (
      reader.list('endpointslices.discovery.k8s.io') as readonly EndpointSlice[]
    ).map(withoutManagedFields),
    networkPolicies: policiesFor(reader, node),
    ...volumesOf(reader, node, pods),
    ...(own ? { node: withoutManagedFields(own) } : {}),
  }
}

/** Claims and volumes of these pods, and what is to be attached to this node. */
function volumesOf(
  reader: Reader,
  node: string,
  pods: readonly Pod[],
): Pick<DesiredState, 'claims' | 'volumes' | 'attachments'> {
  const own = attachments(reader).filter(({ spec }) => spec.nodeName === node)
  const claims = pods.flatMap((pod) =>
    claimNamesOf(pod).flatMap((name) => claimOf(reader, pod.metadata.namespace, name) ?? []),
  )
  if (claims.length + own.length === 0) return {}
  const volumes = claims.flatMap(({ spec }) => volumeNamed(reader, spec.volumeName ?? '') ?? [])
  return {
    claims: [...new Set(claims)].map(withoutManagedFields),
    volumes: [...new Set(volumes)].map(withoutManagedFields),
    attachments: own.map(withoutManagedFields),
  }
}

/** Bookkeeping of who wrote which field: half of an object's bytes, and nothing an agent needs. */
function withoutManagedFields<T extends KubeObject>(object: T): T {
  if (!object.metadata.managedFields) return object
  const { managedFields: _, ...metadata } = object.metadata
  return { ...object, metadata }
}

/** The keys of all ConfigMaps and Secrets that a pod names. */
export function usedBy(pod: { metadata: { namespace?: string }; spec: PodSpec }): Key[] {
  const { spec, metadata } = pod
  const keys: Key[] = []
  const configMap = (name: string | undefined): void => {
    if (name) keys.push(keyOf('configmaps', metadata.namespace, name))
  }
  const secret = (name: string | undefined): void => {
    if (name) keys.push(keyOf('secrets', metadata.namespace, name))
  }
  for (const pull of spec.imagePullSecrets ?? []) secret(pull.name)
  for (const container of containersOf(spec)) {
    for (const source of container.envFrom ?? []) {
      configMap(source.configMapRef?.name)
      secret(source.secretRef?.name)
    }
    for (const { valueFrom } of container.env ?? []) {
      configMap(valueFrom?.configMapKeyRef?.name)
      secret(valueFrom?.secretKeyRef?.name)
    }
  }
  for (const volume of spec.volumes ?? []) {
    configMap(volume.configMap?.name)
    secret(volume.secret?.secretName)
    for (const source of projectedSources(volume)) {
      configMap(source.configMap?.name)
      secret(source.secret?.name)
    }
  }
  return keys
}

function containersOf(spec: PodSpec): Container[] {
  return [...spec.containers, ...(spec.initContainers ?? []), ...(spec.ephemeralContainers ?? [])]
}

interface ProjectedSource {
  configMap?: { name?: string }
  secret?: { name?: string }
}

function projectedSources(volume: Volume): readonly ProjectedSource[] {
  const sources = volume.projected?.['sources']
  return Array.isArray(sources) ? (sources as ProjectedSource[]) : []
}
