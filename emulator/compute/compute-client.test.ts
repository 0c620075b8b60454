// Google's own clients, call by call, against the emulator: shapes, errors, paging, fingerprints.

import { createRequire } from 'node:module'
import type { v1 } from '@google-cloud/compute'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  openComputeEmulator,
  openGoogleCompute,
  PROJECT,
  type GoogleComputeAt,
  type OpenComputeEmulator,
} from '#test/support/compute-emulator.ts'

const load = createRequire(import.meta.url)
const project = PROJECT
const zone = 'us-east1-c'
const region = 'us-east1'

let google: GoogleComputeAt
let open: OpenComputeEmulator
let clients: {
  addresses: v1.AddressesClient
  groups: v1.InstanceGroupManagersClient
  instanceGroups: v1.InstanceGroupsClient
  instances: v1.InstancesClient
  machineTypes: v1.MachineTypesClient
  operations: v1.ZoneOperationsClient
  services: v1.RegionBackendServicesClient
  templates: v1.InstanceTemplatesClient
  checks: v1.RegionHealthChecksClient
  rules: v1.ForwardingRulesClient
  zones: v1.ZonesClient
}

beforeAll(async () => {
  google = await openGoogleCompute()
  // One file each: the package as a whole takes two seconds to load.
  const make = (file: string, name: string) => {
    const Client = load(`@google-cloud/compute/build/src/v1/${file}_client.js`)[name]
    return new Client(google.clientOptions)
  }
  clients = {
    addresses: make('addresses', 'AddressesClient'),
    groups: make('instance_group_managers', 'InstanceGroupManagersClient'),
    instanceGroups: make('instance_groups', 'InstanceGroupsClient'),
    instances: make('instances', 'InstancesClient'),
    machineTypes: make('machine_types', 'MachineTypesClient'),
    operations: make('zone_operations', 'ZoneOperationsClient'),
    services: make('region_backend_services', 'RegionBackendServicesClient'),
    templates: make('instance_templates', 'InstanceTemplatesClient'),
    checks: make('region_health_checks', 'RegionHealthChecksClient'),
    rules: make('forwarding_rules', 'ForwardingRulesClient'),
    zones: make('zones', 'ZonesClient'),
  }
})
afterAll(async () => {
  await Promise.all(Object.values(clients).map((client) => client.close()))
  await google.close()
})
beforeEach(async () => {
  open = await openComputeEmulator()
  google.use(open.emulator)
})
afterEach(() => open.close())

const VM = {
  machineType: `zones/${zone}/machineTypes/e2-small`,
  labels: { tier: 'web' },
  metadata: { items: [{ key: 'a', value: '1' }] },
  networkInterfaces: [{ accessConfigs: [{ type: 'ONE_TO_ONE_NAT' }] }],
}

interface Done {
  status?: unknown
  error?: { errors?: { code?: string; message?: string }[] } | null
  httpErrorStatusCode?: number | null
}

/** Waits for a zonal operation as the driver does. */
async function done([started]: [{ latestResponse: unknown }, ...unknown[]]): Promise<Done> {
  const { name } = started.latestResponse as { name: string }
  const [operation] = await clients.operations.wait({ project, zone, operation: name })
  return operation as Done
}

const insert = (name: string, more: object = {}, requestId?: string) =>
  clients.instances.insert({
    project,
    zone,
    instanceResource: { name, ...VM, ...more },
    ...(requestId ? { requestId } : {}),
  })

