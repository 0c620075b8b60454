// What a Kubernetes URL asks for: verb, group, version, namespace, resource, name, subresource.
// The same rules as apiserver's RequestInfoFactory.

import type { Verb } from '#shared/api/kind.ts'

export interface ResourceRequest {
  verb: Verb
  group: string
  version: string
  namespace: string
  /** Plural, `pods`. */
  resource: string
  name: string
  subresource: string
}

/** The parts of a resource path, or undefined when the path is no resource's. */
export function parseResourcePath(path: string): Omit<ResourceRequest, 'verb'> | undefined {
  const parts = path.split('/').slice(1)
  if (parts.at(-1) === '') parts.pop()
  if (parts.includes('')) return undefined
  const root = parts.shift()
  const group = root === 'api' ? '' : root === 'apis' ? parts.shift() : undefined
  const version = parts.shift()
  if (group === undefined || version === undefined || parts.length === 0) return undefined
  const rest = parts.map(decodeSegment)
  const [first = '', second = '', third = '', fourth = '', fifth = '', ...more] = rest
  if (more.length > 0) return undefined
  if (first !== 'namespaces') {
    if (fourth) return undefined
    return { group, version, namespace: '', resource: first, name: second, subresource: third }
  }
  // /namespaces/x, /namespaces/x/status and /namespaces/x/finalize are about the namespace itself.
  const isNamespaceItself = rest.length < 3 || third === 'status' || third === 'finalize'
  if (isNamespaceItself) {
    if (fourth) return undefined
    const self = { resource: 'namespaces', name: second, subresource: third }
    return { group, version, namespace: '', ...self }
  }
  return { group, version, namespace: second, resource: third, name: fourth, subresource: fifth }
}

/** The Kubernetes verb of an HTTP method; undefined: the method does not exist here. */
export function verbOf(method: string, name: string, query: URLSearchParams): Verb | undefined {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (isTrue(query.get('watch'))) return 'watch'
      return name ? 'get' : 'list'
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return name ? 'delete' : 'deletecollection'
    default:
      return undefined
  }
}

/** A boolean query parameter as Go's strconv.ParseBool reads it, or a bare `?watch`. */
export function isTrue(value: string | null): boolean {
  return value !== null && ['', '1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
