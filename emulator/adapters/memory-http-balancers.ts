// HTTP balancers as a handful of maps, for tests and simulation: no network, every endpoint is healthy at
// once. What it answers is what the emulator behind the real client answers.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import type {
  HttpBalancers,
  HttpBalancerSpec,
  HttpCertificate,
  HttpEndpoint,
  HttpEndpointGroup,
} from '#shared/ports/http-balancers.ts'
import { StatusError } from '#shared/status.ts'

/** The port, and what tests do to it. */
export interface MemoryHttpBalancers extends HttpBalancers {
  /** Calls of these methods are refused with this from now on; undefined: no longer. */
  failWith(error: StatusError | undefined, ...methods: (keyof HttpBalancers)[]): void
  specs(): HttpBalancerSpec[]
  /** Calls that were made, oldest first, e.g. `setEndpoints k8s1-x-web us-east1-c`. */
  readonly calls: readonly string[]
}

export function createMemoryHttpBalancers(): MemoryHttpBalancers {
  const balancers = new Map<string, { spec: HttpBalancerSpec; address: string }>()
  const groups = new Map<string, HttpEndpoint[]>()
  const failures = new Map<string, StatusError>()
  const calls: string[] = []

  function called(method: keyof HttpBalancers, about: string): void {
    calls.push(`${method} ${about}`)
    const failure = failures.get(method)
    if (failure) throw failure
  }

  function freeAddress(): string {
    const taken = new Set([...balancers.values()].map(({ address }) => address))
    let low = 1
    while (taken.has(`127.0.1.${low}`)) low++
    return `127.0.1.${low}`
  }

  function endpointsOf({ backend, zone }: HttpEndpointGroup): HttpEndpoint[] {
    const found = groups.get(`${zone}/${backend}`)
    if (found) return found
    throw new StatusError('NotFound', `The network endpoint group '${backend}' was not found`)
  }

  function keepGroups(balancer: string, spec: HttpBalancerSpec | undefined): void {
    const wanted = new Set(
      (spec?.backends ?? []).flatMap(({ name, zones }) => zones.map((zone) => `${zone}/${name}`)),
    )
    for (const key of groups.keys()) {
      if (key.includes(`/${balancer}-`) && !wanted.has(key)) groups.delete(key)
    }
    for (const key of wanted) if (!groups.has(key)) groups.set(key, [])
  }

  return {
    calls,
    async apply(spec) {
      called('apply', spec.name)
      const address = balancers.get(spec.name)?.address ?? freeAddress()
      balancers.set(spec.name, { spec: structuredClone(spec), address })
      keepGroups(spec.name, spec)
      return { name: spec.name, address, refused: refusedOf(spec.https?.certificates ?? []) }
    },
    async setEndpoints(group, endpoints) {
      called('setEndpoints', `${group.backend} ${group.zone}`)
      endpointsOf(group)
      groups.set(`${group.zone}/${group.backend}`, structuredClone([...endpoints]))
    },
    async endpoints(group) {
      called('endpoints', `${group.backend} ${group.zone}`)
      return endpointsOf(group).map((endpoint) => ({ ...endpoint, isHealthy: true }))
    },
    async remove(name) {
      called('remove', name)
      balancers.delete(name)
      keepGroups(name, undefined)
    },
    async list(prefix) {
      called('list', prefix)
      return [...balancers]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, { address }]) => ({ name, address }))
    },
    failWith(error, ...methods) {
      for (const method of methods) {
        if (error) failures.set(method, error)
        else failures.delete(method)
      }
    },
    specs: () => [...balancers.values()].map(({ spec }) => spec),
  }
}

function refusedOf(certificates: readonly HttpCertificate[]): Record<string, string> {
  return Object.fromEntries(
    certificates.flatMap(({ name, certificate, privateKey }) => {
      try {
        const isPair = new X509Certificate(certificate).checkPrivateKey(
          createPrivateKey(privateKey),
        )
        return isPair ? [] : [[name, 'The SSL certificate and private key do not match.']]
      } catch {
        return [[name, 'The SSL certificate could not be parsed.']]
      }
    }),
  )
}
