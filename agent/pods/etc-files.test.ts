import { describe, expect, test } from 'vitest'
import type { Pod, PodSpec } from '#shared/api/pod.ts'
import { hostsText, resolvConfText } from './etc-files.ts'

function pod(spec: Partial<PodSpec>): Pod {
  const metadata = { name: 'web-0', namespace: 'shop', uid: 'u', creationTimestamp: '' }
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [], ...spec } }
}

describe('a pod’s /etc', () => {
  test('hosts names the pod, with its subdomain where it has one, and its aliases', () => {
    const text = hostsText(
      pod({
        subdomain: 'web',
        hostAliases: [{ ip: '10.1.2.3', hostnames: ['db.local', 'db'] }],
      }),
      '10.4.1.7',
      '',
    )
    expect(text.split('\n').slice(-5)).toEqual([
      '10.4.1.7\tweb-0.web.shop.svc.cluster.local\tweb-0',
      '',
      '# Entries added by HostAliases.',
      '10.1.2.3\tdb.local\tdb',
      '',
    ])
    expect(hostsText(pod({}), '10.4.1.7', '')).toContain('\n10.4.1.7\tweb-0\n')
  })

  test('hosts is the node’s for a pod in its network', () => {
    const text = hostsText(pod({ hostNetwork: true }), '10.128.0.5', '127.0.0.1 localhost\n')
    expect(text).toBe('# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n')
  })

  test('resolv.conf has a line for each server, one for searches, one for options', () => {
    expect(
      resolvConfText({
        nameservers: ['10.0.0.10', '1.1.1.1'],
        searches: ['a.local', 'b.local'],
        options: ['ndots:5'],
      }),
    ).toBe('nameserver 10.0.0.10\nnameserver 1.1.1.1\nsearch a.local b.local\noptions ndots:5\n')
  })
})
