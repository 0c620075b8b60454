// How `kubectl get services` shows a Service.

import {
  AGE_COLUMN,
  NAME_COLUMN,
  NONE,
  ageOf,
  column,
  formatLabels,
  wideColumn,
} from './columns.ts'
import type { Cell, Column, PrintContext } from './kind.ts'
import type { Service, ServicePort } from './service.ts'

export const SERVICE_COLUMNS: readonly Column[] = [
  NAME_COLUMN,
  column('Type', 'How the service is reached.'),
  column('Cluster-IP', 'Its address inside the cluster.'),
  column('External-IP', 'Its addresses for the rest of the world.'),
  column('Port(s)', 'Its ports, with the port on every node where there is one.'),
  AGE_COLUMN,
  wideColumn('Selector', 'Labels of the pods behind it.'),
]

export function serviceCells(service: Service, context: PrintContext): Cell[] {
  const { spec } = service
  return [
    service.metadata.name,
    spec.type ?? '',
    spec.clusterIPs?.[0] || spec.clusterIP || NONE,
    externalAddress(service),
    formatPorts(spec.ports ?? []),
    ageOf(service, context),
    formatLabels(spec.selector),
  ]
}

function externalAddress({ spec, status }: Service): string {
  const own = spec.externalIPs ?? []
  if (spec.type === 'ExternalName') return spec.externalName ?? ''
  if (spec.type === 'LoadBalancer') {
    const given = (status?.loadBalancer?.ingress ?? [])
      .map(({ ip, hostname }) => ip || hostname || '')
      .filter((address) => address !== '')
    const all = [...new Set(given)].sort().concat(own)
    return all.length > 0 ? all.join(',') : '<pending>'
  }
  return own.length > 0 ? own.join(',') : NONE
}

function formatPorts(ports: readonly ServicePort[]): string {
  if (ports.length === 0) return NONE
  return ports
    .map(({ port, nodePort, protocol }) =>
      nodePort ? `${port}:${nodePort}/${protocol}` : `${port}/${protocol}`,
    )
    .join(',')
}
