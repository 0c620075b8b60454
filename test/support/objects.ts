// Small objects for tests: what is not said is what Kubernetes would fill in, or nothing.

import type { Deployment, DeploymentSpec } from '#shared/api/deployment.ts'
import type { Condition, KubeObject, ObjectMeta } from '#shared/api/meta.ts'
import type { Node, Taint } from '#shared/api/node.ts'
import type { Pod, PodSpec, PodStatus } from '#shared/api/pod.ts'
import type { ReplicaSet } from '#shared/api/replica-set.ts'
import type { Service, ServiceSpec } from '#shared/api/service.ts'

const CREATED = '2027-01-15T08:00:00Z'

/** Metadata of a namespaced object in `default`. */
export function meta(name: string, more: Partial<ObjectMeta> = {}): ObjectMeta {
  return { name, namespace: 'default', uid: `uid-${name}`, creationTimestamp: CREATED, ...more }
}

export interface PodOptions {
  node?: string
  labels?: Record<string, string>
  cpu?: string
  memory?: string
  phase?: PodStatus['phase']
  ready?: boolean
  spec?: Partial<PodSpec>
  meta?: Partial<ObjectMeta>
  status?: Partial<PodStatus>
}

export function aPod(name: string, options: PodOptions = {}): Pod {
  const { node, labels, cpu, memory, phase = 'Pending', ready, spec, status } = options
  const requests = { ...(cpu ? { cpu } : {}), ...(memory ? { memory } : {}) }
  const conditions: Condition[] =
    ready === undefined
      ? []
      : [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: CREATED }]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: meta(name, { ...(labels ? { labels } : {}), ...options.meta }),
    spec: {
      containers: [{ name: 'main', image: 'image:1', resources: { requests } }],
      ...(node ? { nodeName: node } : {}),
      ...spec,
    },
    status: { phase, ...(conditions.length > 0 ? { conditions } : {}), ...status },
  }
}

export interface NodeOptions {
  cpu?: string
  memory?: string
  pods?: string
  labels?: Record<string, string>
  taints?: Taint[]
  unschedulable?: boolean
}

export function aNode(name: string, options: NodeOptions = {}): Node {
  const { cpu = '4', memory = '8Gi', pods = '110', labels, taints, unschedulable } = options
  const allocatable = { cpu, memory, pods }
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      uid: `uid-${name}`,
      creationTimestamp: CREATED,
      labels: { 'kubernetes.io/hostname': name, ...labels },
    },
    spec: { ...(taints ? { taints } : {}), ...(unschedulable ? { unschedulable } : {}) },
    status: {
      allocatable,
      capacity: allocatable,
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: CREATED }],
    },
  }
}

export function aDeployment(
  name: string,
  spec: Partial<DeploymentSpec> = {},
  image = 'image:1',
): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default', uid: '', creationTimestamp: '' },
    spec: {
      replicas: 3,
      selector: { matchLabels: { run: name } },
      template: templateOf(name, image),
      ...spec,
    },
  }
}

/** A pod template with one container. */
export function templateOf(name: string, image: string): Deployment['spec']['template'] {
  return { metadata: { labels: { run: name } }, spec: { containers: [{ name: 'main', image }] } }
}

export function aReplicaSet(name: string, replicas: number): ReplicaSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name,
      namespace: 'default',
      uid: '',
      creationTimestamp: '',
      labels: { run: name },
    },
    spec: {
      replicas,
      selector: { matchLabels: { run: name } },
      template: templateOf(name, 'image:1'),
    },
  }
}

export function aService(name: string, spec: Partial<ServiceSpec> = {}): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default', uid: '', creationTimestamp: '' },
    spec: { selector: { run: name }, ports: [{ port: 80, targetPort: 8080 }], ...spec },
  }
}

/** A reference to the object as the controller of another one. */
export function controlledBy(owner: KubeObject): Partial<ObjectMeta> {
  const { apiVersion, kind, metadata } = owner
  return {
    ownerReferences: [
      { apiVersion, kind, name: metadata.name, uid: metadata.uid, controller: true },
    ],
  }
}
