// Who must hear of what happened: nodes whose desired state has changed, the cloud function, and the
// deploy function.

import type { ConfigMap, Secret } from '#shared/api/config.ts'
import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import { INGRESS_CLASSES } from '#shared/api/ingress-class.ts'
import {
  ALLOW_HTTP_ANNOTATION,
  CLASS_ANNOTATION,
  INGRESSES,
  type Ingress,
} from '#shared/api/ingress.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { NETWORK_POLICIES } from '#shared/api/network-policy.ts'
import type { NetworkPolicy } from '#shared/api/network-policy.ts'
import type { NodePool } from '#shared/api/node-pool.ts'
import { ASKED_ANNOTATION, type Node } from '#shared/api/node.ts'
import { conditionOf } from '#shared/api/conditions.ts'
import type { Pod } from '#shared/api/pod.ts'
import { CLAIMS } from '#shared/api/persistent-volume-claim.ts'
import { VOLUMES } from '#shared/api/persistent-volume.ts'
import { VOLUME_ATTACHMENTS } from '#shared/api/volume-attachment.ts'
import { OWNER_ANNOTATION, REPOSITORIES } from '#shared/api/repository.ts'
import type { Service } from '#shared/api/service.ts'
import { isEqual } from '#shared/equal.ts'
import { secretsOf } from '#shared/ingress/certificates.ts'
import { holdsEntry } from '#shared/ingress/classes.ts'
import { servicesBehind } from '#shared/ingress/draining.ts'
import { isMarked } from '#shared/ingress/mark.ts'
import { keyOf, splitKey } from '#shared/key.ts'
import type { Key } from '#shared/key.ts'
import { nodesOfNamespace, nodesOfPeer, nodesOfPolicy } from '#shared/network/policy-concerns.ts'
import type { Change, Revision } from '#shared/ports/store.ts'
import { SERVICE_NAME_LABEL } from '#shared/reconcile/endpoints/slices.ts'
import type { Reader } from '#shared/view/reader.ts'
import { usedBy } from '../api/agent/desired.ts'
import { addVolumes } from './volume-concerns.ts'

/** Every node. */
export const EVERY_NODE = '*'

/** The actor of the cloud function's own commits: it need not be told what it did. */
const CLOUD_ACTOR = 'function:cloud'
const DEPLOY_ACTOR = 'function:deploys'

export interface Concerns {
  /** Names; EVERY_NODE stands for all. */
  nodes: Set<string>
  cloud: boolean
  /** A Repository, or something that one has deployed. */
  deploys: boolean
}

/** Nobody, so far. */
export function noConcerns(): Concerns {
  return { nodes: new Set(), cloud: false, deploys: false }
}

/** Everybody: what a start from nothing cannot rule out. */
export function allConcerns(reader: Reader): Concerns {
  const services = reader.list('services') as readonly Service[]
  const needsCloud =
    reader.list(CLAIMS).length > 0 ||
    reader.list(VOLUMES).length > 0 ||
    reader.list('nodepools.container.wherry.dev').length > 0 ||
    services.some(({ spec }) => spec.type === 'LoadBalancer') ||
    reader.list(INGRESSES).length > 0 ||
    isMarked(reader)
  const nodes = reader.list('nodes').length > 0 ? [EVERY_NODE] : []
  const deploys = reader.list(REPOSITORIES).length > 0
  return { nodes: new Set(nodes), cloud: needsCloud, deploys }
}

/** Whom the revisions concern, beside those who made them. */
export function concernsOf(revisions: readonly Revision[], reader: Reader): Concerns {
  const concerns = noConcerns()
  for (const { cause, changes } of revisions) {
    const found = noConcerns()
    for (const change of changes) addConcerns(found, change, reader)
    const [kind, name] = cause.actor.split(':')
    if (kind === 'node' && name) found.nodes.delete(name)
    // An address that a node has told may be a peer of another of its own pods: that it does not know.
    for (const node of changes.flatMap((change) => nodesOfPeers(change, reader))) {
      found.nodes.add(node)
    }
    if (cause.actor === CLOUD_ACTOR) found.cloud = false
    // The next wake-up of its own making comes from its timer.
    if (cause.actor === DEPLOY_ACTOR) found.deploys = false
    addAll(concerns, found)
  }
  return concerns
}

