// The HTTP balancer of a cluster: what its Ingresses want is asked for, endpoints are attached and
// detached, and what came of it is written back. One balancer for all Ingresses; the last one takes it along.

import { INGRESSES, type Ingress } from '#shared/api/ingress.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Pod } from '#shared/api/pod.ts'
import { holdsEntry, INGRESS_FINALIZER, isServed } from '#shared/ingress/classes.ts'
import { undrained } from '#shared/ingress/draining.ts'
import { isMarked, mark, MARKED } from '#shared/ingress/mark.ts'
import { planIngresses, type IngressPlan } from '#shared/ingress/plan.ts'
import { keyOf, type Key } from '#shared/key.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { HttpBalancers } from '#shared/ports/http-balancers.ts'
import type { Log } from '#shared/ports/log.ts'
import { withMeta } from '#shared/reconcile/draft.ts'
import { IN_SYNC, type Outcome } from '#shared/reconcile/outcome.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { CloudConfig, ClusterFacts } from './config.ts'
import { entryName } from './names.ts'

interface Deps {
  httpBalancers: HttpBalancers
  clock: Clock
  log: Log
  config: CloudConfig
}

/** What was asked for and granted: it is not asked for again while nothing has changed. */
export interface EntryMemo {
  /** There is, or may be, a balancer. */
  exists: boolean
  /** By the balancer's or the group's name: the wish as a text, and until when it counts. */
  granted: Map<string, { wish: string; until: number; refused: Readonly<Record<string, string>> }>
  address: string
}

export function newEntryMemo(): EntryMemo {
  return { exists: false, granted: new Map(), address: '' }
}

/** The balancer after this pass. */
export type EntryResult =
  | { isGone: true }
  | { error: string }
  | {
      address: string
      plan: IngressPlan
      refused: Readonly<Record<string, string>>
      /** Why some endpoints are not what they should be. */
      endpointError?: string
      /** Keys of leaving pods that get no request any more. */
      drained: ReadonlySet<Key>
    }

/** After this everything is asked for anew: somebody may have changed it by hand. */
const MEMO_MS = 300_000
/** Groups whose endpoints are changed at the same time. */
const CONCURRENCY = 8

/** Ingresses that are served here or may still be. */
export function entryIngresses(reader: Reader): readonly Ingress[] {
  return (reader.list(INGRESSES) as readonly Ingress[]).filter(
    (ingress) => holdsEntry(ingress) || isServed(reader, ingress),
  )
}

/** There is, or may be, a balancer, or one is wanted. */
export function needsEntry(reader: Reader, memo: EntryMemo): boolean {
  return memo.exists || isMarked(reader) || entryIngresses(reader).length > 0
}

/** What a pass over the balancer looks at. */
export function entryKeys(reader: Reader): Key[] {
  const ofKind =
    (resource: string) =>
    ({ metadata }: KubeObject): Key =>
      keyOf(resource, metadata.namespace, metadata.name)
  return [
    ...entryIngresses(reader).map(ofKind(INGRESSES)),
    ...drainingPods(reader).map(ofKind('pods')),
    ...(isMarked(reader) ? [MARKED] : []),
  ]
}

/** Leaving pods that wait for the balancer to let them go. */
export function drainingPods(reader: Reader): Pod[] {
  if (reader.list(INGRESSES).length === 0) return []
  return undrained(reader, reader.list('pods') as readonly Pod[])
}

/**
 * The finalizer and the mark first: what is made for an Ingress must not outlive it, not even where somebody
 * takes the finalizer away by hand.
 */
export function ingressIntent(reader: Reader, ingress: Ingress): Outcome {
  if (!isServed(reader, ingress)) return IN_SYNC
  const writes = mark(reader)
  if (holdsEntry(ingress)) return { writes }
  const finalizers = [...(ingress.metadata.finalizers ?? []), INGRESS_FINALIZER]
  const object = withMeta(ingress, { finalizers })
  const event = {
    about: object,
    type: 'Normal' as const,
    reason: 'Sync',
    message: 'Scheduled for sync',
    source: 'loadbalancer-controller',
  }
  return { writes: [{ do: 'put', object }, ...writes], events: [event] }
}

