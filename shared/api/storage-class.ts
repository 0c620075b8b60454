// StorageClass (storage.k8s.io/v1): what kind of disk a claim gets.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/storage-class-v1/

import { isEqual } from '../equal.ts'
import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import {
  IMMUTABLE,
  child,
  duplicate,
  eachOf,
  forbidden,
  invalidValue,
  notSupported,
  required,
  tooLong,
} from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateLabelKey, validateMeta } from './meta-validation.ts'
import { labelKeyProblems } from './name-rules.ts'
import { GCE_PD_PLUGIN, PD_DRIVER } from './volume-spec.ts'

export interface StorageClass extends KubeObject {
  provisioner: string
  /** `type`: pd-standard, pd-balanced, pd-ssd; `csi.storage.k8s.io/fstype`. */
  parameters?: Record<string, string>
  reclaimPolicy?: 'Delete' | 'Retain'
  mountOptions?: string[]
  allowVolumeExpansion?: boolean
  volumeBindingMode?: 'Immediate' | 'WaitForFirstConsumer'
  allowedTopologies?: { matchLabelExpressions?: { key: string; values?: string[] }[] }[]
}

export const STORAGE_CLASSES = 'storageclasses.storage.k8s.io'

const DEFAULT_ANNOTATIONS = [
  'storageclass.kubernetes.io/is-default-class',
  'storageclass.beta.kubernetes.io/is-default-class',
]
const POLICIES = ['Delete', 'Retain']
const MODES = ['Immediate', 'WaitForFirstConsumer']
const PARAMETERS_MAX = 512
const PARAMETERS_BYTES_MAX = 256 * 2 ** 10

export const storageClassKind: KindDefinition<StorageClass> = {
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'StorageClass',
  plural: 'storageclasses',
  singular: 'storageclass',
  shortNames: ['sc'],
  categories: [],
  isNamespaced: false,
  verbs: ALL_VERBS,
  subresources: [],
  columns: [
    NAME_COLUMN,
    column('Provisioner', 'Who makes its volumes.'),
    column('ReclaimPolicy', 'What becomes of a volume when its claim is gone.'),
    column('VolumeBindingMode', 'Whether a volume is made at once or for the first pod.'),
    column('AllowVolumeExpansion', 'Whether claims may grow.', 'boolean'),
    AGE_COLUMN,
  ],
  cells: (storageClass, context) => [
    storageClass.metadata.name + (isDefaultClass(storageClass) ? ' (default)' : ''),
    storageClass.provisioner,
    storageClass.reclaimPolicy ?? 'Delete',
    storageClass.volumeBindingMode ?? 'Immediate',
    storageClass.allowVolumeExpansion ?? false,
    ageOf(storageClass, context),
  ],
  applyDefaults(draft) {
    draft.reclaimPolicy ??= 'Delete'
    draft.volumeBindingMode ??= 'Immediate'
  },
  validate: validateStorageClass,
  hasStatus: false,
  hasGeneration: false,
}

export function isDefaultClass({ metadata }: KubeObject): boolean {
  return DEFAULT_ANNOTATIONS.some((key) => metadata.annotations?.[key] === 'true')
}

/** The class of claims that name none: of several defaults the newest, then by name. */
export function defaultClass(classes: readonly KubeObject[]): string | undefined {
  const [first] = classes.filter(isDefaultClass).toSorted((a, b) => {
    const [left, right] = [a.metadata, b.metadata]
    if (left.creationTimestamp !== right.creationTimestamp) {
      return left.creationTimestamp > right.creationTimestamp ? -1 : 1
    }
    return left.name < right.name ? -1 : 1
  })
  return first?.metadata.name
}

/** Its volumes are Google's persistent disks, made by the cloud function. */
export function isDiskClass({ provisioner }: StorageClass): boolean {
  return provisioner === PD_DRIVER || provisioner === GCE_PD_PLUGIN
}

function validateStorageClass(storageClass: StorageClass, context: AdmissionContext): Cause[] {
  const causes = validateMeta(storageClass, { isNamespaced: false }, context)
  const { provisioner, parameters = {}, reclaimPolicy = '', volumeBindingMode = '' } = storageClass
  if (!provisioner) causes.push(required('provisioner'))
  else {
    for (const problem of labelKeyProblems(provisioner.toLowerCase())) {
      causes.push(invalidValue('provisioner', provisioner, problem))
    }
  }
  causes.push(...validateParameters(parameters))
  if (!POLICIES.includes(reclaimPolicy)) {
    causes.push(notSupported('reclaimPolicy', reclaimPolicy, POLICIES))
  }
  if (!MODES.includes(volumeBindingMode)) {
    causes.push(notSupported('volumeBindingMode', volumeBindingMode, MODES))
  }
  causes.push(...validateTopologies(storageClass))
  const old = oldOf(storageClass, context)
  return old ? [...causes, ...validateUpdate(storageClass, old)] : causes
}

function validateParameters(parameters: Readonly<Record<string, string>>): Cause[] {
  const entries = Object.entries(parameters)
  if (entries.length > PARAMETERS_MAX) return [tooLong('parameters', PARAMETERS_MAX)]
  const bytes = entries.reduce((sum, [key, value]) => sum + key.length + value.length, 0)
  return [
    ...('' in parameters ? [invalidValue('parameters', '', 'field can not be empty.')] : []),
    ...(bytes > PARAMETERS_BYTES_MAX ? [tooLong('parameters', PARAMETERS_BYTES_MAX)] : []),
  ]
}

function validateTopologies({ allowedTopologies }: StorageClass): Cause[] {
  const seen = new Set<string>()
  return eachOf('allowedTopologies', allowedTopologies, (term, field) => {
    const expressions = child(field, 'matchLabelExpressions')
    const keys = new Set<string>()
    const causes = eachOf(expressions, term.matchLabelExpressions, ({ key, values = [] }, at) => {
      const found = [
        ...(values.length === 0 ? [required(child(at, 'values'))] : []),
        ...values
          .map((value, index) => ({ value, index }))
          .filter(({ value, index }) => values.indexOf(value) < index)
          .map(({ value, index }) => duplicate(`${child(at, 'values')}[${index}]`, value)),
        ...(keys.has(key) ? [duplicate(child(at, 'key'), key)] : []),
        ...validateLabelKey(child(at, 'key'), key ?? ''),
      ]
      keys.add(key)
      return found
    })
    const shape = (term.matchLabelExpressions ?? [])
      .map(({ key, values = [] }) => JSON.stringify([key, [...new Set(values)].toSorted()]))
      .toSorted()
      .join()
    if (seen.has(shape)) causes.push(duplicate(expressions, ''))
    seen.add(shape)
    return causes
  })
}

function validateUpdate(storageClass: StorageClass, old: StorageClass): Cause[] {
  const causes: Cause[] = []
  for (const field of ['parameters', 'provisioner', 'reclaimPolicy'] as const) {
    if (isEqual(storageClass[field], old[field])) continue
    causes.push(forbidden(field, `updates to ${field} are forbidden.`))
  }
  if (storageClass.volumeBindingMode !== old.volumeBindingMode) {
    causes.push(invalidValue('volumeBindingMode', storageClass.volumeBindingMode, IMMUTABLE))
  }
  return causes
}
