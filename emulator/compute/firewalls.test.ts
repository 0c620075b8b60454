// Firewall rules as Google's own client makes them: what is filled in, refused, changed and kept.

import { FirewallsClient } from '@google-cloud/compute/build/src/v1/firewalls_client.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  openComputeEmulator,
  openGoogleCompute,
  PROJECT,
  type GoogleComputeAt,
  type OpenComputeEmulator,
} from '#test/support/compute-emulator.ts'

const TCP = (...ports: string[]) => [{ IPProtocol: 'tcp', ports }]

describe('firewalls', () => {
  let google: GoogleComputeAt
  let open: OpenComputeEmulator
  let client: FirewallsClient

  beforeAll(async () => {
    google = await openGoogleCompute()
    open = await openComputeEmulator()
    google.use(open.emulator)
    client = new FirewallsClient(google.clientOptions)
  })
  afterAll(async () => {
    await client.close()
    await open.close()
    await google.close()
  })

  const get = async (firewall: string) => (await client.get({ project: PROJECT, firewall }))[0]
  const names = async () => {
    const [list] = await client.list({ project: PROJECT })
    return list.map(({ name }) => name)
  }

  test("a network has Google's rules and those of infra/terraform", async () => {
    expect(await names()).toEqual([
      'default-allow-icmp',
      'default-allow-internal',
      'default-allow-rdp',
      'default-allow-ssh',
      'wherry-api-to-agents',
      'wherry-health-checks',
      'wherry-http-balancers',
      'wherry-internal',
    ])
    expect(await get('default-allow-ssh')).toMatchObject({
      direction: 'INGRESS',
      priority: 65_534,
      sourceRanges: ['0.0.0.0/0'],
      allowed: TCP('22'),
    })
  })

  test('are inserted, patched, updated and deleted; nothing but what was said changes', async () => {
    const firewallResource = { name: 'web', allowed: TCP('80', '8000-8080'), targetTags: ['web'] }
    await client.insert({ project: PROJECT, firewallResource })
    expect(await get('web')).toMatchObject({
      kind: 'compute#firewall',
      network: expect.stringMatching(/\/projects\/demo-wherry\/global\/networks\/default$/),
      priority: 1000,
      sourceRanges: ['0.0.0.0/0'],
      targetTags: ['web'],
      disabled: false,
    })
    await expect(client.insert({ project: PROJECT, firewallResource })).rejects.toThrow(
      "The resource 'projects/demo-wherry/global/firewalls/web' already exists",
    )
    const patch = { priority: 5, sourceRanges: ['10.0.0.0/8'] }
    await client.patch({ project: PROJECT, firewall: 'web', firewallResource: patch })
    expect(await get('web')).toMatchObject({ ...patch, targetTags: ['web'] })
    const update = { name: 'web', denied: [{ IPProtocol: 'udp' }] }
    await client.update({ project: PROJECT, firewall: 'web', firewallResource: update })
    const updated = await get('web')
    expect(updated).toMatchObject({ priority: 1000, denied: [{ IPProtocol: 'udp' }] })
    expect([updated.targetTags, updated.allowed]).toEqual([[], []])
    await client.delete({ project: PROJECT, firewall: 'web' })
    await expect(get('web')).rejects.toThrow('was not found')
  })

  test.each([
    { rule: {}, said: 'Exactly one of them must be specified' },
    {
      rule: { allowed: TCP('80'), denied: TCP('81') },
      said: 'Exactly one of them must be specified',
    },
    { rule: { allowed: TCP('80'), priority: 65_536 }, said: "'resource.priority': '65536'" },
    { rule: { allowed: TCP('90-80') }, said: "'resource.allowed[].ports': '90-80'" },
    { rule: { allowed: [{ IPProtocol: 'icmp', ports: ['1'] }] }, said: 'icmp has no ports' },
    { rule: { allowed: [{ IPProtocol: 'carrier' }] }, said: 'Unknown protocol' },
    {
      rule: { allowed: TCP('80'), sourceRanges: ['10.0.0.300'] },
      said: "'resource.sourceRanges': '10.0.0.300'",
    },
    {
      rule: { allowed: TCP('80'), direction: 'EGRESS', sourceTags: ['a'] },
      said: "'resource.sourceTags': 'a'",
    },
    {
      rule: { allowed: TCP('80'), targetServiceAccounts: ['a@b'] },
      said: 'Service accounts are not emulated',
    },
  ])('that make no sense are refused: $said', async ({ rule, said }) => {
    const firewallResource = { name: 'bad', ...rule }
    await expect(client.insert({ project: PROJECT, firewallResource })).rejects.toThrow(said)
  })

  test('of a load balancer follow its wishes, and go with it', async () => {
    const balancer = {
      name: 'a123',
      region: 'us-east1',
      protocol: 'TCP',
      ports: [80, 443],
      groups: [],
      healthCheck: { port: 10_250, path: '/healthz', intervalSeconds: 1 },
      sessionAffinity: 'NONE',
      sourceRanges: [],
    } as const
    const apply = (sourceRanges: string[]) =>
      google.compute.applyLoadBalancer({
        ...balancer,
        ports: [...balancer.ports],
        groups: [],
        sourceRanges,
      })
    const { address } = await apply([])
    expect(await get('k8s-fw-a123')).toMatchObject({
      priority: 999,
      sourceRanges: ['0.0.0.0/0'],
      destinationRanges: [address],
      allowed: TCP('80', '443'),
    })
    await apply(['192.0.2.0/24', '198.51.100.7/32'])
    const { id, sourceRanges } = await get('k8s-fw-a123')
    expect(sourceRanges).toEqual(['192.0.2.0/24', '198.51.100.7/32'])
    await apply(['192.0.2.0/24', '198.51.100.7/32'])
    expect((await get('k8s-fw-a123')).id).toBe(id)
    await google.compute.deleteLoadBalancer('a123', 'us-east1')
    expect(await names()).not.toContain('k8s-fw-a123')
  })

  test('outlive a restart, and one that was deleted stays so', async () => {
    const firewallResource = { name: 'kept', denied: [{ IPProtocol: 'all' }] }
    await client.insert({ project: PROJECT, firewallResource })
    await client.delete({ project: PROJECT, firewall: 'default-allow-rdp' })
    const before = await names()
    const saved: unknown = JSON.parse(JSON.stringify(open.emulator.save()))
    await open.close()
    open = await openComputeEmulator({ saved })
    google.use(open.emulator)
    expect(await names()).toEqual(before)
    expect(before).toContain('kept')
    expect(before).not.toContain('default-allow-rdp')
  })
})
