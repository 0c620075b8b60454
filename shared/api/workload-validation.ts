// What Deployment and ReplicaSet have in common: a count, a selector and a template that must agree.

import { isEqual } from '../equal.ts'
import { matchesLabelSelector } from '../selector.ts'
import type { Cause } from '../status.ts'
import {
  IMMUTABLE,
  IS_NEGATIVE,
  child,
  forbidden,
  invalidValue,
  notSupported,
  required,
} from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import type { LabelSelector } from './meta.ts'
import { validateLabelSelector } from './meta-validation.ts'
import { validatePodTemplate } from './pod-validation.ts'
import type { PodTemplateSpec } from './pod.ts'

/** Refuses a number below 0. */
export function validateCount(field: FieldPath, value: number | undefined): Cause[] {
  return value !== undefined && value < 0 ? [invalidValue(field, value, IS_NEGATIVE)] : []
}

interface Workload {
  selector?: LabelSelector
  template?: PodTemplateSpec
}

/** The selector must be there, well-formed, select its own template, and never change. */
export function validateWorkloadSelector(spec: Workload, old: Workload | undefined): Cause[] {
  const { selector } = spec
  const causes: Cause[] = []
  if (!selector) {
    causes.push(required('spec.selector'))
  } else {
    causes.push(...validateLabelSelector('spec.selector', selector))
    const { matchLabels = {}, matchExpressions = [] } = selector
    if (Object.keys(matchLabels).length + matchExpressions.length === 0) {
      causes.push(
        invalidValue('spec.selector', selector, 'empty selector is invalid for deployment'),
      )
    }
  }
  // A selector that is missing selects nothing, so this is said of it too, as Kubernetes does.
  const labels = spec.template?.metadata?.labels
  if (!matchesLabelSelector(selector, labels)) {
    causes.push(
      invalidValue(
        'spec.template.metadata.labels',
        labels,
        '`selector` does not match template `labels`',
      ),
    )
  }
  if (old && !isEqual(selector, old.selector)) {
    causes.push(invalidValue('spec.selector', selector, IMMUTABLE))
  }
  return causes
}

/** The template must make pods that can be kept alive for ever. */
export function validateWorkloadTemplate(path: FieldPath, template: PodTemplateSpec): Cause[] {
  const causes = validatePodTemplate(path, template)
  const { restartPolicy, activeDeadlineSeconds } = template.spec
  if (restartPolicy !== 'Always') {
    causes.push(notSupported(child(path, 'spec.restartPolicy'), restartPolicy ?? '', ['Always']))
  }
  if (activeDeadlineSeconds !== undefined) {
    causes.push(
      forbidden(
        child(path, 'spec.activeDeadlineSeconds'),
        'activeDeadlineSeconds in ReplicaSet is not Supported',
      ),
    )
  }
  return causes
}
