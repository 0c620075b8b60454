// What a new cluster starts with: the namespaces and the service that every Kubernetes cluster has, and
// GKE's storage classes.

import type { ConfigMap } from '../api/config.ts'
import type { KubeObject } from '../api/meta.ts'
import { API_SERVICE_IP, DNS_SERVICE_IP } from '../api/service-addresses.ts'
import type { Service } from '../api/service.ts'
import { derivedUid } from '../hash.ts'
import { formatTime } from '../time.ts'
import { addonObjects } from './addons.ts'

/** The ConfigMap with the CA of the API's certificate, found in every namespace. */
export const ROOT_CA_CONFIG_MAP = 'kube-root-ca.crt'

const NAMESPACES = ['default', 'kube-node-lease', 'kube-public', 'kube-system']

export interface BootstrapInput {
  /** Milliseconds since 1970. */
  now: number
  /** PEM; empty when the API's certificate is a publicly trusted one. */
  ca: string
}

/** Complete objects (uid, creation time), to be stored as they are. Default ServiceAccounts follow. */
export function bootstrapObjects({ now, ca }: BootstrapInput): KubeObject[] {
  const creationTimestamp = formatTime(now)
  const meta = (kind: string, name: string, namespace?: string): KubeObject['metadata'] => ({
    name,
    ...(namespace ? { namespace } : {}),
    uid: derivedUid('bootstrap', kind, namespace ?? '', name, now),
    creationTimestamp,
  })
  const namespaces = NAMESPACES.map((name) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { ...meta('Namespace', name), labels: { 'kubernetes.io/metadata.name': name } },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  }))
  const rootCa: ConfigMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: meta('ConfigMap', ROOT_CA_CONFIG_MAP, 'kube-system'),
    data: { 'ca.crt': ca },
  }
  return [
    ...namespaces,
    rootCa,
    kubernetesService(meta('Service', 'kubernetes', 'default')),
    dnsService(meta('Service', 'kube-dns', 'kube-system')),
    ...addonObjects(meta),
  ]
}

/**
 * Where pods ask for names. It has no selector, for there are no pods behind it: the agent of each node
 * answers at this address.
 */
function dnsService(metadata: KubeObject['metadata']): Service {
  const labels = {
    'k8s-app': 'kube-dns',
    'kubernetes.io/cluster-service': 'true',
    'kubernetes.io/name': 'KubeDNS',
  }
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metadata, labels },
    spec: {
      type: 'ClusterIP',
      clusterIP: DNS_SERVICE_IP,
      clusterIPs: [DNS_SERVICE_IP],
      internalTrafficPolicy: 'Cluster',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      ports: [
        { name: 'dns', protocol: 'UDP', port: 53, targetPort: 53 },
        { name: 'dns-tcp', protocol: 'TCP', port: 53, targetPort: 53 },
      ],
      sessionAffinity: 'None',
    },
    status: { loadBalancer: {} },
  }
}

function kubernetesService(metadata: KubeObject['metadata']): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metadata, labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: {
      type: 'ClusterIP',
      clusterIP: API_SERVICE_IP,
      clusterIPs: [API_SERVICE_IP],
      internalTrafficPolicy: 'Cluster',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort: 443 }],
      sessionAffinity: 'None',
    },
    status: { loadBalancer: {} },
  }
}
