// What does not make Wherry move pods: VMs that are busy, slow, hard to reach or wrongly accused, and all
// of them at once. And what a start knows of the last one. For systems whose VMs have a Docker Engine
// each (docker-apps.test.ts): the faults need processors, disks and networks of their own.

import { expect, test } from 'vitest'
import { runFault } from '../faults.ts'
import { eventually, startLocalWherry, type LocalWherry } from '../local-wherry.ts'

/** Longer than a VM that really is lost keeps its pods: two failed probes, two looks, a question. */
const HOLD_MS = 12_000
const CALM_MS = 120_000

interface Pod {
  name: string
  uid: string
  node: string
  restarts: number
}

interface PodJson {
  metadata: { name: string; uid: string; deletionTimestamp?: string }
  spec: { nodeName?: string }
  status: { containerStatuses?: { ready: boolean; restartCount: number }[] }
}

interface NodeJson {
  metadata: { name: string; uid: string }
  spec: { taints?: { key: string }[] }
  status: { conditions: { type: string; status: string }[] }
}

const byName = (left: { name: string }, right: { name: string }): number =>
  left.name < right.name ? -1 : 1

/** `web` of examples/tic-tac-toe, with two ready pods. */
async function pods(wherry: LocalWherry): Promise<(Pod & { isReady: boolean })[]> {
  const { items }: { items: PodJson[] } = JSON.parse(
    await wherry.mustKubectl('get pods -l run=web -o json'),
  )
  return items
    .filter(({ metadata }) => !metadata.deletionTimestamp)
    .map(({ metadata, spec, status }) => ({
      name: metadata.name,
      uid: metadata.uid,
      node: spec.nodeName ?? '',
      restarts: status.containerStatuses?.[0]?.restartCount ?? 0,
      isReady: status.containerStatuses?.every(({ ready }) => ready) ?? false,
    }))
    .toSorted(byName)
}

async function nodes(wherry: LocalWherry): Promise<{ name: string; isWell: boolean }[]> {
  const { items }: { items: NodeJson[] } = JSON.parse(await wherry.mustKubectl('get nodes -o json'))
  return items
    .map(({ metadata, spec, status }) => {
      const is = (type: string, wanted: string): boolean =>
        status.conditions.some((one) => one.type === type && one.status === wanted)
      const isWell =
        is('Ready', 'True') && !is('HealthCheckFailing', 'True') && !spec.taints?.length
      return { name: metadata.name, isWell }
    })
    .toSorted(byName)
}

/** Two ready pods on nodes that nothing is said against. */
function untilCalm(wherry: LocalWherry): Promise<Pod[]> {
  return eventually(
    'two ready pods on nodes that are well',
    async () => {
      const list = await pods(wherry)
      const all = await nodes(wherry)
      if (all.length !== 2 || !all.every(({ isWell }) => isWell)) return false
      return (
        list.length === 2 &&
        list.every(({ isReady }) => isReady) &&
        list.map(({ name, uid, node, restarts }) => ({ name, uid, node, restarts }))
      )
    },
    CALM_MS,
  )
}

/** Of no pod with these names was it ever said that it was moved. */
async function expectNobodyMoved(wherry: LocalWherry, list: readonly Pod[]): Promise<void> {
  const said = await wherry.mustKubectl(
    `get events -o jsonpath='{range .items[*]}{.involvedObject.name} {.reason}{"\\n"}{end}'`,
  )
  for (const { name } of list) {
    expect(said).not.toContain(`${name} TaintManagerEviction`)
    expect(said).not.toContain(`${name} Killing`)
  }
}

export function describeSteadiness(current: () => LocalWherry): void {
  const whereFirstIs = async (): Promise<string[]> => [(await pods(current()))[0]?.node ?? '']
  const everywhere = async (): Promise<string[]> => (await nodes(current())).map(({ name }) => name)

  const CASES: { what: string; fault: string; value?: string; where: () => Promise<string[]> }[] = [
    {
      what: 'a VM whose processors are all taken',
      fault: 'cpu-load',
      value: '4',
      where: whereFirstIs,
    },
    { what: 'a VM with a slow disk', fault: 'slow-disk', where: whereFirstIs },
    { what: 'a VM that loses 30 % of its packets', fault: 'loss', where: whereFirstIs },
    { what: 'a health check that flaps', fault: 'check-flap', where: whereFirstIs },
    { what: 'health checks that flap everywhere', fault: 'check-flap', where: everywhere },
    { what: 'all VMs cut off at once', fault: 'partition', where: everywhere },
  ]

  test.each(CASES)(
    'nobody is evicted: $what',
    async ({ fault, value, where }) => {
      const before = await untilCalm(current())
      for (const node of await where())
        await runFault(current(), fault, node, ...(value ? [value] : []))
      const until = Date.now() + HOLD_MS
      // On a disk something must be written for it to matter.
      if (fault === 'slow-disk') await write(before[0]?.name ?? '')
      await eventually('it had its time', async () => Date.now() >= until, 2 * HOLD_MS)
      // A machine that is busy may take its time even for this.
      await eventually('it heals', () => runFault(current(), 'heal'), CALM_MS)
      expect(await untilCalm(current())).toEqual(before)
      await expectNobodyMoved(current(), before)
    },
    HOLD_MS + 2 * CALM_MS,
  )

  async function write(pod: string): Promise<void> {
    const dd = 'dd if=/dev/zero of=/tmp/written bs=64k count=16 conv=fsync; rm /tmp/written'
    await current().mustKubectl(`exec ${pod} -- sh -c '${dd}'`)
  }
}

/** To be called last: it stops the system, and starts another one in its home. */
export function describeRestart(current: () => LocalWherry): void {
  test('Ctrl-C and npm start: the same VMs, pods, addresses, Services', async () => {
    const before = await untilCalm(current())
    const { ready, home } = current()
    const address = `get service web -o jsonpath='{.spec.clusterIP}'`
    const clusterIp = await current().mustKubectl(address)
    expect(await current().stop()).toBe(0)
    const again = await startLocalWherry({
      env: { WHERRY_MACHINES: 'docker' },
      home,
      deadlineMs: 280_000,
    })
    try {
      const after = await untilCalm(again)
      const placed = (list: readonly Pod[]): string[] =>
        list.map(({ uid, name, node }) => `${uid} ${name} on ${node}`)
      expect(placed(after)).toEqual(placed(before))
      await expectNobodyMoved(again, before)
      expect(await again.mustKubectl(address)).toBe(clusterIp)
      expect(again.ready.app).toBe(ready.app)
      const response = await eventually('the page', () => fetch(again.ready.app ?? ''), CALM_MS)
      expect(response.status).toBe(200)
    } finally {
      await again.stop()
    }
  }, 600_000)
}
