// What Kubernetes fills into a pod that says nothing: v1 defaults of the spec, and for a real pod
// (not a template) what the admission plugins add (tolerations, priority, service account).

import { canonicalMilli, canonicalQuantity } from '../quantity.ts'
import { oldOf } from './kind.ts'
import type { AdmissionContext } from './kind.ts'
import { applyPriority } from './pod-priority.ts'
import { qosClassOf } from './pod-resources.ts'
import type {
  Container,
  EnvVar,
  Handler,
  Pod,
  PodSpec,
  PodTemplateSpec,
  Probe,
  ResourceRequirements,
  Volume,
} from './pod.ts'

/** Seconds that a pod stays on a node that became NotReady or unreachable. */
const STAY_SECONDS = 300
const NODE_TROUBLES = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']

/** 0644: how files of configMap, secret and downwardAPI volumes are made. */
const FILE_MODE = 0o644

/** The defaults of a pod: its spec, its admission, and the status of a new one. */
export function applyPodDefaults(draft: Pod, context: AdmissionContext): void {
  const loose: { spec?: PodSpec } = draft
  const spec = (loose.spec ??= { containers: [] })
  applyPodSpecDefaults(spec)
  spec.enableServiceLinks ??= true
  spec.serviceAccountName ||= spec.serviceAccount || 'default'
  spec.serviceAccount = spec.serviceAccountName
  addTolerations(spec)
  const old = oldOf(draft, context)
  if (old) {
    spec.priority ??= old.spec.priority
    spec.preemptionPolicy ??= old.spec.preemptionPolicy
    return
  }
  applyPriority(spec, context)
  draft.status = { ...draft.status, phase: draft.status?.phase ?? 'Pending' }
  draft.status.qosClass ??= qosClassOf(draft)
}

/** The defaults of a pod template: those of the spec without what belongs to one pod. */
export function applyTemplateDefaults(template: PodTemplateSpec): void {
  const loose: { metadata?: PodTemplateSpec['metadata'] | null; spec?: PodSpec } = template
  loose.metadata ??= {}
  // Go clients write `creationTimestamp: null`, which would make equal templates look different.
  if ('creationTimestamp' in loose.metadata) delete loose.metadata.creationTimestamp
  applyPodSpecDefaults((loose.spec ??= { containers: [] }))
}

function applyPodSpecDefaults(spec: PodSpec): void {
  spec.containers ??= []
  spec.restartPolicy ||= 'Always'
  spec.dnsPolicy ||= 'ClusterFirst'
  spec.schedulerName ||= 'default-scheduler'
  spec.securityContext ??= {}
  spec.terminationGracePeriodSeconds ??= 30
  if (spec.serviceAccountName || spec.serviceAccount) {
    spec.serviceAccountName ||= spec.serviceAccount ?? ''
    spec.serviceAccount = spec.serviceAccountName
  }
  if (spec.hostNetwork) {
    for (const port of spec.containers.flatMap((each) => each.ports ?? [])) {
      port.hostPort ||= port.containerPort
    }
  }
  const containers = [
    ...spec.containers,
    ...(spec.initContainers ?? []),
    ...(spec.ephemeralContainers ?? []),
  ]
  for (const container of containers) applyContainerDefaults(container)
  for (const volume of spec.volumes ?? []) applyVolumeDefaults(volume)
  for (const constraint of spec.topologySpreadConstraints ?? []) {
    constraint.labelSelector ??= {}
  }
}

function applyContainerDefaults(container: Container): void {
  container.imagePullPolicy ||= isLatest(container.image ?? '') ? 'Always' : 'IfNotPresent'
  container.terminationMessagePath ||= '/dev/termination-log'
  container.terminationMessagePolicy ||= 'File'
  for (const port of container.ports ?? []) port.protocol ||= 'TCP'
  for (const env of container.env ?? []) applyEnvDefaults(env)
  applyResourceDefaults((container.resources ??= {}))
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) {
    if (probe) applyProbeDefaults(probe)
  }
  for (const hook of [container.lifecycle?.postStart, container.lifecycle?.preStop]) {
    if (hook) applyHandlerDefaults(hook)
  }
}

