// The control plane on a laptop: the same functions as in the cloud, composed with this machine's
// ports, and what Google does around them (deliveries, the minute's tick).

import { createLocalJWKSet } from 'jose'
import type { Cluster } from '#shared/api/cluster.ts'
import { AGENT_PORT, AGENT_TOKEN_SECRET } from '#shared/api/agent-wire.ts'
import type { Secret } from '#shared/api/config.ts'
import type { Node } from '#shared/api/node.ts'
import { keyOf } from '#shared/key.ts'
import type { Compute } from '#shared/ports/compute.ts'
import { createAuthenticator } from '#functions/api/authenticate.ts'
import type { ApiDeps, Authenticate, ComponentProbe } from '#functions/api/deps.ts'
import { schedulerProbe } from '#functions/api/scheduler-probe.ts'
import type { LiveViews } from '#functions/cluster/live-view.ts'
import type { Clock } from '#shared/ports/clock.ts'
import { GOOGLE_ISSUER, type IdentitySigner } from './google/identity.ts'
import type { Backend } from './backend.ts'
import type { Vpc } from './compute/vpc.ts'

export interface AuthenticationOptions {
  project: string
  adminToken: string
  audience: string
  identity: IdentitySigner
  views: LiveViews
}

/** The admin's token, and VMs by the tokens that the metadata server signs. */
export function localAuthentication(options: AuthenticationOptions): Authenticate {
  const { views } = options
  return createAuthenticator({
    staticTokens: [
      {
        token: options.adminToken,
        identity: { user: 'admin', groups: ['system:masters', 'system:authenticated'] },
      },
    ],
    vm: {
      issuer: GOOGLE_ISSUER,
      audience: options.audience,
      project: options.project,
      keys: createLocalJWKSet(options.identity.jwks),
      read: async (cluster) => (await views.open(cluster)).catchUp(),
    },
  })
}

/** Real calls to each part; the api function bounds them. */
export function localProbes(parts: {
  backend: Backend
  compute: Compute
  views: LiveViews
  clock: Clock
}): ComponentProbe[] {
  const ok = (call: () => Promise<void>) => async (): Promise<string> => {
    await call()
    return 'ok'
  }
  return [
    { name: 'compute', check: ok(() => parts.compute.ping()) },
    { name: 'firestore', check: ok(() => parts.backend.pingStore()) },
    { name: 'pubsub', check: ok(() => parts.backend.bus.ping()) },
    schedulerProbe(parts),
  ]
}

/** Finds a node's agent through the emulated VPC; its token is a Secret of the cluster. */
export function localAgents(views: LiveViews, vpc: Vpc): NonNullable<ApiDeps['agentEndpoint']> {
  return async (cluster, name) => {
    const reader = (await views.open(cluster)).current
    const node = reader.get(keyOf('nodes', '', name)) as Node | undefined
    const address = node?.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address
    const secret: Secret | undefined = reader.get(
      keyOf('secrets', 'kube-system', AGENT_TOKEN_SECRET),
    )
    const token = secret?.data?.['token']
    const target = address ? vpc.lookup(`${address}:${AGENT_PORT}/tcp`) : undefined
    if (!target || !token) return undefined
    return { url: `http://${target}`, token: Buffer.from(token, 'base64').toString() }
  }
}

/** `gke_<project>_<location>_<name>`: the context's name, as gcloud makes it. */
export function contextName({ spec }: Pick<Cluster, 'spec'>): string {
  return `gke_${spec.project}_${spec.location}_${spec.displayName}`
}
