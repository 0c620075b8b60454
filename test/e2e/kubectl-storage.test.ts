// What people see of volumes and Ingresses: the real kubectl against the api, the reconcile and the cloud function,
// with Compute Engine in memory. Transcripts are golden files; ages and ids are replaced in them.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryCompute } from '#emulator/adapters/memory-compute.ts'
import { createMemoryDisks } from '#emulator/adapters/memory-disks.ts'
import { createMemoryHttpBalancers } from '#emulator/adapters/memory-http-balancers.ts'
import { createMemoryStore } from '#emulator/adapters/memory-store.ts'
import { createProcessTimers } from '#emulator/adapters/process-timers.ts'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import { composeCloud, composeReconcile } from '#functions/compose.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import { CLUSTER, seededMeta } from '#test/api.ts'
import { eventually } from '#test/local-wherry.ts'
import { serveApi, type ServedApi } from '#test/serve-api.ts'

const VERSIONS = ['1.35', '1.32'] as const

/** Objects as people write them, in the order in which they are applied. */
const MANIFESTS = [
  {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'folder', labels: { kind: 'folder' } },
    spec: {
      capacity: { storage: '500Mi' },
      accessModes: ['ReadWriteOnce', 'ReadOnlyMany'],
      storageClassName: 'by-hand',
      hostPath: { path: '/data', type: 'DirectoryOrCreate' },
    },
  },
  claim('data', { storageClassName: 'standard' }),
  claim('waiting', {}),
  claim('nowhere', { storageClassName: 'by-hand', accessModes: ['ReadWriteMany'] }),
  {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'db' },
    spec: {
      containers: [
        { name: 'db', image: 'postgres', volumeMounts: [{ name: 'v', mountPath: '/data' }] },
      ],
      volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }],
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { ports: [{ port: 80, targetPort: 8080 }] },
  },
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    ports: [{ port: 8080 }],
    endpoints: [{ addresses: ['10.4.0.7'] }, { addresses: ['10.4.1.9'] }],
  },
  {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name: 'shop' },
    spec: {
      rules: [
        {
          host: 'shop.example',
          http: {
            paths: [
              { path: '/', pathType: 'Prefix', backend: backend('web') },
              { path: '/lost', pathType: 'Exact', backend: backend('lost') },
            ],
          },
        },
        {
          host: '*.shop.example',
          http: { paths: [{ pathType: 'ImplementationSpecific', backend: backend('web') }] },
        },
      ],
    },
  },
]

function claim(name: string, spec: object) {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name },
    spec: {
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: '2Gi' } },
      ...spec,
    },
  }
}

function backend(name: string) {
  return { service: { name, port: { number: 80 } } }
}

const COMMANDS = [
  'get storageclass',
  'get sc,pv,pvc',
  'get pvc -o wide',
  'get pv -o wide',
  'describe pvc data',
  'describe pvc waiting',
  'describe pvc nowhere',
  'describe pv folder',
  'describe pv --selector !kind',
  'describe sc standard-rwo',
  'get ingressclass',
  'get ingress',
  'get ing -A -o wide',
  'describe ingress shop',
  'events --for pvc/data',
  'events --for ingress/shop',
]

/** What is refused: a command, and its input. */
const REFUSALS: [command: string, input?: object][] = [
  ['patch pvc data -p {"spec":{"resources":{"requests":{"storage":"1Gi"}}}}'],
  ['patch pvc data -p {"spec":{"accessModes":["ReadOnlyMany"]}}'],
  ['patch pvc waiting -p {"spec":{"resources":{"requests":{"storage":"3Gi"}}}}'],
  ['patch pv folder -p {"spec":{"hostPath":{"path":"/other"}}}'],
  ['patch sc standard -p {"parameters":{"type":"pd-ssd"},"reclaimPolicy":"Retain"}'],
  ['apply -f -', claim('no-modes', { accessModes: [] })],
  ['apply -f -', claim('no-size', { resources: { requests: { storage: '2 Gi' } } })],
  ['apply -f -', claim('negative', { resources: { requests: { storage: '-2Gi' } } })],
  [
    'apply -f -',
    {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: 'both' },
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce'],
        hostPath: { path: '/a' },
        nfs: { server: 's', path: '/' },
      },
    },
  ],
]

