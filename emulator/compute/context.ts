// What the resources of the emulated Compute Engine share.

import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { AddressPlan } from './address-plan.ts'
import { linkTo } from './links.ts'
import type { Operations } from './operations.ts'
import { newId, timestamp, type ComputeState, type Named, type Scope } from './state.ts'

export interface Context {
  project: string
  projectNumber: string
  state: ComputeState
  clock: Clock
  log: Log
  operations: Operations
  quotas: Quotas
  plan: AddressPlan
  /** Fault: why no VM is to be had at the moment. */
  shortage: Shortage | undefined
  /** Fault: VMs (by path) whose health checks fail and succeed in turns. */
  flapping: Set<string>
  /** Something that a restart should still know has changed. */
  changed(): void
}

/** The zone has no machine left, or the project may have no more. */
export type Shortage = 'stock-out' | 'quota'

/** Per region, as `gcloud compute regions describe` shows them. */
export interface Quotas {
  INSTANCES: number
  CPUS: number
  STATIC_ADDRESSES: number
}

/** The part that every resource starts with. */
export function newNamed(
  { state, clock, project }: Context,
  kind: string,
  path: string,
): Named & { zone?: string; region?: string } {
  const now = clock.now()
  const [scopeKind, scopeName = ''] = path.split('/')
  const scope: Scope = `${scopeKind}/${scopeName}`
  const link = linkTo(project, scope)
  return {
    kind,
    id: newId(state, now),
    name: path.slice(path.lastIndexOf('/') + 1),
    creationTimestamp: timestamp(now),
    selfLink: linkTo(project, path),
    ...(scopeKind === 'zones' ? { zone: link } : {}),
    ...(scopeKind === 'regions' ? { region: link } : {}),
  }
}
