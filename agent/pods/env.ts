// A container's environment, command and arguments as kubelet makes them (makeEnvironmentVariables):
// service variables, then envFrom, then env; `$(NAME)` stands for what came before.

import type { ConfigMap, Secret } from '#shared/api/config.ts'
import type { Container, EnvVar, Pod } from '#shared/api/pod.ts'
import { StartRefused } from '../runtime/runtime.ts'
import { fieldOf, resourceFieldOf } from './downward.ts'
import type { PodFacts } from './downward.ts'

/** The ConfigMaps and Secrets that a node's pods use, by `namespace/name`. */
export interface Configuration {
  configMaps: ReadonlyMap<string, ConfigMap>
  secrets: ReadonlyMap<string, Secret>
}

/** Replaces `$(NAME)` by the variable; `$$` is a dollar; what is not known stays as it is. */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  return text.replace(/\$(?:\$|\(([^)]*)\))/g, (whole: string, name: string | undefined) =>
    name === undefined ? '$' : (lookup(name) ?? whole),
  )
}

/**
 * All variables of a container. StartRefused (CreateContainerConfigError): something it refers to
 * is not there and not optional.
 */
export function buildEnv(
  facts: PodFacts,
  container: Container,
  configuration: Configuration,
  serviceEnv: Readonly<Record<string, string>>,
): Record<string, string> {
  const env: Record<string, string> = {}
  const namespace = facts.pod.metadata.namespace ?? ''
  for (const source of container.envFrom ?? []) {
    const data = dataOf(source, namespace, configuration)
    for (const [key, value] of Object.entries(data)) env[`${source.prefix ?? ''}${key}`] = value
  }
  const lookup = (name: string): string | undefined => env[name] ?? serviceEnv[name]
  for (const variable of container.env ?? []) {
    const value = variable.valueFrom
      ? valueFrom(variable.valueFrom, facts, container, configuration)
      : expand(variable.value ?? '', lookup)
    if (value !== undefined) env[variable.name] = value
  }
  return { ...serviceEnv, ...env }
}

function dataOf(
  source: NonNullable<Container['envFrom']>[number],
  namespace: string,
  configuration: Configuration,
): Record<string, string> {
  if (source.configMapRef) {
    const { name = '', optional } = source.configMapRef
    const found = configuration.configMaps.get(`${namespace}/${name}`)
    if (!found && !optional) throw missing(`configmap "${name}" not found`)
    return found?.data ?? {}
  }
  if (source.secretRef) {
    const { name = '', optional } = source.secretRef
    const found = configuration.secrets.get(`${namespace}/${name}`)
    if (!found && !optional) throw missing(`secret "${name}" not found`)
    return Object.fromEntries(
      Object.entries(found?.data ?? {}).map(([key, value]) => [key, decode(value).toString()]),
    )
  }
  return {}
}

function valueFrom(
  from: NonNullable<EnvVar['valueFrom']>,
  facts: PodFacts,
  container: Container,
  configuration: Configuration,
): string | undefined {
  if (from.fieldRef) {
    const value = fieldOf(facts, from.fieldRef.fieldPath)
    if (value === undefined) throw missing(`unsupported fieldPath: ${from.fieldRef.fieldPath}`)
    return value
  }
  if (from.resourceFieldRef) return resourceFieldOf(facts, container, from.resourceFieldRef)
  const namespace = facts.pod.metadata.namespace ?? ''
  if (from.configMapKeyRef) {
    const { name = '', key, optional } = from.configMapKeyRef
    const found = configuration.configMaps.get(`${namespace}/${name}`)
    const value = found?.data?.[key]
    if (value !== undefined || optional) return value
    throw missing(
      found
        ? `couldn't find key ${key} in ConfigMap ${namespace}/${name}`
        : `configmap "${name}" not found`,
    )
  }
  if (from.secretKeyRef) {
    const { name = '', key, optional } = from.secretKeyRef
    const found = configuration.secrets.get(`${namespace}/${name}`)
    const value = found?.data?.[key]
    if (value !== undefined) return decode(value).toString()
    if (optional) return undefined
    throw missing(
      found
        ? `couldn't find key ${key} in Secret ${namespace}/${name}`
        : `secret "${name}" not found`,
    )
  }
  return undefined
}

/** What the image and the pod together say to run. */
export function argvOf(
  image: { entrypoint: readonly string[]; cmd: readonly string[] },
  container: Container,
  env: Readonly<Record<string, string>>,
): string[] {
  const lookup = (name: string): string | undefined => env[name]
  const command = container.command?.map((each) => expand(each, lookup))
  const args = container.args?.map((each) => expand(each, lookup))
  // As Docker and Kubernetes: a command of the pod drops the image's cmd, args alone replace it.
  if (command?.length) return [...command, ...(args ?? [])]
  return [...image.entrypoint, ...(args?.length ? args : image.cmd)]
}

/** HOSTNAME of a pod's containers: spec.hostname, or the pod's name as far as a host name goes. */
export function hostnameOf(pod: Pod): string {
  return (pod.spec.hostname ?? pod.metadata.name).slice(0, 63).replace(/[-.]+$/, '')
}

/** The bytes of a Secret's value. */
export function decode(base64: string): Buffer {
  return Buffer.from(base64, 'base64')
}

function missing(message: string): StartRefused {
  return new StartRefused('CreateContainerConfigError', message)
}
