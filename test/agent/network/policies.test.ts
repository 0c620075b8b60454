// NetworkPolicies, and the names of the cluster, between two VMs of a tiny VPC.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PodPolicy } from '#shared/api/agent-wire.ts'
import { DNS_SERVICE_IP } from '#shared/api/service-addresses.ts'
import { anEndpoint, aPolicy, aService, aSlice, wanted } from './objects.ts'
import { eventually, OUTSIDE_IP, Vpc, whyNot } from './world.ts'
import type { Peer, Vm } from './world.ts'

const WHY_NOT = whyNot()
const VIP = '34.118.224.50'
const WEB = aService('web', VIP)

describe.skipIf(WHY_NOT && !process.env['CI'])(`policies (${WHY_NOT ?? 'in namespaces'})`, () => {
  let vpc: Vpc
  let one: Vm
  let two: Vm
  let outside: Peer
  let node: Peer
  /** `a` and `b` are on the first VM, `c` is on the second. Policies are about `a`. */
  let a: Peer
  let b: Peer
  let c: Peer
  const ip = { a: '', b: '', c: '' }

  beforeAll(async () => {
    vpc = new Vpc()
    one = vpc.addVm('one', '10.128.0.11', '10.4.1.0/24')
    two = vpc.addVm('two', '10.128.0.12', '10.4.2.0/24')
    outside = vpc.outside('outside')
    node = vpc.keep(one.peer('node'))
    ;[{ peer: a, ip: ip.a }, { peer: b, ip: ip.b }, { peer: c, ip: ip.c }] = await Promise.all([
      one.addPod('a'),
      one.addPod('b'),
      two.addPod('c'),
    ])
  })
  afterAll(() => vpc?.close())

  const have = async (...policies: PodPolicy[]): Promise<void> => {
    const slice = aSlice('web', [anEndpoint(ip.a, 'one')])
    await one.apply(wanted([WEB], [slice], policies))
    await two.apply(wanted([WEB], [slice]))
  }
  const onA = (name: string, more: Partial<PodPolicy>): PodPolicy =>
    aPolicy(name, { pods: ['a'], ...more })

  test('who is not named cannot come in; the node always can, and so can the pod itself', async () => {
    await have(onA('deny', { ingress: [] }))
    expect(await b.isSilent(ip.a, 8080)).toBe(true)
    expect(await c.isSilent(VIP, 80)).toBe(true)
    expect(await outside.isSilent(ip.a, 8080)).toBe(true)
    expect(await node.tcp(ip.a, 8080)).toBe('a 10.128.0.11')
    expect(await a.tcp(VIP, 80)).toBe('a 10.128.0.11')
    // Nothing was said about what it sends, nor about others.
    expect(await a.tcp(ip.b, 8080)).toBe(`b ${ip.a}`)
    expect(await c.tcp(ip.b, 8080)).toBe(`b ${ip.c}`)
  })

  test('an attempt that nobody answers finds the next endpoint', async () => {
    await have(onA('deny', { ingress: [] }))
    const attempt = b.tcp(VIP, 80)
    // Its first packet has been sent to the endpoint that is silent.
    await eventually(async () => expect(b.attempts(VIP)).toBe('SYN-SENT'))
    const moved = wanted([WEB], [aSlice('web', [anEndpoint(ip.c, 'two')])])
    await Promise.all([one.apply(moved), two.apply(moved)])
    expect(await attempt).toBe(`c ${ip.b}`)
  })

  test('who is named can, at the ports that are named', async () => {
    await have(
      onA('deny', { ingress: [] }),
      onA('some', {
        ingress: [{ addresses: [ip.c], blocks: [], ports: [{ protocol: 'TCP', port: 8080 }] }],
      }),
    )
    expect(await c.tcp(ip.a, 8080)).toBe(`a ${ip.c}`)
    expect(await c.tcp(VIP, 80)).toBe(`a ${ip.c}`)
    expect(await c.isSilent(ip.a, 8081)).toBe(true)
    expect(await b.isSilent(ip.a, 8080)).toBe(true)
    const ports = [{ protocol: 'TCP', port: 8081, endPort: 9000 }]
    await have(onA('some', { ingress: [{ addresses: [ip.b, ip.c], blocks: [], ports }] }))
    expect(await b.tcp(ip.a, 8081)).toBe(`a ${ip.b}`)
    expect(await b.isSilent(ip.a, 8080)).toBe(true)
  })

  test('ranges with holes', async () => {
    const block = (except: string[]): PodPolicy =>
      onA('block', { ingress: [{ addresses: [], blocks: [{ cidr: '10.4.0.0/16', except }] }] })
    await have(block([`${ip.c}/32`]))
    expect(await b.tcp(ip.a, 8080)).toBe(`a ${ip.b}`)
    expect(await c.isSilent(ip.a, 8080)).toBe(true)
    await have(block([]))
    expect(await c.tcp(ip.a, 8080)).toBe(`a ${ip.c}`)
  })

  test('what a pod sends is checked where it really goes, DNS too', async () => {
    await have(onA('out', { egress: [{ addresses: [ip.c], blocks: [] }] }))
    expect(await a.tcp(ip.c, 8080)).toBe(`c ${ip.a}`)
    expect(await a.isSilent(ip.b, 8080)).toBe(true)
    expect(await a.isSilent(OUTSIDE_IP, 8080)).toBe(true)
    expect(await a.isSilent(DNS_SERVICE_IP, 53)).toBe(true)
    expect(await a.isSilent('10.128.0.11', 8080)).toBe(true)
    // It was not isolated for what comes in.
    expect(await b.tcp(ip.a, 8080)).toBe(`a ${ip.b}`)
    const dns = { addresses: [DNS_SERVICE_IP], blocks: [], ports: [{ protocol: 'UDP', port: 53 }] }
    await have(onA('out', { egress: [dns] }))
    expect(await a.dns('A', 'web.default.svc.cluster.local', DNS_SERVICE_IP)).toEqual([VIP])
  })

  test('without policies everything passes again, and nothing of them is left', async () => {
    await have()
    const without = await one.table()
    await have(onA('x', { ingress: [{ addresses: [ip.b], blocks: [] }], egress: [] }))
    expect(await one.table()).not.toBe(without)
    await have()
    expect(await one.table()).toBe(without)
    expect(await b.tcp(ip.a, 8080)).toBe(`a ${ip.b}`)
  })

  test('names are answered on each node, others by the VM’s resolver', async () => {
    const names: [string, string, unknown][] = [
      ['A', 'web.default.svc.cluster.local', [VIP]],
      ['PTR', VIP, ['web.default.svc.cluster.local']],
      ['A', '10-4-1-2.default.pod.cluster.local', ['10.4.1.2']],
      ['A', 'nobody.default.svc.cluster.local', 'ENOTFOUND'],
      ['AAAA', 'web.default.svc.cluster.local', 'ENODATA'],
    ]
    for (const [type, name, expected] of names) {
      expect([name, await c.dns(type, name, DNS_SERVICE_IP)]).toEqual([name, expected])
    }
    expect(await node.dns('A', 'web.default.svc.cluster.local', DNS_SERVICE_IP)).toEqual([VIP])
    await outside.serveDns('192.0.2.80')
    expect(await a.dns('A', 'example.com', DNS_SERVICE_IP)).toEqual(['192.0.2.80'])
  })

  test('names stay when the agent starts again, and go when it hears that they have', async () => {
    const web = (): Promise<unknown> => a.dns('A', 'web.default.svc.cluster.local', DNS_SERVICE_IP)
    one.kill()
    await one.restart(true)
    expect(await web()).toEqual([VIP])
    await one.apply(wanted([], []))
    expect(await web()).toBe('ENOTFOUND')
    await have()
    expect(await web()).toEqual([VIP])
  })

  test('the node’s DNS is not for others', async () => {
    vpc.balance(DNS_SERVICE_IP, one)
    expect(await outside.isSilent(DNS_SERVICE_IP, 53)).toBe(true)
  })
})
