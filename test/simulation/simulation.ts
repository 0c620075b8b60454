// The control plane under a hostile world: the real reconcile and sweep functions on a store and a bus
// in memory, with people, agents and dying VMs around them, messages lost, repeated and reordered, and
// processes that die between any two steps. Everything happens in an order that only the seed decides.

import { createHash } from 'node:crypto'
import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createMemoryData, createMemoryStore } from '#emulator/adapters/memory-store.ts'
import { createLiveViews } from '#functions/cluster/create-live-views.ts'
import { createReconcile } from '#functions/reconcile/reconcile.ts'
import type { Reconcile } from '#functions/reconcile/reconcile.ts'
import { createSweep } from '#functions/sweep/sweep.ts'
import type { Sweep } from '#functions/sweep/sweep.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import type { Message } from '#shared/ports/bus.ts'
import type { Revision } from '#shared/ports/store.ts'
import type { Timers } from '#shared/ports/timers.ts'
import { Agents } from './agents.ts'
import { SafetyChecks } from './checks.ts'
import { CLUSTER, ClusterClient } from './cluster.ts'
import { gated, Gate, SimulatedProcess } from './gate.ts'
import type { Fate } from './gate.ts'
import { People } from './people.ts'
import { seededRandom } from './random.ts'

const STEPS = 200
const MINUTE_MS = 60_000
/** By then everything must be as it was asked for. */
const CALM_MINUTES = 14

/** What the world does next, while it is hostile. */
const TURNS = {
  'let a call through': 40,
  'deliver a message': 25,
  'repeat a message': 2,
  'lose a message': 3,
  'an agent acts': 25,
  'a person acts': 9,
  'a probe flips': 2,
  'a VM dies': 1,
  'time passes': 6,
  'the sweep runs': 1,
} as const

const FATES: Record<Fate, number> = {
  done: 90,
  refused: 2,
  unanswered: 3,
  'crash before': 2,
  'crash after': 3,
}

interface Instance {
  process: SimulatedProcess
  reconcile: Reconcile
  end(): Promise<void>
}

/** Nodes come and go here without Compute Engine: functions/cloud has simulations of its own. */
const NO_VMS = async (): Promise<never[]> => []

export class Simulation {
  readonly clock = createManualClock(1_800_000_000_000)
  readonly data = createMemoryData()
  readonly bus = createMemoryBus({ isManual: true })
  readonly log = createMemoryLog()
  readonly checks = new SafetyChecks()
  readonly client: ClusterClient
  readonly people: People
  readonly agents: Agents
  readonly #random
  readonly #gate = new Gate()
  readonly #instances: Instance[] = []
  readonly #timers: { cluster: string; atMs: number }[] = []
  readonly #running = new Set<Promise<void>>()
  /** How much of the log each process had read when it last looked. */
  readonly #read = new Map<string, number>()
  #sweeper: { process: SimulatedProcess; sweep: Sweep } | undefined
  #followed = 0
  #names = 0
  #isCalm = false
  readonly history: Revision[] = []

