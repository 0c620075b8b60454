// What is wrong with a pod's volumes.

import { compareQuantities, isQuantity } from '../quantity.ts'
import type { Cause } from '../status.ts'
import {
  child,
  duplicate,
  eachOf,
  forbidden,
  invalidEach,
  invalidValue,
  notSupported,
  required,
} from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import { configKeyProblems, dnsLabelProblems } from './name-rules.ts'
import { validateClaimSpec } from './persistent-volume-claim.ts'
import type { KeyToPath, Volume } from './pod.ts'

const HOST_PATH_TYPES = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
]
const MODE_TEXT = 'must be a number between 0 and 0777 (octal), both inclusive'
const MODE_MAX = 0o777
const PARTITION_MAX = 255

/** All volumes of a pod. */
export function validateVolumes(path: FieldPath, volumes: readonly Volume[] | undefined): Cause[] {
  const names = new Set<string>()
  return eachOf(path, volumes, (volume, field) => {
    const causes = validateSource(field, volume)
    const at = child(field, 'name')
    if (!volume.name) causes.push(required(at))
    else {
      causes.push(...invalidEach(at, volume.name, dnsLabelProblems(volume.name)))
      if (names.has(volume.name)) causes.push(duplicate(at, volume.name))
      names.add(volume.name)
    }
    return causes
  })
}

function validateSource(field: FieldPath, volume: Volume): Cause[] {
  const sources = Object.entries(volume)
    .filter(([name, value]) => name !== 'name' && value !== undefined && value !== null)
    .map(([name]) => name)
  const [first, ...others] = sources
  if (first === undefined) return [required(field, 'must specify a volume type')]
  return [
    ...validateKnownSource(field, volume),
    ...others.map((name) =>
      forbidden(child(field, name), 'may not specify more than 1 volume type'),
    ),
  ]
}

function validateKnownSource(field: FieldPath, volume: Volume): Cause[] {
  const { emptyDir, hostPath, configMap, secret, persistentVolumeClaim } = volume
  const { gcePersistentDisk, nfs, ephemeral } = volume
  if (emptyDir) return validateEmptyDir(child(field, 'emptyDir'), emptyDir.sizeLimit)
  if (hostPath) return validateHostPath(child(field, 'hostPath'), hostPath)
  if (configMap) {
    return [
      ...(configMap.name ? [] : [required(child(field, 'configMap.name'))]),
      ...validateFiles(child(field, 'configMap'), configMap),
    ]
  }
  if (secret) {
    return [
      ...(secret.secretName ? [] : [required(child(field, 'secret.secretName'))]),
      ...validateFiles(child(field, 'secret'), secret),
    ]
  }
  if (persistentVolumeClaim && !persistentVolumeClaim.claimName) {
    return [required(child(field, 'persistentVolumeClaim.claimName'))]
  }
  if (gcePersistentDisk) {
    return validatePersistentDisk(child(field, 'persistentDisk'), gcePersistentDisk)
  }
  if (ephemeral) return validateEphemeral(child(field, 'ephemeral'), ephemeral)
  return nfs ? validateNfs(child(field, 'nfs'), nfs) : []
}

function validateEmptyDir(field: FieldPath, sizeLimit: string | undefined): Cause[] {
  if (sizeLimit === undefined) return []
  const isUsable = isQuantity(sizeLimit) && compareQuantities(sizeLimit, '0') >= 0
  if (isUsable) return []
  const detail = 'SizeLimit field must be a valid resource quantity'
  return [forbidden(child(field, 'sizeLimit'), detail)]
}

/** A folder of a node, as a source of a pod's volume or of a PersistentVolume. */
export function validateHostPath(
  field: FieldPath,
  source: NonNullable<Volume['hostPath']>,
): Cause[] {
  const { path, type = '' } = source
  if (!path) return [required(child(field, 'path'))]
  return [
    ...validateNoBackstep(child(field, 'path'), path),
    ...(HOST_PATH_TYPES.includes(type)
      ? []
      : [notSupported(child(field, 'type'), type, HOST_PATH_TYPES)]),
  ]
}

function validateEphemeral(
  path: FieldPath,
  { volumeClaimTemplate: template }: NonNullable<Volume['ephemeral']>,
): Cause[] {
  const field = child(path, 'volumeClaimTemplate')
  return template ? validateClaimSpec(child(field, 'spec'), template.spec ?? {}) : [required(field)]
}

/** A disk, as a source of a pod's volume or of a PersistentVolume. */
export function validatePersistentDisk(
  path: FieldPath,
  { pdName, partition = 0 }: { pdName?: string; partition?: number },
): Cause[] {
  const isIn = partition >= 0 && partition <= PARTITION_MAX
  const range = `must be between 0 and ${PARTITION_MAX}, inclusive`
  return [
    ...(pdName ? [] : [required(child(path, 'pdName'))]),
    ...(isIn ? [] : [invalidValue(child(path, 'partition'), partition, range)]),
  ]
}

/** A file server, likewise. */
export function validateNfs(path: FieldPath, nfs: { server?: string; path?: string }): Cause[] {
  const field = child(path, 'path')
  const causes = nfs.server ? [] : [required(child(path, 'server'))]
  if (!nfs.path) causes.push(required(field))
  if (!nfs.path?.startsWith('/')) {
    causes.push(invalidValue(field, nfs.path ?? '', 'must be an absolute path'))
  }
  return causes
}

function validateFiles(
  field: FieldPath,
  source: { items?: KeyToPath[]; defaultMode?: number },
): Cause[] {
  return [
    ...validateMode(child(field, 'defaultMode'), source.defaultMode),
    ...eachOf(child(field, 'items'), source.items, (item, at) => [
      ...(item.key
        ? invalidEach(child(at, 'key'), item.key, configKeyProblems(item.key))
        : [required(child(at, 'key'))]),
      ...(item.path
        ? validateRelative(child(at, 'path'), item.path)
        : [required(child(at, 'path'))]),
      ...validateMode(child(at, 'mode'), item.mode),
    ]),
  ]
}

function validateMode(field: FieldPath, mode: number | undefined): Cause[] {
  return mode !== undefined && (mode < 0 || mode > MODE_MAX)
    ? [invalidValue(field, mode, MODE_TEXT)]
    : []
}

/** A path that stays below where it starts. */
export function validateRelative(field: FieldPath, path: string): Cause[] {
  return [
    ...(path.startsWith('/') ? [invalidValue(field, path, 'must be a relative path')] : []),
    ...validateNoBackstep(field, path),
  ]
}

/** A path without `..`. */
export function validateNoBackstep(field: FieldPath, path: string): Cause[] {
  return path.split('/').includes('..') ? [invalidValue(field, path, "must not contain '..'")] : []
}
