// Ingress (networking.k8s.io/v1): HTTP requests by host and path to Services, all of a cluster behind one
// address. Checks: ingress-validation.ts. What becomes of it: shared/ingress/.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/ingress-v1/

import { AGE_COLUMN, NAME_COLUMN, NONE, ageOf, column } from './columns.ts'
import { defaultIngressClass } from './ingress-class.ts'
import { validateIngress } from './ingress-validation.ts'
import { ALL_VERBS } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'

export interface IngressServiceBackend {
  name: string
  port?: { name?: string; number?: number }
}

export interface IngressBackend {
  service?: IngressServiceBackend
  resource?: { apiGroup?: string; kind: string; name: string }
}

export type PathType = 'Exact' | 'Prefix' | 'ImplementationSpecific'

export interface HttpIngressPath {
  path?: string
  pathType?: PathType
  backend: IngressBackend
}

export interface IngressRule {
  host?: string
  http?: { paths: HttpIngressPath[] }
}

export interface IngressTls {
  hosts?: string[]
  secretName?: string
}

export interface IngressSpec {
  ingressClassName?: string
  defaultBackend?: IngressBackend
  tls?: IngressTls[]
  rules?: IngressRule[]
}

export interface IngressStatus {
  loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] }
}

export interface Ingress extends KubeObject {
  spec: IngressSpec
  status?: IngressStatus
}

export const INGRESSES = 'ingresses.networking.k8s.io'

/** Older than spec.ingressClassName, and still what GKE's manuals use. */
export const CLASS_ANNOTATION = 'kubernetes.io/ingress.class'

/** GKE's: "false" closes port 80. */
export const ALLOW_HTTP_ANNOTATION = 'kubernetes.io/ingress.allow-http'

/** How many hosts a table cell shows. */
const HOSTS_SHOWN = 3

export const ingressKind: KindDefinition<Ingress> = {
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'Ingress',
  plural: 'ingresses',
  singular: 'ingress',
  shortNames: ['ing'],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [{ name: 'status', verbs: ['get', 'patch', 'update'] }],
  columns: [
    NAME_COLUMN,
    column('Class', 'The name of the IngressClass that serves it.'),
    column('Hosts', 'Hosts that it has rules for.'),
    column('Address', 'Where it is reached.'),
    column('Ports', 'Ports that it is reached at.'),
    AGE_COLUMN,
  ],
  cells: (ingress, context) => [
    ingress.metadata.name,
    ingress.spec.ingressClassName ?? NONE,
    hostsText(ingress),
    addressText(ingress),
    (ingress.spec.tls ?? []).length > 0 ? '80, 443' : '80',
    ageOf(ingress, context),
  ],
  applyDefaults(draft, context) {
    // The DefaultIngressClass admission plugin: at creation only.
    if (context.old || draft.spec?.ingressClassName !== undefined || !draft.spec) return
    if (draft.metadata.annotations?.[CLASS_ANNOTATION] !== undefined) return
    const fallback = defaultIngressClass(context.reader)
    if (fallback) draft.spec.ingressClassName = fallback.metadata.name
  },
  validate: validateIngress,
  hasStatus: true,
  hasGeneration: true,
}

/** `a.example,b.example,c.example + 2 more...`; `*`: any host. */
function hostsText({ spec }: Ingress): string {
  const rules = spec.rules ?? []
  const hosts: string[] = []
  for (const { host } of rules) {
    if (hosts.length === HOSTS_SHOWN) {
      return `${hosts.join(',')} + ${rules.length - HOSTS_SHOWN} more...`
    }
    if (host) hosts.push(host)
  }
  return hosts.join(',') || '*'
}

function addressText({ status }: Ingress): string {
  const addresses = (status?.loadBalancer?.ingress ?? [])
    .map(({ ip, hostname }) => ip || hostname || '')
    .filter((address) => address !== '')
  return [...new Set(addresses)].sort().join(',')
}
