// Requests on resources: finds the kind, asks whether it may be, and hands over to the verb.

import { CATALOG, kindByPath } from '#shared/api/catalog.ts'
import type { KindDefinition, Subresource, Verb } from '#shared/api/kind.ts'
import { accessDenied, authorize, type Attributes } from '../authorize.ts'
import { answer, type ApiContext, type KindContext } from '../context.ts'
import { decodeObject } from '../decode.ts'
import type { DiscoveredKind } from '../discovery.ts'
import { badRequest, methodNotAllowed, unknownPath } from '../errors.ts'
import { notAcceptable } from '../accept.ts'
import { shapeOf } from '../context.ts'
import { parseResourcePath, verbOf, type ResourceRequest } from '../request-info.ts'
import { answerReview, REVIEW_KINDS } from '../reviews.ts'
import { createObject } from './create.ts'
import { deleteCollection, deleteObject } from './delete.ts'
import { patchObject } from './patch.ts'
import { podLog } from './pod-log.ts'
import { bindPod, evictPod } from './pod-subresources.ts'
import { getObject, listObjects, watchObjects } from './read.ts'
import { scaleRoute } from './scale.ts'
import { updateObject } from './update.ts'

type Handler = (context: KindContext) => Promise<Response>

const VERBS: Record<Verb, Handler> = {
  create: createObject,
  delete: deleteObject,
  deletecollection: deleteCollection,
  get: getObject,
  list: listObjects,
  patch: patchObject,
  update: updateObject,
  watch: watchObjects,
}

/** Subresources that are more than another view of the object. */
const SUBRESOURCES: Record<string, Handler> = {
  scale: scaleRoute,
  log: podLog,
  binding: bindPod,
  eviction: evictPod,
}

/** Connections that leave HTTP: whoever serves the upgrade takes them before they come here. */
const STREAMS = ['attach', 'exec', 'portforward']

/** What discovery shows: the catalog and the reviews. */
export const DISCOVERED: readonly DiscoveredKind[] = [...CATALOG, ...REVIEW_KINDS]

/** The answer to a path below /api/VERSION or /apis/GROUP/VERSION; undefined: it is no such path. */
export async function resourceRoute(context: ApiContext): Promise<Response | undefined> {
  const parts = parseResourcePath(context.path)
  if (!parts) return undefined
  const verb = verbOf(context.request.method, parts.name, context.query)
  const info: ResourceRequest | undefined = verb && { verb, ...parts }
  if (!info) throw methodNotAllowed()
  checkAccess(context, info)
  const review = REVIEW_KINDS.find(
    ({ group, version, plural }) =>
      group === info.group && version === info.version && plural === info.resource,
  )
  if (review) return reviewRoute(context, review, info)
  if (info.resource === 'pods' && STREAMS.includes(info.subresource)) {
    throw badRequest('Upgrade request required')
  }
  const kind = kindByPath(info.group, info.version, info.resource)
  if (!kind || !isReachable(kind, info)) throw unknownPath()
  return handlerOf(kind, info)({ ...context, kind, info })
}

/** 403 before 404: who may not look is not told what is there. */
function checkAccess(context: ApiContext, info: ResourceRequest): void {
  const { identity, view, query } = context
  const selector = query.get('fieldSelector')
  const attributes: Attributes = { ...info, ...(selector ? { fieldSelector: selector } : {}) }
  const verdict = authorize(identity, attributes, view.current)
  if (!verdict.isAllowed) throw accessDenied(identity, attributes, verdict)
}

/** Namespaced kinds stand below a namespace, but for lists over all of them; others never do. */
function isReachable(kind: KindDefinition, info: ResourceRequest): boolean {
  if (!kind.isNamespaced) return info.namespace === ''
  if (info.namespace !== '') return true
  return info.name === '' && (info.verb === 'list' || info.verb === 'watch')
}

function handlerOf(kind: KindDefinition, info: ResourceRequest): Handler {
  if (info.subresource === '') {
    if (!isAllowed(kind, info)) throw methodNotAllowed()
    return VERBS[info.verb]
  }
  const subresource = kind.subresources.find((each) => each.name === info.subresource)
  if (!subresource) throw unknownPath()
  if (!subresourceVerbs(subresource).includes(info.verb)) throw methodNotAllowed()
  return SUBRESOURCES[info.subresource] ?? VERBS[info.verb]
}

function isAllowed(kind: KindDefinition, info: ResourceRequest): boolean {
  if (info.verb === 'create' && info.name !== '') return false
  return kind.verbs.includes(info.verb)
}

function subresourceVerbs({ verbs }: Subresource): readonly string[] {
  return verbs
}

async function reviewRoute(
  context: ApiContext,
  kind: DiscoveredKind,
  info: ResourceRequest,
): Promise<Response> {
  if (info.verb !== 'create' || info.name !== '') throw methodNotAllowed()
  const { as, format } = shapeOf(context)
  if (as !== 'object') throw notAcceptable()
  const body = await decodeObject(context, kind)
  return answer(context, answerReview(context, kind, body), { status: 201, format })
}
