// What the api function is made of. functions/index.ts, emulator/main.ts and tests fill it in.

import type { LiveViews } from '../cluster/live-view.ts'
import type { Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Version } from '#shared/ports/store.ts'

/** Who asks. `node` is set for a VM's agent: it sees only what its pods need. */
export interface Identity {
  /** `admin`, `system:node:gke-…`. */
  user: string
  /** `system:masters`, `system:nodes`, `system:authenticated`. */
  groups: readonly string[]
  /** The clusters it may speak to; undefined: all. */
  clusters?: readonly string[]
  node?: { cluster: string; name: string; instanceId: string }
  /** The cluster was read up to here to prove it, in this request: it need not be read again. */
  seen?: Version
}

/**
 * Turns a bearer token into an identity; undefined when it is not to be trusted. Never throws
 * because of the token. `request` says which cluster is spoken to: a VM is trusted only by its own.
 */
export type Authenticate = (
  token: string,
  request?: { cluster: string },
) => Promise<Identity | undefined>

/** One line of `kubectl get componentstatuses`. */
export interface ComponentProbe {
  name: string
  /** Resolves with the healthy text (`ok`); rejects with the reason. Bounded by the caller. */
  check(cluster: string): Promise<string>
}

export interface ApiDeps {
  views: LiveViews
  bus: Bus
  clock: Clock
  log: Log
  authenticate: Authenticate
  /** firestore, pubsub, compute, scheduler. */
  probes: readonly ComponentProbe[]
  /**
   * Which cluster a request is for, from host and path; the rest of the path is what Kubernetes
   * sees. Locally each cluster has its own port; in the cloud its own path prefix.
   */
  route(request: { host: string; path: string }): { cluster: string; path: string } | undefined
  /** Where a node's agent can be reached for logs, exec and port-forward; undefined: it is not up. */
  agentEndpoint?(cluster: string, node: string): Promise<{ url: string; token: string } | undefined>
}
