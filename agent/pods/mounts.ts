// What a container sees of its pod's volumes and of the pod's own files in /etc.

import { existsSync, mkdirSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Container, Pod, VolumeMount } from '#shared/api/pod.ts'
import { StartRefused } from '../runtime/runtime.ts'
import type { Mount } from '../runtime/runtime.ts'
import { expand } from './env.ts'
import type { NodeContext } from './node-context.ts'
import { podFolder } from './pod-folder.ts'
import { bindSubPath } from './sub-path.ts'
import type { MadeVolume } from './volume-kinds.ts'

const TERMINATION_LOG = '/dev/termination-log'

export interface MountsOptions {
  pod: Pod
  container: Container
  attempt: number
  env: Readonly<Record<string, string>>
  node: NodeContext
  volumes: ReadonlyMap<string, MadeVolume>
}

/** All mounts of a container. StartRefused: one cannot be made. */
export async function mountsOf(options: MountsOptions): Promise<Mount[]> {
  const { container, node } = options
  const mounts: Mount[] = []
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    mounts.push(await mountOf(options, mount, index))
  }
  if (!node.runtime.isContained) return mounts
  const own = [...etcMounts(options), await terminationMount(options)]
  // What the pod puts there itself counts.
  const taken = new Set(mounts.map(({ target }) => target))
  return [...mounts, ...own.filter(({ target }) => !taken.has(target))]
}

/** Where the pod's files of /etc are: written when it is set up. */
export function etcFolder(stateDir: string, uid: string): string {
  return join(podFolder(stateDir, uid), 'etc')
}

/** The file that a container may leave its last words in. */
export function terminationFile(
  stateDir: string,
  uid: string,
  name: string,
  attempt: number,
): string {
  return join(podFolder(stateDir, uid), name, `${attempt}.message`)
}

async function mountOf(
  { pod, container, attempt, env, node, volumes }: MountsOptions,
  mount: VolumeMount,
  index: number,
): Promise<Mount> {
  const volume = volumes.get(mount.name)
  if (!volume) throw refuse(`volume "${mount.name}" of container "${container.name}" is not there`)
  const below = mount.subPathExpr ? expand(mount.subPathExpr, (name) => env[name]) : mount.subPath
  const place = `${container.name}.${attempt}.${index}`
  const subPaths = join(podFolder(node.stateDir, pod.metadata.uid), 'sub-paths')
  const source = !below
    ? volume.path
    : node.runtime.isContained
      ? await bindSubPath({
          volume: volume.seenAt,
          path: below,
          creates: volume.isWritable,
          target: join(subPaths, place),
        })
      : plainSubPath(volume, mount, below, container.name)
  const { mountPropagation } = mount
  return {
    source,
    target: mount.mountPath,
    readOnly: !volume.isWritable || mount.readOnly === true,
    ...(mountPropagation === 'HostToContainer' || mountPropagation === 'Bidirectional'
      ? { propagation: mountPropagation }
      : {}),
  }
}

/** Where containers share the machine's files a link leads nowhere that they could not go. */
function plainSubPath(
  volume: MadeVolume,
  mount: VolumeMount,
  below: string,
  container: string,
): string {
  if (below.split('/').includes('..')) throw refuse(`subPath must not contain '..': ${below}`)
  const source = join(volume.path, below)
  if (volume.isWritable) mkdirSync(source, { recursive: true })
  else if (!existsSync(source)) {
    const which = `volumeMount "${mount.name}" of container "${container}"`
    throw refuse(`failed to prepare subPath for ${which}`)
  }
  return source
}

function etcMounts({ pod, container, node }: MountsOptions): Mount[] {
  const folder = etcFolder(node.stateDir, pod.metadata.uid)
  const readOnly = container.securityContext?.['readOnlyRootFilesystem'] === true
  return ['hosts', 'resolv.conf', 'hostname'].map((name) => ({
    source: join(folder, name),
    target: `/etc/${name}`,
    readOnly,
  }))
}

async function terminationMount({ pod, container, attempt, node }: MountsOptions): Promise<Mount> {
  const file = terminationFile(node.stateDir, pod.metadata.uid, container.name, attempt)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, '')
  // Whoever the container runs as.
  await chmod(file, 0o666)
  const target = container.terminationMessagePath ?? TERMINATION_LOG
  return { source: file, target, readOnly: false }
}

function refuse(message: string): StartRefused {
  return new StartRefused('CreateContainerConfigError', message)
}
