// The passthrough load balancer of a VPC of its own, made by Google's client: who gets a connection,
// what is seen of it there, and what becomes of it when a VM is unwell.

import { createSocket } from 'node:dgram'
import { get } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { InstanceGroupSpec, LoadBalancerSpec } from '#shared/ports/compute.ts'
import {
  openComputeEmulator,
  openGoogleCompute,
  PROJECT,
  type GoogleComputeAt,
  type OpenComputeEmulator,
} from '#test/support/compute-emulator.ts'
import { eventually } from '#test/local-wherry.ts'
import { cannotHaveVms, openNetnsVms, type NetnsVms } from '#test/support/netns-vms.ts'
import { addressAt } from '../address-plan.ts'
import { createRoutedVpc } from '../vpc.ts'
import { createKernelFirewall } from './firewall.ts'
import { createKernelBalancers } from './load-balancer.ts'

const PORT = 10_250
const PATIENCE = { timeout: 40_000 }

describe.skipIf(await cannotHaveVms())('a load balancer of the VPC', () => {
  let vms: NetnsVms
  let google: GoogleComputeAt
  let open: OpenComputeEmulator
  let address: string
  let udpAddress: string
  let group: InstanceGroupSpec
  let balancer: LoadBalancerSpec

  beforeAll(async () => {
    vms = await openNetnsVms()
    google = await openGoogleCompute()
    const { slot, machines } = vms
    open = await openComputeEmulator({
      machines,
      vpc: createRoutedVpc(slot.uplink.prober),
      plan: slot.plan,
      createBalancers: (deps) => createKernelBalancers(slot, deps),
      createFirewall: (ctx) => createKernelFirewall(slot, ctx),
    })
    google.use(open.emulator)
    address = addressAt(slot.plan.balancers, 1)
    udpAddress = addressAt(slot.plan.balancers, 2)
    const healthCheck = { port: PORT, path: '/healthz', intervalSeconds: 1 }
    group = {
      name: 'gke-c-pool-12345678-grp',
      zone: 'us-east1-c',
      size: 2,
      baseInstanceName: 'gke-c-pool-12345678',
      machineType: 'e2-medium',
      diskSizeGb: 10,
      spot: true,
      labels: { 'wherry-cluster': 'c' },
      metadata: { balancers: `${address} ${udpAddress}`, linger: 'yes' },
      healthCheck,
    }
    balancer = {
      name: 'a123',
      region: 'us-east1',
      protocol: 'TCP',
      ports: [PORT],
      groups: [{ name: group.name, zone: group.zone }],
      healthCheck,
      sessionAffinity: 'NONE',
      sourceRanges: [],
    }
    await google.compute.applyInstanceGroup(group)
    const made = await google.compute.applyLoadBalancer(balancer)
    expect(made.address).toBe(address)
    await eventually('both get connections', async () => (await askers(6)).size === 2, 60_000)
  })
  afterAll(async () => {
    await open?.close()
    await google?.close()
    await vms?.close()
  })

  const machines = () => google.compute.listInstances({})
  const healthOf = async () => (await machines()).map(({ isHealthy }) => isHealthy)

  interface Answer {
    name: string
    /** The client's address, as the VM sees it. */
    from: string
    /** Where the last health check came from. */
    checker: string
  }

  /** On a connection of its own. */
  function ask(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const to = { host: address, port: PORT, agent: false, timeout: 3000 }
      const request = get(to, (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.on('end', () => resolve(JSON.parse(text) as Answer))
      })
      request.on('timeout', () => request.destroy(new Error('no answer')))
      request.on('error', reject)
    })
  }

  async function askers(count: number): Promise<Set<string>> {
    const names = new Set<string>()
    for (let index = 0; index < count; index++) names.add((await ask()).name)
    return names
  }

  test('a VM sees the client, and a health checker of Google', async () => {
    expect(await ask()).toMatchObject({ from: vms.slot.uplink.host, checker: '35.191.0.1' })
  })

  test('a VM that stands still loses its connections to the others, and gets new ones when it goes on', async () => {
    const sockets = await Promise.all(Array.from({ length: 8 }, openConnection))
    const victim = sockets[0]?.name ?? ''
    open.emulator.hangVm(victim)
    await expect.poll(healthOf, PATIENCE).toContain(false)
    await expect
      .poll(async () => [...(await askers(6).catch(() => []))].includes(victim), PATIENCE)
      .toBe(false)
    // What its clients send now goes to the other, which knows nothing of it.
    const outcomes = await Promise.all(sockets.map((each) => each.again()))
    for (const [index, { name }] of sockets.entries()) {
      expect(outcomes[index]).toBe(name === victim ? 'ECONNRESET' : name)
    }
    open.emulator.resumeVm(victim)
    await expect.poll(healthOf, PATIENCE).toEqual([true, true])
    await expect.poll(async () => (await askers(6)).size, PATIENCE).toBe(2)
  })

  /** A connection that has been answered once; `again` asks once more on it. */
  async function openConnection(): Promise<{ name: string; again(): Promise<string> }> {
    const socket = connect({ host: address, port: PORT })
    const outcome = (): Promise<string> =>
      new Promise((resolve) => {
        socket.once('data', (chunk: Buffer) =>
          resolve(/"name":"([^"]+)"/.exec(String(chunk))?.[1] ?? ''),
        )
        socket.once('error', (error) =>
          resolve('code' in error ? String(error.code) : error.message),
        )
      })
    const again = (): Promise<string> => {
      const answered = outcome()
      socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
      return answered
    }
    return { name: await again(), again }
  }

  test('who may use it is a rule of the firewall, and so are other doors into the VPC', async () => {
    const names = async (): Promise<string[]> => {
      const { items } = await firewalls('GET', '')
      return (items ?? []).map(({ name }) => name).toSorted()
    }
    expect(await names()).toContain('k8s-fw-a123')
    // It opens the port of agents, which is this load balancer's too, to this machine.
    await firewalls('DELETE', '/wherry-api-to-agents')
    const isAnswered = async (): Promise<boolean> =>
      (await ask().catch(() => undefined)) !== undefined
    expect(await isAnswered()).toBe(true)
    await google.compute.applyLoadBalancer({ ...balancer, sourceRanges: ['203.0.113.0/24'] })
    expect(await isAnswered()).toBe(false)
    // What is allowed and what is denied: the lower number counts, whoever came first.
    const door = {
      name: 'a-door',
      sourceRanges: [`${vms.slot.uplink.host}/32`],
      allowed: [{ IPProtocol: 'tcp', ports: [`${PORT - 10}-${PORT}`] }],
    }
    await firewalls('POST', '', door)
    await expect.poll(isAnswered, PATIENCE).toBe(true)
    const denied = [{ IPProtocol: 'all' }]
    await firewalls('POST', '', { name: 'a-wall', priority: 999, denied })
    await expect.poll(isAnswered, PATIENCE).toBe(false)
    await firewalls('PATCH', '/a-door', { priority: 998 })
    await expect.poll(isAnswered, PATIENCE).toBe(true)
    await firewalls('PATCH', '/a-door', { targetTags: ['nobody-has-it'] })
    await expect.poll(isAnswered, PATIENCE).toBe(false)
    for (const name of ['a-door', 'a-wall']) await firewalls('DELETE', `/${name}`)
    // What leaves a VM passes unless a rule says otherwise.
    const [vm] = await machines()
    const asks = async (): Promise<number> => {
      const url = `http://${vm?.internalIp}:${PORT}/ask?url=http://${vms.slot.uplink.host}:19999/`
      const response = await fetch(url, { signal: AbortSignal.timeout(10_000) })
      return /refused/i.test(await response.text()) ? 1 : 0
    }
    expect(await asks()).toBe(1)
    await firewalls('POST', '', { name: 'an-exit', direction: 'EGRESS', denied })
    await expect.poll(asks, PATIENCE).toBe(0)
    await firewalls('DELETE', '/an-exit')
    await expect.poll(asks, PATIENCE).toBe(1)
    await google.compute.applyLoadBalancer(balancer)
    await expect.poll(isAnswered, PATIENCE).toBe(true)
  })

  async function firewalls(
    method: string,
    path: string,
    body?: object,
  ): Promise<{ items?: { name: string }[] }> {
    const url = `${google.url}/compute/v1/projects/${PROJECT}/global/firewalls${path}`
    const response = await fetch(url, { method, ...(body ? { body: JSON.stringify(body) } : {}) })
    const text = await response.text()
    if (!response.ok) throw new Error(text)
    return JSON.parse(text)
  }

  test('the affinity of a client, and datagrams', async () => {
    await google.compute.applyLoadBalancer({ ...balancer, sessionAffinity: 'CLIENT_IP' })
    await expect.poll(async () => (await askers(12)).size, PATIENCE).toBe(1)
    await google.compute.applyLoadBalancer({ ...balancer, name: 'a124', protocol: 'UDP' })
    const names = new Set<string>()
    await expect
      .poll(async () => {
        names.add(await echo())
        return names.size
      }, PATIENCE)
      .toBe(2)
    for (const name of names) expect(name).toMatch(/^gke-c-pool-12345678-\w+ hello$/)
  })

  /** From another port each time, hence another connection for the load balancer. */
  function echo(): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = createSocket('udp4')
      const timer = setTimeout(() => end(() => reject(new Error('no answer'))), 3000)
      const end = (then: () => void): void => {
        clearTimeout(timer)
        socket.close(then)
      }
      socket.once('message', (message) => end(() => resolve(message.toString())))
      socket.send('hello', PORT, udpAddress)
    })
  }

  test('a preempted VM is told so, and its group makes another', async () => {
    const [first, second] = await machines()
    const preempted = (): Promise<string> =>
      fetch(`http://${first?.internalIp}:${PORT}/metadata/instance/preempted`, {
        signal: AbortSignal.timeout(1000),
      }).then((response) => response.text())
    expect(await preempted()).toBe('FALSE')
    const gone = open.emulator.preempt(first?.name ?? '')
    await expect.poll(preempted, PATIENCE).toBe('TRUE')
    await fetch(`http://${first?.internalIp}:${PORT}/leave`).catch(() => undefined)
    await gone
    await expect
      .poll(async () => (await machines()).map(({ name, status }) => [name, status]), PATIENCE)
      .toEqual([
        [first?.name, 'RUNNING'],
        [second?.name, 'RUNNING'],
      ])
    expect((await machines())[0]?.id).not.toBe(first?.id)
    const methods = open.entries.map(({ protoPayload }) => protoPayload?.['methodName'])
    expect(methods).toContain('compute.instances.preempted')
  })
})
