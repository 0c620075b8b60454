// Whatever Ingresses people write, a request goes where Kubernetes' rules say: the plan, as the URL map
// that Google is given, read as Google reads it, against a plain reading of the Ingresses themselves.

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { choose, type UrlMap } from '#emulator/compute/http-balancer/url-map.ts'
import { urlMapOf } from '#functions/adapters/compute-url-map.ts'
import type { HttpIngressPath, Ingress, PathType } from '#shared/api/ingress.ts'
import { planIngresses } from '#shared/ingress/plan.ts'
import { aService, meta } from './support/objects.ts'
import { viewOf } from './support/view-of.ts'

const SERVICES = ['a', 'b', 'c', 'd']
const PATHS = ['/', '/x', '/x/', '/x/y', '/xy', '/x/y/z']
const HOSTS = ['shop.example', 'mail.example', '*.example', undefined]
const ASKED_HOSTS = ['shop.example', 'mail.example', 'other.example', 'example', 'elsewhere.org']
const ASKED_PATHS = ['/', '/x', '/x/', '/x/y', '/x/y/', '/xy', '/xyz', '/x/y/z', '/q']

const backend = (name: string) => ({ service: { name, port: { number: 80 } } })

const aPath = fc.record({
  path: fc.constantFrom(...PATHS),
  pathType: fc.constantFrom<PathType>('Exact', 'Prefix', 'ImplementationSpecific'),
  backend: fc.constantFrom(...SERVICES).map(backend),
})

const someIngresses = fc.array(
  fc.record({
    defaultBackend: fc.option(fc.constantFrom(...SERVICES).map(backend), { nil: undefined }),
    rules: fc.array(
      fc.record({
        host: fc.constantFrom(...HOSTS),
        paths: fc.array(aPath, { minLength: 1, maxLength: 4 }),
      }),
      { maxLength: 3 },
    ),
  }),
  { minLength: 1, maxLength: 3 },
)

type Drafts = typeof someIngresses extends fc.Arbitrary<infer T> ? T : never

function ingressesOf(drafts: Drafts): Ingress[] {
  return drafts.map(({ defaultBackend, rules }, index) => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: meta(`ingress-${index}`),
    spec: {
      ...(defaultBackend ? { defaultBackend } : {}),
      rules: rules.map(({ host, paths }) => ({ ...(host ? { host } : {}), http: { paths } })),
    },
  }))
}

/** The word of the documentation, one sentence after the other. */
function reference(ingresses: readonly Ingress[], host: string, path: string): string {
  const rules = ingresses.flatMap((ingress) =>
    (ingress.spec.rules ?? []).map((rule) => ({ ...rule, ingress })),
  )
  const fits = [
    rules.filter((rule) => rule.host === host),
    rules.filter((rule) => rule.host?.startsWith('*') && host.endsWith(rule.host.slice(1))),
    rules.filter((rule) => !rule.host),
  ].find((list) => list.length > 0)
  const general = ingresses.find(({ spec }) => spec.defaultBackend)?.spec.defaultBackend
  const own = fits?.find(({ ingress }) => ingress.spec.defaultBackend)?.ingress.spec.defaultBackend
  const paths = (fits ?? []).flatMap(({ http }) => http?.paths ?? [])
  const exact = paths.find((each) => each.pathType !== 'Prefix' && each.path === path)
  const best = exact ?? longestPrefix(paths, path)
  return (best?.backend ?? own ?? general)?.service?.name ?? '404'
}

/** Element by element; of equally long ones the first. */
function longestPrefix(
  paths: readonly HttpIngressPath[],
  path: string,
): HttpIngressPath | undefined {
  const elements = (text: string): string[] => text.split('/').filter((part) => part !== '')
  const asked = elements(path)
  return paths
    .filter(
      (each) =>
        each.pathType === 'Prefix' &&
        elements(each.path ?? '').every((element, index) => element === asked[index]),
    )
    .reduce<HttpIngressPath | undefined>(
      (best, each) =>
        best && elements(best.path ?? '').length >= elements(each.path ?? '').length ? best : each,
      undefined,
    )
}

/** As the balancer reads the resource that the driver makes. */
function urlMap(ingresses: readonly Ingress[]): UrlMap {
  const view = viewOf(...SERVICES.map((name) => aService(name)), ...ingresses)
  const { spec } = planIngresses(view, { entry: 'e', healthCheckIntervalSeconds: 1 })
  if (!spec?.http) throw new Error('no URL map')
  const map = urlMapOf('um', spec.http, 'nobody', (name) => name)
  const choiceOf = ({
    defaultService,
    defaultRouteAction,
  }: Pick<typeof map, 'defaultService' | 'defaultRouteAction'>) => {
    const status = defaultRouteAction?.faultInjectionPolicy?.abort?.httpStatus
    return status ? { status } : { service: defaultService ?? '' }
  }
  const matchers = new Map(
    (map.pathMatchers ?? []).map((matcher) => [
      matcher.name,
      {
        fallback: choiceOf(matcher),
        rules: (matcher.pathRules ?? []).map(({ paths, service }) => ({
          paths: paths ?? [],
          choice: { service: service ?? '' },
        })),
      },
    ]),
  )
  return {
    fallback: choiceOf(map),
    hosts: (map.hostRules ?? []).flatMap(({ hosts, pathMatcher }) => {
      const matcher = matchers.get(pathMatcher)
      return matcher ? [{ hosts: hosts ?? [], matcher }] : []
    }),
  }
}

test('hosts and paths have the precedence that Kubernetes gives them', () => {
  fc.assert(
    fc.property(someIngresses, (drafts) => {
      const ingresses = ingressesOf(drafts)
      const map = urlMap(ingresses)
      for (const host of ASKED_HOSTS) {
        for (const path of ASKED_PATHS) {
          const choice = choose(map, host, path)
          const name =
            'status' in choice
              ? String(choice.status)
              : /^e-default-(\w)-80-/.exec(choice.service)?.[1]
          expect({ host, path, name }).toEqual({
            host,
            path,
            name: reference(ingresses, host, path),
          })
        }
      }
    }),
    { numRuns: 300 },
  )
})
