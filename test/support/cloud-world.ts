// Wherry as it stands on Google Cloud, in memory: the real functions, each an instance of its own with
// its own view and its own handle on the data, VMs whose agents speak to the api function, and time
// that only moves when asked. Whatever Google would bill is counted, exactly and always the same.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalJWKSet } from 'jose'
import { createManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryCompute } from '#emulator/adapters/memory-compute.ts'
import { createMemoryDisks } from '#emulator/adapters/memory-disks.ts'
import { createMemoryHttpBalancers } from '#emulator/adapters/memory-http-balancers.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createMemoryData, createMemoryStore } from '#emulator/adapters/memory-store.ts'
import { createProcessTimers } from '#emulator/adapters/process-timers.ts'
import {
  createIdentitySigner,
  GOOGLE_ISSUER,
  type IdentitySigner,
  type VmClaims,
} from '#emulator/google/identity.ts'
import { createCloudApi } from '#functions/cloud-api.ts'
import { CLUSTER_LABEL, POOL_LABEL } from '#functions/cloud/wishes.ts'
import {
  composeCloud,
  composeReconcile,
  composeSignals,
  composeSweep,
  type OnMessage,
  type Ports,
} from '#functions/compose.ts'
import { parseTime } from '#shared/time.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { splitKey, type Key } from '#shared/key.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import type { Instance } from '#shared/ports/compute.ts'
import type { CountedStore } from '#shared/ports/store.ts'
import { CloudVm } from './cloud-vm.ts'
import type { Cost } from './cost.ts'

export interface Answer {
  status: number
  body: Record<string, unknown>
}

export const PROJECT = 'demo-wherry'
export const ZONE = 'us-east1-c'
export const ADMIN = 'ya29.admin'
/** Where the api function is; also the audience of VMs' tokens. */
export const URL_BASE = 'https://api.example'
const MINUTE_MS = 60_000
/** How long a VM takes from being asked for until its agent speaks. */
const BOOT_MS = 20_000

const FUNCTIONS = ['api', 'reconcile', 'cloud', 'signals', 'sweep'] as const
type FunctionName = (typeof FUNCTIONS)[number]

export class CloudWorld {
  readonly clock = createManualClock(1_800_000_000_000)
  readonly data = createMemoryData()
  readonly log = createMemoryLog()
  readonly httpBalancers = createMemoryHttpBalancers()
  readonly compute = createMemoryCompute({ clock: this.clock, bootMs: BOOT_MS })
  readonly disks = createMemoryDisks({ compute: this.compute })
  readonly #bus = createMemoryBus({ isManual: true })
  readonly #stores = new Map<FunctionName, CountedStore>()
  readonly #calls = new Map<FunctionName, number>()
  readonly #vms = new Map<string, { cluster: string; vm: CloudVm; token: Promise<string> }>()
  readonly #timers = createProcessTimers({ clock: this.clock, bus: this.#bus })
  /** Signs as Google does. */
  readonly identity: IdentitySigner
  readonly #api: ReturnType<typeof createCloudApi>
  readonly #sweep: () => Promise<void>
  #sweepAtMs = this.clock.now() + MINUTE_MS

  static async open(): Promise<CloudWorld> {
    const dir = mkdtempSync(join(tmpdir(), 'wherry-world-'))
    try {
      const world = new CloudWorld(await createIdentitySigner(join(dir, 'key')))
      await world.#subscribe()
      return world
    } finally {
      rmSync(dir, { recursive: true })
    }
  }