  constructor(seed: number) {
    this.#random = seededRandom(seed)
    const store = createMemoryStore({ clock: this.clock, data: this.data })
    const views = createLiveViews({ store, clock: this.clock, log: this.log })
    this.client = new ClusterClient({ views, bus: this.bus, clock: this.clock })
    this.people = new People(this.client, this.clock, this.#random)
    this.agents = new Agents(this.client, this.clock, this.#random)
  }

  /** The hostile part, then the calm one. Throws when a rule is broken at any revision. */
  async run(): Promise<void> {
    await this.bus.subscribe(TOPICS.nodes, 'agents', async ({ attributes }) => {
      this.agents.wake(attributes['node'] ?? '')
    })
    await this.#startInstance()
    await this.#startInstance()
    await this.people.createNamespace()
    await this.agents.boot()
    await this.agents.boot()
    for (let step = 0; step < STEPS; step++) {
      await this.#turn()
      await this.#settled()
    }
    await this.#calmDown()
  }

  /** One hash over the whole history: the same for the same seed, on every machine. */
  fingerprint(): string {
    const hash = createHash('sha256')
    for (const revision of this.history) hash.update(JSON.stringify(revision))
    return hash.digest('hex')
  }

  /** A new instance that knows nothing looks at everything. Answers how many commits it makes. */
  async secondLook(): Promise<number> {
    const before = this.history.length
    for (const instance of this.#instances.slice()) await this.#replace(instance)
    const [fresh] = this.#instances
    if (fresh) this.#spawn(fresh.reconcile.handle(CLUSTER))
    await this.#drain()
    return this.history.length - before
  }

  /** An hour in which nothing happens. Answers how many commits there are of any cluster. */
  async idleHour(): Promise<number> {
    const commits = (): number =>
      [...this.data.clusters.values()].reduce(
        (sum, { log, trimmed }) => sum + log.length + trimmed,
        0,
      )
    // The longest deadline that was noted meanwhile (a Deployment's ten minutes) must have passed.
    for (let minute = 0; minute < 12; minute++) await this.#calmMinute()
    const before = commits()
    for (let minute = 0; minute < 60; minute++) await this.#calmMinute()
    return commits() - before
  }

  async #turn(): Promise<void> {
    const pending = this.bus.pending()
    switch (this.#random.weighted(TURNS)) {
      case 'let a call through': {
        const call = this.#random.pick(this.#gate.waiting)
        await call?.settle(this.#random.weighted(FATES))
        return
      }
      case 'deliver a message': {
        const delivery = this.#random.pick(pending)
        if (delivery) this.#spawn(this.bus.deliver(delivery))
        return
      }
      case 'repeat a message': {
        const delivery = this.#random.pick(pending)
        if (delivery) this.bus.repeat(delivery)
        return
      }
      case 'lose a message': {
        const delivery = this.#random.pick(pending)
        if (delivery) this.bus.drop(delivery)
        return
      }
      case 'an agent acts':
        await this.agents.act()
        return
      case 'a person acts':
        return this.people.act()
      case 'a probe flips':
        return this.agents.flip()
      case 'a VM dies':
        return this.#loseVm()
      case 'time passes':
        return this.#pass(this.#random.below(20) * 1000)
      case 'the sweep runs':
        this.#spawn(this.#sweep())
    }
  }

  /** The group makes a new VM for one that died. */
  async #loseVm(): Promise<void> {
    const victim = this.#random.pick(this.agents.alive)
    if (!victim) return
    this.agents.kill(victim)
    await this.agents.boot()
  }

  async #pass(ms: number): Promise<void> {
    const until = this.clock.now() + ms
    await this.clock.advanceTo(until)
    const due = this.#timers.filter(({ atMs }) => atMs <= until)
    for (const timer of due) {
      this.#timers.splice(this.#timers.indexOf(timer), 1)
      // A timer is a message like any other: it may be lost.
      if (!this.#isCalm && this.#random.chance(0.2)) continue
      await this.bus.publish(TOPICS.changes, wakeUp(timer.cluster))
    }
  }

  /** From here on nothing fails: what was asked for must come about. */
  async #calmDown(): Promise<void> {
    this.#isCalm = true
    await this.people.tidyUp()
    // All that was under way is lost at once: only the sweep can know of it.
    for (const delivery of this.bus.pending()) this.bus.drop(delivery)
    this.#timers.splice(0)
    let quietMinutes = 0
    for (let minute = 0; minute < CALM_MINUTES && quietMinutes < 2; minute++) {
      const before = this.history.length
      await this.#calmMinute()
      quietMinutes = this.history.length === before ? quietMinutes + 1 : 0
    }
  }

  async #calmMinute(): Promise<void> {
    await this.#drain()
    for (let part = 0; part < 4; part++) {
      await this.#pass(MINUTE_MS / 4)
      await this.#drain()
    }
    this.#spawn(this.#sweep())
    await this.#drain()
  }

