// What every HttpBalancers driver must do. `open` answers a driver on an empty project, VMs that endpoints
// may be on, and what ends it.

import { afterEach, describe, expect, test } from 'vitest'
import type {
  HttpBackendSpec,
  HttpBalancers,
  HttpBalancerSpec,
  HttpEndpoint,
} from '#shared/ports/http-balancers.ts'
import { isReason } from '#shared/status.ts'
import { selfSigned } from '../support/certificates.ts'
import { eventually } from '../support/eventually.ts'

export interface HttpBalancersUnderTest {
  balancers: HttpBalancers
  zone: string
  /** Endpoints that answer probes. */
  endpoints: readonly [HttpEndpoint, HttpEndpoint, HttpEndpoint]
  close: () => Promise<void>
}

const NAME = 'k8s1-12345678'
const WEB = `${NAME}-default-web-80-1a2b3c4d`
const API = `${NAME}-default-api-80-5e6f7a8b`

function aBackend(
  name: string,
  zone: string,
  wishes: Partial<HttpBackendSpec> = {},
): HttpBackendSpec {
  return {
    name,
    zones: [zone],
    healthCheck: { intervalSeconds: 1 },
    sessionAffinity: 'NONE',
    drainingSeconds: 5,
    ...wishes,
  }
}

function aSpec(zone: string, wishes: Partial<HttpBalancerSpec> = {}): HttpBalancerSpec {
  return {
    name: NAME,
    backends: [aBackend(WEB, zone)],
    http: {
      hosts: [
        { host: 'shop.example', rules: [{ paths: ['/*'], backend: WEB }, { paths: ['/none'] }] },
      ],
    },
    ...wishes,
  }
}

/** Runs the HttpBalancers contract on a driver. */
export function httpBalancersContract(
  name: string,
  open: () => Promise<HttpBalancersUnderTest>,
): void {
  describe(`${name} keeps the HttpBalancers contract`, () => {
    const closing: (() => Promise<void>)[] = []
    afterEach(async () => {
      for (const close of closing.splice(0)) await close()
    })
    const opened = async (): Promise<HttpBalancersUnderTest> => {
      const world = await open()
      closing.push(world.close)
      return world
    }
    balancerCases(opened)
    endpointCases(opened)
  })
}

