// What an update may change in a pod: little, because its containers are already there.

import { isEqual } from '../equal.ts'
import type { Cause } from '../status.ts'
import { child, eachOf, forbidden, invalidValue, required } from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import type { Container, Pod, PodSpec, Toleration } from './pod.ts'

const MAY_CHANGE =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)'

/** What is wrong with the step from `old` to `pod`. */
export function validatePodUpdate(pod: Pod, old: Pod): Cause[] {
  const path = 'spec'
  if (pod.spec.containers.length !== old.spec.containers.length) {
    return [forbidden(child(path, 'containers'), 'pod updates may not add or remove containers')]
  }
  if ((pod.spec.initContainers ?? []).length !== (old.spec.initContainers ?? []).length) {
    return [
      forbidden(child(path, 'initContainers'), 'pod updates may not add or remove containers'),
    ]
  }
  return [
    ...eachOf(child(path, 'containers'), pod.spec.containers, validateImage),
    ...validateDeadline(child(path, 'activeDeadlineSeconds'), pod.spec, old.spec),
    ...validateAddedTolerations(child(path, 'tolerations'), pod.spec, old.spec),
    ...validateGates(child(path, 'schedulingGates'), pod.spec, old.spec),
    ...validateRest(path, pod.spec, old.spec),
  ]
}

function validateImage(container: Container, field: FieldPath): Cause[] {
  return container.image ? [] : [required(child(field, 'image'))]
}

function validateDeadline(field: FieldPath, spec: PodSpec, old: PodSpec): Cause[] {
  const [now, before] = [spec.activeDeadlineSeconds, old.activeDeadlineSeconds]
  if (before === undefined || now === before) return []
  if (now === undefined) {
    return [invalidValue(field, null, 'must not update from a positive integer to nil value')]
  }
  return now > before
    ? [invalidValue(field, now, 'must be less than or equal to previous value')]
    : []
}

function validateAddedTolerations(field: FieldPath, spec: PodSpec, old: PodSpec): Cause[] {
  const bare = (each: Toleration): Toleration => ({ ...each, tolerationSeconds: undefined })
  const now = (spec.tolerations ?? []).map(bare)
  const isGone = (before: Toleration): boolean => !now.some((each) => isEqual(each, bare(before)))
  return (old.tolerations ?? []).some(isGone)
    ? [forbidden(field, 'existing toleration can not be modified except its tolerationSeconds')]
    : []
}

function validateGates(field: FieldPath, spec: PodSpec, old: PodSpec): Cause[] {
  const before = new Set((old.schedulingGates ?? []).map(({ name }) => name))
  return eachOf(field, spec.schedulingGates, (gate, at) =>
    before.has(gate.name)
      ? []
      : [forbidden(at, 'only deletion is allowed, but found new scheduling gate')],
  )
}

/** All that is left, once what may change is made equal, must be equal. */
function validateRest(path: FieldPath, spec: PodSpec, old: PodSpec): Cause[] {
  const withImagesOf = (
    containers: Container[] | undefined,
    others: Container[] | undefined,
  ): Container[] | undefined =>
    containers?.map((each, index) => ({ ...each, image: others?.[index]?.image }))
  const isGated = (old.schedulingGates ?? []).length > 0
  const comparable: PodSpec = {
    ...spec,
    containers: withImagesOf(spec.containers, old.containers) ?? [],
    initContainers: withImagesOf(spec.initContainers, old.initContainers),
    activeDeadlineSeconds: old.activeDeadlineSeconds,
    tolerations: old.tolerations,
    schedulingGates: old.schedulingGates,
    nodeSelector: isGated ? old.nodeSelector : spec.nodeSelector,
    affinity: isGated ? old.affinity : spec.affinity,
  }
  const differences = differencesOf('', comparable, old)
  if (differences.length === 0) return []
  return [forbidden(path, [MAY_CHANGE, ...differences].join('\n'))]
}

/** `-  nodeName: "a"` and `+  nodeName: "b"` for each field that differs. */
function differencesOf(path: string, now: unknown, before: unknown): string[] {
  if (isEqual(now, before)) return []
  if (Array.isArray(now) && Array.isArray(before) && now.length === before.length) {
    return now.flatMap((each, index) => differencesOf(`${path}[${index}]`, each, before[index]))
  }
  if (isRecord(now) && isRecord(before)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(now)])].sort()
    return names.flatMap((name) => differencesOf(child(path, name), now[name], before[name]))
  }
  const line = (sign: string, value: unknown): string[] =>
    value === undefined ? [] : [`${sign}  ${path}: ${JSON.stringify(value)}`]
  return [...line('-', before), ...line('+', now)]
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
