import { describe, expect, it } from 'vitest'
import { NOW, defaulted, meta, refusals } from '#test/support/admission.ts'
import { networkPolicyKind } from './network-policy.ts'
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from './network-policy.ts'

function policy(spec: NetworkPolicy['spec']): NetworkPolicy {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: meta('allow'),
    spec,
  }
}

const from = (peer: NetworkPolicyPeer): NetworkPolicy => policy({ ingress: [{ from: [peer] }] })
const to = (port: NetworkPolicyPort): NetworkPolicy => policy({ egress: [{ ports: [port] }] })

describe('a NetworkPolicy', () => {
  it.each<[string, NetworkPolicy['spec'], string[]]>([
    ['nothing', {}, ['Ingress']],
    ['ingress rules', { ingress: [{}] }, ['Ingress']],
    ['egress rules', { egress: [{}] }, ['Ingress', 'Egress']],
    ['its types', { policyTypes: ['Egress'] }, ['Egress']],
  ])('that says %s is of the types %j', (_, spec, types) => {
    expect(defaulted(policy(spec)).spec.policyTypes).toEqual(types)
  })

  it('is about TCP unless it says otherwise', () => {
    expect(defaulted(to({ port: 53 })).spec.egress).toEqual([
      { ports: [{ port: 53, protocol: 'TCP' }] },
    ])
  })

  it.each<[NetworkPolicy, string]>([
    [from({}), 'spec.ingress[0].from[0]: Required value: must specify a peer'],
    [
      from({ podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } }),
      'spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer',
    ],
    [from({ ipBlock: { cidr: '' } }), 'spec.ingress[0].from[0].ipBlock.cidr: Required value'],
    [
      from({ ipBlock: { cidr: '10.0.0.0/33' } }),
      'spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.0/33": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
    ],
    [
      from({ ipBlock: { cidr: '10.0.0.0/16', except: ['10.1.0.0/24'] } }),
      'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "10.1.0.0/24": must be a strict subset of `cidr`',
    ],
    [
      from({ ipBlock: { cidr: '2001:db8::/32', except: ['2001:db9::/64'] } }),
      'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "2001:db9::/64": must be a strict subset of `cidr`',
    ],
    [
      from({ podSelector: { matchExpressions: [{ key: 'a', operator: 'In', values: [] }] } }),
      "spec.ingress[0].from[0].podSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
    ],
    [
      to({ port: 0 }),
      'spec.egress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
    ],
    [
      to({ port: 90, endPort: 80 }),
      'spec.egress[0].ports[0].endPort: Invalid value: 90: must be greater than or equal to `port`',
    ],
    [
      to({ port: 'web', endPort: 80 }),
      'spec.egress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is non-numeric',
    ],
    [
      to({ endPort: 80 }),
      'spec.egress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is not specified',
    ],
    [
      to({ protocol: 'ICMP' as 'TCP', port: 1 }),
      'spec.egress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"',
    ],
    [
      policy({ policyTypes: ['In' as 'Ingress'] }),
      'spec.policyTypes[0]: Unsupported value: "In": supported values: "Ingress", "Egress"',
    ],
    [
      policy({ policyTypes: ['Ingress', 'Egress', 'Ingress'] }),
      'spec.policyTypes: Invalid value: ["Ingress","Egress","Ingress"]: may not specify more than two policyTypes',
    ],
  ])('is refused: %#', (object, message) => {
    expect(refusals(object)).toEqual([message])
  })

  it('takes ranges of both families, and ports by name', () => {
    const peers = ['10.0.0.0/8', '2001:db8::/32'].map((cidr) => ({ ipBlock: { cidr } }))
    const ports = [{ port: 'http' }, { port: 80, endPort: 90 }]
    expect(refusals(policy({ ingress: [{ from: peers, ports }] }))).toEqual([])
  })

  it.each([
    [{}, '<none>'],
    [{ matchLabels: { app: 'web' } }, 'app=web'],
  ])('is shown with its selector %j', (podSelector, text) => {
    const [name, shown] = networkPolicyKind.cells(policy({ podSelector }), { now: NOW })
    expect([name, shown]).toEqual(['allow', text])
  })
})
