// The Compute port: the part of Google Compute Engine that Wherry drives. All calls are idempotent:
// names are deterministic, creating what is there already succeeds when it is the same, deleting what
// is gone succeeds. Waiting for long-running operations happens inside the driver.
// Drivers: functions/adapters/google-compute.ts (@google-cloud/compute, on Google's or on the
// emulator's endpoint) and emulator/adapters/memory-compute.ts. Contract: test/contract/compute.ts.

/** A node pool as Compute Engine runs it: an instance template and a zonal managed instance group. */
export interface InstanceGroupSpec {
  name: string
  zone: string
  /** How many VMs. */
  size: number
  /** VMs are named `<baseInstanceName>-xxxx`. */
  baseInstanceName: string
  machineType: string
  diskSizeGb: number
  spot: boolean
  labels: Record<string, string>
  /** Instance metadata (key → value); the agent reads it from the metadata server. */
  metadata: Record<string, string>
  /** Probed on every VM (HTTP GET). It is only reported (Instance.isHealthy); nothing is repaired. */
  healthCheck: HealthCheckSpec
}

export interface HealthCheckSpec {
  port: number
  path: string
  intervalSeconds: number
}

export type InstanceStatus =
  | 'PROVISIONING'
  | 'STAGING'
  | 'RUNNING'
  | 'STOPPING'
  | 'STOPPED'
  | 'TERMINATED'
  | 'SUSPENDED'
  | 'REPAIRING'

export interface Instance {
  name: string
  zone: string
  /** Google's numeric id as text: a new VM of the same name has another one. */
  id: string
  status: InstanceStatus
  creationTimestamp: string
  internalIp: string
  externalIp?: string
  machineType: string
  labels: Record<string, string>
  /** What the group's health check says; absent: not known (yet). */
  isHealthy?: boolean
}

export interface InstanceGroup {
  name: string
  zone: string
  targetSize: number
  /** The group has reached what it was asked for. */
  isStable: boolean
  /** The template in use; changes when the spec's template part changes. */
  template: string
  /** Why the last attempt to make a VM failed: `QUOTA_EXCEEDED: Quota 'CPUS' exceeded. …`. */
  lastError?: string
}

/**
 * An external passthrough load balancer: address, forwarding rule, backend service, health check, and
 * the firewall rule for its clients.
 */
export interface LoadBalancerSpec {
  name: string
  region: string
  protocol: 'TCP' | 'UDP'
  ports: number[]
  /** Instance groups whose VMs receive the traffic. */
  groups: { name: string; zone: string }[]
  /** Probed by Google on every VM: HTTP GET. */
  healthCheck: HealthCheckSpec
  /** A wish (Service.spec.loadBalancerIP). */
  address?: string
  sessionAffinity: 'NONE' | 'CLIENT_IP'
  /** Who may use it, as IPv4 ranges (`10.0.0.0/8`); empty: everybody. */
  sourceRanges: string[]
}

export interface LoadBalancer {
  name: string
  region: string
  address: string
}

export interface Compute {
  /** Creates the group or brings it to this size and template. Errors: see StatusError reasons. */
  applyInstanceGroup(spec: InstanceGroupSpec): Promise<InstanceGroup>
  /** Deletes the group, its VMs and its templates. */
  deleteInstanceGroup(name: string, zone: string): Promise<void>
  /** All VMs with these labels, in every zone. */
  listInstances(labels: Record<string, string>): Promise<Instance[]>
  /** Deletes one VM of a group and lowers the group's size (`shrink`) or lets it be replaced. */
  deleteInstance(group: string, zone: string, instance: string, shrink: boolean): Promise<void>
  /** Creates or updates the load balancer and answers with its address. */
  applyLoadBalancer(spec: LoadBalancerSpec): Promise<LoadBalancer>
  /** Deletes rule, backend service, health check, firewall rule and address. */
  deleteLoadBalancer(name: string, region: string): Promise<void>
  /** All load balancers whose name starts with `prefix`. */
  listLoadBalancers(prefix: string): Promise<LoadBalancer[]>
  /** A cheap authenticated call, for ComponentStatus. */
  ping(): Promise<void>
}