/** Adds one set of concerns to another. */
export function addAll(to: Concerns, more: Concerns): void {
  for (const node of more.nodes) to.nodes.add(node)
  to.cloud ||= more.cloud
  to.deploys ||= more.deploys
}

function nodesOfPeers({ key, before, after }: Change, reader: Reader): string[] {
  if (splitKey(key).resource !== 'pods') return []
  return nodesOfPeer(reader, before as Pod | undefined, after as Pod | undefined)
}

function addConcerns(concerns: Concerns, change: Change, reader: Reader): void {
  const { key, before, after } = change
  concerns.deploys ||= isDeployed(before) || isDeployed(after)
  switch (splitKey(key).resource) {
    case 'pods':
      for (const node of nodesOfPod(before as Pod | undefined, after as Pod | undefined)) {
        concerns.nodes.add(node)
      }
      break
    case 'namespaces':
      for (const node of nodesOfNamespace(reader, before, after)) concerns.nodes.add(node)
      break
    case NETWORK_POLICIES:
      for (const node of nodesOfPolicy(
        reader,
        before as NetworkPolicy | undefined,
        after as NetworkPolicy | undefined,
      )) {
        concerns.nodes.add(node)
      }
      break
    case 'nodes':
      addNode(concerns, key, before as Node | undefined, after as Node | undefined)
      break
    case INGRESSES:
      concerns.cloud ||= !isSameIngress(before as Ingress | undefined, after as Ingress | undefined)
      break
    case INGRESS_CLASSES:
      concerns.cloud ||= reader.list(INGRESSES).length > 0
      break
    case 'configmaps':
    case 'secrets':
      concerns.cloud ||= isCertificate(reader, key)
      for (const node of nodesThatUse(reader, key, change)) concerns.nodes.add(node)
      break
    case 'services':
      addService(concerns, before as Service | undefined, after as Service | undefined)
      concerns.cloud ||=
        !isEqual((before as Service)?.spec, (after as Service)?.spec) && isRouted(reader, key)
      break
    case 'endpointslices.discovery.k8s.io':
      if (!hasSameTargets(before as EndpointSlice, after as EndpointSlice)) {
        concerns.nodes.add(EVERY_NODE)
        concerns.cloud ||= isRouted(reader, serviceKeyOf((after ?? before) as EndpointSlice))
      }
      break
    case 'nodepools.container.wherry.dev':
      concerns.cloud ||= !isSamePool(before as NodePool | undefined, after as NodePool | undefined)
      break
    case CLAIMS:
    case VOLUMES:
    case VOLUME_ATTACHMENTS:
      addVolumes(concerns, change, reader)
      break
    default:
  }
}

/** A Repository, or what one has put there. */
function isDeployed(object: KubeObject | undefined): boolean {
  if (object?.kind === 'Repository') return true
  return object?.metadata.annotations?.[OWNER_ANNOTATION] !== undefined
}

/** A pod's status is the agent's own news; everything else is news for the agent. */
function nodesOfPod(before: Pod | undefined, after: Pod | undefined): string[] {
  const [from, to] = [before?.spec.nodeName, after?.spec.nodeName]
  if (from === to && before && after && isSamePod(before, after)) return []
  return [...new Set([from, to])].filter((node) => node !== undefined)
}

function isSamePod(before: Pod, after: Pod): boolean {
  return (
    before.metadata.uid === after.metadata.uid &&
    before.metadata.deletionTimestamp === after.metadata.deletionTimestamp &&
    before.metadata.deletionGracePeriodSeconds === after.metadata.deletionGracePeriodSeconds &&
    isEqual(before.metadata.labels, after.metadata.labels) &&
    isEqual(before.metadata.annotations, after.metadata.annotations) &&
    isEqual(before.spec, after.spec)
  )
}

