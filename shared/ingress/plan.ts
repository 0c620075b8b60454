// All Ingresses of a cluster as one HTTP balancer: URL maps, backends with the pods' own addresses,
// certificates; and what is wrong with each Ingress. A rule that points at nothing takes nothing from
// the others. Pure.
//
// Precedence: the most specific host, in it the longest path, of equal paths Exact before Prefix; of
// rules that are the same, the older Ingress's. A request whose host has rules, but none for its path, goes
// to the default backend (as with GKE and ingress-nginx, and not to another host's rules).

import {
  ALLOW_HTTP_ANNOTATION,
  type HttpIngressPath,
  type Ingress,
  type IngressBackend,
} from '../api/ingress.ts'
import type {
  HttpBalancerSpec,
  HttpFallback,
  HttpHostRule,
  HttpUrlMap,
} from '../ports/http-balancers.ts'
import type { Reader } from '../view/reader.ts'
import {
  backendName,
  planBackend,
  resolveBackend,
  type PlannedBackend,
  type PlannedGroup,
} from './backends.ts'
import { planCertificates } from './certificates.ts'
import { nameOf, servedIngresses } from './classes.ts'
import { patternsOf } from './paths.ts'

export interface IngressPlan {
  /** Undefined: nobody wants a balancer. */
  spec: HttpBalancerSpec | undefined
  groups: readonly PlannedGroup[]
  /** By the Ingress's uid: what of it cannot be served, and why. */
  problems: ReadonlyMap<string, readonly string[]>
  /** Names of certificates → uids of the Ingresses that want them. */
  certificateUsers: ReadonlyMap<string, readonly string[]>
}

export interface IngressPlanOptions {
  /** What the names of everything begin with. */
  entry: string
  healthCheckIntervalSeconds: number
}

/** What a URL map is made from. */
interface Draft {
  hosts: Map<string, { rules: Map<string, Rule>; fallback?: Fallback }>
  fallback?: Fallback
}

interface Rule {
  backend: string | undefined
  isWeak: boolean
  owner: Ingress
}

interface Fallback extends HttpFallback {
  owner: Ingress
}

/** Collects while the Ingresses are gone through. */
interface Planning {
  reader: Reader
  options: IngressPlanOptions
  backends: Map<string, PlannedBackend>
  problems: Map<string, string[]>
}

/** The balancer that the cluster's Ingresses, Services, endpoints and Secrets add up to. */
export function planIngresses(reader: Reader, options: IngressPlanOptions): IngressPlan {
  const ingresses = servedIngresses(reader)
  const planning: Planning = { reader, options, backends: new Map(), problems: new Map() }
  if (ingresses.length === 0) {
    return { spec: undefined, groups: [], problems: planning.problems, certificateUsers: new Map() }
  }
  const complain = (owner: Ingress, problem: string): void => complainTo(planning, owner, problem)
  const { certificates, users } = planCertificates(reader, options.entry, ingresses, complain)
  const all = draftOf(planning, ingresses)
  const open = ingresses.filter(allowsHttp)
  const plain =
    open.length === ingresses.length ? all : draftOf({ ...planning, problems: new Map() }, open)
  const backends = [...planning.backends.values()].toSorted((a, b) =>
    a.spec.name < b.spec.name ? -1 : 1,
  )
  return {
    spec: {
      name: options.entry,
      backends: backends.map(({ spec }) => spec),
      ...(open.length > 0 ? { http: urlMapOf(plain) } : {}),
      ...(certificates.length > 0 ? { https: { ...urlMapOf(all), certificates } } : {}),
    },
    groups: backends.flatMap(({ groups }) => groups),
    problems: planning.problems,
    certificateUsers: users,
  }
}

function allowsHttp({ metadata }: Ingress): boolean {
  return metadata.annotations?.[ALLOW_HTTP_ANNOTATION] !== 'false'
}

function complainTo({ problems }: Planning, owner: Ingress, problem: string): void {
  const { uid } = owner.metadata
  const known = problems.get(uid) ?? []
  if (!known.includes(problem)) problems.set(uid, [...known, problem])
}