describe('instances', () => {
  test('insert is an operation from PENDING to DONE, and makes a VM that runs', async () => {
    const [started] = await insert('vm-1')
    const operation = started.latestResponse as unknown as Record<string, unknown>
    expect(operation).toMatchObject({
      kind: 'compute#operation',
      operationType: 'insert',
      status: 'PENDING',
      progress: 0,
      targetLink: `https://www.googleapis.com/compute/v1/projects/${project}/zones/${zone}/instances/vm-1`,
    })
    expect(await done([started])).toMatchObject({ status: 'DONE', progress: 100 })
    const [instance] = await clients.instances.get({ project, zone, instance: 'vm-1' })
    expect(instance).toMatchObject({
      name: 'vm-1',
      status: 'RUNNING',
      labels: { tier: 'web' },
      id: operation['targetId'],
      networkInterfaces: [{ networkIP: '10.128.0.2', accessConfigs: [{ natIP: '127.0.2.2' }] }],
    })
    expect(open.machines.isAlive('vm-1')).toBe(true)
  })

  test('what is not there, and what is there already, in Google’s words', async () => {
    await expect(clients.instances.get({ project, zone, instance: 'x' })).rejects.toMatchObject({
      code: 404,
      message: expect.stringContaining(
        `The resource 'projects/${project}/zones/${zone}/instances/x' was not found`,
      ),
    })
    await done(await insert('vm-1'))
    await expect(insert('vm-1')).rejects.toMatchObject({
      code: 409,
      message: expect.stringContaining(
        `The resource 'projects/${project}/zones/${zone}/instances/vm-1' already exists`,
      ),
    })
    await expect(clients.zones.get({ project, zone: 'mars-1' })).rejects.toMatchObject({
      code: 404,
    })
    await expect(insert('Bad_Name')).rejects.toMatchObject({ code: 400 })
  })

  test('the same request id is the same request', async () => {
    const requestId = '3f2b1c1e-0000-4000-8000-000000000001'
    const [first] = await insert('vm-1', {}, requestId)
    const [second] = await insert('vm-1', {}, requestId)
    expect(second.name).toBe(first.name)
    expect(await done([second])).toMatchObject({ status: 'DONE', clientOperationId: requestId })
  })

  test('stop, start, reset and delete', async () => {
    await done(await insert('vm-1'))
    const about = { project, zone, instance: 'vm-1' }
    const status = async () => (await clients.instances.get(about))[0].status
    await done(await clients.instances.stop(about))
    expect(await status()).toBe('TERMINATED')
    expect(open.machines.isAlive('vm-1')).toBe(false)
    await done(await clients.instances.start(about))
    expect(await status()).toBe('RUNNING')
    await expect(clients.instances.start(about)).rejects.toMatchObject({ code: 400 })
    await done(await clients.instances.reset(about))
    expect(open.machines.isAlive('vm-1')).toBe(true)
    await done(await clients.instances.delete(about))
    await expect(clients.instances.get(about)).rejects.toMatchObject({ code: 404 })
    expect(open.entries.map((entry) => entry.protoPayload?.['methodName'])).toEqual(
      // Stopping and deleting take their time: an entry when they begin, one when they are done.
      ['insert', 'stop', 'stop', 'start', 'reset', 'delete', 'delete'].map(
        (verb) => `v1.compute.instances.${verb}`,
      ),
    )
  })

  test('a VM of nobody is started again where it was', async () => {
    await done(await insert('lonely'))
    const about = { project, zone, instance: 'lonely' }
    const [before] = await clients.instances.get(about)
    await open.emulator.killVm('lonely')
    const [after] = await clients.instances.get(about)
    expect(after).toMatchObject({ id: before.id, status: 'RUNNING' })
  })

  test('lists are filtered and come in pages', async () => {
    for (const name of ['a', 'b', 'c']) await done(await insert(name))
    await done(await insert('d', { labels: { tier: 'db' } }))
    const names = async (request: object) => {
      const [list] = await clients.instances.list({ project, zone, ...request })
      return list.map(({ name }) => name)
    }
    expect(await names({ filter: 'labels.tier=web', maxResults: 2 })).toEqual(['a', 'b', 'c'])
    expect(await names({ filter: '(labels.tier = "db") (name eq "[a-d]")' })).toEqual(['d'])
    const first = await fetch(
      `${google.url}/compute/v1/projects/${project}/zones/${zone}/instances?maxResults=3`,
    )
    const page: unknown = await first.json()
    expect(page).toMatchObject({ kind: 'compute#instanceList', nextPageToken: expect.any(String) })
    const scopes = new Map<string, number>()
    const all = clients.instances.aggregatedListAsync({ project }, { autoPaginate: false })
    for await (const [scope, { instances }] of all) {
      scopes.set(scope, instances?.length ?? 0)
    }
    expect(scopes.get(`zones/${zone}`)).toBe(4)
    expect(scopes.get('zones/us-east1-b')).toBe(0)
  })

  test('setMetadata needs the current fingerprint', async () => {
    await done(await insert('vm-1'))
    const about = { project, zone, instance: 'vm-1' }
    const [{ metadata }] = await clients.instances.get(about)
    const items = [{ key: 'a', value: '2' }]
    const fingerprint = metadata?.fingerprint ?? null
    await done(
      await clients.instances.setMetadata({ ...about, metadataResource: { fingerprint, items } }),
    )
    const again = clients.instances.setMetadata({
      ...about,
      metadataResource: { fingerprint, items },
    })
    await expect(again).rejects.toMatchObject({ code: 412 })
    expect((await clients.instances.get(about))[0].metadata?.items).toMatchObject(items)
  })

  test('a quota is found out by the operation', async () => {
    await open.close()
    open = await openComputeEmulator({ quotas: { CPUS: 3 } })
    google.use(open.emulator)
    await done(await insert('vm-1'))
    expect(await done(await insert('vm-2'))).toMatchObject({
      status: 'DONE',
      httpErrorStatusCode: 403,
      error: {
        errors: [
          {
            code: 'QUOTA_EXCEEDED',
            message: `Quota 'CPUS' exceeded.  Limit: 3.0 in region us-east1.`,
          },
        ],
      },
    })
  })
})

