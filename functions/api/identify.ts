// Which cluster a request is for and who sends it: the same for requests and for upgrades.

import { StatusError } from '#shared/status.ts'
import { mayEnter, pathDenied } from './authorize.ts'
import type { ApiDeps, Identity } from './deps.ts'
import { unknownPath } from './errors.ts'

export interface Caller {
  cluster: string
  /** As Kubernetes sees it, without a cluster's prefix. */
  path: string
  identity: Identity
}

/** Errors: NotFound (no cluster), Unauthorized, Forbidden (another's cluster). */
export async function identify(
  deps: ApiDeps,
  request: { host: string; path: string; authorization: string | null },
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
  return { cluster, path, identity }
}