function draftOf(planning: Planning, ingresses: readonly Ingress[]): Draft {
  const draft: Draft = { hosts: new Map() }
  for (const ingress of ingresses) {
    const { rules = [], defaultBackend } = ingress.spec
    const fallback = defaultBackend && {
      ...backendOf(planning, ingress, defaultBackend),
      owner: ingress,
    }
    addFallback(planning, draft, ingress, fallback)
    for (const { host = '*', http } of rules) {
      const entry = draft.hosts.get(host || '*') ?? { rules: new Map<string, Rule>() }
      draft.hosts.set(host || '*', entry)
      if (fallback) entry.fallback ??= fallback
      for (const path of http?.paths ?? []) addPath(planning, entry.rules, ingress, host, path)
    }
  }
  return draft
}

/** The oldest default backend is everybody's; others are their own hosts'. */
function addFallback(
  planning: Planning,
  draft: Draft,
  ingress: Ingress,
  fallback: Fallback | undefined,
): void {
  if (!fallback) return
  draft.fallback ??= fallback
  const isUseless = draft.fallback.owner !== ingress && !ingress.spec.rules?.length
  if (!isUseless || draft.fallback.backend === fallback.backend) return
  const other = nameOf(draft.fallback.owner)
  complainTo(planning, ingress, `the default backend is already given by ingress "${other}"`)
}

function addPath(
  planning: Planning,
  rules: Map<string, Rule>,
  owner: Ingress,
  host: string,
  path: HttpIngressPath,
): void {
  const patterns = patternsOf(path)
  if (typeof patterns === 'string') {
    complainTo(planning, owner, patterns)
    return
  }
  const { backend } = backendOf(planning, owner, path.backend)
  for (const { pattern, isWeak } of patterns) {
    const present = rules.get(pattern)
    if (!present || (present.isWeak && !isWeak)) {
      rules.set(pattern, { backend, isWeak, owner })
    } else if (present.isWeak === isWeak && present.backend !== backend) {
      const by = `ingress "${nameOf(present.owner)}"`
      complainTo(
        planning,
        owner,
        `host "${host}" and path "${pattern}" are already served by ${by}`,
      )
    }
  }
}

/** The backend's name; none where there is nobody, which the Ingress is told. */
function backendOf(planning: Planning, owner: Ingress, backend: IngressBackend): HttpFallback {
  const { reader, options, backends } = planning
  const target = resolveBackend(reader, owner.metadata.namespace ?? '', backend)
  if (typeof target === 'string') {
    complainTo(planning, owner, target)
    return {}
  }
  const name = backendName(options.entry, target)
  if (!backends.has(name)) {
    const seconds = options.healthCheckIntervalSeconds
    backends.set(name, planBackend(reader, options.entry, target, seconds))
  }
  return { backend: name }
}

/** In an order of its own, so that the same wishes are the same text. */
function urlMapOf(draft: Draft): HttpUrlMap {
  const general = draft.fallback && fallbackOf(draft.fallback)
  const hosts = [...draft.hosts]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([host, entry]): HttpHostRule => {
      const fallback = entry.fallback ? fallbackOf(entry.fallback) : general
      return { host, rules: rulesOf(entry.rules), ...(fallback ? { fallback } : {}) }
    })
  return { hosts, ...(general ? { fallback: general } : {}) }
}

function fallbackOf({ backend }: Fallback): HttpFallback {
  return backend === undefined ? {} : { backend }
}

/** Paths of one backend stand together, as people would write a URL map. */
function rulesOf(rules: ReadonlyMap<string, Rule>): HttpHostRule['rules'] {
  const byBackend = Map.groupBy(
    [...rules].toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ([, { backend }]) => backend,
  )
  return [...byBackend]
    .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))
    .map(([backend, entries]) => ({
      paths: entries.map(([pattern]) => pattern),
      ...(backend === undefined ? {} : { backend }),
    }))
}
