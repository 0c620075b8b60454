// Services by nftables, between two VMs of a tiny VPC: what each packet meets.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Service } from '#shared/api/service.ts'
import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import { anEndpoint, aService, aSlice, wanted } from './objects.ts'
import { eventually, OUTSIDE_IP, Vpc, whyNot } from './world.ts'
import type { Peer, Vm } from './world.ts'

const WHY_NOT = whyNot()
const VIP = '34.118.224.50'
const BALANCER = '198.51.100.7'

describe.skipIf(WHY_NOT && !process.env['CI'])(`Services (${WHY_NOT ?? 'in namespaces'})`, () => {
  let vpc: Vpc
  let one: Vm
  let two: Vm
  let outside: Peer
  /** `a` and `b` are on the first VM, `c` is on the second. */
  let a: Peer
  let b: Peer
  let c: Peer
  const ip = { a: '', b: '', c: '' }
  const vms = { a: 'one', b: 'one', c: 'two' }

  beforeAll(async () => {
    vpc = new Vpc()
    one = vpc.addVm('one', '10.128.0.11', '10.4.1.0/24')
    two = vpc.addVm('two', '10.128.0.12', '10.4.2.0/24')
    outside = vpc.outside('outside')
    ;[{ peer: a, ip: ip.a }, { peer: b, ip: ip.b }, { peer: c, ip: ip.c }] = await Promise.all([
      one.addPod('a'),
      one.addPod('b', [{ hostPort: 7000, containerPort: 8081, protocol: 'TCP' }]),
      two.addPod('c'),
    ])
  })
  afterAll(() => vpc?.close())

  const endpoint = (name: 'a' | 'b' | 'c', state: Parameters<typeof anEndpoint>[2] = 'ready') =>
    anEndpoint(ip[name], vms[name], state)
  const have = async (services: Service[], slices: EndpointSlice[]): Promise<void> => {
    const all = wanted(services, slices)
    await Promise.all([one.apply(all), two.apply(all)])
  }
  /** Whom `from` meets in some attempts. */
  const met = async (from: Peer, host: string, port = 80, attempts = 12): Promise<string[]> => {
    const seen = new Set<string>()
    for (let attempt = 0; attempt < attempts; attempt++) seen.add(await from.tcp(host, port))
    return [...seen].sort()
  }

  test('pods reach each other at their addresses, and see whom', async () => {
    await have([], [])
    expect(await a.tcp(ip.c, 8080)).toBe(`c ${ip.a}`)
    expect(await c.tcp(ip.a, 8080)).toBe(`a ${ip.c}`)
    expect(await a.tcp(ip.b, 8080)).toBe(`b ${ip.a}`)
  })

  test('beyond 10/8 a pod is its node', async () => {
    expect(await a.tcp(OUTSIDE_IP, 8080)).toBe('outside 10.128.0.11')
  })

  test('a cluster address leads to all endpoints, and back to the pod itself', async () => {
    await have([aService('web', VIP)], [aSlice('web', [endpoint('a'), endpoint('c')])])
    const both = [`a 10.128.0.11`, `c ${ip.a}`]
    await eventually(async () => expect(await met(a, VIP)).toEqual(both))
    await eventually(async () => expect(await met(b, VIP)).toEqual([`a ${ip.b}`, `c ${ip.b}`]))
  })

  test('only ready endpoints; those that leave when there is no other; else refused', async () => {
    await have([aService('web', VIP)], [aSlice('web', [endpoint('a', 'leaving'), endpoint('c')])])
    expect(await met(b, VIP)).toEqual([`c ${ip.b}`])
    const leaving = [endpoint('a', 'leaving'), endpoint('c', 'unready')]
    await have([aService('web', VIP)], [aSlice('web', leaving)])
    expect(await met(b, VIP)).toEqual([`a ${ip.b}`])
    await have([aService('web', VIP)], [aSlice('web', [endpoint('c', 'unready')])])
    expect(await met(b, VIP, 80, 1)).toEqual(['ECONNREFUSED'])
    // A cluster address that nobody has, and a port that the Service does not have.
    expect(await b.tcp('34.118.224.99', 80)).toBe('ECONNREFUSED')
    expect(await b.tcp(VIP, 81)).toBe('ECONNREFUSED')
  })

  test('a node port and a balancer’s address lead there from outside, by way of the node', async () => {
    const spec = { type: 'LoadBalancer', ports: [{ port: 80, nodePort: 30_080 }] } as const
    const service = aService('web', VIP, { ...spec, ports: [...spec.ports] }, [BALANCER])
    await have([service], [aSlice('web', [endpoint('c')])])
    vpc.balance(BALANCER, one)
    expect(await outside.tcp('10.128.0.11', 30_080)).toBe('c 10.128.0.11')
    expect(await outside.tcp('10.128.0.12', 30_080)).toBe('c 10.128.0.12')
    expect(await outside.tcp(BALANCER, 80)).toBe('c 10.128.0.11')
    expect(await b.tcp(BALANCER, 80)).toBe('c 10.128.0.11')
    expect(await b.tcp('10.128.0.11', 30_080)).toBe('c 10.128.0.11')
  })

  test('externalTrafficPolicy Local keeps the client’s address, and the node’s own endpoints', async () => {
    const service = aService(
      'web',
      VIP,
      {
        type: 'LoadBalancer',
        ports: [{ port: 80, nodePort: 30_080 }],
        externalTrafficPolicy: 'Local',
        healthCheckNodePort: 31_000,
      },
      [BALANCER],
    )
    await have([service], [aSlice('web', [endpoint('a'), endpoint('c')])])
    expect(await met(outside, BALANCER, 80, 6)).toEqual([`a ${OUTSIDE_IP}`])
    expect(await met(outside, '10.128.0.12', 30_080, 6)).toEqual([`c ${OUTSIDE_IP}`])
    await have([service], [aSlice('web', [endpoint('c')])])
    expect(await outside.isSilent(BALANCER, 80)).toBe(true)
    expect(await outside.http('10.128.0.11', 31_000)).toMatchObject({
      status: 503,
      body: { service: { namespace: 'default', name: 'web' }, localEndpoints: 0 },
    })
    expect(await outside.http('10.128.0.12', 31_000)).toMatchObject({
      status: 200,
      body: { localEndpoints: 1 },
    })
    // From within the cluster any endpoint will do, as if the packet had gone out and come back.
    expect(await met(b, BALANCER, 80, 3)).toEqual([`c ${ip.b}`])
    // The cluster address is not outside.
    expect(await met(b, VIP, 80, 3)).toEqual([`c ${ip.b}`])
  })

  test('internalTrafficPolicy Local stays on the node', async () => {
    const service = aService('web', VIP, { internalTrafficPolicy: 'Local' })
    await have([service], [aSlice('web', [endpoint('a'), endpoint('c')])])
    expect(await met(b, VIP, 80, 6)).toEqual([`a ${ip.b}`])
    await have([service], [aSlice('web', [endpoint('c')])])
    expect(await b.isSilent(VIP, 80)).toBe(true)
    expect(await c.tcp(VIP, 80)).toBe('c 10.128.0.12')
  })

  test('loadBalancerSourceRanges are for the balancer’s address', async () => {
    const ranged = (range: string): Service =>
      aService(
        'web',
        VIP,
        {
          type: 'LoadBalancer',
          ports: [{ port: 80, nodePort: 30_080 }],
          loadBalancerSourceRanges: [range],
        },
        [BALANCER],
      )
    const slice = aSlice('web', [endpoint('c')])
    await have([ranged('192.0.2.0/24')], [slice])
    expect(await outside.isSilent(BALANCER, 80)).toBe(true)
    expect(await outside.tcp('10.128.0.11', 30_080)).toBe('c 10.128.0.11')
    await have([ranged('203.0.113.0/24')], [slice])
    expect(await outside.tcp(BALANCER, 80)).toBe('c 10.128.0.11')
  })

  test('an external address leads there where packets to it arrive', async () => {
    const external = '198.51.100.77'
    vpc.balance(external, two)
    await have(
      [aService('web', VIP, { externalIPs: [external] })],
      [aSlice('web', [endpoint('a')])],
    )
    expect(await outside.tcp(external, 80)).toBe('a 10.128.0.12')
  })

  test('a client sticks to its pod, also over a restart, and finds another when that one goes', async () => {
    const affinity = {
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
    } as const
    const all = [endpoint('a'), endpoint('b'), endpoint('c')]
    await have([aService('web', VIP, affinity)], [aSlice('web', all)])
    const [first = '', ...more] = await met(onNode(two), VIP, 80, 6)
    expect(more).toEqual([])
    two.kill()
    await two.restart()
    expect(await met(onNode(two), VIP, 80, 6)).toEqual([first])
    const others = all.filter(({ addresses }) => addresses[0] !== ip[first.split(' ')[0] as 'a'])
    await have([aService('web', VIP, affinity)], [aSlice('web', others)])
    const after = await met(onNode(two), VIP, 80, 6)
    expect(after).toHaveLength(1)
    expect(after).not.toEqual([first])
  })

  /** A client in the second VM's own network. */
  const nodePeers = new Map<Vm, Peer>()
  function onNode(vm: Vm): Peer {
    const known = nodePeers.get(vm) ?? vpc.keep(vm.peer(`node-${vm.name}`))
    nodePeers.set(vm, known)
    return known
  }

  test('UDP follows the endpoints, also for a client that never stops', async () => {
    const udp = aService('echo', VIP, { ports: [{ port: 80, protocol: 'UDP' }] })
    const ports = [{ name: '', port: 8080, protocol: 'UDP' }]
    await have([udp], [aSlice('echo', [], ports)])
    expect(await b.udp(VIP, 80, 5000)).toBe('ECONNREFUSED')
    await have([udp], [aSlice('echo', [endpoint('a')], ports)])
    expect(await b.udp(VIP, 80, 5000)).toBe(`a ${ip.b}`)
    await have([udp], [aSlice('echo', [endpoint('c')], ports)])
    expect(await b.udp(VIP, 80, 5000)).toBe(`c ${ip.b}`)
  })

  test('a port of the node leads to the pod that has it', async () => {
    expect(await outside.tcp('10.128.0.11', 7000)).toBe(`b ${OUTSIDE_IP}`)
    expect(await c.tcp('10.128.0.11', 7000)).toBe(`b ${ip.c}`)
  })

  test('traffic goes on while the agent is dead, and when it starts again', async () => {
    await have([aService('web', VIP)], [aSlice('web', [endpoint('c')])])
    one.kill()
    expect(await met(b, VIP, 80, 3)).toEqual([`c ${ip.b}`])
    expect(await outside.tcp('10.128.0.11', 7000)).toBe(`b ${OUTSIDE_IP}`)
    await one.restart(true)
    expect(await met(b, VIP, 80, 3)).toEqual([`c ${ip.b}`])
    await one.apply(wanted([aService('web', VIP)], [aSlice('web', [endpoint('c')])]))
    expect(await one.addPod('b', [])).toMatchObject({ ip: ip.b })
    expect(await met(b, VIP, 80, 3)).toEqual([`c ${ip.b}`])
    expect(await outside.tcp('10.128.0.11', 7000)).toBe('ECONNREFUSED')
  })

  test('a table that somebody took away is written again', async () => {
    const of = (name: 'a' | 'c'): [Service[], EndpointSlice[]] => [
      [aService('web', VIP)],
      [aSlice('web', [endpoint(name)])],
    ]
    await have(...of('c'))
    const before = await one.table()
    one.dropTable()
    await have(...of('a'))
    expect(await b.tcp(VIP, 80)).toBe(`a ${ip.b}`)
    await have(...of('c'))
    expect(await one.table()).toBe(before)
  })

  test('pods reach neither the metadata server nor the agent; the node does', async () => {
    const node = onNode(one)
    await vpc.serveMetadata()
    expect(await a.tcp('169.254.169.254', 80)).toBe('ECONNREFUSED')
    expect(await node.tcp('169.254.169.254', 80)).toMatch(/^metadata /)
    expect(await a.tcp('10.128.0.11', 10_250)).toBe('ECONNREFUSED')
    expect(await node.tcp('10.128.0.11', 10_250)).toBe('node-one 10.128.0.11')
    expect(await node.tcp(ip.a, 8080)).toBe('a 10.128.0.11')
  })

  test('a pod cannot send from another address', async () => {
    expect(await a.isSilent(ip.c, 8080, '10.4.1.77')).toBe(true)
    expect(await a.tcp(ip.c, 8080)).toBe(`c ${ip.a}`)
  })

  test('an address goes with its pod, and nothing of it stays in the table', async () => {
    const before = await one.table()
    const { ip: address } = await one.addPod('d', [
      { hostPort: 7001, containerPort: 80, protocol: 'TCP' },
    ])
    expect(await one.table()).toContain(address)
    await one.removePod('d')
    expect(await one.table()).toBe(before)
  })
})
