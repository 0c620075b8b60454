import { describe, expect, it } from 'vitest'
import { NOW, defaulted, meta, refusals } from '#test/support/admission.ts'
import type { Situation } from '#test/support/admission.ts'
import { LOAD_BALANCER_FINALIZER } from './node-pool.ts'
import { isInServiceRange } from './service-addresses.ts'
import { serviceCells } from './service-columns.ts'
import type { Service, ServiceSpec } from './service.ts'

function service(spec: ServiceSpec, name = 'web'): Service {
  return { apiVersion: 'v1', kind: 'Service', metadata: meta(name), spec }
}

const HTTP: ServiceSpec = { selector: { run: 'web' }, ports: [{ port: 80 }] }

function nodePorts({ spec }: Service): (number | undefined)[] {
  return (spec.ports ?? []).map((port) => port.nodePort)
}

describe('defaults of a Service', () => {
  it('are those of Kubernetes', () => {
    const { spec, metadata } = defaulted(service(HTTP))
    expect(spec).toMatchObject({
      type: 'ClusterIP',
      sessionAffinity: 'None',
      internalTrafficPolicy: 'Cluster',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
    })
    expect(spec).not.toHaveProperty('externalTrafficPolicy')
    expect(nodePorts({ ...service(HTTP), spec })).toEqual([undefined])
    expect(metadata.finalizers).toBeUndefined()
  })

  it('give it an address that nobody has, the same on every run', () => {
    const first = defaulted(service(HTTP))
    const address = first.spec.clusterIP ?? ''
    expect(isInServiceRange(address)).toBe(true)
    expect(first.spec.clusterIPs).toEqual([address])
    expect(defaulted(service(HTTP))).toEqual(first)

    const taken: Situation = { objects: [{ ...first, metadata: meta('other') }] }
    const second = defaulted(service(HTTP), taken)
    expect(isInServiceRange(second.spec.clusterIP ?? '')).toBe(true)
    expect(second.spec.clusterIP).not.toBe(address)
    expect(refusals(service(HTTP), taken)).toEqual([])
  })

  it('give a balancer node ports and a finalizer', () => {
    const { spec, metadata } = defaulted(service({ ...HTTP, type: 'LoadBalancer' }))
    expect(spec).toMatchObject({
      externalTrafficPolicy: 'Cluster',
      allocateLoadBalancerNodePorts: true,
      sessionAffinity: 'None',
    })
    expect(spec.ports?.[0]?.nodePort).toBeGreaterThanOrEqual(30_000)
    expect(spec.ports?.[0]?.nodePort).toBeLessThanOrEqual(32_767)
    expect(metadata.finalizers).toEqual([LOAD_BALANCER_FINALIZER])
  })

  it('give different ports different node ports, and one number over TCP and UDP the same', () => {
    const ports: ServiceSpec['ports'] = [
      { name: 'a', port: 53, protocol: 'TCP' },
      { name: 'b', port: 53, protocol: 'UDP' },
      { name: 'c', port: 80 },
    ]
    const [a, b, c] = nodePorts(defaulted(service({ type: 'NodePort', ports })))
    expect(a).toBe(b)
    expect(c).not.toBe(a)
  })

  it('give no address to a headless service or a name elsewhere', () => {
    const headless = defaulted(service({ ...HTTP, clusterIP: 'None' })).spec
    expect(headless).toMatchObject({ clusterIP: 'None', clusterIPs: ['None'] })
    const elsewhere = defaulted(service({ type: 'ExternalName', externalName: 'example.com' })).spec
    expect(elsewhere).not.toHaveProperty('clusterIP')
    expect(elsewhere).not.toHaveProperty('ipFamilies')
  })
})

describe('an update of a Service', () => {
  const old = defaulted(service({ ...HTTP, type: 'NodePort' }))

  it('keeps address and node ports that it does not name', () => {
    const next = defaulted(service({ ...HTTP, type: 'LoadBalancer' }), { old })
    expect(next.spec.clusterIP).toBe(old.spec.clusterIP)
    expect(nodePorts(next)).toEqual(nodePorts(old))
    expect(refusals(service({ ...HTTP, type: 'LoadBalancer' }), { old })).toEqual([])
  })

  it('gives node ports back when the type needs none', () => {
    const next = defaulted(service({ ...old.spec, type: 'ClusterIP' }), { old })
    expect(nodePorts(next)).toEqual([undefined])
    expect(next.spec).not.toHaveProperty('externalTrafficPolicy')
  })

  it('may not change the address', () => {
    const moved = {
      ...old,
      spec: { ...old.spec, clusterIP: '34.118.224.99', clusterIPs: ['34.118.224.99'] },
    }
    expect(refusals(moved, { old })).toEqual([
      'spec.clusterIPs[0]: Invalid value: ["34.118.224.99"]: may not change once set',
    ])
  })

  it('may become a name elsewhere, which has no address', () => {
    const spec: ServiceSpec = { ...old.spec, type: 'ExternalName', externalName: 'example.com' }
    expect(refusals(service(spec), { old })).toEqual([])
    expect(defaulted(service(spec), { old }).spec.clusterIP).toBeUndefined()
  })
})