describe('instance group managers', () => {
  const group = 'g'
  const template = { project, instanceTemplateResource: { name: 't', properties: VM } }

  beforeEach(async () => {
    await clients.templates.insert(template)
    await done(
      await clients.groups.insert({
        project,
        zone,
        instanceGroupManagerResource: {
          name: group,
          baseInstanceName: 'vm',
          targetSize: 2,
          instanceTemplate: 'global/instanceTemplates/t',
        },
      }),
    )
  })

  const get = async () =>
    (await clients.groups.get({ project, zone, instanceGroupManager: group }))[0]
  const stable = async () => {
    await expect.poll(async () => (await get()).status?.isStable, { timeout: 10_000 }).toBe(true)
  }
  const members = async () =>
    (await clients.groups.listManagedInstances({ project, zone, instanceGroupManager: group }))[0]

  test('keeps its target size, with names of its own', async () => {
    await stable()
    const list = await members()
    expect(list).toHaveLength(2)
    for (const member of list) {
      expect(member).toMatchObject({ currentAction: 'NONE', instanceStatus: 'RUNNING' })
      expect(member.instance).toMatch(/\/instances\/vm-[a-z0-9]{4}$/)
    }
    await done(await clients.groups.resize({ project, zone, instanceGroupManager: group, size: 1 }))
    await stable()
    expect(await members()).toHaveLength(1)
    const [behind] = await clients.instanceGroups.get({ project, zone, instanceGroup: group })
    expect(behind.size).toBe(1)
  })

  test('makes a VM that broke anew: same name, another id', async () => {
    await stable()
    const [before] = await members()
    const name = before?.instance?.split('/').pop() ?? ''
    await open.emulator.killVm(name)
    await stable()
    const after = (await members()).find((member) => member.instance === before?.instance)
    expect(after?.id).not.toBe(before?.id)
    expect(open.machines.isAlive(name)).toBe(true)
    const methods = open.entries
      .filter((entry) => String(entry.protoPayload?.['resourceName']).endsWith(name))
      .map((entry) => entry.protoPayload?.['methodName'])
    expect(methods).toEqual([
      'v1.compute.instances.insert',
      'compute.instances.hostError',
      'compute.instances.repair.recreateInstance',
      'v1.compute.instances.delete',
      'v1.compute.instances.insert',
    ])
  })

  test('a stale fingerprint is refused with 412', async () => {
    const { fingerprint } = await get()
    const patch = (targetSize: number) =>
      clients.groups.patch({
        project,
        zone,
        instanceGroupManager: group,
        instanceGroupManagerResource: { targetSize, fingerprint: fingerprint ?? null },
      })
    await done(await patch(3))
    await expect(patch(4)).rejects.toMatchObject({ code: 412 })
  })

  test('a template in use cannot be deleted', async () => {
    const removal = clients.templates.delete({ project, instanceTemplate: 't' })
    await expect(removal).rejects.toMatchObject({
      code: 400,
      message: expect.stringContaining('is already being used by'),
    })
  })

  test('a failing boot is shown as the last attempt, and made good later', async () => {
    await stable()
    open.machines.failBoots('no power')
    await done(await clients.groups.resize({ project, zone, instanceGroupManager: group, size: 3 }))
    await expect
      .poll(async () => (await members()).flatMap((one) => one.lastAttempt?.errors?.errors ?? []))
      .toMatchObject([{ code: 'INTERNAL_ERROR' }])
    open.machines.failBoots(undefined)
    await stable()
    expect(await members()).toHaveLength(3)
  })
})

