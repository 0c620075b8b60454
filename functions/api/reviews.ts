// "What am I, and what may I do?": kubectl auth whoami, auth can-i, auth can-i --list. Nothing is
// stored; the answer is the question with a status.

import { authorize, isAdmin } from './authorize.ts'
import type { ApiContext } from './context.ts'
import type { DiscoveredKind } from './discovery.ts'
import type { Identity } from './deps.ts'

function review(group: string, kind: string, plural: string): DiscoveredKind {
  return {
    group,
    version: 'v1',
    kind,
    plural,
    singular: kind.toLowerCase(),
    shortNames: [],
    categories: [],
    isNamespaced: false,
    verbs: ['create'],
    subresources: [],
  }
}

/** The kinds that only answer. */
export const REVIEW_KINDS: readonly DiscoveredKind[] = [
  review('authentication.k8s.io', 'SelfSubjectReview', 'selfsubjectreviews'),
  review('authorization.k8s.io', 'SelfSubjectAccessReview', 'selfsubjectaccessreviews'),
  review('authorization.k8s.io', 'SelfSubjectRulesReview', 'selfsubjectrulesreviews'),
]

/** The review with its status. `body` was decoded and is of this kind. */
export function answerReview(
  context: ApiContext,
  kind: DiscoveredKind,
  body: Record<string, unknown>,
): Record<string, unknown> {
  const { identity } = context
  const spec = isRecord(body['spec']) ? body['spec'] : {}
  switch (kind.kind) {
    case 'SelfSubjectReview':
      return { ...body, status: { userInfo: userInfo(identity) } }
    case 'SelfSubjectAccessReview':
      return { ...body, status: accessStatus(context, spec) }
    default:
      return { ...body, status: rulesStatus(identity) }
  }
}

function userInfo({ user, groups }: Identity): Record<string, unknown> {
  return { username: user, groups: [...new Set([...groups, 'system:authenticated'])] }
}

function accessStatus(
  { identity, view }: ApiContext,
  spec: Record<string, unknown>,
): Record<string, unknown> {
  const resource = spec['resourceAttributes']
  if (!isRecord(resource)) return { allowed: isAdmin(identity) }
  const text = (name: string): string => {
    const value = resource[name]
    return typeof value === 'string' ? value : ''
  }
  const verdict = authorize(
    identity,
    {
      verb: text('verb'),
      group: text('group'),
      namespace: text('namespace'),
      resource: text('resource'),
      name: text('name'),
      subresource: text('subresource'),
    },
    view.current,
  )
  return { allowed: verdict.isAllowed, ...(verdict.reason ? { reason: verdict.reason } : {}) }
}

function rulesStatus(identity: Identity): Record<string, unknown> {
  const self = [
    {
      verbs: ['create'],
      apiGroups: ['authorization.k8s.io'],
      resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
    },
    { verbs: ['create'], apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
  ]
  const paths = [
    '/api',
    '/api/*',
    '/apis',
    '/apis/*',
    '/healthz',
    '/livez',
    '/openapi',
    '/openapi/*',
    '/readyz',
    '/version',
    '/version/',
  ]
  const everything = isAdmin(identity)
  return {
    resourceRules: [
      ...(everything ? [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }] : []),
      ...self,
    ],
    nonResourceRules: [
      ...(everything ? [{ verbs: ['*'], nonResourceURLs: ['*'] }] : []),
      { verbs: ['get'], nonResourceURLs: paths },
    ],
    incomplete: false,
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
