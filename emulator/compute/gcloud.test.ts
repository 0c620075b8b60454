// The real gcloud, where it is installed, against the emulator.

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  openComputeEmulator,
  openGoogleCompute,
  PROJECT,
  type GoogleComputeAt,
  type OpenComputeEmulator,
} from '#test/support/compute-emulator.ts'

const run = promisify(execFile)
const isInstalled = (process.env['PATH'] ?? '')
  .split(delimiter)
  .some((folder) => existsSync(join(folder, 'gcloud')))

const ENTRY = 'k8s1-12345678'
const BACKEND = `${ENTRY}-default-web-80-1a2b3c4d`

describe.skipIf(!isInstalled)('gcloud', () => {
  let google: GoogleComputeAt
  let open: OpenComputeEmulator
  let config: string

  beforeAll(async () => {
    config = mkdtempSync(join(tmpdir(), 'wherry-gcloud-'))
    google = await openGoogleCompute()
    open = await openComputeEmulator()
    google.use(open.emulator)
    const healthCheck = { port: 10_250, path: '/healthz', intervalSeconds: 1 }
    await google.compute.applyInstanceGroup({
      name: 'gke-test-cluster-default-pool-2e9eafc9-grp',
      zone: 'us-east1-c',
      size: 2,
      baseInstanceName: 'gke-test-cluster-default-pool-2e9eafc9',
      machineType: 'e2-medium',
      diskSizeGb: 100,
      spot: false,
      labels: {},
      metadata: {},
      healthCheck,
    })
    await google.compute.applyLoadBalancer({
      name: 'a123',
      region: 'us-east1',
      protocol: 'TCP',
      ports: [28_080],
      groups: [],
      healthCheck,
      sessionAffinity: 'NONE',
      sourceRanges: [],
    })
    const disk = { zone: 'us-east1-c', sizeGb: 10, type: 'pd-balanced', labels: {} }
    await google.compute.disks.create({ ...disk, name: 'pvc-1', description: '' })
    const paths = [{ paths: ['/*'], backend: BACKEND }]
    await google.balancers.apply({
      name: ENTRY,
      backends: [
        {
          name: BACKEND,
          zones: ['us-east1-c'],
          healthCheck: { path: '/healthz', intervalSeconds: 1 },
          sessionAffinity: 'NONE',
          drainingSeconds: 5,
        },
      ],
      http: { hosts: [{ host: 'shop.example', rules: paths }] },
    })
  })
  afterAll(async () => {
    await open.close()
    await google.close()
    rmSync(config, { recursive: true, force: true })
  })

  async function gcloud(...args: string[]): Promise<string> {
    const env = {
      ...process.env,
      CLOUDSDK_CONFIG: config,
      CLOUDSDK_CORE_PROJECT: PROJECT,
      CLOUDSDK_AUTH_ACCESS_TOKEN: 'dev-token',
      CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE: `${google.url}/`,
      CLOUDSDK_CORE_CHECK_GCE_METADATA: 'false',
      CLOUDSDK_METRICS_ENVIRONMENT: 'local',
      CLOUDSDK_CORE_DISABLE_PROMPTS: '1',
    }
    const { stdout } = await run('gcloud', ['compute', ...args], { env, timeout: 60_000 })
    return stdout
  }

  test('instances list', async () => {
    const [header, ...rows] = (await gcloud('instances', 'list')).trim().split('\n')
    expect(header?.split(/\s+/)).toEqual([
      'NAME',
      'ZONE',
      'MACHINE_TYPE',
      'PREEMPTIBLE',
      'INTERNAL_IP',
      'EXTERNAL_IP',
      'STATUS',
    ])
    expect(rows).toHaveLength(2)
    for (const row of rows) {
      expect(row).toMatch(
        /^gke-test-cluster-default-pool-2e9eafc9-[a-z0-9]{4} +us-east1-c +e2-medium +10\.128\.0\.\d+ +127\.0\.2\.\d+ +RUNNING$/,
      )
    }
  })

  /** The rows of a table, cell by cell, the header first. */
  async function table(...args: string[]): Promise<string[][]> {
    const rows = (await gcloud(...args)).trim().split('\n')
    return rows.map((row) => row.trim().split(/\s+/))
  }

  test('forwarding-rules list', async () => {
    const balancer = ['a123', 'us-east1', '127.0.1.1', 'TCP', 'us-east1/backendServices/a123']
    const entry = [`${ENTRY}-fr`, expect.stringMatching(/^127\.0\.1\.\d+$/), 'TCP', `${ENTRY}-tp`]
    expect((await table('forwarding-rules', 'list')).slice(1)).toEqual([entry, balancer])
  })

  test.each<{ what: string[]; rows: unknown[][] }>([
    {
      what: ['disks', 'list'],
      rows: [
        ['NAME', 'LOCATION', 'LOCATION_SCOPE', 'SIZE_GB', 'TYPE', 'STATUS'],
        ['pvc-1', 'us-east1-c', 'zone', '10', 'pd-balanced', 'READY'],
      ],
    },
    {
      what: ['url-maps', 'list'],
      rows: [
        ['NAME', 'DEFAULT_SERVICE'],
        [`${ENTRY}-um`, `backendServices/${ENTRY}-none`],
      ],
    },
    {
      what: ['backend-services', 'list', '--global'],
      rows: [
        ['NAME', 'BACKENDS', 'PROTOCOL'],
        [BACKEND, `us-east1-c/networkEndpointGroups/${BACKEND}`, 'HTTP'],
        [`${ENTRY}-none`, 'HTTP'],
      ],
    },
    {
      what: ['network-endpoint-groups', 'list'],
      rows: [
        ['NAME', 'LOCATION', 'ENDPOINT_TYPE', 'SIZE'],
        [BACKEND, 'us-east1-c', 'GCE_VM_IP_PORT', '0'],
      ],
    },
    {
      what: ['health-checks', 'list', '--global'],
      rows: [
        ['NAME', 'REGION', 'PROTOCOL'],
        [BACKEND, 'HTTP'],
      ],
    },
    {
      what: ['target-http-proxies', 'list'],
      rows: [
        ['NAME', 'URL_MAP'],
        [`${ENTRY}-tp`, `${ENTRY}-um`],
      ],
    },
    {
      what: ['addresses', 'list', '--format=table(name,region.basename(),status)'],
      rows: [
        ['NAME', 'REGION', 'STATUS'],
        [`${ENTRY}-ip`, 'IN_USE'],
        ['a123', 'us-east1', 'IN_USE'],
      ],
    },
  ])('$what', async ({ what, rows }) => {
    expect(await table(...what)).toEqual(rows)
  })

  test('firewall-rules: create, list, describe, update, delete', async () => {
    const rule = (...args: string[]): Promise<string> => gcloud('firewall-rules', ...args)
    await rule('create', 'web', '--allow=tcp:80,icmp', '--source-ranges=192.0.2.0/24', '--quiet')
    const format = '--format=value(name,direction,priority,sourceRanges.list())'
    const rows = (await rule('list', format)).trim().split('\n')
    expect(rows).toEqual(
      expect.arrayContaining([
        'default-allow-ssh\tINGRESS\t65534\t0.0.0.0/0',
        'k8s-fw-a123\tINGRESS\t999\t0.0.0.0/0',
        'web\tINGRESS\t1000\t192.0.2.0/24',
      ]),
    )
    await rule('update', 'web', '--priority=7')
    expect(await rule('describe', 'web')).toContain('priority: 7')
    await rule('delete', 'web', '--quiet')
    await expect(rule('describe', 'web')).rejects.toMatchObject({
      stderr: expect.stringContaining('was not found'),
    })
  }, 300_000)

  test('instances describe, and what is not there', async () => {
    const [vm] = await google.compute.listInstances({})
    const zone = ['--zone', 'us-east1-c']
    expect(await gcloud('instances', 'describe', vm?.name ?? '', ...zone)).toContain(
      'status: RUNNING',
    )
    await expect(gcloud('instances', 'describe', 'x', ...zone)).rejects.toMatchObject({
      stderr: expect.stringContaining(
        `The resource 'projects/${PROJECT}/zones/us-east1-c/instances/x' was not found`,
      ),
    })
  })

  test('instance-groups managed list, and a resize', async () => {
    const name = 'gke-test-cluster-default-pool-2e9eafc9-grp'
    await gcloud('instance-groups', 'managed', 'resize', name, '--size=3', '--zone=us-east1-c')
    const format = '--format=value(name,targetSize)'
    expect(await gcloud('instance-groups', 'managed', 'list', format)).toBe(`${name}\t3\n`)
  })

  test('instances delete: the group makes it anew', async () => {
    const [vm] = await google.compute.listInstances({})
    await gcloud('instances', 'delete', vm?.name ?? '', '--zone=us-east1-c', '--quiet')
    await expect
      .poll(
        async () =>
          (await google.compute.listInstances({})).find(({ name }) => name === vm?.name)?.id,
        {
          timeout: 20_000,
        },
      )
      .not.toBe(vm?.id)
  })
})
