// What an HTTP balancer shows to the world on Compute Engine: its address, forwarding rules, target
// proxies, URL maps and certificates, all global.

import { isEqual } from '#shared/equal.ts'
import type { HttpBalancerSpec, HttpUrlMap } from '#shared/ports/http-balancers.ts'
import { isReason, StatusError } from '#shared/status.ts'
import { lastPart } from './compute-calls.ts'
import { unlessGone, unlessThere } from './compute-groups.ts'
import { nobodyOf, type HttpContext, type Present } from './compute-http-parts.ts'
import { urlMapOf } from './compute-url-map.ts'

/** The names of one port's parts; what they end with is GKE's. */
interface PortNames {
  rule: string
  proxy: string
  map: string
  port: string
}

function httpNames(name: string): PortNames {
  return { rule: `${name}-fr`, proxy: `${name}-tp`, map: `${name}-um`, port: '80' }
}

function httpsNames(name: string): PortNames {
  return { rule: `${name}-fs`, proxy: `${name}-ts`, map: `${name}-us`, port: '443' }
}

export function addressName(name: string): string {
  return `${name}-ip`
}

/** The reserved address: it stays while the balancer stands. */
export async function ensureHttpAddress(context: HttpContext, balancer: string): Promise<string> {
  const { project, calls, clients } = context
  const name = addressName(balancer)
  const addresses = await clients.globalAddresses()
  const find = (): Promise<string | undefined> =>
    calls.find(`get addresses/${name}`, async (options) => {
      const [address] = await addresses.get({ project, address: name }, options)
      return address.address ?? undefined
    })
  const present = await find()
  if (present) return present
  await unlessThere(() =>
    calls.change(`insert addresses/${name}`, (requestId, options) =>
      addresses.insert(
        { project, requestId, addressResource: { name, addressType: 'EXTERNAL' } },
        options,
      ),
    ),
  )
  const address = await find()
  if (address) return address
  throw new StatusError('ServiceUnavailable', `the address ${name} has no address yet`)
}

/** Those that Google takes, and why it does not take the others: one bad one harms nobody else. */
export async function ensureCertificates(
  { project, calls, clients }: HttpContext,
  { https }: HttpBalancerSpec,
  present: Present,
): Promise<{ good: string[]; refused: Record<string, string> }> {
  const good: string[] = []
  const refused: Record<string, string> = {}
  for (const { name, certificate, privateKey } of https?.certificates ?? []) {
    try {
      if (!present.certificates.includes(name)) {
        const sslCertificates = await clients.sslCertificates()
        const sslCertificateResource = { name, certificate, privateKey }
        await unlessThere(() =>
          calls.change(`insert sslCertificates/${name}`, (requestId, options) =>
            sslCertificates.insert({ project, requestId, sslCertificateResource }, options),
          ),
        )
      }
      good.push(name)
    } catch (error) {
      if (!isReason(error, 'BadRequest') || !(error instanceof Error)) throw error
      refused[name] = error.message
    }
  }
  return { good, refused }
}

/** Opens the ports that are wanted and closes the others. */
export async function ensureFront(
  context: HttpContext,
  spec: HttpBalancerSpec,
  address: string,
  certificates: readonly string[],
): Promise<void> {
  const { name, http, https } = spec
  await (http
    ? ensurePort(context, spec, httpNames(name), http, address, undefined)
    : deletePort(context, httpNames(name)))
  await (https && certificates.length > 0
    ? ensurePort(context, spec, httpsNames(name), https, address, certificates)
    : deletePort(context, httpsNames(name)))
}

export async function deleteFront(context: HttpContext, name: string): Promise<void> {
  await deletePort(context, httpNames(name))
  await deletePort(context, httpsNames(name))
}

export async function deleteHttpAddress(
  { project, calls, clients }: HttpContext,
  balancer: string,
): Promise<void> {
  const addresses = await clients.globalAddresses()
  const address = addressName(balancer)
  await unlessGone(() =>
    calls.change(`delete addresses/${address}`, (requestId, options) =>
      addresses.delete({ project, address, requestId }, options),
    ),
  )
}

async function ensurePort(
  context: HttpContext,
  spec: HttpBalancerSpec,
  names: PortNames,
  map: HttpUrlMap,
  address: string,
  certificates: readonly string[] | undefined,
): Promise<void> {
  const { project, calls, clients } = context
  await ensureMap(context, spec, names, map)
  const kind = certificates ? 'targetHttpsProxies' : 'targetHttpProxies'
  await (certificates
    ? ensureHttpsProxy(context, names, certificates)
    : ensureHttpProxy(context, names))
  const rules = await clients.globalForwardingRules()
  const present = await calls.find(`get forwardingRules/${names.rule}`, async (options) => {
    const [rule] = await rules.get({ project, forwardingRule: names.rule }, options)
    return rule
  })
  if (present?.IPAddress === address) return
  if (present) await deleteRule(context, names.rule)
  const forwardingRuleResource = {
    name: names.rule,
    IPAddress: address,
    IPProtocol: 'TCP',
    portRange: `${names.port}-${names.port}`,
    loadBalancingScheme: 'EXTERNAL_MANAGED',
    target: `projects/${project}/global/${kind}/${names.proxy}`,
  }
  await unlessThere(() =>
    calls.change(`insert forwardingRules/${names.rule}`, (requestId, options) =>
      rules.insert({ project, requestId, forwardingRuleResource }, options),
    ),
  )
}

