// The variables by which a pod finds Services without DNS ({NAME}_SERVICE_HOST and the older Docker
// link form), as kubelet's envvars package.

import type { Service, ServicePort } from '#shared/api/service.ts'

/** Where a port of a Service answers a pod on this node; undefined: it cannot be reached. */
export type ServiceAddress = (
  service: Service,
  port: ServicePort,
) => { host: string; port: number } | undefined

/** The variables of the Services a pod of `namespace` sees. */
export function serviceEnv(
  services: readonly Service[],
  namespace: string,
  hasServiceLinks: boolean,
  api: { host: string; port: number },
  addressOf: ServiceAddress,
): Record<string, string> {
  const env: Record<string, string> = {}
  // The API is reached directly, whatever stands in default/kubernetes.
  add(env, 'KUBERNETES', [{ name: 'https', port: 443, protocol: 'tcp', at: api }])
  if (!hasServiceLinks) return env
  const visible = services
    .filter((service) => service.metadata.namespace === namespace && !isApi(service))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  for (const service of visible) {
    const ports = (service.spec.ports ?? []).flatMap((port) => {
      const at = addressOf(service, port)
      const protocol = (port.protocol ?? 'TCP').toLowerCase()
      return at ? [{ name: port.name, port: port.port, protocol, at }] : []
    })
    if (ports.length > 0) add(env, upper(service.metadata.name), ports)
  }
  return env
}

interface ReachablePort {
  name: string | undefined
  /** The Service's own port, which is part of a variable's name. */
  port: number
  /** `tcp`, `udp`, `sctp`. */
  protocol: string
  at: { host: string; port: number }
}

function add(env: Record<string, string>, prefix: string, ports: readonly ReachablePort[]): void {
  const [first] = ports
  if (!first) return
  env[`${prefix}_SERVICE_HOST`] = first.at.host
  env[`${prefix}_SERVICE_PORT`] = String(first.at.port)
  env[`${prefix}_PORT`] = `${first.protocol}://${first.at.host}:${first.at.port}`
  for (const { name, port, protocol, at } of ports) {
    if (name) env[`${prefix}_SERVICE_PORT_${upper(name)}`] = String(at.port)
    const link = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`
    env[link] = `${protocol}://${at.host}:${at.port}`
    env[`${link}_PROTO`] = protocol
    env[`${link}_PORT`] = String(at.port)
    env[`${link}_ADDR`] = at.host
  }
}

function isApi(service: Service): boolean {
  return service.metadata.namespace === 'default' && service.metadata.name === 'kubernetes'
}

function upper(name: string): string {
  return name.toUpperCase().replaceAll('-', '_')
}
