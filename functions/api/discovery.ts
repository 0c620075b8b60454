// Discovery: which groups, versions and resources there are, in the aggregated form (two requests)
// and in the legacy one (one request per group). All made from the catalog, once per process.

import { fnv32 } from '#shared/hash.ts'
import type { KindDefinition } from '#shared/api/kind.ts'
import { parseAccept } from './accept.ts'

/** The part of a kind that discovery shows. Reviews are listed too, though they store nothing. */
export type DiscoveredKind = Pick<
  KindDefinition,
  | 'group'
  | 'version'
  | 'kind'
  | 'plural'
  | 'singular'
  | 'shortNames'
  | 'categories'
  | 'isNamespaced'
  | 'verbs'
  | 'subresources'
>

/** kube-apiserver's order: `kubectl get all` and ambiguous short names depend on it. */
const GROUP_ORDER = [
  '',
  'apps',
  'events.k8s.io',
  'authentication.k8s.io',
  'authorization.k8s.io',
  'autoscaling',
  'batch',
  'certificates.k8s.io',
  'networking.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
  'storage.k8s.io',
  'admissionregistration.k8s.io',
  'apiextensions.k8s.io',
  'scheduling.k8s.io',
  'coordination.k8s.io',
  'node.k8s.io',
  'discovery.k8s.io',
]

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=VERSION;as=APIGroupDiscoveryList'

interface GroupVersion {
  group: string
  version: string
  kinds: DiscoveredKind[]
}

export interface Discovery {
  /** The answer to a discovery path, or undefined when the path is none. */
  respond(path: string, headers: Headers): Response | undefined
}

/** Discovery of these kinds. */
export function createDiscovery(kinds: readonly DiscoveredKind[]): Discovery {
  const versions = groupVersions(kinds)
  const core = versions.filter((each) => each.group === '')
  const named = versions.filter((each) => each.group !== '')
  const documents = new Map<string, unknown>([['/api', legacyCore(core)]])
  documents.set('/apis', legacyGroups(named))
  for (const groupVersion of versions) {
    documents.set(pathOf(groupVersion), resourceList(groupVersion))
  }
  for (const group of groupsOf(named)) documents.set(`/apis/${group.name}`, group)
  const aggregated = new Map([
    ['/api', aggregatedItems(core)],
    ['/apis', aggregatedItems(named)],
  ])
  return {
    respond(path, headers) {
      const trimmed = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
      const items = aggregated.get(trimmed)
      const version = items && aggregatedVersion(headers.get('accept'))
      if (items && version) {
        const apiVersion = `apidiscovery.k8s.io/${version}`
        const body = { kind: 'APIGroupDiscoveryList', apiVersion, metadata: {}, items }
        return cacheable(body, AGGREGATED.replace('VERSION', version), headers)
      }
      const document = documents.get(trimmed)
      return document ? cacheable(document, 'application/json', headers) : undefined
    },
  }
}

/** The first form the client names wins; undefined: the legacy one. */
function aggregatedVersion(accept: string | null): 'v2' | 'v2beta1' | undefined {
  for (const { type, parameters } of parseAccept(accept)) {
    if (type !== 'application/json' && type !== '*/*') continue
    const { as, g, v } = parameters
    if (as === undefined) return undefined
    const isOurs = as === 'APIGroupDiscoveryList' && g === 'apidiscovery.k8s.io'
    if (isOurs && (v === 'v2' || v === 'v2beta1')) return v
  }
  return undefined
}

function cacheable(body: unknown, contentType: string, headers: Headers): Response {
  const text = `${JSON.stringify(body)}\n`
  const etag = `"${fnv32(text).toString(16)}"`
  const common = { etag, vary: 'Accept', 'cache-control': 'no-cache, private' }
  if (headers.get('if-none-match') === etag)
    return new Response(null, { status: 304, headers: common })
  return new Response(text, { headers: { ...common, 'content-type': contentType } })
}

