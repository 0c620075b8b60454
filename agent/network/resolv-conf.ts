// A pod's resolv.conf by its dnsPolicy and dnsConfig, as kubelet makes it (pkg/kubelet/network/dns):
// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy

import { readFileSync } from 'node:fs'
import type { Pod } from '#shared/api/pod.ts'
import { isRecord } from '../json.ts'
import type { DnsSettings } from './network.ts'

/** The cluster's own DNS server, and the domain of its names (`cluster.local`). */
export interface ClusterDns {
  server: string
  domain: string
}

/** What resolvers and kubelet take at most. */
const NAMESERVERS_MAX = 3
const SEARCHES_MAX = 32
const SEARCH_CHARACTERS_MAX = 2048

/**
 * How the pod finds names. Without a cluster DNS (`cluster` undefined) ClusterFirst falls back to the
 * host's, as kubelet does.
 */
export function dnsOf(
  pod: Pod,
  { cluster, host }: { cluster: ClusterDns | undefined; host: DnsSettings },
): DnsSettings {
  const { dnsPolicy = 'ClusterFirst', hostNetwork, dnsConfig } = pod.spec
  const isCluster =
    dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && !hostNetwork)
  const base =
    dnsPolicy === 'None'
      ? { nameservers: [], searches: [], options: [] }
      : isCluster && cluster
        ? clusterFirst(pod.metadata.namespace ?? '', cluster, host)
        : host
  return {
    nameservers: unique([...base.nameservers, ...texts(dnsConfig?.['nameservers'])]).slice(
      0,
      NAMESERVERS_MAX,
    ),
    searches: fitting(unique([...base.searches, ...texts(dnsConfig?.['searches'])])),
    options: mergeOptions(base.options, dnsConfig?.['options']),
  }
}

/** The machine's own settings. */
export function hostDns(path = '/etc/resolv.conf'): DnsSettings {
  try {
    return parseResolvConf(readFileSync(path, 'utf8'))
  } catch {
    return { nameservers: [], searches: [], options: [] }
  }
}

/** Reads a resolv.conf; the last `search` counts, as for the C library. */
export function parseResolvConf(text: string): DnsSettings {
  const nameservers: string[] = []
  const options: string[] = []
  let searches: string[] = []
  for (const line of text.split('\n')) {
    const [key, ...words] = line.trim().split(/\s+/)
    if (key === 'nameserver' && words[0]) nameservers.push(words[0])
    if (key === 'search') searches = words
    if (key === 'options') options.push(...words)
  }
  return { nameservers, searches, options: unique(options) }
}

function clusterFirst(
  namespace: string,
  { server, domain }: ClusterDns,
  host: DnsSettings,
): DnsSettings {
  return {
    nameservers: [server],
    searches: unique([`${namespace}.svc.${domain}`, `svc.${domain}`, domain, ...host.searches]),
    options: ['ndots:5'],
  }
}

/** An option of the pod replaces the one of that name. */
function mergeOptions(base: readonly string[], more: unknown): string[] {
  const merged = new Map(base.map((option) => [option.split(':')[0] ?? option, option]))
  for (const each of Array.isArray(more) ? more.filter(isRecord) : []) {
    const { name, value } = each
    if (typeof name !== 'string' || name === '') continue
    merged.set(name, typeof value === 'string' && value !== '' ? `${name}:${value}` : name)
  }
  return [...merged.values()]
}

function fitting(searches: readonly string[]): string[] {
  const kept: string[] = []
  for (const search of searches.slice(0, SEARCHES_MAX)) {
    if ([...kept, search].join(' ').length > SEARCH_CHARACTERS_MAX) break
    kept.push(search)
  }
  return kept
}

function unique(list: readonly string[]): string[] {
  return [...new Set(list)]
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}