/** True when an image has the tag `latest`, or neither tag nor digest, which means the same. */
function isLatest(image: string): boolean {
  if (image.includes('@')) return false
  const tag = /:([^/:]+)$/.exec(image)?.[1]
  return tag === undefined || tag === 'latest'
}

function applyEnvDefaults(env: EnvVar): void {
  const { fieldRef, resourceFieldRef } = env.valueFrom ?? {}
  if (fieldRef) fieldRef.apiVersion ||= 'v1'
  if (resourceFieldRef)
    resourceFieldRef.divisor = canonicalQuantity(resourceFieldRef.divisor ?? '0')
}

/** Requests that are not given are the limits; quantities take their canonical form. */
function applyResourceDefaults(resources: ResourceRequirements): void {
  const { limits } = resources
  if (limits) {
    canonicalize(limits)
    const requests = (resources.requests ??= {})
    for (const [resource, limit] of Object.entries(limits)) requests[resource] ??= limit
  }
  if (resources.requests) canonicalize(resources.requests)
}

function canonicalize(list: Record<string, string>): void {
  for (const [resource, quantity] of Object.entries(list)) {
    list[resource] = canonicalMilli(quantity)
  }
}

function applyProbeDefaults(probe: Probe): void {
  probe.timeoutSeconds ||= 1
  probe.periodSeconds ||= 10
  probe.successThreshold ||= 1
  probe.failureThreshold ||= 3
  applyHandlerDefaults(probe)
}

function applyHandlerDefaults(handler: Handler): void {
  if (handler.httpGet) {
    handler.httpGet.path ||= '/'
    handler.httpGet.scheme ||= 'HTTP'
  }
  if (handler.grpc) handler.grpc.service ??= ''
}

function applyVolumeDefaults(volume: Volume): void {
  const { configMap, secret, downwardAPI, projected, emptyDir, hostPath } = volume
  for (const source of [configMap, secret, downwardAPI, projected]) {
    if (source) source.defaultMode ??= FILE_MODE
  }
  if (emptyDir?.sizeLimit !== undefined) emptyDir.sizeLimit = canonicalQuantity(emptyDir.sizeLimit)
  if (hostPath) hostPath.type ??= ''
  for (const item of listOf(downwardAPI?.items)) {
    const fieldRef = recordOf(item)?.fieldRef
    const reference = recordOf(fieldRef)
    if (reference) reference.apiVersion ||= 'v1'
  }
  for (const source of listOf(projected?.sources)) {
    const token = recordOf(recordOf(source)?.serviceAccountToken)
    if (token) token.expirationSeconds ??= 3600
    for (const item of listOf(recordOf(recordOf(source)?.downwardAPI)?.items)) {
      const reference = recordOf(recordOf(item)?.fieldRef)
      if (reference) reference.apiVersion ||= 'v1'
    }
  }
  const hasSource = Object.entries(volume).some(
    ([name, value]) => name !== 'name' && value !== undefined && value !== null,
  )
  if (!hasSource) volume.emptyDir = {}
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function recordOf(value: unknown): Record<string, unknown> | undefined {
  return isRecord(value) ? value : undefined
}

/** The DefaultTolerationSeconds plugin: a node may be in trouble for five minutes. */
function addTolerations(spec: PodSpec): void {
  for (const key of NODE_TROUBLES) {
    const isTolerated = (spec.tolerations ?? []).some(
      (toleration) =>
        (toleration.key === key || !toleration.key) &&
        (toleration.effect === 'NoExecute' || !toleration.effect),
    )
    if (isTolerated) continue
    spec.tolerations = [
      ...(spec.tolerations ?? []),
      { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: STAY_SECONDS },
    ]
  }
}