  /** Until nobody has anything to do at this time. */
  async #drain(): Promise<void> {
    while (true) {
      await this.#settled()
      const [call] = this.#gate.waiting
      if (call) await call.settle('done')
      else if (this.bus.pending().length > 0) this.#spawn(this.bus.deliver())
      else if (!(await this.agents.act())) return
    }
  }

  /** Lets promises run that wait for nothing but each other, and looks at what was committed. */
  async #settled(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    const log = this.data.clusters.get(CLUSTER)
    const all = log?.trimmed ?? 0
    for (const { revision } of log?.log.slice(this.#followed - all) ?? []) {
      const readBefore = this.#read.get(writerOf(revision))
      this.checks.follow(revision, readBefore === this.#followed)
      this.history.push(revision)
      this.#followed++
    }
    for (const instance of this.#instances.slice()) {
      if (instance.process.isDead) await this.#replace(instance)
    }
  }

  async #replace(instance: Instance): Promise<void> {
    this.#gate.kill(instance.process)
    this.#instances.splice(this.#instances.indexOf(instance), 1)
    void instance.end()
    await this.#startInstance()
  }

  async #startInstance(): Promise<void> {
    const process = new SimulatedProcess(`reconcile-${++this.#names}`)
    const ports = this.#ports(process)
    let commits = 0
    const reconcile = createReconcile({
      ...ports,
      views: createLiveViews(ports),
      newId: () => `${process.name}-${++commits}`,
    })
    const end = await this.bus.subscribe(TOPICS.changes, 'reconcile', (message) =>
      reconcile.handle(message.attributes['cluster'] ?? ''),
    )
    this.#instances.push({ process, reconcile, end })
  }

  /** One instance sweeps until it dies. */
  async #sweep(): Promise<void> {
    if (!this.#sweeper || this.#sweeper.process.isDead) {
      const process = new SimulatedProcess(`sweep-${++this.#names}`)
      const ports = this.#ports(process)
      let commits = 0
      const newId = (): string => `${process.name}-${++commits}`
      const sweep = createSweep({ ...ports, vms: NO_VMS, views: createLiveViews(ports), newId })
      this.#sweeper = { process, sweep }
    }
    await this.#sweeper.sweep.run()
  }

  /** What a process sees of the world: each call waits its turn, and may not come back. */
  #ports(process: SimulatedProcess) {
    const { clock, log } = this
    const store = gated(
      this.#gate,
      process,
      'store',
      createMemoryStore({ clock, data: this.data }),
      ['commit', 'get', 'revisions', 'readCheckpoint', 'writeCheckpoint', 'changedSince', 'trim'],
    )
    const noted: typeof store = new Proxy(store, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property, target)
        if (property !== 'revisions' || typeof value !== 'function') return value
        return async (...args: unknown[]): Promise<unknown> => {
          const answer: unknown = await Reflect.apply(value, target, args)
          if (args[0] === CLUSTER) this.#read.set(process.name, this.#logLength())
          return answer
        }
      },
    })
    const timers: Timers = {
      wake: async (cluster, atMs) => void this.#timers.push({ cluster, atMs }),
      close: async () => undefined,
    }
    return {
      store: noted,
      bus: gated(this.#gate, process, 'bus', this.bus, ['publish']),
      timers: gated(this.#gate, process, 'timers', timers, ['wake']),
      clock,
      log,
    }
  }

  #logLength(): number {
    const cluster = this.data.clusters.get(CLUSTER)
    return (cluster?.log.length ?? 0) + (cluster?.trimmed ?? 0)
  }

  /** Work that goes on while the world turns. A process that failed is called again by a message. */
  #spawn(work: Promise<unknown>): void {
    const running = work.then(
      () => undefined,
      () => undefined,
    )
    this.#running.add(running)
    void running.then(() => this.#running.delete(running))
  }
}

function wakeUp(cluster: string): Message {
  return { attributes: { cluster }, data: '{}', orderingKey: cluster }
}

/** The process that made a commit, from the commit's id. */
function writerOf({ id }: Revision): string {
  return id.slice(0, id.lastIndexOf('-'))
}
