// Reading what a template or an insert request says of a VM, with Google's defaults filled in.

import {
  fingerprintOf,
  type InstanceProperties,
  type MetadataItem,
  type Scheduling,
} from './state.ts'
import { invalidField } from './google-error.ts'
import { needText, objectOf, objectsOf, textMapOf, textOf, textsOf, type Json } from './json.ts'
import { nameOf } from './links.ts'
import { machineType } from './places.ts'

/** Error: invalid, in Google's words. */
export function readProperties(body: Json): InstanceProperties {
  const type = nameOf(needText(body, 'machineType'))
  if (!machineType(type)) {
    throw invalidField('resource.properties.machineType', type, 'Machine type was not found.')
  }
  return {
    machineType: type,
    labels: readLabels(body),
    metadata: metadataOf(readItems(objectOf(body, 'metadata'))),
    scheduling: readScheduling(objectOf(body, 'scheduling') ?? {}),
    disks: objectsOf(body, 'disks'),
    networkInterfaces: objectsOf(body, 'networkInterfaces'),
    serviceAccounts: objectsOf(body, 'serviceAccounts'),
    tags: { items: textsOf(objectOf(body, 'tags') ?? {}, 'items') },
    canIpForward: body['canIpForward'] === true,
  }
}

const LABEL = /^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$/u

function readLabels(body: Json): Record<string, string> {
  const labels = textMapOf(body, 'labels')
  for (const text of [...Object.keys(labels), ...Object.values(labels)]) {
    if (!LABEL.test(text)) {
      throw invalidField(
        'resource.labels',
        text,
        'Label keys and values may hold lowercase letters, digits, underscores and dashes, at most 63.',
      )
    }
  }
  return labels
}

/** Google's limits: 128 bytes a key, 256 KiB a value. */
const VALUE_MAX = 262_144

function readItems(metadata: Json | undefined): MetadataItem[] {
  return objectsOf(metadata ?? {}, 'items').map((item) => {
    const key = needText(item, 'key')
    const value = textOf(item, 'value') ?? ''
    if (!/^[a-zA-Z0-9-_]{1,128}$/.test(key)) {
      throw invalidField('resource.metadata.items.key', key, 'Must match [a-zA-Z0-9-_]{1,128}.')
    }
    if (Buffer.byteLength(value) > VALUE_MAX) {
      throw invalidField('resource.metadata.items.value', key, 'The value is too large.')
    }
    return { key, value }
  })
}

/** Metadata with the fingerprint of its items. */
export function metadataOf(items: MetadataItem[]): InstanceProperties['metadata'] {
  return { kind: 'compute#metadata', fingerprint: fingerprintOf(items), items }
}

function readScheduling(scheduling: Json): Scheduling {
  const isSpot =
    textOf(scheduling, 'provisioningModel') === 'SPOT' || scheduling['preemptible'] === true
  const automaticRestart = scheduling['automaticRestart']
  if (isSpot && automaticRestart === true) {
    throw invalidField(
      'resource.scheduling.automaticRestart',
      'true',
      'Scheduling must have automaticRestart be false when preemptible is true.',
    )
  }
  return {
    automaticRestart: isSpot ? false : automaticRestart !== false,
    preemptible: isSpot,
    provisioningModel: isSpot ? 'SPOT' : 'STANDARD',
    onHostMaintenance: isSpot ? 'TERMINATE' : 'MIGRATE',
  }
}

/** Metadata items of setMetadata. */
export function readMetadata(body: Json): InstanceProperties['metadata'] {
  return metadataOf(readItems(body))
}
