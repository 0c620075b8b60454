// What an emulated HTTP load balancer is told: plain data, so that it can run in a thread of its own.

import type { UrlMap } from './url-map.ts'

/** One forwarding rule: an address and a port. */
export interface Frontend {
  /** The forwarding rule's name. */
  rule: string
  address: string
  port: number
  urlMap: UrlMap
  /** HTTPS: the first is shown to clients that name no host. */
  certificates?: readonly { certificate: string; privateKey: string }[]
}

export interface EndpointConfig {
  /** The pod's own address, as Google shows it: `10.4.1.3:8080`. */
  name: string
  /** Where that leads on this machine; absent: nobody listens there yet. */
  at?: { host: string; port: number }
}

export interface ProbeConfig {
  /** Absent: a TCP connection is enough. */
  path?: string
  intervalMs: number
  timeoutMs: number
  healthyThreshold: number
  unhealthyThreshold: number
}

export interface ServiceConfig {
  /** The backend service's path: what URL maps name. */
  name: string
  endpoints: readonly EndpointConfig[]
  probe: ProbeConfig
  drainingMs: number
  timeoutMs: number
  affinity: 'NONE' | 'CLIENT_IP'
}

export interface BalancerConfig {
  frontends: readonly Frontend[]
  services: readonly ServiceConfig[]
}

/** Where a frontend listens on this machine. */
export interface FrontendAt {
  rule: string
  address: string
  port: number
  host: string
  hostPort: number
}

export type EndpointHealth = 'HEALTHY' | 'UNHEALTHY' | 'UNKNOWN'

/** Service → endpoint → health. */
export type HealthReport = Record<string, Record<string, EndpointHealth>>
