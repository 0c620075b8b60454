import { describe, expect, it } from 'vitest'
import { NOW, defaulted, meta, refusals } from '#test/support/admission.ts'
import type { IngressClass } from './ingress-class.ts'
import { ingressClassKind } from './ingress-class.ts'
import { ingressKind, type Ingress, type IngressBackend, type HttpIngressPath } from './ingress.ts'

const WEB: IngressBackend = { service: { name: 'web', port: { number: 80 } } }

function anIngress(
  spec: Partial<Ingress['spec']>,
  more: Partial<Ingress['metadata']> = {},
): Ingress {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { ...meta('shop'), ...more },
    spec,
  }
}

function withPath(path: object): Ingress {
  const whole = { pathType: 'Prefix', backend: WEB, ...path } as HttpIngressPath
  return anIngress({ rules: [{ http: { paths: [whole] } }] })
}

function aClass(name: string, isDefault: boolean, seconds = 0): IngressClass {
  const metadata = meta(name, '')
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IngressClass',
    metadata: {
      ...metadata,
      creationTimestamp: new Date(NOW + seconds * 1000).toISOString(),
      ...(isDefault
        ? { annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' } }
        : {}),
    },
    spec: { controller: 'example.com/ingress' },
  }
}

describe('an Ingress', () => {
  it.each<[string, Ingress, string[]]>([
    [
      'with nothing to do',
      anIngress({}),
      ['spec: Invalid value: null: either `defaultBackend` or `rules` must be specified'],
    ],
    [
      'with an address as host',
      anIngress({ rules: [{ host: '10.0.0.1', http: { paths: [] } }] }),
      [
        'spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address',
        'spec.rules[0].http.paths: Required value',
      ],
    ],
    [
      'without a path type',
      withPath({ path: '/', pathType: undefined }),
      ['spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified'],
    ],
    [
      'with a path type of its own',
      withPath({ path: '/', pathType: 'Regex' }),
      [
        'spec.rules[0].http.paths[0].pathType: Unsupported value: "Regex": supported values: "Exact", "ImplementationSpecific", "Prefix"',
      ],
    ],
    [
      'with a path that is not absolute',
      withPath({ path: 'shop' }),
      ['spec.rules[0].http.paths[0].path: Invalid value: "shop": must be an absolute path'],
    ],
    [
      'with a path that climbs',
      withPath({ path: '/a/../b//c/.' }),
      [
        `spec.rules[0].http.paths[0].path: Invalid value: "/a/../b//c/.": must not contain '//'`,
        `spec.rules[0].http.paths[0].path: Invalid value: "/a/../b//c/.": must not contain '/../'`,
        `spec.rules[0].http.paths[0].path: Invalid value: "/a/../b//c/.": cannot end with '/.'`,
      ],
    ],
    [
      'with two kinds of backend',
      withPath({ path: '/', backend: { ...WEB, resource: { kind: 'Bucket', name: 'b' } } }),
      [
        'spec.rules[0].http.paths[0].backend: Invalid value: "": cannot set both resource and service backends',
      ],
    ],
    [
      'with a port by name and by number',
      anIngress({ defaultBackend: { service: { name: 'web', port: { name: 'a', number: 1 } } } }),
      ['spec.defaultBackend: Invalid value: "": cannot set both port name & port number'],
    ],
    [
      'without a port',
      anIngress({ defaultBackend: { service: { name: 'web' } } }),
      ['spec.defaultBackend: Required value: port name or number is required'],
    ],
    [
      'with two classes',
      anIngress(
        { defaultBackend: WEB, ingressClassName: 'a' },
        { annotations: { 'kubernetes.io/ingress.class': 'b' } },
      ),
      [
        'annotations.kubernetes.io/ingress.class: Invalid value: "b": must match `ingressClassName` when both are specified',
      ],
    ],
  ])('%s is refused', (_, ingress, texts) => {
    expect(refusals(ingress)).toEqual(texts)
  })

  it('is refused with a wildcard in the middle of a host', () => {
    const [text] = refusals(
      anIngress({ rules: [{ host: 'a.*.example' }], tls: [{ hosts: ['*.example'] }] }),
    )
    expect(text).toContain(
      `spec.rules[0].host: Invalid value: "a.*.example": a wildcard DNS-1123 subdomain must start with '*.'`,
    )
  })

  it('gets the default class, of several the newest, unless it names one in either way', () => {
    const objects = [aClass('old', true), aClass('new', true, 10), aClass('other', false, 20)]
    const classOf = (ingress: Ingress, old?: Ingress) =>
      defaulted(ingress, { objects, ...(old ? { old } : {}) }).spec.ingressClassName
    const plain = anIngress({ defaultBackend: WEB })
    expect(classOf(plain)).toBe('new')
    expect(classOf(plain, plain)).toBeUndefined()
    expect(classOf(anIngress({ ingressClassName: 'other' }))).toBe('other')
    const annotations = { 'kubernetes.io/ingress.class': 'gce' }
    expect(classOf(anIngress({}, { annotations }))).toBeUndefined()
  })

  it('prints as kubectl prints it', () => {
    const now = { now: NOW }
    const plain = anIngress({ defaultBackend: WEB })
    expect(ingressKind.cells(plain, now)).toEqual(['shop', '<none>', '*', '', '80', '0s'])
    const full = anIngress({
      ingressClassName: 'gce',
      tls: [{ secretName: 's' }],
      rules: ['a', 'b', 'c', 'd', 'e'].map((host) => ({ host })),
    })
    full.status = { loadBalancer: { ingress: [{ ip: '127.0.1.1' }] } }
    expect(ingressKind.cells(full, now)).toEqual([
      'shop',
      'gce',
      'a,b,c + 2 more...',
      '127.0.1.1',
      '80, 443',
      '0s',
    ])
  })
})

describe('an IngressClass', () => {
  const withSpec = (spec: IngressClass['spec']): IngressClass => ({ ...aClass('gce', false), spec })

  it.each<[string, IngressClass['spec'], string[]]>([
    ['without a controller', {}, ['spec.controller: Required value']],
    [
      'with a controller without a domain',
      { controller: 'nginx' },
      [
        'spec.controller: Invalid value: "nginx": must be a domain-prefixed path (such as "acme.io/foo")',
      ],
    ],
    [
      'with a namespace for cluster-wide parameters',
      { controller: 'a.io/b', parameters: { kind: 'K', name: 'n', namespace: 'x' } },
      ["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"],
    ],
    [
      'without a namespace for parameters of one',
      { controller: 'a.io/b', parameters: { kind: 'K', name: 'n', scope: 'Namespace' } },
      ["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"],
    ],
  ])('%s is refused', (_, spec, texts) => {
    expect(refusals(withSpec(spec))).toEqual(texts)
  })

  it('keeps its controller', () => {
    const old = withSpec({ controller: 'a.io/b' })
    expect(refusals(withSpec({ controller: 'a.io/c' }), { old })).toEqual([
      'spec.controller: Invalid value: "a.io/c": field is immutable',
    ])
  })

  it('prints its parameters', () => {
    const parameters = { apiGroup: 'k8s.example.com', kind: 'Settings', name: 'main' }
    const cells = ingressClassKind.cells(withSpec({ controller: 'a.io/b', parameters }), {
      now: NOW,
    })
    expect(cells).toEqual(['gce', 'a.io/b', 'Settings.k8s.example.com/main', '0s'])
  })
})
