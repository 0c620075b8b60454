// The passthrough load balancers of a VPC of its own, in its namespace's kernel: a packet for a load
// balancer's address goes to one healthy VM as it is, with the client's address and its own. Which VM is
// decided by a hash when a connection begins; connection tracking remembers it as a mark, and a routing
// rule for each mark leads to the VM (vpc-namespace.ts).

import type { Context } from '../context.ts'
import { pathOf, nameOf } from '../links.ts'
import {
  chosenBackends,
  type BalancerDeps,
  type Listener,
  type LoadBalancers,
} from '../load-balancer.ts'
import { offsetIn } from '../address-plan.ts'
import type { BackendService, ForwardingRule } from '../state.ts'
import { attempt, nft, run } from './run.ts'
import type { Slot } from './slots.ts'

/** What of a connection is hashed; what else there is counts as no affinity, which is the 5-tuple. */
const HASHED: Readonly<Record<string, string>> = {
  CLIENT_IP: 'ip saddr . ip daddr',
  CLIENT_IP_NO_DESTINATION: 'ip saddr',
  CLIENT_IP_PROTO: 'ip saddr . ip daddr',
}
const NO_AFFINITY = 'ip saddr . ip daddr . th sport . th dport'

export function createKernelBalancers(slot: Slot, deps: BalancerDeps): LoadBalancers {
  const { ctx } = deps
  let loaded = ''
  let pending: Promise<void> = Promise.resolve()
  let isAsked = false
  let isClosed = false

  async function load(): Promise<void> {
    isAsked = false
    if (isClosed) return
    const rules = rulesOf(deps)
    if (rules === loaded) return
    await nft(`flush chain ip vpc balance\n${rules}`, slot.name)
    loaded = rules
  }

  /** After what is under way; once, however often it is asked for meanwhile. */
  function balance(): Promise<void> {
    if (isAsked) return pending
    isAsked = true
    pending = pending.then(load).catch((error: unknown) => {
      ctx.log.error('the load balancers are not what they should be', { error })
    })
    return pending
  }

  /** Established connections to this VM are forgotten: their next packet is given to another. */
  async function forget(
    instance: string,
    isMeant: (service: BackendService) => boolean,
  ): Promise<void> {
    await balance()
    const mark = markOf(ctx, instance)
    if (mark === undefined || isClosed) return
    for (const rule of Object.values(ctx.state.forwardingRules)) {
      const service = serviceOf(ctx, rule)
      if (!service || !isMeant(service)) continue
      // It fails when there is none.
      await attempt(
        run('conntrack', ['-D', '-d', rule.IPAddress, '-m', String(mark)], { netns: slot.name }),
      )
    }
  }

  return {
    balance: () => void balance(),
    refresh: () => balance(),
    listeners: () => Object.values(ctx.state.forwardingRules).flatMap(listenersOf),
    dropConnections: (instance) => void forget(instance, () => true),
    endConnections: (instance) => void forget(instance, isNeverPersisting),
    async close() {
      isClosed = true
      await pending
    },
  }
}

function listenersOf(rule: ForwardingRule): Listener[] {
  const { IPAddress: address } = rule
  const region = nameOf(rule.region)
  return rule.ports.map(Number).map((port) => ({
    rule: rule.name,
    region,
    address,
    port,
    host: address,
    hostPort: port,
  }))
}

function serviceOf({ state }: Context, rule: ForwardingRule): BackendService | undefined {
  return state.backendServices[pathOf(rule.backendService, 'backendService')]
}

/** https://cloud.google.com/load-balancing/docs/network/networklb-backend-service#connection-persistence */
function isNeverPersisting({ connectionTrackingPolicy, protocol }: BackendService): boolean {
  const policy = connectionTrackingPolicy['connectionPersistenceOnUnhealthyBackends']
  if (policy === 'NEVER_PERSIST') return true
  return policy !== 'ALWAYS_PERSIST' && protocol === 'UDP'
}

/** A VM's place in the VMs' range. */
function markOf({ state, plan }: Context, instance: string): number | undefined {
  const ip = state.instances[instance]?.networkInterfaces[0]?.networkIP
  return ip === undefined ? undefined : offsetIn(plan, 'vms', ip)
}

function rulesOf(deps: BalancerDeps): string {
  const { ctx } = deps
  const lines = Object.values(ctx.state.forwardingRules).flatMap((rule) => {
    const service = serviceOf(ctx, rule)
    const marks = (service ? chosenBackends(deps, service) : [])
      .map(([path]) => markOf(ctx, path))
      .filter((mark) => mark !== undefined)
    if (!service || marks.length === 0) return []
    const protocol = rule.IPProtocol.toLowerCase()
    const match = `ip daddr ${rule.IPAddress} ${protocol} dport { ${rule.ports.join(', ')} }`
    return [`add rule ip vpc balance ${match} ct mark set ${choice(marks, service, protocol)}`]
  })
  return lines.map((line) => `${line}\n`).join('')
}

function choice(marks: number[], { sessionAffinity }: BackendService, protocol: string): string {
  if (marks.length === 1) return String(marks[0])
  const hashed = (HASHED[sessionAffinity] ?? NO_AFFINITY).replaceAll('th ', `${protocol} `)
  const map = marks.map((mark, index) => `${index} : ${mark}`).join(', ')
  return `jhash ${hashed} mod ${marks.length} map { ${map} }`
}
