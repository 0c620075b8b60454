// NetworkPolicy (networking.k8s.io/v1): what the pods it selects may receive from and send to.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/
// Refusals: pkg/apis/networking/validation/validation.go

import { formatSelector, selectorOf } from '../selector.ts'
import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import {
  at,
  child,
  eachOf,
  forbidden,
  invalidEach,
  invalidValue,
  notSupported,
  required,
} from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import { isCidr, isStrictSubset, NOT_A_CIDR } from './cidr.ts'
import { ALL_VERBS } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import { validateLabelSelector, validateMeta } from './meta-validation.ts'
import type { KubeObject, LabelSelector } from './meta.ts'
import { portNameProblems, portProblems } from './name-rules.ts'
import type { IntOrString } from './pod.ts'

export interface IpBlock {
  cidr: string
  except?: string[]
}

/** Pods (of this namespace, or of those that are selected), or addresses. */
export interface NetworkPolicyPeer {
  podSelector?: LabelSelector
  namespaceSelector?: LabelSelector
  ipBlock?: IpBlock
}

export interface NetworkPolicyPort {
  protocol?: 'TCP' | 'UDP' | 'SCTP'
  /** A number, or a name that each pod resolves for itself. Absent: all ports. */
  port?: IntOrString
  endPort?: number
}

export interface NetworkPolicy extends KubeObject {
  spec: {
    podSelector?: LabelSelector
    policyTypes?: ('Ingress' | 'Egress')[]
    ingress?: { from?: NetworkPolicyPeer[]; ports?: NetworkPolicyPort[] }[]
    egress?: { to?: NetworkPolicyPeer[]; ports?: NetworkPolicyPort[] }[]
  }
}

/** The resource's name in keys. */
export const NETWORK_POLICIES = 'networkpolicies.networking.k8s.io'

const PROTOCOLS = ['TCP', 'UDP', 'SCTP']
const POLICY_TYPES = ['Ingress', 'Egress']

export const networkPolicyKind: KindDefinition<NetworkPolicy> = {
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  singular: 'networkpolicy',
  shortNames: ['netpol'],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [],
  columns: [NAME_COLUMN, column('Pod-Selector', 'The pods that it is about.'), AGE_COLUMN],
  cells: (policy, context) => [
    policy.metadata.name,
    formatSelector(selectorOf(policy.spec?.podSelector ?? {})) || '<none>',
    ageOf(policy, context),
  ],
  applyDefaults(draft) {
    const loose: { spec?: NetworkPolicy['spec'] } = draft
    const spec = (loose.spec ??= {})
    spec.podSelector ??= {}
    for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) {
      for (const port of rule.ports ?? []) port.protocol ??= 'TCP'
    }
    if (spec.policyTypes?.length) return
    spec.policyTypes = spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress']
  },
  validate: validateNetworkPolicy,
  hasStatus: false,
  hasGeneration: true,
}

function validateNetworkPolicy(policy: NetworkPolicy, context: AdmissionContext): Cause[] {
  const { podSelector, ingress, egress, policyTypes = [] } = policy.spec
  const causes = [
    ...validateMeta(policy, { isNamespaced: true }, context),
    ...validateLabelSelector('spec.podSelector', podSelector),
    ...eachOf('spec.ingress', ingress, (rule, path) =>
      validateRule(rule.ports, rule.from, path, 'from'),
    ),
    ...eachOf('spec.egress', egress, (rule, path) => validateRule(rule.ports, rule.to, path, 'to')),
  ]
  if (policyTypes.length > POLICY_TYPES.length) {
    const detail = 'may not specify more than two policyTypes'
    return [...causes, invalidValue('spec.policyTypes', policyTypes, detail)]
  }
  for (const [index, type] of policyTypes.entries()) {
    if (POLICY_TYPES.includes(type)) continue
    causes.push(notSupported(at('spec.policyTypes', index), type, POLICY_TYPES))
  }
  return causes
}

function validateRule(
  ports: NetworkPolicyPort[] | undefined,
  peers: NetworkPolicyPeer[] | undefined,
  path: FieldPath,
  side: string,
): Cause[] {
  return [
    ...eachOf(child(path, 'ports'), ports, validatePort),
    ...eachOf(child(path, side), peers, validatePeer),
  ]
}

function validatePort({ protocol, port, endPort }: NetworkPolicyPort, path: FieldPath): Cause[] {
  const [portField, endField] = [child(path, 'port'), child(path, 'endPort')]
  const causes =
    protocol !== undefined && !PROTOCOLS.includes(protocol)
      ? [notSupported(child(path, 'protocol'), protocol, PROTOCOLS)]
      : []
  if (port === undefined) {
    const detail = 'may not be specified when `port` is not specified'
    return endPort === undefined ? causes : [...causes, invalidValue(endField, endPort, detail)]
  }
  if (typeof port === 'string') {
    const detail = 'may not be specified when `port` is non-numeric'
    if (endPort !== undefined) causes.push(invalidValue(endField, endPort, detail))
    return [...causes, ...invalidEach(portField, port, portNameProblems(port))]
  }
  causes.push(...invalidEach(portField, port, portProblems(port)))
  if (endPort === undefined) return causes
  if (endPort < port) {
    causes.push(invalidValue(endField, port, 'must be greater than or equal to `port`'))
  }
  return [...causes, ...invalidEach(endField, endPort, portProblems(endPort))]
}

function validatePeer(peer: NetworkPolicyPeer, path: FieldPath): Cause[] {
  const { podSelector, namespaceSelector, ipBlock } = peer
  const causes = [
    ...validateLabelSelector(child(path, 'podSelector'), podSelector),
    ...validateLabelSelector(child(path, 'namespaceSelector'), namespaceSelector),
    ...(ipBlock ? validateIpBlock(ipBlock, child(path, 'ipBlock')) : []),
  ]
  const hasPods = podSelector !== undefined || namespaceSelector !== undefined
  if (!hasPods && !ipBlock) causes.push(required(path, 'must specify a peer'))
  if (hasPods && ipBlock) {
    causes.push(forbidden(path, 'may not specify both ipBlock and another peer'))
  }
  return causes
}

function validateIpBlock({ cidr, except }: IpBlock, path: FieldPath): Cause[] {
  const field = child(path, 'cidr')
  if (!cidr) return [required(field)]
  if (!isCidr(cidr)) return [invalidValue(field, cidr, NOT_A_CIDR)]
  return eachOf(child(path, 'except'), except, (each, exceptField) => {
    if (!isCidr(each)) return [invalidValue(exceptField, each, NOT_A_CIDR)]
    if (isStrictSubset(each, cidr)) return []
    return [invalidValue(exceptField, each, 'must be a strict subset of `cidr`')]
  })
}
