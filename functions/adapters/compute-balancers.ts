// A Service's load balancer on Compute Engine: address, health check, backend service and forwarding
// rule, all of one name, and the firewall rule for its clients. https://cloud.google.com/load-balancing/docs/network

import type { protos } from '@google-cloud/compute'
import type { LoadBalancer, LoadBalancerSpec } from '#shared/ports/compute.ts'
import { isReason, StatusError } from '#shared/status.ts'
import { lastPart } from './compute-calls.ts'
import { deleteFirewall, ensureFirewall } from './compute-firewalls.ts'
import {
  deleteHealthCheck,
  ensureHealthCheck,
  unlessGone,
  unlessThere,
  type GroupContext,
} from './compute-groups.ts'

type Context = Omit<GroupContext, 'image'>
type BackendService = protos.google.cloud.compute.v1.IBackendService
type ForwardingRule = protos.google.cloud.compute.v1.IForwardingRule

const FINGERPRINT_ATTEMPTS = 5
/** More ports than a rule can list are given as a range. */
const PORTS_MAX = 5

export async function applyLoadBalancer(
  context: GroupContext,
  spec: LoadBalancerSpec,
): Promise<LoadBalancer> {
  const { name, region } = spec
  const rule = await getRule(context, name, region)
  // A rule cannot be changed, and holds on to the address and the protocol of its backend service.
  const isRuleGood = rule !== undefined && isSameRule(rule, spec)
  if (rule && !isRuleGood) await deleteRule(context, name, region)
  const address = await ensureAddress(context, spec)
  // Nobody finds the address before its door is open.
  await Promise.all([
    ensureFirewall(context, spec, address),
    ensureHealthCheck(context, { name, region, spec: spec.healthCheck }).then(() =>
      ensureBackendService(context, spec),
    ),
  ])
  if (!isRuleGood) await insertRule(context, spec, address)
  return { name, region, address }
}

export async function deleteLoadBalancer(
  context: Context,
  name: string,
  region: string,
): Promise<void> {
  const { project, calls, clients } = context
  await deleteRule(context, name, region)
  await unlessGone(async () => {
    const services = await clients.backendServices()
    await calls.change(`delete backendServices/${name}`, (requestId, options) =>
      services.delete({ project, region, backendService: name, requestId }, options),
    )
  })
  await deleteHealthCheck(context, name, region)
  await deleteFirewall(context, name)
  await deleteAddress(context, name, region)
}

export async function listLoadBalancers(
  { project, calls, clients }: Context,
  prefix: string,
): Promise<LoadBalancer[]> {
  const rules = await clients.forwardingRules()
  const filter = `name eq "${prefix}[-a-z0-9]*"`
  return calls.read('list forwardingRules', async (options) => {
    const found: LoadBalancer[] = []
    const pages = rules.aggregatedListAsync(
      { project, filter },
      { ...options, autoPaginate: false },
    )
    for await (const [, { forwardingRules }] of pages) {
      for (const { name, region, IPAddress } of forwardingRules ?? []) {
        found.push({ name: name ?? '', region: lastPart(region), address: IPAddress ?? '' })
      }
    }
    return found
  })
}

function getRule(
  { project, calls, clients }: Context,
  name: string,
  region: string,
): Promise<ForwardingRule | undefined> {
  return calls.find(`get forwardingRules/${name}`, async (options) => {
    const rules = await clients.forwardingRules()
    const [rule] = await rules.get({ project, region, forwardingRule: name }, options)
    return rule
  })
}

function isSameRule(rule: ForwardingRule, spec: LoadBalancerSpec): boolean {
  const wanted = portsOf(spec)
  const hasPorts =
    'ports' in wanted
      ? JSON.stringify((rule.ports ?? []).toSorted()) === JSON.stringify(wanted.ports.toSorted())
      : rule.portRange === wanted.portRange
  return (
    hasPorts &&
    rule.IPProtocol === spec.protocol &&
    (spec.address === undefined || spec.address === rule.IPAddress)
  )
}

function portsOf({ ports }: LoadBalancerSpec): { ports: string[] } | { portRange: string } {
  if (ports.length <= PORTS_MAX) return { ports: ports.map(String) }
  return { portRange: `${Math.min(...ports)}-${Math.max(...ports)}` }
}

async function insertRule(
  { project, calls, clients }: Context,
  spec: LoadBalancerSpec,
  address: string,
): Promise<void> {
  const { name, region } = spec
  const rules = await clients.forwardingRules()
  await unlessThere(() =>
    calls.change(`insert forwardingRules/${name}`, (requestId, options) =>
      rules.insert(
        {
          project,
          region,
          requestId,
          forwardingRuleResource: {
            name,
            IPAddress: address,
            IPProtocol: spec.protocol,
            ...portsOf(spec),
            loadBalancingScheme: 'EXTERNAL',
            networkTier: 'PREMIUM',
            backendService: `projects/${project}/regions/${region}/backendServices/${name}`,
          },
        },
        options,
      ),
    ),
  )
}

