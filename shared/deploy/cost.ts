// What manifests cost a month on Compute Engine, from what they ask for: requests × replicas at E2's
// prices by core and gigabyte, load balancers, disks. An estimate whose assumptions are said beside it:
// list prices of us-central1, 730 hours, no discounts, nodes exactly as large as the requests.
// https://cloud.google.com/compute/vm-instance-pricing, https://cloud.google.com/vpc/network-pricing

import { addLists } from '../quota/usage.ts'
import { podRequests, type ResourceList } from '../api/pod-resources.ts'
import type { PodSpec } from '../api/pod.ts'
import { isObject, type JsonObject } from '../patch/json.ts'
import { milliValue, wholeValue } from '../quantity.ts'
import { podSpecOf, type Manifest } from './manifest.ts'

const HOURS = 730
/** E2, on demand: an e2-medium, which is one core and 4 GB, is 0.03350571 an hour. */
const CORE_HOUR = 0.02181159
const GB_HOUR = 0.00292353
/** Spot costs 60 to 91 % less: the smaller discount is counted on. */
const SPOT_FACTOR = 0.4
/** A forwarding rule, and a balanced disk's gibibyte. */
const BALANCER_HOUR = 0.025
const DISK_GB_MONTH = 0.1
const GIB = 1024 ** 3

export interface Cost {
  /** US dollars a month. */
  dollars: number
  /** Pods that ask for nothing: what they use is not in the sum. */
  unpriced: number
}

/** Of all manifests together. `isSpot`: its pods run on spot VMs. */
export function costOf(manifests: readonly Manifest[], { isSpot = false } = {}): Cost {
  const cost: Cost = { dollars: 0, unpriced: 0 }
  for (const manifest of manifests) {
    cost.dollars += balancerCost(manifest) + diskCost(manifest)
    const spec = podSpecOf(manifest)
    const replicas = replicasOf(manifest)
    if (!spec || replicas === 0) continue
    const requests = requestsOf(spec)
    const cores = milliValue(requests['cpu']) / 1000
    const gigabytes = wholeValue(requests['memory']) / GIB
    if (cores === 0 && gigabytes === 0) cost.unpriced += replicas
    const hourly = cores * CORE_HOUR + gigabytes * GB_HOUR
    cost.dollars += hourly * HOURS * replicas * (isSpot ? SPOT_FACTOR : 1)
  }
  return cost
}

/** Jobs end, and DaemonSets are as many as there are nodes: the one counts nothing, the other one. */
function replicasOf({ kind, spec }: Manifest): number {
  if (kind === 'Job' || kind === 'CronJob') return 0
  const replicas = isObject(spec) ? spec['replicas'] : undefined
  return typeof replicas === 'number' && replicas >= 0 ? replicas : 1
}

/** Manifests are not checked yet: what has another shape asks for nothing. */
function requestsOf(spec: JsonObject): ResourceList {
  try {
    return listOf(podRequests({ spec: withLimits(spec) }))
  } catch {
    return {}
  }
}

function listOf(list: ResourceList): ResourceList {
  return addLists(
    {},
    Object.fromEntries(Object.entries(list).map(([key, value]) => [key, textOf(value)])),
  )
}

/** A container that limits and does not request is taken to request its limit, as Kubernetes does. */
function withLimits(spec: JsonObject): PodSpec {
  const container = (each: unknown): unknown => {
    if (!isObject(each)) return {}
    const resources = isObject(each['resources']) ? each['resources'] : {}
    const limits = isObject(resources['limits']) ? resources['limits'] : {}
    const requests = isObject(resources['requests']) ? resources['requests'] : {}
    return { ...each, resources: { requests: { ...limits, ...requests } } }
  }
  const lists = Object.fromEntries(
    ['containers', 'initContainers'].map((member) => {
      const list = spec[member]
      return [member, Array.isArray(list) ? list.map(container) : []]
    }),
  )
  return { ...spec, ...lists } as unknown as PodSpec
}

function balancerCost({ kind, apiVersion, spec }: Manifest): number {
  const isBalancer =
    kind === 'Service' && apiVersion === 'v1' && isObject(spec) && spec['type'] === 'LoadBalancer'
  return isBalancer ? BALANCER_HOUR * HOURS : 0
}

function diskCost({ kind, spec }: Manifest): number {
  if (kind !== 'PersistentVolumeClaim' || !isObject(spec)) return 0
  const resources = isObject(spec['resources']) ? spec['resources'] : {}
  const requests = isObject(resources['requests']) ? resources['requests'] : {}
  return (wholeValue(textOf(requests['storage'])) / GIB) * DISK_GB_MONTH
}

/**
 * `+$1.20 a month when merged ($3.10 → $4.30)…`: for people, with what it assumes. `own`: what the
 * preview itself costs while it is there.
 */
export function shownCost(before: Cost, after: Cost, own: Cost): string {
  const difference = Math.round((after.dollars - before.dollars) * 100) / 100
  const sign = difference < 0 ? '−' : '+'
  const merged =
    difference === 0
      ? `no difference in cost when merged (${dollars(after.dollars)} a month)`
      : `${sign}${dollars(Math.abs(difference))} a month when merged (${dollars(before.dollars)} → ${dollars(after.dollars)})`
  const unpriced =
    after.unpriced > 0 ? `; ${after.unpriced} pods request nothing and are not counted` : ''
  return `${merged}; this preview: ${dollars(own.dollars)} a month${unpriced}. Requests at E2 list prices, us-central1.`
}

function dollars(amount: number): string {
  return `$${amount.toFixed(2)}`
}

/** YAML has numbers where Kubernetes has quantities. */
function textOf(quantity: unknown): string {
  return typeof quantity === 'string' || typeof quantity === 'number' ? String(quantity) : '0'
}