/** Never rejects: what fails is in the answer. Undefined: there is nothing to do with HTTP balancers. */
export async function driveEntry(
  deps: Deps,
  reader: Reader,
  facts: ClusterFacts,
  memo: EntryMemo,
): Promise<EntryResult | undefined> {
  const entry = entryName(facts.id)
  const plan = planIngresses(reader, {
    entry,
    healthCheckIntervalSeconds: deps.config.healthCheckIntervalSeconds,
  })
  if (!plan.spec) {
    const isHeld = (reader.list(INGRESSES) as readonly Ingress[]).some(holdsEntry)
    return isHeld || memo.exists || isMarked(reader) ? removeEntry(deps, entry, memo) : undefined
  }
  memo.exists = true
  try {
    const refused = await applyEntry(deps, plan, memo)
    const leaving = drainingPods(reader).map(({ metadata }) =>
      keyOf('pods', metadata.namespace, metadata.name),
    )
    const failures = await setAllEndpoints(deps, plan, memo)
    if (failures.length === 0) {
      return { address: memo.address, plan, refused, drained: new Set(leaving) }
    }
    const endpointError = failures.join('; ')
    return { address: memo.address, plan, refused, endpointError, drained: new Set() }
  } catch (error) {
    // Who leaves must leave, whatever else is wrong.
    await setAllEndpoints(deps, plan, memo)
    return { error: failed(deps, 'the HTTP balancer could not be applied', entry, error) }
  }
}

async function removeEntry(deps: Deps, entry: string, memo: EntryMemo): Promise<EntryResult> {
  memo.granted.clear()
  try {
    await deps.httpBalancers.remove(entry)
    memo.exists = false
    return { isGone: true }
  } catch (error) {
    return { error: failed(deps, 'the HTTP balancer could not be deleted', entry, error) }
  }
}

async function applyEntry(
  { httpBalancers, clock }: Deps,
  { spec }: IngressPlan,
  memo: EntryMemo,
): Promise<Readonly<Record<string, string>>> {
  if (!spec) return {}
  const wish = JSON.stringify(spec)
  const known = memo.granted.get(spec.name)
  if (known?.wish === wish && known.until > clock.now()) return known.refused
  const { address, refused } = await httpBalancers.apply(spec)
  memo.address = address
  memo.granted.set(spec.name, { wish, until: clock.now() + MEMO_MS, refused })
  return refused
}

/** Answers what failed. A group that cannot be changed does not keep the others waiting. */
async function setAllEndpoints(deps: Deps, plan: IngressPlan, memo: EntryMemo): Promise<string[]> {
  const { httpBalancers, clock } = deps
  const queue = plan.groups.filter((group) => {
    const known = memo.granted.get(`${group.zone}/${group.backend}`)
    return known?.wish !== wishOf(group) || known.until <= clock.now()
  })
  const failures: string[] = []
  const worker = async (): Promise<void> => {
    for (let group = queue.shift(); group; group = queue.shift()) {
      const { backend, zone, endpoints } = group
      const name = `${zone}/${backend}`
      try {
        await httpBalancers.setEndpoints({ backend, zone }, endpoints)
        memo.granted.set(name, { wish: wishOf(group), until: clock.now() + MEMO_MS, refused: {} })
      } catch (error) {
        memo.granted.delete(name)
        // It may be that the group itself is gone.
        memo.granted.delete(plan.spec?.name ?? '')
        failures.push(failed(deps, 'endpoints could not be set', backend, error))
      }
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
  return failures
}

/**
 * With the versions of what the endpoints were read from: another instance may have seen to what lay in
 * between, and then what is there is not what this instance left.
 */
function wishOf({ endpoints, version }: IngressPlan['groups'][number]): string {
  return JSON.stringify([endpoints, version])
}

/** Logs a failure and answers its text. */
function failed({ log }: Deps, what: string, name: string, error: unknown): string {
  log.warn(what, { name, error })
  return error instanceof Error ? error.message : String(error)
}
