// What is wrong with an object's metadata: names, labels, annotations, owners, finalizers; the same
// checks, in the same words, as apimachinery's ValidateObjectMeta.

import type { Cause } from '../status.ts'
import { at, child, forbidden, invalidValue, required, tooLong } from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import type { AdmissionContext } from './kind.ts'
import type { KubeObject, LabelSelector, ObjectMeta, OwnerReference } from './meta.ts'
import {
  dnsLabelProblems,
  dnsSubdomainProblems,
  labelKeyProblems,
  labelValueProblems,
} from './name-rules.ts'

/** All annotations of an object together: keys and values, in bytes. */
const ANNOTATIONS_BYTES_MAX = 262_144

const ENCODER = new TextEncoder()

/** The UTF-8 length of a text. */
export function byteLength(text: string): number {
  return ENCODER.encode(text).length
}

interface MetaRules {
  isNamespaced: boolean
  /** What is wrong with a name of this kind; a DNS subdomain unless said otherwise. */
  nameProblems?: (name: string) => string[]
}

/** Everything that is wrong with `object.metadata`. Called first by every kind's validate. */
export function validateMeta(
  object: KubeObject,
  rules: MetaRules,
  context: AdmissionContext,
): Cause[] {
  const path = 'metadata'
  const metadata: Partial<ObjectMeta> = object.metadata ?? {}
  return [
    ...validateNames(path, metadata, rules),
    ...validateLabels(child(path, 'labels'), metadata.labels),
    ...validateAnnotations(child(path, 'annotations'), metadata.annotations),
    ...validateOwners(child(path, 'ownerReferences'), metadata.ownerReferences ?? []),
    ...validateFinalizers(child(path, 'finalizers'), metadata, context.old?.metadata),
  ]
}

function validateNames(
  path: FieldPath,
  metadata: Partial<ObjectMeta>,
  { isNamespaced, nameProblems = dnsSubdomainProblems }: MetaRules,
): Cause[] {
  const { name, generateName, namespace } = metadata
  const causes: Cause[] = []
  if (generateName) {
    // A generated name goes on after the prefix, so a hyphen may end it.
    const sample = generateName.replace(/-$/, 'a')
    for (const problem of nameProblems(sample)) {
      causes.push(invalidValue(child(path, 'generateName'), generateName, problem))
    }
  }
  if (!name) {
    causes.push(required(child(path, 'name'), 'name or generateName is required'))
  } else {
    for (const problem of nameProblems(name)) {
      causes.push(invalidValue(child(path, 'name'), name, problem))
    }
  }
  const field = child(path, 'namespace')
  if (!isNamespaced) {
    if (namespace) causes.push(forbidden(field, 'not allowed on this type'))
  } else if (!namespace) {
    causes.push(required(field))
  } else {
    for (const problem of dnsLabelProblems(namespace)) {
      causes.push(invalidValue(field, namespace, problem))
    }
  }
  return causes
}

/** What is wrong with a map of labels. */
export function validateLabels(
  path: FieldPath,
  labels: Record<string, string> | undefined,
): Cause[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => [
    ...validateLabelKey(path, key),
    ...labelValueProblems(value).map((problem) => invalidValue(path, value, problem)),
  ])
}

/** What is wrong with a label's key, a resource's or a finalizer's name. */
export function validateLabelKey(path: FieldPath, key: string): Cause[] {
  return labelKeyProblems(key).map((problem) => invalidValue(path, key, problem))
}

/** What is wrong with a map of annotations: keys like labels, values of any text, 256 KiB in all. */
export function validateAnnotations(
  path: FieldPath,
  annotations: Record<string, string> | undefined,
): Cause[] {
  const causes: Cause[] = []
  let bytes = 0
  for (const [key, value] of Object.entries(annotations ?? {})) {
    bytes += byteLength(key) + byteLength(value)
    for (const problem of labelKeyProblems(key.toLowerCase())) {
      causes.push(invalidValue(path, key, problem))
    }
  }
  if (bytes > ANNOTATIONS_BYTES_MAX) causes.push(tooLong(path, ANNOTATIONS_BYTES_MAX))
  return causes
}

function validateOwners(path: FieldPath, owners: readonly OwnerReference[]): Cause[] {
  const causes: Cause[] = []
  let controller: OwnerReference | undefined
  for (const [index, owner] of owners.entries()) {
    const field = at(path, index)
    if (!owner.apiVersion) {
      causes.push(invalidValue(child(field, 'apiVersion'), '', 'version must not be empty'))
    }
    for (const name of ['kind', 'name', 'uid'] as const) {
      if (!owner[name]) causes.push(invalidValue(child(field, name), '', 'must not be empty'))
    }
    if (owner.controller !== true) continue
    if (controller) {
      causes.push(
        invalidValue(
          path,
          owners,
          `Only one reference can have Controller set to true. Found "true" in references for ${controller.kind}/${controller.name} and ${owner.kind}/${owner.name}`,
        ),
      )
    }
    controller = owner
  }
  return causes
}

function validateFinalizers(
  path: FieldPath,
  metadata: Partial<ObjectMeta>,
  old: ObjectMeta | undefined,
): Cause[] {
  const finalizers = metadata.finalizers ?? []
  const causes = finalizers.flatMap((finalizer) => validateLabelKey(path, finalizer))
  if (finalizers.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    causes.push(
      invalidValue(path, finalizers, 'finalizer foregroundDeletion and orphan cannot be both set'),
    )
  }
  if (old?.deletionTimestamp !== undefined) {
    const added = finalizers.filter((finalizer) => !old.finalizers?.includes(finalizer))
    if (added.length > 0) {
      const list = added.map((finalizer) => JSON.stringify(finalizer)).join(', ')
      causes.push(
        forbidden(
          path,
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`,
        ),
      )
    }
  }
  return causes
}

const SELECTOR_OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist']

/** What is wrong with a LabelSelector. */
export function validateLabelSelector(
  path: FieldPath,
  selector: LabelSelector | undefined,
): Cause[] {
  if (!selector) return []
  const causes = validateLabels(child(path, 'matchLabels'), selector.matchLabels)
  for (const [index, { key, operator, values }] of (selector.matchExpressions ?? []).entries()) {
    const field = at(child(path, 'matchExpressions'), index)
    const list = values ?? []
    if (!SELECTOR_OPERATORS.includes(operator)) {
      causes.push(invalidValue(child(field, 'operator'), operator, 'not a valid selector operator'))
    } else if ((operator === 'In' || operator === 'NotIn') && list.length === 0) {
      causes.push(
        required(child(field, 'values'), "must be specified when `operator` is 'In' or 'NotIn'"),
      )
    } else if ((operator === 'Exists' || operator === 'DoesNotExist') && list.length > 0) {
      causes.push(
        forbidden(
          child(field, 'values'),
          "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ),
      )
    }
    causes.push(...validateLabelKey(child(field, 'key'), key ?? ''))
    for (const [position, value] of list.entries()) {
      for (const problem of labelValueProblems(value)) {
        causes.push(invalidValue(at(child(field, 'values'), position), value, problem))
      }
    }
  }
  return causes
}
