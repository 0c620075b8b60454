// Who must hear of what happens to volumes and Ingresses: nobody is woken for nothing, nobody is forgotten.

import { describe, expect, test } from 'vitest'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Change, Revision } from '#shared/ports/store.ts'
import { keyOfObject } from '#shared/reconcile/kinds.ts'
import { ClusterView } from '#shared/view/view.ts'
import { aNode, aPod, aService } from '#test/support/objects.ts'
import { concernsOf } from './concerns.ts'

type More = Record<string, unknown>

/** An object of this kind, with what else it has. */
function an(apiVersion: string, kind: string, name: string, more: More, meta: More = {}) {
  const metadata = { name, uid: `uid-${name}`, creationTimestamp: '', ...meta }
  return { apiVersion, kind, metadata, ...more }
}

const STORAGE = 'storage.k8s.io/v1'
const NETWORK = 'networking.k8s.io/v1'
const PROVISIONER = 'volume.kubernetes.io/storage-provisioner'
const DRIVER = 'pd.csi.storage.gke.io'
const LEAVING = { deletionTimestamp: '2027-01-15T08:00:00Z' }

const claim = (spec: More, status: More = {}, meta: More = {}): KubeObject =>
  an(
    'v1',
    'PersistentVolumeClaim',
    'data',
    { spec: { resources: { requests: { storage: '2Gi' } }, ...spec }, status },
    { namespace: 'default', ...meta },
  )
const asking = claim({}, { phase: 'Pending' }, { annotations: { [PROVISIONER]: DRIVER } })
const bound = claim({ volumeName: 'disk' }, { phase: 'Bound' })
const volume = (spec: More, phase = 'Bound', meta: More = {}): KubeObject =>
  an('v1', 'PersistentVolume', 'disk', { spec, status: { phase } }, meta)
const attachment = (status: More, meta: More = {}, attacher = DRIVER): KubeObject =>
  an(
    STORAGE,
    'VolumeAttachment',
    'csi-1',
    { spec: { attacher, nodeName: 'a', source: { persistentVolumeName: 'disk' } }, status },
    meta,
  )
const storageClass = (more: More): KubeObject =>
  an(STORAGE, 'StorageClass', 'fast', { provisioner: DRIVER, ...more })
const ingress = (spec: More, meta: More = {}, status: More = {}): KubeObject =>
  an(
    NETWORK,
    'Ingress',
    'shop',
    { spec: { ...RULES, ...spec }, status },
    { namespace: 'default', ...meta },
  )
const RULES = {
  tls: [{ secretName: 'cert' }],
  defaultBackend: { service: { name: 'web', port: { number: 80 } } },
}
const ingressClass = (controller: string): KubeObject =>
  an(NETWORK, 'IngressClass', 'gce', { spec: { controller } })
const secret = (name: string, value: string): KubeObject =>
  an('v1', 'Secret', name, { data: { 'tls.crt': value } }, { namespace: 'default' })
const slice = (service: string, address: string): KubeObject =>
  an(
    'discovery.k8s.io/v1',
    'EndpointSlice',
    `${service}-x`,
    { addressType: 'IPv4', endpoints: [{ addresses: [address] }] },
    { namespace: 'default', labels: { 'kubernetes.io/service-name': service } },
  )
const node = (volumesInUse: string[]): KubeObject => {
  const object = aNode('a')
  return { ...object, status: { ...object.status, volumesInUse } } as KubeObject
}

/** A pod on node `a` that uses the claim, its disk, and an Ingress in front of the Service `web`. */
const SETUP: KubeObject[] = [
  aPod('db', {
    node: 'a',
    spec: { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] },
  }),
  bound,
  volume({ capacity: { storage: '2Gi' } }),
  attachment({ attached: true }),
  ingress({}),
]

interface Case {
  what: string
  before?: KubeObject
  after?: KubeObject
  actor?: string
  nodes?: string[]
  cloud?: boolean
}