describe('what is wrong with a Service', () => {
  const other = defaulted(
    service({ ...HTTP, type: 'NodePort', ports: [{ port: 80, nodePort: 30_080 }] }, 'other'),
  )

  it.each<[string, ServiceSpec | object, string]>([
    ['no ports', { selector: { a: 'b' } }, 'spec.ports: Required value'],
    [
      'a type that is none',
      { ...HTTP, type: 'Ingress' },
      'spec.type: Unsupported value: "Ingress": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
    ],
    [
      'a port out of range',
      { ports: [{ port: 0 }] },
      'spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
    ],
    [
      'ports without names',
      { ports: [{ port: 80 }, { port: 81, name: 'b' }] },
      'spec.ports[0].name: Required value',
    ],
    [
      'a name twice',
      {
        ports: [
          { port: 80, name: 'a' },
          { port: 81, name: 'a' },
        ],
      },
      'spec.ports[1].name: Duplicate value: "a"',
    ],
    [
      'a port twice',
      {
        ports: [
          { port: 80, name: 'a' },
          { port: 80, name: 'b' },
        ],
      },
      'spec.ports[1]: Duplicate value: {"port":80,"protocol":"TCP"}',
    ],
    [
      'a node port that another has',
      { type: 'NodePort', ports: [{ port: 80, nodePort: 30_080 }] },
      'spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated',
    ],
    [
      'a node port out of range',
      { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] },
      'spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767',
    ],
    [
      'an address that another has',
      { ...HTTP, clusterIP: other.spec.clusterIP },
      `spec.clusterIPs: Invalid value: ["${other.spec.clusterIP}"]: failed to allocate IP ${other.spec.clusterIP}: provided IP is already allocated`,
    ],
    [
      'an address from elsewhere',
      { ...HTTP, clusterIP: '10.0.0.1' },
      'spec.clusterIPs: Invalid value: ["10.0.0.1"]: failed to allocate IP 10.0.0.1: the provided IP (10.0.0.1) is not in the valid range. The range of valid IPs is 34.118.224.0/20',
    ],
    [
      'a headless balancer',
      { ...HTTP, type: 'LoadBalancer', clusterIP: 'None' },
      'spec.clusterIPs[0]: Invalid value: "None": may not be set to \'None\' for LoadBalancer services',
    ],
    ['no name elsewhere', { type: 'ExternalName' }, 'spec.externalName: Required value'],
    [
      'an affinity that is none',
      { ...HTTP, sessionAffinity: 'Cookie' },
      'spec.sessionAffinity: Unsupported value: "Cookie": supported values: "ClientIP", "None"',
    ],
  ])('%s', (_, spec, expected) => {
    expect(refusals(service(spec), { objects: [other] })).toContain(expected)
  })

  it('names must start with a letter', () => {
    expect(refusals(service(HTTP, '1web'))).toEqual([
      "metadata.name: Invalid value: \"1web\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
    ])
  })
})

describe('the row of a Service', () => {
  it.each<[string, ServiceSpec, Service['status'], (string | number)[]]>([
    [
      'a cluster address',
      { type: 'ClusterIP', clusterIP: '34.118.224.1', ports: [{ port: 443, protocol: 'TCP' }] },
      {},
      ['ClusterIP', '34.118.224.1', '<none>', '443/TCP'],
    ],
    [
      'a balancer that waits',
      {
        type: 'LoadBalancer',
        clusterIP: '34.118.224.2',
        ports: [{ port: 80, protocol: 'TCP', nodePort: 30_080 }],
      },
      { loadBalancer: {} },
      ['LoadBalancer', '34.118.224.2', '<pending>', '80:30080/TCP'],
    ],
    [
      'a balancer with an address',
      { type: 'LoadBalancer', clusterIP: '34.118.224.2', ports: [] },
      { loadBalancer: { ingress: [{ ip: '203.0.113.7' }] } },
      ['LoadBalancer', '34.118.224.2', '203.0.113.7', '<none>'],
    ],
    [
      'a headless one',
      { type: 'ClusterIP', clusterIP: 'None', clusterIPs: ['None'] },
      {},
      ['ClusterIP', 'None', '<none>', '<none>'],
    ],
    [
      'a name elsewhere',
      { type: 'ExternalName', externalName: 'example.com' },
      {},
      ['ExternalName', '<none>', 'example.com', '<none>'],
    ],
  ])('%s', (_, spec, status, cells) => {
    const row = serviceCells({ ...service(spec), status }, { now: NOW + 60_000 })
    expect(row).toEqual(['web', ...cells, '60s', '<none>'])
  })
})
