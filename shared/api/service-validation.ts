// What is wrong with a Service, in Kubernetes' words.

import type { Cause } from '../status.ts'
import {
  at,
  child,
  duplicate,
  forbidden,
  invalidValue,
  notSupported,
  required,
} from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import { oldOf } from './kind.ts'
import type { AdmissionContext } from './kind.ts'
import { validateLabels, validateMeta } from './meta-validation.ts'
import {
  NOT_AN_IP,
  dns1035LabelProblems,
  dnsLabelProblems,
  dnsSubdomainProblems,
  isIp,
  isIpv4,
  portNameProblems,
  portProblems,
} from './name-rules.ts'
import {
  NODE_PORTS,
  SERVICE_RANGE,
  isInServiceRange,
  serviceIdentity,
  usedAddresses,
  usedNodePorts,
} from './service-addresses.ts'
import { NODE_PORT_RANGE_TEXT, usesNodePorts } from './service-defaults.ts'
import type { Service, ServicePort, ServiceSpec } from './service.ts'

const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort']
const PROTOCOLS = ['SCTP', 'TCP', 'UDP']
const POLICIES = ['Cluster', 'Local']
const AFFINITY_SECONDS_MAX = 86_400

/** Everything that is wrong with a service, on create and on update. */
export function validateService(service: Service, context: AdmissionContext): Cause[] {
  const { spec } = service
  const old = oldOf(service, context)
  const causes = validateMeta(
    service,
    { isNamespaced: true, nameProblems: dns1035LabelProblems },
    context,
  )
  const isHeadless = spec.clusterIP === 'None'
  if (!spec.ports?.length && !isHeadless && spec.type !== 'ExternalName') {
    causes.push(required('spec.ports'))
  }
  if (!TYPES.includes(spec.type ?? '')) {
    causes.push(notSupported('spec.type', spec.type ?? '', TYPES))
  }
  return [
    ...causes,
    ...validateByType(spec, isHeadless),
    ...validatePorts(spec.ports ?? [], isHeadless),
    ...validateLabels('spec.selector', spec.selector),
    ...validatePolicies(spec),
    ...validateLists(spec),
    ...validateAddress(service, old, context),
    ...validateNodePorts(service, context),
  ]
}

function validateByType(spec: ServiceSpec, isHeadless: boolean): Cause[] {
  const causes: Cause[] = []
  if ((spec.type === 'LoadBalancer' || spec.type === 'NodePort') && isHeadless) {
    const detail =
      spec.type === 'LoadBalancer'
        ? "may not be set to 'None' for LoadBalancer services"
        : "may not be set to 'None' for NodePort services"
    causes.push(invalidValue('spec.clusterIPs[0]', 'None', detail))
  }
  if (spec.type !== 'ExternalName') return causes
  if (spec.clusterIP) {
    causes.push(forbidden('spec.clusterIPs', 'may not be set for ExternalName services'))
  }
  const name = (spec.externalName ?? '').replace(/\.$/, '')
  if (name === '') return [...causes, required('spec.externalName')]
  for (const problem of dnsSubdomainProblems(name)) {
    causes.push(invalidValue('spec.externalName', spec.externalName, problem))
  }
  return causes
}

function validatePorts(ports: readonly ServicePort[], isHeadless: boolean): Cause[] {
  const causes: Cause[] = []
  const names = new Set<string>()
  const numbers = new Set<string>()
  for (const [index, port] of ports.entries()) {
    const field = at('spec.ports', index)
    causes.push(...validatePort(field, port, ports.length > 1, isHeadless))
    if (port.name) {
      if (names.has(port.name)) causes.push(duplicate(child(field, 'name'), port.name))
      names.add(port.name)
    }
    const number = `${port.protocol}/${port.port}`
    if (numbers.has(number)) {
      causes.push(duplicate(field, { protocol: port.protocol, port: port.port }))
    }
    numbers.add(number)
  }
  return causes
}

function validatePort(
  field: FieldPath,
  port: ServicePort,
  needsName: boolean,
  isHeadless: boolean,
): Cause[] {
  const causes: Cause[] = []
  if (!port.name) {
    if (needsName) causes.push(required(child(field, 'name')))
  } else {
    for (const problem of dnsLabelProblems(port.name)) {
      causes.push(invalidValue(child(field, 'name'), port.name, problem))
    }
  }
  for (const problem of portProblems(port.port)) {
    causes.push(invalidValue(child(field, 'port'), port.port ?? 0, problem))
  }
  if (!port.protocol) causes.push(required(child(field, 'protocol')))
  else if (!PROTOCOLS.includes(port.protocol)) {
    causes.push(notSupported(child(field, 'protocol'), port.protocol, PROTOCOLS))
  }
  const target = port.targetPort
  const isText = typeof target === 'string'
  for (const problem of isText ? portNameProblems(target) : portProblems(target)) {
    causes.push(invalidValue(child(field, 'targetPort'), target ?? 0, problem))
  }
  if (isHeadless && port.nodePort) {
    causes.push(forbidden(child(field, 'nodePort'), 'may not be set for headless services'))
  }
  return causes
}

