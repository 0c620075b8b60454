// What log sinks deliver, and whom it wakes.

import { beforeEach, describe, expect, test } from 'vitest'
import { createManualClock, type ManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryBus, type MemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createMemoryStore } from '#emulator/adapters/memory-store.ts'
import { createAuditLog, type LogEntry } from '#emulator/compute/audit-log.ts'
import { anInstance } from '#test/support/an-instance.ts'
import { CLUSTERS, FLEET } from '#shared/api/cluster.ts'
import { keyOf } from '#shared/key.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import { createLiveViews } from '../cluster/create-live-views.ts'
import { baseInstanceName, groupName } from '../cloud/names.ts'
import { readLogEntry } from './log-entry.ts'
import { createSignals, type Signals } from './signals.ts'

const GROUP = groupName('c-1', 'test', 'pool')
const VM = `${baseInstanceName(GROUP)}-kj0s`

/** The entries that a log of the emulator makes; their form is Google's. */
function entry(make: (log: ReturnType<typeof createAuditLog>) => void): string {
  const entries: LogEntry[] = []
  make(createAuditLog({ project: 'demo', clock: createManualClock() }, (one) => entries.push(one)))
  return JSON.stringify(entries[0])
}

const transition = {
  instance: anInstance({ name: VM }),
  group: GROUP,
  from: 'HEALTHY',
  to: 'UNHEALTHY',
  text: 'Connection refused',
  healthCheck: { protocol: 'HTTP', port: 10_250 },
} as const

describe('a log entry', () => {
  const instance = anInstance({ name: VM })
  test.each([
    {
      of: 'an insert',
      data: entry((log) => log.activity(instance, 'v1.compute.instances.insert')),
      name: VM,
    },
    {
      of: 'a delete',
      data: entry((log) => log.activity(instance, 'v1.compute.instances.delete')),
      name: VM,
    },
    {
      of: 'the beginning of a stop',
      data: entry((log) => log.activity(instance, 'v1.compute.instances.stop', 'first')),
      name: VM,
    },
    {
      of: 'a host error',
      data: entry((log) => log.system(instance, 'compute.instances.hostError')),
      name: VM,
    },
    {
      of: 'a preemption',
      data: entry((log) => log.system(instance, 'compute.instances.preempted')),
      name: VM,
    },
    {
      of: 'a repair',
      data: entry((log) => log.system(instance, 'compute.instances.repair.recreateInstance')),
      name: VM,
    },
    { of: 'a backend’s health', data: entry((log) => log.backendHealth(transition)), name: GROUP },
    { of: 'a group’s health', data: entry((log) => log.groupHealth(transition)), name: GROUP },
  ])('of $of names what it is about', ({ data, name }) => {
    expect(readLogEntry(data)?.name).toBe(name)
  })

  test.each([
    { of: 'no JSON', data: 'hello' },
    { of: 'no object', data: '[]' },
    {
      of: 'another method',
      data: JSON.stringify({
        protoPayload: {
          methodName: 'v1.compute.instances.setLabels',
          resourceName: `projects/p/zones/z/instances/${VM}`,
        },
      }),
    },
    {
      of: 'the beginning of a start',
      data: entry((log) => log.activity(instance, 'v1.compute.instances.start', 'first')),
    },
    {
      of: 'a probe without a group',
      data: JSON.stringify({ jsonPayload: { healthCheckProbeResult: {} } }),
    },
  ])('of $of is passed over', ({ data }) => {
    expect(readLogEntry(data)).toBeUndefined()
  })
})

describe('the signals function', () => {
  let clock: ManualClock
  let bus: MemoryBus
  let signals: Signals
  let woken: string[]

  beforeEach(async () => {
    clock = createManualClock()
    bus = createMemoryBus({ clock })
    const log = createMemoryLog()
    const views = createLiveViews({ store: createMemoryStore({ clock }), clock, log })
    const fleet = await views.open(FLEET)
    await fleet.commit({
      id: 'fleet',
      cause: { actor: 'test', verb: 'create' },
      writes: ['c-1', 'c-2'].map((name) => ({
        key: keyOf(CLUSTERS, '', name),
        object: {
          apiVersion: 'container.wherry.dev/v1',
          kind: 'Cluster',
          metadata: { name, uid: name, creationTimestamp: '2026-11-22T00:00:00Z' },
        },
        expect: null,
      })),
    })
    woken = []
    await bus.subscribe(TOPICS.cloud, 'test', async (message) => {
      woken.push(message.attributes['cluster'] ?? '')
    })
    signals = createSignals({ views, bus, clock, log })
  })

  const about = (name: string) => ({
    attributes: {},
    data: entry((log) => log.system(anInstance({ name }), 'compute.instances.hostError')),
  })

  test('wakes the cluster of the VM, once for many entries', async () => {
    const handled = Promise.all(
      [VM, VM, `${baseInstanceName(GROUP)}-abcd`].map((name) => signals.handle(about(name))),
    )
    await clock.advance(1000)
    await handled
    await clock.advance(1000)
    expect(woken).toEqual(['c-1'])
    const later = signals.handle(about(VM))
    await clock.advance(1000)
    await later
    await clock.advance(1000)
    expect(woken).toEqual(['c-1', 'c-1'])
  })

  test('passes over VMs of clusters that it does not know', async () => {
    await signals.handle(about('somebody-elses-vm'))
    await signals.handle(about(`${baseInstanceName(groupName('c-3', 'test', 'pool'))}-abcd`))
    await clock.advance(1000)
    expect(woken).toEqual([])
  })

  test('has the entry delivered again when it cannot pass it on', async () => {
    bus.publish = () => Promise.reject(new Error('away'))
    const handled = expect(signals.handle(about(VM))).rejects.toThrow('away')
    await clock.advance(1000)
    await handled
  })
})