/** Without what differs from run to run. Columns are as wide as what is in them. */
function told(text: string): string {
  return (
    text
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UID')
      .replaceAll(/\b\d+(ms|s|m\d+s|m)( \(x\d+ over \d+\w+\))?(?=\s)/g, 'AGE')
      .replaceAll(/[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} [\d:]+ [+-]\d{4}/g, 'TIME')
      .replaceAll(/ {3,}/g, '   ')
      .replaceAll(/[- ]*-{3,}[- ]*/g, ' --- ')
      .replaceAll(/ +$/gm, '')
      // Events of one second are in no order.
      .replaceAll(/(^( {2}Normal| {2}Warning|AGE {3}).*\n)+/gm, (events) =>
        events.split('\n').toSorted().join('\n').trimStart().concat('\n'),
      )
  )
}

describe.each(VERSIONS)('kubectl %s', (version) => {
  let served: ServedApi
  let end: () => Promise<void>
  beforeAll(async () => {
    const clock = createSystemClock()
    const store = createMemoryStore({ clock })
    const bus = createMemoryBus()
    const compute = createMemoryCompute({ clock })
    const timers = createProcessTimers({ clock, bus })
    served = await serveApi({ clock, store, bus })
    const { log } = served.api
    const ports = { store, bus, timers, clock, log }
    await bus.subscribe(TOPICS.changes, 'reconcile', composeReconcile(ports))
    const cloud = composeCloud(
      {
        ...ports,
        compute,
        disks: createMemoryDisks({ compute }),
        httpBalancers: createMemoryHttpBalancers(),
      },
      {
        region: 'us-east1',
        apiUrl: () => served.server.url,
        apiCa: () => '',
        audience: served.server.url,
        pubsubProject: 'demo-wherry',
        healthCheckIntervalSeconds: 1,
        propagationSeconds: 0,
      },
    )
    await bus.subscribe(TOPICS.cloud, 'cloud', cloud)
    end = async () => {
      await timers.close()
      await served.close()
      bus.close()
    }
    const system = { apiVersion: 'v1', kind: 'Namespace', metadata: seededMeta('kube-system') }
    await served.api.seed(['namespaces', system])
    await bus.publish(TOPICS.changes, { attributes: { cluster: CLUSTER }, data: '{}' })
    await eventually('classes', async () => (await run('get sc -o name')).includes('standard-rwo'))
    await run('apply -f -', JSON.stringify({ apiVersion: 'v1', kind: 'List', items: MANIFESTS }))
    await run(`wait --for=jsonpath={.status.phase}=Bound pvc/data --timeout=60s`)
    await run(`wait --for=jsonpath={.status.loadBalancer.ingress} ingress/shop --timeout=60s`)
    await eventually('all events', async () => {
      const events = await run('get events -o jsonpath={.items[*].reason}')
      const expected = ['WaitForFirstConsumer', 'ProvisioningSucceeded', 'IPChanged', 'Translate']
      return expected.every((reason) => events.includes(reason))
    })
  }, 120_000)
  afterAll(() => end?.())

  async function run(line: string, input?: string): Promise<string> {
    const options = { version, ...(input === undefined ? {} : { input }) }
    const { code, stdout, stderr } = await served.kubectl(line.split(' '), options)
    expect(code, `kubectl ${line}\n${stdout}${stderr}`).toBe(0)
    return stdout
  }

  it('shows claims, volumes, classes and Ingresses, and says what is refused', async () => {
    let transcript = ''
    for (const command of COMMANDS) transcript += `$ kubectl ${command}\n${await run(command)}\n`
    for (const [command, input] of REFUSALS) {
      const options = { version, ...(input ? { input: JSON.stringify(input) } : {}) }
      const { code, stderr } = await served.kubectl(command.split(' '), options)
      expect(code, command).not.toBe(0)
      const name = input && 'metadata' in input ? ` # ${JSON.stringify(input.metadata)}` : ''
      transcript += `$ kubectl ${command}${name}\n${stderr}\n`
    }
    await expect(told(transcript)).toMatchFileSnapshot(`../golden/kubectl/storage.golden`)
  }, 120_000)
})
