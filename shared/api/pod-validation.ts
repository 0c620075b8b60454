// What is wrong with a pod, or with a template of pods.

import type { Cause } from '../status.ts'
import { child, required } from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import type { AdmissionContext } from './kind.ts'
import { validateAnnotations, validateLabels, validateMeta } from './meta-validation.ts'
import type { Pod, PodSpec, PodTemplateSpec } from './pod.ts'

/** Everything that is wrong with a pod, on create and on update. */
export function validatePod(pod: Pod, context: AdmissionContext): Cause[] {
  return [
    ...validateMeta(pod, { isNamespaced: true }, context),
    ...validatePodSpec('spec', pod.spec),
  ]
}

/** What is wrong with the template of a Deployment, ReplicaSet or PodTemplate. */
export function validatePodTemplate(path: FieldPath, template: PodTemplateSpec): Cause[] {
  return [
    ...validateLabels(child(path, 'metadata.labels'), template.metadata?.labels),
    ...validateAnnotations(child(path, 'metadata.annotations'), template.metadata?.annotations),
    ...validatePodSpec(child(path, 'spec'), template.spec),
  ]
}

function validatePodSpec(path: FieldPath, spec: PodSpec): Cause[] {
  if (spec.containers.length === 0) return [required(child(path, 'containers'))]
  return []
}