async function deleteRule(
  { project, calls, clients }: Context,
  name: string,
  region: string,
): Promise<void> {
  const rules = await clients.forwardingRules()
  await unlessGone(() =>
    calls.change(`delete forwardingRules/${name}`, (requestId, options) =>
      rules.delete({ project, region, forwardingRule: name, requestId }, options),
    ),
  )
}

/** The reserved address: it stays the same while the Service stands, whatever happens to the rule. */
async function ensureAddress(context: Context, spec: LoadBalancerSpec): Promise<string> {
  const { project, calls, clients } = context
  const { name, region } = spec
  const addresses = await clients.addresses()
  const find = async (): Promise<string | undefined> =>
    calls.find(`get addresses/${name}`, async (options) => {
      const [address] = await addresses.get({ project, region, address: name }, options)
      return address.address ?? undefined
    })
  const present = await find()
  if (present && (spec.address === undefined || spec.address === present)) return present
  if (present) await deleteAddress(context, name, region)
  const wish = spec.address === undefined ? {} : { address: spec.address }
  await unlessThere(() =>
    calls.change(`insert addresses/${name}`, (requestId, options) =>
      addresses.insert(
        {
          project,
          region,
          requestId,
          addressResource: { name, addressType: 'EXTERNAL', networkTier: 'PREMIUM', ...wish },
        },
        options,
      ),
    ),
  )
  const address = await find()
  if (address) return address
  throw new StatusError('ServiceUnavailable', `the address ${name} has no address yet`)
}

async function deleteAddress(
  { project, calls, clients }: Context,
  name: string,
  region: string,
): Promise<void> {
  const addresses = await clients.addresses()
  await unlessGone(() =>
    calls.change(`delete addresses/${name}`, (requestId, options) =>
      addresses.delete({ project, region, address: name, requestId }, options),
    ),
  )
}

async function ensureBackendService(context: Context, spec: LoadBalancerSpec): Promise<void> {
  const { project, calls, clients } = context
  const { name, region } = spec
  const services = await clients.backendServices()
  const wanted = backendServiceOf(context, spec)
  for (let count = 1; ; count++) {
    const present = await calls.find(`get backendServices/${name}`, async (options) => {
      const [service] = await services.get({ project, region, backendService: name }, options)
      return service
    })
    if (!present) {
      await unlessThere(() =>
        calls.change(`insert backendServices/${name}`, (requestId, options) =>
          services.insert({ project, region, requestId, backendServiceResource: wanted }, options),
        ),
      )
      return
    }
    if (isSameService(present, wanted)) return
    const backendServiceResource = { ...wanted, fingerprint: present.fingerprint ?? null }
    try {
      // Not patch: the client leaves empty lists out, so that the last group could not be taken off.
      await calls.change(`update backendServices/${name}`, (requestId, options) =>
        services.update(
          { project, region, backendService: name, requestId, backendServiceResource },
          options,
        ),
      )
      return
    } catch (error) {
      if (!isReason(error, 'Conflict') || count >= FINGERPRINT_ATTEMPTS) throw error
    }
  }
}

function backendServiceOf({ project }: Context, spec: LoadBalancerSpec): BackendService {
  const { name, region } = spec
  return {
    name,
    protocol: spec.protocol,
    loadBalancingScheme: 'EXTERNAL',
    sessionAffinity: spec.sessionAffinity,
    healthChecks: [`projects/${project}/regions/${region}/healthChecks/${name}`],
    backends: spec.groups.map((group) => ({
      group: `projects/${project}/zones/${group.zone}/instanceGroups/${group.name}`,
      balancingMode: 'CONNECTION',
    })),
    // By default connections stay on a VM that no longer answers.
    connectionTrackingPolicy: { connectionPersistenceOnUnhealthyBackends: 'NEVER_PERSIST' },
  }
}

function isSameService(present: BackendService, wanted: BackendService): boolean {
  const groups = (service: BackendService): string =>
    (service.backends ?? [])
      .map(({ group }) => group?.slice(group.indexOf('/zones/')) ?? '')
      .toSorted()
      .join(' ')
  return (
    groups(present) === groups(wanted) &&
    present.protocol === wanted.protocol &&
    present.sessionAffinity === wanted.sessionAffinity &&
    present.connectionTrackingPolicy?.connectionPersistenceOnUnhealthyBackends ===
      wanted.connectionTrackingPolicy?.connectionPersistenceOnUnhealthyBackends
  )
}
