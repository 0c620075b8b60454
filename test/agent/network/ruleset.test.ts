// Whatever changed in whatever order: the table that got only the differences is the table that is
// written at once. Compared in the kernel, as `nft` lists it.

import type { ChildProcess } from 'node:child_process'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PodPolicy } from '#shared/api/agent-wire.ts'
import type { ServiceSpec } from '#shared/api/service.ts'
import { baseTable, TABLE } from '#agent/network/kernel/base-table.ts'
import { FragmentDraft } from '#agent/network/kernel/fragment-draft.ts'
import { addIsolation, policyFragment } from '#agent/network/kernel/policy-rules.ts'
import { run } from '#agent/network/kernel/programs.ts'
import { Ruleset } from '#agent/network/kernel/ruleset.ts'
import type { Fragment } from '#agent/network/kernel/ruleset.ts'
import { serviceFragment } from '#agent/network/kernel/service-rules.ts'
import { anEndpoint, aPolicy, aService, aSlice } from './objects.ts'
import { hold, normalized, whyNot } from './world.ts'

const WHY_NOT = whyNot()
const NODE = { name: 'one', ip: '10.128.0.11', podRange: '10.4.1.0/24' }
const BASE = baseTable({
  nodeIp: NODE.ip,
  podRange: NODE.podRange,
  serviceRange: '34.118.224.0/20',
  dnsIp: '34.118.224.10',
  agentPort: 10_250,
})

type Changes = Map<string, Fragment | undefined>

const specs: fc.Arbitrary<Partial<ServiceSpec>> = fc.record(
  {
    type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer'),
    // Some claim the same external address.
    externalIPs: fc.constantFrom([], ['198.51.100.1']),
    externalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
    internalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
    sessionAffinity: fc.constantFrom('None', 'ClientIP'),
    loadBalancerSourceRanges: fc.constantFrom([], ['192.0.2.0/24', '192.0.2.0/25', '::/0']),
  },
  { requiredKeys: ['type'] },
)

const endpoints = fc.array(
  fc.tuple(
    fc.integer({ min: 1, max: 5 }),
    fc.constantFrom('one', 'two'),
    fc.constantFrom('ready', 'unready', 'leaving' as const),
  ),
  { maxLength: 4 },
)

/** Service number `index`, or its end. */
const serviceChange = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.option(fc.tuple(specs, endpoints)))
  .map(([index, wish]): [string, Fragment | undefined] => {
    const name = `web${index}`
    if (!wish) return [`service/default/${name}`, undefined]
    const [spec, list] = wish
    const nodePort = spec.type === 'ClusterIP' ? {} : { nodePort: 30_000 + index }
    const service = aService(
      name,
      `34.118.224.${50 + index}`,
      { ...spec, ports: [{ port: 80, protocol: 'TCP', ...nodePort }] },
      [`198.51.100.${100 + index}`],
    )
    const slice = aSlice(
      name,
      list.map(([host, node, state]) => anEndpoint(`10.4.1.${host}`, node, state as 'ready')),
    )
    return [`service/default/${name}`, serviceFragment(service, [slice], NODE)]
  })

/** A policy and the pod that it isolates, or their end. */
const policyChange = fc
  .tuple(fc.integer({ min: 1, max: 2 }), fc.option(fc.uniqueArray(fc.integer({ min: 1, max: 5 }))))
  .map(([index, peers]): [string, Fragment | undefined][] => {
    const owners = [`policy/default/p${index}`, `pod/${index}`] as const
    if (!peers) return owners.map((owner) => [owner, undefined])
    const uid = String(index)
    const rule = { addresses: peers.map((peer) => `10.4.2.${peer}`), blocks: [] }
    const policy: PodPolicy = aPolicy(`p${index}`, {
      pods: [uid],
      ingress: [rule],
      ...(peers.length > 2 ? { egress: [] } : {}),
    })
    const draft = new FragmentDraft()
    addIsolation(draft, { uid, ip: `10.4.1.${index}`, link: `wp${index}` }, [policy])
    return [
      [owners[0], policyFragment(policy)],
      [owners[1], draft.fragment()],
    ]
  })

const steps = fc.array(
  fc
    .tuple(fc.array(serviceChange, { maxLength: 3 }), fc.array(policyChange, { maxLength: 1 }))
    .map(([services, policies]): Changes => new Map([...services, ...policies.flat()])),
  { minLength: 1, maxLength: 5 },
)

describe.skipIf(WHY_NOT && !process.env['CI'])(`the table (${WHY_NOT ?? 'in a namespace'})`, () => {
  let holder: ChildProcess
  beforeAll(() => {
    holder = hold()
  })
  afterAll(() => holder?.kill('SIGKILL'))

  const nft = (args: string[], input = ''): Promise<string> =>
    run('nsenter', [`--net=/proc/${holder.pid}/ns/net`, '--', 'nft', ...args], input)
  const load = async (lines: readonly string[]): Promise<void> => {
    if (lines.length > 0) await nft(['-f', '-'], `${lines.join('\n')}\n`)
  }
  const replaceBy = (lines: readonly string[]): Promise<void> =>
    load([`add table ${TABLE}`, `delete table ${TABLE}`, BASE, ...lines])
  const listed = async (): Promise<string> =>
    normalized(await nft(['-j', 'list', 'table', ...TABLE.split(' ')]))

  test('written in steps is the table that is written at once', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const inSteps = new Ruleset(TABLE)
        await replaceBy([])
        for (const changes of all) {
          const { commands, cleanUp } = inSteps.change(changes)
          await load(commands)
          await load(cleanUp)
        }
        const found = await listed()
        const atOnce = new Ruleset(TABLE)
        atOnce.change(new Map(all.flatMap((changes) => [...changes])))
        await replaceBy(atOnce.render())
        expect(found).toBe(await listed())
      }),
      { numRuns: 6 },
    )
  }, 120_000)

  test('a change costs what has changed, however many Services there are', () => {
    const commandsFor = (count: number): string[] => {
      const ruleset = new Ruleset(TABLE)
      const fragmentOf = (index: number, hosts: number[]): Fragment | undefined =>
        serviceFragment(
          aService(`s${index}`, `34.118.${224 + (index >> 8)}.${index & 255}`),
          [
            aSlice(
              `s${index}`,
              hosts.map((host) => anEndpoint(`10.4.1.${host}`, 'one')),
            ),
          ],
          NODE,
        )
      ruleset.change(
        new Map(
          Array.from({ length: count }, (_, index) => [`s${index}`, fragmentOf(index, [1, 2])]),
        ),
      )
      return ruleset.change(new Map([['s5', fragmentOf(5, [1, 3])]])).commands
    }
    const few = commandsFor(10)
    expect(few).toEqual([
      `delete element ${TABLE} endpoints { 34.118.224.5 . tcp . 80 . 1 : 10.4.1.2 . 8080 }`,
      `add element ${TABLE} endpoints { 34.118.224.5 . tcp . 80 . 1 : 10.4.1.3 . 8080 }`,
    ])
    expect(commandsFor(2000)).toEqual(few)
  })
})
