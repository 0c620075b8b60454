// What an identity may do. Administrators everything in their clusters; a node only what its own
// Node and pods need, as Kubernetes' node authorizer and NodeRestriction together.

import type { Pod } from '#shared/api/pod.ts'
import { keyOf } from '#shared/key.ts'
import { StatusError } from '#shared/status.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { Identity } from './deps.ts'
import { forbidden } from './errors.ts'
import type { ResourceRequest } from './request-info.ts'

/** What is asked; `fieldSelector` matters to nodes, which may list their own pods only. */
export interface Attributes extends Omit<ResourceRequest, 'verb' | 'version'> {
  /** A Kubernetes verb, also those that are no HTTP verb here (`impersonate`, `*`). */
  verb: string
  fieldSelector?: string
}

export interface Verdict {
  isAllowed: boolean
  /** Why not; appended to Kubernetes' sentence. */
  reason?: string
}

/** People who may look at everything but Secrets, as Google's roles/container.viewer. */
export const VIEWERS = 'wherry:viewers'

const ALLOWED: Verdict = { isAllowed: true }
const DENIED: Verdict = { isAllowed: false }

/** Whether the identity may speak to this cluster at all. */
export function mayEnter(identity: Identity, cluster: string): boolean {
  return identity.clusters === undefined || identity.clusters.includes(cluster)
}

/** True for those who may do everything. */
export function isAdmin(identity: Identity): boolean {
  return identity.groups.includes('system:masters')
}

/** Decides about one request on resources. */
export function authorize(identity: Identity, request: Attributes, reader: Reader): Verdict {
  if (isAdmin(identity)) return ALLOWED
  if (isSelfReview(request)) return ALLOWED
  if (identity.node) return authorizeNode(identity.node.name, request, reader)
  if (identity.groups.includes(VIEWERS) && isLook(request)) return ALLOWED
  return DENIED
}

/** Reading and nothing else: `get pods/exec` is how a WebSocket runs a command. */
function isLook({ verb, resource, subresource }: Attributes): boolean {
  return (
    ['get', 'list', 'watch'].includes(verb) &&
    resource !== 'secrets' &&
    ['', 'status', 'scale', 'log'].includes(subresource)
  )
}

/** Paths that are no resources: everybody who is known may read discovery, nobody else more. */
export function mayReadPath(identity: Identity, path: string): boolean {
  if (isAdmin(identity)) return true
  return /^\/(version|healthz|livez|readyz|api|apis|openapi)(\/|$)/.test(path)
}

/** The refusal in Kubernetes' words. */
export function accessDenied(
  identity: Identity,
  request: Attributes,
  verdict: Verdict,
): StatusError {
  const { verb, group, resource, subresource, namespace, name } = request
  const what = subresource ? `${resource}/${subresource}` : resource
  const scope = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope'
  const reason = verdict.reason ? `: ${verdict.reason}` : ''
  return forbidden(
    group ? `${resource}.${group}` : resource,
    name,
    `User "${identity.user}" cannot ${verb} resource "${what}" in API group "${group}" ${scope}${reason}`,
  )
}

/** The refusal of a path that is no resource. */
export function pathDenied(identity: Identity, verb: string, path: string): StatusError {
  return new StatusError(
    'Forbidden',
    `forbidden: User "${identity.user}" cannot ${verb} path "${path}"`,
    {},
  )
}

/** Everybody may ask what he is and may do (Kubernetes' system:basic-user). */
function isSelfReview(request: Attributes): boolean {
  const { group, resource, verb } = request
  if (verb !== 'create') return false
  if (group === 'authentication.k8s.io') return resource === 'selfsubjectreviews'
  return (
    group === 'authorization.k8s.io' &&
    (resource === 'selfsubjectaccessreviews' || resource === 'selfsubjectrulesreviews')
  )
}

function authorizeNode(node: string, request: Attributes, reader: Reader): Verdict {
  if (request.group !== '') return DENIED
  if (request.resource === 'nodes') return authorizeOwnNode(node, request)
  if (request.resource === 'pods') return authorizePods(node, request, reader)
  return DENIED
}

function authorizeOwnNode(node: string, request: Attributes): Verdict {
  const { name, subresource, verb } = request
  if (name !== node) return denied(`node '${node}' cannot read '${name}', only its own Node object`)
  const isAllowed =
    (verb === 'get' && subresource === '') ||
    (['update', 'patch'].includes(verb) && subresource === 'status')
  return isAllowed ? ALLOWED : denied(`node '${node}' is not allowed to modify its Node this way`)
}

function authorizePods(node: string, request: Attributes, reader: Reader): Verdict {
  const { name, namespace, subresource, verb } = request
  if (verb === 'list' || verb === 'watch') {
    return request.fieldSelector === `spec.nodeName=${node}`
      ? ALLOWED
      : denied(`can only list/watch pods with spec.nodeName field selector`)
  }
  const isVerbAllowed =
    (subresource === '' && (verb === 'get' || verb === 'delete')) ||
    (subresource === 'status' && (verb === 'update' || verb === 'patch'))
  if (!isVerbAllowed) return DENIED
  const pod = reader.get(keyOf('pods', namespace, name))
  if (pod && nodeOf(pod) === node) return ALLOWED
  return denied(`no relationship found between node '${node}' and this object`)
}

function nodeOf(pod: object): string | undefined {
  const { spec }: Partial<Pod> = pod
  return spec?.nodeName
}

function denied(reason: string): Verdict {
  return { isAllowed: false, reason }
}
