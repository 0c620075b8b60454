import { describe, expect, test } from 'vitest'
import type { PodSpec } from '#shared/api/pod.ts'
import { dnsOf, parseResolvConf } from './resolv-conf.ts'

const HOST = parseResolvConf(`
# made by the machine
nameserver 169.254.169.254
search old.example
search c.project.internal google.internal
options ndots:2 edns0
`)
const CLUSTER = { server: '10.0.0.10', domain: 'cluster.local' }

function dns(spec: Partial<PodSpec>, cluster: typeof CLUSTER | undefined = CLUSTER) {
  const metadata = { name: 'p', namespace: 'shop', uid: 'u', creationTimestamp: '' }
  return dnsOf(
    { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [], ...spec } },
    { cluster, host: HOST },
  )
}

const CLUSTER_FIRST = {
  nameservers: ['10.0.0.10'],
  searches: [
    'shop.svc.cluster.local',
    'svc.cluster.local',
    'cluster.local',
    'c.project.internal',
    'google.internal',
  ],
  options: ['ndots:5'],
}

describe('a pod’s resolv.conf', () => {
  test('asks the cluster first unless the pod says otherwise', () => {
    expect(dns({})).toEqual(CLUSTER_FIRST)
  })

  test('is the host’s with policy Default, and in the host’s network', () => {
    expect(dns({ dnsPolicy: 'Default' })).toEqual(HOST)
    expect(dns({ hostNetwork: true })).toEqual(HOST)
    expect(dns({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' })).toEqual(CLUSTER_FIRST)
  })

  test('is the host’s where the cluster has no DNS', () => {
    const metadata = { name: 'p', namespace: 'shop', uid: 'u', creationTimestamp: '' }
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [] } }
    expect(dnsOf(pod, { cluster: undefined, host: HOST })).toEqual(HOST)
  })

  test('is only what dnsConfig says with policy None', () => {
    const dnsConfig = {
      nameservers: ['1.1.1.1'],
      searches: ['my.example'],
      options: [{ name: 'ndots', value: '1' }, { name: 'edns0' }],
    }
    expect(dns({ dnsPolicy: 'None', dnsConfig })).toEqual({
      nameservers: ['1.1.1.1'],
      searches: ['my.example'],
      options: ['ndots:1', 'edns0'],
    })
  })

  test('takes dnsConfig besides its policy; an option of that name is replaced', () => {
    const dnsConfig = { searches: ['my.example'], options: [{ name: 'ndots', value: '2' }] }
    const made = dns({ dnsConfig })
    expect(made.searches.at(-1)).toBe('my.example')
    expect(made.options).toEqual(['ndots:2'])
  })

  test('has at most three servers', () => {
    const dnsConfig = { nameservers: ['1.1.1.1', '1.1.1.2', '1.1.1.3'] }
    expect(dns({ dnsConfig }).nameservers).toEqual(['10.0.0.10', '1.1.1.1', '1.1.1.2'])
  })
})
