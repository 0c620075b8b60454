// The Priority admission plugin: spec.priorityClassName becomes spec.priority.

import { keyOf } from '../key.ts'
import type { Cause } from '../status.ts'
import { forbidden } from './field-error.ts'
import type { AdmissionContext } from './kind.ts'
import type { KubeObject } from './meta.ts'
import type { PodSpec } from './pod.ts'
import type { PriorityClass } from './priority-class.ts'

/** The classes that every cluster has, without an object. */
const BUILT_IN = new Map([
  ['system-cluster-critical', 2_000_000_000],
  ['system-node-critical', 2_000_001_000],
])

const RESOURCE = 'priorityclasses.scheduling.k8s.io'

function isPriorityClass(object: KubeObject | undefined): object is PriorityClass {
  return object?.kind === 'PriorityClass'
}

function classOf(name: string, context: AdmissionContext): PriorityClass | undefined {
  const found = context.reader.get(keyOf(RESOURCE, '', name))
  return isPriorityClass(found) ? found : undefined
}

/** Sets priority, preemptionPolicy and, from the cluster's default, priorityClassName. */
export function applyPriority(spec: PodSpec, context: AdmissionContext): void {
  if (!spec.priorityClassName) {
    const fallback = context.reader
      .list(RESOURCE)
      .filter(isPriorityClass)
      .find((each) => each.globalDefault)
    if (fallback) spec.priorityClassName = fallback.metadata.name
  }
  const name = spec.priorityClassName
  const builtIn = name ? BUILT_IN.get(name) : undefined
  const found = name && builtIn === undefined ? classOf(name, context) : undefined
  spec.priority ??= builtIn ?? found?.value ?? 0
  spec.preemptionPolicy ??= found?.preemptionPolicy ?? 'PreemptLowerPriority'
}

/** Refuses a class that is not there, and a priority that is not its class's. */
export function validatePriority(spec: PodSpec, context: AdmissionContext): Cause[] {
  const name = spec.priorityClassName
  const known = name ? (BUILT_IN.get(name) ?? classOf(name, context)?.value) : 0
  if (known === undefined) {
    return [forbidden('spec.priorityClassName', `no PriorityClass with name ${name} was found`)]
  }
  if (spec.priority !== known) {
    return [
      forbidden(
        'spec.priority',
        `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${known} from the given PriorityClass name`,
      ),
    ]
  }
  return []
}
