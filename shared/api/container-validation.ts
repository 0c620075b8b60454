// What is wrong with a pod's containers, one by one and together.

import type { Cause } from '../status.ts'
import { validateEnvironment } from './env-validation.ts'
import {
  child,
  duplicate,
  eachOf,
  forbidden,
  invalidEach,
  invalidValue,
  notSupported,
  notThere,
  oneOf,
  required,
} from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import { dnsLabelProblems, portNameProblems, portProblems } from './name-rules.ts'
import type { Container, ContainerPort, PodSpec, VolumeMount } from './pod.ts'
import { validateProbes } from './probe-validation.ts'
import { validateResources } from './resource-validation.ts'
import { validateRelative } from './volume-validation.ts'

const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never']
const PROTOCOLS = ['SCTP', 'TCP', 'UDP']
const MESSAGE_POLICIES = ['File', 'FallbackToLogsOnError']

/** The containers and init containers of a pod. */
export function validateContainers(path: FieldPath, spec: PodSpec): Cause[] {
  const field = child(path, 'containers')
  if (spec.containers.length === 0) return [required(field)]
  const volumes = new Set((spec.volumes ?? []).map(({ name }) => name))
  const names = new Set<string>()
  const hostPorts = new Set<string>()
  const validateOne = (container: Container, at: FieldPath): Cause[] => [
    ...validateContainer(at, container, spec, volumes),
    ...validateUnique(child(at, 'name'), container.name, names),
  ]
  return [
    ...eachOf(field, spec.containers, (container, at) => [
      ...validateOne(container, at),
      ...validateProbes(at, container),
      ...validateHostPorts(child(at, 'ports'), container.ports, hostPorts),
      ...(container.restartPolicy
        ? [forbidden(child(at, 'restartPolicy'), 'may not be set for non-init containers')]
        : []),
    ]),
    ...eachOf(child(path, 'initContainers'), spec.initContainers, (container, at) => [
      ...validateOne(container, at),
      ...validateInit(at, container),
    ]),
  ]
}

function validateUnique(field: FieldPath, name: string, names: Set<string>): Cause[] {
  if (!name) return []
  if (names.has(name)) return [duplicate(field, name)]
  names.add(name)
  return []
}

/** Only an init container that keeps running can be probed and have hooks. */
function validateInit(field: FieldPath, container: Container): Cause[] {
  if (container.restartPolicy === 'Always') return validateProbes(field, container)
  const causes: Cause[] = container.restartPolicy
    ? [notSupported(child(field, 'restartPolicy'), container.restartPolicy, ['Always'])]
    : []
  for (const name of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
    if (!container[name]) continue
    const detail = 'may not be set for init containers without restartPolicy=Always'
    causes.push(forbidden(child(field, name), detail))
  }
  return causes
}

function validateContainer(
  field: FieldPath,
  container: Container,
  spec: PodSpec,
  volumes: ReadonlySet<string>,
): Cause[] {
  const { name, image } = container
  return [
    ...(name
      ? invalidEach(child(field, 'name'), name, dnsLabelProblems(name))
      : [required(child(field, 'name'))]),
    ...validateImage(child(field, 'image'), image),
    ...oneOf(
      child(field, 'terminationMessagePolicy'),
      container.terminationMessagePolicy,
      MESSAGE_POLICIES,
    ),
    ...validatePorts(child(field, 'ports'), container.ports, spec.hostNetwork ?? false),
    ...validateEnvironment(field, container),
    ...validateMounts(child(field, 'volumeMounts'), container.volumeMounts, volumes),
    ...oneOf(child(field, 'imagePullPolicy'), container.imagePullPolicy, PULL_POLICIES),
    ...validateResources(child(field, 'resources'), container.resources ?? {}),
  ]
}

function validateImage(field: FieldPath, image: string | undefined): Cause[] {
  if (!image) return [required(field)]
  return image.trim() === image
    ? []
    : [invalidValue(field, image, 'must not have leading or trailing whitespace')]
}

function validatePorts(
  path: FieldPath,
  ports: readonly ContainerPort[] | undefined,
  isOnHost: boolean,
): Cause[] {
  const names = new Set<string>()
  return eachOf(path, ports, (port, field) => {
    const causes: Cause[] = []
    if (port.name) {
      causes.push(...invalidEach(child(field, 'name'), port.name, portNameProblems(port.name)))
      causes.push(...validateUnique(child(field, 'name'), port.name, names))
    }
    const number = child(field, 'containerPort')
    if (!port.containerPort) causes.push(required(number))
    else causes.push(...invalidEach(number, port.containerPort, portProblems(port.containerPort)))
    if (port.hostPort) {
      const host = child(field, 'hostPort')
      causes.push(...invalidEach(host, port.hostPort, portProblems(port.hostPort)))
      if (isOnHost && port.hostPort !== port.containerPort) {
        const detail = 'must match `containerPort` when `hostNetwork` is true'
        causes.push(invalidValue(host, port.hostPort, detail))
      }
    }
    return [...causes, ...oneOf(child(field, 'protocol'), port.protocol, PROTOCOLS)]
  })
}

function validateHostPorts(
  path: FieldPath,
  ports: readonly ContainerPort[] | undefined,
  taken: Set<string>,
): Cause[] {
  return eachOf(path, ports, (port, field) => {
    if (!port.hostPort) return []
    const identity = `${port.protocol}/${port.hostIP ?? ''}/${port.hostPort}`
    return validateUnique(child(field, 'hostPort'), identity, taken)
  })
}

function validateMounts(
  path: FieldPath,
  mounts: readonly VolumeMount[] | undefined,
  volumes: ReadonlySet<string>,
): Cause[] {
  const paths = new Set<string>()
  return eachOf(path, mounts, (mount, field) => {
    const causes: Cause[] = []
    if (!mount.name) causes.push(required(child(field, 'name')))
    else if (!volumes.has(mount.name)) causes.push(notThere(child(field, 'name'), mount.name))
    const place = child(field, 'mountPath')
    if (!mount.mountPath) causes.push(required(place))
    else if (paths.has(mount.mountPath)) {
      causes.push(invalidValue(place, mount.mountPath, 'must be unique'))
    }
    paths.add(mount.mountPath)
    if (mount.subPath) causes.push(...validateRelative(child(field, 'subPath'), mount.subPath))
    if (mount.subPath && mount.subPathExpr) {
      const detail = 'subPathExpr and subPath are mutually exclusive'
      causes.push(invalidValue(child(field, 'subPathExpr'), mount.subPathExpr, detail))
    }
    return causes
  })
}
