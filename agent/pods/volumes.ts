// What stands in a pod's configMap, secret, downwardAPI and projected volumes. Pure: names and bytes;
// volume-folder.ts puts them on disk.

import { isRecord } from '../json.ts'
import type { ConfigMap, Secret } from '#shared/api/config.ts'
import type { KeyToPath, Pod, Volume } from '#shared/api/pod.ts'
import { fieldOf, resourceFieldOf } from './downward.ts'
import type { PodFacts } from './downward.ts'
import { decode } from './env.ts'
import type { Configuration } from './env.ts'

export interface VolumeFile {
  path: string
  bytes: Uint8Array
  mode: number
}

/** A volume that cannot be made: an event's text (`MountVolume.SetUp failed …`). */
export class VolumeRefused extends Error {
  override readonly name = 'VolumeRefused'
}

const DEFAULT_MODE = 0o644

/** The files that a volume holds, kept equal to their source. VolumeRefused: that is missing. */
export function contentOf(
  volume: Volume,
  facts: PodFacts,
  configuration: Configuration,
): VolumeFile[] {
  const namespace = facts.pod.metadata.namespace ?? ''
  if (volume.configMap) {
    const { name = '', ...rest } = volume.configMap
    return configMapFiles(namespace, name, rest, configuration)
  }
  if (volume.secret) {
    const { secretName = '', ...rest } = volume.secret
    return secretFiles(namespace, secretName, rest, configuration)
  }
  if (volume.downwardAPI) return downwardFiles(volume.downwardAPI, facts)
  if (volume.projected) {
    return projectedFiles(volume.projected, facts, configuration)
  }
  throw new VolumeRefused(`volume ${volume.name} has no files`)
}

interface Selection {
  items?: KeyToPath[]
  defaultMode?: number
  optional?: boolean
}

function configMapFiles(
  namespace: string,
  name: string,
  selection: Selection,
  configuration: Configuration,
): VolumeFile[] {
  const found = configuration.configMaps.get(`${namespace}/${name}`)
  if (!found && !selection.optional) throw new VolumeRefused(`configmap "${name}" not found`)
  return select(bytesOfConfigMap(found), selection, `configmap references non-existent config key`)
}

function secretFiles(
  namespace: string,
  name: string,
  selection: Selection,
  configuration: Configuration,
): VolumeFile[] {
  const found = configuration.secrets.get(`${namespace}/${name}`)
  if (!found && !selection.optional) throw new VolumeRefused(`secret "${name}" not found`)
  return select(bytesOfSecret(found), selection, `references non-existent secret key`)
}

function bytesOfConfigMap(map: ConfigMap | undefined): Map<string, Uint8Array> {
  return new Map([
    ...Object.entries(map?.data ?? {}).map(([key, text]): [string, Uint8Array] => [
      key,
      Buffer.from(text),
    ]),
    ...Object.entries(map?.binaryData ?? {}).map(([key, base64]): [string, Uint8Array] => [
      key,
      decode(base64),
    ]),
  ])
}

function bytesOfSecret(secret: Secret | undefined): Map<string, Uint8Array> {
  return new Map(
    Object.entries(secret?.data ?? {}).map(([key, base64]): [string, Uint8Array] => [
      key,
      decode(base64),
    ]),
  )
}

function select(
  data: ReadonlyMap<string, Uint8Array>,
  { items, defaultMode = DEFAULT_MODE, optional }: Selection,
  missing: string,
): VolumeFile[] {
  if (!items) {
    return [...data].map(([path, bytes]) => ({ path, bytes, mode: defaultMode }))
  }
  return items.flatMap(({ key, path, mode }) => {
    const bytes = data.get(key)
    if (!bytes && optional) return []
    if (!bytes) throw new VolumeRefused(`${missing}: ${key}`)
    return [{ path: safePath(path), bytes, mode: mode ?? defaultMode }]
  })
}

function downwardFiles(source: Record<string, unknown>, facts: PodFacts): VolumeFile[] {
  const defaultMode =
    typeof source['defaultMode'] === 'number' ? source['defaultMode'] : DEFAULT_MODE
  const items = Array.isArray(source['items']) ? source['items'].filter(isRecord) : []
  return items.map((item) => ({
    path: safePath(text(item['path'])),
    bytes: Buffer.from(downwardText(item, facts)),
    mode: typeof item['mode'] === 'number' ? item['mode'] : defaultMode,
  }))
}

function downwardText(item: Record<string, unknown>, facts: PodFacts): string {
  const field = item['fieldRef']
  if (isRecord(field)) {
    const path = text(field['fieldPath'])
    const value = fieldOf(facts, path)
    if (value === undefined) throw new VolumeRefused(`unsupported fieldPath: ${path}`)
    return value
  }
  const resource = item['resourceFieldRef']
  if (!isRecord(resource)) return ''
  const container = containerNamed(facts.pod, text(resource['containerName']))
  return resourceFieldOf(facts, container, {
    resource: text(resource['resource']),
    divisor: text(resource['divisor']),
  })
}

function containerNamed(pod: Pod, name: string): Pod['spec']['containers'][number] {
  const all = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
  const found = all.find((container) => container.name === name)
  if (!found) throw new VolumeRefused(`container ${name} not found`)
  return found
}

function projectedFiles(
  projected: Record<string, unknown>,
  facts: PodFacts,
  configuration: Configuration,
): VolumeFile[] {
  const defaultMode =
    typeof projected['defaultMode'] === 'number' ? projected['defaultMode'] : DEFAULT_MODE
  const sources = Array.isArray(projected['sources']) ? projected['sources'].filter(isRecord) : []
  const namespace = facts.pod.metadata.namespace ?? ''
  const files = sources.flatMap((source): VolumeFile[] => {
    const { configMap, secret, downwardAPI } = source
    if (isRecord(configMap)) {
      const selection = { ...selectionOf(configMap), defaultMode }
      return configMapFiles(namespace, text(configMap['name']), selection, configuration)
    }
    if (isRecord(secret)) {
      const selection = { ...selectionOf(secret), defaultMode }
      return secretFiles(namespace, text(secret['name']), selection, configuration)
    }
    if (isRecord(downwardAPI)) return downwardFiles({ defaultMode, ...downwardAPI }, facts)
    const kind = Object.keys(source)[0] ?? 'empty'
    throw new VolumeRefused(`projected source ${kind} is not available on this node`)
  })
  // A later source wins where two write one path.
  return [...new Map(files.map((file) => [file.path, file])).values()]
}

function selectionOf(source: Record<string, unknown>): Selection {
  const items = Array.isArray(source['items']) ? source['items'].filter(isRecord) : undefined
  return {
    optional: source['optional'] === true,
    ...(items
      ? {
          items: items.map((item) => ({
            key: text(item['key']),
            path: text(item['path']),
            ...(typeof item['mode'] === 'number' ? { mode: item['mode'] } : {}),
          })),
        }
      : {}),
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** A path inside the volume. Validation has refused others; this is the second lock. */
function safePath(path: string): string {
  if (path === '' || path.startsWith('/') || path.split('/').includes('..')) {
    throw new VolumeRefused(`invalid path: ${path}`)
  }
  return path
}
