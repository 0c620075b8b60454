// The URL map of an HTTP balancer as Compute Engine wants it. What nobody serves is answered by the balancer
// itself: 404 where there is no rule, 503 (no backends) where a rule points at nothing.
// https://cloud.google.com/compute/docs/reference/rest/v1/urlMaps

import type { protos } from '@google-cloud/compute'
import type { HttpFallback, HttpUrlMap } from '#shared/ports/http-balancers.ts'

type UrlMap = protos.google.cloud.compute.v1.IUrlMap
type Fallback = Pick<UrlMap, 'defaultService' | 'defaultRouteAction'>

/** `nobody` is the backend service without backends; `link` makes a service's link from its name. */
export function urlMapOf(
  name: string,
  map: HttpUrlMap,
  nobody: string,
  link: (service: string) => string,
): UrlMap {
  const fallbackOf = (fallback: HttpFallback | undefined): Fallback => ({
    defaultService: link(fallback?.backend ?? nobody),
    // Without it requests would go to the default service.
    ...(fallback
      ? {}
      : {
          defaultRouteAction: {
            faultInjectionPolicy: { abort: { httpStatus: 404, percentage: 100 } },
          },
        }),
  })
  return {
    name,
    ...fallbackOf(map.fallback),
    hostRules: map.hosts.map(({ host }, index) => ({
      hosts: [host],
      pathMatcher: `host-${index}`,
    })),
    pathMatchers: map.hosts.map(({ rules, fallback }, index) => ({
      name: `host-${index}`,
      ...fallbackOf(fallback),
      pathRules: rules.map(({ paths, backend }) => ({
        paths: [...paths],
        service: link(backend ?? nobody),
      })),
    })),
  }
}
