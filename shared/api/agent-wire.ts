// What a node agent and the api function say to each other: one read and one write, so that a node
// costs one billed read when it has work and one commit when it has news.
//
//   GET  /apis/agent.wherry.dev/v1/nodes/NAME/desired   → DesiredState
//   POST /apis/agent.wherry.dev/v1/nodes/NAME/report    NodeReport → ReportAnswer
//
// Both need the VM's identity: the api function answers only what this node's pods use.

import type { ConfigMap, Secret } from './config.ts'
import type { EndpointSlice } from './endpoint-slice.ts'
import type { ContainerWords } from './last-words.ts'
import type { Node } from './node.ts'
import type { PersistentVolumeClaim } from './persistent-volume-claim.ts'
import type { PersistentVolume } from './persistent-volume.ts'
import type { Pod, PodStatus } from './pod.ts'
import type { Service } from './service.ts'
import type { VolumeAttachment } from './volume-attachment.ts'
import type { Version } from '../ports/store.ts'

export interface DesiredState {
  /** The version this was read at. */
  version: Version
  /** This node's pods, with metadata.deletionTimestamp on those that shall stop. */
  pods: Pod[]
  /** Uids of leaving pods that a balancer still sends requests to: they go on serving for now. */
  draining?: string[]
  /** What those pods name in env, envFrom, volumes and imagePullSecrets, and nothing else. */
  configMaps: ConfigMap[]
  secrets: Secret[]
  /** All Services and EndpointSlices: every node forwards for every Service, as kube-proxy does. */
  services: Service[]
  endpointSlices: EndpointSlice[]
  /** The NetworkPolicies that select this node's pods, resolved to addresses. */
  networkPolicies: PodPolicy[]
  /** What those pods' volumes claim, what the claims are bound to, and what is to be attached here. */
  claims?: PersistentVolumeClaim[]
  volumes?: PersistentVolume[]
  attachments?: VolumeAttachment[]
  /** The node itself, undefined until the first report created it. */
  node?: Node
}

/**
 * One NetworkPolicy, as far as this node's pods are concerned. A direction that is there isolates the
 * pods: only what one of its rules (of all policies together) describes may pass.
 */
export interface PodPolicy {
  namespace: string
  name: string
  /** Uids of this node's pods that it selects. */
  pods: string[]
  ingress?: PolicyRule[]
  egress?: PolicyRule[]
}

/** Who may connect at which ports. */
export interface PolicyRule {
  /** Only for these of the policy's pods; absent: for all of them. */
  pods?: string[]
  /** Addresses of pods, and ranges. Both absent: everybody. */
  addresses?: string[]
  blocks?: { cidr: string; except: string[] }[]
  /** Absent: all ports. A port absent: all of its protocol. */
  ports?: { protocol: string; port?: number; endPort?: number }[]
}

/** A pod's news. Ignored when the pod's uid differs (it was replaced) or the pod is gone. */
export interface PodReport {
  namespace: string
  name: string
  uid: string
  status: PodStatus
  /** All containers have stopped and the pod had a deletionTimestamp: the record may go. */
  isGone?: boolean
  /** By container: what those said that have ended badly since the report before. */
  lastWords?: Record<string, ContainerWords>
}

export interface NodeEvent {
  /** The pod it is about; absent: the node. */
  pod?: { namespace: string; name: string; uid: string }
  /** `spec.containers{web}` as kubelet words it. */
  fieldPath?: string
  type: 'Normal' | 'Warning'
  reason: string
  message: string
}

export interface NodeReport {
  /** Registers or refreshes the Node (labels, capacity, addresses, conditions): at boot and on change. */
  node?: Node
  pods?: PodReport[]
  events?: NodeEvent[]
  /** All volumes that it has mounted or is about to: Node.status.volumesInUse. Absent: as told before. */
  volumesInUse?: string[]
  /** File systems that have grown to their volume's size. */
  grown?: GrownVolume[]
}

export interface GrownVolume {
  namespace: string
  claim: string
  /** The claim's. */
  uid: string
  /** A quantity. */
  capacity: string
}

export interface ReportAnswer {
  /** The version after the commit; absent when nothing had to be written. */
  version?: Version
  /** Pods of the report that are not this node's any more: stop them. */
  unknown: { namespace: string; name: string; uid: string }[]
}

/**
 * What a VM finds in its metadata server (`/computeMetadata/v1/instance/attributes/…`), written
 * there by the cloud function through the instance template.
 */
export const VM_METADATA = {
  /** The cluster's key prefix. */
  cluster: 'wherry-cluster',
  /** The api function's URL as a VM reaches it. */
  apiUrl: 'wherry-api-url',
  /** PEM of the CA that signed the api's certificate; empty: the system's roots. */
  apiCa: 'wherry-api-ca',
  /** Audience of the identity token that the agent asks for. */
  audience: 'wherry-audience',
  /** JSON: labels and taints of the Node. */
  nodeLabels: 'wherry-node-labels',
  nodeTaints: 'wherry-node-taints',
  /** Bearer token that the api function shows to the agent's server (logs, exec, port-forward). */
  agentToken: 'wherry-agent-token',
  /** The project whose `wherry-nodes` topic carries this node's wake-ups. */
  pubsubProject: 'wherry-pubsub-project',
  /** The agent's own image, on VMs that start it by cloud-init; another one makes it make room. */
  agentImage: 'wherry-agent-image',
} as const

/** The port of the agent's server on the VM's address, as kubelet's. Paths: agent/server.ts. */
export const AGENT_PORT = 10_250

/** The Secret (namespace kube-system, key `token`) that holds the agents' bearer token. */
export const AGENT_TOKEN_SECRET = 'wherry-agent-token'