const VOLUMES: Case[] = [
  {
    what: 'a claim asks for a disk',
    before: claim({}, { phase: 'Pending' }),
    after: asking,
    cloud: true,
  },
  { what: 'a claim is bound', before: asking, after: bound, nodes: ['a'], cloud: true },
  {
    what: 'a claim asks for more',
    before: bound,
    after: claim(
      { volumeName: 'disk', resources: { requests: { storage: '3Gi' } } },
      { phase: 'Bound' },
    ),
    cloud: true,
  },
  {
    what: 'a claim’s file system has grown',
    before: bound,
    after: claim({ volumeName: 'disk' }, { phase: 'Bound', capacity: { storage: '3Gi' } }),
    actor: 'node:a',
  },
  {
    what: 'a claim gets a label',
    before: bound,
    after: claim({ volumeName: 'disk' }, { phase: 'Bound' }, { labels: { a: 'b' } }),
  },
  {
    what: 'a claim is deleted',
    before: bound,
    after: claim({ volumeName: 'disk' }, { phase: 'Bound' }, LEAVING),
    cloud: true,
  },
  { what: 'a volume is there to be had', after: volume({}, 'Available'), cloud: true },
  { what: 'a volume is released', before: volume({}), after: volume({}, 'Released'), cloud: true },
  {
    what: 'a volume is to be kept after all',
    before: volume({ persistentVolumeReclaimPolicy: 'Delete' }),
    after: volume({ persistentVolumeReclaimPolicy: 'Retain' }),
    cloud: true,
  },
  {
    what: 'a volume has grown',
    before: volume({ capacity: { storage: '2Gi' } }),
    after: volume({ capacity: { storage: '3Gi' } }),
    actor: 'function:cloud',
    nodes: ['a'],
  },
  {
    what: 'a volume gets a label',
    before: volume({}),
    after: volume({}, 'Bound', { labels: { a: 'b' } }),
  },
  { what: 'a disk is wanted at a node', after: attachment({ attached: false }), cloud: true },
  {
    what: 'a disk was attached',
    before: attachment({ attached: false }),
    after: attachment({ attached: true }),
    actor: 'function:cloud',
    nodes: ['a'],
  },
  {
    what: 'a disk could not be attached',
    before: attachment({ attached: false }),
    after: attachment({ attached: false, attachError: { message: 'no' } }),
    actor: 'function:cloud',
  },
  {
    what: 'a disk is no longer wanted',
    before: attachment({ attached: true }),
    after: attachment({ attached: true }, LEAVING),
    nodes: ['a'],
    cloud: true,
  },
  {
    what: 'somebody else attaches something',
    before: attachment({ attached: false }, {}, 'other.example'),
    after: attachment({ attached: true }, {}, 'other.example'),
  },
  {
    what: 'a node lets go of a volume',
    before: node(['kubernetes.io/csi/x']),
    after: node([]),
    actor: 'node:a',
    cloud: true,
  },
  {
    what: 'a class allows to grow',
    before: storageClass({}),
    after: storageClass({ allowVolumeExpansion: true }),
  },
]

const address = { loadBalancer: { ingress: [{ ip: '127.0.1.1' }] } }
const INGRESSES: Case[] = [
  { what: 'an Ingress is made', after: ingress({}), cloud: true },
  {
    what: 'a rule changes',
    before: ingress({}),
    after: ingress({ rules: [{ host: 'shop.example' }] }),
    cloud: true,
  },
  { what: 'an Ingress is deleted', before: ingress({}), after: ingress({}, LEAVING), cloud: true },
  {
    what: 'its finalizer is taken away',
    before: ingress({}, { finalizers: ['networking.gke.io/ingress-finalizer-V2'] }),
    after: ingress({}),
    cloud: true,
  },
  {
    what: 'its address is written down',
    before: ingress({}),
    after: ingress({}, {}, address),
    actor: 'function:cloud',
  },
  {
    what: 'its address is taken off by hand',
    before: ingress({}, {}, address),
    after: ingress({}),
    cloud: true,
  },
  {
    what: 'an Ingress is for HTTPS only',
    before: ingress({}),
    after: ingress({}, { annotations: { 'kubernetes.io/ingress.allow-http': 'false' } }),
    cloud: true,
  },
  {
    what: 'an Ingress gets a note',
    before: ingress({}),
    after: ingress({}, { annotations: { note: 'x' } }),
  },
  {
    what: 'a class is somebody else’s',
    before: ingressClass('a'),
    after: ingressClass('b'),
    cloud: true,
  },
  {
    what: 'its certificate changes',
    before: secret('cert', '1'),
    after: secret('cert', '2'),
    cloud: true,
  },
  { what: 'another Secret changes', before: secret('other', '1'), after: secret('other', '2') },
  {
    what: 'its Service changes',
    before: aService('web'),
    after: aService('web', { sessionAffinity: 'ClientIP' }),
    nodes: ['*'],
    cloud: true,
  },
  {
    what: 'another Service changes',
    before: aService('other'),
    after: aService('other', { sessionAffinity: 'ClientIP' }),
    nodes: ['*'],
  },
  {
    what: 'a pod behind it becomes ready',
    before: slice('web', '10.0.0.1'),
    after: slice('web', '10.0.0.2'),
    nodes: ['*'],
    cloud: true,
  },
  {
    what: 'a pod elsewhere becomes ready',
    before: slice('other', '10.0.0.1'),
    after: slice('other', '10.0.0.2'),
    nodes: ['*'],
  },
  {
    what: 'a pod was let go by the balancer',
    before: aPod('web-1', { node: 'b', meta: LEAVING }),
    after: aPod('web-1', {
      node: 'b',
      meta: { ...LEAVING, annotations: { 'wherry.dev/drained': '2027-01-15T08:00:01Z' } },
    }),
    actor: 'function:cloud',
    nodes: ['b'],
  },
]

function revision(changes: Change[], actor: string): Revision {
  const version = '0000000000000001'
  return { id: actor, version, cause: { actor, verb: 'update' }, changes, decisions: [] }
}

describe.each([
  ['volumes', VOLUMES],
  ['Ingresses', INGRESSES],
])('of %s: who must hear of it when', (_, cases) => {
  test.each(cases)('$what: $nodes, cloud: $cloud', (each) => {
    const { before, after, actor = 'user:admin', nodes = [], cloud = false } = each
    const view = new ClusterView()
    const setup = SETUP.map((object): Change => ({ key: keyOfObject(object), after: object }))
    view.apply(revision(setup, 'setup'))
    const key = keyOfObject((after ?? before) as KubeObject)
    const change: Change = { key, ...(before ? { before } : {}), ...(after ? { after } : {}) }
    view.apply({ ...revision([change], actor), version: '0000000000000002' })
    const found = concernsOf([revision([change], actor)], view)
    expect({ nodes: [...found.nodes], cloud: found.cloud }).toEqual({ nodes, cloud })
  })
})