function validatePolicies(spec: ServiceSpec): Cause[] {
  const causes: Cause[] = []
  const affinities = ['ClientIP', 'None']
  if (!affinities.includes(spec.sessionAffinity ?? '')) {
    causes.push(notSupported('spec.sessionAffinity', spec.sessionAffinity ?? '', affinities))
  }
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds
  if (seconds !== undefined && (seconds <= 0 || seconds > AFFINITY_SECONDS_MAX)) {
    causes.push(
      invalidValue(
        'spec.sessionAffinityConfig.clientIP.timeoutSeconds',
        seconds,
        `must be greater than 0 and less than ${AFFINITY_SECONDS_MAX}`,
      ),
    )
  }
  const { internalTrafficPolicy: internal, externalTrafficPolicy: external } = spec
  if (internal && !POLICIES.includes(internal)) {
    causes.push(notSupported('spec.internalTrafficPolicy', internal, POLICIES))
  }
  if (external && !POLICIES.includes(external)) {
    causes.push(notSupported('spec.externalTrafficPolicy', external, POLICIES))
  }
  if (external && spec.type === 'ClusterIP' && !spec.externalIPs?.length) {
    causes.push(
      invalidValue(
        'spec.externalTrafficPolicy',
        external,
        'may only be set for externally-accessible services',
      ),
    )
  }
  return causes
}

function validateLists(spec: ServiceSpec): Cause[] {
  const causes: Cause[] = []
  for (const [index, address] of (spec.externalIPs ?? []).entries()) {
    if (!isIp(address)) causes.push(invalidValue(at('spec.externalIPs', index), address, NOT_AN_IP))
  }
  const ranges = spec.loadBalancerSourceRanges ?? []
  if (ranges.length > 0 && spec.type !== 'LoadBalancer') {
    causes.push(
      forbidden('spec.LoadBalancerSourceRanges', "may only be used when `type` is 'LoadBalancer'"),
    )
  }
  for (const [index, range] of ranges.entries()) {
    const [address = '', bits = '', ...rest] = range.trim().split('/')
    const isRange =
      rest.length === 0 &&
      isIp(address) &&
      /^\d{1,3}$/.test(bits) &&
      Number(bits) <= (isIpv4(address) ? 32 : 128)
    if (!isRange) {
      causes.push(
        invalidValue(
          at('spec.LoadBalancerSourceRanges', index),
          range,
          'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
        ),
      )
    }
  }
  return causes
}

function validateAddress(
  service: Service,
  old: Service | undefined,
  context: AdmissionContext,
): Cause[] {
  const { spec } = service
  if (spec.type === 'ExternalName') return []
  const address = spec.clusterIP
  const addresses = spec.clusterIPs ?? []
  if (!address) {
    return [invalidValue('spec.clusterIPs', addresses, 'failed to allocate IP: range is full')]
  }
  if (addresses[0] !== address) {
    return [invalidValue('spec.clusterIPs', addresses, 'first value must match `clusterIP`')]
  }
  const before = old && old.spec.type !== 'ExternalName' ? old.spec.clusterIP : undefined
  if (before) {
    return before === address
      ? []
      : [invalidValue('spec.clusterIPs[0]', addresses, 'may not change once set')]
  }
  if (address === 'None') return []
  if (!isIp(address)) return [invalidValue('spec.clusterIPs[0]', address, NOT_AN_IP)]
  const refused = 'failed to allocate IP'
  if (!isInServiceRange(address)) {
    const detail = `${refused} ${address}: the provided IP (${address}) is not in the valid range. The range of valid IPs is ${SERVICE_RANGE}`
    return [invalidValue('spec.clusterIPs', addresses, detail)]
  }
  if (usedAddresses(context.reader, serviceIdentity(service)).has(address)) {
    const detail = `${refused} ${address}: provided IP is already allocated`
    return [invalidValue('spec.clusterIPs', addresses, detail)]
  }
  return []
}

function validateNodePorts(service: Service, context: AdmissionContext): Cause[] {
  const { spec } = service
  const ports = spec.ports ?? []
  const causes: Cause[] = []
  const used = usedNodePorts(context.reader, serviceIdentity(service))
  for (const [index, { nodePort, protocol }] of ports.entries()) {
    const field = child(at('spec.ports', index), 'nodePort')
    if (!nodePort) {
      if (usesNodePorts(spec)) {
        causes.push(invalidValue(field, 0, 'failed to allocate a nodePort: range is full'))
      }
      continue
    }
    if (nodePort < NODE_PORTS.first || nodePort > NODE_PORTS.last) {
      causes.push(
        invalidValue(
          field,
          nodePort,
          `provided port is not in the valid range. The range of valid ports is ${NODE_PORT_RANGE_TEXT}`,
        ),
      )
      continue
    }
    const identity = `${nodePort}/${protocol}`
    if (used.has(identity)) {
      causes.push(invalidValue(field, nodePort, 'provided port is already allocated'))
    }
    used.add(identity)
  }
  return causes
}
