// Faults on request: who may, what is understood, and what is answered to somebody who mistypes.

import { beforeEach, describe, expect, test } from 'vitest'
import { createMemoryLog } from './adapters/memory-log.ts'
import { GoogleError } from './compute/google-error.ts'
import { CannotCause } from './compute/machines.ts'
import { FAULT_KINDS, nearest } from './fault-kinds.ts'
import { createOutage } from './outage.ts'
import { createFaults, type FaultPod } from './faults.ts'

const NODES = ['gke-test-pool-1a2b3c4d-kj0s', 'gke-test-pool-1a2b3c4d-x7k2']
const [NODE = '', OTHER = ''] = NODES
const TOKEN = 'secret'

let calls: string[]
let hung: Set<string>
let pods: FaultPod[]
let refusal: Error | undefined

function app() {
  const call = (what: string) => async (name: string) => {
    if (refusal) throw refusal
    calls.push(`${what} ${name}`)
  }
  return createFaults({
    adminToken: TOKEN,
    log: createMemoryLog(),
    outage: createOutage(),
    pods: async () => pods,
    compute: {
      killVm: call('kill'),
      stopVm: call('stop'),
      preempt: call('preempt'),
      hangVm: (name) => void hung.add(name),
      resumeVm: (name) => void hung.delete(name),
      killProgram: (name, program) => {
        if (program === 'docker') throw new CannotCause('no Docker Engine here')
        calls.push(`${program} ${name}`)
        return `the ${program} of ${name} is dead`
      },
      impair: async (name, what) => void calls.push(`${JSON.stringify(what)} ${name}`),
      flapChecks: (name) => void calls.push(`flap ${name}`),
      setShortage: (shortage) => void calls.push(`shortage ${shortage}`),
      heal: async () => {
        const healed = [...hung].map((name) => `${name} goes on`)
        hung.clear()
        return healed
      },
      killPod: (node, hostname) =>
        calls.push(`pod ${hostname} on ${node}`) > 0 && hostname !== 'dead',
      vms: () => NODES.map((name) => ({ name, status: 'RUNNING', isHung: hung.has(name) })),
    },
  })
}

async function order(fault: string, target?: string, value?: string): Promise<[number, string]> {
  const response = await app().request('/faults', {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify({ fault, target, value }),
  })
  const answer: { said?: string; error?: string } = JSON.parse(await response.text())
  return [response.status, answer.said ?? answer.error ?? '']
}

beforeEach(() => {
  calls = []
  hung = new Set()
  refusal = undefined
  pods = [
    { namespace: 'default', name: 'web-1', hostname: 'web-1', node: NODE },
    { namespace: 'other', name: 'web-1', hostname: 'web-1', node: OTHER },
    { namespace: 'default', name: 'db-0', hostname: 'db', node: OTHER },
    { namespace: 'default', name: 'waits', hostname: 'waits', node: undefined },
    { namespace: 'default', name: 'dead', hostname: 'dead', node: NODE },
  ]
})

