// What the emulated Compute Engine knows, as plain data: it can be saved as JSON and restored, so
// that VMs, groups and load balancers outlive a restart. Resources have the shape of Google's REST
// API and are kept under their path without the project: `zones/us-east1-c/instances/x`.

import { createHash } from 'node:crypto'
import { formatTime } from '#shared/time.ts'
import type { AddressPlan } from './address-plan.ts'

export const API_ROOT = 'https://www.googleapis.com/compute/v1/'

/** `zones/z`, `regions/r` or `global`. */
export type Scope = string

export interface Named {
  kind: string
  id: string
  name: string
  selfLink: string
  creationTimestamp: string
  zone?: string
  region?: string
  fingerprint?: string
}

export interface MetadataItem {
  key: string
  value: string
}

export interface Scheduling {
  automaticRestart: boolean
  preemptible: boolean
  provisioningModel: 'STANDARD' | 'SPOT'
  onHostMaintenance: 'MIGRATE' | 'TERMINATE'
}

/** What a template says of the VMs made from it; the part that instances share. */
export interface InstanceProperties {
  machineType: string
  labels: Record<string, string>
  metadata: { kind: 'compute#metadata'; fingerprint: string; items: MetadataItem[] }
  scheduling: Scheduling
  disks: Record<string, unknown>[]
  networkInterfaces: Record<string, unknown>[]
  serviceAccounts: Record<string, unknown>[]
  tags: Record<string, unknown>
  canIpForward: boolean
}

export interface InstanceTemplate extends Named {
  description: string
  properties: InstanceProperties
}

export interface NetworkInterface {
  kind: 'compute#networkInterface'
  name: string
  network: string
  networkIP: string
  aliasIpRanges: { ipCidrRange: string; subnetworkRangeName: string }[]
  accessConfigs: { kind: string; type: string; name: string; natIP: string }[]
}

export type MachineStatus = 'PROVISIONING' | 'STAGING' | 'RUNNING' | 'STOPPING' | 'TERMINATED'

export interface Instance extends Named {
  zone: string
  status: MachineStatus
  statusMessage?: string
  machineType: string
  labels: Record<string, string>
  labelFingerprint: string
  metadata: { kind: 'compute#metadata'; fingerprint: string; items: MetadataItem[] }
  scheduling: Scheduling
  disks: Record<string, unknown>[]
  networkInterfaces: NetworkInterface[]
  serviceAccounts: Record<string, unknown>[]
  tags: Record<string, unknown>
  canIpForward: boolean
  lastStartTimestamp?: string
  lastStopTimestamp?: string
}

export type MemberAction = 'NONE' | 'CREATING' | 'RECREATING' | 'DELETING'

/** One VM that a group manages; the instance itself may not exist at the moment. */
export interface GroupMember {
  name: string
  action: MemberAction
  template: string
  lastError?: { code: string; message: string; atMs: number }
  /** How often it had to be repaired in a row, for back-off. */
  repairs: number
  retryAtMs: number
  /** Since when it runs without a break. */
  runningSinceMs?: number
}

export interface InstanceGroupManager extends Named {
  zone: string
  baseInstanceName: string
  targetSize: number
  /** The path of the template in use. */
  instanceTemplate: string
  versions: { instanceTemplate: string }[]
  instanceGroup: string
  updatePolicy: Record<string, unknown>
  instanceLifecyclePolicy: Record<string, unknown>
  autoHealingPolicies: { healthCheck: string; initialDelaySec: number }[]
}

/** What a group does beside what Google shows of it. */
export interface GroupInternals {
  members: GroupMember[]
  isDeleting: boolean
  /** How many names were given out: names are derived from it. */
  named: number
}

export interface Address extends Named {
  address: string
  addressType: 'EXTERNAL'
  status: 'RESERVED' | 'IN_USE'
  networkTier: string
  users: string[]
}

export interface HealthCheck extends Named {
  type: string
  checkIntervalSec: number
  timeoutSec: number
  healthyThreshold: number
  unhealthyThreshold: number
  /** `port` is absent where each endpoint is probed at its own (USE_SERVING_PORT). */
  httpHealthCheck?: { port?: number; requestPath: string; portSpecification: string }
  tcpHealthCheck?: { port?: number; portSpecification: string }
  logConfig: { enable: boolean }
}

export interface BackendService extends Named {
  region: string
  protocol: string
  loadBalancingScheme: string
  sessionAffinity: string
  healthChecks: string[]
  backends: { group: string; balancingMode: string }[]
  connectionTrackingPolicy: Record<string, unknown>
  connectionDraining: Record<string, unknown>
  logConfig: Record<string, unknown>
  fingerprint: string
}

export interface ForwardingRule extends Named {
  region: string
  IPAddress: string
  IPProtocol: string
  ports: string[]
  portRange?: string
  loadBalancingScheme: string
  networkTier: string
  backendService: string
  labels: Record<string, string>
  fingerprint: string
}

/** A global backend service: network endpoint groups behind an HTTP load balancer. */
export interface HttpBackendService extends Named {
  protocol: string
  loadBalancingScheme: string
  sessionAffinity: string
  timeoutSec: number
  healthChecks: string[]
  backends: { group: string; balancingMode: string; maxRatePerEndpoint: number }[]
  connectionDraining: { drainingTimeoutSec: number }
  fingerprint?: string
}

