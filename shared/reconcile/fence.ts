// Whether a VM certainly runs nothing any more. A pod that alone may write (its disk can be attached to
// one VM only) is replaced only then: a VM that does not answer may still be writing. Pure.

import { INSTANCE_ID_ANNOTATION, type Node } from '../api/node.ts'
import type { NodePool, PoolInstance } from '../api/node-pool.ts'
import type { Pod } from '../api/pod.ts'
import { keyOf } from '../key.ts'
import type { Reader } from '../view/reader.ts'
import { NODE_POOLS } from './vm-state.ts'

/** Who may still hold what another one wants. */
export interface Holder {
  /** The Node's name, which is its VM's. */
  node: string
  /** The VM's id when it took hold; undefined: that of the Node that there is. */
  instanceId?: string | undefined
}

/**
 * States of a VM whose memory is gone. A suspended one goes on where it was, and one that is being
 * stopped or repaired may still run.
 */
const OFF: ReadonlySet<string> = new Set(['STOPPED', 'TERMINATED'])

/**
 * True when the VM is certainly off: Compute Engine lists it as stopped, lists another VM of its name,
 * or no longer lists it. A failed health check is never enough, and neither is a Node that somebody
 * deleted while its VM is listed. Outside of node pools, where nobody tells of machines, the Node's
 * deletion is a person's word that it is off, as in Kubernetes.
 */
export function isFenced(reader: Reader, { node: name, instanceId }: Holder): boolean {
  const node = reader.get(keyOf('nodes', '', name)) as Node | undefined
  const pools = reader.list(NODE_POOLS) as readonly NodePool[]
  const holderId = instanceId ?? node?.metadata.annotations?.[INSTANCE_ID_ANNOTATION]
  const instance = instanceNamed(pools, name)
  if (instance) return OFF.has(instance.status) || (holderId ?? instance.id) !== instance.id
  // What was never listed is not known to be gone.
  if (pools.some(({ status }) => status?.instances === undefined)) return false
  return node === undefined || holderId !== undefined
}

/** True for a pod that would do harm beside a second one of itself: it may hold a disk alone. */
export function isSingleWriter({ spec }: Pod): boolean {
  return (spec.volumes ?? []).some(
    ({ persistentVolumeClaim: claim, gcePersistentDisk: disk }) =>
      (claim && !claim.readOnly) || (disk && !disk.readOnly),
  )
}

function instanceNamed(pools: readonly NodePool[], name: string): PoolInstance | undefined {
  for (const { status } of pools) {
    const found = status?.instances?.find((instance) => instance.name === name)
    if (found) return found
  }
  return undefined
}
