// The HttpBalancers port: the part of Google's external Application Load Balancer that Wherry drives.
// One balancer is one address in front of many backends, each a set of pods by their own addresses. All
// calls are idempotent, as those of the Compute port; waiting for operations happens in the driver.
// Drivers: functions/adapters/google-http-balancers.ts (@google-cloud/compute, on Google's or on the
// emulator's endpoint) and emulator/adapters/memory-http-balancers.ts.
// Contract: test/contract/http-balancers.ts.

/** A backend service, its health check and one network endpoint group in each zone, of one name. */
export interface HttpBackendSpec {
  /** Begins with the balancer's name and a dash. */
  name: string
  zones: readonly string[]
  /** Each endpoint is probed at its own port: by HTTP at this path, or by TCP without one. */
  healthCheck: { path?: string; intervalSeconds: number }
  sessionAffinity: 'NONE' | 'CLIENT_IP'
  /** Seconds that requests under way keep their endpoint after it was detached. */
  drainingSeconds: number
}

/**
 * Paths as Google's URL maps write them: `/a` is that path alone, `/a/*` all below it; the longest wins.
 * `backend` absent: nobody is there, such requests are answered with 503.
 */
export interface HttpPathRule {
  paths: readonly string[]
  backend?: string
}

export interface HttpHostRule {
  /** `shop.example`, `*.example` or `*`. */
  host: string
  rules: readonly HttpPathRule[]
  /** For paths that no rule has; absent: 404. */
  fallback?: HttpFallback
}

/** Where requests go that no rule has; without a backend they are answered with 503. */
export interface HttpFallback {
  backend?: string
}

export interface HttpUrlMap {
  hosts: readonly HttpHostRule[]
  /** For hosts without a rule; absent: 404. */
  fallback?: HttpFallback
}

export interface HttpCertificate {
  /** Begins with the balancer's name; another content is another name. */
  name: string
  /** PEM, the leaf first. */
  certificate: string
  /** PEM. Never logged. */
  privateKey: string
}

export interface HttpBalancerSpec {
  /** What all its parts' names begin with. */
  name: string
  backends: readonly HttpBackendSpec[]
  /** Port 80; absent: closed. */
  http?: HttpUrlMap
  /** Port 443, with at least one certificate; the first is shown to clients that name no host. */
  https?: HttpUrlMap & { certificates: readonly HttpCertificate[] }
}

export interface HttpBalancer {
  name: string
  address: string
  /** Certificates that cannot be used, by name: why. The others are. */
  refused: Readonly<Record<string, string>>
}

export interface HttpEndpoint {
  /** The VM that the pod runs on. */
  instance: string
  /** The pod's own address. */
  ip: string
  port: number
}

/** The endpoints of one backend in one zone. */
export interface HttpEndpointGroup {
  backend: string
  zone: string
}

export interface HttpBalancers {
  /** Creates the balancer or makes it what the spec says; its endpoints stay as they are. */
  apply(spec: HttpBalancerSpec): Promise<HttpBalancer>
  /**
   * Makes these the group's endpoints. New ones come first and are waited for until they are healthy (for a
   * bounded time) before others are detached: there is no moment without anybody. NotFound: no such
   * group.
   */
  setEndpoints(group: HttpEndpointGroup, endpoints: readonly HttpEndpoint[]): Promise<void>
  /** The group's endpoints and whether the balancer finds them healthy; undefined: not known. */
  endpoints(group: HttpEndpointGroup): Promise<(HttpEndpoint & { isHealthy?: boolean })[]>
  /** Deletes everything that `apply` made. */
  remove(name: string): Promise<void>
  /** Balancers whose name starts with `prefix`. */
  list(prefix: string): Promise<Pick<HttpBalancer, 'name' | 'address'>[]>
}

/** Google's limit for one HTTPS proxy. */
export const CERTIFICATES_MAX = 15
