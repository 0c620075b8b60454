// From a pod to what its containers share: names, namespaces, ports of the node. Pure.

import { isRecord } from '../json.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { HostPort } from '../network/network.ts'
import type { PodSandbox } from '../runtime/runtime.ts'
import { hostnameOf } from './env.ts'

/** What the runtime makes before the first container. A pod in the node's network has its name. */
export function sandboxOf(pod: Pod, nodeName: string): PodSandbox {
  const { metadata, spec } = pod
  return {
    uid: metadata.uid,
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    hostname: spec.hostNetwork ? nodeName : hostnameOf(pod),
    labels: metadata.labels ?? {},
    hostNetwork: spec.hostNetwork ?? false,
    hostPID: spec.hostPID ?? false,
    hostIPC: spec.hostIPC ?? false,
    shareProcessNamespace: spec.shareProcessNamespace ?? false,
    sysctls: sysctlsOf(pod),
  }
}

/** Ports of the node that lead to the pod; one in the node's own network opens them itself. */
export function hostPortsOf({ spec }: Pod): HostPort[] {
  if (spec.hostNetwork) return []
  return [...(spec.initContainers ?? []), ...spec.containers]
    .flatMap(({ ports }) => ports ?? [])
    .flatMap(({ hostPort, hostIP, containerPort, protocol = 'TCP' }): HostPort[] => {
      if (!hostPort) return []
      return [{ ...(hostIP ? { hostIP } : {}), hostPort, containerPort, protocol }]
    })
}

function sysctlsOf({ spec }: Pod): Record<string, string> {
  const list = spec.securityContext?.['sysctls']
  const pairs = Array.isArray(list) ? list.filter(isRecord) : []
  return Object.fromEntries(pairs.map(({ name, value }) => [String(name), String(value)]))
}