function groupVersions(kinds: readonly DiscoveredKind[]): GroupVersion[] {
  const found = new Map<string, GroupVersion>()
  for (const kind of kinds) {
    const id = `${kind.group}/${kind.version}`
    const entry = found.get(id) ?? { group: kind.group, version: kind.version, kinds: [] }
    entry.kinds.push(kind)
    found.set(id, entry)
  }
  const rank = (group: string): number => {
    const place = GROUP_ORDER.indexOf(group)
    return place < 0 ? GROUP_ORDER.length : place
  }
  const sorted = [...found.values()].sort(
    (a, b) =>
      rank(a.group) - rank(b.group) ||
      compare(a.group, b.group) ||
      versionRank(b.version) - versionRank(a.version),
  )
  for (const { kinds } of sorted) kinds.sort((a, b) => compare(a.plural, b.plural))
  return sorted
}

/** v2 before v1 before v1beta2 before v1beta1 before v1alpha1, as Kubernetes prefers. */
function versionRank(version: string): number {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version)
  if (!match) return 0
  const stage = match[2] === undefined ? 3 : match[2] === 'beta' ? 2 : 1
  return stage * 1_000_000 + Number(match[1]) * 1000 + Number(match[3] ?? 0)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function pathOf({ group, version }: GroupVersion): string {
  return group ? `/apis/${group}/${version}` : `/api/${version}`
}

function aggregatedItems(versions: readonly GroupVersion[]): unknown[] {
  const groups = [...new Set(versions.map((each) => each.group))]
  return groups.map((group) => ({
    metadata: { ...(group ? { name: group } : {}), creationTimestamp: null },
    versions: versions
      .filter((each) => each.group === group)
      .map(({ version, kinds }) => ({
        version,
        resources: kinds.map(aggregatedResource),
        freshness: 'Current',
      })),
  }))
}

function aggregatedResource(kind: DiscoveredKind): unknown {
  return {
    resource: kind.plural,
    responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
    scope: kind.isNamespaced ? 'Namespaced' : 'Cluster',
    singularResource: kind.singular,
    verbs: kind.verbs,
    ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
    ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
    ...(kind.subresources.length > 0
      ? {
          subresources: kind.subresources.map((each) => ({
            subresource: each.name,
            responseKind: each.responseKind ?? {
              group: kind.group,
              version: kind.version,
              kind: kind.kind,
            },
            verbs: each.verbs,
          })),
        }
      : {}),
  }
}

function legacyCore(core: readonly GroupVersion[]): unknown {
  return {
    kind: 'APIVersions',
    versions: core.map((each) => each.version),
    serverAddressByClientCIDRs: [],
  }
}

function legacyGroups(named: readonly GroupVersion[]): unknown {
  const groups = groupsOf(named).map((each) => {
    const { kind: _, apiVersion: __, ...group } = each
    return group
  })
  return { kind: 'APIGroupList', apiVersion: 'v1', groups }
}

interface ApiGroup {
  kind: 'APIGroup'
  apiVersion: 'v1'
  name: string
  versions: { groupVersion: string; version: string }[]
  preferredVersion: { groupVersion: string; version: string } | undefined
}

function groupsOf(named: readonly GroupVersion[]): ApiGroup[] {
  const names = [...new Set(named.map((each) => each.group))]
  return names.map((name) => {
    const versions = named
      .filter((each) => each.group === name)
      .map(({ version }) => ({ groupVersion: `${name}/${version}`, version }))
    return { kind: 'APIGroup', apiVersion: 'v1', name, versions, preferredVersion: versions[0] }
  })
}

function resourceList({ group, version, kinds }: GroupVersion): unknown {
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: group ? `${group}/${version}` : version,
    resources: kinds.flatMap((kind) => [legacyResource(kind), ...legacySubresources(kind)]),
  }
}

function legacyResource(kind: DiscoveredKind): unknown {
  return {
    name: kind.plural,
    singularName: kind.singular,
    namespaced: kind.isNamespaced,
    kind: kind.kind,
    verbs: kind.verbs,
    ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
    ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
  }
}

function legacySubresources(kind: DiscoveredKind): unknown[] {
  return kind.subresources.map(({ name, verbs, responseKind }) => {
    const isForeign = responseKind !== undefined && responseKind.group !== kind.group
    return {
      name: `${kind.plural}/${name}`,
      singularName: '',
      namespaced: kind.isNamespaced,
      ...(isForeign ? { group: responseKind.group, version: responseKind.version } : {}),
      kind: responseKind?.kind ?? kind.kind,
      verbs,
    }
  })
}
