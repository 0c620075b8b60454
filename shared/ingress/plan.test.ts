import { describe, expect, test } from 'vitest'
import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import type { Ingress } from '#shared/api/ingress.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { NodePool } from '#shared/api/node-pool.ts'
import { aNode, aPod, aService, meta } from '#test/support/objects.ts'
import { viewOf } from '#test/support/view-of.ts'
import { planIngresses, type IngressPlan } from './plan.ts'

const ZONE = 'us-east1-c'
const WEB = { service: { name: 'web', port: { number: 80 } } }

function anIngress(
  name: string,
  spec: Ingress['spec'],
  more: Partial<Ingress['metadata']> = {},
): Ingress {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { ...meta(name), ...more },
    spec,
  }
}

function aSlice(service: string, endpoints: EndpointSlice['endpoints']): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { ...meta(`${service}-1`), labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    endpoints,
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
  }
}

const POOL: NodePool = {
  apiVersion: 'container.wherry.dev/v1',
  kind: 'NodePool',
  metadata: { ...meta('pool'), namespace: '' },
  spec: { nodeCount: 1, zone: ZONE, machineType: 'e2-medium', diskSizeGb: 10, spot: false },
}

function plan(...objects: KubeObject[]): IngressPlan {
  return planIngresses(viewOf(POOL, ...objects), { entry: 'k8s1-e', healthCheckIntervalSeconds: 1 })
}

function problems(made: IngressPlan): string[] {
  return [...made.problems.values()].flat()
}

function onPath(path: object): Ingress['spec'] {
  const whole = { path: '/', pathType: 'Prefix' as const, backend: WEB, ...path }
  return { rules: [{ http: { paths: [whole] } }] }
}

describe('what is served', () => {
  const classOf = (name: string, controller: string): KubeObject & { spec: object } => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IngressClass',
    metadata: { ...meta(name), namespace: '' },
    spec: { controller },
  })
  const annotated = (value: string) => ({ annotations: { 'kubernetes.io/ingress.class': value } })

  test.each<[string, Ingress, boolean]>([
    ['without a class', anIngress('i', { defaultBackend: WEB }), true],
    ['of our class', anIngress('i', { defaultBackend: WEB, ingressClassName: 'ours' }), true],
    ['of another', anIngress('i', { defaultBackend: WEB, ingressClassName: 'nginx' }), false],
    [
      'of one that is not there',
      anIngress('i', { defaultBackend: WEB, ingressClassName: 'x' }),
      false,
    ],
    ['annotated gce', anIngress('i', { defaultBackend: WEB }, annotated('gce')), true],
    ['annotated nginx', anIngress('i', { defaultBackend: WEB }, annotated('nginx')), false],
    [
      'that leaves',
      anIngress('i', { defaultBackend: WEB }, { deletionTimestamp: '2027-01-15T08:00:00Z' }),
      false,
    ],
  ])('an Ingress %s: %#', (_, ingress, isServed) => {
    const classes = [
      classOf('ours', 'wherry.dev/ingress'),
      classOf('nginx', 'k8s.io/ingress-nginx'),
    ]
    expect(plan(ingress, aService('web'), ...classes).spec !== undefined).toBe(isServed)
  })
})

describe('endpoints', () => {
  const node = aNode('vm-1', { labels: { 'topology.kubernetes.io/zone': 'us-east1-d' } })
  const endpoint = (ip: string, conditions: object, more: object = {}) => ({
    addresses: [ip],
    conditions,
    nodeName: 'vm-1',
    zone: ZONE,
    ...more,
  })

  test('are the ready pods with their own addresses, by zone', () => {
    const { groups, spec } = plan(
      anIngress('i', { defaultBackend: WEB }),
      aService('web'),
      node,
      aSlice('web', [
        endpoint('10.4.0.2', { ready: true }),
        endpoint('10.4.0.3', { ready: false, serving: true, terminating: true }),
        endpoint('10.4.0.4', { ready: false }),
        endpoint('10.4.0.5', { ready: true }, { zone: undefined }),
        endpoint('10.4.0.6', { ready: true }, { nodeName: undefined }),
      ]),
    )
    expect(groups.map(({ zone, endpoints }) => [zone, endpoints])).toEqual([
      [ZONE, [{ instance: 'vm-1', ip: '10.4.0.2', port: 8080 }]],
      ['us-east1-d', [{ instance: 'vm-1', ip: '10.4.0.5', port: 8080 }]],
    ])
    expect(spec?.backends).toMatchObject([{ zones: [ZONE, 'us-east1-d'] }])
  })

  test('are probed as their readiness probe does it', () => {
    const pod = aPod('web-1', {
      spec: {
        containers: [
          {
            name: 'web',
            image: 'i',
            ports: [{ name: 'http', containerPort: 8080 }],
            readinessProbe: { httpGet: { path: '/up', port: 'http' } },
          },
        ],
      },
    })
    const slice = aSlice('web', [
      endpoint('10.4.0.2', { ready: true }, { targetRef: { kind: 'Pod', name: 'web-1' } }),
    ])
    const ingress = anIngress('i', { defaultBackend: WEB })
    expect(plan(ingress, aService('web'), slice, pod).spec?.backends).toMatchObject([
      { healthCheck: { path: '/up', intervalSeconds: 1 } },
    ])
    expect(plan(ingress, aService('web'), slice).spec?.backends[0]?.healthCheck).toEqual({
      intervalSeconds: 1,
    })
  })
})

