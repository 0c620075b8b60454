// GET: one object, a list (whole or in pages of one version), or a watch.

import type { KubeObject } from '#shared/api/meta.ts'
import { resourceOf } from '#shared/api/kind.ts'
import { NO_VERSION, type Version } from '#shared/ports/store.ts'
import { isReason, notFound, StatusError, type Status } from '#shared/status.ts'
import { answer, renderingOf, type KindContext } from '../context.ts'
import { decodeContinue, encodeContinue } from '../continue-token.ts'
import { badRequest } from '../errors.ts'
import { renderList, renderObject } from '../render.ts'
import { formatVersion, parseVersion, readerAt } from '../resource-version.ts'
import { selectionOf } from '../select.ts'
import { fromStored, isOutlived, storedKey, storedResource } from '../storage.ts'
import { objectsAt, objectsNow } from '../time-travel.ts'
import { watch } from '../watch.ts'
import { probeComponents } from './component-status.ts'

/** GET …/NAME. */
export async function getObject(context: KindContext): Promise<Response> {
  const rendering = renderingOf(context)
  const object = context.kind.isVirtual
    ? await virtualObject(context)
    : await storedObject(context, parseVersion(context.query.get('resourceVersion')))
  return answer(context, renderObject(object, rendering), rendering.shape)
}

/** The object as its kind shows it. Error: NotFound. */
export async function storedObject(
  { kind, info, view, now }: KindContext,
  version?: Version,
): Promise<KubeObject> {
  const reader = await readerAt(view, version)
  const stored = reader.get(storedKey(kind, info.namespace, info.name))
  if (!stored || isOutlived(stored, now)) throw notFound(resourceOf(kind), info.name)
  return fromStored(kind, stored)
}

async function virtualObject(context: KindContext): Promise<KubeObject> {
  const { deps, cluster, info, kind } = context
  const probes = deps.probes.filter((probe) => probe.name === info.name)
  const [object] = await probeComponents(probes, cluster, deps.clock)
  if (!object) throw notFound(resourceOf(kind), info.name)
  return object
}

/** GET of a collection, of one namespace or of all. */
export async function listObjects(context: KindContext): Promise<Response> {
  const rendering = renderingOf(context)
  const { objects, metadata } = await selectedObjects(context)
  return answer(context, renderList(objects, metadata, rendering), rendering.shape)
}

interface Page {
  objects: KubeObject[]
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number }
}

async function selectedObjects(context: KindContext): Promise<Page> {
  const { query, view, kind, deps, cluster } = context
  if (query.get('sendInitialEvents') !== null)
    throw badRequest('sendInitialEvents is forbidden for list')
  if (kind.isVirtual) {
    const objects = await probeComponents(deps.probes, cluster, deps.clock)
    const selection = selectionOf(kind, query)
    const metadata = { resourceVersion: formatVersion(view.current.version) }
    return { objects: objects.filter((object) => selection.includes(object)), metadata }
  }
  const limit = limitOf(query)
  const token = query.get('continue')
  const version = parseVersion(query.get('resourceVersion'))
  if (!token) return firstPage(context, version, limit)
  if (version !== undefined && version !== NO_VERSION) {
    throw badRequest('specifying resource version is not allowed when using continue')
  }
  return nextPage(context, token, limit)
}

async function firstPage(
  context: KindContext,
  version: Version | undefined,
  limit: number,
): Promise<Page> {
  const { kind, view, query } = context
  const match = query.get('resourceVersionMatch')
  if (match && version === undefined) {
    throw badRequest('resourceVersionMatch is forbidden unless resourceVersion is provided')
  }
  await readerAt(view, version)
  const namespace = namespaceOf(context)
  const resource = storedResource(kind)
  if (match === 'Exact' && version !== undefined && version !== NO_VERSION) {
    return pageOf(
      context,
      [...(await objectsAt(view, resource, namespace, version))],
      version,
      limit,
    )
  }
  const selection = selectionOf(kind, query)
  const { current } = view
  if (namespace !== undefined && selection.name !== undefined) {
    const stored = current.get(storedKey(kind, namespace, selection.name))
    return pageOf(context, objectsNow(stored ? [stored] : [], resource), current.version, 0)
  }
  // Any version will do: then a page is no use, as in Kubernetes' watch cache.
  const pageSize = version === NO_VERSION ? 0 : limit
  return pageOf(
    context,
    objectsNow(current.list(resource, namespace), resource),
    current.version,
    pageSize,
  )
}

async function nextPage(context: KindContext, token: string, limit: number): Promise<Page> {
  const { view, kind } = context
  const { version, after } = decodeContinue(token)
  await readerAt(view, version)
  const resource = storedResource(kind)
  const namespace = namespaceOf(context)
  const at = version ?? view.current.version
  try {
    const all = [...(await objectsAt(view, resource, namespace, at))]
    return pageOf(
      context,
      all.filter(([key]) => key > after),
      at,
      limit,
    )
  } catch (error) {
    if (isReason(error, 'Expired')) throw expiredToken(after)
    throw error
  }
}

function pageOf(
  context: KindContext,
  entries: readonly (readonly [string, KubeObject])[],
  version: Version,
  limit: number,
): Page {
  const { kind, query, now } = context
  const selection = selectionOf(kind, query)
  const objects: KubeObject[] = []
  let last = ''
  let left = 0
  for (const [key, stored] of entries) {
    if (isOutlived(stored, now)) continue
    const object = fromStored(kind, stored)
    if (!selection.includes(object)) continue
    if (limit > 0 && objects.length === limit) {
      left++
      continue
    }
    objects.push(object)
    last = key
  }
  const metadata: Page['metadata'] = { resourceVersion: formatVersion(version) }
  if (left > 0) {
    metadata.continue = encodeContinue({ version, after: last })
    // Kubernetes counts only what it need not look into.
    if (selection.isEverything) metadata.remainingItemCount = left
  }
  return { objects, metadata }
}

/** GET with watch=true. */
export async function watchObjects(context: KindContext): Promise<Response> {
  const { kind, query, view, deps, info, request } = context
  const selection = selectionOf(kind, query)
  const { name } = info
  // A watch of one object is a watch with a field selector.
  const named = name
    ? {
        ...selection,
        includes: (object: KubeObject) =>
          object.metadata.name === name && selection.includes(object),
      }
    : selection
  return watch({
    view,
    clock: deps.clock,
    scope: { kind, namespace: namespaceOf(context), selection: named },
    rendering: renderingOf(context),
    query,
    signal: request.signal,
  })
}

/** undefined: all namespaces (and cluster-scoped kinds). */
export function namespaceOf({ kind, info }: KindContext): string | undefined {
  return kind.isNamespaced && info.namespace ? info.namespace : undefined
}

function limitOf(query: URLSearchParams): number {
  const text = query.get('limit')
  if (text === null || text === '') return 0
  if (!/^-?\d+$/.test(text)) {
    throw badRequest(`limit: Invalid value: ${JSON.stringify(text)}: must be a number`)
  }
  return Math.max(0, Number(text))
}

/**
 * 410 with a token that goes on with the newest version: a client that can live with an
 * inconsistent list need not start again.
 */
class ExpiredToken extends StatusError {
  readonly #continue: string

  constructor(after: string) {
    super(
      'Expired',
      'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
    )
    this.#continue = encodeContinue({ version: undefined, after })
  }

  override toJSON(): Status {
    return { ...super.toJSON(), metadata: { continue: this.#continue } }
  }
}

function expiredToken(after: string): StatusError {
  return new ExpiredToken(after)
}
