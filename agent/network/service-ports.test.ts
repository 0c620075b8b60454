import { describe, expect, test } from 'vitest'
import type { Endpoint, EndpointSlice } from '#shared/api/endpoint-slice.ts'
import type { Service, ServiceSpec } from '#shared/api/service.ts'
import { planService } from './service-ports.ts'

const NODE = { name: 'n1', ip: '10.128.0.5' }

function serviceOf(spec: Partial<ServiceSpec>, ingress: string[] = []): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default', uid: '', creationTimestamp: '' },
    spec: { clusterIP: '10.8.0.9', ports: [{ port: 80, nodePort: 30_080 }], ...spec },
    status: { loadBalancer: { ingress: ingress.map((ip) => ({ ip })) } },
  }
}

function sliceOf(endpoints: Endpoint[], port: { name?: string; port: number }): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'web-1', namespace: 'default', uid: '', creationTimestamp: '' },
    addressType: 'IPv4',
    endpoints,
    ports: [port],
  }
}

function endpoint(ip: string, nodeName: string, state = 'ready'): Endpoint {
  const conditions = {
    ready: state === 'ready',
    serving: state === 'ready' || state === 'leaving',
    terminating: state === 'leaving',
  }
  return { addresses: [ip], nodeName, conditions }
}

const backends = (...args: Parameters<typeof planService>): string[][] =>
  planService(...args).map((plan) => plan.backends.map(({ ip, port }) => `${ip}:${port}`))

describe('what a node listens for', () => {
  test('one listener for all addresses of a port', () => {
    const service = serviceOf({ type: 'LoadBalancer', externalIPs: ['1.2.3.4'] }, ['127.0.1.1'])
    expect(planService(service, [], NODE)).toEqual([
      {
        key: 'default/web:80:internal',
        backends: [],
        affinitySeconds: undefined,
        routes: [
          '10.128.0.5>10.8.0.9:80/tcp',
          '10.128.0.5:30080/tcp',
          '10.128.0.5>1.2.3.4:80/tcp',
          '10.128.0.5>127.0.1.1:80/tcp',
        ],
      },
    ])
  })

  test.each([
    ['headless', { clusterIP: 'None' }],
    ['by name', { type: 'ExternalName' as const }],
    ['not placed yet', { clusterIP: '' }],
    ['of UDP', { ports: [{ port: 53, protocol: 'UDP' as const }] }],
  ])('nothing for a Service %s', (_, spec) => {
    expect(planService(serviceOf(spec), [], NODE)).toEqual([])
  })

  test('only ready endpoints; those that leave when there is no other', () => {
    const port = { port: 8080 }
    const slice = sliceOf(
      [
        endpoint('10.4.1.2', 'n1'),
        endpoint('10.4.1.3', 'n1', 'unready'),
        endpoint('10.4.1.4', 'n1', 'leaving'),
      ],
      port,
    )
    expect(backends(serviceOf({}), [slice], NODE)).toEqual([['10.4.1.2:8080']])
    const leaving = sliceOf(
      [endpoint('10.4.1.3', 'n1', 'unready'), endpoint('10.4.1.4', 'n1', 'leaving')],
      port,
    )
    expect(backends(serviceOf({}), [leaving], NODE)).toEqual([['10.4.1.4:8080']])
  })

  test('ports are matched by name', () => {
    const spec = {
      ports: [
        { name: 'a', port: 80 },
        { name: 'b', port: 81 },
      ],
    }
    const slices = [
      sliceOf([endpoint('10.4.1.2', 'n1')], { name: 'a', port: 1 }),
      sliceOf([endpoint('10.4.1.2', 'n1')], { name: 'b', port: 2 }),
    ]
    expect(backends(serviceOf(spec), slices, NODE)).toEqual([['10.4.1.2:1'], ['10.4.1.2:2']])
  })

  test('externalTrafficPolicy: Local keeps traffic from outside on the node', () => {
    const slices = [
      sliceOf([endpoint('10.4.1.2', 'n1'), endpoint('10.4.2.2', 'n2')], { port: 8080 }),
    ]
    const service = serviceOf({ type: 'NodePort', externalTrafficPolicy: 'Local' })
    const plans = planService(service, slices, NODE)
    expect(plans.map(({ key, routes }) => [key, routes])).toEqual([
      ['default/web:80:internal', ['10.128.0.5>10.8.0.9:80/tcp']],
      ['default/web:80:external', ['10.128.0.5:30080/tcp']],
    ])
    expect(plans.map((plan) => plan.backends.length)).toEqual([2, 1])
  })

  test('affinity lasts three hours unless said otherwise', () => {
    const spec = { sessionAffinity: 'ClientIP' } as const
    expect(planService(serviceOf(spec), [], NODE)[0]?.affinitySeconds).toBe(10_800)
    const sessionAffinityConfig = { clientIP: { timeoutSeconds: 5 } }
    expect(planService(serviceOf({ ...spec, sessionAffinityConfig }), [], NODE)[0]).toMatchObject({
      affinitySeconds: 5,
    })
  })
})
