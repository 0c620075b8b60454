// From a container's spec to what the runtime starts: image, ports, variables, command, mounts. Each
// thing that is missing is a StartRefused with the reason that kubelet gives.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Container, Pod } from '#shared/api/pod.ts'
import { milliValue, wholeValue } from '#shared/quantity.ts'
import { normaliseImage, StartRefused } from '../runtime/runtime.ts'
import type { ContainerToStart, Image, Mount } from '../runtime/runtime.ts'
import type { PodFacts } from './downward.ts'
import { argvOf, buildEnv, expand, hostnameOf } from './env.ts'
import type { NodeContext } from './node-context.ts'
import { serviceEnv } from './service-env.ts'

export type Announce = (type: 'Normal' | 'Warning', reason: string, message: string) => void

/** The image, fetched when the policy says so. */
export async function resolveImage(
  container: Container,
  node: NodeContext,
  announce: Announce,
): Promise<Image> {
  const name = container.image ?? ''
  const reference = normaliseImage(name)
  if (!reference) {
    const why = `Failed to apply default image tag "${name}": couldn't parse image name "${name}": invalid reference format`
    announce('Warning', 'InspectFailed', why)
    throw new StartRefused('InvalidImageName', why)
  }
  const policy =
    container.imagePullPolicy ?? (reference.endsWith(':latest') ? 'Always' : 'IfNotPresent')
  const present = policy === 'Always' ? undefined : await node.runtime.findImage(reference)
  if (present) {
    announce('Normal', 'Pulled', `Container image "${name}" already present on machine`)
    return present
  }
  if (policy === 'Never') {
    const why = `Container image "${name}" is not present with pull policy of Never`
    announce('Warning', 'ErrImageNeverPull', why)
    throw new StartRefused('ErrImageNeverPull', why)
  }
  announce('Normal', 'Pulling', `Pulling image "${name}"`)
  const begun = performance.now()
  try {
    const image = await node.runtime.pullImage(reference)
    const took = `${Math.max(1, Math.round(performance.now() - begun))}ms`
    announce(
      'Normal',
      'Pulled',
      `Successfully pulled image "${name}" in ${took} (${took} including waiting). Image size: ${image.sizeBytes} bytes.`,
    )
    return image
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    announce('Warning', 'Failed', `Failed to pull image "${name}": ${why}`)
    throw new StartRefused('ErrImagePull', why, { cause: error })
  }
}

export interface Prepared extends Omit<ContainerToStart, 'onOutput' | 'onExit'> {}

/** Everything but the image. Ports are opened on the way, so that the container knows its $PORT. */
export async function prepareContainer(
  facts: PodFacts,
  container: Container,
  image: Image,
  attempt: number,
  node: NodeContext,
): Promise<Prepared> {
  refuseUnknown(container)
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
  const mounts = mountsOf(pod, container, env, node)
  const argv = argvOf(image, container, env)
  if (argv.length === 0) {
    throw new StartRefused('CreateContainerError', 'no command specified')
  }
  const limits = container.resources?.limits ?? {}
  return {
    id: containerId(pod, container.name, attempt, node.now()),
    podUid: metadata.uid,
    name: container.name,
    image,
    argv,
    env,
    workdir: container.workingDir,
    hasStdin: container.stdin ?? false,
    mounts,
    limits: {
      ...(limits['memory'] ? { memoryBytes: wholeValue(limits['memory']) } : {}),
      ...(limits['cpu'] ? { cpuMillis: milliValue(limits['cpu']) } : {}),
    },
  }
}

/** The TCP ports of a container: those it declares, or else those of its image. */
export function tcpPorts(container: Container, image: Pick<Image, 'ports'>): number[] {
  const declared = (container.ports ?? [])
    .filter(({ protocol }) => (protocol ?? 'TCP') === 'TCP')
    .map(({ containerPort }) => containerPort)
  return declared.length > 0 ? declared : [...image.ports]
}

/** Where a pod's volume is on disk. */
export function volumeFolder(stateDir: string, uid: string, volume: string): string {
  return join(stateDir, 'pods', uid, 'volumes', volume)
}

/** What this node cannot do as the pod asks, in a few words each; not worth refusing it. */
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

function mountsOf(
  pod: Pod,
  container: Container,
  env: Readonly<Record<string, string>>,
  node: NodeContext,
): Mount[] {
  const volumes = new Map((pod.spec.volumes ?? []).map((volume) => [volume.name, volume]))
  return (container.volumeMounts ?? []).map((mount) => {
    const folder = volumeFolder(node.stateDir, pod.metadata.uid, mount.name)
    const below = mount.subPathExpr ? expand(mount.subPathExpr, (name) => env[name]) : mount.subPath
    if (below?.split('/').includes('..')) {
      throw new StartRefused(
        'CreateContainerConfigError',
        `subPath must not contain '..': ${below}`,
      )
    }
    const source = below ? join(folder, below) : folder
    const isScratch = volumes.get(mount.name)?.emptyDir !== undefined
    if (isScratch) mkdirSync(source, { recursive: true })
    else if (!existsSync(source)) {
      throw new StartRefused(
        'CreateContainerConfigError',
        `failed to prepare subPath for volumeMount "${mount.name}" of container "${container.name}"`,
      )
    }
    return { source, target: mount.mountPath, readOnly: !isScratch || mount.readOnly === true }
  })
}

/** What this agent would have to pretend. */
function refuseUnknown(container: Container): void {
  const probes = [container.startupProbe, container.livenessProbe, container.readinessProbe]
  if (probes.some((probe) => probe?.grpc)) {
    throw new StartRefused(
      'CreateContainerConfigError',
      'grpc probes are not available on this node; use httpGet, tcpSocket or exec',
    )
  }
}

function containerId(pod: Pod, name: string, attempt: number, now: number): string {
  return createHash('sha256')
    .update(`${pod.metadata.uid}/${name}/${attempt}/${now}`)
    .digest('hex')
    .slice(0, 32)
}