function balancerCases(opened: () => Promise<HttpBalancersUnderTest>): void {
  test('a balancer has an address, and keeps it through every change', async () => {
    const { balancers, zone } = await opened()
    const first = await balancers.apply(aSpec(zone))
    expect(first).toMatchObject({ name: NAME, refused: {} })
    expect(first.address).toMatch(/^\d+\.\d+\.\d+\.\d+$/)
    expect(await balancers.apply(aSpec(zone))).toEqual(first)
    const changed = aSpec(zone, {
      backends: [
        aBackend(API, zone, { healthCheck: { path: '/up', intervalSeconds: 2 } }),
        aBackend(WEB, zone, { sessionAffinity: 'CLIENT_IP' }),
      ],
      http: {
        fallback: { backend: API },
        hosts: [{ host: '*', rules: [{ paths: ['/web'], backend: WEB }], fallback: {} }],
      },
    })
    expect(await balancers.apply(changed)).toEqual(first)
    expect(await balancers.list('k8s1-')).toEqual([{ name: NAME, address: first.address }])
    expect(await balancers.list('k8s1-9')).toEqual([])
  })

  test('a health check becomes another one, and another kind of one', async () => {
    const { balancers, zone, endpoints } = await opened()
    const probed = (healthCheck: HttpBackendSpec['healthCheck']): HttpBalancerSpec =>
      aSpec(zone, { backends: [aBackend(WEB, zone, { healthCheck })] })
    const { address } = await balancers.apply(probed({ intervalSeconds: 1 }))
    await balancers.setEndpoints({ backend: WEB, zone }, endpoints)
    for (const path of ['/healthz', '/', undefined]) {
      const healthCheck = { intervalSeconds: 1, ...(path === undefined ? {} : { path }) }
      expect((await balancers.apply(probed(healthCheck))).address).toBe(address)
    }
  })

  test('a backend that is not wanted any more goes with its endpoints', async () => {
    const { balancers, zone, endpoints } = await opened()
    const both = aSpec(zone, { backends: [aBackend(API, zone), aBackend(WEB, zone)] })
    await balancers.apply(both)
    await balancers.setEndpoints({ backend: API, zone }, [endpoints[0]])
    await balancers.apply(aSpec(zone))
    const gone = await balancers.endpoints({ backend: API, zone }).catch((error: unknown) => error)
    expect(isReason(gone, 'NotFound')).toBe(true)
    await balancers.apply(both)
    expect(await balancers.endpoints({ backend: API, zone })).toEqual([])
  })

  test('a certificate that is no good is named, and the others serve', async () => {
    const { balancers, zone } = await opened()
    const [good, other] = await Promise.all([selfSigned('a.example'), selfSigned('b.example')])
    const certificates = [
      { name: `${NAME}-cr-good`, ...good },
      { name: `${NAME}-cr-torn`, certificate: other.certificate, privateKey: good.privateKey },
      { name: `${NAME}-cr-bad`, certificate: 'nothing', privateKey: 'nothing' },
    ]
    const { refused } = await balancers.apply(aSpec(zone, { https: { hosts: [], certificates } }))
    expect(Object.keys(refused).toSorted()).toEqual([`${NAME}-cr-bad`, `${NAME}-cr-torn`])
    expect(refused[`${NAME}-cr-bad`]).toContain('could not be parsed')
    expect(JSON.stringify(refused)).not.toContain('PRIVATE KEY')
    // Another one takes its place; without any the port is closed.
    const next = [{ name: `${NAME}-cr-next`, ...other }]
    expect(
      await balancers.apply(aSpec(zone, { https: { hosts: [], certificates: next } })),
    ).toMatchObject({ refused: {} })
    expect(await balancers.apply(aSpec(zone))).toMatchObject({ refused: {} })
  })

  test('a removed balancer is gone, however often it is removed', async () => {
    const { balancers, zone, endpoints } = await opened()
    const certificates = [{ name: `${NAME}-cr-a`, ...(await selfSigned('a.example')) }]
    await balancers.apply(aSpec(zone, { https: { hosts: [], certificates } }))
    await balancers.setEndpoints({ backend: WEB, zone }, [endpoints[0]])
    await balancers.remove(NAME)
    await balancers.remove(NAME)
    expect(await balancers.list('')).toEqual([])
  })
}

function endpointCases(opened: () => Promise<HttpBalancersUnderTest>): void {
  test('a group has the endpoints that it was given last', async () => {
    const { balancers, zone, endpoints } = await opened()
    const [one, two, three] = endpoints
    const group = { backend: WEB, zone }
    await balancers.apply(aSpec(zone))
    expect(await balancers.endpoints(group)).toEqual([])
    await balancers.setEndpoints(group, [one, two])
    await balancers.setEndpoints(group, [two, three])
    await balancers.setEndpoints(group, [two, three])
    const found = await eventually(async () => {
      const list = await balancers.endpoints(group)
      expect(list.every(({ isHealthy }) => isHealthy)).toBe(true)
      return list
    })
    expect(new Set(found.map(({ ip, port }) => `${ip}:${port}`))).toEqual(
      new Set([two, three].map(({ ip, port }) => `${ip}:${port}`)),
    )
    await balancers.apply(aSpec(zone, { backends: [aBackend(WEB, zone, { drainingSeconds: 9 })] }))
    expect(await balancers.endpoints(group)).toHaveLength(2)
    await balancers.setEndpoints(group, [])
    expect(await balancers.endpoints(group)).toEqual([])
  })

  test('a group that is not there is NotFound', async () => {
    const { balancers, zone, endpoints } = await opened()
    const error = await balancers
      .setEndpoints({ backend: 'k8s1-none', zone }, [endpoints[0]])
      .catch((reason: unknown) => reason)
    expect(isReason(error, 'NotFound')).toBe(true)
  })
}
