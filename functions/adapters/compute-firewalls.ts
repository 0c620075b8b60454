// The firewall rule of a load balancer: a VPC lets nobody in from outside unless a rule says so. Its
// name is the one that Kubernetes gives it, `k8s-fw-` and the load balancer's name.
// https://cloud.google.com/firewall/docs/firewalls

import type { protos } from '@google-cloud/compute'
import type { LoadBalancerSpec } from '#shared/ports/compute.ts'
import { lastPart } from './compute-calls.ts'
import { unlessGone, unlessThere, type GroupContext } from './compute-groups.ts'

type Firewall = protos.google.cloud.compute.v1.IFirewall

/**
 * Before rules of the default priority: one that closes a port of VMs (infra/terraform's `wherry-never`)
 * is not meant for addresses of load balancers.
 */
const PRIORITY = 999
const EVERYBODY = '0.0.0.0/0'

/** Lets the clients of a load balancer reach its ports, at its address, on VMs of ours. */
export async function ensureFirewall(
  context: GroupContext,
  spec: LoadBalancerSpec,
  address: string,
): Promise<void> {
  const { project, calls, clients } = context
  const wanted = firewallOf(context, spec, address)
  const firewall = firewallName(spec.name)
  const firewalls = await clients.firewalls()
  const present = await calls.find(`get firewalls/${firewall}`, async (options) => {
    const [found] = await firewalls.get({ project, firewall }, options)
    return found
  })
  if (present && isSame(present, wanted)) return
  const body = { project, firewallResource: wanted }
  if (present) {
    await calls.change(`update firewalls/${firewall}`, (requestId, options) =>
      firewalls.update({ ...body, firewall, requestId }, options),
    )
    return
  }
  await unlessThere(() =>
    calls.change(`insert firewalls/${firewall}`, (requestId, options) =>
      firewalls.insert({ ...body, requestId }, options),
    ),
  )
}

/** `name`: the load balancer's. */
export async function deleteFirewall(
  { project, calls, clients }: Pick<GroupContext, 'project' | 'calls' | 'clients'>,
  name: string,
): Promise<void> {
  const firewall = firewallName(name)
  const firewalls = await clients.firewalls()
  await unlessGone(() =>
    calls.change(`delete firewalls/${firewall}`, (requestId, options) =>
      firewalls.delete({ project, firewall, requestId }, options),
    ),
  )
}

function firewallName(balancer: string): string {
  return `k8s-fw-${balancer}`
}

function firewallOf(
  { image }: GroupContext,
  { name, protocol, ports, sourceRanges }: LoadBalancerSpec,
  address: string,
): Firewall {
  return {
    name: firewallName(name),
    description: 'Clients of a Service of type LoadBalancer. Kept by Wherry.',
    network: image.network,
    direction: 'INGRESS',
    priority: PRIORITY,
    sourceRanges: sourceRanges.length > 0 ? sourceRanges : [EVERYBODY],
    destinationRanges: [address],
    allowed: [{ IPProtocol: protocol.toLowerCase(), ports: ports.map(String) }],
    ...(image.tags?.length ? { targetTags: [...image.tags] } : {}),
  }
}

function isSame(present: Firewall, wanted: Firewall): boolean {
  const shown = (rule: Firewall): string =>
    JSON.stringify([
      lastPart(rule.network),
      rule.priority,
      rule.disabled === true,
      (rule.sourceRanges ?? []).toSorted(),
      (rule.destinationRanges ?? []).map((range) => range.replace(/\/32$/, '')),
      (rule.targetTags ?? []).toSorted(),
      (rule.allowed ?? []).map(({ IPProtocol, ports }) => [IPProtocol, (ports ?? []).toSorted()]),
    ])
  return shown(present) === shown(wanted)
}
