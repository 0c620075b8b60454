// What must be true when the world has calmed down: people have what they asked for, and nothing else.

import type { Deployment } from '#shared/api/deployment.ts'
import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import { isPodReady } from '#shared/api/pod-conditions.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { ReplicaSet } from '#shared/api/replica-set.ts'
import { keyOf } from '#shared/key.ts'
import type { Reader } from '#shared/view/reader.ts'
import { deploymentOf, must } from './checks.ts'
import { NAMESPACE } from './people.ts'

/** Throws when it is not so. */
export function checkArrived(reader: Reader): void {
  const pods = reader.list('pods') as readonly Pod[]
  for (const deployment of reader.list('deployments.apps') as readonly Deployment[]) {
    const { name, namespace } = deployment.metadata
    const own = pods.filter((pod) => deploymentOf(reader, pod) === name)
    const size = deployment.spec.replicas ?? 1
    must(own.length === size, `${name} has ${own.length} pods of ${size}`)
    must(own.every(isPodReady), `${name} has a pod that is not ready`)
    const image = deployment.spec.template.spec.containers[0]?.image
    must(
      own.every((pod) => pod.spec.containers[0]?.image === image),
      `${name} has a pod of an old revision`,
    )
    const { status } = deployment
    must((status?.availableReplicas ?? 0) === size, `${name} says ${status?.availableReplicas}`)
    must(status?.observedGeneration === deployment.metadata.generation, `${name} was not observed`)
    const sets = reader.list('replicasets.apps', namespace) as readonly ReplicaSet[]
    const ownSets = sets.filter((set) => set.metadata.labels?.['run'] === name)
    must(ownSets.length <= 3, `${name} keeps ${ownSets.length} revisions`)
    if (reader.get(keyOf('services', namespace, name))) checkEndpoints(reader, name, own)
  }
  const orphans = pods.filter((pod) => !deploymentOf(reader, pod))
  must(orphans.length === 0, `${orphans.length} pods belong to nobody`)
  for (const pod of pods) {
    const node = reader.get(keyOf('nodes', '', pod.spec.nodeName ?? ''))
    must(node !== undefined, `${pod.metadata.name} is on a node that does not exist`)
  }
}

function checkEndpoints(reader: Reader, service: string, pods: readonly Pod[]): void {
  const slices = reader.list('endpointslices.discovery.k8s.io', NAMESPACE) as EndpointSlice[]
  const addresses = slices
    .filter((slice) => slice.metadata.labels?.['kubernetes.io/service-name'] === service)
    .flatMap(({ endpoints }) => endpoints)
    .filter(({ conditions }) => conditions?.ready)
    .flatMap((endpoint) => endpoint.addresses)
  const wanted = pods.map((pod) => pod.status?.podIP ?? '').sort()
  must(
    JSON.stringify([...addresses].sort()) === JSON.stringify(wanted),
    `service ${service} leads to ${addresses.join()} instead of ${wanted.join()}`,
  )
}
