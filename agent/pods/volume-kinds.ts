// Makes a pod's volumes on the node: one function for each kind of source. What a volume holds is
// volumes.ts' business where it is files of the API.

import { chmod, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Volume } from '#shared/api/pod.ts'
import { wholeValue } from '#shared/quantity.ts'
import { VolumePending, type ReadyVolume } from '../disks/node-disks.ts'
import type { PodFacts } from './downward.ts'
import { openHostPath } from './host-path.ts'
import type { NodeContext } from './node-context.ts'
import { isMounted, mountTmpfs } from './pod-folder.ts'
import { fsGroupOf } from './security.ts'
import { contentOf, VolumeRefused } from './volumes.ts'
import { giveToGroup, writeVolume } from './volume-folder.ts'

/** A volume that is there. */
export interface MadeVolume {
  /** As the runtime mounts it. */
  path: string
  /** As this agent reaches the same thing. */
  seenAt: string
  isWritable: boolean
}

export interface VolumeContext {
  facts: PodFacts
  node: Pick<NodeContext, 'configuration' | 'disks' | 'machineRoot'> & {
    runtime: Pick<NodeContext['runtime'], 'isContained'>
  }
  /** Where it may keep things: a folder of the pod's for this volume alone. */
  folder: string
}

type Make = (volume: Volume, context: VolumeContext) => Promise<MadeVolume>

/** By the name of the source in the pod's spec. */
const KINDS: Readonly<Record<string, Make>> = {
  emptyDir: makeEmptyDir,
  hostPath: makeHostPath,
  configMap: makeFiles,
  secret: makeFilesInMemory,
  downwardAPI: makeFilesInMemory,
  projected: makeFilesInMemory,
  persistentVolumeClaim: makeClaimed,
  ephemeral: makeClaimed,
}

/**
 * Makes the volume, or brings it up to date. VolumeRefused: its source is missing or of a kind that
 * this node cannot give.
 */
export async function makeVolume(volume: Volume, context: VolumeContext): Promise<MadeVolume> {
  const kind = Object.keys(volume).find((key) => key !== 'name') ?? 'emptyDir'
  const make = KINDS[kind]
  const isOnlyContained = kind === 'hostPath'
  if (!make || (isOnlyContained && !context.node.runtime.isContained)) {
    throw new VolumeRefused(`${kind} volumes are not available on this node`)
  }
  return make(volume, context)
}

async function makeEmptyDir(volume: Volume, context: VolumeContext): Promise<MadeVolume> {
  const { folder, node } = context
  await mkdir(folder, { recursive: true })
  const { medium, sizeLimit } = volume.emptyDir ?? {}
  if (medium === 'Memory' && node.runtime.isContained && !isMounted(folder)) {
    await mountTmpfs(folder, sizeLimit ? wholeValue(sizeLimit) : undefined)
  }
  if (node.runtime.isContained) {
    await chmod(folder, 0o777)
    await applyGroup(folder, context, false)
  }
  return { path: folder, seenAt: folder, isWritable: true }
}

async function makeFiles(volume: Volume, context: VolumeContext): Promise<MadeVolume> {
  const { facts, node, folder } = context
  const files = contentOf(volume, facts, node.configuration())
  await mkdir(folder, { recursive: true })
  const group = node.runtime.isContained ? fsGroupOf(facts.pod) : undefined
  await writeVolume(folder, files, group)
  return { path: folder, seenAt: folder, isWritable: false }
}

/** As kubelet: what may be secret is not written to the node's disk. */
async function makeFilesInMemory(volume: Volume, context: VolumeContext): Promise<MadeVolume> {
  const { facts, node, folder } = context
  if (node.runtime.isContained && !isMounted(folder)) {
    // A source that is missing is told before anything is made.
    contentOf(volume, facts, node.configuration())
    await mkdir(folder, { recursive: true })
    // One that an earlier agent has made on the disk may be in use.
    if ((await readdir(folder)).length === 0) await mountTmpfs(folder, undefined)
  }
  return makeFiles(volume, context)
}

async function makeHostPath(volume: Volume, { node }: VolumeContext): Promise<MadeVolume> {
  const { path = '', type = '' } = volume.hostPath ?? {}
  const seenAt = join(node.machineRoot, path)
  await openHostPath(path, seenAt, type)
  return { path, seenAt, isWritable: true }
}

/** What a claim is bound to. VolumePending: it is not there yet. */
async function makeClaimed(volume: Volume, context: VolumeContext): Promise<MadeVolume> {
  const { node } = context
  const { path, isWritable, isDisk, isNew } = await claimed(volume, context)
  const { runtime, machineRoot } = node
  if (!isDisk && !runtime.isContained) {
    throw new VolumeRefused("a volume in the machine's own files is not available on this node")
  }
  // A disk is mounted where this agent is, a folder of the machine where that is.
  const seenAt = isDisk ? path : join(machineRoot, path)
  if (!isDisk) await openHostPath(path, seenAt, 'DirectoryOrCreate')
  else if (runtime.isContained && isNew && isWritable) await applyGroup(path, context, false)
  return { path, seenAt, isWritable }
}

async function claimed(volume: Volume, { facts, node }: VolumeContext): Promise<ReadyVolume> {
  try {
    return await node.disks.make(facts.pod, volume)
  } catch (error) {
    if (error instanceof VolumePending) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new VolumeRefused(why, { cause: error })
  }
}

async function applyGroup(
  folder: string,
  { facts }: VolumeContext,
  isReadOnly: boolean,
): Promise<void> {
  const group = fsGroupOf(facts.pod)
  if (group !== undefined) await giveToGroup(folder, group, isReadOnly)
}
