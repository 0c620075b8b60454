import { describe, expect, it } from 'vitest'
import { NOW, defaulted, meta, refusals } from '#test/support/admission.ts'
import {
  CATALOG,
  groupVersions,
  kindByGvk,
  kindByPath,
  kindByResource,
  kindOfObject,
  kindsOf,
} from './catalog.ts'
import { apiVersionOf } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'

const TEMPLATE = {
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'web', image: 'nginx' }] },
}

/** The least that each kind accepts, beyond apiVersion, kind and metadata. */
const LEAST: Record<string, object> = {
  Pod: { spec: TEMPLATE.spec },
  PodTemplate: { template: TEMPLATE },
  ReplicaSet: { spec: { selector: { matchLabels: { app: 'web' } }, template: TEMPLATE } },
  Deployment: { spec: { selector: { matchLabels: { app: 'web' } }, template: TEMPLATE } },
  Service: { spec: { ports: [{ port: 80 }] } },
  EndpointSlice: { addressType: 'IPv4' },
  NetworkPolicy: { spec: { podSelector: {} } },
  NodePool: { spec: { zone: 'us-east1-c' } },
  Repository: { spec: { repository: 'owner/name' } },
  RuntimeClass: { handler: 'runc' },
  Ingress: { spec: { defaultBackend: { service: { name: 'web', port: { number: 80 } } } } },
  IngressClass: { spec: { controller: 'example.com/ingress' } },
  StorageClass: { provisioner: 'pd.csi.storage.gke.io' },
  VolumeAttachment: {
    spec: {
      attacher: 'pd.csi.storage.gke.io',
      nodeName: 'vm',
      source: { persistentVolumeName: 'v' },
    },
  },
  PersistentVolume: {
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      hostPath: { path: '/srv' },
    },
  },
  PersistentVolumeClaim: {
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  },
  ControllerRevision: { data: {} },
  'Event events.k8s.io': {
    eventTime: '2027-01-15T08:00:00.000000Z',
    reportingController: 'c',
    reportingInstance: 'c-1',
    action: 'Act',
    reason: 'Reason',
    regarding: { namespace: 'default' },
  },
  Event: { involvedObject: { namespace: 'default' } },
}

function least(kind: KindDefinition): KubeObject {
  return {
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    metadata: meta('web', kind.isNamespaced ? 'default' : ''),
    ...(LEAST[`${kind.kind} ${kind.group}`] ?? LEAST[kind.kind]),
  }
}

describe.each(CATALOG.map((kind) => [`${kind.kind} ${apiVersionOf(kind)}`, kind] as const))(
  '%s',
  (_, kind) => {
    it('is found by resource, by kind and by path', () => {
      expect(kindByGvk(kind.group, kind.version, kind.kind)).toBe(kind)
      expect(kindByPath(kind.group, kind.version, kind.plural)).toBe(kind)
      expect(kindByResource(kind.group ? `${kind.plural}.${kind.group}` : kind.plural)).toBe(kind)
      expect(kindOfObject(least(kind))).toBe(kind)
    })

    it('accepts the least object, once defaults are in', () => {
      if (kind.validate) expect(refusals(least(kind))).toEqual([])
      else expect(kind.isVirtual).toBe(true)
    })

    it('has defaults that change nothing when applied again, on create and on update', () => {
      const once = defaulted(least(kind))
      expect(defaulted(once)).toEqual(once)
      expect(defaulted(once, { old: once })).toEqual(once)
      expect(refusals(once, { old: once })).toEqual([])
    })

    it('prints one cell for each column', () => {
      expect(kind.columns).toContainEqual(expect.objectContaining({ format: 'name' }))
      expect(kind.cells(defaulted(least(kind)), { now: NOW })).toHaveLength(kind.columns.length)
    })

    it('refuses an object without a name', () => {
      if (!kind.validate) return
      const nameless = least(kind)
      nameless.metadata = { ...nameless.metadata, name: '' }
      expect(refusals(nameless)).toContain(
        'metadata.name: Required value: name or generateName is required',
      )
    })

    it('survives an object of which everything is missing', () => {
      if (!kind.validate) return
      const bare = { apiVersion: apiVersionOf(kind), kind: kind.kind } as KubeObject
      expect(refusals(bare)).not.toEqual([])
    })
  },
)

describe('the catalog', () => {
  it('lists the core group first, and pods before services, as kubectl get all prints them', () => {
    expect(groupVersions()[0]).toEqual({ group: '', version: 'v1' })
    expect(groupVersions()[1]).toEqual({ group: 'apps', version: 'v1' })
    const all = CATALOG.filter((kind) => kind.categories.includes('all')).map((kind) => kind.plural)
    expect(all).toEqual(['pods', 'services', 'deployments', 'replicasets'])
  })

  it('keeps a group version together', () => {
    expect(kindsOf('apps', 'v1').map((kind) => kind.kind)).toEqual([
      'ControllerRevision',
      'Deployment',
      'ReplicaSet',
    ])
    const listed = groupVersions().flatMap(({ group, version }) => kindsOf(group, version))
    expect(listed).toEqual(CATALOG)
  })

  it('has no two kinds of one name', () => {
    const short = CATALOG.flatMap((kind) => kind.shortNames)
    // events.k8s.io/v1 shares `ev` with v1, as in Kubernetes.
    expect(new Set(short).size).toBe(short.length - 1)
  })

  it('answers undefined for what it does not know', () => {
    expect(kindByResource('jobs.batch')).toBeUndefined()
    expect(kindByGvk('', 'v2', 'Pod')).toBeUndefined()
    expect(kindByPath('apps', 'v1', 'daemonsets')).toBeUndefined()
  })
})
