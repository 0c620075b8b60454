// What the simulated people, agents and cloud write through: what the api function does with a write
// (defaults, versions, one more try after a conflict), without HTTP.

import { kindOfObject } from '#shared/api/catalog.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { isEqual } from '#shared/equal.ts'
import { derivedUid } from '#shared/hash.ts'
import type { Key } from '#shared/key.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import type { Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Write } from '#shared/ports/store.ts'
import { keyOfObject } from '#shared/reconcile/kinds.ts'
import { formatTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { LiveViews } from '#functions/cluster/live-view.ts'

export const CLUSTER = 'c'

export class ClusterClient {
  readonly #views: LiveViews
  readonly #bus: Bus
  readonly #clock: Clock
  #commits = 0

  constructor({ views, bus, clock }: { views: LiveViews; bus: Bus; clock: Clock }) {
    this.#views = views
    this.#bus = bus
    this.#clock = clock
  }

  async read(): Promise<Reader> {
    return (await this.#views.open(CLUSTER)).catchUp()
  }

  /** Stores a new object, or the next state of one that is there. */
  async put(actor: string, ...objects: KubeObject[]): Promise<void> {
    const reader = await this.read()
    await this.#commit(
      actor,
      objects.map((object) => this.#write(reader, object)),
    )
  }

  /** Takes the record away at once. */
  async remove(actor: string, ...keys: Key[]): Promise<void> {
    const reader = await this.read()
    const writes = keys.flatMap((key): Write[] => {
      const expect = reader.get(key)?.metadata.resourceVersion
      return expect ? [{ key, object: null, expect }] : []
    })
    if (writes.length > 0) await this.#commit(actor, writes)
  }

  async #commit(actor: string, writes: Write[]): Promise<void> {
    const live = await this.#views.open(CLUSTER)
    const id = `${actor}-${++this.#commits}`
    await live.commit({ id, cause: { actor, verb: 'update' }, writes })
    const message = { attributes: { cluster: CLUSTER }, data: '{}', orderingKey: CLUSTER }
    await this.#bus.publish(TOPICS.changes, message)
  }

  #write(reader: Reader, object: KubeObject): Write {
    const key = keyOfObject(object)
    const old = reader.get(key)
    const draft = structuredClone(object)
    const kind = kindOfObject(object)
    kind?.applyDefaults?.(draft, { now: this.#clock.now(), reader, ...(old ? { old } : {}) })
    const isNew = !old || !isEqual(specOf(old), specOf(draft))
    const generation = (old?.metadata.generation ?? 0) + (isNew ? 1 : 0)
    draft.metadata = {
      ...draft.metadata,
      uid: old?.metadata.uid ?? derivedUid(key, reader.version),
      creationTimestamp: old?.metadata.creationTimestamp ?? formatTime(this.#clock.now()),
      ...(kind?.hasGeneration ? { generation } : {}),
    }
    return { key, object: draft, expect: old?.metadata.resourceVersion ?? null }
  }
}

function specOf(object: object): unknown {
  return 'spec' in object ? object.spec : undefined
}
