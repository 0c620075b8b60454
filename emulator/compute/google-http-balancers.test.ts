// The HttpBalancers contract on Google's own client library, talking HTTP to the emulator; what the REST
// resources look like then, and what clients of the balancer see.

import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { HttpEndpoint } from '#shared/ports/http-balancers.ts'
import { httpBalancersContract } from '#test/contract/http-balancers.ts'
import {
  openComputeEmulator,
  openGoogleCompute,
  PROJECT,
  type GoogleComputeAt,
  type OpenComputeEmulator,
} from '#test/support/compute-emulator.ts'
import { loopbackPlan } from './address-plan.ts'
import { eventually } from '#test/support/eventually.ts'

const ZONE = 'us-east1-c'
let google: GoogleComputeAt

beforeAll(async () => {
  google = await openGoogleCompute()
})
afterAll(() => google.close())

interface World extends OpenComputeEmulator {
  /** Endpoints of one VM with a server of its own behind each, which says its name. */
  endpoints: [HttpEndpoint, HttpEndpoint, HttpEndpoint]
}

async function openWorld(): Promise<World> {
  const open = await openComputeEmulator({ plan: loopbackPlan('192.0.2') })
  google.use(open.emulator)
  const machineType = `zones/${ZONE}/machineTypes/e2-medium`
  await rest('POST', `zones/${ZONE}/instances`, { name: 'vm-1', machineType })
  const vm = await eventually(async () => {
    const found = await rest('GET', `zones/${ZONE}/instances/vm-1`)
    expect(found).toMatchObject({ status: 'RUNNING' })
    return found as { networkInterfaces: [{ aliasIpRanges: [{ ipCidrRange: string }] }] }
  })
  const base = vm.networkInterfaces[0].aliasIpRanges[0].ipCidrRange.replace(/0\/24$/, '')
  const servers = await Promise.all(['a', 'b', 'c'].map((name) => sayer(name)))
  const endpoint = (index: number): HttpEndpoint => ({
    instance: 'vm-1',
    ip: `${base}${index + 2}`,
    port: 8080,
  })
  const endpoints: World['endpoints'] = [endpoint(0), endpoint(1), endpoint(2)]
  for (const [index, { port }] of servers.entries()) {
    const { ip = '' } = endpoints[index] ?? {}
    open.vpc.register({ owner: 'vm-1', address: `${ip}:8080/tcp`, to: `127.0.0.1:${port}` })
  }
  return {
    ...open,
    endpoints,
    close: async () => {
      await open.close()
      for (const { close } of servers) close()
    },
  }
}

async function sayer(name: string): Promise<{ port: number; close: () => void }> {
  const server = createServer((_req, res) => res.end(name))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const close = (): void => {
    server.closeAllConnections()
    server.close()
  }
  return { port: (server.address() as AddressInfo).port, close }
}

