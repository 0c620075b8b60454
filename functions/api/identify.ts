// Which cluster a request is for and who sends it: the same for requests and for upgrades.

import { StatusError } from '#shared/status.ts'
import { isAdmin, mayEnter, pathDenied } from './authorize.ts'
import type { ApiDeps, Identity } from './deps.ts'
import { unknownPath } from './errors.ts'

export interface Caller {
  cluster: string
  /** As Kubernetes sees it, without a cluster's prefix. */
  path: string
  identity: Identity
}

/** What `kubectl --as` and `--as-group` ask for. */
export interface Impersonation {
  user: string
  groups: readonly string[]
}

/** Reads the Impersonate headers; undefined when there are none. */
export function impersonationOf(
  header: (name: string) => string | null | undefined,
): Impersonation | undefined {
  const user = header('impersonate-user')
  if (!user) return undefined
  const groups = (header('impersonate-group') ?? '').split(',').map((group) => group.trim())
  return { user, groups: groups.filter(Boolean) }
}

/** Errors: NotFound (no cluster), Unauthorized, Forbidden (another's cluster). */
export async function identify(
  deps: ApiDeps,
  request: {
    host: string
    path: string
    authorization: string | null
    impersonate?: Impersonation | undefined
  },
): Promise<Caller> {
  const routed = deps.route(request)
  const token = /^bearer +(.+)$/i.exec(request.authorization ?? '')?.[1]?.trim()
  if (!routed) {
    // Who cannot be known is not told what is there.
    throw token ? unknownPath() : new StatusError('Unauthorized', 'Unauthorized')
  }
  const { cluster, path } = routed
  const identity = token ? await deps.authenticate(token, { cluster }) : undefined
  if (!identity) throw new StatusError('Unauthorized', 'Unauthorized')
  if (!mayEnter(identity, cluster)) throw pathDenied(identity, 'get', path)
  return { cluster, path, identity: actingAs(identity, cluster, request.impersonate) }
}

/** Only who may do everything may do it as somebody else; that one then may do what they may. */
function actingAs(
  identity: Identity,
  cluster: string,
  wanted: Impersonation | undefined,
): Identity {
  if (!wanted) return identity
  if (!isAdmin(identity)) {
    throw new StatusError(
      'Forbidden',
      `users "${wanted.user}" is forbidden: User "${identity.user}" cannot impersonate resource "users" in API group "" at the cluster scope`,
      { name: wanted.user, kind: 'users' },
    )
  }
  // Never as a node: that is proved by a VM's token and by nothing else.
  const groups = wanted.groups.filter((group) => group !== 'system:nodes')
  return {
    user: wanted.user,
    groups: [...groups, 'system:authenticated'],
    clusters: [cluster],
    ...(identity.seen ? { seen: identity.seen } : {}),
  }
}
