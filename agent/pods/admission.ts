// What a node refuses before it begins with a pod, in kubelet's words. Pure.
// Sysctls: pkg/kubelet/sysctl (allowlist.go, safe_sysctls.go).

import { isRecord } from '../json.ts'
import type { Pod } from '#shared/api/pod.ts'

export interface Refusal {
  reason: string
  message: string
}

/** Namespaced, and without influence on any other pod. */
const SAFE_SYSCTLS: ReadonlyMap<string, 'ipc' | 'network'> = new Map([
  ['kernel.shm_rmid_forced', 'ipc'],
  ['net.ipv4.ip_local_port_range', 'network'],
  ['net.ipv4.tcp_syncookies', 'network'],
  ['net.ipv4.ping_group_range', 'network'],
  ['net.ipv4.ip_unprivileged_port_start', 'network'],
  ['net.ipv4.ip_local_reserved_ports', 'network'],
  ['net.ipv4.tcp_keepalive_time', 'network'],
  ['net.ipv4.tcp_fin_timeout', 'network'],
  ['net.ipv4.tcp_keepalive_intvl', 'network'],
  ['net.ipv4.tcp_keepalive_probes', 'network'],
  ['net.ipv4.tcp_rmem', 'network'],
  ['net.ipv4.tcp_wmem', 'network'],
])

/** Why this node does not take the pod; undefined: it does. */
export function refusalOf(pod: Pod): Refusal | undefined {
  const list = pod.spec.securityContext?.['sysctls']
  for (const sysctl of Array.isArray(list) ? list.filter(isRecord) : []) {
    const why = forbidden(String(sysctl['name']), pod)
    if (why) return { reason: 'SysctlForbidden', message: `forbidden sysctl: ${why}` }
  }
  return undefined
}

function forbidden(given: string, { spec }: Pod): string | undefined {
  const name = withDots(given)
  const space = SAFE_SYSCTLS.get(name)
  if (!space) return `"${name}" not allowlisted`
  if (space === 'ipc' && spec.hostIPC) return `"${name}" not allowed with host ipc enabled`
  if (space === 'network' && spec.hostNetwork) return `"${name}" not allowed with host net enabled`
  return undefined
}

/** `net/ipv4/conf/eth0.1/x` is `net.ipv4.conf.eth0/1.x`: the first of both says which is which. */
function withDots(name: string): string {
  const [first] = /[./]/.exec(name) ?? []
  if (first !== '/') return name
  return name.replace(/[./]/g, (each) => (each === '/' ? '.' : '/'))
}
