// Firewall rules as the kernel reads them: their order, whom they are for and from whom.

import { expect, test } from 'vitest'
import { anInstance } from '#test/support/an-instance.ts'
import { loopbackPlan } from '../address-plan.ts'
import { emptyState, type Firewall } from '../state.ts'
import { firewallRules } from './firewall.ts'

const UPLINK = { host: '10.127.0.1', prober: '10.127.0.2', vpc: '10.127.0.6', bits: 29 }

function rule(name: string, more: Partial<Firewall>): Firewall {
  return {
    kind: 'compute#firewall',
    id: '1',
    name,
    selfLink: '',
    creationTimestamp: '',
    description: '',
    network: 'global/networks/default',
    priority: 1000,
    direction: 'INGRESS',
    disabled: false,
    logConfig: { enable: false },
    ...more,
  }
}

function rulesOf(...rules: Firewall[]): string[] {
  const vm = (number: number, ...tags: string[]) => {
    const plain = anInstance({ name: `vm-${number}`, tags: { items: tags } })
    const [nic] = plain.networkInterfaces
    if (!nic) throw new Error('an interface')
    return { ...plain, networkInterfaces: [{ ...nic, networkIP: `10.128.0.${number}` }] }
  }
  const state = {
    ...emptyState(),
    instances: { a: vm(2, 'web'), b: vm(3), c: vm(4, 'web', 'db') },
    firewalls: Object.fromEntries(rules.map((each) => [each.name, each])),
  }
  return firewallRules({ uplink: UPLINK }, { state, plan: loopbackPlan('127.0.1') })
    .split('\n')
    .filter(Boolean)
    .map((line) => line.replace('add rule ip vpc ', ''))
}

const ALL = [{ IPProtocol: 'all' }]

test('the lower number comes first; of one priority the denial', () => {
  const rules = [
    rule('a', { allowed: [{ IPProtocol: 'tcp', ports: ['80', '90-99'] }] }),
    rule('b', { denied: [{ IPProtocol: 'udp' }] }),
    rule('c', { priority: 5, allowed: [{ IPProtocol: 'ipip' }, { IPProtocol: '47' }] }),
    rule('d', { denied: ALL, disabled: true }),
  ]
  expect(rulesOf(...rules)).toEqual([
    'ingress oifname "vm*" meta l4proto 4 accept',
    'ingress oifname "vm*" meta l4proto 47 accept',
    'ingress oifname "vm*" meta l4proto udp drop',
    'ingress oifname "vm*" tcp dport { 80, 90-99 } accept',
  ])
})

test('tags name VMs; a tag that nobody has is for nobody', () => {
  expect(rulesOf(rule('a', { targetTags: ['web'], sourceTags: ['db'], allowed: ALL }))).toEqual([
    'ingress oifname vm2 ip saddr 10.128.0.4 accept',
    'ingress oifname vm4 ip saddr 10.128.0.4 accept',
  ])
  expect(rulesOf(rule('a', { targetTags: ['none'], allowed: ALL }))).toEqual([])
  expect(rulesOf(rule('a', { sourceTags: ['none'], allowed: ALL }))).toEqual([])
})

test('a range that has health checkers in it lets them in; what may leave goes on', () => {
  expect(rulesOf(rule('a', { sourceRanges: ['35.191.0.0/16'], allowed: ALL }))).toEqual([
    'ingress oifname "vm*" ip saddr 35.191.0.0/16 accept',
    'ingress oifname "vm*" ip saddr 10.127.0.2 accept',
  ])
  const out: Partial<Firewall> = { direction: 'EGRESS', destinationRanges: ['192.0.2.0/24'] }
  expect(rulesOf(rule('a', { ...out, allowed: ALL }), rule('b', { ...out, denied: ALL }))).toEqual([
    'egress iifname "vm*" ip daddr 192.0.2.0/24 drop',
    'egress iifname "vm*" ip daddr 192.0.2.0/24 return',
  ])
})
