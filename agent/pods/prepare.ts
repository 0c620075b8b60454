// From a container's spec to what the runtime starts: ports, variables, command, mounts, rights. Each
// thing that is missing is a StartRefused with the reason that kubelet gives.

import { createHash } from 'node:crypto'
import type { Container, Pod } from '#shared/api/pod.ts'
import { StartRefused } from '../runtime/runtime.ts'
import type { ContainerToStart, Image } from '../runtime/runtime.ts'
import type { PodFacts } from './downward.ts'
import { argvOf, buildEnv, hostnameOf } from './env.ts'
import { mountsOf } from './mounts.ts'
import type { NodeContext } from './node-context.ts'
import { oomScoreAdjust, resourcesOf } from './resources.ts'
import { securityOf } from './security.ts'
import { serviceEnv } from './service-env.ts'
import type { MadeVolume } from './volume-kinds.ts'

export interface Prepared extends Omit<ContainerToStart, 'onOutput' | 'onExit'> {}

/** Everything but the image. Ports are opened on the way, so that the container knows its $PORT. */
export async function prepareContainer(
  facts: PodFacts,
  container: Container,
  image: Image,
  attempt: number,
  node: NodeContext,
  volumes: ReadonlyMap<string, MadeVolume>,
): Promise<Prepared> {
  const { pod } = facts
  const { metadata, spec } = pod
  const services = serviceEnv(
    node.services(),
    metadata.namespace ?? '',
    spec.enableServiceLinks ?? true,
    node.api,
    (service, port) => node.network.serviceAddress(service, port),
  )
  const env: Record<string, string> = {
    HOSTNAME: hostnameOf(pod),
    ...buildEnv(facts, container, node.configuration(), services),
    // Last: where a container must listen is not its own choice here.
    ...(node.network.hasPodAddresses ? {} : await openPorts(pod, container, image, node)),
  }
  const security = securityOf(pod, container, image, node)
  const mounts = await mountsOf({ pod, container, attempt, env, node, volumes })
  const argv = argvOf(image, container, env)
  if (argv.length === 0) {
    throw new StartRefused('CreateContainerError', 'no command specified')
  }
  return {
    id: containerId(pod, container.name, attempt, node.now()),
    podUid: metadata.uid,
    name: container.name,
    attempt,
    image,
    argv,
    env,
    workdir: container.workingDir,
    hasStdin: container.stdin ?? false,
    stdinOnce: container.stdinOnce ?? false,
    hasTty: container.tty ?? false,
    mounts,
    security,
    ...resourcesOf(container),
    oomScoreAdjust: oomScoreAdjust(pod, container, node.memoryBytes),
  }
}

/** The TCP ports of a container: those it declares, or else those of its image. */
export function tcpPorts(container: Container, image: Pick<Image, 'ports'>): number[] {
  const declared = (container.ports ?? [])
    .filter(({ protocol }) => (protocol ?? 'TCP') === 'TCP')
    .map(({ containerPort }) => containerPort)
  return declared.length > 0 ? declared : [...image.ports]
}

/**
 * What a node whose containers share the machine cannot do as the pod asks, in a few words each; not
 * worth refusing it.
 */
export function gapsOf(pod: Pod): string[] {
  const all = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
  const has = (key: string): boolean =>
    pod.spec.securityContext?.[key] !== undefined ||
    all.some(({ securityContext }) => securityContext?.[key] !== undefined)
  return [
    ...['runAsUser', 'runAsGroup', 'readOnlyRootFilesystem', 'capabilities'].filter(has),
    ...(all.some(({ ports }) => ports?.some(({ hostPort }) => hostPort)) ? ['hostPort'] : []),
    ...(pod.spec.hostAliases?.length ? ['hostAliases'] : []),
  ]
}

async function openPorts(
  pod: Pod,
  container: Container,
  image: Image,
  node: NodeContext,
): Promise<Record<string, string>> {
  const env: Record<string, string> = {}
  const ports = tcpPorts(container, image)
  // An app without a declared port may still want to listen (0): it gets one that nothing leads to.
  for (const [index, port] of (ports.length > 0 ? ports : [0]).entries()) {
    let at
    try {
      at = await node.network.openPort(pod.metadata.uid, port)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      throw new StartRefused('CreateContainerError', `cannot open port ${port}: ${why}`, {
        cause: error,
      })
    }
    if (index === 0) Object.assign(env, { HOST: at.host, PORT: String(at.port) })
    if (port !== 0) env[`PORT_${port}`] = String(at.port)
  }
  return env
}

function containerId(pod: Pod, name: string, attempt: number, now: number): string {
  return createHash('sha256')
    .update(`${pod.metadata.uid}/${name}/${attempt}/${now}`)
    .digest('hex')
    .slice(0, 32)
}