describe('load balancers', () => {
  test('are put together of four parts, and taken apart in order', async () => {
    const link = `projects/${project}/regions/${region}`
    await clients.checks.insert({
      project,
      region,
      healthCheckResource: { name: 'hc', type: 'HTTP', httpHealthCheck: { port: 80 } },
    })
    await clients.services.insert({
      project,
      region,
      backendServiceResource: { name: 'bs', healthChecks: [`${link}/healthChecks/hc`] },
    })
    await clients.addresses.insert({ project, region, addressResource: { name: 'ip' } })
    const [{ address }] = await clients.addresses.get({ project, region, address: 'ip' })
    await clients.rules.insert({
      project,
      region,
      forwardingRuleResource: {
        name: 'fr',
        IPAddress: `${link}/addresses/ip`,
        ports: ['28080'],
        backendService: `${link}/backendServices/bs`,
      },
    })
    const [rule] = await clients.rules.get({ project, region, forwardingRule: 'fr' })
    expect(rule).toMatchObject({ IPAddress: address, ports: ['28080'], IPProtocol: 'TCP' })
    const [used] = await clients.addresses.get({ project, region, address: 'ip' })
    expect(used).toMatchObject({ status: 'IN_USE', users: [rule.selfLink] })
    for (const removal of [
      clients.addresses.delete({ project, region, address: 'ip' }),
      clients.services.delete({ project, region, backendService: 'bs' }),
      clients.checks.delete({ project, region, healthCheck: 'hc' }),
    ]) {
      await expect(removal).rejects.toMatchObject({ code: 400 })
    }
    await clients.rules.delete({ project, region, forwardingRule: 'fr' })
    await clients.services.delete({ project, region, backendService: 'bs' })
    await clients.checks.delete({ project, region, healthCheck: 'hc' })
    await clients.addresses.delete({ project, region, address: 'ip' })
    await expect(clients.addresses.get({ project, region, address: 'ip' })).rejects.toMatchObject({
      code: 404,
    })
  })
})

test('machine types say how large a VM is', async () => {
  const [type] = await clients.machineTypes.get({ project, zone, machineType: 'e2-medium' })
  expect(type).toMatchObject({ guestCpus: 2, memoryMb: 4096 })
  await expect(
    clients.machineTypes.get({ project, zone, machineType: 'e2-tiny' }),
  ).rejects.toMatchObject({ code: 404 })
})

test('another project, or an unknown route, is 404 and never 501', async () => {
  for (const path of ['projects/other/zones', `projects/${project}/global/networks`]) {
    const response = await fetch(`${google.url}/compute/v1/${path}`)
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ error: { code: 404, status: 'NOT_FOUND' } })
  }
})
