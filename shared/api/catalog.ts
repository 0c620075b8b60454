// The catalog: every kind that this API has. Routes, discovery, OpenAPI paths and tables are made
// from it. The order is that of discovery: groups as Kubernetes prefers them, kinds by their plural.

import { componentStatusKind } from './component-status.ts'
import { configMapKind } from './config-map.ts'
import { controllerRevisionKind } from './controller-revision.ts'
import { deploymentKind } from './deployment.ts'
import { endpointSliceKind } from './endpoint-slice.ts'
import { endpointsKind } from './endpoints.ts'
import { eventV1Kind } from './event-v1.ts'
import { eventKind } from './event.ts'
import { ingressClassKind } from './ingress-class.ts'
import { ingressKind } from './ingress.ts'
import { resourceOf } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import { leaseKind } from './lease.ts'
import { namespaceKind } from './namespace.ts'
import { networkPolicyKind } from './network-policy.ts'
import { nodePoolKind } from './node-pool.ts'
import { nodeKind } from './node.ts'
import { persistentVolumeClaimKind } from './persistent-volume-claim.ts'
import { persistentVolumeKind } from './persistent-volume.ts'
import { podKind } from './pod-kind.ts'
import { podTemplateKind } from './pod-template.ts'
import { priorityClassKind } from './priority-class.ts'
import { replicaSetKind } from './replica-set.ts'
import { repositoryKind } from './repository.ts'
import { resourceQuotaKind } from './resource-quota.ts'
import { runtimeClassKind } from './runtime-class.ts'
import { secretKind } from './secret.ts'
import { serviceAccountKind } from './service-account.ts'
import { serviceKind } from './service-kind.ts'
import { storageClassKind } from './storage-class.ts'
import { volumeAttachmentKind } from './volume-attachment.ts'

export const CATALOG: readonly KindDefinition[] = [
  componentStatusKind,
  configMapKind,
  endpointsKind,
  eventKind,
  namespaceKind,
  nodeKind,
  persistentVolumeClaimKind,
  persistentVolumeKind,
  podKind,
  podTemplateKind,
  resourceQuotaKind,
  secretKind,
  serviceAccountKind,
  serviceKind,

  controllerRevisionKind,
  deploymentKind,
  replicaSetKind,

  eventV1Kind,
  ingressClassKind,
  ingressKind,
  networkPolicyKind,
  storageClassKind,
  volumeAttachmentKind,
  priorityClassKind,
  leaseKind,
  runtimeClassKind,
  endpointSliceKind,
  nodePoolKind,
  repositoryKind,
]

export interface GroupVersion {
  group: string
  version: string
}

const byResource = new Map(CATALOG.map((kind) => [resourceOf(kind), kind]))
const byGvk = new Map(CATALOG.map((kind) => [pathKey(kind.group, kind.version, kind.kind), kind]))
const byPath = new Map(
  CATALOG.map((kind) => [pathKey(kind.group, kind.version, kind.plural), kind]),
)

function pathKey(group: string, version: string, name: string): string {
  return `${group}/${version}/${name}`
}

/** The kind of a key's first part: `deployments.apps`, `pods`. */
export function kindByResource(resource: string): KindDefinition | undefined {
  return byResource.get(resource)
}

/** The kind that an object names in apiVersion and kind. */
export function kindByGvk(
  group: string,
  version: string,
  kind: string,
): KindDefinition | undefined {
  return byGvk.get(pathKey(group, version, kind))
}

/** The kind that a URL names: `/apis/GROUP/VERSION/…/PLURAL`. */
export function kindByPath(
  group: string,
  version: string,
  plural: string,
): KindDefinition | undefined {
  return byPath.get(pathKey(group, version, plural))
}

/** The kind of an object, by its apiVersion (`apps/v1`, `v1`) and kind. */
export function kindOfObject(object: {
  apiVersion: string
  kind: string
}): KindDefinition | undefined {
  const parts = object.apiVersion.split('/')
  const [group, version] = parts.length === 2 ? parts : ['', parts[0]]
  return kindByGvk(group ?? '', version ?? '', object.kind)
}

/** The kinds of one group and version, in discovery's order. */
export function kindsOf(group: string, version: string): readonly KindDefinition[] {
  return CATALOG.filter((kind) => kind.group === group && kind.version === version)
}

/** Every group and version, in order of preference; the core group ('') comes first. */
export function groupVersions(): readonly GroupVersion[] {
  const seen = new Map<string, GroupVersion>()
  for (const { group, version } of CATALOG) seen.set(`${group}/${version}`, { group, version })
  return [...seen.values()]
}