describe('what cannot be served', () => {
  test.each<[string, Ingress['spec'], string]>([
    [
      'a service that is not there',
      onPath({ backend: { service: { name: 'nope', port: { number: 80 } } } }),
      'could not find service "default/nope"',
    ],
    [
      'a port that is not there',
      onPath({ backend: { service: { name: 'web', port: { number: 81 } } } }),
      'could not find port "81" in service "default/web"',
    ],
    [
      'a resource',
      onPath({ backend: { resource: { kind: 'Bucket', name: 'pictures' } } }),
      'backend "Bucket/pictures" is a resource, only services are supported',
    ],
    [
      'a star in an exact path',
      onPath({ path: '/a*', pathType: 'Exact' }),
      `invalid path "/a*" for path type Exact, must not contain '*'`,
    ],
    [
      'a star in the middle',
      onPath({ path: '/a*b', pathType: 'ImplementationSpecific' }),
      `invalid path "/a*b", the only '*' may follow the last '/'`,
    ],
    [
      'a Secret that is not there',
      { defaultBackend: WEB, tls: [{ secretName: 'keys' }] },
      'secret "default/keys" does not exist',
    ],
  ])('%s is said', (_, spec, problem) => {
    expect(problems(plan(anIngress('i', spec), aService('web')))).toEqual([problem])
  })

  test('leaves the rest of it as it is', () => {
    const made = plan(
      anIngress('i', {
        rules: [
          {
            http: {
              paths: [
                { path: '/', pathType: 'Prefix', backend: WEB },
                {
                  path: '/gone',
                  pathType: 'Prefix',
                  backend: { service: { name: 'nope', port: { number: 80 } } },
                },
              ],
            },
          },
        ],
      }),
      aService('web'),
    )
    const backend = expect.stringMatching(/^k8s1-e-default-web-80-[0-9a-f]{8}$/)
    expect(made.spec?.http).toEqual({
      hosts: [{ host: '*', rules: [{ paths: ['/gone', '/gone/*'] }, { paths: ['/*'], backend }] }],
    })
  })

  test('of two that want the same, the older one has it', () => {
    const older = anIngress('z', onPath({ path: '/a' }), {
      creationTimestamp: '2027-01-14T08:00:00Z',
    })
    const newer = anIngress(
      'a',
      onPath({ path: '/a', backend: { service: { name: 'api', port: { number: 80 } } } }),
    )
    const made = plan(newer, older, aService('web'), aService('api'))
    expect(made.problems.get('uid-a')).toEqual([
      'host "*" and path "/a" are already served by ingress "default/z"',
      'host "*" and path "/a/*" are already served by ingress "default/z"',
    ])
    expect(made.problems.get('uid-z')).toBeUndefined()
  })
})

describe('certificates', () => {
  const secret = (name: string, data: Record<string, string>): KubeObject & { data: object } => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: meta(name),
    data,
  })
  const keys = secret('keys', { 'tls.crt': btoa('CERT'), 'tls.key': btoa('KEY') })

  test('open port 443 beside port 80', () => {
    const { spec, certificateUsers } = plan(
      anIngress('i', { defaultBackend: WEB, tls: [{ secretName: 'keys' }] }),
      anIngress('j', { defaultBackend: WEB, tls: [{ secretName: 'keys' }] }),
      aService('web'),
      keys,
    )
    const name = expect.stringMatching(/^k8s1-e-cr-[0-9a-f]{16}$/)
    expect(spec?.https?.certificates).toEqual([{ name, certificate: 'CERT', privateKey: 'KEY' }])
    expect(spec?.http).toMatchObject({ fallback: {} })
    expect([...certificateUsers.values()]).toEqual([['uid-i', 'uid-j']])
  })

  test('and an Ingress that allows no HTTP is at port 443 only', () => {
    const spec = { rules: [{ host: 'a.example' }], tls: [{ secretName: 'keys' }] }
    const closed = anIngress('i', spec, {
      annotations: { 'kubernetes.io/ingress.allow-http': 'false' },
    })
    const alone = plan(closed, keys)
    expect(alone.spec).not.toHaveProperty('http')
    const both = plan(closed, anIngress('j', { rules: [{ host: 'b.example' }] }), keys)
    expect(both.spec?.http?.hosts.map(({ host }) => host)).toEqual(['b.example'])
    expect(both.spec?.https?.hosts.map(({ host }) => host)).toEqual(['a.example', 'b.example'])
  })

  test('that lack a half are said', () => {
    const made = plan(
      anIngress('i', { defaultBackend: WEB, tls: [{ secretName: 'keys' }] }),
      aService('web'),
      secret('keys', { 'tls.crt': btoa('CERT') }),
    )
    expect(problems(made)).toEqual([`secret "default/keys" has no 'tls.key'`])
    expect(made.spec).not.toHaveProperty('https')
  })
})
