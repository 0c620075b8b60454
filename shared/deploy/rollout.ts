// How far the rollout of a deploy is, read from the objects: the same questions as `kubectl rollout
// status`, and for what fails a reason that names the pod.

import { conditionOf } from '../api/conditions.ts'
import type { Deployment } from '../api/deployment.ts'
import type { KubeObject } from '../api/meta.ts'
import type { ContainerStatus, Pod } from '../api/pod.ts'
import type { Service } from '../api/service.ts'
import { matchesLabelSelector } from '../selector.ts'
import type { Key } from '../key.ts'
import type { Reader } from '../view/reader.ts'

/** More nodes than this are counted only. */
const NODES_SHOWN = 5

export type Rollout =
  | { is: 'done'; message: string }
  | { is: 'waiting'; message: string }
  | { is: 'failed'; message: string; pod?: Pod }

/** All workloads among `keys` together. */
export function rolloutOf(reader: Reader, keys: readonly Key[]): Rollout {
  const states = keys.flatMap((key) => {
    const object = reader.get(key)
    return object && isDeployment(object) ? [deploymentRollout(reader, object)] : []
  })
  const failed = states.find(({ is }) => is === 'failed')
  if (failed) return failed
  const waiting = states.filter(({ is }) => is === 'waiting')
  const [first] = waiting
  if (first) return first
  const count = states.length
  const what = count === 1 ? '1 workload' : `${count} workloads`
  return { is: 'done', message: count > 0 ? `${what} rolled out` : 'applied' }
}

function isDeployment(object: KubeObject): object is Deployment {
  return object.kind === 'Deployment' && object.apiVersion === 'apps/v1'
}

function deploymentRollout(reader: Reader, deployment: Deployment): Rollout {
  const { metadata, spec, status } = deployment
  const wanted = spec.replicas ?? 1
  const name = `deployment "${metadata.name}"`
  const wait = (what: string): Rollout => ({ is: 'waiting', message: `${name}: ${what}` })
  if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0)) {
    return wait('the change has not been noticed yet')
  }
  const progressing = conditionOf(deployment, 'Progressing')
  if (progressing?.reason === 'ProgressDeadlineExceeded') {
    return failure(reader, deployment, `${name} exceeded its progress deadline`)
  }
  const { updatedReplicas = 0, replicas = 0, availableReplicas = 0 } = status ?? {}
  if (spec.paused) return wait('is paused')
  if (updatedReplicas < wanted) {
    return wait(`${updatedReplicas} of ${wanted} new replicas have been updated`)
  }
  if (replicas > updatedReplicas) {
    return wait(`${replicas - updatedReplicas} old replicas are pending termination`)
  }
  if (availableReplicas < updatedReplicas) {
    return wait(`${availableReplicas} of ${updatedReplicas} updated replicas are available`)
  }
  return { is: 'done', message: name }
}

/** Why a rollout that took too long has not come further: for the workload that waits longest. */
export function overdue(reader: Reader, keys: readonly Key[], seconds: number): Rollout {
  for (const key of keys) {
    const object = reader.get(key)
    if (!object || !isDeployment(object)) continue
    if (deploymentRollout(reader, object).is === 'done') continue
    const what = `deployment "${object.metadata.name}" was not ready after ${seconds} s`
    return failure(reader, object, what)
  }
  return { is: 'failed', message: `not ready after ${seconds} s` }
}

function podsOf(reader: Reader, { metadata, spec }: Deployment): Pod[] {
  return (reader.list('pods', metadata.namespace) as readonly Pod[]).filter((pod) =>
    matchesLabelSelector(spec.selector, pod.metadata.labels),
  )
}

function failure(reader: Reader, deployment: Deployment, what: string): Rollout {
  const pods = podsOf(reader, deployment)
    .filter((pod) => conditionOf(pod, 'Ready')?.status !== 'True')
    .sort((a, b) => (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? 1 : -1))
  const pod = pods.find((each) => reasonOf(each) !== undefined) ?? pods[0]
  const why = pod && reasonOf(pod)
  const refused = conditionOf(deployment, 'ReplicaFailure')?.message
  const because = why ? `: pod "${pod.metadata.name}" ${why}` : refused ? `: ${refused}` : ''
  return {
    is: 'failed',
    message: `${what}${because}`,
    ...(pod ? { pod } : {}),
  }
}

/** `waits in CrashLoopBackOff (back-off …)`, `has no node (0/2 nodes …)`. */
function reasonOf(pod: Pod): string | undefined {
  const scheduled = conditionOf(pod, 'PodScheduled')
  if (scheduled?.status === 'False') return `has no node: ${scheduled.message ?? ''}`
  const statuses: ContainerStatus[] = [
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.containerStatuses ?? []),
  ]
  for (const { name, state, lastState, restartCount, ready } of statuses) {
    const waiting = state?.waiting
    const ended = state?.terminated ?? lastState?.terminated
    const exit = ended ? ` (exit code ${ended.exitCode})` : ''
    if (waiting?.reason && waiting.reason !== 'ContainerCreating') {
      return `waits in ${waiting.reason}${exit}: container "${name}" ${waiting.message ?? ''}`.trim()
    }
    if (ended && !ready) return `has ended${exit}: container "${name}"`
    if (!ready && state?.running) {
      return `is running but not ready: container "${name}", ${restartCount ?? 0} restarts`
    }
  }
  return undefined
}

/** The address of the first load balancer among the objects. */
export function addressOf(
  reader: Reader,
  keys: readonly Key[],
): { address: string; port: number } | undefined {
  for (const key of keys) {
    const object = reader.get(key)
    if (object?.kind !== 'Service' || object.apiVersion !== 'v1') continue
    const { spec, status } = object as Service
    if (spec.type !== 'LoadBalancer') continue
    const address = status?.loadBalancer?.ingress?.[0]?.ip
    if (address) return { address, port: spec.ports?.[0]?.port ?? 80 }
  }
  return undefined
}

/** `namespace web-pr-7: 2 pods on vm-1, vm-2`: where the workloads' pods are. */
export function placeOf(reader: Reader, keys: readonly Key[], namespace: string): string {
  const pods = keys.flatMap((key) => {
    const object = reader.get(key)
    return object && isDeployment(object) ? podsOf(reader, object) : []
  })
  const nodes = [...new Set(pods.flatMap(({ spec }) => spec.nodeName ?? []))].sort()
  const count = pods.length === 1 ? '1 pod' : `${pods.length} pods`
  const on = nodes.length > 0 ? ` on ${nodes.slice(0, NODES_SHOWN).join(', ')}` : ''
  const more = nodes.length > NODES_SHOWN ? ` and ${nodes.length - NODES_SHOWN} more` : ''
  return `namespace ${namespace}: ${count}${on}${more}`
}
