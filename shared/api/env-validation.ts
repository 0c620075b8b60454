// What is wrong with environment variables and where their values come from.

import type { Cause } from '../status.ts'
import { child, eachOf, invalidEach, invalidValue, notSupported, required } from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import {
  configKeyProblems,
  dnsSubdomainProblems,
  envNameProblems,
  labelKeyProblems,
} from './name-rules.ts'
import type { Container, EnvFromSource, EnvVar } from './pod.ts'

const FIELDS = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
]
const RESOURCES = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
]
const SUBSCRIPT = /^metadata\.(?:annotations|labels)\['([^']*)'\]$/
const ONLY_ONE = 'may not have more than one field specified at a time'

/** env and envFrom of a container. */
export function validateEnvironment(path: FieldPath, container: Container): Cause[] {
  return [
    ...eachOf(child(path, 'env'), container.env, validateEnv),
    ...eachOf(child(path, 'envFrom'), container.envFrom, validateEnvFrom),
  ]
}

function validateEnv(env: EnvVar, field: FieldPath): Cause[] {
  const name = child(field, 'name')
  const causes = env.name
    ? invalidEach(name, env.name, envNameProblems(env.name))
    : [required(name)]
  return env.valueFrom
    ? [...causes, ...validateValueFrom(child(field, 'valueFrom'), env, env.valueFrom)]
    : causes
}

function validateValueFrom(
  field: FieldPath,
  env: EnvVar,
  source: NonNullable<EnvVar['valueFrom']>,
): Cause[] {
  const causes: Cause[] = []
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = source
  const given = [fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef].filter(Boolean)
  if (fieldRef) causes.push(...validateFieldRef(child(field, 'fieldRef'), fieldRef.fieldPath))
  if (resourceFieldRef) {
    const at = child(field, 'resourceFieldRef.resource')
    const { resource } = resourceFieldRef
    if (!resource) causes.push(required(at))
    else if (!RESOURCES.includes(resource)) causes.push(notSupported(at, resource, RESOURCES))
  }
  for (const [name, reference] of Object.entries({ configMapKeyRef, secretKeyRef })) {
    if (reference) causes.push(...validateKeyRef(child(field, name), reference))
  }
  if (given.length === 0) {
    const detail =
      'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`'
    causes.push(invalidValue(field, '', detail))
  } else if (env.value) {
    causes.push(invalidValue(field, '', 'may not be specified when `value` is not empty'))
  }
  if (given.length > 1) causes.push(invalidValue(field, '', ONLY_ONE))
  return causes
}

function validateFieldRef(field: FieldPath, path: string): Cause[] {
  const at = child(field, 'fieldPath')
  if (!path) return [required(at)]
  const key = SUBSCRIPT.exec(path)?.[1]
  if (key !== undefined) {
    return invalidEach(at, path, labelKeyProblems(key.toLowerCase()))
  }
  if (FIELDS.includes(path)) return []
  return [invalidValue(at, path, `error converting fieldPath: field label not supported: ${path}`)]
}

function validateKeyRef(field: FieldPath, reference: { name?: string; key: string }): Cause[] {
  const name = reference.name ?? ''
  return [
    ...invalidEach(child(field, 'name'), name, dnsSubdomainProblems(name)),
    ...(reference.key
      ? invalidEach(child(field, 'key'), reference.key, configKeyProblems(reference.key))
      : [required(child(field, 'key'))]),
  ]
}

function validateEnvFrom(source: EnvFromSource, field: FieldPath): Cause[] {
  const { prefix, configMapRef, secretRef } = source
  const causes = prefix ? invalidEach(child(field, 'prefix'), prefix, envNameProblems(prefix)) : []
  for (const [name, reference] of Object.entries({ configMapRef, secretRef })) {
    if (!reference) continue
    const at = child(field, name, 'name')
    if (!reference.name) causes.push(required(at))
    else causes.push(...invalidEach(at, reference.name, dnsSubdomainProblems(reference.name)))
  }
  if (!configMapRef && !secretRef) {
    causes.push(invalidValue(field, '', 'must specify one of: `configMapRef` or `secretRef`'))
  } else if (configMapRef && secretRef) {
    causes.push(invalidValue(field, '', ONLY_ONE))
  }
  return causes
}