async function ensureMap(
  { project, calls, clients }: HttpContext,
  spec: HttpBalancerSpec,
  names: PortNames,
  map: HttpUrlMap,
): Promise<void> {
  const urlMaps = await clients.urlMaps()
  const link = (service: string): string => `projects/${project}/global/backendServices/${service}`
  const wanted = urlMapOf(names.map, map, nobodyOf(spec.name), link)
  const present = await calls.find(`get urlMaps/${names.map}`, async (options) => {
    const [found] = await urlMaps.get({ project, urlMap: names.map }, options)
    return found
  })
  if (!present) {
    await unlessThere(() =>
      calls.change(`insert urlMaps/${names.map}`, (requestId, options) =>
        urlMaps.insert({ project, requestId, urlMapResource: wanted }, options),
      ),
    )
    return
  }
  if (isEqual(essenceOf(present), essenceOf(wanted))) return
  const urlMapResource = { ...wanted, fingerprint: present.fingerprint ?? null }
  await calls.change(`update urlMaps/${names.map}`, (requestId, options) =>
    urlMaps.update({ project, urlMap: names.map, requestId, urlMapResource }, options),
  )
}

/** What counts of a URL map, with names for links. */
function essenceOf(map: ReturnType<typeof urlMapOf>): unknown {
  const ends = (part: Pick<typeof map, 'defaultService' | 'defaultRouteAction'>): unknown => [
    lastPart(part.defaultService),
    part.defaultRouteAction?.faultInjectionPolicy?.abort?.httpStatus ?? 0,
  ]
  return {
    end: ends(map),
    hosts: (map.hostRules ?? []).map(({ hosts, pathMatcher }) => [hosts, pathMatcher]),
    matchers: (map.pathMatchers ?? []).map((matcher) => [
      matcher.name,
      ends(matcher),
      (matcher.pathRules ?? []).map(({ paths, service }) => [paths, lastPart(service)]),
    ]),
  }
}

async function ensureHttpProxy(
  { project, calls, clients }: HttpContext,
  { proxy, map }: PortNames,
): Promise<void> {
  const httpProxies = await clients.httpProxies()
  const urlMap = `projects/${project}/global/urlMaps/${map}`
  await unlessThere(() =>
    calls.change(`insert targetHttpProxies/${proxy}`, (requestId, options) =>
      httpProxies.insert(
        { project, requestId, targetHttpProxyResource: { name: proxy, urlMap } },
        options,
      ),
    ),
  )
}

async function ensureHttpsProxy(
  { project, calls, clients }: HttpContext,
  { proxy, map }: PortNames,
  certificates: readonly string[],
): Promise<void> {
  const httpsProxies = await clients.httpsProxies()
  const urlMap = `projects/${project}/global/urlMaps/${map}`
  const sslCertificates = certificates.map(
    (name) => `projects/${project}/global/sslCertificates/${name}`,
  )
  const present = await calls.find(`get targetHttpsProxies/${proxy}`, async (options) => {
    const [found] = await httpsProxies.get({ project, targetHttpsProxy: proxy }, options)
    return found
  })
  if (!present) {
    await unlessThere(() =>
      calls.change(`insert targetHttpsProxies/${proxy}`, (requestId, options) =>
        httpsProxies.insert(
          {
            project,
            requestId,
            targetHttpsProxyResource: { name: proxy, urlMap, sslCertificates },
          },
          options,
        ),
      ),
    )
    return
  }
  if (isEqual((present.sslCertificates ?? []).map(lastPart), certificates)) return
  await calls.change(`setSslCertificates of targetHttpsProxies/${proxy}`, (requestId, options) =>
    httpsProxies.setSslCertificates(
      {
        project,
        targetHttpsProxy: proxy,
        requestId,
        targetHttpsProxiesSetSslCertificatesRequestResource: { sslCertificates },
      },
      options,
    ),
  )
}

/** From the outside in: each holds on to the next. */
async function deletePort(context: HttpContext, names: PortNames): Promise<void> {
  const { project, calls, clients } = context
  await deleteRule(context, names.rule)
  if (names.port === '443') {
    const httpsProxies = await clients.httpsProxies()
    await unlessGone(() =>
      calls.change(`delete targetHttpsProxies/${names.proxy}`, (requestId, options) =>
        httpsProxies.delete({ project, targetHttpsProxy: names.proxy, requestId }, options),
      ),
    )
  } else {
    const httpProxies = await clients.httpProxies()
    await unlessGone(() =>
      calls.change(`delete targetHttpProxies/${names.proxy}`, (requestId, options) =>
        httpProxies.delete({ project, targetHttpProxy: names.proxy, requestId }, options),
      ),
    )
  }
  const urlMaps = await clients.urlMaps()
  await unlessGone(() =>
    calls.change(`delete urlMaps/${names.map}`, (requestId, options) =>
      urlMaps.delete({ project, urlMap: names.map, requestId }, options),
    ),
  )
}

async function deleteRule({ project, calls, clients }: HttpContext, name: string): Promise<void> {
  const rules = await clients.globalForwardingRules()
  await unlessGone(() =>
    calls.change(`delete forwardingRules/${name}`, (requestId, options) =>
      rules.delete({ project, forwardingRule: name, requestId }, options),
    ),
  )
}
