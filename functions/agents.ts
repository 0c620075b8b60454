// How the api function reaches a node's agent for logs, exec and port-forward: over the VPC at the
// VM's internal address, with the token that the cloud function has put into the VM's metadata.

import { AGENT_PORT, AGENT_TOKEN_SECRET } from '#shared/api/agent-wire.ts'
import type { Secret } from '#shared/api/config.ts'
import type { NodePool } from '#shared/api/node-pool.ts'
import { keyOf } from '#shared/key.ts'
import type { ApiDeps } from './api/deps.ts'
import type { LiveViews } from './cluster/live-view.ts'

const NODE_POOLS = 'nodepools.container.wherry.dev'
const TOKEN_KEY = keyOf('secrets', 'kube-system', AGENT_TOKEN_SECRET)

/**
 * Undefined for a node without VM or before the token is there. The address is Compute Engine's, not
 * what the Node says of itself: a node must not send the token anywhere it likes.
 */
export function agentsInVpc(views: LiveViews): NonNullable<ApiDeps['agentEndpoint']> {
  return async (cluster, name) => {
    const reader = (await views.open(cluster)).current
    const pools = reader.list(NODE_POOLS) as readonly NodePool[]
    const vm = pools
      .flatMap(({ status }) => status?.instances ?? [])
      .find((instance) => instance.name === name)
    const secret: Secret | undefined = reader.get(TOKEN_KEY)
    const token = secret?.data?.['token']
    if (!vm?.internalIp || !token) return undefined
    return {
      url: `http://${vm.internalIp}:${AGENT_PORT}`,
      token: Buffer.from(token, 'base64').toString(),
    }
  }
}