describe('a fault', () => {
  test.each([
    { fault: 'vm-kill', target: NODE, calls: [`kill ${NODE}`] },
    { fault: 'vm-stop', target: NODE, calls: [`stop ${NODE}`] },
    { fault: 'vm-preempt', target: NODE, calls: [`preempt ${NODE}`] },
    { fault: 'agent-kill', target: NODE, calls: [`agent ${NODE}`] },
    { fault: 'check-flap', target: NODE, calls: [`flap ${NODE}`] },
    { fault: 'container-kill', target: 'db-0', calls: [`pod db on ${OTHER}`] },
    { fault: 'container-kill', target: 'other/web-1', calls: [`pod web-1 on ${OTHER}`] },
  ])('$fault is caused', async ({ fault, target, calls: expected }) => {
    const [status, said] = await order(fault, target)
    expect([status, calls]).toEqual([200, expected])
    expect(said).toContain(target)
  })

  test('vm-hang lasts until vm-resume, or until heal for all', async () => {
    await order('vm-hang', NODE)
    await order('vm-hang', OTHER)
    expect([...hung]).toEqual(NODES)
    await order('vm-resume', NODE)
    expect([...hung]).toEqual([OTHER])
    expect(await order('heal')).toEqual([200, `${OTHER} goes on`])
    expect(await order('heal')).toEqual([200, 'nothing to heal'])
  })

  test.each([
    {
      fault: 'vm-kil',
      target: NODE,
      status: 400,
      said: 'no fault "vm-kil". Did you mean vm-kill?',
    },
    { fault: 'vm-kill', target: undefined, status: 400, said: 'vm-kill needs the name of a node' },
    {
      fault: 'vm-kill',
      target: 'kj0s',
      status: 404,
      said: `no node "kj0s". Did you mean ${NODE}? There are: ${NODE}, ${OTHER}`,
    },
    {
      fault: 'container-kill',
      target: 'zzz',
      status: 404,
      said: 'no pod "zzz". There are: default/d',
    },
    {
      fault: 'container-kill',
      target: 'web-1',
      status: 400,
      said: 'web-1 is more than one pod: default/web-1, other/web-1',
    },
    { fault: 'container-kill', target: 'waits', status: 409, said: 'has no running container' },
    { fault: 'container-kill', target: 'dead', status: 409, said: 'has no running container' },
  ])('$fault of $target is refused: $said', async ({ fault, target, status, said }) => {
    const answer = await order(fault, target)
    expect(answer).toEqual([status, expect.stringContaining(said)])
  })

  test.each([
    { fault: 'partition', value: undefined, what: { kind: 'partition', direction: 'both' } },
    { fault: 'partition', value: 'send', what: { kind: 'partition', direction: 'send' } },
    { fault: 'delay', value: '250', what: { kind: 'delay', ms: 250 } },
    { fault: 'loss', value: undefined, what: { kind: 'loss', percent: 30 } },
    { fault: 'full-disk', value: undefined, what: { kind: 'full disk' } },
    {
      fault: 'slow-disk',
      value: undefined,
      what: { kind: 'slow disk', bytesPerSecond: 512 * 1024 },
    },
    { fault: 'cpu-load', value: '4', what: { kind: 'cpu load', programs: 4 } },
  ])('$fault $value is an impairment of the VM', async ({ fault, value, what }) => {
    const [status, said] = await order(fault, NODE, value)
    expect([status, calls]).toEqual([200, [`${JSON.stringify(what)} ${NODE}`]])
    expect(said).toMatch(/until heal$/)
  })

  test.each([
    { fault: 'partition', value: 'sideways', said: 'partition: not a WAY: sideways' },
    { fault: 'loss', value: '101', said: 'loss: not a PERCENT: 101' },
    { fault: 'cpu-load', value: '0', said: 'cpu-load: not a PROGRAMS: 0' },
    { fault: 'vm-kill', value: 'now', said: 'vm-kill takes nothing after the name: now' },
  ])('$fault $value is refused', async ({ fault, value, said }) => {
    expect(await order(fault, NODE, value)).toEqual([400, expect.stringContaining(said)])
    expect(calls).toEqual([])
  })

  test('a shortage lasts until it is healed', async () => {
    expect((await order('stock-out'))[1]).toContain('ZONE_RESOURCE_POOL_EXHAUSTED')
    expect((await order('quota'))[1]).toContain('QUOTA_EXCEEDED')
    expect(calls).toEqual(['shortage stock-out', 'shortage quota'])
  })

  test('what these VMs cannot do is refused, with what they lack', async () => {
    expect(await order('docker-kill', NODE)).toEqual([409, 'no Docker Engine here'])
  })

  test('of a VM that does not run is refused', async () => {
    refusal = new GoogleError('resourceNotReady', 'it is TERMINATED')
    expect(await order('vm-kill', NODE)).toEqual([409, 'it is TERMINATED'])
  })

  test.each(['', 'Bearer wrong', `Basic ${TOKEN}`])('needs the token, not %j', async (given) => {
    const response = await app().request('/faults', { headers: { authorization: given } })
    expect(response.status).toBe(401)
  })
})

test('the targets are listed', async () => {
  const response = await app().request('/faults', { headers: { authorization: `Bearer ${TOKEN}` } })
  expect(await response.json()).toMatchObject({
    nodes: [{ name: NODE, status: 'RUNNING', isHung: false }, {}],
    pods: ['default/db-0', 'default/dead', 'default/waits', 'default/web-1', 'other/web-1'],
  })
})

test.each([
  ['vm-hagn', 'vm-hang'],
  ['VM-KILL', 'vm-kill'],
  ['preempt', 'vm-preempt'],
  ['container', 'container-kill'],
  ['something', undefined],
  ['', undefined],
])('of the faults, %s is most like %s', (word, meant) => {
  expect(nearest(word, Object.keys(FAULT_KINDS))).toBe(meant)
})
