// The emulated VPC: a network namespace that routes between VMs, this machine and nothing else. Every
// packet passes its rules (vpc-rules.ts). A VM hangs on it by a link with addresses of /32 and the
// gateway on-link, as on Google Cloud; its pods' range is a route to it (alias range).

import { addressAt, rangeOf } from '../address-plan.ts'
import { attempt, ip, nft, run } from './run.ts'
import type { Slot } from './slots.ts'
import { vpcRules, type VpcPorts } from './vpc-rules.ts'

/** How one VM hangs on the VPC. */
export interface VmNetwork {
  /** Its place in the VMs' range: names its link, its namespace, its routing table, its mark. */
  number: number
  internalIp: string
  podRange: string
  externalIp: string | undefined
}

export const MTU = 1460
const UPLINK = 'uplink'
/** Kubernetes' Services live in VMs only: such a packet must never leave one. */
const SERVICE_RANGE = '34.118.224.0/20'
/** Less wanted than every real route. */
const LAST = 'metric 4000'
const TABLES_FROM = 1000

export async function createVpcNamespace(slot: Slot, ports: VpcPorts): Promise<void> {
  const { name, plan, uplink } = slot
  await run('ip', ['netns', 'add', name])
  const ranges = (['vms', 'pods', 'external', 'balancers'] as const).map((kind) =>
    rangeOf(plan, kind),
  )
  const { host, prober, vpc, bits } = uplink
  await ip([
    `link add ${name} mtu ${MTU} type veth peer name ${UPLINK} mtu ${MTU} netns ${name}`,
    `addr add ${host}/${bits} dev ${name}`,
    `addr add ${prober}/${bits} dev ${name}`,
    `link set ${name} up`,
  ])
  await ip(
    [
      'link set lo up',
      `addr add ${vpc}/${bits} dev ${UPLINK}`,
      `link set ${UPLINK} up`,
      `addr add ${gatewayOf(slot)}/32 dev lo`,
      // Else what is meant for a VM that is gone would go to and fro between here and the machine.
      ...[...ranges, SERVICE_RANGE].map((range) => `route add unreachable ${range} ${LAST}`),
      `route add default via ${host}`,
    ],
    name,
  )
  const settings = [
    'net.ipv4.ip_forward=1',
    'net.ipv4.conf.all.rp_filter=0',
    'net.ipv4.conf.default.rp_filter=0',
    'net.ipv4.conf.all.send_redirects=0',
    'net.ipv4.conf.default.send_redirects=0',
  ]
  await run('sysctl', ['-qw', ...settings], { netns: name })
  await nft(vpcRules(slot, ports), name)
  // Last: from now on this machine sends into it.
  await ip(ranges.map((range) => `route add ${range} via ${vpc} dev ${name}`))
}

/** Takes the link and its routes away at once, and the namespace as soon as nobody is in it. */
export async function removeVpcNamespace(name: string): Promise<void> {
  for (const link of [name, delayLinkOf(name)]) await attempt(run('ip', ['link', 'del', link]))
  await attempt(run('ip', ['netns', 'del', name]))
}

/** This machine's end of the way through which packets are held back (delays.ts). */
export function delayLinkOf(slotName: string): string {
  return `${slotName}-slow`
}

export function netnsOf(slot: Slot, { number }: Pick<VmNetwork, 'number'>): string {
  return `${slot.name}-${number}`
}

/** The VM's end of its cable, in the VPC. */
export function linkOf({ number }: Pick<VmNetwork, 'number'>): string {
  return `vm${number}`
}

/** The first address of the subnet, on every link, as on Google Cloud. */
export function gatewayOf({ plan }: Slot): string {
  return addressAt(plan.vms, 1)
}

/** Where every VM finds the VPC's image registry. */
export function registryOf(slot: Slot): string {
  return `${gatewayOf(slot)}:5000`
}

/** The VM's namespace and its link, up; what packets of it may go where is known from now on. */
export async function addVmNetwork(slot: Slot, vm: VmNetwork, metadataPort: number): Promise<void> {
  const netns = netnsOf(slot, vm)
  const link = linkOf(vm)
  const gateway = gatewayOf(slot)
  const table = TABLES_FROM + vm.number
  await run('ip', ['netns', 'add', netns])
  await ip(
    [
      `link add ${link} mtu ${MTU} type veth peer name eth0 address ${macOf(vm)} mtu ${MTU} netns ${netns}`,
      `link set ${link} up`,
      `route add ${vm.internalIp}/32 dev ${link}`,
      `route add ${vm.podRange} via ${vm.internalIp} dev ${link} onlink`,
      // What the load balancer has given to this VM, see load-balancer.ts.
      `route add default via ${vm.internalIp} dev ${link} onlink table ${table}`,
      `rule add fwmark ${vm.number} lookup ${table}`,
    ],
    slot.name,
  )
  await ip(
    [
      'link set lo up',
      `addr add ${vm.internalIp}/32 dev eth0`,
      'link set eth0 up',
      `route add ${gateway} dev eth0 scope link`,
      `route add default via ${gateway} dev eth0`,
    ],
    netns,
  )
  await nft(vmElements('add', slot, vm, metadataPort), slot.name)
}

/** The cable is pulled: whoever talks to the VM hears nothing more, not even that it has ended. */
export async function cutVmLink(slot: Slot, vm: VmNetwork): Promise<void> {
  await attempt(run('ip', ['-n', slot.name, 'link', 'set', linkOf(vm), 'down']))
}

export async function removeVmNetwork(
  slot: Slot,
  vm: VmNetwork,
  metadataPort: number,
): Promise<void> {
  const table = TABLES_FROM + vm.number
  await attempt(run('ip', ['-n', slot.name, 'link', 'del', linkOf(vm)]))
  await attempt(
    run('ip', [
      '-n',
      slot.name,
      'rule',
      'del',
      'fwmark',
      String(vm.number),
      'lookup',
      String(table),
    ]),
  )
  await attempt(nft(vmElements('delete', slot, vm, metadataPort), slot.name))
  await attempt(run('ip', ['netns', 'del', netnsOf(slot, vm)]))
}

function vmElements(
  verb: 'add' | 'delete',
  { uplink }: Slot,
  vm: VmNetwork,
  metadataPort: number,
): string {
  const link = linkOf(vm)
  const { internalIp, podRange, externalIp } = vm
  const to = (from: string): string =>
    verb === 'add' ? `${from} : ${uplink.host} . ${metadataPort}` : from
  const pair = (from: string, into: string): string => (verb === 'add' ? `${from} : ${into}` : from)
  const lines = [
    `${verb} element ip vpc metadata { ${to(internalIp)}, ${to(podRange)} }`,
    `${verb} element ip vpc owned { ${link} . ${internalIp}, ${link} . ${podRange} }`,
  ]
  if (externalIp) {
    lines.push(
      `${verb} element ip vpc external { ${pair(externalIp, internalIp)} }`,
      `${verb} element ip vpc external_of { ${pair(internalIp, externalIp)} }`,
    )
  }
  return `${lines.join('\n')}\n`
}

/** Google makes a VM's from its address. */
function macOf({ internalIp }: VmNetwork): string {
  const parts = internalIp.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))
  return `42:01:${parts.join(':')}`
}
