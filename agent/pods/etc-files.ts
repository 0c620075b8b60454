// The three files that a pod's containers find in /etc, as kubelet and dockershim write them: pure
// text here, the worker puts it on disk.

import type { Pod } from '#shared/api/pod.ts'
import type { DnsSettings } from '../network/network.ts'
import { hostnameOf } from './env.ts'

/** What cluster names end in. */
const DOMAIN = 'cluster.local'

const OWN_HOSTS = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'fe00::0\tip6-mcastprefix',
  'fe00::1\tip6-allnodes',
  'fe00::2\tip6-allrouters',
]

/** /etc/hosts. `hostHosts`: the node's own, for pods in its network. */
export function hostsText(pod: Pod, podIP: string, hostHosts: string): string {
  const { hostNetwork, subdomain, hostAliases = [] } = pod.spec
  const name = hostnameOf(pod)
  const full = subdomain
    ? `${name}.${subdomain}.${pod.metadata.namespace}.svc.${DOMAIN}\t${name}`
    : name
  const head = hostNetwork
    ? ['# Kubernetes-managed hosts file (host network).', hostHosts.trimEnd()]
    : ['# Kubernetes-managed hosts file.', ...OWN_HOSTS, `${podIP}\t${full}`]
  const aliases = hostAliases.map(({ ip, hostnames = [] }) => `${ip}\t${hostnames.join('\t')}`)
  const tail = aliases.length > 0 ? ['', '# Entries added by HostAliases.', ...aliases] : []
  return `${[...head, ...tail].join('\n')}\n`
}

/** /etc/resolv.conf. */
export function resolvConfText({ nameservers, searches, options }: DnsSettings): string {
  const lines = [
    ...nameservers.map((server) => `nameserver ${server}`),
    ...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
  ]
  return lines.map((line) => `${line}\n`).join('')
}