async function rest(method: string, path: string, body?: object): Promise<unknown> {
  const answer = await fetch(`${google.url}/compute/v1/projects/${PROJECT}/${path}`, {
    method,
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  return answer.json()
}

httpBalancersContract('google-http-balancers on the emulator', async () => {
  const { endpoints, close } = await openWorld()
  return { balancers: google.balancers, zone: ZONE, endpoints, close }
})

describe('a balancer on the emulator', () => {
  let world: World | undefined
  afterEach(async () => {
    await world?.close()
    world = undefined
  })

  const NAME = 'k8s1-12345678'
  const WEB = `${NAME}-default-web-80-1a2b3c4d`
  const spec = {
    name: NAME,
    backends: [
      {
        name: WEB,
        zones: [ZONE],
        healthCheck: { path: '/', intervalSeconds: 1 },
        sessionAffinity: 'NONE' as const,
        drainingSeconds: 5,
      },
    ],
    http: {
      hosts: [
        {
          host: 'shop.example',
          rules: [{ paths: ['/web/*'], backend: WEB }, { paths: ['/none'] }],
        },
      ],
    },
  }

  async function ask(host: string, path: string): Promise<{ status: number; body: string }> {
    const [listener] = world?.emulator.listeners() ?? []
    if (!listener) throw new Error('nobody listens')
    return new Promise((resolve, reject) => {
      const at = { host: listener.host, port: listener.hostPort }
      request({ ...at, path, headers: { host }, agent: false }, (res) => {
        let body = ''
        res.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
        res.on('end', () => resolve({ status: res.statusCode ?? 0, body }))
      })
        .on('error', reject)
        .end()
    })
  }

  test('answers by host and path, through its thread', async () => {
    world = await openWorld()
    const [one, two] = world.endpoints
    const { address } = await google.balancers.apply(spec)
    expect(world.emulator.listeners()).toMatchObject([
      { rule: `${NAME}-fr`, region: 'global', address, port: 80 },
    ])
    expect(await ask('shop.example', '/web/')).toEqual({ status: 503, body: 'no healthy upstream' })
    await google.balancers.setEndpoints({ backend: WEB, zone: ZONE }, [one])
    await eventually(async () => {
      expect(await ask('shop.example', '/web/x')).toEqual({ status: 200, body: 'a' })
    })
    // There is no moment in which neither of them serves.
    await google.balancers.setEndpoints({ backend: WEB, zone: ZONE }, [two])
    expect(await ask('shop.example', '/web/x')).toEqual({ status: 200, body: 'b' })
    expect(await ask('shop.example', '/none')).toMatchObject({ status: 503 })
    expect(await ask('shop.example', '/webby')).toMatchObject({ status: 404 })
    expect(await ask('other.example', '/web/')).toMatchObject({ status: 404 })
  })

  test('follows a container that was started elsewhere', async () => {
    world = await openWorld()
    const [one, , three] = world.endpoints
    await google.balancers.apply(spec)
    await google.balancers.setEndpoints({ backend: WEB, zone: ZONE }, [one])
    await eventually(async () => {
      expect(await ask('shop.example', '/web/')).toMatchObject({ body: 'a' })
    })
    const { vpc } = world
    const to = vpc.lookup(`${three.ip}:8080/tcp`) ?? ''
    vpc.register({ owner: 'vm-1', address: `${one.ip}:8080/tcp`, to })
    await eventually(async () => {
      expect(await ask('shop.example', '/web/')).toMatchObject({ body: 'c' })
    })
  })

  test('survives a restart of the emulator', async () => {
    world = await openWorld()
    const { address } = await google.balancers.apply(spec)
    const saved: unknown = JSON.parse(JSON.stringify(world.emulator.save()))
    await world.close()
    world = { ...(await openComputeEmulator({ saved })), endpoints: world.endpoints }
    google.use(world.emulator)
    expect(await google.balancers.list(NAME)).toEqual([{ name: NAME, address }])
    expect(world.emulator.listeners()).toHaveLength(1)
    expect(await ask('other.example', '/')).toMatchObject({ status: 404 })
  })

  test('holds on to its parts, and leaves none behind', async () => {
    world = await openWorld()
    const [one] = world.endpoints
    await google.balancers.apply(spec)
    await google.balancers.setEndpoints({ backend: WEB, zone: ZONE }, [one])
    const parts = [
      'global/forwardingRules',
      'global/targetHttpProxies',
      'global/urlMaps',
      'global/backendServices',
      `zones/${ZONE}/networkEndpointGroups`,
      'global/healthChecks',
      'global/addresses',
    ]
    const names: Record<string, string> = { urlMaps: `${NAME}-um`, targetHttpProxies: `${NAME}-tp` }
    for (const part of parts.slice(1, -1)) {
      const name = names[part.split('/').at(-1) ?? ''] ?? WEB
      expect(await rest('DELETE', `${part}/${name}`)).toMatchObject({
        error: { code: 400, errors: [{ reason: 'resourceInUseByAnotherResource' }] },
      })
    }
    await google.balancers.remove(NAME)
    for (const part of parts) expect(await rest('GET', part)).toMatchObject({ items: [] })
    expect(world.emulator.listeners()).toEqual([])
  })

  test('takes only endpoints that are on their VM', async () => {
    world = await openWorld()
    await google.balancers.apply(spec)
    const group = `zones/${ZONE}/networkEndpointGroups/${WEB}`
    const endpoint = (instance: string, ipAddress: string) => ({
      networkEndpoints: [{ instance, ipAddress, port: 80 }],
    })
    expect(
      await rest('POST', `${group}/attachNetworkEndpoints`, endpoint('vm-1', '10.9.9.9')),
    ).toMatchObject({
      error: {
        message:
          "Invalid value for field 'resource.ipAddress': '10.9.9.9'. Specified IP address doesn't belong to the (sub)network default or to the instance vm-1.",
      },
    })
    expect(
      await rest('POST', `${group}/attachNetworkEndpoints`, endpoint('vm-2', '10.4.0.2')),
    ).toMatchObject({ error: { code: 404 } })
    // One that cannot be attached does not keep the other out.
    const [one] = world.endpoints
    const lost = { instance: 'vm-2', ip: '10.4.9.2', port: 8080 }
    await google.balancers.setEndpoints({ backend: WEB, zone: ZONE }, [lost, one])
    expect(await google.balancers.endpoints({ backend: WEB, zone: ZONE })).toMatchObject([one])
  })
})
