// What a health checker believes is not always so. The real functions on VMs whose probes fail for other
// reasons than death: each second every VM is probed as Google does, transitions are logged, agents
// answer as fast as their machine and network let them. Nobody may be evicted, but those who are dead.

import { describe, expect, test } from 'vitest'
import type { Pod } from '#shared/api/pod.ts'
import { CloudWorld, PROJECT, ZONE } from '../support/cloud-world.ts'
import { seededRandom, type Random } from './random.ts'

const NODES = 3
const SECONDS = 120
const SEEDS = [1, 2, 3]

/** What is wrong with a VM. */
interface Trouble {
  /** Whether this probe, one a second, is answered in time. */
  probe(second: number, random: Random): boolean
  /** How long one exchange of the agent with the API takes (ms); Infinity: it never comes. */
  link(random: Random): number
}

const WELL: Trouble = { probe: () => true, link: () => 0 }
const HUNG: Trouble = { probe: () => false, link: () => Infinity }
/** The checker's way is cut, or its firewall rule gone. */
const UNPROBED: Trouble = { probe: () => false, link: () => 20 }
const FLAPPING: Trouble = { probe: (second) => second % 5 > 2, link: () => 20 }
/** All of the CPU is taken: probes are late, and so is everything else. */
const BUSY: Trouble = {
  probe: (_, random) => random.chance(0.3),
  link: (random) => 200 + random.below(1200),
}
/** 30 of 100 packets are lost; what is lost is sent again after 200 ms, then 400 ms, and so on. */
const LOSSY: Trouble = {
  // Two packets there, two back; the first is sent again only after a second, when it is too late.
  probe: (_, random) => [0, 1, 2, 3].every(() => !random.chance(0.3)),
  link: (random) => resent(random) + resent(random),
}

function resent(random: Random): number {
  let ms = 0
  for (let wait = 200; random.chance(0.3); wait *= 2) ms += wait
  return ms
}

class Trial {
  readonly #random: Random
  readonly #failed = new Map<string, number>()
  readonly #healthy = new Map<string, boolean>()
  #second = 0
  readonly world: CloudWorld
  readonly cluster: string
  readonly vms: readonly string[]

  private constructor(world: CloudWorld, cluster: string, seed: number) {
    this.world = world
    this.cluster = cluster
    this.vms = world.vms(cluster).toSorted()
    this.#random = seededRandom(seed)
  }

  /** No log entry arrives: the sink is gone, or a filter takes them away. */
  isUnlogged = false

  static async open(seed: number): Promise<Trial> {
    const world = await CloudWorld.open()
    const clusters = `/v1/projects/${PROJECT}/locations/${ZONE}/clusters`
    const cluster = { name: 'trial', initialNodeCount: NODES }
    await world.must('POST', clusters, { cluster })
    const { endpoint } = await world.must('GET', `${clusters}/trial`)
    const id = String(endpoint).split('/').at(-1) ?? ''
    await world.until('the nodes run', () => world.list(id, 'nodes').length === NODES)
    const spec = {
      replicas: 6,
      selector: { matchLabels: { run: 'web' } },
      template: {
        metadata: { labels: { run: 'web' } },
        spec: { containers: [{ name: 'web', image: 'web' }] },
      },
    }
    const path = `/clusters/${id}/apis/apps/v1/namespaces/default/deployments`
    await world.must('POST', path, { metadata: { name: 'web' }, spec })
    const trial = new Trial(world, id, seed)
    await world.until('all pods run', () => trial.ready().length === 6)
    await trial.run(30, () => WELL)
    return trial
  }

  pods(): readonly Pod[] {
    return this.world.list(this.cluster, 'pods') as readonly Pod[]
  }

  ready(): readonly Pod[] {
    return this.pods().filter(({ status }) =>
      status?.conditions?.some(({ type, status: word }) => type === 'Ready' && word === 'True'),
    )
  }

  uids(): string[] {
    return this.pods()
      .filter(({ metadata }) => !metadata.deletionTimestamp)
      .map(({ metadata }) => metadata.uid)
      .sort()
  }

