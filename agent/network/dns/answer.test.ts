import { describe, expect, test } from 'vitest'
import type { Answer } from 'dns-packet'
import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import type { Service, ServiceSpec } from '#shared/api/service.ts'
import { answerOwn, RCODE } from './answer.ts'
import { ClusterNames } from './cluster-names.ts'

const DNS_IP = '34.118.224.10'

function service(name: string, spec: Partial<ServiceSpec>, namespace = 'default'): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, uid: '', creationTimestamp: '' },
    spec,
  }
}

function slice(endpoints: EndpointSlice['endpoints']): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 's', namespace: 'default', uid: '', creationTimestamp: '' },
    addressType: 'IPv4',
    endpoints,
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  }
}

function cluster(): ClusterNames {
  const names = new ClusterNames('cluster.local', DNS_IP)
  const ports = [
    { name: 'http', port: 80, protocol: 'TCP' as const },
    { port: 81, protocol: 'TCP' as const },
  ]
  names.set(service('web', { clusterIP: '34.118.224.50', ports }), [])
  names.set(service('db', { clusterIP: 'None', ports }), [
    slice([
      { addresses: ['10.4.1.2'], hostname: 'db-0' },
      { addresses: ['10.4.2.2'] },
      { addresses: ['10.4.2.3'], hostname: 'db-2', conditions: { ready: false } },
    ]),
  ])
  names.set(service('empty', { clusterIP: 'None' }), [])
  names.set(service('away', { type: 'ExternalName', externalName: 'Example.com.' }), [])
  return names
}

/** `A 10.4.1.2`, `SRV 8080 target`: one text a record. */
function shown(answer: Answer): string {
  if (answer.type === 'SRV') return `SRV ${answer.data.port} ${answer.data.target}`
  if (answer.type === 'SOA') return `SOA ${answer.data.minimum}`
  const data = 'data' in answer ? answer.data : ''
  return `${answer.type} ${typeof data === 'string' ? data : JSON.stringify(data)}`
}

const ask = (type: string, name: string, names = cluster()) => {
  const answer = answerOwn(names, { type, name })
  return (
    answer && {
      rcode: answer.rcode,
      answers: answer.answers.map(shown).sort(),
      more: [...answer.authorities, ...answer.additionals].map(shown).sort(),
    }
  )
}

const NONE = { rcode: RCODE.noName, answers: [], more: ['SOA 30'] }
const EMPTY = { rcode: RCODE.ok, answers: [], more: ['SOA 30'] }

describe('names of the cluster', () => {
  test.each<[string, string, string[], string[]?]>([
    ['A', 'web.default.svc.cluster.local', ['A 34.118.224.50']],
    ['A', 'WEB.Default.svc.cluster.local.', ['A 34.118.224.50']],
    [
      'SRV',
      '_http._tcp.web.default.svc.cluster.local',
      ['SRV 80 web.default.svc.cluster.local'],
      ['A 34.118.224.50'],
    ],
    ['PTR', '50.224.118.34.in-addr.arpa', ['PTR web.default.svc.cluster.local']],
    ['A', 'db.default.svc.cluster.local', ['A 10.4.1.2', 'A 10.4.2.2']],
    ['A', 'db-0.db.default.svc.cluster.local', ['A 10.4.1.2']],
    ['A', '10-4-2-2.db.default.svc.cluster.local', ['A 10.4.2.2']],
    [
      'SRV',
      '_http._tcp.db.default.svc.cluster.local',
      [
        'SRV 8080 10-4-2-2.db.default.svc.cluster.local',
        'SRV 8080 db-0.db.default.svc.cluster.local',
      ],
      ['A 10.4.1.2', 'A 10.4.2.2'],
    ],
    ['PTR', '2.1.4.10.in-addr.arpa', ['PTR db-0.db.default.svc.cluster.local']],
    ['CNAME', 'away.default.svc.cluster.local', ['CNAME example.com']],
    ['A', '10-4-1-2.default.pod.cluster.local', ['A 10.4.1.2']],
    ['TXT', 'dns-version.cluster.local', ['TXT 1.1.0']],
    ['A', 'ns.dns.cluster.local', [`A ${DNS_IP}`]],
    ['SOA', 'cluster.local', ['SOA 30']],
  ])('%s %s', (type, name, answers, more = []) => {
    expect(ask(type, name)).toEqual({ rcode: RCODE.ok, answers, more })
  })

  test.each([
    ['AAAA', 'web.default.svc.cluster.local'],
    ['MX', 'db.default.svc.cluster.local'],
    ['A', '_http._tcp.web.default.svc.cluster.local'],
    ['A', '_tcp.web.default.svc.cluster.local'],
    ['A', 'default.svc.cluster.local'],
    ['A', 'svc.cluster.local'],
    ['A', 'pod.cluster.local'],
    ['A', 'cluster.local'],
    ['A', '50.224.118.34.in-addr.arpa'],
  ])('%s %s is there, without such a record', (type, name) => {
    expect(ask(type, name)).toEqual(EMPTY)
  })

  test.each([
    ['A', 'nobody.default.svc.cluster.local'],
    ['A', 'web.shop.svc.cluster.local'],
    ['A', 'shop.svc.cluster.local'],
    ['A', 'x.web.default.svc.cluster.local'],
    ['A', 'db-2.db.default.svc.cluster.local'],
    ['A', 'empty.default.svc.cluster.local'],
    ['SRV', '_https._tcp.web.default.svc.cluster.local'],
    ['SRV', '_http._udp.web.default.svc.cluster.local'],
    ['A', '10-4-1-999.default.pod.cluster.local'],
    ['A', 'x.away.default.svc.cluster.local'],
    ['A', 'example.com.default.svc.cluster.local'],
    ['A', 'example.com.cluster.local'],
  ])('%s %s is not there', (type, name) => {
    expect(ask(type, name)).toEqual(NONE)
  })

  test.each(['example.com', 'notcluster.local', '9.9.4.10.in-addr.arpa'])(
    '%s is somebody else’s business',
    (name) => expect(ask('A', name)).toBeUndefined(),
  )

  test('a Service that goes takes its names along', () => {
    const names = cluster()
    for (const name of ['web', 'db', 'empty', 'away']) names.delete('default', name)
    expect(ask('A', 'web.default.svc.cluster.local', names)).toEqual(NONE)
    expect(ask('A', 'default.svc.cluster.local', names)).toEqual(NONE)
    expect(ask('PTR', '2.1.4.10.in-addr.arpa', names)).toBeUndefined()
  })
})
