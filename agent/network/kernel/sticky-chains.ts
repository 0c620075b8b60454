// sessionAffinity ClientIP: for each endpoint a set of the clients that were sent there, from which the
// kernel takes them after the timeout. Who was seen last, by whatever address of the Service, stays.

import type { Backend } from '../service-ports.ts'
import type { FragmentDraft } from './fragment-draft.ts'
import { AFFINITY_PREFIX } from './ruleset-writer.ts'

/** Adds the chain `pick-NAME` and what it needs; answers its name. `id` names the Service's port. */
export function stickyChain(
  draft: FragmentDraft,
  name: string,
  id: string,
  backends: readonly Backend[],
  seconds: number,
): string {
  const targets = backends.map(({ ip, port }) => {
    const endpoint = `${id}/${ip}/${port}`
    // The timeout is in the name: a set cannot change its own.
    const set = `${AFFINITY_PREFIX}${seconds}-${endpoint}`
    const chain = `endpoint-${endpoint}`
    draft.set(set, `type ipv4_addr; flags dynamic, timeout; timeout ${seconds}s;`)
    draft.chain(chain, [
      `update @${set} { ip saddr timeout ${seconds}s }`,
      `meta l4proto { tcp, udp, sctp } dnat ip to ${ip}:${port}`,
    ])
    return { set, chain }
  })
  const choices = targets.map(({ chain }, index) => `${index} : goto ${chain}`).join(', ')
  draft.chain(`pick-${name}`, [
    ...targets.map(({ set, chain }) => `ip saddr @${set} goto ${chain}`),
    `numgen random mod ${backends.length} vmap { ${choices} }`,
  ])
  return `pick-${name}`
}
