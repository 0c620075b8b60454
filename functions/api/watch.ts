// `?watch=true`: the tail of the log as a stream of JSON lines. One watch is one open request; the
// log is followed once per process and fanned out in memory.

import type { KubeObject } from '#shared/api/meta.ts'
import type { Clock } from '#shared/ports/clock.ts'
import { NO_VERSION, type Version } from '#shared/ports/store.ts'
import { isReason } from '#shared/status.ts'
import type { LiveView } from '../cluster/live-view.ts'
import { renderObject, tableOf, type Rendering } from './render.ts'
import { formatVersion, readerAt, tooOld } from './resource-version.ts'
import { fromStored, storedResource } from './storage.ts'
import { eventsOf, type WatchScope } from './watch-events.ts'
import { watchOptionsOf, type WatchOptions } from './watch-options.ts'
import { WatchPosition } from './watch-position.ts'

const BOOKMARK_INTERVAL_MS = 60_000
/** A chunk is sent when it is this long: the client reads while the rest is being written. */
const CHUNK_CHARACTERS = 65_536

export interface WatchRequest {
  view: LiveView
  clock: Clock
  scope: WatchScope
  rendering: Rendering
  query: URLSearchParams
  /** Aborts when the client has left. */
  signal: AbortSignal
}

/** Answers at once; the body lasts. Error: Expired, Timeout (a version of the future), Invalid. */
export async function watch(request: WatchRequest): Promise<Response> {
  const options = watchOptionsOf(request.query)
  const stream = new WatchStream(request, options)
  await stream.open()
  return new Response(stream.body(), {
    headers: { 'content-type': 'application/json', 'cache-control': 'no-cache, private' },
  })
}

class WatchStream {
  readonly #request: WatchRequest
  readonly #options: WatchOptions
  readonly #ended = new AbortController()
  #position: WatchPosition | undefined
  /** Objects of the present that are still to be sent. */
  #initial: Iterator<KubeObject> | undefined
  #owesInitialEnd = false
  #owesBookmark = false
  #hasSentColumns = false
  #wake: () => void = () => undefined

  constructor(request: WatchRequest, options: WatchOptions) {
    this.#request = request
    this.#options = options
  }

  async open(): Promise<void> {
    const { view, signal } = this.#request
    const { since, hasInitialEvents, marksInitialEnd } = this.#options
    await readerAt(view, since)
    const onNews = (): void => this.#wake()
    if (hasInitialEvents || since === undefined || since === NO_VERSION) {
      const { position, objects } = WatchPosition.fromNow(view, () => this.#present(), onNews)
      this.#position = position
      this.#initial = hasInitialEvents ? objects[Symbol.iterator]() : undefined
      this.#owesInitialEnd = marksInitialEnd
    } else {
      this.#position = await positionAfter(view, since, onNews)
    }
    if (signal.aborted) this.#end()
    signal.addEventListener('abort', () => this.#end(), { once: true })
    void this.#endAfter(this.#options.timeoutMs)
    if (this.#options.allowsBookmarks) void this.#bookmarkRegularly()
  }

  body(): ReadableStream<Uint8Array> {
    const encoder = new TextEncoder()
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const text = await this.#next()
          if (text === undefined) controller.close()
          else controller.enqueue(encoder.encode(text))
        },
        cancel: () => this.#end(),
      },
      { highWaterMark: 0 },
    )
  }

  /** The next chunk, whenever it comes; undefined at the end. */
  async #next(): Promise<string | undefined> {
    while (!this.#ended.signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      const text = this.#collect()
      if (text !== '') return text
      if (this.#position?.isOverrun) this.#end()
      else await woken
    }
    return undefined
  }

  /** What can be sent now, up to about a chunk. */
  #collect(): string {
    let text = ''
    for (; this.#initial && text.length < CHUNK_CHARACTERS;) {
      const { done, value } = this.#initial.next()
      if (done) this.#initial = undefined
      else text += this.#line('ADDED', value)
    }
    if (this.#initial || !this.#position) return text
    if (this.#owesInitialEnd) {
      this.#owesInitialEnd = false
      text += this.#bookmark({ 'k8s.io/initial-events-end': 'true' })
    }
    while (text.length < CHUNK_CHARACTERS) {
      const revision = this.#position.take()
      if (!revision) break
      for (const { type, object } of eventsOf(revision, this.#request.scope)) {
        text += this.#line(type, object)
      }
    }
    // Everything up to the position was sent: only then may a bookmark name it.
    if (this.#owesBookmark && text.length < CHUNK_CHARACTERS) {
      this.#owesBookmark = false
      text += this.#bookmark()
    }
    return text
  }

  #present(): readonly KubeObject[] {
    const { view, scope } = this.#request
    return view.current
      .list(storedResource(scope.kind), scope.namespace)
      .map((stored) => fromStored(scope.kind, stored))
      .filter((object) => scope.selection.includes(object))
  }

  #line(type: string, object: KubeObject): string {
    const { rendering } = this.#request
    if (rendering.shape.as !== 'table') {
      return `${JSON.stringify({ type, object: renderObject(object, rendering) })}\n`
    }
    const metadata = { resourceVersion: object.metadata.resourceVersion ?? '' }
    const table = tableOf([object], metadata, { ...rendering, now: this.#request.clock.now() })
    if (this.#hasSentColumns) table.columnDefinitions = null
    this.#hasSentColumns = true
    return `${JSON.stringify({ type, object: table })}\n`
  }

  #bookmark(annotations?: Record<string, string>): string {
    const { scope, rendering } = this.#request
    const version: Version = this.#position?.version ?? NO_VERSION
    const metadata = {
      resourceVersion: formatVersion(version),
      creationTimestamp: null,
      ...(annotations ? { annotations } : {}),
    }
    const { group, version: apiVersion, kind } = scope.kind
    const plain = { kind, apiVersion: group ? `${group}/${apiVersion}` : apiVersion, metadata }
    const object = rendering.shape.as === 'table' ? this.#tableBookmark(plain) : plain
    return `${JSON.stringify({ type: 'BOOKMARK', object })}\n`
  }

  #tableBookmark(plain: { metadata: { resourceVersion: string } }): unknown {
    const { shape } = this.#request.rendering
    const metadata = { resourceVersion: plain.metadata.resourceVersion }
    const rows = [{ cells: [], object: plain }]
    return {
      kind: 'Table',
      apiVersion: `meta.k8s.io/${shape.version}`,
      metadata,
      columnDefinitions: null,
      rows,
    }
  }

  async #bookmarkRegularly(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      await this.#request.clock.sleep(BOOKMARK_INTERVAL_MS, this.#ended.signal)
      this.#owesBookmark = true
      this.#wake()
    }
  }

  async #endAfter(ms: number): Promise<void> {
    await this.#request.clock.sleep(ms, this.#ended.signal)
    this.#end()
  }

  #end(): void {
    if (this.#ended.signal.aborted) return
    this.#ended.abort()
    this.#position?.close()
    this.#wake()
  }
}

async function positionAfter(
  view: LiveView,
  since: Version,
  onNews: () => void,
): Promise<WatchPosition> {
  try {
    return await WatchPosition.after(view, since, onNews)
  } catch (error) {
    if (isReason(error, 'Expired')) throw tooOld(since, view.current.version)
    throw error
  }
}