  private constructor(identity: IdentitySigner) {
    this.identity = identity
    this.#sweep = composeSweep(this.#ports('sweep'), async () => {
      const all = await this.compute.listInstances({})
      return all.map(({ labels, id, status, isHealthy }) => {
        return { cluster: labels[CLUSTER_LABEL] ?? '', id, status, isHealthy }
      })
    })
    this.#api = createCloudApi({
      ...this.#ports('api'),
      project: PROJECT,
      url: URL_BASE,
      issuer: GOOGLE_ISSUER,
      keys: createLocalJWKSet(identity.jwks),
      google: async (token) =>
        token === ADMIN ? { email: 'ada@example.com', canRead: true, canWrite: true } : undefined,
      probes: { compute: async () => 'ok', pubsub: async () => undefined },
    })
  }

  /** What everything has cost so far, or what one function has. */
  cost(name?: FunctionName): Cost {
    const total: Cost = { reads: 0, writes: 0, deletes: 0, messages: 0, calls: 0 }
    for (const each of name ? [name] : FUNCTIONS) {
      const { reads = 0, writes = 0, deletes = 0 } = this.#stores.get(each)?.usage() ?? {}
      total.reads += reads
      total.writes += writes
      total.deletes += deletes
      total.calls += this.#calls.get(each) ?? 0
    }
    if (!name) total.messages = this.#bus.published()
    return total
  }

  /** Any request to the api function, as it is. */
  send(path: string, init: RequestInit): Promise<Response> {
    return this.fetch(new Request(`${URL_BASE}${path}`, init))
  }

  /** The api function itself. */
  fetch(request: Request): Promise<Response> {
    return this.#counted('api', async () => this.#api.fetch(request))
  }

  /** A request of a person to the api function. */
  ask(method: string, path: string, body?: unknown, token = ADMIN): Promise<Answer> {
    return this.#request(method, path, token, body)
  }

  /** As `ask`; throws unless it succeeds. */
  async must(method: string, path: string, body?: unknown): Promise<Answer['body']> {
    const answer = await this.ask(method, path, body)
    if (answer.status < 300) return answer.body
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
  }

  /** The identity token of a VM, as its metadata server hands it out. */
  async tokenOf(vm: string): Promise<string> {
    const found = this.#vms.get(vm)
    if (!found) throw new Error(`no VM ${vm}`)
    return found.token
  }

  /** The agent of a VM. */
  vm(name: string): CloudVm {
    const found = this.#vms.get(name)
    if (!found) throw new Error(`no VM ${name}`)
    return found.vm
  }

  /** What a log sink delivers. */
  async logged(entry: object): Promise<void> {
    await this.#bus.publish(TOPICS.signals, { attributes: {}, data: JSON.stringify(entry) })
  }

  /** What is stored of a resource; looking costs nothing here. */
  list(cluster: string, resource: string): readonly KubeObject[] {
    const objects = this.data.clusters.get(cluster)?.objects ?? new Map<Key, KubeObject>()
    return [...objects].flatMap(([key, object]) =>
      splitKey(key).resource === resource ? object : [],
    )
  }

  /** VMs whose agents run. */
  vms(cluster: string): string[] {
    return [...this.#vms].filter(([, vm]) => vm.cluster === cluster).map(([name]) => name)
  }

  /** Lets time pass until `check` holds; throws when it never does. */
  async until(what: string, check: () => boolean, limitMs = 10 * MINUTE_MS): Promise<void> {
    const endMs = this.clock.now() + limitMs
    await this.#settle()
    while (!check()) {
      if (this.clock.now() >= endMs) throw new Error(`${what}: not within ${limitMs / 1000} s`)
      await this.#step(endMs)
    }
  }

  /** Lets this much time pass. */
  async pass(ms: number): Promise<void> {
    const endMs = this.clock.now() + ms
    await this.#settle()
    while (this.clock.now() < endMs) await this.#step(endMs)
  }

  async close(): Promise<void> {
    await this.#timers.close()
    this.#bus.close()
  }

  /** To the next moment at which anything happens by itself. */
  async #step(endMs: number): Promise<void> {
    const times = [...this.#vms.values()].map(({ vm }) => vm.nextAtMs ?? endMs)
    const next = Math.min(endMs, this.#sweepAtMs, this.clock.nextWake() ?? endMs, ...times)
    await this.clock.advanceTo(next)
    if (this.clock.now() >= this.#sweepAtMs) {
      this.#sweepAtMs += MINUTE_MS
      await this.#counted('sweep', this.#sweep)
    }
    await this.#settle()
  }

  /** Until nobody has anything to do at this moment. */
  async #settle(): Promise<void> {
    while (true) {
      await this.#bootAndEnd()
      if (await this.#bus.deliver()) continue
      const due = [...this.#vms.values()].find(
        ({ vm }) => (vm.nextAtMs ?? Infinity) <= this.clock.now(),
      )
      if (!due) return
      await due.vm.act()
    }
  }

  /** VMs that Compute Engine has made begin to speak, those that it deleted fall silent. */
  async #bootAndEnd(): Promise<void> {
    const all = await this.compute.listInstances({})
    const names = new Set(all.map(({ name }) => name))
    for (const name of this.#vms.keys()) if (!names.has(name)) this.#vms.delete(name)
    for (const instance of all) {
      if (instance.status === 'RUNNING' && !this.#vms.has(instance.name)) this.#boot(instance)
    }
  }

  #boot(instance: Instance): void {
    const cluster = instance.labels[CLUSTER_LABEL] ?? ''
    // Signatures are checked by the time of day, which is not this world's.
    const token = this.identity.sign(claimsOf(instance), URL_BASE, true, Date.now())
    const vm = new CloudVm({
      instance,
      pool: instance.labels[POOL_LABEL] ?? '',
      index: this.vms(cluster).length,
      now: () => this.clock.now(),
      call: async (method, path, body) =>
        this.#request(method, `/clusters/${cluster}${path}`, await token, body),
    })
    this.#vms.set(instance.name, { cluster, vm, token })
  }

  async #subscribe(): Promise<void> {
    await this.#deliverTo('reconcile', TOPICS.changes, composeReconcile(this.#ports('reconcile')))
    const config = {
      region: 'us-east1',
      apiUrl: (cluster: string) => `${URL_BASE}/clusters/${cluster}`,
      apiCa: () => '',
      audience: URL_BASE,
      pubsubProject: PROJECT,
      healthCheckIntervalSeconds: 1,
      propagationSeconds: 0,
    }
    await this.#deliverTo('cloud', TOPICS.cloud, composeCloud(this.#ports('cloud'), config))
    await this.#deliverTo('signals', TOPICS.signals, composeSignals(this.#ports('signals')))
    await this.#bus.subscribe(TOPICS.nodes, 'nodes', async ({ attributes }) => {
      const { cluster, node } = attributes
      for (const { cluster: own, vm } of this.#vms.values()) {
        if (own === cluster && (node === '*' || node === vm.name)) vm.wake()
      }
    })
  }

  async #deliverTo(
    name: 'reconcile' | 'cloud' | 'signals',
    topic: (typeof TOPICS)['changes' | 'cloud' | 'signals'],
    handle: OnMessage,
  ): Promise<void> {
    await this.#bus.subscribe(topic, name, (message) =>
      unlessItWaits(this.#counted(name, () => handle(message))),
    )
  }

  /** What one deployed function sees of the world. */
  #ports(name: FunctionName): Ports {
    const store = createMemoryStore({ clock: this.clock, data: this.data })
    this.#stores.set(name, store)
    const { clock, log, compute, disks, httpBalancers } = this
    return {
      store,
      bus: this.#bus,
      timers: this.#timers,
      compute,
      disks,
      httpBalancers,
      clock,
      log,
    }
  }

  async #counted<T>(name: FunctionName, call: () => Promise<T>): Promise<T> {
    this.#calls.set(name, (this.#calls.get(name) ?? 0) + 1)
    return call()
  }

  async #request(method: string, path: string, token: string, body: unknown): Promise<Answer> {
    const response = await this.send(path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : {} }
  }
}

/** Everything here is memory: what has not ended after so many turns waits for time to pass. */
const TURNS = 100

/** Resolves when the work has ended or waits for the clock, which moves only when it resolves. */
async function unlessItWaits(work: Promise<void>): Promise<void> {
  const waits = (async (): Promise<void> => {
    for (let turn = 0; turn < TURNS; turn++) {
      await new Promise<void>((resolve) => void setImmediate(resolve))
    }
  })()
  work.catch(() => undefined)
  await Promise.race([work, waits])
}

/** What Google says of a VM in its token. */
export function claimsOf(instance: Instance): VmClaims {
  return {
    project: PROJECT,
    projectNumber: '1',
    zone: instance.zone,
    instanceId: instance.id,
    instanceName: instance.name,
    instanceCreationTimestamp: Math.floor((parseTime(instance.creationTimestamp) ?? 0) / 1000),
    email: 'node@example.com',
  }
}
