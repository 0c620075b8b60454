// The Node that this machine registers as: labels, capacity and conditions as a GKE node's.

import { statfs } from 'node:fs/promises'
import os from 'node:os'
import { AGENT_PORT } from '#shared/api/agent-wire.ts'
import type { Condition } from '#shared/api/meta.ts'
import type { Node } from '#shared/api/node.ts'
import { INSTANCE_ID_ANNOTATION } from '#shared/api/node.ts'
import { bytesQuantity, milliQuantity } from '#shared/quantity.ts'
import { formatTime } from '#shared/time.ts'
import { GIT_VERSION } from '#shared/version.ts'
import type { Image, Runtime } from '../runtime/runtime.ts'
import { allocatableOf, capacityOf } from './capacity.ts'
import type { VmFacts } from './metadata.ts'

/** As many pods as GKE puts on a node by default. */
const PODS_MAX = 110
const ARCH: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'arm' }
/** Kubelet names no more images than this in a Node. */
const IMAGES_MAX = 50

/** The whole Node, ready. `now` is milliseconds since 1970. */
export async function makeNode(
  facts: VmFacts,
  runtime: Runtime,
  stateDir: string,
  now: number,
): Promise<Node> {
  const images = (await runtime.listImages()).slice(0, IMAGES_MAX)
  const disk = await diskBytes(stateDir)
  const resources = (amount: { cpuMillis: number; memoryBytes: number }) => ({
    cpu: milliQuantity(amount.cpuMillis),
    memory: bytesQuantity(amount.memoryBytes),
    pods: String(Math.min(PODS_MAX, addressesIn(facts.podRange))),
    ...(disk ? { 'ephemeral-storage': bytesQuantity(disk) } : {}),
  })
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: facts.name,
      // The API gives both when it stores the Node.
      uid: '',
      creationTimestamp: formatTime(now),
      labels: labelsOf(facts),
      annotations: { [INSTANCE_ID_ANNOTATION]: facts.id },
    },
    spec: {
      providerID: `gce://${facts.project}/${facts.zone}/${facts.name}`,
      podCIDR: facts.podRange,
      podCIDRs: [facts.podRange],
      ...(facts.nodeTaints.length > 0 ? { taints: facts.nodeTaints } : {}),
    },
    status: {
      capacity: resources(capacityOf(facts.machineType)),
      allocatable: resources(allocatableOf(facts.machineType)),
      conditions: conditionsOf(now),
      addresses: [
        { type: 'InternalIP', address: facts.ip },
        ...(facts.externalIp ? [{ type: 'ExternalIP' as const, address: facts.externalIp }] : []),
        { type: 'Hostname', address: facts.name },
      ],
      nodeInfo: nodeInfo(facts, runtime),
      images: images.map(describeImage),
      daemonEndpoints: { kubeletEndpoint: { Port: AGENT_PORT } },
    },
  }
}

function labelsOf(facts: VmFacts): Record<string, string> {
  const region = facts.zone.replace(/-[a-z]$/, '')
  return {
    ...facts.nodeLabels,
    'kubernetes.io/hostname': facts.name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': arch(),
    'beta.kubernetes.io/os': 'linux',
    'beta.kubernetes.io/arch': arch(),
    'topology.kubernetes.io/zone': facts.zone,
    'topology.kubernetes.io/region': region,
    'topology.gke.io/zone': facts.zone,
    'node.kubernetes.io/instance-type': facts.machineType,
    'beta.kubernetes.io/instance-type': facts.machineType,
  }
}

function conditionsOf(now: number): Condition[] {
  const at = formatTime(now)
  const good = (type: string, reason: string, message: string): Condition => ({
    type,
    status: type === 'Ready' ? 'True' : 'False',
    reason,
    message,
    lastHeartbeatTime: at,
    lastTransitionTime: at,
  })
  return [
    good('MemoryPressure', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
    good('DiskPressure', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
    good('PIDPressure', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
    good('Ready', 'KubeletReady', 'kubelet is posting ready status'),
  ]
}

function nodeInfo(facts: VmFacts, runtime: Runtime): Record<string, string> {
  return {
    machineID: facts.id,
    systemUUID: facts.id,
    bootID: facts.id,
    kernelVersion: os.release(),
    osImage: `${os.type()} ${os.release()}`,
    containerRuntimeVersion: runtime.version,
    kubeletVersion: GIT_VERSION,
    // Removed from Kubernetes' own nodes, but clients of old versions still print it.
    kubeProxyVersion: GIT_VERSION,
    operatingSystem: 'linux',
    architecture: arch(),
  }
}

function describeImage(image: Image): { names: string[]; sizeBytes: number } {
  const name = image.reference.replace(/:[^/:]*$/, '')
  return { names: [`${name}@${image.id}`, image.reference], sizeBytes: image.sizeBytes }
}

function arch(): string {
  return ARCH[process.arch] ?? process.arch
}

function addressesIn(range: string): number {
  return Math.max(1, 2 ** (32 - Number(range.split('/')[1])) - 3)
}

async function diskBytes(folder: string): Promise<number> {
  const { bsize, blocks } = await statfs(folder)
  return Math.floor((bsize * blocks) / 2 ** 20) * 2 ** 20
}