function addNode(
  concerns: Concerns,
  key: Key,
  before: Node | undefined,
  after: Node | undefined,
): void {
  const { name } = splitKey(key)
  const asked = (node: Node | undefined): string | undefined =>
    node?.metadata.annotations?.[ASKED_ANNOTATION]
  const isAsked = asked(after) !== undefined && asked(before) !== asked(after)
  const hasNewSpec = before !== undefined && after && !isEqual(before.spec, after.spec)
  if (!after || hasNewSpec || isAsked) concerns.nodes.add(name)
  const ready = (node: Node | undefined): string | undefined =>
    node && conditionOf(node, 'Ready')?.status
  concerns.cloud ||= ready(before) !== ready(after)
  // A disk that was let go of can be taken off.
  concerns.cloud ||= !isEqual(before?.status?.volumesInUse, after?.status?.volumesInUse)
}

function addService(
  concerns: Concerns,
  before: Service | undefined,
  after: Service | undefined,
): void {
  const isSameSpec = isEqual(before?.spec, after?.spec)
  const isSameAddress = isEqual(before?.status?.loadBalancer, after?.status?.loadBalancer)
  if (!isSameSpec || !isSameAddress) concerns.nodes.add(EVERY_NODE)
  const isBalanced = [before, after].some((service) => service?.spec.type === 'LoadBalancer')
  const isSame =
    isSameSpec && before?.metadata.deletionTimestamp === after?.metadata.deletionTimestamp
  concerns.cloud ||= isBalanced && (!isSame || !isSameAddress)
}

function hasSameTargets(
  before: EndpointSlice | undefined,
  after: EndpointSlice | undefined,
): boolean {
  return (
    isEqual(before?.endpoints, after?.endpoints) &&
    isEqual(before?.ports, after?.ports) &&
    isEqual(before?.metadata.labels, after?.metadata.labels)
  )
}

function isSamePool(before: NodePool | undefined, after: NodePool | undefined): boolean {
  return (
    before !== undefined &&
    after !== undefined &&
    isEqual(before.spec, after.spec) &&
    isEqual(before.status, after.status) &&
    before.metadata.deletionTimestamp === after.metadata.deletionTimestamp
  )
}

/** The annotations of results are the cloud function's own; its finalizer and its status are looked after. */
function isSameIngress(before: Ingress | undefined, after: Ingress | undefined): boolean {
  const annotation = (ingress: Ingress, name: string): string | undefined =>
    ingress.metadata.annotations?.[name]
  return (
    before !== undefined &&
    after !== undefined &&
    isEqual(before.spec, after.spec) &&
    isEqual(before.status, after.status) &&
    holdsEntry(before) === holdsEntry(after) &&
    before.metadata.deletionTimestamp === after.metadata.deletionTimestamp &&
    [CLASS_ANNOTATION, ALLOW_HTTP_ANNOTATION].every(
      (name) => annotation(before, name) === annotation(after, name),
    )
  )
}

/** True for a Service that an Ingress leads to. */
function isRouted(reader: Reader, service: Key): boolean {
  const ingresses = reader.list(INGRESSES) as readonly Ingress[]
  return ingresses.length > 0 && servicesBehind(ingresses).has(service)
}

function serviceKeyOf({ metadata }: EndpointSlice): Key {
  return keyOf('services', metadata.namespace, metadata.labels?.[SERVICE_NAME_LABEL] ?? '')
}

function isCertificate(reader: Reader, key: Key): boolean {
  const ingresses = reader.list(INGRESSES) as readonly Ingress[]
  return ingresses.some((ingress) => secretsOf(ingress).includes(key))
}

/** The nodes of the pods that read a ConfigMap or Secret whose data changed. */
function nodesThatUse(reader: Reader, key: Key, { before, after }: Change): string[] {
  const dataOf = (object: KubeObject | undefined): unknown => {
    const { data, binaryData } = (object ?? {}) as Partial<ConfigMap & Secret>
    return { data, binaryData }
  }
  if (before && after && isEqual(dataOf(before), dataOf(after))) return []
  return (reader.list('pods', splitKey(key).namespace) as readonly Pod[]).flatMap((pod) => {
    const node = pod.spec.nodeName
    return node && usedBy(pod).includes(key) ? [node] : []
  })
}
