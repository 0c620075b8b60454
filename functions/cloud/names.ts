// Names of what a cluster has on Google Cloud. Each carries a mark of the cluster's id, so that a log
// entry about a VM leads back to its cluster even when the VM is gone already.

import { derivedUid, fnv32 } from '#shared/hash.ts'

/** Leaves room for `-xxxx` (VMs) and `-xxxxxxxx` (templates) within Google's 63 characters. */
const PART_MAX = 16
const CLUSTER_DIGITS = 5
const POOL_DIGITS = 3
const ENTRY_DIGITS = 8

/** Five hex digits of the cluster's id. */
export function clusterMark(cluster: string): string {
  return hex(cluster).slice(0, CLUSTER_DIGITS)
}

/** `gke-test-cluster-default-pool-2e9eafc9-grp`. Kept in NodePool.status once it is made. */
export function groupName(cluster: string, displayName: string, pool: string): string {
  const mark = clusterMark(cluster) + hex(pool).slice(0, POOL_DIGITS)
  return `gke-${short(displayName)}-${short(pool)}-${mark}-grp`
}

/** `gke-test-cluster-default-pool-2e9eafc9`: what the VMs' names begin with. */
export function baseInstanceName(group: string): string {
  return group.replace(/-grp$/, '')
}

/** The cluster's mark in the name of a group or of one of its VMs; undefined: it is none of ours. */
export function markIn(name: string): string | undefined {
  return /^gke-.*-([0-9a-f]{5})[0-9a-f]{3}-[a-z0-9]{3,4}$/.exec(name)?.[1]
}

/** `a` and 31 hex digits, as Kubernetes names load balancers; they begin with the cluster's mark. */
export function balancerName(cluster: string, serviceUid: string): string {
  const digits = derivedUid(cluster, serviceUid).replaceAll('-', '')
  return `a${clusterMark(cluster)}${digits.slice(0, 26)}`
}

/** `k8s1-2e9eafc9`: what the names of everything of a cluster's HTTP balancer begin with, as on GKE. */
export function entryName(cluster: string): string {
  return `k8s1-${hex(cluster).slice(0, ENTRY_DIGITS)}`
}

function hex(text: string): string {
  // Its own hash spreads poorly in the first digits of short texts.
  return derivedUid(text, fnv32(text)).replaceAll('-', '')
}

/** A part of a name as Google allows it: no capitals, no dash at its ends. */
function short(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')
    .slice(0, PART_MAX)
    .replaceAll(/^-+|-+$/g, '')
}
