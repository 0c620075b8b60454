// What a kind does with an object that comes in, for tests: defaults first, then what is wrong.

import { kindOfObject } from '#shared/api/catalog.ts'
import type { AdmissionContext } from '#shared/api/kind.ts'
import { resourceOf } from '#shared/api/kind.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { NO_VERSION } from '#shared/ports/store.ts'
import { formatTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'

export const NOW = 1_800_000_000_000

/** A cluster that holds just these objects. */
function readerOf(objects: readonly KubeObject[]): Reader {
  const stored = objects.map((object) => {
    const kind = kindOfObject(object)
    const { namespace = '', name } = object.metadata
    return { object, resource: kind ? resourceOf(kind) : '', namespace, name }
  })
  return {
    version: NO_VERSION,
    get: (key) =>
      stored.find((each) => `${each.resource}/${each.namespace}/${each.name}` === key)?.object,
    list: (resource, namespace) =>
      stored
        .filter((each) => each.resource === resource)
        .filter((each) => namespace === undefined || each.namespace === namespace)
        .map(({ object }) => object),
    ownedBy: () => [],
    podsOnNode: () => [],
    labelled: () => [],
  }
}

export interface Situation {
  /** What the cluster holds already. */
  objects?: KubeObject[]
  /** The stored object, for an update. */
  old?: KubeObject
}

export function admission({ objects = [], old }: Situation = {}): AdmissionContext {
  return { now: NOW, reader: readerOf(objects), ...(old ? { old } : {}) }
}

/** Metadata of an object in namespace `default`, or of a cluster-scoped one (namespace ''). */
export function meta(name: string, namespace = 'default'): KubeObject['metadata'] {
  return {
    name,
    ...(namespace ? { namespace } : {}),
    uid: `uid-of-${name}`,
    creationTimestamp: formatTime(NOW),
  }
}

/** The object as it would be stored. Fields may be missing, as in what people send. */
export function defaulted<T extends KubeObject>(object: T, situation: Situation = {}): T {
  const draft = structuredClone(object)
  kindOfObject(draft)?.applyDefaults?.(draft, admission(situation))
  return draft
}

/** What is wrong with an object once its defaults are in: `field: message` for each cause. */
export function refusals(
  object: KubeObject & { spec?: object; involvedObject?: object },
  situation: Situation = {},
): string[] {
  const draft: KubeObject = defaulted(object, situation)
  const causes = kindOfObject(draft)?.validate?.(draft, admission(situation)) ?? []
  return causes.map((cause) => `${cause.field}: ${cause.message}`)
}
