// A pod's interface: a point-to-point veth with a /32, as Calico makes it. No bridge, so no
// br_netfilter; no ARP, because both ends know each other's hardware address. The VM routes the pod's
// address to its link, the VPC routes the VM's range to the VM: flat, without an overlay.

import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { isRecord } from '../../json.ts'
import { POD_LINK_PREFIX } from './base-table.ts'
import { run } from './programs.ts'

/** That of the VPC: Google Cloud's default, so no packet is fragmented on the way. */
const MTU = 1460
/** The pod's next hop. It is nobody's address: the neighbour entry says where it is. */
const GATEWAY = '169.254.1.1'
const HOST_MAC = 'ee:ee:ee:ee:ee:ee'

/** An interface's name has at most 15 characters. */
const HASH_CHARACTERS = 11

/** The name of the pod's link on the VM: the same after a restart of the agent. */
export function linkNameOf(uid: string): string {
  const hash = createHash('sha256').update(uid).digest('hex')
  return `${POD_LINK_PREFIX}${hash.slice(0, HASH_CHARACTERS)}`
}

/**
 * Makes the link from the VM into the network namespace of `pid`, unless it is there already. Nothing
 * passes through it before `isolated` has resolved.
 */
export async function ensureLink(
  name: string,
  { pid, ip, nodeIp }: { pid: number; ip: string; nodeIp: string },
  isolated: Promise<void>,
): Promise<void> {
  const mac = macOf(ip)
  const add = [
    `link add ${name} address ${HOST_MAC} mtu ${MTU} type veth ` +
      `peer name eth0 address ${mac} mtu ${MTU} netns ${pid}`,
  ]
  try {
    await batch(add)
  } catch (error) {
    if (!/File exists/.test(String(error))) throw error
    if (await isConnected(name, pid, ip)) return isolated
    await removeLink(name)
    await batch(add)
  }
  // A pod could reach the VM by link-local addresses that no rule of ours is about.
  withoutIpv6(name)
  await Promise.all([isolated, connectPod(pid, ip)])
  await batch([
    `link set ${name} up`,
    `neigh replace ${ip} lladdr ${mac} dev ${name} nud permanent`,
    // Probes come from the node's address, not from one of another interface.
    `route replace ${ip}/32 dev ${name} src ${nodeIp}`,
  ])
}

/** The pod's end: its address, and the one way out. */
function connectPod(pid: number, ip: string): Promise<void> {
  const lines = [
    'link set lo up',
    `addr add ${ip}/32 dev eth0`,
    'link set eth0 up',
    `neigh replace ${GATEWAY} lladdr ${HOST_MAC} dev eth0 nud permanent`,
    `route add ${GATEWAY} dev eth0 scope link`,
    `route add default via ${GATEWAY} dev eth0`,
  ]
  return batch(lines, pid)
}

/** It goes by itself with the pod's namespace; an earlier call may have taken it. */
export async function removeLink(name: string): Promise<void> {
  await run('ip', ['link', 'delete', 'dev', name]).catch((error: unknown) => {
    if (!/Cannot find device/.test(String(error))) throw error
  })
}

/** The links of pods that are there. */
export async function podLinks(): Promise<string[]> {
  const json: unknown = JSON.parse(await run('ip', ['-j', 'link', 'show', 'type', 'veth']))
  const names = Array.isArray(json) ? json.filter(isRecord).map(({ ifname }) => String(ifname)) : []
  return names.filter((name) => name.startsWith(POD_LINK_PREFIX))
}

/** True when the VM has the link, and the pod the address at its other end. */
async function isConnected(name: string, pid: number, ip: string): Promise<boolean> {
  // One that an earlier attempt has left half-made is not up.
  const link = await run('ip', ['-j', 'link', 'show', 'dev', name, 'up']).catch(() => '')
  if (!link.includes(`"ifname":"${name}"`)) return false
  const show = [...inside(pid), 'ip', '-j', 'addr', 'show', 'dev', 'eth0', 'up']
  const text = await run('nsenter', show).catch(() => '')
  return text.includes(`"local":"${ip}"`)
}

async function batch(lines: readonly string[], pid?: number): Promise<void> {
  const input = `${lines.join('\n')}\n`
  if (pid === undefined) await run('ip', ['-batch', '-'], input)
  else await run('nsenter', [...inside(pid), 'ip', '-batch', '-'], input)
}

function inside(pid: number): string[] {
  return [`--net=/proc/${pid}/ns/net`, '--']
}

/** `0a:58:` and the address: unique on the node, and the same after a restart. */
function macOf(ip: string): string {
  const bytes = ip.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))
  return ['0a', '58', ...bytes].join(':')
}

function withoutIpv6(link: string): void {
  try {
    writeFileSync(`/proc/sys/net/ipv6/conf/${link}/disable_ipv6`, '1')
  } catch {
    // A kernel without IPv6 has nothing to switch off.
  }
}