export interface GroupEndpoint {
  /** The VM's name. */
  instance: string
  ipAddress: string
  port: number
}

export interface EndpointGroup extends Named {
  zone: string
  networkEndpointType: string
  network: string
  /** Shown by listNetworkEndpoints only. */
  endpoints: GroupEndpoint[]
}

interface RouteAction {
  faultInjectionPolicy: { abort: { httpStatus: number; percentage: number } }
}

export interface UrlMapResource extends Named {
  defaultService: string
  defaultRouteAction?: RouteAction
  hostRules: { hosts: string[]; pathMatcher: string }[]
  pathMatchers: {
    name: string
    defaultService: string
    defaultRouteAction?: RouteAction
    pathRules: { paths: string[]; service: string }[]
  }[]
}

export interface TargetProxy extends Named {
  urlMap: string
  /** Of HTTPS proxies; the first is the default. */
  sslCertificates?: string[]
}

export interface SslCertificate extends Named {
  type: 'SELF_MANAGED'
  certificate: string
  /** Never shown. */
  privateKey: string
  selfManaged: { certificate: string }
  subjectAlternativeNames: string[]
  expireTime: string
}

export interface GlobalForwardingRule extends Named {
  IPAddress: string
  IPProtocol: string
  portRange: string
  /** A target proxy. */
  target: string
  loadBalancingScheme: string
  networkTier: string
  labels: Record<string, string>
}

export interface FirewallPorts {
  /** `tcp`, `all`, or a number. */
  IPProtocol: string
  /** `80`, `8000-8080`; absent: all. */
  ports?: string[]
}

export interface Firewall extends Named {
  description: string
  network: string
  priority: number
  direction: 'INGRESS' | 'EGRESS'
  sourceRanges?: string[]
  destinationRanges?: string[]
  sourceTags?: string[]
  targetTags?: string[]
  /** This or the other. */
  allowed?: FirewallPorts[]
  denied?: FirewallPorts[]
  disabled: boolean
  logConfig: { enable: boolean }
}

export interface Disk extends Named {
  zone: string
  description?: string
  /** int64 as text. */
  sizeGb: string
  type: string
  status: 'CREATING' | 'READY'
  labels: Record<string, string>
  labelFingerprint: string
  physicalBlockSizeBytes: string
}

export interface Operation extends Named {
  operationType: string
  status: 'PENDING' | 'RUNNING' | 'DONE'
  progress: number
  targetLink: string
  targetId?: string
  user: string
  insertTime: string
  startTime?: string
  endTime?: string
  clientOperationId?: string
  error?: { errors: { code: string; message: string }[] }
  httpErrorStatusCode?: number
  httpErrorMessage?: string
}

export interface ComputeState {
  /** Whose addresses stand in it; absent in what older versions saved. */
  plan?: AddressPlan
  /** The next resource gets this number in its id. */
  counter: number
  /** The last host number that a VM got; see addressing.ts. */
  lastHost: number
  instanceTemplates: Record<string, InstanceTemplate>
  instanceGroupManagers: Record<string, InstanceGroupManager>
  groups: Record<string, GroupInternals>
  instances: Record<string, Instance>
  disks: Record<string, Disk>
  addresses: Record<string, Address>
  healthChecks: Record<string, HealthCheck>
  backendServices: Record<string, BackendService>
  forwardingRules: Record<string, ForwardingRule>
  httpBackendServices: Record<string, HttpBackendService>
  networkEndpointGroups: Record<string, EndpointGroup>
  urlMaps: Record<string, UrlMapResource>
  targetHttpProxies: Record<string, TargetProxy>
  targetHttpsProxies: Record<string, TargetProxy>
  sslCertificates: Record<string, SslCertificate>
  globalForwardingRules: Record<string, GlobalForwardingRule>
  firewalls: Record<string, Firewall>
  operations: Record<string, Operation>
}

export function emptyState(): ComputeState {
  return {
    counter: 1,
    lastHost: 1,
    instanceTemplates: {},
    instanceGroupManagers: {},
    groups: {},
    instances: {},
    disks: {},
    addresses: {},
    healthChecks: {},
    backendServices: {},
    forwardingRules: {},
    httpBackendServices: {},
    networkEndpointGroups: {},
    urlMaps: {},
    targetHttpProxies: {},
    targetHttpsProxies: {},
    sslCertificates: {},
    globalForwardingRules: {},
    firewalls: {},
    operations: {},
  }
}

/** 19 digits like Google's: the second of creation and a counter. Never given twice. */
export function newId(state: ComputeState, now: number): string {
  return `${Math.floor(now / 1000)}${String(state.counter++).padStart(9, '0')}`
}

/** Google's timestamps: milliseconds and an offset, `2026-11-22T15:04:05.123-00:00`. */
export function timestamp(now: number): string {
  const fraction = String(Math.floor(now % 1000)).padStart(3, '0')
  return `${formatTime(now).slice(0, -1)}.${fraction}-00:00`
}

/** A hash of the content, as optimistic locking needs it: another content, another fingerprint. */
export function fingerprintOf(content: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(content))
    .digest()
    .subarray(0, 8)
    .toString('base64')
}
