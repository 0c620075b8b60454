// The emulated external Application Load Balancers: what the resources say, as the configuration of the
// one that plays all of them (http-balancer/), and what it answers about its endpoints.

import { pathOf } from './links.ts'
import type { Context } from './context.ts'
import { createBalancerThread } from './http-balancer/thread.ts'
import type {
  BalancerConfig,
  FrontendAt,
  ProbeConfig,
  ServiceConfig,
} from './http-balancer/config.ts'
import type { Choice, UrlMap } from './http-balancer/url-map.ts'
import { endpointsOf, nameOfEndpoint, type EndpointHealthOf } from './network-endpoint-groups.ts'
import type { GlobalForwardingRule, HttpBackendService, UrlMapResource } from './state.ts'
import type { EndpointAddress } from './vpc.ts'

export interface HttpBalancers {
  /** Brings the resources into force; resolves when they are. */
  refresh: () => Promise<void>
  listeners: () => FrontendAt[]
  healthOf: EndpointHealthOf
  close(): Promise<void>
}

interface Deps {
  ctx: Context
  /** Where a pod's address leads on this machine. */
  addressOf: EndpointAddress
}

export function createHttpBalancers({ ctx, addressOf }: Deps): HttpBalancers {
  const balancer = createBalancerThread(ctx.log)
  let applied = ''
  let pending: Promise<void> = Promise.resolve()

  async function refreshNow(): Promise<void> {
    const config = configOf(ctx, addressOf)
    const text = JSON.stringify(config)
    if (text === applied) return
    await balancer.apply(config)
    applied = text
  }

  return {
    refresh() {
      pending = pending.then(refreshNow, refreshNow)
      return pending
    },
    listeners: () => balancer.listeners(),
    healthOf: (service, endpoint) => balancer.health()[service]?.[endpoint] ?? 'UNKNOWN',
    async close() {
      await pending.catch(() => {})
      await balancer.close()
    },
  }
}

function configOf(ctx: Context, addressOf: EndpointAddress): BalancerConfig {
  const { state } = ctx
  const frontends = Object.values(state.globalForwardingRules).flatMap((rule) => {
    const frontend = frontendOf(ctx, rule)
    return frontend ? [frontend] : []
  })
  const services =
    frontends.length === 0
      ? []
      : Object.entries(state.httpBackendServices).map(([path, service]) =>
          serviceOf(ctx, path, service, addressOf),
        )
  return { frontends, services }
}

function frontendOf(
  { state }: Context,
  { name, IPAddress, portRange, target }: GlobalForwardingRule,
): BalancerConfig['frontends'][number] | undefined {
  const path = pathOf(target, 'target')
  const proxy = state.targetHttpProxies[path] ?? state.targetHttpsProxies[path]
  const map = proxy && state.urlMaps[pathOf(proxy.urlMap, 'urlMap')]
  if (!map) return undefined
  const certificates = proxy.sslCertificates?.flatMap((link) => {
    const found = state.sslCertificates[pathOf(link, 'sslCertificate')]
    return found ? [{ certificate: found.certificate, privateKey: found.privateKey }] : []
  })
  return {
    rule: name,
    address: IPAddress,
    port: Number.parseInt(portRange, 10),
    urlMap: urlMapOf(map),
    ...(certificates ? { certificates } : {}),
  }
}

function urlMapOf(map: UrlMapResource): UrlMap {
  const matchers = new Map(
    map.pathMatchers.map((matcher) => [
      matcher.name,
      {
        fallback: choiceOf(matcher),
        rules: matcher.pathRules.map(({ paths, service }) => ({
          paths,
          choice: { service: pathOf(service, 'service') },
        })),
      },
    ]),
  )
  return {
    fallback: choiceOf(map),
    hosts: map.hostRules.flatMap(({ hosts, pathMatcher }) => {
      const matcher = matchers.get(pathMatcher)
      return matcher ? [{ hosts, matcher }] : []
    }),
  }
}

function choiceOf({
  defaultService,
  defaultRouteAction,
}: Pick<UrlMapResource, 'defaultService' | 'defaultRouteAction'>): Choice {
  if (!defaultRouteAction) return { service: pathOf(defaultService, 'service') }
  return { status: defaultRouteAction.faultInjectionPolicy.abort.httpStatus }
}

function serviceOf(
  ctx: Context,
  name: string,
  service: HttpBackendService,
  addressOf: EndpointAddress,
): ServiceConfig {
  const groups = service.backends.flatMap(
    ({ group }) => ctx.state.networkEndpointGroups[pathOf(group, 'group')] ?? [],
  )
  return {
    name,
    endpoints: groups
      .flatMap((group) => endpointsOf(ctx, group))
      .map((endpoint) => {
        const at = addressOf(endpoint.ipAddress, endpoint.port)
        return { name: nameOfEndpoint(endpoint), ...(at ? { at } : {}) }
      }),
    probe: probeOf(ctx, service),
    drainingMs: service.connectionDraining.drainingTimeoutSec * 1000,
    timeoutMs: service.timeoutSec * 1000,
    affinity: service.sessionAffinity === 'CLIENT_IP' ? 'CLIENT_IP' : 'NONE',
  }
}

function probeOf({ state }: Context, { healthChecks }: HttpBackendService): ProbeConfig {
  const [link] = healthChecks
  const check = link ? state.healthChecks[pathOf(link, 'healthCheck')] : undefined
  const path = check?.httpHealthCheck?.requestPath
  return {
    ...(path === undefined ? {} : { path }),
    intervalMs: (check?.checkIntervalSec ?? 5) * 1000,
    timeoutMs: (check?.timeoutSec ?? 5) * 1000,
    healthyThreshold: check?.healthyThreshold ?? 2,
    unhealthyThreshold: check?.unhealthyThreshold ?? 2,
  }
}