  /** So many seconds with these troubles. */
  async run(seconds: number, troubleOf: (index: number) => Trouble): Promise<void> {
    for (const end = this.#second + seconds; this.#second < end; this.#second++) {
      for (const [index, vm] of this.vms.entries()) {
        const trouble = troubleOf(index)
        this.world.vm(vm).link = () => trouble.link(this.#random)
        await this.#probe(vm, trouble.probe(this.#second, this.#random))
      }
      await this.world.pass(1000)
    }
  }

  /** Unhealthy after two failures, healthy after one success: functions/adapters/compute-groups.ts. */
  async #probe(vm: string, isAnswered: boolean): Promise<void> {
    const failed = isAnswered ? 0 : (this.#failed.get(vm) ?? 0) + 1
    this.#failed.set(vm, failed)
    const isHealthy = isAnswered ? true : failed >= 2 ? false : this.#healthy.get(vm)
    if (isHealthy === undefined || isHealthy === this.#healthy.get(vm)) return
    this.#healthy.set(vm, isHealthy)
    this.world.compute.setHealth(vm, isHealthy)
    if (this.isUnlogged) return
    const [group] = this.world.compute.groups()
    await this.world.logged({
      resource: { labels: { instance_group_manager_name: group?.name } },
      jsonPayload: {
        instanceHealthStateChange: { healthState: isHealthy ? 'HEALTHY' : 'UNHEALTHY' },
      },
    })
  }
}

const only =
  (trouble: Trouble) =>
  (index: number): Trouble =>
    index === 0 ? trouble : WELL
const all = (trouble: Trouble) => (): Trouble => trouble

describe('nobody is evicted', () => {
  test.each([
    { when: 'the checker cannot reach one VM', trouble: only(UNPROBED), seeds: [1] },
    { when: 'the checker reaches no VM', trouble: all(UNPROBED), seeds: [1] },
    { when: 'no VM is heard of at all', trouble: all(HUNG), seeds: [1] },
    {
      when: 'most VMs are not heard of',
      trouble: (index: number) => (index < 2 ? HUNG : WELL),
      seeds: [1],
    },
    { when: 'the check of one VM flaps', trouble: only(FLAPPING), seeds: [1] },
    { when: 'the checks of all VMs flap', trouble: all(FLAPPING), seeds: [1] },
    { when: 'one VM is under full load', trouble: only(BUSY), seeds: SEEDS },
    { when: 'one VM loses 30 % of its packets', trouble: only(LOSSY), seeds: SEEDS },
  ])('when $when', async ({ trouble, seeds }) => {
    for (const seed of seeds) {
      const trial = await Trial.open(seed)
      const before = trial.uids()
      await trial.run(SECONDS, trouble)
      expect(trial.uids(), `seed ${seed}`).toEqual(before)
      await trial.run(90, () => WELL)
      expect(trial.uids(), `seed ${seed}`).toEqual(before)
      expect(trial.ready().length, `seed ${seed}`).toBe(6)
      await trial.world.close()
    }
  })
})

test('a VM that hangs is found and its pods are replaced within seconds', async () => {
  const trial = await Trial.open(1)
  const [victim] = trial.vms
  const lost = trial.pods().filter(({ spec }) => spec.nodeName === victim)
  expect(lost.length).toBe(2)
  await trial.run(6, only(HUNG))
  expect(trial.ready().length).toBe(4)
  await trial.run(6, only(HUNG))
  expect(trial.ready().length).toBe(6)
  expect(trial.ready().map(({ spec }) => spec.nodeName)).not.toContain(victim)
  await trial.world.close()
})

test.each([
  { what: 'hangs', end: (): void => undefined },
  { what: 'has lost its power', end: (trial: Trial, vm: string) => trial.world.compute.killVm(vm) },
])('a VM that $what is found within a minute although no log entry arrives', async ({ end }) => {
  const trial = await Trial.open(1)
  const [victim = ''] = trial.vms
  trial.isUnlogged = true
  const begun = trial.pods().map(({ metadata }) => metadata.uid)
  end(trial, victim)
  await trial.run(60 + 12, only(HUNG))
  const moved = trial.ready().filter(({ metadata }) => !begun.includes(metadata.uid))
  expect(moved.length).toBe(2)
  expect(trial.ready().length).toBe(6)
  await trial.world.close()
})
